/**
 * The store's server: clients that misbehave, in virtual time, and real tools over loopback, where
 * they are installed.
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as tcpConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  nodeHost,
  seededRandom,
  type Address,
  type Host,
  type Socket,
  type SocketHandlers,
} from "#host";
import { SimWorld, type SimOptions } from "#simhost";
import {
  openStore,
  ReplyBuffer,
  Refusal,
  startStore,
  Engine,
  StoreClient,
  StoreServerError,
  type OpenStoreOptions,
  type StoreServer,
  type StoreServerOptions,
} from "#store";
import { SOFT_OUTPUT_BYTES, StoreConnection } from "../src/store/server/connection.ts";
import "./leaks.support.ts";

const bytes = (latin1: string): Buffer => Buffer.from(latin1, "latin1");
const request = (...argv: string[]): string =>
  `*${argv.length}\r\n${argv.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("")}`;

interface Peer {
  readonly socket: Socket;
  /** What came, one entry a chunk, and whether it is over. */
  readonly chunks: string[];
  readonly text: string;
  closed: boolean;
  /** Sends, and lets 20 ms pass. Yields all that came since the last time. */
  ask(latin1: string): Promise<string>;
}

interface Room {
  readonly world: SimWorld;
  readonly host: Host;
  readonly store: Engine;
  readonly server: StoreServer;
  dial(): Promise<Peer>;
  /** Ends the server and sees that nothing is left to happen. */
  over(): Promise<void>;
}

async function room(
  options: Partial<StoreServerOptions> & { requirepass?: string; sim?: Partial<SimOptions> } = {},
): Promise<Room> {
  const { requirepass, sim, ...serverOptions } = options;
  const world = new SimWorld({ seed: 1, ...sim });
  const host = world.host("s");
  const store = new Engine({ host, ...(requirepass === undefined ? {} : { requirepass }) });
  const server = await world.settle(
    startStore({ host, listen: { host: "127.0.0.1", port: 6479 }, store, ...serverOptions }),
  );
  let closed = false;
  return {
    world,
    host,
    store,
    server,
    dial: async () => {
      const socket = await world.settle(world.host("c").network.dial({ host: "s", port: 6479 }));
      const peer: Peer & { taken: number } = {
        socket,
        chunks: [],
        closed: false,
        taken: 0,
        get text() {
          return this.chunks.join("");
        },
        async ask(latin1) {
          if (latin1 !== "") socket.write(bytes(latin1));
          await world.run(world.now + 20);
          const fresh = this.chunks.slice(this.taken).join("");
          this.taken = this.chunks.length;
          return fresh;
        },
      };
      socket.handle({
        onData: (chunk) => peer.chunks.push(chunk.toString("latin1")),
        onClose: () => (peer.closed = true),
      });
      return peer;
    },
    over: async () => {
      if (!closed) await world.settle(server.close());
      closed = true;
      store.close();
      assert.deepEqual(world.open("s"), []);
      await world.run();
    },
  };
}

test("close() waits until nobody can dial any more, and all clients are gone", async (t) => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("s");
  const listen = host.network.listen.bind(host.network);
  let letGo: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => { letGo = resolve; });
  t.mock.method(host.network, "listen", async (...args: Parameters<typeof listen>) => {
    const { close, ...address } = await listen(...args);
    return { ...address, close: () => slow.then(close) };
  });
  const store = new Engine({ host });
  const at = { host: "127.0.0.1", port: 6479 };
  const server = await world.settle(startStore({ host, listen: at, store }));
  let left: number | undefined;
  const closing = server.close().then(() => { left = server.clients; });
  await world.run(world.now + 100);
  assert.equal(left, undefined);
  const socket = await world.settle(world.host("c").network.dial({ host: "s", port: 6479 }));
  socket.handle({ onData: () => undefined, onClose: () => undefined });
  await world.run(world.now + 100);
  assert.equal(server.clients, 1);
  letGo();
  await world.settle(closing);
  assert.equal(left, 0);
});

test("startStore() answers all that arrived with one write", async () => {
  const { dial, over } = await room();
  const peer = await dial();
  assert.equal(
    await peer.ask(
      request("SET", "k", "v") + request("GET", "k") + "INCR n\r\n" + request("GET", "none"),
    ),
    "+OK\r\n$1\r\nv\r\n:1\r\n$-1\r\n",
  );
  assert.equal(peer.chunks.length, 1);
  assert.match(await peer.ask(request("CLIENT", "INFO")), / addr=c:\d+ laddr=s:6479 /);
  await over();
});

test("startStore() gives the same answers wherever the bytes are cut", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { dial, over } = await room({ sim: { seed, splitChunks: true } });
    const peer = await dial();
    const commands = Array.from(
      { length: 30 },
      (_, i) => request("APPEND", "k", "x".repeat(i)) + "\r\nINCR n\r\n",
    ).join("");
    const expected = Array.from(
      { length: 30 },
      (_, i) => `:${(i * (i + 1)) / 2}\r\n:${i + 1}\r\n`,
    ).join("");
    let got = await peer.ask(commands);
    while (got.length < expected.length) got += await peer.ask("");
    assert.equal(got, expected, `seed ${seed}`);
    await over();
  }
});

for (const [what, bad, error] of [
  ["a negative count of bytes", "*1\r\n$-5\r\n", "invalid bulk length"],
  ["a gigantic count", "*99999999999999999999\r\n", "invalid multibulk length"],
  ["an array in an array", "*1\r\n*1\r\n", "expected '$', got '*'"],
  ["an inline line of 10 MB", "x".repeat(10_000_000), "too big inline request"],
  ["an open quote", "SET 'a\r\n", "unbalanced quotes in request"],
] as const) {
  test(`startStore() answers ${what} with Redis's error, closes, and ` +
    `serves the others`, async () => {
    const { dial, over, world } = await room();
    const [peer, other] = [await dial(), await dial()];
    assert.equal(
      await peer.ask(`${request("PING")}${bad}${request("PING")}`),
      `+PONG\r\n-ERR Protocol error: ${error}\r\n`,
    );
    await world.run(world.now + 10);
    assert.equal(peer.closed, true);
    assert.equal(await other.ask("PING\r\n"), "+PONG\r\n");
    await over();
  });
}

test("startStore() survives noise", async () => {
  const seed = 77;
  const random = seededRandom(seed);
  const { dial, over, server } = await room();
  for (let round = 0; round < 150; round++) {
    const peer = await dial();
    const valid = bytes(
      request("SET", "k", "value") + request("LRANGE", "l", "0", "-1") + "GET k\r\n",
    );
    const noise = Buffer.from(round % 2 === 0 ? random.bytes(200) : valid);
    if (round % 2 === 1) {
      for (let n = 0; n < 3; n++) noise[random.u32() % noise.length]! ^= 1 << (random.u32() % 8);
    }
    peer.socket.write(noise);
    await peer.ask("");
    peer.socket.destroy();
  }
  const peer = await dial();
  assert.equal(await peer.ask("PING\r\n"), "+PONG\r\n", `seed ${seed}`);
  assert.equal(server.clients, 1);
  await over();
});

test("startStore() stops reading from a client that does not read, and goes on " +
  "where it stopped", async () => {
  const { dial, over, world } = await room();
  const peer = await dial();
  const value = "v".repeat(64 * 1024);
  await peer.ask(request("SET", "k", value));
  peer.socket.pause();
  const asked = 1000;
  peer.socket.write(bytes(request("GET", "k").repeat(asked)));
  await world.run(world.now + 1000);
  // 64 MiB were asked for. Owed are the soft limit and one answer more.
  assert.ok(world.bounded() < 2 * 1024 * 1024, `${world.bounded()} bytes`);
  peer.socket.resume();
  const whole = (value.length + 10) * asked;
  for (let got = 0; got < whole; ) {
    const more = await peer.ask("");
    assert.notEqual(more, "", `it stopped at ${got} of ${whole}`);
    got += more.length;
  }
  await over();
});

test("startStore() cuts off a subscriber that never reads, at 32 MiB, and not the " +
  "one that does", async () => {
  const { dial, over, server, world } = await room();
  const [mute, reader, publisher] = [await dial(), await dial(), await dial()];
  for (const peer of [mute, reader]) {
    assert.match(await peer.ask(request("SUBSCRIBE", "news")), /subscribe/);
  }
  mute.socket.pause();
  const message = "m".repeat(2 * 1024 * 1024);
  let sent = 0;
  let heard = 0;
  const answers: string[] = [];
  while (server.clients === 3 && sent < 300) {
    answers.push(await publisher.ask(request("PUBLISH", "news", message)));
    sent++;
    heard += (await reader.ask("")).length;
  }
  assert.equal(server.clients, 2);
  assert.ok(
    sent * message.length > 31 * 1024 * 1024 && sent * message.length < 36 * 1024 * 1024,
    `cut off after ${sent} messages`,
  );
  assert.ok(world.bounded() < 33 * 1024 * 1024);
  await world.run(world.now + 10);
  assert.equal(answers.at(-1), ":2\r\n");
  assert.equal(await publisher.ask(request("PUBLISH", "news", "x")), ":1\r\n");
  heard += (await reader.ask("")).length;
  assert.equal(heard, reader.text.length - "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n".length);
  assert.equal(reader.text.split(message).length - 1, sent);
  await over();
});

for (const afterCommit of [undefined, () => Promise.resolve()]) {
  test("a client that takes nothing gets no write before its socket has drained, " +
    `${afterCommit === undefined ? "without" : "with"} a log`, () =>
    takesNothing(afterCommit === undefined ? {} : { afterCommit }));
}

async function takesNothing(options: Pick<StoreServerOptions, "afterCommit">): Promise<void> {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("s");
  /** Since the socket has said that it is full. */
  let early = 0;
  let isFull = false;
  const watch = (socket: Socket): Socket => {
    const [write, handle] = [socket.write.bind(socket), socket.handle.bind(socket)];
    return Object.assign(socket, {
      write: (piece: Uint8Array) => {
        if (isFull) early++;
        return !(isFull = !write(piece));
      },
      handle: (handlers: SocketHandlers) => handle(Object.assign(Object.create(handlers), {
        onDrain: () => {
          isFull = false;
          handlers.onDrain?.();
        },
      })),
    });
  };
  const network: Host["network"] = {
    ...host.network,
    listen: (at, onSocket) => host.network.listen(at, (socket) => onSocket(watch(socket))),
  };
  const store = new Engine({ host });
  const listen = { host: "127.0.0.1", port: 6479 };
  const server = await world.settle(startStore({
    host: { ...host, network }, listen, store, maxClientsBytes: 10 * 1024 * 1024, ...options,
  }));
  const socket = await world.settle(world.host("c").network.dial({ host: "s", port: 6479 }));
  let heard = "";
  socket.handle({ onData: (chunk) => (heard += chunk.toString("latin1")), onClose: () => {} });
  socket.write(bytes(request("SUBSCRIBE", "news")));
  await world.run(world.now + 20);
  for (let round = 1; round <= 2; round++) {
    socket.pause();
    for (let i = 0; i < 100; i++) {
      store.subscriptions.publish("news", "m".repeat(64 * 1024));
      await world.run(world.now + 1);
    }
    assert.ok(isFull, "6 MiB are more than a socket takes");
    assert.equal(early, 0);
    socket.resume();
    await world.run(world.now + 1000);
    assert.equal(heard.split("message").length - 1, 100 * round, "each once, and nothing is owed");
  }
  await world.settle(server.close());
  store.close();
  await world.run();
}

test("startStore() cuts off whoever asks for more in one answer than 256 MiB", async () => {
  const { dial, over } = await room();
  const peer = await dial();
  await peer.ask(request("SET", "k", "v".repeat(8 * 1024 * 1024)));
  assert.equal(await peer.ask(request("MGET", ...Array.from({ length: 40 }, () => "k"))), "");
  assert.equal(peer.closed, true);
  await over();
});

test("startStore() bounds what all clients together make it hold: who " +
  "costs most, goes", async () => {
  const { world, dial, store, server, over } = await room({ maxClientsBytes: 4 * 1024 * 1024 });
  const [innocent, half, queued, larger, reader] = [
    await dial(),
    await dial(),
    await dial(),
    await dial(),
    await dial(),
  ];
  const send = async (peer: Peer, text: string): Promise<void> => {
    peer.socket.write(bytes(text));
    await world.run(world.now + 100);
  };
  const closed = (): boolean[] =>
    [innocent, half, queued, larger, reader].map((peer) => peer.closed);
  assert.equal(await innocent.ask(request("SET", "k", "v".repeat(900_000))), "+OK\r\n");
  await send(half, request("SET", "big", "v".repeat(900_000)).slice(0, -10));
  await send(queued, request("MULTI") + request("SET", "big", "v".repeat(1_900_000)));
  assert.deepEqual(closed(), [false, false, false, false, false]);
  await send(larger, request("SET", "big", "v".repeat(2_500_000)).slice(0, -10));
  assert.deepEqual(
    closed(),
    [false, false, false, true, false],
    "half a command is the first kind of cost",
  );
  reader.socket.pause();
  await send(reader, request("GET", "k").repeat(3));
  assert.deepEqual(
    closed(),
    [false, false, true, true, false],
    "a transaction that goes on the second, answers the third",
  );
  assert.equal(await innocent.ask(request("STRLEN", "k")), ":900000\r\n");
  assert.equal(store.sessions.size, server.clients);
  // What the others gave back is there for all.
  assert.equal(await innocent.ask(request("SET", "big", "v".repeat(2_000_000))), "+OK\r\n");
  await over();
});

const NAMES = Array.from({ length: 8 }, (_, i) => String(i).padEnd(64 * 1024, "n"));
for (const [what, ...commands] of [
  ["keys that it watches", ...NAMES.map((name) => ["WATCH", name])],
  ["channels that it hears", ...NAMES.map((name) => ["SUBSCRIBE", name])],
  [
    "patterns that it hears",
    ...NAMES.map((_, i) => [
      "PSUBSCRIBE",
      ...Array.from({ length: 64 }, (_, j) => String(64 * i + j).padEnd(1024, "n")),
    ]),
  ],
  ["keys that it waits for", ["BLPOP", ...NAMES, "0"]],
] as const) {
  test(`startStore() counts a client's names in what it holds: ${what}`, async () => {
    const { dial, server, over } = await room({ maxClientsBytes: 768 * 1024 });
    const peers = [await dial(), await dial()];
    for (const [i, peer] of peers.entries()) {
      for (const argv of commands) await peer.ask(request(...argv));
      assert.equal(server.clients, 2 - i, "one of half a megabyte may be, two may not");
    }
    for (const peer of peers) peer.socket.destroy();
    await over();
  });
}

test("startStore() bounds what all clients together have waiting for the disk", async () => {
  let written = (): void => {};
  const { world, dial, server, over } = await room({
    maxClientsBytes: 4 * 1024 * 1024,
    afterCommit: () => new Promise<void>((resolve) => (written = resolve)),
  });
  const readers: Peer[] = [];
  for (let i = 0; i < 8; i++) readers.push(await dial());
  const publisher = await dial();
  for (const each of readers) {
    await each.ask(request("SUBSCRIBE", "news"));
    written();
  }
  publisher.socket.write(bytes(request("PUBLISH", "news", "m".repeat(1024 * 1024))));
  await world.run(world.now + 100);
  assert.equal(
    server.clients,
    1 + 3,
    "three megabytes are below the bound, four and their headers are not",
  );
  written();
  await world.run(world.now + 1000);
  assert.equal(
    readers.filter(({ text, closed }) => !closed && text.length > 1024 * 1024).length,
    3,
  );
  for (const each of [...readers, publisher]) each.socket.destroy();
  await world.run(world.now + 10);
  await over();
});

test("startStore() takes ten thousand clients, and a gigabyte of theirs, unless told " +
  "otherwise", async () => {
  const { dial, over } = await room();
  assert.equal(
    await (await dial()).ask(request("CONFIG", "GET", "max*clients*")),
    "*4\r\n$17\r\nmaxmemory-clients\r\n$10\r\n1073741824\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n",
  );
  await over();
});

test("startStore() refuses a client too many, and takes the next when one has gone", async () => {
  const { dial, over, world } = await room({ maxClients: 2, maxClientsBytes: 5_000_000 });
  const [first] = [await dial(), await dial()];
  assert.equal(
    await first.ask(request("CONFIG", "GET", "max*clients*")),
    "*4\r\n$17\r\nmaxmemory-clients\r\n$7\r\n5000000\r\n$10\r\nmaxclients\r\n$1\r\n2\r\n",
  );
  const third = await dial();
  await world.run(world.now + 20);
  assert.equal(third.text, "-ERR max number of clients reached\r\n");
  assert.equal(third.closed, true);
  first.socket.end();
  await world.run(world.now + 20);
  assert.equal(await (await dial()).ask("PING\r\n"), "+PONG\r\n");
  await over();
});

test("startStore() does not open a port without a password to others", async () => {
  const host = new SimWorld({ seed: 1 }).host("s");
  for (const open of [
    "0.0.0.0",
    "::",
    "10.1.2.3",
    "store.example",
    "127.evil.example",
    "1270.0.0.1",
  ]) {
    const at: Address = { host: open, port: 0 };
    await assert.rejects(
      startStore({ host, listen: at, store: new Engine({ host }) }),
      { constructor: StoreServerError, name: "StoreServerError", code: "UNPROTECTED" },
    );
    const server = await startStore({
      host,
      listen: at,
      store: new Engine({ host, requirepass: "pw" }),
    });
    await server.close();
  }
  for (const own of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) {
    await (
      await startStore({ host, listen: { host: own, port: 0 }, store: new Engine({ host }) })
    ).close();
  }
});

test("CONFIG SET may change the password of an open port, and not take it away", async () => {
  const host = new SimWorld({ seed: 1 }).host("s");
  for (const [at, taken] of [["0.0.0.0", false], ["127.0.0.1", true]] as const) {
    const store = new Engine({ host, requirepass: "pw" });
    const server = await startStore({ host, listen: { host: at, port: 0 }, store });
    const out = new ReplyBuffer();
    const session = store.session({ out, authenticated: true });
    for (const value of ["other", ""]) {
      store.execute(session, ["CONFIG", "SET", "requirepass", value]);
    }
    assert.deepEqual(out.take(), [
      "OK",
      taken
        ? "OK"
        : new Refusal(
            "ERR CONFIG SET failed (possibly related to argument 'requirepass') - others can " +
              "reach the port",
          ),
    ]);
    assert.deepEqual(
      [store.config.hasPassword, store.config.isPassword("other")],
      [!taken, !taken],
    );
    await server.close();
    store.close();
  }
});

test("startStore() gives a stranger little memory, and who says AUTH all of it", async () => {
  const { dial, over } = await room({ requirepass: "pw" });
  const many = request("SET", "k", "v".repeat(17 * 1024));
  const peer = await dial();
  assert.equal(await peer.ask(request("GET", "k")), "-NOAUTH Authentication required.\r\n");
  assert.equal(await peer.ask(many), "-ERR Protocol error: unauthenticated bulk length\r\n");
  assert.equal(peer.closed, true);
  const promise = await dial();
  assert.equal(
    await promise.ask("*1\r\n$100000000\r\n"),
    "-ERR Protocol error: unauthenticated bulk length\r\n",
  );
  const wide = await dial();
  assert.equal(
    await wide.ask(request(...Array.from({ length: 11 }, () => "a"))),
    "-ERR Protocol error: unauthenticated multibulk length\r\n",
  );
  const member = await dial();
  assert.equal(await member.ask(request("AUTH", "pw") + many), "+OK\r\n+OK\r\n");
  await over();
});

test("startStore() holds back what a blocked client sent behind, and answers " +
  "it in order", async () => {
  const { dial, over } = await room();
  const [waiter, pusher] = [await dial(), await dial()];
  assert.equal(
    await waiter.ask(request("PING") + request("BLPOP", "q", "0") + request("GET", "k")),
    "+PONG\r\n",
  );
  assert.equal(await waiter.ask(request("BLPOP", "q", "0") + "PING\r\n"), "");
  assert.equal(
    await pusher.ask(request("SET", "k", "v") + request("RPUSH", "q", "a", "b")),
    "+OK\r\n:2\r\n",
  );
  assert.equal(
    await waiter.ask(""),
    "*2\r\n$1\r\nq\r\n$1\r\na\r\n$1\r\nv\r\n*2\r\n$1\r\nq\r\n$1\r\nb\r\n+PONG\r\n",
  );
  await over();
});

test("startStore() gives nothing to a blocked client that has gone", async () => {
  const { dial, over, server, world } = await room();
  const [waiter, pusher] = [await dial(), await dial()];
  await waiter.ask(request("BLPOP", "q", "0") + request("PING"));
  waiter.socket.end();
  await world.run(world.now + 20);
  assert.equal(server.clients, 1);
  assert.equal(await pusher.ask(request("RPUSH", "q", "a") + request("LLEN", "q")), ":1\r\n:1\r\n");
  await over();
});

test("startStore() bounds what a blocked client sends ahead, and sees it go", async () => {
  const { dial, over, world, store, server } = await room();
  const [waiter, pusher] = [await dial(), await dial()];
  await waiter.ask(request("BLPOP", "q", "0"));
  const ahead = request("SET", "k", "v".repeat(1000)).repeat(1000);
  for (let i = 0; i < 10; i++) waiter.socket.write(bytes(ahead));
  await world.run(world.now + 500);
  await pusher.ask(request("RPUSH", "q", "a"));
  await world.run(world.now + 500);
  assert.equal(
    (await waiter.ask("")).split("+OK\r\n").length - 1,
    10_000,
    "10 MB wait, and are done then",
  );
  await waiter.ask(request("BLPOP", "q", "0"));
  for (let i = 0; i < 3; i++) waiter.socket.write(bytes(ahead));
  waiter.socket.destroy();
  await world.run(world.now + 500);
  assert.equal(
    await pusher.ask(request("RPUSH", "q", "kept") + request("LLEN", "q")),
    ":1\r\n:1\r\n",
    "who has gone is given nothing",
  );
  store.keys.clear();
  const greedy = await dial();
  await greedy.ask(request("BLPOP", "q", "0"));
  for (let i = 0; i < 20; i++) greedy.socket.write(bytes(ahead));
  await world.run(world.now + 500);
  assert.deepEqual([greedy.closed, server.clients], [true, 1]);
  await over();
});

test("startStore() gives others their turn while one client's pipeline takes long", async () => {
  // A command takes a millisecond here: each look at the clock finds it later.
  const world = new SimWorld({ seed: 1, latencyMs: [5, 5] });
  const real = world.host("s");
  let ms = 0;
  const host = { ...real, clock: { ...real.clock, monotonic: () => ms++ } };
  for (const afterCommit of [undefined, () => undefined, () => Promise.resolve()]) {
    const store = new Engine({ host });
    const server = await world.settle(
      startStore({
        host,
        listen: { host: "127.0.0.1", port: 6479 },
        store,
        ...(afterCommit && { afterCommit }),
      }),
    );
    const order: string[] = [];
    const [busy, other] = [
      await world.settle(world.host("c").network.dial({ host: "s", port: 6479 })),
      await world.settle(world.host("c").network.dial({ host: "s", port: 6479 })),
    ];
    busy.handle({
      onData: (chunk) =>
        order.push(
          ...chunk
            .toString()
            .trim()
            .split("\r\n")
            .map(() => "busy"),
        ),
      onClose() {},
    });
    other.handle({ onData: () => order.push("other"), onClose() {} });
    busy.write(bytes(request("INCR", "n").repeat(2000)));
    other.write(bytes(request("PING")));
    await world.run(world.now + 100);
    assert.equal(order.length, 2001);
    assert.ok(
      order.indexOf("other") < 500,
      `the other one is answered behind ${order.indexOf("other")} of 2000`,
    );
    assert.equal(store.keys.get("n"), "2000");
    await world.settle(server.close());
    store.close();
  }
});

test("startStore() cuts off a subscriber that falls behind within one command " +
  "of somebody else", async () => {
  const { dial, over } = await room();
  const [listener, speaker] = [await dial(), await dial()];
  await listener.ask(request("SUBSCRIBE", "news"));
  const message = "m".repeat(1024 * 1024);
  const answer = await speaker.ask(
    request("MULTI") + request("PUBLISH", "news", message).repeat(60) + request("EXEC"),
  );
  assert.equal(listener.closed, true);
  const heard = answer.split(":1\r\n").length - 1;
  assert.ok(
    heard > 30 && heard < 40 && answer.endsWith(":0\r\n"),
    `it was let go after ${heard} of 60 MB`,
  );
  await over();
});

test("startStore() answers QUIT and what came before it, nothing behind " +
  "it, and closes", async () => {
  const { dial, over } = await room();
  const peer = await dial();
  assert.equal(await peer.ask("PING\r\nQUIT\r\nPING\r\n"), "+PONG\r\n+OK\r\n");
  assert.equal(peer.closed, true);
  await over();
});

test("startStore() closes on a peer that never closes its side, after a while", async () => {
  const { host, store, over, server, world } = await room();
  assert.equal(server.clients, 0);
  let destroyed = 0;
  const mute: Partial<Socket> = {
    remote: "x:1",
    pendingBytes: 0,
    write: () => true,
    end: () => {},
    pause: () => {},
    resume: () => {},
    destroy: () => void destroyed++,
  };
  let onData: (chunk: Buffer) => void = () => {};
  const listen: Host["network"]["listen"] = async (at, onSocket) => {
    onSocket({ ...mute, handle: (handlers) => (onData = handlers.onData) } as Socket);
    return { ...at, close: async () => {} };
  };
  const start = (limits: Partial<StoreServerOptions>): Promise<StoreServer> =>
    startStore({
      host: { ...host, network: { ...host.network, listen } },
      listen: { host: "127.0.0.1", port: 1 },
      store,
      ...limits,
    });
  const second = await start({ maxClientsBytes: 100_000 });
  onData(bytes("QUIT\r\n"));
  onData(Buffer.alloc(200_000, "what comes now is read, and not kept"));
  await world.run(world.now + 1999);
  assert.deepEqual([destroyed, second.clients], [0, 1]);
  await world.run(world.now + 1);
  assert.deepEqual([destroyed, second.clients], [1, 0]);
  await start({ maxClients: 0 }); // one who is refused is a peer like another
  await world.run(world.now + 1000);
  assert.equal(destroyed, 1);
  await world.run(world.now + 2000);
  assert.equal(destroyed, 2);
  await over();
});

/** A socket that takes all bytes at once. */
interface Taker {
  handlers: SocketHandlers;
  text: string;
}

/**
 * Connects some, without a network in between. `order` has the place of the socket for each write
 * to any, and "end".
 */
async function takers(
  { host, store }: Room,
  count: number,
): Promise<{ all: Taker[]; order: (number | "end")[] }> {
  const all: Taker[] = [];
  const order: (number | "end")[] = [];
  const listen: Host["network"]["listen"] = async (at, onSocket) => {
    for (let i = 0; i < count; i++) {
      const socket: Omit<Socket, "handle"> = {
        remote: "x:1",
        pendingBytes: 0,
        pause() {},
        resume() {},
        destroy() {},
        reset() {},
        end: () => order.push("end"),
        writeLent: () => assert.fail("the store keeps what it writes"),
        write(chunk) {
          order.push(i);
          all[i]!.text += Buffer.from(chunk).toString("latin1");
          return true;
        },
      };
      onSocket({ ...socket, handle: (handlers) => all.push({ handlers, text: "" }) } as Socket);
    }
    return { ...at, close: async () => {} };
  };
  await startStore({
    host: { ...host, network: { ...host.network, listen } },
    listen: { host: "127.0.0.1", port: 1 },
    store,
  });
  return { all, order };
}

test("startStore() answers who asks for much a megabyte at a time, others in between, and all of " +
  "it when it has closed its side", async () => {
  const here = await room();
  const value = "v".repeat(64 * 1024);
  const { all: [large, small], order } = await takers(here, 2);
  large!.handlers.onData(bytes(request("SET", "k", value)));
  large!.handlers.onData(bytes(request("GET", "k").repeat(64)));
  large!.handlers.onEnd!();
  small!.handlers.onData(bytes("PING\r\n"));
  await here.world.run(here.world.now + 10);
  assert.equal(large!.text, `+OK\r\n${`$${value.length}\r\n${value}\r\n`.repeat(64)}`);
  assert.deepEqual(order, [0, 0, 1, 0, 0, 0, "end"]);
  await here.world.run(); // the socket of a taker never closes: it is cut off
  await here.over();
});

test("startStore() gives nothing to a client that waits and has closed its side", async () => {
  const here = await room();
  const { all: [waiter, pusher] } = await takers(here, 2);
  waiter!.handlers.onData(bytes("BLPOP q 0\r\n"));
  waiter!.handlers.onEnd!();
  pusher!.handlers.onData(bytes("RPUSH q a\r\nLLEN q\r\n"));
  assert.deepEqual([waiter!.text, pusher!.text], ["", ":1\r\n:1\r\n"]);
  await here.over();
});

test("afterCommit holds every answer of a turn until it resolves, once for all " +
  "clients, in order", async () => {
  const commits: (() => void)[] = [];
  const { dial, over, world } = await room({
    afterCommit: () => new Promise<void>((resolve) => commits.push(resolve)),
    sim: { latencyMs: [1, 1] },
  });
  const peers = [await dial(), await dial(), await dial()];
  for (const peer of peers) peer.socket.write(bytes("INCR n\r\n"));
  await world.run(world.now + 20);
  assert.equal(commits.length, 1);
  assert.deepEqual(peers.map((peer) => peer.text), ["", "", ""]);
  assert.equal(await peers[0]!.ask("INCR n\r\n"), "");
  assert.equal(commits.length, 2);
  commits[1]!(); // the later turn is ready first, and still waits for its predecessor
  assert.equal(await peers[0]!.ask(""), "");
  commits[0]!();
  await world.run(world.now + 20);
  assert.deepEqual(peers.map((peer) => peer.text), [":1\r\n:4\r\n", ":2\r\n", ":3\r\n"]);
  peers[1]!.socket.write(bytes("QUIT\r\n"));
  await world.run(world.now + 20);
  assert.equal(peers[1]!.closed, false);
  commits[2]!();
  await world.run(world.now + 20);
  assert.equal(peers[1]!.text, ":2\r\n+OK\r\n");
  assert.equal(peers[1]!.closed, true);
  await over();
});

test("when the disk is full, reads that waited for the log are answered, in order", async () => {
  let tell: (full: boolean) => void = () => {};
  let done: () => void = () => {};
  const { dial, over } = await room({
    whenFull: (listener) => (tell = listener),
    afterCommit: () => new Promise((resolve) => (done = resolve)),
  });
  const [reader, both] = [await dial(), await dial()];
  assert.equal(await reader.ask("GET k\r\n"), "");
  assert.equal(await both.ask("GET k\r\n"), "");
  assert.equal(await both.ask("SET k v\r\n"), "");
  assert.equal(await both.ask("GET k\r\n"), "");
  tell(false);
  assert.deepEqual([await reader.ask(""), await both.ask("")], ["", ""]);
  tell(true);
  assert.deepEqual([await reader.ask(""), await both.ask("")], ["$-1\r\n", "$-1\r\n"]);
  done();
  await over();
});

test("afterCommit that has nothing to wait for delays nobody, and reads wait for the writes they " +
  "saw", async () => {
  let pending: (() => void) | undefined;
  let dirty = false;
  const { dial, over } = await room({
    afterCommit: () =>
      dirty ? new Promise<void>((resolve) => ((pending = resolve), (dirty = false))) : undefined,
  });
  const [writer, reader] = [await dial(), await dial()];
  assert.equal(await reader.ask("GET k\r\n"), "$-1\r\n");
  dirty = true;
  assert.equal(await writer.ask("SET k v\r\n"), "");
  assert.equal(await reader.ask("GET k\r\n"), "");
  pending!();
  assert.equal(await reader.ask(""), "$1\r\nv\r\n");
  assert.equal(writer.text, "+OK\r\n");
  await over();
});

test("afterCommit that fails cuts off those who waited for it", async () => {
  const { dial, over, server, world } = await room({
    afterCommit: () => Promise.reject(new Error("disk")),
  });
  const peer = await dial();
  assert.equal(await peer.ask("SET k v\r\n"), "");
  await world.run(world.now + 20);
  assert.equal(peer.closed, true);
  assert.equal(server.clients, 0);
  await over();
});

test("a client whose commits are slow executes no more than its soft limit", async () => {
  const { dial, over, world, store } = await room({
    afterCommit: () => new Promise<void>(() => {}),
  });
  const peer = await dial();
  await peer.ask(request("SET", "k", "v".repeat(256 * 1024)));
  for (let i = 0; i < 100; i++) await peer.ask("INCR n\r\n" + request("GET", "k"));
  const seen = store.stats.commands;
  assert.ok(seen < 20, `${seen} commands`);
  peer.socket.destroy();
  await world.run(world.now + 20);
  await over();
});

test("StoreServer costs nothing while it is idle, and close() ends every connection", async () => {
  const { dial, server, store, world } = await room();
  const peers = [await dial(), await dial()];
  await peers[0]!.ask(request("BLPOP", "q", "0"));
  await peers[1]!.ask(request("SUBSCRIBE", "news"));
  const before = world.now;
  await world.run();
  assert.ok(world.now - before < 1000, "something was still to happen");
  const closing = world.now;
  await world.settle(server.close());
  await world.run(world.now + 100);
  assert.ok(world.now - closing < 1000, "at once: nothing is left to be said");
  assert.deepEqual(peers.map((peer) => peer.closed), [true, true]);
  assert.equal(server.clients, 0);
  await assert.rejects(world.settle(world.host("c").network.dial({ host: "s", port: 6479 })), {
    code: "ECONNREFUSED",
  });
  store.close();
  await world.run();
});

test("StoreServer.close() gives a client that does not read two seconds", async () => {
  const { dial, server, world, over } = await room();
  const peer = await dial();
  await peer.ask(request("SET", "k", "v".repeat(64 * 1024)));
  peer.socket.pause();
  await peer.ask(request("GET", "k").repeat(100));
  const before = world.now;
  await world.settle(server.close());
  assert.ok(world.now - before < 3000, `it took ${world.now - before} ms`);
  await over();
});

test("StoreClient and startStore() understand one another", async () => {
  const { over, store, world } = await room({ requirepass: "s3cret/", sim: { splitChunks: true } });
  const connect = (url: string, buffers = false): Promise<StoreClient> =>
    world.settle(StoreClient.connect({ host: world.host("c"), url, buffers }));
  const client = await connect("redis://:s3cret%2F@s:6479");
  await assert.rejects(connect("redis://:wrong@s:6479"), { code: "WRONGPASS" });
  assert.equal(await world.settle(client.call("SET", "k", "é", "PX", 100_000)), "OK");
  assert.equal(await world.settle(client.call("INCRBY", "n", 2n ** 62n)), 2n ** 62n);
  await world.settle(client.call("HSET", "h", "f", "1", "g", "2"));
  assert.deepEqual(
    await world.settle(client.call("HGETALL", "h")),
    new Map([
      ["f", "1"],
      ["g", "2"],
    ]),
  );
  const [, , , exec] = await world.settle(
    Promise.all([
      client.call("MULTI"),
      client.call("GET", "k"),
      client.call("INCR", "k"),
      client.call("EXEC"),
    ]),
  );
  assert.equal((exec as unknown[])[0], "é");
  assert.match(String((exec as unknown[])[1]), /not an integer/);
  const binary = await connect("redis://:s3cret%2F@s:6479", true);
  await world.settle(binary.call("SET", Buffer.of(0, 255, 13, 10), Buffer.of(1, 2, 0)));
  assert.deepEqual(
    await world.settle(binary.call("GET", Buffer.of(0, 255, 13, 10))),
    Buffer.of(1, 2, 0),
  );
  const heard: unknown[] = [];
  await world.settle(
    client.subscribe("news", (message, channel) => heard.push([channel, message])),
  );
  assert.equal(await world.settle(binary.call("PUBLISH", "news", "hi")), 1);
  assert.equal(await world.settle(client.call("GET", "k")), "é");
  await world.run(world.now + 20);
  assert.deepEqual(heard, [["news", "hi"]]);
  const stop = await world.settle(client.subscribe("n*", () => {}, { pattern: true }));
  assert.deepEqual([...store.subscriptions.patterns.keys()], ["n*"]);
  await world.settle(stop());
  assert.equal(store.subscriptions.patterns.size, 0);
  client.close();
  binary.close();
  await over();
});

/** Ends with the test, also when that fails: an open port would keep its process alive. */
async function realStore(
  t: TestContext,
  log: Pick<OpenStoreOptions, "dir" | "durability"> = {},
): Promise<{ port: number }> {
  const host = nodeHost();
  const opened = await openStore({ host, ...log });
  const server = await startStore({
    host,
    listen: { host: "127.0.0.1", port: 0 },
    store: opened.store,
    ...(log.dir !== undefined && { afterCommit: () => opened.afterCommit() }),
  });
  t.after(async () => {
    await server.close();
    await opened.close();
    if (log.dir !== undefined) rmSync(log.dir, { recursive: true });
  });
  return { port: server.port };
}

for (const durability of [undefined, "everysec", "always"] as const) {
  test(
    "startStore() answers a peer that sends, closes its side, and then reads: " +
      `${durability === undefined ? "without a log" : `fsync ${durability}`}`,
    async (t) => {
      const { port } = await realStore(
        t,
        durability && { dir: mkdtempSync(join(tmpdir(), "titan-store-")), durability },
      );
      const text = await new Promise<string>((resolve, reject) => {
        let got = "";
        const socket = tcpConnect({ host: "127.0.0.1", port, allowHalfOpen: true }, () =>
          socket.end("SET k v\r\nGET k\r\n"),
        );
        socket
          .on("data", (chunk) => (got += chunk))
          .on("end", () => resolve(got))
          .on("error", reject);
      });
      assert.equal(text, "+OK\r\n$1\r\nv\r\n");
    },
  );
}

const installed = (tool: string): false | string =>
  spawnSync(tool, ["--version"]).status === 0 ? false : `${tool} is not installed`;
const run = (tool: string, args: string[], input = ""): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile(tool, args, { timeout: 20_000 }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stderr}`)),
    );
    child.stdin!.end(input);
  });

test("redis-cli talks to startStore(), in " +
  "RESP2 and RESP3", { skip: installed("redis-cli") }, async (t) => {
  const { port } = await realStore(t);
  const cli = (...args: string[]): Promise<string> =>
    run("redis-cli", ["-p", String(port), ...args]);
  assert.equal(await cli("SET", "greeting", "hello"), "OK\n");
  assert.equal(await cli("GET", "greeting"), "hello\n");
  assert.equal(await cli("-3", "HSET", "h", "a", "1"), "1\n");
  assert.equal(await cli("-3", "--no-raw", "HGETALL", "h"), '1# "a" => "1"\n');
  assert.match(await cli("INCR", "greeting"), /not an integer/);
  assert.equal(
    await run(
      "redis-cli",
      ["-p", String(port)],
      'SET "two words" "line\\nend"\nSTRLEN "two words"\n',
    ),
    "OK\n8\n",
  );
  assert.match(
    await run(
      "redis-cli",
      ["-p", String(port), "--pipe"],
      request("SET", "p", "1") + request("INCR", "p"),
    ),
    /errors: 0, replies: 2/,
  );
  assert.equal(await cli("GET", "p"), "2\n");
});

test("redis-benchmark " +
  "runs against startStore()", { skip: installed("redis-benchmark") }, async (t) => {
  const { port } = await realStore(t);
  const out = await run("redis-benchmark", [
    "-p",
    String(port),
    "-q",
    "-n",
    "2000",
    "-c",
    "20",
    "-P",
    "4",
    "-t",
    "ping,set,get,incr,lpush,sadd,mset",
  ]);
  for (const name of ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "SADD", "MSET"]) {
    assert.match(out, new RegExp(`${name}.*requests per second`));
  }
});

/** A connection whose socket, clock and log are in the test's hands. */
function bare() {
  const state = {
    ms: 0, takes: true, paused: false, behind: undefined as Promise<void> | undefined,
    text: "", accounted: 0, later: 0, ended: 0, destroyed: 0,
    handlers: undefined as SocketHandlers | undefined,
  };
  const clock = { monotonic: () => state.ms, wall: () => state.ms };
  const store = new Engine({ host: { ...nodeHost(), clock } });
  const socket = {
    remote: "client", pendingBytes: 0,
    handle: (handlers: SocketHandlers) => (state.handlers = handlers),
    write: (piece: Uint8Array) => {
      state.text += Buffer.from(piece).toString("latin1");
      return state.takes;
    },
    writeLent: () => true,
    pause: () => (state.paused = true), resume: () => (state.paused = false),
    end: () => state.ended++, destroy: () => state.destroyed++, reset: () => {},
  };
  const connection = new StoreConnection(socket, {
    host: { ...nodeHost(), clock }, address: "server", store, commits: true,
    flushLater: () => state.later++, caughtUp: () => state.behind, gone: () => {},
    account: (change) => (state.accounted += change),
  });
  const send = (...commands: string[][]): void =>
    state.handlers!.onData(bytes(commands.map((argv) => request(...argv)).join("")));
  return { state, store, connection, send };
}

test("StoreConnection counts what it holds for its client, to the byte", async () => {
  const { state, connection, send } = bare();
  const counted = (): number[] => [connection.owedBytes, connection.heldBytes];
  assert.deepEqual(counted(), [0, 0]);
  state.behind = new Promise((resolve) => setImmediate(resolve));
  send(["SET", "k", "value"]);
  assert.deepEqual(counted(), [0, "SETkvalue".length]);
  assert.equal(state.paused, true);
  const { behind } = state;
  state.behind = undefined;
  await behind;
  assert.deepEqual([state.paused, ...counted()], [false, 5, 5]);
  const [first, second] = [connection.hold(), connection.hold()];
  assert.deepEqual(counted(), [5, 5]);
  send(["GET", "k"]);
  const third = connection.hold();
  const size = "$5\r\nvalue\r\n".length;
  assert.deepEqual(counted(), [5 + size, 5 + size]);
  state.takes = false;
  for (const held of [first, second]) connection.release(held);
  assert.deepEqual([state.text, ...counted()], ["+OK\r\n", size, size]);
  connection.release(third);
  assert.deepEqual(counted(), [size + 96, size + 96]);
  state.takes = true;
  state.handlers!.onDrain!();
  assert.deepEqual([state.text, ...counted()], ["+OK\r\n$5\r\nvalue\r\n", 0, 0]);
  connection.destroy();
});

test("StoreConnection is no account's business below 16 KiB", () => {
  for (const [length, accounted] of [[16 * 1024 - 1, 0], [16 * 1024, 16 * 1024]] as const) {
    const { state, connection, send } = bare();
    state.behind = new Promise(() => {});
    send(["SET", "k", "v".repeat(length - 4)]);
    assert.equal(state.accounted, accounted);
    connection.destroy();
    assert.equal(state.accounted, 0);
  }
});

test("StoreConnection looks at the clock at every fourth command, for 10 ms", () => {
  const { state, store, connection, send } = bare();
  store.info.set("Server", () => {
    state.ms += 5;
    return {};
  });
  const pings = (count: number): string[][] => Array.from({ length: count }, () => ["PING"]);
  const info = ["INFO", "server"];
  // 5 ms are over at the first looks, 10 at the fourth.
  send(info, ...pings(12), info, ...pings(20));
  assert.deepEqual([store.stats.commands, state.later], [16, 2]);
  connection.flush();
  assert.equal(store.stats.commands, 14 + 20, "no turn is too short for all that has come");
  connection.destroy();
});

test("StoreConnection executes and reads no more for a client that is owed a megabyte", () => {
  const { state, connection, send } = bare();
  const value = "v".repeat(SOFT_OUTPUT_BYTES - "+OK\r\n$1048559\r\n\r\n".length);
  send(["SET", "big", value], ["GET", "big"], ["ECHO", "after"]);
  assert.deepEqual([connection.owedBytes, state.paused], [SOFT_OUTPUT_BYTES, true]);
  connection.release(connection.hold());
  assert.deepEqual([connection.owedBytes, state.paused], ["$5\r\nafter\r\n".length, false]);
  connection.destroy();
});

test("StoreConnection cuts off who is owed more than 256 MiB, or 32 MiB of messages", () => {
  const MIB = 1024 * 1024;
  const value = "v".repeat((256 * MIB - "*4\r\n".length) / 4 - "$67108850\r\n\r\n".length);
  for (const [more, destroyed] of [["", 0], ["v", 1]] as const) {
    const { state, store, connection, send } = bare();
    store.keys.put("k", value);
    store.keys.put("more", value + more);
    send(["MGET", "k", "k", "k", "more"]);
    assert.deepEqual([connection.owedBytes, state.destroyed], [256 * MIB + destroyed, destroyed]);
    connection.destroy();
  }
  const { state, store, connection, send } = bare();
  send(["SUBSCRIBE", "c"]);
  connection.release(connection.hold());
  const frame = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$33554391\r\n\r\n".length;
  store.subscriptions.publish("c", "m".repeat(32 * MIB - frame));
  assert.deepEqual([connection.owedBytes, state.destroyed], [32 * MIB, 0]);
  store.subscriptions.publish("c", "");
  assert.equal(state.destroyed, 1);
});

test("StoreConnection reads 16 MiB ahead of a client that waits, and no more", () => {
  const MOST = 16 * 1024 * 1024;
  const ahead = (size: number): { kept: number; destroyed: number } => {
    const { state, connection, send } = bare();
    send(["BLPOP", "l", "0"]);
    const before = connection.heldBytes;
    state.handlers!.onData(Buffer.alloc(size));
    const kept = connection.heldBytes - before;
    connection.destroy();
    return { kept, destroyed: state.destroyed - 1 };
  };
  const overhead = ahead(MOST / 2).kept - MOST / 2;
  assert.deepEqual(ahead(MOST - overhead), { kept: MOST, destroyed: 0 });
  assert.equal(ahead(MOST - overhead + 1).destroyed, 1);
});

test("StoreConnection hands its socket over with its answers, to nobody while some wait", () => {
  const take = ["TITAN.SYNC", "?", "0"];
  for (const [before, chunks, isTaken] of [
    [[], [[take]], true],
    [[], [[["PING"], take]], true],
    [[["PING"]], [[take]], false],
    [[], [[take, ["PING"]]], false],
  ] as const) {
    const { state, store, connection, send } = bare();
    const heard: string[] = [];
    store.services = {
      ...store.services!,
      sync: (session) => {
        session.takeOver = () => ({
          onData: (chunk) => heard.push(chunk.toString()),
          onDrain: () => heard.push("drain"),
          onClose: (error) => heard.push(`close ${error?.message}`),
        });
      },
    };
    const note = JSON.stringify([before, chunks]);
    send(["HELLO", "3"], ["SUBSCRIBE", "c"], ["WATCH", "k".repeat(20_000)]);
    connection.flush();
    assert.ok(connection.accounted > 20_000);
    state.text = "";
    for (const argv of before) {
      send([...argv]);
      connection.hold();
    }
    for (const chunk of chunks) send(...chunk.map((argv) => [...argv]));
    assert.equal(state.destroyed, isTaken ? 0 : 1, note);
    if (!isTaken) continue;
    assert.equal(state.text, "+PONG\r\n".repeat(chunks[0].length - 1), note);
    assert.equal(connection.accounted, 0, "a replica's limit is the backlog");
    const { handlers, text } = state;
    const { heldBytes } = connection;
    handlers!.onData(bytes("anything"));
    assert.equal(connection.heldBytes, heldBytes);
    handlers!.onDrain!();
    store.subscriptions.publish("c", "a message for nobody");
    assert.equal(connection.hold().bytes.length, 0);
    connection.flush();
    handlers!.onEnd!();
    assert.deepEqual([state.ended, state.destroyed, state.text], [1, 0, text]);
    connection.end();
    assert.equal(state.destroyed, 1);
    handlers!.onClose(new Error("cut"));
    assert.deepEqual(heard, ["anything", "drain", "close cut"]);
  }
});
