/**
 * Lesson 10: a thing that is not made until somebody looks at it. Changes that come before that
 * wait in line.
 *
 * Invariant: whoever looks sees what would be there if it had been made at once.
 * Test: test/10-master.copy.test.ts
 */

/** A visit folds less than that; somebody who goes through a whole log folds more. */
const MAX_WAITING = 65_536;

export class Late<T> {
  readonly #make: () => T;
  #made: T | undefined;
  #waiting: ((made: T) => void)[] = [];

  constructor(make: () => T) {
    this.#make = make;
  }

  /** To look at, not to change. */
  get now(): T {
    if (this.#made !== undefined) return this.#made;
    const made = this.#made = this.#make();
    for (const change of this.#waiting) change(made);
    this.#waiting = [];
    return made;
  }

  change(how: (made: T) => void): void {
    if (this.#made === undefined && this.#waiting.length < MAX_WAITING) this.#waiting.push(how);
    else how(this.now);
  }
}
