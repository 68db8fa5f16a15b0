/**
 * What a machine adds to a lesson: the way to its neighbours, the file of each quote, and a fold
 * around what a reader is asked to write.
 *
 *     [04 rpc](…) ← 24 minutes → [06 dag](…)                    below the title
 *     *[src/log/log.ts, lines 40 to 71](…#L40-L71)*             below a quote
 *     <details> <summary>Ours, from …: write yours first …      around one with an exercise in it
 *
 * Lines move with every change of a file: `learn check` says where a caption is old, and
 * `learn check --captions` writes it anew.
 *
 * Test: test/learn-captions.test.ts
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { listChapters } from "../lib/chapters.mjs";
import { parseQuote, type Quote } from "./form.ts";
import { countWords, type Fence, parseMarkdown } from "./markdown.ts";
import type { Lesson, Project } from "./project.ts";
import { findRegion, hasExercise, type RegionRange } from "./regions.ts";

/** A minute of reading; code is read slower, and counted by its lines. */
const WORDS_A_MINUTE = 200;
const LINES_A_MINUTE = 20;
/** Marks where a lesson of two sittings may be laid aside. */
const PAUSE = /^\*A pause\.\*$/m;

const CAPTION = /^\*\[([^\]]+)\]\([^)]+\)\*$/;
const WAY = /^(?:\[\d\d [\w-]+\]\([^)]+\) ← )?\d+ minutes(?:, in two sittings)?(?: → \[.*\)| *)$/;
const FOLD = /^<\/?details>$|^<summary>Ours, from .*<\/summary>$/;

/** The lesson with everything in its place; the same text when it was. */
export function furnish(project: Project, lesson: Lesson, text: string): string {
  const bare = strip(text);
  const lines = bare.split("\n");
  // From the back, so that the lines in front keep their numbers.
  for (const fence of [...parseMarkdown(bare).fences].reverse()) {
    const quote = parseQuote(fence);
    if (quote === undefined) continue;
    const [from, behind] = [fence.line - 1, fence.line + fence.lines.length + 1];
    const caption = ["", captionOf(project, lesson, quote)];
    const isFolded = holdsExercise(project, quote);
    lines.splice(behind, 0, ...caption, ...(isFolded ? ["", "</details>"] : []));
    if (isFolded) {
      const summary = `<summary>Ours, from ${quote.file}: write yours first</summary>`;
      lines.splice(from, 0, "<details>", summary, "");
    }
  }
  const title = lines.findIndex((line) => line.startsWith("# "));
  if (title >= 0) lines.splice(title + 1, 0, "", wayOf(project, lesson, bare));
  return lines.join("\n");
}

/** Writes all lessons so, or only those with these ids; returns the files that were not. */
export function furnishAll(project: Project, only: readonly string[] = []): string[] {
  const written: string[] = [];
  for (const lesson of project.lessons) {
    const path = join(project.root, lesson.readme);
    if (only.length > 0 && !only.includes(lesson.id) || !existsSync(path)) continue;
    const found = readFileSync(path, "utf8");
    const text = furnish(project, lesson, found);
    if (text === found) continue;
    writeFileSync(path, text);
    written.push(lesson.readme);
  }
  return written;
}

/** Without what `furnish` adds. */
export function strip(text: string): string {
  const kept: string[] = [];
  let fence: string | undefined;
  for (const line of text.split("\n")) {
    const mark = /^\s*(`{3,})/.exec(line)?.[1];
    if (mark !== undefined && (fence === undefined || line.trim() === fence)) {
      fence = fence === undefined ? mark : undefined;
    }
    const isOurs = fence === undefined && mark === undefined &&
      (CAPTION.test(line) || WAY.test(line) || FOLD.test(line));
    if (!isOurs) kept.push(line);
    // The blank line between the quote and what stood here.
    else if (kept.at(-1) === "" && kept.length > 1) kept.pop();
  }
  return kept.join("\n");
}

/** The file of a quote and the lines that hold it; the path alone when it has no such passage. */
function captionOf(project: Project, { folder }: Lesson, quote: Quote): string {
  const range = rangeOf(project, quote)?.range;
  const path = posix.relative(folder, quote.file);
  if (range === undefined) return `*[${quote.file}](${path})*`;
  const { from, to } = range;
  const where = from === to ? `line ${from}` : `lines ${from} to ${to}`;
  return `*[${quote.file}, ${where}](${path}#L${from}-L${to})*`;
}

function holdsExercise(project: Project, quote: Quote): boolean {
  const found = quote.region === undefined ? undefined : rangeOf(project, quote);
  return found?.range !== undefined && hasExercise(found.source, found.range);
}

/** A quote without a region is of the whole file. */
function rangeOf(
  { root }: Project, { file, region }: Quote,
): { source: string; range: RegionRange | undefined } | undefined {
  if (!existsSync(join(root, file))) return undefined;
  const source = readFileSync(join(root, file), "utf8");
  const whole = { from: 1, to: source.trimEnd().split("\n").length };
  return { source, range: region === undefined ? whole : findRegion(source, region) };
}

function wayOf({ root }: Project, { id }: Lesson, text: string): string {
  const lessons = listChapters(root).filter(({ hasLesson }) => hasLesson);
  const at = lessons.findIndex((each) => each.id === id);
  const link = (other: { id: string } | undefined): string | undefined =>
    other && `[${other.id.replace("-", " ")}](../${other.id}/README.md)`;
  const [before, after] = [link(lessons[at - 1]), link(lessons[at + 1])];
  return `${before === undefined ? "" : `${before} ← `}${readingTime(text)}` +
    `${after === undefined ? "" : ` → ${after}`}`;
}

/** What reading takes, without the commands: "24 minutes, in two sittings". */
export function readingTime(text: string): string {
  const markdown = parseMarkdown(text);
  const code = markdown.fences.reduce((sum: number, { lines }: Fence) => sum + lines.length, 0);
  const minutes = Math.round(countWords(markdown) / WORDS_A_MINUTE + code / LINES_A_MINUTE);
  return `${minutes} minutes${PAUSE.test(text) ? ", in two sittings" : ""}`;
}
