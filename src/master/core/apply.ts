/**
 * Lesson 10: `apply(state, event)`, the only writer of state.
 *
 * It is called at two times and cannot tell which: when something happens, and when the log is read
 * again after a crash. That is the whole of recovery. It therefore never fails for a reason outside
 * the event, never looks at a clock, and never decides: whatever it is given has happened.
 *
 * Invariants: `hash(state)` after live running equals `hash(state)` after replay, for every prefix
 * of the log.
 * Test: test/10-master.test.ts
 */
import { invariant } from "#base";
import { type DeadLetter, type Failure, isOpenRun, isTerminal } from "#wire";
import { dropClosed, isPaused, wakesAt } from "./agent-state.ts";
import {
  askApproved, askClosed, askOpened, jobPaused, jobsSpawned, waitAsked,
} from "./apply-agents.ts";
import { budgetRaised, budgetReached, joinGroup, leaveGroup } from "./apply-groups.ts";
import { changesAccepted, stepDone, stepFailed, stepStarted, takePrefix } from "./apply-steps.ts";
import {
  ask, replicasRetired, retire, serviceScaled, updateBegins, updateDone, updateFailed,
} from "./apply-versions.ts";
import { workerDrained, workerJoined, workerKnows, workerLost } from "./apply-workers.ts";
import { artifactPut, artifactsRemoved, forgetArtifacts } from "./artifact-state.ts";
import { sentence } from "./check.ts";
import type { Event, EventOf } from "./events.ts";
import { deadLetter } from "./explain.ts";
import {
  addJobs, charge, deadlineAnswered, dropDead, dropWish, enqueue, leave, leaveResult, makeReady,
  readyKey, releaseWorker, serve, setStatus, settle, unqueue, wake,
} from "./jobs.ts";
import {
  launchAnswered, launchEnded, launchOrdered, launchRetired, launchStopped,
} from "./launch-state.ts";
import { SHORT_BYTES } from "./limits.ts";
import { runMemory } from "./memory.ts";
import { newNotice, noticeTried } from "./notice-state.ts";
import { reopen } from "./reopen.ts";
import {
  isForgiven, isStopping, moveService, serviceRestarts, serviceStarts, SHORT_REASON_CHARS,
} from "./service-state.ts";
import { NO_VOTES, touch, type Job, Run, type State } from "./state.ts";
import { forgetVersions, letGo } from "./versions.ts";

export function apply(state: State, event: Event): void {
  if (event.at > state.at) state.at = event.at;
  // #region apply
  switch (event.type) {
    case "JobStarted": return jobStarted(state, event);
    case "JobSucceeded": return jobSucceeded(state, event);
    case "JobFailed": return jobFailed(state, event);
    case "JobLost": return jobLost(state, event);
    case "JobStopped": return jobStopped(state, event);
    case "JobsCancelled": return jobsCancelled(state, event);
    case "GateApproved": return gateApproved(state, event);
    case "GateClosed": return gateClosed(state, event);
    case "NoticeSent": case "NoticeFailed": return noticeTried(state, jobOf(state, event), event);
    case "StepStarted": return stepStarted(state, running(state, event), event);
    case "StepDone": return stepDone(state, running(state, event), event);
    case "StepFailed": return stepFailed(state, running(state, event), event);
    case "RunSubmitted":
    case "RunForked":
    case "UpdateSubmitted": return runSubmitted(state, event);
    case "JobsAdded": case "JobsInserted": return jobsAdded(state, event);
    case "ChangesAccepted": return changesAccepted(state, runOf(state, event.run));
    case "JobsSpawned": return jobsSpawned(state, runOf(state, event.run), event);
    case "WaitAsked": return waitAsked(state, running(state, event), event);
    case "JobPaused": return jobPaused(state, running(state, event), event);
    case "AskOpened": return askOpened(state, running(state, event), event);
    case "AskApproved": return askApproved(state, jobOf(state, event), event);
    case "AskClosed": return askClosed(state, jobOf(state, event), event);
    case "RunRetried": return reopen(state, runOf(state, event.run), event);
    case "RunsForgotten": return runsForgotten(state, event);
    case "RunsLetGo": return runsLetGo(state, event);
    case "TimePassed": return timePassed(state, event.at);
    case "WorkerJoined": return workerJoined(state, event);
    case "WorkerLost": return workerLost(state, event);
    case "WorkerDrained": return workerDrained(state, event);
    case "OutputLost": return outputLost(state, event);
    case "WorkerKnows": return workerKnows(state, event);
    case "ServiceHealth": return serviceHealth(state, event);
    case "ServicesRestarted": return servicesRestarted(state, event);
    case "ReplicasRetired": return replicasRetired(state, runOf(state, event.run), event);
    case "NameLetGo": return letGo(state, event.name);
    case "ServiceScaled": return serviceScaled(state, runOf(state, event.run), event);
    case "UpdateDone": return updateDone(state, runOf(state, event.run), event);
    case "UpdateFailed": return updateGivenUp(state, event);
    case "BudgetReached": return budgetReached(state, event);
    case "BudgetRaised": return budgetRaised(state, event);
    case "LaunchOrdered": return launchOrdered(state, event);
    case "LaunchAnswered": return launchAnswered(state, event);
    case "LaunchRetired": return launchRetired(state, event);
    case "LaunchStopped": return launchStopped(state, event);
    case "LaunchEnded": return launchEnded(state, event);
    case "ArtifactPut": return artifactPut(state, event);
    case "ArtifactsRemoved": return artifactsRemoved(state, event);
    // In logs of older versions:
    case "JobsMarked": return jobsCancelled(state, event);
    case "ServicesStopped": return servicesStopped(state, event);
    case "GateDecided": return gateClosed(state, asClosed(event));
  }
  // #endregion
}

function runOf(state: State, number: number): Run {
  const run = state.runs.get(number);
  invariant(run !== undefined, () => `an event names run ${number}, which does not exist`);
  return run;
}

function jobOf(state: State, event: { run: number; job: number }): Job {
  const job = runOf(state, event.run).job(event.job);
  invariant(job !== undefined, () => `run ${event.run} has no job ${event.job}`);
  return job;
}

/** The job of an event about a running attempt, checked: one attempt has one ending. */
function running(state: State, event: { run: number; job: number; attempt: number }): Job {
  const job = runOf(state, event.run).job(event.job);
  invariant(
    job?.status === "RUNNING" && job.attempt === event.attempt,
    () => `attempt ${event.run}/${event.job}/${event.attempt} is not running`,
  );
  return job;
}

function runSubmitted(
  state: State, event: EventOf<"RunSubmitted" | "UpdateSubmitted" | "RunForked">,
): void {
  const { run: number, id, key, spec, by, at: submittedAt } = event;
  const run = new Run({ number, id, key, spec, by, submittedAt });
  state.nextRun = event.run + 1;
  state.runs.set(run.number, run);
  state.runsById.set(run.id, run);
  if (run.key !== undefined) state.runsByKey.set(run.key, run);
  if (event.type === "UpdateSubmitted") updateBegins(state, run, event);
  charge(state, run, runMemory(run.key, run.spec));
  joinGroup(state, run, event.at);
  addJobs(state, run, { specs: event.spec.jobs, at: event.at });
  if (event.type !== "RunForked") return;
  takePrefix(state, run, { run: runOf(state, event.from), event });
}

function jobsAdded(state: State, event: EventOf<"JobsAdded" | "JobsInserted">): void {
  const { jobs: specs, at } = event;
  const edges = event.type === "JobsInserted" ? event.edges : [];
  addJobs(state, runOf(state, event.run), { specs, edges, at });
}

// #region started
function jobStarted(state: State, event: EventOf<"JobStarted">): void {
  const job = runOf(state, event.run).job(event.job);
  const worker = state.workers.get(event.worker);
  invariant(
    job?.status === "PENDING" && job.order > 0 && worker !== undefined,
    "only a ready job starts, on a registered worker",
  );
  state.ready.start(readyKey(job), job);
  unqueue(state, job);
  job.attempt = event.attempt;
  job.worker = worker.id;
  job.startedAt = event.at;
  job.stoppedAt = 0;
  if (job.lostOutput !== undefined) leave(state, job, { lostOutput: undefined });
  worker.jobs.add(job);
  state.router.take(worker.id);
  if (job.spec.service !== undefined) serviceStarts(state, job, event.at);
  // One that was paused goes on: it is not another first attempt.
  const goesOn = job.agent !== undefined && job.agent.pauses > 0;
  if (job.failures === 0 && !goesOn) job.run.budget.deposit();
  setStatus(state, job, { to: "RUNNING", at: event.at });
}
// #endregion

function jobSucceeded(state: State, event: EventOf<"JobSucceeded">): void {
  const job = running(state, event);
  releaseWorker(state, job, event.at);
  if (event.result !== undefined || job.failure !== undefined) {
    // Decoded bytes are views (lesson 02): this one would keep the frame or the log page that it
    // came in.
    const result = event.result === undefined ? undefined : Buffer.from(event.result);
    if (job.failure !== undefined) leave(state, job, { failure: undefined });
    leaveResult(state, job, result);
  }
  const gate = job.spec.gate;
  if (gate === undefined) return settle(state, job, { as: "COMPLETED", at: event.at });
  // Absolute from here on: a master that was down for an hour has not stopped the clock.
  job.deadline = event.at + gate.maxWaitMs;
  state.gates.add(job);
  state.delayed.push(job, job.deadline);
  const notice = newNotice(gate, event.at);
  if (notice !== undefined) leave(state, job, { notice });
  setStatus(state, job, { to: "WAITING", at: event.at });
}

function jobFailed(state: State, event: EventOf<"JobFailed">): void {
  const job = running(state, event);
  releaseWorker(state, job, event.at);
  if (job.service !== undefined) return serviceFailed(state, job, event);
  leave(state, job, { failure: event.failure });
  dropWish(state, job);
  job.failures += 1;
  if (event.retryAt === undefined) {
    return settle(state, job, { as: event.dead ? "DEAD" : "FAILED", at: event.at });
  }
  job.run.budget.withdraw();
  job.dueAt = event.retryAt;
  setStatus(state, job, { to: "FAILED", at: event.at });
  setStatus(state, job, { to: "PENDING", at: event.at });
  enqueue(state, job, event.at);
}

/** As for any job, by the rules of services: the attempt is one of any number. */
function serviceFailed(state: State, job: Job, event: EventOf<"JobFailed">): void {
  const { at, failure, retryAt, dead } = event;
  const wanted = job.service!.asked === "restart";
  if (!wanted) leave(state, job, { failure });
  job.failures = wanted ? 0 : isForgiven(job, at) ? 1 : job.failures + 1;
  if (retryAt === undefined) return settle(state, job, { as: dead ? "DEAD" : "FAILED", at });
  // A port that somebody else has says nothing about the service.
  const counted = !wanted && failure.kind !== "port-taken";
  serviceRestarts(state, job, { at, reason: shortOf(failure.message), counted });
  job.dueAt = retryAt;
  setStatus(state, job, { to: "PENDING", at });
  enqueue(state, job, at);
}

function shortOf(message: string): string {
  return message.slice(0, SHORT_REASON_CHARS);
}

function serviceHealth(state: State, event: EventOf<"ServiceHealth">): void {
  const job = running(state, event);
  const { at, phase, host, port, pid, reason } = event;
  const wasSettled = job.service!.settled;
  const news = phase === "READY" ? "healthy" : "unhealthy";
  const settled = wasSettled || phase === "READY";
  const isNews = phase !== "STARTING";
  const found = { host, port, pid, settled };
  if (isNews) moveService(state, job, { news, at, reason, with: found });
  else {
    touch(state, job);
    job.service = { ...job.service!, ...found, reason };
  }
  state.observer?.job(job, at);
  if (settled && !wasSettled) serve(state, job, at);
}

function servicesStopped(state: State, event: EventOf<"ServicesStopped">): void {
  const run = runOf(state, event.run);
  retire(state, event.jobs.map((index) => run.job(index)!), { as: "stop", at: event.at });
}

function servicesRestarted(state: State, event: EventOf<"ServicesRestarted">): void {
  const run = runOf(state, event.run);
  for (const index of event.jobs) {
    const job = run.job(index)!;
    if (job.status === "RUNNING") ask(state, job, { asked: "restart", at: event.at });
    else if (job.status === "PENDING" && job.service !== undefined) hasten(state, job, event.at);
  }
  dropDead(state);
}

/** A service that waits between two attempts starts now, and begins anew. */
function hasten(state: State, job: Job, at: number): void {
  touch(state, job);
  job.failures = 0;
  if (job.dueAt === 0) return;
  unqueue(state, job);
  makeReady(state, job);
  state.observer?.job(job, at);
}

function jobLost(state: State, event: EventOf<"JobLost">): void {
  const job = running(state, event);
  releaseWorker(state, job, event.at);
  if (isForgiven(job, event.at)) job.losses = 0;
  if (event.blamed) job.losses += 1;
  leave(state, job, { failure: ended("worker-lost", "its worker went away") });
  dropWish(state, job);
  if (job.cancelling) return settle(state, job, { as: "CANCELLED", at: event.at });
  if (event.dead) return settle(state, job, { as: "DEAD", at: event.at });
  if (isStopping(job)) {
    return settle(state, job, { as: "COMPLETED", at: event.at });
  }
  if (job.service !== undefined) {
    const reason = "its worker went away";
    serviceRestarts(state, job, { at: event.at, reason, counted: false });
  }
  setStatus(state, job, { to: "PENDING", at: event.at });
  enqueue(state, job, event.at);
}

function ended(kind: Failure["kind"], message: string): Failure {
  return { kind, message, exitCode: undefined, signal: undefined };
}

function outputLost(state: State, event: EventOf<"OutputLost">): void {
  const job = runOf(state, event.run).job(event.job);
  invariant(job?.attempt === event.attempt, "only the latest attempt of a job is spoken of");
  const bytes = (job.lostOutput?.bytes ?? 0) + event.bytes;
  leave(state, job, { lostOutput: { bytes, why: event.why } });
}

function jobStopped(state: State, event: EventOf<"JobStopped">): void {
  const job = running(state, event);
  releaseWorker(state, job, event.at);
  const isStop = !job.cancelling && isStopping(job);
  settle(state, job, { as: isStop ? "COMPLETED" : "CANCELLED", at: event.at });
}

/** A new version is not READY in time, or has failed: it goes, and the old one stays. */
function updateGivenUp(state: State, event: EventOf<"UpdateFailed">): void {
  const { run: number, at } = event;
  const run = runOf(state, number);
  updateFailed(state, run, event);
  if (!isOpenRun(run.status)) return;
  const jobs = run.jobs.map(({ index }) => index);
  jobsCancelled(state, { type: "JobsCancelled", run: number, at, jobs, whole: true });
}

function jobsCancelled(state: State, event: EventOf<"JobsCancelled" | "JobsMarked">): void {
  const run = runOf(state, event.run);
  if (event.whole) run.cancelling = true;
  const waiting: Job[] = [];
  for (const index of event.jobs) {
    const job = run.job(index)!;
    if (isTerminal(job.status)) continue;
    touch(state, job);
    job.cancelling = true;
    if (job.status === "RUNNING") state.observer?.job(job, event.at);
    else waiting.push(job);
  }
  for (const job of waiting) {
    unqueue(state, job);
    state.gates.delete(job);
    if (job.votes.length > 0) leave(state, job, { votes: NO_VOTES });
    // One of its ancestors in this very list may already have taken it along.
    if (isTerminal(job.status)) continue;
    // The event of older versions leaves a job whose parents go on until its turn would have come.
    if (event.type === "JobsCancelled" || run.isReady(job.index)) {
      settle(state, job, { as: "CANCELLED", at: event.at });
    }
  }
  dropDead(state);
}

/** The job behind whose last attempt a gate is open. */
function atGate(state: State, event: { run: number; job: number }): Job {
  const job = runOf(state, event.run).job(event.job);
  invariant(job?.status === "WAITING", "a gate is answered while it is open");
  return job;
}

// #region gate
function gateApproved(state: State, event: EventOf<"GateApproved">): void {
  const job = atGate(state, event);
  const { by, comment, values, at } = event;
  leave(state, job, { votes: [...job.votes, { by, comment, values, at }] });
  state.observer?.job(job, at);
}

function gateClosed(state: State, event: EventOf<"GateClosed">): void {
  const job = atGate(state, event);
  const { outcome, by, comment, values, at } = event;
  state.gates.delete(job);
  const skipped = outcome === "skipped" ? true : undefined;
  const answer = { approved: outcome === "approved", by, comment, at, already: false, values };
  leave(state, job, { decision: { ...answer, skipped, missing: undefined }, votes: NO_VOTES });
  deadlineAnswered(state);
  if (outcome === "approved") return settle(state, job, { as: "COMPLETED", at });
  if (outcome === "skipped") return settle(state, job, { as: "SKIPPED", at });
  const why = comment === "" ? "" : `: ${comment}`;
  leave(state, job, { failure: ended("rejected", sentence(`Rejected by ${by}${why}`)) });
  settle(state, job, { as: "FAILED", at });
}
// #endregion

function asClosed({ approve, ...rest }: EventOf<"GateDecided">): EventOf<"GateClosed"> {
  return { ...rest, type: "GateClosed", outcome: approve ? "approved" : "rejected", values: {} };
}

function timePassed(state: State, at: number): void {
  const due: Job[] = [];
  const paused = new Set<Job>();
  for (let job = state.delayed.popDue(at); job !== undefined; job = state.delayed.popDue(at)) {
    // A gate's deadline is in the same heap: it only wakes the master, which then decides.
    if (job.status === "PENDING" && job.dueAt > 0 && job.dueAt <= at) due.push(job);
    else if (isPaused(job) && wakesAt(job)! <= at && !paused.has(job)) paused.add(job);
    else if (state.answered > 0) state.answered -= 1;
  }
  dropClosed(state, at);
  // Sorted, because the heap of a restored snapshot was filled in another order, and the result
  // must not tell.
  due.sort((a, b) => a.dueAt - b.dueAt || a.run.number - b.run.number || a.index - b.index);
  // Asked again: a job can be in the heap twice, once for a delay that a person's retry replaced.
  for (const job of due) if (job.dueAt > 0) makeReady(state, job);
  const byNumber = (a: Job, b: Job): number => a.run.number - b.run.number || a.index - b.index;
  for (const job of [...paused].sort(byNumber)) wake(state, job, at, true);
}

function runsLetGo(state: State, event: EventOf<"RunsLetGo">): void {
  for (const { run: number, request } of event.keys) {
    const { id, key } = runOf(state, number);
    invariant(key !== undefined, "a key is kept of a run that has one");
    state.keys.remember(key, id, { request, nowMs: event.at });
  }
  runsForgotten(state, event);
}

/** A thousand of them must stay small, so its words are cut. */
function lastLetter(job: Job): DeadLetter {
  const { failure, ...letter } = deadLetter(job);
  const message = sentence(failure?.message ?? "", SHORT_BYTES);
  return { ...letter, failure: failure && { ...failure, message }, forgotten: true };
}

function runsForgotten(state: State, event: EventOf<"RunsForgotten" | "RunsLetGo">): void {
  for (const number of event.runs) {
    const run = runOf(state, number);
    invariant(!isOpenRun(run.status), "a run that goes on is not forgotten");
    state.runs.delete(number);
    state.runsById.delete(run.id);
    if (run.key !== undefined) state.runsByKey.delete(run.key);
    if (state.finished.delete(run)) state.finishedBytes -= run.bytes;
    state.jobs -= run.size;
    state.bytes -= run.bytes;
    forgetVersions(state, run);
    leaveGroup(state, run);
    if (run.artifacts.size > 0) forgetArtifacts(state, run);
    for (const job of run.jobs) {
      const isLetter = state.dead.delete(job) && event.type === "RunsLetGo";
      if (isLetter) state.letters.add(`${run.id}/${job.spec.id}`, lastLetter(job));
    }
  }
}
