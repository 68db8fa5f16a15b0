/**
 * An exercise is real when the chapter with its bodies removed still compiles, and its contract
 * test fails.
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recompile } from "../lib/compiled.mjs";
import { HAS_FAILED } from "../lib/first-failure.mjs";
import { runNamedTests, runTestFile, tail } from "./breaks.ts";
import { type Exercise, makeSkeleton } from "./exercises.ts";
import type { Lesson, Project } from "./project.ts";
import type { Problem } from "./report.ts";
import { runIn, type Sandbox } from "./sandbox.ts";

const COMPILE_TIMEOUT_MS = 60_000;

/** With the bodies removed, the chapter's contract test must fail. */
export async function checkSkeleton(
  sandbox: Sandbox,
  lesson: Lesson,
  exercises: readonly Exercise[],
): Promise<Problem[]> {
  removeBodies(sandbox, exercises);
  const { file = lesson.readme, line = 1 } = exercises[0] ?? {};
  const problem = (message: string): Problem[] => [{ file, line, rule: "exercise", message }];
  const test = `test/${lesson.id}.test.ts`;
  if (await fails(sandbox, test)) return [];
  const { summary, output } = await runNamedTests(sandbox, test, []);
  if (summary === undefined || summary.failed.length > 0) return [];
  if (summary.ran === 0) return problem(`${test} runs no test:\n${tail(output)}`);
  const names = exercises.map(({ name }) => name).join(", ");
  return problem(`${test} passes although the bodies of ${names} are gone`);
}

/** Whether a test of this file fails: what the ones behind it do is not asked. */
async function fails(sandbox: Sandbox, test: string): Promise<boolean> {
  const { code } = await runTestFile(sandbox, test, [
    `--test-reporter=${new URL("../lib/first-failure.mjs", import.meta.url).href}`,
    "--test-reporter-destination=stdout",
  ]);
  return code === HAS_FAILED;
}

/**
 * With the bodies of all lessons removed the sources must type-check: one compile, since it is the
 * dearest step of all.
 */
export async function checkSkeletonTypes(
  project: Project,
  sandbox: Sandbox,
  exercises: readonly Exercise[],
): Promise<Problem[]> {
  removeBodies(sandbox, exercises);
  // A name that only the removed bodies used is no error in a skeleton: the reader is about to use
  // it again.
  const errors = await typeErrors(project, sandbox);
  if (errors.length === 0) return [];
  // An error that is there with the bodies in place, too, belongs to somebody else.
  for (const file of new Set(exercises.map((exercise) => exercise.file))) {
    copyFileSync(join(project.root, file), join(sandbox.root, file));
  }
  const before = new Set((await typeErrors(project, sandbox)).map(withoutPlace));
  return errors
    .filter((line) => !before.has(withoutPlace(line)))
    .map((line) => {
      const [, file = exercises[0]!.file, row = "1"] = /^([^(]+)\((\d+),/.exec(line) ?? [];
      const message = `with the bodies of the exercises removed this does not type-check: ${line}`;
      return { file, line: Number(row), rule: "exercise", message };
    });
}

/** Lines move when bodies go. */
const withoutPlace = (line: string): string => line.replace(/\(\d+,\d+\)/, "");

function removeBodies(sandbox: Sandbox, exercises: readonly Exercise[]): void {
  const files = [...new Set(exercises.map((exercise) => exercise.file))];
  for (const file of files) {
    const path = join(sandbox.root, file);
    writeFileSync(path, makeSkeleton(readFileSync(path, "utf8")));
  }
  recompile(sandbox.root, files);
}

async function typeErrors(project: Project, sandbox: Sandbox): Promise<string[]> {
  const { code, output } = await runIn(sandbox, [
    process.execPath, join(project.root, "node_modules/typescript/bin/tsc"),
    "-p", "tsconfig.json", "--noEmit",
    "--singleThreaded", // other jobs have the other processors
    "--noUnusedLocals", "false", "--noUnusedParameters", "false",
  ], COMPILE_TIMEOUT_MS);
  return code === 0 ? [] : output.trim().split("\n").filter((line) => line.includes("error TS"));
}
