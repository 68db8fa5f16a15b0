/**
 * A whole cluster in virtual time for the tests of chapter 11: real master, real worker, scripted
 * jobs.
 */
import { afterEach } from "node:test";
import type { ExecOutcome, ExecRequest, Executor, Running } from "#exec";
import type { Host } from "#host";
import { startMaster, type Master } from "#master";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker, type Worker } from "#worker";
import type { JobSpec } from "#wire";
import { nothingIsLeft } from "./leaks.sim.support.ts";

export { spec as job } from "./spec.support.ts";

export const TOKEN = "test-token";
export const ADDRESS = { host: "m", port: 9090 };

const clusters: SimCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.end();
});

/** A job under the test's control. */
export class FakeJob implements Running {
  readonly request: ExecRequest;
  readonly print: (text: string | Buffer) => void;
  readonly done: Promise<ExecOutcome>;
  end: (outcome?: Partial<ExecOutcome>) => void = () => undefined;
  paused = false;
  cancelled: string | undefined;

  constructor(
    request: ExecRequest,
    onOutput: (stream: "stdout" | "stderr", bytes: Buffer) => void,
  ) {
    this.request = request;
    this.print = (text) => onOutput("stdout", Buffer.from(text));
    this.done = new Promise((resolve) => {
      this.end = (outcome = {}) => resolve({ status: "ok", durationMs: 5, ...outcome });
    });
  }

  cancel(reason = ""): void {
    this.cancelled = reason;
    this.end({ status: "failed", kind: "cancelled", message: reason });
  }
  pauseOutput(): void {
    this.paused = true;
  }
  resumeOutput(): void {
    this.paused = false;
  }
}

export class FakeExecutor implements Executor {
  readonly jobs: FakeJob[] = [];
  readonly endedRuns: string[] = [];
  closed = false;
  /** What every new job does by itself; nothing by default. */
  script: (job: FakeJob) => void = () => undefined;

  start(
    request: ExecRequest,
    onOutput: (stream: "stdout" | "stderr", bytes: Buffer) => void,
  ): Running {
    const job = new FakeJob(request, onOutput);
    this.jobs.push(job);
    this.script(job);
    return job;
  }
  endRun(run: string): void {
    this.endedRuns.push(run);
  }
  async close(): Promise<void> {
    this.closed = true;
  }
}

export class SimCluster {
  readonly world: SimWorld;
  readonly executors = new Map<string, FakeExecutor>();
  readonly #workers = new Map<string, { worker: Worker; host: Host }>();
  #master: Master | undefined;

  constructor(seed = 1) {
    this.world = new SimWorld({ seed });
    clusters.push(this);
  }

  /** Called after each test, for each of its clusters. */
  end(): Promise<void> {
    const { world } = this;
    return world.settle(
      nothingIsLeft({
        world,
        master: this.#master,
        address: ADDRESS,
        token: TOKEN,
        workers: this.#workers,
      }),
    );
  }

  async startMaster(
    wrap: (host: Host) => Host = (host) => host,
    options: { graceMs?: number; cluster?: string } = {},
  ): Promise<Master> {
    const host = wrap(this.world.host("m"));
    const started = startMaster({ host, dir: "/state", listen: ADDRESS, token: TOKEN, ...options });
    this.#master = await this.world.settle(started);
    return this.#master;
  }

  startWorker(
    name: string,
    options: { slots?: number; tags?: string[]; token?: string } = {},
  ): { worker: Worker; executor: FakeExecutor } {
    const executor = new FakeExecutor();
    this.executors.set(name, executor);
    const { slots = 2, tags = [], token = TOKEN } = options;
    const host = this.world.host(name);
    const worker = startWorker({
      host,
      master: ADDRESS,
      token,
      name,
      tags,
      slots,
      executor,
      cacheDir: "/cache",
    });
    this.#workers.set(name, { worker, host });
    return { worker, executor };
  }

  connect(): Promise<Client> {
    return this.world.settle(
      connect({ host: this.world.host("c"), master: ADDRESS, token: TOKEN }),
    );
  }

  /** Lets the world run until something holds; fails after `limitMs` of virtual time. */
  async until(what: () => boolean, limitMs = 60_000): Promise<void> {
    const end = this.world.now + limitMs;
    while (!what()) {
      if (this.world.now >= end) {
        throw new Error(`still not true after ${limitMs} ms of virtual time: ${what}`);
      }
      await this.world.run(Math.min(end, this.world.now + 5));
    }
  }

  async status(client: Client, run: string): Promise<Record<string, string>> {
    const { jobs } = await this.world.settle(client.status(run));
    return Object.fromEntries(jobs.map((job) => [job.id, job.status]));
  }
}

export function pipeline(jobs: JobSpec[]) {
  return { name: "test", version: undefined, project: undefined, jobs };
}
