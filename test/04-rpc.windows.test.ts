/** Chapter 04: windows that grow out of one pool, and streams that are poured instead of read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#host";
import { RpcConnection, Windows, type IncomingRequest, type RpcStream } from "#rpc";
import { SimWorld } from "#simhost";

const SIZES = { leastBytes: 1000, firstBytes: 4000, mostBytes: 16_000 };

test("Windows: new ones have the first size while half of the pool is there, grow to twice with " +
  "use, take a quarter of what is left at most, and give it back", () => {
  const windows = new Windows({ ...SIZES, spareBytes: 100_000 });
  assert.equal(windows.open(), 4000);
  assert.deepEqual([4000, 8000, 15_500, 16_000].map((bytes) => windows.grow(bytes)),
    [4000, 8000, 0, 0], "by less than the least is not worth a frame");
  assert.equal(windows.spareBytes, 100_000 - 3000 - 12_000);
  windows.giveBack(16_000);
  assert.equal(windows.spareBytes, 100_000);
  let opened = 0;
  while (windows.open() === 4000) opened++;
  assert.equal(opened, 16);
  windows.grow(16_000);
  assert.equal(windows.spareBytes, 52_000);
  const small = new Windows({ ...SIZES, spareBytes: 6000 });
  assert.deepEqual([small.open(), small.grow(4000)], [4000, 0], "a quarter of 3,000 is too little");
});

test("whatever streams do, the pool never promises what it does not have", () => {
  const random = seededRandom(5);
  const windows = new Windows({ ...SIZES, spareBytes: 200_000 });
  const open: number[] = [];
  for (let step = 0; step < 5000; step++) {
    const chosen = random.u32() % (open.length + 1);
    if (chosen === open.length) open.push(windows.open());
    else if (random.u32() % 3 === 0) windows.giveBack(open.splice(chosen, 1)[0]!);
    else open[chosen]! += windows.grow(open[chosen]!);
    const beyond = open.reduce((sum, bytes) => sum + bytes - SIZES.leastBytes, 0);
    assert.equal(windows.spareBytes, 200_000 - beyond);
    assert.ok(windows.spareBytes >= 0 && open.every((bytes) => bytes <= SIZES.mostBytes));
  }
});

interface Ends {
  readonly world: SimWorld;
  readonly stream: RpcStream;
  readonly request: IncomingRequest;
  readonly reader: RpcConnection;
  held(): number;
}

/** A stream between two connected peers. */
async function ends(windows?: Windows): Promise<Ends> {
  const world = new SimWorld({ seed: 1 });
  const [server, client] = [world.host("server"), world.host("client")];
  let request: IncomingRequest | undefined;
  await server.network.listen({ host: "server", port: 1 }, (socket) => {
    new RpcConnection(socket, { host: server, onRequest: (asked) => (request = asked) });
  });
  const socket = await world.settle(client.network.dial({ host: "server", port: 1 }));
  const reader = new RpcConnection(socket, { host: client });
  let held = 0;
  const stream = reader.stream(1, Buffer.from("go"), { windows, held: (by) => void (held += by) });
  await world.run(100);
  return { world, stream, request: request!, reader, held: () => held };
}

/** The producer says all that is welcome, in pieces as large as it may. */
async function sayAll({ request, world }: Ends, most = 1e6): Promise<number> {
  let said = 0;
  for (;;) {
    const piece = Buffer.alloc(request.itemBytes, said);
    said += piece.length;
    const isWelcome = request.lentItem(piece);
    piece.fill(0xee); // it was lent
    if (!isWelcome || said > most) return said;
    await world.run(world.now + 1);
  }
}

test("a stream that nobody reads stops within its window; read, it has more", async () => {
  const windows = new Windows({ ...SIZES, spareBytes: 100_000 });
  const all = await ends(windows);
  const first = await sayAll(all);
  assert.ok(first > 3000 && first <= 5000, `${first}`);
  await all.world.run(all.world.now + 100);
  assert.ok(all.held() <= 5100, `${all.held()} bytes wait`);
  let heard = 0;
  const poured = all.stream.pour((bytes) => (heard += bytes.length) > 0);
  assert.equal(all.held(), 0);
  await all.world.run(all.world.now + 100);
  for (let i = 0; i < 4; i++) {
    await sayAll(all, 100_000);
    await all.world.run(all.world.now + 100);
  }
  assert.equal(windows.spareBytes, 100_000 - 15_000, "the largest window");
  all.request.end();
  await all.world.settle(poured);
  assert.equal(windows.spareBytes, 100_000);
  assert.equal(heard, 3984 + 7984 + 3 * 15_984);
});

test("a window goes back once: after an end, a cancel, a failure, a lost connection, and not " +
  "before the last item was read", async () => {
  const windows = new Windows({ ...SIZES, spareBytes: 100_000 });
  const ways: Record<string, (all: Ends) => void> = {
    cancel: ({ stream }) => (stream.cancel(), stream.cancel()),
    fail: ({ request }) => request.fail("INTERNAL", "no"),
    lost: ({ reader }) => reader.destroy(),
  };
  for (const [name, way] of Object.entries(ways)) {
    const all = await ends(windows);
    const poured = all.stream.pour(() => true).catch(() => undefined);
    assert.equal(windows.spareBytes, 97_000, name);
    way(all);
    await all.world.settle(poured);
    await all.world.run(all.world.now + 100);
    assert.equal(windows.spareBytes, 100_000, name);
  }
  const all = await ends(windows);
  all.request.item(Buffer.from("last"));
  all.request.end();
  await all.world.run(all.world.now + 100);
  assert.equal(windows.spareBytes, 97_000, "it is still to be read");
  const items: string[] = [];
  for await (const item of all.stream) items.push(String(item));
  assert.deepEqual([items, windows.spareBytes], [["last"], 100_000]);
});

test("pour() keeps the order and the pace of its sink, and ends after the last item", async () => {
  const all = await ends();
  const heard: Buffer[] = [];
  let [isWelcome, isOver] = [false, false];
  all.request.item(Buffer.from("a"));
  await all.world.run(all.world.now + 10);
  const poured = all.stream.pour((bytes) => {
    heard.push(Buffer.from(bytes));
    return isWelcome;
  }).then(() => (isOver = true));
  for (const text of ["b", "c", "d".repeat(30_000)]) all.request.lentItem(Buffer.from(text));
  all.request.end();
  await all.world.run(all.world.now + 100);
  assert.equal(heard.join(), "a", "one item was offered, and then no more");
  all.stream.flow();
  assert.equal(heard.join(), "a,b");
  isWelcome = true;
  assert.equal(isOver, false);
  all.stream.flow();
  await all.world.settle(poured);
  assert.equal(heard.join(), `a,b,c,${"d".repeat(30_000)}`);
  assert.equal(all.held(), 0);
});

test("lent items have a checksum, unless their reader takes them bare; others always have " +
  "one", async () => {
  const all = await ends();
  const checked: boolean[] = [];
  const poured = all.stream.pour((_, bodyCrc) => checked.push(bodyCrc !== undefined) > 0);
  const piece = Buffer.alloc(5000);
  all.request.lentItem(piece);
  all.request.takesBare = true;
  all.request.lentItem(piece);
  all.request.item(piece);
  all.request.end();
  await all.world.settle(poured);
  assert.deepEqual(checked, [true, false, true]);
});

test("a sink may end the stream that it is given", async () => {
  const all = await ends();
  let heard = 0;
  const poured = all.stream.pour(() => {
    heard += 1;
    all.stream.cancel();
    return true;
  });
  for (let i = 0; i < 3; i++) all.request.lentItem(Buffer.alloc(5000));
  await assert.rejects(all.world.settle(poured), { code: "CANCELLED" });
  await all.world.run(all.world.now + 100);
  assert.deepEqual([heard, all.request.cancelled], [1, true]);
});

test("bytes that wait for the peer to read are copies: what was lent may be changed", async () => {
  const all = await ends();
  const heard: Buffer[] = [];
  const poured = all.stream.pour((bytes) => heard.push(Buffer.from(bytes)) > 0);
  const piece = Buffer.alloc(50_000);
  for (let i = 1; i <= 8; i++) {
    piece.fill(i); // beyond its credit, too
    all.request.lentItem(piece);
  }
  piece.fill(0xee);
  all.request.end();
  await all.world.settle(poured);
  assert.deepEqual(heard.map(({ length }) => length), Array(8).fill(50_000));
  assert.ok(heard.every((bytes, i) => bytes.every((byte) => byte === i + 1)));
});

test("large bytes that wait lie in memory that is used again, at either end", async () => {
  const all = await ends();
  const memory = new Set<unknown>();
  let heard = 0;
  const poured = all.stream.pour((bytes) => {
    memory.add(bytes.buffer);
    heard += 1;
    return heard % 2 === 0; // every other one waits for its sink
  });
  const piece = Buffer.alloc(50_000);
  let sent = 0;
  while (sent < 60) {
    while (sent < 60 && all.request.lentItem(piece)) sent++;
    sent++;
    await all.world.run(all.world.now + 10);
    all.stream.flow();
  }
  all.request.end();
  while (heard < sent) {
    await all.world.run(all.world.now + 10);
    all.stream.flow();
  }
  await all.world.settle(poured);
  assert.ok(memory.size <= 20, `${memory.size} pieces of memory for ${sent} items`);
});

test("what a handler keeps of a notice, a request or an answer stays as it was", async () => {
  const world = new SimWorld({ seed: 1 });
  const [server, client] = [world.host("server"), world.host("client")];
  const kept: Buffer[] = [];
  await server.network.listen({ host: "server", port: 1 }, (socket) => {
    new RpcConnection(socket, {
      host: server,
      onNotify: (_opcode, body) => kept.push(body),
      onRequest: (request) => {
        kept.push(request.body);
        request.reply(request.body);
      },
    });
  });
  const socket = await world.settle(client.network.dial({ host: "server", port: 1 }));
  const reader = new RpcConnection(socket, { host: client });
  const bodies = [10, 3000, 60_000, 10].map((length, i) => Buffer.alloc(length, i + 1));
  for (const body of bodies) {
    reader.notify(1, body);
    const answer = await world.settle(reader.request(1, body));
    kept.push(answer);
  }
  assert.deepEqual(kept.map(({ length }) => length), bodies.flatMap(({ length }) =>
    [length, length, length]));
  kept.forEach((body, i) => assert.ok(body.equals(bodies[Math.floor(i / 3)]!), `body ${i}`));
});
