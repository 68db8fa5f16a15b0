/**
 * Values to bytes.
 *
 * Test: test/02-codec.test.ts
 */
import { CodecError, type CodecErrorCode } from "./error.ts";
import { LOOP_CHARS, MAX_VARINT_BYTES, TWO_28 } from "./wire.ts";

/** A first scratch: most messages are smaller, and it is allocated once per process. */
const SCRATCH_BYTES = 16 * 1024;
/** Larger scratches are given away or dropped, so that one large message does not stay for ever. */
const KEEP_BYTES = 1024 * 1024;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Appends values to one growing buffer that all messages share; `take` copies a message out. */
export class Writer {
  /**
   * The field being written, for error messages. One store per field is cheaper than a try/catch
   * with a path.
   */
  where = "";
  #buffer: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #pos = 0;

  /** The position of the next byte. */
  get length(): number {
    return this.#pos;
  }

  fail(code: CodecErrorCode, what: string): never {
    throw new CodecError(code, `Cannot encode ${this.where}: ${what}`);
  }

  // #region writeVarint
  /** `value` must be an integer, 0 ≤ value < 2^53: the types check that before they call. */
  varint(value: number): void {
    if (this.#pos + MAX_VARINT_BYTES > this.#buffer.length) this.#grow(MAX_VARINT_BYTES);
    const out = this.#buffer;
    let pos = this.#pos;
    let rest = value;
    if (value >= TWO_28) {
      // JavaScript shifts 32 bits and no more: a larger number goes as four bytes of low bits, then
      // the rest.
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
    this.#pos = pos;
  }
  // #endregion

  /** Sign in the lowest bit of the first byte, six bits of magnitude beside it, then seven each. */
  signed(value: number): void {
    const sign = value < 0 ? 1 : 0;
    const magnitude = Math.abs(value);
    const low = ((magnitude % 64) << 1) | sign;
    const rest = Math.floor(magnitude / 64);
    if (rest === 0) return this.varint(low);
    if (this.#pos + 1 > this.#buffer.length) this.#grow(1);
    this.#buffer[this.#pos++] = low | 0x80;
    this.varint(rest);
  }

  double(value: number): void {
    if (this.#pos + 8 > this.#buffer.length) this.#grow(8);
    this.#pos = this.#buffer.writeDoubleBE(value, this.#pos);
  }

  /** A length, then the bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    if (this.#pos + value.length > this.#buffer.length) this.#grow(value.length);
    this.#buffer.set(value, this.#pos);
    this.#pos += value.length;
  }

  /** A length, then UTF-8. */
  text(value: string, maxBytes: number): void {
    const chars = value.length;
    // No character takes less than one byte, so this refuses a giant string before looking into it.
    if (chars > maxBytes) {
      this.fail("TOO_LARGE", `string of ${chars} characters exceeds ${maxBytes} bytes`);
    }
    if (chars > LOOP_CHARS) return this.#longText(value, maxBytes);
    if (this.#pos + 1 + chars > this.#buffer.length) this.#grow(1 + chars);
    const out = this.#buffer;
    let pos = this.#pos;
    out[pos++] = chars;
    for (let i = 0; i < chars; i++) {
      const code = value.charCodeAt(i);
      // Not ASCII. Nothing is committed yet (`this.#pos` has not moved), so start over the general
      // way.
      if (code > 0x7f) return this.#longText(value, maxBytes);
      out[pos++] = code;
    }
    this.#pos = pos;
  }

  #longText(value: string, maxBytes: number): void {
    const bytes = Buffer.byteLength(value);
    if (bytes > maxBytes) this.fail("TOO_LARGE", `string of ${bytes} bytes exceeds ${maxBytes}`);
    // Node would silently write U+FFFD: the reader would get another string than the caller's.
    if (bytes !== value.length && LONE_SURROGATE.test(value)) {
      this.fail("BAD_UTF8", "half of a surrogate pair");
    }
    this.varint(bytes);
    if (this.#pos + bytes > this.#buffer.length) this.#grow(bytes);
    this.#pos += this.#buffer.write(value, this.#pos);
  }

  /** Begins a part whose length is not known yet. Hand the result to `close`. */
  open(): number {
    if (this.#pos + 1 > this.#buffer.length) this.#grow(1);
    return this.#pos++;
  }

  /** Fills in the length. One byte was reserved; a longer part moves up to make room. */
  close(opened: number): void {
    const start = opened + 1;
    const length = this.#pos - start;
    if (length < 0x80) {
      this.#buffer[opened] = length;
      return;
    }
    const extra = varintBytes(length) - 1;
    if (this.#pos + extra > this.#buffer.length) this.#grow(extra);
    this.#buffer.copyWithin(start + extra, start, this.#pos);
    this.#pos = opened;
    this.varint(length);
    this.#pos += length;
  }

  /** The bytes from `start` on, as a buffer of their own; the scratch is free again from there. */
  take(start: number): Buffer {
    const length = this.#pos - start;
    if (start === 0 && length > KEEP_BYTES) {
      // Copying megabytes costs more than a new scratch.
      const whole = this.#buffer.subarray(0, length);
      this.#buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
      this.#pos = 0;
      return whole;
    }
    const out = Buffer.allocUnsafe(length);
    const from = this.#buffer;
    if (length <= LOOP_CHARS) for (let i = 0; i < length; i++) out[i] = from[start + i]!;
    else out.set(from.subarray(start, this.#pos));
    this.rewind(start);
    return out;
  }

  /** Drops all bytes since `start`. */
  rewind(start: number): void {
    this.#pos = start;
    if (start === 0 && this.#buffer.length > KEEP_BYTES) {
      this.#buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    }
  }

  #grow(bytes: number): void {
    // Doubling: n bytes cost at most 2n copied, however many fields they came in.
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#pos + bytes));
    bigger.set(this.#buffer.subarray(0, this.#pos));
    this.#buffer = bigger;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
