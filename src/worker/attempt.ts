/**
 * Lesson 11: an attempt as its worker keeps it, and its end as the master is told of it.
 *
 * Test: test/11-worker.test.ts
 */
import type { ExecOutcome, Running } from "#exec";
import {
  FAILURE_KINDS, type Assignment, type AttemptKey, type FailureKind, type Report,
} from "#wire";
import type { ServiceWatch } from "./services.ts";

export interface Attempt {
  readonly assignment: Assignment;
  /** Made of all three of its numbers. */
  readonly name: string;
  running: Running | undefined;
  /** Settles when its end has been recorded, after the last of its output. */
  over: Promise<void> | undefined;
  cancelled: boolean;
  report: Report | undefined;
  /** Of a service: its health. */
  watch?: ServiceWatch;
}

export function keyOf({ run, job, attempt }: AttemptKey): AttemptKey {
  return { run, job, attempt };
}

export function nameOf({ run, job, attempt }: AttemptKey): string {
  return `${run}/${job}/${attempt}`;
}

export function reportOf({ run, job, attempt }: Assignment, outcome: ExecOutcome): Report {
  const durationMs = Math.max(0, Math.round(outcome.durationMs));
  if (outcome.status === "ok") {
    return { run, job, attempt, durationMs, failure: undefined, result: outcome.result };
  }
  const kind: FailureKind = FAILURE_KINDS.find((known) => known === outcome.kind) ?? "internal";
  // A schema bounds this text; a program's error message may be longer.
  const message = (outcome.message ?? "failed").slice(0, 4000);
  return {
    run, job, attempt, durationMs,
    result: undefined,
    failure: { kind, message, exitCode: outcome.exitCode, signal: outcome.signal },
  };
}
