/**
 * Lesson 08: routing. Finds the worker for the next job, without looking at every worker.
 *
 *     job needs {GPU, HIGH_MEM} ──▶ class "GPU+HIGH_MEM" ──▶ heap of capable workers
 *                                                              top = least loaded = the answer
 *     take(7) / release(7) ──▶ worker 7's load changes ──▶ it moves in each heap that it sits in
 *
 *     requirement.ts       the demands of a job on a worker, as text
 *
 * Equal requirements share one class. A class keeps its capable workers in an indexed heap, ordered
 * by load (running ÷ slots), then running, then id. The order is total, so the top depends on the
 * workers and their loads alone, never on the history: a router rebuilt after a crash gives the
 * answers that the old one gave.
 *
 * Invariants: 0 ≤ running ≤ slots; the key of a seat is its worker's load; a worker has one seat in
 * each class whose tags it has. Classes are a cache: dropping one costs time and changes no answer.
 * Cost: pick O(1); take and release O(log workers) for each class that contains the worker.
 * Left out: weights and measured latency (a slot is a slot, on any machine), spreading over racks,
 * and packing; a big job can wait for ever behind small ones on a busy worker, because slots are
 * not reserved.
 * Test: test/08-routing.test.ts
 */

import { invariant } from "#base";
import { IndexedHeap, type HeapEntry } from "#queue";
import { GENERAL, parseKey, type Need, type Reason } from "./requirement.ts";

export {
  describe, GENERAL, HIDDEN, parseKey, plainKey, requirementKey, type Need, type Reason,
} from "./requirement.ts";

/**
 * Classes kept at once. Pipelines use a handful of combinations of tags. Each class that contains a
 * worker adds about 50 ns to its take and as much to its release, so that even 1,024 of them cost a
 * job a tenth of a millisecond. One more class than this drops the oldest, which is rebuilt when a
 * job asks for it again.
 */
export const MAX_CLASSES = 1024;

/** Below 2^26 slots two different quotients are different doubles, so rounding makes no tie. */
export const MAX_SLOTS = 2 ** 20;

/** Worker ids are below: a count of joins does not get there. */
const ID_LIMIT = 2 ** 32;
invariant(
  (MAX_SLOTS + 1) * ID_LIMIT <= Number.MAX_SAFE_INTEGER,
  "tieBreak() is a whole number that a double holds exactly",
);

/** A worker as it registers. Repeated tags count once; GENERAL is implied. */
export interface WorkerOffer {
  /** A whole number from 0 to 2^32 - 1. Ties go to the lowest. */
  readonly id: number;
  readonly tags: readonly string[];
  /** Jobs it runs at once: 0 ≤ slots ≤ MAX_SLOTS. */
  readonly slots: number;
}

interface Worker {
  readonly id: number;
  readonly tags: Set<string>;
  readonly slots: number;
  readonly seats: Seat[];
  running: number;
  draining: boolean;
  away: boolean;
  /** The key of its seats, see loadOf(). */
  load: number;
}

/** One worker's entry in one class's heap, by its load, and then its tieBreak(). */
interface Seat {
  readonly heap: IndexedHeap<Worker>;
  readonly entry: HeapEntry<Worker>;
}

interface RequirementClass {
  readonly tags: readonly string[];
  readonly heap: IndexedHeap<Worker>;
}

/** Knows which workers are capable, busy, and next. Throws only for mistakes of its caller. */
export class Router {
  readonly #workers = new Map<number, Worker>();
  readonly #classes = new Map<string, RequirementClass>();

  /** Workers known, draining ones included. */
  get size(): number {
    return this.#workers.size;
  }

  /** Classes kept at the moment, at most MAX_CLASSES. */
  get classes(): number {
    return this.#classes.size;
  }

  /** Seats of all workers, counted at the workers. As many as the classes' heaps have. */
  get seats(): number {
    let count = 0;
    for (const { seats } of this.#workers.values()) count += seats.length;
    return count;
  }

  /** Adds a worker with nothing running. Its id must be new. */
  addWorker({ id, tags, slots }: WorkerOffer): void {
    const isId = Number.isInteger(id) && id >= 0 && id < ID_LIMIT;
    invariant(isId, `worker id ${id} is not a whole number below ${ID_LIMIT}`);
    const isValid = Number.isInteger(slots) && slots >= 0 && slots <= MAX_SLOTS;
    invariant(isValid, `worker ${id} offers ${slots} slots`);
    invariant(!this.#workers.has(id), `worker ${id} is here already`);
    const worker: Worker = {
      id,
      tags: new Set([GENERAL, ...tags]),
      slots,
      seats: [],
      running: 0,
      draining: false,
      away: false,
      load: 0,
    };
    refresh(worker);
    this.#workers.set(id, worker);
    for (const { tags: wanted, heap } of this.#classes.values()) {
      if (hasAll(worker, wanted)) sit(worker, heap);
    }
  }

  /** Forgets a worker and all that it was running. No effect on an unknown id. */
  removeWorker(id: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    this.#workers.delete(id);
    for (const { heap, entry } of worker.seats) heap.remove(entry);
  }

  /** A worker has more tags than it had; the jobs that run there go on. */
  addTags(id: number, tags: readonly string[]): void {
    const worker = this.#known(id);
    const before = new Set(worker.tags);
    for (const tag of tags) worker.tags.add(tag);
    for (const { tags: wanted, heap } of this.#classes.values()) {
      const hasSeat = wanted.every((tag) => before.has(tag));
      if (!hasSeat && hasAll(worker, wanted)) sit(worker, heap);
    }
  }

  /** A draining worker gets nothing new; the jobs that run there go on. */
  setDraining(id: number, draining: boolean): void {
    const worker = this.#known(id);
    worker.draining = draining;
    reseat(worker);
  }

  /** An away worker gets nothing new until it is back. Unlike a draining one, it should be back. */
  setAway(id: number, away: boolean): void {
    const worker = this.#known(id);
    worker.away = away;
    reseat(worker);
  }

  isAway(id: number): boolean {
    return this.#workers.get(id)?.away ?? true;
  }

  // #region take
  /** Books one slot of a worker. */
  take(id: number): void {
    const worker = this.#known(id);
    const isFull = worker.running >= worker.slots;
    invariant(!isFull, () => `worker ${id} has ${worker.slots} slots, and all are taken`);
    worker.running++;
    reseat(worker);
  }

  /** Gives one slot back. */
  release(id: number): void {
    const worker = this.#known(id);
    invariant(worker.running > 0, () => `worker ${id} has nothing running`);
    worker.running--;
    reseat(worker);
  }
  // #endregion

  /** Slots in use; 0 for an unknown id. */
  running(id: number): number {
    return this.#workers.get(id)?.running ?? 0;
  }

  /** Slots not in use, on a draining worker too; 0 for an unknown id. */
  free(id: number): number {
    const worker = this.#workers.get(id);
    return worker === undefined ? 0 : worker.slots - worker.running;
  }

  has(id: number): boolean {
    return this.#workers.has(id);
  }

  /** Builds the class of a key before the first question about it, which would build it, too. */
  register(key: string): void {
    if (!key.includes("@")) this.#classOf(key);
  }

  /** Drops a class that no job needs any more. */
  forget(key: string): void {
    const dropped = this.#classes.get(key);
    if (dropped === undefined) return;
    this.#classes.delete(key);
    for (const { item: worker } of dropped.heap) {
      const at = worker.seats.findIndex((seat) => seat.heap === dropped.heap);
      worker.seats.splice(at, 1);
    }
  }

  /**
   * The worker to send a job of this class to: capable, here, not draining, with a free slot, and
   * of those the one with the lowest load (running ÷ slots), then the fewest running, then the
   * lowest id. Undefined: there is none now. It does not take the slot.
   *
   * @example
   * ```ts
   * import { Router, requirementKey } from "#routing";
   * const router = new Router();
   * router.addWorker({ id: 1, tags: [], slots: 2 });
   * router.addWorker({ id: 2, tags: ["GPU"], slots: 4 });
   * router.pick(requirementKey([])) // => 1
   * router.take(1);
   * router.pick(requirementKey([])) // => 2
   * router.pick(requirementKey(["GPU"], 1)) // => undefined
   * ```
   */
  // #region pick
  pick(key: string): number | undefined {
    const best = this.#best(key);
    return best !== undefined && isFree(best) ? best.id : undefined;
  }

  /** The least loaded capable worker. It may be full: no worker is better, so then all are full. */
  #best(key: string): Worker | undefined {
    // One worker needs no heap, and a class for each pinned worker would be a class for each job.
    if (key.includes("@")) return this.#pinned(parseKey(key));
    return this.#classOf(key).heap.peek()?.item;
  }
  // #endregion

  /**
   * Whether some worker matches, be it full or away. False: the job waits until a worker joins, or
   * a drain is undone.
   */
  canEver(key: string): boolean {
    // Draining workers are behind all others: if the best one drains, so do the rest.
    return this.#best(key)?.draining === false;
  }

  /** Whether `pick` would find a worker: O(1). */
  hasFree(key: string): boolean {
    return this.pick(key) !== undefined;
  }

  /** Why jobs of this class run or wait. For people, so it may look at every worker. */
  explain(key: string): Reason {
    const need = parseKey(key);
    if (this.hasFree(key)) return { kind: "free", need };
    const { tags, pinned } = need;
    const workers = [...this.#workers.values()].filter(
      ({ id }) => pinned === undefined || id === pinned,
    );
    const capable = workers.filter((worker) => hasAll(worker, tags));
    if (capable.length > 0) {
      const slots = capable.reduce((sum, worker) => sum + worker.slots, 0);
      const draining = capable.filter((worker) => worker.draining).length;
      const away = capable.filter((worker) => worker.away && !worker.draining).length;
      return { kind: "no-free-slot", need, capable: capable.length, slots, draining, away };
    }
    const having = tags.map((tag) => {
      return { tag, workers: workers.filter((worker) => worker.tags.has(tag)).length };
    });
    const nowhere = having.filter((count) => count.workers === 0).map(({ tag }) => tag);
    const missing = nowhere.length > 0 ? nowhere : [tags.join("+")];
    return { kind: "no-capable-worker", need, missing, having, workers: workers.length };
  }

  #known(id: number): Worker {
    const worker = this.#workers.get(id);
    invariant(worker !== undefined, () => `worker ${id} is not here`);
    return worker;
  }

  #pinned({ tags, pinned }: Need): Worker | undefined {
    const worker = this.#workers.get(pinned ?? -1);
    return worker !== undefined && hasAll(worker, tags) ? worker : undefined;
  }

  #classOf(key: string): RequirementClass {
    const known = this.#classes.get(key);
    if (known !== undefined) return known;
    if (this.#classes.size >= MAX_CLASSES) this.forget(this.#classes.keys().next().value!);
    const made: RequirementClass = { tags: parseKey(key).tags, heap: new IndexedHeap() };
    this.#classes.set(key, made);
    for (const worker of this.#workers.values()) {
      if (hasAll(worker, made.tags)) sit(worker, made.heap);
    }
    return made;
  }
}

function hasAll(worker: Worker, tags: readonly string[]): boolean {
  for (const tag of tags) if (!worker.tags.has(tag)) return false;
  return true;
}

// #region compare
/**
 * 0 idle … 1 full, 2 away, 3 draining: workers that cannot take a job are behind those that can,
 * the hopeless ones last.
 */
function loadOf({ running, slots, draining, away }: Worker): number {
  if (draining) return 3;
  if (away) return 2;
  return slots === 0 ? 1 : running / slots;
}

function isFree(worker: Worker): boolean {
  return worker.load < 1;
}

/**
 * Which of two equal loads comes first: the one with fewer jobs running, then the one with the
 * lower id. One number answers both: no id is as large as what one job more adds.
 */
function tieBreak({ running, id }: Worker): number {
  // #exercise tieBreak
  // Without the id two idle workers would be "equal", and the winner would depend on the order of
  // their arrival.
  return running * ID_LIMIT + id;
  // #end-exercise
}
// #endregion

function refresh(worker: Worker): void {
  worker.load = loadOf(worker);
}

// #region reseat
/** Moves a worker to where its new load belongs, in every heap that it sits in. */
function reseat(worker: Worker): void {
  // #exercise reseat
  refresh(worker);
  const tie = tieBreak(worker);
  for (const { heap, entry } of worker.seats) heap.move(entry, worker.load, tie);
  // #end-exercise
}
// #endregion

function sit(worker: Worker, heap: IndexedHeap<Worker>): void {
  worker.seats.push({ heap, entry: heap.push(worker, worker.load, tieBreak(worker)) });
}
