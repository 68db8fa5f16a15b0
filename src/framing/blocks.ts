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

/** An item of a stream that is passed on (64 KiB), with its header. */
export const BLOCK_BYTES = 65 * 1024;
/** Fewer bytes are cheap to allocate, and would waste most of a block. */
export const LEAST_BLOCK_BYTES = 16 * 1024;
/** 3 MiB for the process: a window that waits to be written, and the one that waits behind it. */
const MAX_SPARES = 48;

const spares: Buffer[] = [];
const blocks = new WeakSet<ArrayBufferLike>();

/** Memory of BLOCK_BYTES, with whatever was in it. */
export function takeBlock(): Buffer {
  const spare = spareBlock();
  if (spare !== undefined) return spare;
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  blocks.add(block.buffer);
  return block;
}

/** The same, if it costs nothing. */
export function spareBlock(): Buffer | undefined {
  return spares.pop();
}

/** A copy of bytes that are lent, in a block if they are large. */
export function keep(bytes: Uint8Array): Buffer {
  if (bytes.length < LEAST_BLOCK_BYTES || bytes.length > BLOCK_BYTES) return Buffer.from(bytes);
  const block = takeBlock();
  block.set(bytes);
  return block.subarray(0, bytes.length);
}

/** Nobody looks at these bytes any more. */
export function letGo(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (spares.length < MAX_SPARES && blocks.has(buffer)) spares.push(Buffer.from(buffer));
}
