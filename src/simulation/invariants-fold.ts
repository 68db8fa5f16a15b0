/**
 * Lesson 22: the same log, folded by the master's own `apply`, to compare the results with one another.
 *
 *     all events          e1 e2 e3 e4 e5 e6 ──▶ hash
 *     a snapshot, a tail        [s3] e4 e5 e6 ──▶ the same hash, or one of the two lies
 *
 * The only place where the judge runs the master's code. It does not ask whether `apply` is right, only whether it gives the
 * same answer twice, by different ways.
 *
 * Invariants: events are applied once each, when somebody asks; an older prefix is folded anew.
 * Test: test/22-simulation.invariants.test.ts
 */
import { apply, Event, hashState, readSnapshot, State, writeSnapshot } from "#core";
import { Violation } from "./invariants-list.ts";

export class Fold {
  /** Event 1 stands at 0. */
  readonly bodies: Buffer[] = [];
  #state = new State();
  #seq = 0;
  #hash: { seq: number; hash: string } | undefined;
  /** The newest snapshot, restored, with the tail as far as it was applied. */
  #restored: { state: State; covers: number; seq: number } | undefined;

  /** The hash of events 1 to `seq`. */
  hashAt(seq: number): string {
    if (this.#hash?.seq !== seq) this.#hash = { seq, hash: hashState(this.#stateAt(seq)) };
    return this.#hash.hash;
  }

  /** The hash of nothing, of event 1, of events 1 to 2, … of all of them must survive a snapshot, and the tail after it. */
  checkPrefixes(step: number): void {
    const state = new State();
    let restored = state;
    let from = 0;
    for (let seq = 0; seq <= this.bodies.length; seq++) {
      if (seq > 0) this.#apply(state, seq);
      if (seq > 0 && restored !== state) this.#apply(restored, seq, `after a snapshot at ${from}`);
      if (seq % step !== 0 && seq !== this.bodies.length) continue;
      const hash = hashState(state);
      const what = `events 1 to ${seq}, from a snapshot at ${from}`;
      if (hashState(restored) !== hash) throw new Violation("snapshot-plus-tail", `the state after ${what} and its tail is another than without one`, { seq });
      restored = restore([...writeSnapshot(state)], seq);
      from = seq;
      if (hashState(restored) !== hash) throw new Violation("snapshot-plus-tail", `the state after ${what.split(",")[0]} changes when it is written and read`, { seq });
    }
  }

  /** A snapshot that a master has written: of these events, and of no others. */
  addSnapshot(seq: number, parts: Iterable<Uint8Array>): void {
    const state = restore(parts, seq);
    if (hashState(state) !== this.hashAt(seq)) throw new Violation("snapshot-plus-tail", `the snapshot that covers events 1 to ${seq} is of another state than they give`, { seq });
    this.#restored = { state, covers: seq, seq };
    this.checkTail();
  }

  /** The newest snapshot plus all events after it. */
  checkTail(): void {
    const restored = this.#restored;
    if (restored === undefined) return;
    const last = this.bodies.length;
    while (restored.seq < last) this.#apply(restored.state, ++restored.seq, `after the snapshot at ${restored.covers}`);
    if (hashState(restored.state) === this.hashAt(last)) return;
    throw new Violation("snapshot-plus-tail", `the snapshot at ${restored.covers} plus events ${restored.covers + 1} to ${last} give another state than all events`, { seq: last });
  }

  #stateAt(seq: number): State {
    if (seq < this.#seq) {
      this.#state = new State();
      this.#seq = 0;
    }
    while (this.#seq < seq) this.#apply(this.#state, ++this.#seq);
    return this.#state;
  }

  #apply(state: State, seq: number, how?: string): void {
    try {
      apply(state, Event.decode(this.bodies[seq - 1]!));
    } catch (error) {
      const what = `event ${seq} cannot be applied${how === undefined ? "" : ` ${how}`}: ${(error as Error).message}`;
      throw new Violation(how === undefined ? "replay-equals-live" : "snapshot-plus-tail", what, { seq });
    }
  }
}

function restore(parts: Iterable<Uint8Array>, seq: number): State {
  try {
    return readSnapshot(parts);
  } catch (error) {
    throw new Violation("snapshot-plus-tail", `the snapshot at ${seq} cannot be read: ${(error as Error).message}`, { seq });
  }
}
