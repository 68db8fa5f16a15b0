/**
 * Lesson 14: an attempt of a service has ended. What now?
 *
 *     exit 0 ── always ─────────────▶ again, after a delay that grows
 *            ── on-failure, never ──▶ STOPPED
 *     crash  ── always, on-failure ─▶ again, unless the window is full ──▶ FAILED
 *            ── never ──────────────▶ FAILED
 *     port taken by another ────────▶ again, and it is no crash
 *
 * The delay grows with failures in a row, and a service that was healthy for FORGIVEN_AFTER_MS
 * begins anew: one crash a week is no crash loop. The window is stricter and forgives nothing: five
 * restarts in ten minutes are five, however well the service was in between.
 *
 * Invariants: pure; a decision to give up says why.
 * Left out: another worker after so many crashes on this one: each attempt goes where there is most
 * room, which is often another worker.
 * Test: test/14-services.test.ts
 */
import { backoffDelayMs } from "#retry";
import type { RestartPolicy } from "#wire";

/** Healthy for this long, a service has shown that it can work: its failures are forgiven. */
export const FORGIVEN_AFTER_MS = 10_000;

/**
 * The part of each delay that chance decides: a quarter. Ten services that fell together with
 * their database do not come back in one moment, and the delay is still nearly what was asked for.
 */
const JITTER = 0.25;

export interface Ending {
  /**
   * `done`: exit 0. `failed`: it crashed, or its checks failed for too long. `blocked`: its port
   * is another's, and it never ran. `hopeless`: it cannot run (no such file), now or later.
   */
  readonly how: "done" | "failed" | "blocked" | "hopeless";
  /** Whether any attempt of it has been READY. */
  readonly wasReady: boolean;
  /** Attempts that ended in a row without being healthy for long, this one included: from 1. */
  readonly failures: number;
  /** When earlier restarts happened, in ms, the oldest first. */
  readonly restarts: readonly number[];
  readonly at: number;
  /** Uniform, 0 ≤ x < 1. */
  random(): number;
}

export type RestartDecision =
  | { readonly restart: true; readonly delayMs: number }
  | { readonly restart: false; readonly as: "STOPPED" | "FAILED"; readonly why: string };

/**
 * Whether a service starts again, and after how long.
 *
 * @example
 * ```ts
 * import { restartDecision } from "#services";
 * const policy = {
 *   policy: "on-failure", delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 2,
 *   windowMs: 60_000,
 * } as const;
 * const end = { how: "failed", wasReady: true, failures: 3, at: 90_000, random: () => 0 } as const;
 * restartDecision(policy, { ...end, restarts: [] }) // => { restart: true, delayMs: 4000 }
 * const last = restartDecision(policy, { ...end, restarts: [40_000, 50_000] });
 * last // => { restart: false, as: 'FAILED', why: '2 restarts in 60 s are enough' }
 * ```
 */
// #region decision
export function restartDecision(policy: RestartPolicy, end: Ending): RestartDecision {
  // #exercise restartDecision
  const { how, at, restarts, failures, random } = end;
  const backoff = { ...policy, maxAttempts: 1, jitter: JITTER };
  const delayMs = backoffDelayMs(backoff, failures, random);
  // Somebody else has the port. That says nothing about this service, so no rule about crashes is
  // asked.
  if (how === "blocked") return { restart: true, delayMs };
  if (how === "done" && policy.policy !== "always") {
    return { restart: false, as: "STOPPED", why: "it ended by itself" };
  }
  if (policy.policy === "never") return { restart: false, as: "FAILED", why: "restart: never" };
  // A missing file will be missing again. If it ran before, only this worker may lack it.
  if (how === "hopeless" && !end.wasReady) {
    return { restart: false, as: "FAILED", why: "another start would end the same way" };
  }
  const recent = restarts.filter((time) => at - time < policy.windowMs).length;
  if (policy.attempts > 0 && recent >= policy.attempts) {
    const seconds = policy.windowMs / 1000;
    return { restart: false, as: "FAILED", why: `${recent} restarts in ${seconds} s are enough` };
  }
  return { restart: true, delayMs };
  // #end-exercise
}
// #endregion
