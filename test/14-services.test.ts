/**
 * Chapter 14: the rules by which a service is kept running: phases, restarts, health, ports.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkRequest, DEFAULT_PORTS, FORGIVEN_AFTER_MS, HealthCounter, nextPhase, PortBook,
  restartDecision, StatusLine, type Ending, type HealthNews, type PhaseNews,
} from "#services";
import { SERVICE_PHASES, type RestartPolicy } from "#wire";

// ── phases ───────────────────────────────────────────────────────────────────────────────────────

test("nextPhase() goes along the life of a service, and starts it once only", () => {
  const life: readonly [PhaseNews, string][] = [
    ["starts", "STARTING"], ["healthy", "READY"], ["unhealthy", "UNHEALTHY"], ["healthy", "READY"],
    ["restarts", "RESTARTING"], ["starts", "STARTING"], ["unhealthy", "UNHEALTHY"],
    ["restarts", "RESTARTING"], ["starts", "STARTING"], ["fails", "FAILED"],
    ["starts", "STARTING"], ["healthy", "READY"], ["stops", "STOPPED"],
  ];
  let phase: ReturnType<typeof nextPhase>;
  for (const [news, expected] of life) {
    phase = nextPhase(phase, news);
    assert.equal(phase, expected, `after ${news}`);
  }
});

test("nextPhase() knows no step for news that is late or that changes nothing", () => {
  for (const phase of SERVICE_PHASES) {
    const runs = phase === "STARTING" || phase === "READY" || phase === "UNHEALTHY";
    assert.equal(nextPhase(phase, "healthy") !== undefined, runs && phase !== "READY", phase);
    assert.equal(nextPhase(phase, "unhealthy") !== undefined, runs && phase !== "UNHEALTHY", phase);
    assert.equal(nextPhase(phase, "restarts") !== undefined, runs, phase);
    assert.equal(nextPhase(phase, "starts") !== undefined, !runs, phase);
  }
  const late: readonly PhaseNews[] = ["healthy", "unhealthy", "restarts", "stops", "fails"];
  for (const news of late) assert.equal(nextPhase(undefined, news), undefined, news);
});

test("nextPhase() ends a service from wherever it is, and an ended one only once", () => {
  for (const phase of ["STARTING", "READY", "UNHEALTHY", "RESTARTING"] as const) {
    assert.equal(nextPhase(phase, "stops"), "STOPPED");
    assert.equal(nextPhase(phase, "fails"), "FAILED");
  }
  for (const phase of ["STOPPED", "FAILED"] as const) {
    assert.equal(nextPhase(phase, "stops"), undefined);
    assert.equal(nextPhase(phase, "fails"), undefined);
  }
});

// ── restarts ─────────────────────────────────────────────────────────────────────────────────────

const ALWAYS: RestartPolicy = {
  policy: "always", delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 0, windowMs: 600_000,
};

function end(fields: Partial<Ending> = {}): Ending {
  return {
    how: "failed", wasReady: true, failures: 1, restarts: [], at: 1_000_000, random: () => 0,
    ...fields,
  };
}

test("restartDecision() follows the policy for a crash and for exit 0", () => {
  const said = (policy: RestartPolicy["policy"], how: Ending["how"]): string => {
    const decision = restartDecision({ ...ALWAYS, policy }, end({ how }));
    return decision.restart ? "again" : decision.as;
  };
  const table = (["always", "on-failure", "never"] as const).map((policy) => [
    policy, said(policy, "done"), said(policy, "failed"), said(policy, "blocked"),
  ]);
  assert.deepEqual(table, [
    ["always", "again", "again", "again"],
    ["on-failure", "STOPPED", "again", "again"],
    ["never", "STOPPED", "FAILED", "again"],
  ]);
});

test("restartDecision() doubles the delay to its limit; chance takes a quarter at most", () => {
  const delays = [1, 2, 3, 7, 8, 500].map((failures) => {
    const decision = restartDecision(ALWAYS, end({ failures }));
    return decision.restart ? decision.delayMs : undefined;
  });
  assert.deepEqual(delays, [1000, 2000, 4000, 60_000, 60_000, 60_000]);
  const least = restartDecision(ALWAYS, end({ random: () => 0.999_999 }));
  assert.deepEqual(least, { restart: true, delayMs: 750 });
});

test("restartDecision() counts the restarts of the window, and none from before it", () => {
  const policy = { ...ALWAYS, attempts: 3, windowMs: 10_000 };
  const at = 100_000;
  const old = [89_998, 89_999, 90_000];
  const decide = (restarts: number[], attempts = 3) =>
    restartDecision({ ...policy, attempts }, end({ at, restarts }));
  assert.equal(decide(old).restart, true);
  assert.equal(decide([...old, 91_000, 92_000]).restart, true);
  assert.deepEqual(decide([90_001, 95_000, 99_999]), {
    restart: false, as: "FAILED", why: "3 restarts in 10 s are enough",
  });
  assert.equal(decide([90_001, 95_000, 99_999], 0).restart, true, "0: no limit");
});

test("restartDecision() does not count a port that is somebody else's as a crash", () => {
  const policy = { ...ALWAYS, policy: "never" as const, attempts: 1, windowMs: 1000 };
  const restarts = [999_999];
  const blocked = restartDecision(policy, end({ how: "blocked", restarts, failures: 3 }));
  assert.deepEqual(blocked, { restart: true, delayMs: 4000 }, "but it waits ever longer");
});

test("restartDecision() gives up at once on what cannot start, unless it has run before", () => {
  const never = restartDecision(ALWAYS, end({ how: "hopeless", wasReady: false }));
  assert.equal(never.restart, false);
  assert.equal(restartDecision(ALWAYS, end({ how: "hopeless", wasReady: true })).restart, true);
});

test("FORGIVEN_AFTER_MS is longer than the first delay", () => {
  // A service that is healthy for less than its delay, again and again, is a crash loop.
  assert.ok(FORGIVEN_AFTER_MS > ALWAYS.delayMs);
});

// ── health ───────────────────────────────────────────────────────────────────────────────────────

const RULES = { intervalMs: 2000, healthyAfter: 1, unhealthyAfter: 3, startPeriodMs: 10_000 };

/** News of a row of checks, one a second from 0: `+` passed, `-` failed. */
function told(checks: string, rules: Partial<typeof RULES> = {}): string[] {
  const health = new HealthCounter({ ...RULES, ...rules }, 0);
  return [...checks].flatMap((check, at) => {
    const news: HealthNews | undefined = health.note(check === "+", at * 1000);
    return news === undefined ? [] : [`${at} ${news}`];
  });
}

test("note() tells changes only", () => {
  assert.deepEqual(told("++++"), ["0 ready"]);
  assert.deepEqual(told("+--+---+"), ["0 ready", "6 unhealthy", "7 ready"]);
  assert.deepEqual(told("+-+-+-+-+-"), ["0 ready"]);
});

test("note() says hopeless once twice as many checks have failed in a row", () => {
  assert.deepEqual(told("+------"), ["0 ready", "3 unhealthy", "6 hopeless"]);
  assert.deepEqual(told("+---+------"), ["0 ready", "3 unhealthy", "4 ready", "7 unhealthy",
    "10 hopeless"]);
});

test("note() counts no failure of the start period, and all after the first success", () => {
  assert.deepEqual(told("----------"), []);
  assert.deepEqual(told("----------------"), ["12 unhealthy", "15 hopeless"]);
  assert.deepEqual(told("+---", { startPeriodMs: 60_000 }), ["0 ready", "3 unhealthy"]);
  assert.deepEqual(told("---", { startPeriodMs: 0 }), ["2 unhealthy"]);
});

test("note() wants healthyAfter successes in a row", () => {
  assert.deepEqual(told("++-+++", { healthyAfter: 3 }), ["5 ready"]);
});

test("delayMs is short while a service starts, and the interval from then on", () => {
  const health = new HealthCounter(RULES, 0);
  const delays: number[] = [];
  let waited = 0;
  for (let i = 0; i < 20; i++) {
    assert.ok(health.delayMs <= 10.001 + waited / 5, "found within a fifth of its start");
    waited += health.delayMs;
    delays.push(Math.round(health.delayMs));
    health.note(false, 0);
  }
  assert.deepEqual(delays.slice(0, 4), [10, 12, 14, 17]);
  assert.equal(delays.at(-1), 250);
  health.note(true, 0);
  assert.equal(health.delayMs, 2000);
  health.note(false, 0);
  assert.equal(health.delayMs, 2000, "also while it fails");
  const fast = new HealthCounter({ ...RULES, intervalMs: 5 }, 0);
  assert.equal(fast.delayMs, 5, "never longer than the interval");
});

// ── ports ────────────────────────────────────────────────────────────────────────────────────────

test("next() gives each port of the range once, and then none", () => {
  const book = new PortBook({ from: 5000, to: 5004 }, 0.5);
  const given: number[] = [];
  for (let port = book.next(); port !== undefined; port = book.next()) {
    assert.equal(book.hold(port, `job ${port}`), true);
    given.push(port);
    assert.ok(given.length <= 5, `there are five ports, and these are given: ${given.join(", ")}`);
  }
  assert.deepEqual(given, [5002, 5003, 5004, 5000, 5001]);
  assert.equal(book.size, 5);
});

test("next() finds the one port that is free, wherever it begins to look", () => {
  for (let start = 0; start < 1; start += 0.2) {
    const book = new PortBook({ from: 5000, to: 5004 }, start);
    for (const port of [5000, 5001, 5003, 5004]) book.hold(port, "somebody");
    assert.equal(book.next(), 5002, `from ${start} on`);
  }
});

test("next() offers a port that was given back last", () => {
  const book = new PortBook({ from: 5000, to: 5002 }, 0);
  const port = book.next()!;
  book.hold(port, "a");
  book.release(port, "a");
  assert.deepEqual([book.next(), book.next(), book.next()], [5001, 5002, 5000]);
});

test("hold() lets a port have one holder, and release() only that holder give it back", () => {
  const book = new PortBook(DEFAULT_PORTS, 0);
  assert.equal(book.hold(8080, "a"), true, "a fixed port need not be of the range");
  assert.equal(book.hold(8080, "b"), false);
  assert.equal(book.holderOf(8080), "a");
  assert.throws(() => book.release(8080, "b"), /port 8080 is not held by b/);
  book.release(8080, "a");
  assert.throws(() => book.release(8080, "a"), /not held/, "once");
  assert.equal(book.hold(8080, "b"), true);
});

// ── http ─────────────────────────────────────────────────────────────────────────────────────────

test("StatusLine reads the status from any pieces, and reads no further", () => {
  const answer = "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n";
  for (let size = 1; size <= answer.length; size++) {
    const line = new StatusLine();
    let found: number | string | undefined;
    for (let at = 0; at < answer.length && found === undefined; at += size) {
      found = line.push(Buffer.from(answer.slice(at, at + size)));
    }
    assert.equal(found, 204, `in pieces of ${size}`);
  }
});

test("StatusLine refuses what is no HTTP, and an answer whose first line has no end", () => {
  const wrong = "what answers there does not speak HTTP";
  assert.equal(new StatusLine().push(Buffer.from("SSH-2.0-OpenSSH_9\r\n")), wrong);
  assert.equal(new StatusLine().push(Buffer.from("HTTP/1.1 20\r\n")), wrong);
  const line = new StatusLine();
  assert.equal(line.push(Buffer.alloc(1023, "x")), undefined);
  assert.equal(line.push(Buffer.alloc(1_000_000, "x")), wrong);
});

test("checkRequest() is one GET that closes the connection", () => {
  const text = checkRequest("/up?deep=1", 8080).toString();
  assert.match(text, /^GET \/up\?deep=1 HTTP\/1\.1\r\nHost: 127\.0\.0\.1:8080\r\n/);
  assert.match(text, /\r\nConnection: close\r\n\r\n$/);
});
