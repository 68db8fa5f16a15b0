/**
 * Lesson 19: what each fact has changed of one run: the rows of it that `apply` has touched, as
 * they are behind the fact. A reader with the rows of one moment goes on from there with
 * these, fact by fact, and need not know what an event means.
 *
 * Invariant: the rows of a moment, with those that the next facts have changed in their places, are
 * the rows of the later moment; but for reasons to wait, which others change.
 * Left out: results, which may be large: they are in the rows of a moment.
 * Test: test/10-master.changes.test.ts
 */
import { jobInfo, runInfo, type Job, type Run, type State } from "#core";
import { MAX_CHANGED_JOBS, type ChangedRows, type Fact } from "#wire";
import { stepOn, type Cursor, type Written } from "./cursor.ts";
import { pastFact } from "./facts.ts";
import { runsOf, type PastNames } from "./names.ts";

/** Rows of one answer: some megabytes of JSON. */
const MAX_ROWS = 10_000;

export class ToldChanges {
  readonly #number: number;
  readonly #limit: number;
  readonly #names: PastNames;
  readonly #facts: Fact[] = [];
  readonly #changed: ChangedRows[] = [];
  #rows = 0;

  constructor(run: number, { limit, names }: { limit: number; names: PastNames }) {
    this.#number = run;
    this.#limit = limit;
    this.#names = names;
  }

  get all(): { facts: Fact[]; changed: ChangedRows[] } {
    return { facts: this.#facts, changed: this.#changed };
  }

  get isFull(): boolean {
    return this.#facts.length >= this.#limit || this.#rows >= MAX_ROWS;
  }

  /** Takes the next fact: one that is about the run, or has changed it, is kept. */
  step(cursor: Cursor, fact: Written): void {
    const { event } = fact;
    const before = cursor.state.runs.get(this.#number)?.size ?? 0;
    const touched = touchedJobs(cursor, fact, this.#number);
    if (touched === undefined && !runsOf(event).includes(this.#number)) return;
    this.#facts.push(pastFact(fact, this.#names));
    const run = cursor.state.runs.get(this.#number);
    const jobs = new Set([...(touched ?? []), ...(run?.after(before) ?? [])]);
    const changed = run === undefined ? NOTHING : rowsOf(cursor.state, run, jobs);
    this.#changed.push(changed);
    this.#rows += changed.jobs.length;
  }
}

/** The run is not there any more. */
const NOTHING: ChangedRows = { run: undefined, jobs: [], all: false };

/** Takes the next fact. The jobs of the run that it touches; undefined: nothing of it. */
function touchedJobs(cursor: Cursor, fact: Written, number: number): Set<Job> | undefined {
  const { state } = cursor;
  let touched: Set<Job> | undefined;
  const seeRun = (run: Run): void => {
    if (run.number === number) touched ??= new Set();
  };
  const seeJob = (job: Job): void => {
    seeRun(job.run);
    if (job.run.number === number) touched!.add(job);
  };
  state.keepers = [{ before: seeJob }];
  state.observer = { job: seeJob, run: seeRun };
  stepOn(cursor, fact);
  state.keepers = [];
  state.observer = undefined;
  return touched;
}

function rowsOf(state: State, run: Run, jobs: ReadonlySet<Job>): ChangedRows {
  if (jobs.size > MAX_CHANGED_JOBS) return { run: runInfo(run), jobs: [], all: true };
  return {
    run: runInfo(run), all: false,
    jobs: [...jobs].sort((a, b) => a.index - b.index).map((job) => {
      const info = { ...jobInfo(state, job, state.at), result: undefined };
      return { info, parents: info.dependsOn.map((index) => run.job(index)!.spec.id) };
    }),
  };
}
