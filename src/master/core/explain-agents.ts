/**
 * Lesson 18: agent runs, said to people: how one is, what it has used, and why it is paused.
 *
 * Invariants: as in explain.ts: read-only, and computed when asked.
 * Test: test/18-agents.rows.test.ts
 */
import {
  isOpenRun, JOB_STATUSES, type AgentInfo, type AgentJob, type RunInfo, type RunStatus,
} from "#wire";
import { agentOf } from "./agent-state.ts";
import { sum } from "./budget.ts";
import { sentence } from "./check.ts";
import { findGroup } from "./decide-budget.ts";
import { openGates, reasonOf, runInfo } from "./explain.ts";
import { pauseReason } from "./groups.ts";
import type { AgentGroup, Job, State } from "./state.ts";

/** The status of a group is the first of these that one of its runs has. */
const WORST_FIRST: readonly RunStatus[] = [
  "RUNNING", "PAUSED", "SERVING", "FAILED", "CANCELLED", "COMPLETED",
];

/** Questions that are open, by the group that has asked. */
export type Questions = ReadonlyMap<AgentGroup, number>;

export function questionsOf(state: State): Questions {
  const found = new Map<AgentGroup, number>();
  for (const { job: { run: { group } } } of openGates(state)) {
    if (group !== undefined) found.set(group, (found.get(group) ?? 0) + 1);
  }
  return found;
}

export function agentInfo(group: AgentGroup, questions: Questions): AgentInfo {
  const { id, startedAt, limits, used, reserved, runs } = group;
  const all = [...runs];
  const status = WORST_FIRST.find((each) => all.some((run) => run.status === each))!;
  const endedAt = isOpenRun(status) ? undefined : Math.max(...all.map((run) => run.endedAt));
  return {
    id, status, startedAt, endedAt, limits, used, reserved, runs: all.length,
    counts: JOB_STATUSES.map((_, index) => all.reduce((sum, run) => sum + run.counts[index]!, 0)),
    questions: questions.get(group) ?? 0,
    reason: all.flatMap((run) => pauseReason(run) ?? [])[0] ?? "",
  };
}

/** One of the rows that tell of an agent run. */
export type AgentRow = { agent: AgentInfo } | { run: RunInfo } | { job: AgentJob };

/** An agent run, then each of its runs, with its jobs behind it. */
export function* agentRows(
  state: State, named: string, now: number,
): Generator<AgentRow> {
  const group = findGroup(state, named);
  const runs = [...group.runs];
  yield { agent: agentInfo(group, questionsOf(state)) };
  for (const run of runs) {
    yield { run: runInfo(run) };
    for (const job of run.jobs) yield { job: agentJob(state, job, now) };
  }
}

function agentJob(state: State, job: Job, now: number): AgentJob {
  const { run, index, spec, status, attempt, startedAt, stoppedAt, endedAt } = job;
  return {
    run: run.id, index, id: spec.id, status, attempt, stage: stageOf(job),
    startedAt: startedAt === 0 ? undefined : startedAt,
    endedAt: (status === "RUNNING" ? 0 : endedAt || stoppedAt) || undefined,
    reason: sentence(reasonOf(state, job, now)), spawner: job.spawner,
    ...costsOf(job),
  };
}

function costsOf({ journal }: Job): Pick<AgentJob, "steps" | "tokens" | "usdMicros"> {
  let [steps, tokens, usdMicros] = [0, 0, 0];
  for (const { starts, spentTokens, spentMicros } of journal?.values() ?? []) {
    steps += starts;
    tokens = sum(tokens, spentTokens);
    usdMicros = sum(usdMicros, spentMicros);
  }
  return { steps, tokens, usdMicros };
}

/** The one that its spawner has named; else, of a run `research_PLAN`, PLAN. */
function stageOf({ run, index, spawner }: Job): string {
  const spawns = spawner === undefined ? [] : agentOf(run.jobs[spawner]!).spawns;
  const own = spawns.find(({ from, count }) => index >= from && index < from + count);
  const { name } = run.spec;
  return own?.stage || name.slice(name.lastIndexOf("_") + 1);
}
