/** What happens to others: published messages, waits that end, transactions that are watched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "#store";
import { fixture } from "./15-store.support.ts";

test("BLPOP takes at once what is there, from the first of its keys that has something", () => {
  const { ask, groups } = fixture();
  ask("RPUSH", "b", "1", "2");
  assert.deepEqual(ask("BLPOP", "a", "b", "0"), ["b", "1"]);
  assert.deepEqual(ask("BRPOP", "a", "b", "0"), ["b", "2"]);
  assert.deepEqual(groups.slice(1), [[["lpop", "b"]], [["rpop", "b"]]]);
});

test("a wait of a millisecond, or of a part of one, ends after a millisecond", async () => {
  for (const seconds of ["0.001", "0.0001"]) {
    const { store, session, time, heard } = fixture();
    store.execute(session, ["BLPOP", "l", seconds]);
    await time.run(0.5);
    assert.deepEqual(heard(), []);
    await time.run(1);
    assert.deepEqual(heard(), [null]);
  }
});

test("a subscriber may go on, ping and leave; MULTI ends with EXEC, DISCARD, QUIT, RESET", () => {
  const { client } = fixture();
  for (const [argv, isAllowed] of [
    ["PING", true], ["SUBSCRIBE c", true], ["UNSUBSCRIBE c", true], ["PSUBSCRIBE c", true],
    ["PUNSUBSCRIBE c", true], ["QUIT", true], ["RESET", true], ["GET k", false],
    ["MULTI", false],
  ] as const) {
    const { ask } = client();
    ask("SUBSCRIBE", "news");
    assert.equal(!(ask(...argv.split(" ")) instanceof Refusal), isAllowed, argv);
  }
  for (const [argv, answer] of [
    ["EXEC", []], ["DISCARD", "OK"], ["QUIT", "OK"], ["RESET", "RESET"], ["PING", "QUEUED"],
    ["MULTI", new Refusal("ERR MULTI calls can not be nested")],
    ["WATCH k", new Refusal("ERR WATCH inside MULTI is not allowed")],
  ] as const) {
    const { ask } = client();
    assert.equal(ask("MULTI"), "OK");
    assert.deepEqual(ask(...argv.split(" ")), answer, argv);
  }
});

test("BLPOP waits, and who came first is served first", () => {
  const { store, client, groups } = fixture();
  const [first, second, third, pusher] = [client(), client(), client(), client()];
  store.execute(first.session, ["BLPOP", "jobs", "0"]);
  store.execute(second.session, ["BRPOP", "other", "jobs", "0"]);
  store.execute(third.session, ["BLPOP", "jobs", "0"]);
  assert.deepEqual([first.heard(), second.heard(), third.heard()], [[], [], []]);
  assert.ok(first.session.blocked && second.session.blocked && third.session.blocked);
  assert.equal(
    pusher.ask("RPUSH", "jobs", "a", "b"),
    2,
    "the push is answered with the length before anyone was served",
  );
  assert.deepEqual(first.heard(), [["jobs", "a"]]);
  assert.deepEqual(second.heard(), [["jobs", "b"]]);
  assert.deepEqual(first.calls, { pushed: 1, unblocked: 1 });
  assert.deepEqual(third.heard(), []);
  assert.equal(pusher.ask("EXISTS", "jobs"), 0);
  assert.deepEqual(groups, [[["rpush", "jobs", "a", "b"]], [["lpop", "jobs"]], [["rpop", "jobs"]]]);
  pusher.ask("LPUSH", "other", "x");
  assert.equal(pusher.ask("LLEN", "other"), 1, "the second one waits for nothing any more");
  pusher.ask("RPUSH", "jobs", "c");
  assert.deepEqual(third.calls, { pushed: 1, unblocked: 1 }, "a later push tells them, too");
});

test("BLPOP is served after a whole transaction, and by RENAME and COPY too", () => {
  const { store, ask, client } = fixture();
  const [waiter, other] = [client(), client()];
  store.execute(waiter.session, ["BLPOP", "l", "0"]);
  for (const argv of [["MULTI"], ["RPUSH", "l", "a"], ["DEL", "l"], ["EXEC"]]) ask(...argv);
  assert.deepEqual(waiter.heard(), [], "there was a list, but not for anyone outside");
  for (const argv of [
    ["MULTI"],
    ["RPUSH", "l", "a"],
    ["RPUSH", "l", "b"],
    ["LPUSH", "l", "c"],
    ["EXEC"],
  ]) {
    ask(...argv);
  }
  assert.deepEqual(waiter.heard(), [["l", "c"]]);
  ask("DEL", "l");
  store.execute(waiter.session, ["BLPOP", "l", "0"]);
  store.execute(other.session, ["BLPOP", "l", "0"]);
  ask("RPUSH", "elsewhere", "moved");
  ask("RENAME", "elsewhere", "l");
  assert.deepEqual(waiter.heard(), [["l", "moved"]]);
  ask("RPUSH", "elsewhere", "copied");
  ask("COPY", "elsewhere", "l");
  assert.deepEqual(other.heard(), [["l", "copied"]]);
});

test("BLPOP that is served later looks at its keys in its own order, and refuses what " +
  "is no list", () => {
  const { store, ask, client } = fixture();
  const [first, second] = [client(), client()];
  store.execute(first.session, ["BLPOP", "k", "j", "0"]);
  store.execute(second.session, ["BRPOP", "j", "k", "0"]);
  for (const argv of [["MULTI"], ["RPUSH", "j", "1"], ["RPUSH", "k", "2"], ["EXEC"]]) ask(...argv);
  assert.deepEqual([first.heard(), second.heard()], [[["k", "2"]], [["j", "1"]]]);
  store.execute(first.session, ["BLPOP", "k", "j", "0"]);
  store.execute(second.session, ["BLPOP", "j", "0"]);
  ask("SET", "k", "text");
  ask("RPUSH", "j", "kept", "more");
  assert.match((first.heard()[0] as Refusal).text, /^WRONGTYPE/);
  assert.deepEqual(second.heard(), [["j", "kept"]]);
  assert.equal(first.session.blocked, undefined);
  assert.equal(ask("LLEN", "j"), 1);
});

test("BLPOP gives up after its time, to the millisecond, with nil", async () => {
  const { store, time, client } = fixture();
  const waiter = client();
  store.execute(waiter.session, ["BLPOP", "l", "0.25"]);
  await time.run(249);
  assert.deepEqual(waiter.heard(), []);
  await time.run(250);
  assert.deepEqual(waiter.heard(), [null]);
  assert.deepEqual(waiter.calls, { pushed: 1, unblocked: 1 });
  assert.equal(waiter.session.blocked, undefined);
  waiter.ask("RPUSH", "l", "x");
  assert.equal(waiter.ask("LLEN", "l"), 1, "nobody waits");
});

test("BLPOP may wait for longer than a timer can, and refuses times that are none", async () => {
  const { store, time, client, ask } = fixture();
  const waiter = client();
  const days = 40 * 86_400;
  store.execute(waiter.session, ["BLPOP", "l", String(days)]);
  await time.run(days * 1000 - 1);
  assert.deepEqual(waiter.heard(), []);
  await time.run(days * 1000);
  assert.deepEqual(waiter.heard(), [null]);
  assert.deepEqual(ask("BLPOP", "l", "-1"), new Refusal("ERR timeout is negative"));
  assert.deepEqual(
    ask("BLPOP", "l", "x"),
    new Refusal("ERR timeout is not a float or out of range"),
  );
  assert.deepEqual(
    ask("BLPOP", "l", ""),
    new Refusal("ERR timeout is not a float or out of range"),
  );
  assert.deepEqual(ask("BLPOP", "l", "1e300"), new Refusal("ERR timeout is out of range"));
  assert.deepEqual(
    ask("BLPOP", "l", "0x7FFFFFFFFFFFFFFF"),
    new Refusal("ERR timeout is out of range"),
  );
  assert.deepEqual(ask("BLPOP", "l", "inf"), new Refusal("ERR timeout is out of range"));
  // 2^63 ms at the most.
  assert.deepEqual(
    ask("BLPOP", "l", "9223372036854778"),
    new Refusal("ERR timeout is out of range"),
  );
  const patient = client();
  store.execute(patient.session, ["BLPOP", "l", "9223372036854775"]);
  assert.deepEqual(patient.heard(), []);
  assert.deepEqual(ask("BLPOP", "l", "-0x1"), new Refusal("ERR timeout is negative"));
  for (const wrong of ["0x", "0xZ", "0x1p", "1e400"]) {
    assert.deepEqual(
      ask("BLPOP", "l", wrong),
      new Refusal("ERR timeout is not a float or out of range"),
      wrong,
    );
  }
  // As C reads it: half a second, 1 + 15/16 s.
  for (const [text, ms] of [["0x.8", 500], ["0X1.Fp0", 1938]] as const) {
    const start = time.clock.monotonic();
    store.execute(waiter.session, ["BLPOP", "l", text]);
    await time.run(start + ms - 1);
    assert.deepEqual(waiter.heard(), [], text);
    await time.run(start + ms);
    assert.deepEqual(waiter.heard(), [null], text);
  }
});

test("BLPOP does not wait inside a transaction", () => {
  const { ask } = fixture();
  ask("MULTI");
  ask("BLPOP", "l", "0");
  ask("RPUSH", "l", "a");
  ask("BLPOP", "l", "0");
  assert.deepEqual(ask("EXEC"), [null, 1, ["l", "a"]]);
});

test("a client that goes away while it waits takes nothing", async () => {
  const { store, ask, client, time } = fixture();
  const waiter = client();
  store.execute(waiter.session, ["BLPOP", "l", "m", "10"]);
  assert.equal(store.blocking.size, 1);
  store.end(waiter.session);
  assert.equal(store.blocking.size, 0);
  ask("RPUSH", "l", "a");
  assert.equal(ask("LLEN", "l"), 1);
  await time.run();
  assert.deepEqual(waiter.heard(), []);
  assert.equal(time.now, 0, "its timer is gone");
});

test("those who are served may go on at once, and their commands serve " +
  "others, without recursion", () => {
  const { store, ask, client } = fixture();
  let depth = 0;
  let deepest = 0;
  const chain = Array.from({ length: 500 }, (_, i) => {
    const each = client({
      onUnblocked: () => {
        deepest = Math.max(deepest, ++depth);
        store.execute(each.session, ["RPUSH", `l${i + 1}`, "baton"]);
        depth--;
      },
    });
    store.execute(each.session, ["BLPOP", `l${i}`, "0"]);
    return each;
  });
  ask("RPUSH", "l0", "baton");
  assert.equal(ask("LPOP", "l500"), "baton");
  assert.equal(deepest, 1);
  assert.deepEqual(chain[250]!.heard(), [["l250", "baton"], 1]);
});

test("PUBLISH reaches subscribers of the channel and of matching patterns, and counts them", () => {
  const { ask, client, store } = fixture();
  const [plain, globbed, both] = [client(), client(), client({ protocol: 3 })];
  assert.deepEqual(plain.ask("SUBSCRIBE", "news"), ["subscribe", "news", 1]);
  assert.deepEqual(globbed.ask("PSUBSCRIBE", "n*"), ["psubscribe", "n*", 1]);
  store.execute(both.session, ["SUBSCRIBE", "news", "news", "other"]);
  assert.deepEqual(both.heard(), [
    ["subscribe", "news", 1],
    ["subscribe", "news", 1],
    ["subscribe", "other", 2],
  ]);
  both.ask("PSUBSCRIBE", "*");
  assert.equal(ask("PUBLISH", "news", "hello"), 4);
  assert.deepEqual(plain.heard(), [["message", "news", "hello"]]);
  assert.deepEqual(globbed.heard(), [["pmessage", "n*", "news", "hello"]]);
  assert.deepEqual(both.heard(), [
    ["message", "news", "hello"],
    ["pmessage", "*", "news", "hello"],
  ]);
  assert.equal(plain.calls.pushed, 1);
  assert.equal(ask("PUBLISH", "nobody", "x"), 2, "two patterns match");
  assert.deepEqual(globbed.heard(), [["pmessage", "n*", "nobody", "x"]]);
  assert.deepEqual(ask("PUBSUB", "CHANNELS"), ["news", "other"]);
  assert.deepEqual(ask("PUBSUB", "CHANNELS", "o*"), ["other"]);
  assert.deepEqual(ask("PUBSUB", "NUMSUB", "news", "nobody"), ["news", 2, "nobody", 0]);
  assert.equal(ask("PUBSUB", "NUMPAT"), 2);
  store.end(both.session);
  assert.deepEqual(ask("PUBSUB", "CHANNELS"), ["news"]);
  assert.deepEqual(plain.ask("UNSUBSCRIBE"), ["unsubscribe", "news", 0]);
  assert.deepEqual(plain.ask("UNSUBSCRIBE"), ["unsubscribe", null, 0]);
  assert.deepEqual(plain.ask("PUNSUBSCRIBE", "never"), ["punsubscribe", "never", 0]);
  assert.equal(ask("PUBLISH", "news", "x"), 1, "the glob is left");
});

test("a RESP2 client with subscriptions may do little else; a RESP3 client anything", () => {
  const { ask, client } = fixture();
  const two = client();
  two.ask("SUBSCRIBE", "c");
  assert.match(
    (two.ask("GET", "k") as Refusal).text,
    /^ERR Can't execute 'get': only \(P\|S\)SUBSCRIBE/,
  );
  assert.match(
    (two.ask("CLIENT", "GETNAME") as Refusal).text,
    /^ERR Can't execute 'client\|getname': only/,
  );
  assert.deepEqual(two.ask("PING"), ["pong", ""]);
  assert.deepEqual(two.ask("PING", "x"), ["pong", "x"]);
  assert.equal(two.ask("RESET"), "RESET");
  assert.equal(two.ask("GET", "k"), null);
  const three = client({ protocol: 3 });
  three.ask("SUBSCRIBE", "c");
  assert.equal(three.ask("GET", "k"), null);
  assert.equal(ask("PUBLISH", "c", "x"), 1);
});

test("a message to the publisher itself comes behind its answer, a transaction's included", () => {
  const { client, store } = fixture();
  const self = client({ protocol: 3 });
  self.ask("SUBSCRIBE", "c");
  store.execute(self.session, ["PUBLISH", "c", "x"]);
  assert.deepEqual(self.heard(), [1, ["message", "c", "x"]]);
  for (const argv of [["MULTI"], ["PUBLISH", "c", "y"], ["SET", "k", "v"]]) self.ask(...argv);
  store.execute(self.session, ["EXEC"]);
  assert.deepEqual(self.heard(), [[1, "OK"], ["message", "c", "y"]]);
});

test("EXEC refuses what could not be queued, and MULTI's family its misuse", () => {
  const { ask } = fixture();
  assert.deepEqual(ask("EXEC"), new Refusal("ERR EXEC without MULTI"));
  assert.deepEqual(ask("DISCARD"), new Refusal("ERR DISCARD without MULTI"));
  ask("MULTI");
  assert.deepEqual(ask("MULTI"), new Refusal("ERR MULTI calls can not be nested"));
  assert.deepEqual(ask("WATCH", "k"), new Refusal("ERR WATCH inside MULTI is not allowed"));
  ask("SET", "k", "v");
  assert.deepEqual(ask("EXEC"), ["OK"], "those two are no reason to give up");
  ask("MULTI");
  ask("SET", "k", "w");
  ask("NOSUCH");
  assert.deepEqual(
    ask("EXEC"),
    new Refusal("EXECABORT Transaction discarded because of previous errors."),
  );
  assert.equal(ask("GET", "k"), "v");
  ask("MULTI");
  ask("SET", "k", "w");
  assert.equal(ask("DISCARD"), "OK");
  assert.equal(ask("GET", "k"), "v");
  ask("MULTI");
  assert.deepEqual(
    ask("EXEC", "x"),
    new Refusal(
      "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
    ),
  );
  assert.deepEqual(ask("EXEC"), new Refusal("ERR EXEC without MULTI"));
});

test("a transaction that is given up, in whatever way, watches nothing any more", () => {
  for (const end of [["DISCARD"], ["EXEC", "x"], ["RESET"]]) {
    const { ask, client } = fixture();
    ask("WATCH", "k");
    ask("MULTI");
    ask(...end);
    client().ask("SET", "k", "v");
    assert.equal(ask("MULTI"), "OK");
    assert.deepEqual(ask("EXEC"), [], end.join(" "));
  }
});

test("EXEC propagates one group, without those that changed nothing", () => {
  const { ask, groups } = fixture();
  for (const argv of [
    ["MULTI"],
    ["SET", "k", "v"],
    ["GET", "k"],
    ["SADD", "k", "x"],
    ["SETEX", "e", "10", "v"],
    ["DEL", "nosuch"],
    ["EXEC"],
  ]) {
    ask(...argv);
  }
  assert.deepEqual(groups, [[["set", "k", "v"], ["set", "e", "v", "PXAT", "1704067210000"]]]);
  for (const argv of [["MULTI"], ["INCR", "n"], ["INCR", "m"], ["EXEC"]]) ask(...argv);
  assert.deepEqual(groups.slice(1), [[["incr", "n"], ["incr", "m"]]]);
});

test("WATCH sees every kind of change, and none where there is none", async () => {
  const changes: readonly [change: string, touched: boolean][] = [
    ["SET k x", true],
    ["DEL k", true],
    ["RENAME k other", true],
    ["RENAME other k", true],
    ["RENAME k k", false],
    ["EXPIRE k 10", true],
    ["FLUSHALL", true],
    ["APPEND k x", true],
    ["GET k", false],
    ["SET k x NX", false],
    ["SET elsewhere x", false],
    ["SADD k x", false],
    ["PERSIST k", false],
    ["DEL nosuch", false],
  ];
  for (const [change, touched] of changes) {
    const { ask, client } = fixture();
    const other = client();
    ask("MSET", "k", "v", "other", "w");
    ask("WATCH", "k");
    other.ask(...change.split(" "));
    ask("MULTI");
    assert.deepEqual(ask("EXEC"), touched ? null : [], change);
    ask("WATCH", "k");
    other.ask(...change.split(" "));
    ask("UNWATCH");
    ask("MULTI");
    assert.deepEqual(ask("EXEC"), [], `${change}, after UNWATCH`);
  }
  const { ask, store, time } = fixture();
  store.keys.expiry.run(false); // only lazily, here
  ask("SET", "k", "v", "PX", "100");
  ask("SET", "dead", "v", "PX", "100");
  ask("WATCH", "k");
  await time.run(100);
  ask("MULTI");
  assert.equal(ask("EXEC"), null, "its end is a change");
  ask("WATCH", "dead");
  ask("MULTI");
  assert.deepEqual(ask("EXEC"), [], "one that was dead before is not");
  store.role = "replica"; // which only hides it
  store.load(["set", "hidden", "v", "PXAT", String(store.host.clock.wall() + 10)]);
  ask("WATCH", "hidden");
  await time.run(time.now + 10);
  ask("MULTI");
  assert.equal(ask("EXEC"), null);
});

test("a command that finds nothing to do is no change: nothing is logged, nobody is told", () => {
  const { ask, groups } = fixture();
  ask("RPUSH", "list", "a");
  ask("SADD", "set", "a");
  ask("HSET", "hash", "f", "a");
  groups.length = 0;
  for (const change of [
    "LPOP list 0",
    "LREM list 0 nosuch",
    "SADD set a",
    "SREM set nosuch",
    "SPOP set 0",
    "HDEL hash nosuch",
    "SDIFFSTORE nosuch set set",
    "PERSIST set",
    "RENAME list list",
  ]) {
    ask("WATCH", "list", "set", "hash", "nosuch");
    ask(...change.split(" "));
    ask("MULTI");
    assert.deepEqual(ask("EXEC"), [], change);
    assert.deepEqual(groups, [], change);
  }
});

test("whatever takes something out of a collection, or puts something in, is a change", () => {
  for (const change of [
    "LPOP list", "RPOP list 2", "RPUSH list x", "LREM list 1 a", "LTRIM list 0 0",
    "LMOVE list new LEFT LEFT", "SADD set x", "SREM set a", "SPOP set", "SPOP set 9",
    "SMOVE set new a", "HSET hash x y", "HSET hash f y", "HDEL hash f", "HINCRBY hash n 1",
  ]) {
    const { ask } = fixture();
    ask("RPUSH", "list", "a", "b", "c");
    ask("SADD", "set", "a", "b", "c");
    ask("HSET", "hash", "f", "a", "g", "b");
    ask("WATCH", change.split(" ")[1]!);
    ask(...change.split(" "));
    ask("MULTI");
    assert.equal(ask("EXEC"), null, change);
  }
});

test("SMOVE changes both sets", () => {
  const { ask } = fixture();
  ask("SADD", "set", "a", "b");
  ask("SADD", "other", "c");
  ask("WATCH", "other");
  ask("SMOVE", "set", "other", "a");
  ask("MULTI");
  assert.equal(ask("EXEC"), null);
});

test("what a client keeps is counted once for each name, and given back", async () => {
  const { store, client, time } = fixture();
  const [first, other] = [client({ protocol: 3 }), client()];
  const { session } = first;
  const cost = (...words: string[][]): number => {
    for (const argv of words) store.execute(session, argv);
    return session.keptBytes;
  };
  const one = cost(["WATCH", "name"]);
  assert.ok(one > "name".length);
  assert.equal(cost(["WATCH", "name", "same"], ["WATCH", "same"]), 2 * one);
  assert.equal(
    cost(["SUBSCRIBE", "name", "name"], ["PSUBSCRIBE", "nam*"], ["PSUBSCRIBE", "nam*"]),
    4 * one,
  );
  assert.equal(cost(["BLPOP", "wait", "wait", "5"]), 5 * one);
  await time.run(5000);
  assert.equal(session.keptBytes, 4 * one);
  cost(["BLPOP", "wait", "0"]);
  other.ask("RPUSH", "wait", "x");
  assert.equal(session.keptBytes, 4 * one);
  assert.equal(cost(["UNSUBSCRIBE", "none", "name"], ["PUNSUBSCRIBE"]), 2 * one);
  assert.equal(cost(["MULTI"], ["EXEC"]), 0);
  cost(["WATCH", "name"], ["SUBSCRIBE", "name"], ["BLPOP", "wait", "0"]);
  store.end(session);
  assert.equal(session.keptBytes, 0);
});

test("MULTI holds back a bounded amount", () => {
  const { ask, session } = fixture();
  ask("MULTI");
  const big = "x".repeat(32 * 1024 * 1024);
  for (let i = 0; i < 3; i++) assert.equal(ask("SET", "k", big), "QUEUED");
  assert.match((ask("SET", "k", big) as Refusal).text, /^ERR transaction exceeds/);
  assert.equal(ask("SET", "k", "small"), "QUEUED");
  assert.deepEqual(
    [session.queue, session.keptBytes],
    [[], 0],
    "nothing is kept for a transaction that will be refused",
  );
  assert.match((ask("EXEC") as Refusal).text, /^EXECABORT /);
  ask("MULTI");
  // 128 MiB, of which a command costs its bytes and 24 for each argument.
  for (let i = 0; i < 3; i++) ask("SET", "k", big);
  const rest = 128 * 1024 * 1024 - 3 * (big.length + 76) - 76;
  assert.equal(ask("SET", "k", big.slice(0, rest)), "QUEUED");
  assert.match((ask("PING") as Refusal).text, /^ERR transaction exceeds/);
  for (let round = 0; round < 2; round++) {
    ask("DISCARD");
    ask("MULTI");
    for (let i = 0; i < 3; i++) assert.equal(ask("SET", "k", big), "QUEUED", "counted anew");
  }
});
