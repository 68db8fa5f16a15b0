/** A pool whose command has a typing error in it, which is corrected after two minutes. */
import { definePool } from "#scaling";
import { Stage, type Job } from "../fleet.ts";

const jobs: Job[] = Array.from({ length: 20 }, () => ({ at: 0, key: "GENERAL", runsMs: 5000 }));
const pools = [definePool({ name: "cloud", slots: 2, max: 10, startTimeoutMs: 10_000 })];
const stage: Stage = new Stage({
  pools,
  jobs,
  startsMs: () => (stage.now < 120_000 ? Infinity : 2000),
  onPlan: (now, { actions }) => {
    for (const action of actions) {
      if (action.type !== "start") continue;
      console.log(`${(now / 1000).toFixed(1).padStart(6)} s  start ${String(action.count).padStart(2)}  ${action.reason}`);
    }
  },
});
stage.play(180_000);
console.log(`\n${stage.waits.length} of ${jobs.length} jobs ran`);
