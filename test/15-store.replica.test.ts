/**
 * Replicas: after whatever happened to the network, the same keyspace as the primary's, each change
 * done once.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Socket } from "#host";
import { SimWorld } from "#simhost";
import {
  dumpResp,
  MAX_BEHIND_BYTES,
  openStore,
  ReplyBuffer,
  Refusal,
  RespParser,
  startStore,
  type OpenStore,
  type OpenStoreOptions,
  type Reply,
  type Engine,
  type StoreServer,
} from "#store";
import { encodeCommand } from "../src/store/log/text.ts";
import { Backlog } from "../src/store/replication/backlog.ts";
import { contents } from "./15-store.support.ts";

const PORT = 6479;

function asker(store: Engine): (...argv: string[]) => Reply {
  const out = new ReplyBuffer();
  const session = store.session({ out, authenticated: true });
  return (...argv) => {
    store.execute(session, argv);
    return out.take().at(-1)!;
  };
}

interface Node {
  readonly opened: OpenStore;
  readonly store: Engine;
  readonly server: StoreServer;
  readonly ask: (...argv: string[]) => Reply;
  info(field: string): string;
  over(): Promise<void>;
}

async function node(
  world: SimWorld,
  name: string,
  options: Partial<OpenStoreOptions> = {},
): Promise<Node> {
  const host = world.host(name);
  const opened = await world.settle(openStore({ host, dir: "/data", ...options }));
  const { store } = opened;
  const server = await world.settle(
    startStore({
      host,
      listen: { host: "127.0.0.1", port: PORT },
      store,
      afterCommit: () => opened.afterCommit(),
    }),
  );
  const ask = asker(store);
  return {
    opened,
    store,
    server,
    ask,
    info: (field) => new RegExp(`^${field}:(.*)\r$`, "m").exec(String(ask("INFO")))?.[1] ?? "",
    over: async () => {
      await world.settle(server.close());
      await world.settle(opened.close());
      assert.deepEqual(world.open(name), []);
    },
  };
}

const FOLLOW = { replicaOf: { host: "p", port: PORT } };

async function until(world: SimWorld, what: string, done: () => boolean): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (done()) return;
    await world.run(world.now + 100);
  }
  assert.fail(`never ${what}`);
}

/** Until the replica is connected and has all that the primary has said. */
async function converge(world: SimWorld, primary: Node, replica: Node, note = ""): Promise<void> {
  await until(world, "connected", () => replica.info("master_link_status") === "up");
  primary.ask("INCR", "mark");
  await until(world, "in step", () => replica.ask("GET", "mark") === primary.ask("GET", "mark"));
  assert.deepEqual(contents(replica.store), contents(primary.store), note);
}

function fill(primary: Node, count: number): void {
  for (let i = 0; i < count; i++) primary.ask("SET", `key${i}`, `value ${i}`);
}

test("a replica gets a copy, then the changes; it answers reads and refuses writes", async () => {
  const world = new SimWorld({ seed: 1 });
  const primary = await node(world, "p");
  fill(primary, 1000);
  const replica = await node(world, "r", FOLLOW);
  assert.deepEqual((primary.ask("ROLE") as Reply[])[0], "master");
  await converge(world, primary, replica);
  primary.ask("RPUSH", "l", "\0\xff\r\n", "b");
  primary.ask("SADD", "s", "1", "2", "3");
  primary.ask("SPOP", "s");
  primary.ask("HINCRBY", "h", "f", "5");
  await converge(world, primary, replica);
  const answer = replica.ask("SET", "k", "v");
  assert.ok(
    answer instanceof Refusal &&
      answer.text === "READONLY You can't write against a read only replica.",
  );
  await world.run(world.now + 2000);
  assert.deepEqual((replica.ask("ROLE") as Reply[]).slice(0, 4), ["slave", "p", PORT, "connected"]);
  const [, offset, replicas] = primary.ask("ROLE") as [string, number, Reply[][]];
  assert.equal((replica.ask("ROLE") as Reply[])[4], offset);
  assert.equal(replicas[0]![2], String(offset));
  assert.equal(primary.info("connected_slaves"), "1");
  assert.equal(primary.info("master_replid"), replica.info("master_replid"));
  for (const [each, of] of [[primary, ""], [replica, `p ${PORT}`]] as const) {
    assert.deepEqual(each.ask("CONFIG", "GET", "replicaof"), ["replicaof", of]);
  }
  assert.equal(replica.ask("REPLICAOF", "p", String(PORT)), "OK");
  assert.equal(replica.info("master_link_status"), "up", "it does so already");
  await replica.over();
  await primary.over();
});

test("a copy is of one moment, though commands go on, and the changes since " +
  "then follow it", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = new SimWorld({ seed });
    const random = seededRandom(seed);
    const primary = await node(world, "p");
    fill(primary, 5000);
    const replica = await node(world, "r", FOLLOW);
    for (let i = 0; i < 300; i++) {
      const key = `key${Math.floor(random.unit() * 5000)}`;
      primary.ask(
        ...[
          ["APPEND", key, "+"],
          ["DEL", key],
          ["RENAME", key, `${key}b`],
          ["SET", `new${i}`, "1"],
        ][Math.floor(random.unit() * 4)]!,
      );
      if (i % 10 === 0) await world.run(world.now + 1);
    }
    await converge(world, primary, replica, `seed ${seed}`);
    await replica.over();
    await primary.over();
  }
});

test("after every cut a replica converges, and gets the rest of the stream instead " +
  "of a copy", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = new SimWorld({ seed, splitChunks: seed % 2 === 0 });
    const random = seededRandom(seed);
    const primary = await node(world, "p");
    fill(primary, 200);
    const replica = await node(world, "r", FOLLOW);
    await converge(world, primary, replica);
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 20; i++) {
        primary.ask("MULTI");
        primary.ask("INCR", "x");
        primary.ask("APPEND", "y", "y");
        primary.ask("EXEC");
        primary.ask("LPUSH", `l${i % 3}`, String(round));
        if (i % 4 === 0) await world.run(world.now + 1);
        // Nobody ever sees half of a transaction.
        assert.equal(
          Number(replica.ask("GET", "x")),
          String(replica.ask("GET", "y") ?? "").length,
          `seed ${seed}`,
        );
        if (i === Math.floor(random.unit() * 20)) {
          const way = random.unit();
          if (round % 4 === 3) part(world);
          else if (way < 0.4) world.cut("p", "r");
          else if (way < 0.7) world.link("p", "r").reset();
          else {
            world.hold("p", "r");
            await world.run(world.now + 3);
            world.link("p", "r").reset();
            world.release("p", "r");
          }
        }
      }
      await world.run(world.now + 500 * random.unit());
      if (round % 4 === 3) heal(world);
      await converge(world, primary, replica, `seed ${seed} round ${round}`);
    }
    assert.equal(primary.info("sync_full"), "1", `seed ${seed}`);
    assert.ok(Number(primary.info("sync_partial_ok")) > 0, `seed ${seed}`);
    await replica.over();
    await primary.over();
  }
});

test("a primary that lives in memory only has replicas all the same", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("p");
  const opened = await world.settle(openStore({ host }));
  const { store } = opened;
  const listen = { host: "127.0.0.1", port: PORT };
  const server = await world.settle(startStore({
    host, listen, store, afterCommit: () => opened.afterCommit(),
  }));
  const ask = asker(store);
  ask("SET", "k", "v");
  const replica = await node(world, "r", FOLLOW);
  await until(world, "copied", () => replica.ask("GET", "k") === "v");
  ask("SET", "k", "w");
  await until(world, "in step", () => replica.ask("GET", "k") === "w");
  await replica.over();
  await world.settle(server.close());
  await world.settle(opened.close());
  assert.deepEqual(world.open("p"), []);
});

test("a replica that was away is told the rest at once, though nothing changes " +
  "any more", async () => {
  const world = new SimWorld({ seed: 2 });
  const primary = await node(world, "p");
  const replica = await node(world, "r", FOLLOW);
  await converge(world, primary, replica);
  part(world);
  primary.ask("SET", "k", "v");
  await world.run(world.now + 100);
  heal(world);
  await until(world, "connected", () => replica.info("master_link_status") === "up");
  await world.run(world.now + 10);
  assert.equal(replica.ask("GET", "k"), "v");
  assert.equal(primary.info("sync_partial_ok"), "1");
  await replica.over();
  await primary.over();
});

test("a replica that was away for longer than the backlog gets a copy again", async () => {
  const world = new SimWorld({ seed: 2 });
  const primary = await node(world, "p", { backlogBytes: 64 * 1024 });
  assert.deepEqual(primary.ask("CONFIG", "GET", "repl-*"), ["repl-backlog-size", "65536"]);
  const replica = await node(world, "r", FOLLOW);
  await converge(world, primary, replica);
  part(world);
  for (let i = 0; i < 3000; i++) {
    primary.ask("SET", `key${i % 50}`, "v".repeat(100));
    if (i % 50 === 0) await world.run(world.now + 1);
  }
  heal(world);
  await converge(world, primary, replica);
  assert.equal(primary.info("sync_full"), "2");
  assert.ok(Number(primary.info("repl_backlog_histlen")) <= 128 * 1024);
  await replica.over();
  await primary.over();
});

test("a replica is copied to once, however much changes until it has caught up, and then the " +
  "backlog is small again", async () => {
  const world = new SimWorld({ seed: 1, latencyMs: [5, 5] });
  const primary = await node(world, "p", { backlogBytes: 256 * 1024 });
  const value = "v".repeat(1000);
  for (let i = 0; i < 2000; i++) primary.ask("SET", `key${i}`, value);
  const replica = await node(world, "r", FOLLOW);
  const seen = new Set<string>();
  let most = 0;
  for (let i = 0; i < 4000; i++) {
    primary.ask("SET", `key${i % 2000}`, value);
    if (i % 20 !== 0) continue;
    await world.run(world.now + 1);
    seen.add(/state=(\w+)/.exec(primary.info("slave0"))?.[1] ?? "none");
    most = Math.max(most, Number(primary.info("repl_backlog_histlen")));
  }
  await converge(world, primary, replica);
  assert.deepEqual([primary.info("sync_full"), primary.info("sync_partial_ok")], ["1", "0"]);
  assert.ok(
    seen.has("send_bulk") && most > 512 * 1024,
    `${[...seen].join(" ")}: ${most} bytes are more than a socket takes at once`,
  );
  primary.ask("SET", "key", value);
  await converge(world, primary, replica);
  assert.ok(
    Number(primary.info("repl_backlog_histlen")) < 512 * 1024,
    primary.info("repl_backlog_histlen"),
  );
  await replica.over();
  await primary.over();
});

test("a replica that does not read is cut off when it is behind by eight backlogs, and costs no " +
  "memory of its own", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p", { backlogBytes: 256 * 1024 });
  const { socket, state } = await speak(world, "p");
  socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
  await world.run(world.now + 50);
  assert.match(state.text, /titan\.full[^]*titan\.end/);
  assert.equal(primary.info("connected_slaves"), "1");
  socket.pause();
  const large = "v".repeat(500_000);
  primary.ask("SET", "k", large);
  await world.run(world.now + 25_000);
  socket.resume();
  await world.run(world.now + 100);
  const whole = state.text.includes(encodeCommand(["set", "k", large]));
  assert.ok(whole, "of the pings that were due, none is in the midst of a change");
  socket.pause();
  let sent = 0;
  while (primary.info("connected_slaves") === "1" && sent < 100) {
    primary.ask("SET", "k", "v".repeat(64 * 1024));
    sent++;
    await world.run(world.now + 5);
  }
  // Four to a backlog, eight backlogs, and what is under way in between.
  assert.ok(sent >= 32 && sent < 50, `${sent} × 64 KiB`);
  assert.equal(primary.server.clients, 0);
  primary.ask("SET", "k", "v");
  await world.run(world.now + 5);
  assert.ok(
    Number(primary.info("repl_backlog_histlen")) <= 256 * 1024 + 64 * 1024,
    "and what was kept for it is gone",
  );
  await primary.over();
});

test("a change larger than the backlog reaches a replica that reads, " +
  "without another copy", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p", { backlogBytes: 256 * 1024 });
  const replica = await node(world, "r", { replicaOf: { host: "p", port: PORT } });
  await converge(world, primary, replica, "copied");
  for (const kilobytes of [200, 300, 1000, 1500]) {
    primary.ask("SET", `k${kilobytes}`, "v".repeat(kilobytes * 1024));
    await converge(world, primary, replica, `${kilobytes} KiB`);
  }
  assert.equal(primary.info("sync_full"), "1");
  await replica.over();
  await primary.over();
});

test("a replica that stops reading in the midst of its copy is let go before what changes has " +
  "been put aside without end", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p", { backlogBytes: 256 * 1024 });
  for (let i = 0; i < 40; i++) primary.ask("SET", `k${i}`, "v".repeat(128 * 1024));
  const { socket } = await speak(world, "p");
  socket.pause();
  socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
  await world.run(world.now + 50);
  assert.equal(primary.info("connected_slaves"), "1");
  // each has its 128 KiB written out first
  for (let i = 0; i < 12; i++) primary.ask("EXPIRE", `k${i}`, "1000");
  assert.equal(primary.info("connected_slaves"), "1", "1.5 MiB may wait");
  for (let i = 12; i < 40; i++) primary.ask("EXPIRE", `k${i}`, "1000");
  await world.run(world.now + 50);
  assert.equal(primary.info("connected_slaves"), "0", "5 MiB may not: eight backlogs are 2");
  assert.equal(primary.ask("DBSIZE"), 40);
  await primary.over();
});

test("a key of any size is copied to a replica that reads, though it changes " +
  "all the time", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p", { backlogBytes: 64 * 1024 });
  for (let i = 0; i < 30; i++) {
    primary.ask("RPUSH", "hot", ...Array.from({ length: 100 }, () => "v".repeat(1000)));
  }
  const replica = await node(world, "r", FOLLOW);
  for (let ms = 0; ms < 300; ms++) {
    primary.ask("RPUSH", "hot", "x"); // the rest of its 3 MB is written out at once
    await world.run(world.now + 1);
  }
  await converge(world, primary, replica);
  assert.equal(primary.info("sync_full"), "1");
  const clients = String(primary.ask("CLIENT", "LIST")).split("\n");
  const replicas = clients.filter((line) => /cmd=titan\.sync/.test(line));
  assert.deepEqual(replicas.map((line) => / flags=(\w) /.exec(line)?.[1]), ["S"]);
  await replica.over();
  await primary.over();
});

test("a replica that talks and does not read is as good as silent: others " +
  "get their copies", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p");
  for (let i = 0; i < 200; i++) primary.ask("SET", `k${i}`, "v".repeat(20_000));
  const { socket } = await speak(world, "p");
  socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
  socket.pause();
  await world.run(world.now + 50);
  const replica = await node(world, "r", FOLLOW);
  for (let second = 0; second < 80; second++) {
    socket.write(Buffer.from("*2\r\n$9\r\ntitan.ack\r\n$1\r\n0\r\n"));
    await world.run(world.now + 1000);
  }
  assert.equal(replica.info("master_link_status"), "up");
  assert.equal(primary.info("connected_slaves"), "1");
  await replica.over();
  await primary.over();
});

test("a replica that waits for its turn to be copied to is told that " +
  "its primary lives", async () => {
  const world = new SimWorld({ seed: 3 });
  const primary = await node(world, "p");
  for (let i = 0; i < 200; i++) primary.ask("SET", `k${i}`, "v".repeat(20_000));
  const [mute, waiting] = [await speak(world, "p"), await speak(world, "p")];
  for (const { socket } of [mute, waiting]) socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
  mute.socket.pause();
  await world.run(world.now + 35_000);
  const ping = "*1\r\n$10\r\ntitan.ping\r\n";
  assert.equal(waiting.state.text, ping.repeat(3));
  for (let i = 0; i < 3; i++) {
    mute.socket.resume();
    await world.run(world.now + 1);
    mute.socket.pause();
    await world.run(world.now + 15_000);
  }
  assert.equal(primary.info("connected_slaves"), "2", "who reads a little is not silent");
  primary.ask("FLUSHALL");
  mute.socket.resume();
  await world.run(world.now + 1000);
  const end = "*1\r\n$9\r\ntitan.end\r\n";
  assert.ok(mute.state.text.endsWith(`${end}*1\r\n$8\r\nflushall\r\n`), mute.state.text.slice(-99));
  await world.run(world.now + 30_000);
  assert.ok(waiting.state.text.endsWith(end + ping.repeat(3)), waiting.state.text.slice(-99));
  for (const { socket } of [mute, waiting]) socket.destroy();
  await primary.over();
});

test("a replica does not expire by itself: it hides, and deletes when the " +
  "primary says so", async () => {
  const world = new SimWorld({ seed: 4 });
  const primary = await node(world, "p");
  const replica = await node(world, "r", FOLLOW);
  primary.ask("SET", "soon", "v", "PX", "500");
  await converge(world, primary, replica);
  assert.equal(replica.ask("GET", "soon"), "v");
  part(world);
  await world.run(world.now + 600);
  assert.equal(primary.ask("DBSIZE"), 1);
  assert.equal(replica.ask("GET", "soon"), null);
  assert.equal(replica.store.keys.size, 2);
  heal(world);
  await converge(world, primary, replica);
  assert.equal(replica.store.keys.size, 1);
  await replica.over();
  await primary.over();
});

test("REPLICAOF makes a replica of a primary and a primary of a replica", async () => {
  const world = new SimWorld({ seed: 5 });
  const a = await node(world, "p");
  const b = await node(world, "r");
  a.ask("SET", "from", "a");
  b.ask("SET", "own", "is lost");
  const own = b.info("master_replid");
  const { socket, state } = await speak(world, "r");
  socket.write(Buffer.from("BLPOP q 0\r\n"));
  await world.run(world.now + 50);
  assert.equal(b.ask("REPLICAOF", "p", String(PORT)), "OK");
  await converge(world, a, b);
  assert.equal(
    state.text,
    "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> " +
      "replica?)\r\n",
  );
  socket.write(Buffer.from("ECHO on\r\n"));
  await world.run(world.now + 50);
  assert.match(state.text, /\r\n\$2\r\non\r\n$/);
  assert.equal(b.ask("GET", "own"), null);
  const nested = b.ask("TITAN.SYNC", "?", "0");
  assert.ok(nested instanceof Refusal && /^ERR a replica has no replicas/.test(nested.text));
  assert.equal(b.info("master_sync_in_progress"), "0");
  assert.equal(b.ask("REPLICAOF", "NO", "ONE"), "OK");
  assert.notEqual(b.info("master_replid"), own, "it tells another story from here on");
  assert.equal(b.ask("SET", "from", "b"), "OK");
  assert.equal(a.info("repl_backlog_active"), "1");
  assert.equal(a.ask("REPLICAOF", "r", String(PORT)), "OK");
  assert.equal(a.info("repl_backlog_active"), "0", "a replica has no replicas");
  await converge(world, b, a);
  assert.equal(a.ask("GET", "from"), "b");
  a.ask("REPLICAOF", "no", "one");
  part(world);
  b.ask("REPLICAOF", "p", String(PORT));
  await world.run(world.now + 100);
  assert.equal(b.ask("REPLICAOF", "NO", "ONE"), "OK");
  heal(world);
  for (const port of ["0", "x", "65536", "-1"]) {
    assert.ok(a.ask("REPLICAOF", "h", port) instanceof Refusal);
  }
  assert.equal(a.ask("REPLICAOF", "h", "65535"), "OK");
  assert.equal(a.ask("REPLICAOF", "NO", "ONE"), "OK");
  a.ask("MULTI");
  a.ask("REPLICAOF", "r", "1");
  a.ask("TITAN.SYNC", "?", "0");
  const answers = a.ask("EXEC") as Refusal[];
  assert.deepEqual(
    answers.map(({ text }) => text),
    Array.from({ length: 2 }, () => "ERR Command not allowed inside a transaction"),
  );
  await b.over();
  await a.over();
});

test("REPLICAOF NO ONE changes nothing in a primary: who waits goes on waiting", async () => {
  const world = new SimWorld({ seed: 5 });
  const primary = await node(world, "p");
  const id = primary.info("master_replid");
  const { socket, state } = await speak(world, "p");
  socket.write(Buffer.from("BLPOP q 0\r\n"));
  await world.run(world.now + 50);
  assert.equal(primary.ask("REPLICAOF", "NO", "ONE"), "OK");
  await world.run(world.now + 50);
  assert.equal(state.text, "");
  assert.equal(primary.info("master_replid"), id);
  socket.destroy();
  await primary.over();
});

test("a primary that was a replica in between tells its new replicas that it lives", async () => {
  const world = new SimWorld({ seed: 5 });
  const [primary, first] = [await node(world, "p"), await node(world, "q", FOLLOW)];
  await converge(world, primary, first);
  primary.ask("REPLICAOF", "nowhere", "1");
  assert.equal(primary.info("connected_slaves"), "0", "a replica of a replica is let go");
  primary.ask("REPLICAOF", "NO", "ONE");
  await first.over();
  const replica = await node(world, "r", FOLLOW);
  await converge(world, primary, replica);
  await world.run(world.now + 130_000);
  assert.equal(replica.info("master_link_status"), "up");
  assert.deepEqual([primary.info("sync_full"), primary.info("sync_partial_ok")], ["2", "0"]);
  await replica.over();
  await primary.over();
});

test("a replica has a log of its own, and a primary that comes back has another id", async () => {
  const world = new SimWorld({ seed: 6, freshChance: true });
  let primary = await node(world, "p");
  let replica = await node(world, "r", FOLLOW);
  fill(primary, 500);
  await converge(world, primary, replica);
  const before = contents(replica.store);
  await world.settle(Promise.resolve(replica.opened.afterCommit()));
  replica.store.close();
  world.kill("r");
  part(world);
  replica = await node(world, "r", FOLLOW);
  assert.deepEqual(contents(replica.store), before, "from its log: the primary is out of reach");
  heal(world);
  await converge(world, primary, replica);
  await world.settle(Promise.resolve(primary.opened.afterCommit()));
  const id = primary.info("master_replid");
  primary.store.close();
  world.kill("p");
  primary = await node(world, "p");
  assert.notEqual(primary.info("master_replid"), id);
  primary.ask("DEL", "key1");
  await converge(world, primary, replica);
  assert.equal(primary.info("sync_full"), "1");
  await replica.over();
  await primary.over();
});

test("a replica says its primary's password, and goes on trying while it is wrong", async () => {
  const world = new SimWorld({ seed: 7 });
  const primary = await node(world, "p", { requirepass: "secret" });
  primary.ask("SET", "k", "v");
  const told: (string | undefined)[] = [];
  const replica = await node(world, "r", {
    ...FOLLOW,
    primaryPassword: "wrong",
    onLinkError: (_, trouble) => told.push(trouble?.split(" ")[0]),
  });
  await world.run(world.now + 3000);
  assert.equal(replica.info("master_link_status"), "down");
  assert.match(replica.info("master_link_trouble") ?? "", /^WRONGPASS/);
  assert.equal(primary.info("connected_slaves"), "0");
  assert.equal(replica.info("aof_current_size"), "0", "nothing came, and nothing is logged");
  assert.equal(replica.ask("CONFIG", "SET", "masterauth", "secret"), "OK");
  await converge(world, primary, replica);
  assert.deepEqual(told, ["WRONGPASS", undefined], "once, however often it was tried");
  assert.equal(replica.ask("REPLICAOF", "NO", "ONE"), "OK");
  await world.run(world.now + 50);
  assert.equal(told.length, 2, "a link that is ended is not a broken one");
  const { socket, state } = await speak(world, "p");
  socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
  await world.run(world.now + 50);
  assert.equal(state.text, "-NOAUTH Authentication required.\r\n");
  await replica.over();
  await primary.over();
});

test("both ends notice a line that is silent", async () => {
  const world = new SimWorld({ seed: 8 });
  const primary = await node(world, "p");
  const replica = await node(world, "r", FOLLOW);
  await converge(world, primary, replica);
  await world.run(world.now + 300_000);
  assert.equal(replica.info("master_link_status"), "up", "an idle line is not a silent one");
  assert.equal(primary.info("sync_full"), "1");
  const lag = () => Number(/lag=(\d+)$/.exec(primary.info("slave0"))?.[1]);
  assert.ok(lag() <= 1, `it says something once a second: ${lag()} s ago`);
  world.hold("p", "r");
  world.hold("r", "p");
  for (let i = 0; i < 4000 && lag() < 2; i++) await world.run(world.now + 1);
  await world.run(world.now + 27_999);
  assert.equal(lag(), 29, "to the millisecond");
  await world.run(world.now + 1);
  assert.equal(lag(), 30);
  await world.run(world.now + 28_000);
  assert.equal(replica.info("master_link_status"), "up", "a minute is as long as in Redis");
  assert.equal(primary.info("connected_slaves"), "1");
  await world.run(world.now + 17_000);
  assert.equal(replica.info("master_link_status"), "down");
  assert.equal(primary.info("connected_slaves"), "0");
  world.release("p", "r");
  world.release("r", "p");
  await converge(world, primary, replica);
  await replica.over();
  await primary.over();
});

test("a replica survives a primary that says nonsense, and copies anew from one " +
  "that does not", async () => {
  for (const nonsense of [
    "*1\r\n$5\r\nhello\r\n",
    "*3\r\n$3\r\nset\r\n$5\r\nstray\r\n$1\r\n1\r\n",
    "*1\r\n$9\r\ntitan.end\r\n",
    "*1\r\n$10\r\ntitan.ping\r\n-ERR no\r\n*3\r\n$10\r\ntitan.full\r\n$1\r\na\r\n$1\r\n0\r\n",
    "\0\0\0\0\r\n",
    "-ERR unknown command\r\n",
    "*x\r\n",
    "*3\r\n$10\r\ntitan.full\r\n$1\r\na\r\n$1\r\n0\r\n*1\r\n$3\r\nfoo\r\n",
    "*3\r\n$10\r\ntitan.full\r\n$1\r\na\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n",
    "",
  ]) {
    const world = new SimWorld({ seed: 9 });
    const sockets: Socket[] = [];
    const listener = await world.settle(
      world.host("p").network.listen({ host: "127.0.0.1", port: PORT }, (socket) => {
        socket.handle({ onData: () => {}, onClose: () => {} });
        sockets.push(socket);
        socket.write(Buffer.from(nonsense));
        socket.end();
      }),
    );
    const replica = await node(world, "r", FOLLOW);
    await world.run(world.now + 3000);
    assert.ok(
      sockets.length > 1 && sockets.length < 20,
      `${nonsense}: dialled ${sockets.length} times`,
    );
    assert.equal(replica.info("master_link_status"), "down");
    if (nonsense.includes("hello")) {
      assert.equal(replica.info("master_link_trouble"), "unexpected hello");
    }
    assert.deepEqual([replica.store.role, replica.ask("DBSIZE")], ["replica", 0], nonsense);
    await world.settle(replica.opened.rewrite()); // half a copy would keep it waiting
    await world.settle(listener.close());
    const primary = await node(world, "p");
    primary.ask("SET", "k", "v");
    await converge(world, primary, replica, nonsense);
    await replica.over();
    await primary.over();
  }
});

/**
 * A primary at host "p" that answers each connection with the next of these texts, and what it was
 * asked.
 */
async function scriptedPrimary(
  world: SimWorld,
  answers: string[],
): Promise<{ asked: string[][]; acks: number[]; sockets: Socket[] }> {
  const asked: string[][] = [];
  /** How many each connection has brought. */
  const acks: number[] = [];
  const sockets: Socket[] = [];
  await world.settle(
    world.host("p").network.listen({ host: "127.0.0.1", port: PORT }, (socket) => {
      const parser = new RespParser();
      const nth = sockets.push(socket) - 1;
      acks.push(0);
      socket.handle({
        onData: (chunk) => {
          parser.push(chunk);
          for (let argv = parser.next(); argv !== undefined; argv = parser.next()) {
            if (argv[0] !== "titan.ack") asked.push(argv);
            else acks[nth]!++;
          }
        },
        onClose: () => {},
      });
      socket.write(Buffer.from(answers.shift() ?? "", "latin1"));
    }),
  );
  return { asked, acks, sockets };
}

const COPY = [["titan.full", "id", "0"], ["set", "a", "1"], ["titan.end"]]
  .map(encodeCommand)
  .join("");

test("a replica gives a primary that has not answered yet a minute, and says what it waits " +
  "for", async () => {
  for (const [primaryPassword, first, state] of [
    ["", "TITAN.SYNC", "sync"], ["secret", "AUTH", "connecting"],
  ] as const) {
    const world = new SimWorld({ seed: 9 });
    await world.run(100_000);
    const { asked } = await scriptedPrimary(world, []);
    const start = world.now;
    const replica = await node(world, "r", { ...FOLLOW, primaryPassword });
    await world.run(world.now + 50_000);
    assert.deepEqual(asked.map(([name]) => name), [first]);
    assert.equal((replica.ask("ROLE") as Reply[])[3], state);
    await until(world, "asked again", () => asked.length === 2);
    assert.match(replica.info("master_link_trouble"), /the primary is silent/);
    assert.ok(world.now - start < 60_500, `a minute, and what a dial takes: ${world.now - start}`);
    await replica.over();
  }
});

test("a replica gives up a dial after five seconds, and dials again", async () => {
  const world = new SimWorld({ seed: 9 });
  world.host("p");
  world.hold("r", "p");
  const replica = await node(world, "r");
  replica.ask("REPLICAOF", "p", String(PORT));
  const start = world.now;
  for (const [ms, state] of [[4_999, "connecting"], [5_000, "connect"], [5_200, "connecting"]]) {
    await world.run(start + Number(ms));
    assert.equal((replica.ask("ROLE") as Reply[])[3], state, `after ${ms} ms`);
  }
  await replica.over();
});

test("a primary that is away is not called silent, however long it is away", async () => {
  const world = new SimWorld({ seed: 9 });
  const { sockets } = await scriptedPrimary(world, [COPY]);
  const told: string[] = [];
  const replica = await node(world, "r", {
    ...FOLLOW, onLinkError: (_, trouble) => told.push(trouble ?? "up"),
  });
  await world.run(world.now + 10);
  sockets[0]!.destroy();
  world.crash("p");
  world.host("p"); // where nobody listens now
  await world.run(world.now + 130_000);
  assert.equal(told[0], "up");
  assert.ok(told.length > 1 && !told.some((each) => each.includes("silent")), told.join("; "));
  await replica.over();
});

test("a group that is too long for one piece is in the stream as a whole at once", async () => {
  const world = new SimWorld({ seed: 1 });
  const primary = await node(world, "p", { maxBehindBytes: 20_000 });
  const replica = await node(world, "r", FOLLOW);
  await converge(world, primary, replica);
  const start = Number(primary.info("master_repl_offset"));
  const group = [["multi"], ["set", "a", "v".repeat(20_000)], ["set", "b", "w"], ["exec"]];
  for (const argv of group) primary.ask(...argv);
  const size = group.map((argv) => encodeCommand(argv).length).reduce((a, b) => a + b);
  assert.equal(Number(primary.info("master_repl_offset")) - start, size);
  await world.run(world.now + 100);
  await converge(world, primary, replica);
  await replica.over();
  await primary.over();
});

test("a replica forgets the half of a transaction that a cut has left", async () => {
  const world = new SimWorld({ seed: 9 });
  const half = [["multi"], ["set", "half", "1"]].map(encodeCommand).join("");
  const rest = [["titan.continue", "id", "0"], ["set", "b", "2"]].map(encodeCommand).join("");
  const { asked, sockets } = await scriptedPrimary(world, [COPY + half, rest]);
  const replica = await node(world, "r", FOLLOW);
  await world.run(world.now + 10);
  sockets[0]!.destroy();
  await until(world, "asked again", () => asked.length === 2);
  await world.run(world.now + 10);
  assert.deepEqual(replica.ask("MGET", "a", "half", "b"), ["1", null, "2"]);
  sockets[1]!.destroy();
  await until(world, "asked again", () => asked.length === 3);
  const offset = encodeCommand(["set", "b", "2"]).length;
  assert.deepEqual(asked[2], ["TITAN.SYNC", "id", String(offset)], "nor does it count the half");
  await replica.over();
});

test("a replica tells what its primary said, quotes or not, and keeps what it knows", async () => {
  const world = new SimWorld({ seed: 9 });
  const error = "-ERR unknown command 'TITAN.SYNC', with args beginning with: '?' '0' \r\n";
  const { asked, sockets } = await scriptedPrimary(world, [COPY, error]);
  const replica = await node(world, "r", FOLLOW);
  await world.run(world.now + 10);
  assert.equal(replica.info("master_link_status"), "up");
  sockets[0]!.destroy();
  await until(world, "asked again", () => asked.length === 3);
  assert.equal(replica.info("master_link_trouble").trim(), error.slice(1).trim());
  assert.deepEqual(asked, [
    ["TITAN.SYNC", "?", "0"],
    ["TITAN.SYNC", "id", "0"],
    ["TITAN.SYNC", "id", "0"],
  ]);
  await replica.over();
});

test("a replica goes on from where it was after a cut, and copies anew after a stream that made " +
  "no sense", async () => {
  const change = encodeCommand(["incr", "a"]);
  for (const [nonsense, ...next] of [
    ["", "id", String(change.length)],
    ["*x\r\n", "?", "0"],
    [encodeCommand(["lpush", "a", "x"]), "?", "0"],
  ]) {
    const world = new SimWorld({ seed: 9 });
    const { asked, sockets } = await scriptedPrimary(world, [COPY + change + nonsense]);
    const replica = await node(world, "r", FOLLOW);
    await world.run(world.now + 10);
    assert.equal(replica.ask("GET", "a"), "2");
    sockets[0]!.destroy();
    await until(world, "asked again", () => asked.length > 1);
    assert.deepEqual(asked[1], ["TITAN.SYNC", ...next], nonsense);
    await replica.over();
  }
});

test("a replica whose disk is slow reads no more than that takes, and all of it " +
  "in the end", async () => {
  const world = new SimWorld({ seed: 9 });
  const { sockets } = await scriptedPrimary(world, [COPY]);
  const replica = await node(world, "r", { ...FOLLOW, durability: "always" });
  await world.run(world.now + 100);
  world.disk("r").slowSync([1000, 1000]);
  const bytes = 16 * 1024 * 1024;
  const change = Buffer.from(encodeCommand(["set", "large", "v".repeat(bytes)]));
  for (let i = 0; i < 7; i++) sockets[0]!.write(change);
  sockets[0]!.write(Buffer.from(encodeCommand(["incr", "a"])));
  await world.run(world.now + 500);
  const behind = Number(replica.info("aof_buffer_length"));
  assert.ok(
    behind > MAX_BEHIND_BYTES && behind < MAX_BEHIND_BYTES + 2 * bytes,
    `${behind} bytes wait for the disk`,
  );
  assert.equal(replica.ask("GET", "a"), "1");
  world.disk("r").slowSync(undefined);
  await until(world, "in step", () => replica.ask("GET", "a") === "2");
  await world.run(world.now + 50_000);
  assert.equal(sockets.length, 1);
  await world.run(world.now + 12_000);
  assert.equal(sockets.length, 2, "silence counts again");
  await replica.over();
});

test("a replica that does not read because its disk is slow takes its primary for " +
  "no silent one", async () => {
  const world = new SimWorld({ seed: 9 });
  const { sockets } = await scriptedPrimary(world, [COPY]);
  const options = { ...FOLLOW, durability: "always", maxBehindBytes: 1000 } as const;
  const replica = await node(world, "r", options);
  await world.run(world.now + 100);
  world.disk("r").slowSync([70_000, 70_000]);
  sockets[0]!.write(Buffer.from(encodeCommand(["set", "large", "v".repeat(2000)])));
  await world.run(world.now + 80_000);
  assert.equal(sockets.length, 1);
  sockets[0]!.write(Buffer.from(encodeCommand(["incr", "a"])));
  await world.run(world.now + 10);
  assert.equal(replica.ask("GET", "a"), "2");
  sockets[0]!.write(Buffer.from(encodeCommand(["set", "large", "v".repeat(2000)])));
  await world.run(world.now + 10);
  world.cut("p", "r");
  await until(world, "dialled again", () => sockets.length === 2);
  await world.run(world.now + 65_000);
  assert.equal(sockets.length, 3, "the next connection is one that it reads");
  world.disk("r").slowSync(undefined);
  await replica.over();
});

test("a replica says how far it is only to a primary that has answered", async () => {
  const world = new SimWorld({ seed: 9 });
  const half = encodeCommand(["titan.full", "id", "0"]) + encodeCommand(["set", "a", "1"]);
  const { asked, acks, sockets } = await scriptedPrimary(world, [half]);
  const replica = await node(world, "r", FOLLOW);
  await world.run(world.now + 1500);
  assert.equal(acks[0], 1, "a copy under way is an answer");
  await world.run(world.now + 48_600);
  assert.equal(acks[0], 50, "once a second");
  const rewritten = replica.opened.rewrite(); // which waits for the end of the copy
  sockets[0]!.destroy();
  await until(world, "asked again", () => asked.length > 1);
  await world.run(world.now + 5000);
  assert.deepEqual(acks, [50, 0]);
  await world.settle(rewritten);
  await replica.over();
});

test("a copy that is cut short is never seen by a client, and is made again", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = new SimWorld({ seed, freshChance: true, splitChunks: true });
    const primary = await node(world, "p");
    fill(primary, 6000);
    let replica = await node(world, "r", FOLLOW);
    let half = false;
    for (let i = 0; i < 400 && !half; i++) {
      await world.run(world.now + 0.1);
      half = replica.store.role === "loading" && replica.store.keys.size > 0;
    }
    assert.ok(half, `seed ${seed}: never in the midst of it`);
    const answer = replica.ask("GET", "key1");
    assert.ok(answer instanceof Refusal && /^LOADING /.test(answer.text));
    assert.equal(replica.info("role"), "slave");
    assert.equal(replica.info("master_sync_in_progress"), "1");
    if (seed % 3 === 0) {
      await world.settle(Promise.resolve(replica.opened.afterCommit()));
      replica.store.close();
      world.kill("r");
      replica = await node(world, "r", FOLLOW);
    } else if (seed % 3 === 1) world.cut("p", "r");
    else {
      primary.store.close();
      world.kill("p");
      const again = await node(world, "p");
      await converge(world, again, replica, `seed ${seed}`);
      await again.over();
      await replica.over();
      continue;
    }
    await converge(world, primary, replica, `seed ${seed}`);
    await replica.over();
    await primary.over();
  }
});

test("a replica that dies or is promoted amid a copy has what it had before", async () => {
  for (const [seed, fate] of ["killed", "promoted", "closed", "cut twice"].entries()) {
    const world = new SimWorld({ seed: seed + 1, freshChance: true, splitChunks: true });
    const primary = await node(world, "p");
    fill(primary, 6000);
    let replica = await node(world, "r", { rewriteMinBytes: 2000 });
    for (const argv of [
      ["SET", "key1", "mine"],
      ["RPUSH", "old", "a", "b"],
      ["SET", "mortal", "x", "PX", "3600000"],
    ]) {
      replica.ask(...argv);
    }
    const before = contents(replica.store);
    replica.ask("REPLICAOF", "p", String(PORT));
    const half = async (): Promise<void> => {
      for (let i = 0; i < 10_000; i++) {
        if (replica.store.role === "loading" && replica.store.keys.size > 0) return;
        await world.run(world.now + 0.1);
      }
      assert.fail(`${fate}: never in the midst of it`);
    };
    await half();
    if (fate === "cut twice") {
      world.cut("p", "r");
      await world.run(world.now + 1);
      assert.equal(replica.store.role, "replica");
      assert.deepEqual(contents(replica.store), before, "what is old is better than nothing");
      await half();
    }
    await world.settle(Promise.resolve(replica.opened.afterCommit()));
    if (fate === "killed" || fate === "cut twice") {
      replica.store.close();
      world.kill("r");
    } else {
      if (fate === "promoted") {
        replica.ask("REPLICAOF", "NO", "ONE");
        assert.deepEqual(contents(replica.store), before);
        replica.ask("SET", "new", "1");
        before.push(...contents(replica.store).filter((each) => each.includes('"new"')));
      }
      await replica.over();
    }
    const dumped = async (): Promise<string> => {
      let text = "";
      for await (const bytes of dumpResp({ host: world.host("r"), dir: "/data" })) {
        text += bytes.toString("latin1");
      }
      return text;
    };
    assert.ok(
      !(await world.settle(dumped())).includes("value 7"),
      `${fate}: no other program sees half of it`,
    );
    replica = await node(world, "r");
    assert.deepEqual(contents(replica.store), before.sort(), fate);
    replica.ask("REPLICAOF", "p", String(PORT));
    await converge(world, primary, replica, fate);
    const whole = contents(replica.store);
    await replica.over();
    replica = await node(world, "r");
    assert.deepEqual(contents(replica.store), whole, `${fate}: a whole copy is in its log`);
    await replica.over();
    await primary.over();
  }
});

test("a replica survives every flipped bit of the stream", async () => {
  const stream = Buffer.from(
    "*3\r\n$10\r\ntitan.full\r\n$2\r\nid\r\n$1\r\n0\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n*1\r\n$9\r\ntitan.end\r\n*1\r\n$5\r\nmulti\r\n*2\r\n$4\r\nincr\r\n$1\r\na\r\n*1\r\n$4\r\nexec\r\n*1\r\n$10\r\ntitan.ping\r\n",
  );
  const world = new SimWorld({ seed: 11 });
  let bit = -1;
  let dialled = 0;
  const listener = await world.settle(
    world.host("p").network.listen({ host: "127.0.0.1", port: PORT }, (socket) => {
      dialled++;
      socket.handle({ onData: () => {}, onClose: () => {} });
      const bytes = Buffer.from(stream);
      if (bit >= 0) bytes[bit >> 3]! ^= 1 << (bit & 7);
      socket.write(bytes);
    }),
  );
  const replica = await node(world, "r");
  for (bit = 0; bit < 8 * stream.length; bit++) {
    replica.ask("REPLICAOF", "p", String(PORT));
    await world.run(world.now + 10);
    replica.ask("REPLICAOF", "NO", "ONE");
  }
  assert.equal(dialled, 8 * stream.length);
  bit = -1;
  replica.ask("REPLICAOF", "p", String(PORT));
  await world.run(world.now + 10);
  assert.equal(replica.ask("GET", "a"), "2");
  await replica.over();
  await world.settle(listener.close());
});

test("a change of the turn in which a copy begins is in the copy, and not told again", async () => {
  const world = new SimWorld({ seed: 12 });
  const primary = await node(world, "p");
  const execute = primary.store.execute.bind(primary.store);
  primary.store.execute = (session, argv) => {
    execute(session, argv);
    const { takeOver } = session;
    if (takeOver === undefined) return;
    session.takeOver = (socket) => {
      const taken = takeOver(socket);
      primary.ask("INCR", "n");
      return taken;
    };
  };
  for (const n of ["1", "2"]) {
    const { socket, state } = await speak(world, "p");
    socket.write(Buffer.from("TITAN.SYNC ? 0\r\n"));
    await world.run(world.now + 100);
    const copy = state.text.slice(state.text.indexOf("SET"));
    assert.equal(copy, `SET\r\n$1\r\nn\r\n$1\r\n${n}\r\n*1\r\n$9\r\ntitan.end\r\n`);
    socket.destroy();
    await world.run(world.now + 100);
  }
  await primary.over();
});

test("TITAN.SYNC comes behind the answers to what was asked before, and is refused when " +
  "something comes behind it", async () => {
  const world = new SimWorld({ seed: 12 });
  const primary = await node(world, "p");
  const [polite, hasty] = [await speak(world, "p"), await speak(world, "p")];
  polite.socket.write(Buffer.from("PING\r\nTITAN.SYNC ? 0\r\n"));
  hasty.socket.write(Buffer.from("TITAN.SYNC ? 0\r\nPING\r\n"));
  await world.run(world.now + 100);
  assert.match(polite.state.text, /^\+PONG\r\n\*3\r\n\$10\r\ntitan.full/);
  assert.deepEqual([hasty.state.text, hasty.state.closed], ["", true]);
  polite.socket.write(Buffer.from(encodeCommand(["titan.ack", "1000000"])));
  await world.run(world.now + 100);
  assert.match(primary.info("slave0"), /,offset=0,lag=0$/, "nobody has what was never said");
  const third = await speak(world, "p");
  third.socket.write(Buffer.from(`TITAN.SYNC ${primary.info("master_replid")} 0\r\n`));
  await world.run(world.now + 100);
  assert.match(third.state.text, /titan.continue/);
  assert.match(primary.info("slave1"), /,state=online,offset=0,lag=0$/);
  third.socket.destroy();
  polite.socket.destroy();
  await world.run(world.now + 20_000);
  const last = await speak(world, "p");
  last.socket.write(Buffer.from(`TITAN.SYNC ${primary.info("master_replid")} 0\r\n`));
  for (let ms = 0; ms < 100 && primary.info("connected_slaves") === "0"; ms++) {
    await world.run(world.now + 1);
  }
  await world.run(world.now + 59_999);
  assert.equal(primary.info("connected_slaves"), "1");
  await world.run(world.now + 1);
  assert.equal(primary.info("connected_slaves"), "0", "a minute of silence");
  await primary.over();
});

test("a primary cuts off a replica that speaks something else, and serves two " +
  "that do not", async () => {
  const world = new SimWorld({ seed: 10 });
  const primary = await node(world, "p");
  fill(primary, 2000);
  const replicas = [await node(world, "r", FOLLOW), await node(world, "q", FOLLOW)];
  const { socket, state } = await speak(world, "p");
  socket.write(Buffer.from("TITAN.SYNC x -5\r\n"));
  await world.run(world.now + 100);
  socket.write(Buffer.from("*x\r\n"));
  for (const replica of replicas) await converge(world, primary, replica);
  await world.run(world.now + 100);
  assert.equal(state.closed, true);
  assert.equal(primary.info("connected_slaves"), "2");
  assert.equal(primary.ask("BGREWRITEAOF"), "Background append only file rewriting started");
  for (const replica of replicas) await replica.over();
  await primary.over();
});

/** A raw connection from a third machine. */
async function speak(
  world: SimWorld,
  to: string,
): Promise<{ socket: Socket; state: { text: string; closed: boolean } }> {
  const socket = await world.settle(world.host("c").network.dial({ host: to, port: PORT }));
  const state = { text: "", closed: false };
  socket.handle({
    onData: (chunk) => (state.text += chunk.toString("latin1")),
    onClose: () => (state.closed = true),
  });
  return { socket, state };
}

/** No connection, and no new one, until `heal`. */
function part(world: SimWorld): void {
  world.hold("p", "r");
  world.hold("r", "p");
  world.cut("p", "r");
}

function heal(world: SimWorld): void {
  world.release("p", "r");
  world.release("r", "p");
}

test("a backlog gives back what it keeps, from any byte on, and drops whole blocks only", () => {
  const block = 64 * 1024;
  const all = Buffer.from(Array.from({ length: 5 * block }, (_, i) => i * 7 + i / 256 + i / block));
  const backlog = new Backlog();
  let end = 0;
  for (const size of [1, block - 2, 1, 1, 2 * block + 5, 100]) {
    backlog.append(all.subarray(end, (end += size)));
  }
  const check = (start: number): void => {
    assert.deepEqual([backlog.start, backlog.end], [start, end]);
    for (const from of [start, start + 1, start + block - 1, 3 * block - 1, 3 * block, end - 1]) {
      const inBlock = Math.min(block - (from % block), end - from);
      assert.deepEqual(backlog.read(from), all.subarray(from, from + inBlock), `from ${from}`);
    }
    assert.deepEqual(backlog.read(end), Buffer.alloc(0));
    for (const wrong of [start - 1, end + 1, end - 0.5]) {
      assert.equal(backlog.has(wrong), false);
      assert.equal(backlog.read(wrong), undefined);
    }
  };
  check(0);
  backlog.trim(end);
  backlog.trim(end - block + 1);
  check(0);
  backlog.trim(end - block);
  check(block);
  backlog.trim(end);
  check(block);
  backlog.trim(block);
  check(2 * block);
  backlog.append(all.subarray(end, (end += block)));
  check(2 * block);
});

test("INFO and ROLE say of both ends what they are, to the letter", async () => {
  const world = new SimWorld({ seed: 1 });
  const primary = await node(world, "p");
  const told = (of: Node): string[] =>
    String(of.ask("INFO", "replication")).trim().split("\r\n").slice(1);
  const [id] = /[0-9a-f]{40}/.exec(String(primary.ask("INFO", "replication")))!;
  const backlog = (active: number, size: number, full: number): string[] => [
    `repl_backlog_active:${active}`, "repl_backlog_size:16777216",
    "repl_backlog_first_byte_offset:0", `repl_backlog_histlen:${size}`, `sync_full:${full}`,
    "sync_partial_ok:0",
  ];
  assert.deepEqual(told(primary), [
    "role:master", "connected_slaves:0", `master_replid:${id}`, "master_repl_offset:0",
    ...backlog(0, 0, 0),
  ]);
  assert.deepEqual(primary.ask("ROLE"), ["master", 0, []]);
  const replica = await node(world, "r", FOLLOW);
  const early = replica.ask("ROLE") as Reply[];
  assert.deepEqual(early, ["slave", "p", PORT, "connecting", -1]);
  await converge(world, primary, replica);
  const [, offset, [address]] = primary.ask("ROLE") as [string, number, string[][]];
  assert.ok(offset > 0);
  const [, port] = address!;
  assert.deepEqual(address, ["r", port, "0"]);
  assert.match(port!, /^4\d{4}$/);
  assert.deepEqual(told(primary), [
    "role:master", "connected_slaves:1",
    `slave0:ip=r,port=${port},state=online,offset=0,lag=0`,
    `master_replid:${id}`, `master_repl_offset:${offset}`, ...backlog(1, offset, 1),
  ]);
  assert.deepEqual(told(replica), [
    "role:slave", "connected_slaves:0", "master_host:p", `master_port:${PORT}`,
    "master_link_status:up", "master_sync_in_progress:0", `slave_repl_offset:${offset}`,
    "slave_read_only:1", `master_replid:${id}`, `master_repl_offset:${offset}`,
    ...backlog(0, 0, 0),
  ]);
  await world.run(world.now + 2000);
  assert.deepEqual(primary.ask("ROLE"), ["master", offset, [["r", port, String(offset)]]]);
  await replica.over();
  await primary.over();
});
