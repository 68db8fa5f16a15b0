/**
 * Lesson 11: `Processes` on a real machine.
 *
 * Two ways to start a program. The fast one writes a line to a warm launcher (launcher.ts); the
 * plain one forks Node. Both give the job its own process group, exactly the environment it was
 * given and /dev/null as its input, and both end the same way: one `onExit`, after the last byte,
 * with nothing left running.
 *
 *     spawn ──▶ does the program exist? ──no──▶ onExit(error)
 *                    │ yes
 *                    ├── ordinary ──▶ launcher pool ──┐
 *                    └── odd ───────▶ fork of Node ───┴──▶ onOutput* onExit
 *
 * Invariants: `spawn` never throws and never calls back before it has returned.
 * Left out: the program's own pid, unless it is asked for (`asLeader`). `Child.pid` is the group's
 * leader, which is what signals need.
 * Test: test/11-worker.processes.test.ts
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readSync,
  statSync,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { resolve } from "node:path";
import type { Ending } from "./launcher.ts";
import { OutputChild } from "./child.ts";
import { jobEnded, jobStarted, runPooled } from "./pool.ts";
import { reap, release } from "./reaper.ts";
import { attemptName } from "./sweep.ts";
import {
  nodeHost,
  type Child,
  type Exit,
  type WorkerHost,
  type Processes,
  type SpawnOptions,
} from "#host";

/** Where a program is looked for when the environment has no PATH: what execvp(3) does. */
const DEFAULT_PATH = "/usr/bin:/bin";
/** Longer jobs take the plain way: a shell reads a line byte by byte on some systems. */
const MAX_LINE_BYTES = 64 * 1024;
/** Variables a shell would refuse, or change, or obey. */
const SHELL_VARIABLE = new RegExp(
  "^(_|PWD|OLDPWD|IFS|ENV|PPID|E?[UG]ID|LINENO|OPTIND|OPTARG|OPTERR|RANDOM|SECONDS|SHLVL|" +
    "SHELLOPTS|DIRSTACK|FUNCNAME|GROUPS|HISTCMD|POSIXLY_CORRECT|BASH.*|PS[0-9]|USERNAME)$",
);
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

type StartError = Error & { code?: string };

/** The machine this process runs on, with the programs that it can start. */
export function nodeWorkerHost(): WorkerHost {
  return { ...nodeHost(), processes: nodeProcesses() };
}

/** The real `Processes`. All of them in one process share one pool of launchers. */
export function nodeProcesses(): Processes {
  return { spawn };
}

function spawn(options: SpawnOptions): Child {
  const cwd = resolve(options.cwd);
  const found = findProgram(options, cwd);
  if (typeof found !== "string") return failedChild(options, found);
  return launchable(options)
    ? spawnPooled(options, { program: found, cwd })
    : spawnPlain(options, { program: found, cwd });
}

/** A child that could not be started. */
function failedChild(options: SpawnOptions, error: StartError): Child {
  setImmediate(() => options.onExit({ code: null, signal: null, error }));
  return { pid: undefined, signal() {}, pause() {}, resume() {} };
}

interface Start {
  readonly program: string;
  readonly cwd: string;
}

function spawnPooled(options: SpawnOptions, start: Start): Child {
  const args = options.argv.slice(1);
  const running = runPooled((launcher) => launcher.line({ ...start, args, env: options.env }), {
    env: options.env,
    onOutput: options.onOutput,
    onEnd: (ending) => options.onExit(exitOf(ending, { options, start })),
  });
  return running;
}

function exitOf(ending: Ending, job: { options: SpawnOptions; start: Start }): Exit {
  const { status } = ending;
  if (ending.error) {
    return { code: null, signal: null, error: cannotStart(job.options, ending.error) };
  }
  if (status === null) return { code: null, signal: ending.signal };
  // bash runs no trap when exec fails: then the status is the only hint, and the file decides.
  if (ending.refused || status === 126 || status === 127) {
    const error = refusal(job.options, { ...job.start, sure: ending.refused === true });
    if (error) return { code: null, signal: null, error };
  }
  const signal = signalName(status - 128);
  return signal === undefined ? { code: status, signal: null } : { code: null, signal };
}

function signalName(number: number): string | undefined {
  return Object.entries(osConstants.signals).find(([, value]) => value === number)?.[0];
}

/** The plain way: a fork of this process. About 1 ms of it, but any environment and any length. */
function spawnPlain(options: SpawnOptions, start: Start): Child {
  const attempt = attemptName(options.env);
  let child: OutputChild;
  try {
    child = new OutputChild(
      {
        file: start.program,
        args: options.argv.slice(1),
        env: { ...options.env },
        cwd: start.cwd,
        stdin: "ignore",
      },
      {
        onOutput: options.onOutput,
        onExit: (code, signal, cause) => {
          if (pid !== undefined) release(pid);
          jobEnded(attempt);
          if (!cause) return options.onExit({ code, signal });
          const error = refusal(options, { ...start, sure: false }) ?? cannotStart(options, cause);
          options.onExit({ code: null, signal: null, error });
        },
      },
    );
  } catch (error) {
    return failedChild(options, cannotStart(options, error as Error)); // E2BIG, EMFILE
  }
  const { pid } = child.process;
  if (pid !== undefined) reap(pid);
  jobStarted(options.env, attempt);
  return {
    pid,
    signal: (name) => void (child.hasExited || child.kill(name)),
    pause: () => child.pause(),
    resume: () => child.resume(),
  };
}

function launchable({ argv, env, asLeader }: SpawnOptions): boolean {
  // A launcher leads the group of what it starts.
  if (asLeader === true) return false;
  if (!existsSync("/bin/sh")) return false;
  let length = 0;
  for (const arg of argv) length += arg.length;
  for (const name in env) {
    if (!IDENTIFIER.test(name) || SHELL_VARIABLE.test(name)) return false;
    length += name.length + (env[name] as string).length;
  }
  // A character takes up to three bytes, a quote four.
  return length * 4 < MAX_LINE_BYTES;
}

// #region find
/**
 * The file that will run, or the reason why none can. Not cached: looking through a PATH of eight
 * folders costs 20 µs.
 */
function findProgram(options: SpawnOptions, cwd: string): string | StartError {
  const name = options.argv[0] ?? "";
  if (name === "") return startError(name, { code: "ENOENT", why: "no program is named" });
  for (const text of [...options.argv, ...Object.entries(options.env).flat(), cwd]) {
    if (text.includes("\0")) {
      return startError(name, {
        code: "EINVAL",
        why: "an argument or variable contains a NUL byte",
      });
    }
  }
  const slash = name.includes("/");
  const places = slash ? [""] : (options.env["PATH"] ?? DEFAULT_PATH).split(":");
  let seen: StartError | undefined;
  for (const place of places) {
    const path = slash ? resolve(cwd, name) : resolve(cwd, place, name);
    const problem = notRunnable(name, path);
    if (problem === undefined) return path;
    // As execvp does: "permission denied" in one folder is worth telling if no later folder has the
    // program.
    if (problem.code !== "ENOENT") seen ??= problem;
  }
  return (
    seen ?? missingFolder(name, cwd) ?? startError(name, { code: "ENOENT", why: "no such file" })
  );
}
// #endregion

function notRunnable(name: string, path: string): StartError | undefined {
  try {
    const info = statSync(path, { throwIfNoEntry: false });
    if (info === undefined) return startError(name, { code: "ENOENT", why: "no such file" });
    if (info.isDirectory()) return startError(name, { code: "EACCES", why: "it is a folder" });
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as { code: string };
    if (code === "ENOTDIR") return startError(name, { code: "ENOENT", why: "no such file" });
    const why = code === "EACCES" ? "it is not executable" : `the system says ${code}`;
    return startError(name, { code, why });
  }
}

function missingFolder(name: string, cwd: string): StartError | undefined {
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  return startError(name, {
    code: "ENOENT",
    why: `no such folder ${JSON.stringify(cwd)} to run it in`,
  });
}

/** The reason why a program that exists did not run; undefined if nothing shows that it did not. */
function refusal(options: SpawnOptions, at: Start & { sure: boolean }): StartError | undefined {
  const name = options.argv[0] as string;
  const folder = missingFolder(name, at.cwd);
  if (folder) return folder;
  const gone = notRunnable(name, at.program);
  if (gone) return gone;
  const interpreter = interpreterOf(at.program);
  if (interpreter !== undefined) {
    const problem = notRunnable(name, resolve(at.cwd, interpreter));
    if (problem) {
      return startError(name, {
        code: "ENOENT",
        why: `its first line asks for ${JSON.stringify(interpreter)}, which cannot be run`,
      });
    }
  }
  return at.sure
    ? startError(name, { code: "ENOEXEC", why: "the system cannot execute it" })
    : undefined;
}

/** The program that a `#!` line names. */
function interpreterOf(path: string): string | undefined {
  const head = Buffer.alloc(256); // As much as Linux looks at.
  try {
    const file = openSync(path, "r");
    readSync(file, head);
    closeSync(file);
    return /^#![ \t]*([^ \t\n\0]+)/.exec(head.toString())?.[1];
  } catch {
    return undefined;
  }
}

function cannotStart(options: SpawnOptions, cause: Error): StartError {
  const { code } = cause as Error & { code: string };
  return startError(options.argv[0] ?? "", {
    code,
    why: code === "E2BIG" ? "its arguments and environment are too long" : cause.message,
  });
}

function startError(name: string, problem: { code: string; why: string }): StartError {
  return Object.assign(new Error(`Cannot start ${JSON.stringify(name)}: ${problem.why}`), {
    code: problem.code,
  });
}
