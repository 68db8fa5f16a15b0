/**
 * Lesson 18: what events do to journals. `apply` calls these; nothing else does.
 *
 * Test: test/18-agents.core.test.ts
 */
import { invariant } from "#base";
import { stepBegins, stepEnds } from "./apply-groups.ts";
import { costOf, NOTHING_RESERVED, sum, type Reserve } from "./budget.ts";
import type { EventOf } from "./events.ts";
import { charge } from "./jobs.ts";
import { heldBy, Journal, resultBytes, stepName, type Step } from "./journal.ts";
import { carriedMemory, stepMemory } from "./memory.ts";
import { prefixOf } from "./prefix.ts";
import { touch, type Job, type Run, type State } from "./state.ts";

export function stepStarted(state: State, job: Job, event: EventOf<"StepStarted">): void {
  const { name, ordinal, attempt, call, effect, at: startedAt, reserve } = event;
  const before = job.journal?.get(name, ordinal);
  invariant(before?.status !== "DONE", () => `step ${stepName(event)} is done, and begins again`);
  const wanted = { reserve: reserve ?? NOTHING_RESERVED, held: heldBy(before), at: startedAt };
  stepBegins(state, job.run, wanted);
  keep(state, job, {
    name, ordinal, attempt, call, effect, startedAt, reserve,
    order: before?.order ?? job.run.steps++,
    status: "STARTED", inputHash: event.inputHash.toString("hex"), endedAt: 0,
    result: undefined, blob: undefined, message: "", usage: undefined, accepted: false,
    starts: (before?.starts ?? 0) + 1,
    spentTokens: before?.spentTokens ?? 0, spentMicros: before?.spentMicros ?? 0,
  });
}

export function stepDone(state: State, job: Job, event: EventOf<"StepDone">): void {
  const { at: endedAt, blob, usage } = event;
  // Decoded bytes are views (lesson 02), and would keep their frame.
  const result = event.result && Buffer.from(event.result);
  const step = begun(job, event);
  const spent = settle(state, job, { step, cost: costOf(usage, heldBy(step)), at: endedAt });
  keep(state, job, { ...step, ...spent, status: "DONE", endedAt, result, blob, usage });
}

export function stepFailed(state: State, job: Job, event: EventOf<"StepFailed">): void {
  const { at: endedAt, message, usage } = event;
  const step = begun(job, event);
  const spent = settle(state, job, { step, cost: costOf(usage, NOTHING_RESERVED), at: endedAt });
  keep(state, job, { ...step, ...spent, status: "FAILED", endedAt, message, usage });
}

/** The pool of its run has back what the step had set aside, less what it has cost. */
function settle(
  state: State, job: Job, { step, cost, at }: { step: Step; cost: Reserve; at: number },
): Pick<Step, "spentTokens" | "spentMicros"> {
  stepEnds(state, job.run, { held: heldBy(step), cost, at });
  return {
    spentTokens: sum(step.spentTokens, cost.tokens),
    spentMicros: sum(step.spentMicros, cost.usdMicros),
  };
}

function begun(job: Job, event: { name: string; ordinal: number }): Step {
  const step = job.journal?.get(event.name, event.ordinal);
  invariant(step?.status === "STARTED", () => `step ${stepName(event)} ends once it has begun`);
  return step;
}

/** A person lets stand all that is done, whatever its input is by now. */
export function changesAccepted(state: State, run: Run): void {
  for (const job of run.jobs) {
    for (const step of [...(job.journal?.values() ?? [])]) {
      if (!step.accepted) keep(state, job, { ...step, accepted: true });
    }
  }
}

/** The first steps of another run are those of this one, with some results in place of others. */
export function takePrefix(
  state: State, run: Run, from: { run: Run; event: EventOf<"RunForked"> },
): void {
  const { own, carried } = prefixOf(from.run, from.event);
  run.steps = from.event.step;
  for (const [index, steps] of own.entries()) {
    for (const step of steps) keep(state, run.job(index)!, step);
  }
  if (!from.event.carries) return;
  run.carried = new Map(carried);
  for (const [place, steps] of carried) weighCarried(state, run, { place, steps, times: 1 });
}

/** A job has been added. If a fork has carried its steps until now, they are its own. */
export function takeCarried(state: State, job: Job, place: string): void {
  const { run } = job;
  const steps = run.carried.get(place);
  if (steps === undefined) return;
  run.carried.delete(place);
  weighCarried(state, run, { place, steps, times: -1 });
  for (const step of steps) keep(state, job, step);
}

function weighCarried(
  state: State, run: Run,
  { place, steps, times }: { place: string; steps: readonly Step[]; times: 1 | -1 },
): void {
  run.stepBytes += times * resultBytes(steps);
  charge(state, run, times * carriedMemory(place, steps));
}

/** Puts a step into the journal of a job, and counts the difference. Also what a snapshot does. */
export function keep(state: State, job: Job, step: Step): void {
  touch(state, job);
  const journal = (job.journal ??= new Journal());
  const before = journal.get(step.name, step.ordinal);
  journal.put(step);
  const bytes = stepMemory(step) - (before === undefined ? 0 : stepMemory(before));
  const size = (step.result?.length ?? 0) - (before?.result?.length ?? 0);
  job.run.stepBytes += size;
  charge(state, job.run, bytes);
}
