/**
 * What a machine adds to a lesson: the way to its neighbours, the file of each quote, and a fold
 * around what a reader is asked to write.
 *
 *     [04 rpc](…) ← 24 minutes → [06 dag](…)                    below the title
 *     *[src/log/log.ts](…)*                                     below a quote
 *     <details> <summary>Ours, from …: write yours first …      around one with an exercise in it
 *
 * A caption names no lines: they move with every change of the file. `npm run book` counts them
 * when it makes its pages.
 *
 * Test: test/learn-captions.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { listChapters } from "../lib/chapters.mjs";
import { parseQuote } from "./form.ts";
import { countWords, type Fence, parseMarkdown } from "./markdown.ts";
import type { Lesson, Project } from "./project.ts";
import { findRegion, hasExercise } from "./regions.ts";

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
    const caption = ["", `*[${quote.file}](${linkTo(lesson, quote.file)})*`];
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

function holdsExercise(
  { root }: Project, { file, region }: { file: string; region: string | undefined },
): boolean {
  if (region === undefined || !existsSync(join(root, file))) return false;
  const source = readFileSync(join(root, file), "utf8");
  const range = findRegion(source, region);
  return range !== undefined && hasExercise(source, range);
}

const linkTo = ({ folder }: Lesson, file: string): string => posix.relative(folder, file);

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
