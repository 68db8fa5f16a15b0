/**
 * Lesson 05: what a person can do about a log: look, check, and cut.
 *
 * A repair never destroys. Bytes that it cuts go to a side file `NAME.damaged-OFFSET` first, whole files are renamed to
 * `NAME.damaged`; both stay until a person removes them.
 *
 * Invariants: after a repair the log opens; what is kept is a prefix of what was written; a dry run changes nothing.
 * Left out: joining what is intact on both sides of a hole. An event log with a hole is a different history.
 * Test: test/05-log.tools.test.ts
 */
import type { Host, Storage } from "#host";
import { examine, type Examination, type LogProblem, type SegmentInfo, type SnapshotInfo } from "./examine.ts";
import { createSegment } from "./folder.ts";
import { decodeHeader, encodeManifest, HEADER_BYTES, MANIFEST, replaceFile, seqOfName } from "./format.ts";
import { readSnapshotFile } from "./snapshot.ts";

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
}

/** Everything that `titan log inspect` shows. Changes nothing; safe beside a running writer. */
export async function inspectLog(host: Host, dir: string): Promise<LogInspection> {
  const found = await examine(host.storage, dir);
  const { segments, snapshot } = found;
  const records = segments.reduce((sum, segment) => sum + segment.records, 0);
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, snapshot?.bytes ?? 0);
  const from = segments[0]?.firstSeq ?? 1;
  return {
    ...(found.manifest && { id: found.manifest.id }),
    segments,
    snapshots: snapshot ? [snapshot] : [],
    ...(records > 0 && { range: { from, to: found.nextSeq - 1 } }),
    records,
    bytes,
    tornBytes: found.tornBytes,
    ...(found.tornFile !== undefined && { tornFile: found.tornFile }),
    strays: found.strays,
    problems: found.problems,
  };
}

export interface LogVerification {
  /** Nothing is wrong; a torn tail is not wrong. */
  readonly ok: boolean;
  readonly records: number;
  readonly tornBytes: number;
  readonly problems: readonly LogProblem[];
}

/** Reads every byte and lists every problem. Changes nothing. */
export async function verifyLog(host: Host, dir: string): Promise<LogVerification> {
  const { records, tornBytes, problems } = await inspectLog(host, dir);
  return { ok: problems.length === 0, records, tornBytes, problems };
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
  /** What was (or, in a dry run, would be) moved aside: from where, how many bytes, to which file. */
  readonly moved: readonly MovedBytes[];
  /** Last record that is kept; 0 when the log starts anew. */
  readonly keptTo: number;
  /** Intact records after the cut, which are lost to the log (their bytes are in the side files). At least. */
  readonly lostRecords: number;
  readonly problems: readonly LogProblem[];
}

/**
 * Makes a damaged log openable again, by cutting at the first problem. Records from there on are lost to the log.
 * `dryRun` reports and changes nothing. The caller must hold the folder's lock.
 */
export async function repairLog(host: Host, dir: string, options: { dryRun?: boolean } = {}): Promise<LogRepair> {
  const found = await examine(host.storage, dir);
  const fatal = found.problems.some((problem) => problem.fatal);
  if (!fatal && found.tornBytes === 0) {
    return { clean: true, moved: [], keptTo: found.nextSeq - 1, lostRecords: 0, problems: found.problems };
  }
  const plan = await makePlan(host.storage, dir, found);
  if (!options.dryRun) await carryOut(host, dir, plan);
  const { moved, keptTo, lostRecords } = plan;
  return { clean: false, moved, keptTo, lostRecords, problems: found.problems };
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
  const id = found.manifest?.id ?? (await idFromHeaders(storage, dir));
  const snapshot = found.snapshot?.seq ?? (await newestSnapshot(storage, dir, id));
  const moved: Plan["moved"] = [];
  const segments: number[] = [];
  let keptTo = snapshot ?? 0;
  let lostRecords = 0;
  let cut = false;
  const aside = (file: string, offset: number, bytes: number): void => {
    moved.push({ file, offset, bytes, to: offset === 0 ? `${file}.damaged` : `${file}.damaged-${offset}` });
  };
  for (const [index, segment] of found.segments.entries()) {
    const next = found.segments[index + 1]?.firstSeq ?? Number.POSITIVE_INFINITY;
    if (next <= (snapshot ?? 0) + 1) continue; // the snapshot covers all of it; the next open removes it
    const problem = found.problems.find((one) => one.cut?.segment === segment.firstSeq);
    if (cut || segment.firstSeq > keptTo + 1 || problem?.cut?.offset === 0) {
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
  // Whatever else has a problem (the manifest, a snapshot, a segment that is not listed) is kept whole.
  const seen = new Set(found.segments.map((segment) => segment.file));
  for (const { file } of found.problems) {
    const size = seen.has(file) ? undefined : (await storage.stat(file))?.size;
    if (size !== undefined) aside(file, 0, size);
    seen.add(file);
  }
  return { id, moved, segments, snapshot, keptTo, lostRecords };
}

async function carryOut(host: Host, dir: string, plan: Plan): Promise<void> {
  const { storage } = host;
  for (const { file, offset, bytes, to } of plan.moved) {
    if (offset === 0) await storage.rename(file, to);
    else await copyAndCut(storage, { file, offset, bytes, to });
  }
  await storage.syncDirectory(dir);
  const id = plan.id ?? Buffer.from(host.random.bytes(8)).toString("hex");
  const segments = [...plan.segments];
  const lastSegment = segments.at(-1);
  if (lastSegment === undefined) {
    segments.push(plan.keptTo + 1);
    await (await createSegment(storage, { dir, id, firstSeq: plan.keptTo + 1 })).close();
  }
  const manifest = { id, segments, ...(plan.snapshot !== undefined && { snapshot: plan.snapshot }) };
  await replaceFile(storage, dir, { name: MANIFEST, bytes: encodeManifest(manifest) });
}

/** The copy is durable before the original is cut. */
async function copyAndCut(storage: Storage, cut: MovedBytes): Promise<void> {
  const file = await storage.open(cut.file);
  try {
    const aside = await storage.open(cut.to, { create: true });
    try {
      await aside.truncate(0);
      await aside.appendAndSync([await file.read(cut.offset, cut.bytes)]);
    } finally {
      await aside.close();
    }
    await file.truncate(cut.offset);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function idFromHeaders(storage: Storage, dir: string): Promise<string | undefined> {
  for (const name of await storage.list(dir)) {
    const kind = name.endsWith(".snap") ? "snapshot" : "segment";
    if (seqOfName(kind, name) === undefined) continue;
    try {
      const bytes = (await storage.readFile(`${dir}/${name}`)).subarray(0, HEADER_BYTES);
      return decodeHeader(bytes, { kind, file: name }).id;
    } catch {
      // A damaged header cannot say; the next file may.
    }
  }
  return undefined;
}

async function newestSnapshot(storage: Storage, dir: string, id: string | undefined): Promise<number | undefined> {
  if (id === undefined) return undefined;
  for (const name of (await storage.list(dir)).reverse()) {
    const seq = seqOfName("snapshot", name);
    if (seq === undefined) continue;
    try {
      await readSnapshotFile(storage, { dir, id, seq });
      return seq;
    } catch {
      // Not a whole one: an older one may be.
    }
  }
  return undefined;
}

