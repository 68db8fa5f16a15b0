/**
 * Lesson 10: what people want of runs (submit, add, cancel), and what time does to them. A person's
 * retry and answers to gates have files of their own (retry.ts, decide-gates.ts).
 *
 * Test: test/10-master.transcripts.test.ts, test/10-master.test.ts
 */
import type { Recall } from "#retry";
import { isOpenRun, isTerminal, PipelineSpec } from "#wire";
import { isAtGate } from "./agent-state.ts";
import { checkGraph, checkJobs, checkRequirements, MAX_WAIT_MS, unfitName } from "./check.ts";
import { checkInputs } from "./check-files.ts";
import { checkServices } from "./check-service.ts";
import type { CommandOf } from "./command.ts";
import { closeAskAtDeadline } from "./decide-asks.ts";
import { admitAgent, deadlineNews, findGroup } from "./decide-budget.ts";
import { closeGate } from "./decide-gates.ts";
import { NO_EFFECTS, NOTHING, onlyEvents, placed, type DecidedOn, type Effect } from "./effect.ts";
import type { Event, EventOf } from "./events.ts";
import { neverScheduled } from "./explain.ts";
import { findJob, findRun } from "./find.ts";
import { checkGrowth, grown } from "./growth.ts";
import { DEFAULT_UPDATE_MS } from "./limits.ts";
import { jobsMemory, runMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom, digestOf, makeRoom } from "./room.ts";
import { type Job, type OpenAsk, type Run, type State } from "./state.ts";

// #region submit
/** Accepts a pipeline, or finds the run that an earlier submission with the same key made. */
export function decideSubmit(
  state: State, submission: CommandOf<"Submit">, context: Context,
): DecidedOn<"Submit"> {
  const { spec, key, by } = submission;
  const known = key === undefined ? undefined : state.runsByKey.get(key);
  const belongs = `Cannot submit pipeline "${spec.name}": key "${key}" belongs to`;
  if (known !== undefined) {
    // The first run's answer would be wrong for this pipeline, and a second run wrong for the key
    // (lesson 09).
    if (!PipelineSpec.encode(spec).equals(PipelineSpec.encode(known.spec))) {
      throw new Refusal("CONFLICT", `${belongs} run ${known.id}, ${ANOTHER}`);
    }
    const replaces = known.update?.replaces;
    const reply = {
      run: known.id, existing: true, warnings: [], ...(replaces !== undefined && { replaces }),
    };
    return { events: [], effects: NO_EFFECTS, reply };
  }
  const kept = recallKey(state, submission, context);
  if (kept.kind === "repeat") {
    const warning = `Run ${kept.answer}, which key "${key}" made, has ended and is forgotten`;
    const reply = { run: kept.answer, existing: true, warnings: [warning], forgotten: true };
    return { events: [], effects: NO_EFFECTS, reply };
  }
  const wrong = unfitName(spec.name);
  if (wrong !== undefined) {
    const named = JSON.stringify(spec.name);
    throw new Refusal("INVALID", `Cannot submit pipeline ${named}: its name ${wrong}`);
  }
  const doing = `submit pipeline "${spec.name}"`;
  const bytes = runMemory(key, spec) + (submission.jobBytes ?? jobsMemory(spec.jobs));
  checkRoom(state, { runs: 1, bytes, doing }, context);
  // Not earlier: jobs that are too heavy are not there, and then the pipeline is no other one.
  if (kept.kind === "conflict") {
    throw new Refusal("CONFLICT", `${belongs} a run that is forgotten, ${ANOTHER}`);
  }
  const { strict, updateMs } = submission;
  return acceptRun(state, { spec, key, by, strict, updateMs, doing, bytes }, context);
}
// #endregion

interface Request {
  readonly spec: PipelineSpec;
  readonly key: string | undefined;
  readonly by: string | undefined;
  readonly strict: boolean;
  readonly updateMs: number | undefined;
  readonly doing: string;
  /** What it takes in memory, if there is room for it. */
  readonly bytes?: number;
}

/** A new run, which may take the place of another one. Its key is known to be new. */
export function acceptRun(
  state: State, request: Request, context: Context,
): DecidedOn<"Submit"> {
  const { spec, key, updateMs = DEFAULT_UPDATE_MS } = request;
  const bytes = request.bytes ?? weigh(state, request, context);
  const { what, warnings, replaced, news } = newRun(state, request, context);
  const { run, id, at, by } = what;
  const { events, effects } = makeRoom(state, bytes, context);
  const reply = { run: id, existing: false, warnings };
  if (replaced === undefined) {
    const submitted: Event = { type: "RunSubmitted", run, id, key, at, spec, by };
    return { events: [...events, submitted, ...news], effects, reply };
  }
  const update: Event = {
    type: "UpdateSubmitted", ...what, replaces: replaced.number, deadline: at + updateMs,
  };
  const place = { ...reply, replaces: replaced.id };
  return { events: [...events, update, ...news], effects, reply: place };
}

/** @throws {Refusal} there is no room for it */
function weigh(state: State, { spec, key, doing }: Request, context: Context): number {
  const bytes = runMemory(key, spec) + jobsMemory(spec.jobs);
  checkRoom(state, { runs: 1, bytes, doing }, context);
  return bytes;
}

interface NewRun {
  readonly what: Omit<EventOf<"RunSubmitted">, "type">;
  readonly warnings: string[];
  /** The run whose place it takes. */
  readonly replaced: Run | undefined;
  /** What its agent run has to say about it. */
  readonly news: Event[];
}

/** Checks all that a run has to be before it is one. There is known to be room for it. */
export function newRun(state: State, request: Request, context: Context): NewRun {
  const { spec, key, by, strict, updateMs = DEFAULT_UPDATE_MS, doing } = request;
  checkJobs(spec.jobs, { from: 0, doing }, context);
  checkGraph(spec);
  if (spec.jobs.some(({ files }) => files !== undefined)) {
    checkInputs({
      count: spec.jobs.length, spec: (index) => spec.jobs[index]!,
      parents: (index) => spec.jobs[index]!.dependsOn,
    }, { from: 0, doing });
  }
  const replaced = checkServices(state, spec.jobs, { already: 0, doing, mayReplace: true });
  if (updateMs > MAX_WAIT_MS) {
    throw new Refusal("INVALID", `Cannot ${doing}: ${updateMs} ms are more than ${MAX_WAIT_MS}`);
  }
  checkRequirements(state, spec.jobs);
  const warnings = neverScheduled(state, spec.jobs);
  if (strict && warnings.length > 0) throw new Refusal("UNSCHEDULABLE", warnings.join("\n"));
  const id = freshId(state, spec.name, context);
  const what = { run: state.nextRun, id, key, at: context.now, spec, by };
  return { what, warnings, replaced, news: admitAgent(state, { spec, id, doing }, context) };
}

const ANOTHER = "which is of another pipeline or another state of its files";

/** Whether this key made a run that is forgotten by now. */
function recallKey(
  state: State, { key, spec }: CommandOf<"Submit">, { now: nowMs }: Context,
): Recall<string> {
  // Most keys are new, and then the digest of the request is not worth its time.
  if (key === undefined || state.keys.recall(key, { nowMs }).kind === "new") return NEW;
  return state.keys.recall(key, { request: digestOf(spec), nowMs });
}

const NEW: Recall<string> = { kind: "new" };

/**
 * `nightly-7k2m`: short enough to say over the phone. Grows by a letter when chance repeats itself.
 */
function freshId(state: State, name: string, context: Context): string {
  const letters = "23456789abcdefghjkmnpqrstuvwxyz"; // no 0/o, 1/l/i: ids are read aloud
  const letter = (): string => letters[Math.floor(context.random() * letters.length)]!;
  let id = `${name}-${letter()}${letter()}${letter()}${letter()}`;
  while (state.runsById.has(id) || state.groups.has(id)) id += letter();
  return id;
}

export function decideAddJobs(
  state: State, request: CommandOf<"AddJobs">, context: Context,
): DecidedOn<"AddJobs"> {
  const { jobs } = request;
  const run = findRun(state, request.run);
  const doing = `add jobs to ${run.id}`;
  const growth = checkGrowth(state, run, { ...request, doing }, context);
  const what = { run: run.number, at: context.now, jobs: [...jobs] };
  const { edges } = growth;
  const added: Event = edges.length === 0
    ? { type: "JobsAdded", ...what }
    : { type: "JobsInserted", ...what, edges };
  return { ...grown(growth, run, added), reply: { jobs: jobs.length } };
}

// #region cancel
/**
 * Cancels a run, or one job of it. To cancel what has ended is not an error, and changes nothing.
 */
export function decideCancel(
  state: State, target: CommandOf<"Cancel">, context: Context,
): DecidedOn<"Cancel"> {
  const run = findRun(state, target.run);
  const jobs = target.job === undefined ? run.jobs : [findJob(run, target.job)];
  // One that runs is asked once. One that waits and is marked comes from the log of an older
  // version: this ends it.
  const asked = (job: Job) => job.cancelling && job.status === "RUNNING";
  const open = jobs.filter((job) => !isTerminal(job.status) && !asked(job));
  if (open.length === 0) return { events: [], effects: NO_EFFECTS, reply: { jobs: 0 } };
  const cancelled: Event = {
    type: "JobsCancelled", run: run.number, at: context.now,
    jobs: open.map((job) => job.index), whole: target.job === undefined,
  };
  // The others have ended with this event. These end when their processes are gone.
  const attempts = open.filter((job) => job.status === "RUNNING").map(placed);
  return {
    events: [cancelled],
    effects: attempts.length === 0 ? NO_EFFECTS : [{ type: "Kill", attempts }],
    reply: { jobs: open.length },
  };
}
// #endregion

/** All runs of an agent run. */
export function decideCancelGroup(
  state: State, wish: CommandOf<"CancelGroup">, context: Context,
): DecidedOn<"CancelGroup"> {
  const group = findGroup(state, wish.group);
  const open = [...group.runs].filter(({ status }) => isOpenRun(status));
  const events: Event[] = [];
  const effects: Effect[] = [];
  let jobs = 0;
  for (const { id: run } of open) {
    const decided = decideCancel(state, { type: "Cancel", run }, context);
    events.push(...decided.events);
    effects.push(...decided.effects);
    jobs += decided.reply.jobs;
  }
  return { events, effects, reply: { group: group.id, runs: open.length, jobs } };
}

/** What the clock has made true. `nextTime` says when to tick again. */
export function decideTick(
  state: State, _: CommandOf<"Tick">, context: Context,
): DecidedOn<"Tick"> {
  const { now } = context;
  const deadlines = deadlineNews(state, now);
  if (nextTime(state) > now) return deadlines.length === 0 ? NOTHING : onlyEvents(deadlines);
  // Only what is due is looked at: a hundred thousand gates may be open. The order of the heaps
  // depends on how they came to be, and is not to be seen.
  const gates = new Set<Job>();
  for (const job of state.delayed.due(now)) {
    if (isAtGate(job) && job.deadline <= now) gates.add(job);
  }
  const asks = [...state.closing.due(now)].filter(({ open }) => open);
  const events: Event[] = [
    ...deadlines,
    ...[...gates].sort(byDeadline).map((job) => closeGate(job, now)),
    ...asks.sort(byClosing).map((ask) => closeAskAtDeadline(ask, now)),
  ];
  return onlyEvents([...events, { type: "TimePassed", at: now }]);
}

/** When the clock makes something true next: ms since 1970, or Infinity. */
export function nextTime({ delayed, closing }: State): number {
  return Math.min(delayed.nextAt ?? Infinity, closing.nextAt ?? Infinity);
}

function byDeadline(a: Job, b: Job): number {
  return a.deadline - b.deadline || byNumber(a, b);
}

function byClosing({ job: a, ask: { deadline, key } }: OpenAsk, b: OpenAsk): number {
  return deadline - b.ask.deadline || byNumber(a, b.job) || (key < b.ask.key ? -1 : 1);
}

function byNumber(a: Job, b: Job): number {
  return a.run.number - b.run.number || a.index - b.index;
}
