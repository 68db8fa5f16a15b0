/**
 * Lesson 19: what a job has done, as bars on a line of time.
 *
 *     train   ██ 1 ██ ✗ ···· ██████ 2 ██████ ? ░░░░ gate ░░░░ ✓
 *
 * The row of a job knows its latest attempt. The facts of the event log know all of them; where
 * they have been read they win.
 *
 * Bars that a screen cannot show apart are one bar.
 *
 * Invariant: bars of one row do not overlap, and run from left to right.
 * Test: test/19-dashboard.run.test.ts
 */

/** What is needed of a job's row, as the HTTP interface has it. */
export interface TimedJob {
  readonly status: string;
  readonly attempt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly tookMs: number | null;
  readonly waitedMs: number | null;
  readonly service?: unknown;
}

export interface Bar {
  readonly kind: "attempt" | "gate" | "service";
  readonly attempt: number;
  /** Milliseconds since 1970; `to` is now while it goes on. */
  readonly from: number;
  readonly to: number;
  readonly isOpen: boolean;
  /** A state in the words of a job. */
  readonly status: string;
  /** It stands for so many attempts, up to this one. */
  readonly merged?: number;
}

/** An attempt as the event log tells it. */
export interface Attempt {
  readonly attempt: number;
  readonly from: number;
  readonly to?: number;
  readonly status: string;
}

export function barsOf(job: TimedJob, now: number, attempts: readonly Attempt[] = []): Bar[] {
  const kind = job.service === undefined ? "attempt" : "service";
  const earlier = attempts.filter(({ attempt }) => attempt !== job.attempt);
  const bars = earlier.map(({ attempt, from, to = now, status }): Bar =>
    ({ kind, attempt, from, to: Math.max(from, to), isOpen: false, status }));
  if (job.startedAt !== null && job.tookMs !== null) {
    const isOpen = job.status === "RUNNING";
    const to = isOpen ? Math.max(now, job.startedAt) : job.startedAt + job.tookMs;
    // At its gate, its work has been done.
    const status = job.waitedMs !== null ? "COMPLETED" : job.status;
    bars.push({ kind, attempt: job.attempt, from: job.startedAt, to, isOpen, status });
    if (job.waitedMs !== null) {
      const waits = job.status === "WAITING";
      const end = waits ? Math.max(now, to) : to + job.waitedMs;
      bars.push({
        kind: "gate", attempt: job.attempt, from: to, to: end, isOpen: waits, status: job.status,
      });
    }
  } else {
    // It waits for its next attempt: the latest one is in the facts alone.
    const latest = attempts.find(({ attempt }) => attempt === job.attempt);
    if (latest !== undefined) {
      const { attempt, from, to = now, status } = latest;
      bars.push({ kind, attempt, from, to: Math.max(from, to), isOpen: false, status });
    }
  }
  return bars.sort((a, b) => a.from - b.from);
}

/** Of the width: a pixel of a wide screen. */
const PIXEL = 1 / 2000;

/** As many as can be told apart. `at`: the share of the width at which a moment stands. */
export function visibleBars(bars: readonly Bar[], at: (time: number) => number): Bar[] {
  const seen: Bar[] = [];
  for (const bar of bars) {
    const last = seen.at(-1);
    const isApart = last === undefined || last.kind !== bar.kind ||
      at(bar.to) - at(last.from) > PIXEL;
    if (isApart) seen.push(bar);
    else seen.splice(-1, 1, { ...bar, from: last.from, merged: (last.merged ?? 1) + 1 });
  }
  return seen;
}
