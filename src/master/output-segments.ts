/**
 * Lesson 14: the output of an attempt that has no end. It goes into one file after another, and the
 * two newest stay.
 *
 *     output/1/0.4     gone: 8.4 MB were in it
 *     output/1/0.4.1   mark: 8.4 MB before │ records …          full: 8 MiB
 *     output/1/0.4.2   mark: 16.8 MB before │ records …         is being written
 *
 * A mark says how much output came before its file. So a position is a number of bytes since the
 * attempt began, for ever, and a reader who comes late or falls behind is told how much it missed.
 *
 * Invariants: at most two files, so two times SEGMENT_BYTES and a batch of the worker, on disk for
 * each attempt; a file is never written again once the next one is there. The last file of a reader
 * that is reading it stays readable: it is open.
 * Left out: compression.
 * Test: test/14-services.output.test.ts
 */
import type { Storage, StoredFile } from "#host";
import { droppedChunk, type OutputChunk } from "#wire";
import { appendWhole, markRecord, measure, readPage, sizeOf, type Page } from "./output-records.ts";

/** With the record headers: it is the disk that is bounded. */
export const SEGMENT_BYTES = 8 * 1024 * 1024;

/** Where somebody reads, or writes, in an attempt's output. */
export interface Position {
  /** 0 is the first file, which is the only one of a job that ends. */
  segment: number;
  /** In that file. */
  offset: number;
  /** Output of the attempt before that. */
  seen: number;
}

export const START: Readonly<Position> = { segment: 0, offset: 0, seen: 0 };

/** An attempt's files: `path` is the first one's. */
export function segmentPath(path: string, segment: number): string {
  return segment === 0 ? path : `${path}.${segment}`;
}

/** Those that are there, oldest first. */
export async function segmentsOf(storage: Storage, path: string): Promise<number[]> {
  const cut = path.lastIndexOf("/");
  const first = path.slice(cut + 1);
  const found: number[] = [];
  for (const name of await storage.list(path.slice(0, cut))) {
    if (name === first) found.push(0);
    if (!name.startsWith(`${first}.`)) continue;
    const segment = Number(name.slice(first.length + 1));
    if (segment > 0) found.push(segment);
  }
  return found.sort((a, b) => a - b);
}

/** The newest file of an attempt that goes on, and what is in it. */
export interface Segment {
  readonly file: StoredFile;
  readonly segment: number;
  /** Output before this file, and in it. */
  readonly before: number;
  readonly bytes: number;
}

/** A new one, or after a restart the last one that is there. A torn record at its end goes. */
export async function openNewest(
  storage: Storage, path: string, { there, at }: { there: readonly number[]; at: number },
): Promise<Segment> {
  const segment = there.at(-1) ?? 0;
  for (const old of there) if (old < segment - 1) await removeSegment(storage, path, old);
  const file = await storage.open(segmentPath(path, segment), { create: true });
  const found = await measure(file);
  if (found.end < file.size) await file.truncate(found.end);
  if (segment === 0) return { file, segment, before: 0, bytes: found.bytes };
  if (found.mark !== undefined) {
    return { file, segment, before: found.mark.before, bytes: found.bytes };
  }
  // The power went before the mark was on disk. Without it the file has nothing of ours.
  await file.truncate(0);
  const before = await sizeUpTo(storage, path, segment - 1);
  await appendWhole(file, markRecord({ before, at }));
  return { file, segment, before, bytes: 0 };
}

async function sizeUpTo(storage: Storage, path: string, segment: number): Promise<number> {
  const where = segmentPath(path, segment);
  if ((await storage.stat(where)) === undefined) return 0;
  const file = await storage.open(where, { readOnly: true });
  const { mark, bytes } = await measure(file).finally(() => file.close());
  return (mark?.before ?? 0) + bytes;
}

/** The next file; the one before the full one goes. */
export async function openNext(
  storage: Storage, path: string, { full, at }: { full: Segment; at: number },
): Promise<Segment> {
  const segment = full.segment + 1;
  const before = full.before + full.bytes;
  const file = await storage.open(segmentPath(path, segment), { create: true });
  try {
    await appendWhole(file, markRecord({ before, at }));
  } catch (error) {
    await file.close();
    throw error;
  }
  await full.file.close();
  // A disk that does not remove it now is asked when the file is opened again.
  if (segment >= 2) await removeSegment(storage, path, segment - 2).catch(() => undefined);
  return { file, segment, before, bytes: 0 };
}

export async function removeAll(storage: Storage, path: string): Promise<void> {
  for (const segment of await segmentsOf(storage, path)) {
    await removeSegment(storage, path, segment);
  }
}

async function removeSegment(storage: Storage, path: string, segment: number): Promise<void> {
  await storage.remove(segmentPath(path, segment));
}

// #region readSegments
/** What follows a position, which moves; empty: nothing does yet. */
export async function readOn(
  storage: Storage, path: string, at: Position,
): Promise<OutputChunk[]> {
  for (;;) {
    // Asked first: a file is complete if the next one was there before it was read.
    const isFull = (await storage.stat(segmentPath(path, at.segment + 1))) !== undefined;
    const page = await readFileAt(storage, segmentPath(path, at.segment), at.offset);
    if (page === undefined) {
      const next = (await segmentsOf(storage, path)).find((segment) => segment > at.segment);
      if (next === undefined) return [];
      Object.assign(at, { segment: next, offset: 0 });
      continue;
    }
    const missed = Math.max(0, (page.mark?.before ?? 0) - at.seen);
    const note = droppedChunk(missed, { isFirst: at.seen === 0, at: page.mark?.at ?? 0 });
    at.offset += page.bytes;
    at.seen += missed + sizeOf(page.chunks);
    if (missed > 0) return [note, ...page.chunks];
    if (page.chunks.length > 0) return page.chunks;
    if (page.bytes > 0) continue; // there was only a mark
    if (!isFull) return [];
    Object.assign(at, { segment: at.segment + 1, offset: 0 });
  }
}
// #endregion

/** The same of an attempt that ends, whose output is one file. */
export async function readFirst(
  storage: Storage, path: string, at: Position,
): Promise<OutputChunk[]> {
  const { chunks = [], bytes = 0 } = (await readFileAt(storage, path, at.offset)) ?? {};
  at.offset += bytes;
  at.seen += sizeOf(chunks);
  return chunks;
}

/** Undefined: there is no such file, or no more. */
async function readFileAt(
  storage: Storage, path: string, offset: number,
): Promise<Page | undefined> {
  if ((await storage.stat(path)) === undefined) return undefined;
  let file: StoredFile;
  try {
    file = await storage.open(path, { readOnly: true });
  } catch (error) {
    if ((await storage.stat(path)) === undefined) return undefined; // it went in between
    throw error;
  }
  try {
    return await readPage(file, offset);
  } finally {
    await file.close();
  }
}
