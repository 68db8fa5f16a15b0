/**
 * Bytes that come in any pieces, handed out in one piece. Frames and the store's commands are both
 * read through it.
 *
 *     chunk    what is being read, from `at`: what lies in it whole is a view of it, not a copy
 *     waiting  chunks that came before `chunk` was used up
 *     partial  the beginning of something whose end has not come, copied
 *
 * Invariants: a byte is copied at most a constant number of times, even if they come one by one;
 * `partial` grows with the bytes that have arrived, never with those that were promised; a chunk of
 * which nothing is left to read is let go.
 * Test: test/01-framing.pieces.test.ts
 */
import { invariant } from "#base";
import { BLOCK_BYTES, fitsBlock, letGo, spareBlock, takeBlock } from "./blocks.ts";

const NO_BYTES: Buffer = Buffer.alloc(0);

/** The first size of `partial`. Most things that are cut in two are short, and peers are many. */
const FIRST_PARTIAL_BYTES = 256;
/** Growing by 4 copies a third of it all once more (1/4 + 1/16 + …); growing by 2, all of it. */
const GROWTH = 4;
/**
 * What a waiting chunk costs beside its bytes: two objects and a slot. A peer may send a byte at a
 * time.
 */
const CHUNK_BYTES = 256;

/**
 * One per connection: `push` the socket's chunks, then take what is there.
 *
 * @example
 * ```ts
 * import { Pieces } from "#framing";
 * const pieces = new Pieces();
 * pieces.push(Buffer.from("GET vi"));
 * pieces.takeUntil(32, 64)?.toString() // => 'GET'
 * pieces.take(5) // => undefined
 * pieces.push(Buffer.from("sit!"));
 * pieces.take(5)?.toString() // => 'visit'
 * pieces.unreadBytes // => 1
 * ```
 */
export class Pieces {
  /** The chunk that is being read. Callers in a hurry read it where it lies, and move `at`. */
  chunk: Buffer = NO_BYTES;
  /** Where the next unread byte of `chunk` is. */
  at = 0;
  #waiting: Buffer[] = [];
  /** The next of them. An index, because shift() on a long array moves all the rest each time. */
  #waitingAt = 0;
  #waitingBytes = 0;
  #partial: Buffer = NO_BYTES;
  #partialBytes = 0;
  /** The memory of `chunk` is somebody else's. */
  #isLent = false;
  /** The memory of the part that was taken last, if it was lent with it. */
  #loan: Buffer = NO_BYTES;

  // #region push
  /** Takes a chunk of the socket. Views of it are handed out: do not change it afterwards. */
  push(chunk: Buffer): void {
    if (this.at < this.chunk.length || this.#waiting.length > 0) {
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.length + CHUNK_BYTES;
    } else {
      this.chunk = chunk;
      this.at = 0;
    }
  }
  // #endregion

  /**
   * Takes a chunk that is lent until `settle`. A part that is taken out of it is lent, too, and
   * only until the next call.
   */
  pushLent(chunk: Buffer): void {
    if (this.more()) return this.push(Buffer.from(chunk)); // it has to wait
    this.push(chunk);
    this.#isLent = true;
  }

  /** The part that was taken last, in memory that stays. */
  own(part: Buffer): Buffer {
    if (!this.#isLent || part.length === 0) return part;
    if (part.buffer === this.#loan.buffer) return this.#owned(part);
    if (part.buffer !== this.chunk.buffer) return part;
    // With all that is behind it: many small parts cost one copy.
    this.at -= part.length;
    this.settle();
    this.at = part.length;
    return this.chunk.subarray(0, part.length);
  }

  /** The lent chunk goes back to its owner: what is left of it is copied. */
  settle(): void {
    this.#endLoan();
    if (!this.#isLent) return;
    this.#isLent = false;
    this.chunk = this.at < this.chunk.length ? Buffer.from(this.chunk.subarray(this.at)) : NO_BYTES;
    this.at = 0;
  }

  /** The bytes that were pushed and not asked for yet, with the cost of keeping them. */
  get unreadBytes(): number {
    return this.chunk.length - this.at + this.#waitingBytes;
  }

  /** The memory that an unfinished part has taken. */
  get partialBytes(): number {
    return this.#partial.length;
  }

  /** Whether there is a byte to read; lets go of chunks that are used up. */
  more(): boolean {
    this.#endLoan();
    return this.at < this.chunk.length || this.#nextChunk();
  }

  // #region take
  /** The next `count` bytes, once all are there; until then, puts aside those that are. */
  take(count: number): Buffer | undefined {
    // #exercise take
    if (count === 0) return NO_BYTES;
    while (this.more()) {
      const need = count - this.#partialBytes;
      const left = this.chunk.length - this.at;
      if (this.#partialBytes === 0 && left >= need) {
        const whole = this.chunk.subarray(this.at, this.at + need);
        this.at += need;
        return whole;
      }
      this.#keep(Math.min(left, need), count);
      if (this.#partialBytes === count) return this.#takePartial();
    }
    return undefined;
    // #end-exercise
  }
  // #endregion

  /**
   * The bytes in front of the next `end`, once it is there; it is passed over. Null: more than
   * `mostBytes` come before it, and none of them was kept.
   */
  takeUntil(end: number, mostBytes: number): Buffer | undefined | null {
    while (this.more()) {
      const found = this.chunk.indexOf(end, this.at);
      const bytes = (found === -1 ? this.chunk.length : found) - this.at;
      if (this.#partialBytes + bytes > mostBytes) return null;
      if (found === -1) {
        this.#keep(bytes, mostBytes);
        continue;
      }
      const whole = this.take(this.#partialBytes + bytes);
      this.at++;
      return whole;
    }
    return undefined;
  }

  /** Lets go of everything: nobody is going to ask again. */
  clear(): void {
    this.chunk = this.#partial = this.#loan = NO_BYTES;
    this.at = this.#partialBytes = 0;
    this.#waiting = [];
    this.#waitingAt = this.#waitingBytes = 0;
  }

  // #region keep
  /** Copies the next `bytes` of the chunk behind those that were put aside before. */
  #keep(bytes: number, mostBytes: number): void {
    invariant(bytes >= 0, "a part that was begun is asked for again, as long or longer");
    if (this.#isLent && this.#partialBytes === 0) this.#takeBlock(bytes, mostBytes);
    this.#makeRoom(bytes, mostBytes);
    this.chunk.copy(this.#partial, this.#partialBytes, this.at, this.at + bytes);
    this.#partialBytes += bytes;
    this.at += bytes;
  }

  /** Grows with the bytes that have arrived, never with those that were promised. */
  #makeRoom(bytes: number, mostBytes: number): void {
    // #exercise makeRoom
    const have = this.#partialBytes + bytes;
    if (have <= this.#partial.length) return;
    const room = Math.min(mostBytes, Math.max(FIRST_PARTIAL_BYTES, GROWTH * have));
    const bigger = Buffer.allocUnsafeSlow(room);
    this.#partial.copy(bigger, 0, 0, this.#partialBytes);
    this.#partial = bigger;
    // #end-exercise
  }
  // #endregion

  /** Large parts that are cut in two come one after another: each finds the memory of the last. */
  #takeBlock(bytes: number, mostBytes: number): void {
    if (!fitsBlock(mostBytes)) return;
    // A peer that sends a byte of it has no new memory for that.
    const isNew = bytes >= mostBytes / 4;
    const block = isNew ? takeBlock(mostBytes) : spareBlock(mostBytes);
    if (block !== undefined) this.#partial = block;
  }

  #takePartial(): Buffer {
    const whole = this.#partial.subarray(0, this.#partialBytes);
    if (this.#isLent) this.#loan = this.#partial;
    this.#partial = NO_BYTES;
    this.#partialBytes = 0;
    return whole;
  }

  /** Of a large part the block is its owner's, who may let go of it. Of others it comes back. */
  #owned(part: Buffer): Buffer {
    if (part.length <= BLOCK_BYTES) return Buffer.from(part);
    this.#loan = NO_BYTES;
    return part;
  }

  #endLoan(): void {
    if (this.#loan.length === 0) return;
    letGo(this.#loan);
    this.#loan = NO_BYTES;
  }

  /** Goes on to the next waiting chunk that has bytes; false when there is none. */
  #nextChunk(): boolean {
    // Let go of a used chunk: 64 KiB for each idle connection would add up.
    this.chunk = NO_BYTES;
    this.at = 0;
    while (this.#waitingAt < this.#waiting.length) {
      this.chunk = this.#waiting[this.#waitingAt]!;
      this.#waiting[this.#waitingAt++] = NO_BYTES;
      this.#waitingBytes -= this.chunk.length + CHUNK_BYTES;
      if (this.#waitingAt * 2 >= this.#waiting.length) {
        // At least half is read: dropping it moves fewer chunks than were read since the last time.
        this.#waiting.splice(0, this.#waitingAt);
        this.#waitingAt = 0;
      }
      if (this.chunk.length > 0) return true;
    }
    return false;
  }
}
