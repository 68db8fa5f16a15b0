/** What is to go goes, in the background and in the end, whatever the disk says in between. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { SimWorld } from "#simhost";
import { OutputStore } from "../src/master/output.ts";
import { Removals } from "../src/master/removals.ts";
import { withFiles, fileWith } from "./10-master.support.ts";

/** Removals that end when they are told to. */
function setUp() {
  let now = 0;
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const removals = new Removals({ monotonic: () => now, wall: () => now }, (name) => {
    begun.push(name);
    return new Promise((resolve, reject) => {
      ends.set(name, (error) => (error === undefined ? resolve() : reject(error)));
    });
  });
  const end = async (name: string, error?: Error): Promise<void> => {
    ends.get(name)!(error);
    await new Promise(setImmediate);
  };
  /** All that could begin has begun. */
  const soFar = async (): Promise<string[]> => {
    await new Promise(setImmediate);
    return begun;
  };
  return { removals, soFar, end, pass: (ms: number) => void (now += ms) };
}

const busy = Object.assign(new Error("EBUSY: resource busy"), { code: "EBUSY" });

test("add() removes two at a time and each name once, in order", async () => {
  const { removals, soFar, end } = setUp();
  for (const name of ["a", "b", "c", "b", "a", "c", "d"]) removals.add(name);
  assert.deepEqual([await soFar(), removals.size], [["a", "b"], 4]);
  await end("b");
  assert.deepEqual([await soFar(), removals.size], [["a", "b", "c"], 3]);
  removals.add("b"); // it has come back
  await end("c");
  await end("a");
  assert.deepEqual(await soFar(), ["a", "b", "c", "d", "b"]);
  assert.equal(removals.has("b"), true);
  await end("b");
  await end("d");
  assert.deepEqual([removals.has("b"), removals.size, (await soFar()).length], [false, 0, 5]);
});

test("what cannot be removed is tried again a minute later, with what comes then", async () => {
  const { removals, soFar, end, pass } = setUp();
  removals.add("a");
  await soFar();
  await end("a", busy);
  assert.deepEqual([removals.has("a"), removals.size], [true, 1]);
  pass(59_999);
  removals.add("a");
  removals.add("b");
  assert.deepEqual(await soFar(), ["a", "b"]);
  await end("b");
  pass(1);
  removals.add("c");
  assert.deepEqual(await soFar(), ["a", "b", "a", "c"]);
  await end("a");
  await end("c");
  assert.equal(removals.size, 0);
});

test("keep() saves what waits and what has failed, and waits for what has begun", async () => {
  const { removals, soFar, end, pass } = setUp();
  for (const name of ["a", "b", "c"]) removals.add(name);
  await soFar();
  await removals.keep("c");
  let kept = false;
  const waits = removals.keep("a").then(() => { kept = true; });
  await new Promise(setImmediate);
  assert.equal(kept, false);
  await end("a", busy); // and so it is still there, as it should be
  await waits;
  await end("b", busy);
  await removals.keep("b");
  pass(60_000);
  removals.add("d");
  assert.deepEqual([await soFar(), removals.size], [["a", "b", "d"], 1]);
});

test("now() goes before all others and says why it cannot; close() " +
  "begins nothing more", async () => {
  const { removals, soFar, end } = setUp();
  for (const name of ["a", "b", "c", "d"]) removals.add(name);
  await soFar();
  const asked = removals.now("d");
  const again = removals.now("d");
  assert.deepEqual(await soFar(), ["a", "b", "d"]);
  const refused = Promise.all([asked, again].map((one) => assert.rejects(one, /EBUSY/)));
  await end("d", busy);
  await refused;
  const third = removals.now("d");
  await soFar();
  await end("d");
  await third;
  assert.equal(removals.has("d"), false);
  let closed = false;
  const closing = removals.close().then(() => { closed = true; });
  await end("a");
  assert.equal(closed, false);
  await end("b");
  await closing;
  removals.add("e");
  assert.deepEqual([await soFar(), removals.size], [["a", "b", "d", "d"], 2]);
});

test("every one of 5,000 names goes, also those that are added meanwhile", async () => {
  const gone = new Set<string>();
  const removals = new Removals({ monotonic: () => 0, wall: () => 0 }, async (name) => {
    gone.add(name);
    if (name.length < 5) removals.add(`${name}+`);
  });
  for (let run = 0; run < 5000; run++) removals.add(`${run}`);
  while (removals.size > 0) await new Promise(setImmediate);
  assert.equal(gone.size, 5000 + 5000 + 1000 + 100 + 10, "each gets a + until it has five letters");
});

const chunk = (text: string) => ({ stream: "stdout" as const, at: 1, data: Buffer.from(text) });

test("an OutputStore that finds a folder of an earlier run with its number neither reads nor " +
  "extends it", async () => {
  const host = new SimWorld({ seed: 1 }).host("m");
  const key = { run: 7, job: 0, attempt: 1 };
  let store = new OutputStore(host, "/out");
  await store.append(key, [chunk("of a run that the log has lost")]);
  await store.close();
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const remove = async (path: string, options?: { recursive?: boolean }): Promise<void> => {
    await held;
    await host.storage.remove(path, options);
  };
  const storage = new Proxy(host.storage, {
    get: (target, name: keyof Host["storage"]) =>
      name === "remove" ? remove : target[name].bind(target),
  });
  store = new OutputStore({ ...host, storage }, "/out");
  await store.keepOnly(new Set());
  const read = async (): Promise<string> => {
    let text = "";
    for await (const chunks of store.read(key, () => false)) {
      for (const { data } of chunks) text += data;
    }
    return text;
  };
  assert.equal(await read(), "");
  const appended = store.append(key, [chunk("new")]);
  release();
  await appended;
  assert.equal(await read(), "new");
  await store.close();
});

test("remove() closes what still writes to the run and its folder does not come back", async () => {
  const world = new SimWorld({ seed: 1 });
  const real = world.host("m");
  let open = 0;
  const host = withFiles(real, (_path, file) => {
    open += 1;
    return fileWith(file, {
      append: async (parts) => {
        await new Promise<void>((resolve) => void real.timers.after(5, resolve));
        await file.append(parts);
      },
      close: async () => { open -= 1; await file.close(); },
    });
  });
  const store = new OutputStore(host, "/out");
  const late = [3, 4].map((job) => store.append({ run: 1, job, attempt: 1 }, [chunk("late")]));
  await real.storage.mkdir("/out/1"); // the first step of the append
  store.remove(1);
  store.remove(1);
  await world.settle(Promise.all(late));
  while (store.leftovers > 0) await new Promise(setImmediate);
  assert.deepEqual([await real.storage.list("/out"), open], [[], 0]);
  await store.close();
});
