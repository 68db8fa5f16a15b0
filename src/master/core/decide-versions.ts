/**
 * Lesson 14: another version of a service, the version before, another number of replicas; and how
 * updates and drains go on.
 *
 *     UpdateSubmitted ─ all replicas READY ─▶ UpdateDone ─ connections ended ─▶ ReplicasRetired
 *            └── one has failed, or the deadline has passed ─▶ UpdateFailed    (of the old ones)
 *
 * Nothing of an update is in the command that began it: `decideAdvance` looks at the state, after
 * whatever has happened. So a master that starts again goes on where the last one was.
 *
 * Invariants: the old version is untouched until every replica of the new one is READY on a worker
 * that is here; one update of a name at a time.
 * Test: test/14-services.versions.test.ts
 */
import {
  isTerminal, MAX_REASON_BYTES, MAX_REPLICAS, MAX_SERVICES, type JobSpec, type PipelineSpec,
  type RolledBack,
} from "#wire";
import { checkJobs, sentence } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { admitJobs } from "./decide-budget.ts";
import { acceptRun } from "./decide-runs.ts";
import { byRun, findServices, killing } from "./decide-services.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn, type Effect } from "./effect.ts";
import type { Event } from "./events.ts";
import { reasonOf } from "./explain.ts";
import { jobsMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom, makeRoom } from "./room.ts";
import { SHORT_REASON_CHARS } from "./service-state.ts";
import type { Job, Run, State } from "./state.ts";
import { deployedReplicas, isUp, namesOf, openReplicas, stayingReplicas } from "./versions.ts";

// ── another number of replicas ───────────────────────────────────────────────────────────────────

/** Adds replicas, or lets the newest ones drain. */
export function decideScale(
  state: State, wish: CommandOf<"Scale">, context: Context,
): DecidedOn<"Scale"> {
  const { replicas, by } = wish;
  const doing = `scale "${wish.name}"`;
  if (!(replicas >= 1 && replicas <= MAX_REPLICAS)) {
    const advice = replicas === 0 ? ` (titan stop ${wish.name} ends it)` : "";
    const found = `${replicas} replicas are not 1 to ${MAX_REPLICAS}${advice}`;
    throw new Refusal("INVALID", `Cannot ${doing}: ${found}`);
  }
  const { run, name, staying } = scalable(state, wish.name, doing);
  const before = staying.length;
  const drained = staying.slice(replicas);
  const again = endedReplicas(run, name).slice(0, Math.max(0, replicas - before));
  const jobs = newReplicas(run, name, replicas - before - again.length);
  const reply = {
    run: run.id, service: name, before, replicas,
    added: [...again.map(({ spec: { id } }) => id), ...jobs.map(({ id }) => id)],
    stopped: drained.slice(0, MAX_SERVICES).map(({ spec: { id } }) => id),
  };
  const at = context.now;
  const retired: Event[] = byRun(drained, (what) =>
    ({ type: "ReplicasRetired", ...what, at, by, how: "drain" }));
  const returned: Event[] = byRun(again, (what) => ({ type: "RunRetried", ...what, at }));
  if (run.services.size + again.length + jobs.length > MAX_SERVICES) {
    throw new Refusal("INVALID", `Cannot ${doing}: a run has at most ${MAX_SERVICES} services`);
  }
  if (jobs.length === 0) return { events: [...retired, ...returned], effects: NO_EFFECTS, reply };
  const bytes = jobsMemory(jobs);
  checkRoom(state, { runs: 0, bytes, doing }, context);
  checkJobs(jobs, { from: run.jobs.length, doing }, context);
  const news = admitJobs(run, jobs.length, { doing, now: at });
  const { events, effects } = makeRoom(state, bytes, context);
  const grown: Effect = { type: "Notify", run: run.number };
  const scaled: Event = { type: "ServiceScaled", run: run.number, at, jobs, drained: [], by };
  return {
    events: [...events, ...returned, scaled, ...news], effects: [...effects, grown], reply,
  };
}

/** The one service that is meant, if its number may change now. */
function scalable(
  state: State, wanted: string, doing: string,
): { run: Run; name: string; staying: Job[] } {
  const found = findServices(state, wanted, "scale");
  const { run, spec } = found[0]!;
  const { name, deployed } = spec.service!;
  const refuse = (why: string): Refusal => new Refusal("CONFLICT", `Cannot ${doing}: ${why}`);
  if (found.some((job) => job.spec.service!.name !== name)) {
    throw refuse(`${run.id} has more than one service (titan scale ${run.id}/${name} scales one)`);
  }
  const named = deployed ? state.names.get(name) : undefined;
  if (named?.next !== undefined) throw refuse(`${named.next.id} is about to take its place`);
  if (named !== undefined && named.current !== run) {
    throw refuse(`${named.current.id} has taken its place`);
  }
  const staying = stayingReplicas(run, name);
  if (run.cancelling || staying.length === 0) throw refuse("it is being stopped");
  return { run, name, staying };
}

/**
 * Replicas that are over, and can begin anew as by a retry: their next attempt has a number of its
 * own. So a service that is scaled up and down for ever has as many jobs as it had replicas at one
 * time. One for which a job has waited stays as it is: that job may have begun because of it.
 */
function endedReplicas(run: Run, name: string): Job[] {
  return run.replicasOf(name).filter(({ status, index }) =>
    isTerminal(status) && run.dag.children(index).length === 0);
}

/** As the first replica is, by numbers that are free. */
function newReplicas(run: Run, name: string, count: number): JobSpec[] {
  const first = run.replicasOf(name)[0]!.spec;
  const jobs: JobSpec[] = [];
  for (let number = 2; jobs.length < count; number++) {
    const id = `${name}.${number}`;
    if (run.dag.indexOf(id) === undefined) jobs.push({ ...first, id });
  }
  return jobs;
}

// ── the version before ───────────────────────────────────────────────────────────────────────────

/** Deploys the version before the current one again, by an update like any other. */
export function decideRollback(
  state: State, wish: CommandOf<"Rollback">, context: Context,
): DecidedOn<"Rollback"> {
  const { name, key, updateMs, by } = wish;
  const doing = `roll back "${name}"`;
  if (key !== undefined) {
    const before = earlierRollback(state, { name, key, doing }, context);
    if (before !== undefined) return onlyReply(before);
  }
  const named = state.names.get(name);
  if (named === undefined) {
    throw new Refusal("NOT_FOUND", `Cannot ${doing}: no service of this name is deployed`);
  }
  const { previous, current } = named;
  if (previous === undefined) {
    const found = `no version before ${current.id} that was READY is known`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
  }
  const spec = asManyAs(previous, { name, replicas: stayingReplicas(current, name).length });
  const request = { spec, key, by, strict: false, updateMs, doing };
  const { events, effects, reply } = acceptRun(state, request, context);
  const { run, replaces = "" } = reply;
  const { project } = spec;
  const hold: Effect[] = project === undefined ? [] : [{ type: "Hold", blob: project }];
  // Held first: what makes room may forget the version before, and let its project go.
  return { events, effects: [...hold, ...effects], reply: { run, replaces, like: previous.id } };
}

/**
 * The rollback that had this key, of whose answer the client may have heard nothing. The version
 * before may be another one by now, so `like` is empty once the update is over.
 */
function earlierRollback(
  state: State, { name, key, doing }: { name: string; key: string; doing: string },
  { now }: Context,
): RolledBack | undefined {
  const refuse = (whose: string): Refusal =>
    new Refusal("CONFLICT", `Cannot ${doing}: key "${key}" belongs to ${whose}`);
  const run = state.runsByKey.get(key);
  if (run === undefined) {
    if (state.keys.recall(key, { nowMs: now }).kind === "new") return undefined;
    throw refuse("a run that is forgotten");
  }
  if (!namesOf(run).includes(name)) throw refuse(`run ${run.id}, which is none of it`);
  const named = state.names.get(name);
  const like = named?.next === run ? named.previous?.id ?? "" : "";
  return { run: run.id, replaces: run.update?.replaces ?? "", like };
}

/** Its own number of replicas may be from quieter days. */
function asManyAs(
  { spec }: Run, { name, replicas }: { name: string; replicas: number },
): PipelineSpec {
  const [first] = spec.jobs;
  const isAlone = spec.jobs.every(({ service }) => service?.name === name);
  if (!isAlone || replicas === 0) return spec;
  const more = Array.from({ length: replicas - 1 }, (_, at) => `${first!.id}.${at + 2}`);
  return { ...spec, jobs: [first!.id, ...more].map((id) => ({ ...first!, id })) };
}

// ── how they go on ───────────────────────────────────────────────────────────────────────────────

// #region advance
/** What follows for updates and drains from all that has happened, and from the time. */
export function decideAdvance(
  state: State, _: CommandOf<"Advance">, context: Context,
): DecidedOn<"Advance"> {
  const events: Event[] = [];
  const ending: Job[] = [];
  for (const run of state.updates) {
    const event = updateNews(state, run, context);
    if (event?.type === "UpdateDone") events.push(...stopping(unstarted(state, run), context));
    if (event !== undefined) events.push(event);
    if (event?.type === "UpdateFailed") ending.push(...run.jobs);
  }
  const drained = [...state.draining].filter((job) => isDrained(job, context));
  events.push(...stopping(drained, context));
  return { events, effects: killing([...ending, ...drained]), reply: undefined };
}

/** Whether a new version takes its place now, or never. */
function updateNews(state: State, run: Run, context: Context): Event | undefined {
  const { number } = run;
  const at = context.now;
  const services = namesOf(run).flatMap((name) => deployedReplicas(run, name));
  const broken = services.map(whyBroken).find((why) => why !== undefined);
  const failed = (why: string): Event =>
    ({ type: "UpdateFailed", run: number, at, reason: sentence(why, MAX_REASON_BYTES) });
  if (broken !== undefined) return failed(broken);
  const waiting = services.find((job) => !isUp(job) || state.router.isAway(job.worker));
  if (waiting === undefined) return { type: "UpdateDone", run: number, at };
  if (at < deadlineOf(run, context)) return undefined;
  const how = waiting.service?.phase ?? waiting.status;
  const why = shortened(reasonOf(state, waiting, at) || waiting.failure?.message || "");
  return failed(`${waiting.spec.id} is not ready in time: it is ${how}${why && `: ${why}`}`);
}
// #endregion

function stopping(jobs: readonly Job[], { now: at }: Context): Event[] {
  return byRun(jobs, (what) =>
    ({ type: "ReplicasRetired", ...what, at, by: "titan", how: "stop" }));
}

/**
 * Replicas of the version before that have never started: nothing of them can drain. They end just
 * before the name leads to the new version, because that event would cancel them, as it always has.
 */
function unstarted(state: State, run: Run): Job[] {
  return namesOf(run).flatMap((name) => {
    const named = state.names.get(name);
    if (named?.next !== run) return [];
    return openReplicas(named.current, name).filter(({ service }) => service === undefined);
  });
}

/**
 * A new version whose fixed port is another's so many times in a row: most likely the old version
 * has it, and will have it until the new one is READY.
 */
const PORT_TRIES = 3;

/** Why a replica of a new version will never be READY. */
function whyBroken(job: Job): string | undefined {
  const { run, spec, status, service, failure, failures, cancelling } = job;
  const blocked = failure?.kind === "port-taken" && service?.phase === "RESTARTING";
  if (blocked && failures >= PORT_TRIES) {
    return `${spec.id} cannot have its port: ${shortened(failure.message)}`;
  }
  const stopped = cancelling || run.cancelling || service?.asked === "stop";
  if (!isTerminal(status) && !stopped) return undefined;
  if (stopped || status === "CANCELLED") return `somebody has stopped ${spec.id}`;
  if (status === "COMPLETED") return `${spec.id} has ended by itself`;
  const why = failure === undefined ? `it is ${status}` : failure.message;
  return `${spec.id} has failed: ${shortened(why)}`;
}

function shortened(text: string): string {
  return sentence(text.slice(0, SHORT_REASON_CHARS));
}

function isDrained({ run, index, attempt, service }: Job, context: Context): boolean {
  if (service!.drainUntil! <= context.now) return true;
  return (context.connections?.({ run: run.number, job: index, attempt }) ?? 0) === 0;
}

/**
 * A master that was down may have missed that the new version is READY: its workers have the time
 * to come back and to say so.
 */
function deadlineOf({ update }: Run, { returnsUntil = 0 }: Context): number {
  return Math.max(update!.deadline, returnsUntil);
}

/** When time alone changes something, in ms since 1970; Infinity: never. */
export function nextAdvance({ updates, draining }: State, context: Context): number {
  let at = Infinity;
  for (const run of updates) at = Math.min(at, deadlineOf(run, context));
  for (const { service } of draining) at = Math.min(at, service!.drainUntil!);
  return at;
}
