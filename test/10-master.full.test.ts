/**
 * Lesson 10: a master whose disk is full: reads are answered, changes refused, and it goes on by
 * itself.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogFull } from "#log";
import { CONFIRM_MS } from "../src/master/engine.ts";
import type { Client } from "#sdk";
import { LEASE_MS, Op, type PipelineSpec } from "#wire";
import {
  fileWith,
  keyOf,
  pipeline,
  refusal,
  report,
  Room,
  spec,
  usedBytes,
  withFiles,
} from "./10-master.support.ts";

const NO_ROOM = String.raw`the disk of the master is full \(Cannot write log .*ENOSPC.*\)`;
const UNKNOWN = new RegExp(
  String.raw`^Cannot say whether this will have happened: ${NO_ROOM}\. .*the same key finds out$`,
);
const FULL = new RegExp(
  `^Cannot [a-z ]+: ${NO_ROOM}: reads go on, changes are taken again when there is room$`,
);

/** Leaves that many bytes of the disk. */
async function fill(room: Room, bytes = 0): Promise<void> {
  room.world.disk("m").limitBytes(await usedBytes(room, "/state") + bytes);
}

const free = (room: Room): void => room.world.disk("m").limitBytes(undefined);

/** Submits until one is refused; those that were acknowledged, and the one that waits. */
async function untilFull(
  client: Client,
  jobs: PipelineSpec,
): Promise<{ acknowledged: string[]; waiting: Promise<{ run: string }> }> {
  const acknowledged: string[] = [];
  for (;;) {
    const submitted = client.submitSpec(jobs, { key: `k${acknowledged.length}` });
    submitted.catch(() => undefined);
    let isOver = false;
    const first = await Promise.race([submitted, fullOf(client, { isOver: () => isOver })]);
    isOver = true;
    if (first === undefined) return { acknowledged, waiting: submitted };
    acknowledged.push(first.run);
  }
}

/** Resolves once the disk is full, or when nobody waits for that any more. */
async function fullOf(client: Client, { isOver }: { isOver: () => boolean }): Promise<undefined> {
  while (!isOver() && (await client.info()).full === "");
}

test(
  "a master whose disk is full refuses changes with the reason, answers reads, and goes on by " +
    "itself",
  () =>
    Room.run(async (room) => {
      const heard: string[] = [];
      const wall = (): number => room.world.host("m").clock.wall();
      await room.start({
        onFull: ({ message }: LogFull) => heard.push(`full: ${message}`),
        onRoom: ({ since }: LogFull) =>
          heard.push(`room after ${Math.round((wall() - since) / 1000)} s`),
      });
      const client = await room.client();
      const worker = await room.worker("w", { slots: 2 });
      const first = await client.submitSpec(
        pipeline([spec("a"), spec("b"), spec("c", { delayMs: 2000 })]),
        { key: "first" },
      );
      await room.until(() => worker.jobs.length === 2);
      await fill(room, 300);
      const unfit = { requirement: ["NOBODY"] };
      const { acknowledged, waiting } = await untilFull(client, pipeline([spec("x", unfit)]));
      const since = wall();
      const unknown = assert.rejects(waiting, refusal("DEADLINE", UNKNOWN));
      assert.match(
        heard.join(),
        /^full: Cannot write log \/state\/log\/0000000000000001.seg: ENOSPC/,
      );

      // Reads.
      assert.match((await client.info()).full, /ENOSPC/);
      assert.ok((await client.runs()).length >= acknowledged.length + 1);
      assert.deepEqual(await room.statuses(client, first.run), {
        a: "RUNNING",
        b: "RUNNING",
        c: "PENDING",
      });
      assert.equal((await client.workers()).length, 1);
      for await (const _ of client.logs(first.run, "a")) assert.fail("it has printed nothing");
      const watch = client.watch(first.run)[Symbol.asyncIterator]();
      assert.ok(!(await watch.next()).done);
      await watch.return?.(undefined);
      assert.deepEqual([...(await client.gates()), ...(await client.deadLetters())], []);

      // Changes.
      const full = refusal("OVERLOADED", FULL);
      await assert.rejects(client.submitSpec(pipeline([spec("y")])), full);
      await assert.rejects(client.submitSpec(pipeline([spec("x")]), { key: "k0" }), full);
      await assert.rejects(client.cancel(first.run), full);
      await assert.rejects(client.retry(first.run), full);
      await assert.rejects(client.drain("w"), full);
      await assert.rejects(client.decide("g", { approve: true }), full);
      await assert.rejects(worker.finish(report(worker.assigned[0]!)), full);
      await assert.rejects(room.worker("new"), full);
      await assert.rejects(client.info({ hash: true }), full);
      const { nextSeq } = await client.info();

      // For ten leases: nobody is lost, nothing starts, nothing is decided.
      await room.sleep(10 * LEASE_MS);
      assert.equal((await client.info()).nextSeq, nextSeq);
      assert.deepEqual(worker.jobs, ["a#1", "b#1"]);
      assert.equal(worker.closed, false);

      free(room);
      await room.until(() => heard.length === 2, 2500);
      assert.equal(heard[1], `room after ${Math.round((wall() - since) / 1000)} s`);
      assert.equal((await client.info()).full, "");
      await unknown;
      const again = await client.submitSpec(pipeline([spec("x", unfit)]), {
        key: `k${acknowledged.length}`,
      });
      assert.equal(again.existing, true);
      await worker.finish(...worker.assigned.map((item) => report(item)));
      await room.until(() => worker.jobs.includes("c#1"));
      await room.sleep(3 * LEASE_MS);
      assert.equal(worker.closed, false);
      assert.equal(
        (await client.status(first.run)).jobs.filter(({ attempt }) => attempt > 1).length,
        0,
      );
      assert.deepEqual(room.fatal, []);
      const runs = (await client.runs()).map(({ id }) => id);
      for (const run of acknowledged) assert.ok(runs.includes(run));
      const { stateHash } = await client.info({ hash: true });
      await room.restart();
      assert.equal((await (await room.client()).info({ hash: true })).stateHash, stateHash);
    }),
);

test(
  "a master that dies while its disk is full has lost nothing acknowledged, and starts on the " +
    "full disk",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      await fill(room, 700);
      const { acknowledged, waiting } = await untilFull(client, pipeline([spec("x")]));
      assert.ok(acknowledged.length > 0);
      const lost = assert.rejects(waiting);
      await room.restart();
      await lost;
      const again = await room.client();
      assert.deepEqual((await again.runs()).map(({ id }) => id).sort(), [...acknowledged].sort());
      const second = await untilFull(again, pipeline([spec("x")]));
      assert.deepEqual(second.acknowledged, acknowledged);
      free(room);
      const { run } = await second.waiting;
      assert.equal((await again.runs()).length, acknowledged.length + 1);
      assert.ok(!acknowledged.includes(run));
    }),
);

test("a read that waits for its turn when the disk turns out to be full " +
  "is answered all the same", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    await client.submitSpec(pipeline([spec("a")]));
    await fill(room, 0);
    const submitted = client.submitSpec(pipeline([spec("b")]));
    const reads = await Promise.all([client.runs(), client.info(), client.workers()]);
    assert.ok(reads[0].length >= 1);
    let answered = false;
    void submitted.then(
      () => (answered = true),
      () => undefined,
    );
    await room.sleep(1000);
    assert.equal(answered, false);
    free(room);
    await submitted;
  }));

test(
  "a change that the full disk has caught is answered after CONFIRM_MS: nobody knows; if " +
    "there is room before, as ever",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const { run: other } = await client.submitSpec(pipeline([spec("waits")]));
      const caught = async (
        key: string,
      ): Promise<{ answer: Promise<unknown>; cancelled: Promise<unknown>; since: number }> => {
        await fill(room, 0);
        const since = room.world.now;
        const answer = client.submitSpec(pipeline([spec("x")]), { key });
        const cancelled = client.cancel(other);
        for (const change of [answer, cancelled]) change.catch(() => undefined);
        await fullOf(client, { isOver: () => false });
        return { answer, cancelled, since };
      };
      const first = await caught("first");
      await assert.rejects(first.answer, refusal("DEADLINE", UNKNOWN));
      await assert.rejects(first.cancelled, refusal("DEADLINE", UNKNOWN));
      const ms = room.world.now - first.since;
      assert.ok(ms >= CONFIRM_MS && ms < CONFIRM_MS + 500, `${ms} ms`);
      free(room);
      await room.sleep(3000);
      assert.equal(
        (await client.submitSpec(pipeline([spec("x")]), { key: "first" })).existing,
        true,
      );
      // Twice in a row: nobody is given up in the time of somebody else.
      for (const key of ["second", "third"]) {
        const { answer, cancelled, since } = await caught(key);
        await room.sleep(CONFIRM_MS - 2100 - (room.world.now - since));
        free(room);
        assert.ok(await answer);
        assert.equal(await cancelled, 0, "it was cancelled before");
      }
    }),
);

test(
  "INFO tells of no event that a full disk may yet lose, asked before or after it was found " +
    "to be full",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      await client.submitSpec(pipeline([spec("a")]));
      const { nextSeq } = await client.info();
      await fill(room, 0);
      const lost = assert.rejects(client.submitSpec(pipeline([spec("b")])));
      const [before, hash] = await Promise.allSettled([client.info(), client.info({ hash: true })]);
      assert.match((await client.info()).full, /ENOSPC/);
      assert.equal(before.status === "fulfilled" && before.value.nextSeq, nextSeq);
      assert.equal(hash.status === "rejected" && hash.reason.code, "OVERLOADED");
      assert.equal((await client.info()).nextSeq, nextSeq);
      await room.restart();
      await lost;
      assert.equal((await (await room.client()).info()).nextSeq, nextSeq);
      free(room);
    }),
);

for (const others of ["beside an earlier one", "alone"]) {
  test(
    `a watcher, ${others}, is told the end of a run once it is durable, not while the disk is ` +
      "full",
    () =>
      Room.run(async (room) => {
        await room.start();
        const client = await room.client();
        const worker = await room.worker("w");
        const { run } = await client.submitSpec(pipeline([spec("a")]));
        await room.until(() => worker.jobs.length === 1);
        const follow = (): { told: string[]; over: Promise<void> } => {
          const told: string[] = [];
          const over = (async () => {
            for await (const news of client.watch(run)) {
              if (news.type === "job") told.push(`a ${news.change.status}`);
              else {
                told.push(
                  news.run.status,
                  ...("jobs" in news ? news.jobs.map(({ status }) => `a ${status}`) : []),
                );
              }
            }
          })();
          return { told, over };
        };
        const early = others === "alone" ? undefined : follow();
        await room.until(() => early === undefined || early.told.length > 0);
        await fill(room, 0);
        const reported = worker.finish(report(worker.assigned[0]!));
        await fullOf(client, { isOver: () => false });
        const late = follow();
        await room.sleep(10_000);
        assert.deepEqual(
          [...(early?.told ?? []), ...late.told].filter((what) => what === "COMPLETED"),
          [],
        );
        free(room);
        await Promise.all([reported, early?.over, late.over]);
        assert.equal(early?.told.at(-1) ?? "COMPLETED", "COMPLETED");
        assert.ok(late.told.includes("COMPLETED"));
        assert.ok(late.told.includes("a COMPLETED"));
      }),
  );
}

test(
  "a worker that comes back to a full master keeps its jobs; what it never got is found out " +
    "when there is room",
  () =>
    Room.run(async (room) => {
      await room.start({ graceMs: 1000 });
      const client = await room.client();
      const worker = await room.worker("w", { slots: 3, dial: 1 });
      const { run } = await client.submitSpec(pipeline([spec("a"), spec("b"), spec("c")]));
      await room.until(() => worker.jobs.length === 3);
      await fill(room, 0);
      await untilFull(client, pipeline([spec("x", { requirement: ["NOBODY"] })]));
      worker.connection.destroy();
      await room.sleep(20_000);
      // It runs a and b. Of c it knows nothing.
      const back = await room.worker("w", {
        slots: 3,
        dial: 2,
        running: worker.assigned.slice(0, 2).map(keyOf),
      });
      assert.deepEqual(back.welcome.stale, []);
      assert.equal(back.welcome.worker, worker.welcome.worker);
      await room.sleep(20_000);
      assert.deepEqual(back.jobs, []);
      free(room);
      await room.until(() => back.jobs.includes("c#2"));
      await back.finish(...worker.assigned.slice(0, 2).map((item) => report(item)));
      const jobs = (await client.status(run)).jobs.map(
        ({ id, status, attempt }) => `${id} ${status} ${attempt}`,
      );
      assert.deepEqual(jobs, ["a COMPLETED 1", "b COMPLETED 1", "c RUNNING 2"]);
      assert.deepEqual(room.fatal, []);
    }),
);

test("a worker's goodbye to a full master costs its jobs no blame, and is not forgotten", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.jobs.length === 1);
    await fill(room, 0);
    await untilFull(client, pipeline([spec("x", { requirement: ["NOBODY"] })]));
    worker.connection.notify(Op.GOODBYE, Buffer.alloc(0));
    await room.sleep(100);
    worker.connection.destroy();
    await room.sleep(10_000);
    free(room);
    const other = await room.worker("other").catch(async () => {
      await room.sleep(2500);
      return room.worker("other");
    });
    await room.until(() => other.jobs.includes("a#2"));
    assert.match((await client.status(run)).jobs[0]!.id, /a/);
    assert.equal((await client.workers()).length, 1);
  }));

test(
  "a worker that falls silent while the disk is full is given up a lease after there is room, " +
    "not before",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { beats: false });
      await fill(room, 0);
      await untilFull(client, pipeline([spec("x", { requirement: ["NOBODY"] })]));
      await room.sleep(5 * LEASE_MS);
      assert.equal(worker.closed, false);
      free(room);
      await room.until(() => worker.closed, 3000 + 2 * LEASE_MS);
      assert.deepEqual(await client.workers(), []);
    }),
);

test(
  "a submission whose pipeline is still being read when the disk turns out to be full is " +
    "refused, and costs the master nothing",
  () =>
    Room.run(async (room) => {
      let read: () => void = () => undefined;
      let reads = 0;
      const isFull = new Promise<void>((resolve) => (read = resolve));
      const host = withFiles(room.world.host("m"), (path, file) =>
        !path.includes("/blobs/")
          ? file
          : fileWith(file, {
              read: async (offset, length) => {
                reads += 1;
                await isFull;
                return file.read(offset, length);
              },
            }),
      );
      await room.start({ host });
      const [client, other] = [await room.client(), await room.client()];
      const script = "x".repeat(1_000_000);
      const jobs = Array.from({ length: 6 }, (_, i) =>
        spec(`j${i}`, { action: { type: "shell", script } }),
      );
      const large = assert.rejects(client.submitSpec(pipeline(jobs)), refusal("OVERLOADED", FULL));
      await room.until(() => reads > 0);
      await fill(room, 0);
      await untilFull(other, pipeline([spec("x", { requirement: ["NOBODY"] })]));
      read();
      await large;
      assert.deepEqual(room.fatal, []);
      free(room);
      await room.sleep(3000);
      await other.submitSpec(pipeline([spec("y", { requirement: ["NOBODY"] })]));
    }),
);

test(
  "a master stops on a full disk: at once, without an error and without a timer, and starts " +
    "again",
  () =>
    Room.run(async (room) => {
      const real = room.world.host("m");
      const armed = new Set<object>();
      const after = (ms: number, fn: () => void) => {
        const timer = real.timers.after(ms, fn);
        if (ms !== CONFIRM_MS) return timer;
        armed.add(timer);
        return {
          cancel: () => {
            timer.cancel();
            armed.delete(timer);
          },
        };
      };
      const timers = { after, soon: (fn: () => void) => real.timers.soon(fn) };
      const master = await room.start({ host: { ...real, timers } });
      const client = await room.client();
      await fill(room, 500);
      const { acknowledged, waiting } = await untilFull(client, pipeline([spec("x")]));
      const before = room.world.now;
      const lost = assert.rejects(waiting);
      const [patience] = armed;
      await master.stop();
      assert.ok(patience !== undefined && !armed.has(patience));
      assert.ok(room.world.now - before < 100, `${room.world.now - before} ms`);
      await lost;
      const again = await room.start();
      assert.equal(again.recovered.runs, acknowledged.length);
      assert.deepEqual(room.fatal, []);
      free(room);
    }),
);
