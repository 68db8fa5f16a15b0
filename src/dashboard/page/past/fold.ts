/**
 * Lesson 19: a run at any moment of its past: its rows at one moment, and what each fact behind it
 * has changed.
 *
 *     facts   1 ─ 2 ─ 3 ─ 4 ─ 5 ─ 6 ─ 7 ─ 8 ─ …        the rows of a moment are those of the
 *     bases   ▲               ▲               ▲        nearest base before it, with the changes of
 *                                                      the facts between; so to go back is to fold
 *                                                      again from there
 *
 * What an event means is decided in one place, the master's `apply`. A fact comes with the rows
 * that `apply` has changed.
 *
 * Invariants: a row that did not change stays the same object; bases hold no more rows together
 * than there are facts, and behind each there is no more to fold than a picture of all jobs costs.
 * Test: test/19-dashboard.past.test.ts
 */
import type { Fact, Job, Run } from "../rows.ts";

/** A fact, and what it has done to the run that is looked at. */
export interface PastFact extends Fact {
  /** In words. */
  readonly text: string;
  readonly changed?: Changes;
}

/** Rows as they are behind the fact. */
export interface Changes {
  readonly run?: Run;
  /** Those that were not there before come last, as in the run. */
  readonly jobs: readonly Job[];
  /** There would be too many of them: any job may be another one. */
  readonly all?: boolean;
}

/** A run after one of its facts. */
export interface Moment {
  readonly seq: number;
  readonly at: number;
  readonly run: Run;
  /** In the order of its definition. */
  readonly jobs: ReadonlyMap<string, Job>;
}

/** What `history` answers: the facts behind which the state can be told. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** What `history/at` answers. */
export interface MomentRows {
  readonly seq: number;
  readonly at: number;
  readonly runs: readonly Run[];
  readonly jobs?: readonly Job[];
}

export interface FactsPage {
  readonly facts: readonly PastFact[];
  /** Where the next page begins. */
  readonly next: number | null;
}

export function momentOf({ seq, at, runs, jobs = [] }: MomentRows, id: string): Moment | undefined {
  const run = runs.find((each) => each.id === id);
  return run && { seq, at, run, jobs: new Map(jobs.map((job) => [job.id, job])) };
}

// #region fold
/** The moment after these facts. */
export function fold(from: Moment, facts: readonly PastFact[]): Moment {
  let { seq, at, run } = from;
  let jobs: Map<string, Job> | undefined;
  for (const fact of facts) {
    ({ seq, at } = fact);
    run = fact.changed?.run ?? run;
    for (const job of fact.changed?.jobs ?? []) {
      jobs ??= new Map(from.jobs);
      jobs.set(job.id, job);
    }
  }
  return { seq, at, run, jobs: jobs ?? from.jobs };
}
// #endregion

/** A base each so many changes, or later, if a picture of all jobs is larger. */
const LEAST_CHANGES = 256;

export class RunPast {
  readonly #facts: PastFact[];
  /** `place`: how many facts are in it. */
  readonly #bases: { readonly place: number; readonly moment: Moment }[];
  #changes = 0;
  #latest: { readonly place: number; readonly moment: Moment };

  /** The first fact that is known of the run, and the run behind it. */
  constructor(first: PastFact, moment: Moment) {
    this.#facts = [first];
    this.#latest = { place: 1, moment };
    this.#bases = [this.#latest];
  }

  /** They have places from 1 on. */
  get facts(): readonly PastFact[] {
    return this.#facts;
  }

  /** The one behind the latest, and the run behind it, if that is known from elsewhere. */
  add(fact: PastFact, moment?: Moment): void {
    const place = this.#facts.push(fact);
    this.#changes += 1 + (fact.changed?.jobs.length ?? 0);
    const due = Math.max(LEAST_CHANGES, this.#bases.at(-1)!.moment.jobs.size);
    if (moment === undefined && this.#changes < due) return;
    this.#bases.push({ place, moment: moment ?? this.at(place) });
    this.#changes = 0;
  }

  /** The run when so many facts had happened. */
  at(place: number): Moment {
    let base = this.#bases[0]!;
    for (let [low, high] = [1, this.#bases.length - 1]; low <= high;) {
      const middle = (low + high) >> 1;
      const found = this.#bases[middle]!;
      if (found.place <= place) [base, low] = [found, middle + 1];
      else high = middle - 1;
    }
    // Most moves are a step ahead.
    if (this.#latest.place > base.place && this.#latest.place <= place) base = this.#latest;
    const moment = fold(base.moment, this.#facts.slice(base.place, place));
    this.#latest = { place, moment };
    return moment;
  }

  /** How many facts had happened when the log had this number; the first one always has. */
  placeOf(seq: number): number {
    let [low, high] = [1, this.#facts.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#facts[middle - 1]!.seq <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
