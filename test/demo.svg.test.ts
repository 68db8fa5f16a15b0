/** The pictures in docs/: the recording of the demo, how it is made, and the diagram. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Frame, renderSvg } from "../scripts/demo/svg.ts";
import { Terminal } from "../scripts/demo/terminal.ts";

const docs = join(import.meta.dirname, "..", "docs");
const read = (name: string): string => readFileSync(join(docs, name), "utf8");
const options = { title: "t", description: "d <&>", columns: 40, height: 2, holdMs: 1000 };

function record(...writes: readonly [number, string][]): Frame[] {
  const terminal = new Terminal();
  return writes.map(([atMs, text]) => {
    terminal.write(text);
    return { atMs, rows: terminal.rows() };
  });
}

/** The texts of an SVG in the order of their rows, without those that are hidden at the end. */
function textsOf(svg: string): string[] {
  const shown = svg.replace(/<g class="a h"[\s\S]*?<\/g>/g, "");
  const texts = [...shown.matchAll(/<text(?: class="\w")? x="([\d.]+)" y="(\d+)"[^>]*>([^<]*)</g)];
  const rows = new Map<number, { x: number; text: string }[]>();
  for (const [, x, y, text] of texts) {
    rows.set(Number(y), [...(rows.get(Number(y)) ?? []), { x: Number(x), text: text! }]);
  }
  return [...rows].sort(([a], [b]) => a - b)
    .map(([, row]) => row.sort((a, b) => a.x - b.x).map(({ text }) => text).join(" "));
}

/** Every tag is closed in order, as XML wants it. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  const tag = /<(\/?)([a-z]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/g;
  for (const [, end, name, self] of svg.matchAll(tag)) {
    if (end) assert.equal(open.pop(), name);
    else if (!self) open.push(name!);
  }
  assert.deepEqual(open, []);
  const rest = svg.replace(tag, "");
  assert.doesNotMatch(rest, /<|&(?!amp;|lt;|gt;)/);
}

test("Terminal draws over rows, cuts what was longer, and drops rows below", () => {
  const terminal = new Terminal();
  terminal.write("one\ntwo long\nthree\n\r\x1b[3A1\x1b[K\n\x1b[31m2\x1b[39m ▒▒ x\x1b[K\n\x1b[J");
  assert.deepEqual(terminal.rows(), [
    [{ column: 0, text: "1", style: "" }],
    [
      { column: 0, text: "2", style: "red" }, { column: 2, text: "▒▒", style: "" },
      { column: 5, text: "x", style: "" },
    ],
    [],
  ]);
});

test("Terminal refuses a control sequence that it does not know", () => {
  assert.throws(() => new Terminal().write("\x1b[5B"), /ESC\[5B is not known/);
});

test("renderSvg() shows a row from when it came until it changed, and rests at the last", () => {
  const svg = renderSvg(record([0, "a <b>"], [1000, "\rc\x1b[K"], [3000, "\n▒▒▒ d"]), options);
  assertWellFormed(svg);
  assert.match(svg, /animation:4s step-end infinite/);
  const [hidden, visible] = ["{visibility:hidden}", "{visibility:visible}"];
  assert.ok(svg.includes(`@keyframes s0-1{0%${hidden}0%${visible}25%${hidden}}`));
  assert.ok(svg.includes(`@keyframes s1-3{0%${hidden}25%${visible}}`));
  assert.match(svg, /a &lt;b&gt;/);
  assert.match(svg, /<rect x="0" y="21" width="23.4" height="12" rx="1.5"\/>/);
  assert.deepEqual(textsOf(svg), ["c", "d"]);
});

test("renderSvg() scrolls when there are more rows than the window holds", () => {
  const svg = renderSvg(record([0, "a\n"], [1000, "b\nc\nd\n"]), options);
  const up = "{transform:translateY(-36px)}";
  assert.ok(svg.includes(`@keyframes scroll{0%{transform:none}50%${up}}`));
  assert.match(svg, /\.scroll\{transform:translateY\(-36px\)\}/);
});

test("the pictures are well-formed, have an alternative text and reach for nothing outside", () => {
  for (const name of ["demo.svg", "titan.svg"]) {
    const svg = read(name);
    assertWellFormed(svg);
    assert.match(svg, /<title id="title">.+<\/title>\s*<desc id="description">/, name);
    assert.match(svg, /prefers-color-scheme/, name);
    const outside = svg.replace('xmlns="http://www.w3.org/2000/svg"', "");
    const reaching = /<script|\bon\w+=|href|url\(|@import|@font-face|https?:|<foreignObject/i;
    assert.doesNotMatch(outside, reaching, name);
    assert.ok(statSync(join(docs, name)).size < 60_000, name);
  }
});

test("the recording begins and ends as the demo does, and shows both kills", () => {
  const texts = textsOf(read("demo.svg"));
  assert.equal(texts[0], "$ npm run demo");
  assert.match(texts[1]!, /^Titan counts the words of \d+ files/);
  assert.match(texts.at(-1)!, /^lessons\/00-tour\/README\.md the book begins here$/);
  const source = readFileSync(join(docs, "../scripts/demo/main.ts"), "utf8");
  assert.ok(source.includes("say(`Titan counts the words of ${text.files} files"));
  assert.match(source, /lessons\/00-tour\/README\.md +the book begins here`;/);
  const kills = [/kill -9 \d+: the worker small/, /kill -9 \d+: the master/];
  for (const pattern of [...kills, /^✓ all 9 jobs are COMPLETED$/]) {
    assert.ok(texts.some((text) => pattern.test(text)), String(pattern));
  }
  assert.ok(!texts.some((text) => text.includes("NOT SO")));
});
