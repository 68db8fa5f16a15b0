/**
 * Lesson 17: the keys that make a run an agent run (lesson 18 says what they mean).
 *
 *     agent_run_id: research-7k2m     part of this group
 *     agent:                          the full form
 *       id: research
 *       budget: {jobs: 40, depth: 3, fan_out: 10, steps: 500, tokens: 2e6, usd: 5, deadline: 2h}
 *
 * Invariant: a limit that is returned is 1 or more, and the master takes it.
 * Test: test/17-pipelines.agent.test.ts
 */
import type { YamlNode } from "#yaml";
import { describe, type Fields } from "./fields.ts";
import {
  MAX_COUNT_BUDGET, MAX_DEPTH_BUDGET, MAX_GROUP_CHARS, MAX_TOKENS_BUDGET, MAX_USD_BUDGET,
  MICROS_PER_USD,
} from "./limits.ts";
import type { AgentDefinition, BudgetDefinition } from "./types.ts";

export const AGENT_KEYS = ["id", "budget"] as const;
export const BUDGET_KEYS = [
  "jobs", "depth", "fan_out", "steps", "tokens", "usd", "deadline",
] as const;

const GROUP = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${MAX_GROUP_CHARS - 1}}$`);

export function readAgent(fields: Fields): AgentDefinition | undefined {
  if (!fields.has("agent")) {
    const id = readGroup(fields, "agent_run_id");
    return id === undefined ? undefined : { id, budget: {} };
  }
  if (fields.has("agent_run_id")) {
    fields.refuse("CONFLICT", "agent_run_id", 'stands beside "agent": write id there');
  }
  const own = fields.map("agent", AGENT_KEYS);
  if (own === undefined) return undefined;
  const id = readGroup(own, "id");
  return { ...(id !== undefined && { id }), budget: readBudget(own) };
}

function readGroup(fields: Fields, key: string): string | undefined {
  const text = fields.text(key, { maxBytes: MAX_GROUP_CHARS });
  if (text === undefined || GROUP.test(text)) return text;
  const rule = 'must begin with a letter or digit and go on with letters, digits, "_", "." or "-"';
  return fields.refuse("BAD_VALUE", key, `${rule}, found ${describe(nodeOf(fields, key))}`);
}

function readBudget(agent: Fields): BudgetDefinition {
  const own = agent.map("budget", BUDGET_KEYS);
  if (own === undefined) return {};
  const count = (key: string, max: number): number | undefined => {
    return own.number(key, { min: 1, max, whole: true });
  };
  const limits = {
    jobs: count("jobs", MAX_COUNT_BUDGET),
    depth: count("depth", MAX_DEPTH_BUDGET),
    fanOut: count("fan_out", MAX_COUNT_BUDGET),
    steps: count("steps", MAX_COUNT_BUDGET),
    tokens: count("tokens", MAX_TOKENS_BUDGET),
    usdMicros: readUsd(own),
    deadlineMs: readDeadline(own),
  };
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));
}

/** Whole millionths: whatever would be rounded is refused, as with durations. */
function readUsd(own: Fields): number | undefined {
  const usd = own.number("usd", { min: 0, max: MAX_USD_BUDGET, whole: false });
  if (usd === undefined) return undefined;
  const micros = Math.round(usd * MICROS_PER_USD);
  const found = describe(nodeOf(own, "usd"));
  if (usd === 0) {
    const what = `must be more than 0, found ${found}: leave the key out for no limit`;
    return own.refuse("OUT_OF_RANGE", "usd", what, nodeOf(own, "usd"));
  }
  if (micros === 0 || Math.abs(micros - usd * MICROS_PER_USD) > 1e-3) {
    const what = `cannot be finer than a millionth, found ${found}`;
    return own.refuse("BAD_VALUE", "usd", what, nodeOf(own, "usd"));
  }
  return micros;
}

function readDeadline(own: Fields): number | undefined {
  const ms = own.duration("deadline");
  if (ms !== 0) return ms;
  const what = "must be more than 0: nothing could run";
  return own.refuse("OUT_OF_RANGE", "deadline", what, nodeOf(own, "deadline"));
}

function nodeOf(fields: Fields, key: string): YamlNode {
  return fields.value(key) as YamlNode;
}
