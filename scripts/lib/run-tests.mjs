// @ts-check
/** One way to run test files: output for people, a summary for the caller, and a failure when nothing ran. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../bootstrap.mjs";
import { runNode } from "./child.mjs";
import { loaderFlags, programFile } from "./compiled.mjs";

/** @typedef {import("./reporter.mjs").TestSummary} TestSummary */

/** For a file, ten times what the slowest takes: what a failed test has left running would keep its file from ending for ever. */
const FILE_TIMEOUT_MS = 240_000;

/**
 * Runs test files and prints their results.
 * @param {string[]} files relative to the root
 * @param {{ root?: string, flags?: string[], concurrency?: number, env?: NodeJS.ProcessEnv, quiet?: boolean }} [options]
 *   root is that of a copy of the project; flags go to node as they are; quiet shows nothing, for callers who want the summary
 * @returns {Promise<{ code: number, summary: TestSummary }>} code is 0 only if at least one test ran and none failed,
 *   or no file was named
 */
export async function runTests(files, options = {}) {
  const root = options.root ?? ROOT;
  // Without a file node would look for tests by itself.
  if (files.length === 0) return { code: 0, summary: { ran: 0, passed: [], failed: [], skipped: [], lines: [] } };
  const folder = mkdtempSync(join(tmpdir(), "titan-test-"));
  const report = join(folder, "summary.json");
  // Inside a test this variable is set, and a runner that finds it takes itself for a child and runs nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = options.env ?? process.env;
  try {
    const status = await runNode([
      ...loaderFlags(root), "--test", `--test-timeout=${FILE_TIMEOUT_MS}`,
      ...(options.concurrency ? [`--test-concurrency=${options.concurrency}`] : []),
      ...(options.quiet ? [] : ["--test-reporter=spec", "--test-reporter-destination=stdout"]),
      `--test-reporter=${new URL("reporter.mjs", import.meta.url).href}`, `--test-reporter-destination=${report}`,
      ...(options.flags ?? []), ...files.map((file) => programFile(root, file)),
    ], { cwd: root, env, stdio: options.quiet ? "ignore" : "inherit" });
    const summary = readSummary(report);
    if (summary.ran === 0 && status === 0 && !options.quiet) process.stderr.write("No test ran: that is a failure, not a success.\n");
    return { code: status === 0 && summary.ran === 0 ? 1 : status, summary };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} path
 * @returns {TestSummary}
 */
function readSummary(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return { ran: 0, passed: [], failed: [], skipped: [], lines: [] }; // the runner died before it could report
  }
}
