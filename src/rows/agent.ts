/**
 * Lesson 18: agent runs as JSON: limits, sums, jobs. Money in US dollars.
 *
 * Test: test/18-agents.rows.test.ts
 */
import {
  jobCounts, MICROS_PER_USD, type AgentInfo, type AgentJob, type Limits, type RunInfo,
} from "#wire";
import { runJson } from "./run.ts";

interface Report {
  readonly agent: AgentInfo;
  readonly runs: readonly RunInfo[];
  readonly jobs: readonly AgentJob[];
}

/** A limit that is none is null. */
export function limitsJson(limits: Limits): object {
  const { jobs, depth, fanOut, steps, tokens, usdMicros, deadlineAt } = limits;
  return {
    jobs: jobs ?? null, depth: depth ?? null, fanOut: fanOut ?? null, steps: steps ?? null,
    tokens: tokens ?? null, usd: usdMicros === undefined ? null : usdMicros / MICROS_PER_USD,
    deadlineAt: deadlineAt ?? null,
  };
}

export function agentJson(agent: AgentInfo): object {
  const { id, status, startedAt, endedAt, limits, used, reserved, runs, questions } = agent;
  const { usdMicros, ...counted } = used;
  return {
    id, status, startedAt, endedAt: endedAt ?? null, limits: limitsJson(limits),
    used: { ...counted, usd: usdMicros / MICROS_PER_USD },
    reserved: { tokens: reserved.tokens, usd: reserved.usdMicros / MICROS_PER_USD },
    runs, jobs: jobCounts(agent), questions, reason: agent.reason,
  };
}

/** `spawner`: the id of the job of the same run that has added it. */
export function agentJobJson(row: AgentJob, spawner: string | undefined): object {
  const { run, id, status, attempt, stage, startedAt, endedAt, reason } = row;
  const { steps, tokens, usdMicros } = row;
  return {
    run, id, status, attempt, stage, spawner: spawner ?? null, startedAt: startedAt ?? null,
    endedAt: endedAt ?? null, reason, steps, tokens, usd: usdMicros / MICROS_PER_USD,
  };
}

/** An agent run as it is, with its runs and the jobs of all of them. */
export function agentReportJson({ agent, runs, jobs }: Report): object {
  const idOf = ({ run, spawner }: AgentJob): string | undefined =>
    jobs.find((job) => job.run === run && job.index === spawner)?.id;
  return {
    ...agentJson(agent), runs: runs.map(runJson),
    tasks: jobs.map((job) => agentJobJson(job, idOf(job))),
  };
}
