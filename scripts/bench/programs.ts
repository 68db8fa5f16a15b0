/**
 * What the groups start: programs in a folder of their own, which end with the measurement; above
 * all a cluster, whose master, worker and client (this process) are a process each, over loopback,
 * with an fsync on every commit.
 */
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { nodeHost, removeTree } from "#host";
import { connect, type Client } from "#sdk";
import type { Action, JobSpec, PipelineSpec } from "#wire";
import { residentMib, statOf } from "../lib/proc.mjs";
import { timed } from "./table.ts";

export interface Options {
  readonly quick: boolean;
}

export const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A folder, and programs that are started in it. */
export interface Place {
  readonly dir: string;
  start(program: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** A command of the built command line. */
  titan(...args: readonly string[]): ChildProcess;
}

/** When `use` is over its programs are ended, the last one first, and the folder is removed. */
export async function inPlace<T>(use: (place: Place) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const children: ChildProcess[] = [];
  const start: Place["start"] = (program, args, options = {}) => {
    const child = spawn(program, args, { cwd: dir, stdio: "ignore", ...options });
    children.push(child);
    return child;
  };
  try {
    return await use({ dir, start, titan: (...args) => start(process.execPath, [CLI, ...args]) });
  } finally {
    for (const child of children.reverse()) await end(child);
    await removeTree(dir);
  }
}

/** By its stdin if we hold that, and else by a signal. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  if (child.stdin === null) child.kill("SIGTERM");
  else child.stdin.end();
  await gone;
}

/** The first line that a program prints, which is JSON. */
export async function firstLine<T>(child: ChildProcess): Promise<T> {
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout! }), "line"),
    once(child, "exit").then(([code]) => {
      const what = child.spawnargs.slice(1).join(" ");
      throw new Error(`Cannot measure: "${what}" ended with ${code} before it said anything`);
    }),
  ]);
  return JSON.parse(line as string) as T;
}

/** A program of this folder, from its source. */
export function startSource(place: Place, file: string, ...args: readonly string[]): ChildProcess {
  const program = fileURLToPath(new URL(file, import.meta.url));
  return place.start(process.execPath, ["--import", "tsx", program, ...args], {
    // Where the loader is found.
    cwd: fileURLToPath(new URL("../..", import.meta.url)), stdio: ["pipe", "pipe", "inherit"],
  });
}

/** Enough attempts under way to keep the worker busy while their reports are being made durable. */
export const NOOP_SLOTS = 512;

interface Cluster {
  readonly client: Client;
  /** Process ids. */
  readonly master: number;
  readonly worker: number;
}

export async function withCluster<T>(
  slots: number, use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  return inPlace(async (place) => {
    const { dir } = place;
    const master = startSource(place, "role.ts", "master", `${dir}/master`);
    const { port } = await firstLine<{ port: number }>(master);
    const worker = startSource(
      place, "role.ts", "worker", `${dir}/worker`, String(port), String(slots),
    );
    await firstLine(worker);
    const client = await untilUp(port);
    const result = await use({ client, master: master.pid!, worker: worker.pid! });
    client.close();
    return result;
  });
}

export async function untilUp(port: number): Promise<Client> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      return await connect({ host: nodeHost(), master: { host: "127.0.0.1", port } });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(10);
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** CPU time. */
export const cpuMs = (pid: number): number => statOf(pid)?.cpuMs ?? Number.NaN;

export const rssMb = (pid: number): number => (residentMib(pid) * 1024 * 1024) / 1e6;

// ── work ─────────────────────────────────────────────────────────────────────────────────────────

export const NOOP: Action = { type: "call", target: "titan:noop", input: Buffer.alloc(0) };

export function jobs(
  count: number, action: Action, parents: (i: number) => number[] = () => [],
): JobSpec[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `job-${i}`, action, dependsOn: parents(i), requirement: [], priority: 1, delayMs: 0,
    affinity: undefined, when: "success" as const, timeoutMs: 0, retry: undefined, env: {},
    gate: undefined,
  }));
}

/** One after the other. */
export const chainOf = (count: number): PipelineSpec =>
  pipeline(jobs(count, NOOP, (i) => (i === 0 ? [] : [i - 1])));

export function pipeline(specs: JobSpec[]): PipelineSpec {
  return { name: "bench", version: undefined, project: undefined, jobs: specs };
}

/** Submits, watches to the end, and returns the milliseconds that this took. */
export async function run(client: Client, spec: PipelineSpec): Promise<number> {
  return timed(async () => {
    const { run: id } = await client.submitSpec(spec);
    let status = "";
    for await (const event of client.watch(id)) if (event.type !== "job") status = event.run.status;
    if (status !== "COMPLETED") throw new Error(`run ${id} ended ${status}`);
  });
}

/** When each job of a run is completed, until it ends or nobody wants to know any more. */
export async function* completions(
  client: Client, run: string, options: { signal?: AbortSignal } = {},
): AsyncGenerator<number> {
  for await (const event of client.watch(run, options)) {
    if (event.type === "job" && event.change.status === "COMPLETED") yield performance.now();
  }
}
