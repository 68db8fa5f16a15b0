/** Logs in the dashboard: what a terminal would show, a million lines, and lines that are none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { piecesOf, plainText } from "../src/dashboard/page/logs/ansi.ts";
import { LogLines, MAX_LINE_CHARS } from "../src/dashboard/page/logs/lines.ts";
import { rowWindow, scrollTo } from "../src/dashboard/page/lists/window.ts";
import { LineFilter, patternOf, rangesIn } from "../src/dashboard/page/logs/search.ts";

const ESC = "\u001b";
const pieces = (line: string): unknown[] =>
  piecesOf(line).pieces.map(({ text, style }) => [text, style]);

test("piecesOf() knows colours of 4, 8 and 24 bits, and switches them off again", () => {
  assert.deepEqual(pieces(`${ESC}[1;31mERROR${ESC}[0m disk`),
    [["ERROR", { bold: true, color: 1 }], [" disk", {}]]);
  assert.deepEqual(pieces(`${ESC}[94;103mx`), [["x", { color: 12, background: 11 }]]);
  assert.deepEqual(pieces(`${ESC}[38;5;9ma${ESC}[38;5;196mb${ESC}[48;5;244mc`), [
    ["a", { color: 9 }], ["b", { color: "#ff0000" }],
    ["c", { color: "#ff0000", background: "#808080" }],
  ]);
  assert.deepEqual(pieces(`${ESC}[38;2;1;2;255mx${ESC}[39my`),
    [["x", { color: "#0102ff" }], ["y", {}]]);
  assert.deepEqual(pieces(`${ESC}[1;2;3;4;7;9mx${ESC}[22;23;24;27;29my${ESC}[my`).map(
    (each) => (each as unknown[])[1],
  ), [
    { bold: true, dim: true, italic: true, underline: true, inverse: true, strike: true }, {}, {},
  ]);
  // Numbers that are no colours: the text stays.
  for (const codes of ["38;5;256", "38;2;1;2", "38;9", "38", "999", ";;;"]) {
    assert.deepEqual(pieces(`${ESC}[${codes}mx`), [["x", {}]], codes);
  }
});

test("piecesOf() begins with the style that the line before has left on", () => {
  const { after } = piecesOf(`a${ESC}[33m`);
  assert.deepEqual(after, { color: 3 });
  assert.deepEqual(piecesOf("b", after).pieces, [{ text: "b", style: { color: 3 } }]);
});

test("piecesOf() drops all other escapes, and keeps control characters visible", () => {
  const cases: [string, string][] = [
    [`${ESC}[2J${ESC}[1;1Hhome`, "home"],
    [`${ESC}]0;a title\u0007text`, "text"],
    [`${ESC}]8;;http://evil.test/${ESC}\\link${ESC}]8;;${ESC}\\!`, "link!"],
    [`${ESC}P1;2|device${ESC}\\text`, "text"],
    [`${ESC}(Btext`, "text"],
    [`${ESC}=text`, "text"],
    [`text${ESC}`, "text"],
    [`text${ESC}[`, "text"],
    [`text${ESC}[12`, "text"],
    [`text${ESC}]0;never ends`, "text"],
    ["a\u0000b\u0007c\u007f", "a\u2400b\u2407c\u2421"],
    ["a\tb", "a\tb"],
    ["\u009b31mred", "red"],
    ["<img onerror=x>", "<img onerror=x>"],
    // What was overwritten is gone, as it is on a terminal.
    ["10 %\r50 %\r100 %", "100 %"],
    ["windows\r", "windows"],
    ["10 %\r20 %\r\r", "20 %"],
    ["\r", ""],
    [`10 %\r${ESC}[32m20 %${ESC}[0m`, "20 %"],
  ];
  for (const [line, shown] of cases) {
    assert.equal(piecesOf(line).pieces.map(({ text }) => text).join(""), shown);
    assert.equal(plainText(line), shown);
  }
  // Linear, whatever comes.
  for (const evil of [`${ESC}[`.repeat(50_000), `${ESC}]`.repeat(50_000), "\r".repeat(100_000)]) {
    const from = process.cpuUsage().user;
    piecesOf(evil);
    assert.ok(process.cpuUsage().user - from < 1_000_000);
  }
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (lines: LogLines): string[] =>
  Array.from({ length: lines.end - lines.first }, (_, at) => lines.line(lines.first + at).text);
const add = (lines: LogLines, text: string, more: { isError?: boolean; source?: number } = {}) =>
  lines.append({ data: bytes(text), isError: false, at: 7, ...more });

test("LogLines puts lines together again, wherever chunks were cut", () => {
  const text = "first\n\nthird ä€😀 line\nlast without an end";
  const whole = bytes(text);
  for (let cut = 0; cut <= whole.length; cut++) {
    const lines = new LogLines();
    lines.append({ data: whole.subarray(0, cut), isError: false, at: 1 });
    lines.append({ data: whole.subarray(cut), isError: false, at: 2 });
    assert.deepEqual(textOf(lines), text.split("\n"), `cut at ${cut}`);
  }
});

test("LogLines keeps streams and jobs apart, in the order in which lines began", () => {
  const lines = new LogLines();
  add(lines, "out be");
  add(lines, "err\n", { isError: true });
  add(lines, "other\n", { source: 3 });
  assert.equal(lines.settled, 0);
  add(lines, "gins\nmore");
  assert.deepEqual(textOf(lines), ["out begins", "err", "other", "more"]);
  assert.deepEqual([0, 1, 2].map((at) => lines.isError(at)), [false, true, false]);
  assert.deepEqual([lines.line(2).source, lines.line(1).at, lines.errors], [3, 7, 1]);
  assert.equal(lines.settled, 3);
  lines.finish();
  assert.equal(lines.settled, 4);
  // A style goes on in its own stream, and in no other.
  add(lines, `${ESC}[31mred\nstill\n`);
  add(lines, "plain\n", { isError: true });
  assert.deepEqual([4, 5, 6].map((at) => lines.line(at).before), [{}, { color: 1 }, {}]);
  add(lines, `${ESC}[1mbold\nboth\n`);
  assert.deepEqual(lines.line(8).before, { color: 1, bold: true });
});

test("LogLines shows bytes that are no text, and the beginning of a line of 10 MB", () => {
  const lines = new LogLines();
  lines.append({ data: Uint8Array.of(0x61, 0xff, 0xc3, 0x0a, 0x00, 0x0a), isError: false, at: 0 });
  assert.deepEqual(textOf(lines), ["a\ufffd\ufffd", "\u0000"]);
  const piece = new Uint8Array(64 * 1024).fill(0x78);
  const before = process.memoryUsage().arrayBuffers;
  for (let at = 0; at < 160; at++) lines.append({ data: piece, isError: false, at: 0 });
  // A program that prints no line break for a day must not fill the tab.
  assert.ok(process.memoryUsage().arrayBuffers - before < 2e6);
  assert.equal(lines.line(2).text.length, MAX_LINE_CHARS);
  add(lines, "\nnext\n");
  const long = lines.line(2);
  assert.deepEqual([long.text.length, long.more], [MAX_LINE_CHARS, 160 * 65_536 - MAX_LINE_CHARS]);
  assert.deepEqual([lines.line(3).text, lines.line(3).more], ["next", 0]);
});

test("LogLines keeps the newest of more than it may hold", () => {
  const lines = new LogLines(3 * 1024 * 1024);
  const line = `${"x".repeat(1023)}\n`;
  for (let at = 0; at < 8 * 1024; at++) add(lines, line);
  assert.equal(lines.end, 8192);
  assert.ok(lines.first >= 5 * 1024 && lines.first <= 6 * 1024, `${lines.first}`);
  assert.equal(lines.line(lines.first).text.length, 1023);
  const all = new LineFilter(lines, { regex: /x/, errorsOnly: false });
  while (all.advance());
  assert.equal(all.length, lines.end - lines.first);
  assert.equal(all.at(0), lines.first);
  // What is said of a line goes with it: a log of short lines has no end, either.
  const short = new LogLines(3 * 1024 * 1024);
  add(short, "open", { source: 1 });
  const chunk = `${"y".repeat(15)}\n`.repeat(1_000);
  for (let at = 0; at < 150; at++) add(short, chunk);
  assert.ok(short.first > 65_536 && short.end - short.first < 90_000, `${short.first}`);
  assert.equal(short.line(short.end - 1).text, "y".repeat(15));
  assert.throws(() => short.line(1));
  add(short, " for long\n", { source: 1 });
  assert.equal(short.end, 150_001);
  // A line that has not ended goes with those behind it; the newest one stays.
  const open = new LogLines(2.25 * 1024 * 1024);
  add(open, "a prompt", { source: 1 });
  for (let at = 0; at < 4 * 1024; at++) add(open, line);
  add(open, "> ", { source: 2 });
  for (let at = 0; at < 1024; at++) add(open, line);
  assert.ok(open.first > 2000 && open.first < 4097, `${open.first}`);
  assert.equal(open.line(4097).text, "> ");
  // Lines that are dropped later are no matches any more.
  for (let at = 0; at < 1024; at++) add(lines, line);
  assert.equal(all.at(all.length - 1), 8191);
  assert.ok(all.length < 8192 - 5 * 1024 && all.at(0) === lines.first);
});

test("a million lines take less than 150 MB", () => {
  const chunk = bytes(
    `${"2026-11-27 12:00:00 INFO worker: job 123456 has ended after 3.2 s, exit 0"}\n`.repeat(1000),
  );
  const lines = new LogLines();
  const before = process.memoryUsage();
  for (let at = 0; at < 1000; at++) lines.append({ data: chunk, isError: at % 2 === 1, at });
  const after = process.memoryUsage();
  const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  assert.equal(lines.end, 1_000_000);
  assert.equal(lines.first, 0);
  assert.ok(used < 150e6, `${used}`);
  const found = new LineFilter(lines, { errorsOnly: true });
  while (found.advance());
  assert.equal(found.length, 500_000);
});

test("patternOf() finds both sizes of letters, and says what is wrong with a pattern", () => {
  const regex = (text: string): RegExp => {
    const found = patternOf(text);
    assert.ok("regex" in found);
    return found.regex;
  };
  assert.deepEqual(rangesIn("an Error and an error", regex("error")), [[3, 8], [16, 21]]);
  assert.deepEqual(rangesIn("an Error and an error", regex("Error")), [[3, 8]]);
  assert.deepEqual(rangesIn("abc", regex("x*")), []);
  assert.deepEqual(patternOf("a(b"), { problem: "Cannot search: /a(b/gi: Unterminated group" });
});

test("LineFilter finds lines as they are read, without their escapes, when they have ended", () => {
  const lines = new LogLines();
  const found = new LineFilter(lines, { regex: /needle/g, errorsOnly: false });
  add(lines, `${ESC}[1mnee${ESC}[0mdle\nhay\nneed`);
  assert.equal(found.advance(), false);
  assert.deepEqual([found.length, found.at(0)], [1, 0]);
  add(lines, "le\nneedle");
  found.advance();
  assert.deepEqual([found.length, found.at(1)], [2, 2]);
  lines.finish();
  found.advance();
  assert.equal(found.length, 3);
});

test("rowWindow() shows what is on the screen, also of a list that no browser can hold", () => {
  const list = { rows: 1000, rowHeight: 20, screen: 400 };
  assert.deepEqual(rowWindow({ ...list, scrollTop: 0 }), {
    first: 0,
    end: 40,
    top: 0,
    height: 20_000,
  });
  const middle = rowWindow({ ...list, scrollTop: 10_010 });
  assert.deepEqual([middle.first, middle.top], [480, 480 * 20]);
  assert.equal(rowWindow({ ...list, scrollTop: 1e9 }).end, 1000);
  assert.deepEqual(rowWindow({ ...list, rows: 0, scrollTop: 5 }).end, 0);
  const huge = { rows: 2_000_000, rowHeight: 20, screen: 400 };
  const end = rowWindow({ ...huge, scrollTop: 8_000_000 - 400 });
  assert.equal(end.end, 2_000_000);
  assert.equal(end.height, 8_000_000);
  // The last row ends where the box ends.
  assert.ok(Math.abs(end.top + (end.end - end.first) * 20 - 8_000_000) < 0.01);
  for (const row of [0, 17, 999_999, 1_999_999]) {
    const at = rowWindow({ ...huge, scrollTop: scrollTo(row, huge) });
    assert.ok(at.first <= row && row < at.end, `${row}`);
  }
  assert.equal(scrollTo(5, { rows: 10, rowHeight: 20, screen: 400 }), 0);
});
