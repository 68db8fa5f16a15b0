/**
 * Lesson 15: the pieces of a snapshot between the walk that makes them, a slice at a time, and the
 * disk that writes them when it can.
 *
 * Invariant: the walk asks `isFull` before it makes more, so that the snapshot of a large store is
 * never in memory whole. A key that is about to change cannot wait, and comes in all the same.
 * Test: test/15-store.log.test.ts
 */

/** The size of one write of a snapshot in #log. */
const FULL_BYTES = 4 * 1024 * 1024;

export class ChunkQueue implements AsyncIterable<Buffer> {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #end: { readonly error?: Error } | undefined;
  #wake = (): void => {};
  readonly #onRoom: () => void;

  /** `onRoom` is called when it is no longer full. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  /** The bytes that wait to be written. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#wake();
  }

  /** Ends the queue. With an error, the pieces that are still here are not handed out either. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#end?.error !== undefined) throw this.#end.error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        const wasFull = this.isFull;
        this.#bytes -= chunk.length;
        if (wasFull && !this.isFull) this.#onRoom();
        yield chunk;
      } else if (this.#end !== undefined) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
