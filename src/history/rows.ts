/**
 * Lesson 10: a moment as rows, in the words of the wire: the runs, the jobs of one of them, the
 * workers, and how much waits for which kind of worker.
 *
 * Left out: whether a worker was away. That is no fact, and in no log.
 * Test: test/10-master.history.test.ts
 */
import {
  jobInfo, launchOf, listedJobs, runInfo, workerInfo, type Run, type State, type Whys,
} from "#core";
import { plainKey } from "#routing";
import { isOpenRun, type JobInfo, type QueueRow, type RunInfo, type WorkerInfo } from "#wire";

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
  const all = [...state.runs.values()];
  const jobs = run === undefined ? [] : jobRows(state, run, { limit, now });
  const queue = queueRows(all);
  const runs = run === undefined ? all.reverse() : [run];
  return {
    runs: runs.slice(0, limit).map(runInfo), jobs,
    workers: [...state.workers.values()].map((worker) => workerRow(state, worker)),
    queue,
    moreRuns: Math.max(0, runs.length - limit),
    moreJobs: (run?.jobs.length ?? 0) - jobs.length,
  };
}

function jobRows(
  state: State, run: Run, { limit, now }: { limit: number; now: number },
): JobInfo[] {
  const rows: JobInfo[] = [];
  const whys: Whys = new Map();
  let bytes = 0;
  for (const job of run.jobs) {
    if (rows.length === limit || bytes > MAX_RESULT_BYTES) break;
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
function queueRows(runs: readonly Run[]): QueueRow[] {
  const found = new Map<string, QueueRow>();
  for (const run of runs) {
    if (!isOpenRun(run.status)) continue;
    for (const { status, order, requirement } of run.jobs) {
      const kind = status === "RUNNING" ? "running" : status === "WAITING" ? "waiting"
        : status !== "PENDING" ? undefined : order > 0 ? "ready" : "waiting";
      if (kind === undefined) continue;
      const need = plainKey(requirement);
      const row = found.get(need);
      if (row === undefined) found.set(need, { need, ready: 0, waiting: 0, running: 0, [kind]: 1 });
      else row[kind] += 1;
    }
  }
  return [...found.values()].sort((a, b) =>
    b.ready + b.running - a.ready - a.running || (a.need < b.need ? -1 : 1));
}
