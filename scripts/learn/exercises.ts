/**
 * Exercises: the passages of a chapter that a reader writes again. In the source:
 *
 *     // #exercise encodeRecord
 *     …the body…
 *     // #end-exercise
 *
 * and in `lessons/NN-name/hints.md` a section per name with three rungs: nudge, plan,
 * near-solution.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseMarkdown } from "./markdown.ts";
import { type Lesson, type Project, sourcesOfChapter } from "./project.ts";
import type { Problem } from "./report.ts";

export interface Exercise {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

const START = /^(\s*)\/\/ #exercise\s+(\S+)\s*$/;
const END = /^\s*\/\/ #end-exercise\s*$/;

export function findExercises(file: string, source: string): Exercise[] {
  return source.split("\n").flatMap((line, i) => {
    const name = START.exec(line)?.[2];
    return name ? [{ name, file, line: i + 1 }] : [];
  });
}

export function exercisesOf(project: Project, lesson: Lesson): Exercise[] {
  return sourcesOfChapter(project, lesson.number).flatMap((file) =>
    findExercises(file, readFileSync(join(project.root, file), "utf8")),
  );
}

/**
 * The source with every exercise's body replaced by a throw that names it. Lines outside stay as
 * they are.
 */
export function makeSkeleton(source: string): string {
  const out: string[] = [];
  let inside = false;
  for (const line of source.split("\n")) {
    const start = START.exec(line);
    if (start) {
      inside = true;
      out.push(line, `${start[1]}throw new Error("Exercise: ${start[2]}");`);
    } else if (inside && END.test(line)) {
      inside = false;
      out.push(line);
    } else if (!inside) out.push(line);
  }
  return out.join("\n");
}

/** Checks exercises as far as that is possible without running anything. */
export function checkExercises(project: Project, lesson: Lesson): Problem[] {
  const exercises = exercisesOf(project, lesson);
  const problems: Problem[] = [];
  const say: Say = (file, line, message) =>
    void problems.push({ file, line, rule: "exercise", message });
  const names = [...new Set(exercises.map(({ name }) => name))];
  const section = exerciseSection(readFileSync(join(project.root, lesson.readme), "utf8"));
  const inLesson = (message: string): void => say(lesson.readme, section.line, message);
  if (names.length > 4) {
    const found = `${names.length} functions to write; one to four is the form`;
    inLesson(`${found}: ${names.join(", ")}`);
  }
  for (const { file } of exercises) {
    const source = readFileSync(join(project.root, file), "utf8").split("\n");
    const starts = source.filter((line) => START.test(line)).length;
    const ends = source.filter((line) => END.test(line)).length;
    if (starts !== ends) say(file, 1, `${starts} #exercise lines and ${ends} #end-exercise lines`);
  }
  if (names.length === 0) {
    // The tour shows the command line from outside, and the last chapter teaches no subsystem:
    // there is nothing to write again.
    if (lesson.number > 0 && sourcesOfChapter(project, lesson.number).length > 0) {
      inLesson(`no "// #exercise name" in the sources of chapter ${lesson.number}`);
    }
    return problems;
  }
  for (const name of names) {
    if (!section.text.includes(`\`${name}`)) {
      inLesson(`the Exercise section does not name \`${name}\``);
    }
  }
  checkHints(project, lesson, { names, say });
  return problems;
}

type Say = (file: string, line: number, message: string) => void;

function checkHints(
  { root }: Project,
  { folder, number }: Lesson,
  { names, say }: { names: readonly string[]; say: Say },
): void {
  const file = `${folder}/hints.md`;
  if (!existsSync(join(root, file))) {
    say(file, 1, `is missing; it needs three rungs for ${names.join(", ")}`);
    return;
  }
  const hints = readHints(readFileSync(join(root, file), "utf8"));
  for (const name of names) {
    const found = hints.get(name);
    if (found === undefined) say(file, 1, `no section "## ${name}"`);
    else if (found.rungs.size !== 3 || ["1", "2", "3"].some((n) => !found.rungs.get(n)?.trim())) {
      const wanted = "the three rungs ### 1, ### 2 and ### 3, each with text";
      say(file, found.line, `"## ${name}" needs ${wanted}`);
    }
  }
  for (const [name, { line }] of hints) {
    if (names.includes(name)) continue;
    const others = names.join(", ");
    say(file, line, `"## ${name}" is not an exercise of chapter ${number} (${others})`);
  }
}

export interface Hints {
  readonly line: number;
  /** "1" → text. */
  readonly rungs: ReadonlyMap<string, string>;
}

export function readHints(text: string): Map<string, Hints> {
  const markdown = parseMarkdown(text);
  const lines = text.split("\n");
  const found = new Map<string, Hints>();
  let rungs = new Map<string, string>();
  markdown.headings.forEach((heading, i) => {
    if (heading.level === 2) {
      rungs = new Map();
      found.set(heading.text.replace(/[`()]/g, ""), { line: heading.line, rungs });
    } else if (heading.level === 3) {
      const next = markdown.headings[i + 1]?.line ?? lines.length + 1;
      rungs.set(heading.text, lines.slice(heading.line, next - 1).join("\n").trim());
    }
  });
  return found;
}

export function exerciseSection(text: string): { line: number; text: string } {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.trim() === "## Exercise");
  if (start < 0) return { line: 1, text: "" };
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith("## "));
  return {
    line: start + 1,
    text: lines.slice(start, length < 0 ? undefined : start + 1 + length).join("\n"),
  };
}
