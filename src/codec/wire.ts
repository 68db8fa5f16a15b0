/**
 * Bytes out (`Writer`) and bytes in (`Reader`): the three shapes that a value can have on the wire.
 *
 *     0 VARINT    seven bits per byte, lowest first; the high bit says "more follows"
 *     1 FIXED64   eight bytes, big-endian
 *     2 BYTES     a varint length, then that many bytes
 *
 * A reader that does not know a field still knows from these shapes how far to skip. That, and
 * nothing else, is why old and new peers can talk.
 */
import { isUtf8 } from "node:buffer";
import { CodecError, type CodecErrorCode } from "./error.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;

/** 2^53-1 needs 53 bits, and eight bytes carry 56. A ninth byte can only be an attack or a bug. */
export const MAX_VARINT_BYTES = 8;

/** A first scratch: most messages are smaller, and it is allocated once per process. */
const SCRATCH_BYTES = 16 * 1024;
/** Bigger scratches are given away or dropped, so that one large message does not stay for ever. */
const KEEP_BYTES = 1024 * 1024;
/** Up to here a loop over the characters beats a call into C++ (measured: they meet near 40). */
const LOOP_CHARS = 40;
/** Up to here `fromCharCode` beats `toString("latin1")`, which costs about 40 ns however short the text. */
const SPELL_CHARS = 12;

const TWO_28 = 2 ** 28;
const TWO_25 = 2 ** 25;
const EMPTY = Buffer.alloc(0);
const LONE_SURROGATE = /\p{Surrogate}/u;
const spell = String.fromCharCode;

/** Appends values to one growing buffer that all messages share; `take` copies a finished one out. */
export class Writer {
  /** The field being written, for error messages. One store per field is cheaper than a try/catch with a path. */
  where = "";
  private buffer: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  private pos = 0;

  /** Where the next byte goes. */
  get length(): number {
    return this.pos;
  }

  fail(code: CodecErrorCode, what: string): never {
    throw new CodecError(code, `Cannot encode ${this.where}: ${what}`);
  }

  // #region varint
  /** `value` must be an integer, 0 ≤ value < 2^53: the types check that before they call. */
  varint(value: number): void {
    if (this.pos + MAX_VARINT_BYTES > this.buffer.length) this.grow(MAX_VARINT_BYTES);
    const out = this.buffer;
    let pos = this.pos;
    let rest = value;
    if (value >= TWO_28) {
      // JavaScript shifts 32 bits and no more: larger numbers go as four bytes of low bits, then the rest.
      let low = value % TWO_28;
      rest = (value - low) / TWO_28;
      for (let i = 0; i < 4; i++) {
        out[pos++] = (low & 0x7f) | 0x80;
        low >>>= 7;
      }
    }
    while (rest > 0x7f) {
      out[pos++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    out[pos++] = rest;
    this.pos = pos;
  }
  // #endregion

  /** Sign in the lowest bit of the first byte, six bits of magnitude beside it, then seven per byte. */
  signed(value: number): void {
    const sign = value < 0 ? 1 : 0;
    const magnitude = Math.abs(value);
    const low = ((magnitude % 64) << 1) | sign;
    const rest = Math.floor(magnitude / 64);
    if (rest === 0) return this.varint(low);
    if (this.pos + 1 > this.buffer.length) this.grow(1);
    this.buffer[this.pos++] = low | 0x80;
    this.varint(rest);
  }

  double(value: number): void {
    if (this.pos + 8 > this.buffer.length) this.grow(8);
    this.pos = this.buffer.writeDoubleBE(value, this.pos);
  }

  /** A length, then the bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    if (this.pos + value.length > this.buffer.length) this.grow(value.length);
    this.buffer.set(value, this.pos);
    this.pos += value.length;
  }

  /** A length, then UTF-8. */
  text(value: string, maxBytes: number): void {
    const chars = value.length;
    // No character takes less than one byte, so this refuses a giant string before looking into it.
    if (chars > maxBytes) this.fail("TOO_LARGE", `string of ${chars} characters exceeds ${maxBytes} bytes`);
    if (chars > LOOP_CHARS) return this.longText(value, maxBytes);
    if (this.pos + 1 + chars > this.buffer.length) this.grow(1 + chars);
    const out = this.buffer;
    let pos = this.pos;
    out[pos++] = chars;
    for (let i = 0; i < chars; i++) {
      const code = value.charCodeAt(i);
      // Not ASCII: nothing is committed yet (`this.pos` has not moved), so start over the general way.
      if (code > 0x7f) return this.longText(value, maxBytes);
      out[pos++] = code;
    }
    this.pos = pos;
  }

  private longText(value: string, maxBytes: number): void {
    const bytes = Buffer.byteLength(value);
    if (bytes > maxBytes) this.fail("TOO_LARGE", `string of ${bytes} bytes exceeds ${maxBytes}`);
    // Node would write U+FFFD and say nothing: the reader would get another string than we were given.
    if (bytes !== value.length && LONE_SURROGATE.test(value)) this.fail("BAD_UTF8", "string has half of a surrogate pair");
    this.varint(bytes);
    if (this.pos + bytes > this.buffer.length) this.grow(bytes);
    this.pos += this.buffer.write(value, this.pos);
  }

  /** Begins something whose length is not known yet. Hand the result to `close`. */
  open(): number {
    if (this.pos + 1 > this.buffer.length) this.grow(1);
    return this.pos++;
  }

  /** Fills in the length: one byte was reserved, and what is longer than 127 moves up to make room. */
  close(opened: number): void {
    const start = opened + 1;
    const length = this.pos - start;
    if (length < 0x80) {
      this.buffer[opened] = length;
      return;
    }
    const extra = varintBytes(length) - 1;
    if (this.pos + extra > this.buffer.length) this.grow(extra);
    this.buffer.copyWithin(start + extra, start, this.pos);
    this.pos = opened;
    this.varint(length);
    this.pos += length;
  }

  /** The bytes from `start` on, as a buffer of their own; the scratch is free again from there. */
  take(start: number): Buffer {
    const length = this.pos - start;
    if (start === 0 && length > KEEP_BYTES) {
      // Copying megabytes costs more than a new scratch.
      const whole = this.buffer.subarray(0, length);
      this.buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
      this.pos = 0;
      return whole;
    }
    const out = Buffer.allocUnsafe(length);
    const from = this.buffer;
    if (length <= LOOP_CHARS) for (let i = 0; i < length; i++) out[i] = from[start + i]!;
    else out.set(from.subarray(start, this.pos));
    this.rewind(start);
    return out;
  }

  /** Drops what was written since `start`. */
  rewind(start: number): void {
    this.pos = start;
    if (start === 0 && this.buffer.length > KEEP_BYTES) this.buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  }

  private grow(bytes: number): void {
    // Doubling: n bytes cost at most 2n copied, however many fields they came in.
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.pos + bytes));
    bigger.set(this.buffer.subarray(0, this.pos));
    this.buffer = bigger;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Takes values off the front of a buffer, and never looks past `end`. */
export class Reader {
  /** The field being read, for error messages. */
  where = "";
  pos = 0;
  end = 0;
  private buffer: Buffer = EMPTY;

  reset(bytes: Uint8Array): void {
    this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = 0;
    this.end = bytes.length;
  }

  /** Lets go of the caller's buffer, which might otherwise be kept until the next message. */
  release(): void {
    this.buffer = EMPTY;
  }

  fail(code: CodecErrorCode, what: string): never {
    throw new CodecError(code, `Cannot decode ${this.where}: ${what}`);
  }

  varint(): number {
    const { buffer, end } = this;
    let pos = this.pos;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 56; shift += 7) {
      if (pos >= end) this.fail("TRUNCATED", "the bytes end inside a number");
      const byte = buffer[pos++]!;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else high |= (byte & 0x7f) << (shift - 28);
      if (byte > 0x7f) continue;
      // 0x80 0x00 is a longer way to write zero. With one spelling per number, equal values have equal bytes.
      if (byte === 0 && shift > 0) this.fail("BAD_VARINT", "number is padded with zeros");
      if (high >= TWO_25) this.fail("BAD_VARINT", "number exceeds 2^53-1");
      this.pos = pos;
      return high === 0 ? low : high * TWO_28 + low;
    }
    return this.fail("BAD_VARINT", `number is longer than ${MAX_VARINT_BYTES} bytes`);
  }

  signed(): number {
    if (this.pos >= this.end) this.fail("TRUNCATED", "the bytes end inside a number");
    const first = this.buffer[this.pos++]!;
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
    const value = this.buffer.readDoubleBE(this.pos);
    this.pos += 8;
    return value;
  }

  /** A length that is known to lie within the bytes that are there: safe to slice, safe to skip. */
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
    const value = this.buffer.subarray(this.pos, this.pos + size);
    this.pos += size;
    return value;
  }

  text(maxBytes: number): string {
    const size = this.size();
    if (size > maxBytes) this.fail("TOO_LARGE", `string of ${size} bytes exceeds ${maxBytes}`);
    const start = this.pos;
    const end = (this.pos = start + size);
    const { buffer } = this;
    if (size > LOOP_CHARS) return this.longText(start, end);
    let seen = 0;
    for (let i = start; i < end; i++) seen |= buffer[i]!;
    if (seen > 0x7f) return this.longText(start, end);
    if (size > SPELL_CHARS) return buffer.toString("latin1", start, end);
    let text = "";
    let i = start;
    for (; i + 4 <= end; i += 4) text += spell(buffer[i]!, buffer[i + 1]!, buffer[i + 2]!, buffer[i + 3]!);
    for (; i < end; i++) text += spell(buffer[i]!);
    return text;
  }

  private longText(start: number, end: number): string {
    // toString() would turn bad bytes into U+FFFD, and two different names could become equal.
    if (!isUtf8(this.buffer.subarray(start, end))) this.fail("BAD_UTF8", "text is not UTF-8");
    return this.buffer.toString("utf8", start, end);
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
    if (wire === VARINT) this.varint();
    else if (wire === FIXED64) this.double();
    else if (wire === BYTES) this.pos += this.size();
    else this.fail("BAD_WIRE_TYPE", `wire type ${wire} does not exist`);
  }
  // #endregion
}
