/**
 * Random tests for readers: a failure names its seed, and shows the least input that fails.
 *
 * All chance of a test is a list of draws. So an input is made smaller by making the list smaller,
 * whatever it is that the test builds from it: chunks are left out, then numbers are lowered, as
 * long as the test still fails in the same way (lesson 22 does it with whole lives).
 */

/** A whole number from 0 to below `below`. */
export type Random = (below: number) => number;

/** Tells what the test has built, for a failure: called only then. */
export type Tell = (input: () => string) => void;

export type SeededTest = (random: Random, tell: Tell) => void;

/** Lives of a failing test while it is made smaller: a fraction of a second for most. */
const MAX_TRIES = 500;
const MAX_SHRINK_MS = 3000;
/** A text of the graph, the list, the steps: a screen has no room for more. */
const MAX_INPUT = 600;

/** Mulberry32: small, seeded, the same everywhere. */
export function randomness(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Seeds 1 to `count`; one that the variable SEED names comes first. */
export function withSeeds(count: number, body: SeededTest): void {
  const seeds = Array.from({ length: count }, (_, index) => index + 1);
  const wanted = Number(process.env["SEED"] ?? NaN);
  if (Number.isSafeInteger(wanted)) seeds.unshift(wanted);
  for (const seed of seeds) {
    const draws: number[] = [];
    const random = randomness(seed);
    const failure = live(body, (below) => {
      const value = random(below);
      draws.push(value);
      return value;
    });
    if (failure === undefined) continue;
    const { error, input } = smallest(body, draws, failure);
    throw Object.assign(new Error(`seed ${seed}: ${messageOf(error)}`, { cause: error }), {
      ...(input !== "" && { input: input.slice(0, MAX_INPUT) }),
    });
  }
}

interface Failed {
  readonly error: unknown;
  readonly input: string;
}

function live(body: SeededTest, random: Random): Failed | undefined {
  let tell = (): string => "";
  try {
    body(random, (input) => void (tell = input));
    return undefined;
  } catch (error) {
    return { error, input: textOf(tell) };
  }
}

/** What has failed may be half built. */
function textOf(tell: () => string): string {
  try {
    return tell();
  } catch {
    return "";
  }
}

function smallest(body: SeededTest, found: readonly number[], failure: Failed): Failed {
  let best = failure;
  let draws = found;
  let tries = 0;
  const until = performance.now() + MAX_SHRINK_MS;
  const attempt = (shorter: readonly number[]): boolean => {
    if (tries++ >= MAX_TRIES || performance.now() > until) return false;
    let at = 0;
    // Behind the end of the list everything is 0, the smallest choice.
    const failed = live(body, (below) => (below <= 0 ? 0 : (shorter[at++] ?? 0) % below));
    if (failed === undefined || kindOf(failed.error) !== kindOf(failure.error)) return false;
    [best, draws] = [failed, shorter.slice(0, at)];
    return true;
  };
  if (isUnwritten(failure.error)) return failure;
  for (let chunk = Math.ceil(draws.length / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) {
    for (let from = draws.length - chunk; from >= 0; from -= chunk) {
      attempt([...draws.slice(0, from), ...draws.slice(from + chunk)]);
    }
  }
  const lower = (at: number, to: number): boolean =>
    to < (draws[at] ?? 0) && attempt(draws.with(at, to));
  for (let at = 0; at < draws.length; at++) {
    let value;
    do value = draws[at]!;
    while (lower(at, 0) || lower(at, value >> 1) || lower(at, value - 1));
  }
  return best;
}

/** A function that is still to be written fails on any input. */
const isUnwritten = (error: unknown): boolean => /^Exercise: /.test(messageOf(error));

/** The same mistake, as far as it can be told: its numbers differ with the input. */
function kindOf(error: unknown): string {
  const { name, code, operator } = error as { name?: string; code?: string; operator?: string };
  return [name, code, operator, messageOf(error).replace(/\d+/g, "#").split("\n")[0]].join(" ");
}

function messageOf(error: unknown): string {
  return String((error as Error | undefined)?.message ?? error);
}
