/**
 * Lesson 14: what follows when a service says how it is, when one of its attempts ends, and when a
 * person wants it stopped or started anew.
 *
 * Invariants: news about an attempt counts if the attempt runs and belongs to the worker that
 * brings it, as a report does; news that changes nothing is no event; a stop ends a service as
 * COMPLETED, because somebody meant it, whether it has started or not.
 * Cost: a service is found among those of its name, and not among all runs.
 * Test: test/14-services.core.test.ts
 */
import {
  nextPhase, restartDecision, type Ending as ServiceEnding, type PhaseNews,
} from "#services";
import { randomFrom } from "#retry";
import type { Failure, Report, ServicePhase, ServicesMeant } from "#wire";
import { sentence } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NO_EFFECTS, NOTHING, onlyEvents, placed, type DecidedOn, type Effect } from "./effect.ts";
import type { Event, EventOf } from "./events.ts";
import { runningAttempt } from "./find.ts";
import { Refusal, type Context } from "./refusal.ts";
import { keptFailure } from "./room.ts";
import { isForgiven, isStopping } from "./service-state.ts";
import { type Job, type Run, type State } from "./state.ts";
import { isReachable, keepsForRollback, newest, openReplicas } from "./versions.ts";

type Ending = EventOf<"JobSucceeded" | "JobFailed" | "JobStopped">;

const NEWS: Partial<Record<ServicePhase, PhaseNews>> = {
  READY: "healthy", UNHEALTHY: "unhealthy",
};

// #region health
/** A worker says how a service is: the same fence as for a report of its end. */
export function decideHealth(
  state: State, { worker, host, report }: CommandOf<"Health">, context: Context,
): DecidedOn<"Health"> {
  const job = runningAttempt(state, report);
  const known = job?.service;
  if (job === undefined || known === undefined || job.worker !== worker) return NOTHING;
  const { run, job: index, attempt, port, pid, reason } = report;
  const news = NEWS[report.phase];
  const moves = news !== undefined && nextPhase(known.phase, news) !== undefined;
  const isNew = known.port !== port || known.pid !== pid || known.host !== host;
  if (!moves && !isNew) return NOTHING;
  const phase = moves ? report.phase : known.phase;
  return onlyEvents([{
    type: "ServiceHealth", run, job: index, attempt, at: context.now, phase, host, port, pid,
    reason,
  }]);
}
// #endregion

// #region ending
/** An attempt of a service has ended: how does its life go on? */
export function decideServiceEnd(
  state: State, job: Job, end: { report: Report; context: Context },
): Ending {
  const { report, context } = end;
  const { run, job: index, attempt } = report;
  const at = context.now;
  const key = { run, job: index, attempt, at };
  if (isStopping(job)) return { type: "JobStopped", ...key };
  if (job.service!.asked === "restart") {
    return { type: "JobFailed", ...key, failure: WANTED, retryAt: at, dead: false };
  }
  const failure = keptFailure(state, report.failure ?? ENDED, context);
  const decision = restartDecision(job.spec.service!.restart, {
    how: howOf(report.failure),
    wasReady: job.service!.settled,
    failures: isForgiven(job, at) ? 1 : job.failures + 1,
    restarts: job.service!.restartTimes,
    at,
    // The attempt's name is its chance, as for every other job.
    random: randomFrom(`${job.run.id}/${job.spec.id}/${attempt}`),
  });
  if (decision.restart) {
    return { type: "JobFailed", ...key, failure, retryAt: at + decision.delayMs, dead: false };
  }
  if (decision.as === "STOPPED") return { type: "JobSucceeded", ...key, result: undefined };
  const message = sentence(`${failure.message} (not started again: ${decision.why})`);
  return { type: "JobFailed", ...key, failure: { ...failure, message }, dead: false };
}
// #endregion

/** Exit 0 is no failure of a job, and for a service it is an end that nobody wanted. */
const ENDED: Failure = {
  kind: "exit", message: "ended with exit code 0 (a service stays in the foreground)", exitCode: 0,
};

/** No failure at all, and the end of an attempt that is followed by another one. */
const WANTED: Failure = { kind: "cancelled", message: "somebody restarted it" };

function howOf(failure: Failure | undefined): ServiceEnding["how"] {
  switch (failure?.kind) {
    case undefined: return "done";
    case "port-taken": return "blocked";
    case "not-found":
    case "not-executable":
    case "unsupported":
    case "bad-input": return "hopeless";
    default: return "failed";
  }
}

// ── people ───────────────────────────────────────────────────────────────────────────────────────

/**
 * Stops services for good. One that runs is over when its process is gone. By the name of a
 * deployed service: every version of it that is there, so an update is called off; and if it had
 * failed, nothing is kept for a rollback any more.
 */
export function decideStop(
  state: State, wish: CommandOf<"Stop">, context: Context,
): DecidedOn<"Stop"> {
  const { name, by } = wish;
  const named = state.runsById.has(name) ? undefined : state.names.get(name);
  const at = context.now;
  const given: Event[] = named !== undefined && keepsForRollback(named)
    ? [{ type: "NameLetGo", name, at, by }] : [];
  const letGo = given.length > 0 ? { letGo: true } : {};
  if (named !== undefined && given.length > 0 && !state.deployed.has(name)) {
    const reply = { run: named.current.id, services: [name], replicas: 0, ...letGo };
    return { events: given, effects: NO_EFFECTS, reply };
  }
  const { jobs, reply } = meant(state, name, "stop");
  const { run } = jobs[0]!;
  const others = named === undefined ? [] : otherVersions(state, name, run);
  const fresh = [...jobs, ...others].filter(({ cancelling, service }) =>
    !cancelling && service?.asked !== "stop");
  const calledOff = named?.next === undefined ? {} : { calledOff: named.next.id };
  return {
    events: [...byRun(fresh, (what) =>
      ({ type: "ReplicasRetired", ...what, at, by, how: "stop" } as const)), ...given],
    effects: killing(fresh),
    reply: { ...reply, ...calledOff, ...letGo },
  };
}

/** Starts services anew, at once. */
export function decideRestart(
  state: State, { name, by }: CommandOf<"Restart">, { now: at }: Context,
): DecidedOn<"Restart"> {
  const { jobs, reply } = meant(state, name, "restart");
  const fresh = jobs.filter((job) =>
    !job.cancelling && job.service?.asked !== "restart" && !isStopping(job));
  const events = byRun(fresh, (what) => ({ type: "ServicesRestarted", ...what, at, by } as const));
  return { events, effects: killing(fresh), reply };
}

function meant(
  state: State, name: string, doing: string,
): { jobs: Job[]; reply: Pick<ServicesMeant, "run" | "services" | "replicas"> } {
  const jobs = findServices(state, name, doing);
  const services = [...new Set(jobs.map(({ spec }) => spec.service!.name))];
  return { jobs, reply: { run: jobs[0]!.run.id, services, replicas: jobs.length } };
}

/** An event for each run that has some of these jobs. */
export function byRun<E extends Event>(
  jobs: readonly Job[], eventOf: (what: { run: number; jobs: number[] }) => E,
): E[] {
  return [...new Set(jobs.map((job) => job.run))].map((run) => {
    const ofRun = jobs.filter((job) => job.run === run).map(({ index }) => index);
    return eventOf({ run: run.number, jobs: ofRun });
  });
}

/** Those of them that run are to end. */
export function killing(jobs: readonly Job[]): readonly Effect[] {
  const attempts = jobs.filter(({ status }) => status === "RUNNING").map(placed);
  return attempts.length === 0 ? NO_EFFECTS : [{ type: "Kill", attempts }];
}

/**
 * The replicas that new connections may go to: those that are READY and stay, named as for a stop;
 * of a deployed service those of the current version. None: there is such a service, and it cannot
 * be reached now.
 *
 * @throws {Refusal} NOT_FOUND, CONFLICT
 */
export function reachable(state: State, name: string): Job[] {
  return findServices(state, name, "forward").filter((job) => isReachable(state, job));
}

function otherVersions(state: State, name: string, than: Run): Job[] {
  return [...(state.deployed.get(name) ?? [])].filter(({ run }) => run !== than)
    .sort((a, b) => a.run.number - b.run.number || a.index - b.index);
}

/** By the name of a service, RUN, or RUN/JOB (a replica, or a service with all its replicas). */
export function findServices(state: State, name: string, doing: string): Job[] {
  const refuse = (code: Refusal["code"], why: string): Refusal =>
    new Refusal(code, `Cannot ${doing} "${name}": ${why}`);
  const slash = name.indexOf("/");
  const run = state.runsById.get(slash < 0 ? name : name.slice(0, slash));
  if (run !== undefined) {
    const id = slash < 0 ? undefined : name.slice(slash + 1);
    const open = [...run.services].sort((a, b) => a.index - b.index);
    const one = open.filter(({ spec }) => spec.id === id);
    if (one.length > 0 && one[0]!.spec.service!.name !== id) return one;
    const meant = open.filter(({ spec }) => id === undefined || spec.service!.name === id);
    if (meant.length > 0) return meant;
    const what = id === undefined ? "it has no service" : `it has no service "${id}"`;
    throw refuse("NOT_FOUND", `${what} that goes on`);
  }
  if (slash >= 0) throw refuse("NOT_FOUND", `there is no run "${name.slice(0, slash)}"`);
  const named = state.deployed.has(name) ? state.names.get(name) : undefined;
  // If the current version is over, there is one that was to follow, or there are some that end.
  const left = [...(state.deployed.get(name) ?? [])].map((job) => job.run);
  for (const version of [named?.current, named?.next, newest(left)]) {
    const replicas = version === undefined ? [] : openReplicas(version, name);
    if (replicas.length > 0) return replicas;
  }
  const runs = [...new Set([...(state.services.get(name) ?? [])].map((job) => job.run))]
    .sort((a, b) => a.number - b.number);
  if (runs.length === 0) {
    const over = state.names.get(name)?.current;
    throw refuse("NOT_FOUND", over === undefined ? "there is no such service, and no such run"
      : `it is over: ${over.id} is ${over.status}`);
  }
  if (runs.length > 1) {
    const ids = runs.slice(0, MAX_NAMED).map(({ id }) => `${id}/${name}`).join(", ");
    const more = runs.length > MAX_NAMED ? ` and ${runs.length - MAX_NAMED} more` : "";
    throw refuse("CONFLICT", `${runs.length} runs have one: ${ids}${more}`);
  }
  return findServices(state, `${runs[0]!.id}/${name}`, doing);
}

const MAX_NAMED = 5;
