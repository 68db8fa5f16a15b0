/**
 * Lesson 05: a disk that is full: refused, kept, tried again; nothing acknowledged is lost, nothing
 * half-made stays.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasNoRoom, type Log, LogError, type LogFull, type LogOptions, openLog } from "#log";
import { inWorld, Machine, pass } from "./05-log.support.ts";

const DIR = "/state/log";
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"x".repeat((seq * 7) % 30)}`);
const isLogError = (code: string) => (error: unknown) =>
  error instanceof LogError && error.code === code;
const expected = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => String(body(i + 1)));

interface Opened {
  readonly host: Machine;
  readonly log: Log;
  readonly heard: string[];
}

async function open(host = new Machine(), options: Partial<LogOptions> = {}): Promise<Opened> {
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

/** Until a full log has tried again. */
const retry = ({ pauses }: Machine): Promise<void> => pass(pauses.at(-1));

async function contents(host: Machine): Promise<string[]> {
  const log = await openLog({ host, dir: DIR });
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
    await pass();
  }
  return acknowledged;
}

test("onRoom comes when all is written that waited, also what came while the first group looked " +
  "for room", inWorld(async () => {
  const durable: number[] = [];
  const { host, log } = await open(undefined, { onRoom: () => durable.push(log.durableSeq) });
  log.append(body(1));
  await log.durable();
  host.disk.limitBytes(host.disk.usedBytes);
  host.onOperation = () => {
    host.onOperation = () => {};
    log.append(body(3)); // in the middle of the write
  };
  log.append(body(2));
  await pass();
  assert.notEqual(log.full, undefined);
  assert.deepEqual([log.durableSeq, log.nextSeq - 1], [1, 3]);
  host.disk.limitBytes(undefined);
  await retry(host);
  assert.deepEqual(durable, [3]);
  await log.close();
}));

test("append() refuses with FULL while the disk is full; the log goes on by itself when there is " +
  "room", inWorld(async () => {
  const opened = await open();
  const { host, log, heard } = opened;
  host.disk.limitBytes(host.disk.usedBytes + 200);
  const before = await fill(opened, 3);
  const appended = log.nextSeq - 1;
  assert.ok(before >= 3 && appended === before + 3);
  assert.equal(
    log.full?.message,
    `Cannot write log ${DIR}/0000000000000001.seg: ENOSPC: append ${DIR}/0000000000000001.seg`,
  );
  assert.throws(() => log.append(body(1)), {
    code: "FULL",
    message: `Cannot append record: ${log.full?.message}`,
  });
  let late = false;
  const waiting = log.durable().then(() => (late = true));
  // Full for a while: asked again, and nothing is left of each try.
  const size = host.disk.usedBytes;
  for (let i = 0; i < 6; i++) {
    assert.equal(host.armed, 1);
    await retry(host);
    assert.equal(host.disk.usedBytes, size);
    assert.equal(late, false);
  }
  assert.deepEqual(host.pauses, [250, 500, 1000, 2000, 2000, 2000, 2000]);
  assert.equal(log.nextSeq, appended + 1);
  host.disk.limitBytes(undefined);
  await waiting;
  assert.equal(log.full, undefined);
  assert.deepEqual(heard, [
    "full: Cannot write log /state/log/0000000000000001.seg: ENOSPC: append " +
      "/state/log/0000000000000001.seg",
    "room",
  ]);
  await log.durable(log.append(body(appended + 1)));
  assert.deepEqual(await contents(host.afterCrash("nothing")), expected(appended + 1));
  // The next time begins with a short pause again.
  host.disk.limitBytes(host.disk.usedBytes);
  log.append(body(appended + 2));
  await pass();
  assert.equal(host.pauses.at(-1), 250);
  assert.equal(heard.length, 3);
  host.disk.limitBytes(undefined);
  await log.close();
  assert.equal(host.armed, 0);
}));

test("what is appended in onRoom is written once, behind what waited", inWorld(async () => {
  const host = new Machine();
  const log: Log = await openLog({
    host,
    dir: DIR,
    onRoom: () => void log.append(body(log.nextSeq)),
  });
  await log.durable(log.append(body(1)));
  host.disk.limitBytes(host.disk.usedBytes);
  log.append(body(2));
  await pass();
  host.disk.limitBytes(undefined);
  await retry(host);
  const { commits } = log.stats;
  await log.durable();
  assert.equal(log.stats.commits, commits);
  assert.deepEqual(await contents(host.afterCrash("nothing")), expected(3));
  await log.close();
}));

test("a crash on a full disk loses nothing acknowledged, and the log opens " +
  "there and later", inWorld(async () => {
  for (let room = 0; room < 90; room++) {
    const opened = await open();
    const { host } = opened;
    host.disk.limitBytes(host.disk.usedBytes + room);
    const acknowledged = await fill(opened, 1 + (room % 3));
    host.crash((["nothing", "half", "everything", "sector"] as const)[room % 4]);
    assert.deepEqual(await contents(host), expected(acknowledged), `still full, room ${room}`);
    host.disk.limitBytes(undefined);
    const again = await open(host);
    await again.log.durable(again.log.append(body(acknowledged + 1)));
    await again.log.close();
    assert.deepEqual(await contents(host), expected(acknowledged + 1), `room ${room}`);
  }
}));

test("a disk that fills up and has room again, anywhere in rotations and snapshots, loses and " +
  "doubles nothing", inWorld(async () => {
  const whole = await life(Number.POSITIVE_INFINITY);
  for (let space = 300; space < whole.most; space += 23) {
    const { host, log, seen } = await life(space);
    const what = `space ${space}`;
    assert.ok(seen > 0, what);
    const names = host.disk.list(DIR);
    assert.ok(!names.some((name) => name.endsWith(".tmp")), `${what}: ${names}`);
    const listed =
      String(host.peek(`${DIR}/MANIFEST`)).match(/^(segment|snapshot) /gm)?.length ?? 0;
    assert.equal(names.length, listed + 1, `${what}: ${names}`);
    await log.close();
    assert.deepEqual(await contents(host), expected(40), what);
  }
}));

/**
 * Forty records, three segments or more, two snapshots; whenever the disk is full, it gets a little
 * larger.
 */
async function life(
  space: number,
): Promise<{ host: Machine; log: Log; most: number; seen: number }> {
  const opened = await open(new Machine(), { segmentBytes: 400 });
  const { host, log, heard } = opened;
  host.disk.limitBytes(space);
  let most = 0;
  const state = (seq: number): Buffer[] => expected(seq).map((text) => Buffer.from(text));
  while (log.nextSeq <= 40) {
    const seq = log.nextSeq;
    if (log.full === undefined) log.append(body(seq));
    await pass();
    most = Math.max(most, host.disk.usedBytes);
    if (log.full !== undefined) {
      host.disk.limitBytes((space += 15));
      await retry(host);
    } else if (seq === 20 || seq === 33) {
      const saved = log.saveSnapshot(seq, state(seq));
      if (await saved.then(() => false, isLogError("FULL"))) heard.push("snapshot");
      most = Math.max(most, host.disk.usedBytes + 300);
    }
  }
  host.disk.limitBytes(undefined);
  await retry(host);
  assert.ok(!heard.some((line) => line.startsWith("fatal")), `${heard}`);
  return { host, log, most, seen: heard.length };
}

test("a new segment that finds no room for its name or its line in the manifest leaves the log " +
  "as it was", inWorld(async () => {
  const opened = await open(new Machine(), { segmentBytes: 100 });
  const { host, log } = opened;
  await log.durable(log.append(body(1)));
  const before = host.disk.list(DIR);
  noNames(host);
  log.append(Buffer.alloc(80, "y"));
  await pass();
  assert.match(log.full?.message ?? "", /ENOSPC: open/);
  assert.deepEqual(host.disk.list(DIR), before);
  host.disk.heal();
  await log.durable();
  assert.equal(log.stats.segments, 2);
  await log.close();
}));

/** Making a file, or renaming one, finds no room for the name. */
function noNames({ disk }: Machine): void {
  for (const operation of ["open", "rename"] as const) {
    disk.fail(operation, { code: "ENOSPC", times: Infinity });
  }
}

test("a group that needs a new segment in its middle, and finds no room for it, is not written " +
  "twice", inWorld(async () => {
  const opened = await open(new Machine(), { segmentBytes: 100 });
  const { host, log, heard } = opened;
  const bodies = ["a", "b", "c"].map((letter) => letter.repeat(60)); // one to a segment
  noNames(host);
  for (const text of bodies) log.append(Buffer.from(text));
  await pass();
  assert.notEqual(log.full, undefined);
  await retry(host);
  host.disk.heal();
  await log.durable();
  assert.deepEqual(heard.map((line) => line.slice(0, 4)), ["full", "room"]);
  await log.close();
  assert.deepEqual(await contents(host), bodies);
}));

test("an fsync that fails is the end, whatever it says", inWorld(async () => {
  const { host, log, heard } = await open();
  host.disk.fail("sync", { code: "ENOSPC" });
  log.append(body(1));
  await assert.rejects(log.durable(), isLogError("WRITE_FAILED"));
  assert.equal(log.full, undefined);
  assert.equal(host.armed, 0);
  assert.match(heard.join(), /^fatal: Cannot write log .*ENOSPC: sync .*seg$/);
  await log.close();
}));

test("under everysec, what was acknowledged before the disk was full is " +
  "fsynced at once", inWorld(async () => {
  const opened = await open(new Machine(), { durability: "everysec" });
  opened.host.disk.limitBytes(opened.host.disk.usedBytes + 150);
  const acknowledged = await fill(opened, 1);
  assert.deepEqual(
    await contents(opened.host.afterCrash("nothing")),
    expected(acknowledged),
  );
  assert.equal(opened.host.armed, 1, "the pause; the second is over");
  await retry(opened.host);
  opened.host.disk.fail("sync", { code: "EIO", times: Infinity });
  opened.host.disk.limitBytes(undefined);
  await opened.log.close().catch(() => {});
}));

test("saveSnapshot() rejects with FULL, leaves nothing behind, and may " +
  "be tried again", inWorld(async () => {
  const { host, log, heard } = await open();
  for (let seq = 1; seq <= 9; seq++) await log.durable(log.append(body(seq)));
  const chunks = expected(9).map((text) => Buffer.from(text));
  const before = host.disk.list(DIR);
  const used = host.disk.usedBytes;
  for (let room = 0; ; room += 20) {
    host.disk.limitBytes(used + room);
    const error = await log.saveSnapshot(9, chunks).catch((failed: unknown) => failed);
    if (error === undefined) break;
    assert.ok(isLogError("FULL")(error), String(error));
    assert.match(String(error), /Cannot save snapshot: ENOSPC/);
    assert.deepEqual(host.disk.list(DIR), before, `room ${room}`);
    assert.equal(host.disk.usedBytes, used);
  }
  assert.equal(log.snapshot?.seq, 9);
  await log.close();
  assert.deepEqual(heard, []);
  assert.deepEqual(await contents(host), expected(9));
}));

test("close() of a full log tries once more, then rejects with FULL and gives up what nobody was " +
  "promised", inWorld(async () => {
  for (const room of [0, 10_000]) {
    const opened = await open();
    const { host, log } = opened;
    const space = host.disk.usedBytes + 100;
    host.disk.limitBytes(space);
    const acknowledged = await fill(opened, 1);
    const waiting = log.durable().then(
      () => "written",
      (error: LogError) => error.code,
    );
    const saving = log.saveSnapshot(log.nextSeq - 1, []).then(
      () => "saved",
      (error: LogError) => error.code,
    );
    host.disk.limitBytes(space + room);
    const closed = await log.close().then(() => "closed", (error: LogError) => error.code);
    assert.equal(closed, room === 0 ? "FULL" : "closed");
    assert.equal(await waiting, room === 0 ? "FULL" : "written");
    assert.equal(await saving, room === 0 ? "FULL" : "saved");
    assert.throws(() => log.append(body(1)), isLogError(room === 0 ? "FULL" : "CLOSED"));
    assert.equal(host.armed, 0);
    host.disk.limitBytes(undefined);
    if (room === 0) assert.deepEqual(await contents(host), expected(acknowledged));
  }
}));

test("hasNoRoom() knows a full disk and a used up quota, and nothing else", () => {
  const said = (code: string, syscall: string): boolean =>
    hasNoRoom(Object.assign(new Error(code), { code, syscall }));
  assert.ok(said("ENOSPC", "write") && said("EDQUOT", "open") && said("ENOSPC", "rename"));
  assert.ok(!said("EIO", "write") && !said("ENOSPC", "fsync") && !said("EDQUOT", "fdatasync"));
  assert.ok(!hasNoRoom({}) && !hasNoRoom(new Error("ENOSPC")));
});
