/**
 * Lesson 22: which workers there are, and what may happen to them (lesson 12).
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
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
  #last = 0;

  constructor(model: Around) {
    this.#model = model;
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
