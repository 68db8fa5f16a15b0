/**
 * Lesson 19: the lines of a log, as bytes in blocks, with the place of each line in columns of
 * numbers. A line becomes text when it is shown or searched, and is forgotten again.
 *
 *     blocks   [ 1 MiB ][ 1 MiB ][ … ]
 *     block    0 0 0 0 1 1 …            of each line: its block, where it begins there, how long
 *     start    0 81 90 …                it is, when it came, from where, and the style that the
 *     length   80 8 71 …                lines before it have left on
 *
 * A million lines of 80 bytes are 80 MB of blocks and 26 MB of columns, and nothing for a garbage
 * collector to walk through. Of more than MAX_BYTES the oldest block is dropped with its part of
 * the columns, and `first` says so: the whole of it is what the download is for. Of a line only as
 * much is kept as is shown of it.
 *
 * A line that has not ended is there, too, and grows: a prompt has no line break.
 *
 * Invariants: lines keep their numbers for ever; the pieces of one stream never mix with another's;
 * no log, however long, and no line takes more than MAX_BYTES and a block.
 * Test: test/19-dashboard.run.logs.test.ts
 */
import { piecesOf, PLAIN, type Style } from "./ansi.ts";
import { Column } from "./column.ts";

const BLOCK_BYTES = 1024 * 1024;
/** Of blocks and columns: below what a tab may take. */
const MAX_BYTES = 128 * 1024 * 1024;
/** What the six columns have of a line. */
const COLUMNS_BYTES = 26;
/** Characters of a line that are looked at: a browser cannot draw ten million in one row. */
export const MAX_LINE_CHARS = 8_000;
/** Bytes that are kept of a line: a character has four at most. */
const KEPT_BYTES = 4 * MAX_LINE_CHARS;
/** Styles are numbered with 16 bits. */
const MAX_STYLES = 65_535;

export interface Chunk {
  readonly data: Uint8Array;
  readonly isError: boolean;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The number of the job, in a log of several. */
  readonly source?: number;
}

export interface Line {
  readonly text: string;
  /** Bytes behind those that `text` shows. */
  readonly more: number;
  readonly isError: boolean;
  readonly at: number;
  readonly source: number;
  readonly before: Style;
}

/** Of one stream of one job: the line that has not ended. */
interface Open {
  /** Its number; undefined between lines. */
  line: number | undefined;
  /** Its first KEPT_BYTES… */
  bytes: Uint8Array[];
  kept: number;
  /** …of so many. */
  length: number;
  style: Style;
}

const u16 = (length: number): Uint16Array => new Uint16Array(length);
const u32 = (length: number): Uint32Array => new Uint32Array(length);
const f64 = (length: number): Float64Array => new Float64Array(length);
const NEWLINE = 10;
const ESC = 27;

export class LogLines {
  readonly #maxBytes: number;
  readonly #blocks: (Uint8Array | undefined)[] = [];
  readonly #block = new Column(u32);
  readonly #start = new Column(u32);
  readonly #length = new Column(u32);
  readonly #at = new Column(f64);
  /** Twice the number of its source, and one more for stderr. */
  readonly #origin = new Column(u16);
  readonly #style = new Column(u16);
  readonly #columns =
    [this.#block, this.#start, this.#length, this.#at, this.#origin, this.#style];
  readonly #styles: Style[] = [PLAIN];
  readonly #styleNumbers = new Map<string, number>([["{}", 0]]);
  readonly #open = new Map<number, Open>();
  readonly #decoder = new TextDecoder();
  #used = 0;
  #bytes = 0;
  /** The first block that is still there. */
  #oldest = 0;
  #first = 0;
  #errors = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The first line that is still kept. */
  get first(): number {
    return this.#first;
  }

  /** The number behind the last line. */
  get end(): number {
    return this.#at.length;
  }

  /** The number behind the last line before which all lines have ended. */
  get settled(): number {
    let least = this.end;
    for (const { line } of this.#open.values()) least = Math.min(least, line ?? least);
    return least;
  }

  /** Nothing more comes: the last line needs no line break. */
  finish(): void {
    for (const open of this.#open.values()) if (open.line !== undefined) this.#close(open);
  }

  /** Lines of stderr so far. */
  get errors(): number {
    return this.#errors;
  }

  append({ data, isError, at, source = 0 }: Chunk): void {
    const origin = source * 2 + (isError ? 1 : 0);
    const open = this.#openOf(origin);
    for (let from = 0; from < data.length;) {
      const newline = data.indexOf(NEWLINE, from);
      const to = newline < 0 ? data.length : newline;
      open.line ??= this.#begin(origin, { at, style: open.style });
      grow(open, data.subarray(from, to));
      if (newline >= 0) this.#close(open);
      from = to + 1;
    }
  }

  /** Of a line from `first` on. */
  line(number: number): Line {
    const origin = this.#origin.get(number);
    const { bytes, length } = this.#bytesOf(number);
    const text = this.#decoder.decode(bytes);
    const short = text.slice(0, MAX_LINE_CHARS);
    const isWhole = bytes.length === length && short.length === text.length;
    return {
      text: short, more: isWhole ? 0 : Math.max(1, length - short.length),
      isError: origin % 2 === 1, at: this.#at.get(number), source: origin >> 1,
      before: this.#styles[this.#style.get(number)]!,
    };
  }

  isError(number: number): boolean {
    return this.#origin.get(number) % 2 === 1;
  }

  #openOf(origin: number): Open {
    const known = this.#open.get(origin);
    if (known !== undefined) return known;
    const made: Open = { line: undefined, bytes: [], kept: 0, length: 0, style: PLAIN };
    this.#open.set(origin, made);
    return made;
  }

  #begin(origin: number, { at, style }: { at: number; style: Style }): number {
    this.#block.push(0);
    this.#start.push(0);
    this.#length.push(0);
    this.#at.push(at);
    this.#origin.push(origin);
    this.#style.push(this.#numberOf(style));
    if (origin % 2 === 1) this.#errors += 1;
    return this.#at.length - 1;
  }

  #close(open: Open): void {
    const line = open.line!;
    const bytes = joined(open.bytes);
    const { length } = open;
    Object.assign(open, { line: undefined, bytes: [], kept: 0, length: 0 });
    if (bytes.includes(ESC)) {
      open.style = piecesOf(this.#decoder.decode(bytes), open.style).after;
    }
    // It may have been so long open that it was dropped with those behind it.
    if (line < this.#first) return;
    this.#length.set(line, length);
    this.#keep(line, bytes);
  }

  #keep(line: number, bytes: Uint8Array): void {
    const last = this.#blocks.at(-1);
    if (last === undefined || this.#used + bytes.length > last.length) {
      this.#blocks.push(new Uint8Array(BLOCK_BYTES));
      this.#bytes += BLOCK_BYTES;
      this.#used = 0;
    }
    const block = this.#blocks.length - 1;
    this.#blocks[block]!.set(bytes, this.#used);
    // 0 is a line that has not ended.
    this.#block.set(line, block + 1);
    this.#start.set(line, this.#used);
    // As if its line break were kept: a million empty lines fill a block, too.
    this.#used += bytes.length + 1;
    while (this.#total > this.#maxBytes && this.#dropOldest(block));
  }

  get #total(): number {
    return this.#bytes + (this.end - this.#first) * COLUMNS_BYTES;
  }

  /** False: all that is left is the block that is written to. */
  #dropOldest(current: number): boolean {
    if (this.#oldest === current) return false;
    this.#bytes -= BLOCK_BYTES;
    this.#blocks[this.#oldest] = undefined;
    this.#oldest += 1;
    for (let at = this.#first; at < this.end; at++) {
      const block = this.#block.get(at);
      if (block > this.#oldest) break;
      // A line that has not ended goes with those behind it.
      if (block !== 0) this.#first = at + 1;
    }
    for (const column of this.#columns) column.forget(this.#first);
    return true;
  }

  /** What is kept of a line, and how long it is. */
  #bytesOf(number: number): { bytes: Uint8Array; length: number } {
    const block = this.#block.get(number);
    if (block === 0) {
      const open = [...this.#open.values()].find(({ line }) => line === number);
      return { bytes: joined(open?.bytes ?? []), length: open?.length ?? 0 };
    }
    const [start, length] = [this.#start.get(number), this.#length.get(number)];
    const end = start + Math.min(length, KEPT_BYTES);
    return { bytes: this.#blocks[block - 1]?.subarray(start, end) ?? new Uint8Array(), length };
  }

  #numberOf(style: Style): number {
    const text = JSON.stringify(style);
    const known = this.#styleNumbers.get(text);
    if (known !== undefined) return known;
    if (this.#styles.length >= MAX_STYLES) return 0;
    this.#styles.push(style);
    this.#styleNumbers.set(text, this.#styles.length - 1);
    return this.#styles.length - 1;
  }
}

/** A copy of what is kept: the bytes belong to somebody else, and are more than one line. */
function grow(open: Open, bytes: Uint8Array): void {
  open.length += bytes.length;
  const more = bytes.slice(0, KEPT_BYTES - open.kept);
  if (more.length === 0) return;
  open.bytes.push(more);
  open.kept += more.length;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
