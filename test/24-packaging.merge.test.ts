/**
 * Several modules in one file: what they mean stays what it was.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { merge } from "#packaging";
import { tempFolder } from "./cli.support.ts";

type Files = Readonly<Record<string, string>>;

const IMPORTS = new Map([["#a", "a/mod.js"], ["#b", "b/mod.js"]]);

function merged(files: Files, roots: readonly string[] = ["main.js"]): Record<string, string> {
  return Object.fromEntries(
    merge(new Map(Object.entries(files)), { roots, imports: IMPORTS }));
}

/** What the program's `result` is, from files on a disk. */
async function run(files: Files): Promise<unknown> {
  const folder = tempFolder({ "package.json": '{ "type": "module" }' });
  for (const [file, code] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), code);
  }
  const main = (await import(pathToFileURL(join(folder, "main.js")).href)) as { result: unknown };
  return main.result;
}

test("merge() makes one file of a folder, in the order of need, and the face goes", () => {
  const files = merged({
    "main.js": 'import { run, stop as end } from "#a";\nexport const result = [run(), end()];\n',
    "a/mod.js": 'export { run } from "./run.js";\nexport { kill as stop } from "./kill.js";\n',
    "a/run.js": 'import { join } from "node:path";\nimport { kill } from "./kill.js";\n' +
      'export function run() {\n    return join("a", kill());\n}\n',
    "a/kill.js": 'import { join } from "node:path";\nexport const kill = () => join("k", "l");\n',
  });
  assert.deepEqual(files, {
    "main.js": 'import { kill as end, run } from "./a/run.js";\n' +
      "export const result = [run(), end()];\n",
    "a/run.js": 'import { join } from "node:path";\n' +
      '// a/kill.js\nexport const kill = () => join("k", "l");\n' +
      '// a/run.js\nexport function run() {\n    return join("a", kill());\n}\n',
  });
});

const SHOW = 'const SIZE = 1;\nexport const one = () => SIZE;\n';
const APART: readonly (readonly [why: string, other: string, isTogether: boolean])[] = [
  ["another name", "export const two = 2;\n", true],
  ["a name that is taken", "const SIZE = 2;\nexport const two = SIZE;\n", false],
  ["an import that is called so",
    'import { sep as SIZE } from "node:path";\nexport const two = SIZE;\n', false],
  ["an exported list that is called so", "const x = 2;\nexport { x as one, x as two };\n",
    false],
  ["a neighbour by another name",
    'import { one as eins } from "./one.js";\nexport const two = eins();\n', false],
  ["the same neighbour by its name",
    'import { one } from "./one.js";\nexport const two = one();\n', true],
];

test("merge() keeps modules apart whose names would meet", () => {
  for (const [why, other, isTogether] of APART) {
    const files = merged({
      "main.js": 'import { one } from "./a/one.js";\nimport { two } from "./a/two.js";\n' +
        "export const result = [one, two];\n",
      "a/one.js": SHOW,
      "a/two.js": other,
    });
    const places = isTogether ? ["a/two.js"] : ["a/one.js", "a/two.js"];
    assert.deepEqual(Object.keys(files), [...places, "main.js"], why);
  }
});

test("merge() lets no module declare what its neighbour takes from the language", () => {
  const imports = [
    'import { now } from "./a/takes.js";\n', 'import { performance } from "./a/declares.js";\n',
  ];
  for (const order of [imports, imports.toReversed()]) {
    const files = merged({
      "main.js": `${order.join("")}export const result = [now, performance];\n`,
      "a/takes.js": "export const now = () => performance.now();\n",
      "a/declares.js": "export const performance = { now: () => 0 };\n",
    });
    assert.deepEqual(Object.keys(files), ["a/declares.js", "a/takes.js", "main.js"]);
  }
});

test("merge() keeps names of another home than Node's apart when it is told of them", () => {
  const modules = {
    "main.js": 'import { go } from "./a/go.js";\nimport { scroll } from "./a/list.js";\n' +
      "go(scroll);\n",
    "a/go.js": "export const go = () => scroll(0);\n",
    "a/list.js": "export const scroll = (row) => row;\n",
  };
  const filesFor = (globals: readonly string[]): string[] =>
    [...merge(new Map(Object.entries(modules)), {
      roots: ["main.js"], imports: new Map(), globals,
    }).keys()];
  assert.deepEqual(filesFor([]), ["a/list.js", "main.js"]);
  assert.deepEqual(filesFor(["scroll"]), ["a/go.js", "a/list.js", "main.js"]);
});

test("merge() of what travels alone makes one file of folders, but keeps paths right", () => {
  const modules = {
    "main.js": 'import { a } from "./a/one.js";\nimport { b } from "./b/two.js";\na(b);\n',
    "a/one.js": "export const a = (it) => it;\n",
    "b/two.js": 'import { c } from "../c/three.js";\nexport const b = c;\n',
    "c/three.js": 'export const c = () => import("./late.js");\n',
    "c/late.js": "export const late = 1;\n",
  };
  const options = { roots: ["main.js"], imports: new Map(), isWide: true };
  const files = Object.fromEntries(merge(new Map(Object.entries(modules)), options));
  // What names a file by its path from there stays there.
  assert.deepEqual(Object.keys(files), ["b/two.js", "c/late.js", "c/three.js", "main.js"]);
  assert.match(files["b/two.js"]!, /^import \{ c \} from "\.\.\/c\/three\.js";\n\/\/ a\/one\.js\n/);
});

test("merge() makes no circle of files where there was none of modules", async () => {
  const modules = {
    "main.js": 'import { top } from "./a/top.js";\nexport const result = top;\n',
    "a/top.js": 'import { middle } from "../b/middle.js";\nexport const top = middle + 1;\n',
    "b/middle.js": 'import { bottom } from "../a/bottom.js";\nexport const middle = bottom + 1;\n',
    "a/bottom.js": "export const bottom = 1;\n",
  };
  const files = merged(modules);
  assert.deepEqual(Object.keys(files), ["a/bottom.js", "a/top.js", "b/middle.js", "main.js"]);
  assert.equal(await run(files), 3);
});

test("merge() leaves programs, and what comes later or as a whole, in files of their " +
  "own", async () => {
  const modules = {
    "main.js": '#!/usr/bin/env node\nimport "./first.js";\n' +
      'import { all, load, url } from "#b";\nexport const result = [all, await load(), url];\n',
    "first.js": "globalThis.first = true;\n",
    "b/mod.js": 'export * from "./load.js";\nexport { url } from "./thread-url.js";\n' +
      'export * as all from "./all.js";\n',
    "b/load.js":
      'export const load = async () => (await import("./later.js")).later + first;\n',
    "b/thread-url.js":
      'export const url = new URL("./thread.js", import.meta.url).pathname.slice(-11);\n',
    "b/thread.js": 'import { shared } from "./shared.js";\nexport const t = shared;\n',
    "b/later.js": 'import { shared } from "./shared.js";\nimport { more } from "./more.js";\n' +
      "export const later = `${shared} ${more} `;\n",
    "b/more.js": 'export const more = "more";\n',
    "b/shared.js": 'export const shared = "shared";\n',
    "b/all.js": "export const x = 1;\nexport const y = 2;\n",
  };
  const files = merged(modules);
  assert.deepEqual(Object.keys(files), [
    "b/all.js", "b/later.js", "b/more.js", "b/shared.js", "b/thread-url.js", "b/thread.js",
    "first.js", "main.js",
  ]);
  assert.match(files["main.js"]!, /^#!.*\nimport "\.\/first\.js";\nimport \* as all from/);
  const [all, later, url] = (await run(files)) as [object, string, string];
  assert.deepEqual([{ ...all }, later, url], [{ x: 1, y: 2 }, "shared more true", "b/thread.js"]);
});

test("merge() keeps an import for its effect in its place, before what follows it", async () => {
  const modules = {
    "main.js": 'import { early } from "./c/early.js";\nimport { late } from "./c/late.js";\n' +
      "export const result = [early, late];\n",
    "c/early.js": "export const early = globalThis.isSet;\n",
    "c/set.js": "globalThis.isSet = true;\n",
    "c/late.js": 'import "./set.js";\nexport const late = globalThis.isSet;\n',
  };
  const files = merged(modules);
  assert.deepEqual(Object.keys(files), ["c/early.js", "c/late.js", "c/set.js", "main.js"]);
  assert.deepEqual(await run(files), [undefined, true]);
});

test("merge() keeps a face that is a root, with all its names", () => {
  const files = merged({
    "a/mod.js": 'export { x as y, z } from "./x.js";\nexport * from "#b";\n',
    "a/x.js": "export const x = 1;\nexport const z = 2;\n",
    "b/mod.js": 'export { deep } from "./deep.js";\n',
    "b/deep.js": "export const deep = 3;\n",
  }, ["a/mod.js"]);
  assert.equal(
    files["a/mod.js"],
    'export { deep } from "../b/deep.js";\nexport { x as y, z } from "./x.js";\n',
  );
});

test("merge() refuses what is not there, by its name", () => {
  assert.throws(
    () => merged({ "main.js": 'import { x } from "./x.js";\nx();\n', "x.js": "const y = 1;\n" }),
    /Cannot merge: x\.js has no x/,
  );
  assert.throws(
    () => merged({ "main.js": 'import { x } from "./x.js";\nx();\n' }),
    /Cannot merge: there is no x\.js/,
  );
});
