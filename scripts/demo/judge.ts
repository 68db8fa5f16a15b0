/**
 * Whether the demo's run kept what Titan promises. Pure.
 *
 * The diary is the jobs' own: a line when a count begins, and one when it has done its work. So it
 * knows what really happened, and the master's account is compared with it.
 *
 * Test: test/demo.test.ts
 */
import type { JobStatus } from "./timeline.ts";

export interface Checked {
  readonly holds: boolean;
  readonly text: string;
}

export interface Evidence {
  readonly expected: readonly string[];
  readonly jobs: readonly Pick<JobStatus, "id" | "status" | "attempt">[];
  /** The words that the merge came to. */
  readonly found: number;
  /** Lines of `begin JOB ATTEMPT WORKER` and `end JOB ATTEMPT WORKER`. */
  readonly diary: string;
  /** The words as they were counted without Titan. */
  readonly words: number;
  /** Events that the second master read from the log of the first. */
  readonly replayed: number;
}

const inWords = (count: number): string => count.toLocaleString("en-US");

export function judge({ expected, jobs, found, diary, words, replayed }: Evidence): Checked[] {
  const counts = jobs.filter(({ id }) => id.startsWith("count-"));
  const lines = diary.split("\n").map((line) => line.split(" "));
  const begins = lines.filter(([what]) => what === "begin");
  const begun = begins.length;
  const ended = new Set(lines.filter(([what]) => what === "end").map(([, job]) => job));
  const attempts = counts.reduce((sum, { attempt }) => sum + attempt, 0);
  const hasBegun = (job: string, attempt: number): boolean =>
    begins.some(([, id, number]) => id === job && Number(number) === attempt);
  // Begun in the log, and the master died before it had told the worker: it is tried once more.
  const unsent = counts.reduce((sum, { id, attempt: last }) => {
    const between = Array.from({ length: Math.max(0, last - 2) }, (_, n) => n + 2);
    return sum + between.filter((attempt) => !hasBegun(id, attempt)).length;
  }, 0);
  const again = counts.filter(({ attempt }) => attempt > 1).map(({ id }) => id);
  const done = jobs.filter((job) => job.status === "COMPLETED").map(({ id }) => id);
  return [
    {
      holds: expected.every((id) => done.includes(id)) && jobs.length === expected.length,
      text: `all ${expected.length} jobs are COMPLETED`,
    },
    {
      holds: again.length > 0 && begun + unsent === attempts
        && counts.every(({ id }) => hasBegun(id, 1)),
      text: `the counts were begun ${begun} times for ${counts.length} results: `
        + `${again.join(" and ")} died with a worker`,
    },
    {
      holds: counts.every(({ id }) => ended.has(id)) && found === words,
      text: `each result counted once: ${inWords(found)} words; without Titan, ${inWords(words)}`,
    },
    {
      holds: replayed > 0,
      text: `nothing was lost with the master: ${replayed} events were on the disk`,
    },
  ];
}
