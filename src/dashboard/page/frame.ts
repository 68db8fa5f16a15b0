/**
 * Lesson 19: what stands around each view: the navigation, the state of the connection, notices,
 * and the region that is read to people who listen.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { plural } from "#base";
import { globalKeys, isPaletteOpen, overlay } from "./overlay.ts";
import { icon } from "./parts/icon.ts";
import { inSight } from "./parts/in-sight.ts";
import { button } from "./parts/page.ts";
import { relative } from "./parts/time.ts";
import { NAVIGATION, sectionOf } from "./router.ts";
import type { Gate } from "./rows.ts";
import { answerOf, type State } from "./state.ts";
import { setTheme, theme, type Theme } from "./theme.ts";
import { h, type Child, type VNode } from "./vdom.ts";
import type { Context, Need, View } from "./views/view.ts";

/** How many gates wait stands in the title, also of a tab that is behind others. */
const GATES: Need = { type: "get", path: "gates", everyMs: 2_000, hiddenMs: 15_000 };
/** The palette finds workers by their names. */
const WORKERS: Need = { type: "get", path: "workers" };

/** Needed in every view: people look at something else when a gate opens. */
export function frameNeeds({ ui }: State): readonly Need[] {
  return isPaletteOpen(ui["overlay"]) ? [GATES, WORKERS] : [GATES];
}

/** Long enough to be read twice. */
const DONE_MS = 8_000;

interface Shown {
  readonly view: View;
  readonly context: Context;
}

/** How many gates wait, and the view. */
export function titleOf(state: State, { view, context }: Shown): string {
  const waiting = answerOf<Gate[]>(state, "gates")?.length ?? 0;
  return `${waiting > 0 ? `(${waiting}) ` : ""}${view.title?.(context) ?? view.name} · Titan`;
}

export function frame(state: State, { view, context }: Shown): VNode {
  return h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: "/" }, mark(), h("span", null, "Titan")),
      connection(state),
      h("span", { class: "bar-space" }),
      goTo(context),
      themeSwitch(context)),
    navigation(state, context),
    h("main", { id: "main", class: "main", tabindex: -1 },
      lost(state), view.render(state, context)),
    notices(state, context),
    overlay(state, { context, viewKeys: view.keys?.(state, context) ?? [] }),
    h("div", { class: "spoken", role: "status", "aria-live": "polite" },
      state.ui["announced"] as Child));
}

/** A moon behind a ring of haze. */
function mark(): VNode {
  return h("svg", { class: "mark", viewBox: "0 0 32 32", "aria-hidden": "true" },
    h("circle", { class: "mark-haze", cx: 16, cy: 16, r: 14 }),
    h("circle", { class: "mark-moon", cx: 16, cy: 16, r: 9.5 }),
    h("path", { class: "mark-ring", d: "M3 21.5C9 24.6 23 19.5 29 10.5" }));
}

/** The palette for people who do not know its key. */
function goTo(context: Context): VNode {
  const open = globalKeys(context).find(({ keys }) => keys === "Control+k")!;
  return h("button", { type: "button", class: "goto", onclick: () => open.run() },
    icon("search"), h("span", { class: "goto-word" }, "Go to"), h("kbd", null, "Ctrl K"));
}

function navigation(state: State, { url }: Context): VNode {
  const here = sectionOf(url.pathname);
  const waiting = answerOf<Gate[]>(state, "gates")?.length ?? 0;
  return h("nav", { class: "nav", "aria-label": "Views", hook: inSight }, h("ul", null,
    NAVIGATION.map(({ name, path, icon: picture }) => h("li", { key: name },
      h("a", { href: path, "aria-current": path === here ? "page" : undefined },
        icon(picture), h("span", null, name)),
      // Beside the link, whose name is that of the view.
      name === "Approvals" && waiting > 0
        ? h("span", { class: "count", title: `${plural(waiting, "gate")} wait` }, waiting)
        : null))));
}

const CONNECTION = {
  connecting: ["pending", "Connecting"], live: ["completed", "Live"],
  lost: ["failed", "Out of date"],
} as const;

function connection({ connection: found }: State): VNode {
  const [look, word] = CONNECTION[found];
  return h("span", { class: `connection state-${look}` },
    h("span", { class: "dot" }), h("span", { class: "connection-word" }, word));
}

function lost({ connection: found, lostAt, now, loaded }: State): Child {
  if (found !== "lost") return null;
  const why = loaded.get("events")?.error?.message;
  // With a key: the view below stays what it was, and with it the focus.
  return h("div", { class: "banner", role: "alert", key: "lost" }, icon("problem"),
    h("p", null, h("strong", null, "The connection to the master is lost. "),
      lostAt === undefined ? "" : `What you see is from ${relative(lostAt, now)}. `,
      "It comes back by itself, with everything that was missed.",
      why === undefined ? "" : ` ${why}.`));
}

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"], ["light", "Light"], ["dark", "Dark"],
];

function themeSwitch({ dispatch }: Context): VNode {
  const chosen = theme();
  return h("div", { class: "themes", role: "group", "aria-label": "Colours" },
    THEMES.map(([name, label]) => h("button", {
      key: name, type: "button", "aria-label": label, title: label,
      "aria-pressed": name === chosen,
      onclick: () => {
        setTheme(name);
        dispatch({ type: "ui", key: "theme", value: name });
      },
    }, icon(name))));
}

function notices({ notices: all }: State, { dispatch }: Context): VNode {
  return h("div", { class: "notices" }, all.map(({ id, kind, text }) =>
    h("div", {
      key: id, class: `notice notice-${kind}`, role: kind === "done" ? "status" : "alert",
      hook: { mount: () => fading(kind, () => dispatch({ type: "dismiss", id })) },
    },
      icon(kind === "done" ? "completed" : "problem"), h("p", null, text),
      button("", () => dispatch({ type: "dismiss", id }), {
        kind: "quiet", icon: "close", label: "Close this message",
      }))));
}

/** What went well covers nothing for long. A problem stays until somebody has seen it. */
function fading(kind: string, dismiss: () => void): (() => void) | undefined {
  if (kind !== "done") return undefined;
  const timer = setTimeout(dismiss, DONE_MS);
  return () => clearTimeout(timer);
}
