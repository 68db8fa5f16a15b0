/**
 * Chapter 14: connections to services through the master, on a simulated network: a client, a
 * master, workers, and programs that listen beside them.
 */
import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import { mock, test } from "node:test";
import zlib from "node:zlib";
import { RpcConnection, Windows, type IncomingRequest } from "#rpc";
import { SimWorld } from "#simhost";
import { Opener } from "#tunnel";
import { Connect, FORWARD_WINDOWS, MAX_FORWARDED, Op, Pull } from "#wire";
import { fewestOpen } from "../src/master/forward.ts";
import { WorkerForwards } from "../src/worker/forward.ts";
import { job, pipeline, type FakeJob } from "./11-worker.cluster.ts";
import { Party, room, say } from "./14-services.forward.support.ts";
import { serviceSpec } from "./spec.support.ts";

test("fewestOpen() takes the one with the fewest connections, and equals in turns", () => {
  const [a, b, c] = [{ open: 2 }, { open: 1 }, { open: 1 }];
  assert.equal(fewestOpen([], 0), undefined);
  assert.deepEqual([0, 1, 2].map((turn) => fewestOpen([a, b, c], turn)), [b, c, b]);
  assert.equal(fewestOpen([a], 7), a);
});

test("bytes go both ways in order; a client that has said all still hears the answer", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  all.onAccept = (party) => {
    party.onEnd = () => undefined;
  };
  const program = await all.dial(local);
  program.say("hello");
  await all.until(() => all.accepted[0]?.text === "hello");
  const server = all.accepted[0]!;
  server.say("good day");
  await all.until(() => program.text === "good day");
  program.say(", and goodbye");
  program.socket.end();
  await all.until(() => server.ended);
  assert.deepEqual([server.text, server.closed], ["hello, and goodbye", undefined]);
  assert.equal(all.master.counts().forwards, 1);
  server.say(": the answer");
  server.socket.end();
  await all.until(() => program.closed !== undefined && server.closed !== undefined);
  assert.deepEqual([program.text, program.closed], ["good day: the answer", "in order"]);
  assert.equal(server.closed, "in order");
  await all.until(() => local.open === 0 && all.master.counts().forwards === 0);
  assert.deepEqual(all.notes, []);
  await all.settle(local.close());
});

test("megabytes arrive as they were said, in both directions at once", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 5));
  all.onAccept = (party) => say(party, bytes);
  let counted = 0;
  const crc32 = zlib.crc32;
  const spy = mock.method(zlib, "crc32", (data: Buffer, value?: number) => {
    counted += data.length;
    return crc32(data, value);
  });
  syncBuiltinESMExports();
  const program = await all.dial(local);
  say(program, bytes);
  await all.until(() => program.closed !== undefined && all.accepted[0]!.closed !== undefined);
  spy.mock.restore();
  syncBuiltinESMExports();
  assert.ok(counted < 1e6, `${counted} bytes were checked by those who pass them on`);
  assert.ok(program.heard.equals(bytes) && all.accepted[0]!.heard.equals(bytes));
  assert.deepEqual([program.closed, all.accepted[0]!.closed], ["in order", "in order"]);
  await all.settle(local.close());
});

test("a reset is told from an end, whichever side it comes from", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const first = await all.dial(local);
  await all.until(() => all.accepted.length === 1);
  first.socket.reset();
  await all.until(() => all.accepted[0]!.closed !== undefined);
  assert.deepEqual([all.accepted[0]!.closed, all.accepted[0]!.ended], ["ECONNRESET", false]);
  const second = await all.dial(local);
  second.say("hello");
  await all.until(() => all.accepted[1]?.text === "hello");
  all.accepted[1]!.socket.reset();
  await all.until(() => second.closed !== undefined);
  assert.deepEqual([second.closed, second.ended], ["ECONNRESET", false]);
  await all.until(() => local.open === 0 && all.master.counts().forwards === 0);
  await all.settle(local.close());
});

test("a reader that stalls stops its own sender, within the windows, and nobody else", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const total = 1_000_000_000;
  const piece = Buffer.alloc(1_000_000);
  all.onAccept = (party) => {
    let sent = 0;
    party.wake = () => {
      while (sent < total && party.closed === undefined) {
        sent += piece.length;
        all.sent = sent;
        if (!party.socket.write(piece)) return;
      }
    };
    party.onHeard = () => (party.text === "all" ? party.wake() : party.say(party.text));
  };
  const stalled = await all.dial(local);
  stalled.keeps = false;
  stalled.say("all");
  stalled.socket.pause();
  await all.pass(5000);
  const sent = all.sent;
  assert.ok(sent < 5e6, `the service could send ${sent} bytes`);
  const other = await all.dial(local);
  const from = all.cluster.world.now;
  other.say("ping");
  await all.until(() => other.text === "ping");
  assert.ok(all.cluster.world.now - from < 100, `${all.cluster.world.now - from} ms`);
  const held = all.cluster.world.bounded();
  assert.ok(held < 3e6, `one end of a connection had ${held} bytes under way`);
  await all.pass(5000);
  assert.equal(all.sent, sent, "not a byte more");
  stalled.socket.resume();
  await all.until(() => stalled.bytes > 20e6);
  stalled.socket.reset();
  other.socket.end();
  await all.until(() => local.open === 0 && all.master.counts().forwards === 0);
  await all.settle(local.close());
});

test("connections go to the replica with the fewest, on whatever worker it is", async () => {
  const all = await room("w1", "w2");
  await all.deploy("web", 3);
  const local = await all.forward();
  const by = new Map<FakeJob, Party[]>();
  all.onAccept = (party, fake) => void by.set(fake, [...(by.get(fake) ?? []), party]);
  const programs: Party[] = [];
  for (let i = 0; i < 6; i++) programs.push(await all.dial(local));
  await all.until(() => all.accepted.length === 6);
  assert.deepEqual([...by.values()].map((parties) => parties.length), [2, 2, 2]);
  const [freed, parties] = [...by][1]!;
  for (const party of parties) party.socket.reset();
  await all.until(() => all.master.counts().forwards === 4);
  for (let i = 0; i < 2; i++) await all.dial(local);
  await all.until(() => all.accepted.length === 8);
  assert.equal(by.get(freed)!.length, 4, "both to the one that had none");
  await all.settle(local.close());
  await all.until(() => all.accepted.every(({ closed }) => closed !== undefined));
});

test("a replica that dies takes its connections with it; the next one waits for the next " +
  "attempt", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const first = await all.dial(local);
  await all.until(() => all.accepted.length === 1);
  all.fakes()[0]!.end({ status: "failed", kind: "signal", message: "ended by SIGKILL" });
  await all.until(() => first.closed !== undefined);
  assert.equal(first.closed, "ECONNRESET");
  const second = await all.dial(local);
  second.say("still there?");
  const from = all.cluster.world.now;
  await all.until(() => all.accepted.some(({ text }) => text === "still there?"));
  assert.equal(second.closed, undefined);
  const took = all.cluster.world.now - from;
  assert.ok(took > 500 && took < 1500, `${took} ms, of which 1 s is the delay of the restart`);
  await all.settle(local.close());
});

test("nobody READY for 15 s: the connection is reset, and a note says why", async () => {
  const all = await room();
  await all.deploy("web", 1, {
    restart: {
      policy: "always", delayMs: 60_000, backoff: 1, maxDelayMs: 60_000, attempts: 0, windowMs: 0,
    },
  });
  const local = await all.forward();
  all.fakes()[0]!.end({ status: "failed", kind: "exit", message: "ended with exit code 3" });
  const program = await all.dial(local);
  program.say("hello?");
  const from = all.cluster.world.now;
  await all.until(() => program.closed !== undefined);
  const took = all.cluster.world.now - from;
  assert.ok(took > 14_900 && took < 15_500, `${took} ms`);
  assert.equal(program.closed, "ECONNRESET");
  const why = "no replica took the connection within 15.0s (web is RESTARTING)";
  assert.deepEqual(all.notes, [`Cannot forward to "web": ${why}`]);
  await all.settle(local.close());
});

test("a program that does not listen any more is asked again, until its restart", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  await all.settle(all.listeners.get(all.fakes()[0]!)!.close());
  const program = await all.dial(local);
  program.say("hello?");
  const { world } = all.cluster;
  const asked = (): number => world.trace.filter((line) => / m -> w1 /.test(line)).length;
  const before = asked();
  await all.pass(3000);
  assert.equal(program.closed, undefined);
  assert.ok(asked() - before < 60, `${asked() - before} messages to the worker in 3 s`);
  all.fakes()[0]!.end({ status: "failed", kind: "exit", message: "ended with exit code 3" });
  await all.until(() => all.accepted.some(({ text }) => text === "hello?"));
  await all.settle(local.close());
});

test("a replica that listens and is not READY gets no connection", async () => {
  const all = await room();
  const web = serviceSpec("web", { check: { type: "http", path: "/" }, deployed: true });
  await all.settle(all.client.submitSpec(pipeline([job("web", { service: web })])));
  await all.until(() => all.listeners.size === 1);
  const local = await all.forward();
  const program = await all.dial(local);
  program.say("hello?");
  await all.pass(5000);
  assert.deepEqual([program.closed, all.accepted.some(({ text }) => text === "hello?")],
    [undefined, false]);
  await all.settle(local.close());
});

test("what a service has said before it closed arrives, however late it is read", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  for (const bytes of [600_000, 900_000, 1_000_000, 1_050_000, 1_100_000]) {
    all.onAccept = (party) => {
      party.onEnd = () => say(party, Buffer.alloc(bytes));
    };
    const program = await all.dial(local);
    program.keeps = false;
    program.socket.pause();
    program.socket.end();
    await all.pass(3000);
    program.socket.resume();
    await all.until(() => program.closed !== undefined);
    assert.deepEqual([program.bytes, program.closed], [bytes, "in order"]);
  }
  await all.settle(local.close());
});

test("a connection is pulled by the peer that was asked to open it, and by no other", async () => {
  const opener = new Opener(new Windows({ ...FORWARD_WINDOWS, spareBytes: 0 }));
  const says = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }),
    cancel: () => undefined,
  };
  const asked = { stream: () => says } as unknown as RpcConnection;
  let id = 0;
  void opener.open(asked, { opcode: 1, body: (given) => Buffer.of((id = given)) });
  const pull = (from: RpcConnection): string => {
    let answer = "taken";
    const fail = (code: string): void => void (answer = code);
    const body = Pull.encode({ id, bare: false });
    opener.pulled({ body, fail } as unknown as IncomingRequest, from);
    return answer;
  };
  const stranger = {} as RpcConnection;
  assert.deepEqual([pull(stranger), pull(asked), pull(asked)], ["NOT_FOUND", "taken", "NOT_FOUND"]);
});

test("the master dies: connections end, the port stays, the next one goes through", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const first = await all.dial(local);
  await all.until(() => all.accepted.length === 1);
  all.cluster.world.kill("m");
  await all.until(() => first.closed !== undefined && all.accepted[0]!.closed !== undefined);
  assert.deepEqual([first.closed, all.accepted[0]!.closed], ["ECONNRESET", "ECONNRESET"]);
  const second = await all.dial(local);
  second.say("and now?");
  await all.pass(1000);
  all.master = await all.cluster.startMaster();
  await all.until(() => all.accepted.some(({ text }) => text === "and now?"));
  assert.equal(second.closed, undefined);
  assert.equal(all.fakes().length, 1, "the service has not noticed");
  await all.settle(local.close());
});

test("the worker's link breaks: its connections end, and the next one goes through", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const first = await all.dial(local);
  await all.until(() => all.accepted.length === 1);
  all.cluster.world.cut("w1", "m");
  await all.until(() => first.closed !== undefined && all.accepted[0]!.closed !== undefined);
  const second = await all.dial(local);
  second.say("and now?");
  await all.until(() => all.accepted.some(({ text }) => text === "and now?"));
  assert.equal(all.fakes().length, 1);
  await all.settle(local.close());
});

test("a name that nobody has is refused at once; RUN and RUN/JOB name services, too", async () => {
  const all = await room();
  const run = await all.deploy();
  await assert.rejects(all.forward("wob"), { code: "NOT_FOUND",
    message: 'Cannot forward "wob": there is no such service, and no such run' });
  for (const name of [run, `${run}/web`]) {
    const local = await all.forward(name);
    const program = await all.dial(local);
    program.say(name);
    await all.until(() => all.accepted.some(({ text }) => text === name));
    await all.settle(local.close());
  }
});

test("a client has 500 connections, and the next one is refused in words", async () => {
  const all = await room();
  await all.deploy();
  const local = await all.forward();
  const { network } = all.cluster.world.host("c");
  const programs = await all.settle(Promise.all(Array.from({ length: MAX_FORWARDED }, () =>
    network.dial({ host: "127.0.0.1", port: local.port }).then((socket) => new Party(socket)))));
  await all.until(() => all.accepted.length === MAX_FORWARDED);
  const [one] = await all.settle(all.client.services());
  assert.equal(one!.service!.phase, "READY");
  const extra = await all.dial(local);
  await all.until(() => extra.closed !== undefined);
  assert.equal(extra.closed, "ECONNRESET");
  assert.deepEqual(all.notes, ["Cannot forward: this port has 500 connections, the most it may"]);
  programs[0]!.socket.reset();
  await all.until(() => local.open < MAX_FORWARDED);
  const next = await all.dial(local);
  next.say("a place");
  await all.until(() => all.accepted.some(({ text }) => text === "a place"));
  await all.settle(local.close());
});

test("a worker knows its own attempts only: another one, an older registration and an unknown " +
  "opcode are refused", async (t) => {
  const world = new SimWorld({ seed: 1 });
  const [host, m] = [world.host("w"), world.host("m")];
  const { mock } = t.mock.method(host.network, "dial");
  let ended = 0; // attempt 3, after it was asked for once
  const portOf = ({ attempt }: { attempt: number }) =>
    attempt === 2 ? 5000 : attempt === 3 && ended++ === 0 ? 6000 : undefined;
  const forwards = new WorkerForwards({ host, name: () => "w1", portOf });
  forwards.registration = 7;
  const listener = await host.network.listen({ host: "w", port: 1 }, (socket) => {
    const connection: RpcConnection = new RpcConnection(socket, {
      host, onRequest: (request) => forwards.asked(request, connection),
    });
  });
  const dialled = m.network.dial(listener).then((socket) => new RpcConnection(socket, { host: m }));
  const master = await world.settle(dialled);
  const ask = async (opcode: number, key: { attempt: number; worker: number }) => {
    const body = Connect.encode({ run: 1, job: 0, id: 1, bare: false, ...key });
    const answer = master.stream(opcode, body)[Symbol.asyncIterator]().next();
    return world.settle(answer.catch((error: Error) => error.message));
  };
  const none = "Cannot connect: attempt 1 does not run on w1";
  assert.equal(await ask(Op.CONNECT, { attempt: 1, worker: 7 }), none);
  assert.equal(await ask(Op.CONNECT, { attempt: 2, worker: 6 }), none.replace("1 does", "2 does"));
  const nobody = "Cannot connect: nothing listens on port 5000 on w1";
  assert.equal(await ask(Op.CONNECT, { attempt: 2, worker: 7 }), nobody);
  const unknown = "Cannot serve opcode 99: this worker does not know it";
  assert.equal(await ask(99, { attempt: 2, worker: 7 }), unknown);
  let closed = 0;
  const program = await host.network.listen({ host: "127.0.0.1", port: 6000 }, (socket) => {
    socket.handle({ onData: () => undefined, onClose: () => closed++ });
  });
  const over = "Cannot connect: the attempt has ended";
  assert.equal(await ask(Op.CONNECT, { attempt: 3, worker: 7 }), over);
  await world.run(world.now + 100);
  assert.equal(closed, 1, "what was dialled meanwhile is closed");
  assert.deepEqual(mock.calls.map((call) => call.arguments), [5000, 6000].map((port) =>
    [{ host: "127.0.0.1", port }, { timeoutMs: 2000 }]));
  await program.close();
  assert.equal(forwards.size, 0);
  master.destroy();
  await listener.close();
});
