/**
 * Lesson 10: the fields of many jobs, as they were: a column for each field.
 *
 * An object for each job would take some three hundred bytes, and a run may have a million jobs in
 * each of fifty checkpoints. Most columns have one value for all jobs, or numbers that are close to
 * each other:
 *
 *     attempt     1                              one value for all of them
 *     startedAt   1,800,000,000,000 + 0 5 9 …    the least one, and how far each is from it, in as
 *                                                few bytes as the farthest needs
 *     result      ▪ ▪ ▪ …                        what is neither: as it is
 *
 * Left out: compression of bytes. To read it takes longer than a visit may.
 * Test: test/10-master.copy.test.ts
 */

/** One field of jobs that stand side by side. */
export interface Column<T> {
  at(index: number): T;
  /** About: of memory. */
  readonly bytes: number;
}

/** An object, and what the engine adds to an array. */
const COLUMN_BYTES = 32;
const ARRAY_BYTES = 128;

class Same<T> implements Column<T> {
  readonly #value: T;
  readonly bytes = COLUMN_BYTES;

  constructor(value: T) {
    this.#value = value;
  }

  at(): T {
    return this.#value;
  }
}

class Each<T> implements Column<T> {
  readonly #values: readonly T[];

  constructor(values: readonly T[]) {
    this.#values = values;
  }

  at(index: number): T {
    return this.#values[index]!;
  }

  get bytes(): number {
    return COLUMN_BYTES + ARRAY_BYTES + 8 * this.#values.length;
  }
}

type Distances = Uint8Array | Uint16Array | Uint32Array | Float64Array;

class Numbers implements Column<number> {
  readonly #least: number;
  readonly #more: Distances;

  constructor(least: number, more: Distances) {
    this.#least = least;
    this.#more = more;
  }

  at(index: number): number {
    return this.#least + this.#more[index]!;
  }

  get bytes(): number {
    return COLUMN_BYTES + ARRAY_BYTES + this.#more.byteLength;
  }
}

/** `rows`: one at least. */
export function columnOf<Row, T>(rows: readonly Row[], field: (row: Row) => T): Column<T> {
  const first = field(rows[0]!);
  return rows.every((row) => field(row) === first) ? new Same(first) : new Each(rows.map(field));
}

/** The same for whole numbers. */
export function numbersOf<Row>(
  rows: readonly Row[], field: (row: Row) => number,
): Column<number> {
  let [least, most] = [Infinity, -Infinity];
  for (const row of rows) {
    const value = field(row);
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least === most) return new Same(least);
  const more = room(rows.length, most - least);
  for (let index = 0; index < rows.length; index++) more[index] = field(rows[index]!) - least;
  return new Numbers(least, more);
}

function room(length: number, farthest: number): Distances {
  if (farthest < 2 ** 8) return new Uint8Array(length);
  if (farthest < 2 ** 16) return new Uint16Array(length);
  return farthest < 2 ** 32 ? new Uint32Array(length) : new Float64Array(length);
}
