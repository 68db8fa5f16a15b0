/** The command line in a pipe whose reader goes away. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { eventually, isAlive, start, tempFolder, up } from "./cli.support.ts";

const cwd = tempFolder({
  "p.yaml":
    'name: pipe\njobs:\n  - {id: a, command: [node, -e, "setTimeout(() => {}, 200)"]}\n' +
    '  - {id: b, needs: a, command: [node, -e, ""]}\n',
});
const cluster = await up(["--no-store", "--workers", "1", "--slots", "2"], { cwd });
after(() => cluster.kill("SIGTERM"));
const { env } = cluster;

/** What was said beside the usual. On a busy machine workers may take seconds to come. */
function othersOf(stderr: string): string[] {
  const usual = new RegExp("^titan: (?:uses the master at|starting a cluster for this run|" +
    "waiting: .*no worker is connected)");
  return stderr.split("\n").filter((line) => line !== "" && !usual.test(line));
}

test("titan run --json | head -1 ends quietly with exit code 0", async () => {
  const run = start(["run", "p.yaml", "--json"], { cwd, env });
  await run.until("stdout", /^\{.*\n/);
  run.child.stdout!.destroy();
  const { code, stderr } = await run.ended;
  assert.deepEqual([code, othersOf(stderr)], [0, []]);
});

test("titan watch --json | head -1 ends quietly with exit code 0", async () => {
  const submitted = start(["run", "p.yaml", "--detach"], { cwd, env });
  const id = (await submitted.ended).stdout.trim();
  const watch = start(["watch", id, "--json"], { cwd, env });
  await watch.until("stdout", /^\{.*\n/);
  watch.child.stdout!.destroy();
  const { code, stderr } = await watch.ended;
  assert.deepEqual([code, othersOf(stderr)], [0, []]);
});

test("titan run --embedded --json | head -1 takes its cluster down with it", async () => {
  const run = start(["run", "p.yaml", "--embedded", "--json"], { cwd });
  await run.until("stdout", /^\{.*\n/);
  const workers = childrenOf(run.pid);
  assert.ok(workers.length > 0);
  run.child.stdout!.destroy();
  const { code, stderr } = await run.ended;
  assert.deepEqual([code, othersOf(stderr)], [0, []]);
  await eventually("its workers are gone", () => !workers.some(isAlive));
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
}
