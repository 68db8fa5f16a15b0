/**
 * Lesson 10: from a pipeline as people write it to one as it travels: names of parents become
 * indexes, defaults disappear.
 *
 * Test: test/17-pipelines.test.ts
 */
import type { JobDefinition, PipelineDefinition } from "#pipeline";
import type { Action, JobSpec, PipelineSpec } from "#wire";

/** `project` is the hash of the packed folder, when there is one. */
export function toSpec(definition: PipelineDefinition, project?: string): PipelineSpec {
  const indexes = new Map(definition.jobs.map((job, index) => [job.id, index]));
  const indexOf = (id: string): number => {
    const index = indexes.get(id);
    if (index === undefined) {
      const why = `no job is called "${id}"`;
      throw new Error(`Cannot submit pipeline "${definition.name}": ${why}`);
    }
    return index;
  };
  const jobs = definition.jobs.map((job): JobSpec => ({
    id: job.id,
    action: toAction(job),
    dependsOn: job.dependsOn.map(indexOf),
    requirement: [...job.requirement],
    priority: job.priority,
    delayMs: job.delayMs,
    affinity: job.affinity === undefined ? undefined : indexOf(job.affinity),
    when: job.when,
    timeoutMs: job.timeoutMs,
    retry: job.retry.maxAttempts > 1 ? { ...job.retry } : undefined,
    env: job.env,
    gate: job.gate === undefined ? undefined : { ...job.gate },
  }));
  return { name: definition.name, version: definition.version, project, jobs };
}

/** The input of a call travels as JSON text; every other action travels as it is. */
function toAction({ action }: JobDefinition): Action {
  if (action.type !== "call") return action;
  const text = action.input === undefined ? "" : JSON.stringify(action.input);
  return { ...action, input: Buffer.from(text) };
}
