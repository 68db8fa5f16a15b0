/**
 * Lesson 04: ten thousand deadlines, one timer.
 *
 *     an indexed heap by time      its top is due first (lessons 07 and 08 build it)
 *     one host timer               armed for no later than the top
 *
 * A timer per request costs an allocation and two list operations in the runtime, for something
 * that almost never fires. Here it is a few array writes: new deadlines are mostly the latest, so
 * they stay at the bottom of the heap. Each entry knows its place, so that an answered request
 * leaves at once and not in 30 s.
 *
 * Invariants: at most one timer is armed, for no later than the top of the heap. An idle connection
 * wakes up once for a deadline that was met long ago, and then sleeps.
 * Left out: a timing wheel. It would make `add` O(1), and wake up for ticks in which nothing is
 * due.
 * Test: test/04-rpc.test.ts
 */
import { invariant } from "#base";
import type { Host, Timer } from "#host";
import { IndexedHeap, type HeapEntry } from "#queue";

/** Undefined: one that never comes. */
export type Deadline = HeapEntry<() => void> | undefined;

export class Deadlines {
  readonly #host: Host;
  readonly #heap = new IndexedHeap<() => void>();
  #timer: Timer | undefined;
  #armedFor = Infinity;

  constructor(host: Host) {
    this.#host = host;
  }

  get size(): number {
    return this.#heap.size;
  }

  /** Calls `fn` once, `ms` from now. Infinity: never. */
  add(ms: number, fn: () => void): Deadline {
    // NaN would never be due: at the top of the heap it would hold up all others, and wake us
    // without end.
    invariant(!Number.isNaN(ms), "a deadline that is no number");
    if (ms === Infinity) return undefined;
    const deadline = this.#heap.push(fn, this.#host.clock.monotonic() + ms);
    this.#arm();
    return deadline;
  }

  /**
   * Idempotent, and safe after the deadline has fired. The timer stays armed: waking once for
   * nothing is cheaper than arming it anew.
   */
  remove(deadline: Deadline): void {
    if (deadline !== undefined) this.#heap.remove(deadline);
  }

  clear(): void {
    this.#heap.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedFor = Infinity;
  }

  #arm(): void {
    const first = this.#heap.peek();
    if (first === undefined || first.key >= this.#armedFor) return;
    this.#timer?.cancel();
    this.#armedFor = first.key;
    this.#timer = this.#host.timers.after(first.key - this.#host.clock.monotonic(), () =>
      this.#fire(),
    );
    // While somebody waits, the connection itself keeps the process from ending.
    this.#timer.unref?.();
  }

  #fire(): void {
    this.#timer = undefined;
    this.#armedFor = Infinity;
    const now = this.#host.clock.monotonic();
    for (let first = this.#heap.peek(); first && first.key <= now; first = this.#heap.peek()) {
      this.#heap.remove(first);
      first.item();
    }
    this.#arm();
  }
}
