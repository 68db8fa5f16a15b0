/** The store from the command line: apart, in `titan up`, and asked by `titan kv`. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { startEmbeddedCluster } from "#cluster";
import { nodeHost } from "#host";
import { replyJson } from "#rows";
import {
  openStore,
  type OpenStore,
  ReplyBuffer,
  startStore,
  StoreClient,
  StoreError,
  type StoreServer,
} from "#store";
import {
  type Ended,
  eventually,
  inProcess,
  isAlive,
  MAIN,
  start,
  tempFolder,
  titan,
  up,
  type Up,
} from "./cli.support.ts";
import { openClusterStore } from "../src/cluster/cluster-store.ts";
import { printReply } from "../src/cli/kv-reply.ts";
import { EmbeddedStore, newStoreThread } from "../src/cluster/store-embedded.ts";

const PASSWORD = "open:s@same/é";
const host = nodeHost();

const ask = async (url: string, ...args: [string, ...string[]]): Promise<unknown> => {
  const client = await StoreClient.connect({ host, url });
  try {
    return await client.call(...args);
  } finally {
    client.close();
  }
};

describe("kv asks a store", () => {
  let opened: OpenStore;
  let server: StoreServer;
  let env: Record<string, string>;
  const kv = (...args: string[]): Promise<Ended> => inProcess(["kv", ...args], env);

  before(async () => {
    opened = await openStore({ host, requirepass: Buffer.from(PASSWORD).toString("latin1") });
    server = await startStore({
      host,
      store: opened.store,
      listen: { host: "127.0.0.1", port: 0 },
    });
    env = { TITAN_STORE: `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${server.port}` };
  });
  after(async () => {
    await server.close();
    await opened.close();
  });

  test("a value is its bytes and a line end; what is not there is exit 1 and " +
    "nothing on stdout", async () => {
    assert.equal((await kv("set", "greeting", "grüße")).stdout, "OK\n");
    assert.deepEqual(await kv("get", "greeting"), {
      code: 0,
      signal: null,
      stdout: "grüße\n",
      stderr: "",
    });
    assert.deepEqual(await kv("get", "nobody"), {
      code: 1,
      signal: null,
      stdout: "",
      stderr: "(nil)\n",
    });
    assert.deepEqual(await kv("get", "nobody", "--json"), {
      code: 1,
      signal: null,
      stdout: "null\n",
      stderr: "",
    });
    await kv("sadd", "seen", "a", "b c");
    assert.deepEqual((await kv("smembers", "seen")).stdout.split("\n").sort(), ["", "a", "b c"]);
    await kv("hset", "h", "__proto__", "1");
    assert.equal((await kv("--json", "hgetall", "h")).stdout, '{"__proto__":"1"}\n');
  });

  test("negative numbers are arguments, flags may come behind, and behind -- everything is an " +
    "argument", async () => {
    assert.equal((await kv("incrby", "n", "-5", "--json")).stdout, "-5\n");
    assert.equal((await kv("set", "odd", "--", "--json")).stdout, "OK\n");
    assert.equal((await kv("get", "odd")).stdout, "--json\n");
    assert.equal((await kv("set", "--", "odd", "-")).stdout, "OK\n");
    const spoiled = await kv("set", "caf\uFFFD", "1");
    assert.deepEqual([spoiled.code, spoiled.stdout], [2, ""]);
    assert.match(spoiled.stderr, /^titan: Cannot run titan kv set: argument 1 is not UTF-8\n/);
    assert.equal((await kv("get", "odd")).stdout, "-\n");
  });

  test("errors say which command, what the store said, and never the password", async () => {
    await kv("set", "text", "x");
    assert.deepEqual(await kv("incr", "text"), {
      code: 1,
      signal: null,
      stdout: "",
      stderr: "titan: Cannot INCR: ERR value is not an integer or out of range\n",
    });
    const wrong = await kv("get", "x", "--store", `redis://:s3cret@127.0.0.1:${server.port}`);
    assert.equal(wrong.code, 4);
    assert.match(wrong.stderr, /WRONGPASS/);
    const urls = [
      "http://:s3cret@h",
      "redis://:s3cret@",
      "redis://ada:12/s3cret@h",
      "redis://:s3cret@h:0",
      "redis://:s3cret@h/1",
      "redis://:s3cret%@h",
      "s3cret",
    ];
    for (const url of urls) {
      const { code, stdout, stderr } = await kv("get", "x", "--store", url);
      assert.equal(code, 2, url);
      assert.match(stderr, /^titan: Cannot use --store: /);
      assert.doesNotMatch(stdout + stderr, /s3cret/);
    }
    assert.doesNotMatch(wrong.stdout + wrong.stderr, /s3cret/);
  });

  test("what was mistyped is refused before anything is asked", async () => {
    assert.match(
      (await kv("get", "x", "--jsn")).stderr,
      /unknown flag --jsn \(did you mean --json\?\)/,
    );
    assert.match((await kv("get", "x", "--store")).stderr, /--store needs a value/);
    assert.match((await kv("get!", "x")).stderr, /"get!" is no command of a store/);
    await kv("set", "text", "x");
    assert.doesNotMatch(
      (await kv("blpop", "text", "1")).stderr,
      /did you mean/,
      "what the store knows is not mistyped",
    );
    assert.match(
      (await kv("multi")).stderr,
      /Cannot run titan kv multi: its connection must stay open/,
    );
    const stranger = await inProcess([
      "kv",
      "get",
      "x",
      "--store",
      `redis://127.0.0.1:${server.port}`,
    ]);
    assert.equal(stranger.code, 4);
    assert.match(
      stranger.stderr,
      /^titan: Cannot GET: the store wants a password\n  TITAN_STORE_PASSWORD has it/,
    );
    assert.match(
      (await kv("gte", "x")).stderr,
      /unknown command 'gte', .*\(did you mean GET\?\)$/m,
    );
    assert.match((await kv()).stderr, /it takes COMMAND \[ARGUMENT\.\.\.\], found nothing/);
    assert.match(
      (await kv("get", "x", "--store", "redis://h", "--master", "h")).stderr,
      /the one asks a store, the other a master/,
    );
    assert.match((await inProcess(["kw"])).stderr, /did you mean kv\?/);
    assert.match((await kv("-h")).stdout, /^titan kv: ask the store/);
  });

  test("a password for --store may come from the environment", async () => {
    const { code, stdout } = await inProcess(
      ["kv", "get", "greeting", "--store", `redis://127.0.0.1:${server.port}`],
      { TITAN_STORE_PASSWORD: PASSWORD },
    );
    assert.deepEqual([code, stdout], [0, "grüße\n"]);
  });
});

test("replyJson() and printReply() lose nothing", async () => {
  const reply = [
    1,
    2n ** 63n - 1n,
    Buffer.from("a"),
    Buffer.from([0xff]),
    null,
    true,
    1.5,
    Infinity,
    new StoreError("ERR no"),
    [Buffer.from("b")],
    new Map([[Buffer.from("k"), 1]]),
  ];
  assert.deepEqual(replyJson(reply), [
    1,
    "9223372036854775807",
    "a",
    { base64: "/w==" },
    null,
    true,
    1.5,
    "Infinity",
    { error: "ERR no" },
    ["b"],
    { k: 1 },
  ]);
  assert.deepEqual(replyJson(new Map([[Buffer.from([0xff]), 1]])), [[{ base64: "/w==" }, 1]]);
  const printed: Uint8Array[] = [];
  await printReply(reply, async (bytes) => void printed.push(bytes));
  assert.equal(
    Buffer.concat(printed).toString("latin1"),
    "1\n9223372036854775807\na\n\xff\n\n1\n1.5\nInfinity\n(error) ERR no\nb\nk\n1\n",
  );
});

test("store and up refuse what does not fit together, before anything starts", async () => {
  const cwd = tempFolder({ empty: "\n", long: "é".repeat(2049) });
  const cases: [string[], RegExp][] = [
    [
      ["store", "--host", "0.0.0.0"],
      /Cannot listen on 0\.0\.0\.0: .*\n.*TITAN_STORE_PASSWORD or --password-file FILE/,
    ],
    [["store", "--memory", "--state", "x"], /with --memory and --state/],
    [["store", "--durability", "sometimes"], /must be always, everysec or no/],
    [["store", "--out", "x"], /--out: this is a flag of titan store dump/],
    [["store", "dump", "--port", "1"], /--port: this is a flag of titan store$/m],
    [["store", "damp"], /titan store dump/],
    [["store", "--pasword-file", "x"], /did you mean --password-file\?/],
    [["up", "--no-store", "--store-port", "1"], /they ask for different stores/],
    [
      ["up", "--store", "redis://:s3cret@h/7"],
      /Cannot use --store: it names a database; there is only 0/,
    ],
    [["up", "--store-port", "x"], /must be a whole number from 0 to 65535/],
    [["master", "--store-port", "1"], /unknown flag --store-port/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await inProcess(args, { TITAN_HOME: join(cwd, "home") });
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, expected);
  }
  const unread = await inProcess(["store", "--password-file", join(cwd, "empty")]);
  assert.match(unread.stderr, /its first line is empty/);
  for (const file of [join(cwd, "long"), "/dev/zero"]) {
    assert.match(
      (await inProcess(["store", "--password-file", file])).stderr,
      /its first line is too long/,
    );
  }
  assert.match(
    (await inProcess(["store", "dump", "--state", cwd])).stderr,
    /no store has its log there/,
  );
  assert.deepEqual(readdirSync(cwd), ["empty", "long"]);
});

describe("processes", { concurrency: 3 }, () => {
  test("store: killed, it has what was acknowledged; asked to end, it ends in order; and a Redis " +
    "can load its dump", async () => {
    const cwd = tempFolder({ secret: `${PASSWORD}\n` });
    const env = { TITAN_STORE_PASSWORD: PASSWORD };
    const begin = async (...args: string[]) => {
      const store = start(["store", "--port", "0", "--json", ...args], { cwd });
      const [line] = await store.until("stdout", /^\{.*\}\n/);
      return {
        store,
        ready: JSON.parse(line) as {
          store: string;
          port: number;
          state: string;
          pid: number;
          recovered: { keys: number };
        },
      };
    };
    const first = await begin("--password-file", "secret");
    assert.equal(first.ready.store, `redis://127.0.0.1:${first.ready.port}`);
    assert.equal(
      (
        await titan(["kv", "--store", first.ready.store, "set", "k", "-"], {
          cwd,
          env,
          input: "from\0stdin",
        })
      ).stdout,
      "OK\n",
    );
    const locked = await titan(["store", "--port", "0"], { cwd });
    assert.equal(locked.code, 1);
    assert.match(
      locked.stderr,
      new RegExp(
        `Cannot start the store: process ${first.ready.pid} uses .*store\n  stop what uses it`,
      ),
    );
    await first.store.kill("SIGKILL");
    const second = await begin("--password-file", "secret");
    assert.equal(second.ready.recovered.keys, 1);
    assert.deepEqual(
      (await inProcess(["kv", "--store", second.ready.store, "get", "k"], env)).stdout,
      "from\0stdin\n",
    );
    if (existsSync("/proc")) {
      assert.ok(!readFileSync(`/proc/${second.ready.pid}/cmdline`, "utf8").includes(PASSWORD));
    }
    const { code, stdout, stderr } = await second.store.kill("SIGTERM");
    assert.equal(code, 0, stderr);
    assert.ok(!(stdout + stderr).includes(PASSWORD));
    assert.equal(existsSync(join(cwd, ".titan", "store", "lock")), false);
    const dumped = await inProcess([
      "store",
      "dump",
      "--resp",
      "--state",
      join(cwd, ".titan", "store"),
      "-o",
      join(cwd, "dump.aof"),
    ]);
    assert.equal(dumped.code, 0, dumped.stderr);
    assert.match(
      readFileSync(join(cwd, "dump.aof"), "latin1"),
      /\*3\r\n\$3\r\nSET\r\n\$1\r\nk\r\n\$10\r\nfrom\0stdin\r\n/,
    );
    const dumpTo = (file: string): Promise<Ended> =>
      inProcess([
        "store",
        "dump",
        "--resp",
        "--state",
        join(cwd, ".titan", "store"),
        "-o",
        join(cwd, file),
      ]);
    const whole = readFileSync(join(cwd, "dump.aof"));
    symlinkSync("dump.aof", join(cwd, "link"));
    symlinkSync("/dev/null", join(cwd, "nothing"));
    writeFileSync(join(cwd, "dump.aof"), "old");
    assert.equal((await dumpTo("link")).code, 0);
    assert.deepEqual(readFileSync(join(cwd, "dump.aof")), whole, "a link stays one");
    assert.equal((await dumpTo("nothing")).code, 0);
    assert.ok(
      lstatSync(join(cwd, "nothing")).isSymbolicLink() && !statSync("/dev/null").isFile(),
      "a device is written to, not replaced",
    );
    assert.match(
      (await dumpTo("nowhere/x")).stderr,
      /^titan: Cannot write the dump to .*nowhere.x: ENOENT: no such file or directory$/m,
    );
    assert.deepEqual(readdirSync(cwd).sort(), [".titan", "dump.aof", "link", "nothing", "secret"]);
  });

  test("up: jobs find the store, killed with SIGKILL it keeps what was acknowledged, and SIGTERM " +
    "gives its folder back", async () => {
    const cwd = tempFolder({
      "where.yaml":
        "name: where\njobs:\n  - {id: a, run: 'printf %s \"$TITAN_STORE\" > $TITAN_OUTPUT'}\n",
    });
    const env = { TITAN_TOKEN: "open-sesame", TITAN_STORE_PRIMARY_PASSWORD: "mine" };
    const first = await up(["--workers", "1"], { cwd, env });
    const plain = storeOf(first)!;
    assert.match(plain, /^redis:\/\/127\.0\.0\.1:\d+$/);
    assert.equal((await inProcess(["run", join(cwd, "where.yaml"), "--json"], first.env)).code, 0);
    const { job } = JSON.parse(
      (await inProcess(["status", "where/a", "--json"], first.env)).stdout,
    ) as { job: { result: string } };
    const [, password] = /^redis:\/\/:([0-9a-f]{64})@127\.0\.0\.1:\d+$/.exec(job.result)!;
    assert.equal(job.result.replace(`:${password}@`, ""), plain);
    await assert.rejects(ask(plain, "GET", "n"), /NOAUTH/);
    assert.equal(await ask(job.result, "INCR", "n"), 1);
    assert.equal(
      (await inProcess(["kv", "incrby", "n", "41"], first.env)).stdout,
      "42\n",
      "and through the master",
    );
    const killed = await first.kill("SIGKILL");
    await eventually("its workers are gone", () => !first.ready.workerPids.some(isAlive));
    assert.ok(!(killed.stdout + killed.stderr).includes(password!));
    const log = join(cwd, ".titan", "store", "log");
    appendFileSync(join(log, readdirSync(log).find((name) => name.endsWith(".seg"))!), "torn");
    const second = await up(["--workers", "0"], { cwd, env });
    const { keys, tornBytes } = (
      second.ready as unknown as { storeRecovered: { keys: number; tornBytes: number } }
    ).storeRecovered;
    assert.deepEqual({ keys, tornBytes }, { keys: 1, tornBytes: 4 });
    assert.equal((await inProcess(["kv", "get", "n", "--json"], second.env)).stdout, '"42"\n');
    const { code, stderr } = await second.kill("SIGTERM");
    assert.equal(code, 0, stderr);
    for (const folder of [".titan", ".titan/store"]) {
      assert.equal(existsSync(join(cwd, folder, "lock")), false);
    }
  });

  test("up whose store cannot start says why and what to do, and leaves " +
    "nothing that runs", async (t) => {
    const cwd = tempFolder();
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((listening) => taken.once("listening", listening));
    t.after(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const { code, stdout, stderr } = await titan(
      ["up", "--port", "0", "--workers", "1", "--store-port", String(port)],
      { cwd },
    );
    assert.deepEqual([code, stdout], [1, ""]);
    assert.equal(
      stderr,
      `titan: Cannot start the store: port ${port} of 127.0.0.1 is in use by another program\n  ` +
        "--store-port PORT takes another one; --no-store does without, --store URL uses one that " +
        `runs elsewhere\n`,
    );
    assert.deepEqual(readdirSync(join(cwd, ".titan", "workers")), []);
    const without = await up(["--workers", "0", "--no-store"], { cwd });
    assert.equal(storeOf(without), null);
    assert.match(
      (await inProcess(["kv", "get", "n"], without.env)).stderr,
      /this cluster has none/,
    );
    assert.equal((await without.kill("SIGTERM")).code, 0);
  });

  test("a thread that dies is replaced on the same port, has what was acknowledged, and its " +
    "owner goes on", async (t) => {
    const dir = join(tempFolder(), "store");
    const notes: string[] = [];
    const thread = newStoreThread();
    const store = new EmbeddedStore({
      host,
      dir,
      thread,
      listen: { host: "127.0.0.1", port: 0 },
      password: PASSWORD,
      onNote: (text) => notes.push(text),
    });
    t.after(() => store.kill());
    const { port } = await store.ready;
    const url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`;
    const client = await StoreClient.connect({ host, url });
    t.after(() => client.close());
    await client.call("SET", "k", "v");
    // Its password is known to jobs that run, and its place to the master: neither is a client's to
    // change.
    await assert.rejects(
      client.call("CONFIG", "SET", "requirepass", "x"),
      /this store is a part of this cluster/,
    );
    await assert.rejects(
      client.call("REPLICAOF", "127.0.0.1", "1"),
      /this store is a part of this cluster/,
    );
    assert.deepEqual(
      await client.call("CONFIG", "GET", "maxclients"),
      new Map([["maxclients", "256"]]),
    );
    await thread.terminate();
    // Sent before the client has heard of the end, a question is LOST.
    const again = client
      .call("GET", "k")
      .catch((error: StoreError) =>
        error.code === "LOST" ? client.call("GET", "k") : Promise.reject(error),
      );
    assert.equal(await again, "v", "the client has dialled again");
    assert.deepEqual(notes, [
      "the store ended: its thread ended; it starts again in 0.3s",
      `the store is back at 127.0.0.1:${port}`,
    ]);
    await store.stop();
    assert.deepEqual(readdirSync(dir), ["log"], "no lock");
    await assert.rejects(
      new EmbeddedStore({
        host,
        dir: "/dev/null/store",
        listen: { host: "127.0.0.1", port: 0 },
        onNote: () => undefined,
      }).ready,
      { name: "ClusterError", message: /^Cannot start the store: .*ENOTDIR/ },
    );
  });
});

test("a cluster that is given up while its store loads does not wait for it", async () => {
  const stateDir = tempFolder();
  // it loads for ever, and hears nobody
  const thread = new Worker("setInterval(() => undefined, 1000)", { eval: true });
  const ended = once(thread, "exit");
  await assert.rejects(
    startEmbeddedCluster({ workers: 0, stateDir, store: { thread }, giveUp: Promise.resolve() }),
    { name: "ClusterError", code: "INTERRUPTED" },
  );
  await ended;
  for (const folder of [stateDir, join(stateDir, "store")]) {
    assert.equal(existsSync(join(folder, "lock")), false);
  }
});

test(
  "a cluster's store that loads can be stopped though somebody asks it, who hears of it",
  { timeout: 10_000 },
  async (t) => {
    // It loads for ever, and hears us. Ended from outside, it would have another code.
    const thread = new Worker(`require("node:worker_threads").parentPort.on("message", (asked) => {
      if (asked === "stop") process.exit(7);
    });`, { eval: true });
    t.after(() => thread.terminate());
    const ended = once(thread, "exit");
    const store = await openClusterStore(
      { thread },
      {
        host,
        stateDir: tempFolder(),
        listenHost: "127.0.0.1",
        token: undefined,
        maxClients: 16,
        onNote: () => undefined,
      },
    );
    const unheard = assert.rejects(store.forMaster.call([Buffer.from("PING")]), {
      name: "ClusterError",
      message: "Cannot start the store: stopped",
    });
    await store.stop();
    await unheard;
    assert.deepEqual(await ended, [7]);
  },
);

test("store dump into a shell's pipe says nothing but the dump, however many " +
  "pieces it has", async () => {
  const dir = tempFolder();
  const opened = await openStore({ host, dir });
  const session = opened.store.session({ out: new ReplyBuffer() });
  const value = "x".repeat(66_000);
  for (const argv of [
    ["MULTI"],
    ...Array.from({ length: 14 }, () => ["APPEND", "large", value]),
    ["EXEC"],
  ]) {
    opened.store.execute(session, argv);
  }
  await opened.close();
  // A pipe is not the socket that Node gives to a child's stdout.
  const { stdout, stderr } = await promisify(execFile)("sh", [
    "-c",
    '"$0" "$1" store dump --resp --state "$2" | wc -c',
    process.execPath,
    MAIN,
    dir,
  ]);
  assert.ok(Number(stdout) > 14 * value.length, stdout);
  assert.equal(stderr, "");
});

function storeOf({ ready }: Up): string | null {
  return (ready as unknown as { store: string | null }).store;
}
