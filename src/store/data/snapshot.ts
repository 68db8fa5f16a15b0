/**
 * Lesson 15: the keyspace of one moment, written out while commands change it.
 *
 * Writing a million keys takes longer than clients will wait, and meanwhile they change them. Redis
 * forks: the child sees the memory of that instant, and the kernel copies each page before the
 * parent writes to it. Here the same idea, with keys instead of pages: the walk goes from the end
 * of the table towards 0, and a key that is about to be changed before the walk has reached it is
 * written out first, as it was.
 *
 *     keys     [ a  b  c  d | e  f  g ]        below the cursor: not written yet,
 *                           cursor             except the keys in `early`
 *
 * A collection of a million members is written a batch at a time, too. If it is about to be changed
 * meanwhile, the rest of it is written at once.
 *
 * Invariant: the emitted commands alone rebuild the keyspace of the moment at which the snapshot
 * began.
 * Left out: a short wait for a client that changes a huge collection in the midst of the walk: it
 * waits until all of it is written.
 * Test: test/15-store.expiry.test.ts
 */
import { BigMap } from "./big-map.ts";
import type { Dict } from "./dict.ts";
import { dumpKey } from "./dump.ts";
import type { Deadlines } from "./expiry.ts";
import type { Keyspace, Value } from "./keyspace.ts";

/** What an argument costs beside its bytes. */
const ARGUMENT_BYTES = 16;

export class Snapshot {
  readonly #keys: Keyspace;
  readonly #dict: Dict<Value>;
  readonly #deadlines: Deadlines;
  readonly #emit: (argv: string[]) => void;
  readonly #done: () => void;
  #cursor: number;
  /** Keys below the cursor that are written already (or stand in a place that was). */
  readonly #early = new BigMap<true>();
  /** The key at the cursor, in part written. */
  #open: { readonly key: string; readonly commands: Iterator<string[], void> } | undefined;

  constructor(
    keys: Keyspace,
    { emit, done }: { emit: (argv: string[]) => void; done: () => void },
  ) {
    // Both are replaced, not emptied, by FLUSHALL.
    this.#keys = keys;
    this.#dict = keys.dict;
    this.#deadlines = keys.expiry.entries();
    this.#cursor = keys.size;
    this.#emit = emit;
    this.#done = done;
  }

  /**
   * Writes about so many bytes more: commands, at least one. False: that was the end, and the
   * snapshot is complete.
   */
  step(bytes: number): boolean {
    for (let left = bytes; left > 0;) {
      const argv = this.#next();
      if (argv === undefined) {
        this.#done();
        return false;
      }
      this.#emit(argv);
      for (const arg of argv) left -= ARGUMENT_BYTES + arg.length;
    }
    return true;
  }

  /** Ends the snapshot: nobody wants it any more. */
  abandon(): void {
    this.#done();
  }

  #next(): string[] | undefined {
    for (;;) {
      const argv = this.#open?.commands.next().value;
      if (argv !== undefined) return argv;
      while (this.#cursor > 0 && this.#early.has(this.#dict.keys[this.#cursor - 1]!)) {
        this.#cursor--;
      }
      if (this.#cursor === 0) return undefined;
      const key = this.#dict.keys[--this.#cursor]!;
      this.#open = { key, commands: this.#dump(this.#cursor) };
    }
  }

  /** A command is about to change this key. */
  save(key: string): void {
    if (key === this.#open?.key) this.#write(this.#open.commands);
    const at = this.#dict.indexOf(key);
    if (at < 0 || at >= this.#cursor || this.#early.has(key)) return;
    this.#write(this.#dump(at));
    this.#early.set(key, true);
  }

  /** The entry at `from` (the last) is about to take the place of the one at `to`, which goes. */
  moving(from: number, to: number): void {
    if (to >= this.#cursor || this.#keys.dict !== this.#dict) return;
    this.save(this.#dict.keys[to]!); // an expiry is no command, so nobody has saved the key
    if (from >= this.#cursor) this.#early.set(this.#dict.keys[from]!, true);
    else this.#cursor = from; // the table gets shorter than the cursor: keys added next are new
  }

  #dump(at: number): Iterator<string[], void> {
    const key = this.#dict.keys[at]!;
    return dumpKey(key, { value: this.#dict.values[at]!, deadline: this.#deadlines.get(key) });
  }

  #write(commands: Iterator<string[], void>): void {
    for (let argv = commands.next().value; argv !== undefined; argv = commands.next().value) {
      this.#emit(argv);
    }
  }
}
