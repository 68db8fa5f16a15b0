/**
 * Lesson 19: what lies above the page: the palette, the list of keys, a question. One at a time;
 * which one stands in `state.ui.overlay`.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import { confirmDialog, dialog, type Question } from "./parts/dialog.ts";
import { palette } from "./palette.ts";
import { NAVIGATION } from "./router.ts";
import type { Action, State } from "./state.ts";
import { h, type VNode } from "./vdom.ts";
import type { Context, Shortcut } from "./views/view.ts";

export type Overlay =
  | { readonly type: "palette" }
  | { readonly type: "keys" }
  | { readonly type: "question"; readonly question: Question; answer(yes: boolean): void };

export function isPaletteOpen(shown: unknown): boolean {
  return (shown as Overlay | undefined)?.type === "palette";
}

/** The second key of "g r" and its like. */
const LETTERS: Readonly<Record<string, string>> = {
  Overview: "o", Runs: "r", Workers: "w", Services: "s", Approvals: "a", Agents: "n", Store: "t",
  Constructor: "c", History: "h",
};

export function show(overlay: Overlay | undefined): Action {
  return { type: "ui", key: "overlay", value: overlay };
}

/** Keys that mean the same everywhere. */
export function globalKeys({ navigate, dispatch }: Context): Shortcut[] {
  const openPalette = (): void => {
    dispatch({ type: "ui", key: "palette typed", value: "" });
    dispatch({ type: "ui", key: "palette chosen", value: 0 });
    dispatch(show({ type: "palette" }));
  };
  return [
    ...NAVIGATION.map(({ name, path }): Shortcut =>
      ({ keys: `g ${LETTERS[name]}`, label: `Go to ${name}`, run: () => navigate(path) })),
    { keys: "j", label: "Next row", run: () => moveRow(1) },
    { keys: "k", label: "Previous row", run: () => moveRow(-1) },
    { keys: "Control+k", label: "Go to anything", run: openPalette },
    { keys: "?", label: "Show the keys", run: () => dispatch(show({ type: "keys" })) },
  ];
}

/** Rows are what has the attribute `data-row`; the focus is on the first link or button of one. */
function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
  const now = rows.findIndex((row) => row.contains(document.activeElement));
  const next = now < 0 ? rows.find(isInWindow) : rows[now + step];
  const target = next?.matches("a, button, [tabindex]")
    ? next : next?.querySelector<HTMLElement>("a, button, [tabindex]");
  target?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

function isInWindow(row: HTMLElement): boolean {
  const { top } = row.getBoundingClientRect();
  return top >= 0 && top < innerHeight;
}

export interface OverlayOptions {
  readonly context: Context;
  readonly viewKeys: readonly Shortcut[];
}

export function overlay(state: State, { context, viewKeys }: OverlayOptions): VNode | null {
  const shown = state.ui["overlay"] as Overlay | undefined;
  const close = (): void => context.dispatch(show(undefined));
  if (shown?.type === "palette") {
    const shortcuts = [...viewKeys, ...globalKeys(context)];
    return palette(state, { context, shortcuts, close });
  }
  if (shown?.type === "keys") return keyList(globalKeys(context), viewKeys, close);
  if (shown?.type !== "question") return null;
  return confirmDialog(shown.question, (yes) => {
    close();
    shown.answer(yes);
  });
}

function keyList(
  everywhere: readonly Shortcut[], here: readonly Shortcut[], onclose: () => void,
): VNode {
  const list = (title: string, keys: readonly Shortcut[]): VNode => h("section", null,
    h("h3", null, title),
    h("dl", { class: "keys" }, keys.map((one) => h("div", { key: one.keys },
      h("dt", null, one.keys.split(" ").map((key) => h("kbd", null, keyText(key)))),
      h("dd", null, one.label)))));
  return dialog({ title: "Keys", kind: "keys", onclose },
    h("h2", null, "Keys"),
    here.length === 0 ? null : list("In this view", here),
    list("Everywhere", everywhere),
    h("p", { class: "soft" }, "Escape closes. In a field, letters are letters."));
}

function keyText(key: string): string {
  const isMac = /Mac/.test(navigator.platform);
  return key.replace(/^Control\+(.)$/, (_, letter: string) =>
    `${isMac ? "⌘" : "Ctrl"} ${letter.toUpperCase()}`);
}
