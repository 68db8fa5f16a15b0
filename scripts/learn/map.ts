/**
 * `npm run learn`: the map. The tests are run on the reader's files to find out how far the reader
 * is: a note that says "done" would stay when the file changes (known.ts).
 *
 * Test: test/learn-companion.test.ts
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../bootstrap.mjs";
import { listChapters } from "../lib/chapters.mjs";
import { MARKS, readMarks, setMark } from "../lib/notes.mjs";
import { begunParts, describe, type Opened, openChapter, readOptions } from "./chapter.ts";
import { contract } from "./contract.ts";
import { Known, type Standing, standingOf } from "./known.ts";
import { exercisesByChapter, unwritten, wantReadable } from "./own.ts";
import { loadProject } from "./project.ts";

export async function runMap(): Promise<number> {
  wantReadable(ROOT);
  const project = loadProject(ROOT);
  const exercises = exercisesByChapter(project);
  const marks = readMarks(ROOT);
  const known = new Known(ROOT);
  let next: string | undefined;
  let written = 0;
  let toWrite = 0;
  process.stdout.write("Lessons, and your own implementations of them (own/):\n\n");
  for (const chapter of listChapters()) {
    const opened = describe(project, chapter, exercises);
    const { done, text } = await judge(opened, known);
    const lesson = existsSync(join(ROOT, "lessons", chapter.id, "README.md"))
      ? ""
      : "  (no lesson yet)";
    if (opened.exercises.length > 0) toWrite += 1;
    if (done) written += 1;
    if (next === undefined && !done && opened.exercises.length > 0) next = chapter.id;
    const ticks = MARKS.filter((mark) => marks[chapter.id]?.includes(mark))
      .map((mark) => `✓ ${mark}  `).join("");
    process.stdout.write(
      `${next === chapter.id ? ">" : " "} ${chapter.id.padEnd(14)}  ${ticks}${text}${lesson}\n`,
    );
  }
  if (written === 0 && Object.keys(marks).length === 0) {
    process.stdout.write("\nNew here? Begin with lessons/00-tour/README.md: nothing to write yet.");
  }
  const number = Number(next?.slice(0, 2));
  const count = (mark: (typeof MARKS)[number]): number =>
    Object.values(marks).filter((all) => all.includes(mark)).length;
  process.stdout.write(
    `\n${written} of ${toWrite} chapters written; ` +
      `${MARKS.map((mark) => `${count(mark)} ${mark}`).join(", ")}.\n`,
  );
  process.stdout.write(
    next === undefined
      ? "All done. npm run learn check is what authors run.\n"
      : `Next: lessons/${next}/README.md, then npm run learn start ${number}: it is the first ` +
          `that you have not written. All commands: npm run learn help\n`,
  );
  return 0;
}

/** `learn read 5`: where the lesson is; and the map has a tick. */
export async function runRead(args: readonly string[]): Promise<number> {
  const { words } = readOptions(args, []);
  const { chapter } = openChapter(words[0], "For example: npm run learn read 5");
  setMark(ROOT, chapter.id, "read");
  process.stdout.write(`lessons/${chapter.id}/README.md   (npm run book makes a page of it)\n`);
  return 0;
}

async function judge(opened: Opened, known: Known): Promise<Standing> {
  const { project, exercises } = opened;
  if (exercises.length === 0) return { done: false, text: "to read" };
  const own = begunParts(opened);
  if (own.length === 0) {
    return {
      done: false,
      text: `to read; to write: ${exercises.map(({ name }) => name).join(", ")}`,
    };
  }
  const entries = own.map(({ entry }) => entry).join(", ");
  const left = own.flatMap((part) => unwritten(project.root, part, exercises));
  // A body that only throws cannot pass, so the tests need not run to say so.
  if (left.length > 0) {
    return { done: false, text: `begun: ${entries}; still to write: ${left.join(", ")}` };
  }
  const before = known.get(opened);
  if (before !== undefined) return before;
  const taken = known.take(opened);
  const standing = standingOf(opened, await contract(opened, { side: "own", quiet: true }));
  known.keep(opened, taken, standing);
  return standing;
}
