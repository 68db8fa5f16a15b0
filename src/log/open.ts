/**
 * Lesson 05: opening a log: make one, or recover the one that is there.
 *
 * Recovery puts right what `examine` has found: it removes leftovers and cuts the torn tail. An
 * fsync follows before anybody acts on what was read, because a killed process may have left
 * records in the page cache that no fsync had covered.
 *
 * Invariants: after a second crash at any point of recovery, a second recovery succeeds; nothing is
 * changed when there is a problem that needs a person.
 * Test: test/05-log.test.ts, test/05-log.crash.test.ts, test/05-log.kill.test.ts
 */
import { invariant } from "#base";
import type { Host, Storage } from "#host";
import { LogError } from "./errors.ts";
import { examine, type Examination, type LogProblem } from "./examine.ts";
import { createSegment, LogFolder } from "./folder.ts";
import { encodeHeader, encodeManifest, HEADER_BYTES, MANIFEST, replaceFile } from "./format.ts";
import { Log } from "./log.ts";
import { noteRecovery, type PastRecovery } from "./recoveries.ts";
import type { LogFull } from "./room.ts";
import type { Durability, LogRecovery } from "./types.ts";

/** A quarter of a second of reading at restart, and few enough files for years of log. */
const DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024;

export interface LogOptions {
  readonly host: Host;
  /** Folder of the log; made if missing. */
  readonly dir: string;
  /**
   * When `durable()` resolves: `always` (default) after an fsync; `everysec` after the write, with
   * an fsync every second; `no` after the write, the operating system fsyncs when it likes. A
   * killed process loses nothing under any of them; a power cut loses nothing, about a second, or
   * up to half a minute.
   */
  readonly durability?: Durability;
  /**
   * A segment is closed before it grows beyond this; default 64 MiB. A larger record gets a segment
   * of its own.
   */
  readonly segmentBytes?: number;
  /**
   * Also open a log whose last segment has lost its header, without the records of that segment.
   * Nobody can tell whether they were acknowledged, so a person decides. Default false.
   */
  readonly acceptLoss?: boolean;
  /**
   * Called once, when a write or an fsync has failed and the log is dead. The process should stop.
   */
  readonly onFatal?: (error: Error) => void;
  /** Called once when the disk turns out to be full: `append` throws FULL from here on. */
  readonly onFull?: (full: LogFull) => void;
  /**
   * Called once when there is room again: everything that waited has been written, and `append`
   * takes records.
   */
  readonly onRoom?: (full: LogFull) => void;
}

/**
 * Opens the log in `dir`, making it if there is none. Cuts a torn tail and says so in `recovery`;
 * throws LogError DAMAGED, GAP or BAD_FORMAT, naming file and offset, when records that were
 * promised are not as they were written.
 */
export async function openLog(options: LogOptions): Promise<Log> {
  const { host, dir, segmentBytes = DEFAULT_SEGMENT_BYTES } = options;
  invariant(segmentBytes >= 1, "a segment must hold something");
  const found = await examine(host.storage, dir);
  const accepted = (problem: LogProblem): boolean =>
    options.acceptLoss === true && problem.acceptable === true;
  const fatal = found.problems.find((problem) => problem.fatal && !accepted(problem));
  if (fatal !== undefined) throw problemError(fatal);
  const opened = found.fresh ? await create(host, dir, found) : await recover(host, dir, found);
  await noteRecovery(host, dir, newsOf(found));
  const { durability = "always", onFatal, onFull, onRoom } = options;
  return new Log({
    host, durability, segmentBytes, onFatal, onFull, onRoom, recovery: recoveryOf(found), ...opened,
  });
}

interface Opened {
  readonly folder: LogFolder;
  readonly nextSeq: number;
}

async function create(host: Host, dir: string, found: Examination): Promise<Opened> {
  await makeFolder(host.storage, dir);
  for (const name of found.strays) await host.storage.remove(`${dir}/${name}`);
  const id = Buffer.from(host.random.bytes(8)).toString("hex");
  return start(host, dir, { id, firstSeq: 1, snapshot: undefined });
}

/** An empty segment and a manifest that lists only it (and the snapshot that comes before it). */
async function start(
  host: Host,
  dir: string,
  log: { id: string; firstSeq: number; snapshot: number | undefined },
): Promise<Opened> {
  const { id, firstSeq, snapshot } = log;
  const { storage } = host;
  const file = await createSegment(storage, { dir, id, firstSeq });
  const segments = [firstSeq];
  const manifest = { id, segments, ...(snapshot !== undefined && { snapshot }) };
  await replaceFile(storage, dir, { name: MANIFEST, bytes: encodeManifest(manifest) });
  return {
    folder: new LogFolder({ storage, dir, id, segments, file, snapshot }),
    nextSeq: firstSeq,
  };
}

// #region recover
async function recover(host: Host, dir: string, found: Examination): Promise<Opened> {
  const { manifest } = found;
  const last = found.segments.at(-1);
  invariant(
    manifest !== undefined && last !== undefined,
    "a log without problems has a manifest and a segment",
  );
  // A process that is killed between the rename and this call leaves a manifest that everybody can
  // read, and that a power cut takes away.
  await host.storage.syncDirectory(dir);
  for (const name of found.strays) await host.storage.remove(`${dir}/${name}`);
  const snapshot = found.snapshot?.seq;
  const { id } = manifest;
  if (found.nextSeq <= (snapshot ?? 0)) {
    // The tail was cut below the snapshot: nothing is lost, but the numbers up to it are taken.
    const opened = await start(host, dir, { id, firstSeq: (snapshot as number) + 1, snapshot });
    for (const segment of found.segments) await host.storage.remove(segment.file);
    return opened;
  }
  const file = await host.storage.open(last.file);
  if (last.end < last.bytes) await file.truncate(last.end);
  if (last.end < HEADER_BYTES) {
    await file.append([encodeHeader({ kind: "segment", id, seq: last.firstSeq })]);
  }
  // these records may still be in the page cache only, and the caller will act on them
  await file.sync();
  const folder = new LogFolder({
    storage: host.storage,
    dir,
    id,
    segments: manifest.segments,
    file,
    snapshot,
  });
  return { folder, nextSeq: found.nextSeq };
}
// #endregion

function recoveryOf(found: Examination): LogRecovery {
  return {
    segments: found.segments.length,
    records: found.segments.reduce((sum, segment) => sum + segment.records, 0),
    tornBytes: found.tornBytes,
    ...(found.tornFile !== undefined && { tornFile: found.tornFile }),
    ignored: found.problems.map((problem) => `${problem.file}: ${problem.what}`),
  };
}

function newsOf(found: Examination): Omit<PastRecovery, "at">[] {
  const news = found.problems.map(({ file, what, fatal }) =>
    fatal
      ? { kind: "lost" as const, what: `what ${nameOf(file)} held: ${what}` }
      : { kind: "ignored" as const, what: `${nameOf(file)}: ${what}` },
  );
  if (found.tornBytes === 0 || news.some(({ kind }) => kind === "lost")) return news;
  const behind =
    found.nextSeq > 1 ? `behind record ${found.nextSeq - 1}` : "with no record before them";
  return [
    ...news,
    {
      kind: "cut",
      what: `${found.tornBytes} bytes of ${nameOf(found.tornFile as string)}, ${behind}`,
    },
  ];
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function problemError(problem: LogProblem): LogError {
  const { code, file, offset, what } = problem;
  const where = offset === undefined ? file : `${file}: offset ${offset}`;
  return new LogError(code, `Cannot open log: ${where}: ${what}`, {
    file,
    ...(offset !== undefined && { offset }),
  });
}

/**
 * A folder is durable once its parent has been fsynced, and the parent's parent, up to the root.
 * Nobody knows which of them are new: the caller has made some, and an earlier process may have
 * been killed before it could fsync the folders that it made.
 */
async function makeFolder(storage: Storage, dir: string): Promise<void> {
  const isNew = (await storage.stat(dir)) === undefined;
  await storage.mkdir(dir);
  for (let path = dir; path !== "/" && path !== "."; path = parentOf(path)) {
    try {
      await storage.syncDirectory(parentOf(path));
    } catch (error) {
      if (isNew && path === dir) throw error;
      return; // we may not open it, so we have not made it
    }
  }
}

function parentOf(path: string): string {
  const cut = path.replace(/\/+$/, "").lastIndexOf("/");
  if (cut > 0) return path.slice(0, cut);
  return cut === 0 ? "/" : ".";
}
