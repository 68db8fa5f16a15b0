/** Output as text: lines, pieces, tails, whatever the chunks that the bytes came in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "#sdk";
import { history, Reading } from "../src/sdk/run-output.ts";
import { isSelected, type Line, LineReader, Pieces, Tail } from "../src/sdk/output-lines.ts";

const TEXT = "first\naé世👨‍👩‍👧 end\r\n\nhalf";
const BYTES = Buffer.from(TEXT);

const chunk = (data: Buffer, at = 0, stream: "stdout" | "stderr" = "stdout") => ({
  stream,
  at,
  data,
});
const line = (text: string, at = 0): Line => ({ stream: "stdout", at, text });

test("LineReader.take() finds the same lines wherever the chunks were cut", () => {
  for (let a = 0; a <= BYTES.length; a++) {
    for (let b = a; b <= BYTES.length; b++) {
      const reader = new LineReader();
      const parts = [BYTES.subarray(0, a), BYTES.subarray(a, b), BYTES.subarray(b)];
      const lines = [...parts.flatMap((part) => reader.take(chunk(part))), ...reader.end()];
      assert.deepEqual(
        lines.map(({ text }) => text),
        ["first", "aé世👨‍👩‍👧 end", "", "half"],
        `${a} ${b}`,
      );
    }
  }
});

test("LineReader.take() gives a line the time of its beginning and keeps the streams apart", () => {
  const reader = new LineReader();
  assert.deepEqual(reader.take(chunk(Buffer.from("out"), 1)), []);
  assert.deepEqual(reader.take(chunk(Buffer.from("err\n"), 2, "stderr")), [
    { stream: "stderr", at: 2, text: "err" },
  ]);
  assert.deepEqual(reader.take(chunk(Buffer.from("put\nx"), 3)), [line("output", 1)]);
  assert.deepEqual(reader.end(), [line("x", 3)]);
  assert.deepEqual(reader.end(), []);
});

test("LineReader.take() does not collect a line without an end for ever", () => {
  const reader = new LineReader();
  const piece = chunk(Buffer.alloc(64 * 1024, "x"));
  let chars = 0;
  for (let n = 0; n < 160; n++) for (const { text } of reader.take(piece)) chars += text.length;
  assert.ok(chars >= 9 * 1024 * 1024, `${chars} of 10 MiB have been handed out`);
});

test("Pieces.take() gives text for valid UTF-8 wherever it was cut, and base64 for " +
  "what is none", () => {
  for (let a = 0; a <= BYTES.length; a++) {
    const pieces = new Pieces();
    const found = [pieces.take(BYTES.subarray(0, a)), pieces.take(BYTES.subarray(a)), pieces.end()];
    assert.equal(
      found.map((piece) => (piece === undefined ? "" : (piece as { data: string }).data)).join(""),
      TEXT,
      String(a),
    );
  }
  const mixed = new Pieces();
  assert.deepEqual(mixed.take(Buffer.from([0x61, 0xff, 0x62])), { base64: "Yf9i" });
  assert.deepEqual(mixed.take(Buffer.from("\ufffd")), { data: "\ufffd" });
  assert.deepEqual(mixed.take(Buffer.from([0xc3])), undefined);
  assert.deepEqual(mixed.take(Buffer.from("x")), { base64: "w3g=" });
  assert.deepEqual(
    [mixed.take(Buffer.from([0xe4, 0xb8])), mixed.end()],
    [undefined, { base64: "5Lg=" }],
  );
});

test("isSelected() looks at the time and at the text without its colours", () => {
  const red = line("\u001b[31mer\u001b[0mror 7", 1000);
  assert.deepEqual(
    [isSelected(red, { pattern: /error \d/u }), isSelected(red, { pattern: /warn/u })],
    [true, false],
  );
  assert.deepEqual(
    [isSelected(red, { since: 1000 }), isSelected(red, { since: 1001 })],
    [true, false],
  );
  assert.deepEqual(
    [isSelected(red, { text: "error 7" }), isSelected(red, { text: "error .*" })],
    [true, false],
  );
  assert.deepEqual(
    [isSelected(red, { stream: red.stream }), isSelected({ ...red, stream: "stderr" },
      { stream: "stdout" })],
    [true, false],
  );
});

test("Tail.push() keeps the last lines, by number and by size", () => {
  const tail = new Tail<Line>(3);
  for (let n = 0; n < 1000; n++) tail.push(line(String(n)));
  assert.deepEqual(
    tail.lines().map(({ text }) => text),
    ["997", "998", "999"],
  );
  assert.deepEqual(
    (() => {
      const none = new Tail<Line>(0);
      none.push(line("x"));
      return none.lines();
    })(),
    [],
  );
  const large = new Tail<Line>(1_000_000);
  const text = "x".repeat(1024 * 1024);
  for (let n = 0; n < 1000; n++) large.push(line(text));
  assert.equal(large.lines().length, 64, "64 MiB of a gigabyte");
  const small = new Tail<Line>(1_000_000, 10);
  for (let n = 0; n < 100; n++) small.push(line("xxx"));
  assert.equal(small.lines().length, 3, "ten characters");
});

test("history() opens an output when its job's time has come, and not before", async () => {
  const lifeMs = 10;
  const readings = Array.from({ length: 200 }, (_, n) => new Reading(`j${n}`, 1, n * lifeMs));
  let [open, most] = [0, 0];
  const client = {
    async *logs(_run: string, job: string) {
      most = Math.max(most, ++open);
      const at = Number(job.slice(1)) * lifeMs;
      for (const late of [1, 5]) yield chunk(Buffer.from(`${job} ${late}\n`), at + late);
      open -= 1;
    },
  } as unknown as Client;
  const seen: number[] = [];
  for await (const { at } of history({ client, run: "r", readings, goesOn: () => false })) {
    seen.push(at);
  }
  assert.deepEqual([seen.length, seen], [400, seen.toSorted((a, b) => a - b)]);
  assert.ok(most <= 2, `${most} outputs were open at once`);
});
