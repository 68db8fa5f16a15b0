/**
 * A lesson stands on earlier lessons only: what it quotes or imports belongs to its own chapter or
 * one before. The chapter of a subsystem is the one that its header names. Exceptions are declared,
 * with a reason, in order.json.
 */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { filesUnder } from "../lib/files.mjs";
import type { Fence } from "./markdown.ts";
import {
  chapterOfFile, type Lesson, type Project, type Subsystem, subsystemOf,
} from "./project.ts";
import type { Problem } from "./report.ts";

export interface OrderException {
  /** "03-host". */
  readonly lesson: string;
  /** Subsystem names, or "*" for any. */
  readonly uses: readonly string[];
  readonly why: string;
}

export function declaredExceptions(): OrderException[] {
  const text = readFileSync(new URL("order.json", import.meta.url), "utf8");
  return JSON.parse(text) as OrderException[];
}

const IMPORT = /(?:from|import)\s*\(?\s*["']#([a-z0-9-]+)["']/g;

export function checkOrder(
  project: Project,
  lesson: Lesson,
  options: { fences: readonly Fence[]; exceptions: readonly OrderException[] },
): Problem[] {
  const problems: Problem[] = [];
  const judge = (
    file: string,
    line: number,
    subsystem: Subsystem | undefined,
    chapter = subsystem?.chapter,
  ): void => {
    if (!subsystem || chapter === undefined || chapter <= lesson.number) return;
    const allowed = options.exceptions.some(
      ({ lesson: id, uses }) =>
        id === lesson.id && (uses.includes("*") || uses.includes(subsystem.name)),
    );
    if (allowed) return;
    problems.push({
      file,
      line,
      rule: "chapter-order",
      message:
        `uses #${subsystem.name} of chapter ${chapter}, which the reader of chapter ` +
        `${lesson.number} has not met (or declare it in scripts/learn/order.json)`,
    });
  };
  const judgeImports = (file: string, text: string, firstLine: number): void => {
    text.split("\n").forEach((line, i) => {
      for (const [, name] of line.matchAll(IMPORT)) {
        judge(file, firstLine + i, project.subsystems.find((s) => s.name === name));
      }
    });
  };
  for (const fence of options.fences) {
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
