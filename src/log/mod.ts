/**
 * Lesson 05: the append-only log. Survives `kill -9` and a power cut without losing an acknowledged
 * record.
 *
 *     errors.ts    the closed list of what can go wrong
 *     record.ts    one record: word | check | body, and scanning many        ← start here
 *     tail.ts      torn tail or damage?
 *     format.ts    names, headers, the manifest, and replacing a file atomically
 *     group.ts     the records that share one write and one fsync
 *     room.ts      a full disk: when to try again
 *     log.ts       append, group commit, durability; types.ts what is told of it
 *     folder.ts    rotation, compaction, replay
 *     snapshot.ts  a snapshot file
 *     examine.ts   reading a folder without changing it
 *     records.ts   reading a segment that somebody else writes
 *     read.ts      reading a whole log without changing it
 *     walk.ts      the same piece by piece, for a person who looks
 *     pin.ts       a log at one moment, beside its owner: for a backup
 *     view.ts      a log that is read again and again: for somebody who looks back
 *     open.ts      making or recovering a log
 *     recoveries.ts  what recoveries have cut or lost, for later
 *     repair.ts    inspect, verify, repair: for people
 *
 * Invariants: recovery hands out a prefix of what was appended; every record for which `durable()`
 * has resolved is in that prefix; damage in the middle makes the log refuse to open, naming file
 * and offset.
 * Left out: compression, encryption, several writers, reading while a snapshot compacts.
 * Test: test/05-log.test.ts
 *
 * @example
 * ```ts
 * import { openLog } from "#log";
 * import { nodeHost } from "#host";
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * const dir = await mkdtemp(join(tmpdir(), "titan-log-"));
 * const log = await openLog({ host: nodeHost(), dir });
 * log.append(Buffer.from("hello")); // => 1
 * log.append(Buffer.from("world")); // => 2
 * await log.durable();
 * log.stats.fsyncs; // => 1
 * await log.close();
 * const again = await openLog({ host: nodeHost(), dir });
 * const bodies: string[] = [];
 * await again.replay((seq, body) => void bodies.push(`${seq} ${body}`));
 * bodies; // => [ '1 hello', '2 world' ]
 * await again.close();
 * await rm(dir, { recursive: true });
 * ```
 */
export { LogError, type LogErrorCode } from "./errors.ts";
export type { LogProblem, SegmentInfo, SnapshotInfo } from "./examine.ts";
export { Log, MAX_PENDING_BYTES } from "./log.ts";
export type { Durability, LogRecovery, LogStats } from "./types.ts";
export { type LogOptions, openLog } from "./open.ts";
export { MAX_RECORD_BYTES } from "./record.ts";
export { type PastRecovery, readRecoveries } from "./recoveries.ts";
export { hasNoRoom, type LogFull } from "./room.ts";
export { type LogReading, readLog } from "./read.ts";
export { pinLog, type PinnedFile, type PinnedLog } from "./pin.ts";
export { type Place, readSegment } from "./records.ts";
export {
  inspectLog,
  type LogInspection,
  type LogRepair,
  type LogVerification,
  type MovedBytes,
  repairLog,
  verifyLog,
} from "./repair.ts";
export { type LogBlock, type LogPlace, LogView, placeAfter } from "./view.ts";
export { type LogPiece, walkLog, type WalkOptions } from "./walk.ts";
