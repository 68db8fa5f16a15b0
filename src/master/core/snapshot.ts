/**
 * Lesson 10: the whole state as bytes, so that a restart need not read the log from its first day.
 *
 *     Counters | Worker… | Pool… | Launch… | Groups…
 *     (Run | Specs… | Edges… | Added… | Carried… | (Jobs | Steps…)…)…
 *     Finished | Names… | Artifacts… | Keys… | Letters
 *
 * Only what cannot be recomputed is written. Queues, the router and the counts are rebuilt from the
 * jobs, by the same functions that made them. The hash of these bytes is the state's identity: two
 * masters agree if and only if it is equal.
 *
 * Invariants: restore(write(state)) has the same hash; equal states give equal bytes (every map
 * here is walked in an order that replay reproduces). A picture shows one moment, however long it
 * takes to write it; no part of it takes longer to make than a few milliseconds, so others can be
 * served between two.
 * Test: test/10-master.test.ts
 */
import { createHash } from "node:crypto";
import { JobSpec } from "#wire";
import { allArtifacts, recordOf } from "./artifact-state.ts";
import { specBytes } from "./check.ts";
import type { Step } from "./journal.ts";
import { leftMemory } from "./memory.ts";
import type { RunHeader } from "./run-copy.ts";
import { BLOCK_BYTES, BLOCK_JOBS, blocks } from "./snapshot-blocks.ts";
import { Part } from "./snapshot-format.ts";
import { groupRecords, type GroupRecord } from "./snapshot-groups.ts";
import { poolParts } from "./snapshot-pools.ts";
import { nameRecords, type NameRecord } from "./snapshot-services.ts";
import { carriedBlocks, stepBlocks } from "./snapshot-steps.ts";
import { Run, State, type Artifact, type Job, type Keeper } from "./state.ts";

/** What of a run may change, as it was. */
interface RunAsItWas {
  readonly run: Run;
  readonly header: RunHeader;
  readonly carried: readonly (readonly [string, readonly Step[]])[];
}

// #region picture
/**
 * The state at one moment, as a series of messages that may be made later, while the state goes on.
 * Small things are copied at once. A job is copied when it is about to change and its turn to be
 * written has not come: a million jobs are not copied for the few that change meanwhile.
 */
export class Picture implements Keeper {
  readonly #state: State;
  readonly #counters: Part;
  readonly #workers: readonly Part[];
  readonly #pools: readonly Part[];
  readonly #finished: readonly number[];
  readonly #names: readonly NameRecord[];
  readonly #groups: readonly GroupRecord[];
  readonly #artifacts: readonly Artifact[];
  readonly #keys: ReturnType<State["keys"]["toJSON"]>["keys"];
  readonly #letters: ReturnType<State["letters"]["toJSON"]>;
  /** Runs whose turn has not come. A map remembers its order. */
  readonly #open = new Map<Run, RunAsItWas>();
  readonly #kept = new Map<Job, Job>();

  /** `runs`: a copy takes those that are over as they are. */
  constructor(state: State, runs: Iterable<Run> = state.runs.values()) {
    this.#state = state;
    const { nextRun, nextWorker, nextOrder, at } = state;
    this.#counters = { type: "Counters", nextRun, nextWorker, nextOrder, at };
    this.#workers = [...state.workers.values()].map(({ jobs: _, ...worker }) => {
      return { type: "Worker", ...worker, tags: [...worker.tags], knows: [...worker.knows] };
    });
    this.#pools = [...poolParts(state)];
    for (const run of runs) this.#open.set(run, asItIs(run));
    this.#finished = [...state.finished].map((run) => run.number);
    this.#names = nameRecords(state);
    this.#groups = groupRecords(state);
    this.#artifacts = [...allArtifacts(state)];
    this.#keys = state.keys.toJSON().keys;
    this.#letters = state.letters.toJSON();
    state.keepers = [...state.keepers, this];
  }

  before(job: Job): void {
    if (!this.#open.has(job.run) || this.#kept.has(job)) return;
    this.#kept.set(job, { ...job, journal: job.journal?.copy() });
  }

  /** To be gone through once. A caller that does not want the rest calls `close`. */
  *parts(): Generator<Buffer> {
    yield* this.head();
    for (const was of this.#open.values()) {
      yield* this.#partsOf(was);
      this.#open.delete(was.run);
    }
    yield Part.encode({ type: "Finished", runs: [...this.#finished] });
    yield* this.tail();
    yield* this.keys();
    yield* this.letters();
    this.close();
  }

  /** What comes before the runs, and… */
  *head(): Generator<Buffer> {
    yield Part.encode(this.#counters);
    for (const part of [...this.#workers, ...this.#pools]) yield Part.encode(part);
    for (const { block } of blocks(this.#groups, () => 0)) {
      yield Part.encode({ type: "Groups", groups: block });
    }
  }

  /** …what comes behind them. */
  *tail(): Generator<Buffer> {
    for (const { block } of blocks(this.#names, () => 0)) {
      yield Part.encode({ type: "Names", names: block });
    }
    for (const { block } of blocks(this.#artifacts, () => 0)) {
      yield Part.encode({ type: "Artifacts", artifacts: block.map(recordOf) });
    }
  }

  *keys(): Generator<Buffer> {
    for (const { block } of blocks(this.#keys, () => 0)) {
      const keys = block.map(([key, request, run, at]) => ({ key, request, run, at }));
      yield Part.encode({ type: "Keys", keys });
    }
  }

  *letters(): Generator<Buffer> {
    const { dropped, letters } = this.#letters;
    if (letters.length > 0) {
      yield Part.encode({ type: "Letters", dropped, letters: letters.map(([, letter]) => letter) });
    }
  }

  /** For a copy (copy.ts), which holds the jobs in another way. */
  *headers(): Generator<[Run, RunHeader]> {
    for (const { run, header } of this.#open.values()) yield [run, header];
  }

  /** Nothing is kept any more. */
  close(): void {
    this.#state.keepers = this.#state.keepers.filter((keeper) => keeper !== this);
    this.#open.clear();
    this.#kept.clear();
  }
  // #endregion

  *#partsOf({ run, header, carried }: RunAsItWas): Generator<Buffer> {
    const { jobs: specs, ...head } = run.spec;
    const isSmall = specs.length <= BLOCK_JOBS && sumOf(specs, messageBytes) <= BLOCK_BYTES;
    const first = isSmall ? undefined : specs.length;
    const spec = { ...head, jobs: isSmall ? specs : [] };
    yield Part.encode({ type: "Run", ...header, spec, first });
    for (const { block } of blocks(isSmall ? [] : specs, messageBytes)) {
      yield Part.encode({ type: "Specs", jobs: block });
    }
    const jobs = run.jobs.slice(0, header.jobs);
    const edges = run.edges.filter(({ jobs }) => jobs <= header.jobs);
    for (const { block } of blocks(edges, () => 0)) {
      yield Part.encode({ type: "Edges", edges: block });
    }
    const added = jobs.slice(specs.length).map((job) => job.spec);
    for (const { block } of blocks(added, messageBytes)) {
      yield Part.encode({ type: "Added", jobs: block });
    }
    for (const block of carriedBlocks(carried)) yield Part.encode({ type: "Carried", ...block });
    const sizeOf = (job: Job): number => endBytes(this.#kept.get(job) ?? job);
    for (const { from, block } of blocks(jobs, sizeOf)) {
      const taken = block.map((job) => this.#take(job));
      // Here, before others go on: a journal grows.
      const journals = stepBlocks(taken);
      yield Part.encode({ type: "Jobs", from, jobs: taken });
      for (const block of journals) yield Part.encode({ type: "Steps", ...block() });
    }
  }

  /** The job as it was. Its turn has come, so it need not be kept any longer. */
  #take(job: Job): Job {
    const kept = this.#kept.get(job);
    if (kept === undefined) return job;
    this.#kept.delete(job);
    return kept;
  }
}

function asItIs(run: Run): RunAsItWas {
  return { run, header: headerOf(run), carried: [...run.carried] };
}

export function headerOf(run: Run): RunHeader {
  const {
    number, id, key, by, submittedAt, endedAt, status, cancelling, version, update, jobs, steps,
  } = run;
  const budget = JSON.stringify(run.budget);
  return {
    number,
    id,
    key,
    by,
    submittedAt,
    endedAt,
    status,
    cancelling,
    budget,
    jobs: jobs.length,
    version: version === 0 ? undefined : version,
    update: update && { ...update },
    steps: steps === 0 ? undefined : steps,
  };
}

/** The state as a series of messages, at once. */
export function writeSnapshot(state: State): Generator<Buffer> {
  return new Picture(state).parts();
}

function sumOf<T>(items: readonly T[], bytesOf: (item: T) => number): number {
  let bytes = 0;
  for (const item of items) bytes += bytesOf(item);
  return bytes;
}

/** An upper bound of what a spec takes in a message. */
function messageBytes(spec: JobSpec): number {
  return specBytes(spec) + 4 * spec.dependsOn.length;
}

/** What a job's end has left: a result, or the words of a failure or a decision. */
function endBytes({ result, failure, decision, votes, notice, agent }: Job): number {
  let chars = (failure?.message.length ?? 0) + (decision?.comment.length ?? 0) +
    (notice?.why.length ?? 0);
  for (const { comment } of votes) chars += comment.length;
  for (const text of Object.values(decision?.values ?? {})) chars += text.length;
  return (result?.length ?? 0) + 3 * chars + (agent === undefined ? 0 : leftMemory({ agent }));
}

/** SHA-256 (hex) of the snapshot: the identity of a state. */
export function hashState(state: State): string {
  const hash = createHash("sha256");
  for (const part of writeSnapshot(state)) hash.update(part);
  return hash.digest("hex");
}
