/**
 * Lesson 19: one reader of the event stream: an answer that does not end.
 *
 * Invariants: a reader whose socket holds more than MAX_UNREAD_BYTES is written nothing more until
 * all of it has left; one that takes nothing for SLOW_MS is cut.
 * Test: test/http.events.test.ts
 */
import type { Interest } from "./frames.ts";

/** What waits for a reader that does not read, beside one snapshot. */
export const MAX_UNREAD_BYTES = 256 * 1024;
/** The largest snapshot, 3 MB, at half a megabit a second. */
export const SLOW_MS = 60_000;

/** As much of an HTTP answer as a stream needs. */
export interface Outlet {
  readonly destroyed: boolean;
  write(bytes: Uint8Array, done?: () => void): boolean;
  once(event: "close", fn: () => void): unknown;
  end(): unknown;
  destroy(): unknown;
}

export interface From {
  /** The id of the last message that this reader has had. */
  readonly at?: number | undefined;
  /** It is told what there is to tell, and nothing that happens later. */
  readonly once?: boolean;
}

export class Reader {
  readonly interest: Interest;
  readonly once: boolean;
  /** Readers with the same key are told the same. */
  readonly key: string;
  /** It has everything up to this number. Undefined: nothing, and needs a snapshot. */
  at: number | undefined;
  /** It has not been greeted. */
  isNew = true;
  /** It is told what happens as it happens. Else it is to catch up first. */
  isLive = false;
  readonly #outlet: Outlet;
  #unread = 0;
  #blockedAt: number | undefined;

  constructor(outlet: Outlet, interest: Interest, { at, once = false }: From) {
    this.#outlet = outlet;
    this.interest = interest;
    this.once = once;
    this.key = JSON.stringify([interest.all, interest.runs, interest.details]);
    this.at = at;
  }

  get isGone(): boolean {
    return this.#outlet.destroyed;
  }

  /** More is waiting than may. */
  get isBlocked(): boolean {
    return this.#unread > MAX_UNREAD_BYTES;
  }

  // #region write
  /** The same bytes may be written to many. `now` as in Host.clock.monotonic. */
  write(bytes: Uint8Array, now: number): void {
    if (this.isGone) return;
    this.#unread += bytes.length;
    if (this.isBlocked) this.#blockedAt ??= now;
    this.#outlet.write(bytes, () => {
      this.#unread -= bytes.length;
      if (!this.isBlocked) this.#blockedAt = undefined;
      if (this.#unread === 0) this.onDrained();
    });
  }
  // #endregion

  /** All that was written has left. */
  onDrained: () => void = () => undefined;

  /** Cuts one that has taken nothing for too long. */
  cutIfStuck(now: number): void {
    if (this.#blockedAt !== undefined && now - this.#blockedAt > SLOW_MS) this.#outlet.destroy();
  }

  end(): void {
    this.#outlet.end();
  }
}
