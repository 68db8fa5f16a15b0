/**
 * Lesson 10: which runs there are, in a state that is made of a copy (copy.ts).
 *
 * A state may have a hundred thousand runs that are over. To enter them into four tables takes ten
 * times as long as to fold the facts that follow. So the tables lie over the lists of the copy, and
 * hold no more than what has changed since:
 *
 *     runs, of the copy    1  2  3  4  5  6       in the order of their numbers: found by halving
 *     gone                 ×  ×
 *     own                        3'       6' 7    copied, made since: they win
 *
 * A run that goes on, and of which no list has anything but the queue of ready jobs, sleeps: it is
 * made of its copy when somebody asks for it. Of half a million jobs that wait, a visit looks at
 * some thousands.
 *
 * What only commands look at, ids and keys, is not there until somebody looks: changes wait in
 * line.
 *
 * Invariant: they answer as the plain tables would after the same changes.
 * Test: test/10-master.copy.test.ts
 */
import { Late } from "./late.ts";
import { runOfCopy, type RunCopy } from "./run-copy.ts";
import { Part } from "./snapshot-format.ts";
import { rememberAll } from "./snapshot-reader.ts";
import {
  newKeys, Run, type FinishedRuns, type KeptKeys, type RunIndex, type RunTable,
} from "./state.ts";

/** Runs of a copy: shared, or as they were. */
export type CopiedRuns = readonly (RunCopy | Run)[];

/** What both of them have. */
type NamedRun = Pick<Run, "number" | "id" | "key">;

function headOf(run: RunCopy | Run): NamedRun {
  return run instanceof Run ? run : run.header;
}

function numberOf(run: RunCopy | Run): number {
  return headOf(run).number;
}

/** Of a state: a run that sleeps is as its copy. It goes on sleeping. */
export function sleepingToo({ runs }: { runs: RunTable }): Iterable<Run | RunCopy> {
  return runs instanceof RunsOver ? runs.sleepingToo() : runs.values();
}

/** Of this number; undefined: the copy has none. */
function runOf(runs: CopiedRuns, number: number): RunCopy | Run | undefined {
  let [from, to] = [0, runs.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    const found = runs[middle]!;
    const its = numberOf(found);
    if (its === number) return found;
    if (its < number) from = middle + 1;
    else to = middle;
  }
  return undefined;
}

export class RunsOver implements RunTable {
  readonly #copied: CopiedRuns;
  /** The highest number of the copy: a run that comes later has a higher one. */
  readonly #last: number;
  readonly #own: Map<number, Run>;
  readonly #gone = new Set<number>();
  /** Of `#own`, those that came later. */
  #later = 0;

  /** `made`: what those have become that are neither shared nor asleep. */
  constructor(copied: CopiedRuns, made: ReadonlyMap<number, Run>) {
    this.#copied = copied;
    this.#own = new Map(made);
    this.#last = copied.length === 0 ? 0 : numberOf(copied.at(-1)!);
  }

  get size(): number {
    return this.#copied.length - this.#gone.size + this.#later;
  }

  get(number: number): Run | undefined {
    const own = this.#own.get(number);
    if (own !== undefined || number > this.#last || this.#gone.has(number)) return own;
    const found = runOf(this.#copied, number);
    return found === undefined || found instanceof Run ? found : this.#wake(found);
  }

  #wake(copy: RunCopy): Run {
    const run = runOfCopy(copy);
    this.#own.set(run.number, run);
    return run;
  }

  has(number: number): boolean {
    if (this.#own.has(number)) return true;
    return !this.#gone.has(number) && runOf(this.#copied, number) !== undefined;
  }

  set(number: number, run: Run): void {
    if (number > this.#last && !this.#own.has(number)) this.#later += 1;
    this.#own.set(number, run);
  }

  delete(number: number): boolean {
    if (!this.has(number)) return false;
    this.#own.delete(number);
    if (number > this.#last) this.#later -= 1;
    else this.#gone.add(number);
    return true;
  }

  *keys(): Generator<number> {
    for (const run of this.sleepingToo()) yield numberOf(run);
  }

  *values(): Generator<Run> {
    for (const run of this.sleepingToo()) yield run instanceof Run ? run : this.#wake(run);
  }

  *sleepingToo(): Generator<Run | RunCopy> {
    for (const each of this.#copied) {
      const number = numberOf(each);
      if (!this.#gone.has(number)) yield this.#own.get(number) ?? each;
    }
    for (const [number, run] of this.#own) if (number > this.#last) yield run;
  }
}

/** Of a copy: the runs that may be forgotten, or the numbers of those that are not shared. */
export class FinishedOver implements FinishedRuns {
  readonly #copied: readonly (Run | number)[];
  readonly #shared: CopiedRuns;
  readonly #made: ReadonlyMap<number, Run>;
  readonly #own = new Set<Run>();
  readonly #gone = new Set<Run>();

  /** `made`: what the runs have become that are not shared. */
  constructor(
    copied: readonly (Run | number)[],
    { shared, made }: { shared: CopiedRuns; made: ReadonlyMap<number, Run> },
  ) {
    this.#copied = copied;
    this.#shared = shared;
    const numbers = copied.filter((each) => typeof each === "number");
    this.#made = new Map(numbers.map((number) => [number, made.get(number)!]));
  }

  get size(): number {
    return this.#copied.length - this.#gone.size + this.#own.size;
  }

  has(run: Run): boolean {
    return this.#own.has(run) || (this.#wasThere(run) && !this.#gone.has(run));
  }

  /** A shared run is over, and so it is in both lists of the copy. */
  #wasThere(run: Run): boolean {
    const { number } = run;
    return (run.isShared ? runOf(this.#shared, number) : this.#made.get(number)) === run;
  }

  add(run: Run): void {
    if (!this.has(run)) this.#own.add(run);
  }

  delete(run: Run): boolean {
    if (!this.has(run)) return false;
    if (!this.#own.delete(run)) this.#gone.add(run);
    return true;
  }

  *[Symbol.iterator](): Generator<Run> {
    for (const each of this.#copied) {
      const run = typeof each === "number" ? this.#made.get(each)! : each;
      if (!this.#gone.has(run)) yield run;
    }
    yield* this.#own;
  }
}

/** Runs by their ids, or by their keys. */
export class LateIndex implements RunIndex {
  readonly #late: Late<Map<string, NamedRun>>;
  readonly #runs: RunsOver;

  constructor(
    copied: CopiedRuns, runs: RunsOver, nameOf: (run: NamedRun) => string | undefined,
  ) {
    this.#runs = runs;
    this.#late = new Late(() => {
      const index = new Map<string, NamedRun>();
      for (const run of copied) {
        const head = headOf(run);
        const name = nameOf(head);
        if (name !== undefined) index.set(name, head);
      }
      return index;
    });
  }

  get(name: string): Run | undefined {
    const found = this.#late.now.get(name);
    return found === undefined || found instanceof Run ? found : this.#runs.get(found.number);
  }

  has(name: string): boolean {
    return this.#late.now.has(name);
  }

  keys(): IterableIterator<string> {
    return this.#late.now.keys();
  }

  set(name: string, run: Run): void {
    this.#late.change((index) => index.set(name, run));
  }

  delete(name: string): void {
    this.#late.change((index) => index.delete(name));
  }
}

/** Keys of runs that were forgotten, in the parts of a snapshot. */
export class LateKeys implements KeptKeys {
  readonly #late: Late<KeptKeys>;

  constructor(parts: readonly Buffer[]) {
    this.#late = new Late(() => {
      const keys: KeptKeys = newKeys();
      for (const part of parts.map((bytes) => Part.decode(bytes))) {
        if (part.type === "Keys") rememberAll(keys, part.keys);
      }
      return keys;
    });
  }

  get size(): number {
    return this.#late.now.size;
  }

  recall(...asked: Parameters<KeptKeys["recall"]>): ReturnType<KeptKeys["recall"]> {
    return this.#late.now.recall(...asked);
  }

  remember(...kept: Parameters<KeptKeys["remember"]>): void {
    this.#late.change((keys) => keys.remember(...kept));
  }

  toJSON(): ReturnType<KeptKeys["toJSON"]> {
    return this.#late.now.toJSON();
  }
}
