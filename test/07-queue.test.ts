/** Contract of lesson 07. Every random test prints its seed when it fails. */
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  MAX_REQUIREMENT_CLASSES,
  QueueError,
  ReadyQueue,
  RequirementQueues,
  TimerHeap,
} from "#queue";
import { withSeeds } from "./seeds.support.ts";

type Entry = { priority: number; order: number };
/** The order that is promised, as a comparison for a plain sort. */
const promised = (a: Entry, b: Entry) => b.priority - a.priority || a.order - b.order;

function drain<T>(queue: ReadyQueue<T>): T[] {
  const items: T[] = [];
  while (queue.size > 0) items.push(queue.pop()!);
  return items;
}

// --- ReadyQueue -------------------------------------------------------------------------------

test("an empty queue gives nothing, however often it is asked", () => {
  const queue = new ReadyQueue<string>();
  const timers = new TimerHeap<string>();
  const classes = new RequirementQueues<string>();
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(
      [queue.pop(), queue.peek(), queue.peekKey(), queue.size],
      [undefined, undefined, undefined, 0],
    );
    assert.deepEqual(
      [timers.popDue(Infinity), timers.nextAt, timers.size],
      [undefined, undefined, 0],
    );
    assert.deepEqual(
      [classes.pop("GPU"), classes.peek("GPU"), classes.best(), classes.size],
      [undefined, undefined, undefined, 0],
    );
  }
});

test("push() refuses a key that is not a finite number, and the queue is as it was", () => {
  const queue = new ReadyQueue<string>();
  const timers = new TimerHeap<string>();
  for (const bad of [NaN, Infinity, -Infinity]) {
    assert.throws(() => queue.push("x", { priority: bad, order: 1 }));
    assert.throws(() => queue.push("x", { priority: 1, order: bad }));
    assert.throws(() => timers.push("x", bad));
  }
  assert.deepEqual([queue.size, timers.size], [0, 0]);
});

test("ReadyQueue gives the higher priority first, and within a priority the lower order", () => {
  const queue = new ReadyQueue<string>();
  queue.push("second", { priority: 1, order: 20 });
  queue.push("urgent", { priority: 5, order: 30 });
  queue.push("first", { priority: 1, order: 10 });
  queue.push("later", { priority: -2.5, order: 0 });
  queue.push("nought", { priority: 0, order: 1 });
  assert.deepEqual(drain(queue), ["urgent", "first", "second", "nought", "later"]);
});

test("ReadyQueue.peek() and peekKey() show what pop() will give", () => {
  const queue = new ReadyQueue<string>();
  queue.push("a", { priority: 0, order: 7 });
  queue.push("b", { priority: 3, order: 8 });
  assert.deepEqual(queue.peekKey(), { priority: 3, order: 8 });
  assert.equal(queue.peek(), "b");
  assert.equal(queue.pop(), "b");
  assert.deepEqual(queue.peekKey(), { priority: 0, order: 7 });
  assert.equal(queue.size, 1);
});

test("ReadyQueue equals a sorted list under any mix of push, pop and compact", () => {
  withSeeds(100, (random, tell) => {
    const queue = new ReadyQueue<Entry>();
    let list: Entry[] = [];
    const steps: string[] = [];
    tell(() => steps.join(", "));
    for (let order = 0; order < 300; order++) {
      const pick = random(20);
      if (pick < 11) {
        const entry = { priority: random(5) - 2, order };
        steps.push(`push priority ${entry.priority}`);
        queue.push(entry, entry);
        list.push(entry);
        list.sort(promised);
      } else if (pick < 19) {
        steps.push("pop");
        assert.equal(queue.pop(), list.shift());
      } else {
        steps.push("compact");
        const isLive = (entry: Entry) => entry.order % 3 !== 0;
        assert.equal(queue.compact(isLive), list.length - list.filter(isLive).length);
        list = list.filter(isLive);
      }
      assert.equal(queue.size, list.length);
      assert.equal(queue.peek(), list[0]);
      assert.deepEqual(new Set(queue), new Set(list));
    }
    assert.deepEqual(drain(queue), list);
  });
});

test("ReadyQueue gives the same order however it was filled: a rebuilt queue is identical", () => {
  withSeeds(50, (random) => {
    const entries = Array.from({ length: 100 }, (_, order) => ({ priority: random(4), order }));
    const shuffled = [...entries];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = random(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    const [live, rebuilt] = [new ReadyQueue<Entry>(), new ReadyQueue<Entry>()];
    for (const entry of entries) live.push(entry, entry);
    for (const entry of shuffled) rebuilt.push(entry, entry);
    assert.deepEqual(drain(live), drain(rebuilt));
  });
});

test("compact() drops the dead, keeps the order of the living, and says how many went", () => {
  const queue = new ReadyQueue<number>();
  for (let order = 0; order < 1000; order++) queue.push(order, { priority: order % 7, order });
  assert.equal(queue.compact((item) => item % 10 === 0), 900);
  assert.equal(queue.size, 100);
  const expected = Array.from({ length: 100 }, (_, i) => ({
    priority: (i * 10) % 7,
    order: i * 10,
  })).sort(promised);
  assert.deepEqual(drain(queue), expected.map((entry) => entry.order));
  assert.equal(queue.compact(() => false), 0);
});

test("compact() to nothing leaves an empty queue that works", () => {
  const queue = new ReadyQueue<string>();
  for (let order = 0; order < 5; order++) queue.push("dead", { priority: 1, order });
  assert.equal(queue.compact(() => false), 5);
  assert.equal(queue.pop(), undefined);
  queue.push("alive", { priority: 1, order: 9 });
  assert.equal(queue.pop(), "alive");
});

test("compact() is linear: 100,000 entries ask isLive 100,000 times", () => {
  const queue = new ReadyQueue<number>();
  for (let order = 0; order < 100_000; order++) {
    queue.push(order, { priority: -order % 100, order });
  }
  let asked = 0;
  queue.compact((item) => (asked++, item % 2 === 0));
  assert.equal(asked, 100_000);
  assert.equal(queue.size, 50_000);
  assert.equal(queue.peek(), 0);
});

// --- TimerHeap --------------------------------------------------------------------------------

test("TimerHeap gives nothing a fraction of a millisecond early, and everything " +
  "at the time", () => {
  const timers = new TimerHeap<string>();
  timers.push("due", 1000);
  assert.equal(timers.nextAt, 1000);
  assert.equal(timers.popDue(999.999), undefined);
  assert.equal(timers.popDue(1000), "due");
  assert.equal(timers.nextAt, undefined);
});

test("TimerHeap gives equal times in the order of their pushes", () => {
  const timers = new TimerHeap<number>();
  for (let i = 0; i < 1000; i++) timers.push(i, i % 2 === 0 ? 50 : 40);
  const got: number[] = [];
  for (let item = timers.popDue(50); item !== undefined; item = timers.popDue(50)) got.push(item);
  const odd = Array.from({ length: 500 }, (_, i) => 2 * i + 1);
  assert.deepEqual(got, [...odd, ...odd.map((i) => i - 1)]);
});

test("TimerHeap: a driver that sleeps until nextAt wakes once a time, never early or late", () => {
  withSeeds(50, (random) => {
    const timers = new TimerHeap<number>();
    const times = Array.from({ length: 200 }, () => random(100_000));
    for (const at of times) timers.push(at, at);
    let wakeups = 0;
    const seen: number[] = [];
    while (timers.nextAt !== undefined) {
      const now = timers.nextAt;
      assert.ok(++wakeups <= times.length, "woken at nextAt, it finds something due");
      for (let at = timers.popDue(now); at !== undefined; at = timers.popDue(now)) {
        assert.equal(at, now);
        seen.push(at);
      }
    }
    assert.equal(wakeups, new Set(times).size);
    assert.deepEqual(seen, times.sort((a, b) => a - b));
  });
});

test("TimerHeap.compact() drops cancelled timers, so that nextAt never wakes for one", () => {
  const timers = new TimerHeap<string>();
  timers.push("cancelled", 10);
  timers.push("kept", 20);
  timers.push("kept too", 20);
  assert.equal(timers.compact((item) => item !== "cancelled"), 1);
  assert.equal(timers.nextAt, 20);
  assert.deepEqual([...timers].sort(), ["kept", "kept too"]);
  assert.equal(timers.popDue(20), "kept");
});

// --- RequirementQueues ------------------------------------------------------------------------

test("RequirementQueues refuses one class too many, and takes a new one when " +
  "another ran empty", () => {
  const queues = new RequirementQueues<number>();
  for (let i = 0; i < MAX_REQUIREMENT_CLASSES; i++) {
    queues.push(`tag-${i}`, i, { priority: 1, order: i });
  }
  const one = { priority: 1, order: 5000 };
  assert.throws(
    () => queues.push("straw", 0, one),
    (error: unknown) =>
      error instanceof QueueError &&
      error.code === "TOO_MANY_CLASSES" &&
      error.message === 'Cannot queue for "straw": 1025 requirement classes exceed 1024',
  );
  assert.equal(queues.size, MAX_REQUIREMENT_CLASSES);
  assert.equal(queues.has("straw"), false);
  queues.push("tag-7", 0, one);
  queues.pop("tag-0");
  queues.push("straw", 0, one);
  assert.equal(queues.classes, MAX_REQUIREMENT_CLASSES);
});

test("RequirementQueues.push() with a bad key starts no class", () => {
  const queues = new RequirementQueues<number>();
  assert.throws(() => queues.push("GPU", 1, { priority: NaN, order: 1 }));
  assert.deepEqual(
    [queues.size, queues.classes, queues.has("GPU"), queues.best()],
    [0, 0, false, undefined],
  );
});

test("RequirementQueues keeps classes apart, and drops a class when it runs empty", () => {
  const queues = new RequirementQueues<string>();
  queues.push("GPU", "train", { priority: 9, order: 1 });
  queues.push("", "mail", { priority: 1, order: 2 });
  queues.push("", "page", { priority: 2, order: 3 });
  assert.deepEqual(
    [queues.size, queues.classes, queues.sizeOf(""), queues.sizeOf("TPU")],
    [3, 2, 2, 0],
  );
  assert.equal(queues.peek(""), "page");
  assert.deepEqual(queues.peekKey("GPU"), { priority: 9, order: 1 });
  assert.equal(queues.pop("GPU"), "train");
  assert.equal(queues.pop("GPU"), undefined);
  assert.deepEqual([queues.size, queues.classes, queues.has("GPU")], [2, 1, false]);
});

test("RequirementQueues: class names are only names", () => {
  const queues = new RequirementQueues<string>();
  for (const key of ["__proto__", "constructor", "", "日本語"]) {
    queues.push(key, key, { priority: 1, order: 1 });
  }
  for (const key of ["__proto__", "constructor", "", "日本語"]) assert.equal(queues.pop(key), key);
  assert.equal(queues.pop("toString"), undefined);
});

test("RequirementQueues.best() is the first head of all that may run", () => {
  const queues = new RequirementQueues<string>();
  queues.push("GPU", "gpu", { priority: 9, order: 3 });
  queues.push("A", "old", { priority: 5, order: 1 });
  queues.push("B", "new", { priority: 5, order: 2 });
  assert.equal(queues.best(), "GPU");
  assert.equal(queues.best((key) => key !== "GPU"), "A");
  assert.equal(queues.best((key) => key === "B"), "B");
  assert.equal(queues.best(() => false), undefined);
});

test("RequirementQueues iterates the same way whatever its history", () => {
  const [one, two] = [new RequirementQueues<number>(), new RequirementQueues<number>()];
  const at = { priority: 1, order: 1 };
  for (const key of ["c", "a", "b"]) one.push(key, 1, at);
  one.pop("a");
  one.push("a", 1, at);
  for (const key of ["b", "c", "a"]) two.push(key, 1, at);
  const keys = (queues: RequirementQueues<number>) => [...queues].map(([key]) => key);
  assert.deepEqual(keys(one), ["a", "b", "c"]);
  assert.deepEqual(keys(two), ["a", "b", "c"]);
});

test("RequirementQueues may be popped while it is iterated", () => {
  const queues = new RequirementQueues<number>();
  for (const key of ["a", "b", "c"]) queues.push(key, 1, { priority: 1, order: 1 });
  const seen: string[] = [];
  for (const [key] of queues) {
    seen.push(key);
    queues.pop("a");
    queues.pop("b");
  }
  assert.deepEqual(seen, ["a", "c"]);
});

test("RequirementQueues equals one sorted list per class under any mix of push, " +
  "pop and compact", () => {
  withSeeds(60, (random) => {
    const queues = new RequirementQueues<Entry & { key: string }>();
    let list: (Entry & { key: string })[] = [];
    for (let order = 0; order < 200; order++) {
      const key = `k${random(6)}`;
      const pick = random(20);
      if (pick < 9) {
        const entry = { key, priority: random(3), order };
        queues.push(key, entry, entry);
        list.push(entry);
        list.sort(promised);
      } else if (pick < 19) {
        const expected = list.find((entry) => entry.key === key);
        assert.equal(queues.pop(key), expected);
        list = list.filter((entry) => entry !== expected);
      } else {
        const isLive = (entry: Entry) => entry.order % 2 === 0;
        assert.equal(queues.compact(isLive), list.filter((entry) => !isLive(entry)).length);
        list = list.filter(isLive);
      }
      assert.equal(queues.size, list.length);
      assert.deepEqual(
        [...queues].map(([name]) => name),
        [...new Set(list.map((entry) => entry.key))].sort(),
      );
      assert.equal(queues.best(), list[0]?.key);
      const without = (name: string) => name !== "k0";
      assert.equal(queues.best(without), list.find((entry) => without(entry.key))?.key);
    }
  });
});
