/**
 * Lesson 15: copies of the whole keyspace, one after the other.
 *
 * A rewrite of the log and the full copy for a replica are the same walk through all keys with
 * different ends, and the engine keeps one picture at a time (snapshot.ts). So they queue. Each
 * goes a slice at a time, with everybody's commands in between, and waits while its taker is not
 * ready for more.
 *
 * Invariant: `begin` and the picture are of the same moment: nothing is executed between them.
 * Test: test/15-store.log.test.ts
 */
import type { Snapshot } from "../data/snapshot.ts";
import type { Store } from "../store.ts";

/**
 * Some two hundred small keys, each about a microsecond: a slice holds up the clients for 0.2 ms.
 */
const BYTES_PER_SLICE = 16 * 1024;

/** Who wants a copy, and takes it. */
export interface SnapshotSink {
  /**
   * Asked before the beginning and between slices. After false: somebody calls `SnapshotQueue.wake` once
   * it is true again.
   */
  isReady(): boolean;
  /** Nobody wants it any more. */
  isGone(): boolean;
  /** What comes now is the keyspace of this moment. */
  begin(): void;
  emit(argv: string[]): void;
  end(): void;
}

export class SnapshotQueue {
  readonly #store: Store;
  readonly #soon: (fn: () => void) => void;
  #queue: SnapshotSink[] = [];
  #running: SnapshotSink | undefined;
  #snapshot: Snapshot | undefined;
  #scheduled = false;
  #held = false;

  constructor(store: Store) {
    this.#store = store;
    this.#soon = (fn) => store.host.timers.soon(fn);
  }

  /** A copy is being made, or waits for its taker. */
  get busy(): boolean {
    return this.#running !== undefined || this.#queue.length > 0;
  }

  add(taker: SnapshotSink): void {
    this.#queue.push(taker);
    this.wake();
  }

  /** While it is held no copy begins: the keyspace is half of one that comes in. */
  hold(held: boolean): void {
    this.#held = held;
    this.wake();
  }

  /** Goes on, if there is something to go on with. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#soon(() => {
      this.#scheduled = false;
      this.#slice();
    });
  }

  // #region slice
  #slice(): void {
    const taker = (this.#running ??= this.#queue.shift());
    if (taker === undefined) return;
    if (taker.isGone()) {
      this.#snapshot?.abandon();
      return this.#next();
    }
    if (this.#held && this.#snapshot === undefined) return;
    if (!taker.isReady()) return;
    if (this.#snapshot === undefined) {
      taker.begin();
      this.#snapshot = this.#store.snapshot((argv) => taker.emit(argv));
    }
    if (this.#snapshot.step(BYTES_PER_SLICE)) return this.wake();
    taker.end();
    this.#next();
  }
  // #endregion

  #next(): void {
    this.#running = undefined;
    this.#snapshot = undefined;
    this.wake();
  }
}
