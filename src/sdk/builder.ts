/**
 * Lesson 17: a pipeline, job by job.
 *
 *     pipeline("nightly")
 *       .job("extract", { file: "extract.py" })
 *       .job("train", { file: "train.py", needs: "extract", requirement: "GPU" })
 *
 * It collects, and checks nothing: a job may be named before it is there. All problems are found at
 * once, when the pipeline is submitted or when somebody asks for its `definition`.
 *
 * Test: test/sdk.test.ts
 */
import { definePipeline, type JobDefinition, type PipelineDefinition } from "#pipeline";
import type { JobInput, PipelineInput } from "./input.ts";

/** All that a pipeline has beside its name and its jobs. */
export type PipelineKeys = Omit<PipelineInput, "name" | "jobs">;

export class PipelineBuilder {
  readonly #head: Omit<PipelineInput, "jobs">;
  readonly #jobs: JobInput[] = [];

  constructor(name: string, keys: PipelineKeys = {}) {
    this.#head = { name, ...keys };
  }

  /** Adds a job, and returns the same pipeline: a loop may ignore that. */
  job(id: string, keys: Omit<JobInput, "id">): this {
    this.#jobs.push({ id, ...keys });
    return this;
  }

  /** As the YAML form has it. */
  toJSON(): PipelineInput {
    return { ...this.#head, jobs: [...this.#jobs] };
  }

  /**
   * Checked, with every default.
   *
   * @throws {PipelineError} with all problems
   */
  get definition(): PipelineDefinition {
    return definePipeline(this.toJSON());
  }
}

/**
 * Begins a pipeline.
 *
 * @example
 * ```ts
 * import { pipeline } from "#sdk";
 * const nightly = pipeline("nightly").job("a", { run: "make" });
 * nightly.job("b", { run: "make test", needs: "a" });
 * nightly.definition.jobs.map(({ dependsOn }) => dependsOn.length); // => [ 0, 1 ]
 * ```
 */
export function pipeline(name: string, keys?: PipelineKeys): PipelineBuilder {
  return new PipelineBuilder(name, keys);
}

/** The forms in which a program may have it. */
export type AnyPipeline = PipelineDefinition | PipelineInput | PipelineBuilder;

/**
 * Returns a definition as it is, and checks anything else now.
 *
 * @throws {PipelineError} with all problems
 */
export function checkedPipeline(pipeline: AnyPipeline): PipelineDefinition {
  if (pipeline instanceof PipelineBuilder) return pipeline.definition;
  return isDefinition(pipeline) ? pipeline : definePipeline(pipeline);
}

/**
 * Only a checked job has an `action`: there is no such key in the YAML form. A definition that was
 * put together by hand, in part, does not count as checked.
 */
function isDefinition(
  pipeline: PipelineDefinition | PipelineInput | undefined,
): pipeline is PipelineDefinition {
  const jobs: unknown = pipeline?.jobs;
  if (!Array.isArray(jobs) || jobs.length === 0) return false;
  const isChecked = (job: Partial<JobDefinition> | null): boolean =>
    typeof job?.action?.type === "string" &&
    Array.isArray(job.dependsOn) &&
    Array.isArray(job.requirement) &&
    typeof job.retry === "object" &&
    job.retry !== null;
  return jobs.every(isChecked);
}
