/**
 * Lesson 22: what agent runs may use up (lesson 18): the brakes hold, exactly, at every event.
 *
 * Once more in other words: nobody asks whether there is room before something happens. The sums
 * are kept beside the log, and looked at after every event that adds to them.
 *
 * Left out: runs without `agent`. They have no budget, whatever they do.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import type { Budget, Limits, Spent } from "#wire";
import type { Invariant } from "./invariants-list.ts";
import { wake } from "./model-agents.ts";
import type { ModelJob, ModelRun } from "./model-state.ts";

interface Hands {
  fail(invariant: Invariant, what: string): never;
  again(job: ModelJob, notBefore: number): void;
}

interface Pool {
  readonly name: string;
  /** Runs that nobody has forgotten. */
  readonly runs: Set<ModelRun>;
  /** Absent: none of its runs has brought a budget. */
  limits: Limits | undefined;
  jobs: number;
  steps: number;
  tokens: number;
  usdMicros: number;
  /** Tokens and money that steps under way may cost, by the name of the step. */
  readonly held: Map<string, { tokens: number; usdMicros: number }>;
  /** How far a limit was used up when somebody was last told of it. */
  readonly told: Map<string, number>;
}

type Submitted = EventOf<"RunSubmitted" | "UpdateSubmitted" | "RunForked">;
type Ended = EventOf<"StepDone" | "StepFailed">;

export class ModelBudgets {
  readonly #hands: Hands;
  readonly #pools = new Map<string, Pool>();
  readonly #poolOf = new Map<ModelRun, Pool>();

  constructor(hands: Hands) {
    this.#hands = hands;
  }

  /** Its jobs are counted by `grown`. */
  submitted(run: ModelRun, { spec: { agent }, at }: Submitted): void {
    if (agent === undefined) return;
    const name = agent.id ?? run.id;
    const pool = this.#pools.get(name) ?? newPool(name);
    this.#pools.set(name, pool);
    this.#poolOf.set(run, pool);
    pool.runs.add(run);
    pool.limits ??= agent.budget && limitsOf(agent.budget, at);
  }

  grown(run: ModelRun, jobs: number, at: number): void {
    const pool = this.#poolOf.get(run);
    if (pool === undefined || jobs === 0) return;
    pool.jobs += jobs;
    this.#check(pool, `${run} has ${jobs} jobs more`, at);
  }

  began(job: ModelJob, event: EventOf<"StepStarted">): void {
    const pool = this.#poolOf.get(job.run);
    if (pool === undefined) return;
    pool.steps += 1;
    pool.held.set(nameOf(job, event), event.reserve ?? { tokens: 0, usdMicros: 0 });
    this.#check(pool, `step ${nameOf(job, event)} begins`, event.at);
  }

  /** A step that does not say what it has cost has cost what it held, if it was made at all. */
  ended(job: ModelJob, event: Ended): void {
    const pool = this.#poolOf.get(job.run);
    if (pool === undefined) return;
    const name = nameOf(job, event);
    const held = pool.held.get(name) ?? { tokens: 0, usdMicros: 0 };
    pool.held.delete(name);
    const { usage } = event;
    const unknown = event.type === "StepDone" ? held : { tokens: 0, usdMicros: 0 };
    const cost = usage === undefined ? unknown
      : { tokens: usage.tokensIn + usage.tokensOut, usdMicros: usage.usdMicros };
    pool.tokens += cost.tokens;
    pool.usdMicros += cost.usdMicros;
    if (held.tokens > cost.tokens || held.usdMicros > cost.usdMicros) this.#roomFor(pool, event.at);
  }

  /** It has just ended an attempt, and there may be room for what it was refused. */
  paused(job: ModelJob, at: number): void {
    const pool = this.#poolOf.get(job.run);
    if (pool === undefined || job.status !== "WAITING") return;
    if (needsOf(job).some((need) => fits(pool, need, at))) wake(this.#hands, job, at);
  }

  /** Those who wait get what has become free, the oldest first, as long as it lasts. */
  #roomFor(pool: Pool, at: number): void {
    const promised = { jobs: 0, steps: 0, tokens: 0, usdMicros: 0 };
    for (const job of waiting(pool)) {
      const need = needsOf(job)[0]!;
      if (!fits(pool, need, at, promised)) continue;
      for (const key of KINDS) promised[key] += key === "steps" ? stepsOf(need) : need[key];
      wake(this.#hands, job, at);
    }
  }

  raised({ group, limits, at }: EventOf<"BudgetRaised">): void {
    const pool = this.#known(group);
    for (const [key, before] of Object.entries(pool.limits ?? {}) as [keyof Limits, number][]) {
      const now = limits[key];
      if (before === undefined || (now !== undefined && now >= before)) continue;
      this.#hands.fail("brakes-hold", `${key} of ${group} falls from ${before} to ${now}`);
    }
    pool.limits = limits;
    pool.told.clear();
    for (const job of waiting(pool)) wake(this.#hands, job, at);
  }

  reached({ group, what, percent }: EventOf<"BudgetReached">): void {
    const pool = this.#known(group);
    if ((pool.told.get(what) ?? 0) >= percent) {
      this.#hands.fail("brakes-hold", `${group} has used ${percent} % of ${what}, once more`);
    }
    pool.told.set(what, percent);
  }

  forgotten(run: ModelRun): void {
    const pool = this.#poolOf.get(run);
    this.#poolOf.delete(run);
    pool?.runs.delete(run);
    if (pool?.runs.size === 0) this.#pools.delete(pool.name);
  }

  #known(name: string): Pool {
    return this.#pools.get(name) ??
      this.#hands.fail("replay-equals-live", `an event names agent run ${name}, and there is none`);
  }

  #check(pool: Pool, what: string, at: number): void {
    const { limits } = pool;
    if (limits === undefined) return;
    const sums = { jobs: pool.jobs, steps: pool.steps, ...withHeld(pool) };
    for (const [key, sum] of Object.entries(sums) as [keyof typeof sums, number][]) {
      const limit = limits[key] ?? Infinity;
      if (sum <= limit) continue;
      const found = `${sum} ${key} of ${pool.name}, and ${limit} allowed`;
      this.#hands.fail("brakes-hold", `${what}: ${found}`);
    }
    if (at < (limits.deadlineAt ?? Infinity)) return;
    this.#hands.fail("brakes-hold", `${what}, and the deadline of ${pool.name} has passed`);
  }
}

function newPool(name: string): Pool {
  return {
    name, runs: new Set(), limits: undefined, jobs: 0, steps: 0, tokens: 0, usdMicros: 0,
    held: new Map(), told: new Map(),
  };
}

const KINDS = ["jobs", "steps", "tokens", "usdMicros"] as const;

/** Jobs of its runs that wait for more room, the oldest first. */
function waiting({ runs }: Pool): ModelJob[] {
  return [...runs].sort((a, b) => a.number - b.number).flatMap(({ jobs }) =>
    jobs.filter((job) => job.status === "WAITING" && needsOf(job).length > 0));
}

function needsOf({ waits }: ModelJob): Spent[] {
  return waits.flatMap((wait) => (wait.type === "budget" ? [wait.need] : []));
}

/** A wish for tokens or money is one for a step as well. */
function stepsOf({ jobs, steps }: Spent): number {
  return jobs > 0 ? steps : Math.max(1, steps);
}

function fits(pool: Pool, need: Spent, at: number, promised?: Spent): boolean {
  const { limits } = pool;
  if (limits === undefined || KINDS.every((key) => need[key] === 0)) return false;
  if (at >= (limits.deadlineAt ?? Infinity)) return false;
  const taken = { jobs: pool.jobs, steps: pool.steps, ...withHeld(pool) };
  const isPriced = need.tokens + need.usdMicros > 0;
  return KINDS.every((key) => {
    const isCost = key === "tokens" || key === "usdMicros";
    // The cost of a step that says nothing is unknown: anything must be left.
    const least = isCost && !isPriced && stepsOf(need) > 0 ? 1 : need[key];
    const more = key === "steps" ? stepsOf(need) : least;
    return more === 0 || taken[key] + (promised?.[key] ?? 0) + more <= (limits[key] ?? Infinity);
  });
}

function limitsOf({ deadlineMs, ...limits }: Budget, at: number): Limits {
  return { ...limits, deadlineAt: deadlineMs === undefined ? undefined : at + deadlineMs };
}

function withHeld({ tokens, usdMicros, held }: Pool): { tokens: number; usdMicros: number } {
  const sum = { tokens, usdMicros };
  for (const each of held.values()) {
    sum.tokens += each.tokens;
    sum.usdMicros += each.usdMicros;
  }
  return sum;
}

function nameOf(job: ModelJob, { name, ordinal }: { name: string; ordinal: number }): string {
  return `${job}/${name}#${ordinal}`;
}
