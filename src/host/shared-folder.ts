/**
 * Lesson 11: the folder that the jobs of one run share on one machine, whichever worker runs them.
 *
 *     <tmp>/titan-<uid>/<cluster>/<run>
 *
 * The workers of a machine may have been started in different folders by different commands.
 * They have three things in common: the machine's folder for temporary files, their user, and
 * the cluster that they work for. So the path is made of these. Anybody may write to /tmp;
 * therefore each part is made with mode 0700, and one that is already there is used only if it
 * is a folder, and ours.
 *
 * Invariants: nothing is read from or written to a folder of another user; a link is refused, never
 * followed; a folder that is being removed has another name, so that nobody finds half of it.
 * Left out: two machines that share one folder for temporary files; containers on one machine
 * that do not.
 * Test: test/03-host.trees.test.ts
 */
import {
  chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, type Stats,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { removeTree } from "./remove-tree.ts";

/** Another worker may remove the empty folder above just before we make ours in it. */
const TRIES = 3;
/** Folders to make or to remove besides the run's own: the cluster's and the user's. */
const PARENTS = 2;
const OWN_MODE = 0o700;
const REMOVED = ".removed-";

/** Where all shared folders of this user are. TMPDIR moves it. */
export function sharedRoot(): string {
  return join(resolve(tmpdir()), `titan-${process.getuid?.() ?? "user"}`);
}

/**
 * Makes `<root>/<cluster>/<run>` if it is not there.
 *
 * @throws an Error that says what is in the way: a link, a file, or a folder of another user
 */
export function makeShared(folder: string): void {
  for (let tries = 1; ; tries++) {
    try {
      for (const path of ancestors(folder)) makeOwn(path);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      if (tries === TRIES) {
        throw new Error(`Cannot use ${folder} for TITAN_SHARED: ${missing(folder)}`);
      }
    }
  }
}

function missing(folder: string): string {
  const top = dirname(dirname(dirname(folder)));
  if (lstatSync(top, { throwIfNoEntry: false }) === undefined) {
    return `there is no folder ${top}; TMPDIR names another place`;
  }
  return "its folders are removed as fast as they are made";
}

/** The user's folder, the cluster's and the run's. */
function ancestors(folder: string): string[] {
  return [dirname(dirname(folder)), dirname(folder), folder];
}

function makeOwn(path: string): void {
  // Mostly the folder is there, and a job pays no more than this look for each of the three.
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined) return refuseForeign(path, found);
  try {
    mkdirSync(path, { mode: OWN_MODE });
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  }
  refuseForeign(path);
}

function refuseForeign(path: string, info: Stats = lstatSync(path)): void {
  const refuse = (why: string): never => {
    throw new Error(`Cannot use ${path} for TITAN_SHARED: ${why}; TMPDIR names another place`);
  };
  if (info.isSymbolicLink()) refuse("it is a symbolic link");
  if (!info.isDirectory()) refuse("it is no folder");
  const uid = process.getuid?.();
  if (uid !== undefined && info.uid !== uid) refuse(`it belongs to user ${info.uid}`);
  // A job may have opened it to others, or closed it to us: then no job of any run could enter it.
  if ((info.mode & 0o777) !== OWN_MODE) chmodSync(path, OWN_MODE);
}

/**
 * The names of the runs for which a cluster has folders here. Folders that were half removed are
 * removed in the background.
 */
export function sweepShared(clusterFolder: string): string[] {
  let names: string[];
  try {
    refuseForeign(dirname(clusterFolder));
    refuseForeign(clusterFolder);
    names = readdirSync(clusterFolder);
  } catch {
    return []; // there is no folder, or it is not ours
  }
  const runs = names.filter((name) => !name.startsWith(REMOVED));
  for (const name of names) {
    if (name.startsWith(REMOVED)) removeTree(join(clusterFolder, name)).catch(() => undefined);
  }
  return runs;
}

/**
 * Removes a run's folder, and the folders above it if they are empty then. No error when somebody
 * else was faster.
 */
export async function removeShared(folder: string): Promise<void> {
  const gone = join(dirname(folder), `${REMOVED}${randomBytes(6).toString("hex")}`);
  try {
    // The run's own folder is not checked: a job may have put a link there, and neither a rename
    // nor a removal follows one.
    for (const path of ancestors(folder).slice(0, PARENTS)) refuseForeign(path);
    renameSync(folder, gone);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return removeEmpty(folder);
    throw error;
  }
  await removeTree(gone);
  removeEmpty(folder);
}

function removeEmpty(folder: string): void {
  let path = folder;
  for (let i = 0; i < PARENTS; i++) {
    path = dirname(path);
    try {
      rmdirSync(path);
    } catch {
      return; // another run uses it
    }
  }
}
