/**
 * Lesson 10: content by name, where the name is the content's SHA-256.
 *
 * A project folder travels once: client to master as a blob, master to each worker that asks. A blob that has been checked
 * against its name can never be wrong later, so nobody asks whether it is up to date.
 *
 * Invariants: a file in `blobs/` has the hash that it is named after; an upload that stops half-way leaves nothing under
 * that name.
 * Test: test/10-master.blobs.test.ts
 */
import { createHash, type Hash } from "node:crypto";
import type { Host, StoredFile } from "#host";
import { BLOB_CHUNK_BYTES, MAX_BLOB_BYTES } from "#wire";

export class BlobError extends Error {
  override readonly name = "BlobError";
}

interface Upload {
  readonly file: StoredFile;
  readonly path: string;
  readonly hash: Hash;
  bytes: number;
}

/** Uploads that one peer may have open at a time: a client sends one. */
const MAX_UPLOADS = 4;

/** A blob is kept this long after somebody uploaded it or asked for it: the submission that needs it is on its way. */
const KEEP_MS = 10 * 60_000;
const PARTIAL = ".upload-";

export class BlobStore {
  readonly #host: Host;
  readonly #dir: string;
  /** When a blob was last uploaded or asked for. */
  readonly #wanted = new Map<string, number>();

  constructor(host: Host, dir: string) {
    this.#host = host;
    this.#dir = dir;
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

  /** The whole blob. At most MAX_BLOB_BYTES. */
  async load(hash: string): Promise<Buffer> {
    if (!(await this.has(hash))) throw new BlobError(`Cannot read blob ${hash}: it was never uploaded here`);
    const bytes = await this.#host.storage.readFile(this.#path(hash));
    if (createHash("sha256").update(bytes).digest("hex") === hash) return bytes;
    // Damaged on the disk. Gone is better than wrong: whoever has it is asked for it again.
    await this.remove(hash);
    throw new BlobError(`Cannot read blob ${hash}: its file was damaged and has been removed; submit again to upload it`);
  }

  /** The same in pieces, as they travel. */
  async *read(hash: string): AsyncGenerator<Buffer> {
    const bytes = await this.load(hash);
    for (let offset = 0; offset < bytes.length; offset += BLOB_CHUNK_BYTES) yield bytes.subarray(offset, offset + BLOB_CHUNK_BYTES);
  }

  async remove(hash: string): Promise<void> {
    this.#wanted.delete(hash);
    await this.#host.storage.remove(this.#path(hash));
  }

  /** Uploads of one connection. They vanish with it. */
  uploads(): Uploads {
    return new Uploads(this.#host, this.#dir, { path: (hash) => this.#path(hash), done: (hash) => this.#touch(hash) });
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
  readonly #path: (hash: string) => string;
  readonly #done: (hash: string) => void;
  readonly #open = new Map<string, Upload>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(host: Host, dir: string, store: { path(hash: string): string; done(hash: string): void }) {
    this.#host = host;
    this.#dir = dir;
    this.#path = store.path;
    this.#done = store.done;
  }

  /** Takes the next piece. True: the blob is complete, checked and in place. */
  put(piece: { hash: string; total: number; offset: number; data: Buffer }): Promise<boolean> {
    // One at a time and in order, whatever the peer does.
    const done = this.#queue.then(() => this.#put(piece));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #put({ hash, total, offset, data }: { hash: string; total: number; offset: number; data: Buffer }): Promise<boolean> {
    const target = this.#path(hash);
    const doing = `Cannot upload blob ${hash.slice(0, 12)}…`;
    if (total > MAX_BLOB_BYTES) throw new BlobError(`${doing}: ${total} bytes exceed ${MAX_BLOB_BYTES}`);
    const upload = this.#open.get(hash) ?? (await this.#begin(hash));
    if (offset !== upload.bytes || offset + data.length > total) {
      await this.#drop(hash);
      throw new BlobError(`${doing}: piece ${offset}+${data.length} of ${total} does not follow byte ${upload.bytes}`);
    }
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
    this.#open.delete(to.hash);
    try {
      await upload.file.sync().finally(() => upload.file.close());
      await storage.rename(upload.path, to.target);
    } catch (error) {
      await storage.remove(upload.path);
      throw error;
    }
    await storage.syncDirectory(this.#dir);
    this.#done(to.hash);
  }

  async #begin(hash: string): Promise<Upload> {
    if (this.#open.size >= MAX_UPLOADS) throw new BlobError(`Cannot upload blob ${hash.slice(0, 12)}…: ${MAX_UPLOADS} uploads are open already`);
    await this.#host.storage.mkdir(this.#dir);
    const path = `${this.#dir}/${PARTIAL}${Buffer.from(this.#host.random.bytes(8)).toString("hex")}`;
    const upload: Upload = { file: await this.#host.storage.open(path, { create: true, exclusive: true }), path, hash: createHash("sha256"), bytes: 0 };
    this.#open.set(hash, upload);
    return upload;
  }

  async #drop(hash: string): Promise<void> {
    const upload = this.#open.get(hash);
    this.#open.delete(hash);
    await upload?.file.close();
    if (upload !== undefined) await this.#host.storage.remove(upload.path);
  }

  async close(): Promise<void> {
    await this.#queue;
    for (const hash of [...this.#open.keys()]) await this.#drop(hash);
  }
}
