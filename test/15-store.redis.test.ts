/**
 * The store beside the real thing: thousands of random commands go to a redis-server and to our
 * engine, and every answer must be the same, byte for byte where order is promised. The seed is
 * printed when they part ways: REDIS_SEED=n repeats it.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { nodeHost, seededRandom, type Random } from "#host";
import { RespWriter, Engine } from "#store";
import { keysOf } from "../src/store/commands/command.ts";
import { findCommand } from "../src/store/commands/table.ts";
import { eventually } from "./processes.support.ts";

const REDIS = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
const missing = REDIS.status !== 0 || !/v=(?:8|7\.[2-9])/.test(REDIS.stdout);
const only = missing ? { skip: "redis-server 7.2 or later is not installed" } : {};

const folder = mkdtempSync(join(tmpdir(), "titan-redis-"));
let redis: ChildProcess | undefined;

before(async () => {
  if (missing) return;
  const path = join(folder, "socket");
  redis = spawn(
    "redis-server",
    [
      "--port",
      "0",
      "--unixsocket",
      path,
      "--databases",
      "1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      folder,
    ],
    { stdio: "ignore" },
  );
  await eventually("redis-server answers", () => new Promise<boolean>((resolve) => {
    const socket = connect(path)
      .once("connect", () => resolve(Boolean(socket.destroy())))
      .once("error", () => resolve(false));
  }));
});

after(() => {
  redis?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** An answer with the sign of its shape: ["*", …] for an array, "+OK", ":1", "$bytes". */
type Shape = string | [string, ...Shape[]];

/** All answers in these bytes, or undefined if one of them is cut off. */
function parse(text: string, wanted: number): Shape[] | undefined {
  let at = 0;
  const one = (): Shape => {
    const end = text.indexOf("\r\n", at);
    if (end < 0) throw new RangeError("cut");
    const line = text.slice(at, end);
    at = end + 2;
    const [sign, size] = [line[0]!, Number(line.slice(1))];
    if (sign === "$" || sign === "=") {
      if (size < 0) return "$-1";
      if (at + size + 2 > text.length) throw new RangeError("cut");
      at += size + 2;
      return `${sign}${text.slice(at - size - 2, at - 2)}`;
    }
    if (!/[*%~>]/.test(sign) || size < 0) return line;
    return [sign, ...Array.from({ length: sign === "%" ? 2 * size : size }, one)];
  };
  try {
    return Array.from({ length: wanted }, one);
  } catch (error) {
    if (error instanceof RangeError && error.message === "cut") return undefined;
    throw error;
  }
}

const encode = (argv: readonly string[]): string =>
  `*${argv.length}\r\n${argv.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join("")}`;

async function askRedis(commands: readonly (readonly string[])[]): Promise<Shape[]> {
  const socket = connect(join(folder, "socket"));
  let received = "";
  const answers = await new Promise<Shape[]>((resolve, reject) => {
    let last = 0;
    let pause: NodeJS.Timeout | undefined;
    const look = (): void => {
      last = received.length;
      const found = parse(received, commands.length);
      if (found !== undefined) resolve(found);
    };
    socket
      .on("error", reject)
      .on("close", () =>
        reject(new Error(`redis-server hung up after ${JSON.stringify(received.slice(-200))}`)),
      );
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      clearTimeout(pause);
      // Parsing all again for each chunk would be quadratic: only when the bytes have doubled or
      // paused.
      if (received.length >= last * 2 || chunk.length < 65536) look();
      else pause = setTimeout(look, 20);
    });
    socket.write(Buffer.from(commands.map(encode).join(""), "latin1"));
  });
  socket.removeAllListeners("close");
  socket.destroy();
  return answers;
}

function askTitan(
  commands: readonly (readonly string[])[],
  store = new Engine({ host: nodeHost() }),
): Shape[] {
  const out = new RespWriter();
  const session = store.session({ out });
  for (const argv of commands) store.execute(session, [...argv]);
  const text = Buffer.from(out.take()).toString("latin1");
  store.close();
  const answers = parse(text, commands.length);
  assert.ok(answers !== undefined, "every command of ours has an answer");
  return answers;
}

const UNORDERED =
  /^(?:smembers|sinter|sunion|sdiff|keys|hkeys|hvals|hgetall|scan|sscan|hscan|spop|srandmember|config)$/i;

/** Forgets what Redis does not promise: the order in a set, the moment of a TTL. */
function comparable(argv: readonly string[], answer: Shape): string {
  const name = argv[0]!.toLowerCase();
  if (name === "hello") return "";
  // Deadlines that were set as absolute ones are the same on both sides, to the millisecond.
  if (/^p?(?:ttl|expiretime)$/.test(name) && typeof answer === "string" && /^:[1-9]/.test(answer)) {
    return /^:410244480/.test(answer) ? answer : ":positive";
  }
  if (!UNORDERED.test(name) || typeof answer === "string") return JSON.stringify(answer);
  const sorted = (shape: Shape): Shape => {
    if (typeof shape === "string") return shape;
    const [sign, ...items] = shape;
    const pairs =
      /^(?:hgetall|hscan)$/.test(name) &&
      !argv.includes("NOVALUES") &&
      items.every((item) => typeof item === "string");
    const parts = pairs
      ? items.map((item, i) => (i % 2 === 0 ? `${item as string} → ${items[i + 1] as string}` : ""))
      : items.map((item) => sorted(item));
    return [sign, ...parts.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))];
  };
  return JSON.stringify(sorted(answer));
}

/** A wait is another test's business. Inside a transaction there is none. */
function withoutWait(argv: string[]): string[][] {
  return /^b(?:[lr]pop|lmove|rpoplpush)$/i.test(argv[0]!) ? [["MULTI"], argv, ["EXEC"]] : [argv];
}

async function compare(commands: readonly (readonly string[])[], note = ""): Promise<void> {
  const theirs = await askRedis(commands);
  const ours = askTitan(commands);
  let queued: (readonly string[])[] = [];
  commands.forEach((argv, i) => {
    let [expected, found] = [comparable(argv, theirs[i]!), comparable(argv, ours[i]!)];
    if (theirs[i] === "+QUEUED") queued.push(argv);
    if (argv[0] === "EXEC" && Array.isArray(theirs[i]) && Array.isArray(ours[i])) {
      const each = (answers: Shape): string =>
        (answers as Shape[])
          .slice(1)
          .map((answer, n) => comparable(queued[n]!, answer))
          .join("\n");
      [expected, found] = [each(theirs[i]), each(ours[i])];
    }
    if (
      /^(?:EXEC|DISCARD|MULTI)$/.test(argv[0]!) &&
      theirs[i] !== "-ERR MULTI calls can not be nested"
    ) {
      queued = [];
    }
    if (expected === found) return;
    const before = commands
      .slice(Math.max(0, i - 400), i)
      .filter((each) => each.some((arg) => argv.includes(arg) && arg.length > 1))
      .slice(-12);
    assert.fail(
      `${note} command ${i} ${JSON.stringify(argv)}\n  redis ${expected}\n  titan ${found}\n  ` +
        `after ${before.map((each) => JSON.stringify(each)).join("\n        ")}`,
    );
  });
}

/** Some are members, counts and values too: an argument in the wrong place is not to go unseen. */
const KEYS = ["k1", "k2", "k3", "k4", "k5", "1", "k\0\xff\r\n"];
const MEMBERS = ["a", "b", "c", "d", "e", "k1", "\0\x80\xff", "", "10", "long".repeat(30)];
const INTEGERS = [
  "0",
  "1",
  "-1",
  "7",
  "100",
  "9223372036854775807",
  "-9223372036854775808",
  "9007199254740993",
  "9223372036854775808",
  "01",
  "+1",
  " 1",
  "-0",
  "1.5",
  "x",
  "",
];
/**
 * Sums of these are the same in 80 bits and in decimals. Redis makes 3000.10000000000000009 of 3000
 * + 0.1, and we do not.
 */
const FLOATS = [
  "0.1",
  "0.2",
  "-0.3",
  "-1.5",
  "10",
  "3.0e1",
  "1e-3",
  "5e0",
  "abc",
  "",
  "1 ",
  ".5",
  "5.",
  "1e",
  "1e5000",
  "-",
  ".",
];
const INDEXES = [
  "0",
  "1",
  "2",
  "-1",
  "-2",
  "-3",
  "5",
  "-100",
  "100",
  "9223372036854775807",
  "-9223372036854775808",
  "x",
];
const COUNTS = ["0", "1", "2", "3", "-1", "-2", "100", "x"];
const TIMES = [
  "100",
  "1000",
  "99999",
  "-1",
  "0",
  "50",
  "x",
  "9223372036854775807",
  "9223372036854775",
  "-9223372036854775808",
];
/** The years 2001 and 2100: over long ago, and not soon. */
const SECONDS = ["1000000000", "4102444800", "4102444801", "-1", "x", "9223372036854775807"];
/**
 * A SET with a deadline in the past leaves a dead key in Redis for some time, which DBSIZE counts:
 * here it is gone at once.
 */
const LATER = SECONDS.slice(1);
const PATTERNS = [
  "*",
  "k*",
  "?1",
  "k[1-3]",
  "k[^1-3]",
  "[",
  "k[3-1]",
  "\\k1",
  "k\\",
  "**1",
  "[a",
  "[]",
  "[a-",
  "k[1",
  "",
  "*k*",
];

/** A command of some family, most of the time a sensible one. */
function randomCommand(random: Random): string[] {
  const pick = <T>(from: readonly T[]): T => from[random.u32() % from.length]!;
  const some = (from: readonly string[], most = 4): string[] =>
    Array.from({ length: 1 + (random.u32() % most) }, () => pick(from));
  const maybe = (...words: readonly string[]): string[] =>
    random.u32() % 3 === 0 ? [...words] : [];
  const key = (): string => pick(KEYS);
  const value = (): string => pick([...MEMBERS, ...INTEGERS, ...FLOATS]);
  const side = (): string => pick(["LEFT", "right", "RIGHT", "Left", "up"]);
  const option = (): string[] =>
    pick([
      ["NX"],
      ["XX"],
      ["GET"],
      ["KEEPTTL"],
      ["ex", pick(TIMES)],
      ["PX", pick(["100000", "0", "x"])],
      ["EXAT", pick(LATER)],
      ["PXAT", "4102444800000"],
      ["EX"],
      ["nonsense"],
      ["PERSIST"],
    ]);
  const ttlFlag = (): string[] =>
    pick([
      [],
      [],
      ["NX"],
      ["XX"],
      ["GT"],
      ["LT"],
      ["xx", "gt"],
      ["GT", "LT"],
      ["NX", "XX"],
      ["what"],
    ]);
  const families: readonly (() => string[])[] = [
    () => ["SET", key(), value(), ...maybe(...option()), ...maybe(...option())],
    () =>
      pick([
        ["GET", key()],
        ["GETDEL", key()],
        ["STRLEN", key()],
        ["GETSET", key(), value()],
        ["SETNX", key(), value()],
        ["MGET", ...some(KEYS)],
        ["get", key(), key()],
      ]),
    () => [
      "GETEX",
      key(),
      ...pick([
        [],
        ["PERSIST"],
        ["EXAT", pick(LATER)],
        ["EX", pick(TIMES)],
        ["NX"],
        ["EX", "100000", "PERSIST"],
      ]),
    ],
    () =>
      pick([
        ["SETEX", key(), pick(TIMES), value()],
        ["PSETEX", key(), pick(["100000", "-1", "0", "x"]), value()],
      ]),
    () => [
      pick(["MSET", "MSETNX"]),
      ...some(KEYS, 3).flatMap((each) => [each, value()]),
      ...(random.u32() % 10 === 0 ? [key()] : []),
    ],
    () =>
      pick([
        ["APPEND", key(), value()],
        ["GETRANGE", key(), pick(INDEXES), pick(INDEXES)],
        [
          "SETRANGE",
          key(),
          pick(["0", "3", "10", "-1", "x", "9223372036854775807", "536870912"]),
          value(),
        ],
      ]),
    () =>
      pick([
        ["INCR", key()],
        ["DECR", key()],
        ["INCRBY", key(), pick(INTEGERS)],
        ["DECRBY", key(), pick(INTEGERS)],
        ["INCRBYFLOAT", "float", pick([...FLOATS, "inf", "-Infinity"])],
        ["SET", "float", pick(FLOATS)],
      ]),
    () =>
      pick([
        ["DEL", ...some(KEYS, 2)],
        ["UNLINK", key()],
        ["EXISTS", ...some(KEYS)],
        ["TYPE", key()],
        ["TOUCH", ...some(KEYS)],
        ["DBSIZE"],
      ]),
    () =>
      pick([
        ["KEYS", pick(PATTERNS)],
        [
          "SCAN",
          "0",
          "COUNT",
          "1000",
          ...maybe("MATCH", pick(PATTERNS)),
          ...maybe("TYPE", pick(["string", "set", "HASH", "list"])),
        ],
        [
          "SCAN",
          pick(["x", "-1", "0"]),
          ...pick([["COUNT", pick(["0", "x", "-1"])], ["nonsense"], ["MATCH"]]),
        ],
      ]),
    () =>
      pick([
        ["RENAME", key(), key()],
        ["RENAMENX", key(), key()],
        ["COPY", key(), key(), ...maybe("REPLACE"), ...maybe("DB", pick(["0", "x", "99"]))],
      ]),
    () => [pick(["EXPIREAT", "expireat"]), key(), pick(SECONDS), ...ttlFlag()],
    () =>
      pick([
        ["PEXPIREAT", key(), pick(["4102444800000", "4102444800001", "-5", "x"]), ...ttlFlag()],
        ["EXPIRE", key(), pick(TIMES), ...pick([[], ["NX"], ["XX"], ["what"], ["GT", "LT"]])],
        ["PEXPIRE", key(), pick(["100000", "-9223372036854775808", "9223372036854775807", "x"])],
      ]),
    () => [pick(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"]), key()],
    () =>
      pick([
        ["SADD", key(), ...some(MEMBERS)],
        ["SREM", key(), ...some(MEMBERS)],
        ["SMEMBERS", key()],
        ["SISMEMBER", key(), pick(MEMBERS)],
        ["SMISMEMBER", key(), ...some(MEMBERS)],
        ["SCARD", key()],
      ]),
    () =>
      pick([
        ["SADD", key(), ...some(MEMBERS, 9)],
        ["SMOVE", key(), key(), pick(MEMBERS)],
        ["SPOP", key(), pick(["1000", "0", "-1", "x"])],
        ["SRANDMEMBER", key(), pick(["1000", "0", "x"])],
        ["SSCAN", key(), "0", "COUNT", "1000", ...maybe("MATCH", pick(["*", "[a-c]", "?"]))],
      ]),
    () => [pick(["SINTER", "SUNION", "SDIFF"]), ...some(KEYS, 3)],
    () => [pick(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), key(), ...some(KEYS, 3)],
    () => [
      "SINTERCARD",
      pick(["1", "2", "0", "x", "9"]),
      ...some(KEYS, 2),
      ...pick([[], [], ["LIMIT", pick(COUNTS)], ["LIMIT"], ["what"]]),
    ],
    () =>
      pick([
        [
          "HSET",
          key(),
          pick(MEMBERS),
          value(),
          ...maybe(pick(MEMBERS), value()),
          ...(random.u32() % 10 === 0 ? ["x"] : []),
        ],
        ["HSETNX", key(), pick(MEMBERS), value()],
        ["HDEL", key(), ...some(MEMBERS)],
      ]),
    () =>
      pick([
        ["HGET", key(), pick(MEMBERS)],
        ["HMGET", key(), ...some(MEMBERS)],
        ["HGETALL", key()],
        ["HEXISTS", key(), pick(MEMBERS)],
        ["HKEYS", key()],
        ["HVALS", key()],
        ["HLEN", key()],
      ]),
    () =>
      pick([
        ["HINCRBY", key(), pick(MEMBERS), pick(INTEGERS)],
        ["HINCRBYFLOAT", "floats", pick(MEMBERS), pick([...FLOATS, "inf", "-inf", "nan"])],
        [
          "HSCAN",
          key(),
          "0",
          "COUNT",
          "1000",
          ...maybe("MATCH", pick(["*", "?"])),
          ...maybe("NOVALUES"),
        ],
      ]),
    () =>
      pick([
        ["LMOVE", key(), key(), side(), side()],
        ["RPOPLPUSH", key(), key()],
        ["BLMOVE", key(), key(), side(), side(), "0.01"],
        ["BRPOPLPUSH", key(), key(), "0.01"],
      ]),
    () =>
      pick([
        ["LPUSH", key(), ...some(MEMBERS)],
        ["RPUSH", key(), ...some(MEMBERS, 8)],
      ]),
    () =>
      pick([
        ["LPOP", key()],
        ["RPOP", key()],
        ["LPOP", key(), pick(COUNTS)],
        ["RPOP", key(), pick(COUNTS)],
        ["LPOP", key(), "1", "1"],
      ]),
    () =>
      pick([
        ["LLEN", key()],
        ["LRANGE", key(), pick(INDEXES), pick(INDEXES)],
        ["LINDEX", key(), pick(INDEXES)],
        ["LREM", key(), pick(COUNTS), pick(MEMBERS)],
        ["LTRIM", key(), pick(INDEXES), pick(INDEXES)],
      ]),
    () =>
      pick([
        ["MULTI"],
        ["EXEC"],
        ["EXEC"],
        ["DISCARD"],
        ["WATCH", key()],
        ["UNWATCH"],
        ["EXEC", "x"],
      ]),
    () =>
      pick([
        ["BLPOP", key(), key(), "0.001"],
        ["BRPOP", key(), pick(["x", "-1", "0.001", "1e300", "1e5000", "inf", "nan"])],
      ]),
    () =>
      pick([
        ["PING"],
        ["PING", value()],
        ["PING", "a", "b"],
        ["ECHO", value()],
        ["SELECT", pick(["0", "x", "1", "2147483648"])],
        ["PUBSUB", "channels", "a", "b"],
        ["SSCAN", key(), "0", "NOVALUES"],
        ["NOSUCH", ...some(MEMBERS)],
        ["GET"],
        ["CONFIG", "GET", "save"],
        ["CLIENT", "GETNAME"],
        ["CLIENT", "SETNAME", pick(["me", "a b", ""])],
        ["CLIENT", "nope"],
        ["CLIENT", "ID", "x"],
        ["EXPIRE", key()],
      ]),
    () =>
      random.u32() % 12 === 0
        ? [pick(["FLUSHALL", "FLUSHDB"]), ...pick([[], ["SYNC"], ["ASYNC"], ["x"]])]
        : ["DBSIZE"],
  ];
  return spoiled(pick(families)(), random);
}

const BORDERS = [
  "",
  "x",
  "-1",
  "2147483648",
  "9223372036854775807",
  "9223372036854775808",
  "18446744073709551615",
  "18446744073709551616",
  "inf",
  "-inf",
  "nan",
  "1e400",
  "1e5000",
  "a b",
  "NX",
  "GET",
];

/**
 * One command of ten in a way that its author did not foresee: an argument too few, one too many,
 * or another one.
 */
function spoiled(argv: string[], random: Random): string[] {
  const border = BORDERS[random.u32() % BORDERS.length]!;
  const way = random.u32() % 30;
  if (way > 2 || argv.length === 1 || UNSPOILED.test(argv[0]!)) return argv;
  if (way === 0) return argv.slice(0, 1 + (random.u32() % (argv.length - 1)));
  return way === 1 ? [...argv, border] : argv.with(1 + (random.u32() % (argv.length - 1)), border);
}

/**
 * Where chance decides (SPOP), both sides would hold something else; where 80 bits do, our decimals
 * are other ones.
 */
const UNSPOILED =
  /^(?:spop|srandmember|incrbyfloat|hincrbyfloat|set|flush.*|.?scan|config|client|command|blpop|brpop)$/i;

for (const protocol of ["2", "3"]) {
  test(`Store.execute() answers as redis-server does, over RESP${protocol}`, only, async () => {
    const seeds =
      process.env["REDIS_SEED"] === undefined
        ? [1, 2, 3, 4, 5]
        : [Number(process.env["REDIS_SEED"])];
    for (const seed of seeds) {
      const random = seededRandom(seed * 1000 + Number(protocol));
      const commands = Array.from({ length: 2000 }, () => randomCommand(random)).flatMap(
        withoutWait,
      );
      await compare(
        [["FLUSHALL"], ["HELLO", protocol], ...commands, ["DISCARD"]],
        `RESP${protocol}, REDIS_SEED=${seed}:`,
      );
    }
  });
}

test("what the store dumps and what it propagates, redis-server takes, and holds " +
  "the same then", only, async () => {
  const random = seededRandom(15);
  const groups: string[][][] = [];
  const store = new Engine({ host: nodeHost(), propagate: (group) => groups.push(group) });
  const out = new RespWriter();
  const session = store.session({ out });
  for (let i = 0; i < 5000; i++) {
    for (const argv of withoutWait(randomCommand(random))) store.execute(session, argv);
  }
  // More than one batch of each.
  const many = Array.from({ length: 200 }, (_, i) => `m${i}`);
  for (const argv of [
    ["DISCARD"],
    ["DEL", "s", "l", "h"],
    ["SADD", "s", ...many],
    ["RPUSH", "l", ...many],
    ["HSET", "h", ...many],
  ]) {
    store.execute(session, argv);
  }
  const names = [...store.keys.dict.keys];
  assert.ok(names.length > 5);
  const questions = [
    ["DBSIZE"],
    ...names.flatMap((key) => [
      ["TYPE", key],
      ["GET", key],
      ["SMEMBERS", key],
      ["HGETALL", key],
      ["LRANGE", key, "0", "-1"],
      ["PEXPIRETIME", key],
    ]),
  ];
  const expected = askTitan(questions, store);
  for (const source of [[...store.dump()], groups.flat()]) {
    const answers = (await askRedis([["FLUSHALL"], ...source, ...questions])).slice(
      -questions.length,
    );
    questions.forEach((argv, i) =>
      assert.equal(
        comparable(argv, answers[i]!),
        comparable(argv, expected[i]!),
        JSON.stringify(argv),
      ),
    );
  }
});

/** Flags that say what our engine makes of a command. Redis has more of them. */
const FLAGS = new Set([
  "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "loading", "stale", "fast",
  "blocking",
]);

test("COMMAND says of every command what redis-server says", only, async () => {
  const names = (command: readonly string[]): Shape[] =>
    (askTitan([command])[0] as Shape[]).slice(1);
  const own = /^\$(?:delex|titan\.sync)$/;
  const asked = (names(["COMMAND", "LIST"]) as string[])
    .filter((name) => !name.includes("|") && !own.test(name))
    .map((name) => name.slice(1));
  const command = ["COMMAND", "INFO", ...asked];
  const [theirs, ours] = [(await askRedis([command]))[0]!, askTitan([command])[0]!];
  asked.forEach((name, i) => {
    const shown = (answer: Shape): unknown[] => {
      const [, , arity, flags, ...keys] = (answer as Shape[])[i + 1] as Shape[];
      const known = (flags as string[]).map((flag) => flag.slice(1)).filter((f) => FLAGS.has(f));
      // Families have theirs on each member there. A replica that loads may be told to stop here.
      const isOther = /^(?:client|config|pubsub|replicaof)$/.test(name);
      return [arity, isOther ? [] : known.sort(), keys.slice(0, 3)];
    };
    assert.deepEqual(shown(ours), shown(theirs), name);
  });
});

test("the keys of a call are those that redis-server finds", only, async () => {
  const calls = [
    "GET a", "DEL a b c", "MSET a 1 b 2", "BLPOP a b 0", "BRPOPLPUSH a b 0", "LMOVE a b LEFT RIGHT",
    "SINTERSTORE a b c", "RENAME a b", "HSET a b c",
  ].map((call) => call.split(" "));
  const ours = calls.map((argv) => keysOf(findCommand(argv[0]!)!, argv).map((key) => `$${key}`));
  const theirs = await askRedis(calls.map((argv) => ["COMMAND", "GETKEYS", ...argv]));
  assert.deepEqual(ours.map((keys) => ["*", ...keys]), theirs);
});

test("a subcommand takes as many arguments as redis-server's", only, async () => {
  const members = [
    "CLIENT ID", "CLIENT GETNAME", "CLIENT SETNAME", "CLIENT SETINFO", "CLIENT INFO",
    "CLIENT NO-EVICT", "CLIENT NO-TOUCH", "CLIENT HELP", "CONFIG GET", "CONFIG RESETSTAT",
    "CONFIG HELP", "PUBSUB NUMSUB", "PUBSUB NUMPAT", "PUBSUB HELP", "COMMAND COUNT",
    "COMMAND INFO", "COMMAND HELP",
  ];
  const commands = members.flatMap((member) =>
    ["", " on", " on on", " on on on"].map((more) => `${member}${more}`.split(" ")));
  const refused = (answers: readonly Shape[]): unknown[] =>
    answers.map((answer, i) => [commands[i], /^-ERR wrong number/.test(String(answer))]);
  assert.deepEqual(refused(askTitan(commands)), refused(await askRedis(commands)));
});

test("KEYS finds by any pattern what redis-server finds", only, async () => {
  const random = seededRandom(15);
  const word = (letters: string, most: number): string =>
    Array.from({ length: random.u32() % (most + 1) }, () =>
      letters[random.u32() % letters.length]!).join("");
  const keys = Array.from({ length: 300 }, () => ["SET", `k${word("abc-]^*", 4)}`, "v"]);
  const asked = Array.from({ length: 1000 }, () => ["KEYS", `k${word("ab*?[]\\^-", 7)}`]);
  await compare([["FLUSHALL"], ...keys, ...asked]);
});
