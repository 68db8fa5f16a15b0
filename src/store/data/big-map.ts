/**
 * Lesson 15: a Map that may have more entries than a Map can.
 *
 * V8's `Map` has room for 2^24 entries, and an entry that was deleted keeps its place until the Map
 * is made anew. When the places run out and less than half of them are deleted ones, it wants to
 * double, and throws "Map maximum size exceeded": with 2^24 entries always, with half as many
 * sometimes. A process that throws there ends, and its next start, which has the same keys to load,
 * ends too.
 *
 *     first   2^23 entries, and nothing else for nearly everybody
 *     rest    further Maps, for entries without room; a key that is missing is looked for in all
 *
 * Invariant: a key is in one of the Maps, and none has more than `most` entries.
 * Test: test/15-store.memory.test.ts
 */

/**
 * Half of what V8 has room for: a Map with this many entries whose places have run out has as many
 * deleted ones as V8 asks for.
 */
export const MAP_ENTRIES = 2 ** 23;

const NONE: never[] = [];

export class BigMap<V> {
  readonly #most: number;
  readonly #first = new Map<string, V>();
  #rest: Map<string, V>[] = NONE;
  #restSize = 0;

  constructor(most = MAP_ENTRIES) {
    this.#most = most;
  }

  get size(): number {
    // Kept as a number: every command asks for the size of the map of deadlines.
    return this.#first.size + this.#restSize;
  }

  get(key: string): V | undefined {
    const value = this.#first.get(key);
    return value !== undefined || this.#rest.length === 0 ? value : this.#holder(key)?.get(key);
  }

  has(key: string): boolean {
    return this.#first.has(key) || (this.#rest.length > 0 && this.#holder(key) !== undefined);
  }

  set(key: string, value: V): void {
    if (this.#rest.length === 0 && this.#first.size < this.#most) this.#first.set(key, value);
    else this.#setIn(this.#holder(key) ?? this.#withRoom(), key, value);
  }

  #setIn(map: Map<string, V>, key: string, value: V): void {
    const before = map.size;
    map.set(key, value);
    if (map !== this.#first) this.#restSize += map.size - before;
  }

  /** False: it was not there. */
  delete(key: string): boolean {
    if (this.#rest.length === 0) return this.#first.delete(key);
    const map = this.#holder(key);
    if (map === undefined) return false;
    map.delete(key);
    if (map === this.#first) return true;
    this.#restSize--;
    if (map.size === 0) this.#rest = this.#rest.filter((each) => each !== map);
    return true;
  }

  *[Symbol.iterator](): Generator<[string, V]> {
    for (const map of this.#all) yield* map;
  }

  get #all(): Map<string, V>[] {
    return [this.#first, ...this.#rest];
  }

  #holder(key: string): Map<string, V> | undefined {
    return this.#all.find((map) => map.has(key));
  }

  #withRoom(): Map<string, V> {
    const found = this.#all.find(({ size }) => size < this.#most);
    if (found !== undefined) return found;
    const added = new Map<string, V>();
    this.#rest = [...this.#rest, added];
    return added;
  }
}
