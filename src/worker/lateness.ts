/**
 * Lesson 12: how late the worker's heartbeats left.
 *
 * A beat is due at a time that this worker has set itself, and leaves when the event loop gets to
 * it. The difference is the time for which something held the loop: a step of ours that took too
 * long, or a machine with too much to do. A worker that is late by a lease has lost its jobs, so
 * its lateness is worth knowing long before.
 *
 *     minute   … 17   18   19   20   21   22    the worst of each; RECENT_MINUTES of them count
 *     worst      3    2    2    480  5    1   →    480 of late, and the worst ever beside it
 *
 * Invariant: memory for RECENT_MINUTES numbers, however long the worker runs.
 * Left out: delays between two beats that delay neither.
 * Test: test/12-membership.lateness.test.ts
 */

/** The running minute, and the ones before it: "just now" for a person who was called to look. */
export const RECENT_MINUTES = 5;
const MINUTE_MS = 60_000;

export class Lateness {
  /** The worst of each minute, by the number of the minute. */
  readonly #minutes = new Map<number, number>();
  #max = 0;

  /** A beat that was due at one time leaves now (both monotonic, in ms). */
  note(dueAt: number, now: number): void {
    const lateMs = Math.max(0, Math.round(now - dueAt));
    const minute = Math.floor(now / MINUTE_MS);
    this.#minutes.set(minute, Math.max(lateMs, this.#minutes.get(minute) ?? lateMs));
    this.#max = Math.max(this.#max, lateMs);
    for (const old of this.#minutes.keys()) {
      if (old < minute - RECENT_MINUTES) this.#minutes.delete(old);
    }
  }

  /** The worst of the last RECENT_MINUTES. */
  get recentMs(): number {
    return Math.max(0, ...this.#minutes.values());
  }

  /** The worst since the beginning. */
  get maxMs(): number {
    return this.#max;
  }
}
