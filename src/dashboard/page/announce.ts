/**
 * Lesson 19: what people who listen are told without asking: that a gate has opened, that a job has
 * failed, that a run is over. Pure: two states in, a sentence out, or nothing.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { plural } from "#base";
import type { Gate, Run } from "./rows.ts";
import { answerOf, type State } from "./state.ts";

/** Nobody can listen to more. */
export const QUIET_MS = 5_000;
const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

/** What has happened between two states that a person should know. */
export function tell(before: State, after: State): string {
  const parts = [...newGates(before, after), ...newsOfRuns(before, after)];
  return parts.length > 3 ? `${parts.slice(0, 3).join(". ")}, and more` : parts.join(". ");
}

function newGates(before: State, after: State): string[] {
  const known = answerOf<Gate[]>(before, "gates");
  const open = answerOf<Gate[]>(after, "gates");
  if (known === undefined || open === undefined || known === open) return [];
  const ids = new Set(known.map(({ id }) => id));
  const fresh = open.filter(({ id }) => !ids.has(id));
  if (fresh.length === 0) return [];
  return [fresh.length === 1
    ? `${fresh[0]!.id} waits for an approval: ${fresh[0]!.message}`
    : `${plural(fresh.length, "gate")} wait for an approval`];
}

function newsOfRuns(before: State, after: State): string[] {
  const [known, now] = [before.runs, after.runs];
  if (known === undefined || now === undefined || known === now) return [];
  const told: string[] = [];
  for (const run of now.values()) {
    const was = known.get(run.id);
    if (was === undefined || was === run) continue;
    if (ENDED.has(run.status) && !ENDED.has(was.status)) {
      told.push(`${run.id} is ${run.status.toLowerCase()}`);
    } else if (failures(run) > failures(was)) told.push(`A job of ${run.id} has failed`);
  }
  return told;
}

function failures({ jobs }: Run): number {
  return (jobs.FAILED ?? 0) + (jobs.DEAD ?? 0);
}
