/**
 * Lesson 18: what a fork takes over of another run: its first steps, by whose they are.
 *
 *     plan   think#1 judge#1    of the pipeline: the same job of the fork has them at once
 *     dig-1  read#1             added by plan: they wait at its place, until plan adds it again
 *
 * The place of a job that was added is what makes it the same job: who added it, under which key,
 * with which others, and which of them it is. A program that goes another way in the fork adds
 * other jobs, and those find nothing.
 *
 * Invariants: steps are shared and not copied; a place has no steps, or at least one.
 * Left out: jobs that people or programs add by AddJobs, which has no key. Nobody would add them
 * again.
 * Test: test/18-agents.fork.test.ts
 */
import { agentOf } from "./agent-state.ts";
import type { EventOf } from "./events.ts";
import type { Step } from "./journal.ts";
import type { Job, Run, SpawnRecord } from "./state.ts";

export interface Prefix {
  /** Of the pipeline's own jobs, by their numbers. */
  readonly own: readonly (readonly Step[])[];
  /** Of jobs that were added, by their places. */
  readonly carried: ReadonlyMap<string, readonly Step[]>;
}

type Wish = Pick<EventOf<"RunForked">, "step" | "set">;

/** Another run has paid for it. */
const FREE = { starts: 0, spentTokens: 0, spentMicros: 0 };

// #region prefix
export function prefixOf(from: Run, wish: Wish): Prefix {
  const own = from.spec.jobs.map((_, index) => taken(from.jobs[index]!, wish));
  const carried = new Map<string, readonly Step[]>();
  const carry = (place: string, steps: readonly Step[]): void => {
    if (steps.length > 0) carried.set(place, steps);
  };
  for (const job of from.jobs) {
    for (const spawn of agentOf(job).spawns) {
      for (let at = 0; at < spawn.count; at++) {
        carry(placeOf(job, spawn, at), taken(from.jobs[spawn.from + at]!, wish));
      }
    }
  }
  // It is a fork itself, and has not added these jobs again so far.
  for (const [place, steps] of from.carried) {
    carry(place, steps.filter(({ order }) => order < wish.step));
  }
  return { own, carried };
}
// #endregion

/** Neither ids nor keys have line breaks. */
export function placeOf(
  { spec }: Job, { key, digest }: Pick<SpawnRecord, "key" | "digest">, at: number,
): string {
  return [spec.id, key, digest.toString("hex"), at].join("\n");
}

function taken({ index, journal }: Job, { step: end, set }: Wish): Step[] {
  const steps = [...(journal?.values() ?? [])];
  return steps.filter(({ status, order }) => status === "DONE" && order < end).map((step) => {
    const { name, ordinal } = step;
    const other = set.find((each) =>
      each.job === index && each.name === name && each.ordinal === ordinal);
    const kept = { ...step, ...FREE, accepted: true };
    if (other === undefined) return kept;
    return { ...kept, result: Buffer.from(other.result), blob: undefined };
  });
}
