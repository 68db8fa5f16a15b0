/**
 * Watching runs and following output through the master: nothing missed by who reads, nothing kept
 * for who does not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "#sdk";
import { OutputRequest, Op, RunRef, WatchPage } from "#wire";
import { MAX_BACKLOG } from "../src/master/watch.ts";
import { hello, pipeline, report, Room, spec } from "./10-master.support.ts";

async function watched(client: Client, run: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const event of client.watch(run)) {
    if (event.type === "snapshot") {
      lines.push(`all ${event.jobs.map((job) => `${job.id}=${job.status}`).join(" ")}`);
    } else if (event.type === "job") lines.push(`${event.job} ${event.change.status}`);
    else lines.push(`run ${event.run.status}`);
  }
  return lines;
}

test("WATCH gives the whole run, then every change in order, and ends with the run", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a"), spec("b", { dependsOn: [0] })]));
    const lines = watched(client, run);
    const late = room.sleep(20).then(() => room.worker("w", { works: true }));
    assert.deepEqual(await lines, [
      "all a=PENDING b=PENDING",
      "a RUNNING",
      "a COMPLETED",
      "b RUNNING",
      "b COMPLETED",
      "run COMPLETED",
    ]);
    assert.deepEqual(
      await watched(client, run),
      ["all a=COMPLETED b=COMPLETED"],
      "a run that is over is told at once",
    );
    await late;
  }));

test(
  "STATUS and WATCH tell nothing that a crash could take back, not even when they wait for an " +
    "older fsync",
  () =>
    Room.run(
      async (room) => {
        await room.start();
        const client = await room.client();
        const worker = await room.worker("w");
        const { run } = await client.submitSpec(pipeline([spec("a")]));
        await room.until(() => worker.assigned.length === 1);
        await room.sleep(200);
        const told: string[] = [];
        const look = async (): Promise<void> =>
          void told.push(`status ${(await client.status(run)).jobs[0]!.status}`);
        const watch = async (): Promise<void> => {
          for await (const event of client.watch(run)) {
            told.push(event.type === "snapshot" ? `all ${event.jobs[0]!.status}` : event.type);
          }
        };
        // An fsync of 100 ms begins; they ask while it is under way; then the job ends, which is
        // for the fsync after that.
        void client.submitSpec(pipeline([spec("other")])).catch(() => undefined);
        await room.sleep(20);
        for (const asking of [look(), watch()]) void asking.catch(() => undefined);
        await room.sleep(20);
        void worker.finish(report(worker.assigned[0]!)).catch(() => undefined);
        await room.sleep(130);
        assert.deepEqual(
          told,
          ["status RUNNING"],
          "the watcher, who is to see the end, waits until it is one",
        );
        room.world.crash("m");
        await room.start();
        assert.deepEqual(await room.statuses(await room.client(), run), { a: "RUNNING" });
      },
      { syncMs: [100, 100] },
    ),
);

test(
  "WHY says of the jobs that are named why they wait, in a word and in a sentence, and " +
    "nothing of the others",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const jobs = [
        spec("a", { requirement: ["GPU"] }),
        spec("b", { dependsOn: [0] }),
        spec("c", { delayMs: 60_000 }),
      ];
      const { run } = await client.submitSpec(pipeline(jobs));
      const told = await client.reasons(run, [0, 1, 2, 77]);
      assert.deepEqual(
        told.map(({ index, kind }) => [index, kind]),
        [
          [0, "worker"],
          [1, "parents"],
          [2, "time"],
        ],
      );
      assert.deepEqual(
        told.slice(0, 2).map(({ reason }) => reason),
        ["no worker is connected", "waits for a (PENDING)"],
      );
      await client.cancel(run);
      assert.deepEqual(await client.reasons(run, [0, 1, 2]), []);
    }),
);

/** What a watcher of an older version is sent, in words: a change names a job by its number. */
async function watchedBefore(room: Room, run: string): Promise<string[]> {
  const peer = await room.raw({ name: "older" });
  await peer.request(Op.HELLO, hello());
  const lines: string[] = [];
  for await (const body of peer.stream(Op.WATCH, RunRef.encode({ run }))) {
    const { reset, jobs, changes } = WatchPage.decode(body);
    if (reset) lines.push(`all ${jobs.map((job) => `${job.id}=${job.status}`).join(" ")}`);
    for (const { index, status, id } of changes) lines.push(`${index} ${status} ${id ?? ""}`);
  }
  return lines;
}

test("WATCH tells of added jobs by their names, and an older watcher gets the list again", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(pipeline([spec("plan")]));
    const [lines, before] = [watched(client, run), watchedBefore(room, run)];
    await room.until(() => worker.assigned.length === 1);
    await room.sleep(100); // both have the list without them
    const rest = { dependsOn: [0], when: "failure" as const };
    const added = [spec("step", { dependsOn: [0] }), spec("else", rest)];
    assert.equal(await client.addJobs(run, added), 2);
    await room.sleep(100);
    await worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    assert.equal(await client.addJobs(run, [spec("late", rest)]), 1);
    await worker.finish(report(worker.assigned[1]!));
    assert.deepEqual((await lines).slice(-11), [
      "step PENDING",
      "else PENDING",
      "run RUNNING",
      "plan COMPLETED",
      "else SKIPPED",
      "step RUNNING",
      "late PENDING",
      "late SKIPPED",
      "run RUNNING",
      "step COMPLETED",
      "run COMPLETED",
    ]);
    const told = await before;
    assert.ok(told.includes("all plan=RUNNING step=PENDING else=PENDING"), told.join(", "));
    assert.equal(told.at(-1), "1 COMPLETED ");
    // Never a number before its name.
    let known = 0;
    for (const line of told) {
      if (line.startsWith("all ")) known = line.split(" ").length - 1;
      else assert.ok(Number.parseInt(line) < known && /^\d+ [A-Z]+ $/.test(line), line);
    }
  }));

test(
  "a watcher that never reads is sent a window and no more, and the final state when it reads " +
    "again",
  () =>
    Room.run(async (room) => {
      await room.start();
      const client = await room.client();
      const peer = await room.raw({ name: "lazy" });
      await peer.request(Op.HELLO, hello());
      const count = 22_000;
      const { run } = await client.submitSpec(
        pipeline(Array.from({ length: count }, (_, i) => spec(`j${i}`))),
      );
      const pages = peer.stream(Op.WATCH, RunRef.encode({ run }))[Symbol.asyncIterator]();
      const first = await pages.next();
      assert.ok(WatchPage.decode(first.value as Buffer).reset);
      const bytesSent = () =>
        room.world.trace
          .filter((line) => line.includes("m -> lazy"))
          .reduce((sum, line) => sum + Number(/(\d+) bytes/.exec(line)![1]), 0);
      const worker = await room.worker("w", { slots: 4096, works: true });
      await room.until(() => worker.confirmed.length > 12_000);
      await client.cancel(run);
      await room.until(() => worker.confirmed.length === worker.assigned.length);
      await room.sleep(100);
      assert.equal((await client.runs())[0]!.status, "CANCELLED");
      assert.ok(
        bytesSent() < 1024 * 1024,
        `${bytesSent()} bytes were sent to somebody who does not read`,
      );

      let resets = 0;
      let rows = 0;
      let last: WatchPage | undefined;
      for (let page = await pages.next(); !page.done; page = await pages.next()) {
        last = WatchPage.decode(page.value);
        if (last.reset) {
          resets += 1;
          rows = 0;
        }
        rows += last.jobs.length;
      }
      assert.deepEqual([resets, rows, last?.run?.status], [1, count, "CANCELLED"]);
      assert.ok(
        bytesSent() < 6 * 1024 * 1024,
        `${bytesSent()} bytes in all: the list twice, and not every change`,
      );
    }),
);

test("following a job's output shows what was printed last, " +
  "and ends for a job that never starts", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(
      pipeline([spec("a"), spec("skipped", { dependsOn: [0] }), spec("other")]),
    );
    const follow = async (job: string): Promise<string> => {
      let text = "";
      for await (const chunk of client.logs(run, job, { follow: true })) text += chunk.data;
      return text;
    };
    const texts = Promise.all([follow("a"), follow("skipped")]);
    await room.until(() => worker.assigned.length === 1);
    const [a] = worker.assigned;
    for (let i = 0; i < 20; i++) await worker.print(a!, `${i},`);
    // The last words and the end in one breath.
    void worker.print(a!, "last");
    await worker.finish(
      report(a!, { failure: { kind: "exit", message: "exit 1", exitCode: 1, signal: undefined } }),
    );
    assert.deepEqual(await texts, [
      `${Array.from({ length: 20 }, (_, i) => i).join(",")},last`,
      "",
    ]);
    assert.equal(
      (await client.runs())[0]!.status,
      "RUNNING",
      "the run goes on, and that is no reason to wait",
    );
    assert.equal(await follow("a").then((text) => text.length), 54);
    await assert.rejects(async () => {
      for await (const _ of client.logs(run, "a", { attempt: 2 }));
    }, /its latest attempt is 1, not 2/);
  }));

test(
  "a watcher without room costs no more than MAX_BACKLOG changes, and gets one list when it " +
    "has room again",
  () =>
    Room.run(async (room) => {
      const master = await room.start();
      const client = await room.client();
      const count = 24_000;
      const jobs = Array.from({ length: count }, (_, i) => spec(`j${i}`));
      const { run } = await client.submitSpec(pipeline(jobs));
      const peer = await room.raw({ name: "lazy" });
      await peer.request(Op.HELLO, hello());
      const watches = Array.from({ length: 3 }, () =>
        peer.stream(Op.WATCH, RunRef.encode({ run }))[Symbol.asyncIterator](),
      );
      await Promise.all(watches.map((pages) => pages.next()));
      const worker = await room.worker("w", { slots: 4096, works: true });
      let most = 0;
      await room.until(() => {
        most = Math.max(most, master.counts().backlog);
        return worker.confirmed.length === count;
      });
      await room.sleep(100);
      assert.ok(
        most > MAX_BACKLOG / 2 && most <= MAX_BACKLOG,
        `${most} changes wait, for all three watchers`,
      );
      for (const pages of watches) {
        let lists = 1;
        let last: WatchPage | undefined;
        for (let page = await pages.next(); !page.done; page = await pages.next()) {
          last = WatchPage.decode(page.value);
          if (last.reset) lists += 1;
        }
        assert.deepEqual([lists, last?.run?.status], [2, "COMPLETED"]);
      }
      assert.deepEqual([master.counts().backlog, master.counts().watchers], [0, 0]);
    }),
);

test("watchers of one run are sent the same pages, made once", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 1 });
    const { run } = await client.submitSpec(pipeline([spec("a"), spec("b")]));
    await room.until(() => worker.assigned.length === 1);
    const peers = await Promise.all([room.raw(), room.raw()]);
    const seen: Buffer[][] = [];
    for (const peer of peers) {
      await peer.request(Op.HELLO, hello());
      for (let i = 0; i < 3; i++) {
        const pages: Buffer[] = [];
        seen.push(pages);
        void (async () => {
          for await (const page of peer.stream(Op.WATCH, RunRef.encode({ run }))) {
            pages.push(Buffer.from(page));
          }
        })();
      }
    }
    await room.sleep(50);
    await worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    await worker.finish(report(worker.assigned[1]!));
    await room.sleep(100);
    assert.equal(seen.length, 6);
    for (const pages of seen) {
      assert.deepEqual(
        pages.map((page) => page.toString("hex")),
        seen[0]!.map((page) => page.toString("hex")),
      );
    }
    assert.equal(WatchPage.decode(seen[0]!.at(-1)!).run?.status, "COMPLETED");
  }));

test("a list that is shared is of now: whoever watches after a change sees it", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 1 });
    const { run } = await client.submitSpec(pipeline([spec("a"), spec("b")]));
    await room.until(() => worker.assigned.length === 1);
    const look = async (): Promise<string> => {
      for await (const event of client.watch(run)) {
        if (event.type === "snapshot") return event.jobs.map(({ status }) => status).join(" ");
      }
      return "";
    };
    assert.equal(await look(), "RUNNING PENDING");
    await worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    assert.deepEqual(await Promise.all([look(), look()]), [
      "COMPLETED RUNNING",
      "COMPLETED RUNNING",
    ]);
  }));

test("a thousand followers that hang up leave nothing, while the job goes on", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    const worker = await room.worker("w");
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.assigned.length === 1);
    const key = worker.assigned[0]!;
    await worker.print(key, "one");
    const peer = await room.raw();
    await peer.request(Op.HELLO, hello());
    const ask = OutputRequest.encode({ run, job: "a", attempt: 0, follow: true });
    for (let round = 0; round < 10; round++) {
      const streams = Array.from({ length: 100 }, () => peer.stream(Op.LOGS, ask));
      for (const stream of streams) {
        assert.equal((await stream[Symbol.asyncIterator]().next()).done, false);
      }
      await room.sleep(5);
      assert.equal(master.counts().followers > 0, true);
      for (const stream of streams) stream.cancel();
      await room.sleep(5);
      assert.deepEqual([master.counts().followers, master.counts().requests], [0, 0]);
    }
    // One that stays is told, and those that left are woken by nobody.
    const following = client.logs(run, "a", { follow: true });
    await following.next();
    await worker.print(key, "two");
    assert.equal((await following.next()).value?.data.toString(), "two");
    await worker.finish(report(key));
    assert.equal((await following.next()).done, true);
    assert.equal(master.counts().followers, 0);
  }));
