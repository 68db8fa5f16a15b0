/**
 * The lines of a stream of `--json`: a run and its jobs as they change. Rows are in #rows.
 *
 * Test: test/cli.test.ts
 */
import { failureJson, serviceJson } from "#rows";
import { isTerminal } from "#wire";
import type { JobRow } from "./tracker.ts";

interface RunLine {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly cancelling?: boolean;
}

/** A line of a stream: the run itself. */
export function runLine({ id, name, status, cancelling }: RunLine): object {
  const isCancelling = cancelling === true && status === "RUNNING";
  return { type: "run", id, name, status, ...(isCancelling && { cancelling }) };
}

/**
 * A line of a stream: one job moved, or was asked to end. While the job runs, the failure of an
 * earlier attempt is left out.
 */
export function jobLine(run: string, row: JobRow): object {
  const { id: job, status, attempt, worker, at, failure, cancelling, retryAt, reason } = row;
  const told = reason !== "" && (status === "WAITING" || status === "SKIPPED");
  return {
    type: "job",
    run,
    job,
    status,
    attempt,
    worker: worker === "" ? null : worker,
    at,
    ...(isTerminal(status) && { final: retryAt === undefined }),
    ...(retryAt !== undefined && { retryAt }),
    ...(cancelling && { cancelling }),
    ...(told && { reason }),
    ...(row.lostOutput !== undefined && { outputLost: row.lostOutput.bytes }),
    ...(row.service !== undefined && { service: serviceJson(row.service) }),
    ...(failure !== undefined && status !== "RUNNING" && { failure: failureJson(failure) }),
  };
}
