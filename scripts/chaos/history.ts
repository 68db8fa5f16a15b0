/**
 * What the log says was done: the runs and their attempts, as far as the checks on the jobs' files
 * need them.
 */
import type { Event } from "#core";
import type { JobSpec } from "#wire";

export interface Attempt {
  readonly attempt: number;
  /** The worker's name. */
  readonly worker: string;
  readonly startedAt: number;
  end?: "succeeded" | "failed" | "lost" | "stopped";
  endedAt?: number;
}

export interface JobHistory {
  readonly spec: JobSpec;
  readonly attempts: Attempt[];
}

export interface RunHistory {
  readonly id: string;
  readonly key: string | undefined;
  readonly jobs: JobHistory[];
  /** A person asked for another try: what ran before counts no more. */
  retried: boolean;
}

export interface History {
  readonly runs: Map<string, RunHistory>;
  /**
   * A worker, or an attempt of it, was given up. `neverArrived`: an attempt that the worker did not
   * know when it came back.
   */
  readonly losses: { readonly at: number; readonly what: string; readonly neverArrived: boolean }[];
}

const ENDS = {
  JobSucceeded: "succeeded",
  JobFailed: "failed",
  JobLost: "lost",
  JobStopped: "stopped",
} as const;

const untried = (spec: JobSpec): JobHistory => ({ spec, attempts: [] });

export function readHistory(events: Iterable<Event>): History {
  const runs = new Map<number, RunHistory>();
  const workers = new Map<number, string>();
  const losses: History["losses"] = [];
  for (const event of events) {
    switch (event.type) {
      case "RunSubmitted":
        runs.set(event.run, {
          id: event.id, key: event.key, jobs: event.spec.jobs.map(untried), retried: false,
        });
        break;
      case "JobsAdded":
        runs.get(event.run)!.jobs.push(...event.jobs.map(untried));
        break;
      case "RunRetried":
        runs.get(event.run)!.retried = true;
        break;
      case "WorkerJoined":
        workers.set(event.worker, event.name);
        break;
      case "WorkerLost":
        losses.push({
          at: event.at, what: `${workers.get(event.worker)}: ${event.reason}`, neverArrived: false,
        });
        break;
      case "JobStarted": {
        const attempt = {
          attempt: event.attempt,
          worker: workers.get(event.worker) ?? `worker ${event.worker}`,
          startedAt: event.at,
        };
        runs.get(event.run)!.jobs[event.job]!.attempts.push(attempt);
        break;
      }
      case "JobSucceeded":
      case "JobFailed":
      case "JobLost":
      case "JobStopped": {
        const run = runs.get(event.run)!;
        const { spec, attempts } = run.jobs[event.job]!;
        Object.assign(attempts.at(-1)!, { end: ENDS[event.type], endedAt: event.at });
        if (event.type === "JobLost") {
          const what = `${run.id}/${spec.id}#${event.attempt}`;
          losses.push({ at: event.at, what, neverArrived: !event.blamed });
        }
        break;
      }
    }
  }
  return { runs: new Map([...runs.values()].map((run) => [run.id, run])), losses };
}

/** The attempt that counts, if the job completed. */
export function successOf(job: JobHistory): Attempt | undefined {
  const last = job.attempts.at(-1);
  return last?.end === "succeeded" ? last : undefined;
}
