/**
 * Chapter 16: gates in the core: what the log keeps of them, through a restart and a retry.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answerOf, apply, decide, dueNotice, dueNotices, Event, gateInfo, hashState, leftMemory,
  readSnapshot, Refusal, State, writeSnapshot, type Job,
} from "#core";
import { PLAIN_RULES, type Gate, type GateRules, type JobSpec } from "#wire";
import { Bench, spec } from "./10-master.core.ts";
import { ask, by, question } from "./18-agents.core.ts";

function asks(id: string, rules?: Partial<GateRules>, fields: Partial<JobSpec> = {}): JobSpec {
  const all = rules === undefined ? undefined : { ...PLAIN_RULES, ...rules };
  return spec(id, { gate: { message: "Ship it?", maxWaitMs: 60_000, rules: all }, ...fields });
}

/** A run of one job that has come to its gate, and one behind it. */
function atGate(rules?: Partial<GateRules>): { bench: Bench; run: string } {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([asks("build", rules), spec("ship", { dependsOn: [0] })]);
  const [job] = bench.schedule();
  bench.finish(job!, { result: Buffer.from('{"version":"1.4"}') });
  assert.equal(bench.job(run, "build").status, "WAITING");
  return { bench, run };
}

const answer = (
  bench: Bench, gate: string, fields: { approve?: boolean; by?: string; values?: object } = {},
) => {
  const { approve = true, by = "ada", values = {} } = fields;
  const texts = values as Record<string, string>;
  return bench.execute({ type: "DecideGate", gate, approve, by, comment: "", values: texts });
};

const why = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof Refusal);
    return error.message;
  }
  return assert.fail("nothing was refused");
};

test("a gate that has one of two approvals is the same gate after a restart", () => {
  const form = [{ name: "tag", type: "text" as const, label: "", choices: [], required: true }];
  const { bench, run } = atGate({ required: 2, form });
  answer(bench, `${run}/build`, { by: "ada", values: { tag: "v2" } });
  const again = readSnapshot(writeSnapshot(bench.state));
  assert.equal(hashState(again), hashState(bench.state));
  const deadline = bench.job(run, "build").deadline;
  bench.state = again;
  const job = bench.job(run, "build");
  assert.equal(job.deadline, deadline);
  assert.deepEqual(job.votes.map(({ by, values }) => [by, values]), [["ada", { tag: "v2" }]]);
  const decision = answer(bench, `${run}/build`, { by: "bob" });
  assert.deepEqual([decision.approved, decision.values], [true, { tag: "v2" }]);
  assert.deepEqual(bench.statuses(run), { build: "COMPLETED", ship: "PENDING" });
  assert.deepEqual(bench.job(run, "build").votes, []);
});

test("an open gate holds no slot, and closes at its deadline, to the millisecond", () => {
  const { bench, run } = atGate({ onTimeout: "skip" });
  assert.equal(bench.state.workers.get(1)!.jobs.size, 0);
  bench.tick(59_999);
  assert.equal(bench.job(run, "build").status, "WAITING");
  bench.tick(1);
  assert.deepEqual(bench.statuses(run), { build: "SKIPPED", ship: "SKIPPED" });
  assert.equal(bench.state.runsById.get(run)!.status, "COMPLETED");
  const late = answer(bench, `${run}/build`);
  assert.deepEqual([late.already, late.approved, late.skipped, late.by], [
    true, false, true, "titan",
  ]);
});

test("a cancel takes the approvals along, and a later answer is refused in words", () => {
  const { bench, run } = atGate({ required: 2 });
  answer(bench, `${run}/build`);
  const { bytes } = bench.state;
  bench.execute({ type: "Cancel", run });
  assert.deepEqual(bench.job(run, "build").votes, []);
  assert.ok(bench.state.bytes < bytes);
  assert.match(why(() => answer(bench, `${run}/build`)), /is CANCELLED and waits for nobody/);
});

test("the gate behind another attempt is another gate, with another name", () => {
  const { bench, run } = atGate();
  answer(bench, `${run}/build#1`, { approve: false });
  bench.execute({ type: "Retry", run, from: "build" });
  bench.finish(bench.schedule()[0]!);
  assert.equal(gateInfo(bench.job(run, "build")).id, `${run}/build#2`);
  assert.match(why(() => answer(bench, `${run}/build#1`)), /that gate is gone/);
  assert.match(why(() => answer(bench, `${run}/build#9`)), /its job has had 2 attempts/);
  assert.match(why(() => answer(bench, `${run}/build#`)), /a gate is named RUN\/JOB/);
  assert.equal(answer(bench, `${run}/build`).approved, true);
});

test("the approvals and the words of a gate are counted in bytes, and given back", () => {
  const { bench, run } = atGate({ required: 2 });
  const job = bench.job(run, "build");
  const before = leftMemory(job);
  bench.execute({
    type: "DecideGate", gate: `${run}/build`, approve: true, by: "ada", comment: "x".repeat(5000),
  });
  assert.ok(leftMemory(job) - before > 5000);
  answer(bench, `${run}/build`, { by: "bob" });
  assert.ok(leftMemory(job) - before < 500);
});

test("a gate that nobody could answer is refused before it is a run", () => {
  const bench = new Bench();
  const rules = { approvers: ["ada"], required: 2 };
  assert.match(
    why(() => bench.submit([asks("a", rules)])),
    /has a gate that needs 2 approvals, and has 1 approver/,
  );
  assert.equal(bench.state.runs.size, 0);
});

test("answerOf() is the answer as JSON, typed by the form", () => {
  const form = [{ name: "share", type: "number" as const, label: "", choices: [], required: true }];
  const { bench, run } = atGate({ form });
  answer(bench, `${run}/build`, { values: { share: "10" } });
  const { spec: own, decision } = bench.job(run, "build");
  assert.deepEqual(JSON.parse(answerOf(own, decision!).toString()), {
    outcome: "approved", by: "ada", comment: "", at: bench.now, fields: { share: 10 },
  });
});

test("gateInfo() shows what a decision is about, and who has approved", () => {
  const bench = new Bench();
  bench.join();
  const name = { name: "test", version: undefined, project: undefined };
  const jobs = [asks("build", { required: 2 })];
  const { run } = bench.execute({
    type: "Submit", spec: { ...name, jobs }, strict: false, by: "eve@desk",
  });
  bench.finish(bench.schedule()[0]!, { result: Buffer.from("42") });
  const opened = bench.now;
  bench.tick(10);
  answer(bench, `${run}/build`);
  const info = gateInfo(bench.job(run, "build"));
  assert.deepEqual([info.id, info.message], [`${run}/build`, "Ship it?"]);
  assert.equal(info.submitter, "eve@desk");
  assert.deepEqual([info.openedAt, info.deadline], [opened, opened + 60_000]);
  assert.equal(info.result?.toString(), "42");
  assert.deepEqual(info.votes.map(({ by, at }) => [by, at]), [["ada", bench.now]]);
});

test("a log of an older version, which knows yes and no alone, gives the same state", () => {
  const old = new State();
  const now = new State();
  const { bench } = atGate();
  const before = bench.log.length;
  const given = { run: 1, job: 0, by: "ada", comment: "go", at: bench.now };
  const events: [Event, Event] = [
    { type: "GateDecided", ...given, approve: false },
    { type: "GateClosed", ...given, outcome: "rejected", values: {} },
  ];
  for (const [state, event] of [[old, events[0]], [now, events[1]]] as const) {
    for (const body of bench.log.slice(0, before)) apply(state, Event.decode(body));
    apply(state, event);
  }
  assert.equal(hashState(old), hashState(now));
  assert.equal(now.runs.get(1)!.jobs[0]!.failure?.message, "Rejected by ada: go");
});

// ── people are told ──────────────────────────────────────────────────────────────────────────────

const PAGER = { type: "command" as const, argv: ["pager"] };

/** A job that runs, and has asked a question that tells people. */
function asking(): { bench: Bench; run: string; job: Job; gate: Gate } {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("plan")]);
  const [job] = bench.schedule();
  const gate = question("Where?", { rules: { ...PLAIN_RULES, notify: PAGER } });
  ask(bench, job!, "q", gate);
  return { bench, run, job: job!, gate };
}

test("what has become of a message survives a restart, and is counted in bytes", () => {
  const { bench, run } = atGate({ notify: PAGER });
  const before = leftMemory(bench.job(run, "build"));
  const failure = "x".repeat(400);
  bench.execute({ type: "NoticeTried", ref: by(bench.job(run, "build")), failure });
  assert.ok(leftMemory(bench.job(run, "build")) - before >= 400);
  const asked = asking();
  asked.bench.execute({ type: "NoticeTried", ref: { ...by(asked.job), key: "q" }, failure });
  for (const { state } of [bench, asked.bench]) {
    const again = readSnapshot(writeSnapshot(state));
    assert.equal(hashState(again), hashState(state));
    assert.deepEqual([...dueNotices(again)], [...dueNotices(state)]);
    for (const due of dueNotices(again)) {
      assert.deepEqual([dueNotice(again, due)!.tries, dueNotice(again, due)!.why], [1, failure]);
    }
    assert.equal([...dueNotices(again)].length, 1);
  }
  answer(bench, `${run}/build`, { approve: false });
  bench.execute({ type: "Retry", run, from: "build" });
  assert.equal(bench.job(run, "build").notice, undefined);
});

test("nobody is told of a question that has its answer, whatever became of the message", () => {
  const { bench, run, job } = asking();
  answer(bench, `${run}/plan:q`);
  const ref = { ...by(job), key: "q" };
  for (const failure of [undefined, "busy"]) {
    assert.deepEqual(bench.decide({ type: "NoticeTried", ref, failure }).events, []);
  }
});

test("a question that would tell people in another way than the master does is refused", () => {
  const { bench, job, gate } = asking();
  const context = { ...bench.context, mayNotify: () => "tells people by a program" };
  const command = { type: "Ask", by: by(job), key: "other", gate } as const;
  assert.match(why(() => decide(bench.state, command, context)), /it tells people by a program/);
});
