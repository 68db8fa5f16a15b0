/**
 * What the jobs of a run share, from the command line: one folder on one machine, and nothing of it
 * afterwards.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { clusterId } from "../src/cluster/cluster-id.ts";
import { eventually, tempFolder, titan, up } from "./cli.support.ts";

/**
 * Each waits for the other's file, so they run at once, and with one slot a worker on two workers.
 */
const MEET = `name: meet
jobs:
  - id: a
    timeout: 20s
    run: 'echo >"$TITAN_SHARED/a"; until [ -e "$TITAN_SHARED/b" ]; do sleep 0.02; done'
  - id: b
    timeout: 20s
    run: 'echo >"$TITAN_SHARED/b"; until [ -e "$TITAN_SHARED/a" ]; do sleep 0.02; done'
`;

test("jobs on two workers of one titan up share TITAN_SHARED, and TMPDIR " +
  "is empty afterwards", async () => {
  const cwd = tempFolder({ "meet.yaml": MEET });
  const temp = tempFolder();
  const cluster = await up(["--workers", "2", "--slots", "1"], { cwd, env: { TMPDIR: temp } });
  const { code, stderr } = await titan(["run", "meet.yaml"], { cwd, env: cluster.env });
  assert.equal(code, 0, stderr);
  const shared = (): string[] => readdirSync(temp).filter((name) => name.startsWith("titan-"));
  await eventually("the run's folder is gone", () => shared().length === 0);
  assert.equal((await cluster.kill("SIGTERM")).code, 0);
  assert.deepEqual(readdirSync(temp), []);
});

test("clusterId() is one for all who ask, also of a moved folder; a copy has another", async () => {
  const state = join(tempFolder(), "state");
  const ids = await Promise.all(Array.from({ length: 8 }, () => clusterId(state)));
  assert.deepEqual([new Set(ids).size, readdirSync(state)], [1, ["cluster"]]);
  assert.match(ids[0]!, /^[0-9a-f]{24}$/);
  cpSync(state, `${state}-copy`, { recursive: true, preserveTimestamps: true });
  assert.notEqual(await clusterId(`${state}-copy`), ids[0]);
  renameSync(state, `${state}-moved`);
  assert.equal(await clusterId(`${state}-moved`), ids[0]);
});

test("clusterId() draws another when what was kept is damaged, and keeps that", async () => {
  const state = tempFolder();
  for (const damaged of ["", "x", "0".repeat(23), "../../escape", "\0".repeat(25)]) {
    writeFileSync(join(state, "cluster"), damaged);
    const id = await clusterId(state);
    assert.match(id, /^[0-9a-f]{24}$/);
    assert.equal(await clusterId(state), id);
    assert.deepEqual(readdirSync(state), ["cluster"]);
  }
});
