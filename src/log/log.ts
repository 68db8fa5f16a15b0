/**
 * Lesson 05: the log that is open: append, group commit, and the policies of durability.
 *
 *     append ─▶ filling group ─┐ while one group is being written and fsynced,
 *     append ─▶ filling group ─┤ everything else gathers in the next one
 *     append ─▶ filling group ─┘
 *                   │ swap
 *                   ▼
 *              flying group ──▶ write + fdatasync ──▶ its promise resolves, the next group starts
 *
 * Invariants: at most one write or fsync of the segment is under way; records reach the file in the
 * order of their numbers; a group with `mustSync` is resolved only after an fsync that began after
 * its last byte was written; after the first failure nothing is written any more. A full disk is
 * not a failure: the flying group stays, and is written again (room.ts).
 *
 * An fsync is never retried. Linux reports a failed write-back once, marks the pages clean and
 * forgets them: a second fsync would succeed and the bytes would be gone (PostgreSQL learned it in
 * 2018, see wiki.postgresql.org, "Fsync Errors"; Rebello et al., "Can Applications Recover from
 * fsync Failures?", USENIX ATC 2020). Stop, and let recovery read what the disk holds. Even that is
 * not certain: after a mere restart of the process the lost pages may still be in the cache, and
 * only a restart of the machine shows the truth.
 *
 * Left out: preparing the next segment ahead of time (folder.ts says what a rotation costs).
 * Test: test/05-log.test.ts
 */
import { invariant } from "#base";
import type { Host, Timer } from "#host";
import { LogError } from "./errors.ts";
import type { LogFolder } from "./folder.ts";
import { HEADER_BYTES } from "./format.ts";
import { Group } from "./group.ts";
import { MAX_RECORD_BYTES, type OnRecord, RECORD_HEADER_BYTES } from "./record.ts";
import { hasNoRoom, type LogFull, Room } from "./room.ts";
import { checkChunk, type Chunks } from "./snapshot.ts";
import type { Durability, LogRecovery, LogState, LogStats } from "./types.ts";

/**
 * One write of this size takes as long as the fsync that follows it (0.2 ms); more buffer would
 * save nothing.
 */
const CHUNK_BYTES = 256 * 1024;

/**
 * The most bytes that may wait for the disk: four of the largest records, or one second of a 250
 * MB/s disk. Above it `append` throws, so that a stalled disk cannot eat the memory. Callers that
 * can refuse work should do so long before: see `backlogBytes`.
 */
export const MAX_PENDING_BYTES = 4 * MAX_RECORD_BYTES;

/** `everysec` promises to lose no more than about this much, as Redis's does. */
const EVERYSEC_MS = 1000;

/** An open log. Made by `openLog`; one writer per folder (the caller holds `host.storage.lock`). */
export class Log {
  /** What opening found. */
  readonly recovery: LogRecovery;
  /** Is told how long each write has taken that was synced at once, in milliseconds. */
  onSync: (ms: number) => void = () => undefined;
  readonly #host: Host;
  readonly #folder: LogFolder;
  readonly #durability: Durability;
  readonly #segmentBytes: number;
  readonly #onFatal: ((error: Error) => void) | undefined;
  #nextSeq: number;
  /** The last record that is written, and durable under the policy. */
  #doneSeq: number;
  #filling: Group;
  #flying: Group;
  #busy = false;
  #scheduled = false;
  /** Bytes have been written that no fsync has covered. */
  #dirty = false;
  #timer: Timer | undefined;
  readonly #room: Room;
  #failure: LogError | undefined;
  #closing: Promise<void> | undefined;
  #snapshotTurn: Promise<void> = Promise.resolve();
  readonly #counts = { appends: 0, commits: 0, fsyncs: 0, bytes: 0 };

  constructor(state: LogState) {
    this.recovery = state.recovery;
    this.#host = state.host;
    this.#folder = state.folder;
    this.#durability = state.durability;
    this.#segmentBytes = state.segmentBytes;
    this.#onFatal = state.onFatal;
    this.#nextSeq = state.nextSeq;
    this.#doneSeq = state.nextSeq - 1;
    this.#room = new Room(state.host, state);
    const chunkBytes = Math.min(CHUNK_BYTES, state.segmentBytes);
    this.#filling = new Group(chunkBytes);
    this.#flying = new Group(chunkBytes);
  }

  /** The number that the next `append` will return. Numbers start at 1. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** The number of the last record that is durable, in the sense of `durable`. */
  get durableSeq(): number {
    return this.#doneSeq;
  }

  /** The newest snapshot: the state after records 1..seq. */
  get snapshot(): { seq: number } | undefined {
    const seq = this.#folder.snapshot;
    return seq === undefined ? undefined : { seq };
  }

  /**
   * Bytes appended and not yet written. Refuse work at the door when this grows: `append` itself
   * must not block.
   */
  get backlogBytes(): number {
    return this.#filling.bytes + this.#flying.bytes;
  }

  /**
   * Set while the disk is full: `append` throws FULL, and what was appended before waits,
   * unacknowledged, and is written first when there is room. Reading goes on.
   */
  get full(): LogFull | undefined {
    return this.#room.full;
  }

  get stats(): LogStats {
    return { ...this.#counts, segments: this.#folder.segmentCount };
  }

  /**
   * Takes one record and returns its number. The bytes are copied at once and queued for the next
   * commit group; `durable` tells when they are safe. Throws LogError TOO_LARGE, BACKLOG or FULL
   * (nothing was taken, the log goes on), WRITE_FAILED or CLOSED.
   */
  append(body: Uint8Array): number {
    this.#refuseIfOver("append");
    // A full disk shows as a flying group; while none is flying, there is nothing to ask.
    if (this.#busy && this.full !== undefined) {
      throw new LogError("FULL", `Cannot append record: ${this.full.message}`);
    }
    const length = body.byteLength;
    if (length > MAX_RECORD_BYTES) {
      throw new LogError(
        "TOO_LARGE",
        `Cannot append record: ${length} bytes exceed ${MAX_RECORD_BYTES}`,
      );
    }
    if (this.backlogBytes + length > MAX_PENDING_BYTES) {
      throw new LogError(
        "BACKLOG",
        `Cannot append record: ${this.backlogBytes} bytes wait for the disk already`,
      );
    }
    const seq = this.#nextSeq;
    const group = this.#filling;
    group.add({ seq, body, barrier: group.chunks.length === 0 && this.#willBeClean() });
    this.#nextSeq = seq + 1;
    this.#counts.appends++;
    if (!this.#scheduled && !this.#busy) this.#schedule();
    return seq;
  }

  #refuseIfOver(doing: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) {
      throw new LogError("CLOSED", `Cannot ${doing}: the log is closed`);
    }
  }

  /**
   * Whether everything before the filling group will have been fsynced by the time that group is
   * written.
   */
  #willBeClean(): boolean {
    return this.#busy ? this.#flying.mustSync || this.#durability === "always" : !this.#dirty;
  }

  /**
   * Resolves when record `seq` (default: the last one appended) is durable: fsynced under `always`,
   * handed to the operating system under `everysec` and `no`. All who wait for one group share one
   * promise. Rejects with LogError WRITE_FAILED when that can no longer happen, FULL when the log
   * is closed while the disk is full.
   */
  durable(seq: number = this.#nextSeq - 1): Promise<void> {
    invariant(seq < this.#nextSeq, "a record must be appended before anybody waits for it");
    if (seq <= this.#doneSeq) return DONE;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#busy && seq <= this.#flying.lastSeq
      ? this.#flying.promise()
      : this.#filling.promise();
  }

  // #region commit
  #schedule(): void {
    this.#scheduled = true;
    // Not now: the rest of this turn, and the callers that the last commit has just woken, still
    // have records to add.
    this.#host.timers.soon(() => void this.#commit());
  }

  async #commit(): Promise<void> {
    this.#scheduled = false;
    if (this.#failure !== undefined) return;
    invariant(!this.#busy || this.full !== undefined, "one write at a time");
    // A group that found the disk full is still the flying one, and goes first.
    if (!this.#busy) [this.#filling, this.#flying] = [this.#flying, this.#filling];
    this.#busy = true;
    const group = this.#flying;
    try {
      await this.#write(group);
    } catch (error) {
      return hasNoRoom(error) ? this.#waitForRoom(error) : this.#die(error);
    }
    if (group.bytes > 0) this.#doneSeq = group.lastSeq;
    this.#busy = false;
    group.finish();
    // Records that came while this group looked for room have waited with it, and go before new
    // ones.
    if (this.full !== undefined && this.#filling.bytes > 0) return this.#commit();
    this.#room.found(); // its owner may append, which schedules
    if (!this.#scheduled && (this.#filling.bytes > 0 || this.#filling.mustSync)) this.#schedule();
  }
  // #endregion

  async #write(group: Group): Promise<void> {
    const folder = this.#folder;
    let parts: Buffer[] = [];
    let size = folder.file.size;
    for (let index = group.written; index < group.chunks.length; index++) {
      const { buffer, used, firstSeq } = group.chunks[index]!;
      if (size > HEADER_BYTES && size + used > this.#segmentBytes) {
        if (parts.length > 0) await this.#put(parts, false);
        group.written = index;
        await folder.rotate(firstSeq);
        this.#counts.fsyncs++;
        parts = [];
        size = folder.file.size;
      }
      parts.push(used === buffer.length ? buffer : buffer.subarray(0, used));
      size += used;
    }
    const sync = group.mustSync || this.#durability === "always";
    const before = this.#host.clock.monotonic();
    if (parts.length === 0) await folder.file.sync();
    else await this.#put(parts, sync);
    if (sync) this.#synced(before);
    if (group.bytes > 0) this.#counts.commits++;
    this.#counts.bytes += group.bytes;
    this.#setDirty(!sync);
  }

  #synced(since: number): void {
    this.#counts.fsyncs++;
    this.onSync(this.#host.clock.monotonic() - since);
  }

  async #put(parts: readonly Buffer[], sync: boolean): Promise<void> {
    const { file } = this.#folder;
    const { size } = file;
    try {
      await (sync ? file.appendAndSync(parts) : file.append(parts));
    } catch (error) {
      // The last room on the disk is not for half a group. Some file systems need room even to
      // truncate a file: then the next write goes over the half.
      if (hasNoRoom(error)) {
        await file
          .truncate(size)
          .catch((failed: unknown) => hasNoRoom(failed) || this.#die(failed));
      }
      throw error;
    }
  }

  /** The flying group found no room. It stays, and so does everybody who waits for it. */
  async #waitForRoom(error: unknown): Promise<void> {
    try {
      // The records before this group have been acknowledged. `everysec` promised them an fsync
      // within a second, and the disk may be full all night.
      if (this.#dirty) await this.#folder.file.sync();
    } catch (failed) {
      return this.#die(failed);
    }
    if (this.#failure !== undefined) return;
    const message = `Cannot write log ${this.#folder.path}: ${textOf(error)}`;
    if (this.#closing !== undefined) {
      return this.#end(new LogError("FULL", message, { cause: error }));
    }
    this.#setDirty(false);
    this.#room.wait(message, () => void this.#commit());
  }

  #setDirty(dirty: boolean): void {
    this.#dirty = dirty;
    if (!dirty) {
      this.#timer?.cancel();
      this.#timer = undefined;
    } else if (this.#durability === "everysec") {
      // Armed by the first write after an fsync, so that an idle log wakes nobody.
      this.#timer ??= this.#host.timers.after(EVERYSEC_MS, () => {
        this.#timer = undefined;
        if (this.#failure === undefined) void this.#flush();
      });
    }
  }

  /** Resolves once everything appended so far is on disk, whatever the policy. */
  #flush(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (!this.#busy && !this.#dirty && this.#filling.bytes === 0) return DONE;
    this.#filling.mustSync = true;
    if (!this.#scheduled && !this.#busy) this.#schedule();
    return this.#filling.promise();
  }

  /**
   * The log is dead: a record that is not durable now never will be, and nobody may believe that it
   * is.
   */
  #die(error: unknown): void {
    if (this.#failure !== undefined) return;
    const { path } = this.#folder;
    const failure = new LogError("WRITE_FAILED", `Cannot write log ${path}: ${textOf(error)}`, {
      file: path,
      cause: error,
    });
    this.#end(failure);
    this.#onFatal?.(failure);
  }

  #end(failure: LogError): void {
    this.#failure = failure;
    this.#timer?.cancel();
    this.#room.cancel();
    this.#flying.finish(failure);
    this.#filling.finish(failure);
  }

  /**
   * Saves the state after record `seq`, then drops the files that it makes superfluous: segments
   * that end at or before `seq`, and the older snapshot, which is kept until the new one is safe.
   * `chunks` are taken in the call itself, before it returns, so they show one moment; appends go
   * on while they are written. The arrays must not be changed until it resolves. A failure leaves
   * the log alive and the older snapshot in place; LogError FULL is one that may be tried again
   * when there is room.
   *
   * An `AsyncIterable` is asked for one chunk after the other as they are written, for snapshots
   * that are too large to be in memory: then the caller must see to it that they show one moment.
   * The iterable is not asked at all when there is a snapshot of `seq` or later already, and
   * `close` waits for its end.
   */
  saveSnapshot(seq: number, chunks: Chunks): Promise<void> {
    this.#refuseIfOver("save snapshot");
    invariant(seq < this.#nextSeq, "a snapshot cannot hold records that were never appended");
    const taken = Symbol.asyncIterator in chunks ? chunks : [...chunks];
    if (Array.isArray(taken)) for (const chunk of taken) checkChunk(chunk);
    const turn = this.#snapshotTurn.then(() => this.#compact(seq, taken));
    this.#snapshotTurn = turn.catch(() => {});
    return turn;
  }

  async #compact(seq: number, chunks: Chunks): Promise<void> {
    if (seq <= (this.#folder.snapshot ?? 0)) return;
    // A snapshot that outlived its records would make the log hand out their numbers again.
    await this.#flush();
    let dropped: string[];
    try {
      await this.#folder.writeSnapshot(seq, chunks);
    } catch (error) {
      throw hasNoRoom(error) ? this.#noSnapshot(error) : error;
    }
    try {
      dropped = await this.#folder.switchTo(seq);
    } catch (error) {
      if (hasNoRoom(error)) throw this.#noSnapshot(error);
      this.#die(error); // which of the two manifests is on disk is no longer known
      throw this.#failure;
    }
    for (const path of dropped) await this.#host.storage.remove(path);
  }

  #noSnapshot(error: unknown): LogError {
    return new LogError("FULL", `Cannot save snapshot: ${textOf(error)}`, { cause: error });
  }

  /**
   * Hands out the newest snapshot's chunks, cut as they were saved. Does nothing without a
   * snapshot.
   */
  readSnapshot(onChunk: (chunk: Buffer) => void): Promise<void> {
    return this.#folder.readSnapshot(onChunk);
  }

  /**
   * Hands out every record from `from` (default: the first one after the snapshot) to the last one
   * written when it was called, in order. Bodies may be kept, but each keeps a read block of 256
   * KiB alive. Rejects with LogError GAP when `from` was compacted away, DAMAGED when the disk has
   * changed since the log was opened.
   */
  replay(onRecord: OnRecord, options: { from?: number } = {}): Promise<void> {
    const from = options.from ?? (this.#folder.snapshot ?? 0) + 1;
    return this.#folder.replay(onRecord, { from, last: this.#doneSeq });
  }

  /**
   * Flushes to the disk whatever the policy, then closes. Rejects if that flush fails. Idempotent.
   * On a full disk it tries once more. Then it gives up the records that nobody was promised: it
   * rejects with LogError FULL, and so does every `durable` that still waits.
   */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #closeNow(): Promise<void> {
    const alreadyDead = this.#failure !== undefined;
    try {
      if (this.#room.cancel()) await this.#commit();
      await this.#snapshotTurn;
      if (!alreadyDead) await this.#flush();
    } finally {
      this.#timer?.cancel();
      await this.#folder.file.close();
    }
  }
}

const DONE = Promise.resolve();

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

invariant(
  MAX_PENDING_BYTES >= MAX_RECORD_BYTES + RECORD_HEADER_BYTES,
  "the largest record must fit the queue",
);
