/**
 * Lesson 13: what follows when a worker of a pool is ordered, and when it ends.
 *
 * The order to start it is an effect: it leaves once the launch is in the log. A master that is
 * killed in between finds the launch in its log when it is back, and cannot know whether the order
 * has left. It does not repeat the order: the launch counts as one that is starting, and is given
 * up after its `start_timeout`. Until then no other worker is ordered in its place.
 *
 * Invariants: no pool has more launches than its maximum, whoever asks and however often the master
 * was restarted; news about a launch that is gone changes nothing.
 * Test: test/10-master.transcripts.test.ts, test/10-master.launches.test.ts
 */
import { plural } from "#base";
import { MAX_WORKERS } from "#wire";
import { sentence } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NOTHING, onlyEvents, type DecidedOn } from "./effect.ts";
import type { Event } from "./events.ts";
import { MAX_LAUNCH_REASON_BYTES } from "./limits.ts";
import { poolRecord } from "./launch-state.ts";
import { Refusal, type Context } from "./refusal.ts";
import type { State } from "./state.ts";

// #region launch
export function decideLaunch(
  state: State, order: CommandOf<"Launch">, { now: at }: Context,
): DecidedOn<"Launch"> {
  const { pool, max, down, reason } = order;
  const { open, launched } = poolRecord(state, pool);
  if (open >= max) {
    const found = `it has its maximum of ${plural(max, "worker")}`;
    throw new Refusal("CONFLICT", `Cannot start a worker of pool ${pool}: ${found}`);
  }
  if (state.launches.size >= MAX_WORKERS) {
    const found = `all pools together have ${MAX_WORKERS}`;
    throw new Refusal("OVERLOADED", `Cannot start a worker of pool ${pool}: ${found}`);
  }
  const name = freeName(state, pool, launched);
  const ordered: Event = {
    type: "LaunchOrdered", name, at, pool, reason: cut(reason), down: [...down],
  };
  return { events: [ordered], effects: [{ type: "StartWorker", name }], reply: { name } };
}
// #endregion

/** A person may have called a worker so. */
function freeName(state: State, pool: string, launched: number): string {
  const taken = new Set([...state.workers.values()].map(({ name }) => name));
  for (let number = launched + 1; ; number++) {
    const name = `${pool}-${number}`;
    if (!taken.has(name) && !state.launches.has(name)) return name;
  }
}

/** Words of programs are among them, and ten thousand launches must stay small. */
export function cut(reason: string): string {
  return sentence(reason, MAX_LAUNCH_REASON_BYTES);
}

export function decideAnswer(
  state: State, { name, handle }: CommandOf<"AnswerLaunch">, { now: at }: Context,
): DecidedOn<"AnswerLaunch"> {
  if (!state.launches.has(name)) return NOTHING;
  return onlyEvents([{ type: "LaunchAnswered", name, at, handle }]);
}

export function decideStopLaunch(
  state: State, { name, reason, failed }: Omit<CommandOf<"StopLaunch">, "type">,
  { now: at }: Context,
): DecidedOn<"StopLaunch"> {
  const launch = state.launches.get(name);
  if (launch === undefined || launch.phase === "stopping") return NOTHING;
  const stopped: Event = { type: "LaunchStopped", name, at, reason: cut(reason), failed };
  return { events: [stopped], effects: [{ type: "StopWorker", name }], reply: undefined };
}

export function decideEndLaunch(
  state: State, { name, reason, failed }: CommandOf<"EndLaunch">, { now: at }: Context,
): DecidedOn<"EndLaunch"> {
  if (!state.launches.has(name)) return NOTHING;
  return onlyEvents([{ type: "LaunchEnded", name, at, reason: cut(reason), failed }]);
}
