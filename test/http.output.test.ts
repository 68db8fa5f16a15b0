/** Output over HTTP: the bytes as they are, or pieces with times and streams. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, OutputChunk } from "#sdk";
import { OUTPUT } from "../src/http/output.ts";
import type { Asked, Download } from "../src/http/route.ts";

const chunk = (
  at: number, data: string | Uint8Array, stream: OutputChunk["stream"] = "stdout",
): OutputChunk => ({ at, stream, data: Buffer.from(data as string) });

/** A job whose only attempt has printed these. */
function jobWith(chunks: readonly OutputChunk[]): Client {
  return {
    async *logs() {
      yield* chunks;
    },
    status: () => Promise.resolve({
      jobs: [{ index: 0, id: "a", status: "COMPLETED", attempt: 2, startedAt: 1 }],
    }),
  } as unknown as Client;
}

async function read(query: string, chunks: readonly OutputChunk[]): Promise<Download> {
  return await OUTPUT[0]!.run({
    client: jobWith(chunks), path: { run: "r", job: "a" },
    query: new URLSearchParams(query), signal: new AbortController().signal,
  } as unknown as Asked) as Download;
}

async function textOf({ pieces }: Download): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

async function rowsOf(download: Download): Promise<any[]> {
  const lines = (await textOf(download)).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

const euro = Buffer.from("€");
const MIXED = [
  chunk(1, Buffer.concat([Buffer.from("a\n"), euro.subarray(0, 1)])), chunk(2, "oh", "stderr"),
  chunk(3, euro.subarray(1)), chunk(4, Uint8Array.of(0xff, 0xc3), "stderr"),
];

test("as=json has times and streams, and whole characters", async () => {
  for (const more of ["", "&follow=1"]) {
    const found = await read(`as=json${more}`, MIXED);
    assert.match(found.type, /ndjson/);
    assert.deepEqual(await rowsOf(found), [
      { at: 1, stream: "stdout", text: "a\n", next: 2 },
      { at: 2, stream: "stderr", text: "oh", next: 5 },
      { at: 3, stream: "stdout", text: "€", next: 7 },
      { at: 4, stream: "stderr", text: "\ufffd", next: 8 },
      { at: 4, stream: "stderr", text: "\ufffd", next: 9 },
    ]);
  }
  assert.equal(await textOf(await read("as=json", [])), "");
});

test("from= goes on behind a piece: what comes then is what was missing", async () => {
  const chunks = [
    chunk(1, "ab"), { ...chunk(2, "[5 bytes are gone]", "stderr"), dropped: 5 },
    chunk(3, "cäd\n"), chunk(4, "e", "stderr"),
  ];
  const whole = await rowsOf(await read("as=json", chunks));
  for (const [at, { next }] of whole.entries()) {
    assert.deepEqual(await rowsOf(await read(`as=json&from=${next}`, chunks)),
      whole.slice(at + 1), `from ${next}`);
  }
  // The master leaves out what it need not send, up to the beginning of a page.
  const left = { ...chunk(0, ""), dropped: 7 };
  assert.deepEqual(await rowsOf(await read("as=json&from=9", [left, ...chunks.slice(2)])),
    await rowsOf(await read("as=json&from=9", chunks)));
  assert.equal(await textOf(await read("from=8", chunks)), "äd\ne");
  assert.equal(await textOf(await read("from=99", chunks)), "");
  // Wherever the bytes are cut, each prefix goes on with its rest.
  const text = "äbc€d🌍";
  const bytes = [...Buffer.from(text)].map((byte, at) => chunk(at, Uint8Array.of(byte)));
  const pieces = await rowsOf(await read("as=json", bytes));
  for (const { next } of pieces) {
    const before = pieces.filter((piece) => piece.next <= next).map((piece) => piece.text);
    const after = await rowsOf(await read(`as=json&from=${next}`, bytes));
    assert.equal([...before, ...after.map((piece) => piece.text)].join(""), text);
  }
});

test("without as=json it is the bytes that were printed", async () => {
  const chunks = [chunk(1, "a\n"), chunk(2, "b", "stderr"), chunk(3, Uint8Array.of(255))];
  const found = await read("attempt=2", chunks);
  assert.deepEqual([found.type, found.name], ["text/plain; charset=utf-8", "r-a.2.log"]);
  let bytes: Uint8Array[] = [];
  for await (const piece of found.pieces) bytes = [...bytes, piece];
  assert.deepEqual(Buffer.concat(bytes), Buffer.from([97, 10, 98, 255]));
  const errors = await read("stream=stderr", chunks);
  assert.deepEqual([errors.name, await textOf(errors)], ["r-a.stderr.log", "b"]);
  assert.deepEqual((await rowsOf(await read("stream=stderr&as=json", chunks))),
    [{ at: 2, stream: "stderr", text: "b", next: 3 }]);
  await assert.rejects(read("attempt=x", []), /attempt="x"/);
  await assert.rejects(read("stream=both", []), /stream="both": there are stdout and stderr/);
  await assert.rejects(read("tail=100001", []), /tail="100001"/);
});

test("lines are chosen by time, stream, text and number, as titan logs does", async () => {
  const chunks = [
    chunk(1_000, "one\ntw"), chunk(2_000, "\u001b[31mbad\u001b[0m thing\n", "stderr"),
    chunk(3_000, "o\nthree\n"),
  ];
  const lines = async (query: string): Promise<string> => textOf(await read(query, chunks));
  assert.equal(await lines("tail=1"), "three\n");
  assert.equal(await lines("tail=0"), "");
  const long = Array.from({ length: 6 }, () => chunk(1, `${"x".repeat(1_000_000)}\n`));
  assert.equal((await textOf(await read("tail=6", long))).length, 4 * 1_000_001, "4 MiB");
  assert.equal(await lines("since=1001&stream=stdout"), "three\n");
  assert.equal(await lines("text=bad thing"), "\u001b[31mbad\u001b[0m thing\n");
  assert.equal(await lines("text=.*"), "", "it is no pattern");
  assert.equal(await lines("times=1&tail=1"), "1970-01-01T00:00:03.000Z three\n");
  assert.equal(await lines("all=1&text=one"), "one\none\n", "both attempts");
  assert.deepEqual(await rowsOf(await read("tail=1&as=json", chunks)),
    [{ at: 3_000, stream: "stdout", job: "a", attempt: 2, text: "three\n" }]);
  const found = await read("all=1&stream=stderr", chunks);
  assert.deepEqual([found.name, (await textOf(found)).length], ["r-a.stderr.log", 38]);
});

test("lines that nobody reads any more end what is read for them", async () => {
  let isOpen = false;
  const gone = new AbortController();
  const client = {
    async *logs() {
      isOpen = true;
      try {
        for (;;) yield chunk(1, "line\n");
      } finally {
        isOpen = false;
      }
    },
    status: () => Promise.resolve({ jobs: [{ id: "a", status: "RUNNING", attempt: 1 }] }),
  } as unknown as Client;
  const { pieces } = await OUTPUT[0]!.run({
    client, path: { run: "r", job: "a" }, query: new URLSearchParams("times=1"),
    signal: gone.signal,
  } as unknown as Asked) as Download;
  for await (const piece of pieces) {
    assert.match(piece.toString(), /line/);
    break;
  }
  gone.abort();
  for (let turn = 0; turn < 20 && isOpen; turn++) await new Promise(setImmediate);
  assert.equal(isOpen, false);
});

/** A run of jobs a and b, which both run; the watch says so, and ends when it is told to. */
function runOfTwo(over: Promise<void>) {
  const rows = ["a", "b"].map((id, at) => ({
    index: at, id, status: "RUNNING", attempt: 1, startedAt: 10 * (at + 1),
  }));
  const output: Record<string, readonly OutputChunk[]> = {
    a: [chunk(10, "one\nthr"), chunk(30, "ee\n")], b: [chunk(20, "two\n", "stderr")],
  };
  return {
    status: () => Promise.resolve({ jobs: rows }),
    async *logs(_: string, job: string, { follow }: { follow: boolean }) {
      yield* output[job]!;
      if (!follow) return;
      await over;
      yield chunk(40, `last of ${job}\n`);
    },
    async *watch() {
      yield { type: "snapshot", jobs: rows };
      await over;
    },
  } as unknown as Client;
}

async function readRun(query: string, over: Promise<void>): Promise<Download> {
  return await OUTPUT[1]!.run({
    client: runOfTwo(over), path: { run: "r" }, query: new URLSearchParams(query),
    signal: new AbortController().signal,
  } as unknown as Asked) as Download;
}

test("the output of a run is that of its jobs by time, and goes on until the run has ended",
  async () => {
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    // A line has the time of its beginning.
    assert.equal(await textOf(await readRun("", over)), "a: one\na: three\nb: two\n");
    const lines: { job: string; text: string }[] = [];
    assert.equal(await textOf(await readRun("stream=stderr", over)), "b: two\n");
    assert.equal(await textOf(await readRun("tail=2&text=t", over)), "a: three\nb: two\n");
    await assert.rejects(readRun("attempt=1&follow=1", over), /attempts of a whole run/);
    for await (const piece of (await readRun("as=json&follow=1", over)).pieces) {
      lines.push(JSON.parse(piece.toString()));
      if (lines.length === 3) end();
    }
    assert.deepEqual(lines.map(({ job, text }) => `${job}: ${text}`).sort(), [
      "a: last of a\n", "a: one\n", "a: three\n", "b: last of b\n", "b: two\n",
    ]);
  });
