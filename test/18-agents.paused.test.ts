/** Chapter 18 with real processes: a budget runs out, titan run says so, a raise goes on. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startEmbeddedCluster, type EmbeddedCluster } from "#cluster";
import { connect } from "#sdk";
import { inProcess, tempFolder, type Ended } from "./cli.support.ts";

/** Five calls of a dollar each, and a line in a file for each that is made. */
const AGENT = `
import { appendFileSync } from "node:fs";
import { job } from "titan-orchestrator/job";
const answers = [];
for (let call = 1; call <= 5; call++) {
  answers.push(await job.step("ask", call, ({ usage }) => {
    appendFileSync(process.env.CALLS, call + "\\n");
    usage({ model: "m1", tokensIn: 10, tokensOut: 2, usdMicros: 1_000_000 });
    return call * call;
  }, { reserve: { tokens: 0, usdMicros: 1_000_000 } }));
}
await job.output(answers);
`;
const folder = tempFolder({ "agent.mjs": AGENT });
const calls = join(folder, "calls.txt");
const PIPELINE = `
name: research
agent: {budget: {usd: 3}}
jobs:
  - {id: plan, file: agent.mjs, env: {CALLS: ${JSON.stringify(calls)}}}
`;

let cluster: EmbeddedCluster;
before(async () => {
  cluster = await startEmbeddedCluster({ workers: 1, slots: 1 });
});
after(() => cluster.stop());

const address = (): string => `${cluster.master.host}:${cluster.master.port}`;
const titan = (...args: string[]): Promise<Ended> =>
  inProcess([...args, "--master", address()]);

test("a budget that runs out pauses the run, titan run ends with 3, and a raise pays for " +
  "nothing twice", async () => {
  const file = join(tempFolder({ "research.yaml": PIPELINE, "agent.mjs": AGENT }), "research.yaml");
  const paused = await titan("run", file);
  assert.equal(paused.code, 3, paused.stderr);
  const run = /^(research-\w+) PAUSED \(0\/1 done/m.exec(paused.stdout)?.[1] ?? "";
  assert.notEqual(run, "", paused.stdout);
  assert.match(paused.stderr, /3\.00 of 3\.00 USD are used, and 1\.00 more are wanted/);
  assert.match(paused.stderr, new RegExp(`goes on with titan agents.* budget ${run} --usd \\+N`));
  assert.equal(readFileSync(calls, "utf8"), "1\n2\n3\n");
  const { stdout: shown } = await titan("agents", run);
  assert.match(shown, new RegExp(`^${run} PAUSED`));
  assert.match(shown, /^ {2}usd {7}3\.00 of 3\.00$/m);
  const { stdout: steps } = await titan("agents", "steps", run);
  assert.equal(steps.match(/ask#\d/g)?.length, 3, "what it has found can be read");
  const client = await connect(address());
  assert.equal((await client.wait(run)).status, "PAUSED", "nor does a program wait for ever");
  assert.equal((await titan("agents", "budget", run, "--usd", "+2")).code, 0);
  assert.equal((await client.wait(run, { toEnd: true })).status, "COMPLETED");
  assert.deepEqual(await client.result(run, "plan"), [1, 4, 9, 16, 25]);
  assert.equal(readFileSync(calls, "utf8"), "1\n2\n3\n4\n5\n");
  const { agent, jobs } = await client.agent(run);
  assert.deepEqual(agent.used, { jobs: 1, steps: 5, tokens: 60, usdMicros: 5_000_000 });
  assert.deepEqual(jobs.map(({ steps, tokens, usdMicros }) => [steps, tokens, usdMicros]),
    [[5, 60, 5_000_000]], "the leaves are the sum");
  client.close();
});
