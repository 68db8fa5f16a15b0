/**
 * Lesson 04: ten thousand deadlines, one timer.
 *
 *     heap of entries by time      [0] is due first; children of i are 2i+1 and 2i+2
 *     one host timer               armed for no later than [0]
 *
 * A timer per request costs an allocation and two list operations in the runtime, for something
 * that almost never fires. Here it is two array writes: new deadlines are mostly the latest, so
 * they stay at the bottom of the heap. Each entry knows its place, so that an answered request
 * leaves at once and not in 30 s.
 *
 * Invariants: heap[i].index === i; at most one timer is armed, for no later than heap[0]. An idle
 * connection wakes up once for a deadline that was met long ago, and then sleeps.
 * Left out: a timing wheel. It would make `add` O(1), and wake up for ticks in which nothing is
 * due.
 * Test: test/04-rpc.test.ts
 */
import { invariant } from "#base";
import type { Host, Timer } from "#host";

export interface Deadline {
  readonly at: number;
  readonly fn: () => void;
  /** Place in the heap; -1 once it has fired or was removed. */
  index: number;
}

export class Deadlines {
  readonly #host: Host;
  readonly #heap: Deadline[] = [];
  #timer: Timer | undefined;
  #armedFor = Infinity;

  constructor(host: Host) {
    this.#host = host;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `fn` once, `ms` from now. Infinity: never. */
  add(ms: number, fn: () => void): Deadline {
    // NaN would never be due: at the top of the heap it would hold up all others, and wake us
    // without end.
    invariant(!Number.isNaN(ms), "a deadline that is no number");
    const entry: Deadline = { at: this.#host.clock.monotonic() + ms, fn, index: -1 };
    if (ms === Infinity) return entry;
    this.#up(this.#heap.push(entry) - 1, entry);
    this.#arm();
    return entry;
  }

  /**
   * Idempotent, and safe after the deadline has fired. The timer stays armed: waking once for
   * nothing is cheaper than arming it anew.
   */
  remove(entry: Deadline): void {
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    // The last entry fills the hole, and may belong above it or below it.
    if (!this.#up(index, last)) this.#down(index, last);
  }

  clear(): void {
    for (const entry of this.#heap) entry.index = -1;
    this.#heap.length = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedFor = Infinity;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.at >= this.#armedFor) return;
    this.#timer?.cancel();
    this.#armedFor = first.at;
    this.#timer = this.#host.timers.after(first.at - this.#host.clock.monotonic(), () =>
      this.#fire(),
    );
  }

  #fire(): void {
    this.#timer = undefined;
    this.#armedFor = Infinity;
    const now = this.#host.clock.monotonic();
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.remove(first);
      first.fn();
    }
    this.#arm();
  }

  /**
   * Puts `entry` at `index` or higher, where its parent is no later than itself. True if it moved.
   */
  #up(index: number, entry: Deadline): boolean {
    let at = index;
    while (at > 0) {
      const parent = this.#heap[(at - 1) >> 1]!;
      if (parent.at <= entry.at) break;
      this.#heap[at] = parent;
      parent.index = at;
      at = (at - 1) >> 1;
    }
    this.#heap[at] = entry;
    entry.index = at;
    return at !== index;
  }

  /** Puts `entry` at `index` or lower, where no child is earlier than itself. */
  #down(index: number, entry: Deadline): void {
    let at = index;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && this.#heap[child + 1]!.at < this.#heap[child]!.at) {
        child++;
      }
      const earlier = this.#heap[child]!;
      if (earlier.at >= entry.at) break;
      this.#heap[at] = earlier;
      earlier.index = at;
      at = child;
    }
    this.#heap[at] = entry;
    entry.index = at;
  }
}
