/**
 * Chapter 14: forwarded connections that stall, that wait, and that are given up: what they hold
 * meanwhile, and whom they disturb.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RpcConnection, Windows } from "#rpc";
import { SimWorld } from "#simhost";
import { splice, type End } from "#tunnel";
import {
  Forward, FORWARD_BACKLOG_BYTES, FORWARD_WINDOW_COST, FORWARD_WINDOWS, MAX_FORWARDED, Op,
} from "#wire";
import {
  FORWARD_SPARE_IN_ALL, MAX_CLIENTS_BYTES, MAX_FORWARDED_IN_ALL, PEER_LIMITS,
} from "../src/master/limits.ts";
import { openForwarding } from "../src/sdk/forward.ts";
import { Party, room, say } from "./14-services.forward.support.ts";

test("all that 2,000 stalled connections may make the master wait with is within what clients " +
  "may make it hold, and one that flows has the largest window", () => {
  const windows = new Windows({ ...FORWARD_WINDOWS, spareBytes: FORWARD_SPARE_IN_ALL });
  const grown = (bytes: number): number => {
    let size = bytes;
    for (let more = 1; more > 0; size += more) more = windows.grow(size);
    return size;
  };
  const all: number[] = [grown(windows.open())];
  assert.equal(all[0], FORWARD_WINDOWS.mostBytes);
  while (all.length < 2 * MAX_FORWARDED_IN_ALL) all.push(windows.open());
  const total = all.map(grown).reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(FORWARD_WINDOW_COST * total < MAX_CLIENTS_BYTES, `${total} bytes of windows`);
  assert.ok(Math.min(...all) >= FORWARD_WINDOWS.leastBytes);
});

test("an opening that finds nobody is over after 15 s, however many replicas are slow to say " +
  "no, and the session lives", async () => {
  const workers = ["w1", "w2"];
  const all = await room(...workers);
  await all.deploy("other");
  await all.deploy("web", 18);
  const [local, other] = [await all.forward(), await all.forward("other")];
  const lives = await all.dial(other);
  lives.say("hello");
  await all.until(() => all.accepted.some(({ text }) => text === "hello"));
  const { world } = all.cluster;
  let dials = 0;
  for (const worker of workers) {
    const { network, timers } = world.host(worker);
    network.dial = async () => {
      dials += 1;
      await new Promise<void>((resolve) => timers.after(2000, resolve));
      throw new Error("no answer within 2000 ms");
    };
  }
  const program = await all.dial(local);
  const from = world.now;
  await all.until(() => program.closed !== undefined);
  const took = world.now - from;
  assert.ok(took > 14_000 && took < 16_500, `${took} ms, ${dials} dials`);
  assert.match(all.notes.join(), /no replica took the connection within 15.0s/);
  assert.equal(lives.closed, undefined);
  await all.settle(local.close());
  await all.settle(other.close());
});

test("a worker that does not answer is left for another one after 5 s", async () => {
  const all = await room("w1", "w2");
  await all.deploy("web", 2);
  const local = await all.forward();
  const { world } = all.cluster;
  const { network, timers } = world.host("w1");
  network.dial = () => new Promise((_resolve, reject) =>
    timers.after(8000, () => reject(new Error("it was frozen"))));
  const programs = [await all.dial(local), await all.dial(local)];
  const from = world.now;
  await all.until(() => all.accepted.length === 2);
  const took = world.now - from;
  assert.ok(took > 4500 && took < 6000, `${took} ms`);
  await all.pass(8000);
  assert.equal(programs.filter(({ closed }) => closed !== undefined).length, 0);
  await all.settle(local.close());
});

test("a master that says nothing of a connection loses it, and not the session", async () => {
  const world = new SimWorld({ seed: 1 });
  const [client, master] = [world.host("c"), world.host("m")];
  let [asked, sessions] = [0, 0];
  const silent = await master.network.listen({ host: "m", port: 1 }, (socket) => {
    new RpcConnection(socket, {
      host: master,
      onRequest: (request) => {
        if (Forward.decode(request.body).id === 0) return request.end();
        asked += 1;
      },
    });
  });
  const redial = async () => {
    sessions += 1;
    const socket = await client.network.dial(silent);
    const connection = new RpcConnection(socket, { host: client });
    return { connection, version: "1", keepAlive: () => undefined };
  };
  const notes: string[] = [];
  const onNote = (line: string): void => void notes.push(line);
  const local = await world.settle(openForwarding("web", { host: client, redial, onNote }));
  const dial = async (): Promise<Party> =>
    new Party(await client.network.dial({ host: "127.0.0.1", port: local.port }));
  const first = await world.settle(dial());
  await world.run(world.now + 20_000);
  const second = await world.settle(dial());
  await world.run(world.now + 11_000);
  assert.deepEqual([first.closed, second.closed, asked, sessions], ["ECONNRESET", undefined, 2, 1]);
  const why = "the master has not answered within 30.0s";
  assert.deepEqual(notes, [`Cannot forward to "web": ${why}`]);
  world.hold("m", "c"); // and now it is dead
  await world.run(world.now + 60_000);
  assert.ok(sessions > 1, "a session that answers nothing is replaced");
  world.release("m", "c");
  await world.settle(local.close());
});

test("a program that gives up while it waits is given up by the master, too", async () => {
  const all = await room();
  const restart = {
    policy: "always", delayMs: 60_000, backoff: 1, maxDelayMs: 60_000, attempts: 0, windowMs: 0,
  } as const;
  await all.deploy("web", 1, { restart });
  const local = await all.forward();
  all.fakes()[0]!.end({ status: "failed", kind: "exit", message: "ended with exit code 3" });
  const program = await all.dial(local);
  program.say("hello?");
  await all.pass(500);
  assert.equal(all.master.counts().forwards > 0, true);
  program.socket.reset();
  await all.pass(500);
  assert.deepEqual([local.open, all.master.counts().forwards], [0, 0]);
  assert.deepEqual(all.notes, []);
  await all.settle(local.close());
});

test("a connection is not over while the end of an upload waits in the master", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  all.onAccept = (party) => {
    party.keeps = false;
    party.onEnd = () => undefined;
    party.socket.pause();
    party.socket.end(); // its answer is over, and it reads on
  };
  const idle = all.master.counts().requests;
  let waited = 0;
  // The end of it waits in the worker, then in a last item that the master has taken, then behind.
  for (let bytes = 760_000; bytes < 1_100_000; bytes += 16_000) {
    all.accepted.length = 0;
    const program = await all.dial(local);
    program.onEnd = () => undefined;
    await all.until(() => all.accepted.length === 1);
    say(program, Buffer.alloc(bytes));
    await all.pass(500);
    assert.equal(local.open, 0, "the program has said all of it");
    const { forwards, requests } = all.master.counts();
    assert.equal(forwards, requests > idle ? 1 : 0, `${bytes} bytes, ${requests} requests`);
    waited += forwards;
    all.accepted[0]!.socket.resume();
    await all.until(() => all.accepted[0]!.bytes === bytes && program.closed !== undefined);
    await all.until(() => all.master.counts().forwards === 0);
  }
  assert.ok(waited > 5, `${waited} ends have waited here`);
  await all.settle(local.close());
});

test("an answer that waits for its program holds its place, and the replica is not stopped for " +
  "a new version before it is read", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  all.onAccept = (party) => {
    party.onEnd = () => say(party, Buffer.alloc(900_000));
  };
  const program = await all.dial(local);
  program.keeps = false;
  program.socket.pause();
  program.socket.end();
  await all.pass(3000);
  assert.equal(all.master.counts().forwards, 1);
  program.socket.resume();
  await all.until(() => program.closed !== undefined);
  assert.deepEqual([program.bytes, program.closed], [900_000, "in order"]);
  await all.settle(local.close());
});

test("what a program says while it waits for a replica arrives once, and all of it", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  all.fakes()[0]!.end({ status: "failed", kind: "exit", message: "ended with exit code 3" });
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7919) >> 5));
  all.onAccept = (party) => {
    party.onEnd = () => party.socket.end();
  };
  const program = await all.dial(local);
  say(program, bytes);
  await all.until(() => program.closed !== undefined);
  const heard = all.accepted.find(({ heard: { length } }) => length > 0)!.heard;
  assert.ok(heard.equals(bytes), `${heard.length} bytes`);
  await all.settle(local.close());
});

test("a connection beyond the most takes the place of the next one that ends", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const { network } = all.cluster.world.host("c");
  const dial = async (): Promise<Party> =>
    new Party(await network.dial({ host: "127.0.0.1", port: local.port }));
  const dials = (count: number): Promise<Party[]> =>
    all.settle(Promise.all(Array.from({ length: count }, dial)));
  const first = await dials(MAX_FORWARDED);
  await all.until(() => all.accepted.length === MAX_FORWARDED);
  const later: Party[] = [];
  for (let i = 0; i < 3; i++) {
    later.push(await all.dial(local));
    later[i]!.say(`waits ${i}`);
    await all.pass(100); // one after another
  }
  later[2]!.socket.reset();
  first[0]!.socket.end(); // in order, and so the end takes its time
  await all.until(() => all.accepted.some(({ text }) => text === "waits 0"));
  await all.pass(1000);
  assert.equal(all.accepted.length, MAX_FORWARDED + 1);
  const extra = await all.dial(local);
  await all.pass(2000);
  assert.deepEqual([extra.closed, all.accepted.length], [undefined, MAX_FORWARDED + 1]);
  first[1]!.socket.reset(); // the news of it and the next question come to the master together
  await all.until(() => all.accepted.length === MAX_FORWARDED + 2);
  extra.socket.reset();
  await all.pass(100);
  for (const party of first.slice(2, 101)) party.socket.end();
  await all.until(() => all.accepted.some(({ text }) => text === "waits 1"));
  const next = await dials(98);
  await all.until(() => all.accepted.length === MAX_FORWARDED + 100);
  assert.equal(next.filter(({ closed }) => closed !== undefined).length, 0);
  assert.deepEqual(all.notes, []);
  await all.settle(local.close());
});

test("bytes that wait for room keep their order, and the end comes after them", async () => {
  const world = new SimWorld({ seed: 1 });
  const [near, far] = [world.host("near"), world.host("far")];
  const heard: Buffer[] = [];
  let isOver = false;
  const hears = {
    itemBytes: 1000, over: false,
    lentItem: (bytes: Buffer) => (heard.push(Buffer.from(bytes)), false),
    drained: () => new Promise<void>((resolve) => near.timers.after(1, resolve)),
    end: () => void (isOver = true),
    onCancel: () => undefined, fail: () => undefined,
  } as unknown as End["hears"];
  const says = { pour: () => new Promise(() => undefined), cancel: () => undefined };
  let reach: (end: End) => void = () => undefined;
  const reached = new Promise<End>((resolve) => { reach = resolve; });
  const listener = await near.network.listen({ host: "near", port: 1 }, (socket) => {
    void splice(socket, reached);
  });
  const dialled = far.network.dial(listener);
  const program = await world.settle(dialled.then((socket) => new Party(socket)));
  const pieces = [2500, 1700, 900].map((length, i) => Buffer.alloc(length, i + 1));
  for (const piece of pieces) {
    program.say(piece);
    await world.run(world.now + 10);
  }
  program.socket.end();
  await world.run(world.now + 10);
  assert.equal(heard.length, 0, "nothing leaves before there is a far end");
  reach({ says: says as unknown as End["says"], hears });
  await world.run(world.now + 100);
  assert.ok(Buffer.concat(heard).equals(Buffer.concat(pieces)));
  assert.ok(heard.length >= 6 && isOver);
});

test("uploads to the services of a worker leave its jobs no more than 256 KiB behind", async () => {
  const world = new SimWorld({ seed: 1 });
  const [master, worker] = [world.host("m"), world.host("w")];
  let said = 0;
  const listener = await master.network.listen({ host: "m", port: 1 }, (socket) => {
    const connection = new RpcConnection(socket, {
      host: master,
      onRequest: async (request) => {
        for (;;) {
          await request.drained();
          if (request.over) return;
          request.item(Buffer.alloc(10_000));
          said += 10_000;
        }
      },
    });
    connection.admit({ limits: PEER_LIMITS.worker });
  });
  const socket = await world.settle(worker.network.dial(listener));
  const connection = new RpcConnection(socket, { host: worker });
  world.hold("m", "w"); // a line that takes nothing
  for (let i = 0; i < 20; i++) connection.stream(Op.PULL, Buffer.alloc(1));
  await world.run(world.now + 1000);
  const taken = 384 * 1024; // by the kernels, and by the socket of the master
  const each = 20 * 10_000; // streams that wake may add an item each
  assert.ok(said > taken && said <= taken + FORWARD_BACKLOG_BYTES + each, `${said}`);
  world.release("m", "w");
  connection.destroy();
  await world.settle(listener.close());
});
