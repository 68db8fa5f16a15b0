/**
 * A worker's queue that survives the worker (LMOVE, BLMOVE), and a lock that only its owner takes
 * away (SET … IFEQ, DELEX … IFEQ).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal, type Reply, Engine } from "#store";
import { contents, fixture } from "./15-store.support.ts";

const WRONG_TYPE = new Refusal("WRONGTYPE Operation against a key holding the wrong kind of value");
const SYNTAX = new Refusal("ERR syntax error");
const NO_DIGEST = new Refusal("ERR IFDEQ and IFDNE are not supported: this store has no DIGEST");

/** Groups that a store propagated, replayed into an empty one. */
function replayed(groups: readonly string[][][], host: Engine["host"]): Engine {
  const store = new Engine({ host });
  for (const group of groups) for (const argv of group) store.load([...argv]);
  return store;
}

test("LMOVE takes from either end and puts on either, RPOPLPUSH from the right to the left", () => {
  const { ask, groups, store } = fixture();
  ask("RPUSH", "a", "1", "2", "3", "4");
  assert.equal(ask("LMOVE", "a", "b", "left", "RIGHT"), "1");
  assert.equal(ask("LMOVE", "a", "b", "RIGHT", "right"), "4");
  assert.equal(ask("LMOVE", "a", "b", "Left", "LEFT"), "2");
  assert.deepEqual(ask("LRANGE", "b", "0", "-1"), ["2", "1", "4"]);
  assert.equal(ask("RPOPLPUSH", "a", "b"), "3");
  assert.deepEqual(ask("LRANGE", "b", "0", "-1"), ["3", "2", "1", "4"]);
  assert.equal(ask("EXISTS", "a"), 0, "the last one takes its list along");
  assert.equal(ask("LMOVE", "a", "b", "LEFT", "LEFT"), null);
  assert.equal(ask("RPOPLPUSH", "a", "a"), null);
  // One list, which turns around; one element, which stays.
  assert.equal(ask("RPOPLPUSH", "b", "b"), "4");
  assert.equal(ask("LMOVE", "b", "b", "LEFT", "RIGHT"), "4");
  assert.deepEqual(ask("LRANGE", "b", "0", "-1"), ["3", "2", "1", "4"]);
  ask("RPUSH", "one", "x");
  assert.equal(ask("LMOVE", "one", "one", "LEFT", "LEFT"), "x");
  assert.deepEqual(ask("LRANGE", "one", "0", "-1"), ["x"]);
  assert.deepEqual(contents(replayed(groups, store.host)), contents(store));
});

test("LMOVE and BLMOVE refuse what is no list or no side, and have changed nothing", () => {
  const { ask, groups } = fixture();
  ask("SET", "s", "v");
  ask("RPUSH", "l", "x");
  groups.length = 0;
  for (const [argv, answer] of [
    [["LMOVE", "s", "l", "LEFT", "LEFT"], WRONG_TYPE],
    [["LMOVE", "l", "s", "LEFT", "LEFT"], WRONG_TYPE],
    [["LMOVE", "none", "s", "LEFT", "LEFT"], null],
    [["LMOVE", "l", "l", "LEFT", "UP"], SYNTAX],
    [["LMOVE", "l", "l", "wat", "LEFT"], SYNTAX],
    [["BLMOVE", "l", "s", "LEFT", "LEFT", "0"], WRONG_TYPE],
    [["BLMOVE", "s", "l", "LEFT", "LEFT", "0"], WRONG_TYPE],
    [["BLMOVE", "l", "l", "LEFT", "UP", "x"], SYNTAX],
    [
      ["BLMOVE", "l", "l", "LEFT", "LEFT", "x"],
      new Refusal("ERR timeout is not a float or out of range"),
    ],
    [["BRPOPLPUSH", "l", "l", "-1"], new Refusal("ERR timeout is negative")],
  ] as [string[], Reply][]) {
    assert.deepEqual(ask(...argv), answer, argv.join(" "));
  }
  assert.deepEqual(groups, []);
});

test("BLMOVE takes at once or waits its turn among those who wait, and is logged as the LMOVE it " +
  "was", async () => {
  const { ask, client, store, groups, time } = fixture();
  const [first, second, third] = [client(), client(), client()];
  assert.equal(ask("RPUSH", "jobs", "0"), 1);
  assert.equal(ask("BLMOVE", "jobs", "mine", "LEFT", "RIGHT", "0"), "0");
  store.execute(first.session, ["BLMOVE", "jobs", "w1", "LEFT", "RIGHT", "0"]);
  store.execute(second.session, ["BLPOP", "jobs", "0"]);
  store.execute(third.session, ["BRPOPLPUSH", "jobs", "w3", "0"]);
  assert.deepEqual([first.heard(), second.heard(), third.heard()], [[], [], []]);
  groups.length = 0;
  ask("RPUSH", "jobs", "a", "b", "c", "d");
  assert.deepEqual([first.heard(), second.heard(), third.heard()], [["a"], [["jobs", "b"]], ["d"]]);
  assert.deepEqual(groups.slice(1), [
    [["lmove", "jobs", "w1", "left", "right"]],
    [["lpop", "jobs"]],
    [["lmove", "jobs", "w3", "right", "left"]],
  ]);
  assert.deepEqual([first.calls.unblocked, third.calls.unblocked], [1, 1]);
  assert.deepEqual(ask("LRANGE", "jobs", "0", "-1"), ["c"]);
  store.execute(first.session, ["BLMOVE", "none", "w1", "LEFT", "RIGHT", "0.1"]);
  await time.run(time.clock.monotonic() + 100);
  assert.deepEqual(first.heard(), [null]);
});

test("an element goes on along a chain of those who wait, each step a group of its own", () => {
  const { ask, client, store, groups } = fixture();
  const [a, b, c] = [client(), client(), client()];
  store.execute(c.session, ["BLPOP", "three", "0"]);
  store.execute(b.session, ["BLMOVE", "two", "three", "LEFT", "LEFT", "0"]);
  store.execute(a.session, ["BLMOVE", "one", "two", "LEFT", "LEFT", "0"]);
  ask("LPUSH", "one", "x");
  assert.deepEqual([a.heard(), b.heard(), c.heard()], [["x"], ["x"], [["three", "x"]]]);
  assert.equal(groups.length, 4);
  assert.equal(ask("DBSIZE"), 0);
  assert.deepEqual(contents(replayed(groups, store.host)), []);
});

test("BLMOVE to what has become something else is refused in its turn, and takes nothing", () => {
  const { ask, client, store } = fixture();
  const waiter = client();
  store.execute(waiter.session, ["BLMOVE", "jobs", "mine", "LEFT", "RIGHT", "0"]);
  ask("SET", "mine", "v");
  ask("RPUSH", "jobs", "x");
  assert.deepEqual(waiter.heard(), [WRONG_TYPE]);
  assert.deepEqual(ask("LRANGE", "jobs", "0", "-1"), ["x"]);
});

test("BLMOVE does not wait inside a transaction, and answers nil there", () => {
  const { ask } = fixture();
  ask("MULTI");
  ask("BLMOVE", "none", "b", "LEFT", "LEFT", "0");
  ask("BRPOPLPUSH", "none", "b", "0");
  assert.deepEqual(ask("EXEC"), [null, null]);
});

test("a copy that is under way when BLMOVE is served shows its target as it was", () => {
  const { ask, client, store } = fixture();
  ask("RPUSH", "mine", "old");
  ask("SET", "later", "v"); // the walk comes from the end: "mine" is reached after this one
  const waiter = client();
  store.execute(waiter.session, ["BLMOVE", "jobs", "mine", "LEFT", "RIGHT", "0"]);
  const copied: string[][] = [];
  const copy = store.snapshot((argv) => copied.push(argv));
  copy.step(1);
  ask("RPUSH", "jobs", "new");
  assert.deepEqual(waiter.heard(), ["new"]);
  while (copy.step(1000));
  assert.deepEqual(copied.filter(([, key]) => key === "mine"), [["RPUSH", "mine", "old"]]);
});

test("a copy that is under way when BLPOP or BRPOP takes at once shows the list as it was", () => {
  for (const name of ["BLPOP", "BRPOP"]) {
    const { ask, store } = fixture();
    ask("RPUSH", "jobs", "a", "b", "c");
    ask("SET", "later", "v"); // the walk comes from the end: "jobs" is reached after this one
    const copied: string[][] = [];
    const copy = store.snapshot((argv) => copied.push(argv));
    copy.step(1);
    assert.deepEqual(ask(name, "none", "jobs", "0"), ["jobs", name === "BLPOP" ? "a" : "c"]);
    while (copy.step(1000));
    const jobs = copied.filter(([, key]) => key === "jobs");
    assert.deepEqual(jobs, [["RPUSH", "jobs", "a", "b", "c"]], name);
  }
});

test("SET IFEQ and IFNE change a value that is as it should be, and are logged as SET", () => {
  const { ask, groups, store } = fixture();
  for (const [argv, answer] of [
    [["SET", "k", "1", "IFEQ", ""], null],
    [["EXISTS", "k"], 0],
    [["SET", "k", "1", "IFNE", "1"], "OK"],
    [["SET", "k", "2", "IFNE", "1"], null],
    [["SET", "k", "2", "ifeq", "1", "EX", "100"], "OK"],
    [["SET", "k", "3", "IFEQ", "2", "KEEPTTL"], "OK"],
    [["TTL", "k"], 100],
    [["SET", "k", "4", "IFEQ", "x", "GET"], "3"],
    [["GET", "k"], "3"],
    [["SET", "k", "4", "GET", "IFEQ", "3"], "3"],
    [["TTL", "k"], -1],
    [["SET", "new", "1", "IFNE", "1", "GET"], null],
    [["GET", "new"], "1"],
    [["SET", "k", "5", "IFNE", "x", "PX", "50"], "OK"],
    [["SADD", "s", "m"], 1],
    [["SET", "s", "1", "IFEQ", "m"], WRONG_TYPE],
    [["SET", "s", "1", "IFNE", "m"], WRONG_TYPE],
    [["SET", "k", "v", "IFEQ"], SYNTAX],
    [["SET", "k", "v", "IFEQ", "a", "NX"], SYNTAX],
    [["SET", "k", "v", "NX", "IFEQ", "a"], SYNTAX],
    [["SET", "k", "v", "XX", "IFNE", "a"], SYNTAX],
    [["SET", "k", "v", "IFNE", "a", "XX"], SYNTAX],
    [["SET", "k", "v", "IFEQ", "a", "IFNE", "b"], SYNTAX],
    [["GETEX", "k", "IFEQ", "a"], SYNTAX],
    [["SET", "k", "v", "IFDEQ", "0123456789abcdef"], NO_DIGEST],
    [["SET", "none", "v", "ifdne", ""], NO_DIGEST],
    [["GETEX", "k", "IFDEQ", "a"], SYNTAX],
    [["EXISTS", "none"], 0],
  ] as [string[], Reply][]) {
    assert.deepEqual(ask(...argv), answer, argv.join(" "));
  }
  assert.equal(
    groups.flat().some((argv) => argv.some((word) => /^if/i.test(word))),
    false,
    "a replay compares nothing",
  );
  assert.deepEqual(contents(replayed(groups, store.host)), contents(store));
});

test("DELEX deletes what is what it should be", () => {
  const { ask, groups } = fixture();
  ask("MSET", "k", "me", "j", "x");
  ask("SADD", "s", "m");
  groups.length = 0;
  for (const [argv, answer] of [
    [["DELEX", "none"], 0],
    [["DELEX", "none", "IFEQ", ""], 0],
    [["DELEX", "none", "WAT", "x"], 0],
    [["DELEX", "k", "IFEQ", "you"], 0],
    [["DELEX", "k", "IFNE", "me"], 0],
    [["DELEX", "k", "IFEQ"], new Refusal("ERR wrong number of arguments for 'delex' command")],
    [
      ["DELEX", "k", "IFEQ", "me", "x"],
      new Refusal("ERR wrong number of arguments for 'delex' command"),
    ],
    [
      ["DELEX", "k", "WAT", "me"],
      new Refusal("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
    ],
    [["DELEX", "k", "ifdeq", "0123456789abcdef"], NO_DIGEST],
    [["DELEX", "none", "IFDNE", ""], NO_DIGEST],
    [
      ["DELEX", "s", "IFEQ", "m"],
      new Refusal("ERR Key should be of string type if conditions are specified"),
    ],
  ] as [string[], Reply][]) {
    assert.deepEqual(ask(...argv), answer, argv.join(" "));
  }
  assert.deepEqual(groups, [], "what was refused is no change");
  assert.equal(ask("DELEX", "k", "ifeq", "me"), 1);
  assert.equal(ask("DELEX", "j", "IFNE", "me"), 1);
  assert.equal(ask("DELEX", "s"), 1, "without a condition any key goes");
  assert.deepEqual(groups.flat(), [["del", "k"], ["del", "j"], ["del", "s"]]);
  assert.equal(ask("DBSIZE"), 0);
});

test("of two clients that watch one key, the other keeps its guard when one says " +
  "UNWATCH or EXEC", () => {
  for (const end of ["UNWATCH", "EXEC", "DISCARD"]) {
    const { ask, client } = fixture();
    const [one, other] = [client(), client()];
    one.ask("WATCH", "k");
    other.ask("WATCH", "k");
    if (end !== "UNWATCH") one.ask("MULTI");
    one.ask(end);
    ask("SET", "k", "changed");
    other.ask("MULTI");
    other.ask("SET", "k", "mine");
    assert.equal(other.ask("EXEC"), null, end);
    assert.equal(ask("GET", "k"), "changed");
  }
});
