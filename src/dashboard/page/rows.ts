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

/** A job, or a replica of a service, that lives on a worker. */
export interface WorkerJob {
  readonly run: string;
  readonly job: string;
  readonly attempt: number;
  readonly startedAt: number;
  readonly service: { readonly name: string; readonly state: string } | null;
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
  readonly beatLateMs: number | null;
  readonly beatLateMaxMs: number | null;
  readonly pool: string | null;
  /** Since it was heard of last. */
  readonly heardMs: number | null;
  /** Those that came first: `running` says how many there are. */
  readonly jobs: readonly WorkerJob[];
  readonly state: "ready" | "busy" | "away" | "draining" | "drained";
}

export interface Launch {
  readonly name: string;
  readonly state: string;
  readonly orderedAt: number;
  readonly handle: string | null;
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
  readonly lastFailure: string | null;
  readonly workers: readonly Launch[];
}

export interface GateField {
  readonly name: string;
  readonly type: "text" | "number" | "choice" | "boolean";
  /** Empty: its name. */
  readonly label: string;
  readonly choices: readonly string[];
  readonly default?: string;
  readonly required: boolean;
}

export interface Gate {
  /** RUN/JOB, or RUN/JOB#2 after a retry, or RUN/JOB:KEY */
  readonly id: string;
  readonly message: string;
  readonly openedAt: number;
  readonly deadline: number;
  readonly submitter: string;
  readonly form: readonly GateField[];
  readonly approvers: readonly string[];
  readonly required: number;
  readonly onTimeout: "reject" | "approve" | "skip";
  readonly result: unknown;
  readonly approvals: readonly { by: string; comment: string; at: number }[];
}

export interface GateAnswer {
  readonly gate: string;
  readonly approved: boolean;
  readonly skipped?: boolean;
  readonly by: string;
  readonly already: boolean;
  readonly missing: number;
}

export interface Replica {
  readonly job: string;
  readonly worker: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly pid: number | null;
  readonly state: string;
  readonly restarts: number;
  readonly attempt: number;
  readonly since: number | null;
  readonly uptimeMs: number | null;
  readonly reason: string;
  readonly lastFailure: Failure | null;
}

export interface Service {
  readonly name: string;
  readonly run: string;
  readonly job: string;
  readonly deployed: boolean;
  readonly version?: number;
  readonly current: boolean;
  readonly state: string;
  readonly replicas: readonly Replica[];
}

export interface Limits {
  readonly jobs: number | null;
  readonly depth: number | null;
  readonly fanOut: number | null;
  readonly steps: number | null;
  readonly tokens: number | null;
  readonly usd: number | null;
  readonly deadlineAt: number | null;
}

export interface Agent {
  readonly id: string;
  readonly status: RunStatus;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly limits: Limits;
  readonly used: {
    readonly jobs: number; readonly steps: number; readonly tokens: number; readonly usd: number;
  };
  readonly reserved: { readonly tokens: number; readonly usd: number };
  readonly runs: number;
  readonly jobs: Readonly<Partial<Record<JobStatus, number>>>;
  /** Questions that are open. */
  readonly questions: number;
  readonly reason: string;
}

export interface AgentJob {
  readonly run: string;
  readonly id: string;
  readonly status: JobStatus;
  readonly attempt: number;
  readonly stage: string;
  /** The job of the same run that has added it. */
  readonly spawner: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly reason: string;
  readonly steps: number;
  readonly tokens: number;
  readonly usd: number;
}

/** A step of a job, as its journal has it. */
export interface Step {
  /** NAME#N */
  readonly step: string;
  readonly job: string;
  readonly status: "STARTED" | "DONE" | "FAILED";
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly result: unknown;
  readonly blob: { readonly size: number } | null;
  readonly failure: string;
  readonly usage: {
    readonly tokensIn: number; readonly tokensOut: number; readonly usd: number;
  } | null;
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
