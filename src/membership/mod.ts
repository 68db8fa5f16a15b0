/**
 * Lesson 12: membership. Who is here, who is away and may come back, and who is given up.
 *
 *              grant                    lease over: "silent"
 *     (new) ─────────▶ HERE ─────────────────────────────▶ given up
 *                      │  ▲ renew: heard of it             ▲
 *                 away │  │ grant: it is back              │
 *                      ▼  │                                │
 *                      AWAY ───────────────────────────────┘
 *                              grace over: "away"
 *
 * A **lease** is a promise with an end: the member owns its attempts until nothing has been heard of it for `leaseMs`. The
 * book has no clock and no timer. Whoever keeps it says what time it is (monotonic milliseconds), calls `check` at
 * `nextAt`, and acts on what is handed out.
 *
 * Invariants: a member is in exactly one state; it is given up once; nobody is given up for a time in which the keeper of the
 * book did not look (`#woke`).
 * Cost: a renewal is one look-up; a check looks at every member, once a beat, and while somebody is away also when their
 * grace ends: 800 members cost it about 10 µs.
 * Left out: suspicion shared between members (SWIM), and lease times that learn from a member's past beats (phi accrual):
 * one master asks, so there is nobody to share a suspicion with, and a fixed lease can be reasoned about.
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

/** A member to be given up. It is out of the book when you read this. */
export interface GivenUp<Id> {
  readonly id: Id;
  /** `silent`: connected, and not heard of. `away`: its connection had closed, and no other came. */
  readonly why: "silent" | "away";
  /** How long it had been silent, or away. */
  readonly forMs: number;
}

/** How many beats apart two looks at the book may be before it was the keeper who slept: one on time, one for a slow turn. */
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
  /** When each member that is here was last heard of. */
  readonly #here = new Map<Id, { heardAt: number }>();
  /** Since when a member is away, and how long that is tolerated. */
  readonly #away = new Map<Id, { since: number; until: number }>();
  /** When the keeper has promised to look again. */
  #nextAt = Infinity;
  /** Until then a closed connection may be a late consequence of the keeper's own sleep. */
  #mercyUntil = -Infinity;

  constructor(times: LeaseTimes) {
    const { beatMs, leaseMs, graceMs } = times;
    invariant(beatMs > 0 && graceMs >= 0, `a beat of ${beatMs} ms and a grace of ${graceMs} ms`);
    // A beat may be on its way for one beat, and the keeper may sleep for AWAKE_BEATS without knowing that it did.
    invariant(leaseMs > (1 + AWAKE_BEATS) * beatMs, `a lease of ${leaseMs} ms: the keeper's own sleep could end it before it counts as sleep`);
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

  /** When to call `check`. Undefined: the book is empty. */
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

  /** Something was heard of it. Without effect for who is not here: a member that was given up stays so. */
  renew(id: Id, now: number): void {
    const lease = this.#here.get(id);
    if (lease !== undefined) lease.heardAt = now;
  }
  // #endregion

  // #region away
  /** Its connection has closed. That is no proof of death: it has `forMs` to come back. */
  away(id: Id, now: number, forMs = this.#times.graceMs): void {
    // #exercise away
    this.#woke(now);
    this.#here.delete(id);
    // While the keeper slept, members hung up on it and are between two dials now.
    const until = Math.max(now + forMs, this.#mercyUntil);
    this.#away.set(id, { since: now, until });
    this.#lookBy(until);
    // #end-exercise
  }
  // #endregion

  /** It is gone for good, and has said so; or somebody else has decided it. */
  end(id: Id): void {
    this.#here.delete(id);
    this.#away.delete(id);
    if (this.size === 0) this.#nextAt = Infinity;
  }

  // #region check
  /** Looks at the book. Whoever it returns is not a member any more. */
  check(now: number): GivenUp<Id>[] {
    // #exercise check
    this.#woke(now);
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

  // #region woke
  /**
   * Was the keeper itself stopped (SIGSTOP, a debugger, swapping)? Then it knows nothing about the time in between: beats wait
   * in its sockets, and members that had no answer have hung up. All leases start anew, and whoever is away, or turns
   * out to be in the next moments, gets a whole lease.
   */
  #woke(now: number): void {
    // #exercise woke
    const { beatMs, leaseMs } = this.#times;
    if (now - this.#nextAt <= (AWAKE_BEATS - 1) * beatMs) return;
    for (const lease of this.#here.values()) lease.heardAt = now;
    for (const absence of this.#away.values()) absence.until = Math.max(absence.until, now + leaseMs);
    this.#mercyUntil = now + leaseMs;
    this.#nextAt = now + beatMs;
    // #end-exercise
  }
  // #endregion

  #lookBy(at: number): void {
    if (at < this.#nextAt) this.#nextAt = at;
  }
}
