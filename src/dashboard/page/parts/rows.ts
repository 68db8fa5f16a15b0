/**
 * Lesson 19: long lists. Of ten thousand rows those are in the document that a person sees, and
 * some around them; the rest is empty space of the right height.
 *
 *         ┌──────────────┐ 0
 *         │ space        │
 *         ├──────────────┤ first      OVERSCAN rows
 *     ┌───┼──────────────┼───┐        the window
 *     └───┼──────────────┼───┘
 *         ├──────────────┤ last       OVERSCAN rows
 *         │ space        │
 *         └──────────────┘ count
 *
 * Invariant: rows of one list have one height.
 * Test: test/19-dashboard.shell.test.ts
 */
import type { State } from "../state.ts";
import { h, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";

/** As many as a key that is held down passes before the next picture. */
const OVERSCAN = 12;
/** Fewer rows are all there: find-in-page and assistive technology see them. */
export const ALL_ROWS = 400;

export interface Slice {
  readonly first: number;
  readonly last: number;
}

/** The rows of a list whose top is at `top` of the window. Pure. */
export function sliceOf(
  count: number, { top, height, rowHeight }: { top: number; height: number; rowHeight: number },
): Slice {
  if (count <= ALL_ROWS) return { first: 0, last: count };
  const above = Math.floor(Math.max(0, -top) / rowHeight);
  const shown = Math.ceil(height / rowHeight);
  const first = Math.min(Math.max(0, above - OVERSCAN), Math.max(0, count - shown));
  return { first, last: Math.min(count, above + shown + OVERSCAN) };
}

export interface RowsOptions {
  /** Of the list, for its place in the state. */
  readonly name: string;
  readonly count: number;
  readonly rowHeight: number;
  readonly label: string;
  render(index: number): VNode;
}

/** A list that scrolls with the page. */
export function virtualRows(state: State, { dispatch }: Context, options: RowsOptions): VNode {
  const { name, count, rowHeight, label, render } = options;
  const key = `rows ${name}`;
  const kept = state.ui[key] as Slice | undefined;
  const usual = sliceOf(count, { top: 0, height: 1_200, rowHeight });
  const first = Math.min(kept?.first ?? usual.first, Math.max(0, count - 1));
  const last = count <= ALL_ROWS ? count : Math.min(kept?.last ?? usual.last, count);
  const rows = Array.from({ length: Math.max(0, last - first) }, (_, at) => render(first + at));
  const look = (element: HTMLElement): void => {
    const { top } = element.getBoundingClientRect();
    const { rows: total } = element.dataset;
    const next = sliceOf(Number(total), { top, height: innerHeight, rowHeight });
    if (element.dataset["slice"] === `${next.first} ${next.last}`) return;
    element.dataset["slice"] = `${next.first} ${next.last}`;
    dispatch({ type: "ui", key, value: next });
  };
  return h("ul", {
    class: `virtual virtual-${name}`, "aria-label": label, "data-rows": count,
    style: {
      "padding-top": `${first * rowHeight}px`,
      "padding-bottom": `${Math.max(0, count - last) * rowHeight}px`,
    },
    hook: { mount: (element: HTMLElement) => follow(element, look), update: look },
  }, rows);
}

function follow(element: HTMLElement, look: (element: HTMLElement) => void): () => void {
  const listener = (): void => look(element);
  addEventListener("scroll", listener, { passive: true });
  addEventListener("resize", listener);
  return () => {
    removeEventListener("scroll", listener);
    removeEventListener("resize", listener);
  };
}
