/**
 * Lesson 17: an error that points at the character.
 *
 *     pipeline.yaml:7:5: unknown key "depend_on" in job "train" (did you mean "depends_on"?)
 *       7 |     depend_on: [extract]
 *         |     ^^^^^^^^^
 *
 * Invariants: the caret stands under the column named in the first line, also behind tabs and
 * wide characters; an excerpt is one bounded line, however long the line in the file is; so is a
 * name in a message.
 * Test: test/17-pipelines.yaml.test.ts
 */

/** Why a text was refused. Closed: a new reason needs a new name here. */
export type YamlErrorCode =
  | "TOO_LARGE"
  | "TOO_DEEP"
  | "TOO_MANY_NODES"
  | "BAD_CHARACTER"
  | "BAD_ESCAPE"
  | "TAB_INDENT"
  | "BAD_INDENT"
  | "UNTERMINATED"
  | "UNEXPECTED"
  | "UNSUPPORTED"
  | "DUPLICATE_KEY"
  | "BAD_ALIAS"
  | "AMBIGUOUS";

/** Lines and columns count from 1; a column is one UTF-16 unit, as in editors. */
export interface Position {
  readonly line: number;
  readonly column: number;
  /** How many characters the caret underlines. */
  readonly length?: number;
}

/** The most of a line that an excerpt shows: it and its gutter fit a 100-column terminal. */
export const MAX_EXCERPT_CHARS = 90;

/** Characters that terminals draw two cells wide: Chinese, Japanese, Korean, full-width forms. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/g;

/** The beginning of a line. A search for several lines, in order, starts each at the one before. */
export interface LineStart {
  readonly line: number;
  readonly start: number;
}

/** Finds the beginning of `line`, from a line that is not behind it. */
export function lineStart(
  text: string,
  line: number,
  from: LineStart = { line: 1, start: 0 },
): LineStart {
  let { start } = from;
  for (let at = from.line; at < line; at++) start = text.indexOf("\n", start) + 1;
  return { line, start };
}

// #region excerpt
/**
 * Two lines: the line of `text` that holds the position, and a caret under it. `near` is that line
 * or an earlier one.
 *
 * @example
 * ```ts
 * import { excerpt } from "#yaml";
 * excerpt("a: 1\nb: no\n", { line: 2, column: 4, length: 2 }).split("\n")[1] // => '    |    ^^'
 * ```
 */
export function excerpt(text: string, position: Position, near?: LineStart): string {
  const { start } = lineStart(text, position.line, near);
  const newline = text.indexOf("\n", start);
  const end = newline < 0 ? text.length : newline;

  // A position far to the right in a long line: show its neighbourhood, not the line.
  const at = start + position.column - 1;
  const from = at - start > MAX_EXCERPT_CHARS ? at - MAX_EXCERPT_CHARS / 2 : start;
  const shown = text.slice(from, Math.min(end, from + MAX_EXCERPT_CHARS));
  const cut = from > start ? "…" : "";

  // Behind a tab only a tab lines up: the reader's terminal decides how wide a tab is.
  const blank = (cut + shown.slice(0, at - from)).replace(WIDE, "  ").replace(/[^\t ]/g, " ");
  const room = Math.max(1, shown.length - (at - from));
  const carets = "^".repeat(Math.max(1, Math.min(position.length ?? 1, room)));
  const number = String(position.line);
  const indent = " ".repeat(number.length);
  return `  ${number} | ${cut}${printable(shown)}\n  ${indent} | ${blank}${carets}`;
}
// #endregion

/** Control characters would move the cursor or recolour the terminal: show a placeholder. */
function printable(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");
}

/** The beginning of a text that may be megabytes long, for a message. */
export function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/** The facts that {@link YamlError} needs besides its message. */
export interface YamlErrorOptions extends Position {
  readonly code: YamlErrorCode;
  /** The name to print; `<yaml>` without one. */
  readonly file?: string | undefined;
  /** The two lines under the message. */
  readonly excerpt: string;
}

/** A text that is not YAML, or is YAML that this reader refuses to guess about. */
export class YamlError extends Error {
  override readonly name = "YamlError";
  readonly code: YamlErrorCode;
  readonly line: number;
  readonly column: number;
  /** How many characters the caret underlines. */
  readonly length: number;
  readonly file: string;
  /** The message without the position. */
  readonly reason: string;
  readonly #excerpt: string;

  constructor(reason: string, options: YamlErrorOptions) {
    const file = options.file ?? "<yaml>";
    super(`${file}:${options.line}:${options.column}: ${reason}`);
    this.code = options.code;
    this.line = options.line;
    this.column = options.column;
    this.length = options.length ?? 1;
    this.file = file;
    this.reason = reason;
    this.#excerpt = options.excerpt;
  }

  /** The message, the line it is about and a caret: three lines, for a person. */
  format(): string {
    return `${this.message}\n${this.#excerpt}`;
  }
}
