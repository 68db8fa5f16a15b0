/**
 * Lesson 10: the ready jobs of a state that somebody looks back at. Nothing is decided there, so
 * nobody asks which of them is the first: until somebody does, there is no queue, and the jobs
 * themselves say who would be in it. Half a million entries are not made for some thousand facts.
 *
 * One thing does depend on the queue while facts are applied: a job gets no worker of its own when
 * there are many classes. So the queue is made before the first fact with which there may be.
 *
 * Invariant: whoever looks sees what a queue would hold that was there all the time.
 * Test: test/10-master.copy.test.ts
 */
import { sleepingToo } from "./copy-tables.ts";
import { readyKey } from "./jobs.ts";
import { ReadyQueues, type ReadyJobs } from "./ready-jobs.ts";
import { isReady, MAX_REQUIREMENTS, Run, type Job, type State } from "./state.ts";

export class LateReady implements ReadyJobs {
  readonly #stateOf: () => State;
  #made: ReadyQueues | undefined;

  constructor(stateOf: () => State) {
    this.#stateOf = stateOf;
  }

  get isMade(): boolean {
    return this.#made !== undefined;
  }

  get #now(): ReadyQueues {
    if (this.#made !== undefined) return this.#made;
    const made = this.#made = new ReadyQueues();
    for (const { jobs } of this.#stateOf().runs.values()) {
      for (const job of jobs) {
        const at = { priority: job.spec.priority, order: job.order };
        if (isReady(job)) made.push(readyKey(job), job, at);
      }
    }
    return made;
  }

  // #region late
  /** To be called before a fact about these runs is applied. */
  prepare(runs: readonly (Run | undefined)[]): void {
    if (this.#made === undefined && mayBeMany(this.#stateOf(), runs)) void this.#now;
  }

  hasClasses(limit: number): boolean {
    if (this.#made === undefined && !mayBeMany(this.#stateOf(), [])) return false;
    return this.#now.hasClasses(limit);
  }

  push(...entry: Parameters<ReadyJobs["push"]>): void {
    this.#made?.push(...entry);
  }

  start(key: string, job: Job): void {
    this.#made?.start(key, job);
  }

  compact(isLive: (job: Job) => boolean): number {
    return this.#made?.compact(isLive) ?? 0;
  }

  /** Of a run that sleeps no job wants a worker of its own. */
  takePinned(worker: number): Job[] {
    if (this.#made !== undefined) return this.#made.takePinned(worker);
    const taken: Job[] = [];
    for (const run of sleepingToo(this.#stateOf())) {
      if (!(run instanceof Run)) continue;
      for (const job of run.jobs) if (job.pinned === worker && isReady(job)) taken.push(job);
    }
    return taken;
  }
  // #endregion

  get size(): number {
    return this.#now.size;
  }

  get classes(): number {
    return this.#now.classes;
  }

  has(key: string): boolean {
    return this.#now.has(key);
  }

  sizeOf(key: string): number {
    return this.#now.sizeOf(key);
  }

  peek(key: string): Job | undefined {
    return this.#now.peek(key);
  }

  peekKey(key: string): ReturnType<ReadyJobs["peekKey"]> {
    return this.#now.peekKey(key);
  }

  pop(key: string): Job | undefined {
    return this.#now.pop(key);
  }

  best(...asked: Parameters<ReadyJobs["best"]>): string | undefined {
    return this.#now.best(...asked);
  }

  [Symbol.iterator](): ReturnType<ReadyQueues[typeof Symbol.iterator]> {
    return this.#now[Symbol.iterator]();
  }
}

/**
 * Each requirement may have a class, and one more for each worker. Jobs that leave the queue while
 * a fact is applied still count until all of it is: as many again.
 */
function mayBeMany({ requirements, workers }: State, runs: readonly (Run | undefined)[]): boolean {
  let most = requirements.size;
  for (const run of runs) most += run?.requirements.size ?? 0;
  return 2 * most * (1 + workers.size) >= MAX_REQUIREMENTS;
}
