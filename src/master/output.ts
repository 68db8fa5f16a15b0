/**
 * Lesson 10: what jobs print, kept by the master, one file per attempt.
 *
 *     output/<run>/<job>.<attempt>:   record*        record: stream u8 | time u48 | length u32 | bytes
 *
 * Output is not part of the state: it may be large, nobody decides anything by it, and a lost tail after a power cut
 * hurts no promise. So it has files of its own and no fsync.
 *
 * Invariants: at most MAX_OUTPUT_BYTES per attempt, then one line that says so; a reader that follows sees every
 * record once, in order; at most MAX_OPEN_FILES files are open.
 * Left out: rotation and search.
 * Test: test/10-master.output.test.ts
 */
import type { Host, StoredFile } from "#host";
import type { AttemptKey, LogChunk } from "#wire";

const HEADER_BYTES = 11;
/** Per attempt. What is beyond the first 16 MiB of a log, nobody has ever read. */
export const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Well below the usual limit of 1,024 descriptors. */
const MAX_OPEN_FILES = 128;
/** A page of a reader: fits into one frame with its overhead. */
const PAGE_BYTES = 256 * 1024;

interface Writer {
  readonly file: Promise<StoredFile>;
  /** Appends are chained, so that records keep their order. */
  last: Promise<void>;
  bytes: number;
  full: boolean;
}

export class OutputStore {
  readonly #host: Host;
  readonly #dir: string;
  readonly #writers = new Map<string, Writer>();
  readonly #followers = new Map<string, Set<() => void>>();

  constructor(host: Host, dir: string) {
    this.#host = host;
    this.#dir = dir;
  }

  /** Resolves when the chunks are in the file: the worker may then send more. */
  append(key: AttemptKey, chunks: readonly LogChunk[]): Promise<void> {
    const name = nameOf(key);
    const writer = this.#writers.get(name) ?? this.#open(key);
    // The most recently used is last: the first one is the one to close.
    this.#writers.delete(name);
    this.#writers.set(name, writer);
    const parts = this.#records(writer, chunks);
    writer.last = writer.last.then(async () => {
      if (parts.length > 0) await (await writer.file).append(parts);
      this.#wake(name);
    });
    return writer.last;
  }

  #records(writer: Writer, chunks: readonly LogChunk[]): Buffer[] {
    const parts: Buffer[] = [];
    for (const chunk of chunks) {
      if (writer.full) break;
      const room = MAX_OUTPUT_BYTES - writer.bytes;
      const data = chunk.data.subarray(0, room);
      writer.bytes += data.length;
      parts.push(header(chunk, data.length), data);
      if (data.length === chunk.data.length) continue;
      writer.full = true;
      const note = Buffer.from(`\n[titan: output beyond ${MAX_OUTPUT_BYTES} bytes is not kept]\n`);
      parts.push(header({ ...chunk, stream: "stderr" }, note.length), note);
    }
    return parts;
  }

  #open(key: AttemptKey): Writer {
    if (this.#writers.size >= MAX_OPEN_FILES) {
      const oldest = this.#writers.keys().next().value!;
      void this.#close(oldest);
    }
    const file = (async () => {
      await this.#host.storage.mkdir(`${this.#dir}/${key.run}`);
      return this.#host.storage.open(`${this.#dir}/${nameOf(key)}`, { create: true });
    })();
    const writer: Writer = { file, last: Promise.resolve(), bytes: 0, full: false };
    // After a restart, or after the file was closed for room: count what is there already.
    writer.last = file.then((opened) => {
      writer.bytes += opened.size;
    });
    return writer;
  }

  /** Whether anything is being written or followed; if not, endings need not be announced. */
  get busy(): boolean {
    return this.#writers.size + this.#followers.size > 0;
  }

  /** An attempt is over: nothing more will come. */
  ended(key: AttemptKey): void {
    const name = nameOf(key);
    const writer = this.#writers.get(name);
    if (writer === undefined) return this.#wake(name);
    void writer.last.catch(() => undefined).then(() => this.#wake(name));
    void this.#close(name);
  }

  async #close(name: string): Promise<void> {
    const writer = this.#writers.get(name);
    this.#writers.delete(name);
    await writer?.last.catch(() => undefined);
    await writer?.file.then((file) => file.close()).catch(() => undefined);
  }

  #wake(name: string): void {
    const waiting = this.#followers.get(name);
    this.#followers.delete(name);
    for (const resume of waiting ?? []) resume();
  }

  /** Records from the start; waits for more while `isRunning` says that more may come. */
  async *read(key: AttemptKey, isRunning: () => boolean): AsyncGenerator<LogChunk[]> {
    const name = nameOf(key);
    let offset = 0;
    for (;;) {
      // Asked before reading: what is written between the two is then seen by the next read.
      const more = isRunning();
      const news = more ? this.#next(name) : undefined;
      const { chunks, bytes } = await this.#page(name, offset);
      offset += bytes;
      if (chunks.length > 0) yield chunks;
      else if (!more) return;
      else await news;
    }
  }

  #next(name: string): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#followers.get(name) ?? new Set();
      waiting.add(resolve);
      this.#followers.set(name, waiting);
    });
  }

  async #page(name: string, offset: number): Promise<{ chunks: LogChunk[]; bytes: number }> {
    const path = `${this.#dir}/${name}`;
    if ((await this.#host.storage.stat(path)) === undefined) return { chunks: [], bytes: 0 };
    const file = await this.#host.storage.open(path);
    try {
      const first = await file.read(offset, PAGE_BYTES + HEADER_BYTES);
      const page = parse(first);
      if (page.chunks.length > 0 || first.length < HEADER_BYTES) return page;
      // One record larger than a page: read exactly that one.
      return parse(await file.read(offset, HEADER_BYTES + first.readUInt32BE(7)));
    } finally {
      await file.close();
    }
  }

  /** A run is forgotten, and what its jobs printed with it. */
  async remove(run: number): Promise<void> {
    await this.#host.storage.remove(`${this.#dir}/${run}`, { recursive: true });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#writers.keys()].map((name) => this.#close(name)));
    for (const name of [...this.#followers.keys()]) this.#wake(name);
  }
}

function nameOf({ run, job, attempt }: AttemptKey): string {
  return `${run}/${job}.${attempt}`;
}

function header(chunk: LogChunk, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes[0] = chunk.stream === "stdout" ? 1 : 2;
  bytes.writeUIntBE(chunk.at, 1, 6);
  bytes.writeUInt32BE(length, 7);
  return bytes;
}

/** Whole records at the start of `bytes`. A torn one at the end of a file is left alone: it is being written, or never was. */
function parse(bytes: Buffer): { chunks: LogChunk[]; bytes: number } {
  const chunks: LogChunk[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= bytes.length) {
    const end = offset + HEADER_BYTES + bytes.readUInt32BE(offset + 7);
    if (end > bytes.length) break;
    chunks.push({
      stream: bytes[offset] === 1 ? "stdout" : "stderr",
      at: bytes.readUIntBE(offset + 1, 6),
      data: bytes.subarray(offset + HEADER_BYTES, end),
    });
    offset = end;
  }
  return { chunks, bytes: offset };
}
