/**
 * Lesson 12: the processes that a dead worker left running, and their end.
 *
 * When a worker dies, its reaper ends its jobs. But a kill of the whole session, or a system short
 * of memory, may end the reaper, too. Then jobs run on with nobody to wait for them. The next
 * worker finds them:
 *
 *     began when the journal says, leads its group          → the whole group
 *     names the dead worker's folder in its environment     → that process
 *     has only a number from the journal                    → a stranger: nothing
 *
 * Invariants: no process is killed for its number alone; the start time is read again right before
 * each kill; processes 0 and 1, ourselves, our ancestors and our own group are never killed.
 * Left out: the microseconds between that look and the kill, which only a pidfd could close. A
 * process that left its group and wiped its environment, and children of a `call` that left its
 * group: a call has no folder. Without /proc nothing is certain, so nothing is killed.
 * Test: test/12-membership.orphans.test.ts
 */
import { readFileSync } from "node:fs";
import { bootId, type Birth } from "./journal.ts";
import { readEntry, readProcesses, type Entry } from "./sweep.ts";

/**
 * SIGKILL takes effect within milliseconds, unless a process waits for a disk that does not answer.
 */
const GONE_MS = 2_000;
/** Between two looks: a process that was killed may have been forking. */
const LOOK_MS = 10;

/** The traces of a worker that has died. */
export interface DeadWorker {
  /** The folder that contains its jobs' folders. */
  readonly folder: string;
  /** The process groups that its journal says were alive. */
  readonly groups: ReadonlyMap<number, Birth>;
}

/** A process, and the `TITAN_WORKDIR` in its environment. */
export interface Witness extends Entry {
  readonly workFolder: string | undefined;
}

/** The processes that must end: groups, by their leaders, and single processes. */
export interface Orphans {
  readonly leaders: readonly Witness[];
  readonly singles: readonly Witness[];
}

// #region sweep
/** Finds the processes that a dead worker left behind among those that exist now. */
export function orphansOf(
  dead: DeadWorker,
  now: { readonly boot: string | undefined; readonly processes: readonly Witness[] },
): Orphans {
  const living = now.processes.filter(({ zombie }) => !zombie);
  const populated = new Set(living.map(({ group }) => group));
  const leaders = now.processes.filter(({ pid, group, start }) => {
    const noted = dead.groups.get(pid);
    if (noted === undefined || group !== pid || !populated.has(group)) return false;
    // A number is used again. Together with the clock tick in which the process began, and the
    // boot, it names one process for ever.
    return noted.start === start && noted.boot === now.boot;
  });
  const ending = new Set(leaders.map(({ pid }) => pid));
  // A process that left the group, or has outlived its leader, still names the worker in its
  // environment.
  const singles = living.filter(
    ({ group, workFolder }) => !ending.has(group) && workFolder?.startsWith(`${dead.folder}/`),
  );
  return { leaders, singles };
}
// #endregion

/**
 * Kills the processes that these workers left, and waits until they are gone: at most 2 s. Counts
 * processes.
 */
export async function endOrphans(
  dead: readonly DeadWorker[],
): Promise<{ ended: number; left: number }> {
  const boot = bootId();
  const deadline = performance.now() + GONE_MS;
  const ended = new Set<string>();
  /** Processes that we may not kill: they belong to another user now. */
  const refused = new Set<string>();
  for (;;) {
    const processes =
      dead.length === 0 || boot === undefined
        ? []
        : readWitnesses().filter((process) => !refused.has(nameOf(process)));
    const found = dead.map((worker) => orphansOf(worker, { boot, processes }));
    const leaders = new Set(found.flatMap((orphans) => orphans.leaders));
    const singles = new Set(found.flatMap((orphans) => orphans.singles));
    const groups = new Set([...leaders].map(({ pid }) => pid));
    const victims = processes.filter(
      (process) => !process.zombie && (groups.has(process.group) || singles.has(process)),
    );
    if (victims.length === 0 || performance.now() >= deadline) {
      for (const victim of victims) ended.delete(nameOf(victim));
      return { ended: ended.size, left: victims.length + refused.size };
    }
    for (const victim of victims) ended.add(nameOf(victim));
    const spared = [
      ...[...leaders].filter((leader) => !kill(leader, -leader.pid)),
      ...[...singles].filter((single) => !kill(single, single.pid)),
    ];
    for (const process of spared) {
      refused.add(nameOf(process));
      ended.delete(nameOf(process));
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const nameOf = ({ pid, start }: Entry): string => `${pid}:${start}`;

/** False if the system does not allow it. */
function kill(seen: Entry, target: number): boolean {
  const entry = readEntry(seen.pid);
  // The process may have died since we looked, and another one may have its number already.
  if (entry === undefined || entry.start !== seen.start || entry.group !== seen.group) return true;
  try {
    process.kill(target, "SIGKILL");
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "EPERM";
  }
}

/** All processes, except those that no journal and no environment could make us kill. */
function readWitnesses(): Witness[] {
  const entries = readProcesses();
  const byPid = new Map(entries.map((entry) => [entry.pid, entry]));
  // A process that came into a container by `exec` has no ancestors there.
  const own = new Set([1]);
  for (let up = byPid.get(process.pid); up && up.pid !== up.parent; up = byPid.get(up.parent)) {
    own.add(up.pid);
  }
  const ownGroup = byPid.get(process.pid)?.group;
  return entries
    .filter(({ pid, group }) => !own.has(pid) && (pid !== group || group !== ownGroup))
    .map((entry) => ({
      ...entry,
      workFolder: entry.zombie ? undefined : readWorkFolder(entry.pid),
    }));
}

const VARIABLE = "TITAN_WORKDIR=";

function readWorkFolder(pid: number): string | undefined {
  let environ: Buffer;
  try {
    environ = readFileSync(`/proc/${pid}/environ`);
  } catch {
    return undefined; // it is gone, or another user's
  }
  if (!environ.includes(VARIABLE)) return undefined;
  const line = environ.toString("utf8").split("\0").find((text) => text.startsWith(VARIABLE));
  return line?.slice(VARIABLE.length);
}
