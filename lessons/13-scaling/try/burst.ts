/** 200 jobs at once, and thirteen more that need a GPU: what is done about it, and why. */
import { definePool } from "#scaling";
import { Stage, type Job } from "../fleet.ts";

const burst = (count: number, key: string, runsMs: number): Job[] => Array.from({ length: count }, () => ({ at: 0, key, runsMs }));
const pools = [definePool({ name: "web", slots: 4, max: 100 }), definePool({ name: "gpu", tags: ["GPU"], slots: 2, min: 1, max: 4 })];
const jobs = [...burst(200, "GENERAL", 8000), ...burst(13, "GPU", 20_000)];

const said = new Set<string>();
const stage = new Stage({
  pools,
  jobs,
  startsMs: (_order, pool) => (pool === "gpu" ? 30_000 : 300),
  onPlan: (now, { actions }) => {
    // Fifty workers are drained at one moment for one reason: it is said once.
    const alike = new Map<string, number>();
    for (const { type, pool, reason, ...rest } of actions) {
      const line = `${type.padEnd(6)} ${pool}  ${reason}`;
      alike.set(line, (alike.get(line) ?? 0) + ("count" in rest ? rest.count : 1));
    }
    for (const [line, count] of alike) {
      console.log(`${(now / 1000).toFixed(1).padStart(6)} s  ${String(count).padStart(2)} × ${line}`);
      said.add(line);
    }
  },
});
stage.play(300_000);
console.log(`\n${stage.waits.length} jobs ran; ${stage.size()} worker is left`);
