/**
 * Lesson 10: what can be learned from the parts of a snapshot without making a state of them: the
 * names of workers, runs and jobs, and how much memory a state would take.
 *
 * Test: test/10-master.memory.test.ts
 */
import type { Names } from "./event-text.ts";
import type { Forecast } from "./forecast.ts";
import {
  artifactMemory, edgesMemory, groupMemory, jobsMemory, leftMemory, runMemory, stepMemory,
} from "./memory.ts";
import { Part } from "./snapshot-format.ts";
import { fromRecord } from "./snapshot-steps.ts";

/**
 * Learns from one part of a snapshot what the numbers in later events mean. `run` is what the last
 * call returned: jobs that were added to a run come behind it, in parts of their own.
 */
export function learnPart(bytes: Uint8Array, names: Names, run: number): number {
  const part = Part.decode(bytes);
  if (part.type === "Worker") names.addWorker(part.id, part.name);
  if (part.type === "Added" || part.type === "Specs") names.addJobs(run, part.jobs);
  if (part.type !== "Run") return run;
  names.addRun(part.number, { id: part.id, jobs: part.spec.jobs });
  return part.number;
}

/** What is there beside the runs. */
const NO_RUN = 0;

/** Adds up what one part of a snapshot takes. `run` is what the last call returned, as above. */
export function weighPart(bytes: Uint8Array, forecast: Forecast, run: number): number {
  const part = Part.decode(bytes);
  if (part.type === "Added" || part.type === "Specs") forecast.add(run, jobsMemory(part.jobs));
  if (part.type === "Edges") forecast.add(run, edgesMemory(part.edges.length));
  if (part.type === "Jobs") {
    forecast.add(run, part.jobs.reduce((sum, job) => sum + leftMemory(job), 0));
  }
  if (part.type === "Steps") {
    const steps = part.steps.map(fromRecord);
    forecast.add(run, steps.reduce((sum, step) => sum + stepMemory(step), 0));
  }
  if (part.type === "Groups") {
    for (const { id } of part.groups) forecast.add(NO_RUN, groupMemory(id));
  }
  for (const each of part.type === "Artifacts" ? part.artifacts : []) {
    if (each.run !== undefined) forecast.add(each.run, artifactMemory(each));
  }
  if (part.type !== "Run") return run;
  forecast.add(part.number, runMemory(part.key, part.spec) + jobsMemory(part.spec.jobs));
  return part.number;
}
