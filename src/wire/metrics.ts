/**
 * What a master measures, for those who look after it.
 *
 * Test: test/http.metrics.test.ts
 */
import { list, message, string, u32, u53, type Infer } from "#codec";

/** How often something took how long: counts[i] of them at most bounds[i]; the last, longer. */
export const Histogram = message("Histogram", {
  boundsUs: [1, list(u53(), 64)],
  counts: [2, list(u53(), 65)],
  sumUs: [3, u53()],
});
export type Histogram = Infer<typeof Histogram>;

export const Metrics = message("Metrics", {
  /** In the order of RUN_STATUSES and of JOB_STATUSES, of all runs that are known. */
  runs: [1, list(u53(), 32)],
  jobs: [2, list(u53(), 32)],
  /** From when a job could start to its start; an attempt, from its start to its end. */
  waited: [3, Histogram],
  took: [4, Histogram],
  /** Attempts that have ended so, since the master's start. */
  succeeded: [5, u53()],
  failed: [6, u53()],
  lost: [7, u53()],
  /** One write of the log, with its fsync. */
  synced: [8, Histogram],
  /** Since the master's start. */
  logBytes: [9, u53()],
  logRecords: [10, u53()],
  logSegments: [11, u32()],
  lastSeq: [12, u53()],
  /** Bytes that wait for the disk. */
  backlogBytes: [13, u53()],
  /** What the state takes in memory, as the master counts it. */
  stateBytes: [14, u53()],
  connections: [15, u32()],
  requests: [16, u32()],
  gates: [17, u32()],
  startedAt: [18, u53()],
  version: [19, string(256)],
});
export type Metrics = Infer<typeof Metrics>;
