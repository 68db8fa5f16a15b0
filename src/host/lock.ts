/**
 * Lesson 03: one master per folder.
 *
 * The lock is a file that names its holder and itself: `pid start boot inode`. It is held as long
 * as that process lives, so a `kill -9` releases it and nobody has to clean up. The start time
 * tells a process from a later one with the same number, the boot id from one before a restart of
 * the machine. A file with another inode than the one that it names is a copy: its holder holds the
 * original. A file without an inode (of an older Titan) is believed.
 *
 *     take(path)   link(mine, path)   succeeds for one racer; the file appears complete
 *       EEXIST     holder alive?      ELOCKED, by name
 *                  holder dead?       take(path.steal); still dead? unlink(path); release;
 *                                     try again
 *
 * Invariant: a lock file is removed only by its living holder, or by a process that holds
 * `path.steal` and has seen the holder dead under that lock. Without the second lock two racers
 * could both see a dead holder; the slower would then remove the lock that the faster had taken
 * meanwhile. The steal lock is the same kind of lock, so it can be stolen in turn from a racer that
 * dies with it.
 * Left out: the device number, which would expose a copy on another disk whose inode happens to
 * have the same number. One disk that is mounted twice can have two device numbers, and two masters
 * on one folder are worse than one master that does not start. Other machines and other containers
 * on a shared folder: a pid means nothing there. Systems without /proc compare the pid alone, and
 * refuse to start when the number was given to another process.
 * Test: test/03-host.test.ts
 */
import { promises } from "node:fs";
import { randomBytes } from "node:crypto";

/**
 * A race for a dead lock takes one round for each racer that wins before us; more rounds than this
 * are not a race.
 */
const MAX_ROUNDS = 100;

/** A process: its number, and two values that tell it from others that had the number. */
export interface Holder {
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  /** True: the file that names it is a copy of another file, which that process may hold. */
  readonly isCopy?: boolean;
}

/** Takes `path` or rejects with code ELOCKED and the holder's pid. */
export async function lock(path: string): Promise<{ release(): Promise<void> }> {
  const self = await identify(process.pid);
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    // On a full disk the file is made and nothing fits into it: it is removed in that case, too.
    await writeLock(temporary, self);
    await take(temporary, path);
  } finally {
    await promises.rm(temporary, { force: true });
  }
  let held = true;
  return {
    release: async () => {
      if (!held) return;
      held = false;
      await promises.rm(path, { force: true });
    },
  };
}

/** The name that `link` gives the file later belongs to the same inode. */
async function writeLock(path: string, self: Holder): Promise<void> {
  await promises.writeFile(path, "", { flag: "wx", mode: 0o600 });
  const { ino } = await promises.stat(path, { bigint: true });
  await promises.writeFile(path, `${self.pid} ${self.start} ${self.boot} ${ino}\n`);
}

async function take(mine: string, path: string): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (await linked(mine, path)) return;
    const holder = await readHolder(path);
    if (holder === undefined) continue; // released meanwhile
    if (await holds(holder)) throw lockedError(path, holder);
    await removeStale(mine, path);
  }
  throw new Error(`Cannot lock ${path}: still contended after ${MAX_ROUNDS} rounds`);
}

/** Removes the lock of a dead holder, unless another process is doing it. */
async function removeStale(mine: string, path: string): Promise<void> {
  const steal = `${path}.steal`;
  try {
    await take(mine, steal);
  } catch (error) {
    if ((error as { code?: string }).code !== "ELOCKED") throw error;
    await new Promise((resolve) => setTimeout(resolve, 1)); // the other one is about to finish
    return;
  }
  try {
    // Look again, now that nobody else may remove the file: it may be the new lock of another
    // process by now.
    const holder = await readHolder(path);
    if (holder !== undefined && !(await holds(holder))) await promises.rm(path, { force: true });
  } finally {
    await promises.rm(steal, { force: true });
  }
}

async function linked(mine: string, path: string): Promise<boolean> {
  try {
    await promises.link(mine, path);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

/** Reads a lock file or a note of that form, without asking whether it is true. */
export async function readHolder(path: string): Promise<Holder | undefined> {
  const file = await unlessGone(promises.open(path, "r"));
  if (file === undefined) return undefined;
  try {
    const [pid = "", start = "", boot = "", inode] = (await file.readFile("utf8"))
      .trim()
      .split(" ");
    const { ino } = await file.stat({ bigint: true });
    return { pid: Number(pid), start, boot, isCopy: inode !== undefined && inode !== String(ino) };
  } finally {
    await file.close();
  }
}

async function holds(holder: Holder): Promise<boolean> {
  return holder.isCopy !== true && (await isAlive(holder));
}

/** The process that holds the lock now, if one does. */
export async function lockHolder(path: string): Promise<number | undefined> {
  const holder = await readHolder(path);
  return holder !== undefined && (await holds(holder)) ? holder.pid : undefined;
}

/** Whether that process lives, and not another one with its number. */
export async function isAlive(holder: Holder): Promise<boolean> {
  // another program has written the file, or we have not finished it
  if (!Number.isSafeInteger(holder.pid) || holder.pid <= 0) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: alive, and somebody else's
    if ((error as { code?: string }).code === "ESRCH") return false;
  }
  const now = await identify(holder.pid);
  return now.start === holder.start && now.boot === holder.boot;
}

/**
 * Start time and boot of a process; both "-" where the system does not tell them, "gone" for a dead
 * one.
 */
export async function identify(pid: number): Promise<Holder> {
  const boot = await readText("/proc/sys/kernel/random/boot_id");
  if (boot === undefined) return { pid, start: "-", boot: "-" };
  const stat = await readText(`/proc/${pid}/stat`);
  return { pid, start: stat === undefined ? "gone" : startTime(stat), boot: boot.trim() };
}

/**
 * Field 22 of /proc/PID/stat, clock ticks since boot. Field 2 is the program's name in parentheses
 * and may hold spaces and parentheses itself, so counting starts after the last one. A zombie is
 * dead: it can hold nothing.
 */
export function startTime(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  return state === "Z" || state === "X" ? "gone" : (fields[19] ?? "gone");
}

function readText(path: string): Promise<string | undefined> {
  return unlessGone(promises.readFile(path, "utf8"));
}

async function unlessGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ESRCH" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

function lockedError(path: string, holder: Holder): Error {
  return Object.assign(new Error(`Cannot lock ${path}: held by process ${holder.pid}`), {
    code: "ELOCKED",
  });
}
