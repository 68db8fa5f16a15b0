/**
 * Lesson 11: the few things about folders that `Storage` cannot do: symbolic links, permissions,
 * and making and removing a job's work folder fast.
 *
 * Most of these calls block. At two thousand jobs a second that is the cheaper way: a call of 5 µs
 * takes 60 by way of Node's thread pool. A large project is copied, and a full folder is removed,
 * the slow way, in the pool.
 *
 * Invariant: links are made and removed, never followed, so nothing outside the folder is touched.
 * Left out: a leftover process of one job may, in the moments until it is killed, write into the
 * folder that the next job got. A simulated version is missing, too: a simulated worker gets a
 * simulated executor.
 * Test: test/11-worker.exec.test.ts
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { copySmall, isSmall, type ProjectTree } from "./project-tree.ts";
import { removeTree } from "./remove-tree.ts";
import { SpareTrees } from "./spare-trees.ts";

const { closeSync, chmodSync, lstatSync, mkdirSync, openSync, readdirSync, readlinkSync } = fs;
const { readSync, renameSync, rmdirSync, statSync, symlinkSync, unlinkSync, writeFileSync } = fs;

const code = (error: unknown) => (error as { code?: string }).code;

/** The entry at a path. A link is an entry itself. */
export interface TreeEntry {
  readonly kind: "file" | "directory" | "link" | "other";
  readonly size: number;
  readonly mode: number;
  /** Where a link points. */
  readonly target?: string;
}

/** Like `Storage.stat`, but does not follow links. Undefined when nothing is there. */
export function lookAt(path: string): TreeEntry | undefined {
  const info = lstatSync(path, { throwIfNoEntry: false });
  if (info === undefined) return undefined;
  const { size, mode } = info;
  if (info.isSymbolicLink()) {
    return { kind: "link", size, mode: mode & 0o777, target: readlinkSync(path) };
  }
  const kind = info.isFile() ? "file" : info.isDirectory() ? "directory" : "other";
  return { kind, size, mode: mode & 0o777 };
}

/** Makes a symbolic link. EEXIST if something is there. */
export function makeLink(path: string, target: string): void {
  symlinkSync(target, path);
}

/** Sets the permission bits. */
export function setMode(path: string, mode: number): void {
  chmodSync(path, mode);
}

export interface MakeOptions {
  /** The job gets a copy of its own. */
  readonly project?: ProjectTree;
  /** Folders that are made as well if this one is the first of its run. */
  readonly beside?: readonly string[];
  /** Ends the copying of a large project. */
  readonly signal?: AbortSignal;
}

/** Makes and removes the folders that jobs run in. */
export interface WorkFolders {
  /**
   * Makes a folder that holds a copy of the project and nothing else, with its parents. At
   * once, or, if the project is large, when the promise resolves. If that rejects, half a copy
   * may be there.
   */
  make(path: string, options?: MakeOptions): void | Promise<void>;
  /** Writes a small file. */
  write(path: string, bytes: Buffer | string): void;
  /**
   * The content of a file of at most `maxBytes`; its size if it is longer; undefined if there is
   * none. EINVAL if the path is no file.
   */
  read(path: string, maxBytes: number): Buffer | number | undefined;
  /** Whether a file is there, or a link that leads to one. */
  isFile(path: string): boolean;
  /** Removes a folder at once if that is fast. False: it must be removed the slow way. */
  removeLight(path: string): boolean;
  remove(path: string): Promise<void>;
}

/**
 * The real folders, below `root`.
 *
 * A folder that a job left empty is not removed but renamed, to be the next job's: on ext4 a rename
 * takes 4 µs, where mkdir and rmdir together take 200, and milliseconds while another program syncs
 * the same disk.
 */
export function nodeWorkFolders(root: string): WorkFolders {
  const spares = new SpareFolders(join(root, ".spare"));
  const trees = new SpareTrees(join(root, ".spare"));
  return {
    make(path, options = {}) {
      const { project } = options;
      if (project === undefined || isSmall(project)) {
        makeEmpty(path, { ...options, spares, trees });
        if (project !== undefined) copySmall(project, path);
        return;
      }
      for (const folder of [dirname(path), ...(options.beside ?? [])]) {
        mkdirSync(folder, { recursive: true });
      }
      if (lookAt(path) !== undefined) trees.putAway(path);
      return trees.take(project, path, options.signal ?? new AbortController().signal);
    },
    write: (path, bytes) => writeFileSync(path, bytes),
    read: readSmall,
    isFile,
    removeLight: (path) => trees.keep(path) || removeLight(path, spares),
    async remove(path) {
      if (path === root) await trees.close();
      await removeTree(path);
    },
  };
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // nothing is there, or we may not look at it
  }
}

/** As many as jobs run at once on a large worker. */
const MAX_SPARES = 64;

class SpareFolders {
  readonly #free: string[] = [];
  #made = 0;
  #mode: number | undefined;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Moves a spare folder to `path`; false if there is none. */
  take(path: string): boolean {
    const spare = this.#free.pop();
    if (spare === undefined) return false;
    renameSync(spare, path);
    return true;
  }

  /** Takes an empty folder in; false if there are enough, or if the job changed its permissions. */
  keep(path: string, mode: number): boolean {
    if (this.#free.length >= MAX_SPARES) return false;
    if (this.#mode === undefined) {
      mkdirSync(this.#folder, { recursive: true });
      this.#mode = lstatSync(this.#folder).mode;
    }
    if (mode !== this.#mode) return false;
    const spare = join(this.#folder, String(this.#made++));
    renameSync(path, spare);
    this.#free.push(spare);
    return true;
  }
}

function makeEmpty(
  path: string,
  { beside = [], spares, trees }: {
    beside?: readonly string[]; spares: SpareFolders; trees: SpareTrees;
  },
): void {
  try {
    if (!spares.take(path)) mkdirSync(path);
  } catch (error) {
    // The first job of a run makes the parents; to ask before each job would cost more than this.
    if (code(error) === "ENOENT") {
      for (const folder of beside) mkdirSync(folder, { recursive: true });
    } else if (code(error) === "EEXIST" || code(error) === "ENOTEMPTY") {
      // A worker that died has left this folder: its attempt is over.
      trees.putAway(path);
    } else throw error;
    mkdirSync(path, { recursive: true });
  }
}

/**
 * So many entries are removed in the turn that ends their job: as many as project-tree.ts copies at
 * once, and a few files of the job's own.
 */
const LIGHT_ENTRIES = 48;
/**
 * Only a folder whose list is no longer than this is read in that turn. On ext4 a folder of 48
 * entries with the longest names has 16 KiB, and one of 100,000 entries 4 MiB, of which the names
 * alone would take 100 ms to read.
 */
const LIGHT_FOLDER_BYTES = 64 * 1024;
/** Unlinking a file takes time by its length: 1 MiB takes less than a millisecond. */
const LIGHT_BYTES = 1024 * 1024;

function removeLight(path: string, spares: SpareFolders): boolean {
  try {
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info === undefined) return true;
    // A job may have put a link here. Reading the folder behind it would empty that folder.
    if (!info.isDirectory() || info.size > LIGHT_FOLDER_BYTES) return false;
    if (!emptyLight(path, { entries: LIGHT_ENTRIES, bytes: LIGHT_BYTES })) return false;
    if (!spares.keep(path, info.mode)) rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Removes what is in a folder as long as the budget lasts. False: something is left. */
function emptyLight(path: string, budget: { entries: number; bytes: number }): boolean {
  const entries = readdirSync(path, { withFileTypes: true });
  budget.entries -= entries.length;
  if (budget.entries < 0) return false;
  for (const entry of entries) {
    const at = join(path, entry.name);
    if (entry.isDirectory()) {
      if (lstatSync(at).size > LIGHT_FOLDER_BYTES) return false;
      if (!emptyLight(at, budget)) return false;
      rmdirSync(at);
      continue;
    }
    if (entry.isFile()) budget.bytes -= lstatSync(at).size;
    if (budget.bytes < 0) return false;
    unlinkSync(at);
  }
  return true;
}

/** See `WorkFolders.read`. */
export function readSmall(path: string, maxBytes: number): Buffer | number | undefined {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined) return undefined;
  // A named pipe here would block us for ever, and /dev/zero has no end.
  if (!info.isFile()) {
    throw Object.assign(new Error("it is not a regular file"), { code: "EINVAL" });
  }
  if (info.size > maxBytes) return info.size;
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(info.size);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}
