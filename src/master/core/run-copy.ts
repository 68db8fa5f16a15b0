/**
 * Lesson 10: a run as it was, in memory: what may change of it and of its jobs, beside what does
 * not (copy.ts).
 *
 * Test: test/10-master.history.test.ts
 */
import type { Dag } from "#dag";
import { RetryBudget } from "#retry";
import type { JobSpec, PipelineSpec, RunStatus, UpdateInfo } from "#wire";
import { Run, type Job } from "./state.ts";

/** What of a run may change beside its jobs. `jobs` is their number, `budget` JSON. */
export interface RunHeader {
  readonly number: number;
  readonly id: string;
  readonly key: string | undefined;
  readonly by: string | undefined;
  readonly submittedAt: number;
  readonly endedAt: number;
  readonly status: RunStatus;
  readonly cancelling: boolean;
  readonly budget: string;
  readonly jobs: number;
  readonly version: number | undefined;
  readonly update: UpdateInfo | undefined;
  readonly steps: number | undefined;
}

/** What may change of a job. */
export type JobFields = Omit<Job, "run" | "index" | "spec" | "requirement">;

/** A run as it was. Nothing of it changes any more. */
export interface RunCopy {
  readonly header: RunHeader;
  readonly spec: PipelineSpec;
  /** Undefined: nobody has asked for it, in a run of one job. */
  readonly dag: Dag | undefined;
  readonly edges: Run["edges"];
  readonly carried: Run["carried"];
  readonly specs: readonly JobSpec[];
  readonly blocks: readonly (readonly JobFields[])[];
  readonly sums: RunSums;
}

type RunSums = Pick<
  Run, "open" | "serving" | "requirements" | "resultBytes" | "stepBytes" | "bytes"
> & { readonly counts: readonly number[] };

/** A run that goes on from there. */
export function runOfCopy(copy: RunCopy): Run {
  const { header, spec, dag, edges, carried, specs, blocks, sums: { counts, ...sums } } = copy;
  const { number, id, key, by, submittedAt, budget, version = 0, update, steps = 0 } = header;
  const run = new Run({ number, id, key, by, spec, submittedAt }, dag?.copy());
  const { endedAt, status, cancelling } = header;
  Object.assign(run, { endedAt, status, cancelling, version, update, steps, ...sums });
  if (edges.length > 0) run.edges = [...edges];
  if (carried.size > 0) run.carried = new Map(carried);
  for (const [at, count] of counts.entries()) run.counts[at] = count;
  run.budget = RetryBudget.fromJSON(JSON.parse(budget));
  let index = 0;
  for (const block of blocks) {
    for (const fields of block) setFields(run.addJob(specs[index++]!), fields);
  }
  return run;
}

export function fieldsOf({
  status, attempt, failures, losses, worker, order, dueAt, pinned, startedAt, stoppedAt, endedAt,
  deadline, cancelling, failure, result, decision, votes, notice, lostOutput, service, journal,
  agent, spawner,
}: Job): JobFields {
  return {
    status, attempt, failures, losses, worker, order, dueAt, pinned, startedAt, stoppedAt, endedAt,
    deadline, cancelling, failure, result, decision, votes, notice, lostOutput, service,
    journal: journal?.copy(), agent, spawner,
  };
}

/** One by one: a million jobs are set so, and `Object.assign` takes five times as long. */
function setFields(job: Job, fields: JobFields): void {
  job.status = fields.status;
  job.attempt = fields.attempt;
  job.failures = fields.failures;
  job.losses = fields.losses;
  job.worker = fields.worker;
  job.order = fields.order;
  job.dueAt = fields.dueAt;
  job.pinned = fields.pinned;
  job.startedAt = fields.startedAt;
  job.stoppedAt = fields.stoppedAt;
  job.endedAt = fields.endedAt;
  job.deadline = fields.deadline;
  job.cancelling = fields.cancelling;
  job.failure = fields.failure;
  job.result = fields.result;
  job.decision = fields.decision;
  job.votes = fields.votes;
  job.notice = fields.notice;
  job.lostOutput = fields.lostOutput;
  job.service = fields.service;
  job.journal = fields.journal?.copy();
  job.agent = fields.agent;
  job.spawner = fields.spawner;
}
