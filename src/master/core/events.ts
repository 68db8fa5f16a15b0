/**
 * Lesson 10: the facts. Everything the master knows is the sum of these, in order.
 *
 *     state = events.reduce(apply, empty)
 *
 * An event is a thing that *happened*: it carries every number a decision needed (the time, the
 * attempt, the moment of the next try), so that applying it again next year asks no clock and draws
 * no random number.
 *
 * Invariants: tags and field numbers are never reused, because logs outlive versions.
 * Left out: events for what follows from others. That a child became ready is not a fact of its
 * own: it follows from its parent's success, and `apply` derives it the same way every time.
 * Test: test/10-master.test.ts
 */
import {
  bool, bytes, enumOf, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { MAX_DOWN_WORD_BYTES, MAX_DOWN_WORDS, MAX_HANDLE_BYTES } from "#scaling";
import {
  artifactFacts, BudgetKind, Failure, FormValues, Gate, GateOutcome, JobSpec, Limits,
  MAX_ARTIFACT_PATH_BYTES, MAX_FORK_SETS, MAX_JOBS_PER_RUN, MAX_KEY_BYTES, MAX_REASON_BYTES,
  MAX_NOTICE_WHY_BYTES,
  MAX_REPLICAS, MAX_RESULT_BYTES, MAX_SPAWN_JOBS, MAX_STEP_MESSAGE_BYTES, MAX_STEP_NAME_BYTES,
  MAX_STEP_RESULT_BYTES, MAX_WAITS, PipelineSpec, ServicePhase, STEP_HASH_BYTES, StepBlob,
  StepEffect, StepReserve, StepUsage, Wait,
} from "#wire";
import { MAX_REMOVED_ARTIFACTS } from "./limits.ts";

const job = { run: [1, u32()], job: [2, u32()] } as const;
const attempt = { ...job, attempt: [3, u32()] } as const;
const text = string(16 * 1024);
const key = string(MAX_KEY_BYTES);
/** Of a SHA-256. */
const DIGEST_BYTES = 32;
const cancellation = {
  run: [1, u32()], at: [2, u53()], jobs: [3, list(u32(), MAX_JOBS_PER_RUN)], whole: [4, bool()],
} as const;
const submission = {
  run: [1, u32()], id: [2, string(256)], key: [3, optional(string(256))], at: [4, u53()],
  spec: [5, PipelineSpec], by: [8, optional(string(256))],
} as const;
/** Of a run's graph: the child waits for the parent. */
export const Edge = message("Edge", { parent: [1, u32()], child: [2, u32()] });
export type Edge = Infer<typeof Edge>;

/** What a person wants of services. */
const wish = {
  run: [1, u32()], at: [2, u53()], jobs: [3, list(u32(), MAX_JOBS_PER_RUN)], by: [4, string(256)],
} as const;

/** Of a job's attempt: one of its steps. */
const step = {
  ...attempt, name: [4, string(MAX_STEP_NAME_BYTES)], ordinal: [5, u32()],
} as const;

/** What ends a launch. */
const ending = {
  name: [1, string(256)], at: [2, u53()], reason: [3, text],
  failed: [4, withDefault(bool(), false)],
} as const;

// #region events
export const Event = union("Event", {
  /** A pipeline was accepted. Its jobs are numbered from 0 in the order of the list. */
  RunSubmitted: [1, message("RunSubmitted", submission)],
  /** A running job added jobs to its own run. */
  JobsAdded: [2, message("JobsAdded", {
    run: [1, u32()], at: [2, u53()], jobs: [3, list(JobSpec, MAX_JOBS_PER_RUN)],
  })],
  /** The clock passed a moment that somebody waited for. */
  TimePassed: [3, message("TimePassed", { at: [1, u53()] })],
  /** One worker owns this attempt from now on. */
  JobStarted: [4, message("JobStarted", { ...attempt, worker: [4, u32()], at: [5, u53()] })],
  JobSucceeded: [5, message("JobSucceeded", {
    ...attempt, at: [4, u53()], result: [5, optional(bytes(MAX_RESULT_BYTES))],
  })],
  /** `retryAt`: the attempt failed, the job has another one. Without it the job is over. */
  JobFailed: [6, message("JobFailed", {
    ...attempt, at: [4, u53()], failure: [5, Failure], retryAt: [6, optional(u53())],
    dead: [7, withDefault(bool(), false)],
  })],
  /**
   * The worker went away under it: the job's author is not to blame, so no retry is spent.
   * `blamed`: nobody knows why the worker went, and it may have been this job; it counts among the
   * job's losses.
   */
  JobLost: [7, message("JobLost", {
    ...attempt, at: [4, u53()], dead: [5, withDefault(bool(), false)],
    blamed: [6, withDefault(bool(), true)],
  })],
  /**
   * `JobsCancelled` as older versions wrote it: a job whose parents go on is only marked, and is
   * cancelled when they have ended. The same log must give the same state, so `apply` knows both.
   * Nothing writes it any more.
   */
  JobsMarked: [8, message("JobsMarked", cancellation)],
  /** The process of a cancelled job is gone. */
  JobStopped: [9, message("JobStopped", { ...attempt, at: [4, u53()] })],
  /** `GateClosed` as older versions wrote it, for gates without a form. */
  GateDecided: [10, message("GateDecided", {
    ...job, approve: [3, bool()], by: [4, string(256)], comment: [5, text], at: [6, u53()],
  })],
  /** A person gave these jobs another chance. The only way out of a terminal state. */
  RunRetried: [11, message("RunRetried", {
    run: [1, u32()], at: [2, u53()], jobs: [3, list(u32(), MAX_JOBS_PER_RUN)],
  })],
  WorkerJoined: [12, message("WorkerJoined", {
    worker: [1, u32()], instance: [2, string(256)], name: [3, string(256)],
    tags: [4, list(string(64), 64)], slots: [5, u32()],
    at: [6, u53()], version: [7, withDefault(string(256), "")],
    knows: [8, list(string(32), 32)], permanent: [9, optional(bool())],
  })],
  /** A worker that joined a master of an older version knows more than that one wrote down. */
  WorkerKnows: [27, message("WorkerKnows", {
    worker: [1, u32()], knows: [2, list(string(32), 32)], at: [3, u53()],
  })],
  WorkerLost: [13, message("WorkerLost", {
    worker: [1, u32()], reason: [2, text], at: [3, u53()],
  })],
  /** Old finished runs leave memory, so that the master's size does not grow with its age. */
  RunsForgotten: [14, message("RunsForgotten", {
    runs: [1, list(u32(), MAX_JOBS_PER_RUN)], at: [2, u53()],
  })],
  /**
   * Somebody wants this worker to get nothing new, or (`on` false) to get work again. Ends with the
   * registration.
   */
  WorkerDrained: [15, message("WorkerDrained", {
    worker: [1, u32()], on: [2, bool()], at: [3, u53()],
  })],
  /**
   * Somebody asked. Jobs that wait, for whatever it is, are cancelled by this; those that run are
   * cancelled when their process is gone. A tag of its own, and not a field of the older event: a
   * version that does not know it must refuse the log, because it would come to another state.
   */
  JobsCancelled: [16, message("JobsCancelled", cancellation)],
  /** Output of this attempt could not be stored, beyond what was said before. */
  OutputLost: [17, message("OutputLost", {
    ...attempt, at: [4, u53()], bytes: [5, u53()], why: [6, string(256)],
  })],
  /**
   * As `JobsAdded`, and some of the new jobs are new parents of jobs that were there before and had
   * not started. A tag of its own, because an older version would start those too early.
   */
  JobsInserted: [19, message("JobsInserted", {
    run: [1, u32()], at: [2, u53()], jobs: [3, list(JobSpec, MAX_JOBS_PER_RUN)],
    edges: [4, list(Edge, MAX_JOBS_PER_RUN)],
  })],
  /**
   * As `RunsForgotten`, of runs that leave something: the keys that made them, each with a digest
   * of its request, and a letter for each dead job, which `apply` writes. A tag of its own, because
   * an older version would keep neither.
   */
  RunsLetGo: [18, message("RunsLetGo", {
    runs: [1, list(u32(), MAX_JOBS_PER_RUN)], at: [2, u53()],
    keys: [3, list(message("KeptKey", { run: [1, u32()], request: [2, string(64)] }),
      MAX_JOBS_PER_RUN)],
  })],
  /** A service is in another phase than before, or somewhere else (lesson 14). */
  ServiceHealth: [24, message("ServiceHealth", {
    ...attempt, at: [4, u53()], phase: [5, ServicePhase], host: [6, string(256)], port: [7, u32()],
    pid: [8, u32()], reason: [9, string(MAX_REASON_BYTES)],
  })],
  /** Somebody has approved, and the gate wants others, too (lesson 16). */
  GateApproved: [50, message("GateApproved", {
    ...job, by: [3, string(256)], comment: [4, text], values: [5, FormValues], at: [6, u53()],
  })],
  /** A gate has its answer: of a person, or of its deadline. */
  GateClosed: [51, message("GateClosed", {
    ...job, outcome: [3, GateOutcome], by: [4, string(256)], comment: [5, text],
    values: [6, FormValues], at: [7, u53()],
  })],
  /** People were told that a gate is open: of the one behind the attempt, or of its question. */
  NoticeSent: [52, message("NoticeSent", { ...attempt, at: [4, u53()], key: [5, optional(key)] })],
  /** They were not. `retryAt`: that is tried again. */
  NoticeFailed: [53, message("NoticeFailed", {
    ...attempt, at: [4, u53()], key: [5, optional(key)], why: [6, string(MAX_NOTICE_WHY_BYTES)],
    retryAt: [7, optional(u53())],
  })],
  /** As `ReplicasRetired`, in logs of older versions: what had not started was cancelled by it. */
  ServicesStopped: [25, message("ServicesStopped", wish)],
  /** Somebody wants these services to start anew. */
  ServicesRestarted: [26, message("ServicesRestarted", wish)],
  /**
   * A worker of a pool was ordered (lesson 13). It registers with this name, which is used once.
   * `down`: the program that ends it, for a day on which the pool is not in the file any more.
   */
  LaunchOrdered: [30, message("LaunchOrdered", {
    name: [1, string(256)], at: [2, u53()], pool: [3, string(64)], reason: [4, text],
    down: [5, list(string(MAX_DOWN_WORD_BYTES), MAX_DOWN_WORDS)],
  })],
  /** The order was taken. The handle is what ends that worker. */
  LaunchAnswered: [31, message("LaunchAnswered", {
    name: [1, string(256)], at: [2, u53()], handle: [3, string(MAX_HANDLE_BYTES)],
  })],
  /** Nothing new starts there, and it is stopped once nothing runs there. */
  LaunchRetired: [32, message("LaunchRetired", {
    name: [1, string(256)], at: [2, u53()], reason: [3, text],
  })],
  /** It is to end now. `failed`: it did not come, and that is news about its pool. */
  LaunchStopped: [33, message("LaunchStopped", ending)],
  /** It is gone. */
  LaunchEnded: [34, message("LaunchEnded", ending)],
  /**
   * As `RunSubmitted`, and the run is to take the place of another one, whose services go on until
   * those of the new run are READY. A tag of its own, because an older version would have two runs
   * with one name.
   */
  UpdateSubmitted: [40, message("UpdateSubmitted", {
    ...submission, replaces: [6, u32()], deadline: [7, u53()],
  })],
  /** It has taken that place: the names of its services lead to it, and the old ones drain. */
  UpdateDone: [41, message("UpdateDone", { run: [1, u32()], at: [2, u53()] })],
  /** It has not. The run is cancelled by this, and the old one goes on. */
  UpdateFailed: [42, message("UpdateFailed", {
    run: [1, u32()], at: [2, u53()], reason: [3, string(MAX_REASON_BYTES)],
  })],
  /** A limit of an agent run is nearly used up, or is (lesson 18). Said once for each limit. */
  BudgetReached: [86, message("BudgetReached", {
    group: [1, string(256)], at: [2, u53()], what: [3, BudgetKind], percent: [4, u32()],
    words: [5, string(MAX_REASON_BYTES)],
  })],
  /** Somebody has raised one or more of its limits. These are all that hold from now on. */
  BudgetRaised: [87, message("BudgetRaised", {
    group: [1, string(256)], at: [2, u53()], limits: [3, Limits], by: [4, string(256)],
  })],
  /**
   * A job has added jobs to its own run, under a key of its own (lesson 18). `edges`: as in
   * `JobsInserted`. `digest`: the same key means the same jobs for ever.
   */
  JobsSpawned: [75, message("JobsSpawned", {
    ...attempt, at: [4, u53()], key: [5, key], digest: [6, bytes(DIGEST_BYTES)],
    jobs: [7, list(JobSpec, MAX_SPAWN_JOBS)], edges: [8, list(Edge, MAX_JOBS_PER_RUN)],
    stage: [9, withDefault(key, "")],
  })],
  /** This attempt is about to end, and wants to go on as soon as one of these is met. */
  WaitAsked: [76, message("WaitAsked", {
    ...attempt, at: [4, u53()], waits: [5, list(Wait, MAX_WAITS)],
  })],
  /** It has ended so. Nothing runs, and nothing has failed. */
  JobPaused: [77, message("JobPaused", { ...attempt, at: [4, u53()] })],
  /** A job asks people something while it runs… */
  AskOpened: [78, message("AskOpened", {
    ...attempt, at: [4, u53()], key: [5, key], gate: [6, Gate],
  })],
  /** …somebody has approved, and it wants others, too; and it has its answer. */
  AskApproved: [79, message("AskApproved", {
    ...job, by: [3, string(256)], comment: [4, text], values: [5, FormValues], at: [6, u53()],
    key: [7, key],
  })],
  AskClosed: [80, message("AskClosed", {
    ...job, outcome: [3, GateOutcome], by: [4, string(256)], comment: [5, text],
    values: [6, FormValues], at: [7, u53()], key: [8, key],
  })],
  /** A service has replicas more. In logs of older versions, or some of its replicas drain. */
  ServiceScaled: [43, message("ServiceScaled", {
    run: [1, u32()], at: [2, u53()], jobs: [3, list(JobSpec, MAX_REPLICAS)],
    drained: [4, list(u32(), MAX_JOBS_PER_RUN)], by: [5, string(256)],
  })],
  /**
   * These replicas are to end: somebody wants the service no more (`stop`), or fewer of it
   * (`drain`). One that has never started is COMPLETED by this, as one that runs will be. A tag of
   * its own, because an older version would cancel it.
   */
  ReplicasRetired: [44, message("ReplicasRetired", {
    ...wish, how: [5, enumOf("stop", "drain")],
  })],
  /** A person gives up a service that has failed: the version before it is not kept any more. */
  NameLetGo: [45, message("NameLetGo", {
    name: [1, string(128)], at: [2, u53()], by: [3, string(256)],
  })],
  /**
   * A step is about to run (lesson 18). `again`: a person says so, although it may have happened.
   */
  StepStarted: [70, message("StepStarted", {
    ...step, inputHash: [6, bytes(STEP_HASH_BYTES)], effect: [7, StepEffect], at: [8, u53()],
    reserve: [9, optional(StepReserve)], again: [10, optional(bool())], call: [11, u32()],
  })],
  /** It has a result, for ever. */
  StepDone: [71, message("StepDone", {
    ...step, at: [6, u53()], result: [7, optional(bytes(MAX_STEP_RESULT_BYTES))],
    blob: [8, optional(StepBlob)], usage: [9, optional(StepUsage)],
  })],
  /** It has none: the next call runs it again. */
  StepFailed: [72, message("StepFailed", {
    ...step, at: [6, u53()], message: [7, string(MAX_STEP_MESSAGE_BYTES)],
    usage: [8, optional(StepUsage)],
  })],
  /**
   * As `RunSubmitted`, and the journals of its jobs begin with the first `step` steps of another
   * run, by reference. A tag of its own, because an older version would run them again. `carries`:
   * so do those of jobs that are added again. In logs of older versions they do not.
   */
  RunForked: [73, message("RunForked", {
    ...submission, from: [6, u32()], step: [7, u53()],
    set: [9, list(message("ForkedResult", {
      job: [1, u32()], name: [2, string(MAX_STEP_NAME_BYTES)], ordinal: [3, u32()],
      result: [4, bytes(MAX_STEP_RESULT_BYTES)],
    }), MAX_FORK_SETS)],
    carries: [10, withDefault(bool(), false)],
  })],
  /** A person lets stand what this run's steps have done, although their inputs have changed. */
  ChangesAccepted: [74, message("ChangesAccepted", { run: [1, u32()], at: [2, u53()] })],
  /**
   * A file is in place, and has this name from now on (lesson 11): in the run, or without one by
   * itself. What had the name before has it no longer.
   */
  ArtifactPut: [60, message("ArtifactPutEvent", { ...artifactFacts, run: [20, optional(u32())] })],
  /** These are gone. `reason`: somebody wanted it so, they were old, or others needed the room. */
  ArtifactsRemoved: [61, message("ArtifactsRemovedEvent", {
    at: [1, u53()], reason: [2, text],
    gone: [3, list(message("GoneArtifact", {
      run: [1, optional(u32())], name: [2, string(MAX_ARTIFACT_PATH_BYTES)],
    }), MAX_REMOVED_ARTIFACTS)],
  })],
});
// #endregion
export type Event = Infer<typeof Event>;
export type EventOf<T extends Event["type"]> = Extract<Event, { type: T }>;
