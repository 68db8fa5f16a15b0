/**
 * Chapter 14, in the core: versions of a service, rollbacks, and other numbers of replicas.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, Event, hashState, readSnapshot, serviceEnv, serviceRow, State, writeSnapshot, type Job,
  type Run,
} from "#core";
import {
  assertRecoverable, Bench, checkIndexes, NO_ROOM, refusal, serviceSpec, spec,
} from "./10-master.core.ts";
import {
  advance, current, deploy, gone, ready, service, serving, tell,
} from "./14-services.bench.ts";

const GRACE_MS = serviceSpec("x").stopGraceMs;

/** The port by which others are told to find "web". */
function told(bench: Bench): number {
  const run = bench.state.runsById.get(bench.submit([spec("asks")]))!;
  const { TITAN_SERVICE_WEB: where = ":0" } = serviceEnv(bench.state, run.jobs[0]!);
  return Number(where.split(":")[1]);
}

test("an update switches when every replica is READY, and not before; then the old one " +
  "drains", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two", { replicas: 2 });
  advance(bench);
  tell(bench, next.jobs[0]!);
  advance(bench);
  assert.equal(current(bench), old, "one of two is READY");
  assert.equal(told(bench), 20_001);
  tell(bench, next.jobs[0]!, "UNHEALTHY");
  tell(bench, next.jobs[1]!);
  advance(bench);
  assert.equal(current(bench), old, "each has been READY, but not at the same time");
  tell(bench, next.jobs[0]!);
  bench.execute({ type: "Advance" });
  assert.equal(current(bench), next);
  assert.equal(told(bench), 20_000 + next.number);
  assert.deepEqual([next.version, next.update!.outcome], [2, "DONE"]);
  assert.equal(old.jobs[0]!.service!.asked, "drain");
  checkIndexes(bench.state);
  const { events, effects } = bench.decide({ type: "Advance" });
  assert.deepEqual(events.map(({ type }) => type), ["ReplicasRetired"]);
  assert.deepEqual(effects.map(({ type }) => type), ["Kill"]);
  advance(bench);
  gone(bench, old.jobs[0]!);
  assert.equal(old.status, "COMPLETED");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a new version on a worker that is away does not count as READY", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  ready(bench, next);
  const [web] = next.jobs as [Job];
  const why = (): string => serviceRow(bench.state, web, bench.now).reason;
  assert.equal(why(), "");
  bench.state.router.setAway(web.worker, true);
  advance(bench);
  assert.equal(current(bench), old);
  assert.match(why(), /^w\d is away: as it said last$/);
  bench.state.router.setAway(next.jobs[0]!.worker, false);
  advance(bench);
  assert.equal(current(bench), next);
});

test("draining ends with the last connection, or after the stop_grace", () => {
  for (const waits of [true, false]) {
    const { bench, old } = serving();
    const web = old.jobs[0]!;
    bench.connections.set(`${old.number}/0/${web.attempt}`, 2);
    ready(bench, deploy(bench, "two"));
    advance(bench);
    advance(bench);
    assert.equal(web.service!.asked, "drain");
    assert.equal(bench.nextAdvance(), bench.now + GRACE_MS);
    bench.now += GRACE_MS - 1;
    advance(bench);
    assert.equal(web.service!.asked, "drain", "not yet");
    if (waits) bench.now += 1;
    else bench.connections.clear();
    advance(bench);
    assert.equal(web.service!.asked, "stop");
    assert.equal(bench.nextAdvance(), Infinity);
  }
});

test("one that drains does not start again, whatever ends it", () => {
  const ends: readonly ((bench: Bench, job: Job) => void)[] = [
    (bench, job) => void bench.fail(job),
    (bench, job) => void bench.finish(job),
    (bench, job) => void bench.execute({ type: "Lose", worker: job.worker, reason: "silent" }),
  ];
  for (const end of ends) {
    const { bench, old } = serving();
    bench.connections.set(`${old.number}/0/1`, 1);
    ready(bench, deploy(bench, "two"));
    advance(bench);
    assert.deepEqual(bench.decide({ type: "Restart", name: old.id, by: "" }).events, []);
    end(bench, old.jobs[0]!);
    assert.equal(old.status, "COMPLETED");
    checkIndexes(bench.state);
  }
});

test("an update that is not READY in time is cancelled; the old one is untouched", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two", { updateMs: 5000 });
  assert.equal(bench.nextAdvance(), bench.now + 5000);
  tell(bench, next.jobs[0]!, "UNHEALTHY");
  bench.now += 4999;
  advance(bench);
  assert.equal(next.update!.outcome, "WAITING");
  bench.now += 1;
  const { effects } = bench.decide({ type: "Advance" });
  assert.deepEqual(effects.map(({ type }) => type), ["Kill"]);
  advance(bench);
  assert.equal(next.update!.reason, "web is not ready in time: it is UNHEALTHY");
  gone(bench, next.jobs[0]!);
  assert.equal(next.status, "CANCELLED");
  assert.deepEqual([current(bench), old.status], [old, "SERVING"]);
  assert.equal(old.jobs[0]!.service!.asked, "nothing");
  checkIndexes(bench.state);
  assertRecoverable(bench);
  assert.equal(deploy(bench, "three").version, 3, "and another one can begin");
});

test("READY and late at the same moment is READY", () => {
  const { bench } = serving();
  const next = deploy(bench, "two", { updateMs: 5000 });
  ready(bench, next);
  bench.now += 60_000;
  advance(bench);
  assert.equal(next.update!.outcome, "DONE");
});

test("an update that cannot become READY is given up at once, and says why", () => {
  const never = { ...serviceSpec("web").restart, policy: "on-failure" as const };
  const table: readonly [(bench: Bench, next: Run) => void, RegExp][] = [
    [(bench, next) => void bench.fail(next.jobs[0]!, "not-found"), /web has failed: exit 1/],
    [(bench, next) => void bench.finish(next.jobs[0]!), /web has ended by itself/],
    [(bench, next) => void bench.execute({ type: "Cancel", run: next.id }), /stopped web/],
    [(bench, next) => void bench.execute({ type: "Stop", name: next.id, by: "" }), /stopped web/],
  ];
  for (const [happens, why] of table) {
    const { bench, old } = serving();
    const next = deploy(bench, "two", { fields: { restart: never } });
    happens(bench, next);
    advance(bench);
    assert.match(next.update!.reason, why);
    assert.equal(current(bench), old);
    assert.equal(bench.state.names.get("web")!.next, undefined);
    checkIndexes(bench.state);
  }
});

test("a crash before READY is no reason to give up: it restarts until its time is over", () => {
  const { bench } = serving();
  const next = deploy(bench, "two");
  bench.fail(next.jobs[0]!);
  advance(bench);
  bench.tick(2000);
  bench.schedule();
  ready(bench, next);
  advance(bench);
  assert.equal(next.update!.outcome, "DONE");
});

test("a fixed port that only workers of the old version could have: refused; one that is taken " +
  "three times: given up", () => {
  const fields = { port: 8080 };
  const { bench, old } = serving({ fields });
  assert.throws(() => deploy(bench, "two", { fields }), refusal("CONFLICT", new RegExp(
    `port 8080 is fixed, and ${old.id} has it on all workers that could have it: leave the port`)));
  deploy(bench, "other-port", { fields: { port: 8081 } });
  bench.execute({ type: "Stop", name: "web", by: "" });
  const two = serving({ fields });
  two.bench.join({ slots: 20, instance: "other" });
  const next = deploy(two.bench, "two", { fields });
  const [job] = next.jobs;
  const message = "port 8080 is in use on w1 by service one/web";
  for (let tries = 1; tries <= 3; tries++) {
    assert.equal(next.update!.outcome, "WAITING");
    two.bench.finish(job!, { failure: { kind: "port-taken", message } });
    advance(two.bench);
    two.bench.tick(10_000);
    two.bench.schedule();
  }
  assert.equal(next.update!.reason, `web cannot have its port: ${message}`);
  assert.equal(current(two.bench), two.old);
});

test("one update of a name at a time; scale and rollback wait for it too", () => {
  const { bench } = serving();
  const next = deploy(bench, "two");
  const busy = new RegExp(`an update of "web" to ${next.id} is under way \\(titan stop ${next.id}`);
  assert.throws(() => deploy(bench, "three"), refusal("CONFLICT", busy));
  assert.throws(() => bench.execute({ type: "Scale", name: "web", replicas: 2, by: "" }),
    refusal("CONFLICT", /is about to take its place/));
});

test("a run that would take the place of two runs is refused", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  bench.submit([service("a")]);
  bench.submit([service("b")]);
  assert.throws(() => bench.submit([service("a"), service("b")]),
    refusal("CONFLICT", /would take the place of test-\w+ and of test-\w+/));
});

test("stop by name ends every version; the update is called off", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  bench.execute({ type: "Stop", name: "web", by: "ann" });
  advance(bench);
  gone(bench, old.jobs[0]!);
  gone(bench, next.jobs[0]!);
  assert.deepEqual([old.status, next.status], ["COMPLETED", "CANCELLED"]);
  assert.equal(bench.state.deployed.size, 0);
  checkIndexes(bench.state);
});

test("the old version ends by itself during an update: the new one takes the name", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  bench.execute({ type: "Stop", name: old.id, by: "ann" });
  gone(bench, old.jobs[0]!);
  ready(bench, next);
  advance(bench);
  assert.equal(current(bench), next);
});

test("a version that is not current is not run again; its name leads elsewhere", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  ready(bench, next);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  assert.throws(() => bench.execute({ type: "Retry", run: old.id, from: "web" }),
    refusal("CONFLICT", new RegExp(`service "web" is ${next.id} by now \\(titan rollback web`)));
});

test("rollback deploys the version before, with its project; twice undoes it", () => {
  const { bench, old } = serving({ project: "aa" });
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "" }),
    refusal("CONFLICT", new RegExp(`no version before ${old.id} that was READY is known`)));
  const two = deploy(bench, "two", { project: "bb" });
  ready(bench, two);
  advance(bench);
  for (const project of ["aa", "bb", "aa"]) {
    const { effects } = bench.decide({ type: "Rollback", name: "web", by: "" });
    assert.deepEqual(effects, [{ type: "Hold", blob: project }]);
    const { run } = bench.execute({ type: "Rollback", name: "web", by: "" });
    bench.schedule();
    const back = bench.state.runsById.get(run)!;
    assert.equal(back.spec.project, project);
    ready(bench, back);
    advance(bench);
    assert.equal(current(bench), back);
    advance(bench);
  }
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("rollback is a run more, and is refused when there is no room for one", () => {
  const { bench } = serving();
  ready(bench, deploy(bench, "two"));
  advance(bench);
  bench.memory = { ...NO_ROOM, open: 100 };
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "" }),
    refusal("INVALID", /^Cannot roll back "web": it takes \d+ bytes/));
});

test("rollback has as many replicas as the present version has, and skips versions that were " +
  "never READY", () => {
  const { bench, old } = serving();
  const bad = deploy(bench, "bad", { updateMs: 1000 });
  bench.now += 1000;
  advance(bench);
  gone(bench, bad.jobs[0]!);
  const two = deploy(bench, "two");
  ready(bench, two);
  advance(bench);
  bench.execute({ type: "Scale", name: "web", replicas: 3, by: "" });
  const { run, like } = bench.execute({ type: "Rollback", name: "web", by: "" });
  assert.equal(like, old.id);
  assert.deepEqual(bench.state.runsById.get(run)!.jobs.map((job) => job.spec.id),
    ["web", "web.2", "web.3"]);
});

test("what a rollback needs is not forgotten while the service goes on, or after it has " +
  "failed", () => {
  const never = { restart: { ...serviceSpec("web").restart, policy: "never" as const } };
  const { bench, old } = serving();
  const two = deploy(bench, "two", { fields: never });
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.ok(bench.state.runs.has(old.number));
  bench.fail(two.jobs[0]!);
  assert.equal(two.status, "FAILED");
  bench.execute({ type: "Forget" });
  assert.deepEqual([...bench.state.runs.keys()], [old.number, two.number]);
  checkIndexes(bench.state);
  bench.memory = undefined;
  const { like } = bench.execute({ type: "Rollback", name: "web", by: "" });
  assert.equal(like, old.id);
});

test("a new version that has failed is not forgotten before the update is given up", () => {
  const never = { restart: { ...serviceSpec("web").restart, policy: "never" as const } };
  const { bench } = serving();
  const next = deploy(bench, "two", { fields: never });
  bench.fail(next.jobs[0]!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.ok(bench.state.runs.has(next.number));
  advance(bench);
  assert.equal(bench.state.names.get("web")!.next, undefined);
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.has(next.number), false);
});

test("a version that was never READY is nothing to go back to, and is forgotten", () => {
  const bench = new Bench();
  bench.join({ slots: 20 });
  const never = deploy(bench, "never");
  const next = deploy(bench, "two");
  ready(bench, next);
  advance(bench);
  advance(bench);
  gone(bench, never.jobs[0]!);
  assert.equal(bench.state.names.get("web")!.previous, undefined);
  assert.ok(bench.state.finished.has(never));
  const three = deploy(bench, "three");
  ready(bench, three);
  advance(bench);
  assert.equal(told(bench), 20_000 + three.number, "and not where the old one still is");
  const four = deploy(bench, "four");
  ready(bench, four);
  assert.equal(told(bench), 20_000 + three.number, "and not where the next one is already");
  advance(bench);
  for (const { jobs: [job] } of [next, three]) gone(bench, job!);
  advance(bench);
  gone(bench, three.jobs[0]!);
  assert.equal(bench.state.finished.has(next), true, "two versions ago");
  checkIndexes(bench.state);
});

test("a drained worker does not move what drains, and a draining one is not stopped twice", () => {
  const { bench, old } = serving();
  bench.join({ slots: 20, instance: "other" });
  bench.connections.set(`${old.number}/0/1`, 1);
  ready(bench, deploy(bench, "two"));
  advance(bench);
  const worker = String(old.jobs[0]!.worker);
  const { events } = bench.decide({ type: "Drain", worker, undo: false });
  const moved = events.filter(({ type }) => type === "ServicesRestarted") as { run: number }[];
  assert.deepEqual(moved.filter(({ run }) => run === old.number), []);
  bench.execute({ type: "Stop", name: old.id, by: "ann" });
  assert.equal(old.jobs[0]!.service!.asked, "stop");
  assert.deepEqual([...bench.state.draining], []);
});

test("a version that is being stopped by a person is not asked to drain", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  bench.execute({ type: "Stop", name: old.id, by: "ann" });
  ready(bench, next);
  advance(bench);
  assert.equal(old.jobs[0]!.service!.asked, "stop");
});

test("after a stop by a person its versions are forgotten as any run", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two");
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  assert.equal(bench.state.finished.has(old), false);
  bench.execute({ type: "Stop", name: "web", by: "" });
  gone(bench, two.jobs[0]!);
  assert.deepEqual([...bench.state.finished].map(({ id }) => id).sort(), [old.id, two.id].sort());
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.deepEqual([bench.state.runs.size, bench.state.names.size], [0, 0]);
  assert.throws(() => bench.execute({ type: "Rollback", name: "web", by: "" }),
    refusal("NOT_FOUND", /no service of this name is deployed/));
});

test("scale adds replicas like the first and takes the newest away; the same number is " +
  "nothing", () => {
  const { bench, old } = serving();
  const scale = (replicas: number, name = "web") =>
    bench.execute({ type: "Scale", name, replicas, by: "ann" });
  const { added, before } = scale(3);
  assert.deepEqual([added, before], [["web.2", "web.3"], 1]);
  assert.equal(old.status, "RUNNING", "not all of it has been READY");
  bench.schedule();
  ready(bench, old);
  assert.equal(old.status, "SERVING");
  const events = bench.log.length;
  assert.deepEqual([scale(3).added, scale(3).stopped, bench.log.length], [[], [], events]);
  bench.connections.set(`${old.number}/2/1`, 1);
  assert.deepEqual(scale(1).stopped, ["web.2", "web.3"]);
  assert.deepEqual(old.jobs.map(({ service: its }) => its!.asked), ["nothing", "drain", "drain"]);
  advance(bench);
  assert.deepEqual(old.jobs.map(({ service: its }) => its!.asked), ["nothing", "stop", "drain"]);
  assert.deepEqual(scale(2).added, ["web.4"], "an id is used once");
  assertRecoverable(bench);
  checkIndexes(bench.state);
});

test("a service of a pipeline is scaled, and the jobs behind it do not notice", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  const own = spec("web", { service: serviceSpec("web") });
  const id = bench.submit([own, spec("child", { dependsOn: [0] }), service("b")], { name: "shop" });
  const [web, b] = bench.schedule();
  tell(bench, web!);
  tell(bench, b!);
  bench.drain();
  const scale = (name: string): unknown =>
    bench.execute({ type: "Scale", name, replicas: 2, by: "" });
  const two = refusal("CONFLICT", /more than one service \(titan scale \S+\/web/);
  assert.throws(() => scale(id), two);
  scale(`${id}/web`);
  assert.equal(bench.statuses(id)["child"], "COMPLETED");
  assert.throws(() => scale("nope"), refusal("NOT_FOUND"));
  bench.execute({ type: "Stop", name: id, by: "" });
  assert.throws(() => scale(`${id}/web`), refusal("CONFLICT", /it is being stopped/));
});

test("each prefix of an update's log is a state in which one version is current", () => {
  const { bench, old } = serving();
  const two = deploy(bench, "two");
  ready(bench, two);
  advance(bench);
  advance(bench);
  gone(bench, old.jobs[0]!);
  bench.execute({ type: "Rollback", name: "web", by: "" });
  bench.now += 200_000;
  advance(bench);
  const state = new State();
  let wasUp = false;
  for (const body of bench.log) {
    apply(state, Event.decode(body));
    checkIndexes(state);
    const restored = readSnapshot(writeSnapshot(state));
    checkIndexes(restored);
    assert.equal(hashState(restored), hashState(state));
    const named = state.names.get("web");
    const up = named?.current.jobs.some((job) => job.service?.phase === "READY") ?? false;
    if (up === true) wasUp = true;
    assert.equal(up, wasUp, "from its first check on there is always one");
  }
});

test("the old version is forgotten during an update: the new one has the name, and stays", () => {
  const { bench, old } = serving();
  const next = deploy(bench, "two");
  bench.execute({ type: "Stop", name: old.id, by: "ann" });
  gone(bench, old.jobs[0]!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.has(old.number), false);
  ready(bench, next);
  advance(bench);
  advance(bench);
  assert.deepEqual([current(bench), next.update!.outcome], [next, "DONE"]);
  assert.equal(next.jobs[0]!.service!.asked, "nothing");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a service that has failed, with no version to go back to, is forgotten as any run", () => {
  const never = { restart: { ...serviceSpec("web").restart, policy: "never" as const } };
  const bench = new Bench();
  bench.join();
  const run = deploy(bench, "one", { fields: never });
  bench.fail(run.jobs[0]!);
  assert.equal(run.status, "FAILED");
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  assert.deepEqual([bench.state.runs.size, bench.state.names.size], [0, 0]);
});

test("a replica whose id would be too long is refused, and nothing has changed", () => {
  const bench = new Bench();
  bench.join();
  const name = "w".repeat(127);
  const job = spec(name, { service: serviceSpec(name, { deployed: true }) });
  const pipeline = { name: "long", version: undefined, project: undefined, jobs: [job] };
  bench.execute({ type: "Submit", spec: pipeline, strict: false });
  bench.schedule();
  const events = bench.log.length;
  assert.throws(() => bench.execute({ type: "Scale", name, replicas: 2, by: "" }),
    refusal("INVALID", /has an id of more than 128 bytes/));
  assert.equal(bench.log.length, events);
});

test("a submission that is repeated during an update is told again whose place it takes", () => {
  const { bench, old } = serving();
  const pipeline = {
    name: "two", version: undefined, project: undefined, jobs: [service("web")],
  };
  const submit = () => bench.execute({ type: "Submit", spec: pipeline, key: "k", strict: false });
  assert.equal(submit().replaces, old.id);
  const again = submit();
  assert.deepEqual([again.existing, again.replaces], [true, old.id]);
});

test("a service that is told to stop ends as stopped, though its worker dies too often", () => {
  const { bench, old } = serving();
  const job = old.jobs[0]!;
  job.losses = 100;
  job.service = { ...job.service!, phase: "STARTING" };
  bench.execute({ type: "Stop", name: "web", by: "ann" });
  bench.execute({ type: "Lose", worker: job.worker, reason: "silent" });
  assert.equal(old.status, "COMPLETED");
});

test("a drain of which a crash keeps a part is asked for again, with its services", () => {
  const { bench, old } = serving();
  bench.join({ slots: 20, instance: "other" });
  const worker = bench.state.workers.get(old.jobs[0]!.worker)!;
  const drain = { type: "Drain", worker: worker.name, undo: false } as const;
  const { events } = bench.decide(drain);
  assert.deepEqual(events.map(({ type }) => type), ["ServicesRestarted", "WorkerDrained"]);
  bench.commit(events.slice(0, 1));
  bench.execute(drain);
  assert.equal(worker.draining, true);
  assert.equal(old.jobs[0]!.service!.asked, "restart");
});
