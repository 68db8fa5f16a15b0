/**
 * Lesson 24: a copy of a state folder, beside the master that works on it.
 *
 *     pin the logs ─▶ replay them ─▶ hash, blobs, attempts ─▶ copy the files ─▶ sums ─▶ rename
 *          ▲                                                       │
 *          └── a blob is gone: its run was forgotten meanwhile ────┘
 *
 * The log decides what belongs to the copy: a blob was in place before its run was in the log, so
 * at the moment of the pin all are there. One that is removed before it is copied belonged to a run
 * that ended and was forgotten since; then the copy begins again, with a log that knows of that.
 *
 * Invariants: the folder is only read; the file has its name when it is whole and durable, or
 * never.
 * Left out: a moment that master and store share. They are two logs, a few milliseconds apart, as
 * they are for the jobs.
 * Test: test/24-packaging.backup.test.ts
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { VERSION, type Host, type StoredFile } from "#host";
import { LogError, pinLog, type PinnedLog } from "#log";
import { SUMS, sumsText, tarEnd, tarHeader, tarPadding } from "#packaging";
import { Finding, told } from "./errors.ts";
import { FORMAT, INFO, type BackupInfo } from "./format.ts";
import { stateOf, type FoundState } from "./state.ts";

/** A run that is forgotten in the middle costs a round. On a busy master three in a row do not. */
const MAX_ROUNDS = 5;
const CHUNK_BYTES = 256 * 1024;

export interface BackupOptions {
  readonly host: Host;
  readonly stateDir: string;
  /** Must not exist yet. */
  readonly file: string;
  /** Asked between two pieces: true ends it, and removes what there is. */
  readonly stopped?: () => boolean;
}

export interface BackupReport {
  readonly file: string;
  readonly bytes: number;
  readonly info: BackupInfo;
  readonly hasStore: boolean;
  /** Projects and artifacts that the state folder does not have. */
  readonly missing: readonly string[];
}

/** @throws {BackupError} and then there is no file, and nothing beside it */
export async function makeBackup(options: BackupOptions): Promise<BackupReport> {
  const { host, file, stateDir } = options;
  const { storage } = host;
  const doing = `back up ${stateDir} to ${file}`;
  if ((await storage.stat(file)) !== undefined) {
    throw told(doing, new Finding("the file exists", "give it another name"));
  }
  const aside = `${file}.part-${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  try {
    for (let round = 1; ; round++) {
      const made = await writeOnce(options, aside, round === MAX_ROUNDS);
      if (made === undefined) {
        await storage.remove(aside);
        continue;
      }
      await storage.rename(aside, file);
      await storage.syncDirectory(dirname(file));
      return { file, ...made };
    }
  } catch (error) {
    await storage.remove(aside).catch(() => undefined);
    throw told(doing, error);
  }
}

type Made = Omit<BackupReport, "file">;

/** One round; undefined: a blob was removed in the middle of it. */
async function writeOnce(
  options: BackupOptions, aside: string, isLast: boolean,
): Promise<Made | undefined> {
  const { host, stateDir } = options;
  const logs: PinnedLog[] = [];
  const out = await host.storage.open(aside, { create: true, exclusive: true });
  try {
    const log = await pinLog(host, `${stateDir}/log`);
    logs.push(log);
    const store = await pinStore(host, stateDir);
    if (store !== undefined) logs.push(store);
    const state = await stateOf(log);
    await store?.replay();
    const info: BackupInfo = {
      format: FORMAT, titan: VERSION, at: new Date(host.clock.wall()).toISOString(),
      stateHash: state.hash, lastEvent: log.last, runs: state.runs,
    };
    const missing: string[] = [];
    const archive = new Archive(options);
    const parts = archive.all({ info, log, store, state, missing });
    await writeZipped(parts, out);
    if (missing.length > 0 && !isLast) return undefined;
    await out.sync();
    return { bytes: out.size, info, hasStore: store !== undefined, missing };
  } finally {
    for (const log of logs) await log.close();
    await out.close();
  }
}

async function writeZipped(parts: AsyncIterable<Buffer>, out: StoredFile): Promise<void> {
  let failure: unknown; // a pipeline may report that it was aborted, and not by what
  const write = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    try {
      for await (const chunk of chunks) await out.append([chunk]);
    } catch (error) {
      failure ??= error;
      throw error;
    }
  };
  await pipeline(Readable.from(parts), createGzip(), write).catch((error: unknown) => {
    throw failure ?? error;
  });
}

/** The store of `titan up`. A cluster may have none, or one that lies elsewhere. */
async function pinStore(host: Host, stateDir: string): Promise<PinnedLog | undefined> {
  try {
    return await pinLog(host, `${stateDir}/store/log`);
  } catch (error) {
    if (
      error instanceof LogError &&
      error.code === "GAP" &&
      /there is no log/.test(error.message)
    ) {
      return undefined;
    }
    throw error;
  }
}

interface Content {
  readonly info: BackupInfo;
  readonly log: PinnedLog;
  readonly store: PinnedLog | undefined;
  readonly state: FoundState;
  readonly missing: string[];
}

interface Bytes {
  readonly size: number;
  read(): AsyncIterable<Buffer>;
}

class Archive {
  readonly #options: BackupOptions;
  readonly #sums = new Map<string, string>();

  constructor(options: BackupOptions) {
    this.#options = options;
  }

  async *all({ info, log, store, state, missing }: Content): AsyncGenerator<Buffer> {
    yield* this.#entry(INFO, inMemory(`${JSON.stringify(info, undefined, 1)}\n`));
    for (const file of log.files) yield* this.#entry(`log/${file.name}`, file);
    for (const file of store?.files ?? []) yield* this.#entry(`store/log/${file.name}`, file);
    for (const hash of state.blobs) {
      if (!(yield* this.#file(`blobs/${hash}`))) missing.push(hash);
    }
    for (const path of await this.#outputs(state)) yield* this.#file(path);
    for (const path of ["log/RECOVERIES", "store/log/RECOVERIES", "cluster"]) {
      yield* this.#file(path);
    }
    yield* this.#entry(SUMS, inMemory(sumsText(this.#sums)));
    yield tarEnd();
  }

  /** Output of attempts that the log knows. The others are of a later moment. */
  async #outputs({ runNumbers, hasAttempt }: FoundState): Promise<string[]> {
    const { host, stateDir } = this.#options;
    const found: string[] = [];
    for (const run of runNumbers) {
      for (const name of await host.storage.list(`${stateDir}/output/${run}`)) {
        const [, job, attempt] = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(name) ?? [];
        if (job === undefined) continue;
        if (hasAttempt({ run, job: Number(job), attempt: Number(attempt) })) {
          found.push(`output/${run}/${name}`);
        }
      }
    }
    return found;
  }

  /** A file of the state folder, as long as it is now. False: it is not there any more. */
  async *#file(path: string): AsyncGenerator<Buffer, boolean> {
    const { host, stateDir } = this.#options;
    const file = await openIfThere(host, `${stateDir}/${path}`);
    if (file === undefined) return false;
    try {
      const { size } = file;
      yield* this.#entry(path, { size, read: () => readFile(file, { path, size }) });
      return true;
    } finally {
      await file.close();
    }
  }

  async *#entry(path: string, { size, read }: Bytes): AsyncGenerator<Buffer> {
    const hash = createHash("sha256");
    yield tarHeader(path, size);
    for await (const bytes of read()) {
      if (this.#options.stopped?.() === true) throw new Finding("it was stopped");
      hash.update(bytes);
      yield bytes;
    }
    yield tarPadding(size);
    this.#sums.set(path, hash.digest("hex"));
  }
}

function inMemory(text: string): Bytes {
  const bytes = Buffer.from(text);
  return { size: bytes.length, async *read() { yield bytes; } };
}

async function openIfThere(host: Host, path: string): Promise<StoredFile | undefined> {
  try {
    return await host.storage.open(path, { readOnly: true });
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

async function* readFile(
  file: StoredFile, { path, size }: { path: string; size: number },
): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < size;) {
    const bytes = await file.read(offset, Math.min(CHUNK_BYTES, size - offset));
    if (bytes.length === 0) throw new Finding(`${path} has become shorter`);
    offset += bytes.length;
    yield bytes;
  }
}
