/**
 * Lesson 18: the arithmetic of a budget: what there is, what was used, what is set aside.
 *
 *     limit ─┬─ used       steps that have ended, jobs and steps that have begun
 *            ├─ reserved   steps under way, at most as much as each has asked for
 *            └─ rest       what the next step may reserve
 *
 * A paid call is reserved before it is made and settled when its cost is known. The reservation is
 * the step's own estimate. When a step costs more than it had reserved, all of it is counted, the
 * pool is beyond its limit by the difference, and the next step is refused.
 *
 * Invariants: as long as no step costs more than it reserved, used + reserved ≤ limit; a sum that
 * would leave the safe integers stays at the largest of them, which is beyond every limit.
 * Left out: a share of the pool for each run. The first to ask has it.
 * Test: test/18-agents.budget.test.ts
 */
import {
  BUDGET_KINDS, MAX_COUNT_BUDGET, MAX_DEADLINE_MS, MAX_DEPTH_BUDGET, MAX_TOKENS_BUDGET,
  MAX_USD_BUDGET, MICROS_PER_USD, usdText, type Budget, type BudgetChange, type BudgetKind,
  type Limits, type Spent, type StepUsage,
} from "#wire";

/** What a step may cost at most, as far as it says. */
export type Reserve = Pick<Spent, "tokens" | "usdMicros">;

export interface Pool {
  readonly limits: Limits;
  readonly used: Spent;
  readonly reserved: Reserve;
}

export const NOTHING_SPENT: Spent = { jobs: 0, steps: 0, tokens: 0, usdMicros: 0 };
export const NOTHING_RESERVED: Reserve = { tokens: 0, usdMicros: 0 };

/** A sum that stays a safe integer. */
export function sum(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}

export function plus(a: Spent, b: Partial<Spent>): Spent {
  const { jobs = 0, steps = 0, tokens = 0, usdMicros = 0 } = b;
  return {
    jobs: sum(a.jobs, jobs), steps: sum(a.steps, steps), tokens: sum(a.tokens, tokens),
    usdMicros: sum(a.usdMicros, usdMicros),
  };
}

/** More is set aside; `less` is not any more. */
export function setAside(held: Reserve, more: Reserve, less = NOTHING_RESERVED): Reserve {
  return {
    tokens: Math.max(0, sum(held.tokens, more.tokens) - less.tokens),
    usdMicros: Math.max(0, sum(held.usdMicros, more.usdMicros) - less.usdMicros),
  };
}

/**
 * What a step has cost. One that has succeeded and does not say counts with all that it had set
 * aside; of a failure that does not say it is assumed that nobody has charged for it.
 */
export function costOf(usage: StepUsage | undefined, otherwise: Reserve): Reserve {
  if (usage === undefined) return otherwise;
  return { tokens: sum(usage.tokensIn, usage.tokensOut), usdMicros: usage.usdMicros };
}

/** Why a step cannot set aside this, or have cost it. Undefined: it can. */
export function amountProblem({ tokens, usdMicros }: Reserve): string | undefined {
  if (tokens > MAX_TOKENS_BUDGET) return `${tokens} tokens are more than ${MAX_TOKENS_BUDGET}`;
  if (usdMicros <= MAX_USD_BUDGET * MICROS_PER_USD) return undefined;
  return `${usdText(usdMicros)} USD are more than ${MAX_USD_BUDGET}`;
}

/** The limits of a budget that begins at this moment. */
export function limitsFrom({ deadlineMs, ...limits }: Budget, at: number): Limits {
  return { ...limits, deadlineAt: deadlineMs === undefined ? undefined : at + deadlineMs };
}

// #region refuse
/** What somebody wants of a pool. */
export interface Want {
  readonly jobs?: number;
  readonly steps?: number;
  /** Of a step. Undefined: it does not say what it may cost. */
  readonly reserve?: Reserve | undefined;
}

/**
 * The limit that stands in the way, and what was found. Undefined: there is room.
 *
 * A step that does not say what it may cost is refused when nothing is left. One that says it costs
 * nothing is not: it may still write down what the others have found.
 */
export function obstacle(pool: Pool, want: Want, now: number): Obstacle | undefined {
  const { limits, used, reserved } = pool;
  const { jobs = 0, steps = 0, reserve } = want;
  const { deadlineAt = Infinity } = limits;
  if (now >= deadlineAt) return { what: "deadline", found: "its deadline has passed" };
  if (jobs > 0 && exceeds(used.jobs, jobs, limits.jobs)) {
    return { what: "jobs", found: shortOf("jobs", pool, jobs) };
  }
  if (steps > 0 && exceeds(used.steps, steps, limits.steps)) {
    return { what: "steps", found: shortOf("steps", pool, steps) };
  }
  if (steps === 0) return undefined;
  const least = reserve ?? { tokens: 1, usdMicros: 1 };
  if (exceeds(sum(used.tokens, reserved.tokens), least.tokens, limits.tokens)) {
    return { what: "tokens", found: shortOf("tokens", pool, reserve?.tokens) };
  }
  if (exceeds(sum(used.usdMicros, reserved.usdMicros), least.usdMicros, limits.usdMicros)) {
    return { what: "usd", found: shortOf("usd", pool, reserve?.usdMicros) };
  }
  return undefined;
}

/** Nothing more is no more than any limit, even when that is exceeded already. */
function exceeds(taken: number, more: number, limit = Infinity): boolean {
  return more > 0 && sum(taken, more) > limit;
}
// #endregion

export interface Obstacle {
  readonly what: BudgetKind;
  readonly found: string;
}

type Summed = Exclude<BudgetKind, "depth" | "fan_out" | "deadline">;

/** "4.90 of 5.00 USD are used and 0.10 reserved, and 0.30 more are wanted" */
function shortOf(what: Summed, pool: Pool, want?: number): string {
  const { reserved } = pool;
  const set = what === "usd" ? reserved.usdMicros : what === "tokens" ? reserved.tokens : 0;
  const text = what === "usd" ? usdText : String;
  const held = set === 0 ? "" : ` and ${text(set)} reserved`;
  const verb = want === 1 ? "is" : "are";
  const wanted = want === undefined ? "nothing is left" : `${text(want)} more ${verb} wanted`;
  return `${usage(what, pool)}${held}, and ${wanted}`;
}

/** "4.90 of 5.00 USD are used" */
export function usage(what: BudgetKind, { limits, used }: Pick<Pool, "limits" | "used">): string {
  switch (what) {
    case "usd":
      return `${usdText(used.usdMicros)} of ${usdText(limits.usdMicros!)} USD are used`;
    case "jobs":
    case "steps":
    case "tokens": return `${used[what]} of ${limits[what]} ${what} are used`;
    case "deadline": return `it ends at ${new Date(limits.deadlineAt!).toISOString()}`;
    case "depth": return `at most ${limits.depth} deep`;
    case "fan_out": return `at most ${limits.fanOut} for each job`;
  }
}

// ── how full it is ───────────────────────────────────────────────────────────────────────────────

/** A word at this point, and another one when nothing is left. */
export const WARN_PERCENT = 80;
export const FULL_PERCENT = 100;

/** How far a limit is reached: 0, WARN_PERCENT or FULL_PERCENT. Depth and fan-out are no sums. */
export function levelOf(
  what: BudgetKind, pool: Pick<Pool, "limits" | "used">, time: { from: number; at: number },
): number {
  const { limits, used } = pool;
  if (what === "depth" || what === "fan_out") return 0;
  if (what === "deadline") {
    const { deadlineAt } = limits;
    return deadlineAt === undefined ? 0 : level(time.at - time.from, deadlineAt - time.from);
  }
  const key = what === "usd" ? "usdMicros" : what;
  return level(used[key], limits[key]);
}

function level(used: number, limit = Infinity): number {
  if (used >= limit) return FULL_PERCENT;
  return used >= warnAt(limit) ? WARN_PERCENT : 0;
}

function warnAt(limit: number): number {
  return Math.ceil((limit * WARN_PERCENT) / 100);
}

/** When a deadline will have reached its next level. Infinity: never. */
export function nextMoment(limits: Limits, from: number, reached: number): number {
  const { deadlineAt = Infinity } = limits;
  if (reached >= FULL_PERCENT) return Infinity;
  return reached >= WARN_PERCENT ? deadlineAt : from + warnAt(deadlineAt - from);
}

// ── what a budget may be ─────────────────────────────────────────────────────────────────────────

const MOST: Readonly<Record<keyof Budget, number>> = {
  jobs: MAX_COUNT_BUDGET, depth: MAX_DEPTH_BUDGET, fanOut: MAX_COUNT_BUDGET,
  steps: MAX_COUNT_BUDGET, tokens: MAX_TOKENS_BUDGET, usdMicros: MAX_USD_BUDGET * MICROS_PER_USD,
  deadlineMs: MAX_DEADLINE_MS,
};

/** The limits after a change, or why it is none. */
export function raised(limits: Limits, change: BudgetChange, now: number): Limits | string {
  const { what, amount, add } = change;
  const most = MOST[BUDGET_KEYS[what]];
  if (amount < 1) return `0 is no limit for ${what}`;
  if (amount > most) return `${amount} for ${what} is more than ${most}`;
  if (what === "deadline") {
    const { deadlineAt } = limits;
    if (deadlineAt === undefined) return "it has no deadline";
    const next = add ? Math.max(now, deadlineAt) + amount : now + amount;
    return next > deadlineAt ? { ...limits, deadlineAt: next } : "its deadline is later already";
  }
  const key = BUDGET_KEYS[what] as Exclude<keyof Budget, "deadlineMs">;
  const limit = limits[key];
  if (limit === undefined) return `it has no limit for ${what}`;
  const next = add ? limit + amount : amount;
  const text = what === "usd" ? usdText : String;
  if (next <= limit) return `its limit for ${what} is ${text(limit)} already`;
  if (next > most) return `${text(next)} for ${what} is more than ${text(most)}`;
  return { ...limits, [key]: next };
}

/** A peer may send anything that travels. Undefined: a budget. */
export function budgetProblem(budget: Budget): string | undefined {
  for (const kind of BUDGET_KINDS) {
    const key = BUDGET_KEYS[kind];
    const limit = budget[key];
    if (limit === undefined) continue;
    if (limit < 1) return `its budget for ${kind} is 0 (leave it out for no limit)`;
    if (limit > MOST[key]) return `its budget for ${kind} is ${limit}, more than ${MOST[key]}`;
  }
  return undefined;
}

export const BUDGET_KEYS: Readonly<Record<BudgetKind, keyof Budget>> = {
  jobs: "jobs", depth: "depth", fan_out: "fanOut", steps: "steps", tokens: "tokens",
  usd: "usdMicros", deadline: "deadlineMs",
};

/** The first limit in which two budgets differ. */
export function differenceOf(a: Budget, b: Budget): BudgetKind | undefined {
  return BUDGET_KINDS.find((kind) => a[BUDGET_KEYS[kind]] !== b[BUDGET_KEYS[kind]]);
}
