/**
 * Lesson 22: jobs that come to a run, and what they wait for.
 *
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Edge } from "#core";
import type { JobSpec } from "#wire";
import type { Complaints } from "./invariants-list.ts";
import { checkEdge } from "./model-checks.ts";
import { ModelJob, waitFor, type ModelRun } from "./model-state.ts";

const MAX_JOBS_PER_RUN = 1_000_000;

/** `depth`: how many jobs have added each other until one has added these. */
export function addJobs(
  model: Complaints, run: ModelRun, { specs, depth }: { specs: readonly JobSpec[]; depth: number },
): ModelJob[] {
  const added = specs.map((spec, n) => new ModelJob(run, run.jobs.length + n, spec, depth));
  for (const job of added) {
    if (run.jobsById.has(job.spec.id)) {
      model.fail("one-key-one-run", `${run.id} has two jobs ${job.spec.id}`);
    }
    run.jobs.push(job);
    run.jobsById.set(job.spec.id, job);
  }
  run.open += added.length;
  if (run.jobs.length > MAX_JOBS_PER_RUN) {
    model.fail("bounded-queues", `${run.id} has ${run.jobs.length} jobs`);
  }
  return added;
}

/** `edges`: those to jobs that the run had before. */
export function linkJobs(
  model: Complaints, added: readonly ModelJob[], edges: readonly Edge[],
): void {
  for (const job of added) {
    for (const index of job.parents) {
      const parent =
        job.run.jobs[index] ??
        model.fail(
          "parents-before-children",
          `${job} waits for job ${index}, which does not exist`,
        );
      waitFor(job, parent);
    }
  }
  for (const edge of edges) {
    const [parent, child] = checkEdge(model, added, edge);
    if (!child.parents.has(parent.index)) waitFor(child, parent);
  }
}
