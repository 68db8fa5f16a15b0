/**
 * Lesson 11: marks in a stream of somebody else's bytes.
 *
 *     RS nonce letter digits LF        RS = 0x1e, nonce = 32 hex digits, at most three digits
 *
 * A launcher's pipes stay open from job to job, so the end of a job's output must be marked in the
 * output itself. Length prefixes are impossible, because the program that writes knows nothing of
 * us. So the mark contains a secret that the program does not know.
 *
 * Invariants: bytes and marks come out in the order they went in, however the chunks were cut;
 * every byte that is not part of a mark comes out, at the latest with the next chunk.
 * Left out: hiding the nonce from a job that reads its parent's memory. Such a job harms only its
 * own output, and it can do that by other means.
 * Test: test/11-worker.processes.test.ts
 */

/** Nothing that people print begins with it: the ASCII record separator. */
const LEAD_BYTE = 0x1e;
/** Letter, digits, line feed. */
const MAX_TAIL_BYTES = 5;

/** The text that a launcher is told to print. It may add digits, and adds a line feed. */
export function markText(nonce: string, letter: string): string {
  return `${String.fromCharCode(LEAD_BYTE)}${nonce}${letter}`;
}

/** The listeners of a `MarkReader`. */
export interface MarkHandlers {
  /** Never empty. */
  onBytes(bytes: Buffer): void;
  /** Letter and digits of a mark; `rest` bytes follow it in this chunk. True: drop these. */
  onMark(mark: string, rest: number): boolean;
}

/** Takes the marks out of one stream. */
export class MarkReader {
  readonly #lead: Buffer;
  readonly #handlers: MarkHandlers;
  /** The end of the last chunk, if it may be the beginning of a mark. */
  #held: Buffer | undefined;

  constructor(nonce: string, handlers: MarkHandlers) {
    this.#lead = Buffer.concat([Buffer.of(LEAD_BYTE), Buffer.from(nonce)]);
    this.#handlers = handlers;
  }

  // #region push
  /** Takes the next bytes. They are passed on as slices, not copied. */
  push(chunk: Buffer): void {
    let data = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = undefined;
    for (let at = data.indexOf(this.#lead); at >= 0; at = data.indexOf(this.#lead)) {
      const afterLead = at + this.#lead.length;
      const end = data.indexOf(0x0a, afterLead);
      if ((end < 0 ? data.length : end) + 1 - afterLead > MAX_TAIL_BYTES) {
        // No mark is so long: a job has found out the nonce and prints it.
        this.#pass(data.subarray(0, afterLead));
        data = data.subarray(afterLead);
        continue;
      }
      this.#pass(data.subarray(0, at));
      data = data.subarray(at);
      if (end < 0) break; // The mark's end comes with the next chunk.
      const mark = data.toString("latin1", this.#lead.length, end - at);
      data = data.subarray(end - at + 1);
      if (this.#handlers.onMark(mark, data.length)) return;
    }
    const keep = this.#markBegun(data);
    if (keep > 0) this.#held = data.subarray(data.length - keep);
    this.#pass(data.subarray(0, data.length - keep));
  }
  // #endregion

  /** The stream is over: the bytes that were held back are no mark. */
  end(): void {
    if (this.#held) this.#pass(this.#held);
  }

  // #region markBegun
  /** How many bytes at the end of `data` are the beginning of a mark, or could be. */
  #markBegun(data: Buffer): number {
    // #exercise markBegun
    const tail = data.subarray(Math.max(0, data.length - this.#lead.length - MAX_TAIL_BYTES));
    for (let at = tail.indexOf(LEAD_BYTE); at >= 0; at = tail.indexOf(LEAD_BYTE, at + 1)) {
      const length = Math.min(tail.length - at, this.#lead.length);
      if (tail.compare(this.#lead, 0, length, at, at + length) === 0) return tail.length - at;
    }
    return 0;
    // #end-exercise
  }
  // #endregion

  #pass(bytes: Buffer): void {
    if (bytes.length > 0) this.#handlers.onBytes(bytes);
  }
}
