/** Who comes in, who is sent away, and that one kind of peer never locks out another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, HEADER_BYTES } from "#framing";
import { placesFor, descriptorsOf, MIN_DESCRIPTORS, type Places } from "#master";
import type { RpcConnection, RpcError } from "#rpc";
import { ConnectError } from "#sdk";
import { Empty, HELLO_TIMEOUT_MS, MAX_HELLO_BYTES, Op } from "#wire";
import { BURST, DEFAULT_PLACES } from "../src/master/limits.ts";
import { hello, MASTER, pipeline, refusal, report, Room, spec } from "./10-master.support.ts";

/** A master that a handful of peers fill: 8 of each kind, 10 in all, 3 strangers. */
const SMALL: Places = { ...DEFAULT_PLACES, connections: 10, kept: 2, strangers: 3 };

interface Stranger {
  readonly connection: RpcConnection;
  readonly name: string;
  end?: Error | undefined;
  closed: boolean;
}

async function stranger(room: Room, name: string): Promise<Stranger> {
  const found = { name, closed: false } as { -readonly [K in keyof Stranger]: Stranger[K] };
  found.connection = await room.raw({
    name,
    onClose: (error) => {
      found.closed = true;
      found.end = error;
    },
  });
  return found;
}

async function introduced(room: Room, name: string): Promise<Stranger> {
  const peer = await stranger(room, name);
  await peer.connection.request(Op.HELLO, hello());
  return peer;
}

const limit = (peer: Stranger): string =>
  `${(peer.end as RpcError | undefined)?.code} ` +
    `${/limit of \d+.*/.exec(peer.end?.message ?? "")?.[0]}`;

test("a stranger beyond the pool sends the oldest away, with the reason, " +
  "and nobody who is known", () =>
  Room.run(async (room) => {
    await room.start({ places: SMALL });
    const client = await room.client();
    const peers: Stranger[] = [];
    for (let i = 0; i < SMALL.strangers; i++) peers.push(await stranger(room, `s${i}`));
    await room.sleep(5);
    assert.deepEqual(
      peers.map(({ closed }) => closed),
      [false, false, false],
      "the pool is full, and no more than that",
    );
    peers.push(await stranger(room, "s3"));
    await room.sleep(5);
    assert.deepEqual(
      peers.map(({ closed }) => closed),
      [true, false, false, false],
    );
    assert.equal(
      limit(peers[0]!),
      "OVERLOADED limit of 3 connections that have not introduced themselves",
    );
    await peers[3]!.connection.request(Op.HELLO, hello());
    peers.push(await stranger(room, "s4"));
    await room.sleep(5);
    assert.deepEqual(
      peers.map(({ closed }) => closed),
      [true, false, false, false, false],
      "who has said HELLO has left the pool",
    );
    await client.ping();
  }));

test("a burst of strangers that all speak at once comes in, " +
  "beyond the pool, up to twice its size", () =>
  Room.run(async (room) => {
    await room.start({ places: { ...SMALL, strangers: 3 } });
    const { network } = room.world.host("burst");
    const heard: boolean[] = [];
    const dial = async (index: number): Promise<void> => {
      const socket = await network.dial(MASTER);
      socket.handle({ onData: () => (heard[index] = true), onClose: () => undefined });
      socket.write(encodeFrame({ opcode: Op.HELLO, requestId: 1, body: hello() }));
    };
    await Promise.all(Array.from({ length: BURST * 3 }, (_, index) => dial(index)));
    await room.sleep(20);
    assert.equal(heard.filter(Boolean).length, BURST * 3);
  }));

test(
  "before HELLO a frame of MAX_HELLO_BYTES is read, and one more byte is not; afterwards " +
    "large ones are",
  () =>
    Room.run(async (room) => {
      for (const token of [undefined, "t"]) {
        const master = await room.start(token === undefined ? {} : { token });
        const send = async (bytes: number, first?: Buffer): Promise<boolean> => {
          let closed = false;
          const { network } = room.world.host("hostile");
          const socket = await network.dial(MASTER);
          socket.handle({
            onData: () => undefined,
            onClose: () => {
              closed = true;
            },
          });
          if (first !== undefined) {
            socket.write(encodeFrame({ opcode: Op.HELLO, requestId: 1, body: first }));
          }
          // The header is all that it takes: nothing is kept for a body that may not come.
          const frame = encodeFrame({ opcode: Op.PING, requestId: 2, body: Buffer.alloc(bytes) });
          socket.write(frame.subarray(0, HEADER_BYTES));
          await room.sleep(5);
          socket.destroy();
          return closed;
        };
        assert.equal(await send(MAX_HELLO_BYTES), false);
        assert.equal(await send(MAX_HELLO_BYTES + 1), true);
        assert.equal(await send(8 * 1024 * 1024, hello({ token: "wrong" })), token !== undefined);
        assert.equal(await send(8 * 1024 * 1024, hello({ token })), false);
        await master.stop();
      }
    }),
);

test("a stranger has two seconds, and whoever has said HELLO by then has as long as it likes", () =>
  Room.run(async (room) => {
    await room.start();
    const late = await stranger(room, "late");
    const spoke = await stranger(room, "spoke");
    await room.sleep(HELLO_TIMEOUT_MS - 10);
    await spoke.connection.request(Op.HELLO, hello());
    await room.sleep(20);
    assert.deepEqual([late.closed, spoke.closed], [true, false]);
    assert.match(late.end!.message, /not introduced itself within 2000 ms/);
  }));

test(
  "clients fill the places that they may have, the next one is told the number, and workers " +
    "still come in",
  () =>
    Room.run(async (room) => {
      await room.start({ places: SMALL });
      const clients: Stranger[] = [];
      for (let i = 0; i < 8; i++) clients.push(await introduced(room, `c${i}`));
      const ninth = await stranger(room, "ninth");
      await assert.rejects(
        ninth.connection.request(Op.HELLO, hello()),
        refusal(
          "OVERLOADED",
          /^Cannot open a session: this master is at its limit of 8 client connections$/,
        ),
      );
      await room.sleep(20);
      assert.equal(ninth.closed, true, "it keeps no place while it wonders");
      const workers = [await room.worker("w0"), await room.worker("w1")];
      await assert.rejects(
        room.worker("w2"),
        refusal("OVERLOADED", /at its limit of 10 connections/),
      );
      clients[0]!.connection.destroy();
      await room.sleep(20);
      await introduced(room, "tenth");
      assert.deepEqual(
        workers.map(({ closed }) => closed),
        [false, false],
      );
    }),
);

test("a worker that lost its connection finds its place in a full house, " +
  "and a stranger does not", () =>
  Room.run(async (room) => {
    await room.start({ places: SMALL, graceMs: 5000 });
    const client = await room.client();
    const worker = await room.worker("w0", { dial: 1 });
    await room.worker("w1");
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.assigned.length === 1);
    for (let i = 0; i < 7; i++) await introduced(room, `c-${i}`);
    worker.connection.destroy();
    await room.sleep(20);
    await assert.rejects(introduced(room, "greedy"), refusal("OVERLOADED"));
    await assert.rejects(room.worker("new"), refusal("OVERLOADED"));
    const [{ run: number, job, attempt }] = worker.assigned as [(typeof worker.assigned)[number]];
    const back = await room.worker("w0-again", {
      instance: "w0",
      dial: 2,
      running: [{ run: number, job, attempt }],
    });
    await back.finish(report({ run: number, job, attempt }));
    assert.deepEqual(await room.statuses(client, run), { a: "COMPLETED" });
    // Its older connection may still seem to be there.
    await room.worker("w0-third", { instance: "w0", dial: 3 });
  }));

test("workers leave places for clients, also when they register and go away", () =>
  Room.run(async (room) => {
    await room.start({ places: SMALL, graceMs: 60_000 });
    for (let i = 0; i < 8; i++) (await room.worker(`w${i}`)).connection.destroy();
    await room.sleep(20);
    await assert.rejects(
      room.worker("ninth"),
      refusal("OVERLOADED", /at its limit of 8 worker connections/),
    );
    for (const name of ["a", "b"]) await introduced(room, name);
    await assert.rejects(introduced(room, "c"), refusal("OVERLOADED"));
    await room.worker("w3-again", { instance: "w3" });
  }));

test("a worker whose HELLO is longer than a stranger's may be introduces itself first", () =>
  Room.run(async (room) => {
    await room.start({ token: "t" });
    const peer = await room.raw();
    const running = Array.from({ length: 1000 }, (_, job) => ({ run: 1, job, attempt: 1 }));
    const long = hello({ role: "worker", instance: "i", token: "t", running });
    assert.ok(long.length > MAX_HELLO_BYTES);
    await peer.request(Op.HELLO, hello({ token: "t" }));
    await peer.request(Op.HELLO, long);
    await assert.rejects(peer.request(Op.HELLO, long), refusal("CONFLICT"));
    assert.equal((await (await room.client("t")).workers()).length, 1);
  }));

test("connect() waits for a place at a master that is full, and then says that it is full", () =>
  Room.run(async (room) => {
    await room.start({ places: SMALL });
    const clients: Stranger[] = [];
    for (let i = 0; i < 8; i++) clients.push(await introduced(room, `c${i}`));
    const began = room.world.now;
    await assert.rejects(room.client(), (error: unknown) => {
      assert.ok(error instanceof ConnectError);
      assert.deepEqual(
        [error.code, error.message],
        [
          "OVERLOADED",
          "Cannot connect to the master at m:9090: it is at its limit of 8 client connections",
        ],
      );
      return true;
    });
    assert.ok(
      room.world.now - began > 4000 && room.world.now - began <= 5000,
      `${room.world.now - began} ms`,
    );
    const waiting = room.client();
    await room.sleep(1000);
    clients[0]!.connection.close();
    await (await waiting).ping();
  }));

test("nothing of a connection stays behind: they come and go", () =>
  Room.run(async (room) => {
    await room.start({ places: { ...SMALL, strangers: 20 } });
    for (let i = 0; i < 40; i++) {
      const peers = await Promise.all(
        ["x", "y", "z"].map((name) => stranger(room, `${name}${i % 5}`)),
      );
      await peers[0]!.connection.request(Op.HELLO, hello());
      for (const peer of peers) peer.connection.destroy();
    }
    await room.sleep(HELLO_TIMEOUT_MS + 100);
    for (let i = 0; i < 8; i++) await introduced(room, `c${i}`);
  }));

test("placesFor() never gives away more than there is, from the least that works " +
  "to a million", () => {
  for (const use of [{}, { store: true }, { store: true, workers: 8 }, { workers: 2 }]) {
    for (const descriptors of [
      MIN_DESCRIPTORS,
      MIN_DESCRIPTORS + 1,
      512,
      1024,
      4096,
      20_000,
      1_048_576,
    ]) {
      const places = placesFor(descriptors, use);
      const sum = descriptorsOf(places, use.workers);
      assert.ok(sum <= descriptors, `${sum} of ${descriptors} for ${JSON.stringify(use)}`);
      assert.ok(
        places.connections >= 8 && places.kept >= 1 && (use.store !== true || places.store >= 8),
        JSON.stringify(places),
      );
    }
  }
  assert.deepEqual(placesFor(1_048_576, { store: true }), {
    connections: 1000,
    kept: 200,
    strangers: 128,
    outputs: 128,
    reading: 16,
    uploads: 32,
    store: 10_000,
  });
  assert.equal(placesFor(20_000).store, 0);
  const usual = placesFor(1024, { store: true, workers: 2 });
  assert.deepEqual([usual.connections, usual.store, descriptorsOf(usual, 2)], [432, 216, 1024]);
});

test("a master that is stopped closes strangers and guests alike", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const peers = [await stranger(room, "s"), await introduced(room, "c")];
    await peers[1]!.connection.request(Op.PING, Empty.encode({}));
    await master.stop();
    await room.sleep(50);
    assert.deepEqual(peers.map(({ closed }) => closed), [true, true]);
  }));
