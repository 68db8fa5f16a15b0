/**
 * Lesson 10: what every connection says first, what every job costs, and the store's commands.
 *
 * Test: test/10-master.test.ts
 */
import {
  bool, bytes, enumOf, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { AssignedFiles } from "./artifact.ts";
import { SECRET_BYTES } from "./credential.ts";
import { name, sentence } from "./fields.ts";
import {
  BLOB_CHUNK_BYTES, MAX_BATCH_ITEMS, MAX_JOBS_PER_RUN, MAX_KV_ARGS, MAX_KV_BYTES, MAX_RESULT_BYTES,
} from "./limits.ts";
import { Action, Env } from "./pipeline.ts";
import { Service } from "./service.ts";

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
