/**
 * The clock of one machine: the world's time, seen through a quartz that may run fast or slow and a
 * wall that may jump.
 *
 *     local = base + (world - since) × rate
 *     wall  = start + local + jumps
 *
 * `drift` sets base and since to now, so that local time never jumps.
 *
 * Test: test/22-simulation.world.test.ts
 */
import { MAX_TIMER_MS, type Clock, type Timer, type VirtualTime } from "#host";

/** A division may leave so much of a timer that is due. */
const ROUNDING_MS = 1e-3;

interface Armed {
  readonly due: number;
  readonly fn: () => void;
  event: Timer;
}

export class MachineClock implements Clock {
  readonly #time: VirtualTime;
  readonly #at: (ms: number, fn: () => void) => Timer;
  /** In the order of arming: a change of rate arms them anew in that order. */
  readonly #armed = new Set<Armed>();
  #base = 0;
  #since = 0;
  #rate = 1;
  #jumpedMs = 0;
  #least = 0;

  constructor(time: VirtualTime, at: (ms: number, fn: () => void) => Timer) {
    this.#time = time;
    this.#at = at;
  }

  monotonic(): number {
    return Math.max(this.#least, this.#base + (this.#time.now - this.#since) * this.#rate);
  }

  wall(): number {
    const start = this.#time.clock.wall() - Math.floor(this.#time.now);
    return start + Math.floor(this.monotonic()) + this.#jumpedMs;
  }

  /**
   * From now on a second of the world is `rate` seconds here. Timers that wait do so by the new
   * rate.
   */
  drift(rate: number): void {
    if (!(rate >= 0.5 && rate <= 2)) {
      throw new RangeError(`Cannot set clock: rate ${rate} is not between 0.5 and 2`);
    }
    this.#base = this.monotonic();
    this.#since = this.#time.now;
    this.#rate = rate;
    for (const timer of this.#armed) {
      timer.event.cancel();
      timer.event = this.#arm(timer, Math.max(0, timer.due - this.#base));
    }
  }

  /** Moves the wall clock, forward or back, by whole milliseconds. Durations are not touched. */
  jumpWall(ms: number): void {
    this.#jumpedMs += Math.trunc(ms);
  }

  /** Calls `fn` when `ms` have passed here. */
  timer(ms: number, fn: () => void): Timer {
    const delay = ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0;
    const timer: Armed = { due: this.monotonic() + delay, fn, event: NEVER };
    timer.event = this.#arm(timer, delay);
    this.#armed.add(timer);
    return {
      cancel: () => {
        timer.event.cancel();
        this.#armed.delete(timer);
      },
    };
  }

  #arm(timer: Armed, ms: number): Timer {
    return this.#at(ms / this.#rate, () => {
      this.#armed.delete(timer);
      // A timer that is due, but for a rounding error, would be armed again for the rest, without
      // end.
      if (timer.due - this.monotonic() < ROUNDING_MS) {
        this.#least = Math.max(this.#least, timer.due);
      }
      timer.fn();
    });
  }
}

const NEVER: Timer = { cancel: () => undefined };
