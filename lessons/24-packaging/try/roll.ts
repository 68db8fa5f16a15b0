/**
 * Unpack both bundles in an empty folder, install nothing, and roll the master in the middle of a
 * run.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBundles } from "../../../scripts/package/bundles.ts";

const home = mkdtempSync(join(tmpdir(), "titan-roll-"));
const started = new Set<ChildProcess>();
/** Nothing of this checkout: no loader, no conditions, no node_modules. */
const env = {
  PATH: process.env["PATH"],
  HOME: home,
  TMPDIR: home,
  TITAN_HOME: join(home, "state"),
};

const PIPELINE = `name: rolled
jobs:
  - { id: a, run: "sleep 0.5; echo $TITAN_ATTEMPT" }
  - { id: b, run: "sleep 1.5; echo $TITAN_ATTEMPT", depends_on: a }
  - { id: c, run: "echo $TITAN_ATTEMPT", depends_on: b }
`;

/** A program of a bundle; resolves with the first match in its output. */
function run(
  command: string,
  args: string[],
  until: RegExp,
): Promise<{ child: ChildProcess; found: string }> {
  const child = spawn(join(home, command), args, {
    cwd: home,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.add(child);
  let text = "";
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const found = until.exec(text)?.[1];
        if (found !== undefined) resolve({ child, found });
      });
    }
    child.on("close", () => {
      started.delete(child);
      reject(new Error(`${command} ended: ${text}`));
    });
  });
}

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null
    ? Promise.resolve()
    : new Promise((done) => child.once("exit", () => done()));

try {
  for (const { name, bytes } of await makeBundles()) {
    writeFileSync(join(home, name), bytes);
    execFileSync("tar", ["xzf", name], { cwd: home });
  }
  console.log("unpacked titan-master and titan-worker; installed nothing");
  const first = await run("titan-master/start_master.sh", ["--port", "0"], /master at (\S+),/);
  await run("titan-worker/start_worker.sh", [first.found, "--slots", "1"], /(offers 1 slot) to/);
  console.log("master and worker are up");
  writeFileSync(join(home, "p.yaml"), PIPELINE);
  const client = await run(
    "titan-master/bin/titan",
    ["run", "--master", first.found, "p.yaml"],
    /(a) +completed/,
  );
  console.log("job a has completed, b is running; the master is stopped");
  first.child.kill("SIGTERM");
  await ended(first.child);
  execFileSync("cp", ["-r", "titan-master", "titan-master-next"], { cwd: home });
  const port = first.found.split(":")[1]!;
  await run("titan-master-next/start_master.sh", ["--port", port], /(recovered 1 run) from/);
  console.log("the next master, from another folder, has recovered 1 run");
  await ended(client.child);
  const logs = execFileSync(join(home, "titan-master-next/bin/titan"),
    ["logs", "--master", first.found, "@latest"], { env, encoding: "utf8", cwd: home });
  console.log(`the run ended with exit code ${client.child.exitCode}; each job ran as attempt ` +
    [...new Set(logs.match(/\d+$/gm))].join(", "));
} finally {
  for (const child of started) child.kill("SIGTERM");
  for (const child of [...started]) await ended(child);
  rmSync(home, { recursive: true, force: true });
}
