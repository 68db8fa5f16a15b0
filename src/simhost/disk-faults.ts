/**
 * What goes wrong with a disk: operations that fail, a disk that is full, bytes that turn.
 *
 *     process ─▶ FaultyStorage ─▶ SimStorage
 *                  │ dead: the promise never settles
 *                  │ a failure was ordered: reject with its code
 *                  └ a sync ended well: tell who listens
 *
 * A failed append may leave a part of its bytes behind, beyond the size that the handle knows; its
 * next append goes over them. After a failed sync the handle fails for ever, as the real one does
 * (`src/host/file.ts`).
 * Left out: pages that a failed sync marks clean. Here the next life's sync writes them after all.
 * Test: test/22-simulation.world.test.ts
 */
import type { Random, Storage, StoredFile } from "#host";
import { systemError, type SimFile, type SimStorage } from "./disk.ts";
import type { Boot } from "./machine.ts";
import { bytesOf, Folder, Inode, normal, type DiskImage } from "./disk-image.ts";

export type DiskOperation = "append" | "sync" | "open" | "rename";

interface Order {
  readonly operation: DiskOperation;
  readonly code: string;
  readonly path: string;
  times: number;
}

/** The faults that a disk has now, and the handle by which the world's owner sets them. */
export class DiskFaults {
  readonly #disk: DiskImage;
  #orders: Order[] = [];
  #limitBytes: number | undefined;
  /** Whether nothing can be written, as on a medium that is mounted so: EROFS. */
  readOnly = false;

  constructor(disk: DiskImage) {
    this.#disk = disk;
  }

  /**
   * The next `times` (default 1) operations of this kind on paths that contain `path` reject with
   * that code.
   */
  fail(operation: DiskOperation, how: { code: string; times?: number; path?: string }): void {
    this.#orders.push({ operation, code: how.code, times: how.times ?? 1, path: how.path ?? "" });
  }

  /** Takes back all failures that `fail` ordered and that have not happened. */
  heal(): void {
    this.#orders = [];
  }

  /** Size of all files together. */
  get usedBytes(): number {
    return this.#disk.usedBytes();
  }

  /** Files may not grow beyond so many bytes together: ENOSPC. Undefined: no limit. */
  limitBytes(bytes: number | undefined): void {
    this.#limitBytes = bytes;
  }

  /** Shortest and longest sync of this disk in milliseconds. Undefined: the world's. */
  slowSync(range: readonly [least: number, most: number] | undefined): void {
    this.#disk.slowSync = range;
  }

  /** Turns one bit of a file, in memory and in the disk image. */
  flip(path: string, bitIndex: number): void {
    const inode = this.#disk.file(path);
    if (inode === undefined || bitIndex < 0 || bitIndex >= 8 * inode.current.length) {
      throw new RangeError(`Cannot flip bit: ${path} has no bit ${bitIndex}`);
    }
    inode.flip(bitIndex);
  }

  /** The bytes of a file that would survive a power cut now; undefined: the file would not. */
  durable(path: string): Buffer | undefined {
    const node = this.#disk.find(path, "durable");
    return node instanceof Inode ? Buffer.from(bytesOf(node.synced)) : undefined;
  }

  /** The bytes of a file as its process reads them. */
  read(path: string): Buffer | undefined {
    const inode = this.#disk.file(path);
    return inode && Buffer.from(bytesOf(inode.current));
  }

  /** Names of files in a folder that would survive a power cut now, sorted. */
  durableNames(folder: string): string[] {
    const node = this.#disk.find(folder, "durable");
    if (!(node instanceof Folder)) return [];
    return [...node.durable].flatMap(([name, one]) => (one instanceof Inode ? [name] : [])).sort();
  }

  /** Names of files and folders in a folder, sorted. */
  list(folder: string): string[] {
    const node = this.#disk.find(folder);
    return node instanceof Folder ? [...node.names.keys()].sort() : [];
  }

  /** Puts a file there, and the folders above it, durable at once. */
  put(path: string, bytes: Buffer): void {
    this.#disk.plant(path, bytes);
  }

  /** Takes a file or a folder away, durable at once. */
  drop(path: string): void {
    this.#disk.plant(path, undefined);
  }

  /** The failure that was ordered for this operation, once for each time. */
  take(operation: string, on: { path: string; readOnly?: boolean }): Error | undefined {
    const { path } = on;
    if (this.readOnly && !on.readOnly && !READING.has(operation)) {
      return systemError("EROFS", `${operation} ${path}`);
    }
    if (this.#orders.length === 0) return undefined;
    const order = this.#orders.find(
      (one) => one.operation === operation && path.includes(one.path),
    );
    if (order === undefined) return undefined;
    if (--order.times <= 0) this.#orders.splice(this.#orders.indexOf(order), 1);
    const syscall = operation === "sync" ? "fdatasync" : operation;
    return Object.assign(systemError(order.code, `${operation} ${path}`), { syscall });
  }

  /** How many bytes still fit. */
  room(): number {
    return this.#limitBytes === undefined
      ? Infinity
      : Math.max(0, this.#limitBytes - this.#disk.usedBytes());
  }
}

/** Operations that a medium allows which cannot be written. */
const READING = new Set(["read", "sync"]);

/** What the faults need of the world. */
export interface DiskWatch {
  readonly boot: Boot;
  readonly faults: DiskFaults;
  readonly chance: Random;
  /** Called before each operation. The listener may end the process. */
  before(operation: string, path: string): void;
  /** The time that a sync takes. */
  turn(): Promise<void>;
  /** Called after a sync. */
  synced(path: string): void;
}

export class FaultyStorage implements Storage {
  readonly #inner: SimStorage;
  readonly #watch: DiskWatch;

  constructor(inner: SimStorage, watch: DiskWatch) {
    this.#inner = inner;
    this.#watch = watch;
  }

  async open(
    path: string,
    options: { create?: boolean; exclusive?: boolean; readOnly?: boolean } = {},
  ): Promise<StoredFile> {
    const refused = refuse(this.#watch, { operation: "open", path, ...options });
    if (refused !== undefined) return refused;
    return new FaultyFile(await this.#inner.open(path, options), { watch: this.#watch, path });
  }

  readFile(path: string): Promise<Buffer> {
    return refuse(this.#watch, { operation: "read", path }) ?? this.#inner.readFile(path);
  }

  async writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const refused = refuse(this.#watch, { operation: "append", path });
    const room = this.#watch.faults.room();
    if (refused === undefined && bytes.byteLength <= room) {
      return this.#inner.writeFile(path, bytes);
    }
    // A file is emptied first and filled then: a failure in between leaves it empty.
    const { boot, faults } = this.#watch;
    if (!boot.dead && !faults.readOnly) await this.#inner.writeFile(path, new Uint8Array(0));
    return refused ?? Promise.reject(systemError("ENOSPC", `write ${path}`));
  }

  rename(from: string, to: string): Promise<void> {
    return refuse(this.#watch, { operation: "rename", path: to }) ?? this.#inner.rename(from, to);
  }

  remove(path: string, options: { recursive?: boolean } = {}): Promise<void> {
    return refuse(this.#watch, { operation: "remove", path }) ?? this.#inner.remove(path, options);
  }

  mkdir(path: string): Promise<void> {
    return refuse(this.#watch, { operation: "mkdir", path }) ?? this.#inner.mkdir(path);
  }

  list(path: string): ReturnType<Storage["list"]> {
    return this.#inner.list(path);
  }

  stat(path: string): ReturnType<Storage["stat"]> {
    return this.#inner.stat(path);
  }

  async syncDirectory(path: string): Promise<void> {
    const folder = `${normal(path).replace(/\/$/, "")}/`;
    await (refuse(this.#watch, { operation: "sync", path: folder }) ??
      this.#inner.syncDirectory(path));
    await tell(this.#watch, folder);
  }

  lock(path: string): Promise<{ release(): Promise<void> }> {
    return refuse(this.#watch, { operation: "lock", path }) ?? this.#inner.lock(path);
  }
}

class FaultyFile implements StoredFile {
  readonly #inner: SimFile;
  readonly #watch: DiskWatch;
  readonly #path: string;
  /** The size that this handle knows, while the file ends with a part of a failed append. */
  #sizeBeforeFailure: number | undefined;
  #broken: Error | undefined;

  constructor(inner: SimFile, options: { watch: DiskWatch; path: string }) {
    this.#inner = inner;
    this.#watch = options.watch;
    this.#path = normal(options.path);
  }

  get size(): number {
    return this.#sizeBeforeFailure ?? this.#inner.size;
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const refused = refuse(this.#watch, { operation: "append", path: this.#path });
    if (this.#watch.boot.dead) return refused;
    if (this.#sizeBeforeFailure !== undefined) {
      // The truncation is done before `truncate` returns: nothing overtakes it.
      void this.#inner.truncate(this.#sizeBeforeFailure);
      this.#sizeBeforeFailure = undefined;
    }
    const room = this.#watch.faults.room();
    const wanted = refused === undefined && room === Infinity ? 0 : lengthOf(parts);
    if (refused === undefined && wanted <= room) return this.#inner.append(parts);
    this.#sizeBeforeFailure = this.#inner.size;
    const written =
      refused === undefined ? room : Math.min(room, this.#watch.chance.u32() % (wanted + 1));
    void this.#inner.append([Buffer.concat(parts).subarray(0, written)]);
    return refused ?? Promise.reject(systemError("ENOSPC", `append ${this.#path}`));
  }

  async appendAndSync(parts: readonly Uint8Array[]): Promise<void> {
    await this.append(parts);
    await this.sync();
  }

  async sync(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const refused = refuse(this.#watch, { operation: "sync", path: this.#path });
    if (refused === undefined) {
      await this.#inner.sync();
      return await tell(this.#watch, this.#path);
    }
    try {
      await refused;
    } catch (error) {
      this.#broken = error as Error;
      throw error;
    }
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#inner.read(offset, length);
  }

  truncate(size: number): Promise<void> {
    const refused = refuse(this.#watch, { operation: "truncate", path: this.#path });
    if (refused !== undefined) return refused;
    this.#sizeBeforeFailure = undefined;
    return this.#inner.truncate(size);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/**
 * Undefined: the operation goes on. Else the caller gets this: a failure, or for a dead process a
 * promise that never settles.
 */
function refuse(
  watch: DiskWatch,
  what: { operation: string; path: string; readOnly?: boolean },
): Promise<never> | undefined {
  if (!watch.boot.dead) watch.before(what.operation, what.path);
  // The listener may have ended the process: then the operation does not happen.
  if (watch.boot.dead) return new Promise(() => undefined);
  const failure = watch.faults.take(what.operation, what);
  if (failure === undefined) return undefined;
  // A failing sync fails after it has taken its time.
  return what.operation === "sync"
    ? watch.turn().then(() => Promise.reject(failure))
    : Promise.reject(failure);
}

/**
 * Tells the listeners that a sync ended. A listener may cut the power before the process hears of
 * it.
 */
function tell(watch: DiskWatch, path: string): Promise<void> | undefined {
  watch.synced(path);
  return watch.boot.dead ? new Promise(() => undefined) : undefined;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.byteLength;
  return bytes;
}
