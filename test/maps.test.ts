/**
 * The map in the header of each `mod.ts` is what a reader opens first: it must name every file of
 * its folder, and none that is gone.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";

const SRC = join(import.meta.dirname, "..", "src");

interface Drawing {
  /** Names of files; `*` stands for any rest of a name. */
  readonly names: readonly string[];
  /** Folders that a line describes as a whole: `commands/   one file per command`. */
  readonly folders: readonly string[];
}

/** What the drawing of a header names. A drawing is indented. */
function drawingOf(source: string): Drawing {
  const header = /\/\*\*[\s\S]*?\*\//.exec(source)?.[0] ?? "";
  const lines = header.split("\n").filter((line) => line.startsWith(" *     "));
  return {
    names: lines.flatMap((line) => line.match(/(?<![\w/.-])[\w*-]+\.ts\b/g) ?? []),
    folders: lines
      .filter((line) => !line.includes(".ts"))
      .flatMap((line) => /^ \* +([\w-]+)\/ /.exec(line)?.[1] ?? []),
  };
}

/** What is wrong with a map, given the files below its folder. */
function judgeMap(source: string, files: readonly string[]): string[] {
  const { names, folders } = drawingOf(source);
  const patterns = names.map(patternOf);
  const bare = (file: string): string => file.slice(file.lastIndexOf("/") + 1);
  const gone = names.filter((_, at) => !files.some((file) => patterns[at]!.test(bare(file))));
  const unnamed = files.filter((file) =>
    file !== "mod.ts" && !folders.some((folder) => file.startsWith(`${folder}/`))
      && !patterns.some((pattern) => pattern.test(bare(file))));
  return [
    ...gone.map((name) => `names ${name}, which does not exist`),
    ...unnamed.map((file) => `does not name ${file}`),
  ];
}

function patternOf(name: string): RegExp {
  return new RegExp(`^${name.replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
}

/** Of the folder and of those below it, but for those that are subsystems of their own. */
function filesOf(folder: string, prefix = ""): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) return entry.name.endsWith(".ts") ? [prefix + entry.name] : [];
    return existsSync(join(path, "mod.ts")) ? [] : filesOf(path, `${prefix}${entry.name}/`);
  });
}

test("the map in a mod.ts names every file of its folder, and no other", () => {
  const folders = readdirSync(SRC, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(SRC, join(entry.parentPath, entry.name)))
    .filter((name) => existsSync(join(SRC, name, "mod.ts")));
  assert.ok(folders.length > 25, `${folders.length} folders`);
  const wrong = folders.flatMap((name) => {
    const source = readFileSync(join(SRC, name, "mod.ts"), "utf8");
    return judgeMap(source, filesOf(join(SRC, name))).map((text) => `src/${name}/mod.ts ${text}`);
  });
  assert.deepEqual(wrong, []);
});

test("the map of the browser's program names every file of it", () => {
  const folder = join(SRC, "dashboard", "page");
  const files = filesOf(folder).filter((file) => file !== "main.ts");
  const source = readFileSync(join(folder, "main.ts"), "utf8").replace("main.ts ", "");
  assert.deepEqual(judgeMap(source, files), []);
});

test("judgeMap() finds a name that is gone and a file that is not named", () => {
  const map = "/**\n * Lesson 01: x.ts is not in the drawing.\n"
    + " *     a.ts · b-*.ts   words\n *     more/   as a whole\n */";
  assert.deepEqual(judgeMap(map, ["mod.ts", "a.ts", "b-c.ts", "more/z.ts"]), []);
  assert.deepEqual(judgeMap(map, ["mod.ts", "a.ts", "d.ts", "less/z.ts"]), [
    "names b-*.ts, which does not exist", "does not name d.ts", "does not name less/z.ts",
  ]);
});
