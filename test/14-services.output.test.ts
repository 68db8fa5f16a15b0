/**
 * What a service prints: the newest is kept, whoever reads, and whatever happens to the master.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import type { Client } from "#sdk";
import { SimWorld } from "#simhost";
import { BLOB_CHUNK_BYTES, droppedChunk, type AttemptKey, type OutputChunk } from "#wire";
import { Reading } from "../src/sdk/run-output.ts";
import { MAX_OUTPUT_BYTES } from "../src/master/output-records.ts";
import { SEGMENT_BYTES } from "../src/master/output-segments.ts";
import { OutputStore } from "../src/master/output.ts";
import { diskFull, fileWith, withFiles } from "./10-master.support.ts";

const KEY: AttemptKey = { run: 1, job: 0, attempt: 4 };
/** As many pieces fill a file: their records' headers count, too. */
const PER_FILE = Math.ceil(SEGMENT_BYTES / (BLOB_CHUNK_BYTES + 11));

/** With its header. */
const MARK_BYTES = 19;

const newWorld = (): SimWorld => new SimWorld({ seed: 1 });

function storeOf(world: SimWorld, host: Host = world.host("m")): OutputStore {
  return new OutputStore(host, "/out", { isEndless: ({ job }) => job === 0 });
}

/** Piece number `i`, which says so. */
function piece(i: number): OutputChunk {
  const data = Buffer.alloc(BLOB_CHUNK_BYTES, 120);
  data.writeUInt32BE(i);
  return { stream: "stdout", at: i, data };
}

async function print(store: OutputStore, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await store.append(KEY, [piece(i)]);
}

interface Read {
  readonly pieces: number[];
  dropped: number;
  readonly notes: string[];
}

/** Every byte is there, or is counted: the number of a piece is its place. */
function take(into: Read, chunks: readonly OutputChunk[]): void {
  for (const { data, dropped } of chunks) {
    if (dropped !== undefined) {
      into.dropped += dropped;
      into.notes.push(`${data}`);
      continue;
    }
    const i = data.readUInt32BE();
    assert.equal(into.dropped + into.pieces.length * BLOB_CHUNK_BYTES, i * BLOB_CHUNK_BYTES);
    into.pieces.push(i);
  }
}

async function readAll(store: OutputStore, key = KEY): Promise<Read> {
  const read: Read = { pieces: [], dropped: 0, notes: [] };
  for await (const chunks of store.read(key, () => false)) take(read, chunks);
  return read;
}

const files = (world: SimWorld): string[] => world.disk("m").list("/out/1");

test("a service that prints without end has two files of 8 MiB, the newest", async () => {
  const world = newWorld();
  const store = storeOf(world);
  await print(store, 0, PER_FILE);
  assert.deepEqual(files(world), ["0.4"]);
  await print(store, PER_FILE, 2 * PER_FILE);
  assert.deepEqual(files(world), ["0.4", "0.4.1"]);
  assert.deepEqual((await readAll(store)).notes, [], "nothing is gone so far");
  const count = 4 * PER_FILE + 3;
  await print(store, 2 * PER_FILE, count);
  assert.deepEqual(files(world), ["0.4.3", "0.4.4"]);
  for (const name of files(world)) {
    assert.ok(world.disk("m").read(`/out/1/${name}`)!.length <= SEGMENT_BYTES + BLOB_CHUNK_BYTES);
  }
  const read = await readAll(store);
  assert.equal(read.pieces.length, PER_FILE + 3);
  assert.equal(read.dropped, 3 * PER_FILE * BLOB_CHUNK_BYTES);
  assert.deepEqual(read.notes, ["[titan: … 25.2 MB older output were dropped]\n"]);
  store.drop(KEY);
  for (let turn = 0; turn < 100 && files(world).length > 0; turn++) {
    await new Promise(setImmediate);
  }
  assert.deepEqual(files(world), []);
});

test("a reader that keeps up sees each byte once; one that falls behind is told how many it has " +
  "missed", async () => {
  const store = storeOf(newWorld());
  let running = true;
  let go: () => void = () => undefined;
  const gate = new Promise<void>((open) => { go = open; });
  const follow = async (pace: () => Promise<() => void>): Promise<Read> => {
    const read: Read = { pieces: [], dropped: 0, notes: [] };
    for await (const page of store.read(KEY, () => running, { pace })) take(read, page);
    return read;
  };
  const quick = follow(async () => () => undefined);
  let pages = 0;
  const slow = follow(async () => {
    if (++pages > 5) await gate;
    return () => undefined;
  });
  for (let i = 0; i < 5 * PER_FILE; i++) {
    await store.append(KEY, [piece(i)]);
    for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
  }
  go();
  running = false;
  store.ended(KEY);
  assert.deepEqual((await quick).notes, []);
  assert.equal((await quick).pieces.length, 5 * PER_FILE);
  const { pieces, notes } = await slow;
  assert.ok(pieces.length < 2 * PER_FILE + 10, `${pieces.length} pieces`);
  assert.equal(pieces.at(-1), 5 * PER_FILE - 1);
  assert.match(notes.join(), /^\n\[titan: … \d+\.\d MB older output were dropped\]\n$/);
});

test("a master that starts again goes on where the newest file ends, whatever of it was " +
  "written", async () => {
  const cases: readonly (readonly [what: string, cut: number | undefined, lost: number])[] = [
    ["all of it", undefined, 0], ["half a record", -5, 1], ["half a mark", 7, 2],
    ["nothing", 0, 2], ["the mark", MARK_BYTES, 2], ["no mark", Infinity, 2],
  ];
  for (const [what, cut, lost] of cases) {
    const world = newWorld();
    const before = storeOf(world);
    await print(before, 0, 2 * PER_FILE + 2);
    await before.close();
    const file = await world.host("m").storage.open("/out/1/0.4.2");
    const whole = await file.read(0, file.size);
    if (cut === Infinity) await file.truncate(0);
    else if (cut !== undefined) await file.truncate(cut < 0 ? file.size + cut : cut);
    if (cut === Infinity) await file.append([whole.subarray(MARK_BYTES)]);
    await file.close();
    const store = storeOf(world);
    await print(store, 2 * PER_FILE + 2 - lost, 3 * PER_FILE + 1);
    assert.deepEqual(files(world), ["0.4.2", "0.4.3"], what);
    const { pieces, dropped } = await readAll(store);
    assert.equal(dropped, 2 * PER_FILE * BLOB_CHUNK_BYTES, what);
    assert.equal(pieces.length, PER_FILE + 1, what);
    await store.close();
  }
});

test("an older file that a crash has left goes when the newest is opened", async () => {
  const world = newWorld();
  let store = storeOf(world);
  await print(store, 0, 3 * PER_FILE);
  await store.close();
  const { storage } = world.host("m");
  await storage.writeFile("/out/1/0.4", world.disk("m").read("/out/1/0.4.1")!);
  await storage.writeFile("/out/1/0.40.9", Buffer.from("of another attempt"));
  store = storeOf(world);
  await store.append(KEY, [piece(3 * PER_FILE)]);
  assert.deepEqual(files(world), ["0.4.2", "0.4.3", "0.40.9"]);
});

test("a full disk at the end of a file: what is lost is counted, and the next file has the words",
  async () => {
    const world = newWorld();
    let full = false;
    const host = withFiles(world.host("m"), (_path, file) => fileWith(file, {
      append: async (parts) => { if (full) throw diskFull(); await file.append(parts); },
    }));
    const store = storeOf(world, host);
    await print(store, 0, PER_FILE);
    full = true;
    await assert.rejects(store.append(KEY, [piece(0), piece(1)]), { code: "ENOSPC" });
    assert.deepEqual(files(world), ["0.4", "0.4.1"]);
    full = false;
    await store.append(KEY, [piece(7)]);
    const chunks: OutputChunk[] = [];
    for await (const page of store.read(KEY, () => false)) chunks.push(...page);
    assert.match(`${chunks.at(-2)!.data}`, /524288 bytes of output could not be stored: ENOSPC/);
    assert.equal(chunks.at(-1)!.data.readUInt32BE(), 7);
    assert.equal(chunks.length, PER_FILE + 2);
    assert.equal(store.takeLost(KEY)?.bytes, 2 * BLOB_CHUNK_BYTES);

    const note = chunks.at(-2)!.data.length;
    await print(store, 0, 2 * PER_FILE);
    let bytes = 0;
    for await (const page of store.read(KEY, () => false)) {
      for (const { data, dropped } of page) bytes += dropped ?? data.length;
    }
    assert.equal(bytes, (3 * PER_FILE + 1) * BLOB_CHUNK_BYTES + note, "the words count, too");
  });

test("a job that ends keeps its first output, in one file", async () => {
  const world = newWorld();
  const store = storeOf(world);
  const key = { ...KEY, job: 1 };
  const pieces = MAX_OUTPUT_BYTES / BLOB_CHUNK_BYTES;
  for (let i = 0; i < pieces + 2; i++) await store.append(key, [piece(i)]);
  assert.deepEqual(files(world), ["1.4"]);
  const chunks: OutputChunk[] = [];
  for await (const page of store.read(key, () => false)) chunks.push(...page);
  assert.equal(chunks.length, pieces + 1);
});

// ── at the command line ──────────────────────────────────────────────────────────────────────────

test("a reader that connects again counts what was dropped among what it has seen", async () => {
  const chunk = (text: string): OutputChunk =>
    ({ stream: "stdout", at: 1, data: Buffer.from(text) });
  const gone = (bytes: number): OutputChunk => droppedChunk(bytes, { isFirst: true, at: 1 });
  const answers = [
    [chunk("one\ntwo\n")],
    [gone(4), chunk("two\nthree\n")],
    [gone(8), chunk("three\nfour\n")],
    [gone(1_500_019), chunk("last\n")],
  ];
  const client = { async *logs() { yield* answers.shift()!; } } as unknown as Client;
  const reading = new Reading("web", 4);
  const seen: string[][] = [];
  while (answers.length > 0) {
    const lines: string[] = [];
    for await (const page of reading.read(client, "r", { follow: false })) {
      lines.push(...page.map(({ text }) => text));
    }
    seen.push(lines);
  }
  assert.deepEqual(seen, [
    ["one", "two"], ["three"], ["four"],
    ["", "[titan: … 1.5 MB older output were dropped]", "last"],
  ]);
  assert.equal(reading.bytes, 1_500_024);
});
