/**
 * The next moment at which a plan would be another, though nothing happened until then. The master
 * sleeps until that moment, and not a tick less. Private to src/scaling.
 *
 * Test: test/13-scaling.test.ts
 */
export class Wake {
  readonly #now: number;
  #next = Infinity;

  constructor(now: number) {
    this.#now = now;
  }

  /** Something changes at this time. A time that is past has been decided about already. */
  at(time: number): void {
    if (time > this.#now) this.#next = Math.min(this.#next, time);
  }

  get next(): number | undefined {
    return this.#next === Infinity ? undefined : this.#next;
  }
}
