/**
 * Chapter 14, in the core: replicas that come and go, however often, and services that end before
 * they have begun.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findServices, readSnapshot, writeSnapshot, type Run } from "#core";
import { MAX_REPLICAS, MAX_SERVICES } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, NO_ROOM, refusal, serviceSpec, spec,
} from "./10-master.core.ts";
import {
  advance, current, deploy, gone, ready, service, serving, tell,
} from "./14-services.bench.ts";

const NEVER = { restart: { ...serviceSpec("web").restart, policy: "never" as const } };

const scale = (bench: Bench, replicas: number, name = "web") =>
  bench.execute({ type: "Scale", name, replicas, by: "ann" });

const stop = (bench: Bench, name: string) => bench.execute({ type: "Stop", name, by: "ann" });

/** A cluster with one slot, and a version that is READY there. */
function full(): { bench: Bench; run: Run } {
  const bench = new Bench();
  bench.join({ slots: 1 });
  const run = deploy(bench, "one");
  ready(bench, run);
  return { bench, run };
}

// ── before they have started ─────────────────────────────────────────────────────────────────────

test("a replica that is scaled away before it has started is COMPLETED, and so is its run", () => {
  const { bench, run } = full();
  scale(bench, 2);
  scale(bench, 1);
  assert.deepEqual(bench.statuses(run.id), { web: "RUNNING", "web.2": "COMPLETED" });
  assert.equal(run.status, "SERVING");
  stop(bench, "web");
  gone(bench, run.jobs[0]!);
  assert.equal(run.status, "COMPLETED");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a service that is stopped before it has started is COMPLETED, also behind a parent", () => {
  const bench = new Bench();
  const id = bench.submit([
    spec("first"), spec("db", { service: serviceSpec("db"), dependsOn: [0] }),
    spec("load", { dependsOn: [1] }), spec("sad", { dependsOn: [1], when: "failure" }),
  ]);
  stop(bench, id);
  const ended = { db: "COMPLETED", load: "SKIPPED", sad: "SKIPPED" };
  assert.deepEqual(bench.statuses(id), { first: "PENDING", ...ended });
  checkIndexes(bench.state);
  assertRecoverable(bench);
  bench.join();
  const [first] = bench.schedule();
  bench.finish(first!);
  assert.equal(bench.state.runsById.get(id)!.status, "COMPLETED");
  checkIndexes(bench.state);
});

test("a retry opens what was stopped before it had started, and it waits for its parent", () => {
  const bench = new Bench();
  const id = bench.submit([
    spec("first"), spec("db", { service: serviceSpec("db"), dependsOn: [0] }),
  ]);
  stop(bench, id);
  bench.execute({ type: "Retry", run: id, from: "db" });
  assert.deepEqual(bench.statuses(id), { first: "PENDING", db: "PENDING" });
  bench.join({ slots: 2 });
  assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["first"]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("an old version that waits for slots is COMPLETED when the new one takes its place", () => {
  const { bench, run } = full();
  scale(bench, 3);
  bench.join({ slots: 1, instance: "other" });
  const jobs = [service("web", {}, { priority: 9 })];
  const pipeline = { name: "two", version: undefined, project: undefined, jobs };
  bench.execute({ type: "Submit", spec: pipeline, strict: false });
  bench.schedule();
  ready(bench, bench.state.runs.get(2)!);
  advance(bench);
  assert.equal(current(bench).number, 2);
  advance(bench);
  gone(bench, run.jobs[0]!);
  const ids = { web: "COMPLETED", "web.2": "COMPLETED", "web.3": "COMPLETED" };
  assert.deepEqual([bench.statuses(run.id), run.status], [ids, "COMPLETED"]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a job does not wait for a replica that was scaled away, and starts when the others are " +
  "READY", () => {
  for (const starts of [false, true]) {
    const bench = new Bench();
    bench.join({ slots: starts ? 9 : 2 });
    const replicas = ["web", "web.2", "web.3"].map((id) =>
      spec(id, { service: serviceSpec("web") }));
    const id = bench.submit([...replicas, spec("child", { dependsOn: [0, 1, 2] })]);
    const [web, second, third] = bench.schedule();
    scale(bench, 2, `${id}/web`);
    if (starts) {
      advance(bench);
      gone(bench, third!);
    }
    assert.equal(bench.statuses(id)["web.3"], "COMPLETED");
    assertRecoverable(bench);
    const restored = readSnapshot(writeSnapshot(bench.state)).runsById.get(id)!;
    assert.equal(restored.jobs[2]!.service!.surplus, true, "a restart forgets it not");
    tell(bench, web!);
    assert.equal(bench.statuses(id)["child"], "PENDING");
    tell(bench, second!);
    bench.join({ slots: 1, instance: "other" });
    assert.deepEqual(bench.schedule().map((job) => job.spec.id), ["child"]);
    checkIndexes(bench.state);
  }
});

// ── up and down ──────────────────────────────────────────────────────────────────────────────────

test("10,000 changes of the number of replicas leave as many jobs as there were at most at one " +
  "time", () => {
  const { bench, old: run } = serving();
  for (let turn = 0; turn < 5000; turn++) {
    const up = 2 + (turn % 3);
    const { added } = scale(bench, up);
    assert.equal(added.length, up - 1);
    // Some start and drain, others never do.
    if (turn % 2 === 0) bench.schedule();
    const { stopped } = scale(bench, 1);
    assert.deepEqual(stopped, added);
    if (turn % 2 === 1) continue;
    advance(bench);
    for (const job of run.jobs.slice(1)) if (job.status === "RUNNING") gone(bench, job);
  }
  assert.deepEqual(run.jobs.map(({ spec: { id } }) => id), ["web", "web.2", "web.3", "web.4"]);
  assert.ok(run.jobs[1]!.attempt > 1000, "an attempt has a number of its own");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a replica that comes back begins anew: neither its failure nor its restarts count", () => {
  const { bench, old: run } = serving({ fields: NEVER });
  scale(bench, 2);
  bench.schedule();
  bench.fail(run.jobs[1]!);
  assert.equal(run.jobs[1]!.status, "FAILED");
  assert.deepEqual(scale(bench, 2).added, ["web.2"]);
  const [again] = bench.schedule();
  assert.deepEqual([again!.spec.id, again!.attempt, again!.failure], ["web.2", 2, undefined]);
  assert.equal(run.status, "RUNNING", "it is not READY yet");
  ready(bench, run);
  assert.equal(run.status, "SERVING");
  checkIndexes(bench.state);
});

test("one that drains is not taken back, nor one that a job has waited for", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const replicas = ["web", "web.2"].map((id) => spec(id, { service: serviceSpec("web") }));
  const id = bench.submit([...replicas, spec("child", { dependsOn: [0, 1] })]);
  const [web, second] = bench.schedule();
  tell(bench, web!);
  tell(bench, second!);
  bench.drain();
  const name = `${id}/web`;
  bench.connections.set("1/1/1", 1);
  scale(bench, 1, name);
  assert.deepEqual(scale(bench, 2, name).added, ["web.3"], "web.2 drains");
  scale(bench, 1, name);
  bench.connections.clear();
  advance(bench);
  gone(bench, second!);
  assert.deepEqual(scale(bench, 3, name).added, ["web.3", "web.4"], "child has waited for web.2");
  assert.equal(bench.statuses(id)["child"], "COMPLETED");
  checkIndexes(bench.state);
});

test("a run has so many services that go on, those included that come back", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const others = Array.from({ length: MAX_SERVICES - 2 }, (_, at) =>
    spec(`s${at}`, { service: serviceSpec(`s${at}`) }));
  const id = bench.submit([spec("web", { service: serviceSpec("web"), priority: 9 }), ...others]);
  const name = `${id}/web`;
  scale(bench, 2, name);
  scale(bench, 1, name);
  scale(bench, 2, name);
  assert.throws(() => scale(bench, 3, name), refusal("INVALID", /at most 1000 services/));
  assert.ok(MAX_REPLICAS < MAX_SERVICES);
});

// ── how they are found ───────────────────────────────────────────────────────────────────────────

test("a service of a run is found by its name, without a look at other runs", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const db = bench.submit([spec("db", { service: serviceSpec("db") })]);
  for (let count = 0; count < 20; count++) bench.submit([spec("other")]);
  const { runs } = bench.state;
  // Nobody looks at all of them.
  const values = runs.values;
  runs.values = () => assert.fail("all runs are looked at");
  try {
    assert.deepEqual(findServices(bench.state, "db", "forward").map(({ run }) => run.id), [db]);
    assert.throws(() => findServices(bench.state, "nope", "forward"), refusal("NOT_FOUND"));
  } finally {
    runs.values = values;
  }
  const two = bench.submit([spec("db", { service: serviceSpec("db") })]);
  const both = new RegExp(`2 runs have one: ${db}/db, ${two}/db`);
  assert.throws(() => findServices(bench.state, "db", "stop"), refusal("CONFLICT", both));
  stop(bench, two);
  assert.deepEqual(findServices(bench.state, "db", "stop").map(({ run }) => run.id), [db]);
});

test("the news of an update are looked for among its replicas, and not among all its jobs", () => {
  const { bench } = serving();
  const many = Array.from({ length: 1000 }, (_, at) => spec(`j${at}`, { requirement: ["GPU"] }));
  const next = bench.state.runsById.get(bench.submit([service("web"), ...many]))!;
  bench.schedule();
  const seen: PropertyKey[] = [];
  const jobs = new Proxy(next.jobs, {
    get(target, key) {
      seen.push(key);
      return Reflect.get(target, key) as unknown;
    },
  });
  Object.defineProperty(next, "jobs", { value: jobs });
  advance(bench);
  assert.ok(seen.length < 10, `${seen.length} looks`);
});

// ── a stop ───────────────────────────────────────────────────────────────────────────────────────

test("a stop in the middle of an update ends both versions, and says which update it calls " +
  "off", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  const reply = stop(bench, "web");
  assert.deepEqual([reply.run, reply.calledOff], [old.id, next.id]);
  advance(bench);
  for (const { jobs: [job] } of [old, next]) gone(bench, job!);
  assert.deepEqual([old.status, next.status], ["COMPLETED", "CANCELLED"]);
  assert.match(next.update!.reason, /somebody has stopped web/);
  assert.equal(bench.state.names.get("web")!.next, undefined);
  assert.equal(deploy(bench, "three").update, undefined, "the name is free");
  const { bench: quiet } = serving();
  assert.equal(stop(quiet, "web").calledOff, undefined);
});

test("a service that has failed is let go by a stop: no version is kept for a rollback", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two", { fields: NEVER });
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  bench.fail(two.jobs[0]!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.size, 2, "both are kept: somebody may want to go back");
  const reply = stop(bench, "web");
  assert.deepEqual(reply, { run: two.id, services: ["web"], replicas: 0, letGo: true });
  checkIndexes(bench.state);
  assertRecoverable(bench);
  const gaveUp = refusal("CONFLICT", /no version before .* that was READY is known/);
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "" }), gaveUp);
  assert.throws(() => stop(bench, "web"), refusal("NOT_FOUND", new RegExp(`${two.id} is FAILED`)));
  bench.execute({ type: "Forget" });
  assert.deepEqual([bench.state.runs.size, bench.state.names.size], [0, 0]);
});

test("a stop lets a service go of which one replica has failed and another goes on", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two", { fields: NEVER, replicas: 2 });
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  bench.fail(two.jobs[1]!);
  const { replicas, letGo } = stop(bench, "web");
  assert.deepEqual([replicas, letGo], [1, true]);
  gone(bench, two.jobs[0]!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.size, 0);
});

test("a stop of a service that works keeps the version before it until it is forgotten", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two");
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  assert.equal(stop(bench, "web").letGo, undefined);
  gone(bench, two.jobs[0]!);
  assert.equal(bench.execute({ type: "Rollback", name: "web", by: "" }).like, old.id);
});

// ── a rollback, once ─────────────────────────────────────────────────────────────────────────────

test("a rollback that is asked for twice with one key happens once", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two");
  ready(bench, two);
  advance(bench);
  const back = (key?: string) => bench.execute({ type: "Rollback", name: "web", by: "", key });
  const first = back("k1");
  assert.equal(first.like, old.id);
  assert.deepEqual(back("k1"), first, "while it is under way");
  const run = bench.state.runsById.get(first.run)!;
  bench.schedule();
  ready(bench, run);
  advance(bench);
  const again = back("k1");
  assert.deepEqual([again.run, again.replaces], [first.run, two.id], "and when it is done");
  assert.equal(current(bench), run);
  assert.throws(() => bench.execute({ type: "Rollback", name: "other", by: "", key: "k1" }),
    refusal("CONFLICT", new RegExp(`key "k1" belongs to run ${first.run}, which is none of it`)));
  assert.notEqual(back("k2").run, first.run, "another key is another rollback");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("the key of a rollback is kept when its run is forgotten, and a submission's key is no " +
  "rollback's", () => {
  const { bench } = serving();
  ready(bench, deploy(bench, "two"));
  advance(bench);
  bench.execute({ type: "Rollback", name: "web", by: "", key: "k1" });
  stop(bench, "web");
  advance(bench);
  for (const { jobs: [job] } of bench.state.runs.values()) {
    if (job!.status === "RUNNING") gone(bench, job!);
  }
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.size, 0);
  bench.memory = undefined;
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "", key: "k1" }),
    refusal("CONFLICT", /key "k1" belongs to a run that is forgotten/));
  bench.submit([spec("a")], { key: "k2" });
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "", key: "k2" }),
    refusal("CONFLICT", /belongs to run/));
});

// ── a master that was away ───────────────────────────────────────────────────────────────────────

test("the time of an update does not end before the workers could come back", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two", { updateMs: 5000 });
  // The master was down until after the deadline, and READY was not heard.
  bench.now += 60_000;
  bench.returnsUntil = bench.now + 5000;
  assert.equal(bench.nextAdvance(), bench.returnsUntil);
  advance(bench);
  assert.equal(next.update!.outcome, "WAITING");
  bench.now += 4999;
  advance(bench);
  assert.equal(next.update!.outcome, "WAITING");
  ready(bench, next);
  advance(bench);
  assert.deepEqual([next.update!.outcome, current(bench)], ["DONE", next]);
  assert.notEqual(old.jobs[0]!.service!.asked, "nothing");
  const other = serving().bench;
  const late = deploy(other, "two", { updateMs: 5000 });
  other.now += 60_000;
  other.returnsUntil = other.now;
  advance(other);
  assert.equal(late.update!.outcome, "FAILED", "they could have, and have not");
});
