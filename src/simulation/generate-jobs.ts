/**
 * Lesson 22: pipelines at random: chains, fans, delays, retries, gates, and jobs that behave badly.
 *
 * Test: test/22-simulation.test.ts
 */
import type { JobPlan, PipelinePlan, Step } from "./plan.ts";
import type { Prng } from "./prng.ts";

interface JobOptions {
  readonly key: string;
  /** Tags that some worker has. */
  readonly tags: readonly string[];
  /** Whether there may be a job that takes its machine down. */
  readonly crashes: boolean;
}

/** A pipeline of one to eight jobs. Parents come before children in the list. */
export function generatePipeline(prng: Prng, options: JobOptions): PipelinePlan {
  const count = prng.int(1, 8);
  const parentsOf = prng.pick([chain, fan, anyParents, noParents]);
  const jobs = Array.from({ length: count }, (_, index) => {
    const dependsOn = parentsOf(prng, { index, count });
    return generateJob(prng, { ...options, id: String.fromCharCode(97 + index), dependsOn });
  });
  return { key: options.key, jobs };
}

interface Position {
  readonly index: number;
  readonly count: number;
}

const chain = (_: Prng, { index }: Position): number[] => (index === 0 ? [] : [index - 1]);
const noParents = (): number[] => [];
/** One, many, one. */
function fan(_: Prng, { index, count }: Position): number[] {
  if (index === 0) return [];
  if (index < count - 1 || count === 2) return [0];
  return Array.from({ length: count - 2 }, (_entry, at) => at + 1);
}
const anyParents = (prng: Prng, { index }: Position): number[] =>
  Array.from({ length: index }, (_, at) => at).filter(() => prng.chance(0.35));

function generateJob(
  prng: Prng,
  options: JobOptions & { id: string; dependsOn: number[] },
): JobPlan {
  const { id, dependsOn, tags } = options;
  const hasParents = dependsOn.length > 0;
  return {
    id,
    does: generateProgram(prng, options.crashes),
    ...(hasParents && { dependsOn }),
    ...(tags.length > 0 && prng.chance(0.2) && { tags }),
    ...(prng.chance(0.2) && { priority: prng.int(-2, 5) }),
    ...(prng.chance(0.15) && { delayMs: prng.ms(1, 3000) }),
    ...(hasParents && prng.chance(0.2) && { affinity: prng.pick(dependsOn) }),
    ...(hasParents && prng.chance(0.2) && { when: prng.pick(["failure", "always"] as const) }),
    ...(prng.chance(0.15) && { timeoutMs: prng.ms(20, 3000) }),
    ...(prng.chance(0.5) && {
      retry: {
        maxAttempts: prng.int(2, 4),
        delayMs: prng.ms(0, 800),
        backoff: prng.pick([1, 2]),
        jitter: prng.pick([0, 0.5, 1]),
      },
    }),
    ...(prng.chance(0.1) && generateGate(prng)),
  };
}

function generateGate(prng: Prng): Pick<JobPlan, "gateMs" | "gateNeeds" | "gateThen"> {
  return {
    gateMs: prng.chance(0.3) ? prng.int(100, 3000) : 3_600_000,
    ...(prng.chance(0.3) && { gateNeeds: prng.int(2, 3) }),
    ...(prng.chance(0.3) && { gateThen: prng.pick(["approve", "skip"] as const) }),
  };
}

/** Jobs that add others, ask and sleep, and what people do with their run (lesson 18). */
export function generateAgents(
  prng: Prng, room: { readonly clients: number; readonly safetyMs: number },
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const run = "agents";
  const agent = (id: string): JobPlan => ({
    id, does: [`ms=${prng.ms(1, 800)}`, ...generateAgent(prng)].join(" "),
    ...(prng.chance(0.7) && { retry: { maxAttempts: 4, delayMs: 100, backoff: 1, jitter: 0 } }),
  });
  const agents = ["a", "b"].slice(0, prng.int(1, 2)).map(agent);
  const jobs = [...agents, { id: "z", does: "ms=5", dependsOn: [0], when: "always" } as const];
  const client = (): number => prng.int(1, room.clients);
  const at = prng.int(1, 800);
  const steps: Step[] = [{ at, client: client(), do: "submit", run }];
  const later = (): number => prng.int(at, room.safetyMs);
  for (const { id } of agents) {
    for (const key of ["q0", "q1"]) {
      const gate = { do: "gate", run, job: `${id}:${key}`, approve: prng.chance(0.7) } as const;
      if (prng.chance(0.7)) steps.push({ at: later(), client: client(), ...gate });
      if (prng.chance(0.3)) steps.push({ at: later(), client: client(), ...gate, approve: true });
    }
  }
  if (prng.chance(0.3)) steps.push({ at: later(), client: client(), do: "cancel", run, job: "a" });
  if (prng.chance(0.15)) steps.push({ at: later(), client: client(), do: "cancel", run });
  if (prng.chance(0.4)) steps.push({ at: later(), client: client(), do: "retry", run });
  if (prng.chance(0.4)) steps.push({ at: later(), client: client(), do: "watch", run });
  if (prng.chance(0.6)) steps.push({ at: later(), client: client(), do: "snapshot" });
  return { pipelines: [{ key: run, jobs }], steps };
}

/**
 * One or two runs of one agent run, with less budget than they want, and people who raise it
 * (lesson 18). The run that comes first brings the budget.
 */
export function generateBrakes(
  prng: Prng, room: { readonly clients: number; readonly safetyMs: number },
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const id = "braked";
  const budget = {
    jobs: prng.int(3, 10),
    ...(prng.chance(0.4) && { steps: prng.int(2, 15) }),
    ...(prng.chance(0.8) && { tokens: prng.int(30, 120) }),
    ...(prng.chance(0.3) && { deadlineMs: prng.int(500, 8000) }),
  };
  const keys = ["b1", "b2"].slice(0, prng.int(1, 2));
  const job = (name: string): JobPlan => ({
    id: name,
    does: `ms=${prng.ms(1, 400)} steps=${prng.int(1, 6)} tokens=${prng.int(10, 30)}` +
      (prng.chance(0.6) ? ` adds=${prng.int(1, 4)}` : ""),
    retry: { maxAttempts: 4, delayMs: 100, backoff: 1, jitter: 0 },
  });
  const pipelines = keys.map((key, index): PipelinePlan => ({
    key, agent: { id, ...(index === 0 && { budget }) },
    jobs: ["a", "b", "c"].slice(0, prng.int(2, 3)).map(job),
  }));
  const client = (): number => prng.int(1, room.clients);
  const at = prng.int(1, 800);
  const later = (): number => prng.int(at, room.safetyMs);
  const steps = keys.map((run, index): Step =>
    ({ at: index === 0 ? at : later(), client: client(), do: "submit", run }));
  for (let count = prng.int(0, 4); count > 0; count--) {
    const what = prng.pick(["jobs", "steps", "tokens", "deadline"] as const);
    const amount = what === "deadline" ? prng.int(100, 5000) : prng.int(1, 30);
    steps.push({ at: later(), client: client(), do: "raise", group: id, what, amount });
  }
  const run = prng.pick(keys);
  if (prng.chance(0.2)) steps.push({ at: later(), client: client(), do: "cancel", run });
  if (prng.chance(0.4)) steps.push({ at: later(), client: client(), do: "retry", run });
  if (prng.chance(0.6)) steps.push({ at: later(), client: client(), do: "snapshot" });
  return { pipelines, steps };
}

/** Jobs that take steps and add jobs that do, and people who fork their run (lesson 18). */
export function generateForks(
  prng: Prng, room: { readonly clients: number; readonly safetyMs: number },
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const run = "forked";
  const job = (id: string): JobPlan => ({
    id,
    does: `ms=${prng.ms(1, 300)} steps=${prng.int(1, 3)} adds=${prng.int(1, 3)} ` +
      `theirs=${prng.int(1, 4)}`,
    retry: { maxAttempts: 4, delayMs: 100, backoff: 1, jitter: 0 },
  });
  const client = (): number => prng.int(1, room.clients);
  const at = prng.int(1, 500);
  const later = (): number => prng.int(at, room.safetyMs);
  const steps: Step[] = [{ at, client: client(), do: "submit", run }];
  for (let count = prng.int(1, 3); count > 0; count--) {
    steps.push({ at: later(), client: client(), do: "fork", run, which: prng.int(0, 30) });
  }
  if (prng.chance(0.15)) steps.push({ at: later(), client: client(), do: "cancel", run });
  if (prng.chance(0.3)) steps.push({ at: later(), client: client(), do: "retry", run });
  if (prng.chance(0.6)) steps.push({ at: later(), client: client(), do: "snapshot" });
  return { pipelines: [{ key: run, jobs: ["a", "b"].slice(0, prng.int(1, 2)).map(job) }], steps };
}

/** It adds jobs, asks, or sleeps, and most of them more than one of these. */
function generateAgent(prng: Prng): string[] {
  const words = [`adds=${prng.int(1, 3)}`, `asks=${prng.int(1, 2)}`, `naps=${prng.ms(1, 2000)}`];
  const some = words.filter(() => prng.chance(0.6));
  return some.length === 0 ? words : some;
}

function generateProgram(prng: Prng, crashes: boolean): string {
  if (prng.chance(0.02)) return "missing";
  const words = [`ms=${prng.ms(1, 2500)}`];
  if (prng.chance(0.2)) words.push(`fails=${prng.int(1, 2)}`);
  if (prng.chance(0.06)) words.push("exit=3");
  if (prng.chance(0.1)) words.push("ignore-term");
  if (prng.chance(0.2)) words.push(`print=${prng.ms(1, 2000)}`);
  if (prng.chance(0.2)) words.push(`result=${prng.int(0, 99)}`);
  if (crashes && prng.chance(0.15)) words.push(`crash-host=${prng.int(1, 7)}`);
  return words.join(" ");
}

/** Most programs of these pipelines take some durable steps first. Changes them in place. */
export function addSteps(prng: Prng, pipelines: PipelinePlan[]): void {
  for (const [index, pipeline] of pipelines.entries()) {
    const jobs = pipeline.jobs.map((job) => {
      if (job.does === "missing" || !prng.chance(0.7)) return job;
      const once = prng.chance(0.3) ? " once" : "";
      return { ...job, does: `${job.does} steps=${prng.int(1, 8)}${once}` };
    });
    pipelines[index] = { ...pipeline, jobs };
  }
}
