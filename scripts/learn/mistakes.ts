/**
 * Mistakes that a reader might make in an exercise, and the test that must notice each: a contract
 * judges every line of what is to be written, or it does not judge the reader. In
 * `lessons/NN-name/mistakes.md`:
 *
 *     ## scanBlock                                  an exercise of the chapter
 *     ### The limit of a record is forgotten        what the reader did, in words
 *     05-log.tail: scanBlock() takes no record …    the test file, and the test
 *     ```diff                                       lines of the exercise's body: what is taken
 *     -if (length > MAX_RECORD_BYTES) return 0;     out (-), put in (+), and stays ( )
 *     ```
 *
 * Lines are compared without their indentation, so that a mistake does not rot with it. One whose
 * lines are not there any more is a problem, and so is one that no test notices, or that is noticed
 * only by waiting.
 * Test: test/learn-mistakes.test.ts
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../bootstrap.mjs";
import { listChapters } from "../lib/chapters.mjs";
import { isCompiled, programArguments, programFile, recompile } from "../lib/compiled.mjs";
import { isAlone } from "../lib/together.mjs";
import type { Exercise } from "./exercises.ts";
import { parseMarkdown } from "./markdown.ts";
import { ENDLESS, LATE, type Outcome, type Task } from "./mistakes-run.ts";
import type { Lesson, Project } from "./project.ts";
import type { Problem } from "./report.ts";
import { runIn, type Sandbox } from "./sandbox.ts";

export interface Mistake {
  readonly exercise: string;
  readonly title: string;
  /** Where it stands in mistakes.md. */
  readonly line: number;
  /** "test/05-log.tail.test.ts"; empty when nothing is said. */
  readonly test: string;
  readonly fails: string;
  readonly hunks: readonly Hunk[];
}

interface Hunk {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Fewer do not judge an exercise. */
const LEAST = 2;
/** The tests of these start programs, and those would run what is right. */
const JUDGED_BY_PROGRAMS: ReadonlySet<string> = new Set(["end"]);

export const mistakesFile = ({ folder }: Lesson): string => `${folder}/mistakes.md`;

export function readMistakes(text: string): Mistake[] {
  const lines = text.split("\n");
  const { headings, fences } = parseMarkdown(text);
  let exercise = "";
  return headings.flatMap(({ level, text: title, line }, at) => {
    if (level === 2) exercise = title.replace(/[`()]/g, "");
    if (level !== 3) return [];
    const next = headings[at + 1]?.line ?? lines.length + 1;
    const fence = fences.find((each) => each.line > line && each.line < next);
    const said = lines.slice(line, (fence?.line ?? next) - 1).join(" ").trim();
    const [, file, named = ""] = /^([\w.-]+): (.+)$/.exec(said.replace(/\s+/g, " ")) ?? [];
    const fails = named === "?" ? "" : named;
    const test = file === undefined ? "" : `test/${file}.test.ts`;
    return [{ exercise, title, line, test, fails, hunks: hunksOf(fence?.lines ?? []) }];
  });
}

function hunksOf(lines: readonly string[]): Hunk[] {
  const hunks: { before: string[]; after: string[] }[] = [{ before: [], after: [] }];
  for (const line of lines) {
    const hunk = hunks.at(-1)!;
    const text = line.slice(1).trim();
    if (line.startsWith("@@")) hunks.push({ before: [], after: [] });
    else {
      if (line[0] !== "+") hunk.before.push(text);
      if (line[0] !== "-") hunk.after.push(text);
    }
  }
  return hunks;
}

/** The source with the mistake in it, or what keeps it from being made. */
export function make(source: string, { exercise, hunks }: Mistake): { text: string } | string {
  let lines = source.split("\n");
  for (const { before, after } of hunks) {
    const start = lines.findIndex((line) => line.trim() === `// #exercise ${exercise}`);
    const end = lines.findIndex((line, at) => at > start && /^\s*\/\/ #end-exercise/.test(line));
    if (before.length === 0) return "it says no line of the exercise";
    const places = lines.flatMap((_, at) =>
      at > start && at + before.length <= end
        && before.every((line, i) => lines[at + i]!.trim() === line) ? [at] : []);
    const [place] = places;
    const what = `the lines "${before.join(" ")}" stand`;
    if (place === undefined) return `${what} nowhere in ${exercise}`;
    if (places.length > 1) return `${what} ${places.length} times in ${exercise}`;
    lines = [...lines.slice(0, place), ...after, ...lines.slice(place + before.length)];
  }
  return { text: lines.join("\n") };
}

/** What can be seen without running anything, and the mistakes that can be made. */
export function checkMistakes(
  { root }: Project,
  lesson: Lesson,
  exercises: readonly Exercise[],
): { mistakes: Mistake[]; problems: Problem[] } {
  const file = mistakesFile(lesson);
  const problems: Problem[] = [];
  const say = (line: number, message: string): void =>
    void problems.push({ file, line, rule: "mistake", message });
  if (!existsSync(join(root, file))) {
    if (exercises.length > 0) {
      const names = exercises.map(({ name }) => name).join(", ");
      say(1, `is missing; it needs ${LEAST} mistakes for each of ${names}`);
    }
    return { mistakes: [], problems };
  }
  const mistakes = readMistakes(readFileSync(join(root, file), "utf8"));
  const sound: Mistake[] = [];
  for (const mistake of mistakes) {
    const { exercise, title, line, test } = mistake;
    const found = exercises.find(({ name }) => name === exercise);
    if (found === undefined) {
      say(line, `"${title}" is of ${exercise}, which is no exercise of this chapter`);
      continue;
    }
    const made = make(readFileSync(join(root, found.file), "utf8"), mistake);
    if (typeof made === "string") say(line, `"${title}" cannot be made any more: ${made}`);
    else sound.push(mistake);
    if (test === "") say(line, `"${title}" names no test that notices it ("05-log.tail: …")`);
    else if (!existsSync(join(root, test))) say(line, `"${title}" names ${test}, which is missing`);
  }
  for (const { name } of exercises) {
    const count = mistakes.filter(({ exercise }) => exercise === name).length;
    const isEnough = count >= LEAST || JUDGED_BY_PROGRAMS.has(name);
    if (!isEnough) say(1, `${count} mistakes for ${name}; it needs ${LEAST}`);
  }
  return { mistakes: sound, problems };
}

/** Modules that are changed are linked by hand, for which Node has an option. */
const FLAGS = ["--experimental-vm-modules", "--no-warnings"];
const RUNNER = "scripts/learn/mistakes-run.ts";
const RUN_TIMEOUT_MS = 300_000;

interface Making {
  readonly project: Project;
  readonly lesson: Lesson;
  readonly mistakes: readonly Mistake[];
  readonly exercises: readonly Exercise[];
  /** After so many milliseconds a test waits, or never ends; the runner's own when left out. */
  readonly limitMs?: number;
}

/** Each mistake in a compiled file of its own beside the right one, all compiled at once. */
function tasksFor(
  sandbox: Sandbox, { mistakes, exercises }: Making, testsOf: (mistake: Mistake) => string[],
): Task[] {
  const sources: string[] = [];
  const tasks = mistakes.map((mistake, id): Task => {
    const { file } = exercises.find(({ name }) => name === mistake.exercise)!;
    const made = make(readFileSync(join(sandbox.root, file), "utf8"), mistake);
    if (typeof made === "string") throw new Error(`Cannot make a mistake: ${made}`);
    const instead = file.replace(/\.ts$/, `.mistake-${id}.ts`);
    writeFileSync(join(sandbox.root, instead), made.text);
    sources.push(instead);
    const { exercise, fails } = mistake;
    const tests = testsOf(mistake).map((test) => test.replace(/\.ts$/, ".js"));
    const compiled = { file: builtOf(file), instead: builtOf(instead) };
    return { id, exercise, ...compiled, tests, ...(fails !== "" && { name: fails }) };
  });
  recompile(sandbox.root, sources);
  return tasks;
}

const builtOf = (file: string): string => file.replace(/^src\//, "dist/").replace(/\.ts$/, ".js");

/** Runs the tasks, in one process unless one of them never ends. */
async function runTasks(
  sandbox: Sandbox, tasks: readonly Task[], limitMs?: number,
): Promise<Told> {
  const taskFile = join(sandbox.temp, "tasks.json");
  const report = join(sandbox.temp, "outcomes.jsonl");
  const own = programFile(sandbox.root, RUNNER);
  const program = existsSync(own) ? [own] : programArguments(ROOT, RUNNER);
  const limits = limitMs === undefined ? [] : [`${limitMs}`];
  const outcomes = new Map<number, Outcome>();
  for (let left = tasks; left.length > 0;) {
    writeFileSync(taskFile, JSON.stringify(left));
    rmSync(report, { force: true });
    const argv = [process.execPath, ...FLAGS, ...program, taskFile, report, ...limits];
    const { output, signal, timedOut } = await runIn(sandbox, argv, RUN_TIMEOUT_MS);
    const lines = existsSync(report) ? readFileSync(report, "utf8").split("\n") : [];
    for (const line of lines.filter(Boolean)) {
      const outcome = JSON.parse(line) as Outcome;
      outcomes.set(outcome.id, outcome);
    }
    const last = [...outcomes.values()].at(-1);
    const isKilled = signal === "SIGKILL" && !timedOut && last?.message === ENDLESS;
    if (!isKilled) return { outcomes, output };
    left = left.slice(left.findIndex(({ id }) => id === last.id) + 1);
  }
  return { outcomes, output: "" };
}

interface Told {
  readonly outcomes: ReadonlyMap<number, Outcome>;
  readonly output: string;
}

/** Made in a copy, each mistake must fail the test that it names, and be told in words. */
export async function checkMade(sandbox: Sandbox, making: Making): Promise<Problem[]> {
  // A project that cannot be built has been told so; its modules cannot be put together.
  if (!isCompiled(sandbox.root)) return [];
  const mistakes = making.mistakes.filter(({ test }) =>
    test !== "" && existsSync(join(sandbox.root, test)));
  const tasks = tasksFor(sandbox, { ...making, mistakes }, ({ test }) => [test]);
  const { outcomes, output } = await runTasks(sandbox, tasks, making.limitMs);
  return mistakes.flatMap((mistake, id) => {
    const what = whyNotNoticed(mistake, outcomes.get(id), output);
    return what === undefined ? [] : [problemOf(making.lesson, mistake, what)];
  });
}

function whyNotNoticed(
  { test, fails }: Mistake, found: Outcome | undefined, output: string,
): string | undefined {
  if (found === undefined) return output.trim() || `${test} has no test "${fails}"`;
  if (!found.before) return `"${fails}" fails without it, too`;
  if (found.message === "") return `"${fails}" passes with it`;
  if (found.message !== LATE && found.message !== ENDLESS) return undefined;
  return `"${fails}" does not fail: ${found.message}`;
}

function problemOf(lesson: Lesson, { line, title }: Mistake, what: string): Problem {
  return { file: mistakesFile(lesson), line, rule: "mistake", message: `"${title}": ${what}` };
}

/** For mistakes that name no test finds the quickest that notices, and writes its name. */
export async function recordMistakes(sandbox: Sandbox, making: Making): Promise<Problem[]> {
  const { project: { root }, lesson } = making;
  const mistakes = making.mistakes.filter(({ fails }) => fails === "");
  const tests = listChapters(root).find(({ id }) => id === lesson.id)?.tests ?? [];
  const judges = tests.filter((test) =>
    test === `test/${lesson.id}.test.ts` || !isAlone(join(root, test)));
  const tasks = tasksFor(sandbox, { ...making, mistakes }, ({ test }) =>
    test === "" ? judges : [test]);
  const { outcomes, output } = await runTasks(sandbox, tasks);
  const path = join(root, mistakesFile(lesson));
  const lines = readFileSync(path, "utf8").split("\n");
  const problems: Problem[] = [];
  for (const [id, mistake] of [...mistakes.entries()].reverse()) {
    const outcome = outcomes.get(id);
    const isNoticed = outcome !== undefined && outcome.message !== "";
    if (isNoticed && outcome.message !== LATE && outcome.message !== ENDLESS) {
      const file = outcome.test.replace(/^test\/|\.test\.js$/g, "");
      const isAsked = mistake.test !== "";
      lines.splice(mistake.line + 1, isAsked ? 2 : 0, `${file}: ${outcome.name}`, "");
      continue;
    }
    const what = outcome === undefined ? output.trim() || "it is not judged"
      : isNoticed ? `"${outcome.name}" does not fail: ${outcome.message}`
        : "no test of the chapter notices it";
    problems.push(problemOf(lesson, mistake, what));
  }
  writeFileSync(path, lines.join("\n"));
  return problems.reverse();
}
