/**
 * Chapter 18: a run that begins with the steps of another one, those of jobs included that were
 * added while it went on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, Event, hashState, Picture, readSnapshot, State, stepBlobs, stepName, writeSnapshot,
  type Job,
} from "#core";
import type { JobSpec, StepAnswer, StepEnd } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, NO_ROOM, refusal, spec,
} from "./10-master.core.ts";
import { by, forJobs, pause, spawn, stepEnd, stepStart } from "./18-agents.core.ts";
import { Model } from "../src/simulation/model.ts";

const BLOB = { sha256: "b".repeat(64), size: 70_000 };

/** A cluster whose jobs take steps and add jobs. */
class Family extends Bench {
  constructor(seed = 1) {
    super(seed);
    this.join({ slots: 100 });
  }

  /** The job runs from here on. */
  begin(run: string, job: string): Job {
    this.schedule();
    const found = this.job(run, job);
    assert.equal(found.status, "RUNNING");
    return found;
  }

  start(job: Job, name: string): StepAnswer {
    return this.execute({ type: "StartStep", by: by(job), step: stepStart(name) });
  }

  done(job: Job, name: string, end: Partial<StepEnd> = { result: Buffer.from(name) }): void {
    assert.equal(this.start(job, name).type, "run", name);
    this.execute({ type: "EndStep", by: by(job), step: stepEnd(name, end) });
  }

  fork(run: string, from: string, set: { step: string; result: Buffer }[] = []) {
    return this.execute({ type: "Fork", run, from, set, by: "ann" });
  }

  /** What each of these steps is to the job now: the result that it has, or that it runs. */
  told(job: Job, ...names: string[]): string[] {
    return names.map((name) => {
      const answer = this.start(job, name);
      if (answer.type !== "done") return answer.type;
      return answer.blob === undefined ? String(answer.result) : "blob";
    });
  }
}

const DIG = [spec("dig-1"), spec("dig-2")];

/** plan thinks, adds dig-1 and dig-2, which read; dig-2 adds deep; then plan judges. */
function dug(): { bench: Family; run: string } {
  const bench = new Family();
  const run = bench.submit([spec("plan"), spec("end", { dependsOn: [0] })]);
  const plan = bench.begin(run, "plan");
  bench.done(plan, "think");
  spawn(bench, plan, "dig", DIG);
  const [one, two] = [bench.begin(run, "dig-1"), bench.begin(run, "dig-2")];
  bench.done(one, "read");
  bench.done(two, "read", { blob: BLOB });
  spawn(bench, two, "deep", [spec("deep")], { parents: ["dig-1"] });
  bench.done(two, "again");
  bench.finish(one);
  bench.done(bench.begin(run, "deep"), "look");
  bench.done(plan, "judge");
  bench.start(two, "begun");
  return { bench, run };
}

test("a fork takes over what is done up to a step, not what has failed or only begun", () => {
  const bench = new Family();
  const run = bench.submit([spec("agent")]);
  const job = bench.begin(run, "agent");
  bench.done(job, "a");
  bench.done(job, "failed", { failure: "no" });
  bench.start(job, "begun");
  bench.done(job, "b");
  const fork = bench.fork(run, "b");
  assert.equal(fork.steps, 2);
  const { journal } = bench.state.runsById.get(fork.run)!.jobs[0]!;
  assert.deepEqual([...journal!.values()].map(({ name }) => name), ["a", "b"]);
  assertRecoverable(bench);
});

test("jobs that are added again find what their steps have done, and so do the jobs that " +
  "those add", () => {
  const { bench, run } = dug();
  const fork = bench.fork(run, "judge");
  assert.equal(fork.steps, 6);
  assert.equal(bench.state.runsById.get(fork.run)!.jobs.length, 2, "nobody has added them yet");
  const plan = bench.begin(fork.run, "plan");
  assert.deepEqual(bench.told(plan, "think", "judge"), ["think", "judge"]);
  // In another order, beside others, and with other numbers.
  spawn(bench, plan, "more", [spec("more")]);
  spawn(bench, plan, "dig", DIG);
  const two = bench.begin(fork.run, "dig-2");
  assert.deepEqual(bench.told(two, "read", "again", "begun"), ["blob", "again", "run"]);
  assert.deepEqual(bench.told(bench.job(fork.run, "dig-1"), "read", "new"), ["read", "run"]);
  assert.equal(bench.job(fork.run, "more").journal, undefined);
  const other = stepStart("read", { inputHash: Buffer.alloc(32) });
  const answer = bench.execute({ type: "StartStep", by: by(two), step: other });
  assert.equal(answer.type, "done", "it stands, whatever its input is by now");
  spawn(bench, two, "deep", [spec("deep")], { parents: ["dig-1"] });
  bench.finish(bench.job(fork.run, "dig-1"));
  assert.deepEqual(bench.told(bench.begin(fork.run, "deep"), "look"), ["look"]);
  assert.equal(bench.state.runsById.get(fork.run)!.carried.size, 0, "all have found theirs");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("of a job that was added, too, only steps up to the one that is named come along", () => {
  const { bench, run } = dug();
  const fork = bench.fork(run, "dig-1:read", [{ step: "dig-1:read", result: Buffer.from("9") }]);
  assert.equal(fork.steps, 2);
  const plan = bench.begin(fork.run, "plan");
  assert.deepEqual(bench.told(plan, "think", "judge"), ["think", "run"]);
  spawn(bench, plan, "dig", DIG);
  assert.deepEqual(bench.told(bench.begin(fork.run, "dig-1"), "read"), ["9"]);
  assert.deepEqual(bench.told(bench.job(fork.run, "dig-2"), "read"), ["run"]);
  assert.throws(
    () => bench.fork(run, "think", [{ step: "dig-1:read", result: Buffer.from("9") }]),
    refusal("INVALID", /dig-1:read is no step that it takes over/),
  );
  assertRecoverable(bench);
});

test("other jobs under the key, or of another job, are other jobs", () => {
  const { bench, run } = dug();
  const fork = bench.fork(run, "judge");
  const plan = bench.begin(fork.run, "plan");
  const others: [string, JobSpec[], string[]][] = [
    ["dig", [spec("dig-1", { priority: 2 }), spec("dig-2")], []],
    ["dug", [spec("dig-3"), spec("dig-4")], []],
    ["deep", [spec("deep")], ["dig-1"]],
  ];
  for (const [key, jobs, parents] of others) {
    spawn(bench, plan, key, jobs, { parents });
    for (const { id } of jobs) assert.equal(bench.job(fork.run, id).journal, undefined, id);
  }
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a fork of a fork has what that one has not added again, and what it has", () => {
  const { bench, run } = dug();
  const first = bench.fork(run, "judge");
  const second = bench.fork(first.run, "think");
  assert.equal(second.steps, 1);
  const third = bench.fork(first.run, "judge");
  assert.equal(third.steps, 6);
  spawn(bench, bench.begin(third.run, "plan"), "dig", DIG);
  const fourth = bench.fork(third.run, "judge");
  assert.equal(fourth.steps, 6, "two jobs have theirs, one has not been added");
  spawn(bench, bench.begin(fourth.run, "plan"), "dig", DIG);
  assert.deepEqual(bench.told(bench.begin(fourth.run, "dig-2"), "read", "again"),
    ["blob", "again"]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("results on disk are held for jobs that are still to come, and let go with their run", () => {
  const { bench, run } = dug();
  const { events, effects, reply } =
    bench.decide({ type: "Fork", run, from: "judge", set: [], by: "ann" });
  assert.deepEqual(effects, [{ type: "Hold", blob: BLOB.sha256 }]);
  bench.commit(events);
  const forked = bench.state.runsById.get(reply.run)!;
  assert.deepEqual(stepBlobs(forked), [BLOB.sha256]);
  const plan = bench.begin(reply.run, "plan");
  spawn(bench, plan, "dig", DIG);
  assert.deepEqual(stepBlobs(forked), [BLOB.sha256], "once, as it is held");
  const another = bench.fork(run, "judge").run;
  for (const each of [run, reply.run, another]) {
    bench.execute({ type: "Cancel", run: each });
    for (const job of bench.state.runsById.get(each)!.jobs) {
      if (job.status === "RUNNING") bench.finish(job);
    }
  }
  bench.memory = NO_ROOM;
  const gone = bench.decide({ type: "Forget" }).effects;
  assert.deepEqual(gone.map((each) => each.type === "Forget" && each.blobs),
    [[BLOB.sha256], [BLOB.sha256], [BLOB.sha256]]);
  // A result in the place of that one needs no file.
  bench.memory = undefined;
  const set = [{ step: "dig-2:read", result: Buffer.from("1") }];
  const without = bench.decide({ type: "Fork", run, from: "judge", set, by: "ann" });
  assert.deepEqual(without.effects, []);
});

test("a fork has to find room for all that it carries, to the byte", () => {
  const { bench, run } = dug();
  const before = bench.state.bytes;
  const { id } = bench.state.runsById.get(bench.fork(run, "judge").run)!;
  const bytes = bench.state.runsById.get(id)!.bytes;
  bench.execute({ type: "Cancel", run: id });
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.bytes, before);
  const wish = { type: "Fork", run, from: "judge", set: [], by: "ann" } as const;
  bench.memory = { ...NO_ROOM, open: before + bytes - 1, total: 1e9 };
  assert.throws(() => bench.decide(wish), refusal("OVERLOADED", /the open runs/));
  bench.memory = { ...bench.memory, open: before + bytes };
  assert.equal(bench.decide(wish).reply.steps, 6);
});

test("a picture shows what a fork carries at one moment, and a snapshot has all of it", () => {
  const { bench, run } = dug();
  const fork = bench.fork(run, "judge");
  const plan = bench.begin(fork.run, "plan");
  const before = hashState(bench.state);
  const parts = new Picture(bench.state).parts();
  const early = [parts.next().value!];
  spawn(bench, plan, "dig", DIG);
  const picture = readSnapshot([...early, ...parts]);
  assert.equal(hashState(picture), before);
  assert.equal(picture.runsById.get(fork.run)!.carried.size, 3);
  checkIndexes(picture);
  const restored = readSnapshot(writeSnapshot(bench.state));
  assert.equal(restored.runsById.get(fork.run)!.carried.size, 1);
  checkIndexes(restored);
});

test("a journal of many and large steps is carried in parts", () => {
  const bench = new Family();
  const run = bench.submit([spec("plan")]);
  spawn(bench, bench.begin(run, "plan"), "dig", DIG);
  const one = bench.begin(run, "dig-1");
  for (let n = 0; n < 150; n++) bench.done(one, `s${n}`, { result: Buffer.alloc(60_000, n) });
  bench.fork(run, "s149");
  const parts = [...writeSnapshot(bench.state)];
  assert.ok(parts.every(({ length }) => length < 5 * 1024 * 1024));
  const restored = readSnapshot(parts);
  checkIndexes(restored);
  assert.equal(hashState(restored), hashState(bench.state));
});

test("the fork of an older version's log takes over what it did then, and no more", () => {
  const { bench, run } = dug();
  const { events } = bench.decide({ type: "Fork", run, from: "judge", set: [], by: "ann" });
  const [forked] = events.map((event) => event.type === "RunForked" ? event : undefined);
  const state = new State();
  for (const body of bench.log) apply(state, Event.decode(body));
  apply(state, { ...forked!, carries: false });
  const old = state.runsById.get(forked!.id)!;
  assert.deepEqual([old.carried.size, old.jobs[0]!.journal!.size], [0, 2]);
  checkIndexes(state);
});

test("a child that waits for its own children in a fork goes on as it did", () => {
  const { bench, run } = dug();
  const fork = bench.fork(run, "judge");
  const plan = bench.begin(fork.run, "plan");
  spawn(bench, plan, "dig", DIG);
  pause(bench, plan, forJobs("dig-1", "dig-2"));
  const two = bench.begin(fork.run, "dig-2");
  spawn(bench, two, "deep", [spec("deep")], { parents: ["dig-1"] });
  pause(bench, two, forJobs("deep"));
  bench.finish(bench.job(fork.run, "dig-1"));
  bench.finish(bench.begin(fork.run, "deep"));
  assert.deepEqual(bench.told(bench.begin(fork.run, "dig-2"), "read", "again"),
    ["blob", "again"], "also in another attempt");
  assertRecoverable(bench);
});

/**
 * A life in which jobs take steps, and add the same jobs whenever they run, also in a fork; workers
 * come and go, and people fork runs at any step.
 */
function randomFamily(seed: number, check: (bench: Family) => void): Family {
  const bench = new Family(seed);
  const { random } = bench;
  const pick = <T>(items: readonly T[]): T | undefined =>
    items[Math.floor(random() * items.length)];
  const workers = (): number[] => [...bench.state.workers.keys()];
  const withJob = (act: (job: Job) => void, mayBe = (_: Job): boolean => true) => (): void => {
    const jobs = [...bench.state.workers.values()].flatMap((worker) => [...worker.jobs]);
    const job = pick(jobs.filter(mayBe));
    if (job !== undefined) act(job);
  };
  const add = withJob((job) => {
    const { id } = job.spec;
    spawn(bench, job, "k", [spec(`${id}-0`), spec(`${id}-1`)]);
  }, ({ spec, agent }) => spec.id.length < 4 && agent === undefined);
  const done = withJob((job) => {
    const name = pick(["s", "t", "u"])!;
    if (job.journal?.get(name, 1)?.status !== "DONE") bench.done(job, name);
  });
  const fork = (): void => {
    const jobs = [...bench.state.runs.values()].flatMap((run) => run.jobs);
    const job = pick(jobs.filter(({ journal }) => journal !== undefined));
    const step = pick([...(job?.journal?.values() ?? [])]);
    if (job === undefined || step === undefined || bench.state.runs.size > 12) return;
    const from = `${job.spec.id}:${stepName(step)}`;
    const set = random() < 0.5 ? [] : [{ step: from, result: Buffer.from("7") }];
    bench.fork(job.run.id, from, set);
  };
  const move = (): void => {
    const instance = `i${bench.state.nextWorker}`;
    bench.join({ slots: 100, instance });
    bench.execute({ type: "Lose", worker: pick(workers())!, reason: "gone" });
  };
  const schedule = (): void => void bench.schedule();
  const end = withJob((job) => { if (random() < 0.3) bench.finish(job); });
  const moves = [add, add, done, done, done, done, schedule, schedule, fork, move, end];
  bench.submit([spec("a"), spec("b")]);
  for (let count = 0; count < 250; count++) {
    pick(moves)!();
    check(bench);
  }
  return bench;
}

test("random lives of runs that grow, take steps and are forked: indexes, replay, and a second " +
  "opinion", () => {
  const seen = { carried: 0, taken: 0 };
  for (let seed = 1; seed <= 6; seed++) {
    let [last, carried] = [0, 0];
    const model = new Model();
    const bench = randomFamily(seed, ({ state, log }) => {
      for (; last < log.length; last++) model.apply(Event.decode(log[last]!), last + 1);
      const now = [...state.runs.values()].reduce((sum, run) => sum + run.carried.size, 0);
      seen.carried += Math.max(0, now - carried);
      seen.taken += Math.max(0, carried - now);
      carried = now;
      if (last % 8 === 0) checkIndexes(state);
    });
    assertRecoverable(bench);
    for (const run of bench.state.runs.values()) {
      for (const { spec: { id }, journal } of run.jobs) {
        const steps = model.runsById.get(run.id)!.jobsById.get(id)!.steps;
        const results = [...steps].map(([key, { end }]) => `${key} ${end!.result}`).sort();
        const own = [...(journal?.values() ?? [])]
          .map((step) => `${stepName(step)} ${step.result!.toString("base64")}`).sort();
        assert.deepEqual(own, results, `${run.id}/${id}`);
      }
    }
  }
  assert.ok(seen.carried >= 20 && seen.taken >= 10, JSON.stringify(seen));
});
