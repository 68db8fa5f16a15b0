/**
 * Lesson 03: chance, in two kinds.
 *
 * The real kind comes from the system and nobody can repeat it: tokens and ids need that. The
 * seeded kind is arithmetic that looks like chance: the same seed always gives the same numbers, as
 * a failing test needs.
 *
 *     splitmix32    state += 0x9e3779b9;  mix(state)    one word of state, a number per step
 *
 * SplitMix is the generator of Steele, Lea and Flood (OOPSLA 2014); the 32-bit mixing constants are
 * those found by Chris Wellons' hash prospector. Each seed walks all 2^32 states before it repeats.
 * Left out: skipping ahead and 64-bit states. A simulation draws far fewer than 2^32 numbers.
 * Test: test/03-host.test.ts
 */
import { randomFillSync } from "node:crypto";
import type { Random } from "./types.ts";

/** Refill in blocks: one system call for 1,024 numbers instead of one for each. */
const POOL_BYTES = 4096;

export function nodeRandom(): Random {
  const pool = Buffer.alloc(POOL_BYTES);
  let used = POOL_BYTES;
  const u32 = (): number => {
    if (used === POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const value = pool.readUInt32LE(used);
    used += 4;
    return value;
  };
  return { u32, unit: () => unitOf(u32), bytes: (count) => randomFillSync(new Uint8Array(count)) };
}

/**
 * Chance that repeats itself: two generators with one seed (an integer, taken modulo 2^32) draw the
 * same numbers in the same order on every machine. Never use it for a secret: one output reveals
 * all others.
 *
 * @example
 * ```ts
 * import { seededRandom } from "#host";
 * const a = seededRandom(42), b = seededRandom(42), c = seededRandom(43);
 * const first = a.u32();
 * b.u32() === first // => true
 * c.u32() === first // => false
 * ```
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  // #region splitmix
  const u32 = (): number => {
    // #exercise u32
    // The golden ratio as a 32-bit fraction. It is odd, so adding it visits every state once before
    // it visits one twice.
    state = (state + 0x9e3779b9) >>> 0;
    // Neighbouring states differ in few bits; two rounds of xor-shift-multiply spread each over all
    // 32.
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
    // #end-exercise
  };
  // #endregion
  const bytes = (count: number): Uint8Array =>
    Uint8Array.from({ length: count }, () => u32() >>> 24);
  return { u32, unit: () => unitOf(u32), bytes };
}

/** 53 random bits over 2^53: every result is exact, and 1 cannot be reached by rounding. */
function unitOf(u32: () => number): number {
  const high = u32() >>> 5;
  const low = u32() >>> 6;
  return (high * 2 ** 26 + low) / 2 ** 53;
}
