/** Files that old clients send: zips, and the folder that keeps them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packFiles } from "#project";
import { SimWorld } from "#simhost";
import { OldFolder } from "../src/dialect/folder.ts";
import { readZip, ZipError } from "../src/dialect/zip.ts";
import { zipOf } from "./dialect.zip.ts";

const FILES = {
  "a.txt": { text: "a".repeat(1000) }, "dir/": { text: "" },
  "dir/run": { text: "#!/bin/sh", mode: 0o100755 }, "ü": { text: "", stored: true },
};

test("readZip() finds the files of a zip, deflated and stored, and who may run", async () => {
  const files = await readZip(zipOf(FILES));
  const seen = files.map(({ path, content, executable }) => [path, content.length, executable]);
  assert.deepEqual(seen, [["a.txt", 1000, false], ["dir/run", 9, true], ["ü", 0, false]]);
  assert.deepEqual((await readZip(Buffer.concat([Buffer.from("prefix"), zipOf({})]))), []);
});

test("readZip() refuses a path that leaves its folder, links, and what is encrypted", async () => {
  const wrong: readonly (readonly [Parameters<typeof zipOf>[0], RegExp])[] = [
    [{ "../x": { text: "" } }, /"\.\.\/x" does not stay inside its folder/],
    [{ "a/../../x": { text: "" } }, /does not stay inside/],
    [{ "/etc/x": { text: "" } }, /does not stay inside/],
    [{ "a//x": { text: "" } }, /does not stay inside/],
    [{ "./x": { text: "" } }, /does not stay inside/],
    [{ "..\\x": { text: "" } }, /is no path/],
    [{ "a\0b": { text: "" } }, /is no path/],
    [{ x: { text: "/etc", mode: 0o120777 } }, /x is a symbolic link/],
    [{ x: { text: "", flags: 1 } }, /x is encrypted/],
    [{ x: { text: "", method: 12 } }, /x is packed by method 12/],
  ];
  for (const [files, pattern] of wrong) {
    await assert.rejects(readZip(zipOf(files)), (error) => {
      assert.ok(error instanceof ZipError);
      return pattern.test(error.message);
    });
  }
});

test("readZip() refuses a path that is there twice", async () => {
  const zip = zipOf({ aa: { text: "1" }, ab: { text: "2" } });
  const twice = Buffer.from(zip.toString("latin1").replaceAll("ab", "aa"), "latin1");
  await assert.rejects(readZip(twice), /it has aa twice/);
});

test("readZip() believes no size: neither a bomb's nor one that is too small", async () => {
  const bomb = zipOf({ x: { text: "0".repeat(1_000_000), size: 10 } });
  await assert.rejects(readZip(bomb), /x cannot be inflated to 10 bytes/);
  await assert.rejects(readZip(zipOf({ x: { text: "abc", size: 4 } })), /not what its checksum/);
  await assert.rejects(readZip(zipOf({ x: { text: "abc", size: 2 ** 31 } })), /more than 67108864/);
  const many = Object.fromEntries(Array.from({ length: 5 }, (_, n) =>
    [`f${n}`, { text: "", size: 2 ** 24 }]));
  await assert.rejects(readZip(zipOf(many)), /83886080 bytes, more than 67108864/);
});

test("readZip() yields the files or a ZipError for each truncation and flipped bit", async () => {
  const zip = zipOf({ a: { text: "hello hello" }, "b/c": { text: "x", stored: true } });
  for (let cut = 0; cut < zip.length; cut++) {
    await assert.rejects(readZip(zip.subarray(0, cut)), ZipError, `${cut} bytes`);
  }
  for (let bit = 0; bit < 8 * zip.length; bit++) {
    const flipped = Buffer.from(zip);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    await readZip(flipped).catch((error: unknown) => {
      assert.ok(error instanceof ZipError, `${bit}: ${error}`);
    });
  }
});

test("readZip() reads no name beyond the end of the directory", async () => {
  const zip = zipOf({ a: { text: "x", stored: true } });
  const central = zip.indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
  for (const field of [28, 30, 32]) {
    const wrong = Buffer.from(zip);
    wrong.writeUInt16LE(wrong.readUInt16LE(central + field) + 1, central + field);
    await assert.rejects(readZip(wrong), /its directory ends after 0 of 1 entries/);
  }
});

test("packFiles() makes the folders of its files, and refuses a path twice", async () => {
  const host = new SimWorld({ seed: 1 }).host("m");
  const file = (path: string) => ({ path, content: Buffer.from(path), executable: true });
  const { hash } = await packFiles(host, [file("b/c/d"), file("a")]);
  assert.equal(hash, (await packFiles(host, [file("a"), file("b/c/d")])).hash);
  await assert.rejects(packFiles(host, [file("a"), file("a")]), /a is there twice/);
  await assert.rejects(packFiles(host, [file("a/b"), file("a")]), /a is there twice/);
  await assert.rejects(packFiles(host, [file("../a")]), /Cannot pack "\.\.\/a"/);
  const large = { ...file("large"), content: Buffer.alloc(64 * 1024 * 1024 + 1) };
  await assert.rejects(packFiles(host, [large]), /67108865 bytes in 1 files; at most/);
});

test("OldFolder keeps what it was given, through a crash, and takes no path", async () => {
  const world = new SimWorld({ seed: 1 });
  const folder = new OldFolder(world.host("m"), "/state/v1/uploads");
  await world.settle((async () => {
    const { storage } = world.host("m");
    await storage.mkdir("/state");
    await storage.syncDirectory("/");
    assert.equal(await folder.read("a"), undefined);
    await folder.write("a", Buffer.from("one"));
    await folder.write("a", Buffer.from("two"));
    for (const name of ["../x", "x/y", "..", "", ".part-1", "a\n"]) {
      assert.equal(folder.accepts(name), false, name);
      assert.equal(await folder.read(name), undefined);
    }
  })());
  world.crash("m", { torn: true });
  const machine = world.host("m");
  const again = new OldFolder(machine, "/state/v1/uploads");
  await world.settle((async () => {
    await machine.storage.writeFile("/state/v1/uploads/.part-7", Buffer.from("half"));
    assert.equal((await again.read("a"))?.toString(), "two");
    assert.deepEqual(await machine.storage.list("/state/v1/uploads"), ["a"]);
  })());
});

test("OldFolder has room for 10,000 files and 1 GiB, and says so", async () => {
  const world = new SimWorld({ seed: 1 });
  const machine = world.host("m");
  const folder = new OldFolder(machine, "/v1");
  await world.settle((async () => {
    await machine.storage.mkdir("/v1");
    const { storage } = machine;
    const stat = async () => ({ kind: "file" as const, size: 600 * 1024 * 1024, mode: 0 });
    const large = new OldFolder({ ...machine, storage: replaced(storage, { stat }) }, "/v1");
    await storage.writeFile("/v1/big", Buffer.from("x"));
    await large.write("b", Buffer.alloc(1));
    await assert.rejects(large.write("c", Buffer.alloc(500 * 1024 * 1024)), /would be too many/);
    assert.equal(await large.read("c"), undefined);
    for (let n = 0; n < 9_998; n++) await storage.writeFile(`/v1/f${n}`, Buffer.alloc(0));
    await assert.rejects(folder.write("one-more", Buffer.alloc(0)), /10000 files are there/);
    await folder.write("f0", Buffer.from("in place of an older one"));
  })());
});

/** An object of a class with some methods replaced. */
function replaced<T extends object>(object: T, by: Partial<T>): T {
  return new Proxy(object, {
    get: (target, name) => {
      const value = Reflect.get(name in by ? by : target, name) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
