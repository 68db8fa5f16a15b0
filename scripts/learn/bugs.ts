/**
 * `learn bugs`: the drawer of planted bugs as a game. Which promise does this line break? Guess,
 * then watch the simulator find it.
 *
 *     learn bugs                 what is in the drawer, and what you have guessed
 *     learn bugs NAME            the changed lines, four promises, your guess, and the search
 *     learn bugs NAME PROMISE    the same without a terminal to be asked on
 *
 * The bugs are those of lesson 22, and the search is `npm run sim -- --bug NAME`.
 * Test: test/learn-bugs.test.ts
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../bootstrap.mjs";
import { readNote, writeNote } from "../lib/notes.mjs";
import { askPerson, pick } from "./chapter.ts";
import { changedLines, readPatch } from "./patches.ts";

const FOLDER = "lessons/22-simulation/bugs";
const CHOICES = 4;

export interface DrawnBug {
  readonly name: string;
  readonly title: string;
  /** Any of these may be the first to break. */
  readonly promises: readonly string[];
  readonly why: string;
  /** The changed lines. */
  readonly diff: readonly string[];
}

export async function runBugs(args: readonly string[]): Promise<number> {
  const bugs = drawer(ROOT);
  const guesses: Readonly<Record<string, boolean>> = readNote(ROOT, "bugs");
  const [asked, said] = args;
  if (asked === undefined) {
    process.stdout.write(`${listing(bugs, guesses)}\n`);
    return 0;
  }
  const name = pick(asked, bugs.map((each) => each.name), "the bug");
  const bug = bugs.find((each) => each.name === name)!;
  const choices = choicesFor(bug, bugs);
  process.stdout.write(`${bug.diff.join("\n")}\n\nWhich promise does this break?\n${
    choices.map((choice, at) => `  ${at + 1}  ${choice}`).join("\n")}\n`);
  const guess = chosen(said ?? (await askPerson("Your guess")), choices);
  const search = ["scripts/launch.mjs", "sim", "--bug", bug.name, "--brief"];
  const child = spawn(process.execPath, search, {
    cwd: ROOT, stdio: ["ignore", "inherit", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  process.stdout.write(`\n${verdict(bug, guess)}\n`);
  const isRight = bug.promises.includes(guess);
  if (guess !== "") writeNote(ROOT, "bugs", { ...guesses, [bug.name]: isRight });
  return code ?? 1;
}

export function verdict({ promises, why }: DrawnBug, guess: string): string {
  const names = promises.join(" or ");
  const said = guess === "" ? `It breaks ${names}.`
    : promises.includes(guess) ? `You said ${guess}, and so it is.`
      : `You said ${guess}; it breaks ${names}.`;
  return `${said} ${why}`;
}

export function drawer(root: string): DrawnBug[] {
  return readdirSync(join(root, FOLDER)).filter((name) => name.endsWith(".patch")).sort()
    .map((file) => {
      const { fields, diff } = readPatch(readFileSync(join(root, FOLDER, file), "utf8"));
      const field = (key: string): string => fields.get(key) ?? "";
      return {
        name: file.replace(/\.patch$/, ""), title: field("Title"), why: field("Why"),
        promises: field("Invariant").split(",").map((word) => word.trim()),
        diff: changedLines(diff),
      };
    });
}

/** One that is right among others, in an order that does not tell: the same each time. */
export function choicesFor(bug: DrawnBug, bugs: readonly DrawnBug[]): string[] {
  const right = bug.promises[0]!;
  const others = [...new Set(bugs.flatMap(({ promises }) => promises))]
    .filter((promise) => !bug.promises.includes(promise));
  const byName = (promise: string): number => hashOf(`${bug.name} ${promise}`);
  const wrong = others.sort((a, b) => byName(a) - byName(b)).slice(0, CHOICES - 1);
  return [right, ...wrong].sort((a, b) => byName(`${a}!`) - byName(`${b}!`));
}

/** FNV-1a: enough to shuffle four words. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash;
}

/** A number of the list means what stands there. */
export function chosen(said: string, choices: readonly string[]): string {
  return choices[Number(said) - 1] ?? said;
}

function listing(bugs: readonly DrawnBug[], guesses: Readonly<Record<string, boolean>>): string {
  const rows = bugs.map(({ name, title }) => {
    const mark = guesses[name] === undefined ? " " : guesses[name] ? "✓" : "✗";
    return `  ${mark} ${name.padEnd(28)} ${title}`;
  });
  const right = bugs.filter(({ name }) => guesses[name]).length;
  return `${rows.join("\n")}\n\n${right} of ${bugs.length} guessed. ` +
    `npm run learn bugs ${bugs[0]?.name ?? "NAME"} shows one`;
}
