/**
 * A disk that forgets what was not synced.
 *
 *     file     current bytes  |  bytes as of the last sync that completed
 *     folder   current names  |  names as of the last `syncDirectory`
 *
 * A crash throws the left half away. A file whose name was never synced is gone with all its synced bytes, which is the
 * mistake that this is here to find. New folders count as synced at once.
 */
import { posix } from "node:path";
import type { FileInfo, Random, Storage, StoredFile } from "#host";
import type { Boot, World } from "./world.ts";

interface Content {
  buffer: Buffer;
  length: number;
}

/** Bytes under whatever name. `synced` shares its buffer with `current` as long as that only grows. */
class Inode {
  current: Content = { buffer: Buffer.alloc(0), length: 0 };
  synced: Content = { buffer: Buffer.alloc(0), length: 0 };

  append(bytes: Uint8Array): void {
    const { current } = this;
    const length = current.length + bytes.byteLength;
    if (length > current.buffer.length) {
      const bigger = Buffer.alloc(Math.max(1024, 2 * length));
      current.buffer.copy(bigger, 0, 0, current.length);
      current.buffer = bigger;
    }
    current.buffer.set(bytes, current.length);
    current.length = length;
  }

  truncate(size: number): void {
    const kept = Buffer.alloc(size);
    this.current.buffer.copy(kept, 0, 0, Math.min(size, this.current.length));
    // A buffer of its own: what is appended next must not overwrite bytes that the platter still has.
    this.current = { buffer: kept, length: size };
  }

  crash(random: Random | undefined): void {
    const { current, synced } = this;
    const grew = current.buffer === synced.buffer || current.buffer.subarray(0, synced.length).equals(bytesOf(synced));
    const extra = grew && random !== undefined ? random.u32() % (current.length - synced.length + 1) : 0;
    const survived = extra > 0 ? current.buffer.subarray(0, synced.length + extra) : bytesOf(synced);
    this.current = { buffer: Buffer.from(survived), length: survived.length };
    this.synced = { ...this.current };
  }
}

function bytesOf(content: Content): Buffer {
  return content.buffer.subarray(0, content.length);
}

/** What stays when the power goes. */
export class SimDisk {
  readonly folders = new Set<string>(["/"]);
  names = new Map<string, Inode>();
  durableNames = new Map<string, Inode>();

  syncDirectory(folder: string): void {
    for (const name of this.durableNames.keys()) if (posix.dirname(name) === folder) this.durableNames.delete(name);
    for (const [name, inode] of this.names) if (posix.dirname(name) === folder) this.durableNames.set(name, inode);
  }

  crash(random: Random | undefined): void {
    this.names = new Map(this.durableNames);
    for (const inode of new Set(this.names.values())) inode.crash(random);
  }
}

/** The disk as one life of its host sees it. Locks end with that life. */
export function diskOf(disk: SimDisk, options: { world: World; boot: Boot }): Storage {
  return new SimStorage(disk, options);
}

class SimStorage implements Storage {
  readonly #disk: SimDisk;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #locks = new Set<string>();

  constructor(disk: SimDisk, options: { world: World; boot: Boot }) {
    this.#disk = disk;
    this.#world = options.world;
    this.#boot = options.boot;
  }

  async open(path: string, options: { create?: boolean; exclusive?: boolean } = {}): Promise<StoredFile> {
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
      for (const folder of [...folders]) if (isInside(folder, source)) moveKey(folders, folder, target + folder.slice(source.length));
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
    return all.filter((name) => name !== "/" && posix.dirname(name) === folder).map((name) => posix.basename(name)).sort();
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
    let held = true;
    return {
      release: async () => {
        if (held) this.#locks.delete(name);
        held = false;
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

class SimFile implements StoredFile {
  readonly #inode: Inode;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #name: string;

  constructor(inode: Inode, options: { world: World; boot: Boot; name: string }) {
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
    // What is there when the sync starts becomes durable when it ends; a crash in between keeps the old state.
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

  async close(): Promise<void> {}
}

/** The time that a sync takes. Never resolves for a host that is dead by then. */
function synced(world: World, boot: Boot): Promise<void> {
  return new Promise((resolve) => void world.after(boot, world.draw(world.options.syncMs), resolve));
}

function normal(path: string): string {
  return posix.resolve("/", path);
}

function isInside(name: string, folder: string): boolean {
  return name === folder || name.startsWith(`${folder}/`);
}

function moveKey(set: Set<string>, from: string, to: string): void {
  set.delete(from);
  set.add(to);
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
