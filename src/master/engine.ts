/**
 * Lesson 10: the loop in the middle: decide, apply, append, and let effects out in order.
 *
 * Invariants: effects run in the order in which they were queued, each after its events are durable; after a
 * failed write nothing runs any more.
 * Test: test/10-master.test.ts
 */
import { apply, decideForget, decideTick, Event, nextStart, SnapshotReader, State, writeSnapshot, type Context, type EventOf, type Observer } from "#core";
import type { Host, Timer } from "#host";
import type { Log } from "#log";

/** A snapshot is taken once the tail has grown by this many events: at 500,000 a second, two seconds of replay. */
const SNAPSHOT_EVENTS = 1_000_000;

/** Attempts started in one turn. Beyond it a turn would keep beats and replies waiting. */
const STARTS_PER_TURN = 4096;

/** Timers are armed no further ahead than this, and looked at again: the wall clock may have jumped meanwhile. */
const LONGEST_SLEEP_MS = 60_000;

export interface EngineOptions {
  readonly host: Host;
  readonly log: Log;
  readonly observer: Observer;
  /** An attempt has started, durably: send it to its worker. */
  readonly onStarted: (event: EventOf<"JobStarted">) => void;
  /** Runs after each group of effects, to send what they have collected. */
  readonly onReleased: () => void;
  /** Memory and log may differ from here on: the process has to end. Calls `halt`. */
  readonly onFatal: (error: Error) => void;
}

export class Engine {
  state = new State();
  /** Events since the newest snapshot. */
  #tail = 0;
  #effects: (() => void)[] = [];
  #turnPlanned = false;
  #wake: Timer | undefined;
  #wakeAt = Infinity;
  #snapshotting = false;
  #stopped = false;
  /** Counts groups of effects: what belongs to the same group may share one message. */
  group = 0;
  readonly #options: EngineOptions;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  // #region recover
  /** Snapshot plus tail: the same `apply` as in daily life, with no observer and no effect. */
  async recover(): Promise<{ events: number }> {
    const { log } = this.#options;
    if (log.snapshot !== undefined) {
      const reader = new SnapshotReader();
      await log.readSnapshot((chunk) => reader.part(chunk));
      this.state = reader.finish();
    }
    let events = 0;
    await log.replay((_seq, body) => {
      apply(this.state, Event.decode(body));
      events += 1;
    });
    this.#tail = events;
    this.state.observer = this.#options.observer;
    return { events };
  }
  // #endregion

  /**
   * Whether no job of this run will run any more, by its id. A run that has been forgotten
   * was over before.
   */
  isOver(run: string): boolean {
    return this.state.runsById.get(run)?.status !== "RUNNING";
  }

  /** What decisions may know of the world. */
  get context(): Context {
    const { clock, random } = this.#options.host;
    // Events are ordered, and so are their times, even when somebody sets the clock back.
    return { now: Math.max(clock.wall(), this.state.at), random: () => random.unit() };
  }

  // #region commit
  /** Makes facts: applies and logs them. What they lead to is queued with `afterwards`. */
  commit(events: readonly Event[]): void {
    if (this.#stopped || events.length === 0) return;
    // Before the first append, which plans the log's own flush: then the turn runs first, and what it starts shares this fsync
    // with what made it ready. The other way round a chain of jobs pays two fsyncs a hop.
    this.#planTurn();
    try {
      for (const event of events) {
        apply(this.state, event);
        this.#options.log.append(Event.encode(event));
        this.#tail += 1;
      }
    } catch (error) {
      // Memory now holds what the log does not. Only a restart, from the log, makes the two equal again.
      this.#options.onFatal(error as Error);
    }
  }

  /** Runs `effect` once everything that has been committed so far is durable. */
  afterwards(effect: () => void): void {
    this.#effects.push(effect);
    this.#planTurn();
  }
  // #endregion

  /** The same as a promise. It never settles if that moment never comes. */
  durable(): Promise<void> {
    return new Promise((resolve) => this.afterwards(resolve));
  }

  /** Bytes of events that wait for the disk. */
  get backlogBytes(): number {
    return this.#options.log.backlogBytes;
  }

  #planTurn(): void {
    if (this.#turnPlanned || this.#stopped) return;
    this.#turnPlanned = true;
    this.#options.host.timers.soon(() => this.#turn());
  }

  // #region turn
  /** Once per turn of the event loop, after all that had arrived: start what can start, then one group commit. */
  #turn(): void {
    this.#turnPlanned = false;
    if (this.#stopped) return;
    this.#tick();
    const { now } = this.context;
    for (let started = 0; started < STARTS_PER_TURN; started++) {
      const event = nextStart(this.state, now) as EventOf<"JobStarted"> | undefined;
      if (event === undefined) break;
      this.commit([event]);
      this.#effects.push(() => this.#options.onStarted(event));
    }
    this.#arm();
    this.#release();
  }
  // #endregion

  // #region release
  #release(): void {
    const effects = this.#effects;
    if (effects.length === 0) return;
    this.#effects = [];
    this.group += 1;
    const { log, onReleased, onFatal } = this.#options;
    const run = (): void => {
      for (const effect of effects) effect();
      onReleased();
      this.#maybeSnapshot();
    };
    // If it never is, the log's own onFatal has already spoken.
    log.durable().then(run, () => undefined).catch(onFatal);
  }
  // #endregion

  #tick(): void {
    for (const decide of [decideTick, decideForget]) this.commit(decide(this.state, this.context));
  }

  /** Sleeps until the next delay or deadline: to the millisecond, and at no cost until then. */
  #arm(): void {
    const at = this.state.delayed.nextAt ?? Infinity;
    if (at === this.#wakeAt) return;
    this.#wake?.cancel();
    this.#wake = undefined;
    this.#wakeAt = at;
    if (at === Infinity) return;
    const { clock, timers } = this.#options.host;
    this.#wake = timers.after(Math.min(LONGEST_SLEEP_MS, Math.max(0, at - clock.wall())), () => {
      this.#wakeAt = Infinity;
      this.#planTurn();
    });
  }

  #maybeSnapshot(): void {
    if (this.#tail >= SNAPSHOT_EVENTS && !this.#snapshotting) void this.snapshot();
  }

  /** Writes the state as of now; the log forgets what the snapshot covers. */
  async snapshot(): Promise<void> {
    const { log, onFatal } = this.#options;
    if (this.#snapshotting || this.#tail === 0) return;
    this.#snapshotting = true;
    const seq = log.nextSeq - 1;
    const parts = [...writeSnapshot(this.state)]; // now, before the next event
    this.#tail = 0;
    try {
      await log.durable(seq); // a snapshot must not know more than the log
      await log.saveSnapshot(seq, parts);
    } catch (error) {
      onFatal(error as Error);
    } finally {
      this.#snapshotting = false;
    }
  }

  /** Settles every effect that is under way, and starts nothing more. */
  async stop(): Promise<void> {
    this.#release();
    await this.#options.log.durable().catch(() => undefined);
    this.halt();
  }

  /** Nothing more happens here, not even what was queued. */
  halt(): void {
    this.#stopped = true;
    this.#effects = [];
    this.#wake?.cancel();
  }
}
