/**
 * Lesson 18: what a snapshot says of agent runs. Which runs are in them follows from the runs.
 *
 * Test: test/18-agents.budget.test.ts
 */
import { FreshSet } from "#base";
import { list, message, optional, string, u32, u53, withDefault, type Infer } from "#codec";
import { Budget, BUDGET_KINDS, Limits, Spent } from "#wire";
import { link } from "./apply-groups.ts";
import { groupName } from "./groups.ts";
import type { Job, Run, State } from "./state.ts";

/** Groups in one part. */
const MAX_GROUPS = 1024;

const GroupRecord = message("GroupRecord", {
  id: [1, string(256)], startedAt: [2, u53()], declared: [3, optional(Budget)],
  limits: [4, Limits], used: [5, Spent],
  reserved: [6, message("Reserved", {
    tokens: [1, withDefault(u53(), 0)], usdMicros: [2, withDefault(u53(), 0)],
  })],
  reached: [8, list(u32(), BUDGET_KINDS.length)],
});
export type GroupRecord = Infer<typeof GroupRecord>;
export const GroupBlock = message("GroupBlock", { groups: [1, list(GroupRecord, MAX_GROUPS)] });

/** As they are: what may change is replaced and not changed. */
export function groupRecords({ groups }: State): GroupRecord[] {
  return [...groups.values()].map(({ runs: _, waiting: __, reached, ...group }) => {
    return { ...group, reached: [...reached] };
  });
}

/** Before the runs, which look for their places. */
export function restoreGroups(state: State, records: readonly GroupRecord[]): void {
  for (const { declared, ...record } of records) {
    const group = { ...record, declared, runs: new FreshSet<Run>(), waiting: new Set<Job>() };
    state.groups.set(record.id, group);
  }
}

export function linkAgain(state: State, run: Run): void {
  const group = state.groups.get(groupName(run));
  if (group !== undefined) link(state, run, group);
}
