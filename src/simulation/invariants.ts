/**
 * Lesson 22: the judge. It is told what everybody saw, and says which promise was broken.
 *
 *     events of the log, in order ─▶ model.ts            may this happen now?
 *     answers that clients got    ─▶ compared with it    is what they were told in the log?
 *     programs that ran           ─▶ compared with it    who ran, when, and how often?
 *     hashes and snapshots        ─▶ invariants-fold.ts  do all ways to a state give the same one?
 *
 * The judge knows nothing of the master but its log. In the simulated world it is told everything
 * at the moment in which it happens; after a run of real processes (scripts/chaos), it is told the
 * log first, and then everything that was written down.
 *
 * Invariants: every check throws a `Violation` at the first broken promise; a thing that is only
 * *not yet* true is no violation before `quiet`.
 * Left out: lateness. A job that could start and does not is found when all is quiet, because only
 * then nothing excuses it.
 * Test: test/22-simulation.invariants.test.ts
 */
import { Event } from "#core";
import type { AttemptKey, JobStatus } from "#wire";
import { ToldClients, type Acknowledgement } from "./invariants-clients.ts";
import { Fold } from "./invariants-fold.ts";
import type { Invariant } from "./invariants-list.ts";
import { Model, type ModelJob, type ModelOptions } from "./model.ts";
import type { ModelPools } from "./model-pools.ts";

export type { Acknowledgement } from "./invariants-clients.ts";
export { INVARIANTS, type Invariant, Violation } from "./invariants-list.ts";
export { type LogEvents, readLogEvents } from "./events.ts";

/** A program, as the machine sees it. `worker` is the worker's name, "" if nobody knows. */
export interface Execution {
  readonly worker: string;
  readonly run: string;
  readonly job: string;
  readonly attempt: number;
  readonly pid?: number | undefined;
}

/** So many names are in a message; the rest is counted. */
const NAMED = 5;

export class Judge {
  readonly #model: Model;
  readonly #fold = new Fold();
  /** By run/job#attempt. */
  readonly #programs = new Map<
    string,
    { worker: string; alive: boolean; pid: number | undefined }
  >();
  /** Attempts whose end was reported and that no program had begun: none may begin any more. */
  readonly #unexecuted = new Set<string>();
  readonly #clients: ToldClients;
  readonly #told = { acks: 0, confirmed: 0, seen: 0, hashes: 0, snapshots: 0, programs: 0 };

  constructor(options: ModelOptions = {}) {
    this.#model = new Model(options);
    this.#clients = new ToldClients(this.#model);
  }

  /** What it is told of the machines of pools (lesson 13). */
  get pools(): ModelPools {
    return this.#model.pools;
  }

  /** The last event that was judged. */
  get seq(): number {
    return this.#fold.bodies.length;
  }

  get stats() {
    const { counts, openRuns, pools } = this.#model;
    const { launches } = pools;
    return { events: this.seq, ...counts, openRuns, ...this.#told, launches };
  }

  /** Breaks a promise by name. For a caller that sees more than the judge. */
  fail(invariant: Invariant, what: string): never {
    return this.#model.fail(invariant, what);
  }

  // ── the log ────────────────────────────────────────────────────────────────────────────────────

  // #region event
  /**
   * A durable event, its encoded bytes. Numbers are consecutive from 1; one that comes again must
   * be the same.
   */
  event(seq: number, body: Uint8Array): void {
    const { bodies } = this.#fold;
    const known = bodies[seq - 1];
    if (known !== undefined && !known.equals(body)) {
      this.fail(
        "acknowledged-is-durable",
        `event ${seq} was ${nameOf(known)} and is ${nameOf(body)} now`,
      );
    }
    if (known !== undefined) return;
    if (seq !== this.seq + 1) {
      this.fail("acknowledged-is-durable", `event ${seq} follows event ${this.seq}`);
    }
    const event = decode(body);
    if (event === undefined) {
      this.fail(
        "replay-equals-live",
        `event ${seq} cannot be read: ${Buffer.from(body).toString("hex", 0, 32)}`,
      );
    }
    bodies.push(Buffer.from(body)); // `body` may be a view of the reader's block.
    this.#model.apply(event, seq);
    this.#checkProgram(event);
  }
  // #endregion

  /**
   * A master has recovered from its log, which ends with event `last`. It may know more than the
   * judge, never less.
   */
  recovered(last: number): void {
    this.#model.restarted();
    if (last < this.seq) {
      this.fail(
        "acknowledged-is-durable",
        `the log ends with event ${last} after a restart, and ${this.seq} were durable`,
      );
    }
  }

  /** A live master's word about itself: the hash of its state after event `seq`. */
  hash(live: { seq: number; hash: string }): void {
    this.#told.hashes += 1;
    if (live.seq > this.seq) {
      this.fail(
        "acknowledged-is-durable",
        `a master speaks of event ${live.seq}, and ${this.seq} are durable`,
      );
    }
    const hash = this.#fold.hashAt(live.seq);
    if (hash !== live.hash) {
      this.fail(
        "replay-equals-live",
        `after event ${live.seq} the master's state is ${live.hash.slice(0, 12)}…, and its log ` +
          `gives ${hash.slice(0, 12)}…`,
      );
    }
    this.#fold.checkTail();
  }

  /** A snapshot that covers the events up to `seq`. */
  snapshot(seq: number, parts: Iterable<Uint8Array>): void {
    this.#told.snapshots += 1;
    if (seq > this.seq) {
      this.fail(
        "snapshot-plus-tail",
        `a snapshot covers event ${seq}, and ${this.seq} are durable`,
      );
    }
    this.#fold.addSnapshot(seq, parts);
  }

  /**
   * Restores the state from a snapshot at every `step`-th event, and follows the tail from there to
   * the next.
   */
  allPrefixes(step = 1): void {
    this.#fold.checkPrefixes(step);
  }

  // ── clients ────────────────────────────────────────────────────────────────────────────────────

  /** A client has its answer, now: the log must already say the same. */
  acknowledged(ack: Acknowledgement): void {
    this.#told.acks += 1;
    this.#clients.acknowledged(ack);
  }

  /**
   * A client was shown a job. The log must say that this has happened; an end that was shown is
   * final.
   */
  seen(info: { run: string; job: string; status: JobStatus; attempt: number }): void {
    this.#told.seen += 1;
    this.#clients.seen(info);
  }

  /** A program was given this value by one of its durable steps. */
  gave(at: { run: string; job: string; step: string; value: unknown }): void {
    this.#clients.gave(at);
  }

  // ── workers ────────────────────────────────────────────────────────────────────────────────────

  /**
   * A worker was told that its report is durable (or that nobody waits for it any more), and has
   * forgotten it.
   */
  confirmed(key: AttemptKey): void {
    this.#told.confirmed += 1;
    const job = this.#model.runs.get(key.run)?.jobs[key.job];
    if (job === undefined || key.attempt > job.attempt) {
      this.fail(
        "dispatched-is-durable",
        `a worker reports attempt ${key.run}/${key.job}#${key.attempt}, which the log has not ` +
          "started",
      );
    }
    if (key.attempt === job.attempt && job.status === "RUNNING") {
      this.fail(
        "acknowledged-is-durable",
        `a worker was told that the end of ${job}#${key.attempt} is durable, and the log says ` +
          "that it runs",
      );
    }
  }

  // #region executing
  /** A program has begun, or is gone. */
  executing(what: "began" | "ended", at: Execution): void {
    // #exercise executing
    const name = `${at.run}/${at.job}#${at.attempt}`;
    const program = this.#programs.get(name);
    if (what === "ended") {
      if (program !== undefined) program.alive = false;
      return;
    }
    this.#told.programs += 1;
    const where = at.worker === "" ? "somewhere" : `on ${at.worker}`;
    const attempt = this.#model.runsById.get(at.run)?.jobsById.get(at.job)?.attempts[
      at.attempt - 1
    ];
    if (attempt === undefined) {
      this.fail(
        "dispatched-is-durable",
        `${name} is executed ${where}, and the log has not started it`,
      );
    }
    if (program !== undefined) {
      this.fail(
        "runs-once",
        `${name} is executed ${where}, and was executed on ${program.worker || "another worker"} ` +
          "before",
      );
    }
    if (at.worker !== "" && attempt.worker.name !== at.worker) {
      this.fail("runs-once", `${name} is executed ${where}, and belongs to ${attempt.worker.name}`);
    }
    this.#programs.set(name, { worker: at.worker, alive: true, pid: at.pid });
    // A worker that was given up may begin late: it is fenced, and will be told. A worker that has
    // reported the end may not.
    if (this.#unexecuted.has(name)) {
      this.fail(
        "no-process-after-its-attempt",
        `${name} is executed ${where} after its end was reported (${attempt.ending})`,
      );
    }
    // #end-exercise
  }
  // #endregion

  /**
   * A worker's process is gone, and its programs with it (`left`: they go on without it, and have
   * to be ended by somebody).
   */
  workerProcessDied(worker: string, options: { programs?: "gone" | "left" } = {}): void {
    if (options.programs === "left") return;
    for (const program of this.#programs.values()) {
      if (program.worker === worker) program.alive = false;
    }
  }

  /**
   * Compares an end that only the worker can know with what the machine saw. Checked once programs
   * are told at all.
   */
  #checkProgram(event: Event): void {
    if (this.#programs.size === 0) return;
    const { type } = event;
    if (type !== "JobSucceeded" && type !== "JobFailed" && type !== "JobStopped") return;
    const job = this.#model.runs.get(event.run)!.jobs[event.job]!;
    if (job.spec.action.type === "call") return; // A call is a thread of the worker, no program.
    const name = `${job}#${event.attempt}`;
    const program = this.#programs.get(name);
    if (program?.alive) {
      this.fail(
        "no-process-after-its-attempt",
        `${event.type} of ${name}, and its program runs on ` +
          `${program.worker}${program.pid === undefined ? "" : ` (pid ${program.pid})`}`,
      );
    }
    if (program !== undefined) return;
    const { kind } = event.type === "JobFailed" ? event.failure : { kind: "" };
    if (event.type === "JobSucceeded" || kind === "exit" || kind === "signal") {
      this.fail("runs-once", `${event.type} of ${name}, which was never executed`);
    }
    this.#unexecuted.add(name);
  }

  // ── limits, and the end ────────────────────────────────────────────────────────────────────────

  /** Compares the measured size of something in memory with its limit. */
  bounded(what: string, size: { found: number; limit: number }): void {
    if (size.found > size.limit) {
      this.fail("bounded-queues", `${what}: ${size.found}, more than ${size.limit}`);
    }
  }

  // #region quiet
  /**
   * Faults have stopped, and there was time for everything to end. `programs`: how many live, as
   * the machines see it.
   */
  quiet(live: { programs: number }): void {
    const open = [...this.#model.runs.values()].filter((run) => !run.ended && !run.forgotten);
    const jobs = open.flatMap((run) =>
      run.jobs.filter((job) => !job.over && job.openParents === 0),
    );
    if (open.length > 0) {
      this.fail(
        "everything-ends",
        `${open.length} of ${this.#model.counts.runs} runs go on: ${list(jobs.map(whyOpen))}`,
      );
    }
    const alive = [...this.#programs]
      .filter(([, { alive }]) => alive)
      .map(([name, { worker }]) => `${name} on ${worker || "a worker"}`);
    if (alive.length > 0 || live.programs > 0) {
      this.fail(
        "no-process-after-its-attempt",
        `all runs have ended, and ${Math.max(alive.length, live.programs)} programs live: ` +
          `${list(alive)}`,
      );
    }
    this.#fold.checkTail();
  }
  // #endregion
}

function whyOpen(job: ModelJob): string {
  if (job.status === "RUNNING") {
    return (
      `${job}#${job.attempt} runs on ` +
      `${job.worker!.name}${job.worker!.lost ? " (lost)" : ""}${job.cancelled ? ", cancelled" : ""}`
    );
  }
  if (job.waits.length > 0 && job.status === "WAITING") {
    return `${job} is paused, for ${JSON.stringify(job.waits)}`;
  }
  if (job.status === "WAITING") return `${job} waits at its gate until ${job.deadline}`;
  return (
    `${job} could start${job.notBefore > 0 ? ` since ${job.notBefore}` : ""}, after ` +
    `${job.attempt} attempts`
  );
}

function list(names: readonly string[]): string {
  return names.length <= NAMED
    ? names.join(", ")
    : `${names.slice(0, NAMED).join(", ")} and ${names.length - NAMED} more`;
}

function decode(body: Uint8Array): Event | undefined {
  try {
    return Event.decode(body);
  } catch {
    return undefined;
  }
}

function nameOf(body: Uint8Array): string {
  const event = decode(body);
  return event === undefined ? "unreadable" : `${event.type} at ${event.at}`;
}
