/**
 * Named limits, each at the limit and one beyond. Those that have a test where they are used are
 * not here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bytes, list, message, string, u32 } from "#codec";
import { nodeProcesses, MarkReader, markText } from "#process";
import { Router } from "#routing";
import { SimWorld } from "#simhost";
import {
  Finished,
  Kill,
  MAX_BATCH_ITEMS,
  MAX_PARENT_NAMES,
  MAX_WHY_JOBS,
  StatusPage,
  Why,
} from "#wire";
import { readJournal } from "../src/process/journal.ts";
import { processCounts } from "../src/process/pool.ts";
import { pauseAfter } from "../src/process/sweep.ts";
import { encodeError, MAX_MESSAGE_BYTES } from "../src/rpc/errors.ts";
import { OutputPipe } from "../src/worker/output.ts";
import { report } from "./10-master.support.ts";
import "./leaks.support.ts";

const of = <T>(count: number, item: T): T[] => new Array<T>(count).fill(item);

test("messages hold as many items as their limits say, and not one more", () => {
  const key = { run: 1, job: 1, attempt: 1 };
  const cases: [string, number, (count: number) => Buffer, (body: Buffer) => number][] = [
    [
      "Why",
      MAX_WHY_JOBS,
      (count) => Why.encode({ run: "r", jobs: of(count, 1) }),
      (body) => Why.decode(body).jobs.length,
    ],
    [
      "Finished",
      MAX_BATCH_ITEMS,
      (count) => Finished.encode({ items: of(count, report(key)) }),
      (body) => Finished.decode(body).items.length,
    ],
    [
      "Kill",
      8192,
      (count) => Kill.encode({ items: of(count, key) }),
      (body) => Kill.decode(body).items.length,
    ],
    [
      "StatusPage",
      MAX_PARENT_NAMES,
      (count) => StatusPage.encode({ run: undefined, jobs: [], parents: of(count, "p") }),
      (body) => StatusPage.decode(body).parents.length,
    ],
  ];
  for (const [name, limit, encode, decode] of cases) {
    assert.equal(decode(encode(limit)), limit, name);
    assert.throws(() => encode(limit + 1), { code: "TOO_LARGE" }, name);
  }
});

test("the codec's own limits: texts of 64 KiB, 8 MiB of bytes, 32 types inside one another, " +
  "field 65,535", () => {
  const Text = message("Text", { t: [1, string()] });
  const Bytes = message("Bytes", { b: [1, bytes()] });
  assert.equal(Text.decode(Text.encode({ t: "x".repeat(65_536) })).t.length, 65_536);
  assert.throws(
    () => Text.encode({ t: `${"x".repeat(65_535)}é` }),
    { code: "TOO_LARGE" },
    "bytes count, not characters",
  );
  assert.equal(
    Bytes.decode(Bytes.encode({ b: Buffer.alloc(8 * 1024 * 1024) })).b.length,
    8 * 1024 * 1024,
  );
  assert.throws(() => Bytes.encode({ b: Buffer.alloc(8 * 1024 * 1024 + 1) }), {
    code: "TOO_LARGE",
  });
  type Nested = ReturnType<typeof u32>;
  const nested = (depth: number): Nested => {
    let type = u32();
    while (type.depth < depth) type = list(type, 1) as unknown as Nested;
    return type;
  };
  assert.equal(nested(32).depth, 32);
  assert.throws(() => nested(33), /nest at most 32 deep/);
  const Last = message("Last", { n: [65_535, u32()] });
  assert.deepEqual(Last.decode(Last.encode({ n: 7 })), { n: 7 });
});

test("an error's message is cut at 1,024 bytes, between two characters", () => {
  assert.equal(encodeError("INVALID", "x".repeat(MAX_MESSAGE_BYTES)).length, 1 + MAX_MESSAGE_BYTES);
  assert.equal(
    encodeError("INVALID", "x".repeat(MAX_MESSAGE_BYTES + 1)).length,
    1 + MAX_MESSAGE_BYTES,
  );
  const odd = Buffer.from(encodeError("INVALID", `${"x".repeat(MAX_MESSAGE_BYTES - 1)}é`)).toString(
    "utf8",
    1,
  );
  assert.ok(Buffer.byteLength(odd) <= MAX_MESSAGE_BYTES && !odd.includes("\ufffd"), odd.slice(-3));
});

test("a worker offers 2^20 slots to the router, and not one more", () => {
  const router = new Router();
  router.addWorker({ id: 1, tags: [], slots: 2 ** 20 });
  assert.equal(router.free(1), 2 ** 20);
  assert.throws(
    () => router.addWorker({ id: 2, tags: [], slots: 2 ** 20 + 1 }),
    /offers 1048577 slots/,
  );
});

/** An output pipe whose master answers when it is told to. */
function outputPipe() {
  const world = new SimWorld({ seed: 1 });
  const sent: { at: number; chunks: number; bytes: number }[] = [];
  const calls: string[] = [];
  let answer: () => void = () => undefined;
  const pipe = new OutputPipe(world.host("w"), {
    send: (chunks) => {
      sent.push({
        at: world.now,
        chunks: chunks.length,
        bytes: chunks.reduce((sum, { data }) => sum + data.length, 0),
      });
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
    pause: () => void calls.push("pause"),
    resume: () => void calls.push("resume"),
  });
  const answered = async (): Promise<void> => {
    answer();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { world, pipe, sent, calls, answered };
}

test("a job's output leaves after 20 ms or with 64 KiB, and the job is paused beyond 256 KiB, " +
  "until half of it is gone", async () => {
  const first = outputPipe();
  first.pipe.push("stdout", Buffer.alloc(64 * 1024 - 1));
  await first.world.run(19);
  assert.equal(first.sent.length, 0, "one byte too few, and 19 ms");
  await first.world.run(20);
  assert.deepEqual(first.sent, [{ at: 20, chunks: 1, bytes: 64 * 1024 - 1 }]);

  const { pipe, sent, calls, answered } = outputPipe();
  pipe.push("stdout", Buffer.alloc(64 * 1024));
  assert.deepEqual(sent.map((batch) => batch.bytes), [64 * 1024], "at once");
  pipe.push("stdout", Buffer.alloc(192 * 1024));
  assert.deepEqual(calls, [], "256 KiB wait, with what is under way");
  pipe.push("stderr", Buffer.alloc(1));
  assert.deepEqual(calls, ["pause"]);
  await answered();
  assert.deepEqual(calls, ["pause"], "192 KiB and a byte are left");
  await answered();
  assert.deepEqual(calls, ["pause", "resume"]);
});

test("a batch of output has at most 1,024 chunks", async () => {
  const { pipe, sent, answered } = outputPipe();
  pipe.push("stdout", Buffer.alloc(64 * 1024));
  for (let i = 0; i < 1025; i++) pipe.push("stdout", Buffer.from("x"));
  await answered();
  await answered();
  await answered();
  assert.deepEqual(sent.map(({ chunks }) => chunks), [1, 1024, 1]);
  await pipe.drained();
});

test("a job of 16,383 characters takes a launcher, and one of 16,384 does not", async () => {
  const run = (length: number): { idle: number; ended: Promise<unknown> } => {
    let idle = -1;
    const ended = new Promise((resolve) => {
      const argv = ["/bin/sh", "-c", ": ", "x".repeat(length - 11)];
      nodeProcesses().spawn({ argv, cwd: "/", env: {}, onOutput() {}, onExit: resolve });
      ({ idle } = processCounts());
    });
    return { idle, ended };
  };
  await run(100).ended;
  assert.equal(processCounts().idle, 1);
  for (const [length, left] of [[16_383, 0], [16_384, 1]] as const) {
    const { idle, ended } = run(length);
    assert.equal(idle, left, `${length} characters`);
    assert.deepEqual(await ended, { code: 0, signal: null });
  }
});

test("a sweep comes after 200 ms to 2 s, a mark has three digits and a journal a mebibyte", (t) => {
  assert.deepEqual([0, 10, 11, 100, 101].map(pauseAfter), [200, 200, 220, 2000, 2000]);
  const marks = (digits: string): string[] => {
    const found: string[] = [];
    const reader = new MarkReader("ab", {
      onBytes: () => undefined,
      onMark: (mark) => (found.push(mark), false),
    });
    reader.push(Buffer.from(`${markText("ab", "e")}${digits}\n`, "latin1"));
    return found;
  };
  assert.deepEqual([marks("255"), marks("2550")], [["e255"], []]);
  const folder = mkdtempSync(join(tmpdir(), "titan-limits-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const line = "+ 7 8 01234567-89ab-cdef-0123-456789abcdef\n";
  for (const [size, groups] of [[1024 * 1024, 1], [1024 * 1024 + 1, 0]] as const) {
    writeFileSync(join(folder, "live"), "\n".repeat(size - line.length) + line);
    assert.equal(readJournal(join(folder, "live")).size, groups, `${size} bytes`);
  }
});
