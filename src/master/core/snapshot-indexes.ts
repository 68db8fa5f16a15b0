/**
 * Lesson 10: from jobs that a snapshot has restored back to the queues, heaps and lists in which
 * they are found.
 *
 * Invariant: they hold what they would hold after a replay.
 * Test: test/10-master.test.ts
 */
import { JOB_STATUSES } from "#wire";
import { isAtGate, openAsk, wakesAt, watch } from "./agent-state.ts";
import { readyKey } from "./jobs.ts";
import { isTerminal, type AgentRecord, type Job, type Run, type State } from "./state.ts";

/** Its part of the sums of its run, and of its graph. */
export function countAgain(run: Run, job: Job): void {
  run.counts[JOB_STATUSES.indexOf(job.status)]! += 1;
  run.resultBytes += job.result?.length ?? 0;
  if (isTerminal(job.status)) return settleAgain(run, job);
  run.open += 1;
  if (job.service?.settled === true) run.serve(job.index);
}

/** A service that was ready and is over was settled once, when it was ready. */
function settleAgain(run: Run, job: Job): void {
  if (job.service?.settled === true) run.serve(job.index);
  run.settle(job.index, job.status);
}

/** Enters one job into the indexes that its own fields call for. */
export function index(state: State, job: Job): void {
  if (job.status === "RUNNING") {
    state.workers.get(job.worker)!.jobs.add(job);
    state.router.take(job.worker);
    if (job.service?.asked === "drain") state.draining.add(job);
  } else if (isAtGate(job)) {
    state.gates.add(job);
    state.delayed.push(job, job.deadline);
  } else if (job.status === "WAITING") {
    watch(state, job);
    const until = wakesAt(job);
    if (until !== undefined) state.delayed.push(job, until);
  } else if (job.order > 0) {
    state.ready.push(readyKey(job), job, { priority: job.spec.priority, order: job.order });
  } else {
    state.delayed.push(job, job.dueAt);
  }
}

/** Its children know it again, and its open questions are found by their names. */
export function indexAgent(state: State, job: Job, { spawns, asks }: AgentRecord): void {
  for (const { from, count } of spawns) {
    for (let index = from; index < from + count; index++) job.run.job(index)!.spawner = job.index;
  }
  for (const ask of asks) if (ask.decision === undefined) openAsk(state, job, ask);
}
