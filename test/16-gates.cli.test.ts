/**
 * Chapter 16 as people see it: an inbox, an answer, and a master that dies between the two.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  eventually, inProcess, ownPort, start, tempFolder, type Ended, type Started,
} from "./cli.support.ts";

const folder = tempFolder({
  "release.yaml": `name: release
jobs:
  - id: build
    run: 'printf "{\\"version\\":\\"1.4\\"}" > "$TITAN_OUTPUT"'
    hitl:
      message: "Ship it?"
      form:
        - {name: share, type: number, default: 10, label: Percent of users}
        - {name: region, choices: [eu, us], required: true}
      approvers: [ada, bob, eve@desk]
      required: 2
      self_approval: false
  - {id: ship, run: 'cp "$TITAN_INPUTS" "$TITAN_OUTPUT"', depends_on: build}
`,
});
let master: Started;
let port = 0;
const at = (): string[] => ["--master", `127.0.0.1:${port}`];

async function startMaster(): Promise<void> {
  port ||= await ownPort();
  const args = ["--workers", "1", "--port", String(port), "--state", "state", "--json"];
  master = start(["up", "--no-store", ...args], { cwd: folder });
  await master.until("stdout", /\{.*"type":"ready".*\}/);
}

before(startMaster);
after(() => master.kill("SIGTERM"));

const say = (...args: string[]): Promise<Ended> => inProcess([...args, ...at()]);

/** Submits, and waits until the gate is open. */
async function open(): Promise<string> {
  const args = ["run", `${folder}/release.yaml`, "--detach", ...at()];
  const { stdout } = await inProcess(args, { ...process.env, USER: "eve" });
  const run = stdout.trim();
  await eventually("the gate is open", async () =>
    (await say("gates", "--json")).stdout.includes(run));
  return run;
}

test("a gate says what it is about, counts its approvals through kill -9, and hands its " +
  "answer on", async () => {
  const run = await open();
  const { stdout: table } = await say("gates");
  assert.match(table, new RegExp(`${run}/build +\\d+\\.\\ds +1d 23h +0 of 2 +Ship it\\?`));
  const { stdout: shown, stderr } = await say("gates", run);
  assert.match(shown, /^question +Ship it\?$/m);
  assert.match(shown, /^closes +.*, and then it is rejected$/m);
  assert.match(shown, /^approvers +ada, bob, eve@desk$/m);
  assert.match(shown, /^not by +eve@\S+, who submitted it$/m);
  assert.match(shown, /^field +share \(number, default 10\): Percent of users$/m);
  assert.match(shown, /^field +region \(eu \| us, required\)$/m);
  assert.match(shown, /^about +\{\n +"version": "1\.4"\n +\}$/m);
  assert.match(stderr, /titan approve \S+ --field share=NUMBER --field region=CHOICE/);

  // As for approve, the beginning of the run's id is enough.
  assert.equal((await say("gates", run.slice(0, -1))).stdout, shown);
  assert.equal((await say("gates", `${run.slice(0, -1)}/build`)).stdout, shown);

  const approve = (...args: string[]): Promise<Ended> => say("approve", run, ...args);
  const none = await approve("--as", "mallory", "--field", "region=eu");
  assert.equal(none.code, 1);
  assert.match(none.stderr, /mallory is none of its approvers \(ada, bob, eve@desk\)/);
  assert.match((await approve("--as", "ada")).stderr, /field "region" is required/);
  assert.match((await approve("--as", "ada", "--field", "region=mars")).stderr, /one of eu, us/);
  assert.match((await approve("--field", "region")).stderr, /write NAME=VALUE/);
  assert.match((await say("approve", run, "--as", "eve@desk", "--field", "region=eu")).stderr,
    /eve@desk submitted the run/);
  const first = await approve("--as", "ada", "--field", "region=eu", "--field", "share=5");
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /approved by ada at .* \(1 more approval to go\)/);
  assert.match((await say("status", run)).stdout, /waits for 1 more approval: Ship it\?/);

  await master.kill("SIGKILL");
  await startMaster();
  const [gate] = JSON.parse((await say("gates", "--json")).stdout) as {
    id: string; approvals: { by: string; fields: object }[]; result: unknown; required: number;
  }[];
  assert.deepEqual([gate!.id, gate!.required], [`${run}/build`, 2]);
  assert.deepEqual(gate!.result, { version: "1.4" });
  assert.deepEqual(gate!.approvals.map(({ by, fields }) => [by, fields]), [
    ["ada", { region: "eu", share: "5" }],
  ]);
  const second = await approve("--as", "bob", "--comment", "go", "--json");
  const decision = JSON.parse(second.stdout) as Record<string, unknown>;
  assert.deepEqual([decision["approved"], decision["missing"], decision["fields"]], [
    true, 0, { region: "eu", share: "5" },
  ]);
  await say("watch", run);
  const { stdout } = await say("status", `${run}/ship`, "--json");
  const { job } = JSON.parse(stdout) as { job: { result: Record<string, unknown> } };
  assert.deepEqual(job.result, {
    build: { version: "1.4" },
    "build:gate": {
      outcome: "approved", by: "bob", comment: "go", at: decision["at"],
      fields: { region: "eu", share: 5 },
    },
  });
  assert.match((await say("status", `${run}/build`)).stdout, /approved by bob: go \(.*share=5/);
});

test("one rejection closes a gate of two, and a later answer is told what it was", async () => {
  const run = await open();
  assert.equal((await say("reject", run, "--as", "bob", "--comment", "no")).code, 0);
  const late = await say("approve", `${run}/build`, "--as", "ada", "--field", "region=eu");
  assert.equal(late.code, 1);
  assert.match(late.stdout, /had been rejected by bob at .*: no/);
  assert.match((await say("gates", run)).stderr, /Cannot show gate .*: no such gate is open/);
  const again = await say("approve", run, "--as", "ada");
  assert.equal(again.code, 1);
  assert.match(again.stderr, /none of its gates is open; \S+\/build had been rejected by bob at /);
  const watched = await say("watch", run);
  assert.equal(watched.code, 3);
});
