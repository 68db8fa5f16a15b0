/**
 * Lesson 10: how much one submission, one run and one message may be. All of them together are
 * bounded in bytes of memory (memory.ts).
 *
 * Test: test/10-master.test.ts, test/10-master.memory.test.ts
 */
import { invariant } from "#base";
import { MAX_ARTIFACT_BYTES, MAX_BATCH_BYTES, MAX_FRAME_BODY_BYTES, MAX_INPUTS_BYTES } from "#wire";

/**
 * Dependencies of one submission. Building such a graph takes about a second, in which no beat is
 * answered: well within a lease.
 */
export const MAX_EDGES_PER_RUN = 10_000_000;

/**
 * One job's action and environment. An assignment must fit into a frame, inputs and all.
 */
export const MAX_JOB_BYTES = 2 * 1024 * 1024;
invariant(
  MAX_JOB_BYTES + MAX_INPUTS_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES,
  "a batch that is nearly full plus the largest assignment must fit into a frame",
);

/**
 * Finished runs kept in memory (the log keeps them until it is compacted): a page or two for `titan
 * runs`.
 */
export const MAX_FINISHED_RUNS = 1000;

/**
 * Keys of runs that were forgotten, whose repeats are answered for another day (lesson 09). At
 * twenty runs a second, the last quarter of an hour.
 */
export const MAX_KEPT_KEYS = 20_000;

/** A new version of a service that nobody has set a time for: twice what a slow start takes. */
export const DEFAULT_UPDATE_MS = 120_000;

/** Runs that go on at the same time: more than people can mean, and 50 MB of empty ones. */
export const MAX_OPEN_RUNS = 10_000;

/** All results of one run, which live in memory as long as it does. */
export const MAX_RUN_RESULT_BYTES = 256 * 1024 * 1024;

/** All results of the steps of one run, which live as long (larger ones are blobs). */
export const MAX_RUN_STEP_BYTES = MAX_RUN_RESULT_BYTES;
/** Artifacts of one run, as many as the files of a large data set in parts. */
export const MAX_RUN_ARTIFACTS = 10_000;
/** Those that are kept by name: 4 MB of names at a kilobyte each. */
export const MAX_KEPT_ARTIFACTS = 4096;
/** Of one removal: a list of them fits into an answer with the longest names. */
export const MAX_REMOVED_ARTIFACTS = 2000;

/** How much of a disk artifacts may take, and for how long. */
export interface ArtifactLimits {
  /** All of them together, each content once. */
  readonly totalBytes: number;
  /** Those of a run that ended so long ago are removed. */
  readonly ageMs: number;
}
/** Four of the largest, a third of a small disk; and two weeks, as long as a person is away. */
export const DEFAULT_ARTIFACT_LIMITS: ArtifactLimits = {
  totalBytes: 4 * MAX_ARTIFACT_BYTES,
  ageMs: 14 * 24 * 3600 * 1000,
};

/** Of a failure's message that comes when there is no room any more: the first words say most. */
export const SHORT_BYTES = 200;

/** Of the reason of a launch, which stays in memory as long as the worker. */
export const MAX_LAUNCH_REASON_BYTES = 1000;

/** Numbers in a message for a person. */
export const MAX_LISTED = 20;
