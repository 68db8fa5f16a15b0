/**
 * Chapter 01: chunks that are lent, as one read buffer for all sockets is, and checksums of bodies
 * that travel on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import {
  BLOCK_BYTES, encodeFrame, FrameDecoder, FramingError, keep, letGo, Pieces, takeBlock, type Frame,
} from "#framing";
import { seededRandom } from "#host";
import { crcJoin } from "../src/framing/crc.ts";

test("crcJoin() is the checksum of the whole, whatever the lengths of its parts", () => {
  const random = seededRandom(1);
  for (const length of [0, 1, 2, 7, 255, 256, 4096, 65_535, 65_536, 1_000_003]) {
    for (const before of [0, 1, 12, 5000]) {
      const whole = random.bytes(before + length);
      const [first, second] = [whole.subarray(0, before), whole.subarray(before)];
      const joined = crcJoin(crc32(first), crc32(second), length);
      assert.equal(joined, crc32(whole), `${before}+${length}`);
    }
  }
});

test("a body that is passed on with its checksum makes the same frame; with a wrong " +
  "one, none", () => {
  const body = Buffer.from(seededRandom(2).bytes(70_000));
  const decoder = new FrameDecoder();
  decoder.push(encodeFrame({ opcode: 1, requestId: 7, body }));
  const read = decoder.next()!;
  assert.equal(read.bodyCrc, crc32(body));
  const passed = encodeFrame({ opcode: 2, requestId: 9, body: read.body, bodyCrc: read.bodyCrc! });
  assert.deepEqual(passed, encodeFrame({ opcode: 2, requestId: 9, body }));
  decoder.push(encodeFrame({ opcode: 2, body, bodyCrc: read.bodyCrc! ^ 1 }));
  assert.throws(() => decoder.next(), { code: "BAD_CHECKSUM" } satisfies Partial<FramingError>);
});

/** Frames of all sizes, in chunks that all lie in one buffer, which is overwritten each time. */
test("a lent chunk may be overwritten after settle(): bodies that are owned stay, and so " +
  "does what was not read yet", () => {
  const random = seededRandom(3);
  const below = (most: number): number => random.u32() % most;
  for (let round = 0; round < 60; round++) {
    const frames = Array.from({ length: 30 }, (_, requestId): Frame => ({
      opcode: 1, flags: 0, requestId,
      body: Buffer.from(random.bytes(below(3) === 0 ? below(70_000) : below(100))),
    }));
    const stream = Buffer.concat(frames.map(encodeFrame));
    const shared = Buffer.alloc(100_000);
    const decoder = new FrameDecoder();
    const kept: Buffer[] = [];
    for (let at = 0; at < stream.length;) {
      const length = Math.min(stream.length - at, 1 + below(below(2) === 0 ? 100_000 : 50));
      stream.copy(shared, 0, at, at + length);
      at += length;
      decoder.pushLent(shared.subarray(0, length));
      // Sometimes the reader rests with frames left.
      const most = below(4) === 0 && at < stream.length ? below(3) : Infinity;
      for (let count = 0; count < most; count++) {
        const frame = decoder.next();
        if (frame === undefined) break;
        assert.ok(frame.body.equals(frames[frame.requestId]!.body), "it is there during the call");
        kept.push(decoder.own(frame.body));
      }
      decoder.settle();
      shared.fill(0xee);
    }
    assert.equal(kept.length, frames.length);
    for (const [i, body] of kept.entries()) assert.ok(body.equals(frames[i]!.body), `body ${i}`);
  }
});

test("own() copies a chunk of small parts once, and a chunk that is not lent not at all", () => {
  const pieces = new Pieces();
  const chunk = Buffer.from("abcdef");
  pieces.push(chunk);
  const plain = pieces.take(2)!;
  assert.equal(pieces.own(plain), plain);
  pieces.take(4);
  pieces.pushLent(chunk);
  const [first, second] = [pieces.own(pieces.take(2)!), pieces.own(pieces.take(3)!)];
  assert.equal(`${first} ${second}`, "ab cde");
  assert.notEqual(first.buffer === chunk.buffer && first.byteOffset === chunk.byteOffset, true);
  assert.deepEqual([first.buffer, first.byteOffset + 2], [second.buffer, second.byteOffset]);
  pieces.settle();
  assert.equal(String(pieces.take(1)), "f");
});

test("large parts that are cut in two, one after another, lie in the same memory", () => {
  const pieces = new Pieces();
  const half = Buffer.alloc(32_768, 1);
  const memory = new Set<unknown>();
  for (let i = 0; i < 20; i++) {
    pieces.pushLent(half);
    assert.equal(pieces.take(65_536), undefined);
    pieces.settle();
    pieces.pushLent(half);
    const part = pieces.take(65_536)!;
    memory.add(part.buffer);
    assert.notEqual(pieces.own(part).buffer, part.buffer, "what is kept does not lie there");
    pieces.settle();
  }
  assert.ok(memory.size <= 2, `${memory.size} pieces of memory`);
});

test("keep() copies into blocks that are used again, and what is no block is not", () => {
  const bytes = Buffer.alloc(40_000, 7);
  const first = keep(bytes);
  bytes.fill(8);
  assert.ok(first.length === 40_000 && first.every((byte) => byte === 7));
  letGo(first);
  const second = keep(bytes.subarray(0, 20_000));
  assert.equal(second.buffer, first.buffer, "the same memory");
  const third = keep(bytes.subarray(0, 20_000));
  assert.notEqual(third.buffer, second.buffer, "a block has one owner");
  letGo(third.subarray(5)); // a part of it stands for all
  assert.equal(takeBlock(BLOCK_BYTES).buffer, third.buffer);
  for (const other of [keep(bytes.subarray(0, 100)), Buffer.alloc(BLOCK_BYTES)]) {
    letGo(other);
    assert.notEqual(takeBlock(BLOCK_BYTES).buffer, other.buffer, "it may be somebody else's, too");
  }
  const many = Array.from({ length: 100 }, () => takeBlock(BLOCK_BYTES));
  for (const block of many) letGo(block);
  const again = new Set(Array.from({ length: 100 }, () => takeBlock(BLOCK_BYTES).buffer));
  const used = many.filter(({ buffer }) => again.has(buffer)).length;
  assert.equal(used, 48, "3 MiB are kept, and no more");
});

test("a body of a file's piece is its owner's with its block, and lies in it again after " +
  "letGo()", () => {
  const body = Buffer.alloc(256 * 1024, 1);
  const bytes = encodeFrame({ opcode: 1, body });
  const decoder = new FrameDecoder();
  const read = (): Buffer => {
    decoder.pushLent(bytes.subarray(0, 100_000));
    assert.equal(decoder.next(), undefined);
    decoder.settle();
    decoder.pushLent(bytes.subarray(100_000));
    const owned = decoder.own(decoder.next()!.body);
    decoder.settle();
    return owned;
  };
  const [first, second] = [read(), read()];
  assert.notEqual(first.buffer, second.buffer);
  letGo(first);
  second.fill(2);
  const third = read();
  assert.equal(third.buffer, first.buffer);
  assert.ok(third.equals(body));
});

test("the first byte of a large body costs no block, unless one is spare", () => {
  const decoder = new FrameDecoder();
  const frame = encodeFrame({ opcode: 1, body: Buffer.alloc(60_000) });
  for (let i = 0; i < 48; i++) takeBlock(BLOCK_BYTES); // whatever earlier tests have left
  decoder.pushLent(frame.subarray(0, 17));
  decoder.next();
  decoder.settle();
  assert.ok(decoder.heldBytes < 1000, `${decoder.heldBytes} bytes`);
});

test("a bare frame has the checksum of its header alone, and whoever reads it is told", () => {
  const body = Buffer.alloc(5000, 1);
  const bytes = encodeFrame({ opcode: 1, requestId: 7, body, bodyCrc: 99, isBare: true });
  const read = (change: number): Frame | undefined => {
    const decoder = new FrameDecoder();
    const changed = Buffer.from(bytes);
    changed[change]! ^= 0x40;
    decoder.push(changed);
    return decoder.next();
  };
  const { isBare, bodyCrc, requestId, body: heard } = read(16)!;
  assert.deepEqual([isBare, bodyCrc, requestId, heard[0]], [true, undefined, 7, 0x41]);
  for (const change of [1, 2, 6, 12]) {
    assert.throws(() => read(change), { code: "BAD_CHECKSUM" } satisfies Partial<FramingError>);
  }
  assert.throws(() => read(3), { code: "RESERVED" } satisfies Partial<FramingError>);
  const checked = encodeFrame({ opcode: 1, requestId: 7, body });
  checked[3] = 1; // it says that it is bare, and is not
  const decoder = new FrameDecoder();
  decoder.push(checked);
  assert.throws(() => decoder.next(), { code: "BAD_CHECKSUM" } satisfies Partial<FramingError>);
});
