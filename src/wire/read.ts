/**
 * Lesson 10: helpers for every reader of an answer: counts by name, the end of a job,
 * and a result as a value.
 *
 * Test: test/sdk.test.ts
 */
import type { OutputChunk } from "./messages.ts";
import { JOB_STATUSES } from "./rows.ts";
import type { JobInfo, JobStatus, RunInfo, RunStatus } from "./rows.ts";

/**
 * The number of jobs of a run in each state.
 *
 * @example
 * ```ts
 * import { jobCounts } from "#sdk";
 * jobCounts({ counts: [0, 1, 0, 3] }).COMPLETED // => 3
 * ```
 */
export function jobCounts({ counts }: Pick<RunInfo, "counts">): Record<JobStatus, number> {
  const named = JOB_STATUSES.map((status, index) => [status, counts[index] ?? 0]);
  return Object.fromEntries(named) as Record<JobStatus, number>;
}

/**
 * The words in the place of output that is no longer kept. `isFirst`: no output came before it, so
 * no line has to be ended.
 */
export function droppedChunk(
  bytes: number, { isFirst, at }: { isFirst: boolean; at: number },
): OutputChunk {
  const size = bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  const text = `${isFirst ? "" : "\n"}[titan: … ${size} older output were dropped]\n`;
  return { stream: "stderr", at, data: Buffer.from(text), dropped: bytes };
}

/** Whether the gate behind a job is open. A job that is paused is WAITING, too. */
export function isAtGate({ status, paused }: Pick<JobInfo, "status" | "paused">): boolean {
  return status === "WAITING" && paused === undefined;
}

/** Whether a job has ended. Terminal states absorb: nothing leaves them but another try. */
export function isTerminal(status: JobStatus): boolean {
  return status === "COMPLETED" || status === "FAILED" || status === "DEAD" ||
    status === "CANCELLED" || status === "SKIPPED";
}

/** Whether a run goes on: something in it runs, waits, or serves, or would with more budget. */
export function isOpenRun(status: RunStatus): boolean {
  return status === "RUNNING" || status === "SERVING" || status === "PAUSED";
}

/**
 * The result that a job wrote to TITAN_OUTPUT: the value if it is JSON, else the text.
 *
 * @example
 * ```ts
 * import { resultValue } from "#wire";
 * resultValue(Buffer.from('{"n": 42}')) // => { n: 42 }
 * resultValue(Buffer.from("half a {")) // => 'half a {'
 * ```
 */
export function resultValue(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
