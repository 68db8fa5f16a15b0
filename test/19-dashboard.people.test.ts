/**
 * Lesson 19: what Approvals and Agents show, without a document: gates and their forms, the tree of
 * an agent run, its brakes and its stages.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { barOf, brakesOf, spanOf, stagesOf, treeOf } from "../src/dashboard/page/agents.ts";
import { gatesByDeadline, namesOfGate, valuesOf } from "../src/dashboard/page/gates.ts";
import type { Agent, AgentJob, Gate, GateField } from "../src/dashboard/page/rows.ts";

function agentJob(id: string, fields: Partial<AgentJob> = {}): AgentJob {
  return {
    run: "r", id, status: "COMPLETED", attempt: 1, stage: "", spawner: null, startedAt: null,
    endedAt: null, reason: "", steps: 1, tokens: 10, usd: 0.5, ...fields,
  };
}

const field = (name: string, fields: Partial<GateField> = {}): GateField =>
  ({ name, type: "text", label: "", choices: [], required: false, ...fields });

test("namesOfGate() finds run and job, after a retry and of a question, too", () => {
  assert.deepEqual(namesOfGate("nightly-1/train"), { run: "nightly-1", job: "train" });
  assert.deepEqual(namesOfGate("nightly-1/train#2"), { run: "nightly-1", job: "train" });
  assert.deepEqual(namesOfGate("nightly-1/train:may I"), { run: "nightly-1", job: "train" });
});

test("gatesByDeadline() puts first what closes first, and of those the older one", () => {
  const gate = (id: string, deadline: number, openedAt: number): Gate =>
    ({ id, deadline, openedAt }) as Gate;
  const sorted = gatesByDeadline([gate("c", 9, 1), gate("b", 5, 3), gate("a", 5, 2)]);
  assert.deepEqual(sorted.map(({ id }) => id), ["a", "b", "c"]);
});

test("valuesOf() sends what was typed, else the default, and leaves out what is empty", () => {
  const form = [field("a", { default: "x" }), field("b"), field("n", { type: "number" })];
  assert.deepEqual(valuesOf(form, { n: " 4.5 " }), { values: { a: "x", n: "4.5" } });
  assert.deepEqual(valuesOf(form, { a: "", b: "y" }), { values: { b: "y" } });
});

test("valuesOf() says which field is missing, or is no number", () => {
  const needed = [field("who", { label: "Who is it", required: true })];
  assert.equal(valuesOf(needed, {}).problem, "Who is it is needed for an approval");
  assert.equal(valuesOf(needed, { who: "  " }).problem, "Who is it is needed for an approval");
  const number = [field("share", { type: "number" })];
  assert.equal(valuesOf(number, { share: "ten" }).problem,
    'share is "ten", and must be a number');
});

test("treeOf() puts jobs below those that have added them, with the sums of all below", () => {
  const rows = treeOf([
    agentJob("plan"), agentJob("a", { spawner: "plan" }), agentJob("b", { spawner: "plan" }),
    agentJob("a1", { spawner: "a", tokens: 5 }), agentJob("other", { run: "s" }),
  ]);
  const shown = rows.map(({ job, depth, steps, tokens, below }) =>
    [job.id, depth, steps, tokens, below]);
  assert.deepEqual(shown, [
    ["plan", 0, 4, 35, 3], ["a", 1, 2, 15, 1], ["a1", 2, 1, 5, 0], ["b", 1, 1, 10, 0],
    ["other", 0, 1, 10, 0],
  ]);
  const top = rows.filter(({ depth }) => depth === 0);
  assert.equal(top.reduce((sum, { usd }) => sum + usd, 0), 2.5);
});

test("treeOf() ends with jobs that name one another, and with one that names nobody", () => {
  const lost = treeOf([agentJob("x", { spawner: "no" }), agentJob("y", { spawner: "y" })]);
  assert.deepEqual(lost.map(({ job, depth }) => [job.id, depth]), [["x", 0], ["y", 0]]);
  assert.deepEqual(treeOf([agentJob("p", { spawner: "q" }), agentJob("q", { spawner: "p" })]), []);
});

test("barOf() and spanOf() place a job in the time of all, until now while it goes on", () => {
  const done = agentJob("a", { startedAt: 1000, endedAt: 1500 });
  const open = agentJob("b", { startedAt: 1500 });
  assert.deepEqual(spanOf([done], 9000), { from: 1000, to: 1500 });
  const span = spanOf([done, open, agentJob("c")], 2000);
  assert.deepEqual(span, { from: 1000, to: 2000 });
  assert.deepEqual(barOf(done, span), { left: 0, width: 50 });
  assert.deepEqual(barOf(open, span), { left: 50, width: 50 });
  assert.equal(barOf(agentJob("c"), span), undefined);
  assert.equal(barOf(agentJob("d", { startedAt: 1000, endedAt: 1000 }), span)!.width, 0.4);
});

test("brakesOf() has a bar for each limit, with what is set aside, and none without", () => {
  const none = { jobs: null, depth: null, fanOut: null, steps: null, tokens: null, usd: null,
    deadlineAt: null };
  const agent = {
    id: "g", status: "RUNNING", startedAt: 0, endedAt: null, limits: none,
    used: { jobs: 3, steps: 7, tokens: 1200, usd: 0.5 }, reserved: { tokens: 300, usd: 0.25 },
    runs: 1, jobs: {}, questions: 0, reason: "",
  } as Agent;
  assert.deepEqual(brakesOf(agent, 0), []);
  const limits = { ...none, jobs: 5, tokens: 2000, usd: 1, deadlineAt: 600_000 };
  const shown = brakesOf({ ...agent, limits }, 120_000).map(({ name, text }) => [name, text]);
  assert.deepEqual(shown, [
    ["Jobs", "3 of 5"], ["Tokens", "1,200 of 2,000, 300 set aside"],
    ["Cost", "0.50 USD of 1.00 USD, 0.25 USD set aside"], ["Time", "8 min left of 10 min"],
  ]);
  const late = brakesOf({ ...agent, limits }, 700_000).at(-1)!;
  assert.deepEqual([late.text, late.used > late.limit], ["passed", true]);
});

test("stagesOf() sums up the stages in the order in which they began", () => {
  const stages = stagesOf([
    agentJob("s", { stage: "SYNTH", startedAt: 900, endedAt: 1000 }),
    agentJob("p", { stage: "PLAN", startedAt: 100, endedAt: 300 }),
    agentJob("i1", { stage: "ITER", startedAt: 300, endedAt: 700 }),
    agentJob("i2", { stage: "ITER", startedAt: 400, endedAt: 900 }), agentJob("none"),
  ], 2000);
  assert.deepEqual(stages, [
    { name: "PLAN", jobs: 1, ms: 200, tokens: 10, usd: 0.5 },
    { name: "ITER", jobs: 2, ms: 600, tokens: 20, usd: 1 },
    { name: "SYNTH", jobs: 1, ms: 100, tokens: 10, usd: 0.5 },
  ]);
});
