/** Frames of version 1, and who may send them: nothing here needs more than a door. */
import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { OldDoor } from "#dialect";
import type { Socket, SocketHandlers } from "#host";
import { startMaster } from "#master";
import { connect } from "#sdk";
import { SimWorld } from "#simhost";
import { hearFirstByte } from "../src/master/first-byte.ts";
import { encodeReply, MAX_BODY_BYTES, RequestReader } from "../src/dialect/frame.ts";
import { exchange, frame, fresh, host, pause } from "./dialect.support.ts";

test("RequestReader.push() yields a request whole, however it is cut, and nothing from any " +
  "truncated prefix", () => {
  const bytes = frame(0x61, "käse");
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new RequestReader();
    const first = reader.push(bytes.subarray(0, cut));
    if (cut === bytes.length) assert.equal(first !== undefined, true);
    else assert.equal(first, undefined, `${cut} bytes`);
    if (cut === bytes.length) continue;
    const request = reader.push(Buffer.concat([bytes.subarray(cut), Buffer.from("more")]));
    assert.ok(request !== "bad" && request !== undefined);
    assert.deepEqual([request.opcode, request.body.toString()], [0x61, "käse"]);
  }
});

test("RequestReader.push() refuses another version and a body of 10 MiB and one byte, at " +
  "once", () => {
  const longest = frame(0x60, "");
  longest.writeUInt32BE(MAX_BODY_BYTES, 4);
  assert.equal(new RequestReader().push(longest), undefined);
  longest.writeUInt32BE(MAX_BODY_BYTES + 1, 4);
  assert.equal(new RequestReader().push(longest), "bad");
  longest.writeUInt32BE(0xffff_ffff, 4);
  assert.equal(new RequestReader().push(longest), "bad");
  assert.equal(new RequestReader().push(Buffer.from([2, 0x60, 0, 0, 0, 0, 0, 0])), "bad");
});

test("encodeReply() marks errors by their first word, and never data", () => {
  const opcode = (reply: string | Buffer): number => encodeReply(reply)[1]!;
  const errors = ["ERROR: x", "ERROR_NOT_FOUND", "UNKNOWN_OPCODE: 1", "SERVER_ERROR: x",
    "UPLOAD_FAILED: x", "DEPLOY_FAILED: x"];
  for (const text of errors) assert.equal(opcode(text), 0x51, text);
  for (const text of ["OK", "NULL", "NOT_FOUND", "", "an ERROR"]) assert.equal(opcode(text), 0x50);
  assert.equal(opcode(Buffer.from("ERROR: a value")), 0x50);
  assert.deepEqual(encodeReply("né").toString("hex"), "01500000000000036ec3a9");
});

// ── the door ─────────────────────────────────────────────────────────────────────────────────────

const AT = { host: "127.0.0.1", port: 9090 };

/**
 * A master whose port has a door, in virtual time. A simulated machine has a name and no loopback
 * address, so a client stands beside the peers.
 */
async function simulated(world: SimWorld, take?: OldDoor["take"]) {
  const machine = world.host("m");
  const door = new OldDoor({ host: machine, dir: "/v1" });
  const master = await startMaster({
    host: machine, dir: "/state", listen: AT, onOlderPeer: take ?? door.take,
  });
  const client = await connect({ host: machine, master: AT });
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => void machine.timers.after(ms, () => resolve()));
  const stop = async (): Promise<void> => {
    client.close();
    await door.close();
    await master.stop();
  };
  return { machine, door, master, wait, stop };
}

/** A peer that keeps what it hears. */
async function peer(from: ReturnType<SimWorld["host"]>, to: { host: string; port: number }) {
  const socket = await from.network.dial(to);
  const heard = { bytes: Buffer.alloc(0), closed: false };
  socket.handle({
    onData: (chunk) => (heard.bytes = Buffer.concat([heard.bytes, chunk])),
    onClose: () => (heard.closed = true),
  });
  return { socket, heard };
}

test("a peer that is slow or silent goes: 2 s for its header, 30 s for all", async () => {
  const world = new SimWorld({ seed: 1 });
  await world.settle((async () => {
    const { machine, door, master, wait, stop } = await simulated(world);
    await door.open({ master, token: undefined, view: master });
    const silent = await peer(machine, AT);
    const header = await peer(machine, AT);
    header.socket.write(Buffer.from([1]));
    const body = await peer(machine, AT);
    body.socket.write(frame(0x60, "k|v").subarray(0, 9));
    await wait(1900);
    assert.deepEqual([silent, header, body].map(({ heard }) => heard.closed),
      [false, false, false]);
    assert.equal(door.peers, 2, "the silent one is a stranger of the master's");
    await wait(300);
    assert.deepEqual([silent, header, body].map(({ heard }) => heard.closed), [true, true, false]);
    for (let n = 0; n < 27; n++) {
      await wait(1000);
      assert.equal(body.heard.closed, false);
    }
    await wait(3000);
    assert.deepEqual([body.heard.closed, body.heard.bytes.length, door.peers], [true, 0, 0]);
    await stop();
  })());
});

test("a request that came before the door was open is answered once it is", async () => {
  const world = new SimWorld({ seed: 1 });
  await world.settle((async () => {
    const { machine, door, master, wait, stop } = await simulated(world);
    const early = await peer(machine, AT);
    early.socket.write(frame(0x71, ""));
    await wait(1000);
    assert.equal(early.heard.bytes.length, 0);
    await door.open({ master, token: undefined, view: master });
    await wait(1000);
    assert.equal(early.heard.bytes.toString("utf8", 8), "UNKNOWN_OPCODE: 113");
    assert.equal(early.heard.closed, true);
    await stop();
  })());
});

test("from another machine only those are served beside whom somebody has shown the " +
  "token", async () => {
  const world = new SimWorld({ seed: 1 });
  await world.settle((async () => {
    const machine = world.host("m");
    const door = new OldDoor({ host: machine, dir: "/v1" });
    const token = "secret";
    const master = await startMaster({
      host: machine, dir: "/state", listen: { host: "m", port: 9090 }, token,
      onOlderPeer: door.take,
    });
    await door.open({ master, token, view: master });
    const [known, other] = [world.host("known"), world.host("other")];
    const wait = (): Promise<void> =>
      new Promise((resolve) => void machine.timers.after(500, () => resolve()));
    const asks = async (from: typeof known): Promise<string> => {
      const { socket, heard } = await peer(from, { host: "m", port: 9090 });
      socket.write(frame(0x71, ""));
      await wait();
      assert.equal(heard.closed, true);
      return heard.bytes.toString("utf8", 8);
    };
    const client = await connect({ host: known, master: { host: "m", port: 9090 }, token });
    assert.equal(await asks(known), "UNKNOWN_OPCODE: 113");
    assert.doesNotMatch(await asks(other), /UNKNOWN_OPCODE/);
    client.close();
    await wait();
    assert.doesNotMatch(await asks(known), /UNKNOWN_OPCODE/, "it has left");
    await door.close();
    await master.stop();
  })());
});

/** Long before their time of 30 s is over. */
async function untilGone(sockets: readonly { closed: boolean }[], count: number): Promise<void> {
  const until = performance.now() + 20_000;
  while (sockets.filter((socket) => socket.closed).length < count) {
    assert.ok(performance.now() < until, "none of them has to go");
    await pause(5);
  }
}

async function realDoor(t: TestContext) {
  const door = new OldDoor({ host, dir: join(fresh(), "v1") });
  const master = await startMaster({
    host, dir: fresh(), listen: { host: "127.0.0.1", port: 0 }, durability: "no",
    onOlderPeer: door.take,
  });
  t.after(() => master.stop());
  t.after(() => door.close());
  const at = await door.open({ master, token: undefined, view: master });
  return { door, master, at };
}

test("a frame of 10 MiB is served, one byte more closes the connection without an " +
  "answer", async (t) => {
  const { at: { port } } = await realDoor(t);
  const over = frame(0x71, "");
  over.writeUInt32BE(MAX_BODY_BYTES + 1, 4);
  assert.equal((await exchange(port, over)).length, 0);
  const most = await exchange(port, frame(0x71, Buffer.alloc(MAX_BODY_BYTES, "x")));
  assert.equal(most.toString("utf8", 8), "UNKNOWN_OPCODE: 113");
});

test("of too many peers the oldest goes that is not served yet; others are answered", async (t) => {
  const { at: { port }, door } = await realDoor(t);
  const sockets = Array.from({ length: 260 }, () => {
    const socket = dial({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    socket.write(frame(0x60, "k|v").subarray(0, 9));
    return socket;
  });
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await untilGone(sockets, 4);
  assert.equal(door.peers, 256);
  assert.equal((await exchange(port, frame(0x71, ""))).toString("utf8", 8), "UNKNOWN_OPCODE: 113");
});

test("peers together make the door hold 64 MiB at most", async (t) => {
  const { at: { port }, door } = await realDoor(t);
  const part = frame(0x60, Buffer.alloc(MAX_BODY_BYTES)).subarray(0, MAX_BODY_BYTES);
  const sockets = Array.from({ length: 8 }, () => {
    const socket = dial({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    socket.write(part);
    return socket;
  });
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await untilGone(sockets, 2);
  assert.ok(door.peers <= 6, `${door.peers} peers are left`);
});

test("the native dialect works on the same port, beside a port of the door's own", async (t) => {
  const door = new OldDoor({ host, dir: join(fresh(), "v1") });
  const master = await startMaster({
    host, dir: fresh(), listen: { host: "127.0.0.1", port: 0 }, durability: "no",
    onOlderPeer: door.take,
  });
  t.after(() => master.stop());
  t.after(() => door.close());
  const own = await door.open({ master, token: undefined, view: master, port: 0 });
  assert.notEqual(own.port, master.port);
  for (const port of [own.port, master.port]) {
    const reply = await exchange(port, frame(0x71, ""));
    assert.equal(reply.toString("utf8", 8), "UNKNOWN_OPCODE: 113");
  }
  const client = await connect({ host, master });
  assert.deepEqual(await client.runs(), []);
  client.close();
  const taken = new OldDoor({ host, dir: join(fresh(), "v1") });
  await assert.rejects(taken.open({ master, token: undefined, view: master, port: own.port }),
    /Cannot listen on 127\.0\.0\.1:\d+ for version 1: the port is in use/);
});

test("hearFirstByte() tells the first owner that the socket is closed, which is dead to it from " +
  "then on", () => {
  const done: string[] = [];
  let handlers: SocketHandlers | undefined;
  const act = (name: string) => (): boolean => done.push(name) > 0;
  const socket: Socket = {
    remote: "127.0.0.1:1", pendingBytes: 7,
    handle: (given) => void (handlers = given),
    write: act("write"), writeLent: act("lent"), pause: act("pause"), resume: act("resume"),
    end: act("end"), reset: act("reset"),
    destroy: act("destroy"),
  };
  const taken: Socket[] = [];
  const doors = { knows: () => false };
  const ours = hearFirstByte(socket, { doors, onOlderPeer: (given) => void taken.push(given) });
  ours.handle({ onData: act("data"), onClose: act("closed"), onDrain: act("drain") });
  const all = (side: Socket): void => {
    side.pause();
    side.resume();
    side.write(Buffer.alloc(1));
    side.writeLent(Buffer.alloc(1));
    side.end();
    side.destroy();
  };
  const uses = ["pause", "resume", "write", "lent", "end", "destroy"];
  all(ours);
  handlers!.onDrain!();
  handlers!.onData(Buffer.from([1, 2]));
  assert.deepEqual(done.splice(0), [...uses, "drain", "closed"]);
  all(ours);
  assert.deepEqual(done.splice(0), []);
  all(taken[0]!);
  handlers!.onData(Buffer.from([1]));
  handlers!.onClose();
  assert.deepEqual([done.splice(0), taken.length, taken[0]!.pendingBytes], [uses, 1, 7]);
});

test("after it is given away, the first owner of a socket can do nothing with it", async () => {
  const world = new SimWorld({ seed: 1 });
  await world.settle((async () => {
    const given: Socket[] = [];
    const { machine, master, wait, stop } = await simulated(world, (socket) => {
      given.push(socket);
      socket.handle({ onData: () => undefined, onClose: () => undefined });
    });
    const one = await peer(machine, AT);
    one.socket.write(Buffer.from([1]));
    await wait(5000);
    // The master's own patience with strangers has ended long ago.
    assert.equal(one.heard.closed, false);
    assert.deepEqual([given.length, master.counts().connections], [1, 1], "the client's alone");
    given[0]!.write(Buffer.from("still here"));
    await wait(100);
    assert.equal(one.heard.bytes.toString(), "still here");
    given[0]!.destroy();
    await stop();
  })());
});
