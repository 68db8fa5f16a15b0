/**
 * A worker at its beginnings and ends: before its master is there, between two dials, before its
 * first job.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { packProject } from "#project";
import { nodeWorkerHost } from "#process";
import { startMaster } from "#master";
import { connect } from "#sdk";
import { startWorker } from "#worker";
import { HEARTBEAT_MS, REDIAL_MAX_MS } from "#wire";
import {
  ADDRESS,
  FakeExecutor,
  FakeJob,
  job,
  pipeline,
  SimCluster,
  TOKEN,
} from "./11-worker.cluster.ts";
import { eventually } from "./processes.support.ts";

test("stop() between two dials ends at once, at whatever moment, and leaves no timer", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new SimCluster(seed);
    const { worker, executor } = cluster.startWorker("w1");
    await cluster.world.run(10_000 + 97 * seed);
    const from = cluster.world.now;
    await cluster.world.settle(worker.stop());
    // A dial that is under way is waited for: some milliseconds. The pause between two is up to two
    // seconds.
    assert.ok(
      cluster.world.now - from < 20,
      `seed ${seed}: stopped after ${cluster.world.now - from} of at most ${REDIAL_MAX_MS} ms`,
    );
    assert.ok(executor.closed);
    await cluster.world.run(from + 100);
    assert.deepEqual(cluster.world.open("w1"), []);
    await assert.rejects(worker.ready, { code: "CLOSED" });
  }
});

test("a stop in each millisecond around the welcome ends the worker, " +
  "with nothing open", async () => {
  for (let ms = 0; ms <= 12; ms++) {
    const cluster = new SimCluster(5);
    await cluster.startMaster();
    const from = cluster.world.now;
    const { worker } = cluster.startWorker("w1");
    await cluster.world.run(from + ms);
    await cluster.world.settle(worker.stop());
    await cluster.world.settle(worker.stop());
    await cluster.world.run(cluster.world.now + 100);
    assert.deepEqual(cluster.world.open("w1"), [], `stopped after ${ms} ms`);
  }
});

test("a worker that stops is given nothing new while its jobs end, and what " +
  "they finish counts", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1", { slots: 2 });
  await cluster.world.settle(worker.ready);
  const client = await cluster.connect();
  const first = await cluster.world.settle(client.submitSpec(pipeline([job("slow")])));
  await cluster.until(() => executor.jobs.length === 1);
  const slow = executor.jobs[0]!;
  const reasons: (string | undefined)[] = [];
  slow.cancel = (reason) => void reasons.push(reason);
  const stopped = worker.stop();
  await cluster.world.run(cluster.world.now + 50);
  assert.deepEqual(reasons, ["the worker is stopping"]);
  const second = await cluster.world.settle(client.submitSpec(pipeline([job("new")])));
  await cluster.world.run(cluster.world.now + 500);
  const { jobs } = await cluster.world.settle(client.status(second.run));
  assert.deepEqual(jobs.map(({ status, attempt }) => [status, attempt]), [["PENDING", 0]]);
  // The master hears of it again on the next connection, a moment after the welcome.
  await cluster.world.settle(client.cancel(second.run));
  cluster.world.cut("m", "w1");
  await cluster.world.run(cluster.world.now + 500);
  const third = await cluster.world.settle(client.submitSpec(pipeline([job("newer")])));
  await cluster.world.run(cluster.world.now + 500);
  assert.deepEqual(await cluster.status(client, third.run), { newer: "PENDING" });
  slow.end();
  await cluster.world.settle(stopped);
  // Its last report and its goodbye are on their way.
  await cluster.world.run(cluster.world.now + 50);
  assert.deepEqual(await cluster.status(client, first.run), { slow: "COMPLETED" });
});

test("a worker that dials again while it stops is given nothing by its " +
  "new registration either", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1", { slots: 2 });
  await cluster.world.settle(worker.ready);
  const client = await cluster.connect();
  await cluster.world.settle(client.submitSpec(pipeline([job("slow")])));
  await cluster.until(() => executor.jobs.length === 1);
  const slow = executor.jobs[0]!;
  slow.cancel = () => undefined;
  const stopped = worker.stop();
  await cluster.world.run(cluster.world.now + 50);
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("new")])));
  // It waits for a worker already when this one is let in again.
  cluster.world.cut("m", "w1");
  await cluster.world.run(cluster.world.now + 500);
  const [info] = (await cluster.world.settle(client.status(run))).jobs;
  assert.deepEqual([info?.status, info?.attempt], ["PENDING", 0]);
  slow.end();
  await cluster.world.settle(stopped);
});

/** A worker that has found what so many runs have left there, of none of which the master knows. */
async function withLeftRuns(count: number) {
  const cluster = new SimCluster();
  await cluster.startMaster(undefined, { cluster: "c" });
  const executor = Object.assign(new FakeExecutor(), {
    sharedRuns: () => Array.from({ length: count }, (_, i) => `gone-${i}`),
  });
  const worker = startWorker({
    host: cluster.world.host("w1"), master: ADDRESS, token: TOKEN, name: "w1", slots: 1, executor,
    cacheDir: "/cache",
  });
  await cluster.world.settle(worker.ready);
  return { cluster, executor, worker };
}

test("a beat asks about 1,000 runs, and the next one about the rest; the last " +
  "beat does, too", async () => {
  const { cluster, executor, worker } = await withLeftRuns(1001);
  const from = cluster.world.now;
  await cluster.world.run(from + HEARTBEAT_MS + 500);
  assert.equal(executor.endedRuns.length, 1000);
  await cluster.world.run(from + 2 * HEARTBEAT_MS + 500);
  assert.equal(new Set(executor.endedRuns).size, 1001);
  await cluster.world.settle(worker.stop());
  const last = await withLeftRuns(1001);
  await last.cluster.world.settle(last.worker.stop());
  assert.equal(last.executor.endedRuns.length, 1000);
});

test("a worker that stops waits a second for a master that does not answer", async () => {
  /** How long it takes to say goodbye. */
  const took = async (runs: number, work?: (running: FakeJob) => void): Promise<number> => {
    const { cluster, worker, executor } = await withLeftRuns(runs);
    const client = await cluster.connect();
    if (work !== undefined) {
      await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
      await cluster.until(() => executor.jobs.length === 1);
    }
    cluster.world.hold("w1", "m");
    for (const each of executor.jobs) work!(each);
    const from = cluster.world.now;
    let until = from;
    executor.close = async () => void (until = cluster.world.now);
    await cluster.world.settle(worker.stop());
    return Math.round(until - from);
  };
  assert.equal(await took(0), 0);
  assert.equal(await took(1), 1000, "whether its last run is over");
  const prints = await took(0, (running) => running.print("x"));
  assert.equal(prints, 2000, "what its job has printed, then its run");
});

test("stop() waits until what its ended runs have shared is removed", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  let removed: () => void = () => undefined;
  const asked: string[] = [];
  const executor = Object.assign(new FakeExecutor(), {
    sharedRuns: () => [],
    endRun: (run: string) => {
      asked.push(run);
      return new Promise<void>((resolve) => { removed = resolve; });
    },
  });
  executor.script = (running) => running.end();
  const worker = startWorker({
    host: cluster.world.host("w1"),
    master: ADDRESS,
    token: TOKEN,
    name: "w1",
    slots: 1,
    executor,
    cacheDir: "/cache",
  });
  await cluster.world.settle(worker.ready);
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => executor.jobs.length === 1 && worker.running === 0);
  let stopped = false;
  void worker.stop().then(() => { stopped = true; });
  await cluster.world.run(cluster.world.now + 3000);
  assert.deepEqual([asked, stopped], [[run], false]);
  removed();
  await cluster.until(() => stopped);
});

/** A master that has a project, a client of it, and a folder. */
async function masterWithProject(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "titan-stops-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "a.txt"), "a");
  const host = nodeWorkerHost();
  const { bytes, hash } = await packProject(host, folder);
  const master = await startMaster({
    host,
    dir: join(folder, "state"),
    listen: { host: "127.0.0.1", port: 0 },
    durability: "no",
  });
  t.after(() => master.stop());
  mkdirSync(join(folder, "state", "blobs"));
  writeFileSync(join(folder, "state", "blobs", hash), bytes);
  const client = await connect({ host, master });
  t.after(() => client.close());
  return { host, master, client, folder, hash };
}

test("a job that is cancelled while its project is fetched never starts, and ends as cancelled " +
  "on the worker", async (t) => {
  const { host, master, client, folder, hash } = await masterWithProject(t);
  let fetched: () => void = () => undefined;
  let links = 0;
  const link = new Promise<void>((resolve) => { fetched = resolve; });
  const executor = Object.assign(new FakeExecutor(), { linkPackage: () => (links++, link) });
  const worker = startWorker({
    host, master, name: "w", slots: 1, executor, cacheDir: join(folder, "cache"),
  });
  t.after(() => worker.stop());
  const { run } = await client.submitSpec({ ...pipeline([job("a")]), project: hash });
  await eventually("its project is being made ready", () => links > 0);
  await client.cancel(run);
  // The worker has the KILL before what it is sent next.
  await client.submitSpec(pipeline([job("b")]));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  fetched();
  await eventually("the attempt is over, and the slot free", () => executor.jobs.length > 0);
  assert.deepEqual(executor.jobs.map(({ request }) => request.job), ["b"]);
  const [a] = (await client.status(run)).jobs;
  assert.deepEqual([a!.status, a!.attempt], ["CANCELLED", 1]);
  executor.jobs[0]!.end();
});

test("no job with a project starts before projects can import titan/store, and each one once " +
  "they can or cannot", async (t) => {
  const { host, master, client, folder, hash } = await masterWithProject(t);
  for (const outcome of ["made", "failed"] as const) {
    let settle: () => void = () => undefined;
    let links = 0;
    const made = new Promise<void>((resolve, reject) => {
      settle = () => (outcome === "made" ? resolve() : reject(new Error("no room")));
    });
    const executor = Object.assign(new FakeExecutor(), { linkPackage: () => (links++, made) });
    executor.script = (running) => running.end();
    const notes: string[] = [];
    const cacheDir = join(folder, `cache-${outcome}`);
    const worker = startWorker({
      host,
      master,
      name: outcome,
      slots: 2,
      executor,
      cacheDir,
      onNote: (text) => notes.push(text),
    });
    t.after(() => worker.stop());
    await client.submitSpec({ ...pipeline([job("a"), job("b")]), project: hash });
    await eventually("the link is asked for", () => links > 0);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([links, executor.jobs.length], [1, 0], "both wait for the one link");
    settle();
    await eventually("both have run", () => worker.running === 0);
    assert.deepEqual([links, executor.jobs.length], [1, 2]);
    const said = notes.filter((note) => note.includes("titan/store"));
    assert.deepEqual(
      said,
      outcome === "made" ? [] : ["titan/store cannot be imported by jobs: no room"],
    );
    await worker.stop();
  }
});
