/**
 * Chapter 24's contract: what a bundle holds, and in which bytes. Against "#packaging" only.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  reach, readSums, readTar, sha256, slice, splitUp, statementsOf, sumsText, tarball, tarEnd,
  TarError, tarHeader, tarPadding, type Modules, type TarPiece,
} from "#packaging";

// ── statements ───────────────────────────────────────────────────────────────────────────────────

const MODULE = `import { a, b as c } from "./x.js";
import * as fs from "node:fs";
import "./effect.js";
export { d, e as f } from "#y";
export * from "./all.js";
const { one, two } = await import("#lazy");
const text = \`
const inside = 1;
\`;
export const g = a + text.length;
export async function h() {
    return (await import("./member.js")).name + c;
}
export class I {
    x = new URL("./thread.js", import.meta.url);
}
const tick = "\`", pattern = /[^\`]/;
function unused() {
    return import("./unused.js");
}
start(fs, tick);
`;

test("splitUp() gives whole statements, and loses no byte", () => {
  const found = splitUp(MODULE);
  assert.equal(found.join(""), MODULE);
  assert.equal(found.length, 13);
  assert.match(found[6]!, /^const text[^]*inside[^]*`;\n$/, "a template is one statement");
  assert.deepEqual(splitUp("#!/usr/bin/env node\na();\n"), ["#!/usr/bin/env node\n", "a();\n"]);
  assert.deepEqual(splitUp("a();\n\nb();\n"), ["a();\n\n", "b();\n"]);
  assert.deepEqual(splitUp("a('`', /[`]/);\nb();\n"), ["a('`', /[`]/);\n", "b();\n"]);
});

test("splitUp() refuses what it cannot tell from text", () => {
  assert.throws(() => splitUp("const a = `;\nexport const b = 1;\n"), /Cannot tell code from text/);
  assert.throws(() => splitUp("const a = `;\n"), /a template has no end/);
});

test("statementsOf() knows what each declares, exports and wants", () => {
  const wants = statementsOf(MODULE).flatMap(({ imports }) => imports)
    .map(({ specifier, names }) => [specifier, names === "all" ? names : [...names].join()]);
  assert.deepEqual(wants, [
    ["./x.js", "a,b"], ["node:fs", "all"], ["./effect.js", ""], ["#y", "d,e"], ["./all.js", "all"],
    ["#lazy", "one,two"], ["./member.js", "name"], ["./thread.js", "all"], ["./unused.js", "all"],
  ]);
  const exported = statementsOf(MODULE).flatMap((statement) => statement.exported);
  assert.deepEqual(exported, ["d", "f", "g", "h", "I"]);
});

test("statementsOf() finds the program of a thread whose ending is chosen", () => {
  const code =
    'const main = new URL(`../cli/main.${u.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);\n' +
    'const folder = new URL("../..", import.meta.url);\n';
  const [{ specifier } = { specifier: "" }, ...others] =
    statementsOf(code).flatMap(({ imports }) => imports);
  assert.equal(specifier, "../cli/main.js");
  assert.deepEqual(others, []);
});

// ── slices ───────────────────────────────────────────────────────────────────────────────────────

const kept = (code: string, ...names: string[]): string => slice(code, new Set(names)).code;

test("slice() keeps what is wanted, what that mentions, and effects", () => {
  const code = kept(MODULE, "g");
  assert.match(code, /^import \{ a \} from ".\/x.js";$/m);
  assert.match(code, /^export const g/m);
  assert.match(code, /const inside = 1;/, "text that g mentions");
  assert.match(code, /^start\(fs, tick\);$/m);
  assert.match(code, /^import "\.\/effect\.js";$/m);
  assert.doesNotMatch(code, /unused|class I|function h|from "#y"|#lazy|member/);
  assert.match(code, /^export \* from/m, "nobody can tell what it passes on");
});

test("slice() leaves out an import whose names were types, and its module with it", () => {
  const { code, imports } = slice('import {} from "./types.js";\nimport "./x.js";\n', "all");
  assert.equal(code, 'import "./x.js";\n');
  assert.deepEqual(imports.map(({ specifier }) => specifier), ["./x.js"]);
});

test("slice() narrows a face to the names that are wanted", () => {
  const face = 'export { a, b as c, type } from "./x.js";\nexport { z } from "./z.js";\n';
  assert.equal(kept(face, "c"), 'export { b as c } from "./x.js";\n');
  assert.equal(kept(face), "");
  assert.deepEqual(slice(face, new Set(["c"])).imports, [
    { specifier: "./x.js", names: new Set(["b"]) },
  ]);
  assert.equal(slice(face, "all").code, face);
});

test("slice() follows names through names, also in a circle", () => {
  const code = "function a() {\n    return b();\n}\nfunction b() {\n    return a();\n}\n"
    + "const c = 1;\nexport { a as first, c };\n";
  assert.equal(kept("const c = 1;\nexport const d = c;\nexport const e = 2;\n", "d"),
    "const c = 1;\nexport const d = c;\n");
  assert.equal(kept(code, "first"), code, "the list mentions c, so c stays, too");
  assert.equal(kept(code), "");
});

test("slice() keeps a name that is declared with others", () => {
  const code =
    "const { a, b } = pair;\nconst [c, d] = pair;\nconst pair = [];\nexport const e = b + d;\n" +
    "const f = 1;\n";
  assert.equal(kept(code, "e"), code.replace("const f = 1;\n", ""));
});

// ── the graph ────────────────────────────────────────────────────────────────────────────────────

function modules(files: Record<string, string>): Modules {
  return {
    read: (file) => files[file],
    imports: new Map([["#x", "dist/x/mod.js"], ["#y", "dist/y/mod.js"]]),
  };
}

const PROJECT = {
  "dist/cli/main.js": 'import { a } from "#x";\nawait a();\n',
  "dist/x/mod.js": 'export { a } from "./a.js";\nexport { b } from "./b.js";\n',
  "dist/x/a.js": 'import { y } from "#y";\nexport const a = () => y;\n',
  "dist/x/b.js": 'import { z } from "#y";\nexport const b = z;\n',
  "dist/y/mod.js": 'export { y } from "./y.js";\nexport { z } from "./z.js";\n',
  "dist/y/y.js": "export const y = 1;\n",
  "dist/y/z.js": "export const z = 1;\n",
};

test("reach() ships what the entry can reach, and nothing else", () => {
  const shipped = reach(["dist/cli/main.js"], modules(PROJECT));
  assert.deepEqual([...shipped.keys()].sort(), [
    "dist/cli/main.js", "dist/x/a.js", "dist/x/mod.js", "dist/y/mod.js", "dist/y/y.js",
  ]);
  assert.equal(shipped.get("dist/x/mod.js"), 'export { a } from "./a.js";\n');
});

test("reach() looks again at a module of which more is wanted later", () => {
  const files = {
    ...PROJECT,
    "dist/cli/main.js": 'import { a } from "#x";\nimport { z } from "#y";\n' + "await a(z);\n",
  };
  const shipped = reach(["dist/cli/main.js"], modules(files));
  assert.equal(shipped.get("dist/y/mod.js"), PROJECT["dist/y/mod.js"]);
  assert.ok(shipped.has("dist/y/z.js"));
});

test("reach() ends in a circle of modules, and takes all where names cannot be told", () => {
  const files = {
    "a.js": 'import * as b from "./b.js";\nexport const a = 1;\nb.x();\n',
    "b.js": 'import { a } from "./a.js";\nexport const x = () => a;\nexport const y = 2;\n',
  };
  assert.deepEqual([...reach(["a.js"], modules(files)).keys()], ["a.js", "b.js"]);
  assert.match(reach(["a.js"], modules(files)).get("b.js")!, /const y/);
});

test("reach() names the module that is missing, and who wants it", () => {
  const missing = { "a.js": 'import "./gone.js";\n' };
  assert.throws(() => reach(["a.js"], modules(missing)),
    /Cannot pack gone\.js: a\.js needs it, and it is not there/);
  const unknown = { "a.js": 'import { q } from "#q";\nq();\n' };
  assert.throws(() => reach(["a.js"], modules(unknown)),
    /Cannot pack a\.js: it imports #q, which package\.json does not name/);
});

// ── tar ──────────────────────────────────────────────────────────────────────────────────────────

const ENTRIES = [
  { path: "b/run.sh", content: Buffer.from("#!/bin/sh\n"), executable: true },
  { path: "a.txt", content: Buffer.alloc(0) },
  { path: "b/data", content: Buffer.alloc(1025, 7) },
  { path: "ä.bin", content: Buffer.alloc(512, 1) },
];

async function pieces(bytes: Buffer, size = bytes.length): Promise<TarPiece[]> {
  const found: TarPiece[] = [];
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  for await (const piece of readTar(chunks())) found.push(piece);
  return found;
}

function joined(found: readonly TarPiece[]): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const { path, bytes } of found) {
    files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), bytes]));
  }
  return files;
}

test("tarball() gives the same bytes for the same entries in any order", () => {
  const bytes = tarball(ENTRIES);
  assert.ok(bytes.equals(tarball([...ENTRIES].reverse())));
  assert.equal(bytes.length % 512, 0);
  assert.equal(
    sha256(bytes),
    "0f4cd456f9e39cc590a03a97f8b1cc1d6c273ab129b9bf4ddb86d760329e36b9",
    "the bytes of today: a change of them is a change for all",
  );
});

test("tarball() is read by tar, with modes and dates", () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-tar-"));
  try {
    execFileSync("tar", ["xf", "-"], { cwd: folder, input: tarball(ENTRIES), stdio: "pipe" });
    assert.deepEqual(readdirSync(folder).sort(), ["a.txt", "b", "ä.bin"]);
    for (const { path, content } of ENTRIES) {
      assert.ok(readFileSync(join(folder, path)).equals(content), path);
    }
    const list = execFileSync("tar", ["tvf", "-"], { input: tarball(ENTRIES), encoding: "utf8" });
    assert.match(list, /^-rwxr-xr-x .* b\/run\.sh$/m);
    assert.match(list, /^-rw-r--r-- .* 2026-01-0|^-rw-r--r-- .* Jan /m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("readTar() gives back the entries from pieces of any size", async () => {
  const bytes = tarball(ENTRIES);
  for (const size of [1, 7, 511, 512, 513, bytes.length]) {
    const files = joined(await pieces(bytes, size));
    assert.deepEqual([...files.keys()], ["a.txt", "b/data", "b/run.sh", "ä.bin"], `${size}`);
    for (const { path, content } of ENTRIES) assert.ok(files.get(path)!.equals(content), path);
  }
  const last = (await pieces(bytes, 100)).filter((piece) => piece.last).map(({ path }) => path);
  assert.deepEqual(last, ["a.txt", "b/data", "b/run.sh", "ä.bin"]);
});

test("readTar() refuses every truncation", async () => {
  const bytes = tarball(ENTRIES.slice(0, 2));
  for (let end = 0; end < bytes.length; end += 64) {
    await assert.rejects(pieces(bytes.subarray(0, end)), TarError, `${end} bytes`);
  }
});

test("readTar() refuses every changed bit of a header", async () => {
  const bytes = tarball([ENTRIES[0]!]);
  for (let bit = 0; bit < 512 * 8; bit += 5) {
    const wrong = Buffer.from(bytes);
    wrong[bit >> 3]! ^= 1 << (bit & 7);
    await assert.rejects(pieces(wrong), TarError, `bit ${bit}`);
  }
});

test("readTar() refuses entries behind the end, and shows no bytes that it " +
  "does not trust", async () => {
  const header = tarHeader("x", 0);
  await assert.rejects(
    pieces(Buffer.concat([tarEnd().subarray(512), header, tarEnd()])), /x comes after its end/);
  await assert.rejects(pieces(Buffer.alloc(1024, 0x1b)), (error: Error) => {
    assert.match(error.message, /the header of "\?+" is damaged/);
    return true;
  });
});

test("tarHeader() refuses names and sizes that do not fit", () => {
  assert.throws(() => tarHeader("n".repeat(101), 0), /longer than 100 bytes/);
  assert.throws(() => tarHeader("n", 8 ** 11), /exceed 8589934591/);
  assert.equal(tarHeader("n".repeat(100), 8 ** 11 - 1).length, 512);
  assert.deepEqual(
    [0, 1, 511, 512, 513].map((size) => tarPadding(size).length),
    [0, 511, 1, 0, 511],
  );
});

// ── sums ─────────────────────────────────────────────────────────────────────────────────────────

test("sumsText() and readSums() are each other's way back", () => {
  const sums = new Map([["a b/c", sha256(Buffer.from("x"))], ["d", sha256(Buffer.alloc(0))]]);
  assert.deepEqual(readSums(sumsText(sums)), sums);
  assert.match(sumsText(sums), /^2d71[0-9a-f]{60} {2}a b\/c\n/);
  for (const wrong of ["", "x", sumsText(sums).slice(0, -1), sumsText(sums).replace("  ", " ")]) {
    assert.equal(readSums(wrong), undefined, JSON.stringify(wrong));
  }
});
