/**
 * Lesson 10: what people look at: runs and jobs, their changes and their output; dead letters,
 * gates, and the master itself.
 *
 * Test: test/10-master.test.ts
 */
import {
  bool, bytes, enumOf, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { MAX_ROWS, name, sentence } from "./fields.ts";
import { FormValues, GateRules, GateVote, MAX_VOTES, Notice } from "./gate.ts";
import { MAX_JOBS_PER_RUN, MAX_RESULT_BYTES } from "./limits.ts";
import { Failure, OutputChunk } from "./messages.ts";
import { MAX_REASON_BYTES, ServiceInfo } from "./service.ts";

/** Parents named in one answer: at 128 characters of 3 bytes each, 4 MB of a frame's 8. */
export const MAX_PARENT_NAMES = 10_000;

export const JOB_STATUSES = [
  "PENDING",
  "RUNNING",
  "WAITING",
  "COMPLETED",
  "FAILED",
  "DEAD",
  "CANCELLED",
  "SKIPPED",
] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];
export const JobStatus = enumOf(...JOB_STATUSES);
/**
 * SERVING: all that is left are services, and each of them has been ready. PAUSED: nothing in it
 * goes on before somebody raises the budget of its agent run (lesson 18).
 */
export const RUN_STATUSES = [
  "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "SERVING", "PAUSED",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];
export const RunStatus = enumOf(...RUN_STATUSES);

export const Empty = message("Empty", {});
export const RunRef = message("RunRef", { run: [1, name] });
/** `grows`: jobs that are added come as changes. Without it, the whole run comes again. */
export const WatchRequest = message("WatchRequest", {
  run: [1, name], grows: [130, withDefault(bool(), false)],
});
/** `job` empty: the whole run. */
export const JobRef = message("JobRef", { run: [1, name], job: [2, optional(string(128))] });

/** A run that is to take the place of another one: DONE, and its services are reached by now. */
export const UPDATE_OUTCOMES = ["WAITING", "DONE", "FAILED"] as const;
export const UpdateInfo = message("UpdateInfo", {
  /** The id of the run before. */
  replaces: [1, name],
  outcome: [2, enumOf(...UPDATE_OUTCOMES)],
  /** It fails at this moment. */
  deadline: [3, u53()],
  /** Why it failed. */
  reason: [4, withDefault(string(MAX_REASON_BYTES), "")],
});
export type UpdateInfo = Infer<typeof UpdateInfo>;

export const RunInfo = message("RunInfo", {
  id: [1, name],
  name: [2, name],
  status: [3, RunStatus],
  submittedAt: [4, u53()],
  endedAt: [5, optional(u53())],
  /** The number of jobs in each state, in the order of JOB_STATUSES. */
  counts: [6, list(u32(), 16)],
  cancelling: [7, withDefault(bool(), false)],
  update: [40, optional(UpdateInfo)],
  /** Of one that is PAUSED: which limit is used up, and what raises it. */
  paused: [85, optional(sentence)],
});
export type RunInfo = Infer<typeof RunInfo>;
export const RunList = message("RunList", { runs: [1, list(RunInfo, MAX_ROWS)] });

export const Decision = message("Decision", {
  approved: [1, bool()],
  by: [2, name],
  comment: [3, sentence],
  at: [4, u53()],
  /** True: somebody had decided before, and this is that decision. */
  already: [5, withDefault(bool(), false)],
  /** True: the jobs behind the gate are skipped, and nobody has rejected anything. */
  skipped: [6, optional(bool())],
  /** The form as it was filled in. */
  values: [7, FormValues],
  /** Approvals that it still takes. Above 0 the gate is open, and this answer was counted. */
  missing: [8, optional(u32())],
});
export type Decision = Infer<typeof Decision>;

/** Output of an attempt that the master could not store, and why. */
export const LostOutput = message("LostOutput", { bytes: [1, u53()], why: [2, name] });
export type LostOutput = Infer<typeof LostOutput>;

/**
 * The thing that a job waits for, in a word: its parents, a moment, a capable worker, a free slot,
 * a person; `start`: nothing any more; `jobs`: it has begun, and waits for others to end.
 */
export const WAIT_KINDS = [
  "parents", "time", "worker", "slots", "person", "start", "jobs",
] as const;
export type WaitKind = (typeof WAIT_KINDS)[number];

export const JobInfo = message("JobInfo", {
  index: [1, u32()],
  id: [2, string(128)],
  status: [3, JobStatus],
  attempt: [4, u32()],
  worker: [5, withDefault(name, "")],
  startedAt: [6, optional(u53())],
  endedAt: [7, optional(u53())],
  failure: [8, optional(Failure)],
  /** Why it is not running yet, or was skipped, as a sentence. */
  reason: [9, withDefault(sentence, "")],
  dependsOn: [10, list(u32(), MAX_JOBS_PER_RUN)],
  result: [11, optional(bytes(MAX_RESULT_BYTES))],
  cancelling: [12, withDefault(bool(), false)],
  /** The answer to its gate. */
  decision: [13, optional(Decision)],
  /** When its latest attempt ended. The job ends later if a gate follows. */
  stoppedAt: [14, optional(u53())],
  /** It has failed, and is tried again at this time. */
  retryAt: [15, optional(u53())],
  /** Output of its latest attempt. */
  lostOutput: [16, optional(LostOutput)],
  /** Of a service that has started. */
  service: [30, optional(ServiceInfo)],
  /** It is WAITING in the middle of its work, and not at the gate behind it: for this. */
  paused: [75, optional(enumOf(...WAIT_KINDS))],
});
export type JobInfo = Infer<typeof JobInfo>;

/** Jobs that one WHY asks about. */
export const MAX_WHY_JOBS = 1000;
/**
 * Why these jobs wait, at this moment. A watcher asks about the jobs that it shows, so that the
 * master need not keep the reasons up to date.
 */
export const Why = message("Why", { run: [1, name], jobs: [2, list(u32(), MAX_WHY_JOBS)] });
/** The reasons of those that wait. */
export const Reasons = message("Reasons", {
  reasons: [
    1,
    list(
      message("JobReason", {
        index: [1, u32()],
        kind: [2, enumOf(...WAIT_KINDS)],
        reason: [3, sentence],
      }),
      MAX_WHY_JOBS,
    ),
  ],
});
export type JobReason = Infer<typeof Reasons>["reasons"][number];

/** STATUS answers with a stream of pages: the run, then its jobs. */
export const StatusPage = message("StatusPage", {
  run: [1, optional(RunInfo)],
  jobs: [2, list(JobInfo, MAX_ROWS)],
  /**
   * With one job alone: the ids of its parents, in the order of `dependsOn`. Empty if there are
   * more than MAX_PARENT_NAMES.
   */
  parents: [3, list(string(128), MAX_PARENT_NAMES)],
});

export const JobChange = message("JobChange", {
  index: [1, u32()],
  status: [2, JobStatus],
  attempt: [3, withDefault(u32(), 0)],
  worker: [4, withDefault(name, "")],
  at: [5, u53()],
  failure: [6, optional(Failure)],
  /** It runs, and has been asked to end. */
  cancelling: [7, withDefault(bool(), false)],
  /** The question of its gate, or why it was skipped: known by now, and it does not change. */
  reason: [8, withDefault(sentence, "")],
  /** It has failed, and is tried again at this time. */
  retryAt: [9, optional(u53())],
  /** Output of this attempt, as far as the loss is known. */
  lostOutput: [10, optional(LostOutput)],
  service: [30, optional(ServiceInfo)],
  /** As in `JobInfo`. */
  paused: [75, optional(enumOf(...WAIT_KINDS))],
  /** It was added to the run just now: its name, which travels once. */
  id: [130, optional(string(128))],
});
export type JobChange = Infer<typeof JobChange>;

/**
 * WATCH answers with pages: first (and after a gap, again) the whole run with `reset`, then the
 * changes. `run` comes with every page in which the run's own state changed. The stream ends with
 * the run.
 */
export const WatchPage = message("WatchPage", {
  reset: [1, withDefault(bool(), false)],
  run: [2, optional(RunInfo)],
  jobs: [3, list(JobInfo, MAX_ROWS)],
  changes: [4, list(JobChange, MAX_ROWS)],
});
export type WatchPage = Infer<typeof WatchPage>;

export const OutputRequest = message("OutputRequest", {
  run: [1, name],
  job: [2, string(128)],
  /** 0: the latest. */
  attempt: [3, withDefault(u32(), 0)],
  follow: [4, withDefault(bool(), false)],
  /** Only about so many bytes at the end of what there is, from the beginning of a record. */
  lastBytes: [60, optional(u53())],
  /**
   * Only what is behind so many bytes of both streams, from the beginning of a page. A first chunk
   * without data has the size of what is left out as `dropped`.
   */
  from: [61, optional(u53())],
});
export const OutputPage = message("OutputPage", { chunks: [1, list(OutputChunk, 4096)] });

/** A job whose retries are spent, or that took one worker after another with it. */
export const DeadLetter = message("DeadLetter", {
  run: [1, name],
  job: [2, string(128)],
  /** Attempts begun, in its whole life. */
  attempts: [3, u32()],
  /**
   * Attempts that failed, and attempts that ended because their worker was lost, since a person
   * last retried it.
   */
  failures: [4, u32()],
  losses: [5, u32()],
  failure: [6, optional(Failure)],
  endedAt: [7, u53()],
  /** True: its run is forgotten, so it cannot be retried. */
  forgotten: [8, withDefault(bool(), false)],
});
export type DeadLetter = Infer<typeof DeadLetter>;
/** DEAD answers with a stream of pages, the newest last. */
export const DeadPage = message("DeadPage", { letters: [1, list(DeadLetter, MAX_ROWS)] });

export const GateInfo = message("GateInfo", {
  /** `run/job`, which is how a person names it: longer than either of the two. */
  id: [1, string(512)],
  message: [2, string(16 * 1024)],
  openedAt: [3, u53()],
  deadline: [4, u53()],
  rules: [5, optional(GateRules)],
  /** Approvals so far, of a gate that needs more than one. */
  votes: [6, list(GateVote, MAX_VOTES)],
  /** What the job before it has handed in: JSON text. */
  result: [7, optional(bytes(MAX_RESULT_BYTES))],
  /** The person who submitted the run. */
  submitter: [8, withDefault(name, "")],
  /** Of a gate that tells people: how that goes. */
  notice: [52, optional(Notice)],
});
export type GateInfo = Infer<typeof GateInfo>;
export const GateList = message("GateList", { gates: [1, list(GateInfo, MAX_ROWS)] });

export const Info = message("Info", {
  version: [1, name],
  pid: [2, u32()],
  startedAt: [3, u53()],
  state: [4, string(4096)],
  nextSeq: [5, u53()],
  runs: [6, u32()],
  workers: [7, u32()],
  /** SHA-256 (hex) of the state: equal after a replay, or something is wrong. */
  stateHash: [8, withDefault(string(64), "")],
  /**
   * The master's wall clock when it answered, for a client to compare with its own. 0: a master
   * that does not say.
   */
  now: [9, withDefault(u53(), 0)],
  /**
   * Reports that were refused since the master's start, because their attempt had been given to
   * another worker.
   */
  refused: [10, withDefault(u53(), 0)],
  /** Why the master takes no changes: its disk is full. Empty: it takes them. */
  full: [11, withDefault(string(8192), "")],
  /** Dead letters of forgotten runs that made way for newer ones. */
  lettersDropped: [12, withDefault(u53(), 0)],
});
export type Info = Infer<typeof Info>;
export const InfoRequest = message("InfoRequest", { hash: [1, withDefault(bool(), false)] });
