/**
 * Bytes in, lines and blocks out, whatever the pieces that the bytes come in. Both RESP parsers
 * stand on it.
 *
 *     chunk    what is being read, from `at`; a line or a block that lies in it whole is not copied
 *     waiting  chunks that came before `chunk` was used up: a blocked client's pipeline
 *     partial  the beginning of a line or a block whose end has not come
 *
 * Invariants: every byte is looked at a constant number of times, even if they come one by one;
 * `partial` grows with the bytes that arrive, never with a promise: `$67108864` and silence cost
 * nothing.
 * Test: test/15-store.resp.test.ts
 */
import { RespError, type RespErrorCode } from "./error.ts";

const NOTHING: Buffer = Buffer.alloc(0);
const LF = 10;
const CR = 13;

/**
 * The least that `partial` starts with. Most lines and arguments that are cut in two are shorter.
 */
const FIRST_PARTIAL_BYTES = 256;
/** Growing by 4 copies a third of the block once more (1/4 + 1/16 + …); growing by 2, all of it. */
const GROWTH = 4;
/**
 * What a waiting chunk costs beside its bytes: two objects and a slot. A peer may send a byte at a
 * time.
 */
const CHUNK_BYTES = 256;

export class RespInput {
  chunk: Buffer = NOTHING;
  /** Where the next unread byte of `chunk` is. */
  at = 0;
  /** The error that ended the stream. */
  dead: RespError | undefined;
  #waiting: Buffer[] = [];
  /** The next of them. An index, because shift() on a long array moves all the rest each time. */
  #waitingAt = 0;
  #waitingBytes = 0;
  #partial: Buffer = NOTHING;
  #partialBytes = 0;

  /** Hands over what the socket delivered. Views of it are kept: do not change it afterwards. */
  push(chunk: Buffer): void {
    if (this.dead) throw this.dead;
    if (this.at === this.chunk.length && this.#waiting.length === 0) {
      this.chunk = chunk;
      this.at = 0;
    } else {
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.length + CHUNK_BYTES;
    }
  }

  /** The bytes that were pushed and not asked for yet, with the cost of keeping them. */
  get unreadBytes(): number {
    return this.chunk.length - this.at + this.#waitingBytes;
  }

  /** All that is kept of what has arrived. */
  get heldBytes(): number {
    return this.unreadBytes + this.#partial.length;
  }

  /** Whether there is a byte to read; lets go of chunks that are used up. */
  more(): boolean {
    return this.at < this.chunk.length || this.#nextChunk();
  }

  /** The next line without its end, once the end is there. A line is latin1: one char, one byte. */
  line(limitBytes: number, tooBig: string): string | undefined {
    while (this.more()) {
      const end = this.chunk.indexOf(LF, this.at);
      const stop = end === -1 ? this.chunk.length : end;
      // + 1: its CR
      if (this.#partialBytes + stop - this.at > limitBytes + 1) this.die("TOO_LARGE", tooBig);
      if (end === -1 || this.#partialBytes > 0) this.#keep(stop, limitBytes + 1);
      if (end === -1) continue;
      const line = this.#partialBytes > 0 ? this.#takePartial() : this.chunk.subarray(this.at, end);
      this.at = end + 1;
      const length = line[line.length - 1] === CR ? line.length - 1 : line.length;
      return line.toString("latin1", 0, length);
    }
    return undefined;
  }

  /** The next `count` bytes, once all are there. It may be a view of what was pushed. */
  block(count: number): Buffer | undefined {
    while (this.more()) {
      const need = count - this.#partialBytes;
      const left = this.chunk.length - this.at;
      if (this.#partialBytes === 0 && left >= need) {
        const whole = this.chunk.subarray(this.at, this.at + count);
        this.at += count;
        return whole;
      }
      this.#keep(this.at + Math.min(left, need), count);
      if (this.#partialBytes === count) return this.#takePartial();
    }
    return undefined;
  }

  /** Ends the stream for good: nobody can tell any more where the next message begins. */
  die(code: RespErrorCode, message: string): never {
    this.dead = new RespError(code, message);
    this.chunk = this.#partial = NOTHING;
    this.at = this.#partialBytes = 0;
    this.#waiting = [];
    this.#waitingAt = this.#waitingBytes = 0;
    throw this.dead;
  }

  /** Puts aside the chunk's bytes up to `stop`. */
  #keep(stop: number, mostBytes: number): void {
    const have = this.#partialBytes + stop - this.at;
    if (have > this.#partial.length) {
      const bigger = Buffer.allocUnsafeSlow(
        Math.min(mostBytes, Math.max(FIRST_PARTIAL_BYTES, GROWTH * have)),
      );
      this.#partial.copy(bigger, 0, 0, this.#partialBytes);
      this.#partial = bigger;
    }
    this.chunk.copy(this.#partial, this.#partialBytes, this.at, stop);
    this.#partialBytes = have;
    this.at = stop;
  }

  #takePartial(): Buffer {
    const whole = this.#partial.subarray(0, this.#partialBytes);
    this.#partial = NOTHING;
    this.#partialBytes = 0;
    return whole;
  }

  #nextChunk(): boolean {
    // Let go of a chunk that is used up: 64 KiB for each idle connection would add up.
    this.chunk = NOTHING;
    this.at = 0;
    while (this.#waitingAt < this.#waiting.length) {
      this.chunk = this.#waiting[this.#waitingAt]!;
      this.#waiting[this.#waitingAt++] = NOTHING;
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
