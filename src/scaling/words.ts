/**
 * Reasons as sentences: why a pool starts or ends a worker, and what a class of jobs waits for.
 * Private to src/scaling.
 *
 * They are what people read in `titan pools` and `titan status`: lower case, no full stop.
 * Test: test/13-scaling.test.ts
 */
import { durationText, plural } from "#base";
import { GENERAL, plainKey } from "#routing";
import type { StartFacts, WaitingClass, WorkerFacts } from "./facts.ts";
import { MAX_STARTING, retryAt, type Fleet } from "./fleet.ts";

/** "12 jobs that need GPU have waited 1.4s". Of several classes, the one with the most jobs. */
function demandText(classes: readonly WaitingClass[], now: number): string {
  const most = classes.reduce((a, b) => (b.jobs > a.jobs ? b : a));
  const { jobs, since } = most;
  const key = plainKey(most.key);
  const [need, have] = jobs === 1 ? ["needs", "has"] : ["need", "have"];
  const which = key === GENERAL ? "" : ` that ${need} ${key}`;
  const others = plural(classes.length - 1, "other class", "other classes");
  const more = classes.length === 1 ? "" : `, and so have those of ${others}`;
  return `${plural(jobs, "job")}${which} ${have} waited ${durationText(now - since)}${more}`;
}

/** Why a pool starts workers, what is under way already, and what it would start besides. */
export function startText(fleet: Fleet, now: number): string {
  const { pool, asking, starting, refused, history } = fleet;
  const least = `pool ${pool.name} keeps at least ${plural(pool.min, "worker")}`;
  const parts = [asking.length > 0 ? demandText(asking, now) : least];
  if (starting.length > 0) parts.push(underWayText(fleet));
  if (history.failures > 0) parts.push(`one at a time after ${failuresText(fleet)}`);
  else if (refused > 0) {
    parts.push(`${refused} more would be needed, but ${limitText(fleet, now)}`);
  }
  return parts.join("; ");
}

/** "2 workers of 4 slots are starting". */
function underWayText({ pool, starting }: Fleet): string {
  const are = starting.length === 1 ? "is" : "are";
  return `${plural(starting.length, "worker")} of ${plural(pool.slots, "slot")} ${are} starting`;
}

/** Why a pool does not start as many as it needs. */
function limitText(fleet: Fleet, now: number): string {
  const { pool, count, toStart, history } = fleet;
  const called = `pool ${pool.name}`;
  if (count + toStart >= pool.max) return `${called} has its maximum of ${workers(pool.max)}`;
  const again = retryAt(fleet);
  const failed = `after ${failuresText(fleet)}`;
  if (now < again) return `${called} tries again in ${durationText(again - now)} ${failed}`;
  if (history.failures > 0) return `${called} starts one worker at a time ${failed}`;
  return `${called} starts at most ${MAX_STARTING} workers at once`;
}

function workers(count: number): string {
  return plural(count, "worker");
}

function failuresText({ history }: Fleet): string {
  return plural(history.failures, "failed start");
}

export function drainText({ pool }: Fleet, worker: WorkerFacts, now: number): string {
  const idle = durationText(now - worker.idleSince);
  return `idle for ${idle}, and nothing waits for pool ${pool.name}`;
}

export function excessText({ pool, count }: Fleet): string {
  return `pool ${pool.name} has ${workers(count)}, and its maximum is ${pool.max}`;
}

export function lateText({ pool }: Fleet): string {
  return `did not register within ${durationText(pool.startTimeoutMs)}`;
}

export function needlessText({ pool }: Fleet, start: StartFacts, now: number): string {
  const age = durationText(now - start.at);
  return `ordered ${age} ago, and nothing has waited for pool ${pool.name} for a while`;
}

/** What `titan pools` says about a pool. */
export function poolText(fleet: Fleet, now: number): string {
  const { toStart, starting, refused, retiring, pool } = fleet;
  if (toStart > 0) return startText(fleet, now);
  if (refused > 0) return limitText(fleet, now);
  if (starting.length > 0) return underWayText(fleet);
  if (retiring.length > 0) return `${workers(retiring.length)} will stop when nothing runs there`;
  if (fleet.needed) return "jobs wait";
  return fleet.ready > pool.min ? "nothing waits" : "at its minimum";
}

/** What a class of jobs waits for, as far as pools can help: for `titan status` of a job. */
export function waitText(
  homes: readonly Fleet[], { left, now }: { left: number; now: number },
): string {
  const fleet = homes.find(({ toStart, starting }) => toStart + starting.length > 0);
  if (fleet !== undefined) {
    const coming = fleet.toStart + fleet.starting.length;
    return `pool ${fleet.pool.name} is starting ${coming === 1 ? "a worker" : workers(coming)}`;
  }
  if (left === 0) return "a slot is free or on its way";
  return homes.map((home) => limitText(home, now)).join(", ");
}

export function soonText({ pool }: Fleet, waitedMs: number): string {
  const left = durationText(pool.upAfterMs - waitedMs);
  return `pool ${pool.name} starts a worker in ${left} if no slot is free by then`;
}

export function nobodyText(key: string, { pinned, pools }: NobodyFacts): string {
  if (pinned !== undefined) return `it waits for worker ${pinned}, and a new one would not help`;
  if (pools === 0) return "there is no pool that could start a worker";
  return `no pool has ${plainKey(key)}`;
}

interface NobodyFacts {
  readonly pinned: number | undefined;
  readonly pools: number;
}
