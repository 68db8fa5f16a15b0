// @ts-check
/**
 * Runs test files side by side, each in a process of its own, in the order in which they are given.
 *
 *     node test-runner.mjs '{"files": ["/…/a.test.ts"], "flags": […], "report": "/…/summary.json"}'
 *
 * It is `node --test` but for three things: that one sorts the files by name, so that the longest
 * may begin when all others have ended; it starts the loader of TypeScript for itself, too, which
 * costs a third of a second; and it cannot be given a program that others may be told about
 * (family.mjs).
 */
import { writeFileSync } from "node:fs";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { noteChildren } from "./cpu-time.mjs";
import { describeFailure } from "./failure.mjs";
import summarise from "./reporter.mjs";

/**
 * @typedef {{
 *   files: string[], flags: string[], concurrency: number, timeoutMs: number,
 *   fileTimeoutMs: number, names: string[], report: string,
 *   output: "now" | "late" | "passed" | "none",
 * }} Job `flags` start the process of a file; `names` are patterns of the tests to be run; `late`
 *   is for a runner beside another one: all it has to say, once; `passed`: what passes as it comes,
 *   for a caller who tells the rest
 */

/** @type {Job} */
const job = JSON.parse(process.argv[2] ?? "");
const flags = [...job.flags, `--test-timeout=${job.timeoutMs}`];
// Where the option is not known (Node 20), the processes of the files have the flags of this one.
process.execArgv.splice(0, Infinity, ...flags);
const options = {
  files: job.files, concurrency: job.concurrency, timeout: job.fileTimeoutMs, execArgv: flags,
  ...(job.names.length > 0 && { testNamePatterns: job.names }),
};

/** Failures that are shown as they come. One mistake may fail a hundred tests. */
const MOST_FAILURES = 5;

const costs = noteChildren();
const tests = run(options);
tests.on("test:fail", ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
const told = tests.compose(new Spec());
if (job.output === "now") told.pipe(process.stdout);
if (job.output === "passed") {
  tests.on("test:pass", ({ name, nesting, skip, todo }) => {
    const isLeftOut = skip !== undefined || todo !== undefined || /\.test\.[jt]s$/.test(name);
    if (nesting === 0 && !isLeftOut) process.stdout.write(`✔ ${name}\n`);
  });
}
if (job.output === "passed") {
  // At once, since the rest may take long. What is wrong is told at the end, so a few are enough.
  let told = 0;
  tests.on("test:fail", ({ name, nesting, details }) => {
    const isNoTest = /\.test\.m?[jt]s$/.test(name);
    const { unwritten, isNotRun } = describeFailure(details.error, process.cwd());
    if (nesting > 0 || isNoTest || unwritten !== undefined || isNotRun) return;
    told += 1;
    if (told <= MOST_FAILURES) process.stdout.write(`✖ ${name}\n`);
    else if (told === MOST_FAILURES + 1) process.stdout.write("✖ … and more, counted below\n");
  });
}
// What nobody reads would in the end hold up the summary, too.
if (job.output === "none" || job.output === "passed") told.resume();
const [text, summary] = await Promise.all([
  job.output === "late" ? textOf(told) : "", textOf(tests.compose(summarise)),
]);
process.stdout.write(text);
writeFileSync(job.report, JSON.stringify({ ...JSON.parse(summary), costs: costs() }));

/** @param {AsyncIterable<unknown>} stream */
async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
