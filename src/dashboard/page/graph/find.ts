/**
 * Lesson 19: the jobs that a person means by a few letters.
 *
 * Test: test/19-dashboard.run.test.ts
 */

/** Results that a person reads through before typing another letter. */
const MAX_FOUND = 20;

/** Numbers of jobs: the id itself, then ids that begin so, then those that contain it. */
export function findJobs(ids: readonly string[], text: string): number[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const ranks: number[][] = [[], [], []];
  for (const [at, id] of ids.entries()) {
    const where = id.toLowerCase().indexOf(wanted);
    if (where < 0) continue;
    const rank = id.length === wanted.length ? 0 : where === 0 ? 1 : 2;
    if (ranks[rank]!.length < MAX_FOUND) ranks[rank]!.push(at);
  }
  return ranks.flat().slice(0, MAX_FOUND);
}
