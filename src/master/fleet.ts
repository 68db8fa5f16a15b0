/**
 * Lesson 13: the fleet, as somebody sees and moves it who decides how many workers there should be.
 *
 * Invariants: a look costs what there is of classes, workers and launches, and nothing for jobs;
 * what is seen may not be durable yet, so nobody outside this process is told of it; an order to
 * start or to end a worker leaves once its launch is durable.
 * Test: test/13-scaling.autoscaler.test.ts
 */
import {
  launchOf, poolRecord, Refusal, type CommandOf, type Effect, type Launch,
} from "#core";
import type { Host } from "#host";
import { GENERAL } from "#routing";
import type { ClassView, Plan, Pool, PoolHistory, PoolView } from "#scaling";
import type { LaunchInfo, PoolInfo } from "#wire";
import type { Engine } from "./engine.ts";
import type { WorkerLink, Workers } from "./workers.ts";

/** Jobs of one requirement class that are ready. Services are classes of their own. */
export interface SeenClass {
  readonly key: string;
  readonly jobs: number;
  /** Nobody can take one. False: the next turn of the engine starts at least one. */
  readonly isStuck: boolean;
}

export interface SeenWorker {
  readonly id: number;
  readonly name: string;
  readonly tags: readonly string[];
  /** What it understands: `Hello.knows`. */
  readonly knows: readonly string[];
  readonly slots: number;
  /** Attempts that live there. */
  readonly busy: number;
  /** `leaving`: it has said that it ends. `away`: it has no connection. */
  readonly state: "here" | "leaving" | "away";
  readonly draining: boolean;
  readonly permanent: boolean;
  /** When its last report came. Undefined: none on this connection. */
  readonly reportedAt: number | undefined;
  /** Undefined: a person started it. */
  readonly launch: Launch | undefined;
}

export interface SeenFleet {
  /** The time of what is seen: milliseconds since 1970, and never less than in the log. */
  readonly now: number;
  /** The disk is full, or the master stops: nothing starts, and nobody can register. */
  readonly isFrozen: boolean;
  readonly classes: readonly SeenClass[];
  readonly workers: readonly SeenWorker[];
  readonly launches: readonly Launch[];
  readonly history: ReadonlyMap<string, PoolHistory>;
}

/** A pool that can start workers. */
export interface OfferedPool extends Pool {
  readonly driver: { readonly type: "process" | "command"; readonly down?: readonly string[] };
}

/** They start and end workers. Both are told once the launch is durable. */
export interface Hands {
  start(name: string): void;
  stop(name: string): void;
  /** Something has happened, and jobs wait. */
  stir(): void;
}

/** News about a launch, which cannot be refused and waits while the disk is full. */
type News = CommandOf<"AnswerLaunch" | "StopLaunch" | "EndLaunch">;

/** The parts of the master that are needed here. */
interface Parts {
  readonly host: Pick<Host, "clock">;
  readonly engine: Engine;
  readonly workers: Workers;
  readonly stopped: boolean;
}

export class Fleet {
  readonly #services: Parts;
  #pools: ReadonlyMap<string, OfferedPool> = new Map();
  #views: ReadonlyMap<string, PoolView> = new Map();
  #hands: Hands | undefined;

  constructor(services: Parts) {
    this.#services = services;
  }

  get #engine(): Engine {
    return this.#services.engine;
  }

  /** These pools can start workers from now on, by these hands. */
  offer(pools: readonly OfferedPool[], hands: Hands): void {
    this.#pools = new Map(pools.map((pool) => [pool.name, pool]));
    this.#hands = hands;
    const { state } = this.#engine;
    state.startable = pools.filter(({ max }) => max > 0)
      .map(({ tags }) => new Set([GENERAL, ...tags]));
    // Those that the master had told to end when it was killed. Those that are to end from now on
    // are none of them: their own facts are not durable yet.
    const told = [...state.launches.values()].filter(({ phase }) => phase === "stopping");
    this.#engine.whenDurable(() => { for (const { name } of told) hands.stop(name); });
  }

  /** Resolves when all that was ordered so far has left; at once while the disk is full. */
  settled(): Promise<void> {
    return this.#engine.readable();
  }

  /** An effect, now that it may be seen. Without hands nobody could be told: see `offer`. */
  perform(effect: Extract<Effect, { type: "StartWorker" | "StopWorker" }>): void {
    if (effect.type === "StartWorker") this.#hands?.start(effect.name);
    else this.#hands?.stop(effect.name);
  }

  /** The engine has let effects out. */
  released(): void {
    if (this.#hands !== undefined && this.#engine.state.ready.size > 0) this.#hands.stir();
  }

  look(): SeenFleet {
    const { engine, workers, stopped, host } = this.#services;
    const { state } = engine;
    const { now } = engine.context;
    const behind = now - host.clock.monotonic();
    const reportTime = (link: WorkerLink | undefined): number | undefined =>
      link?.reportedAt === undefined ? undefined : link.reportedAt + behind;
    return {
      now,
      isFrozen: stopped || engine.full !== undefined,
      classes: this.#classes(),
      workers: [...state.workers.values()].map(({ jobs, ...worker }) => {
        const { id, name, tags, knows, slots, draining, permanent = false } = worker;
        const link = workers.links.get(id);
        const here = link?.leaving === true ? "leaving" : "here";
        return {
          id, name, tags, knows, slots, busy: jobs.size, draining, permanent,
          state: link === undefined ? "away" : here,
          reportedAt: reportTime(link),
          launch: launchOf(state, id),
        };
      }),
      launches: [...state.launches.values()],
      history: new Map([...state.pools].map(([name, { history }]) => [name, history])),
    };
  }

  #classes(): SeenClass[] {
    const { ready, router } = this.#engine.state;
    return [...ready].map(([key, { size }]) =>
      ({ key, jobs: size, isStuck: !router.hasFree(key) }));
  }

  launchNamed(name: string): Launch | undefined {
    return this.#engine.state.launches.get(name);
  }

  /** Orders a worker. Undefined: the pool has its maximum. */
  launch(pool: OfferedPool, reason: string): string | undefined {
    try {
      return this.#engine.commit(launchCommand(pool, reason)).name;
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  /**
   * Lets nothing new start on a worker, which is to be stopped then. False: that could not be
   * decided, because the worker is gone.
   */
  retire(worker: number, reason: string): boolean {
    try {
      this.#engine.commit({ type: "Retire", worker: String(worker), reason });
      return true;
    } catch (error) {
      if (error instanceof Refusal) return false;
      throw error;
    }
  }

  tell(news: News): void {
    this.#engine.whenRoom(`${news.type} ${news.name}`, () => this.#engine.commit(news));
  }

  /** What is being done about the classes that wait, and about the pools, for those who ask. */
  explain({ classes, pools }: Pick<Plan, "classes" | "pools">): void {
    const served = classes.filter((one: ClassView) => one.pools.length > 0);
    this.#engine.state.prospects = new Map(served.map(({ key, why }) => [key, why]));
    this.#views = new Map(pools.map((view) => [view.name, view]));
  }

  // ── for people ─────────────────────────────────────────────────────────────────────────────────

  /** @throws {Refusal} NOT_FOUND */
  launchByPerson(name: string, by: string): CommandOf<"Launch"> {
    const pool = this.#pools.get(name);
    if (pool !== undefined) return launchCommand(pool, `${by || "somebody"} wants one`);
    const none = this.#pools.size === 0 ? ": this master has no pools" : "";
    throw new Refusal("NOT_FOUND", `Cannot find pool "${name}"${none}`);
  }

  *rows(): Generator<PoolInfo> {
    for (const pool of this.#pools.values()) yield this.#row(pool);
  }

  *launchRows(): Generator<LaunchInfo> {
    for (const launch of this.#engine.state.launches.values()) {
      const { name, pool, phase: state, orderedAt, handle, reason } = launch;
      yield { name, pool, state, orderedAt, handle, reason };
    }
  }

  #row({ name, tags, slots, min, max, driver: { type: driver } }: OfferedPool): PoolInfo {
    const { history: { failures }, failure: lastFailure } = poolRecord(this.#engine.state, name);
    const unseen = { wanted: min, running: 0, starting: 0, leaving: 0, why: "just started" };
    const { wanted, running, starting, leaving, why } = this.#views.get(name) ?? unseen;
    return {
      name, tags: [...tags], slots, min, max, wanted, running, starting, leaving, why, driver,
      failures, lastFailure,
    };
  }
}

function launchCommand({ name, max, driver }: OfferedPool, reason: string): CommandOf<"Launch"> {
  return { type: "Launch", pool: name, max, down: driver.down ?? [], reason };
}
