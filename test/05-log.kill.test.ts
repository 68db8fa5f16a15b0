/** Lesson 05: `kill -9`, and what the simulation has found in the log, as tests of it alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Event } from "#core";
import { openLog, type Log } from "#log";
import { SimWorld } from "#simhost";

const DIR = "/state/log";
const FILE = `${DIR}/0000000000000001.seg`;

/**
 * A life of a log: what of it was promised is in `promised`. Ends with the process, wherever that
 * is.
 */
async function live(log: Log, promised: string[]): Promise<void> {
  const add = async (): Promise<void> => {
    const text = `event ${log.nextSeq}`;
    log.append(Buffer.from(text));
    await log.durable();
    promised.push(text);
  };
  for (let count = 0; count < 3; count++) await add();
  await log.saveSnapshot(log.nextSeq - 1, promised.map((text) => Buffer.from(text)));
  for (let count = 0; count < 6; count++) await add();
  await log.close();
}

async function contents(log: Log): Promise<string[]> {
  const found: string[] = [];
  await log.readSnapshot((chunk) => void found.push(String(chunk)));
  await log.replay((_seq, body) => void found.push(String(body)));
  return found;
}

test("openLog() keeps what it promised after a kill -9 at any operation, and a power cut during " +
  "the life after it", async () => {
  let operations = Infinity;
  for (let fatal = 1; fatal <= operations; fatal++) {
    const world = new SimWorld({ seed: fatal });
    const promised: string[] = [];
    let count = 0;
    world.onDisk(() => { if (++count === fatal) world.kill("m"); });
    const life = openLog({ host: world.host("m"), dir: DIR, segmentBytes: 120 }).then((log) =>
      live(log, promised),
    );
    await world.run();
    if (count < fatal) {
      await life;
      operations = count;
      break;
    }
    const where = `killed at operation ${fatal}`;
    const second = await world.settle(
      openLog({ host: world.host("m"), dir: DIR, segmentBytes: 120 }),
    );
    const recovered = await world.settle(contents(second));
    assert.deepEqual(recovered.slice(0, promised.length), promised, where);
    // Its owner acts on what it has read: that must be on the disk.
    world.copyDisk("m", "cut", "nothing");
    const cut = await world.settle(openLog({ host: world.host("cut"), dir: DIR }));
    assert.deepEqual(await world.settle(contents(cut)), recovered, `${where}, then a power cut`);
    second.append(Buffer.from("one more"));
    await world.settle(second.durable());
    world.crash("m");
    const third = await world.settle(
      openLog({ host: world.host("m"), dir: DIR, segmentBytes: 120 }),
    );
    assert.deepEqual(await world.settle(contents(third)), [...recovered, "one more"], where);
  }
  assert.ok(operations > 40, `${operations} operations`);
});

test("openLog() makes a new log's folder durable up to the root, whoever made the folders above " +
  "it", async () => {
  const world = new SimWorld({ seed: 1 });
  const { storage } = world.host("m");
  const synced: string[] = [];
  world.onSync((_host, path) => void synced.push(path));
  await world.settle(storage.mkdir("/srv/titan")); // as the master does, for its lock
  await world.settle(openLog({ host: world.host("m"), dir: "/srv/titan/log" }));
  for (const folder of ["/", "/srv/", "/srv/titan/", "/srv/titan/log/"]) {
    assert.ok(synced.includes(folder), `${folder} of ${synced.join(" ")}`);
  }
});

test("openLog() cuts a torn record whose body holds bytes that could be an empty record with the " +
  "next number", async () => {
  // A number as eight bytes, then the length of what follows: 00 00 00 00 00 00 00 1f. As a record
  // that is empty, and number 31.
  const retry = { maxAttempts: 2, delayMs: 18, backoff: 1, maxDelayMs: 2000, jitter: 1 };
  const job = (id: string, word: string) => ({
    id,
    action: { type: "command" as const, argv: ["sim", word] },
    dependsOn: [],
    requirement: [],
    priority: 1,
    delayMs: 0,
    affinity: undefined,
    when: "success" as const,
    timeoutMs: 0,
    retry,
    env: {},
    gate: undefined,
  });
  for (let length = 1; length < 60; length++) {
    const world = new SimWorld({ seed: length });
    const log = await world.settle(openLog({ host: world.host("m"), dir: DIR }));
    while (log.nextSeq < length) log.append(Buffer.from("something"));
    await world.settle(log.durable());
    const before = world.disk("m").read(FILE)!.length;
    const jobs = Array.from({ length: 20 }, (_, index) => job(`j${index}`, "x".repeat(index)));
    log.append(
      Event.encode({
        type: "RunSubmitted",
        run: 1,
        id: "r",
        key: undefined,
        at: 1,
        spec: { name: "r", version: undefined, project: undefined, jobs },
      }),
    );
    await world.settle(log.durable());
    world.kill("m");
    // As if the process had died in the middle of that write.
    const file = await world.settle(world.host("m").storage.open(FILE));
    await world.settle(file.truncate(before + 900));
    await world.settle(file.close());
    const again = await world.settle(openLog({ host: world.host("m"), dir: DIR }));
    assert.equal(again.nextSeq, length, `record ${length}`);
    assert.ok(again.recovery.tornBytes > 0);
  }
});
