/**
 * Lesson 07: the job that runs next, and the time to wake up. Heaps over priorities and over time.
 *
 *     ReadyQueue         higher priority first; within a priority, lower order first
 *     TimerHeap          earlier first; within a millisecond, first pushed first
 *     RequirementQueues  one ReadyQueue for each set of capabilities that jobs ask for
 *
 *     indexed.ts         a heap whose entries can be moved and taken out of the middle (lesson 08)
 *
 * The first three stand on one binary heap: an array in which the entry at i comes before its
 * children at 2i+1 and 2i+2. Its keys are two numbers, kept in arrays of their own beside the
 * items, so that comparing two entries touches no object. Time is an argument: nothing here reads a
 * clock.
 *
 * Invariants: no entry comes before its parent; two queues that hold the same keys give them out in
 * the same order, however they were filled, so a master rebuilt from its log decides as the old one
 * did.
 * Left out: removing an entry from the middle of these three. A job would have to know its place in
 * each, and every step of a walk would keep it true. Instead a dead entry stays until it is popped
 * and the caller throws it away; `compact` drops all of them at once. Call it when more than half
 * of a queue is dead: then each call is paid for by the pushes since the last one, and a queue is
 * never over twice its live size.
 * Test: test/07-queue.test.ts
 */
import { invariant } from "#base";

export { IndexedHeap, type HeapEntry } from "./indexed.ts";

/** The key of an entry in a `ReadyQueue`. */
export interface ReadyKey {
  /** Higher first. Any finite number. */
  readonly priority: number;
  /** Lower first. The caller's own count, never used twice in one queue: so the order is total. */
  readonly order: number;
}

/**
 * A binary heap. The entry with the lowest `major` is on top; among equals, the one with the lowest
 * `minor`.
 */
class Heap<T> {
  // #region columns
  // Entry i is items[i] with the keys majors[i] and minors[i].
  readonly items: T[] = [];
  readonly majors: number[] = [];
  readonly minors: number[] = [];
  // #endregion

  push(item: T, major: number, minor: number): void {
    const areFinite = Number.isFinite(major) && Number.isFinite(minor);
    invariant(areFinite, () => `key (${major}, ${minor}) is not finite`);
    this.items.push(item);
    this.majors.push(major);
    this.minors.push(minor);
    this.#siftUp(this.items.length - 1);
  }

  // #region pop
  /** Takes the top. The last entry fills its place, and sinks to where it belongs. */
  pop(): T | undefined {
    if (this.items.length === 0) return undefined;
    const top = this.items[0];
    const [item, major, minor] = [this.items.pop()!, this.majors.pop()!, this.minors.pop()!];
    if (this.items.length > 0) {
      this.#put(0, item, major, minor);
      this.#siftDown(0);
    }
    return top;
  }
  // #endregion

  // #region siftUp
  /** The entry at `hole` may come before its parent: parents move down until it does not. */
  #siftUp(hole: number): void {
    // #exercise siftUp
    const { items, majors, minors } = this;
    const [item, major, minor] = [items[hole]!, majors[hole]!, minors[hole]!];
    while (hole > 0) {
      const up = (hole - 1) >> 1;
      if (majors[up]! < major || (majors[up] === major && minors[up]! <= minor)) break;
      // The entry itself is written once, at the end: a swap would write it at every level.
      this.#put(hole, items[up]!, majors[up]!, minors[up]!);
      hole = up;
    }
    this.#put(hole, item, major, minor);
    // #end-exercise
  }
  // #endregion

  // #region siftDown
  /**
   * The entry at `hole` may come after a child: the first of its children moves up until it does
   * not.
   */
  #siftDown(hole: number): void {
    // #exercise siftDown
    const { items, majors, minors } = this;
    const [item, major, minor] = [items[hole]!, majors[hole]!, minors[hole]!];
    for (;;) {
      let down = 2 * hole + 1;
      if (down >= items.length) break;
      // It must be the earlier of the two: it becomes the parent of the other.
      if (down + 1 < items.length && this.#before(down + 1, down)) down++;
      if (major < majors[down]! || (major === majors[down] && minor <= minors[down]!)) break;
      this.#put(hole, items[down]!, majors[down]!, minors[down]!);
      hole = down;
    }
    this.#put(hole, item, major, minor);
    // #end-exercise
  }
  // #endregion

  // #region compact
  /**
   * Keeps the live entries and restores the heap from the bottom up. That is O(n): most entries sit
   * low and sink little.
   */
  compact(isLive: (item: T) => boolean): number {
    // #exercise compact
    let kept = 0;
    for (let i = 0; i < this.items.length; i++) {
      const item = this.items[i]!;
      if (isLive(item)) this.#put(kept++, item, this.majors[i]!, this.minors[i]!);
    }
    const dropped = this.items.length - kept;
    this.items.length = this.majors.length = this.minors.length = kept;
    for (let i = (kept >> 1) - 1; i >= 0; i--) this.#siftDown(i);
    return dropped;
    // #end-exercise
  }
  // #endregion

  #before(a: number, b: number): boolean {
    const { majors, minors } = this;
    return majors[a]! < majors[b]! || (majors[a] === majors[b] && minors[a]! < minors[b]!);
  }

  #put(at: number, item: T, major: number, minor: number): void {
    this.items[at] = item;
    this.majors[at] = major;
    this.minors[at] = minor;
  }
}

/**
 * Items that may run now: higher priority first, then in order. Items must not be `undefined`.
 *
 * @example
 * ```ts
 * import { ReadyQueue } from "#queue";
 * const queue = new ReadyQueue<string>();
 * queue.push("report", { priority: 1, order: 1 });
 * queue.push("alarm", { priority: 9, order: 2 });
 * queue.pop() // => 'alarm'
 * queue.size // => 1
 * ```
 */
export class ReadyQueue<T> {
  readonly #heap = new Heap<T>();

  /** Entries, the dead ones included. */
  get size(): number {
    return this.#heap.items.length;
  }

  /** O(log n). */
  push(item: T, at: ReadyKey): void {
    // The heap has the lowest on top. 0 - p, since -p would make a negative zero of 0.
    this.#heap.push(item, 0 - at.priority, at.order);
  }

  peek(): T | undefined {
    return this.#heap.items[0];
  }

  /** The key of the item that `peek` shows: to compare the heads of two queues. */
  peekKey(): { priority: number; order: number } | undefined {
    if (this.size === 0) return undefined;
    return { priority: 0 - this.#heap.majors[0]!, order: this.#heap.minors[0]! };
  }

  /** O(log n). */
  pop(): T | undefined {
    return this.#heap.pop();
  }

  /** Drops every dead entry, in O(n), and returns how many. When to call it: see the header. */
  compact(isLive: (item: T) => boolean): number {
    return this.#heap.compact(isLive);
  }

  /** In no useful order: for inspection. The queue must not change meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.#heap.items[Symbol.iterator]();
  }
}

/**
 * Items that become due at a time: a millisecond count on any clock of the caller's. The caller
 * sleeps until `nextAt`, and not a tick less: nothing is polled.
 *
 * @example
 * ```ts
 * import { TimerHeap } from "#queue";
 * const timers = new TimerHeap<string>();
 * timers.push("retry", 1500);
 * timers.nextAt // => 1500
 * timers.popDue(1499) // => undefined
 * timers.popDue(1500) // => 'retry'
 * ```
 */
export class TimerHeap<T> {
  readonly #heap = new Heap<T>();
  /** Counts pushes: among items due at the same time, the first pushed is the first out. */
  #pushes = 0;

  get size(): number {
    return this.#heap.items.length;
  }

  // #region timers
  /** When the earliest item is due; undefined when there is nothing to wait for. */
  get nextAt(): number | undefined {
    return this.#heap.majors[0];
  }

  push(item: T, at: number): void {
    this.#heap.push(item, at, this.#pushes++);
  }

  /** The earliest item, if it is due. Call it until it gives nothing, then sleep until `nextAt`. */
  popDue(now: number): T | undefined {
    const at = this.nextAt;
    return at !== undefined && at <= now ? this.#heap.pop() : undefined;
  }
  // #endregion

  /**
   * The items that are due, in no useful order, and left where they are. O(due): an entry that is
   * not due has none below it that is.
   */
  *due(now: number): Generator<T> {
    const { items, majors } = this.#heap;
    const open = [0];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at >= items.length || majors[at]! > now) continue;
      yield items[at]!;
      open.push(2 * at + 1, 2 * at + 2);
    }
  }

  /** Drops every dead entry, in O(n), and returns how many. */
  compact(isLive: (item: T) => boolean): number {
    return this.#heap.compact(isLive);
  }

  /** In no useful order: for inspection. */
  [Symbol.iterator](): Iterator<T> {
    return this.#heap.items[Symbol.iterator]();
  }
}

/**
 * A dispatch looks at the head of every class that has one. 1,024 heads take some 50 µs, and are
 * more distinct sets of tags than a fleet has kinds of machines: beyond, somebody generates tags.
 */
export const MAX_REQUIREMENT_CLASSES = 1024;

/** TOO_MANY_CLASSES: worth retrying once some class has run empty. */
export class QueueError extends Error {
  readonly code: "TOO_MANY_CLASSES";

  constructor(code: "TOO_MANY_CLASSES", message: string) {
    super(message);
    this.name = "QueueError";
    this.code = code;
  }
}

/**
 * One `ReadyQueue` per requirement class. A class is named by its key, for instance the sorted tags
 * `GPU,HIGH_MEM`; it exists while it holds an entry. So a thousand jobs that wait for a GPU cost
 * nothing to those that need none: no search has to step over them.
 */
export class RequirementQueues<T> {
  readonly #queues = new Map<string, ReadyQueue<T>>();
  /** Sorted: the iteration order must not depend on history, or a rebuilt master would differ. */
  #keys: string[] = [];
  #entries = 0;

  /** Entries in all classes, the dead ones included. */
  get size(): number {
    return this.#entries;
  }

  /** Classes that hold an entry: 0 to MAX_REQUIREMENT_CLASSES. */
  get classes(): number {
    return this.#keys.length;
  }

  /** Throws `QueueError` when the key would start one class too many. */
  push(key: string, item: T, at: ReadyKey): void {
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      if (this.#keys.length >= MAX_REQUIREMENT_CLASSES) {
        const name = JSON.stringify(key.slice(0, 80));
        const count = this.#keys.length + 1;
        const what = `${count} requirement classes exceed ${MAX_REQUIREMENT_CLASSES}`;
        throw new QueueError("TOO_MANY_CLASSES", `Cannot queue for ${name}: ${what}`);
      }
      queue = new ReadyQueue();
      queue.push(item, at);
      this.#queues.set(key, queue);
      this.#keys.splice(this.#lowerBound(key), 0, key);
    } else {
      queue.push(item, at);
    }
    this.#entries++;
  }

  /** Whether this class holds an entry. */
  has(key: string): boolean {
    return this.#queues.has(key);
  }

  sizeOf(key: string): number {
    return this.#queues.get(key)?.size ?? 0;
  }

  peek(key: string): T | undefined {
    return this.#queues.get(key)?.peek();
  }

  peekKey(key: string): { priority: number; order: number } | undefined {
    return this.#queues.get(key)?.peekKey();
  }

  pop(key: string): T | undefined {
    const queue = this.#queues.get(key);
    if (queue === undefined) return undefined;
    this.#entries--;
    const item = queue.pop();
    if (queue.size === 0) this.#drop(key);
    return item;
  }

  // #region best
  /**
   * The class whose head comes first of all, among those that `mayRun` (is a capable worker free?).
   * O(classes), however many entries wait behind the heads.
   */
  best(mayRun: (key: string) => boolean = () => true): string | undefined {
    let best: string | undefined;
    let bestAt: ReadyKey | undefined;
    for (const key of this.#keys) {
      const at = this.#queues.get(key)!.peekKey()!;
      const first =
        bestAt === undefined ||
        at.priority > bestAt.priority ||
        (at.priority === bestAt.priority && at.order < bestAt.order);
      // Asked last: it may be the expensive question, and most heads have lost already.
      if (first && mayRun(key)) [best, bestAt] = [key, at];
    }
    return best;
  }
  // #endregion

  /** Drops every dead entry and every class left empty, in O(n). Returns how many entries. */
  compact(isLive: (item: T) => boolean): number {
    let dropped = 0;
    for (const [key, queue] of this) {
      dropped += queue.compact(isLive);
      if (queue.size === 0) this.#drop(key);
    }
    this.#entries -= dropped;
    return dropped;
  }

  /** The classes that hold an entry, by key. Popping meanwhile is fine, through this object. */
  *[Symbol.iterator](): Generator<[key: string, queue: ReadyQueue<T>]> {
    for (const key of [...this.#keys]) {
      const queue = this.#queues.get(key);
      if (queue !== undefined) yield [key, queue];
    }
  }

  #drop(key: string): void {
    this.#queues.delete(key);
    this.#keys.splice(this.#lowerBound(key), 1);
  }

  /** The first index in `keys` not before `key`, in code units: the same on every machine. */
  #lowerBound(key: string): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
