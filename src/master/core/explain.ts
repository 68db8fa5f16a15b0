/**
 * Lesson 10: the state, said to people: why a job waits, and what a run, a job or a worker looks
 * like from outside.
 *
 * An orchestrator that only says "pending" makes its users guess. Every job that is not running can
 * name what it waits for.
 *
 * Invariants: read-only; answers are computed when asked, so that nothing has to be kept up to
 * date.
 * Test: test/10-master.test.ts
 */
import { durationText, plural } from "#base";
import { describe, GENERAL, parseKey, plainKey, type Reason } from "#routing";
import {
  type DeadLetter,
  type GateInfo,
  isTerminal,
  MAX_WORKER_JOBS,
  rulesOf,
  type JobChange,
  type JobInfo,
  type JobSpec,
  type JobStatus,
  type RunInfo,
  type ServiceInfo,
  type ServiceRow,
  type StepInfo,
  type WaitKind,
  type WorkerInfo,
  type WorkerJob,
} from "#wire";
import { agentOf, askOf, isOver, isPaused } from "./agent-state.ts";
import { sentence } from "./check.ts";
import { askId } from "./decide-asks.ts";
import { gateId } from "./decide-gates.ts";
import { pauseReason } from "./groups.ts";
import { readyKey } from "./jobs.ts";
import type { Step } from "./journal.ts";
import { missingKnowledge, needKey } from "./knowledge.ts";
import { isMet, isServing } from "./service-state.ts";
import {
  type Job, type OpenAsk, type Run, type ServiceRecord, type State, type Worker,
} from "./state.ts";
import { isStaying } from "./versions.ts";

/** Parents named in a reason before the rest is counted. */
const NAMED_PARENTS = 3;
/** The same for different things that a paused job waits for. */
const NAMED_WAITS = 3;

/**
 * Of requirements, why their jobs wait for a worker. Thousands of a queue have one answer, which
 * takes a look at all workers: it is worked out once for jobs that are looked at in one go.
 */
export type Whys = Map<string, WhyReady>;

interface WhyReady {
  readonly kind: WaitKind;
  readonly why: string;
}

/**
 * What a PENDING or WAITING job waits for, or why one was skipped, as a sentence; empty for the
 * others. `now` in ms since 1970.
 */
export function reasonOf(state: State, job: Job, now: number, whys?: Whys): string {
  if (isPaused(job)) return sentence(whyPaused(job, now));
  if (job.status === "WAITING") {
    return sentence(`waits for ${whoIsMissing(job)}: ${job.spec.gate?.message ?? ""}`);
  }
  if (job.status === "SKIPPED") return whySkipped(job);
  if (job.status === "RUNNING" && job.cancelling) return "cancelling: waits for its process to end";
  if (job.status === "RUNNING" && job.service !== undefined) {
    return whyService(job.service) || whyUnknown(state, job);
  }
  if (job.status !== "PENDING") return "";
  if (job.dueAt > 0) {
    const seconds = Math.max(0, (job.dueAt - now) / 1000).toFixed(1);
    if (job.service !== undefined) return `restarts in ${seconds} s: ${job.service.reason}`;
    return job.failures > 0
      ? `waits ${seconds} s before attempt ${job.attempt + 1}`
      : `delayed for another ${seconds} s`;
  }
  if (job.order === 0) return waitsForParents(job);
  return whyReady(state, job, whys).why;
}

/** Why a job that could start has not yet. */
function whyReady(state: State, job: Job, whys?: Whys): WhyReady {
  const key = readyKey(job);
  const known = whys?.get(key);
  if (known !== undefined) return known;
  const found = look(state, key);
  whys?.set(key, found);
  return found;
}

function look(state: State, key: string): WhyReady {
  if (state.router.hasFree(key)) return { kind: "start", why: "is about to start" };
  const reason = state.router.explain(key);
  const nobody = whyNobody(state, key, reason);
  const prospect = state.prospects.get(key);
  const why = prospect === undefined ? nobody : `${nobody}; ${prospect}`;
  return { kind: reason.kind === "no-capable-worker" ? "worker" : "slots", why };
}

/** Why no worker takes jobs of this requirement: all are busy, too old, or without its tags. */
function whyNobody(state: State, key: string, reason: Reason): string {
  const plain = plainKey(key);
  const need = parseKey(plain);
  if (plain === key) return describe(reason);
  const able = [...state.workers.values()].filter(({ id, tags, draining }) => !draining &&
    (need.pinned === undefined || id === need.pinned) &&
    need.tags.every((tag) => tag === GENERAL || tags.includes(tag)));
  const [old] = able;
  const missing = old === undefined ? [] : missingKnowledge(old, key);
  if (old !== undefined && !able.some((each) => missingKnowledge(each, key).length === 0)) {
    const others = able.length === 1 ? "" : ` (and ${able.length - 1} more like it)`;
    const version = old.version === "" ? "an unknown version" : `version ${old.version}`;
    return (
      `${old.name} is of ${version} and cannot run ${JOBS_WITH[missing[0]!]}: upgrade ` +
      `it${others}`
    );
  }
  if (reason.kind === "no-capable-worker") return describe(state.router.explain(plain));
  return describe({ ...reason, need });
}

/** What a job waits for that has ended an attempt to wait: any of these is enough. */
function whyPaused(job: Job, now: number): string {
  const waits = agentOf(job).waits.map((wait) => {
    switch (wait.type) {
      case "jobs": return openJobs(job, wait.jobs);
      case "ask": {
        const ask = askOf(job, wait.key);
        return ask === undefined ? `an answer to "${wait.key}"`
          : `an answer to ${askId(job, ask)}: ${ask.gate.message}`;
      }
      case "time": return `another ${durationText(Math.max(0, wait.at - now))}`;
      case "budget": return "a higher budget";
    }
  });
  const rest = waits.length - NAMED_WAITS;
  const more = rest > 0 ? ` (or ${rest} more)` : "";
  return `waits for ${waits.slice(0, NAMED_WAITS).join(", or ")}${more}`;
}

/** "a (RUNNING), b (PENDING) and 3 more", of so many jobs. */
function openJobs({ run }: Job, jobs: readonly number[]): string {
  const open = jobs.map((index) => run.job(index)!).filter((job) => !isOver(job));
  const named = open.slice(0, NAMED_PARENTS).map(({ spec, status }) => `${spec.id} (${status})`);
  const more = open.length > NAMED_PARENTS ? ` and ${open.length - NAMED_PARENTS} more` : "";
  return `${named.join(", ")}${more}`;
}
const JOBS_WITH: Readonly<Record<string, string>> = {
  services: "services", artifacts: "jobs with inputs or outputs",
};

/** "approval", or "2 more approvals" of a gate that has some. */
function whoIsMissing({ spec, votes }: Job): string {
  const missing = rulesOf(spec.gate!).required - votes.length;
  return missing === 1 && votes.length === 0 ? "approval"
    : plural(missing, votes.length === 0 ? "approval" : "more approval");
}

/** How a service is, if there is anything to say. */
function whyService({ asked, reason }: ServiceRecord): string {
  if (asked === "stop") return "stopping: waits for its process to end";
  if (asked === "drain") return "draining: waits for its connections to end, then it is stopped";
  return asked === "restart" ? "restarting: waits for its process to end" : reason;
}

/** It is as its worker said last, which may be over. */
function whyUnknown(state: State, job: Job): string {
  if (!state.router.isAway(job.worker)) return "";
  return `${workerName(state, job)} is away: as it said last`;
}

/** The same in a word. Undefined: it does not wait. */
export function waitKind(state: State, job: Job, whys?: Whys): WaitKind | undefined {
  if (job.status === "WAITING") return pausedFor(job) ?? "person";
  if (job.status !== "PENDING") return undefined;
  if (job.dueAt > 0) return "time";
  if (job.order === 0) return "parents";
  return whyReady(state, job, whys).kind;
}

/** A person can do something about a question or a budget, and so this comes first. */
function pausedFor(job: Job): WaitKind | undefined {
  if (!isPaused(job)) return undefined;
  const types = agentOf(job).waits.map(({ type }) => type);
  if (types.includes("ask") || types.includes("budget")) return "person";
  return types.includes("jobs") ? "jobs" : "time";
}

/** The end of a parent, in a sentence about its child. */
const ENDS: Partial<Record<JobStatus, string>> = {
  FAILED: "failed", DEAD: "failed", CANCELLED: "was cancelled", SKIPPED: "was skipped",
};

/** All parents have ended, so the answer does not change any more. */
function whySkipped({ run, index, spec, decision }: Job): string {
  if (decision !== undefined) return sentence(`its gate was passed over: ${decision.comment}`);
  let first: Job | undefined;
  let count = 0;
  run.dag.forEachParent(index, (parent) => {
    if (isMet(run.job(parent)!)) return;
    first ??= run.job(parent)!;
    count += 1;
  });
  if (spec.when === "failure") {
    return `when: failure, and ${count === 0 ? "all parents completed" : "no parent failed"}`;
  }
  if (first === undefined) return "";
  const more = count > 1 ? ` (${count - 1} more did not complete)` : "";
  const end = ENDS[first.status] ?? "ended before it was ready";
  return `a parent ${end}: ${first.spec.id}${more}`;
}

function waitsForParents(job: Job): string {
  const open: string[] = [];
  let count = 0;
  job.run.dag.forEachParent(job.index, (index) => {
    const parent = job.run.job(index)!;
    if (isTerminal(parent.status) || isServing(parent)) return;
    const how = parent.service?.phase ?? parent.status;
    if (count < NAMED_PARENTS) open.push(`${parent.spec.id} (${how})`);
    count += 1;
  });
  const more = count > NAMED_PARENTS ? ` and ${count - NAMED_PARENTS} more` : "";
  return `waits for ${open.join(", ")}${more}`;
}

/**
 * One sentence per requirement that no registered worker could ever meet, however long one waits.
 * A worker that is away may come back. A worker that drains gets nothing new.
 */
export function neverScheduled(state: State, jobs: readonly JobSpec[]): string[] {
  const warnings: string[] = [];
  const [only] = jobs;
  if (jobs.length === 1 && state.router.canEver(needKey(only!))) return warnings;
  const firstByKey = new Map<string, { job: string; count: number }>();
  for (const job of jobs) {
    const key = needKey(job);
    const seen = firstByKey.get(key);
    if (seen === undefined) firstByKey.set(key, { job: job.id, count: 1 });
    else seen.count += 1;
  }
  for (const [key, { job, count }] of firstByKey) {
    if (state.router.canEver(key) || canStart(state, key)) continue;
    // With no worker at all, "nobody has joined yet" is not worth a warning for jobs that anybody
    // could run.
    if (state.workers.size === 0 && plainKey(key) === GENERAL) continue;
    const more = count > 1 ? ` (and ${count - 1} more)` : "";
    const why = whyNobody(state, key, state.router.explain(key));
    warnings.push(`Cannot schedule job "${job}"${more} now: ${why}`);
  }
  return warnings;
}

/** Whether a pool would start a worker for it. A job that is pinned to one has been placed. */
function canStart({ startable }: State, key: string): boolean {
  const { tags } = parseKey(plainKey(key));
  return startable.some((has) => tags.every((tag) => has.has(tag)));
}

// ── rows ─────────────────────────────────────────────────────────────────────────────────────────

export function runInfo(run: Run): RunInfo {
  return {
    id: run.id, name: run.spec.name, status: run.status,
    submittedAt: run.submittedAt, endedAt: orNothing(run.endedAt),
    counts: [...run.counts], cancelling: run.cancelling, update: run.update,
    paused: pauseReason(run),
  };
}

export function jobInfo(state: State, job: Job, now: number, whys?: Whys): JobInfo {
  return {
    index: job.index, id: job.spec.id, status: job.status, attempt: job.attempt,
    worker: workerName(state, job),
    startedAt: orNothing(job.startedAt), endedAt: orNothing(job.endedAt),
    failure: job.failure, reason: reasonOf(state, job, now, whys),
    dependsOn: parentsOf(job), result: job.result, cancelling: job.cancelling,
    decision: job.decision, stoppedAt: orNothing(job.stoppedAt), retryAt: retryAtOf(job),
    lostOutput: job.lostOutput, service: serviceInfo(job),
    paused: pausedFor(job),
  };
}

/** Each once. */
function parentsOf({ run, index, spec }: Job): number[] {
  const { length } = spec.dependsOn;
  return length + run.edges.length === 0 ? [] : run.dag.parents(index);
}

/** What a watcher is told when a job moves. */
export function jobChange(state: State, job: Job, at: number): JobChange {
  const { index, status, attempt, failure, cancelling } = job;
  // Other reasons change without the job: a watcher asks for those of the jobs that it shows.
  const reason = status === "WAITING" || status === "SKIPPED" ? reasonOf(state, job, at) : "";
  const worker = workerName(state, job);
  const retryAt = retryAtOf(job);
  const { lostOutput } = job;
  const service = serviceInfo(job);
  const paused = pausedFor(job);
  return {
    index, status, attempt, worker, at, failure, cancelling, reason, retryAt, lostOutput, service,
    paused,
  };
}

function serviceInfo({ spec, service }: Job): ServiceInfo | undefined {
  if (spec.service === undefined || service === undefined) return undefined;
  const { phase, since, reason, host, port, pid, restarts } = service;
  return { name: spec.service.name, phase, since, reason, host, port, pid, restarts };
}

/** Services that are not over, and those that ended, by their names. */
export function servicesOf(state: State): Job[] {
  const found: Job[] = [];
  for (const run of state.runs.values()) {
    for (const name of run.serviceNames) found.push(...run.replicasOf(name));
  }
  const nameOf = (job: Job): string => job.spec.service!.name;
  return found.sort((a, b) =>
    (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0) ||
    a.run.number - b.run.number || a.index - b.index);
}

export function serviceRow(state: State, job: Job, now: number): ServiceRow {
  const { name, deployed } = job.spec.service!;
  const { version } = job.run;
  const current = !deployed || state.names.get(name)?.current === job.run;
  return {
    name, deployed, run: job.run.id, job: job.spec.id, status: job.status,
    worker: workerName(state, job), attempt: job.attempt, service: serviceInfo(job),
    reason: reasonOf(state, job, now), lastFailure: job.failure,
    startedAt: orNothing(job.startedAt), version, current,
    leaving: !isTerminal(job.status) && !isStaying(job),
  };
}

/** `apply` passes through FAILED on the way to the next attempt, and `dueAt` is set by then. */
function retryAtOf({ status, failure, dueAt }: Job): number | undefined {
  const isTriedAgain = failure !== undefined && (status === "FAILED" || status === "PENDING");
  return isTriedAgain ? orNothing(dueAt) : undefined;
}

/** In a list of workers, which is one answer: half a frame, if all names are at their limits. */
const MAX_LISTED_JOBS = 8192;

/** Jobs of each worker in a list of so many. */
export function listedJobs(workers: number): number {
  return Math.max(1, Math.min(MAX_WORKER_JOBS, Math.floor(MAX_LISTED_JOBS / workers)));
}

/** A worker as the state knows it. Only its connection knows how late its beats are. */
export function workerInfo(
  worker: Worker,
  connection: { remote: string; connected: boolean; pool: string | undefined },
  maxJobs: number,
): Omit<WorkerInfo, "beatLateMs" | "beatLateMaxMs" | "heardMs"> {
  const { id, name, tags, slots, joinedAt, version, draining } = worker;
  const running = worker.jobs.size;
  const described = { id, name, tags: [...tags], slots, joinedAt, version, draining, running };
  return { ...described, ...connection, jobs: jobsOn(worker, maxJobs) };
}

/** Those that came first: one that hangs is among them, and so are most services. */
function jobsOn({ jobs }: Worker, most: number): WorkerJob[] {
  const rows: WorkerJob[] = [];
  for (const { run, spec, attempt, startedAt, service } of jobs) {
    if (rows.length === most) break;
    rows.push({
      run: run.id, job: spec.id, attempt, startedAt,
      service: spec.service?.name, phase: spec.service && service?.phase,
    });
  }
  return rows;
}

/**
 * Jobs whose retries are spent: those of forgotten runs, then those that can be retried; the newest
 * last. The order in which these came is not in a snapshot; when they ended is.
 */
export function* deadLetters(state: State): Generator<DeadLetter> {
  for (const [, letter] of state.letters.list()) yield letter;
  const dead = [...state.dead].sort(
    (a, b) => a.endedAt - b.endedAt || a.run.number - b.run.number || a.index - b.index,
  );
  for (const job of dead) yield deadLetter(job);
}

export function deadLetter({
  run,
  spec,
  attempt: attempts,
  failures,
  losses,
  failure,
  endedAt,
}: Job): DeadLetter {
  const what = { run: run.id, job: spec.id, attempts, failures, losses, failure, endedAt };
  return { ...what, forgotten: false };
}

export function gateInfo(job: Job): GateInfo {
  const { message, maxWaitMs, rules } = job.spec.gate!;
  const { deadline, result, votes, run, notice } = job;
  return {
    id: gateId(job), message, openedAt: deadline - maxWaitMs, deadline, rules,
    votes: [...votes], result, submitter: run.by ?? "", notice,
  };
}

/** A question in the middle of a program, as a row beside the gates behind jobs. */
export function askInfo(
  { job, ask: { key } }: { job: Job; ask: Pick<OpenAsk["ask"], "key"> },
): GateInfo {
  const ask = askOf(job, key)!;
  const { gate: { message, maxWaitMs, rules }, deadline, votes, notice } = ask;
  return {
    id: askId(job, ask), message, openedAt: deadline - maxWaitMs, deadline, rules,
    votes: [...votes], result: undefined, submitter: job.run.by ?? "", notice,
  };
}

/** All that waits for a person: gates behind jobs, then questions of jobs; the oldest first. */
export function* openGates({ gates, asks }: State): Generator<{ job: Job; info(): GateInfo }> {
  for (const job of gates) yield { job, info: () => gateInfo(job) };
  for (const ask of asks.values()) yield { job: ask.job, info: () => askInfo(ask) };
}

function workerName(state: State, job: Job): string {
  if (job.worker === 0) return "";
  // A worker that has left keeps its number in the job's record; its name left with it.
  return state.workers.get(job.worker)?.name ?? `#${job.worker}`;
}

const orNothing = (at: number): number | undefined => (at === 0 ? undefined : at);

/** A step of a job, as people see it. */
export function stepInfo(job: Job, step: Step): StepInfo {
  const { call: _, message: failure, endedAt, reserve: __, accepted: ___, ...shown } = step;
  return { ...shown, job: job.spec.id, failure, endedAt: endedAt || undefined };
}
