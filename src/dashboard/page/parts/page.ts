/**
 * Lesson 19: what views consist of: the frame with its heading, and what is shown in the place of
 * facts that are not there.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import { icon } from "./icon.ts";

/** A view: its level-1 heading, perhaps with buttons beside it, and the rest. */
export function page(heading: Child, ...content: Child[]): VNode {
  return pageWith({ heading }, ...content);
}

export interface Heading {
  readonly heading: Child;
  /** Beside the heading: buttons, a state. */
  readonly beside?: Child;
  /** A line below it. */
  readonly below?: Child;
}

export function pageWith({ heading, beside, below }: Heading, ...content: Child[]): VNode {
  return h("div", { class: "page" },
    h("header", { class: "page-head" },
      h("h1", { tabindex: -1 }, heading),
      h("div", { class: "page-beside" }, beside),
      below ? h("p", { class: "page-below" }, below) : null),
    ...content);
}

/** A part of a view with a heading of its own. */
export function section(heading: string, ...content: Child[]): VNode {
  return h("section", { class: "section", key: heading },
    h("h2", null, heading), ...content);
}

/** Nothing is there, and that is fine: says what a person may do next. */
export function empty(what: string, ...next: Child[]): VNode {
  return h("div", { class: "empty" },
    icon("empty"), h("p", { class: "empty-what" }, what),
    next.length > 0 ? h("p", { class: "empty-next" }, ...next) : null);
}

/** A command that a person may type. */
export function command(text: string): VNode {
  // A flag is not broken at its hyphens.
  return h("code", { class: "command" }, text.split(" ").map((word, at) =>
    [at === 0 ? "" : " ", h("span", null, word)]));
}

/** A row of a table. Where a window is narrow there are no columns: each cell says what it is. */
export function namedRow(heads: readonly string[], props: object, ...cells: VNode[]): VNode {
  return h("tr", { ...props }, cells.map((cell, at) =>
    ({ ...cell, props: { ...cell.props, "data-head": heads[at] } })));
}

/** In the place of an answer that has not come: why not, or that it is on its way. */
export function loading(state: State, path: string): VNode {
  const error = state.loaded.get(path)?.error;
  if (error !== undefined) return problem(error.message);
  return h("p", { class: "loading" }, "Loading…");
}

/** Something is wrong, and here is what. */
export function problem(message: string, ...next: Child[]): VNode {
  return h("div", { class: "problem", role: "alert" },
    icon("problem"), h("p", null, message), ...next);
}

export interface ButtonOptions {
  readonly kind?: "plain" | "main" | "danger" | "quiet";
  readonly icon?: string;
  /** Where the words alone do not say what it is about. */
  readonly label?: string;
  readonly disabled?: boolean;
  readonly key?: string;
}

export function button(
  text: string, onclick: (event: MouseEvent) => void, options: ButtonOptions = {},
): VNode {
  const { kind = "plain", label, disabled = false, key } = options;
  return h("button", {
    type: "button", class: `button button-${kind}`, "aria-label": label, disabled, onclick, key,
  }, options.icon === undefined ? null : icon(options.icon), text);
}
