/**
 * Lesson 11: one attempt, from request to outcome.
 *
 *     start ──▶ folder ──▶ program ──▶ output … ──▶ exit ──▶ result ──▶ folder removed ──▶ done
 *                             │
 *        timeout, cancel ─────┴──▶ SIGTERM ── grace ──▶ SIGKILL
 *
 * Invariants: `done` settles once, never rejects, and not before the process group is gone and its folder
 * removed; after `close` nothing is left of any attempt.
 * Left out: limits on memory and CPU; they belong to the system (cgroups, containers).
 * Test: test/11-worker.exec.test.ts
 */
import { join, resolve } from "node:path";
import { nodeWorkFolders, type Child, type Exit, type Host, type Timer, type WorkFolders } from "#host";
import { CallPool } from "./call-pool.ts";
import { linkPackage } from "./package-link.ts";
import {
  commandOf,
  inputsJson,
  jobPaths,
  safeName,
  scriptFile,
  titanEnv,
  type JobPaths,
} from "./process-job.ts";
import { holdProject } from "./project-cache.ts";
import { durationText, GRACE_MS, MAX_RESULT_BYTES, tooLarge, type ExecOutcome, type ExecRequest, type FailureKind, type OnOutput, type Running } from "./types.ts";

/** What of the worker's own environment its jobs may see. Everything else would be a leak. */
const INHERITED = ["PATH", "HOME", "LANG", "TMPDIR", "USER"] as const;

/** What a worker needs of an executor, real or simulated. */
export interface Executor {
  /** Starts an attempt. `onOutput` is never called before this has returned. */
  start(request: ExecRequest, onOutput: OnOutput): Running;
  /** Kills everything, removes all work folders. */
  close(): Promise<void>;
}

export interface LocalExecutor extends Executor {
  /** The run is over: removes its shared folder. */
  endRun(run: string): Promise<void>;
  /** Lets the projects that are kept in this folder import "titan/store". Throws when the link cannot be made. */
  linkPackage(cacheDir: string): Promise<void>;
}

export interface ExecutorOptions {
  readonly host: Host;
  /** This executor owns it: it is removed at the end. */
  readonly workDir: string;
  /** Threads for `call` jobs. Default 8. */
  readonly callThreads?: number;
  /** What every job's environment begins with. Default: PATH HOME LANG TMPDIR USER of this process. */
  readonly baseEnv?: Readonly<Record<string, string>>;
  /** Default: the real ones. */
  readonly folders?: WorkFolders;
}

/** Everything the attempts of one executor share. */
interface Shared {
  readonly host: Host;
  readonly workDir: string;
  readonly folders: WorkFolders;
  readonly baseEnv: Readonly<Record<string, string>>;
}

/**
 * Makes an executor: the part of a worker that runs things and knows nothing of masters.
 *
 * @example
 * ```ts
 * import { createExecutor } from "#exec";
 * import { nodeHost } from "#host";
 * const executor = createExecutor({ host: nodeHost(), workDir: "/tmp/titan-example" });
 * const request = { run: "r-1", job: "hello", attempt: 1, worker: "w-1", env: {}, timeoutMs: 5000, inputs: [] };
 * const action = { kind: "shell", script: "printf 42 > $TITAN_OUTPUT" } as const;
 * const { status, result } = await executor.start({ ...request, action }, () => {}).done;
 * await executor.close();
 * status // => 'ok'
 * String(result) // => '42'
 * ```
 */
export function createExecutor(options: ExecutorOptions): LocalExecutor {
  const workDir = resolve(options.workDir);
  const shared: Shared = {
    host: options.host,
    workDir,
    folders: options.folders ?? nodeWorkFolders(workDir),
    baseEnv: options.baseEnv ?? inherited(),
  };
  const calls = new CallPool({ host: options.host, threads: options.callThreads ?? 8 });
  const running = new Set<Running>();
  let closed = false;

  return {
    start(request, onOutput) {
      const attempt: Running = closed
        ? over(failure("internal", "the worker is shutting down"))
        : request.action.kind === "call"
          ? calls.start({ request, action: request.action, baseEnv: shared.baseEnv }, onOutput)
          : new ProcessAttempt(shared, { request, onOutput });
      running.add(attempt);
      const release = request.project === undefined ? undefined : holdProject(request.project);
      void attempt.done.then(() => {
        running.delete(attempt);
        release?.();
      });
      return attempt;
    },
    endRun: (run) => shared.folders.remove(join(shared.workDir, safeName(run))),
    linkPackage: async (cacheDir) => {
      // Whose folders are simulated has no real one to put a link into.
      if (options.folders !== undefined) return;
      // Node looks beside what it runs and above: programs are below the one, modules of calls below the other.
      for (const folder of [workDir, cacheDir]) await linkPackage(options.host, { cacheDir: folder });
    },
    async close() {
      closed = true;
      const open = [...running];
      for (const attempt of open) {
        if (attempt instanceof ProcessAttempt) attempt.kill("the worker is shutting down");
        else attempt.cancel("the worker is shutting down");
      }
      await Promise.all(open.map((attempt) => attempt.done));
      await calls.close();
      await shared.folders.remove(shared.workDir);
    },
  };
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
}

function failure(kind: FailureKind, message: string): Failure {
  return { kind, message };
}

/** An attempt that ended before it began. */
function over(why: Failure): Running {
  return { cancel() {}, pauseOutput() {}, resumeOutput() {}, done: Promise.resolve({ status: "failed", ...why, durationMs: 0 }) };
}

/** A job in a process of its own. */
class ProcessAttempt implements Running {
  readonly done: Promise<ExecOutcome>;
  private settle!: (outcome: ExecOutcome) => void;
  private child: Child | undefined;
  private timeout: Timer | undefined;
  private grace: Timer | undefined;
  /** Why it is being ended; the first reason stands. */
  private ending: Failure | undefined;
  private insisted = false;
  private paused = false;
  private over = false;
  private readonly begun: number;
  private readonly paths: JobPaths;
  private readonly shared: Shared;
  private readonly request: ExecRequest;
  private readonly onOutput: OnOutput;

  constructor(shared: Shared, job: { request: ExecRequest; onOutput: OnOutput }) {
    this.shared = shared;
    this.request = job.request;
    this.onOutput = job.onOutput;
    this.begun = shared.host.clock.monotonic();
    this.paths = jobPaths(shared.workDir, job.request);
    this.done = new Promise((resolve) => (this.settle = resolve));
    const problem = this.launch();
    if (problem) this.finish(problem);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  cancel(reason?: string): void {
    this.end(failure("cancelled", reason === undefined ? "cancelled" : `cancelled: ${reason}`));
  }

  /** `cancel` without the grace. */
  kill(reason: string): void {
    this.cancel(reason);
    this.child?.signal("SIGKILL");
  }

  pauseOutput(): void {
    this.paused = true;
    if (this.ending === undefined) this.child?.pause();
  }

  resumeOutput(): void {
    this.paused = false;
    this.child?.resume();
  }

  private launch(): Failure | undefined {
    const { shared, request, paths } = this;
    const command = commandOf(request.action, process);
    if ("unsupported" in command) return failure("unsupported", command.unsupported);
    try {
      const project = request.project === undefined ? {} : { project: request.project };
      shared.folders.make(paths.folder, { ...project, beside: [paths.shared] });
      if (request.inputs.length > 0) shared.folders.write(paths.inputs, inputsJson(request.inputs));
      const script = scriptFile(request.action);
      if (script) shared.folders.write(join(paths.folder, script.name), script.text);
    } catch (error) {
      return failure("internal", `Cannot make the work folder: ${(error as Error).message}`);
    }
    const missing = this.missingFile();
    if (missing) return missing;
    this.child = shared.host.processes.spawn({
      argv: command,
      cwd: paths.folder,
      env: { ...shared.baseEnv, ...request.env, ...titanEnv(request, paths) },
      onOutput: (stream, bytes) => {
        // A reader that stopped reading cannot hold up the end: then the tail of the output is dropped.
        if (!(this.paused && this.ending)) this.onOutput(stream, bytes);
      },
      onExit: (exit) => this.exited(exit),
    });
    if (request.timeoutMs > 0) {
      const message = `ran longer than its timeout of ${durationText(request.timeoutMs)}`;
      this.timeout = shared.host.timers.after(request.timeoutMs, () => this.end(failure("timeout", message)));
    }
    return undefined;
  }

  /** An interpreter would say that a file is missing in its own words, and fail like any program. Of a folder `sh` says nothing: exit code 0. */
  private missingFile(): Failure | undefined {
    const { action, project } = this.request;
    if (action.kind !== "file") return undefined;
    const path = action.file.startsWith("/") ? action.file : join(this.paths.folder, action.file);
    if (this.shared.folders.isFile(path)) return undefined;
    const where = project === undefined ? "no such file, and no project was sent" : "no such file in the project";
    return failure("not-found", `Cannot run ${action.file}: ${where}`);
  }

  // #region end
  /** TERM, the grace, KILL. */
  private end(why: Failure): void {
    // #exercise end
    if (this.over || this.ending) return;
    this.ending = why;
    this.child?.signal("SIGTERM");
    // Even if nobody reads: a program that blocks on a full pipe would not get to its handler's end.
    this.child?.resume();
    this.grace = this.shared.host.timers.after(this.request.graceMs ?? GRACE_MS, () => this.insist());
    // #end-exercise
  }

  private insist(): void {
    if (this.over) return;
    this.insisted = true;
    this.child?.signal("SIGKILL");
  }
  // #endregion

  private notStarted({ code, message }: NonNullable<Exit["error"]>): Failure {
    const { action, project } = this.request;
    const path = action.kind === "command" ? (action.argv[0] ?? "") : "";
    // A path inside the project that nobody shipped, and not a program of the system.
    const ours = kindOf(code) === "not-found" && project === undefined && /^[^/].*\//.test(path);
    return failure(kindOf(code), ours ? `${message}, and no project was sent` : message);
  }

  private exited(exit: Exit): void {
    if (this.ending) {
      const how = this.insisted ? " (it did not end on SIGTERM and was killed)" : "";
      const code = exit.code === null ? {} : { exitCode: exit.code };
      const signal = exit.signal === null ? {} : { signal: exit.signal };
      return this.finish({ ...this.ending, message: this.ending.message + how, ...code, ...signal });
    }
    if (exit.error) return this.finish(this.notStarted(exit.error));
    if (exit.signal !== null) return this.finish({ ...failure("signal", `ended by ${exit.signal}`), signal: exit.signal });
    const exitCode = exit.code ?? 0;
    if (exitCode !== 0) return this.finish({ ...failure("exit", `exited with code ${exitCode}`), exitCode });
    this.finish(undefined);
  }

  /** Takes the result, removes the folder, reports. */
  private finish(problem: Failure | undefined): void {
    this.over = true;
    this.timeout?.cancel();
    this.grace?.cancel();
    const { folders, host } = this.shared;
    const durationMs = host.clock.monotonic() - this.begun;
    let outcome: ExecOutcome = problem ? { status: "failed", ...problem, durationMs } : { status: "ok", exitCode: 0, durationMs };
    if (!problem) outcome = this.withResult(outcome);
    if (folders.removeLight(this.paths.folder)) return this.settle(outcome);
    const settle = () => this.settle(outcome);
    folders.remove(this.paths.folder).then(settle, settle);
  }

  private withResult(outcome: ExecOutcome): ExecOutcome {
    try {
      const result = this.shared.folders.read(this.paths.output, MAX_RESULT_BYTES);
      if (result === undefined) return outcome;
      if (typeof result !== "number") return { ...outcome, result };
      return { ...outcome, status: "failed", ...failure("bad-input", tooLarge(result)) };
    } catch (error) {
      return { ...outcome, status: "failed", ...failure("bad-input", `Cannot read the result: ${(error as Error).message}`) };
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
