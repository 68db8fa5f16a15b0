/**
 * Three recorded scientific workflows on a whole cluster in virtual time: every edge respected, and
 * no schedule beats its bounds.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { bounds, brokenEdges, readWorkflow, scaledMs, toJobs } from "../scripts/replay/workflow.ts";
import { pipeline, SimCluster } from "./11-worker.cluster.ts";

const DATA = fileURLToPath(new URL("./data/workflows/", import.meta.url));
const SCALE = 0.01;
const WORKERS = 2;
const SLOTS = 8;

const files = readdirSync(DATA).filter((name) => name.endsWith(".json"));

test("there are three recorded workflows to replay", () => {
  assert.deepEqual(files.sort(), [
    "montage-2mass-015d.json",
    "rnaseq.json",
    "seismology-400p.json",
  ]);
});

for (const file of files) {
  test(`${file} runs to its end, children after parents, near its lower bound`, async () => {
    const workflow = readWorkflow(DATA + file);
    const runtimes = new Map(workflow.tasks.map((task) => [task.id, scaledMs(task, SCALE)]));
    const cluster = new SimCluster(7);
    await cluster.startMaster();
    let peak = 0;
    let runningNow = 0;
    for (let index = 1; index <= WORKERS; index++) {
      const { executor } = cluster.startWorker(`w${index}`, { slots: SLOTS });
      executor.script = (running) => {
        peak = Math.max(peak, ++runningNow);
        cluster.world.host(`w${index}`).timers.after(runtimes.get(running.request.job)!, () => {
          runningNow -= 1;
          running.end();
        });
      };
    }
    const client = await cluster.connect();
    const start = cluster.world.now;
    const { run } = await cluster.world.settle(
      client.submitSpec(pipeline(toJobs(workflow, SCALE))),
    );
    const ended = async (): Promise<void> => { for await (const _event of client.watch(run)); };
    await cluster.world.settle(ended());
    const makespanMs = cluster.world.now - start;
    const report = await cluster.world.settle(client.status(run));
    assert.equal(report.run.status, "COMPLETED");
    assert.equal(
      report.jobs.filter((job) => job.status === "COMPLETED").length,
      workflow.tasks.length,
    );
    assert.deepEqual(brokenEdges(report.jobs), []);
    assert.ok(peak <= WORKERS * SLOTS, `${peak} jobs at once on ${WORKERS * SLOTS} slots`);
    const { criticalPathMs, totalWorkMs } = bounds(workflow, {
      scale: SCALE,
      slots: WORKERS * SLOTS,
    });
    assert.ok(makespanMs >= Math.max(criticalPathMs, totalWorkMs), "nothing beats the bounds");
    // A greedy schedule is never worse than the sum of the two bounds (Graham 1966); 10 ms a hop is
    // for the network and the disk.
    const hops = 10 * workflow.tasks.length ** 0.5;
    assert.ok(
      makespanMs <= criticalPathMs + totalWorkMs + hops * 10,
      `${makespanMs} ms against ${criticalPathMs} + ${totalWorkMs}`,
    );
  });
}
