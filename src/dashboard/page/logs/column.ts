/**
 * Lesson 19: a list of numbers that grows at its end and is forgotten from its beginning, eight
 * bytes each and nothing more. An array of objects would take ten times the memory for a million
 * lines.
 *
 *     [ forgotten ][ 65,536 numbers ][ 65,536 numbers ][ … ]     numbers keep their places
 *
 * Test: test/19-dashboard.run.logs.test.ts
 */
type Numbers = Uint16Array | Uint32Array | Float64Array;

/** 65,536 numbers. */
const BITS = 16;
const PIECE = 1 << BITS;
/** Most logs are short. */
const FIRST_PIECE = 1_024;

export class Column<T extends Numbers> {
  readonly #pieces: (T | undefined)[] = [];
  readonly #make: (length: number) => T;
  #length = 0;
  #forgotten = 0;

  constructor(make: (length: number) => T) {
    this.#make = make;
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const piece = this.#length >>> BITS;
    const at = this.#length & (PIECE - 1);
    const room = this.#pieces[piece]?.length ?? 0;
    if (at === room) {
      const larger = this.#make(Math.min(PIECE, Math.max(FIRST_PIECE, 2 * room)));
      larger.set(this.#pieces[piece] ?? []);
      this.#pieces[piece] = larger;
    }
    this.#pieces[piece]![at] = value;
    this.#length += 1;
  }

  get(at: number): number {
    return this.#pieces[at >>> BITS]![at & (PIECE - 1)]!;
  }

  set(at: number, value: number): void {
    this.#pieces[at >>> BITS]![at & (PIECE - 1)] = value;
  }

  /** Nobody will ask for a number before this place again. */
  forget(before: number): void {
    for (; (this.#forgotten + 1) * PIECE <= before; this.#forgotten++) {
      this.#pieces[this.#forgotten] = undefined;
    }
  }
}
