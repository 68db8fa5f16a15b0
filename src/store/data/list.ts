/**
 * Lesson 15: a list with two cheap ends.
 *
 *     slots   [ c | d | · | · | a | b ]     head = 4, size = 4:  a b c d
 *
 * A ring: `head` is the slot of the first element, and the elements wrap around the end of the
 * array. Push and pop at either end, and any element by its number, are O(1); the ring doubles when
 * it is full and halves when it is a quarter full, so that each element is copied a bounded number
 * of times.
 *
 * Invariants: the capacity is a power of two, and free slots hold undefined (nothing popped is kept
 * alive).
 * Left out: chunks. Removing from the middle moves the elements on the nearer side; Redis's
 * quicklist moves fewer, and walks to find the place.
 * Test: test/15-store.test.ts
 */
import { COLLECTION_BYTES, RING_SLOT_BYTES, STRING_BYTES } from "./memory.ts";

/** Most lists are short; a power of two, so that wrapping around is a mask. */
const MIN_CAPACITY = 4;

/** What an element costs beside its bytes. */
const ITEM_BYTES = STRING_BYTES + RING_SLOT_BYTES;

export class List {
  /** What the list costs, with all that is in it. */
  bytes = COLLECTION_BYTES;
  /** The part of `bytes` that the keyspace has counted. */
  counted = 0;
  #slots: (string | undefined)[] = new Array<string | undefined>(MIN_CAPACITY).fill(undefined);
  #head = 0;
  #size = 0;

  /** A list of these, in this order. */
  static from(items: Iterable<string>): List {
    const list = new List();
    for (const item of items) list.pushRight(item);
    return list;
  }

  get size(): number {
    return this.#size;
  }

  /** The element at `index`, 0 ≤ index < size. */
  at(index: number): string | undefined {
    return this.#slots[(this.#head + index) & (this.#slots.length - 1)];
  }

  pushRight(item: string): void {
    this.bytes += ITEM_BYTES + item.length;
    if (this.#size === this.#slots.length) this.#resize(this.#size * 2);
    this.#slots[(this.#head + this.#size++) & (this.#slots.length - 1)] = item;
  }

  pushLeft(item: string): void {
    this.bytes += ITEM_BYTES + item.length;
    if (this.#size === this.#slots.length) this.#resize(this.#size * 2);
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#size++;
  }

  popLeft(): string | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#slots[this.#head]!;
    this.bytes -= ITEM_BYTES + item.length;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size--;
    this.#shrink();
    return item;
  }

  popRight(): string | undefined {
    if (this.#size === 0) return undefined;
    const place = (this.#head + --this.#size) & (this.#slots.length - 1);
    const item = this.#slots[place]!;
    this.bytes -= ITEM_BYTES + item.length;
    this.#slots[place] = undefined;
    this.#shrink();
    return item;
  }

  /** The elements from `start` up to, not including, `end`. */
  *slice(start = 0, end = this.#size): Generator<string> {
    for (let i = start; i < end; i++) yield this.at(i)!;
  }

  /**
   * Removes the elements at these places, in ascending order, and closes the gaps from the side
   * that is nearer.
   */
  remove(places: readonly number[]): void {
    for (const place of places) this.bytes -= ITEM_BYTES + this.at(place)!.length;
    const [first, last] = [places[0]!, places.at(-1)!];
    if (last < this.#size - first) this.#closeFromLeft(places);
    else this.#closeFromRight(places);
    this.#shrink();
  }

  #closeFromRight(places: readonly number[]): void {
    const mask = this.#slots.length - 1;
    let gaps = 0;
    for (let i = places[0]!; i < this.#size; i++) {
      if (i === places[gaps]) gaps++;
      else this.#slots[(this.#head + i - gaps) & mask] = this.at(i);
    }
    for (let i = 1; i <= gaps; i++) this.#slots[(this.#head + this.#size - i) & mask] = undefined;
    this.#size -= gaps;
  }

  #closeFromLeft(places: readonly number[]): void {
    const mask = this.#slots.length - 1;
    let gaps = 0;
    for (let i = places.at(-1)!; i >= 0; i--) {
      if (i === places[places.length - 1 - gaps]) gaps++;
      else this.#slots[(this.#head + i + gaps) & mask] = this.at(i);
    }
    for (let i = 0; i < gaps; i++) this.#slots[(this.#head + i) & mask] = undefined;
    this.#head = (this.#head + gaps) & mask;
    this.#size -= gaps;
  }

  #shrink(): void {
    while (this.#slots.length > MIN_CAPACITY && this.#size * 4 <= this.#slots.length) {
      this.#resize(this.#slots.length / 2);
    }
  }

  #resize(capacity: number): void {
    const slots = new Array<string | undefined>(capacity).fill(undefined);
    const mask = this.#slots.length - 1;
    for (let i = 0; i < this.#size; i++) {
      slots[i] = this.#slots[(this.#head + i) & mask];
    }
    this.#slots = slots;
    this.#head = 0;
  }
}
