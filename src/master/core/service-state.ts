/**
 * Lesson 14: what the state keeps of a service, and how events change it.
 *
 *     JobStarted ─▶ STARTING ── ServiceHealth ─▶ READY ── JobFailed, JobLost ─▶ RESTARTING ─▶ …
 *                                                  └─ the first time: its children start
 *
 * The scheduler knows a service as a job that runs, waits for its next attempt, or has ended. All
 * else is in a record of its own, so that a job which is no service costs nothing.
 *
 * Invariants: a record is replaced and never changed, because pictures keep old ones (snapshot.ts);
 * nothing here looks at a clock: "healthy for ten seconds" is the distance between two events.
 * Test: test/14-services.core.test.ts
 */
import { FORGIVEN_AFTER_MS, nextPhase, type PhaseNews } from "#services";
import { isTerminal, MAX_RESTART_ATTEMPTS, type JobStatus } from "#wire";
import { touch, type Job, type ServiceRecord, type State } from "./state.ts";
import { claimName, isReachable, isUp, nameReleased } from "./versions.ts";

const NEVER_STARTED: ServiceRecord = {
  phase: "RESTARTING", since: 0, reason: "", settled: false, host: "", port: 0, pid: 0,
  restarts: 0, restartTimes: [], asked: "nothing", drainUntil: undefined,
  surplus: undefined,
};

/** Nobody is there to be reached. */
const NOWHERE = { host: "", port: 0, pid: 0 } as const;

interface Change {
  readonly news: PhaseNews;
  readonly at: number;
  readonly reason?: string;
  readonly with?: Partial<ServiceRecord>;
}

/** A service moves on. News that has no place in its life changes its reason at most. */
export function moveService(state: State, job: Job, change: Change): void {
  touch(state, job);
  const known = job.service ?? NEVER_STARTED;
  const phase = nextPhase(job.service?.phase, change.news) ?? known.phase;
  const moved = phase !== known.phase || job.service === undefined;
  job.service = {
    ...known, ...change.with, phase, since: moved ? change.at : known.since,
    reason: change.reason ?? "",
  };
}

/** An attempt begins. */
export function serviceStarts(state: State, job: Job, at: number): void {
  moveService(state, job, { news: "starts", at, with: { ...NOWHERE, asked: "nothing" } });
}

/** An attempt has ended, and another one follows. */
export function serviceRestarts(
  state: State, job: Job, end: { at: number; reason: string; counted: boolean },
): void {
  const { restarts, restartTimes } = job.service ?? NEVER_STARTED;
  const { at, reason, counted } = end;
  const times = counted ? [...restartTimes, at].slice(-MAX_RESTART_ATTEMPTS) : restartTimes;
  moveService(state, job, {
    news: "restarts", at, reason,
    with: {
      ...NOWHERE, asked: "nothing", restarts: restarts + (counted ? 1 : 0), restartTimes: times,
    },
  });
}

/** A service that has started is about to be over. */
export function serviceEnds(state: State, job: Job, end: { as: JobStatus; at: number }): void {
  const fails = end.as === "FAILED" || end.as === "DEAD";
  const why = fails ? (job.failure?.message ?? "") : end.as === "CANCELLED" ? "cancelled" : "";
  const reason = why.slice(0, SHORT_REASON_CHARS);
  moveService(state, job, { news: fails ? "fails" : "stops", at: end.at, reason, with: NOWHERE });
}

/** Fits into a reason, in any alphabet. */
export const SHORT_REASON_CHARS = 300;

/** Whether its failures so far are forgiven: it was ready for long enough when it ended. */
export function isForgiven({ service }: Job, at: number): boolean {
  return service?.phase === "READY" && at - service.since >= FORGIVEN_AFTER_MS;
}

/** There are too many of it. One that has never started has a record from now on. */
export function scaledAway(state: State, job: Job, at: number): void {
  touch(state, job);
  job.service = { ...(job.service ?? { ...NEVER_STARTED, since: at }), surplus: true };
}

/** Its end, however it comes about, is what somebody wants: no attempt follows. */
export function isStopping({ service }: Job): boolean {
  return service?.asked === "stop" || service?.asked === "drain";
}

/** What a child with `when: success` wants of a parent: it completed, serves, or is too many. */
export function isMet(job: Job): boolean {
  if (isServing(job)) return true;
  if (job.status !== "COMPLETED") return false;
  // One that ended before it was ready has been of no use to anybody, and one that was scaled away
  // is not missed.
  const { service } = job;
  return job.spec.service === undefined || service?.settled === true || service?.surplus === true;
}

/** A service that has been ready and goes on: for its children it is over. */
export function isServing({ status, service }: Job): boolean {
  return service?.settled === true && !isTerminal(status);
}

// ── indexes ──────────────────────────────────────────────────────────────────────────────────────

/** Enters a service that is not over into the lists in which it is looked for. */
export function indexService(state: State, job: Job): void {
  const { service } = job.spec;
  if (service === undefined) return;
  if (isTerminal(job.status)) return;
  job.run.listService(job, true);
  enter(state.services, job, service.name);
  if (!service.deployed) return;
  enter(state.deployed, job, service.name);
  claimName(state, job.run, service.name);
}

/** It is over. */
export function unindexService(state: State, job: Job): void {
  const { service } = job.spec;
  if (service === undefined) return;
  job.run.listService(job, false);
  state.draining.delete(job);
  strike(state.services, job, service.name);
  if (strike(state.deployed, job, service.name)) nameReleased(state, job.run, service.name);
}

type ByName = State["services"];

function enter(list: ByName, job: Job, name: string): void {
  list.set(name, (list.get(name) ?? new Set()).add(job));
}

/** Whether it was in the list. */
function strike(list: ByName, job: Job, name: string): boolean {
  const named = list.get(name);
  if (!named?.delete(job)) return false;
  if (named.size === 0) list.delete(name);
  return true;
}

// #region discovery
/** `TITAN_SERVICE_WEB`, for the service "web". */
export function serviceVariable(name: string): string {
  return `TITAN_SERVICE_${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`;
}

/**
 * Where a job finds the services that are READY: those that are deployed, and those of its own run,
 * which come first where two have one name. Of several replicas each job is told one.
 */
export function serviceEnv(state: State, job: Job): Record<string, string> {
  const found = new Map<string, Job[]>();
  const add = (service: Job): void => {
    if (service === job) return;
    const name = serviceVariable(service.spec.service!.name);
    const same = found.get(name);
    if (same === undefined) found.set(name, [service]);
    else same.push(service);
  };
  for (const named of state.deployed.values()) {
    for (const each of named) if (isReachable(state, each)) add(each);
  }
  // A version that is not current yet is so for its own run.
  const own = [...job.run.services].filter(isUp);
  for (const each of own) found.delete(serviceVariable(each.spec.service!.name));
  for (const each of own) add(each);
  const env: Record<string, string> = {};
  for (const [name, services] of found) {
    services.sort((a, b) => a.run.number - b.run.number || a.index - b.index);
    const { host, port } = services[job.index % services.length]!.service!;
    env[name] = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
  return env;
}
// #endregion

