/** The store's client, against a store whose every byte is scripted, in virtual time. */
import assert from "node:assert/strict";
import { constants } from "node:buffer";
import { test } from "node:test";
import { seededRandom, type Socket } from "#host";
import { SimWorld, type SimOptions } from "#simhost";
import {
  MAX_PENDING_BYTES,
  MAX_REPLY_DEPTH,
  parseStoreUrl,
  Push,
  ReplyParser,
  RespError,
  RespParser,
  StoreClient,
  StoreError,
  StoreUrlError,
  type StoreClientOptions,
  type Value,
} from "#store";

const bytes = (latin1: string): Buffer => Buffer.from(latin1, "latin1");
const HELLO = "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";

function read(
  chunks: readonly Buffer[],
  options: { buffers?: boolean; maxReplyBytes?: number } = {},
): (Value | Push)[] {
  const parser = new ReplyParser(options);
  const out: (Value | Push)[] = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    for (let value = parser.next(); value !== undefined; value = parser.next()) out.push(value);
  }
  return out;
}

const REPLIES: readonly (readonly [string, Value | Push])[] = [
  ["+OK\r\n", "OK"],
  ["-WRONGTYPE Operation\r\n", new StoreError("WRONGTYPE Operation")],
  ["-gr\xc3\xb6\xc3\x9fe\r\n", new StoreError("größe", "ERR")],
  ["!11\r\nERR a\r\nb c\n\r\n", new StoreError("ERR a\r\nb c\n")],
  [":0\r\n", 0],
  [":-12\r\n", -12],
  [":9007199254740991\r\n", 2 ** 53 - 1],
  [":9223372036854775807\r\n", 2n ** 63n - 1n],
  [
    "(-3492890328409238509324850943850943825024385\r\n",
    -3492890328409238509324850943850943825024385n,
  ],
  ["$0\r\n\r\n", ""],
  ["$5\r\n\xc3\xa9\r\n!\r\n", "é\r\n!"],
  ["$-1\r\n", null],
  ["*-1\r\n", null],
  ["_\r\n", null],
  ["=7\r\ntxt:abc\r\n", "abc"],
  [",1.5\r\n", 1.5],
  [",-inf\r\n", -Infinity],
  [",nan\r\n", NaN],
  [",1e+21\r\n", 1e21],
  ["#t\r\n", true],
  ["#f\r\n", false],
  ["*0\r\n", []],
  ["~2\r\n+a\r\n*1\r\n*2\r\n:1\r\n$-1\r\n", ["a", [[1, null]]]],
  [
    "%2\r\n+a\r\n%0\r\n:2\r\n*1\r\n-ERR x\r\n",
    new Map<Value, Value>([
      ["a", new Map()],
      [2, [new StoreError("ERR x")]],
    ]),
  ],
  [">2\r\n+message\r\n%1\r\n+a\r\n:1\r\n", new Push(["message", new Map([["a", 1]])])],
];

test("ReplyParser copies a value out of a chunk that has much else, and no other", () => {
  const parser = new ReplyParser({ buffers: true });
  const large = "x".repeat(60_000);
  const chunk = Buffer.from(`$5\r\nhello\r\n$60000\r\n${large}\r\n`);
  parser.push(chunk);
  const [small, most] = [parser.next() as Buffer, parser.next() as Buffer];
  assert.deepEqual([small.toString(), most.toString()], ["hello", large]);
  assert.notEqual(small.buffer, chunk.buffer);
  assert.equal(most.buffer, chunk.buffer);
});

test("ReplyParser.next() yields every shape of RESP2 and RESP3, for every cut", () => {
  const text = REPLIES.map(([wire]) => wire).join("");
  const expected = REPLIES.map(([, value]) => value);
  assert.deepEqual(read([bytes(text)]), expected);
  assert.deepEqual(read(Array.from(text, (char) => bytes(char))), expected);
  for (let cut = 0; cut < text.length; cut++) {
    assert.deepEqual(
      read([bytes(text.slice(0, cut)), bytes(text.slice(cut))]),
      expected,
      `cut at ${cut}`,
    );
  }
  assert.deepEqual(
    REPLIES.slice(1, 3).map(([, error]) => (error as StoreError).code),
    ["WRONGTYPE", "ERR"],
  );
});

test("ReplyParser yields bulks as Buffers when asked to", () => {
  assert.deepEqual(read([bytes("*2\r\n$2\r\n\xff\x00\r\n+OK\r\n")], { buffers: true }), [
    [Buffer.of(255, 0), "OK"],
  ]);
});

test("ReplyParser yields nothing from any truncated prefix of a reply", () => {
  for (const [wire] of REPLIES) {
    for (let length = 0; length < wire.length; length++) {
      assert.deepEqual(read([bytes(wire.slice(0, length))]), []);
    }
  }
});

for (const [what, text] of [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\n"],
  ["an empty line", "\r\n"],
  ["an unknown type", "@1\r\n"],
  ["an integer of letters", ":abc\r\n"],
  ["an empty integer", ":\r\n"],
  ["a bulk of -2 bytes", "$-2\r\n"],
  ["a bulk without its end", "$1\r\nabc\r\n"],
  ["a bulk without its CR", "$1\r\na\n\n"],
  ["a bulk without its LF", "$1\r\na\r\r"],
  ["a length of letters", "$x\r\n"],
  ["a length with zeros in front", "$01\r\n"],
  ["a count of -2", "*-2\r\n"],
  ["an endless count", `*${"9".repeat(400)}\r\n`],
  ["a map of -1", "%-1\r\n"],
  ["a bool of letters", "#x\r\n"],
  ["a null with text", "_x\r\n"],
  ["a double of letters", ",x\r\n"],
  ["an endless big number", `(${"9".repeat(5000)}\r\n`],
  ["a push inside an array", "*1\r\n>1\r\n+a\r\n"],
  ["an empty push", ">0\r\n"],
  ["a streamed string", "$?\r\n"],
] as const) {
  test(`ReplyParser refuses ${what}`, () => {
    for (const chunks of [[bytes(text)], Array.from(text, (char) => bytes(char))]) {
      assert.throws(
        () => read(chunks),
        (error) =>
          error instanceof RespError &&
          error.code === "MALFORMED" &&
          error.message.startsWith("Cannot read reply: "),
      );
    }
  });
}

test("ReplyParser bounds depth, bytes, elements and lines", () => {
  const deep = (depth: number): Buffer[] => [bytes("*1\r\n".repeat(depth)), bytes(":1\r\n")];
  assert.equal(read(deep(MAX_REPLY_DEPTH)).length, 1);
  assert.throws(() => read(deep(MAX_REPLY_DEPTH + 1)), { code: "TOO_LARGE" });
  assert.throws(() => read(deep(1_000_000)), { code: "TOO_LARGE" });
  assert.throws(() => read([bytes("$1001\r\n")], { maxReplyBytes: 1000 }), {
    code: "TOO_LARGE",
    message: "Cannot read reply: it exceeds 1000 bytes",
  });
  assert.throws(() => read([bytes("*99999999999\r\n")]), { code: "TOO_LARGE" });
  const [all, value, line] = [256 * 1024 * 1024, 96, "$268435350".length];
  assert.deepEqual(read([bytes(`$${all - value - line}\r\n`)]), []);
  assert.throws(() => read([bytes(`$${all - value - line + 1}\r\n`)]), { code: "TOO_LARGE" });
  assert.throws(
    () => read([bytes(`*10000\r\n${"$0\r\n\r\n".repeat(10_000)}`)], { maxReplyBytes: 100_000 }),
    { code: "TOO_LARGE" },
  );
  assert.throws(() => read([bytes(`+${"x".repeat(100_000)}`)]), { code: "TOO_LARGE" });
  // The limit is each reply's, not the connection's.
  assert.equal(
    read([bytes("$500\r\n".concat("x".repeat(500), "\r\n").repeat(100))], { maxReplyBytes: 1000 })
      .length,
    100,
  );
});

test("ReplyParser takes a reply of exactly so many bytes: 96 a value, and its line", () => {
  for (const [text, cost] of [
    ["+abc\r\n", 96 + 4],
    ["$5\r\nhello\r\n", 96 + 2 + 5],
    ["*2\r\n:1\r\n:2\r\n", 96 + 2 + 2 + 2 * (96 + 2)],
    ["%1\r\n:1\r\n:2\r\n", 96 + 2 + 2 + 2 * (96 + 2)],
  ] as const) {
    const wire = [bytes(text), bytes(text)];
    assert.equal(read(wire, { maxReplyBytes: cost }).length, 2, text);
    const message = `Cannot read reply: it exceeds ${cost - 1} bytes`;
    assert.throws(() => read(wire, { maxReplyBytes: cost - 1 }), { message });
  }
  const line = (length: number) => [bytes(`+${"x".repeat(length - 1)}\r\n`)];
  assert.equal(read(line(64 * 1024)).length, 1);
  assert.throws(() => read(line(64 * 1024 + 1)), { code: "TOO_LARGE" });
});

test("ReplyParser quotes the first 32 characters of what it cannot read", () => {
  for (const length of [31, 32, 33]) {
    const found = "?".repeat(Math.min(length, 32));
    const message = `Cannot read reply: found "${found}"`;
    assert.throws(() => read([bytes(`${"?".repeat(length)}\r\n`)]), { message });
  }
});

test("StoreError has the first word for its code, if that is one", () => {
  for (const [message, code] of [
    ["NOPERM x", "NOPERM"], ["A1", "A1"], ["größe", "ERR"], ["", "ERR"], ["Err x", "ERR"],
  ]) {
    const { name, code: found } = new StoreError(message!);
    assert.deepEqual([name, found], ["StoreError", code], message);
  }
});

test("ReplyParser survives flipped bits and noise: values, an error, or a wait", () => {
  const seed = 4;
  const random = seededRandom(seed);
  const text = bytes(REPLIES.map(([wire]) => wire).join(""));
  const attempt = (chunks: Buffer[]): unknown => {
    try {
      return read(chunks);
    } catch (error) {
      assert.ok(error instanceof RespError, `seed ${seed}: ${String(error)}`);
      return error.message;
    }
  };
  for (let bit = 0; bit < text.length * 8; bit++) {
    const flipped = Buffer.from(text);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const cut = random.u32() % text.length;
    const inTwo = attempt([flipped.subarray(0, cut), flipped.subarray(cut)]);
    assert.deepEqual(inTwo, attempt([flipped]), `seed ${seed}, bit ${bit}`);
  }
  for (let round = 0; round < 500; round++) attempt([Buffer.from(random.bytes(64))]);
});

test("ReplyParser that has refused a stream refuses whatever comes then", () => {
  const parser = new ReplyParser();
  parser.push(bytes("@\r\n"));
  for (let i = 0; i < 2; i++) assert.throws(() => parser.next(), { code: "MALFORMED" });
});

for (const [text, target] of [
  ["redis://127.0.0.1:7000", { at: { host: "127.0.0.1", port: 7000 } }],
  ["redis://db", { at: { host: "db", port: 6379 } }],
  ["redis://db/", { at: { host: "db", port: 6379 } }],
  ["redis://:p%40ss%2F@db:1/0", { at: { host: "db", port: 1 }, password: "p@ss/" }],
  ["redis://me:pw@[::1]:2", { at: { host: "::1", port: 2 }, username: "me", password: "pw" }],
] as const) {
  test(`parseStoreUrl() reads ${text}`, () => assert.deepEqual(parseStoreUrl(text), target));
}

test("parseStoreUrl() says what is wrong with a scheme, and with a database", () => {
  for (const [text, why] of [
    ["http://db", "its scheme is http, not redis"],
    ["redis://db/10", "the database is 10; there is only 0"],
  ] as const) {
    const message = `Cannot read store URL: ${why}`;
    const error = { name: "StoreUrlError", code: "BAD_URL", message };
    assert.throws(() => parseStoreUrl(text), error);
  }
});

test("parseStoreUrl() says what is wrong with a URL for TLS", () => {
  assert.throws(() => parseStoreUrl("rediss://db"), /TLS is not supported; use redis:/);
});

for (const text of [
  "",
  "db:6379",
  "http://db",
  "rediss://:secret@db",
  "redis://",
  "redis://:secret@db/1",
  "redis://:secret@db?x=1",
  "redis://:secret@db:99999",
  "redis://:secret%ZZ@db",
  "redis://secret@db",
  "redis://:secret@db:0",
  "redis://:secret@db#x",
]) {
  test(`parseStoreUrl() refuses ${JSON.stringify(text)} and repeats no secret`, () => {
    assert.throws(
      () => parseStoreUrl(text),
      (error) =>
        error instanceof StoreUrlError &&
        !error.message.includes("secret") &&
        error.message.startsWith("Cannot read store URL: "),
    );
  });
}

type Script = (argv: string[], socket: Socket) => string | undefined;

/** A store at host "s" that answers what the script says; HELLO it answers itself. */
async function scripted(script: Script, options: Partial<StoreClientOptions & SimOptions> = {}) {
  const world = new SimWorld({ seed: 1, ...options });
  const seen: string[][] = [];
  const writes: number[] = [];
  const sockets: Socket[] = [];
  const accept = (socket: Socket): void => {
    const parser = new RespParser();
    sockets.push(socket);
    socket.handle({
      onData: (chunk) => {
        writes.push(chunk.length);
        parser.push(chunk);
        for (let argv = parser.next(); argv !== undefined; argv = parser.next()) {
          seen.push(argv);
          const answer =
            script(argv, socket) ??
            (argv[0] === "HELLO" ? HELLO : argv[0] === "PING" ? "+PONG\r\n" : undefined);
          if (answer !== undefined) socket.write(bytes(answer));
        }
      },
      onClose: () => {},
    });
  };
  const boot = (): Promise<unknown> =>
    world.host("s").network.listen({ host: "s", port: 6379 }, accept);
  await boot();
  const connect = (): Promise<StoreClient> =>
    StoreClient.connect({ host: world.host("c"), url: "redis://s", ...options });
  return { world, seen, writes, sockets, boot, connect };
}

test("StoreClient pairs replies with calls, and calls of one turn share a write", async () => {
  const { world, connect, writes, seen } = await scripted(([name, value]) =>
    name === "ECHO" ? `$${value!.length}\r\n${value!}\r\n` : undefined,
  );
  const client = await world.settle(connect());
  const before = writes.length;
  const answers = await world.settle(
    Promise.all(["a", "é", Buffer.of(0x62), 3, 2n ** 63n].map((arg) => client.call("ECHO", arg))),
  );
  assert.deepEqual(answers, ["a", "é", "b", "3", "9223372036854775808"]);
  assert.equal(writes.length, before + 1);
  assert.deepEqual(seen[0], ["HELLO", "3"]);
  assert.equal(client.pending, 0);
  client.close();
  await world.run();
});

test("StoreClient reads answers that are cut anywhere", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { world, connect } = await scripted(
      ([name, value]) =>
        name === "ECHO" ? `*2\r\n$${value!.length}\r\n${value!}\r\n:7\r\n` : undefined,
      { seed, splitChunks: true },
    );
    const client = await world.settle(connect());
    const answers = await world.settle(
      Promise.all(Array.from({ length: 20 }, (_, i) => client.call("ECHO", `v${i}`))),
    );
    assert.deepEqual(answers, Array.from({ length: 20 }, (_, i) => [`v${i}`, 7]), `seed ${seed}`);
    client.close();
    await world.run();
  }
});

test("StoreClient rejects with the store's own error, and goes on", async () => {
  const { world, connect } = await scripted(([name]) =>
    name === "INCR" ? "-WRONGTYPE Operation against a key\r\n" : undefined,
  );
  const client = await world.settle(connect());
  await assert.rejects(world.settle(client.call("INCR", "k")), {
    name: "StoreError",
    code: "WRONGTYPE",
    message: "WRONGTYPE Operation against a key",
  });
  assert.equal(await world.settle(client.call("PING")), "PONG");
  client.close();
  await world.run();
});

test("StoreClient.connect() says AUTH, and a wrong password at once", async () => {
  const { world, seen, connect } = await scripted(
    ([name]) =>
      name === "HELLO"
        ? "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        : undefined,
    { url: "redis://:n%C3%B6@s" },
  );
  await assert.rejects(world.settle(connect()), { code: "WRONGPASS" });
  assert.deepEqual(seen, [["HELLO", "3", "AUTH", "default", "n\xc3\xb6"]]);
  assert.ok(world.now < 100);
  await world.run();
});

test("StoreClient.connect() that fails has closed what it opened, and dials no more", async () => {
  const refused = await scripted(([name]) => (name === "PING" ? "-ERR no\r\n" : undefined));
  await assert.rejects(refused.world.settle(refused.connect()), { message: "ERR no" });
  assert.deepEqual(refused.world.open("c"), []);
});

test("StoreClient.close() leaves no connection and no timer, at whatever moment", async () => {
  for (const isThere of [true, false]) {
    for (let ms = 0; ms <= 400; ms += ms < 20 ? 1 : 20) {
      const { world, sockets } = await scripted(([name]) => (name === "GET" ? "" : undefined));
      if (!isThere) world.crash("s");
      const client = new StoreClient({ host: world.host("c"), url: "redis://s" });
      const asked = client.call("GET", "never answered").catch((error: StoreError) => error.code);
      await world.run(world.now + ms);
      if (ms % 40 === 0) sockets[0]?.destroy();
      client.close();
      const left = world.open("c").filter((what) => !/dial/.test(what));
      assert.deepEqual(left, [], `${isThere} after ${ms} ms`);
      assert.match(String(await world.settle(asked)), /^(LOST|CLOSED)$/);
      await world.run(world.now + 20_000);
      assert.deepEqual(world.open("c"), [], `${isThere} after ${ms} ms, and later`);
    }
  }
});

test("StoreClient ends a connection whose store refuses a subscription that it had", async () => {
  let refuses = false;
  const { world, sockets, connect } = await scripted((argv, socket) =>
    refuses && argv[0] === "SUBSCRIBE" ? "-NOPERM no\r\n" : confirm(argv, socket));
  const client = await world.settle(connect());
  await world.settle(client.subscribe("news", () => undefined));
  refuses = true;
  sockets[0]!.destroy();
  await world.run(world.now + 10_000);
  assert.ok(sockets.length > 3, `it has dialled ${sockets.length} times`);
  refuses = false;
  await world.run(world.now + 10_000);
  const dials = sockets.length;
  await world.run(world.now + 10_000);
  assert.equal(sockets.length, dials, "taken again, and kept");
  client.close();
  await world.run();
  assert.deepEqual(world.open("c"), []);
});

test("StoreClient.connect() rejects with UNREACHABLE, and why, once patience ends", async () => {
  const world = new SimWorld({ seed: 1 });
  world.host("s");
  await assert.rejects(
    world.settle(StoreClient.connect({ host: world.host("c"), url: "redis://s", patienceMs: 500 })),
    {
      code: "UNREACHABLE",
      message: /^Cannot call PING: no connection to s:6379 within 500 ms: .*ECONNREFUSED/,
    },
  );
  assert.ok(world.now >= 500 && world.now < 600);
  await world.run();
});

test("StoreClient gives each call a patience of its own", async () => {
  const world = new SimWorld({ seed: 1 });
  world.host("s");
  const client = new StoreClient({ host: world.host("c"), url: "redis://s", patienceMs: 1000 });
  const ended: unknown[] = [];
  const ask = (): void =>
    void client.call("GET", "k").catch((error: StoreError) => ended.push([error.code, world.now]));
  for (const at of [0, 10, 900]) {
    await world.run(at);
    ask();
  }
  await world.run(3000);
  assert.deepEqual(ended, [["UNREACHABLE", 1000], ["UNREACHABLE", 1010], ["UNREACHABLE", 1900]]);
  client.close();
  await world.run();
});

test("StoreClient.connect() rejects when somebody answers who is no store", async () => {
  for (const greeting of ["HTTP/1.1 400 Bad Request\r\n\r\n", "-ERR unknown command 'HELLO'\r\n"]) {
    const { world, connect } = await scripted(
      ([name]) => (name === "HELLO" ? greeting : undefined),
      { patienceMs: 300 },
    );
    await assert.rejects(world.settle(connect()), { code: "UNREACHABLE" });
    await world.run();
  }
});

test("StoreClient.connect() rejects when nobody answers at all", async () => {
  const { world, connect } = await scripted(([name]) => (name === "HELLO" ? "" : undefined), {
    patienceMs: 300,
    silenceMs: 0,
  });
  await assert.rejects(world.settle(connect()), { code: "UNREACHABLE" });
  await world.run();
});

test("StoreClient never sends twice what it may have sent, and sends over the next connection " +
  "what it had not", async () => {
  let deaf = true;
  const { world, seen, sockets, connect } = await scripted(([name]) =>
    name === "INCR" && !deaf ? ":1\r\n" : undefined,
  );
  const client = await world.settle(connect());
  const lost = assert.rejects(client.call("INCR", "k"), {
    code: "LOST",
    message: /^Cannot say what became of INCR: it was sent, then /,
  });
  await world.run(world.now + 50);
  sockets[0]!.destroy();
  await world.settle(lost);
  deaf = false;
  assert.equal(await world.settle(client.call("INCR", "k")), 1);
  assert.deepEqual(seen.filter(([name]) => name === "INCR").length, 2);
  assert.equal(sockets.length, 2);
  client.close();
  await world.run();
});

test("StoreClient waits through a restart of the store", async () => {
  const { world, boot, connect } = await scripted(([name]) =>
    name === "GET" ? "$1\r\nv\r\n" : undefined,
  );
  const client = await world.settle(connect());
  world.kill("s");
  await world.run(world.now + 10);
  const answer = client.call("GET", "k");
  world.host("s");
  await world.run(world.now + 3000);
  await boot();
  assert.equal(await world.settle(answer), "v");
  client.close();
  await world.run();
});

test("StoreClient notices a store that says nothing any more", async () => {
  const { world, connect } = await scripted(() => undefined, { silenceMs: 1000 });
  const client = await world.settle(connect());
  const start = world.now;
  await assert.rejects(world.settle(client.call("GET", "k")), {
    code: "LOST",
    message: /said nothing for 1000 ms/,
  });
  assert.ok(world.now - start < 1100);
  client.close();
  await world.run();
});

test("StoreClient counts no silence while it has asked nothing, and counts it again " +
  "afterwards", async () => {
  const { world, connect, sockets } = await scripted(
    ([name]) => (name === "ECHO" ? "+a\r\n" : undefined),
    { silenceMs: 1000 },
  );
  const client = await world.settle(connect());
  for (let round = 0; round < 2; round++) {
    assert.equal(await world.settle(client.call("ECHO", "a")), "a");
    await world.run(world.now + 10_000);
    assert.equal(sockets.length, 1);
  }
  const start = world.now;
  await assert.rejects(world.settle(client.call("GET", "k")), { code: "LOST" });
  assert.ok(world.now - start < 1100);
  client.close();
  await world.run();
});

test("StoreClient counts silence from the last byte, or from the question if that " +
  "is later", async () => {
  const { world, connect, sockets } = await scripted(
    ([name]) => (name === "ECHO" ? "+a\r\n" : undefined),
    { silenceMs: 1000 },
  );
  const client = await world.settle(connect());
  const start = world.now;
  assert.equal(await world.settle(client.call("ECHO", "a")), "a");
  await world.run(start + 990);
  const answer = client.call("GET", "k");
  for (const [ms, piece] of [[1700, "$"], [2500, "1"], [3300, "\r\nv\r\n"]] as const) {
    await world.run(start + ms);
    sockets[0]!.write(bytes(piece));
  }
  assert.equal(await world.settle(answer), "v");
  client.close();
  await world.run();
});

test("StoreClient dials a store that it has lost at once, and one that refuses it not " +
  "all the time", async () => {
  const { world, connect, boot, sockets } = await scripted(() => undefined);
  world.kill("s");
  world.host("s");
  const connecting = connect();
  await world.run(world.now + 500);
  await boot();
  const client = await world.settle(connecting);
  world.cut("c", "s");
  const before = world.now;
  assert.equal(await world.settle(client.call("PING")), "PONG");
  assert.ok(world.now - before < 20, `${world.now - before} ms`);
  world.kill("s");
  world.host("s");
  await world.run(world.now + 10);
  const asked = client.call("PING");
  await world.run(world.now + 60);
  await boot();
  const booted = world.now;
  assert.equal(await world.settle(asked), "PONG");
  assert.ok(world.now - booted < 200, `${world.now - booted} ms: the pauses begin anew`);
  client.close();
  const deaf = await scripted(([name]) => (name === "HELLO" ? "-ERR no\r\n" : undefined));
  await assert.rejects(deaf.world.settle(deaf.connect()), { code: "UNREACHABLE" });
  assert.ok(deaf.sockets.length < 30, `${deaf.sockets.length} dials in ten seconds`);
  assert.equal(sockets.length, 3);
  await world.run();
  await deaf.world.run();
});

test("StoreClient.close() leaves no timer for what stood behind a full socket", async () => {
  const { world, sockets, connect } = await scripted(() => undefined);
  const client = await world.settle(connect());
  sockets[0]!.pause();
  const calls = [client.call("SET", "k", Buffer.alloc(1024 * 1024))];
  await world.run(world.now + 10);
  calls.push(client.call("SET", "k", 1));
  await world.run(world.now + 10);
  client.close();
  assert.deepEqual(world.open("c"), []);
  const codes = calls.map((each) => each.catch((error: StoreError) => error.code));
  assert.deepEqual(await world.settle(Promise.all(codes)), ["LOST", "CLOSED"]);
  await world.run();
});

test("StoreClient.subscribe() hands out messages as Buffers when asked to", async () => {
  const { world, sockets, connect } = await scripted(confirm, { buffers: true });
  const client = await world.settle(connect());
  const heard: unknown[] = [];
  await world.settle(client.subscribe("news", (...message) => heard.push(message)));
  sockets[0]!.write(bytes(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\n\xff\0\r\n"));
  await world.run(world.now + 10);
  assert.deepEqual(heard, [[Buffer.of(255, 0), "news"]]);
  client.close();
  await world.run();
});

test("StoreClient gives up a store that takes the connection after a cut and does not greet, and " +
  "dials again", async () => {
  const { world, connect, sockets } = await scripted(
    ([name]) => (name === "HELLO" && sockets.length === 2 ? "" : undefined),
    { silenceMs: 60_000, patienceMs: 1000 },
  );
  const client = await world.settle(connect());
  const lost = client.call("GET", "k").catch((error: StoreError) => error.code);
  await world.run(world.now + 10);
  sockets[0]!.destroy();
  assert.equal(await world.settle(lost), "LOST");
  await assert.rejects(world.settle(client.call("PING")), { code: "UNREACHABLE" });
  assert.equal(await world.settle(client.call("PING")), "PONG");
  assert.equal(sockets.length, 3);
  client.close();
  await world.run();
});

test("StoreClient waits no longer than its patience for a store that it has lost, and gives the " +
  "reason of this time", async () => {
  const { world, connect, boot } = await scripted(() => undefined, { patienceMs: 1000 });
  world.kill("s");
  world.host("s");
  const connecting = connect();
  await world.run(world.now + 200);
  await boot();
  const client = await world.settle(connecting);
  world.hold("s", "c");
  world.cut("c", "s");
  await world.run(world.now + 10);
  const start = world.now;
  await assert.rejects(world.settle(client.call("GET", "k")), (error: StoreError) =>
    error.code === "UNREACHABLE" && !/ECONNREFUSED/.test(error.message));
  assert.ok(world.now - start < 1100, `${world.now - start} ms`);
  client.close();
  await world.run();
});

test("StoreClient gives a call its own patience, also when those before it were " +
  "refused", async () => {
  const { world, seen } = await scripted(([name]) =>
    name === "HELLO" ? "-WRONGPASS no\r\n" : "");
  const client = new StoreClient({
    host: world.host("c"), url: "redis://:no@s", patienceMs: 1000,
  });
  const refused = [client.call("PING"), client.call("PING")].map((each) =>
    each.catch((error: StoreError) => error.code));
  assert.deepEqual(await world.settle(Promise.all(refused)), ["WRONGPASS", "WRONGPASS"]);
  assert.equal(seen.length, 1);
  world.crash("s");
  world.host("s");
  await world.run(500);
  await assert.rejects(world.settle(client.call("PING")), { code: "UNREACHABLE" });
  assert.equal(world.now, 1500);
  client.close();
  await world.run();
});

test("StoreClient.close() ends a client that only listens, and it dials no more", async () => {
  const { world, connect, sockets } = await scripted(confirm);
  const client = await world.settle(connect());
  await world.settle(client.subscribe("news", () => undefined));
  client.close();
  client.close();
  await world.run(world.now + 20_000);
  assert.equal(sockets.length, 1);
  assert.deepEqual(world.open("c"), []);
});

test("StoreClient waits ten seconds for a connection and half a minute for an answer, unless " +
  "told otherwise", async () => {
  const { world, connect } = await scripted(() => undefined);
  const client = await world.settle(connect());
  await assert.rejects(world.settle(client.call("GET", "k")), /store said nothing for 30000 ms/);
  client.close();
  const empty = new SimWorld({ seed: 1 });
  empty.host("s");
  const dialled = StoreClient.connect({ host: empty.host("c"), url: "redis://s" });
  await assert.rejects(empty.settle(dialled), /no connection to s:6379 within 10000 ms/);
  await world.run();
  await empty.run();
});

test("StoreClient arms no timer while it is idle", async () => {
  const { world, connect } = await scripted(() => undefined);
  const client = await world.settle(connect());
  await world.run();
  assert.ok(world.now < 60_000, `it took ${world.now} ms until nothing was left to happen`);
  client.close();
  await world.run();
});

test("StoreClient asks once when the store says who may not come in", async () => {
  for (const code of ["WRONGPASS", "NOAUTH", "NOPERM", "NOPROTO", "LOADING"]) {
    const { world, seen } = await scripted(([name]) =>
      name === "HELLO" ? `-${code} no\r\n` : "");
    const client = new StoreClient({ host: world.host("c"), url: "redis://s", patienceMs: 1000 });
    const isFinal = code !== "LOADING";
    const told = { code: isFinal ? code : "UNREACHABLE" };
    await assert.rejects(world.settle(client.call("PING")), told);
    assert.equal(seen.length === 1, isFinal, code);
    client.close();
    await world.run();
  }
});

test("StoreClient bounds what is pending, and refuses what cannot share a connection", async () => {
  const { world, connect } = await scripted(() => undefined, { maxPendingCalls: 10 });
  const client = await world.settle(connect());
  const pending = Array.from({ length: 10 }, () =>
    assert.rejects(client.call("GET", "k"), { code: "CLOSED" }),
  );
  await assert.rejects(client.call("GET", "k"), { code: "LIMIT" });
  const size = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".length;
  await assert.rejects(
    client.call("GET", "k"),
    { message: `Cannot call GET: 10 calls (${10 * size} bytes) are pending` },
    "what was answered is not among it",
  );
  for (const [name, ...rest] of [
    ["SUBSCRIBE", "x"], ["UNSUBSCRIBE"], ["PSUBSCRIBE", "x"], ["PUNSUBSCRIBE"],
    ["SSUBSCRIBE", "x"], ["SUNSUBSCRIBE"], ["SYNC"], ["PSYNC", "?", "-1"],
    ["monitor"],
    ["HELLO", "3"],
    ["quit"],
    ["Reset"],
    ["titan.sync", "?", "0"],
    ["client", "reply", "SKIP"],
  ]) {
    await assert.rejects(client.call(name!, ...rest), { code: "REFUSED" }, name);
  }
  client.close();
  await Promise.all(pending);
  await assert.rejects(client.call("GET", "k"), { code: "CLOSED" });
  await world.run();
});

test("StoreClient counts the bytes of what is pending, whatever became of the rest", async () => {
  const { world, connect, sockets } = await scripted(
    ([name, ...rest], socket) => (name === "ECHO" ? "+a\r\n" : confirm([name!, ...rest], socket)),
    { maxPendingCalls: 4 },
  );
  const client = await world.settle(connect());
  await world.settle(client.subscribe("news", () => undefined));
  const lost = Promise.allSettled([client.call("GET", "k"), client.call("GET", "k")]);
  await world.run(world.now + 10);
  sockets[0]!.destroy();
  await world.settle(lost);
  await world.run(world.now + 1000);
  assert.equal(sockets.length, 2, "it listens again");
  const [echo] = [client.call("ECHO", "a"), client.call("GET", "k"), client.call("GET", "k")]
    .map((each) => each.catch((error: StoreError) => error.code));
  assert.equal(client.pending, 3);
  assert.equal(await world.settle(echo!), "a");
  assert.equal(client.pending, 2);
  for (let i = 0; i < 2; i++) void client.call("GET", "k").catch(() => undefined);
  await assert.rejects(client.call("PING"), { message: / 4 calls \(80 bytes\) are pending$/ });
  client.close();
  await world.run();
});

test("StoreClient.call() rejects what it cannot encode, and does not throw", async () => {
  const { world, connect } = await scripted(() => undefined);
  const client = await world.settle(connect());
  // Nobody ever looks at these bytes, so they cost nothing.
  const half = Buffer.alloc(MAX_PENDING_BYTES / 2);
  for (const args of [
    [Buffer.alloc(MAX_PENDING_BYTES + 1)],
    [half, half, "x"],
    [Buffer.alloc(constants.MAX_STRING_LENGTH + 1)],
  ]) {
    await assert.rejects(
      client.call("SET", ...args),
      (error) => error instanceof StoreError && error.code === "LIMIT",
    );
  }
  const call = client.call("SET", "k", undefined as never);
  await assert.rejects(call, TypeError);
  assert.equal(client.pending, 0);
  client.close();
  await world.run();
});

test("StoreClient keeps back what a store that does not read has no room for", async () => {
  const { world, sockets, connect } = await scripted(([name]) =>
    name === "SET" ? "+OK\r\n" : undefined,
  );
  const client = await world.settle(connect());
  sockets[0]!.pause();
  const calls: Promise<Value>[] = [];
  for (let i = 0; i < 40; i++) {
    calls.push(client.call("SET", "k", Buffer.alloc(64 * 1024)));
    await world.run(world.now + 1);
  }
  // 2.5 MiB were asked for. On their way is what the kernels and the socket hold, and a call more.
  assert.ok(world.bounded() < 512 * 1024, `${world.bounded()} bytes`);
  sockets[0]!.resume();
  assert.deepEqual(await world.settle(Promise.all(calls)), calls.map(() => "OK"));
  client.close();
  await world.run();
});

test("StoreClient asks over the next connection what stood behind a full socket, however long it " +
  "stood", async () => {
  const { world, sockets, connect } = await scripted(
    ([name]) => (name === "SET" ? "+OK\r\n" : undefined),
    { patienceMs: 1000, silenceMs: 0 },
  );
  const client = await world.settle(connect());
  sockets[0]!.pause();
  const first = client
    .call("SET", "k", Buffer.alloc(1024 * 1024))
    .catch((error: StoreError) => error.code);
  await world.run(world.now + 10);
  const behind = client.call("SET", "k", 1);
  await world.run(world.now + 5000); // its patience is for dialling, and nobody dials
  sockets[0]!.destroy();
  assert.deepEqual(await world.settle(Promise.all([first, behind])), ["LOST", "OK"]);
  assert.equal(sockets.length, 2);
  client.close();
  await world.run();
});

test("StoreClient drops a store whose reply is too large, or that answers what " +
  "was not asked", async () => {
  for (const [reply, maxReplyBytes] of [
    ["$100000\r\n", 1000],
    ["+a\r\n+b\r\n+c\r\n", undefined],
  ] as const) {
    const { world, sockets, connect } = await scripted(
      ([name]) => (name === "GET" ? reply : undefined),
      maxReplyBytes === undefined ? {} : { maxReplyBytes },
    );
    const client = await world.settle(connect());
    const first = client.call("GET", "k").catch((error: StoreError) => error.code);
    assert.equal(await world.settle(first), maxReplyBytes === undefined ? "a" : "LOST");
    const before = world.now;
    assert.equal(await world.settle(client.call("PING")), "PONG");
    assert.ok(world.now - before < 20, "a store that has served is dialled again at once");
    assert.equal(sockets.length, 2);
    client.close();
    await world.run();
  }
});

/** What a store answers to all of the SUBSCRIBE family. */
const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const confirm: Script = ([name, channel]) =>
  /SUBSCRIBE$/.test(name!)
    ? `>3\r\n${bulk(name!.toLowerCase())}${bulk(channel!)}:1\r\n`
    : undefined;

test("StoreClient.subscribe() hears messages between replies, and again " +
  "after a reconnect", async () => {
  const { world, seen, sockets, connect } = await scripted(confirm);
  const client = await world.settle(connect());
  const heard: unknown[] = [];
  const stop = await world.settle(
    client.subscribe("news", (message, channel) => heard.push([channel, message])),
  );
  const stopPattern = await world.settle(
    client.subscribe("n*", (message, channel) => heard.push(["pattern", channel, message]), {
      pattern: true,
    }),
  );
  const publish = (): void => {
    sockets
      .at(-1)!
      .write(
        bytes(
          ">3\r\n+message\r\n$4\r\nnews\r\n$2\r\nhi\r\n>4\r\n+pmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
        ),
      );
  };
  const ping = client.call("PING");
  publish();
  assert.equal(await world.settle(ping), "PONG");
  await world.run(world.now + 10);
  assert.deepEqual(heard.splice(0), [["news", "hi"], ["pattern", "news", "hi"]]);
  sockets[0]!.destroy();
  await world.run(world.now + 1000);
  assert.equal(sockets.length, 2);
  publish();
  await world.run(world.now + 10);
  assert.equal(heard.splice(0).length, 2);
  await world.settle(stop());
  publish();
  await world.run(world.now + 10);
  assert.deepEqual(heard, [["pattern", "news", "hi"]]);
  assert.deepEqual(seen.at(-1), ["UNSUBSCRIBE", "news"]);
  await world.settle(stopPattern());
  assert.deepEqual(seen.at(-1), ["PUNSUBSCRIBE", "n*"]);
  client.close();
  await world.run();
});

test("StoreClient keeps its connection when a listener throws, which its author " +
  "sees", async () => {
  const { world, sockets, connect } = await scripted(confirm);
  const client = await world.settle(connect());
  await world.settle(client.subscribe("news", () => {
    throw new TypeError("a listener's");
  }));
  sockets[0]!.write(bytes(">3\r\n+message\r\n$4\r\nnews\r\n$2\r\nhi\r\n"));
  await assert.rejects(world.run(world.now + 10), /a listener's/);
  assert.equal(await world.settle(client.call("PING")), "PONG");
  assert.equal(sockets.length, 1);
  client.close();
  await world.run();
});

test("StoreClient.subscribe() with one function twice is two subscriptions, and each ends by " +
  "itself", async () => {
  const { world, seen, sockets, connect } = await scripted(confirm);
  const client = await world.settle(connect());
  let heard = 0;
  const listener = (): void => void heard++;
  const [stop, stopToo] = [
    await world.settle(client.subscribe("news", listener)),
    await world.settle(client.subscribe("news", listener)),
  ];
  const publish = async (): Promise<number> => {
    heard = 0;
    sockets[0]!.write(bytes(">3\r\n+message\r\n$4\r\nnews\r\n$2\r\nhi\r\n"));
    await world.run(world.now + 10);
    return heard;
  };
  assert.equal(await publish(), 2);
  await world.settle(stop());
  await world.settle(stop());
  assert.equal(await publish(), 1);
  await world.settle(stopToo());
  assert.equal(await publish(), 0);
  assert.deepEqual(seen.filter(([name]) => name === "UNSUBSCRIBE").length, 1);
  client.close();
  await world.run();
});

test("StoreClient: a subscription is ended by the end of its connection, but not by a store that " +
  "refuses", async () => {
  for (const [answer, end] of [
    ["", "lost"],
    ["", "closed"],
    ["-NOPERM no\r\n", "refused"],
  ] as const) {
    const { world, sockets, connect } = await scripted((argv, socket) =>
      argv[0] === "UNSUBSCRIBE" ? answer : confirm(argv, socket),
    );
    const client = await world.settle(connect());
    const stop = await world.settle(client.subscribe("news", () => {}));
    const ended = stop().then(
      () => "",
      (error: StoreError) => error.code,
    );
    if (end === "closed") client.close();
    else await world.run(world.now + 10);
    if (end === "lost") sockets[0]!.destroy();
    assert.equal(await world.settle(ended), end === "refused" ? "NOPERM" : "", end);
    client.close();
    await world.run();
  }
});

test("StoreClient.subscribe() rejects when the store refuses, and is not tried again", async () => {
  const { world, connect, seen, sockets } = await scripted(([name]) =>
    name === "SUBSCRIBE" ? "-NOPERM no\r\n" : undefined,
  );
  const client = await world.settle(connect());
  await assert.rejects(world.settle(client.subscribe("news", () => {})), { code: "NOPERM" });
  sockets[0]!.destroy();
  await world.run(world.now + 60_000);
  assert.equal(seen.length, 3, "nothing asks for a connection");
  assert.equal(await world.settle(client.call("PING")), "PONG");
  assert.deepEqual(seen.map(([name]) => name), ["HELLO", "PING", "SUBSCRIBE", "HELLO", "PING"]);
  client.close();
  await world.run();
});

test("StoreClient loses no call and doubles none, whatever the cuts", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    let counter = 0;
    const { world, connect } = await scripted(
      ([name]) => (name === "INCR" ? `:${++counter}\r\n` : undefined),
      { seed, splitChunks: true },
    );
    const client = await world.settle(connect());
    const random = seededRandom(seed);
    const results: Promise<Value>[] = [];
    for (let round = 0; round < 30; round++) {
      for (let n = random.u32() % 5; n > 0; n--) {
        results.push(client.call("INCR", "k").catch((error: StoreError) => error));
      }
      if (random.u32() % 4 === 0) world.cut("c", "s");
      await world.run(world.now + (random.u32() % 40));
    }
    const settled = await world.settle(Promise.all(results));
    const done = settled.filter((value) => typeof value === "number");
    const lost = settled.filter((value) => value instanceof StoreError && value.code === "LOST");
    assert.equal(done.length + lost.length, settled.length, `seed ${seed}`);
    assert.equal(new Set(done).size, done.length, `seed ${seed}`);
    assert.ok(counter >= done.length && counter <= settled.length, `seed ${seed}: ${counter}`);
    client.close();
    await world.run();
  }
});
