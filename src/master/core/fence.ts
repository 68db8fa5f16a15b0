/**
 * Lesson 18: the fence around what a job changes: its steps, its spawns, its waits.
 *
 * A worker may be silent for so long that its jobs are given to another one, and then wake up. The
 * program that it ran goes on as if nothing had happened, and its credential is still well signed.
 * So each change names the attempt and the worker that it comes from, and the job as it is now
 * decides: no clock is asked.
 *
 * Invariant: of one job at most one (attempt, worker) may change anything, and only while it runs.
 * Test: test/18-agents.credential.test.ts
 */
import type { JobScope } from "#wire";
import { Refusal } from "./refusal.ts";
import type { Job, State } from "./state.ts";

/**
 * The job of the attempt that asks, if the attempt still has it.
 *
 * @throws {Refusal} CONFLICT: it is over, or runs elsewhere
 */
export function fenced(state: State, by: JobScope, doing: string): Job {
  const job = state.runs.get(by.run)?.jobs[by.job];
  const refuse = (found: string): Refusal => new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
  if (job === undefined) throw refuse("its run is forgotten");
  const { run, spec, attempt, status, worker } = job;
  const isRunning = status === "RUNNING";
  if (isRunning && attempt === by.attempt && worker === by.worker) return job;
  const its = `attempt ${by.attempt} of ${run.id}/${spec.id}`;
  if (isRunning && attempt !== by.attempt) throw refuse(`${its} is over, attempt ${attempt} runs`);
  throw refuse(isRunning ? `${its} runs on another worker` : `${its} is over, it is ${status}`);
}
