/**
 * A retry budget: retries stay a bounded share of the work, so that a broken dependency is not also
 * hammered. Private to src/retry; mod.ts exports its public names.
 *
 * Test: test/09-retry.test.ts
 */
import { invariant } from "#base";

/**
 * One retry, in the unit that the bucket counts in. Whole numbers: ten deposits of 0.1 as doubles
 * are less than 1.
 */
const RETRY_MILLI = 1000;

export interface BudgetOptions {
  /**
   * Retries earned by each first attempt: 0.2 allows one retry for five jobs. 0 ≤ ratio ≤ 1000.
   * Default 0.2.
   */
  readonly ratio?: number;
  /** Retries that are there at the start, so that a run of three jobs may retry. Default 10. */
  readonly reserve?: number;
  /**
   * The most that may be saved up, so that a quiet day does not pay for an hour of hammering.
   * Default 1000, at least `reserve`.
   */
  readonly limit?: number;
}

/** A budget as plain data, in thousandths of a retry. */
export interface BudgetState {
  readonly ratioMilli: number;
  readonly limitMilli: number;
  readonly balanceMilli: number;
}

/**
 * A token bucket that counts work instead of seconds: a first attempt puts `ratio` in, a retry
 * takes 1 out. It never reads a clock, so a master that replays its log arrives at the same
 * balance.
 *
 * After Finagle's RetryBudget, and "Handling Overload" in Google's Site Reliability Engineering.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "#retry";
 * const budget = new RetryBudget({ ratio: 0.5, reserve: 0 });
 * budget.deposit();
 * budget.withdraw() // => false
 * budget.deposit();
 * budget.withdraw() // => true
 * ```
 */
export class RetryBudget {
  readonly #ratioMilli: number;
  readonly #limitMilli: number;
  #balanceMilli: number;

  constructor({ ratio = 0.2, reserve = 10, limit = Math.max(1000, reserve) }: BudgetOptions = {}) {
    const isShare = ratio >= 0 && ratio <= 1000;
    invariant(isShare, () => `budget ratio ${ratio} is not between 0 and 1000`);
    const isValid = reserve >= 0 && reserve <= limit && limit <= 1e9;
    invariant(isValid, () => `budget reserve ${reserve}, limit ${limit}`);
    this.#ratioMilli = Math.round(ratio * RETRY_MILLI);
    this.#limitMilli = Math.round(limit * RETRY_MILLI);
    this.#balanceMilli = Math.round(reserve * RETRY_MILLI);
  }

  /** Whole retries that could be made now. */
  get available(): number {
    return Math.floor(this.#balanceMilli / RETRY_MILLI);
  }

  // #region budget
  /** Call for each first attempt: work that was asked for, not work that is done again. */
  deposit(): void {
    this.#balanceMilli = Math.min(this.#balanceMilli + this.#ratioMilli, this.#limitMilli);
  }

  /** Call for each retry. False, and nothing taken: the budget is spent. */
  withdraw(): boolean {
    if (this.#balanceMilli < RETRY_MILLI) return false;
    this.#balanceMilli -= RETRY_MILLI;
    return true;
  }
  // #endregion

  toJSON(): BudgetState {
    return {
      ratioMilli: this.#ratioMilli,
      limitMilli: this.#limitMilli,
      balanceMilli: this.#balanceMilli,
    };
  }

  static fromJSON({ ratioMilli, limitMilli, balanceMilli }: BudgetState): RetryBudget {
    return new RetryBudget({
      ratio: ratioMilli / RETRY_MILLI,
      limit: limitMilli / RETRY_MILLI,
      reserve: balanceMilli / RETRY_MILLI,
    });
  }
}
