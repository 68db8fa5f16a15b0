/** Lesson 05: what is read from a block of records: what is whole, what is right, and no more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_RECORD_BYTES, openLog, readLog, verifyLog } from "#log";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/log";
const FILE = `${DIR}/0000000000000001.seg`;
const RECORD_HEADER_BYTES = 8;

async function write(bodies: readonly string[]): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR });
  for (const body of bodies) log.append(Buffer.from(body));
  await log.close();
  return host;
}

const EVENTS = Array.from({ length: 9 }, (_, at) => `event ${at + 1}`);

/** A machine whose third record says another length. */
async function withLength(length: number): Promise<Machine> {
  const host = await write(EVENTS);
  return host.copy(({ disk }) => {
    const bytes = host.peek(FILE);
    bytes.writeUInt32BE(length, bytes.indexOf("event 3") - RECORD_HEADER_BYTES);
    disk.put(FILE, bytes);
  });
}

test("scanBlock() refuses a length above the limit as one, and makes no room for it",
  inWorld(async () => {
  const { problems } = await verifyLog(await withLength(MAX_RECORD_BYTES + 3), DIR);
  const limit = `length ${MAX_RECORD_BYTES + 3} exceeds ${MAX_RECORD_BYTES}`;
  assert.ok(problems[0]?.what.startsWith(`record 3: ${limit}`), problems[0]?.what);
}));

test("scanBlock() waits for a record of the greatest length",
  inWorld(async () => {
  const { problems } = await verifyLog(await withLength(MAX_RECORD_BYTES), DIR);
  const needs = `record needs ${MAX_RECORD_BYTES + RECORD_HEADER_BYTES} bytes`;
  assert.ok(problems[0]?.what.startsWith(`record 3: ${needs}`), problems[0]?.what);
}));

test("scanBlock() takes a record that ends with the bytes, be it an empty one",
  inWorld(async () => {
  for (const last of ["", "full"]) {
    const host = await write(["first", last]);
    const log = await openLog({ host, dir: DIR });
    assert.deepEqual([log.nextSeq, log.recovery.tornBytes], [3, 0]);
    await log.close();
  }
}));

test("scanBlock() of a record that is cut says that its header is needed, too",
  inWorld(async () => {
  const host = await write(EVENTS);
  const { length } = host.peek(FILE);
  const cut = host.copy(({ disk }) => disk.put(FILE, host.peek(FILE).subarray(0, length - 1)));
  const log = await openLog({ host: cut, dir: DIR });
  assert.equal(log.nextSeq, 9);
  await log.close();
}));

test("scanBlock() tells of no record whose checksum is wrong",
  inWorld(async () => {
  const host = await write(EVENTS);
  const torn = host.copy(({ disk }) => {
    const bytes = host.peek(FILE);
    bytes[bytes.indexOf("event 9")]! ^= 1;
    disk.put(FILE, bytes);
  });
  const told: string[] = [];
  await readLog(torn, DIR, { record: (_, body) => void told.push(body.toString()) });
  assert.deepEqual(told, EVENTS.slice(0, 8));
}));

test("judgeTail() finds the number of the record behind a changed length",
  inWorld(async () => {
  const { problems } = await verifyLog(await withLength(EVENTS[2]!.length ^ 64), DIR);
  assert.equal(problems.length, 1, "one bit is one problem");
}));
