/**
 * Lesson 10: what every decider gets beside the state and the command, and how one says no.
 *
 * Invariants: a refusal leaves no trace; its message says what was being done and what was found.
 * Test: test/10-master.test.ts
 */
import type { AttemptKey, Notify } from "#wire";
import type { ArtifactLimits } from "./limits.ts";
import { DEFAULT_LIMITS, type MemoryLimits } from "./memory.ts";

/** All that a decision may know of the world. */
export interface Context {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** A fraction, 0 ≤ x < 1, for the letters of a run's id. */
  random(): number;
  /** What this process may hold. Default: what one with a heap of 4 GiB may. */
  readonly memory?: MemoryLimits;
  /**
   * Workers that the log knows may still come back to a master that has just started, and say how
   * their services are: until this moment. Default: nobody is waited for.
   */
  readonly returnsUntil?: number | undefined;
  /** What artifacts may take of the disk. Default: DEFAULT_ARTIFACT_LIMITS. */
  readonly artifacts?: ArtifactLimits | undefined;
  /** Why this master does not tell people of a gate in this way, in words. Default: it does. */
  readonly mayNotify?: ((notify: Notify) => string | undefined) | undefined;
  /** How many forwarded connections an attempt of a service has. Default: none. */
  readonly connections?: ((attempt: AttemptKey) => number) | undefined;
}

export function limitsOf({ memory = DEFAULT_LIMITS }: Context): MemoryLimits {
  return memory;
}

/** A command that was refused, in terms that a client can act on. Nothing has changed. */
export class Refusal extends Error {
  readonly code:
    | "NOT_FOUND" | "CONFLICT" | "INVALID" | "UNSCHEDULABLE" | "OVERLOADED" | "BUDGET" | "LIMIT";
  constructor(code: Refusal["code"], message: string) {
    super(message);
    this.name = "Refusal";
    this.code = code;
  }
}
