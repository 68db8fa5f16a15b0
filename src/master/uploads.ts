/**
 * Lesson 10: blobs that a client sends before it submits what needs them: a packed project, a large
 * pipeline. It names each by its hash, and sends it piece by piece.
 *
 * Invariants: pieces are taken one at a time and in order, whatever the peer does; an upload that
 * stops half-way leaves nothing; what has come is held until its connection has used it or is gone.
 * Test: test/10-master.blobs.test.ts
 */
import { MAX_BLOB_BYTES } from "#wire";
import type { BlobFile } from "./blob-file.ts";
import { BlobError, type BlobStore } from "./blobs.ts";

/** Uploads that one peer may have open at a time: a client sends one. */
const MAX_UPLOADS = 4;

/** A part of a blob, as it comes: `data` begins at `offset` of `total` bytes. */
interface Piece {
  readonly hash: string;
  readonly total: number;
  readonly offset: number;
  readonly data: Buffer;
}

export class Uploads {
  readonly #store: BlobStore;
  readonly #open = new Map<string, BlobFile>();
  /**
   * Blobs that came over this connection and that it has not used yet, and how often. Each is a
   * hold.
   */
  readonly #unused = new Map<string, number>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: BlobStore) {
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
    this.#store.moved(upload, () => this.#giveUp(hash));
    await upload.append(data);
    if (upload.bytes < total) return false;
    if (upload.hash !== hash) {
      await this.#drop(hash);
      throw new BlobError(`${doing}: the content's hash is ${upload.hash}`);
    }
    await this.#keep(upload, hash);
    return true;
  }

  async #keep(upload: BlobFile, hash: string): Promise<void> {
    // Out of the book first: whatever fails from here on, nobody ends this upload a second time.
    this.#open.delete(hash);
    await this.#store.keep(upload, hash).catch((error: unknown) => {
      this.#store.release(hash);
      throw error;
    });
    // The hold of the upload is now that of the connection.
    this.#unused.set(hash, (this.#unused.get(hash) ?? 0) + 1);
  }

  async #begin(hash: string): Promise<BlobFile> {
    if (this.#open.size >= MAX_UPLOADS) {
      const found = `${MAX_UPLOADS} uploads are open already`;
      throw new BlobError(`Cannot upload blob ${hash.slice(0, 12)}…: ${found}`);
    }
    this.#store.hold(hash);
    try {
      const upload = await this.#store.begin(() => this.#giveUp(hash));
      this.#open.set(hash, upload);
      return upload;
    } catch (error) {
      this.#store.release(hash);
      throw error;
    }
  }

  /** Others need its descriptor. */
  #giveUp(hash: string): void {
    this.#queue = this.#queue.then(() => this.#drop(hash)).catch(() => undefined);
  }

  async #drop(hash: string): Promise<void> {
    const upload = this.#open.get(hash);
    if (upload === undefined) return;
    this.#open.delete(hash);
    this.#store.release(hash);
    await this.#store.drop(upload);
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
