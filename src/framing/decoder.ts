/**
 * Bytes in, frames out, whatever the pieces that the bytes come in.
 *
 * A frame is read in two steps, and each has a short way and a long way:
 *
 *     header   16 bytes left in the chunk:  read in place      otherwise: collected in `header`
 *     body     all of it in one chunk:      a slice, no copy   otherwise: collected in `partial`
 *
 * `partial` is not as long as the header says but as long as what has arrived deserves. A header
 * that promises 8 MiB and sends nothing costs nothing, however many connections do it.
 */
import { invariant } from "#base";
import { crcOf, crcShort } from "./crc.ts";
import { FramingError } from "./error.ts";
import { CRC_OFFSET, type Frame, HEADER_BYTES, MAX_BODY_BYTES, NO_BODY, readU32, VERSION } from "./frame.ts";

/** The least that `partial` starts with: a handful of small bodies, and 4 MB for 1,000 lazy peers. */
const FIRST_PARTIAL_BYTES = 4096;
/** Growing by 4 copies a third of the body once more (1/4 + 1/16 + …); growing by 2, all of it. */
const GROWTH = 4;

/**
 * Cuts a stream into frames. One per connection: `push` what the socket delivers, then call `next`
 * until it yields nothing.
 *
 * @throws {FramingError} from `push` and `next`; from then on every call throws the same error, and
 * the only thing left to do is to close the connection.
 *
 * @example
 * ```ts
 * import { encodeFrame, FrameDecoder } from "#framing";
 * const decoder = new FrameDecoder();
 * const bytes = encodeFrame({ opcode: 7, body: Buffer.from("hi") });
 * decoder.push(bytes.subarray(0, 17));
 * decoder.next() // => undefined
 * decoder.push(bytes.subarray(17));
 * decoder.next()?.body.toString() // => 'hi'
 * ```
 */
export class FrameDecoder {
  private maxBodyBytes: number;
  /** The chunk that is being read, and how far. */
  private chunk: Buffer = NO_BODY;
  private at = 0;
  /** Chunks that were pushed before `chunk` was used up. Empty when the caller drains after each push. */
  private waiting: Buffer[] = [];
  /** The next of them. An index, because shift() on a long array moves all the rest each time. */
  private waitingAt = 0;
  /** A header in pieces. */
  private readonly header = Buffer.alloc(HEADER_BYTES);
  /** How many header bytes are known: 16 means that the four fields below hold. */
  private headerBytes = 0;
  private opcode = 0;
  private flags = 0;
  private requestId = 0;
  private bodyBytes = 0;
  private expectedCrc = 0;
  private headerCrc = 0;
  /** A body in pieces. */
  private partial: Buffer = NO_BODY;
  private partialBytes = 0;
  private dead: FramingError | undefined;

  /** @param options.maxBodyBytes a smaller limit, e.g. for peers that have not said who they are yet */
  constructor(options: { maxBodyBytes?: number } = {}) {
    this.maxBodyBytes = options.maxBodyBytes ?? MAX_BODY_BYTES;
    invariant(this.maxBodyBytes >= 0, "a limit is not negative");
  }

  /** From the next header on: a peer that has said who it is may send more. */
  limit(maxBodyBytes: number): void {
    this.maxBodyBytes = maxBodyBytes;
  }

  /** Memory that an unfinished body has taken. */
  get heldBytes(): number {
    return this.partial.length;
  }

  // #region next
  /** Hands over what the socket delivered. The decoder keeps views of it: do not change it afterwards. */
  push(chunk: Buffer): void {
    if (this.dead) throw this.dead;
    if (this.at < this.chunk.length || this.waiting.length > 0) {
      this.waiting.push(chunk);
    } else {
      this.chunk = chunk;
      this.at = 0;
    }
  }

  /** The next whole frame, or `undefined` until more bytes are pushed. */
  next(): Frame | undefined {
    if (this.dead) throw this.dead;
    while (this.headerBytes < HEADER_BYTES) {
      if (this.at === this.chunk.length && !this.turnPage()) return undefined;
      this.readHeader();
    }
    for (;;) {
      const body = this.readBody();
      if (body !== undefined) return this.finish(body);
      if (!this.turnPage()) return undefined;
    }
  }
  // #endregion

  /** Goes on to the next waiting chunk; false when there is none. */
  private turnPage(): boolean {
    // Let go of a chunk that is used up: 64 KiB for each idle connection would add up.
    this.chunk = NO_BODY;
    this.at = 0;
    if (this.waitingAt === this.waiting.length) return false;
    this.chunk = this.waiting[this.waitingAt]!;
    this.waiting[this.waitingAt++] = NO_BODY;
    if (this.waitingAt * 2 >= this.waiting.length) {
      // At least half is read: dropping it moves fewer chunks than were read since the last time.
      this.waiting.splice(0, this.waitingAt);
      this.waitingAt = 0;
    }
    return true;
  }

  // #region readHeader
  /** Reads as much of a header as there is. */
  private readHeader(): void {
    // #exercise readHeader
    const left = this.chunk.length - this.at;
    if (this.headerBytes === 0 && left >= HEADER_BYTES) {
      this.parseHeader(this.chunk, this.at);
      this.at += HEADER_BYTES;
      this.headerBytes = HEADER_BYTES;
      return;
    }
    const take = Math.min(left, HEADER_BYTES - this.headerBytes);
    this.chunk.copy(this.header, this.headerBytes, this.at, this.at + take);
    this.at += take;
    this.headerBytes += take;
    // A stranger who speaks HTTP is told apart by its first byte; no need to wait for sixteen.
    this.checkVersion(this.header[0]!);
    if (this.headerBytes === HEADER_BYTES) this.parseHeader(this.header, 0);
    // #end-exercise
  }
  // #endregion

  // #region parseHeader
  private parseHeader(bytes: Buffer, at: number): void {
    this.checkVersion(bytes[at]!);
    const reserved = bytes[at + 3]!;
    if (reserved !== 0) this.die("RESERVED", `reserved byte is ${reserved}, not 0`);
    this.bodyBytes = readU32(bytes, at + 8);
    // Before anything is allocated, and before a single byte of the body has come.
    if (this.bodyBytes > this.maxBodyBytes) {
      this.die("TOO_LARGE", `length ${this.bodyBytes} exceeds ${this.maxBodyBytes}`);
    }
    this.opcode = bytes[at + 1]!;
    this.flags = bytes[at + 2]!;
    this.requestId = readU32(bytes, at + 4);
    this.expectedCrc = readU32(bytes, at + CRC_OFFSET);
    this.headerCrc = crcShort(bytes, { start: at, end: at + CRC_OFFSET, seed: 0 });
  }
  // #endregion

  // #region readBody
  /** The body once all of it is there; until then, puts aside what is. */
  private readBody(): Buffer | undefined {
    // #exercise readBody
    const need = this.bodyBytes - this.partialBytes;
    const left = this.chunk.length - this.at;
    if (this.partialBytes === 0 && left >= need) {
      if (need === 0) return NO_BODY;
      const body = this.chunk.subarray(this.at, this.at + need);
      this.at += need;
      return body;
    }
    const take = Math.min(left, need);
    this.makeRoom(take);
    this.chunk.copy(this.partial, this.partialBytes, this.at, this.at + take);
    this.at += take;
    this.partialBytes += take;
    return this.partialBytes === this.bodyBytes ? this.partial.subarray(0, this.bodyBytes) : undefined;
    // #end-exercise
  }

  /** Grows with what has arrived, never with what was promised. */
  private makeRoom(bytes: number): void {
    // #exercise makeRoom
    const have = this.partialBytes + bytes;
    if (have <= this.partial.length) return;
    const room = Math.min(this.bodyBytes, Math.max(FIRST_PARTIAL_BYTES, GROWTH * have));
    const bigger = Buffer.allocUnsafeSlow(room);
    this.partial.copy(bigger, 0, 0, this.partialBytes);
    this.partial = bigger;
    // #end-exercise
  }
  // #endregion

  private finish(body: Buffer): Frame {
    const crc = crcOf(body, this.headerCrc);
    if (crc !== this.expectedCrc) {
      this.die("BAD_CHECKSUM", `checksum ${hex(crc)}, header says ${hex(this.expectedCrc)}`);
    }
    this.headerBytes = 0;
    this.partial = NO_BODY;
    this.partialBytes = 0;
    return { opcode: this.opcode, flags: this.flags, requestId: this.requestId, body };
  }

  private checkVersion(version: number): void {
    if (version !== VERSION) this.die("BAD_VERSION", `version ${version}, expected ${VERSION}`);
  }

  /** Ends the stream for good: what comes next cannot be told from the middle of a frame. */
  private die(code: FramingError["code"], what: string): never {
    this.dead = new FramingError(code, `Cannot read frame: ${what}`);
    this.chunk = this.partial = NO_BODY;
    this.waiting = [];
    this.waitingAt = 0;
    throw this.dead;
  }
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}
