/** Chapter 18 as people see it: titan agents. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startEmbeddedCluster, type EmbeddedCluster } from "#cluster";
import { connect, type AgentJob, type Client } from "#sdk";
import { budgetLines, stageRows, treeLines } from "../src/cli/agent-view.ts";
import { inProcess, type Ended } from "./cli.support.ts";

let cluster: EmbeddedCluster;
let client: Client;

before(async () => {
  cluster = await startEmbeddedCluster({ workers: 0 });
  client = await connect({ master: `${cluster.master.host}:${cluster.master.port}` });
});
after(async () => {
  client.close();
  await cluster.stop();
});

function titan(...args: string[]): Promise<Ended> {
  return inProcess([...args, "--master", `${cluster.master.host}:${cluster.master.port}`]);
}

test("titan agents lists, shows, raises and cancels, by the beginning of a name", async () => {
  assert.match((await titan("agents")).stderr, /there are no agent runs; a pipeline with `agent`/);
  const { run } = await client.submit({
    name: "research", agent: { budget: { usd: 5, jobs: 9 } }, jobs: [{ id: "plan", run: "x" }],
  });
  const { stdout: table } = await titan("agents");
  assert.match(table, new RegExp(`^${run} +RUNNING +1/9 +0 +0 +0\\.00/5\\.00 +`, "m"));
  const { stdout: shown } = await titan("agents", run.slice(0, -2));
  assert.match(shown, new RegExp(`^${run} RUNNING after .* \\(0 of 1 job completed\\)$`, "m"));
  assert.match(shown, /^ {2}usd {7}0\.00 of 5\.00$/m);
  assert.match(shown, /^research +0\/1 +0 +0 +0\.00/m);
  assert.match(shown, new RegExp(`^${run}/plan PENDING: `, "m"));
  const raised = await titan("agents", "budget", run, "--usd", "+0.50", "--jobs", "10", "--json");
  const { limits } = JSON.parse(raised.stdout) as { limits: object };
  assert.deepEqual(limits, {
    jobs: 10, depth: null, fanOut: null, steps: null, tokens: null, usd: 5.5, deadlineAt: null,
  });
  const all = JSON.parse((await titan("agents", run, "--json")).stdout) as {
    used: object; tasks: { id: string; stage: string; spawner: null }[];
  };
  assert.deepEqual(all.used, { jobs: 1, steps: 0, tokens: 0, usd: 0 });
  assert.deepEqual(all.tasks.map(({ id, stage, spawner }) => [id, stage, spawner]),
    [["plan", "research", null]]);
  const { stdout: ended } = await titan("agents", "cancel", run);
  assert.equal(ended, `${run} is cancelling (1 run, 1 job)\n`);
  assert.equal((await titan("agents", "cancel", run)).stdout, `${run} had ended already\n`);
});

test("titan agents refuses in words what is no amount, no word and no agent run", async () => {
  const { run } = await client.submit({
    name: "other", agent: { budget: { usd: 5 } }, jobs: [{ id: "plan", run: "x" }],
  });
  const cases: [string[], number, RegExp][] = [
    [["budget", run, "--usd", "NaN"], 2, /Cannot use --usd NaN: it must be dollars, such as 5/],
    [["budget", run, "--usd", "1e400"], 2, /Cannot use --usd 1e400: it must be dollars/],
    [["budget", run, "--usd=-5"], 2, /Cannot use --usd -5: it must be dollars/],
    [["budget", run, "--usd", "0"], 2, /Cannot use --usd 0: it must be dollars/],
    [["budget", run, "--usd", "0.0000001"], 2, /to the millionth/],
    [["budget", run, "--jobs", "1.5"], 2, /Cannot use --jobs 1\.5: it must be a whole number/],
    [["budget", run, "--deadline", "soon"], 2, /must be a duration such as 90s/],
    [["budget", run, "--usd", "5"], 2, /its limit for usd is 5\.00 already/],
    [["budget", run, "--steps", "5"], 2, /it has no limit for steps/],
    [["budget", run], 2, /Cannot raise a budget: to what\?\n {2}titan agents budget/],
    [["--usd", "5"], 2, /Cannot raise a budget: of which agent run\?/],
    [["buget", run], 2, /there is no such word \(did you mean budget\?\)/],
    [["cancel", "x".repeat(300)], 1, /is 300 bytes|exceeds|more than/],
    [["nobody"], 1, /Cannot find agent run "nobody"\n {2}titan agents lists them/],
  ];
  for (const [args, code, words] of cases) {
    const ended = await titan("agents", ...args);
    assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, words);
  }
});

const row = (fields: Partial<AgentJob>): AgentJob => ({
  run: "r-1", index: 0, id: "a", status: "COMPLETED", attempt: 1, stage: "PLAN", reason: "",
  steps: 0, tokens: 0, usdMicros: 0, ...fields,
});

test("stages have the sums of their jobs, and the tree shows who has added whom", () => {
  const jobs = [
    row({ startedAt: 1000, endedAt: 3000, steps: 2, tokens: 10, usdMicros: 10_000 }),
    row({ index: 1, id: "b", stage: "ITER", spawner: 0, startedAt: 2000, status: "RUNNING" }),
    row({
      index: 2, id: "c", stage: "ITER", spawner: 1, startedAt: 2500, endedAt: 4000, steps: 1,
      tokens: 5, usdMicros: 2500,
    }),
    row({ index: 3, id: "d", stage: "SYNTH", status: "PENDING", reason: "waits for b" }),
  ];
  assert.deepEqual(stageRows(jobs, 9000), [
    ["PLAN", "1/1", "2", "10", "0.01", "2.0s"],
    ["ITER", "1/2", "1", "5", "0.0025", "7.0s"],
    ["SYNTH", "0/1", "0", "0", "0.00", ""],
  ]);
  const report = { agent: undefined as never, runs: [], jobs };
  assert.deepEqual(treeLines(report, 9000), [
    "r-1/a COMPLETED (2.0s, 2 steps, 0.01 USD)",
    "  r-1/b RUNNING (7.0s)",
    "    r-1/c COMPLETED (1.5s, 1 step, 0.0025 USD)",
    "r-1/d PENDING: waits for b",
  ]);
  const many = Array.from({ length: 150 }, (_, index) => row({ index, id: `j${index}` }));
  assert.equal(treeLines({ ...report, jobs: many }, 0).at(-1), "… and 50 more (--json has all)");
});

test("a budget shows what is set aside, and the limits that are no sums", () => {
  const agent = {
    used: { jobs: 1, steps: 2, tokens: 3, usdMicros: 4_900_000 },
    reserved: { tokens: 7, usdMicros: 100_000 },
    limits: { usdMicros: 5_000_000, depth: 3, fanOut: 10, deadlineAt: 0 },
  };
  const lines = budgetLines({ ...agent } as never);
  assert.deepEqual(lines.slice(0, 6), [
    "jobs      1", "steps     2", "tokens    3 (7 reserved)",
    "usd       4.90 of 5.00 (0.10 reserved)", "depth     at most 3",
    "fan-out   at most 10 for each job",
  ]);
  assert.match(lines[6]!, /^deadline {2}1970|^deadline {2}19/);
});
