/** `learn bugs`: what is in the drawer, what is asked, and what is said to a guess. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { chosen, choicesFor, drawer, verdict } from "../scripts/learn/bugs.ts";
import { listBugs } from "../scripts/sim/bugs.ts";

const ROOT = join(import.meta.dirname, "..");
const bugs = drawer(ROOT);

test("drawer() knows every bug of the simulation, with its promises and its lines", () => {
  assert.deepEqual(
    bugs.map(({ name, title, promises, why }) => [name, title, promises, why]),
    listBugs(ROOT).map(({ name, title, invariants, why }) => [name, title, invariants, why]),
  );
  for (const { name, diff } of bugs) assert.ok(diff.length >= 2, name);
});

test("choicesFor() asks for one right promise among four, in an order that tells nothing", () => {
  const places = new Set<number>();
  for (const bug of bugs) {
    const choices = choicesFor(bug, bugs);
    assert.equal(new Set(choices).size, 4, bug.name);
    assert.deepEqual(choices.filter((choice) => bug.promises.includes(choice)), [bug.promises[0]]);
    assert.deepEqual(choicesFor(bug, bugs), choices, "the same question each time");
    places.add(choices.indexOf(bug.promises[0]!));
  }
  assert.deepEqual([...places].sort(), [0, 1, 2, 3]);
});

test("verdict() repeats the guess, and says what is right", () => {
  const bug = { name: "a", title: "A", promises: ["slots", "no-crash"], why: "Because.", diff: [] };
  assert.equal(verdict(bug, "slots"), "You said slots, and so it is. Because.");
  assert.equal(verdict(bug, "x"), "You said x; it breaks slots or no-crash. Because.");
  assert.equal(verdict(bug, ""), "It breaks slots or no-crash. Because.");
});

test("chosen() takes a number of the list, or a name as it is", () => {
  const choices = ["slots", "once-is-once"];
  assert.deepEqual(["2", "slots", "3", ""].map((said) => chosen(said, choices)),
    ["once-is-once", "slots", "3", ""]);
});
