/**
 * Lesson 10: copies of a state that goes on, for somebody who comes back to it: time travel.
 *
 * A snapshot is bytes, and to make a state of them costs microseconds for each job: graphs are
 * built, specs are decoded. A copy is made in the same process, and shares what does not change:
 * specs, results, graphs. Of the jobs it holds what may change of each, in blocks; a block in which
 * nothing has changed since the copy before is that copy's block.
 *
 *     copy 1   | block a | block b | block c |
 *     copy 2   |    a    | block d |    c    |     a job of b has changed between the two
 *
 * Invariants: a state made of a copy has the hash that the copied one had; neither changes with the
 * other; copies cost what has changed between them.
 * Left out: whatever is small is kept as the parts of a snapshot.
 * Test: test/10-master.history.test.ts
 */
import { fieldsOf, type JobFields, type RunCopy, type RunHeader } from "./run-copy.ts";
import { Picture } from "./snapshot.ts";
import { SnapshotReader } from "./snapshot-reader.ts";
import type { Job, Keeper, Run, State } from "./state.ts";

/** Jobs of a block. */
const BLOCK_JOBS = 256;
/** About: what a job's fields take in memory, what a run's do, and a job in a graph's columns. */
const JOB_BYTES = 320;
const RUN_BYTES = 600;
const NODE_BYTES = 5;

/** A state as it was. */
export interface StateCopy {
  readonly head: readonly Buffer[];
  readonly runs: readonly RunCopy[];
  readonly tail: readonly Buffer[];
  readonly sums: Pick<State, "bytes" | "finishedBytes">;
  /** What it takes in memory beside the copies before it. */
  readonly cost: number;
}

/** Watches a state, which nobody but `apply` changes from now on. */
export class Copier implements Keeper {
  readonly #state: State;
  /** Jobs that have changed since the last copy. */
  #changed = new Map<Run, Set<number>>();
  #last = new Map<Run, RunCopy>();
  #cost = 0;

  constructor(state: State) {
    this.#state = state;
    state.keepers = [...state.keepers, this];
  }

  before({ run, index }: Job): void {
    const block = Math.floor(index / BLOCK_JOBS);
    const blocks = this.#changed.get(run);
    if (blocks === undefined) this.#changed.set(run, new Set([block]));
    else blocks.add(block);
  }

  // #region take
  take(): StateCopy {
    const state = this.#state;
    const picture = new Picture(state);
    const [head, tail] = [[...picture.head()], [...picture.tail()]];
    this.#cost = [...head, ...tail].reduce((sum, part) => sum + part.length, 0);
    const last = new Map<Run, RunCopy>();
    for (const [run, header] of picture.headers()) last.set(run, this.#copyOf(run, header));
    picture.close();
    this.#last = last;
    this.#changed = new Map();
    const { bytes, finishedBytes } = state;
    const sums = { bytes, finishedBytes };
    return { head, runs: [...last.values()], tail, sums, cost: this.#cost };
  }
  // #endregion

  #copyOf(run: Run, header: RunHeader): RunCopy {
    const old = this.#last.get(run);
    const { spec, jobs, edges, counts, open, serving, requirements, resultBytes, stepBytes } = run;
    const grown = old === undefined || old.specs.length < jobs.length;
    const changed = this.#changed.get(run);
    const isSame = !grown && changed === undefined && old.edges.length === edges.length;
    const sums = {
      counts: [...counts], open, serving, requirements, resultBytes, stepBytes, bytes: run.bytes,
    };
    this.#cost += RUN_BYTES + (isSame ? 0 : NODE_BYTES * jobs.length);
    return {
      header, spec, sums, edges: [...edges], carried: new Map(run.carried),
      specs: grown ? jobs.map((job) => job.spec) : old.specs,
      dag: isSame ? old.dag : run.copyOfGraph(),
      blocks: isSame ? old.blocks : this.#blocksOf(run, old, changed),
    };
  }

  #blocksOf(run: Run, old: RunCopy | undefined, changed: ReadonlySet<number> | undefined) {
    const blocks: (readonly JobFields[])[] = [];
    for (let from = 0; from < run.jobs.length; from += BLOCK_JOBS) {
      const known = old?.blocks[blocks.length];
      const jobs = Math.min(BLOCK_JOBS, run.jobs.length - from);
      if (known?.length === jobs && changed?.has(blocks.length) !== true) {
        blocks.push(known);
        continue;
      }
      this.#cost += JOB_BYTES * jobs;
      blocks.push(run.jobs.slice(from, from + jobs).map(fieldsOf));
    }
    return blocks;
  }
}

/** A state of its own. */
export function stateOf({ head, runs, tail, sums }: StateCopy): State {
  const reader = new SnapshotReader();
  for (const part of head) reader.part(part);
  for (const run of runs) reader.copied(run);
  for (const part of tail) reader.part(part);
  const state = reader.finish();
  // Where it was counted again, it comes to the same.
  for (const { header, sums: { bytes } } of runs) state.runs.get(header.number)!.bytes = bytes;
  return Object.assign(state, sums);
}
