/**
 * What the scripts of this chapter play on: a real master, a worker, the event stream and pages, in
 * virtual time. A job takes as many seconds as its action says.
 */
import type { ExecOutcome, Executor } from "#exec";
import { EventHub, type Outlet } from "#http";
import { startMaster } from "#master";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker } from "#worker";
import type { JobSpec } from "#wire";
import { SseReader, type Message } from "../../src/dashboard/page/sse.ts";
import { EMPTY, reduce, type Action, type State } from "../../src/dashboard/page/state.ts";

const AT = { host: "m", port: 9090 };

export class Stage {
  readonly world = new SimWorld({ seed: 19, latencyMs: [1, 1], syncMs: [1, 1] });
  client!: Client;
  hub!: EventHub;
  #zero = 0;

  /** Virtual time passes while `play` waits for anything. */
  static run(play: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage();
    return stage.world.settle(stage.#perform(play));
  }

  async #perform(play: (stage: Stage) => Promise<void>): Promise<void> {
    const listen = { ...AT, host: "127.0.0.1" };
    await startMaster({ host: this.world.host("m"), dir: "/state", listen });
    const executor: Executor = {
      start: ({ action }) => {
        const [, seconds] = /"sleep","(\d+)"/.exec(JSON.stringify(action)) ?? [];
        const durationMs = Number(seconds) * 1000;
        const done = this.pass(durationMs).then((): ExecOutcome => ({ status: "ok", durationMs }));
        return {
          done, pid: 1, cancel: () => undefined,
          pauseOutput: () => undefined, resumeOutput: () => undefined,
        };
      },
      close: async () => undefined,
    };
    const host = this.world.host("w1");
    await startWorker({ host, master: AT, name: "w1", slots: 1, executor, cacheDir: "/cache" }).ready;
    this.client = await connect({ host: this.world.host("client"), master: AT });
    const session = async (): Promise<Client> => this.client;
    this.hub = new EventHub({ host: this.world.host("client"), session, version: "1.0.0" });
    await this.pass(1500);
    this.#zero = this.world.now;
    await play(this);
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("client").timers.after(ms, resolve));
  }

  say(who: string, what: string): void {
    const seconds = ((this.world.now - this.#zero) / 1000).toFixed(1);
    console.log(`${seconds.padStart(4)} s  ${who.padEnd(6)}  ${what}`);
  }

  /** Jobs one after the other, of two seconds each. */
  async submit(name: string, ...ids: string[]): Promise<string> {
    const jobs = ids.map((id, index) => job(id, index === 0 ? [] : [index - 1]));
    return (await this.client.submitSpec({ name, version: undefined, project: undefined, jobs })).run;
  }
}

const PLAIN = {
  requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success",
  timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
} as const;

function job(id: string, dependsOn: number[]): JobSpec {
  return {
    ...PLAIN, id, dependsOn, action: { type: "command", argv: ["sleep", "2"] }, requirement: [], env: {},
  };
}

/** A page: what it has been told, and where it would go on. */
export class Page {
  state: State = EMPTY;
  lastId: number | undefined;
  /** All messages, in order. */
  readonly messages: Message[] = [];
  /** Called for each of them. */
  onMessage: (message: Message) => void = () => undefined;
  #wire: Wire | undefined;

  connect(hub: EventHub, runs: readonly string[] = []): void {
    const reader = new SseReader();
    this.#wire = new Wire((text) => {
      for (const message of reader.read(text)) this.#take(message);
    });
    hub.open(this.#wire, { all: false, runs }, { at: this.lastId });
  }

  unplug(): void {
    this.#wire?.destroy();
  }

  /** The page does not read: what is sent waits. */
  pause(): void {
    this.#wire!.paused = true;
  }

  resume(): void {
    this.#wire!.flow();
  }

  /** Bytes that wait for it. */
  get unread(): number {
    return this.#wire?.unread ?? 0;
  }

  #take(message: Message): void {
    this.messages.push(message);
    if (message.id !== "") this.lastId = Number(message.id);
    const data = JSON.parse(message.data);
    const { event } = message;
    const action = event === "fact" ? { type: "facts", facts: [data] }
      : event === "snapshot" && data.runs === undefined ? { ...data, type: "run" }
        : { ...data, type: event };
    this.state = reduce(this.state, action as Action);
    this.onMessage(message);
  }

  of(event: string): any[] {
    return this.messages.filter((each) => each.event === event).map(({ data }) => JSON.parse(data));
  }

  /** As a person sees it. */
  show(run: string): string {
    const jobs = [...this.state.jobs.get(run)?.values() ?? []];
    return jobs.map(({ id, status }) => `${id} ${status}`).join(", ");
  }
}

/** The page's end of a connection, with bytes that wait until it reads. */
class Wire implements Outlet {
  destroyed = false;
  paused = false;
  unread = 0;
  readonly #read: (text: string) => void;
  #waiting: (() => void)[] = [];
  #onClose: () => void = () => undefined;

  constructor(read: (text: string) => void) {
    this.#read = read;
  }

  write(bytes: Uint8Array, done?: () => void): boolean {
    this.unread += bytes.length;
    this.#waiting.push(() => {
      this.unread -= bytes.length;
      if (!this.destroyed) this.#read(Buffer.from(bytes).toString());
      done?.();
    });
    if (!this.paused) queueMicrotask(() => this.flow());
    return true;
  }

  flow(): void {
    this.paused = false;
    for (const arrive of this.#waiting.splice(0)) arrive();
  }

  once(_event: "close", fn: () => void): void {
    this.#onClose = fn;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#onClose();
  }
}
