/**
 * Lesson 19: who stands above whom, so that few edges cross.
 *
 * To cross as few edges as possible is hard even for two columns (Garey and Johnson, 1983). What
 * works: put each job at the middle of its neighbours in the column before, column by column to the
 * right, then the same to the left, and keep the best order that was seen.
 *
 * Invariants: the result is a permutation of each column; the number of sweeps follows from the
 * size, so a large graph is not slower than a reader's patience.
 * Test: test/layout.test.ts
 */
import { countCrossings, placesOf } from "./crossings.ts";
import type { Chains } from "./chains.ts";

/** Enough for graphs that a person can follow. */
const MAX_SWEEPS = 24;
/** Edges that all sweeps together may look at: some hundred milliseconds. */
const MAX_LOOKS = 1_500_000;
/** Sweeps that gain nothing, after which it is over. */
const PATIENCE = 4;

// #region order
export function orderLayers(chains: Chains): void {
  const { layers } = chains;
  walkFirst(chains);
  let edges = 0;
  for (const { length } of chains.behind) edges += length;
  const sweeps = Math.max(2, Math.min(MAX_SWEEPS, Math.floor(MAX_LOOKS / (edges + 1))));
  let best = layers.map((layer) => layer.slice());
  let least = countCrossings(chains);
  for (let sweep = 0, idle = 0; sweep < sweeps && idle < PATIENCE && least > 0; sweep++) {
    sweepAll(chains, sweep % 2 === 0 ? "before" : "behind");
    const crossings = countCrossings(chains);
    if (crossings >= least) {
      idle += 1;
      continue;
    }
    [least, idle] = [crossings, 0];
    best = layers.map((layer) => layer.slice());
  }
  for (const [rank, layer] of best.entries()) layers[rank] = layer;
}
// #endregion

/**
 * For a graph that has grown: whoever stood in the picture before keeps its order, and the rest
 * stand where the mean of their neighbours in the column before them does. No sweep: it would find
 * fewer crossings, and people would not find their jobs.
 */
export function keepOrder(
  { layers, before: parents }: Chains, before: readonly (number | undefined)[],
): void {
  const downs = new Map<number, number>();
  for (const layer of layers) {
    for (const vertex of layer) {
      const near = parents[vertex]!.map((parent) => downs.get(parent)!);
      const mean = near.reduce((sum, down) => sum + down, 0) / near.length;
      // A new one without parents goes below all others.
      downs.set(vertex, before[vertex] ?? (near.length === 0 ? Infinity : mean));
    }
    layer.sort((a, b) => {
      const [one, other] = [downs.get(a)!, downs.get(b)!];
      return one === other ? 0 : one - other;
    });
  }
}

/**
 * The first order: as a walk meets them that goes to the children of a job before it goes on. What
 * belongs together is together from the start.
 */
function walkFirst({ layers, ranks, before, behind }: Chains): void {
  const seen = new Uint8Array(ranks.length);
  for (const layer of layers) layer.length = 0;
  for (let root = 0; root < ranks.length; root++) {
    if (before[root]!.length > 0) continue;
    const stack = [root];
    for (let vertex = stack.pop(); vertex !== undefined; vertex = stack.pop()) {
      if (seen[vertex] === 1) continue;
      seen[vertex] = 1;
      layers[ranks[vertex]!]!.push(vertex);
      for (let at = behind[vertex]!.length - 1; at >= 0; at--) stack.push(behind[vertex]![at]!);
    }
  }
}

type Side = "before" | "behind";

/** Sorts each column by the one before it, which stands still; or by the one behind it. */
function sweepAll(chains: Chains, side: Side): void {
  const { layers, ranks } = chains;
  const places = placesOf(chains);
  const wishes = new Float64Array(ranks.length);
  const order = side === "before" ? layers : layers.toReversed();
  for (const [at, layer] of order.entries()) {
    if (at === 0) continue;
    const scale = order[at - 1]!.length / layer.length;
    for (const [place, vertex] of layer.entries()) {
      const near = chains[side][vertex]!.map((other) => places[other]!);
      // Without neighbours it keeps its place, as far as that is between the same others.
      wishes[vertex] = near.length === 0 ? place * scale : middle(near);
    }
    // A stable sort: equals keep the order that an earlier sweep has found.
    layer.sort((a, b) => wishes[a]! - wishes[b]!);
    for (let place = 0; place < layer.length; place++) places[layer[place]!] = place;
  }
}

/**
 * The median, drawn towards the side where neighbours stand closer together (Gansner and others,
 * 1993).
 */
function middle(near: number[]): number {
  near.sort((a, b) => a - b);
  const half = near.length >> 1;
  if (near.length % 2 === 1) return near[half]!;
  if (near.length === 2) return (near[0]! + near[1]!) / 2;
  const left = near[half - 1]! - near[0]!;
  const right = near.at(-1)! - near[half]!;
  if (left + right === 0) return near[half]!;
  return (near[half - 1]! * right + near[half]! * left) / (left + right);
}
