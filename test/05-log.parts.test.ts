/**
 * Lesson 05: the functions of the exercise, each by itself: what a log of them does wrong shows
 * late, and in other words.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import type { Leftover } from "#simhost";
import { replaceFile } from "../src/log/format.ts";
import { encodeRecord, MAX_RECORD_BYTES, scanBlock } from "../src/log/record.ts";
import { judgeTail } from "../src/log/tail.ts";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/state";
const NAME = "LIST";
const LEFTOVERS: readonly Leftover[] = ["nothing", "half", "names", "hole", "everything"];

const replace = (host: Machine, text: string): Promise<void> =>
  replaceFile(host.storage, DIR, { name: NAME, bytes: Buffer.from(text) });

const found = (host: Machine): string => String(host.disk.read(`${DIR}/${NAME}`) ?? "no file");

async function machine(): Promise<Machine> {
  const host = new Machine();
  await host.storage.mkdir(DIR);
  await replace(host, "old");
  return host.copy();
}

test("replaceFile() replaces, closes what it opens, and leaves nothing beside it",
  inWorld(async () => {
  const host = await machine();
  await replace(host, "new, and longer");
  assert.equal(found(host), "new, and longer");
  assert.deepEqual(host.paths(DIR), [`${DIR}/${NAME}`]);
  assert.deepEqual(host.openFiles, []);
}));

test("replaceFile() takes no byte from an attempt that was interrupted", inWorld(async () => {
  const host = (await machine()).copy(({ disk }) =>
    disk.put(`${DIR}/${NAME}.tmp`, Buffer.from("half of an earlier one")));
  await replace(host, "new");
  assert.equal(found(host), "new");
}));

test("replaceFile() is durable when it is done", inWorld(async () => {
  const host = await machine();
  await replace(host, "new");
  for (const leftover of LEFTOVERS) {
    const what = `the power goes after the last step; left of what was not synced: ${leftover}`;
    assert.equal(found(host.afterCrash(leftover)), "new", what);
  }
}));

test("replaceFile() leaves the old content or the new, whenever the power goes",
  inWorld(async () => {
  const start = await machine();
  for (let k = 1, isOver = false; !isOver; k++) {
    const host = start.copy();
    let [before, next] = ["the beginning", ""];
    host.onOperation = (operation, path) => void ([before, next] = [next, `${operation} ${path}`]);
    host.onCrash = () => {
      for (const leftover of LEFTOVERS) {
        const left = found(host.afterCrash(leftover));
        const what = `the power goes after ${before || "nothing"}, before ${next}; left of what ` +
          `was not synced: ${leftover}; found: ${left === "" ? "an empty file" : left}`;
        assert.ok(["old", "new, and longer"].includes(left), what);
      }
    };
    host.crashAt = k;
    isOver = await host.whileUp(replace(host, "new, and longer")).then(() => true, (error) => {
      if (/has ended/.test(String(error))) return false;
      throw error;
    });
  }
}));

/** A record as the lesson draws it, made by other means. */
function record(seq: number, text: string, barrier = false): Buffer {
  const body = Buffer.from(text);
  const word = Buffer.from([barrier ? 0x80 : 0, 0, 0, body.length]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE((crc32(body, word.readUInt32BE()) ^ seq) >>> 0);
  return Buffer.concat([word, check, body]);
}

test("encodeRecord() writes word, check and body, and nothing else", () => {
  for (const barrier of [false, true]) {
    const target = Buffer.alloc(24, 0xaa);
    encodeRecord(target, 3, { seq: 7, body: Buffer.from("event 7"), barrier });
    const wanted = Buffer.alloc(24, 0xaa);
    wanted.set(record(7, "event 7", barrier), 3);
    assert.deepEqual(target, wanted, barrier ? "with a barrier" : "without a barrier");
  }
});

test("encodeRecord() returns the offset behind the record", () => {
  const target = Buffer.alloc(24);
  const body = Buffer.from("event 7");
  assert.equal(encodeRecord(target, 3, { seq: 7, body, barrier: false }), 18);
});

const THREE = [record(5, "five", true), record(6, ""), record(7, "seven")];
const ALL = Buffer.concat(THREE);

test("scanBlock() tells each record in order, with its number, and counts the barriers", () => {
  const told: string[] = [];
  const onRecord = (seq: number, body: Buffer): void => void told.push(`${seq}: ${body}`);
  const { at, seq, barriers, needs, bad } = scanBlock(ALL, 0, { seq: 5, onRecord });
  assert.deepEqual(told, ["5: five", "6: ", "7: seven"]);
  assert.deepEqual({ at, seq, barriers, needs, bad },
    { at: ALL.length, seq: 8, barriers: 1, needs: 0, bad: undefined });
});

test("scanBlock() of a block that is cut says where to read on, and what it needs there", () => {
  for (let cut = 1; cut < 13; cut++) {
    const { at, seq, needs, bad } = scanBlock(ALL.subarray(0, ALL.length - cut), 0, { seq: 5 });
    assert.deepEqual({ at, seq, needs, bad },
      { at: ALL.length - 13, seq: 7, needs: cut > 5 ? 8 : 13, bad: undefined },
      `the last ${cut} bytes are not in the block`);
  }
});

test("scanBlock() stops at a record that is wrong, and says why", () => {
  const flipped = Buffer.from(ALL);
  flipped[ALL.length - 1]! ^= 1;
  const long = Buffer.from(ALL);
  long.writeUInt32BE(MAX_RECORD_BYTES + 1, ALL.length - 13);
  for (const [bytes, why] of [
    [flipped, "checksum mismatch"],
    [long, `length ${MAX_RECORD_BYTES + 1} exceeds ${MAX_RECORD_BYTES}`],
  ] as const) {
    const { at, seq, bad } = scanBlock(bytes, 0, { seq: 5 });
    assert.deepEqual({ at, seq, bad }, { at: ALL.length - 13, seq: 7, bad: why });
  }
});

/** What a disk may hold from a bad record number 5 on, at an offset in its file. */
const TAILS: readonly (readonly [what: string, rest: Buffer, torn: boolean])[] = [
  ["one bit of its length changed", withBit(ALL, 3, 1), false],
  ["it is cut, and nothing follows", record(5, "five").subarray(0, 9), true],
  ["its body changed, a record with the barrier follows",
    Buffer.concat([withBit(record(5, "five"), 8, 1), record(6, "six", true)]), false],
  ["its body changed, a record of the same write follows",
    Buffer.concat([withBit(record(5, "five"), 8, 1), record(6, "six")]), false],
  ["its sector is zeros, a record of the same write follows",
    Buffer.concat([Buffer.alloc(512), record(6, "six")]), true],
  ["its sector is zeros, a record with the barrier follows",
    Buffer.concat([Buffer.alloc(512), record(6, "six", true)]), false],
];

function withBit(bytes: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= bit;
  return copy;
}

test("judgeTail() tells a torn record from a damaged one", () => {
  for (const [what, rest, torn] of TAILS) {
    const verdict = judgeTail(rest, { seq: 5, offset: 1024 });
    assert.equal(verdict.torn ? "torn" : "damaged", torn ? "torn" : "damaged", what);
  }
});

test("judgeTail() says where to read on, also behind a record that is torn", () => {
  const places = TAILS.map(([, rest]) => judgeTail(rest, { seq: 5, offset: 1024 }).found);
  assert.deepEqual(places, [
    { at: 12, seq: 6 }, undefined, { at: 12, seq: 6 }, { at: 12, seq: 6 },
    { at: 512, seq: 6 }, { at: 512, seq: 6 },
  ]);
});
