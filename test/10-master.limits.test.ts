/**
 * The master's limits, at each of them and one beyond. What they are for is in
 * src/master/limits.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, Event, State, type Run } from "#core";
import { placesFor } from "#master";
import { RpcConnection, RpcError, type IncomingRequest } from "#rpc";
import { SimWorld } from "#simhost";
import {
  Dispatch,
  KvRequest,
  MAX_HELLO_BYTES,
  MAX_KV_BYTES,
  MAX_SLOTS,
  Op,
  Reasons,
  Why,
} from "#wire";
import { specBytes } from "../src/master/core/check.ts";
import type { Engine } from "../src/master/engine.ts";
import { StoreDesk } from "../src/master/kv.ts";
import { MAX_KV_AT_ONCE, MAX_KV_WAITING_BYTES, STRANGER_LIMITS } from "../src/master/limits.ts";
import { Turns } from "../src/master/turns.ts";
import { MAX_BACKLOG, MAX_BACKLOGS, Watchers } from "../src/master/watch.ts";
import { hello, pipeline, refusal, report, Room, spec } from "./10-master.support.ts";

test("placesFor() gives each part its most where there is plenty, and no more", () => {
  const most = { strangers: 128, outputs: 128, reading: 16, uploads: 32 };
  assert.deepEqual(placesFor(1_000_000), { ...most, connections: 1000, kept: 200, store: 0 });
  assert.deepEqual(placesFor(1_000_000, { store: true }), {
    ...most,
    connections: 1000,
    kept: 200,
    store: 10_000,
  });
});

test("a stranger may have eight requests under way, and bodies of two HELLOs", async () => {
  const world = new SimWorld({ seed: 1 });
  const [here, there] = [world.host("m"), world.host("s")];
  const served: IncomingRequest[] = [];
  const onRequest = (request: IncomingRequest): void => void served.push(request);
  const at = await here.network.listen({ host: "m", port: 1 }, (socket) => {
    void new RpcConnection(socket, { host: here, limits: STRANGER_LIMITS, onRequest });
  });
  const ask = async (bodies: readonly number[]): Promise<string[]> => {
    const connection = new RpcConnection(await there.network.dial(at), { host: there });
    const answers = bodies.map((bytes) =>
      connection.request(Op.HELLO, Buffer.alloc(bytes)).then(
        () => "served",
        (error: RpcError) => error.code,
      ),
    );
    await new Promise<void>((resolve) => void there.timers.after(50, resolve));
    for (const request of served.splice(0)) request.reply();
    const told = await Promise.all(answers);
    connection.close();
    return told;
  };
  const half = MAX_HELLO_BYTES / 2;
  assert.deepEqual(await world.settle(ask(Array(9).fill(0))), [
    ...Array(8).fill("served"),
    "OVERLOADED",
  ]);
  assert.deepEqual(await world.settle(ask([2 * half, half, half])), Array(3).fill("served"));
  assert.deepEqual(await world.settle(ask([2 * half, half, half + 1])), [
    "served",
    "served",
    "OVERLOADED",
  ]);
  await at.close();
});

/** A client's commands, an answer for each of them, and what it takes. */
function kvLine() {
  const large = Buffer.alloc(MAX_KV_BYTES + 1);
  const atStore: { name: string; answer: (bytes: number) => void }[] = [];
  const store = {
    url: "redis://127.0.0.1:1",
    call: ([name]: readonly Buffer[]) => new Promise<Buffer>((resolve) => void atStore.push({
      name: String(name), answer: (bytes) => resolve(large.subarray(0, bytes)),
    })),
  };
  const desk = new StoreDesk(store);
  const line = { atStore, held: 0, rooms: [] as (() => void)[], told: [] as string[], ask };
  const connection = {
    drained: () => new Promise<void>((resolve) => void line.rooms.push(resolve)),
    hold: (bytes: number) => void (line.held += bytes),
  } as unknown as RpcConnection;
  function ask(name: string, options: { over?: boolean } = {}): Promise<void> {
    const request = {
      over: false, ...options, body: KvRequest.encode({ args: [Buffer.from(name)] }),
      reply: () => void line.told.push(name),
      fail: (code: string) => void line.told.push(`${name} ${code}`),
    } as unknown as IncomingRequest;
    return desk.ask(request, connection);
  }
  return line;
}

const moment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("of one client's commands the store has one, then twice as many after each small answer, up " +
  "to MAX_KV_AT_ONCE, in order", async () => {
  assert.equal(MAX_KV_AT_ONCE * MAX_KV_BYTES, MAX_KV_WAITING_BYTES, "the largest fill it");
  const line = kvLine();
  const names = Array.from({ length: 40 }, (_, i) => `${i}`);
  const all = names.map((name) => line.ask(name));
  const most: number[] = [];
  const came: string[] = [];
  for (let i = 0; i < 40; i++) {
    await moment();
    most.push(line.atStore.length);
    const { name, answer } = line.atStore.shift()!;
    came.push(name);
    answer(1);
  }
  await Promise.all(all);
  assert.deepEqual(most.slice(0, 6), [1, 2, 4, 8, 16, 16]);
  assert.equal(Math.max(...most), MAX_KV_AT_ONCE);
  assert.deepEqual([came, line.told, line.held], [names, names, 0]);
});

test("after a large answer of the store a client's next command waits until it has been taken, " +
  "and that of another client does not", async () => {
  const [line, other] = [kvLine(), kvLine()];
  const all = ["small", "a", "b", "c", "d"].map((name) => line.ask(name));
  await moment();
  line.atStore.shift()!.answer(1);
  await moment();
  assert.deepEqual(line.atStore.map(({ name }) => name), ["a", "b"]);
  for (const { answer } of line.atStore.splice(0)) answer(MAX_KV_BYTES);
  await moment();
  // Two wait, one for the other: it has not come to `c`.
  assert.deepEqual([line.atStore, line.held, line.rooms.length], [[], 2 * MAX_KV_BYTES, 1]);
  const steps: [string[], number][] = [];
  for (let i = 0; i < 4; i++) {
    line.rooms.shift()!();
    await moment();
    steps.push([line.told.slice(1), line.held / MAX_KV_BYTES]);
  }
  assert.deepEqual(steps, [[["a"], 1], [["a"], 1], [["a", "b"], 0], [["a", "b"], 0]]);
  assert.deepEqual(line.atStore.map(({ name }) => name), ["c"], "one again");
  void other.ask("x");
  await moment();
  assert.equal(other.atStore.length, 1);
  line.atStore.shift()!.answer(1);
  await moment();
  line.atStore.shift()!.answer(1);
  await Promise.all(all);
});

test("an answer of the store that is too large to pass on makes a client's commands single " +
  "again", async () => {
  const line = kvLine();
  const all = ["a", "b", "c", "d"].map((name) => line.ask(name));
  const left: string[][] = [];
  for (const bytes of [1, MAX_KV_BYTES + 1, 1, 1]) {
    await moment();
    left.push(line.atStore.map(({ name }) => name));
    line.atStore.shift()!.answer(bytes);
  }
  await Promise.all(all);
  assert.deepEqual(left, [["a"], ["b", "c"], ["c"], ["d"]]);
  assert.deepEqual(line.told, ["a", "b TOO_LARGE", "c", "d"]);
});

test("a command of the store whose client has given up while it waited is not asked", async () => {
  const line = kvLine();
  const all = [line.ask("a"), line.ask("b", { over: true }), line.ask("c")];
  for (const name of ["a", "c"]) {
    await moment();
    assert.deepEqual(line.atStore.map((each) => each.name), [name]);
    line.atStore.shift()!.answer(1);
  }
  await Promise.all(all);
  assert.deepEqual(line.told, ["a", "c"]);
});

test("changes wait for the watchers of all runs up to MAX_BACKLOGS; beyond it the run that has " +
  "more to tell tells all anew", () => {
  const state = new State();
  const released: (() => void)[] = [];
  const engine = {
    state,
    group: 0,
    context: { now: 1 },
    readable: () => new Promise<void>(() => undefined),
    answer: (effect: () => void) => effect(),
    whenDurable: (effect: () => void) => void released.push(effect),
  };
  // Each watcher begins its list, and never has room for it.
  const turns = { send: (_request: unknown, _peer: unknown, make: () => unknown) => {
    void make();
    return new Promise<boolean>(() => undefined);
  } };
  const watchers = new Watchers(
    () => engine as unknown as Engine,
    turns as unknown as Turns,
    (fn) => fn(),
  );
  const request = { onCancel: () => undefined, over: false } as unknown as IncomingRequest;
  const runs: Run[] = [];
  for (let number = 1; number <= MAX_BACKLOGS / MAX_BACKLOG + 1; number++) {
    apply(
      state,
      Event.decode(
        Event.encode({
          type: "RunSubmitted",
          run: number,
          id: `r-${number}`,
          key: undefined,
          at: 1,
          spec: pipeline([spec("a")]),
        } as never),
      ),
    );
    runs.push(state.runs.get(number)!);
    watchers.add(runs.at(-1)!, request, { peer: request, grows: false });
  }
  const change = (run: Run, times: number): void => {
    engine.group += 1;
    for (let i = 0; i < times; i++) watchers.jobChanged(run.jobs[0]!, 1);
    for (const effect of released.splice(0)) effect();
  };
  const last = runs.pop()!;
  assert.equal(runs.length, 16);
  for (const run of runs) change(run, MAX_BACKLOG);
  assert.equal(watchers.backlog, MAX_BACKLOGS);
  change(last, 1);
  assert.equal(watchers.backlog, MAX_BACKLOGS);
  change(runs[0]!, 1);
  assert.equal(watchers.backlog, MAX_BACKLOGS - MAX_BACKLOG + 1, "of one run, the oldest go");
  change(last, 1);
  assert.equal(watchers.backlog, MAX_BACKLOGS - MAX_BACKLOG + 2);
});

test("WHY says as much as fits into 4 MiB, and no less", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 200 });
    const gate = { message: "?".repeat(16_000), maxWaitMs: 86_400_000 };
    const jobs = Array.from({ length: 120 }, (_, i) => spec(`g${i}`, { gate }));
    const { run } = await client.submitSpec(pipeline(jobs));
    await room.until(() => worker.jobs.length === jobs.length);
    await worker.finish(...worker.assigned.map((item) => report(item)));
    const peer = await room.raw({ name: "asks" });
    await peer.request(Op.HELLO, hello());
    const body = await peer.request(
      Op.WHY,
      Why.encode({ run, jobs: jobs.map((_, index) => index) }),
    );
    const { reasons } = Reasons.decode(body);
    const each = 3 * reasons[0]!.reason.length;
    assert.ok(each > 3 * 16_000);
    assert.equal(reasons.length, Math.floor((4 * 1024 * 1024) / each));
    assert.ok(reasons.length < jobs.length);
    peer.close();
  }));

test("a worker offers 4,096 slots, and not one more", () =>
  Room.run(async (room) => {
    await room.start();
    const most = await room.worker("most", { slots: MAX_SLOTS });
    assert.equal(most.welcome.name, "most");
    await assert.rejects(
      room.worker("more", { slots: MAX_SLOTS + 1 }),
      refusal("INVALID", /4097 slots, must be 1 to 4096$/),
    );
  }));

test("jobs share a frame to their worker until they have 1 MiB together", () =>
  Room.run(async (room) => {
    await room.start();
    const frames: number[] = [];
    const peer = await room.raw({ name: "w", onNotify: (opcode, body) => {
      if (opcode === Op.DISPATCH) frames.push(Dispatch.decode(body).items.length);
    } });
    await peer.request(Op.HELLO, hello({ role: "worker", name: "w", instance: "w", slots: 8 }));
    const client = await room.client();
    for (const more of [-1, 0]) {
      const small = spec("b");
      const shell = (bytes: number) =>
        spec("a", { action: { type: "shell", script: "x".repeat(bytes), shell: undefined } });
      // As workers.ts counts: the frame's own, the names of the run and the job, the action.
      const own = 32 + 3 * ("test-xxxx".length + 1) + specBytes(shell(2000)) - 2000;
      await client.submitSpec(pipeline([shell(1024 * 1024 - own + more), small, spec("c")]));
      await room.until(() => frames.reduce((sum, count) => sum + count, 0) === 3);
      // One byte below the limit takes one more job with it.
      assert.deepEqual(frames.splice(0), more < 0 ? [2, 1] : [1, 2]);
    }
    peer.close();
  }));
