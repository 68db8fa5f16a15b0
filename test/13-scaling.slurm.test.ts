/** Chapter 13: the recipes of docs/scaling.md, and the one for Slurm with a real Slurm. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect } from "#sdk";
import { eventually, inProcess, isAlive, MAIN, ownPort, start, tempFolder } from "./cli.support.ts";
import { linesOf, page, poolOf, recipe } from "./13-scaling.recipes.support.ts";
import { noSlurm, startSlurm, type Slurm } from "./13-scaling.slurm.support.ts";
import { noSshd, sshFolder, startSshd } from "./sshd.support.ts";

test("each recipe of docs/scaling.md is read as a pool, and its lines are lines of a shell", () => {
  const headings = [...page.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading!);
  assert.deepEqual(headings, ["Slurm", "SSH", "Docker", "Kubernetes"]);
  for (const heading of headings) {
    for (const [what, text] of Object.entries(linesOf(poolOf(heading)))) {
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
  const { up, down } = linesOf(poolOf("SSH"));
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

/** The recipe, in a hurry. Nothing but its numbers is another. */
function hastyPools(folder: string): string {
  const hasty = { max: "3", idle: "500ms", start_timeout: "1m" };
  const text = Object.entries(hasty).reduce((yaml, [key, value]) => {
    assert.match(yaml, new RegExp(`^    ${key}: `, "m"));
    return yaml.replace(new RegExp(`^    ${key}: .*`, "m"), `    ${key}: ${value}`);
  }, recipe("Slurm"));
  const file = join(folder, "pools.yaml");
  writeFileSync(file, text);
  return file;
}

/** Jobs that are over when a file is there. */
function waiting(count: number, go: string): string {
  const jobs = Array.from({ length: count }, (_, i) => {
    return `  - {id: j${i}, run: 'until [ -e "${go}" ]; do sleep 0.05; done'}\n`;
  });
  return `name: burst\njobs:\n${jobs.join("")}`;
}

async function slurmAndFolder(t: TestContext): Promise<{ slurm: Slurm; folder: string }> {
  const folder = join(tempFolder(), "of a user");
  mkdirSync(folder);
  const slurm = await startSlurm();
  t.after(() => slurm.stop());
  return { slurm, folder };
}

/** A master with the recipe's pool. */
async function startMaster(
  t: TestContext,
  { slurm, folder }: { slurm: Slurm; folder: string },
  { port = ownPort(), shims = "" }: { port?: number | Promise<number>; shims?: string } = {},
) {
  const at = ["--port", String(await port), "--state", "state"];
  const args = [...at, "--json", "--pools", hastyPools(folder)];
  const PATH = `${shims}:${titanFolder()}:${process.env["PATH"]}`;
  const env = { ...slurm.env, HOME: folder, PATH, TITAN_TOKEN: "s3cret" };
  const master = start(["master", ...args], { cwd: folder, env });
  t.after(() => master.kill("SIGKILL"));
  const [, address] = await master.until("stdout", /"master":"([^"]+)"/);
  return { ...master, at: address!, stderr: () => master.stderr };
}

async function submit(at: string, folder: string, jobs: number) {
  const client = await connect({ master: at, token: "s3cret" });
  const file = join(folder, "burst.yaml");
  writeFileSync(file, waiting(jobs, join(folder, "go")));
  const run = await inProcess(["run", "--detach", "--master", at, file], {
    TITAN_TOKEN: "s3cret",
  });
  assert.equal(run.code, 0, run.stderr);
  return { client, run: run.stdout.trim() };
}

/** `slurm-1 RUNNING,slurm-2 PENDING` */
function queueOf(slurm: Slurm): string {
  return slurm.queue().map(({ name, state }) => `${name} ${state}`).sort().join();
}

test("the Slurm recipe submits jobs for a burst, which run its jobs, and cancels them when they " +
  "are idle", { skip: noSlurm() }, async (t) => {
  const { slurm, folder } = await slurmAndFolder(t);
  const queue = () => queueOf(slurm);
  const master = await startMaster(t, { slurm, folder });
  const { client, run } = await submit(master.at, folder, 6);
  const three = "slurm-1 RUNNING,slurm-2 RUNNING,slurm-3 RUNNING";
  await eventually("three Slurm jobs run", () => queue() === three);
  await eventually("they have all jobs of the burst", async () => {
    const workers = await client.workers();
    return workers.map(({ name, running }) => `${name} ${running}`).sort().join() ===
      "slurm-1 2,slurm-2 2,slurm-3 2";
  });
  writeFileSync(join(folder, "go"), "");
  await eventually("the run is over", async () => {
    return (await client.status(run)).run.status === "COMPLETED";
  });
  await eventually("Slurm's queue is empty", () => queue() === "");
  await eventually("nobody is left", async () => (await client.workers()).length === 0);
  client.close();
  assert.equal(slurm.submitted(), 3);
  assert.match(master.stderr(), /starts 3 workers: 6 jobs have waited [1-9]\d*\.\ds/);
  assert.match(master.stderr(), /retires slurm-\d: idle for/);
});

test("the Slurm recipe neither forgets nor doubles a worker whose master was killed before Slurm " +
  "answered", { skip: noSlurm() }, async (t) => {
  const { slurm, folder } = await slurmAndFolder(t);
  const queue = () => queueOf(slurm);
  // It submits, and never says so.
  const shims = tempFolder();
  const dead = join(folder, "dead");
  const script = `/usr/bin/sbatch "$@" >&2; until [ -e "${dead}" ]; do sleep 0.05; done`;
  writeFileSync(join(shims, "sbatch"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  slurm.hold(true);
  slurm.submit("slurm-11"); // nobody here knows it
  const master = await startMaster(t, { slurm, folder }, { shims });
  const { client, run } = await submit(master.at, folder, 1);
  await eventually("a Slurm job waits", () => queue().startsWith("slurm-1 PENDING"));
  client.close();
  await master.kill("SIGKILL");
  writeFileSync(dead, "");
  const next = await startMaster(t, { slurm, folder }, { port: Number(master.at.split(":")[1]) });
  const again = await connect({ master: next.at, token: "s3cret" });
  slurm.hold(false);
  await eventually("the job runs there", async () => {
    const { jobs: [job] } = await again.status(run);
    return job?.status === "RUNNING" && queue() === "slurm-1 RUNNING,slurm-11 RUNNING";
  });
  writeFileSync(join(folder, "go"), "");
  await eventually("its Slurm job is gone", () => queue() === "slurm-11 RUNNING");
  await eventually("nobody is left", async () => (await again.workers()).length === 0);
  assert.equal((await again.status(run)).run.status, "COMPLETED");
  again.close();
  assert.equal(slurm.submitted(), 2);
});
