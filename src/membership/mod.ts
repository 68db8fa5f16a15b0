/**
 * Lesson 12: membership. Which members are here, which are away and may come back, and which are
 * given up.
 *
 *              grant                    lease over: "silent"
 *     (new) ─────────▶ HERE ─────────────────────────────▶ given up
 *                      │  ▲ renew: heard of it             ▲
 *                 away │  │ grant: it is back              │
 *                      ▼  │                                │
 *                      AWAY ───────────────────────────────┘
 *                              grace over: "away"
 *
 * A **lease** is a promise with an end: the member owns its attempts until nothing has been heard
 * of it for `leaseMs`. The book has no clock and no timer. Its keeper (the master) passes the time
 * in (monotonic milliseconds), calls `check` at `nextAt`, and acts on the members that it returns.
 *
 * Invariants: a member is in exactly one state; it is given up once; no member is given up for a
 * time in which the keeper of the book did not look (`#clockJumped`).
 * Cost: a renewal is one look-up; a check looks at every member, once a beat, and while a member is
 * away also when its grace ends: 800 members cost it about 10 µs.
 * Left out: suspicion shared between members (SWIM), and lease times that learn from a member's
 * past beats (phi accrual): one master asks, so there is nobody to share a suspicion with, and a
 * fixed lease can be reasoned about.
 * Test: test/12-membership.test.ts
 */
import { invariant } from "#base";

export interface LeaseTimes {
  /** Members are heard of at least this often, and the book is looked at as often. */
  readonly beatMs: number;
  /** Silence after which a member that is here is given up. */
  readonly leaseMs: number;
  /** How long a member whose connection closed may take to come back. 0: no time at all. */
  readonly graceMs: number;
}

/** A member to be given up. It has already left the book. */
export interface GivenUp<Id> {
  readonly id: Id;
  /** `silent`: connected, but not heard of. `away`: its connection closed, and no new one came. */
  readonly why: "silent" | "away";
  /** How long it had been silent, or away. */
  readonly forMs: number;
}

/**
 * Two looks at the book may be this many beats apart, one on time and one for a slow turn. If they
 * are further apart, the keeper itself has slept.
 */
const AWAKE_BEATS = 2;

/**
 * The book of leases.
 *
 * @example
 * ```ts
 * import { Leases } from "#membership";
 * const leases = new Leases<string>({ beatMs: 1000, leaseMs: 4000, graceMs: 80 });
 * leases.grant("w1", 0);
 * leases.grant("w2", 0);
 * leases.away("w2", 500);
 * leases.nextAt // => 580
 * leases.check(580) // => [ { id: 'w2', why: 'away', forMs: 80 } ]
 * leases.check(1500) // => []
 * ```
 */
export class Leases<Id> {
  readonly #times: LeaseTimes;
  /** The time when each member that is here was last heard of. */
  readonly #here = new Map<Id, { heardAt: number }>();
  /** The time since when a member is away, and the end of its grace. */
  readonly #away = new Map<Id, { since: number; until: number }>();
  /** The keeper has promised to look again at this time. */
  #nextAt = Infinity;
  /** Until then a closed connection may be a late consequence of the keeper's own sleep. */
  #graceUntil = -Infinity;

  constructor(times: LeaseTimes) {
    const { beatMs, leaseMs, graceMs } = times;
    invariant(beatMs > 0 && graceMs >= 0, `a beat of ${beatMs} ms and a grace of ${graceMs} ms`);
    // A beat may be on its way for one beat, and the keeper may sleep for AWAKE_BEATS without
    // knowing it.
    const why = "the keeper's own sleep could end it before it counts as sleep";
    invariant(leaseMs > (1 + AWAKE_BEATS) * beatMs, `a lease of ${leaseMs} ms: ${why}`);
    this.#times = { beatMs, leaseMs, graceMs };
  }

  /** Members, whether here or away. */
  get size(): number {
    return this.#here.size + this.#away.size;
  }

  isHere(id: Id): boolean {
    return this.#here.has(id);
  }

  isAway(id: Id): boolean {
    return this.#away.has(id);
  }

  /** The time to call `check`. Undefined: the book is empty. */
  get nextAt(): number | undefined {
    return this.#nextAt === Infinity ? undefined : this.#nextAt;
  }

  // #region grant
  /** A member has connected: for the first time, or again. */
  grant(id: Id, now: number): void {
    this.#away.delete(id);
    this.#here.set(id, { heardAt: now });
    this.#lookBy(now + this.#times.beatMs);
  }

  /** Something was heard of it. No effect for an absent member: one that was given up stays so. */
  renew(id: Id, now: number): void {
    const lease = this.#here.get(id);
    if (lease !== undefined) lease.heardAt = now;
  }
  // #endregion

  // #region away
  /** Its connection has closed. It may still live, and has `forMs` to come back. */
  away(id: Id, now: number, forMs = this.#times.graceMs): void {
    // #exercise away
    this.#clockJumped(now);
    this.#here.delete(id);
    // While the keeper slept, members hung up on it and are between two dials now.
    const until = Math.max(now + forMs, this.#graceUntil);
    this.#away.set(id, { since: now, until });
    this.#lookBy(until);
    // #end-exercise
  }
  // #endregion

  /** It is gone for good, by its own word or by another decision. */
  end(id: Id): void {
    this.#here.delete(id);
    this.#away.delete(id);
    if (this.size === 0) this.#nextAt = Infinity;
  }

  // #region check
  /** Looks at the book. The returned members are no members any more. */
  check(now: number): GivenUp<Id>[] {
    // #exercise check
    this.#clockJumped(now);
    const { beatMs, leaseMs } = this.#times;
    const given: GivenUp<Id>[] = [];
    for (const [id, { heardAt }] of this.#here) {
      if (now - heardAt >= leaseMs) given.push({ id, why: "silent", forMs: now - heardAt });
    }
    for (const [id, { since, until }] of this.#away) {
      if (now >= until) given.push({ id, why: "away", forMs: now - since });
    }
    for (const { id } of given) this.end(id);
    this.#nextAt = Infinity;
    if (this.size > 0) this.#lookBy(now + beatMs);
    for (const { until } of this.#away.values()) this.#lookBy(until);
    return given;
    // #end-exercise
  }
  // #endregion

  // #region clockJumped
  /**
   * Was the keeper itself stopped (SIGSTOP, a debugger, swapping)? Then it knows nothing about the
   * time in between: beats wait in its sockets, and members that had no answer have hung up. All
   * leases start anew. A member that is away, or turns out to be in the next moments, gets a whole
   * lease to come back.
   */
  #clockJumped(now: number): void {
    // #exercise clockJumped
    const { beatMs, leaseMs } = this.#times;
    if (now - this.#nextAt <= (AWAKE_BEATS - 1) * beatMs) return;
    for (const lease of this.#here.values()) lease.heardAt = now;
    for (const absence of this.#away.values()) {
      absence.until = Math.max(absence.until, now + leaseMs);
    }
    this.#graceUntil = now + leaseMs;
    this.#nextAt = now + beatMs;
    // #end-exercise
  }
  // #endregion

  #lookBy(at: number): void {
    if (at < this.#nextAt) this.#nextAt = at;
  }
}
