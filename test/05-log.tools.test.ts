/**
 * Lesson 05: inspect, verify and repair. A repair never destroys, and what it keeps is a prefix.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspectLog, LogError, openLog, repairLog, verifyLog } from "#log";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/log";
const body = (seq: number): Buffer => Buffer.from(`event ${String(seq).padStart(5, "0")}`);

/** 60 records in segments of about 10, optionally with a snapshot after record 25. */
async function sample(options: { snapshot?: boolean } = {}): Promise<Machine> {
  const host = new Machine();
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  for (let seq = 1; seq <= 60; seq++) {
    log.append(body(seq));
    if (seq % 3 === 0) await log.durable();
    if (seq === 30 && options.snapshot) await log.saveSnapshot(25, [Buffer.from("state 25")]);
  }
  await log.close();
  return host;
}

function edited(host: Machine, edit: (copy: Machine) => void): Machine {
  return host.copy(edit);
}

function flip(host: Machine, needle: string): { file: string; offset: number } {
  for (const file of host.paths(DIR)) {
    const at = host.peek(file).indexOf(needle);
    if (at < 0) continue;
    const bytes = Buffer.from(host.peek(file));
    bytes[at] = (bytes[at] as number) ^ 1;
    host.disk.put(file, bytes);
    return { file, offset: at - 8 };
  }
  throw new Error(`${needle} is nowhere`);
}

async function replayed(host: Machine): Promise<number[]> {
  const log = await openLog({ host, dir: DIR });
  const seen: number[] = [];
  await log.replay((seq, bytes) => {
    assert.deepEqual(bytes, body(seq));
    seen.push(seq);
  });
  await log.close();
  return seen;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("inspectLog() counts segments, records, snapshots and the torn tail, " +
  "and changes nothing", inWorld(async () => {
  const host = edited(await sample({ snapshot: true }), (copy) => {
    const last = copy.paths(DIR).filter((path) => path.endsWith(".seg")).at(-1) as string;
    copy.disk.put(last, Buffer.concat([copy.peek(last), Buffer.from("torn")]));
    copy.disk.put(`${DIR}/MANIFEST.tmp`, Buffer.from("left"));
  });
  const before = host.changes;
  const found = await inspectLog(host, DIR);
  assert.equal(host.changes, before);
  assert.equal(found.range?.to, 60);
  assert.equal(found.records, 61 - (found.range?.from as number));
  assert.equal(found.records, found.segments.reduce((sum, segment) => sum + segment.records, 0));
  assert.deepEqual(
    found.snapshots.map(({ seq, chunks }) => ({ seq, chunks })),
    [{ seq: 25, chunks: 1 }],
  );
  assert.equal(found.tornBytes, 4);
  assert.deepEqual(found.strays, ["MANIFEST.tmp"]);
  assert.deepEqual(found.problems, []);
  assert.deepEqual(await verifyLog(host, DIR), {
    ok: true,
    records: found.records,
    tornBytes: 4,
    problems: [],
    recoveries: [],
  });
}));

test("inspectLog() of a folder without a log is empty, not an error", inWorld(async () => {
  const found = await inspectLog(new Machine(), DIR);
  assert.deepEqual([found.segments, found.records, found.problems], [[], 0, []]);
}));

test("verifyLog() lists every problem with its file and offset", inWorld(async () => {
  const places: Array<{ file: string; offset: number }> = [];
  const host = edited(await sample(), (copy) => {
    for (const needle of ["event 00003", "event 00005", "event 00031"]) {
      places.push(flip(copy, needle));
    }
  });
  const { ok, problems } = await verifyLog(host, DIR);
  assert.equal(ok, false);
  assert.deepEqual(problems.map(({ file, offset }) => ({ file, offset })), places);
  assert.match(problems[0]?.what as string, /^record 3: checksum mismatch/);
}));

test("repairLog() leaves a healthy log alone", inWorld(async () => {
  const host = await sample();
  const before = host.changes;
  assert.equal((await repairLog(host, DIR)).clean, true);
  assert.equal(host.changes, before);
}));

test("repairLog() cuts at the first damaged record and keeps every " +
  "byte it cuts", inWorld(async () => {
  let place = { file: "", offset: 0 };
  const host = edited(await sample(), (copy) => (place = flip(copy, "event 00025")));
  await assert.rejects(openLog({ host, dir: DIR }), LogError);
  const bytesBefore = total(host);

  const operations = host.changes;
  const dry = await repairLog(host, DIR, { dryRun: true });
  assert.equal(host.changes, operations);

  const repair = await repairLog(host, DIR);
  assert.deepEqual(repair.moved, dry.moved);
  assert.equal(repair.keptTo, 24);
  assert.ok(repair.lostRecords >= 30, `${repair.lostRecords}`);
  assert.deepEqual({ file: repair.moved[0]?.file, offset: repair.moved[0]?.offset }, place);
  const names = host.disk.list(DIR);
  for (const { to } of repair.moved) assert.ok(names.includes(to.slice(DIR.length + 1)), to);
  assert.equal(total(host), bytesBefore);
  assert.deepEqual(await replayed(host), range(1, 24));
  assert.equal((await verifyLog(host, DIR)).ok, true);
}));

/** Bytes in segments and side files. */
function total(copy: Machine): number {
  const files = copy.paths(DIR).filter((path) => path.includes(".seg"));
  return files.reduce((sum, path) => sum + copy.peek(path).length, 0);
}

test("repairLog() cuts at a missing segment", inWorld(async () => {
  const host = edited(await sample(), (copy) => copy.disk.drop(segmentPath(copy, 3)));
  const repair = await repairLog(host, DIR);
  assert.ok(repair.keptTo >= 20 && repair.keptTo < 45, `${repair.keptTo}`);
  assert.deepEqual(await replayed(host), range(1, repair.keptTo));
}));

const segmentPath = (host: Machine, index: number): string =>
  host.paths(DIR).filter((path) => path.endsWith(".seg"))[index] as string;

test("repairLog() rebuilds a manifest from the segments, and " +
  "uses the snapshot", inWorld(async () => {
  for (const snapshot of [false, true]) {
    const damage = [
      (copy: Machine) => void flip(copy, "titan-log"),
      (copy: Machine) => copy.disk.drop(`${DIR}/MANIFEST`),
    ];
    for (const edit of damage) {
      const host = edited(await sample({ snapshot }), (copy) => {
        const bytes = copy.peek(`${DIR}/MANIFEST`);
        edit(copy);
        assert.ok(bytes.length > 0);
      });
      const repair = await repairLog(host, DIR);
      assert.equal(repair.keptTo, 60);
      assert.equal(repair.lostRecords, 0);
      assert.deepEqual(await replayed(host), range(snapshot ? 26 : 1, 60));
    }
  }
}));

test("repairLog() of a log whose snapshot is damaged starts anew and " +
  "keeps every file", inWorld(async () => {
  const host = edited(
    await sample({ snapshot: true }),
    (copy) => void flip(copy, "state 25"),
  );
  const repair = await repairLog(host, DIR);
  assert.equal(repair.keptTo, 0);
  assert.deepEqual(await replayed(host), []);
  const names = host.disk.list(DIR);
  assert.ok(names.includes("0000000000000025.snap.damaged"), `${names}`);
  assert.ok(names.filter((name) => name.endsWith(".seg.damaged")).length >= 3, `${names}`);
}));

test("repairLog() makes any single flipped bit openable, and what is left " +
  "is a prefix", inWorld(async () => {
  const source = await sample();
  const file = segmentPath(source, 2);
  const size = source.peek(file).length;
  for (let bit = 0; bit < size * 8; bit += 7) {
    const host = edited(source, (copy) => {
      const bytes = Buffer.from(copy.peek(file));
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      copy.disk.put(file, bytes);
    });
    const { keptTo } = await repairLog(host, DIR);
    assert.deepEqual(await replayed(host), range(1, keptTo), `bit ${bit}`);
  }
}));

test("repairLog() at a place that was repaired before keeps the earlier " +
  "side file, too", inWorld(async () => {
  const host = await sample();
  const sides = async (): Promise<string[]> =>
    host.disk.list(DIR).filter((name) => /damaged/.test(name));
  const kept: Buffer[] = [];
  for (let round = 1; round <= 3; round++) {
    flip(host, "event 00052");
    const { moved } = await repairLog(host, DIR);
    for (const { to } of moved) kept.push(host.peek(to));
    const log = await openLog({ host, dir: DIR, segmentBytes: 10_000 });
    while (log.nextSeq <= 60 + round) await log.durable(log.append(body(log.nextSeq)));
    await log.close();
  }
  const there = (await sides()).map((name) => host.peek(`${DIR}/${name}`));
  for (const bytes of kept) assert.ok(there.some((side) => side.equals(bytes)), `${await sides()}`);
}));

test("repairLog() of a last segment that was cut inside its header leaves a " +
  "log that opens", inWorld(async () => {
  const source = await sample();
  const last = source.paths(DIR).filter((path) => path.endsWith(".seg")).at(-1) as string;
  for (const size of [0, 1, 31]) {
    const host = edited(source, (copy) =>
      copy.disk.put(last, source.peek(last).subarray(0, size)),
    );
    const before = await verifyLog(host, DIR);
    assert.deepEqual(
      before.problems.map(({ file, fatal }) => ({ file, fatal })),
      [{ file: last, fatal: true }],
    );
    const { keptTo } = await repairLog(host, DIR);
    assert.deepEqual(await replayed(host), range(1, keptTo), `${size} bytes left`);
    assert.ok(keptTo > 40, `${keptTo}`);
  }
}));

test("repairLog() moves aside what an unfinished compaction left, when the snapshot is the " +
  "damage", inWorld(async () => {
  const host = await sample();
  const stray = segmentPath(host, 0);
  const bytes = host.peek(stray);
  const log = await openLog({ host, dir: DIR, segmentBytes: 230 });
  await log.saveSnapshot(25, [Buffer.from("state 25")]);
  await log.close();
  host.disk.put(stray, bytes);
  flip(host, "state 25");
  await repairLog(host, DIR);
  assert.deepEqual(await replayed(host), []);
  assert.ok(
    host
      .paths(DIR)
      .some((path) => path.includes("damaged") && host.peek(path).equals(bytes)),
  );
}));

test("repairLog() without a manifest keeps the log that most files belong to", inWorld(async () => {
  const host = await sample();
  const theirs = new Machine();
  theirs.random.bytes(8); // a different id
  const other = await openLog({ host: theirs, dir: DIR, segmentBytes: 230 });
  for (let seq = 1; seq <= 60; seq++) {
    other.append(body(seq));
    if (seq % 3 === 0) await other.durable();
  }
  await other.close();
  for (const index of [0, 2]) {
    const foreign = segmentPath(host, index);
    const mixed = edited(host, (copy) => {
      copy.disk.put(foreign, theirs.peek(foreign));
      copy.disk.drop(`${DIR}/MANIFEST`);
    });
    const { keptTo } = await repairLog(mixed, DIR);
    assert.deepEqual(await replayed(mixed), range(1, keptTo));
    assert.equal(keptTo > 0, index > 0);
  }
}));

test("repairLog() can be repeated after a crash at any of its operations, and " +
  "keeps as much", inWorld(async () => {
  const damage: Record<string, { snapshot: boolean; edit: (copy: Machine) => void }> = {
    record: { snapshot: false, edit: (copy) => void flip(copy, "event 00025") },
    header: { snapshot: false, edit: (copy) => void flip(copy, "TitanLog") },
    manifest: { snapshot: true, edit: (copy) => void flip(copy, "titan-log") },
    snapshot: { snapshot: true, edit: (copy) => void flip(copy, "state 25") },
    segments: {
      snapshot: true,
      edit: (copy) => {
        for (const path of copy.paths(DIR).filter((name) => name.endsWith(".seg"))) {
          copy.disk.drop(path);
        }
      },
    },
  };
  for (const [name, { snapshot, edit }] of Object.entries(damage)) {
    const source = edited(await sample({ snapshot }), edit);
    const undisturbed = source.copy();
    const { keptTo } = await repairLog(undisturbed, DIR);
    const off = undisturbed.afterCrash("nothing");
    const opened = await openLog({ host: off, dir: DIR });
    assert.equal(opened.nextSeq, keptTo + 1, `${name}, and the power goes after the repair`);
    for (let k = 1; k <= undisturbed.changes; k++) {
      for (const leftover of ["nothing", "half", "names", "latest", "everything"] as const) {
        const where = `${name}, crash at operation ${k}, ${leftover}`;
        const host = source.copy();
        host.crashAt = k;
        host.leftover = leftover;
        await assert.rejects(host.whileUp(repairLog(host, DIR)), /has ended/, where);
        await repairLog(host, DIR);
        const log = await openLog({ host, dir: DIR });
        assert.equal(log.nextSeq, keptTo + 1, where);
        await log.close();
        assert.ok(total(host) >= total(undisturbed), where);
      }
    }
  }
}));
