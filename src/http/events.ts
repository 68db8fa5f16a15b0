/**
 * Lesson 19: the event stream: what happens in the cluster, for as many pages as are open.
 *
 *     master ══ one subscription ══▶ pending ──(every 100 ms)──▶ rows of what they touched
 *                                                                  │
 *     readers ◀── one text for all who want the same ◀── news ◀────┘
 *        └─ new, back after a gap, or slow: they catch up one after the other, between two news
 *
 * Invariants: a reader gets each fact that it wants once, in order; after its last message it has
 * the rows of all that was touched up to that id; what is kept is bounded, however many read and
 * however slowly.
 * Test: test/http.events.test.ts
 */
import type { Host, Timer } from "#host";
import type { Client } from "#sdk";
import type { FactsPage } from "#wire";
import { catchUp } from "./catch-up.ts";
import {
  lacksText, news, NO_ROWS, wantsDetails, type Interest, type News, type SeenFact, type SeenRows,
} from "./frames.ts";
import { MAX_STREAMS } from "./options.ts";
import { Reader, type From, type Outlet } from "./reader.ts";
import { RecentFacts } from "./recent.ts";
import { RowReader, Touches } from "./touched.ts";

/** Rows come at most so often: faster than a person sees, slower than jobs change. */
const NEWS_MS = 100;
const BEAT_MS = 10_000;
/** Facts that wait for their rows to be read. */
const MAX_PENDING = 20_000;
/** When a subscription has ended, for whatever reason. */
const RETRY_MS = 500;
/** The subscription goes on for a page that is loaded anew. */
const LINGER_MS = 30_000;
/**
 * Details are asked for a little longer than somebody wants them: an Overview follows the runs that
 * go on, and small ones come and go many times a second. Each change is another subscription.
 */
const DETAILS_MS = 10_000;

export interface HubOptions {
  readonly host: Host;
  /** A session with the master, a new one if the last has ended. */
  readonly session: () => Promise<Client>;
  readonly version: string;
}

export class EventHub {
  readonly #options: HubOptions;
  readonly #readers = new Set<Reader>();
  /** How many of them want details. Counted: 2,000 come at once when a master starts anew. */
  #detailed = 0;
  /** Live readers by their keys. */
  readonly #live = new Map<string, Set<Reader>>();
  readonly #recent = new RecentFacts();
  readonly #rows: RowReader;
  /** From the master, and not told yet. */
  #pending: SeenFact[] = [];
  #touches = new Touches();
  /** The number of the last fact that the master has told. Undefined: it has not said yet. */
  #seen: number | undefined;
  /** What was before this number cannot be told: everybody looks anew. */
  #resetAt: number | undefined;
  #startedAt = 0;
  #following: AbortController | undefined;
  /** Whether the subscription asks for the texts of details. */
  #details = false;
  /** Runs while nobody wants them any more. */
  #relaxing: Timer | undefined;
  #timer: Timer | undefined;
  #beat: Timer | undefined;
  #linger: Timer | undefined;
  #working = false;
  #toldAt = -Infinity;
  #closed = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#rows = new RowReader(options);
  }

  /** Streams that are open. */
  get size(): number {
    return this.#readers.size;
  }

  /** No more streams may be opened. */
  get isFull(): boolean {
    return this.#readers.size >= MAX_STREAMS || this.#closed;
  }

  open(outlet: Outlet, interest: Interest, from: From = {}): void {
    outlet.write(Buffer.from("retry: 1000\n\n"));
    const reader = new Reader(outlet, interest, from);
    reader.onDrained = () => {
      if (!reader.isLive) this.#soon();
    };
    this.#readers.add(reader);
    if (wantsDetails(interest)) this.#detailed += 1;
    outlet.once("close", () => this.#left(reader));
    this.#linger?.cancel();
    this.#adapt();
    this.#beat ??= this.#options.host.timers.after(BEAT_MS, () => this.#beats());
    this.#soon();
  }

  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.end();
    this.#rest();
  }

  #left(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    if (wantsDetails(reader.interest)) this.#detailed -= 1;
    this.#unlive(reader);
    if (this.#closed) return;
    if (this.#readers.size > 0) return this.#adapt();
    this.#beat?.cancel();
    this.#beat = undefined;
    this.#linger = this.#options.host.timers.after(LINGER_MS, () => this.#rest());
    this.#linger.unref?.();
  }

  /** Nobody reads. */
  #rest(): void {
    for (const timer of [this.#timer, this.#beat, this.#linger, this.#relaxing]) timer?.cancel();
    this.#beat = undefined;
    this.#relaxing = undefined;
    this.#following?.abort();
    this.#following = undefined;
    this.#seen = undefined;
  }

  // #region follow
  /** Subscribes, or again behind the last fact that came, if other readers want other things. */
  #adapt(): void {
    const details = this.#detailed > 0;
    if (details) {
      this.#relaxing?.cancel();
      this.#relaxing = undefined;
    }
    if (this.#following !== undefined && details === this.#details) return;
    if (details || this.#following === undefined) this.#subscribe(details);
    else {
      this.#relaxing ??= this.#options.host.timers.after(DETAILS_MS, () => {
        this.#relaxing = undefined;
        this.#subscribe(false);
      });
    }
  }

  #subscribe(details: boolean): void {
    this.#details = details;
    this.#following?.abort();
    void this.#follow();
  }

  /** One subscription for all. When it breaks it goes on behind the last fact that came. */
  async #follow(): Promise<void> {
    const following = new AbortController();
    this.#following = following;
    const { signal } = following;
    while (!signal.aborted) {
      try {
        const client = await this.#options.session();
        this.#startedAt = (await client.info()).startedAt;
        const from = this.#seen === undefined ? undefined : this.#seen + 1;
        for await (const page of client.facts({ from, signal, details: this.#details })) {
          if (signal.aborted) break; // another one has begun, and gets this page as well
          this.#take(page);
          // Then the master holds the rest, or reads it from the disk.
          while (this.#pending.length > MAX_PENDING && !signal.aborted) await this.#sleep(NEWS_MS);
        }
      } catch {
        // The master is away, or has cut us: readers are told nothing meanwhile, and miss nothing.
      }
      await this.#sleep(RETRY_MS);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.host.timers.after(ms, resolve).unref?.());
  }

  #take({ reset, first, facts, touched }: FactsPage): void {
    if (reset || this.#seen === undefined) {
      this.#resetAt = first;
      this.#pending = [];
      this.#touches = new Touches();
    }
    let seq = first;
    for (const { type, run, text, times } of facts) {
      const fact = { seq, type, run, text };
      for (const end = seq + times; seq < end; seq++) this.#pending.push(fact);
    }
    this.#seen = seq - 1;
    this.#touches.add(touched);
    this.#soon();
  }
  // #endregion

  #beats(): void {
    const bytes = Buffer.from(": beat\n\n");
    const now = this.#options.host.clock.monotonic();
    for (const reader of this.#readers) {
      if (!reader.isBlocked) reader.write(bytes, now);
      reader.cutIfStuck(now);
    }
    this.#beat = this.#options.host.timers.after(BEAT_MS, () => this.#beats());
  }

  /** Works in a moment: at once for those who wait, and for news at their pace. */
  #soon(): void {
    if (this.#working || this.#timer !== undefined || this.#seen === undefined) return;
    const { clock, timers } = this.#options.host;
    const isAwaited = this.#waiting().length > 0;
    const ms = isAwaited ? 0 : Math.max(0, this.#toldAt + NEWS_MS - clock.monotonic());
    this.#timer = timers.after(ms, () => {
      this.#timer = undefined;
      void this.#work();
    });
  }

  #waiting(): Reader[] {
    return [...this.#readers].filter(({ isLive, isBlocked, isGone }) =>
      !isLive && !isBlocked && !isGone);
  }

  // #region work
  async #work(): Promise<void> {
    this.#working = true;
    const { clock } = this.#options.host;
    let isDone = true;
    if (this.#resetAt !== undefined) this.#startAnew(this.#resetAt);
    try {
      if (clock.monotonic() >= this.#toldAt + NEWS_MS) await this.#tellNews();
      for (const reader of this.#waiting()) await this.#catchUp(reader);
    } catch {
      isDone = false; // the master is away: all of it is tried again
    }
    this.#working = false;
    const more = this.#pending.length > 0 || this.#touches.size > 0 || this.#waiting().length > 0;
    if (this.#closed || !more) return;
    if (isDone) this.#soon();
    else this.#timer = this.#options.host.timers.after(RETRY_MS, () => {
      this.#timer = undefined;
      void this.#work();
    });
  }

  async #tellNews(): Promise<void> {
    if (this.#pending.length === 0 && this.#touches.size === 0) return;
    const [facts, touches, end] = [this.#pending, this.#touches, this.#seen!];
    [this.#pending, this.#touches] = [[], new Touches()];
    let rows: SeenRows = NO_ROWS;
    try {
      rows = await this.#rows.read(touches.asked(this.#followed()));
    } catch (error) {
      this.#pending = [...facts, ...this.#pending];
      this.#touches.merge(touches);
      throw error;
    }
    this.#toldAt = this.#options.host.clock.monotonic();
    this.#recent.add(facts, end);
    for (const readers of this.#live.values()) this.#tell(readers, { facts, rows, end });
  }
  // #endregion

  // #region tell
  /** One text for all of them. */
  #tell(readers: ReadonlySet<Reader>, told: News): void {
    const [first] = readers;
    const { interest } = first!;
    if (lacksText(interest, told.facts)) {
      for (const reader of readers) this.#unlive(reader); // it catches up, with all texts
      return;
    }
    const bytes = Buffer.from(news(interest, told));
    const now = this.#options.host.clock.monotonic();
    for (const reader of readers) {
      if (reader.isBlocked) {
        this.#unlive(reader);
        continue;
      }
      reader.at = told.end;
      if (bytes.length > 0) reader.write(bytes, now);
    }
  }
  // #endregion

  /** Everybody catches up, each from where it is. */
  #startAnew(next: number): void {
    this.#resetAt = undefined;
    this.#recent.restart(next);
    this.#rows.forget();
    for (const reader of this.#readers) this.#unlive(reader);
  }

  #unlive(reader: Reader): void {
    reader.isLive = false;
    const same = this.#live.get(reader.key);
    same?.delete(reader);
    if (same?.size === 0) this.#live.delete(reader.key);
  }

  #followed(): Set<string> {
    return new Set([...this.#live.values()].flatMap(([reader]) => reader!.interest.runs));
  }

  async #catchUp(reader: Reader): Promise<void> {
    const { session, host, version } = this.#options;
    await catchUp(reader, {
      host, version, startedAt: this.#startedAt, client: await session(), recent: this.#recent,
      rows: this.#rows,
    });
    if (reader.isGone || reader.at !== this.#recent.end) return;
    if (reader.once) {
      reader.end();
      this.#left(reader);
      return;
    }
    reader.isLive = true;
    const same = this.#live.get(reader.key) ?? new Set();
    this.#live.set(reader.key, same.add(reader));
  }
}
