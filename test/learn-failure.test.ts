/** How the companion tells a failed test: scripts/lib/failure.mjs and scripts/learn/telling.ts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { wantReadable } from "../scripts/learn/own.ts";
import { tellFailures, tellHeld } from "../scripts/learn/telling.ts";
import { compileCopy, programArguments, testFlags } from "../scripts/lib/compiled.mjs";
import { checkTypes, tellTypes } from "../scripts/learn/types.ts";
import { describeEndless, describeFailure, type Failure } from "../scripts/lib/failure.mjs";
import { progressOn } from "../scripts/lib/progress.mjs";
import type { FailedTest } from "../scripts/lib/reporter.mjs";
import { randomness, withSeeds } from "./seeds.support.ts";

const ROOT = join(import.meta.dirname, "..");

function failureOf(body: () => void): Failure {
  try {
    body();
  } catch (error) {
    return describeFailure(error, ROOT);
  }
  return assert.fail("nothing was thrown");
}

test("describeFailure() shows the row of bytes that differ, with a caret under the first", () => {
  const wanted = Buffer.from(Array.from({ length: 40 }, (_, byte) => byte));
  const found = Buffer.from(wanted.subarray(0, 39));
  found[18] = 0xff;
  const { expected, received } = failureOf(() => assert.deepEqual(found, wanted));
  assert.deepEqual(expected, ["   16  10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f … 8 more"]);
  assert.deepEqual(received, [
    "   16  10 11 ff 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f … 7 more",
    "             ^^ byte 18",
    "39 bytes, not 40",
  ]);
});

test("describeFailure() shows lists on a line each, and long values where they part", () => {
  const lists = failureOf(() => assert.deepEqual([0, 2], [0, 1, 2]));
  assert.deepEqual(lists.expected, ["[ 0, 1, 2 ]"]);
  assert.deepEqual(lists.received, ["[ 0, 2 ]", "     ^"]);
  const long = Array.from({ length: 50 }, (_, index) => ({ index, name: `job number ${index}` }));
  const other = long.map((each, index) => (index === 30 ? { ...each, index: -1 } : each));
  const { expected = [], received = [] } = failureOf(() => assert.deepEqual(other, long));
  assert.ok(expected.length <= 8 && received.length <= 9, received.join("\n"));
  assert.match(expected.join("\n"), /^… \d+ lines that are equal\n[^]*index: 30,[^]*lines more$/);
  assert.match(received.join("\n"), /index: -1,/);
  const kinds = failureOf(() => assert.deepEqual(new (class A { x = 1; })(), { x: 1 }));
  assert.match(kinds.received!.join(), /A \{ x: 1 \}/);
});

test("describeFailure() names the statement of the test, not the helper that it calls", () => {
  const helper = (value: number): void => assert.equal(value, 2, "two");
  const { called, message, expected } = failureOf(() => {
    helper(
      3,
    );
  });
  assert.equal(called?.at.file, "test/learn-failure.test.ts");
  assert.deepEqual(called?.code, ["helper(", "  3,", ");"]);
  assert.deepEqual(message, ["two"]);
  assert.deepEqual(expected, ["2"]);
});

test("describeFailure() names the line of the project that threw, and no frame of Node", () => {
  const failure = failureOf(() => void JSON.parse("{"));
  assert.match(failure.message.join("\n"), /^SyntaxError: /);
  assert.doesNotMatch(JSON.stringify(failure), /node:|\n\s+at /);
  const thrown = failureOf(() => randomness(null!) && withSeeds(1, null!));
  assert.equal(thrown.seed, 1);
  assert.match(thrown.message.join(), /TypeError/);
});

test("a program of a compiled copy names the sources' lines where it fails, also in a " +
  "thread", () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "titan-stacks-")));
  try {
    mkdirSync(join(root, "scripts"));
    symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
    writeFileSync(join(root, "package.json"), '{"type": "module"}');
    const program = join(root, "scripts/fails.ts");
    writeFileSync(program, [
      "interface Nothing {",
      "  readonly line: never;",
      "}",
      'import { isMainThread, Worker } from "node:worker_threads";',
      "const fails = (why: string): string | undefined => new Error(why).stack;",
      "// A line that the compiler leaves out.",
      'console.log(fails(isMainThread ? "here" : "in a thread"));',
      "if (isMainThread) new Worker(new URL(import.meta.url));",
      "const built = eval('new Error(\"in no file\").stack') as string;",
      "console.log(built, {} as Nothing);",
    ].join("\n"));
    compileCopy(root, root);
    const { stdout, stderr } = spawnSync(
      process.execPath, programArguments(root, "scripts/fails.ts"), { encoding: "utf8" });
    assert.equal(stderr, "");
    for (const where of ["here", "in a thread"]) {
      const [, ...frames] = stdout.slice(stdout.indexOf(`Error: ${where}\n`)).split("\n");
      assert.equal(frames[0], `    at fails (${program}:5:52)`);
      assert.equal(frames[1], `    at ${program}:7:13`);
      assert.match(frames[2]!, /^ {4}at .*\(?node:/);
    }
    assert.match(stdout, new RegExp(`Error: in no file\\n    at eval \\(eval at .*1:1\\)`));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

/** One loop computes, the other one awaits and never lets the loop of events have a turn. */
const ENDLESS = [
  ["spin", "export function spin(n) {", "  while (n !== 0) n += 1;", "}"],
  ["wait", "export async function wait(n) {", "  while (n !== 0) n = await n;", "}"],
] as const;

test("a loop without an end is stopped, and told with its line and its test", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-endless-"));
  try {
    for (const folder of ["own", "test", "reports"]) mkdirSync(join(root, folder));
    const told = ENDLESS.map(([name, ...lines]) => {
      writeFileSync(join(root, `own/${name}.mjs`), lines.join("\n"));
      writeFileSync(join(root, `test/${name}.test.mjs`), `import { test } from "node:test";
import { ${name} } from "../own/${name}.mjs";
test("before", () => {});
test("${name}() ends (always)", async () => {
  await ${name}(1);
});
`);
      const { signal } = spawnSync(process.execPath,
        [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`, `test/${name}.test.mjs`],
        {
          cwd: root, timeout: 180_000,
          env: { TITAN_ENDLESS: join(root, "reports"), TITAN_ENDLESS_CPU_MS: "900" },
        });
      assert.equal(signal, "SIGKILL");
      const [report = ""] = readdirSync(join(root, "reports"));
      const text = readFileSync(join(root, "reports", report), "utf8");
      rmSync(join(root, "reports", report));
      const failed = describeEndless(JSON.parse(text), root);
      const summary = { ran: 1, passed: [], failed: [failed], skipped: [], lines: [] };
      return tellFailures({ command: "npm run learn test 6 own", summary }).join("\n");
    });
    told.forEach((text, index) => {
      const [name, , loop] = ENDLESS[index]!;
      assert.equal(text, `
✖ ${name}() ends (always)  (test/${name}.test.mjs:5)
  because     it does not come to an end: after 0.9 s of computing it is still here
  test        await ${name}(1);
  stopped at  own/${name}.mjs:2
              ${loop.trim()}
  again       npm run learn test 6 own '${name}() ends (always)'`);
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("tests that compute one after the other, and never wait, are no loop without an end", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-endless-"));
  try {
    mkdirSync(join(root, "own"));
    writeFileSync(join(root, "own/busy.test.mjs"), `import { test } from "node:test";
const used = () => process.cpuUsage().user + process.cpuUsage().system;
for (let n = 0; n < 12; n++) test("busy " + n, () => {
  for (const end = used() + 200_000; used() < end;);
});
`);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, signal } = spawnSync(process.execPath,
      [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`, "own/busy.test.mjs"], {
        cwd: root, timeout: 180_000,
        env: { ...env, TITAN_ENDLESS: root, TITAN_ENDLESS_CPU_MS: "900" },
      });
    assert.deepEqual([status, signal], [0, null]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("a turn that ends while somebody looks at it was a long one, and a loop behind it is found",
  () => {
    const root = mkdtempSync(join(tmpdir(), "titan-endless-"));
    try {
      for (const folder of ["own", "test"]) mkdirSync(join(root, folder));
      const used = "const used = () => process.cpuUsage().user + process.cpuUsage().system;\n";
      const compute = `${used}export function compute(ms) {
  for (const end = used() + ms * 1000; used() < end;);
}
`;
      for (const name of ["own/mine.mjs", "test/ours.mjs"]) {
        writeFileSync(join(root, name), compute);
      }
      writeFileSync(join(root, "test/long.test.mjs"), `import { test } from "node:test";
import { compute } from "../own/mine.mjs";
import { compute as ours } from "./ours.mjs";
test("a long one", () => ours(1500));
for (let n = 0; n < 5; n++) test("a short one " + n, () => compute(300));
test("a loop", () => compute(Infinity));
`);
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const { signal } = spawnSync(process.execPath,
        [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`, "test/long.test.mjs"], {
          cwd: root, timeout: 100_000,
          env: { ...env, TITAN_ENDLESS: root, TITAN_ENDLESS_CPU_MS: "1000" },
        });
      assert.equal(signal, "SIGKILL");
      const [report = ""] = readdirSync(root).filter((name) => name.startsWith("endless-"));
      assert.equal(JSON.parse(readFileSync(join(root, report), "utf8")).name, "a loop");
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

test("of a reader's code the first file is tested alone, and then the others", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-alone-"));
  try {
    const begin = 'import { test } from "node:test";\nimport fs from "node:fs";\n';
    const later = "new Promise((resolve) => setTimeout(resolve, 300))";
    writeFileSync(join(root, "one.test.mjs"),
      `${begin}test("one", async () => { await ${later}; fs.writeFileSync("over", ""); });\n`);
    for (const name of ["two", "three"]) {
      writeFileSync(join(root, `${name}.test.mjs`),
        `${begin}const isAlone = fs.existsSync("over");
test("${name}", () => { if (!isAlone) throw new Error("too early"); });\n`);
    }
    const report = join(root, "summary.json");
    const job = {
      files: ["one", "two", "three"].map((name) => join(root, `${name}.test.mjs`)), names: [],
      report, flags: [], concurrency: 3, timeoutMs: 100_000, fileTimeoutMs: 100_000,
      output: "passed", endless: true,
    };
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath,
      [join(ROOT, "scripts/lib/test-runner.mjs"), JSON.stringify(job)],
      { cwd: root, timeout: 100_000, encoding: "utf8", env });
    assert.equal(status, 0, stdout + stderr);
    const { passed } = JSON.parse(readFileSync(report, "utf8"));
    assert.deepEqual(passed.map(({ name }: { name: string }) => name).sort(),
      ["one", "three", "two"]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("the files beside one with a loop without an end are not waited for", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-endless-"));
  try {
    const begin = 'import { test } from "node:test";\n';
    const long = "setTimeout(resolve, 120_000)";
    mkdirSync(join(root, "own")); // where it is looked for
    writeFileSync(join(root, "own/loop.test.mjs"), `${begin}test("loops", () => { for (;;); });\n`);
    writeFileSync(join(root, "long.test.mjs"),
      `${begin}test("is long", () => new Promise((resolve) => ${long}));\n`);
    const report = join(root, "summary.json");
    const job = {
      files: ["own/loop", "long"].map((name) => join(root, `${name}.test.mjs`)), names: [], report,
      flags: [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`], concurrency: 2,
      timeoutMs: 200_000, fileTimeoutMs: 200_000, output: "passed", endless: true,
    };
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { signal, stderr } = spawnSync(process.execPath,
      [join(ROOT, "scripts/lib/test-runner.mjs"), JSON.stringify(job)], {
        cwd: root, timeout: 100_000, encoding: "utf8",
        env: { ...env, TITAN_ENDLESS: root, TITAN_ENDLESS_CPU_MS: "900" },
      });
    assert.equal(signal, null, stderr);
    assert.ok(readdirSync(root).some((name) => name.startsWith("endless-")));
    // Newer Nodes count a file that was ended as a test.
    assert.deepEqual(JSON.parse(readFileSync(report, "utf8")).passed, []);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

/** What connections do not say, nobody else will; a timer may be long. */
const WAITS = `import { createServer, connect } from "node:net";
import { test } from "node:test";
const sockets = [];
test("a promise", () => new Promise(() => {}));
test("a connection", () => new Promise((resolve) => {
  const server = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1", () => {
    sockets.push(connect(server.address().port));
    if (process.argv.length > 99) resolve();
  }).unref();
}));
test("a timer", () => new Promise((resolve) => setTimeout(resolve, 3500)));
test("a value", () => {});
test("an error", async () => { throw new Error("its own"); });
test("a callback", (_, done) => {
  for (const socket of sockets) socket.destroy(); // else they would keep this process
  setImmediate(done);
});
`;

/** Errors that nobody catches: of tests that run at once, beside an async describe, and late. */
const WHOSE = `
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
const fail = (message) => { throw new Error(message); };
describe("at once", { concurrency: true }, async () => {
  await null;
  test("throws", async () => { await null; setTimeout(fail, 20, "thrown"); await sleep(150); });
  test("makes many", async () => { for (let n = 0; n < 70_000; n++) await null; });
  test("rejects", async () => { await sleep(5); void fail.call(await null, "rejected"); });
  test("drops", async () => { void sleep(20).then(() => fail("dropped")); await sleep(150); });
});
test("ends early", () => void setTimeout(fail, 30, "late"));
test("stands by", () => sleep(150));
`;

test("whose an error is that nobody catches is known as Node knows it", () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-whose-"));
  try {
    const file = join(folder, "whose.test.mjs");
    writeFileSync(file, WHOSE);
    const told = (flags: readonly string[]): string[] => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const args = [...flags, "--test-reporter=tap", file];
      const { stdout, status } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
      return [...stdout.match(/^ *(not )?ok .*|^ *error: .*|^# Error: .*/gm) ?? [], `${status}`];
    };
    const found = told(testFlags(ROOT));
    const failures = found.map((line) => line.trim()).filter((line) => /^not|'[a-z]/.test(line));
    assert.deepEqual(failures, [
      "not ok 1 - throws", "error: 'thrown'", "not ok 3 - rejects", "error: 'rejected'",
      "not ok 4 - drops", "error: 'dropped'", "not ok 1 - at once",
    ]);
    assert.match(found.at(-2)!, /^# Error: Test "ends early" at .* the error "Error: late"/);
    assert.deepEqual(found, told([]));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a test that waits for what never comes is ended by itself, and the others run", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-waits-"));
  try {
    writeFileSync(join(root, "waits.mjs"), WAITS);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { stdout } = spawnSync(process.execPath,
      [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`, "--test-reporter=tap", "waits.mjs"],
      { cwd: root, timeout: 180_000, encoding: "utf8", env: { ...env, TITAN_ENDLESS: root } });
    const results = stdout.match(/^(not )?ok \d+ - .*/gm);
    assert.deepEqual(results, [
      "not ok 1 - a promise", "not ok 2 - a connection", "ok 3 - a timer", "ok 4 - a value",
      "not ok 5 - an error", "ok 6 - a callback",
    ], stdout);
    assert.equal(stdout.match(/error: 'nothing is left to happen'/g)?.length, 2);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

/** Timers and a server that nobody stops; the third wait is the last one. */
const LEFT = `import { createServer } from "node:net";
import { test } from "node:test";
const busy = () => new Promise(() => setInterval(() => {}, 50));
for (const name of ["first", "second", "third"]) test(name, busy);
test("fourth", { timeout: 10_000 }, busy);
createServer().listen(0, "127.0.0.1");
test("a value", () => {});
`;

test("three tests that wait are enough, and a process that is done is ended", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-left-"));
  try {
    writeFileSync(join(root, "left.mjs"), LEFT);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { stdout, status } = spawnSync(process.execPath,
      [`--import=${join(ROOT, "scripts/lib/endless.mjs")}`, "--test-reporter=tap",
        "--test-timeout=200", "left.mjs"],
      { cwd: root, timeout: 180_000, encoding: "utf8", env: { ...env, TITAN_ENDLESS: root } });
    assert.equal(status, 1, stdout);
    assert.equal(stdout.match(/error: 'test timed out after 200ms'/g)?.length, 3, stdout);
    assert.equal(stdout.match(/error: 'not run: 3 tests before it /g)?.length, 2, stdout);
    const [report = ""] = readdirSync(root).filter((name) => name.startsWith("open-"));
    const { open } = JSON.parse(readFileSync(join(root, report), "utf8"));
    assert.ok(open.includes("TCPServerWrap") && open.includes("Timeout"), String(open));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test("wantReadable() is content without own/, and says that it cannot be read", () => {
  const root = mkdtempSync(join(tmpdir(), "titan-own-"));
  try {
    wantReadable(root);
    symlinkSync("own", join(root, "own")); // root may read what is closed, but not this
    assert.throws(() => wantReadable(root),
      /^BootstrapError: Cannot read own\/, where your code would be: ELOOP\n.* git clone '/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("describeFailure() finds what is not written yet, and bounds what it shows", () => {
  const { unwritten } = failureOf(() => {
    throw new Error("seed 4: Exercise: settle", { cause: new Error("Exercise: settle") });
  });
  assert.equal(unwritten, "settle");
  // An assertion that looks at the error first says so in a message of its own.
  const caught = failureOf(() => assert.throws(
    () => { throw new Error("Exercise: push"); }, () => false));
  assert.equal(caught.unwritten, "push");
  const text = "x".repeat(500);
  const { message } = failureOf(() => { throw new Error(`${text}\n`.repeat(50)); });
  assert.equal(message.length, 7);
  assert.ok(message.every((line) => line.length <= 100));
});

test("describeFailure() finds it in the words of others, and in an error that is judged", () => {
  const told = failureOf(() => { throw new Error("Cannot ask m: Exercise: readEvents"); });
  assert.equal(told.unwritten, "readEvents");
  const judged = failureOf(() => assert.throws(
    () => { throw new Error("Exercise: scanBlock"); }, { code: "DAMAGED" }));
  assert.equal(judged.unwritten, "scanBlock");
});

test("describeFailure() folds a long message: what matters may be its end", () => {
  const text = `It must be below ${"4294967296 ".repeat(12)}. Received -1`;
  const { message } = failureOf(() => { throw new Error(text); });
  assert.match(message.join(" "), /Received -1$/);
  assert.ok(message.length <= 4 && message.every((line) => line.length <= 100));
});

test("describeFailure() says that a test has waited, and does not blame the clock", () => {
  const idle = failureOf(() => {
    throw new Error("Cannot settle promise: nothing is left to happen at 2 ms");
  });
  assert.match(idle.message[0]!, /^it waits for ever: /);
  assert.equal(idle.thrown, undefined);
  const late = failureOf(() => { throw new Error("test timed out after 10000ms"); });
  assert.deepEqual(late.message, ["it waits: after 10 s it is not done"]);
});

test("withSeeds() makes the input of a failure small, and names its seed", () => {
  /** Fails if a list of up to 40 has a 7 that a 3 follows. */
  const { seed, input, called } = failureOf(() => withSeeds(200, (random, tell) => {
    const list = Array.from({ length: random(40) }, () => random(10));
    tell(() => list.join(" "));
    const at = list.indexOf(7);
    assert.ok(at < 0 || list.indexOf(3, at) < 0);
  }));
  assert.ok(seed! >= 1 && seed! <= 200);
  assert.deepEqual(input, ["7 3"]);
  assert.match(called!.code.join(), /assert\.ok\(at < 0/);
});

test("withSeeds() runs a function that is not written once, and makes nothing smaller", () => {
  let lives = 0;
  const { unwritten } = failureOf(() => withSeeds(50, (random) => {
    lives += 1;
    for (let draw = 0; draw < 20; draw++) random(9);
    throw new Error("Exercise: settle");
  }));
  assert.deepEqual([unwritten, lives], ["settle", 1]);
});

test("withSeeds() begins with the seed that SEED names, and goes on with all others", () => {
  const seen: number[] = [];
  process.env["SEED"] = "3";
  try {
    withSeeds(4, (random) => void seen.push(random(1_000_000)));
  } finally {
    delete process.env["SEED"];
  }
  assert.deepEqual(seen, [3, 1, 2, 3, 4].map((seed) => randomness(seed)(1_000_000)));
});

function failed(name: string, body: () => void): FailedTest {
  return { name, file: "", message: "", failure: failureOf(body) };
}

function told(...tests: FailedTest[]): string[] {
  return tellFailures({
    command: "npm run learn test 6 own",
    summary: { ran: 37, passed: [], failed: tests, skipped: [], lines: [] },
  });
}

test("tellFailures() tells one failure whole, names the others, and fits on a screen", () => {
  const wait = (name: string) => (): never => { throw new Error(`Exercise: ${name}`); };
  const wrong = (): void => assert.deepEqual([1], [2]);
  const lines = told(
    failed("a", wait("settle")), failed("b", wait("reorder")), failed("c", wait("settle")),
    failed("it's first", wrong), ...Array.from("defghi", (name) => failed(name, wrong)),
    { ...failed("parent", wrong), message: "2 subtests failed" },
    failed("06-dag.test.ts", wrong),
  );
  assert.equal(lines[1], "Not written yet: settle, reorder. 3 tests wait for them.");
  const text = lines.join("\n");
  assert.match(text, /^✖ it's first {2}\(test\/learn-failure\.test\.ts:\d+\)$/m);
  assert.match(text, /^ {2}again {7}npm run learn test 6 own 'it'\\''s first'$/m);
  assert.match(text, /After it, 6 more of 37 tests fail:\n {2}✖ d\n {2}✖ e\n {2}✖ f\n {2}✖ g\n/);
  assert.match(text, /\n {2}… and 2 more$/);
  assert.ok(lines.length <= 25, `${lines.length} lines`);
  assert.equal(text.split("expected").length, 2, "one failure is told");
});

test("tellFailures() fits below what stands above it, however much there is to say", () => {
  const many = Array.from({ length: 9 }, (_, index) => `line ${index}`);
  const wrong = failed("large", () => assert.equal(1, 2));
  const failure: Failure = {
    ...wrong.failure, message: many, input: many, expected: many,
    received: [...many.slice(0, 7), "    ^", "line 7"],
    thrown: { at: { file: "own/log.ts", line: 1 }, code: ["throw it;"] },
  };
  const names = Array.from("abcdefg", (name) => failed(name, () => assert.equal(1, 2)));
  const lines = told({ ...wrong, failure }, ...names);
  assert.ok(lines.length <= 25 - 3, `${lines.length} lines`);
  const text = lines.join("\n");
  assert.match(text, /received {4}line 5\n +line 6\n +\^\n/, "the caret is not cut off");
  assert.match(text, /expected {4}line 4\n +line 5\n +line 6\n/);
  assert.match(text, /After it, 7 more of 37 tests fail:\n {2}✖ a\n {2}… and 6 more$/);
});

test("describeFailure() has words of its own for what Node says of its assertions", () => {
  const nothing = (): void => {};
  const wordsOf = (body: () => void): string => failureOf(body).message.join("\n");
  assert.equal(wordsOf(() => assert.throws(nothing)), "nothing was thrown");
  assert.equal(wordsOf(() => assert.throws(nothing, function bug() {})), "nothing was thrown");
  assert.equal(wordsOf(() => assert.throws(nothing, RangeError)),
    "nothing was thrown, and a RangeError was due");
  assert.equal(wordsOf(() => assert.throws(nothing, RangeError, "a job twice")), "a job twice");
  assert.equal(wordsOf(() => assert.ok(nothing === null)),
    "what the test states here does not hold");
  assert.equal(wordsOf(() => assert.ok(false, "why")), "why");
});

test("progressOn() has one line on a terminal, and in a pipe the first name that fails", () => {
  const play = (out: { isTTY?: boolean; columns?: number }): string => {
    let text = "";
    const progress = progressOn({
      isTTY: false, columns: 40, ...out,
      write: (chunk: string | Uint8Array) => ((text += String(chunk)), true),
    });
    progress.pass();
    progress.fail("scan() says where to read on, and what it needs");
    progress.fail("judge() is second");
    progress.end();
    return text;
  };
  assert.match(play({ isTTY: true, columns: 0 }), /fails: ✖ scan\(\) says where to read on/);
  assert.equal(play({}), "✖ scan() says where to read on, and what it needs\n");
  assert.deepEqual(play({ isTTY: true }).split("\r\x1b[K"), [
    "", "  1 test passes", "  1 test passes, 1 fails: ✖ scan() says …".slice(0, 38) + "…",
    "  1 test passes, 2 fail: ✖ scan() says w…".slice(0, 38) + "…", "",
  ]);
});

test("endHolders() ends a program that keeps the output of a dead child open, and names it", {
  skip: process.platform === "linux" ? false : "only Linux tells who holds what",
}, () => {
  const root = mkdtempSync(join(tmpdir(), "titan-held-"));
  try {
    const holds = "setInterval(() => {}, 1000)";
    writeFileSync(join(root, "child.mjs"), 'import { spawn } from "node:child_process";\n' +
      `spawn(process.execPath, ["-e", ${JSON.stringify(holds)}],\n` +
      '  { stdio: "inherit", detached: true }).unref();\nconsole.log("said");\n');
    writeFileSync(join(root, "parent.mjs"), 'import { spawn } from "node:child_process";\n' +
      `import { endHolders } from ${JSON.stringify(join(ROOT, "scripts/lib/holders.mjs"))};\n` +
      // What holds no more than we hold ourselves is left alone.
      'const ours = ["ignore", "ignore", "inherit"];\n' +
      'const other = spawn(process.execPath, ["-e", "setInterval(Date, 9)"], { stdio: ours });\n' +
      "const held = endHolders();\n" +
      'const child = spawn(process.execPath, ["child.mjs"], { stdio: [0, "pipe", 2] });\n' +
      'child.stdout.on("data", (text) => process.stdout.write(text));\n' +
      'child.on("close", () => {\n' +
      "  console.log(held().length, held()[0]);\n  other.kill();\n});\n");
    const { status, stdout, stderr } = spawnSync(process.execPath, ["parent.mjs"],
      { cwd: root, timeout: 60_000, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^said\n1 .*node.* -e setInterval\(\(\) => \{\}, 1000\)\n$/);
  } finally {
    rmSync(root, { recursive: true });
  }
  const held = { ran: 1, passed: [], failed: [], skipped: [], lines: [], held: ["sleep 9", "b"] };
  const told = tellHeld(held).join("\n");
  assert.match(told, /left a program running .*, and 1 more; .*\n {2}sleep 9$/);
  assert.deepEqual(tellHeld({ ...held, held: [] }), []);
});

test("tellFailures() begins with the chapter's first file, and says when a process ended", () => {
  const at = (file: string): FailedTest => {
    const test = failed(`of ${file.slice(0, -8)}`, () => assert.equal(1, 2));
    return { ...test, failure: { ...test.failure, called: { at: { file, line: 1 }, code: [] } } };
  };
  const files = ["test/05-log.crash.test.ts", "test/05-log.test.ts", "test/05-log.tail.test.ts"];
  assert.match(told(...files.map(at))[1]!, /^✖ of test\/05-log {2}\(/);
  const program = { ...failed("/tmp/x/05-log.crash-and-3-more.test.mjs", () => assert.fail("")) };
  assert.match(told({ ...program, message: "test failed" }).join("\n"),
    /^\n✖ The process of the tests ended before they did\.[^]*\n {4}test failed$/);
});

test("tellFailures() counts what was not begun, and says what kept a process from ending", () => {
  const skipped = (name: string): FailedTest => failed(name, () => {
    throw new Error("not run: 3 tests before it in its process have waited in vain");
  });
  const waits = told(failed("a", () => assert.equal(1, 2)), skipped("b"), skipped("c")).join("\n");
  assert.match(waits,
    /^\n✖ a [^]*\n\n2 tests were not begun: three before them had waited in vain\.$/);
  assert.doesNotMatch(waits, /After it/);
  const program = failed("/tmp/x/05-log.test.ts", () => assert.fail(""));
  const tell = (message: string, open?: string[]): string => tellFailures({
    command: "", summary: {
      ran: 1, passed: [], failed: [{ ...program, message }], skipped: [], lines: [],
      ...(open && { open }),
    },
  }).join("\n");
  const open = ["PipeWrap", "TCPServerWrap", "Timeout", "Timeout"];
  assert.match(tell("test failed", open), /has left open:\n {4}1 server, 2 timers\n/);
  assert.match(tell("test failed", ["Odd"]), /has left open:\n {4}something\n/);
  assert.match(tell("test timed out after 9000ms"), /not done after 9 s, and was ended\./);
});

test("tellFailures() begins with a test that names a function to write, in their order", () => {
  const wrong = (): void => assert.equal(1, 2);
  const summary = {
    ran: 9, passed: [], skipped: [], lines: [],
    failed: ["openLog() opens", "scan() reads", "encode() writes", "encoder() is else"]
      .map((name) => failed(name, wrong)),
  };
  const functions = ["encode", "scan"];
  const lines = tellFailures({ command: "npm run learn test 5", summary, functions });
  assert.match(lines.join("\n"),
    /^\n✖ encode\(\) writes [^]*fail:\n  ✖ scan\(\) reads\n  ✖ openLog/);
});

test("tellFailures() begins with a test that calls a function by itself", () => {
  const inFile = (name: string, file: string): FailedTest => {
    const test = failed(name, () => assert.equal(1, 2));
    return { ...test, failure: { ...test.failure, called: { at: { file, line: 1 }, code: [] } } };
  };
  const summary = {
    ran: 9, passed: [], skipped: [], lines: [],
    failed: [
      inFile("scan() in a log", "test/05-log.block.test.ts"),
      inFile("judge() alone", "test/05-log.parts.test.ts"),
    ],
  };
  const functions = ["scan", "judge"];
  const lines = tellFailures({ command: "npm run learn test 5", summary, functions });
  assert.match(lines[1]!, /^✖ judge\(\) alone/);
});

test("tellFailures() says how to repeat a random failure, and nothing when all waits", () => {
  const random = told(failed("any mix", () => withSeeds(9, (draw) => assert.equal(draw(9), -1))));
  assert.match(random.join("\n"), /again {7}SEED=1 npm run learn test 6 own 'any mix'/);
  const wait = failed("a", () => { throw new Error("Exercise: settle"); });
  assert.deepEqual(told(wait), ["", "Not written yet: settle. 1 test waits for it."]);
});

/** The part of a reader who has begun chapter 7. */
const QUEUE = {
  name: "queue", folder: "src/queue", entry: "own/queue.ts", ownFolder: undefined,
  files: [{ from: "src/queue/mod.ts", to: "own/queue.ts" }],
};

test("tellTypes() tells the first type error in the reader's part, and how many more", () => {
  const error = (file: string, line: number, what: string): string =>
    `${file}(${line},3): error TS2322: ${what}\n`;
  const other = error("own/log/record.ts", 1, "of another chapter");
  const first = error("own/queue.ts", 12, "Type 'string' is not assignable to type 'number'.");
  assert.equal(tellTypes(`${other}${first}`, [QUEUE]), "\nNote: own/queue.ts does not type-check:" +
    " line 12: Type 'string' is not assignable to type 'number'.\n");
  const long = tellTypes(`${first}${error("own/queue.ts", 13, "word ".repeat(50))}`, [QUEUE]);
  assert.match(long, /\(1\s+more\)\n$/);
  assert.ok(long.split("\n").every((line) => line.length <= 100));
  assert.equal(tellTypes(other, [QUEUE]), "");
});

test("checkTypes() asks the compiler about own/, and needs none", async () => {
  const root = mkdtempSync(join(tmpdir(), "titan-types-"));
  try {
    const parts = [QUEUE];
    assert.equal(checkTypes(root, parts), undefined, "there is no compiler");
    symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
    mkdirSync(join(root, "own"));
    writeFileSync(join(root, "own/tsconfig.json"), JSON.stringify({
      compilerOptions: { strict: true, types: [], lib: ["es5"] }, include: ["."],
    }));
    writeFileSync(join(root, "own/queue.ts"), "\nexport const first: number = 'one';\n");
    const note = await checkTypes(root, parts)!.note(60_000);
    assert.match(note, /^\nNote: own\/queue\.ts does not type-check: line 2: Type 'string'/);
    assert.equal(await checkTypes(root, parts)!.note(1), "", "it is not waited for");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
