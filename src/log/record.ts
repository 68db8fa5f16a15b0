/**
 * Lesson 05: one record, and many of them in a row.
 *
 *     word u32 | check u32 | body          big-endian
 *
 *     word   the body's length; its top bit is the barrier
 *     check  crc32 over word and body, XOR the record's sequence number (low 32 bits)
 *
 * The sequence number is not stored. It is mixed into the checksum, so a record that was copied,
 * moved or repeated does not check out in its new place; and XOR can be undone, so an intact record
 * found anywhere tells its number.
 *
 * The barrier says: "when I was written, everything before me had been fsynced". The barrier tells
 * a torn tail from damage (tail.ts).
 *
 * Invariants: eight zero bytes are never a record, because they would be number 0 and numbers start
 * at 1; no length from the file decides an allocation before it has been compared with the file's
 * size.
 * Left out: compression, and a stronger hash: crc32 finds accidents, not forgeries. Starting the
 * crc from the word has a price: if the barrier and the top bit of the body's fourth byte are both
 * flipped, the two cancel out. One flipped bit alone never does.
 * Test: test/05-log.test.ts
 */
import { crc32 } from "node:zlib";
import type { StoredFile } from "#host";

/**
 * A whole project archive fits (64 MiB), and a length never needs the bits above, so they are free
 * for the barrier.
 */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024;

export const RECORD_HEADER_BYTES = 8;

/** Top bit of the word. MAX_RECORD_BYTES is 2^26, so lengths cannot reach it. */
const BARRIER = 0x8000_0000;
const LENGTH_MASK = 0x7fff_ffff;

/**
 * One read: large enough that the call costs nothing per record, small enough that a caller who
 * keeps one body alive keeps only this much alive with it.
 */
export const READ_BLOCK_BYTES = 256 * 1024;

export interface RecordFields {
  readonly seq: number;
  readonly body: Uint8Array;
  /** Everything before this record is on disk for certain. */
  readonly barrier: boolean;
}

/**
 * Writes one record into `target` at `at`; returns the offset after it. The caller has made room.
 */
// #region encode
export function encodeRecord(target: Buffer, at: number, record: RecordFields): number {
  // #exercise encodeRecord
  const { seq, body, barrier } = record;
  const word = barrier ? body.byteLength + BARRIER : body.byteLength;
  target.writeUInt32BE(word, at);
  target.writeUInt32BE(checksum(word, seq, body), at + 4);
  target.set(body, at + RECORD_HEADER_BYTES);
  return at + RECORD_HEADER_BYTES + body.byteLength;
  // #end-exercise
}

function checksum(word: number, seq: number, body: Uint8Array): number {
  // crc32 takes the state to start from. Starting from the word saves the call that would feed the
  // word in.
  return (crc32(body, word) ^ seq) >>> 0;
}
// #endregion

/** The number of the record at `at`, if a record is there: the inverse of the XOR in `checksum`. */
export function claimedSeq(bytes: Buffer, at: number): number {
  const word = bytes.readUInt32BE(at);
  const stored = bytes.readUInt32BE(at + 4);
  const length = word & LENGTH_MASK;
  if (length === 0) return (stored ^ word) >>> 0; // the crc of nothing is its starting state
  const start = at + RECORD_HEADER_BYTES;
  return (stored ^ crc32(bytes.subarray(start, start + length), word)) >>> 0;
}

export function lengthAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) & LENGTH_MASK;
}

/**
 * The offset after the record at `at`, if one with number `seq` is there; `word` replaces its first
 * four bytes.
 */
export function endOfIntact(
  bytes: Buffer,
  record: { at: number; seq: number; word?: number },
): number | undefined {
  const start = record.at + RECORD_HEADER_BYTES;
  if (start > bytes.length) return undefined;
  const { seq, word = bytes.readUInt32BE(record.at) } = record;
  const end = start + (word & LENGTH_MASK);
  if (end > bytes.length) return undefined;
  const stored = bytes.readUInt32BE(record.at + 4);
  return stored === checksum(word, seq, bytes.subarray(start, end)) ? end : undefined;
}

export interface BlockScan {
  /**
   * Offset of the first byte that was not consumed, and the number the record there should have.
   */
  at: number;
  seq: number;
  barriers: number;
  /**
   * All bytes that the record at `at` needs, those that are there among them; of a header that is
   * cut, its 8. It is 0 when the record is whole (and bad), or when the block ends between records.
   */
  needs: number;
  /**
   * Set when the record at `at` is there and wrong: "length 9 exceeds 8" (the limit), or "checksum
   * mismatch".
   */
  bad?: string;
}

export type OnRecord = (seq: number, body: Buffer) => void;

/**
 * Consumes whole records from `bytes`, starting at `at` with number `seq`, until the bytes end or
 * one is wrong.
 */
// #region scan
export function scanBlock(
  bytes: Buffer,
  at: number,
  options: { seq: number; onRecord?: OnRecord },
): BlockScan {
  // #exercise scanBlock
  const { onRecord } = options;
  const scan: BlockScan = { at, seq: options.seq, barriers: 0, needs: 0 };
  while (scan.at < bytes.length) {
    const start = scan.at + RECORD_HEADER_BYTES;
    if (start > bytes.length) return { ...scan, needs: RECORD_HEADER_BYTES };
    const word = bytes.readUInt32BE(scan.at);
    const length = word & LENGTH_MASK;
    if (length > MAX_RECORD_BYTES) {
      return { ...scan, bad: `length ${length} exceeds ${MAX_RECORD_BYTES}` };
    }
    const end = start + length;
    if (end > bytes.length) return { ...scan, needs: RECORD_HEADER_BYTES + length };
    const body = bytes.subarray(start, end);
    const stored = bytes.readUInt32BE(scan.at + 4);
    if (stored !== checksum(word, scan.seq, body)) return { ...scan, bad: "checksum mismatch" };
    if (word !== length) scan.barriers++;
    onRecord?.(scan.seq, body);
    scan.seq++;
    scan.at = end;
  }
  return scan;
  // #end-exercise
}
// #endregion

export interface FileScan {
  /** Where reading stopped, and the number of the record that should stand there. */
  offset: number;
  seq: number;
  barriers: number;
  /** Why it stopped; undefined when it came to `end` exactly. */
  stopped?: string;
}

export interface ScanOptions {
  /** First byte to read, and the number of the record there. */
  readonly offset: number;
  readonly seq: number;
  /** Byte to stop before: the file's size, usually. */
  readonly end: number;
  /** Bodies are slices of a block that nothing else will write to: they may be kept. */
  readonly onRecord?: OnRecord;
}

/**
 * Reads records block by block. A record that straddles two blocks is read again whole, never glued
 * together.
 */
export async function scanFile(file: StoredFile, options: ScanOptions): Promise<FileScan> {
  const { end } = options;
  let { offset, seq } = options;
  let barriers = 0;
  let want = READ_BLOCK_BYTES;
  while (offset < end) {
    const block = await file.read(offset, Math.min(want, end - offset));
    const scan = scanBlock(
      block,
      0,
      options.onRecord ? { seq, onRecord: options.onRecord } : { seq },
    );
    offset += scan.at;
    seq = scan.seq;
    barriers += scan.barriers;
    if (scan.bad !== undefined) return { offset, seq, barriers, stopped: scan.bad };
    if (scan.needs > end - offset) {
      return {
        offset,
        seq,
        barriers,
        stopped: `record needs ${scan.needs} bytes, ${end - offset} are there`,
      };
    }
    if (block.length === 0) {
      return { offset, seq, barriers, stopped: "the file is shorter than it was" };
    }
    want = Math.max(READ_BLOCK_BYTES, scan.needs);
  }
  return { offset, seq, barriers };
}
