/**
 * What a program asks about runs and their jobs, and what it wants of them: a request each.
 *
 * Test: test/sdk.test.ts
 */
import { RpcError } from "#rpc";
import {
  AddJobs, Affected, Ask, Asked, Forked, ForkRun, JobRef, Op, PipelineSpec, Reasons, resultValue,
  RetryRun, RowsAsked, RowsPage, RunList, RunRef, DefinitionPage, Spawn, Spawned, StatusPage,
  StatusRequest, StepPage, StepsOf, WaitReply, WaitRequest, Why, type Gate, type JobInfo,
  type JobReason, type JobSpec, type RunInfo, type StepInfo, type Touched, type WaitWish,
} from "#wire";
import { ClusterCalls } from "./cluster-calls.ts";

/** A job for a run that goes on. `before`: jobs of the run that are to wait for it. */
export type AddedJob = JobSpec & { readonly before?: readonly number[] };

export interface RunStatusReport {
  readonly run: RunInfo;
  readonly jobs: readonly JobInfo[];
  /** Only for one job alone: the ids of its parents, in the order of `dependsOn`. */
  readonly parents: readonly string[];
}

export abstract class RunCalls extends ClusterCalls {
  /**
   * Adds jobs to a run that goes on. Parents are indexes into the run's jobs; so is `before`: jobs
   * that have not started, and are to wait for the new one as well.
   */
  async addJobs(run: string, jobs: AddedJob[]): Promise<number> {
    const before = jobs.flatMap(({ before = [] }, job) => before.map((child) => ({ job, child })));
    const body = AddJobs.encode({ run, jobs, before });
    return Affected.decode(await this.request(Op.ADD_JOBS, body)).jobs;
  }

  /**
   * For a job, about itself: adds jobs to its own run, once for each key. This and the next two
   * want a session that was opened with the job's own credential (lesson 18); job-waits.ts has them
   * for programs.
   */
  async spawn(wish: Spawn): Promise<Spawned> {
    return Spawned.decode(await this.request(Op.SPAWN, Spawn.encode(wish)));
  }

  /** Asks people, once for each key. Resolves with the question as it is, open or answered. */
  async ask(key: string, gate: Gate): Promise<Asked> {
    return Asked.decode(await this.request(Op.ASK, Ask.encode({ key, gate })));
  }

  /**
   * The program is about to end with code 0, and to be started again when any of these is met.
   * Resolves with the places of those that are met already; then nothing is to end.
   */
  async pause(waits: WaitWish[]): Promise<number[]> {
    return WaitReply.decode(await this.request(Op.WAIT, WaitRequest.encode({ waits }))).met;
  }

  async runs(): Promise<RunInfo[]> {
    const runs: RunInfo[] = [];
    for await (const body of this.parts(Op.RUNS)) runs.push(...RunList.decode(body).runs);
    return runs;
  }

  /** A run and its jobs, or one job of it, or `only` some (at most MAX_SPAWN_JOBS). */
  async status(run: string, job?: string, only: string[] = []): Promise<RunStatusReport> {
    let info: RunInfo | undefined;
    const jobs: JobInfo[] = [];
    const parents: string[] = [];
    for await (const body of this.parts(Op.STATUS, StatusRequest.encode({ run, job, only }))) {
      const page = StatusPage.decode(body);
      info ??= page.run;
      jobs.push(...page.jobs);
      parents.push(...page.parents);
    }
    if (info === undefined) {
      const why = "the answer has no run in it";
      throw new RpcError("BAD_REQUEST", `Cannot read the status of ${run}: ${why}`);
    }
    return { run: info, jobs, parents };
  }

  /**
   * Why these jobs (their positions in the run, at most MAX_WHY_JOBS) wait. Jobs that do not wait
   * are left out.
   */
  async reasons(run: string, jobs: number[]): Promise<JobReason[]> {
    return Reasons.decode(await this.request(Op.WHY, Why.encode({ run, jobs }))).reasons;
  }

  /** These runs as they are now, and these jobs of theirs. */
  async rows(of: Touched[]): Promise<RowsPage> {
    const found: RowsPage = { runs: [], jobs: [], gone: [] };
    for await (const body of this.parts(Op.ROWS, RowsAsked.encode({ runs: of }))) {
      const page = RowsPage.decode(body);
      found.runs.push(...page.runs);
      found.jobs.push(...page.jobs);
      found.gone.push(...page.gone);
    }
    return found;
  }

  /**
   * The result that a job has written to TITAN_OUTPUT: a value if it is JSON, else a text;
   * undefined when there is none (yet).
   *
   * @throws {RpcError} NOT_FOUND (no such run or job)
   */
  async result<Result = unknown>(run: string, job: string): Promise<Result | undefined> {
    const { jobs } = await this.status(run, job);
    const bytes = jobs[0]?.result;
    return bytes === undefined ? undefined : (resultValue(bytes) as Result);
  }

  /** Cancels a run or a job. Resolves with the number of touched jobs, once the wish is durable. */
  async cancel(run: string, job?: string): Promise<number> {
    return Affected.decode(await this.request(Op.CANCEL, JobRef.encode({ run, job }))).jobs;
  }

  /**
   * Another chance for the jobs that did not complete, or for a job and all after it. Resolves with
   * the number of jobs that will run.
   */
  async retry(
    run: string, from?: string, options: { acceptChanged?: boolean } = {},
  ): Promise<number> {
    const { acceptChanged } = options;
    const body = RetryRun.encode({ run, from, acceptChanged });
    return Affected.decode(await this.request(Op.RETRY, body)).jobs;
  }

  /** The pipeline of a run, as it was submitted: without the jobs that others have added. */
  async definition(run: string): Promise<PipelineSpec> {
    const all: JobSpec[] = [];
    let spec: PipelineSpec = { name: "", jobs: all };
    for await (const body of this.parts(Op.DEFINITION, RunRef.encode({ run }))) {
      const { head, jobs } = DefinitionPage.decode(body);
      for (const job of jobs) all.push(job);
      spec = { ...head, jobs: all };
    }
    return spec;
  }

  /** What jobs of this run have in their journals, in the order in which their steps began. */
  async steps(run: string, job?: string): Promise<StepInfo[]> {
    const steps: StepInfo[] = [];
    for await (const body of this.parts(Op.STEPS, StepsOf.encode({ run, job }))) {
      steps.push(...StepPage.decode(body).steps);
    }
    return steps;
  }

  /**
   * A new run with the steps of this one up to `from` (NAME#N, or JOB:NAME#N), which are not run
   * again. `set`: results that take the place of others, by the names of their steps.
   */
  async fork(
    run: string, from: string, options: { set?: Record<string, unknown>; by?: string } = {},
  ): Promise<Forked> {
    const set = Object.entries(options.set ?? {}).map(([step, value]) =>
      ({ step, result: Buffer.from(JSON.stringify(value)) }));
    const body = ForkRun.encode({ run, from, set, by: options.by ?? "" });
    return Forked.decode(await this.request(Op.FORK, body));
  }
}
