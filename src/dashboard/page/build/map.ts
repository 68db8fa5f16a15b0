/**
 * Lesson 19: the whole board, small, with a frame around what the screen shows.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { h, type Child } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { update, type Desk } from "./desk.ts";
import { boxes } from "./far.ts";
import { boundsOf } from "./graph.ts";
import { memo } from "./memo.ts";

const PAD = 40;

/** Nothing while the whole board is in sight: a map would only hide a part of it. */
export function map({ board, view, size }: Desk, context: Context): Child {
  const { positions } = board;
  const box = boundsOf(positions.values());
  const [x, y] = [-view.x / view.zoom, -view.y / view.zoom];
  const [width, height] = [size.width / view.zoom, size.height / view.zoom];
  const isSeen = box.x >= x && box.y >= y && box.x + box.width <= x + width &&
    box.y + box.height <= y + height;
  const isNone = positions.size === 0 || size.width === 0 || board.refusal !== undefined;
  if (isSeen || isNone) return null;
  const go = (event: PointerEvent): void => {
    event.stopPropagation();
    const svg = event.currentTarget as SVGSVGElement;
    if (event.type === "pointerdown") svg.setPointerCapture(event.pointerId);
    else if (event.buttons === 0) return;
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM()!.inverse());
    update(context, (desk) => ({ ...desk, view: { ...desk.view,
      x: desk.size.width / 2 - at.x * desk.view.zoom,
      y: desk.size.height / 2 - at.y * desk.view.zoom } }));
  };
  return h("svg", {
    class: "build-map", key: "map", "aria-hidden": "true", onpointerdown: go, onpointermove: go,
    viewBox: [box.x - PAD, box.y - PAD, box.width + 2 * PAD, box.height + 2 * PAD]
      .join(" "),
  },
  h("path", { class: "build-map-jobs", d: memo("map", [positions], () => boxes(positions)) }),
  h("rect", { class: "build-map-view", x, y, width, height }));
}
