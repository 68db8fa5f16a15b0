/** Lives in which jobs take durable steps: whatever breaks, no result changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePlan, simulate } from "#simulation";

/** Seeds whose pipelines have steps are those that leave 6 when divided by 9. */
const LIVES = 4;

test("whatever breaks, a step's result stands, and one that must happen once is called once",
  async () => {
    let withSteps = 0;
    for (let life = 0; life < LIVES; life++) {
      const plan = generatePlan(6 + 9 * life);
      if (plan.pipelines.some(({ jobs }) => jobs.some(({ does }) => / steps=/.test(does)))) {
        withSteps += 1;
      }
      const { violation: broken } = await simulate(plan);
      assert.equal(broken, undefined, `seed ${plan.seed}: ${broken?.invariant} ${broken?.message}`);
    }
    assert.equal(withSteps, LIVES);
  });
