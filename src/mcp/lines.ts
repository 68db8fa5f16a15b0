/**
 * Lesson 20: a stream of bytes as lines, each of bounded length.
 *
 *     {"jsonrpc": …}⏎{"jsonrpc": …}⏎{"js        the rest waits for its end
 *
 * A line that is too long is not kept: it is counted until it ends, and reported as one.
 *
 * Invariants: memory is bounded by `maxBytes`, whatever comes; bytes of a line are decoded
 * together, so no character is cut.
 * Test: test/20-mcp.test.ts
 */
const NEWLINE = 10;

export type Line = { readonly text: string } | { readonly tooLong: number };

export class Lines {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  // #region lines
  /** The lines that end in this chunk. Bytes behind the last of them wait for their end. */
  take(chunk: Buffer): Line[] {
    // #exercise takeLines
    const lines: Line[] = [];
    let at = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, at);
      this.#keep(chunk.subarray(at, end < 0 ? undefined : end));
      if (end < 0) return lines;
      const line = this.#cut();
      if (line !== undefined) lines.push(line);
      at = end + 1;
    }
    // #end-exercise
  }

  #keep(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }
  // #endregion

  /** Empty lines are no messages, and no mistakes either. */
  #cut(): Line | undefined {
    const [bytes, pieces] = [this.#bytes, this.#pieces];
    this.#bytes = 0;
    this.#pieces = [];
    if (bytes > this.#maxBytes) return { tooLong: bytes };
    const text = Buffer.concat(pieces).toString("utf8").replace(/^\uFEFF/, "").trim();
    return text === "" ? undefined : { text };
  }
}
