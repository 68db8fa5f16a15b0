/**
 * Lesson 15: a hash table that can be walked by number.
 *
 *     keys    [ "a" | "b" | "c" | "d" ]        remove "b":  [ "a" | "d" | "c" ]
 *     values  [  1  |  2  |  3  |  4  ]                     [  1  |  4  |  3  ]
 *     index   a→0  b→1  c→2  d→3                            a→0  d→1  c→2
 *
 * Dense arrays give two things a `Map` cannot: a random member in O(1), and SCAN without any state.
 * A scan walks from the end towards 0, and its cursor is the index below which nothing was visited.
 * An entry that is added goes to the end, behind the walker. An entry that is removed is replaced
 * by the last one, which was visited already (or is still below the cursor). So an entry that stays
 * is never missed; it may come twice, which SCAN allows.
 *
 * Up to `SMALL` entries there is no index: comparing a few strings is as fast as hashing, and a
 * million small hashes do not pay for a million `Map`s.
 *
 * Invariants: index.get(keys[i]) === i for all i, when there is an index; `bytes` is the cost of
 * the entries (memory.ts), whatever happened.
 * Left out: order of insertion. Redis promises none either.
 * Test: test/15-store.test.ts
 */
import { BigMap } from "./big-map.ts";
import { ARRAY_BYTES, COLLECTION_BYTES, INDEX_BYTES, SLOT_BYTES, STRING_BYTES } from "./memory.ts";

/**
 * Where a search through the array still costs less than a hash; also where a `Map` begins to pay
 * for its memory.
 */
const SMALL = 8;

const KEY_BYTES = STRING_BYTES + SLOT_BYTES;

/** A set of strings. */
export class Members {
  readonly keys: string[] = [];
  /** What the set costs, with all that is in it. */
  bytes = COLLECTION_BYTES + ARRAY_BYTES;
  /** The part of `bytes` that the keyspace has counted. */
  counted = 0;
  #index: BigMap<number> | undefined;

  get size(): number {
    return this.keys.length;
  }

  /** -1 when it is not there. */
  indexOf(key: string): number {
    return this.#index === undefined ? this.keys.indexOf(key) : (this.#index.get(key) ?? -1);
  }

  has(key: string): boolean {
    return this.#index === undefined ? this.keys.includes(key) : this.#index.has(key);
  }

  /** False: it was there. */
  add(key: string): boolean {
    if (this.has(key)) return false;
    this.append(key);
    return true;
  }

  /** False: it was not there. */
  delete(key: string): boolean {
    const at = this.indexOf(key);
    if (at < 0) return false;
    this.removeAt(at);
    return true;
  }

  /** Puts a key at the end. The caller has made sure that it is not there. */
  append(key: string): void {
    const at = this.keys.push(key) - 1;
    this.bytes += KEY_BYTES + key.length;
    if (this.#index !== undefined) {
      this.#index.set(key, at);
      this.bytes += INDEX_BYTES;
    } else if (at >= SMALL) {
      const index = (this.#index = new BigMap<number>());
      this.keys.forEach((each, i) => index.set(each, i));
      this.bytes += this.keys.length * INDEX_BYTES;
    }
  }

  // #region remove
  /** The last entry takes the place of the one that goes. */
  removeAt(at: number): void {
    const gone = this.keys[at]!;
    const last = this.keys.pop()!;
    this.bytes -= KEY_BYTES + gone.length + (this.#index === undefined ? 0 : INDEX_BYTES);
    this.#index?.delete(gone);
    if (at === this.keys.length) return;
    this.keys[at] = last;
    this.#index?.set(last, at);
  }
  // #endregion

  // #region scan
  /**
   * Visits up to `count` entries below `cursor` (0: from the end), and says where to go on; 0 is
   * the end of the walk.
   */
  scan(cursor: number, count: number, visit: (index: number) => void): number {
    // #exercise scan
    let at = cursor === 0 ? this.size : Math.min(cursor, this.size);
    for (let left = count; left > 0 && at > 0; left--) visit(--at);
    return at;
    // #end-exercise
  }
  // #endregion
}

/** A map from strings. */
export class Dict<V> extends Members {
  readonly values: V[] = [];

  constructor() {
    super();
    this.bytes += ARRAY_BYTES;
  }

  get(key: string): V | undefined {
    const at = this.indexOf(key);
    return at < 0 ? undefined : this.values[at];
  }

  /** Puts a value under the key, and gives back the one that was there. */
  set(key: string, value: V): V | undefined {
    const at = this.indexOf(key);
    if (at >= 0) {
      const old = this.values[at];
      this.values[at] = value;
      return old;
    }
    this.append(key);
    this.values.push(value);
    this.bytes += SLOT_BYTES;
    return undefined;
  }

  override removeAt(at: number): void {
    super.removeAt(at);
    this.bytes -= SLOT_BYTES;
    const last = this.values.pop() as V;
    if (at < this.values.length) this.values[at] = last;
  }
}

/** The value of a hash key: its own class, so that `instanceof` tells it from other values. */
export class Hash extends Dict<string> {
  override set(key: string, value: string): string | undefined {
    const old = super.set(key, value);
    this.bytes += value.length + (old === undefined ? STRING_BYTES : -old.length);
    return old;
  }

  override removeAt(at: number): void {
    this.bytes -= STRING_BYTES + this.values[at]!.length;
    super.removeAt(at);
  }
}
