/**
 * Chapter 11: files that go from job to job: laid out before a start, collected after a success.
 * The master, the workers and their jobs are real; what breaks is simulated.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createExecutor, type ExecOutcome, type ExecRequest, type Executor } from "#exec";
import { nodeHost, nodeWorkFolders, removeTree } from "#host";
import { startMaster, type Master } from "#master";
import { parsePipeline } from "#pipeline";
import { nodeWorkerHost } from "#process";
import { InputCache, type Wanted } from "#project";
import { connect, type Client } from "#sdk";
import { startWorker, type Worker } from "#worker";
import { job, pipeline, SimCluster } from "./11-worker.cluster.ts";

const folder = mkdtempSync(join(tmpdir(), "titan-artifacts-"));
const host = nodeWorkerHost();
let master: Master;
let client: Client;
const workers: Worker[] = [];

/** How many files its worker had when the time of a job began to count. */
const hadAtStart = new Map<string, number>();
const noted = (executor: Executor): Executor => Object.assign(Object.create(executor), {
  start(...[request, onOutput]: Parameters<Executor["start"]>) {
    const files = join(folder, request.worker, "cache", "files");
    const had = existsSync(files) ? cached(request.worker).length : 0;
    hadAtStart.set(`${request.run}/${request.job}`, had);
    return executor.start(request, onOutput);
  },
}) as Executor;

before(async () => {
  const at = { host: "127.0.0.1", port: 0 };
  master = await startMaster({ host: nodeHost(), dir: join(folder, "state"), listen: at });
  for (const name of ["w1", "w2"]) {
    const executor = noted(createExecutor({ host, workDir: join(folder, name, "jobs") }));
    const cacheDir = join(folder, name, "cache");
    const worker = startWorker({ host, master, executor, cacheDir, name, slots: 8, tags: [name] });
    workers.push(worker);
    await worker.ready;
  }
  client = await connect({ master });
});

after(async () => {
  client?.close();
  for (const worker of workers) await worker.stop();
  await master?.stop();
  await removeTree(folder);
});

/** Runs it to its end. The failures of its jobs, by their ids. */
async function run(
  jobs: string,
): Promise<{ id: string; status: string; why: Map<string, string> }> {
  const { run: id } = await client.submit(
    parsePipeline(`{name: n, project: false, jobs: [${jobs}]}`),
  );
  const { status } = await client.wait(id);
  const report = await client.status(id);
  const why = new Map(report.jobs.map((each) => [each.id, each.failure?.message ?? ""]));
  return { id, status, why };
}

async function text(name: string, id: string): Promise<string> {
  const { bytes } = await client.getArtifact(name, { run: id });
  let all = "";
  for await (const piece of bytes) all += String(piece);
  return all;
}

async function printed(id: string, jobId: string): Promise<string> {
  let all = "";
  for await (const { data } of client.logs(id, jobId)) all += String(data);
  return all;
}

const cached = (name: string): string[] =>
  readdirSync(join(folder, name, "cache", "files")).filter((each) => each !== "users");

test("outputs go to the jobs that take them as inputs, on whichever worker, and stay with the run",
  async () => {
    const { id, status, why } = await run(`
      {id: a, run: "mkdir d; printf one > d/x; printf two > y; : > empty", requirement: w1,
        outputs: [d/x, y, empty]},
      {id: b, requirement: w2, needs: a, outputs: z,
        run: "cat x in/y empty; printf more >> x; cat x > z; stat -c %a x",
        inputs: [{job: a, path: d/x, as: x}, {job: a, path: y, as: in/y}, {job: a, path: empty}]},
      {id: c, requirement: w2, needs: b, run: "cat d/x",
        inputs: [{job: a, path: d/x}, {job: b, path: z}]}`);
    assert.equal(status, "COMPLETED", JSON.stringify([...why]));
    assert.equal(await printed(id, "b"), "onetwo644\n");
    assert.equal(await printed(id, "c"), "one", "each job has a copy of its own");
    assert.equal(await text("a/d/x", id), "one");
    assert.equal(await text("b/z", id), "onemore");
    assert.deepEqual(
      (await client.artifacts({ run: id })).map(({ name, byJob, byAttempt }) =>
        [name, byJob, byAttempt]).sort(),
      [["a/d/x", "a", 1], ["a/empty", "a", 1], ["a/y", "a", 1], ["b/z", "b", 1]],
    );
    assert.deepEqual(["b", "c"].map((each) => hadAtStart.get(`${id}/${each}`)), [3, 4]);
    assert.equal(cached("w2").length, 4);
    assert.equal(
      existsSync(join(folder, "w1", "cache", "files")),
      false,
      "nothing was fetched there",
    );
  });

test("a success without a declared file is none: the attempt fails in words, and so what follows",
  async () => {
    const { status, why } = await run(`
      {id: a, run: "true", outputs: model.bin},
      {id: b, run: "mkdir out", outputs: out},
      {id: c, run: "mkfifo out", outputs: out},
      {id: d, run: "exit 3", outputs: model.bin},
      {id: e, run: "true", needs: d, when: failure, inputs: [{job: d, path: model.bin}]}`);
    assert.equal(status, "FAILED");
    const cannot = "Cannot hand on its output";
    assert.equal(why.get("a"), `${cannot} model.bin: it did not make this file`);
    assert.equal(why.get("b"), `${cannot} out: it is no file`);
    assert.equal(why.get("c"), `${cannot} out: it is no file`);
    assert.match(why.get("d")!, /^exited with code 3/);
    assert.match(why.get("e")!, /its input model\.bin of job "d" is not there: that job is FAILED/);
  });

test("a cached file that somebody has changed is fetched again; many jobs " +
  "fetch it once", async () => {
  const many = Array.from({ length: 6 }, (_, at) =>
    `{id: r${at}, run: "cat f", needs: a, requirement: w2, inputs: [{job: a, path: f}]}`);
  const make = '{id: a, run: "printf same > f", outputs: f, requirement: w1}';
  const before = cached("w2").length;
  await run([make, ...many].join(","));
  assert.equal(cached("w2").length, before + 1);
  const name = createHash("sha256").update("same").digest("hex");
  writeFileSync(join(folder, "w2", "cache", "files", name), "evil");
  const { id, status } = await run([make, many[0]].join(","));
  assert.equal(status, "COMPLETED");
  assert.equal(await printed(id, "r0"), "same");
  assert.equal(readFileSync(join(folder, "w2", "cache", "files", name), "utf8"), "same");
});

test("inputs are laid out in a folder that has been made", async () => {
  const order: string[] = [];
  const workDir = join(folder, "slow");
  const real = nodeWorkFolders(workDir);
  const make: typeof real.make = async (...args) => {
    await new Promise((resolve) => setImmediate(resolve));
    await real.make(...args);
    order.push("made");
  };
  const executor = createExecutor({ host, workDir, folders: { ...real, make } });
  const action: ExecRequest["action"] = { type: "command", argv: ["true"] };
  await executor.start({
    run: "r", job: "j", worker: "w", attempt: 1, timeoutMs: 0, env: {}, inputs: [], action,
    project: mkdtempSync(join(folder, "project-")),
    prepare: async () => void order.push("laid out"),
  }, () => undefined).done;
  assert.deepEqual(order, ["made", "laid out"]);
  await executor.close();
});

test("a timeout and a cancel end the laying out and the collecting, too", async () => {
  const executor = createExecutor({ host, workDir: join(folder, "own") });
  const untilAborted = (signal: AbortSignal): Promise<undefined> =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
  const action: ExecRequest["action"] = { type: "command", argv: ["true"] };
  const names = { run: "r", job: "j", worker: "w", env: {}, inputs: [], action };
  const late = { ...names, attempt: 1, timeoutMs: 100 };
  const start = (request: ExecRequest): Promise<ExecOutcome> =>
    executor.start(request, () => undefined).done;
  const outcomes = await Promise.all([
    start({ ...late, collect: (_, signal) => untilAborted(signal) }),
    start({ ...late, attempt: 2, prepare: (_, signal) => untilAborted(signal) }),
  ]);
  for (const { status, message } of outcomes) {
    assert.equal(status, "failed");
    assert.match(message!, /ran longer than its timeout of 100 ms/);
  }
  let asked: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => { asked = resolve; });
  const running = executor.start({
    ...names, attempt: 3, timeoutMs: 0,
    collect: (_, signal) => {
      asked();
      return untilAborted(signal);
    },
  }, () => undefined);
  await begun;
  running.cancel("nobody wants it");
  assert.match((await running.done).message!, /^cancelled: nobody wants it/);
  const refused = await start({
    ...names, attempt: 4, timeoutMs: 0,
    collect: async () => ({ kind: "bad-input", message: "there is none" }),
  });
  assert.deepEqual([refused.kind, refused.message], ["bad-input", "there is none"]);
  await executor.close();
});

test("an input that was removed fails the job that is retried, and says what makes it again",
  async () => {
    const { id } = await run(`{id: a, run: "echo > f", outputs: f},
      {id: b, run: "exit 1", needs: a, inputs: [{job: a, path: f}]}`);
    await client.removeArtifact("a/f", { run: id });
    await client.retry(id, "b");
    await client.wait(id);
    const { jobs } = await client.status(id, "b");
    assert.match(jobs[0]!.failure!.message, /"a" is not there: it was removed; a retry from that/);
  });

// ── what breaks ──────────────────────────────────────────────────────────────────────────────────

test("a connection that breaks in the middle of an output costs no attempt: it is sent again",
  async () => {
    const cluster = new SimCluster();
    await cluster.startMaster();
    const { executor } = cluster.startWorker("w");
    const sdk = await cluster.connect();
    const { world } = cluster;
    const files = { outputs: ["big"], inputs: [] };
    const { run: id } = await world.settle(sdk.submitSpec(pipeline([job("a", { files })])));
    await cluster.until(() => executor.jobs.length === 1);
    const bytes = Buffer.alloc(3_000_000, "x");
    const disk = world.host("w").storage;
    await world.settle(disk.mkdir("/job").then(() => disk.writeFile("/job/big", bytes)));
    const { request, end } = executor.jobs[0]!;
    const collected = request.collect!("/job", new AbortController().signal);
    await world.run(world.now + 3);
    const under = await world.settle(world.host("m").storage.list("/state/blobs"));
    assert.match(under.join(), /^\.upload-/, "it is under way");
    world.cut("m", "w");
    assert.equal(await world.settle(collected), undefined);
    end();
    await cluster.until(() => executor.jobs.length === 1);
    const [info] = await world.settle(sdk.artifacts({ run: id }));
    assert.deepEqual([info!.name, info!.size], ["a/big", bytes.length]);
    await world.settle(sdk.wait(id));
    await world.settle(sdk.removeArtifact("a/big", { run: id }));
    sdk.close();
  });

const wanted = (content: string, fields: Partial<Wanted> = {}): Wanted => ({
  sha256: createHash("sha256").update(content).digest("hex"),
  stopped: () => false,
  fetch: (into) => into((async function* () { yield Buffer.from(content); })()),
  ...fields,
});

test("InputCache keeps what was used last, within its bytes, and clears what dead ones left",
  async () => {
    const dir = join(folder, "inputs");
    const cache = new InputCache(nodeHost(), dir, { maxBytes: 10 });
    const names = (): string[] =>
      readdirSync(join(dir, "files")).filter((name) => name !== "users").sort();
    const [a, b, c] = ["aaaa", "bbbb", "cccc"].map((content) => wanted(content));
    await cache.ensure(a!);
    await cache.ensure(b!);
    await cache.ensure(a!);
    await cache.ensure(c!);
    assert.deepEqual(names(), [a!.sha256, c!.sha256].sort(), "b was used longest ago");
    const large = wanted("more than there is room for");
    await cache.ensure(large);
    assert.deepEqual(names(), [large.sha256], "what is wanted now stays, whatever its size");
    await cache.ensure(a!);
    await cache.ensure(c!);
    assert.deepEqual(names(), [a!.sha256, c!.sha256].sort());
    const half = wanted("half", {
      fetch: (into) => into((async function* () {
        yield Buffer.from("ha");
        throw new Error("it broke off");
      })()),
    });
    await assert.rejects(cache.ensure(half), /it broke off/);
    const stopped = wanted("stop", { stopped: () => true });
    await assert.rejects(cache.ensure(stopped), /it was stopped/);
    assert.equal(names().length, 2, "nothing is left of what broke off");
    writeFileSync(join(dir, "files", `${a!.sha256}.part-0123456789ab`), "left by a dead worker");
    const other = new InputCache(nodeHost(), dir, { maxBytes: 10 });
    await other.ensure(b!);
    assert.deepEqual(names().filter((name) => name.includes("part")), []);
    await other.copyTo(join(dir, "out", "b"), b!);
    assert.equal(statSync(join(dir, "out", "b")).mode & 0o777, 0o644);
    const wrong = wanted("right", { fetch: (into) => wanted("wrong").fetch(into) });
    await assert.rejects(cache.copyTo(join(dir, "out", "w"), wrong), /change all the time/);
    await Promise.all([cache.close(), other.close()]);
  });
