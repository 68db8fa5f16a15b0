/**
 * Lesson 18: what a program finds that runs as a job, and imports `job` from
 * "titan-orchestrator/job".
 *
 * Test: test/18-agents.steps.test.ts
 */
import type { StoreClient } from "#store";
import type { OnAmbiguous, StepEffect } from "#wire";
import type { JobInput } from "./input.ts";
import type { JobArtifacts } from "./job-artifacts.ts";
import type {
  Answer, HoldOptions, Question, SettledJob, SpawnedJobs, SpawnOptions,
} from "./job-waits.ts";

export interface StepOptions {
  /**
   * What a second call does: nothing (`read`), no more than one (`idempotent`), or damage (`once`).
   * Default: `idempotent`.
   */
  readonly effect?: StepEffect;
  /**
   * What happens to a step that was begun, and of which nobody knows how it ended. Default:
   * `retry`, and `ask` for a step with effect `once`.
   */
  readonly onAmbiguous?: OnAmbiguous;
  /** What it may cost at most: taken from the budget of the run before it begins. */
  readonly reserve?: { readonly tokens?: number; readonly usdMicros?: number };
}

/** What the function of a step is handed. */
export interface StepCall {
  /** The same whenever this step is run: for services that know a call again. */
  readonly idempotencyKey: string;
  /** Text for people who watch: output of the job, at once. */
  emit(text: string): void;
  /** What the step has cost. Said more than once, numbers are added up. */
  usage(cost: StepCost): void;
}

export interface StepCost {
  readonly model?: string;
  readonly tokensIn?: number;
  readonly tokensOut?: number;
  /** Millionths of a US dollar. */
  readonly usdMicros?: number;
  readonly ms?: number;
}

export interface JobContext {
  /** The id of the run, and of the job in it. */
  readonly run: string;
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
  /** The result of a parent; without a name the results of all, by their names. */
  input<T = unknown>(parent?: string): T;
  /** Hands a value on to the jobs behind this one: JSON, at most 64 KiB. The last one counts. */
  output(value: unknown): Promise<void>;
  /** A line of output. */
  log(text: string): void;
  /**
   * A durable step: `fn` runs, and its result is kept. In a later attempt it is not run again, and
   * the result is there at once. The result is JSON, at most 64 MiB.
   *
   * @throws {StepError} STEP_CHANGED, AMBIGUOUS, GIVEN_UP, UNFIT, NESTED
   * @throws what `fn` throws: the step has failed, and the next attempt runs it again
   */
  step<T>(
    name: string, input: unknown, fn: (call: StepCall) => Promise<T> | T, options?: StepOptions,
  ): Promise<T>;
  /**
   * Adds jobs to the own run; parents may be jobs that the run has already. The same key adds
   * nothing again, in this attempt and in every later one.
   *
   * @throws {RpcError} LIMIT (1,000 jobs at once, 8 deep), CONFLICT (other jobs under this key)
   */
  spawn(key: string, jobs: readonly JobInput[], options?: SpawnOptions): Promise<SpawnedJobs>;
  /**
   * Waits for jobs, and gives what they have handed in. While nothing else is under way this
   * process ends, and gives its slot back; another attempt comes to the same place.
   *
   * @throws {JobFailed} one of them did not complete
   */
  results<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options?: HoldOptions,
  ): Promise<T[]>;
  /** The same, and says of each job how it has ended. */
  settled<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options?: HoldOptions,
  ): Promise<SettledJob<T>[]>;
  /** Asks people, and waits for the answer as for jobs. */
  ask(key: string, question: Question, options?: HoldOptions): Promise<Answer>;
  /** Goes on after so many milliseconds, counted from the first attempt that came here. */
  sleep(key: string, ms: number, options?: HoldOptions): Promise<void>;
  /** Files: those of this run, and those that are kept by their names. */
  readonly artifact: JobArtifacts;
  /** The store of the cluster, if it has one. */
  readonly store: Promise<StoreClient>;
  /** Aborted when the job is to end: cancelled, timed out, or its worker stops. */
  readonly cancelled: AbortSignal;
}

export type StepErrorCode =
  /** The same name stood for another input before. */
  | "STEP_CHANGED"
  /** It may have happened, and was not to be tried again. */
  | "AMBIGUOUS"
  /** A person has given it up. */
  | "GIVEN_UP"
  /** Its input or its result cannot be kept. */
  | "UNFIT"
  /** It was called inside the function of another step. */
  | "NESTED";

/** Why a step has no result. The message says it in words. */
export class StepError extends Error {
  override readonly name = "StepError";
  readonly code: StepErrorCode;

  constructor(code: StepErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
