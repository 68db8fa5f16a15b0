/**
 * Lesson 19: what a job has done, as bars on a line of time.
 *
 *     train   ██ 1 ██ ✗ ···· ██████ 2 ██████ ? ░░░░ gate ░░░░ ✓
 *
 * The row of a job knows its latest attempt. The facts of the event log know all of them; where
 * they have been read they win.
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

/** A fact of a job, as the event stream tells it. */
export interface JobFact {
  readonly type: string;
  readonly at: number;
  readonly job?: string;
  readonly attempt?: number;
}

/** What the end of an attempt makes of it. */
const ENDS: Readonly<Record<string, string>> = {
  JobSucceeded: "COMPLETED", JobFailed: "FAILED", JobLost: "FAILED", JobStopped: "CANCELLED",
  JobPaused: "WAITING",
};

/** The attempts of every job, by its id, in the order in which they began. */
export function attemptsOf(facts: readonly JobFact[]): Map<string, Attempt[]> {
  const found = new Map<string, Attempt[]>();
  for (const { type, at, job, attempt } of facts) {
    if (job === undefined || attempt === undefined) continue;
    const own = found.get(job) ?? [];
    found.set(job, own);
    if (type === "JobStarted") {
      own.push({ attempt, from: at, status: "RUNNING" });
      continue;
    }
    const status = ENDS[type];
    const which = own.findLastIndex((each) => each.attempt === attempt);
    if (status === undefined || which < 0 || own[which]!.to !== undefined) continue;
    own[which] = { attempt, from: own[which]!.from, to: at, status };
  }
  return found;
}
