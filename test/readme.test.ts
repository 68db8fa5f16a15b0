/** README.md: its code is the sources', its commands exist, its transcript is what the demo prints. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const readme = read("README.md");
const fences = (type: string): string[][] =>
  [...readme.matchAll(/^```(\w+)\n([\s\S]*?)\n```$/gm)].filter((match) => match[1] === type)
    .map((match) => match[2]!.split("\n"));
const squeeze = (text: string): string => text.replace(/\s+/g, " ");

test("the README's code is in the engine, word for word", () => {
  const engine = squeeze(read("src/master/engine.ts"));
  const pieces = fences("ts").flatMap((lines) => lines.join("\n").split(/^\/\/.*$/m).filter(Boolean));
  assert.equal(pieces.length, 2);
  for (const piece of pieces) assert.ok(engine.includes(squeeze(piece).trim()), piece);
});

test("the README's commands exist", () => {
  const scripts = (JSON.parse(read("package.json")) as { scripts: Record<string, string> }).scripts;
  const lines = fences("sh").flat();
  const named = lines.flatMap((line) => /^npm run (?:-s )?(\w+)/.exec(line)?.[1] ?? []);
  assert.ok(named.length > 10);
  for (const name of named) assert.ok(scripts[name] !== undefined, `npm run ${name}`);
  for (const line of lines) {
    const file = /^node (\S+)/.exec(line)?.[1];
    if (file !== undefined) assert.ok(existsSync(join(root, file)), file);
  }
});

test("the README's transcript has the lines that the recorded demo has, but for the numbers", () => {
  // Names and numbers of jobs depend on which worker was faster.
  const shape = (text: string): string =>
    text.replace(/count-\d/g, "count").replace(/[\d,.]+/g, "N").trim();
  const svg = read("docs/demo.svg");
  const recorded = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => shape(text!));
  const lines = fences("text").flat().filter((line) => /^\[|^✓/.test(line));
  assert.equal(lines.length, 8);
  for (const line of lines) {
    const words = shape(line.replace(/^\[[\d.]+s\] |^✓ /, ""));
    assert.ok(recorded.some((text) => text.includes(words)), words);
  }
});
