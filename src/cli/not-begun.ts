/**
 * The words for a job that has not begun, for a person who wants to read its output.
 *
 * Test: test/cli.text.test.ts
 */
import { isTerminal, type JobInfo } from "#wire";
import { oneLine } from "./text.ts";

/**
 * A line for stderr, without the `titan:`; undefined for a job that has begun. `follow`: the reader
 * waits for its output.
 */
export function notBegunText(
  run: string,
  job: JobInfo,
  { follow }: { follow: boolean },
): string | undefined {
  if (job.attempt > 0) return undefined;
  const name = `${run}/${job.id}`;
  const why = job.reason === "" ? "" : `: ${oneLine(job.reason)}`;
  if (isTerminal(job.status)) {
    return `${name} has no output, because it never began: it is ${job.status}${why}`;
  }
  return `${name} has not begun${why}${follow ? "; waiting for it" : ""}`;
}
