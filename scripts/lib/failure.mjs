// @ts-check
/**
 * A failed test as a reader wants it: where it failed, what was expected, what came, and where the
 * two part. Without the frames of Node, and bounded however large the values are.
 *
 * Test: test/learn-failure.test.ts
 */
import { readFileSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect, isDeepStrictEqual } from "node:util";

/**
 * @typedef {{ file: string, line: number }} Place relative to the project
 * @typedef {Place & { isNamed: boolean, path: string }} Frame `isNamed`: in a function that has a
 *   name; `path` of the file, which may be that of the project that this is a compiled copy of
 * @typedef {{
 *   message: string[], unwritten?: string, seed?: number, input?: string[],
 *   called?: { at: Place, code: string[] }, thrown?: { at: Place, code: string[] },
 *   expected?: string[], received?: string[], isEndless?: boolean, isNotRun?: boolean,
 * }} Failure `unwritten`: the function whose body is still the exercise's; `input`: what a random
 *   test had built; `called`: the statement of the test; `thrown`: the line that threw, where the
 *   test did not expect it; `isEndless`: that line is where it was when it was stopped; `isNotRun`:
 *   those before it have waited so long that it was not begun
 */

/** Lines of one value, and of a message. */
const MAX_LINES = 6;
const MAX_COLUMNS = 100;
/** Lines of a statement of a test: more is a table of cases. */
const MAX_CODE = 5;
const HEX_ROW = 16;
const INSPECT = { depth: 5, maxArrayLength: 60, maxStringLength: 2000, sorted: true };
/** A value that fits into so many columns stands on one line. */
const LINE_COLUMNS = 84;

/** In a compiled copy the frames are those of the sources, which are elsewhere. */
const FOLDERS = /\/((?:test|src|own|scripts|lessons)\/.*)$/;

/** What a body throws that is still the exercise's. */
const UNWRITTEN = /\bExercise: ([A-Za-z]\w*)/;
/** A test of the simulated world, or one of waiting.mjs, that nothing can wake. */
const WAITS = /\bnothing is left to happen\b/;
const NOT_RUN = /^not run: /;
const TIMED_OUT = /^test timed out after (\d+)ms$/;

/** What fails as a whole file is its process, with no more to say than the tests in it. */
export const PROGRAM = /\.test\.m?[jt]s$/;
/** A test whose subtests have failed says no more than they do. */
const PARENT = /^\d+ subtests? failed$/;

/** Node's words when nothing was thrown, and for a condition without a message. */
const NOTHING_THROWN = /^Missing expected (exception|rejection)(?: \((\w+)\))?(?:: ([^]*)|\.)$/;
const FALSE = /^The expression evaluated to a falsy value|^[^\n]* == true$/;

/** Operators of assertions that compare two values. */
const COMPARES = new Set(["strictEqual", "deepStrictEqual", "equal", "deepEqual"]);

/**
 * @param {any} error what a test has thrown, with its causes
 * @param {string} root of the project
 * @returns {Failure}
 */
export function describeFailure(error, root) {
  const chain = causesOf(error);
  const deepest = chain.at(-1) ?? {};
  const messages = chain.map(({ message }) => String(message ?? ""));
  // An assertion about an error keeps the error that came; others put it into their own words.
  const texts = [...messages, String(deepest.actual?.message ?? "")];
  const unwritten = first(texts, UNWRITTEN);
  const seed = first(messages, /\bseed (\d+)\b/);
  const input = chain.map((each) => each.input).find((each) => typeof each === "string");
  const places = placesIn(String(deepest.stack ?? ""), root);
  const inTests = places.filter(({ file }) => file.startsWith("test/"));
  // Helpers have names; the statement that a reader wants is the one that called them.
  const test = inTests.find(({ isNamed }) => !isNamed) ?? inTests[0];
  const thrower = places.find(({ file }) => !file.startsWith("test/"));
  const isAssertion = deepest.code === "ERR_ASSERTION";
  const wait = waitOf(error, String(deepest.message ?? ""));
  return {
    message: wait ?? messageOf(deepest, isAssertion),
    ...(unwritten !== undefined && { unwritten }),
    ...(messages.some((message) => NOT_RUN.test(message)) && { isNotRun: true }),
    ...(seed !== undefined && { seed: Number(seed) }),
    ...(input !== undefined && { input: wrapped(input) }),
    ...(test && { called: { at: placeOf(test), code: statementAt(test) } }),
    ...(!isAssertion && wait === undefined && thrower &&
      { thrown: { at: placeOf(thrower), code: [lineAt(thrower)] } }),
    ...(isAssertion && COMPARES.has(deepest.operator) && compared(deepest)),
  };
}

/**
 * Whether what has failed stands for others: a file, or a test with tests in it.
 * @param {string} name @param {any} error
 */
export const isNoTest = (name, error) =>
  PROGRAM.test(name) || PARENT.test(String(error?.cause?.message ?? error?.message ?? ""));

/**
 * A test that has waited is told as one: what threw is a clock, of which readers know nothing.
 * @param {any} error @param {string} message of its deepest cause
 */
function waitOf(error, message) {
  const [, ms] = TIMED_OUT.exec(String(error?.message ?? "")) ?? [];
  if (ms !== undefined) return [`it waits: after ${Number(ms) / 1000} s it is not done`];
  if (!WAITS.test(message)) return undefined;
  return ["it waits for ever: nothing is left to happen that would wake it. A promise that nobody",
    "resolves looks like this, and a callback that nobody calls."];
}

/**
 * A test that never ends, from where its process was when it was stopped (endless.mjs).
 * @param {{ stack: string, seconds: number, name?: string }} report
 * @param {string} root
 * @returns {import("./reporter.mjs").FailedTest}
 */
export function describeEndless({ stack, seconds, name }, root) {
  const places = placesIn(stack, root);
  const test = places.find(({ file, isNamed }) => file.startsWith("test/") && !isNamed)
    ?? places.find(({ file }) => file.startsWith("test/"));
  const own = places.find(({ file }) => file.startsWith("own/")) ?? places[0];
  const message = `it does not come to an end: after ${seconds} s of computing it is still here`;
  return {
    name: name ?? (test === undefined ? "a test" : testAround(test)),
    file: test?.path ?? "",
    message,
    failure: {
      message: [message],
      ...(test && { called: { at: placeOf(test), code: statementAt(test) } }),
      ...(own && { thrown: { at: placeOf(own), code: [lineAt(own)] } }),
      isEndless: true,
    },
  };
}

/** The name of the last test that begins at or above a line. @param {Frame} frame */
function testAround({ path, line }) {
  const above = readFileSync(path, "utf8").split("\n").slice(0, line).join("\n");
  const names = [...above.matchAll(/\btest\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`$]*))/g)];
  const name = names.at(-1)?.[1] ?? names.at(-1)?.[2] ?? "a test";
  return name.replace(/[\s(,]+$/, ""); // what a template puts behind it is not known here
}

/** @param {any} error @returns {any[]} outermost first */
function causesOf(error) {
  const chain = [];
  for (let each = error; each instanceof Error && chain.length < 8; each = each.cause) {
    if (/** @type {any} */ (each).code !== "ERR_TEST_FAILURE") chain.push(each);
  }
  return chain;
}

/** @param {string[]} texts @param {RegExp} pattern */
function first(texts, pattern) {
  for (const text of texts) {
    const found = pattern.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * What the test says of itself. A message that an assertion has made of its values says what stands
 * beside it again.
 * @param {any} error @param {boolean} isAssertion
 */
function messageOf({ message, name, generatedMessage, operator }, isAssertion) {
  if (isAssertion && COMPARES.has(operator)) {
    if (generatedMessage) return [];
    // Node 24 puts its comparison behind a message of the test's own.
    const own = String(message).split(/\n\n|\n\+ actual/)[0] ?? "";
    return clip(own.split("\n"));
  }
  const text = isAssertion ? plainWords(String(message)) : `${name ?? "Error"}: ${message}`;
  return clip(text.split("\n").filter((line) => line.trim() !== ""));
}

/** Some assertions of Node speak of themselves. @param {string} message */
function plainWords(message) {
  if (FALSE.test(message)) return "what the test states here does not hold";
  const [, kind, wanted, own] = NOTHING_THROWN.exec(message) ?? [];
  if (kind === undefined) return message;
  if (own !== undefined) return own;
  const what = kind === "exception" ? "nothing was thrown" : "the promise was not rejected";
  // A class says what was expected; a function of the test has a name for the test alone.
  return wanted !== undefined && /^[A-Z]/.test(wanted) ? `${what}, and a ${wanted} was due` : what;
}

/** What matters may stand at the end of a line, so it is folded. @param {string[]} long */
function clip(long) {
  const lines = long.flatMap((line) => (line.length > MAX_COLUMNS ? folded(line) : [line]));
  const shown = lines.slice(0, MAX_LINES).map(cut);
  return lines.length > MAX_LINES ? [...shown, `… ${lines.length - MAX_LINES} lines more`] : shown;
}

/** @param {Place} frame @returns {Place} */
const placeOf = ({ file, line }) => ({ file, line });

/** @param {string} text */
const wrapped = (text) => clip(folded(text));

/** @param {string} text @returns {string[]} lines of whole words */
function folded(text) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && line.length + word.length >= LINE_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** @param {string} stack @param {string} root @returns {Frame[]} of the project alone */
function placesIn(stack, root) {
  return stack.split("\n").flatMap((line) => {
    const match = /^\s+at (.*?)((?:file:\/\/)?\/[^()]+?):(\d+):\d+\)?$/.exec(line);
    if (match?.[2] === undefined) return [];
    const name = (match[1] ?? "").replace(/^async |\($/g, "").trim();
    const path = match[2].startsWith("file:") ? fileURLToPath(match[2]) : match[2];
    const inside = relative(root, path).split(sep).join("/");
    const file = inside.startsWith("..") ? FOLDERS.exec(path)?.[1] : inside;
    if (file === undefined || file.includes("node_modules")) return [];
    const isNamed = name !== "" && !name.includes("<anonymous>");
    return [{ file, line: Number(match[3]), isNamed, path }];
  });
}

/** @param {Frame} frame */
function linesFrom({ path, line }) {
  try {
    return readFileSync(path, "utf8").split("\n").slice(line - 1);
  } catch {
    return []; // compiled away: the place is told without its text
  }
}

/** @param {Frame} frame */
const lineAt = (frame) => (linesFrom(frame)[0] ?? "").trim();

/**
 * From the line to where its brackets are closed.
 * @param {Frame} frame
 */
function statementAt(frame) {
  const lines = linesFrom(frame);
  let open = 0;
  for (let count = 1; count <= Math.min(lines.length, MAX_CODE); count++) {
    const line = lines[count - 1] ?? "";
    open += line.split(/[([{]/).length - line.split(/[)\]}]/).length;
    if (open <= 0) return dedent(lines.slice(0, count));
  }
  return [lineAt(frame)];
}

/** @param {string[]} lines */
function dedent(lines) {
  const blanks = /^ */.exec(lines[0] ?? "")?.[0].length ?? 0;
  return lines.map((line) => line.slice(Math.min(blanks, line.search(/\S|$/))));
}

/** @param {any} error */
function compared({ expected, actual }) {
  if (expected instanceof Uint8Array && actual instanceof Uint8Array) {
    return comparedBytes(expected, actual);
  }
  const [wanted, found] = [linesOf(expected), linesOf(actual)];
  const at = wanted.findIndex((line, index) => line !== found[index]);
  // Equal as texts: the difference is one of kind, as between -0 and 0 in a list.
  if (at < 0 && wanted.length >= found.length) {
    const why = isDeepStrictEqual(expected, actual) ? "" : " (of another type)";
    return { expected: around(wanted, 0), received: around([`${found[0]}${why}`], 0) };
  }
  const row = at < 0 ? wanted.length : at;
  const received = around(found, row);
  const caret = caretFor(wanted[row], found[row], row, found);
  return {
    expected: around(wanted, row),
    received: caret === undefined ? received : insertBehind(received, found, { row, caret }),
  };
}

/** @param {unknown} value */
function linesOf(value) {
  if (typeof value === "string" && value.includes("\n")) return value.split("\n");
  const line = inspect(value, { ...INSPECT, compact: true, breakLength: Infinity });
  if (line.length <= LINE_COLUMNS && !line.includes("\n")) return [line];
  return inspect(value, { ...INSPECT, compact: 1, breakLength: LINE_COLUMNS }).split("\n");
}

/** A few lines with this one among them. @param {string[]} lines @param {number} row */
function around(lines, row) {
  const from = firstShown(lines, row);
  const shown = lines.slice(from, from + MAX_LINES).map(cut);
  if (from > 0) shown.unshift(`… ${from} lines that are equal`);
  const rest = lines.length - from - MAX_LINES;
  return rest > 0 ? [...shown, `… ${rest} lines more`] : shown;
}

/** @param {string[]} lines @param {number} row */
const firstShown = (lines, row) =>
  Math.max(0, Math.min(row - 2, lines.length - MAX_LINES));

/** @param {string} line */
const cut = (line) => (line.length > MAX_COLUMNS ? `${line.slice(0, MAX_COLUMNS - 1)}…` : line);

/**
 * @param {string | undefined} wanted @param {string | undefined} found
 * @param {number} row @param {string[]} all
 */
function caretFor(wanted, found, row, all) {
  if (wanted === undefined || found === undefined || row >= all.length) return undefined;
  let column = 0;
  while (column < wanted.length && wanted[column] === found[column]) column++;
  return column < MAX_COLUMNS ? `${" ".repeat(column)}^` : undefined;
}

/**
 * @param {string[]} shown @param {string[]} all @param {{ row: number, caret: string }} where
 */
function insertBehind(shown, all, { row, caret }) {
  const from = firstShown(all, row);
  const at = row - from + (from > 0 ? 1 : 0) + 1;
  return [...shown.slice(0, at), caret, ...shown.slice(at)];
}

/**
 * The row of the first difference in hexadecimal, with a caret under the byte.
 * @param {Uint8Array} expected @param {Uint8Array} actual
 */
function comparedBytes(expected, actual) {
  let at = 0;
  while (at < Math.min(expected.length, actual.length) && expected[at] === actual[at]) at++;
  const from = at - (at % HEX_ROW);
  const label = `${from}`.padStart(5);
  /** @param {Uint8Array} bytes */
  const row = (bytes) => {
    const hex = [...bytes.subarray(from, from + HEX_ROW)].map((byte) =>
      byte.toString(16).padStart(2, "0"));
    const rest = bytes.length - from - HEX_ROW;
    return `${label}  ${hex.join(" ")}${rest > 0 ? ` … ${rest} more` : ""}`;
  };
  const caret = `${" ".repeat(label.length + 2 + 3 * (at - from))}^^ byte ${at}`;
  const sizes = expected.length === actual.length
    ? [] : [`${actual.length} bytes, not ${expected.length}`];
  return { expected: [row(expected)], received: [row(actual), caret, ...sizes] };
}
