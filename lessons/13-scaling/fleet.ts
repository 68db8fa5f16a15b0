/**
 * What the programs of this chapter, and its tests, play on: jobs that arrive, workers that take time to come, and whoever decides how many
 * there should be. Time is a number; a day takes a second or two.
 */
import { TimerHeap } from "#queue";
import { Router } from "#routing";
import {
  NEW_POOL, nextHistory, plan, type Observation, type Plan, type Pool, type PoolHistory, type PoolNews, type StartFacts, type WorkerFacts,
} from "#scaling";

export interface Job {
  readonly at: number;
  /** Its requirement class. */
  readonly key: string;
  readonly runsMs: number;
}

/** Decides: `plan`, or something that is to be compared with it. */
export type Decide = (seen: Observation, pools: readonly Pool[], now: number) => Pick<Plan, "actions" | "nextAt"> & Partial<Plan>;

export interface StageOptions {
  readonly pools: readonly Pool[];
  /** In order of time. */
  readonly jobs: readonly Job[];
  readonly decide?: Decide;
  /** From the order to the registration. Infinity: it never comes. */
  readonly startsMs?: number | ((order: number, pool: string) => number);
  /** Decisions are at least this far apart. */
  readonly everyMs?: number;
  /** Told of each decision that does something, and of each change in the number of workers. */
  readonly onPlan?: (now: number, plan: Pick<Plan, "actions">, stage: Stage) => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Happening =
  | { readonly type: "job"; readonly job: Job }
  | { readonly type: "end"; readonly worker: number }
  | { readonly type: "arrive"; readonly start: string }
  | { readonly type: "gone"; readonly name: string }
  | { readonly type: "plan" };

/** Starts and stops of one pool, in order. */
export interface Change {
  readonly at: number;
  readonly pool: string;
  readonly by: number;
}

export class Stage {
  readonly #options: StageOptions;
  readonly #future = new TimerHeap<Happening>();
  readonly #router = new Router();
  readonly #queues = new Map<string, { at: number; runsMs: number }[]>();
  readonly workers = new Map<number, Mutable<WorkerFacts>>();
  readonly starts = new Map<string, Mutable<StartFacts>>();
  readonly history = new Map<string, PoolHistory>();
  readonly changes: Change[] = [];
  /** How long each job waited for a slot. */
  readonly waits: number[] = [];
  readonly plans = { count: 0 };
  now = 0;
  /** Milliseconds that workers were there or on their way, all together. */
  rentedMs = 0;
  #neededAt: Plan["neededAt"] | undefined;
  #names = 0;
  #ids = 0;
  #lastPlan = -Infinity;
  #planAt = Infinity;

  constructor(options: StageOptions) {
    this.#options = options;
    for (const job of options.jobs) this.#future.push({ type: "job", job }, job.at);
    this.#planBy(0);
  }

  /** Workers that are there, of one pool or of all. */
  size(pool?: string): number {
    return [...this.workers.values()].filter((worker) => pool === undefined || worker.pool === pool).length;
  }

  /** A worker that somebody started by hand. */
  join(worker: Partial<WorkerFacts> & { slots: number }): void {
    this.#register({ name: `hand-${this.#ids + 1}`, pool: undefined, tags: [], ...worker });
  }

  play(until: number): void {
    for (let at = this.#future.nextAt; at !== undefined && at <= until; at = this.#future.nextAt) {
      this.#pass(at);
      const next = this.#future.popDue(at)!;
      if (next.type !== "plan") this.#happen(next);
      else if (at === this.#planAt) this.#plan();
    }
    this.#pass(until);
  }

  #pass(at: number): void {
    this.rentedMs += (at - this.now) * (this.workers.size + this.starts.size);
    this.now = at;
  }

  #happen(next: Exclude<Happening, { type: "plan" }>): void {
    switch (next.type) {
      case "job": {
        const { key, runsMs } = next.job;
        const queue = this.#queues.get(key);
        if (queue === undefined) this.#queues.set(key, [{ at: this.now, runsMs }]);
        else queue.push({ at: this.now, runsMs });
        break;
      }
      case "end": {
        const worker = this.workers.get(next.worker);
        if (worker === undefined) throw new Error(`worker ${next.worker} was ended with a job on it`);
        worker.busy--;
        worker.idleSince = this.now;
        this.#router.release(next.worker);
        break;
      }
      case "arrive": {
        const start = this.starts.get(next.start);
        // A start that was cancelled and comes all the same gets nothing to do.
        if (start === undefined || start.state === "cancelled") return;
        this.starts.delete(next.start);
        this.#news(start.pool, { type: "arrived", at: this.now });
        const pool = this.#options.pools.find(({ name }) => name === start.pool)!;
        this.#register({ name: start.name, pool: start.pool, tags: pool.tags, slots: pool.slots });
        break;
      }
      case "gone":
        this.starts.delete(next.name);
        for (const [id, { name }] of this.workers) {
          if (name !== next.name) continue;
          this.workers.delete(id);
          this.#router.removeWorker(id);
        }
    }
    this.#dispatch();
    this.#planBy(this.now);
  }

  #register(worker: Pick<WorkerFacts, "name" | "pool" | "tags" | "slots"> & Partial<WorkerFacts>): void {
    const id = ++this.#ids;
    const usual = { id, busy: 0, services: 0, idleSince: this.now, permanent: false, state: "ready" } as const;
    this.workers.set(id, { ...usual, ...worker });
    this.#router.addWorker({ id, tags: worker.tags, slots: worker.slots });
  }

  #dispatch(): void {
    for (const [key, queue] of this.#queues) {
      let started = 0;
      for (let id = this.#router.pick(key); id !== undefined && started < queue.length; id = this.#router.pick(key)) {
        const job = queue[started++]!;
        this.#router.take(id);
        this.workers.get(id)!.busy++;
        this.waits.push(this.now - job.at);
        this.#future.push({ type: "end", worker: id }, this.now + job.runsMs);
      }
      queue.splice(0, started);
      if (queue.length === 0) this.#queues.delete(key);
    }
  }

  #planBy(time: number): void {
    const at = Math.max(time, this.#lastPlan + (this.#options.everyMs ?? 100));
    if (at >= this.#planAt) return;
    this.#planAt = at;
    this.#future.push({ type: "plan" }, at);
  }

  seen(): Observation {
    const waiting = [...this.#queues].map(([key, queue]) => ({ key, jobs: queue.length, since: queue[0]!.at }));
    const seen = { waiting, workers: this.workers.values(), starts: this.starts.values(), history: this.history };
    return this.#neededAt === undefined ? seen : { ...seen, neededAt: this.#neededAt };
  }

  #plan(): void {
    this.#planAt = Infinity;
    this.#lastPlan = this.now;
    const { decide = plan, pools, onPlan } = this.#options;
    const decided = decide(this.seen(), pools, this.now);
    this.plans.count++;
    this.#neededAt = decided.neededAt;
    for (const action of decided.actions) this.#act(action);
    if (decided.actions.length > 0) onPlan?.(this.now, decided, this);
    this.#planBy(decided.actions.length > 0 ? this.now : (decided.nextAt ?? Infinity));
  }

  #act(action: Plan["actions"][number]): void {
    const { pool } = action;
    switch (action.type) {
      case "start":
        for (let i = 0; i < action.count; i++) this.#start(pool);
        this.changes.push({ at: this.now, pool, by: action.count });
        break;
      case "drain":
        this.workers.get(action.worker)!.state = "retiring";
        this.#router.setDraining(action.worker, true);
        this.changes.push({ at: this.now, pool, by: -1 });
        break;
      case "stop":
        this.workers.get(action.worker)!.state = "stopping";
        this.#future.push({ type: "gone", name: action.name }, this.now + 50);
        break;
      case "cancel": {
        const start = this.starts.get(action.start)!;
        if (action.failed) this.#news(pool, { type: "failed", at: this.now, startedAt: start.at });
        else this.changes.push({ at: this.now, pool, by: -1 });
        start.state = "cancelled";
        this.#future.push({ type: "gone", name: start.name }, this.now + 50);
      }
    }
  }

  #start(pool: string): void {
    const name = `${pool}-${++this.#names}`;
    this.starts.set(name, { name, pool, at: this.now, state: "starting" });
    this.#news(pool, { type: "started", at: this.now });
    const { startsMs = 300 } = this.#options;
    const ms = typeof startsMs === "number" ? startsMs : startsMs(this.#names, pool);
    if (ms !== Infinity) this.#future.push({ type: "arrive", start: name }, this.now + ms);
  }

  #news(pool: string, news: PoolNews): void {
    this.history.set(pool, nextHistory(this.history.get(pool) ?? NEW_POOL, news));
  }
}

/** Starts that came less than `withinMs` after a worker was ended in the same pool: it had been needed. */
export function reversals(changes: readonly Change[], withinMs: number): number {
  let count = 0;
  const endedAt = new Map<string, number>();
  for (const { at, pool, by } of changes) {
    if (by < 0) endedAt.set(pool, at);
    else if (at - (endedAt.get(pool) ?? -Infinity) < withinMs) count++;
  }
  return count;
}

/** Whether workers come and go in waves that the load does not have: times that the direction changes. */
export function turns(changes: readonly Change[]): number {
  let count = 0;
  const last = new Map<string, number>();
  for (const { pool, by } of changes) {
    const direction = Math.sign(by);
    if (last.get(pool) === -direction) count++;
    last.set(pool, direction);
  }
  return count;
}

/** mulberry32: seeded fractions, 0 ≤ x < 1. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
