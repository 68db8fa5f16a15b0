/** The project as the checks see it: lessons, and subsystems with the chapter that teaches them. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { listChapters } from "../lib/chapters.mjs";
import { filesUnder } from "../lib/files.mjs";

export interface Subsystem {
  /** "log", as in "#log". */
  readonly name: string;
  /** "src/log", relative to the root. */
  readonly folder: string;
  /** From the header comment of its mod.ts: "Lesson 05". Undefined when it names none. */
  readonly chapter: number | undefined;
}

export interface Lesson {
  /** "05-log". */
  readonly id: string;
  readonly number: number;
  /** "lessons/05-log", relative to the root. */
  readonly folder: string;
  readonly readme: string;
}

export interface Project {
  readonly root: string;
  readonly lessons: readonly Lesson[];
  readonly subsystems: readonly Subsystem[];
}

export function loadProject(root: string): Project {
  const lessons = listChapters(root)
    .filter((chapter) => chapter.hasLesson)
    .map(lessonFor);
  const { imports = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    imports?: Record<string, { source?: string }>;
  };
  const subsystems: Subsystem[] = [];
  for (const [name, { source }] of Object.entries(imports)) {
    if (!source || !existsSync(join(root, source))) continue;
    subsystems.push({
      name: name.slice(1),
      folder: dirname(source).replace(/^\.\//, ""),
      chapter: chapterInHeader(join(root, source)),
    });
  }
  return { root, lessons, subsystems };
}

export function lessonFor({ id, number }: Pick<Lesson, "id" | "number">): Lesson {
  return { id, number, folder: `lessons/${id}`, readme: `lessons/${id}/README.md` };
}

/** The chapter that a file's first comment names, as in "Lesson 05: the append-only log." */
function chapterInHeader(path: string): number | undefined {
  const header = /\/\*\*[\s\S]*?\*\//.exec(readFileSync(path, "utf8"))?.[0] ?? "";
  const chapter = /\bLesson (\d\d)\b/.exec(header)?.[1];
  return chapter === undefined ? undefined : Number(chapter);
}

/** A file belongs to the chapter in its own header; without one, to its subsystem's. */
export function chapterOfFile(project: Project, file: string): number | undefined {
  if (!existsSync(join(project.root, file))) return undefined;
  return chapterInHeader(join(project.root, file)) ?? subsystemOf(project, file)?.chapter;
}

/**
 * The subsystem a file belongs to: the deepest folder that holds it (`src/master/core` before
 * `src/master`).
 */
export function subsystemOf(project: Project, file: string): Subsystem | undefined {
  return project.subsystems
    .filter(({ folder }) => file.startsWith(`${folder}/`))
    .sort((a, b) => b.folder.length - a.folder.length)[0];
}

/** Source files that a chapter teaches, relative to the root. */
export function sourcesOfChapter(project: Project, number: number): string[] {
  return sourceFiles(project.root).filter((file) => chapterOfFile(project, file) === number);
}

export function sourceFiles(root: string): string[] {
  return filesUnder(join(root, "src"))
    .map((path) => relative(root, path))
    .filter((file) => file.endsWith(".ts"));
}
