/**
 * Lesson 15: the store's log: every change, in order, on disk.
 *
 *     commands of a turn ─▶ text ─▶ one record ─▶ #log ─▶ one write, one fsync
 *                                                            └▶ the turn's answers leave
 *
 * A record is the text of a whole turn (text.ts), because a record costs a header, a checksum and a
 * call, and a turn of fifty pipelining clients is hundreds of commands. A torn record loses the
 * whole turn, which breaks no promise: none of the turn's answers had left.
 *
 * A full disk is no failure: #log keeps the records that it could not write, and goes on by itself.
 * Meanwhile writes are refused; a change that happens all the same (a key expires) waits here.
 *
 * A log that is only appended to grows for ever. A rewrite (rewrite.ts) saves the keyspace as a
 * snapshot of #log, which then drops the records before it.
 *
 * Invariants: once `commit` resolves, every change before it is in the log; records hold the
 * changes in the order of effect; text that is too long for a record is cut, and a reader that
 * joins the records has it whole.
 * Test: test/15-store.log.test.ts
 */
import { type Log, MAX_PENDING_BYTES, MAX_RECORD_BYTES } from "#log";
import type { Engine } from "../engine.ts";
import { Refusal } from "../refusal.ts";
import { Replay } from "./replay.ts";
import { Rewrite } from "./rewrite.ts";
import type { SnapshotQueue } from "./snapshot-queue.ts";

/**
 * While more than this waits for the disk (half a second of a slow one), writes wait too: a client
 * whose next command is a write is not read from, and an embedded caller's write is refused. #log
 * gives up at four times as much.
 */
export const MAX_BEHIND_BYTES = MAX_PENDING_BYTES / 4;

/**
 * As in Redis: a log is rewritten when it has doubled since the last time, and has at least this
 * size.
 */
export const REWRITE_MIN_BYTES = 64 * 1024 * 1024;

export interface StoreLogOptions {
  readonly store: Engine;
  readonly snapshots: SnapshotQueue;
  readonly rewriteMinBytes: number;
  readonly maxBehindBytes: number;
}

export class StoreLog {
  readonly #log: Log;
  readonly #store: Engine;
  readonly #snapshots: SnapshotQueue;
  readonly #rewriteMinBytes: number;
  readonly #maxBehindBytes: number;
  /** Records that #log has no room for yet. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Every record up to this one is as safe as the durability policy demands. */
  #safeSeq: number;
  #baseBytes = 0;
  #tailBytes = 0;
  /** Set while a rewrite is under way. */
  #rewrite: Rewrite | undefined;
  /** The log's size when the last rewrite failed; 0: it did not. */
  #failedAtBytes = 0;
  #failure: Error | undefined;
  #closing = false;
  /** Called by `changed`. */
  readonly #onChange = new Set<() => void>();
  /** Pending while writes wait: one promise for all. */
  #caughtUp: Promise<void> | undefined;

  constructor(log: Log, { store, snapshots, rewriteMinBytes, maxBehindBytes }: StoreLogOptions) {
    this.#log = log;
    this.#store = store;
    this.#snapshots = snapshots;
    this.#rewriteMinBytes = rewriteMinBytes;
    this.#maxBehindBytes = maxBehindBytes;
    this.#safeSeq = log.nextSeq - 1;
  }

  /**
   * Rebuilds the keyspace.
   *
   * @throws {LogError} for damage; a StoreLogError for another program's records; the signal's
   *   reason
   */
  async replay(signal?: AbortSignal): Promise<void> {
    const replay = new Replay(this.#store);
    await this.#log.readSnapshot((chunk) => {
      signal?.throwIfAborted();
      this.#baseBytes += chunk.length;
      replay.read("snapshot", chunk);
    });
    await this.#log.replay((seq, body) => {
      signal?.throwIfAborted();
      this.#tailBytes += body.length;
      replay.read(`record ${seq}`, body);
    });
    // A group that was longer than a record has lost its end. Its beginning must not stand before
    // the records that come next, so it is left out of a new snapshot.
    if (replay.isCut) await this.#save();
  }

  /** The disk has failed: nothing is promised from here on. */
  fail(error: Error): void {
    this.#failure = error;
    this.#snapshots.wake(); // so that a rewrite that waits learns of it
    this.changed();
  }

  /** The disk is full, has room again, or has written what stood in the way of more. */
  changed(): void {
    for (const listener of this.#onChange) listener();
    this.#onChange.clear();
    this.#pump();
  }

  /** Writes are refused until there is room. */
  get isFull(): boolean {
    return this.#log.full !== undefined;
  }

  get #behindBytes(): number {
    return this.#waitingBytes + this.#log.backlogBytes;
  }

  /** Too much waits for the disk, or it has failed. */
  get isBehind(): boolean {
    return this.#failure !== undefined || this.#behindBytes > this.#maxBehindBytes;
  }

  /**
   * Resolves when enough is written, or when waiting is of no use; undefined: a write may come now.
   */
  caughtUp(): Promise<void> | undefined {
    if (!this.isBehind || this.isFull || this.#failure !== undefined) return undefined;
    this.#caughtUp ??= new Promise<void>((resolve) => {
      this.#onChange.add(resolve);
      void this.#drain().then(resolve, resolve);
    }).then(() => {
      this.#caughtUp = undefined;
    });
    return this.#caughtUp;
  }

  /** Half is enough: clients go on while the disk still has something to do. */
  async #drain(): Promise<void> {
    // The write that is under way.
    await this.#log.durable(this.#safeSeq + 1);
    if (this.#behindBytes > this.#maxBehindBytes / 2) await this.commit();
  }

  /** Throws a `Refusal` when a write could not be remembered. */
  admit(): void {
    const { full } = this.#log;
    if (full !== undefined) throw new Refusal(`${MISCONF}: ${reasonOf(full.message)}`);
    if (!this.isBehind) return;
    if (this.#failure !== undefined) throw new Refusal(`${MISCONF}: the store has stopped`);
    throw new Refusal(`BUSY ${this.#behindBytes} bytes wait for the disk already`);
  }

  /** Takes the changes of a turn. */
  append(bytes: Buffer): void {
    this.#tailBytes += bytes.length;
    for (let at = 0; at < bytes.length; at += MAX_RECORD_BYTES) {
      const piece = bytes.subarray(at, at + MAX_RECORD_BYTES);
      this.#waiting.push(piece);
      this.#waitingBytes += piece.length;
    }
    this.#pump();
    const isLarge = this.#totalBytes >= this.#rewriteAtBytes;
    if (isLarge && this.#rewrite === undefined && !this.isFull) this.rewrite();
  }

  get #totalBytes(): number {
    return this.#baseBytes + this.#tailBytes;
  }

  /**
   * The size at which the log is rewritten. After a rewrite that failed, the log must first grow by
   * the least size once more: otherwise each turn would try again on a full disk.
   */
  get #rewriteAtBytes(): number {
    return Math.max(this.#failedAtBytes + this.#rewriteMinBytes, 2 * this.#baseBytes);
  }

  /** Hands over the pieces that #log has room for: one command may be larger than that. */
  #pump(): void {
    while (this.#waiting.length > 0 && this.#failure === undefined && !this.isFull) {
      const piece = this.#waiting[0]!;
      if (this.#log.backlogBytes + piece.length > MAX_PENDING_BYTES) {
        this.#log.durable().then(() => this.changed(), () => {});
        return;
      }
      this.#waiting.shift();
      this.#waitingBytes -= piece.length;
      this.#log.append(piece);
      if (this.#waiting.length === 0) this.#snapshots.wake();
    }
  }

  /**
   * Resolves when everything appended so far is safe; undefined: it is already. Rejects when it
   * never will be.
   */
  commit(): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiting.length === 0 && this.#log.nextSeq - 1 === this.#safeSeq) return undefined;
    return this.#commitAll();
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await new Promise<void>((changed) => this.#onChange.add(changed));
      if (this.#failure !== undefined) throw this.#failure;
    }
    const seq = this.#log.nextSeq - 1;
    await this.#log.durable(seq);
    this.#safeSeq = Math.max(this.#safeSeq, seq);
  }

  /**
   * Begins a rewrite, or puts it behind the snapshot that is under way. Throws a `Refusal` when one
   * runs already.
   */
  rewrite(onDone: (error?: Error) => void = () => {}): "started" | "scheduled" {
    if (this.#rewrite !== undefined) {
      throw new Refusal("ERR Background append only file rewriting already in progress");
    }
    // On a full disk the rewrite would wait for room, and be no copy of this moment.
    if (this.isFull) this.admit();
    const answer = this.#snapshots.busy ? "scheduled" : "started";
    let coveredBytes = 0;
    this.#rewrite = new Rewrite({
      appendAll: () => {
        this.beforeSnapshot();
        return this.#waiting.length === 0;
      },
      isClosed: () => this.#closing || this.#failure !== undefined,
      save: (chunks) => {
        coveredBytes = this.#tailBytes;
        return this.#log.saveSnapshot(this.#log.nextSeq - 1, chunks);
      },
      saved: (bytes) => {
        this.#baseBytes = bytes;
        this.#tailBytes -= coveredBytes;
      },
      wake: () => this.#snapshots.wake(),
      over: (error) => {
        this.#rewrite = undefined;
        this.#failedAtBytes = error === undefined ? 0 : this.#totalBytes;
        onDone(error);
      },
    });
    this.#snapshots.add(this.#rewrite);
    return answer;
  }

  /** Appends all changes so far. The store that gathers them (open.ts) sets it. */
  beforeSnapshot: () => void = () => {};

  #save(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.rewrite((error) => (error === undefined ? resolve() : reject(error))),
    );
  }

  /** INFO persistence. */
  info(): Record<string, string | number> {
    return {
      loading: this.#store.role === "loading" ? 1 : 0,
      aof_enabled: 1,
      aof_rewrite_in_progress: this.#rewrite === undefined ? 0 : 1,
      aof_last_bgrewrite_status: this.#failedAtBytes === 0 ? "ok" : "err",
      aof_last_write_status: this.#failure === undefined && !this.isFull ? "ok" : "err",
      aof_current_size: this.#totalBytes,
      aof_base_size: this.#baseBytes,
      aof_buffer_length: this.#behindBytes,
      aof_rewrite_buffer_length: this.#rewrite?.queuedBytes ?? 0,
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#snapshots.wake();
    // On a full disk #log tries once more, and then drops changes whose answers have not left.
    if (this.#failure === undefined && !this.isFull) await this.commit();
    await this.#log.close();
  }
}

const MISCONF = "MISCONF Errors writing to the AOF file";

/** The reason in the words of the C library, as Redis gives it. */
function reasonOf(message: string): string {
  return message.includes("EDQUOT") ? "Disk quota exceeded" : "No space left on device";
}
