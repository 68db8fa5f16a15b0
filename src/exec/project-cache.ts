/**
 * Lesson 11: unpacked projects, kept by the hash of their archive.
 *
 *     <cacheDir>/<sha256>                the folder; its name is the proof of its content
 *     <cacheDir>/users/<sha256>.<random> a lock, held by each process that may be using it
 *
 * A project is fetched once, however many of its jobs arrive at once. Projects beyond a bound are removed, the
 * least recently used first, except those a job uses and those another worker on this machine holds.
 *
 * Invariant: a folder under its final name is complete (it was renamed to it).
 * Left out: the moment between another process's look for locks and its removal of the folder; a job that
 * starts just then fails with "no such file in the project", and its retry finds the project again.
 * Test: test/11-worker.archive.test.ts
 */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { removeTree, type Host } from "#host";
import { ArchiveError, unpackArchive } from "./archive.ts";

/** Unpacked projects that one process keeps: with the largest allowed, 2 GiB. */
export const MAX_CACHED_PROJECTS = 32;

interface Kept {
  readonly lock: { release(): Promise<void> };
  /** Jobs that run in it. */
  users: number;
}

/** Everything known about one cache folder. */
class Cache {
  /** In order of use, the last used last. */
  readonly kept = new Map<string, Kept>();
  readonly fetching = new Map<string, Promise<string>>();
}

/** One per folder and process, because the executor and the worker meet here without knowing each other. */
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
  options: { maxProjects?: number } = {},
): Promise<string> {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new ArchiveError("CORRUPT", `Cannot find a project: ${JSON.stringify(hash)} is not a SHA-256`);
  const folder = join(cacheDir, hash);
  const cache = cacheOf(dirname(folder));
  const kept = cache.kept.get(hash);
  if (kept !== undefined) {
    cache.kept.delete(hash);
    cache.kept.set(hash, kept); // Now the last used.
    if (!cache.fetching.has(hash) && (await host.storage.stat(folder))?.kind === "directory") return folder;
  }
  let fetching = cache.fetching.get(hash);
  if (fetching === undefined) {
    fetching = keep(host, { cache, cacheDir, hash, fetch }).finally(() => cache.fetching.delete(hash));
    cache.fetching.set(hash, fetching);
  }
  await fetching;
  await evict(host, { cache, cacheDir, max: options.maxProjects ?? MAX_CACHED_PROJECTS, spare: hash });
  return folder;
}

/** Takes note that a job runs in this folder; the function that is returned, that it has ended. */
export function holdProject(folder: string): () => void {
  const kept = caches.get(dirname(folder))?.kept.get(basename(folder));
  if (kept === undefined) return () => {};
  kept.users++;
  return () => void kept.users--;
}

async function keep(host: Host, what: { cache: Cache; cacheDir: string; hash: string; fetch: () => Promise<Buffer> }): Promise<string> {
  const { cache, cacheDir, hash } = what;
  const folder = join(cacheDir, hash);
  if (!cache.kept.has(hash)) {
    const users = join(cacheDir, "users");
    await host.storage.mkdir(users);
    // The lock first: from here on no other process removes the folder.
    const lock = await host.storage.lock(join(users, `${hash}.${Buffer.from(host.random.bytes(6)).toString("hex")}`));
    cache.kept.set(hash, { lock, users: 0 });
  }
  try {
    if ((await host.storage.stat(folder))?.kind === "directory") return folder;
    const bytes = await what.fetch();
    const found = createHash("sha256").update(bytes).digest("hex");
    if (found !== hash) throw new ArchiveError("CORRUPT", `Cannot use the project ${hash}: the bytes that came have the hash ${found}`);
    await unpackArchive(host, bytes, folder);
    return folder;
  } catch (error) {
    // Another process may have been faster.
    if ((await host.storage.stat(folder))?.kind === "directory") return folder;
    await drop(cache, hash);
    throw error;
  }
}

async function drop(cache: Cache, hash: string): Promise<void> {
  const kept = cache.kept.get(hash);
  cache.kept.delete(hash);
  await kept?.lock.release();
}

async function evict(host: Host, what: { cache: Cache; cacheDir: string; max: number; spare: string }): Promise<void> {
  const { cache, cacheDir, max, spare } = what;
  const folders = (await host.storage.list(cacheDir)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  let excess = folders.length - max;
  if (excess <= 0) return;
  // First what no job of this process asked for, then what was asked for longest ago.
  const strangers = folders.filter((name) => !cache.kept.has(name));
  for (const hash of [...strangers, ...cache.kept.keys()]) {
    if (excess <= 0) return;
    if (hash === spare || cache.fetching.has(hash) || (cache.kept.get(hash)?.users ?? 0) > 0) continue;
    await drop(cache, hash);
    if (await isLocked(host, { cacheDir, hash })) continue;
    // Renamed first, so that nobody finds half a project.
    const gone = join(cacheDir, `${hash}.gone-${Buffer.from(host.random.bytes(6)).toString("hex")}`);
    await host.storage.rename(join(cacheDir, hash), gone).catch(() => {});
    await removeTree(gone);
    excess--;
  }
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
