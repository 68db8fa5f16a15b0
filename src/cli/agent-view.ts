/**
 * An agent run as text: its budget, its stages, its jobs as the tree in which they have added each
 * other.
 *
 * Test: test/18-agents.list.test.ts
 */
import type { AgentInfo, AgentJob, AgentReport } from "#sdk";
import { isTerminal, usdText } from "#wire";
import { durationText, oneLine, plural, timeText } from "./text.ts";

/** Jobs of a tree that are shown. After a hundred lines the reader wants --json. */
const MAX_SHOWN = 100;

type Summed = "jobs" | "steps" | "tokens" | "usd";

/** "4/40", "4.90/5.00", or what was used if there is no limit. */
export function usedText({ used, limits }: AgentInfo, what: Summed): string {
  const [spent, limit] = what === "usd"
    ? [usdText(used.usdMicros), limits.usdMicros && usdText(limits.usdMicros)]
    : [String(used[what]), limits[what]];
  return limit === undefined ? spent : `${spent}/${limit}`;
}

/** What it has used, with the limits that it has. */
export function budgetLines({ used, limits, reserved }: AgentInfo): string[] {
  const of = (spent: string, limit: string | number | undefined): string =>
    limit === undefined ? spent : `${spent} of ${limit}`;
  const usd = limits.usdMicros === undefined ? undefined : usdText(limits.usdMicros);
  const tokensHeld = reserved.tokens === 0 ? "" : ` (${reserved.tokens} reserved)`;
  const usdHeld = reserved.usdMicros === 0 ? "" : ` (${usdText(reserved.usdMicros)} reserved)`;
  const lines = [
    `jobs      ${of(String(used.jobs), limits.jobs)}`,
    `steps     ${of(String(used.steps), limits.steps)}`,
    `tokens    ${of(String(used.tokens), limits.tokens)}${tokensHeld}`,
    `usd       ${of(usdText(used.usdMicros), usd)}${usdHeld}`,
  ];
  if (limits.depth !== undefined) lines.push(`depth     at most ${limits.depth}`);
  if (limits.fanOut !== undefined) lines.push(`fan-out   at most ${limits.fanOut} for each job`);
  if (limits.deadlineAt !== undefined) lines.push(`deadline  ${timeText(limits.deadlineAt)}`);
  return lines;
}

/** Stages in the order in which they began. */
export function stageRows(jobs: readonly AgentJob[], now: number): string[][] {
  const stages = new Map<string, AgentJob[]>();
  for (const job of jobs) {
    const known = stages.get(job.stage);
    if (known === undefined) stages.set(job.stage, [job]);
    else known.push(job);
  }
  return [...stages].map(([stage, own]) => {
    const sum = (of: (job: AgentJob) => number): number =>
      own.reduce((total, job) => total + of(job), 0);
    const over = own.filter(({ status }) => isTerminal(status)).length;
    const began = own.flatMap(({ startedAt }) => startedAt ?? []);
    const ended = own.map(({ endedAt, status }) => (isTerminal(status) ? (endedAt ?? 0) : now));
    const took = began.length === 0 ? "" : durationText(Math.max(...ended) - Math.min(...began));
    return [
      stage, `${over}/${own.length}`, String(sum(({ steps }) => steps)),
      String(sum(({ tokens }) => tokens)),
      usdText(sum(({ usdMicros }) => usdMicros)), took,
    ];
  });
}

/** Each job below the one that has added it. */
export function treeLines({ jobs }: AgentReport, now: number): string[] {
  const children = new Map<string, AgentJob[]>();
  const keyOf = (run: string, index: number): string => `${run}/${index}`;
  const roots: AgentJob[] = [];
  for (const job of jobs) {
    if (job.spawner === undefined) roots.push(job);
    else {
      const key = keyOf(job.run, job.spawner);
      children.set(key, [...(children.get(key) ?? []), job]);
    }
  }
  const lines: string[] = [];
  const work = roots.map((job) => ({ job, depth: 0 })).reverse();
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    const { job, depth } = next;
    if (lines.length === MAX_SHOWN) {
      lines.push(`… and ${jobs.length - MAX_SHOWN} more (--json has all)`);
      break;
    }
    lines.push(`${"  ".repeat(depth)}${jobLine(job, now)}`);
    const own = children.get(keyOf(job.run, job.index)) ?? [];
    work.push(...own.map((child) => ({ job: child, depth: depth + 1 })).reverse());
  }
  return lines;
}

function jobLine(job: AgentJob, now: number): string {
  const { run, id, status, startedAt, endedAt, steps, usdMicros, reason } = job;
  const facts: string[] = [];
  if (startedAt !== undefined) facts.push(durationText((endedAt ?? now) - startedAt));
  if (steps > 0) facts.push(plural(steps, "step"));
  if (usdMicros > 0) facts.push(`${usdText(usdMicros)} USD`);
  const why = reason === "" ? "" : `: ${oneLine(reason)}`;
  const shown = facts.length === 0 ? "" : ` (${facts.join(", ")})`;
  return `${run}/${id} ${status}${shown}${why}`;
}
