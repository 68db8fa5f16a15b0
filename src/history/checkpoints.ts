/**
 * Lesson 10: states on the way through the log. A visit begins at the last one before its moment,
 * and folds what is between.
 *
 *     facts  ├──────────┼──────────┼──────────┼────▶
 *            front      ▲          ▲          ▲        a checkpoint every so many facts
 *
 * A checkpoint is what a snapshot is: the state as bytes. When all of them are more than their
 * budget, every second one goes, and from then on they are made half as often: a visit folds twice
 * as much, and what is kept stays bounded.
 *
 * Test: test/10-master.history.test.ts
 */
import { readSnapshot, writeSnapshot, type State } from "#core";
import type { LogPlace } from "#log";
import type { Cursor } from "./cursor.ts";

interface Checkpoint {
  readonly seq: number;
  readonly place: LogPlace;
  readonly parts: readonly Buffer[];
  readonly bytes: number;
}

export interface CheckpointLimits {
  /** Facts between two of them, at first. */
  readonly every: number;
  /** Of all of them but the first. */
  readonly maxBytes: number;
}

export class Checkpoints {
  readonly #limits: CheckpointLimits;
  #all: Checkpoint[] = [];
  /** Facts between two of them now. */
  #every: number;
  bytes = 0;

  constructor(limits: CheckpointLimits) {
    this.#limits = limits;
    this.#every = limits.every;
  }

  get size(): number {
    return this.#all.length;
  }

  isDue(seq: number): boolean {
    const last = this.#all.at(-1);
    return last === undefined || seq - last.seq >= this.#every;
  }

  add({ state, seq, place }: Cursor): void {
    this.put({ seq, place, parts: [...writeSnapshot(state)] });
  }

  put({ seq, place, parts }: Omit<Checkpoint, "bytes">): void {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#all.push({ seq, place, parts, bytes });
    this.bytes += bytes;
    while (this.bytes > this.#limits.maxBytes && this.#all.length > 1) this.#thin();
  }

  /** The first one stays: without it nothing can be told. */
  #thin(): void {
    const kept = this.#all.filter((_, index) => index % 2 === 0);
    this.#all = kept.length < this.#all.length ? kept : kept.slice(0, 1);
    this.bytes = this.#all.reduce((sum, { bytes }) => sum + bytes, 0);
    if (this.#all.length === 1) this.bytes = 0;
    this.#every *= 2;
  }

  /** The last one that is not behind this fact. */
  before(seq: number): Checkpoint {
    let found = this.#all[0]!;
    for (const each of this.#all) if (each.seq <= seq) found = each;
    return found;
  }

  /** A state of its own that stands there. */
  restore({ seq, place, parts }: Checkpoint): Cursor {
    return { state: stateOf(parts), seq, place };
  }
}

function stateOf(parts: readonly Buffer[]): State {
  return readSnapshot(parts);
}
