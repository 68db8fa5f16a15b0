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
import { FreshSet, invariant } from "#base";
import {
  bool, bytes, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { DeadLetters, MAX_DEAD_LETTERS, RetryBudget } from "#retry";
import {
  artifactFacts,
  DeadLetter,
  Decision,
  Failure,
  GateVote,
  isOpenRun,
  JobSpec,
  JobStatus,
  LostOutput,
  MAX_RESULT_BYTES,
  MAX_VOTES,
  Notice,
  PipelineSpec,
  RunStatus,
  UpdateInfo,
} from "#wire";
import { allArtifacts, putArtifact, recordOf, type ArtifactRecord } from "./artifact-state.ts";
import { specBytes } from "./check.ts";
import { runOfCopy, type RunCopy, type RunHeader } from "./run-copy.ts";
import { lookAtDeadlines } from "./groups.ts";
import { claimRequirements, ownSpec, registerWorker } from "./jobs.ts";
import { indexLaunch } from "./launch-state.ts";
import { Journal, type Step } from "./journal.ts";
import {
  edgesMemory, jobMemory, leftMemory, runMemory, stepMemory,
} from "./memory.ts";
import { indexService } from "./service-state.ts";
import { AgentPart, ownAgent } from "./snapshot-agents.ts";
import { BLOCK_BYTES, BLOCK_JOBS, blocks } from "./snapshot-blocks.ts";
import { countAgain, index, indexAgent } from "./snapshot-indexes.ts";
import {
  GroupBlock, groupRecords, linkAgain, restoreGroups, type GroupRecord,
} from "./snapshot-groups.ts";
import { addPool, LaunchPart, PoolPart, poolParts } from "./snapshot-pools.ts";
import {
  NameBlock, nameRecords, restoreNames, ServiceRecord, type NameRecord,
} from "./snapshot-services.ts";
import {
  CarriedBlock, carriedBlocks, fromRecord, readCarried, StepBlock, stepBlocks,
} from "./snapshot-steps.ts";
import { NO_VOTES, Run, State, type Artifact, type Job, type Keeper } from "./state.ts";

const JobRecord = message("JobRecord", {
  status: [1, JobStatus],
  attempt: [2, withDefault(u32(), 0)],
  failures: [3, withDefault(u32(), 0)],
  losses: [4, withDefault(u32(), 0)],
  worker: [5, withDefault(u32(), 0)],
  order: [6, withDefault(u53(), 0)],
  dueAt: [7, withDefault(u53(), 0)],
  pinned: [8, withDefault(u32(), 0)],
  startedAt: [9, withDefault(u53(), 0)],
  endedAt: [10, withDefault(u53(), 0)],
  deadline: [11, withDefault(u53(), 0)],
  cancelling: [12, withDefault(bool(), false)],
  failure: [13, optional(Failure)],
  result: [14, optional(bytes(MAX_RESULT_BYTES))],
  decision: [15, optional(Decision)],
  stoppedAt: [16, withDefault(u53(), 0)],
  lostOutput: [17, optional(LostOutput)],
  votes: [18, list(GateVote, MAX_VOTES)],
  service: [30, optional(ServiceRecord)],
  notice: [52, optional(Notice)],
  agent: [75, optional(AgentPart)],
});

export const Part = union("SnapshotPart", {
  Counters: [1, message("Counters", {
    nextRun: [1, u32()], nextWorker: [2, u32()], nextOrder: [3, u53()], at: [4, u53()],
  })],
  Worker: [2, message("WorkerRecord", {
    id: [1, u32()], instance: [2, string(256)], name: [3, string(256)],
    tags: [4, list(string(64), 64)], slots: [5, u32()], joinedAt: [6, u53()],
    version: [7, withDefault(string(256), "")], draining: [8, withDefault(bool(), false)],
    knows: [9, list(string(32), 32)], permanent: [10, optional(bool())],
  })],
  Run: [3, message("RunRecord", {
    number: [1, u32()], id: [2, string(256)], key: [3, optional(string(256))],
    submittedAt: [4, u53()], endedAt: [5, u53()], status: [6, RunStatus], cancelling: [7, bool()],
    budget: [8, string(4096)], spec: [9, PipelineSpec],
    /** All of them. Those that were added later come in blocks of their own… */
    jobs: [10, u32()],
    /**
     * …and so do those of the submission, if they are many: then this is their number, and `spec`
     * has none.
     */
    first: [11, optional(u32())],
    by: [12, optional(string(256))],
    version: [40, optional(u32())],
    update: [41, optional(UpdateInfo)],
    steps: [70, optional(u53())],
  })],
  /** What the names of deployed services mean; no part if there are none. */
  Names: [40, NameBlock],
  /** Agent runs; no part if there are none (lesson 18). */
  Groups: [85, GroupBlock],
  /** Artifacts, those that are kept by name last; no part if there are none. */
  Artifacts: [60, message("ArtifactBlock", {
    artifacts: [1, list(message("ArtifactRecord", {
      ...artifactFacts, run: [20, optional(u32())],
    }), BLOCK_JOBS)],
  })],
  /** Edges of such jobs to older ones, in the order in which they came. */
  Edges: [10, message("EdgeBlock", {
    edges: [1, list(message("AddedEdge", {
      parent: [1, u32()], child: [2, u32()], jobs: [3, u32()],
    }), BLOCK_JOBS)],
  })],
  Added: [4, message("AddedBlock", { jobs: [1, list(JobSpec, BLOCK_JOBS)] })],
  /** Keys of runs that were forgotten, oldest first; no part if there are none. */
  Keys: [8, message("KeyBlock", {
    keys: [1, list(message("KeyRecord", {
      key: [1, string(256)], request: [2, string(64)], run: [3, string(256)], at: [4, u53()],
    }), BLOCK_JOBS)],
  })],
  /** Dead letters of such runs, and how many made way for them. */
  Letters: [9, message("LetterBlock", {
    dropped: [1, u53()], letters: [2, list(DeadLetter, MAX_DEAD_LETTERS)],
  })],
  Jobs: [5, message("JobBlock", { from: [1, u32()], jobs: [2, list(JobRecord, BLOCK_JOBS)] })],
  /** The journals of the jobs in the block before; no part if they have none. */
  Steps: [70, StepBlock],
  /** Of a fork (lesson 18); no part if it carries none. */
  Carried: [71, CarriedBlock],
  Specs: [7, message("SpecBlock", { jobs: [1, list(JobSpec, BLOCK_JOBS)] })],
  /** Pools that ever had a worker, and those of their workers that are not gone (lesson 13). */
  Pool: [30, PoolPart],
  Launch: [31, LaunchPart],
  /** Runs that have ended, oldest first. */
  Finished: [6, message("FinishedOrder", { runs: [1, list(u32(), 10_000_000)] })],
});
type Part = Infer<typeof Part>;
type RunPart = Extract<Part, { type: "Run" }>;

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

  constructor(state: State) {
    this.#state = state;
    const { nextRun, nextWorker, nextOrder, at } = state;
    this.#counters = { type: "Counters", nextRun, nextWorker, nextOrder, at };
    this.#workers = [...state.workers.values()].map(({ jobs: _, ...worker }) => {
      return { type: "Worker", ...worker, tags: [...worker.tags], knows: [...worker.knows] };
    });
    this.#pools = [...poolParts(state)];
    for (const run of state.runs.values()) this.#open.set(run, asItIs(run));
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
    yield* this.tail();
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
    yield Part.encode({ type: "Finished", runs: [...this.#finished] });
    for (const { block } of blocks(this.#names, () => 0)) {
      yield Part.encode({ type: "Names", names: block });
    }
    for (const { block } of blocks(this.#artifacts, () => 0)) {
      yield Part.encode({ type: "Artifacts", artifacts: block.map(recordOf) });
    }
    for (const { block } of blocks(this.#keys, () => 0)) {
      const keys = block.map(([key, request, run, at]) => ({ key, request, run, at }));
      yield Part.encode({ type: "Keys", keys });
    }
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
  const {
    number, id, key, by, submittedAt, endedAt, status, cancelling, version, update, jobs, steps,
  } = run;
  const budget = JSON.stringify(run.budget);
  const header = {
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
  return { run, header, carried: [...run.carried] };
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

/** Reads what `writeSnapshot` wrote, part by part, then `finish` rebuilds the indexes. */
export class SnapshotReader {
  readonly #state = new State();
  #run: Run | undefined;
  #expected = 0;
  /** Of the run, those whose jobs have not all been read. */
  #edges: Run["edges"] = [];
  readonly #names: NameRecord[] = [];
  readonly #artifacts: ArtifactRecord[] = [];
  readonly #copied = new Set<Run>();
  /** A run of which not all specs have been read: its graph can be built once they are there. */
  #begun: RunPart | undefined;

  /** What the runs take that have been read so far. */
  get bytes(): number {
    return this.#state.bytes;
  }

  part(bytes: Uint8Array): void {
    const part = Part.decode(bytes);
    switch (part.type) {
      case "Counters": {
        const { nextRun, nextWorker, nextOrder, at } = part;
        Object.assign(this.#state, { nextRun, nextWorker, nextOrder, at });
        return;
      }
      case "Worker": {
        const { type: _, ...worker } = part;
        return registerWorker(this.#state, { ...worker, jobs: new FreshSet() });
      }
      case "Pool": return addPool(this.#state, part);
      case "Launch": return indexLaunch(this.#state, without(part));
      case "Run":
        return part.first === undefined ? this.#beginRun(part) : void (this.#begun = part);
      case "Specs": return this.#addSpecs(part.jobs);
      case "Edges": return void this.#edges.push(...part.edges);
      case "Groups": return restoreGroups(this.#state, part.groups);
      case "Names": return void this.#names.push(...part.names);
      case "Artifacts": return void this.#artifacts.push(...part.artifacts);
      case "Added": {
        for (const spec of part.jobs) {
          this.#run!.dag.addJob(spec.id, spec.dependsOn);
          this.#addJob(this.#run!, spec);
          this.#addEdges(this.#run!);
        }
        return;
      }
      case "Jobs": return this.#addJobs(this.#run!, part);
      case "Steps": return this.#addSteps(this.#run!, part);
      case "Carried": return this.#charge(this.#run!, readCarried(this.#run!, part));
      case "Finished": {
        for (const number of part.runs) {
          const run = this.#state.runs.get(number)!;
          this.#state.finished.add(run);
          this.#state.finishedBytes += run.bytes;
        }
        return;
      }
      case "Keys": {
        for (const { key, request, run, at } of part.keys) {
          this.#state.keys.remember(key, run, { request, nowMs: at });
        }
        return;
      }
      case "Letters": {
        const letters = part.letters.map((each) => [`${each.run}/${each.job}`, each] as const);
        const { dropped } = part;
        this.#state.letters = DeadLetters.fromJSON({ limit: MAX_DEAD_LETTERS, dropped, letters });
      }
    }
  }

  #addSteps(run: Run, { job: index, steps }: Extract<Part, { type: "Steps" }>): void {
    const job = run.jobs[index]!;
    job.journal ??= new Journal();
    for (const step of steps.map(fromRecord)) {
      job.journal.put(step);
      run.stepBytes += step.result?.length ?? 0;
      this.#charge(run, stepMemory(step));
    }
  }

  #addJobs(run: Run, part: Extract<Part, { type: "Jobs" }>): void {
    for (const [offset, record] of part.jobs.entries()) {
      const job = Object.assign(run.jobs[part.from + offset]!, record);
      // A view of the whole block otherwise, as in `ownSpec`.
      if (job.result !== undefined) job.result = Buffer.from(job.result);
      if (job.votes.length === 0) job.votes = NO_VOTES;
      job.agent = job.agent && ownAgent(job.agent);
      this.#charge(run, leftMemory(job));
    }
  }

  #addSpecs(specs: readonly JobSpec[]): void {
    const begun = this.#begun!;
    for (const spec of specs) begun.spec.jobs.push(spec);
    if (begun.spec.jobs.length < begun.first!) return;
    this.#begun = undefined;
    this.#beginRun(begun);
  }

  #beginRun(part: RunPart): void {
    const { number, id, key, by, spec, submittedAt, endedAt, status, cancelling } = part;
    const run = new Run({ number, id, key, by, spec, submittedAt });
    const { version = 0, update, steps = 0 } = part;
    Object.assign(run, { endedAt, status, cancelling, version, update, steps });
    run.budget = RetryBudget.fromJSON(JSON.parse(part.budget));
    this.#charge(run, runMemory(key, spec));
    linkAgain(this.#state, run);
    for (const job of spec.jobs) this.#addJob(run, job);
    this.#run = run;
    this.#expected += part.jobs;
    this.#enter(run);
  }

  #addJob(run: Run, spec: JobSpec): void {
    run.addJob(ownSpec(spec));
    this.#charge(run, jobMemory(spec));
  }

  /** At the same point as in life: the order of a job's children is that of its edges. */
  #addEdges(run: Run): void {
    while (this.#edges[0]?.jobs === run.jobs.length) {
      run.addEdge(this.#edges.shift()!);
      this.#charge(run, edgesMemory(1));
    }
  }

  #charge(run: Run, bytes: number): void {
    run.bytes += bytes;
    this.#state.bytes += bytes;
  }

  /** In the place of a run's parts. */
  copied(copy: RunCopy): void {
    const run = runOfCopy(copy);
    linkAgain(this.#state, run);
    this.#copied.add(run);
    this.#enter(run);
    this.#expected += run.jobs.length;
  }

  #enter(run: Run): void {
    const { number, id, key } = run;
    this.#state.runs.set(number, run);
    this.#state.runsById.set(id, run);
    if (key !== undefined) this.#state.runsByKey.set(key, run);
  }

  finish(): State {
    const state = this.#state;
    const waiting: Job[] = [];
    let jobs = 0;
    for (const run of state.runs.values()) {
      jobs += run.jobs.length;
      const isCopied = this.#copied.has(run);
      if (!isCopied) for (const job of run.jobs) run.require(job.requirement);
      if (isOpenRun(run.status)) claimRequirements(state, run);
      for (const index of run.isAlone ? [0] : run.dag.topologicalOrder()) {
        const job = run.jobs[index]!;
        if (!isCopied) countAgain(run, job);
        indexService(state, job);
        if (job.status === "DEAD") state.dead.add(job);
        if (job.agent !== undefined) indexAgent(state, job, job.agent);
        const isOpen = job.status === "RUNNING" || job.status === "WAITING";
        if (isOpen || job.order > 0 || job.dueAt > 0) waiting.push(job);
      }
    }
    state.jobs = jobs;
    restoreNames(state, this.#names);
    lookAtDeadlines(state);
    for (const record of this.#artifacts) putArtifact(state, record);
    for (const run of state.finished) if (run.artifacts.size > 0) state.leaving.add(run);
    invariant(jobs === this.#expected, `a snapshot names ${this.#expected} jobs and holds ${jobs}`);
    // In the order in which they came: equal priorities must leave their queue as they would have.
    waiting.sort((a, b) => a.order - b.order || a.run.number - b.run.number || a.index - b.index);
    for (const job of waiting) index(state, job);
    return state;
  }
}

/** The part without the word that says what it is. */
function without<P extends Part>({ type: _, ...rest }: P): Omit<P, "type"> {
  return rest;
}

/** Restores a state from the parts of a snapshot. */
export function readSnapshot(parts: Iterable<Uint8Array>): State {
  const reader = new SnapshotReader();
  for (const part of parts) reader.part(part);
  return reader.finish();
}

