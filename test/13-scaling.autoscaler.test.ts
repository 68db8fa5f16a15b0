/**
 * The loop that starts and ends workers: with a real master and real workers in virtual time, and
 * with a fleet that is made up, for what rarely happens.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualTime } from "#host";
import type { Master, SeenFleet, SeenWorker } from "#master";
import { definePool, type Pool } from "#scaling";
import { Autoscaler } from "../src/cluster/autoscaler.ts";
import { job, pipeline, SimCluster, type FakeExecutor } from "./11-worker.cluster.ts";

/** A worker's way from its order to its registration. */
const BOOT_MS = 700;

/** A cluster whose workers are all started by the loop, and whose jobs end when the test says. */
class Scaled {
  readonly cluster = new SimCluster();
  readonly notes: string[] = [];
  readonly ordered: string[] = [];
  /** Processes that live, with the way to kill them. */
  readonly living = new Map<string, (how: string) => void>();
  most = 0;
  readonly terms = new Map<string, () => void>();
  scaler!: Autoscaler;
  master!: Master;

  static async start(fields: Partial<Pool> = {}): Promise<Scaled> {
    const scaled = new Scaled();
    const { cluster } = scaled;
    const master = await cluster.startMaster();
    scaled.master = master;
    const pool = definePool({ name: "local", slots: 2, max: 4, ...fields });
    scaled.scaler = new Autoscaler({
      host: cluster.world.host("m"),
      fleet: master.fleet,
      pool,
      start: (name, onEnd) => scaled.#spawn(name, { pool, onEnd }),
      onNote: (text) => void scaled.notes.push(`${(cluster.world.now / 1000).toFixed(1)} ${text}`),
    });
    return scaled;
  }

  #spawn(name: string, { pool, onEnd }: { pool: Pool; onEnd: (how: string) => void }) {
    const { cluster, living } = this;
    const { timers } = cluster.world.host("driver");
    let stop = async (): Promise<void> => undefined;
    const ended = (how: string): void => {
      boot.cancel();
      if (living.delete(name)) timers.soon(() => onEnd(how));
    };
    const boot = timers.after(BOOT_MS, () => {
      const { worker } = cluster.startWorker(name, { slots: pool.slots, tags: [...pool.tags] });
      stop = () => worker.stop();
      this.terms.set(name, () => void worker.stop());
    });
    this.ordered.push(name);
    living.set(name, (how) => {
      if (cluster.executors.has(name)) cluster.world.crash(name);
      ended(how);
    });
    this.most = Math.max(this.most, living.size);
    return { stop: () => stop().then(() => ended("exit code 0")) };
  }

  async submit(count: number, tags: string[] = []): Promise<string> {
    const client = await this.cluster.connect();
    const jobs = Array.from({ length: count }, (_, i) => job(`j${i}`, { requirement: tags }));
    const { run } = await this.cluster.world.settle(client.submitSpec(pipeline(jobs)));
    client.close();
    return run;
  }

  get executors(): FakeExecutor[] {
    return [...this.cluster.executors.values()];
  }

  /** Jobs that the workers have begun, attempts of killed ones included. */
  get begun(): number {
    return this.executors.reduce((sum, { jobs }) => sum + jobs.length, 0);
  }

  endAll(): void {
    for (const { jobs } of this.executors) for (const one of jobs) one.end();
  }

  run(ms: number): Promise<void> {
    return this.cluster.world.run(this.cluster.world.now + ms);
  }

  stop(): void {
    this.scaler.stop();
  }
}

test("the loop grows once, a second later, by as many workers as the backlog needs", async () => {
  const scaled = await Scaled.start({ max: 10 });
  await scaled.submit(5);
  await scaled.run(900);
  assert.deepEqual(scaled.ordered, []);
  await scaled.run(300);
  assert.deepEqual(scaled.ordered, ["local-1", "local-2", "local-3"]);
  assert.match(scaled.notes[0]!, /starts 3 workers: 5 jobs have waited 1\.0s$/);
  await scaled.run(BOOT_MS + 200);
  assert.equal(scaled.begun, 5, "the last of them has come and has its job");
  await scaled.run(60_000);
  assert.equal(scaled.ordered.length, 3, "and no other is started while they work");
  assert.equal(scaled.living.size, 3, "nor is the one with a free slot ended while it works");
  scaled.stop();
});

test("the loop never has more than the maximum, and refills when one dies", async () => {
  const scaled = await Scaled.start({ slots: 1, max: 3 });
  await scaled.submit(9);
  await scaled.cluster.until(() => scaled.begun === 3);
  scaled.living.get("local-2")!("SIGKILL");
  await scaled.cluster.until(() => scaled.begun === 4);
  assert.deepEqual(scaled.ordered, ["local-1", "local-2", "local-3", "local-4"]);
  assert.ok(scaled.notes.some((note) => note.endsWith("local-2 ended: SIGKILL")));
  assert.equal(scaled.most, 3);
  for (let more = 0; more < 9; more++) {
    scaled.endAll();
    await scaled.run(100);
  }
  assert.equal(scaled.begun, 10, "nine jobs, one of them twice");
  assert.equal(scaled.most, 3);
  scaled.stop();
});

test("the loop ends workers that have been idle, newest first, and no one before", async () => {
  const scaled = await Scaled.start({ slots: 1, idleMs: 5000 });
  await scaled.submit(3);
  await scaled.cluster.until(() => scaled.begun === 3);
  await scaled.run(20_000);
  const last = [...scaled.cluster.executors.entries()].find(([name]) => name === "local-2")!;
  last[1].jobs[0]!.end();
  await scaled.run(4900);
  assert.equal(scaled.living.size, 3, "5 s from the end of its job, however old the worker is");
  await scaled.run(400);
  assert.deepEqual([...scaled.living.keys()], ["local-1", "local-3"]);
  assert.match(scaled.notes.at(-1)!, /retires local-2: idle for 5\.\ds, and nothing waits/);
  scaled.endAll();
  await scaled.run(5500);
  assert.deepEqual([scaled.living.size, scaled.ordered.length], [0, 3]);
  scaled.stop();
});

test("the loop sees a job that began and ended between two looks", async () => {
  const scaled = await Scaled.start({ slots: 1, idleMs: 5000 });
  await scaled.submit(1);
  await scaled.cluster.until(() => scaled.begun === 1);
  scaled.endAll();
  await scaled.run(4000);
  scaled.cluster.executors.get("local-1")!.script = (one) => one.end();
  await scaled.submit(1);
  await scaled.run(4500);
  assert.equal(scaled.living.size, 1, "idle for 4.5 s, and not for 8.5 s");
  await scaled.run(1000);
  assert.equal(scaled.living.size, 0);
  scaled.stop();
});

test("the loop keeps its minimum from the start to the end", async () => {
  const scaled = await Scaled.start({ min: 2, idleMs: 3000 });
  assert.deepEqual(scaled.ordered, ["local-1", "local-2"], "before anybody asks");
  await scaled.run(60_000);
  assert.deepEqual([...scaled.living.keys()], ["local-1", "local-2"]);
  scaled.living.get("local-1")!("SIGKILL");
  await scaled.run(BOOT_MS + 500);
  assert.deepEqual([...scaled.living.keys()], ["local-2", "local-3"]);
  scaled.stop();
});

test("the loop starts nobody for jobs that it cannot serve, and tells the others why", async () => {
  const scaled = await Scaled.start({ tags: ["GPU"], max: 1, slots: 1 });
  const ours = await scaled.submit(2, ["GPU"]);
  const theirs = await scaled.submit(1, ["TPU"]);
  const client = await scaled.cluster.connect();
  const why = async (run: string): Promise<string[]> => {
    const { jobs } = await scaled.cluster.world.settle(client.status(run));
    return jobs.map(({ reason }) => reason);
  };
  await scaled.run(500);
  const soon = /^no worker is connected; pool local starts a worker in 0\.\ds if no slot is free/;
  assert.match((await why(ours))[0]!, soon);
  assert.deepEqual(await why(theirs), ["no worker is connected"]);
  await scaled.run(900);
  const started = "no worker is connected; pool local is starting a worker";
  assert.deepEqual(await why(ours), [started, started]);
  await scaled.run(1000);
  const full = "no free slot on the only worker with GPU (1 slot)";
  assert.deepEqual(await why(ours), ["", `${full}; pool local has its maximum of 1 worker`]);
  assert.deepEqual(await why(theirs), ["no worker has TPU"]);
  scaled.stop();
});

test("a loop that is stopped does nothing more", async () => {
  const scaled = await Scaled.start();
  await scaled.submit(5);
  await scaled.run(1300);
  scaled.stop();
  const before = [...scaled.ordered];
  assert.equal(scaled.living.size, 3);
  for (const kill of [...scaled.living.values()]) kill("SIGKILL");
  await scaled.run(60_000);
  assert.deepEqual([scaled.ordered, scaled.living.size], [before, 0]);
});

test("the master's side says who leaves, and whether anybody can be decided about", async () => {
  const scaled = await Scaled.start({ slots: 1 });
  await scaled.submit(1);
  await scaled.cluster.until(() => scaled.begun === 1);
  scaled.stop();
  const { fleet } = scaled.master;
  const [only] = fleet.look().workers;
  const { name, busy, state, draining } = only!;
  assert.deepEqual([name, busy, state, draining], ["local-1", 1, "here", false]);
  const [one] = scaled.cluster.executors.get("local-1")!.jobs;
  one!.cancel = () => undefined; // it takes its time
  scaled.terms.get("local-1")!();
  await scaled.run(100);
  assert.equal(fleet.look().workers[0]?.state, "leaving");
  assert.deepEqual([fleet.drain("nobody"), fleet.drain("local-1")], [false, true]);
  assert.equal(fleet.look().workers[0]?.draining, true);
  one!.end();
  assert.equal(fleet.look().isFrozen, false);
  await scaled.cluster.world.settle(scaled.master.stop());
  assert.equal(fleet.look().isFrozen, true);
});

// ── a fleet that is made up ──────────────────────────────────────────────────────────────────────

function someone(id: number, name: string, fields: Partial<SeenWorker> = {}): SeenWorker {
  return {
    id, name, tags: [], slots: 1, busy: 0, state: "here", draining: false, reportedAt: undefined,
    ...fields,
  };
}

/** Everything that happens, in order: `start local-1`, `drain local-1`, `stop local-1`. */
class MadeUp {
  readonly time = new VirtualTime();
  readonly acts: string[] = [];
  readonly notes: string[] = [];
  readonly ends = new Map<string, (how: string) => void>();
  seen: SeenFleet = { isFrozen: false, classes: [], workers: [] };
  canStart = true;
  readonly scaler: Autoscaler;

  constructor(fields: Partial<Pool> = {}, seen: Partial<SeenFleet> = {}) {
    this.see(seen);
    this.scaler = new Autoscaler({
      host: this.time,
      pool: definePool({ name: "local", max: 2, idleMs: 5000, ...fields }),
      fleet: {
        look: () => this.seen,
        drain: (name) => {
          this.acts.push(`drain ${name}`);
          const known = this.seen.workers.some((one) => one.name === name);
          if (known) this.change(name, { draining: true });
          return known;
        },
        explain: () => undefined,
      },
      start: (name, onEnd) => {
        if (!this.canStart) throw new Error("spawn ENOMEM");
        this.acts.push(`start ${name}`);
        this.ends.set(name, onEnd);
        return { stop: async () => void this.acts.push(`stop ${name}`) };
      },
      onNote: (text) => void this.notes.push(text),
    });
  }

  see(seen: Partial<SeenFleet>): void {
    this.seen = { ...this.seen, ...seen };
  }

  wait(jobs: number): void {
    this.see({ classes: jobs === 0 ? [] : [{ key: "GENERAL", jobs, isStuck: true }] });
  }

  change(name: string, fields: Partial<SeenWorker>): void {
    const { workers } = this.seen;
    this.see({ workers: workers.map((one) => ({ ...one, ...(one.name === name && fields) })) });
  }

  /** What has been done by then, since the last time. */
  async by(ms: number): Promise<string[]> {
    await this.time.run(this.time.now + ms);
    return this.acts.splice(0);
  }

  /** One worker of the pool, which has come and has nothing to do. */
  static async withOne(fields: Partial<Pool> = {}): Promise<MadeUp> {
    const fleet = new MadeUp(fields);
    fleet.wait(1);
    assert.deepEqual(await fleet.by(1200), ["start local-1"]);
    fleet.see({ workers: [someone(7, "local-1")], classes: [] });
    assert.deepEqual(await fleet.by(200), []);
    return fleet;
  }
}

test("a job that somebody takes at once is not a job that waits", async () => {
  const fleet = new MadeUp();
  fleet.wait(3);
  await fleet.by(900);
  fleet.see({ classes: [{ key: "GENERAL", jobs: 3, isStuck: false }] });
  await fleet.by(100);
  fleet.wait(3);
  assert.deepEqual(await fleet.by(900), [], "the second begins anew");
  assert.deepEqual(await fleet.by(300), ["start local-1", "start local-2"]);
  fleet.scaler.stop();
});

test("nothing is decided while nobody could register, nor in the second after that", async () => {
  const fleet = new MadeUp();
  fleet.wait(1);
  await fleet.by(900);
  fleet.see({ isFrozen: true });
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.see({ isFrozen: false });
  assert.deepEqual(await fleet.by(900), []);
  assert.deepEqual(await fleet.by(300), ["start local-1"]);
  fleet.scaler.stop();
});

test("a start that never registers is ended, and the next one waits", async () => {
  const fleet = new MadeUp({ startTimeoutMs: 10_000 });
  fleet.wait(1);
  await fleet.by(1200);
  assert.deepEqual(await fleet.by(9500), []);
  assert.deepEqual(await fleet.by(400), ["stop local-1"]);
  assert.deepEqual(fleet.notes.at(-1), "ends local-1: did not register within 10.0s");
  // It comes now, and gets nothing to do: it is on its way out.
  fleet.see({ workers: [someone(3, "local-1")] });
  const next = await fleet.by(3000);
  assert.deepEqual(next, ["start local-2"], "after a pause, as if it were not there");
  fleet.ends.get("local-1")!("exit code 0");
  assert.equal(fleet.notes.filter((note) => note.includes("ended")).length, 0);
  fleet.scaler.stop();
});

test("starts that end at once are failures, too, with a pause that grows", async () => {
  const fleet = new MadeUp();
  fleet.wait(1);
  const times: number[] = [];
  for (let n = 1; n <= 4; n++) {
    while ((await fleet.by(50)).length === 0) assert.ok(fleet.time.now < 60_000);
    times.push(fleet.time.now);
    fleet.ends.get(`local-${n}`)!("process 1, exit code 2");
  }
  const pauses = times.slice(1).map((at, i) => at - times[i]!);
  assert.ok(pauses[2]! > 2 * pauses[0]!, pauses.join());
  assert.ok(fleet.notes.includes("local-4 ended before it registered: process 1, exit code 2"));
  fleet.canStart = false;
  await fleet.by(60_000);
  assert.ok(fleet.notes.includes("Cannot start local-5: spawn ENOMEM"), fleet.notes.join("\n"));
  assert.ok(fleet.notes.length < 20, "and it does not storm");
  fleet.scaler.stop();
});

test("a worker is drained, and stopped once nothing lives behind its closed door", async () => {
  const fleet = await MadeUp.withOne();
  assert.deepEqual(await fleet.by(4500), []);
  fleet.see({ workers: [someone(7, "local-1")] });
  while (fleet.acts.length === 0) await fleet.time.run(fleet.time.now + 10);
  assert.deepEqual(fleet.acts.splice(0), ["drain local-1"]);
  fleet.change("local-1", { busy: 1 }); // it had begun in between
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(200), ["stop local-1"]);
  assert.deepEqual(await fleet.by(60_000), [], "once");
  fleet.ends.get("local-1")!("exit code 0");
  fleet.see({ workers: [] });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(1300), ["start local-2"], "a name is used once");
  fleet.scaler.stop();
});

test("a worker that a person drains is left alone, and one that is wanted back works", async () => {
  const fleet = await MadeUp.withOne();
  fleet.change("local-1", { draining: true });
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.change("local-1", { draining: false, busy: 1 });
  await fleet.by(200);
  fleet.change("local-1", { busy: 0 });
  while (fleet.acts.length === 0) await fleet.time.run(fleet.time.now + 10);
  assert.deepEqual(fleet.acts.splice(0), ["drain local-1"]);
  fleet.change("local-1", { draining: false, busy: 1 });
  await fleet.by(200);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(4500), [], "its time begins anew");
  while (fleet.acts.length === 0) await fleet.time.run(fleet.time.now + 10);
  fleet.acts.splice(0);
  fleet.change("local-1", { draining: false, busy: 1 });
  await fleet.by(200);
  fleet.change("local-1", { draining: true, busy: 0 });
  assert.deepEqual(await fleet.by(60_000), [], "the drain is a person's again");
  fleet.scaler.stop();
});

test("workers of other people are never ended, but their free slots count", async () => {
  const named = someone(1, "local-9"); // a person may call one so
  const fleet = new MadeUp({}, { workers: [named, someone(2, "w2")] });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(120_000), [], "two slots are there");
  fleet.wait(3);
  assert.deepEqual(await fleet.by(200), ["start local-1"]);
  fleet.scaler.stop();
});

test("what is left in the log of the pool's life before is no capacity and no name", async () => {
  const left = [1, 2].map((id) => someone(id, `local-${id}`, { state: "away" }));
  const fleet = new MadeUp({}, { workers: [...left, someone(3, "gone", { state: "away" })] });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(1200), ["start local-3"], "`gone` is to come back in a moment");
  fleet.scaler.stop();
});

test("a worker that the master has given up, and that lives, is to register again", async () => {
  const fleet = await MadeUp.withOne({ startTimeoutMs: 10_000, max: 1 });
  fleet.see({ workers: [] });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(5000), [], "it is on its way");
  fleet.see({ workers: [someone(8, "local-1", { busy: 1 })], classes: [] });
  assert.deepEqual(await fleet.by(30_000), []);
  fleet.see({ workers: [] });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(9500), [], "it has its time anew");
  assert.deepEqual(await fleet.by(800), ["stop local-1"], "this time it does not come");
  assert.deepEqual(await fleet.by(30_000), [], "the maximum counts those that are leaving");
  fleet.ends.get("local-1")!("SIGKILL");
  assert.deepEqual(await fleet.by(5000), ["start local-2"]);
  fleet.scaler.stop();
});

test("a worker that says that it leaves is not one to wait for", async () => {
  const fleet = await MadeUp.withOne();
  fleet.change("local-1", { state: "leaving" });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(1300), ["start local-2"]);
  fleet.see({ workers: [someone(8, "local-2", { busy: 1 })] });
  assert.deepEqual(await fleet.by(1000), [], "two are the most, until it is gone");
  fleet.ends.get("local-1")!("exit code 0");
  assert.deepEqual(await fleet.by(1), ["start local-3"], "and then at once");
  assert.equal(fleet.notes.filter((note) => note.includes("local-1")).join(), "local-1 leaves");
  fleet.scaler.stop();
});

test("a worker whose connection is away for a moment is not idle", async () => {
  const fleet = await MadeUp.withOne();
  fleet.change("local-1", { state: "away" });
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.see({ workers: [] });
  await fleet.by(200);
  fleet.ends.get("local-1")!("SIGKILL");
  assert.equal(fleet.notes.at(-1), "local-1 ended before it registered: SIGKILL", "again, that is");
  fleet.scaler.stop();
});

test("another worker with the name of one of the pool's changes nothing for that one", async () => {
  const fleet = await MadeUp.withOne();
  fleet.see({ workers: [someone(7, "local-1"), someone(9, "local-1", { busy: 1 })] });
  assert.deepEqual(await fleet.by(4000), []);
  await fleet.by(1500);
  assert.match(fleet.notes.at(-1)!, /^retires local-1: idle for 5\.\ds/);
  fleet.scaler.stop();
});

test("a worker's idle time begins when it comes, and not when it was ordered", async () => {
  const fleet = new MadeUp({ cooldownMs: 0 });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(4000), ["start local-1"]);
  fleet.see({ workers: [someone(7, "local-1")], classes: [] });
  assert.deepEqual(await fleet.by(4900), []);
  assert.deepEqual(await fleet.by(400), ["drain local-1", "stop local-1"]);
  fleet.scaler.stop();
});

test("after starts that were late there is one at a time, until one has come", async () => {
  const fleet = new MadeUp({ max: 4, startTimeoutMs: 10_000 });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(1200), ["start local-1", "start local-2"]);
  assert.deepEqual(await fleet.by(9900), ["stop local-1", "stop local-2"]);
  for (const name of ["local-1", "local-2"]) fleet.ends.get(name)!("SIGKILL");
  assert.deepEqual(await fleet.by(4000), ["start local-3"]);
  fleet.wait(4);
  fleet.see({ workers: [someone(1, "local-3", { busy: 1 })] });
  assert.deepEqual(await fleet.by(200), ["start local-4", "start local-5", "start local-6"]);
  fleet.scaler.stop();
});

test("the loop looks when time alone changes the plan, and not at its next turn", async () => {
  const fleet = new MadeUp({ upAfterMs: 30 }, {
    classes: [{ key: "GENERAL", jobs: 1, isStuck: true }],
  });
  assert.deepEqual(await fleet.by(29), []);
  assert.deepEqual(await fleet.by(1), ["start local-1"]);
  fleet.scaler.stop();
});
