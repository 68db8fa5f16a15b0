/** Output over HTTP: the bytes as they are, or pieces with times and streams. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, OutputChunk } from "#sdk";
import { OUTPUT } from "../src/http/output.ts";
import type { Asked, Download } from "../src/http/route.ts";

const chunk = (
  at: number, data: string | Uint8Array, stream: OutputChunk["stream"] = "stdout",
): OutputChunk => ({ at, stream, data: Buffer.from(data as string) });

async function read(query: string, chunks: readonly OutputChunk[]): Promise<Download> {
  const client = {
    async *logs() {
      yield* chunks;
    },
    status: () => Promise.resolve(undefined),
  };
  const found = await OUTPUT[0]!.run({
    client: client as unknown as Client, path: { run: "r", job: "a" },
    query: new URLSearchParams(query), signal: new AbortController().signal,
  } as unknown as Asked) as Download;
  return found;
}

async function textOf({ pieces }: Download): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

test("as=json has times and streams, and whole characters", async () => {
  const euro = Buffer.from("€");
  const chunks = [
    chunk(1, Buffer.concat([Buffer.from("a\n"), euro.subarray(0, 1)])), chunk(2, "oh", "stderr"),
    chunk(3, euro.subarray(1)), chunk(4, Uint8Array.of(0xff, 0xc3), "stderr"),
  ];
  for (const more of ["", "&follow=1"]) {
    const found = await read(`as=json${more}`, chunks);
    assert.match(found.type, /ndjson/);
    assert.deepEqual((await textOf(found)).trim().split("\n").map((line) => JSON.parse(line)), [
      { at: 1, stream: "stdout", text: "a\n" }, { at: 2, stream: "stderr", text: "oh" },
      { at: 3, stream: "stdout", text: "€" }, { at: 4, stream: "stderr", text: "\ufffd" },
      { at: 4, stream: "stderr", text: "\ufffd" },
    ]);
  }
  assert.equal(await textOf(await read("as=json", [])), "");
});

test("without as=json it is the bytes that were printed", async () => {
  const found = await read("attempt=2", [chunk(1, "a\n"), chunk(2, "b", "stderr")]);
  assert.deepEqual([found.type, found.name], ["text/plain; charset=utf-8", "r-a.log"]);
  assert.equal(await textOf(found), "a\nb");
  await assert.rejects(read("attempt=x", []), /attempt="x"/);
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
    for await (const piece of (await readRun("as=json&follow=1", over)).pieces) {
      lines.push(JSON.parse(piece.toString()));
      if (lines.length === 3) end();
    }
    assert.deepEqual(lines.map(({ job, text }) => `${job}: ${text}`).sort(), [
      "a: last of a\n", "a: one\n", "a: three\n", "b: last of b\n", "b: two\n",
    ]);
  });
