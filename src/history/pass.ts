/**
 * Lesson 10: the way through the log, once, from its front to its end; and on when it has grown.
 *
 * On the way it learns names, makes checkpoints, and cuts the log into stretches: which time each
 * begins at, and which runs its facts are about. So a time is found without a look at the facts,
 * and the facts of one run without a look at those of all others.
 *
 * Test: test/10-master.history.test.ts
 */
import { learnPart, readSnapshot, State, type Run } from "#core";
import type { LogBlock, LogPlace, LogView } from "#log";
import { Checkpoints, type CheckpointLimits } from "./checkpoints.ts";
import { factsOf, stepOn, type Cursor, type Written } from "./cursor.ts";
import { PastNames, runsOf } from "./names.ts";

/** Facts of a stretch: read in two milliseconds. */
const STRETCH_FACTS = 4096;

export interface Stretch {
  /** Where its first fact stands. */
  readonly place: LogPlace;
  /** The time of the state before it. */
  readonly at: number;
  readonly runs: Set<number>;
}

export class Pass {
  readonly names = new PastNames();
  readonly checkpoints: Checkpoints;
  readonly stretches: Stretch[] = [];
  /** The fact at which all telling begins: the first state is that behind it. */
  readonly front: number;
  /** When the first state that can be told had come about; 0: nothing has ever happened. */
  firstAt = 0;
  readonly tip: Cursor;
  readonly #view: LogView;
  #blocks: AsyncGenerator<LogBlock, void> | undefined;

  /** @internal `begin` makes one. */
  constructor(view: LogView, tip: Cursor, limits: CheckpointLimits) {
    this.#view = view;
    this.tip = tip;
    this.front = tip.seq;
    this.checkpoints = new Checkpoints(tip, limits);
    // A fact changes other runs than it is about: a delay is over, a worker is gone.
    const isOf = ({ number }: Run): void => void this.stretches.at(-1)?.runs.add(number);
    tip.state.keepers = [...tip.state.keepers, { before: ({ run }) => isOf(run) }];
    tip.state.observer = { job: ({ run }) => isOf(run), run: isOf };
  }

  static async begin(view: LogView, limits: CheckpointLimits): Promise<Pass> {
    const { front, start: place } = view;
    const parts: Buffer[] = [];
    if (front > 0) await view.readSnapshot((chunk) => void parts.push(Buffer.from(chunk)));
    const state = parts.length === 0 ? new State() : readSnapshot(parts);
    const pass = new Pass(view, { state, seq: front, place }, limits);
    let run = 0;
    for (const part of parts) run = learnPart(part, pass.names, run);
    pass.names.teachFront(state);
    pass.firstAt = state.at;
    return pass;
  }

  /** One block further, and no further than fact `until`. False: there is no more. */
  async advance(until: number): Promise<boolean> {
    if (this.tip.seq >= until) return false;
    const blocks = this.#blocks ?? this.#view.blocks(this.tip.place);
    this.#blocks = undefined; // it has an end, and another one when the log has grown
    const { value: block, done } = await blocks.next();
    if (done) return false;
    this.#blocks = blocks;
    for (const fact of factsOf(block)) {
      if (fact.place.seq > until) {
        await this.rest();
        return false;
      }
      this.#take(fact);
    }
    return true;
  }

  /** No file is being read any more. */
  async rest(): Promise<void> {
    await this.#blocks?.return();
    this.#blocks = undefined;
  }

  #take(fact: Written): void {
    const { tip } = this;
    const { event, place } = fact;
    const { seq } = place;
    if (seq <= this.front) return stepOn(tip, fact); // known from the snapshot
    if (this.firstAt === 0) this.firstAt = event.at;
    let stretch = this.stretches.at(-1);
    if (stretch === undefined || seq - stretch.place.seq >= STRETCH_FACTS) {
      stretch = { place, at: tip.state.at, runs: new Set() };
      this.stretches.push(stretch);
    }
    for (const run of runsOf(event)) stretch.runs.add(run);
    this.names.teach(seq, event);
    stepOn(tip, fact);
    this.checkpoints.look(fact.bytes);
  }
}
