/** Lesson 15's contract: what a store must do, whoever wrote it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#host";
import { Refusal, ReplyBuffer, RespWriter } from "#store";
import { contents, fixture } from "./15-store.support.ts";

const WRONG_TYPE = new Refusal("WRONGTYPE Operation against a key holding the wrong kind of value");

test("Store.execute() refuses unknown commands and wrong argument counts in Redis's words", () => {
  const { ask } = fixture();
  assert.deepEqual(
    ask("NOSUCH", "a", "b\r\nc"),
    new Refusal("ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b  c' "),
  );
  assert.deepEqual(ask("GET"), new Refusal("ERR wrong number of arguments for 'get' command"));
  assert.deepEqual(
    ask("gEt", "a", "b"),
    new Refusal("ERR wrong number of arguments for 'get' command"),
  );
  assert.deepEqual(
    ask("x".repeat(1000)),
    new Refusal(`ERR unknown command '${"x".repeat(128)}', with args beginning with: `),
  );
  assert.deepEqual(
    ask("NOSUCH", "a".repeat(125), "b"),
    new Refusal(`ERR unknown command 'NOSUCH', with args beginning with: '${"a".repeat(125)}' `),
  );
  assert.deepEqual(
    ask("NOSUCH", "\0a", "b\0"),
    new Refusal("ERR unknown command 'NOSUCH', with args beginning with: '' 'b' "),
  );
});

test("an error of the store's own is no answer, whatever ran: it is thrown", (t) => {
  const { ask, store, client, heard } = fixture();
  const own = (): never => {
    throw new TypeError("our own");
  };
  store.info.set("Stats", own);
  assert.throws(() => ask("INFO"), TypeError);
  ask("MULTI");
  ask("INFO");
  assert.throws(() => ask("EXEC"), TypeError);
  store.inTransaction = false;
  store.execute(client().session, ["BLPOP", "l", "0"]);
  t.mock.method(store.keys, "updated", own);
  assert.throws(() => ask("RPUSH", "l", "x"), TypeError);
  assert.throws(() => store.load(["rpush", "l", "y"]), TypeError);
  t.mock.restoreAll();
  heard();
  assert.equal(ask("LLEN", "l"), 1, "and the store goes on, as well as it can");
});

test("Store.execute() keeps any bytes, in keys, members, fields and values", () => {
  const { ask } = fixture();
  const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  ask("SET", bytes, bytes);
  assert.equal(ask("GET", bytes), bytes);
  assert.equal(ask("STRLEN", bytes), 256);
  ask("SADD", "set", bytes);
  assert.deepEqual(ask("SMEMBERS", "set"), [bytes]);
  ask("HSET", "hash", bytes, bytes);
  assert.deepEqual(ask("HGETALL", "hash"), [bytes, bytes]);
});

test("Store.execute() counts exactly up to the ends of 64 bits, and refuses to go beyond", () => {
  const { ask } = fixture();
  ask("SET", "n", "9007199254740991");
  assert.equal(ask("INCR", "n"), 9007199254740992n);
  assert.equal(ask("INCR", "n"), 9007199254740993n);
  ask("SET", "n", "9223372036854775806");
  assert.equal(ask("INCR", "n"), 9223372036854775807n);
  assert.deepEqual(ask("INCR", "n"), new Refusal("ERR increment or decrement would overflow"));
  assert.equal(ask("GET", "n"), "9223372036854775807", "a refused command changes nothing");
  ask("SET", "n", "-9223372036854775808");
  assert.deepEqual(ask("DECR", "n"), new Refusal("ERR increment or decrement would overflow"));
  assert.deepEqual(
    ask("DECRBY", "n", "-9223372036854775808"),
    new Refusal("ERR decrement would overflow"),
  );
});

test("Store.execute() refuses a value of the wrong type, for every command, " +
  "and changes nothing", () => {
  const { ask, store } = fixture();
  ask("SET", "string", "v");
  ask("SADD", "set", "v");
  ask("HSET", "hash", "f", "v");
  ask("RPUSH", "list", "v");
  const before = contents(store);
  const commands: Readonly<Record<string, readonly string[]>> = {
    string: [
      "GET K",
      "APPEND K x",
      "STRLEN K",
      "GETRANGE K 0 1",
      "SETRANGE K 0 x",
      "INCR K",
      "DECR K",
      "INCRBY K 1",
      "DECRBY K 1",
      "INCRBYFLOAT K 1",
      "GETDEL K",
      "GETEX K PERSIST",
      "GETSET K x",
      "SET K x GET",
    ],
    set: [
      "SADD K x",
      "SREM K v",
      "SMEMBERS K",
      "SISMEMBER K v",
      "SMISMEMBER K v",
      "SCARD K",
      "SPOP K",
      "SPOP K 1",
      "SRANDMEMBER K",
      "SRANDMEMBER K 1",
      "SMOVE K other v",
      "SMOVE set K v",
      "SINTER K",
      "SUNION K set",
      "SDIFF set K",
      "SINTERSTORE other K",
      "SUNIONSTORE other set K",
      "SDIFFSTORE other K",
      "SINTERCARD 1 K",
      "SSCAN K 0",
    ],
    hash: [
      "HSET K f x",
      "HSETNX K f x",
      "HGET K f",
      "HMGET K f",
      "HGETALL K",
      "HDEL K f",
      "HEXISTS K f",
      "HKEYS K",
      "HVALS K",
      "HLEN K",
      "HINCRBY K f 1",
      "HINCRBYFLOAT K f 1",
      "HSCAN K 0",
    ],
    list: [
      "LPUSH K x",
      "RPUSH K x",
      "LPOP K",
      "RPOP K",
      "LPOP K 1",
      "LLEN K",
      "LRANGE K 0 -1",
      "LINDEX K 0",
      "LREM K 0 v",
      "LTRIM K 0 0",
      "BLPOP K 0",
      "BRPOP missing K 0",
    ],
  };
  for (const [type, lines] of Object.entries(commands)) {
    for (const other of Object.keys(commands).filter((each) => each !== type)) {
      for (const line of lines) {
        assert.deepEqual(
          ask(...line.replace(/\bK\b/, other).split(" ")),
          WRONG_TYPE,
          line.replace("K", other),
        );
      }
    }
  }
  assert.deepEqual(contents(store), before);
});

test("Store.execute() lets a collection disappear with its last element", () => {
  const { ask } = fixture();
  for (const [make, empty] of [
    ["SADD k v", "SREM k v"],
    ["SADD k v", "SPOP k"],
    ["SADD k v", "SMOVE k l v"],
    ["HSET k f v", "HDEL k f"],
    ["RPUSH k v", "LPOP k"],
    ["RPUSH k v", "RPOP k 5"],
    ["RPUSH k v", "LREM k 0 v"],
    ["RPUSH k v", "LTRIM k 1 0"],
    ["SADD k v", "SDIFFSTORE k k k"],
  ]) {
    ask(...make!.split(" "));
    assert.equal(ask("EXISTS", "k"), 1);
    ask(...empty!.split(" "));
    assert.equal(ask("EXISTS", "k"), 0, empty);
    ask("DEL", "l");
  }
});

test("SCAN visits every key that stays, however the others come and go", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed);
    const { ask } = fixture();
    const staying = Array.from({ length: 50 }, (_, i) => `stays:${i}`);
    for (const key of staying) {
      ask("SET", key, "v");
      if (random.u32() % 2 === 0) ask("SET", `goes:${key}`, "v");
    }
    const seen = new Set<string>();
    let calls = 0;
    for (let cursor = "0"; ;) {
      const [next, keys] = ask("SCAN", cursor, "COUNT", "3") as [string, string[]];
      for (const key of keys) seen.add(key);
      if (next === "0") break;
      cursor = next;
      assert.ok(++calls < 1000, `seed ${seed}: the walk ends`);
      for (let i = random.u32() % 4; i > 0; i--) {
        const key = `goes:stays:${random.u32() % 50}`;
        ask(...(random.u32() % 2 === 0 ? ["DEL", key] : ["SET", key, "v"]));
      }
    }
    assert.deepEqual(staying.filter((key) => !seen.has(key)), [], `seed ${seed}`);
  }
});

test("KEYS matches globs as Redis does and a pattern bomb costs pattern times text at most", () => {
  const { ask } = fixture();
  const table: readonly [pattern: string, text: string, matches: boolean][] = [
    ["*", "", true],
    ["", "", true],
    ["", "a", false],
    ["a", "", false],
    ["?", "a", true],
    ["?", "", false],
    ["a*b", "ab", true],
    ["a*b", "axxb", true],
    ["a*b", "axxbc", false],
    ["*a*b*", "xaxbx", true],
    ["[abc]", "b", true],
    ["[abc]", "d", false],
    ["[^abc]", "d", true],
    ["[^abc]", "a", false],
    ["[a-c]", "b", true],
    ["[c-a]", "b", true],
    ["[a-]", "]", true],
    ["[\\]]", "]", true],
    ["[", "[", false],
    ["[a", "a", true],
    ["[\\", "\\", true],
    ["[a-", "a", true],
    ["[a-", "-", true],
    ["[]", "a", false],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["a\\", "a\\", true],
    ["**", "abc", true],
    ["a**c", "abc", true],
    ["*[0-9]", "abc7", true],
    ["h?llo", "hello", true],
    ["*ab", "aab", true],
    ["*aab", "aaab", true],
    ["a*a*a", "aa", false],
    ["\x00*", "\x00\xff", true],
    ["\\*b", "*b", true],
    ["\\*b", "*", false],
    ["\\**", "*ab", true],
    ["\\**", "ab", false],
    ["[\\]-]b", "-b", true],
    ["[^a]b", "cb", true],
    ["[a-c]d", "bd", true],
  ];
  // A long pattern is rewritten before it is matched.
  const prefix = "x".repeat(1024);
  const longer = table.map(([pattern, text, matches]) =>
    [`${prefix}${pattern}`, `${prefix}${text}`, matches] as const);
  for (const [pattern, text, matches] of [...table, ...longer]) {
    ask("FLUSHALL");
    ask("SET", text, "v");
    assert.deepEqual(
      ask("KEYS", pattern),
      matches ? [text] : [],
      `${JSON.stringify(pattern)} on ${JSON.stringify(text)}`,
    );
  }
  ask("FLUSHALL");
  ask("SET", "a".repeat(10_000), "v");
  // A matcher that tries every way for every star would not be back before the sun has gone out.
  assert.deepEqual(ask("KEYS", `${"*a".repeat(500)}*b`), []);
  // A long pattern is a pattern; only what one star has to be tried with must be short.
  ask("SET", "b".repeat(5000), "v");
  const found = (pattern: string): string[] =>
    (ask("KEYS", pattern) as string[]).map((key) => `${key.length} ${key[0]}`).sort();
  assert.deepEqual(found("b".repeat(5000)), ["5000 b"]);
  assert.deepEqual(found(`${"b".repeat(4000)}${"*".repeat(2000)}${"b".repeat(900)}`), ["5000 b"]);
  assert.deepEqual(found(`[b${"c".repeat(1021)}]*[^a\\]]*b*${"?".repeat(1024)}`), ["5000 b"]);
  assert.deepEqual(found("*?".repeat(5000)), ["10000 a", "5000 b"]);
  assert.deepEqual(found("*?".repeat(5001)), ["10000 a"]);
  const costly = [
    `*${"a".repeat(1025)}`,
    `a*${"\\a".repeat(513)}*`,
    `a[${"a".repeat(1024)}]`,
    `a[^]${"[a".repeat(1000)}`,
    // A star in a class begins nothing.
    `a[\\]${"b".repeat(30)}*${"a".repeat(1000)}]`,
  ];
  assert.deepEqual(found(`[^-]${"b".repeat(30)}*${"a".repeat(1000)}]`), []);
  for (const pattern of costly) {
    assert.match(
      (ask("KEYS", pattern) as Refusal).text,
      /^ERR pattern is too costly/,
      pattern.slice(0, 9),
    );
  }
  const long = `*${"a".repeat(1025)}`;
  for (const argv of [
    ["KEYS", long],
    ["SCAN", "0", "MATCH", long],
    ["PSUBSCRIBE", "news.*", long],
    ["PUBSUB", "CHANNELS", long],
    ["CONFIG", "GET", "save", long],
  ]) {
    assert.deepEqual(
      ask(...argv),
      new Refusal("ERR pattern is too costly: more than 1024 bytes behind a star or in a class"),
      "the other factor is bounded",
    );
  }
});

test("Store.execute() never shows a dead key, and the active cycle removes those " +
  "nobody asks for", async () => {
  const { ask, time, store, groups } = fixture();
  ask("SET", "asked", "v", "PX", "100");
  ask("SET", "left", "v", "PX", "200");
  ask("SET", "stays", "v");
  await time.run(99);
  assert.equal(ask("PTTL", "asked"), 1);
  await time.run(100);
  assert.equal(ask("GET", "asked"), null);
  await time.run(1000);
  assert.equal(store.keys.size, 1, "nobody asked for the other one");
  assert.deepEqual(groups.slice(-2), [[["del", "asked"]], [["del", "left"]]]);
});

test("EXEC runs all or nothing: nil when a watched key was changed by anyone", () => {
  const { ask, client } = fixture();
  const other = client();
  ask("SET", "k", "1");
  ask("WATCH", "k");
  assert.equal(ask("MULTI"), "OK");
  assert.equal(ask("INCR", "k"), "QUEUED");
  assert.equal(ask("LPUSH", "k", "x"), "QUEUED");
  assert.equal(other.ask("GET", "k"), "1", "nothing has happened yet");
  assert.deepEqual(ask("EXEC"), [2, WRONG_TYPE]);
  ask("WATCH", "k");
  other.ask("SET", "k", "10");
  ask("MULTI");
  ask("INCR", "k");
  assert.equal(ask("EXEC"), null);
  assert.equal(ask("GET", "k"), "10");
});

test("Store.load() of what was propagated rebuilds the same keyspace", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = seededRandom(seed);
    const { ask, store, groups } = fixture();
    const pick = (...from: readonly string[]): string => from[random.u32() % from.length]!;
    for (let i = 0; i < 500; i++) {
      const [key, other, member] = [
        `k${random.u32() % 6}`,
        `k${random.u32() % 6}`,
        `m${random.u32() % 8}`,
      ];
      ask(
        ...pick(
          `SET ${key} ${i}`,
          `SET ${key} ${i} EX 1000`,
          `SET ${key} ${i} KEEPTTL`,
          `SET ${key} ${i} NX PX 5000`,
          `APPEND ${key} x`,
          `INCR ${key}`,
          `INCRBYFLOAT ${key} 0.1`,
          `GETSET ${key} ${i}`,
          `GETDEL ${key}`,
          `MSET ${key} 1 ${other} 2`,
          `DEL ${key} ${other}`,
          `RENAME ${key} ${other}`,
          `COPY ${key} ${other} REPLACE`,
          `EXPIRE ${key} 100`,
          `PEXPIRE ${key} 0`,
          `PERSIST ${key}`,
          `GETEX ${key} EX 50`,
          `SADD ${key} ${member} x`,
          `SPOP ${key}`,
          `SPOP ${key} 2`,
          `SMOVE ${key} ${other} ${member}`,
          `SUNIONSTORE ${key} ${other} ${key}`,
          `SREM ${key} ${member}`,
          `HSET ${key} ${member} ${i}`,
          `HINCRBY ${key} ${member} 3`,
          `HINCRBYFLOAT ${key} ${member} 0.25`,
          `HDEL ${key} ${member}`,
          `RPUSH ${key} ${member} y`,
          `LPUSH ${key} ${member}`,
          `LPOP ${key}`,
          `RPOP ${key} 2`,
          `LTRIM ${key} 0 5`,
          `LREM ${key} 1 ${member}`,
        ).split(" "),
      );
    }
    const replayed = fixture();
    for (const argv of groups.flat()) replayed.store.load([...argv]);
    assert.deepEqual(contents(replayed.store), contents(store), `seed ${seed}`);
    assert.deepEqual(replayed.groups, [], "a replay propagates nothing");
    const dumped = fixture();
    for (const argv of store.dump()) dumped.store.load(argv);
    assert.deepEqual(contents(dumped.store), contents(store), `seed ${seed}, dump`);
  }
});

test("a store begins as a primary, an answer in RESP2; who listens twice counts twice", () => {
  const { ask, store } = fixture();
  assert.equal(store.role, "primary");
  assert.deepEqual([new ReplyBuffer().protocol, new RespWriter().protocol], [2, 2]);
  ask("SUBSCRIBE", "news");
  ask("PSUBSCRIBE", "n*");
  assert.equal(store.counts().channels, 2);
});
