/** `titan up --scale`, with real processes: it grows, loses a worker, shrinks, and says so. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startEmbeddedCluster } from "#cluster";
import { connect } from "#sdk";
import { eventually, inProcess, isAlive, tempFolder, up } from "./cli.support.ts";

/** Jobs that are over when a file is there. Each makes one of its own when it has begun. */
function waiting(count: number, go: string): string {
  const jobs = Array.from({ length: count }, (_, i) => {
    const begun = `: > "${go}-$TITAN_JOB"`;
    return `  - {id: j${i}, run: '${begun}; until [ -e "${go}" ]; do sleep 0.05; done'}\n`;
  });
  return `name: wide\njobs:\n${jobs.join("")}`;
}

test("a cluster grows to what the jobs need, replaces a worker that dies, and shrinks to " +
  "nobody", async () => {
  const cwd = tempFolder();
  const go = join(cwd, "go");
  // What a killed worker leaves is looked at here.
  const temp = tempFolder();
  const outer = process.env["TMPDIR"];
  process.env["TMPDIR"] = temp;
  writeFileSync(join(cwd, "wide.yaml"), waiting(6, go));
  const notes: string[] = [];
  const cluster = await startEmbeddedCluster({
    workers: 0,
    slots: 1,
    stateDir: join(cwd, "state"),
    scale: { min: 0, max: 3, upAfterMs: 100, idleMs: 500 },
    onNote: (text) => void notes.push(text),
  });
  try {
    const { host, port } = cluster.master;
    const env = { TITAN_MASTER: `${host}:${port}` };
    const client = await connect({ master: `${host}:${port}` });
    const names = async (): Promise<string> => {
      return (await client.workers()).filter((one) => one.running > 0 && one.connected)
        .map(({ name }) => name).sort().join();
    };
    const { stdout } = await inProcess(["run", join(cwd, "wide.yaml"), "--detach"], env);
    const run = stdout.trim();
    await eventually("three work", async () => await names() === "local-1,local-2,local-3");
    // A worker that is killed while it makes a job's pipes leaves the folder in which it made them.
    await eventually("three jobs have begun", () =>
      readdirSync(cwd).filter((name) => name.startsWith("go-")).length === 3);
    const pids = cluster.workerPids;
    assert.equal(pids.length, 3);
    process.kill(pids[0]!, "SIGKILL");
    await eventually("another one works", async () => (await names()).endsWith("local-4"));
    writeFileSync(go, "");
    await eventually("the run is over", async () => {
      return (await client.status(run)).run.status === "COMPLETED";
    });
    await eventually("nobody is left", () => cluster.workerPids.length === 0);
    assert.deepEqual(await client.workers(), [], "and each has said goodbye");
    assert.equal(pids.some(isAlive), false);
    client.close();
  } finally {
    writeFileSync(go, "");
    await cluster.stop();
    if (outer === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = outer;
  }
  assert.ok(!readdirSync(temp).some((name) => name.startsWith("titan-pipes-")));
  const said = notes.join("\n");
  assert.match(said, /^starts 3 workers: 6 jobs have waited \d+\.\ds/);
  assert.match(said, /^local-\d ended: process \d+, SIGKILL$/m);
  assert.match(said, /^retires local-4: idle for \d+\.\ds, and nothing waits for pool local$/m);
});

test("titan up --scale keeps MIN workers beside those of --workers, and leaves none", async () => {
  const cwd = tempFolder();
  const args = ["--no-store", "--workers", "1", "--scale", "1..2", "--slots", "1", "--tags", "GPU"];
  const cluster = await up(args, { cwd });
  assert.deepEqual(cluster.ready.scale, { min: 1, max: 2 });
  assert.deepEqual([cluster.ready.workers, cluster.ready.workerPids.length], [1, 2]);
  await eventually("both are registered", async () => {
    const { stdout } = await inProcess(["workers", "--json"], cluster.env);
    const rows = JSON.parse(stdout) as { name: string; tags: string[]; slots: number }[];
    assert.ok(rows.every(({ tags, slots }) => tags.includes("GPU") && slots === 1));
    return rows.map(({ name }) => name).sort().join() === "local-1,w1"
      || rows.map(({ name }) => name).sort().join() === "local-1,w2";
  });
  const { stderr, code } = await cluster.kill("SIGTERM");
  assert.equal(code, 0);
  assert.match(stderr, /^titan: starts 1 worker: pool local keeps at least 1 worker$/m);
  for (const pid of cluster.ready.workerPids) assert.equal(isAlive(pid), false);
  assert.equal(existsSync(join(cwd, ".titan", "lock")), false);
});

test("titan up --scale says what is wrong with a range", async () => {
  const said = async (text: string): Promise<string> => {
    const { code, stderr } = await inProcess(["up", "--scale", text]);
    assert.equal(code, 2, text);
    return stderr.split("\n")[0]!;
  };
  const cannot = (text: string, why: string): string => `titan: Cannot use --scale ${text}: ${why}`;
  assert.equal(await said("4..2"), cannot("4..2", "MAX is 2, below MIN, which is 4"));
  for (const text of ["x", "1...2", "1.5", "2..", "..2"]) {
    assert.equal(await said(text), cannot(text, "must be MIN..MAX, such as 0..4, or MAX alone"));
  }
  for (const text of ["0", "257", "0..999999"]) {
    assert.equal(await said(text), cannot(text, "MAX must be from 1 to 256"));
  }
});
