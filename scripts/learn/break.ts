/** `learn break N [name]`: predict, sabotage a copy, watch the named test fail, and read why. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { BootstrapError } from "../bootstrap.mjs";
import { setMark } from "../lib/notes.mjs";
import type { FailedTest, TestSummary } from "../lib/reporter.mjs";
import { type Break, listBreaks, runNamedTests, tail } from "./breaks.ts";
import { askPerson, lessonOf, openChapter, pick, readOptions } from "./chapter.ts";
import { applyPatch, makeSandbox } from "./sandbox.ts";
import { tellFailure } from "./telling.ts";

export async function runBreak(args: readonly string[]): Promise<number> {
  const { words: [asked, name] } = readOptions(args, []);
  const opened = openChapter(asked, "For example: npm run learn break 5");
  const { project, chapter } = opened;
  const breaks = new Map(
    listBreaks(project, lessonOf(opened)).breaks.map((broken) => [
      basename(broken.file, ".patch"),
      broken,
    ]),
  );
  if (breaks.size === 0) {
    throw new BootstrapError(`Cannot break chapter ${chapter.id}: it has no sabotages`);
  }
  if (name === undefined) {
    for (const [each, { title }] of breaks) {
      process.stdout.write(
        `  npm run learn break ${chapter.number} ${each.padEnd(20)}  ${title}\n`,
      );
    }
    return 0;
  }
  const broken = breaks.get(pick(name.replace(/\.patch$/, ""), [...breaks.keys()], "the break"))!;
  const code = await perform(project.root, broken);
  if (code === 0) setMark(project.root, chapter.id, "broken");
  return code;
}

/** Exit code 0 when the break did what it promises: the named test fails. */
async function perform(root: string, broken: Break): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const diff = diffOf(readFileSync(join(root, broken.file), "utf8"));
  say(`${broken.title}\n\n${diff}\n\n${broken.predict}`);
  const predicted = await askPerson("Your prediction");
  const sandbox = makeSandbox(root);
  try {
    const refused = await applyPatch(sandbox, broken.file);
    if (refused !== undefined) {
      throw new BootstrapError(
        `Cannot apply ${broken.file}: the source has changed since it was written\n${refused}`,
      );
    }
    // All of its tests: those that stay green are a part of the answer.
    const { summary, output } = await runNamedTests(sandbox, broken.test, []);
    const failure = summary?.failed.find(({ name }) => name === broken.fails);
    if (!failure) {
      say(
        `\n${broken.test}: "${broken.fails}" does not fail. That is a fault of the ` +
          `lesson.\n${tail(output)}`,
      );
      return 1;
    }
    if (predicted !== "") say(`\nYou said: ${predicted}`);
    say(
      `\nIn a copy of the project, ${broken.test} fails:\n\n  ` +
        `${broken.fails}\n${indent(failure)}\n\n${greenOf(summary!)}\n\n${broken.why}`,
    );
    return 0;
  } finally {
    sandbox.remove();
  }
}

/** The changed lines with their file and a few lines around them. */
function diffOf(text: string): string {
  const start = text.search(/^(?:diff --git|--- )/m);
  return text
    .slice(start)
    .trimEnd()
    .split("\n")
    .filter((line) => !/^(diff --git|index |--- )/.test(line))
    .map((line) => `  ${line.replace(/^\+\+\+ b\//, "")}`)
    .join("\n");
}

const indent = (failure: FailedTest): string =>
  tellFailure(failure).map((line) => `  ${line}`).join("\n");

function greenOf({ ran, passed }: TestSummary): string {
  const stay = passed.length === 1 ? "1 stays" : `${passed.length} stay`;
  return passed.length === 0 ? `None of its ${ran} tests stays green.`
    : `Of its ${ran} tests, ${stay} green.`;
}
