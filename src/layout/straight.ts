/**
 * Lesson 19: what stands in a row is drawn as a straight line.
 *
 *     ┌─▶ b ─┐                          ┌─▶ b ──▶ c ──▶ d      b, c and d have only each other
 *     a      └─▶ c ──┐        ⟶        a                       to follow, and are a row
 *     └─▶ e          └─▶ d              └─▶ e
 *
 * Columns are placed one after the other, each job between its neighbours, and a row bends a little
 * at each of them. The eye follows a straight line best. So a row moves to one height, where all of
 * its columns have room for it; else it stays as it is.
 *
 * Invariants: those of place.ts.
 * Test: test/layout.test.ts
 */
import type { Chains } from "./chains.ts";

/** Moves the middles in `at`. `offsets`: of each column, how far below the first each must be. */
export function straighten(
  { layers, before, behind }: Chains, at: number[], offsets: readonly (readonly number[])[],
): void {
  /** How far up and down each may go between its neighbours in the column. */
  const roomOf = (vertex: number): [number, number] => {
    const [rank, place] = where[vertex]!;
    const [layer, offset] = [layers[rank]!, offsets[rank]!];
    const beside = (other: number): number => at[layer[other]!]! + offset[place]! - offset[other]!;
    return [
      place === 0 ? -Infinity : beside(place - 1),
      place === layer.length - 1 ? Infinity : beside(place + 1),
    ];
  };
  const where: [number, number][] = [];
  for (const [rank, layer] of layers.entries()) {
    for (const [place, vertex] of layer.entries()) where[vertex] = [rank, place];
  }
  /** The only one behind, if this one is also the only one before it. */
  const nextOf = (vertex: number): number | undefined => {
    const [next, ...others] = behind[vertex]!;
    return next === undefined || others.length > 0 || before[next]!.length > 1 ? undefined : next;
  };
  for (const vertex of at.keys()) {
    const [parent] = before[vertex]!;
    if (parent !== undefined && nextOf(parent) === vertex) continue; // not the first of its row
    const row: number[] = [];
    let [top, bottom, sum] = [-Infinity, Infinity, 0];
    for (let next: number | undefined = vertex; next !== undefined; next = nextOf(next)) {
      const [up, down] = roomOf(next);
      [top, bottom, sum] = [Math.max(top, up), Math.min(bottom, down), sum + at[next]!];
      row.push(next);
    }
    if (top > bottom) continue;
    const height = Math.min(Math.max(sum / row.length, top), bottom);
    for (const each of row) at[each] = height;
  }
}
