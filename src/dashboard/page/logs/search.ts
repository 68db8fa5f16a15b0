/**
 * Lesson 19: lines that match a pattern, a slice at a time, so that the page stays alive.
 *
 * Test: test/19-dashboard.run.logs.test.ts
 */
import { plainText } from "./ansi.ts";
import { Column } from "./column.ts";
import type { LogLines } from "./lines.ts";

/** Some milliseconds of work. */
const SLICE_LINES = 20_000;

export type Pattern = { readonly regex: RegExp } | { readonly problem: string };

/** Small letters alone find both sizes. */
export function patternOf(text: string): Pattern {
  try {
    return { regex: new RegExp(text, /\p{Lu}/u.test(text) ? "g" : "gi") };
  } catch (error) {
    const found = (error as Error).message.replace(/^Invalid regular expression: /, "");
    return { problem: `Cannot search: ${found}` };
  }
}

/** Where a text matches: from, to. Matches of no length are none. */
export function rangesIn(text: string, regex: RegExp): [from: number, to: number][] {
  return [...text.matchAll(regex)].flatMap((found): [number, number][] =>
    found[0] === "" ? [] : [[found.index, found.index + found[0].length]]);
}

/** The lines that are shown: those of stderr alone, those that match, or both. */
export class LineFilter {
  readonly #lines: LogLines;
  readonly #regex: RegExp | undefined;
  readonly #errorsOnly: boolean;
  readonly #found = new Column((length) => new Uint32Array(length));
  #seen: number;
  #skip = 0;

  constructor(
    lines: LogLines, { regex, errorsOnly }: { regex?: RegExp | undefined; errorsOnly: boolean },
  ) {
    this.#lines = lines;
    this.#regex = regex;
    this.#errorsOnly = errorsOnly;
    this.#seen = lines.first;
  }

  /** Looks at the next lines that have ended. False: all have been looked at. */
  advance(): boolean {
    const { settled } = this.#lines;
    const end = Math.min(settled, this.#seen + SLICE_LINES);
    this.#seen = Math.max(this.#seen, this.#lines.first);
    for (; this.#seen < end; this.#seen++) {
      if (this.#matches(this.#seen)) this.#found.push(this.#seen);
    }
    return this.#seen < settled;
  }

  /** Matches that are still kept. */
  get length(): number {
    while (this.#skip < this.#found.length && this.#found.get(this.#skip) < this.#lines.first) {
      this.#skip += 1;
    }
    this.#found.forget(this.#skip);
    return this.#found.length - this.#skip;
  }

  /** The number of the line in a row. */
  at(row: number): number {
    return this.#found.get(this.#skip + row);
  }

  /** The row of a line; of one that is not in the list, the row before which it would be. */
  rowOf(line: number): number {
    let [low, high] = [this.#skip, this.#found.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#found.get(middle) < line) low = middle + 1;
      else high = middle;
    }
    return low - this.#skip;
  }

  #matches(line: number): boolean {
    if (this.#errorsOnly && !this.#lines.isError(line)) return false;
    if (this.#regex === undefined) return true;
    this.#regex.lastIndex = 0;
    return this.#regex.test(plainText(this.#lines.line(line).text));
  }
}
