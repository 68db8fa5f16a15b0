/**
 * Lesson 13: the fleet, as somebody sees it who decides how many workers there should be.
 *
 * Invariants: a look costs what there is of classes and workers, and nothing for jobs; what is seen
 * may not be durable yet, so nobody outside this process is told of it.
 * Test: test/13-scaling.autoscaler.test.ts
 */
import { plainKey, Refusal } from "#core";
import type { Services } from "./services.ts";

/** Jobs of one requirement class that are ready. */
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
  readonly slots: number;
  /** Attempts that live there. */
  readonly busy: number;
  /** `leaving`: it has said that it ends. `away`: it has no connection. */
  readonly state: "here" | "leaving" | "away";
  readonly draining: boolean;
  /** When its last report came, by the monotonic clock. Undefined: none on this connection. */
  readonly reportedAt: number | undefined;
}

export interface SeenFleet {
  /** The disk is full, or the master stops: nothing starts, and nobody can register. */
  readonly isFrozen: boolean;
  readonly classes: readonly SeenClass[];
  readonly workers: readonly SeenWorker[];
}

export class Fleet {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  look(): SeenFleet {
    const { engine, workers, stopped } = this.#services;
    const { state } = engine;
    return {
      isFrozen: stopped || engine.full !== undefined,
      classes: this.#classes(),
      workers: [...state.workers.values()].map(({ id, name, tags, slots, jobs, draining }) => {
        const link = workers.links.get(id);
        const here = link?.leaving === true ? "leaving" : "here";
        return {
          id, name, tags, slots, busy: jobs.size, draining,
          state: link === undefined ? "away" : here,
          reportedAt: link?.reportedAt,
        };
      }),
    };
  }

  /** By their keys as people know them: services of a class wait in a queue of their own. */
  #classes(): SeenClass[] {
    const { state } = this.#services.engine;
    const classes = new Map<string, SeenClass>();
    for (const [waiting, { size }] of state.ready) {
      const key = plainKey(waiting);
      const { jobs = 0, isStuck = false } = classes.get(key) ?? {};
      const stuck = isStuck || !state.router.hasFree(waiting);
      classes.set(key, { key, jobs: jobs + size, isStuck: stuck });
    }
    return [...classes.values()];
  }

  /**
   * Lets nothing new start on a worker. False: that could not be decided, because the worker is
   * gone, or because another one has its name.
   */
  drain(name: string): boolean {
    try {
      this.#services.engine.commit({ type: "Drain", worker: name, undo: false });
      return true;
    } catch (error) {
      if (error instanceof Refusal) return false;
      throw error;
    }
  }

  /** What is being done about the classes that wait, by their keys, for those who ask why. */
  explain(prospects: ReadonlyMap<string, string>): void {
    this.#services.engine.state.prospects = prospects;
  }
}
