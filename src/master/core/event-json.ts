/**
 * Lesson 10: events as JSON, for people and programs that follow a cluster: names instead of
 * numbers, and nothing that only the master may know.
 *
 *     JobFailed: [6, {run: 12, job: 3, …}]  ──▶  {"type":"JobFailed","at":…,"run":"shop-7k2m",
 *                                                 "job":"build","attempt":1,"failure":{…}}
 *
 * Invariants: no environment, no input, no result and no value of a form is in it: results are
 * their length in bytes, programs and descriptions of jobs are left out; its size is bounded,
 * however large the event is.
 * Test: test/10-master.facts.test.ts
 */
import type { Event, EventOf } from "./events.ts";
import { stepName } from "./journal.ts";

/** What the numbers of an event mean. */
export interface EventNames {
  run(number: number): string;
  /** The id of a job in its run. */
  jobId(key: { readonly run: number; readonly job: number }): string;
  workerName(number: number): string | undefined;
}

/** Jobs, runs or artifacts that one event names; `count` says how many there are. */
const MAX_NAMED = 100;
/** Characters of a comment, a reason or a message. */
const MAX_TEXT_CHARS = 2048;

/** The number of the run that an event is about, if it is about one. */
export function runOf(event: Event): number | undefined {
  return "run" in event ? event.run : undefined;
}

/** What happened. The keys that most events have come first: type, at, run, job, attempt. */
export function eventJson(event: Event, names: EventNames): Record<string, unknown> {
  const run = runOf(event);
  const [job, attempt] = ["job" in event ? event.job : undefined, attemptOf(event)];
  return {
    type: event.type,
    ...("at" in event && { at: event.at }),
    ...(run !== undefined && { run: names.run(run) }),
    ...(run !== undefined && job !== undefined && { job: names.jobId({ run, job }) }),
    ...(attempt !== undefined && { attempt }),
    ...("worker" in event && { worker: names.workerName(event.worker) ?? `${event.worker}` }),
    ...("by" in event && event.by !== undefined && { by: event.by }),
    ...("reason" in event && { reason: cut(event.reason) }),
    ...restOf(event, names),
  };
}

function attemptOf(event: Event): number | undefined {
  return "attempt" in event ? event.attempt : undefined;
}

function restOf(event: Event, names: EventNames): object {
  switch (event.type) {
    case "RunSubmitted":
      return submitted(event);
    case "UpdateSubmitted":
      return { ...submitted(event), replaces: names.run(event.replaces), deadline: event.deadline };
    case "RunForked":
      return { ...submitted(event), from: names.run(event.from), steps: event.step };
    case "JobsAdded":
    case "JobsInserted":
      return named(event.jobs.map(({ id }) => id));
    case "JobsSpawned":
      return { key: event.key, ...named(event.jobs.map(({ id }) => id)) };
    case "ServiceScaled":
      return { ...named(event.jobs.map(({ id }) => id)), drained: event.drained.length };
    case "JobsCancelled":
    case "JobsMarked":
      return { whole: event.whole, ...jobsNamed(event, names) };
    case "RunRetried":
    case "ServicesStopped":
    case "ServicesRestarted":
      return jobsNamed(event, names);
    case "ReplicasRetired":
      return { how: event.how, ...jobsNamed(event, names) };
    case "RunsForgotten":
    case "RunsLetGo":
      return { runs: first(event.runs.map((run) => names.run(run))), count: event.runs.length };
    case "NameLetGo":
      return { name: event.name };
    default:
      return ofAttempt(event) ?? ofGate(event) ?? ofCluster(event, names) ?? {};
  }
}

function ofAttempt(event: Event): object | undefined {
  switch (event.type) {
    case "JobSucceeded":
      return { resultBytes: event.result?.length ?? 0 };
    case "JobFailed": {
      const { failure, retryAt = null, dead } = event;
      return { failure: { ...failure, message: cut(failure.message) }, retryAt, dead };
    }
    case "JobLost":
      return { dead: event.dead };
    case "NoticeFailed":
      return { why: cut(event.why), retryAt: event.retryAt ?? null };
    case "OutputLost":
      return { bytes: event.bytes, why: event.why };
    case "ServiceHealth":
      return { phase: event.phase, host: event.host, port: event.port };
    case "StepStarted":
      return { step: stepName(event), effect: event.effect };
    case "StepDone":
      return {
        step: stepName(event), resultBytes: event.blob?.size ?? event.result?.length ?? 0,
        usage: event.usage ?? null,
      };
    case "StepFailed":
      return { step: stepName(event), message: cut(event.message), usage: event.usage ?? null };
    case "WaitAsked":
      return { waits: event.waits.map(({ type }) => type) };
  }
  return undefined;
}

function ofGate(event: Event): object | undefined {
  switch (event.type) {
    case "GateDecided":
      return { outcome: event.approve ? "approved" : "rejected", comment: cut(event.comment) };
    case "GateApproved":
      return { comment: cut(event.comment) };
    case "GateClosed":
      return { outcome: event.outcome, comment: cut(event.comment) };
    case "AskOpened":
      return { key: event.key, message: cut(event.gate.message) };
    case "AskApproved":
      return { key: event.key, comment: cut(event.comment) };
    case "AskClosed":
      return { key: event.key, outcome: event.outcome, comment: cut(event.comment) };
  }
  return undefined;
}

function ofCluster(event: Event, names: EventNames): object | undefined {
  switch (event.type) {
    case "WorkerJoined": {
      const { name, tags, slots, version } = event;
      return { worker: name, tags, slots, version };
    }
    case "WorkerDrained":
      return { on: event.on };
    case "LaunchOrdered":
      return { name: event.name, pool: event.pool };
    case "LaunchAnswered":
      return { name: event.name, handle: event.handle };
    case "LaunchRetired":
      return { name: event.name };
    case "LaunchStopped":
    case "LaunchEnded":
      return { name: event.name, failed: event.failed };
    case "BudgetReached":
      return { group: event.group, what: event.what, percent: event.percent, words: event.words };
    case "BudgetRaised":
      return { group: event.group, limits: event.limits };
    case "ArtifactPut": {
      const { name, size, sha256, byJob } = event;
      return { name, size, sha256, byJob };
    }
    case "ArtifactsRemoved": {
      const all = event.gone.map(({ run, name }) =>
        ({ run: run === undefined ? null : names.run(run), name }));
      return { gone: first(all), count: all.length };
    }
  }
  return undefined;
}

function submitted({ spec, key }: EventOf<"RunSubmitted" | "UpdateSubmitted" | "RunForked">) {
  return { name: spec.name, jobs: spec.jobs.length, ...(key !== undefined && { key }) };
}

function jobsNamed(
  { run, jobs }: { run: number; jobs: readonly number[] }, names: EventNames,
): object {
  const ids = jobs.slice(0, MAX_NAMED).map((job) => names.jobId({ run, job }));
  return { jobs: ids, count: jobs.length };
}

function named(ids: readonly string[]): object {
  return { jobs: first(ids), count: ids.length };
}

function first<T>(all: readonly T[]): readonly T[] {
  return all.slice(0, MAX_NAMED);
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}
