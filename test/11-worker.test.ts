/** Lesson 11's contract for the worker, against a real master, in virtual time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkerError } from "#worker";
import { job, pipeline, SimCluster } from "./11-worker.cluster.ts";

test("startWorker() runs what it is sent and reports how it ended", async () => {
  const cluster = new SimCluster();
  const master = await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1");
  assert.deepEqual(await cluster.world.settle(worker.ready), { name: "w1" });
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(
    client.submitSpec(pipeline([job("a"), job("b", { dependsOn: [0] }), job("c")])),
  );
  await cluster.until(() => executor.jobs.length === 2);
  const [a, c] = executor.jobs;
  assert.deepEqual(
    [a!.request.job, a!.request.attempt, a!.request.worker, a!.request.run],
    ["a", 1, "w1", run],
  );
  a!.end({ result: Buffer.from("42") });
  c!.end({ status: "failed", kind: "exit", message: "exited with code 3", exitCode: 3 });
  await cluster.until(() => executor.jobs.length === 3);
  assert.deepEqual(
    executor.jobs[2]!.request.inputs.map(({ job: id, result }) => [id, String(result)]),
    [["a", "42"]],
  );
  executor.jobs[2]!.end();
  await cluster.until(() => worker.running === 0);
  const { jobs } = await cluster.world.settle(client.status(run));
  assert.deepEqual(jobs.map(({ status }) => status), ["COMPLETED", "COMPLETED", "FAILED"]);
  assert.equal(jobs[2]!.failure?.message, "exited with code 3");
  assert.equal(jobs[2]!.failure?.exitCode, 3);
  await cluster.world.settle(worker.stop());
  await cluster.world.settle(master.stop());
});

test("the results of parents stay what they are while an attempt waits for its start", async () => {
  const cluster = new SimCluster();
  const master = await cluster.startMaster();
  const [first, second] = [1, 2].map((n) => cluster.startWorker(`w${n}`, { tags: [`T${n}`] }));
  const client = await cluster.connect();
  await cluster.world.settle(client.submitSpec(pipeline([
    job("a", { requirement: ["T1"] }), job("b", { requirement: ["T2"], dependsOn: [0] }),
  ])));
  await cluster.until(() => first!.executor.jobs.length === 1);
  first!.executor.jobs[0]!.end({ result: Buffer.from("42") });
  await cluster.until(() => second!.executor.jobs.length === 1);
  // A project is copied first, and meanwhile the next bytes are read into the same memory.
  const { request } = second!.executor.jobs[0]!;
  await cluster.world.run(cluster.world.now + 5000);
  assert.equal(String(request.inputs[0]!.result), "42");
  second!.executor.jobs[0]!.end();
  await cluster.until(() => second!.worker.running === 0);
  for (const { worker } of [first!, second!]) await cluster.world.settle(worker.stop());
  await cluster.world.settle(master.stop());
});

test("output is complete at the master before the attempt's end is known", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  executor.script = (running) => {
    for (let line = 0; line < 1000; line++) running.print(`line ${line}\n`);
    running.end();
  };
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  const printed = async (): Promise<string> => {
    let text = "";
    for await (const event of client.watch(run)) {
      if (event.type === "run" || (event.type === "snapshot" && event.run.status !== "RUNNING")) {
        break;
      }
    }
    for await (const chunk of client.logs(run, "a")) text += chunk.data;
    return text;
  };
  assert.equal(
    await cluster.world.settle(printed()),
    Array.from({ length: 1000 }, (_, line) => `line ${line}\n`).join(""),
  );
});

test("a job that prints faster than the master takes is paused, and resumed", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => executor.jobs.length === 1);
  const [chatty] = executor.jobs;
  cluster.world.hold("m", "w1"); // no answer comes back
  let waiting = 0;
  while (!chatty!.paused) {
    chatty!.print(Buffer.alloc(32 * 1024, 97));
    waiting += 32 * 1024;
    assert.ok(waiting <= 1024 * 1024, "paused before a megabyte waits");
  }
  cluster.world.release("m", "w1");
  await cluster.until(() => !chatty!.paused);
});

test("a report is kept until the master has it on disk, and applied once although it was sent " +
  "twice", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(
    client.submitSpec(pipeline([job("a"), job("b", { dependsOn: [0] })])),
  );
  await cluster.until(() => executor.jobs.length === 1);
  // The job ends while the master is dead: nobody hears of it.
  cluster.world.crash("m");
  executor.jobs[0]!.end();
  await cluster.world.run(cluster.world.now + 500);
  assert.equal(worker.running, 1, "the report waits");
  await cluster.startMaster();
  await cluster.until(() => executor.jobs.length === 2);
  assert.equal(executor.jobs[1]!.request.job, "b");
  assert.equal(executor.jobs[1]!.request.attempt, 1);
  executor.jobs[1]!.end();
  await cluster.until(() => worker.running === 0);
  const again = await cluster.connect();
  const { jobs } = await cluster.world.settle(again.status(run));
  assert.deepEqual(
    jobs.map(({ id, status, attempt }) => [id, status, attempt]),
    [
      ["a", "COMPLETED", 1],
      ["b", "COMPLETED", 1],
    ],
  );
});

test("a job survives the restart of the master that gave it out: same " +
  "attempt, same process", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("long")])));
  await cluster.until(() => executor.jobs.length === 1);
  cluster.world.crash("m", { torn: true });
  await cluster.startMaster();
  await cluster.world.run(cluster.world.now + 20_000);
  assert.equal(executor.jobs.length, 1, "nobody started it again");
  assert.equal(executor.jobs[0]!.cancelled, undefined);
  executor.jobs[0]!.end();
  const again = await cluster.connect();
  await cluster.world.run(cluster.world.now + 1000);
  assert.deepEqual(await cluster.status(again, run), { long: "COMPLETED" });
});

/** A job `a` that runs on `w1`, and a second worker with nothing to do. */
async function oneJobAndASpare() {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const first = cluster.startWorker("w1");
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => first.executor.jobs.length === 1);
  const second = cluster.startWorker("w2");
  await cluster.world.settle(second.worker.ready);
  return { cluster, first, second, client, run };
}

test("a worker that dies loses its jobs to another one, at once and without " +
  "spending a retry", async () => {
  const { cluster, second, client, run } = await oneJobAndASpare();
  const died = cluster.world.now;
  cluster.world.crash("w1");
  await cluster.until(() => second.executor.jobs.length === 1);
  assert.ok(cluster.world.now - died <= 100, `noticed after ${cluster.world.now - died} ms`);
  assert.equal(second.executor.jobs[0]!.request.attempt, 2);
  second.executor.jobs[0]!.end();
  await cluster.world.run(cluster.world.now + 100);
  assert.deepEqual(await cluster.status(client, run), { a: "COMPLETED" });
});

test("a worker that is not back in time drops what was given to somebody else, and its report " +
  "changes nothing", async () => {
  const { cluster, first, second, client, run } = await oneJobAndASpare();
  cluster.world.cut("m", "w1");
  cluster.world.hold("w1", "m"); // its dial takes longer than the grace
  await cluster.until(() => second.executor.jobs.length === 1);
  cluster.world.release("w1", "m");
  await cluster.until(() => first.executor.jobs[0]!.cancelled !== undefined);
  assert.match(first.executor.jobs[0]!.cancelled!, /somebody else/);
  assert.equal(first.worker.running, 0);
  assert.deepEqual(await cluster.status(client, run), { a: "RUNNING" });
  second.executor.jobs[0]!.end();
  await cluster.world.run(cluster.world.now + 100);
  assert.deepEqual(await cluster.status(client, run), { a: "COMPLETED" });
});

test("a half-dead connection is found by both sides within the lease", async () => {
  const { cluster, second } = await oneJobAndASpare();
  cluster.world.hold("w1", "m");
  cluster.world.hold("m", "w1");
  const silent = cluster.world.now;
  await cluster.until(() => second.executor.jobs.length === 1);
  assert.ok(
    cluster.world.now - silent <= 4000 + 1000 + 100,
    `noticed after ${cluster.world.now - silent} ms: a lease and a beat`,
  );
});

test("cancelling a run ends its processes and then its jobs", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const chain = pipeline([job("a"), job("b", { dependsOn: [0] })]);
  const { run } = await cluster.world.settle(client.submitSpec(chain));
  await cluster.until(() => executor.jobs.length === 1);
  assert.equal(await cluster.world.settle(client.cancel(run)), 2);
  await cluster.until(() => executor.jobs[0]!.cancelled !== undefined);
  await cluster.world.run(cluster.world.now + 100);
  assert.deepEqual(await cluster.status(client, run), { a: "CANCELLED", b: "CANCELLED" });
});

test("what a run's jobs share on a worker goes when the run is over, and not before", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const chain = pipeline([job("a"), job("b", { dependsOn: [0] })]);
  const { run } = await cluster.world.settle(client.submitSpec(chain));
  await cluster.until(() => executor.jobs.length === 1);
  executor.jobs[0]!.end();
  await cluster.until(() => executor.jobs.length === 2);
  await cluster.world.run(cluster.world.now + 5000);
  assert.deepEqual(executor.endedRuns, []);
  executor.jobs[1]!.end();
  await cluster.world.run(cluster.world.now + 5000);
  assert.deepEqual(executor.endedRuns, [run]);
});

test("a run of calls has nothing on the worker's disk, and the worker does not ask whether it is " +
  "over", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const action = { type: "call" as const, target: "m.mjs#f", input: Buffer.alloc(0) };
  await cluster.world.settle(client.submitSpec(pipeline([job("a", { action })])));
  await cluster.until(() => executor.jobs.length === 1);
  executor.jobs[0]!.end();
  await cluster.world.run(cluster.world.now + 5000);
  assert.deepEqual(executor.endedRuns, []);
});

test("stop() kills what runs, and the master gives it to others without waiting " +
  "for a lease", async () => {
  const { cluster, first, second } = await oneJobAndASpare();
  const stopped = cluster.world.now;
  await cluster.world.settle(first.worker.stop());
  assert.ok(first.executor.closed);
  await cluster.until(() => second.executor.jobs.length === 1);
  const waited = cluster.world.now - stopped;
  assert.ok(waited < 20, `after ${waited} ms: nor for the grace of one that may be back`);
});

test("a worker with a wrong token stops with the master's words instead of " +
  "dialling for ever", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker } = cluster.startWorker("w1", { token: "wrong" });
  await assert.rejects(cluster.world.settle(worker.ready), (error: unknown) => {
    assert.ok(error instanceof WorkerError);
    assert.equal(error.code, "UNAUTHORIZED");
    assert.match(error.message, /token is wrong/);
    return true;
  });
  await assert.rejects(cluster.world.settle(worker.done), WorkerError);
});

test("a worker that is there before its master registers when the master comes", async () => {
  const cluster = new SimCluster();
  const { worker } = cluster.startWorker("w1");
  await cluster.world.run(3000);
  await cluster.startMaster();
  assert.deepEqual(await cluster.world.settle(worker.ready), { name: "w1" });
});
