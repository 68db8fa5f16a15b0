/** The contract of chapter 12: the book of leases. Written against "#membership" only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Leases } from "#membership";

const TIMES = { beatMs: 1000, leaseMs: 4000, graceMs: 80 };

/**
 * A book whose keeper looks when it should, from `from` on, until `until`. Returns what it was told
 * to give up, and when.
 */
function keep(
  leases: Leases<string>,
  until: number,
  onLook: (now: number) => void = () => undefined,
): string[] {
  const given: string[] = [];
  for (let at = leases.nextAt; at !== undefined && at <= until; at = leases.nextAt) {
    onLook(at);
    for (const { id, why, forMs } of leases.check(at)) {
      given.push(`${at}: ${id} ${why} for ${forMs}`);
    }
    const next = leases.nextAt ?? Infinity;
    assert.ok(next > at, `the keeper has looked at ${at}, and is to look at ${next} again`);
  }
  return given;
}

test("Leases refuses times in which its keeper's own sleep could end a lease", () => {
  assert.throws(() => new Leases({ ...TIMES, leaseMs: 3000 }), /a lease of 3000 ms/);
  assert.throws(() => new Leases({ ...TIMES, graceMs: -1 }), /a grace of -1 ms/);
  assert.throws(() => new Leases({ ...TIMES, beatMs: 0 }), /a beat of 0 ms/);
  assert.doesNotThrow(() => new Leases({ ...TIMES, leaseMs: 3001, graceMs: 600_000 }));
});

test("check() gives up nobody who is heard of in time, however long it goes on", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  assert.deepEqual(
    keep(leases, 60_000, (now) => {
      if (now % 3000 === 0) leases.renew("w", now);
    }),
    [],
  );
  assert.deepEqual([leases.size, leases.isHere("w"), leases.isAway("w")], [1, true, false]);
});

test("check() gives up a silent member within a beat after the end of its lease", () => {
  for (const silentSince of [0, 1, 250, 999, 1000]) {
    const leases = new Leases<string>(TIMES);
    leases.grant("watched", 0);
    leases.grant("w", 0);
    leases.renew("w", silentSince);
    const [said, ...more] = keep(leases, 10_000, (now) => leases.renew("watched", now));
    const at = Number(/^\d+/.exec(said!)![0]);
    assert.ok(
      at >= silentSince + TIMES.leaseMs && at <= silentSince + TIMES.leaseMs + TIMES.beatMs,
      `silent since ${silentSince}: ${said}`,
    );
    assert.equal(said, `${at}: w silent for ${at - silentSince}`);
    assert.deepEqual(more, [], "once, and nobody else");
  }
});

test("away() leaves a member exactly its grace, and nextAt says when that ends", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  leases.away("w", 500);
  assert.deepEqual([leases.isHere("w"), leases.isAway("w"), leases.nextAt], [false, true, 580]);
  assert.deepEqual(leases.check(579), []);
  assert.deepEqual(leases.check(580), [{ id: "w", why: "away", forMs: 80 }]);
  assert.deepEqual([leases.size, leases.nextAt], [0, undefined], "an empty book needs no look");
});

test("away() takes another time than the grace, and a grace of 0 ends at once", () => {
  const leases = new Leases<string>({ ...TIMES, graceMs: 0 });
  leases.away("restarted", 100, 4000);
  leases.grant("w", 100);
  leases.away("w", 100);
  assert.deepEqual(leases.check(100).map(({ id }) => id), ["w"]);
  assert.deepEqual(keep(leases, 10_000), ["4100: restarted away for 4000"]);
});

test("grant() brings back who was away, with a whole lease", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  leases.away("w", 500);
  leases.grant("w", 579);
  assert.deepEqual(leases.check(580), []);
  assert.deepEqual([leases.isHere("w"), leases.isAway("w")], [true, false]);
  assert.equal(keep(leases, 20_000)[0], "4580: w silent for 4001");
});

test("renew() does not bring back who is away, was given up, or was never here", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("away", 0);
  leases.away("away", 10);
  for (const id of ["away", "stranger"]) leases.renew(id, 20);
  assert.deepEqual(
    [leases.size, leases.isHere("away"), leases.isHere("stranger")],
    [1, false, false],
  );
  assert.deepEqual(keep(leases, 1000), ["90: away away for 80"]);
  leases.renew("away", 1000);
  assert.equal(leases.size, 0);
});

test("end() forgets a member in either state, and nobody hears of it again", () => {
  const leases = new Leases<string>(TIMES);
  for (const id of ["here", "away"]) leases.grant(id, 0);
  leases.away("away", 0);
  for (const id of ["here", "away", "stranger"]) leases.end(id);
  assert.deepEqual([leases.size, leases.nextAt, leases.check(60_000)], [0, undefined, []]);
});

test("check() after the keeper slept blames nobody: every lease starts anew", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("live", 0);
  leases.grant("dead", 0);
  assert.deepEqual(leases.check(1000), []);
  assert.deepEqual(leases.check(11_000), [], "ten seconds late");
  const given = keep(leases, 60_000, (now) => leases.renew("live", now));
  assert.deepEqual(
    given,
    ["15000: dead silent for 4000"],
    "and it goes on watching, from the moment it woke up",
  );
});

test("check() takes a slow turn for a slow turn, not for sleep", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  for (const now of [1900, 3800]) assert.deepEqual(leases.check(now), []);
  assert.deepEqual(
    leases.check(5700),
    [{ id: "w", why: "silent", forMs: 5700 }],
    "900 ms late each time",
  );
});

test("check() takes one late beat for a slow turn, and a moment more for sleep", () => {
  for (const [lateMs, sleeps] of [[1000, false], [1001, true]] as const) {
    const leases = new Leases<string>(TIMES);
    leases.grant("w", 0);
    leases.check(1000);
    leases.check(2000 + lateMs);
    const [said] = keep(leases, 60_000);
    const ends = sleeps ? 2000 + lateMs + TIMES.leaseMs : TIMES.leaseMs;
    const afterMs = Number(/^\d+/.exec(said!)![0]) - ends;
    assert.ok(afterMs >= 0 && afterMs <= TIMES.beatMs, `${lateMs} ms late: ${said}`);
  }
});

test("check() after the keeper slept leaves a longer absence as long as it was", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("other", 0);
  leases.away("w", 0, 60_000);
  assert.deepEqual(leases.check(10_000), [], "nine seconds late");
  assert.deepEqual(keep(leases, 90_000), [
    "14000: other silent for 4000", "60000: w away for 60000",
  ]);
});

test("check() after the keeper slept leaves who was away a whole lease", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  leases.away("w", 100);
  assert.deepEqual(leases.check(10_000), []);
  assert.deepEqual(keep(leases, 60_000), ["14000: w away for 13900"]);
});

test("away() that is the first to notice the sleep leaves a whole lease, to that member and to " +
  "all others", () => {
  const leases = new Leases<string>(TIMES);
  for (const id of ["hung-up", "later", "quiet"]) leases.grant(id, 0);
  // its connection ended long ago; we read of it now, before our own timer
  leases.away("hung-up", 10_000);
  assert.deepEqual(leases.check(10_001), []);
  leases.away("later", 10_050);
  const given = keep(leases, 60_000);
  assert.deepEqual(given.sort(), [
    "14000: hung-up away for 4000",
    "14000: later away for 3950",
    "14000: quiet silent for 4000",
  ]);
});

test("away() long after the sleep leaves the grace again, and no more", () => {
  const leases = new Leases<string>(TIMES);
  leases.grant("w", 0);
  keep(leases, 20_000, (now) => leases.renew("w", now));
  assert.deepEqual(leases.check(40_000), []);
  keep(leases, 43_950, (now) => leases.renew("w", now));
  leases.away("w", 43_950);
  assert.deepEqual(keep(leases, 60_000), ["44030: w away for 80"]);
});

test("nextAt is never later than a beat away while somebody is here, and never missing", () => {
  const leases = new Leases<number>(TIMES);
  for (let id = 0; id < 50; id++) {
    leases.grant(id, id * 100);
    assert.ok(leases.nextAt! <= id * 100 + TIMES.beatMs);
    leases.check(id * 100);
    assert.ok(leases.nextAt! <= id * 100 + TIMES.beatMs);
  }
});

test("Leases agrees with a table in which every rule is written out, after any " +
  "sequence of calls", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = generator(seed);
    const leases = new Leases<number>(TIMES);
    const table = new Table();
    let now = 0;
    for (let step = 0; step < 200; step++) {
      const id = random() % 6;
      const dice = random() % 100;
      // The keeper looks when it should, except when it is asleep.
      const to = now + (dice < 4 ? random() % 20_000 : random() % 400);
      const asleep = dice < 4;
      for (let at = leases.nextAt; !asleep && at !== undefined && at <= to; at = leases.nextAt) {
        assert.deepEqual(
          sorted(leases.check(at)),
          sorted(table.check(at)),
          `seed ${seed}, step ${step}`,
        );
      }
      now = Math.max(now, to);
      if (dice < 30) (leases.grant(id, now), table.grant(id, now));
      else if (dice < 60) (leases.renew(id, now), table.renew(id, now));
      else if (dice < 75 && leases.isHere(id)) (leases.away(id, now), table.away(id, now));
      else if (dice < 80) (leases.end(id), table.end(id));
      assert.equal(leases.size, table.rows.size, `seed ${seed}, step ${step}`);
    }
  }
});

/**
 * The same rules, slowly: one row per member, and a note of every moment at which the book was
 * looked at or should have been.
 */
class Table {
  readonly rows = new Map<number, { here: boolean; since: number; until: number }>();
  #due = Infinity;
  #graceUntil = -Infinity;

  #late(now: number): void {
    if (now <= this.#due + TIMES.beatMs) return;
    for (const row of this.rows.values()) {
      if (row.here) row.since = now;
      else row.until = Math.max(row.until, now + TIMES.leaseMs);
    }
    this.#graceUntil = now + TIMES.leaseMs;
    this.#due = now + TIMES.beatMs;
  }
  grant(id: number, now: number): void {
    this.rows.set(id, { here: true, since: now, until: 0 });
    this.#due = Math.min(this.#due, now + TIMES.beatMs);
  }
  renew(id: number, now: number): void {
    const row = this.rows.get(id);
    if (row?.here) row.since = now;
  }
  away(id: number, now: number): void {
    this.#late(now);
    const until = Math.max(now + TIMES.graceMs, this.#graceUntil);
    this.rows.set(id, { here: false, since: now, until });
    this.#due = Math.min(this.#due, until);
  }
  end(id: number): void {
    this.rows.delete(id);
    if (this.rows.size === 0) this.#due = Infinity;
  }
  check(now: number): { id: number; why: string; forMs: number }[] {
    this.#late(now);
    const gone = [...this.rows].filter(
      ([, row]) => now >= (row.here ? row.since + TIMES.leaseMs : row.until),
    );
    for (const [id] of gone) this.rows.delete(id);
    const left = [...this.rows.values()];
    this.#due = Math.min(
      ...(left.length > 0 ? [now + TIMES.beatMs] : []),
      ...left.filter((row) => !row.here).map((row) => row.until),
      Infinity,
    );
    return gone.map(([id, row]) => ({
      id,
      why: row.here ? "silent" : "away",
      forMs: now - row.since,
    }));
  }
}

function sorted<T extends { id: number }>(given: T[]): T[] {
  return given.toSorted((a, b) => a.id - b.id);
}

/** mulberry32: enough chance for a test, and the same on every machine. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
