/**
 * The reader's own copy of a chapter: `own/queue.ts`, or `own/log.ts` in front of `own/log/…`.
 *
 *     start    src/log/*.ts  -> own/log/*.ts, with the bodies of the chapter's exercises removed
 *     test     node --conditions=own-log      "#log" means own/log.ts (package.json, "imports")
 *
 * `own/` lies in the same package, so that "#name" means the same there as in `src/`; and it is
 * git-ignored.
 * Invariant: what a reader has written is never overwritten. `reset` moves it to own/.backup-….
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { BootstrapError } from "../bootstrap.mjs";
import { filesUnder } from "../lib/files.mjs";
import { type Exercise, findExercises, makeSkeleton } from "./exercises.ts";
import { chapterOfFile, type Project, sourceFiles, subsystemOf } from "./project.ts";

/** One subsystem of a chapter, as it looks (or would look) under `own/`. */
export interface OwnPart {
  /** "log", as in "#log" and in the condition "own-log". */
  readonly name: string;
  /** "src/log". */
  readonly folder: string;
  /** "own/log.ts": where package.json looks for it. */
  readonly entry: string;
  /** "own/log", when there are several files; the entry then only passes on what mod.ts exports. */
  readonly ownFolder: string | undefined;
  readonly files: readonly { readonly from: string; readonly to: string }[];
}

/** Exercises by the chapter that their file belongs to, from one walk over the sources. */
export function exercisesByChapter(project: Project): Map<number, Exercise[]> {
  const found = new Map<number, Exercise[]>();
  for (const file of sourceFiles(project.root)) {
    const exercises = findExercises(file, readFileSync(join(project.root, file), "utf8"));
    const chapter = exercises.length > 0 ? chapterOfFile(project, file) : undefined;
    if (chapter !== undefined) found.set(chapter, [...(found.get(chapter) ?? []), ...exercises]);
  }
  return found;
}

/**
 * The subsystems in which these exercises are. A chapter may have two (17: yaml and pipeline), or
 * none (00).
 */
export function ownParts(project: Project, exercises: readonly Exercise[]): OwnPart[] {
  const subsystems = new Set(exercises.flatMap(({ file }) => subsystemOf(project, file) ?? []));
  return [...subsystems].map(({ name, folder }) => {
    // The deepest subsystem owns a file: the core is a folder of the master's and no part of it.
    const sources = filesUnder(join(project.root, folder))
      .map((path) => relative(project.root, path))
      .filter((file) => subsystemOf(project, file)?.name === name);
    const entry = `own/${name}.ts`;
    if (sources.length === 1) {
      const files = [{ from: sources[0]!, to: entry }];
      return { name, folder, entry, ownFolder: undefined, files };
    }
    const files = sources.map((from) => ({ from, to: `own/${name}${from.slice(folder.length)}` }));
    return { name, folder, entry, ownFolder: `own/${name}`, files };
  });
}

/** The files of a part that are there already; none of them may be overwritten. */
export function present(root: string, part: OwnPart): string[] {
  return [part.entry, part.ownFolder].filter(
    (path) => path !== undefined && existsSync(join(root, path)),
  ) as string[];
}

/**
 * Readers open `own/` in an editor: it should know the same rules, and not complain about what is
 * not used yet.
 */
const TSCONFIG = `{
  "extends": "../test/tsconfig.json",
  "compilerOptions": { "noUnusedLocals": false, "noUnusedParameters": false },
  "include": ["."]
}
`;

/**
 * Copies one part; only the exercises in `files` lose their bodies, so that other chapters' stay
 * whole.
 */
export function copyPart(root: string, part: OwnPart, exerciseFiles: ReadonlySet<string>): void {
  const write = (to: string, text: string | Buffer): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    writeFileSync(join(root, to), text, { flag: "wx" });
  };
  for (const { from, to } of part.files) {
    const content = readFileSync(join(root, from));
    write(to, exerciseFiles.has(from) ? makeSkeleton(content.toString("utf8")) : content);
  }
  if (part.ownFolder) {
    write(
      part.entry,
      `/** Your #${part.name}. The code is in ${part.ownFolder}/; this file stands where ` +
        `package.json looks for it. */\nexport * from "./${part.name}/mod.ts";\n`,
    );
  }
  if (!existsSync(join(root, "own/tsconfig.json"))) {
    writeFileSync(join(root, "own/tsconfig.json"), TSCONFIG);
  }
}

/** Moves a part out of the way; gives the backup folder, or undefined when there was nothing. */
export function backUp(root: string, parts: readonly OwnPart[]): string | undefined {
  const paths = parts.flatMap((part) => present(root, part));
  if (paths.length === 0) return undefined;
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  let folder = `own/.backup-${stamp}`;
  for (let n = 2; existsSync(join(root, folder)); n++) folder = `own/.backup-${stamp}-${n}`;
  mkdirSync(join(root, folder), { recursive: true });
  for (const path of paths) {
    renameSync(join(root, path), join(root, folder, path.slice("own/".length)));
  }
  return folder;
}

/** Exercises that still throw in the reader's copy. */
export function unwritten(root: string, part: OwnPart, exercises: readonly Exercise[]): string[] {
  return exercises.flatMap(({ name, file }) => {
    const to = part.files.find(({ from }) => from === file)?.to;
    return to !== undefined &&
      existsSync(join(root, to)) &&
      readFileSync(join(root, to), "utf8").includes(`throw new Error("Exercise: ${name}");`)
      ? [name]
      : [];
  });
}

/**
 * Files of this chapter's exercises that hold what the reference holds. Two chapters may work on
 * one subsystem (3 and 11 on the host): a copy that was made for one of them is untouched where the
 * other's exercises are.
 */
export function untouched(
  root: string,
  part: OwnPart,
  exercises: readonly Exercise[],
): { readonly from: string; readonly to: string }[] {
  const files = new Set(exercises.map(({ file }) => file));
  return part.files.filter(
    ({ from, to }) =>
      files.has(from) &&
      existsSync(join(root, to)) &&
      readFileSync(join(root, to)).equals(readFileSync(join(root, from))),
  );
}

/** Takes the bodies out of files that hold nothing of the reader's yet. */
export function hollow(
  root: string,
  files: readonly { readonly from: string; readonly to: string }[],
): void {
  for (const { from, to } of files) {
    writeFileSync(join(root, to), makeSkeleton(readFileSync(join(root, from), "utf8")));
  }
}

/**
 * A folder of another user that is closed would look as if nothing had been written yet.
 * @throws BootstrapError when own/ is there and cannot be read
 */
export function wantReadable(root: string): void {
  try {
    accessSync(join(root, "own"), constants.R_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    const why = code === "EACCES" ? "it is another user's, and closed" : String(code);
    throw new BootstrapError(`Cannot read own/, where your code would be: ${why}\n` +
      `Use a copy of the project that is yours: git clone '${root}' ~/titan`);
  }
}

/**
 * The environment in which "#log" means the reader's file, also in the processes that a test
 * starts: conditions and the loader travel in NODE_OPTIONS, since a child of a child does not know
 * its grandparent's command line.
 */
export function ownEnvironment(root: string, parts: readonly OwnPart[]): NodeJS.ProcessEnv {
  const loader = pathToFileURL(createRequire(join(root, "package.json")).resolve("tsx")).href;
  const options = [
    ...parts.map(({ name }) => `--conditions=own-${name}`),
    "--conditions=source",
    `--import=${loader}`,
  ];
  return {
    ...process.env,
    NODE_OPTIONS: [process.env["NODE_OPTIONS"] ?? "", ...options].join(" ").trim(),
  };
}
