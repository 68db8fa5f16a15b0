/**
 * Lesson 10: files and folders that nobody can name any more, removed in the background.
 *
 *     add ──▶ waiting ──(two at a time)──▶ under way ──▶ gone
 *               │ ▲                            │
 *        keep ◀─┘ └── failed ◀──────(error)────┘      tried again a minute later
 *
 * Forgetting is an event of the log, and costs nothing. Removing is a disk's work and nobody waits
 * for it: a start does not wait until the leftovers of 100,000 runs are gone.
 *
 * Invariants: a name is in one of the three sets at most; at most AT_ONCE removals are under way
 * beside those that somebody waits for; what could not be removed is not forgotten; after a crash
 * the next start finds what is left by its name.
 * Test: test/10-master.removals.test.ts
 */
import type { Clock } from "#host";

/** Node has four threads for files, and the log's fsync needs one of them at any moment. */
const AT_ONCE = 2;

/** A disk that refuses (read-only, busy) is asked again after this long. */
const RETRY_MS = 60_000;

export class Removals {
  readonly #clock: Clock;
  readonly #remove: (name: string) => Promise<void>;
  readonly #waiting = new Set<string>();
  /** Where the next one is taken from. A new walk would step over all that have left before it. */
  #walk = this.#waiting.values();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #failed = new Set<string>();
  #failedAt = 0;
  #closed = false;

  /** `remove` must not mind that a name is gone already. */
  constructor(clock: Clock, remove: (name: string) => Promise<void>) {
    this.#clock = clock;
    this.#remove = remove;
  }

  /** Names that are still there, the failed ones included. */
  get size(): number {
    return this.#waiting.size + this.#underWay.size + this.#failed.size;
  }

  has(name: string): boolean {
    return this.#waiting.has(name) || this.#underWay.has(name) || this.#failed.has(name);
  }

  add(name: string): void {
    if (this.#failed.size > 0 && this.#clock.monotonic() - this.#failedAt >= RETRY_MS) {
      for (const again of this.#failed) this.#waiting.add(again);
      this.#failed.clear();
    }
    if (!this.#failed.has(name) && !this.#underWay.has(name)) this.#waiting.add(name);
    this.#pump();
  }

  /**
   * Not to be removed after all. Resolves when it is certain: at once, or after a removal that has
   * begun.
   */
  async keep(name: string): Promise<void> {
    this.#waiting.delete(name);
    this.#failed.delete(name);
    await this.#underWay.get(name)?.catch(() => undefined);
    this.#failed.delete(name);
  }

  /**
   * Resolves once it is gone: before all others, if it still waits. Rejects if it cannot be
   * removed.
   */
  async now(name: string): Promise<void> {
    await (this.#underWay.get(name) ?? this.#begin(name));
  }

  /** Begins nothing more. The next start goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#underWay.values());
  }

  #pump(): void {
    while (!this.#closed && this.#underWay.size < AT_ONCE && this.#waiting.size > 0) {
      let next = this.#walk.next();
      if (next.done === true) {
        this.#walk = this.#waiting.values();
        next = this.#walk.next();
      }
      this.#begin(next.value!).catch(() => undefined);
    }
  }

  #begin(name: string): Promise<void> {
    this.#waiting.delete(name);
    this.#failed.delete(name);
    const done = Promise.resolve(name).then(this.#remove).catch((error: unknown) => {
      this.#failed.add(name);
      this.#failedAt = this.#clock.monotonic();
      throw error;
    }).finally(() => {
      this.#underWay.delete(name);
      this.#pump();
    });
    this.#underWay.set(name, done);
    return done;
  }
}
