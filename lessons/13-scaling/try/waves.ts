/** Waves that are slower than the idle time: ten jobs at once, again and again, and how often the fleet turns for them. */
import { definePool } from "#scaling";
import { Stage, turns, type Job } from "../fleet.ts";

const HOURS = 6;
const [SECOND_MS, HOUR_MS] = [1000, 3_600_000];

console.log(`turns in ${HOURS} hours: from growing to shrinking, or back\n`);
console.log("a wave every    waves   idle 45 s   and a cooldown of 10 min");
for (const seconds of [10, 30, 50, 60, 120, 300]) {
  const count = (HOURS * HOUR_MS) / (seconds * SECOND_MS);
  const jobs: Job[] = Array.from({ length: 10 * count }, (_, i) => {
    return { at: Math.floor(i / 10) * seconds * SECOND_MS, key: "GENERAL", runsMs: 5000 };
  });
  const cells = [undefined, 600 * SECOND_MS].map((cooldownMs) => {
    const pool = definePool({ name: "web", slots: 1, max: 50, ...(cooldownMs && { cooldownMs }) });
    const stage = new Stage({ pools: [pool], jobs, startsMs: 2000 });
    stage.play(HOURS * HOUR_MS);
    return turns(stage.changes);
  });
  console.log(`${String(seconds).padStart(9)} s ${String(count).padStart(10)} ${String(cells[0]).padStart(11)} ${String(cells[1]).padStart(26)}`);
}
