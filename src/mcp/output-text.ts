/**
 * Lesson 20: the output of a job as lines, and as many of them as a model is to read.
 *
 *     tail      … … … … [■ ■ ■]             the last lines that fit
 *     cursor    … … [■ ■ ■] … …             those from a line on; the answer says where to go on
 *     grep      only lines that match
 *
 * Colours and other control characters are left out: they cost tokens, and mean nothing here.
 *
 * Invariants: a page holds at most MAX_CHARS characters, and MAX_JSON_BYTES as JSON; reading on
 * from `next` misses no line and shows none twice; memory does not grow with the output.
 * Test: test/20-mcp.tools.test.ts
 */
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import type { OutputChunk } from "#sdk";

/** Clients warn beyond 25,000 tokens for one result; this is about a quarter of that. */
export const MAX_CHARS = 20_000;
/** A character may be twelve bytes of JSON, and a result has the text twice. */
export const MAX_JSON_BYTES = 45_000;
/** A longer line is data, and no line. */
const MAX_LINE_CHARS = 4000;

export interface PageWish {
  /** The last lines, at most so many. */
  readonly tail: number;
  /** Instead: from this line on, counted from 0. */
  readonly from: number | undefined;
  /** Which of these lines are wanted. */
  readonly pick: ((lines: readonly string[]) => readonly boolean[]) | undefined;
}

export interface Page {
  readonly lines: readonly string[];
  /** Lines that were left out though they were asked for, or that were cut. */
  readonly truncated: boolean;
  /** Where the lines go on that this page does not have. */
  readonly next: number;
}

// #region page
/** `isOver`: nothing more will be printed, so a line without an end is a line. */
export async function readPage(
  chunks: AsyncIterable<OutputChunk>, wish: PageWish, isOver: boolean,
): Promise<Page> {
  const { tail, from, pick } = wish;
  const kept: { text: string; at: number; cost: number }[] = [];
  let [at, chars, bytes] = [0, 0, 0];
  let truncated = false;
  for await (const { line, wanted } of linesOf(chunks, { isOver, pick })) {
    const number = at++;
    if (!wanted || (from !== undefined && number < from)) continue;
    const text = cut(line);
    truncated ||= text !== line;
    const cost = Buffer.byteLength(JSON.stringify(text));
    const isFull = (): boolean => chars > MAX_CHARS || bytes > MAX_JSON_BYTES;
    kept.push({ text, at: number, cost });
    chars += text.length + 1;
    bytes += cost;
    if (from !== undefined && isFull()) {
      kept.pop();
      return { lines: kept.map((each) => each.text), truncated: true, next: number };
    }
    while (from === undefined && (isFull() || kept.length > tail)) {
      truncated ||= kept.length <= tail;
      const first = kept.shift()!;
      chars -= first.text.length + 1;
      bytes -= first.cost;
    }
  }
  return { lines: kept.map((each) => each.text), truncated, next: at };
}
// #endregion

function cut(line: string): string {
  if (line.length <= MAX_LINE_CHARS) return line;
  return `${line.slice(0, MAX_LINE_CHARS)}… [${line.length - MAX_LINE_CHARS} characters more]`;
}

/** Lines of both streams, each when it was whole. */
async function* linesOf(
  chunks: AsyncIterable<OutputChunk>, { isOver, pick }: { isOver: boolean; pick: PageWish["pick"] },
): AsyncGenerator<{ line: string; wanted: boolean }> {
  const streams = { stdout: new Lines(), stderr: new Lines() };
  function* marked(lines: readonly string[]): Generator<{ line: string; wanted: boolean }> {
    const wanted = lines.length === 0 ? [] : pick?.(lines);
    for (const [at, line] of lines.entries()) yield { line, wanted: wanted?.[at] ?? true };
  }
  for await (const { stream, data } of chunks) yield* marked(streams[stream].take(data));
  if (!isOver) return;
  for (const stream of Object.values(streams)) yield* marked(stream.end());
}

class Lines {
  readonly #decoder = new StringDecoder("utf8");
  #open = "";

  take(data: Buffer): string[] {
    const parts = (this.#open + this.#decoder.write(data)).split("\n");
    this.#open = parts.pop()!;
    // A line that never ends must not fill the memory: what is beyond would be cut anyway.
    if (this.#open.length > 2 * MAX_LINE_CHARS) {
      this.#open = this.#open.slice(0, 2 * MAX_LINE_CHARS);
    }
    return parts.map(clean);
  }

  end(): string[] {
    const rest = this.#open + this.#decoder.end();
    return rest === "" ? [] : [clean(rest)];
  }
}

function clean(line: string): string {
  // All control characters but the tab.
  return stripVTControlCharacters(line).replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "");
}
