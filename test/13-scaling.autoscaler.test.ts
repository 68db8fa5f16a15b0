/**
 * The loop that starts and ends workers: with a real master and real workers in virtual time, and
 * with a fleet that is made up, for what rarely happens.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, decide, State, type Command, type Effect, type Launch } from "#core";
import { VirtualTime } from "#host";
import {
  Autoscaler, StartError, STOP_TRIES, type Driver, type Hands, type Master, type SeenFleet,
  type SeenWorker,
} from "#master";
import type { PoolDefinition } from "#pipeline";
import { definePool, type Plan, type Pool } from "#scaling";
import { KNOWLEDGE } from "#wire";
import { job, pipeline, SimCluster, type FakeExecutor } from "./11-worker.cluster.ts";

/** A worker's way from its order to its registration. */
const BOOT_MS = 700;

function local(fields: Partial<Pool>): PoolDefinition {
  return { ...definePool({ name: "local", ...fields }), driver: { type: "process" } };
}

/** A cluster whose workers are all started by the loop, and whose jobs end when the test says. */
class Scaled {
  readonly cluster = new SimCluster();
  readonly notes: string[] = [];
  readonly ordered: string[] = [];
  /** Processes that live, with the way to kill them. */
  readonly living = new Map<string, (how: string) => void>();
  most = 0;
  readonly terms = new Map<string, () => void>();
  scaler!: Autoscaler<PoolDefinition>;
  master!: Master;

  static async start(fields: Partial<Pool> = {}): Promise<Scaled> {
    const scaled = new Scaled();
    scaled.master = await scaled.cluster.startMaster();
    scaled.scale({ slots: 2, max: 4, ...fields });
    return scaled;
  }

  /** A loop for the master. */
  scale(fields: Partial<Pool>): void {
    const { world } = this.cluster;
    const stops = new Map<string, () => Promise<void>>();
    const driver: Driver<PoolDefinition> = {
      isOurs: true,
      start: async (pool, name, onEnd) => {
        stops.set(name, this.#spawn(name, { pool, onEnd }));
        return `process of ${name}`;
      },
      stop: async ({ name }) => stops.get(name)?.(),
    };
    this.scaler = new Autoscaler({
      host: world.host("m"),
      fleet: this.master.fleet,
      pools: [local(fields)],
      drivers: { process: driver, command: driver },
      onNote: (text) => void this.notes.push(`${(world.now / 1000).toFixed(1)} ${text}`),
    });
  }

  #spawn(
    name: string, { pool, onEnd }: { pool: Pool; onEnd: (how: string) => void },
  ): () => Promise<void> {
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
    return async () => {
      if (!living.has(name)) return;
      await stop();
      ended("exit code 0");
    };
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
    void this.scaler.stop();
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

test("the second of a burst begins with it, and not with the next look", async () => {
  const scaled = await Scaled.start({ max: 20 });
  const { world } = scaled.cluster;
  for (const offMs of [7, 35, 88]) {
    await scaled.run(2000 + offMs);
    const before = scaled.ordered.length;
    await scaled.submit(6);
    const acceptedAt = world.now;
    await scaled.cluster.until(() => scaled.ordered.length > before);
    const waited = world.now - acceptedAt;
    assert.ok(waited >= 995 && waited <= 1010, `${offMs}: ordered after ${waited} ms`);
  }
  scaled.stop();
  const before = scaled.ordered.length;
  await scaled.submit(6);
  await scaled.run(2000);
  assert.equal(scaled.ordered.length, before, "and a loop that is stopped is not stirred");
});

test("jobs that wait are looked at once more, and not with each event", async () => {
  const scaled = await Scaled.start({ slots: 1, max: 2 });
  await scaled.submit(80);
  await scaled.cluster.until(() => scaled.begun === 2);
  const { fleet } = scaled.master;
  let looks = 0;
  const look = fleet.look.bind(fleet);
  fleet.look = () => {
    looks += 1;
    return look();
  };
  const { world } = scaled.cluster;
  /** Those that the clock does not ask for. */
  const moreLooksIn = async (step: () => unknown): Promise<number> => {
    const [before, since] = [looks, world.now];
    for (let more = 0; more < 30; more++) {
      await step();
      await scaled.run(20);
    }
    return looks - before - (world.now - since) / 100;
  };
  const busy = await moreLooksIn(() => scaled.endAll());
  assert.ok(scaled.begun >= 30 && busy <= 2, `${scaled.begun} jobs, ${busy} looks more`);
  await scaled.cluster.until(() => {
    scaled.endAll();
    return scaled.begun === 80;
  });
  await scaled.run(500);
  const single = await moreLooksIn(() => {
    scaled.endAll();
    return scaled.submit(1);
  });
  assert.ok(scaled.begun >= 100 && single <= 2, `${scaled.begun} jobs, ${single} looks more`);
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
  await scaled.run(10);
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
  assert.deepEqual([fleet.retire(99, "…"), fleet.retire(only!.id, "…")], [false, true]);
  assert.equal(fleet.look().workers[0]?.draining, true);
  one!.end();
  assert.equal(fleet.look().isFrozen, false);
  await scaled.cluster.world.settle(scaled.master.stop());
  assert.equal(fleet.look().isFrozen, true);
});

test("the master's side tells nobody to end before that is durable", async () => {
  const cluster = new SimCluster();
  const { fleet, stop } = await cluster.startMaster();
  const { world } = cluster;
  const pool = local({ max: 2 });
  const run = (ms: number) => world.run(world.now + ms);
  const told: string[] = [];
  const [start, stir] = [() => undefined, () => undefined];
  const hands: Hands = { start, stir, stop: (name) => void told.push(name) };
  fleet.offer([pool], hands);
  const name = fleet.launch(pool, "jobs wait")!;
  await run(100);
  world.disk("m").slowSync([500, 500]);
  fleet.launch(pool, "jobs wait");
  fleet.offer([pool], hands); // waits for what is under way
  await run(100);
  fleet.tell({ type: "StopLaunch", name, reason: "idle", failed: false });
  await run(600);
  assert.deepEqual(told, [], "its own sync has not ended");
  await run(1000);
  assert.deepEqual(told, [name]);
  fleet.offer([pool], hands);
  await run(100);
  assert.deepEqual(told, [name, name], "and again after a restart");
  world.disk("m").slowSync(undefined);
  await world.settle(stop());
});

// ── a fleet that is made up ──────────────────────────────────────────────────────────────────────

/** A worker that is registered, under a number that its name has in the order of appearance. */
function someone(name: string, fields: Partial<SeenWorker> = {}): SeenWorker {
  return {
    id: 0, name, tags: [], knows: KNOWLEDGE, slots: 1, busy: 0, state: "here", draining: false,
    permanent: false, reportedAt: undefined, launch: undefined, ...fields,
  };
}

/** Everything that happens, in order: `start local-1`, `drain local-1`, `stop local-1`. */
class MadeUp {
  readonly time = new VirtualTime();
  readonly acts: string[] = [];
  readonly notes: string[] = [];
  readonly ends = new Map<string, (how: string) => void>();
  readonly #stops = new Map<string, () => void>();
  /** Workers that do not end when they are told to, but when the test says. */
  readonly slow = new Set<string>();
  /** Workers that stay registered for a while after their end. */
  readonly staying = new Set<string>();
  /** Answers to orders that take their time. */
  answer: Promise<void> | undefined;
  /** Workers that cannot be told. */
  readonly deaf = new Set<string>();
  state = new State();
  classes: SeenFleet["classes"] = [];
  isFrozen = false;
  canStart: true | StartError | Promise<StartError> = true;
  isOurs = true;
  made: Pick<Plan, "pools" | "classes"> = { pools: [], classes: [] };
  scaler: Autoscaler<PoolDefinition>;
  #workers: SeenWorker[] = [];
  #hands: Hands | undefined;

  constructor(fields: Partial<Pool> = {}, seen: readonly SeenWorker[] = []) {
    this.see(seen);
    this.scaler = this.scale([local({ max: 2, idleMs: 5000, ...fields })]);
  }

  /** A loop as a master has it that has just started. */
  scale(pools: readonly PoolDefinition[]): Autoscaler<PoolDefinition> {
    const fleet = this;
    const driver: Driver<PoolDefinition> = {
      get isOurs() { return fleet.isOurs; },
      start: (_pool, name, onEnd) => this.#spawn(name, onEnd),
      stop: async ({ name, handle }) => this.#kill(name, handle),
    };
    this.scaler = new Autoscaler({
      host: this.time,
      pools,
      fleet: {
        offer: (_pools, hands) => {
          this.#hands = hands;
          for (const { name, phase } of this.state.launches.values()) {
            if (phase === "stopping") this.time.timers.soon(() => hands.stop(name));
          }
        },
        look: () => this.#look(),
        launch: ({ name: pool, max }, reason) => {
          const down = this.isOurs ? [] : ["down"];
          return this.give({ type: "Launch", pool, max, down, reason });
        },
        retire: (id, reason) => {
          this.acts.push(`drain ${this.state.workers.get(id)?.name}`);
          return this.give({ type: "Retire", worker: String(id), reason }) !== undefined;
        },
        tell: (news) => void this.give(news),
        launchNamed: (name) => this.state.launches.get(name),
        explain: (made) => void (this.made = made),
      },
      drivers: { process: driver, command: driver },
      onNote: (text) => void this.notes.push(text),
    });
    return this.scaler;
  }

  async #spawn(name: string, onEnd: (how: string) => void): Promise<string> {
    const can = await this.canStart;
    if (can !== true) throw can;
    this.acts.push(`start ${name}`);
    this.ends.set(name, onEnd);
    await this.answer;
    return `handle of ${name}`;
  }

  /** The process ends, and its worker is not registered any more. */
  async #kill(name: string, handle: string): Promise<void> {
    this.acts.push(`stop ${name}${handle === "" ? " by its name" : ""}`);
    if (this.deaf.has(name)) throw new Error("it is deaf");
    if (this.slow.has(name)) await new Promise<void>((over) => this.#stops.set(name, over));
    if (this.staying.has(name)) return;
    this.see(this.#workers.filter((worker) => worker.name !== name));
  }

  /** The process of a worker is gone, as it was told to or not. */
  end(name: string, how: string): void {
    const stopped = this.#stops.get(name);
    if (stopped === undefined) this.ends.get(name)!(how);
    else stopped();
  }

  /** As the engine does it, on a disk that is always ready. */
  give(command: Command, { isKilled = false } = {}): string | undefined {
    const { state } = this;
    const context = { now: Math.floor(this.time.now), random: () => 0.5 };
    try {
      const { events, effects, reply } = decide(state, command, context);
      for (const event of events) apply(state, event);
      for (const effect of isKilled ? [] : effects) {
        this.time.timers.soon(() => this.#perform(effect));
      }
      return (reply as { name?: string } | undefined)?.name ?? "";
    } catch {
      return undefined;
    }
  }

  #perform(effect: Effect): void {
    if (effect.type === "StartWorker") this.#hands!.start(effect.name);
    if (effect.type === "StopWorker") this.#hands!.stop(effect.name);
  }

  #look(): SeenFleet {
    const { state, classes, isFrozen } = this;
    const workers = [...state.workers.values()].map(({ id, name, draining }) => {
      const made = this.#workers.find((one) => one.name === name)!;
      const launch = state.launches.get(state.launchesByWorker.get(id) ?? "");
      return { ...made, id, draining, launch };
    });
    const history = new Map([...state.pools].map(([name, pool]) => [name, pool.history]));
    const now = Math.floor(this.time.now);
    return { now, isFrozen, classes, workers, launches: [...state.launches.values()], history };
  }

  /** These workers are registered, and no others. */
  see(workers: readonly SeenWorker[]): void {
    const names = new Set(workers.map(({ name }) => name));
    for (const { id, name } of this.state.workers.values()) {
      if (!names.has(name)) this.give({ type: "Lose", worker: id, reason: "silent" });
    }
    for (const { name, tags, slots } of workers) {
      const isKnown = [...this.state.workers.values()].some((worker) => worker.name === name);
      const instance = `${name}@${this.time.now}`;
      const offer = { instance, name, tags, slots, version: "" };
      if (!isKnown) this.give({ type: "Join", ...offer });
    }
    this.#workers = [...workers];
  }

  launch(name: string): Launch | undefined {
    return this.state.launches.get(name);
  }

  wait(jobs: number): void {
    this.classes = jobs === 0 ? [] : [{ key: "GENERAL", jobs, isStuck: true }];
  }

  drain(name: string, on: boolean): void {
    this.give({ type: "Drain", worker: name, undo: !on });
  }

  change(name: string, fields: Partial<SeenWorker>): void {
    this.#workers = this.#workers.map((one) => {
      return { ...one, ...(one.name === name && fields) };
    });
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
    fleet.see([someone("local-1")]);
    fleet.wait(0);
    assert.deepEqual(await fleet.by(200), []);
    return fleet;
  }

  /** Until something is done. */
  async next(): Promise<string[]> {
    while (this.acts.length === 0) await this.time.run(this.time.now + 10);
    return this.acts.splice(0);
  }

  stop(): void {
    void this.scaler.stop();
  }
}

test("a job that somebody takes at once is not a job that waits", async () => {
  const fleet = new MadeUp();
  fleet.wait(3);
  await fleet.by(900);
  fleet.classes = [{ key: "GENERAL", jobs: 3, isStuck: false }];
  await fleet.by(100);
  fleet.wait(3);
  assert.deepEqual(await fleet.by(900), [], "the second begins anew");
  assert.deepEqual(await fleet.by(300), ["start local-1", "start local-2"]);
  fleet.stop();
});

test("nothing is decided while nobody could register, nor in the second after that", async () => {
  const fleet = new MadeUp();
  fleet.wait(1);
  await fleet.by(900);
  fleet.isFrozen = true;
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.isFrozen = false;
  assert.deepEqual(await fleet.by(900), []);
  assert.deepEqual(await fleet.by(300), ["start local-1"]);
  fleet.stop();
});

test("a start that is being ended counts, for the maximum and for titan pools, until it is " +
  "gone", async () => {
  const fleet = new MadeUp({ startTimeoutMs: 5000, max: 1 });
  fleet.slow.add("local-1");
  fleet.wait(1);
  await fleet.by(6500);
  assert.equal(fleet.launch("local-1")!.phase, "stopping");
  fleet.notes.splice(0);
  assert.deepEqual(await fleet.by(10_000), []);
  assert.deepEqual(fleet.notes, [], "nothing is ordered that would only be refused");
  const [view] = fleet.made.pools;
  assert.deepEqual([view!.leaving, view!.why], [1, "pool local has its maximum of 1 worker"]);
  fleet.end("local-1", "exit code 0");
  assert.deepEqual(await fleet.by(200), ["start local-2"]);
  fleet.stop();
});

test("a launch that was lost for good counts until its machine is gone", async () => {
  const fleet = await MadeUp.withOne({ max: 1 });
  fleet.slow.add("local-1");
  fleet.see([]);
  fleet.wait(1);
  fleet.notes.splice(0);
  assert.deepEqual(await fleet.by(16_000), ["stop local-1"]);
  assert.deepEqual(fleet.notes.splice(0), ["ends local-1: it was lost, and did not come back"]);
  assert.deepEqual(await fleet.by(10_000), []);
  assert.deepEqual([fleet.notes, fleet.made.pools[0]!.leaving], [[], 1]);
  fleet.stop();
});

test("the free slot of a worker that is too old is none for a service", async () => {
  const fleet = new MadeUp({}, [someone("old", { knows: [], slots: 4 })]);
  fleet.classes = [{ key: "GENERAL", jobs: 2, isStuck: true }];
  assert.deepEqual(await fleet.by(1500), [], "for jobs it is");
  fleet.classes = [{ key: "~services", jobs: 2, isStuck: true }];
  assert.deepEqual(await fleet.by(1500), ["start local-1", "start local-2"]);
  assert.match(fleet.notes.join(), /starts 2 workers: 2 jobs have waited 1\.\ds/);
  assert.deepEqual(fleet.made.classes.map(({ key, why }) => [key, why]),
    [["~services", "pool local is starting 2 workers"]]);
  fleet.stop();
});

test("the slot of a worker that is away, and new enough, is one for a service", async () => {
  const fleet = new MadeUp({}, [someone("new", { state: "away", slots: 4 })]);
  fleet.classes = [{ key: "~services", jobs: 2, isStuck: true }];
  assert.deepEqual(await fleet.by(1500), []);
  fleet.stop();
});

test("a pool whose last worker came too old starts no others for a service, and lets it " +
  "go", async () => {
  const fleet = new MadeUp({ max: 4 });
  fleet.classes = [{ key: "~services", jobs: 1, isStuck: true }];
  assert.deepEqual(await fleet.by(1500), ["start local-1"]);
  fleet.see([someone("local-1", { knows: [] })]);
  assert.deepEqual(await fleet.by(4000), [], "the next one would be no better");
  assert.deepEqual(fleet.made.classes[0]!.pools, []);
  assert.deepEqual((await fleet.by(15_000)).slice(0, 2), ["drain local-1", "stop local-1"]);
  fleet.stop();
});

test("a start that never registers is ended, and the next one waits", async () => {
  const fleet = new MadeUp({ startTimeoutMs: 10_000 });
  fleet.slow.add("local-1");
  fleet.wait(1);
  await fleet.by(1200);
  assert.deepEqual(await fleet.by(9500), []);
  assert.deepEqual(await fleet.by(400), ["stop local-1"]);
  assert.deepEqual(fleet.notes.at(-1), "ends local-1: did not register within 10.0s");
  // It comes now, and gets nothing to do: it is on its way out.
  fleet.see([someone("local-1")]);
  assert.equal([...fleet.state.workers.values()][0]!.draining, true);
  const next = await fleet.by(3000);
  assert.deepEqual(next, ["start local-2"], "after a pause, as if it were not there");
  fleet.end("local-1", "exit code 0");
  await fleet.by(100);
  assert.equal(fleet.launch("local-1"), undefined);
  assert.equal(fleet.notes.filter((note) => note.includes("ended")).length, 0);
  fleet.stop();
});

test("starts that end at once are failures, too, with a pause that grows", async () => {
  const fleet = new MadeUp();
  fleet.wait(1);
  const times: number[] = [];
  for (let n = 1; n <= 4; n++) {
    while ((await fleet.by(50)).length === 0) assert.ok(fleet.time.now < 60_000);
    times.push(fleet.time.now);
    fleet.end(`local-${n}`, "process 1, exit code 2");
  }
  const pauses = times.slice(1).map((at, i) => at - times[i]!);
  assert.ok(pauses[2]! > 2 * pauses[0]!, pauses.join());
  assert.ok(fleet.notes.includes("local-4 ended before it registered: process 1, exit code 2"));
  fleet.canStart = new StartError("spawn ENOMEM", { isUnsure: false });
  await fleet.by(60_000);
  assert.ok(fleet.notes.includes("Cannot start local-5: spawn ENOMEM"), fleet.notes.join("\n"));
  assert.ok(fleet.notes.length < 20, "and it does not storm");
  assert.equal(fleet.state.launches.size, 0);
  assert.equal(fleet.state.pools.get("local")!.failure.split(": ")[1], "spawn ENOMEM");
  fleet.stop();
});

test("a worker is drained, and stopped once nothing lives behind its closed door", async () => {
  const fleet = await MadeUp.withOne();
  assert.deepEqual(await fleet.by(4500), []);
  assert.deepEqual(await fleet.next(), ["drain local-1"]);
  fleet.change("local-1", { busy: 1 }); // it had begun in between
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(200), ["stop local-1"]);
  assert.deepEqual(await fleet.by(60_000), [], "once");
  fleet.wait(1);
  assert.deepEqual(await fleet.by(1300), ["start local-2"], "a name is used once");
  fleet.stop();
});

test("a worker that a person drains is left alone, and one that is wanted back works", async () => {
  const fleet = await MadeUp.withOne();
  fleet.drain("local-1", true);
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.drain("local-1", false);
  fleet.change("local-1", { busy: 1 });
  await fleet.by(200);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.next(), ["drain local-1"]);
  fleet.drain("local-1", false);
  fleet.change("local-1", { busy: 1 });
  await fleet.by(200);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(4500), [], "its time begins anew");
  await fleet.next();
  fleet.drain("local-1", false);
  fleet.change("local-1", { busy: 1 });
  await fleet.by(200);
  fleet.drain("local-1", true);
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(60_000), [], "the drain is a person's again");
  fleet.stop();
});

test("workers of other people are never ended, but their free slots count", async () => {
  const named = someone("local-1"); // a person may call one so
  const fleet = new MadeUp({}, [named, someone("w2")]);
  fleet.wait(2);
  assert.deepEqual(await fleet.by(120_000), [], "two slots are there");
  fleet.wait(3);
  assert.deepEqual(await fleet.by(200), ["start local-2"]);
  fleet.stop();
});

test("a worker that the master has given up, and that lives, is to register again", async () => {
  const fleet = await MadeUp.withOne({ startTimeoutMs: 10_000, max: 1 });
  fleet.slow.add("local-1");
  fleet.see([]);
  fleet.wait(1);
  assert.deepEqual(await fleet.by(5000), [], "it is on its way");
  fleet.see([someone("local-1", { busy: 1 })]);
  fleet.wait(0);
  assert.deepEqual(await fleet.by(30_000), []);
  fleet.see([]);
  fleet.wait(1);
  assert.deepEqual(await fleet.by(9500), [], "it has its time anew");
  assert.deepEqual(await fleet.by(800), ["stop local-1"], "this time it does not come");
  assert.deepEqual(await fleet.by(30_000), [], "the maximum counts those that are leaving");
  assert.equal(fleet.notes.filter((note) => note.startsWith("starts")).length, 1);
  fleet.end("local-1", "SIGKILL");
  assert.deepEqual(await fleet.by(5000), ["start local-2"]);
  fleet.stop();
});

test("a worker that was lost is not waited for as long as a new one", async () => {
  const fleet = await MadeUp.withOne({ startTimeoutMs: 600_000 });
  fleet.see([]);
  fleet.wait(1);
  assert.deepEqual(await fleet.by(14_500), []);
  assert.deepEqual(await fleet.by(800), ["stop local-1", "start local-2"]);
  assert.equal(fleet.state.pools.get("local")!.history.failures, 0, "it had come");
  fleet.stop();
});

test("a worker that says that it leaves is not one to wait for", async () => {
  const fleet = await MadeUp.withOne();
  fleet.slow.add("local-1");
  fleet.change("local-1", { state: "leaving" });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(1300), ["start local-2"]);
  const { id } = [...fleet.state.workers.values()][0]!;
  fleet.give({ type: "Lose", worker: id, reason: "said goodbye", blamed: false });
  fleet.see([someone("local-2", { busy: 1 })]);
  assert.deepEqual(await fleet.by(1000), ["stop local-1"], "two are the most, until it is gone");
  fleet.end("local-1", "exit code 0");
  assert.deepEqual(await fleet.by(1), ["start local-3"], "and then at once");
  const told = fleet.notes.filter((note) => note.includes("local-1")).join();
  assert.equal(told, "local-1 ends: said goodbye");
  fleet.stop();
});

test("a worker whose connection is away for a moment is not idle", async () => {
  const fleet = await MadeUp.withOne();
  fleet.change("local-1", { state: "away" });
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.see([]);
  await fleet.by(200);
  fleet.end("local-1", "SIGKILL");
  assert.equal(fleet.notes.at(-1), "local-1 ended: SIGKILL");
  assert.equal(fleet.state.launches.size, 0);
  fleet.stop();
});

test("a worker whose process ends counts until the master has given it up", async () => {
  const fleet = await MadeUp.withOne({ max: 1 });
  fleet.slow.add("local-1");
  fleet.change("local-1", { busy: 1 });
  fleet.end("local-1", "SIGKILL");
  fleet.slow.delete("local-1");
  fleet.wait(1);
  assert.equal(fleet.launch("local-1")!.phase, "stopping");
  assert.deepEqual(await fleet.by(1300), ["stop local-1", "start local-2"]);
  fleet.stop();
});

test("another worker with the name of one of the pool's changes nothing for that one", async () => {
  const fleet = await MadeUp.withOne();
  const offer = { instance: "another", name: "local-1", tags: [], slots: 1, version: "" };
  fleet.give({ type: "Join", ...offer });
  assert.deepEqual(await fleet.by(4000), []);
  await fleet.by(1500);
  const retired = fleet.notes.filter((note) => note.startsWith("retires"));
  assert.match(retired.join(), /^retires local-1: idle for 5\.\ds/);
  assert.equal(fleet.launch("local-1")?.worker ?? 0, 0);
  fleet.stop();
});

test("a worker's idle time begins when it comes, and not when it was ordered", async () => {
  const fleet = new MadeUp({ cooldownMs: 0 });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(4000), ["start local-1"]);
  fleet.see([someone("local-1")]);
  fleet.wait(0);
  assert.deepEqual(await fleet.by(4900), []);
  assert.deepEqual(await fleet.by(400), ["drain local-1", "stop local-1"]);
  fleet.stop();
});

test("after starts that were late there is one at a time, until one has come", async () => {
  const fleet = new MadeUp({ max: 4, startTimeoutMs: 10_000 });
  fleet.wait(2);
  assert.deepEqual(await fleet.by(1200), ["start local-1", "start local-2"]);
  assert.deepEqual(await fleet.by(9900), ["stop local-1", "stop local-2"]);
  assert.deepEqual(await fleet.by(4000), ["start local-3"]);
  fleet.wait(4);
  fleet.see([someone("local-3", { busy: 1 })]);
  assert.deepEqual(await fleet.by(200), ["start local-4", "start local-5", "start local-6"]);
  fleet.stop();
});

test("the loop looks when time alone changes the plan, and not at its next turn", async () => {
  const fleet = new MadeUp({ upAfterMs: 30 });
  fleet.wait(1);
  await fleet.by(100);
  assert.deepEqual(await fleet.by(29), []);
  assert.deepEqual(await fleet.by(1), ["start local-1"]);
  fleet.stop();
});

test("a worker that is permanent is not ended, however idle it is", async () => {
  const fleet = await MadeUp.withOne();
  fleet.change("local-1", { permanent: true });
  assert.deepEqual(await fleet.by(600_000), []);
  fleet.stop();
});

// ── after a restart of the master ────────────────────────────────────────────────────────────────

/** As a master that was killed: nothing that it had begun goes on in it. */
async function restarted(
  fleet: MadeUp, fields: Partial<Pool> | undefined = {},
): Promise<void> {
  await fleet.scaler.stop();
  const pools = fields === undefined ? [] : [local({ max: 2, idleMs: 5000, ...fields })];
  fleet.scale(pools);
}

test("a launch that was open is waited for, and no second one is ordered", async () => {
  const fleet = new MadeUp({ max: 1, startTimeoutMs: 20_000 });
  fleet.isOurs = false;
  fleet.wait(1);
  assert.deepEqual(await fleet.by(1200), ["start local-1"]);
  await restarted(fleet, { max: 1, startTimeoutMs: 20_000 });
  assert.deepEqual(await fleet.by(5000), []);
  fleet.see([someone("local-1", { busy: 1 })]);
  fleet.wait(0);
  assert.deepEqual(await fleet.by(60_000), []);
  assert.equal(fleet.state.pools.get("local")!.history.failures, 0);
  fleet.stop();
});

test("a launch whose time was over before the restart has a moment to dial", async () => {
  const fleet = new MadeUp({ startTimeoutMs: 20_000 });
  fleet.isOurs = false;
  fleet.wait(1);
  await fleet.by(1200);
  await fleet.scaler.stop();
  await fleet.by(300_000);
  await restarted(fleet, { startTimeoutMs: 20_000 });
  assert.deepEqual(await fleet.by(14_800), []);
  assert.deepEqual(await fleet.by(400), ["stop local-1"]);
  assert.equal(fleet.state.pools.get("local")!.history.failures, 1);
  fleet.stop();
});

test("a launch that nobody had answered is ended by its name alone", async () => {
  const fleet = new MadeUp({ startTimeoutMs: 20_000 });
  fleet.isOurs = false;
  // The order was durable, and the master was killed before it left.
  const order = { pool: "local", max: 2, down: ["down"], reason: "jobs wait" };
  await fleet.scaler.stop();
  fleet.give({ type: "Launch", ...order }, { isKilled: true });
  fleet.wait(1);
  await restarted(fleet, { startTimeoutMs: 20_000 });
  assert.deepEqual(await fleet.by(19_900), []);
  assert.deepEqual(await fleet.by(300), ["stop local-1 by its name"]);
  assert.deepEqual([...fleet.state.launches.keys()], []);
  assert.equal(fleet.state.pools.get("local")!.history.failures, 1);
  fleet.stop();
});

test("children of a master that was killed are over with it", async () => {
  const fleet = await MadeUp.withOne({ min: 1 });
  await fleet.scaler.stop();
  fleet.give({ type: "Launch", pool: "local", max: 2, down: [], reason: "jobs wait" });
  await fleet.by(100);
  fleet.slow.add("local-1"); // the master waits for it to come back
  await restarted(fleet, { min: 1 });
  const done = await fleet.by(200);
  assert.deepEqual(done.sort(), ["start local-3", "stop local-1", "stop local-2 by its name"]);
  fleet.end("local-1", "");
  await fleet.by(200);
  assert.deepEqual([...fleet.state.launches.keys()], ["local-3"]);
  fleet.stop();
});

test("a stop that was under way is finished", async () => {
  const fleet = await MadeUp.withOne();
  fleet.isOurs = false;
  await fleet.scaler.stop();
  fleet.give({ type: "StopLaunch", name: "local-1", reason: "drained", failed: false });
  await fleet.by(100);
  await restarted(fleet);
  assert.deepEqual(await fleet.by(300), ["stop local-1"]);
  assert.equal(fleet.state.launches.size, 0);
  fleet.stop();
});

test("workers of a pool that is gone from the file go: the door first", async () => {
  const fleet = await MadeUp.withOne();
  fleet.isOurs = false;
  fleet.change("local-1", { busy: 1 });
  await fleet.scaler.stop();
  fleet.give({ type: "Launch", pool: "local", max: 2, down: ["down"], reason: "jobs wait" });
  await fleet.by(100);
  fleet.scale([]);
  const done = await fleet.by(200);
  assert.deepEqual(done.sort(), ["drain local-1", "stop local-2 by its name"]);
  assert.deepEqual(await fleet.by(60_000), [], "its job goes on");
  fleet.change("local-1", { busy: 0 });
  assert.deepEqual(await fleet.by(200), ["stop local-1"]);
  assert.equal(fleet.state.launches.size, 0);
  fleet.stop();
});

test("with a smaller maximum nobody new comes, and idle ones go at once", async () => {
  const fleet = new MadeUp({ max: 3 });
  fleet.isOurs = false;
  fleet.wait(3);
  await fleet.by(1200);
  fleet.see([someone("local-1", { busy: 1 }), someone("local-2"), someone("local-3")]);
  fleet.wait(0);
  await fleet.by(200);
  await restarted(fleet, { max: 1 });
  assert.deepEqual((await fleet.by(300)).sort(), [
    "drain local-2", "drain local-3", "stop local-2", "stop local-3",
  ]);
  fleet.wait(5);
  assert.deepEqual(await fleet.by(60_000), []);
  fleet.stop();
});

test("a worker that cannot be ended is told a few times, and then let go", async () => {
  const fleet = await MadeUp.withOne();
  fleet.deaf.add("local-1");
  await fleet.by(60_000);
  const told = fleet.notes.filter((note) => note === "Cannot end local-1: it is deaf");
  assert.ok(told.length >= 4, `${told.length} times in a minute`);
  await fleet.by(120_000);
  assert.equal(fleet.notes.filter((note) => note.startsWith("Cannot end")).length, STOP_TRIES);
  assert.equal(fleet.state.launches.size, 0);
  fleet.stop();
});

test("a worker that has come is at work, whatever is said of its order afterwards", async () => {
  for (const isLost of [false, true]) {
    const fleet = new MadeUp();
    let fail: (error: StartError) => void = () => undefined;
    fleet.canStart = new Promise((resolve) => { fail = resolve; });
    fleet.wait(1);
    await fleet.by(1200);
    fleet.see([someone("local-1")]);
    if (isLost) fleet.see([]);
    fail(new StartError("it had not ended after 20 s", { isUnsure: true }));
    assert.deepEqual(await fleet.by(100), []);
    assert.equal(fleet.launch("local-1")?.phase, isLost ? "starting" : "running");
    fleet.wait(0);
    assert.deepEqual(await fleet.by(20_000), [
      ...(isLost ? [] : ["drain local-1"]), "stop local-1 by its name",
    ]);
    fleet.stop();
  }
});

test("a worker that was ended counts until it is not registered any more", async () => {
  const fleet = await MadeUp.withOne({ max: 1 });
  fleet.staying.add("local-1");
  await fleet.by(6000);
  fleet.wait(1);
  assert.deepEqual(await fleet.by(20_000), []);
  assert.equal(fleet.launch("local-1")?.phase, "stopping");
  fleet.see([]);
  assert.deepEqual(await fleet.by(500), ["start local-2"]);
  fleet.stop();
});

test("an order that is called off is ended by its handle, once that is there", async () => {
  const fleet = new MadeUp();
  let answered = (): void => undefined;
  fleet.answer = new Promise((resolve) => (answered = resolve));
  fleet.wait(1);
  assert.deepEqual(await fleet.by(1200), ["start local-1"]);
  fleet.wait(0);
  fleet.give({ type: "Retire", worker: "local-1", reason: "ann retires it" });
  assert.deepEqual(await fleet.by(1000), []);
  answered();
  assert.deepEqual(await fleet.by(200), ["stop local-1"], "and not by its name");
  fleet.stop();
});

test("an order of which nobody knows what it did is ended by its name", async () => {
  const fleet = new MadeUp();
  fleet.canStart = new StartError("it had not ended after 20 s", { isUnsure: true });
  fleet.wait(1);
  assert.deepEqual(await fleet.by(1200), ["stop local-1 by its name"]);
  assert.equal(fleet.state.launches.size, 0);
  assert.equal(fleet.state.pools.get("local")!.history.failures, 1);
  fleet.stop();
});
