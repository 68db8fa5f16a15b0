/**
 * Lesson 19: a graph as a part of a view: a board that lives as long as its element.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, type VNode } from "../vdom.ts";
import { Board, type BoardProps } from "./board.ts";
import { listen } from "./gestures.ts";

const boards = new WeakMap<Element, Board>();

export function graphTree(props: BoardProps): VNode {
  return h("div", {
    key: props.run, class: "board", role: "group", "aria-label": `graph of ${props.run}`,
    opaque: true,
    hook: {
      mount(element: HTMLElement): () => void {
        const board = new Board(element);
        boards.set(element, board);
        return listen(board);
      },
      update: (element: HTMLElement) => boards.get(element)!.update(props),
    },
  });
}

/** The graph that is on the screen. */
export function shownBoard(): Board | undefined {
  const element = document.querySelector(".board");
  return element === null ? undefined : boards.get(element);
}
