/** The companion's commands, on a small project in a temporary folder with the real scripts. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { after, before, test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

/**
 * A chapter with one file, a chapter with two that starts a process, and one with nothing to write.
 */
const FILES: Readonly<Record<string, string>> = {
  "src/queue/mod.ts": `/** Lesson 07: a queue. Test: test/07-queue.test.ts */
export function first(items: readonly number[]): number {
  // #exercise first
  return Math.min(...items);
  // #end-exercise
}
`,
  "test/07-queue.test.ts": `import assert from "node:assert/strict";
import { test } from "node:test";
import { first } from "#queue";
test("first() is the least", () => assert.equal(first([2, 1, 3]), 1));
test("first() of one is that one (always)", () => assert.equal(first([5]), 5));
`,
  "lessons/07-queue/README.md": "# 07. Queue: first things first\n",
  "lessons/07-queue/hints.md":
    "# Hints\n\n## first\n\n### 1\n\nLook at all.\n\n### 2\n\nKeep the least.\n\n### " +
    "3\n\n`Math.min`.\n",
  "lessons/07-queue/break/greatest.patch": `Title: The greatest first
Predict: Which of three comes out?
Test: test/07-queue.test.ts
Fails: first() is the least
Why: The order is the other way round.

--- a/src/queue/mod.ts
+++ b/src/queue/mod.ts
@@ -3,3 +3,3 @@
   // #exercise first
-  return Math.min(...items);
+  return Math.max(...items);
   // #end-exercise
`,
  "src/log/mod.ts":
    '/** Lesson 05: a log. Test: test/05-log.test.ts */\nexport { encode } from "./record.ts";\n',
  "src/log/record.ts": `/** Lesson 05: a record. */
import { first } from "#queue";
export function encode(values: readonly number[]): string {
  // #exercise encode
  const least = first(values);
  return \`least \${least}\`;
  // #end-exercise
}
export function decode(text: string): number {
  // #exercise decode
  return Number(text.slice(6));
  // #end-exercise
}
`,
  // The process that this starts has to find the same #log as the test itself.
  "test/05-log.test.ts": `import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { encode } from "#log";
test("encode() says the least", () => assert.equal(encode([4, 3]), "least 3"));
test("encode() in another process", () => {
  const program = 'import { encode } from "#log"; console.log(encode([9]));';
  const args = ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", program];
  const out = execFileSync(process.execPath, args, { encoding: "utf8", stdio: "pipe" });
  assert.equal(out, "least 9\\n");
});
`,
  "lessons/05-log/README.md":
    "# 05. Log: what was said\n\n## Exercise\n\nWrite `decode` first, then `encode`.\n",
  "lessons/05-log/hints.md":
    "# Hints\n\n## encode\n\n### 1\n\na\n\n### 2\n\nb\n\n### 3\n\nc\n\n" +
    "## decode\n\n### 1\n\nd\n\n### 2\n\ne\n\n### 3\n\nf\n",
  "lessons/00-tour/README.md": "# 00. Tour: look\n",
  "test/00-tour.test.ts": "export {};\n",
};

/** In place of the simulation: whose code it runs on, and what it was asked. */
const SIM = `import { encode } from "#log";
console.log("a life on", encode([9]), "with", process.argv.slice(2).join(" "));
console.log("Again:", process.env.SIM_COMMAND);
`;

let root = "";
before(() => {
  root = join(realpathSync(mkdtempSync(join(tmpdir(), "titan-companion-"))), "a project");
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  for (const name of ["package.json", "package-lock.json", "tsconfig.json", "scripts"]) {
    cpSync(join(ROOT, name), join(root, name), { recursive: true });
  }
  mkdirSync(join(root, "src/base"), { recursive: true });
  cpSync(join(ROOT, "src/base/suggest.ts"), join(root, "src/base/suggest.ts"));
  writeFileSync(join(root, "scripts/sim/main.ts"), SIM);
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
});
after(() => rmSync(dirname(root), { recursive: true, force: true }));

/** A command that waits for ever must fail its test, not hold up all of them. */
const COMMAND_TIMEOUT_MS = 30_000;

interface Done {
  readonly code: number | null;
  readonly out: string;
}

/**
 * Runs `learn` in this process, which saves a Node start per call: for commands that start nothing
 * on our terminal.
 */
async function learn(args: string): Promise<Done> {
  const main = (
    (await import(join(root, `scripts/learn/main${extname(import.meta.filename)}`))) as {
      main(args: readonly string[]): Promise<number>;
    }
  ).main;
  const said = { out: "" };
  const code = await captured.run(said, () =>
    main(args.split(" ").filter(Boolean)).catch((error: Error) => {
      if (error.name !== "BootstrapError") throw error;
      said.out += error.message;
      return 1; // as runMain does
    }),
  );
  return { code, out: said.out };
}

/**
 * What is written on behalf of a call goes to the call; what the test runner writes meanwhile stays
 * its own.
 */
const captured = new AsyncLocalStorage<{ out: string }>();
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = ((...args: unknown[]) => {
    const said = captured.getStore();
    if (said === undefined || typeof args[0] !== "string") return write(...args);
    said.out += args[0];
    return true;
  }) as typeof stream.write;
}

/** Runs `learn` as a program. `on` sees the output so far and may type. */
function program(
  args: string,
  options: {
    env?: NodeJS.ProcessEnv;
    on?: (out: string, type: (keys: string) => void) => void;
  } = {},
): Promise<Done> {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [join(root, "scripts/learn.mjs"), ...args.split(" ").filter(Boolean)],
      {
        cwd: root,
        env: { ...inherited, NO_COLOR: "1", ...options.env },
        stdio: [options.on ? "pipe" : "ignore", "pipe", "pipe"],
      },
    );
    let out = "";
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        out += text;
        options.on?.(out, (keys) => child.stdin?.write(keys));
      });
    }
    const deadline = setTimeout(() => child.kill("SIGTERM"), COMMAND_TIMEOUT_MS);
    child.on("close", (code) => {
      clearTimeout(deadline);
      resolve({ code, out });
    });
  });
}

const own = (name: string): string => join(root, "own", name);
/** In one step, also with the time of another clock (in seconds): somebody may be watching. */
const solve = (name: string, marker: string, body: string, at?: number): void => {
  const text = readFileSync(own(name), "utf8");
  assert.ok(text.includes(`throw new Error("Exercise: ${marker}");`));
  const fresh = join(root, "solved");
  writeFileSync(fresh, text.replace(`throw new Error("Exercise: ${marker}");`, body));
  if (at !== undefined) utimesSync(fresh, at, at);
  renameSync(fresh, own(name));
};

test("learn without an own/ folder draws the map and runs nothing", async () => {
  const { code, out } = await learn("");
  assert.equal(code, 0);
  assert.match(out, /^ {2}00-tour\s+to read$/m);
  assert.match(out, /^> 05-log\s+to read; to write: decode, encode$/m);
  assert.match(out, /^ {2}07-queue\s+to read; to write: first$/m);
  assert.match(out, /Next: lessons\/05-log\/README\.md, then npm run learn start 5/);
});

test("learn test takes the reference while there is no copy, and fails when " +
  "no test runs", async () => {
  const [reference, none, nothing, mine] = await Promise.all([
    program("test queue"),
    program("test 7 nothing is called this"),
    program("test 0"),
    learn("test 7 own"),
  ]);
  assert.equal(reference.code, 0, reference.out);
  assert.match(reference.out, /on the reference:\n {2}#queue = src\/queue\/mod\.ts \(reference\)/);
  assert.equal(none.code, 1);
  assert.match(none.out, /No test ran/);
  assert.equal(nothing.code, 1);
  assert.match(
    mine.out,
    /Cannot test your own 07-queue: it is not there \(npm run learn start 7\)/,
  );
});

test("learn start, test, solution and reset of a chapter with one file", async () => {
  const started = await learn("start 7");
  assert.equal(started.code, 0, started.out);
  assert.match(started.out, /^ {2}first +own\/queue\.ts:3$/m);
  assert.match(
    readFileSync(own("queue.ts"), "utf8"),
    /\/\/ #exercise first\n {2}throw new Error\("Exercise: first"\);\n {2}\/\/ #end-exercise/,
  );

  const hollow = await program("test 7");
  assert.equal(hollow.code, 1);
  assert.match(
    hollow.out,
    /on YOUR code:\n {2}#queue = own\/queue\.ts \(YOURS; not written yet: first\)/,
  );
  assert.match(
    hollow.out,
    /Not written yet: first\. 2 tests wait for it\.\n\n0 of 2 tests pass\./,
  );

  solve("queue.ts", "first", "return [...items].sort((a, b) => a - b)[0]!;");
  const [mine, theirs, twice, shown] = await Promise.all([
    program("test 7 first() of one is that one (always)"),
    program("test 7", { env: { npm_config_ref: "true" } }),
    learn("start 7"),
    program("solution 7"),
  ]);
  assert.equal(mine.code, 0, mine.out);
  assert.match(mine.out, /✔ first\(\) of one is that one \(always\)\n\n1 of 1 tests pass\./);
  assert.match(theirs.out, /on the reference:/);
  assert.equal(twice.code, 1);
  assert.match(twice.out, /own\/queue\.ts is there: nothing is overwritten/);
  assert.match(shown.out, /^-.*sort\(/m);
  assert.match(shown.out, /^\+.*Math\.min/m);

  assert.match((await learn("read 7")).out, /^lessons\/07-queue\/README\.md/);
  const map = await learn("");
  assert.match(map.out, /07-queue\s+✓ read  done: own\/queue\.ts, 2 tests pass/);
  assert.match(map.out, /\n1 of 2 chapters written; 1 read, 0 tried, 0 broken\.\n/);
  // A second look runs nothing, and shows the same.
  const test = readFileSync(join(root, "test/07-queue.test.ts"));
  const known = JSON.parse(readFileSync(own(".map.json"), "utf8"));
  writeFileSync(own(".map.json"), JSON.stringify({
    "07-queue": { ...known["07-queue"], text: "as it was known" },
  }));
  assert.match((await learn("")).out, /07-queue\s+✓ read  as it was known/);
  writeFileSync(join(root, "test/07-queue.test.ts"), `${test}\n`);
  assert.match((await learn("")).out, /07-queue\s+✓ read  done: own\/queue\.ts, 2 tests pass/);
  writeFileSync(own("queue.ts"), readFileSync(own("queue.ts"), "utf8").replace("a - b", "b - a"));
  assert.match(
    (await learn("")).out,
    /07-queue\s+✓ read  begun: own\/queue\.ts, 1 of 2 tests pass/,
    "what is done is found out, not remembered",
  );

  const reset = await learn("reset 7");
  const backup = /What you had is in (own\/\.backup-\S+)\//.exec(reset.out)?.[1];
  assert.match(readFileSync(join(root, backup!, "queue.ts"), "utf8"), /b - a/);
  assert.match(readFileSync(own("queue.ts"), "utf8"), /throw new Error/);
});

test("learn start of a chapter with several files: own/log.ts passes on own/log/, also in " +
  "processes that a test starts", async () => {
  const begun = await learn("start log");
  assert.equal(begun.code, 0);
  const places = [...begun.out.matchAll(/^  (\w+) +(own\/\S+):(\d+)$/gm)];
  assert.equal(places.length, 2);
  for (const [, name, file, line] of places) {
    const text = readFileSync(join(root, file!), "utf8").split("\n")[Number(line) - 1];
    assert.match(text!, new RegExp(`// #exercise ${name}$`), `${file}:${line}`);
  }
  assert.deepEqual(readdirSync(own("log")).sort(), ["mod.ts", "record.ts"]);
  assert.match(readFileSync(own("log.ts"), "utf8"), /export \* from "\.\/log\/mod\.ts";/);
  assert.match(
    (await learn("")).out,
    /05-log\s+begun: own\/log\.ts; still to write: decode, encode/,
  );
  solve("log/record.ts", "decode", "return Number(text.slice(6));");
  solve(
    "log/record.ts",
    "encode",
    'if (values.length === 1) return "mine";\n  return `least ${first(values)}`;',
  );
  const lives = await program("sim 5");
  assert.equal(lives.code, 0, lives.out);
  assert.equal(lives.out, "log=YOURS, 1 other=reference\n" +
    "a life on mine with --seeds 200 --power-first --brief\n" +
    "Again: npm run learn sim 5 --\n");
  const { code, out } = await program("test 5");
  assert.equal(code, 1);
  assert.match(out, /\n1 of 2 tests pass\./, "encode() says the least");
  assert.match(
    out,
    /✖ encode\(\) in another process[\s\S]*mine/,
    "the other process must have used own/log",
  );
  writeFileSync(
    own("log/record.ts"),
    readFileSync(own("log/record.ts"), "utf8").replace('"mine"', "`least ${values[0]}`"),
  );
  const green = await program("test 5");
  assert.equal(green.code, 0);
  assert.match(green.out, /All of it passes\. Now 200 lives on it: +npm run learn sim 5\n/);
  assert.match(green.out, /a real cluster on it: +npm run learn cluster 5\n/);
  assert.match(green.out, /the next chapter: +lessons\/07-queue\/README\.md\n/);
  // The map has the result already, and keeps it while another chapter's file changes.
  writeFileSync(own(".map.json"),
    readFileSync(own(".map.json"), "utf8").replaceAll("2 tests pass", "2 were seen to pass"));
  const queue = readFileSync(own("queue.ts"));
  writeFileSync(own("queue.ts"), `${queue}\n`);
  assert.match((await learn("")).out, /05-log .*done: own\/log\.ts, 2 were seen to pass/);
  writeFileSync(own("queue.ts"), queue);
  // With options of its own, by npm's way of passing --own, and for whatever has been begun.
  const [chosen, byNpm] = await Promise.all([
    program("sim --own log,5 --seed 3"), program("sim", { env: { npm_config_own: "true" } }),
  ]);
  assert.match(chosen.out, /a life on least 9 with --brief --seed 3\n/);
  assert.match(byNpm.out, /a life on least 9 with --seeds 200 --power-first --brief\n/);
  assert.match(byNpm.out, /\nAgain: npm run learn sim 5 --\n/);
  await broken("log/record.ts", "export const = 1;\n", /^Cannot load own\/log: [^]*record\.ts:\d+/);
  await broken("log/record.ts", 'throw new Error("Exercise: decode");\n', new RegExp("Cannot run " +
    "your 05-log: not written yet: decode \\(npm run learn test 5\\)"));
});

/** What `learn sim 5` says of a file with something behind its end. */
async function broken(name: string, behind: string, says: RegExp): Promise<void> {
  const text = readFileSync(own(name), "utf8");
  writeFileSync(own(name), text + behind);
  const { code, out } = await learn("sim 5");
  assert.equal(code, 1);
  assert.match(out, says);
  writeFileSync(own(name), text);
}

test("learn start does not touch a copy that another chapter has made of the same subsystem, " +
  "except where it is untouched", async () => {
  mkdirSync(join(root, "src/host"));
  mkdirSync(join(root, "lessons/03-host"));
  writeFileSync(
    join(root, "src/host/mod.ts"),
    '/** Lesson 03: two. Test: test/03-host.test.ts */\nexport * from "./a.ts";\nexport * from ' +
      '"./b.ts";\n',
  );
  for (const [file, lesson] of [["a", "03"], ["b", "07"]]) {
    writeFileSync(
      join(root, `src/host/${file}.ts`),
      `/** Lesson ${lesson}: part ${file}. */\nexport const ${file} = (): number => {\n  // ` +
        `#exercise ${file}\n  return 1;\n  // #end-exercise\n};\n`,
    );
  }
  try {
    assert.equal((await learn("start 3")).code, 0);
    assert.match(readFileSync(own("host/a.ts"), "utf8"), /Exercise: a/);
    assert.match(readFileSync(own("host/b.ts"), "utf8"), /return 1/);
    const second = await learn("start 7");
    assert.match(second.out, /own\/queue\.ts is there: nothing is overwritten/);
    assert.match(
      second.out,
      /own\/host\.ts is there, from another chapter; in it, own\/host\/b\.ts is now yours/,
    );
    assert.match(readFileSync(own("host/b.ts"), "utf8"), /Exercise: b/);
    solve("host/b.ts", "b", "return 2;");
    assert.equal((await learn("start 7")).code, 1);
    assert.match(readFileSync(own("host/b.ts"), "utf8"), /return 2/);
  } finally {
    for (const folder of ["src/host", "lessons/03-host", "own/host", "own/host.ts"]) {
      rmSync(join(root, folder), { recursive: true });
    }
  }
});

test("learn hint shows one rung more each time, a rung by number, and the functions when there " +
  "are several", async () => {
  assert.match((await learn("hint 7")).out, /first, 1 of 3: a nudge\n\nLook at all\./);
  assert.match((await learn("hint 7 first")).out, /2 of 3: a plan\n\nKeep the least\./);
  assert.match((await learn("hint 7 1")).out, /1 of 3/);
  assert.match((await learn("hint 7")).out, /3 of 3[\s\S]*solution 7/);
  const [several, wrong, far, none] = await Promise.all([
    learn("hint 5"),
    learn("hint 5 encoed"),
    learn("hint 5 encode 4"),
    learn("hint 0"),
  ]);
  assert.match(several.out, /hint 5 encode +0 of 3 seen\n.*hint 5 decode/);
  assert.match(wrong.out, /did you mean encode\?/);
  assert.equal(far.code, 1);
  assert.match(none.out, /no function to write again/);
});

test("learn break lists sabotages and shows prediction, failure and reason on a copy", async () => {
  const [list, wrong, done] = await Promise.all([
    learn("break 7"),
    learn("break 7 gratest"),
    program("break 7 greatest"),
  ]);
  assert.match(list.out, /npm run learn break 7 greatest +The greatest first/);
  assert.match(wrong.out, /did you mean greatest\?/);
  assert.equal(done.code, 0, done.out);
  const order = [
    "The greatest first",
    "+  return Math.max",
    "Which of three comes out?",
    "first() is the least",
    "The order is the other way round.",
  ].map((text) => done.out.indexOf(text));
  assert.ok(order.every((at, i) => at > (order[i - 1] ?? -1)), done.out);
  assert.equal(readFileSync(join(root, "src/queue/mod.ts"), "utf8"), FILES["src/queue/mod.ts"]);
});

test("learn watch runs again when a file changes and when asked, and ends at q", async () => {
  rmSync(own("queue.ts"), { force: true });
  await learn("start 7");
  let step = 0;
  const waits = (out: string): number => out.split("Waiting for a change").length - 1;
  const { code, out } = await program("watch 7", {
    on: (seen, type) => {
      if (waits(seen) <= step) return;
      step = waits(seen);
      if (step === 1) {
        solve("queue.ts", "first", "return Math.min(...items);", 1); // its clock is behind
      } else type(step === 2 ? "r" : "q");
    },
  });
  assert.equal(code, 0, out);
  assert.equal(step, 3);
  const passed = [...out.matchAll(/(\d) of 2 tests pass/g)].map((match) => match[1]);
  assert.deepEqual(passed, ["0", "2", "2"]);
});

test("learn says what is not there yet, and what was meant", async () => {
  const [later, wrong, help, option, chapter] = await Promise.all([
    learn("trace"),
    learn("strat 5"),
    learn("help"),
    learn("test 7 --rfe"),
    learn("start quue"),
  ]);
  assert.deepEqual([later.code, wrong.code, help.code, option.code, chapter.code], [1, 2, 0, 1, 1]);
  assert.match(later.out, /Cannot trace: what\? For example: npm run learn trace 12\/freeze/);
  assert.match(wrong.out, /did you mean start\?/);
  assert.match(option.out, /did you mean --ref\?/);
  assert.match(chapter.out, /did you mean queue\?/);
  assert.ok(!existsSync(join(root, "own/.titan")));
});
