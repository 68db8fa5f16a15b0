/**
 * Lesson 19: the jobs of a run as the graph, the timeline and the table want them: numbered, and
 * with a structure that is the same object as long as it is the same structure.
 *
 * Test: test/19-dashboard.run.view.test.ts
 */
import type { GraphJob } from "../graph/model.ts";
import type { Job } from "../rows.ts";

export interface RunJobs {
  /** In the order of the definition, with their latest states. */
  readonly rows: readonly Job[];
  readonly structure: readonly GraphJob[];
  readonly numbers: ReadonlyMap<string, number>;
  /** What it was made of. */
  readonly from: ReadonlyMap<string, Job>;
}

/** `before`: what this function made of the same run the last time. */
export function runJobs(jobs: ReadonlyMap<string, Job>, before?: RunJobs): RunJobs {
  if (before !== undefined && before.from === jobs) return before;
  const rows = [...jobs.values()];
  if (before !== undefined && isSame(rows, before.rows)) return { ...before, rows, from: jobs };
  const numbers = new Map(rows.map(({ id }, at) => [id, at]));
  const structure = rows.map((job): GraphJob => {
    const { id, dependsOn, service } = job;
    const parents = dependsOn.flatMap((parent) => {
      const found = typeof parent === "number" ? parent : numbers.get(parent);
      // A parent that is not here cannot be drawn.
      return found === undefined || found >= rows.length ? [] : [found];
    });
    return { id, parents, kind: service === undefined ? "job" : "service" };
  });
  return { rows, structure, numbers, from: jobs };
}

function isSame(rows: readonly Job[], before: readonly Job[]): boolean {
  return rows.length === before.length && rows.every((row, at) => {
    const old = before[at]!;
    // Most rows are the very object that they were.
    return row === old || (row.id === old.id && row.dependsOn.join() === old.dependsOn.join());
  });
}

/** "train, running": the name of a job's button, wherever one stands. */
export function jobName({ id, status }: Job): string {
  return `${id}, ${status.toLowerCase()}`;
}
