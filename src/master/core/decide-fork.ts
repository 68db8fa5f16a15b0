/**
 * Lesson 18: a run that begins where another one was: with the same pipeline, and with the steps of
 * the other one up to the one that is named, in the order in which that run began them.
 *
 *     run    plan#1  search#1  search#2  write#1
 *     fork   plan#1  search#1  ──▶ its own             (--from search#1)
 *
 * Steps that were not done are left out, so they run again. Those that are taken over stand, even
 * if their inputs differ in the new run: a person may have replaced a result before them. Jobs that
 * were added while the run went on are added once more by those that added them, and find their
 * steps done (prefix.ts).
 *
 * Invariants: the run that is forked changes in nothing; what is taken over is shared and not
 * copied.
 * Test: test/18-agents.fork.test.ts
 */
import { MAX_LISTED } from "./limits.ts";
import type { CommandOf } from "./command.ts";
import { newRun } from "./decide-runs.ts";
import type { DecidedOn, Effect } from "./effect.ts";
import type { EventOf } from "./events.ts";
import { findRun } from "./find.ts";
import { stepName, type Step } from "./journal.ts";
import { carriedMemory, jobsMemory, runMemory, stepMemory } from "./memory.ts";
import { prefixOf } from "./prefix.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom } from "./room.ts";
import type { Job, Run, State } from "./state.ts";

interface Found {
  readonly job: Job;
  readonly step: Step;
}

export function decideFork(
  state: State, command: CommandOf<"Fork">, context: Context,
): DecidedOn<"Fork"> {
  const from = findRun(state, command.run);
  const doing = `fork ${from.id}`;
  const refuse = (code: Refusal["code"], found: string): Refusal =>
    new Refusal(code, `Cannot ${doing}: ${found}`);
  if (from.jobs.some(({ spec }) => spec.service !== undefined)) {
    throw refuse("INVALID", "it has services, and a deployment makes those");
  }
  const end = findStep(from, command.from, doing).step.order + 1;
  const set = command.set.map(({ step: named, result }) => {
    const { job, step } = findStep(from, named, doing);
    if (step.status !== "DONE" || step.order >= end) {
      throw refuse("INVALID", `${named} is no step that it takes over`);
    }
    return { job: job.index, name: step.name, ordinal: step.ordinal, result };
  });
  const { own, carried } = prefixOf(from, { step: end, set });
  const kept = own.flat().reduce((sum, step) => sum + stepMemory(step), 0) +
    [...carried].reduce((sum, [place, steps]) => sum + carriedMemory(place, steps), 0);
  const bytes = runMemory(undefined, from.spec) + jobsMemory(from.spec.jobs) + kept;
  const { spec, key } = { spec: from.spec, key: undefined };
  const asked = { spec, key, by: command.by || undefined, strict: false, updateMs: undefined };
  checkRoom(state, { runs: 1, bytes, doing }, context);
  const { what, news } = newRun(state, { ...asked, doing }, context);
  const event: EventOf<"RunForked"> =
    { type: "RunForked", ...what, from: from.number, step: end, set, carries: true };
  const prefix = [...own, ...carried.values()].flat();
  const reply = { run: what.id, steps: prefix.length };
  return { events: [event, ...news], effects: holds(from, prefix), reply };
}

/** The files that it shares with the other run. */
function holds({ spec: { project } }: Run, prefix: readonly Step[]): Effect[] {
  const blobs = prefix.flatMap(({ blob }) => blob?.sha256 ?? []);
  return [project, ...blobs].flatMap((hash) =>
    hash === undefined ? [] : { type: "Hold", blob: hash });
}

/** NAME, NAME#2, JOB:NAME or JOB:NAME#2. */
function findStep(run: Run, named: string, doing: string): Found {
  const found: Found[] = [];
  for (const job of run.jobs) {
    for (const step of job.journal?.values() ?? []) {
      const names = [stepName(step), ...(step.ordinal === 1 ? [step.name] : [])];
      const full = names.map((name) => `${job.spec.id}:${name}`);
      if (names.includes(named) || full.includes(named)) found.push({ job, step });
    }
  }
  if (found.length === 1) return found[0]!;
  if (found.length === 0) {
    const none = run.steps === 0 ? "it has none" : `it has no step "${named}"`;
    throw new Refusal("NOT_FOUND", `Cannot ${doing}: ${none}`);
  }
  const all = found.slice(0, MAX_LISTED).map(({ job, step }) => `${job.spec.id}:${stepName(step)}`);
  const several = `"${named}" is the name of ${found.length} steps (${all.join(", ")})`;
  throw new Refusal("CONFLICT", `Cannot ${doing}: ${several}`);
}
