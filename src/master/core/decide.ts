/**
 * Lesson 10: `decide(state, command)`: what follows from a request, given what is known. Pure: it reads the state,
 * writes nothing, and returns either facts (events) or a refusal.
 *
 * Why a function of its own, and not a check inside `apply`? Because a refusal must leave no trace. What `decide` returns has
 * been checked against the state it will be applied to, so `apply` may treat every event as a thing that happened.
 *
 * Invariants: no clock, no randomness (both come in `Context`, and what was drawn ends up inside the event).
 * Left out: authorisation, which the connection settles before a command exists.
 * Test: test/10-master.test.ts
 */
import { invariant, TAG } from "#base";
import { DagError } from "#dag";
import { DEFAULT_RETRY, verdict } from "#retry";
import { requirementKey } from "#routing";
import {
  MAX_BATCH_BYTES,
  MAX_FRAME_BODY_BYTES,
  MAX_INPUTS_BYTES,
  MAX_JOBS_PER_RUN,
  MAX_WORKERS,
  type AttemptKey,
  type Decision,
  type JobSpec,
  type LostOutput,
  PipelineSpec,
  type Report,
} from "#wire";
import { unfit, unfitName } from "./check.ts";
import type { Event } from "./events.ts";
import { jobsMemory, runMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom, keptFailure, makeRoom, tooMuch } from "./room.ts";
import { buildGraph, isAlone, isTerminal, MAX_REQUIREMENTS, type Job, type Run, type State, type Worker } from "./state.ts";
import { neverScheduled } from "./explain.ts";

/** Dependencies of one submission. Building such a graph takes about a second, in which no beat is answered: well within a lease. */
export const MAX_EDGES_PER_RUN = 10_000_000;

/** Numbers in a message for a person. */
const MAX_LISTED = 20;

/** What one job says it does and with which environment. An assignment must fit into a frame, inputs and all. */
export const MAX_JOB_BYTES = 2 * 1024 * 1024;
invariant(MAX_JOB_BYTES + MAX_INPUTS_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES, "a batch that is nearly full plus the largest assignment must fit into a frame");

// ── runs ─────────────────────────────────────────────────────────────────────────────────────────

export interface Submission {
  readonly spec: PipelineSpec;
  readonly key?: string | undefined;
  readonly strict: boolean;
  /**
   * What its jobs take in memory, if somebody has weighed them already. If that is more than
   * `roomForJobs` allows, the jobs themselves need not be there.
   */
  readonly jobBytes?: number;
}

/** Accepts a pipeline, or finds the run that an earlier submission with the same key made. */
export function decideSubmit(
  state: State, submission: Submission, context: Context,
): { events: Event[]; run: string; existing: boolean; warnings: string[] } {
  const { spec, key } = submission;
  const known = key === undefined ? undefined : state.runsByKey.get(key);
  if (known !== undefined) {
    // The first run's answer would be wrong for this pipeline, and a second run wrong for the key (lesson 09).
    if (!PipelineSpec.encode(spec).equals(PipelineSpec.encode(known.spec))) {
      throw new Refusal("CONFLICT", `Cannot submit pipeline "${spec.name}": key "${key}" belongs to run ${known.id}, which is of another pipeline or another state of its files`);
    }
    return { events: [], run: known.id, existing: true, warnings: [] };
  }
  const wrong = unfitName(spec.name);
  if (wrong !== undefined) {
    const named = JSON.stringify(spec.name);
    throw new Refusal("INVALID", `Cannot submit pipeline ${named}: its name ${wrong}`);
  }
  const doing = `submit pipeline "${spec.name}"`;
  const bytes = runMemory(key, spec) + (submission.jobBytes ?? jobsMemory(spec.jobs));
  checkRoom(state, { runs: 1, bytes, doing }, context);
  checkJobs(spec.jobs, { from: 0, doing });
  checkGraph(spec);
  checkRequirements(state, spec.jobs);
  const warnings = neverScheduled(state, spec.jobs);
  if (submission.strict && warnings.length > 0) throw new Refusal("UNSCHEDULABLE", warnings.join("\n"));
  const id = freshId(state, spec.name, context);
  const submitted: Event = {
    type: "RunSubmitted", run: state.nextRun, id, key, at: context.now, spec,
  };
  const events = [...makeRoom(state, bytes, context), submitted];
  return { events, run: id, existing: false, warnings };
}


function checkGraph(spec: PipelineSpec): void {
  if (isAlone(spec.jobs)) return;
  try {
    buildGraph(spec.jobs);
  } catch (error) {
    if (error instanceof DagError) throw new Refusal("INVALID", error.message);
    throw error;
  }
}

/** What the graph itself does not check. Indexes come from a peer and may be anything. */
function checkJobs(jobs: readonly JobSpec[], options: { from: number; doing: string }): void {
  const { from, doing } = options;
  if (jobs.length === 0) throw new Refusal("INVALID", `Cannot ${doing}: it has no jobs`);
  const total = from + jobs.length;
  if (total > MAX_JOBS_PER_RUN) throw new Refusal("INVALID", `Cannot ${doing}: ${total} jobs exceed ${MAX_JOBS_PER_RUN}`);
  const edges = jobs.reduce((sum, job) => sum + job.dependsOn.length, 0);
  if (edges > MAX_EDGES_PER_RUN) throw new Refusal("INVALID", `Cannot ${doing}: ${edges} dependencies exceed ${MAX_EDGES_PER_RUN}`);
  for (const job of jobs) {
    const why = unfitHere(job, total);
    if (why !== undefined) throw new Refusal("INVALID", `Cannot ${doing}: job "${job.id}" ${why}`);
  }
}

/** Why a job cannot be one of a run of so many. */
function unfitHere(job: JobSpec, total: number): string | undefined {
  const bytes = specBytes(job);
  if (bytes > MAX_JOB_BYTES) {
    const what = "arguments, input and environment";
    return `has up to ${bytes} bytes of ${what}, more than ${MAX_JOB_BYTES}`;
  }
  const why = unfit(job);
  if (why !== undefined) return why;
  for (const parent of job.dependsOn) {
    if (parent >= total) return `depends on job number ${parent} of ${total}`;
  }
  if (job.affinity !== undefined && !job.dependsOn.includes(job.affinity)) {
    return "has affinity to a job that it does not depend on";
  }
  const bad = job.requirement.find((tag) => !TAG.test(tag));
  return bad === undefined ? undefined : `requires "${bad}", which is not a tag`;
}

/** An upper bound of the bytes that a job's action and environment take in a message. */
export function specBytes({ action, env }: JobSpec): number {
  let bytes = 0;
  for (const name in env) bytes += textBytes(name) + textBytes(env[name]!) + 5;
  switch (action.type) {
    case "file": return bytes + textBytes(action.file) + sumBytes(action.args);
    case "command": return bytes + sumBytes(action.argv);
    case "shell": return bytes + textBytes(action.script);
    case "call": return bytes + textBytes(action.target) + action.input.length;
  }
}

function textBytes(text: string): number {
  // A character is at most three bytes of UTF-8, and counting them exactly costs more; five for a field's number and length.
  return 5 + (text.length < 1024 ? 3 * text.length : Buffer.byteLength(text));
}

function sumBytes(texts: readonly string[]): number {
  let bytes = 0;
  for (const text of texts) bytes += textBytes(text);
  return bytes;
}

/** Each requirement may need a queue, and the number of queues bounds what every dispatch has to look at. */
export function checkRequirements(state: State, jobs: readonly JobSpec[]): void {
  let added: Set<string> | undefined; // as a rule there is nothing new
  for (const job of jobs) {
    const key = requirementKey(job.requirement);
    if (!state.requirements.has(key)) (added ??= new Set()).add(key);
  }
  const total = state.requirements.size + (added?.size ?? 0);
  if (total > MAX_REQUIREMENTS) {
    const found = `with those of the other open runs they have ${total} different requirements`;
    throw new Refusal("INVALID", `Cannot accept jobs: ${found}, more than ${MAX_REQUIREMENTS}`);
  }
}

/** `nightly-7k2m`: short enough to say over the phone. Grows by a character whenever chance repeats itself. */
function freshId(state: State, name: string, context: Context): string {
  const letters = "23456789abcdefghjkmnpqrstuvwxyz"; // no 0/o, 1/l/i: ids are read aloud
  let id = `${name}-`;
  for (let length = 0; length < 4 || state.runsById.has(id); length++) id += letters[Math.floor(context.random() * letters.length)];
  return id;
}

export interface Addition {
  readonly run: string;
  readonly jobs: readonly JobSpec[];
  /** As in a submission. */
  readonly jobBytes?: number;
}

export function decideAddJobs(state: State, request: Addition, context: Context): Event[] {
  const run = findRun(state, request.run);
  if (run.status !== "RUNNING" || run.cancelling) throw new Refusal("CONFLICT", `Cannot add jobs to ${run.id}: it is ${run.cancelling ? "being cancelled" : run.status}`);
  const from = run.jobs.length;
  const doing = `add jobs to ${run.id}`;
  const bytes = request.jobBytes ?? jobsMemory(request.jobs);
  checkRoom(state, { runs: 0, bytes, doing }, context);
  checkJobs(request.jobs, { from, doing });
  const ids = new Set<string>();
  for (const [offset, job] of request.jobs.entries()) {
    if (run.dag.indexOf(job.id) !== undefined || ids.has(job.id)) throw new Refusal("INVALID", `Cannot add jobs to ${run.id}: it has a job "${job.id}" already`);
    ids.add(job.id);
    // Only backwards: then the order of the list is a topological order, and no new cycle is possible.
    for (const parent of job.dependsOn) if (parent >= from + offset) throw new Refusal("INVALID", `Cannot add jobs to ${run.id}: "${job.id}" depends on a job that comes later in the list`);
  }
  checkRequirements(state, request.jobs);
  const added: Event = {
    type: "JobsAdded", run: run.number, at: context.now, jobs: [...request.jobs],
  };
  return [...makeRoom(state, bytes, context), added];
}

/** Cancels a run, or one job of it. Cancelling what has ended is not an error, and changes nothing. */
export function decideCancel(state: State, target: { run: string; job?: string | undefined }, context: Context): Event[] {
  const run = findRun(state, target.run);
  const jobs = target.job === undefined ? run.jobs : [findJob(run, target.job)];
  // One that runs is asked once. One that waits and is marked comes from the log of an older
  // version: this ends it.
  const asked = (job: Job) => job.cancelling && job.status === "RUNNING";
  const open = jobs.filter((job) => !isTerminal(job.status) && !asked(job)).map((job) => job.index);
  if (open.length === 0) return [];
  const whole = target.job === undefined;
  return [{ type: "JobsCancelled", run: run.number, at: context.now, jobs: open, whole }];
}

/** The first answer counts; whoever comes later is told what it was. */
export function decideGate(
  state: State, answer: { gate: string; approve: boolean; by: string; comment: string }, context: Context,
): { events: Event[]; decision: Decision } {
  const slash = answer.gate.lastIndexOf("/");
  if (slash < 0) throw new Refusal("INVALID", `Cannot answer gate "${answer.gate}": a gate is named RUN/JOB`);
  const run = findRun(state, answer.gate.slice(0, slash));
  const job = findJob(run, answer.gate.slice(slash + 1));
  if (job.decision !== undefined) return { events: [], decision: { ...job.decision, already: true } };
  if (job.status !== "WAITING") throw new Refusal("CONFLICT", `Cannot answer gate ${answer.gate}: the job is ${job.status} and waits for nobody`);
  const { approve, by, comment } = answer;
  return {
    events: [{ type: "GateDecided", run: run.number, job: job.index, approve, by, comment, at: context.now }],
    decision: { approved: approve, by, comment, at: context.now, already: false },
  };
}

// ── attempts ─────────────────────────────────────────────────────────────────────────────────────

// #region finish
/**
 * A worker says how an attempt ended. Undefined: it is not this worker's attempt any more (or it was never), so the
 * report is refused. This comparison is the fence: three numbers, and no clock.
 */
export function decideFinish(state: State, report: Report, from: { worker: number } & Context): Event | undefined {
  // #exercise decideFinish
  const job = attemptOf(state, report);
  if (job === undefined || job.worker !== from.worker) return undefined;
  const { run, job: index, attempt } = report;
  const at = from.now;
  if (job.cancelling) return { type: "JobStopped", run, job: index, attempt, at };
  const found = report.failure ?? tooMuch(state, job.run, report.result, from);
  if (found === undefined) {
    return { type: "JobSucceeded", run, job: index, attempt, at, result: report.result };
  }
  const failure = keptFailure(state, found, from);
  const policy = job.spec.retry ?? DEFAULT_RETRY;
  // A lost worker cannot report itself lost. If we believed it, the job would be tried again at
  // once, for free, without end.
  const kind = failure.kind === "worker-lost" ? "internal" : failure.kind;
  const next = verdict(policy, { attempt: job.failures + 1, kind, budget: job.run.budget, random: from.random });
  const retryAt = next.retry ? at + next.delayMs : undefined;
  // DEAD is for jobs that were given more than one try and used them up.
  const dead = !next.retry && next.why !== "permanent" && policy.maxAttempts > 1;
  return { type: "JobFailed", run, job: index, attempt, at, failure, retryAt, dead };
  // #end-exercise
}
// #endregion

/** Of an attempt that is not the latest one, or was forgotten, nobody can ask any more. */
export function decideOutputLost(
  state: State, key: AttemptKey, lost: LostOutput & Context,
): Event[] {
  const { run, job, attempt } = key;
  if (state.runs.get(run)?.jobs[job]?.attempt !== attempt) return [];
  return [
    { type: "OutputLost", run, job, attempt, at: lost.now, bytes: lost.bytes, why: lost.why },
  ];
}

function attemptOf(state: State, key: AttemptKey): Job | undefined {
  const job = state.runs.get(key.run)?.jobs[key.job];
  return job?.status === "RUNNING" && job.attempt === key.attempt ? job : undefined;
}

// #region schedule
/**
 * The next attempt that can start now, or undefined. Called again after every event it returns, so each choice sees
 * the effect of the one before.
 *
 * Among the queues whose requirement has a free worker, the job with the highest priority wins; between equals, the one that has waited
 * longest. The cost is one look per non-empty queue, whatever the number of jobs and workers.
 */
export function nextStart(state: State, now: number): Event | undefined {
  // #exercise nextStart
  const key = state.ready.best((requirement) => state.router.hasFree(requirement));
  if (key === undefined) return undefined;
  const job = state.ready.peek(key);
  const worker = state.router.pick(key);
  invariant(job !== undefined && worker !== undefined, "a queue that was chosen has a job and a worker for it");
  return { type: "JobStarted", run: job.run.number, job: job.index, attempt: job.attempt + 1, worker, at: now };
  // #end-exercise
}
// #endregion

// ── workers ──────────────────────────────────────────────────────────────────────────────────────

export interface WorkerOffer {
  readonly instance: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly slots: number;
  readonly version: string;
}

export function decideJoin(state: State, offer: WorkerOffer, context: Context): { event: Event; worker: number } {
  if (state.workers.size >= MAX_WORKERS) throw new Refusal("OVERLOADED", `Cannot register worker: ${MAX_WORKERS} are registered already`);
  const worker = state.nextWorker;
  const { instance, slots, version } = offer;
  const name = offer.name === "" ? `w${worker}` : offer.name;
  return { worker, event: { type: "WorkerJoined", worker, instance, name, tags: [...offer.tags], slots, version, at: context.now } };
}

/**
 * A worker is gone: each of its attempts ends, and the job goes back to the queue. `blamed` (default): nobody knows why it went, so it
 * may have been one of its jobs.
 */
export function decideLose(state: State, gone: { worker: number; reason: string; blamed?: boolean }, context: Context): Event[] {
  const worker = state.workers.get(gone.worker);
  if (worker === undefined) return [];
  const events: Event[] = [];
  for (const job of worker.jobs) events.push(lost(job, { at: context.now, blamed: gone.blamed ?? true }));
  events.push({ type: "WorkerLost", worker: worker.id, reason: gone.reason, at: context.now });
  return events;
}

/** The same for single attempts, when a worker comes back and does not know of them: they never arrived, so they did no harm. */
export function decideForgotten(state: State, from: { worker: number; running: readonly AttemptKey[] }, context: Context): Event[] {
  const worker = state.workers.get(from.worker);
  const known = new Set(from.running.map(({ run, job, attempt }) => `${run}/${job}/${attempt}`));
  return [...(worker?.jobs ?? [])]
    .filter((job) => !known.has(`${job.run.number}/${job.index}/${job.attempt}`))
    .map((job) => lost(job, { at: context.now, blamed: false }));
}

// #region stale
/** …and those that it still runs although the master has given them to somebody else. */
export function staleAttempts(state: State, from: { worker: number; running: readonly AttemptKey[] }): AttemptKey[] {
  return from.running.filter((key) => attemptOf(state, key)?.worker !== from.worker);
}
// #endregion

function lost(job: Job, how: { at: number; blamed: boolean }): Event {
  // A job that takes down one worker after another is quarantined, before it has had them all.
  const dead = how.blamed && !verdict(DEFAULT_RETRY, { attempt: job.failures, kind: "worker-lost", losses: job.losses + 1 }).retry;
  return { type: "JobLost", run: job.run.number, job: job.index, attempt: job.attempt, at: how.at, dead, blamed: how.blamed };
}

/** A person wants a worker to get nothing new (or, `undo`, to get work again). By name, or by number if no name is like it. */
export function decideDrain(state: State, wish: { worker: string; undo: boolean }, context: Context): { events: Event[]; worker: Worker } {
  const worker = findWorker(state, wish.worker);
  if (worker.draining === !wish.undo) return { events: [], worker };
  return { events: [{ type: "WorkerDrained", worker: worker.id, on: !wish.undo, at: context.now }], worker };
}

// ── time ─────────────────────────────────────────────────────────────────────────────────────────

/** What the clock has made true. `state.delayed.nextAt` says when to call again. */
export function decideTick(state: State, context: Context): Event[] {
  const events: Event[] = [];
  if ((state.delayed.nextAt ?? Infinity) > context.now) return events;
  for (const job of state.gates) {
    if (job.deadline > context.now) continue;
    // Fails closed: nobody said yes.
    const comment = `nobody answered within ${job.spec.gate!.maxWaitMs / 1000} s`;
    events.push({ type: "GateDecided", run: job.run.number, job: job.index, approve: false, by: "titan", comment, at: context.now });
  }
  events.push({ type: "TimePassed", at: context.now });
  return events;
}

// ── names ────────────────────────────────────────────────────────────────────────────────────────

export function findRun(state: State, id: string): Run {
  const run = state.runsById.get(id);
  if (run === undefined) throw new Refusal("NOT_FOUND", `Cannot find run "${id}"${state.runs.size === 0 ? ": there are no runs" : ""}`);
  return run;
}

export function findWorker(state: State, named: string): Worker {
  const called = [...state.workers.values()].filter((worker) => worker.name === named);
  if (called.length > 1) {
    throw new Refusal("CONFLICT", `Cannot choose a worker: "${named}" is the name of ${called.length} (give a number: ${called.map(({ id }) => id).slice(0, MAX_LISTED).join(", ")})`);
  }
  const worker = called[0] ?? (/^\d{1,10}$/.test(named) ? state.workers.get(Number(named)) : undefined);
  if (worker === undefined) throw new Refusal("NOT_FOUND", `Cannot find worker "${named}"${state.workers.size === 0 ? ": there are no workers" : ""}`);
  return worker;
}

export function findJob(run: Run, id: string): Job {
  const index = run.dag.indexOf(id);
  if (index === undefined) throw new Refusal("NOT_FOUND", `Cannot find job "${id}" in run ${run.id}`);
  return run.jobs[index]!;
}

