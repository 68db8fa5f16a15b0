/**
 * A log that is behind slows writers down; a disk that is full refuses them; readers notice
 * neither.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Socket } from "#host";
import { SimWorld } from "#simhost";
import {
  openStore, ReplyBuffer, Refusal, startStore, type OpenStore, type OpenStoreOptions,
  type Reply, type StoreServer,
} from "#store";

const request = (...argv: string[]): string =>
  `*${argv.length}\r\n${argv.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("")}`;

interface Peer {
  readonly socket: Socket;
  text: string;
  closed: boolean;
  /** Sends, lets 20 ms pass, and yields what has come since the last time. */
  ask(latin1: string): Promise<string>;
}

interface Room {
  readonly world: SimWorld;
  readonly opened: OpenStore;
  readonly server: StoreServer;
  readonly heard: (string | undefined)[];
  dial(): Promise<Peer>;
  close(): Promise<void>;
}

async function room(
  options: Partial<OpenStoreOptions> = {},
  world = new SimWorld({ seed: 1 }),
): Promise<Room> {
  const host = world.host("s");
  const heard: (string | undefined)[] = [];
  const onFull = (why: string | undefined): unknown => heard.push(why);
  const opened = await world.settle(openStore({ host, dir: "/data/store", onFull, ...options }));
  const { store } = opened;
  const server = await world.settle(startStore({
    host, listen: { host: "127.0.0.1", port: 6479 }, store,
    afterCommit: () => opened.afterCommit(),
    caughtUp: () => opened.caughtUp(),
    whenFull: (listener) => opened.whenFull(listener),
  }));
  return {
    world, opened, server, heard,
    dial: () => dial(world),
    close: async () => {
      await world.settle(server.close());
      await world.settle(opened.close().catch(() => {}));
    },
  };
}

async function dial(world: SimWorld): Promise<Peer> {
  const socket = await world.settle(world.host("c").network.dial({ host: "s", port: 6479 }));
  let taken = 0;
  const peer: Peer = {
    socket, text: "", closed: false,
    async ask(latin1) {
      if (latin1 !== "") socket.write(Buffer.from(latin1, "latin1"));
      await world.run(world.now + 20);
      const fresh = peer.text.slice(taken);
      taken = peer.text.length;
      return fresh;
    },
  };
  socket.handle({
    onData: (chunk) => (peer.text += chunk.toString("latin1")),
    onClose: () => (peer.closed = true),
  });
  return peer;
}

const MISCONF = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";

/** Fills the disk: the value of which only a part finds room is not answered. */
async function fill({ world, opened }: Room, writer: Peer): Promise<void> {
  world.disk("s").limitBytes(world.disk("s").usedBytes + 1000);
  assert.equal(await writer.ask(request("SET", "big", "v".repeat(2000))), "");
  assert.equal(opened.store.keys.string("big")?.length, 2000);
}

for (const durability of ["everysec", "always", "no"] as const) {
  test(`a full disk refuses writes, answers reads, and goes on ` +
    `by itself (${durability})`, async () => {
    const all = await room({ durability });
    const { world, heard, opened } = all;
    const [writer, other, waiting] = [await all.dial(), await all.dial(), await all.dial()];
    assert.equal(
      await other.ask(request("SET", "k", "v") + request("GET", "k")),
      "+OK\r\n$1\r\nv\r\n",
    );
    assert.equal(await waiting.ask(request("BLPOP", "l", "0")), "");
    await fill(all, writer);
    assert.equal(heard.length, 1);
    assert.match(heard[0]!, /ENOSPC/);
    for (const write of [
      ["SET", "k", "w"],
      ["DEL", "k"],
      ["RPUSH", "l", "x"],
      ["EXPIRE", "k", "9"],
    ]) {
      assert.equal(await other.ask(request(...write)), MISCONF, write.join(" "));
    }
    assert.equal(await other.ask(request("GET", "k")), "$1\r\nv\r\n");
    assert.equal(
      await other.ask(request("PUBLISH", "c", "m") + request("STRLEN", "big")),
      ":0\r\n:2000\r\n",
    );
    assert.match(await other.ask(request("INFO", "persistence")), /aof_last_write_status:err/);
    assert.match(await other.ask(request("BGREWRITEAOF")), /^-MISCONF/);
    const reader = await all.dial();
    assert.equal(
      await reader.ask(request("GET", "k")),
      "$1\r\nv\r\n",
      "who comes now is served too",
    );
    // A transaction, refused as a whole: at its end, or, like Redis, when its write is queued.
    await reader.ask(request("MULTI"));
    assert.equal(await reader.ask(request("SET", "k", "w")), MISCONF);
    assert.match(await reader.ask(request("EXEC")), /^-EXECABORT/);
    await world.run(world.now + 5000);
    assert.equal(writer.text, "", "what was not written is not promised");
    assert.equal(writer.closed, false);
    world.disk("s").limitBytes(undefined);
    await world.run(world.now + 3000);
    assert.equal(writer.text, "+OK\r\n");
    assert.deepEqual(heard.slice(1), [undefined]);
    assert.equal(await other.ask(request("SET", "k", "w")), "+OK\r\n");
    assert.equal(await other.ask(request("RPUSH", "l", "x")), ":1\r\n");
    assert.equal(waiting.text, "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
    assert.match(await other.ask(request("INFO", "persistence")), /aof_last_write_status:ok/);
    assert.equal(opened.store.role, "primary");
    await all.close();
    const again = await room({ durability }, world);
    assert.equal(again.opened.store.keys.string("big")?.length, 2000);
    assert.equal(again.opened.store.keys.string("k"), "w");
    await again.close();
  });
}

test("of the turn that finds the disk full, who has only read is answered, and who has written " +
  "is not", async () => {
  const all = await room();
  const [writer, reader, both] = [await all.dial(), await all.dial(), await all.dial()];
  assert.equal(await reader.ask(request("SET", "k", "v")), "+OK\r\n");
  all.world.disk("s").limitBytes(all.world.disk("s").usedBytes + 1000);
  writer.socket.write(Buffer.from(request("SET", "big", "v".repeat(2000))));
  reader.socket.write(Buffer.from(request("GET", "k")));
  both.socket.write(Buffer.from(request("GET", "k") + request("INCR", "n")));
  await all.world.run(all.world.now + 20);
  assert.deepEqual([writer.text, reader.text, both.text], ["", "+OK\r\n$1\r\nv\r\n", ""]);
  assert.equal(await both.ask(request("GET", "k")), "", "its answers come in order");
  all.world.disk("s").limitBytes(undefined);
  await all.world.run(all.world.now + 3000);
  assert.deepEqual([writer.text, both.text], ["+OK\r\n", "$1\r\nv\r\n:1\r\n$1\r\nv\r\n"]);
  assert.equal(reader.text, "+OK\r\n$1\r\nv\r\n", "once");
  await all.close();
});

test("nobody waits for a disk that is full: a write is refused at once", async () => {
  const all = await room({ maxBehindBytes: 1 });
  await fill(all, await all.dial());
  assert.equal(all.opened.caughtUp(), undefined);
  await all.close();
});

test("a write that waits for the disk is refused when there is no room on it", async () => {
  const all = await room({ durability: "always", maxBehindBytes: 3000 });
  const disk = all.world.disk("s");
  const peers = [await all.dial(), await all.dial(), await all.dial()];
  disk.slowSync([1000, 1000]);
  for (const peer of peers) assert.equal(await peer.ask(request("SET", "k", "v".repeat(2000))), "");
  disk.limitBytes(disk.usedBytes);
  await all.world.run(all.world.now + 2500);
  assert.deepEqual(peers.map(({ text }) => text), ["+OK\r\n", "", MISCONF]);
  await all.close();
});

test("who waits for room on a full disk is told when the disk fails", async () => {
  const all = await room();
  const { world, opened } = all;
  const writer = await all.dial();
  assert.equal(await writer.ask(request("SET", "k", "v", "PX", "1000")), "+OK\r\n");
  await fill(all, writer);
  await world.run(world.now + 1500);
  assert.equal(opened.store.keys.has("k"), false, "a change that has no room");
  const commit = Promise.resolve(opened.afterCommit());
  commit.catch(() => {});
  world.disk("s").fail("append", { code: "EIO" });
  world.disk("s").limitBytes(undefined);
  await assert.rejects(world.settle(commit), /EIO/);
  await all.close();
});

test("a client that was waiting is not answered with what found no room on the disk", async () => {
  const all = await room();
  const [waiting, pusher] = [await all.dial(), await all.dial()];
  await waiting.ask(request("BLPOP", "l", "0"));
  all.world.disk("s").limitBytes(all.world.disk("s").usedBytes + 1000);
  const item = "v".repeat(2000);
  await pusher.ask(request("RPUSH", "l", item));
  assert.deepEqual([waiting.text, pusher.text], ["", ""]);
  all.world.disk("s").limitBytes(undefined);
  await all.world.run(all.world.now + 3000);
  assert.deepEqual(
    [waiting.text, pusher.text],
    [`*2\r\n$1\r\nl\r\n$2000\r\n${item}\r\n`, ":1\r\n"],
  );
  await all.close();
});

test("a key whose time comes while the disk is full is gone, and stays gone " +
  "after a restart", async () => {
  const all = await room();
  const { world } = all;
  const writer = await all.dial();
  assert.equal(
    await writer.ask(request("SET", "dies", "v", "PX", "1000") + request("SET", "k", "v")),
    "+OK\r\n+OK\r\n",
  );
  await fill(all, writer);
  await world.run(world.now + 1500);
  const reader = await all.dial();
  assert.equal(await reader.ask(request("EXISTS", "dies")), ":0\r\n");
  world.disk("s").limitBytes(undefined);
  await world.run(world.now + 3000);
  assert.equal(await reader.ask(request("SET", "after", "v")), "+OK\r\n");
  await all.close();
  const again = await room({}, world);
  assert.deepEqual([...again.opened.store.keys.dict.keys].sort(), ["after", "big", "k"]);
  await again.close();
});

test("a store that is stopped on a full disk ends, and has lost nothing that " +
  "it had answered", async () => {
  const all = await room();
  const writer = await all.dial();
  assert.equal(await writer.ask(request("SET", "k", "v")), "+OK\r\n");
  await fill(all, writer);
  await all.close();
  all.world.disk("s").limitBytes(undefined);
  const again = await room({}, all.world);
  assert.equal(again.opened.store.keys.string("k"), "v");
  await again.close();
});

test("a rewrite that finds the disk full leaves nothing behind, and the log goes on", async () => {
  const all = await room();
  const { world, opened } = all;
  const writer = await all.dial();
  for (let i = 0; i < 20; i++) await writer.ask(request("SET", "k", "v".repeat(1000)));
  for (let i = 0; i < 5; i++) await writer.ask(request("SET", `k${i}`, "v".repeat(1000)));
  const list = (): Promise<string[]> =>
    world.settle(world.host("s").storage.list("/data/store/log"));
  const before = await list();
  world.disk("s").limitBytes(world.disk("s").usedBytes + 2000);
  await assert.rejects(world.settle(opened.rewrite()), /ENOSPC/);
  assert.deepEqual(await list(), before);
  assert.equal(await writer.ask(request("SET", "k", "w")), "+OK\r\n");
  world.disk("s").limitBytes(undefined);
  await world.settle(opened.rewrite());
  await all.close();
});

/** Commands that come to more than may wait for the disk, sent at once. */
const PIECE_BYTES = 16 * 1024;
const PIECES = 30;
const slow = { durability: "always", maxBehindBytes: 64 * 1024 } as const;
const pieces = (key: string): string =>
  Array.from({ length: PIECES }, (_, i) =>
    request("SET", `${key}${i}`, "v".repeat(PIECE_BYTES)),
  ).join("");

test("a client that writes faster than the disk is slowed down, not refused, " +
  "and loses nothing", async () => {
  const all = await room(slow);
  const { world, opened } = all;
  world.disk("s").slowSync([200, 200]);
  const [writer, reader, transaction] = [await all.dial(), await all.dial(), await all.dial()];
  const queued = await all.dial();
  await queued.ask(request("MULTI") + request("GET", "a0") + request("SET", "queued", "1"));
  writer.socket.write(Buffer.from(pieces("a") + request("INCR", "n") + request("GET", "n")));
  while (opened.caughtUp() === undefined) await world.run(world.now + 1);
  // It is behind now: a write waits, a read does not; a refusal is for who has no connection.
  const embedded = opened.store.session({ out: new ReplyBuffer() });
  opened.store.execute(embedded, ["SET", "x", "1"]);
  const [answer] = (embedded.out as ReplyBuffer).take() as Reply[];
  assert.match((answer as Refusal).text, /^BUSY \d+ bytes wait for the disk already/);
  const seen = opened.store.stats.commands;
  reader.socket.write(
    Buffer.from(request("STRLEN", "a0") + request("SET", "late", "1") + request("PING")),
  );
  transaction.socket.write(
    Buffer.from(request("MULTI") + request("STRLEN", "a0") + request("EXEC")),
  );
  await world.run(world.now + 10);
  assert.equal(opened.store.stats.commands, seen + 4, "STRLEN; MULTI, STRLEN, EXEC");
  assert.equal(await queued.ask(request("EXEC")), "");
  assert.equal(opened.store.keys.has("late"), false);
  assert.equal(opened.store.keys.has("n"), false);
  await world.run(world.now + 20_000);
  assert.equal(writer.text, `${"+OK\r\n".repeat(PIECES)}:1\r\n$1\r\n1\r\n`);
  assert.equal(reader.text, `:${PIECE_BYTES}\r\n+OK\r\n+PONG\r\n`);
  assert.ok(queued.text.endsWith("\r\n+OK\r\n"), "an EXEC that writes waits, and is done");
  assert.equal(transaction.text, `+OK\r\n+QUEUED\r\n*1\r\n:${PIECE_BYTES}\r\n`);
  await all.close();
});

test("a write that waits for the disk is done although its client has gone; an ended server does " +
  "not wait", async () => {
  const all = await room(slow);
  const { world, opened } = all;
  world.disk("s").slowSync([200, 200]);
  const [writer, leaver] = [await all.dial(), await all.dial()];
  writer.socket.write(Buffer.from(pieces("a")));
  while (opened.caughtUp() === undefined) await world.run(world.now + 1);
  leaver.socket.write(Buffer.from(request("SET", "late", "1")));
  leaver.socket.end();
  await world.run(world.now + 5000);
  assert.equal(opened.store.keys.string("late"), "1");
  assert.equal(all.server.clients, 1);
  await all.close();
});

test("EXEC of what was queued before the log fell behind or the disk was full is refused as a " +
  "whole", async () => {
  for (const full of [false, true]) {
    const all = await room(slow);
    const { world, opened } = all;
    world.disk("s").slowSync([200, 200]);
    const out = new ReplyBuffer();
    const session = opened.store.session({ out });
    const ask = (...argv: string[]): Reply => {
      opened.store.execute(session, argv);
      return out.take()[0]!;
    };
    assert.equal(ask("MULTI"), "OK");
    assert.equal(ask("SET", "k", "v"), "QUEUED");
    const writer = await all.dial();
    if (full) await fill(all, writer);
    else writer.socket.write(Buffer.from(pieces("a")));
    while (!full && opened.caughtUp() === undefined) await world.run(world.now + 1);
    assert.match(
      (ask("EXEC") as Refusal).text,
      /^EXECABORT Transaction discarded because of: (?:BUSY|MISCONF)/,
    );
    assert.equal(opened.store.keys.has("k"), false);
    assert.equal(ask("MULTI"), "OK");
    assert.equal(ask("GET", "k"), "QUEUED");
    assert.deepEqual(ask("EXEC"), [null], "reading is no write");
    world.disk("s").limitBytes(undefined);
    await world.run(world.now + 5000);
    await all.close();
  }
});
