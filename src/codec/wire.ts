/**
 * The three shapes that a value can have on the wire.
 *
 *     0 VARINT    seven bits per byte, lowest first; the high bit says "more follows"
 *     1 FIXED64   eight bytes, big-endian
 *     2 BYTES     a varint length, then that many bytes
 *
 * From these a reader knows how far to skip a field that it does not know. That, and nothing else,
 * lets old and new peers talk.
 */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;

/** 2^53-1 needs 53 bits, and eight bytes carry 56. A ninth byte can only be an attack or a bug. */
export const MAX_VARINT_BYTES = 8;

/** Up to here a loop over the characters beats a call into C++ (measured: they meet near 40). */
export const LOOP_CHARS = 40;

/** JavaScript's shifts see 32 bits: larger numbers than this are handled in two halves. */
export const TWO_28 = 2 ** 28;
