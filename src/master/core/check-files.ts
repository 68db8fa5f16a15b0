/**
 * Lesson 11: what the files of a job must be, that it hands on (outputs) and that it is given
 * (inputs).
 *
 *     train: outputs [model.bin] ──▶ … ──▶ eval: inputs [{job: train, path: model.bin}]
 *
 * Invariants: an input is declared as an output by a job that is over before this one starts; the
 * paths stay inside the folder of the job, and no two of them are the same.
 * Test: test/10-master.artifacts.test.ts
 */
import { jobPathProblem, type JobFiles, type JobSpec } from "#wire";
import { MAX_EDGES_PER_RUN } from "./limits.ts";
import { Refusal } from "./refusal.ts";

/** Of files that it hands on or is given: what can be said without the other jobs. */
export function unfitFiles(
  { action, service }: JobSpec, { outputs, inputs }: JobFiles,
): string | undefined {
  const which = outputs.length > 0 ? "outputs" : "inputs";
  if (action.type === "call") return `is a call, which has no folder, and declares ${which}`;
  if (service !== undefined && outputs.length > 0) return "is a service, and declares outputs";
  const places = inputs.map(({ path, to = path }) => to);
  for (const [what, paths] of [["an output", outputs], ["an input", places]] as const) {
    const seen = new Set<string>();
    for (const path of paths) {
      const problem = jobPathProblem(path);
      if (problem !== undefined) return `has ${what} at ${JSON.stringify(path)}: ${problem}`;
      if (seen.has(path)) return `has ${what} at ${JSON.stringify(path)} twice`;
      seen.add(path);
    }
  }
  return undefined;
}

/** Of an input beside its paths, as a worker gets it: an id, a hash, a size, tags and lengths. */
const INPUT_BYTES = 3 * 128 + 64 + 32;

/** An upper bound of what they take in a message, also as they travel to a worker. */
export function filesBytes({ outputs, inputs }: JobFiles): number {
  let bytes = 0;
  for (const path of outputs) bytes += 5 + 3 * path.length;
  for (const { path, to = path } of inputs) bytes += INPUT_BYTES + 3 * (path.length + to.length);
  return bytes;
}

/** The jobs of a run as it will be: by their numbers, with those that they wait for. */
interface Jobs {
  readonly count: number;
  spec(index: number): JobSpec;
  parents(index: number): readonly number[];
}

// #region inputs
/**
 * Looks for each job that hands on an input: among the parents, their parents and so on. Most are
 * parents. The steps of all searches together are as many as a graph may have edges: a second.
 *
 * @throws {Refusal} INVALID
 */
export function checkInputs(jobs: Jobs, { from, doing }: { from: number; doing: string }): void {
  let steps = MAX_EDGES_PER_RUN;
  for (let index = from; index < jobs.count; index++) {
    const { id, files } = jobs.spec(index);
    if (files === undefined || files.inputs.length === 0) continue;
    const refuse = (found: string): Refusal =>
      new Refusal("INVALID", `Cannot ${doing}: job "${id}" ${found}`);
    const wanted = new Set<number>();
    for (const { job, path } of files.inputs) {
      if (job >= jobs.count) throw refuse(`has an input of job number ${job} of ${jobs.count}`);
      const source = jobs.spec(job);
      if (source.files?.outputs.includes(path) !== true) {
        const what = JSON.stringify(path);
        throw refuse(`has the input ${what} of job "${source.id}", which is none of its outputs`);
      }
      wanted.add(job);
    }
    const seen = new Set<number>([index]);
    for (const next of seen) {
      for (const parent of jobs.parents(next)) {
        if (--steps < 0) {
          throw refuse("and others have inputs of jobs that are too far before them");
        }
        seen.add(parent);
        wanted.delete(parent);
      }
      if (wanted.size === 0) break;
    }
    for (const job of wanted) {
      throw refuse(`has an input of job "${jobs.spec(job).id}", which it does not wait for`);
    }
  }
}
// #endregion
