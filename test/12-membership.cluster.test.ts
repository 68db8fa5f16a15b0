/**
 * Chapter 12, whole: the real master and real workers in virtual time, and what happens when a
 * connection, a worker or the master stops.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { HEARTBEAT_MS, REJOIN_GRACE_MS, LEASE_MS } from "#wire";
import { job, pipeline, SimCluster, type FakeExecutor } from "./11-worker.cluster.ts";

/** One job runs on w1; w2 is there and idle. */
async function oneJobAndASpare(
  options: { seed?: number; wrap?: (host: Host) => Host; graceMs?: number } = {},
) {
  const cluster = new SimCluster(options.seed);
  await cluster.startMaster(
    options.wrap,
    options.graceMs === undefined ? {} : { graceMs: options.graceMs },
  );
  const first = cluster.startWorker("w1");
  const client = await cluster.connect();
  const { run } = await cluster.world.settle(client.submitSpec(pipeline([job("a")])));
  await cluster.until(() => first.executor.jobs.length === 1);
  const second = cluster.startWorker("w2");
  await cluster.world.settle(second.worker.ready);
  await cluster.world.run(cluster.world.now + 1500);
  return { cluster, first, second, client, run };
}

/** Milliseconds of virtual time until `executor` has a job, to the millisecond. */
async function untilItRuns(cluster: SimCluster, executor: FakeExecutor): Promise<number> {
  const from = cluster.world.now;
  while (executor.jobs.length === 0) {
    if (cluster.world.now - from > 60_000) throw new Error("it never ran there");
    await cluster.world.run(cluster.world.now + 1);
  }
  return cluster.world.now - from;
}

test("a worker whose connection breaks is back within the grace and keeps its number and what it " +
  "runs", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { cluster, first, second, client, run } = await oneJobAndASpare({ seed });
    const [before] = await cluster.world.settle(client.workers());
    cluster.world.cut("m", "w1");
    await cluster.world.run(cluster.world.now + 1000);
    const after = (await cluster.world.settle(client.workers())).find(({ name }) => name === "w1")!;
    assert.deepEqual(
      [after.id, after.connected, after.running],
      [before!.id, true, 1],
      `seed ${seed}`,
    );
    assert.deepEqual(
      [first.executor.jobs.length, first.executor.jobs[0]!.cancelled, second.executor.jobs.length],
      [1, undefined, 0],
      `seed ${seed}`,
    );
    first.executor.jobs[0]!.end({ result: Buffer.from("kept") });
    await cluster.world.run(cluster.world.now + 100);
    const { jobs } = await cluster.world.settle(client.status(run));
    assert.deepEqual(
      [jobs[0]!.status, jobs[0]!.attempt, String(jobs[0]!.result)],
      ["COMPLETED", 1, "kept"],
      `seed ${seed}`,
    );
  }
});

test("a closed connection leads to another attempt after its grace and within 100 ms", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { cluster, second } = await oneJobAndASpare({ seed });
    cluster.world.crash("w1");
    const took = await untilItRuns(cluster, second.executor);
    assert.ok(took >= REJOIN_GRACE_MS && took <= 100, `seed ${seed}: after ${took} ms`);
    assert.equal(second.executor.jobs[0]!.request.attempt, 2);
  }
});

test("a silent worker leads to another attempt after LEASE_MS and within a beat more", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { cluster, second } = await oneJobAndASpare({ seed });
    cluster.world.hold("w1", "m");
    cluster.world.hold("m", "w1");
    // Its last beat is up to a beat old when it falls silent.
    const took = await untilItRuns(cluster, second.executor);
    const [least, most] = [LEASE_MS - HEARTBEAT_MS, LEASE_MS + HEARTBEAT_MS + 50];
    assert.ok(took >= least && took <= most, `seed ${seed}: after ${took} ms`);
  }
});

test("nothing new goes to a worker that is away, and what goes to others does not " +
  "wait for it", async () => {
  const { cluster, first, second, client } = await oneJobAndASpare({ graceMs: 10_000 });
  cluster.world.cut("m", "w1");
  cluster.world.hold("w1", "m");
  await cluster.world.run(cluster.world.now + 20);
  assert.deepEqual(
    (await cluster.world.settle(client.workers())).map(({ name, connected }) => [name, connected]),
    [
      ["w1", false],
      ["w2", true],
    ],
  );
  await cluster.world.settle(client.submitSpec(pipeline([job("b"), job("c"), job("d")])));
  await cluster.world.run(cluster.world.now + 1000);
  assert.deepEqual(
    second.executor.jobs.map(({ request }) => request.job),
    ["b", "c"],
    "it has two slots; the other one's free slot is out of reach",
  );
  cluster.world.release("w1", "m");
  await cluster.until(() => first.executor.jobs.length === 2, 5000);
  assert.deepEqual(
    first.executor.jobs.map(({ request, cancelled }) => [request.job, request.attempt, cancelled]),
    [
      ["a", 1, undefined],
      ["d", 1, undefined],
    ],
  );
});

test("--grace lets a worker be away for longer, and no longer than that", async () => {
  const { cluster, second } = await oneJobAndASpare({ graceMs: 30_000 });
  cluster.world.crash("w1");
  const took = await untilItRuns(cluster, second.executor);
  assert.ok(took >= 30_000 && took <= 30_100, `after ${took} ms`);
});

test("a frozen worker's job runs elsewhere, its late report is refused, and it kills what it " +
  "still runs", async () => {
  const { cluster, first, second, client, run } = await oneJobAndASpare();
  const [frozen] = first.executor.jobs;
  cluster.world.hold("w1", "m");
  cluster.world.hold("m", "w1");
  await untilItRuns(cluster, second.executor);
  assert.equal(second.executor.jobs[0]!.request.attempt, 2);
  // It ends while nobody hears of it: the report is on its way when the world thaws.
  frozen!.end({ result: Buffer.from("zombie") });
  await cluster.world.run(cluster.world.now + 10);
  cluster.world.release("w1", "m");
  cluster.world.release("m", "w1");
  await cluster.world.run(cluster.world.now + 10_000);
  assert.deepEqual(await cluster.status(client, run), { a: "RUNNING" });
  assert.equal(first.worker.running, 0);
  const workers = await cluster.world.settle(client.workers());
  assert.deepEqual(
    workers.map(({ name, connected, running }) => [name, connected, running]),
    [
      ["w2", true, 1],
      ["w1", true, 0],
    ],
    "it is back, as a new registration",
  );
  second.executor.jobs[0]!.end({ result: Buffer.from("good") });
  await cluster.world.run(cluster.world.now + 100);
  const { jobs } = await cluster.world.settle(client.status(run));
  assert.deepEqual([String(jobs[0]!.result), jobs[0]!.attempt], ["good", 2]);
});

test("a frozen worker whose job goes on ends it as soon as it hears of " +
  "the master again", async () => {
  const { cluster, first, second } = await oneJobAndASpare();
  cluster.world.hold("w1", "m");
  cluster.world.hold("m", "w1");
  await untilItRuns(cluster, second.executor);
  assert.equal(first.executor.jobs[0]!.cancelled, undefined);
  cluster.world.release("w1", "m");
  cluster.world.release("m", "w1");
  const from = cluster.world.now;
  await cluster.until(() => first.executor.jobs[0]!.cancelled !== undefined);
  assert.match(first.executor.jobs[0]!.cancelled!, /somebody else/);
  assert.ok(
    cluster.world.now - from <= 2500,
    `after ${cluster.world.now - from} ms: a wait between two dials, and two round trips`,
  );
});

test("a master that is stopped for 10 s expires nobody: the workers hang up, dial again, and are " +
  "adopted", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { cluster, first, second, client, run } = await oneJobAndASpare({ seed });
    cluster.world.pause("m");
    await cluster.world.run(cluster.world.now + 10_000);
    cluster.world.resume("m");
    await cluster.world.run(cluster.world.now + 2 * LEASE_MS);
    const workers = await cluster.world.settle(client.workers());
    assert.deepEqual(
      workers.map(({ id, name, connected, running }) => [id, name, connected, running]),
      [
        [1, "w1", true, 1],
        [2, "w2", true, 0],
      ],
      `seed ${seed}`,
    );
    const kept = first.executor.jobs;
    assert.deepEqual(
      [kept.length, kept[0]!.cancelled, second.executor.jobs.length],
      [1, undefined, 0],
      `seed ${seed}`,
    );
    kept[0]!.end();
    await cluster.world.run(cluster.world.now + 100);
    const { jobs } = await cluster.world.settle(client.status(run));
    assert.deepEqual([jobs[0]!.status, jobs[0]!.attempt], ["COMPLETED", 1], `seed ${seed}`);
  }
});

test("a master that is stopped for any while, and a worker that died meanwhile: its job goes " +
  "elsewhere within a lease and a beat", async () => {
  for (const [seed, sleptMs] of [[1, 500], [2, 2000], [3, 3900], [4, 6000], [5, 30_000]] as const) {
    const { cluster, second } = await oneJobAndASpare({ seed });
    cluster.world.pause("m");
    await cluster.world.run(cluster.world.now + sleptMs / 2);
    cluster.world.crash("w1");
    await cluster.world.run(cluster.world.now + sleptMs / 2);
    cluster.world.resume("m");
    const took = await untilItRuns(cluster, second.executor);
    assert.ok(took <= LEASE_MS + HEARTBEAT_MS, `slept ${sleptMs} ms: after ${took} ms`);
  }
});

test("a stopped worker that is continued after its lease ends what it runs, and nothing of it " +
  "counts", async () => {
  const { cluster, first, second, client, run } = await oneJobAndASpare();
  cluster.world.pause("w1");
  await untilItRuns(cluster, second.executor);
  second.executor.jobs[0]!.end({ result: Buffer.from("good") });
  await cluster.world.run(cluster.world.now + 100);
  cluster.world.resume("w1");
  first.executor.jobs[0]!.end({ result: Buffer.from("zombie") });
  await cluster.world.run(cluster.world.now + 5000);
  const { jobs } = await cluster.world.settle(client.status(run));
  assert.deepEqual(
    [String(jobs[0]!.result), jobs[0]!.attempt, first.worker.running],
    ["good", 2, 0],
  );
});

test("a job whose connection is cut again and again runs once, and loses nothing", async () => {
  const { cluster, first, second, client, run } = await oneJobAndASpare();
  for (let i = 0; i < 50; i++) {
    cluster.world.cut("m", "w1");
    await cluster.world.run(cluster.world.now + 150 + (i * 37) % 500);
  }
  assert.deepEqual([first.executor.jobs.length, second.executor.jobs.length], [1, 0]);
  first.executor.jobs[0]!.end();
  await cluster.world.run(cluster.world.now + 3000);
  const { jobs } = await cluster.world.settle(client.status(run));
  assert.deepEqual([jobs[0]!.status, jobs[0]!.attempt], ["COMPLETED", 1]);
});

test("a master that lets nobody stay is not dialled more often than " +
  "the backoff allows", async () => {
  let dials = 0;
  const counting = (host: Host): Host => ({
    ...host,
    network: {
      dial: (...args) => host.network.dial(...args),
      listen: (at, accept) => host.network.listen(at, (socket) => { dials += 1; accept(socket); }),
    },
  });
  const { cluster } = await oneJobAndASpare({ wrap: counting });
  const before = dials;
  for (const end = cluster.world.now + 10_000; cluster.world.now < end;) {
    cluster.world.cut("m", "w1");
    await cluster.world.run(cluster.world.now + 20);
  }
  // Waits of 0.1 s, 0.16 s … 2 s, each shortened by up to a half.
  assert.ok(dials - before <= 20, `${dials - before} dials in 10 s`);
  await cluster.world.run(cluster.world.now + 5000);
  const client = await cluster.connect();
  assert.ok(
    (await cluster.world.settle(client.workers())).some(
      ({ name, connected }) => name === "w1" && connected,
    ),
    "and in the end it is back",
  );
});
