/**
 * Lesson 19: the connection that keeps the page true.
 *
 *     connect ──▶ hello, snapshot, then facts and rows     each message has the log's number
 *        ▲                  │ the connection breaks, or nothing is heard for too long
 *        └── wait a bit ◀───┘ again with Last-Event-ID: what was missed comes, once each, in order
 *
 * A browser has six connections for all its windows. A tab that nobody sees gives its own back
 * after a while, and comes with its Last-Event-ID when it is shown. A window for which there is no
 * seat (seats.ts) does so once a second: it asks for a stream that ends when all has been told.
 *
 * Invariants: one connection at a time, and none while nobody looks; a message of a connection that
 * was given up changes nothing; the waits grow to MAX_WAIT_MS and no further, so that the page is
 * true again soon after the master is.
 * Test: test/19-dashboard.shell.test.ts
 */
import { ApiError, sinceAnswer, type Api } from "./api.ts";
import type { Followed } from "./needs.ts";
import type { Fact, Job, Run } from "./rows.ts";
import { takeSeat } from "./seats.ts";
import { SseReader, type Message } from "./sse.ts";
import type { Action } from "./state.ts";

const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 2_000;
/** Between two looks of a window without a seat. */
const LOOK_MS = 1_000;
/** Without a word for so long, the page asks whether anybody is there. */
const SILENCE_MS = 3_000;
const PROBE_MS = 2_000;
/** A person who looks at another tab for a moment costs no connection. */
const HIDDEN_MS = 5_000;

export interface StreamOptions {
  readonly api: Api;
  dispatch(action: Action): void;
}

export class Stream {
  readonly #options: StreamOptions;
  #runs: readonly string[] = [];
  /** Without the facts of their attempts. */
  #isBrief = true;
  #lastId = "";
  /** That have come and are not told yet. */
  #facts: Fact[] = [];
  /** Followed runs of which nothing is known yet. */
  readonly #unread = new Set<string>();
  #connection: AbortController | undefined;
  /** Gives the seat back. Undefined: there is none for this window. */
  #leave: (() => void) | undefined;
  /** Of this connection: whether anything came, and whether it was given up as a dead one. */
  #heard = false;
  #isSilent = false;
  /** Nobody sees the page. One that is opened behind others begins so. */
  #isAsleep = document.hidden;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  /** Ends the pause between two tries. */
  #wake: () => void = () => undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
    addEventListener("online", () => this.#wake());
    addEventListener("visibilitychange", () => this.#seen());
  }

  #seen(): void {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        this.#isAsleep = true;
        this.#options.dispatch({ type: "connection", connection: "connecting" });
        this.#connection?.abort();
        this.#leave?.();
        this.#leave = undefined;
      }, HIDDEN_MS);
    } else if (this.#isAsleep) {
      this.#isAsleep = false;
      this.#wake();
    }
  }

  /** Runs whose jobs are wanted, too. Another set is another connection. */
  follow({ ids, isBrief }: Followed): void {
    const sorted = [...ids].sort();
    // Of runs that were followed in brief some facts are missing: they are read as new ones.
    const isSame = isBrief === this.#isBrief;
    if (isSame && sorted.join("\n") === this.#runs.join("\n")) return;
    const kept = isSame ? this.#runs.filter((id) => sorted.includes(id)) : [];
    for (const run of this.#runs) {
      if (kept.includes(run)) continue;
      this.#options.dispatch({ type: "unfollow", run });
      this.#unread.delete(run);
    }
    for (const run of sorted) if (!kept.includes(run)) this.#unread.add(run);
    this.#runs = sorted;
    this.#isBrief = isBrief;
    this.#connection?.abort();
    this.#wake();
  }

  /** The page may have slept: the master says anew what time it is, and what was missed. */
  renew(): void {
    this.#connection?.abort();
    this.#wake();
  }

  async run(): Promise<never> {
    let wait = MIN_WAIT_MS;
    for (;;) {
      while (this.#isAsleep) await new Promise<void>((resolve) => (this.#wake = resolve));
      const wasAborted = await this.#once().then(() => false, (error: unknown) => {
        if (this.#connection?.signal.aborted === true && !this.#isSilent) return true;
        this.#failed(error);
        return false;
      });
      if (wasAborted) continue;
      if (this.#heard) wait = MIN_WAIT_MS;
      await this.#pause(this.#heard && this.#leave === undefined ? LOOK_MS : wait);
      wait = Math.min(2 * wait, MAX_WAIT_MS);
    }
  }

  async #once(): Promise<void> {
    this.#heard = false;
    this.#isSilent = false;
    this.#connection = new AbortController();
    this.#leave ??= await takeSeat();
    await this.#listen(this.#connection);
  }

  #failed(error: unknown): void {
    if (error instanceof ApiError && error.status !== 0) {
      const { status, message } = error;
      this.#options.dispatch({ type: "failed", path: "events", error: { status, message } });
    }
    this.#options.dispatch({ type: "connection", connection: "lost" });
  }

  async #listen(connection: AbortController): Promise<void> {
    const isOnce = this.#leave === undefined;
    const query = new URLSearchParams(this.#runs.map((id) => ["run", id]));
    if (this.#isBrief) query.set("facts", "few");
    if (isOnce) query.set("once", "1");
    const headers = this.#lastId === "" ? {} : { "last-event-id": this.#lastId };
    const { signal } = connection;
    const watch = new Watch(() => {
      this.#isSilent = true;
      connection.abort();
    });
    let reader: ReadableStreamDefaultReader<string> | undefined;
    try {
      // As they are at some time after the last message. Later changes come behind it.
      await this.#readRuns(signal);
      const response = await fetch(`/api/v1/events?${query}`, { headers, signal });
      if (!response.ok) {
        throw new ApiError(response.status, `The master answered ${response.status}`);
      }
      const messages = new SseReader();
      // Safari before 26 has no `for await` over a stream.
      reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        watch.heard();
        this.#heard = true;
        for (const message of messages.read(read.value)) if (!signal.aborted) this.#take(message);
        this.#tell();
      }
      if (!isOnce) throw new ApiError(0, "The connection ended");
    } finally {
      watch.stop();
      // After an error of ours the connection would stay, one of the six.
      reader?.cancel().catch(() => undefined);
    }
  }

  #take({ event, id, data }: Message): void {
    const { dispatch } = this.#options;
    const isGap = this.#lastId !== "";
    if (id !== "") this.#lastId = id;
    const value = JSON.parse(data) as Record<string, unknown> & { seq: number };
    if (event === "fact") {
      this.#facts.push(value as unknown as Fact);
      return;
    }
    this.#tell();
    if (event === "hello") {
      const { seq, now, version, startedAt } = value as unknown as Hello;
      dispatch({ type: "hello", seq, now, version, startedAt, wall: Date.now() });
      dispatch({ type: "connection", connection: "live" });
    } else if (event === "snapshot") this.#snapshot(value, isGap);
    else if (event === "rows") dispatch({ ...(value as unknown as Rows), type: "rows" });
  }

  /** Facts come by the hundred: those that stand together are one change of the state. */
  #tell(): void {
    const facts = this.#facts;
    if (facts.length === 0) return;
    this.#facts = [];
    this.#options.dispatch({ type: "facts", facts });
  }

  #snapshot(value: Record<string, unknown> & { seq: number }, isGap: boolean): void {
    const { seq } = value;
    const { dispatch } = this.#options;
    if (value["runs"] !== undefined) {
      dispatch({ type: "snapshot", seq, runs: value["runs"] as Run[] });
    } else {
      const [run, jobs] = [value["run"] as Run, value["jobs"] as Job[]];
      dispatch({ type: "run", seq, run, jobs, isGap });
    }
  }

  async #readRuns(signal: AbortSignal): Promise<void> {
    for (const id of [...this.#unread]) {
      const found = await this.#readRun(id);
      if (signal.aborted) return;
      this.#unread.delete(id);
      if (found !== undefined) this.#options.dispatch({ type: "run", seq: 0, ...found });
    }
  }

  async #readRun(id: string): Promise<{ run: Run; jobs: Job[] } | undefined> {
    const path = `runs/${encodeURIComponent(id)}`;
    try {
      return await this.#options.api.get<{ run: Run; jobs: Job[] }>(path);
    } catch (error) {
      const { status, message } = error as ApiError;
      if (status !== 404) throw error;
      this.#options.dispatch({ type: "failed", path, error: { status, message } });
      return undefined;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

interface Hello {
  readonly seq: number;
  readonly now: number;
  readonly version: string;
  readonly startedAt: number;
}

type Rows = Omit<Action & { type: "rows" }, "type">;

/** Finds out when a silent connection is a dead one. */
class Watch {
  readonly #dead: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(dead: () => void) {
    this.#dead = dead;
    this.heard();
  }

  heard(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#probe(), SILENCE_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #probe(): Promise<void> {
    // What a view asks again and again has been answered meanwhile: that says as much.
    if (sinceAnswer() < SILENCE_MS) return this.heard();
    try {
      const signal = AbortSignal.timeout(PROBE_MS);
      await fetch("/healthz", { signal, cache: "no-store" });
      this.heard();
    } catch {
      if (!this.#stopped) this.#dead();
    }
  }
}
