/**
 * Lesson 05: a log that has lost its beginning does not open, and what a recovery cut or lost is
 * not forgotten.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspectLog, LogError, openLog, readLog, readRecoveries, repairLog, verifyLog } from "#log";
import { memoryHost, type MemoryHost, MemoryStorage } from "./05-log.memory-storage.ts";

const DIR = "/state/log";
const NAME = "0000000000000001.seg";
const FILE = `${DIR}/${NAME}`;
const HEADER = 32;
const body = (seq: number): Buffer => Buffer.from(`event ${seq}`);

async function write(count: number, options: { segmentBytes?: number } = {}): Promise<MemoryHost> {
  const host = memoryHost();
  const log = await openLog({ host, dir: DIR, ...options });
  for (let seq = 1; seq <= count; seq++) await log.durable(log.append(body(seq)));
  await log.close();
  return host;
}

function edited(host: MemoryHost, edit: (bytes: Buffer) => Buffer, file = FILE): MemoryHost {
  const storage = host.storage.clone();
  storage.put(file, edit(Buffer.from(storage.peek(file))));
  return memoryHost(storage);
}

const refused = (left: RegExp, file = FILE) => (error: unknown): boolean => {
  assert.ok(error instanceof LogError);
  assert.deepEqual([error.code, error.file, error.offset], ["DAMAGED", file, 0]);
  assert.match(error.message, left);
  return true;
};

test("openLog() refuses a log whose segment has lost its header, names file and bytes, and " +
  "changes nothing", async () => {
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
      assert.equal(cut.storage.peek(FILE).length, size);
      assert.equal((await verifyLog(cut, DIR)).ok, false);
    }
    const zeros = edited(host, () => Buffer.alloc(HEADER));
    await assert.rejects(
      openLog({ host: zeros, dir: DIR }),
      refused(/its header is gone \(it is zeros\)/),
    );
  }
});

test("openLog() refuses a lost header behind other segments as well", async () => {
  const host = await write(20, { segmentBytes: 100 });
  const last = (await host.storage.list(DIR)).filter((name) => name.endsWith(".seg")).at(-1)!;
  const cut = edited(host, (bytes) => Buffer.from(bytes.subarray(0, 10)), `${DIR}/${last}`);
  await assert.rejects(
    openLog({ host: cut, dir: DIR }),
    refused(/its header is gone/, `${DIR}/${last}`),
  );
  const log = await openLog({ host: cut, dir: DIR, acceptLoss: true });
  assert.equal(log.nextSeq, Number(last.slice(0, 16)));
  await log.close();
});

test("openLog({ acceptLoss }) goes on without it, and says so for ever", async () => {
  const host = await write(50);
  for (const size of [0, 10, 31]) {
    const cut = edited(host, (bytes) => Buffer.from(bytes.subarray(0, size)));
    const log = await openLog({ host: cut, dir: DIR, acceptLoss: true });
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
    assert.deepEqual(recoveries[0], {
      at: 0, kind: "lost",
      what: `what ${NAME} held: its header is gone (${size} of its 32 bytes are there), and any ` +
        "records with it, which may have been acknowledged",
    });
  }
});

test("openLog({ acceptLoss }) accepts no other damage", async () => {
  const host = await write(5);
  for (const edit of [
    (bytes: Buffer) => (bytes.fill(0, 0, HEADER), bytes), // records behind it
    (bytes: Buffer) => ((bytes[HEADER + 9]! ^= 1), bytes),
  ]) {
    await assert.rejects(openLog({ host: edited(host, edit), dir: DIR, acceptLoss: true }), {
      code: "DAMAGED",
    });
  }
  const missing = host.storage.clone();
  missing.drop(FILE);
  await assert.rejects(openLog({ host: memoryHost(missing), dir: DIR, acceptLoss: true }), {
    code: "GAP",
  });
});

test("repairLog() puts a headless segment aside, and that is remembered as a loss", async () => {
  const cut = edited(await write(50), (bytes) => Buffer.from(bytes.subarray(0, 10)));
  await repairLog(cut, DIR, { dryRun: true });
  assert.deepEqual(await readRecoveries(cut.storage, DIR), []);
  const { moved } = await repairLog(cut, DIR);
  assert.deepEqual(moved, [{ file: FILE, offset: 0, bytes: 10, to: `${FILE}.damaged` }]);
  const [news] = await readRecoveries(cut.storage, DIR);
  assert.deepEqual(news, {
    at: 0,
    kind: "lost",
    what: "10 bytes by a repair, which kept everything up to record 0",
  });
  await (await openLog({ host: cut, dir: DIR })).close();
});

test("a torn tail is remembered after it has been cut", async () => {
  const host = await write(3);
  const cut = edited(host, (bytes) => Buffer.concat([bytes, Buffer.alloc(44, "t")]));
  assert.deepEqual((await inspectLog(cut, DIR)).recoveries, []);
  await (await openLog({ host: cut, dir: DIR })).close();
  const bare = edited(host, (bytes) => Buffer.from(bytes.subarray(0, HEADER + 1)));
  await (await openLog({ host: bare, dir: DIR })).close();
  assert.deepEqual((await verifyLog(cut, DIR)).recoveries, [
    { at: 0, kind: "cut", what: `44 bytes of ${NAME}, behind record 3` },
  ]);
  assert.deepEqual((await verifyLog(bare, DIR)).recoveries, [
    { at: 0, kind: "cut", what: `1 bytes of ${NAME}, with no record before them` },
  ]);
  await (await openLog({ host, dir: DIR })).close();
  assert.deepEqual(
    (await verifyLog(host, DIR)).recoveries,
    [],
    "an opening with nothing to tell writes nothing",
  );
});

test("the list of recoveries keeps twenty: losses stay, the oldest cuts go, noise " +
  "is passed over", async () => {
  const host = await write(1);
  const { storage } = host;
  const whole = Buffer.from(storage.peek(FILE));
  const tear = async (bytes: number): Promise<void> => {
    storage.put(FILE, Buffer.concat([whole, Buffer.alloc(bytes, "t")]));
    await (await openLog({ host, dir: DIR })).close();
  };
  await tear(1);
  storage.put(FILE, whole.subarray(0, 3));
  await (await openLog({ host, dir: DIR, acceptLoss: true })).close();
  const file = `${DIR}/RECOVERIES`;
  storage.put(file, Buffer.concat([Buffer.from("noise\n2026 cut x\n"), storage.peek(file)]));
  for (let bytes = 2; bytes <= 25; bytes++) await tear(bytes);
  const kept = await readRecoveries(storage, DIR);
  assert.equal(kept.length, 20);
  assert.equal(kept[0]!.kind, "lost");
  assert.deepEqual(
    kept.slice(1).map(({ what }) => Number.parseInt(what, 10)),
    Array.from({ length: 19 }, (_, i) => i + 7),
  );
});

test("a full disk does not keep a log with a torn tail from opening", async () => {
  const host = await write(3);
  host.storage.put(FILE, Buffer.concat([host.storage.peek(FILE), Buffer.alloc(44, "t")]));
  host.storage.spaceBytes = 0;
  const log = await openLog({ host, dir: DIR });
  assert.equal(log.recovery.tornBytes, 44);
  assert.deepEqual(await readRecoveries(host.storage, DIR), []);
  assert.ok(!(await host.storage.list(DIR)).includes("RECOVERIES.tmp"));
  await log.close();
});

test("damage that is ignored at each start is noted once", async () => {
  const host = memoryHost(new MemoryStorage());
  let log = await openLog({ host, dir: DIR });
  for (let seq = 1; seq <= 4; seq++) log.append(body(seq));
  await log.durable();
  await log.saveSnapshot(2, [Buffer.from("state")]);
  await log.close();
  const snapshot = `${DIR}/0000000000000002.snap`;
  host.storage.put(snapshot, host.storage.peek(snapshot).subarray(0, 40));
  for (let start = 0; start < 3; start++) {
    log = await openLog({ host, dir: DIR });
    assert.equal(log.recovery.ignored.length, 1);
    await log.close();
  }
  assert.deepEqual((await readRecoveries(host.storage, DIR)).map(({ kind }) => kind), ["ignored"]);
});
