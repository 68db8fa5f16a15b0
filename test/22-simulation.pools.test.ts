/**
 * Chapter 22 with pools: lives in which workers are ordered from a cloud that refuses, forgets,
 * dawdles and loses machines, while the master that orders them dies.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { END_FATES, generatePlan, ORDER_FATES, planLines, simulate } from "#simulation";

/** Lives with pools: see POOL_LIVES. */
const seeds = (count: number): number[] => Array.from({ length: count }, (_, at) => 9 * at + 2);

test("14 lives with pools keep every promise, and all fleets grow and shrink", async () => {
  const seen = { launches: 0, restarts: 0, fates: new Set<string>() };
  for (const seed of seeds(14)) {
    const { violation, stats, trace } = await simulate(generatePlan(seed));
    assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    seen.launches += stats["launches"]!;
    seen.restarts += trace.filter((line) => line.endsWith("m is started again")).length;
    for (const line of trace) {
      const [, fate] = /m (?:orders|ends) p\d-\d+.*: ([\w-]+)$/.exec(line) ?? [];
      if (fate !== undefined) seen.fates.add(fate);
    }
  }
  assert.ok(seen.launches > 40, `${seen.launches} launches`);
  assert.ok(seen.restarts > 8, `${seen.restarts} restarts of a master`);
  assert.deepEqual([...seen.fates].sort(), [...new Set([...ORDER_FATES, ...END_FATES])].sort());
});

test("every ninth life has pools, and the others have none", () => {
  for (let seed = 0; seed < 40; seed++) {
    const plan = generatePlan(seed);
    assert.equal(plan.pools !== undefined, seed % 9 === 2, `seed ${seed}`);
    const isTold = planLines(plan).some((line) => line.startsWith("pool p1: "));
    assert.equal(isTold, plan.pools !== undefined);
  }
});

test("a pool's limits are what generatePlan() promises", () => {
  for (const seed of seeds(100)) {
    for (const { min, max, slots, orders, ends } of generatePlan(seed).pools!) {
      assert.ok(min >= 0 && max > min && slots >= 1 && orders.length >= 1 && ends.length >= 1);
    }
  }
});
