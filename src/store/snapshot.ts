/**
 * Lesson 15: a picture of a moving thing.
 *
 * Writing a million keys takes longer than clients will wait, and meanwhile they change them. Redis forks: the child sees
 * the memory of that instant, and the kernel copies each page before the parent writes to it. Here the same idea, with keys
 * instead of pages: the walk goes from the end of the table towards 0, and a key that is about to be changed before the
 * walk has reached it is written out first, as it was.
 *
 *     keys     [ a  b  c  d | e  f  g ]        below the cursor: not written yet, except those in `early`
 *                           cursor
 *
 * Invariant: what was emitted, together with nothing else, rebuilds the keyspace of the moment the snapshot began.
 * Left out: splitting one huge value. A set of a million members is written within one step.
 * Test: test/15-store.expiry.test.ts
 */
import type { Dict } from "./dict.ts";
import { dumpKey } from "./dump.ts";
import type { Keyspace, Value } from "./keyspace.ts";

export class Snapshot {
  readonly #keys: Keyspace;
  readonly #dict: Dict<Value>;
  readonly #deadlines: ReadonlyMap<string, number>;
  readonly #emit: (argv: string[]) => void;
  readonly #done: () => void;
  #cursor: number;
  /** Keys below the cursor that are written already (or stand in a place that was). */
  readonly #early = new Set<string>();

  constructor(keys: Keyspace, { emit, done }: { emit: (argv: string[]) => void; done: () => void }) {
    // Both are replaced, not emptied, by FLUSHALL.
    this.#keys = keys;
    this.#dict = keys.dict;
    this.#deadlines = keys.expiry.entries();
    this.#cursor = keys.size;
    this.#emit = emit;
    this.#done = done;
  }

  /** Writes up to `count` more keys. False: that was the end, and the snapshot is complete. */
  step(count: number): boolean {
    for (let left = count; left > 0 && this.#cursor > 0; left--) {
      const at = --this.#cursor;
      if (!this.#early.has(this.#dict.keys[at]!)) this.#write(at);
    }
    if (this.#cursor > 0) return true;
    this.#done();
    return false;
  }

  /** Nobody wants it any more. */
  abandon(): void {
    this.#cursor = 0;
    this.#done();
  }

  // #region copy on write
  /** A command is about to change this key. */
  save(key: string): void {
    const at = this.#dict.indexOf(key);
    if (at < 0 || at >= this.#cursor || this.#early.has(key)) return;
    this.#write(at);
    this.#early.add(key);
  }

  /** The entry at `from` (the last) is about to take the place of the one at `to`, which goes. */
  moving(from: number, to: number): void {
    if (to >= this.#cursor || this.#keys.dict !== this.#dict) return;
    this.save(this.#dict.keys[to]!); // an expiry is no command: nobody saved it
    if (from >= this.#cursor) this.#early.add(this.#dict.keys[from]!);
    else this.#cursor = from; // the table gets shorter than the walk was: what is added next is new
  }
  // #endregion

  #write(at: number): void {
    const key = this.#dict.keys[at]!;
    for (const argv of dumpKey(key, { value: this.#dict.values[at]!, deadline: this.#deadlines.get(key) })) this.#emit(argv);
  }
}
