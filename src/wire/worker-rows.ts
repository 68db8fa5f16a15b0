/**
 * Lesson 12: workers as rows, with what lives on them.
 *
 * Test: test/10-master.test.ts, test/12-membership.lateness.test.ts
 */
import {
  bool, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { MAX_ROWS, name } from "./fields.ts";
import { ServicePhase } from "./service.ts";

/** An attempt that lives on a worker. */
export const WorkerJob = message("WorkerJob", {
  run: [1, name],
  job: [2, string(128)],
  attempt: [3, u32()],
  startedAt: [4, u53()],
  /** A replica of a service: its name and its phase. */
  service: [5, optional(string(128))],
  phase: [6, optional(ServicePhase)],
});
export type WorkerJob = Infer<typeof WorkerJob>;

/** As many as a person looks at: `running` says how many there are. */
export const MAX_WORKER_JOBS = 16;

export const WorkerInfo = message("WorkerInfo", {
  id: [1, u32()],
  name: [2, name],
  tags: [3, list(string(64), 64)],
  slots: [4, u32()],
  running: [5, u32()],
  remote: [6, withDefault(name, "")],
  joinedAt: [7, u53()],
  /** False: it is away, and may come back. */
  connected: [8, bool()],
  version: [9, withDefault(name, "")],
  /** It gets nothing new. */
  draining: [10, withDefault(bool(), false)],
  /**
   * The worst lateness of its heartbeats: in the last five minutes, and since it began. Unknown
   * while it is away, and before its first beat.
   */
  beatLateMs: [11, optional(u32())],
  beatLateMaxMs: [12, optional(u32())],
  /** The pool that it was started for. */
  pool: [30, optional(name)],
  /** How long ago it was heard of last. Unknown while it is away. */
  heardMs: [60, optional(u53())],
  /** Those that came first; in a large cluster fewer of each worker. */
  jobs: [61, list(WorkerJob, MAX_WORKER_JOBS)],
});
export type WorkerInfo = Infer<typeof WorkerInfo>;
export const WorkerList = message("WorkerList", { workers: [1, list(WorkerInfo, MAX_ROWS)] });
