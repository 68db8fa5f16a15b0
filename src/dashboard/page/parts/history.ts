/**
 * Lesson 19: how the runs of each pipeline went, the latest last. Pure.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { durationText } from "#base";
import type { Run } from "../rows.ts";
import { lookOf } from "./badge.ts";
import type { Bar } from "./chart.ts";

/** Runs of a pipeline that its history has. */
export const HISTORY = 12;

/** By pipeline. */
export type History = ReadonlyMap<string, readonly Run[]>;

/** The history of a state is made once, however often its picture is. */
const knownHistories = new WeakMap<ReadonlyMap<string, Run>, History>();

export function historyOf(runs: ReadonlyMap<string, Run>): History {
  const before = knownHistories.get(runs);
  if (before !== undefined) return before;
  const found = new Map<string, Run[]>();
  for (const run of [...runs.values()].sort((a, b) => b.submittedAt - a.submittedAt)) {
    const own = found.get(run.name);
    if (own === undefined) found.set(run.name, [run]);
    else if (own.length < HISTORY) own.unshift(run);
  }
  knownHistories.set(runs, found);
  return found;
}

export function barsOf(runs: readonly Run[], now: number): Bar[] {
  const took = runs.map(({ submittedAt, endedAt }) => (endedAt ?? now) - submittedAt);
  const longest = Math.max(1, ...took);
  return runs.map(({ id, status }, at) => ({
    share: took[at]! / longest, look: lookOf(status),
    title: `${id}: ${status.toLowerCase()}, ${durationText(took[at]!)}`,
  }));
}
