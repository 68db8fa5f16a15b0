/**
 * Lesson 19: how the past is played: which fact is shown next, and after how long. Pure.
 *
 * Facts come in bursts, and hours may lie between two of them. A pause is cut, and of facts that
 * are closer than a picture takes only the last is shown.
 *
 * Test: test/19-dashboard.past.test.ts
 */
export const SPEEDS = ["1", "4", "16", "fact"] as const;
/** As many times as fast as it was; or fact after fact, whenever they happened. */
export type Speed = (typeof SPEEDS)[number];

/** Nobody watches nothing for longer. */
const MAX_PAUSE_MS = 2_000;
/** Of one fact, where each has the same time: enough to read it. */
const READ_MS = 800;
/** Between two pictures. */
export const FRAME_MS = 50;

export interface Played {
  readonly speed: Speed;
  /** No two pictures follow each other sooner. */
  readonly leastMs: number;
  readonly count: number;
  /** When a fact happened; undefined: it has not been read yet. */
  atOf(place: number): number | undefined;
}

export interface NextPicture {
  readonly place: number;
  readonly waitMs: number;
}

/** Undefined: there is no next fact, or none that is known. */
export function nextPicture(
  place: number, { speed, leastMs, count, atOf }: Played,
): NextPicture | undefined {
  if (speed === "fact") {
    const isThere = place < count && atOf(place + 1) !== undefined;
    return isThere ? { place: place + 1, waitMs: Math.max(READ_MS, leastMs) } : undefined;
  }
  let waitMs = 0;
  let next = place;
  for (let before = atOf(place); next < count && waitMs < leastMs; next++) {
    const at = atOf(next + 1);
    if (at === undefined) break;
    const pause = Math.max(0, Math.min(MAX_PAUSE_MS, at - (before ?? at)));
    // Facts that come right behind a pause are not hurried past.
    if (next > place && waitMs + pause / Number(speed) > 2 * leastMs) break;
    waitMs += pause / Number(speed);
    before = at;
  }
  return next === place ? undefined : { place: next, waitMs: Math.max(leastMs, waitMs) };
}
