import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import fsPromises, { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  descriptorLimit,
  HIGH_WATER_BYTES,
  MAX_TIMER_MS,
  nodeHost,
  seededRandom,
  unwrittenParts,
  VirtualTime,
  type Host,
  type Socket,
} from "#host";

const host = nodeHost();
const folder = await mkdtemp(join(tmpdir(), "titan-host-"));
after(() => rm(folder, { recursive: true }));

const LOOPBACK = { host: "127.0.0.1", port: 0 };

// ---- chance

test("seededRandom() draws the same numbers from the same seed, for ever", () => {
  const first = seededRandom(42);
  // Written down once: a trace that was recorded last year must still replay.
  assert.deepEqual(
    [first.u32(), first.u32(), first.u32(), first.u32()],
    [551831576, 144025891, 322543647, 3034809370],
  );
  assert.equal(first.unit(), 0.2114172102260231);
});

test("seededRandom() draws other numbers from another seed", () => {
  const draws = new Set<string>();
  for (let seed = 0; seed < 1000; seed++) {
    const random = seededRandom(seed);
    draws.add(`${random.u32()} ${random.u32()}`);
  }
  assert.equal(draws.size, 1000);
});

test("seededRandom() sets every bit half of the time", () => {
  const random = seededRandom(7);
  const ones = new Array<number>(32).fill(0);
  const draws = 20_000;
  for (let i = 0; i < draws; i++) {
    const value = random.u32();
    assert.ok(Number.isInteger(value) && value >= 0 && value < 2 ** 32);
    for (let bit = 0; bit < 32; bit++) ones[bit]! += (value >>> bit) & 1;
  }
  // Five standard deviations of a fair coin: one false alarm in a million bits, and the seed is
  // fixed anyway.
  const slack = 5 * Math.sqrt(draws / 4);
  for (const count of ones) {
    assert.ok(Math.abs(count - draws / 2) < slack, `a bit was set ${count} times of ${draws}`);
  }
});

for (const [name, random] of [
  ["nodeHost", host.random],
  ["seededRandom", seededRandom(1)],
] as const) {
  test(`${name} unit() stays below 1 and bytes() has the length asked for`, () => {
    for (let i = 0; i < 2000; i++) {
      const x = random.unit();
      assert.ok(x >= 0 && x < 1);
    }
    assert.equal(random.bytes(0).length, 0);
    assert.equal(random.bytes(33).length, 33);
  });
}

// ---- virtual time

test("VirtualTime runs events by time, and those of one instant in the " +
  "order of arming", async () => {
  const time = new VirtualTime();
  const order: string[] = [];
  const delays = [5, 1, 5, 3, 1, 5, 3, 1, 1, 5, 0, 3, 0];
  delays.forEach((ms, i) => void time.timers.after(ms, () => order.push(`${ms}:${i}`)));
  await time.run();
  const expected = delays
    .map((ms, i) => ({ ms, i }))
    .sort((a, b) => a.ms - b.ms || a.i - b.i)
    .map(({ ms, i }) => `${ms}:${i}`);
  assert.deepEqual(order, expected);
});

test("VirtualTime equals a sorted list for any arming, nested and " +
  "cancelled timers included", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = seededRandom(seed);
    const time = new VirtualTime();
    const fired: Array<{ at: number; id: number }> = [];
    const expected: Array<{ at: number; id: number }> = [];
    let id = 0;
    const arm = (): void => {
      const ms = random.u32() % 8;
      const me = { at: time.now + ms, id: id++ };
      const timer = time.timers.after(ms, () => {
        fired.push({ at: time.now, id: me.id });
        if (id < 200 && random.u32() % 2 === 0) arm();
      });
      if (random.u32() % 4 === 0) timer.cancel();
      else expected.push(me);
    };
    for (let i = 0; i < 60; i++) arm();
    await time.run();
    expected.sort((a, b) => a.at - b.at || a.id - b.id);
    assert.deepEqual(fired, expected, `seed ${seed}`);
  }
});

test("VirtualTime lets promises settle before the next event", async () => {
  const time = new VirtualTime();
  const order: string[] = [];
  time.timers.after(1, () => {
    void (async () => {
      for (let i = 0; i < 20; i++) await null;
      order.push("first, and what followed from it");
    })();
  });
  time.timers.after(1, () => order.push("second"));
  await time.run();
  assert.deepEqual(order, ["first, and what followed from it", "second"]);
});

test("VirtualTime run() stops at its limit, and goes on from there", async () => {
  const time = new VirtualTime();
  const fired: number[] = [];
  for (const ms of [10, 20, 30]) time.timers.after(ms, () => fired.push(time.now));
  await time.run(20);
  assert.deepEqual(fired, [10, 20]);
  await time.run(25);
  assert.equal(time.now, 25);
  time.timers.after(1, () => fired.push(time.now));
  await time.run();
  assert.deepEqual(fired, [10, 20, 26, 30]);
  assert.equal(time.clock.monotonic(), 30);
});

test("VirtualTime settle() rejects when nothing is left that could " +
  "settle the promise", async () => {
  const time = new VirtualTime();
  time.timers.after(5, () => {});
  await assert.rejects(
    time.settle(new Promise(() => {})),
    /Cannot settle promise: nothing is left to happen at 5 ms/,
  );
  assert.equal(
    await time.settle(new Promise((resolve) => time.timers.after(3, () => resolve("done")))),
    "done",
  );
});

test("VirtualTime passes a hundred days in no time", async () => {
  const time = new VirtualTime();
  const from = process.cpuUsage();
  let beats = 0;
  const beat = (): void => {
    if (++beats < 2400) time.timers.after(3_600_000, beat);
  };
  time.timers.after(3_600_000, beat);
  await time.run();
  assert.equal(time.now, 100 * 86_400_000);
  assert.ok(process.cpuUsage(from).user < 2e6);
});

// ---- the real clock

test("after() is never early, fractions of a millisecond included", async () => {
  const { clock, timers } = host;
  for (let i = 0; i < 20; i++) {
    while (clock.monotonic() % 1 < 0.8); // late in a millisecond, where rounding costs most
    const due = clock.monotonic() + 1.9;
    await new Promise<void>((resolve) => void timers.after(1.9, resolve));
    assert.ok(clock.monotonic() >= due, `fired ${due - clock.monotonic()} ms early`);
  }
});

test("after() clamps what no timer can keep", async () => {
  const { timers } = host;
  const fired: string[] = [];
  const long = [
    timers.after(Infinity, () => fired.push("infinity")),
    timers.after(MAX_TIMER_MS + 1, () => fired.push("25 days")),
  ];
  await new Promise<void>((resolve) => void timers.after(-5, () => timers.after(NaN, resolve)));
  assert.deepEqual(fired, []); // setTimeout would have called both after 1 ms
  for (const timer of long) timer.cancel();
});

test("cancel() is idempotent, and safe after the timer has fired", async () => {
  const { timers } = host;
  let fired = 0;
  const cancelled = timers.after(1, () => fired++);
  cancelled.cancel();
  cancelled.cancel();
  const kept = await new Promise<{ cancel(): void }>((resolve) => {
    const timer = timers.after(5, () => resolve(timer));
  });
  kept.cancel();
  assert.equal(fired, 0);
});

// ---- files

test("unwrittenParts() is what follows the first bytes, for every count", () => {
  const parts = [
    Buffer.from("abc"),
    Buffer.from(""),
    Buffer.from("d"),
    Buffer.from("efgh"),
    Buffer.from(""),
  ];
  const all = Buffer.concat(parts);
  for (let count = 0; count <= all.length; count++) {
    const rest = unwrittenParts(parts, count);
    assert.equal(Buffer.concat(rest).toString(), all.toString("utf8", count), `after ${count}`);
    assert.ok(rest.every((part) => part.length > 0), "an empty part would never be used up");
  }
});

test("append() keeps the order of calls, whatever their size", async () => {
  const file = await host.storage.open(join(folder, "order"), { create: true });
  const sizes = [10, 3_000_000, 5, 0, 1_500_000, 7, 2_000_000, 1];
  const parts = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  const kept: Promise<void>[] = parts.map((part, i) =>
    i % 2 === 0 ? file.append([part]) : file.appendAndSync([part, part]),
  );
  await Promise.all(kept);
  const expected = Buffer.concat(parts.flatMap((part, i) => (i % 2 === 0 ? [part] : [part, part])));
  assert.equal(file.size, expected.length);
  assert.ok((await host.storage.readFile(join(folder, "order"))).equals(expected));
  await file.close();
});

test("append() takes more parts than one system call does", async () => {
  const file = await host.storage.open(join(folder, "many"), { create: true });
  await file.appendAndSync(Array.from({ length: 5000 }, (_, i) => Buffer.from(`${i}\n`)));
  const lines = (await file.read(0, file.size)).toString().trim().split("\n");
  assert.deepEqual(
    [lines.length, lines[1023], lines[1024], lines[4999]],
    [5000, "1023", "1024", "4999"],
  );
  await file.close();
});

test("open() finds the end of a file that is there; read() and truncate() respect it", async () => {
  const path = join(folder, "again");
  await assert.rejects(host.storage.open(path), { code: "ENOENT" });
  await host.storage.writeFile(path, Buffer.from("0123456789"));
  await assert.rejects(host.storage.open(path, { exclusive: true }), { code: "EEXIST" });
  const file = await host.storage.open(path);
  await file.append([Buffer.from("ab")]);
  assert.equal((await file.read(8, 100)).toString(), "89ab");
  assert.equal((await file.read(50, 10)).length, 0);
  await file.truncate(3);
  await file.append([Buffer.from("X")]);
  assert.equal(file.size, 4);
  assert.equal((await file.read(0, 100)).toString(), "012X");
  await file.close();
});

test("close() waits for what was asked before it, and a closed file never touches the one that " +
  "is given its number", async () => {
  const open = (name: string) => host.storage.open(join(folder, name), { create: true });
  const first = await open("closed");
  const asked = [
    first.append([Buffer.alloc(2_000_000)]),
    first.sync(),
    first.appendAndSync([Buffer.from("end")]),
    first.sync(),
  ];
  await first.close();
  await Promise.all(asked);
  const second = await open("stranger");
  for (const late of [
    first.append([Buffer.from("x")]),
    first.append([Buffer.alloc(2_000_000)]),
    first.sync(),
    first.truncate(0),
    first.read(0, 1),
  ]) {
    await assert.rejects(late, { code: "EBADF" });
  }
  await first.close();
  await second.appendAndSync([Buffer.from("mine")]);
  assert.equal((await second.read(0, 10)).toString(), "mine");
  await second.close();
  assert.equal((await host.storage.stat(join(folder, "closed")))?.size, 2_000_003);
});

test("appendAndSync() calls of one turn share few syncs", async () => {
  const file = await host.storage.open(join(folder, "group"), { create: true });
  const once = (): Promise<void> => file.appendAndSync([Buffer.alloc(100)]);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const started = host.clock.monotonic();
    await work();
    return host.clock.monotonic() - started;
  };
  // With a sync each, 3,000 would take ten times as long as 300, on a busy machine as well. That
  // one may hold us up once, and not every time.
  let [apart, together] = [0, Infinity];
  for (let tries = 0; tries < 3 && together >= 5 * apart; tries++) {
    apart = await timed(async () => {
      for (let i = 0; i < 300; i++) await once();
    });
    together = await timed(() => Promise.all(Array.from({ length: 3000 }, once)));
  }
  assert.ok(together < 5 * apart, `3,000 took ${together} ms, 300 one by one ${apart}`);
  await file.close();
});

test("mkdir() makes what is missing on the way, and says why it cannot", async () => {
  const { storage } = host;
  const path = join(folder, "made", "on", "the way");
  await Promise.all(Array.from({ length: 20 }, () => storage.mkdir(path)));
  assert.equal((await storage.stat(path))?.kind, "directory");
  await storage.writeFile(join(path, "file"), Buffer.from("x"));
  await assert.rejects(storage.mkdir(join(path, "file")), { code: "EEXIST" });
  await assert.rejects(storage.mkdir(join(path, "file", "below", "it")), { code: "ENOTDIR" });
  await symlink("nowhere", join(path, "dangling"));
  await assert.rejects(storage.mkdir(join(path, "dangling", "x")), { code: "EEXIST" });
  if (process.platform === "linux") {
    await assert.rejects(
      storage.mkdir("/proc/no/such"),
      { code: "ENOENT" },
      "Node's own asks for ever",
    );
  }
});

test("list() is sorted and empty for nothing; stat() knows kinds and modes; remove() minds " +
  "nothing missing", async () => {
  const { storage } = host;
  const path = join(folder, "tree", "a", "b");
  await storage.mkdir(path);
  await storage.mkdir(path);
  for (const name of ["z", "B", "a", "10", "9"]) {
    await storage.writeFile(join(path, name), Buffer.from(name));
  }
  assert.deepEqual(await storage.list(path), ["10", "9", "B", "a", "z"]);
  assert.deepEqual(await storage.list(join(path, "nowhere")), []);
  assert.equal(await storage.stat(join(path, "nowhere")), undefined);
  assert.equal(await storage.stat(join(path, "z", "below a file")), undefined);
  const info = await storage.stat(join(path, "10"));
  assert.deepEqual([info?.kind, info?.size], ["file", 2]);
  assert.equal((await storage.stat(path))?.kind, "directory");
  await storage.rename(join(path, "z"), join(path, "y"));
  await storage.syncDirectory(path);
  await storage.remove(join(path, "z"));
  await storage.remove(join(folder, "tree"), { recursive: true });
  assert.equal(await storage.stat(path), undefined);
});

// ---- locks

test("lock() conflicts within one process, and names the holder", async () => {
  const path = join(folder, "titan.lock");
  const lock = await host.storage.lock(path);
  await assert.rejects(host.storage.lock(path), {
    code: "ELOCKED",
    message: `Cannot lock ${path}: held by process ${process.pid}`,
  });
  await lock.release();
  await lock.release();
  const again = await host.storage.lock(path);
  await lock.release(); // the old one must not release the new one
  await assert.rejects(host.storage.lock(path), { code: "ELOCKED" });
  await again.release();
  assert.deepEqual(
    await host.storage.list(folder).then((names) => names.filter((name) => name.includes("lock"))),
    [],
  );
});

// ---- the network

interface Pair {
  client: Socket;
  server: Socket;
  close(): Promise<void>;
}

/** Two ends of one connection; the handlers are the test's. */
async function pairOf(on: Host): Promise<Pair> {
  let accepted = (_: Socket): void => {};
  const server = new Promise<Socket>((resolve) => (accepted = resolve));
  const listener = await on.network.listen(LOOPBACK, (socket) => accepted(socket));
  const client = await on.network.dial(listener);
  return { client, server: await server, close: () => listener.close() };
}

test("lock() on a full disk leaves no file behind", async (t) => {
  const place = await mkdtemp(join(folder, "full-"));
  t.mock.method(fsPromises, "writeFile", async (path: string) => {
    closeSync(openSync(path, "wx")); // a name still fits
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  });
  await assert.rejects(host.storage.lock(join(place, "titan.lock")), { code: "ENOSPC" });
  assert.deepEqual(await host.storage.list(place), []);
});

test("dial() takes a timeout that no timer can keep for the longest one, not " +
  "for the shortest", async () => {
  const listener = await host.network.listen(LOOPBACK, (socket) =>
    socket.handle({ onData: () => {}, onClose: () => {} }),
  );
  for (const timeoutMs of [MAX_TIMER_MS + 1, 1e15, Infinity]) {
    const dialled = host.network.dial(listener, { timeoutMs });
    // Long enough for a timer of 1 ms to be looked at before the answer is.
    for (const until = host.clock.monotonic() + 5; host.clock.monotonic() < until; );
    (await dialled).destroy();
  }
  await listener.close();
});

test("dial() rejects with ECONNREFUSED where nobody listens, listen() with EADDRINUSE where " +
  "somebody does", async () => {
  const listener = await host.network.listen(LOOPBACK, () => {});
  await assert.rejects(host.network.listen(listener, () => {}), { code: "EADDRINUSE" });
  await listener.close();
  await assert.rejects(host.network.dial(listener), { code: "ECONNREFUSED" });
});

test("a socket delivers bytes in order and ends with exactly one " +
  "onClose without error", async () => {
  const { client, server, close } = await pairOf(host);
  const chunks: Buffer[] = [];
  const closes: Array<Error | undefined> = [];
  const over = new Promise<void>((resolve) => {
    const onClose = (error?: Error): void =>
      void (closes.push(error), closes.length === 2 && resolve());
    server.handle({ onData: (chunk) => chunks.push(chunk), onClose });
    client.handle({ onData: () => {}, onClose });
  });
  for (let i = 0; i < 100; i++) client.write(Buffer.from(`${i},`));
  client.end();
  await over;
  assert.equal(
    Buffer.concat(chunks).toString(),
    Array.from({ length: 100 }, (_, i) => `${i},`).join(""),
  );
  assert.deepEqual(closes, [undefined, undefined]);
  assert.equal(client.write(Buffer.from("late")), false);
  client.destroy();
  client.destroy();
  await close();
});

test("write() says false beyond HIGH_WATER_BYTES of what the peer does not take, and onDrain " +
  "when it has", async () => {
  const { client, server, close } = await pairOf(host);
  let received = 0;
  server.handle({ onData: (chunk) => (received += chunk.length), onClose: () => {} });
  server.pause();
  let drained = (): void => {};
  const drain = new Promise<void>((resolve) => (drained = resolve));
  client.handle({ onData: () => {}, onDrain: () => drained(), onClose: () => {} });
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  do sent += piece.length;
  while (client.write(piece) && sent < 64 * 1024 * 1024);
  assert.ok(
    client.pendingBytes > HIGH_WATER_BYTES &&
      client.pendingBytes <= HIGH_WATER_BYTES + piece.length,
  );
  server.resume();
  await drain;
  assert.equal(client.pendingBytes, 0);
  client.end();
  while (received < sent) await new Promise<void>((resolve) => host.timers.soon(resolve));
  await close();
});

test("descriptorLimit() reads the soft limit as Linux says it, and falls back to " +
  "what Node says", async () => {
  const dir = await mkdtemp(join(tmpdir(), "titan-limits-"));
  const file = join(dir, "limits");
  const limits = (text: string): number => {
    writeFileSync(
      file,
      `Limit                     Soft Limit           Hard Limit           Units     \nMax cpu ` +
        `time              unlimited            unlimited            seconds   \n${text}`,
    );
    return descriptorLimit(file);
  };
  assert.equal(
    limits("Max open files            1024                 524288               files     \n"),
    1024,
  );
  assert.equal(
    limits("Max open files            unlimited            unlimited            files     \n"),
    Number.MAX_SAFE_INTEGER,
  );
  const { report } = process;
  const { userLimits } = report.getReport() as unknown as {
    userLimits?: { open_files: { soft: number | string } };
  };
  const soft = userLimits?.open_files.soft;
  const known = soft === "unlimited" ? Number.MAX_SAFE_INTEGER : (soft ?? 1024);
  for (const odd of ["", "Max open files            many 1 files\n"]) {
    assert.equal(limits(odd), known);
  }
  assert.equal(descriptorLimit(join(dir, "none")), known);
  assert.ok(descriptorLimit() > 0);
  await rm(dir, { recursive: true });
});
