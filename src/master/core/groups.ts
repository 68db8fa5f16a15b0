/**
 * Lesson 18: agent runs: groups of runs, each with one pool. What is known of one, and when its
 * deadline has a word to say.
 *
 * Invariant: `state.nextDeadline` is the first moment at which some deadline has.
 * Test: test/18-agents.budget.test.ts
 */
import { BUDGET_KINDS, isOpenRun, type BudgetKind, type Spent } from "#wire";
import { FULL_PERCENT, nextMoment, obstacle, plus, type Want } from "./budget.ts";
import type { AgentGroup, Job, Run, State } from "./state.ts";

/** The name of the group that a run is in, once there is one. */
export function groupName({ id, spec }: Pick<Run, "id" | "spec">): string {
  return spec.agent?.id ?? id;
}

export function countJobs({ group }: Run, jobs: number): void {
  if (group !== undefined) group.used = plus(group.used, { jobs });
}

export function kindIndex(what: BudgetKind): number {
  return BUDGET_KINDS.indexOf(what);
}

export function reachedOf(group: AgentGroup, what: BudgetKind): number {
  return group.reached[kindIndex(what)]!;
}

/** Looks again for the first deadline that has a word to say. */
export function lookAtDeadlines(state: State): void {
  let next = Infinity;
  for (const group of state.groups.values()) {
    if (group.limits.deadlineAt !== undefined) next = Math.min(next, deadlineOf(group));
  }
  state.nextDeadline = next;
}

/** Of a group that is over, nobody wants to hear. */
export function deadlineOf(group: AgentGroup): number {
  return isOpenGroup(group) ? momentOf(group) : Infinity;
}

function momentOf(group: AgentGroup): number {
  return nextMoment(group.limits, group.startedAt, reachedOf(group, "deadline"));
}

export function isOpenGroup({ runs }: AgentGroup): boolean {
  for (const { status } of runs) if (isOpenRun(status)) return true;
  return false;
}

/** One of its runs has come, has ended, or goes on again. */
export function groupMoves(state: State, { group }: Run): void {
  if (group?.limits.deadlineAt === undefined) return;
  const next = deadlineOf(group);
  if (next < state.nextDeadline) state.nextDeadline = next;
  else if (momentOf(group) === state.nextDeadline) lookAtDeadlines(state);
}

// ── who waits for more ───────────────────────────────────────────────────────────────────────────

/** The refused wish of a job that waits for a budget. Undefined: there is none that it tells. */
export function needOf({ agent }: Job): Want | undefined {
  for (const wait of agent?.waits ?? []) {
    if (wait.type === "budget") return wantOf(wait.need);
  }
  return undefined;
}

/** The cost of a step that says nothing of it is not known: it waits until anything is left. */
export function wantOf({ jobs, steps, tokens, usdMicros }: Spent): Want | undefined {
  if (jobs + steps + tokens + usdMicros === 0) return undefined;
  if (steps === 0 && jobs > 0) return { jobs };
  const reserve = tokens + usdMicros === 0 ? undefined : { tokens, usdMicros };
  return { jobs, steps: Math.max(1, steps), reserve };
}

/** Whether there is room for it now. A wait that does not say for what ends with the next raise. */
export function hasRoom({ group }: Run, need: Spent, at: number): boolean {
  const want = wantOf(need);
  return group !== undefined && want !== undefined && obstacle(group, want, at) === undefined;
}

// #region stuck
/**
 * Some job waits for the budget, and nothing else in the run goes on by itself or by an answer that
 * somebody was asked for.
 */
export function isStuck(run: Run): boolean {
  const { group } = run;
  if (group === undefined || group.waiting.size === 0) return false;
  let waits = false;
  for (const job of run.jobs) {
    if (goesOn(job)) return false;
    if (group.waiting.has(job)) waits = true;
  }
  return waits;
}

function goesOn({ status, order, dueAt, agent }: Job): boolean {
  if (status === "RUNNING") return true;
  if (status === "PENDING") return order > 0 || dueAt > 0;
  if (status !== "WAITING") return false;
  const waits = agent?.waits ?? [];
  // Without any it is at a gate.
  return waits.length === 0 || waits.some(({ type }) => type === "ask" || type === "time");
}
// #endregion

/** Which limit keeps a run PAUSED, and what raises it. */
export function pauseReason(run: Run): string | undefined {
  const { group, status } = run;
  if (group === undefined || status !== "PAUSED") return undefined;
  const isLate = reachedOf(group, "deadline") >= FULL_PERCENT;
  for (const job of run.jobs) {
    if (!group.waiting.has(job)) continue;
    const short = obstacle(group, needOf(job) ?? { steps: 1 }, isLate ? Infinity : 0);
    if (short === undefined) continue;
    return `agent run "${group.id}": ${short.found} (${raiseAdvice(group.id, short.what)})`;
  }
  return `agent run "${group.id}": its budget is used up`;
}

/** The way out, for people. */
export function raiseAdvice(group: string, what: BudgetKind): string {
  const more = what === "deadline" ? "1h" : "N";
  return `titan agents budget ${group} --${what.replace("_", "-")} +${more} raises it`;
}
