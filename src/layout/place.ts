/**
 * Lesson 19: how far down each job stands.
 *
 * A job wants to be level with its neighbours, and has to keep its distance from those above and
 * below it. For one column this has an exact answer: of all positions that keep the order and the
 * distances, the one with the least sum of squares to what is wanted. Take away the distances, and
 * it is *isotonic regression*: numbers that must not fall, as near as can be to given ones. Where
 * they fall, neighbours are pooled and take their mean.
 *
 *     wanted   3 9 5 8     5 is below 9: pool them, (9 + 5) / 2
 *     placed   3 7 7 8
 *
 * Column by column to the right, then to the left, a few times, and all of it settles. Then rows
 * are drawn straight (straight.ts), and the others make room.
 *
 * Invariants: the order of a column stays; two neighbours are never closer than their sizes and the
 * gap between them.
 * Test: test/layout.test.ts
 */
import type { Chains } from "./chains.ts";
import { rowsOf } from "./straight.ts";

/** There and back, four times: after that nothing moves by much. */
const SWEEPS = 8;
/** As many again for rows: what they still bend then is less than a pixel. */
const ROW_SWEEPS = 8;
/** A waypoint's wish counts for more, because a lane that is straight is easy to follow. */
const LANE_WEIGHT = 4;
/** That of a row for more than those of all others. */
const ROW_WEIGHT = 100;

interface Sizes {
  readonly nodeHeight: number;
  readonly rowGap: number;
  readonly laneGap: number;
}

// #region place
/** The upper side of each job, and the line of each waypoint. */
export function placeNodes(chains: Chains, sizes: Sizes): number[] {
  const { layers, jobs, ranks } = chains;
  const heightOf = (vertex: number): number => (vertex < jobs ? sizes.nodeHeight : 0);
  const gap = (a: number, b: number): number =>
    a < jobs && b < jobs ? sizes.rowGap : sizes.laneGap;
  /** The middles. */
  const at = new Array<number>(ranks.length).fill(0);
  /** Of each column, how far below the first one each stands at least. */
  const offsets = layers.map((layer) => {
    let down = 0;
    return layer.map((vertex, place) => {
      const above = layer[place - 1];
      if (above !== undefined) {
        down += heightOf(above) / 2 + gap(above, vertex) + heightOf(vertex) / 2;
      }
      return down;
    });
  });
  for (const [rank, layer] of layers.entries()) {
    const half = (offsets[rank]!.at(-1) ?? 0) / 2;
    for (const [place, vertex] of layer.entries()) at[vertex] = offsets[rank]![place]! - half;
  }
  const rows = rowsOf(chains);
  for (let sweep = 0; sweep < SWEEPS + ROW_SWEEPS; sweep++) {
    const level = sweep < SWEEPS ? [] : levelsOf(rows, at);
    const side = sweep % 2 === 0 ? "before" : "behind";
    const order = side === "before" ? [...layers.keys()] : [...layers.keys()].reverse();
    for (const rank of order) {
      const layer = layers[rank]!;
      const isLast = sweep >= SWEEPS - 2;
      const wishes = layer.map((vertex) =>
        level[vertex] ?? wishOf(chains, vertex, { at, side, isLast }));
      const weights = layer.map((vertex) =>
        level[vertex] !== undefined ? ROW_WEIGHT : vertex < jobs ? 1 : LANE_WEIGHT);
      const free = wishes.map((wish, place) => wish - offsets[rank]![place]!);
      for (const [place, value] of isotonic(free, weights).entries()) {
        at[layer[place]!] = value + offsets[rank]![place]!;
      }
    }
  }
  return at.map((middle, vertex) => middle - heightOf(vertex) / 2);
}
// #endregion

/** Of each that stands in a row, where that stands in the mean. */
function levelsOf(rows: readonly number[][], at: readonly number[]): number[] {
  const levels: number[] = [];
  for (const row of rows) {
    const mean = row.reduce((sum, each) => sum + at[each]!, 0) / row.length;
    for (const each of row) levels[each] = mean;
  }
  return levels;
}

/** The mean of the neighbours on one side; in the last sweeps, of all. */
function wishOf(
  chains: Chains, vertex: number,
  { at, side, isLast }: { at: readonly number[]; side: "before" | "behind"; isLast: boolean },
): number {
  let [sum, count] = [0, 0];
  const look = (others: readonly number[]): void => {
    for (const other of others) sum += at[other]!;
    count += others.length;
  };
  look(chains[side][vertex]!);
  if (isLast || count === 0) look(chains[side === "before" ? "behind" : "before"][vertex]!);
  return count === 0 ? at[vertex]! : sum / count;
}

// #region isotonic
/** Numbers that do not fall, with the least weighted sum of squares to the given ones. */
export function isotonic(wanted: readonly number[], weights: readonly number[]): number[] {
  /** Pools so far: their means, weights and lengths. The means rise. */
  const means: number[] = [];
  const sums: number[] = [];
  const lengths: number[] = [];
  for (const [index, value] of wanted.entries()) {
    let [mean, weight, length] = [value, weights[index]!, 1];
    while (means.length > 0 && means.at(-1)! > mean) {
      const [other, more] = [means.pop()!, sums.pop()!];
      mean = (other * more + mean * weight) / (more + weight);
      weight += more;
      length += lengths.pop()!;
    }
    means.push(mean);
    sums.push(weight);
    lengths.push(length);
  }
  return means.flatMap((mean, pool) => new Array<number>(lengths[pool]!).fill(mean));
}
// #endregion
