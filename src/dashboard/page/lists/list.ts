/**
 * Lesson 19: a long list of which only the rows on the screen exist (window.ts).
 *
 * A short list has all of its rows: what a person who listens can reach must not depend on where
 * the list is scrolled to.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, patch, type Child, type VNode } from "../vdom.ts";
import { rowWindow, scrollTo } from "./window.ts";

/** A browser makes as many rows in a few milliseconds. */
const FEW_ROWS = 150;

export interface ListProps {
  readonly key: string;
  readonly class: string;
  readonly role: "table" | "list";
  readonly label: string;
  readonly rows: number;
  /** Pixels; the style sheet has the same. */
  readonly rowHeight: number;
  /** Above the rows; it stays there. */
  readonly head?: Child;
  row(at: number): VNode;
  /** This one is brought to the screen when it becomes another one. */
  readonly chosen?: number | undefined;
  /** What the chosen row is about, where rows change their places: one that moves moves nobody. */
  readonly chosenAs?: number | undefined;
}

const lists = new WeakMap<Element, RowList>();

export function listTree(props: ListProps): VNode {
  const isTable = props.role === "table";
  return h("div", {
    key: props.key, class: `list ${props.class}`, role: props.role, "aria-label": props.label,
    "aria-rowcount": isTable ? props.rows + 1 : undefined, tabindex: 0, opaque: true,
    hook: {
      mount(element: HTMLElement): () => void {
        const list = new RowList(element);
        lists.set(element, list);
        return () => list.close();
      },
      update: (element: HTMLElement) => lists.get(element)!.update(props),
    },
  });
}

class RowList {
  readonly #root: HTMLElement;
  readonly #control = new AbortController();
  readonly #sizes = new ResizeObserver(() => this.#draw());
  #props: ListProps | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#sizes.observe(root);
    root.addEventListener("scroll", () => this.#draw(), {
      passive: true, signal: this.#control.signal,
    });
  }

  close(): void {
    this.#control.abort();
    this.#sizes.disconnect();
  }

  update(props: ListProps): void {
    const before = this.#props;
    this.#props = props;
    this.#draw();
    const { chosen, chosenAs = chosen, rows, rowHeight } = props;
    if (chosen === undefined || (before?.chosenAs ?? before?.chosen) === chosenAs) return;
    const { clientHeight: screen, scrollTop } = this.#root;
    const at = chosen * rowHeight;
    if (at >= scrollTop && at + 2 * rowHeight <= scrollTop + screen) return;
    this.#root.scrollTop = scrollTo(chosen, { rows, rowHeight, screen });
  }

  #draw(): void {
    if (this.#props === undefined) return;
    const { rows, rowHeight, head, row } = this.#props;
    const { scrollTop, clientHeight: screen } = this.#root;
    const found = rowWindow({ rows, rowHeight, scrollTop, screen });
    const { first, end, top } = rows <= FEW_ROWS ? { first: 0, end: rows, top: 0 } : found;
    const shown = Array.from({ length: end - first }, (_, at) => row(first + at));
    patch(this.#root, h("div", { class: "list-content", role: "presentation" },
      head, h("div", {
        class: "list-space", role: "presentation", style: { height: `${found.height}px` },
      }, h("div", {
        class: "list-rows", role: "presentation", style: { transform: `translateY(${top}px)` },
      }, shown))));
  }
}
