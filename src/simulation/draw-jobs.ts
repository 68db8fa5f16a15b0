/**
 * Lesson 22: pipelines at random: chains, fans, delays, retries, gates, and jobs that behave badly.
 *
 * Test: test/22-simulation.test.ts
 */
import type { Dice } from "./draw.ts";
import type { JobPlan, PipelinePlan } from "./plan.ts";

interface JobOptions {
  readonly key: string;
  /** Tags that some worker has. */
  readonly tags: readonly string[];
  /** Whether there may be a job that takes its machine down. */
  readonly crashes: boolean;
}

/** A pipeline of one to eight jobs. Parents come before children in the list. */
export function drawPipeline(dice: Dice, options: JobOptions): PipelinePlan {
  const count = dice.int(1, 8);
  const parentsOf = dice.pick([chain, fan, anyParents, noParents]);
  const jobs = Array.from({ length: count }, (_, index) => {
    const dependsOn = parentsOf(dice, { index, count });
    return drawJob(dice, { ...options, id: String.fromCharCode(97 + index), dependsOn });
  });
  return { key: options.key, jobs };
}

interface Place {
  readonly index: number;
  readonly count: number;
}

const chain = (_: Dice, { index }: Place): number[] => (index === 0 ? [] : [index - 1]);
const noParents = (): number[] => [];
/** One, many, one. */
const fan = (_: Dice, { index, count }: Place): number[] =>
  index === 0 ? [] : index < count - 1 ? [0] : count > 2 ? Array.from({ length: count - 2 }, (_entry, at) => at + 1) : [0];
const anyParents = (dice: Dice, { index }: Place): number[] => Array.from({ length: index }, (_, at) => at).filter(() => dice.chance(0.35));

function drawJob(dice: Dice, options: JobOptions & { id: string; dependsOn: number[] }): JobPlan {
  const { id, dependsOn, tags } = options;
  const hasParents = dependsOn.length > 0;
  return {
    id,
    does: drawProgram(dice, options.crashes),
    ...(hasParents && { dependsOn }),
    ...(tags.length > 0 && dice.chance(0.2) && { tags }),
    ...(dice.chance(0.2) && { priority: dice.int(-2, 5) }),
    ...(dice.chance(0.15) && { delayMs: dice.ms(1, 3000) }),
    ...(hasParents && dice.chance(0.2) && { affinity: dice.pick(dependsOn) }),
    ...(hasParents && dice.chance(0.2) && { when: dice.pick(["failure", "always"] as const) }),
    ...(dice.chance(0.15) && { timeoutMs: dice.ms(20, 3000) }),
    ...(dice.chance(0.5) && { retry: { maxAttempts: dice.int(2, 4), delayMs: dice.ms(0, 800), backoff: dice.pick([1, 2]), jitter: dice.pick([0, 0.5, 1]) } }),
    ...(dice.chance(0.1) && { gateMs: dice.chance(0.3) ? dice.int(100, 3000) : 3_600_000 }),
  };
}

function drawProgram(dice: Dice, crashes: boolean): string {
  if (dice.chance(0.02)) return "missing";
  const words = [`ms=${dice.ms(1, 2500)}`];
  if (dice.chance(0.2)) words.push(`fails=${dice.int(1, 2)}`);
  if (dice.chance(0.06)) words.push("exit=3");
  if (dice.chance(0.1)) words.push("ignore-term");
  if (dice.chance(0.2)) words.push(`print=${dice.ms(1, 2000)}`);
  if (dice.chance(0.2)) words.push(`result=${dice.int(0, 99)}`);
  if (crashes && dice.chance(0.15)) words.push(`crash-host=${dice.int(1, 7)}`);
  return words.join(" ");
}
