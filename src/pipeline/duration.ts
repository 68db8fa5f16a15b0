/**
 * Lesson 17: `90s`, `10m`, `1h30m`, `500ms`, and plain numbers, which are seconds.
 *
 * Invariants: a duration is a whole number of milliseconds; a value that would be rounded is
 * refused, since a timeout of 0.0001 s must not become 0, which means "no timeout".
 * Test: test/17-pipelines.test.ts
 */

const UNITS_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
/** Larger units first, each at most once: "1h30m", not "30m1h". */
const PATTERN =
  /^(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m(?!s))?(?:([0-9.]+)s)?(?:([0-9.]+)ms)?$/;
const NUMBER = /^(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)$/;
const MAX_CHARS = 64;

/**
 * Milliseconds of a duration with units; a string names the problem.
 *
 * @example
 * ```ts
 * import { parseDuration } from "#pipeline";
 * parseDuration("1h30m") // => 5400000
 * parseDuration("10 minutes") // => 'must be a duration such as 90s, 10m, 1h30m or 500ms'
 * ```
 */
export function parseDuration(text: string): number | string {
  if (text.startsWith("-")) return "cannot be negative";
  const parts = text.length > MAX_CHARS ? null : PATTERN.exec(text);
  const amounts = parts?.slice(1) ?? [];
  const given = amounts.filter((amount) => amount !== undefined);
  if (given.length === 0 || !given.every((amount) => NUMBER.test(amount))) {
    return "must be a duration such as 90s, 10m, 1h30m or 500ms";
  }
  const units = Object.values(UNITS_MS);
  return wholeMs(
    amounts.reduce((sum, amount, i) => sum + Number(amount ?? 0) * (units[i] as number), 0),
  );
}

/** Seconds, as numbers in a pipeline are. */
export function secondsToMs(seconds: number): number | string {
  return seconds < 0 ? "cannot be negative" : wholeMs(seconds * 1000);
}

function wholeMs(ms: number): number | string {
  const whole = Math.round(ms);
  // 1.1 s is 1100.0000000000002 ms in floating point; 0.0001 s is not a whole millisecond.
  const isWhole = Math.abs(ms - whole) <= Math.max(1e-6, ms * 1e-12);
  return isWhole ? whole : "cannot be finer than a millisecond";
}

/** The way back: `5400000` is `1h30m`. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = "";
  for (const [unit, size] of Object.entries(UNITS_MS)) {
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * size;
  }
  return text === "" ? "0s" : text;
}
