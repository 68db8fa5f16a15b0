/**
 * Lesson 19: rows of jobs that have only each other to follow.
 *
 *     ┌─▶ b ─┐                          ┌─▶ b ──▶ c ──▶ d      b, c and d are a row
 *     a      └─▶ c ──┐        ⟶        a
 *     └─▶ e          └─▶ d              └─▶ e
 *
 * The eye follows a straight line best. But columns are placed one after the other, each job
 * between its neighbours, and then a row bends a little at each of them. So all of a row want to
 * stand where it stands in the mean.
 *
 * Test: test/layout.test.ts
 */
import type { Chains } from "./chains.ts";

/** Each row, from its first job or waypoint to its last; none has only one. */
export function rowsOf({ before, behind }: Chains): number[][] {
  /** The only one behind, if this one is also the only one before it. */
  const nextOf = (vertex: number): number | undefined => {
    const [next, ...others] = behind[vertex]!;
    return next === undefined || others.length > 0 || before[next]!.length > 1 ? undefined : next;
  };
  const rows: number[][] = [];
  for (const vertex of before.keys()) {
    const [parent] = before[vertex]!;
    if (parent !== undefined && nextOf(parent) === vertex) continue; // not the first of its row
    const row: number[] = [];
    for (let next: number | undefined = vertex; next !== undefined; next = nextOf(next)) {
      row.push(next);
    }
    if (row.length > 1) rows.push(row);
  }
  return rows;
}
