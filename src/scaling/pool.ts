/**
 * A pool: one kind of worker that can be started and stopped, with its limits and its patience.
 * Private to src/scaling; mod.ts exports its public names.
 *
 * Invariants: 0 ≤ min ≤ max; every duration is a whole number of milliseconds that a timer can
 * hold. The functions behind rely on it and check nothing again.
 * Test: test/13-scaling.test.ts
 */
import { invariant, MAX_TAG_CHARS, TAG } from "#base";
import { DEFAULT_RETRY, MAX_DELAY_MS, retryPolicy, type RetryPolicy } from "#retry";
import { MAX_SLOTS, MAX_WORKERS } from "#wire";

/** A class of jobs is held against each pool, and people give names to them: not a hundred. */
export const MAX_POOLS = 64;
/** A pool's name becomes a part of its workers' names, and they of paths. */
export const MAX_POOL_NAME_CHARS = 64;
const NAME = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${MAX_POOL_NAME_CHARS - 1}}$`);
/** As many as a job may ask for. */
export const MAX_POOL_TAGS = 64;

/**
 * The program that ends a worker is written down with the order, since its pool may be gone from
 * the file by the day on which it is needed.
 */
export const MAX_DOWN_WORDS = 64;
export const MAX_DOWN_WORD_BYTES = 4096;
/** What a program prints of a worker that it has ordered: a number, an id, a path. */
export const MAX_HANDLE_BYTES = 1024;

export interface Pool {
  /** Letters, digits, `_`, `.`, `-`; at most MAX_POOL_NAME_CHARS. */
  readonly name: string;
  /** The tags of its workers; GENERAL is implied. */
  readonly tags: readonly string[];
  /** Slots of each worker: 1 … MAX_SLOTS. */
  readonly slots: number;
  /** The pool has never fewer workers than this, whether there is work or not. */
  readonly min: number;
  /** …and never more than this, those that are starting or leaving included. */
  readonly max: number;
  /** Jobs wait this long before a worker is started for them. */
  readonly upAfterMs: number;
  /** A worker without work for this long is retired. */
  readonly idleMs: number;
  /** Nobody is retired for this long after the pool has grown. */
  readonly cooldownMs: number;
  /** A start that has not registered by then has failed. */
  readonly startTimeoutMs: number;
  /** The pauses after failed starts. `maxAttempts` is not looked at: a pool never gives up. */
  readonly retry: RetryPolicy;
}

/**
 * The times of a pool that says nothing about them. A second: most queues are empty again by then,
 * and a person who waits has not looked up yet. 45 s: longer than the pause between two commands of
 * a person at work. A minute: a machine that boots.
 */
// #region defaults
export const DEFAULT_UP_AFTER_MS = 1000;
export const DEFAULT_IDLE_MS = 45_000;
export const DEFAULT_START_TIMEOUT_MS = 60_000;
/** Above it a fleet is the result of a decision, and not of a default. */
export const DEFAULT_MAX = 5;
// #endregion
invariant(DEFAULT_UP_AFTER_MS < DEFAULT_IDLE_MS, "a fleet grows fast and shrinks slowly");

/** A pool that somebody wrote and that cannot be used. */
export class PoolError extends Error {
  override readonly name = "PoolError";
  readonly code = "bad-pool";
  readonly field: keyof Pool;

  constructor(pool: string, field: keyof Pool, what: string) {
    super(`Cannot use pool ${JSON.stringify(pool)}: ${field} ${what}`);
    this.field = field;
  }
}

/**
 * A pool with its defaults filled in, checked. `cooldownMs` is as long as `idleMs` by default.
 *
 * @throws {PoolError} naming the first field that is out of range
 * @example
 * ```ts
 * import { definePool } from "#scaling";
 * const pool = definePool({ name: "gpu", tags: ["GPU"], max: 4, idleMs: 5000 });
 * [pool.min, pool.slots, pool.upAfterMs, pool.cooldownMs] // => [ 0, 1, 1000, 5000 ]
 * ```
 */
export function definePool(fields: Partial<Pool> & { readonly name: string }): Pool {
  const idleMs = fields.idleMs ?? DEFAULT_IDLE_MS;
  const pool: Pool = {
    tags: [],
    slots: 1,
    min: 0,
    max: DEFAULT_MAX,
    upAfterMs: DEFAULT_UP_AFTER_MS,
    idleMs,
    cooldownMs: idleMs,
    startTimeoutMs: DEFAULT_START_TIMEOUT_MS,
    retry: DEFAULT_RETRY,
    ...fields,
  };
  checkNames(pool);
  const range = (field: NumberField, low: number, high: number): void => {
    // Written so that NaN fails, and text.
    if (Number.isInteger(pool[field]) && pool[field] >= low && pool[field] <= high) return;
    throw new PoolError(pool.name, field, `must be a whole number from ${low} to ${high}`);
  };
  range("slots", 1, MAX_SLOTS);
  range("min", 0, MAX_WORKERS);
  range("max", 0, MAX_WORKERS);
  for (const field of ["upAfterMs", "idleMs", "cooldownMs"] as const) range(field, 0, MAX_DELAY_MS);
  range("startTimeoutMs", 1, MAX_DELAY_MS);
  if (pool.max < pool.min) {
    throw new PoolError(pool.name, "max", `is ${pool.max}, below min, which is ${pool.min}`);
  }
  return { ...pool, tags: [...new Set(pool.tags)], retry: retryPolicy(pool.retry) };
}

type NumberField = { [K in keyof Pool]: Pool[K] extends number ? K : never }[keyof Pool];

function checkNames({ name, tags }: Pool): void {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new PoolError(String(name), "name", POOL_NAME_RULE);
  }
  if (!Array.isArray(tags) || tags.length > MAX_POOL_TAGS) {
    throw new PoolError(name, "tags", `must be a list of at most ${MAX_POOL_TAGS}`);
  }
  const wrong: unknown = tags.find((tag: unknown) => typeof tag !== "string" || !TAG.test(tag));
  if (wrong === undefined) return;
  throw new PoolError(name, "tags", `must be ${TAG_RULE}, found ${JSON.stringify(wrong)}`);
}

const POOL_NAME_RULE =
  `must begin with a letter or digit and go on with up to ${MAX_POOL_NAME_CHARS - 1} letters, ` +
  'digits, "_", "." or "-"';
const TAG_RULE = `up to ${MAX_TAG_CHARS} letters, digits, "_", ".", ":" or "-" each`;
