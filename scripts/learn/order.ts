/**
 * A lesson stands on earlier lessons only: what it quotes or imports belongs to its own chapter or
 * one before, or it is an exception with a reason. The chapter of a subsystem is the one that its
 * header names.
 */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { filesUnder } from "../lib/files.mjs";
import type { Fence } from "./markdown.ts";
import {
  chapterOfFile, type Lesson, type Project, type Subsystem, subsystemOf,
} from "./project.ts";
import type { Problem } from "./report.ts";

interface OrderException {
  /** "03-host". */
  readonly lesson: string;
  /** Subsystem names, or "*" for any. */
  readonly uses: readonly string[];
}

const EXCEPTIONS: readonly OrderException[] = [
  // The tour shows the whole machine from outside.
  { lesson: "00-tour", uses: ["*"] },
  // It shows the file of pools, which is read as pipelines are.
  { lesson: "13-scaling", uses: ["pipeline"] },
];

const IMPORT = /(?:from|import)\s*\(?\s*["']#([a-z0-9-]+)["']/g;

export function checkOrder(
  project: Project, lesson: Lesson, fences: readonly Fence[],
): Problem[] {
  const problems: Problem[] = [];
  const judge = (
    file: string,
    line: number,
    subsystem: Subsystem | undefined,
    chapter = subsystem?.chapter,
  ): void => {
    if (!subsystem || chapter === undefined || chapter <= lesson.number) return;
    const { uses = [] } = EXCEPTIONS.find((each) => each.lesson === lesson.id) ?? {};
    if (uses.includes("*") || uses.includes(subsystem.name)) return;
    const what = `uses #${subsystem.name} of chapter ${chapter}`;
    const why = `which the reader of chapter ${lesson.number} has not met`;
    const how = "or make it an exception in scripts/learn/order.ts";
    problems.push({ file, line, rule: "chapter-order", message: `${what}, ${why} (${how})` });
  };
  const judgeImports = (file: string, text: string, firstLine: number): void => {
    text.split("\n").forEach((line, i) => {
      for (const [, name] of line.matchAll(IMPORT)) {
        judge(file, firstLine + i, project.subsystems.find((s) => s.name === name));
      }
    });
  };
  for (const fence of fences) {
    const quoted = /\bfrom=([^\s#]+)/.exec(fence.info)?.[1];
    if (quoted) {
      const chapter = chapterOfFile(project, quoted);
      judge(lesson.readme, fence.line, subsystemOf(project, quoted), chapter);
    } else if (fence.info.startsWith("ts")) {
      judgeImports(lesson.readme, fence.lines.join("\n"), fence.line + 1);
    }
  }
  for (const path of filesUnder(join(project.root, lesson.folder, "try"))) {
    if (!path.endsWith(".ts")) continue;
    judgeImports(relative(project.root, path), readFileSync(path, "utf8"), 1);
  }
  return problems;
}
