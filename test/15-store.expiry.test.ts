/** Keys that die, and pictures of a keyspace that goes on moving. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, VirtualTime } from "#host";
import { TimerHeap } from "#queue";
import { contents, fixture } from "./15-store.support.ts";

test("a store in which nothing expires arms no timer", async () => {
  const { ask, time } = fixture();
  ask("SET", "k", "v");
  ask("SET", "k", "v", "EX", "100");
  ask("PERSIST", "k");
  ask("SET", "k", "v", "EX", "100");
  ask("FLUSHALL");
  await time.run();
  assert.equal(time.now, 0);
});

test("keys die in time behind a FLUSHALL, and in a store that is a primary again", async () => {
  const { ask, time, store } = fixture();
  ask("SET", "early", "v", "PX", "100");
  ask("FLUSHALL");
  ask("SET", "k", "v", "PX", "200");
  await time.run(250);
  assert.equal(store.keys.size, 0);
  ask("SET", "k", "v", "PX", "100");
  store.role = "replica";
  await time.run(1000);
  assert.deepEqual([store.keys.size, store.stats.expired], [1, 1], "a replica waits to be told");
  store.role = "primary";
  await time.run(1010);
  assert.equal(store.keys.size, 0);
});

test("the active cycle keeps to its bound, and comes again until all is done", async () => {
  const { ask, time, store } = fixture();
  for (let i = 0; i < 2000; i++) ask("SET", `k${i}`, "v", "PX", "100");
  await time.run(100);
  assert.equal(store.keys.size, 1500, "a cycle removes 500 keys");
  await time.run(101);
  assert.equal(store.keys.size, 1000, "clients have a millisecond, and another cycle comes");
  await time.run(103);
  assert.equal(store.keys.size, 0);
  assert.equal(store.stats.expired, 2000);
  await time.run();
  assert.ok(time.now < 200, "no timer is left");
});

test("a deadline that is moved again and again costs no more than one", async () => {
  const { ask, time, store } = fixture();
  ask("SET", "k", "v");
  for (let i = 0; i < 10_000; i++) ask("PEXPIRE", "k", String(1000 + (i % 2)));
  ask("SET", "other", "v", "PX", "1001");
  await time.run(1000);
  assert.equal(store.keys.size, 2);
  // Ten thousand deadlines that count no more would keep the active cycle from these two for twenty
  // milliseconds.
  await time.run(1001);
  assert.equal(store.keys.size, 0);
});

test("a deadline further away than a timer reaches is met all the same", async () => {
  const { ask, time, store } = fixture();
  const days = 100 * 86_400_000;
  ask("SET", "k", "v", "PX", String(days));
  await time.run(days - 1);
  assert.equal(store.keys.size, 1);
  await time.run(days + 1);
  assert.equal(store.keys.size, 0);
});

test("an expiry is propagated as DEL before the effect of the command that met it", async () => {
  const { ask, time, groups, store } = fixture();
  store.keys.expiry.run(false); // only lazily, here
  ask("SET", "k", "5", "PX", "10");
  await time.run(10);
  assert.equal(ask("INCR", "k"), 1);
  assert.deepEqual(groups.slice(1), [[["del", "k"], ["incr", "k"]]]);
});

test("RANDOMKEY finds the one that lives among any number of dead ones", async () => {
  const { ask, time, store } = fixture();
  store.keys.expiry.run(false);
  for (let i = 0; i < 2000; i++) ask("SET", `k${i}`, "v", "PX", "10");
  ask("SET", "alive", "v");
  await time.run(10);
  assert.equal(ask("RANDOMKEY"), "alive");
  ask("DEL", "alive");
  assert.equal(ask("RANDOMKEY"), null);
  assert.equal(store.keys.size, 0);
});

test("SET with KEEPTTL keeps nothing of a deadline that is over", async () => {
  const { ask, time, groups, store } = fixture();
  store.keys.expiry.run(false); // the key is dead, and nobody has asked for it
  ask("SET", "k", "old", "PX", "10");
  await time.run(10);
  ask("SET", "k", "new", "KEEPTTL");
  assert.deepEqual([ask("GET", "k"), ask("PTTL", "k")], ["new", -1]);
  assert.deepEqual(groups.slice(1), [[["del", "k"], ["set", "k", "new", "KEEPTTL"]]]);
});

test("a clock that is set forward ends keys within a minute, one that is set back gives them the " +
  "time", async () => {
  const time = new VirtualTime();
  let ahead = 0;
  const clock = { monotonic: time.clock.monotonic, wall: () => time.clock.wall() + ahead };
  const { ask, store } = fixture({ host: { clock, timers: time.timers, random: seededRandom(1) } });
  for (const key of ["k", "other"]) ask("SET", key, "v", "EX", "7200");
  ahead = 7_200_000;
  assert.equal(ask("GET", "k"), null);
  await time.run(60_001);
  assert.equal(store.keys.size, 0);
  ask("SET", "k", "v", "EX", "100");
  ahead -= 50_000;
  await time.run(60_001 + 149_000);
  assert.equal(ask("GET", "k"), "v");
  await time.run(60_001 + 151_000);
  assert.equal(store.keys.size, 0);
});

test("one command sees one time", async () => {
  const { store, ask, time } = fixture();
  let wall = 1_000_000;
  Object.assign(time.clock, { wall: () => wall++ });
  ask("SET", "k", "v", "PX", "50");
  ask("MULTI");
  for (let i = 0; i < 100; i++) ask("GET", "k");
  ask("SET", "k", "v", "PX", "1000");
  wall = store.keys.expiry.get("k")! - 1;
  const answers = ask("EXEC") as unknown[];
  assert.deepEqual(new Set(answers.slice(0, 100)), new Set(["v"]));
});

test("a replica hides the dead and waits to be told; a replay asks no clock", async () => {
  const { ask, time, store, groups } = fixture({ role: "replica" });
  store.load(["set", "k", "v", "PXAT", "1704067200100"]);
  store.load(["set", "old", "5", "PXAT", "1"]);
  store.load(["incr", "old"]);
  await time.run(5000);
  assert.equal(ask("GET", "k"), null);
  assert.deepEqual(ask("KEYS", "*"), []);
  assert.equal(ask("RANDOMKEY"), null);
  assert.equal(store.keys.size, 2);
  assert.deepEqual(groups, []);
  store.load(["del", "k"]);
  assert.equal(store.keys.size, 1);
  store.role = "primary";
  await time.run();
  assert.equal(store.keys.size, 0);
  assert.deepEqual(groups, [[["del", "old"]]]);
});

test("load() throws for what this program never logged", () => {
  const { store, ask } = fixture();
  assert.throws(() => store.load(["nosuch"]), /^Error: Cannot replay nosuch: ERR unknown command/);
  assert.throws(() => store.load([]), /Cannot replay/);
  assert.throws(() => store.load(["set", "k"]), /Cannot replay set: ERR wrong number/);
  ask("SET", "k", "v");
  assert.throws(() => store.load(["sadd", "k", "v"]), /Cannot replay sadd: WRONGTYPE/);
  assert.throws(() => store.load(["blpop", "nosuch", "0"]), /Cannot replay blpop/);
});

test("a store that is closed has no timer left", async () => {
  const { ask, time, store, client } = fixture();
  ask("SET", "k", "v", "EX", "100");
  store.execute(client().session, ["BLPOP", "l", "100"]);
  store.close();
  await time.run();
  assert.equal(time.now, 0);
});

test("one timer waits for the earliest deadline, however many came before it", async () => {
  const time = new VirtualTime();
  const timers = new Set<object>();
  const after: typeof time.timers.after = (ms, fn) => {
    const timer = time.timers.after(ms, () => {
      timers.delete(timer);
      fn();
    });
    timers.add(timer);
    return { cancel: () => (timers.delete(timer), timer.cancel()) };
  };
  const host = { clock: time.clock, timers: { ...time.timers, after }, random: seededRandom(1) };
  const { ask } = fixture({ host });
  for (const ms of [300, 200, 100, 400]) ask("SET", `k${ms}`, "v", "PX", String(ms));
  assert.equal(timers.size, 1);
  await time.run(250);
  assert.equal(timers.size, 1);
  ask("FLUSHALL");
  assert.equal(timers.size, 0);
});

test("what was loaded before a copy was given up leaves no deadline behind", async () => {
  const { store, ask, time } = fixture();
  ask("SET", "k", "old", "PX", "500");
  const bringBack = store.setAside();
  store.load(["set", "new", "v", "PXAT", String(store.host.clock.wall() + 100)]);
  bringBack();
  await time.run(499);
  assert.deepEqual([ask("GET", "new"), ask("GET", "k"), store.stats.expired], [null, "old", 0]);
  await time.run(500);
  assert.equal(ask("DBSIZE"), 0);
});

test("a deadline that changes often leaves dead entries that are cleaned up " +
  "together", async (t) => {
  const { ask, store, time } = fixture();
  ask("SET", "k", "v");
  let most = 0;
  const heaps = new Set<unknown>();
  const { push } = TimerHeap.prototype;
  t.mock.method(TimerHeap.prototype, "push", function (
    this: TimerHeap<string>, ...entry: [string, number]
  ) {
    push.apply(this, entry);
    heaps.add(this);
    most = Math.max(most, this.size);
  });
  for (let seconds = 1000; seconds < 2000; seconds++) ask("EXPIRE", "k", String(seconds));
  assert.equal(most, 67, "twice the keys, 64, and the one that was too many");
  assert.ok(heaps.size > 10 && heaps.size < 20, `${heaps.size} heaps for 1000 changes`);
  ask("SET", "other", "v", "EX", "10");
  for (let seconds = 1000; seconds < 1100; seconds++) ask("EXPIRE", "k", String(seconds));
  await time.run(10_000);
  assert.equal(store.keys.size, 1, "the living entries stay");
});

test("when no key has a deadline any more, no entry is left of those that had one", (t) => {
  const { ask } = fixture();
  const sizes: number[] = [];
  const { push } = TimerHeap.prototype;
  t.mock.method(TimerHeap.prototype, "push", function (
    this: TimerHeap<string>, ...entry: [string, number]
  ) {
    push.apply(this, entry);
    sizes.push(this.size);
  });
  for (const last of [["PERSIST", "k"], ["DEL", "k"], ["FLUSHALL"]]) {
    ask("SET", "k", "v", "EX", "100");
    ask(...last);
  }
  ask("SET", "k", "v", "EX", "100");
  assert.deepEqual(sizes, [1, 1, 1, 1]);
});

test("a snapshot is of one moment, whatever happens while it is taken", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const { ask, store, time } = fixture();
    const pick = (...from: readonly string[]): string => from[random.u32() % from.length]!;
    const change = (): void => {
      const [key, other] = [`k${random.u32() % 40}`, `k${random.u32() % 40}`];
      ask(
        ...pick(
          `SET ${key} ${random.u32()}`,
          `SET ${key} v PX ${1 + (random.u32() % 50)}`,
          `DEL ${key}`,
          `DEL ${key} ${other}`,
          `RENAME ${key} ${other}`,
          `APPEND ${key} x`,
          `EXPIRE ${key} 100`,
          `SADD s${random.u32() % 5} ${random.u32() % 9}`,
          `SPOP s${random.u32() % 5}`,
          `RPUSH l${random.u32() % 5} x`,
          `LPOP l${random.u32() % 5}`,
          `HSET h${random.u32() % 5} f ${random.u32()}`,
          `MSET ${key} 1 ${other} 2`,
          `SUNIONSTORE ${key} s1 s2`,
          `COPY ${key} ${other} REPLACE`,
          ...(random.u32() % 10 === 0 ? ["FLUSHALL"] : []),
        ).split(" "),
      );
    };
    for (let i = 0; i < 120; i++) change();
    const before = contents(store);
    const rebuilt = fixture();
    const snapshot = store.snapshot((argv) => rebuilt.store.load([...argv]));
    assert.throws(() => store.snapshot(() => {}), /another one is under way/);
    while (snapshot.step(1 + (random.u32() % 3))) {
      for (let i = random.u32() % 4; i > 0; i--) change();
      if (random.u32() % 4 === 0) await time.run(time.now + 10);
    }
    assert.deepEqual(contents(rebuilt.store), before, `seed ${seed}`);
    store.snapshot(() => {}).abandon();
  }
});
