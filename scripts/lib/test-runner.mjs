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
import { channel } from "node:diagnostics_channel";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { noteChildren } from "./cpu-time.mjs";
import { describeFailure, isNoTest } from "./failure.mjs";
import { endHolders } from "./holders.mjs";
import { progressOn } from "./progress.mjs";
import summarise from "./reporter.mjs";

/**
 * @typedef {{
 *   files: string[], flags: string[], concurrency: number, timeoutMs: number,
 *   fileTimeoutMs: number, names: string[], report: string,
 *   output: "now" | "late" | "passed" | "none", endless: boolean,
 * }} Job `flags` start the process of a file; `names` are patterns of the tests to be run; `late`
 *   is for a runner beside another one: all it has to say, once; `passed`: how far it is, for one
 *   who tells the rest; `endless`: for code that may be a first draft
 */

/** @type {Job} */
const job = JSON.parse(process.argv[2] ?? "");
const flags = [...job.flags, `--test-timeout=${job.timeoutMs}`];
// Where the option is not known (Node 20), the processes of the files have the flags of this one.
process.execArgv.splice(0, Infinity, ...flags);
const enough = new AbortController();
const options = {
  signal: enough.signal, files: job.files, concurrency: job.concurrency,
  timeout: job.fileTimeoutMs, execArgv: flags,
  ...(job.names.length > 0 && { testNamePatterns: job.names }),
};

const costs = noteChildren();
const held = job.endless ? endHolders() : () => [];
if (job.endless) stopAtEndless();
const tests = job.endless ? Readable.from(firstAlone()) : run(options);
/** @param {string} name @param {(data: any) => void} listener */
const on = (name, listener) =>
  void tests.on("data", ({ type, data }) => type === name && listener(data));
on("test:fail", ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
const told = tests.compose(new Spec());
if (job.output === "now") told.pipe(process.stdout);
const progress = progressOn(process.stdout);
if (job.output === "passed") {
  on("test:pass", ({ name, nesting, skip, todo }) => {
    const isLeftOut = skip !== undefined || todo !== undefined || /\.test\.[jt]s$/.test(name);
    if (nesting === 0 && !isLeftOut) progress.pass();
  });
  on("test:fail", ({ name, details }) => {
    const { unwritten, isNotRun } = describeFailure(details.error, process.cwd());
    if (isNoTest(name, details.error) || unwritten !== undefined || isNotRun) return;
    progress.fail(name);
  });
}
// What nobody reads would in the end hold up the summary, too.
if (job.output === "none" || job.output === "passed") told.resume();
const [text, summary] = await Promise.all([
  job.output === "late" ? textOf(told) : "", textOf(tests.compose(summarise)),
]);
progress.end();
process.stdout.write(text);
writeFileSync(job.report, JSON.stringify({ ...JSON.parse(summary), costs: costs(), held: held() }));

/**
 * A first draft is mostly wrong where the first file already sees it. A loop without an end would
 * be one in each file, and so it has the processor to itself.
 */
async function* firstAlone() {
  const [first = "", ...rest] = job.files;
  yield* run({ ...options, files: [first] });
  if (rest.length > 0 && !enough.signal.aborted) yield* run({ ...options, files: rest });
}

/** A loop without an end in one process is one in others, too: nobody should wait for each. */
function stopAtEndless() {
  channel("child_process").subscribe((message) => {
    const { process: child } =
      /** @type {{ process: import("node:child_process").ChildProcess }} */ (message);
    child.once("exit", () => {
      const report = join(dirname(job.report), `endless-${child.pid}.json`);
      if (existsSync(report)) enough.abort();
    });
  });
}

/** @param {AsyncIterable<unknown>} stream */
async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}
