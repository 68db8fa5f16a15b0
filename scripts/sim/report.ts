/**
 * A broken promise and the life that broke it: complete, so that a developer needs nothing else;
 * or what a screen holds, for a reader who has to find the mistake in a file of their own.
 *
 * Test: test/22-simulation.cli.test.ts
 */
import { plural } from "#base";
import { INVARIANTS, planLines, type Broken, type Outcome, type Plan } from "#simulation";

/** Lines before the end that usually suffice. */
const TAIL_LINES = 60;
/** A small terminal, less the three lines that say whose code it is and what is searched for. */
const SCREEN_LINES = 22;
/** However long the plan is, the end of the story is told. */
const LEAST_TAIL = 3;

export interface Failure {
  readonly plan: Plan;
  /** The same, or what shrinking left of it. */
  readonly small: Plan;
  /** Lives that shrinking took. */
  readonly runs: number;
  /** Of the small plan. */
  readonly outcome: Outcome;
  /** All lines, not only the last. */
  readonly trace: boolean;
  /** A screen in all, unless all lines are wanted. */
  readonly brief: boolean;
  /** Repeats it. */
  readonly command: string;
}

export function failureLines(failure: Failure): string[] {
  const { plan, small, runs, outcome, trace, command } = failure;
  const { violation } = outcome;
  if (failure.brief && !trace && violation !== undefined) return screenful(failure, violation);
  if (violation === undefined) return [`seed ${plan.seed}: nothing broke`];
  const lines = trace ? outcome.trace : outcome.trace.slice(-TAIL_LINES);
  const left = outcome.trace.length - lines.length;
  const rest = left > 0 ? ` (the last ${lines.length} lines; --trace shows ${left} more)` : "";
  return [
    `BROKEN: ${violation.invariant}`,
    `        ${INVARIANTS[violation.invariant]}`,
    `seed ${plan.seed}, at ${violation.atMs} ms: ${violation.message}`,
    "",
    small === plan
      ? "The plan:"
      : `The least that it takes (${countOf(small)} left of ${countOf(plan)}, after ${runs} ` +
        "lives):",
    ...planLines(small).map((line) => `  ${line}`),
    "",
    `What happened${rest}:`,
    ...lines,
    "",
    `Again: ${command}`,
  ];
}

/** The promise in words, the least that breaks it, and the last lines of what happened. */
function screenful(
  { plan, small, outcome: { trace }, command }: Failure, violation: Broken,
): string[] {
  const [message = "", ...frames] = violation.message.split("\n");
  const own = frames.find((frame) => OWN.test(frame));
  const head = [
    `BROKEN: ${violation.invariant}`,
    `        ${INVARIANTS[violation.invariant]}`,
    `seed ${plan.seed}, at ${violation.atMs} ms: ${message}`,
    ...(own === undefined ? [] : [`    ${own.trim().replace(OWN, "own/")}`]),
    "",
    small === plan ? "The plan:" : `The least that it takes (${countOf(small)}):`,
    // Of the kinds of faults, those that are left stand in the plan with their times.
    ...planLines(small).map((line) => `  ${line.replace(/; faults of this seed: .*/, "")}`),
    "",
  ];
  // Below them: a heading, an empty line, and the command.
  const room = Math.max(LEAST_TAIL, SCREEN_LINES - head.length - 3);
  const end = trace.findIndex((line) => line.includes(" BROKEN "));
  const story = trace.slice(0, end < 0 ? undefined : end)
    .filter((line) => !line.endsWith(message)); // it stands above
  return [
    ...head, "What happened before:", ...story.slice(-room), "", `All of it: ${command} --trace`,
  ];
}

/** A folder of the reader's, in a frame of a stack. */
const OWN = /(?:file:\/\/)?\/.*\/own\//;

function countOf({ steps, faults, pipelines }: Plan): string {
  const jobs = pipelines.reduce((sum, pipeline) => sum + pipeline.jobs.length, 0);
  const [asked, broken] = [plural(steps.length, "step"), plural(faults.length, "fault")];
  return `${asked}, ${broken}, ${plural(jobs, "job")}`;
}
