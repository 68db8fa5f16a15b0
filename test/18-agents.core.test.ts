/** The journal in the core: limits, memory, snapshots, and what each refusal says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Event, hashState, MAX_RUN_STEP_BYTES, Picture, readSnapshot, writeSnapshot } from "#core";
import type { Job, MemoryLimits } from "#core";
import {
  MAX_STEP_BLOB_BYTES, MAX_STEP_RESULT_BYTES, MAX_STEPS, type StepEnd, type StepStart,
} from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, randomLife, refusal as refused, serviceSpec, spec,
} from "./10-master.core.ts";
import { by, stepEnd, stepStart } from "./18-agents.core.ts";
import { Model } from "../src/simulation/model.ts";

const MIB = 1024 * 1024;

/** One job that runs, and the steps of its attempt. */
class Agent {
  readonly bench = new Bench();
  readonly job: Job;

  constructor(jobs = [spec("agent")]) {
    this.bench.join({ slots: 4 });
    this.bench.submit(jobs);
    [this.job] = this.bench.schedule() as [Job];
  }

  start(name: string, fields: Partial<StepStart> = {}) {
    const step = stepStart(name, fields);
    return this.bench.execute({ type: "StartStep", by: by(this.job), step });
  }

  end(name: string, fields: Partial<StepEnd>) {
    const step = stepEnd(name, fields);
    return this.bench.execute({ type: "EndStep", by: by(this.job), step });
  }

  done(name: string, result: Buffer | string = "1", fields: Partial<StepStart> = {}): void {
    this.start(name, fields);
    this.end(name, { ordinal: fields.ordinal ?? 1, result: Buffer.from(result) });
  }
}

test("a job has MAX_STEPS steps and no more, and those that it has are still answered", () => {
  const agent = new Agent();
  for (let ordinal = 1; ordinal <= MAX_STEPS; ordinal++) agent.done("s", "1", { ordinal });
  assert.throws(() => agent.start("one more"), refused("INVALID", /the job has 10000 steps/));
  assert.equal(agent.start("s", { ordinal: MAX_STEPS }).type, "done");
  assert.throws(() => agent.start("s", { ordinal: MAX_STEPS + 1 }), refused("INVALID", /ordinal/));
  assertRecoverable(agent.bench);
  checkIndexes(agent.bench.state);
});

test("a step says in words why it may not begin", () => {
  const agent = new Agent();
  const cases: [Partial<StepStart>, RegExp][] = [
    [{ name: "" }, /its name is empty/],
    [{ name: "a\nb" }, /has a control character/],
    [{ ordinal: 0 }, /its ordinal is 0, must be 1 to 10000/],
    [{ inputHash: Buffer.alloc(31) }, /not a SHA-256/],
    [{ effect: "once", onAmbiguous: "retry" }, /must happen once/],
  ];
  for (const [fields, words] of cases) {
    assert.throws(() => agent.start("a", fields), refused("INVALID", words));
  }
  assert.equal(agent.job.journal, undefined, "nothing is left of them");
});

test("a step says in words why an end of it is refused", () => {
  const agent = new Agent();
  const result = Buffer.from("1");
  const blob = { sha256: "a".repeat(64), size: 70_000 };
  assert.throws(() => agent.end("a", { result }), refused("NOT_FOUND", /has not been started/));
  agent.start("a");
  const cases: [Partial<StepEnd>, RegExp][] = [
    [{}, /one of a result, a blob and a failure/],
    [{ result, failure: "no" }, /one of a result, a blob and a failure/],
    [{ blob: { ...blob, sha256: "../log" } }, /its blob has no SHA-256/],
    [{ blob: { ...blob, size: MAX_STEP_BLOB_BYTES + 1 } }, /67108865 bytes, more than 67108864/],
  ];
  for (const [fields, words] of cases) {
    assert.throws(() => agent.end("a", fields), refused("INVALID", words));
  }
  agent.end("a", { failure: "status 500" });
  assert.deepEqual(agent.end("a", { failure: "status 500" }), { isNew: false });
  for (const fields of [{ failure: "other" }, { result }]) {
    assert.throws(() => agent.end("a", fields), refused("CONFLICT", /is FAILED already/));
  }
  agent.start("a");
  agent.end("a", { blob });
  assert.deepEqual(agent.end("a", { blob }), { isNew: false });
  assert.throws(() => agent.end("a", { result }), refused("CONFLICT", /is DONE already/));
});

test("a service keeps no journal", () => {
  const bench = new Bench();
  bench.join();
  bench.submit([spec("web", { service: serviceSpec("web") })]);
  const [job] = bench.schedule() as [Job];
  assert.throws(
    () => bench.execute({ type: "StartStep", by: by(job), step: stepStart("a") }),
    refused("INVALID", /a service has no end, and no journal/),
  );
});

test("a result for which there is no room is refused, and may come as a blob", () => {
  const agent = new Agent();
  const result = Buffer.alloc(MAX_STEP_RESULT_BYTES, 65);
  agent.job.run.stepBytes = MAX_RUN_STEP_BYTES - result.length + 1;
  agent.start("a");
  assert.throws(() => agent.end("a", { result }),
    refused("INVALID", /the results of the run's steps would be 268435457 bytes.*as a blob/));
  agent.job.run.stepBytes = 0;
  const { bytes } = agent.bench.state;
  const memory: MemoryLimits = { open: bytes, finished: 0, total: bytes + 2000, ceiling: 1e9 };
  agent.bench.memory = memory;
  assert.throws(() => agent.end("a", { result }), refused("INVALID", /the open runs would hold/));
  assert.deepEqual(agent.end("a", { blob: { sha256: "b".repeat(64), size: 9 } }), { isNew: true });
  agent.bench.memory = { ...memory, total: bytes };
  assert.throws(() => agent.start("b"), refused("OVERLOADED", /the open runs hold \d+ of/));
});

test("a picture shows the journals of one moment, whatever is done while it is made", () => {
  const agent = new Agent([spec("agent"), spec("b")]);
  agent.done("a", "1");
  agent.start("b");
  const before = hashState(agent.bench.state);
  const parts = new Picture(agent.bench.state).parts();
  const early = [parts.next().value!];
  agent.end("b", { result: Buffer.from("2") });
  agent.done("c", "3");
  const picture = readSnapshot([...early, ...parts]);
  assert.equal(hashState(picture), before);
  assert.equal(picture.runs.get(1)!.jobs[0]!.journal!.get("b", 1)!.status, "STARTED");
  assert.equal(agent.job.journal!.get("b", 1)!.status, "DONE", "and life has gone on");
});

test("a snapshot has journals in parts of a few megabytes, in their order", () => {
  const agent = new Agent([spec("agent"), spec("other")]);
  for (let i = 0; i < 200; i++) agent.done(`step ${i}`, Buffer.alloc(MAX_STEP_RESULT_BYTES, i));
  const parts = [...writeSnapshot(agent.bench.state)];
  assert.ok(parts.every((part) => part.length < 5 * MIB), `${parts.map(({ length }) => length)}`);
  const restored = readSnapshot(parts);
  const names = [...restored.runs.get(1)!.jobs[0]!.journal!.values()].map(({ name }) => name);
  assert.deepEqual(names, Array.from({ length: 200 }, (_, i) => `step ${i}`));
  assertRecoverable(agent.bench);
  checkIndexes(restored);
});

test("a journal outlives a failed attempt, a lost worker, and a person's retry", () => {
  const agent = new Agent();
  const { bench, job } = agent;
  agent.done("a", "1");
  bench.fail(job);
  bench.execute({ type: "Retry", run: job.run.id });
  bench.schedule();
  assert.equal(job.attempt, 2);
  assert.deepEqual(agent.start("a"), {
    type: "done", result: Buffer.from("1"), blob: undefined, usage: undefined,
  });
  bench.execute({ type: "Lose", worker: job.worker, reason: "gone" });
  bench.join({ instance: "second" });
  bench.schedule();
  assert.equal(agent.start("a").type, "done");
  assertRecoverable(bench);
});

test("whatever happens to jobs with steps: indexes hold, the log and a snapshot give the same, " +
  "and a second opinion agrees", () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= 12; seed++) {
    let last = 0;
    // The judge knows how much a master may keep, and here it may keep nothing.
    const forgets = seed % 4 === 0;
    const model = new Model();
    const bench = randomLife(seed, 250, ({ state, log }) => {
      for (; last < log.length; last++) {
        const event = Event.decode(log[last]!);
        seen.set(event.type, (seen.get(event.type) ?? 0) + 1);
        if (!forgets) model.apply(event, last + 1);
      }
      if (last % 8 === 0) checkIndexes(state);
    }, { journals: true, forgets });
    assertRecoverable(bench);
  }
  for (const type of ["StepStarted", "StepDone", "StepFailed", "RunForked", "ChangesAccepted"]) {
    assert.ok((seen.get(type) ?? 0) >= 3, `${type}: ${seen.get(type)}`);
  }
});
