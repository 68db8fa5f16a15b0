/**
 * Lesson 24: a state folder from a backup.
 *
 *     lock the folder ─▶ is it empty? ─▶ unpack into .restore-… in it ─▶ is every sum right?
 *         ─▶ replay: is it the hash that the backup says? ─▶ rename into place ─▶ unlock
 *
 * The lock is the master's: nobody can start on a folder that is half restored. The log is the last
 * to get its name.
 *
 * Invariant: nothing has a name in the folder before everything has been checked; whatever fails,
 * the folder is as it was.
 * Test: test/24-packaging.backup.test.ts
 */
import { createHash, type Hash } from "node:crypto";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { type Host, type StoredFile } from "#host";
import { pinLog } from "#log";
import { readSums, readTar, SUMS, TarError, type TarPiece } from "#packaging";
import { Finding, told } from "./errors.ts";
import { FORMAT, INFO, mayHold, readInfo, type BackupInfo } from "./format.ts";
import { stateOf } from "./state.ts";

const CHUNK_BYTES = 256 * 1024;
/** The two files that are read in memory: the info, and 100 bytes for each file of the state. */
const MAX_TEXT_BYTES = 1024 * 1024 * 1024;
const STAGING = ".restore-";

export interface RestoreOptions {
  readonly host: Host;
  readonly file: string;
  readonly stateDir: string;
  readonly stopped?: () => boolean;
}

export interface RestoreReport {
  readonly info: BackupInfo;
  readonly files: number;
}

/** @throws {BackupError} and then the folder is as it was */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { host, file, stateDir } = options;
  const { storage } = host;
  const doing = `restore ${file} to ${stateDir}`;
  let lock: { release(): Promise<void> } | undefined;
  let madeFolder = false;
  try {
    const archive = await storage.open(file, { readOnly: true });
    try {
      madeFolder = (await storage.stat(stateDir)) === undefined;
      await storage.mkdir(stateDir);
      lock = await lockFolder(host, stateDir);
      await refuseUsed(host, stateDir);
      const report = await restoreInto(options, archive);
      madeFolder = false;
      return report;
    } finally {
      await archive.close();
    }
  } catch (error) {
    throw told(doing, error);
  } finally {
    await lock?.release();
    if (madeFolder) await storage.remove(stateDir, { recursive: true }).catch(() => undefined);
  }
}

async function lockFolder(
  host: Host, stateDir: string,
): Promise<{ release(): Promise<void> }> {
  try {
    return await host.storage.lock(`${stateDir}/lock`);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code !== "ELOCKED") throw error;
    const advice = "stop that master, or give another folder";
    throw new Finding(`the folder is in use (${message})`, advice);
  }
}

async function refuseUsed(host: Host, stateDir: string): Promise<void> {
  const names = (await host.storage.list(stateDir)).filter((name) => !/^lock(\.|$)/.test(name));
  const [first] = names;
  if (first === undefined) return;
  const left = first.startsWith(STAGING) ? ", which a restore left that was killed" : "";
  const advice = "give a folder that is empty or does not exist; move this one aside to keep it";
  throw new Finding(`the folder is not empty: it holds ${first}${left}`, advice);
}

async function restoreInto(options: RestoreOptions, archive: StoredFile): Promise<RestoreReport> {
  const { host, stateDir } = options;
  const { storage } = host;
  const staging = join(stateDir, STAGING + Buffer.from(host.random.bytes(6)).toString("hex"));
  try {
    const unpacked = new Unpacking(options, staging);
    await unpacked.run(archive);
    const info = unpacked.checked();
    await checkState(host, staging, info);
    for (const folder of unpacked.folders) await storage.syncDirectory(folder);
    const names = await storage.list(staging);
    // The log is what makes it a state.
    for (const name of [...names.filter((one) => one !== "log"), "log"]) {
      await storage.rename(join(staging, name), join(stateDir, name));
    }
    await storage.syncDirectory(stateDir);
    return { info, files: unpacked.files };
  } finally {
    await storage.remove(staging, { recursive: true }).catch(() => undefined);
  }
}

/** A start will read this log. It has to mean what it meant when it was copied. */
async function checkState(host: Host, staging: string, info: BackupInfo): Promise<void> {
  const log = await pinLog(host, join(staging, "log"));
  try {
    const { hash } = await stateOf(log);
    if (hash === info.stateHash) return;
    const what =
      `its state has the hash ${hash.slice(0, 16)}…, not ` + `${info.stateHash.slice(0, 16)}…`;
    const advice = "it is not what was copied, or this Titan reads it differently: keep the file";
    throw new Finding(what, advice);
  } finally {
    await log.close();
  }
}

interface Current {
  readonly path: string;
  readonly file: StoredFile | undefined;
  readonly hash: Hash;
  readonly text: Buffer[];
}

class Unpacking {
  files = 0;
  /** All that were made, the inner ones behind the outer ones. */
  readonly folders = new Set<string>();
  readonly #options: RestoreOptions;
  readonly #staging: string;
  readonly #sums = new Map<string, string>();
  readonly #texts = new Map<string, Buffer>();
  #current: Current | undefined;
  #last = "its beginning";

  constructor(options: RestoreOptions, staging: string) {
    this.#options = options;
    this.#staging = staging;
  }

  async run(archive: StoredFile): Promise<void> {
    const unzip = createGunzip();
    // Its error arrives at the loop, too.
    pipeline(Readable.from(readAll(archive)), unzip).catch(() => undefined);
    try {
      for await (const piece of readTar(unzip)) {
        if (this.#options.stopped?.() === true) throw new Finding("it was stopped");
        await this.#take(piece);
      }
    } catch (error) {
      throw this.#explained(error);
    } finally {
      await this.#current?.file?.close();
      unzip.destroy();
    }
  }

  #explained(error: unknown): unknown {
    const { code = "", message } = error as Error & { code?: string };
    if (
      code === "Z_BUF_ERROR" ||
      (error instanceof TarError && /ends after|missing/.test(message))
    ) {
      return new Finding(`it is cut short, behind ${this.#last}`);
    }
    if (code === "Z_DATA_ERROR" && /header/.test(message)) {
      return new Finding("it is no gzip file");
    }
    if (code.startsWith("Z_") || error instanceof TarError) {
      const what = `it is damaged behind ${this.#last} (${message})`;
      return new Finding(`${what}`);
    }
    return error;
  }

  async #take({ path, bytes, last }: TarPiece): Promise<void> {
    const current = (this.#current ??= await this.#begin(path));
    current.hash.update(bytes);
    if (current.file === undefined) {
      current.text.push(Buffer.from(bytes));
      const size = current.text.reduce((sum, part) => sum + part.length, 0);
      if (size > MAX_TEXT_BYTES) throw new Finding(`${path} is too long`);
    } else if (bytes.length > 0) await current.file.append([bytes]);
    if (!last) return;
    this.#current = undefined;
    this.#last = path;
    if (current.file === undefined) this.#texts.set(path, Buffer.concat(current.text));
    else {
      this.files += 1;
      await current.file.sync().finally(() => current.file?.close());
    }
    if (path !== SUMS) this.#sums.set(path, current.hash.digest("hex"));
    if (path === INFO) this.#info();
  }

  async #begin(path: string): Promise<Current> {
    const hash = createHash("sha256");
    if (this.#texts.size === 0 && path !== INFO) {
      throw new Finding(`it begins with ${path}, not with ${INFO}`);
    }
    if (path === INFO || path === SUMS) return { path, file: undefined, hash, text: [] };
    if (!mayHold(path)) {
      throw new Finding(`it holds ${path}, which no backup has`);
    }
    const place = join(this.#staging, path);
    await this.#makeFolders(dirname(place));
    const { storage } = this.#options.host;
    return {
      path, hash, text: [], file: await storage.open(place, { create: true, exclusive: true }),
    };
  }

  async #makeFolders(folder: string): Promise<void> {
    if (this.folders.has(folder)) return;
    if (folder !== this.#staging) await this.#makeFolders(dirname(folder));
    await this.#options.host.storage.mkdir(folder);
    this.folders.add(folder);
  }

  #info(): BackupInfo {
    const info = readInfo(this.#texts.get(INFO) ?? Buffer.alloc(0));
    if (info === undefined) {
      throw new Finding(`its ${INFO} cannot be read`);
    }
    if (info.format === FORMAT) return info;
    const what = `it has format ${info.format}, this Titan reads ${FORMAT}`;
    throw new Finding(what, `Titan ${info.titan} has made it`);
  }

  /** What it says of itself, once all that it lists is there and right, and nothing else is. */
  checked(): BackupInfo {
    const text = this.#texts.get(SUMS);
    if (text === undefined) throw new Finding(`it has no ${SUMS}`);
    const sums = readSums(text.toString("utf8"));
    if (sums === undefined) throw new Finding(`its ${SUMS} is damaged`);
    for (const [path, sum] of sums) {
      const found = this.#sums.get(path);
      const what = found === undefined ? "is missing" : found !== sum ? "is damaged" : undefined;
      if (what !== undefined) throw new Finding(`${path} ${what}`);
    }
    for (const path of this.#sums.keys()) {
      if (!sums.has(path)) throw new Finding(`${SUMS} lacks ${path}`);
    }
    return this.#info();
  }
}

async function* readAll(file: StoredFile): AsyncGenerator<Buffer> {
  for (let offset = 0; ;) {
    const bytes = await file.read(offset, CHUNK_BYTES);
    if (bytes.length === 0) return;
    offset += bytes.length;
    yield bytes;
  }
}
