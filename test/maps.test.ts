/**
 * The map in a subsystem's header: it names files that exist, and where it claims to be whole, all
 * of them.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";

const SRC = join(import.meta.dirname, "..", "src");
/** Folders with so many files that a reader needs the whole map. */
const WHOLE = [
  "base", "cli", "cluster", "exec", "host", "log", "master", "master/core", "pipeline", "process",
  "project", "rpc", "simhost", "simulation", "store", "wire", "worker", "yaml",
];

/**
 * Names of files in the drawing of a header, which is indented; `*` stands for any rest of a name.
 */
function namesIn(source: string): string[] {
  const header = /\/\*\*[\s\S]*?\*\//.exec(source)?.[0] ?? "";
  const drawing = header.split("\n").filter((line) => line.startsWith(" *     "));
  return drawing.flatMap((line) => line.match(/(?<![\w/.-])[\w*-]+\.ts\b/g) ?? []);
}

/** What is wrong with a map, given the files of its folder. */
function judgeMap(source: string, files: readonly string[], whole: boolean): string[] {
  const names = namesIn(source).map((name) => ({ name, pattern: patternOf(name) }));
  const gone = names.filter(({ pattern }) => !files.some((file) => pattern.test(file)));
  const unnamed = files.filter((file) => !names.some(({ pattern }) => pattern.test(file)));
  return [
    ...gone.map(({ name }) => `names ${name}, which does not exist`),
    ...(whole ? unnamed : [])
      .filter((file) => file !== "mod.ts")
      .map((file) => `does not name ${file}`),
  ];
}

function patternOf(name: string): RegExp {
  return new RegExp(`^${name.replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ name }) => name).filter((name) => name.endsWith(".ts"));

test("a map in a mod.ts names only files that exist, and all where it claims to be whole", () => {
  const folders = readdirSync(SRC, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(SRC, join(entry.parentPath, entry.name)))
    .filter((name) => existsSync(join(SRC, name, "mod.ts")));
  assert.deepEqual(WHOLE.filter((name) => !folders.includes(name)), []);
  const wrong = folders.flatMap((name) => {
    const source = readFileSync(join(SRC, name, "mod.ts"), "utf8");
    const found = judgeMap(source, filesOf(join(SRC, name)), WHOLE.includes(name));
    return found.map((text) => `src/${name}/mod.ts ${text}`);
  });
  assert.deepEqual(wrong, []);
});

test("judgeMap() finds a name that is gone and a file that is not named", () => {
  const map = "/**\n * Lesson 01: x.ts is not in the drawing.\n *     a.ts · b-*.ts   words\n */";
  assert.deepEqual(judgeMap(map, ["mod.ts", "a.ts", "b-c.ts"], true), []);
  assert.deepEqual(judgeMap(map, ["mod.ts", "a.ts", "d.ts"], true), [
    "names b-*.ts, which does not exist", "does not name d.ts",
  ]);
});
