/**
 * A folder of files that clients have sent: `uploads` and `scripts` in the state folder.
 *
 * Invariants: a name is a name and no path; a file that was acknowledged is whole and on the disk;
 * all files together are bounded.
 * Test: test/dialect.files.test.ts
 */
import { dirname } from "node:path";
import type { Host } from "#host";
import { isPlainName } from "./jobs.ts";

/** A hundred of the largest files that one frame can carry. */
const MAX_FOLDER_BYTES = 1024 * 1024 * 1024;
const MAX_FILES = 10_000;
/** Of a file that is being written. */
const PART = ".part-";

export class OldFolder {
  readonly #host: Host;
  readonly #dir: string;
  /** Sizes by name, once the folder has been read. */
  #sizes: Promise<Map<string, number>> | undefined;
  #parts = 0;

  constructor(host: Host, dir: string) {
    this.#host = host;
    this.#dir = dir;
  }

  /** Whether this could be a file here. */
  accepts(name: string): boolean {
    return isPlainName(name) && !name.startsWith(PART);
  }

  /** Undefined: there is none. */
  async read(name: string): Promise<Buffer | undefined> {
    if (!this.accepts(name) || !(await this.#known()).has(name)) return undefined;
    return this.#host.storage.readFile(`${this.#dir}/${name}`);
  }

  /** In place of an older file of this name. */
  async write(name: string, content: Buffer): Promise<void> {
    const { storage } = this.#host;
    const sizes = await this.#known();
    const before = sizes.get(name);
    const total = [...sizes.values()].reduce((sum, size) => sum + size, content.length);
    if (total - (before ?? 0) > MAX_FOLDER_BYTES || (before === undefined
      && sizes.size >= MAX_FILES)) {
      throw new Error(`${sizes.size} files are there, and ${total} bytes would be too many`);
    }
    sizes.set(name, content.length); // counted from now on, so that many at once are not too many
    const part = `${this.#dir}/${PART}${this.#parts++}`;
    try {
      const file = await storage.open(part, { create: true, exclusive: true });
      try {
        await file.appendAndSync([content]);
      } finally {
        await file.close();
      }
      await storage.rename(part, `${this.#dir}/${name}`);
      await storage.syncDirectory(this.#dir);
    } catch (error) {
      if (before === undefined) sizes.delete(name);
      else sizes.set(name, before);
      await storage.remove(part).catch(() => undefined);
      throw error;
    }
  }

  #known(): Promise<Map<string, number>> {
    return (this.#sizes ??= this.#look().catch((error: unknown) => {
      this.#sizes = undefined;
      throw error;
    }));
  }

  /** Removes what an earlier process had begun to write. */
  async #look(): Promise<Map<string, number>> {
    const { storage } = this.#host;
    const sizes = new Map<string, number>();
    await storage.mkdir(this.#dir);
    // The folder itself, and the one around it, may be new: a file is safe if its folders are.
    const above = dirname(this.#dir);
    await storage.syncDirectory(above);
    await storage.syncDirectory(dirname(above));
    for (const name of await storage.list(this.#dir)) {
      if (name.startsWith(PART)) await storage.remove(`${this.#dir}/${name}`);
      else sizes.set(name, (await storage.stat(`${this.#dir}/${name}`))?.size ?? 0);
    }
    return sizes;
  }
}
