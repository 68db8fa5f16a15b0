/**
 * Lesson 15: one rewrite of the log: the keyspace becomes a snapshot of #log, which then drops the
 * records before it.
 *
 *     waits ──all changes are in the log──▶ copies ──the last key──▶ copied ──on disk──▶ over
 *       └───────────────────── closed, failed ──────────────────────────────────────────▶─┘
 *
 * The snapshot is made in slices (snapshot-queue.ts) that wait for the disk (chunk-queue.ts).
 *
 * Invariants: every change up to the moment of the snapshot is in a record that the snapshot
 * covers; `over` is called exactly once.
 * Left out: a bound on how far a rewrite is ahead of the disk while clients change many keys that
 * it has not reached: these are written out at once, each once.
 * Test: test/15-store.log.test.ts
 */
import { MAX_RECORD_BYTES } from "#log";
import { ChunkQueue } from "./chunk-queue.ts";
import type { SnapshotSink } from "./snapshot-queue.ts";
import { encodePieces, TextBuffer } from "./text.ts";

/**
 * One piece of a snapshot. Text that grows to a megabyte before it becomes bytes is 200,000 little
 * strings to the collector.
 */
const CHUNK_BYTES = 64 * 1024;

/** What a rewrite needs of the store's log. */
export interface RewriteLog {
  /** Hands all changes so far to #log. False: it has no room for them yet. */
  appendAll(): boolean;
  /** The log is closed or has failed: there will be no snapshot. */
  isClosed(): boolean;
  /** Writes a snapshot of this moment. Resolves when it is on disk. */
  save(chunks: AsyncIterable<Buffer>): Promise<void>;
  /** The snapshot has so many bytes, and stands for all records before it. */
  saved(bytes: number): void;
  /** There is room for more, or the rewrite has ended: the next slice may come. */
  wake(): void;
  over(error: Error | undefined): void;
}

export class Rewrite implements SnapshotSink {
  readonly #log: RewriteLog;
  readonly #queue: ChunkQueue;
  readonly #text = new TextBuffer();
  #bytes = 0;
  #state: "waits" | "copies" | "copied" | "over" = "waits";

  constructor(log: RewriteLog) {
    this.#log = log;
    this.#queue = new ChunkQueue(() => log.wake());
  }

  /** How far the snapshot is ahead of the disk. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  isReady(): boolean {
    if (this.#state === "copies") return !this.#queue.isFull;
    // The snapshot will hold what this turn has changed so far. The records that it covers must
    // hold that, too.
    return this.#log.appendAll();
  }

  isGone(): boolean {
    if (this.#log.isClosed()) this.#end(new Error("the log is closed"));
    return this.#state === "over";
  }

  begin(): void {
    this.#state = "copies";
    this.#log.save(this.#queue).then(() => {
      // In another state nothing has changed since the last snapshot, and that one stays.
      if (this.#state === "copied") this.#log.saved(this.#bytes);
      this.#end();
    }, (error: Error) => this.#end(error));
  }

  emit(argv: string[]): void {
    for (const piece of encodePieces(argv)) this.#text.add(piece);
    if (this.#text.length >= CHUNK_BYTES) this.#cut();
  }

  end(): void {
    this.#cut();
    this.#state = "copied";
    this.#queue.end();
  }

  /** Puts the text so far into the queue, in pieces that #log takes. */
  #cut(): void {
    const chunk = this.#text.take();
    for (let at = 0; at < chunk.length; at += MAX_RECORD_BYTES) {
      this.#queue.push(chunk.subarray(at, at + MAX_RECORD_BYTES));
    }
    this.#bytes += chunk.length;
  }

  #end(error?: Error): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#queue.end(error);
    this.#log.wake();
    this.#log.over(error);
  }
}
