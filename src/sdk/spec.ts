/**
 * Lesson 10: from a pipeline as people write it to one as it travels: names of parents become
 * indexes, defaults disappear, and a service with replicas becomes as many jobs.
 *
 * Test: test/17-pipelines.test.ts, test/14-services.test.ts
 */
import {
  replicaId, type AgentDefinition, type FilesDefinition, type GateDefinition, type JobDefinition,
  type PipelineDefinition,
} from "#pipeline";
import type { Action, Agent, Gate, JobFiles, JobSpec, PipelineSpec, Service } from "#wire";

export interface SpecOptions {
  /** The hash of the packed folder, when there is one. */
  readonly project?: string | undefined;
  /** The names of its services are names of the whole cluster. */
  readonly deploy?: boolean | undefined;
}

/** Where the replicas of a job are: one, unless it is a service. */
interface Placed {
  readonly first: number;
  readonly count: number;
}

export function toSpec(definition: PipelineDefinition, options: SpecOptions = {}): PipelineSpec {
  const { project, deploy = false } = options;
  const firsts = firstIndexes(definition);
  const known = (id: string): Placed => {
    const found = firsts.get(id);
    if (found !== undefined) return found;
    const why = `no job is called "${id}"`;
    throw new Error(`Cannot submit pipeline "${definition.name}": ${why}`);
  };
  // A job that depends on a service waits for all its replicas.
  const indexesOf = (id: string): number | number[] => {
    const { first, count } = known(id);
    return count === 1 ? first : Array.from({ length: count }, (_, at) => first + at);
  };
  const jobs = definition.jobs.flatMap((job) => {
    const dependsOn = job.dependsOn.flatMap(indexesOf);
    const affinity = job.affinity === undefined ? undefined : known(job.affinity).first;
    const service = job.service && toService(job, deploy);
    const files = job.files && toFiles(job.files, (id) => known(id).first);
    const replica = (number: number): JobSpec => ({
      id: replicaId(job.id, number),
      action: toAction(job),
      dependsOn,
      requirement: [...job.requirement],
      priority: job.priority,
      delayMs: job.delayMs,
      affinity,
      when: job.when,
      timeoutMs: job.timeoutMs,
      retry: job.retry.maxAttempts > 1 ? { ...job.retry } : undefined,
      env: job.env,
      gate: job.gate === undefined ? undefined : toGate(job.gate),
      service,
      files,
    });
    if (service === undefined) return replica(1);
    return Array.from({ length: job.service!.replicas }, (_, at) => replica(at + 1));
  });
  const { name, version, agent } = definition;
  return { name, version, project, ...(agent && { agent: toAgent(agent) }), jobs };
}

function firstIndexes({ jobs }: PipelineDefinition): Map<string, Placed> {
  const firsts = new Map<string, Placed>();
  let first = 0;
  for (const job of jobs) {
    const count = job.service?.replicas ?? 1;
    firsts.set(job.id, { first, count });
    first += count;
  }
  return firsts;
}

/** A budget without limits is none. */
function toAgent({ id, budget }: AgentDefinition): Agent {
  return { id, budget: Object.keys(budget).length === 0 ? undefined : { ...budget } };
}

function toService({ id, service }: JobDefinition, deployed: boolean): Service {
  const { port, health, restart, stopGraceMs } = service!;
  const { check, ...rules } = health;
  const copy = check.type === "command" ? { ...check, argv: [...check.argv] } : { ...check };
  return { name: id, deployed, port, check: copy, ...rules, restart: { ...restart }, stopGraceMs };
}

function toFiles(
  { outputs, inputs }: FilesDefinition, indexOf: (id: string) => number,
): JobFiles {
  const meant = inputs.map(({ job, path, as: to }) => ({ job: indexOf(job), path, to }));
  return { outputs: [...outputs], inputs: meant };
}

function toGate({ message, maxWaitMs, rules }: GateDefinition): Gate {
  if (rules === undefined) return { message, maxWaitMs };
  const form = rules.form.map((field) => ({ ...field, choices: [...field.choices] }));
  return { message, maxWaitMs, rules: { ...rules, form, approvers: [...rules.approvers] } };
}

/** The input of a call travels as JSON text; every other action travels as it is. */
function toAction({ action }: JobDefinition): Action {
  if (action.type !== "call") return action;
  const text = action.input === undefined ? "" : JSON.stringify(action.input);
  return { ...action, input: Buffer.from(text) };
}
