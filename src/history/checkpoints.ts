/**
 * Lesson 10: states on the way through the log. A visit begins at the last one before its moment,
 * and folds what is between.
 *
 *     facts  ├──────────┼──────────┼──────────┼────▶
 *            front      ▲          ▲          ▲        a checkpoint every so many facts
 *
 * A checkpoint is a copy that shares with the one before what has not changed, and with all of them
 * the runs that are over. When all of them are more than their budget, every second one goes, and
 * from then on they are made half as often: a visit folds twice as much, and what is kept stays
 * bounded.
 *
 * Test: test/10-master.history.test.ts
 */
import { Copier, stateOf, type Run, type StateCopy } from "#core";
import type { LogPlace } from "#log";
import type { Cursor } from "./cursor.ts";

/** A part of what a visit may take (300 ms) goes into folding: 300,000 facts a second. */
const CHECKPOINT_FACTS = 16_384;
/** Of all checkpoints: a million facts of runs of one job need 600 MB. */
export const MAX_CHECKPOINT_BYTES = 1024 * 1024 * 1024;
/** Of most facts less, with their share of the log's own. */
const BYTES_PER_FACT = 100;
/** Of what the master counts for a run, with its places in lists, and room for what comes of it. */
const OVER_SHARE = 1 / 4;

interface Checkpoint {
  readonly seq: number;
  readonly place: LogPlace;
  readonly copy: StateCopy;
}

export interface CheckpointLimits {
  /** Facts between two of them, at first. */
  readonly every: number;
  /** About: of memory, for all of them but the first. */
  readonly maxBytes: number;
}

/** What somebody has asked for, and no more memory than there is for this at all. */
export function checkpointLimits(asked: Partial<CheckpointLimits>): CheckpointLimits {
  const maxBytes = Math.min(MAX_CHECKPOINT_BYTES, asked.maxBytes ?? Infinity);
  return { every: CHECKPOINT_FACTS, ...asked, maxBytes };
}

/** What runs that are over take in memory. */
function weigh(runs: Iterable<Run>): number {
  let sum = 0;
  for (const { bytes } of runs) sum += bytes * OVER_SHARE;
  return sum;
}

export class Checkpoints {
  readonly #limits: CheckpointLimits;
  /** Stands where the next one is made. */
  readonly #tip: Cursor;
  readonly #copier: Copier;
  #all: Checkpoint[] = [];
  /** Facts between two of them now. */
  #every: number;
  /** Of memory: what each has by itself, and the runs that are over. */
  #own = 0;
  #over = 0;
  /** Bytes of the log since the last one. */
  #since = 0;

  constructor(tip: Cursor, limits: CheckpointLimits) {
    this.#limits = limits;
    this.#tip = tip;
    this.#every = limits.every;
    this.#copier = new Copier(tip.state);
    this.#all.push(this.#make());
  }

  get size(): number {
    return this.#all.length;
  }

  /** To be called when the tip has taken a fact of so many bytes. */
  look(bytes: number): void {
    this.#since += bytes;
    // One that brings a hundred thousand jobs is as long as all that follows from it.
    const isDue = this.#tip.seq - this.#all.at(-1)!.seq >= this.#every;
    if (!isDue && this.#since < this.#every * BYTES_PER_FACT) return;
    this.#since = 0;
    const made = this.#make();
    this.#all.push(made);
    this.#own += made.copy.cost;
    this.#over += weigh(made.copy.over);
    while (this.bytes > this.#limits.maxBytes && this.#all.length > 1) this.#thin();
  }

  get bytes(): number {
    return this.#own + this.#over;
  }

  #make(): Checkpoint {
    const { seq, place } = this.#tip;
    return { seq, place, copy: this.#copier.take() };
  }

  /**
   * The first one stays: without it nothing can be told. What a later one shares with one that goes
   * stays with it: so the sum counts it as a half.
   */
  #thin(): void {
    const { length } = this.#all;
    this.#all = this.#all.filter((_, index) => index % 2 === 0 && (index === 0 || length > 2));
    this.#own = this.#all.length === 1 ? 0 : this.#own / 2;
    const over = new Set(this.#all.slice(1).flatMap(({ copy }) =>
      copy.runs.flatMap((run) => "isShared" in run ? run : [])));
    this.#over = weigh(over);
    this.#every *= 2;
  }

  /** The last one that is not behind this fact. */
  before(seq: number): Checkpoint {
    let found = this.#all[0]!;
    for (const each of this.#all) if (each.seq <= seq) found = each;
    return found;
  }

  /** A state of its own that stands there. */
  restore({ seq, place, copy }: Checkpoint): Cursor {
    return { state: stateOf(copy), seq, place };
  }
}
