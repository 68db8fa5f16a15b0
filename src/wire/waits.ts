/**
 * Lesson 18: what a job asks of its master while it runs: more jobs, an answer, or to be woken.
 *
 *     SPAWN   jobs for its own run, under a key         the same key again: the same jobs
 *     ASK     a question to people, under a key         the same key again: the answer
 *     WAIT    end me, and start me again when one of these is met
 *
 * A program that is started again does all of this again, from its top. So each request has a key
 * that the program chooses, and a repeat finds what was there. Jobs are named by their ids: an
 * index would be another one in the next attempt.
 *
 * Test: test/18-agents.waits.test.ts
 */
import {
  bool, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { Spent } from "./budget.ts";
import { Gate } from "./gate.ts";
import { MAX_JOBS_PER_RUN } from "./limits.ts";
import { Decision } from "./rows.ts";
import { JobSpec } from "./pipeline.ts";

/** Of a spawn, of a question: as long as a job's id. */
export const MAX_KEY_BYTES = 128;
/** Jobs of one spawn: what a person can still look through, and a millisecond's work. */
export const MAX_SPAWN_JOBS = 1000;
/** Jobs that add jobs that add jobs: a recursion that has lost its way ends here. */
export const MAX_SPAWN_DEPTH = 8;
/** Spawns of one job, each with its key: together as many jobs as a run may have. */
export const MAX_SPAWNS = 1000;
/** Questions of one job. A person who is to answer more of them wants a form. */
export const MAX_ASKS = 1000;
/** Things that one job waits for at once: each question and each spawn of its own. */
export const MAX_WAITS = MAX_ASKS + MAX_SPAWNS;
/** Jobs named in them. At 20 bytes a name they fill a quarter of a frame. */
export const MAX_WAIT_JOBS = 100_000;

const key = string(MAX_KEY_BYTES);
const id = string(128);

/** A new job, by its place in the list, before one of the run that has not started. */
const SpawnBefore = message("SpawnBefore", { job: [1, u32()], child: [2, id] });
const spawned = {
  /**
   * Parents are numbers: those below the number of jobs mean jobs of this list, the others continue
   * in `parents`.
   */
  jobs: [2, list(JobSpec, 10 * MAX_SPAWN_JOBS)],
  /** Jobs that the run has already, by their ids. */
  parents: [3, list(id, MAX_JOBS_PER_RUN)],
  before: [4, list(SpawnBefore, MAX_JOBS_PER_RUN)],
} as const;
export const Spawn = message("Spawn", {
  key: [1, key],
  ...spawned,
  /** The part of the work that they belong to, for people. */stage: [5, withDefault(key, "")],
});
export type Spawn = Infer<typeof Spawn>;
/** Two spawns with one key must have this in common. */
export const SpawnContent = message("SpawnContent", spawned);

/** The new jobs are those from `from` on. `existing`: an earlier attempt has added them. */
export const Spawned = message("Spawned", {
  from: [1, u32()], jobs: [2, u32()], existing: [3, withDefault(bool(), false)],
});
export type Spawned = Infer<typeof Spawned>;

const clock = message("TimeWait", { at: [1, u53()] });
const answer = message("AskWait", { key: [1, key] });
/** As much as was refused. All zero: only somebody who raises the budget wakes the job. */
const budget = message("BudgetWait", { need: [1, Spent] });

/** One thing to wait for: all of these jobs, the answer to a question, a moment, a budget. */
export const WaitWish = union("WaitWish", {
  jobs: [1, message("JobsWish", { jobs: [1, list(id, MAX_WAIT_JOBS)] })],
  ask: [2, answer], time: [3, clock], budget: [4, budget],
});
export type WaitWish = Infer<typeof WaitWish>;
/** The same as the log has it: jobs by their numbers in the run. */
export const Wait = union("Wait", {
  jobs: [1, message("JobsWait", { jobs: [1, list(u32(), MAX_WAIT_JOBS)] })],
  ask: [2, answer], time: [3, clock], budget: [4, budget],
});
export type Wait = Infer<typeof Wait>;

export const WaitRequest = message("WaitRequest", { waits: [1, list(WaitWish, MAX_WAITS)] });
/**
 * Entries that are met already, by their places in the request. Empty: the master knows the wish,
 * and the program is to end with exit code 0.
 */
export const WaitReply = message("WaitReply", { met: [1, list(u32(), MAX_WAITS)] });
export type WaitReply = Infer<typeof WaitReply>;

export const Ask = message("Ask", { key: [1, key], gate: [2, Gate] });
export const Asked = message("Asked", {
  /** What people call it. */
  gate: [1, string(512)],
  deadline: [2, u53()],
  /** Absent: it is open. */
  decision: [3, optional(Decision)],
});
export type Asked = Infer<typeof Asked>;

/** Jobs that one STATUS asks for by their ids: as many as a spawn adds. */
export const StatusRequest = message("StatusRequest", {
  run: [1, string(256)],
  job: [2, optional(id)],
  /** Only these. Empty: all. */
  only: [75, list(id, MAX_SPAWN_JOBS)],
});

/** The answer to PAUSING: the attempt has said that it would end, and what it waits for. */
export const Pausing = message("Pausing", { pausing: [1, bool()] });
