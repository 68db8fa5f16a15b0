/**
 * Lesson 19: the latest facts that were told, for readers who come back after a short while.
 *
 * Invariants: the facts are those after `start` up to `end`, without a hole; their bytes are
 * bounded.
 * Test: test/http.events.test.ts
 */
import type { SeenFact } from "./frames.ts";

/** Characters of all that are kept: 20,000 facts of 200. */
export const MAX_KEPT_CHARS = 4 * 1024 * 1024;

export class RecentFacts {
  #facts: SeenFact[] = [];
  #chars = 0;
  #start = 0;
  #end = 0;

  /** All facts after this number are here… */
  get start(): number {
    return this.#start;
  }

  /** …up to this one. */
  get end(): number {
    return this.#end;
  }

  /** Forgets all: the next fact has number `next`. */
  restart(next: number): void {
    this.#facts = [];
    this.#chars = 0;
    this.#start = next - 1;
    this.#end = next - 1;
  }

  /** Those that come next, up to number `end`. */
  add(facts: readonly SeenFact[], end: number): void {
    for (const fact of facts) {
      this.#facts.push(fact);
      this.#chars += fact.text.length;
    }
    this.#end = end;
    let gone = 0;
    while (this.#chars > MAX_KEPT_CHARS && gone < this.#facts.length) {
      this.#chars -= this.#facts[gone++]!.text.length;
    }
    if (gone === 0) return;
    this.#start += gone;
    this.#facts.splice(0, gone);
  }

  /**
   * Puts some, without a hole between them and the ones that are here, before these or in the place
   * of those with their numbers, if there is room for all.
   */
  fill(facts: readonly SeenFact[]): boolean {
    const [first, last] = [facts[0], facts.at(-1)];
    if (first === undefined || last === undefined) return true;
    const before = this.#facts.slice(0, Math.max(0, first.seq - 1 - this.#start));
    const all = [...before, ...facts, ...this.after(last.seq)];
    const chars = all.reduce((sum, { text }) => sum + text.length, 0);
    if (chars > MAX_KEPT_CHARS) return false;
    this.#facts = all;
    this.#chars = chars;
    this.#start = Math.min(this.#start, first.seq - 1);
    return true;
  }

  after(seq: number): SeenFact[] {
    return this.#facts.slice(Math.max(0, seq - this.#start));
  }
}
