/**
 * Lesson 03: the clock on the wall, the stopwatch, and timers that are never early.
 *
 * Node counts timeouts in whole milliseconds and drops the fraction: a timer for 5.9 ms comes after
 * 5.1. Code that then compares the clock with its deadline finds nothing due, sleeps for "0.8", and
 * wakes up for nothing again. So `after` rounds up, looks at the exact clock when it wakes, and
 * sleeps the rest if there is one.
 *
 * Test: test/03-host.test.ts
 */
import type { Clock, Timer, Timers } from "./types.ts";

/**
 * The longest sleep that fits Node's signed 32 bits (24.8 days); beyond it setTimeout fires at
 * once.
 */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export function nodeClock(): Clock {
  return {
    monotonic: () => performance.now(),
    wall: () => Date.now(),
  };
}

export function nodeTimers(): Timers {
  return {
    after: (ms, fn) => new NodeTimer(clampDelay(ms), fn),
    // Not a microtask: the sockets of this turn must have been read before `fn` runs, or nothing is
    // coalesced.
    soon: (fn) => void setImmediate(fn),
  };
}

/** A delay that timers can keep: 0 ≤ ms ≤ MAX_TIMER_MS, and 0 instead of NaN. */
export function clampDelay(ms: number): number {
  return ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0;
}

// #region timer
class NodeTimer implements Timer {
  readonly #due: number;
  readonly #fn: () => void;
  #handle: NodeJS.Timeout | undefined;

  constructor(ms: number, fn: () => void) {
    this.#due = performance.now() + ms;
    this.#fn = fn;
    this.#sleep(ms);
  }

  #sleep(ms: number): void {
    this.#handle = setTimeout(() => this.#wake(), Math.ceil(ms));
  }

  #wake(): void {
    // Node's own clock is rounded, too, so even whole milliseconds come early now and then.
    const early = this.#due - performance.now();
    if (early > 0) return this.#sleep(early);
    this.#handle = undefined;
    this.#fn();
  }

  cancel(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  unref(): void {
    this.#handle?.unref();
  }
}
// #endregion
