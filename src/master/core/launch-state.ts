/**
 * Lesson 13: what the state keeps of launches, and how events change it. A launch is a worker of a
 * pool, from the order to the end of its machine.
 *
 *     LaunchOrdered ─▶ starting ── WorkerJoined ─▶ running ── LaunchRetired ─▶ retiring
 *                          ▲                       │     ▲                        │
 *                          └────── WorkerLost ─────┘     └─── WorkerDrained off ──┘
 *
 *                      (any) ── LaunchStopped ─▶ stopping
 *                      (any) ── LaunchEnded ─▶ gone
 *
 * A launch is usually stopped before it is gone. It goes at once if its process has ended by
 * itself, or if nothing was started. The worker of a launch may be lost in any phase; only a
 * running launch is starting again then.
 *
 * That its worker came, or was lost, is no event of its own: it follows from the events of the
 * worker, by the name that nobody else was given.
 *
 * Invariants: a record is replaced and never changed, because pictures keep old ones (snapshot.ts);
 * `open` of a pool counts its launches, of whatever phase, which is what its maximum bounds; a name
 * is used once.
 * Left out: an end to the list of pools. A pool that was in the file once costs a hundred bytes.
 * Test: test/10-master.launches.test.ts
 */
import { invariant } from "#base";
import { NEW_POOL, nextHistory, type PoolNews } from "#scaling";
import type { EventOf } from "./events.ts";
import type { Launch, PoolRecord, State } from "./state.ts";

function launchNamed(state: State, name: string): Launch {
  const launch = state.launches.get(name);
  invariant(launch !== undefined, () => `an event names launch ${name}, which does not exist`);
  return launch;
}

/** The launch that a registered worker came from. */
export function launchOf(state: State, worker: number): Launch | undefined {
  const name = state.launchesByWorker.get(worker);
  return name === undefined ? undefined : launchNamed(state, name);
}

function change(state: State, launch: Launch, fields: Partial<Launch>): void {
  state.launches.set(launch.name, { ...launch, ...fields });
}

function changePool(state: State, name: string, fields: Partial<PoolRecord>): void {
  const known = poolRecord(state, name);
  state.pools.set(name, { ...known, ...fields });
}

export function poolRecord(state: State, name: string): PoolRecord {
  const fresh = { name, launched: 0, history: NEW_POOL, failure: "", open: 0 };
  return state.pools.get(name) ?? fresh;
}

function learn(state: State, pool: string, news: PoolNews): void {
  changePool(state, pool, { history: nextHistory(poolRecord(state, pool).history, news) });
}

/** Enters a launch into the indexes. */
export function indexLaunch(state: State, launch: Launch): void {
  state.launches.set(launch.name, launch);
  if (launch.worker !== 0) state.launchesByWorker.set(launch.worker, launch.name);
  changePool(state, launch.pool, { open: poolRecord(state, launch.pool).open + 1 });
}

// #region ordered
export function launchOrdered(state: State, event: EventOf<"LaunchOrdered">): void {
  const { name, pool, down, at, reason } = event;
  invariant(!state.launches.has(name), () => `two launches are called ${name}`);
  indexLaunch(state, {
    name, pool, down, orderedAt: at, lostAt: 0, handle: "", phase: "starting", worker: 0,
    reason,
  });
  // The numbers that it has left out were in the names of other people's workers.
  changePool(state, pool, { launched: Number(name.slice(pool.length + 1)) });
  learn(state, pool, { type: "started", at });
}

/** A worker has registered. Returns the phase of its launch, if it came from one. */
export function launchCame(
  state: State, { worker, name, at }: EventOf<"WorkerJoined">,
): Launch["phase"] | undefined {
  const launch = state.launches.get(name);
  // Somebody else may give this name to a worker, while the one that was ordered has it.
  if (launch === undefined || launch.worker !== 0) return undefined;
  state.launchesByWorker.set(worker, name);
  const phase = launch.phase === "starting" ? "running" : launch.phase;
  change(state, launch, { worker, phase });
  const isNews = launch.phase === "starting" && launch.lostAt === 0;
  if (isNews) learn(state, launch.pool, { type: "arrived", at });
  return phase;
}
// #endregion

/** Its machine may be gone, or only its connection: it may register anew. */
export function launchLost(state: State, { worker, at }: EventOf<"WorkerLost">): void {
  const launch = launchOf(state, worker);
  if (launch === undefined) return;
  state.launchesByWorker.delete(worker);
  const phase = launch.phase === "running" ? "starting" : launch.phase;
  change(state, launch, { worker: 0, lostAt: at, phase });
}

export function launchAnswered(state: State, event: EventOf<"LaunchAnswered">): void {
  change(state, launchNamed(state, event.name), { handle: event.handle });
}

export function launchRetired(state: State, event: EventOf<"LaunchRetired">): void {
  change(state, launchNamed(state, event.name), { phase: "retiring", reason: event.reason });
}

/** A person has given its worker work again. */
export function launchWanted(state: State, worker: number): void {
  const launch = launchOf(state, worker);
  if (launch?.phase === "retiring") change(state, launch, { phase: "running" });
}

export function launchStopped(state: State, event: EventOf<"LaunchStopped">): void {
  const launch = launchNamed(state, event.name);
  change(state, launch, { phase: "stopping", reason: event.reason });
  if (event.failed) launchFailed(state, launch, event);
}

export function launchEnded(state: State, event: EventOf<"LaunchEnded">): void {
  const launch = launchNamed(state, event.name);
  if (event.failed) launchFailed(state, launch, event);
  state.launches.delete(launch.name);
  state.launchesByWorker.delete(launch.worker);
  changePool(state, launch.pool, { open: poolRecord(state, launch.pool).open - 1 });
}

function launchFailed(
  state: State, { name, pool, orderedAt }: Launch, { at, reason }: { at: number; reason: string },
): void {
  learn(state, pool, { type: "failed", at, startedAt: orderedAt });
  changePool(state, pool, { failure: `${name}: ${reason}` });
}
