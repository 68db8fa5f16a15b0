/**
 * Lesson 22: the runs that the model knows, by number and by name; which of them are over, which
 * are forgotten, and what their keys still mean.
 *
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import type { Complaints } from "./invariants-list.ts";
import { checkForgotten, checkKey } from "./model-checks.ts";
import {
  ModelRun, mostMemory, reopen, type ModelJob, type Submission,
} from "./model-state.ts";

const MAX_OPEN_RUNS = 10_000;
/** Keys of forgotten runs are kept for a day, and so many of them. */
const [KEY_AGE_MS, MAX_KEPT_KEYS] = [24 * 60 * 60 * 1000, 20_000];

export class ModelRuns {
  readonly byNumber = new Map<number, ModelRun>();
  /** The latest run of this name. */
  readonly byId = new Map<string, ModelRun>();
  /** Those that are not over. */
  open = 0;
  readonly #model: Complaints;
  readonly #keys = new Map<string, ModelRun>();
  readonly #finished = { runs: 0, bytes: 0 };
  /** Forgotten runs whose keys are kept, oldest first. */
  readonly #kept: ModelRun[] = [];
  #last = 0;

  constructor(model: Complaints) {
    this.#model = model;
  }

  run(number: number): ModelRun {
    const run =
      this.byNumber.get(number) ??
      this.#model.fail(
        "replay-equals-live", `an event names run ${number}, which was never submitted`,
      );
    if (run.forgotten) {
      this.#model.fail("terminal-absorbs", `something happens to ${run.id}, which was forgotten`);
    }
    return run;
  }

  job(key: { run: number; job: number }): ModelJob {
    const run = this.run(key.run);
    return (
      run.jobs[key.job] ??
      this.#model.fail(
        "replay-equals-live",
        `an event names job ${key.job} of ${run.id}, which has ${run.jobs.length}`,
      )
    );
  }

  jobs({ run, jobs }: { run: number; jobs: readonly number[] }): ModelJob[] {
    return jobs.map((job) => this.job({ run, job }));
  }

  add(event: Submission): ModelRun {
    const { run: number, id, key } = event;
    if (number <= this.#last) {
      this.#model.fail("one-key-one-run", `number ${number} of run ${id} was given before`);
    }
    const same = this.byId.get(id);
    if (same !== undefined && !same.forgotten) {
      this.#model.fail("one-key-one-run", `there are two runs ${id}`);
    }
    const first = key === undefined ? undefined : this.#keys.get(key);
    if (first !== undefined && event.at < first.keyUntil) {
      const what = `key "${key}" made ${id}, and had made ${first.id} before`;
      this.#model.fail("one-key-one-run", what);
    }
    this.#last = number;
    const run = new ModelRun(event);
    this.byNumber.set(number, run);
    this.byId.set(id, run);
    if (key !== undefined) this.#keys.set(key, run);
    this.open += 1;
    if (this.open > MAX_OPEN_RUNS) {
      this.#model.fail("bounded-queues", `${this.open} runs are open, more than ${MAX_OPEN_RUNS}`);
    }
    return run;
  }

  end(run: ModelRun): void {
    if (run.ended) return;
    run.ended = true;
    run.everEnded = true;
    run.cancelled = false;
    this.open -= 1;
    this.#count(run, 1);
  }

  /** Jobs of it get another chance. */
  reopen(run: ModelRun, jobs: readonly ModelJob[]): void {
    if (run.ended) this.#count(run, -1);
    for (const job of jobs) reopen(job);
    if (run.ended && run.open > 0) {
      run.ended = false;
      this.open += 1;
    } else if (run.ended) this.#count(run, 1);
  }

  checkForgotten(run: ModelRun): void {
    checkForgotten(this.#model, run, this.#finished);
  }

  forget(run: ModelRun, event: EventOf<"RunsForgotten" | "RunsLetGo">): void {
    this.#count(run, -1);
    run.forgotten = true;
    const isKept = checkKey(this.#model, run, event);
    run.keyUntil = isKept ? event.at + KEY_AGE_MS : 0;
    if (isKept && this.#kept.push(run) > MAX_KEPT_KEYS) this.#kept.shift()!.keyUntil = 0;
  }

  #count(run: ModelRun, sign: 1 | -1): void {
    this.#finished.runs += sign;
    this.#finished.bytes += sign * (run.resultBytes + mostMemory(run));
  }
}
