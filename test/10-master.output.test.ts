/**
 * What jobs print: in order, capped, followed, and readable after a crash in the middle of a
 * record.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { SimWorld } from "#simhost";
import { BLOB_CHUNK_BYTES, type AttemptKey, type OutputChunk } from "#wire";
import { Holes, MAX_HOLES } from "../src/master/holes.ts";
import { MAX_OUTPUT_BYTES } from "../src/master/output-records.ts";
import { Reached, REACHED_STEP_BYTES } from "../src/master/output-reached.ts";
import { START } from "../src/master/output-segments.ts";
import { OutputStore } from "../src/master/output.ts";
import { diskFull, fileWith, withFiles } from "./10-master.support.ts";

const world = (): SimWorld => new SimWorld({ seed: 1 });
const keyOf = (job: number, attempt = 1): AttemptKey => ({ run: 1, job, attempt });
const chunk = (
  text: string | Buffer,
  stream: "stdout" | "stderr" = "stdout",
  at = 5,
): OutputChunk => ({ stream, at, data: Buffer.from(text) });

async function readAll(store: OutputStore, key: AttemptKey): Promise<OutputChunk[]> {
  const all: OutputChunk[] = [];
  for await (const chunks of store.read(key, () => false)) all.push(...chunks);
  return all;
}
const textOf = (chunks: readonly OutputChunk[]): string =>
  chunks.map(({ data }) => data.toString()).join("");

async function removed(store: OutputStore): Promise<void> {
  while (store.leftovers > 0) await new Promise(setImmediate);
}

test("append() keeps streams, times and order, whoever waits for what", async () => {
  const store = new OutputStore(world().host("m"), "/out");
  const key = keyOf(0);
  void store.append(key, [chunk("a", "stdout", 1), chunk("b", "stderr", 2_000_000_000_000)]);
  void store.append(key, []);
  await store.append(key, [chunk("c", "stdout", 3), chunk("", "stdout", 4)]);
  assert.deepEqual(
    (await readAll(store, key)).map(({ stream, at, data }) => [stream, at, data.toString()]),
    [
      ["stdout", 1, "a"],
      ["stderr", 2_000_000_000_000, "b"],
      ["stdout", 3, "c"],
    ],
  );
  assert.deepEqual(await readAll(store, keyOf(0, 2)), []);
  assert.deepEqual(await readAll(store, keyOf(1)), []);
});

test("read() with lastBytes begins at the last page with so much behind it, and goes on",
  async () => {
    const store = new OutputStore(world().host("m"), "/out", { isEndless: ({ job }) => job === 1 });
    for (const key of [keyOf(0), keyOf(1)]) {
      const pieces = Array.from({ length: 40 }, (_, at) => Buffer.alloc(100_000, 65 + at));
      for (const piece of pieces) await store.append(key, [chunk(piece)]);
      const whole = Buffer.concat(pieces);
      const last = async (lastBytes: number): Promise<Buffer> => {
        const found: Buffer[] = [];
        for await (const chunks of store.read(key, () => false, { lastBytes })) {
          found.push(...chunks.map(({ data }) => Buffer.from(data)));
        }
        return Buffer.concat(found);
      };
      for (const bytes of [1, 100_000, 150_000, 1_000_000, 3_900_000]) {
        const found = await last(bytes);
        assert.ok(found.length >= bytes && found.length < bytes + 2 * BLOB_CHUNK_BYTES, `${bytes}`);
        assert.ok(whole.subarray(-found.length).equals(found));
      }
      assert.ok((await last(whole.length)).equals(whole));
      assert.ok((await last(2 ** 40)).equals(whole));
      assert.equal((await last(0)).length < BLOB_CHUNK_BYTES, true);
    }
    let running = true;
    const followed = store.read(keyOf(0), () => running, { lastBytes: 1 });
    let text = "";
    for await (const chunks of followed) {
      text += textOf(chunks);
      if (text.endsWith("more")) running = false;
      else await store.append(keyOf(0), [chunk("more")]);
    }
    assert.ok(/^g*h{100000}more$/.test(text), text.slice(-8)); // "A" and 39 more
  });

test("read() with from begins at a page that has it, says what it leaves out, and goes on",
  async () => {
    const room = world();
    let reads = 0;
    const host = withFiles(room.host("m"), (_path, file) => fileWith(file, {
      read: (offset, length) => {
        reads += 1;
        return file.read(offset, length);
      },
    }));
    const store = new OutputStore(host, "/out", { isEndless: ({ job }) => job === 1 });
    for (const key of [keyOf(0), keyOf(1)]) {
      const pieces = Array.from({ length: 150 }, (_, at) => Buffer.alloc(100_000, 65 + at % 26));
      for (const piece of pieces) await store.append(key, [chunk(piece)]);
      const whole = Buffer.concat(pieces);
      const behind = async (from: number): Promise<number> => {
        const found: OutputChunk[] = [];
        for await (const chunks of store.read(key, () => false, { from })) found.push(...chunks);
        const told = found.filter(({ dropped }) => dropped !== undefined)
          .map(({ dropped }) => dropped!);
        const left = told.reduce((sum, bytes) => sum + bytes, 0);
        const data = Buffer.concat(found.filter(({ dropped }) => dropped === undefined)
          .map((each) => each.data));
        assert.ok(whole.subarray(left).equals(data), `from ${from} without ${left}`);
        assert.ok(left <= Math.max(from, whole.length - 9e6), `${left} behind ${from}`);
        assert.ok(from - left < 2 * BLOB_CHUNK_BYTES, `${from - left} bytes too many`);
        return left;
      };
      const all = whole.length;
      for (const from of [all, 12_345_678, all - 1, all - 250_000, 9_999_999]) await behind(from);
      reads = 0;
      for (const from of [all - 3, all]) await behind(from);
      assert.equal(await behind(all), all, "nothing is read twice");
      assert.ok(reads <= 12, `${reads} reads for three questions about the end`);
    }
    const text = (from: number): Promise<string> => (async () => {
      let found = "";
      for await (const chunks of store.read(keyOf(2), () => false, { from })) {
        found += textOf(chunks);
      }
      return found;
    })();
    await store.append(keyOf(2), [chunk("ab"), chunk("cd")]);
    assert.deepEqual([await text(0), await text(4), await text(99)], ["abcd", "", ""]);
    await store.append(keyOf(2), [chunk("ef")]);
    assert.deepEqual([await text(4), await text(6)], ["ef", ""]);
    // Another run of this number, later: nothing of what is known of the first holds.
    store.remove(1);
    await removed(store);
    await store.append(keyOf(2), [chunk("a longer text")]);
    assert.equal(await text(6), "a longer text");
    await store.close();
  });

test("what is known of outputs is bounded, and never too far", () => {
  const reached = new Reached();
  for (let seen = 0; seen < 40_000_000; seen += 10_000) {
    reached.note("1/0.1", { segment: 0, offset: 2 * seen, seen });
  }
  for (const wanted of [0, 1, 39_990_000, 25_000_000, 39_980_001, 2 ** 50]) {
    const { seen, offset } = reached.near("1/0.1", wanted);
    assert.ok(seen <= wanted && offset === 2 * seen, `${seen} for ${wanted}`);
    const isKept = wanted > 24_000_000 && wanted < 40_000_000;
    assert.ok(!isKept || wanted - seen <= 2 * REACHED_STEP_BYTES, `${seen}`);
  }
  for (let run = 2; run < 2000; run++) reached.note(`${run}/0.1`, { ...START, seen: 5 });
  assert.deepEqual(reached.near("1/0.1", 39_990_000), START, "nobody has asked for long");
  assert.equal(reached.near("1999/0.1", 5).seen, 5);
  reached.drop("1999/");
  assert.equal(reached.near("1999/0.1", 5).seen, 0);
});

/** As a process that starts. */
async function reopened(host: Host): Promise<OutputStore> {
  const store = new OutputStore(host, "/out");
  await store.keepOnly({ has: () => true });
  return store;
}

test("those who read what a run without output will print do not look at the disk", async () => {
  const real = world().host("m");
  let looks = 0;
  const storage = new Proxy(real.storage, { get: (_, name) => {
    looks += 1;
    const value: unknown = Reflect.get(real.storage, name);
    return typeof value === "function" ? value.bind(real.storage) as unknown : value;
  } });
  const store = new OutputStore({ ...real, storage }, "/out");
  const readers = [0, 1, 2].map((job) => readAll(store, keyOf(job)));
  assert.deepEqual([await Promise.all(readers), looks], [[[], [], []], 0]);
  await store.append(keyOf(0), [chunk("first")]);
  assert.equal(textOf(await readAll(store, keyOf(0))), "first");
  assert.ok(looks > 0);
});

test("append() keeps MAX_OUTPUT_BYTES and then one line, however often the file " +
  "is opened again", async () => {
  const room = world();
  const key = keyOf(0);
  const full = Buffer.alloc(BLOB_CHUNK_BYTES, 120);
  let store = new OutputStore(room.host("m"), "/out");
  const pieces = MAX_OUTPUT_BYTES / BLOB_CHUNK_BYTES;
  for (let i = 0; i < pieces - 1; i++) await store.append(key, [chunk(full)]);
  await store.append(key, [chunk(full.subarray(1)), chunk("123")]);
  for (let again = 0; again < 3; again++) {
    await store.append(key, [chunk("more"), chunk(full)]);
    await store.close();
    store = await reopened(room.host("m"));
  }
  const chunks = await readAll(store, key);
  const note = chunks.at(-1)!;
  assert.equal(note.stream, "stderr");
  assert.match(note.data.toString(), /^\n\[titan: output beyond 16777216 bytes is not kept\]\n$/);
  assert.equal(chunks.at(-2)!.data.toString(), "1");
  assert.equal(
    chunks.slice(0, -1).reduce((sum, { data }) => sum + data.length, 0),
    MAX_OUTPUT_BYTES,
  );
});

test("append() behind a full MAX_OUTPUT_BYTES, to the byte, adds the line " +
  "and nothing else", async () => {
  const store = new OutputStore(world().host("m"), "/out");
  for (let i = 0; i < MAX_OUTPUT_BYTES / BLOB_CHUNK_BYTES; i++) {
    await store.append(keyOf(0), [chunk(Buffer.alloc(BLOB_CHUNK_BYTES, 120))]);
  }
  assert.equal((await readAll(store, keyOf(0))).at(-1)!.data.length, BLOB_CHUNK_BYTES);
  await store.append(keyOf(0), [chunk("x"), chunk("y")]);
  const chunks = await readAll(store, keyOf(0));
  assert.equal(chunks.length, MAX_OUTPUT_BYTES / BLOB_CHUNK_BYTES + 1);
});

test("read() follows: every record once and in order, until the attempt is over, with any number " +
  "of readers", async () => {
  const room = world();
  const { timers, random } = room.host("m");
  for (let seed = 1; seed <= 20; seed++) {
    const store = new OutputStore(room.host("m"), `/out${seed}`);
    const key = keyOf(0);
    let running = true;
    const follow = async (): Promise<string> => {
      const chunks: OutputChunk[] = [];
      for await (const page of store.read(key, () => running)) chunks.push(...page);
      return textOf(chunks);
    };
    const readers = [follow(), follow()];
    let expected = "";
    for (let i = 0; i < 50; i++) {
      expected += `${i} `;
      const done = store.append(key, [chunk(`${i} `)]);
      if (random.unit() < 0.5) await done;
      if (random.unit() < 0.1) readers.push(follow());
      if (random.unit() < 0.2) {
        await room.settle(new Promise<void>((resolve) => void timers.after(1, resolve)));
      }
    }
    running = false;
    store.ended(key); // while the last appends are still under way
    readers.push(follow());
    for (const text of await Promise.all(readers)) assert.equal(text, expected, `seed ${seed}`);
  }
});

test("read() stops waiting when it is woken and nothing more may come", async () => {
  const store = new OutputStore(world().host("m"), "/out");
  let wanted = true;
  const reading = store.read(keyOf(0), () => wanted)[Symbol.asyncIterator]().next();
  await new Promise((resolve) => setImmediate(resolve));
  wanted = false;
  store.wake(keyOf(0));
  assert.deepEqual(await reading, { done: true, value: undefined });
});

test("a record torn at any byte costs that record only, and what is printed " +
  "afterwards is read", async () => {
  const room = world();
  const { storage } = room.host("m");
  const store = new OutputStore(room.host("m"), "/out");
  await store.append(keyOf(0), [chunk("first"), chunk("second")]);
  await store.close();
  const whole = await storage.readFile("/out/1/0.1");
  for (let cut = 0; cut <= whole.length; cut++) {
    const key = keyOf(0, 100 + cut);
    await storage.writeFile(`/out/1/0.${key.attempt}`, whole.subarray(0, cut));
    const kept = cut < 16 ? "" : cut < whole.length ? "first" : "firstsecond";
    const again = await reopened(room.host("m"));
    assert.equal(textOf(await readAll(again, key)), kept, `cut at ${cut}`);
    await again.append(key, [chunk("third")]);
    assert.equal(textOf(await readAll(again, key)), `${kept}third`, `cut at ${cut}`);
  }
});

test("zeros and any flipped bit in a file are never read as more memory than the file has, and " +
  "appending goes on", async () => {
  const room = world();
  const { storage } = room.host("m");
  const store = new OutputStore(room.host("m"), "/out");
  await store.append(keyOf(0), [chunk("first"), chunk("second", "stderr")]);
  await store.close();
  const whole = await storage.readFile("/out/1/0.1");
  const damaged = [Buffer.concat([whole, Buffer.alloc(5000)])];
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    damaged.push(flipped);
  }
  for (const [i, bytes] of damaged.entries()) {
    const key = keyOf(1, i);
    await storage.writeFile(`/out/1/1.${i}`, bytes);
    const again = await reopened(room.host("m"));
    assert.ok(
      (await readAll(again, key)).reduce((sum, { data }) => sum + data.length, 0) <= bytes.length,
    );
    await again.append(key, [chunk("third")]);
    assert.match(textOf(await readAll(again, key)), /third$/);
  }
  assert.equal(
    textOf(await readAll(await reopened(room.host("m")), keyOf(1, 0))),
    "firstsecondthird",
  );
});

test("300 attempts that print in turn keep 128 files open at most, and lose " +
  "and swap nothing", async () => {
  const room = world();
  let open = 0;
  let most = 0;
  const host = withFiles(room.host("m"), (_path, file) => {
    most = Math.max(most, ++open);
    return fileWith(file, { close: async () => { open -= 1; await file.close(); } });
  });
  const store = new OutputStore(host, "/out");
  const appends: Promise<void>[] = [];
  for (let round = 0; round < 5; round++) {
    for (let job = 0; job < 300; job++) {
      appends.push(store.append(keyOf(job), [chunk(`${job}:${round} `)]));
    }
    if (round % 2 === 0) await Promise.all(appends);
  }
  await Promise.all(appends);
  assert.ok(open <= 128, `${open} are open`);
  for (let job = 0; job < 300; job++) {
    assert.equal(
      textOf(await readAll(store, keyOf(job))),
      [0, 1, 2, 3, 4].map((round) => `${job}:${round} `).join(""),
    );
  }
  await store.close();
  assert.equal(open, 0);
  assert.ok(most < 500, `${most} were open at one moment`);
});

test("a file that is being closed is not opened a second time before that is done", async () => {
  const room = world();
  const real = room.host("m");
  // As on a real disk, where each handle writes where it believes the end to be.
  let handles = 0;
  const slow = withFiles(real, (_path, file) => {
    handles += 1;
    assert.equal(handles, 1, "two handles on one file");
    return fileWith(file, {
      append: async (parts) => {
        await new Promise<void>((resolve) => real.timers.after(5, resolve));
        await file.append(parts);
      },
      close: async () => {
        handles -= 1;
        await file.close();
      },
    });
  });
  const store = new OutputStore(slow, "/out");
  const appends: Promise<void>[] = [];
  for (const text of ["one ", "two ", "three"]) {
    appends.push(store.append(keyOf(0), [chunk(text)]));
    store.ended(keyOf(0));
  }
  await room.settle(Promise.all(appends).then(() => store.close()));
  assert.equal(textOf(await readAll(await reopened(real), keyOf(0))), "one two three");
});

test("a disk that is full for a moment costs what was printed then, and the output says so where " +
  "it is missing", async () => {
  const room = world();
  let full = false;
  const host = withFiles(room.host("m"), (_path, file) =>
    fileWith(file, {
      append: async (parts) => {
        if (full) throw diskFull();
        await file.append(parts);
      },
    }),
  );
  const store = new OutputStore(host, "/out");
  await store.append(keyOf(0), [chunk("before ")]);
  full = true;
  await assert.rejects(store.append(keyOf(0), [chunk("lost ")]), { code: "ENOSPC" });
  assert.equal(store.lossOf(keyOf(0)), true, "also if it is the only one");
  full = false;
  await store.append(keyOf(0), [chunk("after")]);
  const note =
    "\n[titan: 5 bytes of output could not be stored: ENOSPC: no space left on device]\n";
  assert.equal(textOf(await readAll(store, keyOf(0))), `before ${note}after`);
  const lost = { bytes: 5, why: "ENOSPC: no space left on device" };
  assert.deepEqual(store.takeLost(keyOf(0)), lost);
  assert.equal(store.takeLost(keyOf(0)), undefined, "an event speaks of it once");
  store.ended(keyOf(0));
  assert.equal(store.lossOf(keyOf(0)), false, "told in both places, and over");
});

test("half a record that did not get in hides nothing that comes after it", async () => {
  const room = world();
  let fault: "half" | "stuck" | undefined;
  const host = withFiles(room.host("m"), (_path, file) => fileWith(file, {
    append: async (parts) => {
      if (fault === undefined) return file.append(parts);
      await file.append([Buffer.concat(parts).subarray(0, 14)]);
      throw diskFull();
    },
    truncate: async (size) => {
      if (fault === "stuck") throw diskFull("ftruncate");
      await file.truncate(size);
    },
  }));
  const store = new OutputStore(host, "/out");
  await store.append(keyOf(0), [chunk("one ")]);
  for (const [at, kind] of (["half", "stuck"] as const).entries()) {
    fault = kind;
    await assert.rejects(store.append(keyOf(0), [chunk("lost "), chunk("more ")]), {
      code: "ENOSPC",
    });
    fault = undefined;
    await store.append(keyOf(0), [chunk(`after ${at} `)]);
  }
  const seen = textOf(await readAll(store, keyOf(0)));
  assert.match(
    seen,
    /^one \n\[titan: 10 bytes [^\]]*\]\nafter 0 \n\[titan: 10 bytes [^\]]*\]\nafter 1 $/,
  );
  assert.equal(store.takeLost(keyOf(0))?.bytes, 20);
});

test("an output file that could not be opened is opened for the next words, and an ended attempt " +
  "is told of its hole", async () => {
  const room = world();
  let none = true;
  const emfile = () =>
    Object.assign(new Error("EMFILE: too many open files, open '/out/1/0.1'"), { code: "EMFILE" });
  const real = room.host("m");
  const mkdir = async (path: string): Promise<void> => {
    if (none) throw emfile();
    await real.storage.mkdir(path);
  };
  const wrapped = withFiles(real, (_path, file) => file);
  const store = new OutputStore({ ...wrapped, storage: { ...wrapped.storage, mkdir } }, "/out");
  for (const job of [0, 1]) {
    await assert.rejects(store.append(keyOf(job), [chunk("12345")]), { code: "EMFILE" });
  }
  store.ended(keyOf(1));
  assert.equal(store.takeLost(keyOf(1))?.why, "EMFILE: too many open files", "without the path");
  none = false;
  await store.append(keyOf(0), [chunk("now")]);
  assert.match(
    textOf(await readAll(store, keyOf(0))),
    /5 bytes of output could not be stored: EMFILE.*\]\nnow$/s,
  );
  while (store.lossOf(keyOf(1))) await new Promise(setImmediate);
  assert.match(
    textOf(await readAll(store, keyOf(1))),
    /^\n\[titan: 5 bytes[^\]]*\]\n$/,
    "said once",
  );
  await store.close();
  assert.equal(store.lossOf(keyOf(1)), false);
  assert.equal(store.files, 0);
});

test("one success after a full disk is followed by the last words of all attempts " +
  "that are over", async () => {
  const room = world();
  let full = true;
  const host = withFiles(room.host("m"), (_path, file) => fileWith(file, {
    append: async (parts) => { if (full) throw diskFull(); await file.append(parts); },
  }));
  const store = new OutputStore(host, "/out");
  for (const job of [1, 2, 3]) {
    await assert.rejects(store.append(keyOf(job), [chunk("12345")]));
    store.ended(keyOf(job));
    assert.equal(store.takeLost(keyOf(job))?.bytes, 5);
  }
  while (store.files > 0) await new Promise(setImmediate); // its own last try has failed, too
  full = false;
  await store.append(keyOf(0), [chunk("room")]);
  for (let turn = 0; turn < 200 && store.busy; turn++) {
    if (turn === 100) store.ended(keyOf(0));
    await new Promise(setImmediate);
  }
  for (const job of [1, 2, 3]) {
    assert.equal(store.lossOf(keyOf(job)), false, `job ${job}`);
    assert.match(textOf(await readAll(store, keyOf(job))), /^\n\[titan: 5 bytes[^\]]*\]\n$/);
  }
});

test("output beyond the limit is not lost by a full disk, since nobody would " +
  "have kept it", async () => {
  const room = world();
  let full = false;
  const host = withFiles(room.host("m"), (_path, file) => fileWith(file, {
    append: async (parts) => { if (full) throw diskFull(); await file.append(parts); },
  }));
  const store = new OutputStore(host, "/out");
  const piece = Buffer.alloc(BLOB_CHUNK_BYTES, 120);
  for (let i = 1; i < MAX_OUTPUT_BYTES / BLOB_CHUNK_BYTES; i++) {
    await store.append(keyOf(0), [chunk(piece)]);
  }
  full = true;
  await assert.rejects(store.append(keyOf(0), [chunk(piece), chunk(piece)]));
  assert.equal(store.takeLost(keyOf(0))?.bytes, BLOB_CHUNK_BYTES);
  assert.equal(store.lossOf(keyOf(0)), true, "the output does not say so yet");
  store.remove(keyOf(0).run);
  assert.equal(store.lossOf(keyOf(0)), false, "nobody can ask for it any more");
});

test("Holes remembers as many attempts as it may, the newest", () => {
  const holes = new Holes();
  for (let i = 0; i <= MAX_HOLES; i++) holes.add(`1/${i}.1`, 7, diskFull());
  assert.equal(holes.size, MAX_HOLES);
  assert.deepEqual([holes.has("1/0.1"), holes.has("1/1.1")], [false, true]);
  holes.add(`1/${MAX_HOLES}.1`, 7, diskFull());
  assert.equal(holes.report(`1/${MAX_HOLES}.1`)?.bytes, 14);
  assert.equal(holes.size, MAX_HOLES, "one that is known makes no other one go");
  holes.drop("1/");
  assert.equal(holes.size, 0);
});

test("remove() and keepOnly() remove what runs printed, and nothing of the others", async () => {
  const host = world().host("m");
  const { storage } = host;
  let store = new OutputStore(host, "/out");
  for (const run of [1, 2, 30, 3]) await store.append({ run, job: 0, attempt: 1 }, [chunk("x")]);
  await store.close();
  store = new OutputStore(host, "/out");
  await store.append({ run: 3, job: 0, attempt: 1 }, [chunk("x")]);
  store.remove(3);
  store.remove(99); // it has printed nothing
  await removed(store);
  assert.deepEqual(await storage.list("/out"), ["1", "2", "30"]);
  await storage.mkdir("/out/030");
  await store.keepOnly(new Set([30]));
  await removed(store);
  assert.deepEqual(await storage.list("/out"), ["30"]);
  store.remove(30); // an earlier process had made it
  await removed(store);
  assert.deepEqual(await storage.list("/out"), []);
});
