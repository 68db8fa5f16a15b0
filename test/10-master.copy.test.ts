/** Copies of a state: columns give back what was put in, and shared runs never change. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apply, Copier, Event, hashState, MAX_REQUIREMENTS, readSnapshot, sleepingToo, State, stateOf,
  writeSnapshot,
} from "#core";
import { GENERAL } from "#routing";
import { Checkpoints } from "../src/history/checkpoints.ts";
import { stepOn, type Cursor } from "../src/history/cursor.ts";
import { rowsAt } from "../src/history/rows.ts";
import { columnOf, numbersOf } from "../src/master/core/columns.ts";
import { FinishedOver, LateIndex, RunsOver } from "../src/master/core/copy-tables.ts";
import { Late } from "../src/master/core/late.ts";
import { LateReady } from "../src/master/core/late-ready.ts";
import { copyOfRun, JobBlock } from "../src/master/core/run-copy.ts";
import { headerOf } from "../src/master/core/snapshot.ts";
import { Run } from "../src/master/core/state.ts";
import { Bench, checkIndexes, NO_ROOM, randomLife, spec } from "./10-master.core.ts";

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

test("ended runs with artifacts leave in the order in which they ended, also when restored", () => {
  const bench = new Bench();
  const state = new State();
  const copier = new Copier(state);
  bench.join({ slots: 4 });
  for (const name of ["first", "second", "third", "plain"]) {
    const id = bench.submit([spec("a")], { name });
    const run = bench.state.runsById.get(id)!.number;
    const artifact = {
      run, name: "file", sha256: "a".repeat(64), size: 1, byRun: id, byJob: "a", byAttempt: 1,
      by: "somebody", at: bench.now,
    };
    if (name !== "plain") bench.commit([{ type: "ArtifactPut", ...artifact }]);
  }
  const started = bench.schedule();
  for (const at of [2, 3, 0, 1]) bench.finish(started[at]!);
  const expected = [3, 1, 2]; // numbers of runs
  assert.deepEqual(numbers(bench.state.leaving), expected);
  assert.deepEqual(numbers(readSnapshot(writeSnapshot(bench.state)).leaving), expected);
  for (const body of bench.log) apply(state, Event.decode(body));
  assert.deepEqual(numbers(stateOf(copier.take()).leaving), expected);
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
  const order = [...hashes.keys()].filter((seq) => seq % every === 0);
  for (const seq of [...order, ...order.reverse()]) {
    const cursor = points.restore(points.before(seq));
    checkIndexes(cursor.state);
    for (const end = Math.min(log.length, seq + 3 * every); ; goOn(cursor)) {
      assert.equal(hashState(cursor.state), hashes[cursor.seq], `fact ${cursor.seq}`);
      if (cursor.seq === end) break;
    }
  }
  return most;
}

/** The states of a log behind each so many facts, and how to make one that stands at a fact. */
function copiesOf(log: readonly Buffer[], every: number) {
  const place = { segment: 1, offset: 32, seq: 1 };
  const stepTo = (cursor: Cursor, end: number, look = (): void => undefined): void => {
    while (cursor.seq < end) {
      const event = Event.decode(log[cursor.seq]!);
      const at = { ...place, seq: cursor.seq + 1 };
      stepOn(cursor, { event, place: at, next: at, bytes: 0 });
      look();
    }
  };
  const tip: Cursor = { state: new State(), seq: 0, place };
  const points = new Checkpoints(tip, { every, maxBytes: 1e9 });
  stepTo(tip, log.length, () => points.look(0));
  /** Of what is before it, nobody looks at more than the facts themselves do. */
  return (seq: number): State => {
    const cursor = points.restore(points.before(seq));
    stepTo(cursor, seq);
    return cursor.state;
  };
}

function foldOf(log: readonly Buffer[]): State {
  const state = new State();
  for (const body of log) apply(state, Event.decode(body));
  return state;
}

/** The jobs of a worker stand in no order. */
function rowsOf(state: State): ReturnType<typeof rowsAt> {
  const rows = rowsAt(state, { run: undefined, limit: 3, now: state.at });
  for (const { jobs } of rows.workers) {
    jobs.sort((a, b) => (a.run + a.job < b.run + b.job ? -1 : 1));
  }
  return rows;
}

function isAsleep(run: unknown): boolean {
  return !(run instanceof Run);
}

test("rows and hash of a state are those of its facts, also while most of its runs sleep", () => {
  let [slept, late] = [0, 0];
  for (let seed = 21; seed <= 32; seed++) {
    // Many runs wait for their turn for a while.
    const more = (bench: Bench): (() => void)[] => Array.from({ length: 4 }, () => () => {
      const needs = bench.random() < 0.2 ? ["GPU"] : [];
      bench.submit([spec("a"), spec("b", { dependsOn: [0], affinity: 0, requirement: needs })]);
    });
    const { log, random } = randomLife(seed, 150, () => undefined, {
      services: seed % 4 === 0, journals: seed % 2 === 0, more,
    });
    const stateAt = copiesOf(log, 32);
    for (let visit = 0; visit < 12; visit++) {
      const seq = Math.floor(random() * (log.length + 1));
      const state = stateAt(seq);
      const expected = foldOf(log.slice(0, seq));
      assert.deepEqual(rowsOf(state), rowsOf(expected), `seed ${seed}, fact ${seq}`);
      if ([...sleepingToo(state)].some(isAsleep)) slept += 1;
      if (state.ready instanceof LateReady && !state.ready.isMade) late += 1;
      assert.equal(hashState(state), hashState(expected), `seed ${seed}, fact ${seq}`);
      if (visit % 4 === 0) checkIndexes(state);
    }
  }
  assert.ok(slept > 20 && late > 40, `${slept} with a run that slept, ${late} with a late queue`);
});

test("half a million jobs that wait are no objects until somebody asks for their run", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  for (let n = 0; n < 20; n++) {
    bench.submit(Array.from({ length: 5 }, (_, at) => spec(`job-${at}`)), { key: `key-${n}` });
  }
  const started = bench.schedule();
  for (const job of started) bench.finish(job);
  const state = copiesOf(bench.log, 8)(bench.log.length);
  const asleep = (): number => [...sleepingToo(state)].filter(isAsleep).length;
  assert.deepEqual(rowsOf(state).queue, [{ need: GENERAL, ready: 98, waiting: 0, running: 0 }]);
  assert.equal(asleep(), 16, "one has been worked at, and three are told");
  const [, second] = [...bench.state.runs.values()];
  assert.equal(state.runs.get(2)!.id, second!.id);
  assert.equal(state.runs.get(2), state.runs.get(2));
  assert.equal(state.runsById.get(second!.id), state.runs.get(2));
  assert.equal(state.runsByKey.get("key-2"), state.runs.get(3));
  assert.equal(asleep(), 14);
  assert.ok(state.runs.has(4) && !state.runs.has(21));
  assert.equal(asleep(), 14, "to ask whether there is one wakes none");
  assert.equal(state.ready.peek(GENERAL), state.runs.get(1)!.jobs[2]);
  assert.deepEqual([state.ready.size, asleep()], [98, 0], "the queue has all of them");
  checkIndexes(state);
});

test("a run of which nothing has changed is the copy before it", () => {
  const run = runNumbered(1);
  run.addJob(spec("a"));
  const copy = copyOfRun(run, headerOf(run));
  const next = () => copyOfRun(run, headerOf(run), { copy, changed: undefined });
  assert.equal(next(), copy);
  run.cancelling = true;
  assert.deepEqual([next() === copy, next().header.cancelling], [false, true]);
  run.cancelling = false;
  run.bytes += 1;
  assert.notEqual(next(), copy);
  run.bytes -= 1;
  assert.equal(next(), copy);
  const changed = copyOfRun(run, headerOf(run), { copy, changed: new Set([0]) });
  assert.deepEqual([changed === copy, changed.blocks[0] === copy.blocks[0]], [false, false]);
});

test("a job wants no worker of its own when there are many queues, also when they are late", () => {
  for (const classes of [MAX_REQUIREMENTS - 1, MAX_REQUIREMENTS]) {
    const bench = new Bench();
    bench.join({ slots: 1 });
    bench.submit([spec("a"), spec("b", { dependsOn: [0], affinity: 0 })]);
    const [first] = bench.schedule();
    bench.submit([spec("c")]);
    for (let n = 1; n < classes; n++) bench.submit([spec("d", { requirement: [`tag-${n}`] })]);
    bench.finish(first!);
    const state = copiesOf(bench.log, 100)(bench.log.length);
    const { pinned } = state.runs.get(1)!.job(1)!;
    assert.equal(pinned, classes < MAX_REQUIREMENTS ? first!.worker : 0, `${classes} queues`);
    assert.equal(hashState(state), hashState(bench.state));
    checkIndexes(state);
  }
});

test("of a large run only the blocks are made that somebody asks for", () => {
  const bench = new Bench();
  bench.join({ slots: 40 });
  bench.submit(Array.from({ length: 2500 }, (_, at) => spec(`job-${at}`)));
  for (let jobs = 0; jobs < 2400; jobs += 40) {
    for (const job of bench.schedule()) bench.finish(job);
  }
  const { restore } = JobBlock.prototype;
  let restored = 0;
  JobBlock.prototype.restore = function (...asked) {
    restored += 1;
    return restore.apply(this, asked);
  };
  try {
    const stateAt = copiesOf(bench.log, 50);
    for (const [seq, made] of [[1000, 1024], [2045, 1024 * 2], [4700, 452]] as const) {
      restored = 0;
      const state = stateAt(seq);
      const expected = foldOf(bench.log.slice(0, seq));
      assert.deepEqual(rowsOf(state), rowsOf(expected));
      const run = state.runs.get(1)!;
      assert.deepEqual([run.size, run.job(2500), restored], [2500, undefined, made], `fact ${seq}`);
      assert.equal(run.after(2400).length, 100);
      assert.equal(hashState(state), hashState(expected), `fact ${seq}`);
      assert.equal(restored, 2500, "each of them once");
      checkIndexes(state);
    }
  } finally {
    JobBlock.prototype.restore = restore;
  }
});

function runNumbered(number: number): Run {
  const pipeline = { name: "a", version: undefined, project: undefined, jobs: [spec("a")] };
  return new Run({
    number, id: `run-${number}`, key: undefined, by: undefined, spec: pipeline, submittedAt: 1,
  });
}

/** A copy of runs 1 to 40, every third of which goes on, and tables that lie over it. */
function tablesOver() {
  const runs = Array.from({ length: 40 }, (_, at) => runNumbered(at + 1));
  for (const run of runs) run.isShared = run.number % 3 !== 0;
  const made = runs.filter(({ isShared }) => !isShared);
  const copied = runs.map((run) => run.isShared ? run : copyOfRun(run, headerOf(run)));
  // Not in the order of their numbers; the first one that is not shared may be forgotten, too.
  const ended = [...runs.filter(({ isShared }) => isShared).reverse(), made[0]!];
  const over = new RunsOver(copied, new Map());
  const tables = {
    runs: over,
    ids: new LateIndex(copied, over, ({ id }) => id),
    finished: new FinishedOver(ended.map((run) => run.isShared ? run : run.number), {
      shared: copied, made: new Map(made.map((run) => [run.number, run])),
    }),
  };
  const plain = {
    runs: new Map(runs.map((run) => [run.number, run])),
    ids: new Map(runs.map((run) => [run.id, run])),
    finished: new Set(ended),
  };
  for (const run of made) {
    tables.runs.set(run.number, run);
    tables.ids.set(run.id, run);
  }
  return { tables, plain };
}

test("tables over a copy answer as plain ones after the same changes", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const { random } = new Bench(seed);
    const { tables, plain } = tablesOver();
    const pick = (all: Iterable<Run>): Run => {
      const list = [...all];
      return list[Math.floor(random() * list.length)]!;
    };
    let next = 41;
    let run: Run;
    const deeds: (() => void)[] = [
      () => {
        run = runNumbered(next++);
        for (const { runs, ids } of [tables, plain]) {
          runs.set(run.number, run);
          ids.set(run.id, run);
        }
      },
      () => {
        run = pick(plain.runs.values()); // and one that is not there any more, sometimes
        for (const { runs, ids } of [tables, plain]) {
          runs.delete(run.number);
          ids.delete(run.id);
        }
        assert.equal(tables.finished.delete(run), plain.finished.delete(run));
        assert.equal(tables.runs.delete(run.number), false);
      },
      () => {
        run = pick(plain.runs.values());
        for (const { finished } of [tables, plain]) finished.add(run);
      },
      () => {
        run = pick(plain.runs.values());
        assert.equal(tables.finished.delete(run), plain.finished.delete(run));
      },
      () => {
        const old = pick(plain.runs.values());
        run = runNumbered(old.number);
        for (const { runs, ids } of [tables, plain]) {
          runs.set(run.number, run);
          ids.set(run.id, run);
        }
      },
    ];
    for (let step = 0; step < 60 && plain.runs.size > 0; step++) {
      deeds[Math.floor(random() * deeds.length)]!();
      const { number } = run!;
      assert.equal(tables.runs.get(number), plain.runs.get(number));
      assert.equal(tables.finished.has(run!), plain.finished.has(run!));
      assert.equal(tables.runs.size, plain.runs.size);
      assert.equal(tables.finished.size, plain.finished.size);
      assert.deepEqual([...tables.runs.keys()], [...plain.runs.keys()]);
      const all = [...tables.runs.values()];
      assert.ok([...plain.runs.values()].every((each, at) => all[at] === each), `seed ${seed}`);
      assert.deepEqual(numbers(tables.finished), numbers(plain.finished), `seed ${seed}`);
      if (step < 30) continue; // nobody has looked at the names so far
      assert.equal(tables.ids.get(run!.id), plain.ids.get(run!.id));
      assert.deepEqual([...tables.ids.keys()].sort(), [...plain.ids.keys()].sort());
    }
  }
});

const numbers = (runs: Iterable<Run>): number[] => [...runs].map(({ number }) => number);

test("a late thing is made at the first look, or when too much waits for one", () => {
  let made = 0;
  const late = new Late(() => {
    made += 1;
    return [0];
  });
  late.change((all) => all.push(1));
  assert.equal(made, 0);
  assert.deepEqual(late.now, [0, 1]);
  late.change((all) => all.push(2));
  assert.deepEqual([late.now, made], [[0, 1, 2], 1]);
  const crowded = new Late(() => ({ size: 0 }));
  let changed = 0;
  const change = (all: { size: number }): void => void (all.size = ++changed);
  while (changed === 0) crowded.change(change);
  assert.ok(changed > 10_000, `${changed}`);
  assert.equal(crowded.now.size, changed);
});

test("keys of runs that were forgotten are known to a state of a copy", () => {
  const bench = new Bench();
  bench.memory = NO_ROOM;
  const state = new State();
  const copier = new Copier(state);
  const worker = bench.join();
  const forget = (key: string): void => {
    bench.submit([spec("a")], { key });
    for (const job of bench.schedule()) bench.finish(job);
    bench.submit([spec("b")], { key: `${key}-later` }); // the newest one stays
    for (const job of bench.schedule()) bench.finish(job);
    bench.execute({ type: "Forget" });
  };
  assert.ok(worker > 0);
  forget("one");
  for (const body of bench.log) apply(state, Event.decode(body));
  const early = bench.log.length;
  const restored = stateOf(copier.take());
  forget("two");
  for (const body of bench.log.slice(early)) apply(restored, Event.decode(body));
  assert.deepEqual(restored.keys.toJSON(), bench.state.keys.toJSON());
  assert.equal(restored.keys.recall("one", { nowMs: bench.now }).kind, "conflict");
  assert.equal(hashState(restored), hashState(bench.state));
});

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
