/**
 * Lesson 22: chance, in the words of a plan: whole numbers, picks from a list, waits.
 *
 * Test: test/22-simulation.test.ts
 */
import { seededRandom, type Random } from "#host";
import type { Range } from "./plan.ts";

/** A stream of random choices. Equal seeds give equal streams. */
export class Prng {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number, from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + (this.#random.u32() % (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.#random.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.#random.u32() % list.length]!;
  }

  /** Mostly short, sometimes long, as most waits are. */
  ms(least: number, most: number): number {
    const unit = this.#random.unit();
    return Math.round(least + (most - least) * unit * unit * unit);
  }

  range(least: number, most: number): Range {
    const from = this.ms(least, most);
    return [from, from + this.ms(0, most)];
  }
}
