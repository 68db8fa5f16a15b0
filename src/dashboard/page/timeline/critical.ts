/**
 * Lesson 19: the critical path: the chain of jobs that a run waited for. Making any other job
 * faster does not make the run faster.
 *
 * From the job that ended last, back to the parent that ended last, and so on.
 *
 * Test: test/19-dashboard.run.test.ts
 */
export interface EndedJob {
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

/** Numbers of jobs, the first one first. A job that goes on ends at `now`. */
export function criticalPath(
  jobs: readonly EndedJob[], parentsOf: (job: number) => readonly number[], now: number,
): number[] {
  const endOf = (job: number): number => {
    const { startedAt, endedAt } = jobs[job]!;
    // What never started has kept nobody waiting.
    return startedAt === null ? -Infinity : endedAt ?? now;
  };
  const latest = (among: Iterable<number>): number | undefined => {
    let best: number | undefined;
    for (const job of among) {
      if (endOf(job) > (best === undefined ? -Infinity : endOf(best))) best = job;
    }
    return best;
  };
  const path: number[] = [];
  for (let job = latest(jobs.keys()); job !== undefined; job = latest(parentsOf(job))) {
    path.push(job);
  }
  return path.reverse();
}
