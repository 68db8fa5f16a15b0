/**
 * Lesson 11: artifacts at the master, in a simulated machine room: what is kept, what is refused,
 * what goes, and what a crash and a full disk leave.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { takeBlock } from "#framing";
import { receiveArtifact, sendArtifact, type Ask } from "#project";
import { connect, type ArtifactPlace, type Client } from "#sdk";
import {
  ARTIFACT_WINDOW,
  ArtifactItem,
  ArtifactPut,
  ArtifactPutAnswer,
  BLOB_CHUNK_BYTES,
  Op,
  pieceMemory,
  pieceWith,
  type ArtifactHead,
} from "#wire";
import {
  diskFull, fileWith, hello, MASTER, pipeline, refusal, report, Room, spec, usedBytes,
  withFiles,
} from "./10-master.support.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const BIG = Buffer.alloc(5 * BLOB_CHUNK_BYTES + 7, "titan");
const KEEP: ArtifactPlace = { keep: true };

async function bytesOf(client: Client, name: string, run?: string): Promise<Buffer> {
  const { bytes } = await client.getArtifact(name, { run });
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const namesOf = async (client: Client): Promise<string[]> =>
  (await client.artifacts()).map(({ name, run }) => (run === "" ? name : `${run}:${name}`));

/** Files of blobs, and of uploads that are under way. */
const blobFiles = async (room: Room): Promise<string[]> =>
  room.world.host("m").storage.list("/state/blobs");

const head = (fields: Partial<ArtifactHead> = {}): ArtifactHead => ({
  name: "a", run: undefined, job: undefined, attempt: undefined, keep: true, by: "",
  size: undefined, output: false, ...fields,
});

/** One piece over a connection of its own. */
async function rawAsk(room: Room): Promise<{ ask: Ask; close: () => void }> {
  const connection = await room.raw();
  await connection.request(Op.HELLO, hello());
  return {
    ask: (opcode, body) => connection.request(opcode, body),
    close: () => connection.destroy(),
  };
}

const put = async (ask: Ask, piece: Partial<Parameters<typeof ArtifactPut.encode>[0]>) =>
  ArtifactPutAnswer.decode(await ask(Op.ARTIFACT_PUT, ArtifactPut.encode({
    upload: 1, offset: 0, data: Buffer.alloc(0), last: false, ...piece,
  })));

// ── there and back ───────────────────────────────────────────────────────────────────────────────

test("what is put is got, from bytes, text, a file and a stream, empty ones too; restarts keep it",
  () => Room.run(async (room) => {
    await room.start();
    let client = await room.client();
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield BIG.subarray(0, 10);
      yield Buffer.alloc(0);
      yield BIG.subarray(10);
    }
    async function* nothing(): AsyncGenerator<Uint8Array> {}
    const { info } = await client.putArtifact("bytes", BIG, KEEP);
    assert.deepEqual([info.size, info.sha256, info.run], [BIG.length, sha256(BIG), ""]);
    await client.putArtifact("text", "grüß", KEEP);
    await client.putArtifact("stream", stream(), KEEP);
    await client.putArtifact("empty", Buffer.alloc(0), KEEP);
    await client.putArtifact("empty stream", nothing(), KEEP);
    const disk = room.world.host("c0").storage;
    await disk.writeFile("/file", BIG);
    await client.putArtifact("file", { file: "/file" }, KEEP);
    await room.restart();
    client = await room.client();
    for (const name of ["bytes", "stream", "file"]) {
      assert.ok((await bytesOf(client, name)).equals(BIG), name);
    }
    assert.equal(String(await bytesOf(client, "text")), "grüß");
    for (const name of ["empty", "empty stream"]) {
      assert.equal((await bytesOf(client, name)).length, 0, name);
    }
    assert.equal((await blobFiles(room)).length, 3, "the same bytes are there once");
    await assert.rejects(
      client.putArtifact("x", "here", undefined as never),
      /^TypeError: Cannot put artifact x: it needs a place, \{run: RUN\} .*, found undefined$/,
    );
    await assert.rejects(
      client.putArtifact("x", 7 as never, KEEP),
      /must be bytes, text, .* found 7/,
    );
    for (const { name } of await client.artifacts()) await client.removeArtifact(name);
    await untilBlobs(room, 0);
    client.close();
  }));

test("the same bytes are not sent again, and the same name means the later ones", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { ask, close } = await rawAsk(room);
    let pieces = 0;
    const counted: Ask = (opcode, body) => {
      pieces += 1;
      return ask(opcode, body);
    };
    const send = (name: string, bytes: Buffer) => sendArtifact(counted, {
      head: head({ name, size: bytes.length }), sha256: sha256(bytes), bytes: [bytes],
    });
    await send("a", BIG);
    assert.equal(pieces, 8);
    await send("b", BIG);
    assert.equal(pieces, 9);
    const other = Buffer.from("other");
    const { replaced } = await send("a", other);
    assert.deepEqual([replaced?.sha256, replaced?.name], [sha256(BIG), "a"]);
    assert.equal(String(await bytesOf(client, "a")), "other");
    await client.removeArtifact("b");
    close();
    await untilBlobs(room, 1);
    await client.removeArtifact("a");
    client.close();
  }));

test("two puts of one name at once: the later end stays, and the other's bytes go", () =>
  Room.run(async (room) => {
    await room.start();
    const clients = await Promise.all([room.client(), room.client()]);
    const contents = [Buffer.alloc(BIG.length, 1), Buffer.alloc(BIG.length, 2)];
    const done = await Promise.all(
      clients.map((client, index) => client.putArtifact("a", contents[index]!, KEEP)),
    );
    assert.equal(done.filter(({ replaced }) => replaced !== undefined).length, 1);
    const last = done.find(({ replaced }) => replaced !== undefined)!;
    assert.equal(sha256(await bytesOf(clients[0]!, "a")), last.info.sha256);
    await untilBlobs(room, 1);
    await clients[0]!.removeArtifact("a");
    for (const client of clients) client.close();
  }));

async function untilBlobs(room: Room, count: number): Promise<void> {
  for (let tries = 0; tries < 100 && (await blobFiles(room)).length !== count; tries++) {
    await room.sleep(10);
  }
  assert.equal((await blobFiles(room)).length, count);
}

test("pieceWith() makes the bytes that ArtifactPut.encode() makes", () => {
  const memory = pieceMemory();
  for (const length of [0, 1, 127, 128, 16_383, 16_384, BLOB_CHUNK_BYTES]) {
    for (const [upload, offset] of [[0, 0], [2 ** 32 - 1, 2 ** 33 - 1]] as const) {
      const data = Buffer.alloc(length, 7);
      const expected = ArtifactPut.encode({ upload, offset, data, last: false });
      assert.ok(pieceWith(memory, { upload, offset, data }).equals(expected), `${length} bytes`);
    }
  }
});

test("sendArtifact() has no more pieces under way than its window, each " +
  "with its bytes", async () => {
  let [underWay, most] = [0, 0];
  const seen: Buffer[] = [];
  const ask: Ask = async (_, body) => {
    most = Math.max(most, ++underWay);
    for (let turn = 0; turn < 3; turn++) await new Promise((next) => setImmediate(next));
    const { data, last } = ArtifactPut.decode(body);
    seen.push(Buffer.from(data));
    underWay -= 1;
    const info = {
      name: "a", sha256: "", size: 0, at: 0, byRun: "", byJob: "", byAttempt: 0, by: "", run: "",
    };
    return ArtifactPutAnswer.encode({ done: last ? info : undefined, replaced: undefined });
  };
  const pieces = Array.from({ length: 12 }, (_, at) => Buffer.alloc(1000, at));
  await sendArtifact(ask, { head: head(), bytes: pieces });
  assert.equal(most, ARTIFACT_WINDOW);
  assert.ok(Buffer.concat(seen).equals(Buffer.concat(pieces)));
});

test("receiveArtifact() tells bytes that are others than the master keeps, " +
  "and too few", async () => {
  const info = {
    name: "a", sha256: sha256(Buffer.from("abc")), size: 3, at: 0, byRun: "", byJob: "",
    byAttempt: 0, by: "", run: "",
  };
  const read = async (...texts: string[]): Promise<string> => {
    async function* items(): AsyncGenerator<Buffer> {
      yield ArtifactItem.encode({ info, data: Buffer.alloc(0) });
      for (const text of texts) yield ArtifactItem.encode({ data: Buffer.from(text) });
    }
    let all = "";
    for await (const piece of (await receiveArtifact(items())).bytes) all += String(piece);
    return all;
  };
  assert.equal(await read("ab", "c"), "abc");
  await assert.rejects(read("ab", "d"), refusal("INTERNAL", /3 bytes came with the SHA-256/));
  await assert.rejects(read("ab"), refusal("INTERNAL", /2 bytes came/));
});

test("pieces that are lent share their memory, and others are their reader's", async () => {
  const data = Buffer.alloc(BLOB_CHUNK_BYTES, "titan");
  const whole = Buffer.concat(Array(20).fill(data));
  const info = {
    name: "a", sha256: sha256(whole), size: whole.length, at: 0, byRun: "", byJob: "",
    byAttempt: 0, by: "", run: "",
  };
  async function* items(): AsyncGenerator<Buffer> {
    yield ArtifactItem.encode({ info, data: Buffer.alloc(0) });
    for (let i = 0; i < 20; i++) {
      const body = ArtifactItem.encode({ data });
      const block = takeBlock(body.length); // as a connection has it
      body.copy(block);
      yield block.subarray(0, body.length);
    }
  }
  for (const [isLent, most] of [[true, 1], [false, 20]] as const) {
    const memory = new Set<unknown>();
    const { bytes } = await receiveArtifact(items(), { isLent });
    for await (const piece of bytes) memory.add(piece.buffer);
    assert.equal(memory.size, most);
  }
});

// ── refusals ─────────────────────────────────────────────────────────────────────────────────────

test("bytes that are others than their sender said are refused, and nothing is kept", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { ask, close } = await rawAsk(room);
    const cases: [Partial<ArtifactHead>, string | undefined, RegExp][] = [
      [
        {},
        sha256(Buffer.from("others")),
        /says that its SHA-256 is .* changed under way, and noth/,
      ],
      [{}, undefined, /its sender says that its SHA-256 is unknown/],
      [{ size: 3 }, sha256(BIG), /was to have 3 bytes, and has more: it has changed under way/],
      [{ size: BIG.length + 1 }, sha256(BIG), /was to have 1310728 bytes, and has 1310727/],
    ];
    for (const [upload, [fields, hash, why]] of cases.entries()) {
      const whole = async (): Promise<unknown> => {
        await put(ask, { upload, head: head(fields) });
        for (let offset = 0; offset < BIG.length; offset += BLOB_CHUNK_BYTES) {
          const data = BIG.subarray(offset, offset + BLOB_CHUNK_BYTES);
          await put(ask, { upload, offset, data });
        }
        return put(ask, { upload, offset: BIG.length, last: true, sha256: hash });
      };
      await assert.rejects(whole(), refusal("INVALID", why));
      assert.deepEqual(await blobFiles(room), [], String(why));
    }
    assert.deepEqual(await namesOf(client), []);
    close();
    client.close();
  }));

test("a file that changes between its two readings is refused", () =>
  Room.run(async (room) => {
    await room.start();
    let opened = 0;
    const host = withFiles(room.world.host("c"), (path, file) => {
      if (path !== "/file" || ++opened < 4) return file;
      return fileWith(file, {
        read: async (offset, length) => (await file.read(offset, length)).fill("?"),
      });
    });
    await host.storage.writeFile("/file", BIG);
    const client = await connect({ host, master: MASTER });
    const send = () => client.putArtifact("a", { file: "/file" }, KEEP);
    await send();
    await client.removeArtifact("a");
    await untilBlobs(room, 0);
    await assert.rejects(send(), refusal("INVALID", /it has changed under way/));
    assert.deepEqual(await blobFiles(room), []);
    client.close();
  }));

test("pieces that do not follow, of nothing, or too many at once, are refused in words", () =>
  Room.run(async (room) => {
    await room.start();
    const { ask, close } = await rawAsk(room);
    await assert.rejects(put(ask, {}), refusal("CONFLICT", /no upload 1 is under way/));
    await put(ask, { head: head() });
    await assert.rejects(put(ask, { head: head() }), refusal("CONFLICT", /upload 1 is under way/));
    const data = Buffer.from("x");
    await put(ask, { data });
    await assert.rejects(
      put(ask, { offset: 2, data }),
      refusal("CONFLICT", /2\+1 does not follow/),
    );
    await assert.rejects(put(ask, { offset: 1, data }), refusal("CONFLICT", /no upload 1 is/));
    for (let upload = 1; upload <= 4; upload++) await put(ask, { upload, head: head() });
    const fifth = put(ask, { upload: 5, head: head() });
    await assert.rejects(fifth, refusal("CONFLICT", /4 uploads are under way/));
    const output = put(ask, { upload: 6, head: head({ output: true }) });
    await assert.rejects(output, refusal("CONFLICT", /4 uploads|only workers/));
    close();
    await untilBlobs(room, 0);
  }));

test("names that cannot be, unknown runs, runs and attempts that are over: refused in words", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", {});
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.jobs.length === 1);
    const refused = (
      name: string,
      place: ArtifactPlace,
      code: string,
      why: RegExp,
    ): Promise<void> =>
      assert.rejects(client.putArtifact(name, "x", place), refusal(code as "INVALID", why));
    await refused("", KEEP, "INVALID", /its name|it is empty/);
    await refused("..", KEEP, "INVALID", /it would be a folder/);
    await refused("../x", KEEP, "INVALID", /it has a "\/"/);
    await refused("x".repeat(300), KEEP, "INVALID", /longer than 255 bytes/);
    await refused("a\nb", KEEP, "INVALID", /control character/);
    await refused("x", {}, "INVALID", /belongs to no run, and is not to be kept/);
    await refused("x", { run: "nobody" }, "NOT_FOUND", /Cannot find run "nobody"/);
    await refused("x", { run, job: "b" }, "NOT_FOUND", /Cannot find job "b"/);
    await refused("x", { run, job: "a", attempt: 2 }, "CONFLICT", /attempt 2 .* is over \(RUNNING/);
    await client.putArtifact("model.bin", "x", { run, job: "a", attempt: 1, by: "ada" });
    await assert.rejects(
      client.getArtifact("modle.bin", { run }),
      refusal("NOT_FOUND", /has none of this name \(did you mean "model\.bin"\?\)/),
    );
    await assert.rejects(client.getArtifact("model.bin"), refusal("NOT_FOUND", /none is kept by/));
    await worker.finish(report(worker.assigned[0]!));
    await refused(
      "x",
      { run, job: "a", attempt: 1 },
      "CONFLICT",
      /attempt 1 .* is over \(COMPLETED/,
    );
    await refused("x", { run }, "CONFLICT", /has ended \(COMPLETED\); --keep keeps it/);
    assert.equal(String(await bytesOf(client, "model.bin", run)), "x");
    assert.deepEqual(
      (await client.artifacts({ run })).map(({ byJob, byAttempt, by }) => [byJob, byAttempt, by]),
      [["a", 1, "ada"]],
    );
    await client.removeArtifact("model.bin", { run });
    worker.connection.close();
    client.close();
  }));

// ── the disk ─────────────────────────────────────────────────────────────────────────────────────

test("a disk that is full in the middle of an upload refuses it, keeps nothing, and goes on", () =>
  Room.run(async (room) => {
    const host = withFiles(room.world.host("m"), (path, file) => {
      if (!path.includes("/.upload-")) return file;
      return fileWith(file, {
        append: async (parts) => {
          if (file.size > 2 * BLOB_CHUNK_BYTES) throw diskFull();
          return file.append(parts);
        },
      });
    });
    await room.start({ host });
    const client = await room.client();
    await assert.rejects(
      client.putArtifact("a", BIG, KEEP),
      refusal(
        "INTERNAL",
        /^Cannot put artifact "a" on the master's disk: the disk is full; what had/,
      ),
    );
    assert.deepEqual(await blobFiles(room), []);
    assert.deepEqual(await namesOf(client), []);
    await client.putArtifact("b", "small", KEEP);
    assert.equal(String(await bytesOf(client, "b")), "small");
    await client.removeArtifact("b");
    await untilBlobs(room, 0);
    client.close();
  }));

test("a log without room refuses a put with the reason, and the upload leaves nothing", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const disk = room.world.disk("m");
    disk.limitBytes((await usedBytes(room, "/state")) + 3 * BLOB_CHUNK_BYTES);
    await assert.rejects(client.putArtifact("a", BIG, KEEP), /the disk is full|ENOSPC/);
    disk.limitBytes(undefined);
    await untilBlobs(room, 0);
    await client.putArtifact("a", BIG, KEEP);
    assert.deepEqual(await namesOf(client), ["a"]);
    await client.removeArtifact("a");
    await untilBlobs(room, 0);
    client.close();
  }));

test("artifacts stay within what they may take, uploads under way included", () =>
  Room.run(async (room) => {
    await room.start({ artifacts: { totalBytes: 2 * BIG.length, ageMs: 60_000 } });
    const client = await room.client();
    const { ask, close } = await rawAsk(room);
    await client.putArtifact("a", BIG, KEEP);
    await put(ask, { head: head({ name: "b", size: BIG.length }) });
    const data = BIG.subarray(0, 10);
    await put(ask, { data });
    const third = client.putArtifact("c", Buffer.alloc(100, 3), KEEP);
    await assert.rejects(third, refusal("CONFLICT", /kept by name, hold 1310727 of 2621454 bytes/));
    close();
    await untilBlobs(room, 1);
    await client.putArtifact("c", Buffer.alloc(100, 3), KEEP);
    await assert.rejects(
      client.putArtifact("d", Buffer.alloc(3 * BIG.length), KEEP),
      refusal("INVALID", /3932181 bytes are more than 2621454/),
    );
    for (const name of ["a", "c"]) await client.removeArtifact(name);
    await untilBlobs(room, 0);
    client.close();
  }));

test("artifacts of runs that ended long ago go with whatever happens next, and wake nobody", () =>
  Room.run(async (room) => {
    await room.start({ artifacts: { totalBytes: 1e9, ageMs: 60_000 } });
    const client = await room.client();
    const worker = await room.worker("w", {});
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.jobs.length === 1);
    await client.putArtifact("a", BIG, { run });
    await client.putArtifact("kept", "x", { run, keep: true });
    await room.sleep(120_000);
    assert.equal((await blobFiles(room)).length, 2, "the run goes on");
    await worker.finish(report(worker.assigned[0]!));
    const { run: other } = await client.submitSpec(pipeline([spec("b")]));
    await room.sleep(59_000);
    await client.cancel(other);
    assert.deepEqual(await namesOf(client), [`${run}:a`, "kept"]);
    await room.sleep(2000);
    assert.deepEqual(await namesOf(client), [`${run}:a`, "kept"], "an idle master sleeps");
    await client.submitSpec(pipeline([spec("c")]));
    assert.deepEqual(await namesOf(client), ["kept"]);
    await untilBlobs(room, 1);
    await client.removeArtifact("kept");
    worker.connection.close();
    client.close();
  }));

test("bytes that the disk has damaged are told in place of the end, and can be put again", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    await client.putArtifact("a", BIG, KEEP);
    const { storage } = room.world.host("m");
    const [name] = await blobFiles(room);
    await storage.writeFile(`/state/blobs/${name}`, Buffer.alloc(BIG.length, "damage"));
    await assert.rejects(
      bytesOf(client, "a"),
      refusal("NOT_FOUND", /were damaged .* put it again/),
    );
    await client.putArtifact("a", BIG, KEEP);
    assert.ok((await bytesOf(client, "a")).equals(BIG));
    await client.removeArtifact("a");
    await untilBlobs(room, 0);
    client.close();
  }));

test("a worker that lost its attempt cannot replace what its successor has handed on", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const files = { outputs: ["model.bin"], inputs: [] };
    const old = await room.worker("old", { beats: false });
    const { run } = await client.submitSpec(pipeline([spec("a", { files })]));
    await room.until(() => old.jobs.length === 1);
    const fresh = await room.worker("fresh", {});
    await room.until(() => fresh.jobs.length === 1);
    const collect = (worker: typeof old, attempt: number, text: string): Promise<unknown> =>
      sendArtifact((opcode, body) => worker.connection.request(opcode, body), {
        head: head({ name: "model.bin", run, job: "a", attempt, keep: false, output: true }),
        bytes: [Buffer.from(text)],
      });
    await collect(fresh, 2, "right");
    const returned = await room.worker("old", { instance: "other" });
    for (const attempt of [1, 2]) {
      await assert.rejects(
        collect(returned, attempt, "stale"),
        refusal("CONFLICT", /is over|another/),
      );
    }
    assert.equal(String(await bytesOf(client, "a/model.bin", run)), "right");
    await fresh.finish(report(fresh.assigned[0]!));
    await client.removeArtifact("a/model.bin", { run });
    for (const worker of [fresh, returned]) worker.connection.close();
    client.close();
  }));
