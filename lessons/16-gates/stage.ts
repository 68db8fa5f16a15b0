/** What the scripts of this chapter play on: a real master, and a worker with one slot, in virtual time. */
import type { ExecOutcome, ExecRequest, Executor, Running } from "#exec";
import { startMaster } from "#master";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker, type Worker } from "#worker";
import { PLAIN_RULES, type GateRules, type JobSpec } from "#wire";

const AT = { host: "m", port: 9090 };
const HOUR = 3_600_000;
const SOON = 120_000;
const DAYS = ["Fri", "Sat", "Sun", "Mon"];

export class Stage {
  readonly world = new SimWorld({ seed: 16, latencyMs: [1, 1], syncMs: [1, 1] });
  client!: Client;
  #zero = 0;

  static run(play: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage();
    return stage.world.settle(stage.#perform(play));
  }

  async #perform(play: (stage: Stage) => Promise<void>): Promise<void> {
    await this.startMaster();
    await this.#startWorker().ready;
    this.client = await this.dial("client");
    await this.pass(1500);
    this.#zero = this.world.now;
    await play(this);
  }

  async startMaster(): Promise<void> {
    await startMaster({ host: this.world.host("m"), dir: "/state", listen: { ...AT, host: "127.0.0.1" } });
  }

  #startWorker(): Worker {
    const executor: Executor = { start: (request) => this.#program(request), close: async () => undefined };
    const host = this.world.host("w1");
    return startWorker({ host, master: AT, name: "w1", slots: 1, executor, cacheDir: "/cache" });
  }

  dial(name: string): Promise<Client> {
    return connect({ host: this.world.host(name), master: AT });
  }

  /** Friday, 17:00 is the beginning. */
  say(who: string, what: string): void {
    const minutes = Math.floor((this.world.now - this.#zero) / 60_000) + 17 * 60;
    const two = (n: number): string => String(n).padStart(2, "0");
    const clock = `${DAYS[Math.floor(minutes / 1440)]} ${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
    console.log(`${clock}  ${who.padEnd(6)}  ${what}`);
  }

  act(what: string): void {
    this.say("", `── ${what}`);
  }

  #program(request: ExecRequest): Running {
    this.say("w1", `runs ${request.job}`);
    const done = new Promise<ExecOutcome>((resolve) => {
      this.world.host("w1").timers.after(60_000, () => resolve({ status: "ok", durationMs: 60_000 }));
    });
    return { done, cancel: () => undefined, pid: 1, pauseOutput: () => undefined, resumeOutput: () => undefined };
  }

  /** Submits a pipeline, and says whatever the master makes known of its jobs. */
  async submit(name: string, ...jobs: JobSpec[]): Promise<string> {
    const { run } = await this.client.submitSpec({ name, version: undefined, project: undefined, jobs });
    void this.#watch(run).catch(() => undefined);
    return run;
  }

  async #watch(run: string): Promise<void> {
    const client = await this.dial("watcher");
    for await (const event of client.watch(run)) {
      if (event.type === "job" && event.change.status !== "RUNNING") {
        const { status, reason, failure } = event.change;
        const why = failure?.message ?? reason;
        this.say("master", `${event.job} is ${status}${why === "" ? "" : `: ${why}`}`);
      }
      if (event.type === "run") this.say("master", `the run is ${event.run.status}`);
    }
  }

  /** How the jobs of a run are, for somebody who looks. */
  async show(run: string): Promise<void> {
    const client = await this.dial("looker");
    const { run: info, jobs } = await client.status(run);
    for (const { id, status, failure, reason } of jobs) {
      const why = failure?.message ?? reason;
      this.say("master", `${id} is ${status}${why === "" ? "" : `: ${why}`}`);
    }
    this.say("master", `the run is ${info.status}`);
    client.close();
  }

  /** A person answers, and says what came of it. */
  async answer(who: string, run: string, approve: boolean): Promise<void> {
    try {
      const client = await this.dial(who);
      const { approved, by, already, missing = 0 } = await client.decide(`${run}/build`, { approve, by: who });
      client.close();
      const more = missing > 0 ? `, and ${missing} more is wanted` : "";
      this.say(who, `is told: ${already ? "it had been" : "it is"} ${approved ? "approved" : "rejected"} by ${by}${more}`);
    } catch (error) {
      this.say(who, `is told: ${(error as Error).message}`);
    }
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("client").timers.after(ms, resolve));
  }

  /** The worker has two minutes for what it has to do. Then it is off, for its 3,600 heartbeats an hour say nothing. */
  async hours(count: number): Promise<void> {
    await this.pass(SOON);
    this.world.crash("w1");
    await this.pass(count * HOUR - 2 * SOON);
    this.#startWorker();
    await this.pass(SOON);
  }
}

const PLAIN = {
  dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success",
  timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
} as const;

export function job(id: string, dependsOn: number[] = []): JobSpec {
  return { ...PLAIN, id, action: { type: "command", argv: ["play"] }, requirement: [], dependsOn, env: {} };
}

/** A job with a gate behind it. */
export function asks(id: string, rules: Partial<GateRules> = {}): JobSpec {
  const gate = { message: "Ship it?", maxWaitMs: 48 * HOUR, rules: { ...PLAIN_RULES, ...rules } };
  return { ...job(id), gate };
}
