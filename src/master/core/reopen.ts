/**
 * Lesson 10: another chance for jobs of a run, which a person gives.
 *
 * Test: test/10-master.test.ts
 */
import { isOpenRun, isTerminal } from "#wire";
import { groupMoves } from "./groups.ts";
import {
  claimRequirements, consider, dropDead, finishIfDone, leave, setStatus, unqueue,
} from "./jobs.ts";
import { indexService } from "./service-state.ts";
import { touch, type AgentRecord, type Job, type Run, type State } from "./state.ts";

/**
 * Back to PENDING, as a person asked: the one way out of a terminal state. The list may hold jobs
 * that wait in a queue: they go back to waiting for their parents.
 */
export function reopen(
  state: State, run: Run, options: { jobs: readonly number[]; at: number },
): void {
  const { jobs, at } = options;
  for (const index of jobs) {
    const job = run.job(index)!;
    if (isTerminal(job.status)) reopenJob(state, job, at);
    else callBack(state, job);
  }
  dropDead(state);
  run.dag.reopen(jobs);
  for (const index of jobs) beginAnew(state, run.job(index)!);
  if (!isOpenRun(run.status)) {
    run.status = "RUNNING";
    run.endedAt = 0;
    claimRequirements(state, run);
    if (state.finished.delete(run)) state.finishedBytes -= run.bytes;
    groupMoves(state, run);
    state.leaving.delete(run);
    state.observer?.run(run);
  }
  for (const index of jobs) {
    if (run.isReady(index)) consider(state, run.job(index)!, at);
  }
  finishIfDone(state, run, at);
}

/** A job that waits in a queue: it waits for its parents again. */
function callBack(state: State, job: Job): void {
  unqueue(state, job);
  if (job.service?.settled === true) job.run.serving -= 1;
}

/** A service that is tried again has another life before it. */
function beginAnew(state: State, job: Job): void {
  if (job.spec.service === undefined) return;
  touch(state, job);
  job.service = undefined;
  indexService(state, job);
}

function reopenJob(state: State, job: Job, at: number): void {
  touch(state, job);
  job.failures = 0;
  job.losses = 0;
  leave(state, job, {
    result: undefined, failure: undefined, decision: undefined, lostOutput: undefined,
    notice: undefined, agent: job.agent && anotherChance(job.agent),
  });
  job.startedAt = 0;
  job.stoppedAt = 0;
  job.endedAt = 0;
  state.dead.delete(job);
  job.run.open += 1;
  setStatus(state, job, { to: "PENDING", at });
}

/** What people have refused, or left open, is asked again; what they have approved stands. */
function anotherChance(agent: AgentRecord): AgentRecord {
  const asks = agent.asks.filter(({ decision }) => decision?.approved === true);
  return { ...agent, asks, pauses: 0, retried: true };
}
