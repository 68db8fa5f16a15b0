/**
 * Lesson 18: what a snapshot has of a job that has added jobs, asked people, or waits in the middle
 * of its work.
 *
 * Left out: which job has added one. That is in the record of the one that did.
 * Test: test/18-agents.waits.test.ts
 */
import { bool, bytes, list, message, optional, string, u32, u53, withDefault } from "#codec";
import {
  Decision, Gate, GateVote, MAX_ASKS, MAX_KEY_BYTES, MAX_SPAWNS, MAX_VOTES, MAX_WAITS, Notice, Wait,
} from "#wire";
import type { AgentRecord } from "./state.ts";

const key = string(MAX_KEY_BYTES);

export const AgentPart = message("AgentRecord", {
  spawns: [1, list(message("SpawnRecord", {
    key: [1, key], digest: [2, bytes(32)], from: [3, u32()], count: [4, u32()],
    stage: [5, withDefault(key, "")],
  }), MAX_SPAWNS)],
  asks: [2, list(message("AskRecord", {
    key: [1, key], gate: [2, Gate], attempt: [3, u32()], deadline: [4, u53()],
    votes: [5, list(GateVote, MAX_VOTES)], decision: [6, optional(Decision)],
    notice: [52, optional(Notice)],
  }), MAX_ASKS)],
  waits: [3, list(Wait, MAX_WAITS)],
  pauses: [4, withDefault(u32(), 0)],
  retried: [5, withDefault(bool(), false)],
});

/** Without views into the block that it was read from (lesson 02). */
export function ownAgent(agent: AgentRecord): AgentRecord {
  const spawns = agent.spawns.map((each) => ({ ...each, digest: Buffer.from(each.digest) }));
  return { ...agent, spawns };
}
