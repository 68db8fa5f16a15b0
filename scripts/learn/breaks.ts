/**
 * Breaks: one-line sabotages, each with the test that must notice.
 *
 *     Title: Trust the length
 *     Predict: What happens to a header that announces 4 GiB?
 *     Test: test/01-framing.test.ts
 *     Fails: decodeFrame() refuses a length above the limit before allocating
 *     Why: The length is the peer's word; without the check it is also our allocation.
 *
 *     --- a/src/framing/mod.ts
 *     +++ b/src/framing/mod.ts
 *     …
 */
import { readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { programFile, testFlags } from "../lib/compiled.mjs";
import { filesUnder } from "../lib/files.mjs";
import type { TestSummary } from "../lib/reporter.mjs";
import { readPatch } from "./patches.ts";
import type { Lesson, Project } from "./project.ts";
import type { Problem } from "./report.ts";
import { applyPatch, type Outcome, runIn, type Sandbox } from "./sandbox.ts";

export interface Break {
  /** Relative to the root. */
  readonly file: string;
  readonly title: string;
  readonly predict: string;
  readonly test: string;
  readonly fails: string;
  readonly why: string;
}

const FIELDS = ["Title", "Predict", "Test", "Fails", "Why"] as const;

/** Reads the header lines. A missing field is a problem of its own. */
export function parseBreak(file: string, text: string): { broken: Break; problems: Problem[] } {
  const { fields, diff } = readPatch(text);
  const problems: Problem[] = [];
  const say = (message: string): void =>
    void problems.push({ file, line: 1, rule: "break", message });
  for (const field of FIELDS) if (!fields.get(field)) say(`the header has no "${field}:" line`);
  if (/[^?]$/.test(fields.get("Predict") ?? "")) say('"Predict:" must ask a question');
  if (!diff.includes("\n+++ ")) say("no unified diff after the header");
  const get = (field: (typeof FIELDS)[number]): string => fields.get(field) ?? "";
  return {
    broken: {
      file, title: get("Title"), predict: get("Predict"), test: get("Test"), fails: get("Fails"),
      why: get("Why"),
    },
    problems,
  };
}

export function listBreaks(
  project: Project,
  lesson: Lesson,
): { breaks: Break[]; problems: Problem[] } {
  const breaks: Break[] = [];
  const problems: Problem[] = [];
  for (const path of filesUnder(join(project.root, lesson.folder, "break"))) {
    if (!path.endsWith(".patch")) continue;
    const parsed = parseBreak(relative(project.root, path), readFileSync(path, "utf8"));
    problems.push(...parsed.problems);
    if (parsed.problems.length === 0) breaks.push(parsed.broken);
  }
  return { breaks, problems };
}

/** A sabotage may hang what it breaks; then the test fails at this deadline. */
const TEST_TIMEOUT_MS = 15_000;
const RUN_TIMEOUT_MS = 60_000;

/** Runs a test file directly: the runner's process per file would only cost time. */
export function runTestFile(
  sandbox: Sandbox, test: string, options: readonly string[],
): Promise<Outcome> {
  const flags = [...testFlags(sandbox.root, { untraced: true }), ...options];
  const program = [`--test-timeout=${TEST_TIMEOUT_MS}`, programFile(sandbox.root, test)];
  return runIn(sandbox, [process.execPath, ...flags, ...program], RUN_TIMEOUT_MS);
}

/** Runs the tests of these names in a sandbox; undefined when the runner could not even report. */
export async function runNamedTests(
  sandbox: Sandbox,
  test: string,
  names: readonly string[],
): Promise<{ summary: TestSummary | undefined; output: string }> {
  const report = join(sandbox.temp, "summary.json");
  rmSync(report, { force: true });
  const { output } = await runTestFile(sandbox, test, [
    ...names.map((name) => `--test-name-pattern=${name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}`),
    "--test-reporter=spec", "--test-reporter-destination=stdout",
    `--test-reporter=${new URL("../lib/reporter.mjs", import.meta.url).href}`,
    `--test-reporter-destination=${report}`,
  ]);
  try {
    return { summary: JSON.parse(readFileSync(report, "utf8")) as TestSummary, output };
  } catch {
    return { summary: undefined, output };
  }
}

/**
 * The unpatched tree must pass every test that a break of it names: a test that never ran cannot
 * fail for the right reason.
 */
export async function checkBaseline(
  sandbox: Sandbox,
  breaks: readonly Break[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const test of new Set(breaks.map((broken) => broken.test))) {
    const mine = breaks.filter((broken) => broken.test === test);
    const { summary, output } = await runNamedTests(sandbox, test, [
      ...new Set(mine.map(({ fails }) => fails)),
    ]);
    for (const { file, fails } of mine) {
      if (summary?.passed.some(({ name }) => name === fails)) continue;
      const why = summary === undefined ? `it did not finish:\n${tail(output)}`
        : summary.failed.some(({ name }) => name === fails) ? `it fails:\n${tail(output)}`
          : "there is no such test";
      const message = `without the patch, ${test} must pass "${fails}", but ${why}`;
      problems.push({ file, line: 4, rule: "break", message });
    }
  }
  return problems;
}

/** Applied to a copy, the patch must make the named test fail. */
export async function checkBreak(sandbox: Sandbox, broken: Break): Promise<Problem[]> {
  const problem = (line: number, message: string): Problem[] => [
    { file: broken.file, line, rule: "break", message },
  ];
  const refused = await applyPatch(sandbox, broken.file);
  if (refused !== undefined) return problem(1, `the patch does not apply:\n${refused}`);
  const { summary, output } = await runNamedTests(sandbox, broken.test, [broken.fails]);
  if (!summary) {
    const what = `the tests did not finish, so "${broken.fails}" did not fail`;
    return problem(4, `${what}:\n${tail(output)}`);
  }
  if (summary.failed.some(({ name }) => name === broken.fails)) return [];
  const others = summary.failed.map(({ name }) => name).join("; ");
  const passes = summary.passed.some(({ name }) => name === broken.fails);
  const found = `${passes ? "passes" : "does not run"}${others ? ` (failing: ${others})` : ""}`;
  const wanted = `with the patch, ${broken.test} must fail "${broken.fails}"`;
  return problem(4, `${wanted}, but it ${found}`);
}

export function tail(output: string, lines = 12): string {
  return output.trim().split("\n").slice(-lines).map((line) => `      ${line}`).join("\n");
}
