/** The lines that are rewritten in place, on a terminal of our own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Drawing } from "../src/cli/drawing.ts";
import { Screen } from "./screen.support.ts";

const frame = (count: number, word: string): string[] =>
  Array.from({ length: count }, (_, n) => `${word} ${n}`);

test("Drawing.frame() leaves nothing of the frame before, whatever the two heights", () => {
  for (const [before, after] of [
    [5, 5],
    [5, 2],
    [2, 5],
    [9, 1],
    [1, 9],
    [3, 0],
    [0, 3],
  ] as const) {
    const [screen, drawing] = [new Screen(40, 10), new Drawing()];
    screen.write("$ titan run\n" + drawing.frame(frame(before, "before-and-long"), 40));
    screen.write(drawing.frame(frame(after, "after"), 40));
    assert.deepEqual(
      screen.lines.slice(-after || screen.lines.length).filter((line) => !line.startsWith("$")),
      frame(after, "after"),
    );
    assert.equal(
      screen.lines.some((line) => line.includes("before")),
      false,
    );
  }
});

test("Drawing.frame() of a full screen, drawn again and again, scrolls nothing away", () => {
  const [screen, drawing] = [new Screen(40, 10), new Drawing()];
  screen.write("$ titan run\n");
  for (let n = 0; n < 100; n++) screen.write(drawing.frame(frame(9, `frame ${n} line`), 40));
  assert.deepEqual([screen.lines, screen.scrolled], [frame(9, "frame 99 line"), ["$ titan run"]]);
});

test("Drawing.frame() begins in the first column, though a key was echoed where " +
  "the cursor stood", () => {
  const [screen, drawing] = [new Screen(40, 10), new Drawing()];
  screen.write(`${drawing.frame(frame(3, "job"), 40)}^C${drawing.frame(frame(3, "JOB"), 40)}`);
  assert.deepEqual(screen.lines, frame(3, "JOB"));
});

test("Drawing.note() puts a line above the next frame, also after an echo", () => {
  const [screen, drawing] = [new Screen(40, 10), new Drawing()];
  screen.write(
    `${drawing.frame(frame(3, "job"), 40)}^C` +
      `${drawing.note("titan: noted")}${drawing.frame(frame(3, "job"), 40)}`,
  );
  assert.deepEqual(screen.lines, ["titan: noted", ...frame(3, "job")]);
});

test("Drawing.frame() counts the rows of lines that the terminal breaks", () => {
  const [screen, drawing] = [new Screen(10, 12), new Drawing()];
  const long = ["0123456789abcde", "x"];
  screen.write(drawing.frame(long, 10));
  screen.write(drawing.frame(["short"], 10));
  assert.deepEqual(screen.lines, ["short"]);
});

test("Drawing.abandon() leaves the last frame where it is", () => {
  const [screen, drawing] = [new Screen(40, 12), new Drawing()];
  screen.write(drawing.frame(frame(2, "old"), 40));
  drawing.abandon();
  screen.write(drawing.frame(frame(2, "new"), 40));
  assert.deepEqual(screen.lines, [...frame(2, "old"), ...frame(2, "new")]);
});

test("Drawing.begin() and end() hide the cursor and bring it back", () => {
  const [screen, drawing] = [new Screen(40, 12), new Drawing()];
  screen.write(drawing.begin());
  assert.equal(screen.cursor, false);
  screen.write(drawing.end());
  assert.equal(screen.cursor, true);
});
