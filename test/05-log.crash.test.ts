/**
 * Lesson 05: the machine goes off at every operation of a whole life of a log, and of its recovery.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Durability, type Log, openLog } from "#log";
import { type Leftover, memoryHost, MemoryStorage } from "./05-log.memory-storage.ts";

const DIR = "/state/log";
const LEFTOVERS: readonly Leftover[] = ["nothing", "half", "hole", "sector", "everything"];

/** Long enough that groups of several records span sectors. */
const body = (seq: number): Buffer => Buffer.from(`event ${seq} ${"-".repeat((seq * 37) % 120)}`);

interface Life {
  appended: number;
  acknowledged: number;
}

/**
 * All that a log does: rotation, snapshots beside appends, compaction, close, reopen. Rejects once
 * the disk is off.
 */
async function live(storage: MemoryStorage, life: Life, durability: Durability): Promise<void> {
  const host = memoryHost(storage);
  const onFatal = (): void => {};
  let log = await openLog({ host, dir: DIR, segmentBytes: 1200, durability, onFatal });
  const add = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) life.appended = log.append(body(log.nextSeq));
    const seq = life.appended;
    await log.durable();
    if (durability === "always") life.acknowledged = seq;
  };
  for (const count of [1, 3, 12, 2]) await add(count);
  const saved = log.saveSnapshot(life.appended - 1, stateAfter(life.appended - 1));
  for (const count of [1, 25]) await add(count);
  await saved;
  await log.saveSnapshot(life.appended, stateAfter(life.appended));
  await add(30);
  await log.close();
  life.acknowledged = life.appended;
  log = await openLog({ host, dir: DIR, segmentBytes: 1200, durability, onFatal });
  await add(4);
  await log.close();
  life.acknowledged = life.appended;
}

const stateAfter = (seq: number): Buffer[] => Array.from({ length: seq }, (_, i) => body(i + 1));

async function rebuild(log: Log): Promise<string[]> {
  const state: string[] = [];
  await log.readSnapshot((chunk) => state.push(String(chunk)));
  await log.replay((seq, bytes) => {
    assert.equal(seq, state.length + 1);
    state.push(String(bytes));
  });
  return state;
}

/** Opens what a crash left and checks that it is a prefix that holds everything acknowledged. */
async function check(storage: MemoryStorage, life: Life, where: string): Promise<void> {
  const log = await openLog({ host: memoryHost(storage), dir: DIR, segmentBytes: 1200 });
  const state = await rebuild(log);
  assert.ok(
    state.length >= life.acknowledged,
    `${where}: ${state.length} of ${life.acknowledged} acknowledged`,
  );
  assert.ok(state.length <= life.appended, where);
  assert.deepEqual(state, stateAfter(state.length).map(String), where);
  assert.equal(log.nextSeq, state.length + 1, where);
  await log.durable(log.append(body(log.nextSeq)));
  await log.close();
  const names = await storage.list(DIR);
  assert.ok(!names.some((name) => name.endsWith(".tmp")), `${where}: ${names}`);
}

for (const durability of ["always", "everysec", "no"] as const) {
  test(`openLog() recovers from a crash at any operation (${durability})`, async () => {
    const whole = new MemoryStorage();
    await live(whole, { appended: 0, acknowledged: 0 }, durability);
    assert.ok(whole.operations > 80, `${whole.operations} operations`);
    for (let k = 1; k <= whole.operations; k++) {
      // The policies differ in when they sync, not in what a crash may leave: one of them tries
      // every combination.
      for (const leftover of durability === "always"
        ? LEFTOVERS
        : [LEFTOVERS[k % LEFTOVERS.length] as Leftover]) {
        const storage = new MemoryStorage();
        storage.crashAt = k;
        const life = { appended: 0, acknowledged: 0 };
        await live(storage, life, durability).catch(offOnly);
        storage.crash(leftover);
        await check(storage, life, `crash at operation ${k}, ${leftover} of the rest on disk`);
      }
    }
  });
}

test("openLog() recovers from a crash at any operation of a recovery", async () => {
  const whole = new MemoryStorage();
  await live(whole, { appended: 0, acknowledged: 0 }, "always");
  for (let k = 1; k <= whole.operations; k++) {
    const storage = new MemoryStorage();
    storage.crashAt = k;
    const life = { appended: 0, acknowledged: 0 };
    await live(storage, life, "always").catch(offOnly);
    storage.crash(LEFTOVERS[k % LEFTOVERS.length]);
    for (let j = 1; j < 40; j++) {
      const second = storage.clone();
      second.crashAt = j;
      const opened = await openLog({
        host: memoryHost(second),
        dir: DIR,
        segmentBytes: 1200,
      }).catch(offOnly);
      await opened?.close().catch(offOnly);
      if (second.operations < j) break;
      second.crash(j % 2 === 0 ? "nothing" : "everything");
      await check(second, life, `crash at operation ${k}, then at operation ${j} of the recovery`);
    }
  }
});

function offOnly(error: Error & { code?: string }): undefined {
  if (/machine is off/.test(error.message)) return undefined;
  throw error;
}
