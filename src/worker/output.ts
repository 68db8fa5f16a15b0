/**
 * Lesson 11: a job's output on its way to the master, in batches, with backpressure.
 *
 *     program ─ pipe ─▶ buffer ─ OUTPUT (one at a time) ─▶ master's file
 *                └── paused while the buffer is full: the pipe fills, and the program waits
 *
 * A job that prints a gigabyte is thereby slowed to the speed of the master's disk, instead of
 * filling the worker's memory.
 *
 * Invariants: at most HIGH_BYTES and one pipe's worth wait per attempt; chunks arrive in order;
 * after a broken connection the last batch may arrive twice, but it does arrive.
 * Test: test/11-worker.test.ts
 */
import type { Host, Timer } from "#host";
import { BLOB_CHUNK_BYTES, type OutputChunk } from "#wire";

/** Waiting bytes beyond which the program is paused. */
const HIGH_BYTES = 256 * 1024;
/**
 * A batch leaves when it has this much, or when its first byte is this old: a person who follows a
 * log sees no delay.
 */
const BATCH_BYTES = 64 * 1024;
const BATCH_MS = 20;
/** Chunks in one OUTPUT message, as its schema allows. */
const BATCH_CHUNKS = 1024;

export interface OutputTarget {
  /** Resolves once the master has the chunks. */
  send(chunks: OutputChunk[]): Promise<void>;
  pause(): void;
  resume(): void;
}

export class OutputPipe {
  readonly #host: Host;
  readonly #target: OutputTarget;
  #waiting: OutputChunk[] = [];
  #bytes = 0;
  #paused = false;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;

  constructor(host: Host, target: OutputTarget) {
    this.#host = host;
    this.#target = target;
  }

  // #region push
  push(stream: "stdout" | "stderr", bytes: Buffer): void {
    // #exercise push
    const at = this.#host.clock.wall();
    for (let from = 0; from < bytes.length; from += BLOB_CHUNK_BYTES) {
      this.#waiting.push({ stream, at, data: bytes.subarray(from, from + BLOB_CHUNK_BYTES) });
    }
    this.#bytes += bytes.length;
    if (this.#bytes > HIGH_BYTES && !this.#paused) {
      this.#paused = true;
      this.#target.pause();
    }
    if (this.#bytes >= BATCH_BYTES) this.#flush();
    else this.#timer ??= this.#host.timers.after(BATCH_MS, () => this.#flush());
    // #end-exercise
  }
  // #endregion

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    // One batch under way at a time: the next one grows meanwhile.
    if (this.#sending !== undefined) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
    // The promise rejects when the worker stops. `drained` tells that to a caller, and there may be
    // none.
    this.#sending.catch(() => undefined);
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      await this.#target.send(batch);
      this.#bytes -= batch.reduce((sum, chunk) => sum + chunk.data.length, 0);
      if (this.#paused && this.#bytes <= HIGH_BYTES / 2) {
        this.#paused = false;
        this.#target.resume();
      }
    }
  }

  #takeBatch(): OutputChunk[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length && count < BATCH_CHUNKS && bytes < HIGH_BYTES) {
      bytes += this.#waiting[count++]!.data.length;
    }
    return this.#waiting.splice(0, count);
  }

  /** Resolves when everything that was pushed has arrived. */
  async drained(): Promise<void> {
    while (this.#waiting.length > 0 || this.#sending !== undefined) {
      this.#flush();
      await this.#sending;
    }
  }
}
