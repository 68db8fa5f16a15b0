/**
 * Lesson 19: Control and K: every view, run, worker and action by a few letters of its name.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import { dialog } from "./parts/dialog.ts";
import { icon } from "./parts/icon.ts";
import { lookOf } from "./parts/badge.ts";
import { NAVIGATION, pathTo } from "./router.ts";
import type { Worker } from "./rows.ts";
import { answerOf, type State } from "./state.ts";
import { h, type VNode } from "./vdom.ts";
import type { Context, Shortcut } from "./views/view.ts";

export interface Choice {
  readonly name: string;
  /** What kind of thing it is. */
  readonly kind: string;
  readonly picture: string;
  run(): void;
}

/** As many as fit. A person who wants another one types more of it. */
const MAX_CHOICES = 12;

/** The letters in their order, and those that begin with them first. Pure. */
export function matching(choices: readonly Choice[], typed: string): Choice[] {
  const wanted = typed.trim().toLowerCase();
  if (wanted === "") return choices.slice(0, MAX_CHOICES);
  const ranked = choices.flatMap((choice, at) => {
    const rank = rankOf(choice.name.toLowerCase(), wanted);
    return rank === undefined ? [] : [{ choice, rank, at }];
  });
  ranked.sort((a, b) => a.rank - b.rank || a.at - b.at);
  return ranked.slice(0, MAX_CHOICES).map(({ choice }) => choice);
}

/** 0: begins so; 1: holds it; 2: has its letters in this order. */
function rankOf(name: string, wanted: string): number | undefined {
  const at = name.indexOf(wanted);
  if (at >= 0) return Math.min(at, 1);
  let from = 0;
  for (const letter of wanted) {
    from = name.indexOf(letter, from) + 1;
    if (from === 0) return undefined;
  }
  return 2;
}

export interface PaletteOptions {
  readonly context: Context;
  readonly shortcuts: readonly Shortcut[];
  close(): void;
}

function choicesOf(state: State, { context, shortcuts }: PaletteOptions): Choice[] {
  const views = NAVIGATION.map(({ name, path, icon: picture }): Choice =>
    ({ name, kind: "view", picture, run: () => context.navigate(path) }));
  const actions = shortcuts.filter(({ keys }) => !keys.startsWith("g "))
    .map(({ label, run }): Choice => ({ name: label, kind: "action", picture: "running", run }));
  const runs = [...(state.runs?.values() ?? [])].sort((a, b) => b.submittedAt - a.submittedAt)
    .map(({ id, status }): Choice => ({
      name: id, kind: "run", picture: lookOf(status),
      run: () => context.navigate(pathTo(["runs", id])),
    }));
  const workers = (answerOf<Worker[]>(state, "workers") ?? []).map(({ name }): Choice =>
    ({ name, kind: "worker", picture: "workers", run: () => context.navigate("/workers") }));
  return [...views, ...actions, ...runs, ...workers];
}

export function palette(state: State, options: PaletteOptions): VNode {
  const { context, close } = options;
  const typed = (state.ui["palette typed"] as string | undefined) ?? "";
  const found = matching(choicesOf(state, options), typed);
  const chosen = Math.min((state.ui["palette chosen"] as number | undefined) ?? 0,
    Math.max(0, found.length - 1));
  const choose = (at: number): void =>
    context.dispatch({ type: "ui", key: "palette chosen", value: at });
  const run = (choice: Choice | undefined): void => {
    if (choice === undefined) return;
    close();
    choice.run();
  };
  const onkeydown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) choose((chosen + step + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") run(found[chosen]);
    else return;
    event.preventDefault();
  };
  return dialog({ title: "Go to", kind: "palette", onclose: close },
    h("div", { class: "palette-field" }, icon("search"),
      h("input", {
        type: "text", role: "combobox", "aria-label": "View, run, worker or action",
        "aria-expanded": true, "aria-controls": "palette-list", "aria-autocomplete": "list",
        "aria-activedescendant": found.length > 0 ? `palette-${chosen}` : undefined,
        placeholder: "View, run, worker or action", autocomplete: "off", spellcheck: "false",
        value: typed, onkeydown,
        oninput: (event: InputEvent) => {
          const value = (event.target as HTMLInputElement).value;
          context.dispatch({ type: "ui", key: "palette typed", value });
          choose(0);
        },
      })),
    h("ul", { id: "palette-list", role: "listbox", "aria-label": "Found" },
      found.map((choice, at) => h("li", {
        id: `palette-${at}`, role: "option", "aria-selected": at === chosen, key: at,
        onclick: () => run(choice), onmousemove: () => at === chosen || choose(at),
      }, icon(choice.picture), h("span", { class: "palette-name" }, choice.name),
      h("span", { class: "palette-kind" }, choice.kind)))),
    found.length === 0 ? h("p", { class: "palette-none" }, "Nothing has this name.") : null);
}
