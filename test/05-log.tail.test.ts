/** Lesson 05: a torn tail is cut, damage is refused, and what tells them apart. */
import assert from "node:assert/strict";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { inspectLog, type Log, LogError, openLog } from "#log";
import { inWorld, Machine, pass } from "./05-log.support.ts";

const DIR = "/log";
const FILE = `${DIR}/0000000000000001.seg`;
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"~".repeat(40)}`);

async function write(groups: readonly number[]): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  for (const count of groups) {
    for (let i = 0; i < count; i++) log.append(body(log.nextSeq));
    await log.durable();
  }
  await log.close();
  return host;
}

/** Opens a copy of the disk whose segment has been changed. */
function openEdited(host: Machine, edit: (bytes: Buffer) => Buffer | void): Promise<Log> {
  const bytes = host.peek(FILE);
  const copy = host.copy(({ disk }) => disk.put(FILE, edit(bytes) ?? bytes));
  return openLog({ host: copy, dir: DIR });
}

const damaged = (error: unknown): boolean =>
  error instanceof LogError && error.code === "DAMAGED" && error.file === FILE;

test("openLog() cuts a group whose first sectors never reached the disk", inWorld(async () => {
  const host = await write([10, 60]);
  const log = await openEdited(host, (bytes) => void bytes.fill(0, 1024, 1536));
  assert.ok(log.nextSeq > 11 && log.nextSeq < 30, `${log.nextSeq}`);
  assert.ok(log.recovery.tornBytes > 2000);
  await log.close();
}));

test("openLog() refuses the same hole when a later group proves that it " +
  "had been fsynced", inWorld(async () => {
  const host = await write([10, 60, 1]);
  await assert.rejects(openEdited(host, (bytes) => void bytes.fill(0, 1024, 1536)), damaged);
}));

test("openLog() refuses a changed bit in the last group while a " +
  "record follows it", inWorld(async () => {
  const host = await write([1, 20]);
  for (let seq = 2; seq < 21; seq++) {
    await assert.rejects(
      openEdited(host, (bytes) => void (bytes[bytes.indexOf(`event ${seq} `)] = 0)),
      damaged,
    );
  }
}));

test("openLog() finds the next record even when the length of the bad one " +
  "is what changed", inWorld(async () => {
  const host = await write([5, 5]);
  for (const length of [0, 1, 55, 4000, 2 ** 31 - 1]) {
    const edit = (bytes: Buffer): void =>
      void bytes.writeUInt32BE(length, bytes.indexOf("event 3 ") - 8);
    await assert.rejects(openEdited(host, edit), damaged, `length ${length}`);
  }
}));

test("openLog() refuses noise in the middle, cuts noise at the end", inWorld(async () => {
  const host = await write([20, 20]);
  let state = 42;
  const byte = (): number => (state = (state * 1103515245 + 12345) >>> 0) >>> 24;
  const noise = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, byte));
  for (const size of [1, 8, 100, 700, 50_000]) {
    const log = await openEdited(host, (bytes) => Buffer.concat([bytes, noise(size)]));
    assert.equal(log.nextSeq, 41);
    assert.equal(log.recovery.tornBytes, size);
    await log.close();
    if (size > 700) continue;
    await assert.rejects(openEdited(host, (bytes) => void noise(size).copy(bytes, 200)), damaged);
  }
}));

/**
 * A log whose last group begins `before` bytes before a sector ends, as the power cut leaves it
 * that took that sector.
 */
async function lostStart(before: number, records: readonly number[]): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  const header = 8;
  const filled = host.peek(FILE).length + header;
  log.append(Buffer.alloc(4096 - before - filled, "f"));
  await log.durable();
  for (const length of records) log.append(Buffer.alloc(length, "g"));
  host.disk.fail("sync", { code: "EIO", times: Infinity });
  await log.durable().catch(() => {});
  await log.close().catch(() => {});
  host.disk.heal();
  const left = host.afterCrash("page");
  const { length } = host.peek(FILE);
  const lost = left.peek(FILE);
  assert.equal(lost.length, length, "and nothing else");
  assert.ok(
    lost.subarray(4096 - before, 4096).every((byte) => byte === 0),
    "the page's end is lost",
  );
  return left;
}

test("openLog() cuts a group that lost only the end of the page in which it began, wherever in " +
  "it", inWorld(async () => {
  const places = [...Array(64).keys()]
    .map((n) => n + 1)
    .concat(127, 255, 256, 306, 307, 308, 511, 512, 513, 600);
  for (const before of places) {
    for (const records of [
      [300, 40, 400, 40],
      [20, 20, 20, 20, 600, 1],
      [before < 8 ? 70_000 : 700, 9, 30],
    ]) {
      const opened = openLog({ host: await lostStart(before, records), dir: DIR });
      const where = `${before} bytes before, ${records}`;
      if (before <= 3 && (records[0] as number) < 2 ** (8 * (4 - before))) {
        // Only the barrier's bit is missing, which one flipped bit does as well.
        await assert.rejects(opened, damaged, where);
        continue;
      }
      const log = await opened.catch((error: Error) => assert.fail(`${where}: ${error.message}`));
      assert.equal(log.nextSeq, 2, where);
      assert.ok(log.recovery.tornBytes > before, where);
      await log.close();
    }
  }
}));

test("openLog() refuses a stretch of zeros in a record that ends before " +
  "its sector does", inWorld(async () => {
  const host = await write([3, 20]);
  const at = host.peek(FILE).indexOf("event 5 ") - 8;
  for (const length of [4, 8, 20, 47]) {
    await assert.rejects(
      openEdited(host, (bytes) => void bytes.fill(0, at, at + length)),
      damaged,
      `${length} zeros`,
    );
  }
}));

/** Three records of 2,000 bytes in one group, under a policy without barriers inside it. */
async function longRecords(edit: (bytes: Buffer, at: number) => void): Promise<Log> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, durability: "everysec" });
  for (let seq = 1; seq <= 3; seq++) await log.durable(log.append(Buffer.alloc(2000, "x")));
  await log.close();
  return openEdited(host, (bytes) => edit(bytes, HEADER + 8));
}

const HEADER = 32;

test("openLog() refuses a damaged record of several sectors when no sector of " +
  "it is missing", inWorld(async () => {
  await assert.rejects(longRecords((bytes, at) => void (bytes[at + 1200]! ^= 4)), damaged);
}));

test("openLog() finds a hole in any sector of a record", inWorld(async () => {
  for (const sector of [1, 2, 3]) {
    const log = await longRecords((bytes) => void bytes.fill(0, 512 * sector, 512 * (sector + 1)));
    assert.equal(log.nextSeq, 1, `sector ${sector}`);
    await log.close();
  }
}));

test("openLog() cuts a large record that was written in part, fast", inWorld(async () => {
  const host = await write([3]);
  const numbers = Buffer.alloc(3_000_000);
  // Every word looks like a length.
  for (let at = 0; at + 4 <= numbers.length; at += 4) numbers.writeUInt32BE(at % 1000, at);
  const log = await openLog({ host, dir: DIR });
  log.append(numbers);
  await log.close();
  const cut = await openEdited(host, (bytes) =>
    Buffer.from(bytes.subarray(0, bytes.length - 1_000_000)),
  );
  assert.equal(cut.nextSeq, 4);
  await cut.close();
}));

test("append() marks the first record of each commit group, and only it, " +
  "with the barrier", inWorld(async () => {
  const host = await write([3, 1, 7]);
  const { segments } = await inspectLog(host, DIR);
  assert.equal(segments[0]?.records, 11);
  assert.equal(segments[0]?.barriers, 3);
}));

test("append() writes no barrier over bytes that no fsync " +
  "has covered (everysec)", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, durability: "everysec" });
  const add = async (): Promise<void> => log.durable(log.append(body(log.nextSeq)));
  for (let i = 0; i < 5; i++) await add();
  const barriers = async (): Promise<number | undefined> =>
    (await inspectLog(host, DIR)).segments[0]?.barriers;
  assert.equal(await barriers(), 1, "only the first, which follows the header's fsync");
  assert.equal(host.armed, 1);
  await pass(1100);
  await add();
  assert.equal(await barriers(), 2);
  await log.close();
}));

test("durable() under everysec resolves after the write; one timer fsyncs, and an idle log arms " +
  "none", inWorld(async () => {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, durability: "everysec" });
  assert.equal(host.armed, 0);
  for (let i = 0; i < 10; i++) await log.durable(log.append(body(i)));
  assert.equal(log.stats.fsyncs, 0);
  assert.equal(log.stats.commits, 10);
  assert.equal(host.armed, 1);
  await pass(900);
  assert.equal(log.stats.fsyncs, 0);
  await pass(200);
  assert.equal(log.stats.fsyncs, 1);
  assert.equal(host.armed, 0);
  const left = await openLog({ host: host.afterCrash("nothing"), dir: DIR });
  assert.equal(left.nextSeq, 11);
  await log.close();
}));

test("openLog() refuses a tail that is longer than any crash leaves, without reading it into " +
  "memory", async () => {
  const dir = await mkdtemp(join(tmpdir(), "titan-tail-"));
  try {
    const host = nodeHost();
    const log = await openLog({ host, dir });
    await log.durable(log.append(body(1)));
    await log.close();
    const file = join(dir, "0000000000000001.seg");
    await truncate(file, 8 * 2 ** 30); // sparse: takes no room
    await assert.rejects(
      openLog({ host, dir }),
      (error: LogError) => error.code === "DAMAGED" && error.file === file,
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("openLog() recovers a prefix when an empty folder, an empty file or only a " +
  "header is left", inWorld(async () => {
  for (const size of [0, 1, 31]) {
    const host = new Machine();
    host.disk.put(FILE, Buffer.alloc(size));
    const log = await openLog({ host, dir: DIR });
    assert.equal(log.nextSeq, 1);
    await log.close();
  }
}));
