/**
 * A run of one job has no graph until somebody asks. Whenever that is, everything is as if it had
 * one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashState, jobInfo, readSnapshot, writeSnapshot, type Job, type Run } from "#core";
import { Bench, refusal, spec } from "./10-master.core.ts";

/** Ends of a running job, and of one that still waits for its turn. */
const ENDS: Record<string, (bench: Bench, run: Run, job: Job | undefined) => void> = {
  COMPLETED: (bench, _run, job) => void bench.finish(job!),
  FAILED: (bench, _run, job) => void bench.fail(job!),
  CANCELLED: (bench, run) =>
    bench.execute({ type: "Cancel", run: run.id }),
};
const MOMENTS = ["never", "submitted", "started", "ended"] as const;

/** One job's life; the graph is asked for at a moment. Returns the run. */
function live(bench: Bench, options: { end: string; asked: string; starts: boolean }): Run {
  const ask = (moment: string): void => void (options.asked === moment && run.dag.size);
  const run = bench.state.runsById.get(bench.submit([spec("a")]))!;
  assert.equal(run.isAlone, true);
  ask("submitted");
  const [job] = options.starts ? bench.schedule() : [];
  ask("started");
  ENDS[options.end]!(bench, run, job);
  ask("ended");
  return run;
}

test("a run of one job ends the same whenever its graph is asked for, also from a snapshot", () => {
  for (const end of Object.keys(ENDS)) {
    const hashes = new Set<string>();
    for (const asked of MOMENTS) {
      const bench = new Bench();
      if (end !== "CANCELLED") bench.join();
      const run = live(bench, { end, asked, starts: end !== "CANCELLED" });
      hashes.add(hashState(bench.state));
      assert.equal(run.status, end);
      assert.equal(run.isReady(0), false);
      const again = readSnapshot([...writeSnapshot(bench.state)]).runs.get(run.number)!;
      assert.equal(again.isAlone, true, "nobody has asked");
      assert.equal(again.isReady(0), false);
      for (const { dag, jobs } of [run, again]) {
        assert.deepEqual([dag.size, dag.isSettled(0), jobs.length], [1, true, 1]);
      }
    }
    assert.equal(hashes.size, 1, end);
  }
});

test("a run of one job that is retried, or gets more jobs, goes on the same whenever its graph " +
  "is asked for", () => {
  for (const asked of MOMENTS) {
    const bench = new Bench();
    bench.join();
    const run = live(bench, { end: "FAILED", asked, starts: true });
    bench.execute({ type: "Retry", run: run.id, from: undefined });
    assert.deepEqual([run.status, run.isReady(0)], ["RUNNING", true]);
    const add = (id: string): void => {
      const jobs = [spec(id, { dependsOn: [0, 0] })];
      bench.execute({ type: "AddJobs", run: run.id, jobs });
    };
    assert.throws(() => add("a"), refusal("INVALID", /has a job "a" already/));
    add("b");
    assert.equal(run.isAlone, false);
    assert.deepEqual([run.isReady(0), run.isReady(1)], [true, false]);
    assert.deepEqual(bench.drain(), ["a", "b"]);
    assert.deepEqual(bench.statuses(run.id), { a: "COMPLETED", b: "COMPLETED" });
    const parents = run.jobs.map((job) => jobInfo(bench.state, job, bench.now).dependsOn);
    assert.deepEqual(parents, [[], [0]], "each once");
    const again = readSnapshot([...writeSnapshot(bench.state)]);
    assert.equal(hashState(again), hashState(bench.state));
  }
});

test("a job that depends on itself or on nobody's number is refused, also a single one", () => {
  const bench = new Bench();
  assert.throws(() => bench.submit([spec("a", { dependsOn: [0] })]), refusal("INVALID", /itself/));
  assert.throws(
    () => bench.submit([spec("a", { dependsOn: [1] })]),
    refusal("INVALID", /job number 1 of 1/),
  );
  assert.throws(() => bench.submit([spec("")]), refusal("INVALID", /empty id/));
  assert.equal(bench.state.runs.size, 0);
});
