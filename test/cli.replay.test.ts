/** titan replay: a run's facts, and the run as it was, from a folder and from a master. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { parseCall } from "../src/cli/command.ts";
import { replay } from "../src/cli/commands/replay.ts";
import { Context } from "../src/cli/context.ts";
import { Bench, NO_ROOM, spec } from "./10-master.core.ts";
import { tempFolder } from "./cli.support.ts";
import { scene } from "./http.events.support.ts";

/** Runs the command in this process: what it says, or its error. */
async function titan(...argv: string[]): Promise<{ out: string[]; notes: string[] }> {
  const context = new Context({});
  const said = { out: [] as string[], notes: [] as string[] };
  context.out = (line) => void said.out.push(line);
  context.note = (line) => void said.notes.push(line);
  await replay.run(await parseCall(context, replay, argv));
  return said;
}

const START = 1_800_000_000_000;

/** A run of two jobs, one of which fails; it is forgotten when the next one has ended. */
async function folder(): Promise<{ dir: string; run: string; bench: Bench }> {
  const bench = new Bench();
  bench.now = START;
  bench.join({ instance: "w" });
  const run = bench.submit([spec("a"), spec("b", { dependsOn: [0] })], { name: "shop" });
  bench.now += 1000;
  const [a] = bench.schedule();
  bench.now += 2000;
  bench.fail(a!);
  bench.submit([spec("c")], { name: "other" });
  const [c] = bench.schedule();
  bench.now += 1000;
  bench.finish(c!);
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  const dir = tempFolder();
  mkdirSync(join(dir, "log"));
  const log = await openLog({ host: nodeHost(), dir: join(dir, "log"), durability: "no" });
  for (const body of bench.log) log.append(body);
  await log.close();
  return { dir, run, bench };
}

test("titan replay tells the facts of a run that was forgotten, from a folder", async () => {
  const { dir, run } = await folder();
  const { out } = await titan("shop", "--state", dir);
  const short = out.map((line) => line.replace(/^(\d+) +\S+ \S+ +/, "$1 "));
  assert.deepEqual(short.map((line) => line.split(" ").slice(0, 2).join(" ")), [
    "2 RunSubmitted", "3 JobStarted", "4 JobFailed", "8 RunsForgotten",
  ]);
  assert.equal(short[1], `3 JobStarted ${run}/a#1 on w1 (number 1)  [run ${run}: RUNNING: ` +
    "2 PENDING → RUNNING: 1 PENDING, 1 RUNNING; a: PENDING, ready → RUNNING, attempt 1, on w1]");
  assert.match(short[2]!, /b: PENDING, waits for others → SKIPPED/);
  const [first] = (await titan(run, "--state", dir, "--json")).out.map((line) => JSON.parse(line));
  assert.deepEqual([first.seq, first.at, first.type], [2, START, "RunSubmitted"]);
});

test("titan replay --at shows a run as it was: by a number, a time, a duration", async () => {
  const { dir, run } = await folder();
  const rows = async (at: string): Promise<string[]> => {
    const { out } = await titan(run, "--state", dir, "--at", at);
    return out.join("\n").split("\n").filter((line) => /^[ab] /.test(line))
      .map((line) => line.split(/ {2,}/).slice(0, 2).join(" "));
  };
  const begun = ["a RUNNING", "b PENDING"];
  assert.deepEqual(await rows("3"), begun);
  assert.deepEqual(await rows("1500ms"), begun);
  assert.deepEqual(await rows(new Date(START + 2999).toISOString()), begun);
  assert.deepEqual(await rows("3s"), ["a FAILED", "b SKIPPED"]);
  const { out } = await titan(run, "--state", dir, "--at", "1500ms", "--json");
  const found = JSON.parse(out[0]!);
  assert.deepEqual([found.seq, found.at, found.jobs[0].tookMs], [3, START + 1500, 500]);
});

test("titan replay says in words what it cannot show", async () => {
  const { dir, run } = await folder();
  const refused = (at: string, ...more: string[]): Promise<string> =>
    titan(run, "--state", dir, "--at", at, ...more).then(() => "", (error) => error.message);
  assert.equal(await refused("99"), "Cannot go back to fact 99: the log ends with fact 8");
  assert.match(await refused("1"), /: it was submitted later, with fact 2$/);
  assert.match(await refused("8"), /: the master had forgotten it with fact 8$/);
  assert.match(await refused("soon"), /^Cannot use --at soon: must be a duration since its start/);
  assert.match(await refused("1", "--master", "m:1"), /--state reads a folder/);
  await assert.rejects(titan(`${run}/a`), /name the run, and --at for a moment/);
  await assert.rejects(titan("x", "--state", tempFolder()), /there is no event log in it/);
  await assert.rejects(titan("x", "--state", dir), /no run in it begins so/);
});

test("titan replay asks a master that runs", async () => {
  const world = await scene();
  try {
    const { run } = await world.titan.submit({ name: "shop", jobs: [{ id: "a", run: "x" }] });
    const where = ["--master", `127.0.0.1:${world.master.port}`];
    const { out } = await titan("@latest", ...where);
    assert.match(out[0]!, new RegExp(`^1 .*RunSubmitted ${run} with 1 job`));
    assert.match((await titan(run, "--at", "0s", ...where)).out.join("\n"), /a +PENDING/);
  } finally {
    await world.end();
  }
});
