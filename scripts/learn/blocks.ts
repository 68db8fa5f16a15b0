/**
 * Examples that run: ` ```ts run ` fences of lessons and ` ```ts ` fences in doc comments of the
 * sources.
 *
 *     const record = encodeRecord(Buffer.from("hi"));
 *     record.length // => 10
 *     decode(record.subarray(1)) // => throws LogError: Cannot read record: …
 *
 * A line `EXPR // => TEXT` asserts that `util.inspect(EXPR, {breakLength: Infinity})` is TEXT; if
 * EXPR throws, that "throws Name: message" is. EXPR may begin on an earlier line when brackets are
 * open. Each block becomes a module of its own; all blocks of a batch share one process, because
 * starting one costs more than running all of them.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { programArguments, programFile, recompile } from "../lib/compiled.mjs";
import { parseMarkdown } from "./markdown.ts";
import type { Problem } from "./report.ts";
import { runIn, type Sandbox } from "./sandbox.ts";

export interface Block {
  /** Where its first line stands. */
  readonly file: string;
  readonly line: number;
  readonly code: readonly string[];
}

/** Code fences in doc comments: `ts` is executed, other types are pictures. */
export function docExamples(file: string, source: string): Block[] {
  const blocks: Block[] = [];
  for (const comment of source.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const firstLine = source.slice(0, comment.index).split("\n").length;
    const text = comment[0]
      .split("\n")
      .map((line) => line.replace(/^\s*(\/\*\*|\*\/|\*)( |$)?/, ""))
      .join("\n");
    for (const fence of parseMarkdown(text).fences) {
      if (/^(ts|typescript)\b/.test(fence.info)) {
        blocks.push({ file, line: firstLine + fence.line, code: fence.lines });
      }
    }
  }
  return blocks;
}

export interface Module {
  readonly code: string;
  readonly assertions: number;
  /** A line that cannot be an assertion, if there is one. */
  readonly invalid: { readonly line: number; readonly message: string } | undefined;
}

/**
 * Turns assertion lines into calls, line by line, so that a stack trace still points at the right
 * line.
 */
export function compileBlock(code: readonly string[]): Module {
  const out = [...code];
  let assertions = 0;
  let invalid: Module["invalid"];
  code.forEach((line, i) => {
    const match = /^(.*?)\s*\/\/ => ?(.*)$/.exec(line);
    if (!match || match[1]!.trim() === "" || match[1]!.trim().startsWith("//")) return;
    assertions++;
    const text = match[1]!.replace(/;\s*$/, "");
    const rest = `${JSON.stringify(match[2]!.trim())}, ${i});`;
    // Where the statement begins whose end this line is.
    let start = i;
    let whole = text;
    while (openBrackets(whole) < 0 && start > 0) whole = `${code[--start]}\n${whole}`;
    const named = /^\s*(?:const|let)\s+(\w+)\b/.exec(whole)?.[1];
    const isStatement = /^\s*(const|let|var|function|class|import|type|interface)\b/.test(line);
    if (named !== undefined && openBrackets(whole) === 0) {
      out[i] = `${text}; await __check(() => ${named}, ${rest}`;
    } else if (isStatement) {
      const message = "an assertion needs an expression; put the declaration on a line of its own";
      invalid = { line: i, message };
    } else if (start < i) {
      out[start] = `await __check(async () => (${code[start]}`;
      out[i] = `${text}), ${rest}`;
    } else out[i] = `await __check(async () => (${text.trim()}), ${rest}`;
  });
  return { code: out.join("\n"), assertions, invalid };
}

/**
 * Opening minus closing brackets outside strings; negative when the text closes what an earlier
 * line opened.
 */
function openBrackets(text: string): number {
  const bare = text
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g, "")
    .replace(/\/\/.*$/gm, "");
  let depth = 0;
  for (const char of bare) {
    if ("([{".includes(char)) depth++;
    else if (")]}".includes(char)) depth--;
  }
  return depth;
}

/** The deadline of a whole batch: examples are small. */
const BATCH_TIMEOUT_MS = 40_000;

/** Runs the blocks in one process inside the sandbox, where `#name` means the copied sources. */
export async function checkBlocks(blocks: readonly Block[], sandbox: Sandbox): Promise<Problem[]> {
  if (blocks.length === 0) return [];
  // git-ignored, and not copied from the checkout
  const folder = join(sandbox.root, "own", "blocks");
  mkdirSync(folder, { recursive: true });
  const problems: Problem[] = [];
  const say: Say = (block, offset, message, diff) => {
    const { file, line } = block;
    problems.push({ file, line: line + offset, rule: "example", message, ...diff });
  };
  writeFileSync(join(folder, "check.mjs"), CHECK_MODULE);
  const files = blocks.map((block, index) => writeBlock(block, { folder, index, say }));
  const report = join(folder, "report.ndjson");
  writeFileSync(report, "");
  const programs = files.map((file) => programFile(sandbox.root, file));
  writeFileSync(join(folder, "run.mjs"), runnerModule(programs, report));
  recompile(sandbox.root, files.map((file) => relative(sandbox.root, file)));
  const program = [process.execPath, ...programArguments(sandbox.root, "own/blocks/run.mjs")];
  const outcome = await runIn(sandbox, program, BATCH_TIMEOUT_MS);
  const lines = readFileSync(report, "utf8").split("\n").filter(Boolean);
  const entries = lines.map((line) => JSON.parse(line) as Entry);
  for (const entry of entries) {
    const block = blocks[entry.block];
    if (!block || entry.kind === "end") continue;
    const { line } = entry;
    const { received } = entry;
    if (entry.kind === "error") say(block, line, `stops with ${received}`);
    else say(block, line, (block.code[line] ?? "").trim(), { expected: entry.expected, received });
  }
  const ended = new Set(entries.filter(({ kind }) => kind === "end").map(({ block }) => block));
  const stuck = blocks.find((_, index) => !ended.has(index));
  if (stuck !== undefined) {
    const last = outcome.output.trim().split("\n").slice(-6).join("\n");
    say(stuck, 0, `does not finish${outcome.timedOut ? "" : ` (the process ended: ${last})`}`);
  }
  rmSync(folder, { recursive: true, force: true });
  return problems;
}

interface Difference {
  readonly expected: string;
  readonly received: string;
}

type Say = (block: Block, offset: number, message: string, diff?: Difference) => void;

/** Writes a block as a program, and returns its file. */
function writeBlock(block: Block, to: { folder: string; index: number; say: Say }): string {
  const { folder, index, say } = to;
  const { code, assertions, invalid } = compileBlock(block.code);
  if (invalid) say(block, invalid.line, invalid.message);
  else if (assertions === 0) say(block, 0, 'asserts nothing: no line "EXPR // => TEXT"');
  const file = join(folder, `block-${index}.ts`);
  // On one line with the first of the block, so that lines keep their numbers.
  const head =
    'import { checker as __checker } from "./check.mjs"; ' +
    `const __check = __checker(${index}); `;
  writeFileSync(file, `${head}${code}\nexport {};\n`);
  return file;
}

type Entry = { readonly block: number } & (
  | { readonly kind: "end" }
  | { readonly kind: "error"; readonly line: number; readonly received: string }
  | ({ readonly kind: "differs"; readonly line: number } & Difference)
);

/** Shared by all blocks: compares, and remembers what differs. */
const CHECK_MODULE = `
import { inspect } from "node:util";
export const entries = [];
const show = (value) => inspect(value, { breakLength: Infinity }).replace(/\\n\\s*/g, " ");
export const checker = (block) => async (evaluate, expected, line) => {
  let received;
  try {
    received = show(await evaluate());
  } catch (error) {
    received = "throws " + (error?.name ?? "Error") + ": " + (error?.message ?? String(error));
  }
  if (received !== expected) entries.push({ kind: "differs", block, line, expected, received });
};
`;

/** Imports the blocks one after another; an error in one does not stop the others. */
function runnerModule(files: readonly string[], report: string): string {
  return `
import { appendFileSync } from "node:fs";
import { entries } from "./check.mjs";
const files = ${JSON.stringify(files)};
let current = 0;
const flush = () => {
  const lines = entries.splice(0).map((entry) => JSON.stringify(entry) + "\\n");
  appendFileSync(${JSON.stringify(report)}, lines.join(""));
};
const fail = (error) => {
  // Blocks keep their line numbers, so the stack points into the lesson.
  const at = new RegExp("block-" + current + "\\\\.ts[^:]*:(\\\\d+)").exec(error?.stack ?? "");
  const received = (error?.name ?? "Error") + ": " + (error?.message ?? String(error));
  entries.push({ kind: "error", block: current, line: at ? Number(at[1]) - 1 : 0, received });
};
process.on("unhandledRejection", fail);
process.on("uncaughtException", fail);
for (; current < files.length; current++) {
  try {
    await import("file://" + files[current]);
  } catch (error) {
    fail(error);
  }
  entries.push({ kind: "end", block: current });
  flush();
}
await new Promise((resolve) => setTimeout(resolve, 20));
flush();
process.exit(0);
`;
}
