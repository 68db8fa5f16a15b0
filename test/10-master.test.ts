/**
 * Lesson 10's contract: decide, apply, and what must hold between them. No socket, no file, no clock.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, deadJobs, deadLetter, decideAddJobs, decideCancel, decideDrain, decideFinish, decideForget, decideForgotten, decideGate, decideJoin, decideLose, decideRetry, decideSubmit, decideTick, Event,
  gateInfo, hashState, isTerminal, jobChange, jobInfo, MAX_FINISHED_BYTES, MAX_RUN_RESULT_BYTES,
  nextStart, readSnapshot, reasonOf, Refusal, staleAttempts, State, writeSnapshot, type Context,
  type Job,
} from "#core";
import { message, u32, u53, union } from "#codec";
import { requirementKey } from "#routing";
import { GateList, JobInfo, MAX_WORKERS, type JobSpec, type AttemptKey, type PipelineSpec, type Report } from "#wire";

const keyOf = (job: Job): AttemptKey => ({ run: job.run.number, job: job.index, attempt: job.attempt });

// ── a master made of nothing but functions ───────────────────────────────────────────────────────

/** mulberry32: small, seeded, and good enough to shuffle with. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Bench {
  state = new State();
  readonly log: Buffer[] = [];
  now = 1_800_000_000_000;
  readonly random: () => number;

  constructor(seed = 1) {
    this.random = seeded(seed);
  }

  get context(): Context {
    return { now: this.now, random: this.random };
  }

  commit(events: readonly Event[]): void {
    for (const event of events) {
      this.log.push(Event.encode(event));
      apply(this.state, event);
    }
  }

  submit(jobs: JobSpec[], options: { key?: string; strict?: boolean; name?: string } = {}): string {
    const spec: PipelineSpec = { name: options.name ?? "test", version: undefined, project: undefined, jobs };
    const answer = decideSubmit(this.state, { spec, key: options.key, strict: options.strict ?? false }, this.context);
    this.commit(answer.events);
    return answer.run;
  }

  join(offer: { tags?: string[]; slots?: number; instance?: string } = {}): number {
    const { tags = [], slots = 1, instance = "i" } = offer;
    const { event, worker } = decideJoin(this.state, { instance, name: "", tags, slots, version: "" }, this.context);
    this.commit([event]);
    return worker;
  }

  /** Starts all that can start. */
  schedule(): Job[] {
    const started: Job[] = [];
    for (let event = nextStart(this.state, this.now); event !== undefined; event = nextStart(this.state, this.now)) {
      this.commit([event]);
      assert.ok(event.type === "JobStarted");
      started.push(this.state.runs.get(event.run)!.jobs[event.job]!);
    }
    return started;
  }

  finish(job: Job, outcome: Partial<Report> = {}): boolean {
    const report: Report = { run: job.run.number, job: job.index, attempt: job.attempt, failure: undefined, result: undefined, durationMs: 1, ...outcome };
    const event = decideFinish(this.state, report, { worker: job.worker, ...this.context });
    if (event !== undefined) this.commit([event]);
    return event !== undefined;
  }

  fail(job: Job, kind: "exit" | "not-found" = "exit"): boolean {
    return this.finish(job, { failure: { kind, message: "exit 1", exitCode: 1, signal: undefined } });
  }

  tick(ms: number): void {
    this.now += ms;
    this.commit(decideTick(this.state, this.context));
  }

  job(run: string, id: string): Job {
    const found = this.state.runsById.get(run)!;
    return found.jobs[found.dag.indexOf(id)!]!;
  }

  statuses(run: string): Record<string, string> {
    return Object.fromEntries(this.state.runsById.get(run)!.jobs.map((job) => [job.spec.id, job.status]));
  }

  /** Runs everything to its end, in as many rounds as it takes. */
  drain(): string[] {
    const order: string[] = [];
    for (let started = this.schedule(); started.length > 0; started = this.schedule()) {
      for (const job of started) {
        order.push(job.spec.id);
        this.finish(job);
      }
    }
    return order;
  }
}

function spec(id: string, fields: Partial<JobSpec> = {}): JobSpec {
  return {
    id, action: { type: "command", argv: ["true"] }, dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success",
    timeoutMs: 0, retry: undefined, env: {}, gate: undefined, ...fields,
  };
}

const retry = (maxAttempts: number) => ({ maxAttempts, delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0 });

function refusal(code: Refusal["code"], message?: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

/** The indexes, computed again from the jobs alone. */
function checkIndexes(state: State): void {
  const queued = [...state.ready].flatMap(([key, queue]) => [...queue].map((job) => ({ key, job })));
  const ready = [...state.runs.values()].flatMap((run) => run.jobs.filter((job) => job.order > 0));
  assert.deepEqual(new Set(queued.map(({ job }) => job)), new Set(ready), "the ready queues hold the ready jobs");
  assert.equal(queued.length, ready.length, "each of them once");
  for (const { key, job } of queued) assert.equal(key, requirementKey(job.spec.requirement, job.pinned === 0 ? undefined : job.pinned));
  for (const run of state.runs.values()) {
    const counts: Record<string, number> = {};
    let open = 0;
    for (const job of run.jobs) {
      counts[job.status] = (counts[job.status] ?? 0) + 1;
      if (!isTerminal(job.status)) open += 1;
      assert.equal(run.dag.isSettled(job.index), isTerminal(job.status), `${job.spec.id}: settled if and only if terminal`);
      if (job.status === "RUNNING" || job.status === "COMPLETED") {
        for (const parent of job.spec.dependsOn) assert.ok(isTerminal(run.jobs[parent]!.status), "parents before children");
        if (job.spec.when === "success") for (const parent of job.spec.dependsOn) assert.equal(run.jobs[parent]!.status, "COMPLETED");
      }
    }
    assert.equal(run.open, open);
    assert.equal(run.resultBytes, run.jobs.reduce((sum, job) => sum + (job.result?.length ?? 0), 0), "bytes of results");
    assert.equal(run.status === "RUNNING", open > 0, "a run goes on while a job is open");
    assert.deepEqual(run.counts.filter((n) => n > 0).sort(), Object.values(counts).sort());
  }
  const finished = [...state.finished];
  assert.equal(state.finishedJobs, finished.reduce((sum, run) => sum + run.jobs.length, 0));
  assert.equal(state.finishedBytes, finished.reduce((sum, run) => sum + run.resultBytes, 0));
  assert.equal(state.jobs, [...state.runs.values()].reduce((sum, run) => sum + run.jobs.length, 0));
  for (const worker of state.workers.values()) {
    assert.ok(worker.jobs.size <= worker.slots, "slots are never oversubscribed");
    assert.equal(state.router.running(worker.id), worker.jobs.size);
    for (const job of worker.jobs) assert.ok(job.status === "RUNNING" && job.worker === worker.id);
    assert.equal(state.workersByInstance.get(worker.instance), worker);
    assert.equal(state.router.canEver(requirementKey([], worker.id)), !worker.draining);
  }
  for (const { job } of queued) assert.notEqual(state.workers.get(job.pinned)?.draining, true, "nobody waits for a worker that takes nothing");
  assert.equal(state.workersByInstance.size, state.workers.size);
}

// ── submission ───────────────────────────────────────────────────────────────────────────────────

test("decideSubmit() refuses a cycle by its path and leaves no trace", () => {
  const bench = new Bench();
  const before = hashState(bench.state);
  const jobs = [spec("a", { dependsOn: [2] }), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] })];
  assert.throws(() => bench.submit(jobs), refusal("INVALID", /cycle .*a.* → .*b.* → .*c/));
  assert.equal(hashState(bench.state), before);
});

test("decideSubmit() refuses indexes and tags that no honest client sends", () => {
  const bench = new Bench();
  assert.throws(() => bench.submit([]), refusal("INVALID", /has no jobs/));
  assert.throws(() => bench.submit([spec("a", { dependsOn: [7] })]), refusal("INVALID", /depends on job number 7 of 1/));
  assert.throws(() => bench.submit([spec("a", { dependsOn: [0] })]), refusal("INVALID", /depends on itself/));
  assert.throws(() => bench.submit([spec("a"), spec("a")]), refusal("INVALID", /"a"/));
  assert.throws(() => bench.submit([spec("a"), spec("b", { affinity: 0 })]), refusal("INVALID", /affinity/));
  assert.throws(() => bench.submit([spec("a", { requirement: ["GPU@3"] })]), refusal("INVALID", /not a tag/));
});

test("decideSubmit() makes one run of one key", () => {
  const bench = new Bench();
  const first = bench.submit([spec("a")], { key: "k" });
  const events = bench.log.length;
  assert.equal(bench.submit([spec("a")], { key: "k" }), first);
  assert.equal(bench.log.length, events, "the second submission is no event");
  assert.notEqual(bench.submit([spec("a")], { key: "other" }), first);
  assert.throws(() => bench.submit([spec("b")], { key: "k" }), refusal("CONFLICT", /key "k" belongs to run/));
});

test("decideSubmit() warns about a requirement nobody can meet, and refuses it when strict", () => {
  const bench = new Bench();
  bench.join({ tags: ["GPU"] });
  const asked = { name: "x", version: undefined, project: undefined, jobs: [spec("a", { requirement: ["GPU", "HIGH_MEM"] })] };
  const { warnings } = decideSubmit(bench.state, { spec: asked, strict: false }, bench.context);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /"a".*HIGH_MEM/);
  assert.throws(() => decideSubmit(bench.state, { spec: asked, strict: true }, bench.context), refusal("UNSCHEDULABLE"));
});

test("decideSubmit() refuses more open runs than it has room for, until some have ended", () => {
  const bench = new Bench();
  bench.join();
  const runs = Array.from({ length: 10_000 }, () => bench.submit([spec("a")]));
  assert.throws(() => bench.submit([spec("a")]), refusal("OVERLOADED", /10000 are open already/));
  bench.commit(decideCancel(bench.state, { run: runs[0]! }, bench.context));
  bench.submit([spec("a")]);
});

test("a chain of 100,000 jobs, a fan of 100,000, and a reversed list overflow no stack and end", () => {
  const count = 100_000;
  for (const shape of [
    (i: number) => (i === 0 ? [] : [i - 1]),
    (i: number) => (i === 0 ? [] : [0]),
    (i: number) => (i === count - 1 ? [] : [i + 1]),
  ]) {
    const bench = new Bench();
    bench.join({ slots: 4096 });
    const run = bench.submit(Array.from({ length: count }, (_, i) => spec(`j${i}`, { dependsOn: shape(i) })));
    // The first failure skips the rest, which is the deepest cascade there is.
    const [first] = bench.schedule();
    bench.fail(first!);
    const { status, counts } = bench.state.runsById.get(run)!;
    assert.equal(status, "FAILED");
    assert.equal(counts.reduce((sum, n) => sum + n, 0), count);
  }
});

// ── scheduling ───────────────────────────────────────────────────────────────────────────────────

test("nextStart() takes the highest priority first, and the oldest of equals", () => {
  const bench = new Bench();
  bench.submit([spec("low", { priority: -1 }), spec("first"), spec("second"), spec("high", { priority: 9 })]);
  bench.join();
  assert.deepEqual(bench.drain(), ["high", "first", "second", "low"]);
});

test("nextStart() passes over a queue whose workers are busy", () => {
  const bench = new Bench();
  bench.submit([spec("gpu1", { requirement: ["GPU"], priority: 9 }), spec("gpu2", { requirement: ["GPU"], priority: 9 }), spec("any")]);
  bench.join({ tags: ["GPU"] });
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["gpu1"]);
  bench.join();
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["any"]);
});

test("affinity waits for the parent's worker, and stops waiting when that worker is gone", () => {
  const bench = new Bench();
  const w1 = bench.join();
  const run = bench.submit([spec("parent"), spec("child", { dependsOn: [0], affinity: 0 }), spec("other", { priority: 5 })]);
  const [other] = bench.schedule();
  bench.finish(other!);
  const [parent] = bench.schedule();
  assert.equal(parent!.worker, w1);
  bench.join({ instance: "second" });
  bench.finish(parent!);
  assert.deepEqual(bench.schedule().map((job) => [job.spec.id, job.worker]), [["child", w1]]);
  // Its worker dies: the child has to run somewhere.
  bench.commit(decideLose(bench.state, { worker: w1, reason: "gone" }, bench.context));
  assert.deepEqual(bench.schedule().map((job) => [job.spec.id, job.worker]), [["child", 2]]);
  assert.equal(bench.job(run, "child").attempt, 2);
});

test("a delayed job starts after its delay and not a millisecond before", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { delayMs: 5000 })]);
  assert.deepEqual(bench.schedule(), []);
  assert.equal(bench.state.delayed.nextAt, bench.now + 5000);
  assert.match(reasonOf(bench.state, bench.job(run, "a"), bench.now), /delayed for another 5.0 s/);
  bench.tick(4999);
  assert.deepEqual(bench.schedule(), []);
  bench.tick(1);
  assert.equal(bench.schedule().length, 1);
});

test("reasonOf() names what every waiting job waits for", () => {
  const bench = new Bench();
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("g", { requirement: ["GPU"] }), spec("c"),
  ]);
  bench.join();
  bench.schedule();
  const reason = (id: string) => reasonOf(bench.state, bench.job(run, id), bench.now);
  assert.equal(reason("a"), "");
  assert.equal(reason("b"), "waits for a (RUNNING)");
  assert.match(reason("g"), /no worker has GPU/);
  assert.match(reason("c"), /slot/);
});

// ── endings ──────────────────────────────────────────────────────────────────────────────────────

test("decideFinish() refuses a report of another attempt, another worker, or a second time", () => {
  const bench = new Bench();
  const worker = bench.join();
  bench.submit([spec("a", { retry: retry(3) })]);
  const [job] = bench.schedule();
  const report = { run: 1, job: 0, attempt: 1, failure: undefined, result: undefined, durationMs: 0 };
  const decide = (change: Partial<Report>, from = worker) => decideFinish(bench.state, { ...report, ...change }, { worker: from, ...bench.context });
  assert.equal(decide({ attempt: 2 }), undefined);
  assert.equal(decide({ run: 9 }), undefined);
  assert.equal(decide({ job: 9 }), undefined);
  assert.equal(decide({}, worker + 1), undefined);
  assert.ok(bench.finish(job!));
  assert.equal(decide({}), undefined, "one attempt has one ending");
});

test("retries wait for their backoff, spend their attempts, and end DEAD", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { retry: retry(3) })]);
  for (const [attempt, delay] of [[1, 1000], [2, 2000]] as const) {
    const [job] = bench.schedule();
    assert.equal(job!.attempt, attempt);
    bench.fail(job!);
    assert.equal(job!.status, "PENDING");
    assert.equal(bench.state.delayed.nextAt, bench.now + delay);
    bench.tick(delay);
  }
  const [last] = bench.schedule();
  bench.fail(last!);
  assert.equal(last!.status, "DEAD");
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
  assert.deepEqual([...bench.state.deadLetters], [last]);
});

test("a failure that cannot get better is not retried", () => {
  const bench = new Bench();
  bench.join();
  bench.submit([spec("a", { retry: retry(5) })]);
  const [job] = bench.schedule();
  bench.fail(job!, "not-found");
  assert.equal(job!.status, "FAILED");
});

test("when: success, failure and always see failures near and far", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const run = bench.submit([
    spec("bad"), spec("good"),
    spec("afterBad", { dependsOn: [0] }),
    spec("onFailure", { dependsOn: [2], when: "failure" }),
    spec("onFailureOfGood", { dependsOn: [1], when: "failure" }),
    spec("cleanup", { dependsOn: [2, 1], when: "always" }),
    spec("afterHandler", { dependsOn: [4] }),
  ]);
  for (const job of bench.schedule()) job.spec.id === "bad" ? bench.fail(job) : bench.finish(job);
  bench.drain();
  assert.deepEqual(bench.statuses(run), {
    bad: "FAILED", good: "COMPLETED", afterBad: "SKIPPED", onFailure: "COMPLETED", onFailureOfGood: "SKIPPED", cleanup: "COMPLETED", afterHandler: "SKIPPED",
  });
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
});

test("a lost worker's job goes elsewhere and spends no retry; five lost workers make it a dead letter", () => {
  const bench = new Bench();
  const run = bench.submit([spec("killer")]);
  for (let loss = 1; loss <= 5; loss++) {
    const worker = bench.join({ instance: `i${loss}` });
    const [job] = bench.schedule();
    assert.equal(job!.attempt, loss);
    bench.commit(decideLose(bench.state, { worker, reason: "died" }, bench.context));
    assert.equal(job!.failures, 0);
    assert.equal(job!.status, loss < 5 ? "PENDING" : "DEAD");
  }
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
});

test("a worker that comes back keeps what it knows, loses what it forgot, and drops what is not its own", () => {
  const bench = new Bench();
  const worker = bench.join({ slots: 2 });
  bench.submit([spec("kept"), spec("forgotten")]);
  const [kept, forgotten] = bench.schedule();
  const running = [
    { run: 1, job: kept!.index, attempt: 1 },
    { run: 1, job: forgotten!.index, attempt: 7 },
  ];
  assert.deepEqual(staleAttempts(bench.state, { worker, running }), [running[1]]);
  bench.commit(decideForgotten(bench.state, { worker, running: running.slice(0, 1) }, bench.context));
  assert.equal(kept!.status, "RUNNING");
  assert.equal(forgotten!.status, "PENDING");
});

test("decideLose() after a goodbye, and decideForgotten(), blame no job, however often that happens", () => {
  const bench = new Bench();
  bench.submit([spec("unlucky")]);
  for (let time = 1; time <= 10; time++) {
    const worker = bench.join({ instance: `i${time}` });
    const [job] = bench.schedule();
    if (time % 2 === 0) bench.commit(decideLose(bench.state, { worker, reason: "said goodbye", blamed: false }, bench.context));
    else {
      bench.commit(decideForgotten(bench.state, { worker, running: [] }, bench.context));
      bench.commit(decideLose(bench.state, { worker, reason: "died" }, bench.context)); // and has nothing any more
    }
    assert.deepEqual([job!.status, job!.losses, job!.attempt], ["PENDING", 0, time]);
  }
});

test("JobLost of an older log, which says nothing of blame, counts as it did", () => {
  const older = union("Event", { JobLost: [7, message("JobLost", { run: [1, u32()], job: [2, u32()], attempt: [3, u32()], at: [4, u53()] })] });
  const bench = new Bench();
  bench.submit([spec("a")]);
  bench.join();
  const [job] = bench.schedule();
  bench.commit([Event.decode(older.encode({ type: "JobLost", run: 1, job: 0, attempt: 1, at: bench.now }))]);
  assert.deepEqual([job!.status, job!.losses], ["PENDING", 1]);
});

test("decideDrain() keeps new work away, leaves what runs, survives a snapshot, and can be undone", () => {
  const bench = new Bench();
  const w1 = bench.join({ slots: 2 });
  bench.submit([spec("a"), spec("b", { dependsOn: [0] })]);
  const [a] = bench.schedule();
  bench.commit(decideDrain(bench.state, { worker: "w1", undo: false }, bench.context).events);
  assert.deepEqual(decideDrain(bench.state, { worker: String(w1), undo: false }, bench.context).events, [], "once is enough");
  bench.finish(a!);
  assert.deepEqual(bench.schedule(), []);
  const b = bench.job(a!.run.id, "b");
  assert.equal(reasonOf(bench.state, b, bench.now), "no free slot on the only worker (2 slots, draining)");
  const restored = readSnapshot(writeSnapshot(bench.state));
  assert.equal(hashState(restored), hashState(bench.state));
  assert.equal(nextStart(restored, bench.now), undefined);
  bench.commit(decideDrain(bench.state, { worker: "w1", undo: true }, bench.context).events);
  assert.deepEqual(bench.schedule(), [b]);
});

test("decideDrain() frees the jobs that wait for this very worker, and warns of those that nobody else could run", () => {
  const bench = new Bench();
  const w1 = bench.join({ tags: ["GPU"] });
  bench.submit([spec("parent"), spec("child", { dependsOn: [0], affinity: 0 }), spec("other", { priority: 5 })]);
  const [other] = bench.schedule();
  bench.finish(other!);
  const [parent] = bench.schedule();
  const w2 = bench.join({ instance: "second" });
  bench.submit([spec("late", { priority: 9 })]);
  assert.deepEqual(bench.schedule().map(({ worker }) => worker), [w2]);
  bench.finish(parent!);
  bench.commit(decideDrain(bench.state, { worker: "w1", undo: false }, bench.context).events);
  checkIndexes(bench.state);
  bench.finish(bench.state.runs.get(2)!.jobs[0]!);
  assert.deepEqual(bench.schedule().map((job) => [job.spec.id, job.worker]), [["child", w2]]);
  const gpu = { name: "x", version: undefined, project: undefined, jobs: [spec("a", { requirement: ["GPU"] })] };
  assert.match(decideSubmit(bench.state, { spec: gpu, strict: false }, bench.context).warnings[0]!, /no free slot on the only worker with GPU \(1 slot, draining\)/);
  assert.throws(() => decideSubmit(bench.state, { spec: gpu, strict: true }, bench.context), refusal("UNSCHEDULABLE"));
  assert.equal(bench.state.workers.get(w1)!.jobs.size, 0);
});

test("decideDrain() ends with the registration, and refuses names that fit nobody or several", () => {
  const bench = new Bench();
  assert.throws(() => decideDrain(bench.state, { worker: "w1", undo: false }, bench.context), refusal("NOT_FOUND", /there are no workers/));
  for (const instance of ["one", "two"]) {
    const { event } = decideJoin(bench.state, { instance, name: "twin", tags: [], slots: 1, version: "" }, bench.context);
    bench.commit([event]);
  }
  assert.throws(() => decideDrain(bench.state, { worker: "twin", undo: false }, bench.context), refusal("CONFLICT", /name of 2 \(give a number: 1, 2\)/));
  assert.throws(() => decideDrain(bench.state, { worker: "twinn", undo: false }, bench.context), refusal("NOT_FOUND", /"twinn"/));
  assert.throws(() => decideDrain(bench.state, { worker: "3", undo: false }, bench.context), refusal("NOT_FOUND", /"3"/));
  bench.commit(decideDrain(bench.state, { worker: "2", undo: false }, bench.context).events);
  bench.commit(decideLose(bench.state, { worker: 2, reason: "gone" }, bench.context));
  const back = bench.join({ instance: "two" });
  assert.equal(bench.state.workers.get(back)!.draining, false);
});

test("decideJoin() refuses more registrations than a master keeps", () => {
  const bench = new Bench();
  for (let n = 0; n < MAX_WORKERS; n++) bench.join({ instance: `i${n}` });
  assert.throws(() => bench.join({ instance: "one more" }), refusal("OVERLOADED", /4096 are registered/));
});

test("deadJobs() tells the newest last, before and after a snapshot", () => {
  const bench = new Bench();
  bench.join();
  for (const id of ["first", "second", "third"]) {
    bench.tick(1000);
    bench.submit([spec(id, { retry: retry(2) })]);
    for (let attempt = 1; attempt <= 2; attempt++) {
      for (const job of bench.schedule()) bench.fail(job);
      bench.tick(60_000);
    }
  }
  const letters = deadJobs(bench.state).map(deadLetter);
  assert.deepEqual(letters.map(({ job, attempts, failures, losses }) => [job, attempts, failures, losses]), [["first", 2, 2, 0], ["second", 2, 2, 0], ["third", 2, 2, 0]]);
  assert.deepEqual(deadJobs(readSnapshot(writeSnapshot(bench.state))).map(deadLetter), letters);
  bench.commit(decideRetry(bench.state, { run: letters[1]!.run, from: "second" }, bench.context));
  assert.deepEqual(deadJobs(bench.state).map(deadLetter).map(({ job }) => job), ["first", "third"]);
});

// ── people ───────────────────────────────────────────────────────────────────────────────────────

test("cancel takes waiting jobs at once, running ones when their process is gone, and what follows with them", () => {
  const bench = new Bench();
  bench.join({ slots: 1 });
  const run = bench.submit([spec("running"), spec("waiting"), spec("child", { dependsOn: [0] }), spec("later", { delayMs: 1000 })]);
  const [job] = bench.schedule();
  bench.commit(decideCancel(bench.state, { run }, bench.context));
  assert.deepEqual(bench.statuses(run), {
    running: "RUNNING", waiting: "CANCELLED", child: "CANCELLED", later: "CANCELLED",
  });
  assert.equal(job!.cancelling, true);
  assert.deepEqual(bench.schedule(), []);
  bench.finish(job!); // it happened to succeed: the wish was earlier
  assert.deepEqual(bench.statuses(run), { running: "CANCELLED", waiting: "CANCELLED", child: "CANCELLED", later: "CANCELLED" });
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  assert.deepEqual(decideCancel(bench.state, { run }, bench.context), [], "cancelling what has ended changes nothing");
});

test("cancel of one job leaves its neighbours alone, even before its turn has come", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] }), spec("d", { dependsOn: [0] })]);
  bench.commit(decideCancel(bench.state, { run, job: "b" }, bench.context));
  bench.drain();
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "CANCELLED", c: "SKIPPED", d: "COMPLETED" });
});

test("cancel of a job that waits for its parents ends it at once, and its children do not wait for them either", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"),
    spec("b", { dependsOn: [0] }),
    spec("after", { dependsOn: [1] }),
    spec("clean", { dependsOn: [1], when: "always" }),
    spec("both", { dependsOn: [0, 1], when: "always" }),
  ]);
  const [a] = bench.schedule();
  bench.commit(decideCancel(bench.state, { run, job: "b" }, bench.context));
  assertRecoverable(bench);
  const early = {
    a: "RUNNING", b: "CANCELLED", after: "SKIPPED", clean: "PENDING", both: "PENDING",
  };
  assert.deepEqual(bench.statuses(run), early);
  assert.deepEqual(decideCancel(bench.state, { run, job: "b" }, bench.context), [], "it has ended");
  const [clean] = bench.schedule();
  assert.equal(clean!.spec.id, "clean");
  bench.finish(clean!);
  bench.finish(a!);
  assertRecoverable(bench);
  bench.drain();
  assert.equal(bench.statuses(run)["both"], "COMPLETED");
  bench.commit(decideRetry(bench.state, { run, from: "b" }, bench.context));
  bench.drain();
  assert.equal(bench.statuses(run)["b"], "COMPLETED");
  assertRecoverable(bench);
});

test("cancel of a job that waits for a delay, a worker or a person ends it at once", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([
    spec("gated", { gate: { message: "Ship it?", maxWaitMs: 60_000 } }),
    spec("delayed", { delayMs: 60_000 }),
    spec("gpu", { requirement: ["GPU"] }),
    spec("next", { dependsOn: [0] }),
  ]);
  bench.finish(bench.schedule()[0]!);
  for (const job of ["gated", "delayed", "gpu"]) {
    bench.commit(decideCancel(bench.state, { run, job }, bench.context));
  }
  const ended = { gated: "CANCELLED", delayed: "CANCELLED", gpu: "CANCELLED", next: "SKIPPED" };
  assert.deepEqual(bench.statuses(run), ended);
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  assertRecoverable(bench);
});

test("a retry opens a job that was cancelled before its parents ended, together with its parent", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] }),
  ]);
  const [a] = bench.schedule();
  bench.commit(decideCancel(bench.state, { run, job: "b" }, bench.context));
  bench.commit(decideRetry(bench.state, { run }, bench.context));
  assert.deepEqual(bench.statuses(run), { a: "RUNNING", b: "PENDING", c: "PENDING" });
  assertRecoverable(bench);
  bench.commit(decideCancel(bench.state, { run, job: "b" }, bench.context));
  bench.fail(a!);
  bench.commit(decideRetry(bench.state, { run, from: "a" }, bench.context));
  bench.drain();
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "COMPLETED", c: "COMPLETED" });
  assertRecoverable(bench);
});

test("decideRetry() refuses a job that would be skipped at once, and names the job to begin with", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("root"),
    spec("middle", { dependsOn: [0] }),
    spec("leaf", { dependsOn: [1] }),
    spec("fine"),
    spec("report", { dependsOn: [3], when: "failure" }),
    spec("after-report", { dependsOn: [4] }),
  ]);
  const [root, fine] = bench.schedule();
  bench.fail(root!);
  bench.finish(fine!);
  const retryFrom = (from: string) => () => decideRetry(bench.state, { run, from }, bench.context);
  const because =
    /it would be skipped, because its parent "middle" is SKIPPED \(--from root runs both\)/;
  assert.throws(retryFrom("leaf"), refusal("CONFLICT", because));
  assert.throws(
    retryFrom("middle"),
    refusal("CONFLICT", /its parent "root" is FAILED \(--from root runs both\)/),
  );
  assert.throws(
    retryFrom("report"),
    refusal("CONFLICT", /waits for a failure \(when: failure\) and no parent has failed/),
  );
  const [event] = decideRetry(bench.state, { run }, bench.context);
  assert.ok(event?.type === "RunRetried");
  assert.deepEqual(
    event.jobs.toSorted((a, b) => a - b),
    [0, 1, 2],
    "what would be skipped for the same reason stays as it is",
  );
  bench.commit([event]);
  assert.throws(retryFrom("leaf"), refusal("CONFLICT", /the job is PENDING and has not ended/));
  bench.drain();
  assert.throws(
    () => decideRetry(bench.state, { run }, bench.context),
    refusal("CONFLICT", /nothing in it has failed/),
  );
  assertRecoverable(bench);
});

test("decideRetry() advises only what makes the job run, and finds a failure for one that wants one", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("one"),
    spec("two"),
    spec("both", { dependsOn: [0, 1] }),
    spec("report", { dependsOn: [0], when: "failure" }),
    spec("fine"),
    spec("never", { dependsOn: [4], when: "failure" }),
    spec("lost", { dependsOn: [0, 5] }),
  ]);
  const [one, two, fine] = bench.schedule();
  bench.fail(one!);
  bench.fail(two!);
  bench.finish(fine!);
  bench.drain();
  const retryFrom = (from: string) => decideRetry(bench.state, { run, from }, bench.context);
  const all = /its parent "one" is FAILED \(without --from, all that did not complete runs\)$/;
  assert.throws(() => retryFrom("both"), refusal("CONFLICT", all));
  assert.throws(
    () => retryFrom("lost"),
    refusal("CONFLICT", /its parent "one" is FAILED$/),
    "nothing helps it",
  );
  const [again] = retryFrom("report");
  assert.ok(again?.type === "RunRetried");
  assert.deepEqual(again.jobs, [3], "its parent has failed, which is what it wants");
  bench.commit(decideRetry(bench.state, { run }, bench.context));
  assert.equal(bench.statuses(run)["both"], "PENDING");
});

test("cancel of a run takes whatever its jobs wait for, is asked once, and a gate is not answered after it", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("gated", { gate: { message: "Ship it?", maxWaitMs: 60_000 } }),
    spec("flaky", { retry: retry(3) }),
    spec("runs"),
    spec("delayed", { delayMs: 60_000 }),
    spec("gpu", { requirement: ["GPU"] }),
    spec("child", { dependsOn: [2] }),
    spec("clean", { dependsOn: [0, 2], when: "always" }),
    spec("report", { dependsOn: [1], when: "failure" }),
  ]);
  const [gated, flaky, runs] = bench.schedule();
  bench.finish(gated!);
  bench.fail(flaky!);
  assert.deepEqual([gated!.status, flaky!.status], ["WAITING", "PENDING"]);
  bench.commit(decideCancel(bench.state, { run }, bench.context));
  checkIndexes(bench.state);
  const { runs: left, ...others } = bench.statuses(run);
  assert.equal(left, "RUNNING");
  assert.deepEqual(new Set(Object.values(others)), new Set(["CANCELLED"]));
  assert.deepEqual(decideCancel(bench.state, { run }, bench.context), [], "asked once");
  const answer = { gate: `${run}/gated`, approve: true, by: "ada", comment: "" };
  const gone = /the job is CANCELLED and waits for nobody/;
  assert.throws(() => decideGate(bench.state, answer, bench.context), refusal("CONFLICT", gone));
  const late = { run, jobs: [spec("late", { dependsOn: [5] })] };
  assert.throws(() => decideAddJobs(bench.state, late, bench.context), refusal("CONFLICT"));
  bench.finish(runs!);
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  bench.tick(120_000);
  assert.deepEqual(bench.schedule(), [], "no timer brings one of them back");
  assertRecoverable(bench);
});

test("jobs that are added under a cancelled one end with the reason, or run if they always do", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("c", { retry: retry(2) }),
  ]);
  const [, c] = bench.schedule();
  bench.fail(c!);
  for (const job of ["b", "c"]) {
    bench.commit(decideCancel(bench.state, { run, job }, bench.context));
  }
  const more = [
    spec("under", { dependsOn: [1] }),
    spec("always", { dependsOn: [1, 2], when: "always" }),
    spec("later", { dependsOn: [0, 1], when: "always" }),
  ];
  bench.commit(decideAddJobs(bench.state, { run, jobs: more }, bench.context));
  checkIndexes(bench.state);
  assert.equal(
    jobInfo(bench.state, bench.job(run, "under"), bench.now).reason,
    "a parent was cancelled: b",
  );
  const rest = { under: "SKIPPED", always: "PENDING", later: "PENDING" };
  assert.deepEqual(bench.statuses(run), { a: "RUNNING", b: "CANCELLED", c: "CANCELLED", ...rest });
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["always"]);
  assertRecoverable(bench);
});

test("jobInfo() says why a job was skipped", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("bad"),
    spec("good"),
    spec("gone"),
    spec("one", { dependsOn: [1, 0] }),
    spec("two", { dependsOn: [2, 0] }),
    spec("grandchild", { dependsOn: [3] }),
    spec("handler", { dependsOn: [1], when: "failure" }),
    spec("after", { dependsOn: [6], when: "failure" }),
  ]);
  const [bad, good, gone] = bench.schedule();
  bench.commit(decideCancel(bench.state, { run, job: "gone" }, bench.context));
  bench.finish(gone!);
  bench.finish(good!);
  bench.fail(bad!);
  const jobs = bench.state.runsById.get(run)!.jobs;
  const why = jobs.slice(3).map((job) => [job.status, jobInfo(bench.state, job, bench.now).reason]);
  assert.deepEqual(why, [
    ["SKIPPED", "a parent failed: bad"],
    ["SKIPPED", "a parent was cancelled: gone (1 more did not complete)"],
    ["SKIPPED", "a parent was skipped: one"],
    ["SKIPPED", "when: failure, and all parents completed"],
    ["SKIPPED", "when: failure, and no parent failed"],
  ]);
});

test("jobInfo() tells when an attempt ended apart from when its gate was answered, and keeps the answer", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { gate: { message: "Ship it?", maxWaitMs: 60_000 } })]);
  const [job] = bench.schedule();
  const startedAt = bench.now;
  bench.now += 5;
  bench.finish(job!);
  bench.now += 8000;
  const answer = { gate: `${run}/a`, approve: true, by: "ada", comment: "ok by me" };
  bench.commit(decideGate(bench.state, answer, bench.context).events);
  const info = JobInfo.decode(JobInfo.encode(jobInfo(bench.state, job!, bench.now)));
  assert.deepEqual(
    [info.startedAt, info.stoppedAt, info.endedAt],
    [startedAt, startedAt + 5, startedAt + 8005],
  );
  assert.deepEqual(info.decision, {
    approved: true, by: "ada", comment: "ok by me", at: bench.now, already: false,
  });
  assertRecoverable(bench);
  bench.commit(decideRetry(bench.state, { run, from: "a" }, bench.context));
  const again = jobInfo(bench.state, job!, bench.now);
  assert.deepEqual([again.stoppedAt, again.decision], [undefined, undefined]);
});

test("jobInfo() of a job that runs again says nothing of when the attempt before ended", () => {
  const bench = new Bench();
  const worker = bench.join();
  bench.submit([spec("a")]);
  const [job] = bench.schedule();
  bench.now += 5;
  bench.commit(decideLose(bench.state, { worker, reason: "silent" }, bench.context));
  assert.equal(jobInfo(bench.state, job!, bench.now).stoppedAt, bench.now);
  bench.join({ instance: "j" });
  bench.schedule();
  assert.equal(jobInfo(bench.state, job!, bench.now).stoppedAt, undefined);
});

test("jobChange() tells a failure that is tried again from one that is not, and what a gate asks", () => {
  const bench = new Bench();
  bench.join();
  const seen: [string, number | undefined, string][] = [];
  const job = (changed: Job, at: number) => {
    const { status, retryAt, reason } = jobChange(bench.state, changed, at);
    seen.push([status, retryAt, reason]);
  };
  bench.state.observer = { job, run: () => undefined, forgotten: () => undefined };
  const twice = { ...retry(2), delayMs: 1000, jitter: 0 };
  bench.submit([spec("a", { retry: twice }), spec("b", { dependsOn: [0] })]);
  bench.fail(bench.schedule()[0]!);
  const retryAt = bench.now + 1000;
  assert.deepEqual(seen.slice(1), [["FAILED", retryAt, ""], ["PENDING", retryAt, ""]]);
  bench.tick(1000);
  bench.fail(bench.schedule()[0]!);
  assert.deepEqual(seen.slice(4), [
    ["DEAD", undefined, ""],
    ["SKIPPED", undefined, "a parent failed: a"],
  ]);
  bench.submit([spec("g", { gate: { message: "Ship it?", maxWaitMs: 60_000 } })]);
  bench.finish(bench.schedule()[0]!);
  assert.deepEqual(seen.at(-1), ["WAITING", undefined, "waits for approval: Ship it?"]);
});

test("a log of an older version, whose cancels waited for parents, replays to the state it had", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] }),
  ]);
  const [a] = bench.schedule();
  // The bytes as they were: variant 8 with run 1, the bench's time, job 1 alone, and not the whole
  // run.
  const old = Event.decode(Buffer.from("0808011080a0f1c2b1341a0101200000", "hex"));
  assert.deepEqual(old, { type: "JobsMarked", run: 1, at: bench.now, jobs: [1], whole: false });
  bench.commit([old]);
  assert.deepEqual(bench.statuses(run), { a: "RUNNING", b: "PENDING", c: "PENDING" });
  const [event] = decideCancel(bench.state, { run, job: "b" }, bench.context);
  assert.equal(event?.type, "JobsCancelled", "a second wish ends what the first one only marked");
  bench.finish(a!);
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "CANCELLED", c: "SKIPPED" });
  assertRecoverable(bench);
});

test("a version that only marked jobs refuses a log in which they are cancelled at once", () => {
  const now = 1_800_000_000_000;
  const bytes = Event.encode({ type: "JobsCancelled", run: 1, at: now, jobs: [1], whole: false });
  const fields = { run: [1, u32()], at: [2, u53()] } as const;
  const older = union("Event", { JobsCancelled: [8, message("JobsCancelled", fields)] });
  assert.throws(() => older.decode(bytes), { code: "UNKNOWN_VARIANT" });
});

test("a gate holds no slot, opens for one answer, and tells the second what the first one said", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("build", { gate: { message: "Ship it?", maxWaitMs: 60_000 } }), spec("ship", { dependsOn: [0] }), spec("other")]);
  assert.deepEqual(bench.drain(), ["build", "other"]);
  assert.equal(bench.job(run, "build").status, "WAITING");
  const answer = (approve: boolean, by: string) => {
    const { events, decision } = decideGate(bench.state, { gate: `${run}/build`, approve, by, comment: "" }, bench.context);
    bench.commit(events);
    return decision;
  };
  assert.equal(answer(true, "ann").already, false);
  const second = answer(false, "bob");
  assert.deepEqual([second.approved, second.by, second.already], [true, "ann", true]);
  assert.deepEqual(bench.drain(), ["ship"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
});

test("a gate that nobody answers fails closed at its deadline, and a rejected one skips what follows", () => {
  const bench = new Bench();
  bench.join();
  const jobs = [spec("build", { gate: { message: "?", maxWaitMs: 60_000 } }), spec("ship", { dependsOn: [0] })];
  const run = bench.submit(jobs);
  bench.drain();
  bench.tick(59_999);
  assert.equal(bench.job(run, "build").status, "WAITING");
  bench.tick(1);
  assert.deepEqual(bench.statuses(run), { build: "FAILED", ship: "SKIPPED" });
  assert.match(bench.job(run, "build").failure!.message, /nobody answered within 60 s/);
  const other = bench.submit(jobs);
  bench.drain();
  bench.commit(decideGate(bench.state, { gate: `${other}/build`, approve: false, by: "ann", comment: "too hot" }, bench.context).events);
  assert.equal(bench.job(other, "build").failure!.message, "Rejected by ann: too hot");
  assert.equal(bench.state.runsById.get(other)!.status, "FAILED");
});

test("retry by a person runs what failed and all that came after it again, and nothing else", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const run = bench.submit([spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] }), spec("report", { dependsOn: [1], when: "always" })]);
  bench.finish(bench.schedule()[0]!);
  bench.fail(bench.schedule()[0]!);
  bench.drain();
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "FAILED", c: "SKIPPED", report: "COMPLETED" });
  bench.commit(decideRetry(bench.state, { run }, bench.context));
  assert.deepEqual(bench.drain(), ["b", "c", "report"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  assert.throws(() => decideRetry(bench.state, { run }, bench.context), refusal("CONFLICT", /nothing in it has failed/));
  bench.commit(decideRetry(bench.state, { run, from: "b" }, bench.context));
  assert.deepEqual(bench.drain(), ["b", "c", "report"]);
});

test("a running job adds jobs to its own run, which then has to wait for them", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([spec("plan")]);
  const [plan] = bench.schedule();
  bench.commit(decideAddJobs(bench.state, { run, jobs: [spec("step1", { dependsOn: [0] }), spec("step2", { dependsOn: [1] })] }, bench.context));
  bench.finish(plan!);
  assert.deepEqual(bench.drain(), ["step1", "step2"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  assert.throws(() => decideAddJobs(bench.state, { run, jobs: [spec("late")] }, bench.context), refusal("CONFLICT", /COMPLETED/));
});

// ── the fold ─────────────────────────────────────────────────────────────────────────────────────

/** A random life: submissions, workers that come and go, failures, cancels, retries, gates, time. */
function randomLife(seed: number, steps: number, check: (bench: Bench) => void): Bench {
  const bench = new Bench(seed);
  const { random } = bench;
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
  const running = () => [...bench.state.workers.values()].flatMap((worker) => [...worker.jobs]);
  const attempt = (fn: () => void): void => {
    try { fn(); } catch (error) { if (!(error instanceof Refusal)) throw error; }
  };
  const moves: (() => void)[] = [
    () => {
      const count = 1 + Math.floor(random() * 8);
      attempt(() => bench.submit(Array.from({ length: count }, (_, i) => {
        const dependsOn = Array.from({ length: i }, (_, p) => p).filter(() => random() < 0.3);
        return spec(`j${i}`, {
          dependsOn,
          requirement: random() < 0.2 ? ["GPU"] : [],
          priority: Math.floor(random() * 3),
          delayMs: random() < 0.2 ? Math.floor(random() * 3) * 1000 : 0,
          affinity: dependsOn.length > 0 && random() < 0.3 ? dependsOn[0] : undefined,
          when: pick(["success", "success", "failure", "always"] as const)!,
          retry: random() < 0.5 ? retry(2) : undefined,
          gate: random() < 0.15 ? { message: "?", maxWaitMs: 5000 } : undefined,
        });
      }), random() < 0.2 ? { key: `k${Math.floor(random() * 3)}` } : {}));
    },
    () => { if (bench.state.workers.size < 4) bench.join({ tags: random() < 0.5 ? ["GPU"] : [], slots: 1 + Math.floor(random() * 3), instance: `i${bench.state.nextWorker}` }); },
    () => { bench.schedule(); },
    () => { bench.schedule(); },
    () => { const job = pick(running()); if (job) random() < 0.7 ? bench.finish(job, { result: Buffer.from([seed & 255]) }) : bench.fail(job, random() < 0.8 ? "exit" : "not-found"); },
    () => { const job = pick(running()); if (job) bench.finish(job); },
    () => bench.tick(Math.floor(random() * 2500)),
    () => { if (random() < 0.3) { const id = pick([...bench.state.workers.keys()]); if (id) bench.commit(decideLose(bench.state, { worker: id, reason: "x", blamed: random() < 0.5 }, bench.context)); } },
    () => { const id = pick([...bench.state.workers.keys()]); if (id) bench.commit(decideForgotten(bench.state, { worker: id, running: running().filter(() => random() < 0.8).map(keyOf) }, bench.context)); },
    () => { const id = pick([...bench.state.workers.keys()]); if (id) bench.commit(decideDrain(bench.state, { worker: String(id), undo: random() < 0.6 }, bench.context).events); },
    () => { const id = pick([...bench.state.workers.keys()]); if (id) bench.state.router.setAway(id, random() < 0.3); }, // no fact: a replay does not know
    () => { const run = pick([...bench.state.runs.values()]); if (run && random() < 0.3) attempt(() => bench.commit(decideCancel(bench.state, { run: run.id, job: random() < 0.5 ? pick(run.jobs)!.spec.id : undefined }, bench.context))); },
    () => { const run = pick([...bench.state.runs.values()]); if (run) attempt(() => bench.commit(decideRetry(bench.state, { run: run.id, from: random() < 0.5 ? pick(run.jobs)!.spec.id : undefined }, bench.context))); },
    () => { const job = pick([...bench.state.gates]); if (job) bench.commit(decideGate(bench.state, { gate: `${job.run.id}/${job.spec.id}`, approve: random() < 0.6, by: "x", comment: "" }, bench.context).events); },
    () => { const run = pick([...bench.state.runs.values()]); if (run && random() < 0.3) attempt(() => bench.commit(decideAddJobs(bench.state, { run: run.id, jobs: [spec(`added${run.jobs.length}`, { dependsOn: [0] })] }, bench.context))); },
  ];
  for (let step = 0; step < steps; step++) {
    pick(moves)!();
    check(bench);
  }
  return bench;
}

test("apply() keeps every index equal to one computed from scratch, through 60 random lives", () => {
  for (let seed = 1; seed <= 60; seed++) {
    try { randomLife(seed, 150, (bench) => checkIndexes(bench.state)); } catch (error) { throw new Error(`seed ${seed}: ${(error as Error).stack}`); }
  }
});

test("hash(replay) equals hash(live) for every prefix of the log", () => {
  for (let seed = 100; seed < 110; seed++) {
    const hashes: string[] = [];
    let seen = 0;
    const bench = randomLife(seed, 120, (b) => { for (; seen < b.log.length; seen++) hashes[seen] = seen === b.log.length - 1 ? hashState(b.state) : ""; });
    const replay = new State();
    bench.log.forEach((body, index) => {
      apply(replay, Event.decode(body));
      if (hashes[index] !== "") assert.equal(hashState(replay), hashes[index], `seed ${seed}, event ${index}`);
    });
  }
});

test("snapshot plus tail equals the whole log, wherever the snapshot was taken", () => {
  for (let seed = 200; seed < 206; seed++) {
    const { log, state } = randomLife(seed, 150, () => undefined);
    const whole = hashState(state);
    for (let cut = 0; cut <= log.length; cut += 7) {
      const first = new State();
      for (const body of log.slice(0, cut)) apply(first, Event.decode(body));
      const restored = readSnapshot(writeSnapshot(first));
      assert.equal(hashState(restored), hashState(first), `seed ${seed}, cut ${cut}: restored`);
      checkIndexes(restored);
      for (const body of log.slice(cut)) apply(restored, Event.decode(body));
      assert.equal(hashState(restored), whole, `seed ${seed}, cut ${cut}: with its tail`);
    }
  }
});

// ── clients that are not ours ────────────────────────────────────────────────────────────────────

/** The state as it is, as the log has it, and as a snapshot has it. All of them throw when something cannot be encoded. */
function assertRecoverable(bench: Bench): void {
  const replay = new State();
  for (const body of bench.log) apply(replay, Event.decode(body));
  assert.equal(hashState(replay), hashState(bench.state), "replayed");
  assert.equal(hashState(readSnapshot(writeSnapshot(bench.state))), hashState(bench.state), "restored");
}

test("decideSubmit() and decideAddJobs() refuse what could not be applied, logged or named, and leave no trace", () => {
  const bench = new Bench();
  const run = bench.submit([spec("plan")]);
  const before = hashState(bench.state);
  const policy = retry(2);
  const bad: Partial<JobSpec>[] = [
    { id: "" }, { id: "a/b" }, { id: "\u001b[2J" }, { id: "two\nlines" },
    { delayMs: Number.MAX_SAFE_INTEGER }, { timeoutMs: Number.MAX_SAFE_INTEGER }, { gate: { message: "?", maxWaitMs: Number.MAX_SAFE_INTEGER } },
    { retry: { ...policy, delayMs: Number.MAX_SAFE_INTEGER, maxDelayMs: Number.MAX_SAFE_INTEGER } },
    { retry: { ...policy, jitter: -1e300 } }, { retry: { ...policy, backoff: -2 } }, { retry: { ...policy, backoff: Infinity } }, { retry: { ...policy, maxAttempts: 0 } },
  ];
  for (const fields of bad) {
    const jobs = [spec("good"), spec("bad", fields)];
    assert.throws(() => bench.submit(jobs), refusal("INVALID"), JSON.stringify(fields));
    assert.throws(() => decideAddJobs(bench.state, { run, jobs }, bench.context), refusal("INVALID"), JSON.stringify(fields));
  }
  assert.throws(() => bench.submit([spec("a")], { name: "up/../down" }), refusal("INVALID", /slash/));
  assert.equal(hashState(bench.state), before);
});

test("the longest waits that are accepted can be logged, restored and waited for", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const years = 10 * 365 * 24 * 3600 * 1000;
  bench.submit([
    spec("later", { delayMs: years, timeoutMs: years }), spec("gate", { gate: { message: "?", maxWaitMs: years } }),
    spec("again", { retry: { maxAttempts: 10_000, delayMs: 2 ** 31 - 1, backoff: 1000, maxDelayMs: 2 ** 31 - 1, jitter: 0 } }),
  ]);
  for (const job of bench.schedule()) job.spec.id === "again" ? bench.fail(job) : bench.finish(job);
  assertRecoverable(bench);
  bench.tick(years);
  assertRecoverable(bench);
  assert.deepEqual(bench.drain(), ["again", "later"]);
});

test("names and sentences of any allowed length still fit when something is put in front of them", () => {
  const bench = new Bench();
  bench.join();
  for (const message of ["m".repeat(16 * 1024), "本".repeat(5461)]) {
    const id = "j".repeat(128);
    const run = bench.submit([spec(id, { gate: { message, maxWaitMs: 1000 } })], { name: "n".repeat(128) });
    bench.drain();
    const job = bench.job(run, id);
    assert.match(JobInfo.decode(JobInfo.encode(jobInfo(bench.state, job, bench.now))).reason, /^waits for approval: .*…$/);
    const [gate] = GateList.decode(GateList.encode({ gates: [...bench.state.gates].map(gateInfo) })).gates;
    bench.commit(decideGate(bench.state, { gate: gate!.id, approve: false, by: "b".repeat(256), comment: message }, bench.context).events);
    assert.match(job.failure!.message, /^Rejected by b{256}: .*…$/);
    assert.doesNotMatch(job.failure!.message, /\ufffd/, "no character is cut in two");
    assertRecoverable(bench);
  }
});

test("decideRetry() refuses to bring back more requirements than there is room for", () => {
  const bench = new Bench();
  const tags = Array.from({ length: 11 }, (_, bit) => `T${bit}`);
  const requirement = (n: number) => tags.filter((_, bit) => ((n >> bit) & 1) === 1);
  const runs = [0, 1, 2, 3].map((part) => {
    const run = bench.submit(Array.from({ length: 400 }, (_, i) => spec(`j${i}`, { requirement: requirement(400 * part + i) })));
    bench.commit(decideCancel(bench.state, { run }, bench.context));
    return run;
  });
  bench.commit(decideRetry(bench.state, { run: runs[0]! }, bench.context));
  assert.throws(() => decideRetry(bench.state, { run: runs[1]! }, bench.context), refusal("INVALID", /different requirements/));
  assertRecoverable(bench);
});

test("a worker that reports its own loss gets no retries for nothing", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { retry: { ...retry(3), delayMs: 0 } })]);
  let attempts = 0;
  for (let [job] = bench.schedule(); job !== undefined; [job] = bench.schedule()) {
    bench.finish(job, { failure: { kind: "worker-lost", message: "", exitCode: undefined, signal: undefined } });
    if (++attempts > 10) break;
  }
  assert.deepEqual([attempts, bench.job(run, "a").status], [3, "DEAD"]);
});

test("answered gates do not keep forgotten runs in memory until their deadlines", () => {
  const bench = new Bench();
  bench.join();
  for (let i = 0; i < 1500; i++) {
    const run = bench.submit([spec("ask", { gate: { message: "?", maxWaitMs: 365 * 24 * 3600 * 1000 } })]);
    bench.drain();
    if (i % 10 !== 0) bench.commit(decideGate(bench.state, { gate: `${run}/ask`, approve: true, by: "x", comment: "" }, bench.context).events);
    bench.commit(decideForget(bench.state, bench.context));
  }
  assert.equal(bench.state.gates.size, 150);
  assert.ok(bench.state.delayed.size <= 2 * 150, `${bench.state.delayed.size} entries for 150 open gates`);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("results beyond what a run may keep fail their job, and finished runs with large results are forgotten first", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const run = bench.submit([spec("a", { retry: retry(3) }), spec("b")]);
  const result = Buffer.alloc(1000);
  const [a, b] = bench.schedule();
  a!.run.resultBytes = MAX_RUN_RESULT_BYTES - 1999; // as if 4,000 other jobs had been here
  bench.finish(b!, { result });
  bench.finish(a!, { result });
  assert.deepEqual(bench.statuses(run), { a: "FAILED", b: "COMPLETED" });
  assert.match(a!.failure!.message, /268435457 bytes together/);

  const old = new Bench();
  old.join();
  const runs = [1, 2, 3].map(() => old.submit([spec("a")]));
  for (let [job] = old.schedule(); job !== undefined; [job] = old.schedule()) old.finish(job, { result });
  for (const ended of old.state.finished) {
    ended.resultBytes += MAX_FINISHED_BYTES / 2;
    old.state.finishedBytes += MAX_FINISHED_BYTES / 2;
  }
  old.commit(decideForget(old.state, old.context));
  assert.deepEqual([...old.state.runsById.keys()], runs.slice(2));
  assert.equal(old.state.finishedBytes, 1000 + MAX_FINISHED_BYTES / 2);
});
