/**
 * Lesson 11: one attempt, from request to outcome.
 *
 *     start ──▶ folder ──▶ program ──▶ output … ──▶ exit ──▶ result ──▶ folder removed ──▶ done
 *                  │          │
 *        timeout, cancel ─────┴──▶ SIGTERM ── grace ──▶ SIGKILL
 *
 * The folder holds a copy of the project. A large one is copied beside the event loop, and may be
 * ended like a program.
 *
 * Invariants: `done` settles once, never rejects, and not before the process group is gone and its
 * folder removed; no program starts after a cancellation. A folder that cannot be removed fails no
 * attempt: it is noted, and its removal is tried again at the end.
 * Left out: limits on memory and CPU; they belong to the system (cgroups, containers).
 * Test: test/11-worker.exec.test.ts
 */
import { join } from "node:path";
import { makeShared, type Child, type Exit, type Timer } from "#host";
import { projectTree } from "#project";
import type { FailureKind } from "#wire";
import { runCheck } from "./check.ts";
import {
  commandOf, inputsJson, jobPaths, scriptFile, titanEnv, type JobPaths,
} from "./process-job.ts";
import { withPython } from "./python-path.ts";
import type { Shared } from "./shared.ts";
import {
  durationText, KILL_GRACE_MS, MAX_RESULT_BYTES, tooLarge, type ExecOutcome, type ExecRequest,
  type OnOutput, type Running,
} from "./types.ts";

export interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
}

export function failure(kind: FailureKind, message: string): Failure {
  return { kind, message };
}

/** A job in a process of its own. */
export class ProcessAttempt implements Running {
  readonly done: Promise<ExecOutcome>;
  #settle!: (outcome: ExecOutcome) => void;
  #child: Child | undefined;
  #timeout: Timer | undefined;
  #grace: Timer | undefined;
  /** The reason why it is being ended; the first reason stays. */
  #ending: Failure | undefined;
  #insisted = false;
  #paused = false;
  #over = false;
  readonly #begun: number;
  readonly #paths: JobPaths;
  readonly #shared: Shared;
  readonly #request: ExecRequest;
  readonly #onOutput: OnOutput;

  constructor(shared: Shared, job: { request: ExecRequest; onOutput: OnOutput }) {
    this.#shared = shared;
    this.#request = job.request;
    this.#onOutput = job.onOutput;
    this.#begun = shared.host.clock.monotonic();
    this.#paths = jobPaths(shared.workDir, job.request, shared.sharedRoot);
    this.done = new Promise((resolve) => (this.#settle = resolve));
    this.#launch();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  cancel(reason?: string): void {
    this.#end(failure("cancelled", reason === undefined ? "cancelled" : `cancelled: ${reason}`));
  }

  /** Like `cancel`, without the grace. */
  kill(reason: string): void {
    this.cancel(reason);
    this.#child?.signal("SIGKILL");
  }

  check(argv: readonly string[], timeoutMs: number): Promise<string | undefined> {
    const { env, ...room } = this.#room();
    return runCheck({ host: this.#shared.host, argv, timeoutMs, env, ...room, ended: this.done });
  }

  /** Where its programs run, and with which variables. */
  #room(): { cwd: string; env: Record<string, string> } {
    const [shared, request, paths] = [this.#shared, this.#request, this.#paths];
    const env = { ...shared.baseEnv, ...request.env, ...titanEnv(request, paths) };
    return { cwd: paths.folder, env: withPython(env, shared.python()) };
  }

  pauseOutput(): void {
    this.#paused = true;
    if (this.#ending === undefined) this.#child?.pause();
  }

  resumeOutput(): void {
    this.#paused = false;
    this.#child?.resume();
  }

  #launch(): void {
    const [shared, request] = [this.#shared, this.#request];
    const command = commandOf(request.action, process);
    if ("unsupported" in command) return this.#finish(failure("unsupported", command.unsupported));
    if (request.timeoutMs > 0) {
      const message = `ran longer than its timeout of ${durationText(request.timeoutMs)}`;
      this.#timeout = shared.host.timers.after(request.timeoutMs, () => {
        this.#end(failure("timeout", message));
      });
    }
    const failed = (error: unknown): void => {
      this.#finish(
        this.#ending
          ?? failure("internal", `Cannot make the work folder: ${(error as Error).message}`),
      );
    };
    try {
      const making = this.#makeFolder();
      const ready = request.prepare === undefined ? making : this.#prepare(making);
      if (ready === undefined) this.#run(command);
      else ready.then(() => this.#run(command)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  // #region makeFolder
  /**
   * Makes the folder, and a copy of the project in it. Returns a promise if the copy takes a while;
   * until it resolves the attempt can be ended.
   */
  #makeFolder(): Promise<void> | undefined {
    const { folders, workDir } = this.#shared;
    const [request, paths] = [this.#request, this.#paths];
    const isOurs = paths.shared.startsWith(`${workDir}/`);
    if (!isOurs) makeShared(paths.shared);
    const beside = isOurs ? [paths.shared] : [];
    if (request.project === undefined) return void folders.make(paths.folder, { beside });
    const project = projectTree(request.project);
    return folders.make(paths.folder, { project, beside, signal: this.#stoppable() }) ?? undefined;
  }

  /**
   * The child of the moment stands for work of ours: a signal to it, as for any end of an attempt,
   * stops that.
   */
  #stoppable(): AbortSignal {
    const stop = new AbortController();
    this.#child = { pid: undefined, signal: () => stop.abort(), pause() {}, resume() {} };
    return stop.signal;
  }
  // #endregion

  /** Lays out in its folder what it is given. */
  async #prepare(making: Promise<void> | undefined): Promise<void> {
    await making;
    if (this.#ending === undefined) {
      await this.#request.prepare!(this.#paths.folder, this.#stoppable());
    }
  }

  /** Its program has succeeded: what it hands on is taken, for which it has its time as well. */
  async #collect(): Promise<void> {
    const taking = this.#request.collect!(this.#paths.folder, this.#stoppable());
    const trouble = await taking.catch((error: Error) => failure("internal", error.message));
    this.#finish(this.#ending ?? trouble);
  }

  /** Starts the program in the folder that has been made. */
  #run(command: readonly string[]): void {
    const [shared, request, paths] = [this.#shared, this.#request, this.#paths];
    if (this.#ending) return this.#finish(this.#ending);
    if (request.inputs.length > 0) shared.folders.write(paths.inputs, inputsJson(request.inputs));
    const script = scriptFile(request.action);
    if (script) shared.folders.write(join(paths.folder, script.name), script.text);
    const missing = this.#missingFile();
    if (missing) return this.#finish(missing);
    this.#child = shared.host.processes.spawn({
      argv: command,
      ...this.#room(),
      // People want to know the pid of a service, and its start may take a millisecond more.
      asLeader: request.port !== undefined,
      onOutput: (stream, bytes) => {
        // A reader that has stopped must not hold up the end: the rest of the output is dropped.
        if (!(this.#paused && this.#ending)) this.#onOutput(stream, bytes);
      },
      onExit: (exit) => this.#exited(exit),
    });
    if (this.#paused) this.#child.pause();
  }

  /**
   * A missing file is found here, because an interpreter would report it in its own words and fail
   * like any program. If the file is a folder, `sh` says nothing and exits with 0.
   */
  #missingFile(): Failure | undefined {
    const { action, project } = this.#request;
    if (action.type !== "file") return undefined;
    const path = action.file.startsWith("/") ? action.file : join(this.#paths.folder, action.file);
    if (this.#shared.folders.isFile(path)) return undefined;
    const where =
      project === undefined
        ? "no such file, and no project was sent"
        : "no such file in the project";
    return failure("not-found", `Cannot run ${action.file}: ${where}`);
  }

  // #region end
  /** TERM, the grace, KILL. */
  #end(why: Failure): void {
    // #exercise end
    if (this.#over || this.#ending) return;
    this.#ending = why;
    this.#child?.signal("SIGTERM");
    // Even if nobody reads: a program that blocks on a full pipe could not finish its signal
    // handler.
    this.#child?.resume();
    this.#grace = this.#shared.host.timers.after(this.#request.graceMs ?? KILL_GRACE_MS, () =>
      this.#insist(),
    );
    // #end-exercise
  }

  #insist(): void {
    if (this.#over) return;
    this.#insisted = true;
    this.#child?.signal("SIGKILL");
  }
  // #endregion

  #notStarted({ code, message }: NonNullable<Exit["error"]>): Failure {
    const { action, project } = this.#request;
    const path = action.type === "command" ? (action.argv[0] ?? "") : "";
    // True for a path inside a project that was not sent, and not for a program of the system.
    const ours = kindOf(code) === "not-found" && project === undefined && /^[^/].*\//.test(path);
    return failure(kindOf(code), ours ? `${message}, and no project was sent` : message);
  }

  #exited(exit: Exit): void {
    const problem = this.#problemOf(exit);
    if (problem !== undefined || this.#request.collect === undefined) this.#finish(problem);
    else void this.#collect();
  }

  #problemOf(exit: Exit): Failure | undefined {
    if (this.#ending) {
      const how = this.#insisted ? " (it did not end on SIGTERM and was killed)" : "";
      const code = exit.code === null ? {} : { exitCode: exit.code };
      const signal = exit.signal === null ? {} : { signal: exit.signal };
      return { ...this.#ending, message: this.#ending.message + how, ...code, ...signal };
    }
    if (exit.error) return this.#notStarted(exit.error);
    if (exit.signal !== null) {
      return { ...failure("signal", `ended by ${exit.signal}`), signal: exit.signal };
    }
    const exitCode = exit.code as number;
    if (exitCode === 0) return undefined;
    return { ...failure("exit", `exited with code ${exitCode}`), exitCode };
  }

  /** Takes the result, removes the folder, reports. */
  #finish(problem: Failure | undefined): void {
    this.#over = true;
    this.#timeout?.cancel();
    this.#grace?.cancel();
    const { folders, host } = this.#shared;
    const durationMs = host.clock.monotonic() - this.#begun;
    let outcome: ExecOutcome = problem
      ? { status: "failed", ...problem, durationMs }
      : { status: "ok", exitCode: 0, durationMs };
    if (!problem) outcome = this.#withResult(outcome);
    if (folders.removeLight(this.#paths.folder)) this.#settle(outcome);
    else void this.#shared.remove(this.#paths.folder).then(() => this.#settle(outcome));
  }

  #withResult(outcome: ExecOutcome): ExecOutcome {
    try {
      const result = this.#shared.folders.read(this.#paths.output, MAX_RESULT_BYTES);
      if (result === undefined) return outcome;
      if (typeof result !== "number") return { ...outcome, result };
      return { ...outcome, status: "failed", ...failure("bad-input", tooLarge(result)) };
    } catch (error) {
      return {
        ...outcome,
        status: "failed",
        ...failure("bad-input", `Cannot read the result: ${(error as Error).message}`),
      };
    }
  }
}

function kindOf(code: string | undefined): FailureKind {
  switch (code) {
    case "ENOENT":
      return "not-found";
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return "not-executable";
    case "E2BIG":
    case "EINVAL":
      return "bad-input";
    default:
      return "internal";
  }
}
