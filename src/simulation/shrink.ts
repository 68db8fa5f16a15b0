/**
 * Lesson 22: a plan that breaks something, made small enough to be understood.
 *
 *     take a half away ─▶ still broken? ─▶ keep it so, else put it back and try the other half
 *     take quarters away, eighths, … single things
 *
 * This is delta debugging (Zeller and Hildebrandt, 2002): greedy, so what is left is not the
 * smallest plan there is, but one from which nothing can be taken away. "Still broken" means the
 * same invariant: another one would be another bug.
 *
 * Left out: making numbers smaller (times, durations), which helps a reader less than a missing
 * line.
 * Test: test/22-simulation.test.ts
 */
import type { Invariant } from "./invariants.ts";
import type { JobPlan, PipelinePlan, Plan, PoolPlan } from "./plan.ts";
import type { Broken } from "./scene.ts";

/** A life takes some 50 ms: a minute, for a schedule that somebody will look at for an hour. */
const MAX_RUNS = 600;

export interface ShrinkOptions {
  /** The violation of the original plan. */
  readonly violation: Broken;
  /** Lives a plan and returns the promise that it broke. */
  readonly live: (plan: Plan) => Promise<Broken | undefined>;
  /** The most lives that may be tried. */
  readonly maxRuns?: number;
  readonly onSmaller?: (plan: Plan, runs: number) => void;
}

export interface Shrunk {
  readonly plan: Plan;
  /** The violation of the small plan. */
  readonly violation: Broken;
  readonly runs: number;
}

/**
 * Finds a plan from which nothing can be left out without losing the violation. Deterministic, if
 * `live` is.
 */
export async function shrink(plan: Plan, options: ShrinkOptions): Promise<Shrunk> {
  const search = new Search(plan, options);
  await search.run();
  return { plan: search.best, violation: search.violation, runs: search.runs };
}

/** One list inside a plan, and the plan with another list in its place. */
interface Part<T> {
  list(plan: Plan): readonly T[];
  with(plan: Plan, list: readonly T[]): Plan;
}

const FAULTS: Part<unknown> = {
  list: (plan) => plan.faults,
  with: (plan, list) => ({ ...plan, faults: list as Plan["faults"] }),
};
const STEPS: Part<unknown> = {
  list: (plan) => plan.steps,
  with: (plan, list) => ({ ...plan, steps: list as Plan["steps"] }),
};
const PIPELINES: Part<unknown> = {
  list: (plan) => plan.pipelines,
  with: (plan, list) => tidy({ ...plan, pipelines: list as Plan["pipelines"] }),
};
const WORKERS: Part<unknown> = {
  list: (plan) => plan.workers,
  with: (plan, list) => tidy({ ...plan, workers: list as Plan["workers"] }),
};

const POOLS: Part<unknown> = {
  list: (plan) => plan.pools ?? [],
  with: ({ pools: _, ...plan }, list) => {
    return list.length === 0 ? plan : { ...plan, pools: list as readonly PoolPlan[] };
  },
};

/** All jobs of all pipelines, as pairs of indexes. */
const JOBS: Part<unknown> = {
  list: (plan) =>
    plan.pipelines.flatMap(({ jobs }, pipeline) => jobs.map((_, job) => ({ pipeline, job }))),
  with: (plan, list) => {
    const kept = list as readonly { pipeline: number; job: number }[];
    const pipelines = plan.pipelines.map((pipeline, at) =>
      only(pipeline, new Set(kept.filter((entry) => entry.pipeline === at).map(({ job }) => job))),
    );
    return tidy({ ...plan, pipelines: pipelines.filter(({ jobs }) => jobs.length > 0) });
  },
};

class Search {
  best: Plan;
  violation: Broken;
  runs = 0;
  readonly #invariant: Invariant;
  readonly #options: ShrinkOptions;

  constructor(plan: Plan, options: ShrinkOptions) {
    this.best = plan;
    this.violation = options.violation;
    this.#invariant = options.violation.invariant;
    this.#options = options;
  }

  async run(): Promise<void> {
    await this.#forgetTheFuture();
    for (let size = Infinity; size > sizeOf(this.best);) {
      size = sizeOf(this.best);
      for (const part of [FAULTS, STEPS, PIPELINES, JOBS, WORKERS, POOLS]) {
        await this.#lessOf(part);
      }
      for (const simpler of simplifications(this.best)) await this.#try(simpler(this.best));
    }
  }

  /** Faults and steps after the violation cannot be its cause. */
  async #forgetTheFuture(): Promise<void> {
    const { atMs } = this.violation;
    const before = <T extends { at: number }>(list: readonly T[]): T[] =>
      list.filter(({ at }) => at <= atMs);
    await this.#try({
      ...this.best,
      faults: before(this.best.faults),
      steps: before(this.best.steps),
      finale: "none",
    });
  }

  // #region lessOf
  /** Chunks of half the list, then of a quarter, down to single entries. */
  async #lessOf<T>(part: Part<T>): Promise<void> {
    // #exercise lessOf
    for (
      let chunk = Math.ceil(part.list(this.best).length / 2);
      chunk >= 1;
      chunk = chunk > 1 ? Math.ceil(chunk / 2) : 0
    ) {
      // From the back: late entries are needed least.
      for (let end = part.list(this.best).length; end > 0; end -= chunk) {
        const list = part.list(this.best);
        if (end > list.length) continue;
        await this.#try(
          part.with(this.best, [...list.slice(0, Math.max(0, end - chunk)), ...list.slice(end)]),
        );
      }
    }
    // #end-exercise
  }
  // #endregion

  // #region try
  async #try(plan: Plan): Promise<boolean> {
    const { live, maxRuns = MAX_RUNS, onSmaller } = this.#options;
    if (this.runs >= maxRuns || plan.workers.length === 0 || sizeOf(plan) >= sizeOf(this.best)) {
      return false;
    }
    this.runs += 1;
    const violation = await live(plan);
    if (violation === undefined || violation.invariant !== this.#invariant) return false;
    this.best = plan;
    this.violation = violation;
    onSmaller?.(plan, this.runs);
    return true;
  }
  // #endregion
}

/** How much there is to read in a plan. */
function sizeOf(plan: Plan): number {
  return JSON.stringify({ ...plan, enabled: [] }).length;
}

/** Ways to make a plan plainer without making a list shorter. */
function simplifications(plan: Plan): ((plan: Plan) => Plan)[] {
  const plainer: ((plan: Plan) => Plan)[] = [
    (now) => ({ ...now, finale: "none" as const }),
    (now) => ({ ...now, splitChunks: false, latencyMs: [1, 1], syncMs: [1, 1] }),
    (now) => ({ ...now, clients: 1, steps: now.steps.map((step) => ({ ...step, client: 1 })) }),
    (now) => ({ ...now, workers: now.workers.map((worker) => ({ ...worker, slots: 1 })) }),
  ];
  for (const pool of (plan.pools ?? []).keys()) {
    plainer.push((now) => withoutFate(now, pool, "orders"));
    plainer.push((now) => withoutFate(now, pool, "ends"));
  }
  for (const [pipeline, { jobs }] of plan.pipelines.entries()) {
    for (const [job, fields] of jobs.entries()) {
      for (const field of Object.keys(fields)) {
        if (field !== "id" && field !== "does") {
          plainer.push((now) => withoutField(now, { pipeline, job, field }));
        }
      }
      for (const word of fields.does.split(" ").slice(1)) {
        plainer.push((now) => withoutWord(now, { pipeline, job, word }));
      }
    }
  }
  return plainer;
}

/** The last of what becomes of orders, or of ends. One is left. */
function withoutFate(plan: Plan, at: number, of: "orders" | "ends"): Plan {
  const pools = (plan.pools ?? []).map((pool, index) => {
    const last = index === at && pool[of].length > 1;
    return last ? { ...pool, [of]: pool[of].slice(0, -1) } : pool;
  });
  return { ...plan, ...(pools.length > 0 && { pools }) };
}

function changeJob(
  plan: Plan,
  at: { pipeline: number; job: number },
  change: (job: JobPlan) => JobPlan,
): Plan {
  const pipelines = plan.pipelines.map((pipeline, index) =>
    index === at.pipeline
      ? {
          ...pipeline,
          jobs: pipeline.jobs.map((job, number) => (number === at.job ? change(job) : job)),
        }
      : pipeline,
  );
  return { ...plan, pipelines };
}

function withoutField(plan: Plan, at: { pipeline: number; job: number; field: string }): Plan {
  return changeJob(plan, at, (job) => {
    const gone = at.field === "dependsOn" ? ["dependsOn", "affinity", "when"] : [at.field];
    return Object.fromEntries(
      Object.entries(job).filter(([field]) => !gone.includes(field)),
    ) as unknown as JobPlan;
  });
}

function withoutWord(plan: Plan, at: { pipeline: number; job: number; word: string }): Plan {
  return changeJob(plan, at, (job) => ({
    ...job,
    does: job.does
      .split(" ")
      .filter((word) => word !== at.word)
      .join(" "),
  }));
}

/** A pipeline with some of its jobs. A job loses its edge to a parent that is gone. */
function only({ key, jobs }: PipelinePlan, kept: ReadonlySet<number>): PipelinePlan {
  const places = new Map([...kept].sort((a, b) => a - b).map((old, now) => [old, now]));
  const moved = [...places.keys()].map((old) => {
    const { dependsOn = [], affinity, when, ...job } = jobs[old]!;
    const parents = dependsOn.flatMap((parent) => places.get(parent) ?? []);
    if (parents.length === 0) return job;
    const near = affinity === undefined ? undefined : places.get(affinity);
    return {
      ...job,
      dependsOn: parents,
      ...(near !== undefined && { affinity: near }),
      ...(when !== undefined && { when }),
    };
  });
  return { key, jobs: moved };
}

/** Drops steps and faults about something that is gone. */
function tidy(plan: Plan): Plan {
  const keys = new Set(plan.pipelines.map(({ key }) => key));
  const workers = new Set(plan.workers.map(({ name }) => name));
  const isThere = (name: string): boolean => !name.startsWith("w") || workers.has(name);
  return {
    ...plan,
    steps: plan.steps.filter(
      (step) =>
        (!("run" in step) || keys.has(step.run)) &&
        (step.do !== "drain" || workers.has(step.worker)),
    ),
    faults: plan.faults.filter(
      (fault) => isThere(fault.target) && (!("peer" in fault) || isThere(fault.peer)),
    ),
  };
}
