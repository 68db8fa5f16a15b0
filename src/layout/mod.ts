/**
 * Lesson 19: a picture of a graph: where each job goes, and how its edges run.
 *
 *     rank.ts        which column: behind all parents                    (layers)
 *     chains.ts      an edge that passes columns gets a place in each    (waypoints)
 *     order.ts       who stands above whom in a column                   (fewer crossings)
 *     crossings.ts   how many edges cross between two columns
 *     place.ts       how far down                                        (short, straight edges)
 *     straight.ts    which of them form rows, to be drawn straight
 *     svg.ts         all of it as a file that browsers show
 *     types.ts       what a picture consists of
 *
 * The steps are those of Sugiyama, Tagawa and Toda (1981): each takes a problem that is hard as a
 * whole, and does the part that looks best. Pure, and the same graph gives
 * the same picture: people find a job where it was.
 *
 * Invariants: a child stands in a later column than its parents; two jobs of a column never
 * overlap; the work is bounded by the size of the graph, and no clock is looked at.
 * Left out: graphs with cycles (a run has none), labels on edges, splines.
 * Test: test/layout.test.ts
 *
 * @example
 * ```ts
 * import { layout } from "#layout";
 * const { nodes, width } = layout([[], [0], [0], [1, 2]]);
 * nodes.map(({ rank }) => rank); // => [ 0, 1, 1, 2 ]
 * nodes[1]!.y === nodes[2]!.y; // => false
 * nodes[3]!.x + 180 === width; // => true
 * ```
 */
import { invariant } from "#base";
import { chainsOf, type Chains } from "./chains.ts";
import { countCrossings } from "./crossings.ts";
import { keepOrder, orderLayers } from "./order.ts";
import { placeNodes } from "./place.ts";
import { ranksOf } from "./rank.ts";
import type { Layout, LayoutOptions, PlacedEdge, PlacedNode } from "./types.ts";

export { inversions } from "./crossings.ts";
export { isotonic } from "./place.ts";
export { drawSvg, wayOf, type Label } from "./svg.ts";
export type { Layout, LayoutOptions, PlacedEdge, PlacedNode } from "./types.ts";

type Sizes = Required<Omit<LayoutOptions, "before">>;

const DEFAULTS: Sizes = {
  nodeWidth: 180, nodeHeight: 40, columnGap: 70, rowGap: 16, laneGap: 8,
};

/** `parents[i]`: the jobs that job i waits for. */
export function layout(
  parents: readonly (readonly number[])[], options: LayoutOptions = {},
): Layout {
  const { before, ...given } = options;
  const sizes = { ...DEFAULTS, ...given };
  const ranks = ranksOf(parents);
  const chains = chainsOf(parents, ranks);
  if (before === undefined) orderLayers(chains);
  else keepOrder(chains, before);
  const ys = placeNodes(chains, sizes);
  const top = ys.reduce((least, y) => Math.min(least, y), Infinity);
  const step = sizes.nodeWidth + sizes.columnGap;
  const nodes = parents.map((_, index): PlacedNode => {
    const rank = ranks[index]!;
    return { rank, x: rank * step, y: ys[index]! - top };
  });
  const edges = [...edgesOf(parents, chains, { ys, top, sizes, step })];
  const width = nodes.reduce((most, { x }) => Math.max(most, x + sizes.nodeWidth), 0);
  const height = nodes.reduce((most, { y }) => Math.max(most, y + sizes.nodeHeight), 0);
  return { nodes, edges, width, height, crossings: countCrossings(chains) };
}

interface Drawing {
  readonly ys: readonly number[];
  readonly top: number;
  readonly sizes: Sizes;
  readonly step: number;
}

function* edgesOf(
  parents: readonly (readonly number[])[], chains: Chains, { ys, top, sizes, step }: Drawing,
): Generator<PlacedEdge> {
  const { nodeWidth, nodeHeight } = sizes;
  const middle = (vertex: number): number =>
    ys[vertex]! - top + (vertex < parents.length ? nodeHeight / 2 : 0);
  for (const [to, own] of parents.entries()) {
    for (const from of new Set(own)) {
      const way = chains.wayOf(from, to);
      invariant(way.length >= 2, "an edge has two ends");
      const points = way.flatMap((vertex): [number, number][] => {
        const [x, y] = [chains.ranks[vertex]! * step, middle(vertex)];
        if (vertex === from) return [[x + nodeWidth, y]];
        if (vertex === to) return [[x, y]];
        return [[x, y], [x + nodeWidth, y]];
      });
      yield { from, to, points };
    }
  }
}
