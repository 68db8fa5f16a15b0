/**
 * Lesson 19: columns, and the edges between neighbouring ones.
 *
 *     a ───────────▶ d          a ──▶ ∘ ──▶ ∘ ──▶ d
 *     a ──▶ b ──▶ c ──▶ d       an edge that passes two columns has a waypoint in each
 *
 * So every edge leads from one column to the next, and what orders and places jobs does the same
 * with waypoints. The edges that leave one job share their waypoints as far as they go together: a
 * job with a thousand children far away has one lane, and not a thousand.
 *
 * Left out: waypoints beyond MAX_WAYPOINTS. Edges that would need more are drawn straight, over
 * all that is in between: nobody can follow one of ten thousand lines anyway.
 * Test: test/layout.test.ts
 */

/** Four for each job of the largest graph that is promised to be quick. */
const MAX_WAYPOINTS = 40_000;

/** Jobs have the numbers that the caller gave them; waypoints have those behind. */
export interface Chains {
  /** Jobs and waypoints of each column, from above. `orderLayers` sorts them. */
  readonly layers: number[][];
  readonly ranks: readonly number[];
  /** Of each job or waypoint: its neighbours in the column before… */
  readonly before: readonly number[][];
  /** …and in the one behind. */
  readonly behind: readonly number[][];
  /** The number of jobs: what is not below it is a waypoint. */
  readonly jobs: number;
  /** From a job to its child, with the waypoints between them. */
  wayOf(from: number, to: number): number[];
}

export function chainsOf(
  parents: readonly (readonly number[])[], jobRanks: Int32Array,
): Chains {
  const ranks = [...jobRanks];
  const before: number[][] = parents.map(() => []);
  const behind: number[][] = parents.map(() => []);
  /** Of each job, the waypoints of its lane, in the order of columns. */
  const lanes = new Map<number, number[]>();
  const link = (from: number, to: number): void => {
    behind[from]!.push(to);
    before[to]!.push(from);
  };
  const isLong = (from: number, to: number): boolean => jobRanks[to]! - jobRanks[from]! > 1;
  for (const [to, own] of parents.entries()) {
    for (const from of new Set(own)) {
      if (!isLong(from, to)) {
        link(from, to);
        continue;
      }
      const lane = lanes.get(from) ?? [];
      lanes.set(from, lane);
      while (lane.length < jobRanks[to]! - jobRanks[from]! - 1) {
        if (ranks.length - parents.length >= MAX_WAYPOINTS) break;
        const waypoint = ranks.length;
        ranks.push(jobRanks[from]! + lane.length + 1);
        before.push([]);
        behind.push([]);
        link(lane.at(-1) ?? from, waypoint);
        lane.push(waypoint);
      }
      const last = lane[jobRanks[to]! - jobRanks[from]! - 2];
      if (last !== undefined) link(last, to);
    }
  }
  const layers: number[][] = [];
  for (const [vertex, rank] of ranks.entries()) (layers[rank] ??= []).push(vertex);
  for (let rank = 0; rank < layers.length; rank++) layers[rank] ??= [];
  const wayOf = (from: number, to: number): number[] => {
    const lane = isLong(from, to) ? lanes.get(from)! : [];
    return [from, ...lane.slice(0, jobRanks[to]! - jobRanks[from]! - 1), to];
  };
  return { layers, ranks, before, behind, jobs: parents.length, wayOf };
}
