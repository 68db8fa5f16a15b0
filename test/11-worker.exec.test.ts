import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import {
  createExecutor, MAX_RESULT_BYTES, type ExecOutcome, type ExecRequest, type Executor, type Running,
} from "#exec";
import { nodeWorkerHost } from "#process";
import { nodeWorkFolders, type Child, type SpawnOptions, type Timer } from "#host";
import { commandOf, runsTypeScript, scriptFile } from "../src/exec/process-job.ts";
import type { Runtime } from "../src/exec/runtime.ts";
import { safeName } from "../src/exec/safe-name.ts";
import { durationText } from "../src/exec/types.ts";
import { PATH } from "./processes.support.ts";

const host = nodeWorkerHost();
const folder = mkdtempSync(join(tmpdir(), "titan-exec-"));
const workDir = join(folder, "jobs");
const project = join(folder, "project");
mkdirSync(join(project, "lib"), { recursive: true });
// One for each test: with it go its processes and threads, which leaks.support.ts counts.
const newExecutor = () => createExecutor({ host, workDir, callProcesses: 2 });
let executor = newExecutor();
beforeEach(() => { executor = newExecutor(); });
afterEach(async () => {
  await executor.close();
  assert.equal(existsSync(workDir), false, "close() removes the work folders");
});
after(() => rmSync(folder, { recursive: true, force: true }));

function inProject(name: string, text: string, mode = 0o644): string {
  writeFileSync(join(project, name), text);
  chmodSync(join(project, name), mode);
  return name;
}

type Given = Partial<ExecRequest> & {
  onOutput?: (stream: string, bytes: Buffer) => void;
  executor?: Executor;
};
interface Job {
  running: Running;
  out: () => string;
  err: () => string;
}
let jobs = 0;
function start(action: ExecRequest["action"], given: Given = {}): Job {
  const { onOutput, executor: on = executor, ...request } = given;
  const text = { stdout: "", stderr: "" };
  const running = on.start(
    {
      run: "run-1",
      job: `job-${++jobs}`,
      attempt: 1,
      worker: "w-1",
      env: {},
      timeoutMs: 20_000,
      inputs: [],
      action,
      ...request,
    },
    onOutput ?? ((stream, bytes) => void (text[stream] += bytes)),
  );
  return { running, out: () => text.stdout, err: () => text.stderr };
}
const shell = (
  script: string,
  program?: "sh" | "bash" | "python3" | "node",
): ExecRequest["action"] => ({ type: "shell", script, shell: program });
const file = (name: string, ...args: string[]): ExecRequest["action"] => ({
  type: "file",
  file: name,
  args,
});
const call = (target: string, input = ""): ExecRequest["action"] => ({
  type: "call",
  target,
  input: Buffer.from(input),
});
async function end(
  action: ExecRequest["action"],
  given: Given = {},
): Promise<ExecOutcome & { out: string; err: string }> {
  const { running, out, err } = start(action, given);
  const outcome = await running.done;
  return { ...outcome, out: out(), err: err() };
}
const brief = ({ status, kind, message }: ExecOutcome) => [status, kind, message];

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!isTrue()) {
    if (performance.now() > deadline) assert.fail(`still not so after 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // Looking costs more than waiting.
  }
}

test("start() fails an attempt by its kind: not found, not executable, exit, signal", async () => {
  inProject("plain", "text");
  mkdirSync(join(project, "folder.sh")); // `sh` reads nothing from it, and exits with 0
  const cases: [ExecRequest["action"], unknown[]][] = [
    [file("nope.py"), ["failed", "not-found", "Cannot run nope.py: no such file in the project"]],
    [
      file("folder.sh"),
      ["failed", "not-found", "Cannot run folder.sh: no such file in the project"],
    ],
    [file("plain"), ["failed", "not-executable", 'Cannot start "./plain": it is not executable']],
    [
      { type: "command", argv: ["no-such-program"] },
      ["failed", "not-found", 'Cannot start "no-such-program": no such file'],
    ],
    [
      { type: "command", argv: ["./nope/tool"] },
      ["failed", "not-found", 'Cannot start "./nope/tool": no such file'],
    ],
    [
      { type: "command", argv: ["echo", "x".repeat(5_000_000)] },
      ["failed", "bad-input", 'Cannot start "echo": its arguments and environment are too long'],
    ],
    [
      { type: "command", argv: ["echo", "a\0b"] },
      ["failed", "bad-input", 'Cannot start "echo": an argument or variable contains a NUL byte'],
    ],
    [shell("exit 3"), ["failed", "exit", "exited with code 3"]],
    [shell("kill -SEGV $$"), ["failed", "signal", "ended by SIGSEGV"]],
  ];
  for (const [action, expected] of cases) {
    assert.deepEqual(brief(await end(action, { project, env: { PATH } })), expected);
  }
  const lonely = await end({ type: "command", argv: ["./nope/tool"] });
  assert.equal(lonely.message, 'Cannot start "./nope/tool": no such file, and no project was sent');
  assert.equal((await end(shell("exit 3"))).exitCode, 3);
  assert.equal((await end(shell("kill -SEGV $$"))).signal, "SIGSEGV");
});

test("a script ends at its first line that fails, in sh and in bash and nowhere else", async () => {
  for (const program of [undefined, "sh", "bash"] as const) {
    const failed = await end(shell("echo one\nfalse\necho two", program));
    assert.deepEqual(
      [...brief(failed), failed.out],
      ["failed", "exit", "exited with code 1", "one\n"],
      program,
    );
    const handled =
      "false || echo or\nif false; then echo no; else echo else; fi\n! true || :\n" +
      "false && echo no\nwhile false; do :; done\necho end";
    const ended = await end(shell(handled, program));
    assert.deepEqual([ended.status, ended.out], ["ok", "or\nelse\nend\n"], program);
  }
});

test("shell: bash reads arrays, and a pipe fails with any of its commands; sh asks the last one " +
  "only", async () => {
  assert.equal((await end(shell("x=(a b); echo ${x[1]}", "bash"))).out, "b\n");
  assert.deepEqual(
    brief(await end(shell("false | cat; echo on", "bash"))),
    ["failed", "exit", "exited with code 1"],
  );
  assert.deepEqual([(await end(shell("false | cat; echo on"))).out], ["on\n"]);
});

test("shell: python3 and node run a script as a program whose errors name the line", async () => {
  const asks = "import lib.helper, sys\nprint(lib.helper.N, sys.stdin.read() == '')";
  const python = await end(shell(asks, "python3"), { project });
  assert.equal(python.status, "failed", "there is no such module yet");
  assert.match(python.err, /titan-script\.py", line 1, in <module>\n\s+import lib\.helper, sys/);
  inProject("lib/helper.py", "N = 7\n");
  const again = await end(shell(asks, "python3"), { project });
  assert.deepEqual([again.status, again.out], ["ok", "7 True\n"], again.err);
  const node =
    'import { basename } from "node:path";\n' +
    'console.log(await Promise.resolve(basename("a/b")));\nthrow new Error("no")';
  const thrown = await end(shell(node, "node"), { project });
  assert.deepEqual([thrown.status, thrown.out, thrown.exitCode], ["failed", "b\n", 1]);
  assert.match(thrown.err, /titan-script\.mjs:3/);
});

test("a script longer than any argument runs, in every shell, and stops at the " +
  "line that fails", async () => {
  const comment = `# ${"x".repeat(300_000)}\n`;
  for (const program of ["sh", "bash"] as const) {
    const { status, out } = await end(shell(`${comment}echo on\nfalse\necho off`, program));
    assert.deepEqual([status, out], ["failed", "on\n"], program);
  }
  assert.equal((await end(shell(`${comment}print(1)`, "python3"))).out, "1\n");
  const slashes = `/${comment.replace("#", "/")}`;
  assert.equal((await end(shell(`${slashes}console.log(1)`, "node"))).out, "1\n");
});

test("shell: a shell that the worker does not have is not found, by name", async () => {
  const bare = createExecutor({
    host, workDir: join(folder, "bare"), callProcesses: 1, baseEnv: { PATH: folder },
  });
  for (const program of ["bash", "python3"] as const) {
    const outcome = await end(shell("echo", program), { executor: bare });
    assert.deepEqual(
      brief(outcome),
      ["failed", "not-found", `Cannot start "${program}": no such file`],
    );
  }
  await bare.close();
});

test("start() runs files by their ending, inside the project, with their arguments", async () => {
  inProject("lib/greeting.txt", "hello");
  inProject("a.sh", 'echo "sh $1 $(cat lib/greeting.txt)"');
  inProject("b.mjs", "console.log('mjs', process.argv[2])");
  inProject("c.py", "import sys; print('py', sys.argv[1])");
  inProject("-d", "#!/bin/sh\necho own $1\n", 0o755);
  const begun = performance.now();
  const { out, exitCode, durationMs } = await end(file("a.sh", "it's"), { project });
  const tookMs = performance.now() - begun;
  assert.deepEqual([out, exitCode], ["sh it's hello\n", 0]);
  assert.ok(durationMs > 0 && durationMs < tookMs, `${durationMs} of ${tookMs} ms`);
  assert.equal((await end(file("b.mjs", "two words"), { project })).out, "mjs two words\n");
  assert.equal((await end(file("c.py", "x"), { project })).out, "py x\n");
  assert.equal((await end(file("-d", "y"), { project })).out, "own y\n");
});

test("start() refuses TypeScript on a Node that cannot run it, by name, and runs it on one that " +
  "can", async () => {
  inProject("e.ts", "const x: string = 'ts'; console.log(x)");
  const outcome = await end(file("e.ts"), { project });
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)) {
    assert.equal(outcome.out, "ts\n");
  } else {
    assert.deepEqual(brief(outcome), [
      "failed",
      "unsupported",
      `Cannot run e.ts: this worker's Node v${major}.${minor} cannot run TypeScript (22.18 or ` +
        "newer can)",
    ]);
  }
});

test("commandOf() starts a file by its ending, with the runtime of the worker", () => {
  const started = (name: string, runtime: Partial<Runtime> = {}) =>
    commandOf(file(name, "x"), { execPath: "/node", version: "v24.0.0", ...runtime });
  for (const ending of ["js", "mjs", "cjs", "ts", "mts", "cts"]) {
    const name = `a.${ending}`;
    assert.deepEqual(started(name), ["/node", `./${name}`, "x"]);
    assert.deepEqual(started(name, { versions: { deno: "2.0.0" } }),
      ["/node", "run", "-A", `./${name}`, "x"]);
    assert.equal("unsupported" in started(name, { version: "v20.20.2" }), ending.endsWith("ts"));
  }
  assert.deepEqual(started("a.py"), ["python3", "./a.py", "x"]);
  assert.deepEqual(started("/b/a.sh"), ["sh", "/b/a.sh", "x"]);
  assert.deepEqual(started("a.b/c"), ["./a.b/c", "x"]);
  // A script is no option, whatever it begins with.
  for (const [script, argument] of [["true", "true"], ["-x", " -x"], ["+x", " +x"]] as const) {
    const runtime = { execPath: "/node", version: "v24.0.0" };
    assert.deepEqual(commandOf(shell(script), runtime), ["sh", "-e", "-c", argument]);
  }
});

test("a name of up to 200 characters shows the text that it stands for", () => {
  assert.equal(safeName("x".repeat(200)), "x".repeat(200));
  assert.match(safeName("x".repeat(201)), /^%[0-9a-f]{64}$/);
});

test("a duration is told in seconds from one second on", () => {
  assert.deepEqual([999, 1000, 1500].map(durationText), ["999 ms", "1 s", "1.5 s"]);
});

test("TypeScript runs on Node from 22.18, 23.6 and 24.0 on", () => {
  const some = [
    "v18.20.0", "v20.20.2", "v22.6.0", "v22.17.9", "v22.18.0", "v22.20.1", "v23.0.0", "v23.5.9",
    "v23.6.0", "v23.11.0", "v24.0.0", "v26.1.0",
  ];
  assert.deepEqual(some.filter(runsTypeScript), [
    "v22.18.0", "v22.20.1", "v23.6.0", "v23.11.0", "v24.0.0", "v26.1.0",
  ]);
});

test("a script of 64 KiB travels as an argument, a longer one as a file", () => {
  for (const [program, ending] of [["sh", "sh"], ["bash", "sh"]] as const) {
    assert.equal(scriptFile(shell("x".repeat(64 * 1024), program)), undefined);
    const text = "x".repeat(64 * 1024 - 1) + "ü";
    assert.deepEqual(scriptFile(shell(text, program)), { name: `.titan-script.${ending}`, text });
  }
  assert.equal(scriptFile(file("a.sh")), undefined);
});

test("call: a module in TypeScript is refused where a file in TypeScript is, by name", async () => {
  inProject("typed.ts", "export const one = (): number => 1;");
  const outcome = await end(call("typed#one"), { project });
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)) {
    assert.equal(String(outcome.result), "1");
  } else {
    assert.deepEqual(brief(outcome), [
      "failed", "unsupported",
      `Cannot run typed.ts: this worker's Node v${major}.${minor} cannot run TypeScript (22.18 ` +
        "or newer can)",
    ]);
  }
});

test("a job sees TITAN_*, its own variables, five of the worker's and the folder of titan_job, " +
  "and nothing else", async () => {
  process.env["TITAN_TEST_LEAK"] = "secret";
  const { out } = await end(
    { type: "command", argv: ["env", "-0"] },
    { run: "r", job: "j", attempt: 7, env: { MINE: "x\ny", TITAN_JOB: "forged" } },
  );
  delete process.env["TITAN_TEST_LEAK"];
  const env = Object.fromEntries(
    out
      .split("\0")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  for (const name of ["PATH", "HOME", "LANG", "TMPDIR", "USER"]) {
    assert.equal(env[name], process.env[name]);
    delete env[name];
  }
  const at = join(workDir, "r", "j.7");
  const titan = {
    TITAN_RUN: "r",
    TITAN_JOB: "j",
    TITAN_ATTEMPT: "7",
    TITAN_WORKER: "w-1",
    TITAN_WORKDIR: at,
    TITAN_SHARED: join(workDir, "r", "shared"),
    TITAN_OUTPUT: join(at, ".titan-output"),
  };
  assert.deepEqual(env, { MINE: "x\ny", PYTHONPATH: join(workDir, ".titan", "python"), ...titan });
});

test("each attempt has an empty folder of its own, which is gone when `done` settles", async () => {
  const look = shell(
    "ls -A; pwd -P; mkdir -p deep/er; echo x >deep/er/file; chmod 500 deep; " +
      'echo y >"$TITAN_SHARED/kept-$TITAN_JOB"',
  );
  for (let i = 0; i < 3; i++) {
    const { out, status } = await end(look, { run: "folders", job: "j", attempt: i });
    assert.deepEqual([status, out], ["ok", `${join(workDir, "folders", `j.${i}`)}\n`]);
    assert.deepEqual(readdirSync(join(workDir, "folders")), ["shared"]);
  }
  assert.equal(readFileSync(join(workDir, "folders", "shared", "kept-j"), "utf8"), "y\n");
  await executor.endRun("folders");
  assert.equal(existsSync(join(workDir, "folders")), false);
});

test("a job cannot change its project through its folder's removal, nor ids leave the work " +
  "folder", async () => {
  inProject("precious.txt", "keep me");
  await end(shell("echo x >own; ls precious.txt"), { project });
  assert.equal(readFileSync(join(project, "precious.txt"), "utf8"), "keep me");
  for (const id of ["../../escape", "a/b", "..", ".", "", "ü", "a%2fb", "x".repeat(300), "a b\n"]) {
    const { out } = await end(shell("pwd -P"), { run: id, job: id });
    const inside = out.slice(workDir.length + 1).trimEnd().split("/");
    assert.ok(
      out.startsWith(`${workDir}/`) && inside.length === 2,
      `${JSON.stringify(id)} ran in ${out}`,
    );
  }
});

test("what a job writes to TITAN_OUTPUT is its result, up to the limit", async () => {
  assert.equal(String((await end(shell('printf 42 >"$TITAN_OUTPUT"'))).result), "42");
  assert.equal((await end(shell("true"))).result, undefined);
  const most = await end(shell(`head -c ${MAX_RESULT_BYTES} /dev/zero >"$TITAN_OUTPUT"`));
  assert.deepEqual([most.status, most.result?.length], ["ok", MAX_RESULT_BYTES]);
  const over = await end(shell(`head -c ${MAX_RESULT_BYTES + 1} /dev/zero >"$TITAN_OUTPUT"`));
  assert.deepEqual([over.status, over.kind, over.result], ["failed", "bad-input", undefined]);
  assert.match(String(over.message), /65537 bytes exceed 65536/);
  const pipe = await end(shell('mkfifo "$TITAN_OUTPUT"'));
  assert.deepEqual([pipe.status, pipe.kind], ["failed", "bad-input"]);
});

test("a job finds its parents' results in TITAN_INPUTS: JSON as values, all " +
  "else as strings", async () => {
  const inputs = [
    ["n", "1"],
    ["o", '{"a":[true]}'],
    ["text", "not json"],
    ["empty", ""],
    ["__proto__", '"x"'],
  ] as const;
  const { out } = await end(shell('cat "$TITAN_INPUTS"'), {
    inputs: inputs.map(([job, result]) => ({ job, result: Buffer.from(result) })),
  });
  assert.deepEqual(Object.entries(JSON.parse(out) as object), [
    ["n", 1],
    ["o", { a: [true] }],
    ["text", "not json"],
    ["empty", ""],
    ["__proto__", "x"],
  ]);
  const one = { inputs: [{ job: "a", result: Buffer.from("1") }] };
  assert.equal((await end(shell('cat "$TITAN_INPUTS"'), one)).out.trim(), '{"a":1}');
  assert.equal((await end(shell('echo "[${TITAN_INPUTS-unset}]"'))).out, "[unset]\n");
});

test("a timeout sends SIGTERM, then SIGKILL after the grace, and says so", async () => {
  // The time is over when the shell has said that it is ready for that, however slow it is.
  let isOver = (): void => assert.fail("no timeout is armed");
  const after = (ms: number, fn: () => void): Timer => {
    if (ms !== 61) return host.timers.after(ms, fn);
    isOver = fn;
    return { cancel: () => void (isOver = () => undefined) };
  };
  const own = createExecutor({
    host: { ...host, timers: { soon: host.timers.soon, after } }, workDir: join(folder, "late"),
  });
  const late = async (script: string, graceMs: number) => {
    let out = "";
    const onOutput = (stream: string, bytes: Buffer): void => {
      if (stream !== "stdout") return; // where some shells tell which signal came
      if (out === "") isOver();
      out += bytes;
    };
    const given = { executor: own, timeoutMs: 61, graceMs, onOutput };
    return { ...(await end(shell(script), given)), out };
  };
  const polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done";
  const obeys = await late(polite, 30_000);
  assert.deepEqual(brief(obeys), ["failed", "timeout", "ran longer than its timeout of 61 ms"]);
  assert.equal(obeys.out, "up\nbye\n");
  const deaf = await late("trap '' TERM; echo up; while :; do sleep 0.01; done", 60);
  assert.deepEqual(brief(deaf), [
    "failed",
    "timeout",
    "ran longer than its timeout of 61 ms (it did not end on SIGTERM and was killed)",
  ]);
  assert.equal(deaf.signal, "SIGKILL");
  assert.ok(deaf.durationMs >= 60);
  await own.close();
});

test("cancel() ends an attempt at any moment, once, for the first reason given", async () => {
  const early = start(shell("sleep 1000"));
  early.running.cancel("by a test");
  early.running.cancel("again");
  assert.deepEqual(brief(await early.running.done), [
    "failed",
    "cancelled",
    "cancelled: by a test",
  ]);
  const { running } = start(shell("echo up; sleep 1000"), { onOutput: () => running.cancel() });
  assert.deepEqual(brief(await running.done), ["failed", "cancelled", "cancelled"]);
  running.cancel("too late");
  const done = start(shell("exit 0"));
  assert.equal((await done.running.done).status, "ok");
  done.running.cancel("too late");
});

test("a reader that never reads holds the job, costs bounded memory, and cannot stop its " +
  "cancellation", async () => {
  let bytes = 0;
  const deaf = join(folder, "deaf");
  const { running } = start(shell(`trap '' TERM; : >'${deaf}'; cat /dev/zero`), {
    graceMs: 50,
    onOutput: (_stream, chunk) => (bytes += chunk.length),
  });
  running.pauseOutput();
  await until("it is deaf to SIGTERM", () => existsSync(deaf));
  const bystander = await end(shell("head -c 3000000 /dev/zero | wc -c"));
  assert.equal(bystander.out.trim(), "3000000");
  assert.ok(bytes < 500_000, `${bytes} bytes although nobody reads`);
  const before = bytes;
  running.cancel();
  assert.equal((await running.done).signal, "SIGKILL");
  assert.equal(bytes, before, "output after the cancellation is dropped when nobody reads");
});

test("pauseOutput() holds a program that prints already, and resumeOutput() before its start " +
  "lets it print", async () => {
  let bytes = 0;
  const { running } = start(shell("head -c 5000000 /dev/zero"), {
    onOutput: (_stream, chunk) => {
      if (bytes === 0) running.pauseOutput();
      bytes += chunk.length;
    },
  });
  await until("it prints", () => bytes > 0);
  await end(shell("head -c 3000000 /dev/zero >/dev/null")); // in this time it would have ended
  assert.ok(bytes < 1_000_000, `${bytes} bytes although nobody reads`);
  running.resumeOutput();
  await running.done;
  assert.equal(bytes, 5_000_000);
  const early: Job = start(shell("echo early"), {
    prepare: async () => {
      early.running.pauseOutput();
      early.running.resumeOutput();
    },
  });
  assert.equal((await early.running.done).status, "ok");
  assert.equal(early.out(), "early\n");
});

test("nothing is started for a file that is missing, nor for a job that has ended " +
  "before", async () => {
  const spawned: (readonly string[])[] = [];
  const spawn = (options: SpawnOptions): Child => {
    spawned.push(options.argv);
    return host.processes.spawn(options);
  };
  const own = createExecutor({
    host: { ...host, processes: { spawn } }, workDir: join(folder, "unstarted"),
  });
  assert.equal((await end(file("none.sh"), { executor: own, project })).kind, "not-found");
  let isStopped = false;
  const job: Job = start(shell("true"), {
    executor: own, prepare: async (_folder, signal) => {
      job.running.cancel();
      isStopped = signal.aborted;
    },
  });
  assert.equal((await job.running.done).kind, "cancelled");
  assert.ok(isStopped);
  assert.deepEqual(spawned, []);
  await own.close();
});

test("pauseOutput() and resumeOutput() lose and reorder nothing", async () => {
  let text = "";
  const { running } = start(shell("seq 1 60000"), {
    onOutput: (_stream, chunk) => {
      text += chunk;
      running.pauseOutput();
      setImmediate(() => running.resumeOutput());
    },
  });
  assert.equal((await running.done).status, "ok");
  assert.equal(text, Array.from({ length: 60_000 }, (_, i) => `${i + 1}\n`).join(""));
});

test("close() kills what runs, ignores graces, and refuses what comes later", async () => {
  const own = createExecutor({ host, workDir: join(folder, "closing") });
  const open = [
    shell("trap '' TERM; echo deaf; while :; do sleep 0.01; done"),
    call("titan:sleep", "100000"),
  ].map((action) => start(action, { executor: own }));
  await until("it is deaf to SIGTERM", () => open[0]!.out() !== "");
  await own.close();
  const why = "the worker is shutting down";
  for (const { running } of open) {
    assert.deepEqual(brief(await running.done), ["failed", "cancelled", `cancelled: ${why}`]);
  }
  assert.equal(existsSync(join(folder, "closing")), false);
  const { status, kind, message, durationMs } = await end(shell("true"), { executor: own });
  assert.deepEqual([status, kind, message, durationMs], ["failed", "internal", why, 0]);
});

test("many attempts at once each get their own outcome", async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      end(shell(`echo ${i}; printf ${i} >"$TITAN_OUTPUT"; exit $((${i} % 2))`)),
    ),
  );
  outcomes.forEach((outcome, i) => {
    assert.deepEqual(
      [outcome.out, outcome.status, String(outcome.result)],
      [`${i}\n`, i % 2 ? "failed" : "ok", i % 2 ? "undefined" : String(i)],
    );
  });
});

const MODULE = inProject(
  "steps.mjs",
  `
  export const double = (n) => n * 2;
  export default (input, { run, job, attempt, inputs }) => {
    const { MINE: env, TITAN_JOB: job2 } = process.env;
    return { input, run, job, attempt, inputs, env, job2 };
  };
  export async function loud(_, { log }) {
    console.log("one");
    log("two");
    console.error("oops");
    await null;
    process.stdout.write("three");
  }
  export function boom() { throw new TypeError("broken"); }
  export async function reject() { throw "text"; }
  export const quit = () => process.exit(3);
  export const crash = () =>
    new Promise(() => { setTimeout(() => { throw new Error("later"); }); });
  export const hog = () => {
    const all = [];
    for (;;) all.push(new Array(1e5).fill(Math.random()));
  };
  export const spin = () => { for (;;); };
  export const flood = () => { for (let i = 0; ; i++) console.log("line", i); };
  export const cycle = () => { const a = {}; a.a = a; return a; };
  export const large = () => "x".repeat(70000);
  export const constant = 1;
`,
);

test("call: runs a module's function in a thread, with input, context " +
  "and its environment", async () => {
  assert.equal(String((await end(call(`${MODULE}#double`, "21"), { project })).result), "42");
  const outcome = await end(call("steps"), {
    project,
    run: "r",
    job: "j",
    attempt: 2,
    env: { MINE: "m" },
    inputs: [{ job: "p", result: Buffer.from("[1]") }],
  });
  assert.deepEqual(JSON.parse(String(outcome.result)), {
    run: "r",
    job: "j",
    attempt: 2,
    inputs: { p: [1] },
    env: "m",
    job2: "j",
  });
  inProject("old.cjs", "exports.twice = (s) => s + s");
  assert.equal(String((await end(call("old#twice", '"ab"'), { project })).result), '"abab"');
});

test("an attempt whose program the system refuses to start fails by the kind of the " +
  "refusal", async () => {
  for (const [code, kind] of [
    ["ENOENT", "not-found"],
    ["EACCES", "not-executable"],
    ["EPERM", "not-executable"],
    ["ENOEXEC", "not-executable"],
    ["E2BIG", "bad-input"],
    ["EINVAL", "bad-input"],
    ["EAGAIN", "internal"],
  ] as const) {
    const spawn = ({ onExit }: SpawnOptions): Child => {
      const error = Object.assign(new Error(`spawn ${code}`), { code });
      setImmediate(() => onExit({ code: null, signal: null, error }));
      return { pid: undefined, signal() {}, pause() {}, resume() {} };
    };
    const refusing = createExecutor({
      host: { ...host, processes: { spawn } },
      workDir: join(folder, "refused"),
    });
    const { running } = start(shell("true"), { executor: refusing });
    const { status, kind: told, durationMs } = await running.done;
    assert.ok(durationMs >= 0);
    assert.deepEqual([status, told], ["failed", kind], code);
    await refusing.close();
  }
});

test("a program that has ended gets no signal, and leaves no timer", async () => {
  const signals: string[] = [];
  const timers = new Set<Timer>();
  let exit: () => void = () => {};
  const spawn = ({ onExit }: SpawnOptions): Child => {
    exit = () => onExit({ code: 0, signal: null });
    return { pid: 1, signal: (name) => void signals.push(name), pause() {}, resume() {} };
  };
  const after = (): Timer => {
    const timer = { cancel: () => void timers.delete(timer) };
    timers.add(timer);
    return timer;
  };
  const own = createExecutor({
    host: { ...host, processes: { spawn }, timers: { soon: host.timers.soon, after } },
    workDir: join(folder, "own"),
  });
  const first = start(shell("true"), { executor: own }).running;
  exit();
  assert.equal((await first.done).status, "ok");
  first.cancel("too late");
  assert.deepEqual([timers.size, signals], [0, []]);
  const second = start(shell("true"), { executor: own }).running;
  second.cancel("in time");
  assert.deepEqual([timers.size, signals], [2, ["SIGTERM"]], "its timeout and its grace");
  exit();
  assert.equal((await second.done).message, "cancelled: in time");
  assert.equal(timers.size, 0);
  const call = { type: "call", target: "titan:sleep", input: Buffer.from("1000") } as const;
  const third = start(call, { executor: own }).running;
  assert.equal(timers.size, 2, "its timeout and its sleep");
  third.cancel();
  await third.done;
  await own.close();
  assert.deepEqual([timers.size, signals], [0, ["SIGTERM"]]);
});

test("close() removes the folders when the last program has ended, and not before", async () => {
  const seen: string[] = [];
  let exit: () => void = () => {};
  const spawn = ({ onExit }: SpawnOptions): Child => {
    exit = () => onExit({ code: null, signal: "SIGKILL" });
    return { pid: 1, signal() {}, pause() {}, resume() {} };
  };
  const workDir = join(folder, "last");
  const folders = nodeWorkFolders(workDir);
  const own = createExecutor({
    host: { ...host, processes: { spawn } }, workDir, folders: {
      ...folders,
      remove: (path) => {
        seen.push("removed");
        return folders.remove(path);
      },
    },
  });
  start(shell("true"), { executor: own });
  const closing = own.close();
  await new Promise((resolve) => setImmediate(resolve));
  seen.push("ended");
  exit();
  await closing;
  assert.deepEqual([seen[0], seen.at(-1)], ["ended", "removed"]);
});

test("call: what the function prints is the job's output, before its end", async () => {
  const { out, err, status, result } = await end(call("steps.mjs#loud"), { project });
  assert.deepEqual([out, err, status, result], ["one\ntwo\nthree", "oops\n", "ok", undefined]);
});

test("call: fails by its kind, and the calls after it are served", async () => {
  const cases: [string, string, RegExp][] = [
    ["steps.mjs#boom", "exit", /^threw TypeError: broken$/],
    ["steps.mjs#reject", "exit", /^threw text$/],
    ["steps.mjs#quit", "exit", /^ended its thread with process.exit\(3\)$/],
    ["steps.mjs#crash", "exit", /^crashed its thread: Error: later$/],
    ["steps.mjs#hog", "exit", /^used more than the 256 MB of memory/],
    ["steps.mjs#cycle", "bad-input", /^Cannot keep the result: it is not JSON/],
    [
      "steps.mjs#large",
      "bad-input",
      /^Cannot keep the result: it has, as JSON, more than 65536 bytes; put it into/,
    ],
    [
      "steps.mjs#constant",
      "not-found",
      /^Cannot call steps.mjs#constant: no such function; the module exports boom, constant/,
    ],
    ["nope#f", "not-found", /no such module in the project$/],
    ["empty.mjs#f", "not-found", /the module exports nothing$/],
    ["#f", "not-found", /the module is outside the project$/],
    ["../jobs/x#f", "not-found", /the module is outside the project$/],
    ["titan:nope", "not-found", /there are titan:noop, titan:echo, titan:fail, titan:sleep$/],
    ["titan:fail", "exit", /^titan:fail was asked to fail$/],
  ];
  inProject("empty.mjs", "");
  const many = Array.from({ length: 200 }, (_, i) => `name${1000 + i}`);
  inProject("many.mjs", many.map((name) => `export const ${name} = 0;`).join(""));
  assert.equal((await end(call("many.mjs#f"), { project })).message, "Cannot call many.mjs#f: " +
    `no such function; the module exports ${many.join(", ").slice(0, 1000)}`);
  for (const [target, kind, message] of cases) {
    const outcome = await end(call(target), { project });
    assert.deepEqual([outcome.status, outcome.kind], ["failed", kind], target);
    assert.match(String(outcome.message), message);
    assert.equal(String((await end(call("steps.mjs#double", "1"), { project })).result), "2");
  }
  // Where it was thrown is output; of what is no error there is nothing to show.
  assert.match(
    (await end(call("steps.mjs#boom"), { project })).err,
    /^TypeError: broken\n +at .*boom/,
  );
  assert.equal((await end(call("steps.mjs#reject"), { project })).err, "");
  for (const target of ["titan:echo", "titan:sleep", "steps.mjs#double"]) {
    assert.equal((await end(call(target, "{"), { project })).kind, "bad-input");
  }
  for (const none of ["", "0"]) {
    assert.equal((await end(call("titan:sleep", none))).status, "ok", "no time is a time");
  }
  // A time that is none does not become a timer.
  const armed: number[] = [];
  const after = (ms: number, fn: () => void): Timer => {
    armed.push(ms);
    return host.timers.after(ms, fn);
  };
  const own = createExecutor({
    host: { ...host, timers: { soon: host.timers.soon, after } }, workDir: join(folder, "none"),
  });
  for (const none of ["x", "-1"]) {
    assert.equal((await end(call("titan:sleep", none), { executor: own })).kind, "bad-input");
  }
  assert.ok(armed.every((ms) => ms >= 0));
  await own.close();
  inProject("only.mjs", 'export default () => "the default";');
  const before = performance.now();
  const only = await end(call("only.mjs"), { project });
  assert.equal(String(only.result), '"the default"');
  assert.ok(only.durationMs > 0 && only.durationMs < performance.now() - before);
  assert.equal(
    (await end(call("steps.mjs#double"))).message,
    "Cannot call steps.mjs#double: no project was sent",
  );
});

test("call: a function that never returns is ended by its timeout or a cancellation, and nobody " +
  "else is", async () => {
  const slow = end(call("titan:sleep", "150"));
  const spun = await end(call("steps.mjs#spin"), { project, timeoutMs: 80 });
  assert.deepEqual(brief(spun), ["failed", "timeout", "ran longer than its timeout of 80 ms"]);
  // More calls than threads: those that wait are served as threads come back, and can be cancelled
  // before.
  const spinning = Array.from({ length: 4 }, () => start(call("steps.mjs#spin"), { project }));
  const behind = end(call("steps.mjs#double", "4"), { project });
  for (const { running } of spinning) running.cancel();
  for (const { running } of spinning) {
    assert.deepEqual(brief(await running.done), ["failed", "cancelled", "cancelled"]);
  }
  assert.equal(String((await behind).result), "8");
  assert.equal((await slow).status, "ok");
});

test("call: a function that prints for ever stops in its tracks while nobody reads", async () => {
  let bytes = 0;
  const { running } = start(call("steps.mjs#flood"), { project, onOutput: (_stream, chunk) => {
    bytes += chunk.length;
    if (bytes > 1_000_000) running.pauseOutput();
  } });
  await until("a megabyte has come", () => bytes > 1_000_000);
  const before = bytes;
  await end(call("steps.mjs#double", "1"), { project });
  assert.equal(bytes, before);
  running.resumeOutput();
  await until("it goes on", () => bytes > before);
  running.cancel();
  assert.equal((await running.done).kind, "cancelled");
});

test("call: thousands of built-in calls at once are answered each with its own", async () => {
  const { status, result } = await end(call("titan:noop", ""));
  assert.deepEqual([status, result], ["ok", undefined]);
  const results = await Promise.all(
    Array.from({ length: 5_000 }, (_, i) => end(call("titan:echo", `{"i":${i}}`))),
  );
  results.forEach(({ result }, i) => assert.equal(String(result), `{"i":${i}}`));
});
