/**
 * The state of a run that is being watched, as far as it is known, and the change that each piece
 * of news makes.
 *
 * News comes as changes and, after a gap, as the whole state again. A printer wants changes only,
 * so a whole state is compared with the one that was known.
 *
 * Invariants: O(1) per change, whatever the size of the run; the rows that `take` returns have
 * really changed.
 * Test: test/cli.text.test.ts
 */
import type { RunEvent } from "#sdk";
import {
  isTerminal,
  JOB_STATUSES,
  type Failure,
  type JobChange,
  type JobInfo,
  type JobStatus,
  type LostOutput,
  type RunInfo,
  type ServiceInfo, type WaitKind,
} from "#wire";

export interface JobRow {
  readonly id: string;
  readonly index: number;
  status: JobStatus;
  attempt: number;
  worker: string;
  /** When it last moved; 0: not yet. */
  at: number;
  /** When its latest attempt started; 0: never. */
  startedAt: number;
  /** When that attempt ended; 0: it runs, or there was none. A gate may follow. */
  stoppedAt: number;
  /** The job failed, and is tried again at this time. */
  retryAt: number | undefined;
  failure: Failure | undefined;
  /** The job runs, and has been asked to end. */
  cancelling: boolean;
  /** Why it waits or was skipped, or its gate's question; empty while it is unknown. */
  reason: string;
  /** Output of its latest attempt that the master could not store. */
  lostOutput: LostOutput | undefined;
  /** Of a service that has started. */
  service: ServiceInfo | undefined;
  /** It waits in the middle of its work, for this. */
  paused: WaitKind | undefined;
}

export interface News {
  /** Rows that changed, in the order of the changes. A row may come again with the next news. */
  readonly jobs: readonly JobRow[];
  /** The run, if its own status changed. */
  readonly run: RunInfo | undefined;
}

/** More lines than a tall screen has. */
const MAX_RECENT = 100;

/** Rows that are looked at in search of those that wait, whatever the size of the run. */
export const MAX_SEARCH = 2000;

const ENDS = JOB_STATUSES.filter(isTerminal);
export const isFailure = (status: JobStatus): boolean => status === "FAILED" || status === "DEAD";

export class Tracker {
  run: RunInfo | undefined;
  readonly rows: JobRow[] = [];
  readonly counts = new Map<JobStatus, number>();
  readonly running = new Set<JobRow>();
  /** Those that wait for a person. */
  readonly waiting = new Set<JobRow>();
  readonly failed = new Set<JobRow>();
  /** Jobs whose output is not all there. */
  readonly lossy = new Set<JobRow>();
  /** Jobs that ended lately, the newest last: a screen shows them when it has room. */
  readonly recent: JobRow[] = [];
  /** Finished attempts that were seen from their start, for an estimate of the rest. */
  timed = { count: 0, totalMs: 0 };
  readonly #byId = new Map<string, JobRow>();
  /** All jobs before this one are over. */
  #open = 0;

  take(event: RunEvent): News {
    if (event.type === "job") {
      return { jobs: this.#change(event.job, event.change), run: undefined };
    }
    if (event.type === "run") return { jobs: [], run: this.#setRun(event.run) };
    const jobs = event.jobs.flatMap((info) => this.#compare(info));
    return { jobs, run: this.#setRun(event.run) };
  }

  row(id: string): JobRow | undefined {
    return this.#byId.get(id);
  }

  count(status: JobStatus): number {
    return this.counts.get(status) ?? 0;
  }

  /** Up to so many jobs that wait, by their order. Looks at a bounded part of a long list. */
  pending(limit: number): JobRow[] {
    const { rows } = this;
    while (this.#open < rows.length && isTerminal(rows[this.#open]!.status)) this.#open += 1;
    const found: JobRow[] = [];
    const end = Math.min(rows.length, this.#open + MAX_SEARCH);
    for (let at = this.#open; at < end && found.length < limit; at++) {
      if (rows[at]!.status === "PENDING") found.push(rows[at]!);
    }
    return found;
  }

  get over(): number {
    return ENDS.reduce((sum, status) => sum + this.count(status), 0);
  }

  #setRun(run: RunInfo): RunInfo | undefined {
    const changed = this.run?.status !== run.status;
    this.run = run;
    return changed ? run : undefined;
  }

  #compare(info: JobInfo): JobRow[] {
    const { id, index, status, attempt, worker, failure, reason, cancelling, retryAt } = info;
    const row = this.#row(id, index);
    row.reason = reason;
    row.stoppedAt = info.stoppedAt ?? 0;
    const samePhase = row.service?.phase === info.service?.phase;
    const isKnown = row.status === status && row.attempt === attempt && samePhase;
    if (isKnown && row.cancelling === cancelling) return [];
    if (info.startedAt !== undefined) row.startedAt = info.startedAt;
    this.#move(row, {
      status,
      attempt,
      worker,
      at: info.endedAt ?? info.startedAt ?? 0,
      failure,
      cancelling,
      reason,
      retryAt,
      lostOutput: info.lostOutput,
      service: info.service,
      paused: info.paused,
    });
    return [row];
  }

  #change(id: string, change: JobChange): JobRow[] {
    const row = this.#row(id, change.index);
    // A job that is asked to end, or a service that is ready, goes on: it has not started again.
    const goesOn = row.status === "RUNNING" && row.attempt === change.attempt;
    if (change.status === "RUNNING" && !change.cancelling && !goesOn) row.startedAt = change.at;
    else if (row.status === "RUNNING" && row.startedAt > 0 && change.status === "COMPLETED") {
      this.timed.count += 1;
      this.timed.totalMs += change.at - row.startedAt;
    }
    if (change.status === "RUNNING") row.stoppedAt = 0;
    else if (row.status === "RUNNING") row.stoppedAt = change.at;
    this.#move(row, change);
    return [row];
  }

  #row(id: string, index: number): JobRow {
    let row = this.#byId.get(id);
    if (row === undefined) {
      row = newRow(id, index);
      this.#byId.set(id, row);
      this.rows.push(row);
      this.counts.set("PENDING", this.count("PENDING") + 1);
    }
    return row;
  }

  #move(row: JobRow, to: Omit<JobChange, "index">): void {
    this.counts.set(row.status, this.count(row.status) - 1);
    for (const set of [this.running, this.waiting, this.failed]) set.delete(row);
    row.status = to.status;
    row.attempt = to.attempt;
    row.worker = to.worker;
    row.at = to.at;
    row.failure = to.failure;
    row.cancelling = to.cancelling;
    row.reason = to.reason;
    row.retryAt = to.retryAt;
    row.lostOutput = to.lostOutput;
    row.service = to.service;
    row.paused = to.paused;
    if (to.lostOutput === undefined) this.lossy.delete(row);
    else this.lossy.add(row);
    if (row.status === "PENDING") this.#open = Math.min(this.#open, row.index);
    this.counts.set(row.status, this.count(row.status) + 1);
    if (row.status === "RUNNING") this.running.add(row);
    if (isForPerson(row)) this.waiting.add(row);
    if (isFailure(row.status)) this.failed.add(row);
    if (!isTerminal(row.status)) return;
    if (this.recent.push(row) > 2 * MAX_RECENT) this.recent.splice(0, MAX_RECENT);
  }
}

function newRow(id: string, index: number): JobRow {
  return {
    id,
    index,
    status: "PENDING",
    attempt: 0,
    worker: "",
    at: 0,
    startedAt: 0,
    stoppedAt: 0,
    retryAt: undefined,
    failure: undefined,
    cancelling: false,
    reason: "",
    lostOutput: undefined,
    service: undefined,
    paused: undefined,
  };
}

/** At its gate, or with a question in the middle of its work. */
function isForPerson({ status, paused = "person" }: JobRow): boolean {
  return status === "WAITING" && paused === "person";
}
