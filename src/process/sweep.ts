/**
 * Lesson 11: the sweep, which finds what a job left running.
 *
 * The launcher hangs up on its group after each job, and most strays die of that. A stray that
 * ignores it, or that left the group (`setsid`), is found in /proc: one pass for all jobs that
 * ended since the last pass.
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
 * attempts. A pass costs at most a twentieth of the time (SHARE), but one comes within MAX_SWEEP_MS
 * of a job's end, whatever the last one took. A while after the last job has ended, none runs.
 * Left out: a daemon that leaves the group and also wipes its environment. Catching it takes a
 * cgroup.
 * Test: test/11-worker.processes.test.ts
 */
import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";

/** Between two passes: soon enough that nobody waits for a port that a stray holds. */
export const SWEEP_MS = 200;
/**
 * A pass over many processes takes longer, so it comes less often: never more than 5 % of the time.
 */
const SHARE = 20;
/**
 * However long a pass took, no stray is left alone for longer. A pass over 3,000 processes takes
 * 100 ms; one in which this process was stopped, or the machine slept, takes any time, and says
 * nothing about the next.
 */
const MAX_SWEEP_MS = 2_000;
/**
 * The largest environment that is read: Linux gives argv and environment 128 KiB per string, few
 * use 8.
 */
export const ENVIRON_BYTES = 128 * 1024;

export const hasProc = existsSync("/proc/self/stat") && existsSync("/proc/self/environ");

/** How long until the next pass, after one that took so long. */
export function pauseAfter(tookMs: number): number {
  return Math.min(Math.max(SWEEP_MS, tookMs * SHARE), MAX_SWEEP_MS);
}

/** What the sweep must know of a launcher. */
export interface SweptGroup {
  readonly busy: boolean;
  /** The attempt that it runs now, if that has a name. */
  readonly attempt: string | undefined;
  /** A stray was found in the group. */
  taint(): void;
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
  // The folder tells two Titans on one machine apart that happen to run an attempt of the same
  // name.
  if (run === undefined || job === undefined || attempt === undefined) return undefined;
  return JSON.stringify([run, job, attempt, folder ?? ""]);
}

export class Sweeper {
  /** Attempts that ended since the last pass, and during the pass before it. */
  private ended = new Set<string>();
  private before = new Set<string>();
  /** What a process outside our groups names, so that each environment is read once. */
  private known = new Map<string, string | undefined>();
  /** Outside our groups, and without any environment when they were first seen. */
  private bare = new Set<string>();
  private readonly groups: ReadonlyMap<number, SweptGroup>;

  constructor(groups: ReadonlyMap<number, SweptGroup>) {
    this.groups = groups;
  }

  attemptEnded(name: string): void {
    this.ended.add(name);
  }

  attemptStarted(name: string): void {
    this.ended.delete(name);
    this.before.delete(name);
  }

  /**
   * One pass. True: another one is needed, for what was killed may have been forking, or somebody
   * showed no environment.
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
      if (!entry.zombie && this.groups.has(entry.parent)) roots.set(entry.parent, entry);
    }
    for (const entry of entries) {
      if (entry.zombie || this.groups.has(entry.pid)) continue;
      const home = this.groups.get(entry.group) ?? this.groups.get(entry.session);
      if (home !== undefined) {
        const leader = this.groups.has(entry.group) ? entry.group : entry.session;
        if (!isStray(entry, { home, root: roots.get(leader), byPid })) continue;
        home.taint();
        strays.push(entry);
        continue;
      }
      const key = `${entry.pid}:${entry.start}`;
      const environ = this.known.has(key) ? undefined : readProc(`/proc/${entry.pid}/environ`);
      if (environ === "" && !this.bare.has(key)) {
        // In the middle of an exec a process has no environment, for some microseconds: believed
        // when seen twice.
        bare.add(key);
        continue;
      }
      const name = environ === undefined ? this.known.get(key) : attemptIn(environ);
      known.set(key, name);
      if (name !== undefined && (this.ended.has(name) || this.before.has(name))) strays.push(entry);
    }
    this.known = known;
    this.bare = bare;
    this.before = this.ended;
    this.ended = new Set();
    for (const { pid } of strays) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It died by itself, or changed its user, and then it is not ours to kill.
      }
    }
    return strays.length > 0 || (bare.size > 0 && this.before.size > 0);
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
  // Between fork and fork: the next job has not begun, so nothing in this list can be part of it.
  if (root === undefined) return true;
  for (let up: Entry | undefined = entry; up; up = byPid.get(up.parent)) {
    if (up === root) return false;
  }
  // An orphan, then. Its environment is the best witness, its age the second best.
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
      if (length < 4096) break; // Less than a page: that was all.
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
  if (!text.includes("TITAN_ATTEMPT=")) return undefined;
  const env: Record<string, string> = {};
  for (const line of text.split("\0")) {
    if (!line.startsWith("TITAN_")) continue;
    const at = line.indexOf("=");
    env[line.slice(0, at)] = Buffer.from(line.slice(at + 1), "latin1").toString("utf8");
  }
  return attemptName(env);
}
