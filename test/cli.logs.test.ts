/** `titan logs`: one job and a whole run, tail, since, grep, timestamps, and following. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { inProcess, lines, start, tempFolder, titan, up } from "./cli.support.ts";

/** Jobs wait for files, so that tests decide what happens when. */
const WAITS =
  'const { existsSync } = require("fs"); ' +
  "const wait = (f) => new Promise((r) => { " +
  "const t = setInterval(() => { if (existsSync(f)) { clearInterval(t); r(); } }, 5); });";

const cwd = tempFolder();
const cluster = await up(["--no-store", "--workers", "1", "--slots", "4"], { cwd });
after(() => cluster.kill("SIGTERM"));
const { env } = cluster;

const node = (code: string): string =>
  JSON.stringify(["node", "-e", `${WAITS} (async () => { ${code} })()`]);
const mark = (name: string): string => JSON.stringify(join(cwd, name));

async function submit(name: string, jobs: Record<string, string>): Promise<string> {
  const yaml = `name: ${name}\njobs:\n${Object.entries(jobs)
    .map(([id, rest]) => `  - {id: ${id}, ${rest}}`)
    .join("\n")}\n`;
  const { stdout, stderr } = await titan(["run", "-", "--detach"], { cwd, env, input: yaml });
  assert.match(stdout, /^\S+\n$/, stderr);
  return stdout.trim();
}

const quiet = (...args: string[]) => inProcess(args, env);

const done = await submit("done", {
  one: `command: ${node('console.log("one 1"); console.error("one 2")')}`,
  "second-job":
    `needs: one, command: ${node('process.stdout.write("\\u001b[31mred\\u001b[0m\\nno end")')}`,
  late: `needs: second-job, command: ${node('console.log("late 1"); console.log("late 2")')}`,
});
await titan(["watch", done], { cwd, env });

test("titan logs RUN prints every job's lines behind its name, aligned, in the " +
  "order of time", async () => {
  const { code, stdout, stderr } = await quiet("logs", done);
  const [first, second, ...rest] = stdout.split("\n");
  assert.deepEqual(
    [code, stderr, [first, second].sort()],
    [0, "", ["one        | one 1", "one        | one 2"]],
  );
  const escape = "\u001b[31mred\u001b[0m";
  assert.deepEqual(rest, [
    `second-job | ${escape}`,
    "second-job | no end",
    "late       | late 1",
    "late       | late 2",
    "",
  ]);
});

test("titan logs RUN --json is a line of JSON for each, with its job and attempt", async () => {
  const found = lines((await quiet("logs", done, "--json")).stdout);
  assert.deepEqual(found.at(-1), {
    type: "log",
    run: done,
    job: "late",
    attempt: 1,
    stream: "stdout",
    at: found.at(-1)!["at"],
    data: "late 2\n",
  });
  assert.equal(found.filter(({ stream }) => stream === "stderr").length, 1);
});

test("titan logs --tail, --grep and --since choose lines of a run and of a job", async () => {
  assert.equal(
    (await quiet("logs", done, "--tail", "2")).stdout,
    "late       | late 1\nlate       | late 2\n",
  );
  assert.equal((await quiet("logs", `${done}/late`, "--tail", "1")).stdout, "late 2\n");
  assert.equal((await quiet("logs", done, "--stream", "stderr")).stdout, "one        | one 2\n");
  const one = await quiet("logs", `${done}/one`, "--stream", "stdout");
  assert.deepEqual([one.stdout, one.stderr], ["one 1\n", ""]);
  assert.equal(
    (await quiet("logs", done, "--grep", "^(red|no)", "--tail", "5")).stdout.split("\n").length,
    3,
  );
  assert.equal(
    (await quiet("logs", done, "--since", "1h")).stdout,
    (await quiet("logs", done)).stdout,
  );
  assert.equal((await quiet("logs", done, "--since", "2999-01-01")).stdout, "");
  assert.equal(
    (await quiet("logs", done, "--since", "2020-01-01T00:00", "--grep", "late 1")).stdout,
    "late       | late 1\n",
  );
});

test("titan logs --timestamps puts the time in front, in a form that --since takes", async () => {
  const { stdout } = await quiet("logs", `${done}/late`, "--timestamps");
  const [, time] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) late 1\n/.exec(stdout) ?? [];
  assert.ok(time, stdout);
  assert.match((await quiet("logs", `${done}/late`, "--since", time)).stdout, /^late 1\n/);
});

test("titan logs refuses a bad pattern, time, or number with exit code 2", async () => {
  for (const [flags, said] of [
    [["--grep", "("], /Cannot use --grep \(: Unterminated group/],
    [["--since", "yesterday"], /Cannot use --since yesterday: must be how long ago/],
    [["--since", "2026-99-99"], /Cannot use --since 2026-99-99/],
    [["--stream", "both"], /Cannot use --stream both: there are stdout and stderr/],
    [["--tail", "-1"], /--tail needs a value/],
    [["--tail", "many"], /Cannot use --tail many: must be a whole number/],
    [["--attempt", "1", "-f"], /Cannot follow attempts of a whole run/],
    [["--all"], /Cannot use --all: it is for RUN\/JOB/],
  ] as const) {
    const { code, stderr } = await quiet("logs", done, ...flags);
    assert.deepEqual([code, said.test(stderr)], [2, true], stderr);
  }
});

test("titan logs RUN -f follows jobs that begin later, and the attempts of a retry, to the run's " +
  "end", async () => {
  const run = await submit("follow", {
    first:
      `command: ${node(`console.log("begun"); await wait(${mark("go")}); console.log("goes on")`)}`,
    flaky: `needs: first, retries: 1, command: ${node(
      'console.log("try " + process.env.TITAN_ATTEMPT); ' +
        'process.exit(process.env.TITAN_ATTEMPT === "2" ? 0 : 1)',
    )}`,
  });
  const following = start(["logs", run, "-f"], { cwd, env });
  await following.until("stdout", /^first \| begun$/m);
  writeFileSync(join(cwd, "go"), "");
  const { code, stdout } = await following.ended;
  assert.deepEqual(
    [code, stdout.split("\n")],
    [0, ["first | begun", "first | goes on", "flaky | try 1", "flaky | try 2", ""]],
  );
  const one = await quiet("logs", `${run}/flaky`);
  assert.deepEqual([one.stdout, one.stderr], ["try 2\n", ""]);
  const all = await quiet("logs", `${run}/flaky`, "--all");
  const heads = [1, 2].map((n) => `titan: attempt ${n} of ${run}/flaky\n`).join("");
  assert.deepEqual([all.stdout, all.stderr], ["try 1\ntry 2\n", heads]);
  assert.equal((await quiet("logs", `${run}/flaky`, "--all", "--grep", "try")).stdout, all.stdout);
});

test("titan logs RUN/JOB -f goes on with the attempts that come, until the job ends", async () => {
  const script = (keys: string) =>
    `run: "echo $TITAN_ATTEMPT; until [ -e '${join(cwd, "on")}' ]; do sleep 0.02; done; ` +
    `[ $TITAN_ATTEMPT = 2 ]", ${keys}`;
  const run = await submit("again", {
    j: script("retries: 1"), k: script("retry: {max_attempts: 2, delay: 1h, jitter: 0}"),
  });
  const follow = (job: string) => start(["logs", `${run}/${job}`, "-f"], { cwd, env });
  const [again, never] = [follow("j"), follow("k")];
  await Promise.all([again.until("stdout", /^1\n/), never.until("stdout", /^1\n/)]);
  writeFileSync(join(cwd, "on"), "");
  const { code, stdout, stderr } = await again.ended;
  assert.deepEqual([code, stdout, stderr], [0, "1\n2\n", `titan: attempt 2 of ${run}/j\n`]);
  // It waits for an attempt that never comes.
  await quiet("cancel", `${run}/k`);
  assert.equal((await never.ended).stdout, "1\n");
});

test("titan logs -f --tail shows the end of what was, then all that comes, and a " +
  "cut line once", async () => {
  const run = await submit("tail", {
    j: `command: ${node(
      'console.log("1\\n2\\n3"); process.stdout.write("ha"); ' +
        `require("fs").writeFileSync(${mark("printed")}, ""); ` +
        `await wait(${mark("more")}); console.log("lf\\n4")`,
    )}`,
  });
  const following = start(["logs", `${run}/j`, "-f", "--tail", "2"], { cwd, env });
  await following.until("stdout", /^2\n3\n/);
  writeFileSync(join(cwd, "more"), "");
  assert.equal((await following.ended).stdout, "2\n3\nhalf\n4\n");
  assert.equal((await quiet("logs", `${run}/j`, "--tail", "2")).stdout, "half\n4\n");
});

test("titan logs RUN/JOB of a job that has not begun says so, why, and that -f waits", async () => {
  const go = mark("not-begun.go");
  const run = await submit("early", {
    first: `command: ${node(`await wait(${go})`)}`,
    next: `needs: first, command: ${node('console.log("now")')}`,
  });
  const { code, stdout, stderr } = await quiet("logs", `${run}/next`);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, /^titan: early-\w+\/next has not begun: waits for first \([A-Z]+\)\n$/);
  const follow = start(["logs", `${run}/next`, "-f"], { cwd, env });
  await follow.until("stderr", /has not begun.*; waiting for it\n/);
  writeFileSync(join(cwd, "not-begun.go"), "");
  assert.equal((await follow.ended).stdout, "now\n");
});

test("titan logs --json of a large text is text, though chunks end " +
  "inside its characters", async () => {
  const run = await submit("large", {
    j: `command: ${node('process.stdout.write("aé".repeat(200000))')}`,
  });
  await titan(["watch", run], { cwd, env });
  const found = lines((await quiet("logs", `${run}/j`, "--json")).stdout);
  assert.ok(found.length > 1);
  assert.equal(found.map(({ data }) => data).join(""), "aé".repeat(200_000));
});

test("@latest names the run that was submitted last, wherever a run is named", async () => {
  const run = await submit("newest", { j: `command: ${node('console.log("me")')}` });
  await titan(["watch", "@latest"], { cwd, env });
  assert.equal((await quiet("logs", "@latest/j")).stdout, "me\n");
  assert.equal((await quiet("logs", "@latest")).stdout, "j | me\n");
  assert.match((await quiet("status", "@latest")).stdout, new RegExp(`^${run} `));
  assert.equal(JSON.parse((await quiet("cancel", "@latest", "--json")).stdout).run, run);
});
