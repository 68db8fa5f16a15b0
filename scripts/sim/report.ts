/** A failure, complete: a reader needs nothing else. */
import { plural } from "#base";
import { INVARIANTS, planLines, type Outcome, type Plan } from "#simulation";

/** Lines before the end that usually suffice. */
const TAIL_LINES = 60;

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
  /** Repeats it. */
  readonly command: string;
}

export function failureLines({ plan, small, runs, outcome, trace, command }: Failure): string[] {
  const { violation } = outcome;
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

function countOf({ steps, faults, pipelines }: Plan): string {
  const jobs = pipelines.reduce((sum, pipeline) => sum + pipeline.jobs.length, 0);
  const [asked, broken] = [plural(steps.length, "step"), plural(faults.length, "fault")];
  return `${asked}, ${broken}, ${plural(jobs, "job")}`;
}
