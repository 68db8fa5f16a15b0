/**
 * Lesson 15: what the data costs, and how much of it there may be.
 *
 *     bytes, counted as keys come and go ──▶ more than `maxmemory`? ──▶ OOM, for commands that add
 *                                                                       reads and DEL go on
 *
 * V8 ends a process whose heap is full. There is no error to catch, and the next start, which has
 * the same data to load, ends the same way. So the store counts its data, an estimate that costs an
 * addition per change, and refuses to add a good while before the heap is full. A replay refuses
 * nothing: everything that was acknowledged must come back, and can then be deleted.
 *
 * Values beyond a megabyte lie outside of V8's heap. They count like all others: there is one
 * limit, and `node --max-old-space-size` raises it.
 *
 * Left out: eviction, and measuring. A heap that is measured has the garbage in it.
 * Test: test/15-store.memory.test.ts
 */
import { invariant } from "#base";
import { heapLimit } from "#host";
import type { Setting } from "../config.ts";
import { OOM } from "../refusal.ts";

/** A string's header is 16 bytes, and its bytes are rounded up to 8: 4 on average. */
export const STRING_BYTES = 20;
/** A place in an array that grows by half when it is full: 8 bytes, and room for some more. */
export const SLOT_BYTES = 10;
/** A place in a list's ring, which doubles: between 8 and 16 bytes. */
export const RING_SLOT_BYTES = 12;
/** A place in a Map, which doubles: 28 bytes when it is full, 56 when it has just become larger. */
export const INDEX_BYTES = 56;
/** Header, fields and inner objects of a set, a hash or a list. */
export const COLLECTION_BYTES = 128;
/** An array with its first 17 places, which V8 makes at once. */
export const ARRAY_BYTES = 192;
/**
 * A place in a Map, a number, and twice a heap entry of three arrays: half of those may be dead.
 */
export const DEADLINE_BYTES = INDEX_BYTES + 16 + 2 * 3 * SLOT_BYTES;

/**
 * The share of V8's heap that the data may fill. The rest is for the clients' bytes, for garbage,
 * and for the moment in which a table of 8 million keys is copied into one twice as large.
 */
const HEAP_SHARE = 0.6;

/**
 * One command may go beyond the limit by a sixteenth of it: some 150 MB, for which the rest of the
 * heap has room.
 */
const OVERSHOOT = 16;

/** The most bytes of data that this process may hold. */
export function memoryCeiling(heapBytes = heapLimit()): number {
  return Math.floor(heapBytes * HEAP_SHARE);
}

/**
 * The most keys in all, and the most members, fields or elements of one value: the longest array
 * that V8 keeps dense from the start. A command of a million arguments may go beyond it by a
 * million; V8's own limit is four times as large.
 */
export const MAX_ENTRIES = 2 ** 25;

export interface MemoryOptions {
  /** Bytes; 0 or not given: as much as the heap takes. */
  readonly maxMemory?: number | undefined;
  /** Default: `memoryCeiling()`. */
  readonly ceiling?: number | undefined;
  /** Default: MAX_ENTRIES. */
  readonly maxEntries?: number | undefined;
}

export class MemoryLimit {
  readonly #ceiling: number;
  readonly #maxEntries: number;
  #bytes: number;

  /** @throws {RangeError} for a limit that the heap cannot hold */
  constructor(options: MemoryOptions) {
    const { maxMemory = 0, ceiling = memoryCeiling(), maxEntries = MAX_ENTRIES } = options;
    this.#ceiling = ceiling;
    this.#maxEntries = maxEntries;
    if (maxMemory > ceiling) {
      throw new RangeError(`Cannot hold ${maxMemory} bytes: ${this.#tooMuch}`);
    }
    this.#bytes = maxMemory === 0 ? ceiling : maxMemory;
  }

  /** The limit in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** CONFIG GET and SET. */
  get setting(): Setting {
    return {
      get: () => String(this.#bytes),
      set: (text) => {
        const bytes = parseMemory(text);
        if (bytes === undefined) return "argument must be a memory value";
        if (bytes > this.#ceiling) return this.#tooMuch;
        this.#bytes = bytes === 0 ? this.#ceiling : bytes;
        return undefined;
      },
    };
  }

  get #tooMuch(): string {
    return `this process holds at most ${this.#ceiling}; node --max-old-space-size=MiB takes more`;
  }

  /**
   * Throws the `Refusal` when there are more bytes or keys than may be. Asked before anything is
   * added.
   */
  admit({ bytes, size }: { readonly bytes: number; readonly size: number }): void {
    if (bytes > this.#bytes || size >= this.#maxEntries) throw OOM;
  }

  /**
   * Throws the `Refusal` when one command would take too many bytes at once. A few are always
   * allowed, as a command's arguments are: reads that gather (SUNION) go on when adding is refused.
   */
  admitBytes(more: number, { bytes }: { readonly bytes: number }): void {
    if (more > Math.max(this.#bytes - bytes, this.#bytes / OVERSHOOT)) throw OOM;
  }

  /** Whether a value of `size` entries may get so many more. */
  fits(size: number, more: number): boolean {
    return size + more <= this.#maxEntries;
  }
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1, b: 1, k: 1000, kb: 1024, m: 1000 ** 2, mb: 1024 ** 2, g: 1000 ** 3, gb: 1024 ** 3,
};

/** "100", "100mb", "1GB", as Redis reads it; undefined for other text. */
export function parseMemory(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,15})([kmg]?b?)$/i.exec(text) ?? [];
  const bytes = digits === undefined ? NaN : Number(digits) * UNITS[unit!.toLowerCase()]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

invariant(HEAP_SHARE < 1 && MAX_ENTRIES < 2 ** 27, "V8's heap, and its longest array, are larger");
