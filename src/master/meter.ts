/**
 * Lesson 10: how long things take: jobs until they start, attempts until they end, the disk.
 *
 * Invariant: a measurement costs one look at a job and a few comparisons, whoever reads it.
 * Test: test/http.metrics.test.ts
 */
import type { Event, Job, State } from "#core";
import type { Histogram, Metrics } from "#wire";

const US_PER_MS = 1000;
/** From a chain without a wait to a queue of a night. */
const WAIT_BOUNDS_MS = [1, 5, 10, 50, 100, 500, 1000, 5000, 30_000, 300_000, 3_600_000];
/** From a call in a thread to a training of a day. */
const TOOK_BOUNDS_MS = [1, 10, 100, 500, 1000, 5000, 30_000, 300_000, 3_600_000, 86_400_000];
/** From a disk that lies to one that is about to fail. */
const SYNC_BOUNDS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100, 1000];

class Tally {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** `boundsMs`: rising. */
  constructor(boundsMs: readonly number[]) {
    this.#bounds = boundsMs;
    this.#counts = Array<number>(boundsMs.length + 1).fill(0);
  }

  add(ms: number): void {
    let at = 0;
    while (at < this.#bounds.length && ms > this.#bounds[at]!) at += 1;
    this.#counts[at]! += 1;
    this.#sum += ms;
  }

  get told(): Histogram {
    return {
      boundsUs: this.#bounds.map((ms) => Math.round(ms * US_PER_MS)), counts: [...this.#counts],
      sumUs: Math.round(this.#sum * US_PER_MS),
    };
  }
}

export class Meter {
  readonly #state: () => State;
  readonly #waited = new Tally(WAIT_BOUNDS_MS);
  readonly #took = new Tally(TOOK_BOUNDS_MS);
  readonly #synced = new Tally(SYNC_BOUNDS_MS);
  #succeeded = 0;
  #failed = 0;
  #lost = 0;

  constructor(state: () => State) {
    this.#state = state;
  }

  /** The log has written and synced something. */
  readonly synced = (ms: number): void => this.#synced.add(ms);

  /** It is applied. */
  look(event: Event): void {
    switch (event.type) {
      case "JobStarted": {
        const job = this.#jobOf(event);
        const since = job === undefined ? undefined : couldStart(job);
        // A later attempt has waited on purpose.
        if (since !== undefined && event.attempt === 1) this.#waited.add(event.at - since);
        return;
      }
      case "JobSucceeded":
        this.#succeeded += 1;
        return this.#ended(event);
      case "JobFailed":
        this.#failed += 1;
        return this.#ended(event);
      case "JobLost":
        this.#lost += 1;
        return this.#ended(event);
    }
  }

  #ended(event: { run: number; job: number; at: number }): void {
    const startedAt = this.#jobOf(event)?.startedAt ?? 0;
    if (startedAt > 0) this.#took.add(Math.max(0, event.at - startedAt));
  }

  #jobOf({ run, job }: { run: number; job: number }): Job | undefined {
    return this.#state().runs.get(run)?.jobs[job];
  }

  /** Since the master's start. */
  get told(): Measured {
    return {
      waited: this.#waited.told, took: this.#took.told, synced: this.#synced.told,
      succeeded: this.#succeeded, failed: this.#failed, lost: this.#lost,
    };
  }
}

type Measured = Pick<
  Metrics, "waited" | "took" | "synced" | "succeeded" | "failed" | "lost"
>;

/**
 * When nothing was in its way any more but a worker. Of a job without parents that came after the
 * submission nobody has written down when that was.
 */
function couldStart(job: Job): number | undefined {
  const { run } = job;
  const parents = run.parentsOf(job);
  if (parents.length === 0 && job.index >= run.spec.jobs.length) return undefined;
  let at = run.submittedAt;
  for (const parent of parents) at = Math.max(at, run.jobs[parent]!.endedAt);
  return at;
}
