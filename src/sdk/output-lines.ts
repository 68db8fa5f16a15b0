/**
 * The output of jobs as text: bytes come in chunks that end anywhere, inside a line and inside a
 * character.
 *
 *     chunks ─▶ LineReader ─▶ lines ─▶ selection (--since, --grep) ─▶ Tail (--tail)
 *     chunks ─▶ Pieces ─▶ the same bytes as JSON text, or base64 where they are no UTF-8
 *
 * Invariants: a line is one line and a character one character, wherever they were cut; the memory
 * is bounded by MAX_LINE_CHARS for each stream, and for a tail by MAX_TAIL_CHARS.
 * Test: test/cli.logs.text.test.ts
 */
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import type { OutputChunk } from "#wire";

/** A "line" beyond this is binary data, or a progress bar: it is shown in pieces. */
const MAX_LINE_CHARS = 1024 * 1024;
/** The memory of --tail: the limit for long lines. For a million short ones the count is. */
const MAX_TAIL_CHARS = 64 * 1024 * 1024;

type Stream = OutputChunk["stream"];

export interface Line {
  readonly stream: Stream;
  /** When its beginning was printed. */
  readonly at: number;
  /** Without its end. */
  readonly text: string;
}

/** Cuts the chunks of one attempt into lines, each stream for itself. */
export class LineReader {
  readonly #open = { stdout: new OpenLine("stdout"), stderr: new OpenLine("stderr") };

  take(chunk: OutputChunk): Line[] {
    return this.#open[chunk.stream].take(chunk);
  }

  /** Nothing more comes: a rest without a line end is a line, too. */
  end(): Line[] {
    return [...this.#open.stdout.end(), ...this.#open.stderr.end()].sort((a, b) => a.at - b.at);
  }
}

class OpenLine {
  readonly #stream: Stream;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #at = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  take({ at, data }: OutputChunk): Line[] {
    const parts = this.#decoder.write(data).split("\n");
    const lines: Line[] = [];
    for (const [index, part] of parts.entries()) {
      if (this.#text === "") this.#at = at;
      this.#text += part;
      if (index < parts.length - 1 || this.#text.length > MAX_LINE_CHARS) lines.push(this.#cut());
    }
    return lines;
  }

  end(): Line[] {
    this.#text += this.#decoder.end();
    return this.#text === "" ? [] : [this.#cut()];
  }

  #cut(): Line {
    const text = this.#text.endsWith("\r") ? this.#text.slice(0, -1) : this.#text;
    this.#text = "";
    return { stream: this.#stream, at: this.#at, text };
  }
}

export type Piece = { readonly data: string } | { readonly base64: string };

/** The bytes of one stream as JSON can hold them. All pieces together are the bytes, in order. */
export class Pieces {
  #held: Buffer = Buffer.alloc(0);

  /** Undefined: so far there is only the beginning of a character. */
  take(data: Buffer): Piece | undefined {
    const bytes = this.#held.length === 0 ? data : Buffer.concat([this.#held, data]);
    // The decoder leaves out a character that has only begun, and puts a � where there is none. In
    // the second case the bytes differ.
    const text = new StringDecoder("utf8").write(bytes);
    const back = Buffer.from(text);
    const isText = bytes.subarray(0, back.length).equals(back);
    this.#held = isText ? Buffer.from(bytes.subarray(back.length)) : Buffer.alloc(0);
    if (!isText) return { base64: bytes.toString("base64") };
    return text === "" ? undefined : { data: text };
  }

  end(): Piece | undefined {
    return this.#held.length === 0 ? undefined : { base64: this.#held.toString("base64") };
  }
}

export interface Selection {
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly stream?: Stream | undefined;
  readonly pattern?: RegExp | undefined;
  /** A part of it, as it is written. */
  readonly text?: string | undefined;
}

/** A colour in the middle of a word does not hide it. */
export function isSelected(line: Line, { since, stream, pattern, text }: Selection): boolean {
  if (since !== undefined && line.at < since) return false;
  if (stream !== undefined && line.stream !== stream) return false;
  if (pattern === undefined && text === undefined) return true;
  const plain = stripVTControlCharacters(line.text);
  return (pattern?.test(plain) ?? true) && (text === undefined || plain.includes(text));
}

/** The last lines of however many. */
export class Tail<T extends { readonly text: string }> {
  readonly #limit: number;
  readonly #maxChars: number;
  #lines: T[] = [];
  #chars = 0;
  /** Index of the first line that is kept: those before it are cleared now and then, in one go. */
  #first = 0;

  constructor(limit: number, maxChars = MAX_TAIL_CHARS) {
    this.#limit = limit;
    this.#maxChars = maxChars;
  }

  push(line: T): void {
    this.#lines.push(line);
    this.#chars += line.text.length;
    while (this.#count > 0 && (this.#count > this.#limit || this.#chars > this.#maxChars)) {
      this.#chars -= this.#lines[this.#first++]!.text.length;
    }
    if (this.#first <= this.#count) return;
    this.#lines = this.#lines.slice(this.#first);
    this.#first = 0;
  }

  get #count(): number {
    return this.#lines.length - this.#first;
  }

  lines(): T[] {
    return this.#lines.slice(this.#first);
  }
}
