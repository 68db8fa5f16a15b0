/** Lesson 11: a job's output on its way to the master, to the byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimWorld } from "#simhost";
import { OutputPipe } from "../src/worker/output.ts";

test("a program is paused once at more than 256 KiB that wait, and goes on at " +
  "half of that", async () => {
  const world = new SimWorld({ seed: 1 });
  const said: string[] = [];
  const sends: { bytes: number; taken: () => void }[] = [];
  const pipe = new OutputPipe(world.host("w"), {
    send: (chunks) => new Promise<void>((taken) => {
      sends.push({ bytes: chunks.reduce((sum, { data }) => sum + data.length, 0), taken });
    }),
    pause: () => said.push("pause"),
    resume: () => said.push("resume"),
  });
  const push = (bytes: number) => pipe.push("stdout", Buffer.alloc(bytes));
  const half = 128 * 1024;
  push(half + 1);
  push(half - 1);
  assert.deepEqual([sends.map(({ bytes }) => bytes), said], [[half + 1], []]);
  push(1);
  push(1);
  assert.deepEqual(said, ["pause"]);
  sends[0]!.taken();
  await world.run(world.now + 1);
  assert.deepEqual([sends[1]?.bytes, said], [half + 1, ["pause"]], "one byte too many waits");
  sends[1]!.taken();
  await world.run(world.now + 1);
  push(half + 1);
  push(half);
  sends[2]!.taken();
  await world.run(world.now + 1);
  assert.deepEqual(said, ["pause", "resume", "pause", "resume"]);
  sends[3]!.taken();
  await world.settle(pipe.drained());
  assert.equal(sends.length, 4);
});

test("a batch leaves when its first byte is 20 ms old, or at once when it has 64 KiB", async () => {
  const world = new SimWorld({ seed: 1 });
  const sends: [at: number, bytes: number][] = [];
  const pipe = new OutputPipe(world.host("w"), {
    send: async (chunks) => {
      sends.push([world.now, chunks.reduce((sum, { data }) => sum + data.length, 0)]);
    },
    pause() {},
    resume() {},
  });
  const from = world.now;
  pipe.push("stdout", Buffer.alloc(1));
  await world.run(from + 10);
  pipe.push("stderr", Buffer.alloc(64 * 1024 - 2));
  await world.run(from + 100);
  pipe.push("stdout", Buffer.alloc(1));
  pipe.push("stdout", Buffer.alloc(64 * 1024 - 1));
  await world.run(from + 110);
  pipe.push("stdout", Buffer.alloc(2)); // the time of the byte that has left is not its time
  await world.run(from + 200);
  assert.deepEqual(
    sends, [[from + 20, 64 * 1024 - 1], [from + 100, 64 * 1024], [from + 130, 2]],
  );
  await world.settle(pipe.drained());
});

test("output that cannot leave any more fails the one who asks, and nobody else", async () => {
  const world = new SimWorld({ seed: 1 });
  const unhandled: unknown[] = [];
  const note = (why: unknown): void => void unhandled.push(why);
  process.on("unhandledRejection", note);
  try {
    const stopped = new Error("the worker stops");
    const pipe = new OutputPipe(world.host("w"), {
      send: () => Promise.reject(stopped),
      pause() {},
      resume() {},
    });
    pipe.push("stdout", Buffer.alloc(64 * 1024));
    // Node judges a rejection once the promises of a turn have settled.
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, []);
    pipe.push("stdout", Buffer.alloc(64 * 1024));
    await assert.rejects(pipe.drained(), stopped);
  } finally {
    process.off("unhandledRejection", note);
  }
});
