/** What `learn` remembers of a chapter's tests, and after which changes it asks them again. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Opened } from "../scripts/learn/chapter.ts";
import { Known } from "../scripts/learn/known.ts";

const named = (name: string) => ({ source: `./src/${name}/mod.ts` });

/** Chapter 05 tests the log, which uses the base; 06 is the dag, and nobody uses the page. */
const FILES: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    imports: Object.fromEntries(["log", "base", "dag", "page"].map((name) =>
      [`#${name}`, named(name)])),
  }),
  ".gitignore": "own/\n",
  "src/base/mod.ts": "export const base = 1;\n",
  "src/log/mod.ts": 'export * from "./record.ts";\n',
  "src/log/record.ts": 'export { base } from "#base";\n',
  "src/dag/mod.ts": "export const dag = 1;\n",
  "src/page/mod.ts": "export const page = 1;\n",
  "test/05-log.support.ts": "export const support = 1;\n",
  "test/05-log.test.ts": 'import "#log";\nimport "./05-log.support.ts";\n',
  "test/06-dag.test.ts": 'import "#dag";\n',
  "own/log.ts": 'export * from "./log/mod.ts";\n',
  "own/log/mod.ts": 'export { base } from "#base";\n',
  "own/dag.ts": "export const dag = 2;\n",
};

const PASSED = { done: true, text: "done: own/log.ts, 7 tests pass" };

let root = "";
const write = (name: string, text: string): void => {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
};
const change = (name: string): void =>
  write(name, `${FILES[name] ?? ""}${name.endsWith(".json") ? "\n" : "// changed\n"}`);

beforeEach(() => {
  root = join(realpathSync(mkdtempSync(join(tmpdir(), "titan-known-"))), "a project");
  for (const [name, text] of Object.entries(FILES)) write(name, text);
});
afterEach(() => rmSync(dirname(root), { recursive: true }));

function git(...args: string[]): void {
  const done = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
}

/** Chapter 05, with a copy of the reader's. */
function log(tests = ["test/05-log.test.ts"]): Opened {
  const part = {
    name: "log", folder: "src/log", entry: "own/log.ts", ownFolder: "own/log",
    files: [{ from: "src/log/mod.ts", to: "own/log/mod.ts" }],
  };
  return {
    project: { root } as Opened["project"],
    chapter: { id: "05-log", number: 5, name: "log", tests, hasLesson: true },
    parts: [part], exercises: [], others: [],
  };
}

/** The tests have passed on the files as they are. */
function pass(): void {
  const known = new Known(root);
  known.keep(log(), known.take(log()), PASSED);
}

const isKnown = (opened = log()): boolean => new Known(root).get(opened) !== undefined;

test("Known keeps a result while what the chapter's tests use is the same", () => {
  git("init", "-q");
  pass();
  assert.deepEqual(new Known(root).get(log())?.text, PASSED.text);
  for (const other of ["src/page/mod.ts", "src/dag/mod.ts", "test/06-dag.test.ts", "own/dag.ts"]) {
    change(other);
    assert.ok(isKnown(), `${other} is nothing to chapter 05`);
  }
});

test("Known forgets a result when anything changes that the chapter's tests use", () => {
  git("init", "-q");
  for (const used of [
    "src/log/record.ts", "src/log/new.ts", "src/base/mod.ts", "test/05-log.test.ts",
    "test/05-log.support.ts", "own/log.ts", "own/log/mod.ts", "package.json",
  ]) {
    pass();
    assert.ok(isKnown());
    change(used);
    assert.ok(!isKnown(), used);
  }
  pass();
  assert.ok(!isKnown(log(["test/05-log.test.ts", "test/05-log.tail.test.ts"])), "a new test");
});

test("Known keeps what was said of the files before the tests, even if one changes later", () => {
  git("init", "-q");
  const known = new Known(root);
  const taken = known.take(log());
  change("src/base/mod.ts");
  known.keep(log(), taken, PASSED);
  assert.ok(!isKnown());
  write("src/base/mod.ts", FILES["src/base/mod.ts"]!);
  assert.ok(isKnown());
});

test("Known follows the imports of own files: other subsystems, and other chapters", () => {
  git("init", "-q");
  write("own/log/mod.ts", 'import "#page";\nimport "./missing.ts";\n');
  pass();
  change("own/dag.ts");
  assert.ok(isKnown(), "own/log imports nothing from own/dag");
  change("src/page/mod.ts");
  assert.ok(!isKnown(), "own/log imports #page, which ours does not");

  write("own/log/mod.ts", 'import { dag } from "../dag.ts";\n');
  pass();
  assert.ok(isKnown());
  write("own/dag.ts", "export const dag = 3;\n");
  assert.ok(!isKnown(), "own/log reaches into own/dag");
});

test("Known takes everything for used where git does not tell what is there", () => {
  pass();
  assert.ok(isKnown());
  change("src/page/mod.ts");
  assert.ok(!isKnown());
});

test("Known asks again after an older version's note, and after one that is damaged", () => {
  for (const note of ['{"05-log": {"hash": "x", "done": true, "text": "old"}}', "{"]) {
    write("own/.map.json", note);
    assert.ok(!isKnown());
  }
});
