/**
 * Jobs that add jobs, ask and wait, with real processes: one worker with one slot, and a cluster
 * that is killed while a job waits for a person.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "#sdk";
import { eventually, ownPort, tempFolder, up } from "./cli.support.ts";

/** Each job adds one below it, down to a depth of 4. The deepest one asks a person. */
const AGENT = `
import { appendFileSync } from "node:fs";
import { job } from "titan-orchestrator/job";
const depth = Number(process.env.DEPTH);
const once = (what) => job.step(what, 0, () =>
  appendFileSync(process.env.CALLS, what + depth + "\\n"));
await once("plan");
if (depth === 4) {
  const [{ choice }, { approved }] = await Promise.all([
    job.ask("which", { message: "Which one?", choices: ["a", "b"] }),
    job.ask("sure", { message: "Sure?" }),
  ]);
  await once("told");
  await job.output([choice, approved]);
} else {
  const below = { id: "d" + (depth + 1), file: "agent.mjs" };
  const env = { DEPTH: String(depth + 1), CALLS: process.env.CALLS };
  const children = await job.spawn("below", [{ ...below, env }], { stage: "DOWN" });
  const [found] = await job.results(children);
  await job.output([depth, ...found]);
}
`;

test("a recursion of depth 4 completes with one worker and one slot, also when the cluster is " +
  "killed while its deepest job waits for a person", async () => {
  const cwd = tempFolder({ "agent.mjs": AGENT });
  const calls = join(cwd, "calls");
  const port = String(await ownPort());
  const args = [
    "--workers", "1", "--slots", "1", "--state", "state", "--no-store", "--port", port,
  ];
  let cluster = await up(args, { cwd });
  const { master } = cluster.ready;
  try {
    const client = await connect(master);
    const env = { DEPTH: "0", CALLS: calls };
    const jobs = [{ id: "d0", file: "agent.mjs", env }];
    const { run } = await client.submit({ name: "deep", jobs }, { projectDir: cwd });
    const statuses = async (): Promise<string> =>
      (await client.status(run)).jobs.map(({ status, paused }) => paused ?? status).join(" ");
    await eventually("all wait", async () =>
      await statuses() === "jobs jobs jobs jobs person");
    assert.equal((await client.workers())[0]!.running, 0, "no slot is taken");
    const [which, sure] = (await client.gates()).map(({ id }) => id).sort().reverse();
    assert.equal(which, `${run}/d4:which`);
    await client.decide(sure!, { approve: false, by: "ann" });
    client.close();
    await cluster.kill("SIGKILL");
    cluster = await up(args, { cwd });
    const other = await connect(master);
    const told = await other.decide(which!, {
      approve: true, by: "bob", values: { choice: "b" },
    });
    assert.equal(told.approved, true);
    const { status } = await other.wait(run);
    assert.equal(status, "COMPLETED");
    assert.deepEqual(await other.result(run, "d0"), [0, 1, 2, 3, "b", false]);
    const { jobs: ended } = await other.status(run);
    assert.equal(ended.length, 5, "each was added once");
    assert.ok(ended.every(({ failure }) => failure === undefined));
    other.close();
    const lines = readFileSync(calls, "utf8").trim().split("\n").sort();
    assert.deepEqual(lines, ["plan0", "plan1", "plan2", "plan3", "plan4", "told4"]);
  } finally {
    await cluster.kill("SIGTERM");
  }
});
