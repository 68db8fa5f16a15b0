/** The beginning of every command of the companion: which chapter is meant, and what is in it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { BootstrapError, ROOT } from "../bootstrap.mjs";
import { type Chapter, findChapter, suggest, wantChapter } from "../lib/chapters.mjs";
import { type Exercise, exerciseSection, type Hints, readHints } from "./exercises.ts";
import {
  exercisesByChapter, type OwnPart, ownParts, present, untouched, wantReadable,
} from "./own.ts";
import { type Lesson, lessonFor, loadProject, type Project } from "./project.ts";

export interface Opened {
  readonly project: Project;
  readonly chapter: Chapter;
  readonly exercises: readonly Exercise[];
  readonly parts: readonly OwnPart[];
  /** Exercises of other chapters in the same subsystems. */
  readonly others: readonly Exercise[];
}

/**
 * @throws BootstrapError for a chapter that is missing or not known, with the list of those that
 * are there
 */
export function openChapter(asked: string | undefined, usage: string): Opened {
  const chapter = findChapter(wantChapter(asked, usage));
  wantReadable(ROOT);
  const project = loadProject(ROOT);
  return describe(project, chapter, exercisesByChapter(project));
}

export function describe(
  project: Project,
  chapter: Chapter,
  all: ReadonlyMap<number, readonly Exercise[]>,
): Opened {
  const exercises = inOrder(project, chapter, all.get(chapter.number) ?? []);
  const others = [...all].flatMap(([number, list]) => (number === chapter.number ? [] : list));
  return { project, chapter, exercises, parts: ownParts(project, exercises), others };
}

/** As the lesson asks for them: what one needs first stands first. */
function inOrder(
  { root }: Project, chapter: Chapter, exercises: readonly Exercise[],
): readonly Exercise[] {
  const lesson = join(root, lessonFor(chapter).readme);
  if (exercises.length < 2 || !existsSync(lesson)) return exercises;
  const { text } = exerciseSection(readFileSync(lesson, "utf8"));
  const placeOf = ({ name }: Exercise): number => {
    const at = text.search(new RegExp(`\`${name}\\b`));
    return at < 0 ? text.length : at;
  };
  return [...exercises].sort((a, b) => placeOf(a) - placeOf(b));
}

/** Chapters without anything to write again end here, and say why. */
export function wantExercises({ chapter, exercises }: Opened, doing: string): void {
  if (exercises.length > 0) return;
  throw new BootstrapError(
    `Cannot ${doing} chapter ${chapter.id}: it has no function to write again, so there is ` +
      `nothing to swap\n` +
      `  npm run learn test ${chapter.number}     its tests, on the code that is there\n  npm ` +
      `run learn break ${chapter.number}    its sabotages`,
  );
}

/** The parts of which the reader has a copy. */
export function ownedParts({ project, parts }: Pick<Opened, "project" | "parts">): OwnPart[] {
  return parts.filter((part) => present(project.root, part).includes(part.entry));
}

/** True when another chapter's exercises are in this part, too. */
export function isShared({ others }: Pick<Opened, "others">, part: OwnPart): boolean {
  return others.some(({ file }) => part.files.some(({ from }) => from === file));
}

/**
 * The parts that the reader has begun for this chapter: a copy made for another chapter does not
 * count.
 */
export function begunParts(opened: Opened): OwnPart[] {
  const { project: { root }, exercises } = opened;
  return ownedParts(opened).filter((part) => {
    const inPart = part.files.filter(({ from }) => exercises.some(({ file }) => file === from));
    return !isShared(opened, part) || untouched(root, part, exercises).length < inPart.length;
  });
}

export const lessonOf = ({ chapter }: Opened): Lesson => lessonFor(chapter);

export function hintsOf(opened: Opened): Map<string, Hints> {
  const path = join(opened.project.root, lessonOf(opened).folder, "hints.md");
  return existsSync(path) ? readHints(readFileSync(path, "utf8")) : new Map();
}

/** What a person says who is at a terminal, and has time to think; nothing is an answer, too. */
export async function askPerson(question: string): Promise<string> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return "";
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-D rejects.
  const said = await terminal.question(`\n${question} (Enter goes on): `).catch(() => "");
  terminal.close();
  return said.trim();
}

/** One of several names, or an error that lists them and guesses which was meant. */
export function pick(asked: string, names: readonly string[], what: string): string {
  if (names.includes(asked)) return asked;
  const near = suggest(asked, names);
  throw new BootstrapError(
    `Cannot find ${what} ${JSON.stringify(asked)}${near ? ` (did you mean ${near}?)` : ""}: ` +
      `there ${names.length === 1 ? "is" : "are"} ${names.join(", ") || "none"}`,
  );
}

/**
 * Splits arguments into words and options. `npm run learn test 5 --ref` never shows us `--ref`: npm
 * takes it for a setting of its own and tells us by a variable.
 */
export function readOptions(
  args: readonly string[],
  known: readonly string[],
): { words: string[]; options: Set<string> } {
  const options = new Set(known.filter((name) => process.env[`npm_config_${name}`] === "true"));
  const words: string[] = [];
  for (const arg of args) {
    if (!arg.startsWith("-")) words.push(arg);
    else {
      options.add(pick(arg, known.map((name) => `--${name}`), "the option").slice(2));
    }
  }
  return { words, options };
}
