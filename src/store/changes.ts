/**
 * Lesson 15: the changes of the command under way, on their way to the log.
 *
 *     command ─▶ dirty? ─▶ its own words, or those it gave to `log` ─▶ group ─▶ propagate
 *
 * A group leaves as a whole: the log holds all of a transaction or nothing.
 *
 * Invariant: a command that changed something adds at least one line to the group, unless a replay
 * runs it: its changes are in the log already.
 * Test: test/15-store.test.ts
 */
import type { Propagate } from "./types.ts";

export class Changes {
  /** The command under way changed something. */
  dirty = false;
  /** The command under way gave its own words for the log: the words it came with are not used. */
  logged = false;
  /** A log is replayed: nothing is added, and no limit refuses what was acknowledged once. */
  replaying = false;
  #group: string[][] = [];
  readonly #propagate: Propagate | undefined;

  constructor(propagate: Propagate | undefined) {
    this.#propagate = propagate;
  }

  /** Puts one command into the group. */
  add(argv: string[]): void {
    if (this.#propagate !== undefined && !this.replaying) this.#group.push(argv);
  }

  /** Sends the group, if there is anything in it. */
  flush(): void {
    if (this.#group.length === 0) return;
    const group = this.#group;
    this.#group = [];
    this.#propagate?.(group);
  }
}
