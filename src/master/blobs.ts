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
import { createHash, type Hash } from "node:crypto";
import type { Host, StoredFile } from "#host";
import { BLOB_CHUNK_BYTES, MAX_BLOB_BYTES } from "#wire";
import { DEFAULT_PLACES } from "./limits.ts";
import type { Pace } from "./output.ts";
import { Removals } from "./removals.ts";

export class BlobError extends Error {
  override readonly name = "BlobError";
}

interface Upload {
  readonly file: StoredFile;
  readonly path: string;
  readonly hash: Hash;
  bytes: number;
}

/**
 * All uploads that have a file open, and how to give one up. The one that has not moved for longest
 * is first.
 */
type OpenUploads = Map<Upload, () => void>;

/** What the uploads of one connection need of the store. */
interface UploadStore {
  readonly open: OpenUploads;
  readonly maxOpen: number;
  hold(hash: string): void;
  release(hash: string): void;
  want(hash: string): void;
  /** Puts an upload under its name. Its maker holds the blob. */
  place(from: string, hash: string): Promise<void>;
}

/** Uploads that one peer may have open at a time: a client sends one. */
const MAX_UPLOADS = 4;

/**
 * A blob is kept this long after somebody asked for it, or left after uploading it: the submission
 * that needs it is on its way.
 */
const KEEP_MS = 10 * 60_000;
const PARTIAL = ".upload-";
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
      await this.#removals.keep(hash);
      const found = (await this.#host.storage.stat(this.#path(hash))) !== undefined;
      if (found) this.#want(hash);
      return found;
    } finally {
      this.release(hash);
    }
  }

  /** Somebody may come for it. */
  #want(hash: string): void {
    this.#wanted.delete(hash);
    this.#wanted.set(hash, this.#host.clock.monotonic());
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
   * longer than it takes to read it. Each piece waits for its `pace`. Nobody can check a piece
   * before it leaves: the hash is that of the whole. So the reader is told at the end, by an error
   * in place of the end, and what it has is worth nothing until then.
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
      try {
        const { piece, size } = await this.#piece(hash, offset);
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

  async #piece(hash: string, offset: number): Promise<{ piece: Buffer; size: number }> {
    const file = await this.#host.storage.open(this.#path(hash), { readOnly: true });
    try {
      return { piece: await file.read(offset, BLOB_CHUNK_BYTES), size: file.size };
    } finally {
      await file.close();
    }
  }

  /** Uploads of one connection. They vanish with it. */
  uploads(): Uploads {
    const store: UploadStore = {
      open: this.#open, maxOpen: this.#maxUploads,
      hold: (hash) => this.hold(hash), release: (hash) => this.release(hash),
      want: (hash) => this.#want(hash), place: (from, hash) => this.#place(from, hash),
    };
    return new Uploads(this.#host, this.#dir, store);
  }

  async #place(from: string, hash: string): Promise<void> {
    await this.#removals.keep(hash);
    this.#placed += 1; // before the file changes, for those who read it
    await this.#host.storage.rename(from, this.#path(hash));
  }

  /**
   * The start of a process: each run holds its project. Blobs that no run needs are removed in
   * the background, and so are uploads that a crash interrupted.
   */
  async recover(held: Iterable<string>): Promise<void> {
    for (const hash of held) this.hold(hash);
    for (const name of await this.#host.storage.list(this.#dir)) {
      if (name.startsWith(PARTIAL) || (HASH.test(name) && !this.#holds.has(name))) {
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

/** A part of a blob, as it comes: `data` begins at `offset` of `total` bytes. */
interface Piece {
  readonly hash: string;
  readonly total: number;
  readonly offset: number;
  readonly data: Buffer;
}

export class Uploads {
  readonly #host: Host;
  readonly #dir: string;
  readonly #store: UploadStore;
  readonly #open = new Map<string, Upload>();
  /**
   * Blobs that came over this connection and that it has not used yet, and how often. Each is a
   * hold.
   */
  readonly #unused = new Map<string, number>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(host: Host, dir: string, store: UploadStore) {
    this.#host = host;
    this.#dir = dir;
    this.#store = store;
  }

  /** A submission that names the blob has been decided: what was uploaded for it is used up. */
  used(hash: string): void {
    const count = this.#unused.get(hash);
    if (count === undefined) return;
    if (count > 1) this.#unused.set(hash, count - 1);
    else this.#unused.delete(hash);
    this.#store.release(hash);
  }

  /** Takes the next piece. True: the blob is complete, checked and in place. */
  put(piece: Piece): Promise<boolean> {
    // One at a time and in order, whatever the peer does.
    const done = this.#queue.then(() => this.#put(piece));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #put({ hash, total, offset, data }: Piece): Promise<boolean> {
    const doing = `Cannot upload blob ${hash.slice(0, 12)}…`;
    if (total > MAX_BLOB_BYTES) {
      throw new BlobError(`${doing}: ${total} bytes exceed ${MAX_BLOB_BYTES}`);
    }
    // Looked at before a file is opened for it: a piece of nothing must not take an honest upload's
    // place.
    const bytes = this.#open.get(hash)?.bytes ?? 0;
    if (offset !== bytes || offset + data.length > total) {
      await this.#drop(hash);
      throw new BlobError(
        `${doing}: piece ${offset}+${data.length} of ${total} does not follow byte ${bytes}`,
      );
    }
    const upload = this.#open.get(hash) ?? (await this.#begin(hash));
    this.#moved(upload, hash);
    await upload.file.append([data]);
    upload.hash.update(data);
    upload.bytes += data.length;
    if (upload.bytes < total) return false;
    const found = upload.hash.digest("hex");
    if (found !== hash) {
      await this.#drop(hash);
      throw new BlobError(`${doing}: the content's hash is ${found}`);
    }
    await this.#keep(upload, hash);
    return true;
  }

  async #keep(upload: Upload, hash: string): Promise<void> {
    const { storage } = this.#host;
    // Out of the book first: whatever fails from here on, this descriptor is closed once. A second
    // close could hit another file's.
    this.#forget(hash);
    try {
      await upload.file.sync().finally(() => upload.file.close());
      await this.#store.place(upload.path, hash);
      await storage.syncDirectory(this.#dir);
    } catch (error) {
      this.#store.release(hash);
      await storage.remove(upload.path);
      throw error;
    }
    // The hold of the upload is now that of the connection.
    this.#unused.set(hash, (this.#unused.get(hash) ?? 0) + 1);
  }

  async #begin(hash: string): Promise<Upload> {
    if (this.#open.size >= MAX_UPLOADS) {
      const found = `${MAX_UPLOADS} uploads are open already`;
      throw new BlobError(`Cannot upload blob ${hash.slice(0, 12)}…: ${found}`);
    }
    this.#store.hold(hash);
    try {
      await this.#host.storage.mkdir(this.#dir);
      const drawn = Buffer.from(this.#host.random.bytes(8)).toString("hex");
      const path = `${this.#dir}/${PARTIAL}${drawn}`;
      const file = await this.#host.storage.open(path, { create: true, exclusive: true });
      const upload: Upload = { file, path, hash: createHash("sha256"), bytes: 0 };
      this.#open.set(hash, upload);
      this.#moved(upload, hash);
      this.#makeRoom();
      return upload;
    } catch (error) {
      this.#store.release(hash);
      throw error;
    }
  }

  #moved(upload: Upload, hash: string): void {
    const { open } = this.#store;
    open.delete(upload);
    open.set(
      upload,
      () => void (this.#queue = this.#queue.then(() => this.#drop(hash)).catch(() => undefined)),
    );
  }

  /**
   * The upload that has not moved for longest goes. That is none that still sends pieces, however
   * many others have begun and stopped.
   */
  #makeRoom(): void {
    const { open, maxOpen } = this.#store;
    if (open.size <= maxOpen) return;
    const [oldest, giveUp] = open.entries().next().value!;
    open.delete(oldest);
    giveUp();
  }

  #forget(hash: string): Upload | undefined {
    const upload = this.#open.get(hash);
    this.#open.delete(hash);
    if (upload !== undefined) this.#store.open.delete(upload);
    return upload;
  }

  async #drop(hash: string): Promise<void> {
    const upload = this.#forget(hash);
    if (upload === undefined) return;
    this.#store.release(hash);
    await upload.file.close();
    await this.#host.storage.remove(upload.path);
  }

  /**
   * The connection is gone. Its client may come back by another, and submit what it has uploaded.
   */
  async close(): Promise<void> {
    await this.#queue;
    for (const hash of [...this.#open.keys()]) await this.#drop(hash);
    for (const [hash, count] of this.#unused) {
      this.#store.want(hash);
      for (let i = 0; i < count; i++) this.#store.release(hash);
    }
    this.#unused.clear();
  }
}
