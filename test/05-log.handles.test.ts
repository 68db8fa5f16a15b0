/** Lesson 05: what a log leaves open: its last segment, and nothing else. And disks that refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspectLog, type Log, openLog, readLog, repairLog, verifyLog, walkLog } from "#log";
import { memoryHost, type MemoryHost } from "./05-log.memory-storage.ts";

const DIR = "/state/log";
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"-".repeat(30)}`);

async function fill(log: Log, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await log.durable(log.append(body(log.nextSeq)));
}

const last = async (host: MemoryHost): Promise<string> =>
  `${DIR}/${(await host.storage.list(DIR)).filter((name) => name.endsWith(".seg")).at(-1)}`;

test("an open log holds one handle, through rotations, snapshots, compaction and replays; a " +
  "closed one none", async () => {
  const host = memoryHost();
  const { storage } = host;
  let log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  const only = async (): Promise<void> => assert.deepEqual(storage.openHandles, [await last(host)]);
  await only();
  await fill(log, 20);
  assert.ok(log.stats.segments > 2);
  await only();
  await log.saveSnapshot(12, [Buffer.from("state 12")]);
  await log.saveSnapshot(15, [Buffer.from("state 15")]);
  await only();
  await log.replay(() => {});
  await log.readSnapshot(() => {});
  await only();
  await log.close();
  assert.deepEqual(storage.openHandles, []);
  log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await only();
  await log.close();
  assert.deepEqual(storage.openHandles, []);
});

test("what fails leaves nothing open: a full disk, a refused opening, a snapshot that throws, a " +
  "failed fsync", async () => {
  const host = memoryHost();
  const { storage } = host;
  const log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await fill(log, 5);
  const open = [await last(host)];
  storage.spaceBytes = storage.usedBytes + 10;
  await assert.rejects(log.saveSnapshot(5, [Buffer.from("state")]), { code: "FULL" });
  assert.deepEqual(storage.openHandles, open);
  log.append(Buffer.alloc(290));
  // No room for the new segment's header; then none for the manifest that would list it.
  for (const room of [10, 40]) {
    storage.spaceBytes = storage.usedBytes + room;
    host.fireTimers();
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
    assert.notEqual(log.full, undefined);
    assert.deepEqual(storage.openHandles, open);
  }
  storage.spaceBytes = Number.POSITIVE_INFINITY;
  host.fireTimers();
  await log.durable();
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from("one");
    throw new Error("its maker failed");
  }
  await assert.rejects(log.saveSnapshot(5, broken()), /its maker failed/);
  assert.deepEqual(storage.openHandles, [await last(host)]);
  storage.failSync = true;
  log.append(body(9));
  await assert.rejects(log.durable(), { code: "WRITE_FAILED" });
  await log.close();
  storage.failSync = false;
  assert.deepEqual(storage.openHandles, []);
  const file = await last(host);
  const whole = storage.peek(file);
  storage.put(file, Buffer.concat([Buffer.alloc(40), whole]));
  await assert.rejects(openLog({ host, dir: DIR }), { code: "DAMAGED" });
  assert.deepEqual(storage.openHandles, []);
  await repairLog(host, DIR);
  assert.deepEqual(storage.openHandles, []);
});

test("looking at a log with a snapshot needs no right to write, and " +
  "leaves nothing open", async () => {
  const host = memoryHost();
  const log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await fill(log, 20);
  await log.saveSnapshot(12, [Buffer.from("state 12")]);
  await log.close();
  host.storage.readOnly = true;
  const before = host.storage.operations;
  assert.equal((await inspectLog(host, DIR)).snapshots.length, 1);
  assert.equal((await verifyLog(host, DIR)).ok, true);
  await readLog(host, DIR, { record: () => {}, chunk: () => {} });
  for await (const piece of walkLog({ host, dir: DIR })) assert.notEqual(piece.type, "rest");
  await repairLog(host, DIR, { dryRun: true });
  assert.equal(host.storage.operations, before);
  assert.deepEqual(host.storage.openHandles, []);
});

test("openLog() rejects when the folder that it has made cannot be made durable " +
  "in its parent", async () => {
  const host = memoryHost();
  await host.storage.mkdir("/state");
  host.storage.failSyncOf.add("/state");
  await assert.rejects(openLog({ host, dir: DIR }), { code: "EIO" });
  assert.deepEqual(host.storage.openHandles, []);
  await (await openLog({ host, dir: DIR })).close();
  // Of a folder that was there before, it may be that it is not ours to open.
  host.storage.failSyncOf.add("/");
  await (await openLog({ host, dir: DIR })).close();
});
