/** Programs that order and end workers: run in earnest, with all that can be wrong with them. */
import assert from "node:assert/strict";
import childProcess from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { runCommand } from "#process";
import { eventually, isAlive, tempFolder } from "./cli.support.ts";

const env = { PATH: process.env["PATH"]!, ANSWER: "42" };

function run(argv: readonly string[], { cwd = "/", timeoutMs = 20_000 } = {}) {
  return runCommand({ argv, cwd, env, timeoutMs }).ended;
}

const sh = (script: string, options = {}) => run(["sh", "-c", script], options);

test("runCommand() gives the first line that is not blank, and nothing of the rest", async () => {
  const said = { line: "4711", failure: undefined, isUnsure: false };
  assert.deepEqual(await sh("echo; echo ' 4711 '; echo more; echo noise >&2"), said);
  assert.deepEqual((await sh('printf "$ANSWER"')).line, "42");
  assert.deepEqual((await sh("exit 0")).line, "");
});

test("runCommand() clears its timers, which would keep our process from its end", async (t) => {
  const set = t.mock.method(globalThis, "setTimeout");
  const clear = t.mock.method(globalThis, "clearTimeout");
  await Promise.all([sh("exit 0"), sh("exit 3"), run(["./nobody"])]);
  const cleared = new Set(clear.mock.calls.map((call) => call.arguments[0]));
  const limits = set.mock.calls.filter((call) => call.arguments[1] === 20_000);
  assert.equal(limits.length, 3);
  for (const { result } of limits) assert.ok(cleared.has(result));
});

test("runCommand() says why a program failed, in its own last words", async () => {
  const failed = async (script: string) => (await sh(script)).failure;
  assert.equal(await failed("echo first >&2; echo 'no partition gpu' >&2; exit 3"),
    "no partition gpu (exit code 3)");
  assert.deepEqual(await sh("echo 4711; exit 3"), {
    line: "4711", failure: "exit code 3", isUnsure: true,
  });
  assert.deepEqual(await sh("kill -9 $$"), {
    line: "", failure: "ended by SIGKILL", isUnsure: true,
  });
});

test("runCommand() says that there is no such program, and that it started nothing", async () => {
  const cwd = tempFolder({ "no-program": "text" });
  const none = { line: "", failure: `there is no program ./nobody (looked for from ${cwd})` };
  assert.deepEqual(await run(["./nobody"], { cwd }), { ...none, isUnsure: false });
  const { failure } = await run(["./no-program"], { cwd });
  assert.equal(failure, "./no-program may not be run");
  const impossible = await run(["a\0b"]);
  assert.match(impossible.failure!, /null bytes/);
  assert.equal(impossible.isUnsure, false);
  assert.match((await run(["sh"], { cwd: join(cwd, "gone") })).failure!, /^there is no program sh/);
});

test("runCommand() kills a program that hangs, with its children", async () => {
  const cwd = tempFolder();
  const hangs = (timeoutMs: number) =>
    sh("sleep 60 & echo $! > child; sleep 60", { cwd, timeoutMs });
  let timeoutMs = 300;
  let end = await hangs(timeoutMs);
  // On a busy machine it may have been killed before it had begun: then it gets more time.
  while (!existsSync(join(cwd, "child")) && timeoutMs < 20_000) end = await hangs(timeoutMs *= 2);
  const failure = `it had not ended after ${timeoutMs / 1000} s, and was killed`;
  assert.deepEqual(end, { line: "", failure, isUnsure: true });
  const child = Number(readFileSync(join(cwd, "child"), "utf8"));
  await eventually("its child is gone", () => !isAlive(child));
});

test("runCommand() kills a program that prints without end, on either stream", async () => {
  for (const script of ["while :; do echo 4711; done", "while :; do echo no >&2; done"]) {
    const { failure, isUnsure } = await sh(script);
    assert.equal(failure, "it had printed more than 1048576 bytes, and was killed");
    assert.equal(isUnsure, true);
  }
});

test("runCommand() keeps 4,096 characters of a line, and lets a program print a " +
  "mebibyte", async () => {
  const long = (letter: string) => `head -c 5000 /dev/zero | tr '\\0' ${letter}`;
  assert.equal((await sh(long("x"))).line, "x".repeat(4096));
  const { failure } = await sh(`${long("y")} >&2; exit 3`);
  assert.equal(failure, `${"y".repeat(4096)} (exit code 3)`);
  const print = (bytes: number, then = "true") => sh(`head -c ${bytes} /dev/zero; exec ${then}`);
  assert.equal((await print(1_048_576)).failure, undefined);
  assert.equal((await print(1_048_577, "sleep 20")).failure,
    "it had printed more than 1048576 bytes, and was killed");
});

test("runCommand() outlives an input that nobody reads, and outputs that cannot be read",
  async (t) => {
    const argv = ["sh", "-c", "exec <&-; echo 4711; sleep 0.05; exit 3"];
    const spawn = t.mock.method(childProcess, "spawn");
    syncBuiltinESMExports();
    const input = "x".repeat(1_000_000);
    const { ended } = runCommand({ argv, cwd: "/", env, timeoutMs: 20_000, input });
    t.mock.restoreAll();
    syncBuiltinESMExports();
    const child = spawn.mock.calls[0]!.result!;
    await once(child.stdout!, "data");
    for (const stream of [child.stdout!, child.stderr!]) stream.destroy(new Error("torn down"));
    assert.deepEqual(await ended, { line: "4711", failure: "exit code 3", isUnsure: true });
  });

test("runCommand() waits a tenth of a second for what still holds the output", async (t) => {
  const { mock } = t.mock.method(globalThis, "setTimeout");
  const { line } = await sh("sleep 20 & echo $!");
  process.kill(Number(line), "SIGKILL");
  assert.deepEqual(mock.calls.map((call) => call.arguments[1]), [20_000, 100]);
});

test("runCommand() lets go on what a program that went well has started", async () => {
  const { line, failure } = await sh("sleep 20 & echo $!");
  assert.equal(failure, undefined);
  assert.equal(isAlive(Number(line)), true);
  process.kill(Number(line), "SIGKILL");
});
