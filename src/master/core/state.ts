/**
 * Lesson 10: the state, which only `apply` writes.
 *
 *     runs ── Run ── dag (who waits for whom) + jobs[]
 *     ready ── waiting jobs by requirement       (lesson 07)
 *     delayed ── jobs and gates by time          (lesson 07)
 *     closing · watched ── questions by time, and who waits for which job   (lesson 18)
 *     router ── workers by capability and load   (lesson 08)
 *     launches ── workers of pools, also those that have not come yet   (lesson 13)
 *     groups ── agent runs, with what they may use and have used   (lesson 18)
 *
 * Queues, heap and router are indexes: they hold nothing that the jobs do not say, and make every
 * decision cheap. They live inside the state and are kept by `apply`, so a replay rebuilds them; a
 * test compares them with a computation from scratch.
 *
 * Invariants: a job with `order > 0` is in `ready` exactly once; one with `dueAt > 0` is in
 * `delayed`; a RUNNING job is in its worker's `jobs`; `counts` sums to the number of jobs.
 * Test: test/10-master.test.ts
 */
import { FreshMap, FreshSet } from "#base";
import { Dag } from "#dag";
import { MAX_REQUIREMENT_CLASSES, RequirementQueues, TimerHeap } from "#queue";
import { DeadLetters, IdempotencyKeys, RetryBudget } from "#retry";
import { GENERAL, Router } from "#routing";
import type { PoolHistory } from "#scaling";
import {
  isTerminal, JOB_STATUSES, type Budget, type DeadLetter, type Decision, type Failure, type Gate,
  type GateVote, type JobSpec, type JobStatus, type LaunchPhase, type Limits, type LostOutput,
  type Notice, type PipelineSpec, type RunStatus, type ServicePhase, type Spent, type UpdateInfo,
  type Wait,
} from "#wire";
import type { Edge } from "./events.ts";
import type { Carried, Journal } from "./journal.ts";
import { needKey } from "./knowledge.ts";
import { MAX_KEPT_KEYS } from "./limits.ts";

export { isTerminal };

/** What a job keeps that is a service (lesson 14). */
export interface ServiceRecord {
  readonly phase: ServicePhase;
  readonly since: number;
  readonly reason: string;
  /** It has been READY: its children have started. */
  readonly settled: boolean;
  /** Where it is reached; empty and 0 while it is not. */
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Attempts that ended by themselves and were followed by another one… */
  readonly restarts: number;
  /** …and when the latest of them ended. */
  readonly restartTimes: number[];
  /**
   * Somebody has asked for it, and the attempt has not ended yet. `drain`: nobody new is sent to
   * it, and it is stopped when its connections have ended…
   */
  readonly asked: "nothing" | "stop" | "restart" | "drain";
  /** …at this moment at the latest. */
  readonly drainUntil: number | undefined;
  /** It was scaled away: whatever it has come to, no child misses it. */
  readonly surplus: boolean | undefined;
}

/** Jobs that a job has added to its run, under a key of its own (lesson 18). */
export interface SpawnRecord {
  readonly key: string;
  /** SHA-256 of what was asked for: the same key means the same jobs. */
  readonly digest: Buffer;
  /** They have these numbers: `count` of them, from this one on. */
  readonly from: number;
  readonly count: number;
  /** The part of the work that they belong to, for people. Empty: nobody said. */
  readonly stage: string;
}

/** A question that a job has put to people while it ran (lesson 18). */
export interface AskRecord {
  readonly key: string;
  readonly gate: Gate;
  /** The attempt that asked. */
  readonly attempt: number;
  readonly deadline: number;
  readonly votes: GateVote[];
  /** Undefined: it is open. */
  readonly decision?: Decision | undefined;
  /** Undefined: people look for themselves. */
  readonly notice?: Notice | undefined;
}

/** The gate behind an attempt of a job, or a question that the attempt has asked. */
export interface NoticeRef {
  readonly run: number;
  readonly job: number;
  readonly attempt: number;
  readonly key?: string | undefined;
}

/** What a job keeps that asks its master for something while it runs. Replaced, never changed. */
export interface AgentRecord {
  readonly spawns: SpawnRecord[];
  readonly asks: AskRecord[];
  /**
   * It goes on when one of them is met. While it is RUNNING this is a wish, and the end of the
   * attempt makes it true.
   */
  readonly waits: Wait[];
  /** Attempts that have ended to wait. */
  readonly pauses: number;
  /** A person has tried it again: its questions have an attempt in their names from then on. */
  readonly retried: boolean;
}

/** An open question, as far as time goes. */
export interface OpenAsk {
  readonly job: Job;
  readonly ask: Pick<AskRecord, "key" | "deadline">;
  open: boolean;
}

/** How a run fares that is to take the place of another one (lesson 14). */
export type Update = Readonly<UpdateInfo>;

/** A service of the whole cluster. Each of its versions is a run. */
export interface NamedService {
  readonly name: string;
  /** The version to which the name leads. */
  current: Run;
  /** The one before it that was READY: what a rollback deploys again. */
  previous: Run | undefined;
  /** The version that is to take the place of the current one. */
  next: Run | undefined;
  /** Versions so far, with those that failed. */
  versions: number;
}

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

export class Run {
  readonly number: number;
  readonly id: string;
  readonly key: string | undefined;
  readonly spec: PipelineSpec;
  readonly submittedAt: number;
  /** The person who submitted it, as far as anybody said. */
  readonly by: string | undefined;
  #dag: Dag | undefined;
  readonly jobs: Job[] = [];
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

  /**
   * The graph of the jobs. In a run of one job nobody waits, and a graph of one job costs as much
   * as all the rest of the job's life. So it is made when somebody asks, in the state that the job
   * is in by then.
   */
  get dag(): Dag {
    if (this.#dag !== undefined) return this.#dag;
    this.#dag = buildGraph(this.spec.jobs);
    const [first] = this.jobs;
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
    const job = new Job(this, this.jobs.length, spec);
    this.jobs.push(job);
    if (spec.service === undefined) return job;
    this.#replicas ??= new Map();
    const same = this.#replicas.get(spec.service.name);
    if (same === undefined) this.#replicas.set(spec.service.name, [job]);
    else same.push(job);
    return job;
  }

  /** All replicas of a service, over or not, in their order. */
  replicasOf(name: string): readonly Job[] {
    return this.#replicas?.get(name) ?? NO_REPLICAS;
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
    this.edges.push({ ...edge, jobs: this.jobs.length });
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
      ? !isTerminal(this.jobs[index]!.status)
      : this.#dag.isReady(index);
  }

  /** A job is about to be over. Returns the children for whom it was the last parent. */
  settle(index: number, as: JobStatus): readonly number[] {
    if (this.jobs[index]!.service?.settled === true) {
      // Its children were freed when it became ready.
      this.serving -= 1;
      return NOBODY;
    }
    if (this.#dag === undefined) return NOBODY;
    // A cancelled job does not wait for its parents, nor does a service that somebody stops before
    // its turn has come. For every other job, open parents would be a bug.
    const mayBeEarly = as === "CANCELLED" || this.jobs[index]!.spec.service !== undefined;
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

export interface Worker {
  readonly id: number;
  readonly instance: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly slots: number;
  readonly joinedAt: number;
  readonly version: string;
  /** Only a person ends it. */
  readonly permanent?: boolean | undefined;
  /** What it understands: `Hello.knows`. */
  knows: readonly string[];
  readonly jobs: FreshSet<Job>;
  /** A person wants it to get nothing new. That it is away is no fact, and not in the state. */
  draining: boolean;
}

/** A worker of a pool, from the order to the end of its machine (lesson 13). */
export interface Launch {
  readonly name: string;
  readonly pool: string;
  /** The program that ends it. Empty: it is a child of the master's. */
  readonly down: readonly string[];
  /** When it was ordered. */
  readonly orderedAt: number;
  /** When its worker was lost. 0: it was not. */
  readonly lostAt: number;
  /** Empty: nobody has answered yet. */
  readonly handle: string;
  readonly phase: LaunchPhase;
  /** The number of its registration. 0: it has not come, or was lost. */
  readonly worker: number;
  /** Why it was ordered, retired or stopped, whichever came last. */
  readonly reason: string;
}

/** All that is remembered of a pool, whether it has launches or not. */
export interface PoolRecord {
  readonly name: string;
  /** The number in the latest name that a launch was given: the next one's is higher. */
  readonly launched: number;
  readonly history: PoolHistory;
  /** The latest start that failed. Empty: none. */
  readonly failure: string;
  /** Launches that are there. */
  readonly open: number;
}

/** Told of every change as `apply` makes it; not part of the state, and absent during replay. */
export interface Observer {
  job(job: Job, at: number): void;
  run(run: Run): void;
}

/**
 * Sees each job before `apply` changes it: how a picture shows one moment while the next ones
 * happen.
 */
export interface Keeper {
  before(job: Job): void;
}

const NO_PROSPECTS: ReadonlyMap<string, string> = new Map();

export class State {
  nextRun = 1;
  nextWorker = 1;
  nextOrder = 1;
  /** The latest time any event carried. */
  at = 0;
  readonly runs = new FreshMap<number, Run>();
  readonly runsById = new FreshMap<string, Run>();
  readonly runsByKey = new FreshMap<string, Run>();
  /** Jobs of all runs, ended or not. */
  jobs = 0;
  /** Runs that have ended and may be forgotten, oldest first: all but those that `names` keep. */
  readonly finished = new FreshSet<Run>();
  /** What all runs take in memory, as `memory.ts` counts it… */
  bytes = 0;
  /** …and those in `finished`. */
  finishedBytes = 0;
  /** Artifacts that belong to no run, by name… */
  readonly kept = new FreshMap<string, Artifact>();
  /** …the contents of all artifacts, by their hashes, and how many artifacts have each… */
  readonly contents = new FreshMap<string, { readonly size: number; readonly uses: number }>();
  /** …what these take on the disk… */
  contentBytes = 0;
  /** …and those of `finished` that have any, in the same order. */
  readonly leaving = new FreshSet<Run>();
  readonly workers = new Map<number, Worker>();
  readonly workersByInstance = new Map<string, Worker>();
  /** Workers of pools, from the order to the end, by name: the oldest first… */
  readonly launches = new FreshMap<string, Launch>();
  /** …the names of those that are registered, by number… */
  readonly launchesByWorker = new Map<number, string>();
  /** …and the pools that ever had one. */
  readonly pools = new Map<string, PoolRecord>();
  readonly gates = new Set<Job>();
  /** Questions that are open, by the numbers of their jobs and their keys… */
  readonly asks = new FreshMap<string, OpenAsk>();
  /** …and when they close. */
  readonly closing = new TimerHeap<OpenAsk>();
  /** Entries of `closing` whose questions are not open any more. */
  closed = 0;
  /**
   * Jobs that have ended an attempt to wait. For each of their waits: the place of the job, in the
   * wait's list, that it is watched by. It is one that has not ended…
   */
  readonly paused = new Map<Job, number[]>();
  /** …and the jobs that are watched, with those that wait for them. */
  readonly watched = new Map<Job, Set<Job>>();
  /** Services that are not over, of all runs, by name: with all their replicas… */
  readonly services = new FreshMap<string, Set<Job>>();
  /** …and those of them that are deployed. */
  readonly deployed = new FreshMap<string, Set<Job>>();
  /** What these names mean, also when their services are over, while their runs are known. */
  readonly names = new FreshMap<string, NamedService>();
  /** Runs that wait for their services to be READY, to take the place of others. */
  readonly updates = new Set<Run>();
  /** Attempts that are stopped when their connections have ended. */
  readonly draining = new Set<Job>();
  /** Agent runs, by name… */
  readonly groups = new FreshMap<string, AgentGroup>();
  /** …and the moment at which the first of their deadlines has a word to say. */
  nextDeadline = Infinity;
  /** Jobs whose retries are spent. */
  readonly dead = new Set<Job>();
  /** Those of runs that were forgotten, by RUN/JOB… */
  letters = new DeadLetters<DeadLetter>();
  /** …and the ids of such runs, by the keys that made them. */
  readonly keys = new IdempotencyKeys<string>({ maxKeys: MAX_KEPT_KEYS });
  /** Requirements of the runs that go on, and how many runs have each. */
  readonly requirements = new Map<string, number>();
  readonly ready = new RequirementQueues<Job>();
  readonly delayed = new TimerHeap<Job>();
  /**
   * Entries of `delayed` that wait for nothing any more: the deadlines of gates that were answered.
   */
  answered = 0;
  readonly router = new Router();
  observer: Observer | undefined = undefined;
  /** What is being done for requirements that wait, in words; not part of the state. */
  prospects: ReadonlyMap<string, string> = NO_PROSPECTS;
  /** Tags of workers that would be started if somebody waited for them; not part of the state. */
  startable: readonly ReadonlySet<string>[] = [];
  /** Pictures that are being made; not part of the state. */
  keepers: readonly Keeper[] = [];
}

/**
 * Different requirements among all open runs. Each can be a ready queue of its own, and as many
 * again are left to affinity, which makes queues for single workers.
 */
export const MAX_REQUIREMENTS = MAX_REQUIREMENT_CLASSES / 2;

/** To be called before the first change of a job's fields. */
export function touch(state: State, job: Job): void {
  if (state.keepers.length === 0) return;
  for (const keeper of state.keepers) keeper.before(job);
}

/** What the runs that go on take in memory. */
export function openBytes(state: State): number {
  return state.bytes - state.finishedBytes;
}
