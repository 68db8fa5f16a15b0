/**
 * Lesson 19: rows of what has changed, read once for all readers.
 *
 * Test: test/http.events.test.ts
 */
import type { Host } from "#host";
import { jobJson, runJson } from "#rows";
import type { Client, JobInfo } from "#sdk";
import type { Touched } from "#wire";
import { NO_ROWS, type SeenRows } from "./frames.ts";

/** Runs and jobs that look different from what readers were told. */
export class Touches {
  readonly #runs = new Map<string, { jobs: Set<number>; all: boolean }>();

  get size(): number {
    return this.#runs.size;
  }

  add(touched: readonly Touched[]): void {
    for (const { run, jobs, all } of touched) {
      const known = this.#runs.get(run) ?? { jobs: new Set<number>(), all: false };
      this.#runs.set(run, known);
      known.all ||= all;
      for (const job of jobs) known.jobs.add(job);
    }
  }

  merge(others: Touches): void {
    this.add([...others.#runs].map(([run, { jobs, all }]) => ({ run, jobs: [...jobs], all })));
  }

  /** What to ask for: jobs only of runs that somebody looks at. */
  asked(followed: ReadonlySet<string>): Touched[] {
    return [...this.#runs].map(([run, { jobs, all }]) => {
      const isFollowed = followed.has(run);
      return { run, jobs: isFollowed && !all ? [...jobs] : [], all: isFollowed && all };
    });
  }
}

/** Reads rows from the master, and makes JSON of them. */
export class RowReader {
  readonly #session: () => Promise<Client>;
  readonly #host: Host;
  /** Ids of the jobs of runs that somebody follows, by their positions. */
  readonly #ids = new Map<string, string[]>();

  constructor({ session, host }: { session: () => Promise<Client>; host: Host }) {
    this.#session = session;
    this.#host = host;
  }

  forget(): void {
    this.#ids.clear();
  }

  async read(asked: Touched[]): Promise<SeenRows> {
    if (asked.length === 0) return NO_ROWS;
    const { runs, jobs, gone } = await (await this.#session()).rows(asked);
    for (const run of gone) this.#ids.delete(run);
    for (const run of new Set(jobs.map((row) => row.run))) await this.#learn(run);
    for (const { run, job } of jobs) this.#ids.get(run)![job.index] = job.id;
    const byRun = new Map<string, string[]>();
    for (const { run, job } of jobs) {
      const texts = byRun.get(run) ?? [];
      byRun.set(run, texts);
      texts.push(JSON.stringify({ run, ...this.json(run, job) }));
    }
    return {
      runs: new Map(runs.map((run) => [run.id, JSON.stringify(runJson(run))])), jobs: byRun, gone,
    };
  }

  /** A job's row, its parents by their ids. */
  json(run: string, job: JobInfo): object {
    const ids = this.#ids.get(run) ?? [];
    const parents = job.dependsOn.map((index) => ids[index]!);
    return jobJson(job, parents, this.#host.clock.wall());
  }

  /** All jobs of a run, whose ids are known from here on. */
  async jobs(client: Client, run: string): Promise<{ run: object; jobs: object[] }> {
    const found = await client.status(run);
    this.#ids.set(run, found.jobs.map(({ id }) => id));
    return { run: runJson(found.run), jobs: found.jobs.map((job) => this.json(run, job)) };
  }

  async #learn(run: string): Promise<void> {
    if (!this.#ids.has(run)) await this.jobs(await this.#session(), run).catch(() => undefined);
    if (!this.#ids.has(run)) this.#ids.set(run, []); // forgotten this moment
  }
}
