/** Lesson 07: a push into a heap, as an array and as the tree that it is. */
import { ReadyQueue } from "#queue";
import { box, drawPicture, line, text, type At } from "./frame.ts";

const ENTRIES = [2, 5, 3, 9, 6, 4, 8];
const NEWCOMER = 1;
const [LEFT, CELL, LEVEL] = [34, 42, 36];

/** The array of a real queue: `compact` asks about the entries in its order, and keeps all. */
function arrayOf(queue: ReadyQueue<number>): number[] {
  const items: number[] = [];
  queue.compact((item) => items.push(item) > 0);
  return items;
}

export function drawHeap(): string {
  const queue = new ReadyQueue<number>();
  for (const entry of ENTRIES) queue.push(entry, { priority: 0, order: entry });
  const before = arrayOf(queue);
  queue.push(NEWCOMER, { priority: 0, order: NEWCOMER });
  const after = arrayOf(queue);
  return drawPicture({
    title: "A newcomer rises in a heap",
    description: `${NEWCOMER} is pushed behind ${before.join(" ")}. It rises past ` +
      `${passed(before, after).join(", ")}, and the array is ${after.join(" ")}.`,
    height: 446,
    parts: [
      ...drawOne(before, after, { y: 20, title: `before push(${NEWCOMER}): the way it will go` }),
      ...drawOne(after, before, { y: 242, title: `after push(${NEWCOMER}): what has moved` }),
    ],
  });
}

/** Entries that have another place now, from the bottom up. */
function passed(before: readonly number[], after: readonly number[]): number[] {
  return before.filter((entry, index) => after[index] !== entry).reverse();
}

function drawOne(
  entries: readonly number[], other: readonly number[], { y, title }: { y: number; title: string },
): string[] {
  const size = Math.max(entries.length, other.length);
  const parts = [text({ x: 12, y }, title, { style: "head" })];
  const isMoved = (index: number): boolean => entries[index] !== other[index];
  for (let index = 0; index < size; index++) {
    const x = LEFT + CELL * index;
    const style = index >= entries.length ? "lost" : isMoved(index) ? "one" : "box";
    parts.push(box(style, { x, y: y + 12 }, CELL, 22));
    parts.push(text({ x: x + CELL / 2, y: y + 27 }, String(entries[index] ?? ""),
      { anchor: "middle" }));
    parts.push(text({ x: x + CELL / 2, y: y + 46 }, String(index),
      { style: "small", anchor: "middle" }));
  }
  const place = (index: number): At => {
    const level = Math.floor(Math.log2(index + 1));
    const count = 2 ** level;
    const x = 12 + (376 * (index + 1 - count + 0.5)) / count;
    return { x, y: y + 74 + LEVEL * level };
  };
  for (let index = 1; index < size; index++) {
    const up = (index - 1) >> 1;
    parts.push(line(isMoved(index) && isMoved(up) ? "a" : "axis", [place(up), place(index)]));
  }
  for (let index = 0; index < size; index++) {
    const at = place(index);
    const style = index >= entries.length ? "page lost" : isMoved(index) ? "one" : "box";
    parts.push(`<circle class="${style}" cx="${at.x}" cy="${at.y}" r="12"/>`);
    parts.push(text({ x: at.x, y: at.y + 4 }, String(entries[index] ?? ""), { anchor: "middle" }));
  }
  return parts;
}
