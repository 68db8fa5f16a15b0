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
import { bytesOf, Folder, Inode, normal, type DiskImage } from "./disk-image.ts";
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
    let inode = this.#disk.find(path);
    if (inode instanceof Folder) throw systemError("EISDIR", `open ${path}`);
    if (inode !== undefined && options.exclusive) throw systemError("EEXIST", `open ${path}`);
    if (inode === undefined) {
      if (!options.create && !options.exclusive) throw systemError("ENOENT", `open ${path}`);
      inode = this.#create(path);
    }
    return new SimFile(inode, { world: this.#world, boot: this.#boot, name: normal(path) });
  }

  async readFile(path: string): Promise<Buffer> {
    const inode = this.#disk.file(path);
    if (inode === undefined) throw systemError("ENOENT", `read ${path}`);
    return Buffer.from(bytesOf(inode.current));
  }

  async writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const inode = this.#disk.file(path) ?? this.#create(path);
    inode.truncate(0);
    inode.append(bytes);
  }

  async rename(from: string, to: string): Promise<void> {
    const node = this.#disk.find(from);
    if (node === undefined) throw systemError("ENOENT", `rename ${from}`);
    const [source, target] = [this.#place(from), this.#place(to)];
    const there = target.folder.names.get(target.name);
    if (there === node) return;
    if (there instanceof Folder && (node instanceof Inode || there.names.size > 0)) {
      throw systemError(node instanceof Inode ? "EISDIR" : "ENOTEMPTY", `rename ${to}`);
    }
    this.#disk.change({ ...source, node: undefined }, { ...target, node });
  }

  async remove(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    const node = this.#disk.find(path);
    if (node === undefined) return;
    if (node instanceof Folder) {
      if (!options.recursive) throw systemError("EISDIR", `remove ${path}`);
      this.#empty(node);
    }
    this.#disk.change({ ...this.#place(path), node: undefined });
  }

  /** One name after the other, from the inside: a power cut may come in between. */
  #empty(folder: Folder): void {
    for (const [name, node] of [...folder.names]) {
      if (node instanceof Folder) this.#empty(node);
      this.#disk.change({ folder, name, node: undefined });
    }
  }

  async mkdir(path: string): Promise<void> {
    const target = normal(path);
    const node = this.#disk.find(target);
    if (node instanceof Folder) return;
    if (node instanceof Inode) throw systemError("EEXIST", `mkdir ${path}`);
    await this.mkdir(posix.dirname(target));
    this.#disk.change({ ...this.#place(target), node: new Folder() });
  }

  async list(path: string): Promise<string[]> {
    const folder = this.#disk.find(path);
    return folder instanceof Folder ? [...folder.names.keys()].sort() : [];
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const node = this.#disk.find(path);
    if (node instanceof Folder) return { kind: "directory", size: 0, mode: 0o755 };
    return node && { kind: "file", size: node.current.length, mode: 0o644 };
  }

  async syncDirectory(path: string): Promise<void> {
    const folder = this.#disk.find(path);
    if (!(folder instanceof Folder)) throw systemError("ENOENT", `sync ${path}`);
    const { changes } = this.#disk;
    await synced(this.#world, this.#boot);
    folder.sync(changes);
    this.#world.note(`${this.#boot.name} synced ${normal(path)}/`);
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

  #create(path: string): Inode {
    const node = new Inode();
    this.#disk.change({ ...this.#place(path), node });
    return node;
  }

  /** The folder in which a path ends, and the name there. */
  #place(path: string): { folder: Folder; name: string } {
    const target = normal(path);
    const folder = this.#disk.find(posix.dirname(target));
    if (!(folder instanceof Folder)) throw systemError("ENOENT", `open ${path}`);
    return { folder, name: posix.basename(target) };
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

export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
