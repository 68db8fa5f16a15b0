/**
 * Lesson 11: files that jobs are given, kept on a worker by their hashes.
 *
 *     <cacheDir>/files/<sha256>                 a file; its name is the proof of its content
 *     <cacheDir>/files/<sha256>.part-<process>  half fetched
 *     <cacheDir>/files/users/<process>          a lock, held by each process that fetches here
 *
 * A file is fetched once, however many jobs want it, and each job gets a copy of its own. It is
 * checked while it is copied: jobs run as the user of the worker, and one of them may have changed
 * it. Beyond MAX_CACHED_FILE_BYTES the files that nobody has wanted for longest are removed. One
 * that is being copied is open, so that its copy is whole although its name is gone.
 *
 * Invariants: a file under its final name was whole; a copy whose hash is another one is no copy.
 * Left out: an fsync. What a power cut damages is found by its hash, and fetched again.
 * Test: test/11-worker.artifacts.test.ts
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { setMode, type Host } from "#host";
import { MAX_ARTIFACT_BYTES } from "#wire";
import { fileBytes } from "./send.ts";

/** As much as the largest artifact: a smaller cache could not hold it. */
const MAX_CACHED_FILE_BYTES = MAX_ARTIFACT_BYTES;
const NAME = /^[0-9a-f]{64}$/;
const PART = /^[0-9a-f]{64}\.part-([0-9a-f]+)$/;
/** A job may read and change it. */
const JOB_FILE_MODE = 0o644;

export interface Wanted {
  readonly sha256: string;
  /** Asked between two pieces: true ends it. */
  readonly stopped: () => boolean;
  /**
   * Gives the bytes to `into`, which have been checked when they have ended; from the beginning
   * again, if they break off.
   */
  fetch(into: (bytes: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void>;
}

export class InputCache {
  readonly #host: Host;
  readonly #folder: string;
  readonly #maxBytes: number;
  /** Names this process, and its lock. */
  readonly #own: string;
  #begun: Promise<{ release(): Promise<void> }> | undefined;
  readonly #fetching = new Map<string, Promise<void>>();
  /** The latest use last. */
  readonly #used = new Set<string>();

  constructor(host: Host, cacheDir: string, options: { maxBytes?: number } = {}) {
    this.#host = host;
    this.#folder = join(cacheDir, "files");
    this.#maxBytes = options.maxBytes ?? MAX_CACHED_FILE_BYTES;
    this.#own = Buffer.from(host.random.bytes(6)).toString("hex");
  }

  /** Resolves when the file is here. */
  async ensure(wanted: Wanted): Promise<void> {
    const { sha256 } = wanted;
    this.#used.delete(sha256);
    this.#used.add(sha256); // the latest now
    if ((await this.#host.storage.stat(this.#path(sha256)))?.kind === "file") return;
    let fetching = this.#fetching.get(sha256);
    if (fetching === undefined) {
      fetching = this.#fetch(wanted).finally(() => this.#fetching.delete(sha256));
      this.#fetching.set(sha256, fetching);
    }
    await fetching;
    await this.#evict(sha256);
  }

  /** Copies the file to a new path, and fetches it (again) if it is not here, or not right. */
  async copyTo(path: string, wanted: Wanted): Promise<void> {
    await this.#host.storage.mkdir(dirname(path));
    for (let tries = 1; ; tries++) {
      await this.ensure(wanted);
      await this.#host.storage.remove(path); // a file of the project may have this name
      if (await this.#copy(path, wanted)) return;
      await this.#host.storage.remove(this.#path(wanted.sha256));
      if (tries === 2) throw new Error("its bytes in the cache of the worker change all the time");
    }
  }

  async #copy(path: string, { sha256, stopped }: Wanted): Promise<boolean> {
    const hash = createHash("sha256");
    const out = await this.#host.storage.open(path, { create: true, exclusive: true });
    try {
      for await (const piece of fileBytes(this.#host, this.#path(sha256))) {
        if (stopped()) throw new Error("it was stopped");
        hash.update(piece);
        await out.append([piece]);
      }
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      return false; // somebody has emptied the cache
    } finally {
      await out.close();
    }
    if (hash.digest("hex") !== sha256) return false;
    setMode(path, JOB_FILE_MODE);
    return true;
  }

  #path(sha256: string): string {
    return join(this.#folder, sha256);
  }

  async #fetch(wanted: Wanted): Promise<void> {
    const { storage } = this.#host;
    const { sha256, stopped } = wanted;
    await (this.#begun ??= this.#begin());
    const part = `${this.#path(sha256)}.part-${this.#own}`;
    try {
      await wanted.fetch(async (bytes) => {
        await storage.remove(part);
        const out = await storage.open(part, { create: true, exclusive: true });
        try {
          for await (const piece of bytes) {
            if (stopped()) throw new Error("it was stopped");
            await out.append([piece]);
          }
        } finally {
          await out.close();
        }
      });
      await storage.rename(part, this.#path(sha256));
    } catch (error) {
      await storage.remove(part).catch(() => undefined);
      throw error;
    }
  }

  /** Takes the lock first: whoever sees our parts then sees that we live. */
  async #begin(): Promise<{ release(): Promise<void> }> {
    const { storage } = this.#host;
    const users = join(this.#folder, "users");
    await storage.mkdir(users);
    const lock = await storage.lock(join(users, this.#own));
    for (const name of await storage.list(this.#folder)) {
      const owner = PART.exec(name)?.[1];
      if (owner === undefined || owner === this.#own) continue;
      const isDead = await storage.lock(join(users, owner)).then(
        (left) => left.release().then(() => true), () => false,
      );
      if (isDead) await storage.remove(join(this.#folder, name));
    }
    return lock;
  }

  async #evict(spare: string): Promise<void> {
    const { storage } = this.#host;
    const sizes = new Map<string, number>();
    let bytes = 0;
    for (const name of await storage.list(this.#folder)) {
      if (!NAME.test(name)) continue;
      const size = (await storage.stat(this.#path(name)))?.size ?? 0;
      sizes.set(name, size);
      bytes += size;
    }
    // First those that no job of this process has asked for.
    const strangers = [...sizes.keys()].filter((name) => !this.#used.has(name));
    for (const name of [...strangers, ...this.#used]) {
      if (bytes <= this.#maxBytes) return;
      const size = sizes.get(name);
      if (name === spare || size === undefined) continue;
      await storage.remove(this.#path(name));
      this.#used.delete(name);
      bytes -= size;
    }
  }

  async close(): Promise<void> {
    await (await this.#begun)?.release();
  }
}
