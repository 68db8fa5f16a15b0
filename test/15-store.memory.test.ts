/**
 * What data costs is counted, whatever happens to it; too much of it is refused; reads and DEL go
 * on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost, seededRandom } from "#host";
import { SimWorld } from "#simhost";
import {
  memoryCeiling, openStore, parseMemory, ReplyBuffer, Refusal, type Reply, type Session, Engine,
} from "#store";
import { BigMap } from "../src/store/data/big-map.ts";
import { batches } from "../src/store/data/dump.ts";
import { List } from "../src/store/data/list.ts";
import { fixture, held } from "./15-store.support.ts";

const OOM = new Refusal("OOM command not allowed when used memory > 'maxmemory'.");
const KIB = 1024;
const MIB = 1024 * KIB;

test("BigMap is a Map, whatever the size of those it consists of", () => {
  const random = seededRandom(3);
  for (const most of [1, 2, 5, 1000]) {
    const [big, map] = [new BigMap<number>(most), new Map<string, number>()];
    for (let i = 0; i < 3000; i++) {
      const key = `k${random.u32() % 40}`;
      if (random.u32() % 3 === 0) assert.equal(big.delete(key), map.delete(key));
      else {
        big.set(key, i);
        map.set(key, i);
      }
      assert.equal(big.get(key), map.get(key));
      assert.equal(big.has(key), map.has(key));
      assert.equal(big.size, map.size);
      if (i % 100 === 0) assert.deepEqual([...big].sort(), [...map].sort());
    }
    for (const key of [...map.keys()]) assert.equal(big.delete(key), true);
    assert.equal(big.size, 0);
    assert.equal(big.delete("k1"), false);
  }
});

test("BigMap puts no more into a Map than it may", (t) => {
  let most = 0;
  const { set } = Map.prototype;
  t.mock.method(Map.prototype, "set", function (this: Map<unknown, unknown>, ...pair: [1, 1]) {
    set.apply(this, pair);
    most = Math.max(most, this.size);
    return this;
  });
  const big = new BigMap<number>(5);
  for (let i = 0; i < 23; i++) big.set(`k${i}`, i);
  assert.deepEqual([most, big.size], [5, 23]);
});

test("List is an array, and its free slots keep nothing alive that was in it", () => {
  const random = seededRandom(7);
  const [list, model] = [new List(), [] as string[]];
  for (let step = 0; step < 5000; step++) {
    const item = `item ${step}`;
    // Longer for a while, then shorter, so that the ring grows, wraps around and shrinks.
    const grows = random.u32() % 10 < (step % 400 < 200 ? 7 : 3);
    const left = random.u32() % 2 === 0;
    if (grows && left) [list.pushLeft(item), model.unshift(item)];
    else if (grows) [list.pushRight(item), model.push(item)];
    else if (model.length > 0 && random.u32() % 4 === 0) {
      const place = random.u32() % model.length;
      [list.remove([place]), model.splice(place, 1)];
    } else if (left) assert.equal(list.popLeft(), model.shift());
    else assert.equal(list.popRight(), model.pop());
    assert.deepEqual([...list.slice()], model);
    // The ring has at least so many slots, and at() reads on behind the last element.
    const slots = Math.max(4, 2 ** Math.ceil(Math.log2(list.size)));
    const free = Array.from({ length: slots - list.size }, (_, i) => list.at(list.size + i));
    assert.deepEqual(new Set(free), new Set(free.length > 0 ? [undefined] : []), `step ${step}`);
  }
});

/** The account of a store that holds the same, built anew. */
function anew(store: Engine): number {
  const copy = new Engine({ host: store.host });
  for (const argv of store.dump()) copy.load(argv);
  return copy.keys.bytes;
}

test("the account of memory is what the data costs, whatever the way to it", () => {
  const { ask, store } = fixture();
  const empty = store.keys.bytes;
  const random = seededRandom(4);
  const pick = (...words: string[]): string => words[random.u32() % words.length]!;
  const key = (): string => pick("a", "b", "c", "d");
  const item = (): string => "x".repeat(random.u32() % 30);
  const commands: (() => string[])[] = [
    () => ["SET", key(), item(), ...(random.u32() % 2 === 0 ? ["EX", "100"] : [])],
    () => ["APPEND", key(), item()],
    () => ["SADD", key(), item(), item()],
    () => ["SREM", key(), item()],
    () => ["SPOP", key(), pick("1", "99")],
    () => ["HSET", key(), item(), item(), item(), item()],
    () => ["HDEL", key(), item()],
    () => [pick("LPUSH", "RPUSH"), key(), item(), item(), item()],
    () => [pick("LPOP", "RPOP"), key(), "2"],
    () => ["LREM", key(), "0", item()],
    () => ["LTRIM", key(), "1", "-2"],
    () => ["LMOVE", key(), key(), "LEFT", "RIGHT"],
    () => ["SMOVE", key(), key(), item()],
    () => ["SUNIONSTORE", key(), key(), key()],
    () => ["RENAME", key(), key()],
    () => ["COPY", key(), key(), "REPLACE"],
    () => ["EXPIRE", key(), pick("50", "-1")],
    () => ["PERSIST", key()],
    () => ["DEL", key()],
    () => ["GETDEL", key()],
    () => ["MSET", key(), item(), key(), item()],
    () => ["INCR", key()],
  ];
  for (let i = 0; i < 4000; i++) {
    ask(...commands[random.u32() % commands.length]!());
    // A set that was large keeps its index: then the same, built anew, is cheaper.
    if (i % 10 === 0) {
      assert.ok(
        store.keys.bytes >= anew(store) && store.keys.bytes <= anew(store) + 4 * 8 * 60,
        `step ${i}`,
      );
    }
  }
  ask("DEL", "a", "b", "c", "d");
  assert.equal(store.keys.bytes, empty);
  ask("HSET", "h", "f", "v");
  ask("SET", "k", "v", "EX", "100");
  const before = store.keys.bytes;
  assert.equal(before, anew(store));
  const bringBack = store.setAside();
  assert.equal(store.keys.bytes, empty);
  bringBack();
  assert.equal(store.keys.bytes, before);
  ask("FLUSHALL");
  assert.equal(store.keys.bytes, empty);
});

test("the account of one of each is what memory.ts says", () => {
  const { ask, store } = fixture();
  const empty = store.keys.bytes;
  const cost = (...argv: string[]): number => {
    const before = store.keys.bytes;
    ask(...argv);
    return store.keys.bytes - before;
  };
  const [string, slot, ringSlot, index, collection, array] = [20, 10, 12, 56, 128, 192];
  const key = string + 2 * slot;
  assert.equal(cost("SET", "key", "value"), key + 3 + string + 5);
  assert.equal(cost("SET", "key", "longer"), 1);
  assert.equal(cost("EXPIRE", "key", "100"), index + 16 + 6 * slot);
  assert.equal(cost("PERSIST", "key"), -(index + 16 + 6 * slot));
  assert.equal(cost("SADD", "s", "one"), key + 1 + collection + array + string + slot + 3);
  assert.equal(
    cost("HSET", "h", "f", "v"),
    key + 1 + collection + 2 * array + 2 * (string + slot + 1),
  );
  assert.equal(cost("HSET", "h", "g", "value"), 2 * string + 2 * slot + 6);
  assert.equal(cost("HSET", "h", "g", "v"), -4);
  assert.equal(cost("HDEL", "h", "g"), -(2 * string + 2 * slot + 2));
  assert.equal(cost("RPUSH", "l", "one"), key + 1 + collection + string + ringSlot + 3);
  const [item, items] = [string + ringSlot + 1, ["2", "3", "4", "5", "6", "7", "8"]];
  assert.equal(cost("RPUSH", "l", ...items), 7 * item);
  assert.equal(cost("RPOP", "l"), -item);
  assert.equal(cost("LREM", "l", "0", "4"), -item);
  assert.equal(cost("LTRIM", "l", "0", "-2"), -item);
  assert.equal(cost("LPOP", "l"), -item - 2);
  // From the ninth on there is an index, of all of them.
  ask("SADD", "s", "2", "3", "4", "5", "6", "7", "8");
  assert.equal(cost("SADD", "s", "9"), string + slot + 1 + 9 * index);
  assert.equal(cost("SREM", "s", "9"), -(string + slot + 1 + index));
  ask("DEL", "key", "s", "h", "l");
  assert.equal(store.keys.bytes, empty);
});

test("what adds is refused beyond maxmemory, and what reads, removes or leaves as it " +
  "is, is not", () => {
  const { ask, store } = fixture({ memory: { maxMemory: 100_000 } });
  ask("SET", "k", "v");
  ask("RPUSH", "l", "x");
  ask("SADD", "s", "m");
  let i = 0;
  while (ask("SET", `k${i}`, "v".repeat(1000)) === "OK") i++;
  assert.ok(
    store.keys.bytes > 100_000 && store.keys.bytes < 102_000,
    "refused when there is too much, not before",
  );
  for (const argv of [
    ["SET", "k", ""],
    ["APPEND", "k", ""],
    ["MSET", "k", "v"],
    ["SADD", "s", "m"],
    ["HSET", "h", "f", "v"],
    ["LPUSH", "l", "x"],
    ["INCR", "n"],
    ["SETRANGE", "k", "1", "x"],
    ["COPY", "k", "c"],
    ["SUNIONSTORE", "t", "s"],
    ["LMOVE", "l", "l", "LEFT", "LEFT"],
    ["BLMOVE", "l", "l", "LEFT", "LEFT", "0"],
    ["RPOPLPUSH", "none", "l"],
    ["HINCRBY", "h", "f", "1"],
    ["GETSET", "k", "v"],
  ]) {
    assert.deepEqual(ask(...argv), OOM, argv.join(" "));
  }
  for (const argv of [
    ["GET", "k"],
    ["SUNION", "s"],
    ["EXPIRE", "k", "100"],
    ["PERSIST", "k"],
    ["GETEX", "k", "EX", "5"],
    ["RENAME", "k", "k2"],
    ["SMOVE", "s", "s2", "m"],
    ["SREM", "s2", "m"],
    ["PUBLISH", "c", "m"],
    ["BLPOP", "l", "0"],
    ["DELEX", "k2"],
    ["UNLINK", "none"],
  ]) {
    assert.notDeepEqual(ask(...argv), OOM, argv.join(" "));
  }
  ask("DEL", "k0", "k1");
  assert.equal(ask("SET", "k", "v"), "OK");
  assert.match(
    ask("INFO", "memory") as string,
    /used_memory:\d+\r\n.*maxmemory:100000\r\nmaxmemory_policy:noeviction/s,
  );
});

test("a transaction that adds is refused as a whole when memory has run out, others run", () => {
  const { ask, client, store } = fixture({ memory: { maxMemory: 10_000 } });
  const other = client();
  ask("MULTI");
  ask("SET", "k", "v");
  other.ask("SET", "big", "v".repeat(20_000));
  assert.deepEqual(
    ask("EXEC"),
    new Refusal(`EXECABORT Transaction discarded because of: ${OOM.text}`),
  );
  assert.equal(store.keys.has("k"), false);
  ask("MULTI");
  assert.deepEqual(ask("SET", "k", "v"), OOM);
  assert.equal(ask("GET", "k"), "QUEUED");
  assert.deepEqual(
    ask("EXEC"),
    new Refusal("EXECABORT Transaction discarded because of previous errors."),
  );
  ask("MULTI");
  ask("DEL", "big");
  assert.deepEqual(ask("EXEC"), [1]);
});

test("CONFIG SET maxmemory reads sizes as Redis does and takes no more than the heap holds", () => {
  const { ask } = fixture({ memory: { ceiling: 10 * MIB } });
  const get = (): Reply => (ask("CONFIG", "GET", "maxmemory") as string[])[1]!;
  assert.equal(get(), String(10 * MIB));
  for (const [text, bytes] of [
    ["100", 100],
    ["100b", 100],
    ["1k", 1000],
    ["1KB", 1024],
    ["2m", 2_000_000],
    ["2Mb", 2 * MIB],
    ["10mb", 10 * MIB],
  ] as const) {
    assert.equal(ask("CONFIG", "SET", "maxmemory", text), "OK", text);
    assert.equal(get(), String(bytes), text);
  }
  const refused = (text: string): string =>
    (ask("CONFIG", "SET", "maxmemory", text) as Refusal).text;
  for (const text of ["", "x", "-1", "1.5gb", "10x", "1 gb", "9999999999999999"]) {
    assert.match(refused(text), /argument must be a memory value$/, text);
  }
  assert.match(
    refused("10485761"),
    /this process holds at most 10485760; node --max-old-space-size=MiB takes more$/,
  );
  assert.equal(ask("CONFIG", "SET", "maxmemory", "0"), "OK");
  assert.equal(get(), String(10 * MIB), "0: as much as the heap takes");
  assert.equal(parseMemory("1g"), 1e9);
  assert.equal(parseMemory("1gb"), 2 ** 30);
  assert.equal(memoryCeiling(1000), 600);
  assert.equal(ask("CONFIG", "SET", "maxmemory-policy", "noeviction"), "OK");
  assert.match(
    (ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru") as Refusal).text,
    /there is no eviction here$/,
  );
  assert.throws(
    () => fixture({ memory: { maxMemory: 11, ceiling: 10 } }),
    /Cannot hold 11 bytes: this process holds at most 10/,
  );
  fixture({ memory: { maxMemory: 10, ceiling: 10 } });
});

test("a value takes as many entries as may be, and not one more", () => {
  const { ask } = fixture({ memory: { maxEntries: 10 } });
  const names = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, i) => `m${from + i}`);
  const pairs = (from: number, to: number): string[] =>
    names(from, to).flatMap((name) => [name, "v"]);
  assert.equal(ask("SADD", "s", ...names(0, 10)), 10);
  assert.deepEqual(ask("SADD", "s", "m9", "m10"), OOM);
  assert.equal(ask("SADD", "s", ...names(0, 10)), 0, "those that are there are no more");
  assert.equal(ask("SREM", "s", "m9"), 1);
  assert.deepEqual(ask("SADD", "s", "m10", "m11"), OOM);
  assert.equal(ask("SADD", "s", "m9"), 1);
  assert.equal(ask("HSET", "h", ...pairs(0, 10)), 10);
  assert.deepEqual(ask("HSET", "h", ...pairs(9, 11)), OOM);
  assert.deepEqual(ask("HSET", "new", ...pairs(0, 11)), OOM);
  assert.equal(ask("EXISTS", "new"), 0, "no part of it");
  assert.equal(ask("HDEL", "h", "m9"), 1);
  assert.deepEqual(ask("HSET", "h", "m10", "v", "m11", "v"), OOM);
  assert.equal(ask("HLEN", "h"), 9, "neither of the two");
  assert.equal(ask("HSET", "h", "m9", "v", "m9", "v"), 1);
  assert.equal(ask("HSET", "h", "m1", "w", "m1", "x"), 0);
  assert.deepEqual(ask("HSETNX", "h", "m10", "v"), OOM);
  assert.deepEqual(ask("HINCRBY", "h", "m10", "1"), OOM);
  assert.equal(ask("HSETNX", "h", "m1", "v"), 0);
  assert.equal(ask("RPUSH", "l", ...names(0, 10)), 10);
  assert.deepEqual(ask("RPUSH", "l", "x"), OOM);
  assert.deepEqual(ask("LPUSH", "l", "x"), OOM);
  assert.equal(ask("LMOVE", "l", "l", "LEFT", "RIGHT"), "m0");
  ask("RPUSH", "one", "x");
  assert.deepEqual(ask("LMOVE", "one", "l", "LEFT", "RIGHT"), OOM);
  assert.equal(ask("RPOP", "l"), "m0");
  assert.equal(ask("RPOPLPUSH", "one", "l"), "x");
  assert.equal(ask("RPUSH", "one", "x"), 1);
  ask("SADD", "t", "other");
  assert.deepEqual(ask("SUNIONSTORE", "u", "s", "t"), OOM);
  assert.equal(ask("SUNIONSTORE", "u", "s", "s"), 10);
  assert.equal((ask("SUNION", "s", "t") as string[]).length, 11, "an answer is no value");
  assert.equal(ask("LLEN", "l"), 10);
  assert.deepEqual(ask("LRANGE", "one", "0", "-1"), ["x"]);
});

test("maxmemory is the last number of bytes at which something may be added", () => {
  const { ask, store } = fixture();
  ask("SET", "k", "v");
  ask("CONFIG", "SET", "maxmemory", String(store.keys.bytes - 1));
  assert.deepEqual(ask("SET", "k", "w"), OOM);
  ask("CONFIG", "SET", "maxmemory", String(store.keys.bytes));
  assert.equal(ask("SET", "k", "w"), "OK");
});

test("there are as many keys as may be, and not one more", () => {
  const { ask } = fixture({ memory: { maxEntries: 3 } });
  for (const key of ["a", "b", "c"]) assert.equal(ask("SET", key, "v"), "OK");
  assert.deepEqual(ask("SET", "d", "v"), OOM);
  assert.equal(ask("DEL", "a"), 1);
  assert.equal(ask("SET", "d", "v"), "OK");
});

test("an empty store costs what its table does, also after FLUSHALL", () => {
  const { ask, store } = fixture();
  assert.equal(store.keys.bytes, 128 + 2 * 192);
  ask("SADD", "s", "m");
  ask("FLUSHALL");
  assert.equal(store.keys.bytes, 128 + 2 * 192);
});

test("a transaction queues so many bytes: 24 an argument, and its own", () => {
  const { ask } = fixture();
  const most = 128 * MIB - (24 + "ECHO".length) - 24;
  for (const [length, answer] of [[most, "QUEUED"], [most + 1, "ERR"], [most, "QUEUED"]] as const) {
    assert.equal(ask("MULTI"), "OK");
    const found = ask("ECHO", "x".repeat(length));
    assert.equal(found instanceof Refusal ? found.text.slice(0, 3) : found, answer);
    assert.equal(ask("DISCARD"), "OK");
  }
});

test("a batch ends with the pair that makes it a mebibyte", () => {
  const sizes = (...lengths: number[]): number[][] =>
    [...batches(["h"], lengths.map((length) => "x".repeat(length)))]
      .map(([, ...items]) => items.map(({ length }) => length));
  assert.deepEqual(sizes(MIB - 1, 1, 1), [[MIB - 1, 1], [1]]);
  assert.deepEqual(sizes(MIB - 2, 1, 1, 1, MIB - 1, 1), [[MIB - 2, 1, 1, 1], [MIB - 1, 1]]);
  assert.deepEqual(sizes(MIB - 2, 1), [[MIB - 2, 1]]);
  assert.deepEqual(sizes(MIB - 1, 1, MIB - 2, 1, 1), [[MIB - 1, 1], [MIB - 2, 1, 1]]);
  assert.deepEqual(sizes(MIB, 1), [[MIB, 1]]);
});

test("a value of many appends is as large as its bytes", () => {
  const store = new Engine({ host: nodeHost() });
  const out = new ReplyBuffer();
  const session = store.session({ out });
  const append = (times: number): void => {
    for (let i = 0; i < times; i++) store.execute(session, ["APPEND", "log", "x"]);
    assert.equal(out.take().length, times);
  };
  append(10_000);
  const before = held();
  for (let round = 0; round < 20; round++) append(5000);
  assert.ok(held() - before < 1_500_000, `${held() - before} bytes more for 100,000`);
  store.close();
});

test("a list that has become short gives its room back, whatever took the elements", () => {
  for (const [what, take] of [
    ["popLeft", (list: List) => list.popLeft()],
    ["popRight", (list: List) => list.popRight()],
    ["remove", (list: List) => list.remove([...Array(list.size - 2).keys()])],
  ] as const) {
    const before = held();
    const list = new List();
    for (let i = 0; i < 300_000; i++) list.pushRight("x");
    const full = held() - before;
    while (list.size > 2) take(list);
    const left = held() - before;
    assert.ok(full > 3_000_000 && left < 1_000_000, `${what}: ${full} bytes, and then ${left}`);
    assert.equal(list.size, 2);
  }
});

test("a value is dumped in commands of 64 elements, or of a mebibyte", () => {
  const { ask, store } = fixture();
  const words = Array.from({ length: 130 }, (_, i) => `word ${i}`);
  const large = Array.from({ length: 5 }, (_, i) => `${i}`.padEnd(MIB / 2));
  ask("RPUSH", "list", ...words);
  ask("RPUSH", "even", ...words.slice(0, 128));
  ask("HSET", "hash", ...words);
  ask("RPUSH", "mixed", ...large.slice(0, 2), ...words.slice(0, 64));
  ask("RPUSH", "large list", ...large);
  ask("HSET", "large hash", ...large, "last");
  const counts = [...store.dump()].map(([name, key, ...rest]) => [name, key, rest.length]);
  assert.deepEqual(counts, [
    ["RPUSH", "list", 64], ["RPUSH", "list", 64], ["RPUSH", "list", 2],
    ["RPUSH", "even", 64], ["RPUSH", "even", 64],
    ["HSET", "hash", 64], ["HSET", "hash", 64], ["HSET", "hash", 2],
    ["RPUSH", "mixed", 2], ["RPUSH", "mixed", 64],
    ["RPUSH", "large list", 2], ["RPUSH", "large list", 2], ["RPUSH", "large list", 1],
    ["HSET", "large hash", 2], ["HSET", "large hash", 2], ["HSET", "large hash", 2],
  ]);
});

test("a copy of a value that would be too much is refused before it is made", () => {
  const { ask, store } = fixture({ memory: { maxMemory: 1_600_000 } });
  const members = (n: number): string[] =>
    Array.from({ length: 4000 }, (_, i) => `${n} ${i}`.padEnd(60));
  ask("SADD", "a", ...members(1));
  ask("SADD", "b", ...members(2));
  const before = store.keys.bytes;
  assert.ok(before > 1_000_000 && before < 1_600_000);
  assert.deepEqual(ask("SUNIONSTORE", "c", "a", "b"), OOM);
  assert.deepEqual(ask("SUNION", "a", "b"), OOM, "a read that gathers is bounded too");
  assert.equal(store.keys.bytes, before);
  assert.deepEqual(ask("COPY", "a", "c"), OOM);
  ask("DEL", "b");
  assert.equal(ask("COPY", "a", "c"), 1);
  assert.equal(ask("DEL", "c"), 1);
  ask("SADD", "b", "m");
  assert.equal(ask("SUNIONSTORE", "c", "a", "b"), 4001);
  ask("FLUSHALL");
  ask("SET", "s", "x".repeat(1_000_000));
  assert.deepEqual(ask("COPY", "s", "c"), OOM);
});

test("a store whose log holds more than it may have comes up, reads, and takes again when there " +
  "is room", async () => {
  const world = new SimWorld({ seed: 1 });
  const open = (maxMemory?: number) =>
    world.settle(
      openStore({
        host: world.host("s"),
        dir: "/data/store",
        memory: { maxMemory, maxEntries: maxMemory === undefined ? 100 : 5 },
      }),
    );
  const asker = (store: Engine) => {
    const out = new ReplyBuffer();
    const session: Session = store.session({ out });
    return (...argv: string[]): Reply => {
      store.execute(session, argv);
      return out.take()[0]!;
    };
  };
  const first = await open();
  const ask = asker(first.store);
  for (let i = 0; i < 20; i++) ask("SET", `k${i}`, "v".repeat(1000));
  for (const argv of [
    ["SADD", "s"],
    ["RPUSH", "l"],
  ]) {
    ask(...argv, ...Array.from({ length: 20 }, (_, i) => `m${i}`));
  }
  ask("HSET", "h", ...Array.from({ length: 20 }, (_, i) => `m${i}`));
  ask("LMOVE", "l", "l2", "LEFT", "LEFT");
  ask("SUNIONSTORE", "t", "s");
  ask("COPY", "s", "u");
  await world.settle(first.close());
  const second = await open(5000);
  const again = asker(second.store);
  assert.equal(second.store.keys.size, 26);
  assert.deepEqual(again("SET", "new", "v"), OOM);
  assert.equal((again("GET", "k7") as string).length, 1000);
  assert.equal((again("SUNION", "s", "u") as string[]).length, 20);
  again("DEL", "s", "l", "t", "u", "h", "l2", ...Array.from({ length: 19 }, (_, i) => `k${i}`));
  assert.equal(again("SET", "new", "v"), "OK");
  await world.settle(second.close());
});

test("SRANDMEMBER draws different members, a few of many or most of them", () => {
  const { ask } = fixture();
  const members = Array.from({ length: 64 }, (_, i) => `m${i}`);
  ask("SADD", "s", ...members);
  for (const wanted of [1, 3, 4, 5, 63]) {
    const seen = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const drawn = ask("SRANDMEMBER", "s", String(wanted)) as string[];
      assert.equal(new Set(drawn).size, wanted);
      for (const each of drawn) seen.add(each);
    }
    assert.equal(seen.size, 64, `${wanted} at a time, all come up`);
  }
});
