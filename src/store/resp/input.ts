/**
 * Bytes in, lines and blocks out, whatever the pieces that the bytes come in. Both RESP parsers
 * stand on it, and it stands on the pieces of lesson 01, with what RESP adds: the line, and the
 * error that ends the stream.
 *
 * Invariant: `$67108864` and silence cost nothing.
 * Test: test/15-store.resp.test.ts
 */
import { Pieces } from "#framing";
import { RespError, type RespErrorCode } from "./error.ts";

const LF = 10;
const CR = 13;

export class RespInput extends Pieces {
  /** The error that ended the stream. */
  dead: RespError | undefined;

  override push(chunk: Buffer): void {
    if (this.dead) throw this.dead;
    super.push(chunk);
  }

  /** All that is kept of what has arrived. */
  get heldBytes(): number {
    return this.unreadBytes + this.partialBytes;
  }

  /** The next line without its end, once the end is there. A line is latin1: one char, one byte. */
  line(limitBytes: number, tooBig: string): string | undefined {
    const line = this.takeUntil(LF, limitBytes + 1); // + 1: its CR
    if (line === undefined) return undefined;
    if (line === null) this.die("TOO_LARGE", tooBig);
    const length = line[line.length - 1] === CR ? line.length - 1 : line.length;
    return line.toString("latin1", 0, length);
  }

  /** Ends the stream for good: nobody can tell any more where the next message begins. */
  die(code: RespErrorCode, message: string): never {
    this.dead = new RespError(code, message);
    this.clear();
    throw this.dead;
  }
}
