/**
 * Chapter 18: questions in the middle of a program: one outcome each, and found again by a key.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  askInfo, openGates, readSnapshot, reasonOf, writeSnapshot, type Job,
} from "#core";
import { MAX_ASKS, PLAIN_RULES, type Gate } from "#wire";
import { assertRecoverable, Bench, checkIndexes, NO_ROOM, spec } from "./10-master.core.ts";
import { ask, forAnswer, pause, question, why } from "./18-agents.core.ts";

function running(fields = {}): { bench: Bench; run: string; job: Job } {
  const bench = new Bench();
  bench.join();
  const run = bench.submit([spec("agent", fields)]);
  return { bench, run, job: bench.schedule()[0]! };
}

const decide = (
  bench: Bench, gate: string, more: { approve?: boolean; by?: string; values?: object } = {},
) => {
  const { approve = true, by = "ann", values = {} } = more;
  const texts = values as Record<string, string>;
  return bench.execute({ type: "DecideGate", gate, approve, by, comment: "", values: texts });
};

const rules = (more: Partial<typeof PLAIN_RULES>): Partial<Gate> => {
  return { rules: { ...PLAIN_RULES, ...more } };
};

test("a question is in the inbox; its answer wakes the job, and a later attempt finds it", () => {
  const { bench, run, job } = running();
  const gate = `${run}/agent:deploy`;
  const asked = ask(bench, job, "deploy");
  assert.deepEqual(asked, { gate, deadline: bench.now + 60_000, decision: undefined });
  assert.deepEqual(ask(bench, job, "deploy"), asked, "asked again it is the same one");
  pause(bench, job, forAnswer("deploy"));
  assert.match(reasonOf(bench.state, job, bench.now), /waits for an answer to .*agent:deploy/);
  const [row] = [...openGates(bench.state)].map((open) => open.info());
  assert.deepEqual([row!.id, row!.message, row!.openedAt], [gate, "Go on?", bench.now]);
  assert.equal(bench.state.workers.get(1)!.jobs.size, 0, "no slot");
  checkIndexes(bench.state);
  bench.state = readSnapshot(writeSnapshot(bench.state));
  assert.equal(decide(bench, gate).approved, true);
  const [again] = bench.schedule();
  assert.equal(again!.attempt, 2);
  const { decision } = ask(bench, again!, "deploy");
  assert.deepEqual([decision!.approved, decision!.by, decision!.already], [true, "ann", false]);
  assert.deepEqual([...openGates(bench.state)], []);
  const late = decide(bench, gate, { approve: false, by: "bob" });
  assert.deepEqual([late.approved, late.by, late.already], [true, "ann", true]);
});

test("two questions at once are answered in either order", () => {
  for (const order of [["one", "two"], ["two", "one"]]) {
    const { bench, run, job } = running();
    ask(bench, job, "one");
    ask(bench, job, "two");
    pause(bench, job, forAnswer("one"), forAnswer("two"));
    decide(bench, `${run}/agent:${order[0]}`);
    const [again] = bench.schedule();
    assert.equal(again, job, "any answer wakes it");
    ask(bench, job, "one");
    pause(bench, job, forAnswer(order[1]!));
    checkIndexes(bench.state);
    decide(bench, `${run}/agent:${order[1]}`, { approve: false });
    bench.schedule();
    const answers = ["one", "two"].map((key) => ask(bench, job, key).decision!.approved);
    assert.deepEqual(answers, order[0] === "one" ? [true, false] : [false, true]);
    assertRecoverable(bench);
  }
});

test("an answer that comes while the job runs is there when it asks again", () => {
  const { bench, run, job } = running();
  ask(bench, job, "q");
  decide(bench, `${run}/agent:q`, { approve: false });
  assert.equal(job.status, "RUNNING", "an answer does nothing to the job");
  assert.equal(ask(bench, job, "q").decision!.approved, false);
  bench.finish(job);
  assert.equal(job.status, "COMPLETED");
});

test("a form, approvers and several approvals are those of a gate", () => {
  const { bench, run, job } = running();
  const form = [{
    name: "share", type: "number" as const, label: "", choices: [], required: true,
  }];
  ask(bench, job, "q", question("?", rules({ form, approvers: ["ann", "bob"], required: 2 })));
  const gate = `${run}/agent:q`;
  assert.match(why(() => decide(bench, gate, { by: "eve" })), /eve is none of its approvers/);
  assert.match(why(() => decide(bench, gate)), /field "share" is required/);
  const first = decide(bench, gate, { values: { share: "10" } });
  assert.deepEqual([first.missing, first.already], [1, false]);
  assert.equal(decide(bench, gate).already, true, "one person counts once");
  assert.equal(askInfo([...bench.state.asks.values()][0]!).votes.length, 1);
  bench.state = readSnapshot(writeSnapshot(bench.state));
  assert.deepEqual(decide(bench, gate, { by: "bob" }).values, { share: "10" });
  checkIndexes(bench.state);
});

test("silence closes a question at its deadline as its author wrote, and wakes the job", () => {
  for (const onTimeout of ["reject", "approve", "skip"] as const) {
    const { bench, run, job } = running();
    ask(bench, job, "q", question("?", rules({ onTimeout })));
    pause(bench, job, forAnswer("q"));
    bench.tick(59_999);
    assert.equal(job.status, "WAITING");
    bench.tick(1);
    assert.equal(job.status, "PENDING");
    checkIndexes(bench.state);
    bench.schedule();
    const { decision } = ask(bench, job, "q", question("?", rules({ onTimeout })));
    assert.equal(decision!.approved, onTimeout === "approve");
    assert.equal(decision!.skipped, onTimeout === "skip" ? true : undefined);
    assert.match(decision!.comment, /nobody answered within/);
    assert.equal(decide(bench, `${run}/agent:q`).already, true);
    assertRecoverable(bench);
  }
});

test("after a cancel, and after the job's end, answers are refused in words", () => {
  const { bench, run, job } = running();
  ask(bench, job, "q");
  pause(bench, job, forAnswer("q"));
  bench.execute({ type: "Cancel", run });
  assert.match(
    why(() => decide(bench, `${run}/agent:q`)),
    /^CONFLICT: Cannot answer gate .*agent:q: the job is CANCELLED and waits for nobody$/,
  );
  checkIndexes(bench.state);
  assert.deepEqual([...openGates(bench.state)], []);
  const { bench: other, run: ran, job: done } = running();
  ask(other, done, "q");
  other.finish(done);
  assert.match(why(() => decide(other, `${ran}/agent:q`)), /is COMPLETED and waits for nobody/);
});

test("after a retry what was refused is asked again, under another name; approvals stand", () => {
  const { bench, run, job } = running();
  for (const key of ["yes", "no", "open"]) ask(bench, job, key);
  decide(bench, `${run}/agent:yes`);
  decide(bench, `${run}/agent:no`, { approve: false });
  bench.fail(job, "not-found");
  bench.execute({ type: "Retry", run });
  bench.schedule();
  assert.equal(ask(bench, job, "yes").decision!.approved, true);
  assert.equal(ask(bench, job, "open").decision, undefined);
  const { gate } = ask(bench, job, "no", question("And now?"));
  assert.equal(gate, `${run}/agent:no#2`);
  assert.match(why(() => decide(bench, `${run}/agent:no#1`)), /asked again since, by attempt 2/);
  assert.equal(decide(bench, gate).already, false);
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("another question under the same key is refused, and both are named", () => {
  const { bench, job } = running();
  ask(bench, job, "q", question("Ship 1.4?"));
  assert.match(
    why(() => ask(bench, job, "q", question("Ship 1.5?"))),
    /^CONFLICT: Cannot ask "q": attempt 1 has asked "Ship 1\.4\?" .*, and now it is "Ship 1\.5/,
  );
  assert.match(
    why(() => ask(bench, job, "q", question("Ship 1.4?", { maxWaitMs: 1 }))),
    /and now it has another form or other rules/,
  );
});

test("a question that nobody could answer is refused", () => {
  const { bench, job } = running();
  const refused = (gate: Gate, key = "q"): string => why(() => ask(bench, job, key, gate));
  assert.match(refused(question("")), /INVALID: Cannot ask "q": the question is empty/);
  assert.match(refused(question("?", { maxWaitMs: 1e15 })), /INVALID.*more than/);
  assert.match(
    refused(question("?", rules({ approvers: ["ann"], required: 2 }))),
    /INVALID.*it needs 2 approvals, and has 1 approver/,
  );
  assert.match(refused(question("?"), ""), /the key is empty/);
  bench.memory = { ...NO_ROOM, open: bench.state.bytes };
  assert.match(refused(question("?")), /^OVERLOADED/);
  bench.memory = undefined;
  for (let n = 0; n < MAX_ASKS; n++) ask(bench, job, `q${n}`);
  assert.match(refused(question("?"), "more"), /^LIMIT: .*1000 questions/);
  checkIndexes(bench.state);
});

test("a name leads to the question that it means, whatever colons and numbers are in it", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const run = bench.submit([spec("a"), spec("a:b")]);
  const [a, ab] = bench.schedule();
  ask(bench, a!, "step:mail#1");
  ask(bench, a!, "x/y");
  ask(bench, ab!, "q");
  const answered = (gate: string): string => decide(bench, `${run}/${gate}`).by;
  assert.equal(answered("a:step:mail#1"), "ann");
  assert.equal(answered("a:x/y"), "ann");
  assert.equal(answered("a:b:q"), "ann");
  assert.match(why(() => answered("a:nothing")), /NOT_FOUND.*job "a" has no question "nothing"/);
  assert.match(why(() => answered("c:q")), /NOT_FOUND: Cannot find job "c:q"/);
  assert.match(why(() => answered("a:b")), /is RUNNING and waits for nobody/);
  ask(bench, ab!, "r");
  assert.match(
    why(() => answered("a:b")), /the job is RUNNING, and its own question is .*\/a:b:r/,
  );
});

test("questions and their answers are counted in bytes, and given back with the job's end", () => {
  const { bench, job } = running();
  const before = bench.state.bytes;
  ask(bench, job, "q", question("?".repeat(5000)));
  assert.ok(bench.state.bytes - before > 5000);
  bench.finish(job);
  assert.ok(bench.state.bytes - before < 1000, "nobody answers it any more");
});
