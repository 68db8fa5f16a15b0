/**
 * Lesson 13: what a snapshot says of pools that ever had a worker, and of those of their workers
 * that are not gone.
 *
 * Test: test/10-master.launches.test.ts
 */
import { enumOf, list, message, optional, string, u32, u53, withDefault, type Infer } from "#codec";
import { MAX_DOWN_WORD_BYTES, MAX_DOWN_WORDS, MAX_HANDLE_BYTES } from "#scaling";
import { LAUNCH_PHASES } from "#wire";
import type { State } from "./state.ts";

export const PoolPart = message("PoolRecord", {
  name: [1, string(64)], launched: [2, u53()], failures: [3, u53()], judgedAt: [4, u53()],
  grewAt: [5, optional(u53())], failure: [6, withDefault(string(32 * 1024), "")],
});
type PoolPart = Infer<typeof PoolPart>;

export const LaunchPart = message("LaunchRecord", {
  name: [1, string(256)], pool: [2, string(64)], orderedAt: [3, u53()],
  down: [4, list(string(MAX_DOWN_WORD_BYTES), MAX_DOWN_WORDS)],
  lostAt: [5, withDefault(u53(), 0)], handle: [6, withDefault(string(MAX_HANDLE_BYTES), "")],
  phase: [7, enumOf(...LAUNCH_PHASES)], worker: [8, withDefault(u32(), 0)],
  reason: [9, withDefault(string(16 * 1024), "")],
});
type LaunchPart = Infer<typeof LaunchPart>;

export function* poolParts(
  { pools, launches }: State,
): Generator<({ type: "Pool" } & PoolPart) | ({ type: "Launch" } & LaunchPart)> {
  for (const { open: _, history, ...pool } of pools.values()) {
    yield { type: "Pool", ...pool, grewAt: undefined, ...history };
  }
  for (const launch of launches.values()) {
    yield { type: "Launch", ...launch, down: [...launch.down] };
  }
}

export function addPool(state: State, part: PoolPart): void {
  const { name, launched, failure, failures, judgedAt, grewAt } = part;
  const history = { failures, judgedAt, ...(grewAt !== undefined && { grewAt }) };
  state.pools.set(name, { name, launched, failure, history, open: 0 });
}
