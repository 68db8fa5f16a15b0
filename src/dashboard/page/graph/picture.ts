/**
 * Lesson 19: a layout as arrays of numbers and paths, so that it crosses from the worker to the
 * page without being copied, and a page draws it without working anything out.
 *
 * Test: test/19-dashboard.run.test.ts
 */
import { layout, wayOf } from "#layout";
import type { Box } from "./camera.ts";

export const NODE = { width: 196, height: 52 } as const;

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Of each node: its column, and its upper left corner. */
  readonly ranks: Int32Array;
  readonly xs: Float64Array;
  readonly ys: Float64Array;
  readonly edges: {
    readonly from: Int32Array;
    readonly to: Int32Array;
    /** The heights between which an edge runs. */
    readonly tops: Float64Array;
    readonly bottoms: Float64Array;
    /** The `d` of an SVG path. */
    readonly ways: readonly string[];
  };
}

/** `before`: how far down nodes stood in the picture before this one. */
export function drawPicture(
  parents: readonly (readonly number[])[], before?: readonly (number | undefined)[],
): Picture {
  const { nodes, edges, width, height } = layout(parents, {
    nodeWidth: NODE.width, nodeHeight: NODE.height, columnGap: 60, rowGap: 18,
    ...(before !== undefined && { before }),
  });
  const heights = edges.map(({ points }) => points.map(([, y]) => y));
  return {
    width, height,
    ranks: Int32Array.from(nodes, ({ rank }) => rank),
    xs: Float64Array.from(nodes, ({ x }) => x),
    ys: Float64Array.from(nodes, ({ y }) => y),
    edges: {
      from: Int32Array.from(edges, ({ from }) => from),
      to: Int32Array.from(edges, ({ to }) => to),
      tops: Float64Array.from(heights, (own) => Math.min(...own)),
      bottoms: Float64Array.from(heights, (own) => Math.max(...own)),
      ways: edges.map(wayOf),
    },
  };
}

export function boxOf({ xs, ys }: Picture, node: number): Box {
  return { x: xs[node]!, y: ys[node]!, ...NODE };
}

/** The edges that may touch a box. */
export function edgesInside({ edges, xs }: Picture, box: Box): number[] {
  const found: number[] = [];
  for (let at = 0; at < edges.from.length; at++) {
    if (edges.bottoms[at]! < box.y || edges.tops[at]! > box.y + box.height) continue;
    if (xs[edges.to[at]!]! < box.x) continue;
    if (xs[edges.from[at]!]! + NODE.width <= box.x + box.width) found.push(at);
  }
  return found;
}
