/**
 * Chapter 18: a job that ends an attempt to wait, gives its slot back, and goes on later.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, Event, hashState, jobInfo, readSnapshot, reasonOf, State, waitKind, writeSnapshot,
  type Job,
} from "#core";
import {
  assertRecoverable, Bench, checkIndexes, randomLife, retry, spec,
} from "./10-master.core.ts";
import {
  agentMoves, ask, forAnswer, forJobs, pause, spawn, wait, why,
} from "./18-agents.core.ts";

/** One worker with one slot, where a job has added two others. */
function withChildren(fields = {}): { bench: Bench; run: string; job: Job } {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("plan", fields)]);
  const job = bench.schedule()[0]!;
  spawn(bench, job, "k", [spec("a"), spec("b")]);
  return { bench, run, job };
}

const next = (bench: Bench): Job => {
  const [job] = bench.schedule();
  assert.ok(job !== undefined, "something starts");
  return job;
};

test("a job that waits for others gives its slot to them, and goes on as another attempt", () => {
  const { bench, run, job } = withChildren();
  assert.deepEqual(bench.schedule(), [], "the slot is taken");
  pause(bench, job, forJobs("a", "b"));
  assert.equal(job.status, "WAITING");
  assert.equal(bench.state.workers.get(1)!.jobs.size, 0);
  checkIndexes(bench.state);
  const a = next(bench);
  assert.equal(a.spec.id, "a");
  bench.finish(a);
  assert.equal(job.status, "WAITING", "both are wanted");
  bench.finish(next(bench));
  assert.equal(job.status, "PENDING");
  const again = next(bench);
  assert.deepEqual([again, again.attempt, again.failures], [job, 2, 0]);
  bench.finish(again);
  assert.deepEqual(bench.statuses(run), { plan: "COMPLETED", a: "COMPLETED", b: "COMPLETED" });
  assertRecoverable(bench);
});

test("any wait that is met is enough; a child that fails ends it, too", () => {
  const { bench, job } = withChildren();
  pause(bench, job, forJobs("a"), forJobs("b"));
  bench.fail(next(bench));
  assert.equal(job.status, "PENDING");
  checkIndexes(bench.state);
});

test("a recursion of depth 4 completes with one worker and one slot", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("d0")]);
  const ended: string[] = [];
  for (let job = bench.schedule()[0]; job !== undefined; job = bench.schedule()[0]) {
    const depth = Number(job.spec.id.slice(1));
    if (depth === 4 || job.attempt === 2) {
      bench.finish(job);
      ended.push(job.spec.id);
      continue;
    }
    spawn(bench, job, "down", [spec(`d${depth + 1}`)]);
    pause(bench, job, forJobs(`d${depth + 1}`));
  }
  assert.deepEqual(ended, ["d4", "d3", "d2", "d1", "d0"]);
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  assertRecoverable(bench);
});

test("Wait says which of its entries are met already, and then nothing has changed", () => {
  const { bench, job } = withChildren();
  bench.join({ instance: "j" });
  bench.finish(next(bench));
  const events = bench.log.length;
  assert.deepEqual(wait(bench, job, forJobs("b"), forJobs("a")), [1]);
  assert.deepEqual(wait(bench, job, { type: "time", at: bench.now }), [0]);
  assert.deepEqual(wait(bench, job, forJobs()), [0], "nothing is open of no jobs");
  assert.equal(bench.log.length, events);
});

test("what comes about between the wish and the end of the attempt is not missed", () => {
  const { bench, job } = withChildren();
  bench.join({ instance: "j" });
  const a = next(bench);
  assert.deepEqual(wait(bench, job, forJobs("a")), []);
  bench.finish(a);
  bench.finish(job);
  assert.equal(job.status, "PENDING", "straight to the queue");
  assert.equal(job.agent!.pauses, 1);
  assert.deepEqual(job.agent!.waits, []);
  assertRecoverable(bench);
});

test("a wish goes with its attempt, whether that fails or its worker is lost", () => {
  const { bench, job } = withChildren({ retry: retry(2) });
  assert.deepEqual(wait(bench, job, forJobs("a")), []);
  bench.fail(job);
  assert.deepEqual([job.status, job.failures, job.agent!.waits], ["PENDING", 1, []]);
  const { bench: other, job: lost } = withChildren();
  assert.deepEqual(wait(other, lost, forJobs("a")), []);
  other.execute({ type: "Lose", worker: 1, reason: "gone" });
  assert.deepEqual([lost.status, lost.losses, lost.agent!.waits], ["PENDING", 1, []]);
  assert.ok(lost.order > 0, "it starts again at once, and asks again");
  for (const each of [bench, other]) {
    checkIndexes(each.state);
    assertRecoverable(each);
  }
});

test("a pause spends no try of the job, and saves up none for the run", () => {
  const { bench, run, job } = withChildren({ retry: retry(2) });
  const budget = (): string => JSON.stringify(bench.state.runsById.get(run)!.budget);
  const full = budget();
  for (let attempt = 1; attempt <= 40; attempt++) {
    pause(bench, job, { type: "time", at: bench.now + 10 });
    for (const each of bench.schedule()) bench.finish(each);
    for (const each of bench.schedule()) bench.finish(each);
    bench.tick(10);
    assert.equal(next(bench), job);
  }
  assert.equal(job.failures, 0);
  assert.equal(job.attempt, 41);
  const { bench: other } = withChildren({ retry: retry(2) });
  for (const each of [...other.state.workers.get(1)!.jobs]) other.finish(each);
  other.drain();
  assert.equal(budget(), JSON.stringify([...other.state.runs.values()][0]!.budget), full);
});

test("a moment wakes a job to the millisecond, also after a restart", () => {
  const { bench, run, job } = withChildren();
  pause(bench, job, forJobs("a"), { type: "time", at: bench.now + 500 });
  bench.state = readSnapshot(writeSnapshot(bench.state));
  checkIndexes(bench.state);
  bench.tick(499);
  assert.equal(bench.job(run, "plan").status, "WAITING");
  bench.tick(1);
  assert.equal(bench.job(run, "plan").status, "PENDING");
  checkIndexes(bench.state);
});

test("the deadlines of waits that others have ended do not pile up", () => {
  const bench = new Bench();
  bench.join();
  bench.submit([spec("plan")]);
  let job = next(bench);
  for (let n = 0; n < 50; n++) {
    spawn(bench, job, `k${n}`, [spec(`c${n}`)]);
    pause(bench, job, forJobs(`c${n}`), { type: "time", at: bench.now + 1e9 });
    bench.finish(next(bench));
    job = next(bench);
    checkIndexes(bench.state);
  }
  assert.ok(bench.state.delayed.size < 5, `${bench.state.delayed.size} entries`);
});

test("a wait for what waits for the waiter is refused in words", () => {
  const bench = new Bench();
  bench.join({ slots: 4 });
  bench.submit([spec("plan"), spec("report", { dependsOn: [0] }), spec("other")]);
  const [plan, other] = bench.schedule();
  assert.match(why(() => wait(bench, plan!, forJobs("plan"))), /CONFLICT.*would wait for itself/);
  assert.match(
    why(() => wait(bench, plan!, forJobs("report"))),
    /CONFLICT: Cannot wait: job "report" waits for test-\w+\/plan, so neither would go on/,
  );
  spawn(bench, plan!, "k", [spec("a"), spec("b", { dependsOn: [0] })], { parents: ["report"] });
  spawn(bench, plan!, "l", [spec("late", { dependsOn: [1] })], { parents: ["report"] });
  assert.match(why(() => wait(bench, plan!, forJobs("a", "late"))), /job "late" waits for/);
  // One by way of another job's wait.
  pause(bench, plan!, forJobs("other"));
  assert.match(why(() => wait(bench, other!, forJobs("plan"))), /job "plan" waits for/);
  assert.match(why(() => wait(bench, other!, forJobs("report"))), /job "report" waits for/);
  assert.match(why(() => wait(bench, other!)), /INVALID.*nothing to wait for/);
  assert.match(why(() => wait(bench, other!, forJobs("nobody"))), /NOT_FOUND.*no job "nobody"/);
  assert.match(why(() => wait(bench, other!, forAnswer("q"))), /NOT_FOUND.*has asked nothing/);
  assert.match(
    why(() => wait(bench, other!, { type: "time", at: bench.now + 1e13 })), /INVALID.*more than/,
  );
});

test("a wait that another thing can end is no deadlock", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  bench.submit([spec("a"), spec("b")]);
  const [a, b] = bench.schedule();
  pause(bench, a!, forJobs("b"), { type: "time", at: bench.now + 10 });
  pause(bench, b!, forJobs("a"));
  bench.tick(10);
  assert.deepEqual([a!.status, b!.status], ["PENDING", "WAITING"]);
});

test("jobs that would close a circle through a wait are refused whole", () => {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("plan"), spec("later", { delayMs: 1e6 })]);
  const plan = next(bench);
  pause(bench, plan, forJobs("later"));
  const jobs = [spec("between", { dependsOn: [0] })];
  const before = [{ job: 0, child: 1 }];
  assert.match(
    why(() => bench.execute({ type: "AddJobs", run, jobs, before })),
    /INVALID: Cannot add jobs to test-\w+: .*cycle/,
  );
  assert.equal(bench.state.runsById.get(run)!.jobs.length, 2);
});

test("a cancel ends a job that waits, and what it waits for goes on", () => {
  const { bench, run, job } = withChildren();
  pause(bench, job, forJobs("a", "b"), { type: "time", at: bench.now + 1e6 });
  bench.execute({ type: "Cancel", run, job: "plan" });
  assert.deepEqual(bench.statuses(run), { plan: "CANCELLED", a: "PENDING", b: "PENDING" });
  checkIndexes(bench.state);
  bench.drain();
  assert.equal(bench.state.runsById.get(run)!.status, "CANCELLED");
  assertRecoverable(bench);
});

test("a whole run is cancelled whatever the order of those who wait and what they wait for", () => {
  const { bench, run, job } = withChildren();
  pause(bench, job, forJobs("a", "b"));
  bench.execute({ type: "Cancel", run });
  assert.deepEqual(bench.statuses(run), { plan: "CANCELLED", a: "CANCELLED", b: "CANCELLED" });
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("a person's retry leaves alone what waits, and opens again what is waited for", () => {
  const { bench, run, job } = withChildren();
  pause(bench, job, forJobs("a", "b"));
  bench.fail(next(bench));
  assert.match(
    why(() => bench.execute({ type: "Retry", run, from: "plan" })), /CONFLICT.*is WAITING/,
  );
  bench.execute({ type: "Retry", run, from: "a" });
  bench.finish(next(bench));
  assert.equal(job.status, "WAITING", "a is open again");
  bench.finish(next(bench));
  assert.equal(job.status, "PENDING");
  checkIndexes(bench.state);
});

test("reasonOf() and jobInfo() say what a paused job waits for", () => {
  const { bench, job } = withChildren();
  const reason = (): string => reasonOf(bench.state, job, bench.now);
  ask(bench, job, "sure");
  pause(bench, job, forJobs("a", "b"), forAnswer("sure"), { type: "time", at: bench.now + 2500 });
  const words = "a (PENDING), b (PENDING), or an answer to RUN/plan:sure: Go on?, or another 2.5s";
  assert.equal(reason().replace(/test-\w+/, "RUN"), `waits for ${words}`);
  assert.equal(waitKind(bench.state, job), "person");
  assert.equal(jobInfo(bench.state, job, bench.now).paused, "person");
  const { bench: other, job: one } = withChildren();
  pause(other, one, forJobs("a"));
  assert.equal(waitKind(other.state, one), "jobs");
});

test("those who wait for one job are woken in one order, also after a snapshot",
  () => {
    const bench = new Bench();
    bench.join({ slots: 3 });
    bench.submit([spec("a"), spec("b"), spec("c")]);
    const [a, b, c] = bench.schedule();
    pause(bench, b!, forJobs("c"));
    pause(bench, a!, forJobs("c"));
    const other = new Bench();
    other.now = bench.now;
    other.state = readSnapshot(writeSnapshot(bench.state));
    bench.finish(c!);
    other.finish(other.state.runs.get(1)!.jobs[2]!);
    assert.ok(a!.order < b!.order);
    assert.equal(hashState(other.state), hashState(bench.state));
  });

test("a wait for a thousand jobs costs no more when they end one by one", () => {
  const bench = new Bench();
  bench.join({ slots: 1001 });
  bench.submit([spec("plan")]);
  const job = next(bench);
  const ids = Array.from({ length: 1000 }, (_, n) => `c${n}`);
  spawn(bench, job, "k", ids.map((id) => spec(id)));
  pause(bench, job, forJobs(...ids));
  const children = bench.schedule();
  // The last one first: the watched one is passed over a thousand times.
  for (const child of children.reverse()) {
    assert.equal(job.status, "WAITING");
    bench.finish(child);
  }
  assert.equal(job.status, "PENDING");
});

test("random lives of jobs that add, ask and wait: indexes, replay, every snapshot", () => {
  for (let seed = 1; seed <= 40; seed++) {
    try {
      const check = (bench: Bench) => checkIndexes(bench.state);
      const { log, state } = randomLife(seed, 180, check, { more: agentMoves });
      const whole = hashState(state);
      for (let cut = seed % 5; cut <= log.length; cut += 11) {
        const first = new State();
        for (const body of log.slice(0, cut)) apply(first, Event.decode(body));
        const restored = readSnapshot(writeSnapshot(first));
        assert.equal(hashState(restored), hashState(first), `cut ${cut}: restored`);
        checkIndexes(restored);
        for (const body of log.slice(cut)) apply(restored, Event.decode(body));
        assert.equal(hashState(restored), whole, `cut ${cut}: with its tail`);
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).stack}`);
    }
  }
});
