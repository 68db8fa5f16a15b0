/**
 * Lesson 10: what jobs print, as it lies in a file.
 *
 *     record:   stream u8 | time u48 | length u32 | bytes
 *     mark:     3         | time     | 8          | u64      first in a later file of a service
 *
 * Invariant: a record that is torn, or cannot be one, ends what is read of a file: without an fsync
 * a power cut may leave anything there.
 * Test: test/10-master.output.test.ts, test/14-services.output.test.ts
 */
import type { StoredFile } from "#host";
import { BLOB_CHUNK_BYTES, type LostOutput, type OutputChunk } from "#wire";

const HEADER_BYTES = 11;
/**
 * The byte in the file is the index here. 0 is none, because zeros are what a file system leaves of
 * a lost write.
 */
const STREAMS = [undefined, "stdout", "stderr"] as const;
const MARK = 3;
const MARK_BYTES = 8;
/** Per attempt of a job that ends. Nobody has ever read its log beyond its first 16 MiB. */
export const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Chunks in one page of a reader: with a note before them, as the schema of OutputPage allows. */
const PAGE_CHUNKS = 4095;
/** A page of a reader: holds the largest record, and fits into one frame with its overhead. */
const PAGE_BYTES = HEADER_BYTES + BLOB_CHUNK_BYTES;

export interface Page {
  readonly chunks: OutputChunk[];
  /** Of the file. */
  readonly bytes: number;
  /** Of a page that begins with it. */
  readonly mark: Mark | undefined;
}

/** Output of the attempt before a file, and when that was begun. */
export interface Mark {
  readonly before: number;
  readonly at: number;
}

/** Whole records from `offset` on. */
export async function readPage(file: StoredFile, offset: number): Promise<Page> {
  const bytes = await file.read(offset, PAGE_BYTES);
  const chunks: OutputChunk[] = [];
  let mark: Mark | undefined;
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length && chunks.length < PAGE_CHUNKS) {
    const kind = bytes[at]!;
    const stream = STREAMS[kind];
    const length = bytes.readUInt32BE(at + 7);
    const end = at + HEADER_BYTES + length;
    const isMark = kind === MARK && offset + at === 0 && length === MARK_BYTES;
    if ((stream === undefined && !isMark) || end > bytes.length) break;
    const data = bytes.subarray(at + HEADER_BYTES, end);
    const time = bytes.readUIntBE(at + 1, 6);
    if (stream === undefined) mark = { before: Number(data.readBigUInt64BE()), at: time };
    else chunks.push({ stream, at: time, data });
    at = end;
  }
  return { chunks, bytes: at, mark };
}

export interface Measured {
  /** Of output, in whole records. */
  bytes: number;
  /** The end of the last whole record. */
  end: number;
  mark: Mark | undefined;
}

/** Goes through a file once. */
export async function measure(file: StoredFile): Promise<Measured> {
  const found: Measured = { bytes: 0, end: 0, mark: undefined };
  for (;;) {
    const page = await readPage(file, found.end);
    if (page.bytes === 0) return found;
    found.mark ??= page.mark;
    found.end += page.bytes;
    found.bytes += sizeOf(page.chunks);
  }
}

/** The records that still have room behind `bytes` bytes of output, and the count after them. */
export function recordsFor(
  bytes: number, chunks: readonly OutputChunk[],
): { parts: Buffer[]; bytes: number } {
  const parts: Buffer[] = [];
  const add = (chunk: OutputChunk, data: Buffer): void => {
    if (data.length > 0) parts.push(header(chunk, data.length), data);
    bytes += data.length;
  };
  for (const chunk of chunks) {
    if (bytes > MAX_OUTPUT_BYTES) break;
    const data = chunk.data.subarray(0, MAX_OUTPUT_BYTES - bytes);
    add(chunk, data);
    if (data.length === chunk.data.length) continue;
    const note = `\n[titan: output beyond ${MAX_OUTPUT_BYTES} bytes is not kept]\n`;
    add({ ...chunk, stream: "stderr" }, Buffer.from(note));
  }
  return { parts, bytes };
}

/** All of them. */
export function allRecords(
  bytes: number, chunks: readonly OutputChunk[],
): { parts: Buffer[]; bytes: number } {
  const parts = chunks.filter(({ data }) => data.length > 0)
    .flatMap((chunk) => [header(chunk, chunk.data.length), chunk.data]);
  return { parts, bytes: bytes + sizeOf(chunks) };
}

export function lossNote({ bytes, why }: LostOutput, at: number): OutputChunk {
  const text = `\n[titan: ${bytes} bytes of output could not be stored: ${why}]\n`;
  return { stream: "stderr", at, data: Buffer.from(text) };
}

export function markRecord({ before, at }: Mark): Buffer[] {
  const data = Buffer.alloc(MARK_BYTES);
  data.writeBigUInt64BE(BigInt(before));
  return [headerOf({ kind: MARK, at, length: MARK_BYTES }), data];
}

function header({ stream, at }: OutputChunk, length: number): Buffer {
  return headerOf({ kind: STREAMS.indexOf(stream), at, length });
}

function headerOf({ kind, at, length }: { kind: number; at: number; length: number }): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes[0] = kind;
  bytes.writeUIntBE(at, 1, 6);
  bytes.writeUInt32BE(length, 7);
  return bytes;
}

export function sizeOf(chunks: readonly OutputChunk[]): number {
  return chunks.reduce((sum, { data }) => sum + data.length, 0);
}

/** A file that could not be written, and ends where it ended before. */
class NotWritten extends Error {}

export const isWhole = (error: unknown): boolean => error instanceof NotWritten;

/** Half a record at the end would hide all that come after it. */
export async function appendWhole(file: StoredFile, parts: Buffer[]): Promise<void> {
  const { size } = file;
  try {
    await file.append(parts);
  } catch (error) {
    await file.truncate(size);
    const { message, code } = error as Error & { code?: string };
    throw Object.assign(new NotWritten(message, { cause: error }), { code });
  }
}
