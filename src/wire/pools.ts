/**
 * Pools of workers, as people see them, and the wish to start or to end a worker of one (lesson
 * 13).
 *
 * Test: test/13-scaling.cli.test.ts
 */
import { enumOf, list, message, string, u32, u53, withDefault, type Infer } from "#codec";
import { MAX_ROWS, name, sentence } from "./fields.ts";

/** A launch that is gone has no phase: it is not listed any more. */
export const LAUNCH_PHASES = ["starting", "running", "retiring", "stopping"] as const;
export type LaunchPhase = (typeof LAUNCH_PHASES)[number];

/** A worker of a pool, from the order to its end. */
export const LaunchInfo = message("LaunchInfo", {
  name: [1, name],
  state: [2, enumOf(...LAUNCH_PHASES)],
  orderedAt: [3, u53()],
  /** What its starter has answered. Empty: nothing yet. */
  handle: [4, withDefault(string(1024), "")],
  /** Why it was ordered, or is to end. */
  reason: [5, withDefault(sentence, "")],
  pool: [6, name],
});
export type LaunchInfo = Infer<typeof LaunchInfo>;

export const PoolInfo = message("PoolInfo", {
  name: [1, name],
  tags: [2, list(string(64), 64)],
  slots: [3, u32()],
  min: [4, u32()],
  max: [5, u32()],
  /** Those that run, that are starting, and that it would start if it could. */
  wanted: [6, u32()],
  running: [7, u32()],
  starting: [8, u32()],
  leaving: [9, u32()],
  why: [10, sentence],
  driver: [11, enumOf("process", "command")],
  /** Starts that failed in a row, and the latest that ever did. */
  failures: [12, u32()],
  lastFailure: [13, withDefault(sentence, "")],
});
export type PoolInfo = Infer<typeof PoolInfo>;
/** POOLS answers with a stream of pages: pools, then all their workers. */
export const PoolPage = message("PoolPage", {
  pools: [1, list(PoolInfo, MAX_ROWS)],
  launches: [2, list(LaunchInfo, MAX_ROWS)],
});

export const LaunchWorker = message("LaunchWorker", {
  pool: [1, name],
  /** The person who asks. */
  by: [2, withDefault(name, "")],
});
export const Launched = message("Launched", { name: [1, name] });
export const RetireWorker = message("RetireWorker", {
  worker: [1, name],
  by: [2, withDefault(name, "")],
});
/** The worker that was meant, and the number of attempts that run there. */
export const Retired = message("Retired", {
  name: [1, name], pool: [2, name], running: [3, u32()],
});
export type Retired = Infer<typeof Retired>;
