/**
 * Lesson 10: copies of a state that goes on, for somebody who comes back to it: time travel.
 *
 * A snapshot is bytes, and to make a state of them costs microseconds for each job: graphs are
 * built, specs are decoded. A copy is made in the same process, and shares what does not change:
 *
 *     a run that is over      the run itself, in all copies and in the states that are made of them
 *     one that goes on        specs, results, graph; and its jobs in blocks: a block in which
 *                             nothing has changed since the copy before is that copy's block,
 *                             and such a run is that copy's run
 *
 *     copy 1   | block a | block b | block c |
 *     copy 2   |    a    | block d |    c    |     a job of b has changed between the two
 *
 * Sometimes a run that is over changes: a person retries it, or an agent run takes it in. Then the
 * state in which that happens gets a copy of its own first (`ownRuns`).
 *
 * A state that is made of a copy may have half a million jobs, of which the facts that follow
 * change some thousands. So its runs and its blocks of jobs sleep: each is made when somebody asks
 * for it.
 *
 * Invariants: a state made of a copy has the hash that the copied one had; neither changes with the
 * other; copies cost what has changed between them, and the states that are made of them what
 * somebody looks at.
 * Left out: whatever is small is kept as the parts of a snapshot.
 * Test: test/10-master.copy.test.ts
 */
import { invariant } from "#base";
import { isOpenRun } from "#wire";
import type { Event } from "./events.ts";
import { claimRequirements } from "./jobs.ts";
import { LateReady } from "./late-ready.ts";
import {
  BLOCK_JOBS, copyOfRun, runOfCopy, type JobBlock, type RunCopy, type RunHeader,
} from "./run-copy.ts";
import { FinishedOver, LateIndex, LateKeys, RunsOver } from "./copy-tables.ts";
import { headerOf, Picture } from "./snapshot.ts";
import { SnapshotReader } from "./snapshot-reader.ts";
import { isTerminal, type Job, type Keeper, Run, State, type Tables } from "./state.ts";

/** About: what a run's fields take in memory, a job in a graph's columns, and a shared run. */
const RUN_BYTES = 600;
const NODE_BYTES = 5;
const LINK_BYTES = 8;

/** A state as it was. */
export interface StateCopy {
  readonly head: readonly Buffer[];
  /** In their order. */
  readonly runs: readonly (RunCopy | Run)[];
  /** Those that may be forgotten, in theirs: themselves, or their numbers. */
  readonly finished: readonly (Run | number)[];
  readonly tail: readonly Buffer[];
  /** Keys of runs that were forgotten. */
  readonly keys: readonly Buffer[];
  readonly sums: Pick<State, "jobs" | "bytes" | "finishedBytes">;
  /** What it takes in memory beside the copies before it, without runs that are over… */
  readonly cost: number;
  /** …and which of those no copy had before. */
  readonly over: readonly Run[];
}

/** Watches a state, which nobody but `apply` changes from now on, behind `ownRuns`. */
export class Copier implements Keeper {
  readonly #state: State;
  /** Jobs that have changed since the last copy: their blocks. */
  #changed = new Map<Run, Set<number>>();
  #last = new Map<Run, RunCopy>();
  #cost = 0;

  constructor(state: State) {
    this.#state = state;
    state.keepers = [...state.keepers, this];
  }

  before({ run, index }: Job): void {
    invariant(!run.isShared, "a run that several states have does not change");
    const block = Math.floor(index / BLOCK_JOBS);
    const blocks = this.#changed.get(run);
    if (blocks === undefined) this.#changed.set(run, new Set([block]));
    else blocks.add(block);
  }

  // #region take
  take(): StateCopy {
    const state = this.#state;
    const all = [...state.runs.values()];
    this.#cost = LINK_BYTES * all.length;
    const over = all.filter((run) => !run.isShared && isOver(state, run));
    for (const run of over) run.isShared = true;
    const picture = new Picture(state, all.filter((run) => !run.isShared));
    const [head, tail] = [[...picture.head()], [...picture.tail(), ...picture.letters()]];
    const keys = [...picture.keys()];
    for (const { length } of [...head, ...tail, ...keys]) this.#cost += length;
    const last = new Map<Run, RunCopy>();
    for (const [run, header] of picture.headers()) last.set(run, this.#copyOf(run, header));
    picture.close();
    this.#last = last;
    this.#changed = new Map();
    const { jobs, bytes, finishedBytes } = state;
    return {
      head, runs: all.map((run) => last.get(run) ?? run),
      finished: [...state.finished].map((run) => run.isShared ? run : run.number),
      tail, keys, sums: { jobs, bytes, finishedBytes }, cost: this.#cost, over,
    };
  }
  // #endregion

  #copyOf(run: Run, header: RunHeader): RunCopy {
    const old = this.#last.get(run);
    const changed = this.#changed.get(run);
    const copy = copyOfRun(run, header, old && { copy: old, changed });
    this.#cost += RUN_BYTES + (copy.dag === old?.dag ? 0 : NODE_BYTES * run.size);
    const known = new Set(old?.blocks);
    for (const block of copy.blocks) if (!known.has(block)) this.#cost += block.bytes;
    return copy;
  }
}

/** Nothing is to come of it, and no list but that of such runs has it, or one of its jobs. */
function isOver({ finished }: State, run: Run): boolean {
  return !isOpenRun(run.status) && finished.has(run) && run.version === 0 &&
    run.group === undefined && run.artifacts.size === 0 && run.jobs.every(isDone);
}

function isDone({ status, service, agent }: Job): boolean {
  return isTerminal(status) && status !== "DEAD" && service === undefined && agent === undefined;
}

/**
 * To be called before a fact about these runs is applied, unless it only forgets them: other states
 * may have them, too, and are not to change with this one. And its queue of ready jobs may be late.
 */
export function ownRuns(state: State, event: Event, numbers: readonly number[]): void {
  if (state.ready instanceof LateReady) state.ready.prepare(numbers.map((n) => state.runs.get(n)));
  for (const number of numbers) {
    const run = state.runs.get(number);
    own(state, run);
    const spec = "spec" in event ? event.spec : run?.spec;
    // An agent run takes in a run that has its name.
    if (spec?.agent?.id !== undefined) own(state, state.runsById.get(spec.agent.id));
  }
}

function own(state: State, run: Run | undefined): void {
  if (run?.isShared !== true) return;
  const copy = runOfCopy(copyOfRun(run, headerOf(run)));
  state.runs.set(run.number, copy);
  state.runsById.set(run.id, copy);
  if (run.key !== undefined) state.runsByKey.set(run.key, copy);
  // In the order in which they ended.
  const order = [...state.finished];
  for (const each of order) state.finished.delete(each);
  for (const each of order) state.finished.add(each === run ? copy : each);
}

/**
 * A state of its own. A run of which lists have something is made at once, with the blocks of those
 * jobs; all others sleep until somebody asks for them.
 */
// #region stateOf
export function stateOf(copy: StateCopy): State {
  const copies = copy.runs.flatMap((run) => run instanceof Run ? [] : run);
  const awake = copies.filter(({ isPlain }) => !isPlain);
  const made = new Map(awake.map((each) => [each.header.number, runOfCopy(each)]));
  const ready = new LateReady(() => state);
  const reader = new SnapshotReader(new State({ ...tablesOf(copy, made), ready }));
  for (const part of copy.head) reader.part(part);
  for (const { header, blocks } of awake) reader.enter(made.get(header.number)!, listed(blocks));
  for (const part of copy.tail) reader.part(part);
  const state: State = reader.finish();
  for (const { isPlain, sums } of copies) if (isPlain) claimRequirements(state, sums);
  // Where it was counted again, it comes to the same.
  for (const { header, sums } of awake) made.get(header.number)!.bytes = sums.bytes;
  return Object.assign(state, copy.sums);
}
// #endregion

/** The numbers of jobs that lists have, with their neighbours. */
function listed(blocks: readonly JobBlock[]): number[] {
  return blocks.flatMap(({ isPlain, length }, place) => isPlain ? []
    : Array.from({ length }, (_, at) => place * BLOCK_JOBS + at));
}

/** Runs that are over are not entered: they are where the copy has them. */
function tablesOf(
  { runs, finished, keys }: StateCopy, made: ReadonlyMap<number, Run>,
): Omit<Tables, "ready"> {
  const over = new RunsOver(runs, made);
  return {
    runs: over,
    runsById: new LateIndex(runs, over, ({ id }) => id),
    runsByKey: new LateIndex(runs, over, ({ key }) => key),
    finished: new FinishedOver(finished, { shared: runs, made }),
    keys: new LateKeys(keys),
  };
}
