/**
 * The author's gate: every rule has a lesson that keeps it and one that breaks it.
 * The fixture is a whole project in a temporary folder, small enough to read here.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { compileBlock, docExamples } from "../scripts/learn/blocks.ts";
import { parseBreak } from "../scripts/learn/breaks.ts";
import { checkLessons } from "../scripts/learn/check.ts";
import { makeSkeleton } from "../scripts/learn/exercises.ts";
import { countWords, parseMarkdown } from "../scripts/learn/markdown.ts";
import { main } from "../scripts/learn/main.ts";
import { readRegion } from "../scripts/learn/regions.ts";
import {
  killStrays,
  makeSandbox,
  runProgram,
  sandboxEnvironment,
} from "../scripts/learn/sandbox.ts";
import { openSandboxes } from "../scripts/learn/sandboxes.ts";
import { diffLines, type Problem } from "../scripts/learn/report.ts";
import { matchLines, normalise } from "../scripts/learn/transcripts.ts";
import { recompile } from "../scripts/lib/compiled.mjs";

const ROOT = join(import.meta.dirname, "..");
const FENCE = "```";

const SOURCE = `/**
 * Lesson 01: an echo that counts.
 *
 * ${FENCE}ts
 * import { echo } from "#echo";
 * echo("hi", 2) // => 'hihi'
 * ${FENCE}
 * Test: test/01-echo.test.ts
 */
// #region echo
export function echo(text: string, times: number): string {
  // #exercise echo
  let out = "";
  for (let i = 0; i < times; i++) out += text;
  return out;
  // #end-exercise
}
// #endregion
`;

const QUOTE = `export function echo(text: string, times: number): string {
  let out = "";
  for (let i = 0; i < times; i++) out += text;
  return out;
}`;

const TEST = `import assert from "node:assert/strict";
import { test } from "node:test";
import { echo } from "#echo";
test("echo() repeats", () => assert.equal(echo("a", 3), "aaa"));
test("echo() of zero times is empty", () => assert.equal(echo("a", 0), ""));
`;

const PATCH = `Title: One too many
Predict: What does three times give?
Test: test/01-echo.test.ts
Fails: echo() repeats
Why: The bound is part of the count.

--- a/src/echo/mod.ts
+++ b/src/echo/mod.ts
@@ -13,3 +13,3 @@
   let out = "";
-  for (let i = 0; i < times; i++) out += text;
+  for (let i = 0; i <= times; i++) out += text;
   return out;
`;

const LESSON = `# 01. Echo: say it again

## The problem

${"Words are heard once, and once is rarely enough to be heard. ".repeat(110)}

${FENCE}console
$ echo took 12 ms on 127.0.0.1:4711
took 3.4 ms on 127.0.0.1:80
$ printf 'one\\ntwo\\nthree\\n'
one
...
three
${FENCE}

## The idea

See [the code](../../src/echo/mod.ts) and [below](#the-code).

${FENCE}text
hi -> hihi
${FENCE}

## The code

${FENCE}ts from=src/echo/mod.ts#echo
${QUOTE}
${FENCE}

## Try it

${FENCE}ts run
import { echo } from "#echo";
const twice = echo("ab", 2);
twice.length // => 4
[
  twice,
] // => [ 'abab' ]
echo(null as never, -1).at(0) // => undefined
JSON.parse("{") // => throws SyntaxError: ${badJson()}
${FENCE}

## Break it

Apply one-too-many, then again.

## Exercise

Write \`echo\` yourself.

## What real systems do

Repeat.

## Further reading

None.

*Who hears the echo?*
`;

const HINTS = `# Hints

## echo

### 1

Start from nothing.

### 2

Add the text, \`times\` times.

### 3

\`out = ""\`, then a loop, then return it.
`;

/** What a reader might write in an exercise, and the test that notices. */
const MISTAKES = `# Mistakes

## echo

### Once too often

01-echo: echo() repeats

${FENCE}diff
-for (let i = 0; i < times; i++) out += text;
+for (let i = 0; i <= times; i++) out += text;
${FENCE}

### Once at least

01-echo: echo() of zero times is empty

${FENCE}diff
-let out = "";
+let out = text;
${FENCE}
`;

/** The words differ between versions of V8. */
function badJson(): string {
  try {
    return String(JSON.parse("{"));
  } catch (error) {
    return (error as Error).message;
  }
}

const targets = (name: string): object => ({
  source: `./src/${name}/mod.ts`,
  default: `./dist/${name}/mod.js`,
});

const FILES: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    name: "fixture",
    type: "module",
    imports: { "#echo": targets("echo"), "#later": targets("later") },
  }),
  // As after a build: then what is checked is compiled once, and runs without a loader.
  "dist/echo/mod.js": "throw new Error('this is not of these sources');\n",
  "src/echo/mod.ts": SOURCE,
  "src/later/mod.ts":
    "/** Lesson 02: comes later. */\n// #region one\nexport const later = 1;\n// #endregion\n",
  "test/01-echo.test.ts": TEST,
  "lessons/01-echo/README.md": LESSON,
  "lessons/01-echo/hints.md": HINTS,
  "lessons/01-echo/mistakes.md": MISTAKES,
  "lessons/01-echo/break/one-too-many.patch": PATCH,
  "lessons/01-echo/break/again.patch": PATCH,
};

let base = "";
before(() => {
  base = mkdtempSync(join(tmpdir(), "titan-gate-"));
});
after(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
/** The fixture with some files replaced (null removes one). */
function project(changes: Readonly<Record<string, string | null>> = {}): string {
  const root = join(base, `p${count++}`);
  for (const [name, text] of Object.entries({ ...FILES, ...changes })) {
    if (text === null) continue;
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  cpSync(join(ROOT, "tsconfig.json"), join(root, "tsconfig.json"));
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  return root;
}

async function check(changes: Readonly<Record<string, string | null>> = {}): Promise<Problem[]> {
  const results = await checkLessons({ root: project(changes), cache: false });
  // The fixture is written by hand; a test of its own lets the captions be written.
  return results.flatMap(({ problems }) => problems.filter(({ rule }) => rule !== "captions"));
}

/** The fixture without breaks and exercises: a second less, for tests of what else is run. */
const PLAIN_SOURCE = SOURCE.replace(/.*#(end-)?exercise.*\n/g, "");
const PLAIN: Readonly<Record<string, string | null>> = {
  "src/echo/mod.ts": PLAIN_SOURCE,
  "lessons/01-echo/hints.md": null,
  "lessons/01-echo/mistakes.md": null,
  "lessons/01-echo/break/one-too-many.patch": null,
  "lessons/01-echo/break/again.patch": null,
};

/** That they are missing is two problems of its own. */
async function checkPlain(changes: Readonly<Record<string, string | null>>): Promise<Problem[]> {
  return (await check({ ...PLAIN, ...changes })).filter(
    ({ rule }) => rule !== "break" && rule !== "exercise",
  );
}

/** The lesson alone, without anything that has to be run: for rules that reading suffices for. */
function lessonWith(edit: (text: string) => string): Record<string, string | null> {
  const still = LESSON.replace(/```(console|ts run)\n[\s\S]*?```\n/g, "");
  const edited = edit(still);
  assert.ok(edited !== still, "the edit must change something");
  return {
    ...PLAIN,
    "lessons/01-echo/README.md": edited,
    "src/echo/mod.ts": PLAIN_SOURCE.replace(/ \* ```[\s\S]*?```\n/, ""),
  };
}

async function checkLesson(edit: (text: string) => string): Promise<Problem[]> {
  return checkPlain(lessonWith(edit));
}

const rules = (problems: readonly Problem[]): string[] =>
  [...new Set(problems.map(({ rule }) => rule))].sort();

test("learn check passes a lesson that keeps every rule", async () => {
  assert.deepEqual(await check(), []);
});

test("learn check wants the eight headings in order and a numbered title with a hook", async () => {
  assert.deepEqual(rules(await checkLesson((text) => text.replace("## The idea", "## Ideas"))), [
    "headings",
  ]);
  assert.deepEqual(
    rules(
      await checkLesson((text) =>
        text.replace("## Break it", "## Try it").replace("## Try it", "## Break it"),
      ),
    ),
    ["headings"],
  );
  assert.deepEqual(
    rules(await checkLesson((text) => text.replace("# 01. Echo: say it again", "# Echo"))),
    ["title"],
  );
  assert.deepEqual(rules(await checkLesson((text) => text.replace("# 01.", "# 02."))), ["title"]);
});

test("learn check warns about a lesson that is too short or too long", async () => {
  const [problem, ...more] = await checkLesson((text) =>
    text.replace(/(Words are heard.*?\. )+/, "Short. "),
  );
  assert.equal(problem?.rule, "length");
  assert.equal(problem?.warning, true);
  assert.deepEqual(more, []);
});

test("learn check wants the last line to be a question in italics", async () => {
  assert.deepEqual(
    rules(
      await checkLesson((text) => text.replace("*Who hears the echo?*", "Who hears the echo?")),
    ),
    ["question"],
  );
  assert.deepEqual(rules(await checkLesson((text) => `${text}\nThe end.\n`)), ["question"]);
});

test("learn check refuses fences without a type, of an unknown type and never closed", async () => {
  assert.deepEqual(rules(await checkLesson((text) => text.replace(`${FENCE}text`, FENCE))), [
    "fence",
  ]);
  assert.deepEqual(rules(await checkLesson((text) => text.replace(`${FENCE}text`, `${FENCE}js`))), [
    "fence",
  ]);
  const open = await checkLesson((text) => text.replace("*Who hears", `${FENCE}text\n*Who hears`));
  assert.ok(rules(open).includes("fence"));
});

test("learn check compares quoted code with its region and shows the difference", async () => {
  const [problem] = await checkLesson((text) => text.replace("i < times", "i < n"));
  assert.equal(problem?.rule, "fence-from");
  assert.match(problem?.expected ?? "", /i < times/);
  assert.match(problem?.received ?? "", /i < n/);
  assert.deepEqual(
    rules(await checkLesson((text) => text.replace("mod.ts#echo", "mod.ts#shout"))),
    ["fence-from"],
  );
  assert.deepEqual(
    rules(
      await checkLesson((text) => text.replace("src/echo/mod.ts#echo", "src/echo/gone.ts#echo")),
    ),
    ["fence-from"],
  );
});

test("learn check finds dead links and dead anchors", async () => {
  assert.deepEqual(
    rules(
      await checkLesson((text) => text.replace("../../src/echo/mod.ts", "../../src/echo/gone.ts")),
    ),
    ["link"],
  );
  assert.deepEqual(rules(await checkLesson((text) => text.replace("(#the-code)", "(#the-end)"))), [
    "link",
  ]);
  assert.deepEqual(
    rules(
      await checkLesson((text) => text.replace("../../src/echo/mod.ts", "../../../elsewhere.md")),
    ),
    ["link"],
  );
});

test("learn check refuses code of a later chapter, quoted or imported", async () => {
  const quote =
    `${FENCE}ts from=src/later/mod.ts#one\nexport const later = 1;\n${FENCE}\n\n## ` + "Break it";
  assert.deepEqual(rules(await checkLesson((text) => text.replace("## Break it", quote))), [
    "chapter-order",
  ]);
  const changes = {
    ...lessonWith((text) => `${text} `),
    "lessons/01-echo/try/peek.ts": 'import { later } from "#later";\nlater;\n',
  };
  const problem = (await check(changes)).find(({ rule }) => rule === "chapter-order");
  assert.equal(problem?.file, "lessons/01-echo/try/peek.ts");
});

test("learn check runs examples and reports what an expression is instead", async () => {
  const problems = await checkPlain({
    "lessons/01-echo/README.md": LESSON.replace(
      "twice.length // => 4",
      "twice.length // => 5",
    ).replace('JSON.parse("{") // => throws', 'JSON.parse("{") // => returns'),
    "src/echo/mod.ts": PLAIN_SOURCE.replace("// => 'hihi'", "// => 'hi'"),
  });
  assert.deepEqual(rules(problems), ["example"]);
  const line = LESSON.split("\n").findIndex((text) => text.startsWith("twice.length")) + 1;
  assert.deepEqual(
    problems
      .map(({ file, line, expected, received }) => ({ file, line, expected, received }))
      .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line),
    [
      { file: "lessons/01-echo/README.md", line, expected: "5", received: "4" },
      {
        file: "lessons/01-echo/README.md",
        line: line + 5,
        expected: `returns SyntaxError: ${badJson()}`,
        received: `throws SyntaxError: ${badJson()}`,
      },
      { file: "src/echo/mod.ts", line: 6, expected: "'hi'", received: "'hihi'" },
    ],
  );
});

test("learn check reports an example that throws, never ends, or asserts nothing", async () => {
  const block = (code: string): string => `${FENCE}ts run\n${code}\n${FENCE}\n\n## Break it`;
  const lesson = LESSON.replace(
    "## Break it",
    block("const a = 1;\nthrow new Error(`boom ${a}`);\na // => 1"),
  )
    .replace("## Break it", block("const b = 2;\nexport { b };"))
    .replace(
      "## Exercise",
      `${FENCE}ts run\nawait new Promise(() => {}) // => 1\n${FENCE}\n\n## Exercise`,
    );
  const problems = await checkPlain({ "lessons/01-echo/README.md": lesson });
  assert.deepEqual(rules(problems), ["example"]);
  const messages = problems.map(({ message }) => message).join("\n");
  assert.match(messages, /stops with Error: boom 1/);
  assert.match(messages, /asserts nothing/);
  assert.match(messages, /does not finish/);
  const boom = problems.find(({ message }) => message.includes("boom"));
  assert.equal(
    boom?.line,
    lesson.split("\n").findIndex((line) => line.startsWith("throw new Error")) + 1,
  );
});

test("learn check re-runs transcripts and finds other output, left files " +
  "and left processes", async () => {
  const fence = (text: string): string => `${FENCE}console\n${text}\n${FENCE}\n\n## Break it`;
  const problems = await checkPlain({
    "lessons/01-echo/README.md": LESSON.replace(
      "$ printf 'one\\ntwo\\nthree\\n'",
      "$ printf 'two\\nthree\\n'",
    ).replace(
      "## Break it",
      fence("$ echo kept > left.txt\n$ sleep 600 > /dev/null 2>&1 &\n$ exit 3\nnothing"),
    ),
  });
  assert.deepEqual(rules(problems), ["console"]);
  const messages = problems.map(({ message }) => message).join("\n");
  assert.match(messages, /printf .* prints something else/);
  assert.match(messages, /files were left behind: left\.txt/);
  assert.match(messages, /left a process running/);
  assert.match(messages, /`exit 3` prints something else \(exit code 3\)/);
});

test("learn check compares durations in a fence of type console exact and only there", async () => {
  const fence = (type: string): string =>
    `${FENCE}${type}\n$ echo 6.493 s\n99.493 s\n${FENCE}\n\n## Break it`;
  const found = async (type: string): Promise<string[]> => rules(await checkPlain({
    "lessons/01-echo/README.md": LESSON.replace("## Break it", fence(type)),
  }));
  assert.deepEqual(await found("console exact"), ["console"]);
  assert.deepEqual(await found("console"), []);
});

test("learn check applies every break and wants its named test to fail for it", async () => {
  const problems = await check({
    "lessons/01-echo/break/again.patch": PATCH.replace("i <= times", "i < times + 0"),
    "lessons/01-echo/break/other.patch": PATCH.replace(
      "Fails: echo() repeats",
      "Fails: echo() shouts",
    ),
    "lessons/01-echo/break/torn.patch": PATCH.replace('   let out = "";', '   let gone = "";'),
    "lessons/01-echo/break/bare.patch": PATCH.replace(/^Why: .*\n/m, "").replace("give?", "give."),
  });
  assert.deepEqual(rules(problems), ["break"]);
  const said = (name: string): string =>
    problems
      .filter(({ file }) => file.endsWith(`/${name}.patch`))
      .map(({ message }) => message)
      .join("\n");
  assert.match(said("again"), /must fail "echo\(\) repeats", but it passes/);
  assert.match(said("other"), /must pass "echo\(\) shouts", but there is no such test/);
  assert.match(said("torn"), /does not apply/);
  assert.match(said("bare"), /no "Why:" line/);
  assert.match(said("bare"), /must ask a question/);
  assert.equal(said("one-too-many"), "");
});

test("learn check takes the word of a test run for what passes without a break", async () => {
  const root = project({
    "lessons/01-echo/break/other.patch": PATCH.replace(
      "Fails: echo() repeats",
      "Fails: echo() shouts",
    ),
  });
  const passed = ["echo() repeats", "echo() shouts"].map((name) => ({
    name,
    file: join(root, "test/01-echo.test.ts"),
  }));
  const problems = (await checkLessons({ root, cache: false, passed })).flatMap(
    (result) => result.problems.filter(({ rule }) => rule !== "captions"),
  );
  assert.equal(problems.length, 1, JSON.stringify(problems, null, 2));
  assert.match(problems[0]?.message ?? "", /^with the patch.*does not run/);
});

test("a sandbox of a closed checkout can be changed, and is removed", async () => {
  const root = project({ "package.json": "{}", "src/a.ts": "export const a = 1;\n" });
  const closed = [join(root, "src/a.ts"), join(root, "src"), root];
  for (const path of closed) chmodSync(path, 0o555);
  const sandbox = makeSandbox(root);
  try {
    for (const path of ["src/a.ts", "src"]) {
      assert.equal(statSync(join(sandbox.root, path)).mode & 0o200, 0o200, path);
    }
  } finally {
    for (const path of closed.reverse()) chmodSync(path, 0o755);
    sandbox.remove();
  }
  assert.ok(!existsSync(sandbox.root));
});

test("a sandbox runs package scripts without npm, with the arguments and variables that npm " +
  "would give", async () => {
  const root = project({
    "package.json": JSON.stringify({
      type: "module",
      scripts: { hi: "node hi.mjs", two: "node hi.mjs && node hi.mjs" },
    }),
    "hi.mjs":
      "console.log(JSON.stringify([process.argv.slice(2), process.env.npm_lifecycle_event, " +
      "process.env.INIT_CWD, process.env.npm_execpath !== undefined]));\n",
  });
  const sandbox = makeSandbox(root);
  const run = async (command: string): Promise<unknown[]> => {
    const { output } = await runProgram(["sh", "-c", command], {
      cwd: sandbox.root,
      env: sandboxEnvironment(sandbox),
      timeoutMs: 20_000,
    });
    return JSON.parse(output.trim().split("\n")[0]!) as unknown[];
  };
  try {
    for (const [args, direct] of [
      ["a 'b c' $((1 + 1))", true],
      ["-- --flag a", true],
      ["a -- --flag", false],
      ["a --flag", false],
    ] as const) {
      const [words, name, folder, npm] = await run(`npm run -s hi ${args}`);
      assert.deepEqual(
        [words, name, folder],
        (await run(`PATH=\${PATH#*:}; npm run -s hi ${args}`)).slice(0, 3),
        args,
      );
      assert.equal(
        npm,
        !direct,
        `${args}: npm's own options are npm's to read, and nothing else is`,
      );
    }
    assert.equal((await run("npm run -s two"))[3], true, "what is more than one program is npm's");
  } finally {
    sandbox.remove();
  }
});

/** Without a dist: what is checked runs from the sources. */
const UNBUILT: Readonly<Record<string, string | null>> = {
  "dist/echo/mod.js": null,
  "package.json": FILES["package.json"]!.replaceAll("./dist/", "./gone/"),
};

test("a compiled copy starts titan from few files, until one of its sources changes", async () => {
  const sandbox = makeSandbox(ROOT, { compile: true });
  try {
    const version = async (): Promise<string> => {
      const main = join(sandbox.root, "dist/cli/main.js");
      const options = { cwd: sandbox.temp, env: sandboxEnvironment(sandbox), timeoutMs: 20_000 };
      return (await runProgram([process.execPath, main, "--version"], options)).output;
    };
    const modules = (folder: string): number =>
      readdirSync(join(sandbox.root, folder)).filter((name) => name.endsWith(".js")).length;
    assert.ok(modules("merged/dist/worker") * 2 <= modules("dist/worker"));
    assert.ok(modules("merged/dist/cli") < modules("dist/cli"));
    assert.match(await version(), /^titan \d+\.\d+\.\d+\b/);
    const { isFresh: copyIsFresh } = (await import(join(sandbox.root, "scripts/bootstrap.mjs"))) as
      { isFresh(): boolean };
    const source = join(sandbox.root, "src/host/version.ts");
    writeFileSync(source, 'export const VERSION = "of another source";\n');
    recompile(sandbox.root, ["src/host/version.ts"]);
    assert.match(await version(), /^titan of another source\b/);
    assert.ok(copyIsFresh(), "whoever asks for a build does not get another one");
  } finally {
    sandbox.remove();
  }
});

test("learn check of a project without a build runs the sources", async () => {
  assert.deepEqual(await check(UNBUILT), []);
  const problems = await check({
    ...UNBUILT,
    ...onlyExercise(),
    "lessons/01-echo/break/again.patch": PATCH.replace("i <= times", "i < times + 0"),
    "lessons/01-echo/break/one-too-many.patch": PATCH,
    "src/echo/mod.ts": SOURCE.replace("// => 'hihi'", "// => 'hi'"),
  });
  assert.deepEqual(problems.map(({ file, line }) => `${file}:${line}`).sort(), [
    "lessons/01-echo/break/again.patch:4",
    "src/echo/mod.ts:6",
  ]);
});

test("learn check finds what an example is instead below a type, and wrong syntax", async () => {
  const typed = "interface Size {\n  readonly size: number;\n}\nconst size: Size = { size: 2 };\n";
  const lesson = LESSON.replace(
    "twice.length // => 4",
    `${typed}twice.length // => 5\nif (size.size === 2) throw new Error("at the end");`,
  ).replace(
    "## Break it",
    `${FENCE}ts run\nconst open = (1;\nopen // => 1\n${FENCE}\n\n## Break it`,
  );
  const problems = await checkPlain({ "lessons/01-echo/README.md": lesson });
  assert.deepEqual(rules(problems), ["example"]);
  const lineOf = (text: string): number =>
    lesson.split("\n").findIndex((line) => line.startsWith(text)) + 1;
  const said = problems.map(({ line, message }) => `${line}: ${message}`).join("\n");
  assert.match(said, new RegExp(`^${lineOf("twice.length")}: twice`, "m"));
  assert.match(said, new RegExp(`^${lineOf("if (size")}: stops with Error: at the end`, "m"));
  assert.match(said, /stops with SyntaxError: .*error TS1005/);
});

test("learn check tells a break that changes nothing and one that does not compile from one that " +
  "breaks", async () => {
  const idle = PATCH.replace("i <= times", "i < times + 0");
  const problems = await check({
    "lessons/01-echo/break/again.patch": idle,
    "lessons/01-echo/break/garbled.patch": PATCH.replace(
      "i <= times; i++) out",
      "i <= times; i++ out",
    ),
  });
  assert.match(
    problems.map(({ file, message }) => `${file}: ${message}`).join("\n"),
    /again\.patch: .*must fail "echo\(\) repeats", but it passes/,
  );
  assert.match(
    problems.map(({ file, message }) => `${file}: ${message}`).join("\n"),
    /garbled\.patch: the tests did not finish, so "echo\(\) repeats" did not fail/,
  );
  assert.equal(problems.length, 2);
});

test("a sandbox that is lent again is as the first time: files, folders, times, links and " +
  "processes", async () => {
  const root = project({ "data/a.txt": "a", "data/b/c.txt": "c" });
  const sandboxes = openSandboxes(root);
  try {
    const first = await sandboxes.use(async (sandbox) => {
      const state = describe(sandbox.root);
      writeFileSync(join(sandbox.root, "data/a.txt"), "b"); // the same size
      rmSync(join(sandbox.root, "data/b"), { recursive: true });
      writeFileSync(join(sandbox.root, "data/b"), "a file where a folder was");
      mkdirSync(join(sandbox.root, "own/deep"), { recursive: true });
      rmSync(join(sandbox.root, "node_modules"));
      writeFileSync(join(sandbox.temp, "left"), "");
      const { output } = await runProgram(
        ["sh", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo started"],
        { cwd: sandbox.root, env: sandboxEnvironment(sandbox), timeoutMs: 20_000 },
      );
      assert.equal(output, "started\n");
      return { sandbox, state };
    });
    await sandboxes.use(async (again) => {
      assert.equal(again, first.sandbox);
      assert.deepEqual(describe(again.root), first.state);
      assert.deepEqual(readdirSync(again.temp).filter((name) => !name.startsWith("tsx-")), []);
      assert.deepEqual(killStrays(again), []);
      await sandboxes.use(async (other) =>
        assert.notEqual(other.root, again.root, "two at a time are two"),
      );
    });
    await assert.rejects(sandboxes.use(async () => { throw new Error("no"); }));
  } finally {
    sandboxes.remove();
  }
});

/** Every file with its content and time, every link with its target. */
function describe(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isSymbolicLink()) return [`${path} -> ${readlinkSync(path)}`];
      return entry.isDirectory()
        ? [path, ...describe(path)]
        : [`${path} ${statSync(path).mtimeMs.toFixed(0)} ${readFileSync(path, "utf8")}`];
    });
}

test("learn check wants two breaks and an exercise", async () => {
  const problems = await check({
    ...lessonWith((text) => `${text}\n\n`),
    "lessons/01-echo/break/again.patch": null,
  });
  assert.deepEqual(rules(problems), ["break", "exercise"]);
});

test("learn check wants a skeleton that compiles and fails, and three rungs of hints", async () => {
  const hollow = SOURCE.replace(/ {2}\/\/ #exercise echo\n/, "").replace(
    "  return out;\n",
    "  // #exercise echo\n  return out;\n",
  );
  const typeless = await check({
    ...onlyExercise(),
    "src/echo/mod.ts":
      `${SOURCE}// #exercise size\nexport const size = 3;\n// #end-exercise\nexport ` +
      `const double = size * 2;\n`,
  });
  assert.match(typeless.map(({ message }) => message).join("\n"), /does not type-check/);
  const idle = await check({
    ...onlyExercise(),
    "src/echo/mod.ts": hollow
      .replace("// #exercise echo\n  return out;\n  // #end-exercise", "return out;")
      .replace(
        "// #endregion",
        "// #endregion\nexport function unused(): void {\n  // #exercise echo\n  // nothing here " +
          "matters\n  // #end-exercise\n}",
      ),
  });
  assert.match(
    idle.map(({ message }) => message).join("\n"),
    /passes although the bodies of echo are gone/,
  );
  const rungless = await check({
    ...onlyExercise(),
    "lessons/01-echo/hints.md": HINTS.replace("### 3", "### Last").replace(
      "# Hints",
      "# Hints\n\n## shout\n\n### 1\n\nLouder.",
    ),
  });
  assert.deepEqual(rules(rungless), ["break", "exercise"]);
  assert.match(rungless.map(({ message }) => message).join("\n"), /three rungs/);
  assert.match(rungless.map(({ message }) => message).join("\n"), /"## shout" is not an exercise/);
  const hintless = await check({ ...onlyExercise(), "lessons/01-echo/hints.md": null });
  assert.match(hintless.map(({ message }) => message).join("\n"), /hints\.md|is missing/);
});

/**
 * The fixture without breaks, and without transcripts and examples in the lesson: quicker, and one
 * "break" problem.
 */
function onlyExercise(): Record<string, string | null> {
  return {
    "lessons/01-echo/README.md": LESSON.replace(/```(console|ts run)\n[\s\S]*?```\n/g, ""),
    "lessons/01-echo/break/one-too-many.patch": null,
    "lessons/01-echo/break/again.patch": null,
  };
}

test("learn check --record writes regions and real output into the lesson, and " +
  "then it holds", async () => {
  const root = project({
    "lessons/01-echo/README.md": LESSON.replace("i < times", "i < n").replace(
      "one\n...\nthree",
      "eins\nzwei",
    ),
  });
  const before = (await checkLessons({ root, cache: false })).flatMap(({ problems }) => problems);
  assert.ok(rules(before).includes("captions"));
  assert.deepEqual(
    (await checkLessons({ root, record: true })).flatMap(({ problems }) => problems),
    [],
  );
  const recorded = readFileSync(join(root, "lessons/01-echo/README.md"), "utf8");
  assert.match(recorded, /i < times/);
  const source = readFileSync(join(root, "src/echo/mod.ts"), "utf8");
  const first = source.split("\n").findIndex((line) => line.includes("#region")) + 2;
  const last = source.split("\n").findIndex((line) => line.includes("#endregion"));
  assert.ok(recorded.includes(`\n\`\`\`\n\n*[src/echo/mod.ts, lines ${first} to ${last}]` +
    `(../../src/echo/mod.ts#L${first}-L${last})*\n`));
  assert.match(recorded, /\$ printf .*\none\ntwo\nthree\n```/);
  // What already matched after normalising is left alone, so that recording makes small diffs.
  assert.match(recorded, /took 3\.4 ms on 127\.0\.0\.1:80/);
  assert.deepEqual(
    (await checkLessons({ root, cache: false })).flatMap(({ problems }) => problems),
    [],
  );
});

test("learn check takes a lesson without a README and an empty project for " +
  "what they are", async () => {
  const none = await check({ "lessons/01-echo/README.md": null });
  assert.deepEqual(rules(none), ["triple"]);
});

test("learn lists its commands and suggests one for a misspelt name", async () => {
  let errors = "";
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = (text: string | Uint8Array) => ((errors += String(text)), true);
  try {
    assert.equal(await main(["chekc"]), 2);
  } finally {
    process.stderr.write = write;
  }
  assert.match(errors, /did you mean check\?/);
});

test("normalise() replaces what differs between runs and keeps what matters", () => {
  const same: [string, string][] = [
    ["took 12 ms", "took 1,234.5 ms"],
    ["12 µs each", "3 ms each"],
    ["allocated 0 MiB", "allocated -0 MiB"],
    ["31,000 frames/s", "28,412 frames/s"],
    ["p99    4.1 ms", "p99   12.0 ms"],
    ["1.2 GB/s", "980 MB/s"],
    ["listening on 127.0.0.1:4711", "listening on 127.0.0.1:33333"],
    ["pid 17", "pid 40000"],
    ["nightly-7k2m9q done", "nightly-00aa1b done"],
    ["wrote /tmp/titan-x8/log", "wrote /tmp/titan-q/log"],
    ["at 2024-05-06T07:08:09.123Z", "at 2031-01-02T03:04:05.000Z"],
  ];
  for (const [a, b] of same) assert.deepEqual(normalise([a]), normalise([b]), `${a} / ${b}`);
  const different: [string, string][] = [
    ["3 records", "4 records"],
    ["17 bytes", "18 bytes"],
    ["0x05", "0x06"],
    ["seed 42", "seed 43"],
    ["attempt 1", "attempt 2"],
    ["05-log", "06-dag"],
    ["3-5 ms", "4-5 ms"],
  ];
  for (const [a, b] of different) {
    assert.notDeepEqual(normalise([a]), normalise([b]), `${a} / ${b}`);
  }
});

test("matchLines() lets a line of three dots stand for any lines, also none", () => {
  assert.ok(matchLines(["a", "...", "z"], ["a", "b", "c", "z"]));
  assert.ok(matchLines(["a", "...", "z"], ["a", "z"]));
  assert.ok(matchLines(["..."], []));
  assert.ok(matchLines(["...", "b", "...", "b"], ["b", "a", "b", "b"]));
  assert.ok(!matchLines(["a", "...", "z"], ["a", "b"]));
  assert.ok(!matchLines(["a"], ["a", "b"]));
  assert.ok(!matchLines(["a", "b"], ["a"]));
});

test("compileBlock() keeps every line on its number and takes expressions " +
  "over several lines", () => {
  const { code, assertions } = compileBlock([
    "const a = [1,",
    "  2]; // => [ 1, 2 ]",
    "Math.max(",
    "  1,",
    "  2,",
    ") // => 2",
    'a["x"] // => undefined',
  ]);
  assert.equal(assertions, 3);
  const lines = code.split("\n");
  assert.equal(lines.length, 7);
  assert.match(lines[2]!, /^await __check/);
  assert.equal(compileBlock(["type A = 1 // => 1"]).invalid?.line, 0);
});

test("docExamples() finds ts fences in doc comments and gives their line", () => {
  const [block] = docExamples("x.ts", SOURCE);
  assert.equal(block?.line, 5);
  assert.equal(SOURCE.split("\n")[block!.line - 1], ' * import { echo } from "#echo";');
  assert.equal(docExamples("x.ts", SOURCE.replace("```ts", "```text")).length, 0);
});

test("readRegion() dedents, leaves out marker lines, and nests", () => {
  const source =
    "  // #region outer\n  a\n    // #region inner\n    b\n    // #endregion\n  // #endregion\n";
  assert.equal(readRegion(source, "outer"), "a\n  b");
  assert.equal(readRegion(source, "inner"), "b");
  assert.equal(readRegion(source, "none"), undefined);
  assert.equal(readRegion("// #region open\nx", "open"), undefined);
});

test("makeSkeleton() replaces bodies and nothing else", () => {
  const skeleton = makeSkeleton(SOURCE);
  assert.match(skeleton, /throw new Error\("Exercise: echo"\);/);
  assert.doesNotMatch(skeleton, /out \+= text/);
  assert.equal(makeSkeleton("no exercise here\n"), "no exercise here\n");
});

test("parseBreak() reads folded header lines", () => {
  const { broken, problems } = parseBreak(
    "x.patch",
    PATCH.replace("part of the count.", "part\n  of the count."),
  );
  assert.deepEqual(problems, []);
  assert.equal(broken.why, "The bound is part of the count.");
});

test("countWords() counts prose, not code or link targets", () => {
  assert.equal(
    countWords(
      parseMarkdown("One [two](three/four) – five.\n\n```text\nsix seven\n```\n\n<!-- eight -->\n"),
    ),
    3,
  );
});

test("diffLines() shows removed, added and nearby lines", () => {
  assert.deepEqual(diffLines(["a", "b", "c"], ["a", "x", "c"]), ["  a", "- b", "+ x", "  c"]);
});

test("runProgram() blames no program for pipes that we had no time to look at", async () => {
  // Turns of our loop that take longer than the grace, and pipes that close in some turn after
  // that in which the program's end was seen: the second or the third.
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const programs = [0.15, 0.45, 0.75].map((held) =>
    runProgram(["sh", "-c", `sleep ${held} & echo done`], {
      cwd: tmpdir(), env: process.env, timeoutMs: 20_000,
    }));
  const block = (): void => {
    Atomics.wait(cell, 0, 0, 300);
    busy = setImmediate(block);
  };
  let busy = setImmediate(block);
  try {
    for (const { survivors, output } of await Promise.all(programs)) {
      assert.deepEqual({ survivors, output }, { survivors: false, output: "done\n" });
    }
  } finally {
    clearImmediate(busy);
  }
});
