/**
 * Lesson 05: reading a log folder without changing it.
 *
 * One examination serves four callers: `openLog` refuses at the first problem, `verifyLog` lists
 * them all, `inspectLog` shows what is there, `repairLog` cuts at the first one.
 *
 * Invariants: nothing is written; every byte of every listed file has been read and checked when it
 * returns.
 * Left out: an index that would spare reading the segments that a restart does not need. Snapshots
 * keep them few.
 * Test: test/05-log.test.ts, test/05-log.tools.test.ts
 */
import type { Storage, StoredFile } from "#host";
import { LogError, type LogErrorCode } from "./errors.ts";
import {
  decodeHeader,
  decodeManifest,
  fileName,
  HEADER_BYTES,
  MANIFEST,
  type Manifest,
  seqOfName,
} from "./format.ts";
import { RECOVERIES } from "./recoveries.ts";
import { scanFile } from "./record.ts";
import { readSnapshotFile } from "./snapshot.ts";
import { judgeTail } from "./tail.ts";

/**
 * The most that is judged in memory. It is more than a crash leaves torn: one commit group
 * (MAX_PENDING_BYTES), or one segment of a usual size that a policy without fsync has written.
 */
const MAX_TORN_BYTES = 512 * 1024 * 1024;

export interface LogProblem {
  readonly code: LogErrorCode;
  /** Path, starting with the log's folder. */
  readonly file: string;
  readonly offset?: number;
  readonly what: string;
  /** False when the log opens all the same, because something else covers the loss. */
  readonly fatal: boolean;
  /**
   * Fatal, unless the caller accepts the loss: nobody can tell which records are gone, and the rest
   * is whole.
   */
  readonly acceptable?: boolean;
  /** Where a repair would cut: the segment, and the byte in it from which nothing is certain. */
  readonly cut?: { readonly segment: number; readonly offset: number };
}

export interface SegmentInfo {
  readonly file: string;
  readonly firstSeq: number;
  /** Number of intact records; the last one is `firstSeq + records - 1`. */
  readonly records: number;
  /** Records that carry the barrier bit: commits, under the policy `always`. */
  readonly barriers: number;
  readonly bytes: number;
  /** Where the intact records end. */
  readonly end: number;
}

export interface SnapshotInfo {
  readonly file: string;
  readonly seq: number;
  readonly chunks: number;
  readonly bytes: number;
}

export interface Examination {
  /** No log has been made here yet. */
  readonly fresh: boolean;
  readonly manifest?: Manifest;
  /** From the manifest; without one, from the headers. */
  readonly id?: string;
  readonly segments: SegmentInfo[];
  readonly snapshot?: SnapshotInfo;
  /** Number that the next record in the last segment would have. */
  readonly nextSeq: number;
  readonly tornBytes: number;
  readonly tornFile?: string;
  readonly problems: LogProblem[];
  /** Files that a crash left behind and that nothing refers to. */
  readonly strays: string[];
}

export async function examine(storage: Storage, dir: string): Promise<Examination> {
  const names = await storage.list(dir);
  const state = new State(storage, dir, names);
  const manifest = await state.readManifest();
  if (manifest === undefined && state.problems.length === 0) return state.result({ fresh: true });
  const firsts = manifest?.segments ?? state.listed("segment");
  const id = manifest?.id ?? (await state.idOfMost());
  for (const [index, first] of firsts.entries()) {
    await state.readSegment(first, { id, last: index === firsts.length - 1 });
  }
  await state.readSnapshot(manifest);
  state.checkStart(firsts[0]);
  if (manifest !== undefined) await state.checkStrays(manifest);
  return state.result({
    fresh: false,
    ...(manifest && { manifest }),
    ...(id !== undefined && { id }),
  });
}

class State {
  readonly #storage: Storage;
  readonly #dir: string;
  readonly #names: string[];
  readonly #segments: SegmentInfo[] = [];
  #snapshot: SnapshotInfo | undefined;
  #nextSeq: number | undefined;
  #torn: { bytes: number; file: string } | undefined;
  readonly #strays: string[];
  readonly problems: LogProblem[] = [];

  constructor(storage: Storage, dir: string, names: string[]) {
    this.#storage = storage;
    this.#dir = dir;
    this.#names = names;
    this.#strays = names.filter(
      (name) =>
        name === `${MANIFEST}.tmp` ||
        name === `${RECOVERIES}.tmp` ||
        /^\d{16}\.snap\.tmp$/.test(name),
    );
  }

  #path(name: string): string {
    return `${this.#dir}/${name}`;
  }

  #problem(problem: Omit<LogProblem, "fatal"> & { fatal?: boolean }): void {
    this.problems.push({ fatal: true, ...problem });
  }

  #failed(error: unknown, cut?: LogProblem["cut"]): void {
    if (!(error instanceof LogError) || error.file === undefined) throw error;
    const { code, file, offset, message } = error;
    const what = message.slice(message.indexOf(": ") + 2);
    this.#problem({
      code,
      file,
      what,
      ...(offset !== undefined && { offset }),
      ...(cut && { cut }),
    });
  }

  listed(kind: "segment" | "snapshot"): number[] {
    return this.#names.map((name) => seqOfName(kind, name)).filter((seq) => seq !== undefined);
  }

  /** Undefined without a problem: the folder holds no log, at most the beginnings of one. */
  async readManifest(): Promise<Manifest | undefined> {
    const file = this.#path(MANIFEST);
    if (this.#names.includes(MANIFEST)) {
      try {
        return decodeManifest(await this.#storage.readFile(file), file);
      } catch (error) {
        this.#failed(error);
        return undefined;
      }
    }
    // The manifest is written last when a log is made. Without one, a segment can hold no record.
    let records = this.listed("snapshot").length > 0;
    const beginnings: string[] = [];
    for (const first of this.listed("segment")) {
      const name = fileName("segment", first);
      if (((await this.#storage.stat(this.#path(name)))?.size ?? 0) > HEADER_BYTES) records = true;
      beginnings.push(name);
    }
    if (!records) this.#strays.push(...beginnings);
    else {
      this.#problem({ code: "DAMAGED", file, what: "it is missing, and the folder holds records" });
    }
    return undefined;
  }

  /**
   * The log's id when the manifest cannot tell it: the id in most of the headers that can be read.
   */
  async idOfMost(): Promise<string | undefined> {
    const votes = new Map<string, number>();
    for (const kind of ["segment", "snapshot"] as const) {
      for (const seq of this.listed(kind)) {
        const path = this.#path(fileName(kind, seq));
        const file = await this.#storage.open(path, { readOnly: true });
        try {
          const { id } = decodeHeader(await file.read(0, HEADER_BYTES), { kind, file: path });
          votes.set(id, (votes.get(id) ?? 0) + 1);
        } catch (error) {
          if (!(error instanceof LogError)) throw error; // a damaged header has no vote
        } finally {
          await file.close();
        }
      }
    }
    return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0];
  }

  async readSnapshot(manifest: Manifest | undefined): Promise<void> {
    if (manifest?.snapshot === undefined) return;
    const place = { dir: this.#dir, id: manifest.id, seq: manifest.snapshot };
    try {
      const file = this.#path(fileName("snapshot", place.seq));
      this.#snapshot = { file, seq: place.seq, ...(await readSnapshotFile(this.#storage, place)) };
    } catch (error) {
      this.#failed(error);
      // Fatal only if some of the records that the snapshot stood for are missing: compacted away,
      // or cut from the end.
      const problem = this.problems.pop() as LogProblem;
      const covered = manifest.segments[0] === 1 && (this.#nextSeq ?? 1) > manifest.snapshot;
      this.problems.push({ ...problem, fatal: !covered });
    }
  }

  async readSegment(
    first: number,
    options: { id: string | undefined; last: boolean },
  ): Promise<void> {
    const path = this.#path(fileName("segment", first));
    if (!this.#names.includes(fileName("segment", first))) {
      const what = "the manifest lists it, and it is missing";
      this.#problem({ code: "GAP", file: path, what, cut: { segment: first, offset: 0 } });
      return;
    }
    const before = this.#segments.at(-1);
    if (before !== undefined && this.#nextSeq !== undefined && this.#nextSeq !== first) {
      const what =
        `its records end before ${this.#nextSeq}, and the next segment begins with ${first}`;
      const cut = { segment: before.firstSeq, offset: before.end };
      this.#problem({ code: "GAP", file: before.file, offset: before.end, what, cut });
    }
    const file = await this.#storage.open(path, { readOnly: true });
    try {
      await this.#scanSegment(file, { path, first, ...options });
    } finally {
      await file.close();
    }
  }

  async #scanSegment(
    file: StoredFile,
    segment: { path: string; first: number; id: string | undefined; last: boolean },
  ): Promise<void> {
    const { path, first, last } = segment;
    const size = file.size;
    this.#nextSeq = first;
    const head = await file.read(0, HEADER_BYTES);
    if (last && size <= HEADER_BYTES && isUnfinished(head)) {
      // No crash leaves this: the header was durable before the manifest listed the file. A log
      // that is being made has no manifest yet. Nobody can tell any more whether records were
      // there.
      if (size > 0) this.#torn = { bytes: size, file: path };
      const left =
        size < HEADER_BYTES ? `${size} of its ${HEADER_BYTES} bytes are there` : "it is zeros";
      const what =
        `its header is gone (${left}), and any records with it, which may have been ` +
        "acknowledged";
      const cut = { segment: first, offset: 0 };
      this.#problem({ code: "DAMAGED", file: path, offset: 0, what, acceptable: true, cut });
      this.#segments.push({
        file: path,
        firstSeq: first,
        records: 0,
        barriers: 0,
        bytes: size,
        end: 0,
      });
      return;
    }
    const cut = { segment: first, offset: 0 };
    try {
      const header = decodeHeader(head, { kind: "segment", file: path });
      const fail = (what: string): void =>
        this.#problem({ code: "DAMAGED", file: path, offset: 0, what, cut });
      if (header.seq !== first) fail(`its header says that it begins with record ${header.seq}`);
      if (header.id !== (segment.id ?? header.id)) {
        fail(`it belongs to log ${header.id}, not ${segment.id}`);
      }
    } catch (error) {
      this.#failed(error, cut);
    }
    await this.#scanRecords(file, { path, first, last, size });
  }

  async #scanRecords(
    file: StoredFile,
    segment: { path: string; first: number; last: boolean; size: number },
  ): Promise<void> {
    const { path, first, last, size } = segment;
    let scan = await scanFile(file, { offset: HEADER_BYTES, seq: first, end: size });
    const { offset: end, seq: intact } = scan;
    let { barriers } = scan;
    let whole = true;
    if (scan.stopped !== undefined && size - end > MAX_TORN_BYTES) {
      const what =
        `record ${intact}: ${scan.stopped}; ${size - end} bytes follow, more than a ` +
        "crash can leave";
      this.#problem({
        code: "DAMAGED",
        file: path,
        offset: end,
        what,
        cut: { segment: first, offset: end },
      });
      scan = { offset: end, seq: intact, barriers }; // there is nothing left to judge
    }
    const rest = scan.stopped === undefined ? Buffer.alloc(0) : await file.read(end, size - end);
    while (scan.stopped !== undefined) {
      const { offset, seq } = scan;
      const verdict = judgeTail(rest.subarray(offset - end), { seq, offset });
      if (verdict.torn && last) {
        if (whole) this.#torn = { bytes: size - offset, file: path };
        break;
      }
      const what = `record ${seq}: ${scan.stopped}${last ? `; ${verdict.why}` : ""}`;
      this.#problem({ code: "DAMAGED", file: path, offset, what, cut: { segment: first, offset } });
      whole = false;
      if (verdict.found === undefined) break;
      scan = await scanFile(file, {
        offset: offset + verdict.found.at,
        seq: verdict.found.seq,
        end: size,
      });
      barriers += scan.barriers;
    }
    this.#nextSeq = scan.seq;
    this.#segments.push({
      file: path,
      firstSeq: first,
      records: intact - first,
      barriers,
      bytes: size,
      end,
    });
  }

  /** The records before the first segment must be in the snapshot. */
  checkStart(first: number | undefined): void {
    const covered = this.#snapshot?.seq ?? 0;
    if (
      first === undefined ||
      first <= covered + 1 ||
      this.problems.some((problem) => problem.fatal && problem.acceptable !== true)
    ) {
      return;
    }
    const file = this.#path(fileName("segment", first));
    const what = `the log begins with record ${first}, and no snapshot holds what came before`;
    this.#problem({ code: "GAP", file, offset: 0, what, cut: { segment: first, offset: 0 } });
  }

  /** Files with our kind of name that the manifest does not list. */
  async checkStrays(manifest: Manifest): Promise<void> {
    for (const seq of this.listed("snapshot")) {
      if (seq !== manifest.snapshot) this.#strays.push(fileName("snapshot", seq));
    }
    for (const first of this.listed("segment")) {
      if (manifest.segments.includes(first)) continue;
      const name = fileName("segment", first);
      const bytes = (await this.#storage.stat(this.#path(name)))?.size ?? 0;
      // A compaction that had already switched the manifest left this file, or a rotation that had
      // not switched it yet.
      if (first < (manifest.segments[0] as number) || bytes <= HEADER_BYTES) {
        this.#strays.push(name);
      } else {
        const what = "it holds records, and the manifest does not list it";
        this.#problem({ code: "DAMAGED", file: this.#path(name), offset: 0, what });
      }
    }
  }

  result(options: { fresh: boolean; manifest?: Manifest; id?: string }): Examination {
    return {
      ...options,
      segments: this.#segments,
      ...(this.#snapshot && { snapshot: this.#snapshot }),
      nextSeq: this.#nextSeq ?? 1,
      tornBytes: this.#torn?.bytes ?? 0,
      ...(this.#torn && { tornFile: this.#torn.file }),
      problems: this.problems,
      strays: this.#strays,
    };
  }
}

/** Less than a header, or a header that never reached the disk. */
function isUnfinished(head: Buffer): boolean {
  return head.length < HEADER_BYTES || head.every((byte) => byte === 0);
}
