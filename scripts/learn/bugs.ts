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
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { ROOT } from "../bootstrap.mjs";
import { pick } from "./chapter.ts";

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
  const [asked, said] = args;
  if (asked === undefined) {
    process.stdout.write(`${listing(bugs, readGuesses())}\n`);
    return 0;
  }
  const name = pick(asked, bugs.map((each) => each.name), "the bug");
  const bug = bugs.find((each) => each.name === name)!;
  const choices = choicesFor(bug, bugs);
  process.stdout.write(`${bug.diff.join("\n")}\n\nWhich promise does this break?\n${
    choices.map((choice, at) => `  ${at + 1}  ${choice}`).join("\n")}\n`);
  const guess = chosen(said ?? (await ask()), choices);
  const child = spawn(process.execPath, ["scripts/launch.mjs", "sim", "--bug", bug.name], {
    cwd: ROOT, stdio: ["ignore", "inherit", "inherit"],
  });
  const [code] = (await once(child, "exit")) as [number | null];
  process.stdout.write(`\n${verdict(bug, guess)}\n`);
  if (guess !== "") writeGuess(bug.name, bug.promises.includes(guess));
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
      const text = readFileSync(join(root, FOLDER, file), "utf8");
      const field = (key: string): string =>
        new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1]?.trim() ?? "";
      const changed = text.split("\n").filter((line) => /^(\+\+\+ b\/|[-+](?![-+]))/.test(line));
      return {
        name: file.replace(/\.patch$/, ""), title: field("Title"), why: field("Why"),
        promises: field("Invariant").split(",").map((word) => word.trim()),
        diff: changed.map((line) =>
          line.startsWith("+++ ") ? `  ${line.slice("+++ b/".length)}` : `    ${line}`),
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

/** A number of the list or a name; nothing is an answer, too. */
async function ask(): Promise<string> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return "";
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const said = (await terminal.question("\nYour guess (Enter goes on): ").catch(() => "")).trim();
  terminal.close();
  return said;
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

const guessesPath = (): string => join(ROOT, "own", ".bugs.json");

function readGuesses(): Record<string, boolean> {
  try {
    return JSON.parse(readFileSync(guessesPath(), "utf8")) as Record<string, boolean>;
  } catch {
    return {};
  }
}

/** Losing it costs nothing: a checkout may be read-only. */
function writeGuess(name: string, isRight: boolean): void {
  try {
    mkdirSync(join(ROOT, "own"), { recursive: true });
    writeFileSync(guessesPath(), JSON.stringify({ ...readGuesses(), [name]: isRight }, null, 2));
  } catch {
    // The game goes on.
  }
}
