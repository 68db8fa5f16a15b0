/**
 * Lesson 10: what happens to attempts: which one starts next, how one ends, and what of its output
 * was lost.
 *
 * Invariants: a report counts if it is about an attempt that runs, from the worker that owns it;
 * the pause before another try ends up in the event.
 * Test: test/10-master.transcripts.test.ts, test/10-master.test.ts
 */
import { invariant } from "#base";
import { DEFAULT_RETRY, randomFrom, retryDecision, spendsAttempt } from "#retry";
import type { AttemptKey, Report } from "#wire";
import { wantsPause } from "./agent-state.ts";
import type { CommandOf } from "./command.ts";
import { announced } from "./decide-notices.ts";
import { NO_EFFECTS, NOTHING, onlyEvents, type DecidedOn } from "./effect.ts";
import { decideServiceEnd } from "./decide-services.ts";
import type { EventOf } from "./events.ts";
import { runningAttempt } from "./find.ts";
import type { Context } from "./refusal.ts";
import { keptFailure, tooMuch } from "./room.ts";
import type { State } from "./state.ts";

type Ending = EventOf<"JobSucceeded" | "JobFailed" | "JobStopped" | "JobPaused">;

// #region finish
/**
 * A worker says how an attempt ended. Undefined: it is not this worker's attempt any more (or it
 * was never), so the report is refused. This comparison is the fence: it looks at the job, the
 * attempt and the worker, and at no clock.
 */
export function decideFinish(
  state: State, { worker, report }: { worker: number; report: Report }, context: Context,
): Ending | undefined {
  // #exercise decideFinish
  const job = runningAttempt(state, report);
  if (job === undefined || job.worker !== worker) return undefined;
  const { run, job: index, attempt } = report;
  const at = context.now;
  if (job.cancelling) return { type: "JobStopped", run, job: index, attempt, at };
  if (job.service !== undefined) return decideServiceEnd(state, job, { report, context });
  // It has said before that it would end like this, and what it waits for (lesson 18).
  if (report.failure === undefined && wantsPause(job)) {
    return { type: "JobPaused", run, job: index, attempt, at };
  }
  const found = report.failure ?? tooMuch(state, job.run, report.result, context);
  if (found === undefined) {
    return { type: "JobSucceeded", run, job: index, attempt, at, result: report.result };
  }
  const failure = keptFailure(state, found, context);
  const policy = job.spec.retry ?? DEFAULT_RETRY;
  // A lost worker cannot report itself lost. If we believed it, the job would be tried again at
  // once, for free, without end.
  const kind = spendsAttempt(failure.kind) ? failure.kind : "internal";
  const { budget, id } = job.run;
  // The attempt's name is its chance: the jobs of a herd have different ones.
  const random = randomFrom(`${id}/${job.spec.id}/${attempt}`);
  const next = retryDecision(policy, { attempt: job.failures + 1, kind, budget, random });
  const retryAt = next.retry ? at + next.delayMs : undefined;
  // DEAD is for jobs that were given more than one try and used them up.
  const dead = !next.retry && next.why !== "permanent" && policy.maxAttempts > 1;
  return { type: "JobFailed", run, job: index, attempt, at, failure, retryAt, dead };
  // #end-exercise
}
// #endregion

/** It runs on this worker, and its success would be a pause: see `decideFinish`. */
export function isPausing(state: State, key: AttemptKey, worker: number): boolean {
  const job = runningAttempt(state, key);
  return job !== undefined && job.worker === worker && !job.cancelling && wantsPause(job);
}

const STALE: DecidedOn<"Finish"> = { events: [], effects: NO_EFFECTS, reply: false };

export function decideReport(
  state: State, finish: CommandOf<"Finish">, context: Context,
): DecidedOn<"Finish"> {
  const ending = decideFinish(state, finish, context);
  if (ending === undefined) return STALE;
  const gate = ending.type === "JobSucceeded"
    ? runningAttempt(state, ending)?.spec.gate : undefined;
  return { events: [ending], effects: announced(gate, ending), reply: true };
}

/** Nobody can ask any more for an attempt that is not the latest one, or was forgotten. */
export function decideOutputLost(
  state: State, lost: CommandOf<"LoseOutput">, context: Context,
): DecidedOn<"LoseOutput"> {
  const { run, job, attempt, bytes, why } = lost;
  if (state.runs.get(run)?.jobs[job]?.attempt !== attempt) return NOTHING;
  return onlyEvents([{ type: "OutputLost", run, job, attempt, at: context.now, bytes, why }]);
}

// #region schedule
/**
 * The next attempt that can start now, or undefined. Called again after every event it returns, so
 * each choice sees the effect of the one before.
 *
 * Among the queues whose requirement has a free worker, the job with the highest priority wins;
 * between equals, the one that has waited longest. The cost is one look per non-empty queue,
 * whatever the number of jobs and workers.
 */
export function nextStart(state: State, now: number): EventOf<"JobStarted"> | undefined {
  // #exercise nextStart
  const key = state.ready.best((requirement) => state.router.hasFree(requirement));
  if (key === undefined) return undefined;
  const job = state.ready.peek(key);
  const worker = state.router.pick(key);
  invariant(
    job !== undefined && worker !== undefined,
    "a queue that was chosen has a job and a worker for it",
  );
  const { run, index, attempt } = job;
  return { type: "JobStarted", run: run.number, job: index, attempt: attempt + 1, worker, at: now };
  // #end-exercise
}
// #endregion
