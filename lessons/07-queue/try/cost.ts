/** Nanoseconds per operation. `npm run -s try 07/cost 1000000` for a size of your own. */
import { ReadyQueue, TimerHeap } from "#queue";

function numbers(count: number, below: number): number[] {
  let state = 42;
  return Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below);
}

function nsPer(count: number, act: () => void): number {
  const started = process.hrtime.bigint();
  act();
  return Number(process.hrtime.bigint() - started) / count;
}

/** The best of several rounds: what the others had more, they waited for the compiler or for other programs. */
function best(rounds: number, round: () => number[]): number[] {
  let lowest: number[] = [];
  for (let i = 0; i < rounds; i++) lowest = round().map((ns, column) => Math.min(ns, lowest[column] ?? Infinity));
  return lowest;
}

function heap(size: number): number[] {
  const [priorities, times] = [numbers(size, 10), numbers(size, 1e9)];
  const queue = new ReadyQueue<number>();
  const timers = new TimerHeap<number>();
  return [
    nsPer(size, () => priorities.forEach((priority, order) => queue.push(order, { priority, order }))),
    nsPer(size, () => {
      while (queue.pop() !== undefined);
    }),
    nsPer(size, () => times.forEach((at, item) => timers.push(item, at))),
    nsPer(size, () => {
      while (timers.popDue(1e9) !== undefined);
    }),
  ];
}

/** The same job by an array that is kept sorted: insert at the right place, take from the end. */
function sortedArray(size: number): number[] {
  const list: { priority: number; order: number }[] = [];
  const insert = (priority: number, order: number) => {
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = list[middle]!;
      if (at.priority < priority || (at.priority === priority && at.order > order)) low = middle + 1;
      else high = middle;
    }
    list.splice(low, 0, { priority, order });
  };
  const priorities = numbers(size, 10);
  return [
    nsPer(size, () => priorities.forEach(insert)),
    nsPer(size, () => {
      while (list.pop() !== undefined);
    }),
  ];
}

const asked = process.argv.slice(2).map(Number);
for (const size of asked.length > 0 ? asked : [1_000, 10_000, 100_000]) {
  const [push, pop, add, due] = best(Math.max(3, 100_000 / size), () => heap(size)).map((ns) => `${ns.toFixed(0)} ns`);
  console.log(`${String(size).padStart(8)} entries: ReadyQueue push ${push}, pop ${pop}; TimerHeap push ${add}, popDue ${due}`);
  const [insert, take] = best(Math.max(1, 10_000 / size), () => sortedArray(size)).map((ns) => `${ns.toFixed(0)} ns`);
  console.log(`                  sorted array insert ${insert}, take ${take}`);
}
