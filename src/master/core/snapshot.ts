/**
 * Lesson 10: the whole state as bytes, so that a restart need not read the log from its first day.
 *
 *     Counters | Worker… | (RunHeader | JobBlock…)…
 *
 * Only what cannot be recomputed is written. Queues, the router and the counts are rebuilt from the jobs, by the same
 * functions that made them. The hash of these bytes is the state's identity: two masters agree if and only if it is equal.
 *
 * Invariants: restore(write(state)) has the same hash; equal states give equal bytes (every map here is walked in an
 * order that replay reproduces).
 * Left out: writing a snapshot in slices. A million jobs take about a second, during which the master does nothing else.
 * Test: test/10-master.test.ts
 */
import { createHash } from "node:crypto";
import { bool, bytes, list, message, optional, string, u32, u53, union, withDefault, type Infer } from "#codec";
import { RetryBudget } from "#retry";
import { Decision, Failure, JobSpec, JobStatus, JOB_STATUSES, MAX_RESULT_BYTES, PipelineSpec, RunStatus } from "#wire";
import { specBytes } from "./decide.ts";
import type { Names } from "./event-text.ts";
import type { Forecast } from "./forecast.ts";
import { claimRequirements, ownSpec, readyKey, registerWorker } from "./jobs.ts";
import { jobMemory, jobsMemory, leftMemory, runMemory } from "./memory.ts";
import { invariant, isTerminal, Job, Run, State } from "./state.ts";

/** Jobs per block: large enough to be cheap, small enough for one message… */
const BLOCK_JOBS = 1024;
/** …unless they are large: a block and the largest job (MAX_JOB_BYTES) must stay below a log's chunk of 64 MiB. */
const BLOCK_BYTES = 16 * 1024 * 1024;

const JobRecord = message("JobRecord", {
  status: [1, JobStatus],
  attempt: [2, withDefault(u32(), 0)], failures: [3, withDefault(u32(), 0)], losses: [4, withDefault(u32(), 0)],
  worker: [5, withDefault(u32(), 0)], order: [6, withDefault(u53(), 0)], dueAt: [7, withDefault(u53(), 0)], pinned: [8, withDefault(u32(), 0)],
  startedAt: [9, withDefault(u53(), 0)], endedAt: [10, withDefault(u53(), 0)], deadline: [11, withDefault(u53(), 0)],
  cancelling: [12, withDefault(bool(), false)],
  failure: [13, optional(Failure)], result: [14, optional(bytes(MAX_RESULT_BYTES))], decision: [15, optional(Decision)],
  stoppedAt: [16, withDefault(u53(), 0)],
});

const Part = union("SnapshotPart", {
  Counters: [1, message("Counters", { nextRun: [1, u32()], nextWorker: [2, u32()], nextOrder: [3, u53()], at: [4, u53()] })],
  Worker: [2, message("WorkerRecord", {
    id: [1, u32()], instance: [2, string(256)], name: [3, string(256)], tags: [4, list(string(64), 64)], slots: [5, u32()],
    joinedAt: [6, u53()], version: [7, withDefault(string(256), "")], draining: [8, withDefault(bool(), false)],
  })],
  Run: [3, message("RunRecord", {
    number: [1, u32()], id: [2, string(256)], key: [3, optional(string(256))], submittedAt: [4, u53()], endedAt: [5, u53()],
    status: [6, RunStatus], cancelling: [7, bool()], budget: [8, string(4096)], spec: [9, PipelineSpec],
    /** Jobs that were added later, in blocks of their own so that no message outgrows its limit. */
    jobs: [10, u32()],
  })],
  Added: [4, message("AddedBlock", { jobs: [1, list(JobSpec, BLOCK_JOBS)] })],
  Jobs: [5, message("JobBlock", { from: [1, u32()], jobs: [2, list(JobRecord, BLOCK_JOBS)] })],
  /** Runs that have ended, oldest first. */
  Finished: [6, message("FinishedOrder", { runs: [1, list(u32(), 10_000_000)] })],
});
type Part = Infer<typeof Part>;

/** The state as a series of messages. */
export function* writeSnapshot(state: State): Generator<Buffer> {
  const { nextRun, nextWorker, nextOrder, at } = state;
  yield Part.encode({ type: "Counters", nextRun, nextWorker, nextOrder, at });
  for (const { id, instance, name, tags, slots, joinedAt, version, draining } of state.workers.values()) {
    yield Part.encode({ type: "Worker", id, instance, name, tags: [...tags], slots, joinedAt, version, draining });
  }
  for (const run of state.runs.values()) yield* writeRun(run);
  yield Part.encode({ type: "Finished", runs: [...state.finished].map((run) => run.number) });
}

function* writeRun(run: Run): Generator<Buffer> {
  const { number, id, key, submittedAt, endedAt, status, cancelling, spec, jobs } = run;
  yield Part.encode({
    type: "Run", number, id, key, submittedAt, endedAt, status, cancelling, budget: JSON.stringify(run.budget), spec, jobs: jobs.length,
  });
  for (const { block } of blocks(jobs.slice(spec.jobs.length), (job) => specBytes(job.spec) + 4 * job.spec.dependsOn.length)) {
    yield Part.encode({ type: "Added", jobs: block.map((job) => job.spec) });
  }
  for (const { from, block } of blocks(jobs, endBytes)) yield Part.encode({ type: "Jobs", from, jobs: block });
}

/** What a job's end has left: a result, or the words of a failure or a decision. */
function endBytes({ result, failure, decision }: Job): number {
  return (result?.length ?? 0) + 3 * ((failure?.message.length ?? 0) + (decision?.comment.length ?? 0));
}

function* blocks(jobs: readonly Job[], bytesOf: (job: Job) => number): Generator<{ from: number; block: Job[] }> {
  let from = 0;
  let bytes = 0;
  for (let index = 0; index < jobs.length; index++) {
    if (index - from === BLOCK_JOBS || bytes > BLOCK_BYTES) {
      yield { from, block: jobs.slice(from, index) };
      from = index;
      bytes = 0;
    }
    bytes += bytesOf(jobs[index]!);
  }
  if (from < jobs.length) yield { from, block: jobs.slice(from) };
}

/** SHA-256 (hex) of the snapshot: the identity of a state. */
export function hashState(state: State): string {
  const hash = createHash("sha256");
  for (const part of writeSnapshot(state)) hash.update(part);
  return hash.digest("hex");
}

/**
 * Learns from one part of a snapshot what the numbers in later events mean. `run` is what the last
 * call returned: jobs that were added to a run come behind it, in parts of their own.
 */
export function learnPart(bytes: Uint8Array, names: Names, run: number): number {
  const part = Part.decode(bytes);
  if (part.type === "Worker") names.addWorker(part.id, part.name);
  if (part.type === "Added") names.addJobs(run, part.jobs);
  if (part.type !== "Run") return run;
  names.addRun(part.number, { id: part.id, jobs: part.spec.jobs });
  return part.number;
}

/** Adds up what one part of a snapshot takes. `run` is what the last call returned, as above. */
export function weighPart(bytes: Uint8Array, forecast: Forecast, run: number): number {
  const part = Part.decode(bytes);
  if (part.type === "Added") forecast.add(run, jobsMemory(part.jobs));
  if (part.type === "Jobs") {
    forecast.add(run, part.jobs.reduce((sum, job) => sum + leftMemory(job), 0));
  }
  if (part.type !== "Run") return run;
  forecast.add(part.number, runMemory(part.key, part.spec) + jobsMemory(part.spec.jobs));
  return part.number;
}

/** Reads what `writeSnapshot` wrote, part by part, then `finish` rebuilds the indexes. */
export class SnapshotReader {
  readonly #state = new State();
  #run: Run | undefined;
  #expected = 0;

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
        return registerWorker(this.#state, { ...worker, jobs: new Set() });
      }
      case "Run": return this.#beginRun(part);
      case "Added": {
        for (const spec of part.jobs) {
          this.#run!.dag.addJob(spec.id, spec.dependsOn);
          this.#addJob(this.#run!, spec);
        }
        return;
      }
      case "Jobs": {
        const run = this.#run!;
        for (const [offset, record] of part.jobs.entries()) {
          const job = Object.assign(run.jobs[part.from + offset]!, record);
          // A view of the whole block otherwise, as in `ownSpec`.
          if (job.result !== undefined) job.result = Buffer.from(job.result);
          this.#charge(run, leftMemory(job));
        }
        return;
      }
      case "Finished": {
        for (const number of part.runs) {
          const run = this.#state.runs.get(number)!;
          this.#state.finished.add(run);
          this.#state.finishedBytes += run.bytes;
        }
      }
    }
  }

  #beginRun(part: Extract<Part, { type: "Run" }>): void {
    const { number, id, key, spec, submittedAt, endedAt, status, cancelling } = part;
    const run = new Run({ number, id, key, spec, submittedAt });
    Object.assign(run, { endedAt, status, cancelling });
    run.budget = RetryBudget.fromJSON(JSON.parse(part.budget));
    this.#charge(run, runMemory(key, spec));
    for (const job of spec.jobs) this.#addJob(run, job);
    this.#run = run;
    this.#expected += part.jobs;
    this.#state.runs.set(number, run);
    this.#state.runsById.set(id, run);
    if (key !== undefined) this.#state.runsByKey.set(key, run);
  }

  #addJob(run: Run, spec: JobSpec): void {
    run.jobs.push(new Job(run, run.jobs.length, ownSpec(spec)));
    this.#charge(run, jobMemory(spec));
  }

  #charge(run: Run, bytes: number): void {
    run.bytes += bytes;
    this.#state.bytes += bytes;
  }

  finish(): State {
    const state = this.#state;
    const waiting: Job[] = [];
    let jobs = 0;
    for (const run of state.runs.values()) {
      jobs += run.jobs.length;
      for (const job of run.jobs) run.requirements.add(job.requirement);
      if (run.status === "RUNNING") claimRequirements(state, run);
      for (const index of run.dag.topologicalOrder()) {
        const job = run.jobs[index]!;
        run.counts[JOB_STATUSES.indexOf(job.status)]! += 1;
        run.resultBytes += job.result?.length ?? 0;
        if (isTerminal(job.status)) {
          if (job.status === "CANCELLED") run.dag.settleEarly(index);
          else run.dag.settle(index);
        } else run.open += 1;
        if (job.status === "DEAD") state.deadLetters.add(job);
        if (job.status === "RUNNING" || job.status === "WAITING" || job.order > 0 || job.dueAt > 0) waiting.push(job);
      }
    }
    state.jobs = jobs;
    invariant(jobs === this.#expected, `a snapshot names ${this.#expected} jobs and holds ${jobs}`);
    // In the order in which they came: equal priorities must leave their queue as they would have.
    waiting.sort((a, b) => a.order - b.order || a.run.number - b.run.number || a.index - b.index);
    for (const job of waiting) index(state, job);
    return state;
  }
}

/** Enters one job into the indexes that its own fields call for. */
function index(state: State, job: Job): void {
  if (job.status === "RUNNING") {
    state.workers.get(job.worker)!.jobs.add(job);
    state.router.take(job.worker);
  } else if (job.status === "WAITING") {
    state.gates.add(job);
    state.delayed.push(job, job.deadline);
  } else if (job.order > 0) {
    state.ready.push(readyKey(job), job, { priority: job.spec.priority, order: job.order });
  } else {
    state.delayed.push(job, job.dueAt);
  }
}

/** Restores a state from the parts of a snapshot. */
export function readSnapshot(parts: Iterable<Uint8Array>): State {
  const reader = new SnapshotReader();
  for (const part of parts) reader.part(part);
  return reader.finish();
}

