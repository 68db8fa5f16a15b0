/**
 * What is seen of the fleet: the input of `plan`. Private to src/scaling; mod.ts exports its public
 * names.
 *
 * The master has all of it in its indexes. Jobs are counted by class and not listed; workers and
 * starts are iterables, so that it can hand over what it has without a copy. Each is walked once.
 *
 * Invariants: times are milliseconds of one clock, `now` included. A worker that came from a start
 * is in `workers` and not in `starts` any more: counted twice, it would be half a decision.
 * Test: test/13-scaling.test.ts
 */
import { invariant } from "#base";

/** Jobs of one class that could run this moment, if a slot were free. */
export interface WaitingClass {
  /**
   * The requirement class, as `requirementKey` of lesson 08 writes it: `GPU+HIGH_MEM`, `GPU@7`. It
   * may have a hidden tag, which is a tag like any other to a plan: workers and pools have it, too.
   */
  readonly key: string;
  readonly jobs: number;
  /** When the one that has waited longest became ready. */
  readonly since: number;
}

export interface WorkerFacts {
  /** Grows with each registration: the newest has the highest. */
  readonly id: number;
  readonly name: string;
  /** The pool that it was started for; undefined if a person started it. */
  readonly pool: string | undefined;
  readonly tags: readonly string[];
  readonly slots: number;
  /** Attempts that live there, a slot each. */
  readonly busy: number;
  /** Services that run there, whether they take a slot or not. */
  readonly services: number;
  /** When its last attempt ended; when it registered, if it had none yet. */
  readonly idleSince: number;
  /** Started with `--permanent`: only a person ends it. */
  readonly permanent: boolean;
  /**
   * `away`: no connection at the moment. `draining`: a person wants nothing new to start there.
   * `retiring`: the same, because of a `drain` of this chapter. `stopping`: it was told to end.
   */
  readonly state: "ready" | "away" | "draining" | "retiring" | "stopping";
}

/** A worker that was ordered and has not registered yet. */
export interface StartFacts {
  /** The name that it will register with. */
  readonly name: string;
  readonly pool: string;
  /** When it was ordered. */
  readonly at: number;
  /**
   * `cancelled`: it is to be ended, and nobody has said yet that it has. If it comes all the same,
   * it gets nothing to do.
   */
  readonly state: "starting" | "cancelled";
}

/** What a pool must remember, as plain data: a fold over its news (`nextHistory`). */
export interface PoolHistory {
  /** When a worker was last ordered, or last came. Absent: never. */
  readonly grewAt?: number;
  /** Starts that failed in a row. Starts that were under way together count once. */
  readonly failures: number;
  /** When a start last came, or a failure was last counted: the last word about this pool. */
  readonly judgedAt: number;
}

/** The facts about a pool that a log has to keep, so that a restart forgets none. */
export type PoolNews =
  | { readonly type: "started"; readonly at: number }
  | { readonly type: "arrived"; readonly at: number }
  | { readonly type: "failed"; readonly at: number; readonly startedAt: number };

export interface Observation {
  readonly waiting: Iterable<WaitingClass>;
  readonly workers: Iterable<WorkerFacts>;
  /** In the order in which they were ordered. */
  readonly starts: Iterable<StartFacts>;
  readonly history: ReadonlyMap<string, PoolHistory>;
  /**
   * What the plan before this one returned. Absent, as after a restart: starts are given the
   * benefit of the doubt.
   */
  readonly neededAt?: ReadonlyMap<string, number>;
}

export const NEW_POOL: PoolHistory = { failures: 0, judgedAt: 0 };

/**
 * The history after one more fact.
 *
 * @example
 * ```ts
 * import { NEW_POOL, nextHistory } from "#scaling";
 * const failed = nextHistory(NEW_POOL, { type: "failed", at: 60_000, startedAt: 0 });
 * failed // => { failures: 1, judgedAt: 60000 }
 * nextHistory(failed, { type: "failed", at: 60_001, startedAt: 1 }).failures // => 1
 * nextHistory(failed, { type: "arrived", at: 70_000 }).failures // => 0
 * ```
 */
// #region nextHistory
export function nextHistory(history: PoolHistory, news: PoolNews): PoolHistory {
  // #exercise nextHistory
  switch (news.type) {
    case "started":
      return { ...history, grewAt: news.at };
    case "arrived":
      return { grewAt: news.at, failures: 0, judgedAt: news.at };
    case "failed":
      // Ordered before the last word about this pool, it says nothing new. Ten starts that fail
      // together have one cause, and ten doublings of the pause would turn a typing error that is
      // corrected within a minute into a quarter of an hour. And if another one came meanwhile,
      // the pool works: a cloud that loses every tenth machine is no reason to wait.
      if (news.startedAt < history.judgedAt) return history;
      return { ...history, failures: history.failures + 1, judgedAt: news.at };
  }
  // #end-exercise
}
// #endregion

/** The master's own books are wrong if one of these fails, and a NaN would be a timer at once. */
export function checkClass({ key, jobs, since }: WaitingClass): void {
  const isValid = Number.isSafeInteger(jobs) && jobs >= 0 && Number.isFinite(since);
  invariant(isValid, `class ${key} has ${jobs} jobs since ${since}`);
}

export function checkHistory(pool: string, { grewAt = 0, failures, judgedAt }: PoolHistory): void {
  const isValid = Number.isSafeInteger(failures) && failures >= 0;
  const areTimes = Number.isFinite(grewAt) && Number.isFinite(judgedAt);
  invariant(isValid && areTimes, `pool ${pool}: ${failures} failures, judged at ${judgedAt}`);
}

export function checkWorker({ name, slots, busy, services, idleSince }: WorkerFacts): void {
  const counts = Number.isSafeInteger(slots) && Number.isSafeInteger(busy) && slots >= 0;
  const isValid = counts && busy >= 0 && services >= 0 && Number.isFinite(idleSince);
  invariant(isValid, `worker ${name}: ${busy} of ${slots} slots, idle since ${idleSince}`);
}
