/**
 * Lesson 24: a log as it is at one moment, held still while its owner goes on.
 *
 *     read MANIFEST ─▶ open every file that it lists ─▶ all there: an open file stays readable,
 *          ▲                      │                     even when its name is removed
 *          └── one is missing: the manifest was replaced meanwhile
 *
 * Segments only grow, and a snapshot never changes. So the manifest's files up to their sizes at
 * this moment are a log: the last segment is cut behind its last whole record, as after a crash.
 *
 * Invariants: nothing is written to the folder, and its lock is not needed; what is handed out is
 * a prefix of the log with every record that was acknowledged before the pin.
 * Test: test/24-packaging.backup.test.ts
 */
import type { Host, Storage, StoredFile } from "#host";
import { LogError } from "./errors.ts";
import {
  decodeHeader, decodeManifest, fileName, HEADER_BYTES, MANIFEST, type Manifest,
} from "./format.ts";
import { type OnRecord, READ_BLOCK_BYTES, scanFile } from "./record.ts";
import { scanSnapshot } from "./snapshot.ts";
import { judgeTail } from "./tail.ts";

/** Each compaction costs one round; more than this many while a few files are opened is a bug. */
const MAX_ROUNDS = 100;

/** A file of the log, as it is at the moment. */
export interface PinnedFile {
  readonly name: string;
  readonly size: number;
  /** Its bytes, in pieces. */
  read(): AsyncGenerator<Buffer>;
}

export interface PinnedLog {
  readonly id: string;
  /** Number of the last record; 0 if there is none. */
  readonly last: number;
  /** The manifest comes last: it is what makes files a log. */
  readonly files: readonly PinnedFile[];
  /**
   * What a start would replay: the snapshot's chunks, then the records behind it. Every byte of
   * every file is checked.
   *
   * @throws {LogError} DAMAGED, GAP
   */
  replay(on?: { chunk?: (chunk: Buffer) => void; record?: OnRecord }): Promise<void>;
  close(): Promise<void>;
}

export interface Opened {
  readonly path: string;
  readonly name: string;
  readonly file: StoredFile;
  /** Its first record, or what a snapshot covers. */
  readonly seq: number;
  size: number;
}

/**
 * @throws {LogError} GAP: there is no log, or a file of it is missing; DAMAGED: the manifest, or
 *   the end of the last segment
 */
export async function pinLog(host: Host, dir: string): Promise<PinnedLog> {
  const pinned = new Pinned(await openFiles(host.storage, dir));
  try {
    await pinned.cutTail();
    return pinned;
  } catch (error) {
    await pinned.close();
    throw error;
  }
}

export interface OpenedLog {
  readonly segments: readonly Opened[];
  readonly snapshot: Opened | undefined;
}

/** All files of a log at one moment, open. */
export interface OpenedFiles extends OpenedLog {
  readonly manifest: Manifest;
  /** The manifest as it stands in the folder. */
  readonly bytes: Buffer;
}

/** @throws {LogError} GAP: there is no log, or a file of it is missing; DAMAGED: the manifest */
export async function openFiles(storage: Storage, dir: string): Promise<OpenedFiles> {
  const path = `${dir}/${MANIFEST}`;
  for (let round = 1; ; round++) {
    const bytes = await storage.readFile(path).catch((error: unknown) => {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      throw new LogError("GAP", `Cannot read log: there is no log in ${dir}`, { file: path });
    });
    const manifest = decodeManifest(bytes, path);
    const opened = await openAll(storage, dir, manifest);
    if (typeof opened !== "string") return { ...opened, manifest, bytes };
    const now = await storage.readFile(path);
    if (round < MAX_ROUNDS && !now.equals(bytes)) continue; // compacted or rotated meanwhile
    throw new LogError("GAP", `Cannot read log: ${opened} is missing`, { file: opened });
  }
}

/** All files that the manifest lists, or the path of the first that is missing. */
async function openAll(
  storage: Storage,
  dir: string,
  manifest: Manifest,
): Promise<OpenedLog | string> {
  const segments: Opened[] = [];
  let path = "";
  const open = async (kind: "segment" | "snapshot", seq: number): Promise<Opened> => {
    const name = fileName(kind, seq);
    path = `${dir}/${name}`;
    const file = await storage.open(path, { readOnly: true });
    return { path, name, file, seq, size: file.size };
  };
  let snapshot: Opened | undefined;
  try {
    if (manifest.snapshot !== undefined) snapshot = await open("snapshot", manifest.snapshot);
    for (const first of manifest.segments) segments.push(await open("segment", first));
    return { segments, snapshot };
  } catch (error) {
    for (const one of [...segments, ...(snapshot ? [snapshot] : [])]) await one.file.close();
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    return path;
  }
}

class Pinned implements PinnedLog {
  readonly id: string;
  last = 0;
  readonly #manifest: Buffer;
  readonly #opened: OpenedLog;

  constructor({ manifest, bytes, ...opened }: OpenedFiles) {
    this.id = manifest.id;
    this.#manifest = bytes;
    this.#opened = opened;
  }

  get #all(): readonly Opened[] {
    const { segments, snapshot } = this.#opened;
    return snapshot === undefined ? segments : [snapshot, ...segments];
  }

  get files(): readonly PinnedFile[] {
    const bytes = this.#manifest;
    const manifest: PinnedFile = {
      name: MANIFEST,
      size: bytes.length,
      async *read() { yield bytes; },
    };
    const files = this.#all.map((one) => ({
      name: one.name, size: one.size, read: () => readOpened(one),
    }));
    return [...files, manifest];
  }

  /** Behind the last whole record something may be half written, or was never finished. */
  async cutTail(): Promise<void> {
    const one = this.#opened.segments.at(-1) as Opened;
    const { file, size, path } = one;
    const scan = await scanFile(file, { offset: HEADER_BYTES, seq: one.seq, end: size });
    this.last = scan.seq - 1;
    if (scan.stopped === undefined) return;
    const rest = await file.read(scan.offset, size - scan.offset);
    const verdict = judgeTail(rest, { seq: scan.seq, offset: scan.offset });
    if (!verdict.torn) throw damaged(path, scan, `${scan.stopped}; ${verdict.why}`);
    one.size = scan.offset;
  }

  async replay(on: { chunk?: (chunk: Buffer) => void; record?: OnRecord } = {}): Promise<void> {
    const { segments, snapshot } = this.#opened;
    if (snapshot !== undefined) {
      const place = { path: snapshot.path, id: this.id, seq: snapshot.seq };
      await scanSnapshot(snapshot.file, place, on.chunk);
    }
    const covered = snapshot?.seq ?? 0;
    for (const [index, { path, file, seq: first, size: end }] of segments.entries()) {
      const header = decodeHeader(await file.read(0, HEADER_BYTES), {
        kind: "segment",
        file: path,
      });
      const place = { seq: first, offset: 0 };
      if (header.id !== this.id) throw damaged(path, place, `it belongs to log ${header.id}`);
      if (index === 0 && first > covered + 1) {
        throw damaged(path, place, "earlier records are gone");
      }
      const scan = await scanFile(file, {
        offset: HEADER_BYTES, seq: first, end,
        onRecord: (seq, body) => { if (seq > covered) on.record?.(seq, body); },
      });
      const next = segments[index + 1]?.seq ?? this.last + 1;
      if (scan.seq === next && scan.stopped === undefined) continue;
      throw damaged(path, scan, scan.stopped ?? `the next file begins with record ${next}`);
    }
  }

  async close(): Promise<void> {
    for (const { file } of this.#all) await file.close();
  }
}

async function* readOpened({ path, file, size }: Opened): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < size;) {
    const bytes = await file.read(offset, Math.min(READ_BLOCK_BYTES, size - offset));
    if (bytes.length === 0) throw damaged(path, { seq: 0, offset }, "the file has become shorter");
    offset += bytes.length;
    yield bytes;
  }
}

function damaged(
  file: string, { seq, offset }: { seq: number; offset: number }, what: string,
): LogError {
  const message = `Cannot read log: ${file}: offset ${offset}: record ${seq}: ${what}`;
  return new LogError("DAMAGED", message, { file, offset });
}
