/**
 * Lesson 10: how much of a run waits and runs, by what its jobs ask for, for somebody who looks
 * back. Jobs of a run that sleeps (copy-tables.ts) are not made for that: most runs ask for one
 * thing only, and then its sums say it.
 *
 * Test: test/10-master.history.test.ts
 */
import { isOpenRun, JOB_STATUSES, type JobStatus } from "#wire";
import { runOfCopy, type RunCopy } from "./run-copy.ts";
import { isReady, Run } from "./run.ts";

/** Jobs that could start, that wait for something else, and that run. */
export interface Work {
  ready: number;
  waiting: number;
  running: number;
}

const at = (status: JobStatus): number => JOB_STATUSES.indexOf(status);
const [PENDING, WAITING, RUNNING] = [at("PENDING"), at("WAITING"), at("RUNNING")];

/** By requirement. A run that is over has no work. */
export function workOf(run: Run | RunCopy): Iterable<readonly [string, Work]> {
  const { status } = run instanceof Run ? run : run.header;
  if (!isOpenRun(status)) return [];
  const { requirements, counts } = run instanceof Run ? run : run.sums;
  if (requirements.size > 1) return byRequirement(run instanceof Run ? run : runOfCopy(run));
  const [requirement] = requirements;
  if (requirement === undefined) return [];
  const ready = run instanceof Run ? run.ready
    : run.blocks.reduce((sum, block) => sum + block.ready, 0);
  const waiting = counts[PENDING]! + counts[WAITING]! - ready;
  return [[requirement, { ready, waiting, running: counts[RUNNING]! }]];
}

function byRequirement({ jobs }: Run): Map<string, Work> {
  const found = new Map<string, Work>();
  for (const job of jobs) {
    const { status, requirement } = job;
    const kind = status === "RUNNING" ? "running" : isReady(job) ? "ready"
      : status === "PENDING" || status === "WAITING" ? "waiting" : undefined;
    if (kind === undefined) continue;
    let work = found.get(requirement);
    if (work === undefined) found.set(requirement, work = { ready: 0, waiting: 0, running: 0 });
    work[kind] += 1;
  }
  return found;
}
