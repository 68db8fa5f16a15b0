/** The fleet as the loop sees it: which jobs wait for a worker, and which for the next moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualTime } from "#host";
import { Fleet } from "../src/master/fleet.ts";
import { Bench } from "./10-master.core.ts";
import { spec } from "./spec.support.ts";

test("a class is stuck while nobody has room for it, not in the moment before it starts", () => {
  const bench = new Bench();
  const engine = { state: bench.state, context: { now: 0 }, full: undefined };
  const services = { host: new VirtualTime(), engine, workers: { links: new Map() } };
  const fleet = new Fleet({ ...services, stopped: false } as never);
  const seen = () => fleet.look().classes.map(({ jobs, isStuck }) => [jobs, isStuck]);
  bench.submit([spec("a"), spec("b")]);
  assert.deepEqual(seen(), [[2, true]]);
  bench.join();
  assert.deepEqual(seen(), [[2, false]]);
  bench.schedule();
  assert.deepEqual(seen(), [[1, true]]);
});
