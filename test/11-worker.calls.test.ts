/**
 * Chapter 11: calls that want more than there is. Each ends itself, and nobody beside it.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, afterEach, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  createExecutor, MAX_RESULT_BYTES, type ExecOutcome, type ExecRequest, type Running,
} from "#exec";
import { nodeWorkerHost } from "#process";
import { describe, encodeResult } from "../src/exec/call-encode.ts";
import { CallPool, lostEnd } from "../src/exec/call-pool.ts";
import {
  HELPERS, memoryOf, openReplies, openRequests, threadProgram,
} from "../src/exec/call-thread.ts";
import { journalProcesses, parseJournal } from "../src/process/journal.ts";
import { DONE, encodeCall, ReplyReader, STDERR, STDOUT } from "../src/exec/call-wire.ts";
import "./leaks.support.ts";

const host = nodeWorkerHost();
const project = mkdtempSync(join(tmpdir(), "titan-calls-"));
const env = { PATH: process.env["PATH"] ?? "" };
const small = { heapMb: 48, processMb: 220, watchMs: 20 };
const pools: CallPool[] = [];
const executors: { close(): Promise<void> }[] = [];
afterEach(() => Promise.all([...pools.splice(0), ...executors.splice(0)].map((it) => it.close())));
after(() => rmSync(project, { recursive: true, force: true }));

writeFileSync(join(project, "m.mjs"), `
  import { spawn } from "node:child_process";
  import { closeSync, existsSync, writeSync } from "node:fs";
  export const double = (n) => n * 2;
  export const pid = () => process.pid;
  export const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms, "done"));
  export const held = async (path) => { while (!existsSync(path)) await later(5); return "done"; };
  export const long = () => "x".repeat(1e8);
  export const long2 = () => ["x".repeat(6e7), "y".repeat(6e7)];
  export const holes = () => new Array(1e8);
  export const deep = () => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a; };
  export const boxed = () => [new String("x".repeat(1e8))];
  export const json = () => ({ toJSON: () => "x".repeat(1e8) });
  export const getter = () => ({ get a() { for (;;); } });
  export const error = () => { throw new Error("x".repeat(5e6)); };
  export const nothing = () => { throw { toString() { throw 1; } }; };
  export const late = () => new Promise(() => {
    setTimeout(() => { throw new Error("y".repeat(1e6)); });
  });
  export const buffers = () => { for (const a = [];;) a.push(Buffer.alloc(1e7, 1)); };
  export const shared = () => {
    for (const a = [];;) a.push(new Uint8Array(new SharedArrayBuffer(1e7)).fill(1));
  };
  export const wasm = () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
    for (;;) { memory.grow(160); new Uint8Array(memory.buffer).fill(1); }
  };
  export const arrays = () => { for (const a = [];;) a.push(new Array(1e5).fill(Math.random())); };
  export const strings = () => {
    for (const a = [];;) a.push(JSON.stringify(Array(1e5).fill(a.length)));
  };
  export const objects = () => {
    for (const a = [];;) a.push({ a: [a.length], b: String(a.length) });
  };
  export const line = () => { console.log("z".repeat(2e6) + "ü"); };
  export const pieces = async () => {
    const size = 16 * 1024;
    process.stdout.write("z".repeat(size - 1) + "😀" + "z".repeat(size + 1));
    await new Promise((resolve) => {
      const hasRoom = process.stdout.write(Buffer.alloc(size + 1, "b"), resolve);
      if (!hasRoom) throw new Error("nobody would say when there is room again");
    });
    await new Promise((resolve) => process.stderr.write("e", "utf8", resolve));
  };
  export const variables = () => Object.keys(process.env).sort();
  export const length = (text) => text.length;
  export const daemon = (_, { log }) => {
    log(spawn("sleep", ["60"], { stdio: "inherit", detached: true }).pid);
    setTimeout(() => process.exit(4), 100);
    return new Promise(() => {});
  };
  // Any thread may take the signal: this one waits for it, and does not return first.
  export const kill = () => { for (process.kill(process.pid, "SIGSEGV");;); };
  export const child = (_, { log }) => {
    log(spawn("sleep", ["1000"], { stdio: "ignore" }).pid);
    return new Promise(() => {});
  };
  export const warn = () => {
    process.emitWarning("beware");
    writeSync(2, "raw");
    writeSync(1, "raw, too");
    return later(60);
  };
  export const lines = async () => {
    for (let i = 0; i < 60000; i++) console.log(i);
    console.error("last");
    return "end";
  };
  export const spin = (_, { log }) => { log(process.pid); for (;;); };
  export const large = () => Buffer.alloc(7e7, 1).length;
  export const forge = () => { writeSync(4, "nonsense"); return later(1e6); };
  export const mute = () => { closeSync(5); process.exit(3); };
  export const quiet = () => { writeSync(5, "{"); process.kill(process.pid, "SIGKILL"); };
`);

let ids = 0;
function pool(processes = 2, limits = {}): CallPool {
  const made = new CallPool({ host, processes, env, limits: { ...small, ...limits } });
  pools.push(made);
  return made;
}

type Given = Partial<ExecRequest> & { onOutput?: (stream: string, bytes: Buffer) => void };

function start(calls: CallPool, name: string, { onOutput, ...given }: Given = {}, input = "") {
  const target = /[#:]/.test(name) ? name : `m.mjs#${name}`;
  const action = { type: "call", target, input: Buffer.from(input) } as const;
  const request = {
    run: "r", job: `j${++ids}`, attempt: 1, worker: "w", env: {}, timeoutMs: 60_000, inputs: [],
    project, action, ...given,
  };
  const text = { stdout: "", stderr: "" };
  const keep = (stream: "stdout" | "stderr", bytes: Buffer) => void (text[stream] += bytes);
  const take = onOutput ?? keep;
  const running: Running = calls.start({ request, action, baseEnv: env }, take);
  return { running, text };
}

async function end(calls: CallPool, name: string, given: Given = {}, input = "") {
  const { running, text } = start(calls, name, given, input);
  return { ...(await running.done), ...text };
}

const brief = ({ status, kind }: ExecOutcome) => [status, kind].join(" ");

test("a call that takes too much ends itself, and the next one finds a process", async () => {
  const calls = pool(3);
  const cases: [string, string, RegExp][] = [
    ["long", "bad-input", /^Cannot keep the result: it has, as JSON, more than 65536 bytes; put/],
    ["long2", "bad-input", /more than 65536 bytes/],
    ["holes", "bad-input", /more than 65536 bytes/],
    ["boxed", "bad-input", /more than 65536 bytes/],
    ["json", "bad-input", /more than 65536 bytes/],
    ["deep", "bad-input", /^Cannot keep the result: it is not JSON \(RangeError: Maximum call/],
    ["error", "exit", /^threw Error: xxx.*…$/],
    ["nothing", "exit", /^threw a value that cannot be shown$/],
    ["late", "exit", /^crashed its thread: Error: yyy.*…$/],
    ["buffers", "exit", /^used more than the 220 MB of memory that the process of a call may/],
    ["shared", "exit", /^used more than the 220 MB/],
    ["wasm", "exit", /^used more than the 220 MB/],
    ["arrays", "exit", /^used more than the 48 MB of memory that a call may have$/],
    ["strings", "exit", /^used more than the \d+ MB/],
    ["objects", "exit", /^used more than the 48 MB/],
    ["kill", "signal", /^crashed its process: ended by SIGSEGV$/],
  ];
  const honest = start(calls, "later", {}, "300");
  await Promise.all(cases.map(async ([name, kind, message]) => {
    const outcome = await end(calls, name);
    assert.deepEqual([name, brief(outcome)], [name, `failed ${kind}`], outcome.message);
    assert.match(String(outcome.message), message);
    assert.ok(String(outcome.message).length < 4100, name);
    if (name === "error") assert.equal(outcome.stderr.length, 64 * 1024 + 1, "of its stack");
  }));
  const { result: said, durationMs } = await honest.running.done;
  assert.equal(String(said), '"done"');
  assert.ok(durationMs >= 295 && durationMs < 60_000, `${durationMs} ms`);
  assert.equal(String((await end(calls, "double", {}, "4")).result), "8");
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isTrue()) {
    if (performance.now() > deadline) assert.fail(`still not so after 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // Looking costs more than waiting.
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("greedy calls beside honest calls and programs: all honest ones complete", async () => {
  const workDir = mkdtempSync(join(tmpdir(), "titan-calls-jobs-"));
  const executor = createExecutor({ host, workDir, callProcesses: 4 });
  executors.push(executor);
  const run = (action: ExecRequest["action"]) => executor.start({
    run: "r", job: `j${++ids}`, attempt: 1, worker: "w", env: {}, timeoutMs: 60_000, inputs: [],
    project, action,
  }, () => undefined).done;
  const call = (name: string, input = "") =>
    run({ type: "call", target: `m.mjs#${name}`, input: Buffer.from(input) });
  const greedy = ["buffers", "long", "kill"].map((name) => call(name));
  const honest = [1, 2, 3].flatMap((n) => [
    call("double", String(n)), run({ type: "shell", script: `printf ${2 * n} >"$TITAN_OUTPUT"` }),
  ]);
  assert.deepEqual((await Promise.all(honest)).map(({ result }) => String(result)), [..."224466"]);
  assert.deepEqual((await Promise.all(greedy)).map(brief), [
    "failed exit", "failed bad-input", "failed signal",
  ]);
  assert.match(String((await greedy[0])?.message), /^used more than the 512 MB/);
});

test("a process carries one call after another, the one that has the module loaded", async () => {
  const calls = pool(3);
  writeFileSync(join(project, "n.mjs"), "export const pid = () => process.pid;");
  const both = [start(calls, "pid"), start(calls, "pid")];
  const ends = await Promise.all(both.map(({ running }) => running.done));
  const pids = ends.map(({ result }) => String(result));
  assert.equal(new Set(pids).size, 2, "two at once");
  const other = String((await end(calls, "pid", {}, "")).result);
  assert.ok(pids.includes(other));
  const n = String((await end(calls, "n.mjs#pid")).result);
  assert.ok(pids.includes(n), "any idle one, rather than a new one");
  for (let i = 0; i < 3; i++) assert.equal(String((await end(calls, "n.mjs#pid")).result), n);
});

test("a module that a process has loaded is not looked for again and any other is", async () => {
  let looks = 0;
  const stat = (path: string) => (looks++, host.storage.stat(path));
  const calls = new CallPool({
    host: { ...host, storage: { ...host.storage, stat } }, processes: 1, env, limits: small,
  });
  pools.push(calls);
  for (let i = 0; i < 3; i++) assert.equal((await end(calls, "double", {}, "1")).status, "ok");
  assert.equal(looks, 1);
  assert.equal((await end(calls, "no.mjs#double")).kind, "not-found");
  assert.ok(looks > 1);
  const elsewhere = await end(calls, "double", { project: join(project, "none") });
  assert.equal(elsewhere.kind, "not-found", "the same name in another project is another module");
});

test("a call that is cancelled while it waits for a process never begins", async () => {
  let looked = 0;
  const stat = (path: string) => host.storage.stat(path).finally(() => looked++);
  const calls = new CallPool({
    host: { ...host, storage: { ...host.storage, stat } }, processes: 1, env, limits: small,
  });
  pools.push(calls);
  const mark = join(project, "mark");
  writeFileSync(join(project, "mark.mjs"), `
    import { writeFileSync } from "node:fs";
    export default (path) => writeFileSync(path, "");
  `);
  const go = join(project, "go");
  const [first, second] = [
    start(calls, "held", {}, JSON.stringify(go)),
    start(calls, "mark.mjs#default", {}, JSON.stringify(mark)),
  ];
  const third = start(calls, "double", {}, "2");
  await until("all have been looked for", () => looked === 3);
  await new Promise((resolve) => setImmediate(resolve)); // and two of them wait
  second.running.cancel();
  assert.equal(brief(await second.running.done), "failed cancelled");
  writeFileSync(go, "");
  assert.equal(String((await first.running.done).result), '"done"');
  assert.equal(String((await third.running.done).result), "4");
  assert.equal(existsSync(mark), false);
});

test("a process that is large after its call, or knows many modules, is replaced", async () => {
  const heavy = pool(1, { heavyMb: 120 });
  const before = String((await end(heavy, "pid")).result);
  assert.equal(String((await end(heavy, "pid")).result), before);
  assert.equal((await end(heavy, "large")).status, "ok");
  const next = await end(heavy, "pid");
  assert.equal(next.status, "ok");
  assert.notEqual(String(next.result), before);
  const calls = pool(1);
  const pidOf = async (i: number): Promise<string> => {
    writeFileSync(join(project, `many${i}.mjs`), "export default () => process.pid;");
    return String((await end(calls, `many${i}.mjs#default`)).result);
  };
  const pids = await Promise.all([pidOf(0), pidOf(1)]); // the second waits for the first
  for (let i = 2; i < 33; i++) pids.push(await pidOf(i));
  assert.deepEqual([new Set(pids.slice(0, 32)).size, new Set(pids).size], [1, 2]);
});

test("a process that has nothing to do is let go after 30 s", async () => {
  const timers: { ms: number; fire: () => void; cancelled: boolean }[] = [];
  const after = (ms: number, fire: () => void) => {
    const timer = { ms, fire, cancelled: false, cancel: () => void (timer.cancelled = true) };
    timers.push(timer);
    return timer;
  };
  const calls = new CallPool({
    host: { ...host, timers: { ...host.timers, after } }, processes: 1, env, limits: small,
  });
  pools.push(calls);
  const pid = Number((await end(calls, "pid", { timeoutMs: 0 })).result);
  assert.deepEqual(timers.map(({ ms, cancelled }) => [ms, cancelled]), [[30_000, false]]);
  const { running, text } = start(calls, "spin", { timeoutMs: 0 });
  await until("the next call runs", () => text.stdout === `${pid}\n`);
  assert.deepEqual(timers.map(({ cancelled }) => cancelled), [true], "it has something to do");
  running.cancel();
  await until("it is gone", () => !lives(pid));
  const next = Number((await end(calls, "pid", { timeoutMs: 0 })).result);
  assert.deepEqual(timers.map(({ cancelled }) => cancelled), [true, false]);
  timers.at(-1)?.fire();
  const last = await end(calls, "pid", { timeoutMs: 0 }); // at once: the old one is still ending
  assert.equal(last.status, "ok", last.message);
  assert.notEqual(Number(last.result), next);
  await until("it is gone, too", () => !lives(next));
  assert.equal(timers.length, 3);
  await calls.close();
  assert.ok(timers.at(-1)?.cancelled);
});

test("a pool that is closed keeps no timer: our process could not end before it", async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const calls = pool(2);
  await Promise.all([end(calls, "double", {}, "1"), end(calls, "double", {}, "2")]);
  await calls.close();
  assert.equal(timers(), before);
});

test("a call's output stops while nobody reads, goes on, and comes before its end", async () => {
  const calls = pool(1);
  let text = "";
  const { running } = start(calls, "lines", {
    onOutput: (_stream, bytes) => {
      text += bytes;
      running.pauseOutput();
      setTimeout(() => running.resumeOutput(), 1);
    },
  });
  running.pauseOutput(); // before it has a process
  // Behind it one that was paused and goes on before its turn comes.
  const behind = start(calls, "double", {}, "3").running;
  behind.pauseOutput();
  behind.resumeOutput();
  await end(pool(1), "double", {}, "1"); // in this time it would have printed
  assert.equal(text, "");
  running.resumeOutput();
  assert.equal(String((await behind.done).result), "6");
  const outcome = await running.done;
  assert.equal(String(outcome.result), '"end"', outcome.message);
  assert.equal(text, Array.from({ length: 60_000 }, (_, i) => `${i}\n`).join("") + "last\n");
  let isPaused = false;
  const stopped = start(calls, "lines", {
    onOutput: () => {
      stopped.running.pauseOutput();
      isPaused = true;
    },
  });
  await until("some has come", () => isPaused);
  stopped.running.cancel();
  assert.equal(brief(await stopped.running.done), "failed cancelled");
  assert.equal(String((await end(calls, "double", {}, "2")).result), "4");
});

test("a call that ends while its reader has stopped does not stop the next one", async () => {
  const calls = pool(1);
  writeFileSync(join(project, "brief.mjs"), 'export default () => { console.log("brief"); };');
  for (let round = 0; round < 10; round++) {
    const onOutput = (): void => {
      running.pauseOutput(); // its end may be in the same bytes
      setImmediate(() => running.resumeOutput());
    };
    const { running } = start(calls, "brief.mjs#default", { onOutput });
    assert.equal((await running.done).status, "ok");
  }
});

test("a call that is cancelled while nobody reads leaves its process to end", async () => {
  const calls = pool(1);
  const mark = join(project, "begun");
  writeFileSync(join(project, "begins.mjs"), `
    import { writeFileSync } from "node:fs";
    export default (mark) => {
      console.log("unread");
      writeFileSync(mark, "");
      for (;;);
    };`);
  const { running, text } = start(calls, "begins.mjs#default", {}, JSON.stringify(mark));
  running.pauseOutput();
  await until("it has begun", () => existsSync(mark));
  await new Promise((resolve) => setImmediate(resolve)); // what it has printed is in the pipe
  assert.equal(text.stdout, "");
  running.cancel();
  assert.equal((await running.done).kind, "cancelled");
  await calls.close();
});

test("a line of megabytes arrives whole; what Node itself prints is output, too", async () => {
  const calls = pool(1);
  const { stdout } = await end(calls, "line");
  assert.ok(stdout === `${"z".repeat(2e6)}ü\n`);
  const { stdout: raw, stderr, status } = await end(calls, "warn");
  assert.deepEqual([status, raw], ["ok", "raw, too"]);
  assert.match(stderr, /Warning: beware/);
  assert.match(stderr, /raw/);
});

test("output comes in pieces that cut no character, as bytes or text, and calls " +
  "back", async (t) => {
  const size = 16 * 1024;
  const { mock } = t.mock.method(ReplyReader.prototype, "push");
  const { stdout, stderr, status, message } = await end(pool(1), "pieces");
  assert.deepEqual([status, stderr], ["ok", "e"], message);
  assert.ok(stdout === `${"z".repeat(size - 1)}😀${"z".repeat(size + 1)}${"b".repeat(size + 1)}`);
  const bytes = Buffer.concat(mock.calls.map((call) => call.arguments[0] as Buffer));
  const lengths: number[] = []; // of each reply, behind its kind
  for (let at = 0; at < bytes.length; at += 5 + lengths.at(-1)!) {
    lengths.push(bytes.readUInt32BE(at + 1));
  }
  assert.deepEqual(lengths.slice(0, -1), [size + 3, size, 1, size, 1, 1]);
});

test("a call sees its own variables, none of an earlier one, and a large input whole", async () => {
  const calls = pool(1);
  const names = async (own: Record<string, string>): Promise<string[]> =>
    JSON.parse(String((await end(calls, "variables", { env: own })).result)) as string[];
  const always = ["PATH", "TITAN_ATTEMPT", "TITAN_JOB", "TITAN_RUN", "TITAN_WORKER"];
  assert.deepEqual(await names({ A: "1" }), ["A", ...always]);
  assert.deepEqual(await names({ B: "2" }), ["B", ...always]);
  const input = JSON.stringify("ü".repeat(300_000));
  assert.equal(String((await end(calls, "length", {}, input)).result), "300000");
  const pid = String((await end(calls, "pid")).result);
  if (!existsSync(`/proc/${pid}/oom_score_adj`)) return;
  const first = readFileSync(`/proc/${pid}/oom_score_adj`, "latin1").trim();
  assert.equal(first, "1000", "a machine short of memory ends this process first");
  const name = readFileSync(`/proc/${pid}/cmdline`, "latin1");
  assert.match(name, /^titan-calls/, "people see which process it is");
});

test("a daemon that holds the pipes of a call's process does not hold up its end", async () => {
  const { message, exitCode, stdout } = await end(pool(1), "daemon");
  assert.deepEqual([message, exitCode], ["ended its thread with process.exit(4)", 4]);
  process.kill(Number(stdout), "SIGKILL");
});

test("calls hold their worker's process while they are under way, and no longer", async () => {
  const program = `
    const timers = { after: () => ({ cancel() {} }), soon: (fn) => setImmediate(fn) };
    const calls = new CallPool({ host: { ...nodeWorkerHost(), timers }, processes: 1, env: {} });
    for (const target of ["m.mjs#double", "titan:echo", "m.mjs#double", "titan:echo"]) {
      const action = { type: "call", target, input: Buffer.from("2") };
      const job = { request: { ...request, action }, action, baseEnv: {} };
      const running = calls.start(job, () => {});
      running.done.then(({ result }) => process.stdout.write(String(result)));
      await running.done;
    }
    if (process.argv.includes("--close")) await calls.close().then(() => console.log("closed"));
  `;
  assert.equal(await runProgram(program), "4242");
  assert.equal(await runProgram(program, "--close"), "4242closed\n", "close() waits for its end");
});

/** Runs a program that ends by itself. */
async function runProgram(program: string, ...args: string[]): Promise<string> {
  const child = startProgram(program, ...args);
  let out = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes));
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0);
  return out;
}

function startProgram(program: string, ...args: string[]) {
  // In a compiled copy we and it are JavaScript.
  const ending = extname(new URL(import.meta.url).pathname);
  const pool = new URL(`../src/exec/call-pool${ending}`, import.meta.url).href;
  const text = `
    import { nodeWorkerHost } from "#process";
    import { CallPool } from ${JSON.stringify(pool)};
    const request = {
      run: "r", job: "j", attempt: 1, worker: "w", env: {}, timeoutMs: 0, inputs: [],
      project: ${JSON.stringify(project)},
    };
    ${program}
  `;
  const flags = process.execArgv.filter((flag) => !flag.startsWith("--test"));
  return spawn(process.execPath, [...flags, "--input-type=module", "-e", text, "--", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("what a call has started ends with it, and all of it with the worker", async () => {
  const calls = pool(1);
  const { running, text } = start(calls, "child");
  await until("its child has a number", () => text.stdout.endsWith("\n"));
  const child = Number(text.stdout);
  assert.ok(lives(child));
  running.cancel();
  await until("the child is gone", () => !lives(child));

  const worker = startProgram(`
    const action = { type: "call", target: "m.mjs#spin", input: Buffer.alloc(0) };
    new CallPool({ host: nodeWorkerHost(), processes: 1, env: {} })
      .start({ request: { ...request, action }, action, baseEnv: {} }, (_, bytes) => {
        process.stdout.write(bytes);
      });
  `);
  let out = "";
  worker.stdout.on("data", (bytes: Buffer) => (out += bytes));
  await until("it spins, or has ended", () => out.endsWith("\n") || worker.exitCode !== null);
  assert.equal(worker.exitCode, null);
  assert.ok(lives(Number(out)));
  worker.kill("SIGKILL");
  await until("it is gone", () => !lives(Number(out)));
});

test("a call that writes into the pipes of its process harms itself only", async () => {
  const calls = pool(1);
  assert.equal(brief(await end(calls, "forge")), "failed signal");
  const quiet = await end(calls, "quiet");
  assert.deepEqual([brief(quiet), quiet.message, quiet.signal], [
    "failed signal", "crashed its process: ended by SIGKILL", "SIGKILL",
  ]);
  assert.equal((await end(calls, "mute")).signal, "SIGKILL", "it ends without its last word");
  assert.equal(String((await end(calls, "double", {}, "3")).result), "6");
});

test("a call whose process has crashed says how, and whether memory may be the reason", () => {
  const none = { word: "", code: null, signal: null };
  const memory = " (V8 ends a process that cannot get the memory it asks for)";
  const cases = [["SIGABRT", memory], ["SIGTRAP", memory], ["SIGSEGV", ""]] as const;
  for (const [signal, why] of cases) {
    const message = `crashed its process: ended by ${signal}${why}`;
    assert.deepEqual(lostEnd({ ...none, signal }), { kind: "signal", message, signal });
  }
  const message = "crashed its process: exited with code 7";
  assert.deepEqual(lostEnd({ ...none, code: 7 }), { kind: "exit", message, exitCode: 7 });
});

test("a process of calls is on the list of what ends with us, off it when it is gone", async () => {
  if (!existsSync("/proc/self/stat")) return;
  const path = join(project, "live");
  journalProcesses(path);
  const calls = pool(1);
  const pid = Number((await end(calls, "pid")).result);
  assert.ok(parseJournal(readFileSync(path, "latin1")).has(pid));
  await calls.close();
  assert.ok(!parseJournal(readFileSync(path, "latin1")).has(pid));
});

test("built-in calls of one turn share a message, up to a mebibyte of inputs", async (t) => {
  const { mock } = t.mock.method(Worker.prototype, "postMessage");
  const calls = pool();
  const messages = async (...bytes: number[]): Promise<number> => {
    const before = mock.callCount();
    const inputs = bytes.map((size) => `"${"x".repeat(size - 2)}"`);
    await Promise.all(inputs.map((input) => end(calls, "titan:noop", {}, input)));
    return mock.callCount() - before;
  };
  assert.equal(await messages(3, 3, 3), 1);
  // What reaches the mebibyte waits for the end of the turn; what exceeds it is sent at once.
  assert.equal(await messages(1_048_573, 3, 3), 1);
  assert.equal(await messages(1_048_573, 3, 3, 3), 2);
  assert.equal(await messages(1_048_577, 3), 2);
});

test("built-in calls whose thread has ended fail; the next ones get a new thread", async (t) => {
  const ref = t.mock.method(Worker.prototype, "ref");
  const calls = pool(1);
  for (const crash of [undefined, new Error("no memory")]) {
    const began = once(process, "worker") as Promise<[Worker]>;
    assert.equal(String((await end(calls, "titan:echo", {}, "1")).result), "1");
    const [thread] = await began;
    const under = [start(calls, "titan:echo", {}, "2"), start(calls, "titan:noop")];
    if (crash !== undefined) thread.emit("error", crash);
    await thread.terminate();
    for (const { running } of under) {
      const { kind, message } = await running.done;
      const why = `The thread of the built-in calls ended: ${crash?.message ?? "by itself"}`;
      assert.deepEqual([kind, message], ["internal", why]);
    }
  }
  ref.mock.resetCalls();
  const began = once(process, "worker") as Promise<[Worker]>;
  assert.equal(String((await end(calls, "titan:echo", {}, "3")).result), "3");
  assert.equal(ref.mock.callCount(), 1, "our process must not end while it waits for an answer");
  const [last] = await began;
  await calls.close();
  assert.equal(last.threadId, -1, "it has ended");
});

test("a process that cannot be started fails its call, and not the worker", async () => {
  const { execPath } = process;
  process.execPath = "/nowhere/node";
  try {
    const outcome = await end(pool(1), "double", {}, "3");
    assert.equal(brief(outcome), "failed internal");
    assert.match(
      String(outcome.message), /^Cannot start a process for calls: spawn \/nowhere\/node ENOENT/,
    );
  } finally {
    process.execPath = execPath;
  }
});

const limits = { maxBytes: 100, tooLarge: "too large" };
const result = (value: unknown) => {
  const { kind, text } = encodeResult(1, value, limits);
  return kind === undefined ? text : `${kind}: ${text}`;
};

test("encodeResult() takes every value up to the limit, and none beyond", () => {
  const grow: ((n: number) => unknown)[] = [
    (n) => "x".repeat(n),
    (n) => Array(n).fill(1),
    (n) => Array(n), // holes are null
    (n) => Array(n).fill(""),
    (n) => Array(n).fill([]),
    (n) => ({ ["k".repeat(n)]: 1 }),
    (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [i, 0])),
    (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [i, undefined])),
    (n) => [["x".repeat(n)], { a: new Date(0) }],
    (n) => "é".repeat(n),
    (n) => "\0".repeat(n),
    (n) => Array.from({ length: n }).reduce((inner) => [inner], 1),
  ];
  for (const make of grow) {
    for (let n = 0; n <= 120; n++) {
      const text = JSON.stringify(make(n));
      const expected = Buffer.byteLength(text) <= 100 ? text : "bad-input: too large";
      assert.equal(result(make(n)), expected, text);
    }
  }
  assert.equal(result(undefined), "");
  assert.equal(result(() => 1), "");
  assert.match(result(1n), /^bad-input: Cannot keep the result: it is not JSON \(TypeError: .*Big/);
});

test("encodeResult() stops at the first value beyond the limit: the rest is not looked at", () => {
  let looked = 0;
  const lookedAt = (value: unknown): number => {
    looked = 0;
    assert.equal(result(value), "bad-input: too large");
    return looked;
  };
  // Of 100 bytes a number takes two at least; in an object its name and two more.
  const each = Array.from({ length: 1000 }, () => ({ toJSON: () => ++looked }));
  assert.equal(lookedAt(each), 51);
  assert.equal(lookedAt(Object.fromEntries(
    each.map((value, i) => [String.fromCharCode(0x4e00 + i), value]),
  )), 34);
  assert.equal(result([new String("x".repeat(101))]), "bad-input: too large");
  // The names of one object count as they come, but for those that JSON leaves out.
  let read = 0;
  const wide = Object.defineProperties({}, Object.fromEntries(Array.from({ length: 1000 }, (_, i) =>
    [`name${i}`, { enumerable: true, get: () => ++read }])));
  assert.equal(result(wide), "bad-input: too large");
  assert.ok(read < 60, `${read} looked at`);
  assert.equal(result({ ["f".repeat(200)]: () => 1, a: 1 }), '{"a":1}');
});

test("describe() says what was thrown in one sentence of bounded length", () => {
  assert.equal(describe(new TypeError("no")), "TypeError: no");
  assert.equal(describe("text"), "text");
  assert.equal(describe(null), "null");
  assert.equal(describe("x".repeat(4000)), "x".repeat(4000));
  assert.equal(describe("x".repeat(4001)), `${"x".repeat(4000)}…`);
  assert.equal(describe(new Error("x".repeat(4000))).length, 4001);
  const rude = { toString: () => { throw new Error(); } };
  assert.equal(describe(rude), "a value that cannot be shown");
});

type Write = (fd: number, bytes: Uint8Array) => number;
/** The modules that a call's thread loads. */
interface Loaded {
  writeSync?: Write;
  createReadStream?: (path: string, options: object) => object;
  Socket?: new (options: object) => object;
}

/** A function of the thread, made from its text as there, in another runtime. */
function inRuntime(made: object, versions: Record<string, string>, modules: Loaded) {
  const waits: string[] = [];
  const wait = (...args: [Int32Array, number, number, number]): void => {
    waits.push(Atomics.wait(...args));
  };
  const text = `${HELPERS} return ${String(made)};`;
  const run = new Function("process", "Atomics", text)({ versions }, { wait }) as
    (load: () => Loaded, ...more: unknown[]) => unknown;
  return { run: (...more: unknown[]) => run(() => modules, ...more), waits };
}

test("a reply waits while nobody reads, whatever pieces the pipe takes; it ends with its " +
  "reader", () => {
  const answers = [2, "EAGAIN", 3, "EAGAIN", 100, 3, "EPIPE", 100];
  const out: Buffer[] = [];
  const writeSync: Write = (fd, bytes) => {
    const answer = answers.shift();
    if (typeof answer === "string") throw Object.assign(new Error(answer), { code: answer });
    out.push(Buffer.from(bytes.subarray(0, answer)));
    assert.equal(fd, 4);
    return out.at(-1)!.length;
  };
  const { run, waits } = inRuntime(openReplies, {}, { writeSync });
  const { reply } = run() as ReturnType<typeof openReplies>;
  reply(STDOUT, Buffer.from("hello"));
  assert.equal(Buffer.concat(out.splice(0)).toString("latin1"), "\x01\0\0\0\x05hello");
  assert.deepEqual(waits, ["timed-out", "timed-out"], "it sleeps between two tries");
  reply(STDOUT, Buffer.from("hello"));
  assert.deepEqual([out.length, answers], [1, [100]], "nobody is there any more");
});

test("a call's thread writes to its pipe and reads from it on Node, Bun and Deno", () => {
  const pipes: object[] = [];
  let feed: (bytes: Buffer) => void = () => undefined;
  const written: Uint8Array[] = [];
  const on = (event: string, take: (bytes: Buffer) => void): void => {
    if (event === "data") feed = take;
  };
  const open = (options: object) => {
    pipes.push(options);
    return { on, write: (bytes: Uint8Array) => written.push(bytes) };
  };
  const Socket = function (options: object) { return open(options); } as unknown as
    NonNullable<Loaded["Socket"]>;
  const modules: Loaded = { Socket, createReadStream: (_, options) => open(options) };
  let got = "";
  const take = (bytes: Buffer): void => void (got += bytes);
  for (const versions of [{ bun: "1.0.0" }, { deno: "2.0.0" }] as Record<string, string>[]) {
    inRuntime(openRequests, versions, modules).run(take);
    feed(Buffer.from(Object.keys(versions).join()));
  }
  inRuntime(openRequests, {}, modules).run(take);
  const { onread } = pipes[2] as { onread: { buffer: Buffer; callback(length: number): boolean } };
  onread.buffer.write("node and more");
  assert.ok(onread.callback(4), "and goes on");
  assert.equal(got, "bundenonode");
  const { reply } = inRuntime(openReplies, { deno: "2.0.0" }, modules).run() as
    ReturnType<typeof openReplies>;
  reply(STDERR, Buffer.from("x"));
  assert.equal(Buffer.concat(written).toString("latin1"), "\x02\0\0\0\x01x");
  const reads = { fd: 3, writable: false };
  assert.deepEqual(pipes, [{ fd: 3 }, reads, { ...reads, onread }, { fd: 4 }]);
});

test("a call's thread takes requests however they are cut, and weighs its process now and " +
  "then", async () => {
  const replies: Buffer[] = [];
  let onread!: { buffer: Buffer; callback(length: number): void };
  let now = 1000;
  let weighed = 0;
  const Socket = function (options: { onread: typeof onread }) { onread = options.onread; };
  const modules = {
    Socket, workerData: { heavyMb: 0 }, performance: { now: () => now },
    writeSync: (_: number, bytes: Uint8Array) => replies.push(Buffer.from(bytes)) && bytes.length,
  };
  const fake = {
    versions: {}, stdout: {}, stderr: {}, memoryUsage: () => ({ rss: ++weighed }),
  };
  new Function("process", "load", "kinds", threadProgram("load", "kinds"))(
    fake, () => modules, { STDOUT, STDERR, DONE },
  );
  const nothing = { url: "", name: "", target: "t", inputs: "", env: {} };
  const context = { run: "r", job: "j", attempt: 1 };
  /** A call that ends before its function is looked for; whether its process was heavy. */
  const isHeavy = async (id: number, cutAt: number): Promise<boolean | undefined> => {
    const bytes = encodeCall({ ...nothing, id, input: "{", context });
    for (const piece of [bytes.subarray(0, cutAt), bytes.subarray(cutAt)]) {
      onread.callback(piece.copy(onread.buffer));
      onread.buffer.fill(0, 0, piece.length); // the next bytes overwrite it
    }
    await new Promise((resolve) => setImmediate(resolve));
    const done = JSON.parse(String(replies.at(-1)!.subarray(5))) as { id: number; heavy?: true };
    assert.deepEqual([replies.length, done.id], [id, id]);
    return done.heavy;
  };
  assert.equal(await isHeavy(1, 1), true);
  assert.equal(await isHeavy(2, 3), undefined, "in a moment a call fills little");
  assert.equal(await isHeavy(3, 4), undefined);
  assert.equal(weighed, 1);
  now += 2;
  assert.equal(await isHeavy(4, 20), true);
  assert.equal(await isHeavy(5, 5), undefined);
  assert.equal(weighed, 2);
});

test("memoryOf() asks the fast way where there is one", () => {
  const slow = () => ({ rss: 2 });
  assert.equal(memoryOf({ memoryUsage: Object.assign(slow, { rss: () => 1 }) } as never), 1);
  assert.equal(memoryOf({ memoryUsage: () => ({ rss: 2 }) } as never), 2);
});

test("ReplyReader reads replies however they are cut, and nothing after what is none", () => {
  const reply = (kind: number, content: string): Buffer => {
    const head = Buffer.alloc(5);
    head.writeUInt8(kind, 0);
    head.writeUInt32BE(Buffer.byteLength(content), 1);
    return Buffer.concat([head, Buffer.from(content)]);
  };
  const read = (bytes: Buffer, step: number): string => {
    let seen = "";
    const reader = new ReplyReader({
      onOutput: (stream, piece) => void (seen += `${stream === "stdout" ? "o" : "e"}${piece}`),
      onDone: ({ id, text }) => void (seen += `done ${id} ${text}`),
      onBroken: () => void (seen += "broken"),
    });
    for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
    return seen;
  };
  const done = reply(DONE, '{"id":7,"text":"x"}');
  const all = Buffer.concat([
    reply(STDOUT, "a"), reply(STDERR, "b"), reply(STDOUT, ""), done, done,
  ]);
  for (let step = 1; step <= all.length; step++) {
    assert.equal(read(all, step), "oaebdone 7 xdone 7 x");
  }
  const dones = ["{", '{"id":"7","text":""}', '{"id":7}', "null"];
  for (const bad of [reply(4, "x"), reply(0, "x"), ...dones.map((text) => reply(DONE, text))]) {
    assert.equal(read(Buffer.concat([bad, done]), 3), "broken");
  }
  const most = 6 * MAX_RESULT_BYTES + 64 * 1024;
  const head = (length: number): Buffer => {
    const bytes = reply(DONE, "");
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  assert.equal(read(head(most), 5), "");
  assert.equal(read(head(most + 1), 5), "broken");
  assert.equal(read(Buffer.concat([reply(DONE, ""), done]), 5), "done 7 x");
});
