/** A load that never changes, and the loop that one writes first: jobs wait? start workers. A worker is idle? end it. */
import { definePool, type Observation } from "#scaling";
import { Stage, type Decide, type Job } from "../fleet.ts";

const MINUTES = 10;
/** Every ten seconds twenty files are delivered. Each is four seconds of work, in one slot; and a worker needs five seconds to come. */
const jobs: Job[] = Array.from({ length: MINUTES * 6 * 20 }, (_, i) => ({ at: Math.floor(i / 20) * 10_000, key: "GENERAL", runsMs: 4000 }));
const pools = [definePool({ name: "web", slots: 1, max: 200 })];

/** Looks once a second. */
const naive: Decide = ({ waiting, workers }: Observation, _pools, now) => {
  const count = [...waiting].reduce((sum, { jobs: more }) => sum + more, 0);
  const idle = [...workers].filter(({ busy, state }) => busy === 0 && state === "ready");
  const reason = "";
  return {
    nextAt: now + 1000,
    actions: [
      ...(count > 0 ? [{ type: "start", pool: "web", count, reason } as const] : []),
      ...idle.map(({ id, name }) => ({ type: "drain", pool: "web", worker: id, name, reason }) as const),
      ...idle.map(({ id, name }) => ({ type: "stop", pool: "web", worker: id, name, reason }) as const),
    ],
  };
};

function show(name: string, decide?: Decide): void {
  const stage = new Stage({ pools, jobs, startsMs: 5000, everyMs: 1000, ...(decide && { decide }) });
  const sizes: number[] = [];
  for (let second = 0; second <= 60 * MINUTES; second++) {
    stage.play(second * 1000 + 500);
    sizes.push(stage.size());
  }
  const started = stage.changes.reduce((sum, { by }) => sum + Math.max(0, by), 0);
  const mean = stage.waits.reduce((sum, ms) => sum + ms, 0) / stage.waits.length / 1000;
  console.log(`${name}: workers in each second of half a minute`);
  console.log(`  ${sizes.slice(60, 90).map((size) => String(size).padStart(3)).join("")}`);
  console.log(`  ${started} started in ${MINUTES} minutes; a job waits for ${mean.toFixed(1)} s on average\n`);
}

show("the loop", naive);
show("plan()");
