/**
 * `learn check [NN…] [--pages]`: the author's gate. Prose, code, transcripts, breaks and exercises
 * of every lesson hold, or it says where they do not. `--captions` only writes what a machine adds
 * to a lesson; it runs nothing, and is done in a second after a change that has moved lines.
 *
 * Everything that runs is a job; three run at a time, each in a sandbox of its own.
 * Test: test/learn-check.test.ts
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { BootstrapError, ensureBuilt, ROOT } from "../bootstrap.mjs";
import { findChapter } from "../lib/chapters.mjs";
import { filesUnder } from "../lib/files.mjs";
import { type Block, checkBlocks, docExamples } from "./blocks.ts";
import { type Break, checkBaseline, checkBreak, listBreaks } from "./breaks.ts";
import { type Cache, contentHash, openCache } from "./cache.ts";
import { furnish, furnishAll } from "./captions.ts";
import { checkExercises, exercisesOf } from "./exercises.ts";
import { checkForm, isConsole, isRun, parseQuote, quotedText } from "./form.ts";
import { checkLinks } from "./links.ts";
import { type Fence, type Markdown, parseMarkdown } from "./markdown.ts";
import { checkMade, checkMistakes, recordMistakes } from "./mistakes.ts";
import { checkOrder } from "./order.ts";
import {
  type Lesson, loadProject, type Project, sourceFiles, sourcesOfChapter,
} from "./project.ts";
import { formatProblem, type Problem } from "./report.ts";
import type { Sandbox } from "./sandbox.ts";
import { openSandboxes } from "./sandboxes.ts";
import { checkSkeleton, checkSkeletonTypes } from "./skeletons.ts";
import { checkTranscripts } from "./transcripts.ts";

/**
 * The machine the gate is sized for has two cores; jobs wait for a part of their time, and many
 * measure it.
 */
const JOBS_AT_ONCE = 3;

export interface CheckOptions {
  readonly root: string;
  /** Lesson ids; all when undefined. */
  readonly only?: readonly string[];
  /** With `only`: also the pages outside the lessons, and all doc comments. */
  readonly pages?: boolean;
  /** Writes regions and real output into the lessons. */
  readonly record?: boolean;
  readonly cache?: boolean;
  /** Tests that have passed on these very sources, so that breaks need not prove it again. */
  readonly passed?: readonly PassedTest[];
  /** A compiled copy of the project as it is, if there is one. */
  readonly copy?: string;
  /** Called once per lesson, when its last job has ended. */
  onLesson?(result: LessonResult): void;
}

/** As `npm test` knows them: the file may be absolute. */
export interface PassedTest {
  readonly name: string;
  readonly file: string;
}

export interface LessonResult {
  readonly name: string;
  readonly summary: string;
  readonly problems: readonly Problem[];
  /** The sum over its jobs. */
  readonly seconds: number;
}

export async function runCheck(args: readonly string[]): Promise<number> {
  const { values, positionals } = optionsOf(args);
  const asked = positionals.map((word) => findChapter(word).id);
  const { record = false, pages = false, passed, copy } = values;
  if (values.captions) {
    const written = furnishAll(loadProject(ROOT), asked);
    for (const file of written) process.stdout.write(`wrote ${file}\n`);
    return 0;
  }
  // Transcripts run the built CLI. If it does not build, the checks that need it say so.
  await ensureBuilt().catch((error: Error) => {
    const lines = error.message.split("\n");
    const more = lines.length > 6 ? `… ${lines.length - 6} lines more; ` : "";
    process.stderr.write(`${lines.slice(0, 6).join("\n")}\n${more}going on without a build\n`);
  });
  const started = performance.now();
  const results = await checkLessons({
    root: ROOT,
    ...(asked.length > 0 || pages ? { only: asked, pages } : {}),
    record, cache: !values["no-cache"],
    ...(copy !== undefined && { copy }),
    ...(passed !== undefined && {
      passed: JSON.parse(readFileSync(passed, "utf8")) as PassedTest[],
    }),
    onLesson: (result) => {
      for (const problem of result.problems) process.stdout.write(`${formatProblem(problem)}\n`);
      const failed = countWrong(result);
      const verdict = failed === 0 ? "ok" : `${failed} wrong`;
      const { name, summary, seconds } = result;
      process.stdout.write(`${name.padEnd(14)} ${verdict}  ${summary}  ${seconds.toFixed(1)} s\n`);
    },
  });
  const wrong = results.reduce((sum, result) => sum + countWrong(result), 0);
  const verdict = wrong === 0 ? "all hold" : `${wrong} wrong`;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`learn check: ${results.length} parts, ${verdict} (${seconds} s)\n`);
  return wrong === 0 ? 0 : 1;
}

const countWrong = ({ problems }: LessonResult): number =>
  problems.filter(({ warning }) => !warning).length;

/** `passed` and `copy` are for `npm test`, which knows more than it says. */
function optionsOf(args: readonly string[]) {
  const [flag, text] = [{ type: "boolean" }, { type: "string" }] as const;
  try {
    return parseArgs({
      args: [...args], allowPositionals: true,
      options: {
        record: flag, captions: flag, "no-cache": flag, pages: flag, passed: text, copy: text,
      },
    });
  } catch (error) {
    const [why] = (error as Error).message.split(". ");
    const known = "there are --captions, --record, --no-cache and --pages";
    throw new BootstrapError(`Cannot check: ${why} (${known})`);
  }
}

/**
 * Something that takes time. `key` names all that its result depends on; the sandbox is its own
 * while it runs.
 */
interface Job {
  readonly key: string;
  run(sandbox: Sandbox): Promise<Problem[]>;
}

interface Part {
  readonly name: string;
  readonly summary: string;
  readonly problems: Problem[];
  readonly jobs: readonly Job[];
}

export async function checkLessons(options: CheckOptions): Promise<LessonResult[]> {
  const project = loadProject(options.root);
  const lessons = project.lessons.filter(
    ({ id }) => options.only === undefined || options.only.includes(id),
  );
  const isCached = options.cache !== false && !options.record && !process.env["CI"];
  const cache = openCache(options.root, isCached);
  const common = hashOfCommon(project);
  const edits = new Map<Lesson, Edit[]>();
  const context = {
    common, edits: options.record ? edits : undefined, passed: options.passed ?? [],
  };
  const parts = lessons.map((lesson) => lessonPart(project, lesson, context));
  const whole = options.only === undefined || options.pages === true;
  parts.push(skeletonsPart(project, lessons, common));
  parts.push(examplesPart(project, whole ? project.lessons : lessons, common));
  if (whole) parts.push(pagesPart(project));
  const results = await runParts(parts, {
    from: options.copy ?? project.root, cache, onPart: options.onLesson,
  });
  cache.save();
  for (const [lesson, changes] of edits) applyEdits(join(project.root, lesson.readme), changes);
  return results;
}

/** By their keys, jobs that may take ten times as long as others: they begin first. */
const LONG = /^(console|types) /;

/**
 * Runs all jobs, `JOBS_AT_ONCE` side by side, the long ones first, so that the last one is not what
 * all wait for; and reports each part when its last job is done.
 */
async function runParts(
  parts: readonly Part[],
  { from, cache, onPart }: {
    /** What sandboxes are copies of. */
    from: string;
    cache: Cache;
    onPart: CheckOptions["onLesson"];
  },
): Promise<LessonResult[]> {
  const results = new Map<Part, LessonResult>();
  const open = parts.map((part) => ({ part, left: part.jobs.length, ms: 0 }));
  const finish = ({ part, ms }: { part: Part; ms: number }): void => {
    const { name, summary, problems } = part;
    const result = { name, summary, problems, seconds: ms / 1000 };
    results.set(part, result);
    onPart?.(result);
  };
  // Where there is no dist, "#name" has a meaning for sources only.
  const sandboxes = openSandboxes(from, { compile: existsSync(join(from, "dist")) });
  const jobs = open.flatMap((state) => state.part.jobs.map((job) => ({ state, job })));
  const isLong = ({ job }: { job: Job }): boolean => LONG.test(job.key);
  const queue = [...jobs.filter(isLong), ...jobs.filter((each) => !isLong(each))];
  for (const state of open) if (state.left === 0) finish(state);
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { state, job } = next;
      const started = performance.now();
      if (!cache.has(job.key)) {
        const problems = await sandboxes.use((sandbox) => job.run(sandbox));
        if (problems.length === 0) cache.add(job.key);
        state.part.problems.push(...problems);
      }
      state.ms += performance.now() - started;
      if (--state.left === 0) finish(state);
    }
  };
  try {
    await Promise.all(Array.from({ length: JOBS_AT_ONCE }, worker));
  } finally {
    sandboxes.remove();
  }
  return parts.map((part) => results.get(part)!);
}

/** Where the text differs from what `--captions` makes of it. */
function checkFurniture(
  { readme }: Lesson,
  { found, text, isWritten }: { found: string; text: string; isWritten: boolean },
): Problem[] {
  if (isWritten || found === text) return [];
  const lines = found.split("\n");
  const wanted = text.split("\n");
  const at = wanted.findIndex((line, index) => line !== lines[index]);
  return [{
    file: readme, line: at + 1, rule: "captions",
    message: "a caption, a fold or the way to the neighbours is missing or old; " +
      "`learn check --captions` writes it",
    expected: wanted[at] ?? "", received: lines[at] ?? "",
  }];
}

interface LessonContext {
  readonly common: string;
  /** Where to put what is to be written into lessons, if anything is. */
  readonly edits: Map<Lesson, Edit[]> | undefined;
  readonly passed: readonly PassedTest[];
}

/** Everything about one lesson: what can be seen at once, and jobs for what must be run. */
function lessonPart(project: Project, lesson: Lesson, context: LessonContext): Part {
  const path = join(project.root, lesson.readme);
  if (!existsSync(path)) {
    const missing = { file: lesson.readme, line: 1, rule: "triple", message: "is missing" };
    return { name: lesson.id, summary: "", jobs: [], problems: [missing] };
  }
  const found = readFileSync(path, "utf8");
  const text = furnish(project, lesson, found);
  if (context.edits && text !== found) writeFileSync(path, text);
  const markdown = parseMarkdown(context.edits ? text : found);
  const { breaks, problems: breakProblems } = listBreaks(project, lesson);
  const exercises = exercisesOf(project, lesson);
  const { mistakes, problems: mistaken } = checkMistakes(project, lesson, exercises);
  let problems = [
    ...checkForm(project, lesson, text, markdown),
    ...checkFurniture(lesson, { found, text, isWritten: context.edits !== undefined }),
    ...checkLinks(project.root, lesson.readme, markdown),
    ...checkOrder(project, lesson, markdown.fences),
    ...checkExercises(project, lesson),
    ...breakProblems,
    ...(context.edits ? [] : mistaken),
  ];
  const patches = breaks.length + breakProblems.length;
  if (patches < 2 && sourcesOfChapter(project, lesson.number).length > 0) {
    const message = `${breaks.length} patches in break/; the form wants two or three`;
    problems.push({ file: lesson.readme, line: 1, rule: "break", message });
  }
  if (context.edits) {
    const quotes = quoteEdits(project, markdown);
    if (quotes.length > 0) context.edits.set(lesson, quotes);
    problems = problems.filter(({ rule, expected }) =>
      rule !== "fence-from" || expected === undefined);
  }
  const own = contentHash([["common", context.common], ...hashed(project.root, lesson.folder)]);
  const tests = contentHash([["own", own], ...hashed(project.root, "test")]);
  const runs = markdown.fences.filter(isRun);
  const consoles = markdown.fences.filter(isConsole);
  const jobs: Job[] = [
    ...examplesJob(lesson, runs, `run ${own}`),
    ...transcriptsJob(lesson, consoles, { key: `console ${own}`, edits: context.edits }),
    ...breakJobs(project, breaks, { tests, passed: context.passed }),
  ];
  if (exercises.length > 0) {
    const run = (sandbox: Sandbox) => checkSkeleton(sandbox, lesson, exercises);
    jobs.push({ key: `skeleton ${tests}`, run });
  }
  const judge = context.edits ? recordMistakes : checkMade;
  const run = (sandbox: Sandbox) => judge(sandbox, { project, lesson, mistakes, exercises });
  if (mistakes.length > 0) jobs.push({ key: `mistakes ${tests}`, run });
  const counts = [
    `${markdown.fences.length - runs.length - consoles.length} quotes and figures`,
    `${runs.length} examples`,
    `${consoles.length} transcripts`,
    `${breaks.length} breaks`,
    `${exercises.length} exercises`,
    `${mistakes.length} mistakes`,
  ];
  return { name: lesson.id, summary: counts.join(", "), problems, jobs };
}

function examplesJob({ readme: file }: Lesson, fences: readonly Fence[], key: string): Job[] {
  if (fences.length === 0) return [];
  const blocks: Block[] = fences.map(({ line, lines: code }) => ({ file, line: line + 1, code }));
  return [{ key, run: (sandbox) => checkBlocks(blocks, sandbox) }];
}

function transcriptsJob(
  lesson: Lesson,
  fences: readonly Fence[],
  { key, edits }: { key: string; edits: LessonContext["edits"] },
): Job[] {
  if (fences.length === 0) return [];
  const run = async (sandbox: Sandbox): Promise<Problem[]> => {
    const { problems, recorded } = await checkTranscripts(lesson, fences, sandbox);
    if (!edits) return problems;
    const changes = recorded.map(({ fence, lines }) => ({ fence, lines }));
    edits.set(lesson, [...(edits.get(lesson) ?? []), ...changes]);
    return problems.filter((problem) => problem.expected === undefined);
  };
  return [{ key, run }];
}

/** A test that a break has to fail must pass without it: that is checked unless it just has. */
function breakJobs(
  { root }: Project,
  breaks: readonly Break[],
  { tests, passed }: { tests: string; passed: readonly PassedTest[] },
): Job[] {
  const unproven = breaks.filter(({ test, fails }) => !passed.some(({ name, file }) =>
    name === fails && (file === test || file === join(root, test))));
  const baseline = (sandbox: Sandbox) => checkBaseline(sandbox, unproven);
  return [
    ...(unproven.length > 0 ? [{ key: `baseline ${tests}`, run: baseline }] : []),
    ...breaks.map((broken) => ({
      key: `break ${broken.file} ${tests}`,
      run: (sandbox: Sandbox) => checkBreak(sandbox, broken),
    })),
  ];
}

/** The skeletons of the chosen chapters, compiled together. */
function skeletonsPart(project: Project, lessons: readonly Lesson[], common: string): Part {
  const exercises = lessons
    .filter(({ readme }) => existsSync(join(project.root, readme)))
    .flatMap((lesson) => exercisesOf(project, lesson));
  const ids = lessons.map(({ id }) => id).join();
  const job: Job = {
    key: `types ${contentHash([["common", common], ["lessons", ids]])}`,
    run: (sandbox) => checkSkeletonTypes(project, sandbox, exercises),
  };
  const jobs = exercises.length === 0 ? [] : [job];
  return { name: "skeletons", summary: `${exercises.length} exercises`, problems: [], jobs };
}

/** Doc comments' examples, of the chosen chapters or of all sources. */
function examplesPart(project: Project, lessons: readonly Lesson[], common: string): Part {
  const isAll = lessons.length === project.lessons.length;
  const files = isAll ? sourceFiles(project.root)
    : lessons.flatMap(({ number }) => sourcesOfChapter(project, number));
  const blocks = files.flatMap((file) =>
    docExamples(file, readFileSync(join(project.root, file), "utf8")));
  const key = `docs ${contentHash([["common", common], ["files", files.join("\n")]])}`;
  const jobs: Job[] =
    blocks.length === 0 ? [] : [{ key, run: (sandbox) => checkBlocks(blocks, sandbox) }];
  return { name: "doc comments", summary: `${blocks.length} examples`, problems: [], jobs };
}

/** Pages outside the lessons have links, too. */
function pagesPart(project: Project): Part {
  const { root } = project;
  const docs = filesUnder(join(root, "docs")).map((path) => relative(root, path));
  const pages = [...readdirSync(root), ...docs].filter((file) => file.endsWith(".md"));
  const problems = pages.flatMap((file) =>
    checkLinks(root, file, parseMarkdown(readFileSync(join(root, file), "utf8"))));
  return { name: "pages", summary: `${pages.length} pages`, problems, jobs: [] };
}

interface Edit {
  readonly fence: Fence;
  readonly lines: readonly string[];
}

function quoteEdits(project: Project, markdown: Markdown): Edit[] {
  return markdown.fences.flatMap((fence) => {
    const quote = parseQuote(fence);
    const source = quote && quotedText(project, quote);
    if (!source || "missing" in source || source.text === fence.lines.join("\n")) return [];
    return [{ fence, lines: source.text.split("\n") }];
  });
}

/** From the bottom up, so that the line numbers above stay true. */
function applyEdits(path: string, edits: readonly Edit[]): void {
  const lines = readFileSync(path, "utf8").split("\n");
  for (const { fence, lines: content } of [...edits].sort((a, b) => b.fence.line - a.fence.line)) {
    lines.splice(fence.line, fence.lines.length, ...content);
  }
  writeFileSync(path, lines.join("\n"));
}

/** What every job depends on: the sources, the checker, the settings and this Node. */
function hashOfCommon(project: Project): string {
  const { root } = project;
  const settings = ["package.json", "package-lock.json", "tsconfig.json"]
    .filter((name) => existsSync(join(root, name)))
    .map((name) => [name, readFileSync(join(root, name))] as const);
  const node = ["node", process.version] as const;
  return contentHash([node, ...settings, ...hashed(root, "src"), ...hashed(root, "scripts")]);
}

function hashed(root: string, folder: string): (readonly [string, Buffer])[] {
  return filesUnder(join(root, folder)).map((path) => [relative(root, path), readFileSync(path)]);
}
