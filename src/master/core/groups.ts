/**
 * Lesson 18: agent runs: groups of runs, each with one pool. What is known of one, and when its
 * deadline has a word to say.
 *
 * Invariant: `state.nextDeadline` is the first moment at which some deadline has.
 * Test: test/18-agents.budget.test.ts
 */
import { BUDGET_KINDS, isOpenRun, type BudgetKind } from "#wire";
import { nextMoment, plus } from "./budget.ts";
import type { AgentGroup, Run, State } from "./state.ts";

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
