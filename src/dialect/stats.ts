/**
 * The two pages about the cluster that old clients ask for, in their exact shape.
 *
 * Their workers listen, and are known by their ports; ours listen nowhere. So the first worker has
 * the first port that the original gives, 8080, the second one 8081, and so on.
 *
 * Left out: the history of a worker beyond the newest runs.
 * Test: test/dialect.names.test.ts
 */
import { isTerminal, type Run } from "#core";
import { dagId } from "./jobs.ts";
import { VERSIONS } from "./names.ts";
import type { Parts } from "./parts.ts";
import { statusWord, type OldRuns } from "./runs.ts";

const FIRST_PORT = 8080;
/** As in the original. */
const HISTORY = 10;
/** What is looked through for the histories: some milliseconds. */
const RECENT_RUNS = 200;
const RECENT_JOBS = 10_000;

interface PastJob {
  readonly id: string;
  readonly status: string;
  readonly ms: number;
  /** Undefined: it runs. */
  readonly endedAt: number | undefined;
}

export interface OldWorker {
  readonly port: number;
  readonly capabilities: readonly string[];
  readonly running: number;
  readonly slots: number;
  /** The one that runs comes first, then those that ran, the oldest first. */
  readonly history: readonly PastJob[];
  readonly services: readonly string[];
}

export interface OldStats {
  readonly queue: number;
  readonly delayed: number;
  readonly blocked: number;
  readonly dead: number;
  readonly workers: readonly OldWorker[];
}

/** The port by which old clients know a worker. */
export function portOf(worker: number): number {
  return FIRST_PORT - 1 + worker;
}

export async function readStats(parts: Parts, runs: OldRuns): Promise<OldStats> {
  const client = await parts.client();
  const [workers, dead, services] = await Promise.all([
    client.workers(), client.deadLetters(), runs.liveServices(client),
  ]);
  const { ready, delayed, gates } = parts.view.counts();
  const waiting = parts.view.runsAfter(0).reduce((sum, { counts }) => sum + counts[0]!, 0);
  const asleep = Math.max(0, delayed - gates);
  const history = readHistory(parts);
  return {
    queue: ready, delayed: asleep, blocked: Math.max(0, waiting - ready - asleep),
    dead: dead.length,
    workers: workers.filter(({ connected }) => connected).map(({ id, name, tags, ...rest }) => ({
      port: portOf(id),
      capabilities: [...new Set(["GENERAL", ...tags])],
      running: rest.running, slots: rest.slots,
      history: history.get(id) ?? [],
      services: services.filter(({ worker }) => worker === name).map((service) => service.id),
    })),
  };
}

function readHistory({ view, names, host }: Parts): Map<number, PastJob[]> {
  const past = new Map<number, PastJob[]>();
  let left = RECENT_JOBS;
  for (const run of [...view.runsAfter(Math.max(0, names.newest - RECENT_RUNS))].reverse()) {
    for (const job of run.jobs) {
      if (job.worker === 0 || !(isTerminal(job.status) || job.status === "RUNNING")) continue;
      // A gate, or a job of a circle: the original had run none of them.
      if (job.spec.action.type === "call" && run.spec.version === VERSIONS.dag) continue;
      const endedAt = isTerminal(job.status) ? job.stoppedAt || job.endedAt : undefined;
      const ms = Math.max(0, (endedAt ?? host.clock.wall()) - job.startedAt);
      const jobs = past.get(job.worker) ?? [];
      past.set(job.worker, jobs);
      jobs.push({ id: oldIdOf(run, job.spec.id), status: statusWord(job), ms, endedAt });
    }
    left -= run.jobs.length;
    if (left <= 0) break;
  }
  for (const [worker, jobs] of past) past.set(worker, newest(jobs));
  return past;
}

function newest(jobs: readonly PastJob[]): PastJob[] {
  const over = jobs.filter(({ endedAt }) => endedAt !== undefined);
  over.sort((a, b) => a.endedAt! - b.endedAt!);
  const runs = jobs.filter(({ endedAt }) => endedAt === undefined);
  return [...runs.slice(0, 1), ...over.slice(-HISTORY)];
}

function oldIdOf({ id: run, spec }: Run, job: string): string {
  if (spec.version === VERSIONS.dag) return dagId(job);
  return spec.version === VERSIONS.alone ? job : `${run}/${job}`;
}

export function statsText({ workers, queue, delayed, blocked, dead }: OldStats): string {
  const lines = [
    "", "--- TITAN SYSTEM MONITOR ---",
    `Active Workers:    ${workers.length}`,
    `Execution Queue:   ${queue} jobs`,
    `Delayed (Time):    ${delayed} jobs`,
    `Blocked (DAG):     ${blocked} jobs`,
    `Dead Letter (DLQ): ${dead} jobs`,
    "-".repeat(31),
  ];
  if (workers.length === 0) lines.push("[INFO] No workers currently connected.");
  else lines.push("Worker Status:");
  for (const { port, running, slots, capabilities, services } of workers) {
    const percent = Math.floor((100 * running) / slots);
    const load = `${running}/${slots} (${percent}%)`.padEnd(12);
    lines.push(` • [${port}] Load: ${load} | Skills: [${capabilities.join(", ")}]`);
    for (const id of services) lines.push(`    └── [SVC] Service ID: ${id}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Blanks stand where the original's do: a client may look for them. */
export function statsJson({ workers, queue }: OldStats): string {
  const text = JSON.stringify;
  const rows = workers.map(({ port, running, slots, capabilities, history, services }) => {
    const active = history.find(({ endedAt }) => endedAt === undefined);
    const past = history.map(({ id, status, ms, endedAt }) =>
      `{"id": ${text(id)}, "status": "${status}", "time": "${ms}ms"`
        + `${endedAt === undefined ? "" : `, "completed_at": ${endedAt}`}}`);
    return `{"port": ${port},"capabilities": ${text(`[${capabilities.join(", ")}]`)},`
      + `"load": "${running}/${slots}",`
      + `"active_job": ${active === undefined ? "null" : text(active.id)}, `
      + `"history": [${past.join(",")}],"services": [${services.map((id) => text(id)).join(",")}]}`;
  });
  return `{"active_workers": ${workers.length},"queue_size": ${queue},`
    + `"workers": [${rows.join(",")}]}`;
}
