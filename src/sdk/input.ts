/**
 * Lesson 17: a pipeline as a program writes it: keys and rules of the YAML form, with types.
 *
 * The types help while writing. `definePipeline` decides, and takes any value (builder.ts).
 *
 * Test: test/sdk.test.ts
 */
/** A number is seconds; a text has a unit: `"90s"`, `"10m"`, `"2h"`. */
type Duration = number | string;

/** A field that somebody who approves fills in. With `choices` its type is choice, else text. */
interface FieldInput {
  readonly name: string;
  readonly type?: "text" | "number" | "choice" | "boolean";
  readonly label?: string;
  readonly choices?: readonly string[];
  readonly default?: string | number | boolean;
  readonly required?: boolean;
}

/** How people hear that a gate is open. The address may be a variable: `$TITAN_NOTIFY_OPS`. */
type NotifyInput = { readonly command: readonly string[] } | { readonly webhook: string };

export interface JobInput {
  readonly id: string;
  /** A service is meant to keep running. */
  readonly type?: "run" | "service";
  /** One of `run`, `command`, `file` and `call` is the action of the job. */
  readonly run?: string;
  readonly shell?: "sh" | "bash" | "python3" | "node";
  readonly command?: readonly string[];
  readonly file?: string;
  readonly args?: string | readonly string[];
  readonly call?: string;
  readonly input?: unknown;
  readonly with?: unknown;
  readonly depends_on?: string | readonly string[];
  readonly needs?: string | readonly string[];
  readonly requirement?: string | readonly string[];
  readonly priority?: number;
  readonly delay?: Duration;
  /** `true`: where the first parent ran. */
  readonly affinity?: boolean | string;
  readonly hitl_message?: string;
  readonly max_wait_seconds?: Duration;
  /** The full form of a gate. */
  readonly hitl?: {
    readonly message: string;
    readonly form?: readonly FieldInput[];
    readonly approvers?: string | readonly string[];
    readonly required?: number;
    readonly timeout?: Duration;
    readonly on_timeout?: "reject" | "approve" | "skip";
    readonly self_approval?: boolean;
    readonly notify?: NotifyInput;
  };
  readonly retries?: number;
  readonly retry?: {
    readonly max_attempts?: number;
    readonly delay?: Duration;
    readonly backoff?: number;
    readonly max_delay?: Duration;
    readonly jitter?: number;
  };
  readonly timeout?: Duration;
  readonly env?: Readonly<Record<string, string>>;
  readonly when?: "success" | "failure" | "always";
  /** Of a service: its port. Without one, it gets a free one in TITAN_PORT. */
  readonly port?: number;
  readonly healthcheck?: "tcp" | {
    readonly tcp?: true;
    readonly http?: string;
    readonly command?: readonly string[];
    readonly interval?: Duration;
    readonly timeout?: Duration;
    readonly healthy_after?: number;
    readonly unhealthy_after?: number;
    readonly start_period?: Duration;
  };
  readonly restart?: RestartWord | {
    readonly policy?: RestartWord;
    readonly delay?: Duration;
    readonly backoff?: number;
    readonly max_delay?: Duration;
    readonly attempts?: number;
    readonly window?: Duration;
  };
  readonly replicas?: number;
  /** Files of its folder that it hands on, after a success. */
  readonly outputs?: string | readonly string[];
  /** Outputs of jobs before it, laid out in its folder before it starts. */
  readonly inputs?: readonly {
    readonly job: string;
    readonly path: string;
    /** Default: `path`. */
    readonly as?: string;
  }[];
  readonly stop_grace?: Duration;
}

type RestartWord = "always" | "on-failure" | "never";

export interface PipelineInput {
  readonly name: string;
  readonly version?: string;
  readonly project?: boolean;
  /** For the jobs that name no shell of their own. */
  readonly shell?: JobInput["shell"];
  /** It is an agent run: what it may spend, together with all runs of the same id. */
  readonly agent?: {
    readonly id?: string;
    readonly budget?: {
      readonly jobs?: number;
      readonly depth?: number;
      readonly fan_out?: number;
      readonly steps?: number;
      readonly tokens?: number;
      readonly usd?: number;
      readonly deadline?: Duration;
    };
  };
  /** Short for an agent with this id. */
  readonly agent_run_id?: string;
  readonly jobs: readonly JobInput[];
}
