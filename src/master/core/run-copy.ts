/**
 * Lesson 10: a copy of one run, for a snapshot that is written while the master goes on (copy.ts):
 * what may change of the run and of its jobs is copied, what does not change is shared.
 *
 * Test: test/10-master.copy.test.ts
 */
import type { Dag } from "#dag";
import { RetryBudget } from "#retry";
import {
  isOpenRun, JOB_STATUSES, type JobSpec, type PipelineSpec, type RunStatus, type UpdateInfo,
} from "#wire";
import { columnOf, numbersOf, type Column } from "./columns.ts";
import { isReady, Job, Run, type SleepingJobs } from "./run.ts";

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

/** A run as it was. Nothing of it changes any more, and so it may be that of several copies. */
export interface RunCopy {
  readonly header: RunHeader;
  readonly spec: PipelineSpec;
  /** Undefined: nobody has asked for it, in a run of one job. */
  readonly dag: Dag | undefined;
  readonly edges: Run["edges"];
  readonly carried: Run["carried"];
  readonly specs: readonly JobSpec[];
  readonly blocks: readonly JobBlock[];
  readonly sums: RunSums;
  /** It goes on, and no list of the state has it, or one of its jobs, but the queue. */
  readonly isPlain: boolean;
}

type RunSums = Pick<
  Run, "open" | "serving" | "requirements" | "resultBytes" | "stepBytes" | "bytes"
> & { readonly counts: readonly number[] };

/** Jobs of a block. */
export const BLOCK_JOBS = 1024;

/** What may change of some jobs that stand side by side, as it was. */
export class JobBlock {
  readonly length: number;
  readonly bytes: number;
  /** No list of the state has one of them but the queue of those that are ready… */
  readonly isPlain: boolean;
  /** …which has so many. */
  readonly ready: number;
  readonly #columns: ReturnType<typeof columnsOf>;

  constructor(jobs: readonly Job[]) {
    this.length = jobs.length;
    this.#columns = columnsOf(jobs);
    this.isPlain = jobs.every(isPlain);
    this.ready = jobs.filter(isReady).length;
    this.bytes = Object.values(this.#columns).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** One by one: a million jobs are set so, and `Object.assign` takes five times as long. */
  restore(job: Job, index: number): void {
    const columns = this.#columns;
    job.status = JOB_STATUSES[columns.status.at(index)]!;
    job.attempt = columns.attempt.at(index);
    job.failures = columns.failures.at(index);
    job.losses = columns.losses.at(index);
    job.worker = columns.worker.at(index);
    job.order = columns.order.at(index);
    job.dueAt = columns.dueAt.at(index);
    job.pinned = columns.pinned.at(index);
    job.startedAt = columns.startedAt.at(index);
    job.stoppedAt = columns.stoppedAt.at(index);
    job.endedAt = columns.endedAt.at(index);
    job.deadline = columns.deadline.at(index);
    job.cancelling = columns.cancelling.at(index);
    job.failure = columns.failure.at(index);
    job.result = columns.result.at(index);
    job.decision = columns.decision.at(index);
    job.votes = columns.votes.at(index);
    job.notice = columns.notice.at(index);
    job.lostOutput = columns.lostOutput.at(index);
    job.service = columns.service.at(index);
    job.journal = columns.journal.at(index)?.copy();
    job.agent = columns.agent.at(index);
    job.spawner = columns.spawner.at(index);
  }
}

function isPlain({ status, spec, agent, dueAt, pinned }: Job): boolean {
  return status !== "RUNNING" && status !== "WAITING" && status !== "DEAD" &&
    spec.service === undefined && agent === undefined && dueAt === 0 && pinned === 0;
}

type JobFields = Omit<Job, "run" | "index" | "spec" | "requirement" | "status">;

type Columns = { readonly [Field in keyof JobFields]: Column<JobFields[Field]> } & {
  /** By its place in JOB_STATUSES. */
  readonly status: Column<number>;
};

function columnsOf(jobs: readonly Job[]): Columns {
  return {
    status: numbersOf(jobs, ({ status }) => JOB_STATUSES.indexOf(status)),
    attempt: numbersOf(jobs, ({ attempt }) => attempt),
    failures: numbersOf(jobs, ({ failures }) => failures),
    losses: numbersOf(jobs, ({ losses }) => losses),
    worker: numbersOf(jobs, ({ worker }) => worker),
    order: numbersOf(jobs, ({ order }) => order),
    dueAt: numbersOf(jobs, ({ dueAt }) => dueAt),
    pinned: numbersOf(jobs, ({ pinned }) => pinned),
    startedAt: numbersOf(jobs, ({ startedAt }) => startedAt),
    stoppedAt: numbersOf(jobs, ({ stoppedAt }) => stoppedAt),
    endedAt: numbersOf(jobs, ({ endedAt }) => endedAt),
    deadline: numbersOf(jobs, ({ deadline }) => deadline),
    cancelling: columnOf(jobs, ({ cancelling }) => cancelling),
    failure: columnOf(jobs, ({ failure }) => failure),
    result: columnOf(jobs, ({ result }) => result),
    decision: columnOf(jobs, ({ decision }) => decision),
    votes: columnOf(jobs, ({ votes }) => votes),
    notice: columnOf(jobs, ({ notice }) => notice),
    lostOutput: columnOf(jobs, ({ lostOutput }) => lostOutput),
    service: columnOf(jobs, ({ service }) => service),
    journal: columnOf(jobs.map(({ journal }) => journal?.copy()), (journal) => journal),
    agent: columnOf(jobs, ({ agent }) => agent),
    spawner: columnOf(jobs, ({ spawner }) => spawner),
  };
}

/** `old`: an earlier copy of this run, and which of its blocks have changed since. */
export function copyOfRun(
  run: Run, header: RunHeader, old?: { copy: RunCopy; changed: ReadonlySet<number> | undefined },
): RunCopy {
  const { spec, jobs, edges, counts, open, serving, requirements, resultBytes, stepBytes } = run;
  const grown = old === undefined || old.copy.specs.length < jobs.length;
  const isSame = !grown && old.changed === undefined && old.copy.edges.length === edges.length;
  const sums = {
    counts: [...counts], open, serving, requirements, resultBytes, stepBytes, bytes: run.bytes,
  };
  if (isSame && isAsBefore(run, { header, sums }, old.copy)) return old.copy;
  const blocks = isSame ? old.copy.blocks : blocksOf(jobs, old);
  const isAlone = run.version === 0 && run.group === undefined && run.artifacts.size === 0;
  return {
    header, spec, sums, blocks, edges: [...edges], carried: new Map(run.carried),
    specs: grown ? jobs.map((job) => job.spec) : old.copy.specs,
    dag: isSame ? old.copy.dag : run.copyOfGraph(),
    isPlain: isOpenRun(run.status) && isAlone && blocks.every((block) => block.isPlain),
  };
}

/** None of its jobs has changed: has anything else? */
function isAsBefore(
  { carried, group, artifacts }: Run, now: Pick<RunCopy, "header" | "sums">, old: RunCopy,
): boolean {
  const isSame = <T extends object>(one: T, other: T): boolean =>
    (Object.keys(one) as (keyof T)[]).every((key) => one[key] === other[key]);
  const [{ counts, ...sums }, { counts: _, ...before }] = [now.sums, old.sums];
  return carried.size === 0 && old.carried.size === 0 && group === undefined &&
    artifacts.size === 0 && isSame(now.header, old.header) && isSame(sums, before) &&
    isSame(counts, old.sums.counts);
}

function blocksOf(
  jobs: readonly Job[], old?: { copy: RunCopy; changed: ReadonlySet<number> | undefined },
): JobBlock[] {
  const blocks: JobBlock[] = [];
  for (let from = 0; from < jobs.length; from += BLOCK_JOBS) {
    const known = old?.copy.blocks[blocks.length];
    const length = Math.min(BLOCK_JOBS, jobs.length - from);
    const isSame = known?.length === length && old?.changed?.has(blocks.length) !== true;
    blocks.push(isSame ? known : new JobBlock(jobs.slice(from, from + length)));
  }
  return blocks;
}

/** The jobs of a copy: a block of them is made when somebody asks for one. */
class SleepingBlocks implements SleepingJobs {
  readonly #run: Run;
  readonly #copy: RunCopy;
  ready = 0;

  constructor(run: Run, copy: RunCopy) {
    this.#run = run;
    this.#copy = copy;
    for (const { ready } of copy.blocks) this.ready += ready;
  }

  get length(): number {
    return this.#copy.specs.length;
  }

  wake(index: number): Job[] {
    const { specs, blocks } = this.#copy;
    const place = Math.floor(index / BLOCK_JOBS);
    const block = blocks[place]!;
    this.ready -= block.ready;
    return Array.from({ length: block.length }, (_, at) => {
      const next = place * BLOCK_JOBS + at;
      const job = new Job(this.#run, next, specs[next]!);
      block.restore(job, at);
      return job;
    });
  }
}

/** A run that goes on from there. Its jobs sleep. */
export function runOfCopy(copy: RunCopy): Run {
  const { header, spec, dag, edges, carried, sums: { counts, ...sums } } = copy;
  const { number, id, key, by, submittedAt, budget, version = 0, update, steps = 0 } = header;
  const run = new Run({ number, id, key, by, spec, submittedAt }, dag?.copy());
  const { endedAt, status, cancelling } = header;
  Object.assign(run, { endedAt, status, cancelling, version, update, steps, ...sums });
  if (edges.length > 0) run.edges = [...edges];
  if (carried.size > 0) run.carried = new Map(carried);
  for (const [at, count] of counts.entries()) run.counts[at] = count;
  run.budget = RetryBudget.fromJSON(JSON.parse(budget));
  run.beginWith(new SleepingBlocks(run, copy));
  return run;
}
