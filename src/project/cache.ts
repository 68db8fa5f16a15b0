/**
 * Lesson 11: projects, kept by the hash of their archive.
 *
 *     <cacheDir>                         0700: only this user comes in
 *     <cacheDir>/<sha256>.pack           the archive; its name is the proof of its content
 *     <cacheDir>/<sha256>                the unpacked archive
 *     <cacheDir>/users/<sha256>.<random> a lock, held by each process that may be using it
 *     <cacheDir>/<sha256>.part-<random>  half made, as are .pack-… and .gone-…: coming or going
 *
 * A project is fetched once, however many of its jobs arrive at once. Projects beyond a bound are
 * removed, the least recently used first, except projects that a job uses or another worker on this
 * machine holds.
 *
 * A job gets a copy of the folder, and a `call` imports from the folder itself. Nothing keeps a
 * program of the same user from writing into it by its absolute path. So a folder is checked before
 * each use (project-tree.ts: 3 µs an entry). When an entry differs from the stamp that we remember,
 * or when another process made the folder, the folder is **in doubt**: then it is compared with the
 * archive, and the archive with its name.
 *
 * Invariants: a folder under its final name is complete (it was renamed to it); a folder from
 * ensureProject had the content of its hash when it was last checked.
 * Left out: the moment between another process's look for locks and its removal of the folder; a
 * job that starts just then fails, and its retry finds the project again. And a change between the
 * check and the import of a `call`; a copy notices such a change, because it checks again after
 * copying.
 * Test: test/11-worker.archive.test.ts
 */
import { basename, dirname, join } from "node:path";
import {
  isUntouched, listTree, lookAt, removeTree, setMode, SETTLE_MS, stampTree,
  type Host, type ProjectTree, type TreeFile, type TreeStamp,
} from "#host";
import {
  ArchiveError, hashOf, MAX_PROJECT_BYTES, sameAsArchive, unpackArchive,
} from "./archive.ts";

/** Unpacked projects that one process keeps: with the largest allowed, 2 GiB. */
export const MAX_CACHED_PROJECTS = 32;
/**
 * More than any archive has: the largest project, and as much again for files that compression
 * makes larger.
 */
const MAX_PACK_BYTES = 2 * MAX_PROJECT_BYTES;

interface Kept {
  readonly lock: { release(): Promise<void> };
  /** Jobs that run in it. */
  users: number;
  /** The content of the folder when it was last known to be right. */
  tree: Known | undefined;
  /**
   * The check that is under way, and the next one, for callers that came after the first had begun.
   */
  look: Promise<boolean> | undefined;
  nextLook: Promise<boolean> | undefined;
}

type Known = ProjectTree & { readonly stamp: TreeStamp };

interface Options {
  readonly maxProjects?: number;
  /** Called with news that a person may want to know. */
  readonly onNote?: (text: string) => void;
}

/** Everything known about one cache folder. */
class Cache {
  /** In order of use, the latest last. */
  readonly kept = new Map<string, Kept>();
  readonly fetching = new Map<string, Promise<string>>();
  /** Settles once the half-made and half-removed folders of killed processes are being removed. */
  swept: Promise<void> | undefined;
}

/**
 * One cache per folder and process, because the executor and the worker share it without knowing
 * each other.
 */
const caches = new Map<string, Cache>();
function cacheOf(folder: string): Cache {
  let cache = caches.get(folder);
  if (cache === undefined) caches.set(folder, (cache = new Cache()));
  return cache;
}

/**
 * The folder of the project with this hash, fetched and unpacked if it is not there.
 *
 * @throws ArchiveError CORRUPT when the fetched bytes have another hash, and what `fetch` throws.
 */
export async function ensureProject(
  host: Host,
  cacheDir: string,
  hash: string,
  fetch: () => Promise<Buffer>,
  options: Options = {},
): Promise<string> {
  if (!/^[0-9a-f]{64}$/.test(hash)) {
    throw new ArchiveError(
      "CORRUPT",
      `Cannot find a project: ${JSON.stringify(hash)} is not a SHA-256`,
    );
  }
  const folder = join(cacheDir, hash);
  const cache = cacheOf(dirname(folder));
  const kept = cache.kept.get(hash);
  if (kept !== undefined) {
    cache.kept.delete(hash);
    cache.kept.set(hash, kept); // the latest now
    const isHere = !cache.fetching.has(hash) && kept.tree !== undefined;
    if (isHere && (await isSound(kept))) return folder;
  }
  let fetching = cache.fetching.get(hash);
  if (fetching === undefined) {
    fetching = keep(host, { cache, cacheDir, hash, fetch, ...options })
      .finally(() => cache.fetching.delete(hash));
    cache.fetching.set(hash, fetching);
  }
  await fetching;
  await evict(host, {
    cache,
    cacheDir,
    max: options.maxProjects ?? MAX_CACHED_PROJECTS,
    spare: hash,
  });
  return folder;
}

/** Notes that a job runs in this folder. The returned function notes that the job has ended. */
export function holdProject(folder: string): () => void {
  const kept = caches.get(dirname(folder))?.kept.get(basename(folder));
  if (kept === undefined) return () => {};
  kept.users++;
  return () => void kept.users--;
}

/**
 * The files of a project: as we know them for a folder in a cache, as they are for any other
 * folder.
 */
export function projectTree(folder: string): ProjectTree {
  return caches.get(dirname(folder))?.kept.get(basename(folder))?.tree ?? listTree(folder);
}

// #region isSound
/**
 * Whether the folder still looks as it did. One check serves all callers that ask before it begins.
 */
function isSound(kept: Kept): Promise<boolean> {
  if (kept.nextLook !== undefined) return kept.nextLook;
  const look = (): Promise<boolean> => {
    const { tree } = kept;
    kept.nextLook = undefined;
    const looking = tree === undefined ? Promise.resolve(false) : isUntouched(tree, tree.stamp);
    const done = looking.finally(() => { if (kept.look === done) kept.look = undefined; });
    return (kept.look = done);
  };
  if (kept.look === undefined) return look();
  return (kept.nextLook = kept.look.then(look, look));
}
// #endregion

interface Wanted extends Options {
  readonly cache: Cache;
  readonly cacheDir: string;
  readonly hash: string;
  readonly fetch: () => Promise<Buffer>;
}

/**
 * Other processes may unpack or drop the same project meanwhile: then the next try sees their
 * result.
 */
const TRIES = 3;

async function keep(host: Host, what: Wanted): Promise<string> {
  const { cache, cacheDir, hash } = what;
  const folder = join(cacheDir, hash);
  const users = join(cacheDir, "users");
  await host.storage.mkdir(users); // always: a job may have removed it all
  setMode(cacheDir, 0o700);
  await (cache.swept ??= sweepStrays(host, cacheDir));
  if (!cache.kept.has(hash)) {
    // The lock first: from here on no other process removes the folder.
    const lock = await host.storage.lock(
      join(users, `${hash}.${Buffer.from(host.random.bytes(6)).toString("hex")}`),
    );
    cache.kept.set(hash, { lock, users: 0, tree: undefined, look: undefined, nextLook: undefined });
  }
  for (let tries = 1; ; tries++) {
    try {
      const entries = (await existing(host, what, folder)) ?? (await make(host, what, folder));
      const tree = entries && (await known(host, folder, entries));
      if (tree === undefined) {
        throw new Error(`Cannot unpack the project ${hash}: its folder is being changed`);
      }
      const kept = cache.kept.get(hash);
      if (kept !== undefined) kept.tree = tree;
      return folder;
    } catch (error) {
      if (tries < TRIES && (await host.storage.stat(folder))?.kind === "directory") continue;
      await drop(cache, hash);
      throw error;
    }
  }
}

/**
 * The entries of the folder that was found, if they equal the archive. Otherwise the folder is
 * removed.
 */
async function existing(host: Host, what: Wanted, folder: string): Promise<TreeFile[] | undefined> {
  const { hash, cache, onNote } = what;
  if (lookAt(folder) === undefined) return undefined;
  const bytes = await readPack(host, what);
  const entries = bytes && (await sameAsArchive(host, bytes, folder).catch(() => undefined));
  if (entries !== undefined) return entries;
  // It is no news if an older version, which kept no archives, has left the folder there.
  const wasOurs = cache.kept.get(hash)?.tree !== undefined;
  if (bytes !== undefined || wasOurs) {
    const project = `the project ${hash.slice(0, 12)} in the cache`;
    onNote?.(`${project} was changed by somebody; it is unpacked again`);
  }
  await removeAside(host, folder);
  return undefined;
}

/** Unpacks the project, and fetches its archive if that is not here. */
async function make(host: Host, what: Wanted, folder: string): Promise<TreeFile[]> {
  const { hash } = what;
  let bytes = await readPack(host, what);
  if (bytes === undefined) {
    bytes = await what.fetch();
    const found = await hashOf(host, bytes);
    if (found !== hash) {
      throw new ArchiveError(
        "CORRUPT",
        `Cannot use the project ${hash}: the bytes that came have the hash ${found}`,
      );
    }
    await writePack(host, folder, bytes);
  }
  try {
    return await unpackArchive(host, bytes, folder);
  } catch (error) {
    if (error instanceof ArchiveError) await host.storage.remove(packOf(folder));
    throw error;
  }
}

async function writePack(host: Host, folder: string, bytes: Buffer): Promise<void> {
  const part = `${folder}.pack-${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  try {
    await host.storage.writeFile(part, bytes);
    if (lookAt(packOf(folder))?.kind === "directory") await removeTree(packOf(folder));
    await host.storage.rename(part, packOf(folder));
  } catch (error) {
    await host.storage.remove(part).catch(() => {}); // on a full disk the file is half an archive
    throw error;
  }
}

const packOf = (folder: string): string => `${folder}.pack`;

/** The archive, if it is here and has not been changed. */
async function readPack(host: Host, { cacheDir, hash }: Wanted): Promise<Buffer | undefined> {
  const path = packOf(join(cacheDir, hash));
  // A named pipe in its place would keep us waiting for ever, and an endless file would fill our
  // memory.
  const info = await host.storage.stat(path).catch(() => undefined);
  if (info?.kind !== "file" || info.size > MAX_PACK_BYTES) return undefined;
  const bytes = await host.storage.readFile(path).catch(() => undefined);
  return bytes !== undefined && (await hashOf(host, bytes)) === hash ? bytes : undefined;
}

/**
 * Remembers how the entries look. A change in the same tick of the clock would not show, so we wait
 * until that tick has passed.
 */
async function known(
  host: Host,
  folder: string,
  entries: readonly TreeFile[],
): Promise<Known | undefined> {
  const stamp = await stampTree(folder, entries);
  await new Promise<void>((resolve) => void host.timers.after(SETTLE_MS, resolve));
  return stamp && { folder, entries, stamp };
}

async function drop(cache: Cache, hash: string): Promise<void> {
  const kept = cache.kept.get(hash);
  cache.kept.delete(hash);
  await kept?.lock.release();
}

async function evict(
  host: Host,
  what: { cache: Cache; cacheDir: string; max: number; spare: string },
): Promise<void> {
  const { cache, cacheDir, max, spare } = what;
  const folders = (await host.storage.list(cacheDir)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  let excess = folders.length - max;
  if (excess <= 0) return;
  // First the projects that no job of this process asked for, then the one that was asked for
  // longest ago.
  const strangers = folders.filter((name) => !cache.kept.has(name));
  for (const hash of [...strangers, ...cache.kept.keys()]) {
    if (excess <= 0) return;
    if (hash === spare || cache.fetching.has(hash) || (cache.kept.get(hash)?.users ?? 0) > 0) {
      continue;
    }
    await drop(cache, hash);
    if (await isLocked(host, { cacheDir, hash })) continue;
    await removeAside(host, join(cacheDir, hash));
    await host.storage.remove(packOf(join(cacheDir, hash)));
    excess--;
  }
}

const STRAY = /^([0-9a-f]{64})\.(?:part|pack|gone)-/;

/**
 * Runs before this process makes any strays: removes those whose makers are dead. A living maker
 * would hold a lock.
 */
async function sweepStrays(host: Host, cacheDir: string): Promise<void> {
  // Read the names before the locks: a process that makes a new one took its lock earlier, and so
  // is seen to live.
  for (const name of await host.storage.list(cacheDir)) {
    const hash = STRAY.exec(name)?.[1];
    if (hash === undefined || (await isLocked(host, { cacheDir, hash }))) continue;
    removeTree(join(cacheDir, name)).catch(() => {}); // nobody waits for it
  }
}

/**
 * The folder is renamed first, so that nobody finds half a project. Files that cannot be removed
 * stay beside it, and do no harm.
 */
async function removeAside(host: Host, folder: string): Promise<void> {
  const gone = `${folder}.gone-${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  await host.storage.rename(folder, gone).catch(() => {});
  await removeTree(gone).catch(() => {});
}

/** Whether a living process holds this project. Locks of dead ones are cleared away. */
async function isLocked(host: Host, what: { cacheDir: string; hash: string }): Promise<boolean> {
  const users = join(what.cacheDir, "users");
  for (const name of await host.storage.list(users)) {
    if (!name.startsWith(`${what.hash}.`)) continue;
    try {
      await (await host.storage.lock(join(users, name))).release();
    } catch {
      return true;
    }
  }
  return false;
}
