/**
 * Lesson 18: what a job asks of its master beside what everybody may ask: its steps. The master
 * knows by the session (credential.ts) which job asks, so no request names one.
 *
 *     STEP_START name#ordinal ──▶ done       it has a result: take it, and do nothing
 *                             ──▶ run        do it; that it has begun is durable
 *                             ──▶ ambiguous  it was begun once, and nobody knows how it ended
 *                             ──▶ changed    STEP_CHANGED: it was something else before
 *     STEP_END   name#ordinal ──▶            the result, or the words of a failure
 *
 * Invariants: a request may be sent again when its answer is lost: `call` tells the second copy
 * from a second call.
 * Test: test/18-agents.core.test.ts
 */
import { invariant } from "#base";
import {
  bool, bytes, enumOf, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { MAX_BLOB_BYTES, MAX_FRAME_BODY_BYTES } from "./limits.ts";

/**
 * Steps of one job. Each costs two events and 600 bytes of memory or more, so this many cost 6 MB
 * and are resumed within seconds. A longer job is several jobs.
 */
export const MAX_STEPS = 10_000;
/** A name is for people, and part of the key of a gate ("step:NAME#N"). */
export const MAX_STEP_NAME_BYTES = 128;
/** A result of this size lives in the log and in memory. A larger one is a blob. */
export const MAX_STEP_RESULT_BYTES = 64 * 1024;
export const MAX_STEP_BLOB_BYTES = MAX_BLOB_BYTES;
/** Of a failure: its first words say most. */
export const MAX_STEP_MESSAGE_BYTES = 4096;
export const STEP_HASH_BYTES = 32;
/** Steps in one answer of STEPS: with results they fill a page by their bytes. */
const MAX_STEP_ROWS = 10_000;
/** Results that a fork may replace. */
export const MAX_FORK_SETS = 100;
invariant(
  2 * MAX_STEP_RESULT_BYTES < MAX_FRAME_BODY_BYTES && MAX_STEP_ROWS >= MAX_STEPS,
  "a step fits into a frame, and all steps of a job into a page if they are small",
);

/** What a second call does: nothing new, the same as one, or damage. */
export const STEP_EFFECTS = ["read", "idempotent", "once"] as const;
export const StepEffect = enumOf(...STEP_EFFECTS);
export type StepEffect = (typeof STEP_EFFECTS)[number];

/** What to do about a step that was begun, and of which nobody knows how it ended. */
export const ON_AMBIGUOUS = ["retry", "fail", "ask"] as const;
export type OnAmbiguous = (typeof ON_AMBIGUOUS)[number];

/** What a step may cost, before it begins. */
export const StepReserve = message("StepReserve", {
  tokens: [1, withDefault(u53(), 0)], usdMicros: [2, withDefault(u53(), 0)],
});
export type StepReserve = Infer<typeof StepReserve>;

/** What a step has cost. Money in millionths of a US dollar. */
export const StepUsage = message("StepUsage", {
  model: [1, withDefault(string(128), "")],
  tokensIn: [2, withDefault(u53(), 0)],
  tokensOut: [3, withDefault(u53(), 0)],
  usdMicros: [4, withDefault(u53(), 0)],
  ms: [5, withDefault(u53(), 0)],
});
export type StepUsage = Infer<typeof StepUsage>;

/** A result that was uploaded (BLOB_PUT): its SHA-256 in hex. */
export const StepBlob = message("StepBlob", { sha256: [1, string(64)], size: [2, u53()] });
export type StepBlob = Infer<typeof StepBlob>;

const stepName = { name: [1, string(MAX_STEP_NAME_BYTES)], ordinal: [2, u32()] } as const;

export const StepStart = message("StepStart", {
  ...stepName,
  inputHash: [3, bytes(STEP_HASH_BYTES)],
  effect: [4, StepEffect],
  onAmbiguous: [5, enumOf(...ON_AMBIGUOUS)],
  /** Chosen at random for each call of a step: a request with the same one is sent again. */
  call: [6, u32()],
  reserve: [7, optional(StepReserve)],
  /** A person has said that an ambiguous step is to be run again. */
  again: [8, withDefault(bool(), false)],
});
export type StepStart = Infer<typeof StepStart>;

export const StepAnswer = union("StepAnswer", {
  done: [1, message("StepIsDone", {
    result: [1, optional(bytes(MAX_STEP_RESULT_BYTES))], blob: [2, optional(StepBlob)],
    usage: [3, optional(StepUsage)],
  })],
  /** The key is the same whenever this step runs: for services that know a call again. */
  run: [2, message("StepRuns", { idempotencyKey: [1, string(64)] })],
  /** It was begun then, by this attempt. */
  ambiguous: [3, message("StepIsAmbiguous", { startedAt: [1, u53()], attempt: [2, u32()] })],
  changed: [4, message("StepChanged", {
    was: [1, bytes(STEP_HASH_BYTES)], now: [2, bytes(STEP_HASH_BYTES)], words: [3, string(4096)],
  })],
});
export type StepAnswer = Infer<typeof StepAnswer>;

/** One of `result`, `blob` and `failure`. */
export const StepEnd = message("StepEnd", {
  ...stepName,
  result: [3, optional(bytes(MAX_STEP_RESULT_BYTES))],
  blob: [4, optional(StepBlob)],
  failure: [5, optional(string(MAX_STEP_MESSAGE_BYTES))],
  usage: [6, optional(StepUsage)],
  /** A person says how a step ended that an earlier attempt began. */
  told: [7, withDefault(bool(), false)],
});
export type StepEnd = Infer<typeof StepEnd>;

export const STEP_STATUSES = ["STARTED", "DONE", "FAILED"] as const;
export type StepStatus = (typeof STEP_STATUSES)[number];

/** `job` empty: those of all jobs of the run. */
export const StepsOf = message("StepsOf", {
  run: [1, string(256)], job: [2, optional(string(128))],
});

/** A step as people see it, in the order in which the run's steps were begun. */
export const StepInfo = message("StepInfo", {
  ...stepName,
  job: [3, string(128)],
  status: [4, enumOf(...STEP_STATUSES)],
  effect: [5, StepEffect],
  /** The attempt that began it last. */
  attempt: [6, u32()],
  startedAt: [7, u53()],
  endedAt: [8, optional(u53())],
  inputHash: [9, string(2 * STEP_HASH_BYTES)],
  result: [10, optional(bytes(MAX_STEP_RESULT_BYTES))],
  blob: [11, optional(StepBlob)],
  failure: [12, withDefault(string(MAX_STEP_MESSAGE_BYTES), "")],
  usage: [13, optional(StepUsage)],
  /** Its place among the steps of the run, from 0. */
  order: [14, u53()],
});
export type StepInfo = Infer<typeof StepInfo>;
/** STEPS answers with a stream of pages. */
export const StepPage = message("StepPage", { steps: [1, list(StepInfo, MAX_STEP_ROWS)] });

/** A new run with the steps of this one up to `from`: NAME#N, or JOB:NAME#N. */
export const ForkRun = message("ForkRun", {
  run: [1, string(256)],
  from: [2, string(300)],
  /** Results that take the place of others. JSON. */
  set: [3, list(message("ForkSet", {
    step: [1, string(300)], result: [2, bytes(MAX_STEP_RESULT_BYTES)],
  }), MAX_FORK_SETS)],
  by: [4, withDefault(string(256), "")],
});
/** `steps`: those that it has from the other run. */
export const Forked = message("Forked", { run: [1, string(256)], steps: [2, u32()] });
export type Forked = Infer<typeof Forked>;
