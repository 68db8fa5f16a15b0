/** What the scripts of this chapter play on: a real master and real workers in virtual time, and a line for whatever happens. */
import type { ExecOutcome, ExecRequest, Executor, Running } from "#exec";
import { startMaster } from "#master";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker } from "#worker";
import type { JobSpec } from "#wire";

const AT = { host: "m", port: 9090 };

export class Stage {
  readonly world = new SimWorld({ seed: 12, latencyMs: [1, 1], syncMs: [1, 1] });
  client!: Client;
  #zero = 0;

  /** Runs a play. The clock of its lines starts with the first act, when everybody is there. */
  static run(cast: string[], play: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage();
    return stage.world.settle(stage.#perform(cast, play));
  }

  async #perform(cast: string[], play: (stage: Stage) => Promise<void>): Promise<void> {
    await startMaster({ host: this.world.host("m"), dir: "/state", listen: { ...AT, host: "127.0.0.1" } });
    for (const name of cast) await this.#worker(name);
    this.client = await connect({ host: this.world.host("client"), master: AT });
    await this.pass(1500);
    this.#zero = this.world.now;
    await play(this);
  }

  say(who: string, what: string): void {
    console.log(`${((this.world.now - this.#zero) / 1000).toFixed(3).padStart(7)} s  ${who.padEnd(6)}  ${what}`);
  }

  /** Something is done to the world. */
  act(what: string): void {
    this.say("", `── ${what}`);
  }

  async #worker(name: string): Promise<void> {
    const host = this.world.host(name);
    const executor: Executor = {
      start: (request: ExecRequest) => {
        let over = false;
        let end: (outcome: ExecOutcome) => void = () => undefined;
        const done = new Promise<ExecOutcome>((resolve) => { end = resolve; });
        // Its argument says how many seconds it takes.
        const seconds = request.action.type === "command" ? Number(request.action.argv[1]) : 0;
        const timer = host.timers.after(seconds * 1000, () => {
          over = true;
          this.say(name, `${request.job}#${request.attempt} ends: "made by ${name}"`);
          end({ status: "ok", durationMs: seconds * 1000, result: Buffer.from(`made by ${name}`) });
        });
        const cancel = (): void => {
          if (over) return;
          timer.cancel();
          this.say(name, `kills ${request.job}#${request.attempt}`);
          end({ status: "failed", kind: "cancelled", message: "", durationMs: 0 });
        };
        return { done, cancel, pauseOutput: () => undefined, resumeOutput: () => undefined } satisfies Running;
      },
      close: async () => undefined,
    };
    const quiet = { onNote: (text: string) => { if (this.#zero > 0) this.say(name, text.replace(/[a-z]+-\w{4}\//, "")); } };
    await startWorker({ host, master: AT, name, slots: 1, executor, cacheDir: "/cache", ...quiet }).ready;
  }

  /** Submits one job that takes so many seconds, and says whatever the master makes known of it. */
  async submit(id: string, seconds: number): Promise<{ run: string; ended: Promise<void> }> {
    const job: JobSpec = {
      id, action: { type: "command", argv: ["sleep", String(seconds)] }, dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined,
      when: "success", timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
    };
    const { run } = await this.client.submitSpec({ name: id, version: undefined, project: undefined, jobs: [job] });
    return { run, ended: this.#watch(run, id) };
  }

  async #watch(run: string, id: string): Promise<void> {
    // On a connection of its own: the play may stop the master for longer than others wait.
    const client = await connect({ host: this.world.host(`watcher of ${id}`), master: AT });
    for await (const event of client.watch(run)) {
      if (event.type === "snapshot") for (const { status, attempt, worker } of event.jobs) this.#moved(id, { status, attempt, worker });
      if (event.type === "job") this.#moved(id, event.change);
    }
    const [job] = (await client.status(run)).jobs;
    this.say("master", `the result of ${id}: "${job!.result}"`);
  }

  #moved(id: string, { status, attempt, worker }: { status: string; attempt: number; worker: string }): void {
    const where = status === "RUNNING" ? ` on ${worker}` : "";
    this.say("master", `${id}${attempt > 0 ? `#${attempt}` : ""} is ${status}${where}`);
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("driver").timers.after(ms, resolve));
  }

  /** Waits until so many milliseconds of the play are over. */
  at(ms: number): Promise<void> {
    return this.pass(Math.max(0, this.#zero + ms - this.world.now));
  }
}
