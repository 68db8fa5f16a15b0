/**
 * Lesson 08: a heap whose entries know their places, so that one can be moved or taken out.
 *
 *     move(entry, …)    its key has changed: it rises or sinks from where it is
 *     remove(entry)     the last entry fills its place, and rises or sinks from there
 *
 * The workers of a class stand in such a heap by their loads, and the requests of a connection by
 * their deadlines (lesson 04): one gets a job, the other is answered, and neither is on top then.
 * The keys are fields of the entries, and not columns as in mod.ts: an entry that knows its place
 * is an object anyway. And one array grows and shrinks in less time than three.
 *
 * Invariants: no entry comes before its parent; the entry at i has the index i, and one that has
 * left the heap has -1.
 * Left out: `compact`. Nothing dead is ever here.
 * Test: test/08-routing.indexed.test.ts, test/08-routing.test.ts
 */

/** An item in a heap. The heap alone writes it. */
export class HeapEntry<T> {
  readonly item: T;
  key: number;
  tie: number;
  /** Its place, from 0; -1: it has left the heap. */
  index = -1;

  constructor(item: T, key: number, tie: number) {
    this.item = item;
    this.key = key;
    this.tie = tie;
  }
}

/**
 * @example
 * ```ts
 * import { IndexedHeap } from "#queue";
 * const heap = new IndexedHeap<string>();
 * const first = heap.push("first", 1);
 * const second = heap.push("second", 2);
 * heap.move(first, 3);
 * heap.peek()?.item // => 'second'
 * heap.remove(second);
 * heap.peek()?.item // => 'first'
 * ```
 */
export class IndexedHeap<T> {
  readonly #entries: HeapEntry<T>[] = [];

  get size(): number {
    return this.#entries.length;
  }

  peek(): HeapEntry<T> | undefined {
    return this.#entries[0];
  }

  /** In no useful order. The heap must not change meanwhile. */
  [Symbol.iterator](): Iterator<HeapEntry<T>> {
    return this.#entries[Symbol.iterator]();
  }

  /**
   * The lowest `key` is on top, and among equal keys the lowest `tie`; neither may be NaN.
   * O(log n), and O(1) for an item that belongs behind all others.
   */
  push(item: T, key: number, tie = 0): HeapEntry<T> {
    const entry = new HeapEntry(item, key, tie);
    this.#up(this.#entries.push(entry) - 1, entry);
    return entry;
  }

  /** Gives an entry another key, and the place that belongs to it. */
  move(entry: HeapEntry<T>, key: number, tie = 0): void {
    entry.key = key;
    entry.tie = tie;
    this.#settle(entry.index, entry);
  }

  // #region remove
  /** Takes an entry out, wherever it is. No effect on one that has left before. */
  remove(entry: HeapEntry<T>): void {
    // #exercise remove
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#entries.pop()!;
    if (last !== entry) this.#settle(index, last);
    // #end-exercise
  }
  // #endregion

  /** Takes all out. */
  clear(): void {
    for (const entry of this.#entries) entry.index = -1;
    this.#entries.length = 0;
  }

  // #region sift
  /** Puts an entry at `index`, and then where it belongs: above that place, or below it. */
  #settle(index: number, entry: HeapEntry<T>): void {
    if (!this.#up(index, entry)) this.#down(index, entry);
  }

  /** Parents that come after the entry move down, and it takes their place. True if one did. */
  #up(index: number, entry: HeapEntry<T>): boolean {
    const { key, tie } = entry;
    let at = index;
    while (at > 0) {
      const parent = this.#entries[(at - 1) >> 1]!;
      if (parent.key < key || (parent.key === key && parent.tie <= tie)) break;
      this.#entries[at] = parent;
      parent.index = at;
      at = (at - 1) >> 1;
    }
    this.#entries[at] = entry;
    entry.index = at;
    return at !== index;
  }

  /** While a child comes before the entry, the first of its children moves up. */
  #down(index: number, entry: HeapEntry<T>): void {
    const entries = this.#entries;
    const { key, tie } = entry;
    let at = index;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= entries.length) break;
      if (below + 1 < entries.length && isBefore(entries[below + 1]!, entries[below]!)) below++;
      const child = entries[below]!;
      if (key < child.key || (key === child.key && tie <= child.tie)) break;
      entries[at] = child;
      child.index = at;
      at = below;
    }
    entries[at] = entry;
    entry.index = at;
  }
  // #endregion
}

function isBefore(a: HeapEntry<unknown>, b: HeapEntry<unknown>): boolean {
  return a.key < b.key || (a.key === b.key && a.tie < b.tie);
}
