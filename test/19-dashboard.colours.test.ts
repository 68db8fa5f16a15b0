/** The dashboard's colours: read from its style sheet, and seen as people see them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { contrast, distance, linear, mixed, withoutGreen } from "./lib/colour.ts";

const SHEET = readFileSync(
  join(import.meta.dirname, "..", "src", "dashboard", "page", "style", "tokens.css"), "utf8");
/** What a badge lies on: this much of its own colour (style/parts.css). */
const WASH = 0.11;
const MIN_CONTRAST = 4.5;
/** Of CIEDE2000: seen at a glance. */
const MIN_DISTANCE = 10;

/** By name, the colours of one theme. */
function theme(which: "light" | "dark"): Map<string, string> {
  const pairs = SHEET.matchAll(/--([\w-]+): light-dark\((#[\da-f]{6}), (#[\da-f]{6})\);/g);
  return new Map([...pairs].map(([, name, light, dark]) =>
    [name!, which === "light" ? light! : dark!]));
}

const THEMES = ["light", "dark"] as const;
const SURFACES = ["ground", "paper", "raised"];

test("the arithmetic agrees with published values", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#777777", "#ffffff").toFixed(2), "4.48");
  assert.equal(mixed("#ffffff", 0.5, "#000000"), "#808080");
  assert.equal(distance(linear("#123456"), linear("#123456")), 0);
  assert.equal(distance(linear("#000000"), linear("#ffffff")).toFixed(1), "100.0");
  // Red and green of one lightness: far apart, unless one does not see green.
  const [red, green] = [linear("#b04a3a"), linear("#5f7a2c")] as const;
  assert.ok(distance(red, green) > 40);
  assert.ok(distance(withoutGreen(red), withoutGreen(green)) < 12);
});

test("texts, links and states can be read on all surfaces, in both themes", () => {
  for (const which of THEMES) {
    const colours = theme(which);
    const states = [...colours.keys()].filter((name) => name.startsWith("state-"));
    assert.equal(states.length, 8);
    for (const name of ["ink", "ink-soft", "accent", ...states]) {
      for (const surface of SURFACES) {
        const [colour, under] = [colours.get(name)!, colours.get(surface)!];
        const found = contrast(colour, under);
        assert.ok(found >= MIN_CONTRAST, `${which}: ${name} on ${surface} has ${found}`);
        if (!name.startsWith("state-")) continue;
        const badge = contrast(colour, mixed(colour, WASH, under));
        assert.ok(badge >= MIN_CONTRAST, `${which}: badge ${name} on ${surface} has ${badge}`);
      }
    }
    for (const [name, under] of [["accent-ink", "accent"], ["accent", "accent-wash"]] as const) {
      const found = contrast(colours.get(name)!, colours.get(under)!);
      assert.ok(found >= MIN_CONTRAST, `${which}: ${name} on ${under} has ${found}`);
    }
  }
});

test("any two states look different, also to people who do not see green", () => {
  for (const which of THEMES) {
    const states = [...theme(which)].filter(([name]) => name.startsWith("state-"));
    for (const [at, [name, colour]] of states.entries()) {
      for (const [otherName, other] of states.slice(at + 1)) {
        const [a, b] = [linear(colour), linear(other)];
        const pair = `${which}: ${name} and ${otherName}`;
        assert.ok(distance(a, b) >= MIN_DISTANCE, pair);
        const found = distance(withoutGreen(a), withoutGreen(b));
        assert.ok(found >= MIN_DISTANCE, `${pair}: ${found} without green`);
      }
    }
  }
});
