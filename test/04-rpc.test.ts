import assert from "node:assert/strict";
import { test } from "node:test";
import { HEADER_BYTES } from "#framing";
import type { Host } from "#host";
import {
  isRetryable,
  RPC_ERROR_CODES,
  RpcError,
  type IncomingRequest,
  type RpcErrorCode,
} from "#rpc";
import { simPair, WORLDS, type Pair, type PeerOptions } from "./04-rpc.support.ts";

const ECHO: PeerOptions = { onRequest: (request) => request.reply(request.body) };
const bytes = (text: string): Buffer => Buffer.from(text);

async function codeOf(promise: Promise<unknown>): Promise<RpcErrorCode> {
  const error = await promise.then(
    () => assert.fail("it succeeded"),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof RpcError, String(error));
  return error.code;
}

/** The same test in every world: the code must not be able to tell them apart. */
function everywhere(
  name: string,
  peers: () => { a?: PeerOptions; b?: PeerOptions },
  body: (pair: Pair) => Promise<void>,
): void {
  for (const [world, make] of WORLDS) {
    // The limit and the cleaning up are for the day when something hangs: an open socket would keep
    // the process.
    test(`${name} (${world})`, { timeout: 5_000 }, async (t) => {
      const { a = {}, b = {} } = peers();
      const pair = await make(a, b);
      t.after(() => {
        pair.a.destroy();
        pair.b.destroy();
      });
      await body(pair);
      await pair.over();
      assert.deepEqual(
        [pair.closes.a.length, pair.closes.b.length],
        [1, 1],
        "onClose comes once on each side",
      );
      assert.equal(pair.a.pendingBytes, 0);
    });
  }
}

// ---- requests

everywhere(
  "request() resolves with the reply, in both directions at once",
  () => ({ a: ECHO, b: ECHO }),
  async ({ a, b, until }) => {
    const asked: Promise<Buffer>[] = [];
    for (let i = 0; i < 50; i++) {
      asked.push(a.request(1, bytes(`a${i}`)), b.request(1, bytes(`b${i}`)));
    }
    const answers = (await until(Promise.all(asked))).map(String);
    assert.deepEqual(answers, Array.from({ length: 50 }, (_, i) => [`a${i}`, `b${i}`]).flat());
  },
);

test("request() gives every caller its own answer when replies come back reversed", async () => {
  const waiting: IncomingRequest[] = [];
  const pair = await simPair({}, {
    onRequest: (request) => {
      waiting.push(request);
      if (waiting.length === 20) for (const late of waiting.reverse()) late.reply(late.body);
    },
  });
  const order: number[] = [];
  const asked = Array.from({ length: 20 }, async (_, i) => {
    const answer = await pair.a.request(1, bytes(`${i}`));
    order.push(i);
    return answer.toString();
  });
  assert.deepEqual(
    await pair.until(Promise.all(asked)),
    Array.from({ length: 20 }, (_, i) => `${i}`),
  );
  assert.deepEqual(order, Array.from({ length: 20 }, (_, i) => 19 - i));
  await pair.over();
});

everywhere(
  "request() carries bodies of any size up to the limit",
  () => ({ b: ECHO }),
  async ({ a, until }) => {
    const sizes = [0, 1, 4095, 4096, 4097, 65_536, 300_000, 8 * 1024 * 1024];
    const bodies = sizes.map((size, i) => Buffer.alloc(size, i + 1));
    for (const body of bodies) {
      assert.ok((await until(a.request(1, body))).equals(body), `${body.length} bytes`);
    }
    const together = await until(
      Promise.all(bodies.slice(0, -1).map((body) => a.request(1, body))),
    );
    together.forEach((answer, i) => assert.ok(answer.equals(bodies[i]!)));
  },
);

test("request() rejects TOO_LARGE on this side, and a reply beyond the " +
  "limit fails TOO_LARGE", async () => {
  const limits = { maxBodyBytes: 1000 };
  const pair = await simPair(
    { limits },
    { limits, onRequest: (request) => request.reply(Buffer.alloc(1001)) },
  );
  assert.equal(await codeOf(pair.a.request(1, Buffer.alloc(1001))), "TOO_LARGE");
  assert.throws(() => pair.a.notify(1, Buffer.alloc(1001)), { code: "TOO_LARGE" });
  assert.equal(await codeOf(pair.until(pair.a.request(1, Buffer.alloc(1000)))), "TOO_LARGE");
  assert.equal(pair.a.closed, false);
  await pair.over();
});

everywhere("a handler's error is the requester's, and the connection lives", () => ({
  b: {
    onHandlerError: () => {},
    onRequest: (request) => {
      switch (request.opcode) {
        case 1: throw new TypeError("oh");
        case 2: return Promise.reject(new Error("later")) as unknown as void;
        case 3: throw new RpcError("CONFLICT", "twice");
        case 4: return request.fail("NOT_FOUND", "no run x");
        default: return request.reply();
      }
    },
  },
}), async ({ a, until }) => {
  const failure = async (opcode: number): Promise<string> => {
    const error: RpcError = await until(
      a.request(opcode, bytes("")).then(
        () => assert.fail(),
        (found) => found,
      ),
    );
    return `${error.code} ${error.message}`;
  };
  assert.equal(await failure(1), "INTERNAL The handler of opcode 1 failed: oh");
  assert.equal(await failure(2), "INTERNAL The handler of opcode 2 failed: later");
  assert.equal(await failure(3), "CONFLICT twice");
  assert.equal(await failure(4), "NOT_FOUND no run x");
  assert.equal((await until(a.request(5, bytes("")))).length, 0);
});

test("request() of a side without a handler fails UNSUPPORTED", async () => {
  const pair = await simPair({}, {});
  assert.equal(await codeOf(pair.until(pair.a.request(9, bytes("")))), "UNSUPPORTED");
  await pair.over();
});

test("only the first final answer counts", async () => {
  const pair = await simPair({}, {
    onRequest: (request) => {
      request.reply(bytes("first"));
      request.reply(bytes("second"));
      request.fail("INTERNAL", "third");
      assert.equal(request.item(bytes("fourth")), true);
      throw new Error("fifth");
    },
    onHandlerError: () => {},
  });
  assert.equal((await pair.until(pair.a.request(1, bytes("")))).toString(), "first");
  assert.equal((await pair.until(pair.a.request(1, bytes("")))).toString(), "first");
  await pair.over();
});

// ---- deadlines

everywhere(
  "request() rejects DEADLINE, tells the other side, and a late answer disturbs nobody",
  () => {
    let late: IncomingRequest | undefined;
    return {
      b: {
        onRequest: (request) => {
          if (request.opcode === 1) late = request;
          else if (request.opcode === 2) request.reply(bytes(String(late?.cancelled)));
          else late?.reply(bytes("too late"));
          if (request.opcode === 3) request.reply(bytes("mine"));
        },
      },
    };
  },
  async ({ a, until }) => {
    assert.equal(await codeOf(until(a.request(1, bytes(""), { deadlineMs: 20 }))), "DEADLINE");
    assert.equal((await until(a.request(2, bytes("")))).toString(), "true");
    assert.equal((await until(a.request(3, bytes("")))).toString(), "mine");
  },
);

test("a thousand deadlines fire on time from one timer", async () => {
  let armed = 0;
  let most = 0;
  const counting = (host: Host): Host => ({
    ...host,
    timers: {
      soon: host.timers.soon,
      after: (ms, fn) => {
        most = Math.max(most, ++armed);
        let live = true;
        const end = (): void => void (live && armed--, (live = false));
        const timer = host.timers.after(ms, () => (end(), fn()));
        return { cancel: () => (end(), timer.cancel()) };
      },
    },
  });
  const pair = await simPair({}, { onRequest: () => {} }, { wrapHost: counting });
  const { world, a } = pair;
  const late: number[] = [];
  const ends = Array.from({ length: 1000 }, async (_, i) => {
    const deadlineMs = 10 + ((i * 7919) % 1000);
    const started = world.now;
    await a.request(1, bytes("x"), { deadlineMs }).catch((error: RpcError) => {
      assert.equal(error.code, "DEADLINE");
      late.push(world.now - started - deadlineMs);
    });
  });
  await pair.until(Promise.all(ends));
  assert.equal(late.length, 1000);
  assert.ok(Math.max(...late) < 1e-6 && Math.min(...late) >= -1e-6);
  assert.equal(most, 1);
  assert.equal(armed, 0);
  await pair.over();
});

test("request() has a default deadline, and Infinity has none", async () => {
  const pair = await simPair({ limits: { deadlineMs: 5000 } }, { onRequest: () => {} });
  let forever: RpcErrorCode | undefined;
  const never = pair.a
    .request(1, bytes(""), { deadlineMs: Infinity })
    .catch((error: RpcError) => void (forever = error.code));
  const started = pair.world.now;
  assert.equal(await codeOf(pair.until(pair.a.request(1, bytes("")))), "DEADLINE");
  assert.equal(Math.round(pair.world.now - started), 5000);
  await pair.pass(1e9);
  assert.equal(forever, undefined);
  await pair.over();
  await never;
  assert.equal(forever, "CLOSED");
});

test("request() refuses a deadline that is no number, and those of others pass", async () => {
  const pair = await simPair({}, { onRequest: () => {} });
  await assert.rejects(
    pair.a.request(1, Buffer.alloc(0), { deadlineMs: Number.NaN }),
    /a deadline that is no number/,
  );
  await assert.rejects(pair.until(pair.a.request(1, Buffer.alloc(0), { deadlineMs: 5 })), {
    code: "DEADLINE",
  });
  await pair.over();
});

test("answered requests leave no deadline behind once the connection is closed", async () => {
  const pair = await simPair({}, ECHO);
  for (let i = 0; i < 10; i++) {
    await pair.until(
      Promise.all(
        Array.from({ length: 50 }, () => pair.a.request(1, bytes("x"), { deadlineMs: 1e6 })),
      ),
    );
  }
  pair.a.close();
  await pair.world.run();
  // The one armed timer was cancelled with its connection: the world has nothing to wait for.
  assert.ok(pair.world.now < 10_000, `something waited until ${pair.world.now}`);
});

// ---- streams

async function collect(stream: AsyncIterable<Buffer>): Promise<string[]> {
  const items: string[] = [];
  for await (const item of stream) items.push(item.toString());
  return items;
}

/** A producer that does as it is told. */
async function produce(
  request: IncomingRequest,
  options: { count: number; body: (i: number) => Buffer; sent?: (i: number) => void },
): Promise<void> {
  for (let i = 0; i < options.count; i++) {
    if (request.cancelled) return;
    options.sent?.(i);
    if (!request.item(options.body(i))) await request.drained();
  }
  request.end();
}

everywhere(
  "stream() yields every item in order and ends",
  () => ({
    b: {
      onRequest: (request) =>
        void produce(request, {
          count: 5000,
          body: (i) => bytes(`item ${i} ${"x".repeat(i % 300)}`),
        }),
    },
  }),
  async ({ a, until }) => {
    const items = await until(collect(a.stream(2, bytes("go"))));
    assert.equal(items.length, 5000);
    items.forEach((item, i) => assert.ok(item.startsWith(`item ${i} `)));
  },
);

everywhere(
  "stream() that nobody reads stops its producer at the window, and no request waits for it",
  () => {
    let produced = 0;
    return {
      a: { limits: { streamWindowBytes: 64 * 1024 } },
      b: {
        onRequest: (request) => {
          if (request.opcode === 1) return request.reply(bytes(String(produced)));
          return void produce(request, {
            count: 10_000,
            body: () => Buffer.alloc(1000),
            sent: () => produced++,
          });
        },
      },
    };
  },
  async ({ a, until, pass }) => {
    const unread = a.stream(2, bytes(""));
    const window = Math.ceil((64 * 1024) / 1016);
    const produced = async (): Promise<number> => Number(await until(a.request(1, bytes(""))));
    while ((await produced()) < window) await pass(1);
    await pass(20);
    assert.ok(
      (await produced()) <= window + 1,
      `${await produced()} items for a window of ${window}`,
    );
    const iterator = unread[Symbol.asyncIterator]();
    for (let i = 0; i < 2 * window; i++) await until(iterator.next());
    unread.cancel();
    assert.equal(await codeOf(iterator.next()), "CANCELLED");
  },
);

everywhere("leaving a stream's loop early cancels its producer", () => {
  const told = { cancelled: 0 };
  return {
    b: {
      onRequest: (request) => {
        if (request.opcode === 1) return request.reply(bytes(String(told.cancelled)));
        request.onCancel(() => told.cancelled++);
        return void produce(request, { count: Infinity, body: (i) => bytes(`${i}`) });
      },
    },
  };
}, async ({ a, until }) => {
  const firstThree = async (): Promise<string[]> => {
    const items: string[] = [];
    for await (const item of a.stream(2, bytes(""))) {
      items.push(item.toString());
      if (items.length === 3) break;
    }
    return items;
  };
  assert.deepEqual(await until(firstThree()), ["0", "1", "2"]);
  assert.equal((await until(a.request(1, bytes("")))).toString(), "1");
});

test("stream() items that wait at their producer go as far as the reader grants, and no item " +
  "further", async () => {
  const body = Buffer.alloc(1024 - HEADER_BYTES);
  const pair = await simPair({ limits: { streamWindowBytes: 64 * 1024 } }, {
    onRequest: (request) => {
      for (let i = 0; i < 128; i++) request.item(body);
      request.end();
    },
  });
  const items = pair.a.stream(2, bytes(""))[Symbol.asyncIterator]();
  // Half a window at a time: what is granted for it is used up before the next half is taken.
  for (let half = 0; half < 4; half++) {
    for (let i = 0; i < 32; i++) assert.equal((await pair.until(items.next())).done, false);
    await pair.pass(100);
  }
  assert.equal((await pair.until(items.next())).done, true);
  await pair.over();
});

test("drained() comes back to a producer whose reader has gone, whatever " +
  "it waited for", async () => {
  let isOver = false;
  const pair = await simPair({ limits: { streamWindowBytes: 64 * 1024 } }, {
    onRequest: async (request) => {
      for (let i = 0; i < 200; i++) if (!request.item(Buffer.alloc(1000))) await request.drained();
      isOver = true;
    },
  });
  const stream = pair.a.stream(2, bytes(""));
  await pair.pass(100);
  assert.equal(isOver, false, "nobody reads");
  stream.cancel();
  await pair.pass(100);
  assert.equal(isOver, true);
  await pair.over();
});

test("stream() delivers what came before an error, then the error", async () => {
  const pair = await simPair({}, {
    onRequest: (request) => {
      for (const text of ["one", "two"]) request.item(bytes(text));
      request.fail("INTERNAL", "the disk is gone");
    },
  });
  const iterator = pair.a.stream(2, bytes(""))[Symbol.asyncIterator]();
  await pair.world.run();
  // Credit comes with the request, after it: what was offered before it arrived waits, and an error
  // overtakes it.
  assert.equal(await codeOf(pair.until(iterator.next())), "INTERNAL");
  await pair.over();
});

test("stream() answered by a plain reply is a stream of one; request() answered by items fails " +
  "BAD_REQUEST", async () => {
  const pair = await simPair(
    {},
    {
      onRequest: (request) =>
        void (request.opcode === 1 ? request.reply(bytes("only")) : request.item(bytes("no"))),
    },
  );
  assert.deepEqual(await pair.until(collect(pair.a.stream(1, bytes("")))), ["only"]);
  assert.equal(await codeOf(pair.until(pair.a.request(2, bytes("")))), "BAD_REQUEST");
  await pair.over();
});

test("stream() has a deadline for the whole of it if asked", async () => {
  const pair = await simPair({}, { onRequest: (request) => void request.item(bytes("one")) });
  const iterator = pair.a.stream(2, bytes(""), { deadlineMs: 100 })[Symbol.asyncIterator]();
  assert.equal((await pair.until(iterator.next())).value?.toString(), "one");
  assert.equal(await codeOf(pair.until(iterator.next())), "DEADLINE");
  await pair.over();
});

test("item() of a producer that never waits ends its stream OVERLOADED, " +
  "and nothing else", async () => {
  let offered = 0;
  const pair = await simPair({ limits: { streamWindowBytes: 10_000 } }, {
    limits: { streamWindowBytes: 10_000 },
    onRequest: (request) => {
      if (request.opcode === 1) return request.reply();
      for (let i = 0; i < 1000; i++, offered++) request.item(Buffer.alloc(100));
    },
  });
  assert.equal(await codeOf(pair.until(collect(pair.a.stream(2, bytes(""))))), "OVERLOADED");
  await pair.until(pair.a.request(1, bytes("")));
  await pair.over();
});

// ---- one-way

everywhere("notify() keeps order and asks its caller to wait when the peer is behind", () => {
  let next = 0;
  let wrong = 0;
  return {
    a: { limits: { maxBodyBytes: 4096, maxOutboundBytes: 100_000 } },
    b: {
      onNotify: (_opcode, body) => void (body.readUInt32BE() === next++ || wrong++),
      onRequest: (request) => request.reply(bytes(`${next} ${wrong}`)),
    },
  };
}, async ({ a, until }) => {
  let waits = 0;
  let most = 0;
  const send = async (): Promise<void> => {
    for (let i = 0; i < 3000; i++) {
      const body = Buffer.alloc(500);
      body.writeUInt32BE(i);
      if (!a.notify(3, body)) {
        most = Math.max(most, a.pendingBytes);
        waits++;
        await a.drained();
      }
    }
  };
  await until(send());
  assert.equal((await until(a.request(1, bytes("")))).toString(), "3000 0");
  assert.ok(most < 600_000, `${most} bytes were queued`);
  assert.ok(waits < 300, "a writer must not be woken for each frame");
});

// ---- endings

everywhere("close() sends what is queued, then closes on both sides without an error", () => {
  const got: number[] = [];
  return {
    b: {
      onNotify: (opcode) => void got.push(opcode),
      onClose: () =>
        assert.deepEqual(
          got,
          Array.from({ length: 100 }, (_, i) => i),
        ),
    },
  };
}, async ({ a, b, over, closes }) => {
  for (let i = 0; i < 100; i++) a.notify(i, Buffer.alloc(10_000));
  a.close();
  a.close();
  assert.equal(a.closed, true);
  assert.equal(a.notify(1, bytes("")), false);
  await assert.rejects(a.drained(), { code: "CLOSED" });
  assert.equal(await codeOf(a.request(1, bytes(""))), "CLOSED");
  await over();
  assert.deepEqual(closes, { a: [undefined], b: [undefined] });
  assert.equal(b.closed, true);
});

everywhere(
  "destroy() rejects requests on both sides with CLOSED and cancels what was being served",
  () => ({
    b: { onRequest: (request) => request.onCancel(() => {}) },
  }),
  async ({ a, b, until, pass }) => {
    const asked = a
      .request(1, bytes(""), { deadlineMs: Infinity })
      .catch((error: RpcError) => error.code);
    const streamed = collect(a.stream(2, bytes(""))).catch((error: RpcError) => error.code);
    await pass(20);
    b.destroy();
    assert.deepEqual(await until(Promise.all([asked, streamed])), ["CLOSED", "CLOSED"]);
    assert.equal(a.closed, true);
  },
);

test("a cut connection rejects CLOSED, which is retryable, and cancels what " +
  "was being served", async () => {
  let cancelled = 0;
  const pair = await simPair({}, { onRequest: (request) => request.onCancel(() => cancelled++) });
  const asked = pair.a.request(1, bytes(""));
  asked.catch(() => {});
  await pair.pass(20);
  pair.world.cut("a", "b");
  const error: RpcError = await pair.until(asked.then(() => assert.fail(), (found) => found));
  await pair.world.run();
  assert.deepEqual([error.code, error.retryable, cancelled], ["CLOSED", true, 1]);
  assert.equal((pair.closes.a[0] as { code?: string }).code, "ECONNRESET");
});

test("request ids start again after 2^32, and skip those in use", async () => {
  const seen: string[] = [];
  const pair = await simPair(
    { firstId: 0xffffffff },
    {
      onRequest: (request) => {
        seen.push(request.body.toString());
        if (seen.length > 1) request.reply(request.body);
      },
    },
  );
  const first = pair.a.request(1, bytes("0"));
  const rest = Array.from({ length: 5 }, (_, i) => pair.a.request(1, bytes(`${i + 1}`)));
  assert.deepEqual((await pair.until(Promise.all(rest))).map(String), ["1", "2", "3", "4", "5"]);
  first.catch(() => {});
  await pair.over();
});

test("RPC_ERROR_CODES each say whether they are retryable", () => {
  const retryable = RPC_ERROR_CODES.filter(isRetryable);
  assert.deepEqual(retryable, ["CLOSED", "DEADLINE", "OVERLOADED"]);
  for (const code of RPC_ERROR_CODES) {
    assert.equal(new RpcError(code, "").retryable, retryable.includes(code));
  }
});
