/**
 * Waiting for services that somebody has just started: a new one, a new version, more replicas.
 *
 *     a new service    SERVING ─▶ ready                  an end ─▶ failed (3)
 *     a new version    the master says DONE ─▶ ready     FAILED ─▶ failed (3), the old one stays
 *     more replicas    each of them READY ─▶ ready       an end ─▶ failed (3)
 *
 * The wait is only a look: the master goes on with what was begun.
 *
 * Test: test/14-services.cli.test.ts, test/14-services.updates.test.ts
 */
import { nodeHost } from "#host";
import type { Client, RunEvent } from "#sdk";
import { isTerminal, type JobInfo, type RunInfo, type ServiceInfo } from "#wire";
import { openClient } from "./address.ts";
import type { Call } from "./command.ts";
import { EXIT } from "./exit.ts";
import { addressOf } from "./service-view.ts";
import { lastLines } from "./summary.ts";
import { durationText, oneLine, printable } from "./text.ts";

export interface Waiting {
  readonly client: Client;
  readonly run: string;
  /** The service. */
  readonly name: string;
  /** From now on; undefined: until the master has decided, which has a deadline of its own. */
  readonly timeoutMs?: number | undefined;
  /** The run whose place it takes. */
  readonly replaces?: string;
  /** Only these jobs are waited for. */
  readonly jobs?: readonly string[];
}

type Verdict = "ready" | "failed";

/** Resolves with the command's exit code. */
export async function untilReady(call: Call, waiting: Waiting): Promise<number> {
  const { context } = call;
  const { run, name, timeoutMs } = waiting;
  const leaving = new AbortController();
  let why: "time" | "interrupted" | undefined;
  const leave = (reason: typeof why): void => {
    why = reason;
    leaving.abort();
  };
  context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    leave("interrupted");
  });
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => leave("time"), timeoutMs);
  const replicas = new Replicas(call);
  let { client } = waiting;
  const redial = async (): Promise<Client> => {
    client.close();
    return (client = await openClient(call));
  };
  try {
    const { followRun } = await import("#sdk");
    const { signal } = leaving;
    const news = followRun({ client, redial, run, signal, host: nodeHost(), toEnd: true });
    for await (const event of news) {
      const verdict = replicas.take(event, waiting);
      if (verdict === "ready") return await ready(call, { ...waiting, client });
      if (verdict === "failed") break;
    }
    return await failed(call, { ...waiting, client }, replicas.last);
  } catch (error) {
    if (why === undefined) throw error;
  } finally {
    clearTimeout(timer);
  }
  const reason = why === "time" ? `not ready after ${durationText(timeoutMs!)}` : "interrupted";
  const next = `titan services shows it, titan stop ${name} ends it`;
  const goesOn = waiting.replaces === undefined ? name : `the update of ${name}`;
  context.note(`titan: ${reason}; ${goesOn} goes on (${next})`);
  if (why === "time") await showOutput(call, { ...waiting, client }, replicas.last ?? name);
  return why === "time" ? EXIT.TIMED_OUT : EXIT.INTERRUPTED;
}

/** Says what happens to each replica, once, and when all of it is over. */
class Replicas {
  readonly #call: Call;
  readonly #said = new Map<string, string>();
  readonly #states = new Map<string, Pick<JobInfo, "status" | "service">>();
  /** The replica of which something was said last. */
  last: string | undefined;

  constructor(call: Call) {
    this.#call = call;
  }

  /** Undefined: it goes on. */
  take(event: RunEvent, { jobs, replaces }: Waiting): Verdict | undefined {
    const isMeant = (job: string): boolean => jobs?.includes(job) ?? true;
    if (event.type === "snapshot") {
      for (const job of event.jobs) if (isMeant(job.id)) this.#job(job.id, job);
    }
    if (event.type === "job" && isMeant(event.job)) this.#job(event.job, event.change);
    if (jobs !== undefined) return this.#ofJobs(jobs);
    if (event.type === "job") return undefined;
    const { status, update } = event.run;
    if (replaces !== undefined && update !== undefined && update.outcome !== "WAITING") {
      return update.outcome === "DONE" ? "ready" : "failed";
    }
    if (status === "RUNNING" || (status === "SERVING" && replaces !== undefined)) return undefined;
    return status === "SERVING" ? "ready" : "failed";
  }

  #ofJobs(jobs: readonly string[]): Verdict | undefined {
    const states = jobs.map((job) => this.#states.get(job));
    if (states.some((state) => state !== undefined && isTerminal(state.status))) return "failed";
    return states.every((state) => state?.service?.phase === "READY") ? "ready" : undefined;
  }

  #job(job: string, row: Pick<JobInfo, "service" | "worker" | "status">): void {
    const { service, worker } = row;
    this.#states.set(job, row);
    if (service === undefined) return;
    const text = textOf(service, worker);
    if (this.#said.get(job) === text) return;
    this.#said.set(job, text);
    this.last = job;
    if (!this.#call.json) this.#call.context.note(`titan: ${job} ${text}`);
  }
}

function textOf(service: ServiceInfo, worker: string): string {
  const { phase, reason } = service;
  const why = reason === "" ? "" : `: ${oneLine(reason)}`;
  if (phase === "READY") return `is ready at ${addressOf(service)}`;
  if (phase === "STARTING") return `is starting on ${worker}`;
  return `is ${phase.toLowerCase()}${why}`;
}

// ── how it came out ──────────────────────────────────────────────────────────────────────────────

async function ready(call: Call, waiting: Waiting): Promise<number> {
  const { context } = call;
  const { client, run: id, name, replaces, jobs: wanted } = waiting;
  const { jobs } = await client.status(id);
  const replicas = jobs.filter((job) => wanted?.includes(job.id) ?? !isTerminal(job.status));
  if (call.json) {
    const services = replicas.map(({ id: job, worker, service }) => ({
      job, worker, host: service?.host ?? null, port: service?.port ?? null,
      pid: service?.pid ?? null, state: service?.phase ?? null,
    }));
    context.json({ name, run: id, ...(replaces && { replaces }), services });
    return EXIT.OK;
  }
  for (const { id: job, service, worker } of replicas) {
    context.out(`${job} ${addressOf(service)} on ${worker}, pid ${service?.pid}`);
  }
  if (replaces !== undefined) context.note(`titan: ${name} is ${id} now; ${replaces} is stopped`);
  return EXIT.OK;
}

async function failed(
  call: Call, waiting: Waiting, last: string | undefined,
): Promise<number> {
  const { client, run: id, name, replaces } = waiting;
  const { run, jobs } = await client.status(id);
  // A replica that has recovered keeps its last failure.
  const meant = jobs.filter(({ id: job }) => waiting.jobs?.includes(job) ?? true);
  const bad = meant.find(({ status, failure }) => failure !== undefined && isTerminal(status)) ??
    meant.find(({ failure }) => failure !== undefined);
  const why = reasonOf(run, bad);
  const { context } = call;
  if (replaces === undefined) context.note(`titan: ${name} failed: ${why}`);
  else {
    const before = await goesOn(client, replaces) ? "goes on as it was" : "has ended, too";
    context.note(`titan: ${name} was not updated: ${why}; ${replaces} ${before}`);
  }
  await showOutput(call, waiting, bad?.id ?? last ?? jobs[0]!.id);
  if (call.json) {
    const more = replaces === undefined ? {} : { replaces, reason: why };
    context.json({ name, run: id, status: run.status, ...more, services: [] });
  }
  return EXIT.RUN_FAILED;
}

/** Somebody may have stopped both versions. */
async function goesOn(client: Client, run: string): Promise<boolean> {
  return (await client.services()).some((row) =>
    row.run === run && !isTerminal(row.status) && !row.leaving);
}

function reasonOf({ update, status }: RunInfo, bad: JobInfo | undefined): string {
  return printable(update?.reason || bad?.failure?.message || status);
}

/** The last words of a service say most. */
async function showOutput(call: Call, { client, run: id }: Waiting, job: string): Promise<void> {
  const lines = await lastLines(client, { run: id, job });
  for (const line of lines ?? []) call.context.note(`  | ${printable(line)}`);
  call.context.note(`  all of it: titan logs ${id}/${job}`);
}
