import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { createExecutor } from "#exec";
import {
  ArchiveError,
  ensureProject,
  matchPath,
  MAX_PROJECT_BYTES,
  MAX_PROJECT_ENTRIES,
  packProject,
  parseIgnore,
  staysInside,
  unpackArchive,
} from "#project";
import { removeTree, seededRandom } from "#host";
import { nodeWorkerHost } from "#process";
import { sameAsArchive } from "../src/project/archive.ts";

const host = nodeWorkerHost();
const root = mkdtempSync(join(tmpdir(), "titan-archive-"));
after(() => removeTree(root).then(() => rmSync(root, { recursive: true, force: true })));
let folders = 0;
const fresh = () => join(root, `f${++folders}`);

/**
 * Makes a folder from a list: text is a file, `x:` an executable one, `->` a link, null a folder.
 */
function folderOf(entries: Record<string, string | null>): string {
  const folder = fresh();
  mkdirSync(folder);
  for (const [path, content] of Object.entries(entries)) {
    const place = join(folder, path);
    mkdirSync(dirname(place), { recursive: true });
    if (content === null) mkdirSync(place, { recursive: true });
    else if (content.startsWith("->")) symlinkSync(content.slice(2), place);
    else {
      writeFileSync(place, content.replace(/^x:/, ""), {
        mode: content.startsWith("x:") ? 0o755 : 0o644,
      });
    }
  }
  return folder;
}

function listing(folder: string, inside = ""): Record<string, string> {
  const all: Record<string, string> = {};
  for (const name of readdirSync(join(folder, inside)).sort()) {
    const path = inside === "" ? name : `${inside}/${name}`;
    const info = lstatSync(join(folder, path));
    if (info.isDirectory()) Object.assign(all, { [path]: "folder" }, listing(folder, path));
    else if (info.isSymbolicLink()) all[path] = `->${readlinkSync(join(folder, path))}`;
    else all[path] = `${info.mode & 0o100 ? "x:" : ""}${readFileSync(join(folder, path), "utf8")}`;
  }
  return all;
}

/** An archive by hand, for what packProject would never write. */
function archive(
  entries: [kind: number, path: string | Buffer, content?: string | Buffer][],
  end: Buffer = Buffer.of(0),
): Buffer {
  const parts: Buffer[] = [Buffer.from("TITANPK1")];
  for (const [kind, path, content = ""] of entries) {
    const head = Buffer.alloc(7);
    head.writeUInt8(kind);
    head.writeUInt16BE(Buffer.byteLength(path), 1);
    head.writeUInt32BE(Buffer.byteLength(content), 3);
    parts.push(head, Buffer.from(path), Buffer.from(content));
  }
  return gzipSync(Buffer.concat([...parts, end]));
}
const rejects = (
  promise: Promise<unknown>,
  code: ArchiveError["code"],
  message: RegExp,
  what?: string,
) =>
  assert.rejects(
    promise,
    (error: unknown) =>
      error instanceof ArchiveError && error.code === code && message.test(error.message),
    what,
  );
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

test("unpackArchive() lets nothing out of its folder, and leaves nothing behind", async () => {
  const hostile: [Parameters<typeof archive>[0], ArchiveError["code"], RegExp][] = [
    [[[2, "../escape", "x"]], "UNSAFE", /has the part "\.\."/],
    [[[2, "/etc/escape", "x"]], "UNSAFE", /not a relative path/],
    [[[1, "a"], [2, "a/../../escape", "x"]], "UNSAFE", /has the part "\.\."/],
    [[[2, "a//b", "x"]], "UNSAFE", /has the part ""/],
    [[[2, ".", "x"]], "UNSAFE", /has the part "\."/],
    [[[2, "", "x"]], "UNSAFE", /not a relative path/],
    [[[2, "a\0b", "x"]], "UNSAFE", /NUL/],
    [[[2, "x".repeat(256), "x"]], "UNSAFE", /longer than 255/],
    [[[4, "link", "/etc"]], "UNSAFE", /the link leads to "\/etc"/],
    [[[4, "link", ".."]], "UNSAFE", /the link leads to/],
    [[[4, "link", ""]], "UNSAFE", /the link leads to/],
    [[[1, "d"], [4, "d/l", "../.."]], "UNSAFE", /the link leads to/],
    [[[4, "link", "."], [2, "link/file", "x"]], "UNSAFE", /does not lie in a folder/],
    [[[1, "d"], [4, "d/up", ".."], [4, "e", "d/up/../x"]], "UNSAFE", /the link leads to/],
    [[[2, "file", "x"], [2, "file/child", "x"]], "UNSAFE", /does not lie in a folder/],
    [[[2, "a/b", "x"]], "UNSAFE", /does not lie in a folder/],
    [[[2, "b", "x"], [2, "a", "x"]], "CORRUPT", /out of order/],
    [[[2, "a", "x"], [2, "a", "y"]], "CORRUPT", /out of order/],
    [[[5, "a", "x"]], "CORRUPT", /kind 5/],
    [[[1, "a", "x"]], "CORRUPT", /folder a has content/],
    [[[2, Buffer.of(0xff, 0xfe), "x"]], "CORRUPT", /not UTF-8/],
  ];
  for (const [entries, code, message] of hostile) {
    const folder = fresh();
    await rejects(
      unpackArchive(host, archive(entries), folder),
      code,
      message,
      JSON.stringify(entries),
    );
    assert.ok(!existsSync(folder));
  }
  await rejects(
    unpackArchive(host, archive([], Buffer.of(0, 0)), fresh()),
    "CORRUPT",
    /1 bytes after its end/,
  );
  await rejects(
    unpackArchive(host, archive([], Buffer.alloc(0)), fresh()),
    "CORRUPT",
    /ends within an entry/,
  );
  await rejects(
    unpackArchive(host, gzipSync("something else"), fresh()),
    "CORRUPT",
    /no project archive/,
  );
  await rejects(unpackArchive(host, Buffer.from("not gzip"), fresh()), "CORRUPT", /header/);
  assert.deepEqual(readdirSync(root), [], "no temporary folder, no escaped file");
});

test("unpackArchive() takes a path of 2,048 bytes, and none of one more", async () => {
  const folders = Array.from({ length: 7 }, (_, i) => Array(i + 1).fill("x".repeat(255)).join("/"));
  const deep = (last: number): Buffer => archive([
    ...folders.map((path): [number, string] => [1, path]),
    [1, `${folders.at(-1)}/y`],
    [2, `${folders.at(-1)}/y/${"z".repeat(last)}`, "text"],
  ]);
  const room = 2048 - 7 * 256 - 2;
  const folder = fresh();
  await unpackArchive(host, deep(room), folder);
  const file = join(folder, folders.at(-1)!, "y", "z".repeat(room));
  assert.equal(readFileSync(file, "utf8"), "text");
  rmSync(folder, { recursive: true });
  await rejects(unpackArchive(host, deep(room + 1), fresh()), "UNSAFE", /longer than 2048/);
});

test("unpackArchive() stops inflating a bomb at its limit", async () => {
  const bomb = gzipSync(Buffer.alloc(100_000_000), { level: 1 });
  assert.ok(bomb.length < 1_000_000);
  await rejects(unpackArchive(host, bomb, fresh()), "TOO_LARGE", /inflates to more than/);
  const claims = archive([[2, "a", "x"]]);
  const inflated = gunzipSync(claims);
  inflated.writeUInt32BE(0xffffffff, 8 + 3); // Claims 4 GiB of content, has one byte.
  await rejects(
    unpackArchive(host, gzipSync(inflated), fresh()),
    "CORRUPT",
    /ends within an entry/,
  );
});

test("unpackArchive() names every cut of what was compressed, too, as corrupt", async () => {
  const whole = gunzipSync(archive([[1, "d"], [2, "d/file", "text"], [4, "link", "d"]]));
  for (let length = 0; length < whole.length; length++) {
    const cut = unpackArchive(host, gzipSync(whole.subarray(0, length), { level: 1 }), fresh());
    await rejects(cut, "CORRUPT", /no project archive|ends within an entry/, `cut at ${length}`);
  }
});

test("an archive may have 64 MiB and 100,000 entries, and neither a byte nor " +
  "an entry more", async () => {
  const nowhere = fresh(); // What is compared only needs no disk: every entry is missing there.
  const ends = (begun: Buffer, name: string, content: string) => {
    const tail = gunzipSync(archive([[2, name, content]])).subarray(8);
    // Two files of gzip, one behind the other, are one.
    return sameAsArchive(host, Buffer.concat([begun, gzipSync(tail)]), nowhere);
  };
  const begin = (text: Buffer) => gzipSync(text, { level: 1 });
  const tooMuch = /^Cannot unpack: more than 67108864 bytes or 100000 entries$/;
  const large = Buffer.alloc(8 + 7 + 1 + MAX_PROJECT_BYTES - 1);
  large.write("TITANPK1\x02\x00\x01");
  large.writeUInt32BE(MAX_PROJECT_BYTES - 1, 8 + 3);
  large.write("a", 8 + 7);
  const bytes = begin(large);
  assert.equal(await ends(bytes, "b", "1"), undefined);
  await rejects(ends(bytes, "b", "12"), "TOO_LARGE", tooMuch);
  const names = Array.from({ length: MAX_PROJECT_ENTRIES - 1 }, (_, i) => String(i + 1e6));
  const files = names.map((name) => `\x02\0\x07\0\0\0\0${name}`);
  const many = begin(Buffer.from(`TITANPK1${files.join("")}`));
  assert.equal(await ends(many, "last", ""), undefined);
  const oneMore = Buffer.concat([many, gzipSync("\x02\0\x04\0\0\0\0last")]);
  await rejects(ends(oneMore, "more", ""), "TOO_LARGE", tooMuch);
});

test("unpackArchive() rejects every truncation, and gives the same files or an error for every " +
  "flipped bit", async () => {
  const source = folderOf({ "a.txt": "hello", "bin/run": "x:#!/bin/sh", link: "->a.txt" });
  const { bytes } = await packProject(host, source);
  const expected = listing(source);
  for (let length = 0; length < bytes.length; length++) {
    await assert.rejects(
      unpackArchive(host, bytes.subarray(0, length), fresh()),
      ArchiveError,
      `cut at ${length}`,
    );
  }
  let unharmed = 0;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    const folder = fresh();
    try {
      await unpackArchive(host, flipped, folder);
    } catch (error) {
      assert.ok(error instanceof ArchiveError, `bit ${bit}: ${error}`);
      continue;
    }
    unharmed++;
    assert.deepEqual(listing(folder), expected, `bit ${bit}`);
    await removeTree(folder);
  }
  assert.ok(unharmed <= 8 * 7, "only gzip's date, flags and system byte may change without harm");
});

test("packProject() and unpackArchive() keep contents, modes, links, empty folders", async () => {
  const entries = {
    "main.py": "print(1)\n",
    "bin/tool": "x:#!/bin/sh\n",
    empty: null,
    "deep/er/ü €.txt": "ü",
    "a-b": "1",
    "a/b": "2",
    "a.b": "3",
    latest: "->deep/er",
    "deep/up": "->../main.py",
  };
  const source = folderOf(entries);
  const { bytes, hash, files } = await packProject(host, source);
  assert.equal(hash, sha256(bytes));
  assert.equal(files, 6);
  const folder = fresh();
  await unpackArchive(host, bytes, folder);
  assert.deepEqual(listing(folder), listing(source));
  assert.equal(lstatSync(join(folder, "main.py")).mode & 0o777, 0o644);
  assert.equal(lstatSync(join(folder, "bin")).mode & 0o777, 0o755);
  assert.deepEqual(
    (await packProject(host, folder)).hash,
    hash,
    "packing what was unpacked gives the same hash",
  );
});

test("packProject() gives equal folders equal bytes, whatever their dates and the order they " +
  "were made in", async () => {
  const entries: Record<string, string> = { "z/1": "a", "a/2": "b", m: "x:c" };
  const one = await packProject(host, folderOf(entries));
  const reversed = folderOf(Object.fromEntries(Object.entries(entries).reverse()));
  chmodSync(join(reversed, "z/1"), 0o600);
  assert.equal((await packProject(host, reversed)).hash, one.hash);
  writeFileSync(join(reversed, "z/1"), "A");
  assert.notEqual((await packProject(host, reversed)).hash, one.hash);
});

test("packProject() writes down the same bytes on every system: a hash names a " +
  "project for good", async () => {
  const { bytes } = await packProject(
    host,
    folderOf({ "a/b": "text", "a/run": "x:#!", l: "->a/b", e: null }),
  );
  // zlib may compress in other ways tomorrow, so what is in the archive is compared, and the head
  // of gzip: no date, no name, and no operating system, of which packProject says 255, "unknown".
  assert.equal(bytes.subarray(0, 10).toString("hex"), "1f8b08000000000000ff");
  assert.equal(
    sha256(gunzipSync(bytes)),
    "3434d2fc5a952c4a3aefa1ca563bcfde6a1e529dd38abe110177c63430852354",
  );
});

test("packProject() refuses a link that leaves the folder, by name", async () => {
  for (const target of ["/etc/passwd", "../../outside", "d/../../outside", "d/../inside"]) {
    await rejects(
      packProject(host, folderOf({ "d/x": "", "sub/link": `->${target}` })),
      "UNSAFE",
      /^Cannot pack sub\/link: the link leads to/,
    );
  }
});

test("staysInside() allows steps up only at the start and only as deep as the link lies", () => {
  for (const [path, target] of [
    ["l", "a"],
    ["l", "./a/b"],
    ["d/l", ".."],
    ["d/l", "../x"],
    ["d/e/l", "../../x"],
    ["l", "..."],
    ["l", "a//b/"],
    ["d/l", "./../x"],
    ["d/e/l", "..//../x"],
  ] as const) {
    assert.equal(staysInside(path, target), true, `${path} -> ${target}`);
  }
  for (const [path, target] of [
    ["l", ""],
    ["l", ".."],
    ["l", "/"],
    ["d/l", "../.."],
    ["d/l", "x/.."],
    ["d/l", ".././../x"],
    ["l", "a\0"],
    ["d/l", "../x/.."],
  ] as const) {
    assert.equal(staysInside(path, target), false, `${path} -> ${target}`);
  }
});

test("packProject() skips what nobody needs, and what .titanignore, " +
  "else .gitignore, names", async () => {
  const entries = {
    ".git/HEAD": "x",
    "node_modules/m/i.js": "x",
    "sub/node_modules/i.js": "x",
    ".titan/log": "x",
    "a.log": "x",
    "b.txt": "x",
    "data/big.bin": "x",
  };
  const packed = async (more: Record<string, string>) => {
    const folder = fresh();
    await unpackArchive(
      host,
      (await packProject(host, folderOf({ ...entries, ...more }))).bytes,
      folder,
    );
    return Object.keys(listing(folder));
  };
  assert.deepEqual(await packed({}), ["a.log", "b.txt", "data", "data/big.bin", "sub"]);
  assert.deepEqual(await packed({ ".gitignore": "*.log\n" }), [
    ".gitignore",
    "b.txt",
    "data",
    "data/big.bin",
    "sub",
  ]);
  assert.deepEqual(await packed({ ".gitignore": "*.log\n", ".titanignore": "data/\nsub" }), [
    ".gitignore",
    ".titanignore",
    "a.log",
    "b.txt",
  ]);
});

test("packProject() refuses more than 64 MiB and lists the largest files", async () => {
  const folder = folderOf({ "data/huge.bin": "", "data/large.bin": "", "small.txt": "x" });
  truncateSync(join(folder, "data/huge.bin"), MAX_PROJECT_BYTES - 1_000);
  truncateSync(join(folder, "data/large.bin"), 2_000_000);
  const told = new RegExp(": 69107865 bytes exceed 67108864\\. .*The largest files:\n" +
    " +67\\.1 MB  data/huge\\.bin\n +2\\.0 MB  data/large\\.bin\n");
  await rejects(packProject(host, folder), "TOO_LARGE", told);
});

test("packProject() takes 64 MiB, names the five largest of more, and sees a file " +
  "that has grown", async () => {
  const folder = folderOf(Object.fromEntries([..."abcdefg"].map((name) => [name, ""])));
  truncateSync(join(folder, "a"), MAX_PROJECT_BYTES);
  assert.equal((await packProject(host, folder)).files, 7);
  [..."bcdefg"].forEach((name, i) => truncateSync(join(folder, name), (i + 1) * 100_000));
  const sizes = ["67.1 MB  a", "0.6 MB  g", "0.5 MB  f", "0.4 MB  e", "0.3 MB  d"];
  const list = sizes.map((line) => `\n  ${line.padStart(14)}`).join("");
  await rejects(packProject(host, folder), "TOO_LARGE", new RegExp(`files:${list}$`));
  truncateSync(join(folder, "a"), 1);
  const grown = Buffer.alloc(MAX_PROJECT_BYTES - 2_100_000);
  const readFile = (path: string) =>
    (path.endsWith("/a") ? Promise.resolve(grown) : host.storage.readFile(path));
  const growing = { ...host, storage: { ...host.storage, readFile } };
  writeFileSync(join(folder, "h"), "x");
  await rejects(packProject(growing, folder), "TOO_LARGE", /^Cannot pack /);
});

test("packProject() passes over what is gone or no file, and refuses what no " +
  "archive may have", async () => {
  const folder = folderOf({ "d/a": "1" });
  execFileSync("mkfifo", [join(folder, "pipe")]);
  const list = async (path: string) => [...await host.storage.list(path), "gone"];
  const readFile = async (path: string) => {
    if (path.endsWith("/pipe")) throw new Error("would wait for good");
    return host.storage.readFile(path);
  };
  const moving = { ...host, storage: { ...host.storage, list, readFile } };
  const { bytes } = await packProject(moving, folder);
  const unpacked = fresh();
  await unpackArchive(host, bytes, unpacked);
  assert.deepEqual(listing(unpacked), { d: "folder", "d/a": "1" });
  assert.equal(lstatSync(unpacked).mode & 0o777, 0o755);
  await assert.rejects(unpackArchive(host, bytes, unpacked), { code: "ENOTEMPTY" });
  assert.deepEqual(readdirSync(root).filter((name) => name.includes(".part-")), []);
  const deep = fresh();
  mkdirSync(join(deep, ...Array(9).fill("x".repeat(255))), { recursive: true });
  await rejects(packProject(host, deep), "UNSAFE", /^Cannot pack .*: it is longer than 2048/);
  const crowd = Array(MAX_PROJECT_ENTRIES + 1).fill("d");
  const crowded = { ...host, storage: { ...host.storage, list: async () => crowd } };
  await rejects(packProject(crowded, folder), "TOO_LARGE", /has more than 100000 files and fol/);
});

test("sameAsArchive() lists what it finds, and notices every kind of change", async () => {
  const entries = { "d/a": "text", run: "x:#!", empty: null, l: "->d/a", m: "->d" };
  const source = folderOf(entries);
  const { bytes } = await packProject(host, source);
  const made = async () => {
    const folder = fresh();
    return { folder, files: await unpackArchive(host, bytes, folder) };
  };
  const { folder, files } = await made();
  assert.deepEqual(await sameAsArchive(host, bytes, folder), files);
  assert.deepEqual(files.map(({ path, kind, size, target }) => [path, kind, size, target]), [
    ["d", "folder", 0, undefined], ["d/a", "file", 4, undefined], ["empty", "folder", 0, undefined],
    ["l", "link", 0, "d/a"], ["m", "link", 0, "d"], ["run", "file", 2, undefined],
  ]);
  for (const deed of [
    "printf TEXT >d/a", "printf texts >d/a", "chmod 755 d/a", "chmod 644 run", "chmod 600 d/a",
    "rm d/a", "rm l", "echo >new", "echo >empty/new", "ln -sfn d l", "ln -sfn empty m",
    "rm l; cp d/a l", "rm d/a; ln -s ../run d/a", "rmdir empty; echo >empty",
    "rm run; mkdir run; chmod 755 run", "rm m; mkdir m",
  ]) {
    const other = await made();
    execFileSync("sh", ["-ec", deed], { cwd: other.folder });
    assert.equal(await sameAsArchive(host, bytes, other.folder), undefined, deed);
  }
});

test("parseIgnore() follows the rules of .gitignore", () => {
  const cases: [rules: string, ignored: string[], kept: string[]][] = [
    ["# comment\n\n  \n", [], ["a", "# comment"]],
    ["*.log", ["a.log", "d/e/b.log", ".log"], ["a.log.txt", "log"]],
    ["*.log\n!keep.log", ["a.log"], ["keep.log", "d/keep.log"]],
    ["!a\na", ["a"], []],
    ["/top", ["top"], ["d/top"]],
    ["d/x", ["d/x"], ["e/d/x", "x"]],
    ["build/", ["build/", "d/build/"], ["build"]],
    ["a?c", ["abc", "a-c"], ["ac", "abbc", "a/c"]],
    ["**/x", ["x", "d/x", "d/e/x"], ["xy"]],
    ["d/**", ["d/x", "d/e/f"], ["d", "e/d/x"]],
    ["a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/b", "z", "b/a/z"]],
    ["a*/b*c", ["ax/bc", "a/b-c"], ["a/x/bc", "a/bcd"]],
    ["[a-c]x[!0-9]", ["axb", "cx-"], ["dxb", "ax1"]],
    ["[abd]", ["a", "b", "d"], ["c", "e", "A"]],
    ["[a-]", ["a", "-"], ["b"]],
    ["\\#x\n\\!y\n\\*", ["#x", "!y", "*"], ["x", "y", "z"]],
    ["name \nspace\\ ", ["name", "space "], ["name ", "space"]],
    ["[", ["["], ["x"]],
    ["doc\r\n", ["doc"], []],
  ];
  for (const [rules, ignored, kept] of cases) {
    const match = parseIgnore(rules);
    const ask = (path: string) => match(path.replace(/\/$/, ""), path.endsWith("/"));
    for (const path of ignored) {
      assert.equal(ask(path), true, `${JSON.stringify(rules)} should ignore ${path}`);
    }
    for (const path of kept) {
      assert.equal(ask(path), false, `${JSON.stringify(rules)} should keep ${path}`);
    }
  }
});

test("matchPath() agrees with an exhaustive search on random patterns", () => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  const random = seededRandom(seed);
  const pick = (all: string[], most: number) =>
    Array.from(
      { length: 1 + (random.u32() % most) },
      () => all[random.u32() % all.length] as string,
    );
  const slow = (parts: string[], names: string[]): boolean => {
    const [part, ...rest] = parts;
    if (part === undefined) return names.length === 0;
    if (part !== "**") {
      return (
        names[0] !== undefined && (part === "*" || part === names[0]) && slow(rest, names.slice(1))
      );
    }
    if (rest.length === 0) return names.length > 0;
    return slow(rest, names) || (names.length > 0 && slow(parts, names.slice(1)));
  };
  for (let round = 0; round < 5_000; round++) {
    const parts = pick(["a", "b", "*", "**"], 5);
    const names = pick(["a", "b"], 6);
    assert.equal(
      matchPath(parts, names),
      slow(parts, names),
      `SEED=${seed}: ${parts.join("/")} on ${names.join("/")}`,
    );
  }
});

test("parseIgnore() answers hostile patterns in time proportional to their length", () => {
  const from = process.cpuUsage();
  assert.equal(parseIgnore(`${"a*".repeat(1_000)}b`)("a".repeat(2_000), false), false);
  assert.equal(parseIgnore(`${"**/a/".repeat(300)}b`)("a/".repeat(600) + "c", false), false);
  assert.ok(process.cpuUsage(from).user < 1e6);
});

test("ensureProject() fetches once for all who ask, checks the hash, and " +
  "keeps the folder", async () => {
  const cache = fresh();
  const { bytes, hash } = await packProject(host, folderOf({ a: "1" }));
  let fetches = 0;
  const fetch = async () => (fetches++, bytes);
  const folders = await Promise.all(
    Array.from({ length: 20 }, () => ensureProject(host, cache, hash, fetch)),
  );
  folders.push(await ensureProject(host, cache, hash, fetch));
  assert.deepEqual([new Set(folders).size, fetches], [1, 1]);
  assert.deepEqual(listing(folders[0] as string), { a: "1" });
  assert.equal(readdirSync(join(cache, "users")).length, 1, "one lock, whoever asks");
  let reads = 0;
  const readFile = (path: string) => (reads++, host.storage.readFile(path));
  const counting = { ...host, storage: { ...host.storage, readFile } };
  const ask = () => ensureProject(counting, cache, hash, fetch);
  await Promise.all([ask(), ask(), ask()]);
  assert.equal(reads, 0, "nothing is compared that looks as it did");
  writeFileSync(join(folders[0] as string, "a"), "2");
  await ask();
  assert.deepEqual([listing(folders[0] as string), fetches], [{ a: "1" }, 1]);
});

test("ensureProject() leaves nothing of a wrong hash or failed fetch, tries again", async () => {
  const cache = fresh();
  const { bytes, hash } = await packProject(host, folderOf({ a: "2" }));
  await rejects(
    ensureProject(host, cache, hash, async () => Buffer.from("other")),
    "CORRUPT",
    /the bytes that came have the hash/,
  );
  await assert.rejects(
    ensureProject(host, cache, hash, () => Promise.reject(new Error("no line"))),
    /no line/,
  );
  await rejects(
    ensureProject(host, cache, "../../etc", async () => bytes),
    "CORRUPT",
    /is not a SHA-256/,
  );
  assert.deepEqual(listing(cache), { users: "folder" });
  const noArchive = Buffer.from("no archive");
  const useless = ensureProject(host, cache, sha256(noArchive), async () => noArchive);
  await rejects(useless, "CORRUPT", /header/);
  assert.deepEqual(listing(cache), { users: "folder" });
  let ticks = 0;
  const after = (ms: number, fn: () => void) => host.timers.after(ms, () => (ticks++, fn()));
  const timers = { after, soon: (fn: () => void) => host.timers.soon(fn) };
  const folder = await ensureProject({ ...host, timers }, cache, hash, async () => bytes);
  assert.deepEqual([listing(folder), ticks], [{ a: "2" }, 1]);
  assert.equal(readdirSync(join(cache, "users")).length, 1);
});

test("ensureProject() keeps 32 projects, and removes strangers first, " +
  "with their archives", async () => {
  const cache = fresh();
  const { bytes, hash } = await packProject(host, folderOf({ a: "32" }));
  const strangers = Array.from({ length: 32 }, (_, i) => String(i).padStart(64, "0"));
  for (const name of strangers) {
    mkdirSync(join(cache, name), { recursive: true });
    writeFileSync(join(cache, `${name}.pack`), "");
  }
  await ensureProject(host, cache, hash, async () => bytes);
  const names = readdirSync(cache);
  const gone = strangers.filter((name) => !names.includes(name));
  assert.equal(gone.length, 1);
  const stay = [...strangers.filter((name) => name !== gone[0]), hash];
  assert.deepEqual(names, [...stay.flatMap((name) => [name, `${name}.pack`]), "users"].sort());
});

test("ensureProject() removes the least recently used beyond its bound", async () => {
  const cache = fresh();
  const all = await Promise.all(
    ["a", "b", "c", "d"].map((text) => packProject(host, folderOf({ text }))),
  );
  const ensure = (i: number) =>
    ensureProject(host, cache, all[i]!.hash, async () => all[i]!.bytes, { maxProjects: 2 });
  const kept = () => [0, 1, 2, 3].filter((i) => existsSync(join(cache, all[i]!.hash)));
  await ensure(0);
  await ensure(1);
  await ensure(0);
  await ensure(2);
  assert.deepEqual(kept(), [0, 2]);
  // What another process holds stays; the lock of a dead one does not count.
  const other = await host.storage.lock(join(cache, "users", `${all[0]!.hash}.other`));
  writeFileSync(join(cache, "users", `${all[2]!.hash}.dead`), "999999999 0 0\n");
  await ensure(3);
  assert.deepEqual(kept(), [0, 3]);
  await other.release();
});

test("ensureProject() removes no project while a job runs in it", async () => {
  const cache = fresh();
  const executor = createExecutor({ host, workDir: fresh() });
  const all = await Promise.all(
    ["x", "y", "z"].map((text) => packProject(host, folderOf({ text }))),
  );
  const ensure = (i: number) =>
    ensureProject(host, cache, all[i]!.hash, async () => all[i]!.bytes, { maxProjects: 1 });
  const project = await ensure(0);
  const action = { type: "shell", script: "sleep 1000" } as const;
  const running = executor.start(
    {
      run: "r",
      job: "j",
      attempt: 1,
      worker: "w",
      action,
      env: {},
      timeoutMs: 0,
      inputs: [],
      project,
    },
    () => {},
  );
  await ensure(1);
  assert.equal(existsSync(project), true);
  assert.equal(existsSync(join(cache, all[1]!.hash)), true, "nor the one that was asked for");
  running.cancel();
  await running.done;
  await ensure(2);
  assert.deepEqual(all.map(({ hash }) => existsSync(join(cache, hash))), [false, false, true]);
  await executor.close();
});
