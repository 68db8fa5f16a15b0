/**
 * Lesson 10: what workers of different versions understand. A worker says it in HELLO (`knows`).
 *
 *     job is a service ──▶ its key is "GPU+~services" ──▶ only workers with GPU that know services
 *
 * To the router a known thing is one tag more, and so it is to the scaling of chapter 13: a free
 * slot of a worker that is too old is none for a service. `~` is in no tag that a person can give,
 * so the two do not mix; people see keys without it (`plainKey`).
 *
 * Invariant: affinity follows tags alone, as it always has: an old log gives the same state. A
 * service that is pinned to a worker which is too old waits until that worker leaves.
 * Test: test/14-services.knows.test.ts
 */
import { HIDDEN, requirementKey } from "#routing";
import type { JobSpec, Knowledge } from "#wire";

const SERVICES: Knowledge = "services";

/** The key of a job's requirement, with what its worker has to understand. */
export function needKey({ requirement, service }: JobSpec, pinned?: number): string {
  if (service === undefined) return requirementKey(requirement, pinned);
  return requirementKey([...requirement, HIDDEN + SERVICES], pinned);
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

export function canServe({ knows }: Pick<Offer, "knows">): boolean {
  return knows.includes(SERVICES);
}
