/**
 * Lesson 22: what a power cut leaves on a simulated disk: names, bytes, and holes between them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { type Leftover, SimWorld } from "#simhost";

/** What is on the disk of a machine on which this was done before the power went. */
async function left(
  work: (storage: Host["storage"]) => Promise<unknown>,
  how: { leftover?: Leftover; torn?: boolean; garbage?: boolean; seed?: number } = {},
): Promise<Record<string, string>> {
  const world = new SimWorld({ seed: how.seed ?? 1 });
  await world.settle(work(world.host("a").storage));
  world.crash("a", how);
  return content(world, "a");
}

function content(world: SimWorld, name: string, folder = "/"): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of world.disk(name).list(folder)) {
    const path = `${folder}${entry}`;
    const bytes = world.disk(name).read(path);
    if (bytes === undefined) {
      Object.assign(found, { [path]: "/" }, content(world, name, `${path}/`));
    } else found[path] = bytes.toString("latin1");
  }
  return found;
}

async function write(storage: Host["storage"], path: string, text: string): Promise<void> {
  const file = await storage.open(path, { create: true });
  await file.appendAndSync([Buffer.from(text)]);
  await file.close();
}

test("SimWorld crash() takes a folder whose name was not synced, with all that is " +
  "in it", async () => {
  const work = async (storage: Host["storage"]): Promise<void> => {
    await storage.mkdir("/a/b");
    await write(storage, "/a/b/file", "x");
    await storage.syncDirectory("/a/b");
  };
  assert.deepEqual(await left(work), {});
  const upTo = (...folders: string[]) => async (storage: Host["storage"]): Promise<void> => {
    await work(storage);
    for (const folder of folders) await storage.syncDirectory(folder);
  };
  assert.deepEqual(await left(upTo("/a")), {});
  assert.deepEqual(await left(upTo("/")), { "/a": "/" });
  assert.deepEqual(await left(upTo("/a", "/")), { "/a": "/", "/a/b": "/", "/a/b/file": "x" });
});

test("SimWorld sync() makes durable what was there when it began, once it has ended", async () => {
  const world = new SimWorld({ seed: 1, syncMs: [10, 10] });
  const { storage } = world.host("a");
  const file = await storage.open("/file", { create: true });
  await file.append([Buffer.from("before,")]);
  const syncs = Promise.all([file.sync(), storage.syncDirectory("/")]);
  await world.run(5);
  world.copyDisk("a", "early", "nothing");
  assert.deepEqual(content(world, "early"), {}, "the name was not there for certain");
  await file.append([Buffer.from("after")]);
  await storage.open("/later", { create: true });
  await world.settle(syncs);
  world.copyDisk("a", "late", "nothing");
  assert.deepEqual(content(world, "late"), { "/file": "before," });
});

test("SimWorld crash() in the middle of a sync keeps the old bytes", async () => {
  const world = new SimWorld({ seed: 1, syncMs: [10, 10] });
  const { storage } = world.host("a");
  world.disk("a").put("/file", Buffer.from("old,"));
  const file = await storage.open("/file");
  void file.appendAndSync([Buffer.from("new")]);
  await world.run(5);
  world.crash("a");
  assert.deepEqual(content(world, "a"), { "/file": "old," });
});

/** Three changes of names, each after a sync of the bytes. */
async function threeChanges(storage: Host["storage"]): Promise<void> {
  await write(storage, "/old", "1");
  await storage.syncDirectory("/");
  await write(storage, "/new.tmp", "2");
  await storage.rename("/new.tmp", "/old");
  await storage.remove("/old");
}

test("SimWorld crash() with torn keeps the first of the changes to names, any number " +
  "of them", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    seen.add(JSON.stringify(await left(threeChanges, { torn: true, seed })));
  }
  const expected = [{ "/old": "1" }, { "/new.tmp": "2", "/old": "1" }, { "/old": "2" }, {}];
  assert.deepEqual([...seen].sort(), expected.map((each) => JSON.stringify(each)).sort());
});

test("SimWorld crash() leaves so much of names and bytes as `leftover` says", async () => {
  const work = async (storage: Host["storage"]): Promise<void> => {
    await write(storage, "/log", "ab");
    await storage.syncDirectory("/");
    await (await storage.open("/log")).append([Buffer.from("cdef")]);
    await write(storage, "/first", "1");
    await storage.rename("/first", "/last");
    const file = await storage.open("/last");
    await file.append([Buffer.from("23")]);
  };
  const of = (leftover: Leftover): ReturnType<typeof left> => left(work, { leftover });
  assert.deepEqual(await of("nothing"), { "/log": "ab" });
  assert.deepEqual(await of("names"), { "/log": "ab", "/last": "1" });
  assert.deepEqual(await of("half"), { "/log": "abcd", "/first": "12" });
  assert.deepEqual(await of("everything"), { "/log": "abcdef", "/last": "123" });
  assert.deepEqual(await of("latest"), { "/log": "abcdef", "/last": "123" });
  const twice = async (storage: Host["storage"]): Promise<void> => {
    for (const name of ["/one", "/two"]) await write(storage, name, name);
  };
  assert.deepEqual(await left(twice, { leftover: "latest" }), { "/two": "/two" });
});

test("SimWorld crash() leaves holes where sectors and pages begin and end", async () => {
  const work = async (storage: Host["storage"]): Promise<void> => {
    await write(storage, "/log", "s".repeat(700));
    await storage.syncDirectory("/");
    await (await storage.open("/log")).append([Buffer.alloc(9000, "n")]);
  };
  const holeOf = async (leftover: Leftover): Promise<number[]> => {
    const text = (await left(work, { leftover }))["/log"]!;
    const [from, to] = [text.indexOf("\0"), text.lastIndexOf("\0") + 1];
    assert.equal(text, "s".repeat(700) + "n".repeat(from - 700) + "\0".repeat(to - from) +
      "n".repeat(9700 - to));
    return [from, to];
  };
  assert.deepEqual(await holeOf("sector"), [700, 1024]);
  assert.deepEqual(await holeOf("hole"), [1024, 1536]);
  assert.deepEqual(await holeOf("page"), [700, 4096]);
  const short = (storage: Host["storage"]): Promise<unknown> => write(storage, "/f", "x")
    .then(() => storage.syncDirectory("/"))
    .then(() => storage.open("/f"))
    .then((file) => file.append([Buffer.from("yz")]));
  assert.deepEqual(await left(short, { leftover: "sector" }), { "/f": "xyz" }, "one sector only");
});

test("SimWorld crash() of an unsynced truncation leaves the file as it was, or " +
  "as it is", async () => {
  const work = async (storage: Host["storage"]): Promise<void> => {
    await write(storage, "/f", "abcdef");
    await storage.syncDirectory("/");
    const file = await storage.open("/f");
    await file.truncate(2);
    await file.append([Buffer.from("X")]);
  };
  assert.deepEqual(await left(work), { "/f": "abcdef" });
  assert.deepEqual(await left(work, { leftover: "half" }), { "/f": "abX" });
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed++) seen.add((await left(work, { torn: true, seed }))["/f"]!);
  assert.deepEqual([...seen].sort(), ["abX", "abcdef"]);
});

test("SimWorld crash() with garbage leaves holes of a sector or a page, too, and spares what was " +
  "synced", async () => {
  const holes = new Set<number>();
  for (let seed = 0; seed < 200; seed++) {
    const found = await left(async (storage) => {
      await write(storage, "/log", "s".repeat(700));
      await storage.syncDirectory("/");
      await (await storage.open("/log")).append([Buffer.alloc(20_000, "n")]);
    }, { garbage: true, seed });
    const text = found["/log"]!;
    assert.ok(text.startsWith("s".repeat(700)), `seed ${seed}`);
    for (const [hole] of text.matchAll(/\0{100,}/g)) holes.add(hole.length);
  }
  assert.ok(holes.has(512) && holes.has(4096), `${[...holes]}`);
});

test("SimWorld rename() between folders is undone or done as a whole", async () => {
  const work = async (storage: Host["storage"]): Promise<void> => {
    for (const folder of ["/from", "/to"]) await storage.mkdir(folder);
    await storage.mkdir("/from/sub");
    await write(storage, "/from/sub/file", "x");
    for (const folder of ["/from/sub", "/from", "/"]) await storage.syncDirectory(folder);
    await storage.rename("/from/sub", "/to/sub");
  };
  const before = { "/from": "/", "/from/sub": "/", "/from/sub/file": "x", "/to": "/" };
  const after = { "/from": "/", "/to": "/", "/to/sub": "/", "/to/sub/file": "x" };
  const seen = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    seen.add(JSON.stringify(await left(work, { torn: true, seed })));
  }
  assert.deepEqual([...seen].sort(), [before, after].map((each) => JSON.stringify(each)).sort());
});

test("SimWorld rename() refuses a folder that is not empty, and a file over a folder", async () => {
  const world = new SimWorld({ seed: 1 });
  const { storage } = world.host("a");
  for (const folder of ["/full", "/other"]) await storage.mkdir(folder);
  await world.settle(write(storage, "/full/file", "x"));
  await assert.rejects(storage.rename("/other", "/full"), { code: "ENOTEMPTY" });
  await assert.rejects(storage.rename("/full/file", "/other"), { code: "EISDIR" });
  await assert.rejects(storage.rename("/none", "/other"), { code: "ENOENT" });
  await storage.rename("/full", "/other");
  assert.deepEqual(content(world, "a"), { "/other": "/", "/other/file": "x" });
});

test("SimWorld remove() of a folder removes one name after the other", async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const found = await left(async (storage) => {
      await storage.mkdir("/d");
      for (const name of ["x", "y"]) await write(storage, `/d/${name}`, name);
      for (const folder of ["/d", "/"]) await storage.syncDirectory(folder);
      await assert.rejects(storage.remove("/d"), { code: "EISDIR" });
      await storage.remove("/d", { recursive: true });
    }, { torn: true, seed });
    seen.add(Object.keys(found).join(" "));
  }
  assert.deepEqual([...seen].sort(), ["", "/d", "/d /d/x /d/y", "/d /d/y"]);
});

test("SimWorld disk() takes and loses files that were always there", async () => {
  const world = new SimWorld({ seed: 1 });
  world.disk("a").put("/d/e/file", Buffer.from("x"));
  world.disk("a").put("/d/gone", Buffer.from("y"));
  await world.host("a").storage.rename("/d/gone", "/d/moved");
  world.disk("a").drop("/d/moved");
  world.crash("a", { leftover: "everything" });
  assert.deepEqual(content(world, "a"), { "/d": "/", "/d/e": "/", "/d/e/file": "x" });
});

test("SimWorld disk() that is read only refuses whatever would change it", async () => {
  const world = new SimWorld({ seed: 1 });
  world.disk("a").put("/file", Buffer.from("x"));
  const { storage } = world.host("a");
  const before = await storage.open("/file");
  world.disk("a").readOnly = true;
  const refused = { code: "EROFS" };
  await assert.rejects(storage.open("/file"), refused);
  await assert.rejects(storage.remove("/file"), refused);
  await assert.rejects(storage.rename("/file", "/other"), refused);
  await assert.rejects(storage.mkdir("/folder"), refused);
  await assert.rejects(storage.writeFile("/file", Buffer.from("y")), refused);
  await assert.rejects(before.append([Buffer.from("y")]), refused);
  await assert.rejects(before.truncate(0), refused);
  const file = await storage.open("/file", { readOnly: true });
  assert.equal((await file.read(0, 9)).toString(), "x");
  assert.deepEqual(content(world, "a"), { "/file": "x" });
});

test("SimWorld copyDisk() copies what a power cut would leave, and changes nothing", async () => {
  const world = new SimWorld({ seed: 1 });
  const { storage } = world.host("a");
  await world.settle(write(storage, "/synced", "1"));
  await world.settle(storage.syncDirectory("/"));
  const file = await storage.open("/synced");
  await file.append([Buffer.from("2")]);
  world.copyDisk("a", "b", "nothing");
  world.copyDisk("a", "c", "everything");
  assert.deepEqual(
    [content(world, "b"), content(world, "c")],
    [{ "/synced": "1" }, { "/synced": "12" }],
  );
  await world.settle(file.sync());
  assert.equal(world.disk("a").durable("/synced")?.toString(), "12");
  assert.equal(world.disk("c").durable("/synced")?.toString(), "12");
  assert.deepEqual(content(world, "b"), { "/synced": "1" }, "a disk of its own");
  world.host("b");
  assert.throws(() => world.copyDisk("a", "b", "nothing"), /a machine that runs/);
});

test("SimWorld whileUp() gives what the process gives, and rejects when it has ended", async () => {
  for (const end of ["crash", "kill"] as const) {
    const world = new SimWorld({ seed: 1 });
    const file = await world.host("a").storage.open("/f", { create: true });
    await world.settle(world.whileUp("a", file.sync()));
    const sync = world.whileUp("a", file.sync());
    world[end]("a");
    await assert.rejects(world.settle(sync), /the process on a has ended/);
    await assert.rejects(world.whileUp("a", new Promise(() => {})), /has ended/);
    assert.equal(await world.whileUp("a", Promise.resolve(1)).catch(() => 0), 1);
  }
});
