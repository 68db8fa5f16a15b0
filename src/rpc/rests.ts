/**
 * Lesson 04: connections that have used up their slice of a turn, and which of them go on when.
 *
 *     a turn of the loop    all that has come from others │ four that rest, a slice each
 *     the next one          all that has come from others │ the four behind them
 *
 * Twenty busy peers that all went on in each turn would make a turn of twenty slices, and of all
 * that their requests do behind the slice. A short question needs two or three turns.
 *
 * Invariants: in a turn at most SLICES_PER_TURN go on, those that have rested the longest; after a
 * long slice a whole turn passes before the next one in its place.
 * Test: test/04-rpc.rests.test.ts
 */
import type { Host } from "#host";

/**
 * A client that submits, its workers and a page that watches are all served in each turn: what a
 * master does once in a turn, such as its commit, is then for all of them. Four slices are 2 ms.
 */
export const SLICES_PER_TURN = 4;

/** Connections of one host share its loop. */
const all = new WeakMap<Host, Rests>();

export class Rests {
  readonly #host: Host;
  readonly #resting: (() => void)[] = [];
  /** Slices that are to come in the next turns: each for one that rests. */
  #planned = 0;
  #wasLong = false;
  #going = false;

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
    this.#wasLong = isLong;
    if (!this.#going) this.#plan();
  }

  #plan(): void {
    const wasLong = this.#wasLong;
    this.#wasLong = false;
    if (this.#planned >= Math.min(SLICES_PER_TURN, this.#resting.length)) return;
    this.#planned += 1;
    const { timers } = this.#host;
    const next = (): void => this.#next();
    timers.soon(wasLong ? () => timers.soon(next) : next);
  }

  #next(): void {
    this.#planned -= 1;
    this.#going = true;
    this.#resting.shift()!();
    this.#going = false;
    this.#plan();
  }
}
