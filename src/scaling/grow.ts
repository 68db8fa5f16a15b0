/**
 * Up: who waits, which slots are there or on their way for them, and how many workers the rest
 * needs. Private to src/scaling.
 *
 * Test: test/13-scaling.test.ts
 */
import { GENERAL, parseKey } from "#routing";
import { checkClass, type WaitingClass } from "./facts.ts";
import { roomIn, supplyKey, type Fleet } from "./fleet.ts";
import type { Supply } from "./supply.ts";
import { nobodyText, soonText, waitText } from "./words.ts";

/** A class of jobs that waits, and the pools that start workers for it. */
export interface Demand {
  readonly waiting: WaitingClass;
  readonly tags: readonly string[];
  readonly pinned: number | undefined;
  readonly waitedMs: number;
  /** The pools that start workers for it, in their order. */
  readonly homes: readonly Fleet[];
  /** Jobs for which there is neither a slot nor a start, once `place` has been there. */
  left: number;
}

/** The classes that wait, those with the most tags first: they have the fewest places to go. */
export function readDemands(
  waiting: Iterable<WaitingClass>, { fleets, now }: { fleets: readonly Fleet[]; now: number },
): Demand[] {
  const demands: Demand[] = [];
  for (const one of waiting) {
    checkClass(one);
    if (one.jobs === 0) continue;
    const { tags, pinned } = parseKey(one.key);
    // One worker and no other may run it: a new one could not.
    const homes = pinned === undefined ? homesOf(tags, fleets) : [];
    // A clock that was set back makes a negative wait of a short one.
    const waitedMs = Math.max(0, now - one.since);
    demands.push({ waiting: one, tags, pinned, waitedMs, homes, left: one.jobs });
  }
  const asks = ({ waiting, tags }: Demand): number => (waiting.key === GENERAL ? 0 : tags.length);
  return demands.sort(
    (a, b) =>
      asks(b) - asks(a) || b.waitedMs - a.waitedMs || (a.waiting.key < b.waiting.key ? -1 : 1),
  );
}

// #region homes
/**
 * The pools that start workers for a class: among those whose tags satisfy it, those with the
 * fewest tags. A job that needs nothing starts no GPU machine, even if the plain pool is at its
 * maximum: that bill would be a surprise. To let it overflow, give a second pool the same tags; it
 * is asked after the first.
 */
function homesOf(tags: readonly string[], fleets: readonly Fleet[]): Fleet[] {
  let homes: Fleet[] = [];
  for (const fleet of fleets) {
    if (!tags.every((tag) => fleet.tags.has(tag))) continue;
    // A worker of any such pool could run it, so none of them is out of work.
    fleet.needed = true;
    if (fleet.pool.max === 0) continue;
    const fewest = homes[0]?.tags.size ?? Infinity;
    if (fleet.tags.size < fewest) homes = [fleet];
    else if (fleet.tags.size === fewest) homes.push(fleet);
  }
  return homes;
}
// #endregion

// #region place
/**
 * Decides how many workers each pool starts for those who have waited long enough. Leaves the
 * numbers in the fleets: `toStart` and `asking` in each that starts, and in the first that is due
 * `refused`, the workers for which no pool has room. The `left` of a demand have no slot. A class
 * for which no pool is due takes none. A worker's slots that its class leaves go to `supply`.
 */
export function place(demands: readonly Demand[], supply: Supply, now: number): void {
  // #exercise place
  for (const demand of demands) {
    const { waiting, tags, waitedMs, homes } = demand;
    const due = homes.filter(({ pool }) => waitedMs >= pool.upAfterMs);
    if (due.length === 0) continue;
    // First the slots that are free, and those that are on their way already.
    demand.left -= supply.take(tags, demand.left);
    for (const fleet of due) {
      const { slots } = fleet.pool;
      const count = Math.min(Math.ceil(demand.left / slots), roomIn(fleet, now));
      if (count === 0) continue;
      fleet.toStart += count;
      fleet.asking.push(waiting);
      // Slots that this class does not need are there for those that come after it.
      supply.add(supplyKey(fleet.pool), fleet.pool.tags, count * slots);
      demand.left -= supply.takeFrom(supplyKey(fleet.pool), demand.left);
    }
    due[0]!.refused += Math.ceil(demand.left / due[0]!.pool.slots);
  }
  // #end-exercise
}
// #endregion

/** A pool below its minimum starts workers, whether anybody waits or not. */
export function fillUp(fleet: Fleet, now: number): void {
  const { pool, ready, away, starting, toStart } = fleet;
  // A worker that lost its connection is not replaced at once: most are back within a moment.
  const missing = pool.min - ready - away - starting.length - toStart;
  if (missing <= 0) return;
  const count = Math.min(missing, roomIn(fleet, now));
  fleet.toStart += count;
  fleet.refused += missing - count;
}

/** When the pools begin to start workers for a class. */
export function dueTimes({ waiting, homes }: Demand): number[] {
  return homes.map(({ pool }) => waiting.since + pool.upAfterMs);
}

/** What a class waits for, as far as the pools are concerned. */
export function demandReason(
  demand: Demand, { pools, now }: { pools: number; now: number },
): string {
  const { waiting, pinned, waitedMs, homes, left } = demand;
  if (homes.length === 0) return nobodyText(waiting.key, { pinned, pools });
  const soonest = homes.reduce((a, b) => (b.pool.upAfterMs < a.pool.upAfterMs ? b : a));
  if (waitedMs < soonest.pool.upAfterMs) return soonText(soonest, waitedMs);
  return waitText(homes, { left, now });
}
