/**
 * Lesson 01: frames. A socket delivers bytes; this cuts them into messages.
 *
 *     version=2 u8 | opcode u8 | flags u8 | reserved u8: 0, or 1
 *     requestId u32 | bodyLength u32 | crc32 u32 | body
 *     (16 bytes of header, big-endian; the crc covers the first 12 of them and the body;
 *      where the reserved byte is 1, the first 12 bytes alone)
 *
 *     frame.ts · crc.ts    one frame as bytes, and its checksum
 *     decoder.ts           frames out of a stream that comes in any pieces
 *     pieces.ts            the pieces, and what was taken out of them so far
 *     blocks.ts            memory for large bytes that wait, used again
 *     error.ts             the mistakes that bytes can have
 *
 * Invariants: the split of the bytes into chunks never changes the frames that come out; memory is
 * committed because bytes arrived, never because a header asked for it; a byte is copied at most a
 * constant number of times; after an error a decoder yields nothing ever again.
 * Left out: resynchronising after damage (TCP already retransmits what the wire breaks, so damage
 * means a bug or a stranger, and hanging up is safer than guessing), compression, encryption.
 * Test: test/01-framing.test.ts
 */
export { BLOCK_BYTES, keep, letGo, takeBlock } from "./blocks.ts";
export { FrameDecoder } from "./decoder.ts";
export { FramingError, type FramingErrorCode } from "./error.ts";
export {
  detectDialect,
  encodeFrame,
  type Frame,
  type FrameInit,
  frameParts,
  HEADER_BYTES,
  MAX_BODY_BYTES,
  VERSION,
} from "./frame.ts";
export { Pieces } from "./pieces.ts";
