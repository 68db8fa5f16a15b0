/**
 * The messages themselves (lesson 10), grouped by their senders.
 *
 * Invariants: an opcode is never reused; replies have no opcode of their own, the request id finds
 * them.
 * Test: test/10-master.test.ts
 */
import {
  bool,
  bytes,
  enumOf,
  list,
  message,
  optional,
  string,
  u32,
  u53,
  withDefault,
  type Infer,
} from "#codec";
import {
  Action,
  Env,
  JobSpec,
  PipelineSpec,
  SealedJobs,
  SealedPipeline,
} from "./pipeline.ts";
import {
  BLOB_CHUNK_BYTES,
  MAX_BATCH_ITEMS,
  MAX_INLINE_SPEC_BYTES,
  MAX_JOBS_PER_RUN,
  MAX_KV_ARGS,
  MAX_KV_BYTES,
  MAX_RESULT_BYTES,
} from "./limits.ts";
import { AssignedFiles } from "./artifact.ts";
import { SECRET_BYTES } from "./credential.ts";
import { FormValues, GateRules, GateVote, MAX_VOTES, Notice } from "./gate.ts";
import { MAX_REASON_BYTES, Service, ServiceInfo } from "./service.ts";

/**
 * Requests and notices. 1–31 and 96–127: any peer; 32–63: workers to the master; 64–95: master to
 * workers.
 */
export const Op = {
  HELLO: 1,
  SUBMIT: 2,
  RUNS: 3,
  STATUS: 4,
  WATCH: 5,
  LOGS: 6,
  CANCEL: 7,
  RETRY: 8,
  WORKERS: 9,
  GATES: 10,
  DECIDE: 11,
  BLOB_HAS: 12,
  BLOB_PUT: 13,
  BLOB_GET: 14,
  PING: 15,
  ADD_JOBS: 16,
  INFO: 17,
  DRAIN: 18,
  DEAD: 19,
  KV: 20,
  WHY: 21,
  /** Services: what there is, and the wish to stop or to restart some (lesson 14). */
  SERVICES: 22,
  STOP: 23,
  RESTART: 24,
  /** Pools: what there is, and the wish to start or to end a worker of one (lesson 13). */
  POOLS: 28,
  LAUNCH: 29,
  RETIRE: 30,
  /**
   * A connection to a service (lesson 14): a stream of what the service says. The side that takes
   * FORWARD or CONNECT asks back with PULL: a stream of what the other side says.
   */
  FORWARD: 25,
  PULL: 26,
  /** Another number of replicas; and the version before. */
  SCALE: 27,
  ROLLBACK: 31,
  OUTPUT: 32,
  FINISHED: 33,
  BEAT: 34,
  GOODBYE: 35,
  /** The worker ends its jobs, and wants nothing new meanwhile; then it says GOODBYE. */
  LEAVING: 36,
  /** How a service is. */
  HEALTH: 40,
  /** Artifacts (lesson 11), from anybody: the numbers for any peer are used up. */
  ARTIFACT_PUT: 48,
  ARTIFACT_GET: 49,
  ARTIFACTS: 50,
  REMOVE_ARTIFACTS: 51,
  DISPATCH: 64,
  KILL: 65,
  /** Dial one of your services: see FORWARD. */
  CONNECT: 66,
  /** A job begins and ends a step (lesson 18). */
  STEP_START: 96,
  STEP_END: 97,
  /** What the jobs of a run have in their journals; and a new run that begins with some of it. */
  STEPS: 98,
  /** A worker asks: does an attempt that has ended go on later? */
  PAUSING: 115,
  /** Agent runs (lesson 18): all of them, one, a larger budget, an end. */
  AGENTS: 104,
  AGENT: 105,
  BUDGET: 106,
  FORK: 107,
  CANCEL_AGENT: 108,
  /** The log's facts as they happen, and the rows that they have changed. */
  FACTS: 110,
  ROWS: 111,
  /** The pipeline of a run, as it was submitted. */
  DEFINITION: 120,
  /** What the master measures. */
  METRICS: 112,
  /** The past, from the log: a moment, facts in words, and how one of them came and what it did. */
  HISTORY: 121,
  HISTORY_FACTS: 122,
  HISTORY_STEP: 123,
  /** It waits, asks people, adds jobs. */
  WAIT: 100,
  ASK: 101,
  SPAWN: 102,
} as const;

const name = string(256);
const sentence = string(16 * 1024);
const MAX_ROWS = 100_000;
/** Parents named in one answer: at 128 characters of 3 bytes each, 4 MB of a frame's 8. */
export const MAX_PARENT_NAMES = 10_000;

/** `run` and `job` are the master's numbers; with `attempt` they name one execution for ever. */
const attemptKey = { run: [1, u32()], job: [2, u32()], attempt: [3, u32()] } as const;
export const AttemptKey = message("AttemptKey", attemptKey);
export type AttemptKey = Infer<typeof AttemptKey>;

/**
 * What workers of a version understand that older ones do not. A worker skips a field that it does
 * not know, so one of them would run a service as a job that may end, or a job without its inputs.
 */
export const KNOWLEDGE = ["services", "artifacts"] as const;
export type Knowledge = (typeof KNOWLEDGE)[number];

// ── hello ────────────────────────────────────────────────────────────────────────────────────────

export const Hello = message("Hello", {
  protocol: [1, u32()],
  role: [2, enumOf("client", "worker")],
  token: [3, optional(string(4096))],
  /** Software version, for people. */
  version: [4, withDefault(name, "")],
  /** Workers only: chosen at random when the process starts, so that the master knows it again. */
  instance: [5, withDefault(name, "")],
  name: [6, withDefault(name, "")],
  tags: [7, list(string(64), 64)],
  slots: [8, withDefault(u32(), 1)],
  /** Attempts that the worker still runs, or whose report was never confirmed. */
  running: [9, list(AttemptKey, 8192)],
  /**
   * Workers only: counts the connections of this process, so that the master recognizes an older
   * one that arrives late.
   */
  dial: [10, optional(u32())],
  /** Workers only: it is on its way out, as LEAVING says on a connection that is there. */
  leaving: [11, optional(bool())],
  /**
   * What its version understands beyond the first one, in words of KNOWLEDGE; words that the master
   * does not know do no harm.
   */
  knows: [12, list(string(32), 32)],
  /** Workers only: where others reach its services. Default: its address as the master sees it. */
  advertise: [30, optional(name)],
  /** Workers only: no pool ends it. */
  permanent: [32, optional(bool())],
});
export type Hello = Infer<typeof Hello>;

export const Welcome = message("Welcome", {
  protocol: [1, u32()],
  version: [2, name],
  /** Workers only: the master's number for this registration. It is the fencing epoch. */
  worker: [3, withDefault(u32(), 0)],
  name: [4, withDefault(name, "")],
  beatMs: [5, u32()],
  leaseMs: [6, u32()],
  /** Attempts of `Hello.running` that the master no longer wants: kill them. */
  stale: [7, list(AttemptKey, 8192)],
  /** Workers only: the URL of the cluster's store, if it has one (lesson 15). */
  store: [8, optional(string(4096))],
  /**
   * Workers only: the id of this cluster, for ever. By it the workers of one machine share the
   * files of a run (lesson 11).
   */
  cluster: [9, optional(string(64))],
  /** Workers only: with it they make the credentials of their jobs (lesson 18). */
  jobKey: [60, optional(bytes(SECRET_BYTES))],
});
export type Welcome = Infer<typeof Welcome>;

/** A worker is alive, and keeps folders for these runs (their ids). */
export const Beat = message("Beat", {
  runs: [1, list(name, 1000)],
  /** The worst lateness of its beats: in the last five minutes, and since it began. */
  lateMs: [2, optional(u32())],
  lateMaxMs: [3, optional(u32())],
});
/** The runs among them that have ended or are forgotten: their folders may go. */
export const BeatAnswer = message("BeatAnswer", { over: [1, list(name, 1000)] });

// ── the hot path ─────────────────────────────────────────────────────────────────────────────────

/** `job`: the parent, or PARENT:gate for the answer to the gate behind it. */
export const ParentResult = message("ParentResult", {
  job: [1, string(256)],
  result: [2, bytes(MAX_RESULT_BYTES)],
});

export const Assignment = message("Assignment", {
  ...attemptKey,
  runId: [4, string(256)],
  jobId: [5, string(128)],
  action: [6, Action],
  timeoutMs: [7, withDefault(u53(), 0)],
  env: [8, Env],
  project: [9, optional(string(64))],
  inputs: [10, list(ParentResult, MAX_JOBS_PER_RUN)],
  /** It is a service: how it is checked and stopped, and its port if that is fixed. */
  service: [30, optional(Service)],
  /** Files that it hands on, and files that it is given. */
  files: [60, optional(AssignedFiles)],
});
export type Assignment = Infer<typeof Assignment>;

export const Dispatch = message("Dispatch", { items: [1, list(Assignment, MAX_BATCH_ITEMS)] });

/** Why an attempt failed. Lesson 09 says which of these are worth another try. */
export const FAILURE_KINDS = [
  "exit",
  "signal",
  "timeout",
  "not-found",
  "not-executable",
  "unsupported",
  "bad-input",
  "worker-lost",
  "rejected",
  "cancelled",
  "internal",
  "unhealthy",
  "port-taken",
] as const;
export const FailureKind = enumOf(...FAILURE_KINDS);
export type FailureKind = (typeof FAILURE_KINDS)[number];

export const Failure = message("Failure", {
  kind: [1, FailureKind],
  message: [2, sentence],
  exitCode: [3, optional(u32())],
  signal: [4, optional(string(32))],
});
export type Failure = Infer<typeof Failure>;

/** How one attempt ended. No `failure`: it succeeded. */
export const Report = message("Report", {
  ...attemptKey,
  failure: [4, optional(Failure)],
  result: [5, optional(bytes(MAX_RESULT_BYTES))],
  durationMs: [6, withDefault(u53(), 0)],
});
export type Report = Infer<typeof Report>;

export const Finished = message("Finished", { items: [1, list(Report, MAX_BATCH_ITEMS)] });
export const Kill = message("Kill", { items: [1, list(AttemptKey, 8192)] });

export const OutputChunk = message("OutputChunk", {
  stream: [1, enumOf("stdout", "stderr")],
  at: [2, u53()],
  data: [3, bytes(BLOB_CHUNK_BYTES)],
  /**
   * From the master: so many bytes of output came before the next chunk and are no longer kept;
   * `data` says so in words, which are no output of the job.
   */
  dropped: [4, optional(u53())],
});
export type OutputChunk = Infer<typeof OutputChunk>;

/** Output of one attempt. A request: its reply lets the worker send more. */
export const Output = message("Output", { ...attemptKey, chunks: [4, list(OutputChunk, 1024)] });

// ── submission ───────────────────────────────────────────────────────────────────────────────────

const submission = {
  /** Instead of `spec`, for a large one: the SHA-256 of an uploaded blob that holds it, encoded. */
  specBlob: [2, optional(string(64))],
  /** Two submissions with one key are one run. */
  key: [3, optional(name)],
  /** Refuse what no registered worker could ever run, instead of warning. */
  strict: [4, withDefault(bool(), false)],
  /** The person who submits it, as far as the client knows: gates may ask for somebody else. */
  by: [5, optional(name)],
  /** An update: how long the new version of a service may take to be READY. */
  updateMs: [40, optional(u53())],
} as const;
export const Submit = message("Submit", { spec: [1, optional(PipelineSpec)], ...submission });
/** As a client writes it, which has encoded the pipeline already to know how long it is. */
export const EncodedSubmit = message("Submit", {
  spec: [1, optional(bytes(MAX_INLINE_SPEC_BYTES))],
  ...submission,
});
/** As the master reads it: jobs are weighed while they are decoded. */
export const SealedSubmit = message("Submit", {
  spec: [1, optional(SealedPipeline)],
  ...submission,
});
export type SealedSubmit = Infer<typeof SealedSubmit>;

export const Submitted = message("Submitted", {
  run: [1, name],
  /** True: the key was known, and this is the run it named. */
  existing: [2, withDefault(bool(), false)],
  warnings: [3, list(sentence, 1000)],
  /** True: it has ended and is forgotten, and nothing but its id is known. */
  forgotten: [4, withDefault(bool(), false)],
  /** The run whose place it takes once its services are READY; empty: none. */
  replaces: [40, withDefault(name, "")],
});
export type Submitted = Infer<typeof Submitted>;

/** A new job, by its place in the list of them, before one that the run has already. */
const Before = message("Before", { job: [1, u32()], child: [2, u32()] });
export type Before = Infer<typeof Before>;
const before = list(Before, MAX_JOBS_PER_RUN);
export const AddJobs = message("AddJobs", {
  run: [1, name],
  jobs: [2, list(JobSpec, MAX_JOBS_PER_RUN)],
  before: [3, before],
});
export const SealedAddJobs = message("AddJobs", {
  run: [1, name], jobs: [2, SealedJobs], before: [3, before],
});

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

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
});
export const OutputPage = message("OutputPage", { chunks: [1, list(OutputChunk, 4096)] });

/** `worker`: a name, or the number of a registration. `undo`: it may get work again. */
export const DrainWorker = message("DrainWorker", {
  worker: [1, name],
  undo: [2, withDefault(bool(), false)],
});
/** The worker that was meant, and the number of attempts that run there. */
export const Drained = message("Drained", { id: [1, u32()], name: [2, name], running: [3, u32()] });
export type Drained = Infer<typeof Drained>;

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

export const DecideGate = message("DecideGate", {
  gate: [1, string(512)],
  approve: [2, bool()],
  by: [3, withDefault(name, "")],
  comment: [4, withDefault(sentence, "")],
  /** The form as a person filled it in. */
  values: [5, FormValues],
});
export const RetryRun = message("RetryRun", {
  run: [1, name],
  from: [2, optional(string(128))],
  /** Its steps stand as they are done, although the program asks for others (lesson 18). */
  acceptChanged: [60, optional(bool())],
});
/** The number of jobs that a cancel or a retry touched. */
export const Affected = message("Affected", { jobs: [1, u32()] });

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

// ── store ────────────────────────────────────────────────────────────────────────────────────────

/**
 * One opcode for all commands: a command of the store is its arguments, and the first one is its
 * name (lesson 15).
 */
export const KvRequest = message("KvRequest", {
  args: [1, list(bytes(MAX_KV_BYTES), MAX_KV_ARGS)],
});
/** The answer in the store's protocol, RESP3. The refusal of a command is an answer, too. */
export const KvReply = message("KvReply", { resp: [1, bytes(MAX_KV_BYTES)] });
