/** Launches in the core: indexes, the maximum, and what a log keeps, through random lives. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashState, type State } from "#core";
import { assertRecoverable, Bench, refusal } from "./10-master.core.ts";
import { spec } from "./spec.support.ts";

const MAX = { gpu: 3, web: 2 } as const;
type PoolName = keyof typeof MAX;

function launch(bench: Bench, pool: PoolName, max: number = MAX[pool]): string {
  const wish = { pool, max, down: ["scancel"], reason: "jobs wait" };
  return bench.execute({ type: "Launch", ...wish }).name;
}

function join(bench: Bench, name: string, instance = name): number {
  return bench.execute({ type: "Join", instance, name, tags: [], slots: 1, version: "" }).worker;
}

/** The indexes, computed from the launches alone. */
function checkIndexes({ launches, launchesByWorker, pools, workers }: State): void {
  const open = new Map<string, number>();
  const byWorker = new Map<number, string>();
  for (const { name, pool, worker, phase } of launches.values()) {
    open.set(pool, (open.get(pool) ?? 0) + 1);
    if (worker === 0) assert.notEqual(phase, "running");
    else {
      byWorker.set(worker, name);
      assert.equal(workers.get(worker)?.name, name);
      assert.notEqual(phase, "starting");
    }
  }
  assert.deepEqual(new Map([...launchesByWorker].sort()), new Map([...byWorker].sort()));
  for (const pool of pools.values()) assert.equal(pool.open, open.get(pool.name) ?? 0, pool.name);
}

/** One more thing happens. */
function step(bench: Bench, random: () => number): void {
  const { state } = bench;
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const name = pick([...state.launches.keys()]) ?? "gpu-1";
  const worker = pick([...state.workers.keys()]) ?? 99;
  const choice = Math.floor(random() * 9);
  const ending = { name, reason: "…", failed: random() < 0.5 };
  bench.now += Math.floor(random() * 1000);
  try {
    if (choice <= 1) launch(bench, random() < 0.6 ? "gpu" : "web");
    else if (choice === 2) join(bench, name, `${name}@${bench.now}`);
    else if (choice === 3) bench.execute({ type: "AnswerLaunch", name, handle: "4711" });
    else if (choice === 4) bench.execute({ type: "Retire", worker: name, reason: "…" });
    else if (choice === 5) bench.execute({ type: "StopLaunch", ...ending });
    else if (choice === 6) bench.execute({ type: "EndLaunch", ...ending });
    else if (choice === 7) {
      bench.execute({ type: "Lose", worker, reason: "…", blamed: random() < 0.5 });
    } else bench.execute({ type: "Drain", worker: String(worker), undo: random() < 0.5 });
  } catch (error) {
    assert.equal((error as Error).name, "Refusal", String(error));
  }
}

test("launches keep their indexes, their maximum and their place in a snapshot, through random " +
  "lives", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const bench = new Bench(seed);
    for (let steps = 0; steps < 60; steps++) {
      step(bench, bench.random);
      checkIndexes(bench.state);
      for (const { name, open } of bench.state.pools.values()) {
        assert.ok(open <= MAX[name as PoolName], `seed ${seed}: ${open} of pool ${name}`);
      }
    }
    assertRecoverable(bench);
  }
});

test("decide() refuses a launch above the maximum, also of a smaller one after a restart", () => {
  const bench = new Bench();
  const names = [launch(bench, "gpu"), launch(bench, "gpu"), launch(bench, "gpu")];
  assert.deepEqual(names, ["gpu-1", "gpu-2", "gpu-3"]);
  const full = (max: number, workers: string) => refusal("CONFLICT",
    new RegExp(`^Cannot start a worker of pool gpu: it has its maximum of ${max} ${workers}$`));
  assert.throws(() => launch(bench, "gpu"), full(3, "workers"));
  bench.execute({ type: "EndLaunch", name: "gpu-2", reason: "…", failed: false });
  assert.throws(() => launch(bench, "gpu", 1), full(1, "worker"));
  assert.equal(launch(bench, "gpu"), "gpu-4", "a name is used once");
  assert.equal(launch(bench, "web"), "web-1");
});

test("a name that a person has given to a worker is not given to a launch", () => {
  const bench = new Bench();
  join(bench, "gpu-1");
  join(bench, "gpu-3");
  assert.deepEqual([launch(bench, "gpu"), launch(bench, "gpu")], ["gpu-2", "gpu-4"]);
  bench.execute({ type: "EndLaunch", name: "gpu-4", reason: "…", failed: false });
  assert.equal(launch(bench, "gpu"), "gpu-5", "and is given once");
});

test("a pool grows with each order, and again when its worker comes", () => {
  const bench = new Bench();
  const grewAt = () => bench.state.pools.get("gpu")!.history.grewAt;
  const name = launch(bench, "gpu");
  assert.equal(grewAt(), bench.now);
  bench.now += 1000;
  launch(bench, "gpu");
  assert.equal(grewAt(), bench.now);
  bench.now += 1000;
  join(bench, name);
  assert.equal(grewAt(), bench.now);
});

test("failures of one moment count once, and an arrival ends them", () => {
  const bench = new Bench();
  const failures = () => bench.state.pools.get("gpu")!.history.failures;
  const names = [launch(bench, "gpu"), launch(bench, "gpu"), launch(bench, "gpu")];
  bench.now += 60_000;
  for (const name of names) {
    bench.execute({ type: "StopLaunch", name, reason: "late", failed: true });
    bench.execute({ type: "EndLaunch", name, reason: "late", failed: true });
  }
  assert.equal(failures(), 1);
  bench.now += 1000;
  const fourth = launch(bench, "gpu");
  bench.execute({ type: "EndLaunch", name: fourth, reason: "exit code 1", failed: true });
  assert.equal(failures(), 2);
  assert.equal(bench.state.pools.get("gpu")!.failure, `${fourth}: exit code 1`);
  join(bench, launch(bench, "gpu"));
  assert.equal(failures(), 0);
});

test("a worker that comes back is no arrival, and one that was retired is ended when it is lost",
  () => {
    const bench = new Bench();
    const name = launch(bench, "gpu");
    const first = join(bench, name);
    bench.execute({ type: "Lose", worker: first, reason: "silent for 4000 ms" });
    const { judgedAt } = bench.state.pools.get("gpu")!.history;
    bench.now += 5000;
    const second = join(bench, name, "again");
    assert.equal(bench.state.pools.get("gpu")!.history.judgedAt, judgedAt);
    bench.execute({ type: "Retire", worker: String(second), reason: "idle" });
    const lost = bench.decide({ type: "Lose", worker: second, reason: "silent for 4000 ms" });
    assert.deepEqual(lost.effects, [{ type: "StopWorker", name }]);
    assert.deepEqual(lost.events.map(({ type }) => type), ["LaunchStopped", "WorkerLost"]);
  });

test("a start that was given up and comes all the same gets nothing to do", () => {
  const bench = new Bench();
  const name = launch(bench, "gpu");
  bench.execute({ type: "StopLaunch", name, reason: "late", failed: true });
  join(bench, name);
  bench.submit([spec("a")]);
  assert.deepEqual(bench.schedule(), []);
});

test("a state without launches has the bytes that it had before there were any", () => {
  const bench = new Bench();
  const before = hashState(bench.state);
  const name = launch(bench, "gpu");
  assert.notEqual(hashState(bench.state), before);
  bench.execute({ type: "EndLaunch", name, reason: "…", failed: false });
  assert.notEqual(hashState(bench.state), before, "a pool is remembered");
});

test("a pool that could start a worker is reason enough to accept a job", () => {
  const bench = new Bench();
  bench.state.startable = [new Set(["GPU"]), new Set(["ARM", "BIG"])];
  const run = bench.submit([spec("a", { requirement: ["GPU"] })], { strict: true });
  assert.equal(bench.job(run, "a").status, "PENDING");
  const both = [spec("b", { requirement: ["ARM"] }), spec("c", { requirement: ["ARM", "GPU"] })];
  assert.throws(() => bench.submit(both, { strict: true }),
    refusal("UNSCHEDULABLE", /^Cannot schedule job "c" now: no worker is connected$/));
});

test("a worker that is permanent is so in the log and in a snapshot, and no other costs a byte",
  () => {
    const bench = new Bench();
    const offer = { tags: [], slots: 1, version: "" };
    for (const [name, permanent] of [["a", true], ["b", false], ["c", undefined]] as const) {
      bench.execute({ type: "Join", instance: name, name, ...offer, permanent });
    }
    assert.deepEqual([...bench.state.workers.values()].map((one) => one.permanent), [
      true, undefined, undefined,
    ]);
    const [first, second] = bench.log;
    assert.equal(first!.length, second!.length + 2);
    assertRecoverable(bench);
  });

test("a worker that is being stopped is not given work again", () => {
  const bench = new Bench();
  const name = launch(bench, "gpu");
  const worker = String(join(bench, name));
  bench.execute({ type: "Retire", worker, reason: "idle" });
  bench.execute({ type: "Drain", worker, undo: true });
  assert.equal(bench.state.launches.get(name)!.phase, "running");
  bench.execute({ type: "Retire", worker, reason: "idle" });
  bench.execute({ type: "StopLaunch", name, reason: "idle", failed: false });
  const wish = { type: "Drain", worker, undo: true } as const;
  const why = /^Cannot give work to worker gpu-1: it is being stopped$/;
  assert.throws(() => bench.execute(wish), refusal("CONFLICT", why));
});

test("reasons of programs are cut before they are kept", () => {
  const bench = new Bench();
  const name = launch(bench, "gpu");
  const reason = "x".repeat(1_000_000);
  bench.execute({ type: "StopLaunch", name, reason, failed: true });
  assert.equal(bench.state.launches.get(name)!.reason.length < 1010, true);
  assertRecoverable(bench);
});

test("a retirement of which a crash has kept the first event alone is carried out all the same",
  () => {
    const bench = new Bench();
    const name = launch(bench, "gpu");
    const worker = join(bench, name);
    const { events } = bench.decide({ type: "Retire", worker: name, reason: "idle" });
    assert.deepEqual(events.map(({ type }) => type), ["LaunchRetired", "WorkerDrained"]);
    bench.commit(events.slice(0, 1));
    assert.equal(bench.state.workers.get(worker)!.draining, false);
    bench.execute({ type: "Retire", worker: name, reason: "idle" });
    assert.equal(bench.state.workers.get(worker)!.draining, true);
    const again = bench.decide({ type: "Retire", worker: name, reason: "idle" });
    assert.deepEqual(again.events, []);
  });

test("a retired worker that says goodbye ends its launch, whatever part of that a crash keeps",
  () => {
    const bench = new Bench();
    const name = launch(bench, "gpu");
    const worker = join(bench, name);
    bench.execute({ type: "Retire", worker: name, reason: "idle" });
    const lose = { type: "Lose", worker, reason: "said goodbye", blamed: false } as const;
    const { events } = bench.decide(lose);
    assert.deepEqual(events.map(({ type }) => type), ["LaunchStopped", "WorkerLost"]);
    bench.commit(events.slice(0, 1));
    bench.execute(lose); // its lease is over
    assert.equal(bench.state.launches.get(name)!.phase, "stopping");
    checkIndexes(bench.state);
    assertRecoverable(bench);
  });
