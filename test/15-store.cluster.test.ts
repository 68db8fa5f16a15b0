/**
 * The store as part of a cluster: by way of the master, and as jobs see it. Real sockets, files and
 * processes.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { bytes, list, message, string, u32, withDefault } from "#codec";
import { createExecutor, linkPackage } from "#exec";
import { type Address, type Socket } from "#host";
import { nodeWorkerHost } from "#process";
import { startMaster, type Master, type MasterStore } from "#master";
import { parsePipeline } from "#pipeline";
import { RpcConnection, RpcError } from "#rpc";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import {
  MAX_GATEWAY_BYTES,
  MAX_GATEWAY_CALLS,
  openGateway,
  openStore,
  ReplyParser,
  StoreError,
  startStore,
  type StoreServer,
  type Value,
} from "#store";
import { startWorker, type WorkerOptions } from "#worker";
import {
  Hello,
  KvRequest,
  LEASE_MS,
  MAX_KV_ARGS,
  MAX_KV_BYTES,
  Op,
  PROTOCOL,
  Welcome,
} from "#wire";
import { ensureBuilt, ROOT } from "../scripts/bootstrap.mjs";
import { misplacedStore } from "../src/worker/endpoints.ts";
import { keyOf, MASTER, pipeline, report, Room, spec } from "./10-master.support.ts";
import { FakeExecutor } from "./11-worker.cluster.ts";
import "./leaks.support.ts";

const host = nodeWorkerHost();
const LOOPBACK = { host: "127.0.0.1", port: 0 };
const root = mkdtempSync(join(tmpdir(), "titan-store-cluster-"));
after(() => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));
let folders = 0;
const fresh = (): string => join(root, `f${++folders}`);

async function startMemoryStore(
  t: TestContext,
  at: Address = LOOPBACK,
): Promise<StoreServer & { url: string; stop(): Promise<void> }> {
  const opened = await openStore({ host });
  const server = await startStore({
    host,
    listen: at,
    store: opened.store,
    afterCommit: () => opened.afterCommit(),
  });
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= server.close().then(() => opened.close()));
  t.after(stop);
  return { ...server, url: `redis://127.0.0.1:${server.port}`, stop };
}

async function startCluster(
  t: TestContext,
  store?: MasterStore,
): Promise<{ master: Master; client: Client }> {
  const master = await startMaster({
    host,
    dir: fresh(),
    listen: LOOPBACK,
    durability: "no",
    ...(store && { store }),
  });
  const client = await connect({ host, master });
  t.after(async () => {
    client.close();
    await master.stop();
  });
  return { master, client };
}

function gatewayTo(t: TestContext, url: string, options: { patienceMs?: number } = {}) {
  const gateway = openGateway({ host, url, ...options });
  t.after(() => gateway.close());
  return { url, call: (args: readonly Buffer[]) => gateway.call(args) };
}

async function startWithStore(t: TestContext) {
  const store = await startMemoryStore(t);
  return { store, ...(await startCluster(t, gatewayTo(t, store.url))) };
}

function addWorker(t: TestContext, master: Address, options: Partial<WorkerOptions> = {}) {
  const notes: string[] = [];
  const cacheDir = options.cacheDir ?? fresh();
  const executor = createExecutor({ host, workDir: fresh() });
  const worker = startWorker({
    host,
    master,
    slots: 2,
    executor,
    cacheDir,
    onNote: (text) => notes.push(text),
    ...options,
  });
  t.after(() => worker.stop());
  return { worker, notes, cacheDir };
}

/** Runs a pipeline to its end and yields what its jobs printed. */
async function run(
  client: Client,
  text: string,
  files: Record<string, string> = {},
): Promise<Record<string, string>> {
  const projectDir = fresh();
  mkdirSync(projectDir);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(projectDir, name), content);
  }
  const { run: id } = await client.submit(parsePipeline(text, { file: "p.yaml" }), { projectDir });
  for await (const event of client.watch(id)) {
    if (event.type === "run" && event.run.status !== "RUNNING") break;
  }
  const { jobs } = await client.status(id);
  const printed: Record<string, string> = {};
  for (const job of jobs) {
    let all = "";
    for await (const { data } of client.logs(id, job.id)) all += data.toString();
    assert.equal(job.status, "COMPLETED", `${job.id}: ${job.failure?.message} ${all}`);
    printed[job.id] = all;
  }
  return printed;
}

const storeError =
  (code: string, text = /./) =>
  (error: unknown) =>
    error instanceof StoreError && error.code === code && text.test(error.message);
const rpcError =
  (code: string, text = /./) =>
  (error: unknown) =>
    error instanceof RpcError && error.code === code && text.test(error.message);
/** Little patience may be over before a loaded machine has dialled: asks again, for a while. */
async function answered(
  client: Client,
  ...command: [string, ...(string | number)[]]
): Promise<unknown> {
  for (let tries = 100; ; tries--) {
    try {
      return await client.kv(...command);
    } catch (error) {
      if (tries === 0 || !(storeError("UNREACHABLE")(error) || storeError("LOST")(error))) {
        throw error;
      }
    }
  }
}

const args = (...words: string[]): Buffer[] => words.map((word) => Buffer.from(word));

// ── by way of the master ─────────────────────────────────────────────────────────────────────────

test("client.kv() reaches the store: every byte, 64-bit integers, and each " +
  "shape of answer", async (t) => {
  const { client } = await startWithStore(t);
  const binary = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  assert.equal(await client.kv("SET", binary, binary), "OK");
  assert.deepEqual(await client.kvBuffers("GET", binary), binary);
  assert.equal(await client.kv("SET", "größe", "ü\r\n✓"), "OK");
  assert.equal(await client.kv("get", "größe"), "ü\r\n✓");
  assert.equal(await client.kv("GET", "absent"), null);
  assert.equal(await client.kv("SET", "n", 2n ** 63n - 2n), "OK");
  assert.equal(await client.kv("INCR", "n"), 2n ** 63n - 1n);
  assert.equal(await client.kv("INCRBY", "m", -5), -5);
  assert.deepEqual(await client.kv("MGET", "m", "absent"), ["-5", null]);
  assert.equal(await client.kv("HSET", "h", "f", 1), 1);
  assert.deepEqual(await client.kv("HGETALL", "h"), new Map([["f", "1"]]));
  assert.deepEqual(await client.kv("SCAN", 0, "MATCH", "h*"), ["0", ["h"]]);
});

test("client.kv() rejects with the store's own words, and the session goes on", async (t) => {
  const { client } = await startWithStore(t);
  await client.kv("SET", "k", "text");
  await assert.rejects(
    client.kv("LPUSH", "k", 1),
    storeError("WRONGTYPE", /^WRONGTYPE Operation against a key holding the wrong kind of value$/),
  );
  await assert.rejects(
    client.kv("INCR", "k"),
    storeError("ERR", /^ERR value is not an integer or out of range$/),
  );
  await assert.rejects(
    client.kv("GET"),
    storeError("ERR", /wrong number of arguments for 'get' command/),
  );
  assert.equal(await client.kv("GET", "k"), "text");
});

test("client.kv() refuses what would stay behind in a connection that all share, or " +
  "wait in it", async (t) => {
  const { client, store } = await startWithStore(t);
  await client.kv("SET", "k", 1);
  const before = store.clients;
  for (const name of [
    "SUBSCRIBE",
    "psubscribe",
    "BLPOP",
    "BRPOP",
    "MULTI",
    "EXEC",
    "WATCH",
    "AUTH",
    "CONFIG",
    "FLUSHALL",
    "FLUSHDB",
    "SELECT",
    "HELLO",
    "CLIENT",
    "QUIT",
    "RESET",
    "MONITOR",
    "PSYNC",
    "REPLICAOF",
    "BGREWRITEAOF",
    "DEBUG",
    "EVAL",
    "SHUTDOWN",
    "",
    "__proto__",
    "get\r\n",
    "\u0000",
  ]) {
    await assert.rejects(
      client.kv(name, "a", "b"),
      storeError(
        "REFUSED",
        /^REFUSED Cannot call .* through the master: .*connect to the store itself$/,
      ),
      name,
    );
  }
  assert.equal(await client.kv("GET", "k"), "1");
  assert.equal(store.clients, before);
});

test("a command or an answer that is too large is refused, and costs " +
  "nobody else anything", async (t) => {
  const { client, master } = await startWithStore(t);
  const large = Buffer.alloc(MAX_KV_BYTES - 16, "x");
  assert.equal(await client.kv("SET", "large", large), "OK");
  assert.equal(((await client.kvBuffers("GET", "large")) as Buffer).compare(large), 0);
  await assert.rejects(
    client.kv("SET", "k", Buffer.alloc(MAX_KV_BYTES)),
    rpcError(
      "TOO_LARGE",
      /SET with 3 arguments of \d+ bytes together is more than travels through the master/,
    ),
  );
  await assert.rejects(
    client.kv("DEL", ...new Array<string>(MAX_KV_ARGS).fill("k")),
    rpcError("TOO_LARGE"),
  );
  const other = client.kv("INCR", "other");
  await assert.rejects(
    client.kv("MGET", "large", "large"),
    rpcError(
      "TOO_LARGE",
      /what the store answered to MGET: \d+ bytes are more than \d+; ask for less/,
    ),
  );
  assert.equal(await other, 1);

  // A client that does not look at its own bytes.
  const rude = await dialMaster(t, master);
  await rude.request(Op.HELLO, hello({ role: "client" }));
  const unbounded = message("Unbounded", { args: [1, list(bytes(), 1_000_000)] });
  const tooLong = unbounded.encode({ args: [...args("SET", "k"), Buffer.alloc(MAX_KV_BYTES + 1)] });
  const tooMuch = unbounded.encode({
    args: [...args("MSET"), ...new Array<Buffer>(6).fill(Buffer.alloc(MAX_KV_BYTES / 6))],
  });
  const tooMany = unbounded.encode({
    args: new Array<Buffer>(MAX_KV_ARGS + 1).fill(Buffer.from("k")),
  });
  await assert.rejects(rude.request(Op.KV, tooLong), rpcError("BAD_REQUEST", /args/));
  await assert.rejects(
    rude.request(Op.KV, tooMuch),
    rpcError("TOO_LARGE", /MSET with \d+ bytes is more than/),
  );
  await assert.rejects(rude.request(Op.KV, tooMany), rpcError("BAD_REQUEST", /args/));
  await assert.rejects(
    rude.request(Op.KV, KvRequest.encode({ args: [] })),
    rpcError("BAD_REQUEST", /the command is empty/),
  );
  assert.equal(await client.kv("EXISTS", "k"), 0);
});

test("many large answers at once reach a client that reads, and end nothing for the one that " +
  "asked", async (t) => {
  const sizes = Array.from({ length: 120 }, (_, i) => (i % 10 === 0 ? MAX_KV_BYTES - 16 : 100_000));
  const answer = (size: number): Buffer =>
    Buffer.concat([Buffer.from(`$${size}\r\n`), Buffer.alloc(size, "x"), Buffer.from("\r\n")]);
  const answers = new Map(sizes.map((size) => [size, answer(size)]));
  const { client } = await startCluster(t, {
    url: "redis://127.0.0.1:1",
    call: async ([, size]) => answers.get(Number(size))!,
  });
  const found = await Promise.all(sizes.map((size) => client.kvBuffers("GET", String(size))));
  assert.deepEqual(found.map((value) => (value as Buffer).length), sizes);
});

test("every truncation and every flipped bit of a KV request is answered, and " +
  "the master lives", async (t) => {
  const { client, master } = await startWithStore(t);
  const peer = await dialMaster(t, master);
  await peer.request(Op.HELLO, hello({ role: "client" }));
  const good = KvRequest.encode({ args: args("SET", "key", "value") });
  const answers: Promise<unknown>[] = [];
  for (let length = 0; length < good.length; length++) {
    answers.push(
      assert.rejects(
        peer.request(Op.KV, good.subarray(0, length)),
        rpcError("BAD_REQUEST"),
        `${length} bytes`,
      ),
    );
  }
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = Buffer.from(good);
    bad[bit >> 3]! ^= 1 << (bit & 7);
    answers.push(
      peer
        .request(Op.KV, bad)
        .catch((error: unknown) =>
          assert.ok(error instanceof RpcError, `bit ${bit}: ${String(error)}`),
        ),
    );
  }
  await Promise.all(answers);
  assert.equal(await client.kv("PING"), "PONG");
});

test("client.kv() says that a cluster has no store", async (t) => {
  const { client } = await startCluster(t);
  await assert.rejects(
    client.kv("GET", "k"),
    rpcError(
      "NOT_FOUND",
      new RegExp(
        "^Cannot ask the store: this cluster has none " +
          "\\(start its master with --store redis://HOST:PORT\\)$",
      ),
    ),
  );
});

test("a store that fails in an unknown way is an answer, not the end of the master", async (t) => {
  const { client } = await startCluster(t, {
    url: "redis://127.0.0.1:1",
    call: () => Promise.reject(new TypeError("a bug")),
  });
  await assert.rejects(client.kv("GET", "k"), rpcError("INTERNAL", /Cannot ask the store: a bug/));
  await client.ping();
});

test("a store that dies is UNREACHABLE or LOST by name, and is used again once " +
  "it is back", async (t) => {
  const first = await startMemoryStore(t);
  const { client } = await startCluster(t, gatewayTo(t, first.url, { patienceMs: 100 }));
  assert.equal(await answered(client, "SET", "k", 1), "OK");
  await first.stop();
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      client.kv("INCR", "k"),
      (error) =>
        storeError(
          "UNREACHABLE",
          /^UNREACHABLE Cannot call INCR: no connection to 127\.0\.0\.1:\d+ within 100 ms/,
        )(error) || storeError("LOST")(error),
    );
  }
  await startMemoryStore(t, { host: "127.0.0.1", port: first.port });
  assert.equal(await answered(client, "INCR", "k"), 1); // it lived in memory only
});

test("a store that is not there yet when the first one asks is found later", async (t) => {
  const place = await startMemoryStore(t);
  await place.stop();
  const { client } = await startCluster(t, gatewayTo(t, place.url, { patienceMs: 50 }));
  await Promise.all(
    [1, 2, 3].map((n) =>
      assert.rejects(
        client.kv("SET", "k", n),
        storeError("UNREACHABLE", /^UNREACHABLE Cannot call SET: no connection/),
      ),
    ),
  );
  await startMemoryStore(t, { host: "127.0.0.1", port: place.port });
  assert.equal(await answered(client, "PING"), "PONG");
});

// ── the gateway by itself ────────────────────────────────────────────────────────────────────────

/** A store that answers HELLO and PING, and everything else with the next of these. */
async function scriptedStore(t: TestContext, replies: readonly string[]): Promise<string> {
  const left = [...replies];
  const sockets: Socket[] = [];
  const listener = await host.network.listen(LOOPBACK, (socket) => {
    sockets.push(socket);
    socket.handle({
      onData(chunk) {
        for (const [, name] of chunk.toString("latin1").matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          const reply = name === "HELLO" ? "%0\r\n" : name === "PING" ? "+PONG\r\n" : left.shift();
          if (reply !== undefined) socket.write(Buffer.from(reply, "latin1"));
        }
      },
      onClose() {},
    });
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await listener.close();
  });
  return `redis://127.0.0.1:${listener.port}`;
}

function read(resp: Buffer, options: { buffers?: boolean } = {}): Value {
  const parser = new ReplyParser(options);
  parser.push(resp);
  return parser.next() as Value;
}

test("openGateway() passes every kind of reply on", async (t) => {
  const replies: readonly [string, Value][] = [
    ["+simple \xe9\r\n", "simple \xe9"],
    ["$3\r\n\xff\x00\n\r\n", Buffer.from("\xff\0\n", "latin1")],
    [":42\r\n", 42],
    [":9223372036854775807\r\n", 2n ** 63n - 1n],
    [":-9223372036854775808\r\n", -(2n ** 63n)],
    ["(9223372036854775808\r\n", Buffer.from("9223372036854775808")],
    ["(-9223372036854775809\r\n", Buffer.from("-9223372036854775809")],
    ["(123456789012345678901234567890\r\n", Buffer.from("123456789012345678901234567890")],
    [",1.5\r\n", 1.5],
    [",-inf\r\n", -Infinity],
    [",nan\r\n", NaN],
    ["#t\r\n", true],
    ["#f\r\n", false],
    ["_\r\n", null],
    ["$-1\r\n", null],
    ["*0\r\n", []],
    ["~2\r\n:1\r\n$0\r\n\r\n", [1, Buffer.alloc(0)]],
    ["%1\r\n$1\r\nk\r\n*1\r\n%0\r\n", new Map<Value, Value>([[Buffer.from("k"), [new Map()]]])],
    ["*2\r\n-ERR nested\r\n:1\r\n", [new StoreError("ERR nested"), 1]],
    ["-NOPERM größe\r\n", new StoreError("NOPERM gr\u{fffd}\u{fffd}e")],
    ["!7\r\nERR a\nb\r\n", new StoreError("ERR a b")],
  ];
  const gateway = openGateway({
    host,
    url: await scriptedStore(
      t,
      replies.map(([reply]) => reply),
    ),
  });
  t.after(() => gateway.close());
  for (const [reply, value] of replies) {
    assert.deepEqual(
      read(await gateway.call(args("get", "k")), { buffers: true }),
      value,
      JSON.stringify(reply),
    );
  }
});

test("openGateway() does not read a reply of any size: it says so, and goes on with another " +
  "connection", async (t) => {
  const gateway = openGateway({
    host,
    url: await scriptedStore(t, ["$70000000\r\n", "+next\r\n", "what\r\n", ":1\r\n"]),
  });
  t.after(() => gateway.close());
  assert.ok(
    storeError(
      "LOST",
      /became of KEYS: it was sent, then Cannot read reply: it exceeds 67109888 bytes/,
    )(read(await gateway.call(args("KEYS", "*")))),
  );
  assert.equal(read(await gateway.call(args("GET", "k"))), "next");
  assert.ok(
    storeError(
      "LOST",
      /then Cannot read reply: found "what"/,
    )(read(await gateway.call(args("GET", "k")))),
  );
  assert.equal(read(await gateway.call(args("GET", "k"))), 1);
});

test("openGateway() bounds what is under way, and close() answers what is", async (t) => {
  const gateway = openGateway({ host, url: await scriptedStore(t, []) });
  const calls = Array.from({ length: MAX_GATEWAY_CALLS }, () => gateway.call(args("GET", "k")));
  const refused = read(await gateway.call(args("GET", "k")));
  assert.ok(
    storeError("LIMIT", /^LIMIT Cannot call GET: \d+ calls \(\d+ bytes\) are pending$/)(refused),
    String(refused),
  );
  await gateway.call(args("NO")); // by now it is connected
  gateway.close();
  for (const answer of await Promise.all(calls)) {
    assert.ok(["LOST", "CLOSED"].includes((read(answer) as StoreError).code), answer.toString());
  }
  assert.ok(storeError("CLOSED")(read(await gateway.call(args("GET", "k")))));
  assert.throws(() => openGateway({ host, url: "http://127.0.0.1" }), /Cannot read store URL/);
});

test("openGateway(): close() answers at once what waits for a connection", async () => {
  const world = new SimWorld({ seed: 1 });
  world.host("s"); // where nobody listens
  const gateway = openGateway({ host: world.host("c"), url: "redis://s" });
  const answer = gateway.call(args("GET", "k"));
  await world.run(50);
  gateway.close();
  assert.ok(storeError("CLOSED")(read(await world.settle(answer))));
  assert.equal(world.now, 50);
  await world.run();
});

test("openGateway() takes so many bytes at once, and not one more", async () => {
  const world = new SimWorld({ seed: 1 });
  world.host("s"); // where nobody listens
  const gateway = openGateway({ host: world.host("c"), url: "redis://s", patienceMs: 20 });
  const most = Buffer.alloc(MAX_GATEWAY_BYTES - "GET".length - "GETk1".length);
  const refusal = async (...words: Buffer[]): Promise<string> =>
    (read(await gateway.call(words)) as StoreError).message;
  const much = await refusal(...args("GET"), Buffer.alloc(MAX_GATEWAY_BYTES - 2));
  assert.equal(much, "LIMIT Cannot call GET: 0 calls (0 bytes) are pending");
  const under = [gateway.call([...args("GET"), most]), gateway.call(args("GET", "k1"))];
  const more = await refusal(...args("GET"));
  assert.equal(more, `LIMIT Cannot call GET: 2 calls (${MAX_GATEWAY_BYTES} bytes) are pending`);
  await world.settle(Promise.all(under));
  const unreachable = await world.settle(gateway.call([...args("GET"), most]));
  assert.ok(storeError("UNREACHABLE")(read(unreachable)));
  const name = `x\n\xff${"Y".repeat(70)}`;
  const strange = await refusal(Buffer.from(name, "latin1"));
  assert.ok(strange.startsWith(`REFUSED Cannot call X??${"Y".repeat(61)} through the`), strange);
  gateway.close();
  await world.run();
});

test("openGateway() counts what is under way, and no longer what was answered", async () => {
  const world = new SimWorld({ seed: 1 });
  world.host("s"); // where nobody listens
  const gateway = openGateway({ host: world.host("c"), url: "redis://s", patienceMs: 20 });
  for (let round = 0; round < 2; round++) {
    const calls = Array.from({ length: MAX_GATEWAY_CALLS }, () => gateway.call(args("GET", "k")));
    const refused = String(read(await gateway.call(args("GET", "k"))));
    assert.match(refused, /: 10240 calls \(40960 bytes\) are pending$/);
    const answers = await world.settle(Promise.all(calls));
    assert.ok(answers.every((each) => storeError("UNREACHABLE")(read(each))));
  }
  gateway.close();
  await world.run();
});

test("openGateway() says that its password is wrong and asks again when asked again", async (t) => {
  const opened = await openStore({ host, requirepass: "secret" });
  const server = await startStore({ host, listen: LOOPBACK, store: opened.store });
  t.after(() => server.close().then(() => opened.close()));
  const wrong = gatewayTo(t, `redis://:guess@127.0.0.1:${server.port}`);
  for (let i = 0; i < 2; i++) {
    assert.ok(storeError("WRONGPASS")(read(await wrong.call(args("GET", "k")))));
  }
  const none = gatewayTo(t, `redis://127.0.0.1:${server.port}`);
  assert.ok(storeError("NOAUTH")(read(await none.call(args("GET", "k")))));
  const right = gatewayTo(t, `redis://:secret@127.0.0.1:${server.port}`);
  assert.equal(read(await right.call(args("GET", "k"))), null);
});

// ── workers learn where it is ────────────────────────────────────────────────────────────────────

function hello(fields: Partial<Hello>): Buffer {
  return Hello.encode({
    protocol: PROTOCOL,
    role: "worker",
    token: undefined,
    version: "",
    instance: "i",
    name: "w",
    tags: [],
    slots: 1,
    running: [],
    knows: [],
    dial: 1,
    ...fields,
  });
}

async function dialMaster(t: TestContext, master: Address): Promise<RpcConnection> {
  const connection = new RpcConnection(await host.network.dial(master), { host });
  t.after(() => connection.destroy());
  return connection;
}

const noCall = () => Promise.resolve(Buffer.from("_\r\n"));

/** A promise, and the two ways to end it. */
function pending(): {
  promise: Promise<string>;
  resolve(url: string): void;
  reject(error: Error): void;
} {
  let ends!: { resolve(url: string): void; reject(error: Error): void };
  const promise = new Promise<string>((resolve, reject) => {
    ends = { resolve, reject };
  });
  return { promise, ...ends };
}

test("a worker that says HELLO before the store's url is known is registered once it is, and " +
  "nobody else waits", async (t) => {
  const url = pending();
  const { master, client } = await startCluster(t, { url: url.promise, call: noCall });
  const early = await dialMaster(t, master);
  const welcome = early.request(Op.HELLO, hello({}));
  const gone = await dialMaster(t, master);
  const unheard = assert.rejects(
    gone.request(Op.HELLO, hello({ instance: "gone", name: "gone" })),
    rpcError("CLOSED"),
  );
  await early.request(Op.PING, Buffer.alloc(0)); // behind the HELLO on the same connection
  await gone.request(Op.PING, Buffer.alloc(0));
  assert.deepEqual(await client.workers(), []);
  await assert.rejects(early.request(Op.HELLO, hello({})), rpcError("CONFLICT"));
  gone.destroy();
  await unheard;
  (await connect({ host, master })).close();
  // What is wrong with a HELLO is said at once.
  await assert.rejects(
    (await dialMaster(t, master)).request(Op.HELLO, hello({ slots: 0 })),
    rpcError("INVALID", /0 slots/),
  );

  url.resolve("redis://127.0.0.1:7");
  assert.equal(Welcome.decode(await welcome).store, "redis://127.0.0.1:7");
  assert.deepEqual((await client.workers()).map(({ name }) => name), ["w"]);
  const late = await dialMaster(t, master);
  assert.equal(
    Welcome.decode(await late.request(Op.HELLO, hello({ instance: "late", name: "late" }))).store,
    "redis://127.0.0.1:7",
  );
});

test("a worker whose registration is refused after the wait hears why", async (t) => {
  const url = pending();
  const { master } = await startCluster(t, { url: url.promise, call: noCall });
  const [newer, older] = [await dialMaster(t, master), await dialMaster(t, master)];
  const first = newer.request(Op.HELLO, hello({ dial: 2 }));
  await newer.request(Op.PING, Buffer.alloc(0));
  const second = assert.rejects(
    older.request(Op.HELLO, hello({ dial: 1 })),
    rpcError("CONFLICT", /its connection 1 comes after its connection 2/),
  );
  await older.request(Op.PING, Buffer.alloc(0));
  url.resolve("redis://127.0.0.1:7");
  await first;
  await second;
});

test("a worker whose store never came runs without one, and a client never hears " +
  "of a store", async (t) => {
  const url = pending();
  const { master, client } = await startCluster(t, { url: url.promise, call: noCall });
  const early = await dialMaster(t, master);
  const welcome = early.request(Op.HELLO, hello({}));
  url.reject(new Error("no port"));
  assert.equal(Welcome.decode(await welcome).store, undefined);
  const { worker } = addWorker(t, master);
  await worker.ready;
  early.destroy();
  assert.equal(
    (await run(client, "name: p\njobs:\n  - { id: a, run: 'echo [$TITAN_STORE]' }\n"))["a"],
    "[]\n",
  );

  const known = await startCluster(t, { url: "redis://127.0.0.1:7", call: noCall });
  const asClient = await dialMaster(t, known.master);
  assert.equal(
    Welcome.decode(await asClient.request(Op.HELLO, hello({ role: "client" }))).store,
    undefined,
  );
});

test("a worker's time to come back after a restart begins when the store's " +
  "url is known", () => Room.run(async (room) => {
  await room.start();
  const client = await room.client();
  const before = await room.worker("w");
  const { run: id } = await client.submitSpec(pipeline([spec("a")]));
  await room.until(() => before.assigned.length > 0);
  const running = before.assigned.map(keyOf);

  const url = pending();
  await room.restart({ store: { url: url.promise, call: noCall } });
  const back = room.worker("w", { running, dial: 2 });
  await room.sleep(2 * LEASE_MS); // its store has much to replay
  url.resolve("redis://m");
  const after = await back;
  assert.deepEqual(after.welcome.stale, []);
  await after.finish(report(running[0]!));
  assert.deepEqual(await room.statuses(await room.client(), id), { a: "COMPLETED" });
}));

test("a worker outlasts a store that takes longer to load than it waits " +
  "for a welcome", () => Room.run(async (room) => {
  const url = pending();
  await room.start({ store: { url: url.promise, call: noCall } });
  const client = await room.client();
  await client.submitSpec(pipeline([spec("a")]));
  const executor = new FakeExecutor();
  const worker = startWorker({
    host: room.world.host("w"),
    master: MASTER,
    slots: 1,
    executor,
    cacheDir: "/cache",
  });
  await room.sleep(17_000);
  assert.deepEqual(await client.workers(), []);
  url.resolve("redis://:secret@0.0.0.0:9379");
  await worker.ready;
  await room.until(() => executor.jobs.length > 0);
  // It may have come in the same bytes as the welcome, and knows what that said.
  const { cluster, worker: name } = executor.jobs[0]!.request;
  assert.deepEqual(
    { ...cluster, name },
    { master: "m:9090", store: "redis://:secret@m:9379", name: "w1" },
  );
  executor.jobs[0]!.end();
  assert.equal((await client.workers()).length, 1);
  await worker.stop();
}));

test("a worker far from its master says when the store's address means another machine there " +
  "than here", () => Room.run(async (room) => {
  for (const [url, expected] of [
    [
      "redis://:secret@127.0.0.1:6379",
      [
        "jobs here look for the cluster's store at 127.0.0.1:6379, which is this machine; the " +
          "master is at m",
      ],
    ],
    ["redis://0.0.0.0:6379", []],
    ["redis://db:6379", []],
    ["rubbish", []],
  ] as const) {
    await room.restart({ store: { url, call: noCall } });
    const notes: string[] = [];
    const worker = startWorker({
      host: room.world.host("w"),
      master: MASTER,
      slots: 1,
      executor: new FakeExecutor(),
      cacheDir: "/cache",
      onNote: (text) => notes.push(text),
    });
    await worker.ready;
    assert.deepEqual(
      notes.filter((note) => note.includes("store")),
      expected,
    );
    await worker.stop();
  }
}));

test("misplacedStore() has nothing to say on one machine, nor of a store that all can dial", () => {
  const here = { host: "127.0.0.1", port: 1 };
  for (const host of ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "db"]) {
    assert.equal(misplacedStore(here, `redis://${host}:6379`), undefined, host);
  }
  assert.equal(misplacedStore({ host: "::1", port: 1 }, "redis://127.0.0.1:6379"), undefined);
  assert.match(misplacedStore({ host: "m", port: 1 }, "redis://[::1]:6379")!, /at \[::1\]:6379/);
});

test("a worker that is not back within a lease of the store's url has " +
  "lost its attempts", () => Room.run(async (room) => {
  await room.start();
  const client = await room.client();
  const before = await room.worker("w");
  await client.submitSpec(pipeline([spec("a")]));
  await room.until(() => before.assigned.length > 0);
  const url = pending();
  await room.restart({ store: { url: url.promise, call: noCall } });
  await room.sleep(2 * LEASE_MS);
  url.reject(new Error("no port"));
  const asking = await room.client();
  await room.sleep(LEASE_MS - 100);
  assert.equal((await asking.workers()).length, 1);
  await room.sleep(200);
  assert.equal((await asking.workers()).length, 0);
}));

test("a store's url that fails before anybody asks for it ends nothing", async (t) => {
  const { client, master } = await startCluster(t, {
    url: Promise.reject(new Error("no port")),
    call: noCall,
  });
  await client.ping();
  assert.equal(
    Welcome.decode(await (await dialMaster(t, master)).request(Op.HELLO, hello({}))).store,
    undefined,
  );
});

test("Welcome with and without `store` is read by peers of either age", () => {
  const fields = {
    protocol: [1, u32()],
    version: [2, string(256)],
    worker: [3, withDefault(u32(), 0)],
    name: [4, withDefault(string(256), "")],
    beatMs: [5, u32()],
    leaseMs: [6, u32()],
  } as const;
  const Older = message("Welcome", fields);
  const old = {
    protocol: PROTOCOL,
    version: "0",
    worker: 1,
    name: "w",
    beatMs: 1000,
    leaseMs: 4000,
  };
  assert.deepEqual(
    Welcome.decode(Older.encode(old)),
    { ...old, stale: [], store: undefined, cluster: undefined, jobKey: undefined },
  );
  assert.deepEqual(
    Older.decode(Welcome.encode({ ...old, stale: [], store: "redis://h", cluster: "c" })),
    old,
  );
});

// ── jobs ─────────────────────────────────────────────────────────────────────────────────────────

test("a job sees TITAN_STORE and TITAN_MASTER, as a program and as a call", async (t) => {
  // A store that listens everywhere is where the worker's master is.
  for (const [said, told] of [
    ["redis://:p%40ss@0.0.0.0:9379", "redis://:p%40ss@127.0.0.1:9379"],
    ["redis://[::]:9379", "redis://127.0.0.1:9379"],
    ["redis://10.1.2.3", "redis://10.1.2.3"],
    ["rubbish", "rubbish"],
  ]) {
    const { master, client } = await startCluster(t, { url: said!, call: noCall });
    addWorker(t, master);
    const printed = await run(
      client,
      `
      name: p
      jobs:
        - { id: program, run: 'echo $TITAN_MASTER $TITAN_STORE' }
        - { id: call, call: 'env.mjs#env' }
    `,
      {
        "env.mjs":
          "export const env = (_, { log }) => log(`${process.env.TITAN_MASTER} " +
          "${process.env.TITAN_STORE}`);",
      },
    );
    const expected = `127.0.0.1:${master.port} ${told}\n`;
    assert.deepEqual(printed, { program: expected, call: expected });
  }
});

test("jobs that import \"titan/store\" share what they count there", async (t) => {
  await ensureBuilt(); // a job is run by a plain node
  const { client, master } = await startWithStore(t);
  const { cacheDir, notes } = addWorker(t, master);
  const count = `import { connectStore, StoreError } from "titan/store";
    export async function count() {
      const store = await connectStore();
      try {
        await store.call("LPUSH", "visits", 1)
          .catch((error) => console.log(error instanceof StoreError, error.code));
        return String(await store.call("INCRBY", "visits", 10n));
      } finally {
        store.close();
      }
    }`;
  const files = {
    "count.mjs": count,
    "job.mjs": 'import { count } from "./count.mjs"; console.log(await count());',
  };
  await client.kv("SET", "visits", 2n ** 60n);
  const printed = await run(
    client,
    "name: p\njobs:\n  - { id: program, file: job.mjs }\n  - { id: call, call: " +
      "'count.mjs#count', depends_on: program }\n",
    files,
  );
  assert.deepEqual(printed, {
    program: `true WRONGTYPE\n${2n ** 60n + 10n}\n`,
    call: "true WRONGTYPE\n",
  });
  assert.equal(await client.kv("GET", "visits"), String(2n ** 60n + 20n));
  assert.equal(readlinkSync(join(cacheDir, "node_modules", "titan")), ROOT);
  assert.deepEqual(notes.filter((note) => note.includes("titan/store")), []);
});

test("a job imports the package under its full name, for the store and the cluster", async (t) => {
  await ensureBuilt();
  const { client, master } = await startWithStore(t);
  addWorker(t, master, { cacheDir: fresh() });
  const script = { id: "b", shell: "node", run: 'import "titan-orchestrator/job";' } as const;
  const alone = await client.run({ name: "alone", jobs: [script] });
  assert.equal(alone.status, "COMPLETED", "without a project, as the first job of its worker");
  const files = {
    "job.mjs": `import { connect } from "titan-orchestrator";
      import { connectStore } from "titan-orchestrator/store";
      const store = await connectStore();
      const titan = await connect();
      const { run } = await titan.status(process.env.TITAN_RUN);
      console.log(await store.call("INCR", "full-name"), run.name);
      titan.close();
      store.close();`,
  };
  const printed = await run(client, "name: p\njobs:\n  - { id: a, file: job.mjs }\n", files);
  assert.deepEqual(printed, { a: "1 p\n" });
});

test("connectStore() says that there is no store", async (t) => {
  await ensureBuilt();
  const { client, master } = await startCluster(t);
  addWorker(t, master);
  const job =
    'import { connectStore } from "titan/store"; await connectStore().catch((error) => ' +
    "console.log(error.name, error.code, error.message));";
  assert.match(
    (await run(client, "name: p\njobs:\n  - { id: a, file: job.mjs }\n", { "job.mjs": job }))["a"]!,
    /^StoreError NOSTORE Cannot connect to the store: TITAN_STORE is not set/,
  );
});

test("linkPackage() makes the link once for many workers, and turns one " +
  "that points elsewhere", async () => {
  const cacheDir = fresh();
  const link = join(cacheDir, "node_modules", "titan");
  await Promise.all(Array.from({ length: 8 }, () => linkPackage(host, { cacheDir })));
  assert.equal(readlinkSync(link), ROOT);
  rmSync(link);
  symlinkSync(join(root, "gone"), link);
  await Promise.all(Array.from({ length: 8 }, () => linkPackage(host, { cacheDir })));
  assert.equal(readlinkSync(link), ROOT);
  const links = readdirSync(join(cacheDir, "node_modules")).sort();
  assert.deepEqual(links, ["titan", "titan-orchestrator"]);
  assert.equal(readlinkSync(join(cacheDir, "node_modules", "titan-orchestrator")), ROOT);
  assert.ok(existsSync(join(link, "package.json")));
});

test("linkPackage() has removed what it had made when it says that it cannot put " +
  "it in place", async () => {
  const cacheDir = fresh();
  const full = new Error("no space left on device");
  let removed = 0;
  const remove = async (path: string): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    await host.storage.remove(path);
    removed++;
  };
  const storage = { ...host.storage, remove, rename: () => Promise.reject(full) };
  await assert.rejects(linkPackage({ ...host, storage }, { cacheDir }), full);
  assert.deepEqual([removed, readdirSync(join(cacheDir, "node_modules"))], [2, []]);
});

test("a worker that cannot make the link says so, and its jobs run", async (t) => {
  const { client, master } = await startWithStore(t);
  const cacheDir = fresh();
  mkdirSync(join(cacheDir, "node_modules", "titan"), { recursive: true });
  const { notes } = addWorker(t, master, { cacheDir });
  assert.equal(
    (await run(client, "name: p\njobs:\n  - { id: a, file: a.sh }\n", { "a.sh": "echo ran" }))["a"],
    "ran\n",
  );
  assert.deepEqual(
    notes
      .filter((note) => note.includes("titan/store"))
      .map((note) => note.replace(cacheDir, "CACHE")),
    [
      "titan/store cannot be imported by jobs: Cannot link CACHE/node_modules/titan: there is a " +
        "directory that is not ours",
    ],
  );
  assert.deepEqual(readdirSync(join(cacheDir, "node_modules", "titan")), []);
});
