/**
 * Lesson 04: windows that grow with use, and share one pool.
 *
 *     first      least, or more while half of the pool is there
 *     then       2 x, 4 x, … most     whenever its reader has taken half, while there is spare
 *     at the end what it had beyond the least goes back
 *
 * One window for all streams is wrong twice. Five hundred streams whose readers stall fill all of
 * theirs, and a window that is harmless then is too small for the one stream that moves a gigabyte.
 * So a window is what its stream has shown to need, as in TCP's slow start.
 *
 * Invariant: the windows of all streams together hold `streams x least + spare` bytes at most, and
 * one item more for each (`IncomingRequest.itemBytes`).
 * Left out: taking credit back. A stream that was fast once keeps its window until it ends.
 * Test: test/04-rpc.windows.test.ts
 */
import { invariant } from "#base";

/** A stream takes at most this part of what is left, so that the next ones find something. */
const PART = 4;

export class Windows {
  readonly leastBytes: number;
  readonly #firstBytes: number;
  readonly #mostBytes: number;
  readonly #poolBytes: number;
  #spareBytes: number;

  /** `spareBytes`: what all windows together may have beyond the least. */
  constructor(options: {
    leastBytes: number; firstBytes: number; mostBytes: number; spareBytes: number;
  }) {
    const { leastBytes, firstBytes, mostBytes, spareBytes } = options;
    invariant(leastBytes <= firstBytes && firstBytes <= mostBytes, "windows grow");
    this.leastBytes = leastBytes;
    this.#firstBytes = firstBytes;
    this.#mostBytes = mostBytes;
    this.#poolBytes = this.#spareBytes = spareBytes;
  }

  /** What no window has. */
  get spareBytes(): number {
    return this.#spareBytes;
  }

  /** The window of a new stream: most are short, and should not wait for their window to grow. */
  open(): number {
    const more = this.#firstBytes - this.leastBytes;
    if (this.#spareBytes - more < this.#poolBytes / 2) return this.leastBytes;
    this.#spareBytes -= more;
    return this.#firstBytes;
  }

  /** By how much a window of so many bytes may grow, whose reader has taken half of it. */
  grow(bytes: number): number {
    const left = Math.floor(this.#spareBytes / PART);
    const more = Math.min(bytes, this.#mostBytes - bytes, left);
    if (more < this.leastBytes) return 0;
    this.#spareBytes -= more;
    return more;
  }

  /** A stream with this window is over. */
  giveBack(bytes: number): void {
    this.#spareBytes += bytes - this.leastBytes;
  }
}
