/** Chapter 13: the recipes of docs/scaling.md, and the one for Slurm with a real Slurm. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readPools, type PoolDefinition } from "#scaling";
import { eventually, tempFolder } from "./cli.support.ts";
import { noSlurm, startSlurm } from "./13-scaling.slurm.support.ts";

const page = readFileSync(new URL("../docs/scaling.md", import.meta.url), "utf8");

/** The text of the recipe below a heading. */
function recipe(heading: string): string {
  const part = page.split(/^### /m).find((text) => text.startsWith(`${heading}\n`));
  const [, yaml] = /^```yaml\n([\s\S]*?)^```$/m.exec(part ?? "") ?? [];
  return yaml ?? assert.fail(`docs/scaling.md has no recipe "${heading}"`);
}

/** The shell lines of a pool. */
function linesOf({ driver }: PoolDefinition): { up: string; down: string } {
  assert.ok(driver.type === "command");
  const [up, down] = [driver.up, driver.down].map((argv) => {
    assert.deepEqual(argv.slice(0, 2), ["sh", "-c"]);
    assert.equal(argv.length, 3);
    return argv[2]!;
  });
  return { up: up!, down: down! };
}

test("each recipe of docs/scaling.md is read as a pool, and its lines are lines of a shell", () => {
  const headings = [...page.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading!);
  assert.deepEqual(headings, ["Slurm", "SSH", "Docker", "Kubernetes"]);
  for (const heading of headings) {
    const pools = readPools(recipe(heading), { file: "docs/scaling.md" });
    assert.equal(pools.length, 1);
    for (const [what, text] of Object.entries(linesOf(pools[0]!))) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: text, encoding: "utf8" });
      assert.equal(status, 0, `${heading}, ${what}: ${stderr}`);
      assert.match(text, /\$TITAN_WORKER_NAME/, `${heading}, ${what}: found by its name`);
    }
  }
});

test("a Slurm starts and stops", { skip: noSlurm() }, async () => {
  const slurm = await startSlurm(join(tempFolder(), "a Slurm"));
  const env = { ...process.env, ...slurm.env };
  spawnSync("sbatch", ["--output=/dev/null", "--job-name=x", "--wrap", "exec sleep 60"], { env });
  await eventually("runs", () => slurm.queue()[0]?.state === "RUNNING");
  assert.equal(slurm.submitted(), 1);
  await slurm.stop();
});
