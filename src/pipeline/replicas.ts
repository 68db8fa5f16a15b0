/** Lesson 17: how the replicas of a service are called as jobs: `web`, `web.2`, `web.3`. */

/** From 1. */
export function replicaId(id: string, number: number): string {
  return number === 1 ? id : `${id}.${number}`;
}
