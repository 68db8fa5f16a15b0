/** The parts of #retry that remember: budget, dead letters, idempotency keys. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadLetters, IdempotencyKeys, randomFrom, RetryBudget } from "#retry";

/** Through JSON text, as a snapshot would. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function withdrawals(budget: RetryBudget): number {
  let count = 0;
  while (budget.withdraw()) count++;
  return count;
}

test("RetryBudget.withdraw() refuses when nothing is there, and takes nothing", () => {
  const budget = new RetryBudget({ ratio: 0.5, reserve: 0 });
  for (let i = 0; i < 5; i++) assert.equal(budget.withdraw(), false);
  budget.deposit();
  assert.equal(budget.withdraw(), false);
  budget.deposit();
  assert.equal(budget.withdraw(), true);
  assert.equal(budget.withdraw(), false);
});

test("RetryBudget keeps retries below reserve + ratio × first attempts in any " +
  "order of events", () => {
  const random = randomFrom("budget");
  const budget = new RetryBudget({ ratio: 0.2, reserve: 3 });
  let first = 0;
  let retries = 0;
  for (let step = 0; step < 20_000; step++) {
    if (random() < 0.4) {
      budget.deposit();
      first++;
    } else if (budget.withdraw()) retries++;
    assert.ok(retries <= 3 + 0.2 * first, `${retries} retries after ${first} first attempts`);
  }
  assert.ok(retries + budget.available > 0.2 * first, "the whole share is usable");
});

test("RetryBudget loses nothing to rounding: ten deposits of 0.1 are one retry", () => {
  const budget = new RetryBudget({ ratio: 0.1, reserve: 0 });
  for (let i = 0; i < 10; i++) budget.deposit();
  assert.equal(budget.available, 1);
  for (let i = 0; i < 999_990; i++) budget.deposit();
  assert.equal(budget.available, 1000);
});

test("RetryBudget begins with 10 retries, earns a fifth of one a job, and saves 1,000", () => {
  const budget = new RetryBudget();
  assert.deepEqual(
    budget.toJSON(), { ratioMilli: 200, limitMilli: 1_000_000, balanceMilli: 10_000 },
  );
  for (let job = 0; job < 4; job++) budget.deposit();
  assert.equal(budget.available, 10);
  budget.deposit();
  assert.equal(budget.available, 11);
  for (let job = 0; job < 10_000; job++) budget.deposit();
  assert.equal(budget.available, 1000);
  const large = new RetryBudget({ reserve: 5000 });
  large.deposit();
  assert.equal(large.available, 5000, "the limit is never below the reserve");
});

test("RetryBudget saves no more than its limit", () => {
  const budget = new RetryBudget({ ratio: 1, reserve: 2, limit: 5 });
  for (let i = 0; i < 100; i++) budget.deposit();
  assert.equal(withdrawals(budget), 5);
});

test("RetryBudget refuses options that are no shares or counts", () => {
  for (const options of [
    { ratio: -1 },
    { ratio: Number.NaN },
    { reserve: -1 },
    { reserve: 6, limit: 5 },
    { limit: Number.NaN },
  ]) {
    assert.throws(() => new RetryBudget(options), /Invariant broken: budget/);
  }
});

test("RetryBudget.fromJSON() goes on where toJSON() stopped, at every step", () => {
  let budget = new RetryBudget({ ratio: 0.3, reserve: 1.7, limit: 4 });
  const untouched = new RetryBudget({ ratio: 0.3, reserve: 1.7, limit: 4 });
  const random = randomFrom("json");
  for (let step = 0; step < 500; step++) {
    budget = RetryBudget.fromJSON(copy(budget.toJSON()));
    assert.deepEqual(budget.toJSON(), untouched.toJSON());
    if (random() < 0.7) for (const one of [budget, untouched]) one.deposit();
    else assert.equal(budget.withdraw(), untouched.withdraw());
  }
});

test("DeadLetters.add() drops the oldest beyond the limit and counts what it dropped", () => {
  const letters = new DeadLetters<number>(3);
  for (let i = 0; i < 10; i++) letters.add(`job-${i}`, i);
  assert.deepEqual(letters.list(), [["job-7", 7], ["job-8", 8], ["job-9", 9]]);
  assert.deepEqual([letters.size, letters.dropped], [3, 7]);
  assert.throws(() => new DeadLetters(0), /dead letters limited to 0/);
});

test("DeadLetters.add() with a known id replaces the letter as the newest, drops nothing", () => {
  const letters = new DeadLetters<string>(2);
  letters.add("a", "first");
  letters.add("b", "b");
  letters.add("a", "second");
  assert.deepEqual(letters.list(), [["b", "b"], ["a", "second"]]);
  assert.equal(letters.dropped, 0);
});

test("DeadLetters.remove() takes a letter out once", () => {
  const letters = new DeadLetters<string>();
  letters.add("a", "x");
  assert.equal(letters.get("a"), "x");
  assert.equal(letters.remove("a"), "x");
  assert.equal(letters.remove("a"), undefined);
  assert.deepEqual([letters.size, letters.dropped, letters.get("a")], [0, 0, undefined]);
});

test("DeadLetters.fromJSON() gives back letters, order, limit and count", () => {
  const letters = new DeadLetters<{ n: number }>(2);
  for (let n = 0; n < 5; n++) letters.add(`${n}`, { n });
  const restored = DeadLetters.fromJSON(copy(letters.toJSON()));
  assert.deepEqual(restored.toJSON(), letters.toJSON());
  restored.add("new", { n: 9 });
  assert.deepEqual([restored.list().map(([id]) => id), restored.dropped], [["4", "new"], 4]);
});

test("IdempotencyKeys.recall() gives the first answer, however often it is asked " +
  "or told another", () => {
  const keys = new IdempotencyKeys<string>();
  assert.deepEqual(keys.recall("k", { nowMs: 0 }), { kind: "new" });
  keys.remember("k", "first", { nowMs: 0 });
  keys.remember("k", "second", { nowMs: 1 });
  for (const nowMs of [1, 2, 3]) {
    assert.deepEqual(keys.recall("k", { nowMs }), { kind: "repeat", answer: "first" });
  }
  assert.deepEqual(keys.recall("other", { nowMs: 1 }), { kind: "new" });
  assert.equal(keys.size, 1);
});

test("IdempotencyKeys.recall() refuses a known key with another request", () => {
  const keys = new IdempotencyKeys<string>();
  keys.remember("k", "five", { request: "charge 5", nowMs: 0 });
  assert.deepEqual(keys.recall("k", { request: "charge 500", nowMs: 1 }), { kind: "conflict" });
  assert.deepEqual(keys.recall("k", { request: "charge 5", nowMs: 1 }), {
    kind: "repeat",
    answer: "five",
  });
});

test("IdempotencyKeys.recall() repeats an answer that is undefined, null or false", () => {
  const keys = new IdempotencyKeys<unknown>();
  for (const answer of [undefined, null, false]) {
    keys.remember(`${answer}`, answer, { nowMs: 0 });
    assert.deepEqual(keys.recall(`${answer}`, { nowMs: 1 }), { kind: "repeat", answer });
  }
});

test("IdempotencyKeys forgets a key at maxAgeMs and not before; repeats do not " +
  "make it younger", () => {
  const keys = new IdempotencyKeys<string>({ maxAgeMs: 100 });
  keys.remember("k", "first", { nowMs: 1000 });
  keys.remember("k", "ignored", { nowMs: 1099 });
  assert.equal(keys.recall("k", { nowMs: 1099 }).kind, "repeat");
  assert.equal(keys.recall("k", { nowMs: 1100 }).kind, "new");
  keys.remember("k", "again", { nowMs: 1100 });
  assert.deepEqual(keys.recall("k", { nowMs: 1199 }), { kind: "repeat", answer: "again" });
});

test("IdempotencyKeys.remember() keeps the newest maxKeys, and lets go of all that " +
  "are too old", () => {
  const keys = new IdempotencyKeys<number>({ maxKeys: 3, maxAgeMs: 100 });
  for (let i = 0; i < 10; i++) keys.remember(`k${i}`, i, { nowMs: i });
  assert.deepEqual(
    Array.from(
      { length: 10 },
      (_, i) => keys.recall(`k${i}`, { nowMs: 10 }).kind === "repeat",
    ).indexOf(true),
    7,
  );
  assert.equal(keys.size, 3);
  keys.remember("late", 0, { nowMs: 109 });
  assert.equal(keys.size, 1);
});

test("IdempotencyKeys.remember() puts a key that comes back after its time at the end", () => {
  const keys = new IdempotencyKeys<number>({ maxKeys: 2, maxAgeMs: 100 });
  keys.remember("a", 1, { nowMs: 0 });
  keys.remember("b", 2, { nowMs: 90 });
  keys.remember("a", 3, { nowMs: 110 });
  keys.remember("c", 4, { nowMs: 120 });
  assert.deepEqual(
    ["a", "b", "c"].map((key) => keys.recall(key, { nowMs: 120 }).kind),
    ["repeat", "new", "repeat"],
  );
});

test("IdempotencyKeys.remember() costs no more among 100 times as many keys", () => {
  const nsPerKey = (maxKeys: number): number => {
    const keys = new IdempotencyKeys<number>({ maxKeys });
    let next = 0;
    while (keys.size < maxKeys) keys.remember(`k${next++}`, 0, { nowMs: 0 });
    const lap = (): number => {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 1000; i++) keys.remember(`k${next++}`, 0, { nowMs: 0 });
      return Number(process.hrtime.bigint() - start) / 1000;
    };
    // The median: a Map that grows now and then is part of the price, a busy machine is not.
    return Array.from({ length: 31 }, lap).sort((a, b) => a - b)[15]!;
  };
  nsPerKey(700); // lets the compiler settle
  const few = nsPerKey(700);
  const many = nsPerKey(70_000);
  // A walk over the holes from the start took 20 times as long; larger tables miss caches, and that
  // is all.
  assert.ok(many < 12 * few, `70,000 keys: ${many.toFixed(0)} ns, 700 keys: ${few.toFixed(0)} ns`);
});

test("IdempotencyKeys keeps what a plain list would keep, for random keys, " +
  "times and limits", () => {
  const seed = "keys";
  const random = randomFrom(seed);
  for (let round = 0; round < 60; round++) {
    const [maxKeys, maxAgeMs] = [1 + Math.floor(random() * 8), 1 + Math.floor(random() * 40)];
    let keys = new IdempotencyKeys<number>({ maxKeys, maxAgeMs });
    let list: { key: string; answer: number; atMs: number }[] = [];
    let nowMs = 0;
    for (let step = 0; step < 200; step++) {
      nowMs += Math.floor(random() * 12);
      const key = `k${Math.floor(random() * 12)}`;
      const live = list.filter(({ atMs }) => nowMs - atMs < maxAgeMs);
      const known = live.find((each) => each.key === key);
      const expected = known ? { kind: "repeat", answer: known.answer } : { kind: "new" };
      assert.deepEqual(
        keys.recall(key, { nowMs }),
        expected,
        `seed ${seed}, round ${round}, step ${step}`,
      );
      keys.remember(key, step, { nowMs });
      if (known) continue;
      list = [...live, { key, answer: step, atMs: nowMs }].slice(-maxKeys);
      assert.equal(keys.size, list.length, `seed ${seed}, round ${round}, step ${step}`);
      if (random() < 0.1) keys = IdempotencyKeys.fromJSON(copy(keys.toJSON()));
    }
  }
});

test("IdempotencyKeys refuses an age that its saved state could not hold", () => {
  for (const maxAgeMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => new IdempotencyKeys({ maxAgeMs }), /invariant/i);
  }
});

test("IdempotencyKeys.fromJSON() gives back keys, ages and limits", () => {
  const keys = new IdempotencyKeys<string>({ maxKeys: 2, maxAgeMs: 100 });
  keys.remember("a", "A", { request: "ra", nowMs: 0 });
  keys.remember("b", "B", { request: "rb", nowMs: 50 });
  const restored = IdempotencyKeys.fromJSON(copy(keys.toJSON()));
  assert.deepEqual(restored.toJSON(), keys.toJSON());
  assert.deepEqual(restored.recall("a", { request: "x", nowMs: 99 }), { kind: "conflict" });
  assert.deepEqual(restored.recall("a", { request: "ra", nowMs: 100 }), { kind: "new" });
  restored.remember("c", "C", { nowMs: 60 });
  assert.equal(restored.size, 2);
});
