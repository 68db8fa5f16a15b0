import assert from "node:assert/strict";
import { test } from "node:test";
import {
  backoffDelayMs,
  DEFAULT_RETRY,
  MAX_ATTEMPTS,
  MAX_DELAY_MS,
  MAX_WORKER_LOSSES,
  randomFrom,
  RetryPolicyError,
  retryPolicy,
  spendsAttempt,
  retryDecision,
  type RetryPolicy,
} from "#retry";
import type { FailureKind } from "#wire";

const never = () => 0;
const PERMANENT = [
  "not-found",
  "not-executable",
  "unsupported",
  "bad-input",
  "rejected",
  "cancelled",
] as const;
const TRANSIENT = ["exit", "timeout", "signal", "internal"] as const;

test("retryPolicy() refuses every field that is out of range, by name", () => {
  const bad: [keyof RetryPolicy, number][] = [
    ["maxAttempts", 0],
    ["maxAttempts", 1.5],
    ["maxAttempts", MAX_ATTEMPTS + 1],
    ["maxAttempts", Number.NaN],
    ["delayMs", -1],
    ["delayMs", 0.5],
    ["delayMs", Number.POSITIVE_INFINITY],
    ["delayMs", MAX_DELAY_MS + 1],
    ["backoff", 0.5],
    ["backoff", Number.NaN],
    ["backoff", 1001],
    ["maxDelayMs", -1],
    ["maxDelayMs", Number.NaN],
    ["jitter", -0.1],
    ["jitter", 1.1],
    ["jitter", Number.NaN],
  ];
  for (const [field, value] of bad) {
    assert.throws(() => retryPolicy({ [field]: value }), (error) => {
      assert.ok(error instanceof RetryPolicyError);
      assert.deepEqual([error.code, error.field], ["bad-policy", field]);
      return error.message.startsWith(`Cannot use retry policy: ${field} is ${value}, must be `);
    });
  }
});

test("retryPolicy() refuses what only compares like a number", () => {
  for (const value of [
    "2",
    true,
    [1],
    1n,
    null,
    undefined,
    Symbol("1"),
    { valueOf: () => 1 },
  ] as unknown[]) {
    for (const field of ["backoff", "jitter", "delayMs"] as const) {
      assert.throws(
        () => retryPolicy({ [field]: value as number }),
        RetryPolicyError,
        `${field}: ${typeof value}`,
      );
    }
  }
});

test("retryPolicy() fills in the defaults, which do not retry", () => {
  assert.deepEqual(retryPolicy(), DEFAULT_RETRY);
  assert.deepEqual(retryPolicy({ maxAttempts: 3 }), { ...DEFAULT_RETRY, maxAttempts: 3 });
  assert.deepEqual(retryDecision(DEFAULT_RETRY, { attempt: 1, kind: "exit" }), {
    retry: false,
    why: "spent",
  });
});

test("backoffDelayMs() is a whole number from 0 to maxDelayMs at any attempt, " +
  "policy and chance", () => {
  const edges = {
    delayMs: [0, 1, 1000, MAX_DELAY_MS],
    backoff: [1, 1.000001, 2, 1000],
    maxDelayMs: [0, 1, 60_000, MAX_DELAY_MS],
    jitter: [0, 0.5, 1],
  };
  const attempts = [
    1,
    2,
    3,
    31,
    32,
    63,
    64,
    1023,
    1024,
    1025,
    MAX_ATTEMPTS,
    Number.MAX_SAFE_INTEGER,
  ];
  for (const delayMs of edges.delayMs) {
    for (const backoff of edges.backoff) {
      for (const maxDelayMs of edges.maxDelayMs) {
        for (const jitter of edges.jitter) {
          for (const attempt of attempts) {
            for (const chance of [0, 0.5, 1 - 2 ** -32]) {
              const policy = retryPolicy({ delayMs, backoff, maxDelayMs, jitter });
              const delay = backoffDelayMs(policy, attempt, () => chance);
              assert.ok(
                Number.isInteger(delay) && delay >= 0 && delay <= maxDelayMs,
                `${delay} for ${JSON.stringify({ policy, attempt, chance })}`,
              );
            }
          }
        }
      }
    }
  }
});

test("backoffDelayMs() multiplies from the second failure on, and stops at the cap", () => {
  const policy = retryPolicy({ delayMs: 100, backoff: 3, maxDelayMs: 2000, jitter: 0 });
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((attempt) => backoffDelayMs(policy, attempt, Math.random)),
    [100, 300, 900, 2000, 2000],
  );
});

test("backoffDelayMs() spreads capped delays too", () => {
  const policy = retryPolicy({ delayMs: 100, maxDelayMs: 1000, jitter: 1 });
  const random = randomFrom("capped");
  const delays = Array.from({ length: 2000 }, () => backoffDelayMs(policy, 50, random));
  assert.ok(Math.min(...delays) < 20 && Math.max(...delays) > 980);
  const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
  assert.ok(Math.abs(mean - 500) < 30, `mean ${mean}`);
});

test("backoffDelayMs() keeps 1 - jitter of the delay for certain", () => {
  const policy = retryPolicy({ delayMs: 1000, jitter: 0.5 });
  const random = randomFrom("equal");
  const delays = Array.from({ length: 2000 }, () => backoffDelayMs(policy, 1, random));
  assert.ok(Math.min(...delays) >= 500 && Math.min(...delays) < 510 && Math.max(...delays) > 990);
});

test("randomFrom() gives the same numbers for the same text and unrelated " +
  "ones for neighbours", () => {
  const draw = (text: string) => Array.from({ length: 4 }, randomFrom(text));
  assert.deepEqual(draw("run/job/1"), draw("run/job/1"));
  const first = Array.from({ length: 4000 }, (_, job) => randomFrom(`run-7/job-${job}/1`)());
  assert.ok(first.every((x) => x >= 0 && x < 1));
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const x of first) tenths[Math.floor(x * 10)]!++;
  assert.ok(tenths.every((count) => count > 320 && count < 480), `uneven: ${tenths}`);
});

test("retryDecision() fails fast on permanent kinds, whatever is left", () => {
  const policy = retryPolicy({ maxAttempts: 100 });
  for (const kind of PERMANENT) {
    assert.deepEqual(retryDecision(policy, { attempt: 1, kind }), {
      retry: false,
      why: "permanent",
    });
  }
});

test("retryDecision() stops transient kinds at maxAttempts and not before", () => {
  const policy = retryPolicy({ maxAttempts: 3, jitter: 0 });
  for (const kind of TRANSIENT) {
    assert.deepEqual(
      [1, 2, 3, 4].map((attempt) => retryDecision(policy, { attempt, kind })),
      [
        { retry: true, delayMs: 1000 },
        { retry: true, delayMs: 2000 },
        { retry: false, why: "spent" },
        { retry: false, why: "spent" },
      ],
    );
  }
});

test("retryDecision() without chance waits for the whole delay, whatever the jitter", () => {
  const policy = retryPolicy({ maxAttempts: 3, jitter: 1 });
  assert.deepEqual(
    retryDecision(policy, { attempt: 1, kind: "exit" }),
    { retry: true, delayMs: 1000 },
  );
});

test("retryDecision() spends no attempt on a lost worker, and waits for nothing", () => {
  const none = { available: 0 };
  assert.deepEqual(
    retryDecision(DEFAULT_RETRY, { attempt: 0, kind: "worker-lost", budget: none }),
    {
      retry: true,
      delayMs: 0,
    },
  );
  assert.deepEqual(retryDecision(DEFAULT_RETRY, { attempt: 1, kind: "worker-lost" }), {
    retry: true,
    delayMs: 0,
  });
  assert.equal(spendsAttempt("worker-lost"), false);
  for (const kind of [...TRANSIENT, ...PERMANENT]) assert.equal(spendsAttempt(kind), true);
});

test("retryDecision() gives up on a job that loses worker after worker", () => {
  const lost = (losses: number) =>
    retryDecision(DEFAULT_RETRY, { attempt: 1, kind: "worker-lost", losses });
  assert.deepEqual(lost(MAX_WORKER_LOSSES - 1), { retry: true, delayMs: 0 });
  assert.deepEqual(lost(MAX_WORKER_LOSSES), { retry: false, why: "spent" });
});

test("retryDecision() wants a whole token of the budget, and not a part of one", () => {
  const policy = retryPolicy({ maxAttempts: 2 });
  const budget = { available: 0.9 };
  const said = retryDecision(policy, { attempt: 1, kind: "exit", budget });
  assert.deepEqual(said, { retry: false, why: "budget" });
});

test("retryDecision() refuses a retry that the budget cannot pay, after it has looked " +
  "at the attempts", () => {
  const policy = retryPolicy({ maxAttempts: 2 });
  const budget = { available: 0 };
  assert.deepEqual(retryDecision(policy, { attempt: 1, kind: "exit", budget }), {
    retry: false,
    why: "budget",
  });
  assert.deepEqual(retryDecision(policy, { attempt: 2, kind: "exit", budget }), {
    retry: false,
    why: "spent",
  });
  assert.deepEqual(retryDecision(policy, { attempt: 1, kind: "rejected", budget }), {
    retry: false,
    why: "permanent",
  });
  assert.equal(
    retryDecision(policy, { attempt: 1, kind: "exit", budget: { available: 1 } }).retry,
    true,
  );
});

test("retryDecision() is pure: asked twice, it says the same and has spent nothing", () => {
  const policy = retryPolicy({ maxAttempts: 2 });
  const budget = Object.freeze({ available: 1 });
  const ask = () =>
    retryDecision(policy, { attempt: 1, kind: "exit", budget, random: randomFrom("r/j/1") });
  assert.deepEqual(ask(), ask());
  assert.deepEqual(ask(), { retry: true, delayMs: backoffDelayMs(policy, 1, randomFrom("r/j/1")) });
});

test("retryDecision() has an answer for every kind", () => {
  const kinds: FailureKind[] = [...PERMANENT, ...TRANSIENT, "worker-lost"];
  assert.equal(new Set(kinds).size, 11);
  for (const kind of kinds) {
    assert.equal(
      typeof retryDecision(DEFAULT_RETRY, { attempt: 1, kind, random: never }).retry,
      "boolean",
    );
  }
});
