/**
 * What `--json` prints: the wire's rows as plain JSON. Programs rely on these names.
 *
 * Times are milliseconds since 1970 UTC; what is not known is null; a job's result is JSON if it is JSON, else text.
 *
 * Test: test/cli.test.ts
 */
import { jobCounts, resultValue, type Failure, type JobInfo, type RunInfo } from "#wire";
import type { JobRow } from "./tracker.ts";

export { resultValue };

export function failureJson(failure: Failure): object {
  const { kind, message, exitCode, signal } = failure;
  return { kind, message, ...(exitCode !== undefined && { exitCode }), ...(signal !== undefined && { signal }) };
}

/** A line of a stream: the run itself. */
export function runLine(run: { id: string; name: string; status: string; cancelling?: boolean }): object {
  const { id, name, status, cancelling } = run;
  return { type: "run", id, name, status, ...(cancelling === true && status === "RUNNING" && { cancelling }) };
}

/** A line of a stream: one job moved, or was asked to end. While it runs, why an earlier attempt failed is history. */
export function jobLine(run: string, row: JobRow): object {
  const { id: job, status, attempt, worker, at, failure, cancelling } = row;
  return { type: "job", run, job, status, attempt, worker: worker === "" ? null : worker, at, ...(cancelling && { cancelling }), ...(failure !== undefined && status !== "RUNNING" && { failure: failureJson(failure) }) };
}

export function runJson(run: RunInfo): object {
  const { id, name, status, submittedAt, endedAt, cancelling } = run;
  const jobs = jobCounts(run);
  return { id, name, status, submittedAt, endedAt: endedAt ?? null, cancelling, jobs };
}

/** `names`: the ids of the run's jobs by index, to name the parents; without it they stay numbers. */
export function jobJson(job: JobInfo, names?: readonly string[]): object {
  const { id, status, attempt, worker, startedAt, endedAt, reason, failure, result, cancelling, dependsOn } = job;
  return {
    id, status, attempt, worker: worker === "" ? null : worker, startedAt: startedAt ?? null, endedAt: endedAt ?? null, reason, cancelling,
    dependsOn: dependsOn.map((index) => names?.[index] ?? index),
    failure: failure === undefined ? null : failureJson(failure),
    result: result === undefined ? null : resultValue(result),
  };
}
