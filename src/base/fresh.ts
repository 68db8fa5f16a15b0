/**
 * `Map` and `Set` for entries that come and go by the thousand: jobs, requests, runs.
 *
 * V8 gives a map a new table now and then, and the old table points to the new one, for iterators
 * that are under way. The collector looks often at young objects, and seldom at old ones. Once a
 * table is old (each full collection makes it so), it keeps its successor alive though nobody uses
 * either of them, the successor keeps the next, and all of them keep every entry that they ever
 * held:
 *
 *     old, dead ──▶ table ──▶ table ──▶ table ──▶ the one in use
 *                     └ dead    └ dead    └ dead      entries
 *
 * Each quick collection then copies what has long been dead, until the next full one. In a queue
 * with a run for each job, almost a fifth of the processor time of all three processes went into
 * that. A new map, filled from the old one, cuts the chain.
 *
 * Invariants: as a `Map` or `Set` for all who get, set and delete; a loop that deletes sees what it
 * deletes. An iterator that is kept while others add may go on with what was there before.
 * Test: test/base.test.ts
 */

/**
 * A map is made anew once as many entries have left as are in it, and these: a copy then costs one
 * step for each that has left, and small maps are not copied all the time.
 */
const SPARE = 512;

export class FreshMap<K, V> {
  #map = new Map<K, V>();
  #left = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    if (this.#left > this.#map.size + SPARE) this.#renew();
    this.#map.set(key, value);
  }

  #renew(): void {
    const map = new Map<K, V>();
    // Not `new Map(this.#map)`, which makes an array of each entry on its way.
    this.#map.forEach((value, key) => map.set(key, value));
    this.#map = map;
    this.#left = 0;
  }

  delete(key: K): boolean {
    const wasThere = this.#map.delete(key);
    if (wasThere) this.#left += 1;
    return wasThere;
  }

  clear(): void {
    this.#map = new Map();
    this.#left = 0;
  }

  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  values(): IterableIterator<V> {
    return this.#map.values();
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#map[Symbol.iterator]();
  }
}

export class FreshSet<T> {
  readonly #map = new FreshMap<T, true>();

  get size(): number {
    return this.#map.size;
  }

  has(item: T): boolean {
    return this.#map.has(item);
  }

  add(item: T): void {
    this.#map.set(item, true);
  }

  delete(item: T): boolean {
    return this.#map.delete(item);
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#map.keys();
  }
}
