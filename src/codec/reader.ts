/**
 * Bytes to values, with every claim checked against the bytes that are there.
 *
 * Test: test/02-codec.test.ts
 */
import { isUtf8 } from "node:buffer";
import { CodecError, type CodecErrorCode } from "./error.ts";
import { BYTES, FIXED64, LOOP_CHARS, MAX_VARINT_BYTES, TWO_28, VARINT } from "./wire.ts";

/** Up to here `fromCharCode` beats `toString("latin1")`, which costs 40 ns for any short text. */
const SPELL_CHARS = 12;
/** 2^53-1 is 28 low bits and 25 high ones. */
const TWO_25 = 2 ** 25;
const EMPTY = Buffer.alloc(0);
const spell = String.fromCharCode;

/** Takes values off the front of a buffer, and never looks past `end`. */
export class Reader {
  /** The field being read, for error messages. */
  where = "";
  pos = 0;
  end = 0;
  #buffer: Buffer = EMPTY;

  reset(bytes: Uint8Array): void {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : viewOf(bytes);
    this.pos = 0;
    this.end = bytes.length;
  }

  /** Lets go of the caller's buffer, or it might be kept until the next message. */
  release(): void {
    this.#buffer = EMPTY;
  }

  fail(code: CodecErrorCode, what: string): never {
    throw new CodecError(code, `Cannot decode ${this.where}: ${what}`);
  }

  // #region readVarint
  varint(): number {
    // #exercise varint
    const buffer = this.#buffer;
    const end = this.end;
    let pos = this.pos;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 56; shift += 7) {
      if (pos >= end) this.fail("TRUNCATED", "the bytes end inside a number");
      const byte = buffer[pos++]!;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else high |= (byte & 0x7f) << (shift - 28);
      if (byte > 0x7f) continue;
      // 0x80 0x00 is a longer way to write zero. With one spelling per number, equal values have
      // equal bytes.
      if (byte === 0 && shift > 0) this.fail("BAD_VARINT", "number is padded with zeros");
      if (high >= TWO_25) this.fail("BAD_VARINT", "number exceeds 2^53-1");
      this.pos = pos;
      return high === 0 ? low : high * TWO_28 + low;
    }
    return this.fail("BAD_VARINT", `number is longer than ${MAX_VARINT_BYTES} bytes`);
    // #end-exercise
  }
  // #endregion

  signed(): number {
    if (this.pos >= this.end) this.fail("TRUNCATED", "the bytes end inside a number");
    const first = this.#buffer[this.pos++]!;
    let magnitude = (first & 0x7f) >>> 1;
    if (first > 0x7f) {
      const rest = this.varint();
      if (rest === 0) this.fail("BAD_VARINT", "number is padded with zeros");
      magnitude += rest * 64;
      if (magnitude > Number.MAX_SAFE_INTEGER) this.fail("BAD_VARINT", "number exceeds 2^53-1");
    }
    if ((first & 1) === 0) return magnitude;
    if (magnitude === 0) this.fail("BAD_VARINT", "zero has no sign");
    return -magnitude;
  }

  double(): number {
    if (this.end - this.pos < 8) this.fail("TRUNCATED", "the bytes end inside a double");
    const value = this.#buffer.readDoubleBE(this.pos);
    this.pos += 8;
    return value;
  }

  /** A length that lies within the bytes that are there: safe to slice, safe to skip. */
  size(): number {
    const size = this.varint();
    const left = this.end - this.pos;
    if (size > left) this.fail("TRUNCATED", `length ${size} exceeds the ${left} bytes left`);
    return size;
  }

  /** A view of the caller's buffer: nothing is copied. */
  bytes(maxBytes: number): Buffer {
    const size = this.size();
    if (size > maxBytes) this.fail("TOO_LARGE", `${size} bytes exceed ${maxBytes}`);
    // A view would cost 100 bytes, and keep the message alive for nothing.
    if (size === 0) return EMPTY;
    const value = this.#buffer.subarray(this.pos, this.pos + size);
    this.pos += size;
    return value;
  }

  text(maxBytes: number): string {
    const size = this.size();
    if (size > maxBytes) this.fail("TOO_LARGE", `string of ${size} bytes exceeds ${maxBytes}`);
    const start = this.pos;
    const end = (this.pos = start + size);
    const buffer = this.#buffer;
    if (size > LOOP_CHARS) return this.#longText(start, end);
    let seen = 0;
    for (let i = start; i < end; i++) seen |= buffer[i]!;
    if (seen > 0x7f) return this.#longText(start, end);
    if (size > SPELL_CHARS) return buffer.toString("latin1", start, end);
    let text = "";
    let i = start;
    for (; i + 4 <= end; i += 4) {
      text += spell(buffer[i]!, buffer[i + 1]!, buffer[i + 2]!, buffer[i + 3]!);
    }
    for (; i < end; i++) text += spell(buffer[i]!);
    return text;
  }

  #longText(start: number, end: number): string {
    // toString() would turn bad bytes into U+FFFD, and two different names could become equal.
    if (!isUtf8(this.#buffer.subarray(start, end))) this.fail("BAD_UTF8", "text is not UTF-8");
    return this.#buffer.toString("utf8", start, end);
  }

  /** Narrows `end` to a length-prefixed part. Hand the result to `leave`. */
  enter(): number {
    const size = this.size();
    const outer = this.end;
    this.end = this.pos + size;
    return outer;
  }

  leave(outer: number): void {
    if (this.pos !== this.end) this.fail("TRAILING", `${this.end - this.pos} bytes left over`);
    this.end = outer;
  }

  // #region skip
  /** Steps over a value of which only the wire type is known. */
  skip(wire: number): void {
    // #exercise skip
    if (wire === VARINT) this.varint();
    else if (wire === FIXED64) this.double();
    else if (wire === BYTES) {
      // Two statements: `this.pos += this.size()` would read `pos` before size() moves it.
      const size = this.size();
      this.pos += size;
    } else this.fail("BAD_WIRE_TYPE", `wire type ${wire} does not exist`);
    // #end-exercise
  }
  // #endregion
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
