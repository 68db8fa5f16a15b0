/**
 * Lesson 18: what an agent needs of the job that it runs in. The `job` of "titan-orchestrator/job"
 * has it; so has the fake of the tests.
 *
 * Test: test/18-agents.test.ts
 */
import type { JobInput } from "#sdk";

export type Effect = "read" | "idempotent" | "once";

/** What a step's function is handed. */
export interface StepCall {
  /** The same at every try of this step. */
  readonly idempotencyKey: string;
  /** Text for people who watch. It is output of the job, and no event. */
  emit(text: string): void;
  usage(cost: StepUsage): void;
}

export interface StepUsage {
  readonly model?: string;
  readonly tokensIn?: number;
  readonly tokensOut?: number;
  readonly usdMicros?: number;
}

export interface StepOptions {
  readonly effect?: Effect;
  /** What the step may cost at most: taken from the run's budget before it, settled after it. */
  readonly reserve?: { readonly tokens?: number; readonly usdMicros?: number };
}

export interface AskField {
  readonly name: string;
  readonly type?: "text" | "number" | "choice" | "boolean";
  readonly label?: string;
  readonly default?: string;
}

export interface Question {
  readonly message: string;
  readonly form?: readonly AskField[];
  readonly approvers?: readonly string[];
  readonly required?: number;
  readonly timeout?: number | string;
  readonly onTimeout?: "reject" | "approve" | "skip";
}

export interface Answer {
  readonly outcome: "approved" | "rejected" | "skipped";
  readonly by: string;
  readonly comment: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

export interface Settled {
  readonly id: string;
  readonly status: string;
  readonly result?: unknown;
  /** The words of its failure. */
  readonly failure?: string | undefined;
}

export interface AgentJob {
  step<T>(
    name: string, input: unknown, fn: (call: StepCall) => Promise<T> | T, options?: StepOptions,
  ): Promise<T>;
  ask(key: string, question: Question): Promise<Answer>;
  spawn(key: string, jobs: readonly JobInput[]): Promise<Spawned>;
  settled(jobs: Spawned): Promise<Settled[]>;
  readonly cancelled: AbortSignal;
}

/** What was added under a key. */
export interface Spawned {
  readonly key: string;
  readonly jobs: readonly string[];
}
