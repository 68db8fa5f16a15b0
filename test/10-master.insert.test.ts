/**
 * Lesson 10: jobs that are added to a run before jobs that it has: lesson 06's `addEdge`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, Event, hashState, jobInfo, readSnapshot, State, writeSnapshot } from "#core";
import type { JobSpec } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, refusal, spec,
} from "./10-master.core.ts";
import { report, Room } from "./10-master.support.ts";

/** Adds one job before others, which are named. */
function insert(bench: Bench, run: string, job: JobSpec, before: readonly string[]): void {
  const children = before.map((id) => ({ job: 0, child: bench.job(run, id).index }));
  bench.execute({ type: "AddJobs", run, jobs: [job], before: children });
}

/** extract ─▶ train ─▶ mail, and one worker with a slot. */
function training(): { bench: Bench; run: string } {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([
    spec("extract"), spec("train", { dependsOn: [0] }), spec("mail", { dependsOn: [1] }),
  ]);
  return { bench, run };
}

test("a new job before one that is ready takes it back from the queue", () => {
  const { bench, run } = training();
  for (const job of bench.schedule()) bench.finish(job);
  const train = bench.job(run, "train");
  assert.ok(train.order > 0, "ready");
  insert(bench, run, spec("audit", { dependsOn: [0] }), ["train"]);
  assert.equal(train.order, 0);
  checkIndexes(bench.state);
  assertRecoverable(bench);
  const { dependsOn, reason } = jobInfo(bench.state, train, bench.now);
  assert.deepEqual([dependsOn, reason], [[0, 3], "waits for audit (PENDING)"]);
  assert.deepEqual(bench.drain(), ["audit", "train", "mail"]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a job without parents, delayed, waits for a new parent; its delay begins after that", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const run = bench.submit([spec("late", { delayMs: 1000 }), spec("other", { when: "failure" })]);
  insert(bench, run, spec("first"), ["late"]);
  const late = bench.job(run, "late");
  assert.deepEqual([bench.state.delayed.size, late.dueAt], [0, 0]);
  assert.deepEqual(jobInfo(bench.state, late, bench.now).dependsOn, [2]);
  bench.tick(1000);
  assert.deepEqual(bench.drain(), ["first"]);
  bench.tick(999);
  assert.deepEqual(bench.drain(), []);
  bench.tick(1);
  assert.deepEqual(bench.drain(), ["late"]);
  assertRecoverable(bench);
});

test("a new parent's end decides as any other parent's does", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const run = bench.submit([
    spec("hold"), spec("runs", { dependsOn: [0], when: "failure" }), spec("skipped"),
  ]);
  const [hold, skipped] = ["hold", "skipped"].map((id) => bench.job(run, id));
  bench.execute({
    type: "AddJobs", run, jobs: [spec("check")],
    before: [{ job: 0, child: 1 }, { job: 0, child: 2 }, { job: 0, child: 2 }],
  });
  const started = bench.schedule();
  assert.deepEqual(started.map(({ spec: { id } }) => id), ["hold", "check"]);
  bench.finish(hold!);
  bench.fail(started[1]!);
  assert.equal(skipped!.status, "SKIPPED");
  assert.deepEqual(bench.drain(), ["runs"]);
  assertRecoverable(bench);
});

test("a new job that is skipped at once takes along what it came before", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("bad"), spec("later", { delayMs: 60_000 })]);
  for (const job of bench.schedule()) bench.fail(job);
  insert(bench, run, spec("mend", { dependsOn: [0] }), ["later"]);
  assert.deepEqual(bench.statuses(run), { bad: "FAILED", later: "SKIPPED", mend: "SKIPPED" });
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("an edge that is legal now closes a cycle a moment later, and leaves no trace", () => {
  const { bench, run } = training();
  insert(bench, run, spec("audit"), ["train"]);
  const hash = hashState(bench.state);
  assert.throws(
    () => insert(bench, run, spec("loop", { dependsOn: [2] }), ["audit"]),
    refusal("INVALID", /Cannot add jobs to test-\w+: cycle (\w+ → )+\w+$/),
  );
  // Two new jobs may close it together.
  assert.throws(() => bench.execute({
    type: "AddJobs", run, jobs: [spec("x", { dependsOn: [2] }), spec("y", { dependsOn: [4] })],
    before: [{ job: 1, child: 1 }],
  }), refusal("INVALID", /cycle/));
  assert.equal(hashState(bench.state), hash);
  bench.execute({
    type: "AddJobs", run, jobs: [spec("x", { dependsOn: [0] }), spec("y", { dependsOn: [4] })],
    before: [{ job: 1, child: 1 }],
  });
  assert.deepEqual(bench.drain(), ["extract", "audit", "x", "y", "train", "mail"]);
});

test("a job that has started, or has ended, takes no new parent", () => {
  const { bench, run } = training();
  const [extract] = bench.schedule();
  const started = /^Cannot add job x before extract: extract has already started$/;
  assert.throws(() => insert(bench, run, spec("x"), ["extract"]), refusal("CONFLICT", started));
  bench.finish(extract!);
  assert.throws(() => insert(bench, run, spec("x"), ["extract"]), refusal("CONFLICT", started));
  bench.execute({ type: "Cancel", run, job: "mail" });
  assert.throws(
    () => insert(bench, run, spec("x"), ["mail"]),
    refusal("CONFLICT", /^Cannot add job x before mail: mail is CANCELLED$/),
  );
  for (const before of [{ job: 1, child: 1 }, { job: 0, child: 3 }, { job: 0, child: 9 }]) {
    assert.throws(
      () => bench.execute({ type: "AddJobs", run, jobs: [spec("x")], before: [before] }),
      refusal("INVALID", /there is no new job \d of 1 before job \d of 3/),
    );
  }
});

test("a job that lost its worker has started, although it waits again", () => {
  const bench = new Bench();
  const worker = bench.join();
  const run = bench.submit([spec("a")]);
  bench.schedule();
  bench.execute({ type: "Lose", worker, reason: "died" });
  assert.throws(() => insert(bench, run, spec("x"), ["a"]), refusal("CONFLICT", /already started/));
});

test("children of one job are freed in the order of their edges, also in a restored state", () => {
  const bench = new Bench();
  const run = bench.submit([spec("a"), spec("b"), spec("c")]);
  bench.execute({
    type: "AddJobs", run, jobs: [spec("p"), spec("q", { dependsOn: [3] })],
    before: [{ job: 0, child: 2 }, { job: 1, child: 0 }],
  });
  insert(bench, run, spec("r", { dependsOn: [3] }), ["b"]);
  insert(bench, run, spec("s", { dependsOn: [3] }), []);
  for (let from = 0; from <= bench.log.length; from++) {
    // Restored in mid-life: what follows must not tell.
    const log = bench.log.map((body) => Event.decode(body));
    let state = new State();
    for (const event of log.slice(0, from)) apply(state, event);
    state = readSnapshot(writeSnapshot(state));
    for (const event of log.slice(from)) apply(state, event);
    const other = new Bench();
    other.state = state;
    other.join({ slots: 9 });
    assert.deepEqual(other.drain(), ["p", "q", "c", "r", "s", "a", "b"], `restored at ${from}`);
    checkIndexes(state);
  }
});

test("a snapshot has the edges of its moment, whatever comes while it is written", () => {
  const { bench, run } = training();
  insert(bench, run, spec("x"), ["train"]);
  const hash = hashState(bench.state);
  const before = Buffer.concat([...writeSnapshot(bench.state)]);
  const parts = writeSnapshot(bench.state);
  const written = [parts.next().value as Buffer];
  insert(bench, run, spec("y"), ["mail"]);
  for (const part of parts) written.push(part);
  assert.equal(hashState(readSnapshot(written)), hash);
  assert.ok(Buffer.concat(written).equals(before));
});

test("retry opens a job behind a job that was added before it, and keeps the edge", () => {
  const { bench, run } = training();
  insert(bench, run, spec("audit"), ["train"]);
  for (let started = bench.schedule(); started.length > 0; started = bench.schedule()) {
    for (const job of started) job.spec.id === "audit" ? bench.fail(job) : bench.finish(job);
  }
  assert.equal(bench.statuses(run)["train"], "SKIPPED");
  bench.execute({ type: "Retry", run });
  assert.deepEqual(bench.drain(), ["audit", "train", "mail"]);
  assertRecoverable(bench);
});

test("Client.addJobs() takes `before`, and the child gets the result of its new parent", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 4 });
    const { run } = await client.submitSpec({
      name: "test", version: undefined, project: undefined,
      jobs: [spec("a"), spec("b", { dependsOn: [0] })],
    });
    await room.until(() => worker.assigned.length === 1);
    assert.equal(await client.addJobs(run, [{ ...spec("c"), before: [1] }]), 1);
    await room.until(() => worker.assigned.length === 2);
    const [a, c] = worker.assigned;
    await worker.finish(report(a!));
    assert.deepEqual((await client.status(run)).jobs[1]!.dependsOn, [0, 2]);
    await worker.finish(report(c!, { result: Buffer.from("7") }));
    await room.until(() => worker.assigned.length === 3);
    assert.deepEqual(worker.assigned[2]!.inputs, [{ job: "c", result: Buffer.from("7") }]);
    await worker.finish(report(worker.assigned[2]!));
  }));
