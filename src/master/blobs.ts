/**
 * Lesson 10: content by name, where the name is the content's SHA-256.
 *
 * A project folder travels once: client to master as a blob, master to each worker that asks. A blob that has been checked
 * against its name can never be wrong later, so nobody asks whether it is up to date.
 *
 * Invariants: a file in `blobs/` has the hash that it is named after; an upload that stops half-way leaves nothing under
 * that name; whoever reads a blob to its end without an error has read what it is named after, and one that the disk has damaged
 * is removed then; at most `maxUploads` files are open for uploads, and one per piece that is read.
 * Test: test/10-master.blobs.test.ts
 */
import { createHash, type Hash } from "node:crypto";
import type { Host, StoredFile } from "#host";
import { BLOB_CHUNK_BYTES, MAX_BLOB_BYTES } from "#wire";
import { DEFAULT_PLACES } from "./limits.ts";
import type { Pace } from "./output.ts";

export class BlobError extends Error {
  override readonly name = "BlobError";
}

interface Upload {
  readonly file: StoredFile;
  readonly path: string;
  readonly hash: Hash;
  bytes: number;
}

/** All uploads that have a file open, and how to give one up. The one that has not moved for longest is first. */
type OpenUploads = Map<Upload, () => void>;

/** What the uploads of one connection need of the store. */
interface UploadStore {
  readonly open: OpenUploads;
  readonly maxOpen: number;
  path(hash: string): string;
  done(hash: string): void;
}

/** Uploads that one peer may have open at a time: a client sends one. */
const MAX_UPLOADS = 4;

/** A blob is kept this long after somebody uploaded it or asked for it: the submission that needs it is on its way. */
const KEEP_MS = 10 * 60_000;
const PARTIAL = ".upload-";

export class BlobStore {
  readonly #host: Host;
  readonly #dir: string;
  readonly #open: OpenUploads = new Map();
  readonly #maxUploads: number;
  /** When a blob was last uploaded or asked for. */
  readonly #wanted = new Map<string, number>();

  constructor(host: Host, dir: string, options: { maxUploads?: number } = {}) {
    this.#host = host;
    this.#dir = dir;
    this.#maxUploads = options.maxUploads ?? DEFAULT_PLACES.uploads;
  }

  async has(hash: string): Promise<boolean> {
    const path = this.#path(hash);
    this.#touch(hash); // first: nobody shall remove it between the question and the submission
    const found = (await this.#host.storage.stat(path)) !== undefined;
    if (!found) this.#wanted.delete(hash);
    return found;
  }

  #touch(hash: string): void {
    this.#wanted.set(hash, this.#host.clock.monotonic());
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
   * The blob in pieces, as they travel: a reader holds one of them, and a file that is open no longer than it takes to read it.
   * Each piece waits for its `pace`. Nobody can check a piece before it leaves: the hash is that of the whole. So the reader is
   * told at the end, by an error in place of the end, and what it has is worth nothing until then.
   */
  async *read(hash: string, options: { pace?: Pace; maxBytes?: number } = {}): AsyncGenerator<Buffer> {
    const { pace, maxBytes = MAX_BLOB_BYTES } = options;
    if (!(await this.has(hash))) throw new BlobError(`Cannot read blob ${hash}: it was never uploaded here`);
    const check = createHash("sha256");
    for (let offset = 0; ;) {
      const done = await pace?.();
      if (pace !== undefined && done === undefined) return;
      try {
        const { piece, size } = await this.#piece(hash, offset);
        if (size > maxBytes) throw new BlobError(`Cannot read blob ${hash}: its ${size} bytes are more than ${maxBytes}`);
        offset += piece.length;
        check.update(piece);
        if (piece.length > 0) yield piece;
        if (piece.length === 0 || offset >= size) break;
      } finally {
        done?.();
      }
    }
    if (check.digest("hex") === hash) return;
    // Damaged on the disk. Gone is better than wrong: whoever has it is asked for it again.
    await this.remove(hash);
    throw new BlobError(`Cannot read blob ${hash}: its file was damaged and has been removed; submit again to upload it`);
  }
  // #endregion

  async #piece(hash: string, offset: number): Promise<{ piece: Buffer; size: number }> {
    const file = await this.#host.storage.open(this.#path(hash), { readOnly: true });
    try {
      return { piece: await file.read(offset, BLOB_CHUNK_BYTES), size: file.size };
    } finally {
      await file.close();
    }
  }

  async remove(hash: string): Promise<void> {
    this.#wanted.delete(hash);
    await this.#host.storage.remove(this.#path(hash));
  }

  /** Uploads of one connection. They vanish with it. */
  uploads(): Uploads {
    const store = {
      open: this.#open, maxOpen: this.#maxUploads,
      path: (hash: string) => this.#path(hash), done: (hash: string) => this.#touch(hash),
    };
    return new Uploads(this.#host, this.#dir, store);
  }

  /** Removes what no run needs, and nobody has asked for lately. */
  async keepOnly(needed: ReadonlySet<string>): Promise<void> {
    const old = this.#host.clock.monotonic() - KEEP_MS;
    for (const [hash, at] of this.#wanted) if (at < old) this.#wanted.delete(hash);
    for (const name of await this.#host.storage.list(this.#dir)) {
      if (/^[0-9a-f]{64}$/.test(name) && !needed.has(name) && !this.#wanted.has(name)) await this.remove(name);
    }
  }

  /** Removes uploads that a crash interrupted. */
  async removePartial(): Promise<void> {
    for (const name of await this.#host.storage.list(this.#dir)) {
      if (name.startsWith(PARTIAL)) await this.#host.storage.remove(`${this.#dir}/${name}`);
    }
  }

  #path(hash: string): string {
    // A peer chose this text, and it becomes a path.
    if (!/^[0-9a-f]{64}$/.test(hash)) throw new BlobError(`Cannot use blob name "${hash.slice(0, 80)}": not a SHA-256 in lower-case hex`);
    return `${this.#dir}/${hash}`;
  }
}

export class Uploads {
  readonly #host: Host;
  readonly #dir: string;
  readonly #store: UploadStore;
  readonly #open = new Map<string, Upload>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(host: Host, dir: string, store: UploadStore) {
    this.#host = host;
    this.#dir = dir;
    this.#store = store;
  }

  /** Takes the next piece. True: the blob is complete, checked and in place. */
  put(piece: { hash: string; total: number; offset: number; data: Buffer }): Promise<boolean> {
    // One at a time and in order, whatever the peer does.
    const done = this.#queue.then(() => this.#put(piece));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #put({ hash, total, offset, data }: { hash: string; total: number; offset: number; data: Buffer }): Promise<boolean> {
    const target = this.#store.path(hash);
    const doing = `Cannot upload blob ${hash.slice(0, 12)}…`;
    if (total > MAX_BLOB_BYTES) throw new BlobError(`${doing}: ${total} bytes exceed ${MAX_BLOB_BYTES}`);
    const upload = this.#open.get(hash) ?? (await this.#begin(hash));
    if (offset !== upload.bytes || offset + data.length > total) {
      await this.#drop(hash);
      throw new BlobError(`${doing}: piece ${offset}+${data.length} of ${total} does not follow byte ${upload.bytes}`);
    }
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
    await this.#keep(upload, { hash, target });
    return true;
  }

  async #keep(upload: Upload, to: { hash: string; target: string }): Promise<void> {
    const { storage } = this.#host;
    // Out of the book first: whatever fails from here on, this descriptor is closed once. A second close could hit another file's.
    this.#forget(to.hash);
    try {
      await upload.file.sync().finally(() => upload.file.close());
      await storage.rename(upload.path, to.target);
    } catch (error) {
      await storage.remove(upload.path);
      throw error;
    }
    await storage.syncDirectory(this.#dir);
    this.#store.done(to.hash);
  }

  async #begin(hash: string): Promise<Upload> {
    if (this.#open.size >= MAX_UPLOADS) throw new BlobError(`Cannot upload blob ${hash.slice(0, 12)}…: ${MAX_UPLOADS} uploads are open already`);
    await this.#host.storage.mkdir(this.#dir);
    const path = `${this.#dir}/${PARTIAL}${Buffer.from(this.#host.random.bytes(8)).toString("hex")}`;
    const upload: Upload = { file: await this.#host.storage.open(path, { create: true, exclusive: true }), path, hash: createHash("sha256"), bytes: 0 };
    this.#open.set(hash, upload);
    this.#moved(upload, hash);
    this.#makeRoom();
    return upload;
  }

  #moved(upload: Upload, hash: string): void {
    const { open } = this.#store;
    open.delete(upload);
    open.set(upload, () => void (this.#queue = this.#queue.then(() => this.#drop(hash)).catch(() => undefined)));
  }

  /** Whoever sends pieces is not the one that has not moved for longest, however many others have begun and stopped. */
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
    await upload?.file.close();
    if (upload !== undefined) await this.#host.storage.remove(upload.path);
  }

  async close(): Promise<void> {
    await this.#queue;
    for (const hash of [...this.#open.keys()]) await this.#drop(hash);
  }
}
