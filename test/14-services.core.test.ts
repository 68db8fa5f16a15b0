/**
 * Chapter 14, in the core: what becomes of a service when its attempts end, when its worker is lost
 * and when people want something of it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, Event, findJob, hashState, jobInfo, readSnapshot, serviceEnv, servicesOf, State,
  writeSnapshot, type Job,
} from "#core";
import { FORGIVEN_AFTER_MS } from "#services";
import type { JobSpec, Service, ServicePhase } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, randomLife, refusal, serviceSpec, spec,
} from "./10-master.core.ts";

const service = (id: string, fields: Partial<Service> = {}, job: Partial<JobSpec> = {}): JobSpec =>
  spec(id, { service: serviceSpec(id, fields), ...job });

const restart = (fields: Partial<Service["restart"]>): Partial<Service> =>
  ({ restart: { ...serviceSpec("x").restart, ...fields } });

function tell(bench: Bench, job: Job, phase: ServicePhase = "READY", port = 20_000): void {
  const key = { run: job.run.number, job: job.index, attempt: job.attempt };
  const report = { ...key, phase, port, pid: 4711, reason: "" };
  bench.execute({ type: "Health", worker: job.worker, host: "10.0.0.1", report });
}

/** One service that runs, and its bench. */
function running(job: JobSpec = service("web")): { bench: Bench; run: string; web: Job } {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([job]);
  const [web] = bench.schedule();
  return { bench, run, web: web! };
}

/** The next attempt, as soon as it may start; the delay until then. */
function next(bench: Bench, job: Job): number {
  const from = bench.now;
  const waitMs = Math.max(0, job.dueAt - bench.now);
  bench.tick(waitMs);
  bench.schedule();
  assert.equal(job.status, "RUNNING");
  return bench.now - from;
}

test("150 random lives with services: indexes hold at each step, and a replay has the same " +
  "hash", () => {
  let served = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const check = (bench: Bench): void => {
      checkIndexes(bench.state);
      for (const run of bench.state.runs.values()) if (run.status === "SERVING") served += 1;
    };
    const bench = randomLife(seed, 120, seed % 5 === 0 ? check : () => undefined, {
      services: true,
    });
    checkIndexes(bench.state);
    assertRecoverable(bench);
  }
  assert.ok(served > 50, `${served} looks at a run that serves`);
});

test("a state that is restored from a snapshot goes on as the one that was not", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = randomLife(seed, 80, () => undefined, { services: true });
    const other = readSnapshot(writeSnapshot(bench.state));
    const before = bench.log.length;
    bench.tick(60_000);
    for (const job of bench.schedule()) if (job.spec.service !== undefined) tell(bench, job);
    for (const body of bench.log.slice(before)) apply(other, Event.decode(body));
    checkIndexes(other);
    assert.equal(hashState(other), hashState(bench.state), `seed ${seed}`);
  }
});

test("a child starts when its service is ready for the first time, and not again", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    service("web"), spec("child", { dependsOn: [0] }),
    spec("alarm", { dependsOn: [0], when: "failure" }),
  ]);
  const [web] = bench.schedule();
  tell(bench, web!, "UNHEALTHY");
  assert.deepEqual(bench.schedule(), []);
  tell(bench, web!);
  assert.deepEqual(bench.schedule().map(({ spec: { id } }) => id), ["child"]);
  assert.equal(bench.statuses(run)["alarm"], "SKIPPED", "a service that is ready has not failed");
  bench.fail(web!);
  next(bench, web!);
  tell(bench, web!);
  assert.deepEqual(bench.schedule(), []);
  bench.finish(bench.job(run, "child"));
  assert.equal(web!.run.status, "SERVING");
});

test("a service that fails before it is ready skips its children and fails its run", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([
    service("web", restart({ policy: "never" })), spec("child", { dependsOn: [0] }),
    spec("alarm", { dependsOn: [0], when: "failure" }),
  ]);
  bench.fail(bench.schedule()[0]!);
  assert.deepEqual(bench.statuses(run), { web: "FAILED", child: "SKIPPED", alarm: "PENDING" });
  bench.drain();
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
});

test("delays double while it crashes, and health for ten seconds forgives all of it", () => {
  const { bench, web } = running();
  const delays: number[] = [];
  for (let crash = 0; crash < 4; crash++) {
    bench.fail(web);
    delays.push(next(bench, web));
  }
  const wanted = [1000, 2000, 4000, 8000];
  for (const [at, delay] of delays.entries()) {
    assert.ok(delay >= 0.75 * wanted[at]! && delay <= wanted[at]!, `${at}: ${delay}`);
  }
  tell(bench, web);
  bench.tick(FORGIVEN_AFTER_MS - 1);
  bench.fail(web);
  assert.ok(next(bench, web) > 8000, "a moment too short");
  tell(bench, web);
  bench.tick(FORGIVEN_AFTER_MS);
  bench.fail(web);
  assert.ok(next(bench, web) <= 1000);
  assert.equal(web.service!.restarts, 6, "but they are counted");
});

test("only health counts for that, not the time for which it ran", () => {
  const { bench, web } = running();
  bench.fail(web);
  next(bench, web);
  tell(bench, web);
  tell(bench, web, "UNHEALTHY");
  bench.tick(60_000);
  bench.fail(web);
  assert.ok(next(bench, web) > 1000);
});

test("attempts within the window: one more ends it as FAILED, and says why", () => {
  const { bench, run, web } = running(service("web", restart({ attempts: 2, windowMs: 60_000 })));
  for (let crash = 0; crash < 2; crash++) {
    bench.fail(web);
    next(bench, web);
    tell(bench, web);
  }
  bench.fail(web);
  assert.deepEqual([web.status, web.service!.phase], ["FAILED", "FAILED"]);
  assert.match(web.failure!.message, /exit 1 \(not started again: 2 restarts in 60 s are enough\)/);
  assert.equal(bench.state.runsById.get(run)!.status, "FAILED");
  checkIndexes(bench.state);
  bench.execute({ type: "Retry", run });
  bench.schedule();
  assert.deepEqual([web.status, web.service!.restarts], ["RUNNING", 0], "a new life");
  checkIndexes(bench.state);
});

test("exit 0 is a restart under always, and the end under on-failure", () => {
  const { bench, web } = running();
  bench.finish(web);
  assert.equal(web.service!.phase, "RESTARTING");
  assert.match(web.service!.reason, /^ended with exit code 0/);
  const other = running(service("web", restart({ policy: "on-failure" })));
  tell(other.bench, other.web);
  other.bench.finish(other.web);
  assert.deepEqual([other.web.status, other.web.service!.phase], ["COMPLETED", "STOPPED"]);
  assert.equal(other.web.run.status, "COMPLETED");
});

test("a port that somebody else has is no restart that counts", () => {
  const { bench, web } = running(service("web", restart({ attempts: 1, windowMs: 3_600_000 })));
  for (let times = 0; times < 5; times++) {
    const message = "port 8080 is in use on w1 by pid 4711";
    bench.finish(web, { failure: { kind: "port-taken", message } });
    assert.equal(web.service!.reason, message);
    next(bench, web);
  }
  assert.equal(web.service!.restarts, 0);
});

test("a service outlives any number of workers, if it was well on each", () => {
  const { bench, web } = running();
  for (let life = 0; life < 20; life++) {
    tell(bench, web);
    bench.tick(FORGIVEN_AFTER_MS);
    bench.join({ slots: 4, instance: `spare${life}` });
    bench.execute({ type: "Lose", worker: web.worker, reason: "silent" });
    assert.equal(web.service!.phase, "RESTARTING");
    bench.schedule();
    assert.equal(web.status, "RUNNING", `life ${life}`);
  }
  assert.deepEqual([web.losses, web.service!.restarts], [1, 0]);
});

test("a service that takes one worker after another with it is ended", () => {
  const { bench, web } = running();
  for (let life = 0; life < 5; life++) {
    bench.join({ slots: 4, instance: `spare${life}` });
    bench.execute({ type: "Lose", worker: web.worker, reason: "silent" });
    bench.schedule();
  }
  assert.deepEqual([web.status, web.service!.phase], ["DEAD", "FAILED"]);
});

test("news about an attempt counts from its worker only, and not once it has ended", () => {
  const { bench, web } = running();
  const key = { run: web.run.number, job: web.index, attempt: web.attempt };
  const report = { ...key, phase: "READY" as const, port: 1, pid: 1, reason: "" };
  bench.join({ instance: "other" });
  bench.execute({ type: "Health", worker: web.worker + 1, host: "h", report });
  assert.equal(web.service!.phase, "STARTING");
  const { worker } = web;
  bench.fail(web);
  bench.execute({ type: "Health", worker, host: "h", report });
  next(bench, web);
  bench.execute({ type: "Health", worker, host: "h", report });
  assert.equal(web.service!.phase, "STARTING");
});

test("news that changes nothing is no event, and a new address is one", () => {
  const { bench, web } = running();
  tell(bench, web);
  const events = bench.log.length;
  tell(bench, web);
  assert.equal(bench.log.length, events);
  tell(bench, web, "READY", 20_001);
  assert.equal(bench.log.length, events + 1);
  assert.equal(jobInfo(bench.state, web, bench.now).service!.port, 20_001);
});

test("stop ends what runs as COMPLETED once its process is gone, and what waits at once", () => {
  const { bench, run, web } = running();
  tell(bench, web);
  const decided = bench.decide({ type: "Stop", name: run, by: "ann" });
  assert.deepEqual(decided.effects.map(({ type }) => type), ["Kill"]);
  bench.execute({ type: "Stop", name: run, by: "ann" });
  assert.equal(web.status, "RUNNING");
  assert.deepEqual(bench.decide({ type: "Stop", name: run, by: "ann" }).events, [], "asked once");
  bench.finish(web, { failure: { kind: "cancelled", message: "cancelled" } });
  assert.deepEqual([web.status, web.run.status], ["COMPLETED", "COMPLETED"]);
  const second = running();
  second.bench.fail(second.web);
  second.bench.execute({ type: "Stop", name: "web", by: "ann" });
  assert.deepEqual([second.web.status, second.web.run.status], ["COMPLETED", "COMPLETED"]);
  second.bench.tick(60_000);
  assert.deepEqual(second.bench.schedule(), [], "a stop during the delay sticks");
});

test("stop of a service whose worker is lost meanwhile ends it, and of one that never ran " +
  "too", () => {
  const { bench, run, web } = running();
  bench.execute({ type: "Stop", name: run, by: "ann" });
  bench.execute({ type: "Lose", worker: web.worker, reason: "silent" });
  assert.equal(web.status, "COMPLETED");
  const waits = bench.submit([spec("first"), service("web", {}, { dependsOn: [0] })]);
  bench.execute({ type: "Stop", name: waits, by: "ann" });
  assert.equal(bench.statuses(waits)["web"], "COMPLETED");
  checkIndexes(bench.state);
});

test("cancel ends a service as CANCELLED, also one that somebody stops or restarts", () => {
  for (const wish of ["Stop", "Restart"] as const) {
    const { bench, run, web } = running();
    tell(bench, web);
    bench.execute({ type: wish, name: run, by: "ann" });
    bench.execute({ type: "Cancel", run });
    bench.finish(web, { failure: { kind: "cancelled", message: "cancelled" } });
    assert.deepEqual([web.status, web.run.status], ["CANCELLED", "CANCELLED"]);
  }
});

test("restart starts it anew without delay, whatever it does, and begins its failures anew", () => {
  const { bench, run, web } = running();
  for (let crash = 0; crash < 4; crash++) {
    bench.fail(web);
    next(bench, web);
  }
  bench.fail(web);
  bench.execute({ type: "Restart", name: run, by: "ann" });
  assert.equal(bench.schedule()[0], web, "it does not wait for its delay");
  bench.execute({ type: "Restart", name: run, by: "ann" });
  bench.finish(web, { failure: { kind: "cancelled", message: "cancelled" } });
  bench.tick(0);
  assert.equal(bench.schedule()[0], web);
  bench.fail(web);
  assert.ok(next(bench, web) <= 1000);
  assert.equal(web.service!.restarts, 6);
});

test("a worker that drains gives its services to others, and keeps those that nobody else can " +
  "have", () => {
  const bench = new Bench();
  const first = bench.join({ slots: 4, tags: ["GPU"] });
  bench.submit([service("web"), service("model", {}, { requirement: ["GPU"] }), spec("job")]);
  const [web, model] = bench.schedule();
  const second = bench.join({ slots: 4, instance: "other" });
  const wish = { type: "Drain", worker: String(first), undo: false } as const;
  const { effects } = bench.decide(wish);
  assert.deepEqual(effects.map((effect) => effect.type === "Kill" && effect.attempts.length), [1]);
  bench.execute(wish);
  bench.finish(web!, { failure: { kind: "cancelled", message: "cancelled" } });
  bench.schedule();
  assert.deepEqual([web!.worker, web!.service!.restarts], [second, 0]);
  assert.deepEqual([model!.worker, model!.service!.asked], [first, "nothing"]);
  checkIndexes(bench.state);
});

test("a wish that was made while the worker was away reaches it when it is back", () => {
  for (const wish of ["Stop", "Restart"] as const) {
    const { bench, run, web } = running();
    bench.execute({ type: wish, name: run, by: "ann" });
    const key = { run: web.run.number, job: web.index, attempt: web.attempt };
    const { effects } = bench.decide({ type: "Rejoin", worker: web.worker, running: [key] });
    assert.deepEqual(effects, [{ type: "Kill", attempts: [{ ...key, worker: web.worker }] }]);
  }
});

test("a service that waits for its restart when its parent is retried waits for it again", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([spec("a"), service("web", {}, { dependsOn: [0], when: "always" })]);
  bench.fail(bench.schedule()[0]!);
  const [web] = bench.schedule();
  tell(bench, web!);
  bench.fail(web!);
  bench.execute({ type: "Retry", run });
  checkIndexes(bench.state);
  assert.deepEqual([web!.status, web!.service], ["PENDING", undefined]);
  assert.deepEqual(bench.schedule().map(({ spec: { id } }) => id), ["a"]);
  bench.finish(bench.job(run, "a"));
  bench.schedule();
  tell(bench, web!);
  assert.equal(web!.run.status, "SERVING");
  checkIndexes(bench.state);
});

test("services are found by their name, by RUN and by RUN/JOB, and a name of two runs is " +
  "refused", () => {
  const bench = new Bench();
  const replicas = (run: string): JobSpec[] =>
    [run, `${run}.2`].map((id) => spec(id, { service: serviceSpec("web") }));
  const a = bench.submit([...replicas("web"), service("db")], { name: "a" });
  const meant = (name: string): unknown => {
    const { reply } = bench.decide({ type: "Stop", name, by: "" });
    return [reply.run, ...reply.services, reply.replicas];
  };
  assert.deepEqual(meant("web"), [a, "web", 2]);
  assert.deepEqual(meant(a), [a, "web", "db", 3]);
  assert.deepEqual(meant(`${a}/web`), [a, "web", 2]);
  assert.deepEqual(meant(`${a}/web.2`), [a, "web", 1]);
  const b = bench.submit(replicas("web"), { name: "b" });
  assert.throws(() => meant("web"), refusal("CONFLICT",
    new RegExp(`Cannot stop "web": 2 runs have one: ${a}/web, ${b}/web`)));
  assert.throws(() => meant("wbe"), refusal("NOT_FOUND"));
  assert.throws(() => meant(`${a}/wbe`), refusal("NOT_FOUND", /it has no service "wbe"/));
  assert.throws(() => meant("x/web"), refusal("NOT_FOUND", /there is no run "x"/));
});

test("a deployed name is in use until its service is over: a job cannot be added with it", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const deployed = service("web", { deployed: true });
  const run = bench.submit([deployed]);
  const [web] = bench.schedule();
  const other = bench.submit([service("web"), spec("a")]);
  const add = { type: "AddJobs", run: other, jobs: [{ ...deployed, id: "b" }] } as const;
  assert.throws(() => bench.execute(add), refusal("CONFLICT",
    new RegExp(`the name "web" is in use by ${run} \\(titan stop web ends it\\)`)));
  bench.execute({ type: "Stop", name: "web", by: "" });
  assert.throws(() => bench.execute(add), refusal("CONFLICT"));
  bench.finish(web!);
  bench.execute(add);
});

test("a job is told of the services that are ready: its own run's first, and deployed ones", () => {
  const bench = new Bench();
  bench.join({ slots: 9 });
  bench.submit([service("db", { deployed: true })]);
  const run = bench.submit([
    service("db"), service("my-api.v2"), spec("child", { dependsOn: [0] }), spec("other"),
  ]);
  const jobs = bench.schedule();
  const child = findJob(jobs[1]!.run, "child");
  const other = bench.submit([spec("stranger")]);
  const stranger = bench.job(other, "stranger");
  const port = (job: Job): string | undefined => serviceEnv(bench.state, job)["TITAN_SERVICE_DB"];
  assert.deepEqual(serviceEnv(bench.state, child), {});
  tell(bench, jobs[0]!, "READY", 1);
  assert.deepEqual([port(child), port(stranger)], ["10.0.0.1:1", "10.0.0.1:1"]);
  tell(bench, bench.job(run, "db"), "READY", 2);
  tell(bench, bench.job(run, "my-api.v2"), "READY", 3);
  assert.deepEqual([port(child), port(stranger)], ["10.0.0.1:2", "10.0.0.1:1"]);
  assert.equal(serviceEnv(bench.state, child)["TITAN_SERVICE_MY_API_V2"], "10.0.0.1:3");
  tell(bench, bench.job(run, "db"), "UNHEALTHY", 2);
  assert.equal(port(child), "10.0.0.1:1");
});

test("a service that breaks a rule is refused, with the job's name", () => {
  const bench = new Bench();
  const wrong: readonly [JobSpec, RegExp][] = [
    [spec("a", { service: serviceSpec("a/b") }), /has "a\/b" as the name of its service/],
    [service("a", { port: 70_000 }), /has port 70000/],
    [service("a", { port: 0 }), /has port 0/],
    [service("a", { check: { type: "command", argv: [] } }), /has an empty check command/],
    [service("a", { check: { type: "http", path: "/a b" } }), /checks the path "\/a b"/],
    [service("a", { check: { type: "http", path: "/\r\nX: y" } }), /must begin with "\/"/],
    [service("a", { intervalMs: 0 }), /is checked every 0 ms/],
    [service("a", { unhealthyAfter: 0 }), /changes after 0 checks/],
    [service("a", restart({ backoff: NaN })), /has a backoff outside 1 to 1000/],
    [service("a", restart({ attempts: 101 })), /counts 101 restarts, more than 100/],
    [service("a", { stopGraceMs: 2 ** 40 }), /has a time of 1099511627776 ms/],
    [service("a", {}, { timeoutMs: 1 }), /is a service, and has a timeout/],
    [service("a", {}, { gate: { message: "?", maxWaitMs: 1 } }), /a gate would wait for its end/],
  ];
  for (const [job, why] of wrong) {
    assert.throws(() => bench.submit([job]), refusal("INVALID", why));
  }
});

test("servicesOf() lists those that are over, too, by name", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  bench.submit([service("b"), service("a")]);
  bench.schedule();
  bench.execute({ type: "Stop", name: "a", by: "" });
  assert.deepEqual(servicesOf(bench.state).map(({ spec: { id } }) => id), ["a", "b"]);
  assert.deepEqual(servicesOf(new State()), []);
});
