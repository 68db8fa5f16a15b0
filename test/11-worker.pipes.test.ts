/** Lesson 11: what comes through the pipes of a child at its end, at the very millisecond. */
import assert from "node:assert/strict";
import childProcess, { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import type { Exit } from "#host";
import { nodeProcesses, startNodeProcess, type NodeEnd, type NodeProcess } from "#process";
import { callProgram } from "../src/exec/call-thread.ts";
import { OutputChild } from "../src/process/child.ts";
import { openOutputPipes, stockedPipes } from "../src/process/pipes.ts";
import "./leaks.support.ts";
import { isAlive, PATH } from "./processes.support.ts";

const DRAIN_QUIET_MS = 100;
const LAST_OUTPUT_MS = 200;

const folder = mkdtempSync(join(tmpdir(), "titan-pipes-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = existsSync("/proc/self/fd") ? false : "only on Linux: a daemon reads a named pipe";

/** Nothing here takes long; on a busy machine everything does. */
const PATIENCE_MS = 30_000;

/** Waits for what a child does, while the timers are the test's. */
async function turns(check: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!check()) {
    if (performance.now() > end) assert.fail(`not so after ${PATIENCE_MS} ms: ${String(check)}`);
    await new Promise((next) => setImmediate(next));
  }
}

/** Turns enough for all that is due in this process; nothing else is waited for. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
}

/** A child that is a shell, and what has come from it. */
function shell(script: string) {
  const seen = { text: "", exits: 0 };
  const child = new OutputChild(
    { file: "/bin/sh", args: ["-c", script, folder], env: { PATH }, stdin: "ignore" },
    {
      onOutput: (_stream, bytes) => { seen.text += String(bytes); },
      onExit: () => void seen.exits++,
    },
  );
  return { child, seen };
}

/** Daemons that echo what is written into `file`, and hold the pipes of whoever starts them. */
let daemons = 0;
function daemon(): { script: string; file: number } {
  const [path, ready] = [join(folder, `in${++daemons}`), join(folder, `ready${daemons}`)];
  execFileSync("mkfifo", [path]);
  // Reading and writing: to open it waits for nobody.
  const file = openSync(path, "r+");
  const echo = `: >"$1"; while read -r line; do echo "$line"; done`;
  const script = `setsid sh -c '${echo}' sh '${ready}' <'${path}' &
    until [ -e '${ready}' ]; do :; done`;
  return { script, file };
}

test("a child keeps nobody alive, and ends with all of its group", { skip }, async () => {
  const before = process.getActiveResourcesInfo().sort();
  let text = "";
  let exits = 0;
  const args = ["-c", "sleep 1000 & echo $!; read -r line"];
  const child = new OutputChild(
    { file: "/bin/sh", args, env: { PATH }, stdin: "pipe" },
    { onOutput: (_stream, bytes) => { text += String(bytes); }, onExit: () => void exits++ },
  );
  assert.deepEqual(process.getActiveResourcesInfo().sort(), before);
  await turns(() => text.endsWith("\n"));
  assert.ok(isAlive(Number(text)));
  child.process.stdin!.end();
  await turns(() => exits > 0);
  await turns(() => !isAlive(Number(text)));
});

test("a process of calls ends when nobody holds its input any more", async () => {
  const limits = {
    maxResultBytes: 1, tooLarge: "", heapMb: 64, processMb: 512, heavyMb: 160, watchMs: 100,
  };
  const child = spawn(process.execPath, ["-e", callProgram(limits)], {
    detached: true, env: { PATH }, stdio: ["pipe", "ignore", "ignore", "pipe", "pipe", "pipe"],
  });
  let how: unknown;
  child.once("exit", (code, signal) => { how = { code, signal }; });
  child.stdin!.end();
  await turns(() => how !== undefined);
  assert.deepEqual(how, { code: null, signal: "SIGKILL" });
  for (const pipe of child.stdio) pipe?.destroy();
});

test("what an ended child has left in its pipes waits for as long as it is paused", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { child, seen } = shell("echo left");
  child.pause();
  await turns(() => child.hasExited);
  child.resume(); // the silence begins
  child.pause(); // and does not count
  t.mock.timers.tick(DRAIN_QUIET_MS);
  await settled();
  child.resume();
  await turns(() => seen.exits > 0);
  assert.equal(seen.text, "left\n");
});

test("a pipe that a daemon holds counts as empty after 100 ms of silence, and each byte begins " +
  "them anew", { skip }, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { script, file } = daemon();
  const { child, seen } = shell(script);
  await turns(() => child.hasExited);
  for (const word of ["one", "two", "three"]) {
    t.mock.timers.tick(DRAIN_QUIET_MS - 1);
    writeSync(file, `${word}\n`);
    await turns(() => seen.text.endsWith(`${word}\n`));
  }
  t.mock.timers.tick(DRAIN_QUIET_MS - 1);
  await settled();
  assert.equal(seen.exits, 0);
  t.mock.timers.tick(1);
  await turns(() => seen.exits > 0);
  closeSync(file); // the daemon ends
  assert.equal(seen.text, "one\ntwo\nthree\n");
});

/** Takes two pipes from the stock. */
function takeTwo(): void {
  for (const { read, write } of Object.values(openOutputPipes()!)) {
    read.destroy();
    closeSync(write);
  }
}

test("an exit is reported once, whatever is asked of the child later", async () => {
  const { child, seen } = shell("exit 0");
  await turns(() => seen.exits > 0);
  child.pause();
  child.resume();
  child.kill("SIGTERM");
  assert.equal(seen.exits, 1);
});

test("a child that closes its input breaks nothing here", async () => {
  let exits = 0;
  let text = "";
  const { process: child } = new OutputChild(
    { file: "/bin/sh", args: ["-c", "exec <&-; echo closed; sleep 0.05"], env: { PATH },
      stdin: "pipe" },
    { onOutput: (_stream, bytes) => { text += String(bytes); }, onExit: () => void exits++ },
  );
  await turns(() => text === "closed\n");
  child.stdin!.write("nobody reads this");
  await turns(() => exits > 0);
});

test("pipes are made eight at a time, when there are not two", { skip }, () => {
  while (stockedPipes() > 1) takeTwo();
  const few = stockedPipes();
  const stock = Array.from({ length: 4 }, () => {
    takeTwo();
    return stockedPipes() - few;
  });
  assert.deepEqual(stock, [6, 4, 2, 0]);
});

test("pipes of which one end cannot be opened leave no descriptor", { skip }, (t) => {
  while (stockedPipes() > 1) takeTwo();
  const [real, stocked] = [openSync, stockedPipes()];
  let refused = 0;
  const open = t.mock.method(fs, "openSync", (path: string, flags: number) => {
    if (flags !== fs.constants.O_WRONLY || ++refused < 3) return real(path, flags);
    throw Object.assign(new Error("no descriptor is left"), { code: "EMFILE" });
  });
  syncBuiltinESMExports();
  try {
    assert.equal(openOutputPipes(), undefined);
  } finally {
    open.mock.restore();
    syncBuiltinESMExports();
  }
  assert.equal(stockedPipes(), stocked + 2, "two were made before");
  const { mock } = open;
  const reading = mock.calls.map(({ result }) => result).filter((fd) => fd !== undefined);
  // Two of each of the first two; of the third the reading end, which is closed.
  assert.equal(reading.length, 5);
  assert.throws(() => fs.fstatSync(reading.at(-1)!), { code: "EBADF" });
  takeTwo(); // a lack of descriptors passes
  assert.equal(stockedPipes(), stocked);
});

test("a child for which no pipes can be made gets Node's own, and no input either", async (t) => {
  if (!skip) while (stockedPipes() > 1) takeTwo();
  const none = t.mock.method(fs, "openSync", () => {
    throw Object.assign(new Error("no descriptor is left"), { code: "EMFILE" });
  });
  syncBuiltinESMExports();
  let text = "";
  let exits = 0;
  const { process: child } = new OutputChild(
    { file: "/bin/sh", args: ["-c", "cat; echo out; exec sleep 0.05"], env: { PATH },
      stdin: "ignore" },
    { onOutput: (_stream, bytes) => { text += String(bytes); }, onExit: () => void exits++ },
  );
  none.mock.restore();
  syncBuiltinESMExports();
  await turns(() => text === "out\n");
  child.stderr!.destroy(new Error("it cannot be read")); // and nobody here ends of it
  await turns(() => exits > 0);
  assert.equal(child.exitCode, 0);
});

test("a child that cannot be started ends with the system's error", async () => {
  const how = await new Promise<unknown[]>((resolve) => {
    new OutputChild(
      { file: join(folder, "none"), args: [], env: { PATH }, stdin: "ignore" },
      { onOutput() {}, onExit: (...end) => resolve(end) },
    );
  });
  const { code } = how[2] as { code?: string };
  assert.deepEqual([...how.slice(0, 2), code], [null, null, "ENOENT"]);
});

test("a job keeps its process alive with a timer that fires in weeks", async (t) => {
  const { mock } = t.mock.method(globalThis, "setInterval");
  const code = await new Promise((resolve) => {
    const onExit = (exit: Exit): void => resolve(exit.code);
    nodeProcesses().spawn({ argv: ["true"], cwd: "/", env: { PATH }, onOutput() {}, onExit });
  });
  assert.equal(code, 0);
  assert.deepEqual(mock.calls.map((call) => call.arguments[1]), [2_147_483_647]);
});

/** A process of calls, and what has come from it. */
function node(program: string) {
  const seen: { out: string; err: string; replies: string; ends: NodeEnd[] } =
    { out: "", err: "", replies: "", ends: [] };
  const started: NodeProcess = startNodeProcess({
    program,
    env: { PATH },
    onReply: (chunk) => { seen.replies += String(chunk); },
    onPrinted: (stream, bytes) => {
      seen[stream === "stdout" ? "out" : "err"] += String(bytes);
    },
    onEnd: (end) => void seen.ends.push(end),
  });
  return { started, seen };
}

test("a daemon that holds the pipes of a process of calls is heard for 200 ms more, and the end " +
  "leaves no timer", { skip }, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const cleared = t.mock.method(globalThis, "clearTimeout");
  const { script, file } = daemon();
  const { started, seen } = node(`
    require("child_process").execFileSync("sh", ["-c", ${JSON.stringify(script)}], {
      stdio: ["ignore", 1, 2] });
    require("fs").writeSync(4, "reply");
    process.exitCode = 3;`);
  await turns(() => !existsSync(`/proc/${started.pid}`));
  await settled();
  t.mock.timers.tick(LAST_OUTPUT_MS - 1);
  writeSync(file, "late\n");
  await turns(() => seen.out !== "");
  await settled();
  assert.equal(seen.ends.length, 0);
  t.mock.timers.tick(1);
  await turns(() => seen.ends.length > 0);
  closeSync(file);
  assert.deepEqual(seen, {
    out: "late\n", err: "", replies: "reply", ends: [{ code: 3, signal: null, word: "" }],
  });
  assert.equal(cleared.mock.callCount(), 1);
});

test("of a last word the first 16 Ki characters are kept, in however many pieces it " +
  "comes", async () => {
  const said = join(folder, "said");
  const { started, seen } = node(`
    const { writeFileSync, writeSync } = require("fs");
    for (let i = 0; i < 20; i++) writeSync(5, "x".repeat(1000));
    writeSync(1, "out");
    writeSync(2, "err");
    writeSync(4, "reply");
    writeFileSync(${JSON.stringify(said)}, "");
    process.stdin.resume();`);
  started.pause();
  await turns(() => existsSync(said));
  await settled();
  assert.deepEqual([seen.out, seen.err, seen.replies], ["", "", ""], "it is paused");
  started.resume();
  await turns(() => seen.replies !== "");
  started.kill();
  await turns(() => seen.ends.length > 0);
  assert.equal(seen.ends[0]!.word, "x".repeat(16 * 1024));
  assert.deepEqual([seen.out, seen.err, seen.replies], ["out", "err", "reply"]);
});

test("pipes that have their names when this process is killed lose them", async () => {
  const tools = mkdtempSync(join(folder, "tools-"));
  const real = execFileSync("/bin/sh", ["-c", "command -v mkfifo"], { encoding: "utf8" }).trim();
  const fake = `#!/bin/sh
    '${real}' "$@"
    { ls -ld "\${3%/*}" | cut -c 1-10; echo "$3"; } >'${tools}/seen'
    kill -9 $PPID`;
  writeFileSync(join(tools, "mkfifo"), fake, { mode: 0o755 });
  const url = (name: string): string => // or the reader's
    JSON.stringify(import.meta.resolve(`../src/process/${name}`));
  // Its reaper may be there already, or be the first to hear of the pipes.
  for (const before of ["", 'reapFolder("/nowhere");']) {
    const text = `
      import { openOutputPipes } from ${url("pipes.ts")};
      import { reapFolder } from ${url("reaper.ts")};
      ${before}
      openOutputPipes();`;
    const args = ["-c", 'umask 0; exec "$@"', "sh", process.execPath, "--import", "tsx"];
    args.push("-C", "source", "--input-type=module", "-e", text);
    const env = { ...process.env, PATH: `${tools}:${PATH}` };
    const node = spawn("/bin/sh", args, { stdio: ["ignore", "ignore", "inherit"], env });
    assert.deepEqual(await once(node, "close"), [null, "SIGKILL"]);
    const [mode, name] = readFileSync(join(tools, "seen"), "utf8").split("\n");
    assert.equal(mode, "drwx------");
    assert.match(name!, /\/titan-pipes-[0-9a-f-]{36}\/0$/);
    await turns(() => !existsSync(dirname(name!)));
  }
});

// The last one here: from now on this process makes no pipes.
test("a system without mkfifo is asked once, and its children run without", async (t) => {
  while (stockedPipes() > 1) takeTwo();
  const run = t.mock.method(childProcess, "execFileSync", () => {
    throw Object.assign(new Error("spawn mkfifo ENOENT"), { code: "ENOENT" });
  });
  syncBuiltinESMExports();
  assert.deepEqual([openOutputPipes(), openOutputPipes()], [undefined, undefined]);
  t.mock.restoreAll();
  syncBuiltinESMExports();
  assert.equal(openOutputPipes(), undefined);
  assert.equal(run.mock.callCount(), 1);
  const { seen } = shell("echo out");
  await turns(() => seen.exits > 0);
  assert.equal(seen.text, "out\n");
});
