/**
 * A day of load, under four kinds of patience.
 *
 *     npm run -s try 13/day [regular | chance, default regular] [seed, default 13]
 */
import { definePool, type Pool } from "#scaling";
import { randomFrom, reversals, Stage, type Job } from "../fleet.ts";

const CHANCE = process.argv[2] === "chance";
const SEED = Number(process.argv[3] ?? 13);
const [MINUTE_MS, HOUR_MS] = [60_000, 3_600_000];
/** Jobs a minute, by the hour: a night, a morning, a lunch, an afternoon. */
const RATES = [1, 1, 1, 1, 1, 1, 2, 6, 15, 20, 22, 18, 9, 16, 21, 20, 15, 8, 4, 2, 1, 1, 1, 1];

/**
 * A job takes 4 to 20 s. It comes at its time, half a gap earlier or later; or, with chance, whenever it pleases. And a cron brings 24 jobs
 * at once, every hour.
 */
function day(): Job[] {
  const random = randomFrom(SEED);
  const jobs: Job[] = [];
  const add = (at: number): unknown => jobs.push({ at, key: "GENERAL", runsMs: 4000 + Math.floor(16_000 * random()) });
  for (let at = 0; at < 24 * HOUR_MS; ) {
    const gapMs = MINUTE_MS / RATES[Math.floor(at / HOUR_MS)]!;
    at += Math.ceil(gapMs * (CHANCE ? -Math.log(1 - random()) : 0.5 + random()));
    add(at);
  }
  for (let hour = 0; hour < 24; hour++) for (let i = 0; i < 24; i++) add(hour * HOUR_MS);
  return jobs.sort((a, b) => a.at - b.at);
}

const jobs = day();
const rows: [string, Partial<Pool>][] = [
  ["neither", { idleMs: 0, cooldownMs: 0 }],
  ["cooldown only", { idleMs: 0, cooldownMs: 45_000 }],
  ["idle time only", { idleMs: 45_000, cooldownMs: 0 }],
  ["both", {}],
];
const arrive = CHANCE ? "arrive by chance" : "arrive regularly";
console.log(`${jobs.length} jobs in 24 hours ${arrive}; a worker has 2 slots and needs 3 s to come; patience of 45 s\n`);
console.log("                started  ended  too early  worker hours  waited: p99");
for (const [name, patience] of rows) {
  const stage = new Stage({ pools: [definePool({ name: "web", slots: 2, min: 1, max: 20, ...patience })], jobs, startsMs: 3000 });
  stage.play(25 * HOUR_MS);
  const started = stage.changes.reduce((sum, { by }) => sum + Math.max(0, by), 0);
  const ended = stage.changes.reduce((sum, { by }) => sum - Math.min(0, by), 0);
  const waits = stage.waits.sort((a, b) => a - b);
  const p99 = `${(waits[Math.floor(0.99 * waits.length)]! / 1000).toFixed(1)}`;
  const widths = [7, 7, 11, 14, 13];
  const cells = [started, ended, reversals(stage.changes, MINUTE_MS), (stage.rentedMs / HOUR_MS).toFixed(1), p99];
  console.log(name.padEnd(16) + cells.map((cell, i) => String(cell).padStart(widths[i]!)).join(""));
}
