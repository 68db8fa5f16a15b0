/** Copies of a state: columns give back what was put in, and shared runs never change. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Event, hashState, State, type Run } from "#core";
import { Checkpoints } from "../src/history/checkpoints.ts";
import { stepOn, type Cursor } from "../src/history/cursor.ts";
import { columnOf, numbersOf } from "../src/master/core/columns.ts";
import { copyOfRun, runOfCopy, type RunHeader } from "../src/master/core/run-copy.ts";
import { Bench, checkIndexes, randomLife, spec } from "./10-master.core.ts";

test("a column gives back what it was made of, in as few bytes as its numbers need", () => {
  const widths = [[0, 1], [255, 1], [256, 2], [65_535, 2], [65_536, 4], [2 ** 32 - 1, 4]] as const;
  for (const least of [0, -7, 1_800_000_000_000]) {
    for (const [farthest, bytes] of [...widths, [2 ** 32, 8] as const]) {
      const values = [least + farthest, ...Array<number>(4095).fill(least)];
      const column = numbersOf(values, (value) => value);
      assert.deepEqual(values.map((_, index) => column.at(index)), values);
      if (farthest > 0) assert.equal(Math.floor(column.bytes / 4096), bytes, `${farthest}`);
    }
  }
  for (const values of [["a", "b", "a"], ["a", "a"], [undefined], [{}, undefined]]) {
    const column = columnOf<unknown, unknown>(values, (value) => value);
    assert.deepEqual(values.map((_, index) => column.at(index)), values);
  }
  const same = columnOf(Array<string>(4096).fill("a"), (value) => value);
  assert.ok(same.bytes < 100, "one value for all of them");
});

/** A change of such a run throws from here on. */
function freezeShared({ state }: Cursor): number {
  const shared = [...state.runs.values()].filter((run) => run.isShared);
  for (const run of shared) {
    for (const job of run.jobs) Object.freeze(job);
    for (const each of [run.jobs, run.counts, run]) Object.freeze(each);
  }
  return shared.length;
}

/** Folds a log, with a checkpoint every so often, and goes back to each of them. */
function checkCopies(log: readonly Buffer[], every: number): number {
  const begin = { segment: 1, offset: 32, seq: 1 };
  const tip: Cursor = { state: new State(), seq: 0, place: begin };
  const points = new Checkpoints(tip, { every, maxBytes: 1e9 });
  const goOn = (cursor: Cursor): void => {
    const event = Event.decode(log[cursor.seq]!);
    const place = { ...begin, seq: cursor.seq + 1 };
    stepOn(cursor, { event, place, next: place, bytes: 0 });
  };
  const hashes = [hashState(tip.state)];
  let most = 0;
  while (tip.seq < log.length) {
    goOn(tip);
    hashes.push(hashState(tip.state));
    points.look(0);
    most = Math.max(most, freezeShared(tip));
  }
  let spare: State | undefined;
  const order = [...hashes.keys()].filter((seq) => seq % every === 0);
  for (const seq of [...order, ...order.reverse()]) {
    const cursor = points.restore(points.before(seq), spare);
    checkIndexes(cursor.state);
    for (const end = Math.min(log.length, seq + 3 * every); ; goOn(cursor)) {
      assert.equal(hashState(cursor.state), hashes[cursor.seq], `fact ${cursor.seq}`);
      if (cursor.seq === end) break;
    }
    spare = cursor.state;
  }
  return most;
}

test("states share runs that are over, and none of them ever changes", () => {
  let most = 0;
  for (const seed of [11, 12, 13]) {
    const options = { services: seed === 12, journals: true };
    const { log } = randomLife(seed, 120, () => undefined, options);
    most = Math.max(most, checkCopies(log, 4));
  }
  assert.ok(most > 0, `${most} runs were shared`);
});

test("a run that is over is a state's own before it changes", () => {
  const changes: Record<string, (bench: Bench, run: Run) => void> = {
    retry: (bench, { id }) => {
      const { events } = bench.decide({ type: "Retry", run: id, from: "a" });
      bench.commit(events);
    },
    namesake: (bench, { id }) => {
      bench.submit([spec("z")], { agent: { id, budget: undefined } as never });
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    const bench = new Bench();
    bench.join({ slots: 4 });
    for (let n = 0; n < 4; n++) {
      bench.submit([spec("a"), spec("b", { dependsOn: [0] })]);
      for (let jobs = 0; jobs < 2; jobs++) {
        bench.schedule();
        for (const job of [...bench.state.workers.get(1)!.jobs]) bench.finish(job);
      }
    }
    const run = [...bench.state.runs.values()][1]!;
    assert.equal(run.status, "COMPLETED");
    change(bench, run);
    for (let n = 0; n < 3; n++) bench.submit([spec("c")]);
    assert.equal(checkCopies(bench.log, 2) > 2, true, name);
  }
});

test("a run that is set to another moment keeps nothing of the one before", () => {
  const bench = new Bench();
  bench.submit([spec("a"), spec("b", { dependsOn: [0] })]);
  const run = [...bench.state.runs.values()][0]!;
  const header = { ...run, budget: JSON.stringify(run.budget), jobs: 2 } as unknown as RunHeader;
  const plain = copyOfRun(run, header);
  run.carried = new Map([["0/a", []]]);
  run.edges = [[0, 1]] as unknown as Run["edges"];
  const full = copyOfRun(run, header);
  const spare = runOfCopy(full);
  assert.deepEqual([spare.carried.size, spare.edges.length], [1, 1]);
  assert.equal(runOfCopy(plain, spare), spare);
  assert.deepEqual([spare.carried.size, spare.edges.length, spare.jobs.length], [0, 0, 2]);
});
