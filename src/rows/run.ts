/**
 * A run, its jobs and its answers as plain JSON.
 *
 * Test: test/cli.test.ts
 */
import {
  jobCounts, resultValue, type ChangedRows, type Decision, type Failure, type JobInfo, type RunInfo,
  type ServiceInfo,
} from "#wire";

export function failureJson(failure: Failure): object {
  const { kind, message, exitCode, signal } = failure;
  return {
    kind,
    message,
    ...(exitCode !== undefined && { exitCode }),
    ...(signal !== undefined && { signal }),
  };
}

export function serviceJson(service: ServiceInfo): object {
  const { name, phase, host, port, pid, restarts, since } = service;
  return {
    name, state: phase, host: host || null, port: port || null, pid: pid || null, restarts, since,
  };
}

export function runJson(run: RunInfo): object {
  const { id, name, status, submittedAt, endedAt, cancelling, paused } = run;
  const jobs = jobCounts(run);
  return {
    id, name, status, submittedAt, endedAt: endedAt ?? null, cancelling, jobs,
    ...(paused !== undefined && { reason: paused }),
  };
}

/** What a fact has changed of a run, as rows that take the places of those before. */
export function changedJson({ run, jobs, all }: ChangedRows, at: number): object {
  return {
    ...(run !== undefined && { run: runJson(run) }), ...(all && { all }),
    jobs: jobs.map(({ info, parents }) => jobJson(info, parents, at)),
  };
}

/** `parents`: their ids; a parent without an id here stays a number. `now` in ms since 1970. */
export function jobJson(job: JobInfo, parents: readonly string[], now: number): object {
  const { id, status, attempt, worker, reason, failure, result, cancelling, dependsOn } = job;
  return {
    id,
    status,
    attempt,
    worker: worker === "" ? null : worker,
    startedAt: job.startedAt ?? null,
    endedAt: job.endedAt ?? null,
    tookMs: tookMs(job, now) ?? null,
    waitedMs: waitedMs(job, now) ?? null,
    retryAt: job.retryAt ?? null,
    reason,
    cancelling,
    dependsOn: dependsOn.map((index, at) => parents[at] ?? index),
    decision: job.decision === undefined ? null : decisionJson(job.decision),
    failure: failure === undefined ? null : failureJson(failure),
    result: result === undefined ? null : resultValue(result),
    outputLost: job.lostOutput?.bytes ?? 0,
    outputProblem: job.lostOutput?.why ?? null,
    ...(job.service !== undefined && { service: serviceJson(job.service) }),
    ...(job.paused !== undefined && { paused: job.paused }),
  };
}

export function decisionJson({ approved, by, comment, at, values, skipped }: Decision): object {
  return {
    approved, by, comment, at, fields: values, ...(skipped === true && { skipped }),
  };
}

/** What an answer to a gate has come to. `missing`: approvals that it still wants. */
export function answerJson(decision: Decision): object {
  const { already, missing = 0 } = decision;
  return { ...decisionJson(decision), already, missing };
}

/**
 * The duration of the latest attempt, ended or not. Undefined: the job waits for its next attempt,
 * or never started.
 */
export function tookMs(
  { status, startedAt, stoppedAt, endedAt }: JobInfo,
  now: number,
): number | undefined {
  if (startedAt === undefined || status === "PENDING") return undefined;
  return (status === "RUNNING" ? now : (stoppedAt ?? endedAt ?? now)) - startedAt;
}

/** How long its gate has waited for a person. Undefined: it has no gate, or did not get there. */
export function waitedMs(
  { status, stoppedAt, decision }: JobInfo,
  now: number,
): number | undefined {
  if (stoppedAt === undefined) return undefined;
  if (decision !== undefined) return decision.at - stoppedAt;
  return status === "WAITING" ? now - stoppedAt : undefined;
}
