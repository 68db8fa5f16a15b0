/**
 * Lesson 15: snapshots of the whole keyspace, one after the other.
 *
 * A rewrite of the log and the full copy for a replica are the same walk through all keys with
 * different sinks, and the store has one snapshot at a time (snapshot.ts). So they queue. A
 * snapshot is made a slice at a time, with the clients' commands in between, and waits while its
 * sink is not ready for more.
 *
 * Invariant: `begin` and the snapshot are of the same moment: nothing is executed between them.
 * Test: test/15-store.log.test.ts
 */
import type { Snapshot } from "../data/snapshot.ts";
import type { Store } from "../store.ts";

/**
 * Some two hundred small keys, each about a microsecond: a slice holds up the clients for 0.2 ms.
 */
const BYTES_PER_SLICE = 16 * 1024;

/** Takes the commands of one snapshot. */
export interface SnapshotSink {
  /**
   * Asked before the beginning and between slices. After false, `SnapshotQueue.wake` must be called
   * once the sink is ready.
   */
  isReady(): boolean;
  /** True: nobody wants the snapshot any more. */
  isGone(): boolean;
  /** The commands that follow rebuild the keyspace of this moment. */
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

  /** A snapshot is being made, or waits. */
  get busy(): boolean {
    return this.#running !== undefined || this.#queue.length > 0;
  }

  add(sink: SnapshotSink): void {
    this.#queue.push(sink);
    this.wake();
  }

  /**
   * While the queue is held no snapshot begins: a copy of the primary comes in, and the keyspace is
   * incomplete.
   */
  hold(held: boolean): void {
    this.#held = held;
    this.wake();
  }

  /** Goes on with the next slice, if there is one. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#soon(() => {
      this.#scheduled = false;
      this.#slice();
    });
  }

  #slice(): void {
    const sink = (this.#running ??= this.#queue.shift());
    if (sink === undefined) return;
    if (sink.isGone()) {
      this.#snapshot?.abandon();
      return this.#next();
    }
    if (this.#held && this.#snapshot === undefined) return;
    if (!sink.isReady()) return;
    if (this.#snapshot === undefined) {
      sink.begin();
      this.#snapshot = this.#store.snapshot((argv) => sink.emit(argv));
    }
    if (this.#snapshot.step(BYTES_PER_SLICE)) return this.wake();
    sink.end();
    this.#next();
  }

  #next(): void {
    this.#running = undefined;
    this.#snapshot = undefined;
    this.wake();
  }
}
