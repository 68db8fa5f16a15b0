/** `titan eventlog show`: a log as lines. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { nodeHost } from "#host";
import { Event, State, writeSnapshot } from "#core";
import { openLog } from "#log";
import { inProcess, lines, MAIN, tempFolder, titan, up } from "./cli.support.ts";

const PIPELINE = `name: seen
jobs:
  - id: first
    command: [node, -e, 'require("fs").writeFileSync(process.env.TITAN_OUTPUT, "[1,2]")']
    env: {PASSWORD: hunter2}
  - id: second
    needs: first
    command: [node, -e, 'process.exit(3)']
`;
const cwd = tempFolder({ "p.yaml": PIPELINE });
const cluster = await up(["--state", "state"], { cwd });
after(() => cluster.kill("SIGTERM"));
const { env } = cluster;
const run = ((await titan(["run", "p.yaml", "--json"], { cwd, env })).stdout.match(
  /"id":"([^"]+)"/,
) ?? [])[1]!;
await titan(["kv", "set", "greeting", "hunter2"], { cwd, env });

test("titan eventlog show prints events in words, beside a running master", async () => {
  const { code, stdout, stderr } = await titan(["eventlog", "show", "state"], { cwd });
  assert.deepEqual([code, stderr], [0, ""]);
  const rows = stdout.trimEnd().split("\n");
  rows.forEach((row, index) =>
    assert.match(
      row,
      new RegExp(`^${index + 1} +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3}  [A-Z]\\w+`),
    ),
  );
  const found = (type: string) =>
    rows.filter((row) => row.includes(`  ${type}`)).map((row) => row.replace(/^.{33}/, ""));
  assert.match(
    found("JobStarted")[0]!,
    new RegExp(`^JobStarted     ${run}/first#1 on w[12] \\(number \\d\\)$`),
  );
  assert.deepEqual(found("JobFailed"), [
    `JobFailed      ${run}/second#1: exit, for good: exited with code 3`,
  ]);
  assert.equal(stdout.includes("hunter2"), false);
});

test("titan eventlog show --json is an object per event, and has no environment " +
  "of a job", async () => {
  const { stdout } = await titan(["log", "show", "state", "--json"], { cwd });
  const events = lines(stdout);
  events.forEach(({ number, at, type }, index) =>
    assert.deepEqual([number, typeof at, typeof type], [index + 1, "number", "string"]),
  );
  const of = (type: string) => events.find((event) => event["type"] === type)!;
  assert.deepEqual(
    [of("RunSubmitted")["run"], of("RunSubmitted")["jobs"]],
    [run, ["first", "second"]],
  );
  assert.deepEqual([of("JobSucceeded")["job"], of("JobSucceeded")["result"]], ["first", [1, 2]]);
  assert.deepEqual([of("JobFailed")["job"], of("JobFailed")["retryAt"]], ["second", null]);
  assert.equal(stdout.includes("hunter2"), false);
});

test("titan eventlog show --run keeps to events about that run, else exits 1", async () => {
  const { stdout } = await titan(["log", "show", "state", "--run", run.slice(0, -1)], { cwd });
  assert.deepEqual(
    stdout
      .trimEnd()
      .split("\n")
      .map((row) => row.slice(33).split(" ")[0]),
    ["RunSubmitted", "JobStarted", "JobSucceeded", "JobStarted", "JobFailed"],
  );
  const none = await titan(["log", "show", "state", "--run", "other"], { cwd });
  assert.deepEqual([none.code, none.stdout], [1, ""]);
  assert.match(none.stderr, /Cannot show run "other": no event/);
});

test("titan eventlog show prints a store's commands and keys, and no values", async () => {
  const { code, stdout } = await titan(["log", "show", join("state", "store")], { cwd });
  assert.deepEqual(
    [code, /^\d+ +SET greeting \(1 value, 7 B\)$/m.test(stdout), stdout.includes("hunter2")],
    [0, true, false],
  );
  const json = lines(
    (await titan(["log", "show", join("state", "store"), "--json"], { cwd })).stdout,
  );
  assert.deepEqual(
    json.map(({ command, key, values }) => [command, key, values]),
    [["SET", "greeting", 1]],
  );
  const asked = await titan(["log", "show", join("state", "store"), "--run", "x"], { cwd });
  assert.deepEqual([asked.code, asked.stdout], [2, ""]);
});

test("titan eventlog refuses other actions with a suggestion, and flags " +
  "of another action", async () => {
  const unknown = await inProcess(["log", "shwo", cwd]);
  assert.deepEqual([unknown.code, /did you mean show\?/.test(unknown.stderr)], [2, true]);
  assert.equal((await inProcess(["log", "verify", cwd, "--run", "x"])).code, 2);
  assert.match(
    (await inProcess(["eventlog", "show", cwd])).stderr,
    /Cannot show the log in .*: there is none/,
  );
});

test("titan eventlog show knows the names that only a snapshot holds", async () => {
  const dir = tempFolder();
  const log = await openLog({ host: nodeHost(), dir });
  const state = new State();
  Object.assign(state, { nextWorker: 8 });
  const { apply } = await import("#core");
  apply(state, {
    type: "WorkerJoined",
    worker: 7,
    instance: "i",
    name: "old-hand",
    tags: [],
    slots: 1,
    at: 1,
    version: "",
      knows: [],
  });
  log.append(Event.encode({ type: "TimePassed", at: 1 }));
  await log.saveSnapshot(1, [...writeSnapshot(state)]);
  log.append(Event.encode({ type: "WorkerDrained", worker: 7, on: true, at: 2 }));
  await log.durable();
  await log.close();
  const { stdout, stderr } = await inProcess(["log", "show", dir]);
  assert.match(stdout, /^2 .* WorkerDrained  old-hand \(number 7\): nothing new$/m);
  assert.match(stderr, /a snapshot stands for what came before: everything up to 1/);
});

test("titan eventlog show of a long log ends quietly when its reader has read enough", async () => {
  const dir = tempFolder();
  const log = await openLog({ host: nodeHost(), dir, durability: "no" });
  for (let at = 0; at < 50_000; at++) log.append(Event.encode({ type: "TimePassed", at }));
  await log.durable();
  await log.close();
  const child = spawn(process.execPath, [MAIN, "log", "show", dir], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += String(text);
  });
  child.stdout.once("data", () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.deepEqual([code, stderr], [0, ""]);
});
