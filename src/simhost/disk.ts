/**
 * The disk as one life of its host sees it, when nothing goes wrong with it. Locks end with that
 * life.
 *
 * `disk-image.ts` has the bytes and what a power cut leaves of them; `disk-faults.ts` is what goes
 * wrong.
 *
 * Test: test/22-simulation.world.test.ts
 */
import { posix } from "node:path";
import type { FileInfo, Storage, StoredFile } from "#host";
import type { Boot, Held } from "./machine.ts";
import { bytesOf, Inode, normal, type DiskImage } from "./disk-image.ts";
import type { World } from "./types.ts";

export class SimStorage implements Storage {
  readonly #disk: DiskImage;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #locks = new Set<string>();

  constructor(disk: DiskImage, options: { world: World; boot: Boot }) {
    this.#disk = disk;
    this.#world = options.world;
    this.#boot = options.boot;
  }

  async open(
    path: string,
    options: { create?: boolean; exclusive?: boolean } = {},
  ): Promise<SimFile> {
    const name = normal(path);
    let inode = this.#disk.names.get(name);
    if (inode !== undefined && options.exclusive) throw systemError("EEXIST", `open ${path}`);
    if (inode === undefined) {
      if (!options.create && !options.exclusive) throw systemError("ENOENT", `open ${path}`);
      inode = this.#create(name);
    }
    return new SimFile(inode, { world: this.#world, boot: this.#boot, name });
  }

  async readFile(path: string): Promise<Buffer> {
    const inode = this.#disk.names.get(normal(path));
    if (inode === undefined) throw systemError("ENOENT", `read ${path}`);
    return Buffer.from(bytesOf(inode.current));
  }

  async writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const name = normal(path);
    const inode = this.#disk.names.get(name) ?? this.#create(name);
    inode.truncate(0);
    inode.append(bytes);
  }

  async rename(from: string, to: string): Promise<void> {
    const { names, folders } = this.#disk;
    const source = normal(from);
    const target = normal(to);
    const inode = names.get(source);
    if (inode !== undefined) {
      this.#requireFolder(target);
      names.delete(source);
      names.set(target, inode);
    } else if (folders.has(source)) {
      for (const folder of [...folders]) {
        if (isInside(folder, source)) {
          moveKey(folders, folder, target + folder.slice(source.length));
        }
      }
      for (const name of [...names.keys()]) {
        if (!isInside(name, source)) continue;
        names.set(target + name.slice(source.length), names.get(name)!);
        names.delete(name);
      }
    } else throw systemError("ENOENT", `rename ${from}`);
  }

  async remove(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    const { names, folders } = this.#disk;
    const target = normal(path);
    names.delete(target);
    if (!folders.has(target)) return;
    if (!options.recursive) throw systemError("EISDIR", `remove ${path}`);
    for (const name of [...names.keys()]) if (isInside(name, target)) names.delete(name);
    for (const folder of [...folders]) if (isInside(folder, target)) folders.delete(folder);
  }

  async mkdir(path: string): Promise<void> {
    for (let folder = normal(path); folder !== "/"; folder = posix.dirname(folder)) {
      if (this.#disk.names.has(folder)) throw systemError("EEXIST", `mkdir ${path}`);
      this.#disk.folders.add(folder);
    }
  }

  async list(path: string): Promise<string[]> {
    const folder = normal(path);
    const all = [...this.#disk.names.keys(), ...this.#disk.folders];
    return all
      .filter((name) => name !== "/" && posix.dirname(name) === folder)
      .map((name) => posix.basename(name))
      .sort();
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const name = normal(path);
    const inode = this.#disk.names.get(name);
    if (inode !== undefined) return { kind: "file", size: inode.current.length, mode: 0o644 };
    return this.#disk.folders.has(name) ? { kind: "directory", size: 0, mode: 0o755 } : undefined;
  }

  async syncDirectory(path: string): Promise<void> {
    const folder = normal(path);
    if (!this.#disk.folders.has(folder)) throw systemError("ENOENT", `sync ${path}`);
    await synced(this.#world, this.#boot);
    this.#disk.syncDirectory(folder);
    this.#world.note(`${this.#boot.name} synced ${folder}/`);
  }

  async lock(path: string): Promise<{ release(): Promise<void> }> {
    const name = normal(path);
    if (this.#locks.has(name)) {
      throw Object.assign(new Error(`Cannot lock ${path}: held by process 1`), { code: "ELOCKED" });
    }
    this.#locks.add(name);
    const held: Held = { kind: "lock", what: name };
    this.#boot.held.add(held);
    return {
      release: async () => {
        if (this.#boot.held.delete(held)) this.#locks.delete(name);
      },
    };
  }

  #create(name: string): Inode {
    this.#requireFolder(name);
    if (this.#disk.folders.has(name)) throw systemError("EISDIR", `open ${name}`);
    const inode = new Inode();
    this.#disk.names.set(name, inode);
    return inode;
  }

  #requireFolder(name: string): void {
    if (!this.#disk.folders.has(posix.dirname(name))) throw systemError("ENOENT", `open ${name}`);
  }
}

export class SimFile implements StoredFile {
  readonly #inode: Inode;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #name: string;
  readonly #held: Held;

  constructor(inode: Inode, options: { world: World; boot: Boot; name: string }) {
    this.#held = { kind: "file", what: options.name };
    options.boot.held.add(this.#held);
    this.#inode = inode;
    this.#world = options.world;
    this.#boot = options.boot;
    this.#name = options.name;
  }

  get size(): number {
    return this.#inode.current.length;
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) this.#inode.append(part);
  }

  async appendAndSync(parts: readonly Uint8Array[]): Promise<void> {
    await this.append(parts);
    await this.sync();
  }

  // #region sync
  async sync(): Promise<void> {
    // The bytes that are there when the sync starts become durable when it ends; a crash in between
    // keeps the old state.
    const { buffer, length } = this.#inode.current;
    await synced(this.#world, this.#boot);
    this.#inode.synced = { buffer, length };
    this.#world.note(`${this.#boot.name} synced ${this.#name} ${length}`);
  }
  // #endregion

  async read(offset: number, length: number): Promise<Buffer> {
    return Buffer.from(bytesOf(this.#inode.current).subarray(offset, offset + length));
  }

  async truncate(size: number): Promise<void> {
    this.#inode.truncate(size);
  }

  async close(): Promise<void> {
    this.#boot.held.delete(this.#held);
  }
}

/** The time that a sync takes. Never resolves for a host that is dead by then. */
export function synced(world: World, boot: Boot): Promise<void> {
  const range = boot.machine.disk.slowSync ?? world.options.syncMs;
  return new Promise((resolve) => void world.after(boot, world.between(range), resolve));
}

function isInside(name: string, folder: string): boolean {
  return name === folder || name.startsWith(`${folder}/`);
}

function moveKey(set: Set<string>, from: string, to: string): void {
  set.delete(from);
  set.add(to);
}

export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
