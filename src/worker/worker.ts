/**
 * Lesson 11: a worker from its start to its end: assignments come in, reports go out, and a map
 * holds the running attempts.
 *
 * Invariants: an attempt is in `#attempts` from its dispatch until its report is on the master's
 * disk; under a registration that the master does not remember, no attempt of an older one runs on.
 * Test: test/11-worker.test.ts
 */
import { FreshMap } from "#base";
import type { ClusterEndpoints, ExecOutcome } from "#exec";
import type { Timer } from "#host";
import { RpcError } from "#rpc";
import { DEFAULT_PORTS } from "#services";
import {
  Dispatch, Finished, HealthReport, isBlank, jobToken, KNOWLEDGE, Kill, MAX_BATCH_ITEMS, Op, Output,
  PROTOCOL, type Assignment, type AttemptKey, type Service, type Welcome,
} from "#wire";
import { keyOf, nameOf, reportOf, type Attempt } from "./attempt.ts";
import { Beats } from "./beats.ts";
import { WorkerFiles } from "./files.ts";
import { MasterLink } from "./link.ts";
import { OutputPipe } from "./output.ts";
import { WorkerProjects } from "./projects.ts";
import { clusterEndpoints, misplacedStore } from "./endpoints.ts";
import { WorkerServices } from "./services.ts";
import { WorkerError, type Worker, type WorkerCounts, type WorkerOptions } from "./types.ts";

export function startWorker(options: WorkerOptions): Worker {
  return new WorkerProcess(options);
}

/** What an attempt needs from the master beside its assignment. */
type Needs = Pick<Assignment, "project" | "files">;

class WorkerProcess implements Worker {
  readonly ready: Promise<{ name: string }>;
  readonly done: Promise<void>;
  readonly #options: WorkerOptions;
  readonly #link: MasterLink;
  readonly #instance: string;
  readonly #attempts = new FreshMap<string, Attempt>();
  readonly #services: WorkerServices;
  readonly #projects: WorkerProjects;
  readonly #files: WorkerFiles;
  #reports: Attempt[] = [];
  #name = "";
  #cluster: ClusterEndpoints;
  /** By the last welcome: our number, and the key with which we make the credentials of jobs. */
  #registration: Pick<Welcome, "worker" | "jobKey"> = { worker: 0, jobKey: undefined };
  readonly #beats: Beats;
  #stopping = false;
  /** The last noted reason for having no master; empty since the last welcome. */
  #lost = "";
  #welcomed: (welcome: { name: string }) => void = () => undefined;

  constructor(options: WorkerOptions) {
    if (isBlank(options.token)) {
      throw new WorkerError("INVALID", "Cannot start a worker: the token is blank");
    }
    this.#options = options;
    this.#cluster = clusterEndpoints(options.master);
    this.#instance = Buffer.from(options.host.random.bytes(12)).toString("hex");
    this.#link = new MasterLink({
      host: options.host,
      master: options.master,
      hello: (dial) => this.#hello(dial),
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onNotify: (opcode, body) => this.#onNotify(opcode, body),
      onRequest: (request, connection) => this.#services.forwards.asked(request, connection),
      onLost: (error) => this.#onLost(error),
      onRefused: ({ message }) =>
        this.#note(`the master takes nothing, and is asked again until it does: ${message}`),
    });
    this.#services = new WorkerServices({
      host: options.host,
      ports: options.ports ?? DEFAULT_PORTS,
      portHolder: options.portHolder,
      name: () => this.#name,
      send: (report) => this.#link.request(Op.HEALTH, HealthReport.encode(report)),
    });
    const { host, cacheDir, executor } = options;
    this.#projects = new WorkerProjects({
      host, cacheDir, executor, link: this.#link, onNote: (text) => this.#note(text),
    });
    this.#beats = new Beats({
      host, executor, link: this.#link, cluster: () => this.#cluster.id,
      busy: () => new Set([...this.#attempts.values()].map(({ assignment }) => assignment.runId)),
    });
    this.#files = new WorkerFiles({
      host, cacheDir, insist: (work) => this.#link.insist(work),
    });
    this.done = this.#link.run().catch((error: unknown) => {
      throw error instanceof RpcError ? new WorkerError(error.code, error.message) : error;
    });
    this.ready = Promise.race([
      new Promise<{ name: string }>((resolve) => {
        this.#welcomed = resolve;
      }),
      this.done.then(() => {
        throw new WorkerError("CLOSED", "The worker was stopped before it had registered");
      }),
    ]);
    // A caller may ignore it; a rejection that nobody handles must not end the process.
    this.ready.catch(() => undefined);
  }

  get running(): number {
    return this.#attempts.size;
  }

  counts(): WorkerCounts {
    return {
      attempts: this.#attempts.size, reports: this.#reports.length, runs: this.#beats.runs.size,
      waiting: this.#link.waiting, ports: this.#services.ports,
      forwards: this.#services.forwards.size, watched: this.#services.watched,
    };
  }

  #note(text: string): void {
    this.#options.onNote?.(text);
  }

  // ── the connection ─────────────────────────────────────────────────────────────────────────────

  #hello(dial: number) {
    const { token, tags = [], slots, version = "", knows = KNOWLEDGE } = this.#options;
    const running = [...this.#attempts.values()].map(({ assignment }) => keyOf(assignment));
    return {
      protocol: PROTOCOL, role: "worker" as const, token, version, instance: this.#instance,
      name: this.#options.name ?? "", tags: [...tags], slots, running, dial,
      leaving: this.#stopping || undefined, knows: [...knows],
      advertise: this.#options.advertise, permanent: this.#options.permanent,
    };
  }

  #onWelcome(welcome: Welcome): void {
    this.#name = welcome.name;
    this.#services.forwards.registration = welcome.worker;
    this.#registration = { worker: welcome.worker, jobKey: welcome.jobKey };
    this.#lost = "";
    this.#cluster = clusterEndpoints(this.#options.master, welcome);
    // Runs that a killed worker has left here: the heartbeats ask about them as about our own.
    const left = welcome.cluster === undefined
      ? []
      : this.#options.executor.sharedRuns?.(welcome.cluster);
    for (const run of left ?? []) this.#beats.runs.add(run);
    for (const key of welcome.stale) this.#drop(key, "the master has given it to somebody else");
    this.#beats.start(welcome);
    this.#welcomed({ name: welcome.name });
    this.#services.welcomed();
    // it may have been asked to stop since its HELLO
    if (this.#stopping) this.#link.current()?.notify(Op.LEAVING, EMPTY);
    const kept = this.#attempts.size;
    const attempts = `${kept} ${kept === 1 ? "attempt" : "attempts"}`;
    const keeps = kept === 0 ? "" : `, with ${attempts} under way`;
    this.#note(`registered as ${welcome.name}${keeps}`);
    const misplaced = misplacedStore(this.#options.master, welcome.store);
    if (misplaced !== undefined) this.#note(misplaced);
  }

  #onLost(error: Error | undefined): void {
    this.#beats.stop();
    const why = `no connection to the master${error === undefined ? "" : `: ${error.message}`}`;
    // If the master is away or refuses us, this would fill the log with one line every other
    // second.
    if (!this.#stopping && why !== this.#lost) this.#note(why);
    this.#lost = why;
  }

  #onNotify(opcode: number, body: Buffer): void {
    if (opcode === Op.DISPATCH) {
      for (const assignment of Dispatch.decode(body).items) this.#start(assignment);
    } else if (opcode === Op.KILL) for (const key of Kill.decode(body).items) this.#cancel(key);
  }

  // ── attempts ───────────────────────────────────────────────────────────────────────────────────

  #start(assignment: Assignment): void {
    // We are stopping: the attempt never began here, and the goodbye gives it to other workers.
    if (this.#stopping) return;
    const attempt: Attempt = {
      assignment, name: nameOf(assignment), running: undefined, over: undefined, cancelled: false,
      report: undefined,
    };
    this.#attempts.set(attempt.name, attempt);
    // A call has no folder, so there is nothing to remove when its run is over.
    const isProgram = assignment.action.type !== "call";
    if (isProgram) this.#beats.runs.add(assignment.runId);
    const { project, files } = assignment;
    const isReady = !isProgram || this.#projects.isLinked;
    if (project === undefined && files === undefined && isReady) this.#begin(attempt, undefined);
    else void this.#fetchFirst(attempt, { project, files });
  }

  /** It comes from the master before the time of the attempt counts. */
  async #fetchFirst(attempt: Attempt, { project, files }: Needs): Promise<void> {
    try {
      if (!this.#projects.isLinked) await this.#projects.link();
      const folder = project === undefined ? undefined : await this.#projects.folder(project);
      if (files !== undefined) await this.#files.fetch(attempt, files);
      this.#begin(attempt, folder);
    } catch (error) {
      const { message } = error as Error;
      this.#finish(attempt, { status: "failed", kind: "internal", message, durationMs: 0 });
    }
  }

  #begin(attempt: Attempt, project: string | undefined): void {
    const { service } = attempt.assignment;
    if (service === undefined) this.#execute(attempt, { project });
    else void this.#beginService(attempt, { service, project });
  }

  /** A service needs a port first. That is no reason to keep others waiting. */
  async #beginService(
    attempt: Attempt, start: { service: Service; project: string | undefined },
  ): Promise<void> {
    const { runId, jobId } = attempt.assignment;
    const found = await this.#services.takePort(start.service, `${runId}/${jobId}`);
    if (!("port" in found)) return this.#finish(attempt, found.outcome);
    const { port } = found;
    this.#execute(attempt, { project: start.project, port });
    const { running } = attempt;
    if (running === undefined) return found.release(); // cancelled meanwhile, or we stop
    attempt.watch = this.#services.watch(keyOf(attempt.assignment), start.service, {
      running, port,
    });
    await running.done.catch(() => undefined);
    found.release();
  }

  // #region execute
  #execute(attempt: Attempt, start: { project: string | undefined; port?: number }): void {
    const { assignment } = attempt;
    const { project, port } = start;
    if (this.#stopping) return;
    if (attempt.cancelled) {
      return this.#finish(attempt, {
        status: "failed",
        kind: "cancelled",
        message: "Cancelled before it started",
        durationMs: 0,
      });
    }
    let pipe: OutputPipe | undefined; // most calls print nothing
    const { runId: run, jobId: job, env, timeoutMs, inputs } = assignment;
    const request = {
      run,
      job,
      attempt: assignment.attempt,
      worker: this.#name,
      action: assignment.action,
      env,
      timeoutMs,
      inputs,
      cluster: this.#cluster,
      ...(assignment.service && { graceMs: assignment.service.stopGraceMs }),
      ...this.#credential(assignment),
      ...(project !== undefined && { project }),
      ...(port !== undefined && { port }),
      ...(assignment.files && this.#files.hooks(attempt, assignment.files)),
    };
    attempt.running = this.#options.executor.start(
      request,
      (stream, bytes) => {
        (pipe ??= this.#outputPipe(attempt)).push(stream, bytes);
      },
    );
    attempt.over = attempt.running.done.then(
      (outcome) => {
        const end = (): void => this.#finish(attempt, outcome);
        // The report closes the attempt's output at the master, so the output must be there first.
        return pipe === undefined ? end() : pipe.drained().then(end, end);
      },
      (error: Error) =>
        this.#finish(attempt, {
          status: "failed",
          kind: "internal",
          message: error.message,
          durationMs: 0,
        }),
    );
  }
  // #endregion

  /** A call shares its process with others, and gets none. An older master sends no key. */
  #credential({ run, job, attempt, action }: Assignment): { token?: string } {
    const { worker, jobKey } = this.#registration;
    if (action.type === "call" || jobKey === undefined) return {};
    return { token: jobToken(jobKey, { run, job, attempt, worker }) };
  }

  #outputPipe(attempt: Attempt): OutputPipe {
    const key = keyOf(attempt.assignment);
    return new OutputPipe(this.#options.host, {
      send: async (chunks) => {
        await this.#link.request(Op.OUTPUT, Output.encode({ ...key, chunks }));
      },
      pause: () => attempt.running?.pauseOutput(),
      resume: () => attempt.running?.resumeOutput(),
    });
  }

  #cancel(key: AttemptKey): void {
    const attempt = this.#attempts.get(nameOf(key));
    if (attempt === undefined) return;
    attempt.cancelled = true;
    attempt.running?.cancel("cancelled");
  }

  /**
   * The master has given this attempt to another worker: its process ends, and no report is sent.
   */
  #drop(key: AttemptKey, why: string): void {
    const attempt = this.#attempts.get(nameOf(key));
    if (attempt === undefined) return;
    this.#note(
      `drops ${attempt.assignment.runId}/${attempt.assignment.jobId} attempt ${key.attempt}: ` +
        `${why}`,
    );
    this.#attempts.delete(nameOf(key));
    attempt.cancelled = true;
    attempt.running?.cancel(why);
  }

  #finish(attempt: Attempt, outcome: ExecOutcome): void {
    if (this.#attempts.get(attempt.name) !== attempt) return; // dropped meanwhile
    // The attempt ended because this worker stops. That is no failure of the job: the goodbye
    // reports it as lost.
    if (
      this.#stopping &&
      !attempt.cancelled &&
      outcome.status === "failed" &&
      outcome.kind === "cancelled"
    ) {
      return;
    }
    const known = attempt.watch?.outcomeOf(outcome) ?? outcome;
    attempt.report = reportOf(attempt.assignment, known);
    // All attempts that finish in this turn share a message, and an fsync at the master.
    if (this.#reports.push(attempt) > 1) return;
    this.#options.host.timers.soon(() => {
      for (
        let batch = this.#reports.splice(0, MAX_BATCH_ITEMS);
        batch.length > 0;
        batch = this.#reports.splice(0, MAX_BATCH_ITEMS)
      ) {
        void this.#report(batch);
      }
    });
  }

  async #report(batch: Attempt[]): Promise<void> {
    try {
      await this.#link.request(
        Op.FINISHED,
        Finished.encode({ items: batch.map((attempt) => attempt.report!) }),
      );
      for (const { name } of batch) this.#attempts.delete(name);
    } catch (error) {
      if (this.#stopping) return;
      // The refusal may be about one report only, so each is sent again by itself.
      if (batch.length > 1) for (const one of batch) void this.#report([one]);
      else this.#giveUp(batch[0]!, error as Error);
    }
  }

  /**
   * The master will never take this report, and would wait for it for ever. So we register again
   * without the attempt, which tells the master that it is lost.
   */
  #giveUp({ assignment }: Attempt, why: Error): void {
    const { runId, jobId, attempt } = assignment;
    const name = `${runId}/${jobId} attempt ${attempt}`;
    this.#note(`gives up ${name}, which the master takes no report of: ${why.message}`);
    this.#attempts.delete(nameOf(assignment));
    this.#link.current()?.destroy();
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { timers } = this.#options.host;
    this.#link.current()?.notify(Op.LEAVING, EMPTY);
    const attempts = [...this.#attempts.values()];
    for (const { running } of attempts) running?.cancel("the worker is stopping");
    await Promise.all(attempts.map(({ running }) => running?.done.catch(() => undefined)));
    // Reports of attempts that have finished by themselves still count, if the master can be
    // reached.
    const heard = Promise.all(attempts.map(({ over }) => over));
    let patience: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      patience = timers.after(LAST_WORDS_MS, resolve);
    });
    await Promise.race([heard, late]);
    patience?.cancel();
    // After the turn that sends the reports: GOODBYE gives every attempt without a report to other
    // workers.
    await new Promise<void>((resolve) => timers.soon(resolve));
    await this.#beats.last(LAST_WORDS_MS);
    this.#link.current()?.notify(Op.GOODBYE, EMPTY);
    this.#link.stop();
    await this.#options.executor.close();
    await this.#files.close();
    await this.done.catch(() => undefined);
    // Their processes have ended, and the goodbye has given them to other workers.
    this.#attempts.clear();
    this.#beats.runs.clear();
  }
}

const EMPTY = Buffer.alloc(0);
/**
 * Time for output and reports of jobs that ended while the worker stops. Together with a job's
 * grace it is shorter than the wait of `titan worker`.
 */
const LAST_WORDS_MS = 1000;
