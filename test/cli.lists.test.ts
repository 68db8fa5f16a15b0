/** Lists and their flags, and what is said to whoever mistypes. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { nameTest } from "../src/cli/commands/runs.ts";
import { shellWord } from "../src/cli/text.ts";
import { inProcess, tempFolder, titan, up } from "./cli.support.ts";

const pipeline = (name: string, code: number): string =>
  `name: ${name}\njobs:\n  - {id: a, run: "exit ${code}"}\n`;

const cwd = tempFolder();
const cluster = await up(["--no-store", "--workers", "1", "--slots", "2"], { cwd });
after(() => cluster.kill("SIGTERM"));
const { env } = cluster;
const submitted: string[] = [];
for (const [name, code] of [
  ["nightly", 0],
  ["nightly-eu", 3],
  ["weekly", 3],
  ["nightly", 0],
] as const) {
  const { stdout } = await titan(["run", "-", "--json"], { cwd, env, input: pipeline(name, code) });
  submitted.push(/"id":"([^"]+)"/.exec(stdout)![1]!);
}
const [first, eu, weekly, last] = submitted;

async function found(...flags: string[]): Promise<string[]> {
  const { stdout, code } = await inProcess(["runs", "--json", ...flags], env);
  assert.equal(code, 0);
  const ids = (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);
  const text = (await inProcess(["runs", ...flags], env)).stdout;
  assert.deepEqual(
    [...text.matchAll(/^\S+-\w{4}(?= )/gm)].map(([id]) => id),
    ids,
    "the table is the same list",
  );
  return ids;
}

test("titan runs --status, --name, --since and --limit choose, the newest last", async () => {
  assert.deepEqual(await found(), submitted);
  assert.deepEqual(await found("--status", "failed"), [eu, weekly]);
  assert.deepEqual(await found("--status", "COMPLETED,Cancelled"), [first, last]);
  assert.deepEqual(await found("--name", "nightly"), [first, eu, last]);
  assert.deepEqual(await found("--name", "*ly"), [first, weekly, last]);
  assert.deepEqual(await found("--limit", "2"), [weekly, last]);
  assert.deepEqual(await found("--name", "nightly", "--status", "completed", "--limit", "1"), [
    last,
  ]);
  assert.deepEqual(
    [await found("--since", "1h"), await found("--since", "2999-01-01")],
    [submitted, []],
  );
});

test("titan runs says that no run fits, which is not that there are none", async () => {
  const { code, stderr } = await inProcess(["runs", "--name", "zz"], env);
  assert.deepEqual([code, stderr], [0, "titan: no run fits\n"]);
});

test("titan runs refuses values that mean nothing, with exit code 2", async () => {
  for (const [flags, said] of [
    [["--status", "faild"], /no run is ever "FAILD" \(did you mean FAILED\?\)/],
    [["--status", "xyzzy"], /there are RUNNING, COMPLETED/],
    [["--since", "yesterday"], /must be how long ago/],
    [["--limit", "0"], /must be a whole number from 1/],
  ] as const) {
    const { code, stderr } = await inProcess(["runs", ...flags], env);
    assert.deepEqual([code, said.test(stderr)], [2, true], stderr);
  }
});

test("nameTest() takes a beginning, or a pattern for the whole name", () => {
  const cases = [
    ["a.b", "a.bc", true],
    ["a.b", "axb", false],
    ["a.*", "a.b", true],
    ["a.*", "axb", false],
    ["?b", "ab", true],
    ["?b", "aab", false],
  ] as const;
  for (const [pattern, name, expected] of cases)
    assert.equal(nameTest(pattern)(name), expected, `${pattern} ${name}`);
});

test("titan workers --json has the tags of the table, GENERAL among them", async () => {
  const { stdout } = await inProcess(["workers", "--json"], env);
  assert.deepEqual(
    (JSON.parse(stdout) as { tags: string[] }[]).map(({ tags }) => tags),
    [["GENERAL"]],
  );
});

test("titan --mater x runs blames the flag, and not the word behind it", async () => {
  const { code, stderr } = await inProcess(["--mater", "x", "runs"], env);
  assert.deepEqual(
    [code, stderr],
    [2, "titan: Cannot run titan: unknown flag --mater (did you mean --master?)\n"],
  );
  assert.match(
    (await inProcess(["--workers", "4", "up"], env)).stderr,
    /unknown flag --workers before the command\n {2}flags of a command come behind it/,
  );
  assert.match(
    (await inProcess(["rums"], env)).stderr,
    /there is no such command \(did you mean runs\?\)/,
  );
});

test("titan version, --version, -V and -v say the same", async () => {
  const said = await Promise.all(
    [["version"], ["--version"], ["-V"], ["-v"]].map((args) => inProcess(args)),
  );
  assert.deepEqual(
    new Set(said.map(({ stdout }) => stdout.replace(/\d+\.\d+\.\d+/, "N"))),
    new Set(["titan N\n"]),
  );
  assert.equal(
    (JSON.parse((await inProcess(["version", "--json"])).stdout) as { node: string }).node,
    process.versions.node,
  );
});

test("titan run --embedded --state says how to look once its cluster is gone", async () => {
  const { code, stderr } = await titan(["run", "-", "--embedded", "--state", "my state"], {
    cwd,
    input: pipeline("kept", 3),
  });
  assert.equal(code, 3);
  const [, run] =
    /^ {2}all of it: titan up --state 'my state', then titan logs (kept-\w{4})\/a$/m.exec(stderr) ??
    [];
  assert.ok(run, stderr);
  const again = await up(["--state", "my state", "--workers", "0", "--no-store"], { cwd });
  assert.equal((await inProcess(["logs", `${run}/a`], again.env)).code, 0);
  await again.kill("SIGTERM");
});

test("shellWord() can be pasted into a shell", () => {
  assert.deepEqual(["a/b-1.yaml", "a b", "it's"].map(shellWord), [
    "a/b-1.yaml",
    "'a b'",
    "'it'\\''s'",
  ]);
});
