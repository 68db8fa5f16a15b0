/**
 * `npm run learn`: the map. The tests are run on the reader's files to find out how far the reader
 * is: a note that says "done" would stay when the file changes. Without an `own/` folder nothing
 * has to be run.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../bootstrap.mjs";
import { listChapters } from "../lib/chapters.mjs";
import { begunParts, describe, type Opened } from "./chapter.ts";
import { contract } from "./contract.ts";
import { exercisesByChapter, unwritten } from "./own.ts";
import { loadProject } from "./project.ts";

export async function runMap(): Promise<number> {
  const project = loadProject(ROOT);
  const exercises = exercisesByChapter(project);
  let next: string | undefined;
  process.stdout.write("Lessons, and your own implementations of them (own/):\n\n");
  for (const chapter of listChapters()) {
    const opened = describe(project, chapter, exercises);
    const { done, text } = await judge(opened);
    const lesson = existsSync(join(ROOT, "lessons", chapter.id, "README.md"))
      ? ""
      : "  (no lesson yet)";
    if (next === undefined && !done && opened.exercises.length > 0) next = chapter.id;
    process.stdout.write(
      `${next === chapter.id ? ">" : " "} ${chapter.id.padEnd(14)}  ${text}${lesson}\n`,
    );
  }
  const number = Number(next?.slice(0, 2));
  process.stdout.write(
    next === undefined
      ? "\nAll done. npm run learn check is what authors run.\n"
      : `\nNext: lessons/${next}/README.md, then npm run learn start ${number}. All commands: ` +
          `npm run learn help\n`,
  );
  return 0;
}

async function judge(opened: Opened): Promise<{ done: boolean; text: string }> {
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
  const { code, summary } = await contract(opened, { side: "own", quiet: true });
  if (code === 0) {
    return { done: true, text: `done: ${entries}, ${summary.passed.length} tests pass` };
  }
  return {
    done: false,
    text: `begun: ${entries}, ${summary.passed.length} of ${summary.ran} tests pass`,
  };
}
