/**
 * Lesson 19: agent runs without a document: who has added whom, when each of them worked, and how
 * far the brakes are.
 *
 *     plan                  a tree in the order of the work: below each job the jobs that it has
 *     ├─ research-1         added; a row also has the sum of everything below it
 *     │  └─ research-1a
 *     └─ research-2
 *
 * Invariant: the sums of the rows at the top are the sums of all jobs.
 * Test: test/19-dashboard.people.test.ts
 */
import type { Agent, AgentJob } from "./rows.ts";

export interface TreeRow {
  readonly job: AgentJob;
  readonly depth: number;
  /** Of the job and everything below it. */
  readonly steps: number;
  readonly tokens: number;
  readonly usd: number;
  readonly below: number;
}

/** Parents come before their children, runs one after the other. */
export function treeOf(jobs: readonly AgentJob[]): TreeRow[] {
  const children = new Map<string, AgentJob[]>();
  const known = new Set(jobs.map(nameOf));
  for (const job of jobs) {
    const parent = job.spawner === null ? "" : `${job.run}/${job.spawner}`;
    const key = known.has(parent) && parent !== nameOf(job) ? parent : "";
    children.set(key, [...(children.get(key) ?? []), job]);
  }
  const rows: TreeRow[] = [];
  for (const job of children.get("") ?? []) addRow(job, 0, { children, rows });
  return rows;
}

interface Walk {
  readonly children: ReadonlyMap<string, readonly AgentJob[]>;
  readonly rows: TreeRow[];
}

function addRow(job: AgentJob, depth: number, walk: Walk): TreeRow {
  const name = nameOf(job);
  const at = walk.rows.length;
  walk.rows.push({ job, depth, steps: 0, tokens: 0, usd: 0, below: 0 });
  let { steps, tokens, usd } = job;
  let below = 0;
  for (const child of walk.children.get(name) ?? []) {
    const row = addRow(child, depth + 1, walk);
    steps += row.steps;
    tokens += row.tokens;
    usd += row.usd;
    below += row.below + 1;
  }
  const row = { job, depth, steps, tokens, usd, below };
  walk.rows[at] = row;
  return row;
}

function nameOf({ run, id }: Pick<AgentJob, "run" | "id">): string {
  return `${run}/${id}`;
}

export interface Bar {
  /** Percent of the width. */
  readonly left: number;
  readonly width: number;
}

/** When a job worked, as a part of the time of all. Undefined: it has not begun. */
export function barOf(
  { startedAt, endedAt }: AgentJob, { from, to }: { from: number; to: number },
): Bar | undefined {
  if (startedAt === null) return undefined;
  const whole = Math.max(1, to - from);
  const left = clamp(((startedAt - from) / whole) * 100, 0, 100);
  const end = clamp((((endedAt ?? to) - from) / whole) * 100, left, 100);
  return { left, width: Math.max(0.4, end - left) };
}

/** From the first start to the last end, or until now. */
export function spanOf(jobs: readonly AgentJob[], now: number): { from: number; to: number } {
  const starts = jobs.flatMap(({ startedAt }) => startedAt ?? []);
  const isOpen = jobs.some(({ startedAt, endedAt }) => startedAt !== null && endedAt === null);
  const from = Math.min(now, ...starts);
  const last = Math.max(from + 1, ...jobs.flatMap(({ endedAt }) => endedAt ?? []));
  return { from, to: isOpen ? Math.max(now, last) : last };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

export interface Brake {
  readonly name: string;
  readonly used: number;
  readonly reserved: number;
  readonly limit: number;
  readonly text: string;
}

/** The limits that an agent run has, and what is used up of each. */
export function brakesOf({ limits, used, reserved, startedAt }: Agent, now: number): Brake[] {
  const count = (value: number): string => value.toLocaleString("en-GB");
  const usd = (value: number): string => `${value.toFixed(2)} USD`;
  const sums = [
    ["Jobs", used.jobs, 0, limits.jobs, count], ["Steps", used.steps, 0, limits.steps, count],
    ["Tokens", used.tokens, reserved.tokens, limits.tokens, count],
    ["Cost", used.usd, reserved.usd, limits.usd, usd],
  ] as const;
  const brakes = sums.flatMap(([name, spent, held, limit, text]): Brake[] => {
    if (limit === null) return [];
    const set = held > 0 ? `, ${text(held)} set aside` : "";
    const words = `${text(spent)} of ${text(limit)}${set}`;
    return [{ name, used: spent, reserved: held, limit, text: words }];
  });
  const { deadlineAt } = limits;
  if (deadlineAt === null) return brakes;
  const [gone, whole] = [Math.max(0, now - startedAt), Math.max(1, deadlineAt - startedAt)];
  const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)} min`;
  const text = gone >= whole ? "passed" : `${minutes(whole - gone)} left of ${minutes(whole)}`;
  return [...brakes, { name: "Time", used: gone, reserved: 0, limit: whole, text }];
}

/** The parts of the work in the order in which they began, with the time that each has taken. */
export interface Stage {
  readonly name: string;
  readonly jobs: number;
  readonly ms: number;
  readonly tokens: number;
  readonly usd: number;
}

export function stagesOf(jobs: readonly AgentJob[], now: number): Stage[] {
  const byStage = new Map<string, AgentJob[]>();
  for (const job of jobs) byStage.set(job.stage, [...(byStage.get(job.stage) ?? []), job]);
  const stages = [...byStage].filter(([name]) => name !== "").map(([name, own]) => {
    const { from, to } = spanOf(own, now);
    const sum = (key: "tokens" | "usd"): number => own.reduce((total, job) => total + job[key], 0);
    const has = own.some(({ startedAt }) => startedAt !== null);
    return {
      name, jobs: own.length, ms: has ? to - from : 0, tokens: sum("tokens"), usd: sum("usd"), from,
    };
  });
  return stages.sort((a, b) => a.from - b.from).map(({ from: _, ...stage }) => stage);
}
