/**
 * Lesson 19: a line of time on which idle stretches are folded.
 *
 *     09:00 ████ 09:04 ⌇ 11 h ⌇ 20:10 ██ 20:12       a night of waiting takes no room
 *
 * A fold has a fixed width, and says how long it was.
 *
 * Invariant: a later moment is never further left.
 * Test: test/19-dashboard.run.test.ts
 */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Fold extends Span {
  /** Shares of the width, 0 to 1. */
  readonly left: number;
  readonly right: number;
}

export interface TimeScale extends Span {
  /** The share of the width, 0 to 1, at which a moment stands. */
  at(time: number): number;
  readonly folds: readonly Fold[];
}

/** Nobody minds a gap that is shorter than this share of the time in which something happened. */
const FOLD_SHARE = 0.25;
/** A gap that a person would sit through is no gap. */
const FOLD_MIN_MS = 3_000;
/** The width of a fold, as a share of what is left. */
const FOLD_WIDTH = 0.04;

/** `spans`: when something happened, in any order. */
export function timeScale(spans: readonly Span[]): TimeScale {
  const busy = unionOf(spans);
  if (busy.length === 0) return { from: 0, to: 0, at: () => 0, folds: [] };
  const [from, to] = [busy[0]!.from, busy.at(-1)!.to];
  const worked = busy.reduce((sum, span) => sum + span.to - span.from, 0);
  const least = Math.max(FOLD_MIN_MS, worked * FOLD_SHARE);
  const gaps = busy.slice(1).map((span, at) => ({ from: busy[at]!.to, to: span.from }))
    .filter((gap) => gap.to - gap.from > least);
  const folded = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const left = Math.max(1, to - from - folded);
  const width = left * FOLD_WIDTH;
  const total = left + gaps.length * width;
  const at = (time: number): number => {
    const within = Math.min(to, Math.max(from, time));
    let away = within - from;
    for (const gap of gaps) {
      if (within <= gap.from) break;
      const inside = Math.min(within, gap.to) - gap.from;
      away += (inside / (gap.to - gap.from)) * width - inside;
    }
    return away / total;
  };
  const folds = gaps.map((gap): Fold => ({ ...gap, left: at(gap.from), right: at(gap.to) }));
  return { from, to, at, folds };
}

/** The same time, without overlaps, from left to right. */
export function unionOf(spans: readonly Span[]): Span[] {
  const found: { from: number; to: number }[] = [];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else found.push({ from, to });
  }
  return found;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const STEPS = [
  100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE,
  5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR,
];

/** Round moments since the start, at most `most` of them; none inside a fold. */
export function ticksOf(scale: TimeScale, most: number): number[] {
  const length = scale.to - scale.from;
  const shown = length - scale.folds.reduce((sum, fold) => sum + fold.to - fold.from, 0);
  if (shown <= 0 || most < 1) return [];
  const step = STEPS.find((each) => shown / each <= most) ?? Math.ceil(shown / most / HOUR) * HOUR;
  const ticks: number[] = [];
  for (let since = 0; since <= length; since += step) {
    const time = scale.from + since;
    const fold = scale.folds.find(({ from, to }) => time > from && time < to);
    if (fold === undefined) ticks.push(time);
    // On to the first round moment behind the fold.
    else since = Math.floor((fold.to - scale.from) / step) * step;
  }
  return ticks;
}
