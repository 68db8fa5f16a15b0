/**
 * `learn test N` and `learn watch N`: a chapter's contract against the reader's file, or against
 * the reference.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BootstrapError } from "../bootstrap.mjs";
import { planFor } from "../lib/changed.mjs";
import { listChapters } from "../lib/chapters.mjs";
import { filesUnder } from "../lib/files.mjs";
import { OWN_FILES } from "../lib/own-inside.mjs";
import type { TestSummary } from "../lib/reporter.mjs";
import { runTests, slowness } from "../lib/run-tests.mjs";
import { begunParts, type Opened, openChapter, ownedParts, readOptions } from "./chapter.ts";
import { Known, standingOf } from "./known.ts";
import { whyNotLoaded } from "./loads.ts";
import { ownEnvironment, type OwnPart, unwritten } from "./own.ts";
import { tellFailures, tellHeld } from "./telling.ts";
import { checkTypes } from "./types.ts";

/**
 * A test that waits for what never comes is a common first draft. No test of a chapter takes
 * seconds, unless others want the processors, too.
 */
const OWN_TEST_MS = 10_000;

const ownTestMs = (): number => Math.round(OWN_TEST_MS * slowness());

const OWN_INSIDE = new URL("../lib/own-inside.mjs", import.meta.url).href;

type Side = "own" | "reference";

export async function runContract(args: readonly string[]): Promise<number> {
  const { opened, side, name } = readArguments(args);
  return (await contract(opened, { side, name })).code;
}

/** "5 ref", "5 --ref", "5 torn tail": words after the side choose tests by a part of their name. */
function readArguments(args: readonly string[]): { opened: Opened; side: Side; name: string } {
  const { words: [asked, ...rest], options } = readOptions(args, ["own", "ref"]);
  const opened = openChapter(asked, "For example: npm run learn test 5");
  if (rest[0] === "own" || rest[0] === "ref") options.add(rest.shift()!);
  if (options.has("own") && options.has("ref")) {
    throw new BootstrapError("Cannot test: own and ref at once");
  }
  const begun = begunParts(opened).length > 0;
  if (options.has("own") && !begun) {
    throw new BootstrapError(
      `Cannot test your own ${opened.chapter.id}: it is not there (npm run learn start ` +
        `${opened.chapter.number})`,
    );
  }
  return {
    opened,
    side: options.has("own") || (begun && !options.has("ref")) ? "own" : "reference",
    name: rest.join(" "),
  };
}

export interface ContractOptions {
  readonly side: Side;
  /** Only tests whose name contains this; all when empty. */
  readonly name?: string;
  /** No output but the result. */
  readonly quiet?: boolean;
}

/**
 * Runs the tests of a chapter on one side. Code 0 means that at least one test ran and all passed.
 */
export async function contract(
  opened: Opened,
  options: ContractOptions,
): Promise<{ code: number; summary: TestSummary }> {
  const { project, chapter } = opened;
  if (chapter.tests.length === 0) {
    throw new BootstrapError(
      `Cannot test chapter ${chapter.id}: test/${chapter.id}.test.ts is missing`,
    );
  }
  const own = options.side === "own" ? ownedParts(opened) : [];
  if (!options.quiet) process.stdout.write(`${banner(opened, options.side)}\n`);
  const types = options.quiet ? undefined : checkTypes(project.root, own);
  const flags = [
    ...(options.name
      ? [`--test-name-pattern=${options.name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}`]
      : []),
    ...(own.length > 0 ? [`--test-timeout=${ownTestMs()}`] : []),
  ];
  const tests = own.length > 0 ? judgesOf(opened) : chapter.tests;
  const isWhole = own.length > 0 && !options.name;
  const known = isWhole && !options.quiet ? new Known(project.root) : undefined;
  const taken = known?.take(opened);
  const result = await runTests(withName(project.root, tests, options.name ?? ""), {
    flags,
    ...(options.quiet ? { quiet: true } : { passed: true }),
    ...(own.length > 0 ? { env: inTests(project.root, own), endless: true } : {}),
  });
  if (!options.quiet && result.code > 128) {
    process.stdout.write("\nStopped before the tests were done.\n"); // Ctrl-C
  } else if (!options.quiet) {
    const isMute = own.length > 0 && result.summary.ran === 0;
    const why = isMute ? whyNotLoaded(own, ownEnvironment(project.root, own)) : undefined;
    if (why !== undefined) process.stdout.write(`\n${why}\n`);
    else explain(opened, { ...options, summary: result.summary });
    process.stdout.write((await types?.note()) ?? "");
  }
  if (result.code === 0 && isWhole && !options.quiet) {
    if (taken !== undefined) known?.keep(opened, taken, standingOf(opened, result)); // for the map
    process.stdout.write(offer(opened));
  }
  return result;
}

/** A page in a browser tells that something is missing by waiting for it, for a minute a test. */
const BROWSER = /from "\.\/lib\/(?:browser|dashboard)\.ts"/;

/** The tests of a chapter that use what is to be written, and fail at once without it. */
function judgesOf({ project: { root }, chapter: { tests }, exercises }: Opened): string[] {
  const using = planFor(root, exercises.map(({ file }) => file)).tests;
  const judges = tests.filter((test) =>
    using.has(test) && !BROWSER.test(readFileSync(join(root, test), "utf8")));
  return judges.length > 0 ? judges : tests;
}

/** The files in which a name stands: to load one takes a second. */
function withName(root: string, tests: readonly string[], name: string): string[] {
  // A long name is cut in two, where the line ends.
  const textOf = (test: string): string =>
    readFileSync(join(root, test), "utf8").replace(/" \+\s*"/g, "");
  const found = name === "" ? [] : tests.filter((test) => textOf(test).includes(name));
  return found.length > 0 ? found : [...tests];
}

/** Tests look inside the reader's files where they look inside ours. */
function inTests(root: string, parts: readonly OwnPart[]): NodeJS.ProcessEnv {
  const env = ownEnvironment(root, parts);
  const files = parts.flatMap((part) => part.files.map(({ from, to }) =>
    [join(root, from), join(root, to)]));
  return {
    ...env, NODE_OPTIONS: `${env["NODE_OPTIONS"]} --import=${OWN_INSIDE}`,
    [OWN_FILES]: JSON.stringify(Object.fromEntries(files)),
  };
}

/** Which file is under test: the first question about any result. */
function banner({ project, chapter, parts, exercises }: Opened, side: Side): string {
  const own = side === "own" ? ownedParts({ project, parts }) : [];
  const lines = parts.map((part) => {
    if (!own.includes(part)) return `  #${part.name} = ${part.folder}/mod.ts (reference)`;
    const left = unwritten(project.root, part, exercises);
    return (
      `  #${part.name} = ${part.entry} ` +
      `(YOURS${left.length > 0 ? `; not written yet: ${left.join(", ")}` : ""})`
    );
  });
  if (exercises.length === 0) {
    lines.push("  the code that is there: this chapter has nothing to swap");
  }
  return [
    `Chapter ${chapter.id} on ${own.length > 0 ? "YOUR code" : "the reference"}:`,
    ...lines,
  ].join("\n");
}

/** A chapter's tests know the chapter. The rest of the machine asks for more. */
function offer({ chapter: { number } }: Opened): string {
  const [next] = listChapters().filter((chapter) => chapter.number > number);
  return `\nAll of it passes. Now 200 lives on it:  npm run learn sim ${number}\n` +
    `             a real cluster on it:  npm run learn cluster ${number}\n` +
    (next === undefined ? ""
      : `                 the next chapter:  lessons/${next.id}/README.md\n`);
}

function explain(
  { chapter, exercises }: Opened,
  { side, summary }: { side: Side; summary: TestSummary },
): void {
  const command = `npm run learn test ${chapter.number} ${side === "own" ? "own" : "ref"}`;
  const functions = exercises.map(({ name }) => name);
  const lines = tellFailures({ command, summary, functions });
  const skipped = summary.skipped.map(({ name, reason }) => `  ﹣ ${name} (${reason})`);
  if (skipped.length > 0) lines.push("", "Left out:", ...skipped);
  lines.push(...tellHeld(summary));
  const { ran, passed } = summary;
  // A long list says no more than its length.
  if (passed.length === ran && ran <= FEW) lines.push(...passed.map(({ name }) => `✔ ${name}`));
  // Its process is ended: what had passed in it may not have been heard of.
  const endless = summary.failed.find(({ failure }) => failure.isEndless);
  lines.push("", endless === undefined ? `${passed.length} of ${ran} tests pass.`
    : `A loop without an end has stopped the tests, in: ${endless.name}. ` +
      "Not all of them have run.");
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Tests whose names fit on a screen when all of them pass. */
const FEW = 12;

/**
 * Often enough to feel immediate, seldom enough to cost nothing. Polling also works where no file
 * system events arrive.
 */
const WATCH_POLL_MS = 300;

/**
 * Runs the tests, then again after every change of the reader's files or the tests. `r` runs them
 * now, `q` ends.
 */
export async function runWatch(args: readonly string[]): Promise<number> {
  const { opened, side, name } = readArguments(args);
  const folders = [
    "test",
    ...(side === "own" ? ["own"] : opened.parts.map(({ folder }) => folder)),
  ].map((folder) => join(opened.project.root, folder));
  const keys = readKeys();
  try {
    for (;;) {
      keys.pause(); // a running test has the terminal, and Ctrl-C means it
      // Before the run: a change that is saved during the run has not been tested.
      const seen = stateOf(folders);
      const { code } = await contract(opened, { side, name });
      if (code > 128) return code; // ended by a signal: the reader has had enough
      process.stdout.write("\nWaiting for a change (r: run now, q: quit)\n");
      keys.resume();
      let key: string | undefined;
      while (stateOf(folders) === seen && (key = keys.take()) === undefined) {
        await sleep(WATCH_POLL_MS);
      }
      if (key === "q") return 0;
    }
  } finally {
    keys.pause();
    process.stdin.destroy();
  }
}

/** Backups, and what the companion writes down of its own accord, be it in another terminal. */
const NOTED = /\/own\/\./;

/**
 * Changes when any file below is written, added or removed. All times and sizes, and not the latest
 * time: an editor outside of a virtual machine writes by another clock, which may be behind.
 */
export function stateOf(folders: readonly string[]): string {
  return folders.flatMap(filesUnder).filter((path) => !NOTED.test(path)).map((path) => {
    const { mtimeMs = 0, size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
    return `${path} ${mtimeMs} ${size}`;
  }).join("\n");
}

/** Single keys from a terminal, letters from a pipe. The end of input counts as `q`. */
function readKeys(): { take(): string | undefined; pause(): void; resume(): void } {
  const pressed: string[] = [];
  const raw = (on: boolean): void => void (process.stdin.isTTY && process.stdin.setRawMode(on));
  process.stdin.setEncoding("utf8").on("data", (text: string) => {
    for (const key of text) {
      if (key === "\x03" || key === "\x04" || key === "q") pressed.push("q");
      else if (key === "r") pressed.push("r");
    }
  }).on("end", () => pressed.push("q"));
  return {
    take: () => pressed.shift(),
    pause: () => (raw(false), void process.stdin.pause()),
    resume: () => (raw(true), void process.stdin.resume()),
  };
}
