/** `learn hint N [function] [rung]`: one rung at a time, since a solution seen cannot be unseen. */
import { BootstrapError } from "../bootstrap.mjs";
import { readNote, writeNote } from "../lib/notes.mjs";
import { hintsOf, lessonOf, openChapter, pick, readOptions, wantExercises } from "./chapter.ts";

const RUNGS = ["1", "2", "3"] as const;
const WHAT_RUNGS_ARE: Readonly<Record<string, string>> = {
  1: "a nudge",
  2: "a plan",
  3: "nearly the solution",
};

export async function runHint(args: readonly string[]): Promise<number> {
  const { words: [asked, ...rest] } = readOptions(args, []);
  const opened = openChapter(asked, "For example: npm run learn hint 5");
  wantExercises(opened, "give hints for");
  const { project: { root }, chapter } = opened;
  const hints = hintsOf(opened);
  const names = [...hints.keys()];
  if (names.length === 0) {
    throw new BootstrapError(`Cannot give hints: there is no ${lessonOf(opened).folder}/hints.md`);
  }
  /** Which rungs were shown, by chapter and function. */
  const seen: Readonly<Record<string, number>> = readNote(root, "hints");
  const key = (name: string): string => `${chapter.id} ${name}`;

  // "hint 7 2" names a rung only when there is one function to which it can belong.
  const name =
    rest[0] !== undefined && !(names.length === 1 && /^\d+$/.test(rest[0]))
      ? pick(rest.shift()!, names, "the function")
      : names.length === 1
        ? names[0]!
        : undefined;
  if (name === undefined) {
    const lines = names.map((each) => {
      const command = `npm run learn hint ${chapter.number} ${each.padEnd(20)}`;
      return `  ${command}  ${seen[key(each)] ?? 0} of ${RUNGS.length} seen\n`;
    });
    process.stdout.write(`Which function?\n${lines.join("")}`);
    return 0;
  }
  const rung =
    rest[0] !== undefined
      ? pick(rest[0], RUNGS, "the rung")
      : String(Math.min((seen[key(name)] ?? 0) + 1, RUNGS.length));
  process.stdout.write(
    `${name}, ${rung} of ${RUNGS.length}: ` +
      `${WHAT_RUNGS_ARE[rung]}\n\n${wrapped(hints.get(name)?.rungs.get(rung) ?? "(no text)")}\n`,
  );
  if (rung !== RUNGS.at(-1)) {
    process.stdout.write(`\nMore: npm run learn hint ${chapter.number} ${name}\n`);
  } else process.stdout.write(`\nThe rest: npm run learn solution ${chapter.number}\n`);
  const most = Math.max(seen[key(name)] ?? 0, Number(rung));
  writeNote(root, "hints", { ...seen, [key(name)]: most });
  return 0;
}

const MAX_COLUMNS = 100;

/** Paragraphs in lines that a terminal does not break; fences as they are. */
function wrapped(text: string): string {
  const width = Math.min(process.stdout.columns || MAX_COLUMNS, MAX_COLUMNS);
  const breaks = new RegExp(`(.{1,${width - 1}})(?: +|$)`, "g");
  return text.split(/(^```[^]*?^```)/m).map((part) => {
    if (part.startsWith("```")) return part;
    return part.replace(/(?<=\S)\n(?=[^\s*-])/g, " ").split("\n")
      .map((line) => line.replace(breaks, "$1\n").trimEnd()).join("\n");
  }).join("");
}
