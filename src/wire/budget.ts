/**
 * Lesson 18: what an agent run may spend, and what it has spent, as these travel.
 *
 *     pipeline ── agent: {id, budget} ──▶ a group of runs, with one pool for all of them
 *
 * Money is counted in whole millionths of a US dollar: sums of fractions would not be exact, and a
 * limit that holds nearly is no limit.
 *
 * Invariants: a limit that is absent is no limit; one that is there is 1 or more; every sum stays a
 * safe integer (core/budget.ts sees to it).
 * Test: test/17-pipelines.agent.test.ts
 */
import { bool, enumOf, message, optional, string, u32, u53, withDefault, type Infer } from "#codec";

/** The name of a group may be the id of a run: a name of 128 bytes and a few letters. */
export const MAX_GROUP_BYTES = 160;
/** A run may wait in line behind all its spawners; deeper trees are mistakes, or never end. */
export const MAX_DEPTH_BUDGET = 8;
/** Jobs, and steps, of one group: a thousand runs of the largest size. */
export const MAX_COUNT_BUDGET = 1_000_000_000;
/** Tokens of one group: a million jobs that use up the largest context ten times. */
export const MAX_TOKENS_BUDGET = 1_000_000_000_000;
export const MICROS_PER_USD = 1_000_000;
/** Nobody means more, and in millionths a thousand such limits are still a safe integer. */
export const MAX_USD_BUDGET = 1_000_000;
/** A year: an agent that may run for longer has no deadline. */
export const MAX_DEADLINE_MS = 365 * 24 * 3600 * 1000;

/** The limits, as people name them. */
export const BUDGET_KINDS = [
  "jobs", "depth", "fan_out", "steps", "tokens", "usd", "deadline",
] as const;
export type BudgetKind = (typeof BUDGET_KINDS)[number];
export const BudgetKind = enumOf(...BUDGET_KINDS);

const amounts = {
  /** Jobs of all its runs together, those that were added later included. */
  jobs: [1, optional(u53())],
  /** How far a spawned job may be from one that was submitted: 1 for its children. */
  depth: [2, optional(u32())],
  /** Jobs that one job may spawn. */
  fanOut: [3, optional(u53())],
  /** Steps begun. */
  steps: [4, optional(u53())],
  /** Tokens in and out, as steps report them. */
  tokens: [5, optional(u53())],
  usdMicros: [6, optional(u53())],
} as const;

/** What a pipeline asks for. `deadlineMs`: from the submission of the group's first run. */
export const Budget = message("Budget", { ...amounts, deadlineMs: [7, optional(u53())] });
export type Budget = Infer<typeof Budget>;

/** The limits as they hold. `deadlineAt`: what it became, in milliseconds since 1970. */
export const Limits = message("Limits", { ...amounts, deadlineAt: [7, optional(u53())] });
export type Limits = Infer<typeof Limits>;

/**
 * A limit that somebody raises, to `amount` or (`add`) by it: in millionths for usd; for the
 * deadline in milliseconds from now, or from the old one if that has not passed.
 */
export const BudgetChange = message("BudgetChange", {
  what: [1, BudgetKind], amount: [2, u53()], add: [3, withDefault(bool(), false)],
});
export type BudgetChange = Infer<typeof BudgetChange>;

/** A run is part of a group, or is one by itself: then the group has the run's id. */
export const Agent = message("Agent", {
  id: [1, optional(string(256))],
  budget: [2, optional(Budget)],
});
export type Agent = Infer<typeof Agent>;

/** What was used, or what is asked for. */
export const Spent = message("Spent", {
  jobs: [1, withDefault(u53(), 0)],
  steps: [2, withDefault(u53(), 0)],
  tokens: [3, withDefault(u53(), 0)],
  usdMicros: [4, withDefault(u53(), 0)],
});
export type Spent = Infer<typeof Spent>;

/** Cents, unless there is a smaller part: "5.00", "0.0125". */
export function usdText(micros: number): string {
  const [whole, part] = (micros / MICROS_PER_USD).toFixed(6).split(".") as [string, string];
  return `${whole}.${part.replace(/0{1,4}$/, "")}`;
}
