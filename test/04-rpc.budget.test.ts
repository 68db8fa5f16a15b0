/** What all peers together may hold, and who pays when it is too much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, HEADER_BYTES } from "#framing";
import type { Host, Socket } from "#host";
import {
  Budget,
  REQUEST_BYTES,
  RpcConnection,
  RpcError,
  type Debtor,
  type IncomingRequest,
  type RpcOptions,
} from "#rpc";
import { SimWorld } from "#simhost";
import { CREDIT, MORE } from "../src/rpc/flags.ts";
import { GRAIN_BYTES } from "../src/rpc/limits.ts";
import { Outbox } from "../src/rpc/outbox.ts";
import { StreamCall } from "../src/rpc/stream.ts";
import { rawPeer, simPair } from "./04-rpc.support.ts";

interface Fake extends Debtor {
  bytes: number;
  readonly ends: RpcError[];
}

function debtor(name: string, bytes = 0): Fake {
  const ends: RpcError[] = [];
  const fake: Fake = {
    remote: name,
    bytes,
    ends,
    measure: () => fake.bytes,
    evict: (error) => void ends.push(error),
  };
  return fake;
}

test("Budget is the sum of what its members hold, and takes back what they no longer do", () => {
  const budget = new Budget(100);
  const [a, b] = [debtor("a"), debtor("b")];
  budget.charge(a, 60);
  budget.charge(b, 30);
  budget.charge(a, 70);
  assert.deepEqual([budget.bytes, budget.size], [100, 2], "at the limit everybody stays");
  budget.leave(a);
  assert.deepEqual([budget.bytes, budget.size], [30, 1]);
  budget.leave(a);
  assert.equal(budget.bytes, 30);
  assert.throws(() => new Budget(0), /serves nobody/);
});

test("one byte beyond the limit ends the member that holds the most, and says how " +
  "much that is", () => {
  const budget = new Budget(100);
  const [small, large, late] = [debtor("small", 10), debtor("large", 60), debtor("late", 31)];
  budget.charge(small, 10);
  budget.charge(large, 60);
  budget.charge(late, 31);
  assert.deepEqual([small.ends.length, large.ends.length, late.ends.length], [0, 1, 0]);
  assert.equal(large.ends[0]!.code, "OVERLOADED");
  assert.equal(
    large.ends[0]!.message,
    "Peer large makes this side hold 60 bytes, the most of 3 peers, which hold more than 100 " +
      "together",
  );
  assert.deepEqual([budget.bytes, budget.size], [41, 2]);
});

test("before anybody is ended all are counted again: what has left meanwhile " +
  "is nobody's debt", () => {
  const budget = new Budget(100);
  const [a, b] = [debtor("a", 5), debtor("b", 50)];
  budget.charge(a, 90);
  budget.charge(b, 50);
  assert.deepEqual([budget.bytes, a.ends.length, b.ends.length], [55, 0, 0]);
});

test("as many are ended as it takes, the largest first, and no more", () => {
  const budget = new Budget(100);
  const all = [20, 30, 40].map((bytes, i) => debtor(`d${i}`, bytes));
  for (const each of all) budget.charge(each, each.bytes);
  [all[0]!.bytes, all[1]!.bytes, all[2]!.bytes] = [100, 150, 200];
  budget.charge(all[0]!, 31);
  assert.deepEqual(all.map(({ ends }) => ends.length), [0, 1, 1]);
  assert.deepEqual([budget.bytes, budget.size], [100, 1]);
});

/** Many peers of one side that has one budget for them. */
async function crowd(count: number, options: Omit<RpcOptions, "host">, budget: Budget) {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("server");
  const served: RpcConnection[] = [];
  const listener = await host.network.listen({ host: "server", port: 0 }, (socket) => {
    served.push(new RpcConnection(socket, { ...options, budget, host }));
  });
  const peers = [];
  for (let i = 0; i < count; i++) {
    const socket = await world.settle(world.host(`p${i}`).network.dial(listener));
    let closed = false;
    socket.handle({
      onData: () => undefined,
      onClose: () => {
        closed = true;
      },
    });
    peers.push({
      socket,
      get closed() {
        return closed;
      },
      send: (...frames: Parameters<typeof encodeFrame>[0][]) =>
        frames.forEach((frame) => socket.write(encodeFrame(frame))),
    });
  }
  return { world, peers, served };
}

test("of twenty peers that ask and do not read, some are ended, and the one that " +
  "reads is not", async () => {
  const budget = new Budget(4_000_000);
  const { world, peers, served } = await crowd(
    20,
    { onRequest: (request) => request.reply(Buffer.alloc(100_000)) },
    budget,
  );
  for (const { socket } of peers.slice(1)) socket.pause();
  let most = 0;
  for (let round = 1; round <= 30; round++) {
    for (const peer of peers) peer.send({ opcode: 1, requestId: round });
    await world.run(world.now + 20);
    most = Math.max(most, served.reduce((sum, { heldBytes }) => sum + heldBytes, 0));
  }
  const ended = served.filter(({ closed }) => closed).length;
  assert.ok(ended >= 5 && ended < 20, `${ended} of 20 were ended`);
  assert.equal(served[0]!.closed, false);
  assert.ok(most <= 4_000_000 + 20 * GRAIN_BYTES, `${most} bytes`);
  for (const { socket } of peers) socket.destroy();
  await world.run(world.now + 1000);
  assert.deepEqual([budget.bytes, budget.size], [0, 0], "whoever is gone owes nothing");
});

test("heldBytes counts requests, bodies, half frames, items without credit, and what the owner " +
  "holds", async () => {
  const serving: IncomingRequest[] = [];
  const peer = await rawPeer({
    onRequest: (request) => serving.push(request),
    limits: { streamWindowBytes: 100_000 },
  });
  const { victim } = peer;
  assert.equal(victim.heldBytes, 0);
  await peer.send({ opcode: 1, requestId: 1, body: Buffer.alloc(1000) });
  assert.equal(victim.heldBytes, REQUEST_BYTES + 1000);
  serving[0]!.reply();
  await peer.send();
  assert.equal(victim.heldBytes, 0);
  await peer.send({ opcode: 1, requestId: 2, flags: MORE });
  serving[1]!.item(Buffer.alloc(5000));
  assert.equal(victim.heldBytes, REQUEST_BYTES + HEADER_BYTES + 5000);
  await peer.send({ opcode: 0, requestId: 2, flags: CREDIT, body: Buffer.from([0, 0, 255, 255]) });
  assert.equal(victim.heldBytes, REQUEST_BYTES);
  serving[1]!.item(Buffer.alloc(30_000));
  serving[1]!.item(Buffer.alloc(40_000)); // the last one overdraws
  serving[1]!.item(Buffer.alloc(7));
  await peer.send();
  assert.equal(victim.heldBytes, REQUEST_BYTES + HEADER_BYTES + 7);
  serving[1]!.fail("INTERNAL", "no");
  await peer.send();
  assert.equal(victim.heldBytes, 0);
  victim.hold(50);
  assert.equal(victim.heldBytes, 50);
  victim.hold(-50);
  await peer.send(
    encodeFrame({ opcode: 1, requestId: 3, body: Buffer.alloc(9000) }).subarray(0, 5000),
  );
  assert.ok(
    victim.heldBytes >= 5000 - HEADER_BYTES && victim.heldBytes <= 9000,
    `${victim.heldBytes}`,
  );
});

test("what is half sent counts: peers that never finish a frame are ended when all of them hold " +
  "too much", async () => {
  const budget = new Budget(1_000_000);
  const { world, peers } = await crowd(10, {}, budget);
  const half = encodeFrame({ opcode: 1, requestId: 1, body: Buffer.alloc(300_000) }).subarray(
    0,
    290_000,
  );
  for (const { socket } of peers) socket.write(half);
  await world.run(world.now + 100);
  assert.ok(budget.bytes <= 1_000_000);
  assert.ok(peers.filter(({ closed }) => closed).length >= 6);
});

test("admit() changes what a peer may send from its next frame on, and whose " +
  "debtor it is", async () => {
  const [strangers, known] = [new Budget(1_000_000), new Budget(1_000_000)];
  let victim: RpcConnection | undefined;
  const peer = await rawPeer({
    limits: { maxBodyBytes: 100, maxOutboundBytes: 200 }, budget: strangers,
    onRequest: (request) => {
      const limits = { maxBodyBytes: 50_000, maxOutboundBytes: 100_000 };
      if (request.opcode === 9) victim!.admit({ limits, budget: known });
      else if (request.opcode === 1) request.reply();
    },
  });
  victim = peer.victim;
  await peer.send({ opcode: 1, requestId: 1, body: Buffer.alloc(100) });
  // In the same bytes: the second frame is judged after the first one has been handled.
  await peer.send(
    Buffer.concat([
      encodeFrame({ opcode: 9, requestId: 2 }),
      encodeFrame({ opcode: 5, requestId: 3, body: Buffer.alloc(50_000) }),
    ]),
  );
  assert.equal(peer.victim.closed, false);
  assert.deepEqual([strangers.bytes, known.bytes], [0, 50_000 + 2 * REQUEST_BYTES]);
  await peer.send({ opcode: 5, requestId: 4, body: Buffer.alloc(50_001) });
  assert.equal(peer.victim.closed, true);
  assert.equal(known.size, 0);
});

test("streams wait at streamBacklogBytes while answers may go on, and are woken when half of it " +
  "has left", async () => {
  const limits = { streamBacklogBytes: 400_000 };
  const peer = await rawPeer({
    limits,
    onRequest: async (request) => {
      if (request.opcode === 1) return request.reply(Buffer.alloc(10_000));
      for (let i = 0; i < 40; i++) {
        await request.drained();
        if (request.over) return;
        request.item(Buffer.alloc(50_000));
      }
      request.end();
    },
  });
  peer.socket.pause();
  const credit = Buffer.from([127, 0, 0, 0]);
  for (let id = 1; id <= 20; id++) {
    await peer.send(
      { opcode: 2, requestId: id, flags: MORE },
      { opcode: 0, requestId: id, flags: CREDIT, body: credit },
    );
  }
  const held = peer.victim.heldBytes - 20 * REQUEST_BYTES;
  // One item may pass the limit; the socket holds 256 KiB and a piece beside it.
  assert.ok(held < 400_000 + 50_100 + 256 * 1024 + 100_000, `${held} bytes for twenty streams`);
  await peer.send({ opcode: 1, requestId: 99 });
  assert.ok(peer.victim.heldBytes - 20 * REQUEST_BYTES > held, "an answer is queued all the same");
  peer.socket.resume();
  await peer.world.run(peer.world.now + 500);
  const items = peer.got.filter(({ flags }) => flags === (1 | MORE)).length;
  assert.deepEqual([items, peer.got.filter(({ flags }) => flags === 1).length], [800, 21]);
});

test("a stream that waits for credit is woken by it also when its " +
  "connection is behind", async () => {
  let sent = 0;
  const peer = await rawPeer({
    limits: { streamBacklogBytes: 100_000 },
    onRequest: async (request) => {
      await request.drained();
      sent += 1;
      request.item(Buffer.alloc(100));
    },
  });
  peer.socket.pause();
  while (peer.victim.heldBytes < 500_000) peer.victim.notify(1, Buffer.alloc(50_000));
  await peer.send({ opcode: 2, requestId: 1, flags: MORE });
  await peer.send({ opcode: 0, requestId: 1, flags: CREDIT, body: Buffer.from([0, 1, 0, 0]) });
  assert.equal(sent, 0);
  peer.socket.resume();
  await peer.world.run(peer.world.now + 500);
  assert.equal(sent, 1);
});

test("a request behind close() reaches no handler, in this turn or a later one", async () => {
  const seen: number[] = [];
  const pair = await simPair({}, {
    onRequest: (request) => {
      seen.push(request.opcode);
      if (request.opcode === 1) pair.b.close();
      request.reply();
    },
  });
  const asked = [1, 2, 3].map((opcode) =>
    pair.a.request(opcode, Buffer.alloc(0)).then(
      () => "answered",
      (error: RpcError) => error.code,
    ),
  );
  assert.deepEqual(await pair.until(Promise.all(asked)), ["CLOSED", "CLOSED", "CLOSED"]);
  assert.deepEqual(seen, [1]);
  await pair.over();

  const later = await rawPeer({
    onRequest: (request) => void seen.push(request.opcode),
    limits: { lingerMs: 1000 },
  });
  later.socket.pause();
  while (later.victim.notify(2, Buffer.alloc(10_000)));
  later.victim.close();
  await later.send({ opcode: 4, requestId: 1 });
  assert.deepEqual([seen, later.closes.length], [[1], 0], "it still lingers, and serves nobody");
});

test("a reader ahead of its producer grants what it takes, half a window at a time", async () => {
  const grants: number[] = [];
  const call = new StreamCall({ window: 1000, grant: (count) => grants.push(count), abort() {} });
  const items = call[Symbol.asyncIterator]();
  for (let i = 0; i < 100; i++) {
    const next = items.next();
    assert.equal(call.item(Buffer.alloc(100 - HEADER_BYTES, i)), true, `item ${i}`);
    assert.equal((await next).value?.[0], i);
  }
  assert.deepEqual(grants, Array(20).fill(500));
});

test("an outbox counts what it holds: the bytes and the pieces that have not left", async () => {
  const host = new SimWorld({ seed: 1 }).host("c");
  const batches: number[] = [];
  const write = (batch: Uint8Array): boolean => (batches.push(batch.length), false);
  const socket = { pendingBytes: 0, write } as unknown as Socket;
  const outbox = new Outbox(socket, { host, limitBytes: 1e9 });
  const frame = { opcode: 1, requestId: 1, body: Buffer.alloc(1024 - HEADER_BYTES) };
  for (let i = 0; i < 256; i++) outbox.push(frame);
  const empty = outbox.heldBytes - outbox.pendingBytes;
  const half = outbox.drained(2 * 128 * (1024 + empty / (256 - 64)));
  for (let left = 256 - 64; left > 0; left -= 64) {
    assert.equal(outbox.pendingBytes, left * 1024);
    assert.equal(outbox.heldBytes, left * (1024 + empty / (256 - 64)));
    outbox.onDrain();
  }
  assert.deepEqual([outbox.heldBytes, batches], [0, Array(4).fill(64 * 1024)]);
  await half; // it was reached to the byte
});

test("items that wait for the reader of a stream are told to whom they belong, and so is their " +
  "end", async () => {
  let held = 0;
  const make = (): StreamCall => new StreamCall({
    window: 10_000, grant: () => undefined, abort: () => undefined,
    held: (bytes) => void (held += bytes),
  });
  const read = make();
  const items = read[Symbol.asyncIterator]();
  const first = items.next();
  read.item(Buffer.alloc(100));
  assert.equal(held, 0, "somebody waited for it");
  await first;
  read.item(Buffer.alloc(100));
  read.item(Buffer.alloc(200));
  assert.equal(held, 300 + 2 * HEADER_BYTES);
  await items.next();
  assert.equal(held, 200 + HEADER_BYTES);
  read.done(Buffer.alloc(0));
  assert.equal(held, 200 + HEADER_BYTES, "it can still be read");
  await items.next();
  assert.equal(held, 0);
  for (const ends of [false, true]) {
    const left = make();
    left.item(Buffer.alloc(500));
    if (ends) left.fail(new RpcError("CLOSED", "gone"));
    left.cancel();
    assert.equal(held, 0, "nobody will read it");
  }
});

test("a connection whose frames take long lets others in: after any request, and after sixteen " +
  "notifications; for a whole turn of the loop after twice its slice", async () => {
  for (const [kind, ms, ...most] of [
    ["request", 0.04, 13, 26], ["request", 3, 1, 1], ["stream", 3, 1, 1],
    ["notify", 0.02, 32, 41], ["notify", 3, 16, 16],
  ] as const) {
    let [handled, now] = [0, 0];
    const afterTurns: number[] = [];
    let host: Host | undefined;
    const wrapHost = (real: Host): Host =>
      (host = { ...real, clock: { ...real.clock, monotonic: () => now } });
    const look = (): void => {
      if (afterTurns.push(handled) < 2) host!.timers.soon(look);
    };
    const handle = (): void => {
      now += ms;
      handled += 1;
      if (handled === 1) host!.timers.soon(look);
    };
    const { b, world } = await simPair({
      onNotify: handle,
      onRequest: (request) => {
        handle();
        request.reply();
      },
    }, {}, { wrapHost });
    const body = Buffer.alloc(4);
    const send: Record<string, () => Promise<unknown>> = {
      notify: async () => b.notify(1, body),
      request: () => b.request(1, body),
      stream: async () => {
        for await (const _ of b.stream(1, body));
      },
    };
    await world.settle(Promise.all(Array.from({ length: 40 }, send[kind]!)));
    await world.settle(b.request(1, body));
    assert.equal(handled, 41, kind);
    assert.deepEqual(afterTurns, most, `${kind} of ${ms} ms`);
  }
});
