/**
 * Lesson 10: jobs as they arrive: weighed while they are decoded, and kept as long as there is room
 * for all of them.
 *
 *     bytes ──▶ one job ──▶ its weight ──▶ [jobs], or only the sum once that is too much
 *
 * Why not decode first and weigh then? A job of ten bytes takes a kilobyte once it is decoded, and
 * a frame or a blob has millions of bytes: a master with a small heap would be dead before the core
 * could refuse it.
 *
 * Invariant: whatever arrives, the jobs that are kept weigh no more than the room, and the one that
 * is being looked at comes on top.
 * Test: test/10-master.submit.test.ts
 */
import { eachItem } from "#codec";
import { jobMemory } from "#core";
import { JobSpec, MAX_JOBS_PER_RUN } from "#wire";

export interface Intake {
  /** None if they are too heavy. */
  readonly jobs: JobSpec[];
  /** What they take in memory, as the core counts it: all of them, kept or not. */
  readonly bytes: number;
  readonly isTooHeavy: boolean;
}

/**
 * Takes jobs in. The sum goes on beyond the room: a refusal says by how much they are too heavy.
 */
export function takeJobs(encoded: Uint8Array = NOTHING, room: number): Intake {
  let jobs: JobSpec[] = [];
  let bytes = 0;
  const list = { encoded, maxItems: MAX_JOBS_PER_RUN, where: "PipelineSpec.jobs" };
  eachItem(JobSpec, list, (job) => {
    bytes += jobMemory(job);
    if (bytes <= room) jobs.push(job);
    else if (jobs.length > 0) jobs = [];
  });
  // A list that has grown has room for 16 more. Kept for as long as its run, a list of one is made
  // anew.
  return { jobs: jobs.length === 1 ? [jobs[0]!] : jobs, bytes, isTooHeavy: bytes > room };
}

const NOTHING = new Uint8Array(0);
