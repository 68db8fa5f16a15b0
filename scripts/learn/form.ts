/**
 * The form of a lesson: title, headings in order, length, typed fences, quoted regions, and the
 * question at the end.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { countWords, type Fence, type Markdown } from "./markdown.ts";
import type { Lesson, Project } from "./project.ts";
import { readRegion, regionNames, tidy } from "./regions.ts";
import type { Problem } from "./report.ts";

export const HEADINGS = [
  "The problem",
  "The idea",
  "The code",
  "Try it",
  "Break it",
  "Exercise",
  "What real systems do",
  "Further reading",
] as const;

/** Ten minutes of reading at least, twenty at most. */
export const WORDS = { min: 1200, max: 2500 } as const;

export function checkForm(
  project: Project,
  lesson: Lesson,
  text: string,
  markdown: Markdown,
): Problem[] {
  const problems: Problem[] = [];
  const say = (line: number, rule: string, message: string, extra: Partial<Problem> = {}): void =>
    void problems.push({ file: lesson.readme, line, rule, message, ...extra });

  const [title] = markdown.headings;
  const number = String(lesson.number).padStart(2, "0");
  if (!title || title.level !== 1 || !new RegExp(`^${number}\\. [^:]+: \\S`).test(title.text)) {
    const found = title ? `, not "${title.text}"` : "";
    say(title?.line ?? 1, "title", `must be "# ${number}. Name: one-line hook"${found}`);
  }
  const sections = markdown.headings.filter((heading) => heading.level === 2);
  if (sections.map((heading) => heading.text).join("\n") !== HEADINGS.join("\n")) {
    say(sections[0]?.line ?? 1, "headings", "the level-2 headings must be these, in this order", {
      expected: HEADINGS.join("\n"),
      received: sections.map((heading) => heading.text).join("\n"),
    });
  }
  const words = countWords(markdown);
  if (words < WORDS.min || words > WORDS.max) {
    const message = `${words} words of prose; aim for ${WORDS.min} to ${WORDS.max}`;
    say(1, "length", message, { warning: true });
  }

  const lines = text.trimEnd().split("\n");
  if (!/^([*_]).*\?\1$/.test(lines.at(-1)!.trim())) {
    const message = "the last line must be a question in italics: the one that the next lesson " +
      "answers";
    say(lines.length, "question", message);
  }
  for (const fence of markdown.fences) problems.push(...checkFence(project, lesson, fence));
  return problems;
}

export function isRun(fence: Fence): boolean {
  return /^(ts|typescript) run$/.test(fence.info);
}

export function isConsole(fence: Fence): boolean {
  return fence.info === "console" || isExact(fence);
}

/** A simulated transcript: its durations are virtual, so they are compared as they are. */
export function isExact(fence: Fence): boolean {
  return fence.info === "console exact";
}

function checkFence(project: Project, lesson: Lesson, fence: Fence): Problem[] {
  const problem = (rule: string, message: string, extra: Partial<Problem> = {}): Problem[] => [
    { file: lesson.readme, line: fence.line, rule, message, ...extra },
  ];
  if (!fence.closed) return problem("fence", "is never closed");
  if (isRun(fence) || isConsole(fence) || fence.info === "text") return [];
  const quote = parseQuote(fence);
  if (!quote) {
    const shown = fence.info === "" ? "has no type" : `has the type "${fence.info}"`;
    const types = "ts from=FILE#region, ts run, console, console exact, text";
    return problem("fence", `${shown}; the types are: ${types}`);
  }
  const source = quotedText(project, quote);
  if ("missing" in source) return problem("fence-from", source.missing);
  const received = tidy(fence.lines);
  if (received === source.text) return [];
  const from = `${quote.file}${quote.region ? `#${quote.region}` : ""}`;
  return problem("fence-from", `differs from ${from}`, { expected: source.text, received });
}

export interface Quote {
  readonly file: string;
  /** Undefined quotes the whole file, which suits small YAML and JSON. */
  readonly region: string | undefined;
}

export function parseQuote(fence: Pick<Fence, "info">): Quote | undefined {
  const match = /^[a-z]+ from=([^\s#]+)(?:#(\S+))?$/.exec(fence.info);
  return match ? { file: match[1]!, region: match[2] } : undefined;
}

/** The text that a `from=` fence has to contain. */
export function quotedText(
  project: Project,
  quote: Quote,
): { readonly text: string } | { readonly missing: string } {
  const path = join(project.root, quote.file);
  if (!existsSync(path)) return { missing: `there is no file ${quote.file}` };
  const source = readFileSync(path, "utf8");
  if (quote.region === undefined) return { text: tidy(source.split("\n")) };
  const text = readRegion(source, quote.region);
  if (text !== undefined) return { text };
  const names = regionNames(source).join(", ") || "none";
  return { missing: `${quote.file} has no closed region "${quote.region}" (it has: ${names})` };
}
