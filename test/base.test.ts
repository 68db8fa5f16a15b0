/** The helpers that every subsystem uses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  dialable, didYouMean, durationText, editDistance, FreshMap, FreshSet, hint, hostPort, invariant,
  isLoopback, MAX_TAG_CHARS, plural, TAG,
} from "#base";

test("invariant() says what is broken, and nothing when it holds", () => {
  invariant(true, "never read");
  assert.throws(() => invariant(false, "a heap without a top"), {
    message: "Invariant broken: a heap without a top",
  });
  let asked = 0;
  const why = (): string => `text ${++asked}`;
  invariant(true, why);
  assert.equal(asked, 0, "a text that nobody reads is not put together");
  assert.throws(() => invariant(false, why), { message: "Invariant broken: text 1" });
});

test("hostPort() puts an IPv6 address in brackets", () => {
  assert.equal(hostPort({ host: "127.0.0.1", port: 9090 }), "127.0.0.1:9090");
  assert.equal(hostPort({ host: "::1", port: 9090 }), "[::1]:9090");
});

test("isLoopback() knows this machine, and names that only look like it", () => {
  for (const host of ["localhost", "127.0.0.1", "127.8.9.255", "::1", "[::1]"]) {
    assert.equal(isLoopback(host), true, host);
  }
  for (const host of [
    "127.0.0.1.example.com", "127.0.0.256", "127.0.0.1234", "127.1", "127", "0.0.0.0", "::",
    "::ffff:127.0.0.1", "128.0.0.1", "", "localhost.", "LOCALHOST",
  ]) assert.equal(isLoopback(host), false, host);
});

test("dialable() is loopback for a server that listens everywhere", () => {
  assert.deepEqual(["0.0.0.0", "::", "10.0.0.7"].map(dialable), ["127.0.0.1", "::1", "10.0.0.7"]);
});

test("plural() and durationText() are for people", () => {
  assert.equal(
    `${plural(0, "job")}, ${plural(1, "job")}, ${plural(2, "job")}`,
    "0 jobs, 1 job, 2 jobs",
  );
  assert.equal(plural(2, "retry", "retries"), "2 retries");
  const texts = [-1, 0, 99_949, 99_950, 3_600_000, 86_400_000, 273_600_000].map(durationText);
  assert.deepEqual(texts, ["0.0s", "0.0s", "99.9s", "1m 39s", "1h 00m", "1d 00h", "3d 04h"]);
});

test("TAG takes 64 characters that begin with a letter or a digit", () => {
  assert.equal(MAX_TAG_CHARS, 64);
  for (const tag of ["GPU", "gpu:a100", "9", "x".repeat(MAX_TAG_CHARS)]) assert.match(tag, TAG);
  for (const tag of ["", "-x", "_x", "a b", "a+b", "ä", "x".repeat(MAX_TAG_CHARS + 1)]) {
    assert.doesNotMatch(tag, TAG);
  }
});

test("hint() is what stands behind a message", () => {
  assert.equal(hint("depend_on", ["depends_on"]), ' (did you mean "depends_on"?)');
  assert.equal(hint("colour", ["depends_on"]), "");
});

test("editDistance() counts inserts, deletes, replacements and swaps", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["a", "", 1],
    ["", "ab", 2],
    ["kitten", "sitting", 3],
    ["trian", "train", 1],
    ["ab", "ba", 1],
    ["depend_on", "depends_on", 1],
    ["abc", "abc", 0],
    ["ca", "abc", 3],
  ];
  for (const [a, b, distance] of cases) {
    assert.deepEqual([editDistance(a, b), editDistance(b, a)], [distance, distance], `${a} ${b}`);
  }
});

test("didYouMean() suggests only what is near enough to be meant", () => {
  assert.equal(didYouMean("trian", ["extract", "train"]), "train");
  assert.equal(didYouMean("x", ["id", "run"]), undefined);
  assert.equal(didYouMean("needs", ["needs"]), undefined);
});

test("didYouMean() looks at words of 64 characters, three slips and 2,000 candidates", () => {
  const x = "x".repeat(64);
  assert.equal(didYouMean(x, [`${x}y`]), `${x}y`);
  assert.equal(didYouMean(`${x}x`, [x]), undefined);
  assert.equal(didYouMean("abcdefghijkl", ["abcdefghi"]), "abcdefghi");
  assert.equal(didYouMean("abcdefghijklm", ["abcdefghi"]), undefined);
  const others = Array.from({ length: 1999 }, () => "nothing like it");
  assert.equal(didYouMean("depend_on", [...others, "depends_on"]), "depends_on");
  assert.equal(didYouMean("depend_on", [...others, "other", "depends_on"]), undefined);
});

test("FreshMap and FreshSet are as a Map and a Set, whatever comes and goes", () => {
  const [map, set] = [new FreshMap<number, number>(), new FreshSet<number>()];
  const model = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    const key = (step * 7919) % 1009;
    if (step % 3 === 0 || step % 1000 > 900) {
      assert.equal(map.delete(key), model.delete(key));
      set.delete(key);
    } else {
      map.set(key, step);
      set.add(key);
      model.set(key, step);
    }
    assert.equal(map.get(key), model.get(key));
    assert.equal(map.has(key), model.has(key));
    assert.equal(set.has(key), model.has(key));
    if (step % 1000 !== 0) continue;
    assert.deepEqual([...map], [...model], "in the same order");
    assert.deepEqual([...map.values()], [...model.values()]);
    assert.deepEqual([...set], [...model.keys()]);
    assert.deepEqual([map.size, set.size], [model.size, model.size]);
  }
  for (const key of set) for (const other of [key, key + 1]) set.delete(other);
  assert.equal(set.size, 0, "a loop that deletes sees what it deletes");
  map.clear();
  assert.deepEqual([map.size, [...map]], [0, []]);
});

test("FreshMap is made anew once more have left than stay, so no table is kept for ever", () => {
  const map = new FreshMap<number, number>();
  map.set(0, 0);
  const before = map.keys();
  const churn = (from: number, count: number): void => {
    for (let key = from; key < from + count; key++) {
      map.set(key, key);
      map.delete(key);
    }
  };
  for (let key = 0; key < 1000; key++) map.delete(-1);
  churn(1, 513);
  map.set(-1, 0);
  assert.deepEqual([...before], [0, -1], "so far it is the map that it was");
  map.delete(-1);
  const later = map.keys();
  churn(1000, 20);
  map.set(7, 7);
  assert.deepEqual([...map.keys()], [0, 7]);
  const now = map.keys();
  map.set(9, 9);
  map.delete(7);
  assert.deepEqual([...now], [0, 9], "and then it stays what it is for a while");
  churn(2000, 515);
  map.set(8, 8);
  assert.deepEqual([...map.keys()], [0, 9, 8]);
  assert.deepEqual([...later], [0], "an older iterator goes on with what was there");
});
