/**
 * The jobs of a plan as shell scripts, which write down what happens to them.
 *
 *     RUN JOB ATTEMPT WORKER PID begin|end|fail NANOSECONDS        one write a line, O_APPEND
 *
 * Each job has its own file, which knows nothing of masters and logs: all that stands there was
 * done, however often and by whichever worker. The checks (verdict.ts) compare it with the log.
 *
 * Invariant: a script ends as soon as one of its programs does not succeed, so that a half-killed
 * attempt writes no `end`.
 */
import { jobSpecOf, readScript, type JobPlan } from "#simulation";
import type { JobSpec } from "#wire";

/** Where the jobs write, and how every script begins. */
const SAY = `set -e
say() { t=$(date +%s%N); printf '%s %s %s %s %s %s %s\\n' "$TITAN_RUN" "$TITAN_JOB" \\
  "$TITAN_ATTEMPT" "$TITAN_WORKER" "$$" "$1" "$t" >> "$EFFECTS/$TITAN_RUN.$TITAN_JOB"; }
say begin
`;
/** A shell takes longer to start than a simulated program, and must not be late by that alone. */
const START_MS = 1000;
const FOREVER = "sleep 3600";

/**
 * Words that only real programs know: a process with an hour to live, in the job's group or outside
 * of it. Neither may survive its attempt.
 */
export const LEFTOVERS: Readonly<Record<string, string>> = {
  "leaves-child": `${FOREVER} >/dev/null 2>&1 &`,
  "leaves-daemon": `setsid ${FOREVER} >/dev/null 2>&1 &`,
};

/** A job that travels, and writes to that folder. A job whose file is missing stays as it is. */
export function shellJob(job: JobPlan, effects: string): JobSpec {
  const spec = untold(jobSpecOf(job));
  if (spec.action.type !== "command") return spec;
  return {
    ...spec,
    action: { type: "shell", script: SAY + scriptOf(spec.action.argv.slice(1)) },
    env: { EFFECTS: effects },
    timeoutMs: spec.timeoutMs === 0 ? 0 : spec.timeoutMs + START_MS,
  };
}

/** Nobody is told of its gate: a real master runs no program for that unless it is told to. */
function untold(spec: JobSpec): JobSpec {
  const rules = spec.gate?.rules;
  if (rules === undefined) return spec;
  return { ...spec, gate: { ...spec.gate!, rules: { ...rules, notify: undefined } } };
}

function scriptOf(words: readonly string[]): string {
  const script = readScript(words.filter((word) => LEFTOVERS[word] === undefined));
  const fails = `if [ "$TITAN_ATTEMPT" -le ${script.fails} ]; then say fail; exit 1; fi`;
  return [
    script.ignoresTerm && "trap '' TERM",
    ...words.map((word) => LEFTOVERS[word]),
    script.print > 0 &&
      `i=0; while [ $i -lt ${script.print} ]; do echo "line $i of $TITAN_JOB"; i=$((i+1)); done`,
    script.forever ? FOREVER : `sleep ${script.ms / 1000}`,
    script.fails > 0 && fails,
    script.result !== undefined && `printf %s ${script.result} > "$TITAN_OUTPUT"`,
    script.exit > 0 ? `say fail; exit ${script.exit}` : "say end",
  ].filter(Boolean).join("\n");
}
