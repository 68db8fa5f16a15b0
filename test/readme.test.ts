/**
 * README.md: its code is the sources', its commands exist, its transcript is what the demo prints.
 * The pages in docs/: the commands and flags of titan that they name exist, and the map has them
 * all.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GLOBAL_FLAGS } from "../src/cli/command.ts";
import { allCommands } from "../src/cli/program.ts";

const root = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const readme = read("README.md");
const fences = (type: string): string[][] =>
  [...readme.matchAll(/^```(\w+)\n([\s\S]*?)\n```$/gm)].filter((match) => match[1] === type)
    .map((match) => match[2]!.split("\n"));
const squeeze = (text: string): string => text.replace(/\s+/g, " ");

test("the README's code is in the engine and in recovery, word for word", () => {
  const files = ["src/master/engine.ts", "src/master/recover.ts"]
    .map((file) => squeeze(read(file)));
  const pieces = fences("ts")
    .flatMap((lines) => lines.join("\n").split(/^\/\/.*$/m).filter(Boolean));
  assert.equal(pieces.length, 2);
  for (const [at, piece] of pieces.entries()) {
    assert.ok(files[at]!.includes(squeeze(piece).trim()), piece);
  }
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

test("the README's transcript has the lines that the recorded demo has, but " +
  "for the numbers", () => {
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

/**
 * `titan runs --limit 5` and what npm makes of it, in fences of shell and in code inside a
 * sentence.
 */
function commandLines(page: string): string[] {
  const text = read(page);
  const shell = [...text.matchAll(/^```sh\n([\s\S]*?)\n```$/gm)]
    .flatMap(([, block]) => block!.split("\n"));
  const inline = [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`]+)`/g)];
  const lines = [...shell, ...inline.map(([, code]) => code!)].map((line) => line.split(" # ")[0]!);
  return lines.flatMap((line) => {
    const found = /(?:^|[ (;])(?:npx titan|titan|npm run -s titan --) ([a-z].*)$/.exec(line);
    return found === null ? [] : [found[1]!.split(/[|)>]/)[0]!.trim()];
  });
}

test("every command and flag of titan that README and docs/ name exists", async () => {
  const commands = await allCommands();
  const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  let seen = 0;
  for (const page of ["README.md", ...pages.map((name) => `docs/${name}`)]) {
    for (const line of commandLines(page)) {
      const name = line.split(" ")[0]!;
      const command = commands.find((known) => known.name === name || known.alias === name);
      assert.ok(command !== undefined, `${page}: titan ${line}`);
      for (const [, flag] of line.matchAll(/ --([a-z0-9-]+)/g)) {
        const known = Object.hasOwn(command.flags, flag!) || Object.hasOwn(GLOBAL_FLAGS, flag!);
        assert.ok(known, `${page}: titan ${line}`);
      }
      seen += 1;
    }
  }
  assert.ok(seen > 60, String(seen));
});

test("docs/README.md names every page and every decision", () => {
  const map = read("docs/README.md");
  const decisions = readdirSync(join(root, "docs/decisions")).map((name) => `decisions/${name}`);
  const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  for (const page of [...pages, ...decisions]) {
    if (page !== "README.md") assert.ok(map.includes(`](${page})`), page);
  }
});
