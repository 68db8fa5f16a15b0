/**
 * Lesson 22: what the judge remembers of a log: runs, jobs and workers, as plain fields.
 *
 * Invariants: nothing is forgotten, because a client may speak of a run that the master has long
 * let go.
 * Left out: memory. A job takes about 1.7 kB here, its three events included; a judge lives as long
 * as one experiment.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Event, EventOf } from "#core";
import type { Gate, JobSpec, JobStatus, ServicePhase, Wait } from "#wire";

/** One retry of a run's budget, in the unit that it is counted in. */
export const RETRY_MILLI = 1000;
/** Ten retries to begin with. */
const FIRST_BUDGET_MILLI = 10 * RETRY_MILLI;

/** What is known of a service beside its job. */
export class ModelService {
  phase: ServicePhase | undefined = undefined;
  /** Since when it is READY. */
  readyAt = 0;
  /** It has been READY in this life: its children have been freed. */
  settled = false;
  asked: "nothing" | "stop" | "restart" | "drain" = "nothing";
  /** Somebody wanted fewer of it: its children do not miss it. */
  surplus = false;
  /** The moment at which it is stopped, if it drains. */
  drainUntil = 0;
  /** Its latest attempt could not have its port. */
  blocked = false;
  /** When counted restarts happened. */
  restarts: number[] = [];
}

/** A step of a job (lesson 18). */
export interface ModelStep {
  readonly order: number;
  readonly input: string;
  readonly once: boolean;
  /** Undefined: begun, and nobody knows how it ended. */
  end: { readonly failed: boolean; readonly result: string } | undefined;
}

/** A question that a job has asked. */
export interface ModelAsk {
  readonly gate: Gate;
  readonly deadline: number;
  readonly approvals: string[];
  isOpen: boolean;
}

export class ModelJob {
  readonly run: ModelRun;
  readonly index: number;
  readonly spec: JobSpec;
  readonly children: ModelJob[] = [];
  /** The indexes of the jobs that it waits for. */
  readonly parents: Set<number>;
  status: JobStatus = "PENDING";
  /** Parents that have not ended. */
  openParents = 0;
  /** All parents have ended and the condition holds: it may start, from `notBefore` on. */
  ready = false;
  notBefore = 0;
  attempt = 0;
  failures = 0;
  losses = 0;
  /** The worker of the attempt, or of the last one. */
  worker: ModelWorker | undefined = undefined;
  /** A cancel is on record, and the job has not ended yet. */
  cancelled = false;
  /** When its gate closes, and who has approved it, of several. */
  deadline = 0;
  approvals: string[] = [];
  /** When people may be told of it next, by attempt and question. */
  readonly notices = new Map<string, number>();
  /** All that anybody may have been told of: "ada at 1234". */
  readonly everApproved = new Set<string>();
  resultBytes = 0;
  readonly steps = new Map<string, ModelStep>();
  /** Of a service: what model-services.ts remembers. */
  readonly service: ModelService | undefined;
  // What clients and processes are compared with afterwards.
  /** All its attempts: who owned them, and how they ended. Number 1 stands at 0. */
  readonly attempts: { readonly worker: ModelWorker; ending?: Event["type"] }[] = [];
  /** Every terminal status it has had. More than one only if a person retried. */
  readonly ends = new Set<JobStatus>();
  readonly decisions: {
    approved: boolean;
    by: string;
    comment: string;
    at: number;
    acknowledged: boolean;
    /** Of a question that the job itself has asked. */
    key?: string;
  }[] = [];
  everCancelled = false;
  // Of one that adds jobs, asks, or waits: see model-agents.ts.
  /** Of one that was added by another: who added it, with what, and which of them it is. */
  place = "";
  /** How many jobs have added each other until one has added this one. */
  readonly depth: number;
  readonly spawnedKeys = new Set<string>();
  waits: readonly Wait[] = [];
  /** Attempts that have ended to wait, since a person last tried it again. */
  pauses = 0;
  readonly asks = new Map<string, ModelAsk>();

  constructor(run: ModelRun, index: number, spec: JobSpec, depth = 0) {
    this.depth = depth;
    this.run = run;
    this.index = index;
    this.spec = spec;
    this.parents = new Set(spec.dependsOn);
    this.service = spec.service === undefined ? undefined : new ModelService();
  }

  /** For its children it is over: it has ended, or serves. */
  get settled(): boolean {
    return this.over || this.service?.settled === true;
  }

  get over(): boolean {
    return this.status !== "PENDING" && this.status !== "RUNNING" && this.status !== "WAITING";
  }

  toString(): string {
    return `${this.run.id}/${this.spec.id}`;
  }
}

/** What makes a run. */
export type Submission = EventOf<"RunSubmitted" | "UpdateSubmitted" | "RunForked">;

export class ModelRun {
  readonly number: number;
  readonly id: string;
  readonly key: string | undefined;
  readonly submitted: number;
  readonly jobs: ModelJob[] = [];
  readonly jobsById = new Map<string, ModelJob>();
  /** Jobs that have not ended. */
  open = 0;
  cancelled = false;
  ended = false;
  forgotten = false;
  /** Until then its key means this run and no other. */
  keyUntil = Infinity;
  budgetMilli = FIRST_BUDGET_MILLI;
  resultBytes = 0;
  /** Steps begun. */
  steps = 0;
  /** Of a fork: what jobs have done that it has not added again so far, by their places. */
  readonly carried = new Map<string, ReadonlyMap<string, ModelStep>>();
  // What clients are compared with afterwards.
  everCancelled = false;
  everEnded = false;
  readonly additions: number[] = [];
  readonly retries: number[] = [];

  constructor({ run, id, key, spec }: Submission) {
    this.number = run;
    this.id = id;
    this.key = key;
    this.submitted = spec.jobs.length;
  }
}

export interface ModelWorker {
  readonly id: number;
  readonly name: string;
  readonly instance: string;
  readonly tags: ReadonlySet<string>;
  readonly slots: number;
  /** What it understands. */
  readonly knows: Set<string>;
  readonly running: Set<ModelJob>;
  draining: boolean;
  everDrained: boolean;
  lost: boolean;
}

/** A person tries it again. */
export function reopen(job: ModelJob): void {
  job.ready = false;
  if (job.service !== undefined) Object.assign(job.service, new ModelService());
  if (!job.over) return;
  job.status = "PENDING";
  job.failures = 0;
  job.losses = 0;
  job.pauses = 0;
  // Questions that were not approved may be asked again.
  const approved = new Set(job.decisions.filter((each) => each.approved).map(({ key }) => key));
  for (const key of [...job.asks.keys()]) if (!approved.has(key)) job.asks.delete(key);
  job.run.open += 1;
  job.run.resultBytes -= job.resultBytes;
  job.resultBytes = 0;
}

/** Do the parents' ends call for this job? */
export function conditionHolds({ run, spec, parents: indexes }: ModelJob): boolean {
  const parents = [...indexes].map((index) => run.jobs[index]!);
  switch (spec.when) {
    case "always": return true;
    case "success": return parents.every(({ status, over, service }) =>
      (status === "COMPLETED" || !over) &&
      (service === undefined || service.settled || service.surplus));
    // Skipped for want of success: something further up has failed. Skipped for want of a failure:
    // nothing has.
    case "failure": return parents.some(
      ({ status, spec: { when } }) =>
        status === "FAILED" ||
        status === "DEAD" ||
        status === "CANCELLED" ||
        (status === "SKIPPED" && when === "success"),
    );
  }
}

/** Makes a job wait for another one. */
export function waitFor(child: ModelJob, parent: ModelJob): void {
  child.parents.add(parent.index);
  parent.children.push(child);
  if (parent.settled) return;
  child.openParents += 1;
  child.ready = false;
}

/** How many of its parents have not ended. */
export function openParentsOf({ run, parents }: ModelJob): number {
  return [...parents].filter((index) => !run.jobs[index]!.settled).length;
}

/** How its parents fare, for a message. */
export function parentsOf({ run, parents }: ModelJob): string {
  if (parents.size === 0) return "it has no parents";
  return [...parents]
    .map((index) => `${run.jobs[index]!.spec.id} is ${run.jobs[index]!.status}`)
    .join(", ");
}

/**
 * More than any run takes in memory: a job costs about a kilobyte, a character two bytes, and what
 * is written in two bytes (an edge, an empty argument) 32 at most.
 */
const MOST = { job: 8 * 1024, specByte: 32 };

/** An upper bound of what the master keeps of a run, in bytes. */
export function mostMemory(run: ModelRun): number {
  return run.jobs.reduce((sum, { spec }) => sum + MOST.job + MOST.specByte * textOf(spec), 0);
}

/** Characters and dependencies of a job, by their number. */
function textOf(spec: JobSpec): number {
  const input = spec.action.type === "call" ? spec.action.input.length : 0;
  return JSON.stringify({ ...spec, action: { ...spec.action, input: "" } }).length + input;
}
