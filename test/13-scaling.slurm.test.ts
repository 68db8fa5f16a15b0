/** Chapter 13: the recipes of docs/scaling.md, and the one for Slurm with a real Slurm. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readPools, type PoolDefinition } from "#scaling";
import { eventually, inProcess, isAlive, MAIN, start, tempFolder } from "./cli.support.ts";
import { noSlurm, startSlurm } from "./13-scaling.slurm.support.ts";
import { noSshd, sshFolder, startSshd } from "./sshd.support.ts";

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

/** A folder for PATH with the `titan` of this checkout. */
function titanFolder(): string {
  const folder = tempFolder();
  const program = `exec '${process.execPath}' '${MAIN}' "$@"`;
  writeFileSync(join(folder, "titan"), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  return folder;
}

test("the SSH recipe starts a worker that outlives its session, and finds it by its name", {
  skip: noSshd,
}, async (t) => {
  const there = join(tempFolder(), "it is there");
  mkdirSync(there);
  const path = `PATH="${titanFolder()}:$PATH" TITAN_HOME="${join(there, "titan")}"`;
  // Where a session of this user begins, and what it finds, is not this test's business.
  const { port, key } = await startSshd(t, [
    `ForceCommand cd "${there}" && export ${path} && eval "$SSH_ORIGINAL_COMMAND"`,
  ]);
  const master = start(["master", "--port", "0", "--json", "--state", join(there, "state")], {
    cwd: there, env: { TITAN_TOKEN: "s3cret" },
  });
  t.after(() => master.kill("SIGTERM"));
  const [, at] = await master.until("stdout", /"master":"([^"]+)"/);
  const ssh = sshFolder([
    "-p", `${port}`, "-i", key, "-l", userInfo().username, "-o", "HostName=127.0.0.1",
    "-o", "LogLevel=ERROR",
  ]);
  const { up, down } = linesOf(readPools(recipe("SSH"))[0]!);
  const env = {
    PATH: `${ssh}:${process.env["PATH"]}`, TITAN_WORKER_NAME: "gpu1-1", TITAN_MASTER: at!,
    TITAN_SLOTS: "2", TITAN_TAGS: "GPU", TITAN_TOKEN_FILE: join(there, "token"), TITAN_HANDLE: "",
  };
  writeFileSync(env.TITAN_TOKEN_FILE, "s3cret\n");
  const shell = (text: string): string =>
    execFileSync("sh", ["-c", text], { env, cwd: there, encoding: "utf8" });
  const pid = Number(shell(up));
  t.after(() => { if (isAlive(pid)) process.kill(pid, "SIGKILL"); });
  await eventually("it has registered", async () => {
    const asked = ["workers", "--json", "--master", at!];
    const { stdout } = await inProcess(asked, { TITAN_TOKEN: "s3cret" });
    const rows = JSON.parse(stdout) as { name: string; slots: number; tags: string[] }[];
    return rows.some(({ name, slots, tags }) => {
      return name === "gpu1-1" && slots === 2 && tags.includes("GPU");
    });
  });
  assert.ok(isAlive(pid), "the handle is its process");
  assert.equal(shell(down), "");
  await eventually("it has ended", () => !isAlive(pid));
  assert.equal(shell(down), "", "and to end what is gone succeeds");
});

test("a Slurm starts and stops", { skip: noSlurm() }, async () => {
  const slurm = await startSlurm(join(tempFolder(), "a Slurm"));
  const env = { ...process.env, ...slurm.env };
  spawnSync("sbatch", ["--output=/dev/null", "--job-name=x", "--wrap", "exec sleep 60"], { env });
  await eventually("runs", () => slurm.queue()[0]?.state === "RUNNING");
  assert.equal(slurm.submitted(), 1);
  await slurm.stop();
});
