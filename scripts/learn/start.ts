/**
 * `learn start N`, `learn reset N` and `learn solution N`: the reader's copy, made, made anew, and
 * compared.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BootstrapError } from "../bootstrap.mjs";
import {
  isShared,
  type Opened,
  openChapter,
  ownedParts,
  readOptions,
  wantExercises,
} from "./chapter.ts";
import { type Exercise, findExercises } from "./exercises.ts";
import { backUp, copyPart, hollow, type OwnPart, present, untouched, unwritten } from "./own.ts";

export async function runStart(args: readonly string[]): Promise<number> {
  const { words } = readOptions(args, []);
  const opened = openChapter(words[0], "For example: npm run learn start 5");
  wantExercises(opened, "start");
  return start(opened);
}

export async function runReset(args: readonly string[]): Promise<number> {
  const { words } = readOptions(args, []);
  const opened = openChapter(words[0], "For example: npm run learn reset 5");
  wantExercises(opened, "reset");
  const backup = backUp(opened.project.root, opened.parts);
  if (backup) process.stdout.write(`What you had is in ${backup}/\n`);
  return start(opened);
}

/** Makes what is missing. Exit code 1 when everything is there already, since nothing was done. */
function start(opened: Opened): number {
  const { project, chapter, exercises, parts } = opened;
  const files = new Set(exercises.map(({ file }) => file));
  const made: OwnPart[] = [];
  for (const part of parts) {
    const there = present(project.root, part);
    const idle =
      there.length > 0 && isShared(opened, part) ? untouched(project.root, part, exercises) : [];
    if (idle.length > 0) {
      hollow(project.root, idle);
      made.push(part);
      process.stdout.write(
        `${part.entry} is there, from another chapter; in it, ` +
          `${idle.map(({ to }) => to).join(" and ")} ${idle.length > 1 ? "are" : "is"} now yours ` +
          `to write\n`,
      );
      continue;
    }
    if (there.length > 0) {
      process.stdout.write(
        `${there.join(" and ")} ${there.length > 1 ? "are" : "is"} there: nothing is ` +
          `overwritten. To begin again: npm run learn reset ${chapter.number}\n`,
      );
      continue;
    }
    copyPart(project.root, part, files);
    made.push(part);
    process.stdout.write(
      `${part.entry}${part.ownFolder ? ` and ${part.ownFolder}/` : ""}: your #${part.name}, from ` +
        `${part.folder}/ (${part.files.length} file${part.files.length === 1 ? "" : "s"})\n`,
    );
  }
  if (made.length === 0) return 1;
  const places = placesToWrite(project.root, made, exercises);
  process.stdout.write(`To write:\n${places.join("\n")}\n\n`);
  const commands: readonly [string, string][] = [
    [`test ${chapter.number}`, "the chapter's tests, on your copy"],
    [`watch ${chapter.number}`, "the same after every save"],
    [`hint ${chapter.number}`, "a nudge, a plan, nearly the solution"],
    [`solution ${chapter.number}`, "how yours and ours differ"],
  ];
  for (const [command, what] of commands) {
    process.stdout.write(`  npm run learn ${command.padEnd(12)}  ${what}\n`);
  }
  return 0;
}

/** In the copies, whose lines move up where a body has been taken out. */
function placesToWrite(
  root: string, parts: readonly OwnPart[], exercises: readonly Exercise[],
): string[] {
  const files = parts.flatMap((part) => part.files);
  return exercises.flatMap(({ name, file }) => {
    const to = files.find(({ from }) => from === file)?.to;
    if (to === undefined) return [];
    const found = findExercises(to, readFileSync(join(root, to), "utf8"))
      .find((each) => each.name === name);
    return found === undefined ? [] : [`  ${name.padEnd(20)} ${to}:${found.line}`];
  });
}

export async function runSolution(args: readonly string[]): Promise<number> {
  const { words } = readOptions(args, []);
  const opened = openChapter(words[0], "For example: npm run learn solution 5");
  wantExercises(opened, "compare");
  const { project, chapter, exercises } = opened;
  const mine = ownedParts(opened);
  if (mine.length === 0) {
    const places = exercises
      .map(({ name, file, line }) => `  ${name.padEnd(20)} ${file}:${line}`)
      .join("\n");
    throw new BootstrapError(
      `Cannot compare chapter ${chapter.id}: you have not begun it (npm run learn start ` +
        `${chapter.number}). The reference:\n${places}`,
    );
  }
  let differs = false;
  for (const part of mine) {
    const left = unwritten(project.root, part, exercises);
    process.stdout.write(
      `#${part.name}: - yours (${part.ownFolder ?? part.entry})  + the reference ` +
        `(${part.folder})${left.length > 0 ? `  not written yet: ${left.join(", ")}` : ""}\n`,
    );
    differs = compare(project.root, part) || differs;
  }
  if (!differs) process.stdout.write("No difference.\n");
  return 0;
}

/** git colours on a terminal. True when there is a difference. */
function compare(root: string, part: OwnPart): boolean {
  // File by file: a folder of the reference may hold another subsystem, as the master's holds the
  // core.
  const pairs = part.files.filter(
    ({ from, to }) =>
      !existsSync(join(root, to)) ||
      !readFileSync(join(root, from)).equals(readFileSync(join(root, to))),
  );
  for (const { from, to } of pairs) {
    if (!existsSync(join(root, to))) {
      process.stdout.write(`${to} is gone; ${from} is there\n`);
      continue;
    }
    const { status, signal, error } = spawnSync(
      "git",
      ["--no-pager", "diff", "--no-index", "--", to, from],
      { cwd: root, stdio: "inherit" },
    );
    if (error) {
      throw new BootstrapError(
        `Cannot compare ${to} with ${from}: git did not start (${error.message})`,
      );
    }
    if (signal === "SIGPIPE") process.exit(0); // nobody reads any more
    if (status !== 1) {
      throw new BootstrapError(`Cannot compare ${to} with ${from}: git exited with ${status}`);
    }
  }
  return pairs.length > 0;
}
