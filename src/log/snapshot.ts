/**
 * Lesson 05: a snapshot file: the state after record `seq`, so that the records up to it need not
 * be replayed.
 *
 *     header (format.ts) | chunk 1 | chunk 2 | … | end mark
 *
 * Chunks are records (record.ts) numbered from 1. The end mark is an empty record with the barrier
 * bit, which here as in a segment says "everything before me is complete": a snapshot without one
 * was never finished.
 *
 * Invariants: written aside, fsynced and renamed before anything refers to it; read back only when
 * every chunk and the end mark check out.
 * Test: test/05-log.snapshot.test.ts
 */
import type { Storage, StoredFile } from "#host";
import { LogError } from "./errors.ts";
import { decodeHeader, encodeHeader, fileName, HEADER_BYTES } from "./format.ts";
import { encodeRecord, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, scanFile } from "./record.ts";

/**
 * A snapshot is fsynced after so many bytes: one fsync of the whole file would hold up the log's
 * own fsync for as long.
 */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;

export interface SnapshotPlace {
  readonly dir: string;
  readonly id: string;
  readonly seq: number;
}

/** The content of a snapshot: all of it now, or piece by piece while it is written. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Writes and renames the file; durable when it resolves. A failure leaves at most a `.tmp` file.
 */
export async function writeSnapshot(
  storage: Storage,
  place: SnapshotPlace,
  chunks: Chunks,
): Promise<void> {
  const name = fileName("snapshot", place.seq);
  const aside = `${place.dir}/${name}.tmp`;
  await storage.remove(aside);
  const file = await storage.open(aside, { create: true });
  try {
    await file.append([encodeHeader({ kind: "snapshot", id: place.id, seq: place.seq })]);
    await writeChunks(file, chunks);
  } catch (error) {
    // The disk may be full, and the log needs what is left of it. If this fails too, the next
    // opening removes it.
    await storage.remove(aside).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
  await storage.rename(aside, `${place.dir}/${name}`);
  await storage.syncDirectory(place.dir);
}

async function writeChunks(file: StoredFile, chunks: Chunks): Promise<void> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let seq = 1;
  for await (const body of chunks) {
    checkChunk(body);
    const part = Buffer.allocUnsafe(RECORD_HEADER_BYTES + body.byteLength);
    encodeRecord(part, 0, { seq: seq++, body, barrier: false });
    parts.push(part);
    bytes += part.length;
    if (bytes >= SYNC_EVERY_BYTES) {
      await file.appendAndSync(parts);
      parts = [];
      bytes = 0;
    }
  }
  const end = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
  encodeRecord(end, 0, { seq, body: Buffer.alloc(0), barrier: true });
  await file.appendAndSync([...parts, end]);
}

export interface SnapshotScan {
  readonly chunks: number;
  readonly bytes: number;
}

/**
 * Reads a snapshot through, handing out chunks as they were written. Throws LogError DAMAGED, GAP
 * or BAD_FORMAT.
 */
export async function readSnapshotFile(
  storage: Storage,
  place: SnapshotPlace,
  onChunk?: (chunk: Buffer) => void,
): Promise<SnapshotScan> {
  const path = `${place.dir}/${fileName("snapshot", place.seq)}`;
  if ((await storage.stat(path)) === undefined) {
    throw new LogError("GAP", `Cannot read snapshot ${path}: the file is missing`, { file: path });
  }
  const file = await storage.open(path, { readOnly: true });
  try {
    return await scanSnapshot(file, { path, id: place.id, seq: place.seq }, onChunk);
  } finally {
    await file.close();
  }
}

/** The same of a file that is open. */
export async function scanSnapshot(
  file: StoredFile,
  { path, id, seq }: { path: string; id: string; seq: number },
  onChunk?: (chunk: Buffer) => void,
): Promise<SnapshotScan> {
  const size = file.size;
  const header = decodeHeader(await file.read(0, HEADER_BYTES), { kind: "snapshot", file: path });
  const fail = (offset: number, what: string): LogError =>
    new LogError("DAMAGED", `Cannot read snapshot ${path}: offset ${offset}: ${what}`, {
      file: path,
      offset,
    });
  if (header.id !== id) throw fail(0, `it belongs to log ${header.id}, not ${id}`);
  if (header.seq !== seq) throw fail(0, `its header says ${header.seq}`);
  // The last record is the end mark, not a chunk: hold each back until the next one has arrived.
  let held: Buffer | undefined;
  const scan = await scanFile(file, {
    offset: HEADER_BYTES,
    seq: 1,
    end: size,
    onRecord: (_, body) => {
      if (held !== undefined) onChunk?.(held);
      held = body;
    },
  });
  if (scan.stopped !== undefined) throw fail(scan.offset, scan.stopped);
  if (scan.barriers !== 1 || held === undefined || held.length !== 0) {
    throw fail(size, "it has no end mark");
  }
  return { chunks: scan.seq - 2, bytes: size };
}

/** A chunk that could not be read back must be refused before it is written. */
export function checkChunk(chunk: Uint8Array): void {
  if (chunk.byteLength <= MAX_RECORD_BYTES) return;
  const found = `chunk of ${chunk.byteLength} bytes exceeds ${MAX_RECORD_BYTES}`;
  throw new LogError("TOO_LARGE", `Cannot save snapshot: ${found}`);
}
