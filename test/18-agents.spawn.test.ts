/**
 * Chapter 18: a job that adds jobs to its own run: once for each key, all of them or none.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  jobsMemory, readSnapshot, writeSnapshot, type CommandOf, type Job,
} from "#core";
import { MAX_SPAWN_DEPTH, MAX_SPAWN_JOBS, MAX_SPAWNS } from "#wire";
import { assertRecoverable, Bench, checkIndexes, NO_ROOM, spec } from "./10-master.core.ts";
import { by, forJobs, pause, spawn, why } from "./18-agents.core.ts";

function running(): { bench: Bench; run: string; job: Job } {
  const bench = new Bench();
  bench.join({ slots: 4 });
  const run = bench.submit([spec("plan"), spec("report", { dependsOn: [0] }), spec("other")]);
  return { bench, run, job: bench.schedule()[0]! };
}

test("Spawn adds jobs with parents in the list and in the run, and keeps who added them", () => {
  const { bench, run, job } = running();
  const jobs = [spec("a"), spec("b", { dependsOn: [0, 2], affinity: 2 })];
  const parents = ["other"];
  const before = [{ job: 1, child: "report" }];
  assert.deepEqual(spawn(bench, job, "k", jobs, { parents, before, stage: "ITER" }), {
    from: 3, jobs: 2, existing: false,
  });
  const [a, b, report] = [bench.job(run, "a"), bench.job(run, "b"), bench.job(run, "report")];
  assert.deepEqual(b.spec.dependsOn, [3, 2]);
  assert.equal(b.spec.affinity, 2);
  assert.deepEqual(report.run.dag.parents(report.index), [0, 4]);
  assert.deepEqual([a.spawner, b.spawner, report.spawner], [0, 0, undefined]);
  assert.deepEqual(job.agent!.spawns.map(({ key, stage, count }) => [key, stage, count]), [
    ["k", "ITER", 2],
  ]);
  checkIndexes(bench.state);
  assertRecoverable(bench);
  const again = readSnapshot(writeSnapshot(bench.state));
  assert.equal(again.runsById.get(run)!.jobs[3]!.spawner, 0);
});

test("the same key adds nothing twice, whichever attempt asks, also after a person's retry", () => {
  const { bench, run, job } = running();
  const jobs = [spec("a"), spec("b", { dependsOn: [0] })];
  spawn(bench, job, "k", jobs);
  spawn(bench, job, "l", [spec("c")]);
  const known = { from: 3, jobs: 2, existing: true };
  assert.deepEqual(spawn(bench, job, "k", jobs), known);
  const other = bench.state.workers.get(1)!;
  bench.execute({ type: "Lose", worker: other.id, reason: "gone" });
  bench.join({ instance: "j", slots: 9 });
  bench.schedule();
  assert.deepEqual([job.status, job.attempt], ["RUNNING", 2]);
  assert.deepEqual(spawn(bench, job, "k", jobs), known);
  bench.fail(job, "not-found");
  bench.execute({ type: "Retry", run, from: "plan" });
  bench.schedule();
  assert.deepEqual(spawn(bench, job, "k", jobs), known);
  assert.equal(bench.state.runsById.get(run)!.jobs.length, 6);
  // Another job may use the same key.
  bench.finish(job);
  const c = bench.job(run, "c");
  assert.equal(spawn(bench, c, "k", [spec("d")]).existing, false);
  assertRecoverable(bench);
});

test("the same key with other jobs is refused, and both are named", () => {
  const { bench, job } = running();
  spawn(bench, job, "k", [spec("a")]);
  const { length } = bench.log;
  assert.match(
    why(() => spawn(bench, job, "k", [spec("a"), spec("b")])),
    /^CONFLICT: .* key "k": test-\w+\/plan has added 1 job .*\(\w{12}\), .* list of 2 \(\w{12}\)$/,
  );
  for (const jobs of [[spec("b")], [spec("a", { priority: 2 })]]) {
    assert.match(why(() => spawn(bench, job, "k", jobs)), /another list/);
  }
  const before = [{ job: 0, child: "report" }];
  assert.match(why(() => spawn(bench, job, "k", [spec("a")], { before })), /another list/);
  assert.equal(bench.log.length, length);
});

test("a spawn that cannot be is refused whole", () => {
  const { bench, run, job } = running();
  const { length } = bench.log;
  const refused = (jobs: Parameters<typeof spawn>[3], more = {}): string =>
    why(() => spawn(bench, job, "k", jobs, more));
  assert.match(refused([]), /INVALID: Cannot add jobs under key "k": it has no jobs/);
  assert.match(refused([spec("a"), spec("a")]), /it has a job "a" already/);
  assert.match(refused([spec("plan")]), /it has a job "plan" already/);
  assert.match(refused([spec("a", { dependsOn: [1] }), spec("b")]), /comes later in the list/);
  assert.match(refused([spec("a", { dependsOn: [0] })]), /comes later in the list/);
  assert.match(refused([spec("a", { dependsOn: [7] })]), /a job depends on number 7 of 1/);
  assert.match(
    refused([spec("a")], { parents: ["nobody"] }), /NOT_FOUND.*no job "nobody" in run/,
  );
  assert.match(
    refused([spec("a")], { before: [{ job: 0, child: "other" }] }), /other has already started/,
  );
  assert.match(
    refused([spec("a", { dependsOn: [1] })], {
      parents: ["report"], before: [{ job: 0, child: "report" }],
    }),
    /cycle/,
  );
  assert.match(why(() => spawn(bench, job, "", [spec("a")])), /the key is empty/);
  assert.match(why(() => spawn(bench, job, "a\nb", [spec("a")])), /has a control character/);
  const many = Array.from({ length: MAX_SPAWN_JOBS + 1 }, (_, n) => spec(`c${n}`));
  assert.match(refused(many), /^LIMIT: .*1001 jobs are more than 1000 at once/);
  bench.memory = { ...NO_ROOM, open: bench.state.bytes + jobsMemory([spec("a")]) };
  assert.match(refused([spec("a")]), /^OVERLOADED/);
  bench.memory = undefined;
  bench.execute({ type: "Cancel", run });
  assert.match(refused([spec("a")]), /CONFLICT.*being cancelled/);
  assert.equal(bench.log.length, length + 1);
  assert.equal(bench.state.runsById.get(run)!.jobs.length, 3);
});

test("of one job the attempt that runs may add jobs, from its worker, and no other one", () => {
  const { bench, job } = running();
  const old = by(job);
  const jobs = [spec("a")];
  const wish: Omit<CommandOf<"Spawn">, "by"> = {
    type: "Spawn", key: "k", jobs, parents: [], before: [], stage: "",
  };
  bench.execute({ type: "Lose", worker: 1, reason: "gone" });
  const zombie = (): string => why(() => bench.execute({ ...wish, by: old }));
  assert.match(zombie(), /CONFLICT.*attempt 1 of .*plan is over, it is PENDING/);
  bench.join({ instance: "j", slots: 4 });
  bench.schedule();
  assert.match(zombie(), /CONFLICT.*attempt 1 of .*plan is over, attempt 2 runs/);
  assert.match(
    why(() => bench.execute({ ...wish, by: { ...by(job), worker: 1 } })), /runs on another worker/,
  );
  assert.match(
    why(() => bench.execute({ type: "Wait", by: old, waits: [forJobs("other")] })), /is over/,
  );
});

test("jobs add jobs down to a depth of 8, and no deeper", () => {
  const bench = new Bench();
  bench.join({ slots: 1 });
  bench.submit([spec("d0")]);
  for (let depth = 0; depth < MAX_SPAWN_DEPTH; depth++) {
    const [job] = bench.schedule();
    spawn(bench, job!, "down", [spec(`d${depth + 1}`)]);
    pause(bench, job!, forJobs(`d${depth + 1}`));
    // Depth is not lost in a snapshot.
    bench.state = readSnapshot(writeSnapshot(bench.state));
  }
  const [last] = bench.schedule();
  assert.equal(last!.spec.id, "d8");
  assert.match(
    why(() => spawn(bench, last!, "down", [spec("d9")])),
    /^LIMIT: .*jobs have added jobs 8 times, down to d8, and no deeper/,
  );
});

test("one job adds jobs a thousand times", () => {
  const { bench, job } = running();
  for (let n = 0; n < MAX_SPAWNS; n++) spawn(bench, job, `k${n}`, [spec(`c${n}`)]);
  assert.match(why(() => spawn(bench, job, "one more", [spec("x")])), /^LIMIT: .*1000 times/);
  assert.equal(spawn(bench, job, "k0", [spec("c0")]).existing, true);
  checkIndexes(bench.state);
});
