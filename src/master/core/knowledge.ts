/**
 * Lesson 10: what workers of different versions understand. A worker says it in HELLO (`knows`).
 *
 *     job is a service ──▶ its key is "GPU+~services" ──▶ only workers with GPU that know services
 *     job has files ──▶ "~artifacts"
 *
 * To the router a known thing is one tag more, and so it is to the scaling of chapter 13: a free
 * slot of a worker that is too old is none for a service. `~` is in no tag that a person can give,
 * so the two do not mix; people see keys without it (`plainKey`).
 *
 * Invariant: affinity follows tags alone, as it always has: an old log gives the same state. A
 * service that is pinned to a worker which is too old waits until that worker leaves.
 * Test: test/14-services.knows.test.ts
 */
import { HIDDEN, parseKey, requirementKey } from "#routing";
import type { JobSpec, Knowledge } from "#wire";

const NOTHING: readonly Knowledge[] = [];

/** What a worker has to understand for this job. */
export function neededKnowledge({ service, files }: JobSpec): readonly Knowledge[] {
  // Nearly all jobs are neither.
  if (service === undefined && files === undefined) return NOTHING;
  const needed: Knowledge[] = [];
  if (service !== undefined) needed.push("services");
  if (files !== undefined) needed.push("artifacts");
  return needed;
}

/** The key of a job's requirement, with what its worker has to understand. */
export function needKey(spec: JobSpec, pinned?: number): string {
  const needed = neededKnowledge(spec);
  if (needed === NOTHING) return requirementKey(spec.requirement, pinned);
  return requirementKey([...spec.requirement, ...needed.map((word) => HIDDEN + word)], pinned);
}

interface Offer {
  readonly tags: readonly string[];
  /** Words of `Hello.knows`. */
  readonly knows: readonly string[];
}

/** A worker's tags, as router and scaling get them. */
export function routedTags({ tags, knows }: Offer): string[] {
  return [...tags, ...knows.map((word) => HIDDEN + word)];
}

/** The words of a key that this worker does not understand. */
export function missingKnowledge({ knows }: Pick<Offer, "knows">, key: string): string[] {
  return parseKey(key).tags.filter((tag) => tag.startsWith(HIDDEN)).map((tag) => tag.slice(1))
    .filter((word) => !knows.includes(word));
}

export function canRun({ knows }: Pick<Offer, "knows">, spec: JobSpec): boolean {
  return neededKnowledge(spec).every((word) => knows.includes(word));
}
