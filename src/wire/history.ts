/**
 * The past of a cluster, told from its log: what was true at a moment, and the facts that led to
 * it.
 *
 * Test: test/10-master.history.test.ts
 */
import {
  bool, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { Fact } from "./facts.ts";
import { MAX_ROWS, name } from "./fields.ts";
import { JobInfo, RunInfo } from "./rows.ts";
import { WorkerInfo } from "./worker-rows.ts";

/** Tags of a requirement, 64 of 64 characters, and what joins them. */
const MAX_NEED_BYTES = 8 * 1024;
/** One step as JSON: a hundred changes in short words. */
const MAX_STEP_BYTES = 256 * 1024;

/** Rows of each kind in one answer, unless somebody asks for another number. */
export const PAST_ROWS = 10_000;
/** Facts of one page. */
export const MAX_PAST_PAGE = 1000;

/** The state after fact `seq`; at a time, or so long after the beginning of the run. */
export const HistoryAsked = message("HistoryAsked", {
  seq: [1, optional(u53())],
  /** Milliseconds since 1970. */
  at: [2, optional(u53())],
  /** Milliseconds. */
  after: [3, optional(u53())],
  /** By its id, or the beginning of one: its jobs are told, too. */
  run: [4, optional(name)],
  /** Rows of each kind. */
  limit: [5, withDefault(u32(), PAST_ROWS)],
});
export type HistoryAsked = Infer<typeof HistoryAsked>;

/** What can be told: the states after these facts, and after all between. */
export const HistorySpan = message("HistorySpan", {
  first: [1, u53()],
  last: [2, u53()],
  /** When the first of these states had come about. 0: nothing has ever happened. */
  firstAt: [3, u53()],
  lastAt: [4, u53()],
});
export type HistorySpan = Infer<typeof HistorySpan>;

/** Jobs with one requirement, of runs that go on. */
export const QueueRow = message("QueueRow", {
  /** Tags, as in GPU+HIGH_MEM. */
  need: [1, string(MAX_NEED_BYTES)],
  /** Those that a worker could take, */
  ready: [2, u32()],
  /** that wait for other jobs, a moment or a person, */
  waiting: [3, u32()],
  /** and that run. */
  running: [4, u32()],
});
export type QueueRow = Infer<typeof QueueRow>;

/** HISTORY answers with pages. Without a moment in the question there is the span alone. */
export const HistoryPage = message("HistoryPage", {
  span: [1, optional(HistorySpan)],
  seq: [2, optional(u53())],
  at: [3, optional(u53())],
  runs: [4, list(RunInfo, MAX_ROWS)],
  /** The run whose jobs these are: its whole id. */
  run: [5, optional(name)],
  jobs: [6, list(JobInfo, MAX_ROWS)],
  workers: [7, list(WorkerInfo, MAX_ROWS)],
  queue: [8, list(QueueRow, MAX_ROWS)],
  /** Rows that there were beyond the limit. */
  moreRuns: [9, withDefault(u32(), 0)],
  moreJobs: [10, withDefault(u32(), 0)],
  /** The fact that made the run (0: it is older than all that can be told), and forgot it. */
  madeBy: [11, withDefault(u53(), 0)],
  forgottenBy: [12, optional(u53())],
});
export type HistoryPage = Infer<typeof HistoryPage>;

/** Facts from number `from` on: of one run, if there is one. */
export const PastFactsAsked = message("PastFactsAsked", {
  from: [1, u53()],
  limit: [2, withDefault(u32(), MAX_PAST_PAGE)],
  run: [3, optional(name)],
  /** Also those of others that have changed the run, each with what it has changed of it. */
  changes: [4, withDefault(bool(), false)],
  /** Also what each has changed, in short words. */
  words: [5, withDefault(bool(), false)],
});
export type PastFactsAsked = Infer<typeof PastFactsAsked>;

/** Jobs that one fact changed; it is said of a larger one that it changed all of them. */
export const MAX_CHANGED_JOBS = 5000;

/** Rows of a run as they were behind a fact: those that it has changed, without results. */
export const ChangedRows = message("ChangedRows", {
  run: [1, optional(RunInfo)],
  jobs: [2, list(message("ChangedJob", {
    info: [1, JobInfo],
    /** Their ids. */
    parents: [2, list(string(1024), MAX_ROWS)],
  }), MAX_CHANGED_JOBS)],
  /** There were too many: any of them may be another one. */
  all: [3, withDefault(bool(), false)],
});
export type ChangedRows = Infer<typeof ChangedRows>;

/** HISTORY_FACTS answers with pages. */
export const PastFactsPage = message("PastFactsPage", {
  facts: [1, list(Fact, MAX_PAST_PAGE)],
  /** The number to go on with. Undefined, or in a page that is not the last: there is no more. */
  next: [2, optional(u53())],
  /** The run that was meant: its whole id. */
  run: [3, optional(name)],
  /** Of each fact, if that was asked. */
  changed: [4, list(ChangedRows, MAX_PAST_PAGE)],
});
export type PastFactsPage = Infer<typeof PastFactsPage>;

/** HISTORY_STEP: what one fact was, from the wish to its effects, as JSON. */
export const StepAsked = message("StepAsked", { seq: [1, u53()] });
export const StepTold = message("StepTold", { text: [1, string(MAX_STEP_BYTES)] });
