/** Chapter 18: agent runs as clients see them, over a connection and across a restart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal, Room } from "./10-master.support.ts";

const pipeline = (name: string, agent?: object) => ({
  name, ...(agent && { agent }), jobs: [{ id: "plan", run: "x" }, { id: "write", run: "y" }],
});

test("agents() and agent() tell the sums, the runs and the jobs of an agent run", async () => {
  await Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    assert.deepEqual(await client.agents(), []);
    const budget = { jobs: 5, usd: 2.5, deadline: "1h" };
    const { run } = await client.submit(pipeline("research_PLAN", { id: "r1", budget }));
    await client.submit(pipeline("research_EVAL", { id: "r1" }));
    await client.submit(pipeline("plain"));
    const [agent, ...others] = await client.agents();
    assert.deepEqual(others, []);
    const { id, status, limits, used, runs, counts, questions } = agent!;
    assert.deepEqual({ id, status, runs, questions }, {
      id: "r1", status: "RUNNING", runs: 2, questions: 0,
    });
    assert.equal(limits.usdMicros, 2_500_000);
    assert.equal(limits.deadlineAt, agent!.startedAt + 3_600_000);
    assert.deepEqual(used, { jobs: 4, steps: 0, tokens: 0, usdMicros: 0 });
    assert.equal(counts.reduce((sum, each) => sum + each, 0), 4);
    const report = await client.agent(run);
    assert.deepEqual(report.agent, agent);
    assert.deepEqual(report.runs.map(({ name }) => name), ["research_PLAN", "research_EVAL"]);
    assert.deepEqual(report.jobs.map(({ id: job, stage }) => `${stage}/${job}`),
      ["PLAN/plan", "PLAN/write", "EVAL/plan", "EVAL/write"]);
    await assert.rejects(client.agent("nobody"), refusal("NOT_FOUND", /agent run "nobody"/));
    client.close();
  });
});

test("a budget that was raised and an end that was asked for survive a power cut", async () => {
  await Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { run } = await client.submit(pipeline("research", { budget: { usd: 1, jobs: 2 } }));
    const changes = [{ what: "usd", amount: 5_000_000, add: true }] as const;
    const { group, limits } = await client.raiseBudget(run, [...changes], { by: "ann" });
    assert.deepEqual([group, limits.usdMicros, limits.jobs], [run, 6_000_000, 2]);
    await assert.rejects(client.submit(pipeline("more", { id: run })), refusal("BUDGET",
      /2 of 2 jobs are used, and 2 more are wanted \(titan agents budget research-\w+ --jobs \+N/));
    client.close();
    await room.restart();
    const again = await room.client();
    assert.equal((await again.agent(run)).agent.limits.usdMicros, 6_000_000);
    assert.deepEqual(await again.cancelAgent(run), { group: run, runs: 1, jobs: 2 });
    assert.equal((await again.agent(run)).agent.status, "CANCELLED");
    await assert.rejects(again.raiseBudget(run, [...changes]),
      refusal("CONFLICT", /all its runs have ended/));
    again.close();
  });
});
