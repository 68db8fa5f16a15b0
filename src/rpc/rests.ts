/**
 * Lesson 04: connections that have used up their slice of a turn, and which of them goes on when.
 *
 *     a turn of the loop    all that has come from others │ one that rests, for a slice
 *     the next one          all that has come from others │ another one
 *
 * Twenty busy peers that all went on in each turn would make a turn of twenty slices, and of all
 * that their requests do behind the slice. A short question needs two or three turns.
 *
 * Invariants: in a turn at most one goes on, the one that has rested the longest; after a long
 * slice a whole turn is free of them.
 * Test: test/04-rpc.budget.test.ts
 */
import type { Host } from "#host";

/** Connections of one host share its loop. */
const all = new WeakMap<Host, Rests>();

export class Rests {
  readonly #host: Host;
  readonly #resting: (() => void)[] = [];
  #wasLong = false;
  #planned = false;

  constructor(host: Host) {
    this.#host = host;
  }

  static of(host: Host): Rests {
    const rests = all.get(host) ?? new Rests(host);
    all.set(host, rests);
    return rests;
  }

  /** `goOn` is called when its turn has come. `isLong`: the slice that has ended. */
  add(goOn: () => void, isLong: boolean): void {
    this.#resting.push(goOn);
    this.#wasLong ||= isLong;
    this.#plan();
  }

  #plan(): void {
    if (this.#planned || this.#resting.length === 0) return;
    this.#planned = true;
    const { timers } = this.#host;
    const next = (): void => this.#next();
    timers.soon(this.#wasLong ? () => timers.soon(next) : next);
    this.#wasLong = false;
  }

  #next(): void {
    this.#resting.shift()!();
    this.#planned = false;
    this.#plan();
  }
}
