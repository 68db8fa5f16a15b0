/**
 * Down: who has nothing to do, and has had nothing for long enough. Private to src/scaling.
 *
 * A worker goes in two steps. The drain closes its door: from then on nothing new starts there. The
 * stop comes with a later plan, which sees the worker with its door closed. Between a look at an
 * idle worker and the order to end it lies a moment in which a job may start there.
 *
 * Test: test/13-scaling.test.ts
 */
import type { StartFacts, WorkerFacts } from "./facts.ts";
import { isFreeToGo, type Fleet } from "./fleet.ts";
import type { Wake } from "./wake.ts";

interface Look {
  readonly now: number;
  readonly wake: Wake;
  /** Workers that a pinned job waits for. */
  readonly wantedIds: ReadonlySet<number>;
}

// #region retire
/**
 * The workers of a pool that are to be drained now, the one with the highest id first. Nobody goes
 * while the pool is needed or starts workers, and nobody in `wantedIds`; `min` ready ones stay. A
 * worker above `max` goes once it is idle, the others after the idle time and the cooldown; `wake`
 * is told when.
 */
export function retire(fleet: Fleet, { now, wake, wantedIds }: Look): WorkerFacts[] {
  // #exercise retire
  const { pool, history, ready, count, leaving, needed, toStart } = fleet;
  // Somebody waits for such a worker. Then it is idle by an accident of this very moment.
  if (needed || toStart > 0) return [];
  let spare = ready - pool.min;
  let excess = count - leaving - pool.max;
  const coolAt = history.grewAt === undefined ? -Infinity : history.grewAt + pool.cooldownMs;
  const drained: WorkerFacts[] = [];
  // The newest first: among equals the router of lesson 08 prefers the oldest, so those are warm.
  for (const worker of [...fleet.idle].sort((a, b) => b.id - a.id)) {
    if (spare <= 0 || wantedIds.has(worker.id)) continue;
    const goesAt = excess > 0 ? now : Math.max(worker.idleSince + pool.idleMs, coolAt);
    if (goesAt > now) {
      wake.at(goesAt);
      continue;
    }
    drained.push(worker);
    spare--;
    excess--;
  }
  return drained;
  // #end-exercise
}
// #endregion

/** Workers whose door is closed, and behind which nothing lives any more. */
export function stoppable({ retiring }: Fleet): WorkerFacts[] {
  return retiring.filter(isFreeToGo);
}

/**
 * Starts that nobody waits for any more. A machine that takes three minutes to come would stay for
 * another idle time after that, and would be paid for all of it.
 */
export function needless(
  fleet: Fleet, { neededAt, now, wake }: { neededAt: number; now: number; wake: Wake },
): StartFacts[] {
  const { pool, ready, away, starting, needed } = fleet;
  if (needed) return [];
  let spare = ready + away + starting.length - pool.min;
  const found: StartFacts[] = [];
  // The newest first: the others are nearer to their arrival.
  for (const start of starting.toReversed()) {
    if (spare <= 0) break;
    // The same patience as with a worker that has come: demand goes and returns.
    const goesAt = Math.max(start.at, neededAt) + pool.idleMs;
    if (goesAt > now) wake.at(goesAt);
    else {
      found.push(start);
      spare--;
    }
  }
  return found;
}
