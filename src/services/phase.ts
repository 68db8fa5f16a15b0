/**
 * Lesson 14: the life of a service, as a table.
 *
 *               ┌──────────── starts ────────────┐
 *               ▼                                │
 *     ┌─▶ STARTING ──healthy──▶ READY ──restarts─┤
 *     │      │  │               ▲  │             │
 *     │      │  └─unhealthy─┐ healthy unhealthy  RESTARTING
 *     │      │              ▼   │  ▼             ▲
 *     │      │            UNHEALTHY ──restarts───┤
 *     │      └────────────restarts───────────────┘
 *     └── starts ── STOPPED, FAILED ◀── stops, fails ── from everywhere
 *
 * Invariants: READY comes only from a check that passed in this attempt; an end is left only by a
 * start, which a person asked for.
 * Test: test/14-services.test.ts
 */
import type { ServicePhase } from "#wire";

/** What happened to a service. */
export type PhaseNews = "starts" | "healthy" | "unhealthy" | "restarts" | "stops" | "fails";

// #region phases
const RUNS = { restarts: "RESTARTING", stops: "STOPPED", fails: "FAILED" } as const;

const STEPS: Readonly<Record<ServicePhase, Partial<Record<PhaseNews, ServicePhase>>>> = {
  STARTING: { ...RUNS, healthy: "READY", unhealthy: "UNHEALTHY" },
  READY: { ...RUNS, unhealthy: "UNHEALTHY" },
  UNHEALTHY: { ...RUNS, healthy: "READY" },
  // Between two attempts nobody is there who could be healthy: such news is late.
  RESTARTING: { starts: "STARTING", stops: "STOPPED", fails: "FAILED" },
  STOPPED: { starts: "STARTING" },
  FAILED: { starts: "STARTING" },
};

/**
 * The phase after some news. Undefined: there is no such step, because the news is late, or nothing
 * new.
 *
 * @example
 * ```ts
 * import { nextPhase } from "#services";
 * nextPhase("STARTING", "healthy") // => 'READY'
 * nextPhase("RESTARTING", "healthy") // => undefined
 * ```
 */
export function nextPhase(
  phase: ServicePhase | undefined, news: PhaseNews,
): ServicePhase | undefined {
  // #exercise nextPhase
  if (phase === undefined) return news === "starts" ? "STARTING" : undefined;
  return STEPS[phase][news];
  // #end-exercise
}
// #endregion
