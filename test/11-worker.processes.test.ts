import assert from "node:assert/strict";
import { spawn as spawnNode, spawnSync, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import fs, {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, afterEach, test } from "node:test";
import { seededRandom, type Child, type Exit, type SpawnOptions } from "#host";
import { nodeProcesses, MarkReader, markText } from "#process";
import { processCounts } from "../src/process/pool.ts";
import { pauseAfter, Sweeper } from "../src/process/sweep.ts";
import "./leaks.support.ts";
import { EVAL, PATH } from "./processes.support.ts";

const processes = nodeProcesses();
const folder = mkdtempSync(join(tmpdir(), "titan-processes-"));
after(() => rmSync(folder, { recursive: true, force: true }));
/** A test that fails leaves its jobs running, and a running job keeps this process alive. */
const running = new Set<Child>();
/** Programs of Node's own, which do so as well. */
const programs = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.signal("SIGKILL");
  for (const child of programs) child.kill("SIGKILL");
});

interface Ended extends Exit {
  out: string;
  err: string;
}

/** Starts a program and collects what it does. `with` gets the child in the turn it was started. */
function start(
  argv: string[],
  options: Partial<SpawnOptions> & { with?: (child: Child) => void } = {},
): { child: Child; ended: Promise<Ended> } {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let child!: Child;
  const ended = new Promise<Ended>((resolve) => {
    child = processes.spawn({
      argv,
      cwd: options.cwd ?? folder,
      env: options.env ?? { PATH },
      onOutput:
        options.onOutput ?? ((stream, bytes) => void (stream === "stdout" ? out : err).push(bytes)),
      onExit: (exit) => {
        running.delete(child);
        resolve({
          ...exit,
          out: Buffer.concat(out).toString(),
          err: Buffer.concat(err).toString(),
        });
      },
    });
    running.add(child);
  });
  options.with?.(child);
  return { child, ended };
}
const run = (argv: string[], options: Parameters<typeof start>[1] = {}) =>
  start(argv, options).ended;
const sh = (script: string, options: Parameters<typeof start>[1] = {}) =>
  run(["sh", "-c", script], options);

function script(name: string, text: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** Waits for something to become true, looking again every few milliseconds until the deadline. */
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!isTrue()) {
    if (performance.now() > deadline) assert.fail(`still not so after 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // Looking costs more than waiting.
  }
}

/** The command lines of all processes but our own. */
function* commands(): Generator<string[]> {
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      yield readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
    } catch {
      // It ended while we looked.
    }
  }
}

/** A process that only we could have started: its command line carries a mark. */
function alive(mark: string): boolean {
  for (const words of commands()) if (words.includes(mark)) return true;
  return false;
}

/**
 * The program that starts `sleep` (setsid, nohup) has become it. Until its exec is over a process
 * shows no environment, and may still be in its old group.
 */
function isAsleep(time: string): boolean {
  for (const [name, argument] of commands()) if (name === "sleep" && argument === time) return true;
  return false;
}
/** For a shell: waits until its last child in the background is `sleep`, as isAsleep() does. */
const ASLEEP = 'until read -r name </proc/$!/comm && [ "$name" = sleep ]; do :; done';
let marks = 0;
/** A number of seconds for `sleep` that no other test uses. */
const mark = () => `${2_000_000 + process.pid}.${++marks}`;

test("spawn() reports a missing program, a folder, a file that is not executable and a missing " +
  "work folder", async () => {
  const plain = script("plain.txt", "no program\n", 0o644);
  const cases: [string[], string, string, string?][] = [
    [["no-such-program"], "ENOENT", 'Cannot start "no-such-program": no such file'],
    [["./nope.sh"], "ENOENT", 'Cannot start "./nope.sh": no such file'],
    [[folder], "EACCES", `Cannot start "${folder}": it is a folder`],
    [[plain], "EACCES", `Cannot start "${plain}": it is not executable`],
    [["true"], "ENOENT", 'Cannot start "true": no such folder "/no/such" to run it in', "/no/such"],
    [["./x"], "ENOENT", 'Cannot start "./x": no such folder "/no/such" to run it in', "/no/such"],
    [[], "ENOENT", 'Cannot start "": no program is named'],
    [
      ["true", "a\0b"],
      "EINVAL",
      'Cannot start "true": an argument or variable contains a NUL byte',
    ],
  ];
  for (const [argv, code, message, cwd] of cases) {
    const { error, ...rest } = await run(argv, cwd === undefined ? {} : { cwd });
    assert.deepEqual(
      { code: error?.code, message: error?.message, exit: rest.code },
      { code, message, exit: null },
    );
  }
  // A file where a folder is looked into hides no program, and no lack of one.
  const env = { PATH: `${plain}:${PATH}` };
  assert.equal((await run(["true"], { env })).code, 0);
  const { error } = await run(["no-such-program"], { env });
  assert.equal(error?.message, 'Cannot start "no-such-program": no such file');
});

test("spawn() runs jobs without a launcher where there is no shell", async (t) => {
  const really = existsSync;
  const shell = t.mock.method(fs, "existsSync", (path: string) =>
    path !== "/bin/sh" && really(path));
  syncBuiltinESMExports();
  try {
    const before = processCounts();
    const ended = run(["sleep", "0"]);
    const { idle, launchers } = processCounts();
    assert.deepEqual({ idle, launchers }, { idle: before.idle, launchers: before.launchers });
    assert.equal((await ended).code, 0);
  } finally {
    shell.mock.restore();
    syncBuiltinESMExports();
  }
});

test("spawn() reports a script whose interpreter is missing and a file the " +
  "system cannot execute", async () => {
  const asks = script("orphan", "#!/no/such/interpreter -x\n");
  for (const env of [{ PATH }, { PATH, "odd-name": "takes the way without a launcher" }]) {
    const orphan = await run([asks], { env });
    assert.equal(orphan.error?.code, "ENOENT");
    assert.match(orphan.error!.message, /its first line asks for "\/no\/such\/interpreter"/);
  }
  const garbage = script("garbage", "\x7fELF\x02\x01\x01 and no more");
  // bash, where it is /bin/sh, leaves only the status 126 to tell of it.
  const { stdout } = spawnSync("sh", ["-c", `trap "echo told" 0; exec '${garbage}'`]);
  const { code, error } = await run([garbage]);
  assert.deepEqual([code, error?.code], stdout.length > 0 ? [null, "ENOEXEC"] : [126, undefined]);
});

test("spawn() never calls back before it has returned", async () => {
  for (const program of ["true", "no-such-program"]) {
    let returned = false;
    await run([program], { with: () => (returned = true), onOutput: () => assert.ok(returned) });
  }
  let inside = true;
  const ended = new Promise<void>((resolve) => {
    processes.spawn({
      argv: ["no"],
      cwd: folder,
      env: {},
      onOutput() {},
      onExit: () => (assert.equal(inside, false), resolve()),
    });
  });
  inside = false;
  await ended;
});

test("onExit() gives the exit status, and the signal when one ended the program", async () => {
  for (const code of [0, 1, 2, 42, 126, 127, 128, 255]) {
    assert.deepEqual(await sh(`exit ${code}`), { code, signal: null, out: "", err: "" });
  }
  for (const signal of ["KILL", "TERM", "SEGV", "HUP"]) {
    assert.deepEqual(await sh(`kill -${signal} $$`), {
      code: null,
      signal: `SIG${signal}`,
      out: "",
      err: "",
    });
  }
});

test("spawn() gives the program exactly the environment it was given", async () => {
  const env = { PATH: "/usr/bin:/bin", EMPTY: "", ODD: `it's "$HOME" \`x\` \\ \n\t ü€😀 \u0001 *` };
  const list = (text: string) => text.split("\0").filter(Boolean).sort();
  const expected = (given: Record<string, string>) =>
    Object.entries(given)
      .map(([k, v]) => `${k}=${v}`)
      .sort();
  assert.deepEqual(list((await run(["env", "-0"], { env })).out), expected(env));
  // Names that a shell could not carry take the plain way, with the same result.
  const odd = { ...env, "with-dash": "1", PWD: "/elsewhere", "1st": "x", IFS: "/", _: "y" };
  assert.deepEqual(list((await run(["env", "-0"], { env: odd })).out), expected(odd));
});

test("spawn() passes any arguments through unchanged", async () => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  const random = seededRandom(seed);
  const alphabet = [
    "'",
    '"',
    "\\",
    "\n",
    " ",
    "$",
    "`",
    "*",
    "!",
    "#",
    "~",
    "a",
    "\x01",
    "\x1e",
    "\x7f",
    "\u0081",
    "ü",
    "€",
    "😀",
    ";",
    "&",
    "|",
    "(",
    "-n",
  ];
  for (let round = 0; round < 25; round++) {
    const args = Array.from({ length: 1 + (random.u32() % 5) }, () =>
      Array.from(
        { length: random.u32() % 12 },
        () => alphabet[random.u32() % alphabet.length],
      ).join(""),
    );
    const { out } = await run(["printf", "%s\\0", ...args]);
    assert.deepEqual(out.split("\0").slice(0, -1), args, `SEED=${seed}`);
  }
  const long = "x".repeat(100_000);
  assert.equal((await run(["printf", "%s", long])).out, long, "longer than a launcher's line");
  const huge = await run(["true", ...Array.from({ length: 40 }, () => "x".repeat(120_000))]);
  assert.equal(huge.error?.code, "E2BIG");
});

test("spawn() starts the program in its folder with an empty input and outputs that can be " +
  "opened by name", async () => {
  const odd = join(folder, "it's -odd\nname");
  const { out, err } = await sh(
    "pwd -P; cat; echo named >/dev/stdout; echo oops >/dev/stderr; ls -d .",
    {
      cwd: (await run(["mkdir", odd]), odd),
    },
  );
  assert.equal(out, `${odd}\nnamed\n.\n`);
  assert.equal(err, "oops\n");
});

/** What a MarkReader makes of these chunks: bytes as text, marks in brackets. */
function readMarks(nonce: string, chunks: Buffer[]): string {
  let text = "";
  const reader = new MarkReader(nonce, {
    onBytes: (bytes) => {
      assert.ok(bytes.length > 0);
      text += bytes.toString("latin1");
    },
    onMark: (mark) => ((text += `[${mark}]`), false),
  });
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return text;
}

test("MarkReader finds the same marks and bytes wherever the stream is cut", () => {
  const nonce = "1e".repeat(8); // With the lead's digits in it, and text that nearly is a mark.
  const [start, end, near] = [
    `${markText(nonce, "s")}\n`,
    `${markText(nonce, "e")}127\n`,
    markText(nonce.slice(0, -1), "f"),
  ];
  const pieces = [
    start,
    "output",
    near,
    "\x1e\x1e\n",
    end,
    start,
    end,
    "stray\x1e",
    start,
    `${markText(nonce, "e")} no mark, because it goes on`,
    near,
  ];
  const stream = Buffer.from(pieces.join(""), "latin1");
  const whole =
    `[s]output${near}\x1e\x1e\n[e127][s][e127]stray\x1e[s]${markText(nonce, "e")} no ` +
    `mark, because it goes on${near}`;
  assert.equal(readMarks(nonce, [stream]), whole);
  assert.equal(
    readMarks(
      nonce,
      Array.from(stream, (byte) => Buffer.of(byte)),
    ),
    whole,
    "byte by byte",
  );
  for (let a = 0; a <= stream.length; a++) {
    for (let b = a; b <= Math.min(a + 40, stream.length); b++) {
      assert.equal(
        readMarks(nonce, [stream.subarray(0, a), stream.subarray(a, b), stream.subarray(b)]),
        whole,
        `cut at ${a} and ${b}`,
      );
    }
  }
});

test("MarkReader holds back no byte that cannot be part of a mark", () => {
  let bytes = 0;
  const reader = new MarkReader("ab", {
    onBytes: (chunk) => (bytes += chunk.length),
    onMark: () => false,
  });
  for (const [text, passed] of [
    ["plain", 5],
    ["\x1e", 5],
    ["a", 5],
    ["x", 8],
    ["\x1eab", 8],
    ["e1", 8],
    ["234", 16],
  ] as const) {
    reader.push(Buffer.from(text));
    assert.equal(bytes, passed, `after ${JSON.stringify(text)}`);
  }
});

test("MarkReader passes bytes on as slices of what it was given, copied only with some held " +
  "back", () => {
  let last: ArrayBufferLike | undefined;
  const onBytes = ({ buffer }: Buffer): void => void (last = buffer);
  const reader = new MarkReader("ab", { onBytes, onMark: () => false });
  for (let round = 0; round < 3; round++) {
    const chunk = Buffer.alloc(10, "plain");
    reader.push(chunk);
    assert.equal(last, chunk.buffer, `round ${round}`);
  }
});

test("onOutput() delivers every byte before onExit(), with and without a line feed " +
  "at the end", async () => {
  for (const text of ["", "x", "no line feed", "\n", "\x1e", "\x1e\x1e\x1e", "a\x1eb\n\n"]) {
    const ended = await run(["sh", "-c", 'printf %s "$1"; printf %s "$1" >&2', "sh", text]);
    assert.deepEqual([ended.out, ended.err], [text, text]);
  }
  const { out } = await run(["seq", "1", "200000"]);
  assert.equal(out.length, 1_288_895);
  assert.ok(out.endsWith("\n199999\n200000\n"));
});

test("onOutput() never gives one job another's output, whatever runs at once", async () => {
  const results = await Promise.all(Array.from({ length: 64 }, async (_, i) => {
    let count = 0;
    for (let round = 0; round < 4; round++) {
      const { out, err } = await sh(`echo out ${i} ${round}; echo err ${i} ${round} >&2`);
      if (out === `out ${i} ${round}\n` && err === `err ${i} ${round}\n`) count++;
    }
    return count;
  }));
  assert.deepEqual(results, Array.from({ length: 64 }, () => 4));
});

test("onOutput() hands on a gigabyte in bounded memory", async () => {
  let bytes = 0;
  let peak = 0;
  const before = process.memoryUsage().rss;
  const { code } = await run(["head", "-c", "1000000000", "/dev/zero"], {
    onOutput: (_stream, chunk) => {
      bytes += chunk.length;
      peak = Math.max(peak, process.memoryUsage.rss());
    },
  });
  assert.deepEqual([code, bytes], [0, 1_000_000_000]);
  assert.ok(peak - before < 200e6, `grew by ${(peak - before) / 1e6} MB`);
});

test("pause() blocks the program, and resume() lets it finish with every byte", async () => {
  const done = join(folder, "done");
  let bytes = 0;
  const { child, ended } = start(["sh", "-c", `head -c 10000000 /dev/zero; echo x >"${done}"`], {
    onOutput: (_s, b) => (bytes += b.length),
  });
  child.pause();
  const bystander = await sh("seq 1 50000 | wc -l"); // Another job is not held up by a paused one.
  assert.equal(bystander.out.trim(), "50000");
  assert.ok(!existsSync(done) && bytes < 1_000_000, `${bytes} bytes came although it was paused`);
  child.resume();
  assert.equal((await ended).code, 0);
  assert.equal(bytes, 10_000_000);
});

test("pause() holds back what a program prints, also long after its start", async () => {
  const [go, said] = [join(folder, "go"), join(folder, "said")];
  let text = "";
  const script = `echo on; until [ -e '${go}' ]; do sleep 0.01; done; echo more; : >'${said}'`;
  const { child, ended } = start(["sh", "-c", script], {
    onOutput: (_stream, bytes) => { text += String(bytes); },
  });
  await until("it runs", () => text === "on\n");
  child.pause();
  writeFileSync(go, "");
  await until("it has printed more", () => existsSync(said));
  for (let turns = 0; turns < 50; turns++) await new Promise((next) => setImmediate(next));
  assert.equal(text, "on\n");
  child.resume();
  assert.equal((await ended).code, 0);
  assert.equal(text, "on\nmore\n");
});

test("signal() reaches the program even in the turn that started it", async () => {
  for (const name of ["SIGTERM", "SIGKILL", "SIGINT"] as const) {
    const ended = await run(["sleep", mark()], { with: (child) => child.signal(name) });
    assert.deepEqual([ended.code, ended.signal], [null, name]);
  }
});

test("signal() ends the whole group, and SIGKILL those who ignore SIGTERM", async () => {
  const time = mark();
  const { child, ended } = start(
    ["sh", "-c", `trap '' TERM; sleep ${time} & echo ready; while :; do sleep ${time}; done`],
    {
      onOutput: () => child.signal("SIGTERM"),
    },
  );
  await until("the sleepers run", () => alive(time));
  const other = await sh("echo still served");
  assert.equal(other.out, "still served\n");
  assert.ok(alive(time), "SIGTERM was to be ignored");
  child.signal("SIGKILL");
  assert.equal((await ended).signal, "SIGKILL");
  await until("all of the group are gone", () => !alive(time));
});

test("signal() is ignored once the child has exited", async () => {
  const { child, ended } = start(["true"]);
  await ended;
  child.signal("SIGKILL");
  assert.equal((await run(["true"])).code, 0);
});

test("SIGSTOP and SIGCONT hold a job and let it go on", async () => {
  const { child, ended } = start(["sh", "-c", "echo on; exit 3"]);
  child.signal("SIGSTOP");
  child.signal("SIGCONT");
  assert.deepEqual([(await ended).code, (await ended).out], [3, "on\n"]);
});

test("a job's children end with it: in its group, deaf to hang-ups, or in a session " +
  "of their own", async () => {
  const [plain, deaf, daemon] = [mark(), mark(), mark()];
  const env = {
    PATH,
    TITAN_RUN: "r",
    TITAN_JOB: "j",
    TITAN_ATTEMPT: "1",
    TITAN_WORKDIR: join(folder, "w", "r", "j.1"),
  };
  const { out } = await sh(
    `sleep ${plain} & nohup sleep ${deaf} >/dev/null 2>&1 & ${ASLEEP}; ` +
      `setsid sleep ${daemon} >/dev/null 2>&1 & ${ASLEEP}; echo started`,
    { env },
  );
  assert.equal(out, "started\n");
  // A long job on the same launcher must neither shield them nor be taken for one of them.
  const next = mark();
  const { child, ended } = start(["sh", "-c", `sleep ${next} & wait`], {
    env: { ...env, TITAN_ATTEMPT: "2" },
  });
  await until("the second job's child runs", () => alive(next));
  await until("the children are gone", () => !alive(plain) && !alive(deaf) && !alive(daemon));
  assert.ok(alive(next));
  child.signal("SIGTERM");
  assert.equal((await ended).signal, "SIGTERM");
  await until("the second job's child is gone", () => !alive(next));
});

test("a daemon that keeps the output open holds up neither its job's end nor " +
  "the next job", async () => {
  const time = mark();
  const env = { PATH, TITAN_RUN: "r", TITAN_JOB: "holder", TITAN_ATTEMPT: "1" };
  const script = `setsid sleep ${time} & ${ASLEEP}; echo done`;
  assert.equal((await sh(script, { env })).out, "done\n");
  const odd = { ...env, TITAN_JOB: "plain", "odd-name": "takes the plain way" };
  assert.equal((await sh(script, { env: odd })).out, "done\n");
  assert.equal((await sh("echo next")).out, "next\n");
  await until("the daemon is gone", () => !alive(time));
});

test("a job that ends while it is paused is reported once it is resumed, although a daemon holds " +
  "the output", async () => {
  const time = mark();
  let over = false;
  // The way without a launcher, and a daemon that nobody looks for: it is in no group of ours.
  const env = { PATH, "odd-name": "1" };
  const file = join(folder, "daemon");
  const script = `setsid sh -c 'echo $$ >"$0"; exec sleep ${time}' '${file}' &
    until [ -s '${file}' ]; do sleep 0.01; done; exit 5`;
  const { child, ended } = start(["sh", "-c", script], { env, with: ({ pause }) => pause() });
  void ended.then(() => (over = true));
  await until("the shell is gone", () => !existsSync(`/proc/${child.pid}`) && alive(time));
  assert.equal(over, false, "what it has printed may be unread");
  child.resume();
  await until("its end is reported", () => over);
  assert.equal((await ended).code, 5);
  process.kill(Number(readFileSync(file, "utf8")), "SIGKILL"); // it was there all the time
});

test("a stray that floods its launcher's output is found, and later jobs' " +
  "output is clean", async () => {
  const name = mark();
  const deaf = join(folder, "deaf");
  await sh(
    `sh -c 'trap "" HUP; : >"$1"; while :; do echo stray; done' ${name} '${deaf}' & ` +
      `until [ -e '${deaf}' ]; do sleep 0.01; done; echo mine`,
  );
  for (const before = performance.now(); alive(name); ) {
    assert.ok(performance.now() - before < 15_000, "it is found");
    await sh("echo perhaps with it");
  }
  for (let i = 0; i < 10; i++) assert.equal((await sh("echo clean")).out, "clean\n");
});

test("a job that kills its own group, or its launcher, is reported and the " +
  "next one runs", async () => {
  assert.equal((await sh("kill -KILL 0")).signal, "SIGKILL");
  // With a byte that may begin a mark, and is none when the stream is over.
  const last = await sh("printf '\\036'; printf '\\036' >&2; kill -KILL $PPID; exec sleep 1000");
  assert.deepEqual([last.signal, last.out, last.err], ["SIGKILL", "\x1e", "\x1e"]);
  assert.equal((await sh("echo fine")).out, "fine\n");
});

/** Runs a program text in a Node process of its own. */
function inNode(text: string): {
  pid: number;
  exit: Promise<number | null>;
  first: Promise<string>;
  output: Readable;
} {
  const child = spawnNode(
    process.execPath,
    [...EVAL, text],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  programs.add(child.once("exit", () => programs.delete(child)));
  const first = new Promise<string>((resolve) =>
    child.stdout.once("data", (bytes) => resolve(String(bytes))),
  );
  return {
    pid: child.pid as number,
    first,
    output: child.stdout,
    exit: new Promise((resolve) => child.once("exit", resolve)),
  };
}
const JOB = (argv: string[], env: Record<string, string>) => `
  import { nodeProcesses } from "#process";
  nodeProcesses().spawn({ argv: ${JSON.stringify(argv)}, cwd: "/", env: ${JSON.stringify(env)},
    onOutput: (_, bytes) => process.stdout.write(bytes), onExit: () => {} });`;

test("nothing outlives a process that was killed with SIGKILL", async () => {
  const [time, daemon] = [mark(), mark()];
  const env = {
    PATH,
    TITAN_RUN: "r",
    TITAN_JOB: "j",
    TITAN_ATTEMPT: "1",
    TITAN_WORKDIR: join(folder, randomUUID(), "r", "j.1"),
  };
  const node = inNode(JOB(["sh", "-c", `setsid sleep ${daemon} & echo ready; sleep ${time}`], env));
  assert.equal(await node.first, "ready\n");
  await until("both run", () => isAsleep(time) && isAsleep(daemon));
  const before = performance.now();
  process.kill(node.pid, "SIGKILL");
  await until("both are gone", () => !alive(time) && !alive(daemon));
  assert.ok(performance.now() - before < 10_000, `took ${performance.now() - before} ms`);
});

test("nothing outlives a process that was killed after another of its jobs had ended", async () => {
  const time = mark();
  const env = { PATH, "odd-name": "without a launcher, each is a group of its own" };
  const node = inNode(`
    import { nodeProcesses } from "#process";
    const job = (argv, onExit) => nodeProcesses().spawn({
      argv, cwd: "/", env: ${JSON.stringify(env)}, onOutput() {}, onExit });
    job(["sleep", ${JSON.stringify(time)}], () => {});
    job(["true"], () => console.log("one has ended"));`);
  assert.equal(await node.first, "one has ended\n");
  assert.ok(alive(time));
  process.kill(node.pid, "SIGKILL");
  await until("the other one is gone", () => !alive(time));
});

test("pauseAfter() lets the sweep take a twentieth of the time, and puts the next pass off by " +
  "two seconds at most", () => {
  assert.equal(pauseAfter(1), 200);
  assert.equal(pauseAfter(30), 600);
  assert.equal(pauseAfter(5_717), 2_000);
});

test("a process that was stopped in the middle of a sweep sweeps again soon", async () => {
  const [before, later] = [mark(), mark()];
  const env = (attempt: string) => ({
    PATH,
    TITAN_RUN: "r",
    TITAN_JOB: "stopped",
    TITAN_ATTEMPT: attempt,
    TITAN_WORKDIR: join(folder, randomUUID(), "r", "j.1"),
  });
  // As after SIGSTOP and SIGCONT: the clock has gone on by 5.7 s between the beginning and the end
  // of the pass that kills the first stray.
  const node = inNode(`
    import { nodeProcesses } from "#process";
    const [now, kill] = [performance.now.bind(performance), process.kill.bind(process)];
    process.kill = (pid, signal) => {
      if (pid > 0 && signal === "SIGKILL") performance.now = () => now() + 5_717;
      return kill(pid, signal);
    };
    const spawn = (argv, env, onExit) =>
      nodeProcesses().spawn({ argv, cwd: "/", env, onOutput() {}, onExit });
    // The job ends once the daemon has left its group: before that, the hang-up would end it.
    const text = (time) =>
      'trap "exit 0" USR1; setsid sh -c "kill -s USR1 $$; exec sleep ' + time + '" & wait';
    const daemon = (time, env, onExit) => spawn(["sh", "-c", text(time)], env, onExit);
    const second = () =>
      daemon(${JSON.stringify(later)}, ${JSON.stringify(env("2"))}, () => console.log("both"));
    spawn(["sleep", "1000"], {}, () => {});
    daemon(${JSON.stringify(before)}, ${JSON.stringify(env("1"))}, () => {
      const stopped = performance.now;
      const look = () => performance.now === stopped ? setTimeout(look, 5) : second();
      look();
    });`);
  let said = "";
  node.output.on("data", (bytes) => void (said += String(bytes)));
  await until("both daemons were started", () => said.includes("both"));
  await until("the second daemon is gone, too", () => !alive(later));
  assert.ok(!alive(before));
});

test("Sweeper looks again at a process that shows no environment, as everybody does in the " +
  "middle of an exec", async (t) => {
  const attempt = {
    TITAN_RUN: "r",
    TITAN_JOB: "exec",
    TITAN_ATTEMPT: "1",
    TITAN_WORKDIR: join(folder, randomUUID()),
  };
  const names = Object.entries(attempt).map(([name, value]) => `${name}='${value}'`).join(" ");
  // The shell that says "named" waits for a line that never comes, without another exec: in the
  // middle of that one it would show no environment for the second time, and be nobody's for good.
  const child = spawnNode(
    "/bin/sh",
    ["-c", `echo empty; read go; exec env ${names} sh -c 'echo named; read never'`],
    { detached: true, env: {}, stdio: ["pipe", "pipe", "ignore"] },
  );
  const exit = new Promise<string | null>((resolve) =>
    child.once("exit", (_, signal) => resolve(signal)),
  );
  t.after(() => child.kill("SIGKILL"));
  const says = () =>
    new Promise<string>((resolve) => child.stdout.once("data", (bytes) => resolve(String(bytes))));
  assert.equal(await says(), "empty\n");
  const sweeper = new Sweeper(new Map());
  sweeper.attemptEnded(JSON.stringify(Object.values(attempt)));
  assert.ok(sweeper.sweep(), "it looks again");
  child.stdin.write("go\n");
  assert.equal(await says(), "named\n");
  sweeper.sweep();
  assert.equal(await exit, "SIGKILL");
});

test("a running job keeps the process alive, and an idle pool lets it exit", async () => {
  const node = inNode(JOB(["sh", "-c", "sleep 0.2; echo late"], { PATH }));
  assert.equal(await node.first, "late\n");
  assert.equal(await node.exit, 0);
});

test("a job that begins when there was none keeps the process alive, too", async () => {
  const program = `
    import { nodeProcesses } from "#process";
    const processes = nodeProcesses();
    const run = (script, onExit) => processes.spawn({
      argv: ["sh", "-c", script], cwd: "/", env: ${JSON.stringify({ PATH })},
      onOutput: (_, bytes) => process.stdout.write(bytes), onExit,
    });
    run("true", () => run("sleep 0.2; echo late", () => {}));`;
  const node = inNode(program);
  const [said] = await Promise.all([node.first, node.exit]);
  assert.equal(said, "late\n");
});
