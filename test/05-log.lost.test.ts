/**
 * Lesson 05: a log that has lost its beginning does not open, and what a recovery cut or lost is
 * not forgotten.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  inspectLog, LogError, openLog, type PastRecovery, readLog, readRecoveries, repairLog, verifyLog,
} from "#log";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/state/log";
const NAME = "0000000000000001.seg";
const FILE = `${DIR}/${NAME}`;
const HEADER = 32;
const body = (seq: number): Buffer => Buffer.from(`event ${seq}`);

async function write(count: number, options: { segmentBytes?: number } = {}): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, ...options });
  for (let seq = 1; seq <= count; seq++) await log.durable(log.append(body(seq)));
  await log.close();
  return host;
}

function edited(host: Machine, edit: (bytes: Buffer) => Buffer, file = FILE): Machine {
  return host.copy((copy) => copy.disk.put(file, edit(copy.peek(file))));
}

const refused = (left: RegExp, file = FILE) => (error: unknown): boolean => {
  assert.ok(error instanceof LogError);
  assert.deepEqual([error.code, error.file, error.offset], ["DAMAGED", file, 0]);
  assert.match(error.message, left);
  return true;
};

const withoutTime = (all: readonly PastRecovery[]): Omit<PastRecovery, "at">[] =>
  all.map(({ at: _, ...rest }) => rest);

test("openLog() refuses a log whose segment has lost its header, names file and bytes, and " +
  "changes nothing", inWorld(async () => {
  for (const count of [0, 1, 50]) {
    const host = await write(count);
    for (let size = 0; size < HEADER; size++) {
      const cut = edited(host, (bytes) => Buffer.from(bytes.subarray(0, size)));
      const left = new RegExp(
        `${NAME}: offset 0: its header is gone \\(${size} of its 32 bytes are there\\), and any ` +
          "records with it, which may have been acknowledged",
      );
      for (const refuse of [
        openLog({ host: cut, dir: DIR }),
        readLog(cut, DIR, { record: () => {} }),
      ]) {
        await assert.rejects(refuse, refused(left));
      }
      assert.equal(cut.peek(FILE).length, size);
      assert.equal((await verifyLog(cut, DIR)).ok, false);
    }
    const zeros = edited(host, () => Buffer.alloc(HEADER));
    await assert.rejects(
      openLog({ host: zeros, dir: DIR }),
      refused(/its header is gone \(it is zeros\)/),
    );
  }
}));

test("openLog() refuses a lost header behind other segments as well", inWorld(async () => {
  const host = await write(20, { segmentBytes: 100 });
  const last = host.disk.list(DIR).filter((name) => name.endsWith(".seg")).at(-1)!;
  const cut = edited(host, (bytes) => Buffer.from(bytes.subarray(0, 10)), `${DIR}/${last}`);
  await assert.rejects(
    openLog({ host: cut, dir: DIR }),
    refused(/its header is gone/, `${DIR}/${last}`),
  );
  const log = await openLog({ host: cut, dir: DIR, acceptLoss: true });
  assert.equal(log.nextSeq, Number(last.slice(0, 16)));
  await log.close();
}));

test("openLog({ acceptLoss }) goes on without it, and says so for ever", inWorld(async () => {
  const host = await write(50);
  for (const size of [0, 10, 31]) {
    const cut = edited(host, (bytes) => Buffer.from(bytes.subarray(0, size)));
    const started = cut.clock.wall();
    const log = await openLog({ host: cut, dir: DIR, acceptLoss: true });
    const opened = cut.clock.wall();
    assert.equal(log.nextSeq, 1);
    assert.equal(log.recovery.ignored.length, 1);
    assert.match(log.recovery.ignored[0]!, /0000000000000001.seg: its header is gone/);
    await log.durable(log.append(body(1)));
    await log.close();
    const again = await openLog({ host: cut, dir: DIR });
    assert.equal(again.nextSeq, 2);
    assert.deepEqual(again.recovery.ignored, []);
    await again.close();
    const { ok, records, recoveries } = await verifyLog(cut, DIR);
    assert.deepEqual([ok, records, recoveries.length], [true, 1, 1]);
    const { at, ...lost } = recoveries[0]!;
    assert.ok(at >= started && at <= opened, `at ${at}, between ${started} and ${opened}`);
    assert.deepEqual(lost, {
      kind: "lost",
      what: `what ${NAME} held: its header is gone (${size} of its 32 bytes are there), and any ` +
        "records with it, which may have been acknowledged",
    });
  }
}));

test("openLog({ acceptLoss }) accepts no other damage", inWorld(async () => {
  const host = await write(5);
  for (const edit of [
    (bytes: Buffer) => (bytes.fill(0, 0, HEADER), bytes), // records behind it
    (bytes: Buffer) => ((bytes[HEADER + 9]! ^= 1), bytes),
  ]) {
    await assert.rejects(openLog({ host: edited(host, edit), dir: DIR, acceptLoss: true }), {
      code: "DAMAGED",
    });
  }
  const missing = host.copy();
  missing.disk.drop(FILE);
  await assert.rejects(openLog({ host: missing, dir: DIR, acceptLoss: true }), {
    code: "GAP",
  });
}));

test("repairLog() puts a headless segment aside, and that is remembered " +
  "as a loss", inWorld(async () => {
  const cut = edited(await write(50), (bytes) => Buffer.from(bytes.subarray(0, 10)));
  await repairLog(cut, DIR, { dryRun: true });
  assert.deepEqual(await readRecoveries(cut.storage, DIR), []);
  const { moved } = await repairLog(cut, DIR);
  assert.deepEqual(moved, [{ file: FILE, offset: 0, bytes: 10, to: `${FILE}.damaged` }]);
  assert.deepEqual(withoutTime(await readRecoveries(cut.storage, DIR)), [{
    kind: "lost",
    what: "10 bytes by a repair, which kept everything up to record 0",
  }]);
  await (await openLog({ host: cut, dir: DIR })).close();
}));

test("a torn tail is remembered after it has been cut", inWorld(async () => {
  const host = await write(3);
  const cut = edited(host, (bytes) => Buffer.concat([bytes, Buffer.alloc(44, "t")]));
  assert.deepEqual((await inspectLog(cut, DIR)).recoveries, []);
  await (await openLog({ host: cut, dir: DIR })).close();
  const bare = edited(host, (bytes) => Buffer.from(bytes.subarray(0, HEADER + 1)));
  await (await openLog({ host: bare, dir: DIR })).close();
  assert.deepEqual(withoutTime((await verifyLog(cut, DIR)).recoveries), [
    { kind: "cut", what: `44 bytes of ${NAME}, behind record 3` },
  ]);
  assert.deepEqual(withoutTime((await verifyLog(bare, DIR)).recoveries), [
    { kind: "cut", what: `1 bytes of ${NAME}, with no record before them` },
  ]);
  await (await openLog({ host, dir: DIR })).close();
  assert.deepEqual(
    (await verifyLog(host, DIR)).recoveries,
    [],
    "an opening with nothing to tell writes nothing",
  );
}));

test("the list of recoveries keeps twenty: losses stay, the oldest cuts go, noise " +
  "is passed over", inWorld(async () => {
  const host = await write(1);
  const whole = host.peek(FILE);
  const tear = async (bytes: number): Promise<void> => {
    host.disk.put(FILE, Buffer.concat([whole, Buffer.alloc(bytes, "t")]));
    await (await openLog({ host, dir: DIR })).close();
  };
  await tear(1);
  host.disk.put(FILE, whole.subarray(0, 3));
  await (await openLog({ host, dir: DIR, acceptLoss: true })).close();
  const file = `${DIR}/RECOVERIES`;
  host.disk.put(file, Buffer.concat([Buffer.from("noise\n2026 cut x\n"), host.peek(file)]));
  for (let bytes = 2; bytes <= 25; bytes++) await tear(bytes);
  const kept = await readRecoveries(host.storage, DIR);
  assert.equal(kept.length, 20);
  assert.equal(kept[0]!.kind, "lost");
  assert.deepEqual(
    kept.slice(1).map(({ what }) => Number.parseInt(what, 10)),
    Array.from({ length: 19 }, (_, i) => i + 7),
  );
}));

test("a full disk does not keep a log with a torn tail from opening", inWorld(async () => {
  const host = await write(3);
  host.disk.put(FILE, Buffer.concat([host.peek(FILE), Buffer.alloc(44, "t")]));
  host.disk.limitBytes(0);
  const log = await openLog({ host, dir: DIR });
  assert.equal(log.recovery.tornBytes, 44);
  assert.deepEqual(await readRecoveries(host.storage, DIR), []);
  assert.ok(!host.disk.list(DIR).includes("RECOVERIES.tmp"));
  await log.close();
}));

test("damage that is ignored at each start is noted once", inWorld(async () => {
  const host = new Machine();
  let log = await openLog({ host, dir: DIR });
  for (let seq = 1; seq <= 4; seq++) log.append(body(seq));
  await log.durable();
  await log.saveSnapshot(2, [Buffer.from("state")]);
  await log.close();
  const snapshot = `${DIR}/0000000000000002.snap`;
  host.disk.put(snapshot, host.peek(snapshot).subarray(0, 40));
  for (let start = 0; start < 3; start++) {
    log = await openLog({ host, dir: DIR });
    assert.equal(log.recovery.ignored.length, 1);
    await log.close();
  }
  assert.deepEqual((await readRecoveries(host.storage, DIR)).map(({ kind }) => kind), ["ignored"]);
}));
