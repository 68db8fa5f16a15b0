/**
 * Lesson 11: the sweep, which finds the processes that a job left running.
 *
 * The launcher sends SIGHUP to its group after each job, and most leftovers (strays) die of that. A
 * stray that ignores the signal, or that left the group (`setsid`), is found in /proc: one pass
 * serves all jobs that ended since the last pass.
 *
 *     in a launcher's group or session
 *         launcher idle                    → stray
 *         names another attempt            → stray       (its environment, the best witness)
 *         descends from the running job    → belongs to it
 *         older than the running job       → stray
 *     elsewhere
 *         names an attempt that has ended  → stray
 *
 * Invariants: a process is killed only if it is in a group we started, or names one of our ended
 * attempts. Passes take at most a twentieth of the time (SHARE), but one comes within MAX_SWEEP_MS
 * of a job's end, however long the last one took. A while after the last job has ended, no pass
 * runs.
 * Left out: a daemon that leaves the group and also wipes its environment. Catching it takes a
 * cgroup.
 * Test: test/11-worker.processes.test.ts
 */
import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";

/** Between two passes: soon enough that nobody waits for a port that a stray holds. */
export const SWEEP_MS = 200;
/**
 * A pass over many processes takes longer, so passes come less often: never more than 5 % of the
 * time.
 */
const SHARE = 20;
/**
 * No stray is left alone for longer, however long a pass took. A pass over 3,000 processes takes
 * 100 ms. If this process was stopped during a pass, or the machine slept, the pass takes any time,
 * and that tells nothing about the next one.
 */
const MAX_SWEEP_MS = 2_000;
/**
 * The largest environment that is read: Linux gives argv and environment 128 KiB per string, few
 * use 8.
 */
export const ENVIRON_BYTES = 128 * 1024;

export const hasProc = existsSync("/proc/self/environ");

/** The pause before the next pass, after one that took `tookMs`. */
export function pauseAfter(tookMs: number): number {
  return Math.min(Math.max(SWEEP_MS, tookMs * SHARE), MAX_SWEEP_MS);
}

/** The part of a launcher that the sweep needs. */
export interface SweptGroup {
  readonly busy: boolean;
  /** The name of the attempt that it runs now, if it has one. */
  readonly attempt: string | undefined;
  /** A stray was found in the group. */
  poison(): void;
}

/** A process, as /proc tells of it. */
export interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Start time in clock ticks since boot: with the pid, the name of a process for ever. */
  readonly start: number;
  readonly zombie: boolean;
}

/**
 * The name of an attempt, as its processes carry it in their environment. Undefined: they carry
 * none.
 */
export function attemptName(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { TITAN_RUN: run, TITAN_JOB: job, TITAN_ATTEMPT: attempt, TITAN_WORKDIR: folder } = env;
  // Two Titans on one machine may run attempts of the same name: the folder tells them apart.
  if (run === undefined || job === undefined || attempt === undefined) return undefined;
  return JSON.stringify([run, job, attempt, folder ?? ""]);
}

export class Sweeper {
  /** Attempts that ended since the last pass, and in the interval before it. */
  #ended = new Set<string>();
  #before = new Set<string>();
  /** The attempts that processes outside our groups name, so that each environment is read once. */
  #known = new Map<string, string | undefined>();
  /** Processes outside our groups that showed no environment when they were first seen. */
  #bare = new Set<string>();
  readonly #groups: ReadonlyMap<number, SweptGroup>;

  constructor(groups: ReadonlyMap<number, SweptGroup>) {
    this.#groups = groups;
  }

  attemptEnded(name: string): void {
    this.#ended.add(name);
  }

  attemptStarted(name: string): void {
    this.#ended.delete(name);
    this.#before.delete(name);
  }

  /**
   * One pass. True: another pass is needed, because a killed process may have been forking, or a
   * process showed no environment.
   */
  sweep(): boolean {
    const entries = readProcesses();
    const strays: Entry[] = [];
    const known = new Map<string, string | undefined>();
    const bare = new Set<string>();
    const byPid = new Map(entries.map((entry) => [entry.pid, entry]));
    /** The running job of each launcher: its one living child. */
    const roots = new Map<number, Entry>();
    for (const entry of entries) {
      if (!entry.zombie && this.#groups.has(entry.parent)) roots.set(entry.parent, entry);
    }
    for (const entry of entries) {
      if (entry.zombie || this.#groups.has(entry.pid)) continue;
      const home = this.#groups.get(entry.group) ?? this.#groups.get(entry.session);
      if (home !== undefined) {
        const leader = this.#groups.has(entry.group) ? entry.group : entry.session;
        if (!isStray(entry, { home, root: roots.get(leader), byPid })) continue;
        home.poison();
        strays.push(entry);
        continue;
      }
      const key = `${entry.pid}:${entry.start}`;
      const environ = this.#known.has(key) ? undefined : readProc(`/proc/${entry.pid}/environ`);
      if (environ === "" && !this.#bare.has(key)) {
        // In the middle of an exec a process has no environment for some microseconds, so an empty
        // one counts only when it is seen twice.
        bare.add(key);
        continue;
      }
      const name = environ === undefined ? this.#known.get(key) : attemptIn(environ);
      known.set(key, name);
      if (name !== undefined && (this.#ended.has(name) || this.#before.has(name))) {
        strays.push(entry);
      }
    }
    this.#known = known;
    this.#bare = bare;
    this.#before = this.#ended;
    this.#ended = new Set();
    for (const { pid } of strays) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // The process died by itself, or changed its user, and then we may not kill it.
      }
    }
    return strays.length > 0 || (bare.size > 0 && this.#before.size > 0);
  }
}

// #region stray
/** Whether a member of a launcher's group is left over from an earlier job. */
function isStray(
  entry: Entry,
  group: { home: SweptGroup; root: Entry | undefined; byPid: ReadonlyMap<number, Entry> },
): boolean {
  const { home, root, byPid } = group;
  if (!home.busy) return true;
  // The launcher has no child now: the next job has not begun, so no process in this list can be
  // part of it.
  if (root === undefined) return true;
  for (let up: Entry | undefined = entry; up; up = byPid.get(up.parent)) {
    if (up === root) return false;
  }
  // The process is an orphan, then. Its environment is the best evidence, its age the second best.
  const name = readAttempt(entry.pid);
  if (name !== undefined && home.attempt !== undefined) return name !== home.attempt;
  return entry.start < root.start;
}
// #endregion

const buffer = Buffer.allocUnsafe(ENVIRON_BYTES);

/** The content of a small file in /proc, or empty when the process is gone or not ours. */
export function readProc(path: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    let length = 0;
    while (length < buffer.length) {
      const got = readSync(file, buffer, length, buffer.length - length, null);
      if (got === 0) break;
      length += got;
      if (length < 4096) break; // less than a page: that was the end
    }
    return buffer.toString("latin1", 0, length);
  } catch {
    return "";
  } finally {
    closeSync(file);
  }
}

/** Every process of this machine, or of this container. */
export function readProcesses(): Entry[] {
  return readdirSync("/proc").flatMap((name) => readEntry(Number(name)) ?? []);
}

/** Undefined when there is no such process, or no /proc. */
export function readEntry(pid: number): Entry | undefined {
  if (!(pid > 0)) return undefined;
  const stat = readProc(`/proc/${pid}/stat`);
  // `pid (any name, parentheses too) state parent group session …`: fields count from the last
  // bracket.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ", 20);
  if (fields.length < 20) return undefined;
  return {
    pid,
    zombie: fields[0] === "Z" || fields[0] === "X",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    start: Number(fields[19]),
  };
}

function readAttempt(pid: number): string | undefined {
  return attemptIn(readProc(`/proc/${pid}/environ`));
}

function attemptIn(text: string): string | undefined {
  const env: Record<string, string> = {};
  for (const line of text.split("\0")) {
    if (!line.startsWith("TITAN_")) continue;
    const at = line.indexOf("=");
    env[line.slice(0, at)] = Buffer.from(line.slice(at + 1), "latin1").toString("utf8");
  }
  return attemptName(env);
}
