/**
 * What the master has said is true after a crash: acknowledgements, dispatches, and the order in
 * which they leave.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogError } from "#log";
import type { Client } from "#sdk";
import { LEASE_MS, type JobSpec } from "#wire";
import {
  diskBroken,
  fileWith,
  pipeline,
  refusal,
  report,
  Room,
  spec,
  usedBytes,
  withFiles,
  type ScriptedWorker,
} from "./10-master.support.ts";

/** Swallows the failure that a crash means for whoever is waiting. */
const tryTo = <T>(promise: Promise<T>): Promise<T | undefined> => promise.catch(() => undefined);

test("whatever a client or a worker was told before a crash at any moment is so after it, and " +
  "nothing is half there", async () => {
  for (let seed = 1; seed <= 16; seed++) {
    try {
      await Room.run((room) => liveAndCrash(room), { seed, syncMs: [0.1, 8] });
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).stack}`);
    }
  }
});

/** Clients submit, cancel and look, workers work, and at some moment the power goes. */
async function liveAndCrash(room: Room): Promise<void> {
  await room.start();
  const { random } = room.world.host("driver");
  const some = (limit: number): number => random.u32() % limit;
  const submitted = new Map<string, { run: string; jobs: JobSpec[] }>();
  const seen = new Map<string, string>();
  const workers = [
    await room.worker("w1", { slots: 3, works: true }),
    await room.worker("w2", { slots: 2, works: true }),
  ];
  const jobs: JobSpec[] = [
    spec("a"),
    spec("b", { dependsOn: [0] }),
    spec("c", { dependsOn: [0] }),
    spec("d", { dependsOn: [1, 2], delayMs: 5 }),
  ];

  const customer = async (client: Client, name: string): Promise<void> => {
    for (let i = 0; ; i++) {
      await room.sleep(random.unit() * 6);
      const key = `${name}-${i}`;
      const mine = jobs.slice(0, 1 + some(4));
      const { run } = await client.submitSpec(pipeline(mine), { key });
      submitted.set(key, { run, jobs: mine });
      if (some(4) === 0) await client.cancel(run);
      for (const job of (await client.status(run)).jobs) seen.set(`${run}/${job.id}`, job.status);
    }
  };
  const clients = await Promise.all([room.client(), room.client(), room.client()]);
  for (const [i, client] of clients.entries()) void tryTo(customer(client, `k${i}`));
  await room.sleep(2 + random.unit() * 60);

  const { recovered } = await room.restart();
  const client = await room.client();
  assert.ok(recovered.runs >= submitted.size);
  const runs = new Map((await client.runs()).map((run) => [run.id, run]));
  for (const [key, { run, jobs: mine }] of submitted) {
    assert.ok(runs.has(run), `run ${run} was acknowledged`);
    assert.deepEqual(await client.submitSpec(pipeline(mine), { key }), {
      run,
      existing: true,
      forgotten: false,
      replaces: "",
      warnings: [],
    });
  }
  const byNumber = await Promise.all([...runs.keys()].map((id) => client.status(id)));
  for (const { run, jobs: rows } of byNumber) {
    assert.equal(
      run.counts.reduce((sum, count) => sum + count, 0),
      rows.length,
      "a run that is there has all its jobs",
    );
    for (const { id, status } of rows) {
      const said = seen.get(`${run.id}/${id}`);
      if (said === "COMPLETED" || said === "CANCELLED") {
        assert.equal(status, said, `${run.id}/${id} was seen ${said}`);
      }
      if (said === "RUNNING") {
        assert.notEqual(status, "PENDING", `${run.id}/${id} was seen RUNNING`);
      }
    }
  }
  // Runs are numbered from 1 in the order of submission, which is the order of the list.
  for (const worker of workers) {
    for (const { run, job, attempt } of worker.assigned) {
      assert.ok(
        byNumber[run - 1]!.jobs[job]!.attempt >= attempt,
        `attempt ${run}/${job}/${attempt} was dispatched`,
      );
    }
    for (const { run, job } of worker.confirmed) {
      assert.notEqual(
        byNumber[run - 1]!.jobs[job]!.status,
        "RUNNING",
        `the end of ${run}/${job} was confirmed`,
      );
    }
  }
}

test("a submission that was not acknowledged is there with all its jobs or not at all, and its " +
  "key decides once", async () => {
  const outcomes = { acknowledged: 0, there: 0, gone: 0 };
  for (let seed = 1; seed <= 20; seed++) {
    await Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const jobs = Array.from({ length: 50 }, (_, i) => spec(`j${i}`));
      const submit = (from: Client) => from.submitSpec(pipeline(jobs), { key: "k" });
      let acknowledged = false;
      void tryTo(submit(client).then(() => { acknowledged = true; }));
      // 3 ms there, 5 ms to the disk, 3 ms back.
      await room.sleep(4 + room.world.host("driver").random.unit() * 8);
      const { recovered } = await room.restart();
      outcomes[acknowledged ? "acknowledged" : recovered.runs === 1 ? "there" : "gone"] += 1;
      const again = await submit(await room.client());
      assert.equal(again.existing, recovered.runs === 1);
      assert.equal((await (await room.client()).status(again.run)).jobs.length, 50);
    }, { seed, syncMs: [5, 5], latencyMs: [3, 3] });
  }
  for (const [outcome, times] of Object.entries(outcomes)) assert.ok(times > 0, `never ${outcome}`);
});

test(
  "no acknowledgement and no dispatch leaves before its fsync ends, and after a crash in " +
    "between nothing had happened",
  () =>
    Room.run(
      async (room) => {
        await room.start();
        const client = await room.client();
        const worker = await room.worker("w");
        const submitted = tryTo(
          client.submitSpec(pipeline([spec("a")])).then(() => room.world.now),
        );
        const start = room.world.now;
        await room.until(() => worker.assigned.length === 1);
        assert.ok(room.world.now - start >= 100, `dispatched after ${room.world.now - start} ms`);
        assert.ok((await submitted)! - start >= 100);

        void tryTo(client.submitSpec(pipeline([spec("b", { priority: 9 })])));
        void tryTo(worker.finish(report(worker.assigned[0]!)));
        await room.sleep(90);
        assert.deepEqual([worker.jobs, worker.confirmed], [["a#1"], []]);
        room.world.crash("m");
        await room.start();
        const after = await room.client();
        assert.equal((await after.runs()).length, 1);
        assert.equal((await after.runs())[0]!.status, "RUNNING");
      },
      { syncMs: [100, 100] },
    ),
);

test("execute() answers each kind of change after its fsync", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const dialled = room.world.now;
    const worker = await room.worker("w", { slots: 2 });
    assert.ok(room.world.now - dialled >= 100, "a new worker hears its number after the fsync");
    const gate = { message: "?", maxWaitMs: 60_000 };
    const { run } = await client.submitSpec(pipeline([spec("a", { gate }), spec("b")]));
    await room.until(() => worker.assigned.length === 2);
    await worker.finish(report(worker.assigned[0]!));
    const changes: Record<string, () => Promise<unknown>> = {
      drain: () => client.drain("w"), // so c will not start
      add: () => client.addJobs(run, [spec("c")]),
      decide: () => client.decide(`${run}/a`, { approve: true, by: "ann" }),
      cancel: () => client.cancel(run, "b"),
      retry: () => client.retry(run, "c"),
    };
    for (const [name, change] of Object.entries(changes)) {
      if (name === "retry") await client.cancel(run, "c");
      const start = room.world.now;
      await change();
      const tookMs = room.world.now - start;
      assert.ok(tookMs >= 100, `${name} was answered after ${tookMs} ms`);
    }
  }, { syncMs: [100, 100] }));

test("FINISHED is confirmed once durable; sent again over a new connection it counts once", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(pipeline([spec("a"), spec("b", { dependsOn: [0] })]));
    await room.until(() => worker.assigned.length === 1);
    const end = report(worker.assigned[0]!, { result: Buffer.from("1") });
    await worker.finish(end);
    const { nextSeq, refused } = await client.info();
    await worker.finish(end, end);
    const after = await client.info();
    assert.equal(after.nextSeq, nextSeq, "no event for what is known");
    assert.equal(after.refused, refused + 2, "and each is counted");

    // The confirmation is lost with the master: the worker, not knowing, says that it still has the
    // attempt, and reports again.
    await room.restart();
    const back = await room.worker("w", { running: [end, worker.assigned[1]!] });
    assert.deepEqual(back.welcome.stale.map(({ job }) => job), [0]);
    await back.finish(end);
    await back.finish(report(worker.assigned[1]!));
    const { jobs } = await (await room.client()).status(run);
    assert.deepEqual(
      jobs.map(({ status, attempt }) => [status, attempt]),
      [
        ["COMPLETED", 1],
        ["COMPLETED", 1],
      ],
    );
  }));

test("hash(recovered) equals hash(live), from the log alone and from a snapshot with a tail", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    let worker: ScriptedWorker = await room.worker("w", { slots: 3, works: true });
    const submit = () =>
      client.submitSpec(
        pipeline([
          spec("a"),
          spec("b", {
            dependsOn: [0],
            retry: { maxAttempts: 2, delayMs: 10, backoff: 1, maxDelayMs: 10, jitter: 0 },
          }),
        ]),
      );
    for (let i = 0; i < 20; i++) await submit();
    await master.snapshot();
    for (let i = 0; i < 5; i++) await submit();
    await room.sleep(100);
    const { stateHash, nextSeq } = await client.info({ hash: true });
    const { recovered } = await room.restart();
    assert.ok(
      recovered.events > 0 && recovered.events < nextSeq / 2,
      `${recovered.events} of ${nextSeq} events replayed`,
    );
    const again = await room.client();
    assert.equal((await again.info({ hash: true })).stateHash, stateHash);
    worker = await room.worker("w", { slots: 3, works: true });
    assert.equal(worker.welcome.worker, 1);
    const { run } = await again.submitSpec(pipeline([spec("last")]));
    await room.until(() => worker.jobs.includes("last#1"));
    assert.match(run, /^test-/);
  }));

// ── disks that fail ──────────────────────────────────────────────────────────────────────────────

test("a disk that fails at its n-th write ends the master once, acknowledges nothing that is not " +
  "kept, and the rest is recovered", async () => {
  for (let n = 1; n <= 9; n++) {
    for (const half of [false, true]) {
      await Room.run(async (room) => {
        let writes = 0;
        const host = withFiles(room.world.host("m"), (path, file) =>
          !path.includes("/log/")
            ? file
            : fileWith(file, {
                appendAndSync: async (parts) => {
                  if (++writes < n) return file.appendAndSync(parts);
                  if (half) await file.append([Buffer.concat(parts).subarray(0, 10)]);
                  throw diskBroken();
                },
              }),
        );
        const acknowledged: string[] = [];
        const live = async (): Promise<void> => {
          const client = await room.client();
          const worker = await tryTo(room.worker("w", { works: true, slots: 2 }));
          for (let i = 0; room.fatal.length === 0; i++) {
            const done = await tryTo(
              client.submitSpec(pipeline([spec("a"), spec("later", { delayMs: 500 })]), {
                key: `k${i}`,
              }),
            );
            if (done !== undefined) acknowledged.push(done.run);
          }
          await assert.rejects(client.ping(), refusal("CLOSED"));
          await assert.rejects(room.client(), { code: "ECONNREFUSED" });
          await room.until(() => worker?.closed !== false);
        };
        const master = await tryTo(room.start({ host }));
        if (master !== undefined) await live();
        await room.sleep(3 * LEASE_MS); // no timer of the dead one may act
        assert.equal(room.fatal.length, master === undefined ? 0 : 1);
        for (const error of room.fatal) {
          assert.ok(error instanceof LogError && error.code === "WRITE_FAILED", String(error));
        }
        await room.restart();
        const runs = new Set((await (await room.client()).runs()).map(({ id }) => id));
        for (const run of acknowledged) {
          assert.ok(runs.has(run), `write ${n}: ${run} was acknowledged`);
        }
      });
    }
  }
});

test("a snapshot for which there is no room is refused, and the master goes on", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    for (let i = 0; i < 10; i++) await client.submitSpec(pipeline([spec("a")]));
    room.world.disk("m").limitBytes((await usedBytes(room, "/state")) + 50);
    await assert.rejects(master.snapshot(), {
      code: "FULL",
      message: /^Cannot save snapshot: ENOSPC/,
    });
    room.world.disk("m").limitBytes(undefined);
    const { nextSeq } = await client.info();
    await client.submitSpec(pipeline([spec("b")]));
    await master.snapshot();
    const { stateHash } = await client.info({ hash: true });
    const { recovered } = await room.restart();
    assert.equal(recovered.runs, 11);
    assert.ok(recovered.events < nextSeq - 1);
    assert.equal((await (await room.client()).info({ hash: true })).stateHash, stateHash);
    assert.deepEqual(room.fatal, []);
  }));
