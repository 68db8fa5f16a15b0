/**
 * Lesson 17: scalars: plain, 'single', "double", | literal and > folded.
 *
 * Invariants: each function starts at the first character of a scalar and leaves the reader
 * behind its last; text is collected in pieces and joined once, so a long scalar costs linear time.
 * `parent` is the column of the collection around the scalar (-1 at the top): a line that is
 * indented no further than that is not part of it.
 * Left out: a plain scalar of several lines may not contain "- " or "key: " at the start of one.
 * The specification allows it, and it is nearly always a slip of indentation.
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { Mark } from "./cursor.ts";
import { clip } from "./error.ts";
import type { Reader } from "./reader.ts";

const NEWLINE = 10;
const TAB = 9;
const SPACE = 32;
const HASH = 35;
const COLON = 58;
const COMMA = 44;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

function isFlowIndicator(code: number): boolean {
  if (code === OPEN_BRACKET || code === CLOSE_BRACKET) return true;
  return code === COMMA || code === OPEN_BRACE || code === CLOSE_BRACE;
}

/** The rest of a plain scalar on this line. Stops before ": ", " #", and in flow before ,[]{}. */
export function readPlainLine(r: Reader, inFlow: boolean): string {
  const { text } = r;
  const from = r.pos;
  let end = from; // behind the last character that is not a blank
  let at = from;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === NEWLINE) break;
    if (code === SPACE || code === TAB) continue;
    if (code === HASH && end < at) break;
    if (code === COLON) {
      const next = at + 1 < text.length ? text.charCodeAt(at + 1) : NEWLINE;
      if (next === SPACE || next === NEWLINE || next === TAB) break;
      if (inFlow && isFlowIndicator(next)) break;
    }
    if (inFlow && isFlowIndicator(code)) break;
    end = at + 1;
  }
  r.pos = end;
  return text.slice(from, end);
}

/** The further lines of a plain scalar, when there are any. The reader is behind its first line. */
export function readPlainRest(
  r: Reader,
  first: string,
  options: { parent: number; inFlow: boolean },
): string {
  const pieces = [first];
  for (;;) {
    const here = r.mark();
    r.skipBlanks();
    if (r.peek() !== "\n") {
      r.rewind(here);
      return pieces.join("");
    }
    const breaks = skipBreaks(r);
    const outside = r.ended || r.peek() === "#" || r.column <= options.parent;
    if (outside || (options.inFlow && ",[]{}:".includes(r.peek()))) {
      r.rewind(here);
      return pieces.join("");
    }
    if (!options.inFlow) r.refuseTabs();
    if (r.peek() === "-" && r.blankAt(1)) {
      const what = "a list item inside a text of several lines";
      r.fail("BAD_INDENT", `${what}: check the indentation, or quote the text`);
    }
    const at = r.mark();
    const piece = readPlainLine(r, options.inFlow);
    const after = r.mark();
    r.skipBlanks();
    if (r.peek() === ":" && !options.inFlow) {
      const what = `the key "${clip(piece)}" inside a text of several lines`;
      r.failAt(at, "BAD_INDENT", `${what}: check the indentation`, piece.length);
    }
    r.rewind(after);
    pieces.push(breaks === 1 ? " " : "\n".repeat(breaks - 1), piece);
  }
}

/** From a line end to the next text, over blank lines. Returns how many line ends were crossed. */
function skipBreaks(r: Reader): number {
  let breaks = 0;
  while (r.peek() === "\n") {
    r.newline();
    breaks++;
    r.skipBlanks();
  }
  return breaks;
}

/** 'It''s' and "tab\t", on one line or folded over several. */
export function readQuoted(r: Reader, parent: number): string {
  const open = r.mark();
  const quote = r.peek();
  const pieces: string[] = [];
  r.pos++;
  for (;;) {
    const chunk = readChunk(r, quote);
    const char = r.peek();
    if (char === quote && quote === "'" && r.peek(1) === "'") {
      pieces.push(chunk, "'");
      r.pos += 2;
    } else if (char === quote) {
      pieces.push(chunk);
      r.pos++;
      return pieces.join("");
    } else if (char === "\\" && r.peek(1) !== "\n") {
      pieces.push(chunk, readEscape(r));
    } else if (char === "") {
      unterminated(r, open);
    } else {
      // One line end becomes a space, or nothing behind a backslash. Of more, all but one are kept.
      const joined = char === "\\" ? "" : " ";
      if (joined === "") r.pos++;
      const breaks = skipBreaks(r);
      if (r.ended || r.column <= parent) unterminated(r, open);
      const leading = r.text.slice(r.lineStart, r.pos).search(/[^ ]|$/);
      if (leading <= parent) r.refuseTabs();
      const before = joined === "" ? chunk : withoutTrailingBlanks(chunk);
      pieces.push(before, breaks === 1 ? joined : "\n".repeat(breaks - 1));
    }
  }
}

/**
 * From the end, by hand: `/[ \t]+$/` begins again at each blank in the middle, and takes quadratic
 * time over a row of them.
 */
function withoutTrailingBlanks(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end--;
  return text.slice(0, end);
}

/** Up to the next character with a meaning inside these quotes. */
function readChunk(r: Reader, quote: string): string {
  const { text } = r;
  const from = r.pos;
  let at = from;
  for (; at < text.length; at++) {
    const char = text[at];
    if (char === quote || char === "\n" || (char === "\\" && quote === '"')) break;
  }
  r.pos = at;
  return text.slice(from, at);
}

function unterminated(r: Reader, open: Mark): never {
  const where = r.pos >= r.text.length ? "" : ` before line ${r.line}, which is indented less`;
  r.failAt(open, "UNTERMINATED", `this quote is not closed${where}`);
}

const ESCAPES: ReadonlyMap<string, string> = new Map(Object.entries({
  "0": "\0", a: "\x07", b: "\b", t: "\t", "\t": "\t", n: "\n", v: "\v", f: "\f", r: "\r", e: "\x1b",
  " ": " ", '"': '"', "/": "/", "\\": "\\", N: "\x85", _: "\xa0", L: "\u2028", P: "\u2029",
}));
const HEX_DIGITS: ReadonlyMap<string, number> = new Map([["x", 2], ["u", 4], ["U", 8]]);

/** One escape of a double-quoted scalar; JSON's are among them. */
function readEscape(r: Reader): string {
  const letter = r.peek(1);
  const known = ESCAPES.get(letter);
  if (known !== undefined) {
    r.pos += 2;
    return known;
  }

  const digits = HEX_DIGITS.get(letter);
  if (digits === undefined) {
    const help = "write \\\\ for a backslash, or use 'single quotes'";
    r.fail("BAD_ESCAPE", `unknown escape \\${letter}: ${help}`, 2);
  }
  const hex = r.text.slice(r.pos + 2, r.pos + 2 + digits);
  const isHex = /^[0-9a-fA-F]+$/.test(hex) && hex.length === digits;
  const point = isHex ? Number.parseInt(hex, 16) : Infinity;
  if (point > 0x10ffff) {
    r.fail("BAD_ESCAPE", `\\${letter} needs ${digits} hexadecimal digits of a character`, 2);
  }
  if (point < 0xd800 || point > 0xdfff) {
    r.pos += 2 + digits;
    return String.fromCodePoint(point);
  }

  // JSON writes characters beyond U+FFFF as two halves. One half alone is no character.
  const pattern = /^\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/;
  const pair = pattern.exec(r.text.slice(r.pos, r.pos + 12));
  if (!pair) r.fail("BAD_ESCAPE", `\\${letter}${hex} is half of a character`, 2 + digits);
  r.pos += 12;
  const halves = [pair[1] as string, pair[2] as string];
  return String.fromCharCode(...halves.map((half) => Number.parseInt(half, 16)));
}

/** `|` keeps line ends, `>` folds them. Then an indentation digit, `-` (strip) or `+` (keep). */
export function readBlockScalar(r: Reader, parent: number): string {
  const folded = r.peek() === ">";
  r.pos++;
  const header = /^(?:([1-9])([-+]?)|([-+])([1-9]?))?/.exec(r.text.slice(r.pos, r.pos + 2));
  r.pos += header?.[0].length ?? 0;
  const digit = header?.[1] || header?.[4];
  const chomp = header?.[2] || header?.[3] || "";
  const here = r.mark();
  r.skipToContent();
  if (r.line === here.line && r.pos < r.text.length) {
    const sign = folded ? ">" : "|";
    r.fail("UNEXPECTED", `text behind "${sign}": it starts on the next line`);
  }
  r.rewind(here);

  const indent = digit ? Math.max(parent, 0) + Number(digit) : undefined;
  const lines = readBlockLines(r, { parent, indent });
  let blank = 0;
  for (; lines.length > 0 && lines.at(-1) === ""; lines.pop()) blank++;
  const body = folded ? fold(lines) : lines.join("\n");
  if (chomp === "-" || (lines.length === 0 && chomp === "")) return body;
  if (chomp !== "+") return `${body}\n`;
  return body + "\n".repeat(lines.length > 0 ? blank + 1 : blank);
}

/** The lines of a block scalar without their indentation. Blank lines are "". */
function readBlockLines(
  r: Reader,
  options: { parent: number; indent: number | undefined },
): string[] {
  const lines: string[] = [];
  let { indent } = options;
  let widestBlank = 0;
  const first = r.text.indexOf("\n", r.pos);
  if (first < 0) {
    r.pos = r.text.length;
    return lines;
  }
  r.pos = first; // over a comment behind the header
  while (r.peek() === "\n") {
    const before = r.mark();
    r.newline();
    while (r.peek() === " " && (indent === undefined || r.column < indent)) r.pos++;
    const newline = r.text.indexOf("\n", r.pos);
    const end = newline < 0 ? r.text.length : newline;
    if (r.pos === end) {
      // Behind the last line end there is no line, unless the whole text is one line of blanks.
      if (end === r.text.length && (r.column === 0 || lines.length > 0)) break;
      if (indent === undefined) widestBlank = Math.max(widestBlank, r.column);
      lines.push("");
      continue;
    }
    if (indent === undefined ? r.column <= options.parent : r.column < indent) {
      if (r.peek() === "\t") r.fail("TAB_INDENT", "a tab in the indentation: use spaces");
      r.rewind(before);
      break;
    }
    if (r.atMarker()) {
      r.rewind(before);
      break;
    }
    if (indent === undefined) {
      indent = r.column;
      if (widestBlank > indent) {
        const what = `the blank lines above are indented further (${widestBlank})`;
        r.fail("BAD_INDENT", `${what} than this first line (${indent})`);
      }
    }
    lines.push(r.text.slice(r.pos, end));
    r.pos = end;
  }
  return lines;
}

/** One line end between two lines at the margin becomes a space; indented lines keep theirs. */
function fold(lines: readonly string[]): string {
  const pieces: string[] = [];
  let blank = 0;
  let previous: string | undefined;
  for (const line of lines) {
    if (line === "") {
      blank++;
      continue;
    }
    const isIndented = /^[ \t]/.test(line) || (previous !== undefined && /^[ \t]/.test(previous));
    const kept = previous !== undefined && isIndented ? blank + 1 : blank;
    pieces.push(kept === 0 && previous !== undefined ? " " : "\n".repeat(kept), line);
    previous = line;
    blank = 0;
  }
  return pieces.join("");
}
