/**
 * Lesson 22: a second opinion. The story that a log tells, followed by somebody who does not
 * believe it.
 *
 *     event ──▶ may this happen now?  ──no──▶ Violation, by name
 *                      │ yes
 *                      └──▶ remember what it changes
 *
 * The master's own `decide` and `apply` are not used here: a mistake in them would excuse itself.
 * So the rules stand here once more, in other words and without the indexes that make the master
 * fast: no queues, no router, no heap of timers. It checks only what a master *may* do.
 * Which of two ready jobs it prefers is its own business.
 *
 * Invariants: nothing here is imported from #core but the shape of an event; limits are repeated,
 * because one that is changed by mistake must not change here as well.
 * Left out: that a graph has no cycle (such a run never ends, which is found under its own name),
 * and affinity to a worker that was ever drained (whether a job had been freed before it was undone
 * depends on the order of queues).
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Edge, Event, EventOf } from "#core";
import type { JobSpec, JobStatus } from "#wire";
import { Violation, type Invariant } from "./invariants-list.ts";
import {
  checkEnding, checkFit, checkIdle, checkOutput, checkReopened, checkRetry, checkStart,
  checkStopped, checkSuccess, wrongLoss,
} from "./model-checks.ts";
import * as agents from "./model-agents.ts";
import { ModelBudgets } from "./model-budgets.ts";
import * as gates from "./model-gates.ts";
import { addJobs, linkJobs } from "./model-growth.ts";
import { ModelPools, type PoolLimits } from "./model-pools.ts";
import { ModelRuns } from "./model-runs.ts";
import * as services from "./model-services.ts";
import * as steps from "./model-steps.ts";
import {
  conditionHolds, ModelJob, ModelRun, openParentsOf, RETRY_MILLI, type Submission,
} from "./model-state.ts";
import { Versions } from "./model-versions.ts";
import { ModelWorkers } from "./model-workers.ts";

export type { ModelJob, ModelRun } from "./model-state.ts";

/** A run earns a fifth of a retry with each first attempt, and saves up a thousand at most. */
const [EARNED_MILLI, MOST_MILLI] = [RETRY_MILLI / 5, 1000 * RETRY_MILLI];
const MAX_LOSSES = 5;
const MAX_RUN_RESULT_BYTES = 256 * 1024 * 1024;

export interface ModelOptions {
  /** So many workers may be lost under one job before it is taken for their killer. Default 5. */
  readonly maxLosses?: number;
  /** The most bytes that all results of one run may take. Default 256 MiB. */
  readonly maxRunResultBytes?: number;
  /** Pools whose limits are promised. */
  readonly pools?: readonly PoolLimits[];
}

export class Model {
  seq = 0;
  at = 0;
  readonly #known = new ModelRuns(this);
  readonly runs = this.#known.byNumber;
  readonly runsById = this.#known.byId;
  readonly counts = {
    runs: 0, jobs: 0, workers: 0, attempts: 0, successes: 0, failures: 0, losses: 0, retries: 0,
    cancels: 0, gates: 0, forgotten: 0,
  };
  readonly pools: ModelPools;
  /** For the rules of services and gates. */
  readonly #hands: services.Hands = {
    fail: (invariant, what) => this.fail(invariant, what),
    end: (job, as) => this.#end(job, as),
    again: (job, notBefore) => this.#again(job, notBefore),
    considerTurn: (job) => this.#considerTurn(job),
  };
  readonly #budgets = new ModelBudgets(this.#hands);
  readonly #versions = new Versions(this.#hands);
  readonly #workers = new ModelWorkers(this);
  readonly #maxLosses: number;
  readonly #maxRunResultBytes: number;

  constructor(options: ModelOptions = {}) {
    this.#maxLosses = options.maxLosses ?? MAX_LOSSES;
    this.#maxRunResultBytes = options.maxRunResultBytes ?? MAX_RUN_RESULT_BYTES;
    this.pools = new ModelPools(this, options.pools ?? []);
  }

  get openRuns(): number {
    return this.#known.open;
  }

  fail(invariant: Invariant, what: string): never {
    throw new Violation(invariant, what, { seq: this.seq, at: this.at });
  }

  /** Follows the next event. Throws a `Violation` if it may not happen. */
  apply(event: Event, seq: number): void {
    this.seq = seq;
    const before = this.at;
    this.at = event.at;
    if (event.at < before) {
      const early = `${event.type} happened ${before - event.at} ms before`;
      this.fail("timers-are-kept", `${early} the event that precedes it`);
    }
    this.#workers.checkBlame(event);
    switch (event.type) {
      case "JobStarted": return this.#started(event);
      case "JobSucceeded": return this.#succeeded(event);
      case "JobFailed": return this.#failed(event);
      case "JobLost": return this.#lost(event);
      case "JobStopped": return this.#stopped(event);
      case "StepStarted": case "StepDone": case "StepFailed": return this.#step(event);
      case "ChangesAccepted": return void this.#known.run(event.run);
      case "RunForked": case "RunSubmitted":
      case "UpdateSubmitted": return this.#submitted(event);
      case "JobsAdded": case "JobsInserted": return this.#added(event);
      case "JobsSpawned": return this.#spawned(event);
      case "JobPaused":
        return agents.paused(this.#hands, this.#budgets, this.#ending(event), event.at);
      case "WaitAsked": case "AskOpened": case "AskApproved": case "AskClosed":
        return agents.apply(this.#hands, this.#known.job(event), event);
      case "JobsCancelled":
      case "JobsMarked": return this.#cancelled(event);
      case "GateApproved": return gates.approved(this.#hands, this.#known.job(event), event);
      case "NoticeSent": case "NoticeFailed":
        return gates.noticed(this.#hands, this.#known.job(event), event);
      case "GateDecided": case "GateClosed": return this.#gateClosed(event);
      case "RunRetried": return this.#retried(event);
      case "RunsForgotten": case "RunsLetGo": return this.#forgotten(event);
      case "WorkerJoined": return this.#workers.joined(event);
      case "WorkerDrained": return this.#workers.drained(event);
      case "WorkerLost": return this.#workers.lost(event);
      case "OutputLost": return checkOutput(this, this.#known.job(event), event);
      case "ServiceHealth": return agents.heardOf(this.#hands, this.#known.job(event), event);
      case "ServicesStopped": {
        if (event.by === "titan") this.#versions.stoppedByMaster(this.#known.jobs(event));
        return services.stopped(this.#hands, this.#known.jobs(event), event);
      }
      case "ReplicasRetired": {
        this.#versions.retired(this.#known.run(event.run), this.#known.jobs(event), event);
        return services.retired(this.#hands, this.#known.jobs(event), event);
      }
      case "NameLetGo": return this.#versions.letGo(event.name);
      case "UpdateDone": return this.#versions.done(this.#known.run(event.run), event.at);
      case "UpdateFailed": return this.#updateFailed(event);
      case "ServiceScaled": return this.#scaled(event);
      case "ServicesRestarted":
        return services.restarted(this.#hands, this.#known.jobs(event), event);
      case "WorkerKnows": return this.#workers.learned(event);
      case "TimePassed": return agents.timePassed(this.#hands, this.runs.values(), event.at);
      case "BudgetReached": return this.#budgets.reached(event);
      case "BudgetRaised": return this.#budgets.raised(event);
      case "ArtifactPut": case "ArtifactsRemoved": return;
      default: return this.pools.apply(event);
    }
  }

  /** The master has started again: of events that belong together, the last ones may be missing. */
  restarted(): void {
    this.#workers.restarted();
  }

  // ── runs ───────────────────────────────────────────────────────────────────────────────────────

  #submitted(event: Submission): void {
    const run = this.#known.add(event);
    this.counts.runs += 1;
    this.#budgets.submitted(run, event);
    this.#grow(run, event.spec.jobs);
    this.#versions.submitted(run, event.type === "UpdateSubmitted" ? event : undefined);
    if (event.type === "RunForked") steps.forked(run, this.#known.run(event.from), event);
  }

  #step(event: EventOf<"StepStarted" | "StepDone" | "StepFailed">): void {
    steps.apply(this.#hands, this.#budgets, this.#known.job(event), event);
  }

  #updateFailed(event: EventOf<"UpdateFailed">): void {
    const run = this.#known.run(event.run);
    this.#versions.failed(run, event.at);
    const jobs = run.jobs.map(({ index }) => index);
    if (!run.ended) this.#cancelled({ ...event, type: "JobsCancelled", jobs, whole: true });
  }

  #scaled(event: EventOf<"ServiceScaled">): void {
    const run = this.#known.run(event.run);
    const from = run.jobs.length;
    if (run.ended || run.cancelled) {
      this.fail("terminal-absorbs", `${run.id} is scaled although it has ended`);
    }
    this.#grow(run, event.jobs);
    this.#versions.scaled(run, event, run.jobs.slice(from));
  }

  #added(event: EventOf<"JobsAdded" | "JobsInserted">): void {
    const run = this.#known.run(event.run);
    if (run.ended || run.cancelled) {
      this.fail(
        "terminal-absorbs",
        `${run.id} was given jobs although it ${run.ended ? "has ended" : "was cancelled"}`,
      );
    }
    run.additions.push(event.jobs.length);
    this.#grow(run, event.jobs, event.type === "JobsInserted" ? event.edges : []);
  }

  #spawned(event: EventOf<"JobsSpawned">): void {
    const job = this.#known.job(event);
    agents.spawned(this.#hands, job, event);
    if (job.run.ended || job.run.cancelled) {
      this.fail("terminal-absorbs", `${job} adds jobs to its run, which is over`);
    }
    const from = job.run.jobs.length;
    this.#grow(job.run, event.jobs, event.edges, job.depth + 1);
    for (const [which, added] of job.run.jobs.slice(from).entries()) {
      steps.added(added, event, `${job.spec.id} ${which}`);
    }
  }

  #grow(
    run: ModelRun, specs: readonly JobSpec[], edges: readonly Edge[] = [], depth = 0,
  ): void {
    const added = addJobs(this, run, { specs, depth });
    this.#budgets.grown(run, added.length, this.at);
    this.counts.jobs += added.length;
    linkJobs(this, added, edges);
    for (const job of added) this.#considerTurn(job);
  }

  // #region turn
  /** All parents have ended: the job becomes ready, or ends too. */
  #considerTurn(job: ModelJob): void {
    if (job.openParents > 0 || job.ready || job.status !== "PENDING") return;
    if (job.cancelled || job.run.cancelled) return this.#end(job, "CANCELLED");
    if (!conditionHolds(job)) return this.#end(job, "SKIPPED");
    job.ready = true;
    job.notBefore = job.attempt === 0 ? this.at + job.spec.delayMs : this.at;
  }

  /**
   * A job has ended. Children may follow at once: a list and no recursion, for chains of any
   * length.
   */
  #end(job: ModelJob, as: JobStatus): void {
    const ends: [ModelJob, JobStatus][] = [[job, as]];
    for (const [ended, status] of ends) {
      // The children of a service that was READY have not waited for its end.
      const children = ended.service?.settled === true ? [] : ended.children;
      ended.status = status;
      ended.ends.add(status);
      ended.ready = false;
      ended.cancelled = false;
      ended.waits = [];
      ended.run.open -= 1;
      for (const child of children) {
        child.openParents -= 1;
        if (child.openParents > 0 || child.status !== "PENDING") continue;
        if (child.cancelled || child.run.cancelled) ends.push([child, "CANCELLED"]);
        else if (!conditionHolds(child)) ends.push([child, "SKIPPED"]);
        else this.#considerTurn(child);
      }
    }
    if (job.run.open === 0) this.#known.end(job.run);
    else agents.allGoOn(this.#hands, job.run, this.at);
  }
  // #endregion

  #forgotten(event: EventOf<"RunsForgotten" | "RunsLetGo">): void {
    for (const number of event.runs) {
      const run = this.#known.run(number);
      this.#known.checkForgotten(run);
      this.#versions.forgotten(run);
      this.#budgets.forgotten(run);
      this.#known.forget(run, event);
      this.counts.forgotten += 1;
    }
  }

  // ── attempts ───────────────────────────────────────────────────────────────────────────────────

  // #region started
  #started(event: EventOf<"JobStarted">): void {
    const job = this.#known.job(event);
    checkStart(this, job, event);
    const name = `${job}#${event.attempt}`;
    const worker =
      this.#workers.all.get(event.worker) ??
      this.fail("slots", `${name} starts on worker ${event.worker}, which never registered`);
    checkFit(this, job, worker);
    job.status = "RUNNING";
    job.ready = false;
    job.attempt = event.attempt;
    job.attempts.push({ worker });
    job.worker = worker;
    if (job.service !== undefined) {
      job.service.phase = "STARTING";
      job.service.asked = "nothing";
    }
    worker.running.add(job);
    if (job.failures === 0 && job.pauses === 0) {
      job.run.budgetMilli = Math.min(job.run.budgetMilli + EARNED_MILLI, MOST_MILLI);
    }
    this.counts.attempts += 1;
  }
  // #endregion

  // #region ending
  /**
   * The job of an event that ends an attempt: it must be running, under this very number. Its slot
   * is free again.
   */
  #ending(
    event: EventOf<"JobSucceeded" | "JobFailed" | "JobLost" | "JobStopped" | "JobPaused">,
  ): ModelJob {
    const job = this.#known.job(event);
    checkEnding(this, job, event);
    job.attempts[event.attempt - 1]!.ending = event.type;
    job.worker!.running.delete(job);
    return job;
  }
  // #endregion

  #succeeded(event: EventOf<"JobSucceeded">): void {
    const job = this.#ending(event);
    job.resultBytes = event.result?.length ?? 0;
    job.run.resultBytes += job.resultBytes;
    checkSuccess(this, job, this.#maxRunResultBytes);
    this.counts.successes += 1;
    if (job.spec.gate === undefined) return this.#end(job, "COMPLETED");
    job.status = "WAITING";
    job.deadline = event.at + job.spec.gate.maxWaitMs;
  }

  // #region failed
  #failed(event: EventOf<"JobFailed">): void {
    const job = this.#ending(event);
    const { failure, retryAt, dead } = event;
    const name = `${job}#${event.attempt}`;
    if (failure.kind === "worker-lost") {
      this.fail("retries-within-budget", `${name} spends a try although only its worker was lost`);
    }
    if (job.cancelled) this.fail("terminal-absorbs", `${name} fails after it was cancelled`);
    this.counts.failures += 1;
    if (job.service !== undefined) return services.failed(this.#hands, job, event);
    job.waits = [];
    job.failures += 1;
    checkRetry(this, job, event);
    if (retryAt === undefined) return this.#end(job, dead ? "DEAD" : "FAILED");
    this.counts.retries += 1;
    job.run.budgetMilli -= RETRY_MILLI;
    this.#again(job, retryAt);
  }
  // #endregion

  #lost(event: EventOf<"JobLost">): void {
    const job = this.#ending(event);
    this.counts.losses += 1;
    job.waits = [];
    if (services.wasWell(job, event.at)) job.losses = 0;
    if (event.blamed) {
      job.losses += 1;
      this.#workers.blamed = job.worker;
    }
    if (job.cancelled) return this.#end(job, "CANCELLED");
    const dead = event.blamed && job.losses >= this.#maxLosses;
    if (event.dead !== dead) wrongLoss(this, job, { event, maxLosses: this.#maxLosses });
    if (dead) return this.#end(job, "DEAD");
    if (services.isStopping(job)) return this.#end(job, "COMPLETED");
    if (job.service !== undefined) job.service.phase = "RESTARTING";
    this.#again(job, event.at);
  }

  #again(job: ModelJob, notBefore: number): void {
    job.status = "PENDING";
    job.ready = true;
    job.notBefore = notBefore;
  }

  #stopped(event: EventOf<"JobStopped">): void {
    const job = this.#ending(event);
    if (!job.cancelled && services.isStopping(job)) return this.#end(job, "COMPLETED");
    checkStopped(this, job, event);
    this.#end(job, "CANCELLED");
  }

  // ── people ─────────────────────────────────────────────────────────────────────────────────────

  #cancelled(event: EventOf<"JobsCancelled" | "JobsMarked">): void {
    const run = this.#known.run(event.run);
    if (run.ended) this.fail("terminal-absorbs", `${run.id} is cancelled after it has ended`);
    if (event.whole) run.cancelled = run.everCancelled = true;
    this.counts.cancels += 1;
    const jobs = this.#known.jobs(event).filter((job) => !job.over);
    for (const job of jobs) job.cancelled = job.everCancelled = true;
    // A running job goes on until its program is gone. In an old log (JobsMarked) a job that waits
    // for its parents is cancelled when its turn would have come.
    const early = event.type === "JobsCancelled";
    const ends = (job: ModelJob) =>
      job.ready || job.status === "WAITING" || (early && job.status === "PENDING");
    for (const job of jobs) if (ends(job)) this.#end(job, "CANCELLED");
  }

  #gateClosed(event: EventOf<"GateDecided" | "GateClosed">): void {
    this.counts.gates += 1;
    const outcome = event.type === "GateClosed" ? event.outcome
      : event.approve ? "approved" : "rejected";
    gates.closed(this.#hands, this.#known.job(event), { ...event, outcome });
  }

  #retried(event: EventOf<"RunRetried">): void {
    const run = this.#known.run(event.run);
    if (run.cancelled) {
      this.fail("terminal-absorbs", `${run.id} is retried while it is being cancelled`);
    }
    const jobs = this.#known.jobs(event);
    this.#versions.retried(run);
    checkIdle(this, jobs);
    this.#known.reopen(run, jobs);
    for (const job of run.jobs) job.openParents = openParentsOf(job);
    checkReopened(this, jobs);
    for (const job of jobs) this.#considerTurn(job);
    run.retries.push(jobs.filter((job) => !job.over).length);
  }
}
