/** The nets that notice what a test leaves behind: each holds, and each tears where it should. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { test } from "node:test";
import { startMaster } from "#master";
import { connect } from "#sdk";
import { SimWorld } from "#simhost";
import { pipeline, Room, spec } from "./10-master.support.ts";
import { nothingIsLeft } from "./leaks.sim.support.ts";
import { leftSince, look, nothingLeftSince, Owners } from "./leaks.support.ts";

const ADDRESS = { host: "m", port: 9090 };
const LOOPBACK = { ...ADDRESS, host: "127.0.0.1" };

test("open() names what a simulated process holds and nothing that it has given back", async () => {
  const world = new SimWorld({ seed: 1 });
  const { network, storage, timers } = world.host("a");
  const listener = await network.listen({ host: "a", port: 80 }, (socket) =>
    socket.handle({ onData() {}, onClose() {} }));
  await storage.mkdir("/d");
  const file = await storage.open("/d/f", { create: true });
  const lock = await storage.lock("/d/lock");
  const timer = timers.after(50, () => undefined);
  timers.after(1, () => undefined);
  const socket = await world.settle(world.host("b").network.dial({ host: "a", port: 80 }));
  socket.handle({ onData() {}, onClose() {} });
  const held = world.open("a");
  assert.deepEqual(held.map((what) => what.replace(/\d{5}/, "N")), [
    "connection b:N", "file /d/f", "lock /d/lock", "port a:80", "timer due at 1", "timer due at 50",
  ]);
  await listener.close();
  await file.close();
  await file.close();
  await lock.release();
  timer.cancel();
  socket.destroy();
  await world.run(40);
  assert.deepEqual([world.open("a"), world.open("b")], [[], []]);
  await storage.open("/d/f");
  timers.after(50, () => undefined);
  world.kill("a");
  assert.deepEqual([world.open("a"), world.hosts], [[], ["b"]], "the dead hold nothing");
});

test(
  "counts() of a master says what peers have open and what waits, and is all 0 when they are " +
    "gone",
  () =>
    Room.run(async (room) => {
      const master = await room.start();
      const before = master.counts();
      assert.deepEqual(new Set(Object.values(before)), new Set([0]));
      const client = await room.client();
      const jobs = [
        spec("a"),
        spec("later", { delayMs: 60_000 }),
        spec("gpu", { requirement: ["GPU"] }),
      ];
      const { run } = await client.submitSpec(pipeline(jobs));
      const worker = await room.worker("w");
      await room.until(() => worker.assigned.length === 1);
      await worker.print(worker.assigned[0]!, "hello");
      void client
        .watch(run)
        .next()
        .catch(() => undefined);
      const logs = client.logs(run, "a", { follow: true })[Symbol.asyncIterator]();
      await logs.next();
      void logs.next().catch(() => undefined);
      await room.sleep(50);
      const { classes, seats, ...counts } = master.counts();
      assert.deepEqual(counts, {
        connections: 2,
        requests: 2,
        unconfirmed: 0,
        watchers: 1,
        backlog: 0,
        forwards: 0,
        followers: 1,
        files: 1,
        members: 1,
        links: 1,
        workers: 1,
        ready: 1,
        delayed: 1,
        gates: 0,
        paused: 0,
        closing: 0,
        requirements: 2,
        held: 0,
        leftovers: 0,
      });
      assert.deepEqual([classes, seats], [2, 1]);
    }),
);

/** A master in a room of its own, with something left in it. */
async function leftBehind(leave: (world: SimWorld) => Promise<unknown>): Promise<string> {
  const world = new SimWorld({ seed: 1 });
  const started = startMaster({ host: world.host("m"), dir: "/state", listen: LOOPBACK });
  const master = await world.settle(started);
  await world.settle(leave(world));
  const found = world.settle(nothingIsLeft({ world, master, address: ADDRESS }));
  return found.then(() => "nothing", (error: Error) => error.message);
}

test("nothingIsLeft() lets pass what peers leave, and names a file, a lock and a timer of the " +
  "master", async () => {
  assert.equal(
    await leftBehind(async (world) => {
      const client = await connect({ host: world.host("c"), master: ADDRESS });
      const { run } = await client.submitSpec(pipeline([spec("a", { delayMs: 1e9 }), spec("b")]));
      void client
        .watch(run)
        .next()
        .catch(() => undefined);
    }),
    "nothing",
  );
  assert.equal(
    await leftBehind((world) => world.host("m").storage.open("/state/output", { create: true })),
    "the test has left behind: file /state/output (of an idle master)",
  );
  assert.equal(
    await leftBehind((world) => world.host("m").storage.lock("/state/blobs")),
    "the test has left behind: lock /state/blobs (of an idle master)",
  );
  assert.match(
    await leftBehind(async (world) => world.host("m").timers.after(2 ** 30, () => undefined)),
    /timer due at 10737418\d+[.\d]* \(of an idle master\)/,
  );
});

test("look() tells a descriptor, a timer and a child that were left from what " +
  "was there before", async () => {
  const before = look();
  const file = openSync(import.meta.filename, "r");
  const timer = setTimeout(() => undefined, 60_000);
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const left = leftSince(before, look()).map((what) => what.replace(/ of \/.*\//, " of "));
  const expected = existsSync("/proc/self/fd")
    ? ["1 × ProcessWrap", "1 × Timeout", "1 × child process", "1 × descriptor of leaks.test"]
    : ["1 × ProcessWrap", "1 × Timeout"];
  assert.deepEqual(left.map((what) => what.replace(/\.[jt]s$/, "")).sort(), expected.sort());
  closeSync(file);
  clearTimeout(timer);
  child.kill("SIGKILL");
  await once(child, "exit");
  await nothingLeftSince(before, () => "this test");
  assert.deepEqual(
    leftSince(
      new Map([
        ["a", 2],
        ["b", 1],
      ]),
      new Map([
        ["a", 1],
        ["b", 3],
        ["c", 1],
      ]),
    ),
    ["2 × b", "1 × c"],
  );
});

test("Owners names the tests that ran when a descriptor came, and few others", () => {
  const owners = new Owners();
  owners.clean();
  for (const name of ["a", "b", "c"]) owners.begins(name);
  assert.equal(owners.text, 'one of "a", "b", "c"', "nothing is known");
  owners.ends("a");
  const file = openSync(import.meta.filename, "r");
  owners.begins("d");
  for (const name of ["e", "f"]) owners.begins(name);
  const known = existsSync("/proc/self/fd");
  const any = 'one of 6 tests, from "a" to "f",';
  assert.equal(owners.text, known ? 'one of "b", "c"' : any);
  closeSync(file);
  assert.equal(owners.text, any, "it is gone");
  for (const name of ["b", "c", "d", "e"]) owners.ends(name);
  owners.clean();
  assert.equal(owners.text, '"f"');
});
