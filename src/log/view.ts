/**
 * Lesson 10: a log that is read again and again, from any place, beside its owner: for somebody
 * who looks back.
 *
 *     open ─▶ from any place to the end ─▶ `refresh` ─▶ on from there     the owner appends
 *                                               └────▶ "changed"          a snapshot has taken the
 *                                                                         place of the beginning
 *
 * Invariants: nothing is written to the folder, and its lock is not needed; records come in order,
 * each once; one that is not whole yet ends the reading, as the end of the log does; no file stays
 * open while nobody reads.
 * Left out: a verdict about such a record. It is one that is being written, or what a crash has
 * left.
 * Test: test/10-master.history.test.ts
 */
import { invariant } from "#base";
import type { Host } from "#host";
import { LogError } from "./errors.ts";
import { fileName, HEADER_BYTES, MANIFEST, type Manifest } from "./format.ts";
import { type Opened, openFiles, type OpenedFiles } from "./pin.ts";
import { READ_BLOCK_BYTES, RECORD_HEADER_BYTES, scanBlock } from "./record.ts";
import { scanSnapshot } from "./snapshot.ts";

/** Where a record begins: in which segment (by its first record), at which byte. */
export interface LogPlace {
  readonly segment: number;
  readonly offset: number;
  readonly seq: number;
}

/** Records from `at` on. The bodies are slices of one block. */
export interface LogBlock {
  readonly at: LogPlace;
  readonly bodies: readonly Buffer[];
}

/** The place behind the record at `at`. */
export function placeAfter({ segment, offset, seq }: LogPlace, body: Buffer): LogPlace {
  return { segment, offset: offset + RECORD_HEADER_BYTES + body.length, seq: seq + 1 };
}

export class LogView {
  readonly #host: Host;
  readonly #dir: string;
  /** Undefined: nobody reads, and no file is held open that a snapshot may take the place of. */
  #files: OpenedFiles | undefined;
  #manifest: Manifest | undefined;
  #stopped = false;

  constructor(host: Host, dir: string) {
    this.#host = host;
    this.#dir = dir;
  }

  /**
   * Looks at the folder, at first and again. True: the log begins elsewhere than before, and
   * earlier places are void.
   *
   * @throws {LogError} GAP: there is no log, or a file is missing; DAMAGED: the manifest; CLOSED:
   *   stopped
   */
  async refresh(): Promise<boolean> {
    this.#goesOn();
    const [old, before] = [this.#files, this.#manifest];
    if (old !== undefined) {
      const bytes = await this.#host.storage.readFile(`${this.#dir}/${MANIFEST}`);
      if (bytes.equals(old.bytes)) return false;
      await this.rest();
    }
    const { manifest } = this.#files = await openFiles(this.#host.storage, this.#dir);
    this.#manifest = manifest;
    return before?.id !== manifest.id || before.segments[0] !== manifest.segments[0];
  }

  get #open(): OpenedFiles {
    invariant(this.#files !== undefined, "somebody who reads a log looks at its folder first");
    return this.#files;
  }

  /**
   * The number of the record behind which everything can be told. 0: the log is there from its
   * first record on, whether a snapshot stands for some of it or not.
   */
  get front(): number {
    const { segments, snapshot } = this.#open;
    return segments[0]!.seq === 1 ? 0 : snapshot?.seq ?? segments[0]!.seq - 1;
  }

  /** Where the first record stands. */
  get start(): LogPlace {
    const { seq } = this.#open.segments[0]!;
    return { segment: seq, offset: HEADER_BYTES, seq };
  }

  /** The chunks of the snapshot at the front. @throws {LogError} DAMAGED */
  async readSnapshot(onChunk: (chunk: Buffer) => void): Promise<void> {
    const { snapshot, manifest: { id } } = this.#open;
    if (snapshot === undefined) return;
    await scanSnapshot(snapshot.file, { path: snapshot.path, id, seq: snapshot.seq }, onChunk);
  }

  /**
   * Records from a place to the end.
   *
   * @throws {LogError} DAMAGED, and nothing behind it is told; CLOSED: stopped
   */
  async *blocks(from: LogPlace): AsyncGenerator<LogBlock, void> {
    const { segments } = this.#open;
    let place = from;
    let at = segments.findIndex(({ seq }) => seq === from.segment);
    for (; at >= 0 && at < segments.length; at++) {
      const segment = segments[at]!;
      const next = segments[at + 1]?.seq;
      if (place.segment !== segment.seq) {
        place = { segment: segment.seq, offset: HEADER_BYTES, seq: segment.seq };
      }
      // Only the last one grows.
      const end = next === undefined ? await this.#sizeNow(segment) : segment.size;
      for await (const block of segmentBlocks(segment, place, end)) {
        yield block;
        this.#goesOn();
        for (const body of block.bodies) place = placeAfter(place, body);
      }
      if (next === undefined || (place.seq === next && place.offset === end)) continue;
      const found = `record ${place.seq} is not whole, and the next file begins with ${next}`;
      const { path: file } = segment;
      const { offset } = place;
      throw new LogError("DAMAGED", `Cannot read log: ${file}: offset ${offset}: ${found}`, {
        file, offset,
      });
    }
  }

  async #sizeNow({ seq, size }: Opened): Promise<number> {
    const found = await this.#host.storage.stat(`${this.#dir}/${fileName("segment", seq)}`);
    return found?.size ?? size;
  }

  /** Readers are refused from now on: a long log would be read to its end. */
  stop(): void {
    this.#stopped = true;
  }

  #goesOn(): void {
    if (this.#stopped) throw new LogError("CLOSED", "Cannot read log: its reader was stopped");
  }

  /** Closes all files, until the next look. */
  async rest(): Promise<void> {
    const files = this.#files;
    this.#files = undefined;
    for (const { file } of files?.segments ?? []) await file.close();
    await files?.snapshot?.file.close();
  }
}

async function* segmentBlocks(
  { file }: Opened, from: LogPlace, end: number,
): AsyncGenerator<LogBlock, void> {
  let at = from;
  let want = READ_BLOCK_BYTES;
  while (at.offset < end) {
    const block = await file.read(at.offset, Math.min(want, end - at.offset));
    const bodies: Buffer[] = [];
    const onRecord = (_: number, body: Buffer): void => void bodies.push(body);
    const scan = scanBlock(block, 0, { seq: at.seq, onRecord });
    if (bodies.length > 0) yield { at, bodies };
    const rest = end - at.offset - scan.at;
    if (scan.bad !== undefined || scan.needs > rest || block.length === 0) return;
    at = { ...at, offset: at.offset + scan.at, seq: scan.seq };
    want = Math.max(READ_BLOCK_BYTES, scan.needs);
  }
}
