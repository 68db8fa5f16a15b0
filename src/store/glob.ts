/**
 * Lesson 15: patterns, as KEYS, SCAN and PSUBSCRIBE have them.
 *
 *     *  any bytes      ?  one byte      [a-z] [^a-z]  one of, none of      \x  x itself
 *
 * Matching two stars by recursion takes exponential time for patterns made to hurt ("*a*a*a*a*b"). Here a star is
 * remembered, and a mismatch goes back to the last one only: what an earlier star might match differently, the last one can
 * make up for. So the worst case is pattern times text, and nothing is on the stack.
 *
 * Text is what somebody stored already; the other factor comes with the question, and is limited.
 *
 * Left out: character classes by name, and alternatives.
 * Test: test/15-store.test.ts
 */
import { Refusal } from "./refusal.ts";

/** Looking for the worst pattern of this length in a kilobyte takes about 5 ms. Redis has no such limit. */
export const MAX_PATTERN_BYTES = 1024;

/** A client's pattern. Throws the `Refusal` for one that is too long. */
export function checkPattern(pattern: string): string {
  if (pattern.length > MAX_PATTERN_BYTES) throw new Refusal(`ERR pattern is too long: ${pattern.length} bytes exceed ${MAX_PATTERN_BYTES}`);
  return pattern;
}

const [STAR, ANY, OPEN, CLOSE, ESCAPE, NOT, DASH] = [..."*?[]\\^-"].map((char) => char.charCodeAt(0)) as [number, number, number, number, number, number, number];

/** True: the pattern matches the whole text. */
export function matches(pattern: string, text: string): boolean {
  // #exercise matches
  let [p, t] = [0, 0];
  // Where to go on after a mismatch: behind the last star, with one byte more given to it.
  let [afterStar, giveTo] = [-1, 0];
  while (t < text.length || p < pattern.length) {
    if (pattern.charCodeAt(p) === STAR) {
      afterStar = ++p;
      giveTo = t;
      if (p === pattern.length) return true;
      continue;
    }
    const next = t < text.length && p < pattern.length ? matchOne(pattern, p, text.charCodeAt(t)) : -1;
    if (next > 0) {
      p = next;
      t++;
    } else if (afterStar >= 0 && giveTo < text.length) {
      p = afterStar;
      t = ++giveTo;
    } else return false;
  }
  return true;
  // #end-exercise
}

/** Where the pattern goes on if the element at `p` matches this byte; -1 if it does not. */
function matchOne(pattern: string, p: number, byte: number): number {
  const code = pattern.charCodeAt(p);
  if (code === ANY) return p + 1;
  if (code === OPEN) return matchClass(pattern, p + 1, byte);
  if (code === ESCAPE && p + 1 < pattern.length) return pattern.charCodeAt(p + 1) === byte ? p + 2 : -1;
  return code === byte ? p + 1 : -1;
}

/** As Redis: a class without its bracket ends with the pattern, and a range may be written from either end. */
function matchClass(pattern: string, p: number, byte: number): number {
  const isNegated = pattern.charCodeAt(p) === NOT;
  if (isNegated) p++;
  let found = false;
  for (; p < pattern.length && pattern.charCodeAt(p) !== CLOSE; p++) {
    if (pattern.charCodeAt(p) === ESCAPE && p + 1 < pattern.length) {
      p++;
      if (pattern.charCodeAt(p) === byte) found = true;
    } else if (pattern.charCodeAt(p + 1) === DASH && p + 2 < pattern.length) {
      const [a, b] = [pattern.charCodeAt(p), pattern.charCodeAt(p + 2)];
      if (byte >= Math.min(a, b) && byte <= Math.max(a, b)) found = true;
      p += 2;
    } else if (pattern.charCodeAt(p) === byte) found = true;
  }
  return found === isNegated ? -1 : Math.min(p + 1, pattern.length);
}
