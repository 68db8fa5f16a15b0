/**
 * A disk for tests, worse than a real one: what was not fsynced is lost or torn in a crash, a
 * rename, a creation and a removal are lost unless the folder was fsynced, and any operation can be
 * the last one.
 */
import type { FileInfo, Host, Storage, StoredFile } from "#host";

/**
 * What a crash leaves of bytes that no fsync had covered. `sector`, `page`: all but the sector or
 * the page in which they begin; `hole`: all but the sector after that.
 */
export type Leftover = "nothing" | "everything" | "half" | "hole" | "sector" | "page";

const SECTOR_BYTES = 512;
/**
 * What a system keeps of a file in memory, it brings to the disk in pieces of this size, counted
 * from the file's start.
 */
const PAGE_BYTES = 4096;

class Inode {
  bytes: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
}

function failure(code: string, what: string): Error & { code: string } {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

function noSpace(syscall: string): Error {
  return Object.assign(failure("ENOSPC", `no space left on device, ${syscall}`), { syscall });
}

export class MemoryStorage implements Storage {
  /** Undefined marks a folder. */
  #names = new Map<string, Inode | undefined>();
  #durableNames = new Map<string, Inode | undefined>();
  #generation = 0;
  /** Handles that have been opened in this life and not closed: path and how many. */
  readonly #open = new Map<string, number>();
  /** Folders whose next sync fails, once. */
  readonly failSyncOf = new Set<string>();
  /** A disk that cannot be written: backups, a read-only mount. */
  readOnly = false;
  /** Operations that changed something, since the beginning. */
  operations = 0;
  syncs = 0;
  /** The operation with this number is half done, and then the machine is off. */
  crashAt = Number.POSITIVE_INFINITY;
  /** Bytes that fit, of all files; an append that does not is written as far as it does. */
  spaceBytes = Number.POSITIVE_INFINITY;
  failSync: boolean | "ENOSPC" = false;
  /** Making a file, or renaming one, finds no room for the name. */
  noNames = false;
  /** Turns of the event loop that a sync takes. */
  syncTurns = 0;

  /** Turns the machine off and on: open handles are dead, and what was not durable is gone. */
  crash(leftover: Leftover = "nothing"): void {
    this.#generation++;
    this.#open.clear();
    this.crashAt = Number.POSITIVE_INFINITY;
    const names = new Map<string, Inode | undefined>();
    for (const [path, inode] of this.#durableNames) {
      if (!this.#reachable(path)) continue;
      if (inode !== undefined) {
        inode.bytes = settle(inode, leftover);
        inode.durable = Buffer.from(inode.bytes);
      }
      names.set(path, inode);
    }
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  #reachable(path: string): boolean {
    for (let parent = parentOf(path); parent !== "/" && parent !== "."; parent = parentOf(parent)) {
      if (!this.#durableNames.has(parent)) return false;
    }
    return true;
  }

  /** An independent disk with the same, durable, content. */
  clone(): MemoryStorage {
    const copy = new MemoryStorage();
    for (const [path, inode] of this.#names) {
      copy.put(path, inode === undefined ? undefined : Buffer.from(inode.bytes));
    }
    return copy;
  }

  /** The disk that would be left if the power went now. This one goes on. */
  cloneAfterCrash(leftover: Leftover): MemoryStorage {
    const copy = new MemoryStorage();
    for (const [path, inode] of this.#durableNames) {
      if (this.#reachable(path)) copy.put(path, inode && Buffer.from(settle(inode, leftover)));
    }
    return copy;
  }

  /** Plants a file (or a folder), durable at once. */
  put(path: string, bytes: Buffer | undefined): void {
    let inode: Inode | undefined;
    if (bytes !== undefined) {
      inode = new Inode();
      inode.bytes = bytes;
      inode.durable = Buffer.from(bytes);
    }
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  drop(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  /** Of all files together. */
  get usedBytes(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode?.bytes.length ?? 0;
    return used;
  }

  /** Paths with a handle that nobody has closed, once for each. */
  get openHandles(): string[] {
    return [...this.#open].flatMap(([path, count]) => Array<string>(count).fill(path)).sort();
  }

  #count(path: string, by: number): void {
    const count = (this.#open.get(path) ?? 0) + by;
    if (count === 0) this.#open.delete(path);
    else this.#open.set(path, count);
  }

  /** All files, sorted. */
  paths(): string[] {
    return [...this.#names.keys()].filter((path) => this.#names.get(path) !== undefined).sort();
  }

  peek(path: string): Buffer {
    return this.#inode(path).bytes;
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure("ENOENT", path);
    return inode;
  }

  /** Counts an operation. True: do half of it, then call `#off`. */
  #last(generation = this.#generation): boolean {
    if (generation !== this.#generation || this.operations >= this.crashAt) this.#off();
    this.operations++;
    return this.operations === this.crashAt;
  }

  #off(): never {
    throw failure("ECRASH", "the machine is off");
  }

  async open(
    path: string,
    options: { create?: boolean; exclusive?: boolean; readOnly?: boolean } = {},
  ): Promise<StoredFile> {
    await undefined;
    if (this.readOnly && !options.readOnly) {
      throw failure("EROFS", `read-only file system, open '${path}'`);
    }
    const there = this.#names.get(path);
    if (there !== undefined && options.exclusive) throw failure("EEXIST", path);
    if (there === undefined) {
      if (!options.create && !options.exclusive) throw failure("ENOENT", path);
      if (!this.#names.has(parentOf(path))) throw failure("ENOENT", parentOf(path));
      if (this.noNames) throw noSpace("open");
      if (this.#last()) this.#off();
      this.#names.set(path, new Inode());
    }
    return this.#handle(this.#inode(path), path);
  }

  #handle(inode: Inode, path: string): StoredFile {
    const generation = this.#generation;
    this.#count(path, 1);
    let closed = false;
    const check = (): void => {
      if (closed) throw failure("EBADF", "closed");
    };
    const file: StoredFile = {
      get size() {
        return inode.bytes.length;
      },
      append: async (parts) => {
        check();
        const last = this.#last(generation);
        const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
        const room = Math.max(0, this.spaceBytes - this.usedBytes);
        const fits = Math.min(last ? length >> 1 : length, room);
        inode.bytes = Buffer.concat([inode.bytes, ...parts], inode.bytes.length + fits);
        if (last) this.#off();
        if (room < length) throw noSpace("write");
        await undefined;
      },
      sync: async () => {
        check();
        if (this.#last(generation)) this.#off();
        const covered = Buffer.from(inode.bytes);
        for (let turn = 0; turn < this.syncTurns; turn++) {
          await new Promise((done) => setImmediate(done));
        }
        if (this.failSync === "ENOSPC") throw noSpace("fdatasync");
        if (this.failSync) throw failure("EIO", "input/output error");
        if (generation !== this.#generation) this.#off();
        this.syncs++;
        inode.durable = covered;
      },
      appendAndSync: async (parts) => {
        await file.append(parts);
        await file.sync();
      },
      read: async (offset, length) => {
        check();
        return Buffer.from(inode.bytes.subarray(offset, offset + length));
      },
      truncate: async (size) => {
        check();
        if (this.#last(generation)) this.#off();
        inode.bytes = Buffer.from(inode.bytes.subarray(0, size));
      },
      close: async () => {
        check();
        closed = true;
        if (generation === this.#generation) this.#count(path, -1);
      },
    };
    return file;
  }

  async readFile(path: string): Promise<Buffer> {
    return Buffer.from(this.#inode(path).bytes);
  }

  async writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.open(path, { create: true });
    await file.truncate(0);
    await file.append([bytes]);
    await file.close();
  }

  async rename(from: string, to: string): Promise<void> {
    await undefined;
    const inode = this.#inode(from);
    if (this.noNames) throw noSpace("rename");
    if (this.#last()) this.#off();
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  async remove(path: string): Promise<void> {
    await undefined;
    if (!this.#names.has(path)) return;
    if (this.#last()) this.#off();
    this.#names.delete(path);
  }

  async mkdir(path: string): Promise<void> {
    await undefined;
    for (let at = path; at !== "/" && at !== "."; at = parentOf(at)) {
      if (this.#names.has(at)) continue;
      if (this.#last()) this.#off();
      this.#names.set(at, undefined);
    }
  }

  async list(path: string): Promise<string[]> {
    const inside = [...this.#names.keys()].filter((name) => parentOf(name) === path);
    return inside.map((name) => name.slice(path.length + 1)).sort();
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    if (path === "/" || path === ".") return { kind: "directory", size: 0, mode: 0o755 };
    if (!this.#names.has(path)) return undefined;
    const inode = this.#names.get(path);
    if (inode === undefined) return { kind: "directory", size: 0, mode: 0o755 };
    return { kind: "file", size: inode.bytes.length, mode: 0o644 };
  }

  async syncDirectory(path: string): Promise<void> {
    await undefined;
    if (this.failSyncOf.delete(path)) throw failure("EIO", `i/o error, fsync '${path}'`);
    if (this.#last()) this.#off();
    for (const name of [...this.#durableNames.keys()]) {
      if (parentOf(name) === path && !this.#names.has(name)) this.#durableNames.delete(name);
    }
    for (const [name, inode] of this.#names) {
      if (parentOf(name) === path) this.#durableNames.set(name, inode);
    }
  }

  async lock(): Promise<{ release(): Promise<void> }> {
    return { release: async () => {} };
  }
}

function settle(inode: Inode, leftover: Leftover): Buffer {
  const { bytes, durable } = inode;
  const grown = bytes.length > durable.length && bytes.subarray(0, durable.length).equals(durable);
  if (leftover === "nothing") return durable;
  if (leftover === "everything" || !grown) return bytes;
  const half = durable.length + ((bytes.length - durable.length) >> 1);
  if (leftover === "half") return Buffer.from(bytes.subarray(0, half));
  // What came later reached the disk, and this did not.
  const holed = Buffer.from(bytes);
  const unit = leftover === "page" ? PAGE_BYTES : SECTOR_BYTES;
  const next = (at: number): number => (Math.floor(at / unit) + 1) * unit;
  const from = leftover === "hole" ? next(durable.length - 1) : durable.length;
  const to = next(from);
  if (to < holed.length) holed.fill(0, from, to);
  return holed;
}

function parentOf(path: string): string {
  const cut = path.lastIndexOf("/");
  if (cut > 0) return path.slice(0, cut);
  return cut === 0 ? "/" : ".";
}

export interface MemoryHost extends Host {
  readonly storage: MemoryStorage;
  /** Fires every armed timer; returns how many there were. */
  fireTimers(): number;
  /** What the timers were armed for, all of them, in milliseconds. */
  readonly pauses: readonly number[];
}

/** A host whose disk is memory, whose timers fire by hand, and whose chance is a counter. */
export function memoryHost(storage = new MemoryStorage()): MemoryHost {
  let armed = new Set<() => void>();
  let drawn = 1;
  const pauses: number[] = [];
  const missing = new Proxy({}, { get: (_, name) => assertNever(String(name)) });
  return {
    storage,
    clock: { monotonic: () => 0, wall: () => 0 },
    timers: {
      after: (ms, fn) => {
        pauses.push(ms);
        armed.add(fn);
        return { cancel: () => void armed.delete(fn) };
      },
      soon: (fn) => void setImmediate(fn),
    },
    random: { u32: () => drawn++, unit: () => 0.5, bytes: (count) => Buffer.alloc(count, drawn++) },
    network: missing as Host["network"],
    pauses,
    fireTimers() {
      const now = armed;
      armed = new Set();
      for (const fn of now) fn();
      return now.size;
    },
  };
}

function assertNever(name: string): never {
  throw new Error(`the log asked for ${name}`);
}
