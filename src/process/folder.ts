/**
 * Lesson 12: a folder for this process, and the removal of folders whose processes are dead.
 *
 *     <parent>/4711/host    the machine        <parent>/4711/live   its process groups (journal.ts)
 *     <parent>/4711/owner   `pid start boot`   <parent>/4711/…      its own business
 *     <parent>/lock         held while a process looks for the dead, until it has its folder
 *
 * Invariants: a folder is removed only when its process is dead and nothing that the process
 * started is left. It vanishes at once: it is renamed first, so that no half of it is ever seen.
 * Under the lock a dead owner stays dead; without the lock, a new process with the old number could
 * be taken for the dead one.
 * Left out: two machines of one name that share the parent folder, and containers with one host
 * name: a pid of one means nothing to the other.
 * Test: test/12-membership.orphans.test.ts
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { identify, isAlive, lock, readHolder, removeTree } from "#host";
import { journalProcesses, readJournal } from "./journal.ts";
import { endOrphans } from "./orphans.ts";

/** One look may take 2 s; a process that has waited longer goes on without the lock. */
const LOCK_WAIT_MS = 3_000;
const LOCK_RETRY_MS = 5;
/** The name of a removed folder until all of it is gone. */
const REMOVED = /^\.removed-/;

/**
 * Makes `parent/PID` for this process and keeps the journal of its process groups there. First it
 * ends the processes that the dead owners of neighbouring folders left running, and removes those
 * folders; `onNote` gets one line if there were any.
 *
 * @returns the folder, by its real path. The caller removes it at the end.
 * @throws the system's error when the folder cannot be made.
 */
export async function takeProcessFolder(
  parent: string,
  options: { onNote?: (text: string) => void } = {},
): Promise<string> {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  // The real path: processes are found by its text, which must not depend on the path that the
  // caller used.
  const home = realpathSync(parent);
  const held = await tryLock(join(home, "lock"));
  try {
    if (held) await sweep(home, options.onNote ?? (() => {}));
    const folder = join(home, String(process.pid));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { pid, start, boot } = await identify(process.pid);
    writeFileSync(join(folder, "owner"), `${pid} ${start} ${boot}\n`);
    writeFileSync(join(folder, "host"), hostname());
    journalProcesses(join(folder, "live"));
    return folder;
  } finally {
    await held?.release();
  }
}

/**
 * Undefined: another process has held the lock for too long (it may be stopped), or this disk has
 * no locks. The next process will sweep.
 */
async function tryLock(path: string): Promise<{ release(): Promise<void> } | undefined> {
  const deadline = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return await lock(path);
    } catch (error) {
      if ((error as { code?: string }).code !== "ELOCKED" || performance.now() >= deadline) {
        return undefined;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
}

async function sweep(home: string, onNote: (text: string) => void): Promise<void> {
  const dead: string[] = [];
  for (const name of readdirSync(home)) {
    if (REMOVED.test(name)) discard(join(home, name));
    else if (/^\d+$/.test(name) && (await isDead(join(home, name), Number(name)))) dead.push(name);
  }
  const workers = dead.map((name) => ({
    folder: join(home, name),
    groups: readJournal(join(home, name, "live")),
  }));
  const { ended, left } = await endOrphans(workers);
  const some = (count: number): string =>
    `${count} ${count === 1 ? "process" : "processes"} left running by ` +
    `${dead.length === 1 ? "worker" : "workers"} ${dead.join(", ")}`;
  // The folders stay: the next process needs them to find the rest.
  if (left > 0) {
    return onNote(`Cannot end ${some(left)}${ended > 0 ? ` (${ended} ended)` : ""}`);
  }
  if (ended > 0) onNote(`ended ${some(ended)}`);
  for (const { folder } of workers) {
    const removed = join(home, `.removed-${randomBytes(6).toString("hex")}`);
    try {
      renameSync(folder, removed);
    } catch {
      continue; // it is another user's, or a process without the lock was faster
    }
    discard(removed);
  }
}

const removals: Promise<void>[] = [];

/**
 * Nobody waits for the removal at the start. Files that cannot be removed are left to the next
 * process.
 */
function discard(path: string): void {
  removals.push(removeTree(path).catch(() => undefined));
}

/**
 * Resolves when the folders of dead processes are removed. A process that ends earlier leaves some
 * of them.
 */
export async function removalsDone(): Promise<void> {
  await Promise.all(removals);
}

/** Whether this folder belonged to a process of this machine that has ended. */
async function isDead(folder: string, pid: number): Promise<boolean> {
  if (!sameMachine(folder)) return false;
  const owner = await readHolder(join(folder, "owner")).catch(() => undefined);
  if (owner?.pid === pid && owner.start !== "") return !(await isAlive(owner));
  // The owner died before it could write down its start time. Only its number is left, and the
  // owner counts as dead only if no process has that number, or if we have it.
  const now = await identify(pid);
  return pid === process.pid || now.start === "gone" || !(await isAlive(now));
}

function sameMachine(folder: string): boolean {
  try {
    return readFileSync(join(folder, "host"), "utf8") === hostname();
  } catch {
    return false; // no worker has written it, or not completely
  }
}
