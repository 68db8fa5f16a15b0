/**
 * Lesson 17: the paths that a job names. `python3 a.py --in=data/x.csv` names a.py and data/x.csv,
 * if there are such files.
 *
 * A script is not understood, only split at blanks, quotes and signs. A word too many costs one
 * look at the folder; a missed word costs the author a failed run.
 *
 * Invariants: time in proportion to the text; no path that leaves the folder, and none twice in a
 * row.
 * Left out: names that a script puts together ("data/$day.csv" names the folder data only).
 * Test: test/17-pipelines.project.test.ts
 */
import type { ActionDefinition } from "./types.ts";

/** PATH_MAX of Linux. */
const MAX_PATH_CHARS = 4096;
/** All characters except those that end a path in a shell, or between a flag and its value. */
const WORD = /[^\s;&|<>()"'`$={},:[\]#!\\]+/g;
/** A name with blanks. */
const QUOTED = /"([^"\n$`\\]* [^"\n$`\\]*)"|'([^'\n]* [^'\n]*)'/g;
/** `import helper` and `python3 -m helper` name a file without its ending. */
const MODULE = /^[A-Za-z_][\w.]*$/;

/**
 * Words of the action that could be paths inside the project, without "./" in front. May hold `*`
 * and `?`.
 */
export function* mentionedPaths(action: ActionDefinition): Generator<string> {
  if (action.type === "file") return yield* inside(action.file);
  if (action.type === "call") return;
  for (const text of action.type === "shell" ? [action.script] : action.argv) {
    if (action.type === "command") yield* inside(text);
    const python =
      /python/.test(text) ||
      (action.type === "shell" && action.shell === "python3") ||
      (action.type === "command" && /python/.test(action.argv[0] ?? ""));
    for (const [word] of text.matchAll(WORD)) {
      yield* inside(word);
      if (python && MODULE.test(word)) yield `${word.replaceAll(".", "/")}.py`;
    }
    for (const [, double, single] of text.matchAll(QUOTED)) {
      yield* inside((double ?? single) as string);
    }
  }
}

function* inside(word: string): Generator<string> {
  if (word.length > MAX_PATH_CHARS || /^[/~-]/.test(word)) return;
  const parts = word.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > 0 && !parts.includes("..")) yield parts.join("/");
}
