/**
 * Lesson 15: the last stretch of the stream of changes, for replicas that come back, and for
 * replicas that are a little behind.
 *
 *     offset     0 ········ start ─────────────── end      every byte of the stream has a number;
 *                           [64 KiB][64 KiB][64 K·]       the bytes in the blocks are still here
 *
 * One copy serves all replicas: each has only a position in it. A replica whose position is no
 * longer here is lost. This bounds slow replicas, too: no memory is kept for a single one.
 *
 * Invariants: after `trim`, `end - start` exceeds `keepBytes` by less than a block; bytes that were
 * handed out never change.
 * Test: test/15-store.replica.test.ts
 */

/** Blocks are dropped whole; this is also the most that one write to a replica takes. */
const BLOCK_BYTES = 64 * 1024;

export class Backlog {
  #blocks: Buffer[] = [];
  #start = 0;
  #end = 0;

  /** Number of the first byte that is still here. */
  get start(): number {
    return this.#start;
  }

  /** Number of the byte that comes next: always between two groups. */
  get end(): number {
    return this.#end;
  }

  has(offset: number): boolean {
    return Number.isSafeInteger(offset) && offset >= this.#start && offset <= this.#end;
  }

  append(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const used = this.#end % BLOCK_BYTES;
      if (used === 0) this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES));
      const count = bytes.copy(this.#blocks.at(-1)!, used, at);
      at += count;
      this.#end += count;
    }
  }

  /**
   * Drops the blocks before the last `keepBytes`. Call it after their bytes were offered to every
   * replica: one change may be longer than all that is kept.
   */
  trim(keepBytes: number): void {
    const surplus = Math.floor((this.#end - this.#start - keepBytes) / BLOCK_BYTES);
    if (surplus <= 0) return;
    this.#blocks.splice(0, surplus);
    this.#start += surplus * BLOCK_BYTES;
  }

  /** Some bytes from `offset` on: none at the end, undefined when they are gone. */
  read(offset: number): Buffer | undefined {
    if (!this.has(offset)) return undefined;
    const from = offset - this.#start;
    const block = this.#blocks[Math.floor(from / BLOCK_BYTES)];
    if (block === undefined) return Buffer.alloc(0);
    const at = from % BLOCK_BYTES;
    return block.subarray(at, Math.min(BLOCK_BYTES, at + this.#end - offset));
  }
}
