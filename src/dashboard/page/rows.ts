/**
 * Lesson 19: the rows of the interface, as `titan … --json` and `/api/v1` have them (src/rows).
 * Types only. Times are milliseconds since 1970 UTC by the master's clock; unknown is null.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
export type JobStatus =
  "PENDING" | "RUNNING" | "WAITING" | "COMPLETED" | "FAILED" | "DEAD" | "CANCELLED" | "SKIPPED";
export type RunStatus = string;

export interface Run {
  readonly id: string;
  readonly name: string;
  readonly status: RunStatus;
  readonly submittedAt: number;
  readonly endedAt: number | null;
  readonly cancelling: boolean;
  readonly jobs: Readonly<Partial<Record<JobStatus, number>>>;
  readonly reason?: string;
}

export interface Failure {
  readonly kind: string;
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
}

export interface Job {
  readonly id: string;
  readonly status: JobStatus;
  readonly attempt: number;
  readonly worker: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly tookMs: number | null;
  readonly waitedMs: number | null;
  readonly retryAt: number | null;
  readonly reason: string;
  readonly cancelling: boolean;
  /** Ids of parents; a parent whose id is unknown here is its number. */
  readonly dependsOn: readonly (string | number)[];
  readonly decision: Readonly<Record<string, unknown>> | null;
  readonly failure: Failure | null;
  readonly result: unknown;
  readonly outputLost: number;
  readonly outputProblem: string | null;
  readonly service?: Readonly<Record<string, unknown>>;
  readonly paused?: string;
}

export interface Worker {
  readonly id: number;
  readonly name: string;
  readonly tags: readonly string[];
  readonly slots: number;
  readonly running: number;
  readonly draining: boolean;
  readonly connected: boolean;
  readonly remote: string;
  readonly joinedAt: number;
  readonly version: string;
  readonly beatLateMs?: number;
  readonly beatLateMaxMs?: number;
  readonly pool?: string;
  readonly state: "ready" | "busy" | "away" | "draining" | "drained";
}

export interface Launch {
  readonly name: string;
  readonly state: string;
  readonly orderedAt: number;
  readonly handle?: string;
  readonly reason: string;
}

export interface Pool {
  readonly name: string;
  readonly tags: readonly string[];
  readonly slots: number;
  readonly min: number;
  readonly max: number;
  readonly wanted: number;
  readonly running: number;
  readonly starting: number;
  readonly leaving: number;
  readonly why: string;
  readonly driver: string;
  readonly failures: number;
  readonly lastFailure?: string;
  readonly workers: readonly Launch[];
}

export interface Info {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly now: number;
  readonly state: string;
  readonly runs: number;
  readonly workers: number;
  /** Why nothing new is taken; empty: it is. */
  readonly full: string;
}

export interface Gate {
  /** RUN/JOB */
  readonly id: string;
  readonly message: string;
  readonly openedAt: number;
  readonly deadline: number;
}

/** An event of the log. */
export interface Fact {
  readonly seq: number;
  readonly at: number;
  readonly type: string;
  readonly run?: string;
  readonly job?: string;
  readonly [field: string]: unknown;
}
