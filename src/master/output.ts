/**
 * Lesson 10: what jobs print, kept by the master, one file per attempt.
 *
 *     output/<run>/<job>.<attempt>         all of a job's, up to MAX_OUTPUT_BYTES
 *     output/<run>/<job>.<attempt>.<n>     later files of a service, of which two stay
 *
 *     output-records.ts     what is in a file
 *     output-segments.ts    the files of a service
 *     output-reached.ts     where readers have come to
 *
 * Output is not part of the state: it may be large, nobody decides anything by it, and a lost tail
 * after a power cut hurts no promise. So it has files of its own and no fsync.
 *
 * Readers have no file open while they wait, whether for more output or for room on their way: a
 * file is open for one page, in a turn of its reader (turns.ts), so that any number of them costs a
 * few descriptors and writers always have theirs.
 *
 * A run that prints nothing has no folder. Forgetting a run costs the disk a removal only if it has
 * one, and that is done in the background (removals.ts): a queue of small jobs forgets a run for
 * each that it takes.
 *
 * Invariants: at most MAX_OUTPUT_BYTES per attempt, then one line that says so, or the newest of a
 * service; a reader that follows sees every record once, in order, and where some are gone their
 * number; at most `maxOpenFiles` files stay open; a reader that
 * stops leaves nothing behind; what an earlier run of the same number has left (the log may have
 * lost its last second, by its durability) is never read and never added to.
 *
 * Output that the disk refuses is counted (holes.ts). The worker is not asked to send it again: it
 * might be asked for ever.
 *
 * Left out: search.
 * Test: test/10-master.output.test.ts, test/14-services.output.test.ts
 */
import type { Host } from "#host";
import type { AttemptKey, LostOutput, OutputChunk } from "#wire";
import { Holes } from "./holes.ts";
import { DEFAULT_PLACES } from "./limits.ts";
import {
  allRecords, appendWhole, isWhole, lossNote, MAX_OUTPUT_BYTES, recordsFor, sizeOf,
} from "./output-records.ts";
import {
  openNewest, openNext, readFirst, readOn, removeAll, SEGMENT_BYTES, segmentsOf, START,
  type Position, type Segment,
} from "./output-segments.ts";
import { leftOut, Reached } from "./output-reached.ts";
import { Removals } from "./removals.ts";

/**
 * Attempts of one service whose output is kept. A service may crash for years, and the last
 * attempts say why.
 */
export const KEPT_ATTEMPTS = 10;

interface Writer {
  /** The file that is written: of a service the newest. */
  place: Promise<Segment>;
  /** Appends are chained, so that records keep their order. Never rejects. */
  last: Promise<void>;
  /**
   * Of output in that file, without record headers. Of a job that ends more than MAX_OUTPUT_BYTES:
   * full, and the line that says so is there.
   */
  bytes: number;
  readonly isEndless: boolean;
}

export interface OutputOptions {
  readonly maxOpenFiles?: number;
  /** Whether the newest of an attempt's output is kept, as of a service. Default: the first. */
  readonly isEndless?: (key: AttemptKey) => boolean;
}

/**
 * Waits until one more page may be read, and resolves with what ends that. Undefined: nobody wants
 * it any more.
 */
export type Pace = () => Promise<(() => void) | undefined>;

/** Somebody who reads an attempt's output. */
export interface OutputReader extends AsyncIterable<OutputChunk[]> {
  /** Ends it now, also while it waits for more. */
  stop(): void;
}

const atOnce: Pace = async () => () => undefined;

export class OutputStore {
  readonly #host: Host;
  readonly #maxOpenFiles: number;
  readonly #isEndless: (key: AttemptKey) => boolean;
  readonly #dir: string;
  readonly #writers = new Map<string, Writer>();
  /** Files that are being closed. Nobody else may write to them until that is done. */
  readonly #closing = new Map<string, Promise<void>>();
  readonly #followers = new Map<string, Set<() => void>>();
  /** Runs that have a folder. */
  readonly #folders = new Set<number>();
  /** Folders that are to go. */
  readonly #removals: Removals;
  /** What could not be stored, of attempts that go on or have not been told of it. */
  readonly #holes = new Holes();
  readonly #reached = new Reached();

  constructor(host: Host, dir: string, options: OutputOptions = {}) {
    this.#host = host;
    this.#dir = dir;
    this.#maxOpenFiles = options.maxOpenFiles ?? DEFAULT_PLACES.outputs;
    this.#isEndless = options.isEndless ?? (() => false);
    this.#removals = new Removals(host.clock, (name) => this.#removeFolder(name));
  }

  /** Readers that wait for more output. */
  get followers(): number {
    return [...this.#followers.values()].reduce((sum, waiting) => sum + waiting.size, 0);
  }

  /**
   * Resolves when the chunks are in the file: the worker may then send more. Rejects if they are
   * lost, and counts them.
   */
  append(key: AttemptKey, chunks: readonly OutputChunk[]): Promise<void> {
    const name = nameOf(key);
    const writer = this.#writers.get(name) ?? this.#open(key);
    // The most recently used is last: the first one is the one to close.
    this.#writers.delete(name);
    this.#writers.set(name, writer);
    const done = writer.last.then(() => this.#write(key, writer, chunks));
    writer.last = done.catch(() => undefined);
    return done;
  }

  // #region holes
  async #write(key: AttemptKey, writer: Writer, chunks: readonly OutputChunk[]): Promise<void> {
    const name = nameOf(key);
    let hole: LostOutput | undefined;
    try {
      const { file } = await this.#roomFor(key, writer);
      // Not before: another writer of this file may have told it.
      hole = this.#holes.unwritten(name);
      const note = allRecords(0, hole === undefined ? [] : [lossNote(hole, this.#now)]);
      const fitting = writer.isEndless ? allRecords : recordsFor;
      const { parts, bytes } = fitting(writer.bytes, chunks);
      if (note.parts.length + parts.length > 0) await appendWhole(file, [...note.parts, ...parts]);
      writer.bytes = bytes + note.bytes; // after the write: what did not get in does not count
    } catch (error) {
      // Of what is beyond the limit nobody would have seen anything.
      const room = writer.isEndless ? Infinity : Math.max(0, MAX_OUTPUT_BYTES - writer.bytes);
      this.#reached.drop(name); // what was half written is taken back
      this.#holes.add(name, Math.min(room, sizeOf(chunks)), error as Error);
      // Opened anew, the file is looked at again: it may not have been opened, or end in half a
      // record.
      if (this.#writers.get(name) === writer && !isWhole(error)) this.#close(name);
      throw error;
    }
    if (hole !== undefined) this.#holes.wrote(name, hole.bytes);
    this.wake(key);
    // There is room again, also for those who are over. One of them: its own success is followed by
    // the next.
    const [other] = this.#holes.waiting();
    if (other !== undefined) this.#tellHole(other);
  }

  get #now(): number {
    return this.#host.clock.wall();
  }

  #pathOf(name: string): string {
    return `${this.#dir}/${name}`;
  }

  /** Where the next records go: behind the full file of a service comes another. */
  async #roomFor(key: AttemptKey, writer: Writer): Promise<Segment> {
    const place = await writer.place;
    if (!writer.isEndless || place.file.size < SEGMENT_BYTES) return place;
    const full = { ...place, bytes: writer.bytes };
    const path = this.#pathOf(nameOf(key));
    const next = await openNext(this.#host.storage, path, { full, at: this.#now });
    writer.place = Promise.resolve(next);
    writer.bytes = 0;
    return next;
  }

  /** The last words of an attempt that is over: that there were others. */
  #tellHole(name: string): void {
    if (this.#holes.unwritten(name) === undefined) return;
    this.append(keyFrom(name), []).catch(() => undefined);
    this.#close(name);
  }

  /** Whether anything was lost of an attempt that has not been reported everywhere. */
  lossOf(key: AttemptKey): boolean {
    // Asked for every report: as a rule nothing is lost, and no name need be made.
    return this.#holes.size > 0 && this.#holes.has(nameOf(key));
  }

  /** What was lost of an attempt and has not been reported yet. */
  takeLost(key: AttemptKey): LostOutput | undefined {
    return this.#holes.report(nameOf(key));
  }
  // #endregion

  #open(key: AttemptKey): Writer {
    const name = nameOf(key);
    if (this.#writers.size >= this.#maxOpenFiles) this.#close(this.#writers.keys().next().value!);
    const isEndless = this.#isEndless(key);
    const place = this.#openFile(key, { before: this.#closing.get(name), isEndless });
    const writer: Writer = { place, last: Promise.resolve(), bytes: 0, isEndless };
    // A failure is for those who append.
    writer.last = place.then(({ bytes }) => void (writer.bytes = bytes), () => undefined);
    return writer;
  }

  /**
   * A file that is there already is gone through once: what is in it counts, and a torn record at
   * its end goes. Appended behind it, the next one would be read as its other half.
   */
  async #openFile(
    key: AttemptKey, options: { before: Promise<void> | undefined; isEndless: boolean },
  ): Promise<Segment> {
    const { before, isEndless } = options;
    await before;
    if (this.#removals.has(`${key.run}`)) await this.#removals.now(`${key.run}`);
    this.#folders.add(key.run);
    const { storage } = this.#host;
    await storage.mkdir(this.#pathOf(`${key.run}`));
    const path = this.#pathOf(nameOf(key));
    const there = isEndless ? await segmentsOf(storage, path) : [];
    return openNewest(storage, path, { there, at: this.#now });
  }

  /** Whether anything is being written or followed; if not, endings need not be announced. */
  get busy(): boolean {
    return this.#writers.size + this.#followers.size + this.#holes.size > 0;
  }

  /** Files that are open for writing, or being closed. */
  get files(): number {
    return this.#writers.size + this.#closing.size;
  }

  /** Nobody may ask for this attempt's output any more. A file that resists is removed later. */
  drop(key: AttemptKey): void {
    const name = nameOf(key);
    this.#reached.drop(name);
    if (this.#writers.has(name)) this.#close(name);
    const closed = this.#closing.get(name) ?? Promise.resolve();
    const path = this.#pathOf(name);
    closed.then(() => removeAll(this.#host.storage, path)).catch(() => undefined);
  }

  /** An attempt is over: nothing more will come. */
  ended(key: AttemptKey): void {
    const name = nameOf(key);
    this.#tellHole(name);
    this.#holes.ended(name);
    const writer = this.#writers.get(name);
    if (writer === undefined) return this.wake(key);
    void writer.last.then(() => this.wake(key));
    this.#close(name);
  }

  #close(name: string): void {
    const writer = this.#writers.get(name)!;
    this.#writers.delete(name);
    const closed: Promise<void> = writer.last
      .then(async () => (await writer.place).file.close())
      .catch(() => undefined)
      .then(() => {
        if (this.#closing.get(name) === closed) this.#closing.delete(name);
      });
    this.#closing.set(name, closed);
  }

  /** Lets those who follow this attempt look again. */
  wake(key: AttemptKey): void {
    const name = nameOf(key);
    const waiting = this.#followers.get(name);
    this.#followers.delete(name);
    for (const resume of waiting ?? []) resume();
  }

  // #region read
  /**
   * Records from the start, from the page with byte `from`, or from where about `lastBytes` are
   * left; waits for more while `isRunning` says that more may come. Each page waits for its `pace`.
   */
  read(key: AttemptKey, isRunning: () => boolean, options: ReadOptions = {}): OutputReader {
    const name = nameOf(key);
    const reader = { stopped: false, resume: (): void => undefined };
    const stop = (): void => {
      reader.stopped = true;
      reader.resume();
    };
    const reading = { pace: atOnce, ...options, reader, isRunning };
    return { stop, [Symbol.asyncIterator]: () => this.#pages(name, reading) };
  }

  async *#pages(name: string, reading: Reading): AsyncGenerator<OutputChunk[]> {
    const { reader, isRunning, pace } = reading;
    const at = await this.#begin(name, reading);
    if (reading.from !== undefined && at.seen > 0) yield [leftOut(at.seen)];
    while (!reader.stopped) {
      const done = await pace();
      if (done === undefined || reader.stopped) return done?.();
      // Asked before reading: what is written between the two is then seen by the next read.
      const more = isRunning();
      const news = more ? this.#next(name, reader) : undefined;
      try {
        // The attempt is over, and its last words may still be on their way into the file.
        if (!more) await (this.#writers.get(name)?.last ?? this.#closing.get(name));
        const chunks = await this.#page(name, at);
        if (chunks.length > 0) yield chunks;
        else if (news === undefined) return;
        else {
          done(); // waiting takes nobody's turn
          await news.came;
        }
      } finally {
        news?.leave();
        done();
      }
    }
  }
  // #endregion

  /**
   * The page with byte `from`, or the last page with `lastBytes` behind its beginning, in what
   * there is now. Records have no way back, so this goes through them; but they stay here, and none
   * of them is copied or sent.
   */
  async #begin(name: string, reading: Reading): Promise<Position> {
    const { lastBytes, from } = reading;
    const page = (at: Position): Promise<OutputChunk[]> => this.#paced(name, at, reading);
    if (from !== undefined) return this.#reached.seek(name, from, page);
    const at: Position = { ...START };
    const begins = [{ at: { ...at }, before: 0 }];
    let bytes = 0;
    while (lastBytes !== undefined) {
      const chunks = await page(at);
      if (chunks.length === 0) break;
      bytes += sizeOf(chunks);
      while (begins.length > 1 && bytes - begins[1]!.before >= lastBytes) begins.shift();
      begins.push({ at: { ...at }, before: bytes });
    }
    return begins[0]!.at;
  }

  /**
   * The next time that something is appended or `reader` is stopped. `leave` forgets that anybody
   * waits.
   */
  #next(name: string, reader: Reading["reader"]): { came: Promise<void>; leave(): void } {
    const waiting = this.#followers.get(name) ?? new Set();
    const came = new Promise<void>((resolve) => (reader.resume = resolve));
    const { resume } = reader;
    waiting.add(resume);
    this.#followers.set(name, waiting);
    const leave = (): void => {
      waiting.delete(resume);
      if (waiting.size === 0 && this.#followers.get(name) === waiting) this.#followers.delete(name);
    };
    return { came, leave };
  }

  /** What follows a position, which moves. */
  async #page(name: string, at: Position): Promise<OutputChunk[]> {
    // Without a folder no job of the run has printed anything, or all of it is being removed.
    const key = keyFrom(name);
    if (!this.#folders.has(key.run)) return [];
    const read = this.#isEndless(key) ? readOn : readFirst;
    const chunks = await read(this.#host.storage, this.#pathOf(name), at);
    this.#reached.note(name, at);
    return chunks;
  }

  /** The same in a turn of its reader. Nothing: the reader has gone. */
  async #paced(name: string, at: Position, { reader, pace }: Reading): Promise<OutputChunk[]> {
    const done = reader.stopped ? undefined : await pace();
    return done === undefined ? [] : await this.#page(name, at).finally(done);
  }

  /** A run is forgotten, and what its jobs printed with it. Nobody has to wait for the disk. */
  remove(run: number): void {
    if (this.#holes.size > 0) this.#holes.drop(`${run}/`);
    if (!this.#folders.delete(run)) return;
    this.#reached.drop(`${run}/`);
    // An attempt that had been given to somebody else may have gone on printing.
    for (const name of this.#writers.keys()) if (isOf(run, name)) this.#close(name);
    this.#removals.add(`${run}`);
  }

  async #removeFolder(name: string): Promise<void> {
    // A write that is under way would make the folder again.
    for (const [file, closed] of this.#closing) if (isOf(name, file)) await closed;
    await this.#host.storage.remove(this.#pathOf(name), { recursive: true });
  }

  /**
   * Finds the folders of these runs, and has all others removed: what an earlier process forgot and
   * did not get round to removing. Costs one look at the list of names.
   */
  async keepOnly(runs: { has(run: number): boolean }): Promise<void> {
    for (const name of await this.#host.storage.list(this.#dir)) {
      const run = Number(name);
      if (`${run}` === name && runs.has(run)) this.#folders.add(run);
      else this.#removals.add(name);
    }
  }

  /** Folders that are still to be removed. */
  get leftovers(): number {
    return this.#removals.size;
  }

  async close(): Promise<void> {
    const removed = this.#removals.close();
    for (const name of [...this.#writers.keys()]) this.#close(name);
    await Promise.all([removed, ...this.#closing.values()]);
    const followers = [...this.#followers.values()];
    this.#followers.clear();
    for (const waiting of followers) for (const resume of waiting) resume();
  }
}

function nameOf({ run, job, attempt }: AttemptKey): string {
  return `${run}/${job}.${attempt}`;
}

/** Whether an attempt is one of this run's. */
function isOf(run: number | string, name: string): boolean {
  return name.startsWith(`${run}/`);
}

function keyFrom(name: string): AttemptKey {
  const [run = 0, job = 0, attempt = 0] = name.split(/[/.]/).map(Number);
  return { run, job, attempt };
}

export interface ReadOptions {
  readonly pace?: Pace;
  readonly lastBytes?: number | undefined;
  readonly from?: number | undefined;
}

interface Reading extends ReadOptions {
  /** `resume` ends its wait. */
  readonly reader: { stopped: boolean; resume(): void };
  readonly isRunning: () => boolean;
  readonly pace: Pace;
}
