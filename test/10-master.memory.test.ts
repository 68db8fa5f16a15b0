/**
 * Lesson 10: the state is bounded in bytes of memory, and whatever was accepted can be restored.
 */
import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  apply, checkArrival, DEFAULT_HEAP_BYTES, Event, Forecast, hashState, heapFor, jobMemory,
  MAX_FINISHED_RUNS, MAX_OPEN_RUNS, memoryLimits, Picture, readSnapshot, runMemory, State,
  weighPart, writeSnapshot,
} from "#core";
import { MasterError } from "#master";
import type { JobSpec } from "#wire";
import {
  assertRecoverable,
  Bench,
  checkIndexes,
  randomLife,
  refusal,
  spec,
} from "./10-master.core.ts";
import { pipeline, refusal as refusedOverTheWire, Room } from "./10-master.support.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** What a job with a script of so many bytes does. */
const script = (bytes: number): JobSpec["action"] => ({
  type: "shell", script: "x".repeat(bytes), shell: undefined,
});

/** A bench whose open runs may hold so many bytes, the ended ones a quarter of that. */
function small(open: number): Bench {
  const bench = new Bench();
  bench.memory = { open, finished: open / 4, total: (5 / 4) * open, ceiling: (3 / 2) * open };
  return bench;
}

// ── the measure ──────────────────────────────────────────────────────────────────────────────────

test("memoryLimits() shares out the heap and its inverse gives a heap that is large enough", () => {
  for (const heap of [256 * MIB, 2048 * MIB, DEFAULT_HEAP_BYTES]) {
    const { open, finished, total, ceiling } = memoryLimits(heap);
    assert.ok(open + finished <= total && total < ceiling && ceiling < heap, `of ${heap} bytes`);
    assert.ok(heapFor(ceiling) <= heap + 1 && heapFor(ceiling + 1) >= heap, `of ${heap} bytes`);
  }
  assert.equal(memoryLimits(1).open, 0, "a heap below the base holds nothing");
});

test("a run of a million plain jobs has room in the heap that Node gives a process", () => {
  const plain = jobMemory(spec("job-999999", { dependsOn: [1, 2, 3] }));
  assert.ok(1_000_000 * plain < memoryLimits(DEFAULT_HEAP_BYTES).open, `${plain} bytes a job`);
});

test("jobMemory() counts whatever a job brings, once", () => {
  const plain = jobMemory(spec("a"));
  const more = (fields: Partial<JobSpec>): number => jobMemory(spec("a", fields)) - plain;
  const text = "x".repeat(1000);
  const near = (found: number, bytes: number): void => {
    assert.ok(found >= bytes && found <= bytes + 400, `${found} bytes for ${bytes}`);
  };
  near(more({ action: { type: "command", argv: ["true", text] } }), 1000);
  near(more({ action: { type: "shell", script: text, shell: undefined } }), 900);
  near(more({ action: { type: "file", file: "f.py", args: [text] } }), 1000);
  near(more({ action: { type: "call", target: text, input: Buffer.alloc(1000) } }), 1900);
  near(more({ env: { [text]: text } }), 2000);
  near(more({ gate: { message: text, maxWaitMs: 1 } }), 1000);
  near(more({ requirement: ["G".repeat(64)] }), 128);
  near(more({ dependsOn: Array.from({ length: 100 }, (_, i) => i) }), 3000);
  near(more({ action: { type: "shell", script: "本".repeat(1000), shell: undefined } }), 1900);
  assert.ok(jobMemory(spec("j".repeat(100))) >= plain + 98);
});

test("what all runs take is the same live, replayed and restored, through random lives", () => {
  for (let seed = 300; seed < 306; seed++) {
    const { log, state } = randomLife(seed, 150, () => undefined);
    const restored = readSnapshot(writeSnapshot(state));
    const replayed = new State();
    for (const body of log) apply(replayed, Event.decode(body));
    for (const other of [restored, replayed]) {
      assert.deepEqual([other.bytes, other.finishedBytes], [state.bytes, state.finishedBytes]);
      checkIndexes(other);
    }
  }
});

// ── what is accepted ─────────────────────────────────────────────────────────────────────────────

test("decideSubmit() and decideAddJobs() accept what fits to the byte, and refuse one more", () => {
  const jobs = [spec("a", { action: script(2000) })];
  const pipeline = { name: "test", version: undefined, project: undefined, jobs };
  const needed = runMemory(undefined, pipeline) + jobMemory(jobs[0]!);
  const bench = small(3 * needed);
  const first = bench.submit(jobs);
  bench.submit(jobs);
  const added = [spec("b", { action: script(2000) })];
  const more = jobMemory(added[0]!);
  bench.memory = { ...bench.memory!, open: 2 * needed + more - 1 };
  const add = () =>
    bench.execute({ type: "AddJobs", run: first, jobs: added });
  const before = hashState(bench.state);
  assert.throws(
    add,
    refusal("OVERLOADED", new RegExp(`takes ${more} bytes .* hold ${2 * needed} of`)),
  );
  assert.throws(
    () => bench.submit(jobs),
    refusal("OVERLOADED", /open runs hold \d+ of \d+ already/),
  );
  assert.equal(hashState(bench.state), before, "a refusal leaves no trace");
  bench.memory = { ...bench.memory!, open: 2 * needed + more };
  add();
  bench.memory = { ...bench.memory!, open: needed - 1 };
  assert.throws(
    () => bench.submit(jobs),
    refusal("INVALID", /more than the \d+ for all open runs/),
  );
});

test("checkArrival() lets one pipeline wait, whatever its size, and others as far as there is " +
  "room", () => {
  const { context } = small(MIB);
  const check = (arriving: number, bytes: number) =>
    checkArrival(arriving, { bytes, doing: "submit" }, context);
  check(0, 99 * MIB);
  check(1, MIB / 4 - 1);
  assert.throws(
    () => check(1, MIB / 4),
    refusal("OVERLOADED", /Cannot submit: it takes 262144 bytes .* take 1 of 262144/),
  );
});

test("decideSubmit() accepts again once a run has ended, and what has ended makes way", () => {
  const bench = small(MIB);
  const jobs = [spec("a", { action: script(600 * KIB) })];
  const first = bench.submit(jobs);
  assert.throws(() => bench.submit(jobs), refusal("OVERLOADED"));
  bench.execute({ type: "Cancel", run: first });
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.finished.size, 1, "the newest one stays, however large");
  const second = bench.submit(jobs);
  assert.deepEqual([...bench.state.runs.keys()], [1, 2], "there is room for both");
  bench.execute({ type: "Cancel", run: second });
  bench.submit([spec("a", { action: script(900 * KIB) })]);
  assert.deepEqual([...bench.state.runs.keys()], [3], "the ended ones have made way");
  checkIndexes(bench.state);
  assertRecoverable(bench);
});

test("decideRetry() counts a run that has ended among the open ones again", () => {
  const bench = small(MIB);
  const run = bench.submit([spec("a", { action: script(600 * KIB) })]);
  bench.execute({ type: "Cancel", run });
  bench.submit([spec("a", { action: script(600 * KIB) })]);
  const again = () => bench.decide({ type: "Retry", run }).events;
  assert.throws(again, refusal("OVERLOADED", /Cannot retry test-\w+: it takes \d+ bytes/));
  bench.memory = { ...bench.memory!, open: 2 * MIB };
  bench.commit(again());
  checkIndexes(bench.state);
});

test("the limits of runs hold at the limit and one beyond", () => {
  const bench = new Bench();
  const runs = Array.from({ length: MAX_OPEN_RUNS }, () => bench.submit([spec("a")]));
  assert.throws(
    () => bench.submit([spec("a")]),
    refusal("OVERLOADED", /10000 runs are open already/),
  );
  for (const run of runs.slice(0, MAX_FINISHED_RUNS)) {
    bench.execute({ type: "Cancel", run });
  }
  assert.deepEqual(bench.decide({ type: "Forget" }).events, []);
  bench.execute({ type: "Cancel", run: runs[MAX_FINISHED_RUNS]! });
  const [event] = bench.decide({ type: "Forget" }).events;
  assert.ok(event?.type === "RunsForgotten");
  assert.deepEqual(event.runs, [1]);
  bench.submit([spec("a")]);
});

// ── what is kept ─────────────────────────────────────────────────────────────────────────────────

test("decideForget() forgets the oldest of three large runs, and no other", () => {
  const bench = small(4 * MIB);
  bench.join();
  const action = script(400 * KIB);
  const [first, ...rest] = [1, 2, 3].map(() => bench.submit([spec("a", { action })]));
  bench.drain();
  bench.execute({ type: "Forget" });
  assert.deepEqual([...bench.state.runsById.keys()], rest, `${first} is gone`);
  assert.deepEqual(bench.decide({ type: "Forget" }).events, [], "and now they fit");
});

test("decideForget() makes room for all that is held, by forgetting no more than it must", () => {
  const bench = small(4 * MIB);
  bench.join();
  const runs = [1, 2, 3].map(() => bench.submit([spec("a", { action: script(100 * KIB) })]));
  bench.drain();
  bench.memory = { ...bench.memory!, total: bench.state.bytes - 1 };
  bench.execute({ type: "Forget" });
  assert.deepEqual([...bench.state.runsById.keys()], runs.slice(1));
});

test("decideForget() forgets for their results as well, and the newest too when there " +
  "is no room", () => {
  const bench = small(MIB);
  bench.join({ slots: 20 });
  const result = Buffer.alloc(40 * KIB);
  const ten = () => bench.submit(Array.from({ length: 10 }, (_, i) => spec(`j${i}`)));
  const runs = [ten(), ten()];
  for (const job of bench.schedule()) bench.finish(job, { result });
  bench.execute({ type: "Forget" });
  assert.deepEqual([...bench.state.runsById.keys()], runs.slice(1));
  bench.memory = { ...bench.memory!, total: 300 * KIB };
  bench.execute({ type: "Forget" });
  assert.equal(bench.state.runs.size, 0);
  assert.deepEqual([bench.state.bytes, bench.state.finishedBytes], [0, 0]);
});

test("results beyond what all open runs may hold fail their job, and long failures are cut", () => {
  const bench = small(64 * KIB);
  bench.join({ slots: 3 });
  const run = bench.submit(["a", "b", "c"].map((id) => spec(id)));
  const [a, b, c] = bench.schedule();
  bench.finish(a!, { result: Buffer.alloc(60 * KIB) });
  bench.finish(b!, { result: Buffer.alloc(60 * KIB) });
  const message = "本".repeat(5000);
  const failure = { kind: "exit" as const, message, exitCode: 1, signal: undefined };
  bench.finish(c!, { failure });
  assert.deepEqual(bench.statuses(run), { a: "COMPLETED", b: "FAILED", c: "FAILED" });
  assert.match(b!.failure!.message, /would hold \d+ bytes, more than 81920.*name of a file/);
  assert.equal(c!.failure!.message, message, "there is room for it");
  const full = small(8 * KIB);
  full.join();
  full.submit([spec("a")]);
  const [last] = full.schedule();
  full.finish(last!, { failure });
  assert.match(last!.failure!.message, /^本{65}…$/);
  assertRecoverable(full);
});

test("a call's input and a result keep nothing else in memory", () => {
  const input = Buffer.from('{"n": 1}');
  const call = { type: "call" as const, target: "m.mjs#f", input };
  const bench = new Bench();
  bench.join();
  const jobs = ["text", "more", "most"].map((id) => spec(id, { action: script(300 * KIB) }));
  bench.submit([spec("call", { action: call }), ...jobs]);
  // The results come in one part of a snapshot: a view of it would keep those of all.
  for (let [job] = bench.schedule(); job !== undefined; [job] = bench.schedule()) {
    bench.finish(job, { result: job.index === 0 ? Buffer.from("[1]") : Buffer.alloc(60 * KIB) });
  }
  const replayed = new State();
  for (const body of bench.log) apply(replayed, Event.decode(body));
  for (const state of [replayed, readSnapshot(writeSnapshot(replayed))]) {
    const [job] = state.runs.get(1)!.jobs;
    assert.ok(job?.spec.action.type === "call");
    for (const bytes of [job.spec.action.input, job.result!]) {
      // Node's pool, which small buffers share, has 8 to 64 KiB and a few bytes.
      assert.ok(bytes.buffer.byteLength <= 65 * KIB, `${bytes.buffer.byteLength} bytes are kept`);
    }
    assert.deepEqual(job.spec.action.input, input);
  }
});

// ── a restart ────────────────────────────────────────────────────────────────────────────────────

test("Forecast says what a log takes at its peak, from the log and from a snapshot " +
  "with its tail", () => {
  for (let seed = 400; seed < 406; seed++) {
    let peak = 0;
    const { log } = randomLife(seed, 150, ({ state }) => { peak = Math.max(peak, state.bytes); });
    const whole = new Forecast();
    for (const body of log) whole.event(Event.decode(body));
    // A retry gives back what the attempts had left; the forecast does not know how much that was.
    const near = (found: number) => found > 0.97 * peak && found < 1.03 * peak;
    assert.ok(near(whole.peak), `seed ${seed}: ${whole.peak} for ${peak}`);
    const state = new State();
    for (const body of log) apply(state, Event.decode(body));
    const kept = new Forecast();
    let run = 0;
    for (const part of writeSnapshot(state)) run = weighPart(part, kept, run);
    assert.equal(kept.peak, state.bytes, `seed ${seed}`);
  }
});

test("a master with too small a heap for its log says which heap it needs, " +
  "and changes nothing", async () => {
  await Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    for (let i = 0; i < 8; i++) {
      await client.submitSpec(pipeline([spec("a", { action: script(MIB - 100) })]));
    }
    for (const saved of [false, true]) {
      const heapBytes = 70 * MIB;
      const needs = new RegExp(
        "Cannot start a master on /state: its runs take about 9 MB of memory, " +
          "and a heap of 70 MB is too small",
      );
      const refused = (error: unknown): boolean => {
        assert.ok(error instanceof MasterError && error.code === "NEEDS_MEMORY", String(error));
        assert.match(error.message, needs);
        assert.match(error.message, /NODE_OPTIONS=--max-old-space-size=256$/);
        return true;
      };
      await assert.rejects(room.restart({ heapBytes }), refused);
      const master = await room.start({ heapBytes: 256 * MIB });
      assert.equal(master.recovered.runs, 8, saved ? "from the snapshot" : "from the log");
      await master.snapshot();
    }
    await (await room.client()).submitSpec(pipeline([spec("a")]));
  });
});

test("a master takes what its heap allows, and starts again with the same heap", async () => {
  await Room.run(async (room) => {
    const heapBytes = 80 * MIB;
    await room.start({ heapBytes });
    let client = await room.client();
    const large = pipeline([spec("a", { action: script(MIB - 100) })]);
    let accepted = 0;
    const fill = async (): Promise<void> => {
      for (;;) {
        await client.submitSpec(large);
        accepted += 1;
      }
    };
    await assert.rejects(fill(), refusedOverTheWire("OVERLOADED", /bytes of the master's memory/));
    assert.equal(accepted, 7);
    await room.restart({ heapBytes });
    client = await room.client();
    assert.equal((await client.runs()).length, accepted);
    await assert.rejects(client.submitSpec(large), refusedOverTheWire("OVERLOADED"));
    await client.cancel((await client.runs())[0]!.id);
    await client.submitSpec(large);
  });
});

test("Forecast gives back what is forgotten", () => {
  const bench = new Bench();
  const run = bench.submit([spec("a", { action: script(MIB) })]);
  bench.execute({ type: "Cancel", run });
  bench.memory = { open: 8 * MIB, finished: 0, total: 0, ceiling: 8 * MIB };
  bench.execute({ type: "Forget" });
  bench.submit([spec("a", { action: script(MIB) })]);
  const forecast = new Forecast();
  for (const body of bench.log) forecast.event(Event.decode(body));
  assert.ok(forecast.peak < 1.5 * MIB, `${forecast.peak}`);
});

// ── pictures ─────────────────────────────────────────────────────────────────────────────────────

test("a picture shows the moment at which it was taken, whatever happens while it is made", () => {
  for (let seed = 500; seed < 530; seed++) {
    let taken: { expected: string; parts: Iterator<Buffer>; hash: Hash } | undefined;
    let made = 0;
    randomLife(seed, 200, ({ state }) => {
      taken ??= {
        expected: hashState(state),
        parts: new Picture(state).parts(),
        hash: createHash("sha256"),
      };
      const { done, value } = taken.parts.next();
      if (!done) return void taken.hash.update(value);
      assert.equal(taken.hash.digest("hex"), taken.expected, `seed ${seed}, picture ${made}`);
      assert.deepEqual(state.keepers, [], "nothing is left of it");
      taken = undefined;
      made += 1;
    });
    assert.ok(made > 3, `${made} pictures`);
  }
});

test("a picture that nobody wants to the end keeps nothing", () => {
  const bench = new Bench();
  bench.submit([spec("a")]);
  const picture = new Picture(bench.state);
  const parts = picture.parts();
  parts.next();
  picture.close();
  assert.deepEqual(bench.state.keepers, []);
});

test("a run of many jobs is written in blocks, and restored with jobs that depend " +
  "on later ones", () => {
  for (const [count, bytes] of [[1024, 10], [1025, 10], [3000, 10], [9, 900_000]] as const) {
    const bench = new Bench();
    bench.join({ slots: 4 });
    const run = bench.submit(Array.from({ length: count }, (_, i) => {
      return spec(`j${i}`, { dependsOn: i === 0 ? [count - 1] : [], action: script(bytes) });
    }));
    for (const job of bench.schedule()) bench.finish(job, { result: Buffer.from("1") });
    bench.execute({ type: "AddJobs", run, jobs: [spec("late", { dependsOn: [1] })] });
    assertRecoverable(bench);
    const parts = [...writeSnapshot(bench.state)];
    assert.ok(parts.every((part) => part.length < 6 * MIB), `${count} jobs of ${bytes} bytes`);
    checkIndexes(readSnapshot(parts));
  }
});

test("INFO's hash is made in slices, of one moment, and shared by those " +
  "who ask meanwhile", async () => {
  await Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const many = Array.from({ length: 20_000 }, (_, i) =>
      spec(`j${i}`, { requirement: ["NOBODY"] }),
    );
    await client.submitSpec(pipeline(many));
    await client.submitSpec(pipeline([spec("a")]));
    const asked = [1, 2, 3, 4].map(() => client.info({ hash: true }));
    await room.worker("w", { works: true });
    const completed = async (at: number): Promise<void> => {
      while ((await client.runs())[at]!.status !== "COMPLETED") await room.sleep(1);
    };
    await completed(1);
    const infos = await Promise.all(asked);
    const hashes = new Map(infos.map(({ nextSeq, stateHash }) => [nextSeq, stateHash]));
    assert.ok(hashes.size <= 2, "one for the first, and one for those who asked while it was made");
    const before = client.info({ hash: true });
    const submitted = client.submitSpec(pipeline([spec("b")]));
    const behind = await client.info({ hash: true });
    assert.ok(behind.nextSeq > (await before).nextSeq, "whoever asks after a change hears of it");
    await submitted;
    await completed(2);
    const last = await client.info({ hash: true });
    assert.ok(!hashes.has(last.nextSeq), "the state has changed since");
    await room.restart();
    const after = await (await room.client()).info({ hash: true });
    assert.deepEqual([after.nextSeq, after.stateHash], [last.nextSeq, last.stateHash]);
  });
});

// ── older versions ───────────────────────────────────────────────────────────────────────────────

interface OldLife {
  readonly events: string[];
  readonly snapshot: { readonly after: number; readonly parts: string[] };
  readonly runs: unknown[];
  readonly hash: string;
}

function oldLives(file: string): OldLife[] {
  const text = readFileSync(new URL(`data/logs/${file}`, import.meta.url), "utf8");
  return (JSON.parse(text) as { lives: OldLife[] }).lives;
}

test("the log and the snapshot of an older version give the state that they gave to it", () => {
  const lives = [...oldLives("random-lives.json"), ...oldLives("service-lives.json")];
  const bytesOf = (texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, "base64"));
  const seen = new Set<string>();
  for (const { events, snapshot, runs, hash } of lives) {
    const log = bytesOf(events).map((body) => Event.decode(body));
    for (const { type } of log) seen.add(type);
    const replayed = new State();
    for (const event of log) apply(replayed, event);
    const restored = readSnapshot(bytesOf(snapshot.parts));
    for (const body of bytesOf(events).slice(snapshot.after)) apply(restored, Event.decode(body));
    for (const state of [replayed, restored]) {
      assert.equal(hashState(state), hash);
      checkIndexes(state);
      assert.deepEqual(
        [...state.runs.values()].map((run) => {
          return [
            run.id,
            run.status,
            run.jobs.map(({ status, attempt }) => `${status}#${attempt}`).join(" "),
          ];
        }),
        runs,
      );
    }
  }
  assert.ok(seen.size >= 20, `${seen.size} kinds of events`);
});
