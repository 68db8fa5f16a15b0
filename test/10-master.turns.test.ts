/**
 * Long answers: made for those who have room, in turn, and never more of them than there should be.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { findRun, waitKind } from "#core";
import { encodeFrame } from "#framing";
import type { Clock, Host } from "#host";
import { Router } from "#routing";
import type { IncomingRequest, RpcConnection } from "#rpc";
import {
  BLOB_CHUNK_BYTES, BlobPut, BlobRef, DeadPage, Empty, JobRef, OutputRequest, Op, RunRef, Why,
  type JobInfo, type JobReason,
} from "#wire";
import {
  MAX_LONG_PER_PEER, MAX_PAGES_AT_ONCE, MAX_WATCHES, MAX_WATCHES_OF_RUN,
} from "../src/master/limits.ts";
import { rowsAt } from "../src/history/rows.ts";
import type { Engine } from "../src/master/engine.ts";
import { why } from "../src/master/handlers-reads.ts";
import { jobRows } from "../src/master/pages.ts";
import { Session } from "../src/master/session.ts";
import { Turns } from "../src/master/turns.ts";
import { CREDIT, MORE } from "../src/rpc/flags.ts";
import { Bench } from "./10-master.core.ts";
import { hello, MASTER, pipeline, refusal, report, Room, spec } from "./10-master.support.ts";

/** A clock that moves only while pages are made. */
function bench(options: Partial<{ atOnce: number; perPeer: number; msPerTurn: number }> = {}) {
  let now = 0;
  const later: (() => void)[] = [];
  const clock: Clock = { monotonic: () => now, wall: () => now };
  const host = {
    clock,
    timers: {
      soon: (fn: () => void) => void later.push(fn),
      after: () => ({ cancel: () => undefined }),
    },
  } as unknown as Host;
  const turns = new Turns({ host, atOnce: 100, perPeer: 100, msPerTurn: 4, ...options });
  return {
    turns,
    spend: (ms: number) => { now += ms; },
    /** Two turns of the loop, one of which is free of pages. */
    loop: async () => {
      for (let turn = 0; turn < 2; turn++) for (const fn of later.splice(0)) fn();
      await settled();
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A reader that always has room, or never. */
function reader(room = true): IncomingRequest & { over: boolean; hasRoom: boolean; sent: number } {
  const request = {
    over: false,
    hasRoom: room,
    sent: 0,
    drained: async () => undefined,
    item: () => {
      request.sent += 1;
      return true;
    },
    reply: () => {
      request.sent += 1;
      request.over = true;
    },
  };
  return request as unknown as IncomingRequest & { over: boolean; hasRoom: boolean; sent: number };
}

test("begin() begins no page once msPerTurn went into others, and goes on in the next turn of " +
  "the loop", async () => {
  const { turns, spend, loop } = bench();
  const peer = {};
  let made = 0;
  for (let i = 0; i < 10; i++) {
    void turns.send(reader(), peer, () => {
      made += 1;
      spend(2);
      return Buffer.alloc(1);
    });
  }
  await settled();
  assert.equal(made, 2, "two of 2 ms are the 4 ms");
  await loop();
  assert.equal(made, 4);
  while (turns.waiting > 0) await loop();
  assert.deepEqual([made, turns.peers], [10, 0]);
});

test("a peer that has had next to nothing need not wait for the next turn of the loop, and is " +
  "before those who had much", async () => {
  const { turns, spend, loop } = bench();
  const order: string[] = [];
  const ask = (peer: object, name: string, ms: number): void =>
    void turns.send(reader(), peer, () => { order.push(name); spend(ms); return Buffer.alloc(1); });
  const [greedy, modest] = [{}, {}];
  for (let i = 0; i < 3; i++) ask(greedy, "greedy", 5);
  await settled();
  ask(modest, "modest", 0.4);
  await settled();
  assert.deepEqual(order, ["greedy", "modest"]);
  for (let i = 0; i < 5; i++) ask(modest, "modest", 0.4);
  await settled();
  assert.deepEqual(
    order.filter((name) => name === "modest").length,
    3,
    "with 1.2 ms it has had a share, too",
  );
  await loop();
  assert.deepEqual(
    order.slice(4),
    ["modest", "modest", "modest", "greedy"],
    "and it is still the one that had less",
  );
  while (turns.waiting > 0) await loop();
});

test("peers that have just come have had nothing, and do not fill a turn of the loop either",
  async () => {
    const { turns, spend, loop } = bench();
    let made = 0;
    for (let i = 0; i < 20; i++) {
      void turns.send(reader(), {}, () => {
        made += 1;
        spend(5);
        return Buffer.alloc(1);
      });
    }
    for (let turn = 1; turn <= 10; turn++) {
      await settled();
      assert.equal(made, 2 * turn, "the second page passes twice the 4 ms");
      await loop();
    }
    assert.deepEqual([turns.waiting, turns.peers], [0, 0]);
  });

test("what a peer has had counts half after a quarter of a second", async () => {
  const { turns, spend, loop } = bench();
  const order: string[] = [];
  const ask = (peer: object, name: string, ms: number): void =>
    void turns.send(reader(), peer, () => { order.push(name); spend(ms); return Buffer.alloc(1); });
  const [early, late] = [{}, {}];
  ask(early, "early", 8);
  await settled();
  await loop();
  spend(500);
  ask(late, "late", 4); // early has 2 left of its 8
  await settled();
  for (const [peer, name] of [[late, "late"], [early, "early"]] as const) ask(peer, name, 1);
  await settled();
  await loop();
  assert.deepEqual(order, ["early", "late", "early", "late"]);
});

test("a page that its reader makes later has its price, so that readers of files are no light " +
  "ones", async () => {
  const { turns, loop } = bench();
  const peer = {};
  const begun: (() => void)[] = [];
  for (let i = 0; i < 10; i++) void turns.pace(reader(), peer).then((done) => begun.push(done!));
  await settled();
  assert.equal(begun.length, 4, "one millisecond each");
  await loop();
  assert.equal(begun.length, 8);
  for (const done of begun) done();
  await loop();
  for (const done of begun) done();
  assert.deepEqual([begun.length, turns.peers], [10, 0]);
});

test("atOnce and perPeer hold to the page, and a quarter of the places is for those who had " +
  "little", async () => {
  const { turns, spend, loop } = bench({ atOnce: 8, perPeer: 3, msPerTurn: 1000 });
  const ends: (() => void)[] = [];
  const busy = (): Promise<Buffer> =>
    new Promise((resolve) => {
      spend(2);
      ends.push(() => resolve(Buffer.alloc(1)));
    });
  const peers = [{}, {}, {}, {}];
  for (const peer of peers.slice(0, 3)) {
    for (let i = 0; i < 5; i++) void turns.send(reader(), peer, busy);
  }
  await settled();
  await loop();
  assert.equal(
    ends.length,
    7,
    "three each of two peers are three quarters of eight, and one is of a peer that had had " +
      "nothing",
  );
  for (let i = 0; i < 5; i++) {
    void turns.send(reader(), peers[3]!, () => {
      ends.push(() => undefined);
      return new Promise(() => undefined);
    });
  }
  await settled();
  assert.equal(ends.length, 8, "the last place is for the newcomer");
  ends.shift()!();
  await settled();
  await loop();
  assert.equal(ends.length, 8);
  assert.equal(turns.waiting, 2 + 2 + 4 + 3, "and the place that is free again, too");
});

test("no page is made for a reader without room, or for one that has left; a page that fails " +
  "frees its place", async () => {
  const { turns, loop } = bench({ atOnce: 1, perPeer: 1 });
  let made = 0;
  const make = (): Buffer => Buffer.alloc(++made);
  const gone = reader();
  gone.over = true;
  assert.equal(await turns.send(gone, {}, make), false);
  await assert.rejects(turns.send(reader(), {}, () => { throw new Error("sync"); }), /sync/);
  await assert.rejects(turns.send(reader(), {}, () => Promise.reject(new Error("async"))), /async/);
  await loop();
  assert.equal(await turns.send(reader(), {}, () => undefined), false, "nothing more to send");
  const first = reader();
  assert.equal(await turns.send(first, {}, make), true);
  assert.deepEqual([made, first.sent, turns.peers, turns.waiting], [1, 1, 0, 0]);
  const done = await turns.take({});
  const blocked = reader();
  let over = false;
  const sending = turns.send(blocked, {}, make).then((sent) => { over = true; return sent; });
  await settled();
  blocked.over = true;
  done();
  done();
  assert.equal(await sending, false);
  assert.deepEqual([over, made, turns.peers], [true, 1, 0]);
});

// ── over the wire ────────────────────────────────────────────────────────────────────────────────

/** A stream that nobody reads: it has credit for a window, and takes nothing. */
function unread(peer: RpcConnection, opcode: number, body: Buffer): void {
  peer.stream(opcode, body)[Symbol.asyncIterator]();
}

const bytesTo = (room: Room, name: string): number =>
  room.world.trace
    .filter((line) => line.includes(`m -> ${name}`))
    .reduce((sum, line) => sum + Number(/(\d+) bytes/.exec(line)![1]), 0);

test(
  "a thousand requests of each kind that nobody reads are answered by no more than fits, " +
    "beside a client that is served",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const { run } = await client.submitSpec(
        pipeline(Array.from({ length: 2000 }, (_, i) => spec(`job-${i}`))),
      );
      const kinds: [number, Buffer][] = [
        [Op.STATUS, JobRef.encode({ run, job: undefined })],
        [Op.RUNS, Empty.encode({})],
        [Op.WATCH, RunRef.encode({ run })],
        [Op.LOGS, OutputRequest.encode({ run, job: "job-1", attempt: 0, follow: true })],
        [Op.DEAD, Empty.encode({})],
      ];
      for (const [opcode, body] of kinds) {
        const name = `deaf${opcode}`;
        const socket = await room.world.host(name).network.dial(MASTER);
        socket.handle({ onData: () => undefined, onClose: () => undefined });
        socket.write(encodeFrame({ opcode: Op.HELLO, requestId: 1, body: hello() }));
        await room.sleep(5);
        socket.pause();
        const credit = Buffer.from([127, 0, 0, 0]);
        for (let id = 2; id < 1002; id++) {
          socket.write(encodeFrame({ opcode, flags: MORE, requestId: id, body }));
          socket.write(encodeFrame({ opcode: 0, flags: CREDIT, requestId: id, body: credit }));
        }
        await room.sleep(100);
        assert.equal((await client.status(run)).jobs.length, 2000);
        const bytes = bytesTo(room, name);
        assert.ok(
          bytes < 2 * 1024 * 1024,
          `opcode ${opcode}: ${bytes} bytes are on their way to somebody who does not read`,
        );
        socket.destroy();
        await room.sleep(20);
      }
      assert.deepEqual(room.fatal, []);
    }),
);

test(
  "long answers of one peer begin a few at a time, in order, and those of a peer that left " +
    "are not made",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const { run } = await client.submitSpec(pipeline([spec("a")]));
      const peer = await room.raw({ name: "slow" });
      await peer.request(Op.HELLO, hello());
      const iterators = Array.from({ length: 3 * MAX_LONG_PER_PEER }, () =>
        peer.stream(Op.STATUS, JobRef.encode({ run, job: undefined }))[Symbol.asyncIterator](),
      );
      for (const iterator of iterators) assert.equal((await iterator.next()).done, false);
      assert.deepEqual(
        await Promise.all(iterators.map(async (iterator) => (await iterator.next()).done)),
        iterators.map(() => true),
      );
    }),
);

test(
  "a connection may have MAX_WATCHES_OF_RUN watches of a run and MAX_WATCHES in all, and the " +
    "next one is told the number",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const submit = async (): Promise<string> =>
        (await client.submitSpec(pipeline([spec("a")]))).run;
      const peer = await room.raw();
      await peer.request(Op.HELLO, hello());
      const open: { cancel(): void }[] = [];
      const watch = async (run: string): Promise<string> => {
        const stream = peer.stream(Op.WATCH, RunRef.encode({ run }));
        open.push(stream);
        return stream[Symbol.asyncIterator]()
          .next()
          .then(
            () => "watches",
            (error: Error) => error.message,
          );
      };
      const first = await submit();
      for (let i = 0; i < MAX_WATCHES_OF_RUN; i++) assert.equal(await watch(first), "watches");
      assert.match(
        await watch(first),
        new RegExp(`has ${MAX_WATCHES_OF_RUN} watches of it, and no connection may have more`),
      );
      let count = MAX_WATCHES_OF_RUN;
      while (count < MAX_WATCHES) {
        const run = await submit();
        const more = Math.min(MAX_WATCHES_OF_RUN, MAX_WATCHES - count);
        const found = await Promise.all(Array.from({ length: more }, () => watch(run)));
        assert.ok(found.every((text) => text === "watches"));
        count += more;
      }
      const last = await submit();
      assert.match(
        await watch(last),
        new RegExp(`this connection has ${MAX_WATCHES} watches, and no connection may have more`),
      );
      for await (const event of client.watch(last)) {
        assert.equal(event.type, "snapshot", "another connection may");
        break;
      }
      open[0]!.cancel();
      await room.sleep(10);
      assert.equal(await watch(last), "watches", "one that has ended makes room");
    }),
);

test("WHY and WORKERS are answered in their turn, DEAD one list at a time, " +
  "and all of them in full", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 1 });
    const { run } = await client.submitSpec(
      pipeline([
        spec("a", { retry: { maxAttempts: 2, delayMs: 0, backoff: 1, maxDelayMs: 0, jitter: 0 } }),
        spec("b", { requirement: ["GPU"] }),
      ]),
    );
    const failure = { kind: "exit" as const, message: "no", exitCode: 1, signal: undefined };
    for (let attempt = 1; attempt <= 2; attempt++) {
      await room.until(() => worker.assigned.length === attempt);
      await worker.finish(report(worker.assigned[attempt - 1]!, { failure }));
    }
    const [letters, reasons, workers] = await Promise.all([
      Promise.all(Array.from({ length: 50 }, () => client.deadLetters())),
      Promise.all(Array.from({ length: 50 }, () => client.reasons(run, [1]))),
      Promise.all(Array.from({ length: 50 }, () => client.workers())),
    ]);
    assert.ok(
      letters.every((list) => list.length === 1) &&
        reasons.every((list) => list[0]!.kind === "worker") &&
        workers.every((list) => list.length === 1),
    );
    const peer = await room.raw();
    await peer.request(Op.HELLO, hello());
    await assert.rejects(
      peer.request(Op.DEAD, Empty.encode({})),
      refusal("BAD_REQUEST", /answers with a stream/),
    );
    await assert.rejects(
      peer.request(Op.WHY, Why.encode({ run: "none-xxxx", jobs: [] })),
      refusal("NOT_FOUND"),
    );
    let pages = 0;
    for await (const page of peer.stream(Op.DEAD, Empty.encode({}))) {
      pages += DeadPage.decode(page).letters.length;
    }
    assert.equal(pages, 1);
  }));

test("a blob is read in pieces while others are served, " +
  "and a thousand readers have few files open", () =>
  Room.run(async (room) => {
    let [open, most] = [0, 0];
    const host = room.world.host("m");
    const storage = new Proxy(host.storage, {
      get(target, name: keyof Host["storage"]) {
        if (name !== "open") return target[name].bind(target);
        return async (...args: Parameters<Host["storage"]["open"]>) => {
          const file = await target.open(...args);
          if (!args[0].includes("/blobs/")) return file;
          most = Math.max(most, ++open);
          const close = file.close.bind(file);
          return Object.assign(file, {
            close: () => {
              open -= 1;
              return close();
            },
          });
        };
      },
    });
    await room.start({ host: { ...host, storage } });
    const content = Buffer.alloc(4 * BLOB_CHUNK_BYTES + 1, 7);
    const hash = createHash("sha256").update(content).digest("hex");
    const peer = await room.raw();
    await peer.request(Op.HELLO, hello());
    for (let offset = 0; offset < content.length; offset += BLOB_CHUNK_BYTES) {
      await peer.request(
        Op.BLOB_PUT,
        BlobPut.encode({
          hash,
          total: content.length,
          offset,
          data: content.subarray(offset, offset + BLOB_CHUNK_BYTES),
        }),
      );
    }
    assert.deepEqual([open, most], [0, 1]);
    const slow = await room.raw({ name: "slow" });
    await slow.request(Op.HELLO, hello());
    const blobs = Array.from({ length: MAX_LONG_PER_PEER }, () =>
      slow.stream(Op.BLOB_GET, BlobRef.encode({ hash })));
    let answers = 0;
    const ask = async (): Promise<void> => {
      for await (const _ of slow.stream(Op.WORKERS, Empty.encode({}))) answers += 1;
    };
    blobs[0]!.cancel();
    await ask();
    assert.equal(answers, 1, "one less than it may have under way");
    blobs[0] = slow.stream(Op.BLOB_GET, BlobRef.encode({ hash }));
    const asked = ask();
    await room.sleep(500);
    assert.equal(answers, 1);
    blobs[1]!.cancel();
    await asked;
    assert.equal(answers, 2);
    slow.close();
    for (let i = 0; i < 300; i++) unread(peer, Op.BLOB_GET, BlobRef.encode({ hash }));
    await room.sleep(500);
    assert.ok(most <= MAX_PAGES_AT_ONCE, `${most} files are open`);
    assert.equal(open, 0, "no reader keeps its file open while it has no room");
  }));

/** The requirements for which the router is asked why no worker takes them. */
async function asksOf(work: () => unknown): Promise<string[]> {
  const { explain } = Router.prototype;
  const asked: string[] = [];
  Router.prototype.explain = function (key) {
    asked.push(key);
    return explain.call(this, key);
  };
  try {
    await work();
  } finally {
    Router.prototype.explain = explain;
  }
  return asked;
}

test("a page of jobs asks once why no worker takes a requirement, the next page anew", async () => {
  const life = new Bench();
  const specs = Array.from({ length: 1200 }, (_, i) =>
    spec(`j${i}`, i % 2 === 0 ? { requirement: ["GPU"] } : {}));
  const run = findRun(life.state, life.submit(specs));
  const engine = { state: life.state, context: { now: life.now } } as unknown as Engine;
  const rows = jobRows(engine, run.jobs);
  for (const [count, ...reasons] of [
    [500, "no worker is connected", "no worker is connected"],
    [500, "no worker has GPU", "is about to start"],
    [200, "no worker has GPU", "is about to start"],
  ] as const) {
    let page: string[] = [];
    const asked = await asksOf(() => {
      page = Array.from({ length: count }, () => (rows.next().value as JobInfo).reason);
    });
    assert.deepEqual(page, page.map((_, at) => reasons[at % 2]));
    assert.deepEqual(asked, reasons[1] === reasons[0] ? ["GPU", "GENERAL"] : ["GPU"]);
    life.join();
  }
  assert.equal(rows.next().done, true);
  assert.deepEqual(run.jobs.slice(0, 2).map((job) => waitKind(life.state, job)),
    ["worker", "start"]);
  const moment = { run, limit: 100, now: life.now };
  assert.deepEqual(await asksOf(() => rowsAt(life.state, moment)), ["GPU"], "in the past, too");
});

test("of long requests that wait none is begun that is over", async () => {
  const begun: unknown[] = [];
  const ends: (() => void)[] = [];
  const send = (request: unknown): Promise<boolean> => {
    begun.push(request);
    return new Promise((resolve) => void ends.push(() => resolve(false)));
  };
  const services = {
    version: "", workers: { lease: { beatMs: 1, leaseMs: 4 } }, turns: { send },
    doors: { admit: () => undefined }, engine: { state: { runs: new Map() } },
  };
  const session = new Session(services as never, {} as never);
  const ask = (opcode: number, body: Buffer): { over: boolean } => {
    const request = { opcode, body, over: false, reply: () => undefined, end: () => undefined,
      fail: (_: string, why: string) => assert.fail(why) };
    session.request(request as never);
    return request;
  };
  ask(Op.HELLO, hello());
  const none = Empty.encode({});
  const asked = Array.from({ length: 3 * MAX_LONG_PER_PEER }, () => ask(Op.RUNS, none));
  await settled();
  assert.deepEqual(begun, asked.slice(0, MAX_LONG_PER_PEER));
  // As when a peer goes; but one stays.
  for (const request of asked.slice(0, -1)) request.over = true;
  ends[0]!();
  await settled();
  assert.equal(begun.length, MAX_LONG_PER_PEER + 1);
  assert.equal(begun.at(-1), asked.at(-1));
});

test("a question of WHY is decoded in its turn: it may be as long as its answer", () => {
  let [looks, asked] = [0, 0];
  const turns = { reply: () => void (asked += 1) };
  const request = {
    get body() {
      looks += 1;
      return Why.encode({ run: "none", jobs: [1, 2, 3] });
    },
  };
  void why({ turns } as never, request as never, {} as never);
  assert.deepEqual([asked, looks], [1, 0]);
});

test("an answer to WHY asks once for each requirement", () => Room.run(async (room) => {
  await room.start();
  const client = await room.client();
  const { run } = await client.submitSpec(
    pipeline(Array.from({ length: 100 }, (_, i) => spec(`j${i}`, { requirement: ["GPU"] }))));
  let reasons: JobReason[] = [];
  const asked = await asksOf(async () => {
    reasons = await client.reasons(run, Array.from({ length: 100 }, (_, i) => i));
  });
  assert.equal(reasons.filter(({ reason }) => reason === "no worker is connected").length, 100);
  assert.deepEqual(asked, ["GPU"]);
}));
