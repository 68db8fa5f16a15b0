/**
 * Lesson 10: the loop in the middle: decide, apply, append, and let effects out in order.
 *
 * Invariants: effects run in the order in which they were queued, each after its events are
 * durable; after a failed write nothing runs any more; while the disk is full nothing is decided,
 * so memory stays as it is.
 *
 * A full disk: events that were applied before the log knew stay applied, and the log keeps them.
 * Their effects (answers, dispatches) wait, and come first when there is room. New changes are
 * refused; attempts and the master's own decisions wait.
 *
 * Reads are answered at once (`answer`), from memory: such an answer may tell of those events,
 * which nobody has been promised. If the master dies before there is room, they have never
 * happened. So three answers say nothing of them, because others build on these: the number of the
 * last event, the hash, and the end of a run that is watched. The client of a change that was made
 * and cannot be written is answered after CONFIRM_MS: nobody knows whether the change will have
 * happened.
 * Test: test/10-master.test.ts, test/10-master.full.test.ts
 */
import {
  apply, decide, Event, nextAdvance, nextStart, nextTime, Refusal, State, type Command,
  type CommandOf, type Context, type Effect, type Replies,
} from "#core";
import type { Timer } from "#host";
import type { LogFull, LogStats } from "#log";
import { RpcError } from "#rpc";
import { isOpenRun } from "#wire";
import type { EngineOptions } from "./engine-options.ts";
import { recover } from "./recover.ts";
import { Snapshots, type StateHash } from "./snapshots.ts";

/** Attempts started in one turn. Beyond it a turn would keep beats and replies waiting. */
const STARTS_PER_TURN = 4096;

/**
 * How long a client waits for a full disk with a change that may have happened: long enough for
 * somebody who is tidying up.
 */
export const CONFIRM_MS = 5000;

/**
 * Timers are armed no further ahead than this, and looked at again: the wall clock may have jumped
 * meanwhile.
 */
const LONGEST_SLEEP_MS = 60_000;

/** A client that waits for a change to be durable, and cannot wait for ever. */
interface Asker {
  fail(code: "DEADLINE", message: string): void;
}

/** A change that is made and not durable yet, and the one who is to be told. */
interface Confirmation {
  readonly type: "Confirm";
  readonly asker: Asker;
  readonly answer: () => void;
}

/** What waits for the disk: effects, answers, and whatever else was queued with `whenDurable`. */
type Held = Effect | Confirmation | (() => void);

export class Engine {
  state = new State();
  #held: Held[] = [];
  /** Groups that wait for their fsync, oldest first. */
  readonly #groups: Held[][] = [];
  /** Those of `held` that answer reads. */
  readonly #answers = new Set<() => void>();
  /**
   * Decisions of the master's own that wait for room, one for each worker: its newest word counts.
   */
  readonly #postponed = new Map<number | string, () => void>();
  #patience: Timer | undefined;
  #turnPlanned = false;
  #wake: Timer | undefined;
  #wakeAt = Infinity;
  readonly #snapshots: Snapshots;
  #stopped = false;
  /** Counts groups of effects: what belongs to the same group may share one message. */
  group = 0;
  readonly #options: EngineOptions;
  readonly #random = (): number => this.#options.host.random.unit();

  constructor(options: EngineOptions) {
    this.#options = options;
    const { host, log, onFatal } = options;
    this.#snapshots = new Snapshots({ host, log, state: () => this.state, onFatal });
  }

  /**
   * Restores the state from the log.
   *
   * @throws {NeedsMemory} with what it takes
   */
  async recover(): Promise<{ events: number }> {
    const { log, memory, observer } = this.#options;
    const { state, events } = await recover(log, memory.ceiling);
    this.state = state;
    this.#snapshots.tail = events;
    this.state.observer = observer;
    return { events };
  }

  /**
   * Whether no job of this run will run any more, by its id. A run that has been forgotten
   * was over before.
   */
  isOver(run: string): boolean {
    const found = this.state.runsById.get(run);
    return found === undefined || !isOpenRun(found.status);
  }

  /** What decisions may know of the world. */
  get context(): Context {
    const { host, memory, artifacts, connections, mayNotify, returnsUntil } = this.#options;
    // Events are ordered, and so are their times, even when somebody sets the clock back.
    const now = Math.max(host.clock.wall(), this.state.at);
    // Each command has one. To spread what may be there took a tenth of the time of a small run.
    return {
      now, random: this.#random, memory, artifacts, connections, mayNotify,
      returnsUntil: returnsUntil?.(),
    };
  }

  // #region execute
  /**
   * Decides, and makes facts of what follows. The promise resolves with the reply once they are
   * durable.
   *
   * @throws {Refusal} nothing has changed
   * @throws {RpcError} DEADLINE: the disk is full, and the change may happen yet
   */
  async execute<T extends Command["type"]>(command: CommandOf<T>): Promise<Replies[T]> {
    const reply = this.commit(command);
    return new Promise((resolve, reject) => {
      const asker = { fail: (code: "DEADLINE", why: string) => reject(new RpcError(code, why)) };
      this.confirm(asker, () => resolve(reply));
    });
  }

  /**
   * The first half of it: the events are facts in memory, and on their way to the disk. The reply
   * is for the master itself. It must not leave before it is durable.
   *
   * @throws {Refusal}
   */
  commit<T extends Command["type"]>(command: CommandOf<T>): Replies[T] {
    const { events, effects, reply } = decide(this.state, command, this.context);
    this.#record(events);
    for (const effect of effects) this.whenDurable(effect);
    return reply;
  }

  /** Holds `effect` back until everything that has been committed so far is durable. */
  whenDurable(effect: Held): void {
    this.#held.push(effect);
    this.#planTurn();
  }
  // #endregion

  // #region record
  /** Makes facts: applies them to the state, and appends them to the log. */
  #record(events: readonly Event[]): void {
    if (this.#stopped || events.length === 0) return;
    this.checkRoom("change anything");
    // Before the first append, which plans the log's own flush: then the turn runs first, and the
    // attempts that it starts share this fsync with the event that made them ready. The other way
    // round a chain of jobs pays two fsyncs a hop.
    this.#planTurn();
    try {
      this.#options.witness?.before(events);
      for (const event of events) {
        apply(this.state, event);
        this.#options.log.append(Event.encode(event));
        this.#snapshots.tail += 1;
      }
      this.#options.witness?.after(this.#options.log.nextSeq - events.length, events);
    } catch (error) {
      // Memory now holds what the log does not. Only a restart, from the log, makes the two equal
      // again.
      this.#options.onFatal(error as Error);
    }
  }
  // #endregion

  /**
   * The second half: runs `answer` once all that was committed is durable. On a full disk that may
   * take days: then the asker is told that nobody knows.
   */
  confirm(asker: Asker, answer: () => void): void {
    this.whenDurable({ type: "Confirm", asker, answer });
  }

  /** Changes whose clients wait for the disk. */
  get unconfirmed(): number {
    return this.#confirmations().length;
  }

  /** Looked for in all that waits: a set of them would cost every submission, for rare reads. */
  #confirmations(): Confirmation[] {
    const isAsked = (held: Held): held is Confirmation =>
      typeof held === "object" && held.type === "Confirm";
    return [...this.#groups, this.#held].flatMap((group) => group.filter(isAsked));
  }

  #giveUpConfirming(): void {
    const why = `the disk of the master is full (${this.full?.message})`;
    const after = "It happens when there is room, unless the master ends before; " +
      "the same submission with the same key finds out";
    const found = `Cannot say whether this will have happened: ${why}. ${after}`;
    for (const { asker } of this.#confirmations()) asker.fail("DEADLINE", found);
  }

  /**
   * For a read: runs `effect` once all that it may tell is durable; while the disk is full, at
   * once.
   */
  answer(effect: () => void): void {
    if (this.full !== undefined) return this.#options.host.timers.soon(effect);
    this.#answers.add(effect);
    this.whenDurable(() => {
      if (this.#answers.delete(effect)) effect();
    });
  }

  /** The same as a promise. It never settles if that moment never comes. */
  readable(): Promise<void> {
    return new Promise((resolve) => this.answer(resolve));
  }

  // #region full
  /** Set while the disk of the log is full. */
  get full(): LogFull | undefined {
    return this.#options.log.full;
  }

  /**
   * `doing` is what could not be done, as in "submit".
   *
   * @throws {Refusal} OVERLOADED: the disk is full
   */
  checkRoom(doing: string): void {
    if (this.full !== undefined) throw this.noRoom(doing);
  }

  noRoom(doing: string): Refusal {
    const what = `the disk of the master is full (${this.full?.message})`;
    const advice = "reads go on, changes are taken again when there is room";
    return new Refusal("OVERLOADED", `Cannot ${doing}: ${what}: ${advice}`);
  }

  /**
   * Decides now, or as soon as there is room: for decisions that cannot be refused, such as a
   * worker's goodbye. `about` is the worker, or another thing: of decisions about one thing the
   * latest counts.
   */
  whenRoom(about: number | string, decide: () => void): void {
    if (this.full === undefined) decide();
    else this.#postponed.set(about, decide);
  }

  /** The log has just found the disk full: those who read do not wait for it. */
  diskFull(): void {
    const answers = [...this.#answers];
    this.#answers.clear();
    this.#patience = this.#options.host.timers.after(CONFIRM_MS, () => this.#giveUpConfirming());
    this.#options.host.timers.soon(() => this.#guard(() => answers.forEach((answer) => answer())));
  }

  /**
   * All that waited is written. Its effects run in a moment. Decisions that were postponed are
   * taken before, on the same memory as then.
   */
  roomAgain(): void {
    this.#patience?.cancel();
    this.#guard(() => {
      const postponed = [...this.#postponed.values()];
      this.#postponed.clear();
      for (const decide of postponed) decide();
    });
    this.#planTurn();
  }
  // #endregion

  #guard(work: () => void): void {
    if (this.#stopped) return;
    try {
      work();
    } catch (error) {
      this.#options.onFatal(error as Error);
    }
  }

  /** The number that the log gives next, as far as it is durable. */
  get nextSeq(): number {
    return this.#options.log.durableSeq + 1;
  }

  /** How much the log has done since it was opened. */
  get logStats(): LogStats {
    return this.#options.log.stats;
  }

  /** Bytes of events that wait for the disk. */
  get backlogBytes(): number {
    return this.#options.log.backlogBytes;
  }

  /** The log is read. Deadlines may have passed since its end, and nobody may come to say so. */
  begin(): void {
    this.#planTurn();
  }

  /**
   * Something that decisions depend on has changed, and it is no event: a connection has ended, a
   * worker is back, or the log has been read.
   */
  look(): void {
    if (this.state.updates.size + this.state.draining.size > 0) this.#planTurn();
  }

  #planTurn(): void {
    if (this.#turnPlanned || this.#stopped) return;
    this.#turnPlanned = true;
    this.#options.host.timers.soon(() => this.#turn());
  }

  // #region turn
  /**
   * Once per turn of the event loop, after all that had arrived: start what can start, then one
   * group commit.
   */
  #turn(): void {
    this.#turnPlanned = false;
    if (this.#stopped) return;
    if (this.full === undefined) {
      this.#tick();
      this.#start();
      this.#arm();
    }
    this.#release();
  }

  #start(): void {
    const { now } = this.context;
    for (let started = 0; started < STARTS_PER_TURN; started++) {
      const start = nextStart(this.state, now);
      if (start === undefined) break;
      this.#record([start]);
      this.#held.push({ type: "Dispatch", start });
    }
  }
  // #endregion

  // #region release
  #release(): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    this.#groups.push(held);
    this.group += 1;
    const { log, perform, onReleased, onFatal } = this.#options;
    const run = (): void => {
      this.#groups.shift();
      for (const effect of held) {
        if (typeof effect === "function") effect();
        else if (effect.type === "Confirm") effect.answer(); // to nobody, if it was given up
        else perform(effect);
      }
      onReleased();
      this.#snapshots.saveIfLong();
    };
    // If it never is, the log's own onFatal has already spoken.
    log.durable().then(run, () => undefined).catch(onFatal);
  }
  // #endregion

  #tick(): void {
    this.commit({ type: "Tick" });
    const { updates, draining } = this.state;
    if (updates.size + draining.size > 0) this.commit({ type: "Advance" });
    this.commit({ type: "Forget" });
    // Old files wake nobody: they go when something happens next, and when others need the room.
    if (this.state.leaving.size > 0) this.commit({ type: "ExpireArtifacts" });
  }

  /** Sleeps until the next delay or deadline: to the millisecond, and at no cost until then. */
  #arm(): void {
    const { state, context } = this;
    const at = Math.min(nextTime(state), nextAdvance(state, context));
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

  /** See `Snapshots.save`. */
  snapshot(): Promise<void> {
    return this.#snapshots.save();
  }

  /** See `Snapshots.hash`. */
  hash(): Promise<StateHash> {
    return this.#snapshots.hash();
  }

  /**
   * Settles every effect that is under way, and starts nothing more. Changes that wait for room
   * stay unanswered.
   */
  async stop(): Promise<void> {
    this.#release();
    if (this.full === undefined) await this.#options.log.durable().catch(() => undefined);
    this.halt();
  }

  /** Nothing more happens here, not even what was queued. */
  halt(): void {
    this.#stopped = true;
    this.#held = [];
    this.#answers.clear();
    this.#postponed.clear();
    this.#groups.length = 0;
    this.#patience?.cancel();
    this.#wake?.cancel();
  }
}
