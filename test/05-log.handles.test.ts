/** Lesson 05: what a log leaves open: its last segment, and nothing else. And disks that refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspectLog, type Log, openLog, readLog, repairLog, verifyLog, walkLog } from "#log";
import { inWorld, Machine, pass } from "./05-log.support.ts";

const DIR = "/state/log";
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"-".repeat(30)}`);

async function fill(log: Log, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await log.durable(log.append(body(log.nextSeq)));
}

const last = async (host: Machine): Promise<string> =>
  `${DIR}/${host.disk.list(DIR).filter((name) => name.endsWith(".seg")).at(-1)}`;

test("an open log holds one handle, through rotations, snapshots, compaction and replays; a " +
  "closed one none", inWorld(async () => {
  const host = new Machine();
  let log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  const only = async (): Promise<void> => assert.deepEqual(host.openFiles, [await last(host)]);
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
  assert.deepEqual(host.openFiles, []);
  log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await only();
  await log.close();
  assert.deepEqual(host.openFiles, []);
}));

test("what fails leaves nothing open: a full disk, a refused opening, a snapshot that throws, a " +
  "failed fsync", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await fill(log, 5);
  const open = [await last(host)];
  host.disk.limitBytes(host.disk.usedBytes + 10);
  await assert.rejects(log.saveSnapshot(5, [Buffer.from("state")]), { code: "FULL" });
  assert.deepEqual(host.openFiles, open);
  log.append(Buffer.alloc(290));
  await pass();
  // No room for the new segment's header; then none for the manifest that would list it.
  for (const room of [10, 40]) {
    host.disk.limitBytes(host.disk.usedBytes + room);
    await pass(host.pauses.at(-1));
    assert.notEqual(log.full, undefined);
    assert.deepEqual(host.openFiles, open);
  }
  host.disk.limitBytes(undefined);
  await log.durable();
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from("one");
    throw new Error("its maker failed");
  }
  await assert.rejects(log.saveSnapshot(5, broken()), /its maker failed/);
  assert.deepEqual(host.openFiles, [await last(host)]);
  host.disk.fail("sync", { code: "EIO", times: Infinity });
  log.append(body(9));
  await assert.rejects(log.durable(), { code: "WRITE_FAILED" });
  await log.close();
  host.disk.heal();
  assert.deepEqual(host.openFiles, []);
  const file = await last(host);
  const whole = host.peek(file);
  host.disk.put(file, Buffer.concat([Buffer.alloc(40), whole]));
  await assert.rejects(openLog({ host, dir: DIR }), { code: "DAMAGED" });
  assert.deepEqual(host.openFiles, []);
  await repairLog(host, DIR);
  assert.deepEqual(host.openFiles, []);
}));

test("looking at a log with a snapshot needs no right to write, and " +
  "leaves nothing open", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, segmentBytes: 300 });
  await fill(log, 20);
  await log.saveSnapshot(12, [Buffer.from("state 12")]);
  await log.close();
  host.disk.readOnly = true; // backups, a mount that cannot be written
  const before = host.changes;
  assert.equal((await inspectLog(host, DIR)).snapshots.length, 1);
  assert.equal((await verifyLog(host, DIR)).ok, true);
  await readLog(host, DIR, { record: () => {}, chunk: () => {} });
  for await (const piece of walkLog({ host, dir: DIR })) assert.notEqual(piece.type, "rest");
  await repairLog(host, DIR, { dryRun: true });
  assert.equal(host.changes, before);
  assert.deepEqual(host.openFiles, []);
}));

test("openLog() rejects when the folder that it has made cannot be made durable " +
  "in its parent", inWorld(async () => {
  const host = new Machine();
  await host.storage.mkdir("/state");
  failSyncOf(host, "/state/");
  await assert.rejects(openLog({ host, dir: DIR }), { code: "EIO" });
  assert.deepEqual(host.openFiles, []);
  await (await openLog({ host, dir: DIR })).close();
  // Of a folder that was there before, it may be that it is not ours to open.
  const another = new Machine();
  const failed = failSyncOf(another, "/");
  await (await openLog({ host: another, dir: DIR })).close();
  assert.equal(failed(), true);
}));

/** The first sync of that folder fails. Tells whether it has happened. */
function failSyncOf(host: Machine, folder: string): () => boolean {
  let failed = false;
  host.onOperation = (operation, path) => {
    if (failed || operation !== "sync" || path !== folder) return;
    failed = true;
    host.disk.fail("sync", { code: "EIO" });
  };
  return () => failed;
}
