/** Chapter 18: what an agent run may use: the arithmetic, and what decide makes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  limitsFrom, NOTHING_RESERVED, NOTHING_SPENT, obstacle, plus, setAside, type Pool,
} from "#core";
import { usdText, type Agent, type BudgetChange, type BudgetKind } from "#wire";
import {
  assertRecoverable, Bench, checkIndexes, NO_ROOM, refusal, spec,
} from "./10-master.core.ts";

const USD = 1_000_000;

function bench(): Bench {
  const made = new Bench();
  made.join({ slots: 100 });
  return made;
}

function jobs(count: number, from = 0) {
  return Array.from({ length: count }, (_, i) => spec(`j${from + i}`));
}

function group(made: Bench, name: string) {
  return made.state.groups.get(name)!;
}

function raise(made: Bench, name: string, ...changes: BudgetChange[]) {
  return made.execute({ type: "RaiseBudget", group: name, changes, by: "ann" });
}

const to = (what: BudgetKind, amount: number): BudgetChange => ({ what, amount, add: false });
const by = (what: BudgetKind, amount: number): BudgetChange => ({ what, amount, add: true });

// ── the arithmetic ───────────────────────────────────────────────────────────────────────────────

/** Reserves before, settles after, as decide and apply do. */
class Purse {
  pool: Pool;
  constructor(usdMicros: number) {
    const limits = limitsFrom({ usdMicros }, 0);
    this.pool = { limits, used: NOTHING_SPENT, reserved: NOTHING_RESERVED };
  }
  reserve(usdMicros: number): boolean {
    const reserve = { tokens: 0, usdMicros };
    if (obstacle(this.pool, { steps: 1, reserve }, 0) !== undefined) return false;
    this.pool = { ...this.pool, reserved: setAside(this.pool.reserved, reserve) };
    return true;
  }
  settle(held: number, cost: number): void {
    const reserved = setAside(
      this.pool.reserved, NOTHING_RESERVED, { tokens: 0, usdMicros: held });
    this.pool = { ...this.pool, reserved, used: plus(this.pool.used, { usdMicros: cost }) };
  }
}

test("obstacle(): of 20 reservations that arrive together for a rest of 5, 5 are given", () => {
  const purse = new Purse(12);
  assert.ok(purse.reserve(7));
  purse.settle(7, 7);
  const given = Array.from({ length: 20 }, () => purse.reserve(1)).filter(Boolean);
  assert.equal(given.length, 5);
  assert.deepEqual([purse.pool.used.usdMicros, purse.pool.reserved.usdMicros], [7, 5]);
});

test("used + reserved is never beyond the limit, and used is the sum of all costs", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { random } = new Bench(seed);
    const limit = 1 + Math.floor(random() * 1000);
    const purse = new Purse(limit);
    const open: number[] = [];
    let [spent, refused] = [0, 0];
    for (let step = 0; step < 100; step++) {
      if (random() < 0.6) {
        const wanted = Math.floor(random() * (limit / 3));
        if (purse.reserve(wanted)) open.push(wanted);
        else refused += 1;
      } else {
        const held = open.splice(Math.floor(random() * open.length), 1)[0];
        if (held === undefined) continue;
        const cost = Math.floor(random() * (held + 1));
        purse.settle(held, cost);
        spent += cost;
      }
      const { used, reserved } = purse.pool;
      assert.ok(used.usdMicros + reserved.usdMicros <= limit, `seed ${seed}`);
      assert.equal(used.usdMicros, spent);
      assert.equal(reserved.usdMicros, open.reduce((sum, each) => sum + each, 0));
    }
    assert.ok(refused > 0 || purse.pool.used.usdMicros < limit);
  }
});

test("a step that costs more than it reserved is counted in full, and the next is refused", () => {
  const purse = new Purse(100);
  assert.ok(purse.reserve(10));
  purse.settle(10, 130);
  assert.equal(purse.pool.used.usdMicros, 130);
  const asked = obstacle(purse.pool, { steps: 1, reserve: { tokens: 0, usdMicros: 1 } }, 0);
  assert.deepEqual(asked, {
    what: "usd", found: "0.00013 of 0.0001 USD are used, and 0.000001 more is wanted",
  });
});

test("a step that does not say its cost is refused when nothing is left, a free one is not", () => {
  const purse = new Purse(5 * USD);
  assert.equal(obstacle(purse.pool, { steps: 1 }, 0), undefined);
  purse.settle(0, 5 * USD);
  const found = obstacle(purse.pool, { steps: 1 }, 0)?.found;
  assert.equal(found, "5.00 of 5.00 USD are used, and nothing is left");
  assert.equal(obstacle(purse.pool, { steps: 1, reserve: NOTHING_RESERVED }, 0), undefined);
});

test("a sum stays a safe integer, whatever steps report", () => {
  const most = Number.MAX_SAFE_INTEGER;
  assert.equal(plus(plus(NOTHING_SPENT, { tokens: most }), { tokens: most }).tokens, most);
  const held = setAside({ tokens: most, usdMicros: 0 }, { tokens: most, usdMicros: 1 });
  assert.deepEqual(held, { tokens: most, usdMicros: 1 });
  assert.deepEqual(setAside(NOTHING_RESERVED, NOTHING_RESERVED, held), NOTHING_RESERVED);
});

test("usdText() shows cents, and smaller parts only where there are some", () => {
  assert.deepEqual([5 * USD, 12_500, 1, 100_000, 0].map(usdText),
    ["5.00", "0.0125", "0.000001", "0.10", "0.00"]);
});

// ── groups ───────────────────────────────────────────────────────────────────────────────────────

test("runs of one id share one pool, and it goes when the last of them is forgotten", () => {
  const made = bench();
  const agent: Agent = { id: "r1", budget: { jobs: 5 } };
  const first = made.submit(jobs(2), { agent });
  made.submit(jobs(2), { agent: { id: "r1" } });
  made.submit(jobs(1), { agent });
  assert.deepEqual(group(made, "r1").used, { ...NOTHING_SPENT, jobs: 5 });
  assert.throws(() => made.submit(jobs(1), { agent }), refusal("BUDGET", /5 of 5 jobs are used/));
  checkIndexes(made.state);
  made.drain();
  made.memory = NO_ROOM;
  made.execute({ type: "Forget" });
  assert.equal(made.state.runsById.get(first), undefined);
  checkIndexes(made.state);
  assertRecoverable(made);
  for (let left = 3; left > 0 && made.state.groups.size > 0; left--) {
    made.execute({ type: "Forget" });
    assertRecoverable(made);
  }
  assert.deepEqual([made.state.groups.size, made.state.runs.size], [0, 0]);
  assert.equal(made.state.bytes, 0, "and all of its memory");
});

test("an agent run whose name is the id of a run has that run, too", () => {
  const made = bench();
  const first = made.submit(jobs(3), { name: "first" });
  assert.equal(made.state.groups.size, 0);
  made.submit(jobs(1), { agent: { id: first, budget: { jobs: 6 } } });
  assert.equal(group(made, first).used.jobs, 4);
  assert.equal(group(made, first).runs.size, 2);
  made.execute({ type: "AddJobs", run: first, jobs: jobs(2, 3) });
  assert.throws(() => made.execute({ type: "AddJobs", run: first, jobs: jobs(1, 9) }),
    refusal("BUDGET", /6 of 6 jobs are used, and 1 more is wanted/));
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("a new run never gets the name of an agent run that is there", () => {
  const first = new Bench(7);
  const other = new Bench(7);
  for (const made of [first, other]) made.submit(jobs(1));
  const id = first.submit(jobs(1), { name: "n" });
  other.submit(jobs(1), { agent: { id } });
  // The chance of the first bench, from the same place on.
  const again = new Bench(7);
  again.submit(jobs(1));
  const { random } = again;
  const joined = Object.assign(other, { random });
  assert.match(joined.submit(jobs(1), { name: "n" }), new RegExp(`^${id}.$`));
});

test("20 additions that arrive together for a rest of 5 jobs: exactly 5 are taken", () => {
  const made = bench();
  const run = made.submit(jobs(2), { agent: { budget: { jobs: 7 } } });
  let taken = 0;
  for (let i = 0; i < 20; i++) {
    try {
      made.execute({ type: "AddJobs", run, jobs: jobs(1, 100 + i) });
      taken += 1;
    } catch (error) {
      refusal("BUDGET")(error);
    }
  }
  assert.equal(taken, 5);
  assert.equal(made.state.runsById.get(run)!.jobs.length, 7);
  assertRecoverable(made);
});

test("decide() says once that 80 % of a limit are used, and once that all of it is", () => {
  const made = bench();
  const run = made.submit(jobs(7), { agent: { budget: { jobs: 10 } } });
  const words: string[] = [];
  for (let i = 0; i < 3; i++) {
    const { events } = made.decide({ type: "AddJobs", run, jobs: jobs(1, 10 + i) });
    made.commit(events);
    for (const event of events) {
      if (event.type === "BudgetReached") words.push(`${event.percent}: ${event.words}`);
    }
  }
  assert.deepEqual(words, ["80: 8 of 10 jobs are used", "100: 10 of 10 jobs are used"]);
  raise(made, run, to("jobs", 20));
  assert.deepEqual(group(made, run).reached, [0, 0, 0, 0, 0, 0, 0]);
  const { events } = made.decide({ type: "AddJobs", run, jobs: jobs(6, 20) });
  assert.equal(events.length, 2, "a limit that was raised has another warning");
  assertRecoverable(made);
});

test("a deadline is a moment: it passes while nothing happens, and after a restart", () => {
  const made = bench();
  const run = made.submit(jobs(1), { agent: { budget: { deadlineMs: 1000 } } });
  const began = made.now;
  assert.equal(made.state.nextDeadline, began + 800);
  made.tick(799);
  assert.deepEqual(group(made, run).reached.at(-1), 0);
  made.tick(1);
  assert.deepEqual(group(made, run).reached.at(-1), 80);
  checkIndexes(made.state);
  assertRecoverable(made);
  made.tick(10_000);
  assert.deepEqual(group(made, run).reached.at(-1), 100);
  assert.equal(made.state.nextDeadline, Infinity);
  assert.throws(() => made.execute({ type: "AddJobs", run, jobs: jobs(1, 5) }),
    refusal("BUDGET", /its deadline has passed \(titan agents budget test-\w+ --deadline \+1h/));
  assert.equal(made.decide({ type: "Tick" }).events.length, 0, "it is said once");
  raise(made, run, by("deadline", 500));
  assert.equal(group(made, run).limits.deadlineAt, made.now + 500, "from now: the old one is over");
  made.execute({ type: "AddJobs", run, jobs: jobs(1, 6) });
  raise(made, run, by("deadline", 500));
  assert.equal(group(made, run).limits.deadlineAt, made.now + 1000, "and on from there");
  made.drain();
  assert.equal(made.state.nextDeadline, Infinity, "nobody waits for the end of what is over");
  made.execute({ type: "Retry", run, from: "j0" });
  assert.notEqual(made.state.nextDeadline, Infinity);
  checkIndexes(made.state);
  assertRecoverable(made);
});

test("a second run with another budget is refused, with the same one it is not", () => {
  const made = bench();
  made.submit(jobs(1), { agent: { id: "r1", budget: { usdMicros: USD, depth: 3 } } });
  const submit = (budget: Agent["budget"]) => made.submit(jobs(1), { agent: { id: "r1", budget } });
  submit({ usdMicros: USD, depth: 3 });
  submit(undefined);
  const other = (what: string) =>
    refusal("CONFLICT", new RegExp(`agent run "r1" has another budget for ${what} \\(its first`));
  assert.throws(() => submit({ usdMicros: 2 * USD, depth: 3 }), other("usd"));
  assert.throws(() => submit({ usdMicros: USD }), other("depth"));
  assert.throws(() => submit({ usdMicros: USD, depth: 3, steps: 1 }), other("steps"));
  raise(made, "r1", to("usd", 3 * USD));
  submit({ usdMicros: USD, depth: 3 });
  assert.equal(group(made, "r1").limits.usdMicros, 3 * USD, "and what was raised stays raised");
});

test("the first run that has a budget brings it, and its deadline begins there", () => {
  const made = bench();
  made.submit(jobs(1), { agent: { id: "r1" } });
  made.now += 5000;
  made.submit(jobs(1), { agent: { id: "r1", budget: { deadlineMs: 1000, jobs: 9 } } });
  assert.deepEqual(group(made, "r1").limits, { deadlineAt: made.now + 1000, jobs: 9 });
  assert.equal(made.state.nextDeadline, made.now + 800);
  assertRecoverable(made);
});

test("what is no budget and no name is refused in words, whoever sends it", () => {
  const made = bench();
  const refused = (agent: Agent, words: RegExp) =>
    assert.throws(() => made.submit(jobs(1), { agent }), refusal("INVALID", words));
  refused({ budget: { usdMicros: 0 } }, /its budget for usd is 0 \(leave it out for no limit\)$/);
  refused({ budget: { depth: 9 } }, /its budget for depth is 9, more than 8$/);
  refused({ budget: { tokens: 1e15 } }, /its budget for tokens is 1000000000000000, more than/);
  refused({ budget: { usdMicros: 1e15 } }, /its budget for usd is 1000000000000000, more than/);
  refused({ id: "x".repeat(161) }, /the name of its agent run has more than 160 bytes$/);
  refused({ id: "" }, /the name of its agent run is empty$/);
  refused({ id: "a/b" }, /the name of its agent run has a control character or a slash$/);
  assert.throws(() => made.submit(jobs(6), { agent: { budget: { jobs: 5 } } }),
    refusal("BUDGET", /agent run "test-\w+": 0 of 5 jobs are used, and 6 more are wanted$/));
  assert.equal(made.state.groups.size, 0);
});

test("a budget is raised, in words or not at all", () => {
  const made = bench();
  const agent: Agent = { budget: { usdMicros: USD, steps: 5, depth: 2, deadlineMs: 1000 } };
  const run = made.submit(jobs(1), { agent });
  const refused = (change: BudgetChange, words: RegExp) =>
    assert.throws(() => raise(made, run, change), refusal("INVALID", words));
  refused(to("usd", USD), /its limit for usd is 1\.00 already$/);
  refused(to("usd", 0), /0 is no limit for usd$/);
  refused(by("usd", 0), /0 is no limit for usd$/);
  refused(by("usd", 1e15), /1000000000000000 for usd is more than 1000000000000$/);
  refused(by("usd", 1_000_000 * USD), /1000001\.00 for usd is more than 1000000\.00$/);
  refused(to("jobs", 7), /it has no limit for jobs$/);
  refused(to("depth", 9), /9 for depth is more than 8$/);
  refused(to("deadline", 900), /its deadline is later already$/);
  assert.throws(() => raise(made, run), refusal("INVALID", /nobody says to what$/));
  assert.throws(() => raise(made, "nobody", to("usd", 5)),
    refusal("NOT_FOUND", /^Cannot find agent run "nobody"$/));
  raise(made, run, by("usd", USD), to("steps", 9), to("depth", 8), by("deadline", 10));
  const { limits, startedAt } = group(made, run);
  assert.deepEqual(limits,
    { usdMicros: 2 * USD, steps: 9, depth: 8, deadlineAt: startedAt + 1010 });
  made.drain();
  assert.throws(() => raise(made, run, to("usd", 9 * USD)),
    refusal("CONFLICT", /: all its runs have ended$/));
  const plain = made.submit(jobs(1), { name: "plain" });
  assert.throws(() => raise(made, plain, to("usd", 5)),
    refusal("NOT_FOUND", /run plain-\w+ has no "agent" and has made no step$/));
  assertRecoverable(made);
});

test("cancelling an agent run cancels all its runs, and nothing else", () => {
  const made = bench();
  const agent: Agent = { id: "r1" };
  const mine = [made.submit(jobs(2), { agent }), made.submit(jobs(2), { agent })];
  const other = made.submit(jobs(1));
  made.schedule();
  made.finish(made.job(mine[0]!, "j0"));
  const { reply, events, effects } = made.decide({ type: "CancelGroup", group: mine[1]! });
  assert.deepEqual(reply, { group: "r1", runs: 2, jobs: 3 });
  assert.deepEqual(effects.map(({ type }) => type), ["Kill", "Kill"]);
  made.commit(events);
  for (const run of mine) for (const job of made.state.runsById.get(run)!.jobs) made.finish(job);
  assert.deepEqual(mine.map((run) => made.state.runsById.get(run)!.status),
    ["CANCELLED", "CANCELLED"]);
  assert.equal(made.state.runsById.get(other)!.status, "RUNNING");
  const again = made.decide({ type: "CancelGroup", group: "r1" });
  assert.deepEqual([again.events, again.reply], [[], { group: "r1", runs: 0, jobs: 0 }]);
  assertRecoverable(made);
});
