/**
 * Lesson 09: retry. When work has failed, or seems to have: whether to do it again, when, and how
 * not to do it twice.
 *
 *     attempt failed ─▶ retryDecision() ─▶ retry after backoffDelayMs()   (transient, and
 *                            │                                   attempts and budget are left)
 *                            └───────────▶ give up ─▶ DeadLetters           (permanent, or spent)
 *
 *     request ─▶ IdempotencyKeys.recall(key) ─▶ the first answer again  (repeat: its effect exists)
 *                           └──────▶ do it, then remember(key, answer)  (new)
 *
 *     budget.ts · dead-letters.ts      a share for retries; the jobs that nobody tries any more
 *
 * All of it is pure: time and chance are arguments and the state is plain data (toJSON, fromJSON).
 * The master decides with `retryDecision`, `RetryBudget` and `randomFrom`, and keeps the keys and
 * dead jobs of runs that it has forgotten in `IdempotencyKeys` and `DeadLetters`; workers and the
 * store dial again after `backoffDelayMs`. `retryDecision` decides and changes nothing; the caller
 * that records the decision withdraws from the budget.
 *
 * Invariants: a delay is a whole number, 0 ≤ delay ≤ maxDelayMs, at any attempt; the budget is
 * never overdrawn; a key within its age and count has one answer, the first.
 * Left out: circuit breakers (the budget does most of their work with one number), hedged requests,
 * and decorrelated jitter (its delay depends on the delay before it, which would be one more thing
 * to remember for every job).
 * Test: test/09-retry.test.ts
 */
import { invariant } from "#base";
import type { FailureKind } from "#wire";

export { RetryBudget, type BudgetOptions, type BudgetState } from "./budget.ts";
export { DeadLetters, MAX_DEAD_LETTERS, type DeadLettersState } from "./dead-letters.ts";

/** The longest delay: a 32-bit timer can wait this long, about 24.8 days. */
export const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * At the default cap of a minute, 10,000 attempts are a week. An author who wants more wants a
 * service, not a job.
 */
export const MAX_ATTEMPTS = 10_000;

/**
 * A job whose workers died this often is taken for their killer. One loss is bad luck. Five in a
 * row are a job that eats its machine's memory, and it would go on to the next machine.
 */
export const MAX_WORKER_LOSSES = 5;

export interface RetryPolicy {
  /** Attempts in all: 1 = no retry. An integer, 1 … MAX_ATTEMPTS. */
  readonly maxAttempts: number;
  /** Pause after the first failure, in whole ms: 0 … MAX_DELAY_MS. */
  readonly delayMs: number;
  /** The factor from each pause to the next: 1 (constant) … 1000. */
  readonly backoff: number;
  /** No pause is longer, in whole ms: 0 … MAX_DELAY_MS. */
  readonly maxDelayMs: number;
  /** The part of each pause that chance decides: 0 none, 0.5 "equal jitter", 1 "full jitter". */
  readonly jitter: number;
}

/**
 * No retry unless asked for: only its author knows whether a job may run twice. Half of each pause
 * is chance, which spreads a herd and still keeps half of the pause that was asked for.
 */
export const DEFAULT_RETRY: RetryPolicy = {
  maxAttempts: 1,
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter: 0.5,
};

/** A policy that somebody wrote and that cannot be used. */
export class RetryPolicyError extends Error {
  override readonly name = "RetryPolicyError";
  readonly code = "bad-policy";
  readonly field: keyof RetryPolicy;

  constructor(field: keyof RetryPolicy, found: unknown, wanted: string) {
    const shown = typeof found === "number" ? found : typeof found;
    super(`Cannot use retry policy: ${field} is ${shown}, must be ${wanted}`);
    this.field = field;
  }
}

/**
 * The defaults with some fields replaced, checked.
 *
 * @throws {RetryPolicyError} naming the first field that is out of range
 */
export function retryPolicy(fields: Partial<RetryPolicy> = {}): RetryPolicy {
  const policy = { ...DEFAULT_RETRY, ...fields };
  const range = (field: keyof RetryPolicy, low: number, high: number, whole = false): void => {
    const found: unknown = policy[field];
    // Written so that NaN fails, and so that text fails: to JavaScript, "2" >= 1 is true.
    const isInRange = typeof found === "number" && found >= low && found <= high;
    if (isInRange && (!whole || Number.isInteger(found))) return;
    const kind = whole ? "a whole number" : "a number";
    throw new RetryPolicyError(field, found, `${kind} from ${low} to ${high}`);
  };
  range("maxAttempts", 1, MAX_ATTEMPTS, true);
  range("delayMs", 0, MAX_DELAY_MS, true);
  range("backoff", 1, 1000);
  range("maxDelayMs", 0, MAX_DELAY_MS, true);
  range("jitter", 0, 1);
  return policy;
}

/**
 * How long to wait before the next attempt: `delayMs · backoff^(attempt - 1)`, capped, then
 * shortened by chance.
 *
 * Jitter after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @param policy within the ranges that `retryPolicy` checks
 * @param attempt the one that failed, from 1
 * @param random uniform, 0 ≤ x < 1
 * @returns whole ms, 0 … maxDelayMs
 * @example
 * ```ts
 * import { backoffDelayMs, retryPolicy } from "#retry";
 * const policy = retryPolicy({ delayMs: 100, backoff: 2, maxDelayMs: 1000, jitter: 0.5 });
 * const delays = [1, 2, 3, 4, 5].map((attempt) => backoffDelayMs(policy, attempt, () => 0));
 * delays // => [ 100, 200, 400, 800, 1000 ]
 * backoffDelayMs(policy, 5, () => 0.9) // => 550
 * ```
 */
// #region backoff
export function backoffDelayMs(policy: RetryPolicy, attempt: number, random: () => number): number {
  // #exercise backoffDelayMs
  // 0 · ∞ is NaN, and a NaN delay is a timer that fires at once: the power must not reach the
  // product unbounded.
  const growth = Math.min(policy.backoff ** (attempt - 1), Number.MAX_VALUE);
  const ceilingMs = Math.min(policy.delayMs * growth, policy.maxDelayMs);
  // Chance last: it has to spread the capped pauses too, where a herd spends most of its time.
  return Math.round(ceilingMs * (1 - policy.jitter * random()));
  // #end-exercise
}
// #endregion

/**
 * Chance that can be replayed: the same text gives the same numbers, and texts that differ a little
 * give numbers that differ a lot. With `run/job/attempt` as text, jobs spread out, and the master's
 * decisions still depend on nothing but their input. Not for secrets.
 *
 * @example
 * ```ts
 * import { randomFrom } from "#retry";
 * randomFrom("nightly-1/train/2")() === randomFrom("nightly-1/train/2")() // => true
 * randomFrom("nightly-1/train/2")() === randomFrom("nightly-1/train/3")() // => false
 * ```
 */
// #region random-from
export function randomFrom(text: string): () => number {
  // FNV-1a makes a number of the text; mulberry32 makes a sequence of the number.
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
// #endregion

// A new kind of the wire does not compile before this table has it.
// #region failures
/**
 * Whether trying again can help. `permanent`: the same input will fail the same way, or a person
 * has said no. `lost`: the attempt did not fail, its worker did; the job is not to blame and spends
 * no attempt.
 */
const FAILURES: Readonly<Record<FailureKind, "transient" | "permanent" | "lost">> = {
  exit: "transient",
  timeout: "transient",
  signal: "transient",
  internal: "transient",
  "worker-lost": "lost",
  "not-found": "permanent",
  "not-executable": "permanent",
  unsupported: "permanent",
  "bad-input": "permanent",
  rejected: "permanent",
  cancelled: "permanent",
  // Of services, which have rules of their own (lesson 14).
  unhealthy: "transient",
  "port-taken": "transient",
};

/** Whether a failure counts against `maxAttempts` (and a retry after it against the budget). */
export function spendsAttempt(kind: FailureKind): boolean {
  return FAILURES[kind] !== "lost";
}
// #endregion

export interface Failure {
  /** Failures so far for which `spendsAttempt` holds, this one included if it does: from 1. */
  readonly attempt: number;
  readonly kind: FailureKind;
  /** For `worker-lost`: workers lost under this job so far, this one included. Default 1. */
  readonly losses?: number;
  /** Read, not changed. Absent: no budget applies. */
  readonly budget?: { readonly available: number };
  /** Uniform, 0 ≤ x < 1; see `randomFrom`. Absent: no jitter. */
  readonly random?: () => number;
}

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  | { readonly retry: false; readonly why: "permanent" | "spent" | "budget" };

/**
 * Whether to try again after a failure, and when. Pure: a caller that follows a `retry: true` for a
 * kind that spends an attempt withdraws one from the budget.
 *
 * @example
 * ```ts
 * import { retryPolicy, retryDecision } from "#retry";
 * const policy = retryPolicy({ maxAttempts: 3 });
 * retryDecision(policy, { attempt: 1, kind: "exit" }) // => { retry: true, delayMs: 1000 }
 * retryDecision(policy, { attempt: 3, kind: "exit" }) // => { retry: false, why: 'spent' }
 * retryDecision(policy, { attempt: 1, kind: "not-found" }) // => { retry: false, why: 'permanent' }
 * ```
 */
// #region retryDecision
export function retryDecision(policy: RetryPolicy, failure: Failure): RetryDecision {
  // #exercise retryDecision
  const { attempt, kind, losses = 1, budget, random = () => 0 } = failure;
  switch (FAILURES[kind]) {
    case "permanent":
      return { retry: false, why: "permanent" };
    case "lost":
      // At once: another worker has nothing to recover from. But a job that kills workers must not
      // get them all.
      if (losses >= MAX_WORKER_LOSSES) return { retry: false, why: "spent" };
      return { retry: true, delayMs: 0 };
    case "transient":
      if (attempt >= policy.maxAttempts) return { retry: false, why: "spent" };
      if (budget !== undefined && budget.available < 1) return { retry: false, why: "budget" };
      return { retry: true, delayMs: backoffDelayMs(policy, attempt, random) };
  }
  // #end-exercise
}
// #endregion

/**
 * Keys remembered. At about 200 bytes each, 20 MB; at a hundred requests a second, the last quarter
 * of an hour.
 */
export const MAX_KEYS = 100_000;

/** Clients give up long before. A day covers the night in which nobody looked. */
export const MAX_KEY_AGE_MS = 24 * 60 * 60 * 1000;

export interface KeyLimits {
  /** At least 1. Default MAX_KEYS. */
  readonly maxKeys?: number;
  /** Above 0 and finite. Default MAX_KEY_AGE_MS. */
  readonly maxAgeMs?: number;
}

export type Recall<T> =
  | { readonly kind: "new" }
  /** The work was done: give this answer again. */
  | { readonly kind: "repeat"; readonly answer: T }
  /** The key came with another request before: refuse, because neither answer would be right. */
  | { readonly kind: "conflict" };

interface Remembered<T> {
  readonly request: string;
  readonly answer: T;
  readonly atMs: number;
}

/** Remembered keys as plain data, oldest first. */
export interface KeysState<T> {
  readonly maxKeys: number;
  readonly maxAgeMs: number;
  readonly keys: readonly (readonly [key: string, request: string, answer: T, atMs: number])[];
}

interface KeyUse {
  /** The content of the request, or a hash of it. */
  readonly request?: string;
  readonly nowMs: number;
}

/**
 * First answers by idempotency key. A client that got no answer asks again with the same key; the
 * effect is not repeated, the answer is. Answer and effect must become durable together (one record
 * in the log), or a crash between the two repeats the effect.
 *
 * @example
 * ```ts
 * import { IdempotencyKeys } from "#retry";
 * const keys = new IdempotencyKeys<string>();
 * keys.recall("k1", { request: "charge 5", nowMs: 0 }) // => { kind: 'new' }
 * const again = { request: "charge 5", nowMs: 9 };
 * keys.remember("k1", "receipt 1", { request: "charge 5", nowMs: 0 });
 * keys.recall("k1", again) // => { kind: 'repeat', answer: 'receipt 1' }
 * keys.recall("k1", { request: "charge 500", nowMs: 9 }) // => { kind: 'conflict' }
 * ```
 */
export class IdempotencyKeys<T> {
  readonly #maxKeys: number;
  readonly #maxAgeMs: number;
  /** In order of insertion, which is the order of age. */
  readonly #first = new Map<string, Remembered<T>>();
  /**
   * Goes through them once, oldest first. A new walk for each key would step over the holes of all
   * deleted ones again.
   */
  readonly #walk = this.#first.entries();
  /** The entry that the walk has reached. */
  #oldest: [key: string, first: Remembered<T>] | undefined;

  constructor({ maxKeys = MAX_KEYS, maxAgeMs = MAX_KEY_AGE_MS }: KeyLimits = {}) {
    // Not Infinity: JSON has no such number, and the state could be saved but not restored.
    const finite = Number.isFinite(maxAgeMs) && maxAgeMs > 0;
    const isValid = Number.isInteger(maxKeys) && maxKeys >= 1 && finite;
    invariant(isValid, `${maxKeys} keys for ${maxAgeMs} ms`);
    this.#maxKeys = maxKeys;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Keys held, expired ones included until the next `remember`. */
  get size(): number {
    return this.#first.size;
  }

  // #region idempotency
  /** Whether this key was answered before. Changes nothing. */
  recall(key: string, { request = "", nowMs }: KeyUse): Recall<T> {
    // #exercise recall
    const first = this.#first.get(key);
    if (first === undefined || this.#expired(first, nowMs)) return { kind: "new" };
    if (first.request !== request) return { kind: "conflict" };
    return { kind: "repeat", answer: first.answer };
    // #end-exercise
  }

  /**
   * Keeps the answer to a new key, and forgets keys that are too old or too many. A known key keeps
   * its first answer.
   */
  remember(key: string, answer: T, { request = "", nowMs }: KeyUse): void {
    // #exercise remember
    const known = this.#first.get(key);
    if (known !== undefined && !this.#expired(known, nowMs)) return;
    // Deleted first, so that a key that comes back after its time goes to the end of the line.
    this.#first.delete(key);
    this.#first.set(key, { request, answer, atMs: nowMs });
    this.#letGo(nowMs);
    // #end-exercise
  }

  #expired(first: Remembered<T>, nowMs: number): boolean {
    return nowMs - first.atMs >= this.#maxAgeMs;
  }
  // #endregion

  /** Called after each addition. The walk cannot run out: it stops at the new entry, or before. */
  #letGo(nowMs: number): void {
    for (;;) {
      const [key, first] = (this.#oldest ??= this.#walk.next().value!);
      // Another entry of this key, or none: the one that we knew was replaced, and the new one
      // comes later in the walk.
      if (this.#first.get(key) === first) {
        if (this.#first.size <= this.#maxKeys && !this.#expired(first, nowMs)) return;
        this.#first.delete(key);
      }
      this.#oldest = undefined;
    }
  }

  toJSON(): KeysState<T> {
    const keys = [...this.#first].map(([key, { request, answer, atMs }]) => {
      return [key, request, answer, atMs] as const;
    });
    return { maxKeys: this.#maxKeys, maxAgeMs: this.#maxAgeMs, keys };
  }

  static fromJSON<T>({ maxKeys, maxAgeMs, keys }: KeysState<T>): IdempotencyKeys<T> {
    const restored = new IdempotencyKeys<T>({ maxKeys, maxAgeMs });
    for (const [key, request, answer, atMs] of keys) {
      restored.#first.set(key, { request, answer, atMs });
    }
    return restored;
  }
}
