/**
 * Lesson 10's contract: decide, apply, and what must hold between them. No socket, no file, no
 * clock.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, deadLetters, decide, decideFinish, Event, gateInfo, hashState, jobChange, jobInfo,
  listedJobs, MAX_REQUIREMENTS, MAX_RUN_RESULT_BYTES, nextStart, readSnapshot, reasonOf,
  staleAttempts, State, workerInfo, writeSnapshot,
  type Job,
} from "#core";
import { message, u32, u53, union } from "#codec";
import { GateList, JobInfo, MAX_WORKER_JOBS, MAX_WORKERS, type JobSpec, type Report } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, randomLife, refusal, retry, spec,
} from "./10-master.core.ts";

// ── submission ───────────────────────────────────────────────────────────────────────────────────

test("decideSubmit() refuses a cycle by its path and leaves no trace", () => {
  const bench = new Bench();
  const before = hashState(bench.state);
  const jobs = [
    spec("a", { dependsOn: [2] }),
    spec("b", { dependsOn: [0] }),
    spec("c", { dependsOn: [1] }),
  ];
  assert.throws(() => bench.submit(jobs), refusal("INVALID", /cycle .*a.* → .*b.* → .*c/));
  assert.equal(hashState(bench.state), before);
});

test("decideSubmit() refuses indexes and tags that no honest client sends", () => {
  const bench = new Bench();
  assert.throws(() => bench.submit([]), refusal("INVALID", /has no jobs/));
  assert.throws(
    () => bench.submit([spec("a", { dependsOn: [7] })]),
    refusal("INVALID", /depends on job number 7 of 1/),
  );
  // The first number that no job has.
  assert.throws(
    () => bench.submit([spec("a"), spec("b", { dependsOn: [2] })]),
    refusal("INVALID", /depends on job number 2 of 2/),
  );
  assert.throws(
    () => bench.submit([spec("a", { dependsOn: [0] })]),
    refusal("INVALID", /depends on itself/),
  );
  assert.throws(() => bench.submit([spec("a"), spec("a")]), refusal("INVALID", /"a"/));
  assert.throws(
    () => bench.submit([spec("a"), spec("b", { affinity: 0 })]),
    refusal("INVALID", /affinity/),
  );
  assert.throws(
    () => bench.submit([spec("a", { requirement: ["GPU@3"] })]),
    refusal("INVALID", /not a tag/),
  );
});

test("decideSubmit() makes one run of one key", () => {
  const bench = new Bench();
  const first = bench.submit([spec("a")], { key: "k" });
  const events = bench.log.length;
  assert.equal(bench.submit([spec("a")], { key: "k" }), first);
  assert.equal(bench.log.length, events, "the second submission is no event");
  assert.notEqual(bench.submit([spec("a")], { key: "other" }), first);
  assert.throws(
    () => bench.submit([spec("b")], { key: "k" }),
    refusal("CONFLICT", /key "k" belongs to run/),
  );
});

test("decideSubmit() warns about a requirement nobody can meet, and refuses it when strict", () => {
  const bench = new Bench();
  bench.join({ tags: ["GPU"] });
  const asked = {
    name: "x",
    version: undefined,
    project: undefined,
    jobs: [spec("a", { requirement: ["GPU", "HIGH_MEM"] })],
  };
  const { warnings } = bench.decide({ type: "Submit", spec: asked, strict: false }).reply;
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /"a".*HIGH_MEM/);
  const after = { ...asked, jobs: [spec("first"), ...asked.jobs] };
  const both = bench.decide({ type: "Submit", spec: after, strict: false }).reply;
  assert.deepEqual(both.warnings, warnings, "whatever stands in front of it");
  assert.throws(
    () => bench.decide({ type: "Submit", spec: asked, strict: true }),
    refusal("UNSCHEDULABLE"),
  );
});

test("decideSubmit() refuses more open runs than it has room for, until some have ended", () => {
  const bench = new Bench();
  bench.join();
  const runs = Array.from({ length: 10_000 }, () => bench.submit([spec("a")]));
  assert.throws(
    () => bench.submit([spec("a")]),
    refusal("OVERLOADED", /10000 runs are open already/),
  );
  bench.execute({ type: "Cancel", run: runs[0]! });
  bench.submit([spec("a")]);
});

test("a chain of 100,000 jobs, a fan of 100,000, and a reversed list overflow no " +
  "stack and end", () => {
  const count = 100_000;
  for (const shape of [
    (i: number) => (i === 0 ? [] : [i - 1]),
    (i: number) => (i === 0 ? [] : [0]),
    (i: number) => (i === count - 1 ? [] : [i + 1]),
  ]) {
    const bench = new Bench();
    bench.join({ slots: 4096 });
    const run = bench.submit(
      Array.from({ length: count }, (_, i) => spec(`j${i}`, { dependsOn: shape(i) })),
    );
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
  bench.submit([
    spec("low", { priority: -1 }),
    spec("first"),
    spec("second"),
    spec("high", { priority: 9 }),
  ]);
  bench.join();
  assert.deepEqual(bench.drain(), ["high", "first", "second", "low"]);
});

test("nextStart() passes over a queue whose workers are busy", () => {
  const bench = new Bench();
  bench.submit([
    spec("gpu1", { requirement: ["GPU"], priority: 9 }),
    spec("gpu2", { requirement: ["GPU"], priority: 9 }),
    spec("any"),
  ]);
  bench.join({ tags: ["GPU"] });
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["gpu1"]);
  bench.join();
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["any"]);
});

test("affinity waits for the parent's worker, and stops waiting when that worker is gone", () => {
  const bench = new Bench();
  const w1 = bench.join();
  const run = bench.submit([
    spec("parent"),
    spec("child", { dependsOn: [0], affinity: 0 }),
    spec("other", { priority: 5 }),
  ]);
  const [other] = bench.schedule();
  bench.finish(other!);
  const [parent] = bench.schedule();
  assert.equal(parent!.worker, w1);
  bench.join({ instance: "second" });
  bench.finish(parent!);
  assert.deepEqual(bench.schedule().map((job) => [job.spec.id, job.worker]), [["child", w1]]);
  // Its worker dies: the child has to run somewhere.
  bench.execute({ type: "Lose", worker: w1, reason: "gone" });
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

test("reasonOf() says of a job that is being cancelled that its process has yet to end", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a"), spec("b")]);
  const [a] = bench.schedule();
  bench.execute({ type: "Cancel", run });
  assert.equal(reasonOf(bench.state, a!, bench.now), "cancelling: waits for its process to end");
  assert.equal(reasonOf(bench.state, bench.job(run, "b"), bench.now), "");
});

test("a requirement of three runs is dropped with the last of them, live and restored", () => {
  const bench = new Bench();
  const runs = [1, 2, 3].map(() => bench.submit([spec("a", { requirement: ["GPU"] }), spec("b")]));
  for (const [ended, run] of runs.entries()) {
    checkIndexes(bench.state);
    const restored = readSnapshot(writeSnapshot(bench.state));
    checkIndexes(restored);
    for (const state of [bench.state, restored]) {
      assert.equal(state.requirements.get("GPU"), 3 - ended, `${ended} have ended`);
    }
    bench.execute({ type: "Cancel", run });
  }
  checkIndexes(bench.state);
  assert.equal(bench.state.requirements.size, 0);
});

test("cancel and retry leave no timer of a delay or a gate behind", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const gate = { message: "?", maxWaitMs: 3_600_000 };
  const run = bench.submit([
    spec("gated", { gate }),
    spec("delayed", { delayMs: 3_600_000 }),
    spec("flaky", { retry: retry(9) }),
  ]);
  for (const job of bench.schedule()) job.spec.id === "flaky" ? bench.fail(job) : bench.finish(job);
  assert.equal(bench.state.delayed.size, 3);
  bench.execute({ type: "Cancel", run });
  assert.equal(bench.state.delayed.size, 0);
  checkIndexes(bench.state);
});

// ── endings ──────────────────────────────────────────────────────────────────────────────────────

test("decideFinish() refuses a report of another attempt, another worker, or a second time", () => {
  const bench = new Bench();
  const worker = bench.join();
  bench.submit([spec("a", { retry: retry(3) })]);
  const [job] = bench.schedule();
  const report = {
    run: 1,
    job: 0,
    attempt: 1,
    failure: undefined,
    result: undefined,
    durationMs: 0,
  };
  const decide = (change: Partial<Report>, from = worker) =>
    decideFinish(bench.state, { worker: from, report: { ...report, ...change } }, bench.context);
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
  assert.deepEqual([...bench.state.dead], [last]);
});

test("the pause before another try comes from the attempt's name, and draws nothing", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const policy = { ...retry(3), delayMs: 10_000, jitter: 1 };
  bench.submit(["a", "b", "c"].map((id) => spec(id, { retry: policy })));
  const jobs = bench.schedule();
  const random = (): number => assert.fail("nothing is drawn");
  const failure = { kind: "exit", message: "exit 1", exitCode: 1, signal: undefined } as const;
  const pause = (job: Job): number => {
    const { run: { number: run }, index, attempt, worker } = job;
    const report = { run, job: index, attempt, failure, result: undefined, durationMs: 1 };
    const finish = { type: "Finish", worker, report } as const;
    const [event] = decide(bench.state, finish, { now: bench.now, random }).events;
    assert.ok(event?.type === "JobFailed");
    return event.retryAt! - bench.now;
  };
  const first = jobs.map(pause);
  assert.deepEqual(jobs.map(pause), first, "the same attempt, the same pause");
  assert.equal(new Set(first).size, 3, `a herd of three comes back at ${first.join(", ")}`);
  bench.fail(jobs[0]!);
  bench.tick(10_000);
  assert.deepEqual(bench.schedule().map(({ attempt }) => attempt), [2]);
  assert.notEqual(pause(jobs[0]!) / 2, first[0], "another attempt has another chance");
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
    bad: "FAILED",
    good: "COMPLETED",
    afterBad: "SKIPPED",
    onFailure: "COMPLETED",
    onFailureOfGood: "SKIPPED",
    cleanup: "COMPLETED",
    afterHandler: "SKIPPED",
  });
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
});

test("a lost worker's job goes elsewhere for no retry; five of them make it a dead letter", () => {
  const bench = new Bench();
  const run = bench.submit([spec("killer")]);
  for (let loss = 1; loss <= 5; loss++) {
    const worker = bench.join({ instance: `i${loss}` });
    const [job] = bench.schedule();
    assert.equal(job!.attempt, loss);
    bench.execute({ type: "Lose", worker, reason: "died" });
    assert.equal(job!.failures, 0);
    assert.equal(job!.status, loss < 5 ? "PENDING" : "DEAD");
  }
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
});

test("a worker that comes back keeps what it knows, loses what it forgot, and drops what is not " +
  "its own", () => {
  const bench = new Bench();
  const worker = bench.join({ slots: 2 });
  bench.submit([spec("kept"), spec("forgotten")]);
  const [kept, forgotten] = bench.schedule();
  const running = [
    { run: 1, job: kept!.index, attempt: 1 },
    { run: 1, job: forgotten!.index, attempt: 7 },
  ];
  assert.deepEqual(staleAttempts(bench.state, { worker, running }), [running[1]]);
  bench.execute({ type: "Rejoin", worker, running: running.slice(0, 1) });
  assert.equal(kept!.status, "RUNNING");
  assert.equal(forgotten!.status, "PENDING");
});

test("decideLose() after a goodbye, and decideForgotten(), never blame a job", () => {
  const bench = new Bench();
  bench.submit([spec("unlucky")]);
  for (let time = 1; time <= 10; time++) {
    const worker = bench.join({ instance: `i${time}` });
    const [job] = bench.schedule();
    if (time % 2 === 0) {
      bench.execute({ type: "Lose", worker, reason: "said goodbye", blamed: false });
    } else {
      bench.execute({ type: "Rejoin", worker, running: [] });
      bench.execute({ type: "Lose", worker, reason: "died" }); // and has nothing any more
    }
    assert.deepEqual([job!.status, job!.losses, job!.attempt], ["PENDING", 0, time]);
  }
});

test("JobLost of an older log, which says nothing of blame, counts as it did", () => {
  const older = union("Event", {
    JobLost: [
      7,
      message("JobLost", { run: [1, u32()], job: [2, u32()], attempt: [3, u32()], at: [4, u53()] }),
    ],
  });
  const bench = new Bench();
  bench.submit([spec("a")]);
  bench.join();
  const [job] = bench.schedule();
  bench.commit([
    Event.decode(older.encode({ type: "JobLost", run: 1, job: 0, attempt: 1, at: bench.now })),
  ]);
  assert.deepEqual([job!.status, job!.losses], ["PENDING", 1]);
});

test("decideDrain() keeps new work away, outlives a snapshot, and can be undone", () => {
  const bench = new Bench();
  const w1 = bench.join({ slots: 2 });
  bench.submit([spec("a"), spec("b", { dependsOn: [0] })]);
  const [a] = bench.schedule();
  bench.execute({ type: "Drain", worker: "w1", undo: false });
  assert.deepEqual(
    bench.decide({ type: "Drain", worker: String(w1), undo: false }).events,
    [],
    "once is enough",
  );
  bench.finish(a!);
  assert.deepEqual(bench.schedule(), []);
  const b = bench.job(a!.run.id, "b");
  assert.equal(
    reasonOf(bench.state, b, bench.now),
    "no free slot on the only worker (2 slots, draining)",
  );
  const restored = readSnapshot(writeSnapshot(bench.state));
  assert.equal(hashState(restored), hashState(bench.state));
  assert.equal(nextStart(restored, bench.now), undefined);
  bench.execute({ type: "Drain", worker: "w1", undo: true });
  assert.deepEqual(bench.schedule(), [b]);
});

test("decideDrain() frees the jobs that wait for this very worker, and warns of those that " +
  "nobody else could run", () => {
  const bench = new Bench();
  const w1 = bench.join({ tags: ["GPU"] });
  bench.submit([
    spec("parent"),
    spec("child", { dependsOn: [0], affinity: 0 }),
    spec("other", { priority: 5 }),
  ]);
  const [other] = bench.schedule();
  bench.finish(other!);
  const [parent] = bench.schedule();
  const w2 = bench.join({ instance: "second" });
  bench.submit([spec("late", { priority: 9 })]);
  assert.deepEqual(bench.schedule().map(({ worker }) => worker), [w2]);
  bench.finish(parent!);
  bench.execute({ type: "Drain", worker: "w1", undo: false });
  checkIndexes(bench.state);
  bench.finish(bench.state.runs.get(2)!.jobs[0]!);
  assert.deepEqual(bench.schedule().map((job) => [job.spec.id, job.worker]), [["child", w2]]);
  const gpu = {
    name: "x",
    version: undefined,
    project: undefined,
    jobs: [spec("a", { requirement: ["GPU"] })],
  };
  const [warning] = bench.decide({ type: "Submit", spec: gpu, strict: false }).reply.warnings;
  assert.match(warning!, /no free slot on the only worker with GPU \(1 slot, draining\)/);
  assert.throws(
    () => bench.decide({ type: "Submit", spec: gpu, strict: true }),
    refusal("UNSCHEDULABLE"),
  );
  assert.equal(bench.state.workers.get(w1)!.jobs.size, 0);
});

test("workerInfo() names the jobs that came first, and in a large cluster fewer of each", () => {
  const bench = new Bench();
  const id = bench.join({ slots: 20 });
  const run = bench.submit(Array.from({ length: 20 }, (_, n) => spec(`j${n}`)));
  const [started] = bench.schedule();
  const connection = { remote: "", connected: true, pool: undefined };
  const worker = bench.state.workers.get(id)!;
  const row = workerInfo(worker, connection, listedJobs(1));
  assert.deepEqual([row.running, row.jobs.length], [20, MAX_WORKER_JOBS]);
  const { startedAt, ...first } = row.jobs[0]!;
  assert.deepEqual(first,
    { run, job: "j0", attempt: 1, service: undefined, phase: undefined });
  assert.equal(startedAt, started!.startedAt);
  assert.equal(workerInfo(worker, connection, listedJobs(MAX_WORKERS)).jobs.length, 2);
});

test("decideDrain() ends with the registration, and refuses names that fit " +
  "nobody or several", () => {
  const bench = new Bench();
  assert.throws(
    () => bench.decide({ type: "Drain", worker: "w1", undo: false }),
    refusal("NOT_FOUND", /there are no workers/),
  );
  for (const instance of ["one", "two"]) {
    bench.execute({ type: "Join", instance, name: "twin", tags: [], slots: 1, version: "" });
  }
  assert.throws(
    () => bench.decide({ type: "Drain", worker: "twin", undo: false }),
    refusal("CONFLICT", /name of 2 \(give a number: 1, 2\)/),
  );
  assert.throws(
    () => bench.decide({ type: "Drain", worker: "twinn", undo: false }),
    refusal("NOT_FOUND", /"twinn"/),
  );
  assert.throws(
    () => bench.decide({ type: "Drain", worker: "3", undo: false }),
    refusal("NOT_FOUND", /"3"/),
  );
  bench.execute({ type: "Drain", worker: "2", undo: false });
  bench.execute({ type: "Lose", worker: 2, reason: "gone" });
  const back = bench.join({ instance: "two" });
  assert.equal(bench.state.workers.get(back)!.draining, false);
});

test("decideJoin() refuses more registrations than a master keeps", () => {
  const bench = new Bench();
  for (let n = 0; n < MAX_WORKERS; n++) bench.join({ instance: `i${n}` });
  assert.throws(
    () => bench.join({ instance: "one more" }),
    refusal("OVERLOADED", /4096 are registered/),
  );
});

test("deadLetters() tells the newest last, before and after a snapshot", () => {
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
  const letters = [...deadLetters(bench.state)];
  assert.deepEqual(
    letters.map(({ job, attempts, failures, losses }) => [job, attempts, failures, losses]),
    [
      ["first", 2, 2, 0],
      ["second", 2, 2, 0],
      ["third", 2, 2, 0],
    ],
  );
  assert.deepEqual([...deadLetters(readSnapshot(writeSnapshot(bench.state)))], letters);
  bench.execute({ type: "Retry", run: letters[1]!.run, from: "second" });
  assert.deepEqual([...deadLetters(bench.state)].map(({ job }) => job), ["first", "third"]);
});

// ── people ───────────────────────────────────────────────────────────────────────────────────────

test("cancel takes waiting jobs at once, running ones when their process is gone, and what " +
  "follows with them", () => {
  const bench = new Bench();
  bench.join({ slots: 1 });
  const run = bench.submit([
    spec("running"),
    spec("waiting"),
    spec("child", { dependsOn: [0] }),
    spec("later", { delayMs: 1000 }),
  ]);
  const [job] = bench.schedule();
  bench.execute({ type: "Cancel", run });
  assert.deepEqual(bench.statuses(run), {
    running: "RUNNING", waiting: "CANCELLED", child: "CANCELLED", later: "CANCELLED",
  });
  assert.equal(job!.cancelling, true);
  assert.deepEqual(bench.schedule(), []);
  bench.finish(job!); // it happened to succeed: the wish was earlier
  assert.deepEqual(bench.statuses(run), {
    running: "CANCELLED",
    waiting: "CANCELLED",
    child: "CANCELLED",
    later: "CANCELLED",
  });
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  assert.deepEqual(
    bench.decide({ type: "Cancel", run }).events,
    [],
    "cancelling what has ended changes nothing",
  );
});

test("cancel of one job leaves its neighbours alone, even before its turn has come", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"),
    spec("b", { dependsOn: [0] }),
    spec("c", { dependsOn: [1] }),
    spec("d", { dependsOn: [0] }),
  ]);
  bench.execute({ type: "Cancel", run, job: "b" });
  bench.drain();
  assert.deepEqual(bench.statuses(run), {
    a: "COMPLETED",
    b: "CANCELLED",
    c: "SKIPPED",
    d: "COMPLETED",
  });
});

test("cancel of a job that waits for its parents ends it at once, and its children do not wait " +
  "for them either", () => {
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
  bench.execute({ type: "Cancel", run, job: "b" });
  assertRecoverable(bench);
  const early = {
    a: "RUNNING", b: "CANCELLED", after: "SKIPPED", clean: "PENDING", both: "PENDING",
  };
  assert.deepEqual(bench.statuses(run), early);
  assert.deepEqual(bench.decide({ type: "Cancel", run, job: "b" }).events, [], "it has ended");
  const [clean] = bench.schedule();
  assert.equal(clean!.spec.id, "clean");
  bench.finish(clean!);
  bench.finish(a!);
  assertRecoverable(bench);
  bench.drain();
  assert.equal(bench.statuses(run)["both"], "COMPLETED");
  bench.execute({ type: "Retry", run, from: "b" });
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
    bench.execute({ type: "Cancel", run, job });
  }
  const ended = { gated: "CANCELLED", delayed: "CANCELLED", gpu: "CANCELLED", next: "SKIPPED" };
  assert.deepEqual(bench.statuses(run), ended);
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  assertRecoverable(bench);
});

test("a retry opens a job that was cancelled before its parents ended, together " +
  "with its parent", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] }),
  ]);
  const [a] = bench.schedule();
  bench.execute({ type: "Cancel", run, job: "b" });
  bench.execute({ type: "Retry", run });
  assert.deepEqual(bench.statuses(run), { a: "RUNNING", b: "PENDING", c: "PENDING" });
  assertRecoverable(bench);
  bench.execute({ type: "Cancel", run, job: "b" });
  bench.fail(a!);
  bench.execute({ type: "Retry", run, from: "a" });
  bench.drain();
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "COMPLETED", c: "COMPLETED" });
  assertRecoverable(bench);
});

test("decideRetry() refuses a job that would be skipped at once, and names the job " +
  "to begin with", () => {
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
  const retryFrom = (from: string) => () => bench.decide({ type: "Retry", run, from }).events;
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
  const [event] = bench.decide({ type: "Retry", run }).events;
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
    () => bench.decide({ type: "Retry", run }).events,
    refusal("CONFLICT", /nothing in it has failed/),
  );
  assertRecoverable(bench);
});

test("decideRetry() advises only what makes the job run, and finds a failure for one that wants " +
  "one", () => {
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
  const retryFrom = (from: string) => bench.decide({ type: "Retry", run, from }).events;
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
  bench.execute({ type: "Retry", run });
  assert.equal(bench.statuses(run)["both"], "PENDING");
});

test("cancel of a run takes whatever its jobs wait for, is asked once, and a gate is not " +
  "answered after it", () => {
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
  bench.execute({ type: "Cancel", run });
  checkIndexes(bench.state);
  const { runs: left, ...others } = bench.statuses(run);
  assert.equal(left, "RUNNING");
  assert.deepEqual(new Set(Object.values(others)), new Set(["CANCELLED"]));
  assert.deepEqual(bench.decide({ type: "Cancel", run }).events, [], "asked once");
  const answer = { gate: `${run}/gated`, approve: true, by: "ada", comment: "" };
  const gone = /the job is CANCELLED and waits for nobody/;
  assert.throws(() => bench.decide({ type: "DecideGate", ...answer }), refusal("CONFLICT", gone));
  const late = { run, jobs: [spec("late", { dependsOn: [5] })] };
  assert.throws(() => bench.decide({ type: "AddJobs", ...late }), refusal("CONFLICT"));
  bench.finish(runs!);
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  bench.tick(120_000);
  assert.deepEqual(bench.schedule(), [], "no timer brings one of them back");
  assertRecoverable(bench);
});

test("jobs that are added under a cancelled one end with the reason, or run if " +
  "they always do", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    spec("a"), spec("b", { dependsOn: [0] }), spec("c", { retry: retry(2) }),
  ]);
  const [, c] = bench.schedule();
  bench.fail(c!);
  for (const job of ["b", "c"]) {
    bench.execute({ type: "Cancel", run, job });
  }
  const more = [
    spec("under", { dependsOn: [1] }),
    spec("always", { dependsOn: [1, 2], when: "always" }),
    spec("later", { dependsOn: [0, 1], when: "always" }),
  ];
  bench.execute({ type: "AddJobs", run, jobs: more });
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
  bench.execute({ type: "Cancel", run, job: "gone" });
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

test("jobInfo() tells apart the end of an attempt and its gate's answer, and keeps that", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { gate: { message: "Ship it?", maxWaitMs: 60_000 } })]);
  const [job] = bench.schedule();
  const startedAt = bench.now;
  bench.now += 5;
  bench.finish(job!);
  bench.now += 8000;
  const answer = { gate: `${run}/a`, approve: true, by: "ada", comment: "ok by me" };
  bench.execute({ type: "DecideGate", ...answer });
  const info = JobInfo.decode(JobInfo.encode(jobInfo(bench.state, job!, bench.now)));
  assert.deepEqual(
    [info.startedAt, info.stoppedAt, info.endedAt],
    [startedAt, startedAt + 5, startedAt + 8005],
  );
  assert.deepEqual(info.decision, {
    approved: true, by: "ada", comment: "ok by me", at: bench.now, already: false,
    skipped: undefined, values: {}, missing: undefined,
  });
  assertRecoverable(bench);
  bench.execute({ type: "Retry", run, from: "a" });
  const again = jobInfo(bench.state, job!, bench.now);
  assert.deepEqual([again.stoppedAt, again.decision], [undefined, undefined]);
});

test("jobInfo() of a job that runs again says nothing of when the attempt before ended", () => {
  const bench = new Bench();
  const worker = bench.join();
  bench.submit([spec("a")]);
  const [job] = bench.schedule();
  bench.now += 5;
  bench.execute({ type: "Lose", worker, reason: "silent" });
  assert.equal(jobInfo(bench.state, job!, bench.now).stoppedAt, bench.now);
  bench.join({ instance: "j" });
  bench.schedule();
  assert.equal(jobInfo(bench.state, job!, bench.now).stoppedAt, undefined);
});

test("jobChange() tells a failure that is tried again from one that is not, and what " +
  "a gate asks", () => {
  const bench = new Bench();
  bench.join();
  const seen: [string, number | undefined, string][] = [];
  const job = (changed: Job, at: number) => {
    const { status, retryAt, reason } = jobChange(bench.state, changed, at);
    seen.push([status, retryAt, reason]);
  };
  bench.state.observer = { job, run: () => undefined };
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

test("a log of an older version, whose cancels waited for parents, replays to the " +
  "state it had", () => {
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
  const [event] = bench.decide({ type: "Cancel", run, job: "b" }).events;
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

test("a gate holds no slot, opens for one answer, and tells the second what the " +
  "first one said", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([
    spec("build", { gate: { message: "Ship it?", maxWaitMs: 60_000 } }),
    spec("ship", { dependsOn: [0] }),
    spec("other"),
  ]);
  assert.deepEqual(bench.drain(), ["build", "other"]);
  assert.equal(bench.job(run, "build").status, "WAITING");
  const answer = (approve: boolean, by: string) =>
    bench.execute({ type: "DecideGate", gate: `${run}/build`, approve, by, comment: "" });
  assert.equal(answer(true, "ann").already, false);
  const second = answer(false, "bob");
  assert.deepEqual([second.approved, second.by, second.already], [true, "ann", true]);
  assert.deepEqual(bench.drain(), ["ship"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
});

test("a gate without an answer fails closed in time; a rejected one skips what follows", () => {
  const bench = new Bench();
  bench.join();
  const jobs = [
    spec("build", { gate: { message: "?", maxWaitMs: 60_000 } }),
    spec("ship", { dependsOn: [0] }),
  ];
  const run = bench.submit(jobs);
  bench.drain();
  bench.tick(59_999);
  assert.equal(bench.job(run, "build").status, "WAITING");
  bench.tick(1);
  assert.deepEqual(bench.statuses(run), { build: "FAILED", ship: "SKIPPED" });
  assert.match(bench.job(run, "build").failure!.message, /nobody answered within 60.0s/);
  const other = bench.submit(jobs);
  bench.drain();
  bench.execute({
    type: "DecideGate",
    gate: `${other}/build`,
    approve: false,
    by: "ann",
    comment: "too hot",
  });
  assert.equal(bench.job(other, "build").failure!.message, "Rejected by ann: too hot");
  assert.equal(bench.state.runsById.get(other)!.status, "FAILED");
});

test("retry by a person runs what failed and all that came after it again and nothing else", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const run = bench.submit([
    spec("a"),
    spec("b", { dependsOn: [0] }),
    spec("c", { dependsOn: [1] }),
    spec("report", { dependsOn: [1], when: "always" }),
  ]);
  bench.finish(bench.schedule()[0]!);
  bench.fail(bench.schedule()[0]!);
  bench.drain();
  assert.deepEqual(bench.statuses(run), {
    a: "COMPLETED",
    b: "FAILED",
    c: "SKIPPED",
    report: "COMPLETED",
  });
  bench.execute({ type: "Retry", run });
  assert.deepEqual(bench.drain(), ["b", "c", "report"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  assert.throws(
    () => bench.decide({ type: "Retry", run }),
    refusal("CONFLICT", /nothing in it has failed/),
  );
  bench.execute({ type: "Retry", run, from: "b" });
  assert.deepEqual(bench.drain(), ["b", "c", "report"]);
});

test("a running job adds jobs to its own run, which then has to wait for them", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([spec("plan")]);
  const [plan] = bench.schedule();
  bench.execute({
    type: "AddJobs",
    run,
    jobs: [spec("step1", { dependsOn: [0] }), spec("step2", { dependsOn: [1] })],
  });
  bench.finish(plan!);
  assert.deepEqual(bench.drain(), ["step1", "step2"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  assert.throws(
    () => bench.decide({ type: "AddJobs", run, jobs: [spec("late")] }),
    refusal("CONFLICT", /COMPLETED/),
  );
});

// ── the fold ─────────────────────────────────────────────────────────────────────────────────────

test("apply() keeps every index equal to one computed from scratch, through " +
  "60 random lives", () => {
  for (let seed = 1; seed <= 60; seed++) {
    try {
      randomLife(seed, 150, (bench) => checkIndexes(bench.state));
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).stack}`);
    }
  }
});

test("hash(replay) equals hash(live) for every prefix of the log", () => {
  for (let seed = 100; seed < 110; seed++) {
    const hashes: string[] = [];
    let seen = 0;
    const bench = randomLife(seed, 120, (b) => {
      for (; seen < b.log.length; seen++) {
        hashes[seen] = seen === b.log.length - 1 ? hashState(b.state) : "";
      }
    });
    const replay = new State();
    bench.log.forEach((body, index) => {
      apply(replay, Event.decode(body));
      if (hashes[index] !== "") {
        assert.equal(hashState(replay), hashes[index], `seed ${seed}, event ${index}`);
      }
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

test("decideSubmit() and decideAddJobs() refuse what could not be applied, logged or named, and " +
  "leave no trace", () => {
  const bench = new Bench();
  const run = bench.submit([spec("plan")]);
  const before = hashState(bench.state);
  const policy = retry(2);
  const bad: Partial<JobSpec>[] = [
    { env: { "": "x" } },
    { env: { "A=B": "x" } },
    { env: { "A\0": "x" } },
    { id: "" },
    { id: "a/b" },
    { id: "\u001b[2J" },
    { id: "two\nlines" },
    { delayMs: Number.MAX_SAFE_INTEGER },
    { timeoutMs: Number.MAX_SAFE_INTEGER },
    { gate: { message: "?", maxWaitMs: Number.MAX_SAFE_INTEGER } },
    { retry: { ...policy, delayMs: Number.MAX_SAFE_INTEGER, maxDelayMs: Number.MAX_SAFE_INTEGER } },
    { retry: { ...policy, jitter: -1e300 } },
    { retry: { ...policy, backoff: -2 } },
    { retry: { ...policy, backoff: Infinity } },
    { retry: { ...policy, maxAttempts: 0 } },
  ];
  for (const fields of bad) {
    const jobs = [spec("good"), spec("bad", fields)];
    assert.throws(() => bench.submit(jobs), refusal("INVALID"), JSON.stringify(fields));
    assert.throws(
      () => bench.decide({ type: "AddJobs", run, jobs }),
      refusal("INVALID"),
      JSON.stringify(fields),
    );
  }
  assert.throws(
    () => bench.submit([spec("a")], { name: "up/../down" }),
    refusal("INVALID", /slash/),
  );
  const nameless = /Cannot submit pipeline "": its name is empty/;
  assert.throws(() => bench.submit([spec("a")], { name: "" }), refusal("INVALID", nameless));
  const env = /job "a" has "A=B" in its environment, and a name cannot have "=" or NUL in it/;
  assert.throws(() => bench.submit([spec("a", { env: { "A=B": "" } })]), refusal("INVALID", env));
  assert.equal(hashState(bench.state), before);
});

test("the longest waits that are accepted can be logged, restored and waited for", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const years = 10 * 365 * 24 * 3600 * 1000;
  bench.submit([
    spec("later", { delayMs: years, timeoutMs: years }),
    spec("gate", { gate: { message: "?", maxWaitMs: years } }),
    spec("again", {
      retry: {
        maxAttempts: 10_000,
        delayMs: 2 ** 31 - 1,
        backoff: 1000,
        maxDelayMs: 2 ** 31 - 1,
        jitter: 0,
      },
    }),
  ]);
  for (const job of bench.schedule()) job.spec.id === "again" ? bench.fail(job) : bench.finish(job);
  assertRecoverable(bench);
  bench.tick(years);
  assertRecoverable(bench);
  assert.deepEqual(bench.drain(), ["again", "later"]);
});

test("names and sentences of any allowed length still fit when something is put in " +
  "front of them", () => {
  const bench = new Bench();
  bench.join();
  for (const message of ["m".repeat(16 * 1024), "本".repeat(5461)]) {
    const id = "j".repeat(128);
    const run = bench.submit([spec(id, { gate: { message, maxWaitMs: 1000 } })], {
      name: "n".repeat(128),
    });
    bench.drain();
    const job = bench.job(run, id);
    assert.match(
      JobInfo.decode(JobInfo.encode(jobInfo(bench.state, job, bench.now))).reason,
      /^waits for approval: .*…$/,
    );
    const [gate] = GateList.decode(
      GateList.encode({ gates: [...bench.state.gates].map(gateInfo) }),
    ).gates;
    bench.execute({
      type: "DecideGate",
      gate: gate!.id,
      approve: false,
      by: "b".repeat(256),
      comment: message,
    });
    assert.match(job.failure!.message, /^Rejected by b{256}: .*…$/);
    assert.doesNotMatch(job.failure!.message, /\ufffd/, "no character is cut in two");
    assertRecoverable(bench);
  }
});

test("decideSubmit() takes as many requirements as there is room for, known ones " +
  "at any time", () => {
  const requirement = (n: number) => [...n.toString(2)].map((bit, i) => `T${i}.${bit}`);
  const jobs = (from: number, count: number) => Array.from({ length: count }, (_, i) =>
    spec(`j${i}`, { requirement: requirement(2048 + from + i) }));
  const bench = new Bench();
  const many = refusal("INVALID", /different requirements, more than/);
  assert.throws(() => bench.submit(jobs(0, MAX_REQUIREMENTS + 1)), many);
  bench.submit(jobs(0, MAX_REQUIREMENTS));
  bench.submit(jobs(7, 3));
  assert.throws(() => bench.submit(jobs(MAX_REQUIREMENTS, 1)), many);
});

test("decideRetry() refuses to bring back more requirements than there is room for", () => {
  const bench = new Bench();
  const tags = Array.from({ length: 11 }, (_, bit) => `T${bit}`);
  const requirement = (n: number) => tags.filter((_, bit) => ((n >> bit) & 1) === 1);
  const runs = [0, 1, 2, 3].map((part) => {
    const run = bench.submit(
      Array.from({ length: 400 }, (_, i) =>
        spec(`j${i}`, { requirement: requirement(400 * part + i) }),
      ),
    );
    bench.execute({ type: "Cancel", run });
    return run;
  });
  bench.execute({ type: "Retry", run: runs[0]! });
  assert.throws(
    () => bench.decide({ type: "Retry", run: runs[1]! }),
    refusal("INVALID", /different requirements/),
  );
  assertRecoverable(bench);
});

test("a worker that reports its own loss gets no retries for nothing", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("a", { retry: { ...retry(3), delayMs: 0 } })]);
  let attempts = 0;
  for (let [job] = bench.schedule(); job !== undefined; [job] = bench.schedule()) {
    bench.finish(job, {
      failure: { kind: "worker-lost", message: "", exitCode: undefined, signal: undefined },
    });
    if (++attempts > 10) break;
  }
  assert.deepEqual([attempts, bench.job(run, "a").status], [3, "DEAD"]);
});

test("answered gates do not keep forgotten runs in memory until their deadlines", () => {
  const bench = new Bench();
  bench.join();
  for (let i = 0; i < 1500; i++) {
    const run = bench.submit([
      spec("ask", { gate: { message: "?", maxWaitMs: 365 * 24 * 3600 * 1000 } }),
    ]);
    bench.drain();
    if (i % 10 !== 0) {
      bench.execute({
        type: "DecideGate",
        gate: `${run}/ask`,
        approve: true,
        by: "x",
        comment: "",
      });
    }
    bench.execute({ type: "Forget" });
  }
  assert.equal(bench.state.gates.size, 150);
  assert.ok(
    bench.state.delayed.size <= 2 * 150,
    `${bench.state.delayed.size} entries for 150 open gates`,
  );
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("results beyond what a run may keep fail their job", () => {
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
});
