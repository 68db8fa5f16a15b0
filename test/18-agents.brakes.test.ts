/** Chapter 18: the brakes on steps: reserved before, settled after, exact under crashes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  NOTHING_SPENT, plus, readSnapshot, Refusal, runInfo, writeSnapshot, type Job,
} from "#core";
import type { Agent, Budget, JobScope, Spent, StepEnd, StepReserve, StepStart } from "#wire";
import { assertRecoverable, Bench, checkIndexes, refusal, spec } from "./10-master.core.ts";

const USD = 1_000_000;

const scopeOf = ({ run, index, attempt, worker }: Job): JobScope =>
  ({ run: run.number, job: index, attempt, worker });

/** Runs of agents whose jobs all run, and the steps that these make. */
class Agents extends Bench {
  #calls = 0;

  constructor(seed = 1) {
    super(seed);
    this.join({ slots: 1000 });
  }

  agent(count: number, budget: Budget | undefined, id?: string): readonly Job[] {
    const agent: Agent = { id, budget };
    const run = this.submit(Array.from({ length: count }, (_, i) => spec(`j${i}`)), { agent });
    this.schedule();
    return this.state.runsById.get(run)!.jobs;
  }

  start(job: Job, name: string, fields: Partial<StepStart> = {}) {
    const step: StepStart = {
      name, ordinal: 1, inputHash: createHash("sha256").update(name).digest(), effect: "read",
      onAmbiguous: "retry", call: ++this.#calls, reserve: undefined, again: false, ...fields,
    };
    return this.execute({ type: "StartStep", by: scopeOf(job), step });
  }

  end(job: Job, name: string, cost?: Partial<StepReserve>, failure?: string): void {
    const { tokens = 0, usdMicros = 0 } = cost ?? {};
    const usage = { model: "m", tokensIn: tokens, tokensOut: 0, usdMicros, ms: 1 };
    const step: StepEnd = {
      name, ordinal: 1, result: failure === undefined ? Buffer.from("1") : undefined,
      blob: undefined, failure, usage: cost && usage, told: false,
    };
    this.execute({ type: "EndStep", by: scopeOf(job), step });
  }

  /** The worker goes away under the job, and the job begins anew. */
  crash(job: Job): void {
    this.execute({ type: "Lose", worker: job.worker, reason: "gone", blamed: false });
    this.join({ slots: 1000, instance: `i${this.state.nextWorker}` });
    this.schedule();
  }
}

const usd = (usdMicros: number): StepReserve => ({ tokens: 0, usdMicros });

/** What the leaves have cost: the journals of all jobs of the group. */
function leaves(jobs: Iterable<Job>): Spent {
  let all = NOTHING_SPENT;
  for (const { journal } of jobs) {
    for (const { starts, spentTokens, spentMicros } of journal?.values() ?? []) {
      all = plus(all, { steps: starts, tokens: spentTokens, usdMicros: spentMicros });
    }
  }
  return all;
}

test("20 parallel steps against a rest of 5: exactly 5 begin, and no more is spent", () => {
  const made = new Agents();
  const jobs = made.agent(20, { usdMicros: 5 * USD });
  const given = jobs.filter((job) => {
    try {
      made.start(job, "ask", { reserve: usd(USD) });
      return true;
    } catch (error) {
      return !refusal("BUDGET", /0\.00 of 5\.00 USD are used and 5\.00 reserved, and 1\.00 more/)(
        error);
    }
  });
  assert.equal(given.length, 5);
  for (const job of given) made.end(job, "ask", usd(USD));
  const { group } = jobs[0]!.run;
  assert.deepEqual([group!.used.usdMicros, group!.reserved.usdMicros], [5 * USD, 0]);
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("a crash between begin and end keeps the reservation, and it is not taken twice", () => {
  const made = new Agents();
  const [job] = made.agent(1, { usdMicros: 2 * USD }) as [Job];
  const { group } = job.run;
  made.start(job, "ask", { reserve: usd(2 * USD) });
  made.crash(job);
  assert.equal(group!.reserved.usdMicros, 2 * USD, "nobody knows whether the call was made");
  made.start(job, "ask", { reserve: usd(2 * USD) });
  assert.equal(group!.reserved.usdMicros, 2 * USD);
  assert.equal(group!.used.steps, 2, "both calls count as steps");
  made.crash(job);
  made.start(job, "ask", { reserve: usd(USD) });
  assert.equal(group!.reserved.usdMicros, USD, "a smaller one takes its place");
  made.end(job, "ask", usd(USD / 2));
  assert.deepEqual([group!.used.usdMicros, group!.reserved.usdMicros], [USD / 2, 0]);
  assert.equal(made.start(job, "ask").type, "done");
  assert.equal(group!.used.steps, 3, "what is done costs nothing");
  assertRecoverable(made);
});

test("what a step costs beyond its reservation is counted, and the next one is refused", () => {
  const made = new Agents();
  const [job] = made.agent(1, { usdMicros: USD, tokens: 1000 }) as [Job];
  made.start(job, "a", { reserve: { tokens: 10, usdMicros: 1000 } });
  made.end(job, "a", { tokens: 900, usdMicros: 3 * USD });
  const { used } = job.run.group!;
  assert.deepEqual([used.tokens, used.usdMicros], [900, 3 * USD]);
  const words = /3\.00 of 1\.00 USD are used, and nothing is left \(titan agents budget /;
  assert.throws(() => made.start(job, "b"), refusal("BUDGET", words));
  made.start(job, "free", { reserve: usd(0) });
  made.end(job, "free", usd(0));
  assertRecoverable(made);
});

test("a step that says nothing of its cost counts as it had reserved, a failure as nothing", () => {
  const made = new Agents();
  const [job] = made.agent(1, undefined) as [Job];
  const { group } = job.run;
  made.start(job, "a", { reserve: { tokens: 7, usdMicros: 100 } });
  made.end(job, "a");
  assert.deepEqual([group!.used.tokens, group!.used.usdMicros], [7, 100]);
  made.start(job, "b", { reserve: { tokens: 7, usdMicros: 100 } });
  made.end(job, "b", undefined, "refused");
  assert.deepEqual([group!.used.tokens, group!.used.usdMicros], [7, 100]);
  made.start(job, "b", { reserve: { tokens: 7, usdMicros: 100 } });
  made.end(job, "b", usd(30), "again");
  made.start(job, "b");
  made.end(job, "b", usd(5));
  assert.equal(group!.used.usdMicros, 135, "each try of a step has its own cost");
  assert.deepEqual(leaves([job]), { ...group!.used, jobs: 0 });
  assertRecoverable(made);
});

test("steps are limited by their number and by the deadline, and 80 % is said once", () => {
  const made = new Agents();
  const [job] = made.agent(1, { steps: 5, deadlineMs: 60_000 }) as [Job];
  const words: string[] = [];
  for (let i = 0; i < 5; i++) {
    made.start(job, `s${i}`);
    made.end(job, `s${i}`, usd(1));
    words.push(String(job.run.group!.reached[3]));
  }
  assert.deepEqual(words, ["0", "0", "0", "80", "100"]);
  assert.throws(() => made.start(job, "s6"),
    refusal("BUDGET", /5 of 5 steps are used, and 1 more is wanted/));
  made.execute({
    type: "RaiseBudget", group: job.run.id, by: "ann",
    changes: [{ what: "steps", amount: 9, add: true }],
  });
  made.start(job, "s6");
  made.now += 60_000;
  assert.throws(() => made.start(job, "s7"), refusal("BUDGET", /its deadline has passed/));
  made.end(job, "s6", usd(1));
  assertRecoverable(made);
});

test("a run without an agent becomes one with its first step, at no limit", () => {
  const made = new Agents();
  const run = made.submit([spec("plain")]);
  made.schedule();
  const job = made.job(run, "plain");
  assert.equal(job.run.group, undefined);
  made.start(job, "a");
  assert.equal(made.state.groups.get(run)!.used.jobs, 1);
  made.end(job, "a", { tokens: 5, usdMicros: 7 });
  assert.deepEqual(made.state.groups.get(run)!.used,
    { jobs: 1, steps: 1, tokens: 5, usdMicros: 7 });
  checkIndexes(made.state);
  assertRecoverable(made);
  const again = readSnapshot([...writeSnapshot(made.state)]);
  assert.equal(again.groups.get(run)!.runs.size, 1);
});

test("what nobody could mean is refused in words", () => {
  const made = new Agents();
  const [job] = made.agent(1, undefined) as [Job];
  assert.throws(() => made.start(job, "a", { reserve: { tokens: 1e13, usdMicros: 0 } }),
    refusal("INVALID", /sets aside too much: 10000000000000 tokens are more than 1000000000000$/));
  made.start(job, "a");
  assert.throws(() => made.end(job, "a", usd(1e13)),
    refusal("INVALID", /has cost too much: 10000000\.00 USD are more than 1000000$/));
  made.end(job, "a", usd(1));
});

test("a fork has paid for nothing that it takes over", () => {
  const made = new Agents();
  const [job] = made.agent(1, { usdMicros: USD }) as [Job];
  made.start(job, "a");
  made.end(job, "a", usd(USD));
  const { run } = made.execute({ type: "Fork", run: job.run.id, from: "a", set: [], by: "ann" });
  const { group } = made.state.runsById.get(run)!;
  assert.equal(group!.id, run, "it has a pool of its own");
  assert.deepEqual(group!.used, { ...NOTHING_SPENT, jobs: 1 });
  made.schedule();
  const copy = made.job(run, "j0");
  assert.equal(made.start(copy, "a").type, "done");
  assert.deepEqual(leaves([copy]), NOTHING_SPENT);
  assertRecoverable(made);
});

test("sums of an agent run are the sums of its leaves, through crashes and retries", () => {
  for (let seed = 1; seed <= 15; seed++) {
    const made = new Agents(seed);
    const { random } = made;
    const limit = 1 + Math.floor(random() * 2000);
    const budget = { usdMicros: limit, steps: 60 };
    const jobs = [...made.agent(4, budget, "g"), ...made.agent(3, budget, "g")];
    const { group } = jobs[0]!.run;
    for (let turn = 0; turn < 120; turn++) {
      const job = jobs[Math.floor(random() * jobs.length)]!;
      const name = `s${Math.floor(random() * 5)}`;
      const known = job.journal?.get(name, 1);
      try {
        if (random() < 0.06) made.crash(job);
        else if (known?.status === "STARTED" && known.attempt === job.attempt) {
          const most = known.reserve?.usdMicros ?? 0;
          const cost = random() < 0.2 ? undefined : usd(Math.floor(random() * (most + 1)));
          made.end(job, name, cost, random() < 0.3 ? "no" : undefined);
        } else made.start(job, name, { reserve: usd(Math.floor(random() * 200)) });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
      const { used, reserved } = group!;
      assert.ok(used.usdMicros + reserved.usdMicros <= limit, `seed ${seed}: beyond the limit`);
      assert.ok(used.steps <= 60);
      assert.deepEqual(leaves(jobs), { ...used, jobs: 0 }, `seed ${seed}: the leaves`);
      const open = jobs.flatMap(({ journal }) => [...(journal?.values() ?? [])])
        .filter(({ status }) => status === "STARTED");
      const held = open.reduce((sum, { reserve }) => sum + (reserve?.usdMicros ?? 0), 0);
      assert.equal(reserved.usdMicros, held, `seed ${seed}: what is set aside`);
    }
    checkIndexes(made.state);
    assertRecoverable(made);
  }
});

// ── waiting for more ─────────────────────────────────────────────────────────────────────────────

/** The job is refused, says that it will wait for so much, and ends. */
function waitFor(made: Agents, job: Job, need: Partial<Spent>): void {
  const waits = [{ type: "budget", need: { ...NOTHING_SPENT, ...need } }] as const;
  const { met } = made.execute({ type: "Wait", by: scopeOf(job), waits: [...waits] });
  assert.deepEqual(met, []);
  made.finish(job);
}

const raise = (made: Agents, group: string, amount: number) => made.execute({
  type: "RaiseBudget", group, by: "ann", changes: [{ what: "usd", amount, add: true }],
});

test("a run of which nothing goes on without more budget is PAUSED, and a raise wakes it", () => {
  const made = new Agents();
  const [a, b] = made.agent(2, { usdMicros: USD }) as [Job, Job];
  const { run } = a;
  made.start(a, "paid", { reserve: usd(USD) });
  made.end(a, "paid", usd(USD));
  assert.throws(() => made.start(a, "more", { reserve: usd(USD) }), refusal("BUDGET"));
  waitFor(made, a, { steps: 1, usdMicros: USD });
  assert.deepEqual([a.status, run.status], ["WAITING", "RUNNING"], "the other job runs");
  made.finish(b);
  assert.deepEqual([a.status, run.status], ["WAITING", "PAUSED"]);
  assert.match(runInfo(run).paused!,
    /^agent run "test-\w+": 1\.00 of 1\.00 USD are used, and 1\.00 more are wanted \(titan agents/);
  checkIndexes(made.state);
  assertRecoverable(made);
  raise(made, run.id, USD);
  assert.deepEqual([a.status, run.status, runInfo(run).paused], ["PENDING", "RUNNING", undefined]);
  made.schedule();
  assert.equal(made.start(a, "paid").type, "done", "what was paid for is not paid for again");
  made.start(a, "more", { reserve: usd(USD) });
  made.end(a, "more", usd(1));
  made.finish(a);
  assert.equal(run.status, "COMPLETED");
  assert.deepEqual(leaves(run.jobs), { ...run.group!.used, jobs: 0 });
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("what a step has not used wakes those for whom there is room, and no more", () => {
  const made = new Agents();
  const [busy, ...others] = made.agent(4, { usdMicros: 10 }) as [Job, ...Job[]];
  made.start(busy, "large", { reserve: usd(9) });
  for (const job of others) {
    assert.throws(() => made.start(job, "s", { reserve: usd(3) }), refusal("BUDGET"));
    waitFor(made, job, { steps: 1, usdMicros: 3 });
  }
  made.end(busy, "large", usd(2));
  assert.deepEqual(others.map(({ status }) => status), ["PENDING", "PENDING", "WAITING"]);
  made.schedule();
  for (const job of others.slice(0, 2)) made.start(job, "s", { reserve: usd(3) });
  checkIndexes(made.state);
  assertRecoverable(made);
  for (const job of [busy, ...others.slice(0, 2)]) {
    if (job !== busy) made.end(job, "s", usd(3));
    made.finish(job);
  }
  assert.equal(busy.run.status, "PAUSED");
  made.execute({ type: "Cancel", run: busy.run.id });
  assert.deepEqual([others[2]!.status, busy.run.status], ["CANCELLED", "CANCELLED"]);
  assert.equal(busy.run.group!.waiting.size, 0);
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("room that came between the refusal and the wait is not overlooked", () => {
  const made = new Agents();
  const [a] = made.agent(1, { usdMicros: 5 }) as [Job];
  assert.throws(() => made.start(a, "s", { reserve: usd(6) }), refusal("BUDGET"));
  const waits = [{ type: "budget", need: { ...NOTHING_SPENT, steps: 1, usdMicros: 6 } }] as const;
  assert.deepEqual(made.execute({ type: "Wait", by: scopeOf(a), waits: [...waits] }).met, []);
  raise(made, a.run.id, 1);
  assert.deepEqual(made.execute({ type: "Wait", by: scopeOf(a), waits: [...waits] }).met, [0]);
  made.finish(a);
  assert.deepEqual([a.status, a.run.status], ["PENDING", "RUNNING"], "met when it ended");
  assertRecoverable(made);
});

test("a gate, a question or a moment that is waited for is no pause; a deadline is said", () => {
  const made = new Agents();
  const [a] = made.agent(1, { deadlineMs: 1000 }) as [Job];
  made.tick(2000);
  assert.throws(() => made.start(a, "s"), refusal("BUDGET", /deadline has passed/));
  const need = { ...NOTHING_SPENT, steps: 1 };
  const at = made.now + 500;
  const waits = [{ type: "budget", need }, { type: "time", at }] as const;
  made.execute({ type: "Wait", by: scopeOf(a), waits: [...waits] });
  made.finish(a);
  assert.deepEqual([a.status, a.run.status], ["WAITING", "RUNNING"], "it wakes by itself");
  made.tick(500);
  made.schedule();
  waitFor(made, a, { steps: 1 });
  assert.equal(a.run.status, "PAUSED");
  assert.match(runInfo(a.run).paused!, /its deadline has passed \(titan agents budget .* --dead/);
  made.execute({
    type: "RaiseBudget", group: a.run.id, by: "ann",
    changes: [{ what: "deadline", amount: 1000, add: true }],
  });
  assert.equal(a.run.status, "RUNNING");
  checkIndexes(made.state);
  assertRecoverable(made);
  const plain = made.submit([spec("x")]);
  made.schedule();
  const wish = { type: "Wait", by: scopeOf(made.job(plain, "x")), waits: [waits[0]] } as const;
  assert.throws(() => made.execute({ ...wish, waits: [waits[0]] }),
    refusal("CONFLICT", /has no budget to wait for$/));
});

// ── spawns ───────────────────────────────────────────────────────────────────────────────────────

function spawn(made: Agents, job: Job, key: string, count = 1) {
  const jobs = Array.from({ length: count }, (_, i) => spec(`${key}-${i}`));
  return made.execute({
    type: "Spawn", by: scopeOf(job), key, jobs, parents: [], before: [], stage: "",
  });
}

test("20 parallel spawns against a rest of 5: exactly 5; the same key again takes nothing", () => {
  const made = new Agents();
  const all = made.agent(20, { jobs: 25 });
  const given = all.filter((job, i) => {
    try {
      spawn(made, job, `k${i}`);
      return true;
    } catch (error) {
      return !refusal("BUDGET", /25 of 25 jobs are used, and 1 more is wanted/)(error);
    }
  });
  assert.equal(given.length, 5);
  assert.equal(spawn(made, given[0]!, `k${all.indexOf(given[0]!)}`).existing, true);
  assert.equal(all[0]!.run.group!.used.jobs, 25);
  assert.throws(() => spawn(made, all[19]!, "two", 2), refusal("BUDGET"));
  waitFor(made, all[19]!, { jobs: 2 });
  made.execute({
    type: "RaiseBudget", group: all[0]!.run.id, by: "ann",
    changes: [{ what: "jobs", amount: 2, add: true }],
  });
  made.schedule();
  assert.equal(spawn(made, all[19]!, "two", 2).jobs, 2);
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("depth and fan-out are limits that no budget raises", () => {
  const made = new Agents();
  const [root] = made.agent(1, { depth: 2, fanOut: 3 }) as [Job];
  spawn(made, root, "a", 2);
  assert.throws(() => spawn(made, root, "b", 2),
    refusal("LIMIT", /agent run "test-\w+": with the 2 before they would be 4 of j0, more tha/));
  spawn(made, root, "c", 1);
  made.schedule();
  const child = made.job(root.run.id, "a-0");
  spawn(made, child, "d", 1);
  made.schedule();
  const grandchild = made.job(root.run.id, "d-0");
  assert.throws(() => spawn(made, grandchild, "e", 1),
    refusal("LIMIT", /agent run "test-\w+": they would be 3 deep, more than 2$/));
  assertRecoverable(made);
});

test("a snapshot has an agent run in the bytes that it always had", () => {
  const made = new Agents();
  const [job] = made.agent(1, { usdMicros: 10, deadlineMs: 1000, jobs: 1 }, "g") as [Job];
  made.start(job, "a", { reserve: { tokens: 2, usdMicros: 9 } });
  made.end(job, "a");
  made.start(job, "b", { reserve: usd(1) });
  const GROUPS = 85;
  const part = [...writeSnapshot(made.state)].find(([tag]) => tag === GROUPS);
  const bytes = "550a3f3e0a01671080a0f1c2b1341a080801300a38e8070022" +
    "0c0801300a38e8a7f1c2b134002a0908011002180220090032" +
    "0508001001004207640000000050000000";
  assert.equal(part?.toString("hex"), bytes);
});
