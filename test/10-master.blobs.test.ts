/** Blobs: whatever is in the folder has the hash that it is named after. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Host } from "#host";
import { SimWorld } from "#simhost";
import { BLOB_CHUNK_BYTES, BlobHas, BlobPut, MAX_BLOB_BYTES, Op } from "#wire";
import { BlobError, BlobStore } from "../src/master/blobs.ts";
import { Uploads } from "../src/master/uploads.ts";
import { hello, refusal, Room } from "./10-master.support.ts";

const DIR = "/state/blobs";
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i * 7));
const HASH = hashOf(content);

function setUp(): { world: SimWorld; host: Host; store: BlobStore; uploads: Uploads } {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("m");
  const store = new BlobStore(host, DIR);
  return { world, host, store, uploads: new Uploads(store) };
}

const blobError = (message: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof BlobError, String(error));
  assert.match(error.message, message);
  return true;
};

async function put(
  uploads: Uploads,
  bytes: Buffer,
  options: { hash?: string; step?: number } = {},
): Promise<boolean> {
  const { hash = hashOf(bytes), step = 100 } = options;
  let complete = false;
  for (let offset = 0; offset === 0 || offset < bytes.length; offset += step) {
    complete = await uploads.put({
      hash,
      total: bytes.length,
      offset,
      data: bytes.subarray(offset, offset + step),
    });
  }
  return complete;
}

test("put() in any pieces, then read() and load() give the same bytes", async () => {
  for (const step of [1, 7, 999, 1000]) {
    const { world, store, uploads } = setUp();
    assert.equal(await store.has(HASH), false);
    assert.equal(await world.settle(put(uploads, content, { step })), true);
    assert.equal(await store.has(HASH), true);
    assert.deepEqual(await store.load(HASH), content);
    const parts: Buffer[] = [];
    for await (const part of store.read(HASH)) parts.push(part);
    assert.deepEqual(Buffer.concat(parts), content);
  }
  const { world, store, uploads } = setUp();
  assert.equal(await world.settle(put(uploads, Buffer.alloc(0))), true);
  assert.equal((await store.load(hashOf(Buffer.alloc(0)))).length, 0);
  await assert.rejects(store.load(HASH), blobError(/never uploaded/));
  await assert.rejects(store.read(HASH).next(), blobError(/never uploaded/));
});

test("put() refuses content that does not have its hash, and leaves nothing", async () => {
  const { host, store, uploads } = setUp();
  const flipped = Buffer.from(content);
  flipped[500]! ^= 1;
  await assert.rejects(put(uploads, flipped, { hash: HASH }), blobError(/the content's hash is/));
  assert.equal(await store.has(HASH), false);
  assert.deepEqual(await host.storage.list(DIR), []);
});

test("put() refuses a piece that does not follow or is too much, then starts over", async () => {
  const { world, host, uploads } = setUp();
  const piece = (offset: number, length: number, total = 1000) =>
    uploads.put({ hash: HASH, total, offset, data: content.subarray(offset, offset + length) });
  await assert.rejects(piece(10, 10), blobError(/10\+10 of 1000 does not follow byte 0/));
  for (const [offset, length] of [[0, 100], [200, 100], [90, 10], [99, 2]] as const) {
    await piece(0, 100);
    await assert.rejects(piece(offset, length), blobError(/does not follow byte 100/));
  }
  await piece(0, 100);
  await assert.rejects(
    uploads.put({ hash: HASH, total: 1000, offset: 100, data: Buffer.alloc(901) }),
    blobError(/of 1000 does not follow/),
  );
  await assert.rejects(piece(0, 100, 50), blobError(/0\+100 of 50/));
  assert.deepEqual(await host.storage.list(DIR), []);
  assert.equal(await world.settle(put(uploads, content)), true);
});

test("put() refuses more than MAX_BLOB_BYTES before a byte is stored, and more than four uploads " +
  "at a time", async () => {
  const { world, host, uploads } = setUp();
  await assert.rejects(
    uploads.put({ hash: HASH, total: MAX_BLOB_BYTES + 1, offset: 0, data: content }),
    blobError(/67108865 bytes exceed/),
  );
  assert.deepEqual(await host.storage.list(DIR), []);
  const begin = (i: number) =>
    uploads.put({ hash: hashOf(Buffer.of(i)), total: 10, offset: 0, data: Buffer.of(i) });
  for (let i = 0; i < 4; i++) assert.equal(await begin(i), false);
  await assert.rejects(begin(4), blobError(/4 uploads are open already/));
  await uploads.close();
  assert.equal(await world.settle(put(uploads, content)), true);
});

test("names that are not 64 lower-case hex digits reach no file, whatever " +
  "tricks they play", async () => {
  const { host, store, uploads } = setUp();
  await host.storage.mkdir("/state/log");
  await host.storage.writeFile("/state/log/secret", content);
  const names = [
    "",
    ".",
    "..",
    "../log/secret",
    "/state/log/secret",
    `../log/secret\0${HASH}`,
    HASH.toUpperCase(),
    `${HASH}\n`,
    ` ${HASH}`,
    `${HASH}/..`,
    HASH.slice(1),
    `${HASH}0`,
    "..%2flog",
    "％2e",
    "\\..\\log",
  ];
  for (const hash of names) {
    const refused = blobError(/^Cannot use blob name .*: not a SHA-256/s);
    await assert.rejects(store.has(hash), refused);
    await assert.rejects(store.load(hash), refused);
    assert.throws(() => store.hold(hash), refused);
    await assert.rejects(store.read(hash).next(), refused);
    await assert.rejects(uploads.put({ hash, total: 1, offset: 0, data: Buffer.of(1) }), refused);
  }
  assert.deepEqual(await host.storage.readFile("/state/log/secret"), content);
});

test("an upload that a connection, a crash or a stop interrupts leaves nothing", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const partly = async (): Promise<{ destroy(): void; close(): void }> => {
      const peer = await room.raw();
      await peer.request(Op.HELLO, hello());
      const body = BlobPut.encode({
        hash: HASH,
        total: 1000,
        offset: 0,
        data: content.subarray(0, 999),
      });
      assert.equal(BlobHas.decode(await peer.request(Op.BLOB_PUT, body)).present, false);
      return peer;
    };
    const names = () => room.world.host("m").storage.list(DIR);
    for (const end of ["destroy", "close"] as const) {
      const peer = await partly();
      assert.equal((await names()).length, 1);
      peer[end]();
      await room.sleep(10);
      assert.deepEqual(await names(), []);
    }
    await partly();
    await room.world.host("m").storage.syncDirectory(DIR); // the name survives the crash, too
    room.world.crash("m", { torn: true });
    assert.equal((await names()).length, 1);
    await room.start();
    assert.deepEqual(await names(), []);
    assert.ok(master.port > 0);
  }));

test("a peer that sends broken pieces is refused and can go on", () =>
  Room.run(async (room) => {
    await room.start();
    const peer = await room.raw();
    await peer.request(Op.HELLO, hello());
    const send = (hash: string, data: Buffer) =>
      peer.request(Op.BLOB_PUT, BlobPut.encode({ hash, total: data.length, offset: 0, data }));
    await assert.rejects(send("../../etc/passwd", content), refusal("INVALID", /not a SHA-256/));
    await assert.rejects(
      send(HASH, Buffer.from("other")),
      refusal("INVALID", /the content's hash is/),
    );
    await assert.rejects(peer.request(Op.BLOB_PUT, Buffer.from([1, 2, 3])), refusal("BAD_REQUEST"));
    assert.equal(BlobHas.decode(await send(HASH, content)).present, true);
  }));

const removed = async (store: BlobStore): Promise<void> => {
  while (store.leftovers > 0) await new Promise(setImmediate);
};

test("a blob goes when nobody needs it, and not while somebody has asked " +
  "for it lately", async () => {
  const { world, host, store, uploads } = setUp();
  const [used, asked, left] = [1, 2, 3].map((byte) => Buffer.alloc(10, byte)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  for (const bytes of [used, asked, left]) await world.settle(put(uploads, bytes));
  const names = async (): Promise<string[]> => {
    await removed(store);
    return host.storage.list(DIR);
  };
  uploads.used(hashOf(used));
  assert.deepEqual(await names(), [hashOf(asked), hashOf(left)].sort());
  await store.has(hashOf(asked));
  uploads.used(hashOf(asked));
  uploads.used(hashOf(asked)); // once too often
  await uploads.close();
  await world.run(9 * 60_000);
  await store.has(hashOf(asked));
  await host.storage.writeFile(`${DIR}/README`, content);
  assert.equal((await names()).length, 3, "all were asked for or uploaded a moment ago");
  await world.run(11 * 60_000);
  assert.equal(await store.has(HASH), false);
  assert.deepEqual(await names(), [hashOf(asked), "README"].sort());
  await world.run(22 * 60_000);
  assert.equal(await store.has(HASH), false);
  assert.deepEqual(await names(), ["README"]);
  assert.equal(store.held, 0);
});

test("recover() keeps what runs need until the last of them is forgotten, and " +
  "removes the rest", async () => {
  const { world, host, store, uploads } = setUp();
  for (const bytes of [content, Buffer.of(1)]) await world.settle(put(uploads, bytes));
  await host.storage.writeFile(`${DIR}/.upload-0123`, content);
  const again = new BlobStore(host, DIR);
  await again.recover([HASH, HASH]);
  await removed(again);
  assert.deepEqual(await host.storage.list(DIR), [HASH]);
  again.release(HASH);
  await removed(again);
  assert.deepEqual(await host.storage.list(DIR), [HASH]);
  again.release(HASH);
  await removed(again);
  assert.deepEqual(await host.storage.list(DIR), []);
  assert.ok(store.held > 0, "the old one knows nothing of it");
});

test("pieces that arrive at once are taken in their order, and a piece as large as a frame " +
  "allows is one piece", async () => {
  const { world, store, uploads } = setUp();
  const bytes = Buffer.alloc(3 * BLOB_CHUNK_BYTES + 5, 9);
  const hash = hashOf(bytes);
  const pieces: Promise<boolean>[] = [];
  for (let offset = 0; offset < bytes.length; offset += BLOB_CHUNK_BYTES) {
    pieces.push(
      uploads.put({
        hash,
        total: bytes.length,
        offset,
        data: bytes.subarray(offset, offset + BLOB_CHUNK_BYTES),
      }),
    );
  }
  assert.deepEqual(await world.settle(Promise.all(pieces)), [false, false, false, true]);
  assert.equal((await store.load(hash)).length, bytes.length);
});

test("load() removes a file that the disk has changed instead of handing it out, so that it is " +
  "uploaded again", async () => {
  const { world, host, store, uploads } = setUp();
  await world.settle(put(uploads, content));
  const damaged = Buffer.from(content);
  damaged[3]! ^= 1;
  await host.storage.writeFile(`${DIR}/${HASH}`, damaged);
  await assert.rejects(store.load(HASH), blobError(/was damaged and has been removed/));
  assert.equal(await store.has(HASH), false);
});

test("put() closes its file once when the disk fails at the end, and leaves nothing", async () => {
  const { world, host } = setUp();
  let closes = 0;
  const storage = new Proxy(host.storage, {
    get(target, name: keyof Host["storage"]) {
      if (name === "rename") {
        return () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
      }
      if (name !== "open") return target[name].bind(target);
      return async (...args: Parameters<Host["storage"]["open"]>) => {
        const file = await target.open(...args);
        const close = file.close.bind(file);
        return Object.assign(file, { close: () => { closes += 1; return close(); } });
      };
    },
  });
  const uploads = new Uploads(new BlobStore({ ...host, storage }, DIR));
  await assert.rejects(world.settle(put(uploads, content)), /EIO/);
  await uploads.close();
  assert.equal(closes, 1);
  assert.deepEqual(await host.storage.list(DIR), []);
});

test("read() of a damaged file gives its pieces, then an error in place of the end, and removes " +
  "the file", async () => {
  const { world, host, store, uploads } = setUp();
  const bytes = Buffer.alloc(2 * BLOB_CHUNK_BYTES + 1, 3);
  const hash = hashOf(bytes);
  await world.settle(put(uploads, bytes, { step: BLOB_CHUNK_BYTES }));
  const damaged = Buffer.from(bytes);
  damaged[bytes.length - 1]! ^= 1;
  await host.storage.writeFile(`${DIR}/${hash}`, damaged);
  const pieces: number[] = [];
  await assert.rejects(
    async () => {
      for await (const piece of store.read(hash)) pieces.push(piece.length);
    },
    blobError(/was damaged and has been removed/),
  );
  assert.deepEqual(pieces, [BLOB_CHUNK_BYTES, BLOB_CHUNK_BYTES, 1]);
  assert.equal(await store.has(hash), false);
  // A file that has become shorter or empty is damaged, too.
  await world.settle(put(uploads, bytes, { step: BLOB_CHUNK_BYTES }));
  await host.storage.writeFile(`${DIR}/${hash}`, Buffer.alloc(0));
  await assert.rejects(store.load(hash), blobError(/was damaged/));
});

test("read() and load() use the same memory for each piece", async () => {
  const world = new SimWorld({ seed: 1 });
  const real = world.host("m");
  const used = new Set<ArrayBufferLike>();
  const open: Host["storage"]["open"] = async (...args) => {
    const file = await real.storage.open(...args);
    const read: typeof file.read = async (offset, length, into) => {
      const bytes = await file.read(offset, length);
      used.add(into!.buffer);
      into!.set(bytes);
      return into!.subarray(0, bytes.length);
    };
    return new Proxy(file, {
      get: (_, name) => {
        const value: unknown = name === "read" ? read : Reflect.get(file, name, file);
        return typeof value === "function" ? value.bind(file) as unknown : value;
      },
    });
  };
  const storage = new Proxy(real.storage, {
    get: (_, name) => {
      const value: unknown = name === "open" ? open : Reflect.get(real.storage, name);
      return typeof value === "function" ? value.bind(real.storage) as unknown : value;
    },
  });
  const store = new BlobStore({ ...real, storage }, DIR);
  const bytes = Buffer.from(Array.from({ length: 5 * BLOB_CHUNK_BYTES + 9 }, (_, i) => i >> 9));
  await world.settle(put(new Uploads(store), bytes, { step: BLOB_CHUNK_BYTES }));
  const hash = hashOf(bytes);
  assert.deepEqual(await store.load(hash), bytes);
  let at = 0;
  for await (const piece of store.read(hash)) {
    assert.equal(piece.compare(bytes, at, at += piece.length), 0);
  }
  assert.deepEqual([at, used.size], [bytes.length, 1]);
});

test("read() takes one turn for a piece, and stops when its pace does; load() refuses one byte " +
  "more than it may", async () => {
  const { world, store, uploads } = setUp();
  const bytes = Buffer.alloc(3 * BLOB_CHUNK_BYTES, 3);
  const hash = hashOf(bytes);
  await world.settle(put(uploads, bytes, { step: BLOB_CHUNK_BYTES }));
  const log: string[] = [];
  let turns = 0;
  const pace = async () => {
    log.push("begins");
    return ++turns > 2 ? undefined : () => void log.push("ends");
  };
  for await (const piece of store.read(hash, { pace })) {
    log.push(String(piece.length / BLOB_CHUNK_BYTES));
  }
  assert.deepEqual(log, ["begins", "1", "ends", "begins", "1", "ends", "begins"]);
  assert.equal(await store.has(hash), true, "a reader that left has found no damage");
  assert.equal((await store.load(hash, bytes.length)).length, bytes.length);
  await assert.rejects(
    store.load(hash, bytes.length - 1),
    blobError(/its 786432 bytes are more than 786431/),
  );
});

test("at most maxUploads uploads are open in all, and the one that has not moved for longest " +
  "makes room", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("m");
  const store = new BlobStore(host, DIR, { maxUploads: 3 });
  const peers = Array.from({ length: 4 }, () => new Uploads(store));
  const contents = peers.map((_, i) => Buffer.alloc(300, i + 1));
  const piece = (i: number, offset: number): Promise<boolean> =>
    peers[i]!.put({
      hash: hashOf(contents[i]!),
      total: 300,
      offset,
      data: contents[i]!.subarray(offset, offset + 100),
    });
  for (let i = 0; i < 3; i++) await piece(i, 0);
  await piece(0, 100); // it moves: now the second one is the oldest
  await piece(3, 0);
  await world.settle(
    new Promise((resolve) => void host.timers.after(10, () => resolve(undefined))),
  );
  assert.equal((await host.storage.list(DIR)).length, 3);
  await assert.rejects(piece(1, 100), blobError(/100\+100 of 300 does not follow byte 0/));
  for (const [i, offset] of [
    [0, 200],
    [2, 100],
    [2, 200],
    [3, 100],
    [3, 200],
  ] as const) {
    await world.settle(piece(i, offset));
  }
  for (const i of [0, 2, 3]) assert.equal(await store.has(hashOf(contents[i]!)), true);
  for (const peer of peers) await peer.close();
  assert.equal((await host.storage.list(DIR)).length, 3);
});

test("put() that cannot even begin says why, holds nothing, and begins when it can", async () => {
  const { world, host } = setUp();
  let full = true;
  const storage = new Proxy(host.storage, {
    get(target, name: keyof Host["storage"]) {
      if (name !== "open" || !full) return target[name].bind(target);
      return () => Promise.reject(Object.assign(new Error("ENOSPC"), { code: "ENOSPC" }));
    },
  });
  const store = new BlobStore({ ...host, storage }, DIR);
  const uploads = new Uploads(store);
  await assert.rejects(put(uploads, content), /ENOSPC/);
  assert.equal(store.held, 0);
  full = false;
  assert.equal(await world.settle(put(uploads, content)), true);
  assert.throws(() => { store.release(hashOf(content)); store.release(HASH); }, /was not held/);
});
