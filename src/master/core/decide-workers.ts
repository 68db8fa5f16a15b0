/**
 * Lesson 10: what follows when a worker comes, comes back, goes, is drained or retired.
 *
 * Invariants: a worker that is lost leaves no attempt behind; an attempt that never arrived at its
 * worker does not count against its job.
 * Test: test/10-master.transcripts.test.ts, test/10-master.test.ts
 */
import { DEFAULT_RETRY, retryDecision } from "#retry";
import { MAX_WORKERS, type AttemptKey } from "#wire";
import type { CommandOf } from "./command.ts";
import { cut, decideStopLaunch } from "./decide-launches.ts";
import {
  NO_EFFECTS, NOTHING, onlyEvents, placed, type DecidedOn, type Effect, type PlacedAttempt,
} from "./effect.ts";
import type { Event } from "./events.ts";
import { findWorker, runningAttempt } from "./find.ts";
import { canRun } from "./knowledge.ts";
import { launchOf } from "./launch-state.ts";
import { Refusal, type Context } from "./refusal.ts";
import { isForgiven, isStopping } from "./service-state.ts";
import { isToEnd, type Job, type State, type Worker } from "./state.ts";

export function decideJoin(
  state: State, offer: CommandOf<"Join">, context: Context,
): DecidedOn<"Join"> {
  if (state.workers.size >= MAX_WORKERS) {
    const found = `${MAX_WORKERS} are registered already`;
    throw new Refusal("OVERLOADED", `Cannot register worker: ${found}`);
  }
  const worker = state.nextWorker;
  const { instance, tags, slots, version, knows = [], permanent } = offer;
  const name = offer.name === "" ? `w${worker}` : offer.name;
  const joined: Event = {
    type: "WorkerJoined", worker, instance, name, tags: [...tags], slots, version, at: context.now,
    knows: [...knows], ...(permanent === true && { permanent }),
  };
  return { events: [joined], effects: NO_EFFECTS, reply: { worker } };
}

/** A worker is gone: each of its attempts ends, and the job goes back to the queue. */
export function decideLose(
  state: State, gone: CommandOf<"Lose">, context: Context,
): DecidedOn<"Lose"> {
  const worker = state.workers.get(gone.worker);
  if (worker === undefined) return NOTHING;
  const { blamed = true, reason } = gone;
  const at = context.now;
  const events: Event[] = [];
  for (const job of worker.jobs) events.push(lost(job, { at, blamed }));
  const workerLost: Event = { type: "WorkerLost", worker: worker.id, reason, at };
  const launch = launchOf(state, worker.id);
  // It knew that it goes, or was to go: it does not come back.
  if (launch === undefined || (blamed && launch.phase !== "retiring")) {
    return onlyEvents([...events, workerLost]);
  }
  const end = decideStopLaunch(state, { name: launch.name, reason, failed: false }, context);
  // The launch first: if a crash keeps it alone, the lease ends the worker. The other way round
  // nobody would end the launch, and it would count towards the pool's maximum for ever.
  return { events: [...events, ...end.events, workerLost], effects: end.effects, reply: undefined };
}

// #region rejoin
/**
 * A worker is back. Attempts that it does not know of never arrived there: they are lost, and did
 * no harm. Of those that it runs, some may have been cancelled while it was away.
 */
export function decideRejoin(
  state: State, { worker, running, knows = [] }: CommandOf<"Rejoin">, context: Context,
): DecidedOn<"Rejoin"> {
  const known = new Set(running.map(nameOf));
  const events = learned(state, { worker, knows, at: context.now });
  const attempts: PlacedAttempt[] = [];
  for (const job of state.workers.get(worker)?.jobs ?? []) {
    const attempt = placed(job);
    if (!known.has(nameOf(attempt))) events.push(lost(job, { at: context.now, blamed: false }));
    else if (isToEnd(job)) attempts.push(attempt);
  }
  const effects: Effect[] = attempts.length === 0 ? [] : [{ type: "Kill", attempts }];
  return { events, effects, reply: undefined };
}
// #endregion

/** It had joined a master of an older version, which did not write this down. */
function learned(
  state: State, { worker, knows, at }: { worker: number; knows: readonly string[]; at: number },
): Event[] {
  const before = state.workers.get(worker)?.knows ?? knows;
  const news = knows.filter((word) => !before.includes(word));
  return news.length === 0 ? [] : [{ type: "WorkerKnows", worker, knows: news, at }];
}

function nameOf({ run, job, attempt }: AttemptKey): string {
  return `${run}/${job}/${attempt}`;
}

// #region stale
/** …and those that it still runs although the master has given them to somebody else. */
export function staleAttempts(
  state: State, { worker, running }: { worker: number; running: readonly AttemptKey[] },
): AttemptKey[] {
  return running.filter((key) => runningAttempt(state, key)?.worker !== worker);
}
// #endregion

function lost(job: Job, how: { at: number; blamed: boolean }): Event {
  const { at, blamed } = how;
  const { run, index, attempt, failures } = job;
  // A service that lives for years outlives many workers.
  const losses = isForgiven(job, at) ? 0 : job.losses;
  // A job that takes down one worker after another is quarantined, before it has had them all.
  const asked = { attempt: failures, kind: "worker-lost", losses: losses + 1 } as const;
  const dead = blamed && !isStopping(job) && !retryDecision(DEFAULT_RETRY, asked).retry;
  return { type: "JobLost", run: run.number, job: index, attempt, at, dead, blamed };
}

/** A person wants a worker to get nothing new (or, `undo`, to get work again). */
export function decideDrain(
  state: State, wish: CommandOf<"Drain">, { now }: Context,
): DecidedOn<"Drain"> {
  const worker = findWorker(state, wish.worker);
  const { id, name, jobs } = worker;
  if (wish.undo && launchOf(state, id)?.phase === "stopping") {
    throw new Refusal("CONFLICT", `Cannot give work to worker ${name}: it is being stopped`);
  }
  const reply = { id, name, running: jobs.size };
  return { ...drainOf(state, worker, { on: !wish.undo, now }), reply };
}

function drainOf(
  state: State, worker: Worker, { on, now: at }: { on: boolean; now: number },
): { events: Event[]; effects: readonly Effect[] } {
  const { id, name, draining, jobs } = worker;
  if (draining === on) return { events: [], effects: NO_EFFECTS };
  const drained: Event = { type: "WorkerDrained", worker: id, on, at };
  if (!on) return { events: [drained], effects: NO_EFFECTS };
  // A job ends by itself, a service does not: it starts anew, where there is another place for it.
  const moving = [...jobs].filter((job) => job.service !== undefined && !isToEnd(job) &&
    !isStopping(job) && canGoElsewhere(state, job));
  const moves = moving.map((job): Event => ({
    type: "ServicesRestarted", run: job.run.number, at, jobs: [job.index],
    by: `titan drain ${name}`,
  }));
  const effects: Effect[] = moving.length === 0
    ? []
    : [{ type: "Kill", attempts: moving.map(placed) }];
  // The drain last: if a crash keeps a part of them, it is asked for again.
  return { events: [...moves, drained], effects };
}

/** A worker of a pool gets nothing new, and is stopped once nothing runs there. */
export function decideRetire(
  state: State, { worker: named, reason }: CommandOf<"Retire">, context: Context,
): DecidedOn<"Retire"> {
  const coming = state.launches.get(named);
  if (coming !== undefined && coming.worker === 0) {
    const { name, pool } = coming;
    const stop = decideStopLaunch(state, { name, reason, failed: false }, context);
    return { ...stop, reply: { name, pool, running: 0 } };
  }
  const worker = findWorker(state, named);
  const launch = launchOf(state, worker.id);
  if (launch === undefined) {
    const found = "it belongs to no pool, so nobody could stop it";
    throw new Refusal("CONFLICT", `Cannot retire worker ${worker.name}: ${found}`);
  }
  const { name, pool, phase } = launch;
  const reply = { name, pool, running: worker.jobs.size };
  if (phase === "stopping") return { events: [], effects: NO_EFFECTS, reply };
  // A crash may keep the first of these events alone. Then this is asked again, and drains. The
  // other way round the worker would look like one that a person drains, whom nobody ends.
  const retired: Event[] = phase === "retiring" ? []
    : [{ type: "LaunchRetired", name, at: context.now, reason: cut(reason) }];
  const drained = drainOf(state, worker, { on: true, now: context.now });
  return { events: [...retired, ...drained.events], effects: drained.effects, reply };
}

function canGoElsewhere(state: State, { worker, spec }: Job): boolean {
  return [...state.workers.values()].some((other) => other.id !== worker && !other.draining &&
    canRun(other, spec) && spec.requirement.every((tag) => other.tags.includes(tag)));
}
