/** The pieces under frames and under the store's commands: any cut, and what is kept meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Pieces } from "#framing";

const LF = 10;
/** Lines that say how many bytes follow (an empty one: none), and those bytes. */
const TEXT = "4\nfour\n11\neleven more0\n3\nend";
const PARTS = ["4", "four", "", "", "11", "eleven more", "0", "", "3", "end"];

/** Reads a line and then the bytes that it counts, in turns, as far as that goes. */
function reader(): { pieces: Pieces; parts: string[]; read: () => void } {
  const pieces = new Pieces();
  const parts: string[] = [];
  let count: number | undefined;
  const next = (): Buffer | undefined | null =>
    count === undefined ? pieces.takeUntil(LF, 64) : pieces.take(count);
  const read = (): void => {
    for (let part = next(); part; part = next()) {
      parts.push(part.toString());
      count = count === undefined ? Number(part) : undefined;
    }
  };
  return { pieces, parts, read };
}

test("take() and takeUntil() give the same parts from pieces of every size", () => {
  for (let size = 1; size <= TEXT.length; size++) {
    for (const waits of [false, true]) {
      const { pieces, parts, read } = reader();
      for (let at = 0; at < TEXT.length; at += size) {
        pieces.push(Buffer.from(TEXT.slice(at, at + size)));
        pieces.push(Buffer.alloc(0));
        if (!waits) read();
      }
      read();
      assert.deepEqual(parts, PARTS, `pieces of ${size}, ${waits ? "waiting" : "read at once"}`);
      assert.equal(pieces.unreadBytes, 0);
      assert.equal(pieces.partialBytes, 0);
    }
  }
});

test("take() and takeUntil() give views of what lies in one chunk, and empty parts none", () => {
  const chunk = Buffer.from("line\n\nblock");
  const pieces = new Pieces();
  pieces.push(chunk);
  assert.equal(pieces.takeUntil(LF, 4)?.buffer, chunk.buffer);
  assert.equal(pieces.takeUntil(LF, 4)?.length, 0);
  assert.notEqual(pieces.take(0)?.buffer, chunk.buffer);
  assert.equal(pieces.take(5)?.buffer, chunk.buffer);
  assert.equal(pieces.chunk.length, chunk.length);
  assert.equal(pieces.more(), false);
  assert.equal(pieces.chunk.length, 0, "a chunk that is used up is let go");
});

test("takeUntil() takes exactly mostBytes and refuses one more, in any pieces", () => {
  for (const size of [1, 3, 100]) {
    for (const line of ["12345678\n", "123456789\n", "123456789"]) {
      const pieces = new Pieces();
      let got: Buffer | undefined | null;
      for (let at = 0; at < line.length && got === undefined; at += size) {
        pieces.push(Buffer.from(line.slice(at, at + size)));
        got = pieces.takeUntil(LF, 8);
        assert.ok(pieces.partialBytes <= 8, "no room for more than may come");
      }
      const fits = line.length === 9 && line.endsWith("\n");
      assert.equal(got?.toString(), fits ? "12345678" : undefined);
      assert.equal(got === null, !fits, `${line} in pieces of ${size}`);
    }
  }
});

test("more() says no when only empty chunks wait", () => {
  const pieces = new Pieces();
  for (const size of [1, 0, 0]) pieces.push(Buffer.alloc(size));
  assert.equal(pieces.more(), true);
  assert.equal(pieces.take(1)?.length, 1);
  assert.equal(pieces.more(), false);
});

test("unreadBytes counts what was not asked for, and waiting chunks at their cost", () => {
  const pieces = new Pieces();
  pieces.push(Buffer.alloc(10));
  assert.equal(pieces.unreadBytes, 10);
  for (let i = 0; i < 100; i++) pieces.push(Buffer.alloc(1));
  assert.equal(pieces.unreadBytes, 10 + 100 * 257);
  pieces.take(60);
  assert.equal(pieces.unreadBytes, 50 * 257);
  pieces.take(1);
  pieces.push(Buffer.alloc(7));
  assert.equal(pieces.unreadBytes, 49 * 257 + 7 + 256);
  pieces.clear();
  assert.equal(pieces.unreadBytes, 0);
  assert.equal(pieces.take(1), undefined);
  for (let i = 0; i < 3; i++) pieces.push(Buffer.alloc(1));
  assert.equal(pieces.take(3)?.length, 3);
  pieces.push(Buffer.alloc(7));
  assert.equal(pieces.unreadBytes, 7, "nothing waits any more");
});

test("partialBytes grows with what has arrived, not with what was asked for", () => {
  const pieces = new Pieces();
  pieces.push(Buffer.from("x"));
  assert.equal(pieces.take(8 * 1024 * 1024), undefined);
  assert.equal(pieces.partialBytes, 256);
  pieces.push(Buffer.alloc(1000));
  assert.equal(pieces.take(8 * 1024 * 1024), undefined);
  assert.equal(pieces.partialBytes, 4 * 1001);
  pieces.push(Buffer.from("y"));
  assert.throws(() => pieces.take(5), /Invariant broken: a part that was begun/);
  pieces.clear();
  assert.equal(pieces.partialBytes, 0);
});

/**
 * The memory outside the heap since `before`. It is given back some time after the collection that
 * found it: look until it is below `most`, or will not be.
 */
async function keptSince(before: number, most: number): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let kept = Infinity;
  for (let look = 0; look < 50 && kept >= most; look++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    kept = process.memoryUsage().arrayBuffers - before;
  }
  return kept;
}

test("a rest of a few bytes keeps no chunk, whether a line or a count is waited for", async () => {
  const before = process.memoryUsage().arrayBuffers;
  const all = Array.from({ length: 200 }, (_, i) => {
    const pieces = new Pieces();
    pieces.push(Buffer.alloc(64 * 1024, "x"));
    pieces.take(64 * 1024 - 4);
    assert.equal(i % 2 === 0 ? pieces.take(8) : pieces.takeUntil(LF, 8), undefined);
    return pieces;
  });
  const kept = await keptSince(before, 2 * 1024 * 1024);
  assert.ok(kept < 2 * 1024 * 1024, `200 rests of 4 bytes keep ${kept} bytes`);
  for (const pieces of all) pieces.push(Buffer.from("rest\n"));
  assert.equal(all[0]?.take(8)?.toString(), "xxxxrest");
  assert.equal(all[1]?.takeUntil(LF, 8)?.toString(), "xxxxrest");
});

test("of a row of waiting chunks, those that were read are let go", async () => {
  const before = process.memoryUsage().arrayBuffers;
  const pieces = new Pieces();
  for (let i = 0; i < 100; i++) pieces.push(Buffer.alloc(256 * 1024, i));
  for (let i = 0; i < 45; i++) assert.equal(pieces.take(256 * 1024)?.[0], i);
  const kept = await keptSince(before, 16 * 1024 * 1024);
  assert.ok(kept < 16 * 1024 * 1024, `${kept} bytes are kept for the last 55 of 100 chunks`);
  assert.equal(pieces.take(1)?.[0], 45);
});

test("a hundred thousand waiting chunks are read in time that grows with their number", () => {
  const pieces = new Pieces();
  for (let i = 0; i < 100_000; i++) pieces.push(Buffer.of(i & 255));
  for (let i = 0; i < 100_000; i++) assert.equal(pieces.take(1)?.[0], i & 255);
  assert.equal(pieces.more(), false);
});
