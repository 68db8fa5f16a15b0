/**
 * The master and its workers: leases, returns, cancels. Lesson 12 looks at the same from the
 * worker's side.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { Beat, BeatAnswer, HEARTBEAT_MS, REJOIN_GRACE_MS, LEASE_MS, Op } from "#wire";
import { hello, keyOf, pipeline, refusal, report, Room, spec } from "./10-master.support.ts";
import { serviceSpec } from "./spec.support.ts";

test("a worker that comes back to a restarted master keeps its number and what it runs", () =>
  Room.run(async (room) => {
    await room.start();
    const worker = await room.worker("w", { slots: 2 });
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a"), spec("b"), spec("c")]));
    await room.until(() => worker.assigned.length === 2);
    await room.restart();
    const back = await room.worker("w", { slots: 2, running: worker.assigned.map(keyOf) });
    assert.deepEqual(
      [back.welcome.worker, back.welcome.name, back.welcome.stale],
      [worker.welcome.worker, "w", []],
    );
    await room.sleep(3 * LEASE_MS);
    assert.deepEqual(back.jobs, [], "the two that it has fill its slots");
    await back.finish(...worker.assigned.map((item) => report(item)));
    await room.until(() => back.jobs.length === 1);
    assert.deepEqual(back.jobs, ["c#1"]);
    assert.deepEqual(await room.statuses(await room.client(), run), {
      a: "COMPLETED",
      b: "COMPLETED",
      c: "RUNNING",
    });
  }));

test(
  "a worker that does not come back loses its attempts after LEASE_MS, and gets nothing new " +
    "until then",
  () =>
    Room.run(async (room) => {
      await room.start();
      const gone = await room.worker("gone", { slots: 8 });
      const client = await room.client();
      await client.submitSpec(pipeline([spec("a")]));
      await room.until(() => gone.assigned.length === 1);
      room.world.crash("gone");
      await room.restart();
      const restarted = room.world.now;
      const here = await room.worker("here", { slots: 3 });
      await (await room.client()).submitSpec(pipeline([spec("b"), spec("c")]));
      await room.until(() => here.jobs.length === 2, 100);
      assert.deepEqual(
        here.jobs,
        ["b#1", "c#1"],
        "the absent one has more free slots, but nobody knows whether it lives",
      );
      await room.until(() => here.jobs.length === 3);
      assert.deepEqual(here.jobs, ["b#1", "c#1", "a#2"]);
      const waited = room.world.now - restarted;
      assert.ok(waited >= LEASE_MS && waited < LEASE_MS + 50, `given up after ${waited} ms`);
      assert.deepEqual(
        (await (await room.client()).workers()).map(({ name }) => name),
        ["here"],
      );
    }),
);

test("a silent worker is lost after its lease, and what it says when it wakes up is refused", () =>
  Room.run(async (room) => {
    await room.start();
    const frozen = await room.worker("frozen", { instance: "f" });
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => frozen.assigned.length === 1);
    room.world.hold("frozen", "m");
    const from = room.world.now;
    const other = await room.worker("other");
    await room.until(() => other.assigned.length === 1);
    const waited = room.world.now - from;
    const isInTime = waited > LEASE_MS - HEARTBEAT_MS && waited <= LEASE_MS + 2 * HEARTBEAT_MS;
    assert.ok(isInTime, `given up after ${waited} ms`);
    assert.deepEqual(other.jobs, ["a#2"]);
    room.world.release("frozen", "m");
    await room.until(() => frozen.closed);
    // It dials again, and offers the result of an attempt that is no longer its own.
    const zombie = await room.worker("frozen", {
      instance: "f",
      running: [keyOf(frozen.assigned[0]!)],
    });
    assert.notEqual(zombie.welcome.worker, frozen.welcome.worker);
    assert.deepEqual(zombie.welcome.stale, [keyOf(frozen.assigned[0]!)]);
    await zombie.finish(report(frozen.assigned[0]!, { result: Buffer.from("zombie") }));
    assert.deepEqual(await room.statuses(client, run), { a: "RUNNING" });
    await other.finish(report(other.assigned[0]!, { result: Buffer.from("good") }));
    assert.equal((await client.status(run)).jobs[0]!.result!.toString(), "good");
  }));

test("a worker that beats is never lost, and one that only works is alive too", () =>
  Room.run(async (room) => {
    await room.start();
    const beating = await room.worker("beating");
    const working = await room.worker("working", { beats: false });
    for (let second = 0; second < 20; second++) {
      await room.sleep(1000);
      await working.print({ run: 1, job: 0, attempt: 1 }, "x");
    }
    assert.deepEqual([beating.closed, working.closed], [false, false]);
    await room.until(() => working.closed);
    assert.equal(beating.closed, false);
  }));

test("a master that itself was frozen for 10 s blames nobody", () =>
  Room.run(async (room) => {
    const real = room.world.host("m");
    let jump = 0;
    const host: Host = {
      ...real,
      clock: {
        monotonic: () => real.clock.monotonic() + jump,
        wall: () => real.clock.wall() + jump,
      },
    };
    await room.start({ host });
    const worker = await room.worker("w");
    const silent = await room.worker("silent", { beats: false });
    const client = await room.client();
    await client.submitSpec(pipeline([spec("a"), spec("b")]));
    await room.until(() => worker.assigned.length === 1);
    await room.sleep(1500);
    jump = 10_000;
    await room.sleep(LEASE_MS - HEARTBEAT_MS);
    assert.deepEqual([worker.closed, silent.closed], [false, false]);
    await room.until(() => silent.closed);
    assert.equal(worker.closed, false, "and it goes on watching");
  }));

test("a worker whose connection ends is replaced after its grace, " +
  "one that says goodbye at once", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const dies = await room.worker("dies");
    await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => dies.assigned.length === 1);
    const leaves = await room.worker("leaves");
    const died = room.world.now;
    room.world.crash("dies");
    await room.until(() => leaves.assigned.length === 1);
    const waited = room.world.now - died;
    assert.ok(waited >= REJOIN_GRACE_MS && waited <= 100, `replaced after ${waited} ms`);
    const stays = await room.worker("stays");
    leaves.connection.notify(Op.GOODBYE, Buffer.alloc(0));
    await room.until(() => stays.assigned.length === 1, 50);
    assert.deepEqual(stays.jobs, ["a#3"]);
    await leaves.finish(report(leaves.assigned[0]!));
    assert.equal((await client.runs())[0]!.status, "RUNNING", "who has left has nothing to report");
  }));

test(
  "a worker that dials a second time replaces its first connection, and what it forgot runs " +
    "again",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const first = await room.worker("w", { slots: 2 });
      await client.submitSpec(pipeline([spec("kept"), spec("forgotten")]));
      await room.until(() => first.assigned.length === 2);
      const second = await room.worker("w", { slots: 2, running: [keyOf(first.assigned[0]!)] });
      assert.equal(second.welcome.worker, first.welcome.worker);
      await room.until(() => first.closed && second.assigned.length === 1);
      assert.deepEqual(second.jobs, ["forgotten#2"]);
      assert.deepEqual(
        (await client.workers()).map(({ running, connected }) => [running, connected]),
        [[2, true]],
      );
    }),
);

test(
  "a HELLO that was overtaken by a newer connection of the same worker is refused, and takes " +
    "nothing away",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { slots: 2, dial: 2 });
      await client.submitSpec(pipeline([spec("a")]));
      await room.until(() => worker.assigned.length === 1);
      await assert.rejects(
        room.worker("w", { slots: 2, dial: 1 }),
        refusal("CONFLICT", /connection 1 comes after its connection 2/),
      );
      await assert.rejects(room.worker("w", { slots: 2, dial: 2 }), refusal("CONFLICT"));
      assert.deepEqual([worker.closed, (await client.workers())[0]!.running], [false, 1]);
      // The same while it is away: what it did not know then may well run now.
      worker.connection.destroy();
      await room.sleep(10);
      await assert.rejects(room.worker("w", { slots: 2, dial: 1 }), refusal("CONFLICT"));
      const back = await room.worker("w", {
        slots: 2,
        dial: 3,
        running: worker.assigned.map(keyOf),
      });
      assert.deepEqual([back.welcome.worker, back.welcome.stale], [worker.welcome.worker, []]);
    }),
);

test(
  "DRAIN gives a worker nothing new, over a restart of the master too, and DEAD lists what " +
    "has spent its retries",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { slots: 2 });
      const retry = { maxAttempts: 2, delayMs: 0, backoff: 1, maxDelayMs: 0, jitter: 0 };
      const { run } = await client.submitSpec(pipeline([spec("dies", { retry })]));
      for (let attempt = 1; attempt <= 2; attempt++) {
        await room.until(() => worker.assigned.length === attempt);
        await worker.finish(
          report(worker.assigned[attempt - 1]!, {
            failure: {
              kind: "exit",
              message: "exited with code 3",
              exitCode: 3,
              signal: undefined,
            },
          }),
        );
      }
      const letters = await client.deadLetters();
      assert.deepEqual(
        letters.map(({ job, attempts, failures, losses, failure }) => [
          job,
          attempts,
          failures,
          losses,
          failure?.exitCode,
        ]),
        [["dies", 2, 2, 0, 3]],
      );
      assert.equal(letters[0]!.run, run);

      await client.submitSpec(pipeline([spec("a")]));
      await room.until(() => worker.assigned.length === 3);
      assert.deepEqual(await client.drain("w"), {
        id: worker.welcome.worker,
        name: "w",
        running: 1,
      });
      await assert.rejects(client.drain("x"), refusal("NOT_FOUND"));
      await room.restart();
      const later = await room.client();
      const back = await room.worker("w", { slots: 2, running: [keyOf(worker.assigned[2]!)] });
      await later.submitSpec(pipeline([spec("b")]));
      await back.finish(report(worker.assigned[2]!));
      await room.sleep(2 * LEASE_MS);
      assert.deepEqual(
        [
          back.assigned,
          (await later.workers()).map(({ draining, connected }) => [draining, connected]),
        ],
        [[], [[true, true]]],
      );
      assert.deepEqual(await later.deadLetters(), letters);
      assert.equal((await later.drain(String(worker.welcome.worker), { undo: true })).name, "w");
      await room.until(() => back.assigned.length === 1);
    }),
);

test(
  "a worker that is leaving gets nothing new, is listed as draining, and what it still " +
    "reports counts",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { slots: 2 });
      const { run } = await client.submitSpec(pipeline([spec("a")]));
      await room.until(() => worker.assigned.length === 1);
      worker.connection.notify(Op.LEAVING, Buffer.alloc(0));
      await room.sleep(10);
      assert.deepEqual(
        (await client.workers()).map(({ connected, draining, running }) => [
          connected,
          draining,
          running,
        ]),
        [[true, true, 1]],
      );
      await client.submitSpec(pipeline([spec("b")]));
      await worker.finish(report(worker.assigned[0]!));
      assert.equal((await client.runs()).find(({ id }) => id === run)!.status, "COMPLETED");
      assert.equal(worker.assigned.length, 1);
      const back = await room.worker("w", { slots: 2 });
      await room.until(() => back.assigned.length === 1);
      assert.equal(
        (await client.workers()).at(-1)!.draining,
        false,
        "a fact of that process, and not of its name",
      );
    }),
);

test("cancel kills what runs, durably: a worker that was away is told when it comes back", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 2 });
    const { run } = await client.submitSpec(
      pipeline([spec("a"), spec("b"), spec("c", { dependsOn: [1] })]),
    );
    await room.until(() => worker.assigned.length === 2);
    assert.equal(await client.cancel(run, "a"), 1);
    await room.until(() => worker.killed.length === 1);
    assert.deepEqual(worker.killed, [keyOf(worker.assigned[0]!)]);
    await worker.finish(
      report(worker.assigned[0]!, {
        failure: { kind: "cancelled", message: "killed", exitCode: undefined, signal: "SIGTERM" },
      }),
    );
    assert.equal((await room.statuses(client, run)).a, "CANCELLED");

    await room.restart();
    const other = await room.client();
    assert.equal(await other.cancel(run), 2);
    assert.deepEqual(await room.statuses(other, run), {
      a: "CANCELLED", b: "RUNNING", c: "CANCELLED",
    });
    const back = await room.worker("w", { slots: 2, running: [keyOf(worker.assigned[1]!)] });
    await room.until(() => back.killed.length === 1);
    await back.finish(report(worker.assigned[1]!));
    assert.equal((await other.runs())[0]!.status, "CANCELLED");
    assert.equal(await other.cancel(run), 0);
  }));

test(
  "a delayed job is dispatched in the millisecond in which its delay ends, and waiting for it " +
    "costs nothing",
  () =>
    Room.run(async (room) => {
      await room.start();
      const worker = await room.worker("w", { beats: false });
      const client = await room.client();
      const { run } = await client.submitSpec(pipeline([spec("a", { delayMs: 3000 })]));
      const { jobs } = await client.status(run);
      assert.match(jobs[0]!.reason, /delayed for another 3\.0 s|2\.9 s/);
      const { nextSeq } = await client.info();
      const submittedAt = (await client.runs())[0]!.submittedAt;
      await room.until(() => worker.assigned.length === 1);
      const {
        jobs: [started],
      } = await client.status(run);
      assert.equal(started!.startedAt! - submittedAt, 3000);
      assert.equal(
        (await client.info()).nextSeq,
        nextSeq + 2,
        "one event for the time, one for the start",
      );
    }),
);

test(
  "a job whose parents' results do not fit into a frame together fails by name, and its " +
    "worker stays",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const worker = await room.worker("w", { slots: 80 });
      const parents = Array.from({ length: 70 }, (_, i) => spec(`p${i}`));
      const { run } = await client.submitSpec(
        pipeline([...parents, spec("child", { dependsOn: parents.map((_, i) => i) })]),
      );
      await room.until(() => worker.assigned.length === 70);
      for (const item of worker.assigned) {
        await worker.finish(report(item, { result: Buffer.alloc(64 * 1024) }));
      }
      const {
        jobs: [child],
      } = await client.status(run, "child");
      assert.equal(child!.status, "FAILED");
      assert.match(child!.failure!.message, /results of its parents are 45\d+ bytes together/);
      assert.equal(worker.closed, false);
    }),
);

for (const wish of ["cancel", "stop", "restart"] as const) {
  const title = `a ${wish} that overtakes a dispatch which waits for a slow worker is repeated ` +
    "behind it";
  test(title, () => Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const count = 24;
    const worker = await room.worker("w", { slots: count, beats: false });
    room.world.hold("m", "w"); // the connection fills up, and what does not fit waits at the master
    const action = { type: "shell" as const, script: "x".repeat(600_000) };
    const { run } = await client.submitSpec(pipeline(Array.from({ length: count }, (_, i) => {
      const service = wish === "cancel" ? undefined : serviceSpec(`j${i}`);
      return spec(`j${i}`, { action, service });
    })));
    await room.sleep(100);
    const asked = await client[wish](run);
    assert.equal(typeof asked === "number" ? asked : asked.replicas, count);
    room.world.release("m", "w");
    await room.until(() => worker.assigned.length === count);
    await room.sleep(100);
    assert.ok(
      worker.heard.indexOf("-0") < worker.heard.lastIndexOf(`+${count - 1}`),
      "some dispatches did wait",
    );
    for (let job = 0; job < count; job++) {
      assert.ok(
        worker.heard.lastIndexOf(`-${job}`) > worker.heard.indexOf(`+${job}`),
        `job ${job} was killed before it was there: ${worker.heard.join(" ")}`,
      );
    }
  }));
}

test("a client that sends a worker's beat is answered, and harms nobody", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.raw();
    await client.request(Op.HELLO, hello());
    const beat = Beat.encode({ runs: ["nobody's"], lateMs: 4_000_000, lateMaxMs: 1 });
    assert.deepEqual(BeatAnswer.decode(await client.request(Op.BEAT, beat)).over, ["nobody's"]);
    assert.deepEqual([room.fatal, await (await room.client()).workers()], [[], []]);
    client.close();
  }));

test("a job that has ended before its cancel is durable is not killed", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 2 });
    const { run } = await client.submitSpec(pipeline([spec("ends"), spec("runs")]));
    await room.until(() => worker.assigned.length === 2);
    const cancelled = client.cancel(run);
    await room.sleep(5);
    await worker.finish(report(worker.assigned[0]!));
    assert.equal(await cancelled, 2);
    await room.until(() => worker.killed.length > 0);
    assert.deepEqual(worker.killed.map(({ job }) => job), [1]);
  }, { syncMs: [100, 100] }));
