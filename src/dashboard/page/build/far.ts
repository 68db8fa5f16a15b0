/**
 * Lesson 19: a board of which more can be seen than anybody can read: jobs as plain boxes, and
 * edges as lines, two drawings for all of them.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { h, type VNode } from "../vdom.ts";
import type { Board } from "./board.ts";
import { edgesOf, NODE, type Positions } from "./graph.ts";
import { memo } from "./memo.ts";

/** Of so many cards on the screen none can be read, and each of them costs. */
export const MOST_CARDS = 1_000;

export function farPicture({ document, positions }: Board): VNode {
  return memo("far", [document, positions], () =>
    h("svg", { class: "build-edges", key: "far", "aria-hidden": "true" },
      h("path", { class: "build-edge-line", d: edgeLines(document, positions) }),
      h("path", { class: "build-far", d: boxes(positions) })));
}

export function boxes(positions: Positions): string {
  return [...positions.values()].map(({ x, y }) =>
    `M${x} ${y}h${NODE.width}v${NODE.height}h${-NODE.width}z`).join("");
}

function edgeLines(document: Board["document"], positions: Positions): string {
  return edgesOf(document).map(({ from, to }) => {
    const [a, b] = [positions.get(from)!, positions.get(to)!];
    const [x, y] = [a.x + NODE.width, a.y + NODE.height / 2];
    return `M${x} ${y}L${b.x} ${b.y + NODE.height / 2}`;
  }).join("");
}
