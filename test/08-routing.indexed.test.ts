/** The heap whose entries know their places, against a sorted list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#host";
import { IndexedHeap, type HeapEntry } from "#queue";

/** Takes all out from the top. */
function drain<T>(heap: IndexedHeap<T>): T[] {
  const items: T[] = [];
  for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
    items.push(top.item);
    heap.remove(top);
  }
  return items;
}

test("IndexedHeap has the lowest key on top, and among equal keys the lowest tie", () => {
  const heap = new IndexedHeap<string>();
  assert.deepEqual([heap.size, heap.peek()], [0, undefined]);
  for (const [name, key, tie] of [["d", 2, 1], ["a", 1, 5], ["c", 2, 0], ["b", 1, 6]] as const) {
    heap.push(name, key, tie);
  }
  assert.equal(heap.size, 4);
  assert.deepEqual([...heap].map(({ item }) => item).sort(), ["a", "b", "c", "d"]);
  assert.deepEqual(drain(heap), ["a", "b", "c", "d"]);
});

test("remove() has no effect on an entry that has left, whichever way it left", () => {
  const heap = new IndexedHeap<string>();
  const [a, b, c] = [heap.push("a", 1), heap.push("b", 2), heap.push("c", 3)];
  heap.remove(b);
  heap.remove(b);
  assert.equal(heap.size, 2);
  heap.clear();
  assert.equal(heap.size, 0);
  heap.push("d", 4);
  heap.remove(a);
  heap.remove(c);
  assert.deepEqual(drain(heap), ["d"]);
  // With several behind it: the second time would put another one in the place of a third.
  const more = ["a", "b", "c", "d", "e"].map((name, key) => heap.push(name, key));
  heap.remove(more[1]!);
  heap.remove(more[1]!);
  assert.deepEqual(drain(heap), ["a", "c", "d", "e"]);
});

test("IndexedHeap equals a sorted list under any mix of push, move and remove", () => {
  const random = seededRandom(7);
  const below = (n: number): number => Math.floor(random.unit() * n);
  const heap = new IndexedHeap<number>();
  const alive: HeapEntry<number>[] = [];
  // Few keys, so that ties are common; each tie is one of its kind, so that the order is total.
  const draw = (): [key: number, tie: number] => [below(20), random.unit()];
  for (let round = 0; round < 4000; round++) {
    const one = below(Math.max(1, alive.length));
    const what = below(10);
    if (alive.length === 0 || what < 4) alive.push(heap.push(round, ...draw()));
    else if (what < 7) heap.move(alive[one]!, ...draw());
    else heap.remove(alive.splice(one, 1)[0]!);
    const first = alive.reduce<HeapEntry<number> | undefined>(
      (best, each) =>
        best === undefined || each.key < best.key || (each.key === best.key && each.tie < best.tie)
          ? each
          : best,
      undefined,
    );
    assert.equal(heap.peek(), first, `round ${round}`);
    assert.equal(heap.size, alive.length);
  }
  alive.sort((a, b) => a.key - b.key || a.tie - b.tie);
  assert.deepEqual(drain(heap), alive.map(({ item }) => item));
});
