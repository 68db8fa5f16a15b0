/**
 * What the simulation (lesson 22) has found in workers and masters, kept as tests of the one
 * situation that it takes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { job, pipeline, SimCluster } from "./11-worker.cluster.ts";

/** Whether something happens in so many seconds of virtual time. */
async function happens(
  cluster: SimCluster,
  what: Promise<unknown>,
  seconds = 60,
): Promise<boolean> {
  let done = false;
  void what.then(() => {
    done = true;
  });
  for (const end = cluster.world.now + seconds * 1000; !done && cluster.world.now < end;) {
    await cluster.world.run(cluster.world.now + 100);
  }
  return done;
}

test("Worker.stop() ends a worker that has dialled and is not welcomed yet", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker } = cluster.startWorker("w1");
  while (!cluster.world.trace.some((line) => line.includes("w1 dials m"))) {
    await cluster.world.run(cluster.world.now + 0.1);
  }
  cluster.world.hold("m", "w1");
  const stopped = worker.stop();
  await cluster.world.run(cluster.world.now + 50);
  cluster.world.release("m", "w1");
  assert.ok(await happens(cluster, stopped), "it serves on, registered and without hands");
});

test("Worker.stop() ends a worker whose dial is under way", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  cluster.world.hold("m", "w1");
  const { worker } = cluster.startWorker("w1");
  await cluster.world.run(cluster.world.now + 50);
  const stopped = worker.stop();
  cluster.world.release("m", "w1");
  assert.ok(await happens(cluster, stopped), "it registers after it was stopped");
  const client = await cluster.connect();
  assert.deepEqual(await cluster.world.settle(client.workers()), []);
});

test("Worker.stop() with output that nobody takes rejects nothing " +
  "behind everybody's back", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => executor.jobs.length === 1);
  cluster.world.crash("m");
  await cluster.world.run(cluster.world.now + 50);
  const [slow] = executor.jobs;
  slow!.cancel = () =>
    void cluster.world
      .host("w1")
      .timers.after(300, () => slow!.end({ status: "failed", kind: "cancelled" }));
  slow!.print("a line\n");
  await cluster.world.run(cluster.world.now + 50); // its batch is on the way, as far as it gets
  // node:test fails a test in which a rejection is left alone; the process of a real worker would
  // die of it.
  assert.ok(await happens(cluster, worker.stop()));
});

test("Worker.stop() lets its jobs end in their grace: what they finish counts, what they do not " +
  "is given away once they are gone, and nothing new arrives", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1", { slots: 3 });
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("a"), job("b")])));
  await cluster.until(() => executor.jobs.length === 2);
  const [a, b] = executor.jobs;
  // Deaf to the request: one is about to be ready anyway, the other is killed at the end of its
  // grace.
  for (const slow of [a!, b!]) slow.cancel = () => undefined;
  const { timers } = cluster.world.host("w1");
  timers.after(1000, () => a!.end());
  timers.after(5000, () => b!.end({ status: "failed", kind: "cancelled" }));
  const stopped = worker.stop();
  await cluster.world.run(cluster.world.now + 10);
  const { run: later } = await cluster.world.settle(client.submitSpec(pipeline([job("c")])));
  const { executor: other } = cluster.startWorker("w2", { slots: 3 });
  await cluster.until(() => other.jobs.some(({ request }) => request.job === "c"));
  await cluster.world.run(cluster.world.now + 4500);
  assert.deepEqual(
    other.jobs.map(({ request }) => request.job),
    ["c"],
    "b still runs where it was",
  );
  assert.ok(await happens(cluster, stopped));
  await cluster.until(() => other.jobs.length === 2);
  assert.deepEqual(
    [other.jobs[1]!.request.job, other.jobs[1]!.request.attempt, executor.jobs.length],
    ["b", 2, 2],
  );
  assert.equal((await cluster.status(client, run))["a"], "COMPLETED");
  assert.equal((await cluster.status(client, later))["c"], "RUNNING");
});
