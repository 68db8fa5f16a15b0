/**
 * Lesson 10: what stays of a run that is forgotten: its key, and a letter for each dead job.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deadLetters, Event, hashState, MAX_KEPT_KEYS, readSnapshot, writeSnapshot } from "#core";
import { MAX_DEAD_LETTERS, MAX_KEY_AGE_MS } from "#retry";
import {
  assertRecoverable, Bench, checkIndexes, NO_ROOM, refusal, retry, spec,
} from "./10-master.core.ts";

/** Forgets all that has ended. */
function forgetAll(bench: Bench): void {
  const { memory } = bench;
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  bench.memory = memory;
}

function lastEvent(bench: Bench): Event {
  return Event.decode(bench.log.at(-1)!);
}

/** A run of one job that completes and is forgotten. */
function forgotten(bench: Bench, key: string): string {
  const run = bench.submit([spec("a")], { key });
  bench.drain();
  forgetAll(bench);
  return run;
}

const submit = (bench: Bench, key: string, id = "a") => bench.execute({
  type: "Submit", strict: false, key,
  spec: { name: "test", version: undefined, project: undefined, jobs: [spec(id)] },
});

test("a key outlives its run: a repeat gets the same run's id, and is told that it is gone", () => {
  const bench = new Bench();
  bench.join();
  const run = forgotten(bench, "k");
  assert.equal(bench.state.runs.size, 0);
  const before = bench.log.length;
  const answer = submit(bench, "k");
  assert.deepEqual(answer, {
    run, existing: true, forgotten: true,
    warnings: [`Run ${run}, which key "k" made, has ended and is forgotten`],
  });
  assert.throws(() => submit(bench, "k", "other"), refusal("CONFLICT", /key "k" belongs to a run/));
  assert.equal(bench.log.length, before, "neither of them is an event");
  assert.notEqual(submit(bench, "other").run, run);
  assertRecoverable(bench);
});

test("a kept key is answered without room for its jobs, and names none that are not there", () => {
  const bench = new Bench();
  bench.join();
  const run = forgotten(bench, "k");
  bench.memory = { ...NO_ROOM, open: 100 };
  assert.equal(submit(bench, "k").run, run);
  const pipeline = { name: "test", version: undefined, project: undefined, jobs: [] };
  assert.throws(
    () => bench.execute({ type: "Submit", strict: false, key: "k", spec: pipeline, jobBytes: 1e6 }),
    refusal("INVALID", /bytes of the master's memory/),
  );
});

test("a kept key lives a day after its run was forgotten, in memory, log and snapshot", () => {
  const bench = new Bench();
  bench.join();
  const run = forgotten(bench, "k");
  bench.now += MAX_KEY_AGE_MS - 1;
  assert.equal(submit(bench, "k").run, run);
  bench.state = readSnapshot(writeSnapshot(bench.state));
  assert.equal(submit(bench, "k").run, run);
  bench.now += 1;
  const again = submit(bench, "k");
  assert.deepEqual([again.existing, again.run === run], [false, false]);
  bench.drain();
  forgetAll(bench);
  assert.equal(submit(bench, "k").run, again.run, "the key means the new run from now on");
  assertRecoverable(bench);
});

test("a run without a key and without a dead job is forgotten as ever, by the older event", () => {
  const bench = new Bench();
  bench.join();
  const empty = hashState(bench.state);
  assert.ok(empty);
  bench.submit([spec("a")]);
  bench.drain();
  forgetAll(bench);
  assert.deepEqual(lastEvent(bench), { type: "RunsForgotten", runs: [1], at: bench.now });
  assert.deepEqual([bench.state.keys.size, bench.state.letters.size], [0, 0]);
});

test("of many keys the newest are kept, and a snapshot has all of them", () => {
  const bench = new Bench();
  for (let i = 0; i < MAX_KEPT_KEYS + 5; i++) {
    bench.state.keys.remember(`k${i}`, `test-${i}`, { request: "x", nowMs: bench.now });
  }
  const { keys } = bench.state;
  assert.equal(keys.size, MAX_KEPT_KEYS);
  assert.equal(keys.recall("k4", { nowMs: bench.now }).kind, "new");
  const restored = readSnapshot(writeSnapshot(bench.state));
  assert.deepEqual(restored.keys.toJSON(), keys.toJSON());
});

/** A run with a job that dies of its tries, and one that completes. */
function dead(bench: Bench, message = "exit 1"): string {
  const run = bench.submit([spec("dies", { retry: retry(2) }), spec("fine")]);
  for (let round = 0; round < 2; round++) {
    for (const job of bench.schedule()) {
      const failure = { kind: "exit", message, exitCode: 1, signal: undefined } as const;
      bench.finish(job, job.spec.id === "dies" ? { failure } : {});
    }
    bench.tick(60_000);
  }
  return run;
}

test("a dead job of a forgotten run leaves a letter: run, job, attempts, reason and time", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const first = dead(bench, "x".repeat(500));
  const died = bench.now - 60_000;
  forgetAll(bench);
  const second = dead(bench);
  const [letter, living] = [...deadLetters(bench.state)];
  assert.deepEqual(letter, {
    run: first, job: "dies", attempts: 2, failures: 2, losses: 0, endedAt: died, forgotten: true,
    failure: {
      kind: "exit", message: `${"x".repeat(197)}…`, exitCode: 1, signal: undefined,
    },
  });
  assert.deepEqual([living?.run, living?.forgotten], [second, false]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
  const restored = readSnapshot(writeSnapshot(bench.state));
  assert.deepEqual([...deadLetters(restored)], [...deadLetters(bench.state)]);
});

test("the event of older versions leaves neither a key nor a letter", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  dead(bench);
  bench.commit([{ type: "RunsForgotten", runs: [1], at: bench.now }]);
  assert.deepEqual([bench.state.dead.size, bench.state.letters.size], [0, 0]);
  assertRecoverable(bench);
});

test("letters beyond the limit make way for newer ones, and are counted", () => {
  const bench = new Bench();
  const letter = {
    job: "a", attempts: 2, failures: 2, losses: 0, failure: undefined, endedAt: 1, forgotten: true,
  };
  for (let i = 0; i < MAX_DEAD_LETTERS + 3; i++) {
    bench.state.letters.add(`r${i}/a`, { run: `r${i}`, ...letter });
  }
  const { letters } = readSnapshot(writeSnapshot(bench.state));
  assert.deepEqual(
    [letters.size, letters.dropped, letters.list()[0]?.[0]],
    [MAX_DEAD_LETTERS, 3, "r3/a"],
  );
});
