/**
 * Peers that break the rules, lie, flood, or say nothing: bounded, and closed with the right error.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { encodeFrame } from "#framing";
import { nodeHost, seededRandom, type Socket, type SocketHandlers } from "#host";
import { RPC_ERROR_CODES, RpcConnection, RpcError, type IncomingRequest } from "#rpc";
import { rawPeer, simPair, type RawPeer } from "./04-rpc.support.ts";

const REPLY = 1, ERROR = 2, MORE = 4, CANCEL = 8, ONEWAY = 16, CREDIT = 32;
const u32 = (value: number): Buffer => {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(value);
  return body;
};
const closeCode = (peer: RawPeer): string | undefined =>
  (peer.closes[0] as RpcError | undefined)?.code;

for (const [name, first, message] of [
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /version 71/],
  [
    "a body of 4 GiB",
    Buffer.concat([Buffer.of(2, 1, 0, 0), u32(1), u32(0xffffffff), u32(0)]),
    /length 4294967295 exceeds/,
  ],
  ["noise", Buffer.alloc(4096, 0xa5), /version 165/],
] as const) {
  test(`RpcConnection closes on ${name}, and says why`, async () => {
    const peer = await rawPeer({ onRequest: () => assert.fail("it was taken for a request") });
    await peer.send(first);
    assert.match(String(peer.closes[0]?.message), message);
    assert.equal(closeCode(peer), name === "a body of 4 GiB" ? "TOO_LARGE" : "BAD_FRAME");
    assert.deepEqual(
      peer.got.map(({ flags, requestId }) => [flags, requestId]),
      [[REPLY | ERROR, 0]],
    );
  });
}

test("RpcConnection does nothing on any truncated prefix of a request", async () => {
  const frame = encodeFrame({ opcode: 1, requestId: 1, body: Buffer.from("some body") });
  for (let length = 0; length < frame.length; length++) {
    const peer = await rawPeer({ onRequest: () => assert.fail(`answered ${length} bytes`) });
    await peer.send(frame.subarray(0, length));
    assert.equal(peer.victim.closed, false);
    peer.socket.end();
    await peer.world.run();
    assert.deepEqual(peer.closes, [undefined]);
  }
});

test("RpcConnection closes on every single flipped bit of a request, or " +
  "waits for more", async () => {
  const frame = encodeFrame({ opcode: 1, requestId: 1, body: Buffer.from("some body") });
  let closed = 0;
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const flipped = Buffer.from(frame);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const peer = await rawPeer({
      onRequest: () => assert.fail(`took bit ${bit}`),
      onNotify: () => assert.fail(`took bit ${bit}`),
    });
    await peer.send(flipped);
    if (peer.victim.closed) closed++;
    // a longer length: the rest has not come yet
    else assert.ok(bit >= 64 && bit < 96, `bit ${bit} was ignored`);
  }
  assert.ok(closed > frame.length * 8 - 32);
});

for (const [what, ...frames] of [
  ["a request with id 0", { opcode: 1 }],
  ["a request whose id is in use", { opcode: 1, requestId: 7 }, { opcode: 1, requestId: 7 }],
  ["unknown flags", { opcode: 1, requestId: 1, flags: 64 }],
  ["flags that contradict each other", { opcode: 1, requestId: 1, flags: CANCEL | ONEWAY }],
  ["a credit of three bytes", { opcode: 1, requestId: 1, flags: CREDIT, body: Buffer.alloc(3) }],
] as const) {
  test(`RpcConnection closes with BAD_FRAME on ${what}`, async () => {
    const peer = await rawPeer({ onRequest: () => {} });
    await peer.send(...frames);
    assert.equal(closeCode(peer), "BAD_FRAME");
    assert.equal(peer.got.at(-1)?.flags, REPLY | ERROR);
  });
}

test("RpcConnection ignores answers, cancels and credit for what it does not know", async () => {
  const peer = await rawPeer({ onRequest: (request) => request.reply(request.body) });
  for (const flags of [REPLY, REPLY | ERROR, REPLY | MORE, CANCEL]) {
    await peer.send({ opcode: 0, requestId: 99, flags });
  }
  await peer.send({ opcode: 0, requestId: 99, flags: CREDIT, body: u32(5) });
  await peer.send({ opcode: 1, requestId: 1, body: Buffer.from("still here") });
  assert.deepEqual(peer.got.map(({ body }) => body.toString()), ["still here"]);
});

test("an item for a plain request, or beyond the credit, closes with BAD_FRAME", async () => {
  const plain = await rawPeer({});
  const asked = plain.victim.request(1, Buffer.from("x")).catch((error: RpcError) => error.code);
  await plain.send({ opcode: 0, requestId: 1, flags: REPLY | MORE });
  assert.equal(await asked, "BAD_FRAME");

  const streamed = await rawPeer({ limits: { streamWindowBytes: 4096 } });
  const stream = streamed.victim.stream(1, Buffer.from("x"));
  const item = { opcode: 0, requestId: 1, flags: REPLY | MORE, body: Buffer.alloc(1000) };
  await streamed.send(item, item, item, item);
  assert.equal(streamed.victim.closed, false);
  await streamed.send(item, item);
  assert.equal(closeCode(streamed), "BAD_FRAME");
  const iterator = stream[Symbol.asyncIterator]();
  // what came within the credit is good
  for (let i = 0; i < 5; i++) assert.equal((await iterator.next()).done, false);
  await assert.rejects(iterator.next(), { code: "BAD_FRAME" });
});

test("empty items cost credit, too", async () => {
  const peer = await rawPeer({ limits: { streamWindowBytes: 1024 } });
  peer.victim.stream(1, Buffer.from("x"));
  await peer.send(
    ...Array.from({ length: 70 }, () => ({ opcode: 0, requestId: 1, flags: REPLY | MORE })),
  );
  assert.equal(closeCode(peer), "BAD_FRAME");
});

test("requests beyond maxInFlight are answered OVERLOADED, and answered " +
  "ones make room", async () => {
  const serving: IncomingRequest[] = [];
  const peer = await rawPeer({
    limits: { maxInFlight: 10 },
    onRequest: (request) => serving.push(request),
  });
  await peer.send(...Array.from({ length: 15 }, (_, i) => ({ opcode: 1, requestId: i + 1 })));
  assert.equal(serving.length, 10);
  assert.deepEqual(
    peer.got.map(({ flags, body }) => [flags, body[0]]),
    Array.from({ length: 5 }, () => [REPLY | ERROR, 4]),
  );
  serving[3]!.reply();
  await peer.send({ opcode: 0, requestId: 5, flags: CANCEL });
  assert.equal(serving[4]!.cancelled, true);
  await peer.send(
    { opcode: 1, requestId: 20 },
    { opcode: 1, requestId: 21 },
    { opcode: 1, requestId: 22 },
  );
  assert.equal(serving.length, 12);
});

test("requests whose bodies exceed maxInFlightBytes together are answered OVERLOADED, and " +
  "answered ones make room", async () => {
  const serving: IncomingRequest[] = [];
  const peer = await rawPeer({
    limits: { maxBodyBytes: 1000, maxOutboundBytes: 2000, maxInFlightBytes: 3000 },
    onRequest: (request) => serving.push(request),
  });
  const ask = (id: number) => peer.send({ opcode: 1, requestId: id, body: Buffer.alloc(1000) });
  for (let id = 1; id <= 5; id++) await ask(id);
  assert.deepEqual(
    peer.got.map(({ requestId, flags, body }) => [requestId, flags, body[0]]),
    [
      [4, REPLY | ERROR, 4],
      [5, REPLY | ERROR, 4],
    ],
  );
  serving[0]!.reply();
  await peer.send({ opcode: 0, requestId: 2, flags: CANCEL });
  for (let id = 6; id <= 8; id++) await ask(id);
  assert.equal(serving.length, 5);
  assert.deepEqual(peer.got.at(-1)?.requestId, 8);
});

test("a peer that never reads is closed by stallMs, and holds no more than the " +
  "limits until then", async () => {
  const limits = { maxBodyBytes: 64 * 1024, maxOutboundBytes: 1024 * 1024, stallMs: 1000 };
  const peer = await rawPeer({ limits });
  peer.socket.pause();
  const { victim, world } = peer;
  const blocked = victim
    .request(1, Buffer.from("x"), { deadlineMs: 1e6 })
    .catch((error: RpcError) => error.code);
  while (victim.notify(2, Buffer.alloc(10_000)));
  await world.run(world.now + 500);
  await assert.rejects(victim.request(1, Buffer.from("x")), { code: "OVERLOADED" });
  assert.ok(
    victim.pendingBytes < limits.maxOutboundBytes + 400_000,
    `${victim.pendingBytes} bytes`,
  );
  assert.equal(victim.closed, false);
  const waiting = assert.rejects(victim.drained(), { code: "DEADLINE" });
  await world.run(world.now + 2000);
  assert.equal(closeCode(peer), "DEADLINE");
  assert.match(peer.closes[0]!.message, /took nothing for 1000 ms/);
  assert.equal(await blocked, "DEADLINE");
  await waiting;
});

test("a peer that reads slowly is not stalled", async () => {
  const peer = await rawPeer({ limits: { stallMs: 1000 } });
  const { victim, world, socket } = peer;
  socket.pause();
  while (victim.notify(2, Buffer.alloc(10_000)));
  for (let i = 0; i < 40; i++) {
    socket.resume();
    await world.run(world.now + 1);
    socket.pause();
    await world.run(world.now + 899);
    assert.equal(victim.closed, false, `after ${i + 1} sips: ${peer.closes[0]?.message}`);
  }
});

test("a peer that asks and never reads the answers is closed at twice " +
  "the outbound limit", async () => {
  const limits = { maxBodyBytes: 100_000, maxOutboundBytes: 200_000 };
  const peer = await rawPeer({
    limits,
    onRequest: (request) => request.reply(Buffer.alloc(50_000)),
  });
  peer.socket.pause();
  let most = 0;
  for (let i = 0; i < 100 && !peer.victim.closed; i++) {
    await peer.send({ opcode: 1, requestId: i + 1 });
    most = Math.max(most, peer.victim.pendingBytes);
  }
  assert.equal(closeCode(peer), "OVERLOADED");
  assert.ok(most < 2 * limits.maxOutboundBytes + 400_000, `${most} bytes`);
});

test("a connection may hold twice the outbound limit, to the byte, and not one more", async () => {
  const limits = { maxBodyBytes: 500, maxOutboundBytes: 1000 };
  const [within, beyond] = [await rawPeer({ limits }), await rawPeer({ limits })];
  within.victim.notify(1, Buffer.alloc(300));
  // A frame costs its queue something beside its bytes.
  const overhead = within.victim.heldBytes - 300;
  const rest = 2 * limits.maxOutboundBytes - 4 * (300 + overhead) - overhead;
  for (const bytes of [300, 300, 300, rest]) within.victim.notify(1, Buffer.alloc(bytes));
  assert.equal(within.victim.heldBytes, 2 * limits.maxOutboundBytes);
  assert.equal(within.victim.closed, false);
  for (const bytes of [300, 300, 300, 300, rest + 1]) {
    beyond.victim.notify(1, Buffer.alloc(bytes));
  }
  assert.equal(beyond.victim.closed, true);
});

test("what a queue costs beside its bytes counts: a million empty frames " +
  "are not free", async () => {
  const peer = await rawPeer({ limits: { maxBodyBytes: 100_000, maxOutboundBytes: 1_000_000 } });
  peer.socket.pause();
  let sent = 0;
  do sent++;
  while (peer.victim.notify(1, Buffer.alloc(0)));
  // The socket and the kernels hold 24,000 of 16 bytes; by their bytes alone another 62,500 would
  // fit the limit.
  assert.ok(sent < 40_000, `${sent} frames`);
});

test("what has left is not kept, though the queue to a slow peer never empties", async () => {
  setFlagsFromString("--expose_gc");
  const gc = runInNewContext("gc") as () => void;
  let handlers: SocketHandlers | undefined;
  // It takes one batch at a time and is never ahead of its writer.
  const socket: Socket = {
    remote: "slow:1", pendingBytes: 0, handle: (given) => void (handlers = given),
    write: () => (setImmediate(() => handlers?.onDrain?.()), false),
    writeLent: () => false,
    pause: () => {}, resume: () => {}, end: () => {}, destroy: () => {}, reset: () => {},
  };
  const connection = new RpcConnection(socket, { host: nodeHost() });
  for (let i = 0; i < 2000; i++) {
    if (!connection.notify(1, Buffer.alloc(100_000))) await connection.drained();
  }
  gc();
  const kept = process.memoryUsage().arrayBuffers;
  connection.destroy();
  assert.ok(kept < 50e6, `${kept} bytes of 200 MB are kept`);
});

test("a peer that says nothing, or never finishes a frame, is closed by idleMs; one that talks " +
  "is not", async () => {
  const silent = await rawPeer({ limits: { idleMs: 500 } });
  await silent.world.run(silent.world.now + 1000);
  assert.equal(closeCode(silent), "DEADLINE");

  const dripping = await rawPeer({ limits: { idleMs: 500 } });
  const frame = encodeFrame({ opcode: 1, flags: ONEWAY, body: Buffer.alloc(100) });
  for (let i = 0; i < 20 && !dripping.victim.closed; i++) {
    await dripping.send(frame.subarray(i, i + 1));
  }
  assert.equal(closeCode(dripping), "DEADLINE");

  const talking = await rawPeer({ limits: { idleMs: 500 } });
  for (let i = 0; i < 20; i++) {
    await talking.send(frame);
    await talking.world.run(talking.world.now + 400);
  }
  assert.equal(talking.victim.closed, false);
  await talking.world.run(talking.world.now + 200);
  assert.equal(closeCode(talking), "DEADLINE", "it has talked, and is silent now");
});

test("close() does not wait for ever for a peer that does not read", async () => {
  const peer = await rawPeer({ limits: { lingerMs: 700 } });
  peer.socket.pause();
  while (peer.victim.notify(2, Buffer.alloc(10_000)));
  peer.victim.close();
  await peer.world.run(peer.world.now + 600);
  assert.equal(peer.closes.length, 0);
  await peer.world.run(peer.world.now + 200);
  assert.equal(peer.closes.length, 1);
  assert.equal(peer.victim.pendingBytes, 0);
});

test("requests beyond maxPending are refused here, and their number never grows", async () => {
  const peer = await rawPeer({ limits: { maxPending: 50 } });
  const codes = Array.from({ length: 60 }, () =>
    peer.victim.request(1, Buffer.from("x")).catch((error: RpcError) => error.code),
  );
  peer.victim.destroy();
  const counted = (await Promise.all(codes)).reduce<Record<string, number>>(
    (sum, code) => ({ ...sum, [String(code)]: (sum[String(code)] ?? 0) + 1 }),
    {},
  );
  assert.deepEqual(counted, { CLOSED: 50, OVERLOADED: 10 });
});

test("an error travels as code and message for every code; unknown codes become INTERNAL; long " +
  "messages are cut", async () => {
  const peer = await rawPeer({});
  const answer = async (body: Buffer): Promise<RpcError> => {
    const failed = peer.victim.request(1, Buffer.from("x")).then(
      () => assert.fail(),
      (error: RpcError) => error,
    );
    await peer.world.run(peer.world.now + 5);
    await peer.send({
      opcode: 0,
      requestId: peer.got.at(-1)!.requestId,
      flags: REPLY | ERROR,
      body,
    });
    return failed;
  };
  for (const unknown of [Buffer.alloc(0), Buffer.of(0), Buffer.of(200, 104, 105)]) {
    assert.equal((await answer(unknown)).code, "INTERNAL");
  }
  assert.equal(
    (await answer(Buffer.concat([Buffer.of(9), Buffer.alloc(5000, "x")]))).message.length,
    1024,
  );

  let code: (typeof RPC_ERROR_CODES)[number] = "CLOSED";
  const pair = await simPair({}, { onRequest: (request) => request.fail(code, "ü".repeat(600)) });
  for (code of RPC_ERROR_CODES) {
    const error: RpcError = await pair.until(
      pair.a.request(1, Buffer.from("x")).then(
        () => assert.fail(),
        (found) => found,
      ),
    );
    assert.equal(error.code, code);
    assert.equal(error.message, "ü".repeat(512), "cut between characters, not inside one");
  }
});

test("a connection with nothing to do sleeps", async () => {
  const pair = await simPair({}, { onRequest: (request) => request.reply() });
  await pair.until(pair.a.request(1, Buffer.from("x"), { deadlineMs: 10 }));
  await pair.world.run();
  const quiet = pair.world.now;
  assert.ok(quiet < 100);
  await pair.world.run();
  assert.equal(pair.world.now, quiet);
});

test("onNotify that throws is reported, and the connection lives", async () => {
  const errors: unknown[] = [];
  const peer = await rawPeer({
    onNotify: () => { throw new Error("bug"); },
    onRequest: (request) => request.reply(),
    onHandlerError: (error, opcode) => errors.push(`${opcode} ${(error as Error).message}`),
  });
  await peer.send({ opcode: 5, flags: ONEWAY }, { opcode: 1, requestId: 1 });
  assert.deepEqual(errors, ["5 bug"]);
  assert.equal(peer.got.length, 1);
});

test("whatever two peers do, and wherever they are cut off, every request ends once", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = seededRandom(seed);
    const chance = (part: number): boolean => random.unit() < part;
    const serve = (request: IncomingRequest): void => {
      if (chance(0.1)) throw new Error("handler");
      if (chance(0.1)) return; // never answers
      if (chance(0.1)) return request.fail("NOT_FOUND", "no");
      if (request.opcode === 1) return request.reply(request.body);
      void (async () => {
        for (let i = 0; i < 30 && !request.cancelled; i++) {
          if (!request.item(Buffer.alloc(random.u32() % 200, i))) await request.drained();
        }
        request.end();
      })();
    };
    const limits = { streamWindowBytes: 1024, deadlineMs: 200, maxInFlight: 20, lingerMs: 100 };
    const options = { limits, onRequest: serve, onHandlerError: () => {} };
    const pair = await simPair(options, options, { seed, splitChunks: true, latencyMs: [0.1, 20] });
    const outcomes: string[] = [];
    let started = 0;
    const run = async (work: () => Promise<unknown>): Promise<void> => {
      started++;
      await work().then(
        () => outcomes.push("ok"),
        (error: RpcError) => outcomes.push(error.code ?? String(error)),
      );
    };
    const running: Promise<void>[] = [];
    for (let step = 0; step < 120; step++) {
      const side = chance(0.5) ? pair.a : pair.b;
      const body = Buffer.alloc(random.u32() % 400, step);
      if (chance(0.5)) {
        running.push(run(async () => assert.ok((await side.request(1, body)).equals(body))));
      } else if (chance(0.5)) {
        const stopAt = chance(0.3) ? random.u32() % 20 : Infinity;
        running.push(
          run(async () => {
            let seen = 0;
            for await (const item of side.stream(2, body, { deadlineMs: 500 })) {
              assert.ok(
                item.every((byte) => byte === seen),
                "an item out of order",
              );
              if (++seen > stopAt) break;
            }
          }),
        );
      } else side.notify(3, body);
      if (chance(0.3)) await pair.world.run(pair.world.now + random.unit() * 10);
    }
    if (chance(0.5)) pair.world.cut("a", "b");
    else if (chance(0.5)) pair.a.close();
    await pair.world.run(pair.world.now + 1000);
    pair.b.destroy();
    await pair.world.run();
    await Promise.all(running);
    assert.equal(outcomes.length, started, `seed ${seed}`);
    const known = new Set(["ok", ...RPC_ERROR_CODES]);
    assert.deepEqual(outcomes.filter((outcome) => !known.has(outcome)), [], `seed ${seed}`);
    assert.ok(!outcomes.includes("BAD_FRAME"), `seed ${seed}`);
    assert.deepEqual([pair.closes.a.length, pair.closes.b.length], [1, 1], `seed ${seed}`);
  }
});
