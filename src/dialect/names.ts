/**
 * What the ids of old clients mean now. Their ids are global, and an id that is submitted again
 * starts over; ours belong to runs. So an old id means the newest run that has it.
 *
 *     DAG-train      job "train" of the newest DAG that has one, else the newest run called "train"
 *     train, TSK-…   a job that was submitted alone
 *
 * Invariant: all of it follows from the runs, so a restart forgets nothing.
 * Left out: jobs that were added to a run after its submission. Old clients cannot add any.
 * Test: test/dialect.names.test.ts
 */
import type { Run } from "#core";
import { dagId } from "./jobs.ts";

/** The versions of the runs that come from here: of SUBMIT_DAG, and of jobs alone. */
export const VERSIONS = { dag: "titan 1", alone: "titan 1, alone" } as const;

export interface Meant {
  readonly run: string;
  /** Of a whole run: its first job. */
  readonly job: string;
  readonly isRun: boolean;
}

/** The parts of a run that names are made of. */
export type NamedRun = Pick<Run, "id" | "number"> & {
  readonly spec: { readonly name: string; readonly version?: string | undefined;
    readonly jobs: readonly { readonly id: string }[] };
};

/** Names of forgotten runs that may stay, besides as many as there were at the last look. */
const MAX_STALE = 10_000;

export class OldNames {
  readonly #runsAfter: (number: number) => readonly NamedRun[];
  #meant = new Map<string, Meant>();
  #last = 0;
  #kept = 0;

  constructor(runsAfter: (number: number) => readonly NamedRun[]) {
    this.#runsAfter = runsAfter;
  }

  /** The number of the newest run. */
  get newest(): number {
    this.#read();
    return this.#last;
  }

  find(id: string): Meant | undefined {
    this.#read();
    if (this.#meant.size > 2 * this.#kept + MAX_STALE) {
      this.#meant = new Map();
      this.#last = 0;
      this.#read();
      this.#kept = this.#meant.size;
    }
    return this.#meant.get(id);
  }

  /** The id by which old clients know this job, if they can. */
  idOf(run: string, job: string): string | undefined {
    return [dagId(job), job].find((id) => {
      const meant = this.find(id);
      return meant?.run === run && meant.job === job && !meant.isRun;
    });
  }

  #read(): void {
    const { dag, alone } = VERSIONS;
    for (const { id: run, number, spec: { name, version, jobs } } of this.#runsAfter(this.#last)) {
      this.#last = number;
      if (version !== dag && version !== alone) {
        this.#meant.set(dagId(name), { run, job: jobs[0]!.id, isRun: true });
        continue;
      }
      for (const { id: job } of jobs) {
        this.#meant.set(version === dag ? dagId(job) : job, { run, job, isRun: false });
      }
    }
  }
}
