/**
 * The store's log: what is answered is kept, what is torn was not answered, and a rewrite changes
 * nothing but the size.
 */
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test, type TestContext } from "node:test";
import { nodeHost, seededRandom, type Host } from "#host";
import { Log, LogError } from "#log";
import { SimWorld } from "#simhost";
import {
  dumpResp,
  MAX_BEHIND_BYTES,
  openStore,
  ReplyBuffer,
  Refusal,
  RespParser,
  startStore,
  Engine,
  StoreLogError,
  type OpenStore,
  type OpenStoreOptions,
  type Reply,
} from "#store";
import { StoreLog } from "../src/store/log/aof.ts";
import { ChunkQueue } from "../src/store/log/chunk-queue.ts";
import { Replay } from "../src/store/log/replay.ts";
import {
  encodeCommand, encodedBytes, encodeGroup, encodePieces, TextBuffer,
} from "../src/store/log/text.ts";
import { contents } from "./15-store.support.ts";
import { eventually } from "./processes.support.ts";

/** Stores that a test has closed have nothing open any more. */
const worlds: SimWorld[] = [];
afterEach(() => {
  for (const world of worlds.splice(0)) assert.deepEqual(world.open("s"), []);
});

const isSegment = (name: string): boolean => name.endsWith(".seg");

const DIR = "/data/store";

/** Executes commands as an embedded client; yields the last answer. */
function asker(store: Engine): (...argv: string[]) => Reply {
  const out = new ReplyBuffer();
  const session = store.session({ out });
  return (...argv) => {
    store.execute(session, argv);
    return out.take().at(-1)!;
  };
}

interface Room {
  readonly world: SimWorld;
  readonly host: Host;
  open(options?: Partial<OpenStoreOptions>): Promise<OpenStore>;
  commit(opened: OpenStore): Promise<void>;
}

function room(seed = 1): Room {
  const world = new SimWorld({ seed });
  const host = world.host("s");
  worlds.push(world);
  return {
    world,
    host,
    open: (options = {}) =>
      world.settle(openStore({ host: world.host("s"), dir: DIR, ...options })),
    commit: (opened) => world.settle(Promise.resolve(opened.afterCommit())),
  };
}

/** Commands of all families, some of which propagate as others. */
function traffic(seed: number, count: number): string[][] {
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random.unit() * items.length)]!;
  const key = (): string => pick(["a", "b", "c", "d\0\xff\r\n", "e"]);
  return Array.from({ length: count }, (_, i) =>
    pick<() => string[]>([
      () => [
        "SET",
        `s${key()}`,
        `v${i}\r\n*1`,
        ...pick([[], ["PX", String(50 + Math.floor(random.unit() * 5000))], ["NX"]]),
      ],
      () => ["INCRBYFLOAT", `f${key()}`, "0.1"],
      () => ["INCR", `n${key()}`],
      () => ["APPEND", `s${key()}`, "x"],
      () => [
        "SADD",
        `set${key()}`,
        ...Array.from({ length: 5 }, () => String(Math.floor(random.unit() * 30))),
      ],
      () => ["SPOP", `set${key()}`, "2"],
      () => ["HSET", `h${key()}`, `f${i % 7}`, String(i)],
      () => ["HDEL", `h${key()}`, `f${i % 7}`],
      () => ["RPUSH", `l${key()}`, String(i), "\0"],
      () => ["LPOP", `l${key()}`],
      () => ["DEL", `${pick(["s", "n", "h", "l", "set"])}${key()}`],
      () => [
        "PEXPIRE",
        `${pick(["s", "n", "h", "l", "set"])}${key()}`,
        String(20 + Math.floor(random.unit() * 3000)),
      ],
      () => ["PERSIST", `s${key()}`],
      () => ["RENAME", `s${key()}`, `s${key()}`],
    ])(),
  );
}

test("openStore() finds again what it was told, whatever the commands", async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const { world, open, commit } = room(seed);
    const first = await open({ durability: "always" });
    const ask = asker(first.store);
    for (const argv of traffic(seed, 300)) {
      if (argv[0] === "APPEND") {
        ask("MULTI");
        ask("INCR", "in a transaction");
        ask(...argv);
        ask("EXEC");
      } else ask(...argv);
      if (argv[0] === "HDEL") await world.run(world.now + 20);
      if (argv[0] === "INCR") await commit(first);
    }
    await commit(first);
    const before = contents(first.store);
    first.store.close();
    world.kill("s");
    const second = await open();
    // What was due meanwhile goes at the first chance; the deadlines of the rest are the same
    // milliseconds.
    assert.deepEqual(contents(second.store), before, `seed ${seed}`);
    await world.settle(second.close());
  }
});

test("afterCommit resolves after the fsync under always, and a power cut takes nothing that was " +
  "answered", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { world, open, commit } = room(seed);
    const first = await open({ durability: "always" });
    const ask = asker(first.store);
    let answered = 0;
    for (let i = 1; i <= 30; i++) {
      ask("SET", "n", String(i));
      ask("RPUSH", "l", "x".repeat(i));
      if (seed % 3 === i % 3) {
        await commit(first);
        answered = i;
      }
    }
    void first.afterCommit()?.catch(() => {});
    first.store.close();
    world.crash("s", { torn: true, garbage: seed % 2 === 0 });
    const second = await open();
    const kept = Number(asker(second.store)("GET", "n"));
    assert.ok(kept >= answered, `seed ${seed}: ${kept} of ${answered}`);
    await world.settle(second.close());
  }
});

test("afterCommit resolves after the write under everysec, and a killed process loses nothing " +
  "that was answered", async () => {
  const { world, open, commit } = room();
  const first = await open();
  asker(first.store)("SET", "k", "v");
  await commit(first);
  assert.equal(first.afterCommit(), undefined, "it is safe already");
  assert.equal(info(asker(first.store), "loading"), "0");
  first.store.close();
  world.kill("s");
  const second = await open();
  assert.equal(asker(second.store)("GET", "k"), "v");
  assert.equal(second.afterCommit(), undefined, "nothing to wait for");
  await world.settle(second.close());
});

test("openStore() replays a transaction whole or not at all, wherever its " +
  "record is torn", async () => {
  const folder = await mkdtemp(join(tmpdir(), "titan-store-"));
  const host = nodeHost();
  try {
    const dir = join(folder, "a");
    const first = await openStore({ host, dir, durability: "always" });
    const ask = asker(first.store);
    ask("SET", "x", "0");
    await first.afterCommit();
    const log = join(dir, "log");
    const name = (await readdir(log)).find(isSegment)!;
    const start = (await readFile(join(log, name))).length;
    ask("MULTI");
    ask("SET", "x", "1");
    ask("SET", "y", "1");
    ask("EXEC");
    await first.close();
    const whole = await readFile(join(log, name));
    assert.ok(whole.length > start + 60);
    for (let cut = whole.length - 1; cut >= start; cut -= 4) {
      await writeFile(join(log, name), whole.subarray(0, cut));
      const copy = await openStore({ host, dir });
      const has = asker(copy.store);
      assert.deepEqual([has("GET", "x"), has("GET", "y")], ["0", null], `cut at ${cut}`);
      await copy.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("openStore() forgets the torn half of a group that was larger than a record, and what comes " +
  "next stands alone", async () => {
  const { openLog } = await import("#log");
  const whole =
    "*1\r\n$5\r\nmulti\r\n*2\r\n$4\r\nincr\r\n$1\r\nn\r\n*2\r\n$4\r\nincr\r\n$1\r\nn\r\n*1\r\n$4\r\nexec\r\n";
  for (let cut = 1; cut <= whole.length; cut++) {
    const { world, host, open } = room();
    const log = await world.settle(openLog({ host, dir: `${DIR}/log` }));
    log.append(Buffer.from("*3\r\n$3\r\nset\r\n$1\r\nn\r\n$1\r\n5\r\n"));
    log.append(Buffer.from(whole.slice(0, cut)));
    await world.settle(log.close());
    for (let i = 0; i < 3; i++) {
      const opened = await open();
      assert.equal(
        asker(opened.store)("INCR", "n"),
        (cut === whole.length ? 8 : 6) + i,
        `cut at ${cut}`,
      );
      await world.settle(opened.close());
    }
  }
});

test("a command that is larger than a record is kept whole", async () => {
  const { world, open, commit } = room();
  const first = await open();
  const ask = asker(first.store);
  const value = "v".repeat(33 * 1024 * 1024);
  ask("SET", "before", "1");
  ask("MSET", "a", value, "b", value);
  await commit(first);
  ask("SET", "after", "1");
  await commit(first);
  first.store.close();
  world.kill("s");
  const second = await open();
  const has = asker(second.store);
  assert.deepEqual(
    [has("STRLEN", "a"), has("STRLEN", "b"), has("GET", "after")],
    [value.length, value.length, "1"],
  );
  await world.settle(second.close());
});

test("encodePieces() and TextBuffer cut out what is large, and change no byte", () => {
  const random = seededRandom(15);
  const lengths = [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 50_000];
  const text = new TextBuffer();
  let expected = "";
  for (let i = 0; i < 200; i++) {
    const argv = Array.from({ length: 1 + (random.u32() % 4) }, () => {
      const length = lengths[random.u32() % (i % 2 === 0 ? 2 : lengths.length)]!;
      return String.fromCharCode(random.u32() % 256).repeat(length);
    });
    const pieces = [...encodePieces(argv)];
    const large = argv.filter((arg) => arg.length >= 16 * 1024).length;
    assert.equal(pieces.length, 2 * large + 1);
    for (const piece of pieces) text.add(piece);
    expected += encodeCommand(argv);
    assert.equal(text.length, expected.length);
    if (random.u32() % 10 > 0) continue;
    assert.ok(text.take().equals(Buffer.from(expected, "latin1")));
    assert.equal(text.length, 0);
    expected = "";
  }
  assert.ok(text.take().equals(Buffer.from(expected, "latin1")));
});

test("encodedBytes() is the length of what encodeCommand() makes", () => {
  for (const count of [1, 9, 10, 11, 99, 100, 101]) {
    for (const length of [0, 1, 9, 10, 99, 100, 999, 1000]) {
      const argv = Array.from({ length: count }, () => "x".repeat(length));
      assert.equal(encodedBytes(argv), encodeCommand(argv).length, `${count} × ${length}`);
    }
  }
});

test("encodeGroup() yields a group in pieces, and openStore() logs it in pieces: all of it may " +
  "be longer than a string", async () => {
  const group = [["set", "a", "1"], ["del", "b"]];
  assert.deepEqual([...encodeGroup(group)], [["multi"], ...group, ["exec"]].map(encodeCommand));
  assert.deepEqual([...encodeGroup([group[0]!])], [encodeCommand(group[0]!)]);
  const { world, open } = room();
  const first = await open();
  const ask = asker(first.store);
  const value = "v".repeat(5 * 1024 * 1024);
  ask("MULTI");
  for (const key of ["a", "b", "c"]) ask("SET", key, value);
  ask("EXEC");
  await world.settle(first.close());
  const second = await open();
  assert.equal(second.recovery!.records, 4, "three values, and an EXEC");
  assert.deepEqual(
    ["a", "b", "c"].map((key) => asker(second.store)("STRLEN", key)),
    [value.length, value.length, value.length],
  );
  await world.settle(second.close());
});

for (const argv of [
  ["SET", "k", "v", "PXAT", "9223372036854775807"],
  ["SET", "k", "v", "EXAT", "9223372036854775"],
  ["GETEX", "old", "PXAT", "9223372036854775300"],
  ["PEXPIREAT", "old", "9223372036854775807"],
]) {
  const words = argv.join(" ");
  test(`a deadline at the end of 64 bits is one after a replay, too: ${words}`, async () => {
    const { world, open } = room();
    let opened = await open();
    let ask = asker(opened.store);
    ask("SET", "old", "1");
    ask(...argv);
    const at = ask("PEXPIRETIME", argv[1]!);
    const far = BigInt(String(at));
    assert.ok(far > 2n ** 63n - 2048n && far < 2n ** 63n, `${far}`);
    for (const rewrites of [true, false]) {
      if (rewrites) await world.settle(opened.rewrite());
      await world.settle(opened.close());
      opened = await open();
      ask = asker(opened.store);
      assert.equal(ask("PEXPIRETIME", argv[1]!), at);
    }
    await world.settle(opened.close());
  });
}

test("openStore() refuses damage, naming file and offset", async () => {
  const folder = await mkdtemp(join(tmpdir(), "titan-store-"));
  const host = nodeHost();
  try {
    const first = await openStore({ host, dir: folder, durability: "always" });
    const ask = asker(first.store);
    for (let i = 0; i < 20; i++) {
      ask("SET", `k${i}`, "v".repeat(20));
      await first.afterCommit();
    }
    await first.close();
    const log = join(folder, "log");
    const name = (await readdir(log)).find(isSegment)!;
    const whole = await readFile(join(log, name));
    for (let at = 200; at < 500; at += 37) {
      const bad = Buffer.from(whole);
      bad[at]! ^= 1 << at % 8;
      await writeFile(join(log, name), bad);
      await assert.rejects(
        openStore({ host, dir: folder }),
        (error) =>
          error instanceof LogError &&
          error.code === "DAMAGED" &&
          error.file!.endsWith(name) &&
          error.offset! <= at,
      );
      await assert.rejects(dump(host, folder), LogError);
    }
    await writeFile(join(log, name), whole);
    await (await openStore({ host, dir: folder })).close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("openStore() refuses records that are not a store's", async () => {
  const { openLog } = await import("#log");
  for (const text of [
    "hello\r\n",
    "\x01\x02w1 has no line end",
    "*1\r\n$3\r\nGET\r\n",
    "*x\r\n",
    "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
  ]) {
    const { world, host, open } = room();
    const log = await world.settle(openLog({ host, dir: `${DIR}/log` }));
    log.append(Buffer.from(text));
    await world.settle(log.close());
    await assert.rejects(
      open(),
      { name: "StoreLogError", code: "BAD_RECORD", message: /^Cannot replay record 1/ },
      text,
    );
    // The folder is free again, and what was there is there.
    await assert.rejects(open(), StoreLogError);
    await assert.rejects(
      world.settle(dump(host, DIR)),
      (error) => error instanceof StoreLogError && /^Cannot replay record 1/.test(error.message),
    );
  }
  const { world, host, open } = room();
  const log = await world.settle(openLog({ host, dir: `${DIR}/log` }));
  const chunks = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from("hello\r\n");
  };
  log.append(Buffer.from("what the snapshot stands for"));
  await world.settle(log.saveSnapshot(log.nextSeq - 1, chunks()));
  await world.settle(log.close());
  await assert.rejects(open(), /^StoreLogError: Cannot replay snapshot: /);
});

test("what an embedded client changes in a store that is closed goes nowhere, and breaks " +
  "nothing", async () => {
  const { world, open } = room();
  const opened = await open();
  const ask = asker(opened.store);
  assert.deepEqual(ask("CONFIG", "GET", "append*"), [
    "appendonly", "yes", "appendfsync", "everysec",
  ]);
  await world.settle(opened.close());
  assert.equal(ask("SET", "k", "v"), "OK");
  await world.run();
  const again = await open();
  assert.equal(asker(again.store)("GET", "k"), null);
  await world.settle(again.close());
});

test("openStore() makes its folder, takes it, reads the snapshot, and then the " +
  "records", async (t) => {
  const { world, host } = room();
  const order: string[] = [];
  /** Each takes a moment, and tells its beginning and its end. */
  const slow = <F extends (...args: never[]) => Promise<unknown>>(name: string, real: F) =>
    async function (this: unknown, ...args: Parameters<F>) {
      order.push(`${name}…`);
      await new Promise<void>((resolve) => host.timers.after(1, resolve));
      const result = await real.apply(this, args);
      order.push(name);
      return result;
    };
  for (const name of ["mkdir", "lock"] as const) {
    const real = host.storage[name].bind(host.storage) as () => Promise<never>;
    t.mock.method(host.storage, name, slow(name, real));
  }
  for (const name of ["readSnapshot", "replay"] as const) {
    t.mock.method(Log.prototype, name, slow(name, Log.prototype[name] as () => Promise<never>));
  }
  const opened = await world.settle(openStore({ host, dir: DIR }));
  const own = order.filter((each) => each.startsWith("read") || each.startsWith("rep"));
  assert.deepEqual(order.slice(0, 4), ["mkdir…", "mkdir", "lock…", "lock"]);
  assert.deepEqual(own, ["readSnapshot…", "readSnapshot", "replay…", "replay"]);
  assert.equal(opened.store.role, "primary");
  await world.settle(opened.close());
});

test("openStore() lets one process in", async () => {
  const { world, open } = room();
  const first = await open();
  await assert.rejects(open(), { code: "ELOCKED" });
  await world.settle(first.close());
  await world.settle((await open()).close());
});

test("a failed fsync stops the store: nothing is answered, nothing more is taken", async () => {
  const { world, host, open } = room();
  const fatal: Error[] = [];
  const opened = await open({ durability: "always", onFatal: (error) => fatal.push(error) });
  const server = await world.settle(
    startStore({
      host,
      listen: { host: "127.0.0.1", port: 6479 },
      store: opened.store,
      afterCommit: () => opened.afterCommit(),
    }),
  );
  const socket = await world.settle(world.host("c").network.dial({ host: "s", port: 6479 }));
  let text = "";
  let closed = false;
  socket.handle({ onData: (chunk) => (text += chunk.toString()), onClose: () => (closed = true) });
  socket.write(Buffer.from("SET a 1\r\n"));
  await world.run(world.now + 100);
  assert.equal(text, "+OK\r\n");
  world.disk("s").fail("sync", { code: "EIO" });
  socket.write(Buffer.from("SET a 2\r\n"));
  await world.run(world.now + 100);
  assert.equal(text, "+OK\r\n");
  assert.equal(closed, true);
  assert.equal(fatal.length, 1);
  const answer = asker(opened.store)("SET", "a", "3");
  assert.ok(answer instanceof Refusal && /^MISCONF/.test(answer.text));
  await assert.rejects(async () => opened.afterCommit(), LogError);
  await world.settle(server.close());
  await world.settle(opened.close().catch(() => {}));
});

/** Replaces what `slow` waits for: each call goes on when the test opens its gate. */
function gated(t: TestContext, host: Host) {
  const gates: { name: string; open: () => void }[] = [];
  const at = (name: string) => new Promise<void>((open) => gates.push({ name, open }));
  const lock = host.storage.lock.bind(host.storage);
  t.mock.method(host.storage, "lock", async (path: string) => {
    const { release } = await lock(path);
    return { release: () => at("release").then(release) };
  });
  const { close } = Log.prototype;
  t.mock.method(Log.prototype, "close", async function (this: Log) {
    await at("close");
    await close.call(this);
  });
  t.mock.method(StoreLog.prototype, "commit", () => at("commit"));
  return gates;
}

test("a store that cannot be opened has closed its log, and then let go of its folder, before it " +
  "says so", async (t) => {
  const { world, host } = room();
  const { openLog } = await import("#log");
  const log = await world.settle(openLog({ host, dir: `${DIR}/log` }));
  log.append(Buffer.from("hello\r\n"));
  await world.settle(log.close());
  const gates = gated(t, host);
  let failed = false;
  const opening = openStore({ host, dir: DIR }).catch(() => { failed = true; });
  for (const name of ["close", "release"]) {
    await world.run(world.now + 100);
    assert.deepEqual([gates.at(-1)?.name, failed], [name, false]);
    gates.at(-1)!.open();
  }
  await world.settle(opening);
  assert.deepEqual([gates.length, failed], [2, true]);
});

test("a store that is closed commits, closes its log and lets go of its folder, in " +
  "turn", async (t) => {
  const { world, host, open } = room();
  const gates = gated(t, host);
  const opened = await open({ host });
  let closed = false;
  const closing = opened.close().then(() => { closed = true; });
  for (const name of ["commit", "close", "release"]) {
    await world.run(world.now + 100);
    await assert.rejects(open(), { code: "ELOCKED" });
    assert.deepEqual([gates.at(-1)?.name, closed], [name, false]);
    gates.at(-1)!.open();
  }
  await world.settle(closing);
  assert.deepEqual([gates.length, closed], [3, true]);
  t.mock.restoreAll();
  const next = await open();
  await world.settle(next.close());
});

test("writes are refused while too much waits for the disk and nothing of it is lost", async () => {
  const { world, open } = room();
  const opened = await open({ durability: "always" });
  const ask = asker(opened.store);
  const value = "v".repeat(32 * 1024 * 1024);
  let taken = 0;
  let answer: Reply = "OK";
  while (answer === "OK" && taken < 20) {
    answer = ask("SET", `k${taken}`, value);
    void opened.afterCommit();
    if (answer === "OK") taken++;
  }
  assert.ok(answer instanceof Refusal && /^BUSY \d+ bytes wait/.test(answer.text));
  assert.ok(taken * value.length <= MAX_BEHIND_BYTES + value.length, `${taken} values`);
  assert.equal(ask("STRLEN", "k0"), value.length, "reading goes on");
  await world.settle(Promise.resolve(opened.afterCommit()));
  assert.equal(ask("SET", "after", "1"), "OK");
  await world.settle(opened.close());
});

test("a write waits when more waits for the disk than may, and a log is rewritten when it has " +
  "the least size: not a byte before", async () => {
  let behind = 1000;
  for (const [less, second] of [[0, "OK"], [0, "OK"], [1, "BUSY"]] as const) {
    const { world, open } = room();
    const opened = await open({ durability: "always", maxBehindBytes: behind - less });
    const ask = asker(opened.store);
    ask("SET", "k", "v");
    void opened.afterCommit();
    behind = Number(info(ask, "aof_buffer_length"));
    const answer = ask("SET", "k", "w");
    assert.equal(answer instanceof Refusal ? answer.text.slice(0, 4) : answer, second);
    await world.settle(Promise.resolve(opened.afterCommit()));
    await world.settle(opened.close());
  }
  const size = encodeCommand(["set", "k", "v"]).length;
  for (const rewriteMinBytes of [size, size + 1]) {
    const { world, open } = room();
    const opened = await open({ rewriteMinBytes });
    const ask = asker(opened.store);
    ask("SET", "k", "v");
    void opened.afterCommit();
    assert.equal(info(ask, "aof_rewrite_in_progress"), rewriteMinBytes === size ? "1" : "0");
    await world.run(world.now + 100);
    await world.settle(opened.close());
  }
});

test("writes go on when half of what may wait is on disk, and no sooner", async () => {
  // The first time tells what the second record counts.
  let record = 0;
  for (const [less, afterMs] of [[undefined, 400], [0, 200], [1, 400]] as const) {
    const { world, open, commit } = room();
    const maxBehindBytes = less === undefined ? 1000 : 2 * record - less;
    const opened = await open({ durability: "always", maxBehindBytes });
    const ask = asker(opened.store);
    assert.equal(opened.caughtUp(), undefined);
    world.disk("s").slowSync([200, 200]);
    const start = world.now;
    for (const size of [600, 500]) {
      const before = Number(info(ask, "aof_buffer_length"));
      ask("SET", "k", "v".repeat(size));
      void opened.afterCommit();
      record = Number(info(ask, "aof_buffer_length")) - before;
      await world.run(world.now + 50);
    }
    await world.settle(opened.caughtUp()!);
    assert.equal(Math.round((world.now - start) / 100) * 100, afterMs);
    assert.equal(opened.caughtUp(), undefined);
    await commit(opened);
    assert.equal(opened.afterCommit(), undefined, "all of it is safe");
    await world.settle(opened.close());
  }
});

test("a turn keeps back half of what may wait for the disk, and no more", async () => {
  const argv = ["set", "k", "v".repeat(600)];
  const { length } = encodeCommand(argv);
  for (const [maxBehindBytes, isOut] of [[2 * length, true], [2 * length + 2, false]] as const) {
    const { world, open, commit } = room();
    const opened = await open({ maxBehindBytes });
    const ask = asker(opened.store);
    ask(...argv);
    assert.equal(info(ask, "aof_buffer_length") !== "0", isOut);
    await commit(opened);
    await world.settle(opened.close());
  }
});

test("a log is rewritten at twice its size after the last rewrite: not a byte before", async () => {
  for (const less of [1, 0]) {
    const { world, open, commit } = room();
    const opened = await open({ rewriteMinBytes: 1000 });
    const ask = asker(opened.store);
    ask("SET", "k", "v".repeat(2000));
    await world.settle(opened.rewrite().catch(() => {}));
    await world.run(world.now + 100);
    const base = Number(info(ask, "aof_base_size"));
    assert.ok(base > 2000 && Number(info(ask, "aof_current_size")) === base);
    const around = encodeCommand(["set", "x", "v".repeat(1000)]).length - 1000;
    ask("SET", "x", "v".repeat(base - around - less));
    void opened.afterCommit();
    assert.equal(Number(info(ask, "aof_current_size")), 2 * base - less);
    assert.equal(info(ask, "aof_rewrite_in_progress"), less === 0 ? "1" : "0");
    await commit(opened);
    await world.run(world.now + 100);
    await world.settle(opened.close());
  }
});

test("INFO says what the log of a new store is like", async () => {
  const { world, open } = room();
  const opened = await open();
  assert.equal(
    asker(opened.store)("INFO", "persistence"),
    ["# Persistence", "loading:0", "aof_enabled:1", "aof_rewrite_in_progress:0",
      "aof_last_bgrewrite_status:ok", "aof_last_write_status:ok", "aof_current_size:0",
      "aof_base_size:0", "aof_buffer_length:0", "aof_rewrite_buffer_length:0", ""].join("\r\n"),
  );
  await world.settle(opened.close());
});

test("REPLICAOF takes a host and a port, or NO ONE", async () => {
  const { world, open } = room();
  const opened = await open();
  const { store } = opened;
  const ask = asker(store);
  for (const [host, port, answer, role] of [
    ["h", "65535", "OK", "replica"], ["no", "ONE", "OK", "primary"],
    ["no", "1", "OK", "replica"], ["No", "oNe", "OK", "primary"],
    ["h", "65536", "ERR Invalid master port", "primary"],
    ["h", "one", "ERR Invalid master port", "primary"],
    ["no", "two", "ERR Invalid master port", "primary"],
    ["h", "01", "ERR Invalid master port", "primary"],
  ] as const) {
    const reply = ask("REPLICAOF", host, port);
    const found = [reply instanceof Refusal ? reply.text : reply, store.role];
    assert.deepEqual(found, [answer, role], `${host} ${port}`);
  }
  await world.settle(opened.close());
});

test("BGREWRITEAOF keeps the moment it began, while commands go on, and what " +
  "comes after it", async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { world, open, commit } = room(seed);
    const first = await open({ durability: "always" });
    const ask = asker(first.store);
    for (let i = 0; i < 3000; i++) ask("SET", `key${i}`, String(i));
    await commit(first);
    assert.equal(ask("BGREWRITEAOF"), "Background append only file rewriting started");
    const again = ask("BGREWRITEAOF");
    assert.ok(
      again instanceof Refusal &&
        again.text === "ERR Background append only file rewriting already in progress",
    );
    for (const [i, argv] of traffic(seed, 200).entries()) {
      ask(...argv);
      ask("INCR", `key${(i * 37) % 3000}`);
      ask("DEL", `key${(i * 61) % 3000}`);
      if (i % 5 === 0) await world.run(world.now + 1);
    }
    await world.run(world.now + 500);
    await commit(first);
    assert.match(
      String(ask("INFO", "persistence")),
      /aof_rewrite_in_progress:0\r\naof_last_bgrewrite_status:ok/,
    );
    const before = contents(first.store);
    world.crash("s");
    first.store.close();
    const second = await open();
    assert.deepEqual(contents(second.store), before, `seed ${seed}`);
    assert.match(String(asker(second.store)("INFO", "persistence")), /aof_base_size:[1-9]/);
    await world.settle(second.close());
  }
});

test("a crash at any moment of a rewrite loses nothing", async () => {
  for (let delay = 0; delay <= 24; delay++) {
    const { world, open, commit } = room(delay + 1);
    const first = await open({ durability: "always" });
    const ask = asker(first.store);
    for (let i = 0; i < 1000; i++) ask("SET", `key${i}`, String(i));
    await commit(first);
    ask("BGREWRITEAOF");
    await world.run(world.now + delay / 4);
    world.crash("s", { torn: delay % 2 === 0 });
    first.store.close();
    const second = await open();
    assert.equal(asker(second.store)("DBSIZE"), 1000, `${delay / 4} ms`);
    await world.settle(second.close());
  }
});

test("the log is rewritten by itself when it has doubled", async () => {
  const { world, open, commit } = room();
  const opened = await open({ rewriteMinBytes: 20_000 });
  const ask = asker(opened.store);
  let largest = 0;
  for (let i = 0; i < 3000; i++) {
    ask("SET", `k${i % 100}`, "v".repeat(100));
    if (i % 20 === 0) {
      await commit(opened);
      await world.run(world.now + 5);
      largest = Math.max(
        largest,
        Number(/aof_current_size:(\d+)/.exec(String(ask("INFO", "persistence")))![1]),
      );
    }
  }
  assert.ok(largest < 45_000, `${largest} bytes`);
  await world.settle(opened.close());
});

/** One field of INFO. */
function info(ask: ReturnType<typeof asker>, name: string): string {
  return new RegExp(`^${name}:(.*)\r$`, "m").exec(String(ask("INFO")))![1]!;
}

test("the log's size is that of its records, also after a restart and a rewrite", async () => {
  const { world, open, commit } = room();
  const record = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n".length;
  const sizes = (ask: ReturnType<typeof asker>): number[] =>
    ["aof_current_size", "aof_base_size"].map((name) => Number(info(ask, name)));
  const first = await open();
  const ask = asker(first.store);
  assert.deepEqual(sizes(ask), [0, 0]);
  for (let i = 1; i <= 3; i++) {
    ask("SET", "k", "v");
    await commit(first);
    assert.deepEqual(sizes(ask), [i * record, 0]);
  }
  await world.settle(first.close());
  const second = await open();
  const askAgain = asker(second.store);
  assert.deepEqual(sizes(askAgain), [3 * record, 0]);
  await world.settle(second.rewrite());
  const [size, base] = sizes(askAgain);
  assert.ok(base! > 0);
  assert.equal(size, base);
  askAgain("SET", "k", "v");
  await commit(second);
  assert.deepEqual(sizes(askAgain), [base! + record, base]);
  await world.settle(second.close());
});

test("a rewrite is never far ahead of the disk, whatever the size of the store", async () => {
  const { world, open, commit } = room();
  const opened = await open({ durability: "always" });
  const ask = asker(opened.store);
  for (let i = 10; i < 26; i++) ask("SET", `key${i}`, String(i).repeat(512 * 1024));
  await commit(opened);
  world.disk("s").slowSync([100, 200]);
  ask("BGREWRITEAOF");
  let most = 0;
  for (let i = 0; info(ask, "aof_rewrite_in_progress") === "1"; i++) {
    assert.ok(i < 10_000);
    await world.run(world.now + 10);
    if (i === 50) ask("INCR", "n");
    most = Math.max(most, Number(info(ask, "aof_rewrite_buffer_length")));
  }
  assert.ok(most > 1e6 && most < 6e6, `${most} bytes`);
  const before = contents(opened.store);
  await commit(opened);
  opened.store.close();
  world.kill("s");
  const again = await open();
  assert.deepEqual(contents(again.store), before);
  assert.ok(Number(info(asker(again.store), "aof_base_size")) > 16e6);
  await world.settle(again.close());
});

test("a failed rewrite leaves the log as it was; the next comes when that has grown", async () => {
  const { world, open, commit } = room();
  const opened = await open({ rewriteMinBytes: 20_000 });
  const ask = asker(opened.store);
  world.disk("s").fail("append", { code: "ENOSPC", path: ".snap", times: 3 });
  const failedAt: number[] = [];
  let size = 0;
  for (let i = 0; i < 2000; i++) {
    ask("SET", `k${i % 100}`, "v".repeat(100));
    ask("INCR", "n");
    if (i % 10 !== 0) continue;
    await commit(opened);
    await world.run(world.now + 20);
    const now = Number(info(ask, "aof_current_size"));
    if (now < size) break;
    size = now;
    if (
      info(ask, "aof_last_bgrewrite_status") === "err" &&
      size > (failedAt.at(-1) ?? 0) + 20_000
    ) {
      failedAt.push(size);
    }
  }
  assert.equal(info(ask, "aof_last_bgrewrite_status"), "ok");
  assert.ok(failedAt.length >= 3 && size > 60_000 && size < 90_000, `${failedAt} ${size}`);
  const before = contents(opened.store);
  await commit(opened);
  opened.store.close();
  world.kill("s");
  const again = await open();
  assert.deepEqual(contents(again.store), before);
  await world.settle(again.close());
});

test("a rewrite that waits is told that the disk has failed", async () => {
  const { world, open } = room();
  await world.settle(world.host("p").network.listen({ host: "p", port: 1 }, (socket) => {
    socket.handle({ onData: () => {}, onClose: () => {} });
    socket.write(Buffer.from("*3\r\n$10\r\ntitan.full\r\n$2\r\nid\r\n$1\r\n0\r\n"));
  }));
  const opened = await open({ durability: "always" });
  world.disk("s").slowSync([500, 500]);
  world.disk("s").fail("sync", { code: "EIO" });
  asker(opened.store)("REPLICAOF", "p", "1"); // of half a copy no copy is made
  await world.run(world.now + 100);
  assert.equal(opened.store.role, "loading");
  assert.equal(info(asker(opened.store), "loading"), "1");
  await assert.rejects(world.settle(opened.rewrite()), /the log is closed/);
  assert.ok(world.now < 1000, "at once, and not when the primary counts as silent");
  await world.settle(opened.close().catch(() => {}));
});

test("a rewrite right after another, and one of an empty log, are done at once", async () => {
  const { world, open, commit } = room();
  const opened = await open();
  const ask = asker(opened.store);
  await world.settle(opened.rewrite());
  for (let i = 0; i < 2000; i++) ask("SET", `key${i}`, "v");
  await commit(opened);
  await world.settle(opened.rewrite());
  const size = info(ask, "aof_base_size");
  await world.settle(opened.rewrite());
  assert.equal(info(ask, "aof_base_size"), size);
  assert.equal(info(ask, "aof_current_size"), size);
  ask("SET", "one", "more");
  await world.settle(opened.rewrite());
  assert.ok(Number(info(ask, "aof_base_size")) > Number(size));
  await world.settle(opened.close());
  const again = await open();
  assert.equal(asker(again.store)("DBSIZE"), 2001);
  await world.settle(again.close());
});

test("close() in the midst of a rewrite gives it up, and nothing is lost", async () => {
  let givenUp = 0;
  for (let delay = 0; delay < 12; delay++) {
    const { world, open, commit } = room(delay + 1);
    const opened = await open({ durability: "always" });
    const ask = asker(opened.store);
    for (let i = 0; i < 10; i++) ask("SET", `key${i}`, "v".repeat(1024 * 1024));
    await commit(opened);
    world.disk("s").slowSync([1, 3]);
    let error: unknown = "none";
    const done = opened.rewrite().catch((reason: unknown) => (error = reason));
    await world.run(world.now + delay);
    await world.settle(opened.close());
    await world.settle(done);
    if (error !== "none") assert.match(String(error), /the log is closed/);
    if (error !== "none") givenUp++;
    const again = await open();
    assert.equal(asker(again.store)("DBSIZE"), 10);
    await world.settle(again.close());
  }
  assert.ok(givenUp > 0);
});

test("openStore() writes segments of the size that it is given", async () => {
  const { world, host, open, commit } = room();
  const opened = await open({ segmentBytes: 64 * 1024 });
  const ask = asker(opened.store);
  for (let i = 0; i < 5; i++) {
    ask("SET", "k", "v".repeat(40 * 1024));
    await commit(opened);
  }
  const names = await world.settle(host.storage.list(`${DIR}/log`));
  assert.ok(names.filter(isSegment).length >= 4, names.join());
  await world.settle(opened.close());
});

test("a snapshot writes a huge collection in batches, and the rest before it changes", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = seededRandom(seed);
    const { host } = room(seed);
    const store = new Engine({ host });
    const ask = asker(store);
    const numbers = (from: number, count: number): string[] =>
      Array.from({ length: count }, (_, i) => String(from + i));
    for (const key of ["1", "2"]) {
      ask("SADD", `set${key}`, ...numbers(0, 1000));
      ask("RPUSH", `list${key}`, ...numbers(0, 1000));
      ask("HSET", `hash${key}`, ...numbers(0, 1000));
      ask("EXPIRE", `hash${key}`, "1000");
    }
    const before = contents(store);
    const rebuilt = new Engine({ host });
    let commands = 0;
    let longest = 0;
    const snapshot = store.snapshot((argv) => {
      commands++;
      rebuilt.load([...argv]);
    });
    const changes: (() => Reply)[] = [
      () => ask("SPOP", "set1", "3"),
      () => ask("LPOP", "list1"),
      () => ask("RPUSH", "list2", "x"),
      () => ask("HDEL", "hash1", "2"),
      () => ask("HSET", "hash2", "2", "y"),
      () => ask("RENAME", "set2", "set1"),
      () => ask("DEL", "list1", "hash2"),
      () => ask("PERSIST", "hash1"),
      () => ask("SMOVE", "set1", "set2", "7"),
      () => ask("FLUSHALL"),
    ];
    for (let more = true, had = 0; more; had = commands) {
      more = snapshot.step(2000);
      longest = Math.max(longest, commands - had);
      if (random.unit() < 0.2) changes[Math.floor(random.unit() * changes.length)]!();
    }
    assert.ok(commands > 70 && longest <= 3, `${commands} commands, ${longest} at most in a step`);
    assert.deepEqual(contents(rebuilt), before, `seed ${seed}`);
    store.close();
    rebuilt.close();
  }
});

test("a store that is a part of something keeps its password and its role", async () => {
  const { world, open } = room();
  const opened = await open({ owner: "the house", requirepass: "pw" });
  const out = new ReplyBuffer();
  const session = opened.store.session({ out, authenticated: true });
  const ask = (...argv: string[]): Reply => {
    opened.store.execute(session, argv);
    return out.take().at(-1)!;
  };
  for (const argv of [
    ["CONFIG", "SET", "requirepass", ""],
    ["REPLICAOF", "h", "1"],
    ["REPLICAOF", "NO", "ONE"],
  ]) {
    const answer = ask(...argv);
    assert.ok(
      answer instanceof Refusal && /this store is a part of the house/.test(answer.text),
      argv.join(" "),
    );
  }
  assert.deepEqual(ask("CONFIG", "GET", "requirepass"), ["requirepass", "pw"]);
  assert.equal(opened.store.role, "primary");
  await world.settle(opened.close());
});

test("Engine.load() takes the names that an earlier version logged, and no client " +
  "may use them", () => {
  const { host } = room();
  const store = new Engine({ host });
  const ask = asker(store);
  for (const argv of [
    ["hmset", "h", "f", "1", "g", "2"],
    ["rpush", "l", "b"],
    ["lpushx", "l", "a"],
    ["rpushx", "l", "c"],
  ]) {
    store.load([...argv]);
  }
  assert.deepEqual(ask("HGETALL", "h"), ["f", "1", "g", "2"]);
  assert.deepEqual(ask("LRANGE", "l", "0", "-1"), ["a", "b", "c"]);
  for (const name of ["HMSET", "LPUSHX", "RPUSHX"]) {
    assert.match((ask(name, "k", "f", "v") as Refusal).text, /^ERR unknown command/);
  }
  assert.throws(() => store.load(["__proto__", "x"]), /Cannot replay __proto__/);
});

test("a rewrite covers the changes of its first turn: none is replayed twice", async () => {
  const { world, open, commit } = room();
  const first = await open();
  const ask = asker(first.store);
  ask("SET", "k", "v");
  await commit(first);
  const rewritten = first.rewrite();
  ask("INCR", "n");
  await world.settle(rewritten);
  await world.settle(first.close());
  const again = await open();
  assert.equal(asker(again.store)("GET", "n"), "1");
  await world.settle(again.close());
});

test("dumpResp() reads again, five times, while files of the log come and go", async (t) => {
  const { openLog } = await import("#log");
  const { world, host } = room();
  const log = await world.settle(openLog({ host, dir: `${DIR}/log` }));
  log.append(Buffer.from("no record of a store"));
  await world.settle(log.close());
  const list = host.storage.list.bind(host.storage);
  for (const [changes, reads] of [[false, 1], [true, 6]] as const) {
    let listed = 0;
    t.mock.method(host.storage, "list", async (path: string) =>
      [...(await list(path)), ...(changes ? [`new${listed++}`] : [])]);
    const { mock } = t.mock.method(Replay.prototype, "read");
    await assert.rejects(world.settle(dump(host, DIR)), StoreLogError);
    assert.equal(mock.callCount(), reads);
    t.mock.restoreAll();
  }
});

test("a queue of chunks hands out what it has, ends as it was ended first, and says when " +
  "there is room", async () => {
  const mib = Buffer.alloc(1024 * 1024);
  const all = async (queue: ChunkQueue): Promise<number> => {
    let bytes = 0;
    for await (const chunk of queue) bytes += chunk.length;
    return bytes;
  };
  let room = 0;
  const queue = new ChunkQueue(() => room++);
  assert.deepEqual([queue.bytes, queue.isFull], [0, false]);
  for (let i = 1; i <= 3; i++) queue.push(mib);
  queue.push(mib.subarray(1));
  assert.equal(queue.isFull, false);
  queue.push(mib.subarray(0, 1));
  queue.push(mib);
  assert.deepEqual([queue.isFull, queue.bytes], [true, 5 * mib.length]);
  queue.end();
  queue.end(new Error("too late"));
  assert.equal(await all(queue), 5 * mib.length);
  assert.deepEqual([queue.bytes, room], [0, 1]);
  const failed = new ChunkQueue(() => room++);
  failed.push(mib);
  failed.end(new Error("on the way"));
  await assert.rejects(all(failed), /on the way/);
  assert.equal(room, 1);
});

test("a store without a log says so", async () => {
  const { host } = room();
  const opened = await openStore({ host });
  const answer = asker(opened.store)("BGREWRITEAOF");
  assert.ok(answer instanceof Refusal && answer.text === "ERR this store has no log");
  await assert.rejects(opened.rewrite(), /Cannot rewrite the log: ERR this store has no log/);
  assert.equal(opened.afterCommit(), undefined);
  await opened.close();
});

/** Feeds a text to an empty engine. */
function rebuild(host: Host, text: Buffer): string[] {
  const store = new Engine({ host });
  const ask = asker(store);
  const parser = new RespParser();
  parser.push(text);
  for (let argv = parser.next(); argv !== undefined; argv = parser.next()) ask(...argv);
  store.close();
  return contents(store);
}

async function dump(host: Host, dir: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const bytes of dumpResp({ host, dir })) pieces.push(bytes);
  return Buffer.concat(pieces);
}

test("dumpResp() gives a text that rebuilds the store, before and after a rewrite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "titan-store-"));
  const host = nodeHost();
  try {
    const opened = await openStore({ host, dir: folder });
    const ask = asker(opened.store);
    const lasting = traffic(3, 400).filter((argv) => !argv.includes("PX") && argv[0] !== "PEXPIRE");
    for (const argv of lasting) ask(...argv);
    await opened.afterCommit();
    assert.deepEqual(rebuild(host, await dump(host, folder)), contents(opened.store));
    await opened.rewrite();
    for (const argv of lasting.slice(0, 100)) ask(...argv);
    ask("MULTI");
    ask("INCR", "n1");
    ask("INCR", "n2");
    ask("EXEC");
    await opened.close();
    assert.deepEqual(rebuild(host, await dump(host, folder)), contents(opened.store));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("dumpResp() gives what there is, not how it came about: a deadline that was taken away in " +
  "time kills nobody later", async () => {
  const { world, host, open } = room();
  const opened = await open();
  const ask = asker(opened.store);
  for (const argv of [
    ["SET", "kept", "precious", "EX", "1"],
    ["RENAME", "kept", "moved"],
    ["PERSIST", "moved"],
    ["INCR", "rate"],
    ["EXPIRE", "rate", "1"],
    ["INCR", "rate"],
    ["FLUSHDB", "x"],
  ]) {
    ask(...argv);
  }
  await world.settle(opened.close());
  await world.run(world.now + 60_000);
  const text = (await world.settle(dump(host, DIR))).toString("latin1");
  const later = new Engine({ host });
  const parser = new RespParser();
  parser.push(Buffer.from(text, "latin1"));
  for (let argv = parser.next(); argv !== undefined; argv = parser.next()) asker(later)(...argv);
  assert.deepEqual(
    [later.keys.get("moved"), later.keys.has("rate"), later.keys.size],
    ["precious", false, 1],
  );
});

test("a deadline is the same moment after a restart", async () => {
  const { world, open } = room();
  const first = await open();
  assert.equal(asker(first.store)("SET", "login:ann", "yes", "EX", "60"), "OK");
  await world.settle(first.close());
  await world.run(world.now + 50_000);
  const second = await open();
  assert.equal(
    asker(second.store)("TTL", "login:ann"),
    10,
    "seconds to live, 50 after it was given 60",
  );
  await world.run(world.now + 10_000);
  assert.equal(asker(second.store)("GET", "login:ann"), null);
  await world.settle(second.close());
});

test("openStore() gives up a replay when it is told to, and the folder is free", async () => {
  const { world, open } = room();
  const first = await open();
  asker(first.store)("SET", "k", "v");
  await world.settle(first.close());
  const giveUp = new AbortController();
  giveUp.abort(new Error("enough"));
  for (let round = 0; round < 2; round++) {
    await assert.rejects(open({ signal: giveUp.signal }), /enough/);
    const second = await open();
    assert.equal(second.store.keys.size, 1);
    await world.settle(second.rewrite()); // the next time it is a snapshot that is read
    await world.settle(second.close());
  }
});

test("no key dies in the midst of a replay, however long that takes: it may yet be told to " +
  "stay", async (t) => {
  const { world, host, open, commit } = room();
  const first = await open();
  const ask = asker(first.store);
  for (const argv of [["SET", "k", "v", "PX", "1000"], ["PERSIST", "k"]]) {
    ask(...argv);
    await commit(first);
  }
  await world.settle(first.close());
  await world.run(world.now + 5000);
  const { replay } = Log.prototype;
  t.mock.method(Log.prototype, "replay", async function (
    this: Log, ...[onRecord]: Parameters<Log["replay"]>
  ) {
    const records: Parameters<typeof onRecord>[] = [];
    await replay.call(this, (...record) => void records.push(record));
    for (const record of records) {
      onRecord(...record);
      await new Promise<void>((resolve) => host.timers.after(100, resolve));
    }
  });
  const again = await open();
  assert.equal(asker(again.store)("GET", "k"), "v");
  await world.settle(again.close());
});

const redis =
  spawnSync("redis-server", ["--version"]).status === 0 &&
  spawnSync("redis-cli", ["--version"]).status === 0;

test(
  "dumpResp() gives a file that " + "redis-server starts from",
  { skip: redis ? false : "redis-server or redis-cli is not installed" },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "titan-store-"));
    const host = nodeHost();
    const socket = join(folder, "socket");
    const cli = (...args: string[]): Promise<string> =>
      new Promise((resolve) =>
        execFile("redis-cli", ["-s", socket, ...args], (_, stdout) => resolve(stdout.trim())),
      );
    try {
      const opened = await openStore({ host, dir: join(folder, "titan") });
      const ask = asker(opened.store);
      for (let i = 0; i < 2000; i++) ask("SET", `key${i}`, `value ${i}`);
      ask("HSET", "h", "field", "\0\xff");
      await opened.rewrite();
      ask("RPUSH", "l", "1", "2", "3");
      ask("SADD", "s", "x", "y");
      ask("SET", "soon", "v", "EX", "1000");
      ask("MULTI");
      ask("INCR", "n");
      ask("INCR", "n");
      ask("EXEC");
      await opened.close();
      await mkdir(join(folder, "appendonlydir"));
      await writeFile(
        join(folder, "appendonlydir", "appendonly.aof.1.base.aof"),
        await dump(host, join(folder, "titan")),
      );
      await writeFile(
        join(folder, "appendonlydir", "appendonly.aof.manifest"),
        "file appendonly.aof.1.base.aof seq 1 type b\n",
      );
      const server = spawn(
        "redis-server",
        [
          "--port",
          "0",
          "--unixsocket",
          socket,
          "--dir",
          folder,
          "--save",
          "",
          "--appendonly",
          "yes",
        ],
        { stdio: "ignore" },
      );
      try {
        await eventually("redis-server answers", async () => (await cli("PING")) === "PONG");
        assert.equal(await cli("DBSIZE"), "2005");
        assert.equal(await cli("GET", "key1999"), "value 1999");
        assert.equal(await cli("LRANGE", "l", "0", "-1"), "1\n2\n3");
        assert.equal(await cli("GET", "n"), "2");
        assert.ok(Number(await cli("TTL", "soon")) > 900);
      } finally {
        const gone = new Promise((resolve) => server.once("exit", resolve));
        server.kill("SIGKILL");
        await gone;
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);
