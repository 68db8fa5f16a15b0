/** What the simulation (lesson 22) has found in workers and masters, kept as tests of the one situation that it takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { job, pipeline, SimCluster } from "./11-worker.cluster.ts";

/** Whether something happens in so many seconds of virtual time. */
async function happens(cluster: SimCluster, what: Promise<unknown>, seconds = 60): Promise<boolean> {
  let done = false;
  void what.then(() => { done = true; });
  for (const end = cluster.world.now + seconds * 1000; !done && cluster.world.now < end;) await cluster.world.run(cluster.world.now + 100);
  return done;
}

test("Worker.stop() ends a worker that has dialled and is not welcomed yet", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker } = cluster.startWorker("w1");
  while (!cluster.world.trace.some((line) => line.includes("w1 dials m"))) await cluster.world.run(cluster.world.now + 0.1);
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

test("Worker.stop() with output that nobody takes rejects nothing behind everybody's back", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { worker, executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => executor.jobs.length === 1);
  cluster.world.crash("m");
  await cluster.world.run(cluster.world.now + 50);
  const [slow] = executor.jobs;
  slow!.cancel = () => void cluster.world.host("w1").timers.after(300, () => slow!.end({ status: "failed", kind: "cancelled" }));
  slow!.print("a line\n");
  await cluster.world.run(cluster.world.now + 50); // its batch is on the way, as far as it gets
  // node:test fails a test in which a rejection is left alone; the process of a real worker would die of it.
  assert.ok(await happens(cluster, worker.stop()));
});
