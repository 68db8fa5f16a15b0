/**
 * Lesson 22: what may happen to the steps of a job (lesson 18).
 *
 * Once more in other words: a step is a name with a list of what was said of it.
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import type { Invariant } from "./invariants-list.ts";
import type { ModelBudgets } from "./model-budgets.ts";
import type { ModelJob, ModelRun, ModelStep } from "./model-state.ts";

interface Hands {
  fail(invariant: Invariant, what: string): never;
}

type OfStep = EventOf<"StepStarted" | "StepDone" | "StepFailed">;

const keyOf = ({ name, ordinal }: { name: string; ordinal: number }): string =>
  `${name}#${ordinal}`;

export function apply(hands: Hands, budgets: ModelBudgets, job: ModelJob, event: OfStep): void {
  if (event.type === "StepStarted") {
    started(hands, job, event);
    return budgets.began(job, event);
  }
  ended(hands, job, event);
  budgets.ended(job, event);
}

/** Only the attempt that runs says anything of steps. */
function checkAttempt(hands: Hands, job: ModelJob, event: OfStep): void {
  if (job.status === "RUNNING" && job.attempt === event.attempt) return;
  const now = `the job is ${job.status}, attempt ${job.attempt}`;
  const what = `attempt ${event.attempt} of ${job} tells of step ${keyOf(event)}, and ${now}`;
  hands.fail("one-unfenced-attempt", what);
}

function started(hands: Hands, job: ModelJob, event: EventOf<"StepStarted">): void {
  checkAttempt(hands, job, event);
  const key = keyOf(event);
  const known = job.steps.get(key);
  const once = event.effect === "once" || known?.once === true;
  if (known?.end?.failed === false) {
    hands.fail("step-result-stands", `step ${key} of ${job} is done, and begins again`);
  }
  if (known !== undefined && known.end === undefined && once && event.again !== true) {
    const what = `step ${key} of ${job} may have happened, and begins again by itself`;
    hands.fail("once-is-once", what);
  }
  const input = event.inputHash.toString("hex");
  const order = known?.order ?? job.run.steps++;
  job.steps.set(key, { order, input, once, end: undefined });
}

function ended(
  hands: Hands, job: ModelJob, event: EventOf<"StepDone" | "StepFailed">,
): void {
  checkAttempt(hands, job, event);
  const step = job.steps.get(keyOf(event));
  if (step === undefined || step.end !== undefined) {
    const why = step === undefined ? "never began" : "has ended before";
    hands.fail("step-result-stands", `step ${keyOf(event)} of ${job} ends, and ${why}`);
  }
  step.end = event.type === "StepFailed"
    ? { failed: true, result: "" }
    : { failed: false, result: event.blob?.sha256 ?? event.result?.toString("base64") ?? "" };
}

/** A program was given this result of a step. */
export function gave(hands: Hands, job: ModelJob, step: string, value: unknown): void {
  const end = job.steps.get(step)?.end;
  const result = Buffer.from(JSON.stringify(value)).toString("base64");
  if (end?.failed === false && end.result === result) return;
  const found = end === undefined ? "it has not ended" : `it is ${JSON.stringify(end)}`;
  const what = `step ${step} of ${job} gives ${JSON.stringify(value)}, and in the log ${found}`;
  hands.fail("step-result-stands", what);
}

/** The steps of another run that were done, up to one of them. */
export function forked(run: ModelRun, from: ModelRun, event: EventOf<"RunForked">): void {
  run.steps = event.step;
  const done = (steps: ReadonlyMap<string, ModelStep>): Map<string, ModelStep> => {
    const copies = [...steps].map(([key, step]) => [key, { ...step }] as const);
    return new Map(copies.filter(([, { order, end }]) =>
      order < event.step && end?.failed === false));
  };
  const all = from.jobs.map(({ place, steps }) => ({ place, steps: done(steps) }));
  for (const { job, result, ...name } of event.set) {
    const step = all[job]?.steps.get(keyOf(name));
    if (step !== undefined) step.end = { failed: false, result: result.toString("base64") };
  }
  for (const job of run.jobs) {
    for (const [key, step] of all[job.index]!.steps) job.steps.set(key, step);
  }
  if (!event.carries) return;
  for (const { place, steps } of all) if (place !== "") run.carried.set(place, steps);
  for (const [place, steps] of from.carried) run.carried.set(place, done(steps));
}

/** A job has been added by another one. It may have done something already, in another run. */
export function added(job: ModelJob, { key, digest }: EventOf<"JobsSpawned">, by: string): void {
  job.place = `${by} ${digest.toString("hex")} ${key}`;
  for (const [name, step] of job.run.carried.get(job.place) ?? []) job.steps.set(name, step);
  job.run.carried.delete(job.place);
}
