/**
 * Lesson 10: how a job moves, and what follows from it. `apply` calls these; nothing else does.
 *
 *     PENDING ──start──▶ RUNNING ──ok──▶ COMPLETED            every arrow into a terminal state
 *        ▲                 │   └─ok, gate─▶ WAITING ─▶ …      "settles" the job: its children
 *        ├──retry/lost─────┤                                  are asked whether it is their turn
 *        └──── WAITING ◀───┘ paused, until one of its waits is met (lesson 18)
 *
 * Invariants: a child is looked at once all its parents are settled, and never before, but a cancel
 * reaches it at any time; a cascade of any depth (100,000 skipped jobs in a chain) runs in a loop,
 * because a recursion would run out of stack.
 * Test: test/10-master.test.ts
 */
import { invariant } from "#base";
import { requirementKey } from "#routing";
import { isOpenRun, JOB_STATUSES, type JobSpec, type JobStatus, type RunStatus } from "#wire";
import {
  agentOf, closeAsk, isAtGate, isPaused, metBy, unwatch, wakesAt, watch,
} from "./agent-state.ts";
import type { Edge } from "./events.ts";
import { countJobs, groupMoves, isStuck } from "./groups.ts";
import { needKey, routedTags } from "./knowledge.ts";
import { bufferMemory, edgesMemory, jobsMemory, leftMemory } from "./memory.ts";
import { indexService, isMet, serviceEnds, unindexService } from "./service-state.ts";
import { MAX_REQUIREMENTS, touch, type Job, type Run, type State, type Worker } from "./state.ts";
import { refile } from "./versions.ts";

const STATUS_INDEX = Object.fromEntries(
  JOB_STATUSES.map((status, index) => [status, index]),
) as Record<JobStatus, number>;

/**
 * Gives jobs that were added to a run their places: in its graph, and in the queues where it is
 * their turn.
 */
export function addJobs(
  state: State, run: Run,
  options: {
    specs: readonly JobSpec[]; edges?: readonly Edge[]; at: number; spawner?: number;
  },
): void {
  const from = run.size;
  const { edges = [], spawner } = options;
  state.jobs += options.specs.length;
  countJobs(run, options.specs.length);
  charge(state, run, jobsMemory(options.specs) + edgesMemory(edges.length));
  if (isOpenRun(run.status)) releaseRequirements(state, run);
  for (const spec of options.specs) {
    // A run's first jobs came with its graph; one added later depends only on jobs before it.
    if (run.size >= run.spec.jobs.length) run.dag.addJob(spec.id, spec.dependsOn);
    const job = run.addJob(ownSpec(spec));
    job.spawner = spawner;
    run.counts[STATUS_INDEX.PENDING]! += 1;
    run.open += 1;
    run.require(job.requirement);
    if (spec.service !== undefined) indexService(state, job);
  }
  state.observer?.grown?.(run, from, options.at);
  // Before anybody's turn comes: a new job may end at once, and with it the wait of its children.
  for (const edge of edges) {
    run.addEdge(edge);
    unqueue(state, run.job(edge.child)!);
  }
  if (edges.length > 0) dropDead(state);
  claimRequirements(state, run);
  for (let index = from; index < run.size; index++) {
    if (run.isReady(index)) consider(state, run.job(index)!, options.at);
  }
  finishIfDone(state, run, options.at);
}

/** Adds to what a run takes in memory, and to the sums. */
export function charge(state: State, run: Run, bytes: number): void {
  run.bytes += bytes;
  state.bytes += bytes;
  if (!isOpenRun(run.status) && state.finished.has(run)) state.finishedBytes += bytes;
}

type Left =
  Pick<Job, "result" | "failure" | "decision" | "votes" | "notice" | "lostOutput" | "agent">;

/** Changes what a job has left (result, failure, decision), and counts the difference. */
export function leave(state: State, job: Job, left: Partial<Left>): void {
  touch(state, job);
  const [bytes, size] = [leftMemory(job), job.result?.length ?? 0];
  Object.assign(job, left);
  charge(state, job.run, leftMemory(job) - bytes);
  job.run.resultBytes += (job.result?.length ?? 0) - size;
}

/** As `leave`, for what nearly every job does: its first result. */
export function leaveResult(state: State, job: Job, result: Buffer | undefined): void {
  invariant(job.result === undefined, "a job has a result once");
  touch(state, job);
  job.result = result;
  charge(state, job.run, bufferMemory(result));
  job.run.resultBytes += result?.length ?? 0;
}

/**
 * Decoded bytes are views (lesson 02): as it came, the input of one call would keep the whole
 * pipeline's frame, or the page of the log, for as long as its run.
 */
export function ownSpec(spec: JobSpec): JobSpec {
  const { action } = spec;
  if (action.type === "call" && action.input.length > 0) action.input = Buffer.from(action.input);
  return spec;
}

export function setStatus(state: State, job: Job, change: { to: JobStatus; at: number }): void {
  const counts = job.run.counts;
  counts[STATUS_INDEX[job.status]]! -= 1;
  counts[STATUS_INDEX[change.to]]! += 1;
  job.status = change.to;
  state.observer?.job(job, change.at);
}

// #region settle
/** Moves a job to a terminal state, then everything that follows from it, near and far. */
export function settle(state: State, job: Job, end: { as: JobStatus; at: number }): void {
  // #exercise settle
  const work: [Job, JobStatus][] = [[job, end.as]];
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    const [current, as] = next;
    touch(state, current);
    current.endedAt = end.at;
    current.cancelling = false;
    const freed = current.run.settle(current.index, as);
    if (current.service !== undefined) serviceEnds(state, current, { as, at: end.at });
    setStatus(state, current, { to: as, at: end.at });
    if (as === "DEAD") state.dead.add(current);
    if (current.spec.service !== undefined) unindexService(state, current);
    if (current.agent !== undefined) agentEnds(state, current);
    current.run.open -= 1;
    for (const index of freed) {
      const child = current.run.job(index)!;
      if (child.status !== "PENDING") continue;
      if (itsTurn(child)) enqueue(state, child, end.at);
      else work.push([child, whyNot(child)]);
    }
    for (const waiter of metBy(state, current)) wake(state, waiter, end.at);
  }
  finishIfDone(state, job.run, end.at);
  // #end-exercise
}
// #endregion

/** A service is ready for the first time: for its children it is as if it had completed. */
export function serve(state: State, job: Job, at: number): void {
  const { run } = job;
  for (const index of run.serve(job.index)) consider(state, run.job(index)!, at);
  for (const waiter of metBy(state, job)) wake(state, waiter, at);
  finishIfDone(state, run, at);
}

// #region pause
/** An attempt has ended to wait. */
export function pause(state: State, job: Job, at: number): void {
  const agent = agentOf(job);
  leave(state, job, { agent: { ...agent, pauses: agent.pauses + 1 } });
  setStatus(state, job, { to: "WAITING", at });
  watch(state, job);
  const until = wakesAt(job);
  if (until !== undefined) state.delayed.push(job, until);
  servesOrRuns(state, job.run);
}

/** One of its waits is met: its next attempt may start. `isDue`: its time is out of the heap. */
export function wake(state: State, job: Job, at: number, isDue = false): void {
  const until = wakesAt(job);
  unwatch(state, job);
  dropWish(state, job);
  setStatus(state, job, { to: "PENDING", at });
  enqueue(state, job, at);
  if (until !== undefined && !isDue) deadlineAnswered(state);
  servesOrRuns(state, job.run);
}
// #endregion

/** The wish of an attempt goes with it. */
export function dropWish(state: State, job: Job): void {
  if (job.agent === undefined || job.agent.waits.length === 0) return;
  leave(state, job, { agent: { ...job.agent, waits: [] } });
}

/** It is over: nobody wakes it, and nobody answers what it has asked. */
function agentEnds(state: State, job: Job): void {
  const wasPaused = state.paused.has(job);
  const until = wakesAt(job);
  unwatch(state, job);
  const { asks } = agentOf(job);
  for (const { key, decision } of asks) if (decision === undefined) closeAsk(state, job, key);
  const answered = asks.filter(({ decision }) => decision !== undefined);
  leave(state, job, { agent: { ...agentOf(job), asks: answered, waits: [] } });
  if (wasPaused && until !== undefined) deadlineAnswered(state);
}

/** All parents are settled: does the job run, or does its condition rule it out? */
export function consider(state: State, job: Job, at: number): void {
  // A cascade that began at a job before it in the list may have answered already.
  if (job.status !== "PENDING" || job.order > 0 || job.dueAt > 0) return;
  if (itsTurn(job)) enqueue(state, job, at);
  else settle(state, job, { as: whyNot(job), at });
}

function whyNot(job: Job): JobStatus {
  return job.run.cancelling || job.cancelling ? "CANCELLED" : "SKIPPED";
}

/**
 * `success` wants every parent completed. `failure` wants one that failed, or that was skipped
 * because of a failure further up: a job that reports failures must hear of those it is not
 * directly attached to.
 */
function itsTurn(job: Job): boolean {
  const { run, spec } = job;
  if (run.cancelling || job.cancelling) return false;
  if (spec.when === "always") return true;
  if (run.parentsOf(job).length === 0) return spec.when === "success";
  let failed = false;
  let completed = true;
  run.dag.forEachParent(job.index, (index) => {
    const parent = run.job(index)!;
    if (!isMet(parent)) completed = false;
    if (hasFailed(parent)) failed = true;
  });
  return spec.when === "success" ? completed : failed;
}

/** For a child with `when: failure`. */
export function hasFailed({ status, spec, decision }: Job): boolean {
  // Nobody has answered its gate, and its author wrote that this is no failure.
  if (decision?.skipped === true) return false;
  if (status === "FAILED" || status === "DEAD" || status === "CANCELLED") return true;
  // A skipped job that waited for success was skipped because of a failure; one that waited for a
  // failure was not.
  return status === "SKIPPED" && spec.when === "success";
}

/** A job whose turn it is: ready, or asleep until its delay (or its backoff) is over. */
export function enqueue(state: State, job: Job, at: number): void {
  touch(state, job);
  if (job.attempt === 0 && job.spec.delayMs > 0) job.dueAt = at + job.spec.delayMs;
  if (job.dueAt > at) state.delayed.push(job, job.dueAt);
  else makeReady(state, job);
}

/** Puts a job at the end of the queue of those that could start this moment. */
export function makeReady(state: State, job: Job): void {
  touch(state, job);
  job.dueAt = 0;
  job.pinned = wantedWorker(state, job);
  job.order = state.nextOrder++;
  state.ready.push(readyKey(job), job, { priority: job.spec.priority, order: job.order });
}

/** The key of the queue that holds a job: its tags, and the one worker it wants, if any. */
export function readyKey(job: Job): string {
  return job.pinned === 0 ? job.requirement : needKey(job.spec, job.pinned);
}

/**
 * Affinity holds while the parent's worker is here and takes work; a job does not wait for a
 * machine that left. It asks for tags alone: see knowledge.ts.
 */
function wantedWorker(state: State, job: Job): number {
  if (job.spec.affinity === undefined) return 0;
  const worker = job.run.job(job.spec.affinity)!.worker;
  if (state.ready.hasClasses(MAX_REQUIREMENTS)) return 0;
  if (worker === 0 || !state.workers.has(worker)) return 0;
  const key = requirementKey(job.spec.requirement, worker);
  return state.router.canEver(key) ? worker : 0;
}

/** Takes a waiting job out of whatever it waits in. Its entry in a queue stays until `dropDead`. */
export function unqueue(state: State, job: Job): void {
  touch(state, job);
  job.order = 0;
  job.dueAt = 0;
  job.pinned = 0;
}

/**
 * Removes the entries of jobs that no longer wait. Linear, so it is called once per cancel and not
 * once per job.
 */
export function dropDead(state: State): void {
  state.ready.compact((job) => job.status === "PENDING" && job.order > 0);
  dropAnswered(state);
}

function dropAnswered(state: State): void {
  state.delayed.compact((job) => (job.status === "PENDING" && job.dueAt > 0) ||
    (isPaused(job) ? wakesAt(job) !== undefined : isAtGate(job) && job.decision === undefined));
  state.answered = 0;
}

/**
 * A gate was answered, or a job woken before its time. Its deadline lies in the heap until it
 * passes, and with it the job and the whole run, forgotten or not: a year's gates that wait for up
 * to a year. So they are dropped once they are more than half, as lesson 07 says.
 */
export function deadlineAnswered(state: State): void {
  state.answered += 1;
  if (2 * state.answered > state.delayed.size) dropAnswered(state);
}

/** An attempt has ended: gives its slot back. */
export function releaseWorker(state: State, job: Job, at: number): void {
  const worker = state.workers.get(job.worker);
  invariant(
    worker !== undefined,
    () => `job ${job.run.id}/${job.spec.id} ran on worker ${job.worker}, which is not registered`,
  );
  touch(state, job);
  job.stoppedAt = at;
  worker.jobs.delete(job);
  state.router.release(worker.id);
}

/** Enters a worker into the indexes. */
export function registerWorker(state: State, worker: Worker): void {
  state.workers.set(worker.id, worker);
  state.workersByInstance.set(worker.instance, worker);
  state.router.addWorker({ ...worker, tags: routedTags(worker) });
  if (worker.draining) state.router.setDraining(worker.id, true);
}

/** A worker has left, or takes nothing new: what waited for this very one may run anywhere. */
export function freePinned(state: State, worker: number): void {
  const freed = state.ready.takePinned(worker);
  for (const key of new Set(freed.map(readyKey))) state.router.forget(key);
  freed.sort((a, b) => a.order - b.order);
  for (const job of freed) makeReady(state, job);
}

/** Counts a run that goes on among those that have its requirements… */
export function claimRequirements(
  state: State, { requirements }: Pick<Run, "requirements">,
): void {
  for (const key of requirements) {
    state.requirements.set(key, (state.requirements.get(key) ?? 0) + 1);
  }
}

/** …and no longer. A requirement that nobody has is dropped, from the router too. */
function releaseRequirements(state: State, run: Run): void {
  for (const key of run.requirements) {
    const runs = (state.requirements.get(key) ?? 0) - 1;
    if (runs > 0) state.requirements.set(key, runs);
    else if (state.requirements.delete(key)) state.router.forget(key);
  }
}

export function finishIfDone(state: State, run: Run, at: number): void {
  if (!isOpenRun(run.status)) return;
  if (run.open > 0) return servesOrRuns(state, run);
  run.status = outcome(run);
  run.endedAt = at;
  run.cancelling = false;
  releaseRequirements(state, run);
  refile(state, run);
  groupMoves(state, run);
  state.observer?.run(run);
}

/** Whether anything is left besides services that have been ready, and whether it goes on. */
function servesOrRuns(state: State, run: Run): void {
  const status = run.serving === run.open ? "SERVING" : isStuck(run) ? "PAUSED" : "RUNNING";
  if (status === run.status) return;
  run.status = status;
  state.observer?.run(run);
}

function outcome(run: Run): RunStatus {
  if (run.cancelling) return "CANCELLED";
  if (has(run, "FAILED") || has(run, "DEAD")) return "FAILED";
  return has(run, "CANCELLED") ? "CANCELLED" : "COMPLETED";
}

/** Whether one of its jobs at least is in this status. */
export function has({ counts }: Run, status: JobStatus): boolean {
  return counts[STATUS_INDEX[status]]! > 0;
}
