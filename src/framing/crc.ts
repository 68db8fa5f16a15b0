/**
 * CRC-32 (the one of Ethernet, gzip and PNG), quick for short input too.
 *
 * Test: test/01-framing.test.ts, test/01-framing.lent.test.ts
 */
import { crc32 } from "node:zlib";

/**
 * Up to here a table in JavaScript wins: calling into zlib costs about 30 ns before the first
 * byte. Beyond, zlib's vector instructions win by far (measured: equal near 50 bytes).
 */
const SHORT_BYTES = 48;

/** `TABLE[b]`: byte b after eight steps of long division by the polynomial 0xEDB88320. */
const TABLE = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  TABLE[byte] = rest;
}

interface CrcRange {
  readonly start: number;
  readonly end: number;
  readonly seed: number;
}

/** The checksum of `bytes[start, end)`, continuing from `seed` (0 begins a new one). */
export function crcShort(bytes: Uint8Array, range: CrcRange): number {
  let crc = ~range.seed;
  for (let i = range.start; i < range.end; i++) {
    crc = TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/**
 * The checksum of a whole from those of its two parts: the first one's is pushed on by as many
 * zeros as the second has bytes. It takes about 1 µs, for 64 KiB as for one byte.
 *
 * In the polynomials that a CRC is the remainder of, eight zeros are a multiplication by x^8.
 */
export function crcJoin(first: number, second: number, secondBytes: number): number {
  if (secondBytes !== powerOf.bytes) {
    powerOf = { bytes: secondBytes, power: powerOfX(8 * secondBytes) };
  }
  return (multiply(powerOf.power, first) ^ second) >>> 0;
}

/** Bit 31 is x^0. */
const ONE = 0x80000000;
/** Most bodies that pass through are of one length. */
let powerOf = { bytes: 0, power: ONE };

/** `SQUARES[n]`: x^(2^n), as far as somebody has asked. */
const SQUARES = [ONE >>> 1];

/** x^`exponent`: the product of the squares that its bits stand for. */
function powerOfX(exponent: number): number {
  let power = ONE;
  for (let n = 0, rest = exponent; rest > 0; n++, rest = Math.floor(rest / 2)) {
    SQUARES[n] ??= multiply(SQUARES[n - 1]!, SQUARES[n - 1]!);
    if (rest % 2 === 1) power = multiply(power, SQUARES[n]!);
  }
  return power;
}

/** The product of two polynomials, modulo that of the checksum. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = ONE, shifted = b; bit !== 0; bit >>>= 1) {
    if (a & bit) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ 0xedb88320 : shifted >>> 1;
  }
  return product >>> 0;
}

/** The checksum of all of `bytes`, continuing from `seed`. */
export function crcOf(bytes: Uint8Array, seed: number): number {
  if (bytes.length > SHORT_BYTES) return crc32(bytes, seed);
  return crcShort(bytes, { start: 0, end: bytes.length, seed });
}
