/**
 * The mistakes that a contract must notice: read, made, and judged, in a project of one file.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { checkMade, checkMistakes, make, readMistakes } from "../scripts/learn/mistakes.ts";
import type { Exercise } from "../scripts/learn/exercises.ts";
import type { Lesson, Project } from "../scripts/learn/project.ts";
import type { Sandbox } from "../scripts/learn/sandbox.ts";
import { COMPILED_MARK } from "../scripts/bootstrap.mjs";

const FENCE = "```";
const SOURCE = `export function sum(list: number[]): number {
  // #exercise sum
  let total = 0;
  for (let i = 0; i < list.length; i++) {
    total += list[i]!;
  }
  return total;
  // #end-exercise
}
`;
const entry = (title: string, named: string, ...lines: string[]): string =>
  [`### ${title}`, "", named, "", `${FENCE}diff`, ...lines, FENCE, ""].join("\n");
const LAST = [
  "-for (let i = 0; i < list.length; i++) {", "+for (let i = 1; i < list.length; i++) {",
];
const MISTAKES = `# Mistakes\n\n## sum\n\n${[
  entry("The first is left out", "01-sum: sum() adds up", ...LAST),
  entry("It starts with one", "01-sum: sum() adds up", "-let total = 0;", "+let total = 1;"),
  entry("The last wins", "01-sum: sum() adds up", "-total += list[i]!;", "+total = list[i]!;"),
].join("\n")}`;

const LESSON: Lesson = {
  id: "01-sum", number: 1, folder: "lessons/01-sum", readme: "lessons/01-sum/README.md",
};
const EXERCISES: readonly Exercise[] = [{ name: "sum", file: "src/sum/mod.ts", line: 2 }];

const titles = (text: string): string[] => readMistakes(text).map(({ title }) => title);

test("readMistakes() reads titles, tests and changed lines", () => {
  const [first] = readMistakes(MISTAKES);
  assert.deepEqual(first, {
    exercise: "sum", title: "The first is left out", line: 5,
    test: "test/01-sum.test.ts", fails: "sum() adds up",
    hunks: [{ before: [LAST[0]!.slice(1)], after: [LAST[1]!.slice(1)] }],
  });
  assert.equal(titles(MISTAKES).length, 3);
});

test("make() changes lines of the exercise, whatever their indentation, or says why not", () => {
  const made = (...lines: string[]): { text: string } | string =>
    make(SOURCE, readMistakes(`## sum\n${entry("x", "01-sum: y", ...lines)}`)[0]!);
  const first = made(...LAST);
  assert.ok(typeof first === "object" && first.text.includes("let i = 1"));
  assert.match(String(made("-return 7;")), /the lines "return 7;" stand nowhere in sum/);
  const [twice] = readMistakes(`## sum\n${entry("x", "01-sum: y", "-let total = 0;")}`);
  const again = SOURCE.replace("let total = 0;", "let total = 0;\n  let total = 0;");
  assert.match(String(make(again, twice!)), /"let total = 0;" stand 2 times in sum/);
  assert.match(String(made("+let more = 1;")), /it says no line of the exercise/);
  const two = made("-let total = 0;", "+let total = 1;", "@@", "-return total;", "+return 0;");
  assert.ok(typeof two === "object" && /= 1;[^]*return 0;/.test(two.text));
});

let root = "";
const write = (name: string, text: string): void => {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
};
before(() => {
  root = mkdtempSync(join(tmpdir(), "titan-mistakes-"));
  const target = { source: "./src/sum/mod.ts", default: "./dist/sum/mod.js" };
  write("package.json", JSON.stringify({ type: "module", imports: { "#sum": target } }));
  write("src/sum/mod.ts", SOURCE);
  symlinkSync(join(import.meta.dirname, "../node_modules"), join(root, "node_modules"));
  write("test/01-sum.test.ts", "");
  write("lessons/01-sum/mistakes.md", MISTAKES);
});
after(() => rmSync(root, { recursive: true, force: true }));

function checked(text: string): string[] {
  write("lessons/01-sum/mistakes.md", text);
  const project: Project = { root, lessons: [LESSON], subsystems: [] };
  return checkMistakes(project, LESSON, EXERCISES).problems.map(({ message }) => message);
}

test("checkMistakes() says what has rotted, without running anything", () => {
  assert.deepEqual(checked(MISTAKES), []);
  assert.match(checked(MISTAKES.replace("-let total", "-let sum"))[0]!, /cannot be made any more/);
  assert.match(checked(MISTAKES.replace("01-sum: sum() adds up", ""))[0]!, /names no test/);
  assert.match(checked(MISTAKES.replaceAll("01-sum:", "02-gone:"))[0]!, /which is missing/);
  const other = MISTAKES.replace("## sum", "## product");
  assert.match(checked(other)[0]!, /no exercise of this chapter/);
  const one = MISTAKES.slice(0, MISTAKES.indexOf("### It starts"));
  assert.deepEqual(checked(one), ["1 mistakes for sum; it needs 2"]);
  write("lessons/01-sum/mistakes.md", MISTAKES);
});

test("checkMade() tells which mistake no test notices, which test is gone, and which never ends",
  async () => {
    const mistakes = readMistakes(`## sum\n${[
      entry("noticed", "01-sum: sum() adds up", ...LAST),
      entry("not noticed", "01-sum: sum() of nothing is 0", ...LAST),
      entry("no test", "01-sum: sum() is gone", ...LAST),
      entry("endless", "01-sum: sum() adds up", "-total += list[i]!;", "+i--;"),
      entry("wrong before", "01-sum: sum() is 7", ...LAST),
      entry("waits", "01-sum: sum() in time", ...LAST),
    ].join("\n")}`);
    write(COMPILED_MARK, `file://${root}/`);
    write("dist/sum/mod.js", SOURCE.replace("list: number[]): number", "list)").replace("]!", "]"));
    write("test/01-sum.test.js", [
      'import assert from "node:assert/strict";', 'import { test } from "node:test";',
      'import { sum } from "#sum";',
      'test("sum() adds up", async () => assert.equal(sum([1, 2, 3]), 6));',
      'test("sum() of nothing is 0", () => assert.equal(sum([]), 0));',
      'test("sum() is 7", () => assert.equal(sum([]), 7));',
      'test("sum() in time", async () => { while (sum([1]) !== 1) await new Promise(() => {}); });',
    ].join("\n"));
    const sandbox: Sandbox = { root, temp: root, bin: root, remove: () => {} };
    const project: Project = { root, lessons: [LESSON], subsystems: [] };
    const making = { project, lesson: LESSON, mistakes, exercises: EXERCISES, limitMs: 1000 };
    const problems = await checkMade(sandbox, making);
    assert.deepEqual(problems.map(({ message }) => message), [
      '"not noticed": "sum() of nothing is 0" passes with it',
      '"no test": test/01-sum.test.ts has no test "sum() is gone"',
      '"endless": "sum() adds up" does not fail: it never ends',
      '"wrong before": "sum() is 7" fails without it, too',
      '"waits": "sum() in time" does not fail: it only waits',
    ]);
  });
