/**
 * Lesson 15: pieces on their way from those who make them, a slice at a time, to the disk, which
 * takes them when it can.
 *
 * Invariant: the queue is asked before more is made (`isFull`), so that a copy of a large store is
 * never in memory whole. What must not wait (a key that is about to change) comes in all the same.
 * Test: test/15-store.log.test.ts
 */

/** What one write of a snapshot takes (#log). */
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

  /** What waits to be taken. */
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

  /** Nothing comes any more. With an error, what is still here is not handed out either. */
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
