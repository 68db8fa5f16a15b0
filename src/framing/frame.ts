/**
 * One frame: its parts, and how it is written.
 *
 * Test: test/01-framing.test.ts
 */
import { invariant } from "#base";
import { crcJoin, crcOf, crcShort } from "./crc.ts";
import { FramingError } from "./error.ts";

/** Everything in front of a body. */
export const HEADER_BYTES = 16;
/** The native dialect. Version 1 is the older one, with headers of 8 bytes. */
export const VERSION = 2;
/** Larger bodies travel in pieces: at 1 Gbit/s one of 8 MiB blocks a connection for 70 ms. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** From this size on the checksum of a body is worth keeping: it takes longer than joining two. */
export const LARGE_BODY_BYTES = 4096;
/** The checksum covers the header up to itself. */
export const CRC_OFFSET = 12;

/** In the fourth byte: the checksum covers the header alone. */
export const BARE = 1;

const NO_BODY = Buffer.alloc(0);

const U8_MAX = 0xff;
const U32_MAX = 0xffff_ffff;
invariant(MAX_BODY_BYTES <= U32_MAX, "a body's length fits its field");

/** A frame as it was read. */
export interface Frame {
  /** The meaning of the body, 0–255: the business of the layer above. */
  opcode: number;
  /** Eight bits for the layer above. */
  flags: number;
  /** Pairs a reply with its request, 0 ≤ id < 2^32. */
  requestId: number;
  /** Often a view of the socket's chunk: a caller that keeps it longer than the turn copies it. */
  body: Buffer;
  /** Its body came without a checksum. */
  isBare?: boolean;
  /** The checksum of a large body alone. A frame that passes the body on need not count it anew. */
  bodyCrc?: number;
}

/** A frame to be written. A field that is left out is 0, or empty. */
export interface FrameInit {
  opcode: number;
  flags?: number;
  requestId?: number;
  body?: Uint8Array;
  /** The checksum of the body, where it is known. */
  bodyCrc?: number | undefined;
  /** The checksum is that of the header alone. The reader has to know of such frames. */
  isBare?: boolean | undefined;
}

/**
 * One buffer with the header and a copy of the body.
 *
 * @throws {FramingError} `TOO_LARGE` when the body exceeds {@link MAX_BODY_BYTES}: the peer would
 * hang up.
 *
 * @example
 * ```ts
 * import { encodeFrame } from "#framing";
 * const frame = encodeFrame({ opcode: 7, requestId: 1, body: Buffer.from("hi") });
 * frame.length // => 18
 * frame.subarray(0, 12).toString("hex") // => '020700000000000100000002'
 * ```
 */
export function encodeFrame(frame: FrameInit): Buffer {
  const body = frame.body ?? NO_BODY;
  checkBody(body);
  const out = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  writeHeader(out, frame, body);
  out.set(body, HEADER_BYTES);
  return out;
}

/**
 * Header and body apart, for big bodies: two writes to a corked socket cost less than copying
 * megabytes.
 */
export function frameParts(frame: FrameInit): [header: Buffer, body: Uint8Array] {
  const body = frame.body ?? NO_BODY;
  checkBody(body);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, frame, body);
  return [header, body];
}

function checkBody(body: Uint8Array): void {
  // Without a type checker a string gets here. It has a length too, and would be sent as zeros.
  invariant(body instanceof Uint8Array, "a body is a Uint8Array");
  if (body.length <= MAX_BODY_BYTES) return;
  const what = `length ${body.length} exceeds ${MAX_BODY_BYTES}`;
  throw new FramingError("TOO_LARGE", `Cannot write frame: ${what}`);
}

// #region writeHeader
function writeHeader(out: Buffer, frame: FrameInit, body: Uint8Array): void {
  const { opcode, flags = 0, requestId = 0 } = frame;
  invariant(isUnsigned(opcode, U8_MAX) && isUnsigned(flags, U8_MAX), "opcode and flags fit a byte");
  invariant(isUnsigned(requestId, U32_MAX), "requestId fits four bytes");
  out[0] = VERSION;
  out[1] = opcode;
  out[2] = flags;
  out[3] = frame.isBare ? BARE : 0; // other values are reserved for later versions
  writeU32(out, 4, requestId);
  writeU32(out, 8, body.length);
  // The length is under the checksum too: a flipped bit there must not move the end of the frame
  // unnoticed.
  const seed = crcShort(out, { start: 0, end: CRC_OFFSET, seed: 0 });
  writeU32(out, CRC_OFFSET, frame.isBare ? seed : crcOfAll(seed, frame, body));
}
// #endregion

function crcOfAll(seed: number, { bodyCrc }: FrameInit, body: Uint8Array): number {
  return bodyCrc === undefined ? crcOf(body, seed) : crcJoin(seed, bodyCrc, body.length);
}

function isUnsigned(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}

function writeU32(out: Buffer, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function readU32(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 24) | (bytes[at + 1]! << 16);
  return (high | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * The protocol that a peer speaks, from the first byte that it sends. `undefined`: neither.
 *
 * @example
 * ```ts
 * import { detectDialect } from "#framing";
 * [1, 2, 71].map(detectDialect) // => [ 'v1', 'v2', undefined ]
 * ```
 */
export function detectDialect(firstByte: number): "v1" | "v2" | undefined {
  if (firstByte === 1) return "v1";
  if (firstByte === VERSION) return "v2";
  return undefined;
}
