/**
 * Lesson 05: the machine goes off at every operation of a whole life of a log, and of its recovery.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Durability, type Log, openLog } from "#log";
import type { Leftover } from "#simhost";
import { inWorld, Machine } from "./05-log.support.ts";

const DIR = "/state/log";
const LEFTOVERS: readonly Leftover[] = [
  "nothing", "half", "names", "latest", "hole", "sector", "everything",
];

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
async function live(host: Machine, life: Life, durability: Durability): Promise<void> {
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
async function check(host: Machine, life: Life, where: string): Promise<void> {
  const log = await openLog({ host, dir: DIR, segmentBytes: 1200 })
    .catch((error: Error) => assert.fail(`${where}: ${error.message}`));
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
  const names = host.disk.list(DIR);
  assert.ok(!names.some((name) => name.endsWith(".tmp")), `${where}: ${names}`);
}

for (const durability of ["always", "everysec", "no"] as const) {
  test(`openLog() recovers from a crash at any operation (${durability})`, inWorld(async () => {
    const whole = new Machine();
    await live(whole, { appended: 0, acknowledged: 0 }, durability);
    assert.ok(whole.changes > 80, `${whole.changes} changes`);
    for (let k = 1; k <= whole.changes; k++) {
      // The policies differ in when they sync, not in what a crash may leave: one of them tries
      // every combination.
      const leftovers = durability === "always" ? LEFTOVERS : [LEFTOVERS[k % LEFTOVERS.length]!];
      const { left, life, at } = await lifeUntil({ k, leftovers, durability });
      for (const [index, leftover] of leftovers.entries()) {
        await check(left[index]!, life, `${at}; left of what was not synced: ${leftover}`);
      }
    }
  }));
}

test("openLog() recovers from a crash at any operation of a recovery", inWorld(async () => {
  const whole = new Machine();
  await live(whole, { appended: 0, acknowledged: 0 }, "always");
  for (let k = 1; k <= whole.changes; k++) {
    const leftovers = [LEFTOVERS[k % LEFTOVERS.length]!];
    const { left: [host], life, at } = await lifeUntil({ k, leftovers, durability: "always" });
    for (let j = 1; j < 40; j++) {
      const second = host!.copy();
      second.crashAt = j;
      second.leftover = j % 2 === 0 ? "nothing" : "everything";
      const reopened = openLog({ host: second, dir: DIR, segmentBytes: 1200 });
      if (!(await off(second.whileUp(reopened.then((log) => log.close()))))) break;
      await check(second, life, `${at}, and again before change ${j} of the recovery`);
    }
  }
}));

/**
 * A life in which the power goes before change `k`, and a machine with each of the leftovers; `at`
 * says which operation that was.
 */
async function lifeUntil(
  { k, leftovers, durability }: {
    k: number; leftovers: readonly Leftover[]; durability: Durability;
  },
): Promise<{ left: readonly Machine[]; life: Life; at: string }> {
  const host = new Machine();
  let [before, next] = ["the first operation", ""];
  host.onOperation = (operation, path) => void ([before, next] = [next, `${operation} ${path}`]);
  let left: Machine[] = [];
  host.onCrash = () => void (left = leftovers.map((leftover) => host.afterCrash(leftover)));
  host.crashAt = k;
  const life = { appended: 0, acknowledged: 0 };
  // A life has a few changes more or fewer than another: syncs take as long as they like.
  if (!(await off(host.whileUp(live(host, life, durability))))) host.onCrash();
  return { left, life, at: `the power goes after ${before}, before ${next}` };
}

/** Whether the power went before it was done. */
function off(work: Promise<unknown>): Promise<boolean> {
  return work.then(() => false, (error: Error) => {
    if (/has ended/.test(error.message)) return true;
    throw error;
  });
}
