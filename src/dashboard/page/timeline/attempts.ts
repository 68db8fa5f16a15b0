/**
 * Lesson 19: the attempts of a run's jobs, as its facts tell them. They are read once, also by
 * somebody who looks at one moment after another: an attempt that begins later than the moment is
 * not there yet, and one that ends later goes on.
 *
 * Left out: facts of the same millisecond that come behind the moment.
 * Test: test/19-dashboard.run.test.ts
 */
import type { Attempt } from "./bars.ts";
import { unionOf, type Span } from "./scale.ts";

/** A fact of a job, as the event stream tells it. */
export interface JobFact {
  readonly type: string;
  readonly at: number;
  readonly job?: string;
  readonly attempt?: number;
}

/** What the end of an attempt makes of it. */
const ENDS: Readonly<Record<string, string>> = {
  JobSucceeded: "COMPLETED", JobFailed: "FAILED", JobLost: "FAILED", JobStopped: "CANCELLED",
  JobPaused: "WAITING",
};

export class Attempts {
  /** By the id of the job, in the order in which they began. */
  readonly #all = new Map<string, Attempt[]>();
  /** When any of them ran: without overlaps, from left to right. */
  #busy: Span[] | undefined = [];
  #read = 0;

  /** The facts of a list that has grown since. */
  read(facts: readonly JobFact[]): this {
    if (this.#read < facts.length) this.#busy = undefined;
    for (; this.#read < facts.length; this.#read++) this.#take(facts[this.#read]!);
    return this;
  }

  #take({ type, at, job, attempt }: JobFact): void {
    if (job === undefined || attempt === undefined) return;
    const own = this.#all.get(job) ?? [];
    this.#all.set(job, own);
    if (type === "JobStarted") return void own.push({ attempt, from: at, status: "RUNNING" });
    const status = ENDS[type];
    const which = own.findLastIndex((each) => each.attempt === attempt);
    if (status === undefined || which < 0 || own[which]!.to !== undefined) return;
    own[which] = { attempt, from: own[which]!.from, to: at, status };
  }

  /** Of one job, as they were known at a moment. */
  of(job: string, now: number): Attempt[] {
    return (this.#all.get(job) ?? []).filter(({ from }) => from <= now).map((each) =>
      each.to === undefined || each.to <= now ? each
        : { attempt: each.attempt, from: each.from, status: "RUNNING" });
  }

  /** Facts that have been read. */
  get size(): number {
    return this.#read;
  }

  /** The number of the latest attempt of a job, if it has ended; 0: it has not. */
  endedOf(job: string): number {
    const last = this.#all.get(job)?.at(-1);
    return last?.to === undefined ? 0 : last.attempt;
  }

  beginOf(job: string): number | undefined {
    return this.#all.get(job)?.[0]?.from;
  }

  /** When any of them ran, up to a moment. Of one that goes on, the row of its job says it. */
  busyUntil(now: number): Span[] {
    this.#busy ??= unionOf([...this.#all.values()].flatMap((own) => {
      const told = own.at(-1)?.to === undefined ? own.slice(0, -1) : own;
      return told.map(({ from, to = Infinity }) => ({ from, to }));
    }));
    return this.#busy.filter(({ from }) => from <= now).map(({ from, to }) =>
      ({ from, to: Math.min(to, now) }));
  }
}
