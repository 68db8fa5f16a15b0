/** How long may a worker do nothing? */
import { definePool } from "#scaling";
import { lab } from "../../scripts/learn/lab-kit.ts";
import { Stage, type Job } from "./fleet.ts";

const [SECOND_MS, HOUR_MS] = [1000, 3_600_000];
const HOURS = 4;
/** Waves of twenty jobs, a minute apart, each job four seconds; and on the hour nobody for ten minutes. */
const jobs: Job[] = [];
for (let at = 0; at < HOURS * HOUR_MS; at += 60 * SECOND_MS) {
  if (at % HOUR_MS < 600 * SECOND_MS) continue;
  for (let i = 0; i < 20; i++) jobs.push({ at, key: "GENERAL", runsMs: 4000 });
}

await lab({
  title: "Patience",
  about: `A wave of 20 jobs every minute, four seconds each, and a pause of ten minutes every hour, for ${HOURS} hours. The knob is how ` +
    "long a worker may be idle before it is ended. The first number is how many workers are started.",
  knob: "idle", unit: "s", least: 0, most: 3600, first: 10, solution: 60,
  budget: "at most 120 starts, and at most 75 hours of workers",
  why: "An idle time that is shorter than the distance of two waves starts the fleet anew for each. One that is longer than " +
    "the quiet of an hour pays for machines that do nothing. Between the two lies what the load allows.",
  run(idle) {
    const pool = definePool({ name: "web", slots: 1, min: 0, max: 30, idleMs: idle * SECOND_MS, cooldownMs: 0 });
    const stage = new Stage({ pools: [pool], jobs, startsMs: 3000 });
    stage.play(HOURS * HOUR_MS);
    const started = stage.changes.reduce((sum, { by }) => sum + Math.max(0, by), 0);
    const hours = Math.round((10 * stage.rentedMs) / HOUR_MS) / 10;
    return {
      numbers: [
        { name: "workers started", value: started, unit: "" },
        { name: "hours of workers", value: hours, unit: "h" },
      ],
      isWithin: started <= 120 && hours <= 75,
    };
  },
});
