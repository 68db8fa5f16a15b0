/**
 * What a disk holds, and what of it is there after a power cut.
 *
 *     file     current bytes  |  bytes as of the last sync that completed
 *     folder   current names  |  names as of its last `syncDirectory`, and the changes since
 *
 * A power cut throws the left half away, or leaves a part of it: `Leftover` chooses which, chance
 * draws one. Chance leaves the first changes to names, as a journal does that writes them in order;
 * bytes do not wait for names, nor names for bytes. A file whose name was never synced
 * is gone with all its synced bytes, and so is everything in a folder whose own name was not.
 *
 * Left out: two halves of one rename. A file that moves between folders is in one of them.
 * Test: test/22-simulation.world.test.ts, test/22-simulation.disk.test.ts
 */
import { posix } from "node:path";
import type { Random } from "#host";

export interface Content {
  buffer: Buffer;
  length: number;
}

/**
 * What a power cut leaves of what no sync had covered. `everything`, `half`: so much of the changes
 * to names, and of each file's bytes. `names`: all names, and no bytes. `latest`: all bytes, and of
 * the names only the last change, as where no journal keeps their order. The others leave all names
 * and all bytes but a hole of zeros. `sector`, `page`: where the bytes begin, to the end of their
 * sector or page; `hole`: the next whole sector.
 */
export type Leftover =
  | "nothing" | "everything" | "half" | "names" | "latest" | "hole" | "sector" | "page";

/** A power cut that draws its leftovers. */
export interface Chance {
  readonly random: Random;
  /** Damage the bytes that are left. */
  readonly garbage: boolean;
}

/** Disks write at least this much at once. */
const SECTOR_BYTES = 512;

/** A system brings a file from its memory to the disk in pieces of this size. */
const PAGE_BYTES = 4096;

/**
 * The bytes of a file, whatever its name. `synced` shares its buffer with `current` as long as that
 * only grows.
 */
export class Inode {
  current: Content;
  #synced: Content;
  #ages = new WeakMap<Buffer, number>();
  #age = 0;

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.current = { buffer: bytes, length: bytes.length };
    this.#synced = { ...this.current };
  }

  get synced(): Content {
    return this.#synced;
  }

  /**
   * A sync that began earlier and ends later must not take back what the other one made durable.
   */
  set synced(content: Content) {
    const older = this.#ageOf(content) - this.#ageOf(this.#synced);
    if (older > 0 || (older === 0 && content.length >= this.#synced.length)) this.#synced = content;
  }

  append(bytes: Uint8Array): void {
    const { current } = this;
    const length = current.length + bytes.byteLength;
    if (length > current.buffer.length) {
      const bigger = Buffer.alloc(Math.max(1024, 2 * length));
      current.buffer.copy(bigger, 0, 0, current.length);
      current.buffer = bigger;
      this.#ages.set(bigger, ++this.#age);
    }
    current.buffer.set(bytes, current.length);
    current.length = length;
  }

  truncate(size: number): void {
    const kept = Buffer.alloc(size);
    this.current.buffer.copy(kept, 0, 0, Math.min(size, this.current.length));
    // In a buffer of its own: the next append must not overwrite bytes that the image still has.
    this.current = { buffer: kept, length: size };
    this.#ages.set(kept, ++this.#age);
  }

  flip(bit: number): void {
    const buffers = new Set([this.current.buffer, this.#synced.buffer]);
    for (const buffer of buffers) if (bit >> 3 < buffer.length) buffer[bit >> 3]! ^= 1 << (bit & 7);
  }

  /** The file that a power cut would leave now. */
  after(cut: Leftover | Chance): Inode {
    const durable = bytesOf(this.#synced);
    const bytes = bytesOf(this.current);
    const grew =
      this.current.buffer === this.#synced.buffer ||
      bytes.subarray(0, durable.length).equals(durable);
    const two = { durable, bytes, grew };
    return new Inode(Buffer.from(typeof cut === "string" ? settle(two, cut) : draw(two, cut)));
  }

  #ageOf(content: Content): number {
    return this.#ages.get(content.buffer) ?? 0;
  }
}

/** A file's bytes with and without a sync; whether the second are the first and more. */
interface Two {
  readonly durable: Buffer;
  readonly bytes: Buffer;
  readonly grew: boolean;
}

function settle({ durable, bytes, grew }: Two, leftover: Leftover): Buffer {
  if (leftover === "nothing" || leftover === "names") return durable;
  if (leftover === "everything" || leftover === "latest" || !grew) return bytes;
  if (leftover === "half") {
    return bytes.subarray(0, durable.length + ((bytes.length - durable.length) >> 1));
  }
  // What came later reached the disk, and this did not.
  const unit = leftover === "page" ? PAGE_BYTES : SECTOR_BYTES;
  const next = (at: number): number => (Math.floor(at / unit) + 1) * unit;
  const from = leftover === "hole" ? next(durable.length - 1) : durable.length;
  const holed = Buffer.from(bytes);
  if (next(from) < holed.length) holed.fill(0, from, next(from));
  return holed;
}

function draw({ durable, bytes, grew }: Two, { random, garbage }: Chance): Buffer {
  if (!grew) return random.unit() < 0.5 ? durable : bytes;
  const extra = random.u32() % (bytes.length - durable.length + 1);
  const left = Buffer.from(bytes.subarray(0, durable.length + extra));
  if (extra > 0 && garbage) spoil(left, { from: durable.length, random });
  return left;
}

/**
 * Damage as file systems leave it, from a place on: a page or a sector that did not reach the disk,
 * a stretch whose length was written and whose bytes were not, and bits that turned.
 */
function spoil(bytes: Buffer, { from, random }: { from: number; random: Random }): void {
  const length = bytes.length - from;
  const somewhere = (): number => from + (random.u32() % length);
  if (random.unit() < 0.5) {
    const unit = random.unit() < 0.5 ? SECTOR_BYTES : PAGE_BYTES;
    const at = Math.floor(somewhere() / unit) * unit;
    bytes.fill(0, Math.max(from, at), Math.min(bytes.length, at + unit));
  } else if (random.unit() < 0.5) {
    const at = somewhere();
    bytes.fill(0, at, at + 1 + (random.u32() % (bytes.length - at)));
  }
  for (let flips = random.u32() % 4; flips > 0; flips--) {
    bytes[somewhere()]! ^= 1 << (random.u32() % 8);
  }
}

export function bytesOf(content: Content): Buffer {
  return content.buffer.subarray(0, content.length);
}

export type Node = Inode | Folder;

/** A name that stands for something else now, or for nothing. */
interface Change {
  /** Counts the changes of the whole disk; those that happen at once have one number. */
  readonly order: number;
  readonly name: string;
  readonly node: Node | undefined;
}

/** Numbers of changes, from one to another. */
type Range = readonly [from: number, to: number];

export class Folder {
  readonly names = new Map<string, Node>();
  durable = new Map<string, Node>();
  /** Since the last sync of this folder. */
  changes: Change[] = [];

  change(change: Change): void {
    this.changes.push(change);
    set(this.names, change);
  }

  /** The changes up to a number are on the disk now. */
  sync(order: number): void {
    this.durable = this.with([0, order]);
    this.changes = this.changes.filter((change) => change.order > order);
  }

  /** Its names on the disk, if only the changes from one number to another have reached it. */
  with([from, to]: Range): Map<string, Node> {
    const names = new Map(this.durable);
    for (const change of this.changes) {
      if (change.order >= from && change.order <= to) set(names, change);
    }
    return names;
  }
}

function set(names: Map<string, Node>, { name, node }: Omit<Change, "order">): void {
  // A name that comes again stands at the end.
  names.delete(name);
  if (node !== undefined) names.set(name, node);
}

/**
 * The files and folders of one machine, as its processes see them and as a power cut leaves them.
 */
export class DiskImage {
  root = new Folder();
  /** How many there were, of names, so far. */
  changes = 0;
  /** Shortest and longest sync, if not the world's. */
  slowSync: readonly [least: number, most: number] | undefined;

  /** What stands at a path, in the view of the processes, or in the view of the disk. */
  find(path: string, view: "names" | "durable" = "names"): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of partsOf(path)) {
      node = node instanceof Folder ? node[view].get(name) : undefined;
    }
    return node;
  }

  file(path: string): Inode | undefined {
    const node = this.find(path);
    return node instanceof Inode ? node : undefined;
  }

  /** Changes of names that reach the disk together or not at all. */
  change(...changes: Array<{ folder: Folder; name: string; node: Node | undefined }>): void {
    const order = ++this.changes;
    for (const { folder, name, node } of changes) folder.change({ order, name, node });
  }

  /** Puts a file there, or nothing, durable at once. */
  plant(path: string, bytes: Buffer | undefined): void {
    let folder = this.root;
    const parts = partsOf(path);
    const last = parts.pop()!;
    for (const name of parts) {
      const there = folder.names.get(name);
      const next = there instanceof Folder ? there : new Folder();
      plantIn(folder, { name, node: next });
      folder = next;
    }
    plantIn(folder, { name: last, node: bytes && new Inode(Buffer.from(bytes)) });
  }

  crash(cut: Leftover | Chance): void {
    this.root = this.after(cut);
  }

  // #region after
  /** The disk that a power cut would leave now, with nothing of it left to sync. */
  after(cut: Leftover | Chance): Folder {
    const kept = survivors(this.#pending(), cut);
    const copies = new Map<Node, Node>();
    const copy = (node: Node): Node => {
      let left = copies.get(node);
      if (left !== undefined) return left;
      left = node instanceof Inode ? node.after(cut) : new Folder();
      copies.set(node, left);
      if (left instanceof Folder) {
        for (const [name, child] of (node as Folder).with(kept)) {
          plantIn(left, { name, node: copy(child) });
        }
      }
      return left;
    };
    return copy(this.root) as Folder;
  }
  // #endregion

  usedBytes(): number {
    let used = 0;
    const seen = new Set<Node>();
    const visit = (node: Node): void => {
      if (seen.has(node)) return;
      seen.add(node);
      if (node instanceof Inode) used += node.current.length;
      else for (const child of node.names.values()) visit(child);
    };
    visit(this.root);
    return used;
  }

  /** The numbers of the changes that no sync has covered, in order. */
  #pending(): number[] {
    const orders: number[] = [];
    const seen = new Set<Node | undefined>();
    const visit = (node: Node | undefined): void => {
      if (!(node instanceof Folder) || seen.has(node)) return;
      seen.add(node);
      for (const child of node.durable.values()) visit(child);
      for (const change of node.changes) {
        orders.push(change.order);
        visit(change.node);
      }
    };
    visit(this.root);
    return orders.sort((a, b) => a - b);
  }
}

/** The changes that survive. */
function survivors(pending: readonly number[], cut: Leftover | Chance): Range {
  if (cut === "latest") return [pending.at(-1) ?? 0, Infinity];
  let count = pending.length;
  if (typeof cut !== "string") count = count && cut.random.u32() % (count + 1);
  else if (cut === "nothing") count = 0;
  else if (cut === "half") count >>= 1;
  return [0, pending[count - 1] ?? 0];
}

function plantIn(folder: Folder, what: { name: string; node: Node | undefined }): void {
  set(folder.names, what);
  set(folder.durable, what);
  folder.changes = folder.changes.filter(({ name }) => name !== what.name);
}

function partsOf(path: string): string[] {
  return normal(path).split("/").filter(Boolean);
}

export function normal(path: string): string {
  return posix.resolve("/", path);
}
