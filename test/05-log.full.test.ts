/**
 * Lesson 05: a disk that is full: refused, kept, tried again; nothing acknowledged is lost, nothing
 * half-made stays.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasNoRoom, type Log, LogError, type LogFull, type LogOptions, openLog } from "#log";
import { memoryHost, type MemoryHost, MemoryStorage } from "./05-log.memory-storage.ts";

const DIR = "/state/log";
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"x".repeat((seq * 7) % 30)}`);
const isLogError = (code: string) => (error: unknown) =>
  error instanceof LogError && error.code === code;
const expected = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => String(body(i + 1)));

interface Opened {
  readonly host: MemoryHost;
  readonly log: Log;
  readonly heard: string[];
}

async function open(host = memoryHost(), options: Partial<LogOptions> = {}): Promise<Opened> {
  const heard: string[] = [];
  const log = await openLog({
    host, dir: DIR,
    onFull: ({ message }: LogFull) => heard.push(`full: ${message}`),
    onRoom: () => heard.push("room"),
    onFatal: (error) => heard.push(`fatal: ${error.message}`),
    ...options,
  });
  return { host, log, heard };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
}

async function contents(storage: MemoryStorage): Promise<string[]> {
  const log = await openLog({ host: memoryHost(storage), dir: DIR });
  const bodies: string[] = [];
  await log.readSnapshot((chunk) => bodies.push(String(chunk)));
  await log.replay((_, bytes) => bodies.push(String(bytes)));
  await log.close();
  return bodies;
}

/** Appends until the disk is full. Returns the number of the last record that was acknowledged. */
async function fill({ log }: Opened, perGroup: number): Promise<number> {
  let acknowledged = 0;
  while (log.full === undefined) {
    for (let i = 0; i < perGroup; i++) log.append(body(log.nextSeq));
    const last = log.nextSeq - 1;
    log.durable(last).then(() => (acknowledged = last), () => {});
    await settle();
  }
  return acknowledged;
}

test("onRoom comes when all is written that waited, also what came while the first group looked " +
  "for room", async () => {
  const opened = await open();
  const { host, log, heard } = opened;
  log.append(body(1));
  await log.durable();
  const { usedBytes } = host.storage;
  let space = (): number => {
    space = () => usedBytes;
    log.append(body(3)); // in the middle of the write
    return usedBytes;
  };
  Object.defineProperty(host.storage, "spaceBytes", { get: () => space() });
  log.append(body(2));
  await settle();
  assert.notEqual(log.full, undefined);
  const last = log.nextSeq - 1;
  assert.deepEqual([log.durableSeq, last], [1, 3]);
  space = () => Number.POSITIVE_INFINITY;
  host.fireTimers();
  for (let turn = 0; heard.length < 2; turn++) {
    assert.ok(turn < 1000, "there is room");
    await Promise.resolve();
  }
  assert.equal(log.durableSeq, last);
  await log.close();
});

test("append() refuses with FULL while the disk is full; the log goes on by itself when there is " +
  "room", async () => {
  const opened = await open();
  const { host, log, heard } = opened;
  host.storage.spaceBytes = host.storage.usedBytes + 200;
  const before = await fill(opened, 3);
  const appended = log.nextSeq - 1;
  assert.ok(before >= 3 && appended === before + 3);
  assert.equal(
    log.full?.message,
    `Cannot write log ${DIR}/0000000000000001.seg: ENOSPC: no space left on device, write`,
  );
  assert.throws(() => log.append(body(1)), {
    code: "FULL",
    message: `Cannot append record: ${log.full?.message}`,
  });
  let late = false;
  const waiting = log.durable().then(() => (late = true));
  // Full for a while: asked again, and nothing is left of each try.
  const size = host.storage.usedBytes;
  for (let i = 0; i < 6; i++) {
    assert.equal(host.fireTimers(), 1);
    await settle();
    assert.equal(host.storage.usedBytes, size);
    assert.equal(late, false);
  }
  assert.deepEqual(host.pauses, [250, 500, 1000, 2000, 2000, 2000, 2000]);
  assert.equal(log.nextSeq, appended + 1);
  host.storage.spaceBytes = Number.POSITIVE_INFINITY;
  host.fireTimers();
  await waiting;
  assert.equal(log.full, undefined);
  assert.deepEqual(heard, [
    "full: Cannot write log /state/log/0000000000000001.seg: ENOSPC: no space left on device, " +
      "write",
    "room",
  ]);
  await log.durable(log.append(body(appended + 1)));
  assert.deepEqual(await contents(host.storage.cloneAfterCrash("nothing")), expected(appended + 1));
  // The next time begins with a short pause again.
  host.storage.spaceBytes = host.storage.usedBytes;
  log.append(body(appended + 2));
  await settle();
  assert.equal(host.pauses.at(-1), 250);
  assert.equal(heard.length, 3);
  host.storage.spaceBytes = Number.POSITIVE_INFINITY;
  await log.close();
  assert.equal(host.fireTimers(), 0);
});

test("what is appended in onRoom is written once, behind what waited", async () => {
  const host = memoryHost();
  const log: Log = await openLog({
    host,
    dir: DIR,
    onRoom: () => void log.append(body(log.nextSeq)),
  });
  await log.durable(log.append(body(1)));
  host.storage.spaceBytes = host.storage.usedBytes;
  log.append(body(2));
  await settle();
  host.storage.spaceBytes = Number.POSITIVE_INFINITY;
  host.storage.syncTurns = 2;
  host.fireTimers();
  await settle();
  const { commits } = log.stats;
  await log.durable();
  assert.equal(log.stats.commits, commits);
  assert.deepEqual(await contents(host.storage.cloneAfterCrash("nothing")), expected(3));
  await log.close();
});

test("a crash on a full disk loses nothing acknowledged, and the log opens " +
  "there and later", async () => {
  for (let room = 0; room < 90; room++) {
    const opened = await open();
    const { storage } = opened.host;
    storage.spaceBytes = storage.usedBytes + room;
    const acknowledged = await fill(opened, 1 + (room % 3));
    storage.crash((["nothing", "half", "everything", "sector"] as const)[room % 4]);
    assert.deepEqual(await contents(storage), expected(acknowledged), `still full, room ${room}`);
    storage.spaceBytes = Number.POSITIVE_INFINITY;
    const again = await open(memoryHost(storage));
    await again.log.durable(again.log.append(body(acknowledged + 1)));
    await again.log.close();
    assert.deepEqual(await contents(storage), expected(acknowledged + 1), `room ${room}`);
  }
});

test("a disk that fills up and has room again, anywhere in rotations and snapshots, loses and " +
  "doubles nothing", async () => {
  const whole = await life(Number.POSITIVE_INFINITY);
  for (let space = 300; space < whole.most; space += 23) {
    const { storage, log, seen } = await life(space);
    const what = `space ${space}`;
    assert.ok(seen > 0, what);
    const names = await storage.list(DIR);
    assert.ok(!names.some((name) => name.endsWith(".tmp")), `${what}: ${names}`);
    const listed =
      String(storage.peek(`${DIR}/MANIFEST`)).match(/^(segment|snapshot) /gm)?.length ?? 0;
    assert.equal(names.length, listed + 1, `${what}: ${names}`);
    await log.close();
    assert.deepEqual(await contents(storage), expected(40), what);
  }
});

/**
 * Forty records, three segments or more, two snapshots; whenever the disk is full, it gets a little
 * larger.
 */
async function life(
  space: number,
): Promise<{ storage: MemoryStorage; log: Log; most: number; seen: number }> {
  const opened = await open(memoryHost(), { segmentBytes: 400 });
  const { host, log, heard } = opened;
  const { storage } = host;
  storage.spaceBytes = space;
  let most = 0;
  const state = (seq: number): Buffer[] => expected(seq).map((text) => Buffer.from(text));
  while (log.nextSeq <= 40) {
    const seq = log.nextSeq;
    if (log.full === undefined) log.append(body(seq));
    await settle();
    most = Math.max(most, storage.usedBytes);
    if (log.full !== undefined) {
      storage.spaceBytes += 15;
      host.fireTimers();
      await settle();
    } else if (seq === 20 || seq === 33) {
      const saved = log.saveSnapshot(seq, state(seq));
      if (await saved.then(() => false, isLogError("FULL"))) heard.push("snapshot");
      most = Math.max(most, storage.usedBytes + 300);
    }
  }
  storage.spaceBytes = Number.POSITIVE_INFINITY;
  host.fireTimers();
  await settle();
  assert.ok(!heard.some((line) => line.startsWith("fatal")), `${heard}`);
  return { storage, log, most, seen: heard.length };
}

test("a new segment that finds no room for its name or its line in the manifest leaves the log " +
  "as it was", async () => {
  const opened = await open(memoryHost(), { segmentBytes: 100 });
  const { host, log } = opened;
  await log.durable(log.append(body(1)));
  const before = await host.storage.list(DIR);
  host.storage.noNames = true;
  log.append(Buffer.alloc(80, "y"));
  await settle();
  assert.match(log.full?.message ?? "", /ENOSPC: no space left on device, open/);
  assert.deepEqual(await host.storage.list(DIR), before);
  host.storage.noNames = false;
  host.fireTimers();
  await log.durable();
  assert.equal(log.stats.segments, 2);
  await log.close();
});

test("a group that needs a new segment in its middle, and finds no room for it, is not written " +
  "twice", async () => {
  const opened = await open(memoryHost(), { segmentBytes: 100 });
  const { host, log, heard } = opened;
  const bodies = ["a", "b", "c"].map((letter) => letter.repeat(60)); // one to a segment
  host.storage.noNames = true;
  for (const text of bodies) log.append(Buffer.from(text));
  await settle();
  assert.notEqual(log.full, undefined);
  host.fireTimers();
  await settle();
  host.storage.noNames = false;
  host.fireTimers();
  await log.durable();
  assert.deepEqual(heard.map((line) => line.slice(0, 4)), ["full", "room"]);
  await log.close();
  assert.deepEqual(await contents(host.storage), bodies);
});

test("an fsync that fails is the end, whatever it says", async () => {
  const { host, log, heard } = await open();
  host.storage.failSync = "ENOSPC";
  log.append(body(1));
  await assert.rejects(log.durable(), isLogError("WRITE_FAILED"));
  assert.equal(log.full, undefined);
  assert.equal(host.fireTimers(), 0);
  assert.match(heard.join(), /^fatal: Cannot write log .*fdatasync$/);
  await log.close();
});

test("under everysec, what was acknowledged before the disk was full is " +
  "fsynced at once", async () => {
  const opened = await open(memoryHost(), { durability: "everysec" });
  opened.host.storage.spaceBytes = opened.host.storage.usedBytes + 150;
  const acknowledged = await fill(opened, 1);
  assert.deepEqual(
    await contents(opened.host.storage.cloneAfterCrash("nothing")),
    expected(acknowledged),
  );
  assert.equal(opened.host.fireTimers(), 1, "the pause; the second is over");
  await settle();
  opened.host.storage.failSync = true;
  opened.host.storage.spaceBytes = Number.POSITIVE_INFINITY;
  await opened.log.close().catch(() => {});
});

test("saveSnapshot() rejects with FULL, leaves nothing behind, and may " +
  "be tried again", async () => {
  const { host, log, heard } = await open();
  for (let seq = 1; seq <= 9; seq++) await log.durable(log.append(body(seq)));
  const chunks = expected(9).map((text) => Buffer.from(text));
  const before = await host.storage.list(DIR);
  const used = host.storage.usedBytes;
  for (let room = 0; ; room += 20) {
    host.storage.spaceBytes = used + room;
    const error = await log.saveSnapshot(9, chunks).catch((failed: unknown) => failed);
    if (error === undefined) break;
    assert.ok(isLogError("FULL")(error), String(error));
    assert.match(String(error), /Cannot save snapshot: ENOSPC/);
    assert.deepEqual(await host.storage.list(DIR), before, `room ${room}`);
    assert.equal(host.storage.usedBytes, used);
  }
  assert.equal(log.snapshot?.seq, 9);
  await log.close();
  assert.deepEqual(heard, []);
  assert.deepEqual(await contents(host.storage), expected(9));
});

test("close() of a full log tries once more, then rejects with FULL and gives up what nobody was " +
  "promised", async () => {
  for (const room of [0, 10_000]) {
    const opened = await open();
    const { host, log } = opened;
    host.storage.spaceBytes = host.storage.usedBytes + 100;
    const acknowledged = await fill(opened, 1);
    const waiting = log.durable().then(
      () => "written",
      (error: LogError) => error.code,
    );
    const saving = log.saveSnapshot(log.nextSeq - 1, []).then(
      () => "saved",
      (error: LogError) => error.code,
    );
    host.storage.spaceBytes += room;
    const closed = await log.close().then(() => "closed", (error: LogError) => error.code);
    assert.equal(closed, room === 0 ? "FULL" : "closed");
    assert.equal(await waiting, room === 0 ? "FULL" : "written");
    assert.equal(await saving, room === 0 ? "FULL" : "saved");
    assert.throws(() => log.append(body(1)), isLogError(room === 0 ? "FULL" : "CLOSED"));
    assert.equal(host.fireTimers(), 0);
    host.storage.spaceBytes = Number.POSITIVE_INFINITY;
    if (room === 0) assert.deepEqual(await contents(host.storage), expected(acknowledged));
  }
});

test("hasNoRoom() knows a full disk and a used up quota, and nothing else", () => {
  const said = (code: string, syscall: string): boolean =>
    hasNoRoom(Object.assign(new Error(code), { code, syscall }));
  assert.ok(said("ENOSPC", "write") && said("EDQUOT", "open") && said("ENOSPC", "rename"));
  assert.ok(!said("EIO", "write") && !said("ENOSPC", "fsync") && !said("EDQUOT", "fdatasync"));
  assert.ok(!hasNoRoom({}) && !hasNoRoom(new Error("ENOSPC")));
});
