/**
 * Lesson 05: a disk that is full. This is not a failure: what was written stays written, and room
 * comes back.
 *
 *     a write fails for lack of space ─▶ what it left behind is cut off
 *                                          │
 *                                          ▼
 *       ┌─▶ full: the group is kept, new records are refused
 *       │     │ after a pause that grows, the group is written again
 *       └─────┤ no room yet
 *             ▼
 *           written, fsynced ─▶ acknowledged; records are taken again
 *
 * Invariants: the group that waits for room is written first, in its order; a pause is at most
 * LONGEST_PAUSE_MS; an fsync is not tried again, whatever its error (log.ts says why), not even for
 * lack of space: file systems that assign blocks late may report a full disk there.
 * Test: test/05-log.full.test.ts
 */
import { invariant } from "#base";
import type { Host, Timer } from "#host";

/** When somebody removes a file, the log goes on within a quarter of a second. */
const FIRST_PAUSE_MS = 250;

/**
 * A disk that stays full all night is tried this often: one write that fails costs microseconds.
 */
const LONGEST_PAUSE_MS = 2000;

export interface LogFull {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** What the system said, with the file. */
  readonly message: string;
}

export interface RoomEvents {
  /** Called once when the disk turns out to be full: records are refused from here on. */
  readonly onFull?: ((full: LogFull) => void) | undefined;
  /** Called once when there is room again: all that waited is written, and records are taken. */
  readonly onRoom?: ((full: LogFull) => void) | undefined;
}

/**
 * No space is left on the device, or in this user's quota; and the failed call was not an fsync.
 */
export function hasNoRoom(error: unknown): boolean {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  return (code === "ENOSPC" || code === "EDQUOT") && syscall !== "fsync" && syscall !== "fdatasync";
}

/** Whether the disk is full, and when to ask it again. */
export class Room {
  readonly #host: Host;
  readonly #events: RoomEvents;
  #full: LogFull | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #timer: Timer | undefined;

  constructor(host: Host, events: RoomEvents) {
    this.#host = host;
    this.#events = events;
  }

  get full(): LogFull | undefined {
    return this.#full;
  }

  /** There was no room: `again` runs after the next pause. */
  wait(message: string, again: () => void): void {
    const isNew = this.#full === undefined;
    this.#full ??= { since: this.#host.clock.wall(), message };
    this.#timer = this.#host.timers.after(this.#pauseMs, () => {
      this.#timer = undefined;
      again();
    });
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    if (isNew) this.#events.onFull?.(this.#full);
  }

  /** The group that waited is written. */
  found(): void {
    const full = this.#full;
    if (full === undefined) return;
    this.#full = undefined;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#events.onRoom?.(full);
  }

  /** Cancels a pause. True: there was one. */
  cancel(): boolean {
    const waits = this.#timer !== undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    return waits;
  }
}

invariant(FIRST_PAUSE_MS <= LONGEST_PAUSE_MS, "pauses grow");
