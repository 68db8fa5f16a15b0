/**
 * Lesson 05: the files of an open log: which segments and which snapshot make it up, and how that
 * changes.
 *
 * Rotation (a new segment), compaction (fewer segments) and recovery follow one rule: make the new
 * file durable, then switch the manifest, then remove what the new manifest does not list. A crash
 * between two steps leaves a file too many, never one too few.
 *
 * Invariants: every segment but the last is complete and fsynced; a listed segment was durable, and
 * still empty, when it was listed; rotation and compaction change the manifest one after the other.
 * Left out: making the next segment ahead of time. A rotation costs five fsyncs, once in 64 MiB.
 * Test: test/05-log.snapshot.test.ts, test/05-log.crash.test.ts
 */
import type { Storage, StoredFile } from "#host";
import { LogError } from "./errors.ts";
import {
  encodeHeader,
  encodeManifest,
  fileName,
  HEADER_BYTES,
  MANIFEST,
  replaceFile,
} from "./format.ts";
import { type OnRecord, scanFile } from "./record.ts";
import { hasNoRoom } from "./room.ts";
import { type Chunks, readSnapshotFile, writeSnapshot } from "./snapshot.ts";

export interface FolderState {
  readonly storage: Storage;
  readonly dir: string;
  readonly id: string;
  /** First record of each segment. */
  readonly segments: readonly number[];
  /** The last segment, open. */
  readonly file: StoredFile;
  readonly snapshot: number | undefined;
}

/** What the manifest says. */
interface Contents {
  readonly segments: readonly number[];
  readonly snapshot: number | undefined;
}

export class LogFolder {
  readonly #storage: Storage;
  readonly #dir: string;
  readonly #id: string;
  #segments: readonly number[];
  #file: StoredFile;
  #snapshot: number | undefined;
  #manifestTurn: Promise<void> = Promise.resolve();

  constructor(state: FolderState) {
    this.#storage = state.storage;
    this.#dir = state.dir;
    this.#id = state.id;
    this.#segments = state.segments;
    this.#file = state.file;
    this.#snapshot = state.snapshot;
  }

  /** The segment that is appended to. */
  get file(): StoredFile {
    return this.#file;
  }

  /** Its path, for messages. */
  get path(): string {
    return `${this.#dir}/${fileName("segment", this.#segments.at(-1) as number)}`;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  get snapshot(): number | undefined {
    return this.#snapshot;
  }

  /**
   * Starts a new segment, whose first record will be `firstSeq`. The old segment may hold unsynced
   * bytes. On a full disk everything stays as it was, and the rotation may be tried again.
   */
  async rotate(firstSeq: number): Promise<void> {
    await this.#file.sync(); // only the last segment may end torn
    const place = { dir: this.#dir, id: this.#id, firstSeq };
    const next = await createSegment(this.#storage, place);
    try {
      await this.#change(({ segments, snapshot }) => ({
        segments: [...segments, firstSeq],
        snapshot,
      }));
    } catch (error) {
      await next.close();
      if (hasNoRoom(error)) {
        await this.#storage.remove(`${this.#dir}/${fileName("segment", firstSeq)}`);
      }
      throw error;
    }
    await this.#file.close();
    this.#file = next;
  }

  /** A failure leaves everything as it was, and perhaps a `.tmp` file. */
  writeSnapshot(seq: number, chunks: Chunks): Promise<void> {
    return writeSnapshot(this.#storage, { dir: this.#dir, id: this.#id, seq }, chunks);
  }

  /**
   * Makes the written snapshot part of the log, and drops the segments that it covers. Returns the
   * files to remove. On a full disk the snapshot is removed, and everything is as it was.
   */
  async switchTo(seq: number): Promise<string[]> {
    const dropped: string[] = [];
    try {
      await this.#change(({ segments, snapshot }) => {
        // A segment ends where the next one begins; the last one goes on and is never dropped.
        const kept = segments.filter(
          (_, index) => (segments[index + 1] ?? Number.POSITIVE_INFINITY) > seq + 1,
        );
        for (const first of segments.slice(0, segments.length - kept.length)) {
          dropped.push(fileName("segment", first));
        }
        if (snapshot !== undefined) dropped.push(fileName("snapshot", snapshot));
        return { segments: kept, snapshot: seq };
      });
    } catch (error) {
      if (hasNoRoom(error)) await this.#storage.remove(`${this.#dir}/${fileName("snapshot", seq)}`);
      throw error;
    }
    return dropped.map((name) => `${this.#dir}/${name}`);
  }

  /**
   * Replaces the manifest. `next` is called only when its turn has come: a change that was made
   * before it must not be undone.
   */
  #change(next: (now: Contents) => Contents): Promise<void> {
    const turn = this.#manifestTurn.then(async () => {
      const { segments, snapshot } = next({ segments: this.#segments, snapshot: this.#snapshot });
      const manifest = { id: this.#id, segments, ...(snapshot !== undefined && { snapshot }) };
      await replaceFile(this.#storage, this.#dir, {
        name: MANIFEST,
        bytes: encodeManifest(manifest),
      });
      this.#segments = segments;
      this.#snapshot = snapshot;
    });
    // After "disk full" the old manifest is certainly on disk. After any other failure there is no
    // next turn.
    this.#manifestTurn = turn.catch(async (error: unknown) => {
      if (!hasNoRoom(error)) throw error;
      await this.#storage.remove(`${this.#dir}/${MANIFEST}.tmp`);
    });
    this.#manifestTurn.catch(() => {});
    return turn;
  }

  async readSnapshot(onChunk: (chunk: Buffer) => void): Promise<void> {
    if (this.#snapshot === undefined) return;
    await readSnapshotFile(
      this.#storage,
      { dir: this.#dir, id: this.#id, seq: this.#snapshot },
      onChunk,
    );
  }

  /** Hands out the records `from`..`last`. */
  async replay(onRecord: OnRecord, range: { from: number; last: number }): Promise<void> {
    const { from, last } = range;
    const segments = [...this.#segments];
    const first = segments[0] as number;
    if (from < first) {
      throw new LogError("GAP", `Cannot replay from record ${from}: the log begins with ${first}`);
    }
    for (const [index, start] of segments.entries()) {
      const next = segments[index + 1] ?? Number.POSITIVE_INFINITY;
      if (next <= from || start > last) continue;
      await this.#replaySegment(start, { last: Math.min(last, next - 1), from, onRecord });
    }
  }

  async #replaySegment(
    start: number,
    options: { from: number; last: number; onRecord: OnRecord },
  ): Promise<void> {
    const { from, last, onRecord } = options;
    const path = `${this.#dir}/${fileName("segment", start)}`;
    const file = await this.#storage.open(path);
    try {
      const deliver: OnRecord = (seq, body) => {
        if (seq >= from && seq <= last) onRecord(seq, body);
      };
      const scan = await scanFile(file, {
        offset: HEADER_BYTES,
        seq: start,
        end: file.size,
        onRecord: deliver,
      });
      // the last segment may hold more, or end in a group that is being written now
      if (scan.seq > last) return;
      const { offset, seq, stopped = "the file ends" } = scan;
      const what = `offset ${offset}: record ${seq}: ${stopped}`;
      throw new LogError("DAMAGED", `Cannot replay ${path}: ${what}`, { file: path, offset });
    } finally {
      await file.close();
    }
  }
}

/** A new segment file, open, with its header, and durable in its folder. */
export async function createSegment(
  storage: Storage,
  segment: { dir: string; id: string; firstSeq: number },
): Promise<StoredFile> {
  const { dir, id, firstSeq } = segment;
  const path = `${dir}/${fileName("segment", firstSeq)}`;
  const file = await storage.open(path, { create: true, exclusive: true });
  try {
    await file.appendAndSync([encodeHeader({ kind: "segment", id, seq: firstSeq })]);
    await storage.syncDirectory(dir);
    return file;
  } catch (error) {
    // a full disk must not also cost a descriptor, nor leave a file in the way of the next attempt
    await file.close();
    if (hasNoRoom(error)) await storage.remove(path);
    throw error;
  }
}
