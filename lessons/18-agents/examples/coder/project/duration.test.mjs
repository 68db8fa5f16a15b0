import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "./duration.mjs";

test("parseDuration() adds up the parts", () => {
  assert.equal(parseDuration("90s"), 90);
  assert.equal(parseDuration("1h30m"), 5400);
  assert.equal(parseDuration("2d"), 172_800);
});

test("parseDuration() refuses what it does not know", () => {
  assert.throws(() => parseDuration("5 parsecs"), RangeError);
  assert.throws(() => parseDuration(""), RangeError);
});

test("formatDuration() is the way back", () => {
  for (const text of ["45s", "59m59s", "1h30m", "1d1s"]) {
    assert.equal(formatDuration(parseDuration(text)), text);
  }
  assert.equal(formatDuration(0), "0s");
});
