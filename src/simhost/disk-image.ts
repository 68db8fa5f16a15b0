/**
 * What a disk holds, and what of it is there after a power cut.
 *
 *     file     current bytes  |  bytes as of the last sync that completed
 *     folder   current names  |  names as of the last `syncDirectory`
 *
 * A crash throws the left half away. A file whose name was never synced is gone with all its synced
 * bytes, which is the mistake that this is here to find. New folders count as synced at once.
 *
 * Test: test/22-simulation.world.test.ts
 */
import { posix } from "node:path";
import type { Random } from "#host";

export interface Content {
  buffer: Buffer;
  length: number;
}

/** How a power cut treats bytes that were not synced. Without chance they are gone. */
export interface Wreck {
  readonly chance: Random | undefined;
  /** Damage the part that is left of them. */
  readonly garbage: boolean;
}

/**
 * The bytes of a file, whatever its name. `synced` shares its buffer with `current` as long as that
 * only grows.
 */
export class Inode {
  current: Content = { buffer: Buffer.alloc(0), length: 0 };
  #synced: Content = { ...this.current };
  #ages = new WeakMap<Buffer, number>();
  #age = 0;

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

  crash(wreck: Wreck): void {
    const { current, synced } = this;
    const { chance } = wreck;
    const grew =
      current.buffer === synced.buffer ||
      current.buffer.subarray(0, synced.length).equals(bytesOf(synced));
    const extra =
      grew && chance !== undefined ? chance.u32() % (current.length - synced.length + 1) : 0;
    const survived = Buffer.from(
      extra > 0 ? current.buffer.subarray(0, synced.length + extra) : bytesOf(synced),
    );
    if (extra > 0 && wreck.garbage) spoil(survived.subarray(synced.length), chance!);
    this.current = { buffer: survived, length: survived.length };
    this.#synced = { ...this.current };
  }

  #ageOf(content: Content): number {
    return this.#ages.get(content.buffer) ?? 0;
  }
}

/**
 * Damage as file systems leave it: a stretch whose length was written and whose bytes were not, and
 * bits that turned.
 */
function spoil(bytes: Buffer, chance: Random): void {
  if (chance.unit() < 0.5) {
    const from = chance.u32() % bytes.length;
    bytes.fill(0, from, from + 1 + (chance.u32() % (bytes.length - from)));
  }
  for (let flips = chance.u32() % 4; flips > 0; flips--) {
    bytes[chance.u32() % bytes.length]! ^= 1 << (chance.u32() % 8);
  }
}

export function bytesOf(content: Content): Buffer {
  return content.buffer.subarray(0, content.length);
}

/**
 * The files and folders of one machine, as its processes see them and as a power cut leaves them.
 */
export class DiskImage {
  readonly folders = new Set<string>(["/"]);
  names = new Map<string, Inode>();
  durableNames = new Map<string, Inode>();
  /** Shortest and longest sync, if not the world's. */
  slowSync: readonly [least: number, most: number] | undefined;

  syncDirectory(folder: string): void {
    for (const name of this.durableNames.keys()) {
      if (posix.dirname(name) === folder) this.durableNames.delete(name);
    }
    for (const [name, inode] of this.names) {
      if (posix.dirname(name) === folder) this.durableNames.set(name, inode);
    }
  }

  crash(wreck: Wreck): void {
    this.names = new Map(this.durableNames);
    for (const inode of new Set(this.names.values())) inode.crash(wreck);
  }

  usedBytes(): number {
    let used = 0;
    for (const inode of new Set(this.names.values())) used += inode.current.length;
    return used;
  }
}

export function normal(path: string): string {
  return posix.resolve("/", path);
}
