/**
 * Lesson 22: a disk as the next life would find it after a power cut, to be read and not to be
 * changed.
 *
 * The judge reads it with the log's own reader; through the machine's `Host` it would see the page
 * cache, and use up the failures that were ordered for the master.
 *
 * Test: test/22-simulation.test.ts
 */
import type { Host, Storage, StoredFile } from "#host";
import type { SimWorld } from "#simhost";

/** A host of which only the storage may be used, and only for reading. */
export function durableView(world: SimWorld, machine: string): Host {
  const disk = world.disk(machine);
  const bytesOf = (path: string): Buffer => {
    const bytes = disk.durable(path);
    if (bytes === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
    return bytes;
  };
  const refuse = async (): Promise<never> => {
    throw Object.assign(new Error("EROFS: the platter is only read"), { code: "EROFS" });
  };
  const fileOf = (bytes: Buffer): StoredFile => ({
    size: bytes.length,
    read: async (offset, length) => Buffer.from(bytes.subarray(offset, offset + length)),
    close: async () => undefined,
    append: refuse, appendAndSync: refuse, sync: refuse, truncate: refuse,
  });
  const storage: Storage = {
    open: async (path) => fileOf(bytesOf(path)),
    readFile: async (path) => bytesOf(path),
    list: async (path) => disk.durableNames(path),
    stat: async (path) => {
      const bytes = disk.durable(path);
      return bytes === undefined ? undefined : { kind: "file", size: bytes.length, mode: 0o644 };
    },
    writeFile: refuse,
    rename: refuse,
    remove: refuse,
    mkdir: refuse,
    syncDirectory: refuse,
    lock: refuse,
  };
  return { storage } as Host;
}
