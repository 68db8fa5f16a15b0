/**
 * Lesson 18: agent runs as people see them, and what people want of them.
 *
 * Test: test/18-agents.rows.test.ts
 */
import { list, message, optional, string, u32, u53, withDefault, type Infer } from "#codec";
import { BudgetChange, Limits, Spent } from "./budget.ts";
import { MAX_ROWS, name } from "./fields.ts";
import { JobStatus, RunInfo, RunStatus } from "./rows.ts";

/** Changes of limits in one request: each of the limits, a few times over. */
const MAX_CHANGES = 64;

/** What is set aside for steps under way. */
export const Reserved = message("Reserved", {
  tokens: [1, withDefault(u53(), 0)], usdMicros: [2, withDefault(u53(), 0)],
});

/** An agent run: all its runs together. */
export const AgentInfo = message("AgentInfo", {
  id: [1, name],
  /** Of the runs that go on; if none does, of the worst that has ended. */
  status: [2, RunStatus],
  startedAt: [3, u53()],
  endedAt: [4, optional(u53())],
  limits: [5, Limits],
  used: [6, Spent],
  reserved: [7, Reserved],
  runs: [8, u32()],
  /** The number of jobs in each state, in the order of JOB_STATUSES, over all its runs. */
  counts: [9, list(u32(), 16)],
  /** Questions to people that are open. */
  questions: [10, withDefault(u32(), 0)],
  /** Why it is paused. */
  reason: [11, withDefault(string(16 * 1024), "")],
});
export type AgentInfo = Infer<typeof AgentInfo>;
/** AGENTS answers with a stream of pages, the oldest first. */
export const AgentList = message("AgentList", { agents: [1, list(AgentInfo, MAX_ROWS)] });

/** A job of an agent run. */
export const AgentJob = message("AgentJob", {
  run: [1, name],
  index: [2, u32()],
  id: [3, string(128)],
  status: [4, JobStatus],
  attempt: [5, withDefault(u32(), 0)],
  /** The first start and the latest end, or the present one. */
  startedAt: [6, optional(u53())],
  endedAt: [7, optional(u53())],
  /** The index of the job that has added it, if one did. */
  spawner: [8, optional(u32())],
  /** The part of the work that it belongs to. */
  stage: [9, withDefault(string(128), "")],
  /** Why it waits. */
  reason: [10, withDefault(string(16 * 1024), "")],
  /** Steps that it has begun, and what they have cost: the leaves of the sums of its run. */
  steps: [11, withDefault(u53(), 0)],
  tokens: [12, withDefault(u53(), 0)],
  usdMicros: [13, withDefault(u53(), 0)],
});
export type AgentJob = Infer<typeof AgentJob>;

/** By its name, or by the id of one of its runs. */
export const AgentRef = message("AgentRef", { name: [1, name] });
/** AGENT answers with a stream of pages: the agent run, its runs, then their jobs. */
export const AgentPage = message("AgentPage", {
  agent: [1, optional(AgentInfo)],
  runs: [2, list(RunInfo, MAX_ROWS)],
  jobs: [3, list(AgentJob, MAX_ROWS)],
});

export const RaiseBudget = message("RaiseBudget", {
  group: [1, name], changes: [2, list(BudgetChange, MAX_CHANGES)], by: [3, withDefault(name, "")],
});
export const BudgetNow = message("BudgetNow", { group: [1, name], limits: [2, Limits] });
export type BudgetNow = Infer<typeof BudgetNow>;

export const AgentCancelled = message("AgentCancelled", {
  group: [1, name], runs: [2, u32()], jobs: [3, u32()],
});
export type AgentCancelled = Infer<typeof AgentCancelled>;
