// @ts-check
/**
 * One way to run test files: output for people, a summary for the caller, and a failure when
 * nothing ran.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../bootstrap.mjs";
import { runNode } from "./child.mjs";
import { programFile, testFlags } from "./compiled.mjs";
import { describeEndless } from "./failure.mjs";
import { programOf, together } from "./together.mjs";

/** @typedef {import("./reporter.mjs").TestSummary} TestSummary */

const ENDLESS = new URL("endless.mjs", import.meta.url).href;

/**
 * The time of a file, ten times that of the slowest: a process that a failed test has left running
 * would keep its file from ending, without end.
 */
const FILE_TIMEOUT_MS = 240_000;

/** How much longer anything takes because others want the processors, too. */
export const slowness = () => Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());

/**
 * Files side by side. They wait for half of their time, so two more than there are processors; and
 * not many, because several start clusters and measure time.
 */
const AT_ONCE = Math.min(4, availableParallelism() + 2);

/** The longest begin first, so that none of them is what all others wait for. */
const LONGEST = [
  "22-simulation.bugs",
  "learn-check",
  "cli.cluster",
  "sdk.python",
  "learn-companion",
  "19-dashboard.frame",
  "14-services.updates",
  "package",
  "19-dashboard.build.page",
  "22-simulation.chaos",
  "19-dashboard.views",
  "14-services.cli",
  "19-dashboard.run.browser",
  "19-dashboard.approvals",
  "24-packaging.bundles",
  "learn-scripts",
  "22-simulation",
  "10-master.server",
  "demo",
  "cli",
  "18-agents.kill",
  "11-worker.calls",
  "13-scaling.slurm",
  "13-scaling.cli",
  "00-tour",
  "22-simulation.services",
  "12-membership.orphans.up",
  "20-mcp.stdio",
  "03-host.remove",
  "cli.memory",
  "11-worker.archive",
  "scripts-family",
  "22-simulation.cli",
  "18-agents.jobs",
  "cli.terminal",
  "11-worker.processes",
  "15-store.cluster",
];

const RUNNER = fileURLToPath(new URL("test-runner.mjs", import.meta.url));

/**
 * Runs test files and prints their results.
 * @param {string[]} files relative to the root
 * @param {{ root?: string, flags?: string[], env?: NodeJS.ProcessEnv, quiet?: boolean,
 *   late?: boolean, passed?: boolean, endless?: boolean }} [options] root is that of a copy of the
 *   project; flags are node's; quiet shows nothing, for callers who want the summary; late shows
 *   everything at the end, for tests that run beside others; passed shows how far it is; endless
 *   looks for loops that never end (endless.mjs), and for programs that do not (holders.mjs)
 * @returns {Promise<{ code: number, summary: TestSummary }>} code is 0 only if at least one test
 *   ran and none failed, or no file was named
 */
export async function runTests(files, options = {}) {
  const root = options.root ?? ROOT;
  // Without a file node would look for tests by itself.
  if (files.length === 0) return { code: 0, summary: emptySummary() };
  const folder = mkdtempSync(join(tmpdir(), "titan-test-"));
  const report = join(folder, "summary.json");
  // Inside a test the first is set, and a runner that finds it takes itself for a child and runs
  // nothing. The second names certificates for the world outside, to which no test talks, and each
  // of a thousand processes would read them when it starts: a tenth of a second.
  const { NODE_TEST_CONTEXT: _, NODE_EXTRA_CA_CERTS: __, ...env } = options.env ?? process.env;
  if (options.endless) env["TITAN_ENDLESS"] = folder;
  try {
    const args = programFor(
      files.map((file) => programFile(root, file)),
      { ...options, root, report },
    );
    const status = await runNode(args, {
      cwd: root,
      env,
      stdio: options.quiet ? "ignore" : "inherit",
    });
    const summary = withEnded(readSummary(report), { folder, root });
    if (summary.ran === 0 && status === 0 && !options.quiet) {
      process.stderr.write("No test ran: that is a failure, not a success.\n");
    }
    return { code: status === 0 && summary.ran === 0 ? 1 : status, summary };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Our own runner, unless there are flags that only node's understands.
 * @param {string[]} files absolute
 * @param {{ root: string, report: string, flags?: string[], quiet?: boolean,
 *   late?: boolean, passed?: boolean, endless?: boolean }} options
 * @returns {string[]} arguments for node
 */
function programFor(files, options) {
  const { root, report, flags = [], quiet = false, late = false, passed = false } = options;
  const names = valuesOf("--test-name-pattern", flags);
  const timeouts = valuesOf("--test-timeout", flags);
  if (names.length + timeouts.length < flags.length) {
    return [
      ...testFlags(root),
      "--test",
      `--test-timeout=${FILE_TIMEOUT_MS}`,
      `--test-concurrency=${AT_ONCE}`,
      ...(quiet ? [] : ["--test-reporter=spec", "--test-reporter-destination=stdout"]),
      `--test-reporter=${new URL("reporter.mjs", import.meta.url).href}`,
      `--test-reporter-destination=${report}`,
      ...flags,
      ...files,
    ];
  }
  /** @type {import("./test-runner.mjs").Job} */
  const job = {
    files: inFewProcesses(passed ? simplestFirst(files) : longestFirst(files), {
      folder: dirname(report), longLast: passed,
    }),
    report, names,
    concurrency: AT_ONCE,
    output: quiet ? "none" : passed ? "passed" : late ? "late" : "now",
    flags: [...testFlags(root), ...(options.endless ? [`--import=${ENDLESS}`] : [])],
    endless: options.endless === true,
    timeoutMs: Number(timeouts.at(-1) ?? FILE_TIMEOUT_MS),
    fileTimeoutMs: Math.round(FILE_TIMEOUT_MS * (options.endless ? slowness() : 1)),
  };
  return [RUNNER, JSON.stringify(job)];
}

/** @param {string} file */
function placeOf(file) {
  const at = LONGEST.indexOf(basename(file).replace(/\.test\.[jt]s$/, ""));
  return at < 0 ? LONGEST.length : at;
}

/** @param {readonly string[]} files */
const longestFirst = (files) => [...files].sort((a, b) => placeOf(a) - placeOf(b));

/**
 * For somebody who waits: what is told first is what ends first. A chapter's own file says most.
 * @param {readonly string[]} files
 */
const simplestFirst = (files) => [...files].sort((a, b) => rankOf(a) - rankOf(b));

/** @param {string} file */
function rankOf(file) {
  const isMain = /^\d\d-\w+(\.parts)?\.test\.[jt]s$/.test(basename(file));
  return isMain ? -LONGEST.length - 1 : -placeOf(file);
}

/**
 * The long ones have a process each, and most of the others share some.
 * @param {readonly string[]} files absolute
 * @param {{ folder: string, longLast: boolean }} options `folder` of the
 *   programs that are several of them
 */
function inFewProcesses(files, { folder, longLast }) {
  const long = files.filter((file) => placeOf(file) < LONGEST.length);
  const short = files.filter((file) => !long.includes(file));
  const groups = together(short, AT_ONCE).map(([first = "", ...others]) => {
    if (others.length === 0) return first;
    const name = basename(first).replace(/\.test\.[jt]s$/, "");
    const program = join(folder, `${name}-and-${others.length}-more.test.mjs`);
    writeFileSync(program, programOf([first, ...others]));
    return program;
  });
  return longLast ? [...groups, ...long] : [...long, ...groups];
}

/** @param {string} name @param {readonly string[]} flags */
const valuesOf = (name, flags) =>
  flags.flatMap((flag) => (flag.startsWith(`${name}=`) ? [flag.slice(name.length + 1)] : []));

/**
 * Adds the tests whose process was ended because of a loop without an end, and what was open in
 * those that were ended because they did not end by themselves.
 * @param {TestSummary} summary
 * @param {{ folder: string, root: string }} where
 */
function withEnded(summary, { folder, root }) {
  /** @param {string} kind */
  const reports = (kind) => readdirSync(folder).filter((name) => name.startsWith(`${kind}-`))
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
  const ended = reports("endless").map((report) => describeEndless(report, root));
  const open = reports("open").flatMap((report) => report.open);
  return {
    ...summary, ran: summary.ran + ended.length, failed: [...ended, ...summary.failed],
    ...(open.length > 0 && { open }),
  };
}

/** @returns {TestSummary} */
const emptySummary = () => ({ ran: 0, passed: [], failed: [], skipped: [], lines: [] });

/**
 * @param {string} path
 * @returns {TestSummary}
 */
function readSummary(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return emptySummary(); // the runner died before it could report
  }
}
