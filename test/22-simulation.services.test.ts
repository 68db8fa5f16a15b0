/**
 * Chapter 22 with services: lives in which they crash, hang, share a port and lose their machines.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePlan, simulate, type Plan } from "#simulation";

/** Lives with services: see SERVICE_LIVES. */
const seeds = (count: number, first = 8): number[] =>
  Array.from({ length: count }, (_, at) => 9 * at + first);

const servicesOf = ({ pipelines }: Plan) =>
  pipelines.flatMap(({ jobs }) => jobs.flatMap(({ service }) => service ?? []));

test("20 lives with services keep every promise, and all that is wanted is READY in the " +
  "end", async () => {
  let restarts = 0;
  for (const seed of seeds(20)) {
    const plan = generatePlan(seed);
    assert.ok(servicesOf(plan).length > 0, `seed ${seed}`);
    const { violation, trace } = await simulate(plan);
    assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    restarts += trace.filter((line) => line.includes(" runs serving-")).length;
  }
  assert.ok(restarts > 40, `${restarts} attempts of services`);
});

test("20 lives with versions of a service keep every promise: some updates are done, and some " +
  "given up", async () => {
  const seen = { UpdateDone: 0, UpdateFailed: 0, ReplicasRetired: 0 };
  for (const seed of seeds(20, 4)) {
    const { violation, trace } = await simulate(generatePlan(seed));
    assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    for (const type of Object.keys(seen) as (keyof typeof seen)[]) {
      seen[type] += trace.filter((line) => line.includes(` ${type} `)).length;
    }
  }
  for (const [type, count] of Object.entries(seen)) assert.ok(count >= 5, `${count} ${type}`);
});

test("in lives with services some workers are too old for them, and never the first", () => {
  let old = 0;
  for (const seed of [...seeds(20), ...seeds(20, 4)]) {
    const { workers: [first, ...others] } = generatePlan(seed);
    assert.equal(first!.isOld, undefined, `seed ${seed}`);
    old += others.filter(({ isOld }) => isOld).length;
  }
  assert.ok(old >= 10, `${old} of them`);
  assert.ok(generatePlan(1).workers.every(({ isOld }) => isOld === undefined));
});

test("two lives of nine have services, and the others have none", () => {
  for (let seed = 0; seed < 40; seed++) {
    const has = servicesOf(generatePlan(seed)).length > 0;
    assert.equal(has, seed % 9 === 8 || seed % 9 === 4, `seed ${seed}`);
  }
});
