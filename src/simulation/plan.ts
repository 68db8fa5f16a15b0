/**
 * Lesson 22: a plan: everything that a simulated life will be asked to survive, written down before
 * it begins.
 *
 *     seed ──generatePlan──▶ Plan (plain JSON) ──simulate──▶ Outcome
 *                          │
 *                          └── shrink takes things out of it and runs the rest again
 *
 * All chance is used up before the world starts. That makes shrinking possible: without one fault,
 * all others still happen at their times. If faults were drawn on the way, leaving one out would
 * change every draw after it.
 *
 * Invariants: plain JSON, so that a plan survives a file; times are milliseconds since the world
 * began.
 * Test: test/22-simulation.test.ts
 */
import {
  PLAIN_RULES, type Budget, type BudgetKind, type Gate, type JobSpec, type Notify,
  type PipelineSpec, type Service,
} from "#wire";

/** Shortest and longest, in ms. */
export type Range = readonly [least: number, most: number];

export interface Plan {
  /** Of this plan, and of all chance in the world that runs it. */
  readonly seed: number;
  /**
   * Kinds of faults that this life has: a random few of all, so that they meet in all combinations
   * (swarm testing).
   */
  readonly enabled: readonly FaultKind[];
  /**
   * Faults happen until then. After that everything is mended, and all work must come to its end.
   */
  readonly safetyMs: number;
  readonly latencyMs: Range;
  readonly syncMs: Range;
  /** Every write arrives in pieces of random sizes. */
  readonly splitChunks: boolean;
  /** How long the supervisor takes to restart a role that died by itself. */
  readonly restartMs: Range;
  readonly workers: readonly WorkerPlan[];
  /** Workers that the master starts and ends by itself (lesson 13); absent: it does not. */
  readonly pools?: readonly PoolPlan[];
  /** Client machines. */
  readonly clients: number;
  readonly pipelines: readonly PipelinePlan[];
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
  /** How the master goes down when all is over: afterwards its state must be the same. */
  readonly finale: "none" | "stop" | "kill" | "crash";
}

export interface WorkerPlan {
  readonly name: string;
  readonly slots: number;
  readonly tags: readonly string[];
  /** Of a version that knows of no services. */
  readonly isOld?: true;
}

/** A pool, and what its cloud makes of the orders. */
export interface PoolPlan {
  /** `p1`: its workers are called `p1-1`, `p1-2` and so on. */
  readonly name: string;
  readonly slots: number;
  readonly tags: readonly string[];
  readonly min: number;
  readonly max: number;
  readonly upAfterMs: number;
  readonly idleMs: number;
  readonly cooldownMs: number;
  readonly startTimeoutMs: number;
  /** The first order fares as the first of them, and so on, and then all over again. */
  readonly orders: readonly OrderPlan[];
  /** The same for machines that are to end. */
  readonly ends: readonly EndPlan[];
}

export const ORDER_FATES = [
  /** The machine boots, and its worker registers. */
  "comes",
  /** There is no machine, and an error says so. */
  "refused",
  /** There is one, and an error says that there is none. */
  "wrongly-refused",
  /** There is one, and nobody says so. */
  "unanswered",
  /** The machine never boots. */
  "never",
  /** It works for a while, and is gone. */
  "dies",
] as const;

export interface OrderPlan {
  readonly fate: (typeof ORDER_FATES)[number];
  /** Until there is a machine; an order of a master that dies before that is lost… */
  readonly takeMs: number;
  /** …unless it is on its way without the master. */
  readonly outlives: boolean;
  /** From then until the answer. */
  readonly answerMs: number;
  /** From then until its worker starts: it may be longer than anybody waits. */
  readonly bootMs: number;
  /** How long one works that dies. */
  readonly livesMs: number;
}

export const END_FATES = [
  "ends",
  /** An error, and the machine stays. */
  "fails",
  /** The machine goes, and nobody says so. */
  "unanswered",
  /** The answer comes first, the end later. */
  "early",
] as const;

export interface EndPlan {
  readonly fate: (typeof END_FATES)[number];
  readonly ms: number;
}

export interface PipelinePlan {
  /** Its name, and the key under which it is submitted. */
  readonly key: string;
  readonly jobs: readonly JobPlan[];
  /** It is part of this agent run, and brings a budget, or none. */
  readonly agent?: { readonly id: string; readonly budget?: Budget };
}

/** A job. An absent field means the same as in a pipeline file that does not mention it. */
export interface JobPlan {
  readonly id: string;
  /** The words for its program, see programs.ts: "ms=120 fails=2 ignore-term". */
  readonly does: string;
  readonly dependsOn?: readonly number[];
  readonly tags?: readonly string[];
  readonly priority?: number;
  readonly delayMs?: number;
  readonly affinity?: number;
  readonly when?: "failure" | "always";
  readonly timeoutMs?: number;
  readonly retry?: {
    readonly maxAttempts: number;
    readonly delayMs: number;
    readonly backoff: number;
    readonly jitter: number;
  };
  readonly gateMs?: number;
  /** Approvals that its gate wants, and what becomes of it without. Default: 1, reject. */
  readonly gateNeeds?: number;
  readonly gateThen?: "approve" | "skip";
  /** It is a service with this policy (lesson 14). `attempts` restarts within a minute; 0: any. */
  readonly service?: {
    readonly policy: "always" | "on-failure" | "never";
    readonly attempts: number;
    readonly port?: number;
    /** Its name, which is one of the whole cluster. Default: its id, in its run. */
    readonly deployed?: string;
  };
}

/** Something that a client does. `run` is the key of a pipeline. */
export type Step = { readonly at: number; readonly client: number } & (
  /** Until it is acknowledged, through whatever happens; the same key again is the same run. */
  | { readonly do: "submit"; readonly run: string }
  | { readonly do: "cancel"; readonly run: string; readonly job?: string }
  | { readonly do: "retry"; readonly run: string; readonly from?: string }
  /** Waits until the gate is open. */
  | { readonly do: "gate"; readonly run: string; readonly job: string; readonly approve: boolean }
  /** `before`: jobs of the pipeline that are to wait for the first of the new ones. */
  | {
      readonly do: "add";
      readonly run: string;
      readonly jobs: readonly JobPlan[];
      readonly before?: readonly number[];
    }
  /** At one of the steps that it has by then: number `which`, counted around. */
  | { readonly do: "fork"; readonly run: string; readonly which: number }
  | { readonly do: "status" | "watch"; readonly run: string }
  | { readonly do: "stop" | "restart"; readonly run: string }
  /** As submit, of a service whose name may be in use: an update, or a refusal. */
  | { readonly do: "deploy"; readonly run: string; readonly updateMs: number }
  /** By the name of a deployed service. */
  | { readonly do: "scale"; readonly service: string; readonly replicas: number }
  | { readonly do: "rollback"; readonly service: string; readonly updateMs: number }
  | { readonly do: "stop-name"; readonly service: string }
  | { readonly do: "logs"; readonly run: string; readonly job: string }
  | { readonly do: "runs" | "workers" | "gates" | "hash" | "snapshot" | "dead" }
  | { readonly do: "drain"; readonly worker: string; readonly undo: boolean }
  /** A person wants one worker more, or one less; `worker` may not have come yet, or be gone. */
  | { readonly do: "launch"; readonly pool: string }
  | { readonly do: "retire"; readonly worker: string }
  | { readonly do: "pools" }
  /** A person raises a limit of an agent run, if it has one. */
  | {
      readonly do: "raise"; readonly group: string; readonly what: BudgetKind;
      readonly amount: number;
    }
);

export const FAULT_KINDS = [
  "kill",
  "crash",
  "stop",
  "pause",
  "cut",
  "reset",
  "partition",
  "stall",
  "one-byte",
  "slow-link",
  "slow-disk",
  "disk-error",
  "disk-full",
  "drift",
  "jump",
  "second-master",
  "job-crashes-host",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Something that goes wrong. `target` is a machine: m, w1, c1. */
export type Fault = { readonly at: number; readonly target: string } &
  /** The process dies; the machine lives. */
  (
    | { readonly kind: "kill"; readonly downMs: number }
    /** The power goes. */
    | {
        readonly kind: "crash";
        readonly downMs: number;
        readonly torn: boolean;
        readonly garbage: boolean;
        readonly silent: boolean;
      }
    /** Asked to end, in order. */
    | { readonly kind: "stop"; readonly downMs: number }
    | { readonly kind: "pause"; readonly forMs: number }
    | { readonly kind: "cut" | "reset"; readonly peer: string }
    /** Silence: `to` is what the target sends, `from` what is sent to it. */
    | {
        readonly kind: "partition";
        readonly peer: string;
        readonly way: "to" | "from" | "both";
        readonly forMs: number;
      }
    | {
        readonly kind: "stall";
        readonly peer: string;
        readonly chance: number;
        readonly ms: Range;
        readonly forMs: number;
      }
    | { readonly kind: "one-byte"; readonly peer: string; readonly forMs: number }
    | {
        readonly kind: "slow-link";
        readonly peer: string;
        readonly ms: Range;
        readonly forMs: number;
      }
    | { readonly kind: "slow-disk"; readonly ms: Range; readonly forMs: number }
    | {
        readonly kind: "disk-error";
        readonly op: "append" | "sync" | "open" | "rename";
        readonly code: string;
        readonly path: string;
      }
    /** Room for so many bytes more. */
    | { readonly kind: "disk-full"; readonly bytes: number; readonly forMs: number }
    | { readonly kind: "drift"; readonly rate: number; readonly forMs: number }
    | { readonly kind: "jump"; readonly ms: number }
    /** Somebody starts a second one on the same folder. */
    | { readonly kind: "second-master" }
  );

/** The pipeline in the form in which it travels. */
export function specOf(plan: PipelinePlan, jobSpec: (job: JobPlan) => JobSpec): PipelineSpec {
  const jobs = plan.jobs.map((job) => jobSpec(job));
  const agent = plan.agent && { agent: plan.agent };
  return { name: plan.key, version: undefined, project: undefined, jobs, ...agent };
}

export function jobSpecOf(job: JobPlan): JobSpec {
  const { retry } = job;
  return {
    id: job.id,
    // A file without a project is a file that is not there.
    action:
      job.does === "missing"
        ? { type: "file", file: "missing.sh", args: [] }
        : { type: "command", argv: ["sim", ...job.does.split(" ")] },
    dependsOn: [...(job.dependsOn ?? [])],
    requirement: [...(job.tags ?? [])],
    priority: job.priority ?? 1,
    delayMs: job.delayMs ?? 0,
    affinity: job.affinity,
    when: job.when ?? "success",
    timeoutMs: job.timeoutMs ?? 0,
    retry: retry === undefined ? undefined : { ...retry, maxDelayMs: 2000 },
    env: {},
    gate: job.gateMs === undefined ? undefined : gateOf(job, job.gateMs),
    ...(job.service && { service: serviceOf(job.id, job.service) }),
  };
}

/** Most of them tell people: all but those that wait for an odd time, which are short. */
function gateOf({ gateNeeds, gateThen }: JobPlan, maxWaitMs: number): Gate {
  const question = { message: "Go on?", maxWaitMs };
  const notify: Notify | undefined =
    maxWaitMs % 2 === 0 ? { type: "command", argv: ["pager"] } : undefined;
  if ((gateNeeds ?? gateThen ?? notify) === undefined) return question;
  const onTimeout = gateThen ?? "reject";
  return { ...question, rules: { ...PLAIN_RULES, required: gateNeeds ?? 1, onTimeout, notify } };
}

/** Checks come often, and delays are short: a life lasts seconds. */
function serviceOf(id: string, plan: NonNullable<JobPlan["service"]>): Service {
  const { policy, attempts, port, deployed: name = id } = plan;
  const restart = { policy, attempts, delayMs: 100, backoff: 2, maxDelayMs: 1000 };
  return {
    name, deployed: plan.deployed !== undefined, port,
    check: { type: "tcp" }, intervalMs: 200, timeoutMs: 200,
    healthyAfter: 1, unhealthyAfter: 2, startPeriodMs: 2000, stopGraceMs: 500,
    restart: { ...restart, windowMs: 60_000 },
  };
}
