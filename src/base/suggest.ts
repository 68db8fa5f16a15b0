/**
 * "Did you mean": the word that was probably meant.
 *
 * The distance is Levenshtein's with swaps of neighbours (Damerau's restricted form): how many
 * keystrokes apart two words are.
 * Test: test/base.test.ts
 */

/** Nobody mistypes a word into one three slips away, and short words are near to everything. */
const MAX_DISTANCE = 3;
/**
 * A comparison takes some microseconds, and a hundred problems may each ask: with more, their
 * author would wait for seconds.
 */
const MAX_CANDIDATES = 2000;
const MAX_WORD_CHARS = 64;

/**
 * The candidate nearest to `wanted`, if it is near enough to be meant.
 *
 * @example
 * ```ts
 * import { didYouMean } from "#base";
 * didYouMean("depend_on", ["id", "depends_on"]) // => 'depends_on'
 * didYouMean("colour", ["id", "depends_on"]) // => undefined
 * ```
 */
export function didYouMean(wanted: string, candidates: Iterable<string>): string | undefined {
  if (wanted.length > MAX_WORD_CHARS) return undefined;
  let best: string | undefined;
  let limit = Math.min(MAX_DISTANCE, Math.max(1, Math.floor(wanted.length / 3)));
  let seen = 0;
  for (const candidate of candidates) {
    if (++seen > MAX_CANDIDATES) break;
    if (candidate === wanted || Math.abs(candidate.length - wanted.length) > limit) continue;
    const distance = editDistance(wanted.toLowerCase(), candidate.toLowerCase());
    // Among equals the first stays: known keys are listed by how often they are used.
    if (distance > limit || (best !== undefined && distance === limit)) continue;
    best = candidate;
    limit = distance;
  }
  return best;
}

/** Keystrokes from `a` to `b`: insert, delete, replace, or swap two neighbours. */
export function editDistance(a: string, b: string): number {
  // rows[i][j]: the distance of the first i characters of a from the first j of b.
  // Only the last three rows are ever looked at.
  let twoAbove: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = at(above, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(at(above, j) + 1, at(row, j - 1) + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(at(row, j), at(twoAbove, j - 2) + 1);
      }
    }
    twoAbove = above;
    above = row;
  }
  return at(above, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] as number;
}

/** ` (did you mean "depends_on"?)`, or nothing. */
export function hint(wanted: string, candidates: Iterable<string>): string {
  const found = didYouMean(wanted, candidates);
  return found === undefined ? "" : ` (did you mean "${found}"?)`;
}
