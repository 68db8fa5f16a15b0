/**
 * The jobs whose retries are spent: kept for a person, never silently lost, never without bound.
 * Private to src/retry; mod.ts exports its public names.
 *
 * Test: test/09-retry.test.ts
 */
import { invariant } from "#base";

/**
 * Letters kept. A person reads these: of ten thousand failures the newest thousand are enough, in
 * about 1 MB.
 */
export const MAX_DEAD_LETTERS = 1000;

/** Dead letters as plain data, oldest first. */
export interface DeadLettersState<T> {
  readonly limit: number;
  readonly dropped: number;
  readonly letters: readonly (readonly [id: string, letter: T])[];
}

// #region dead-letters
/** A bounded list of failed work by id, oldest first. When full it drops the oldest, and counts. */
export class DeadLetters<T> {
  readonly #limit: number;
  /** A Map lists its entries in order of insertion: it is the queue and the index in one. */
  readonly #letters = new Map<string, T>();
  #dropped = 0;

  /** @param limit at least 1 */
  constructor(limit = MAX_DEAD_LETTERS) {
    invariant(Number.isInteger(limit) && limit >= 1, `dead letters limited to ${limit}`);
    this.#limit = limit;
  }

  get size(): number {
    return this.#letters.size;
  }

  /** Letters that made room for newer ones since the start. A number that grows is an alarm. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds the newest letter. A second one of the same id replaces the first. */
  add(id: string, letter: T): void {
    this.#letters.delete(id);
    this.#letters.set(id, letter);
    if (this.#letters.size <= this.#limit) return;
    for (const oldest of this.#letters.keys()) {
      this.#letters.delete(oldest);
      this.#dropped++;
      return;
    }
  }

  /** Takes a letter out, to be tried again or thrown away by a person. Undefined: no such id. */
  remove(id: string): T | undefined {
    const letter = this.#letters.get(id);
    this.#letters.delete(id);
    return letter;
  }

  get(id: string): T | undefined {
    return this.#letters.get(id);
  }

  /** Oldest first. */
  list(): [id: string, letter: T][] {
    return [...this.#letters];
  }
  // #endregion

  toJSON(): DeadLettersState<T> {
    return { limit: this.#limit, dropped: this.#dropped, letters: this.list() };
  }

  static fromJSON<T>({ limit, dropped, letters }: DeadLettersState<T>): DeadLetters<T> {
    const restored = new DeadLetters<T>(limit);
    for (const [id, letter] of letters) restored.add(id, letter);
    restored.#dropped = dropped;
    return restored;
  }
}
