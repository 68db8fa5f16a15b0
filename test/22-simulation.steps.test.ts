/** Lives in which jobs take durable steps: whatever breaks, no result changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePlan, simulate } from "#simulation";

/** Seeds whose pipelines have steps are the multiples of 9. */
const LIVES = 9;

test("whatever breaks, a step's result stands, and one that must happen once is called once",
  async () => {
    let withSteps = 0;
    for (let life = 1; life <= LIVES; life++) {
      const plan = generatePlan(9 * life);
      if (plan.pipelines.some(({ jobs }) => jobs.some(({ does }) => / steps=/.test(does)))) {
        withSteps += 1;
      }
      const { violation: broken } = await simulate(plan);
      assert.equal(broken, undefined, `seed ${plan.seed}: ${broken?.invariant} ${broken?.message}`);
    }
    assert.equal(withSteps, LIVES);
  });

/** In these a run grows and is forked, and the fork adds its jobs again. */
const FORKED = [12, 30];

test("whatever breaks, a fork gives what the run gave of which it is one, also to jobs that are " +
  "added again", async () => {
  for (const seed of FORKED) {
    const { violation: broken, trace } = await simulate(generatePlan(seed));
    assert.equal(broken, undefined, `seed ${seed}: ${broken?.invariant} ${broken?.message}`);
    assert.ok(trace.some((line) => / forks forked-\w+$/.test(line)), `seed ${seed} has forks`);
  }
});
