/**
 * Lesson 10: the file of a blob that is still coming. Nobody finds it by a hash.
 *
 * It is written to the disk a part at a time: a gigabyte that is synced at its end keeps the fsync
 * of the log, and with it everybody, waiting for seconds.
 *
 * Invariants: its descriptor is closed once, whatever fails; after `drop` nothing is left of it.
 * Test: test/10-master.blobs.test.ts
 */
import { createHash, type Hash } from "node:crypto";
import type { Host, StoredFile } from "#host";

const PARTIAL = ".upload-";
/** A tenth of a second of a disk that writes 160 MB/s. */
const SYNC_BYTES = 16 * 1024 * 1024;

export class BlobFile {
  readonly path: string;
  readonly #host: Host;
  readonly #file: StoredFile;
  readonly #hash: Hash = createHash("sha256");
  #digest: string | undefined;
  #bytes = 0;
  #unsynced = 0;
  #closed = false;

  /** See `makeBlobFile`. */
  constructor(host: Host, path: string, file: StoredFile) {
    this.#host = host;
    this.path = path;
    this.#file = file;
  }

  /** What has come. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The SHA-256 of all that has come. Nothing may come after it. */
  get hash(): string {
    return (this.#digest ??= this.#hash.digest("hex"));
  }

  async append(data: Buffer): Promise<void> {
    await this.#file.append([data]);
    this.#hash.update(data);
    this.#bytes += data.length;
    this.#unsynced += data.length;
    if (this.#unsynced < SYNC_BYTES) return;
    this.#unsynced = 0;
    await this.#file.sync();
  }

  /** All of it is on the disk, and it is closed. */
  async finish(): Promise<void> {
    this.#closed = true; // once, whatever fails: a second close could hit another file's number
    await this.#file.sync().finally(() => this.#file.close());
  }

  async drop(): Promise<void> {
    if (!this.#closed) await this.#file.close();
    this.#closed = true;
    await this.#host.storage.remove(this.path);
  }
}

export async function makeBlobFile(host: Host, dir: string): Promise<BlobFile> {
  await host.storage.mkdir(dir);
  const path = `${dir}/${PARTIAL}${Buffer.from(host.random.bytes(8)).toString("hex")}`;
  const file = await host.storage.open(path, { create: true, exclusive: true });
  return new BlobFile(host, path, file);
}

/** Whether a file of this name was left by a crash. */
export function isPartial(name: string): boolean {
  return name.startsWith(PARTIAL);
}
