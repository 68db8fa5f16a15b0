/**
 * Workers of older versions: they get no service, which they would run as a job.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, Event, hashState, readSnapshot, State, writeSnapshot } from "#core";
import { plainKey, requirementKey } from "#routing";
import { Bench, serviceSpec, spec } from "./10-master.core.ts";
import { keyOf, pipeline, report, Room } from "./10-master.support.ts";

const web = spec("web", { service: serviceSpec("web") });
const TOO_OLD = "w is of version 0.0.9 and cannot run services: upgrade it";

test("a service goes to a worker that knows services, and a job to any", () => {
  const bench = new Bench();
  const old = bench.join({ slots: 4, instance: "old", knows: [] });
  const fresh = bench.join({ slots: 4, instance: "new", knows: ["services", "poetry"] });
  bench.submit([web, spec("a"), spec("b")]);
  assert.deepEqual(
    bench.schedule().map(({ spec: { id }, worker }) => [id, worker]),
    [["web", fresh], ["a", old], ["b", old]],
  );
  const again = readSnapshot([...writeSnapshot(bench.state)]);
  assert.deepEqual(again.workers.get(fresh)?.knows, ["services", "poetry"]);
  assert.equal(hashState(again), hashState(bench.state));
  assert.ok(again.router.hasFree("~services"), "the index is rebuilt");
  bench.execute({ type: "Drain", worker: `${fresh}`, undo: false });
  const [moved] = [...bench.state.workers.get(fresh)!.jobs];
  assert.equal(moved?.service?.asked, "nothing", "there is no other place for it");
});

test("what a worker knows is written down once, and what it runs goes on", () => {
  const bench = new Bench();
  const worker = bench.join({ slots: 3, tags: ["GPU"], knows: ["poetry"] });
  const gpu = spec("gpu", { service: serviceSpec("gpu"), requirement: ["GPU"] });
  bench.submit([spec("a"), web, gpu]);
  assert.equal(bench.schedule().length, 1);
  const running = [...bench.state.workers.get(worker)!.jobs].map((job) =>
    ({ run: job.run.number, job: job.index, attempt: job.attempt }));
  const before = bench.log.length;
  bench.execute({ type: "Rejoin", worker, running, knows: ["services"] });
  bench.execute({ type: "Rejoin", worker, running, knows: ["services"] });
  const written = bench.log.slice(before).map((bytes) => Event.decode(bytes).type);
  assert.deepEqual(written, ["WorkerKnows"]);
  assert.deepEqual(bench.state.workers.get(worker)?.knows, ["poetry", "services"]);
  assert.equal(bench.state.router.running(worker), 1);
  assert.equal(bench.schedule().length, 2, "it has a seat in both classes");
  const replayed = new State();
  for (const bytes of bench.log) apply(replayed, Event.decode(bytes));
  assert.equal(hashState(replayed), hashState(bench.state));
});

test("plainKey() shows a requirement as people wrote it", () => {
  const keys = ["~services", "GPU+~services", "GPU+~services@7", "~services@7", "GPU", "GENERAL@3"];
  assert.deepEqual(
    keys.map(plainKey), ["GENERAL", "GPU", "GPU@7", "GENERAL@7", "GPU", "GENERAL@3"]);
  assert.equal(requirementKey(["~services", "GPU"], 7), "GPU+~services@7");
});

test("an old worker keeps its jobs, gets no service, and people are told why it waits", () =>
  Room.run(async (room) => {
    const { fleet } = await room.start();
    const client = await room.client();
    const worker = await room.worker("w", { slots: 1, knows: [], version: "0.0.9" });
    const { run, warnings } = await client.submitSpec(pipeline([web, spec("job"), spec("more")]));
    assert.deepEqual(warnings, [`Cannot schedule job "web" now: ${TOO_OLD}`]);
    await room.until(() => worker.assigned.length > 0);
    assert.deepEqual(worker.jobs, ["job#1"]);
    const [row] = (await client.status(run)).jobs;
    assert.deepEqual([row!.status, row!.reason], ["PENDING", TOO_OLD]);
    assert.deepEqual([...fleet.look().classes].sort((a, b) => (a.key < b.key ? -1 : 1)), [
      { key: "GENERAL", jobs: 1, isStuck: true }, { key: "~services", jobs: 1, isStuck: true },
    ]);

    const running = worker.assigned.map(keyOf);
    const back = await room.worker("w", { running, dial: 2 });
    await back.finish(report(worker.assigned[0]!));
    await room.until(() => back.assigned.length > 0);
    assert.deepEqual(back.jobs, ["web#1"], "the same process, and a master that reads its HELLO");
  }));
