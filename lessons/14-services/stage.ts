/** What the scripts of this chapter play on: a real master and real workers in virtual time, and programs that listen on the port they are given. */
import type { ExecOutcome, ExecRequest, Executor, Running } from "#exec";
import type { Listener, Socket } from "#host";
import { startMaster } from "#master";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker } from "#worker";
import type { JobSpec, Service, ServiceInfo } from "#wire";

const AT = { host: "m", port: 9090 };

/** A program that a worker runs. */
export interface Program {
  readonly request: ExecRequest;
  /** Listens on its port from now on, or hangs up for good. By default it says nothing. */
  listen(serve?: (socket: Socket) => void): Promise<void>;
  hang(): Promise<void>;
  exit(code: number): void;
}

export class Stage {
  readonly world = new SimWorld({ seed: 14, latencyMs: [1, 1], syncMs: [1, 1] });
  client!: Client;
  /** What every new program does; nothing by default. */
  script: (program: Program) => void = () => undefined;
  readonly programs: Program[] = [];
  #zero = 0;

  static run(cast: string[], play: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage();
    return stage.world.settle(stage.#perform(cast, play));
  }

  async #perform(cast: string[], play: (stage: Stage) => Promise<void>): Promise<void> {
    await this.startMaster();
    for (const name of cast) await this.#worker(name);
    this.client = await connect({ host: this.world.host("client"), master: AT });
    await this.pass(1500);
    this.#zero = this.world.now;
    await play(this);
  }

  async startMaster(): Promise<void> {
    await startMaster({ host: this.world.host("m"), dir: "/state", listen: { ...AT, host: "127.0.0.1" } });
  }

  say(who: string, what: string): void {
    console.log(`${((this.world.now - this.#zero) / 1000).toFixed(3).padStart(7)} s  ${who.padEnd(6)}  ${what}`);
  }

  act(what: string): void {
    this.say("", `── ${what}`);
  }

  async #worker(name: string): Promise<void> {
    const host = this.world.host(name);
    const executor: Executor = {
      start: (request) => this.#program(name, request),
      close: async () => undefined,
    };
    await startWorker({ host, master: AT, name, slots: 4, executor, cacheDir: "/cache" }).ready;
  }

  #program(worker: string, request: ExecRequest): Running {
    let end: (outcome: ExecOutcome) => void = () => undefined;
    const done = new Promise<ExecOutcome>((resolve) => { end = resolve; });
    let listener: Listener | undefined;
    const hang = async (): Promise<void> => {
      await listener?.close();
      listener = undefined;
    };
    const over = (outcome: Omit<ExecOutcome, "durationMs">): void => {
      void hang();
      end({ ...outcome, durationMs: 1 });
    };
    const program: Program = {
      request,
      listen: async (serve = (socket) => socket.handle({ onData: () => undefined, onClose: () => undefined })) => {
        const at = { host: "127.0.0.1", port: request.port! };
        listener = await this.world.host(worker).network.listen(at, serve);
      },
      hang,
      exit: (code) => {
        const failed = { status: "failed", kind: "exit", message: `exited with code ${code}` } as const;
        over(code === 0 ? { status: "ok" } : failed);
      },
    };
    this.programs.push(program);
    this.script(program);
    const cancel = (reason = ""): void => {
      this.say(worker, `ends ${request.job}#${request.attempt}: ${reason}`);
      over({ status: "failed", kind: "cancelled", message: reason });
    };
    return { done, cancel, pid: 4000 + this.programs.length, pauseOutput: () => undefined, resumeOutput: () => undefined };
  }

  /** Submits jobs, and says whatever the master makes known of them. */
  async submit(...jobs: JobSpec[]): Promise<string> {
    const { run } = await this.client.submitSpec({ name: "shop", version: undefined, project: undefined, jobs });
    void this.#watch(run).catch(() => undefined);
    return run;
  }

  async #watch(run: string): Promise<void> {
    const client = await connect({ host: this.world.host("watcher"), master: AT });
    for await (const event of client.watch(run)) {
      if (event.type === "job") this.#moved(event.job, event.change);
      if (event.type === "run") this.say("master", `the run is ${event.run.status}`);
    }
  }

  #moved(id: string, change: { status: string; attempt: number; worker: string; service?: ServiceInfo | undefined }): void {
    const { status, attempt, worker, service } = change;
    if (status === "FAILED" && service !== undefined) return; // it passes through here on its way
    const name = `${id}${attempt > 0 ? `#${attempt}` : ""}`;
    const why = service?.reason ? `: ${service.reason}` : "";
    const where = status === "RUNNING" ? ` on ${worker}` : "";
    this.say("master", `${name} is ${service?.phase ?? status}${where}${why}`);
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("driver").timers.after(ms, resolve));
  }

  at(ms: number): Promise<void> {
    return this.pass(Math.max(0, this.#zero + ms - this.world.now));
  }
}

const PLAIN = {
  dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success", timeoutMs: 0, retry: undefined,
  env: {}, gate: undefined,
} as const;

/** A job as it travels; a service if it is to be one. */
export function job(id: string, fields: Partial<JobSpec> = {}): JobSpec {
  return { ...PLAIN, dependsOn: [], requirement: [], env: {}, id, action: { type: "command", argv: [id] }, ...fields };
}

export function service(name: string, fields: Partial<Service> = {}): { service: Service } {
  const restart = { policy: "always", delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 0, windowMs: 600_000 } as const;
  return {
    service: {
      name, deployed: false, check: { type: "tcp" }, intervalMs: 2000, timeoutMs: 2000, healthyAfter: 1, unhealthyAfter: 3,
      startPeriodMs: 30_000, restart, stopGraceMs: 5000, ...fields,
    },
  };
}
