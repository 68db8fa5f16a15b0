/**
 * Lesson 15: a Map that may have more entries than a Map can.
 *
 * V8's `Map` has room for 2^24 entries, and an entry that was deleted keeps its place until the Map
 * is made anew. When the places run out and less than half of them are deleted ones, it wants to
 * double, and throws "Map maximum size exceeded": with 2^24 entries always, with half as many
 * sometimes. A process that throws there ends, and its next start, which has the same keys to load,
 * ends too.
 *
 *     the first      2^23 entries, and nothing else for nearly everybody
 *     further Maps   for entries without room; a key that is missing is looked for in all
 *
 * Invariant: a key is in one of the Maps, and none has more than `most` entries.
 * Test: test/15-store.memory.test.ts
 */

/**
 * Half of what V8 has room for: a Map with this many entries whose places have run out has as many
 * deleted ones as V8 asks for.
 */
export const MAP_ENTRIES = 2 ** 23;

export class BigMap<V> {
  readonly #most: number;
  readonly #maps: Map<string, V>[] = [];
  #size = 0;

  constructor(most = MAP_ENTRIES) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    for (const map of this.#maps) {
      const value = map.get(key);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  has(key: string): boolean {
    return this.#holder(key) !== undefined;
  }

  set(key: string, value: V): void {
    const map = this.#holder(key) ?? this.#withRoom();
    const before = map.size;
    map.set(key, value);
    this.#size += map.size - before;
  }

  /** False: it was not there. */
  delete(key: string): boolean {
    const wasThere = this.#holder(key)?.delete(key) === true;
    if (wasThere) this.#size--;
    return wasThere;
  }

  *[Symbol.iterator](): Generator<[string, V]> {
    for (const map of this.#maps) yield* map;
  }

  #holder(key: string): Map<string, V> | undefined {
    return this.#maps.find((map) => map.has(key));
  }

  #withRoom(): Map<string, V> {
    return this.#maps.find(({ size }) => size < this.#most) ?? this.#withAnother();
  }

  #withAnother(): Map<string, V> {
    const added = new Map<string, V>();
    this.#maps.push(added);
    return added;
  }
}
