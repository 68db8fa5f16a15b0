/**
 * Lesson 05: a commit group: the records that will share one write and one fsync.
 *
 * `add` copies a record into a buffer that is already there, so an append allocates nothing; the
 * caller may reuse its own bytes at once.
 *
 * Invariants: no chunk exceeds `chunkBytes` unless it holds a single record, so a group can be cut
 * between chunks when a segment is full; the promise exists only if somebody asked for it.
 * Test: test/05-log.test.ts
 */
import { encodeRecord, RECORD_HEADER_BYTES, type RecordFields } from "./record.ts";

interface Chunk {
  readonly buffer: Buffer;
  used: number;
  readonly firstSeq: number;
}

export class Group {
  readonly #chunkBytes: number;
  /** The buffer that every use of this group starts with. */
  #home: Buffer | undefined;
  #last: Chunk | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #promise: Promise<void> | undefined;
  readonly chunks: Chunk[] = [];
  /** How many of the chunks are in the file already: the disk was full before the next one. */
  written = 0;
  bytes = 0;
  lastSeq = 0;
  /** The write of this group must be followed by an fsync. */
  mustSync = false;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  add(record: RecordFields): void {
    const bytes = RECORD_HEADER_BYTES + record.body.byteLength;
    let chunk = this.#last;
    if (chunk === undefined || chunk.used + bytes > chunk.buffer.length) {
      chunk = this.#addChunk(bytes, record.seq);
    }
    chunk.used = encodeRecord(chunk.buffer, chunk.used, record);
    this.bytes += bytes;
    this.lastSeq = record.seq;
  }

  #addChunk(bytes: number, firstSeq: number): Chunk {
    const buffer = this.#bufferFor(bytes);
    const chunk = { buffer, used: 0, firstSeq };
    this.chunks.push(chunk);
    this.#last = chunk;
    return chunk;
  }

  #bufferFor(bytes: number): Buffer {
    if (bytes > this.#chunkBytes) return Buffer.allocUnsafeSlow(bytes);
    if (this.chunks.length > 0) return Buffer.allocUnsafeSlow(this.#chunkBytes);
    this.#home ??= Buffer.allocUnsafeSlow(this.#chunkBytes);
    return this.#home;
  }

  /** One promise for everybody who waits for this group. */
  promise(): Promise<void> {
    if (this.#promise === undefined) {
      this.#promise = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
      // callers that await it still see the failure; the others have onFatal
      this.#promise.catch(() => {});
    }
    return this.#promise;
  }

  /**
   * Ends this use of the group and makes it ready for the next. Its bytes must have left its
   * buffers.
   */
  finish(error?: Error): void {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#promise = undefined;
    this.#last = undefined;
    this.chunks.length = 0;
    this.written = 0;
    this.bytes = 0;
    this.mustSync = false;
    if (error === undefined) settle?.resolve();
    else settle?.reject(error);
  }
}
