/**
 * Lesson 10: where readers of outputs have come to. A page that looks every second what is new in a
 * log asks for what is behind byte 15,000,000. Records have no way back and no index, so without
 * this each of its questions would go through all of the file.
 *
 * Invariants: what is known is bounded; a place that is told has no more than the wanted bytes
 * before it.
 * Test: test/10-master.output.test.ts
 */
import type { OutputChunk } from "#wire";
import { START, type Position } from "./output-segments.ts";

/** Between two places of one attempt: this much is gone through for a question between them. */
export const REACHED_STEP_BYTES = 256 * 1024;
/** Of one attempt: all of a job's output, and the newest of a service's. */
const MAX_PLACES = 64;
/** Attempts that somebody has read, the latest. */
const MAX_ATTEMPTS = 256;

export class Reached {
  /** The last place of each moves on; those before it are a step apart. */
  readonly #places = new Map<string, Position[]>();

  /** The records before this place of an attempt's output are whole, and have been read. */
  note(name: string, { segment, offset, seen }: Position): void {
    const places = this.#places.get(name) ?? [];
    if (seen <= (places.at(-1)?.seen ?? 0)) return;
    if (seen - (places.at(-2)?.seen ?? 0) < REACHED_STEP_BYTES) places.pop();
    places.push({ segment, offset, seen });
    if (places.length > MAX_PLACES) places.shift();
    this.#places.delete(name);
    this.#places.set(name, places);
    if (this.#places.size > MAX_ATTEMPTS) this.#places.delete(this.#places.keys().next().value!);
  }

  /** The last known place with at most so many bytes before it. */
  near(name: string, bytes: number): Position {
    const places = this.#places.get(name) ?? [];
    return { ...(places.findLast(({ seen }) => seen <= bytes) ?? START) };
  }

  /** The beginning of the page with byte `from`, or the end of what there is. `page` reads on. */
  async seek(
    name: string, from: number, page: (at: Position) => Promise<readonly OutputChunk[]>,
  ): Promise<Position> {
    const at = this.near(name, from);
    for (;;) {
      const before = { ...at };
      const chunks = await page(at);
      if (chunks.length === 0 || at.seen > from) return before;
    }
  }

  /** Of all attempts whose names begin so. */
  drop(prefix: string): void {
    for (const name of this.#places.keys()) if (name.startsWith(prefix)) this.#places.delete(name);
  }
}

/** In the place of what a reader has already. */
export function leftOut(bytes: number): OutputChunk {
  return { stream: "stdout", at: 0, data: Buffer.alloc(0), dropped: bytes };
}
