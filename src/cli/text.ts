/**
 * Text for people: durations, times, tables, counts, and the word that was meant.
 *
 * Invariants: nothing here writes; a width is counted in terminal cells, not in bytes.
 * Test: test/cli.text.test.ts
 */
import { stripVTControlCharacters } from "node:util";
import { didYouMean } from "#base";

export { durationText, plural } from "#base";

/** The word that was probably meant. A prefix counts: `stat` is `status`. */
export function meantWord(word: string, candidates: readonly string[]): string | undefined {
  const isPrefix = (candidate: string): boolean => word.length >= 2 && candidate.startsWith(word);
  return didYouMean(word, candidates) ?? candidates.find(isPrefix);
}

/** ` (did you mean status?)`, or nothing: the end of a message about a wrong word. */
export function meantHint(word: string, candidates: readonly string[]): string {
  const meant = meantWord(word, candidates);
  return meant === undefined ? "" : ` (did you mean ${meant}?)`;
}

/** Local time, to the second: "2025-03-01 14:05:09". */
export function timeText(ms: number): string {
  const at = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** To the millisecond: most events of a run happen within a second. */
export function momentText(ms: number): string {
  return `${timeText(ms)}.${String(ms % 1000).padStart(3, "0")}`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${units[unit]}`;
}

/** The least part of a cut column that is worth showing. */
const MIN_CELLS = 12;

/**
 * Columns as wide as their content. The last one is not padded, so that lines end where their text
 * ends.
 *
 * `room`: cells of the terminal. In a table that is wider the last column is cut. A table that does
 * not fit even so becomes a paragraph for each row.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  room = Infinity,
): string {
  const all = [head, ...rows];
  const widest = (column: number): number =>
    all.reduce((most, row) => Math.max(most, width(row[column] ?? "")), 0);
  const last = head.length - 1;
  const widths = head.slice(0, last).map((_, column) => widest(column));
  const before = widths.reduce((sum, cells) => sum + cells + 2, 0);
  const left = room - before;
  // The last column may be long, and there may be 10,000 rows: it is measured if it may be cut.
  if (left < MIN_CELLS && left < widest(last)) return paragraphs(head, rows);
  const cellText = (cell: string, column: number, row: readonly string[]): string =>
    column === row.length - 1 ? clip(cell, left) : pad(cell, widths[column]!);
  const line = (row: readonly string[]): string => row.map(cellText).join("  ").trimEnd();
  return all.map(line).join("\n");
}

/** `name`, and below it the other columns with their heads. */
function paragraphs(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = Math.max(...head.slice(1).map(width));
  return rows
    .map(([name = "", ...rest]) => {
      const said = rest.flatMap((cell, index) =>
        cell === "" ? [] : [`  ${pad(head[index + 1]!.toLowerCase(), cells)}  ${cell}`],
      );
      return [name, ...said].join("\n");
    })
    .join("\n");
}

/**
 * Characters that terminals draw two cells wide: East Asian ones, and those that are an emoji even
 * without a sign that asks for one.
 */
const WIDE = new RegExp(
  [
    "[\\u1100-\\u115f\\u2e80-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe30-\\ufe6f]",
    "[\\uff00-\\uff60\\uffe0-\\uffe6\\u{1f300}-\\u{1faff}]",
    "\\p{Emoji_Presentation}",
    "\\ufe0f", // asks for an emoji
  ].join("|"),
  "u",
);
/** Accents and joiners on their own. */
const NOTHING = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]+$/u;
const PLAIN = /^[\x20-\x7e]*$/;
/**
 * One cell each without the segmenter: Latin letters and the signs of our own drawings. The
 * segmenter costs a microsecond a letter.
 */
const NARROW = /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2500-\u257f·●✓✗…]*$/;
let segmenter: Intl.Segmenter | undefined;

/**
 * The characters as a reader counts them: an accent belongs to its letter, and a family is one
 * emoji.
 */
function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function graphemeWidth(grapheme: string): number {
  if (NOTHING.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}

/** Cells that a text takes on a terminal; colours take none. */
export function width(text: string): number {
  if (PLAIN.test(text)) return text.length; // nearly all
  const shown = stripVTControlCharacters(text);
  if (NARROW.test(shown)) return shown.length;
  return graphemes(shown).reduce((cells, grapheme) => cells + graphemeWidth(grapheme), 0);
}

export function pad(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - width(text)));
}

/** Cuts to so many cells, with an ellipsis. For text without colours. */
export function clip(text: string, cells: number): string {
  if (cells === Infinity || width(text) <= cells) return text;
  let kept = "";
  let used = 1;
  for (const grapheme of PLAIN.test(text) ? text : graphemes(text)) {
    used += graphemeWidth(grapheme);
    if (used > cells) break;
    kept += grapheme;
  }
  return `${kept}…`;
}

/**
 * One line without anything that would move a cursor: texts that jobs and people wrote end up on
 * terminals.
 */
export function oneLine(text: string): string {
  const line = text.includes("\n") ? text.replace(/\s*\n\s*/g, " ") : text;
  return printable(line.trim());
}

/** Begin and end of text in the other direction: they would turn the rest of our line around. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/;

/** Colours go, and control characters become a placeholder; line ends and tabs stay. */
export function printable(text: string): string {
  if (PLAIN.test(text)) return text;
  let result = "";
  for (const character of stripVTControlCharacters(text)) {
    const code = character.codePointAt(0)!;
    const control = (code < 32 && code !== 9 && code !== 10) || (code >= 127 && code < 160);
    result += control || TURNS.test(character) ? "\ufffd" : character;
  }
  return result;
}

/** A word as a shell takes it: a command that we print can be pasted. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** `A, B and 3 more`. */
export function listText(items: readonly string[], named: number): string {
  const shown = items.slice(0, named).join(", ");
  return items.length > named ? `${shown} and ${items.length - named} more` : shown;
}

/**
 * Says a text only if it differs from the last one. A worker without a master dials for as long as
 * it takes, and fails for the same reason each time.
 */
export function withoutRepeats(say: (text: string) => void): (text: string) => void {
  let last: string | undefined;
  return (text) => {
    if (text !== last) say(text);
    last = text;
  };
}
