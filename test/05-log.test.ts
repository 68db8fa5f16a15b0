/**
 * Lesson 05, the contract of the log. Written against "#log" only; the disk is a fake that loses
 * what it may lose.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { type Log, LogError, MAX_PENDING_BYTES, MAX_RECORD_BYTES, openLog } from "#log";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/state/log";

function body(seq: number): Buffer {
  return Buffer.from(`event ${seq} ${"x".repeat(seq % 7)}`);
}

/** Appends bodies number `from`..`to`, `perGroup` to a commit group. */
async function fill(
  log: Log,
  range: { from: number; to: number; perGroup: number },
): Promise<void> {
  for (let seq = range.from; seq <= range.to; seq++) {
    assert.equal(log.append(body(seq)), seq);
    if (seq % range.perGroup === 0) await log.durable();
  }
  await log.durable();
}

async function contents(log: Log, options: { from?: number } = {}): Promise<string[]> {
  const bodies: string[] = [];
  await log.replay((seq, bytes) => bodies.push(`${seq}:${bytes}`), options);
  return bodies;
}

const expected = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${i + 1}:${body(i + 1)}`);

/** A closed log of `count` records, and the path of its only segment. */
async function sample(
  count: number,
  perGroup: number,
): Promise<{ host: Machine; file: string }> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  await fill(log, { from: 1, to: count, perGroup });
  await log.close();
  return { host, file: `${DIR}/0000000000000001.seg` };
}

function copyOf(host: Machine, edit: (copy: Machine) => void): Machine {
  return host.copy(edit);
}

const isLogError = (code: string) => (error: unknown) =>
  error instanceof LogError && error.code === code;

test("openLog() makes an empty log in a folder that does not exist", inWorld(async () => {
  const log = await openLog({ host: new Machine(), dir: DIR });
  assert.equal(log.nextSeq, 1);
  assert.equal(log.snapshot, undefined);
  assert.equal(log.recovery.tornBytes, 0);
  assert.deepEqual(await contents(log), []);
  await log.durable();
  await log.close();
}));

test("replay() returns what was appended, in order, after a restart", inWorld(async () => {
  const { host } = await sample(100, 7);
  const log = await openLog({ host, dir: DIR });
  assert.equal(log.nextSeq, 101);
  assert.equal(log.recovery.records, 100);
  assert.deepEqual(await contents(log), expected(100));
  assert.deepEqual(await contents(log, { from: 99 }), expected(100).slice(98));
  await fill(log, { from: 101, to: 110, perGroup: 3 });
  assert.deepEqual(await contents(log), expected(110));
  await log.close();
}));

test("append() keeps empty bodies, all byte values and bodies larger than " +
  "a read block", inWorld(async () => {
  const host = new Machine();
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const bodies = [Buffer.alloc(0), every, Buffer.alloc(700_000, 3), Buffer.alloc(0)];
  const log = await openLog({ host, dir: DIR });
  for (const bytes of bodies) log.append(bytes);
  await log.close();
  const again = await openLog({ host, dir: DIR });
  const found: Buffer[] = [];
  await again.replay((_, bytes) => found.push(bytes));
  assert.equal(found.length, bodies.length);
  for (const [index, bytes] of bodies.entries()) {
    assert.ok(bytes.equals(found[index] as Buffer), `body ${index}`);
  }
  await again.close();
}));

test("append() copies: the caller may reuse its bytes at once", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  const scratch = Buffer.from("first");
  log.append(scratch);
  scratch.fill("!");
  await log.durable();
  assert.deepEqual(await contents(log), ["1:first"]);
  await log.close();
}));

test("append() refuses a record above MAX_RECORD_BYTES and goes on", inWorld(async () => {
  const log = await openLog({ host: new Machine(), dir: DIR });
  assert.throws(() => log.append(new Uint8Array(MAX_RECORD_BYTES + 1)), isLogError("TOO_LARGE"));
  assert.equal(log.append(Buffer.from("next")), 1);
  await log.close();
}));

test("append() refuses with BACKLOG rather than queue without bound", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  const large = new Uint8Array(MAX_RECORD_BYTES - 8);
  for (let i = 0; i < MAX_PENDING_BYTES / MAX_RECORD_BYTES; i++) log.append(large);
  assert.equal(log.backlogBytes, MAX_PENDING_BYTES);
  assert.throws(() => log.append(Buffer.from("one more")), isLogError("BACKLOG"));
  host.disk.limitBytes(100); // spares the test a quarter of a gigabyte
  const waiting = assert.rejects(log.durable(), isLogError("FULL"));
  await assert.rejects(log.close(), isLogError("FULL"));
  await waiting;
  assert.equal(log.backlogBytes, 0);
}));

test("durable() resolves only for bytes that survive a crash", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  for (let seq = 1; seq <= 20; seq++) {
    log.append(body(seq));
    await log.durable(seq);
    const found = await openLog({
      host: host.afterCrash("nothing"),
      dir: DIR,
    });
    assert.deepEqual(await contents(found), expected(seq));
    await found.close();
  }
  await log.close();
}));

test("durable() shares one promise among all who wait for one commit group", inWorld(async () => {
  const log = await openLog({ host: new Machine(), dir: DIR });
  log.append(body(1));
  log.append(body(2));
  assert.equal(log.durable(1), log.durable(2));
  await log.durable();
  await log.close();
}));

test("append() of 1,000 records by 50 concurrent callers costs at most 20 fsyncs, by one caller " +
  "at once 1", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  const before = host.syncs;
  const caller = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await log.durable(log.append(Buffer.from("x")));
  };
  await Promise.all(Array.from({ length: 50 }, caller));
  assert.ok(host.syncs - before <= 20, `${host.syncs - before} fsyncs`);
  assert.equal(log.stats.fsyncs, host.syncs - before);
  for (let i = 0; i < 1000; i++) log.append(Buffer.from("y"));
  const between = log.stats.fsyncs;
  await log.durable();
  assert.equal(log.stats.fsyncs - between, 1);
  assert.equal(log.stats.appends, 2000);
  await log.close();
}));

test("openLog() recovers a prefix from a file that is cut at any byte", inWorld(async () => {
  const { host, file } = await sample(12, 4);
  const whole = host.peek(file);
  const all = expected(12);
  let longest = 0;
  const header = 32; // without it the log does not open at all: 05-log.lost.test.ts
  for (let size = header; size <= whole.length; size++) {
    const cut = copyOf(host, (copy) => copy.disk.put(file, Buffer.from(whole.subarray(0, size))));
    const log = await openLog({ host: cut, dir: DIR });
    const found = await contents(log);
    assert.deepEqual(found, all.slice(0, found.length), `cut at ${size}`);
    assert.ok(
      found.length >= longest,
      `cut at ${size}: ${found.length} records, fewer than from a shorter file`,
    );
    longest = found.length;
    assert.equal(log.nextSeq, found.length + 1);
    // What comes after a cut is as good as any record.
    await log.durable(log.append(Buffer.from("after")));
    await log.close();
    const again = await openLog({ host: cut, dir: DIR });
    assert.deepEqual(await contents(again), [...found, `${found.length + 1}:after`]);
    assert.equal(again.recovery.tornBytes, 0);
    await again.close();
  }
  assert.equal(longest, 12);
}));

test("openLog() never hands out a wrong record, whichever bit is flipped", inWorld(async () => {
  const { host, file } = await sample(9, 3);
  const whole = host.peek(file);
  const all = expected(9);
  const lastRecord = whole.length - 8 - body(9).length;
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    const flipped = copyOf(host, (copy) => copy.disk.put(file, bytes));
    const at = `bit ${bit & 7} of byte ${bit >> 3}`;
    try {
      const log = await openLog({ host: flipped, dir: DIR });
      assert.ok(bit >> 3 >= lastRecord, `${at}: opened, although records follow the damage`);
      assert.deepEqual(await contents(log), all.slice(0, 8), at);
      assert.equal(log.recovery.tornFile, file);
      await log.close();
    } catch (error) {
      assert.ok(error instanceof LogError, `${at}: ${error}`);
      assert.equal(error.file, file, at);
      assert.ok((error.offset as number) <= bit >> 3, at);
    }
  }
}));

test("openLog() cuts a tail of zeros, as a power cut leaves it", inWorld(async () => {
  const { host, file } = await sample(5, 5);
  for (const zeros of [1, 7, 8, 9, 512, 70_000]) {
    const bytes = Buffer.concat([host.peek(file), Buffer.alloc(zeros)]);
    const padded = copyOf(host, (copy) => copy.disk.put(file, bytes));
    const log = await openLog({ host: padded, dir: DIR });
    assert.equal(log.recovery.tornBytes, zeros);
    assert.equal(log.recovery.tornFile, file);
    assert.deepEqual(await contents(log), expected(5));
    await log.close();
  }
}));

test("openLog() refuses damage in the middle, naming file and offset", inWorld(async () => {
  const { host, file } = await sample(50, 50);
  const bytes = Buffer.from(host.peek(file));
  const at = bytes.indexOf("event 25");
  bytes[at] = 0x45;
  const damaged = copyOf(host, (copy) => copy.disk.put(file, bytes));
  await assert.rejects(openLog({ host: damaged, dir: DIR }), (error: LogError) => {
    assert.equal(error.code, "DAMAGED");
    assert.equal(error.file, file);
    assert.equal(error.offset, at - 8);
    return true;
  });
}));

test("openLog() notices records that were swapped or repeated inside a file", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  for (let i = 0; i < 6; i++) log.append(Buffer.from(`same length ${i}`));
  await log.close();
  const file = `${DIR}/0000000000000001.seg`;
  const whole = host.peek(file);
  const size = 8 + "same length 0".length;
  const start = whole.length - 6 * size;
  const record = (index: number): Buffer =>
    whole.subarray(start + index * size, start + (index + 1) * size);
  const arranged = (order: number[]): Buffer =>
    Buffer.concat([whole.subarray(0, start), ...order.map(record)]);
  for (const order of [
    [0, 2, 1, 3, 4, 5],
    [0, 1, 1, 2, 3, 4, 5],
    [0, 1, 3, 4, 5],
    [1, 1, 2, 3, 4, 5],
  ]) {
    const copy = copyOf(host, (copy) => copy.disk.put(file, arranged(order)));
    await assert.rejects(
      openLog({ host: copy, dir: DIR }),
      isLogError("DAMAGED"),
      `order ${order}`,
    );
  }
}));

test("a failed fsync kills the log: one onFatal, every promise rejected, " +
  "no second fsync", inWorld(async () => {
  const host = new Machine();
  const fatal: Error[] = [];
  const log = await openLog({ host, dir: DIR, onFatal: (error) => fatal.push(error) });
  await fill(log, { from: 1, to: 3, perGroup: 3 });
  host.disk.fail("sync", { code: "EIO", times: Infinity });
  log.append(body(4));
  const waiting = log.durable();
  await assert.rejects(waiting, isLogError("WRITE_FAILED"));
  host.disk.heal();
  const syncs = host.changes;
  assert.equal(fatal.length, 1);
  assert.throws(() => log.append(body(5)), isLogError("WRITE_FAILED"));
  await assert.rejects(log.durable(4), isLogError("WRITE_FAILED"));
  await log.durable(3); // was durable before, and still is
  await log.close();
  assert.equal(host.changes, syncs);
  assert.equal(fatal.length, 1);
}));

test("close() flushes, is idempotent, and ends the log", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, durability: "no" });
  log.append(body(1));
  await Promise.all([log.close(), log.close()]);
  assert.throws(() => log.append(body(2)), isLogError("CLOSED"));
  host.crash();
  const again = await openLog({ host, dir: DIR });
  assert.deepEqual(await contents(again), expected(1));
  await again.close();
}));

test("openLog() on a real disk: what was durable is there when another " +
  "process opens it", async () => {
  const dir = await mkdtemp(join(tmpdir(), "titan-log-"));
  try {
    const log = await openLog({
      host: nodeHost(),
      dir: join(dir, "deep", "log"),
      segmentBytes: 2000,
    });
    await fill(log, { from: 1, to: 300, perGroup: 50 });
    await log.saveSnapshot(150, [Buffer.from("state at 150")]);
    const again = await openLog({ host: nodeHost(), dir: join(dir, "deep", "log") });
    assert.deepEqual(await contents(again), expected(300).slice(150));
    await again.close();
    await log.close();
  } finally {
    await rm(dir, { recursive: true });
  }
});
