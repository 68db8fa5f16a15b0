/** The simulated host: the same promises as the real one, and the same trace for the same seed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Exit, Host, Listener, Socket, SpawnOptions } from "#host";
import { SimWorld } from "#simhost";

/**
 * A server that answers each chunk with as many bytes, and a client that talks to it for a while.
 */
async function chatter(seed: number, options: { splitChunks?: boolean } = {}): Promise<SimWorld> {
  const world = new SimWorld({ seed, ...options });
  const server = world.host("server");
  await server.network.listen({ host: "server", port: 80 }, (socket) =>
    socket.handle({ onData: (chunk) => void socket.write(chunk), onClose: () => {} }));
  for (const name of ["ann", "bob"]) {
    const { network, random, timers, storage } = world.host(name);
    void (async () => {
      const socket = await network.dial({ host: "server", port: 80 });
      const file = await storage.open("/log", { create: true });
      let turns = 5;
      const say = (): void => void socket.write(Buffer.alloc(1 + (random.u32() % 50)));
      socket.handle({
        onData: (chunk) => {
          void file.appendAndSync([chunk]);
          if (--turns > 0) timers.after(random.unit() * 5, say);
          else socket.end();
        },
        onClose: () => {},
      });
      say();
    })();
  }
  await world.run();
  return world;
}

test("SimWorld gives the same trace, byte for byte, for the same seed, and " +
  "another for another", async () => {
  const traces = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    for (const splitChunks of [false, true]) {
      const first = (await chatter(seed, { splitChunks })).trace.join("\n");
      const second = (await chatter(seed, { splitChunks })).trace.join("\n");
      assert.equal(first, second, `seed ${seed}`);
      assert.ok(first.split("\n").length > 20);
      traces.add(first);
    }
  }
  assert.equal(traces.size, 40);
});

test("SimWorld host chance does not depend on what other hosts draw", () => {
  const one = new SimWorld({ seed: 7 });
  const other = new SimWorld({ seed: 7 });
  for (let i = 0; i < 100; i++) other.host("noisy").random.u32();
  assert.equal(one.host("a").random.u32(), other.host("a").random.u32());
  assert.notEqual(one.host("b").random.u32(), new SimWorld({ seed: 8 }).host("b").random.u32());
});

interface End {
  socket: Socket;
  received: Buffer[];
  closed: Array<Error | undefined>;
}

function endOf(socket: Socket): End {
  const end: End = { socket, received: [], closed: [] };
  socket.handle({
    onData: (chunk) => end.received.push(chunk),
    onClose: (error) => end.closed.push(error),
  });
  return end;
}

async function connected(
  options: { splitChunks?: boolean; seed?: number } = {},
): Promise<{ world: SimWorld; a: End; b: End; listener: Listener }> {
  const world = new SimWorld({
    seed: options.seed ?? 1,
    splitChunks: options.splitChunks ?? false,
  });
  const ends: End[] = [];
  const listener = await world
    .host("b")
    .network.listen({ host: "b", port: 0 }, (socket) => ends.push(endOf(socket)));
  const dialled = world.host("a").network.dial(listener).then(endOf);
  const a = await world.settle(dialled);
  return { world, a, b: ends[0]!, listener };
}

const text = (end: End): string => Buffer.concat(end.received).toString();

test("SimWorld sockets keep the order of bytes for any way of cutting them", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const { world, a, b } = await connected({ splitChunks: true, seed });
    let sent = "";
    for (let i = 0; i < 40; i++) {
      a.socket.write(Buffer.from(`message ${i};`));
      sent += `message ${i};`;
    }
    a.socket.end();
    await world.run();
    assert.equal(text(b), sent, `seed ${seed}`);
    assert.deepEqual([a.closed, b.closed], [[undefined], [undefined]]);
  }
});

test("SimWorld sockets hold back for a paused reader, and drain when it reads", async () => {
  const { world, a, b } = await connected();
  b.socket.pause();
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  do sent += piece.length;
  while (a.socket.write(piece));
  await world.run();
  assert.equal(b.received.length, 0);
  assert.ok(a.socket.pendingBytes > 0);
  b.socket.resume();
  await world.run();
  assert.equal(Buffer.concat(b.received).length, sent);
  assert.equal(a.socket.pendingBytes, 0);
});

test("SimWorld cut() ends both sides with ECONNRESET, once", async () => {
  const { world, a, b } = await connected();
  a.socket.write(Buffer.from("never arrives"));
  world.cut("b", "a");
  world.cut("a", "b");
  await world.run();
  for (const end of [a, b]) {
    assert.deepEqual(
      end.closed.map((error) => (error as { code?: string }).code),
      ["ECONNRESET"],
    );
  }
  assert.equal(text(b), "");
});

test("SimWorld hold() silences one direction until release()", async () => {
  const { world, a, b } = await connected();
  world.hold("a", "b");
  a.socket.write(Buffer.from("from a;"));
  a.socket.write(Buffer.from("again;"));
  b.socket.write(Buffer.from("from b;"));
  await world.run();
  assert.deepEqual([text(a), text(b)], ["from b;", ""]);
  await assert.rejects(
    world.settle(world.host("a").network.dial({ host: "b", port: 1 }, { timeoutMs: 500 })),
    { code: "ETIMEDOUT" },
  );
  world.release("a", "b");
  await world.run();
  assert.equal(text(b), "from a;again;");
});

test("SimWorld dial() is refused where nobody listens", async () => {
  const { world, listener } = await connected();
  await listener.close();
  await assert.rejects(world.settle(world.host("a").network.dial(listener)), {
    code: "ECONNREFUSED",
  });
  await assert.rejects(world.settle(world.host("a").network.dial({ host: "nowhere", port: 1 })), {
    code: "ECONNREFUSED",
  });
});

/** Runs `work` on a host, then crashes it and gives the storage of its next life. */
async function afterCrash(
  work: (host: Host) => Promise<unknown>,
  options: { torn?: boolean; seed?: number } = {},
): Promise<Host> {
  const world = new SimWorld({ seed: options.seed ?? 1 });
  await world.settle(work(world.host("a")));
  world.crash("a", options);
  return world.host("a");
}

test("SimWorld crash() keeps what was synced and loses the rest", async () => {
  const reborn = await afterCrash(async ({ storage }) => {
    const file = await storage.open("/synced", { create: true });
    await file.append([Buffer.from("kept,")]);
    await storage.syncDirectory("/");
    await file.appendAndSync([Buffer.from("kept too,")]);
    await file.append([Buffer.from("lost")]);
    const nameless = await storage.open("/no-name", { create: true });
    await nameless.appendAndSync([Buffer.from("its name was never synced")]);
  });
  assert.equal((await reborn.storage.readFile("/synced")).toString(), "kept,kept too,");
  assert.deepEqual(await reborn.storage.list("/"), ["synced"]);
});

test("SimWorld crash() with torn keeps a prefix of what was not synced", async () => {
  const kept = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const reborn = await afterCrash(async ({ storage }) => {
      const file = await storage.open("/log", { create: true });
      await storage.syncDirectory("/");
      await file.appendAndSync([Buffer.from("ab")]);
      await file.append([Buffer.from("cd"), Buffer.from("ef")]);
    }, { torn: true, seed });
    kept.add((await reborn.storage.readFile("/log")).toString());
  }
  assert.deepEqual([...kept].sort(), ["ab", "abc", "abcd", "abcde", "abcdef"]);
});

test("SimWorld rename() is durable after syncDirectory() and not before", async () => {
  for (const sync of [false, true]) {
    const reborn = await afterCrash(async ({ storage }) => {
      await storage.mkdir("/state");
      for (const [name, content] of [["old", "1"], ["new.tmp", "2"]] as const) {
        const file = await storage.open(`/state/${name}`, { create: true });
        await file.appendAndSync([Buffer.from(content)]);
      }
      await storage.syncDirectory("/state");
      await storage.syncDirectory("/");
      await storage.rename("/state/new.tmp", "/state/old");
      if (sync) await storage.syncDirectory("/state");
    });
    assert.deepEqual(await reborn.storage.list("/state"), sync ? ["old"] : ["new.tmp", "old"]);
    assert.equal((await reborn.storage.readFile("/state/old")).toString(), sync ? "2" : "1");
  }
});

test("SimWorld truncate() then append() leaves the synced bytes alone until " +
  "the next sync", async () => {
  const reborn = await afterCrash(async ({ storage }) => {
    const file = await storage.open("/f", { create: true });
    await file.appendAndSync([Buffer.from("abcdef")]);
    await storage.syncDirectory("/");
    await file.truncate(2);
    await file.append([Buffer.from("XY")]);
    assert.equal((await file.read(0, 10)).toString(), "abXY");
  });
  assert.equal((await reborn.storage.readFile("/f")).toString(), "abcdef");
});

test("SimWorld crash() silences the host: no timer, promise or socket goes on", async () => {
  const { world, a, b } = await connected();
  const old = world.host("b");
  let fired = 0;
  old.timers.after(1, () => fired++);
  old.timers.soon(() => fired++);
  const lock = await old.storage.lock("/lock");
  await assert.rejects(old.storage.lock("/lock"), { code: "ELOCKED" });
  const file = await old.storage.open("/f", { create: true });
  void file.appendAndSync([Buffer.from("x")]).then(() => fired++);
  world.crash("b");
  await world.run();
  assert.equal(fired, 0);
  assert.deepEqual(b.closed, []);
  assert.equal((a.closed[0] as { code?: string }).code, "ECONNRESET");
  assert.notEqual(world.host("b"), old);
  await lock.release();
  await (await world.host("b").storage.lock("/lock")).release();
});

test("SimWorld processes run a script: output, exit, signals, pause, crash", async () => {
  const world = new SimWorld({
    seed: 1,
    program: (self) => {
      const [name] = self.argv;
      self.output("stdout", `hello from ${name} on ${self.host}\n`);
      if (name === "stubborn") self.onSignal = () => self.output("stderr", "no\n");
      if (name === "quick") self.after(5, () => self.exit(3));
    },
  });
  const { processes } = world.host("w");
  const seen: string[] = [];
  const start = (name: string) => processes.spawn({
    argv: [name], cwd: "/", env: {},
    onOutput: (stream, bytes) => seen.push(`${name} ${stream} ${bytes.toString().trim()}`),
    onExit: (exit: Exit) => seen.push(`${name} ends ${exit.signal ?? exit.code}`),
  } satisfies SpawnOptions);
  const quick = start("quick");
  quick.pause();
  const stubborn = start("stubborn");
  const slow = start("slow");
  await world.run(10);
  stubborn.signal("SIGTERM");
  slow.signal("SIGTERM");
  await world.run(20);
  stubborn.signal("SIGKILL");
  await world.run(30);
  quick.signal("SIGKILL");
  quick.resume();
  await world.run();
  assert.deepEqual(seen, [
    "stubborn stdout hello from stubborn on w", "slow stdout hello from slow on w",
    "stubborn stderr no", "slow ends SIGTERM", "stubborn ends SIGKILL",
    "quick stdout hello from quick on w", "quick ends 3",
  ]);
});
