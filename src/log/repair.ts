/**
 * Lesson 05: what a person can do about a log: look, check, and cut.
 *
 * A repair never destroys. Bytes that it cuts go to a side file `NAME.damaged-OFFSET` first, whole
 * files are renamed to `NAME.damaged` (with `.2`, `.3` … if an earlier repair has used the name);
 * all stay until a person removes them.
 *
 * Invariants: after a repair the log opens; what is kept is a prefix of what was written; a dry run
 * changes nothing; a crash in the middle leaves a log that refuses to open until it is repaired
 * again, and that repair keeps as much.
 * Left out: joining what is intact on both sides of a hole. An event log with a hole is a different
 * history.
 * Test: test/05-log.tools.test.ts
 */
import type { Host, Storage } from "#host";
import {
  examine,
  type Examination,
  type LogProblem,
  type SegmentInfo,
  type SnapshotInfo,
} from "./examine.ts";
import { createSegment } from "./folder.ts";
import {
  encodeManifest,
  fileName,
  HEADER_BYTES,
  MANIFEST,
  replaceFile,
  seqOfName,
} from "./format.ts";
import { noteRecovery, type PastRecovery, readRecoveries } from "./recoveries.ts";
import { readSnapshotFile } from "./snapshot.ts";

/** One piece of a copy. A file that somebody has extended may be larger than any buffer. */
const COPY_BYTES = 1024 * 1024;

export interface LogInspection {
  readonly id?: string;
  readonly segments: readonly SegmentInfo[];
  readonly snapshots: readonly SnapshotInfo[];
  /** First and last record that a replay would hand out; absent when there is none. */
  readonly range?: { readonly from: number; readonly to: number };
  readonly records: number;
  readonly bytes: number;
  readonly tornBytes: number;
  readonly tornFile?: string;
  /** Leftovers of a crash, which the next open removes. */
  readonly strays: readonly string[];
  readonly problems: readonly LogProblem[];
  /** What earlier openings have cut or lost, oldest first. */
  readonly recoveries: readonly PastRecovery[];
}

/**
 * Everything that `titan eventlog inspect` shows. It changes nothing, so a running writer is not
 * disturbed. But a rotation or a snapshot in the middle of the examination can look like a problem:
 * believe the problems only of a log that nobody writes to.
 */
export async function inspectLog(host: Host, dir: string): Promise<LogInspection> {
  const found = await examine(host.storage, dir);
  const { segments, snapshot } = found;
  const records = segments.reduce((sum, segment) => sum + segment.records, 0);
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, snapshot?.bytes ?? 0);
  const from = segments[0]?.firstSeq ?? 1;
  return {
    ...(found.id !== undefined && { id: found.id }),
    segments,
    snapshots: snapshot ? [snapshot] : [],
    ...(records > 0 && { range: { from, to: found.nextSeq - 1 } }),
    records,
    bytes,
    tornBytes: found.tornBytes,
    ...(found.tornFile !== undefined && { tornFile: found.tornFile }),
    strays: found.strays,
    problems: found.problems,
    recoveries: await readRecoveries(host.storage, dir),
  };
}

export interface LogVerification {
  /** True: nothing is wrong. A torn tail is not wrong. */
  readonly ok: boolean;
  readonly records: number;
  readonly tornBytes: number;
  readonly problems: readonly LogProblem[];
  /**
   * What earlier openings have cut or lost, oldest first. The records that are there now do not
   * show it.
   */
  readonly recoveries: readonly PastRecovery[];
}

/** Reads every byte and lists every problem. Changes nothing. */
export async function verifyLog(host: Host, dir: string): Promise<LogVerification> {
  const { records, tornBytes, problems, recoveries } = await inspectLog(host, dir);
  return { ok: problems.length === 0, records, tornBytes, problems, recoveries };
}

export interface MovedBytes {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly to: string;
}

export interface LogRepair {
  /** Nothing had to be done. */
  readonly clean: boolean;
  /**
   * The bytes that were (or, in a dry run, would be) moved aside: from where, how many, to which
   * file.
   */
  readonly moved: readonly MovedBytes[];
  /** Last record that is kept; 0 when the log starts anew. */
  readonly keptTo: number;
  /**
   * Intact records after the cut, at least so many. They are lost to the log; their bytes are in
   * the side files.
   */
  readonly lostRecords: number;
  readonly problems: readonly LogProblem[];
}

/**
 * Makes a damaged log openable again, by cutting at the first problem. Records from there on are
 * lost to the log. `dryRun` reports and changes nothing. The caller must hold the folder's lock.
 */
export async function repairLog(
  host: Host,
  dir: string,
  options: { dryRun?: boolean } = {},
): Promise<LogRepair> {
  const found = await examine(host.storage, dir);
  const fatal = found.problems.some((problem) => problem.fatal);
  if (!fatal && found.tornBytes === 0) {
    return {
      clean: true,
      moved: [],
      keptTo: found.nextSeq - 1,
      lostRecords: 0,
      problems: found.problems,
    };
  }
  const plan = await makePlan(host.storage, dir, found);
  if (!options.dryRun) {
    await carryOut(host, dir, plan);
    await noteRecovery(host, dir, newsOf(plan, fatal));
  }
  const { moved, keptTo, lostRecords } = plan;
  return { clean: false, moved, keptTo, lostRecords, problems: found.problems };
}

function newsOf({ moved, keptTo }: Plan, fatal: boolean): Omit<PastRecovery, "at">[] {
  const bytes = moved.reduce((sum, one) => sum + one.bytes, 0);
  return [
    {
      kind: fatal ? "lost" : "cut",
      what: `${bytes} bytes by a repair, which kept everything up to record ${keptTo}`,
    },
  ];
}

interface Plan {
  readonly id: string | undefined;
  readonly moved: MovedBytes[];
  readonly segments: number[];
  readonly snapshot: number | undefined;
  readonly keptTo: number;
  readonly lostRecords: number;
}

async function makePlan(storage: Storage, dir: string, found: Examination): Promise<Plan> {
  const { id } = found;
  const snapshot = found.snapshot?.seq ?? (await newestSnapshot(storage, dir, id));
  const moved: Plan["moved"] = [];
  const segments: number[] = [];
  let keptTo = snapshot ?? 0;
  let lostRecords = 0;
  let cut = false;
  const taken = new Set((await storage.list(dir)).map((name) => `${dir}/${name}`));
  const aside = (file: string, offset: number, bytes: number): void => {
    const to = freeName(offset === 0 ? `${file}.damaged` : `${file}.damaged-${offset}`, taken);
    moved.push({ file, offset, bytes, to });
    taken.add(to);
  };
  for (const [index, segment] of found.segments.entries()) {
    const next = found.segments[index + 1]?.firstSeq ?? Number.POSITIVE_INFINITY;
    // the snapshot covers all of it; the next open removes it
    if (next <= (snapshot ?? 0) + 1) continue;
    const problem = found.problems.find((one) => one.cut?.segment === segment.firstSeq);
    // Nothing can be kept of a file without its header, not even its place in the list.
    const headless = segment.end === 0 && segment.bytes > 0;
    if (cut || segment.firstSeq > keptTo + 1 || problem?.cut?.offset === 0 || headless) {
      aside(segment.file, 0, segment.bytes);
      lostRecords += segment.records;
      cut = true;
      continue;
    }
    segments.push(segment.firstSeq);
    keptTo = Math.max(keptTo, segment.firstSeq + segment.records - 1);
    if (segment.end < segment.bytes) aside(segment.file, segment.end, segment.bytes - segment.end);
    if (problem !== undefined) cut = true;
  }
  // Any other file with a problem (the manifest, a snapshot, a segment that is not listed) is kept
  // whole.
  const seen = new Set(found.segments.map((segment) => segment.file));
  const strays = found.strays
    .filter((name) => seqOfName("segment", name) !== undefined)
    .map((name) => `${dir}/${name}`);
  for (const file of [...found.problems.map((problem) => problem.file), ...strays]) {
    const size = seen.has(file) ? undefined : (await storage.stat(file))?.size;
    // A crash, perhaps in the middle of a repair, left this stray with nothing but its header: the
    // next open removes it.
    if (size !== undefined && !(strays.includes(file) && size <= HEADER_BYTES)) {
      aside(file, 0, size);
    }
    seen.add(file);
  }
  return { id, moved, segments, snapshot, keptTo, lostRecords };
}

async function carryOut(host: Host, dir: string, plan: Plan): Promise<void> {
  const { storage } = host;
  for (const { file, offset, bytes, to } of plan.moved) {
    // The manifest stays until it is replaced: without one, a crash here could leave what looks
    // like an empty folder.
    if (file === `${dir}/${MANIFEST}`) await copy(storage, { file, offset, bytes, to });
    else if (offset === 0) await storage.rename(file, to);
    else await copyAndCut(storage, { file, offset, bytes, to });
  }
  await storage.syncDirectory(dir);
  const id = plan.id ?? Buffer.from(host.random.bytes(8)).toString("hex");
  const segments = [...plan.segments];
  const lastSegment = segments.at(-1);
  if (lastSegment === undefined) {
    segments.push(plan.keptTo + 1);
    // an interrupted repair may have made it
    await storage.remove(`${dir}/${fileName("segment", plan.keptTo + 1)}`);
    await (await createSegment(storage, { dir, id, firstSeq: plan.keptTo + 1 })).close();
  }
  const manifest = {
    id,
    segments,
    ...(plan.snapshot !== undefined && { snapshot: plan.snapshot }),
  };
  await replaceFile(storage, dir, { name: MANIFEST, bytes: encodeManifest(manifest) });
}

/** The copy is durable before the original is cut. */
async function copyAndCut(storage: Storage, cut: MovedBytes): Promise<void> {
  await copy(storage, cut);
  await storage.syncDirectory(cut.to.slice(0, cut.to.lastIndexOf("/")));
  const file = await storage.open(cut.file);
  try {
    await file.truncate(cut.offset);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function copy(storage: Storage, { file, offset, bytes, to }: MovedBytes): Promise<void> {
  const source = await storage.open(file);
  try {
    const target = await storage.open(to, { create: true, exclusive: true });
    try {
      const end = offset + bytes;
      for (let at = offset; at < end; at += COPY_BYTES) {
        await target.append([await source.read(at, Math.min(COPY_BYTES, end - at))]);
      }
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let n = 2; taken.has(name); n++) name = `${wanted}.${n}`;
  return name;
}

async function newestSnapshot(
  storage: Storage,
  dir: string,
  id: string | undefined,
): Promise<number | undefined> {
  if (id === undefined) return undefined;
  for (const name of (await storage.list(dir)).reverse()) {
    const seq = seqOfName("snapshot", name);
    if (seq === undefined) continue;
    try {
      await readSnapshotFile(storage, { dir, id, seq });
      return seq;
    } catch {
      // This file is not whole, but an older one may be.
    }
  }
  return undefined;
}

