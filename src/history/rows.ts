/**
 * Lesson 10: a moment as rows, in the words of the wire: the runs, the jobs of one of them, the
 * workers, and how much waits for which kind of worker.
 *
 * Left out: whether a worker was away. That is no fact, and in no log.
 * Test: test/10-master.history.test.ts
 */
import {
  jobInfo, launchOf, listedJobs, runInfo, sleepingToo, workerInfo, workOf, type Run, type State,
  type Whys,
} from "#core";
import { plainKey } from "#routing";
import type { JobInfo, QueueRow, RunInfo, WorkerInfo } from "#wire";

/** Of results, in one answer. */
const MAX_RESULT_BYTES = 16 * 1024 * 1024;

export interface MomentRows {
  /** The newest first; with jobs, only the one that has them. */
  readonly runs: RunInfo[];
  readonly jobs: JobInfo[];
  readonly workers: WorkerInfo[];
  readonly queue: QueueRow[];
  readonly moreRuns: number;
  readonly moreJobs: number;
}

export function rowsAt(
  state: State, { run, limit, now }: { run: Run | undefined; limit: number; now: number },
): MomentRows {
  const numbers = run === undefined ? [...state.runs.keys()].reverse() : [run.number];
  const jobs = run === undefined ? [] : jobRows(state, run, { limit, now });
  return {
    runs: numbers.slice(0, limit).map((number) => runInfo(state.runs.get(number)!)), jobs,
    workers: [...state.workers.values()].map((worker) => workerRow(state, worker)),
    queue: queueRows(state),
    moreRuns: Math.max(0, numbers.length - limit),
    moreJobs: (run?.size ?? 0) - jobs.length,
  };
}

function jobRows(
  state: State, run: Run, { limit, now }: { limit: number; now: number },
): JobInfo[] {
  const rows: JobInfo[] = [];
  const whys: Whys = new Map();
  let bytes = 0;
  for (let index = 0; index < Math.min(limit, run.size) && bytes <= MAX_RESULT_BYTES; index++) {
    const job = run.job(index)!;
    rows.push(jobInfo(state, job, now, whys));
    bytes += job.result?.length ?? 0;
  }
  return rows;
}

function workerRow(state: State, worker: Parameters<typeof workerInfo>[0]): WorkerInfo {
  const { pool } = launchOf(state, worker.id) ?? {};
  const connection = { remote: "", connected: true, pool };
  const known = workerInfo(worker, connection, listedJobs(state.workers.size));
  return { ...known, beatLateMs: undefined, beatLateMaxMs: undefined, heardMs: undefined };
}

/** By requirement, those with the most to do first. */
function queueRows(state: State): QueueRow[] {
  const found = new Map<string, QueueRow>();
  for (const run of sleepingToo(state)) {
    for (const [requirement, { ready, waiting, running }] of workOf(run)) {
      const need = plainKey(requirement);
      let row = found.get(need);
      if (row === undefined) found.set(need, row = { need, ready: 0, waiting: 0, running: 0 });
      row.ready += ready;
      row.waiting += waiting;
      row.running += running;
    }
  }
  return [...found.values()].sort((a, b) =>
    b.ready + b.running - a.ready - a.running || (a.need < b.need ? -1 : 1));
}
