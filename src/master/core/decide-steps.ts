/**
 * Lesson 18: whether a step of a job runs now, and what becomes of its end.
 *
 *     unknown, or FAILED ────▶ run                    (StepStarted is durable first)
 *     DONE ──────────────────▶ done                   (its result; nothing is written)
 *     STARTED by this call ──▶ run                    (the answer was lost on its way)
 *     STARTED by another call of this attempt ──▶ refused: it is under way
 *     STARTED by an earlier attempt ──▶ run, if a second call does no harm; else ambiguous
 *     DONE or STARTED with another input ──▶ changed
 *
 * Invariants: a step that is DONE does not run again; one that must happen once, and may have, does
 * not run again unless a person says so; an attempt that is over changes nothing.
 * Test: test/18-agents.core.test.ts
 */
import {
  MAX_STEP_BLOB_BYTES, MAX_STEP_NAME_BYTES, MAX_STEPS, STEP_HASH_BYTES, type StepAnswer,
  type StepBlob,
} from "#wire";
import { amountProblem, costOf, NOTHING_RESERVED } from "./budget.ts";
import type { CommandOf } from "./command.ts";
import { admitStep, newsOf } from "./decide-budget.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn } from "./effect.ts";
import type { EventOf } from "./events.ts";
import { fenced } from "./fence.ts";
import { heldBy, idempotencyKey, stepName, type Step } from "./journal.ts";
import { MAX_RUN_STEP_BYTES } from "./limits.ts";
import { bufferMemory, STEP_BYTES, textMemory } from "./memory.ts";
import { limitsOf, Refusal, type Context } from "./refusal.ts";
import { isToEnd, openBytes, type Job, type Run, type State } from "./state.ts";

type Start = CommandOf<"StartStep">;

// #region start
export function decideStartStep(
  state: State, command: Start, context: Context,
): DecidedOn<"StartStep"> {
  const { by, step } = command;
  const doing = `start step ${stepName(step)}`;
  const job = fenced(state, by, doing);
  const known = job.journal?.get(step.name, step.ordinal);
  const hash = step.inputHash.toString("hex");
  if (known !== undefined && isChanged(known, hash)) return onlyReply(changed(job, known, step));
  if (known?.status === "DONE") {
    const { result, blob, usage } = known;
    return onlyReply({ type: "done", result, blob, usage });
  }
  const key = idempotencyKey(job.run.id, job.spec.id, step);
  const run: StepAnswer = { type: "run", idempotencyKey: key };
  if (known?.status === "STARTED") {
    if (known.attempt === by.attempt) {
      if (known.call === step.call) return onlyReply(run);
      const found = "it is under way in this attempt already";
      throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
    }
    if (!mayRunAgain(known, step)) {
      const { startedAt, attempt } = known;
      return onlyReply({ type: "ambiguous", startedAt, attempt });
    }
  }
  checkStep(state, { job, known, command, doing }, context);
  const { now } = context;
  const news = admitStep(job.run, { reserve: step.reserve, held: heldBy(known) }, { doing, now });
  return { events: [started(command, now), ...news], effects: NO_EFFECTS, reply: run };
}
// #endregion

/** A step that failed leaves nothing that another input could contradict. */
function isChanged({ status, accepted, inputHash }: Step, hash: string): boolean {
  return inputHash !== hash && status !== "FAILED" && !accepted;
}

function changed({ run, spec }: Job, known: Step, { inputHash }: Start["step"]): StepAnswer {
  const [was, now] = [known.inputHash, inputHash.toString("hex")];
  const which = `step ${stepName(known)} of ${run.id}/${spec.id}`;
  const found = `${which} is ${known.status} with the input ${was}, and now its input is ${now}`;
  const advice = `titan retry ${run.id} --accept-changed lets stand what is done`;
  const words = `STEP_CHANGED: ${found}. ${advice}; another name makes it another step`;
  return { type: "changed", was: Buffer.from(was, "hex"), now: inputHash, words };
}

/**
 * It was begun by an earlier attempt, and may have happened. The stricter of the two words about
 * its effect counts: the program may have been changed since.
 */
function mayRunAgain(known: Step, { effect, onAmbiguous, again }: Start["step"]): boolean {
  if (again) return true;
  return onAmbiguous === "retry" && effect !== "once" && known.effect !== "once";
}

interface Asked {
  readonly job: Job;
  readonly known: Step | undefined;
  readonly command: Start;
  readonly doing: string;
}

function checkStep(
  state: State, { job, known, command, doing }: Asked, context: Context,
): void {
  const refuse = (code: Refusal["code"], found: string): Refusal =>
    new Refusal(code, `Cannot ${doing}: ${found}`);
  const { name, ordinal, inputHash, effect, onAmbiguous, reserve } = command.step;
  const { run, spec } = job;
  if (name === "" || /\p{Cc}/u.test(name)) {
    const found = name === "" ? "is empty" : "has a control character";
    throw refuse("INVALID", `its name ${found} (1 to ${MAX_STEP_NAME_BYTES} bytes of text)`);
  }
  if (ordinal < 1 || ordinal > MAX_STEPS) {
    throw refuse("INVALID", `its ordinal is ${ordinal}, must be 1 to ${MAX_STEPS}`);
  }
  if (inputHash.length !== STEP_HASH_BYTES) {
    throw refuse("INVALID", "the hash of its input is not a SHA-256");
  }
  const tooMuch = reserve && amountProblem(reserve);
  if (tooMuch !== undefined) throw refuse("INVALID", `it sets aside too much: ${tooMuch}`);
  if (effect === "once" && onAmbiguous === "retry") {
    throw refuse("INVALID", "a step that must happen once is not tried again by itself");
  }
  if (spec.service !== undefined) throw refuse("INVALID", "a service has no end, and no journal");
  if (isToEnd(job)) throw refuse("CONFLICT", `${run.id}/${spec.id} is being cancelled`);
  if (known === undefined && (job.journal?.size ?? 0) >= MAX_STEPS) {
    throw refuse("INVALID", `the job has ${MAX_STEPS} steps, and more are another job`);
  }
  const { total } = limitsOf(context);
  const held = openBytes(state);
  if (held + STEP_BYTES + 2 * textMemory(name) <= total) return;
  throw refuse("OVERLOADED", `the open runs hold ${held} of the master's ${total} bytes`);
}

function started({ by, step }: Start, at: number): EventOf<"StepStarted"> {
  const { run, job, attempt } = by;
  const { name, ordinal, inputHash, effect, call, reserve } = step;
  const again = step.again || undefined;
  return {
    type: "StepStarted", run, job, attempt, name, ordinal, inputHash, effect, call, reserve, again,
    at,
  };
}

// #region end
export function decideEndStep(
  state: State, { by, step }: CommandOf<"EndStep">, context: Context,
): DecidedOn<"EndStep"> {
  const doing = `end step ${stepName(step)}`;
  const job = fenced(state, by, doing);
  const known = job.journal?.get(step.name, step.ordinal);
  const refuse = (code: Refusal["code"], found: string): Refusal =>
    new Refusal(code, `Cannot ${doing}: ${found}`);
  if (known === undefined) throw refuse("NOT_FOUND", "it has not been started");
  const { result, blob, failure, usage, told } = step;
  if ([result, blob, failure].filter((each) => each !== undefined).length !== 1) {
    throw refuse("INVALID", "it has one of a result, a blob and a failure");
  }
  const cost = costOf(usage, failure === undefined ? heldBy(known) : NOTHING_RESERVED);
  const tooMuch = amountProblem(cost);
  if (tooMuch !== undefined) throw refuse("INVALID", `it has cost too much: ${tooMuch}`);
  checkBlob(blob, refuse);
  checkResult(state, { run: job.run, result, refuse }, context);
  if (known.status !== "STARTED") {
    // The answer to the same request may have been lost.
    if (isSameEnd(known, step)) return onlyReply({ isNew: false });
    throw refuse("CONFLICT", `it is ${known.status} already, with another end`);
  }
  if (known.attempt !== by.attempt && !told) {
    throw refuse("CONFLICT", `attempt ${known.attempt} began it, and this one has not`);
  }
  const ending = { ...by, name: step.name, ordinal: step.ordinal, at: context.now, usage };
  const { worker: _, ...what } = ending;
  const event: EventOf<"StepDone" | "StepFailed"> = failure === undefined
    ? { type: "StepDone", ...what, result, blob }
    : { type: "StepFailed", ...what, message: failure };
  const { group } = job.run;
  const news = group === undefined ? [] : newsOf(group, cost, context.now);
  return { events: [event, ...news], effects: NO_EFFECTS, reply: { isNew: true } };
}
// #endregion

function checkBlob(
  blob: StepBlob | undefined, refuse: (code: "INVALID", found: string) => Refusal,
): void {
  if (blob === undefined) return;
  if (!/^[0-9a-f]{64}$/.test(blob.sha256)) throw refuse("INVALID", "its blob has no SHA-256");
  if (blob.size <= MAX_STEP_BLOB_BYTES) return;
  throw refuse("INVALID", `its blob is ${blob.size} bytes, more than ${MAX_STEP_BLOB_BYTES}`);
}

/** A refusal loses nothing: the caller can hand the same result over as a blob. */
function checkResult(
  state: State,
  { run, result, refuse }: {
    run: Run; result: Buffer | undefined; refuse: (code: "INVALID", found: string) => Refusal;
  },
  context: Context,
): void {
  if (result === undefined) return;
  const advice = "upload it as a blob";
  const ofRun = run.stepBytes + result.length;
  if (ofRun > MAX_RUN_STEP_BYTES) {
    const found = `the results of the run's steps would be ${ofRun} bytes`;
    throw refuse("INVALID", `${found}, more than ${MAX_RUN_STEP_BYTES}; ${advice}`);
  }
  const ofAll = openBytes(state) + bufferMemory(result);
  const { total } = limitsOf(context);
  if (ofAll <= total) return;
  const found = `the open runs would hold ${ofAll} bytes, more than ${total}`;
  throw refuse("INVALID", `${found}; ${advice}`);
}

function isSameEnd(known: Step, { result, blob, failure }: CommandOf<"EndStep">["step"]): boolean {
  if (failure !== undefined) return known.status === "FAILED" && known.message === failure;
  if (known.status !== "DONE") return false;
  if (blob !== undefined) return known.blob?.sha256 === blob.sha256;
  return result !== undefined && known.result?.equals(result) === true;
}
