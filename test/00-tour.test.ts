/**
 * Lesson 00: what the tour claims, with real processes of the built command line, and real kills.
 *
 * A job here waits for a file, so that it is in its middle for as long as the test wants it to be.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, openCluster, until } from "./00-tour.cluster.ts";

/** Prints its process id, then waits for ink. */
const SCRIPT = [
  'echo "pid $$ attempt $TITAN_ATTEMPT"',
  'until [ -e "$INK" ]; do sleep 0.02; done',
  "echo done",
  'echo "$TITAN_ATTEMPT" >> "$INK.used"',
].join("; ");
const job = (cluster: Cluster, more = ""): string => `
name: tour
jobs:
  - id: wait
    run: ${SCRIPT}
    env: {INK: ${JSON.stringify(cluster.path("ink"))}}
${more}`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves to the process id of an attempt, once it runs and its first output has arrived. */
async function pidOf(cluster: Cluster, run: string, attempt: number): Promise<number> {
  await cluster.printed(`${run}/wait`, { attempt, text: `attempt ${attempt}` });
  const { stdout } = await cluster.titan("logs", `${run}/wait`, "--attempt", String(attempt));
  return Number(/pid (\d+)/.exec(stdout)![1]);
}

async function withCluster(work: (cluster: Cluster) => Promise<number[]>): Promise<void> {
  const cluster = await openCluster();
  let pids: number[] = [];
  try {
    pids = await work(cluster);
  } finally {
    await cluster.close();
  }
  // A worker's reaper needs a moment to notice; it is the one that ends what a kill -9 has left.
  await until(() => !pids.some(isAlive), `processes ${pids.join(", ")} to end`);
}

test("kill -9 of a worker in mid-job: the job starts again elsewhere, and its second attempt is " +
  "the one that counts", async () => {
  await withCluster(async (cluster) => {
    const master = await cluster.master();
    const amber = await cluster.worker("amber");
    const birch = await cluster.worker("birch");
    const run = await cluster.submit("tour.yaml", job(cluster));
    const watch = cluster.watch(run);
    const first = await pidOf(cluster, run, 1);
    assert.equal((await watch.seen("wait", "RUNNING", 1)).worker, "amber");

    await amber.kill9();
    assert.equal((await watch.seen("wait", "RUNNING", 2)).worker, "birch");
    const second = await pidOf(cluster, run, 2);
    await until(() => !isAlive(first), "the process of attempt 1 to follow its worker");
    cluster.touch("ink");
    assert.equal((await watch.seen("wait", "COMPLETED")).attempt, 2);
    assert.equal(
      (await cluster.titan("logs", `${run}/wait`)).stdout,
      `pid ${second} attempt 2\ndone\n`,
    );
    return [master.pid, birch.pid, first, second];
  });
});

test("kill -9 of the master in mid-job: the attempt goes on, and the next master takes its " +
  "report", async () => {
  await withCluster(async (cluster) => {
    const before = await cluster.master();
    const amber = await cluster.worker("amber");
    const run = await cluster.submit("tour.yaml", job(cluster));
    const watch = cluster.watch(run);
    const pid = await pidOf(cluster, run, 1);
    // A watch that has not yet reached its master when that dies gives up at once.
    await watch.seen("wait", "RUNNING");

    await before.kill9();
    assert.equal(
      (await cluster.titan("runs")).code,
      5,
      "a master that was named and is not there is exit code 5",
    );
    assert.equal(isAlive(pid), true, "the job does not depend on the master");
    cluster.touch("ink");
    await until(() => !isAlive(pid), "the job to end while nobody is there to be told");

    const after = await cluster.master();
    assert.deepEqual(after.ready["recovered"], { events: 3, tornBytes: 0, ignored: [], runs: 1 });
    assert.equal((await watch.seen("wait", "COMPLETED")).attempt, 1);
    assert.equal(
      (await cluster.titan("logs", `${run}/wait`)).stdout,
      `pid ${pid} attempt 1\ndone\n`,
    );
    return [after.pid, amber.pid, pid];
  });
});

test("a gate that was open when its master died opens after the restart, once", async () => {
  await withCluster(async (cluster) => {
    const before = await cluster.master();
    const amber = await cluster.worker("amber");
    cluster.touch("ink");
    const run = await cluster.submit(
      "tour.yaml",
      job(
        cluster,
        '    hitl_message: "Go on?"\n  - {id: next, depends_on: [wait], run: "echo next"}\n',
      ),
    );
    const watch = cluster.watch(run);
    await watch.seen("wait", "WAITING");

    await before.kill9();
    const after = await cluster.master();
    const gates = JSON.parse((await cluster.titan("gates", "--json")).stdout) as {
      id: string;
      message: string;
    }[];
    assert.deepEqual(
      gates.map(({ id, message }) => ({ id, message })),
      [{ id: `${run}/wait`, message: "Go on?" }],
    );
    assert.equal(
      watch.lines.some((line) => line.job === "next"),
      false,
      "nothing goes through a closed gate",
    );
    assert.equal((await cluster.titan("approve", `${run}/wait`)).code, 0);
    assert.equal(
      (await cluster.titan("reject", `${run}/wait`)).code,
      1,
      "the second answer does not count",
    );
    await watch.seen("next", "COMPLETED");
    assert.equal((await cluster.titan("log", "verify", "state")).code, 0);
    return [after.pid, amber.pid];
  });
});
