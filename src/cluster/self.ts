/**
 * How this program starts itself again, as a worker: with the same Node, the same loader and the
 * same conditions.
 *
 * So a cluster that was started from the sources (`node --import tsx -C source …`) has workers that
 * run from the sources, and a reader's own module (`-C own-log`) reaches every process.
 *
 * Test: test/cli.cluster.test.ts
 */
import { fileURLToPath } from "node:url";

/** Node's options for this process alone: a debugger's port, a script on the line, a test run. */
const OWN_OPTIONS = /^--(?:inspect|test|eval|print|check|watch|cpu-prof|heap-prof|prof)|^-[epc]$/;
/** The options among them whose value is a word of its own. */
const WITH_VALUE = new Set([
  "-e",
  "--eval",
  "-p",
  "--print",
  "--test-name-pattern",
  "--test-reporter",
  "--test-reporter-destination",
  "--test-concurrency",
  "--test-timeout",
  "--watch-path",
]);

/** The program and arguments with which `spawn` runs `titan ARGS`. */
export function selfCommand(args: readonly string[]): { file: string; args: string[] } {
  const main = fileURLToPath(
    new URL(`../cli/main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url),
  );
  return { file: process.execPath, args: [...inheritedOptions(process.execArgv), main, ...args] };
}

export function inheritedOptions(options: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < options.length; at++) {
    const option = options[at]!;
    if (!OWN_OPTIONS.test(option)) kept.push(option);
    else if (WITH_VALUE.has(option)) at += 1;
  }
  return kept;
}
