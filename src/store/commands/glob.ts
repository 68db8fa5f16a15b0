/**
 * Lesson 15: patterns, as KEYS, SCAN and PSUBSCRIBE have them.
 *
 *     *  any bytes      ?  one byte      [a-z] [^a-z]  one of, none of      \x  x itself
 *
 * Matching two stars by recursion takes exponential time for patterns made to hurt ("*a*a*a*a*b").
 * Here the last star is remembered, and a mismatch goes back to that one only: whatever an earlier
 * star could take in addition, the last one can take as well. So a text costs at most its length
 * times the part behind one star, and nothing is on the stack.
 *
 * The text is data that was stored before. The part behind a star comes with the command, and is
 * limited. The pattern as a whole may be long: an element that matches nothing ends the walk.
 *
 * Left out: character classes by name, and alternatives.
 * Test: test/15-store.test.ts
 */
import { Refusal } from "../refusal.ts";

/**
 * The longest part between two stars or behind the last one, and the longest class: looking for the
 * worst such pattern in a kilobyte takes about 5 ms. Redis has no such limit, and gives up at 1,000
 * stars.
 */
export const MAX_PATTERN_BYTES = 1024;

/**
 * A client's pattern, with one star where there are several. Throws the `Refusal` for a costly one.
 */
export function checkPattern(pattern: string): string {
  let cheap = "";
  /** Where the part behind the last star begins. */
  let partAt: number | undefined;
  for (let p = 0; p < pattern.length; ) {
    const isStar = pattern.charCodeAt(p) === STAR;
    const next = isStar ? p + 1 : elementEnd(pattern, p);
    if (!isStar || partAt !== p) cheap += pattern.slice(p, next);
    if (isStar) partAt = next;
    else if (next - (partAt ?? p) > MAX_PATTERN_BYTES) throw TOO_COSTLY;
    p = next;
  }
  return cheap;
}

const TOO_COSTLY = new Refusal(
  `ERR pattern is too costly: more than ${MAX_PATTERN_BYTES} bytes behind a star or in a class`,
);

const [STAR, ANY, OPEN, CLOSE, ESCAPE, NOT, DASH] = [..."*?[]\\^-"].map((char) =>
  char.charCodeAt(0),
) as [number, number, number, number, number, number, number];

/** True: the pattern matches the whole text. */
export function matches(pattern: string, text: string): boolean {
  // #exercise matches
  let [p, t] = [0, 0];
  // Where to go on after a mismatch: behind the last star, with one byte more given to it.
  // Before the first star there is nothing to give.
  let [afterStar, giveTo] = [p, text.length];
  while (t < text.length || p < pattern.length) {
    if (pattern.charCodeAt(p) === STAR) {
      afterStar = ++p;
      giveTo = t;
      if (p === pattern.length) return true;
      continue;
    }
    const next = t < text.length ? matchOne(pattern, p, text.charCodeAt(t)) : undefined;
    if (next !== undefined) {
      p = next;
      t++;
    } else if (giveTo < text.length) {
      p = afterStar;
      t = ++giveTo;
    } else return false;
  }
  return true;
  // #end-exercise
}

/** Where the pattern goes on if the element at `p` matches this byte. */
function matchOne(pattern: string, p: number, byte: number): number | undefined {
  const code = pattern.charCodeAt(p);
  if (code === ANY) return p + 1;
  if (code === OPEN) return matchClass(pattern, p + 1, byte);
  if (code === ESCAPE && p + 1 < pattern.length) {
    return pattern.charCodeAt(p + 1) === byte ? p + 2 : undefined;
  }
  return code === byte ? p + 1 : undefined;
}

/** Behind the element at `p`, which is no star. */
function elementEnd(pattern: string, p: number): number {
  const code = pattern.charCodeAt(p);
  if (code !== OPEN) return p + (code === ESCAPE ? 2 : 1);
  let end = p + (pattern.charCodeAt(p + 1) === NOT ? 2 : 1);
  while (end < pattern.length && pattern.charCodeAt(end) !== CLOSE) end += classStep(pattern, end);
  return end + 1;
}

/** The length of a class's member: a byte, an escape with its byte, or a range. */
function classStep(pattern: string, p: number): number {
  if (pattern.charCodeAt(p) === ESCAPE && p + 1 < pattern.length) return 2;
  return pattern.charCodeAt(p + 1) === DASH && p + 2 < pattern.length ? 3 : 1;
}

/**
 * As Redis: a class without its bracket ends with the pattern, and a range may be written from
 * either end.
 */
function matchClass(pattern: string, p: number, byte: number): number | undefined {
  const isNegated = pattern.charCodeAt(p) === NOT;
  if (isNegated) p++;
  let found = false;
  while (p < pattern.length && pattern.charCodeAt(p) !== CLOSE) {
    const step = classStep(pattern, p);
    // One byte stands for itself, two are an escape and its byte, three are a range from `a` to
    // `b`.
    const b = pattern.charCodeAt(p + step - 1);
    const a = step === 3 ? pattern.charCodeAt(p) : b;
    if (byte >= Math.min(a, b) && byte <= Math.max(a, b)) found = true;
    p += step;
  }
  return found === isNegated ? undefined : p + 1;
}
