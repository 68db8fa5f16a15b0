#!/usr/bin/env node
// @ts-check
/**
 * `npm test`: dev tools, type check, build, then the tests in a compiled copy of the project.
 *
 *     npm test                                    all but what takes longest (LONG below) and what
 *                                                 needs a browser
 *     npm test -- --all                           those too, and the lessons: what CI runs
 *     npm test -- test/05-log.test.ts             these files only, from the sources (no type
 *                                                 check, no lessons)
 *     npm test -- --test-name-pattern="torn tail" options go to node's runner
 *     npm test -- --changed                       what a change since main can touch, and says why
 *     npm test -- --changed=HEAD~3                the same since another commit
 *
 * Under CI (the variable CI is set) a skipped test is a failure, so that a missing tool cannot pass
 * for a green run. A skip that belongs to another platform says so: its reason begins with "only on
 * ".
 */
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { BootstrapError, ROOT, ensureBuilt, ensureDeps, runMain } from "./bootstrap.mjs";
import { changesSince, planFor } from "./lib/changed.mjs";
import { runNode } from "./lib/child.mjs";
import { costLines, secondsOfAll } from "./lib/cpu-time.mjs";
import { runTests } from "./lib/run-tests.mjs";

/** @typedef {import("./lib/reporter.mjs").TestSummary} TestSummary */

/** Tests of the checkout itself: what git says of it, and what npm makes of it. */
const IN_CHECKOUT = new Set(["test/style.test.ts", "test/package.test.ts"]);

/**
 * Each of these makes or plays the whole project anew: packages, bundles, planted bugs, the
 * companion's copies. With those in a browser and the lessons they take as long as all the others,
 * which a person waits for after each change.
 */
const LONG = new Set([
  "22-simulation.bugs", "24-packaging.bundles", "learn-check", "learn-companion", "learn-failure",
  "learn-scripts", "package",
].map((name) => `test/${name}.test.ts`));

/** What a test file that drives a browser imports. */
const IN_BROWSER = /^import .*"\.\/lib\/browser\.ts";$/m;
const BROWSER = "chromium";

/** What the compiler keeps from one type check to the next. A build leaves it alone. */
const TYPES = join(ROOT, "dist", ".types");

/** Programs that tests and lessons start, besides node and a POSIX shell. */
const TOOLS = ["git", "python3", "redis-server", "redis-cli", "redis-benchmark", BROWSER];

/**
 * @typedef {{ tests: string[], lessons: string[] | undefined, pages: boolean }} Share
 *   `lessons`: undefined for all
 */

await runMain(async () => {
  const args = process.argv.slice(2);
  const since = args.find((arg) => /^--changed(=|$)/.test(arg));
  if (since !== undefined) {
    if (args.length > 1) throw new BootstrapError("Cannot test: --changed stands alone");
    const share = shareSince(since.split("=")[1]);
    return share === undefined ? 0 : await testShare(share);
  }
  if (args.includes("--all")) {
    if (args.length > 1) throw new BootstrapError("Cannot test: --all stands alone");
    return await testShare({ tests: allTests(), lessons: undefined, pages: true });
  }
  if (args.length === 0) {
    const all = allTests();
    const tests = all.filter((file) => !LONG.has(file) && !isInBrowser(file));
    const code = await testShare({ tests, lessons: [], pages: true });
    const rest = `${all.length - tests.length} test files that take long or need a browser, and ` +
      "the lessons, did not run";
    process.stdout.write(`# ${rest}: npm test -- --all runs them, too\n`);
    return code;
  }
  const flags = args.filter((arg) => arg.startsWith("-"));
  const named = args.filter((arg) => !arg.startsWith("-"));
  const files = named.length > 0 ? named.map(existing) : allTests();
  checkTools(files);
  await ensureDeps();
  await ensureBuilt().catch((error) =>
    process.stderr.write(`${error.message}\n(going on: these tests run from the sources)\n`),
  );
  return (await runTests(files, { flags })).code;
});

/**
 * What a change can touch, told to the person who asked. Undefined: nothing has changed.
 * @param {string | undefined} ref
 * @returns {Share | undefined}
 */
function shareSince(ref) {
  const { base, changed } = changesSince(ROOT, ref);
  const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
  const short = base.slice(0, 9);
  if (changed.length === 0) {
    say(`Nothing has changed since ${short}: no test was run.`);
    say("That says nothing about the project: npm test does.");
    return undefined;
  }
  const plan = planFor(ROOT, changed);
  const tests = allTests();
  const files = changed.length === 1 ? "file has" : "files have";
  say(`${changed.length} ${files} changed since ${short}.`);
  if (plan.why !== "") {
    say(`Everything runs: ${plan.why}.`);
    return { tests, lessons: undefined, pages: true };
  }
  const count = `${plan.tests.size} of ${tests.length} test files`;
  say(`${count}, and ${plan.lessons.size} lessons, can notice:`);
  const lessons = [...plan.lessons].sort();
  const found = [...plan.tests, ...lessons.map(([id, why]) => [`lesson ${id}`, why])];
  for (const [name = "", why] of found) say(`  ${name.padEnd(38)} ${why}`);
  return { tests: [...plan.tests.keys()], lessons: lessons.map(([id]) => id), pages: plan.pages };
}

/**
 * Types, tests and lessons, each as far as the share has them.
 * @param {Share} share
 */
async function testShare({ tests, lessons, pages }) {
  const started = performance.now();
  checkTools(tests);
  await ensureDeps();
  const withLessons = hasLessons() && (lessons?.length !== 0 || pages);
  const isCopied = withLessons || tests.some((file) => !IN_CHECKOUT.has(file));
  const copy = await checkedCopy(isCopied);
  note("types hold, dist is built", started);
  const share = { tests, lessons, pages, withLessons };
  const { code, summary, wrongLessons } =
    await testsAndLessons(share, { copy: copy?.root ?? ROOT, started })
      .finally(() => copy?.remove());
  const unwanted = process.env.CI
    ? summary.skipped.filter(({ reason }) => !reason.startsWith("only on "))
    : [];

  process.stdout.write("\n");
  for (const { name, file, message } of summary.failed) {
    process.stdout.write(`failed: ${name} (${file}): ${message.split("\n")[0]}\n`);
  }
  for (const { name, reason } of unwanted) {
    process.stdout.write(`skipped under CI: ${name} (${reason})\n`);
  }
  if (wrongLessons !== 0) process.stdout.write("failed: the lessons (npm run learn check)\n");
  const lines = [...summary.lines, ...costLines(summary.costs ?? [], secondsOfAll())];
  for (const line of lines) process.stdout.write(`# ${line}\n`);
  return code || wrongLessons || (unwanted.length > 0 ? 1 : 0);
}

/**
 * Types, build and copy. The types take a processor as long as the other two take another one.
 * @param {boolean} isCopied
 */
async function checkedCopy(isCopied) {
  const types = typeCheck();
  types.catch(() => {}); // it is told below
  await ensureBuilt();
  const copy = isCopied ? await makeCopy() : undefined;
  try {
    await types;
    return copy;
  } catch (error) {
    copy?.remove();
    throw error;
  }
}

/**
 * A compiled copy, where no process needs a loader (scripts/lib/compiled.mjs). Nothing changes it:
 * tests run in it, and the lessons in copies of it.
 */
async function makeCopy() {
  const { register } = await import("tsx/esm/api");
  register();
  const { makeSandbox } = await import("./learn/sandbox.ts");
  return makeSandbox(ROOT, { compile: true });
}

/**
 * @param {Share & { withLessons: boolean }} share
 * @param {{ copy: string, started: number }} where
 */
async function testsAndLessons({ tests, lessons, pages, withLessons }, { copy, started }) {
  const { code, summary } = await runInCopy(tests, copy);
  note("tests done", started);
  const wrongLessons = withLessons ? await checkLessons(summary, { lessons, pages, copy }) : 0;
  note("lessons checked", started);
  return { code, summary, wrongLessons };
}

/**
 * What looks at the checkout has to be in it. Stack traces and the summary name the sources.
 * @param {string[]} files
 * @param {string} copy
 */
async function runInCopy(files, copy) {
  const inCheckout = files.filter((file) => IN_CHECKOUT.has(file));
  const inCopy = files.filter((file) => !IN_CHECKOUT.has(file));
  const [{ code, summary }, checkout] = await Promise.all([
    runTests(inCopy, { root: copy }), runTests(inCheckout, { late: true }),
  ]);
  for (const test of [...summary.passed, ...summary.failed, ...summary.skipped]) {
    test.file = sourceName(test.file, copy);
  }
  for (const cost of [...(summary.costs ?? []), ...(checkout.summary.costs ?? [])]) {
    cost.name = basename(sourceName(cost.name, copy));
  }
  if (inCheckout.length === 0) return { code, summary };
  if (inCopy.length === 0) return checkout;
  return { code: code || checkout.code, summary: joined(checkout.summary, summary) };
}

/**
 * Node may have followed the source map already.
 * @param {string} file
 * @param {string} root of the copy
 */
function sourceName(file, root) {
  const path = file.startsWith("file:") ? fileURLToPath(file) : file;
  const base = [root, ROOT].find((folder) => path.startsWith(`${folder}${sep}`));
  return base === undefined
    ? file
    : relative(base, path).split(sep).join("/").replace(/\.js$/, ".ts");
}

/**
 * @param {TestSummary} a
 * @param {TestSummary} b
 * @returns {TestSummary}
 */
function joined(a, b) {
  const counts = new Map(a.lines.map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
  return {
    ran: a.ran + b.ran,
    costs: [...(a.costs ?? []), ...(b.costs ?? [])].sort((x, y) => y.seconds - x.seconds),
    passed: [...a.passed, ...b.passed],
    failed: [...a.failed, ...b.failed],
    skipped: [...a.skipped, ...b.skipped],
    lines: b.lines.map((line) =>
      line.replace(
        /^(\w+) ([\d.]+)$/,
        (_, name, count) => `${name} ${Number(count) + (counts.get(name) ?? 0)}`,
      ),
    ),
  };
}

/**
 * The lessons' breaks need to know which tests pass without them: these have, a moment ago.
 * @param {TestSummary} summary
 * @param {{ lessons: string[] | undefined, pages: boolean, copy: string }} which
 */
async function checkLessons(summary, { lessons, pages, copy }) {
  const folder = mkdtempSync(join(tmpdir(), "titan-passed-"));
  try {
    const file = join(folder, "passed.json");
    writeFileSync(file, JSON.stringify(summary.passed));
    const which = lessons === undefined ? [] : [...lessons, ...(pages ? ["--pages"] : [])];
    const learn = join(ROOT, "scripts", "learn.mjs");
    return await runNode([learn, "check", `--passed=${file}`, `--copy=${copy}`, ...which]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} what @param {number} started */
function note(what, started) {
  process.stderr.write(`titan: ${what} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`);
}

/** @param {readonly string[]} tests */
function checkTools(tests) {
  const needed = TOOLS.filter((tool) => tool !== BROWSER || tests.some(isInBrowser));
  const isMissing = (/** @type {string} */ tool) =>
    spawnSync(tool, ["--version"], { stdio: "ignore" }).error !== undefined;
  const missing = needed.filter(isMissing);
  if (missing.length === 0) return;
  const text = `${missing.join(", ")} not found; tests that need a missing program are skipped`;
  if (process.env.CI) {
    throw new BootstrapError(`Cannot test under CI: ${missing.join(", ")} not found`);
  }
  process.stderr.write(`titan: ${text}\n`);
}

/** @param {string} file */
function existing(file) {
  if (!existsSync(join(ROOT, file)) && !existsSync(file)) {
    throw new BootstrapError(`Cannot test: there is no file ${file}`);
  }
  return file;
}

/** @param {string} file */
function isInBrowser(file) {
  const path = [join(ROOT, file), file].find((path) => path.endsWith(".ts") && existsSync(path));
  return path !== undefined && IN_BROWSER.test(readFileSync(path, "utf8"));
}

function allTests() {
  return readdirSync(join(ROOT, "test"))
    .filter((file) => file.endsWith(".test.ts"))
    .sort()
    .map((file) => `test/${file}`);
}

function hasLessons() {
  return existsSync(join(ROOT, "scripts", "learn.mjs")) && existsSync(join(ROOT, "lessons"));
}

/**
 * The tests, scripts and lessons' programs against the sources. The build checks `src/` alone, with
 * its own root, at the same time: so one thread each, since several check much of it several times.
 * The compiler notes what it has found, by the contents of the files, and checks only what has
 * changed since the last time: 1.5 seconds of a processor instead of 9.
 */
function typeCheck() {
  return new Promise((resolve, reject) => {
    const tsc = spawn(
      process.execPath,
      [
        join(ROOT, "node_modules/typescript/bin/tsc"),
        "--noEmit", "--singleThreaded", "-p", "test/tsconfig.json",
        "--incremental", "--tsBuildInfoFile", TYPES,
      ],
      { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] },
    );
    let output = "";
    tsc.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    tsc.on("error", reject);
    tsc.on("exit", (code) =>
      code === 0
        ? resolve(undefined)
        : reject(new BootstrapError(`Cannot test: types do not hold\n${output.trimEnd()}`)),
    );
  });
}
