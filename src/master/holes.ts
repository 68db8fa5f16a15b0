/**
 * Lesson 10: output that could not be stored, counted until everybody has been told.
 *
 *     append failed ──▶ hole: bytes, why
 *                         ├──▶ an event, before the attempt's end: `titan status` knows it for ever
 *                         └──▶ a line in the output, where the hole is, once it can be written
 *
 * Invariants: a byte that was lost is counted once; a hole is forgotten when its attempt is over
 * and it has been told in both places; at most MAX_HOLES are remembered.
 * Left out: counts of a master that dies meanwhile. A count that it had not told yet is lost with
 * it.
 * Test: test/10-master.output.test.ts
 */
import type { LostOutput } from "#wire";

/**
 * Beyond this many the oldest is forgotten: on a disk that is full for days the first thousand say
 * enough.
 */
export const MAX_HOLES = 1000;

interface Hole {
  /** All bytes of the attempt that were lost. */
  bytes: number;
  why: string;
  /** Those of them that an event speaks of… */
  reported: number;
  /** …and those of which the output itself says so. */
  written: number;
  /** Nothing more will come. */
  over: boolean;
}

export class Holes {
  readonly #holes = new Map<string, Hole>();

  get size(): number {
    return this.#holes.size;
  }

  has(name: string): boolean {
    return this.#holes.has(name);
  }

  add(name: string, bytes: number, error: Error): void {
    // Without the path, which says more about us than about the disk.
    const why = error.message.split(",")[0]!.slice(0, 200);
    const hole = this.#holes.get(name);
    if (hole !== undefined) {
      hole.bytes += bytes;
      hole.why = why;
      return;
    }
    if (this.#holes.size >= MAX_HOLES) this.#holes.delete(this.#holes.keys().next().value!);
    this.#holes.set(name, { bytes, why, reported: 0, written: 0, over: false });
  }

  /** The losses that no event speaks of yet. From now on one does. */
  report(name: string): LostOutput | undefined {
    const hole = this.#holes.get(name);
    if (hole === undefined || hole.bytes === hole.reported) return undefined;
    const lost = { bytes: hole.bytes - hole.reported, why: hole.why };
    hole.reported = hole.bytes;
    this.#settle(name, hole);
    return lost;
  }

  /** What the output does not say yet. Call `wrote` with its bytes once it does. */
  unwritten(name: string): LostOutput | undefined {
    const hole = this.#holes.get(name);
    if (hole === undefined || hole.bytes === hole.written) return undefined;
    return { bytes: hole.bytes - hole.written, why: hole.why };
  }

  wrote(name: string, bytes: number): void {
    const hole = this.#holes.get(name);
    if (hole === undefined) return;
    hole.written += bytes;
    this.#settle(name, hole);
  }

  ended(name: string): void {
    const hole = this.#holes.get(name);
    if (hole === undefined) return;
    hole.over = true;
    this.#settle(name, hole);
  }

  /** Attempts that are over and whose output does not say yet what is missing at its end. */
  waiting(): string[] {
    const waits = ([, { over, bytes, written }]: [string, Hole]): boolean =>
      over && written < bytes;
    return [...this.#holes].filter(waits).map(([name]) => name);
  }

  /** Of a run that is forgotten: its names begin so. */
  drop(prefix: string): void {
    for (const name of this.#holes.keys()) if (name.startsWith(prefix)) this.#holes.delete(name);
  }

  #settle(name: string, { over, bytes, reported, written }: Hole): void {
    if (over && reported === bytes && written === bytes) this.#holes.delete(name);
  }
}
