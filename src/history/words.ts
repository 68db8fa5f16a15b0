/**
 * Lesson 10: what a fact has changed, as short words: the state's rows before it and after it.
 *
 * Jobs are seen through the core's own hook for those who want a job as it was (`Keeper`). The
 * rest is what the event names, and the sums over all.
 *
 * Invariant: the cost does not grow with the number of jobs that change.
 * Test: test/10-master.history.test.ts
 */
import { plural } from "#base";
import { stepName, type Event, type Job, type Run, type State } from "#core";
import { JOB_STATUSES } from "#wire";
import { stepOn, type Cursor, type Written } from "./cursor.ts";
import { runsOf, type PastNames } from "./names.ts";

/** A difference that a fact has made. Null: it was not there, or is not there any more. */
export interface Change {
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
}

export interface SaidChanges {
  readonly changes: Change[];
  /** Jobs beyond those that may have changed, too. */
  readonly more: number;
}

/** Jobs and runs of one fact that are told. */
const MAX_TOLD = 50;

/** Takes the fact: the cursor stands behind it afterwards. */
export function sayChanges(cursor: Cursor, fact: Written, names: PastNames): SaidChanges {
  const { state } = cursor;
  const { event } = fact;
  const known = new Map(runsOf(event).slice(0, MAX_TOLD).map((number) =>
    [number, state.runs.get(number)?.size ?? 0]));
  const before = rowsOf(state, event, names);
  const jobs = new Map<Job, string>();
  let more = 0;
  const keeper = { before(job: Job): void {
    if (jobs.has(job)) return;
    if (jobs.size < MAX_TOLD) jobs.set(job, jobText(state, job));
    else more += 1; // perhaps one that was counted
  } };
  state.keepers = [keeper];
  try {
    stepOn(cursor, fact);
  } finally {
    state.keepers = [];
  }
  const after = rowsOf(state, event, names);
  const changes: Change[] = [];
  for (const what of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(what) ?? null, after.get(what) ?? null];
    if (was !== is) changes.push({ what, before: was, after: is });
  }
  for (const [number, length] of known) {
    const news = state.runs.get(number)?.after(length) ?? [];
    for (const job of news.slice(0, MAX_TOLD)) {
      changes.push({ what: nameOf(job), before: null, after: jobText(state, job) });
    }
    more += Math.max(0, news.length - MAX_TOLD);
  }
  for (const [job, was] of jobs) {
    if (job.index >= (known.get(job.run.number) ?? 0) && known.has(job.run.number)) continue;
    if (state.runs.get(job.run.number) !== job.run) continue; // forgotten with its run
    const is = jobText(state, job);
    if (was !== is) changes.push({ what: nameOf(job), before: was, after: is });
  }
  return { changes, more };
}

/** Rows that the event names, and sums over all. */
function rowsOf(state: State, event: Event, names: PastNames): Map<string, string> {
  const rows = new Map<string, string>();
  for (const number of runsOf(event).slice(0, MAX_TOLD)) {
    const run = state.runs.get(number);
    if (run !== undefined) rows.set(`run ${names.run(number)}`, runText(run));
  }
  if ("worker" in event) {
    const worker = state.workers.get(event.worker);
    if (worker !== undefined) {
      const { name, jobs, slots, draining } = worker;
      const how = draining ? ", draining" : "";
      rows.set(`worker ${name}`, `${jobs.size} of ${slots} slots busy${how}`);
    }
  }
  const launch = "name" in event ? state.launches.get(event.name) : undefined;
  if (launch !== undefined) rows.set(`launch ${launch.name}`, launch.phase);
  const group = "group" in event ? state.groups.get(event.group) : undefined;
  if (group !== undefined) rows.set(`limits of ${group.id}`, JSON.stringify(group.limits));
  if ("ordinal" in event) {
    const { run, job, name, ordinal } = event;
    const step = state.runs.get(run)?.job(job)?.journal?.get(name, ordinal);
    if (step !== undefined) rows.set(`step ${stepName(step)}`, step.status);
  }
  rows.set("queue", `${state.ready.size} ready`);
  rows.set("gates", `${state.gates.size + state.asks.size} wait for a person`);
  rows.set("artifacts", `${state.contents.size} contents, ${state.contentBytes} bytes`);
  return rows;
}

/** `RUNNING: 2 PENDING, 1 RUNNING` */
function runText({ status, cancelling, counts }: Run): string {
  const parts = JOB_STATUSES.flatMap((each, at) =>
    counts[at]! > 0 ? [`${counts[at]} ${each}`] : []);
  return `${status}${cancelling ? " (cancelling)" : ""}: ${parts.join(", ")}`;
}

function nameOf(job: Job): string {
  return `job ${job.run.id}/${job.spec.id}`;
}

/** A job in short words. */
function jobText(state: State, job: Job): string {
  const { status, attempt, worker, cancelling, service, failure, result, order, dueAt } = job;
  const words: string[] = [status];
  if (status === "PENDING") {
    words.push(order > 0 ? "ready" : dueAt > 0 ? "waits for a moment" : "waits for others");
  }
  if (attempt > 0) words.push(`attempt ${attempt}`);
  if (worker > 0 && status === "RUNNING") {
    words.push(`on ${state.workers.get(worker)?.name ?? `worker ${worker}`}`);
  }
  if (service !== undefined) words.push(service.phase);
  if (cancelling) words.push("cancelling");
  if (failure !== undefined) words.push(`failure: ${failure.kind}`);
  if (result !== undefined) words.push(`result of ${result.length} bytes`);
  if (job.votes.length > 0) words.push(plural(job.votes.length, "approval"));
  if (job.journal !== undefined) words.push(`${job.journal.size} steps`);
  return words.join(", ");
}
