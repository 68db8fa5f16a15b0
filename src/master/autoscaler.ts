/**
 * Lesson 13: the loop around `plan()`: it looks at the fleet, plans, and starts and ends workers of
 * pools.
 *
 *     fleet ──look──▶ observation ──plan──▶ start, drain, stop, cancel
 *       ▲                                      │ each a command for the core, and then a fact
 *       │                                      ▼
 *       └── it came, it is gone ── driver ◀── log: only what is durable is ordered
 *
 * The loop looks ten times a second, and sooner when time alone changes the plan, or when jobs wait
 * after a look that saw none. A class has waited since the look that found nobody free for it.
 *
 * Invariants: only workers of launches are ended by it, and no one is started without a launch in
 * the log; once it is stopped it orders nothing more; while the disk is full it does nothing,
 * because nobody could register.
 * Left out: since when each worker is idle, and what waits, as facts. A restart counts anew.
 * Test: test/13-scaling.autoscaler.test.ts, test/13-scaling.up.test.ts
 */
import { plural } from "#base";
import { routedTags, type Launch } from "#core";
import type { Host, Timer } from "#host";
import { backoffDelayMs, DEFAULT_RETRY, randomFrom } from "#retry";
import {
  plan, type ScalingAction, type StartFacts, type WaitingClass, type WorkerFacts,
} from "#scaling";
import { KNOWLEDGE } from "#wire";
import type { Fleet, OfferedPool, SeenFleet, SeenWorker } from "./fleet.ts";

/** A tenth of the second that jobs wait at least. A look takes microseconds. */
const LOOK_MS = 100;
/**
 * A worker that was lost dials again within a few seconds, or never. So does one that was on its
 * way while the master was down: after a restart a launch has at least this long to register.
 */
export const RETURN_MS = 15_000;
/** A machine that was told to end may need this long, before it is told again… */
const GONE_MS = 30_000;
/** …and so often it is told, with pauses in between that grow: a minute in all. */
export const STOP_TRIES = 7;
/** Orders that are under way when the master ends have a moment, so that their answers are kept. */
const SETTLE_MS = 2000;

/**
 * A pool whose tags say what the worker that came last from it understands: the next one will be of
 * the same version. Of one from which nobody has come, the best is hoped.
 */
function withKnowledge<P extends OfferedPool>(pool: P, workers: readonly SeenWorker[]): P {
  const came = workers.filter(({ launch }) => launch?.pool === pool.name);
  const { knows = KNOWLEDGE } = came.reduce<Partial<SeenWorker>>(
    (last, worker) => (worker.id > (last.id ?? 0) ? worker : last), {});
  return { ...pool, tags: routedTags({ tags: pool.tags, knows }) };
}

/** How the workers of a pool are started and ended. */
export interface Driver<P extends OfferedPool = OfferedPool> {
  /**
   * Orders a worker that registers with this name. Resolves with the handle that ends it, which is
   * not empty. `onEnd` is for those who hear of its end.
   *
   * @throws {StartError} which says whether something may have been started all the same
   */
  start(pool: P, name: string, onEnd: (how: string) => void): Promise<string>;
  /**
   * Ends it. Called again if that fails, and perhaps for a worker that is gone. `pool` is undefined
   * if it is not there any more.
   */
  stop(launch: Launch, pool: P | undefined): Promise<void>;
  /** The workers end with this process, so there are none of an earlier one. */
  readonly isOurs: boolean;
}

/** Nobody comes, and this is why. */
export class StartError extends Error {
  /** Nobody knows: something may be there that has to be ended. */
  readonly isUnsure: boolean;
  constructor(message: string, { isUnsure }: { isUnsure: boolean }) {
    super(message);
    this.name = "StartError";
    this.isUnsure = isUnsure;
  }
}

export interface AutoscalerOptions<P extends OfferedPool> {
  readonly host: Pick<Host, "timers">;
  /** The master's side, as far as it is needed here. */
  readonly fleet: Pick<
    Fleet, "offer" | "look" | "launch" | "retire" | "tell" | "launchNamed" | "explain"
  >;
  readonly pools: readonly P[];
  readonly drivers: Readonly<Record<OfferedPool["driver"]["type"], Driver<P>>>;
  readonly onNote: (text: string) => void;
}

export class Autoscaler<P extends OfferedPool = OfferedPool> {
  readonly #options: AutoscalerOptions<P>;
  readonly #pools: ReadonlyMap<string, P>;
  /** Since when each registered worker of a pool has nothing to do, by its launch. */
  readonly #idle = new Map<string, { worker: number; since: number }>();
  /** Since when each class has been seen with nobody free for it. */
  #stuckSince: ReadonlyMap<string, number> = new Map();
  #neededAt: ReadonlyMap<string, number> = new Map();
  /** Launches that are being ordered, and those that are being ended. */
  readonly #starting = new Map<string, Promise<void>>();
  readonly #ending = new Map<string, Promise<void>>();
  /** Launches of whose end a person has been told. */
  readonly #told = new Set<string>();
  readonly #pauses = new Set<() => void>();
  readonly #bornAt: number;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: AutoscalerOptions<P>) {
    this.#options = options;
    const { fleet, pools } = options;
    this.#pools = new Map(pools.map((pool) => [pool.name, pool]));
    const { launches, now } = fleet.look();
    this.#bornAt = now;
    const hands = {
      start: (name: string) => this.#start(name),
      stop: (name: string) => void this.#end(name),
      stir: () => this.#stir(),
    };
    fleet.offer(pools, hands);
    for (const launch of launches) {
      if (!this.#driverOf(launch).isOurs) continue;
      this.#told.add(launch.name);
      this.#stop(launch.name, "its master ended");
    }
    this.#look();
  }

  /**
   * It starts and ends nobody any more, and resolves when that is true. Workers that live are
   * somebody else's, or go on.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const over of [...this.#pauses]) over();
    if (this.#starting.size === 0) return;
    await Promise.race([Promise.allSettled(this.#starting.values()), this.#pause(SETTLE_MS)]);
    for (const over of [...this.#pauses]) over();
  }

  /** Shorter if the loop is stopped meanwhile. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.host.timers.after(ms, () => over());
      const over = (): void => {
        timer.cancel();
        this.#pauses.delete(over);
        resolve();
      };
      this.#pauses.add(over);
    });
  }

  // #region look
  #look(): void {
    const { fleet, pools } = this.#options;
    const seen = fleet.look();
    const { now, history } = seen;
    let waitMs = LOOK_MS;
    if (seen.isFrozen) this.#stuckSince = new Map(); // nobody waits for a worker now
    else {
      const waiting = this.#waiting(seen.classes, now);
      const workers = seen.workers.map((worker) => this.#factsOf(worker, now));
      const starts = this.#starts(seen);
      const neededAt = this.#neededAt;
      const able = pools.map((pool) => withKnowledge(pool, seen.workers));
      const made = plan({ waiting, workers, starts, history, neededAt }, able, now);
      this.#neededAt = made.neededAt;
      fleet.explain(made);
      for (const action of made.actions) this.#act(action);
      this.#endOthers(seen);
      if (made.nextAt !== undefined) waitMs = Math.min(LOOK_MS, made.nextAt - now);
    }
    this.#arm(waitMs);
  }
  // #endregion

  /** The time of a burst begins with it, and not with the next look. */
  #stir(): void {
    if (this.#stuckSince.size === 0 && !this.#isStopped) this.#look();
  }

  #arm(ms: number): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    this.#timer = this.#options.host.timers.after(ms, () => this.#look());
  }

  #waiting(classes: SeenFleet["classes"], now: number): WaitingClass[] {
    const before = this.#stuckSince;
    const stuck = classes.filter(({ isStuck }) => isStuck);
    this.#stuckSince = new Map(stuck.map(({ key }) => [key, before.get(key) ?? now]));
    return classes.map(({ key, jobs }) => {
      return { key, jobs, since: this.#stuckSince.get(key) ?? now };
    });
  }

  /** A worker as the plan sees it. */
  #factsOf(worker: SeenWorker, now: number): WorkerFacts {
    const { id, name, slots, busy, draining, permanent, launch, state: at } = worker;
    const tags = routedTags(worker);
    const gone = at === "leaving" || launch?.phase === "stopping";
    const retiring = launch?.phase === "retiring" ? "retiring" : "draining";
    const state = gone ? "stopping" : draining ? retiring : at === "away" ? "away" : "ready";
    const pool = launch !== undefined && this.#pools.has(launch.pool) ? launch.pool : undefined;
    const idleSince = launch === undefined ? now : this.#idleSince(launch, worker, now);
    const facts = { id, name, tags, slots, busy, services: 0, permanent };
    return { ...facts, pool, idleSince, state };
  }

  #idleSince({ name }: Launch, { id, busy, reportedAt = 0 }: SeenWorker, now: number): number {
    const known = this.#idle.get(name);
    const before = known?.worker === id ? known.since : now;
    const since = busy > 0 ? now : Math.max(before, reportedAt);
    this.#idle.set(name, { worker: id, since });
    return since;
  }

  /** Launches whose workers are to come: for the first time, or again. */
  #starts({ launches, now }: SeenFleet): StartFacts[] {
    const facts: StartFacts[] = [];
    for (const { name, pool: called, phase, worker, orderedAt, lostAt } of launches) {
      const pool = this.#pools.get(called);
      if (worker !== 0 || pool === undefined) continue;
      const cancelled = { name, pool: called, at: orderedAt, state: "cancelled" } as const;
      if (phase !== "starting") facts.push(cancelled);
      else if (lostAt > 0 && now - lostAt >= RETURN_MS) {
        this.#note(name, "ends", "it was lost, and did not come back");
        this.#stop(name, "it was lost, and did not come back");
        facts.push(cancelled);
      } else {
        // Nobody could register while the master was down.
        const soonest = this.#bornAt + Math.min(RETURN_MS, pool.startTimeoutMs);
        const at = Math.max(lostAt || orderedAt, soonest - pool.startTimeoutMs);
        facts.push({ name, pool: called, at, state: "starting" });
      }
    }
    return facts;
  }

  // #region act
  #act(action: ScalingAction): void {
    const { fleet, onNote } = this.#options;
    const { reason } = action;
    switch (action.type) {
      case "start": {
        const pool = this.#pools.get(action.pool)!;
        onNote(`starts ${plural(action.count, "worker")}: ${reason}`);
        for (let n = 0; n < action.count; n++) fleet.launch(pool, reason);
        return;
      }
      case "drain":
        if (fleet.retire(action.worker, reason)) onNote(`retires ${action.name}: ${reason}`);
        return;
      case "stop":
        this.#told.add(action.name);
        return this.#stop(action.name, reason);
      case "cancel":
        this.#note(action.start, "ends", reason);
        return this.#stop(action.start, reason, action.failed);
    }
  }
  // #endregion

  /** The workers of pools that are not in the file any more go, too: the door first, as ever. */
  #endOthers({ launches, workers }: SeenFleet): void {
    const strays = launches.filter(({ pool }) => !this.#pools.has(pool));
    if (strays.length === 0) return;
    const seen = new Map(workers.map((worker) => [worker.launch?.name, worker]));
    for (const { name, pool, phase } of strays) {
      const worker = seen.get(name);
      const reason = `there is no pool ${pool} any more`;
      if (phase === "stopping") continue;
      if (worker === undefined) this.#stop(name, reason);
      else if (!(phase === "retiring" && worker.draining)) {
        this.#options.fleet.retire(worker.id, reason);
      } else if (worker.busy === 0) this.#stop(name, reason);
    }
  }

  #stop(name: string, reason: string, failed = false): void {
    this.#options.fleet.tell({ type: "StopLaunch", name, reason, failed });
  }

  #note(name: string, what: string, why: string): void {
    this.#told.add(name);
    this.#options.onNote(`${what} ${name}: ${why}`);
  }

  #driverOf({ pool, down }: Launch): Driver<P> {
    const type = this.#pools.get(pool)?.driver.type ?? (down.length > 0 ? "command" : "process");
    return this.#options.drivers[type];
  }

  // #region start
  /** Its launch is durable. */
  #start(name: string): void {
    const { fleet, drivers } = this.#options;
    const launch = fleet.launchNamed(name);
    const pool = launch && this.#pools.get(launch.pool);
    if (this.#isStopped || pool === undefined || launch?.phase === "stopping") return;
    const answered = drivers[pool.driver.type].start(pool, name, (how) => this.#ended(name, how))
      .then(
        (handle) => fleet.tell({ type: "AnswerLaunch", name, handle }),
        (error: StartError) => this.#refused(name, error),
      )
      .finally(() => void this.#starting.delete(name));
    this.#starting.set(name, answered);
  }
  // #endregion

  #refused(name: string, { message: reason, isUnsure }: StartError): void {
    const { worker = 0, lostAt = 0 } = this.#options.fleet.launchNamed(name) ?? {};
    this.#options.onNote(`Cannot start ${name}: ${reason}`);
    // It has come all the same, and may be at work.
    if (worker !== 0 || lostAt !== 0) return;
    this.#told.add(name);
    const type = isUnsure ? "StopLaunch" : "EndLaunch";
    this.#options.fleet.tell({ type, name, reason, failed: true });
  }

  /** Its process is gone, as it was told to or not. If it is missed, the plan says so. */
  #ended(name: string, how: string): void {
    const { fleet, onNote } = this.#options;
    const launch = fleet.launchNamed(name);
    if (this.#isStopped || launch === undefined || launch.phase === "stopping") return;
    this.#told.add(name);
    if (launch.worker !== 0) {
      // The master still waits for it to come back. It does not.
      onNote(`${name} ended: ${how}`);
      this.#stop(name, how);
    } else {
      const failed = launch.lostAt === 0;
      onNote(`${name} ended${failed ? " before it registered" : ""}: ${how}`);
      fleet.tell({ type: "EndLaunch", name, reason: `ended: ${how}`, failed });
    }
    this.#arm(0);
  }

  // #region end
  /** Its end is durable: it is ended, however long that takes. */
  #end(name: string): Promise<void> {
    const known = this.#ending.get(name);
    if (known !== undefined) return known;
    const ended = this.#endAtLast(name).finally(() => {
      this.#ending.delete(name);
      this.#told.delete(name);
      this.#idle.delete(name);
      this.#arm(0);
    });
    this.#ending.set(name, ended);
    return ended;
  }

  async #endAtLast(name: string): Promise<void> {
    const { fleet, onNote } = this.#options;
    const reason = fleet.launchNamed(name)?.reason ?? "";
    if (!this.#told.has(name)) onNote(`${name} ends: ${reason}`);
    await this.#starting.get(name); // its handle is on the way
    const end = (why: string): void => {
      fleet.tell({ type: "EndLaunch", name, reason: why, failed: false });
    };
    for (let tries = 1; ; tries++) {
      const launch = fleet.launchNamed(name);
      if (this.#isStopped || launch === undefined) return;
      const why = await this.#endOnce(launch);
      if (this.#isStopped) return;
      if (why === undefined) return end(reason);
      onNote(`Cannot end ${name}: ${why}`);
      if (tries === STOP_TRIES) return end(`nobody knows whether it has ended: ${why}`);
      await this.#pause(backoffDelayMs(DEFAULT_RETRY, tries, randomFrom(name)));
    }
  }
  // #endregion

  /** Undefined: it is gone. Otherwise why it is not. */
  async #endOnce(launch: Launch): Promise<string | undefined> {
    const { fleet } = this.#options;
    try {
      await this.#driverOf(launch).stop(launch, this.#pools.get(launch.pool));
    } catch (error) {
      return (error as Error).message;
    }
    for (let waited = 0; waited < GONE_MS; waited += LOOK_MS) {
      const { worker = 0 } = fleet.launchNamed(launch.name) ?? {};
      if (worker === 0 || this.#isStopped) return undefined;
      await this.#pause(LOOK_MS);
    }
    return "its worker is still here";
  }
}
