/**
 * Lesson 10: runs and their jobs, the heart of the state. Only `apply` changes them.
 *
 * Invariants: see state.ts.
 * Test: test/10-master.test.ts
 */
import { FreshSet } from "#base";
import { Dag } from "#dag";
import { RetryBudget } from "#retry";
import { GENERAL } from "#routing";
import {
  isTerminal, JOB_STATUSES, PipelineSpec, type Budget, type Decision, type Failure, type GateVote,
  type JobSpec, type JobStatus, type Limits, type LostOutput, type Notice, type RunStatus,
  type Spent, type UpdateInfo,
} from "#wire";
import type { Edge } from "./events.ts";
import type { AgentRecord, ServiceRecord } from "./job-records.ts";
import type { Carried, Journal } from "./journal.ts";
import { needKey } from "./knowledge.ts";

/** How a run fares that is to take the place of another one (lesson 14). */
export type Update = Readonly<UpdateInfo>;

/** Runs that draw on one pool (lesson 18). */
export interface AgentGroup {
  readonly id: string;
  /** When it came, or when its budget did. */
  startedAt: number;
  /** The budget that its runs agree on; `limits` are what it has become since. */
  declared: Budget | undefined;
  limits: Limits;
  used: Spent;
  /** What steps under way may cost. */
  reserved: Pick<Spent, "tokens" | "usdMicros">;
  /** Percent at which a word was said, by limit. */
  reached: readonly number[];
  /** Those that are not forgotten. */
  readonly runs: FreshSet<Run>;
  /** Jobs that wait for more room. */
  readonly waiting: Set<Job>;
}

/**
 * A file whose bytes are in the master's blobs (lesson 11). Without a run it lives by its name.
 * `byRun`, `byJob` and `byAttempt` say where it comes from. Replaced, and never changed.
 */
export interface Artifact {
  readonly run: Run | undefined;
  readonly name: string;
  readonly sha256: string;
  readonly size: number;
  readonly at: number;
  readonly byRun: string;
  readonly byJob: string;
  readonly byAttempt: number;
  readonly by: string;
}

/** Of most runs, and never changed. */
export const NO_ARTIFACTS = new Map<string, Artifact>();

/** Of all runs but forks, and never changed. */
const NO_CARRIED: Carried = new Map();

/** Of nearly every job. */
export const NO_VOTES: GateVote[] = [];
Object.freeze(NO_VOTES);

export class Job {
  readonly run: Run;
  readonly index: number;
  readonly spec: JobSpec;
  /** Its tags as a key (lesson 08). */
  readonly requirement: string;
  status: JobStatus = "PENDING";
  /**
   * Attempts begun, over the job's whole life. With run and index it names one execution for ever.
   */
  attempt = 0;
  /** Failed attempts since the last explicit retry: what the retry policy counts. */
  failures = 0;
  /**
   * Attempts that died with their worker: counted apart, because they are not the job's fault
   * (until they are).
   */
  losses = 0;
  /** The worker that owns the attempt, or that ran the last one. 0: none. */
  worker = 0;
  /** Place in its ready queue; 0 while it is not in one. */
  order = 0;
  /** Waits for this moment (ms since 1970); 0: for none. */
  dueAt = 0;
  /** The worker that affinity wants, while that worker is here. */
  pinned = 0;
  startedAt = 0;
  /** When the latest attempt ended: before the job does, if a gate or another attempt follows. */
  stoppedAt = 0;
  endedAt = 0;
  /** When the gate after this job closes by itself. */
  deadline = 0;
  cancelling = false;
  failure: Failure | undefined = undefined;
  result: Buffer | undefined = undefined;
  decision: Decision | undefined = undefined;
  /** Approvals of its gate, which wants more. The array is replaced and never changed. */
  votes: GateVote[] = NO_VOTES;
  /** The message that its gate is open, if it sends one. */
  notice: Notice | undefined = undefined;
  /** Output of the latest attempt that could not be stored. */
  lostOutput: LostOutput | undefined = undefined;
  /** Of a service that has started once. */
  service: ServiceRecord | undefined = undefined;
  /** Of a job that has begun a step (lesson 18). It outlives attempts, and a person's retry. */
  journal: Journal | undefined = undefined;
  /** Of a job that has added jobs, asked or waited. */
  agent: AgentRecord | undefined = undefined;
  /** The job that has added this one with a spawn. */
  spawner: number | undefined = undefined;

  constructor(run: Run, index: number, spec: JobSpec) {
    this.run = run;
    this.index = index;
    this.spec = spec;
    this.requirement = needKey(spec);
  }
}

type AddedEdge = Edge & { readonly jobs: number };
/** Of most runs. */
const NO_EDGES: AddedEdge[] = [];

/** It has a place in the queue. */
export function isReady({ status, order }: Job): boolean {
  return status === "PENDING" && order > 0;
}

/** Jobs of a copy (run-copy.ts), which are made when somebody asks for them. */
export interface SleepingJobs {
  readonly length: number;
  /** Makes the job at `index`, and others beside it: each of them once. */
  wake(index: number): readonly Job[];
  /** Of those that sleep still, how many have a place in the queue. */
  readonly ready: number;
}

export class Run {
  readonly number: number;
  readonly id: string;
  readonly key: string | undefined;
  readonly spec: PipelineSpec;
  readonly submittedAt: number;
  /** The person who submitted it, as far as anybody said. */
  readonly by: string | undefined;
  #dag: Dag | undefined;
  readonly #jobs: Job[] = [];
  #asleep: SleepingJobs | undefined = undefined;
  /** Jobs per status, in the order of JOB_STATUSES. */
  readonly counts: number[] = NO_JOBS.slice();
  budget = new RetryBudget();
  /** Edges to jobs that were there before; `jobs` is how many there were then, with the parent. */
  edges: AddedEdge[] = NO_EDGES;
  /** The requirements of its jobs, as keys. */
  requirements: ReadonlySet<string> = NO_REQUIREMENTS;
  status: RunStatus = "RUNNING";
  /** Jobs that are not in a terminal state. The run ends when this reaches zero. */
  open = 0;
  /** Services among them, and how many of these have been ready. */
  services: ReadonlySet<Job> = NO_SERVICES;
  serving = 0;
  /** All of them by the names of their services, over or not. Most runs have none. */
  #replicas: Map<string, Job[]> | undefined;
  /** Of a deployed service: which version this is, from 1. */
  version = 0;
  update: Update | undefined = undefined;
  /** It is an agent run, or part of one. */
  group: AgentGroup | undefined = undefined;
  /** By their names. Runs without any share one map. */
  artifacts = NO_ARTIFACTS;
  /** Of the results that its jobs have handed in. */
  resultBytes = 0;
  /** Steps that its jobs have begun, and the bytes of the results that are in memory. */
  steps = 0;
  stepBytes = 0;
  /** Of a fork: the steps of jobs that it has not added again so far. */
  carried = NO_CARRIED;
  /** Of memory, as `memory.ts` counts them: the run, its jobs and what they have left. */
  bytes = 0;
  endedAt = 0;
  cancelling = false;
  /** Several states have it (copy.ts): it does not change any more. */
  isShared = false;

  /** `dag`: the graph of its jobs, if somebody has it already. */
  constructor(
    init: Pick<Run, "number" | "id" | "key" | "spec" | "submittedAt" | "by">, dag?: Dag,
  ) {
    this.number = init.number;
    this.id = init.id;
    this.key = init.key;
    this.spec = init.spec;
    this.submittedAt = init.submittedAt;
    this.by = init.by;
    this.#dag = dag ?? (isAlone(init.spec.jobs) ? undefined : buildGraph(init.spec.jobs));
  }

  /** For a copy of this run. */
  copyOfGraph(): Dag | undefined {
    return this.#dag?.copy();
  }

  // #region jobs
  /** All of them. Those that sleep are made for that: where one is enough, ask for one. */
  get jobs(): readonly Job[] {
    if (this.#asleep === undefined) return this.#jobs;
    for (let index = 0; index < this.#asleep.length; index++) this.job(index);
    this.#asleep = undefined;
    return this.#jobs;
  }

  job(index: number): Job | undefined {
    const job = this.#jobs[index];
    if (job !== undefined || this.#asleep === undefined || index >= this.size) return job;
    for (const made of this.#asleep.wake(index)) {
      this.#jobs[made.index] = made;
      this.#listReplica(made);
    }
    return this.#jobs[index];
  }
  // #endregion

  /** How many jobs there are. */
  get size(): number {
    return this.#jobs.length;
  }

  /** All behind the first so many. */
  after(jobs: number): Job[] {
    return Array.from({ length: this.size - jobs }, (_, at) => this.job(jobs + at)!);
  }

  /** The first jobs, of a run that has none so far. */
  beginWith(jobs: SleepingJobs): void {
    this.#asleep = jobs;
    this.#jobs.length = jobs.length;
  }

  /** How many have a place in the queue. Nobody is made for that. */
  get ready(): number {
    let ready = this.#asleep?.ready ?? 0;
    for (const job of this.#jobs) if (job !== undefined && isReady(job)) ready += 1;
    return ready;
  }

  /**
   * The graph of the jobs. In a run of one job nobody waits, and a graph of one job costs as much
   * as all the rest of the job's life. So it is made when somebody asks, in the state that the job
   * is in by then.
   */
  get dag(): Dag {
    if (this.#dag !== undefined) return this.#dag;
    this.#dag = buildGraph(this.spec.jobs);
    const first = this.job(0);
    if (first !== undefined && (isTerminal(first.status) || first.service?.settled === true)) {
      this.#dag.settle(0);
    }
    return this.#dag;
  }

  /** One job, and nobody has asked for the graph. */
  get isAlone(): boolean {
    return this.#dag === undefined;
  }

  /** The next job, with no place in the graph or in a queue yet. */
  addJob(spec: JobSpec): Job {
    const job = new Job(this, this.size, spec);
    this.#jobs.push(job);
    this.#listReplica(job);
    return job;
  }

  #listReplica(job: Job): void {
    const { service } = job.spec;
    if (service === undefined) return;
    this.#replicas ??= new Map();
    const same = this.#replicas.get(service.name);
    if (same === undefined) this.#replicas.set(service.name, [job]);
    else same.push(job);
  }

  /** All replicas of a service, over or not, in their order. */
  replicasOf(name: string): readonly Job[] {
    return this.#replicas?.get(name) ?? NO_REPLICAS;
  }

  /** Whether any of its jobs is a service, over or not. */
  get hasServices(): boolean {
    return this.#replicas !== undefined;
  }

  /** The names of its services. */
  get serviceNames(): Iterable<string> {
    return this.#replicas?.keys() ?? NO_NAMES;
  }

  /** A job of this run has this requirement. */
  require(key: string): void {
    if (this.requirements.has(key)) return;
    const isFirst = this.requirements.size === 0;
    // Runs of which no job asks for anything are most, and share one set.
    this.requirements = isFirst && key === GENERAL ? ONLY_GENERAL
      : new Set([...this.requirements, key]);
  }

  /** Makes a job that has not started wait for one that was added after it. */
  addEdge(edge: Edge): void {
    this.dag.addEdge(edge.parent, edge.child);
    if (this.edges === NO_EDGES) this.edges = [];
    this.edges.push({ ...edge, jobs: this.size });
  }

  /** The jobs that this one waits for: as it was declared, unless others came in between. */
  parentsOf({ index, spec }: Job): readonly number[] {
    return this.edges.length === 0 ? spec.dependsOn : this.dag.parents(index);
  }

  /** One of its services goes on, or is over. Runs without any share one set. */
  listService(job: Job, goesOn: boolean): void {
    const services = new Set(this.services);
    if (goesOn) services.add(job);
    else services.delete(job);
    this.services = services;
  }

  /** Not over, and no parent left to wait for. */
  isReady(index: number): boolean {
    return this.#dag === undefined
      ? !isTerminal(this.job(index)!.status)
      : this.#dag.isReady(index);
  }

  /** A job is about to be over. Returns the children for whom it was the last parent. */
  settle(index: number, as: JobStatus): readonly number[] {
    if (this.job(index)!.service?.settled === true) {
      // Its children were freed when it became ready.
      this.serving -= 1;
      return NOBODY;
    }
    if (this.#dag === undefined) return NOBODY;
    // A cancelled job does not wait for its parents, nor does a service that somebody stops before
    // its turn has come. For every other job, open parents would be a bug.
    const mayBeEarly = as === "CANCELLED" || this.job(index)!.spec.service !== undefined;
    return mayBeEarly ? this.#dag.settleEarly(index) : this.#dag.settle(index);
  }

  /** A service is ready for the first time. Returns the children whose last parent it was. */
  serve(index: number): readonly number[] {
    this.serving += 1;
    return this.#dag === undefined ? NOBODY : this.#dag.settle(index);
  }
}

const NOBODY: readonly number[] = [];
const NO_SERVICES: ReadonlySet<Job> = new Set();
const NO_REPLICAS: readonly Job[] = [];
const NO_NAMES: readonly string[] = [];
const NO_JOBS: readonly number[] = JOB_STATUSES.map(() => 0);
const NO_REQUIREMENTS: ReadonlySet<string> = new Set();
const ONLY_GENERAL: ReadonlySet<string> = new Set([GENERAL]);

/** It runs, and has been asked to end. */
export function isToEnd({ cancelling, service }: Job): boolean {
  return cancelling || service?.asked === "stop" || service?.asked === "restart";
}

/** Whether these jobs are one that waits for nobody. */
export function isAlone(jobs: readonly JobSpec[]): boolean {
  return jobs.length === 1 && jobs[0]!.dependsOn.length === 0;
}

/** Throws a `DagError`: `decide` calls this on a submission before it becomes an event. */
export function buildGraph(jobs: readonly JobSpec[]): Dag {
  return Dag.build(jobs.map((job) => ({ id: job.id, parents: job.dependsOn })));
}

// ── how runs and jobs lie in memory ──────────────────────────────────────────────────────────────

/**
 * V8 keeps a number as a small integer as long as no other has been in its field. The first time of
 * day there changes how all jobs lie in memory: each is laid out anew when it is looked at next,
 * which takes 2 µs, and code that was compiled for them is thrown away. When the first job to end
 * had ten thousand dependants, that was more than half of their turn. So one job has had its times
 * before there is any other.
 */
function layOut(): void {
  const job: JobSpec = {
    id: "first", action: { type: "shell", script: "" }, dependsOn: [], requirement: [],
    priority: 1, delayMs: 0, when: "success", timeoutMs: 0, env: {},
  };
  // Decoded, as all others are: objects that were made here would be others again.
  const spec = PipelineSpec.decode(PipelineSpec.encode({ name: "first", jobs: [job] }));
  const time = Number.MAX_SAFE_INTEGER;
  const run = new Run({
    number: 0, id: "", key: undefined, spec, submittedAt: time, by: undefined,
  });
  const times = { startedAt: time, stoppedAt: time, endedAt: time, dueAt: time, deadline: time };
  Object.assign(run.addJob(spec.jobs[0]!), times);
  run.endedAt = time;
}

layOut();
