/**
 * Lesson 10: whether there is room for more, and what makes way for it.
 *
 *     open runs ≤ open ──▶ a submission beyond it is OVERLOADED: come back when others have ended
 *     ended runs ≤ finished, and all ≤ total ──▶ the oldest that have ended are forgotten
 *
 * Room is counted in bytes of memory (memory.ts), since that is what runs out.
 *
 * Invariants: what goes on is never forgotten; the state is at most `total`, and one submission
 * more.
 * Test: test/10-master.memory.test.ts
 */
import { createHash } from "node:crypto";
import { PipelineSpec, type Failure } from "#wire";
import { sentence } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NOTHING, type Decided, type DecidedOn } from "./effect.ts";
import { has } from "./jobs.ts";
import { MAX_FINISHED_RUNS, MAX_OPEN_RUNS, MAX_RUN_RESULT_BYTES, SHORT_BYTES } from "./limits.ts";
import { stepBlobs } from "./journal.ts";
import { bufferMemory, textMemory } from "./memory.ts";
import { limitsOf, Refusal, type Context } from "./refusal.ts";
import { openBytes, type Run, type State } from "./state.ts";

// #region room
/** Not for ever, unlike an INVALID: when other runs have ended there is room again. */
export function checkRoom(
  state: State, more: { runs: number; bytes: number; doing: string }, context: Context,
): void {
  const { runs, bytes, doing } = more;
  if (runs > 0 && state.runs.size - state.finished.size + runs > MAX_OPEN_RUNS) {
    throw new Refusal("OVERLOADED", `Cannot ${doing}: ${MAX_OPEN_RUNS} runs are open already`);
  }
  const { open } = limitsOf(context);
  const held = openBytes(state);
  if (held + bytes <= open) return;
  const needs = `Cannot ${doing}: it takes ${bytes} bytes of the master's memory`;
  if (bytes > open) {
    throw new Refusal("INVALID", `${needs}, more than the ${open} for all open runs`);
  }
  throw new Refusal("OVERLOADED", `${needs}, and the open runs hold ${held} of ${open} already`);
}
// #endregion

/**
 * How much the jobs of a submission may weigh: more will be refused, whatever they are. With the
 * key of a run it may be the pipeline of that run once more: that takes no new room, and is no
 * heavier.
 */
export function roomForJobs(state: State, key: string | undefined, context: Context): number {
  const known = key === undefined ? undefined : state.runsByKey.get(key);
  return known?.bytes ?? limitsOf(context).open - openBytes(state);
}

/**
 * Pipelines that wait for a look at the disk are in memory, and are no runs yet. Beside one of
 * them, whatever its size, the others have what is between all that is accepted and what a heap can
 * bear.
 */
export function checkArrival(
  arriving: number, more: { bytes: number; doing: string }, context: Context,
): void {
  const { total, ceiling } = limitsOf(context);
  const { bytes, doing } = more;
  if (arriving === 0 || arriving + bytes <= ceiling - total) return;
  const others = `those that wait to be looked at take ${arriving} of ${ceiling - total}`;
  throw new Refusal(
    "OVERLOADED",
    `Cannot ${doing}: it takes ${bytes} bytes of the master's memory, and ${others}`,
  );
}

/** Runs that have ended make way for a new one, from the oldest on. */
export function makeRoom(state: State, bytes: number, context: Context): Decided<undefined> {
  const { total } = limitsOf(context);
  let all = state.bytes + bytes;
  if (all <= total) return NOTHING; // as a rule; a look at the oldest run would be wasted
  return forget(state, context, (run) => {
    if (all <= total) return false;
    all -= run.bytes;
    return true;
  });
}

// #region forget
/** Keeps the master's memory independent of its age. */
export function decideForget(
  state: State, _: CommandOf<"Forget">, context: Context,
): DecidedOn<"Forget"> {
  const { finished, total } = limitsOf(context);
  let [runs, bytes, all] = [state.finished.size, state.finishedBytes, state.bytes];
  return forget(state, context, (run) => {
    // The newest one stays, however large: somebody is about to look at it. If there is room at
    // all.
    const fits = runs === 1 || (runs <= MAX_FINISHED_RUNS && bytes <= finished);
    if (fits && all <= total) return false;
    runs -= 1;
    bytes -= run.bytes;
    all -= run.bytes;
    return true;
  });
}
// #endregion

/** Asks of one ended run after the other, oldest first, until one may stay. */
function forget(
  state: State, context: Context, mustGo: (run: Run) => boolean,
): Decided<undefined> {
  const gone: Run[] = [];
  for (const run of state.finished) {
    if (!mustGo(run)) break;
    gone.push(run);
  }
  if (gone.length === 0) return NOTHING;
  const runs = gone.map((run) => run.number);
  const keys = gone.filter(({ key }) => key !== undefined)
    .map(({ number, spec }) => ({ run: number, request: digestOf(spec) }));
  const at = context.now;
  const leaveSomething = keys.length > 0 || gone.some((run) => has(run, "DEAD"));
  return {
    events: [
      leaveSomething ? { type: "RunsLetGo", runs, keys, at } : { type: "RunsForgotten", runs, at },
    ],
    effects: gone.map((run) => ({ type: "Forget", run: run.number, blobs: blobsOf(run) })),
    reply: undefined,
  };
}

/** What it holds: its project, results of steps, and one blob for each artifact. */
function blobsOf(run: Run): string[] {
  const { spec: { project }, artifacts, steps } = run;
  const blobs = project === undefined ? [] : [project];
  if (steps > 0) blobs.push(...stepBlobs(run));
  for (const { sha256 } of artifacts.values()) blobs.push(sha256);
  return blobs;
}

/** Stands for a pipeline that is gone: by it a repeat of its key is told from another request. */
export function digestOf(spec: PipelineSpec): string {
  return createHash("sha256").update(PipelineSpec.encode(spec)).digest("base64");
}

// ── what attempts leave ──────────────────────────────────────────────────────────────────────────

/** Why a result cannot be kept; undefined: it can. Children want it whole, so it is not cut. */
export function tooMuch(
  state: State, run: Run, result: Buffer | undefined, context: Context,
): Failure | undefined {
  if (result === undefined) return undefined;
  const ofRun = run.resultBytes + result.length;
  const ofAll = openBytes(state) + bufferMemory(result);
  const { total } = limitsOf(context);
  if (ofRun > MAX_RUN_RESULT_BYTES) {
    return notKept(
      `those of the run are ${ofRun} bytes together, more than ${MAX_RUN_RESULT_BYTES}`,
    );
  }
  if (ofAll > total) return notKept(`the open runs would hold ${ofAll} bytes, more than ${total}`);
  return undefined;
}

function notKept(what: string): Failure {
  const message = `Cannot keep its result: ${what}. Hand over the name of a file instead`;
  return { kind: "bad-input", message, exitCode: undefined, signal: undefined };
}

/** A failure as it is kept: its words are cut when there is no room for them. */
export function keptFailure(state: State, failure: Failure, context: Context): Failure {
  const { message } = failure;
  if (openBytes(state) + textMemory(message) <= limitsOf(context).total) return failure;
  return { ...failure, message: sentence(message, SHORT_BYTES) };
}
