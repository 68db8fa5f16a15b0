/**
 * Lesson 10: from the names that people use to what they mean.
 *
 * Test: test/10-master.test.ts
 */
import type { AttemptKey } from "#wire";
import { MAX_LISTED } from "./limits.ts";
import { Refusal } from "./refusal.ts";
import type { Job, Run, State, Worker } from "./state.ts";

export function findRun(state: State, id: string): Run {
  const run = state.runsById.get(id);
  if (run !== undefined) return run;
  const none = state.runs.size === 0 ? ": there are no runs" : "";
  throw new Refusal("NOT_FOUND", `Cannot find run "${id}"${none}`);
}

export function findJob(run: Run, id: string): Job {
  const index = run.dag.indexOf(id);
  if (index !== undefined) return run.job(index)!;
  throw new Refusal("NOT_FOUND", `Cannot find job "${id}" in run ${run.id}`);
}

/** Runs with a higher number than this one, the oldest first. */
export function runsAfter(state: State, number: number): Run[] {
  const { runs, nextRun } = state;
  // Runs are forgotten: there are fewer of them than there are numbers.
  if (nextRun - number > runs.size) return [...runs.values()].filter((run) => run.number > number);
  const found: Run[] = [];
  for (let next = number + 1; next < nextRun; next++) {
    const run = runs.get(next);
    if (run !== undefined) found.push(run);
  }
  return found;
}

/** The job of this attempt, if the attempt runs. */
export function runningAttempt(state: State, key: AttemptKey): Job | undefined {
  const job = state.runs.get(key.run)?.job(key.job);
  return job?.status === "RUNNING" && job.attempt === key.attempt ? job : undefined;
}

/** By name, or by number if no worker has such a name. */
export function findWorker(state: State, named: string): Worker {
  const called = [...state.workers.values()].filter((worker) => worker.name === named);
  if (called.length > 1) {
    const numbers = called.map(({ id }) => id).slice(0, MAX_LISTED).join(", ");
    const found = `"${named}" is the name of ${called.length} (give a number: ${numbers})`;
    throw new Refusal("CONFLICT", `Cannot choose a worker: ${found}`);
  }
  const isNumber = /^\d{1,10}$/.test(named);
  const worker = called[0] ?? (isNumber ? state.workers.get(Number(named)) : undefined);
  if (worker !== undefined) return worker;
  const none = state.workers.size === 0 ? ": there are no workers" : "";
  throw new Refusal("NOT_FOUND", `Cannot find worker "${named}"${none}`);
}
