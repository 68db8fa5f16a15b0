/**
 * Lesson 19: the whole graph, small, with a frame around what the screen shows.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, type VNode } from "../vdom.ts";
import type { Box } from "./camera.ts";
import { boxPaths } from "./paths.ts";
import type { Picture } from "./picture.ts";

/** Pixels; style/run.css has the same. */
export const MAP = { width: 168, height: 104 } as const;

const MOST = 0.8;

interface MapProps {
  readonly picture: Picture;
  readonly view: Box;
  /** Of each node. */
  readonly states: readonly string[];
}

/** The boxes change with states, and not with each movement of the camera. */
const drawn = new WeakMap<readonly string[], { picture: Picture; tree: VNode }>();

export function minimap({ picture, view, states }: MapProps): VNode {
  const { width, height } = picture;
  // Of a graph that is nearly all on the screen a map would only hide a part.
  if (view.width >= width * MOST && view.height >= height * MOST) {
    return h("svg", { class: "map-empty" });
  }
  return h("svg", {
    class: "map", "aria-hidden": "true", viewBox: `0 0 ${width} ${height}`,
    width: MAP.width, height: MAP.height,
  }, nodesOf(picture, states), h("rect", {
    class: "map-view", x: view.x, y: view.y, width: view.width, height: view.height,
  }));
}

function nodesOf(picture: Picture, states: readonly string[]): VNode {
  const known = drawn.get(states);
  if (known?.picture === picture) return known.tree;
  const tree = h("g", null, boxPaths(picture, picture.xs.keys(), states));
  drawn.set(states, { picture, tree });
  return tree;
}

/** The point of the world under a point of the map, which keeps the proportions of the world. */
export function worldAt(
  { width, height }: Picture, at: { x: number; y: number },
): { x: number; y: number } {
  const scale = Math.min(MAP.width / width, MAP.height / height);
  return {
    x: (at.x - (MAP.width - width * scale) / 2) / scale,
    y: (at.y - (MAP.height - height * scale) / 2) / scale,
  };
}
