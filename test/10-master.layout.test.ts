/**
 * Jobs lie in memory alike, whether they have had their times or not: V8 is asked itself.
 *
 * A process of its own, in which no job has ended before: after that the question says nothing.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { Bench, retry, spec } from "./10-master.core.ts";

setFlagsFromString("--allow-natives-syntax");
const areAlike = new Function("a", "b", "return %HaveSameMap(a, b)") as (
  a: object, b: object,
) => boolean;

test("the first job that starts, fails and is tried again changes the layout of no other", () => {
  const bench = new Bench();
  bench.join({ slots: 2 });
  const id = bench.submit([
    spec("first", { retry: retry(2) }), spec("other", { dependsOn: [0] }),
  ]);
  const [first, other] = bench.state.runsById.get(id)!.jobs;
  assert.equal(areAlike(first!, other!), true, "both are new");
  const [started] = bench.schedule();
  bench.fail(started!);
  assert.ok(first!.startedAt > 0 && first!.stoppedAt > 0 && first!.dueAt > 0);
  assert.equal(areAlike(first!, other!), true);
  bench.now = first!.dueAt;
  bench.tick(0);
  bench.fail(bench.schedule()[0]!);
  assert.deepEqual([first!.status, other!.status], ["DEAD", "SKIPPED"]);
  const again = bench.state.runsById.get(bench.submit([spec("new"), spec("newer")]))!.jobs;
  assert.equal(areAlike(first!, again[0]!), true);
});
