/**
 * Lesson 05: a whole log, read by somebody who is not its owner and must not change it: after an
 * accident, beside the folder's lock, before anybody decides to recover it.
 *
 * Left out: a folder that is written to meanwhile. A rotation or a snapshot in the middle looks
 * like a problem.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Host } from "#host";
import { LogError } from "./errors.ts";
import { examine } from "./examine.ts";
import { HEADER_BYTES } from "./format.ts";
import { type OnRecord, scanFile } from "./record.ts";
import { readSnapshotFile } from "./snapshot.ts";

export interface LogReading {
  /** Number of the first record that is there; one more than `last` when there is none. */
  readonly first: number;
  readonly last: number;
  /** What the snapshot covers: records up to this one. */
  readonly snapshot?: number;
}

/**
 * Hands out everything that the next `openLog` would hand out. `begin` comes first and says which
 * records there are. Then come the snapshot's chunks, then all records that are still there, also
 * those that the snapshot covers. Nothing is written; a torn tail is passed over and stays.
 *
 * @throws {LogError} for a log that `openLog` would refuse
 */
export async function readLog(
  host: Host,
  dir: string,
  on: { begin?: (reading: LogReading) => void; record: OnRecord; chunk?: (chunk: Buffer) => void },
): Promise<LogReading> {
  const { storage } = host;
  const found = await examine(storage, dir);
  const problem = found.problems.find(({ fatal }) => fatal);
  if (problem !== undefined) {
    const { code, file, offset, what } = problem;
    throw new LogError(
      code,
      `Cannot read log: ${file}${offset === undefined ? "" : `: offset ${offset}`}: ${what}`,
      { file, ...(offset !== undefined && { offset }) },
    );
  }
  const last = found.nextSeq - 1;
  const first = found.segments[0]?.firstSeq ?? found.nextSeq;
  const { snapshot, manifest } = found;
  const reading = { first, last, ...(snapshot !== undefined && { snapshot: snapshot.seq }) };
  on.begin?.(reading);
  if (snapshot !== undefined && manifest !== undefined) {
    await readSnapshotFile(storage, { dir, id: manifest.id, seq: snapshot.seq }, on.chunk);
  }
  for (const { file: path, firstSeq: seq, end } of found.segments) {
    const file = await storage.open(path, { readOnly: true });
    try {
      await scanFile(file, { offset: HEADER_BYTES, seq, end, onRecord: on.record });
    } finally {
      await file.close();
    }
  }
  return reading;
}
