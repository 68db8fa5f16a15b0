/**
 * Lesson 15: when keys die.
 *
 * A deadline is a wall-clock time in milliseconds, absolute: it means the same in the log, after a
 * restart and on a replica. Two things enforce it. On access, the keyspace compares with `get`
 * (lazy): no one ever sees a dead key. And a heap of deadlines (chapter 07) removes the keys that
 * nobody asks for (active): one timer, armed for the earliest deadline, and none at all while no
 * key has one.
 *
 *     deadlines   key → ms                        the truth
 *     heap        (key, ms), earliest on top      a hint: an entry whose key got another deadline
 *                                                 is dropped when it comes up, and all such
 *                                                 entries once they are the majority
 *
 * Invariants: every key of `deadlines` has an entry in the heap that comes up no later than its
 * deadline.
 * Left out: Redis's way, a walk through all deadlines that needs no heap and pays with dead keys
 * that stay for a while.
 * Test: test/15-store.expiry.test.ts
 */
import type { Timer } from "#host";
import { TimerHeap } from "#queue";
import { BigMap } from "./big-map.ts";
import type { StoreHost } from "../types.ts";

/**
 * Removing a key takes about a microsecond: a cycle must not hold up the clients' commands for more
 * than a millisecond.
 */
export const KEYS_PER_CYCLE = 500;

/** While there is more to remove than one cycle may, clients get this much time between cycles. */
const CYCLE_PAUSE_MS = 1;

/**
 * A timer does not notice that the wall clock is set, or that the machine sleeps: then keys expire
 * late by this much at most.
 */
const RECHECK_MS = 60_000;

/** With no more dead entries in the heap than this, it is not cleaned up. */
const SLACK = 64;

export type Deadlines = Pick<BigMap<number>, "get" | typeof Symbol.iterator>;

export class Expiry {
  #deadlines = new BigMap<number>();
  #heap = new TimerHeap<string>();
  #timer: Timer | undefined;
  #armedFor = Infinity;
  #running = false;
  readonly #host: StoreHost;
  readonly #onDue: (key: string) => void;

  /** `onDue` is called for each key whose time has come, inside `cycle`; it must call `clear`. */
  constructor(host: StoreHost, onDue: (key: string) => void) {
    this.#host = host;
    this.#onDue = onDue;
  }

  /** Keys that have a deadline. */
  get size(): number {
    return this.#deadlines.size;
  }

  /** Milliseconds since 1970, or undefined: the key stays. */
  get(key: string): number | undefined {
    return this.#deadlines.get(key);
  }

  set(key: string, at: number): void {
    this.#deadlines.set(key, at);
    this.#heap.push(key, at);
    if (this.#heap.size > 2 * this.#deadlines.size + SLACK) this.#rebuild();
    if (at < this.#armedFor) this.#arm();
  }

  clear(key: string): void {
    if (this.#deadlines.delete(key) && this.#deadlines.size === 0) this.#reset();
  }

  /** Drops all deadlines. The old map stays as it is, for a snapshot that still walks it. */
  clearAll(): void {
    this.#deadlines = new BigMap();
    this.#reset();
  }

  entries(): Deadlines {
    return this.#deadlines;
  }

  /** Turns the active cycle on or off: it is off while a log is replayed, and on a replica. */
  run(running: boolean): void {
    this.#running = running;
    this.#timer?.cancel();
    this.#armedFor = Infinity;
    if (running) this.#arm();
  }

  // #region cycle
  /** Removes keys that are due, a bounded number, and arms the timer for the rest. */
  cycle(now: number): void {
    // #exercise cycle
    for (let left = KEYS_PER_CYCLE; left > 0; left--) {
      const key = this.#heap.popDue(now);
      if (key === undefined) break;
      const at = this.#deadlines.get(key);
      if (at !== undefined && at <= now) this.#onDue(key);
    }
    this.#arm();
    // #end-exercise
  }
  // #endregion

  #arm(): void {
    const next = this.#heap.nextAt;
    if (!this.#running || next === undefined || this.#armedFor <= next) return;
    this.#timer?.cancel();
    this.#armedFor = next;
    this.#timer = this.#host.timers.after(
      Math.min(Math.max(next - this.#host.clock.wall(), CYCLE_PAUSE_MS), RECHECK_MS),
      () => {
        this.#armedFor = Infinity;
        // The timer may have been clamped, and the wall clock may have been set back: then nothing
        // is due, and it is armed again.
        this.cycle(this.#host.clock.wall());
      },
    );
  }

  #rebuild(): void {
    this.#heap = new TimerHeap();
    for (const [key, at] of this.#deadlines) this.#heap.push(key, at);
  }

  #reset(): void {
    this.#heap = new TimerHeap();
    this.#timer?.cancel();
    this.#armedFor = Infinity;
  }
}
