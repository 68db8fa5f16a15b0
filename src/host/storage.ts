/**
 * Lesson 03: the real disk.
 *
 * Folders and files are made for their owner alone, whatever the umask says: the log holds the
 * environments of jobs, and those hold passwords. What is there already keeps its mode.
 *
 * Thin over node:fs/promises; `file.ts` holds the log's hot path and `lock.ts` the exclusive lock.
 * Test: test/03-host.test.ts
 */
import * as fs from "node:fs";
import { promises } from "node:fs";
import { dirname } from "node:path";
import { NodeFile } from "./file.ts";
import { lock } from "./lock.ts";
import { removeTree } from "./remove-tree.ts";
import type { FileInfo, Storage, StoredFile } from "./types.ts";

/** The modes of folders and files that are made here. */
const [FOLDER_MODE, FILE_MODE] = [0o700, 0o600];

export function nodeStorage(): Storage {
  return {
    open,
    readFile: (path) => promises.readFile(path),
    writeFile: (path, bytes) => promises.writeFile(path, bytes, { mode: FILE_MODE }),
    rename: (from, to) => promises.rename(from, to),
    remove: (path, options = {}) =>
      options.recursive ? removeTree(path) : promises.rm(path, { force: true }),
    mkdir,
    list,
    stat,
    syncDirectory,
    lock,
  };
}

function open(
  path: string,
  options: { create?: boolean; exclusive?: boolean; readOnly?: boolean } = {},
): Promise<StoredFile> {
  const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  const flags =
    (options.readOnly ? O_RDONLY : O_RDWR) |
    (options.create || options.exclusive ? O_CREAT : 0) |
    (options.exclusive ? O_EXCL : 0);
  return new Promise((resolve, reject) => {
    fs.open(path, flags, FILE_MODE, (error, fd) => {
      if (error) return reject(error);
      fs.fstat(fd, (failure, info) => {
        if (!failure) return resolve(new NodeFile(fd, info.size));
        fs.close(fd, () => reject(failure));
      });
    });
  });
}

async function list(path: string): Promise<string[]> {
  try {
    // The system's order depends on the file system's hash; readers of a folder must see one order.
    return (await promises.readdir(path)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/**
 * Makes folder after folder. Node 20's own `recursive` takes ENOENT for a missing parent, makes the
 * parent, and tries again: for ever, if the parent exists and nobody may make anything in it
 * (/proc).
 */
async function mkdir(path: string): Promise<void> {
  try {
    await makeFolder(path);
  } catch (error) {
    const parent = dirname(path);
    if ((error as { code?: string }).code !== "ENOENT" || parent === path) throw error;
    await mkdir(parent);
    await makeFolder(path);
  }
}

/** A folder that is there already is as good, whoever made it. */
async function makeFolder(path: string): Promise<void> {
  try {
    await promises.mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if ((await stat(path))?.kind !== "directory") throw error;
  }
}

async function stat(path: string): Promise<FileInfo | undefined> {
  try {
    const info = await promises.stat(path);
    const kind = info.isFile() ? "file" : info.isDirectory() ? "directory" : "other";
    return { kind, size: info.size, mode: info.mode & 0o777 };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const folder = await promises.open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  const code = (error as { code?: string }).code;
  return code === "ENOENT" || code === "ENOTDIR";
}
