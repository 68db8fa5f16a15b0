/**
 * Lesson 05: rotation, snapshots, compaction, and segment files that are missing, swapped or
 * foreign.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Log, LogError, MAX_RECORD_BYTES, openLog } from "#log";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/log";
const body = (seq: number): Buffer => Buffer.from(`event ${String(seq).padStart(5, "0")}`);

async function fill(log: Log, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    log.append(body(log.nextSeq));
    if (i % 3 === 0) await log.durable();
  }
  await log.durable();
}

async function rebuild(log: Log): Promise<string[]> {
  const state: string[] = [];
  await log.readSnapshot((chunk) => state.push(String(chunk)));
  await log.replay((_, bytes) => state.push(String(bytes)));
  return state;
}

const stateAfter = (seq: number): Buffer[] => Array.from({ length: seq }, (_, i) => body(i + 1));
const segmentsOf = async (host: Machine): Promise<string[]> =>
  host.disk.list(DIR).filter((name) => name.endsWith(".seg"));

/** 100 records in segments of about 10. */
async function sample(records = 100): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await fill(log, records);
  await log.close();
  return host;
}

function open(host: Machine, edit: (copy: Machine) => void = () => {}): Promise<Log> {
  return openLog({ host: host.copy(edit), dir: DIR, segmentBytes: 230 });
}

const isLogError = (code: string, file?: string) => (error: unknown) =>
  error instanceof LogError &&
  error.code === code &&
  (file === undefined || error.file === `${DIR}/${file}`);

test("append() starts a new segment before one exceeds segmentBytes", inWorld(async () => {
  const host = await sample();
  const names = await segmentsOf(host);
  assert.ok(names.length >= 10, `${names}`);
  for (const name of names) assert.ok(host.peek(`${DIR}/${name}`).length <= 230, name);
  const log = await open(host);
  assert.deepEqual(await rebuild(log), stateAfter(100).map(String));
  assert.equal(log.recovery.segments, names.length);
  await log.close();
}));

test("append() of one large group is cut into segments, too", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  for (let i = 1; i <= 100; i++) log.append(body(i));
  log.append(Buffer.alloc(1000, 1));
  await log.close();
  assert.ok((await segmentsOf(host)).length >= 10);
  const again = await open(host);
  assert.equal(again.nextSeq, 102);
  await again.close();
}));

test("saveSnapshot() removes the segments it covers, and a restart reads the snapshot and the " +
  "rest", inWorld(async () => {
  const host = await sample();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  const before = await segmentsOf(host);
  await log.saveSnapshot(75, stateAfter(75));
  const after = await segmentsOf(host);
  assert.ok(after.length < before.length / 2, `${before.length} → ${after.length}`);
  assert.equal(log.stats.segments, after.length);
  assert.deepEqual(log.snapshot, { seq: 75 });
  await fill(log, 5);
  await log.close();
  const again = await open(host);
  assert.deepEqual(again.snapshot, { seq: 75 });
  assert.deepEqual(await rebuild(again), stateAfter(105).map(String));
  await assert.rejects(again.replay(() => {}, { from: 1 }), isLogError("GAP"));
  await again.close();
}));

test("saveSnapshot() keeps one snapshot, ignores an older request, and refuses records that do " +
  "not exist", inWorld(async () => {
  const host = await sample();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await log.saveSnapshot(50, stateAfter(50));
  await log.saveSnapshot(90, stateAfter(90));
  await log.saveSnapshot(70, stateAfter(70));
  assert.deepEqual(log.snapshot, { seq: 90 });
  assert.deepEqual(
    host.disk.list(DIR).filter((name) => name.endsWith(".snap")),
    ["0000000000000090.snap"],
  );
  assert.throws(() => void log.saveSnapshot(101, []), /never appended/);
  await log.close();
}));

test("saveSnapshot() takes its chunks in the call, so appends beside it cannot " +
  "blur the picture", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  await fill(log, 10);
  const state = stateAfter(10);
  const saved = log.saveSnapshot(10, (function* () { yield* state; })());
  state.push(body(11));
  await Promise.all([saved, fill(log, 1)]);
  await log.close();
  const again = await open(host);
  assert.deepEqual(await rebuild(again), stateAfter(11).map(String));
  await again.close();
}));

test("saveSnapshot() of an AsyncIterable asks for one chunk at a time, while " +
  "appends go on", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  await fill(log, 10);
  let asked = 0;
  await log.saveSnapshot(10, (async function* () {
    for (const chunk of stateAfter(10)) {
      asked += 1;
      log.append(body(log.nextSeq));
      await log.durable();
      yield chunk;
    }
  })());
  assert.equal(asked, 10);
  await log.close();
  const again = await open(host);
  assert.deepEqual(await rebuild(again), stateAfter(20).map(String));
  await again.close();
}));

test("saveSnapshot() rejects when its chunks end with an error or are too large, and nothing is " +
  "left of them", inWorld(async () => {
  const host = await sample();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await log.saveSnapshot(20, stateAfter(20));
  const failing = (async function* () {
    yield body(1);
    throw new Error("no more");
  })();
  await assert.rejects(log.saveSnapshot(90, failing), /no more/);
  let returned = false;
  const huge = (async function* () {
    try {
      yield Buffer.alloc(MAX_RECORD_BYTES + 1);
    } finally {
      returned = true;
    }
  })();
  await assert.rejects(log.saveSnapshot(90, huge), isLogError("TOO_LARGE"));
  assert.ok(returned, "its maker is told");
  assert.deepEqual(log.snapshot, { seq: 20 });
  assert.deepEqual(host.disk.list(DIR).filter((name) => name.includes(".tmp")), []);
  await fill(log, 5);
  await log.close();
  const again = await open(host);
  assert.deepEqual(await rebuild(again), stateAfter(105).map(String));
  await again.close();
}));

test("saveSnapshot() on a full disk rejects, and the log goes on with " +
  "the old snapshot", inWorld(async () => {
  const host = await sample();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await log.saveSnapshot(20, stateAfter(20));
  host.disk.limitBytes(host.disk.usedBytes + 500);
  await assert.rejects(log.saveSnapshot(90, stateAfter(90)), /ENOSPC/);
  assert.deepEqual(log.snapshot, { seq: 20 });
  assert.deepEqual(
    host.disk.list(DIR).filter((name) => name.includes(".tmp")),
    [],
    "the room is free again",
  );
  await fill(log, 5);
  await log.close();
  const again = await open(host);
  assert.deepEqual(await rebuild(again), stateAfter(105).map(String));
  await again.close();
}));

test("readSnapshot() refuses a snapshot with any bit flipped, unless its records " +
  "are still there", inWorld(async () => {
  const covered = new Machine();
  const log = await openLog({ host: covered, dir: DIR });
  await fill(log, 5);
  await log.saveSnapshot(4, stateAfter(4));
  await log.close();
  const name = "0000000000000004.snap";
  const whole = covered.peek(`${DIR}/${name}`);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    const opened = await open(covered, (copy) => copy.disk.put(`${DIR}/${name}`, bytes));
    assert.equal(opened.recovery.ignored.length, 1);
    assert.equal(opened.snapshot, undefined);
    assert.deepEqual(await rebuild(opened), stateAfter(5).map(String));
    await opened.close();
  }
  const host = await sample();
  const compacted = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await compacted.saveSnapshot(60, stateAfter(60));
  await compacted.close();
  const file = `${DIR}/0000000000000060.snap`;
  const snapshot = host.peek(file);
  for (let size = 0; size < snapshot.length; size++) {
    await assert.rejects(
      open(host, (copy) => copy.disk.put(file, Buffer.from(snapshot.subarray(0, size)))),
      isLogError("DAMAGED", "0000000000000060.snap"),
      `cut at ${size}`,
    );
  }
  await assert.rejects(
    open(host, (copy) => copy.disk.drop(file)),
    isLogError("GAP", "0000000000000060.snap"),
  );
}));

test("openLog() goes on after the snapshot when the tail is cut below it", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  await fill(log, 10);
  await log.saveSnapshot(10, stateAfter(10));
  await log.close();
  const file = `${DIR}/0000000000000001.seg`;
  const whole = host.peek(file);
  const header = 32;
  for (let size = header; size < whole.length; size++) {
    const cut = await open(host, (copy) =>
      copy.disk.put(file, Buffer.from(whole.subarray(0, size))),
    );
    assert.equal(cut.nextSeq, 11);
    assert.deepEqual(await rebuild(cut), stateAfter(10).map(String));
    await fill(cut, 1);
    assert.deepEqual(await rebuild(cut), stateAfter(11).map(String));
    await cut.close();
  }
}));

test("openLog() refuses a damaged snapshot when its records are not all there: what it stood for " +
  "was promised", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  await fill(log, 10);
  await log.saveSnapshot(10, stateAfter(10));
  await log.close();
  const name = "0000000000000010.snap";
  const segment = `${DIR}/0000000000000001.seg`;
  const whole = host.peek(segment);
  for (const size of [0, 31, 100, whole.length - 1]) {
    const opened = open(host, (copy) => {
      const bytes = Buffer.from(copy.peek(`${DIR}/${name}`));
      bytes[50] = (bytes[50] as number) ^ 1;
      copy.disk.put(`${DIR}/${name}`, bytes);
      copy.disk.put(segment, Buffer.from(whole.subarray(0, size)));
    });
    await assert.rejects(
      opened,
      isLogError("DAMAGED", size < 32 ? "0000000000000001.seg" : name),
      `${size} bytes of the segment`,
    );
  }
}));

test("openLog() refuses a missing segment: first, middle or last", inWorld(async () => {
  const host = await sample();
  for (const name of await segmentsOf(host)) {
    await assert.rejects(
      open(host, (copy) => copy.disk.drop(`${DIR}/${name}`)),
      isLogError("GAP", name),
    );
  }
}));

test("openLog() refuses segments that were swapped, copied over one another or cut short in the " +
  "middle", inWorld(async () => {
  const host = await sample();
  const names = (await segmentsOf(host)).map((name) => `${DIR}/${name}`);
  const [first, second, third] = names as [string, string, string];
  const bytes = (path: string): Buffer => host.peek(path);
  await assert.rejects(open(host, (copy) => {
    copy.disk.put(first, bytes(second));
    copy.disk.put(second, bytes(first));
  }), isLogError("DAMAGED"));
  await assert.rejects(
    open(host, (copy) => copy.disk.put(third, bytes(second))),
    isLogError("DAMAGED"),
  );
  const unlisted = `${DIR}/0000000000000999.seg`;
  await assert.rejects(
    open(host, (copy) => copy.disk.put(unlisted, bytes(second))),
    isLogError("DAMAGED"),
  );
  for (let size = 0; size < bytes(second).length; size++) {
    const cut = Buffer.from(bytes(second).subarray(0, size));
    await assert.rejects(open(host, (copy) => copy.disk.put(second, cut)), LogError);
  }
}));

test("openLog() refuses a segment of another log", inWorld(async () => {
  const mine = await sample();
  const theirs = new Machine();
  theirs.random.bytes(8); // a different id
  const log = await openLog({ host: theirs, dir: DIR, segmentBytes: 230 });
  await fill(log, 100);
  await log.close();
  const name = (await segmentsOf(mine))[4] as string;
  const foreign = theirs.peek(`${DIR}/${name}`);
  await assert.rejects(
    open(mine, (copy) => copy.disk.put(`${DIR}/${name}`, foreign)),
    isLogError("DAMAGED", name),
  );
}));

test("openLog() refuses a manifest with any bit flipped, cut anywhere, " +
  "missing or old", inWorld(async () => {
  const host = await sample(40);
  const file = `${DIR}/MANIFEST`;
  const damaged = isLogError("DAMAGED", "MANIFEST");
  const whole = host.peek(file);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    await assert.rejects(open(host, (copy) => copy.disk.put(file, bytes)), damaged, `bit ${bit}`);
  }
  for (let size = 0; size < whole.length; size++) {
    const cut = Buffer.from(whole.subarray(0, size));
    await assert.rejects(
      open(host, (copy) => copy.disk.put(file, cut)),
      damaged,
      `cut at ${size}`,
    );
  }
  await assert.rejects(open(host, (copy) => copy.disk.drop(file)), damaged);
  const early = new Machine();
  const log = await openLog({ host: early, dir: DIR, segmentBytes: 230 });
  const old = early.peek(file);
  await log.close();
  await assert.rejects(open(host, (copy) => copy.disk.put(file, old)), isLogError("DAMAGED"));
}));

test("replay() reaches records of every segment while appends go on", inWorld(async () => {
  const host = await sample();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  const seen: number[] = [];
  const replayed = log.replay((seq) => seen.push(seq), { from: 42 });
  await Promise.all([replayed, fill(log, 30)]);
  assert.deepEqual(seen, Array.from({ length: 59 }, (_, i) => 42 + i));
  await log.close();
}));
