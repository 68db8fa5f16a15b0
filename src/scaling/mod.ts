/**
 * Lesson 13: scaling. When there should be more workers, when fewer, and which.
 *
 *     observation ──▶ plan(observation, pools, now) ──▶ start · drain · stop · cancel, with reasons
 *          ▲                                                       │
 *          └─────────────── facts in the master's log ◀────────────┘
 *
 *     facts.ts              what is seen, and what a pool has to remember
 *     pool.ts               a pool and its limits (`pools.yaml` is read in #pipeline)
 *     fleet.ts · supply.ts  a pool with its workers; slots that are free or on their way
 *     grow.ts · shrink.ts   the two directions: fast up, slow down
 *     wake.ts · words.ts    the next moment to look; reasons as sentences
 *
 * `plan` is pure. It has no clock, starts nothing and remembers nothing: whatever must survive a
 * restart is in the observation, which the master makes from its log. It is called whenever the
 * observation has changed, and at `nextAt` if it has not.
 *
 * Invariants, for any observation: a pool has never more than `max` workers and starts because of a
 * plan, and never fewer than `min` ready workers because of one. No worker with an attempt, a
 * service or the permanent mark is ever drained or stopped. Nothing is stopped that was not drained
 * by a plan before. Equal inputs give equal plans.
 * Cost: one walk over classes, workers and starts, and a look at each pool for each class.
 * Left out: forecasts from the past (a cron at nine is seen at nine), prices, and moving jobs
 * together so that a machine becomes idle: a worker goes when it is idle by itself.
 * Test: test/13-scaling.test.ts
 */
import { invariant } from "#base";
import type { Observation, StartFacts, WorkerFacts } from "./facts.ts";
import { readFleets, retryAt, type Fleet } from "./fleet.ts";
import { demandReason, dueTimes, fillUp, place, readDemands, type Demand } from "./grow.ts";
import { MAX_POOLS, type Pool } from "./pool.ts";
import { needless, retire, stoppable } from "./shrink.ts";
import { Supply } from "./supply.ts";
import { Wake } from "./wake.ts";
import * as words from "./words.ts";

export {
  NEW_POOL,
  nextHistory,
  type Observation,
  type PoolHistory,
  type PoolNews,
  type StartFacts,
  type WaitingClass,
  type WorkerFacts,
} from "./facts.ts";
export { MAX_STARTING } from "./fleet.ts";
export {
  DEFAULT_IDLE_MS,
  DEFAULT_MAX,
  DEFAULT_START_TIMEOUT_MS,
  DEFAULT_UP_AFTER_MS,
  definePool,
  MAX_DOWN_WORD_BYTES,
  MAX_DOWN_WORDS,
  MAX_HANDLE_BYTES,
  MAX_POOL_NAME_CHARS,
  MAX_POOLS,
  PoolError,
  type Pool,
} from "./pool.ts";

/** What is to be done. Each is a fact for the log before it is an effect. */
export type ScalingAction =
  /** Order `count` workers. */
  | (OfPool & { readonly type: "start"; readonly count: number })
  /** Let nothing new start on a worker. A later plan stops it. */
  | (OnWorker & { readonly type: "drain" })
  /** End a worker that was drained and on which nothing lives. */
  | (OnWorker & { readonly type: "stop" })
  /** End a start. `failed`: it had its time and did not register, which counts as a failure. */
  | (OfPool & { readonly type: "cancel"; readonly start: string; readonly failed: boolean });

interface OfPool {
  readonly pool: string;
  readonly reason: string;
}

interface OnWorker extends OfPool {
  readonly worker: number;
  readonly name: string;
}

/** A row of `titan pools`. */
export interface PoolView {
  readonly name: string;
  /** Those that run, those that are starting, and those that it would start if it could. */
  readonly wanted: number;
  readonly running: number;
  /** Those that this plan starts included. */
  readonly starting: number;
  readonly leaving: number;
  readonly why: string;
}

/** What a class of jobs waits for, for `titan status`. */
export interface ClassView {
  readonly key: string;
  readonly jobs: number;
  /** The pools that start workers for it. Empty: none can, and `why` says so. */
  readonly pools: readonly string[];
  readonly why: string;
}

export interface Plan {
  readonly actions: readonly ScalingAction[];
  readonly pools: readonly PoolView[];
  readonly classes: readonly ClassView[];
  /** When each pool was last needed: for the next observation. */
  readonly neededAt: ReadonlyMap<string, number>;
  /** The next moment at which the plan would be another although nothing happened. */
  readonly nextAt: number | undefined;
}

/**
 * What is to be done about the fleet.
 *
 * @param now milliseconds, of the clock that the observation's times are from
 * @example
 * ```ts
 * import { definePool, plan } from "#scaling";
 * const pools = [definePool({ name: "gpu", tags: ["GPU"], slots: 4, max: 10 })];
 * const waiting = [{ key: "GPU", jobs: 12, since: 0 }];
 * const seen = { waiting, workers: [], starts: [], history: new Map() };
 * plan(seen, pools, 999).nextAt // => 1000
 * const [action] = plan(seen, pools, 1400).actions;
 * action?.type === "start" && action.count // => 3
 * action?.reason // => '12 jobs that need GPU have waited 1.4s'
 * ```
 */
// #region plan
export function plan(observation: Observation, pools: readonly Pool[], now: number): Plan {
  invariant(Number.isFinite(now), `a plan at ${now}`);
  invariant(pools.length <= MAX_POOLS, `${pools.length} pools`);
  const supply = new Supply();
  const fleets = readFleets(observation, { pools, supply, now });
  const demands = readDemands(observation.waiting, { fleets, now });
  place(demands, supply, now);
  for (const fleet of fleets) fillUp(fleet, now);

  const wake = new Wake(now);
  for (const demand of demands) for (const at of dueTimes(demand)) wake.at(at);
  const neededAt = new Map(fleets.map((fleet) => lastNeed(fleet, observation, now)));
  const wantedIds = new Set(demands.flatMap(({ pinned }) => pinned ?? []));
  const actions = fleets.flatMap((fleet) => [
    ...startsOf(fleet, now),
    ...cancelsOf(fleet, { now, wake, neededAt: neededAt.get(fleet.pool.name)! }),
    ...endsOf(fleet, { now, wake, wantedIds }),
  ]);
  return {
    actions,
    pools: fleets.map((fleet) => poolView(fleet, now)),
    classes: demands.map((demand) => classView(demand, { pools: pools.length, now })),
    neededAt,
    nextAt: wake.next,
  };
}
// #endregion

function lastNeed(
  { pool, needed }: Fleet,
  { neededAt }: Observation,
  now: number,
): [string, number] {
  const before = neededAt?.get(pool.name) ?? now;
  invariant(Number.isFinite(before), `pool ${pool.name} was needed at ${before}`);
  return [pool.name, needed ? now : before];
}

function startsOf(fleet: Fleet, now: number): ScalingAction[] {
  const { pool, toStart } = fleet;
  if (toStart === 0) return [];
  const reason = words.startText(fleet, now);
  return [{ type: "start", pool: pool.name, count: toStart, reason }];
}

function cancelsOf(
  fleet: Fleet, look: { now: number; wake: Wake; neededAt: number },
): ScalingAction[] {
  const { pool, late, starting, refused } = fleet;
  const cancel = (start: StartFacts, failed: boolean, reason: string): ScalingAction => {
    return { type: "cancel", pool: pool.name, start: start.name, failed, reason };
  };
  for (const { at } of starting) look.wake.at(at + pool.startTimeoutMs);
  if (refused > 0) look.wake.at(retryAt(fleet));
  return [
    ...late.map((start) => cancel(start, true, words.lateText(fleet))),
    ...needless(fleet, look).map((start) => {
      return cancel(start, false, words.needlessText(fleet, start, look.now));
    }),
  ];
}

function endsOf(
  fleet: Fleet, look: { now: number; wake: Wake; wantedIds: ReadonlySet<number> },
): ScalingAction[] {
  const { pool, count, leaving } = fleet;
  const on = ({ id, name }: WorkerFacts) => ({ pool: pool.name, worker: id, name });
  const excess = count - leaving - pool.max;
  return [
    ...retire(fleet, look).map((worker, i): ScalingAction => {
      const idle = words.drainText(fleet, worker, look.now);
      return { type: "drain", ...on(worker), reason: i < excess ? words.excessText(fleet) : idle };
    }),
    ...stoppable(fleet).map((worker): ScalingAction => {
      return { type: "stop", ...on(worker), reason: "drained, and nothing runs there" };
    }),
  ];
}

function poolView(fleet: Fleet, now: number): PoolView {
  const { pool, ready, away, leaving, toStart, refused } = fleet;
  const starting = fleet.starting.length + toStart;
  const running = ready + away;
  const wanted = running + starting + refused;
  return { name: pool.name, wanted, running, starting, leaving, why: words.poolText(fleet, now) };
}

function classView(demand: Demand, { pools, now }: { pools: number; now: number }): ClassView {
  const { key, jobs } = demand.waiting;
  const names = demand.homes.map(({ pool }) => pool.name);
  return { key, jobs, pools: names, why: demandReason(demand, { pools, now }) };
}
