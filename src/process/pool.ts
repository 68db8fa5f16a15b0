/**
 * Lesson 11: the pool of launchers, and the timers that keep it tidy.
 *
 * A job takes the launcher that became idle last (its memory is still in the cache), or starts a
 * new one; so there are as many launchers as there were jobs at once. Launchers that were idle for
 * a while are ended.
 *
 * Invariants: a running job keeps the event loop alive, an idle pool does not; an idle pool costs
 * no CPU.
 * Left out: starting launchers ahead of the first jobs; the first one costs a job 2 ms.
 * Test: test/11-worker.processes.test.ts
 */
import { Launcher, type Ending, type LaunchedJob } from "./launcher.ts";
import { stockedPipes } from "./pipes.ts";
import { reap, reaperPid, reapFolder, release } from "./reaper.ts";
import { attemptName, hasProc, pauseAfter, Sweeper, SWEEP_MS, type SweptGroup } from "./sweep.ts";

/** Longer than the pauses within a run, shorter than a person's attention. */
const IDLE_MS = 5_000;
/**
 * A job is moved to a second launcher if the first died before it began, and to a third; then it
 * fails.
 */
const MAX_STARTS = 3;

/** The operations on a running job. */
export interface PooledJob {
  readonly pid: number | undefined;
  signal(name: string): void;
  pause(): void;
  resume(): void;
}

class Group implements SweptGroup {
  attempt: string | undefined;
  readonly launcher: Launcher;
  constructor(launcher: Launcher) {
    this.launcher = launcher;
  }
  get busy(): boolean {
    return this.launcher.busy;
  }
  poison(): void {
    this.launcher.poison();
  }
}

const groups = new Map<number, Group>();
const idle: Launcher[] = [];
const sweeper = new Sweeper(groups);
let running = 0;
let keepAlive: NodeJS.Timeout | undefined;
let idleTimer: NodeJS.Timeout | undefined;
let sweepTimer: NodeJS.Timeout | undefined;
let hooked = false;

/** Runs `makeLine(launcher)` on a launcher. */
export function runPooled(
  makeLine: (launcher: Launcher) => string,
  job: LaunchedJob & { readonly env: Readonly<Record<string, string>> },
): PooledJob {
  const attempt = attemptName(job.env);
  let starts = 0;
  let launcher: Launcher | undefined;
  let paused = false;
  const start = () => {
    starts++;
    try {
      launcher = takeLauncher();
    } catch (error) {
      return void setImmediate(onEnd, { status: null, signal: null, error: error as Error });
    }
    const group = launcher.pid === undefined ? undefined : groups.get(launcher.pid);
    if (group) group.attempt = attempt;
    launcher.run(makeLine(launcher), { onOutput: job.onOutput, onEnd });
    if (paused) launcher.pause();
  };
  const onEnd = (ending: Ending) => {
    if (ending.unstarted && !ending.error && starts < MAX_STARTS) return start();
    jobEnded(attempt);
    job.onEnd(ending);
  };
  jobStarted(job.env, attempt);
  start();
  return {
    get pid() {
      return launcher?.pid;
    },
    signal: (name) => launcher?.signal(name),
    pause: () => {
      paused = true;
      launcher?.pause();
    },
    resume: () => {
      paused = false;
      launcher?.resume();
    },
  };
}

/** Bookkeeping that every job needs, on a launcher or not. */
export function jobStarted(
  env: Readonly<Record<string, string>>,
  attempt: string | undefined,
): void {
  if (running++ === 0) {
    // A timer that practically never fires: it only keeps the event loop alive.
    keepAlive ??= setInterval(() => {}, 2 ** 31 - 1);
    keepAlive.ref();
  }
  if (attempt !== undefined) sweeper.attemptStarted(attempt);
  const folder = env["TITAN_WORKDIR"];
  // <folder of the worker>/<run>/<attempt>: the reaper is told of the first part, once.
  const root = folder === undefined ? undefined : /^(\/.+)\/[^/]+\/[^/]+$/.exec(folder)?.[1];
  if (root !== undefined) reapFolder(root);
  if (!hooked) {
    hooked = true;
    process.once("exit", endAll);
  }
}

export function jobEnded(attempt: string | undefined): void {
  if (--running === 0) keepAlive?.unref();
  if (attempt !== undefined) sweeper.attemptEnded(attempt);
  if (hasProc) scheduleSweep(SWEEP_MS);
}

/** The resources that this process keeps for its jobs, and between them. */
export interface ProcessCounts {
  /** Jobs that run, on a launcher or not. */
  readonly running: number;
  /** Launchers, each a child with three descriptors here; and how many of them wait for a job. */
  readonly launchers: number;
  readonly idle: number;
  /** Pipes that no job has used yet, with two descriptors each. */
  readonly pipes: number;
  /** Undefined: there was no job yet. */
  readonly reaper: number | undefined;
}

/** With no job running, every launcher is idle; after a while there is none. */
export function processCounts(): ProcessCounts {
  return {
    running, launchers: groups.size, idle: idle.length, pipes: stockedPipes(), reaper: reaperPid(),
  };
}

/**
 * The launcher that became idle last, or a new one. Throws when the system can start no process.
 */
function takeLauncher(): Launcher {
  for (;;) {
    const launcher = idle.pop();
    if (launcher === undefined) return newLauncher();
    if (launcher.fit) return launcher;
  }
}

function newLauncher(): Launcher {
  const launcher = new Launcher({ idle: becameIdle, dead: (gone) => forget(gone) });
  if (launcher.pid !== undefined) {
    groups.set(launcher.pid, new Group(launcher));
    reap(launcher.pid);
  }
  return launcher;
}

function forget(launcher: Launcher): void {
  const at = idle.indexOf(launcher);
  if (at >= 0) idle.splice(at, 1);
  if (launcher.pid === undefined) return;
  groups.delete(launcher.pid);
  release(launcher.pid);
}

function becameIdle(launcher: Launcher): void {
  // Without /proc nobody can tell what the job left behind, so the whole group ends, launcher
  // included.
  if (launcher.poisoned || !hasProc) return launcher.destroy();
  launcher.idleSince = performance.now();
  idle.push(launcher);
  idleTimer ??= setTimeout(retireIdle, IDLE_MS).unref();
}

function retireIdle(): void {
  idleTimer = undefined;
  const now = performance.now();
  // The list is a stack, so the longest idle are at its bottom.
  while (idle[0] !== undefined && now - idle[0].idleSince >= IDLE_MS - 1) {
    (idle.shift() as Launcher).retire();
  }
  if (idle[0] !== undefined) {
    idleTimer = setTimeout(retireIdle, IDLE_MS - (now - idle[0].idleSince)).unref();
  }
}

function scheduleSweep(ms: number): void {
  sweepTimer ??= setTimeout(() => {
    sweepTimer = undefined;
    const before = performance.now();
    const again = sweeper.sweep();
    nextSweepMs = pauseAfter(performance.now() - before);
    if (again) scheduleSweep(nextSweepMs);
  }, Math.max(ms, nextSweepMs)).unref();
}
let nextSweepMs = SWEEP_MS;

/**
 * We are exiting: end the running jobs, then look once more for leftovers. The reaper would end the
 * jobs, too, but later.
 */
function endAll(): void {
  for (const group of groups.values()) {
    if (group.attempt !== undefined) sweeper.attemptEnded(group.attempt);
    group.launcher.destroy();
  }
  if (hasProc && (running > 0 || sweepTimer !== undefined)) sweeper.sweep();
}
