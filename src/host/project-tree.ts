/**
 * Lesson 11: the files of a project on this disk: a list of them, a check whether they are still
 * the same, and copies.
 *
 *     listTree ──▶ entries ──┬──▶ stampTree ──▶ stamp ──▶ isUntouched
 *                            └──▶ copyTree, copySmall
 *
 * A **stamp** holds four numbers of each entry: inode, size, mode and the time of its last change
 * (ctime). The system sets that time itself at each write, rename, link or chmod, and no program
 * can set it. So two equal stamps mean the same content, with one exception: the time moves in
 * ticks of up to 10 ms, and a change in the same tick cannot be seen. `SETTLE_MS` is for that.
 *
 * Invariants: links are copied as links, never followed; at most IN_FLIGHT copies are under way per
 * tree; nothing here holds the event loop for longer than SLICE looks.
 * Left out: owners, dates and extended attributes.
 * Test: test/03-host.trees.test.ts
 */
import {
  constants, copyFileSync, lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, type Stats,
} from "node:fs";
import { copyFile, mkdir, readdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";

/** One entry of a project. Folders come before what is in them. */
export interface TreeFile {
  readonly path: string;
  readonly kind: "folder" | "file" | "link";
  /** Bytes of a file. */
  readonly size: number;
  /** Where a link points. */
  readonly target?: string;
}

/** A project's folder and what is in it. */
export interface ProjectTree {
  readonly folder: string;
  readonly entries: readonly TreeFile[];
  /** How the entries looked when they were known to be right. Undefined: any content is right. */
  readonly stamp?: TreeStamp;
}

/** Of the root and then of each entry: inode, size, mode, ctime in ms. */
export type TreeStamp = Float64Array;

/** A clock tick of the slowest kernels (100 Hz), twice. */
export const SETTLE_MS = 20;
/** Copies under way per tree: Node's pool has four threads, and two trees may be copied at once. */
const IN_FLIGHT = 8;
/** Looks (3 µs each) between two turns of the event loop: less than a millisecond. */
export const SLICE = 256;
/**
 * A copy shares its blocks with the original until one of them is changed, where the file system
 * can do that.
 */
const CLONE = constants.COPYFILE_FICLONE;
const NUMBERS = 4;

// #region small
/**
 * A tree that may be copied at once, in the turn that starts its job. A file costs 65 to 160 µs to
 * copy and 15 to 60 to remove, so this many hold the event loop for a few milliseconds; and 256 KiB
 * are written in less than one.
 */
const SMALL_ENTRIES = 32;
const SMALL_BYTES = 256 * 1024;

export function isSmall({ entries }: ProjectTree): boolean {
  if (entries.length > SMALL_ENTRIES) return false;
  return entries.reduce((sum, { size }) => sum + size, 0) <= SMALL_BYTES;
}
// #endregion

/** Lists the content of a folder. Sockets and pipes are passed over. */
export function listTree(folder: string): ProjectTree {
  const entries: TreeFile[] = [];
  const folders = [""];
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for (const name of readdirSync(join(folder, inside)).sort()) {
      const path = inside === "" ? name : `${inside}/${name}`;
      const info = lstatSync(join(folder, path), { throwIfNoEntry: false });
      if (info?.isDirectory()) {
        entries.push({ path, kind: "folder", size: 0 });
        folders.push(path);
      } else if (info?.isSymbolicLink()) {
        entries.push({ path, kind: "link", size: 0, target: readlinkSync(join(folder, path)) });
      } else if (info?.isFile()) entries.push({ path, kind: "file", size: info.size });
    }
  }
  return { folder, entries };
}

/** Records how the entries of a tree look in `folder`. Undefined: one of them is not there. */
export async function stampTree(
  folder: string,
  entries: readonly TreeFile[],
): Promise<TreeStamp | undefined> {
  const stamp = new Float64Array(NUMBERS * (entries.length + 1));
  for (let at = -1; at < entries.length; at++) {
    if (!stampEntry(stamp, { folder, entries, at })) return undefined;
    if (at % SLICE === SLICE - 1) await turn();
  }
  return stamp;
}

/** Whether all entries still look like their stamp. A new entry shows in the time of its folder. */
export async function isUntouched(tree: ProjectTree, stamp: TreeStamp): Promise<boolean> {
  for (let at = -1; at < tree.entries.length; at++) {
    if (!looksLike(stamp, { ...tree, at })) return false;
    if (at % SLICE === SLICE - 1) await turn();
  }
  return true;
}

/**
 * The names in `folder` that are not in the list, at most `most` of them and one more. Undefined: a
 * folder of the list is not there.
 */
export async function findExtras(
  { folder, entries }: ProjectTree,
  most: number,
): Promise<string[] | undefined> {
  const expected = new Map<string, Set<string>>([[".", new Set()]]);
  for (const [at, { path, kind }] of entries.entries()) {
    if (at % SLICE === SLICE - 1) await turn();
    expected.get(dirname(path))!.add(path.slice(path.lastIndexOf("/") + 1));
    if (kind === "folder") expected.set(path, new Set());
  }
  const extras: string[] = [];
  for (const [path, names] of expected) {
    const at = join(folder, path);
    if (!lstatSync(at, { throwIfNoEntry: false })?.isDirectory()) return undefined;
    for (const name of await readdir(at)) {
      if (!names.has(name)) extras.push(join(path, name));
      if (extras.length > most) return extras;
    }
  }
  return extras;
}

/** One entry of a tree that lies in `folder`. */
export interface Place {
  readonly folder: string;
  readonly entries: readonly TreeFile[];
  /** -1: the folder itself. */
  readonly at: number;
}

/** The entry's state. A link is looked at itself, not followed. */
export function look({ folder, entries, at }: Place): Stats | undefined {
  const path = at < 0 ? folder : `${folder}/${entries[at]!.path}`;
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Records how one entry looks. False: it is not there. */
export function stampEntry(stamp: TreeStamp, place: Place): boolean {
  const info = look(place);
  if (info === undefined) return false;
  stamp.set([info.ino, info.size, info.mode, info.ctimeMs], NUMBERS * (place.at + 1));
  return true;
}

/** Whether an entry still looks as it was recorded. */
export function looksLike(stamp: TreeStamp, place: Place): boolean {
  const info = look(place);
  const from = NUMBERS * (place.at + 1);
  return (
    info !== undefined && info.ino === stamp[from] && info.size === stamp[from + 1] &&
    info.mode === stamp[from + 2] && info.ctimeMs === stamp[from + 3]
  );
}

/** The recorded mode of an entry, and when it last changed (ms since 1970). */
export function stamped(stamp: TreeStamp, at: number): { mode: number; changedAt: number } {
  const from = NUMBERS * (at + 1);
  return { mode: stamp[from + 2]!, changedAt: stamp[from + 3]! };
}

// #region copySmall
/** Copies a small tree into an empty folder, in this turn. */
export function copySmall(tree: ProjectTree, to: string): void {
  const { folder, entries } = tree;
  entries.forEach(({ path, kind, target }, at) => {
    if (kind === "folder") mkdirSync(`${to}/${path}`);
    else if (kind === "link") symlinkSync(target!, `${to}/${path}`);
    else copyFileSync(`${folder}/${path}`, `${to}/${path}`, CLONE);
    checkSource(tree, at);
  });
}
// #endregion

/**
 * Runs after the copy, not before it: an original that still looks as recorded was right during the
 * copy.
 */
function checkSource({ folder, entries, stamp }: ProjectTree, at: number): void {
  if (stamp === undefined || looksLike(stamp, { folder, entries, at })) return;
  throw new Error(`Cannot copy ${entries[at]!.path}: somebody has changed it in the project cache`);
}

/**
 * Copies a tree into an empty folder. Rejects with the reason of `signal`, and then
 * copies nothing more.
 */
export async function copyTree(tree: ProjectTree, to: string, signal: AbortSignal): Promise<void> {
  const files: number[] = [];
  for (const [at, { path, kind }] of tree.entries.entries()) {
    signal.throwIfAborted();
    if (kind === "folder") await mkdir(`${to}/${path}`);
    else files.push(at);
  }
  let next = 0;
  const copy = async (): Promise<void> => {
    while (next < files.length) {
      signal.throwIfAborted();
      await copyEntry(tree, files[next++]!, to);
    }
  };
  // Wait for all of them, also after an error: the caller removes the folder, and nothing may be
  // written there by then.
  const ends = await Promise.allSettled(Array.from({ length: IN_FLIGHT }, copy));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** Copies one file or link. Nothing may be in its place. */
export async function copyEntry(tree: ProjectTree, at: number, to: string): Promise<void> {
  const { path, kind, target } = tree.entries[at]!;
  if (kind === "link") await symlink(target!, `${to}/${path}`);
  else await copyFile(`${tree.folder}/${path}`, `${to}/${path}`, CLONE);
  checkSource(tree, at);
}
