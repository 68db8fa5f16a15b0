/**
 * Lesson 10: the state, which only `apply` writes.
 *
 *     runs ── Run ── dag (who waits for whom) + jobs[]      (run.ts, job-records.ts)
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
import { MAX_REQUIREMENT_CLASSES, TimerHeap } from "#queue";
import { DeadLetters, IdempotencyKeys } from "#retry";
import { Router } from "#routing";
import type { PoolHistory } from "#scaling";
import type { DeadLetter, LaunchPhase } from "#wire";
import type { AskRecord } from "./job-records.ts";
import { MAX_KEPT_KEYS } from "./limits.ts";
import { ReadyQueues, type ReadyJobs } from "./ready-jobs.ts";
import type { AgentGroup, Artifact, Job, Run } from "./run.ts";

export { isTerminal } from "#wire";
export * from "./job-records.ts";
export * from "./run.ts";

/** An open question, as far as time goes. */
export interface OpenAsk {
  readonly job: Job;
  readonly ask: Pick<AskRecord, "key" | "deadline">;
  open: boolean;
}

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
  /** The jobs from `from` on are new, and nothing has happened to them yet. */
  grown?(run: Run, from: number, at: number): void;
}

/**
 * Sees each job before `apply` changes it: how a picture shows one moment while the next ones
 * happen.
 */
export interface Keeper {
  before(job: Job): void;
}

/** Runs by number, in the order in which they came. */
export interface RunTable {
  readonly size: number;
  get(number: number): Run | undefined;
  has(number: number): boolean;
  set(number: number, run: Run): void;
  delete(number: number): boolean;
  keys(): IterableIterator<number>;
  values(): IterableIterator<Run>;
}

/** Runs by a name of theirs. */
export interface RunIndex {
  get(name: string): Run | undefined;
  has(name: string): boolean;
  keys(): IterableIterator<string>;
  set(name: string, run: Run): void;
  delete(name: string): void;
}

/** Oldest first. */
export interface FinishedRuns extends Iterable<Run> {
  readonly size: number;
  has(run: Run): boolean;
  add(run: Run): void;
  delete(run: Run): boolean;
}

export type KeptKeys = Pick<IdempotencyKeys<string>, "size" | "recall" | "remember" | "toJSON">;

/** What a state made of a copy has in another form (copy-tables.ts). */
export interface Tables {
  readonly runs: RunTable;
  readonly runsById: RunIndex;
  readonly runsByKey: RunIndex;
  readonly finished: FinishedRuns;
  readonly keys: KeptKeys;
  readonly ready: ReadyJobs;
}

export const newKeys = (): IdempotencyKeys<string> =>
  new IdempotencyKeys<string>({ maxKeys: MAX_KEPT_KEYS });

const NO_PROSPECTS: ReadonlyMap<string, string> = new Map();

export class State {
  nextRun = 1;
  nextWorker = 1;
  nextOrder = 1;
  /** The latest time any event carried. */
  at = 0;
  readonly runs: RunTable;
  readonly runsById: RunIndex;
  readonly runsByKey: RunIndex;
  /** Jobs of all runs, ended or not. */
  jobs = 0;
  /** Runs that have ended and may be forgotten, oldest first: all but those that `names` keep. */
  readonly finished: FinishedRuns;
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
  readonly keys: KeptKeys;
  /** Requirements of the runs that go on, and how many runs have each. */
  readonly requirements = new Map<string, number>();
  readonly ready: ReadyJobs;
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

  constructor(tables?: Tables) {
    this.runs = tables?.runs ?? new FreshMap();
    this.runsById = tables?.runsById ?? new FreshMap();
    this.runsByKey = tables?.runsByKey ?? new FreshMap();
    this.finished = tables?.finished ?? new FreshSet();
    this.keys = tables?.keys ?? newKeys();
    this.ready = tables?.ready ?? new ReadyQueues();
  }
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
