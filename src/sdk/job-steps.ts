/**
 * Lesson 18: durable steps, as a program sees them.
 *
 *     step("plan", input, fn) ──STEP_START──▶ done ──────────────▶ the result that is kept
 *                                             run ──▶ fn ──STEP_END──▶ its result
 *                                             ambiguous ──▶ again, an error, or a person
 *
 * A step is known by its name and by its ordinal among the steps of that name, in the order of
 * their calls. So steps may be added, removed and put in another order between two attempts: only
 * those of one name keep theirs.
 *
 * Invariants: `fn` runs after the master has on disk that it is about to; a caller gets the same
 * value whether `fn` has run now or in an earlier attempt (what JSON makes of it).
 * Left out: a replay. A program does in each attempt again whatever it does between its steps.
 * Test: test/18-agents.steps.test.ts
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import type { Host } from "#host";
import { RpcError } from "#rpc";
import {
  MAX_STEP_BLOB_BYTES, MAX_STEP_MESSAGE_BYTES, MAX_STEP_RESULT_BYTES, type Spent, type StepAnswer,
  type StepEnd, type StepStart, type StepUsage,
} from "#wire";
import type { Client } from "./client.ts";
import { StepError, type StepCall, type StepCost, type StepOptions } from "./job-context.ts";
import { endStep, readBlob, startStep } from "./job-requests.ts";

/** What a person says of a step that may have happened. */
export interface AmbiguousAnswer {
  readonly choice: "run it again" | "it happened" | "give up";
  /** JSON, if it happened. */
  readonly result: string;
}

export interface StepDoor {
  /** RUN/JOB, for words. */
  readonly name: string;
  readonly host: Pick<Host, "clock" | "random">;
  ask<T>(request: (client: Client) => Promise<T>): Promise<T>;
  /** The same for a step that begins: it waits for room in the budget, if there is none. */
  begin<T>(need: Partial<Spent>, request: (client: Client) => Promise<T>): Promise<T>;
  /** Runs what the process must not end in the middle of. */
  track<T>(work: () => Promise<T> | T): Promise<T>;
  /** Asks a person. */
  askPerson(key: string, message: string): Promise<AmbiguousAnswer>;
  emit(text: string): void;
}

type Fn<T> = (call: StepCall) => Promise<T> | T;
type Ending = Pick<StepEnd, "result" | "blob" | "failure">;

/**
 * The step whose function has called, whatever it has awaited since. One for all that there are in
 * a process: from its first use on, each costs every promise something.
 */
const inside = new AsyncLocalStorage<{ readonly steps: JobSteps; readonly name: string }>();

export class JobSteps {
  readonly #door: StepDoor;
  /** How many steps of each name have been called. */
  readonly #ordinals = new Map<string, number>();

  constructor(door: StepDoor) {
    this.#door = door;
  }

  /**
   * Refuses what must not happen inside a step. In a later attempt the step is done, and its
   * function is not called: so what is in it would not be counted, and other steps of the same name
   * would be taken for it. And a job cannot end to wait while a step of it is under way.
   */
  checkOutside(doing: string): void {
    const step = inside.getStore();
    if (step?.steps !== this) return;
    const why = `it is inside step ${step.name}, which would not call it again`;
    throw new StepError("NESTED", `Cannot ${doing}: ${why}; call it before or after that step`);
  }

  // #region step
  /** See `JobContext.step`. `ordinal`: for a caller that counts by itself. */
  async step<T>(
    name: string, input: unknown, fn: Fn<T>, options: StepOptions & { ordinal?: number } = {},
  ): Promise<T> {
    this.checkOutside(`begin step ${name}`);
    const ordinal = options.ordinal ?? (this.#ordinals.get(name) ?? 0) + 1;
    this.#ordinals.set(name, ordinal);
    const start = this.#start({ name, ordinal }, input, options);
    const need = { steps: 1, ...start.reserve };
    let answer = await this.#door.begin(need, (client) => startStep(client, start));
    if (answer.type === "ambiguous") {
      const told = await this.#ambiguous(start, answer);
      if (told !== undefined) return told.value as T;
      const again = { ...start, again: true, call: this.#door.host.random.u32() };
      answer = await this.#door.begin(need, (client) => startStep(client, again));
    }
    switch (answer.type) {
      case "done": return await this.#kept(answer) as T;
      case "changed": throw new StepError("STEP_CHANGED", answer.words);
      case "ambiguous": throw this.#lost(start, answer);
      case "run": return this.#run(start, fn, answer.idempotencyKey);
    }
  }
  // #endregion

  #start(
    step: { name: string; ordinal: number }, input: unknown, options: StepOptions,
  ): StepStart {
    const { effect = "idempotent", reserve } = options;
    const { onAmbiguous = effect === "once" ? "ask" : "retry" } = options;
    const { tokens = 0, usdMicros = 0 } = reserve ?? {};
    return {
      ...step, effect, onAmbiguous, inputHash: hashOf(step.name, input),
      call: this.#door.host.random.u32(), again: false,
      reserve: reserve && { tokens, usdMicros },
    };
  }

  async #kept(
    { result, blob }: { result?: Buffer | undefined; blob?: { sha256: string } | undefined },
  ): Promise<unknown> {
    if (blob === undefined) return fromBytes(result);
    return fromBytes(await this.#door.ask((client) => readBlob(client, blob.sha256)));
  }

  // #region run
  async #run<T>(start: StepStart, fn: Fn<T>, idempotencyKey: string): Promise<T> {
    let usage: StepUsage | undefined;
    const call: StepCall = {
      idempotencyKey,
      emit: (text) => this.#door.emit(text),
      usage: (cost) => { usage = added(usage, cost); },
    };
    const end = async (ending: Ending): Promise<void> => {
      const { name, ordinal } = start;
      await this.#end({ name, ordinal, ...ending, usage, told: false });
    };
    let bytes: Buffer;
    try {
      const here = { steps: this, name: start.name };
      const value = await this.#door.track(() => inside.run(here, () => fn(call)));
      bytes = toBytes(start, value);
    } catch (error) {
      // It has happened, and nobody can keep what came of it: a person has to look.
      const isOver = error instanceof StepError && error.code === "UNFIT";
      if (!isOver || start.effect !== "once") await end({ ...NO_END, failure: messageOf(error) });
      throw error;
    }
    await end({ ...NO_END, result: bytes });
    return fromBytes(bytes) as T;
  }
  // #endregion

  /** A result for which there is no room in the log, or in the master, goes to its disk. */
  async #end(end: StepEnd): Promise<void> {
    const { result } = end;
    const isLarge = result !== undefined && result.length > MAX_STEP_RESULT_BYTES;
    try {
      if (!isLarge) return await this.#door.ask((client) => endStep(client, end));
    } catch (error) {
      const isRefused = error instanceof RpcError && error.code === "INVALID";
      if (!isRefused || result === undefined) throw error;
    }
    const sha256 = createHash("sha256").update(result!).digest("hex");
    const blob = { sha256, size: result!.length };
    await this.#door.ask(async (client) => {
      await client.shipPacked({ bytes: result!, hash: sha256 });
      await endStep(client, { ...end, result: undefined, blob });
    });
  }

  // #region ambiguous
  /** Undefined: it is to run again. */
  async #ambiguous(
    start: StepStart, answer: Extract<StepAnswer, { type: "ambiguous" }>,
  ): Promise<{ value: unknown } | undefined> {
    const { name, ordinal, onAmbiguous } = start;
    if (onAmbiguous !== "ask") throw this.#lost(start, answer);
    const message = `${this.#lost(start, answer).message}. Did it happen?`;
    const { choice, result } = await this.#door.askPerson(askKey(start), message);
    if (choice === "run it again") return undefined;
    const which = `step ${name}#${ordinal} of ${this.#door.name}`;
    if (choice === "give up") {
      throw new StepError("GIVEN_UP", `Cannot go on: ${which} was given up by a person`);
    }
    const bytes = asJson(result);
    await this.#end({ name, ordinal, ...NO_END, result: bytes, usage: undefined, told: true });
    return { value: fromBytes(bytes) };
  }
  // #endregion

  #lost(
    { name, ordinal }: StepStart, { startedAt, attempt }: { startedAt: number; attempt: number },
  ): StepError {
    const which = `Step ${name}#${ordinal} of ${this.#door.name}`;
    const when = new Date(startedAt).toISOString();
    const found = `was begun by attempt ${attempt} at ${when}, and nobody knows how it ended`;
    return new StepError("AMBIGUOUS", `${which} ${found}`);
  }
}

const NO_END: Ending = { result: undefined, blob: undefined, failure: undefined };
/** Of a question: as long as a job's id. */
const MAX_KEY_BYTES = 128;

function askKey({ name, ordinal }: StepStart): string {
  const key = `step:${name}#${ordinal}`;
  if (Buffer.byteLength(key) <= MAX_KEY_BYTES) return key;
  const digest = createHash("sha256").update(key).digest("hex");
  return `step:${digest.slice(0, 32)}#${ordinal}`;
}

function added(before: StepUsage | undefined, cost: StepCost): StepUsage {
  const { model = "", tokensIn = 0, tokensOut = 0, usdMicros = 0, ms = 0 } = before ?? {};
  return {
    model: cost.model ?? model,
    tokensIn: tokensIn + (cost.tokensIn ?? 0), tokensOut: tokensOut + (cost.tokensOut ?? 0),
    usdMicros: usdMicros + (cost.usdMicros ?? 0), ms: ms + (cost.ms ?? 0),
  };
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_STEP_MESSAGE_BYTES) return text;
  return new TextDecoder().decode(bytes.subarray(0, MAX_STEP_MESSAGE_BYTES), { stream: true });
}

// ── values ───────────────────────────────────────────────────────────────────────────────────────

/** Inputs that mean the same have one hash, in whatever order their members were written. */
function hashOf(name: string, input: unknown): Buffer {
  let text: string | undefined;
  try {
    text = JSON.stringify(input, (_key, value: unknown) => sorted(value));
  } catch (error) {
    const why = (error as Error).message;
    throw new StepError("UNFIT", `Cannot start step ${name}: its input is no JSON: ${why}`, error);
  }
  return createHash("sha256").update(text ?? "").digest();
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** No bytes: undefined. */
function toBytes({ name, ordinal }: StepStart, value: unknown): Buffer {
  const unfit = (found: string, cause?: unknown): StepError =>
    new StepError("UNFIT", `Cannot keep the result of step ${name}#${ordinal}: ${found}`, cause);
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw unfit(`it is no JSON: ${(error as Error).message}`, error);
  }
  if (text === undefined && value !== undefined) throw unfit(`a ${typeof value} is no JSON`);
  const bytes = Buffer.from(text ?? "");
  if (bytes.length <= MAX_STEP_BLOB_BYTES) return bytes;
  const advice = "write it to a file, and return its name";
  throw unfit(`${bytes.length} bytes are more than ${MAX_STEP_BLOB_BYTES}; ${advice}`);
}

/** A person has typed JSON, or else a text. */
function asJson(typed: string): Buffer {
  try {
    JSON.parse(typed);
    return Buffer.from(typed);
  } catch {
    return Buffer.from(JSON.stringify(typed));
  }
}

function fromBytes(bytes: Buffer | undefined): unknown {
  if (bytes === undefined || bytes.length === 0) return undefined;
  return JSON.parse(bytes.toString("utf8"));
}
