/**
 * Lesson 19: how busy the cluster was in the last minutes: what the small charts show. Pure; a
 * sample is made of the rows that the page has anyway.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { JobStatus, Run } from "./rows.ts";

/** Between two samples: a chart that moves, and costs nothing. */
export const SAMPLE_MS = 2_000;
/** Five minutes. */
export const MAX_SAMPLES = 150;
const DONE: readonly JobStatus[] = ["COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED"];

export interface Sample {
  readonly at: number;
  /** Jobs of all known runs, by status. */
  readonly jobs: Readonly<Partial<Record<JobStatus, number>>>;
  /** How long jobs have waited to start, all together, since the master's start. */
  readonly waited?: Waited | undefined;
}

export interface Waited {
  readonly seconds: number;
  readonly jobs: number;
}

/** Mean seconds of the jobs that started between two samples; while none did, the last mean. */
export function waits(samples: readonly Sample[]): number[] {
  const known = samples.filter(({ waited }) => waited !== undefined);
  let last = 0;
  return known.slice(1).map(({ waited }, at) => {
    const before = known[at]!.waited!;
    const jobs = waited!.jobs - before.jobs;
    if (jobs > 0) last = Math.max(0, waited!.seconds - before.seconds) / jobs;
    return last;
  });
}

/** Whether a job has started between the first of them and the last: else there is no mean. */
export function hasStarts(samples: readonly Sample[]): boolean {
  const known = samples.flatMap(({ waited }) => waited === undefined ? [] : [waited.jobs]);
  return known.length > 1 && known.at(-1)! > known[0]!;
}

export function sampleOf(runs: Iterable<Run>, at: number, waited?: Waited): Sample {
  const jobs: Partial<Record<JobStatus, number>> = {};
  for (const run of runs) {
    for (const [status, count] of Object.entries(run.jobs) as [JobStatus, number][]) {
      if (count > 0) jobs[status] = (jobs[status] ?? 0) + count;
    }
  }
  return { at, jobs, waited };
}

/** Whether it is time: counting all jobs of ten thousand runs is work. */
export function isDue(samples: readonly Sample[], now: number): boolean {
  const last = samples.at(-1);
  return last === undefined || now < last.at || now - last.at >= SAMPLE_MS;
}

export function addSample(samples: readonly Sample[], next: Sample): readonly Sample[] {
  const last = samples.at(-1);
  // A clock that was put back begins a new chart.
  if (last !== undefined && next.at < last.at) return [next];
  if (!isDue(samples, next.at)) return samples;
  // A tab that slept has none of the time between.
  const from = next.at - MAX_SAMPLES * SAMPLE_MS;
  return [...samples.filter(({ at }) => at > from), next];
}

/** Jobs that came to an end, per minute, between each sample and the one before. */
export function throughput(samples: readonly Sample[]): number[] {
  return samples.slice(1).map((sample, at) => {
    const before = samples[at]!;
    const minutes = (sample.at - before.at) / 60_000;
    // Runs that are forgotten take their jobs with them.
    return Math.max(0, ended(sample) - ended(before)) / minutes;
  });
}

function ended({ jobs }: Sample): number {
  return DONE.reduce((sum, status) => sum + (jobs[status] ?? 0), 0);
}
