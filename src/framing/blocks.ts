/**
 * Memory for large bytes that wait for a moment, and that is used again.
 *
 *     lent bytes ──keep──▶ a block of their own ──(written, or taken)──▶ letGo ──▶ the next ones
 *
 * Bytes that pass through a process wait in it only while somebody is behind, and then each 64 KiB
 * would be memory of its own for a millisecond. V8 counts such memory, and marks the whole heap to
 * get it back: a third of the time of a master that forwards (docs/decisions/012).
 *
 * Invariants: a block has one owner from `takeBlock` to `letGo`; what is spare is bounded; memory
 * that is not a block is never handed out again, whoever lets go of it.
 * Test: test/01-framing.lent.test.ts
 */
import { invariant } from "#base";

interface Size {
  readonly bytes: number;
  readonly leastBytes: number;
  readonly mostSpares: number;
  readonly spares: Buffer[];
}

/** An item of a stream that is passed on (64 KiB), with its header. */
export const BLOCK_BYTES = 65 * 1024;
/** Fewer bytes are cheap to allocate, and would waste most of a block. */
const LEAST_BLOCK_BYTES = 16 * 1024;
/**
 * 3 MiB for the process: a window that waits to be written, and the one that waits behind it.
 */
const SMALL: Size = {
  bytes: BLOCK_BYTES, leastBytes: LEAST_BLOCK_BYTES, mostSpares: 48, spares: [],
};
/** A piece of a file (256 KiB), with what is around it. A master reads up to sixteen at a time. */
const LARGE: Size = { bytes: 257 * 1024, leastBytes: 128 * 1024, mostSpares: 16, spares: [] };
invariant(SMALL.bytes < LARGE.leastBytes, "bytes are of one size, or of none");

/** Blocks that are somebody's, or spare. */
const sizes = new WeakMap<ArrayBufferLike, Size>();

function sizeOf(bytes: number): Size | undefined {
  return [SMALL, LARGE].find((size) => bytes >= size.leastBytes && bytes <= size.bytes);
}

/** Whether bytes of this length lie in blocks. */
export function fitsBlock(bytes: number): boolean {
  return sizeOf(bytes) !== undefined;
}

/** Memory for so many bytes, with whatever was in it. */
export function takeBlock(bytes: number): Buffer {
  const size = sizeOf(bytes);
  const spare = size?.spares.pop();
  if (spare !== undefined) return spare;
  const block = Buffer.allocUnsafeSlow(size?.bytes ?? bytes);
  if (size !== undefined) sizes.set(block.buffer, size);
  return block;
}

/** The same, if it costs nothing. */
export function spareBlock(bytes: number): Buffer | undefined {
  return sizeOf(bytes)?.spares.pop();
}

/** A copy of bytes that are lent, in a block if they are large. */
export function keep(bytes: Uint8Array): Buffer {
  if (!fitsBlock(bytes.length)) return Buffer.from(bytes);
  const block = takeBlock(bytes.length);
  block.set(bytes);
  return block.subarray(0, bytes.length);
}

/** Nobody looks at these bytes any more, nor at others in the same memory. */
export function letGo({ buffer }: Uint8Array): void {
  const size = sizes.get(buffer);
  if (size !== undefined && size.spares.length < size.mostSpares) {
    size.spares.push(Buffer.from(buffer));
  }
}
