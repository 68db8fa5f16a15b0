/**
 * Lesson 10: a state from the parts of a snapshot: what they hold, and all indexes anew.
 *
 * Test: test/10-master.test.ts
 */
import { FreshSet, invariant } from "#base";
import { DeadLetters, MAX_DEAD_LETTERS, RetryBudget } from "#retry";
import { isOpenRun, JobSpec } from "#wire";
import { putArtifact, type ArtifactRecord } from "./artifact-state.ts";
import { lookAtDeadlines } from "./groups.ts";
import { claimRequirements, ownSpec, registerWorker } from "./jobs.ts";
import { Journal } from "./journal.ts";
import { indexLaunch } from "./launch-state.ts";
import { edgesMemory, jobMemory, leftMemory, runMemory, stepMemory } from "./memory.ts";
import { indexService } from "./service-state.ts";
import { ownAgent } from "./snapshot-agents.ts";
import { Part, type RunPart } from "./snapshot-format.ts";
import { linkAgain, restoreGroups } from "./snapshot-groups.ts";
import { countAgain, index, indexAgent } from "./snapshot-indexes.ts";
import { addPool } from "./snapshot-pools.ts";
import { restoreNames, type NameRecord } from "./snapshot-services.ts";
import { fromRecord, readCarried } from "./snapshot-steps.ts";
import { NO_VOTES, Run, State, type Job, type KeptKeys } from "./state.ts";

/** Reads what `writeSnapshot` wrote, part by part, then `finish` rebuilds the indexes. */
export class SnapshotReader {
  readonly #state: State;
  #run: Run | undefined;
  #expected = 0;
  /** Of the run, those whose jobs have not all been read. */
  #edges: Run["edges"] = [];
  readonly #names: NameRecord[] = [];
  readonly #artifacts: ArtifactRecord[] = [];
  /** Runs that came whole, and their jobs that are to be entered into lists. */
  readonly #whole = new Map<Run, readonly number[]>();
  /** All that have been read or entered. */
  readonly #own: Run[] = [];
  /** A run of which not all specs have been read: its graph can be built once they are there. */
  #begun: RunPart | undefined;

  /** `state`: one without runs, or with some that are in no index but the tables it has. */
  constructor(state = new State()) {
    this.#state = state;
  }

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
        for (const number of part.runs) this.#addFinished(this.#state.runs.get(number)!);
        return;
      }
      case "Keys": {
        rememberAll(this.#state.keys, part.keys);
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
    const job = run.job(index)!;
    job.journal ??= new Journal();
    for (const step of steps.map(fromRecord)) {
      job.journal.put(step);
      run.stepBytes += step.result?.length ?? 0;
      this.#charge(run, stepMemory(step));
    }
  }

  #addJobs(run: Run, part: Extract<Part, { type: "Jobs" }>): void {
    for (const [offset, record] of part.jobs.entries()) {
      const job = Object.assign(run.job(part.from + offset)!, record);
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
    while (this.#edges[0]?.jobs === run.size) {
      run.addEdge(this.#edges.shift()!);
      this.#charge(run, edgesMemory(1));
    }
  }

  #charge(run: Run, bytes: number): void {
    run.bytes += bytes;
    this.#state.bytes += bytes;
  }

  /** In the place of a run's parts. `jobs`: those that may be in more lists than the ready ones. */
  enter(run: Run, jobs: readonly number[]): void {
    this.#expected += run.size;
    linkAgain(this.#state, run);
    this.#whole.set(run, jobs);
    this.#enter(run);
  }

  #addFinished(run: Run): void {
    this.#state.finished.add(run);
    this.#state.finishedBytes += run.bytes;
  }

  #enter(run: Run): void {
    this.#own.push(run);
    const { number, id, key } = run;
    this.#state.runs.set(number, run);
    this.#state.runsById.set(id, run);
    if (key !== undefined) this.#state.runsByKey.set(key, run);
  }

  finish(): State {
    const state = this.#state;
    const waiting: Job[] = [];
    let jobs = 0;
    for (const run of this.#own) {
      jobs += run.size;
      const whole = this.#whole.get(run);
      if (whole === undefined) for (const job of run.jobs) run.require(job.requirement);
      if (isOpenRun(run.status)) claimRequirements(state, run);
      const inOrder = whole !== undefined ? [] : run.isAlone ? [0] : run.dag.topologicalOrder();
      for (const index of inOrder) countAgain(run, run.job(index)!);
      const listed = whole?.map((index) => run.job(index)!) ?? run.jobs;
      for (const job of listed) if (isToBeIndexed(state, job)) waiting.push(job);
    }
    state.jobs = jobs;
    restoreNames(state, this.#names, this.#own);
    lookAtDeadlines(state);
    for (const record of this.#artifacts) putArtifact(state, record);
    // In the order in which they ended. Most states have none.
    const hasFiles = this.#own.some(({ artifacts }) => artifacts.size > 0);
    for (const run of hasFiles ? state.finished : []) {
      if (run.artifacts.size > 0) state.leaving.add(run);
    }
    invariant(jobs === this.#expected, `a snapshot names ${this.#expected} jobs and holds ${jobs}`);
    // In the order in which they came: timers of one moment go off in it.
    waiting.sort((a, b) => a.order - b.order || a.run.number - b.run.number || a.index - b.index);
    for (const job of waiting) index(state, job);
    return state;
  }
}

/** Enters a job where it can be at once. True: its turn comes when all others are known. */
function isToBeIndexed(state: State, job: Job): boolean {
  indexService(state, job);
  if (job.status === "DEAD") state.dead.add(job);
  if (job.agent !== undefined) indexAgent(state, job, job.agent);
  if (job.status === "PENDING" && job.order > 0) {
    index(state, job); // its queue knows its place
    return false;
  }
  return job.status === "RUNNING" || job.status === "WAITING" || job.dueAt > 0;
}

type KeysPart = Extract<Part, { type: "Keys" }>;

export function rememberAll(kept: KeptKeys, keys: KeysPart["keys"]): void {
  for (const { key, request, run, at } of keys) kept.remember(key, run, { request, nowMs: at });
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
