/**
 * Bytes in, frames out, in whatever pieces the bytes come.
 *
 * A frame is read in two steps, and each has a short way and a long way:
 *
 *     header   16 bytes left in the chunk:  read in place      otherwise: collected in `header`
 *     body     all of it in one chunk:      a slice, no copy   otherwise: collected by `Pieces`
 *
 * A header that promises 8 MiB and sends nothing costs nothing, however many connections do it.
 *
 * Test: test/01-framing.test.ts
 */
import { invariant } from "#base";
import { crcJoin, crcOf, crcShort } from "./crc.ts";
import { FramingError } from "./error.ts";
import {
  BARE,
  CRC_OFFSET,
  detectDialect,
  type Frame,
  HEADER_BYTES,
  LARGE_BODY_BYTES,
  MAX_BODY_BYTES,
  readU32,
  VERSION,
} from "./frame.ts";
import { Pieces } from "./pieces.ts";

/**
 * Cuts a stream into frames. One per connection: `push` the socket's chunks, then call `next` until
 * it yields nothing.
 *
 * @throws {FramingError} from `push` and `next`; from then on every call throws the same error, and
 * all that is left to do is to close the connection.
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
  #maxBodyBytes: number;
  readonly #pieces = new Pieces();
  /** A header in pieces. */
  readonly #header = Buffer.alloc(HEADER_BYTES);
  /** The number of header bytes that are known: 16 means that the four fields below hold. */
  #headerBytes = 0;
  #opcode = 0;
  #flags = 0;
  #requestId = 0;
  #bodyBytes = 0;
  #expectedCrc = 0;
  #headerCrc = 0;
  #isBare = false;
  #dead: FramingError | undefined;

  /** @param options.maxBodyBytes a smaller limit, such as for peers that have not said HELLO yet */
  constructor(options: { maxBodyBytes?: number } = {}) {
    this.#maxBodyBytes = options.maxBodyBytes ?? MAX_BODY_BYTES;
    invariant(this.#maxBodyBytes >= 0, "a limit is not negative");
  }

  /** From the next header on: a peer that has introduced itself may send more. */
  limit(maxBodyBytes: number): void {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Memory that an unfinished body has taken. */
  get heldBytes(): number {
    return this.#pieces.partialBytes;
  }

  // #region next
  /** Takes a chunk of the socket. The decoder keeps views of it: do not change it afterwards. */
  push(chunk: Buffer): void {
    if (this.#dead) throw this.#dead;
    this.#pieces.push(chunk);
  }

  /** The next whole frame, or `undefined` until more bytes are pushed. */
  next(): Frame | undefined {
    if (this.#dead) throw this.#dead;
    while (this.#headerBytes < HEADER_BYTES) {
      if (!this.#pieces.more()) return undefined;
      this.#readHeader();
    }
    const body = this.#pieces.take(this.#bodyBytes);
    return body === undefined ? undefined : this.#checkedFrame(body);
  }
  // #endregion

  /**
   * Takes a chunk that is lent until `settle`. A body is lent as well, until the next call: `own`
   * keeps it.
   */
  pushLent(chunk: Buffer): void {
    if (this.#dead) throw this.#dead;
    this.#pieces.pushLent(chunk);
  }

  /** The body of the last frame, in memory that stays. */
  own(body: Buffer): Buffer {
    return this.#pieces.own(body);
  }

  /** The lent chunk goes back to its owner: what is left of it is copied. */
  settle(): void {
    this.#pieces.settle();
  }

  // #region readHeader
  /** Reads as much of a header as there is. */
  #readHeader(): void {
    // #exercise readHeader
    const { chunk, at } = this.#pieces;
    const left = chunk.length - at;
    if (this.#headerBytes === 0 && left >= HEADER_BYTES) {
      this.#parseHeader(chunk, at);
      this.#pieces.at += HEADER_BYTES;
      this.#headerBytes = HEADER_BYTES;
      return;
    }
    const take = Math.min(left, HEADER_BYTES - this.#headerBytes);
    chunk.copy(this.#header, this.#headerBytes, at, at + take);
    this.#pieces.at += take;
    this.#headerBytes += take;
    // A stranger that speaks HTTP is recognized by its first byte; no need to wait for sixteen.
    this.#checkVersion(this.#header[0]!);
    if (this.#headerBytes === HEADER_BYTES) this.#parseHeader(this.#header, 0);
    // #end-exercise
  }
  // #endregion

  // #region parseHeader
  #parseHeader(bytes: Buffer, at: number): void {
    this.#checkVersion(bytes[at]!);
    const reserved = bytes[at + 3]!;
    if (reserved > BARE) this.#die("RESERVED", `reserved byte is ${reserved}, not 0 or ${BARE}`);
    this.#isBare = reserved === BARE;
    this.#bodyBytes = readU32(bytes, at + 8);
    // Before anything is allocated, and before a single byte of the body has come.
    if (this.#bodyBytes > this.#maxBodyBytes) {
      this.#die("TOO_LARGE", `length ${this.#bodyBytes} exceeds ${this.#maxBodyBytes}`);
    }
    this.#opcode = bytes[at + 1]!;
    this.#flags = bytes[at + 2]!;
    this.#requestId = readU32(bytes, at + 4);
    this.#expectedCrc = readU32(bytes, at + CRC_OFFSET);
    this.#headerCrc = crcShort(bytes, { start: at, end: at + CRC_OFFSET, seed: 0 });
  }
  // #endregion

  #checkedFrame(body: Buffer): Frame {
    if (this.#isBare) return this.#bareFrame(body);
    const isLarge = body.length >= LARGE_BODY_BYTES;
    const bodyCrc = isLarge ? crcOf(body, 0) : undefined;
    const crc = bodyCrc === undefined
      ? crcOf(body, this.#headerCrc)
      : crcJoin(this.#headerCrc, bodyCrc, body.length);
    const frame = this.#frame(body, crc);
    if (bodyCrc !== undefined) frame.bodyCrc = bodyCrc;
    return frame;
  }

  #bareFrame(body: Buffer): Frame {
    const frame = this.#frame(body, this.#headerCrc);
    frame.isBare = true;
    return frame;
  }

  #frame(body: Buffer, crc: number): Frame {
    if (crc !== this.#expectedCrc) {
      this.#die("BAD_CHECKSUM", `checksum ${hex(crc)}, header says ${hex(this.#expectedCrc)}`);
    }
    this.#headerBytes = 0;
    return { opcode: this.#opcode, flags: this.#flags, requestId: this.#requestId, body };
  }

  #checkVersion(version: number): void {
    if (version === VERSION) return;
    const older = detectDialect(version) === "v1" ? ", an older dialect" : "";
    this.#die("BAD_VERSION", `version ${version}${older}, expected ${VERSION}`);
  }

  /** Ends the stream for good: the next bytes may be the middle of a frame. */
  #die(code: FramingError["code"], what: string): never {
    this.#dead = new FramingError(code, `Cannot read frame: ${what}`);
    this.#pieces.clear();
    throw this.#dead;
  }
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}
