/**
 * Lesson 17: a pipeline once it has been read: plain data, every default filled in.
 *
 * Invariants: durations are whole milliseconds; `dependsOn` and `affinity` name jobs of the same
 * pipeline; the graph has no cycle; nothing here depends on how the text was laid out.
 * Test: test/17-pipelines.test.ts
 */

export interface PipelineDefinition {
  name: string;
  version?: string;
  /** Pack the folder around the file and ship it. */
  project: boolean;
  /** The file says `project: true`: ship the folder even if no job seems to need it. */
  projectWritten?: boolean;
  /** It is an agent run, or part of one. */
  agent?: AgentDefinition;
  jobs: JobDefinition[];
  /** Legal, but probably a mistake. One line each. */
  warnings: string[];
}

export interface AgentDefinition {
  /** The group that it is part of. Absent: it is one by itself. */
  id?: string;
  budget: BudgetDefinition;
}

/** Absent: no limit. */
export interface BudgetDefinition {
  jobs?: number;
  depth?: number;
  fanOut?: number;
  steps?: number;
  tokens?: number;
  usdMicros?: number;
  /** From the submission of the group's first run. */
  deadlineMs?: number;
}

export type ShellName = "sh" | "bash" | "python3" | "node";

export type ActionDefinition =
  /** A file of the project; its ending says which program runs it. */
  | { type: "file"; file: string; args: string[] }
  /** A program and its arguments, seen by no shell. */
  | { type: "command"; argv: string[] }
  /** `shell` is absent for `sh`. */
  | { type: "shell"; script: string; shell?: Exclude<ShellName, "sh"> }
  /**
   * `path/module.js#function` (or a built-in: `titan:noop`, `titan:echo` …), with an input that
   * JSON can hold.
   */
  | { type: "call"; target: string; input: unknown };

export interface RetryDefinition {
  /** 1: no second attempt. */
  maxAttempts: number;
  delayMs: number;
  /** Each delay is this many times the one before. */
  backoff: number;
  maxDelayMs: number;
  /** 0 to 1: how much of a delay is left to chance. */
  jitter: number;
}

export interface FieldDefinition {
  name: string;
  type: "text" | "number" | "choice" | "boolean";
  label: string;
  choices: string[];
  default: string | undefined;
  required: boolean;
}

export interface GateRulesDefinition {
  form: FieldDefinition[];
  /** Empty: everybody may answer. */
  approvers: string[];
  required: number;
  onTimeout: "reject" | "approve" | "skip";
  selfApproval: boolean;
  /** How people hear of it. Undefined: they look for themselves. */
  notify: NotifyDefinition | undefined;
}

export type NotifyDefinition =
  | { type: "command"; argv: string[] }
  | { type: "webhook"; url: string };

export interface GateDefinition {
  message: string;
  maxWaitMs: number;
  /** Absent: everybody may answer, once, with yes or no. */
  rules?: GateRulesDefinition;
}

export type CheckDefinition =
  /** Its port takes a connection. */
  | { readonly type: "tcp" }
  /** GET of this path answers 2xx. */
  | { readonly type: "http"; readonly path: string }
  /** This program exits with 0. */
  | { readonly type: "command"; readonly argv: readonly string[] };

export interface HealthDefinition {
  readonly check: CheckDefinition;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  readonly startPeriodMs: number;
}

export interface RestartDefinition {
  readonly policy: "always" | "on-failure" | "never";
  readonly delayMs: number;
  readonly backoff: number;
  readonly maxDelayMs: number;
  /** Restarts within the window; 0: no limit. */
  readonly attempts: number;
  readonly windowMs: number;
}

export interface ServiceDefinition {
  /** Absent: the worker chooses one. */
  readonly port?: number;
  readonly health: HealthDefinition;
  readonly restart: RestartDefinition;
  readonly replicas: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopGraceMs: number;
}

export interface JobDefinition {
  /** `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}` */
  id: string;
  action: ActionDefinition;
  dependsOn: string[];
  /** Every tag must match; none: any worker will do. */
  requirement: string[];
  /** Higher first. */
  priority: number;
  delayMs: number;
  /** The parent on whose worker it wants to run. */
  affinity: string | undefined;
  when: "success" | "failure" | "always";
  /** 0: no limit. */
  timeoutMs: number;
  retry: RetryDefinition;
  env: Record<string, string>;
  /** A pause behind this job, until a person decides. */
  gate: GateDefinition | undefined;
  /** The job is meant to keep running. */
  service?: ServiceDefinition;
  /** Files that it hands on, and files that it is given. */
  files?: FilesDefinition;
}

export interface FilesDefinition {
  /** Paths in the folder of the job. */
  readonly outputs: readonly string[];
  readonly inputs: readonly InputDefinition[];
}

/** An output of another job, and where it is laid out. Default: at the same path. */
export interface InputDefinition {
  readonly job: string;
  readonly path: string;
  readonly as?: string;
}
