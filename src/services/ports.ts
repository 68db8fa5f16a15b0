/**
 * Lesson 14: which attempt has which port of this machine, as one worker knows it.
 *
 *     range   20000 … 20017 20018 20019 … 29999
 *                       held   ▲ next: ports that were just given back come last
 *
 * The book knows the ports of one worker. Whether a stranger has a port only the system knows, so a
 * worker tries a port before it gives it away, and asks the book for another one if it is taken.
 *
 * Invariants: a port has one holder, from `hold` to the one `release`; a port that was given back
 * is offered last, so that a client of the old service does not meet the new one.
 * Test: test/14-services.test.ts
 */
import { FreshMap, invariant } from "#base";

export interface PortRange {
  readonly from: number;
  /** Inclusive. */
  readonly to: number;
}

/** Below the range from which Linux takes the ports of outgoing connections (32768 and up). */
export const DEFAULT_PORTS: PortRange = { from: 20_000, to: 29_999 };

export class PortBook {
  readonly #range: PortRange;
  readonly #holders = new FreshMap<number, string>();
  #next: number;

  /** `start`: 0 ≤ x < 1, where in the range to begin, so that two workers begin apart. */
  constructor(range: PortRange, start: number) {
    invariant(range.from > 0 && range.from <= range.to && range.to <= 65_535, "a range of ports");
    this.#range = range;
    this.#next = range.from + Math.floor(start * (range.to - range.from + 1));
  }

  /** Ports that are held. */
  get size(): number {
    return this.#holders.size;
  }

  holderOf(port: number): string | undefined {
    return this.#holders.get(port);
  }

  // #region ports
  /** The next port that nobody here holds. Undefined: all are held. */
  next(): number | undefined {
    // #exercise next
    const { from, to } = this.#range;
    for (let tries = to - from + 1; tries > 0; tries--) {
      const port = this.#next;
      this.#next = port === to ? from : port + 1;
      if (!this.#holders.has(port)) return port;
    }
    return undefined;
    // #end-exercise
  }

  /** False: somebody has it. */
  hold(port: number, holder: string): boolean {
    if (this.#holders.has(port)) return false;
    this.#holders.set(port, holder);
    return true;
  }

  /** Its holder is gone, and everything that it had started. */
  release(port: number, holder: string): void {
    invariant(this.#holders.get(port) === holder, `port ${port} is not held by ${holder}`);
    this.#holders.delete(port);
  }
  // #endregion
}
