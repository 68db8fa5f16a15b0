/** Lesson 18: what an agent needs of the job that it runs in: a test has to imitate no more. */
import type { JobContext, StepOptions } from "#sdk";

export type AgentJob = Pick<JobContext, "step" | "ask" | "spawn" | "settled" | "cancelled">;

/** What a second call does: nothing (`read`), no more than one (`idempotent`), damage (`once`). */
export type Effect = NonNullable<StepOptions["effect"]>;
export type { Answer, Question } from "#sdk";
