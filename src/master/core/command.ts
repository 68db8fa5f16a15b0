/**
 * Lesson 10: all that anybody can want of the master. A person, a worker, a timer: whoever it is,
 * the wish becomes one of these, and goes through one door (decide.ts).
 *
 *     command ──decide──▶ events, effects, reply            (or a refusal, and nothing has changed)
 *
 * A command is plain data, and says nothing of where it came from: the simulator gives the same
 * commands as a socket does. It is named for what somebody wants (Cancel); the event that follows
 * is named for what happened (JobsCancelled).
 *
 * Left out: the start of a job that is ready. Nobody asks for it: it follows from the state
 * (`nextStart`).
 * Test: test/10-master.transcripts.test.ts
 */
import type {
  ArtifactInfo, ArtifactRef, Asked, AttemptKey, Before, BudgetChange, Decision, Gate, HealthReport,
  JobScope, JobSpec, Limits, LostOutput, PipelineSpec, Report, RolledBack, Scaled, ServicesMeant,
  Spawn, Spawned, StepAnswer, StepEnd, StepStart, WaitReply, WaitWish,
} from "#wire";
import type { NoticeRef } from "./state.ts";

// #region commands
export type Command =
  // From people.
  | {
    readonly type: "Submit";
    readonly spec: PipelineSpec;
    /** Two submissions with one key are one run. */
    readonly key?: string | undefined;
    /** The person who submits it, as far as anybody has said. */
    readonly by?: string | undefined;
    /** Refuse what no registered worker could ever run, instead of warning. */
    readonly strict: boolean;
    /**
     * What its jobs take in memory, if somebody has weighed them already. If that is more than
     * `roomForJobs` allows, the jobs themselves need not be there.
     */
    readonly jobBytes?: number;
    /** If it takes the place of a run: how long its services may take to be READY. */
    readonly updateMs?: number | undefined;
  }
  | {
    readonly type: "AddJobs";
    readonly run: string;
    readonly jobs: readonly JobSpec[];
    /** Jobs that were there before and are to wait for one of these, `job` in the list. */
    readonly before?: readonly Before[];
    /** As in a submission. */
    readonly jobBytes?: number;
  }
  /** Without `job`: the whole run. */
  | { readonly type: "Cancel"; readonly run: string; readonly job?: string | undefined }
  /**
   * Without `from`: all that did not complete. `acceptChanged`: what their steps have done stands,
   * although the program asks for it with other inputs by now.
   */
  | {
    readonly type: "Retry";
    readonly run: string;
    readonly from?: string | undefined;
    readonly acceptChanged?: boolean | undefined;
  }
  /** A new run with the steps of this one up to `from`, some results replaced (lesson 18). */
  | {
    readonly type: "Fork";
    readonly run: string;
    /** NAME#N, or JOB:NAME#N. */
    readonly from: string;
    readonly set: readonly { readonly step: string; readonly result: Buffer }[];
    readonly by: string;
  }
  | {
    readonly type: "DecideGate";
    /**
     * RUN/JOB, or RUN/JOB#ATTEMPT: the gate behind this attempt and no later one. RUN/JOB:KEY is a
     * question that the job itself has asked.
     */
    readonly gate: string;
    readonly approve: boolean;
    readonly by: string;
    readonly comment: string;
    /** What was typed into its form. */
    readonly values?: Readonly<Record<string, string>>;
  }
  /** By the worker's name, or by its number if no name is like it. `undo`: give it work again. */
  | { readonly type: "Drain"; readonly worker: string; readonly undo: boolean }
  /** `name`: a service, RUN or RUN/JOB. For good, or to start anew. */
  | { readonly type: "Stop"; readonly name: string; readonly by: string }
  | { readonly type: "Restart"; readonly name: string; readonly by: string }
  /** So many replicas of a service, and no more. Named as for a stop. */
  | {
    readonly type: "Scale"; readonly name: string; readonly replicas: number; readonly by: string;
  }
  /** The version before the current one. */
  | {
    readonly type: "Rollback";
    readonly name: string;
    /** Two rollbacks with one key are one. */
    readonly key?: string | undefined;
    readonly updateMs?: number | undefined;
    readonly by: string;
  }
  /** Another limit for an agent run, by its name or that of one of its runs (lesson 18). */
  | {
    readonly type: "RaiseBudget";
    readonly group: string;
    readonly changes: readonly BudgetChange[];
    readonly by: string;
  }
  /** All runs of an agent run. */
  | { readonly type: "CancelGroup"; readonly group: string }
  // From a job, about itself (lesson 18). `by`: the attempt that asks.
  | ({ readonly type: "Spawn"; readonly by: JobScope } & Spawn)
  | { readonly type: "Wait"; readonly by: JobScope; readonly waits: readonly WaitWish[] }
  | { readonly type: "Ask"; readonly by: JobScope; readonly key: string; readonly gate: Gate }
  // Artifacts (lesson 11), of people, jobs and workers.
  /** Its bytes are in place. */
  | ({ readonly type: "PutArtifact"; readonly sha256: string; readonly size: number } &
    ArtifactWish)
  | { readonly type: "RemoveArtifact"; readonly ref: ArtifactRef; readonly by: string }
  /** Those of runs that ended so long ago, and with `kept` those that were kept as long. */
  | {
    readonly type: "CollectArtifacts";
    readonly olderMs: number;
    readonly kept: boolean;
    readonly dryRun: boolean;
    readonly by: string;
  }
  /** Uploads under way are to have so many bytes of the disk; `name` is the latest of them. */
  | { readonly type: "MakeArtifactRoom"; readonly bytes: number; readonly name: string }
  // From workers, and from the book of leases that is kept about them.
  | {
    readonly type: "Join";
    readonly instance: string;
    readonly name: string;
    readonly tags: readonly string[];
    readonly slots: number;
    readonly version: string;
    /** Words of `Hello.knows`. Default: none. */
    readonly knows?: readonly string[];
    /** Only a person ends it (lesson 13). Default false. */
    readonly permanent?: boolean | undefined;
  }
  /** A worker that is registered is back, and says which attempts it runs. */
  | {
    readonly type: "Rejoin";
    readonly worker: number;
    readonly running: readonly AttemptKey[];
    readonly knows?: readonly string[];
  }
  | {
    readonly type: "Lose";
    readonly worker: number;
    readonly reason: string;
    /** Nobody knows why the worker went, so it may have been one of its jobs. Default true. */
    readonly blamed?: boolean;
  }
  | { readonly type: "Finish"; readonly worker: number; readonly report: Report }
  /** How one of its services is; `host` is where others reach that worker. */
  | {
    readonly type: "Health";
    readonly worker: number;
    readonly host: string;
    readonly report: HealthReport;
  }
  | ({ readonly type: "LoseOutput" } & AttemptKey & LostOutput)
  // From programs that run as jobs (lesson 18). `by`: which attempt, and on which worker.
  | { readonly type: "StartStep"; readonly by: JobScope; readonly step: StepStart }
  | { readonly type: "EndStep"; readonly by: JobScope; readonly step: StepEnd }
  // From those who tell people of gates (lesson 16). Without `failure`: they have been told.
  | {
    readonly type: "NoticeTried";
    readonly ref: NoticeRef;
    readonly failure?: string | undefined;
  }
  // From those who start and end the workers of pools (lesson 13).
  | {
    readonly type: "Launch";
    readonly pool: string;
    /** The pool has so many, whoever asks. */
    readonly max: number;
    readonly down: readonly string[];
    readonly reason: string;
  }
  /** By the worker's name or number, also if it has not come yet. */
  | { readonly type: "Retire"; readonly worker: string; readonly reason: string }
  | { readonly type: "AnswerLaunch"; readonly name: string; readonly handle: string }
  | ({ readonly type: "StopLaunch" } & LaunchEnding)
  | ({ readonly type: "EndLaunch" } & LaunchEnding)
  // From the master's own clock.
  | { readonly type: "Tick" }
  | { readonly type: "Advance" }
  | { readonly type: "ExpireArtifacts" }
  | { readonly type: "Forget" };
// #endregion

/** A wish to put an artifact (lesson 11). */
export interface ArtifactWish {
  readonly name: string;
  /** The id of its run, or of the run whose job keeps it. */
  readonly run?: string | undefined;
  readonly job?: string | undefined;
  readonly attempt?: number | undefined;
  readonly keep: boolean;
  readonly by: string;
  readonly size?: number | undefined;
  /** The worker that has collected it, as the job declares in `outputs`. */
  readonly worker?: number | undefined;
}

export interface LaunchEnding {
  readonly name: string;
  readonly reason: string;
  readonly failed: boolean;
}

/** `freed`: what the disk gets back. `more`: there are others, too many for one answer. */
export interface RemovedArtifacts {
  readonly removed: ArtifactInfo[];
  readonly more: boolean;
  readonly freed: number;
}

export type CommandOf<T extends Command["type"]> = Extract<Command, { readonly type: T }>;

// #region replies
/** The reply to each command, once its events are durable. */
export interface Replies {
  /** `forgotten`: the run that the key made has ended, and only its id is left. */
  Submit: {
    run: string; existing: boolean; warnings: string[]; forgotten?: boolean; replaces?: string;
  };
  AddJobs: { jobs: number };
  Cancel: { jobs: number };
  Retry: { jobs: number };
  /** `steps`: those that it takes over. */
  Fork: { run: string; steps: number };
  DecideGate: Decision;
  Spawn: Spawned;
  Wait: WaitReply;
  Ask: Asked;
  Stop: ServicesMeant;
  Restart: ServicesMeant;
  Scale: Scaled;
  Rollback: RolledBack;
  RaiseBudget: { group: string; limits: Limits };
  CancelGroup: { group: string; runs: number; jobs: number };
  Drain: { id: number; name: string; running: number };
  Join: { worker: number };
  Rejoin: undefined;
  Lose: undefined;
  /** Whether the report counted. False: the attempt is over, or it is another worker's. */
  Finish: boolean;
  Health: undefined;
  LoseOutput: undefined;
  StartStep: StepAnswer;
  /** False: the same end was told before. */
  EndStep: { isNew: boolean };
  /** When it is to be tried again. Undefined: not any more. */
  NoticeTried: number | undefined;
  Launch: { name: string };
  /** `running`: attempts that live there. */
  Retire: { name: string; pool: string; running: number };
  AnswerLaunch: undefined;
  StopLaunch: undefined;
  EndLaunch: undefined;
  Tick: undefined;
  Advance: undefined;
  PutArtifact: { info: ArtifactInfo; replaced: ArtifactInfo | undefined };
  RemoveArtifact: RemovedArtifacts;
  CollectArtifacts: RemovedArtifacts;
  MakeArtifactRoom: undefined;
  ExpireArtifacts: undefined;
  Forget: undefined;
}
// #endregion
