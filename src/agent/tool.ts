/**
 * Lesson 18: a tool: something that an agent may do, and what may be done about it after a crash.
 *
 *     run          a function of this program, as one step of the job
 *     job          a job of the run, on whatever worker has a slot
 *     effect       read · idempotent · once: whether a call that may have happened is repeated
 *     dangerous    a person is asked before each call
 *
 * Test: test/18-agents.test.ts
 */
import type { JobInput, StepCall } from "#sdk";
import type { Effect, Question } from "./job.ts";
import { schemaProblem, type Schema } from "./schema.ts";

/** Names that providers take. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export interface Tool {
  readonly name: string;
  /** What the model reads about it. */
  readonly description: string;
  /** Of type object. */
  readonly parameters: Schema;
  /** Default: once. The author of a tool that may be called twice knows that, and nobody else. */
  readonly effect?: Effect;
  /** `true`, or who is asked and for how long. */
  readonly dangerous?: boolean | Omit<Question, "message" | "form">;
  /** Its result goes to the model; so does the message of what it throws. */
  readonly run?: (args: never, call: ToolContext) => unknown;
  /** In place of `run`. The output of the job is the result. */
  readonly job?: (args: never) => JobInput;
}

export interface ToolContext extends Pick<StepCall, "idempotencyKey" | "emit"> {
  /** The job is to end. */
  readonly signal: AbortSignal;
}

/**
 * Checks a tool, and returns it.
 *
 * @throws {TypeError} what cannot work
 * @example
 * ```ts
 * import { tool } from "#agent";
 * const add = tool({
 *   name: "add", description: "The sum of a and b.", effect: "read",
 *   parameters: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } } },
 *   run: ({ a, b }: { a: number; b: number }) => a + b,
 * });
 * add.name // => 'add'
 * ```
 */
export function tool<A>(
  definition: Omit<Tool, "run" | "job"> & {
    run?: (args: A, call: ToolContext) => unknown;
    job?: (args: A) => JobInput;
  },
): Tool {
  const { name, parameters, run, job } = definition;
  const wrong = (why: string): TypeError => new TypeError(`Cannot use tool "${name}": ${why}`);
  if (!NAME.test(name)) throw wrong('a name has up to 64 letters, digits, "_" and "-"');
  if (parameters?.type !== "object") throw wrong('its parameters must be of type "object"');
  const problem = schemaProblem(parameters);
  if (problem !== undefined) throw wrong(problem);
  if ((run === undefined) === (job === undefined)) throw wrong("it must have either run or job");
  return definition as Tool;
}

/** Such calls may run side by side; each of the others waits for those before it. */
export function isConcurrent({ effect, job, dangerous }: Tool): boolean {
  return job !== undefined || (effect === "read" && !dangerous);
}
