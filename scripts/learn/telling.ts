/**
 * The result of a chapter's tests, told to the person who writes the chapter: first things first,
 * one failure at a time, on one screen.
 *
 *     ✖ settle() says who becomes ready                       test/06-dag.test.ts:143
 *       test      assert.deepEqual(dag.settle(0), [1, 2]);
 *       expected  [ 1, 2 ]
 *       received  [ 2 ]
 *                   ^
 *       again     npm run learn test 6 own 'settle() says who becomes ready'
 *
 * Test: test/learn-failure.test.ts
 */
import { isNoTest, PROGRAM } from "../lib/failure.mjs";
import type { FailedTest, TestSummary } from "../lib/reporter.mjs";

export interface Telling {
  /** As a person types it: "npm run learn test 6 own". */
  readonly command: string;
  readonly summary: TestSummary;
  /** The functions of the exercise, in the order in which they are to be written. */
  readonly functions?: readonly string[];
}

/** Failures after the first are named only: most of them have the same cause. */
const NAMED = 4;
const LABEL = 12;
const TIMED_OUT = /^test timed out after (\d+)ms$/;
/**
 * A terminal has 25 lines at least. Three stand above (whose code it is, and what has failed), two
 * below (how many pass), and a note about types has three.
 */
const MOST_LINES = 25 - 8;
/** Of a part of a failure, be it a value or a message; and what is left of one that is cut. */
const [LONGEST_PART, SHORTEST_PART] = [9, 3];

export function tellFailures({ command, summary, functions = [] }: Telling): string[] {
  const failed = summary.failed.filter(({ name, message }) => !isNoTest(name, { message }));
  const waiting = failed.filter(({ failure }) => failure.unwritten !== undefined);
  const notRun = failed.filter(({ failure }) => failure.isNotRun).length;
  const wrong = failed
    .filter(({ failure }) => failure.unwritten === undefined && !failure.isNotRun)
    .sort((a, b) => rankOf(a, functions) - rankOf(b, functions));
  const lines: string[] = [];
  if (waiting.length > 0) {
    const names = [...new Set(waiting.map(({ failure }) => failure.unwritten))];
    const wait = waiting.length === 1 ? "1 test waits" : `${waiting.length} tests wait`;
    lines.push("", `Not written yet: ${names.join(", ")}. ${wait} for ${
      names.length === 1 ? "it" : "them"}.`);
  }
  const [next, ...others] = wrong;
  if (next === undefined) return failed.length > 0 ? lines : tellEnded(summary);
  const below = notRun === 0 ? [] : ["", `${plural(notRun, "test was", "tests were")} not ` +
    `begun: three before ${notRun === 1 ? "it" : "them"} had waited in vain.`];
  const heading = others.length === 0 ? [] : ["", `After it, ${others.length} more of ${
    summary.ran} tests ${others.length === 1 ? "fails" : "fail"}:`];
  const room = MOST_LINES - lines.length - below.length - heading.length;
  lines.push("", ...tellOne(next, { command, room: room - 1 - Math.min(others.length, 2) }));
  return [...lines, ...heading, ...named(others, MOST_LINES - lines.length), ...below];
}

/** As many names as there is room for, and how many more there are. */
function named(others: readonly FailedTest[], room: number): string[] {
  const fits = others.length <= Math.min(NAMED, room);
  const shown = fits ? others : others.slice(0, Math.max(1, Math.min(NAMED, room - 1)));
  const left = others.length - shown.length;
  return [...shown.map(({ name }) => `  ✖ ${name}`), ...(left > 0 ? [`  … and ${left} more`] : [])];
}

/**
 * A test that names a function of the exercise says where to look, so it is told first: above all
 * one of a file of parts, which calls it by itself. Behind those come the tests of a chapter's
 * first file: the others ask for more, or for rarer things.
 */
function rankOf({ name, failure }: FailedTest, functions: readonly string[]): number {
  const file = failure.called?.at.file ?? "";
  const named = functions.findIndex((each) => name.startsWith(`${each}(`));
  if (named >= 0) return named + (/\.parts\.test\.[jt]s$/.test(file) ? 0 : functions.length);
  return 2 * functions.length + (/^test\/\d\d-\w+\.test\.[jt]s$/.test(file) ? 0 : 1);
}

/** No test has failed, but a process in which tests ran. */
function tellEnded({ failed, open }: TestSummary): string[] {
  const [program] = failed.filter(({ name }) => PROGRAM.test(name));
  if (program === undefined) return [];
  if (open !== undefined) return ["", ...tellOpen(open)];
  const ms = TIMED_OUT.exec(program.message)?.[1];
  if (ms !== undefined) {
    return ["", `✖ The process of the tests was not done after ${Number(ms) / 1000} s, and was ` +
      "ended. A program that it has", "  started and that still writes to the terminal looks " +
      "like this."];
  }
  return ["", "✖ The process of the tests ended before they did. A call of process.exit() looks",
    "  like this, and a list that grows without end. It said:",
    `    ${program.message || "nothing"}`];
}

/** Node's names of what keeps a process alive, and the words of its manual. */
const OPEN: Readonly<Record<string, [one: string, more: string]>> = {
  TCPServerWrap: ["server", "servers"],
  TCPSocketWrap: ["connection", "connections"],
  Timeout: ["timer", "timers"],
  ProcessWrap: ["program", "programs"],
};

function tellOpen(open: readonly string[]): string[] {
  const found = Object.entries(OPEN).flatMap(([name, [one, more]]) => {
    const count = open.filter((each) => each === name).length;
    return count > 0 ? [plural(count, one, more)] : [];
  });
  const what = found.length > 0 ? found.join(", ") : "something";
  return ["✖ The tests are done, and their process would not end, because your code has left open:",
    `    ${what}`, "  What it opens it has to close, and a timer that it sets it has to clear."];
}

/** Programs that were ended, because the tests would have waited for them. */
export function tellHeld({ held = [] }: TestSummary): string[] {
  const [first, ...others] = held;
  if (first === undefined) return [];
  const more = others.length > 0 ? `, and ${others.length} more` : "";
  return ["", `Note: your code has left a program running behind the tests${more}; it was ended:`,
    `  ${first.length > WIDEST ? `${first.slice(0, WIDEST)}…` : first}`];
}

/** Of a command, on a line. */
const WIDEST = 96;

const plural = (count: number, one: string, more: string): string =>
  `${count} ${count === 1 ? one : more}`;

/** One failure in at most `room` lines, if it can be: the longest parts are cut first. */
function tellOne(test: FailedTest, { command, room }: { command: string; room: number }): string[] {
  for (let most = LONGEST_PART; ; most--) {
    const lines = tellParts(test, { command, most });
    if (lines.length <= room || most === SHORTEST_PART) return lines;
  }
}

function tellParts(
  { name, failure }: FailedTest,
  { command, most }: { command?: string; most: number },
): string[] {
  const { called, thrown, message, expected, received, seed, input, isEndless } = failure;
  const place = called === undefined ? "" : `  (${called.at.file}:${called.at.line})`;
  const lines = [`✖ ${name}${place}`];
  const say = (label: string, texts: readonly string[], last = 0): void => {
    part(texts, most, last).forEach((text, index) =>
      lines.push(`  ${(index === 0 ? label : "").padEnd(LABEL)}${text}`.trimEnd()));
  };
  say("because", message);
  if (called !== undefined) say("test", called.code);
  say("with", input ?? []);
  if (thrown !== undefined) {
    const where = `${thrown.at.file}:${thrown.at.line}`;
    say(isEndless ? "stopped at" : "thrown by", [where, ...thrown.code]);
  }
  const caret = received?.findIndex((text) => CARET.test(text)) ?? 0;
  say("expected", expected ?? [], caret - 1);
  say("received", received ?? [], caret);
  const chosen = seed === undefined ? "" : `SEED=${seed} `;
  if (command !== undefined) say("again", [`${chosen}${command} ${quoted(name)}`]);
  return lines;
}

const CARET = /^ *\^/;

/** Lines up to the one that has to be among them. */
function part(texts: readonly string[], most: number, last: number): readonly string[] {
  const from = Math.max(0, Math.min(last + 1, texts.length) - most);
  return texts.slice(from, from + most);
}

/** A failure alone: what differs, and where. */
export const tellFailure = (test: FailedTest): string[] =>
  tellParts(test, { most: LONGEST_PART }).slice(1);

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
