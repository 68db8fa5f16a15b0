/**
 * Lesson 19: a change of a text as the pieces that change, so that all else stays byte for byte.
 *
 *     splices ── in the reader's text (LF, no mark) ──▶ applySplices ──▶ the person's text (CRLF…)
 *
 * Invariants: pieces do not overlap; line ends that nobody touched stay as they are, and new lines
 * end as the others do.
 * Test: test/19-dashboard.build.test.ts
 */
import { normalizeYaml } from "#yaml";

/**
 * `text` replaces what is between `from` and `to`, as offsets in the text that the reader reads.
 */
export interface Splice {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Carries out the splices, in any order; those that insert at one place, in the given one. */
export function applySplices(text: string, splices: readonly Splice[]): string {
  const sorted = splices
    .map((splice, at) => ({ ...splice, at }))
    .sort((a, b) => a.from - b.from || a.to - b.to || a.at - b.at);
  const offsets = offsetsIn(text, sorted.flatMap(({ from, to }) => [from, to]));
  const isCrlf = text.includes("\r\n");
  const pieces: string[] = [];
  let done = 0;
  for (const { from, to, text: own } of sorted) {
    const [start, end] = [offsets.get(from)!, offsets.get(to)!];
    if (start < done) throw new Error(`Cannot edit text: two changes meet at ${from}`);
    pieces.push(text.slice(done, start), isCrlf ? own.replaceAll("\n", "\r\n") : own);
    done = end;
  }
  pieces.push(text.slice(done));
  return pieces.join("");
}

/** From offsets in the reader's text to those in the person's. */
function offsetsIn(text: string, wanted: readonly number[]): Map<number, number> {
  const found = new Map<number, number>();
  const mark = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  if (!text.includes("\r\n")) {
    for (const offset of wanted) found.set(offset, offset + mark);
    return found;
  }
  let [clean, at] = [0, mark];
  for (const offset of [...new Set(wanted)].sort((a, b) => a - b)) {
    for (; clean < offset; clean++, at++) if (text.startsWith("\r\n", at)) at++;
    found.set(offset, at);
  }
  return found;
}

// #region difference
/**
 * The one splice that makes `after` of the reader's form of `text`. An editor of the browser gives
 * back a whole text with LF, and what the person typed is the middle of it.
 */
export function difference(text: string, after: string): Splice {
  const before = normalizeYaml(text);
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before[from] === after[from]) from++;
  let same = 0;
  while (same < most - from && before.at(-1 - same) === after.at(-1 - same)) same++;
  return { from, to: before.length - same, text: after.slice(from, after.length - same) };
}
// #endregion
