/**
 * Lesson 18: how agent runs come, change and go. `apply` calls these; nothing else does.
 *
 *     a run with `agent` ─▶ the group of that name, or a new one
 *     the first step or spawn of any other run ─▶ a group of its own
 *     the last of its runs is forgotten ─▶ the group is gone
 *
 * Whether a run belongs to a group follows from its own name and its pipeline, so a snapshot keeps
 * the groups alone. A group whose name is the id of a run has that run as well, even if nobody knew
 * that it would become an agent run.
 *
 * Invariants: `used.jobs` is what its runs have had of jobs, forgotten ones included; `used` and
 * `reserved` are replaced and never changed; a run is in the group that has its name, if there is
 * one.
 * Test: test/18-agents.budget.test.ts
 */
import { FreshSet } from "#base";
import { BUDGET_KINDS, Limits, type BudgetKind } from "#wire";
import {
  levelOf, limitsFrom, NOTHING_RESERVED, NOTHING_SPENT, obstacle, plus, setAside, type Reserve,
} from "./budget.ts";
import type { EventOf } from "./events.ts";
import { groupMoves, groupName, kindIndex, lookAtDeadlines, needOf } from "./groups.ts";
import { charge, wake } from "./jobs.ts";
import { groupMemory } from "./memory.ts";
import type { AgentGroup, Job, Run, State } from "./state.ts";

// #region join
/** A run has come. It brings its budget if the group has none. */
export function joinGroup(state: State, run: Run, at: number): void {
  const { agent } = run.spec;
  if (agent === undefined) return;
  const group = ensureGroup(state, run, at);
  if (group.declared === undefined && agent.budget !== undefined) {
    group.declared = agent.budget;
    group.startedAt = at;
    group.limits = limitsFrom(agent.budget, at);
  }
  groupMoves(state, run);
}

/** The run's group. A run that does what agents do becomes one. */
export function ensureGroup(state: State, run: Run, at: number): AgentGroup {
  if (run.group !== undefined) return run.group;
  const id = groupName(run);
  const known = state.groups.get(id);
  const group = known ?? newGroup(id, at);
  if (known === undefined) {
    state.groups.set(id, group);
    const namesake = state.runsById.get(id);
    if (namesake !== undefined && namesake !== run) enter(state, namesake, group);
  }
  enter(state, run, group);
  return group;
}

/** With every field that a snapshot reads back, so that the state is the same after it. */
const NO_LIMITS: Limits = Limits.decode(Limits.encode({}));

function newGroup(id: string, startedAt: number): AgentGroup {
  return {
    id, startedAt, declared: undefined, limits: NO_LIMITS,
    used: NOTHING_SPENT, reserved: NOTHING_RESERVED,
    reached: BUDGET_KINDS.map(() => 0), runs: new FreshSet(), waiting: new Set(),
  };
}

function enter(state: State, run: Run, group: AgentGroup): void {
  link(state, run, group);
  group.used = plus(group.used, { jobs: run.size });
}
// #endregion

/** The run is in this group from now on. Its usage is counted already. */
export function link(state: State, run: Run, group: AgentGroup): void {
  run.group = group;
  group.runs.add(run);
  // One with `agent` was accepted at this price.
  if (run.spec.agent === undefined) charge(state, run, groupMemory(group.id));
}

/** A run is forgotten. */
export function leaveGroup(state: State, run: Run): void {
  const { group } = run;
  if (group === undefined) return;
  group.runs.delete(run);
  if (group.runs.size > 0) return;
  state.groups.delete(group.id);
}

// #region settle
/** A step begins. `held`: what the same step has set aside before, in an attempt that is over. */
export function stepBegins(
  state: State, run: Run, step: { reserve: Reserve; held: Reserve; at: number },
): void {
  const { reserve, held, at } = step;
  const group = ensureGroup(state, run, at);
  group.used = plus(group.used, { steps: 1 });
  group.reserved = setAside(group.reserved, reserve, held);
}

/** It has ended, and this is what it has cost. */
export function stepEnds(
  state: State, run: Run, step: { held: Reserve; cost: Reserve; at: number },
): void {
  const { held, cost, at } = step;
  const group = ensureGroup(state, run, at);
  group.used = plus(group.used, cost);
  group.reserved = setAside(group.reserved, NOTHING_RESERVED, held);
  const isFreed = held.tokens > cost.tokens || held.usdMicros > cost.usdMicros;
  if (isFreed) wakeFitting(state, group, at);
}
// #endregion

// ── words about it ───────────────────────────────────────────────────────────────────────────────

export function budgetReached(state: State, event: EventOf<"BudgetReached">): void {
  const group = groupOf(state, event.group);
  setReached(group, event.what, event.percent);
  if (event.what === "deadline") lookAtDeadlines(state);
  for (const run of group.runs) state.observer?.run(run);
}

/** All that wait for it try again: what each of them was refused for is its own business. */
export function budgetRaised(state: State, event: EventOf<"BudgetRaised">): void {
  const group = groupOf(state, event.group);
  group.limits = event.limits;
  // A limit that is far away again has another warning to give.
  const time = { from: group.startedAt, at: event.at };
  for (const what of BUDGET_KINDS) {
    setReached(group, what, Math.min(group.reached[kindIndex(what)]!, levelOf(what, group, time)));
  }
  lookAtDeadlines(state);
  for (const job of inOrder(group.waiting)) wake(state, job, event.at);
  for (const run of group.runs) state.observer?.run(run);
}

/**
 * Jobs that wait for more room, as many as there is room for now. They come in the order of their
 * runs, since a set does not remember its order in a snapshot.
 */
function wakeFitting(state: State, group: AgentGroup, at: number): void {
  let { used, reserved } = group;
  for (const job of inOrder(group.waiting)) {
    const need = needOf(job);
    if (need === undefined || obstacle({ ...group, used, reserved }, need, at)) continue;
    used = plus(used, need);
    reserved = setAside(reserved, need.reserve ?? NOTHING_RESERVED);
    wake(state, job, at);
  }
}

function inOrder(jobs: ReadonlySet<Job>): Job[] {
  return [...jobs].sort((a, b) => a.run.number - b.run.number || a.index - b.index);
}

function groupOf(state: State, id: string): AgentGroup {
  const group = state.groups.get(id);
  if (group === undefined) throw new Error(`an event names agent run ${id}, which does not exist`);
  return group;
}

function setReached(group: AgentGroup, what: BudgetKind, percent: number): void {
  group.reached = group.reached.map((old, index) => (index === kindIndex(what) ? percent : old));
}
