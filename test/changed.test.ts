/** What `npm test -- --changed` runs: everything that a change can touch, with the reason. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { changesSince, planFor } from "../scripts/lib/changed.mjs";

const ROOT = join(import.meta.dirname, "..");

const PACKAGE = {
  type: "module",
  imports: {
    "#log": { source: "./src/log/mod.ts", default: "./dist/log/mod.js" },
    "#dag": { source: "./src/dag/mod.ts", default: "./dist/dag/mod.js" },
  },
  scripts: { sim: "node scripts/launch.mjs sim" },
};

/** A project in which everything uses something else in a way of its own. */
const FILES: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify(PACKAGE),
  "src/log/mod.ts": '/** Lesson 05: a log. */\nexport * from "./record.ts";\n',
  "src/log/record.ts": "export const record = 1;\n",
  "src/dag/mod.ts": "/** Lesson 06: a dag. */\nexport const dag = 1;\n",
  "src/cli/main.ts": 'export const later = (): Promise<unknown> => import("#log");\n',
  "scripts/sim/main.ts": 'import "#dag";\n',
  "scripts/sim/child.ts": "export {};\n",
  "scripts/learn/check.ts": "export {};\n",
  "scripts/lib/run.mjs": 'export const all = ["src/log/mod.ts", "test/05-log.test.ts"];\n',
  "test/05-log.support.ts": 'export { record } from "#log";\n',
  "test/05-log.test.ts": 'import "./05-log.support.ts";\n',
  "test/05-log.lock-child.ts": "export {};\n",
  "test/06-dag.test.ts": 'import "#dag";\nconst name = "test";\n',
  "test/cli.test.ts": 'const main = join(ROOT, "dist", "cli", "main.js");\n',
  "test/docs.test.ts": 'const docs = join(import.meta.dirname, "..", "docs");\n',
  "test/fixture.test.ts": 'const files = { "src/log/mod.ts": "not the real one" };\n',
  "test/style.test.ts": "// looks at all files\n",
  "docs/page.md": "See src/dag/mod.ts.\n",
  "lessons/05-log/README.md": "# 05\n",
  "lessons/05-log/break/b.patch": "--- a/src/log/record.ts\n+++ b/src/log/record.ts\n",
  "lessons/06-dag/README.md": "# 06\n\n    $ npm run sim is no command here\n\n$ npm run -s sim\n",
  "lessons/07-none/try/a.ts": 'import "#log";\n',
  "lessons/07-none/README.md": "# 07\n",
};

let root = "";
const git = (...args: string[]): string => {
  const identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
  const done = spawnSync("git", [...identity, ...args], { cwd: root, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
};
const write = (name: string, text: string): void => {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
};

before(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "titan-changed-")));
  for (const [name, text] of Object.entries(FILES)) write(name, text);
  git("init", "-q", "-b", "main");
  git("add", "-A");
  git("commit", "-q", "-m", "all");
});
after(() => rmSync(root, { recursive: true, force: true }));

/** The names without what all of them have: "05-log", "lesson 05-log". */
function touchedBy(...changed: string[]): string[] {
  const { why, tests, lessons } = planFor(root, changed);
  assert.equal(why, "");
  const names = [...tests.keys()].map((file) => file.slice("test/".length, -".test.ts".length));
  return [...names, ...[...lessons.keys()].map((id) => `lesson ${id}`)]
    .filter((name) => name !== "style").sort();
}

test("planFor() follows imports, late ones, those by package and those of helpers", () => {
  assert.deepEqual(touchedBy("src/log/record.ts"), [
    "05-log",
    "cli",
    "lesson 05-log",
    "lesson 07-none",
  ]);
  assert.deepEqual(touchedBy("test/05-log.support.ts"), ["05-log"]);
  const { tests } = planFor(root, ["src/log/record.ts"]);
  assert.equal(
    tests.get("test/05-log.test.ts"),
    "src/log/record.ts -> src/log/mod.ts -> test/05-log.support.ts",
  );
  assert.equal(tests.get("test/style.test.ts"), "it looks at all files");
});

test("planFor() follows what is started or read: commands of a lesson, " +
  "built programs, folders", () => {
  assert.deepEqual(touchedBy("scripts/sim/main.ts"), ["lesson 06-dag"]);
  assert.deepEqual(touchedBy("scripts/sim/child.ts"), ["lesson 06-dag"]);
  assert.deepEqual(touchedBy("src/cli/main.ts"), ["cli"]);
  assert.deepEqual(touchedBy("docs/page.md"), ["docs"]);
  assert.deepEqual(touchedBy("src/dag/mod.ts"), ["06-dag", "lesson 06-dag"]);
});

test("planFor() takes a helper that nobody names for one of all tests of its chapter", () => {
  assert.deepEqual(touchedBy("test/05-log.lock-child.ts"), ["05-log"]);
});

test("planFor() knows what uses a file that is gone, and takes no fixture for a file", () => {
  rmSync(join(root, "src/log/record.ts"));
  try {
    assert.deepEqual(touchedBy("src/log/record.ts"), [
      "05-log",
      "cli",
      "lesson 05-log",
      "lesson 07-none",
    ]);
  } finally {
    write("src/log/record.ts", FILES["src/log/record.ts"]!);
  }
});

test("planFor() checks every lesson after a change of the checker, and runs everything after one " +
  "of the settings", () => {
  assert.deepEqual(touchedBy("scripts/learn/check.ts"), [
    "lesson 05-log",
    "lesson 06-dag",
    "lesson 07-none",
  ]);
  for (const file of [
    "package.json", "package-lock.json", "tsconfig.json", "test/tsconfig.json", "scripts/test.mjs",
    "scripts/bootstrap.mjs", "scripts/lib/run.mjs", ".ci/run",
  ]) {
    assert.equal(
      planFor(root, ["src/dag/mod.ts", file]).why,
      `${file} decides how everything is run`,
    );
  }
});

test("changesSince() sees commits of this branch, the index, the working tree " +
  "and new files", () => {
  assert.deepEqual(changesSince(root, undefined).changed, []);
  git("checkout", "-q", "-b", "work");
  try {
    write("src/dag/mod.ts", "export const dag = 2;\n");
    git("commit", "-q", "-am", "one");
    write("docs/page.md", "staged\n");
    git("add", "-A");
    write("docs/new page.md", "new\n");
    rmSync(join(root, "lessons/07-none/README.md"));
    const { base, changed } = changesSince(root, undefined);
    assert.equal(base, git("rev-parse", "main").trim());
    assert.deepEqual(changed, [
      "docs/new page.md",
      "docs/page.md",
      "lessons/07-none/README.md",
      "src/dag/mod.ts",
    ]);
    assert.deepEqual(changesSince(root, "HEAD").changed, changed.slice(0, 3));
    assert.throws(() => changesSince(root, "nothing"), /git knows no nothing/);
  } finally {
    git("checkout", "-q", "-f", "main");
    git("clean", "-q", "-f", "-d");
  }
});

test("npm test -- --changed runs what it names and says why; with nothing changed it says that " +
  "nothing ran", () => {
  for (const name of ["package.json", "package-lock.json", "tsconfig.json", "scripts"]) {
    cpSync(join(ROOT, name), join(root, name), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  rmSync(join(root, "lessons"), { recursive: true });
  const text = 'import { test } from "node:test";\ntest("a", () => {});\n';
  for (const name of Object.keys(FILES)) if (/^test\/.*\.ts$/.test(name)) write(name, text);
  for (const name of Object.keys(FILES)) if (/^src\//.test(name)) write(name, "export {};\n");
  write(
    "test/tsconfig.json",
    '{ "extends": "../tsconfig.json", "compilerOptions": { "noEmit": true, "rootDir": ".." } }\n',
  );
  const failing = 'test("b", () => { throw new Error("no"); });\n';
  write("test/06-dag.test.ts", `import "#dag";\n${text}${failing}`);
  write(".gitignore", "node_modules\ndist\n");
  git("add", "-A");
  git("commit", "-q", "-m", "scripts");
  const { NODE_TEST_CONTEXT: _, CI: __, ...env } = process.env;
  const run = (): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, ["scripts/test.mjs", "--changed"], {
      cwd: root,
      encoding: "utf8",
      env,
    });

  const nothing = run();
  assert.deepEqual([nothing.status, nothing.stderr], [0, ""]);
  assert.match(nothing.stdout, /^Nothing has changed since \w{9}: no test was run\.\nThat says/);

  write("src/dag/mod.ts", "export const dag: number = 3;\n");
  const one = run();
  assert.equal(one.status, 1, one.stderr + one.stdout);
  assert.match(
    one.stdout,
    /^1 file has changed since \w{9}\.\n2 of 6 test files, and 0 lessons, can notice:\n/,
  );
  assert.match(one.stdout, /^ {2}test\/06-dag\.test\.ts +src\/dag\/mod\.ts$/m);
  assert.match(one.stdout, /^failed: b \(test\/06-dag\.test\.ts\): no$/m);
  assert.match(one.stdout, /^# tests 3\n(# .*\n)*# pass 2\n# fail 1$/m);
});
