/**
 * A master that dies with much on its books: from the start of the next process to its first
 * answer, and to the adoption of what its worker has gone on running. 100,000 finished jobs, 10,000
 * live ones, of which 256 run.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "#sdk";
import type { WorkerInfo } from "#wire";
import type { Options } from "./bricks.ts";
import { CLI, freePort, jobs, NOOP, pipeline, run, untilUp } from "./cluster.ts";
import { quantile, rowOf, type Row } from "./table.ts";

const FINISHED = 100_000;
const RUNS = 10;
const LIVE = 10_000;
const RUNNING = 256;

export async function restart({ quick }: Options): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const cluster = new Cluster(dir, await freePort());
  try {
    const { answered, adopted } = await restarts(cluster, quick ? 1 : 3);
    const row = rowOf("restart");
    const counts = [FINISHED, LIVE].map((count) => count.toLocaleString("en-US"));
    return [
      row("killed master, start to first answer", [quantile(answered, 0.5), "ms"], {
        target: { atMost: 2000 },
        note: `${counts[0]} finished and ${counts[1]} live jobs, from the log, no snapshot`,
      }),
      row(`… to the adoption of ${RUNNING} running attempts`, [quantile(adopted, 0.5), "ms"]),
    ];
  } finally {
    await cluster.end();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A master and a worker with much to do. */
class Cluster {
  readonly port: number;
  readonly #dir: string;
  readonly #children = new Set<ChildProcess>();

  constructor(dir: string, port: number) {
    this.#dir = dir;
    this.port = port;
  }

  startMaster(): ChildProcess {
    return this.#start("master", "--state", `${this.#dir}/master`, "--port", String(this.port));
  }

  startWorker(): void {
    const slots = ["--slots", String(RUNNING)];
    const home = ["--home", `${this.#dir}/worker`];
    this.#start("worker", "--master", `127.0.0.1:${this.port}`, ...slots, ...home);
  }

  #start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: "ignore" });
    this.#children.add(child.once("exit", () => this.#children.delete(child)));
    return child;
  }

  async end(): Promise<void> {
    const children = [...this.#children];
    const ends = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ends);
    // The reaper ends the jobs, a moment later.
    await pause(300);
  }
}

/** Milliseconds from each start to the first answer, and to the adoption of all that runs. */
async function restarts(
  cluster: Cluster,
  rounds: number,
): Promise<{ answered: number[]; adopted: number[] }> {
  let master = cluster.startMaster();
  let client = await untilUp(cluster.port);
  cluster.startWorker();
  for (let round = 0; round < RUNS; round++) await run(client, jobs(FINISHED / RUNS, NOOP));
  const sleepers = pipeline(jobs(LIVE, { type: "command", argv: ["sleep", "300"] }));
  const { run: live } = await client.submitSpec(sleepers);
  await running(client, live);
  const answered: number[] = [];
  const adopted: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const gone = new Promise((resolve) => master.once("exit", resolve));
    master.kill("SIGKILL");
    await gone;
    client.close();
    const begun = performance.now();
    master = cluster.startMaster();
    client = await untilUp(cluster.port);
    const known = (await client.status(live)).jobs.length;
    answered.push(performance.now() - begun);
    if (known !== LIVE) throw new Error(`the restarted master knows ${known} of ${LIVE} live jobs`);
    while (!(await client.workers()).some(isBusy)) await pause(5);
    adopted.push(performance.now() - begun);
    const again = (await client.status(live)).jobs.filter((job) => job.attempt > 1).length;
    if (again > 0) {
      throw new Error(`${again} jobs were started again, although their worker was there`);
    }
  }
  client.close();
  return { answered, adopted };
}

function isBusy(worker: WorkerInfo): boolean {
  return worker.connected && worker.running === RUNNING;
}

async function running(client: Client, run: string): Promise<void> {
  for (;;) {
    const { jobs } = await client.status(run);
    if (jobs.filter((job) => job.status === "RUNNING").length === RUNNING) return;
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
