/**
 * A pool and its workers, as far as one plan needs to know them. Private to src/scaling.
 *
 * Invariant: `count` has every worker and every start of the pool, leaving ones included. It is
 * what `max` bounds: a machine that has been told to go costs money until it is gone.
 * Test: test/13-scaling.test.ts
 */
import { invariant } from "#base";
import { backoffDelayMs, randomFrom } from "#retry";
import { GENERAL } from "#routing";
import {
  checkHistory,
  checkWorker,
  NEW_POOL,
  nextHistory,
  type Observation,
  type PoolHistory,
  type StartFacts,
  type WaitingClass,
  type WorkerFacts,
} from "./facts.ts";
import type { Pool } from "./pool.ts";
import type { Supply } from "./supply.ts";

/**
 * Starts under way at once in one pool. The login node of a cluster, the interface of a cloud and
 * the processors of the master's own machine take that many; more follow as these arrive.
 */
export const MAX_STARTING = 64;

export interface Fleet {
  readonly pool: Pool;
  readonly tags: ReadonlySet<string>;
  /** Includes the failures that this plan has found. */
  history: PoolHistory;
  /** All of them, see the header. */
  count: number;
  /** Workers that take jobs, and those among them whose connection is away for the moment. */
  ready: number;
  away: number;
  /** Starts under way, oldest first; those that are to be ended are not among them. */
  starting: StartFacts[];
  /** Starts that took too long. */
  late: StartFacts[];
  /** Workers that take nothing new because of a `drain`. */
  retiring: WorkerFacts[];
  /** Ready workers with nothing to do, in no order. */
  idle: WorkerFacts[];
  /** Workers and starts that go of themselves. */
  leaving: number;
  /** Something waits that a worker of this pool could run. */
  needed: boolean;
  /** Decided in this plan: how many starts, for whom, and how many there was no room for. */
  toStart: number;
  asking: WaitingClass[];
  refused: number;
}

function newFleet(pool: Pool, history: PoolHistory): Fleet {
  return {
    pool,
    tags: new Set([GENERAL, ...pool.tags]),
    history,
    count: 0,
    ready: 0,
    away: 0,
    starting: [],
    late: [],
    retiring: [],
    idle: [],
    leaving: 0,
    needed: false,
    toStart: 0,
    asking: [],
    refused: 0,
  };
}

interface Reading {
  readonly pools: readonly Pool[];
  readonly supply: Supply;
  readonly now: number;
}

/** One walk over workers and starts. Their free slots go to `supply`. */
export function readFleets(observation: Observation, { pools, supply, now }: Reading): Fleet[] {
  const fleets = new Map<string, Fleet>();
  for (const pool of pools) {
    invariant(!fleets.has(pool.name), `two pools are called ${pool.name}`);
    const history = observation.history.get(pool.name) ?? NEW_POOL;
    checkHistory(pool.name, history);
    fleets.set(pool.name, newFleet(pool, history));
    supply.add(supplyKey(pool), pool.tags, 0);
  }
  for (const worker of observation.workers) {
    checkWorker(worker);
    const fleet = worker.pool === undefined ? undefined : fleets.get(worker.pool);
    if (fleet !== undefined) countWorker(fleet, worker);
    // Most of those that lost their connection are back in a moment, after a restart of the master
    // all of them. Those that are not will soon be given up, and then they are not here any more.
    const takesJobs = worker.state === "ready" || worker.state === "away";
    const free = takesJobs ? Math.max(0, worker.slots - worker.busy) : 0;
    if (free > 0) supply.add(`=${worker.tags.join("+")}`, worker.tags, free);
  }
  for (const start of observation.starts) {
    const fleet = fleets.get(start.pool);
    if (fleet !== undefined) countStart(fleet, start, now);
  }
  for (const fleet of fleets.values()) {
    supply.add(supplyKey(fleet.pool), fleet.pool.tags, fleet.starting.length * fleet.pool.slots);
  }
  return [...fleets.values()];
}

/** The kind of those workers of a pool that are not there yet. No tag begins with this sign. */
export function supplyKey(pool: Pool): string {
  return `+${pool.name}`;
}

function countWorker(fleet: Fleet, worker: WorkerFacts): void {
  fleet.count++;
  if (worker.state === "ready") {
    fleet.ready++;
    if (isFreeToGo(worker)) fleet.idle.push(worker);
  } else if (worker.state === "away") fleet.away++;
  else {
    fleet.leaving++;
    if (worker.state === "retiring") fleet.retiring.push(worker);
  }
}

/** The one rule about whom a plan may end. It holds for the drain and again for the stop. */
export function isFreeToGo({ busy, services, permanent }: WorkerFacts): boolean {
  return busy === 0 && services === 0 && !permanent;
}

function countStart(fleet: Fleet, start: StartFacts, now: number): void {
  invariant(Number.isFinite(start.at), `${start.name} was ordered at ${start.at}`);
  fleet.count++;
  if (start.state === "cancelled") fleet.leaving++;
  else if (now - start.at < fleet.pool.startTimeoutMs) fleet.starting.push(start);
  else {
    fleet.late.push(start);
    fleet.leaving++;
    // The pause begins with this plan, not with the next one: that would be one start too late.
    fleet.history = nextHistory(fleet.history, { type: "failed", at: now, startedAt: start.at });
  }
}

/** When a pool may start workers again after failures. Equal histories give equal times. */
export function retryAt({ pool, history }: Fleet): number {
  if (history.failures === 0) return -Infinity;
  const random = randomFrom(`${pool.name}/${history.failures}`);
  return history.judgedAt + backoffDelayMs(pool.retry, history.failures, random);
}

// #region room
/** How many more workers a pool may start at this moment. */
export function roomIn(fleet: Fleet, now: number): number {
  const { pool, count, toStart, starting, history } = fleet;
  const underWay = starting.length + toStart;
  // After a failure one at a time, until one has come: the next one may fail, too.
  const atOnce = history.failures === 0 ? MAX_STARTING : now < retryAt(fleet) ? 0 : 1;
  return Math.max(0, Math.min(pool.max - count - toStart, atOnce - underWay));
}
// #endregion
