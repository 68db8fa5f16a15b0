/**
 * Lesson 22: which workers there are, and what may happen to them (lesson 12).
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Event, EventOf } from "#core";
import type { Invariant } from "./invariants-list.ts";
import { checkGone, checkJoin } from "./model-checks.ts";
import type { ModelPools } from "./model-pools.ts";
import type { ModelWorker } from "./model-state.ts";

/** What these rules need of the model around them. */
interface Around {
  readonly pools: ModelPools;
  readonly counts: { workers: number };
  fail(invariant: Invariant, what: string): never;
}

export class ModelWorkers {
  readonly all = new Map<number, ModelWorker>();
  readonly #instances = new Map<string, ModelWorker>();
  readonly #model: Around;
  /**
   * This worker was blamed for the loss of an attempt, so its own loss comes next: a worker that is
   * still there has killed nothing.
   */
  blamed: ModelWorker | undefined;
  #last = 0;

  constructor(model: Around) {
    this.#model = model;
  }

  restarted(): void {
    this.blamed = undefined;
  }

  checkBlame(event: Event): void {
    const worker = this.blamed;
    if (worker === undefined || event.type === "JobLost") return;
    // That of a worker which was retired: the same loss ends its launch.
    if (event.type === "LaunchStopped" && event.name === worker.name) return;
    this.blamed = undefined;
    if (event.type === "WorkerLost" && event.worker === worker.id) return;
    this.#model.fail(
      "retries-within-budget",
      `${worker.name} (worker ${worker.id}) is blamed for a lost attempt, and is not lost: ` +
        `${event.type} comes next`,
    );
  }

  joined(event: EventOf<"WorkerJoined">): void {
    const { worker: id, name, instance, tags, slots, knows } = event;
    checkJoin(this.#model, event, { last: this.#last, twin: this.#instances.get(instance) });
    this.#last = id;
    const worker: ModelWorker = {
      id, name, instance, tags: new Set(tags), slots, knows: new Set(knows),
      running: new Set(), draining: false, everDrained: false, lost: false,
    };
    worker.draining = worker.everDrained = this.#model.pools.came(worker);
    this.all.set(id, worker);
    this.#instances.set(instance, worker);
    this.#model.counts.workers += 1;
  }

  #worker(id: number, what: string): ModelWorker {
    const worker = this.all.get(id);
    if (worker !== undefined && !worker.lost) return worker;
    return this.#model.fail("slots", `worker ${id} ${what}, and is not registered`);
  }

  learned({ worker, knows }: EventOf<"WorkerKnows">): void {
    const { knows: known } = this.#worker(worker, "learns");
    for (const word of knows) known.add(word);
  }

  drained(event: EventOf<"WorkerDrained">): void {
    const worker = this.#worker(event.worker, "is drained");
    worker.draining = event.on;
    worker.everDrained = true;
    if (!event.on) this.#model.pools.undrained(worker);
  }

  lost(event: EventOf<"WorkerLost">): void {
    const worker = this.#worker(event.worker, "is lost");
    checkGone(this.#model, worker);
    worker.lost = true;
    this.#model.pools.lost(worker);
    this.#instances.delete(worker.instance);
  }
}
