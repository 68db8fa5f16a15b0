/**
 * Lesson 19: how long the event loop was busy: a timer that is late says so. It runs while somebody
 * asks now and then, and no longer.
 *
 * Test: test/http.metrics.test.ts
 */
import type { Host, Timer } from "#host";

const EVERY_MS = 200;
/** A collector asks every minute, at the least. */
const FORGET_MS = 150_000;

export class LoopLag {
  readonly #host: Host;
  #timer: Timer | undefined;
  #worstMs = 0;
  #askedAt = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** The worst since it was taken last; 0 the first time. */
  take(): number {
    this.#askedAt = this.#host.clock.monotonic();
    const worst = this.#worstMs;
    this.#worstMs = 0;
    if (this.#timer === undefined) this.#next();
    return worst;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #next(): void {
    const { clock, timers } = this.#host;
    const due = clock.monotonic() + EVERY_MS;
    this.#timer = timers.after(EVERY_MS, () => {
      this.#timer = undefined;
      const now = clock.monotonic();
      this.#worstMs = Math.max(this.#worstMs, now - due);
      if (now - this.#askedAt < FORGET_MS) this.#next();
    });
    this.#timer.unref?.();
  }
}
