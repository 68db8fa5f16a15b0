// @ts-check
/**
 * A reporter for `node --test` that writes what a script wants to know as one JSON object.
 *
 * Needed because exit code 0 does not mean that a test ran: node counts a file without tests as one
 * passed test named after the file, and tests that a name pattern left out as skipped (Node 20) or
 * not at all (Node 22).
 */
import { basename } from "node:path";
import { describeFailure } from "./failure.mjs";

/**
 * @typedef {{ name: string, file: string, message: string,
 *   failure: import("./failure.mjs").Failure }} FailedTest
 * @typedef {{ ran: number, passed: { name: string, file: string }[], failed: FailedTest[],
 *   skipped: { name: string, file: string, reason: string }[], lines: string[],
 *   open?: string[], held?: string[], costs?: import("./cpu-time.mjs").Cost[] }} TestSummary
 *   `open`: what kept a process from ending when its tests were done, as Node names it
 *   (waiting.mjs); `held`: the commands of programs that were left, and ended (holders.mjs)
 */

/**
 * @param {AsyncIterable<{ type: string, data: any }>} source
 */
export default async function* summarise(source) {
  /** @type {TestSummary} */
  const summary = { ran: 0, passed: [], failed: [], skipped: [], lines: [] };
  for await (const { type, data } of source) {
    if (
      type === "test:diagnostic" &&
      data.nesting === 0 &&
      /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(data.message)
    ) {
      summary.lines.push(data.message);
    }
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.details?.type === "suite") continue;
    const file = data.file ?? "";
    const isFile =
      data.nesting === 0 &&
      /\.test\.[mc]?[tj]s$/.test(data.name) &&
      (file === "" || basename(file) === basename(data.name));
    if (data.skip !== undefined || data.todo !== undefined) {
      const reason = String(data.skip ?? data.todo);
      if (reason !== "test name does not match pattern") {
        summary.skipped.push({ name: data.name, file, reason });
      }
    } else if (type === "test:fail") {
      const error = data.details?.error;
      summary.ran += isFile ? 0 : 1;
      summary.failed.push({
        name: data.name,
        file,
        message: String(error?.cause?.message ?? error?.message ?? ""),
        failure: describeFailure(error, process.cwd()),
      });
    } else if (!isFile) {
      summary.ran += 1;
      summary.passed.push({ name: data.name, file });
    }
  }
  yield JSON.stringify(summary);
}
