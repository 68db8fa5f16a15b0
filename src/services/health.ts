/**
 * Lesson 14: from the results of checks to changes of health.
 *
 *     check   ✓ ✓ ✗ ✓ ✗ ✗ ✗ ✗ ✗ ✗
 *     news    ↑ ready     ↑ unhealthy (third in a row)
 *                               ↑ hopeless (three more): end it, and start again
 *
 * One failed check proves little: a pause of the collector, a lost packet. So `unhealthyAfter`
 * failures in a row make a service UNHEALTHY, which takes it out of use, and as many again end it:
 * a process that hangs for so long does not come back by itself.
 *
 * A service that starts is asked often, because somebody waits for it, and then every interval.
 * Until `startPeriodMs` have passed its failed checks count for nothing.
 *
 * Invariants: news only when something changed; constant memory.
 * Left out: the share of failed checks over a time (a service that fails every second check).
 * Test: test/14-services.test.ts
 */

export interface HealthRules {
  readonly intervalMs: number;
  /** Checks in a row. */
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  readonly startPeriodMs: number;
}

export type HealthNews = "ready" | "unhealthy" | "hopeless";

/**
 * The first checks of a service come so soon after each other, and then ever more slowly: one that
 * has taken a while to start is found within a fifth of that while.
 */
const FIRST_DELAY_MS = 10;
const DELAY_GROWTH = 1.2;
/** A service that takes a minute to start is found ready within this time. */
const MAX_START_DELAY_MS = 250;

export class HealthCounter {
  readonly #rules: HealthRules;
  readonly #startedAt: number;
  #healthy = false;
  /** It has been healthy: the start is over. */
  #started = false;
  #passed = 0;
  #failed = 0;
  #checks = 0;

  /** `startedAt` as the times of the checks: milliseconds of a clock that does not go back. */
  constructor(rules: HealthRules, startedAt: number) {
    this.#rules = rules;
    this.#startedAt = startedAt;
  }

  // #region note
  /**
   * Takes the result of a check. Undefined: nothing has changed. `unhealthyAfter` failures in a row
   * are "unhealthy", and twice as many "hopeless"; before the first success, failures of the start
   * period do not count.
   */
  note(passed: boolean, at: number): HealthNews | undefined {
    // #exercise note
    const { healthyAfter, unhealthyAfter, startPeriodMs } = this.#rules;
    this.#checks += 1;
    if (passed) {
      this.#failed = 0;
      this.#passed += 1;
      if (this.#healthy || this.#passed < healthyAfter) return undefined;
      this.#healthy = this.#started = true;
      return "ready";
    }
    this.#passed = 0;
    if (!this.#started && at - this.#startedAt < startPeriodMs) return undefined;
    this.#failed += 1;
    if (this.#failed === 2 * unhealthyAfter) return "hopeless";
    if (this.#failed !== unhealthyAfter) return undefined;
    this.#healthy = false;
    return "unhealthy";
    // #end-exercise
  }
  // #endregion

  /** From the end of a check to the next one. */
  get delayMs(): number {
    const { intervalMs } = this.#rules;
    if (this.#started) return intervalMs;
    return Math.min(intervalMs, MAX_START_DELAY_MS, FIRST_DELAY_MS * DELAY_GROWTH ** this.#checks);
  }
}
