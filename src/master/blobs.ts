/**
 * Lesson 10: content by name, where the name is the content's SHA-256.
 *
 * A project folder travels once: client to master as a blob, master to each worker that asks. A
 * blob that has been checked against its name can never be wrong later, so nobody asks whether it
 * is up to date.
 *
 * The master counts who needs a blob. The blob goes when the count is zero and nobody has asked for
 * it lately:
 *
 *     an upload under way, until it is in place      a run, until it is forgotten
 *     the connection that has uploaded it, until     a submission, until it is decided
 *     it has used it or is gone                      a download, until it ends
 *
 * Invariants: a file in `blobs/` has the hash that it is named after; an upload that stops half-way
 * leaves nothing under that name; what is counted is not removed, in whatever order people upload,
 * ask, submit and go; whoever reads a blob to its end without an error has read what it is named
 * after, and one that the disk has damaged is removed then; at most `maxUploads` files are open for
 * uploads, and one per piece that is read.
 * Test: test/10-master.blobs.test.ts
 */
import { createHash } from "node:crypto";
import { letGo, takeBlock } from "#framing";
import type { Host } from "#host";
import { BLOB_CHUNK_BYTES, MAX_BLOB_BYTES } from "#wire";
import { isPartial, makeBlobFile, type BlobFile } from "./blob-file.ts";
import { DEFAULT_PLACES } from "./limits.ts";
import type { Pace } from "./output.ts";
import { Removals } from "./removals.ts";

export class BlobError extends Error {
  override readonly name = "BlobError";
}

/**
 * All uploads that have a file open, and how to give one up. The one that has not moved for longest
 * is first.
 */
type OpenUploads = Map<BlobFile, () => void>;

/**
 * A blob is kept this long after somebody asked for it, or left after uploading it: the submission
 * that needs it is on its way.
 */
const KEEP_MS = 10 * 60_000;
const HASH = /^[0-9a-f]{64}$/;

export class BlobStore {
  readonly #host: Host;
  readonly #dir: string;
  readonly #open: OpenUploads = new Map();
  readonly #maxUploads: number;
  /** How many need it. */
  readonly #holds = new Map<string, number>();
  /** When somebody last asked for it and found it, the longest ago first. */
  readonly #wanted = new Map<string, number>();
  readonly #removals: Removals;
  /** Of the disk: what artifacts that are on their way take, or will. */
  reserved = 0;
  /** Uploads that have been put in place, or are about to be. */
  #placed = 0;

  constructor(host: Host, dir: string, options: { maxUploads?: number } = {}) {
    this.#host = host;
    this.#dir = dir;
    this.#maxUploads = options.maxUploads ?? DEFAULT_PLACES.uploads;
    this.#removals = new Removals(host.clock, (name) => host.storage.remove(`${dir}/${name}`));
  }

  // #region holds
  /** It is needed from now on, whether it is there or not. Each hold has its `release`. */
  hold(hash: string): void {
    this.#path(hash);
    this.#holds.set(hash, (this.#holds.get(hash) ?? 0) + 1);
  }

  release(hash: string): void {
    const count = this.#holds.get(hash);
    if (count === undefined) {
      throw new Error(`Bug in the master: blob ${hash} is released, and was not held`);
    }
    if (count > 1) this.#holds.set(hash, count - 1);
    else this.#holds.delete(hash);
    this.#sweep();
    this.#letGo(hash);
  }

  #letGo(hash: string): void {
    if (!this.#holds.has(hash) && !this.#wanted.has(hash)) this.#removals.add(hash);
  }
  // #endregion

  /** A wish that is too old does not count any more. */
  #sweep(): void {
    const old = this.#host.clock.monotonic() - KEEP_MS;
    for (const [hash, at] of this.#wanted) {
      if (at >= old) return;
      this.#wanted.delete(hash);
      this.#letGo(hash);
    }
  }

  /** Whether it is there. If so it stays for a while: the submission is on its way. */
  async has(hash: string): Promise<boolean> {
    // First: nobody shall remove it between the look and the answer.
    this.hold(hash);
    try {
      const found = await this.isThere(hash);
      if (found) this.want(hash);
      return found;
    } finally {
      this.release(hash);
    }
  }

  /** The same, for somebody who holds it. */
  async isThere(hash: string): Promise<boolean> {
    await this.#removals.keep(hash);
    return (await this.#host.storage.stat(this.#path(hash))) !== undefined;
  }

  /** Blobs that somebody needs. */
  get held(): number {
    return this.#holds.size;
  }

  /** Files that are still to be removed. */
  get leftovers(): number {
    return this.#removals.size;
  }

  /** The whole blob, or a refusal if it has more than `maxBytes`. */
  async load(hash: string, maxBytes = MAX_BLOB_BYTES): Promise<Buffer> {
    const { size = 0 } = (await this.#host.storage.stat(this.#path(hash))) ?? {};
    const bytes = Buffer.allocUnsafeSlow(Math.min(size, maxBytes));
    let end = 0;
    for await (const piece of this.read(hash, { maxBytes })) end += piece.copy(bytes, end);
    return bytes.subarray(0, end);
  }

  // #region read
  /**
   * The blob in pieces, as they travel: a reader holds one of them, and a file that is open no
   * longer than it takes to read it. Each piece waits for its `pace`, and is lent until the reader
   * asks for the next: the memory is used again. Nobody can check a piece before it leaves: the
   * hash is that of the whole. So the reader is told at the end, by an error in place of the end,
   * and what it has is worth nothing until then.
   */
  async *read(
    hash: string,
    options: { pace?: Pace; maxBytes?: number } = {},
  ): AsyncGenerator<Buffer> {
    this.hold(hash);
    try {
      yield* this.#pieces(hash, options);
    } finally {
      this.release(hash);
    }
  }
  // #endregion

  async *#pieces(
    hash: string,
    options: { pace?: Pace; maxBytes?: number },
  ): AsyncGenerator<Buffer> {
    const { pace, maxBytes = MAX_BLOB_BYTES } = options;
    await this.#removals.keep(hash);
    const placed = this.#placed;
    if ((await this.#host.storage.stat(this.#path(hash))) === undefined) {
      throw new BlobError(`Cannot read blob ${hash}: it was never uploaded here`);
    }
    const check = createHash("sha256");
    for (let offset = 0; ;) {
      const done = await pace?.();
      if (pace !== undefined && done === undefined) return;
      const block = takeBlock(BLOB_CHUNK_BYTES);
      try {
        const { piece, size } = await this.#piece(hash, offset, block);
        if (size > maxBytes) {
          throw new BlobError(
            `Cannot read blob ${hash}: its ${size} bytes are more than ${maxBytes}`,
          );
        }
        offset += piece.length;
        check.update(piece);
        if (piece.length > 0) yield piece;
        if (piece.length === 0 || offset >= size) break;
      } finally {
        letGo(block);
        done?.();
      }
    }
    if (check.digest("hex") === hash) return;
    // Damaged on the disk. Gone is better than wrong: a client that has it is asked for it again.
    // If anything was uploaded meanwhile it may have been this one, anew: then it stays.
    if (this.#placed === placed) await this.#removals.now(hash);
    throw new BlobError(
      `Cannot read blob ${hash}: its file was damaged and has been removed; submit again to ` +
        "upload it",
    );
  }

  async #piece(
    hash: string, offset: number, into: Buffer,
  ): Promise<{ piece: Buffer; size: number }> {
    const file = await this.#host.storage.open(this.#path(hash), { readOnly: true });
    try {
      return { piece: await file.read(offset, BLOB_CHUNK_BYTES, into), size: file.size };
    } finally {
      await file.close();
    }
  }

  // ── files that come ──────────────────────────────────────────────────────────────────────────

  /**
   * A new file. `giveUp` is called if others need its descriptor: it has not moved for longest.
   * That is none that still gets pieces, however many others have begun and stopped.
   */
  async begin(giveUp: () => void): Promise<BlobFile> {
    const file = await makeBlobFile(this.#host, this.#dir);
    this.moved(file, giveUp);
    if (this.#open.size > this.#maxUploads) {
      const [oldest, end] = this.#open.entries().next().value!;
      this.#open.delete(oldest);
      end();
    }
    return file;
  }

  /** It gets a piece. */
  moved(file: BlobFile, giveUp: () => void): void {
    this.#open.delete(file);
    this.#open.set(file, giveUp);
  }

  async drop(file: BlobFile): Promise<void> {
    this.#open.delete(file);
    await file.drop();
  }

  /**
   * Puts it under its hash, which the caller holds. It is durable when this resolves; if it
   * rejects, nothing is left of it.
   */
  async keep(file: BlobFile, hash: string): Promise<void> {
    this.#open.delete(file);
    try {
      await file.finish();
      await this.#removals.keep(hash);
      this.#placed += 1; // before the file changes, for those who read it
      await this.#host.storage.rename(file.path, this.#path(hash));
      await this.#host.storage.syncDirectory(this.#dir);
    } catch (error) {
      await file.drop();
      throw error;
    }
  }

  /** Somebody who has let go of it may come back for it. */
  want(hash: string): void {
    this.#wanted.delete(hash);
    this.#wanted.set(hash, this.#host.clock.monotonic());
  }

  /**
   * The start of a process: each run holds its project, and each artifact its content. Blobs that
   * nobody needs are removed in the background, and so are uploads that a crash interrupted.
   */
  async recover(needed: Iterable<string>): Promise<void> {
    for (const hash of needed) this.hold(hash);
    for (const name of await this.#host.storage.list(this.#dir)) {
      if (isPartial(name) || (HASH.test(name) && !this.#holds.has(name))) {
        this.#removals.add(name);
      }
    }
  }

  /** Lets removals that have begun end. */
  close(): Promise<void> {
    return this.#removals.close();
  }

  #path(hash: string): string {
    // A peer chose this text, and it becomes a path.
    if (!HASH.test(hash)) {
      throw new BlobError(
        `Cannot use blob name "${hash.slice(0, 80)}": not a SHA-256 in lower-case hex`,
      );
    }
    return `${this.#dir}/${hash}`;
  }
}
