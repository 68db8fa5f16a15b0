/**
 * Lesson 11: the removal of a folder that somebody else has filled.
 *
 * A job may leave anything that its user may make: folders without permissions, names that are not
 * UTF-8, a thousand folders in one another, and a child that still writes. So we first give
 * ourselves the right to read a folder, names are bytes, a name that has vanished counts as
 * removed, and a folder that lies too deep for a path is first moved up to the root of the removal.
 *
 * Invariants: a symbolic link is removed, never followed; at most IN_FLIGHT calls are under way;
 * memory does not depend on how many files a folder has. The event loop goes on: each call is made
 * in Node's thread pool.
 * Left out: immutable files, folders of another user, and a program of the same user that puts a
 * link in the place of a folder between our look at it and our reading of it: it could remove
 * those files itself.
 * Test: test/03-host.remove.test.ts
 */
import type { Dir, Dirent } from "node:fs";
import { chmod, lstat, opendir, rename, rmdir, unlink } from "node:fs/promises";

const IN_FLIGHT = 16;
/** Names that are looked at before their files are removed. */
const BATCH = 1024;
/** Half of Linux' PATH_MAX (4096): a folder with a longer path is moved up. */
const MAX_PATH_BYTES = 2048;
/** Times that a folder may turn out not to be empty after being emptied: something writes there. */
const MAX_REFILLS = 10;
const SLASH = Buffer.from("/");

interface Folder {
  readonly path: Buffer;
  refills: number;
}

/**
 * Removes a file, a link, or a folder with all that is in it. No error when it is missing.
 *
 * @throws the system's error: EACCES or EPERM for what belongs to somebody else, ENOTEMPTY for a
 * folder that is filled as fast as it is emptied. What could be removed until then is gone.
 */
export async function removeTree(path: string): Promise<void> {
  const root = Buffer.from(path);
  if (!(await enter(root))) return;
  let moved = 0;
  const moveUp = async (folder: Buffer): Promise<Buffer> => {
    for (;;) {
      const place = join(root, Buffer.from(`.removed-${process.pid}-${moved++}`));
      try {
        await rename(folder, place);
        return place;
      } catch (error) {
        if (isGone(error)) return folder; // the list then finds it empty
        if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
      }
    }
  };
  const open: Folder[] = [{ path: root, refills: 0 }];
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    const inside = await clear(last.path);
    if (inside.length === 0 && (await removeFolder(last))) open.pop();
    for (const name of inside) {
      const at = join(last.path, name);
      if (!(await enter(at))) continue;
      open.push({ path: at.length > MAX_PATH_BYTES ? await moveUp(at) : at, refills: 0 });
    }
  }
}

/**
 * Gives us the right to read and to change a folder. False: it was no folder (any more), and is
 * removed.
 */
async function enter(path: Buffer): Promise<boolean> {
  try {
    const info = await lstat(path);
    if (!info.isDirectory()) {
      await unlink(path);
      return false;
    }
    if ((info.mode & 0o700) !== 0o700) await chmod(path, 0o700);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/**
 * Removes the files and links in a folder; yields the names of folders, at most BATCH and
 * not always all.
 */
async function clear(folder: Buffer): Promise<Buffer[]> {
  let names: Dir;
  try {
    // Node's types know names as text only; with this encoding each name is a Buffer.
    names = await opendir(folder, { encoding: "buffer" as BufferEncoding, bufferSize: BATCH });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
  const folders: Buffer[] = [];
  try {
    for (let batch = await some(names); batch.length > 0; batch = await some(names)) {
      await removeFiles(folder, { batch, folders });
      if (folders.length >= BATCH) break;
    }
  } catch (error) {
    // Linux reports this when the folder was removed while its list was read.
    if (!isGone(error)) throw error;
  } finally {
    await names.close();
  }
  return folders;
}

async function some(names: Dir): Promise<Dirent[]> {
  const batch: Dirent[] = [];
  while (batch.length < BATCH) {
    const entry = await names.read();
    if (entry === null) break;
    batch.push(entry);
  }
  return batch;
}

async function removeFiles(
  folder: Buffer,
  { batch, folders }: { batch: readonly Dirent[]; folders: Buffer[] },
): Promise<void> {
  let next = 0;
  const remove = async (): Promise<void> => {
    while (next < batch.length) {
      const entry = batch[next++]!;
      const { name, isFolder } = readEntry(entry);
      if (isFolder || !(await removeFile(join(folder, name)))) folders.push(name);
    }
  };
  // Wait for all of them, also after an error: once we have rejected, nothing may be under way any
  // more.
  const ends = await Promise.allSettled(Array.from({ length: IN_FLIGHT }, remove));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/**
 * Reads an entry of a list of names in bytes. Node gives an object whose name is a Buffer. Deno
 * gives one whose name is a text. Bun gives the Buffer alone, so only an attempt to remove it tells
 * what it is.
 */
export function readEntry(entry: unknown): { name: Buffer; isFolder: boolean } {
  if (Buffer.isBuffer(entry)) return { name: entry, isFolder: false };
  const { name } = entry as { name: string | Buffer };
  const isFolder = (entry as Dirent).isDirectory();
  return { name: typeof name === "string" ? Buffer.from(name) : name, isFolder };
}

/** False: it is a folder. Some lists do not tell which names are folders. */
async function removeFile(path: Buffer): Promise<boolean> {
  try {
    await unlink(path);
  } catch (error) {
    if (isGone(error)) return true;
    if (codeOf(error) === "EISDIR") return false;
    const info = await lstat(path).catch(() => undefined);
    if (info?.isDirectory()) return false; // macOS says EPERM
    throw error;
  }
  return true;
}

/** False: something is still in it, or again. */
async function removeFolder(folder: Folder): Promise<boolean> {
  try {
    await rmdir(folder.path);
  } catch (error) {
    if (isGone(error)) return true;
    const refilled = codeOf(error) === "ENOTEMPTY" || codeOf(error) === "EEXIST";
    if (!refilled || ++folder.refills > MAX_REFILLS) throw error;
    return false;
  }
  return true;
}

function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, SLASH, name]);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** The path is gone, or its folder is; or its folder is a file now. */
function isGone(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}
