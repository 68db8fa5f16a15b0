/**
 * Lesson 03: the clock on the wall, the stopwatch, and timers that are never early.
 *
 * Node counts a timeout from the moment its event loop last looked at the clock, not from the call. A
 * callback that computes for 5 ms and then asks for 10 ms is called back after 5. Code that compares the
 * clock with a deadline would find that it is not due yet, so `after` looks again and sleeps the rest.
 *
 * Test: test/03-host.test.ts
 */
import type { Clock, Timer, Timers } from "./types.ts";

/** The longest sleep that fits Node's signed 32 bits (24.8 days); beyond it setTimeout fires at once. */
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
    // Not a microtask: the sockets of this turn must have been read before `fn` runs, or nothing is coalesced.
    soon: (fn) => void setImmediate(fn),
  };
}

/** A delay that timers can keep: 0 ≤ ms ≤ MAX_TIMER_MS, and 0 for what is no number. */
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
    // Rounded up, because setTimeout truncates and a deadline is never met early.
    this.#handle = setTimeout(() => this.#wake(), Math.min(Math.ceil(ms), MAX_TIMER_MS));
  }

  #wake(): void {
    const early = this.#due - performance.now();
    if (early > 0) return this.#sleep(early);
    this.#handle = undefined;
    this.#fn();
  }

  cancel(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}
// #endregion
