/** At how many workers must a dispatcher look? */
import { seededRandom } from "#host";
import { TimerHeap } from "#queue";
import { MAX_SLOTS, Router } from "#routing";
import { lab } from "../../scripts/learn/lab-kit.ts";

const [WORKERS, JOBS] = [100, 40_000];
/** A job takes 100 ms, and 90% of what all can do arrives. */
const [WORK_MS, BETWEEN_MS] = [100, 100 / (0.9 * WORKERS)];

await lab({
  title: "Two choices",
  about: `${WORKERS} workers do one job of ${WORK_MS} ms at a time, and nine tenths of what they can do arrives. For each job ` +
    "some workers are drawn by chance, and the one of them with the fewest jobs gets it. The knob is how many are drawn: " +
    "one is random, all are least connections. The first number is the p99 of the latency.",
  knob: "drawn", unit: "workers", least: 1, most: WORKERS, first: 1, solution: 3,
  budget: "a p99 of at most 300 ms, and at most 5 looks for a job",
  why: "The second look is the one that counts: a worker with a long queue must now win against another one, drawn by " +
    "chance. Each further look gives less. Our router looks at the top of a heap instead, and knows the best of all: " +
    "that needs a dispatcher that hears of every job. Where several share the workers and none knows all, two choices are in use.",
  run(drawn) {
    const random = seededRandom(8);
    const router = new Router();
    for (let id = 0; id < WORKERS; id++) router.addWorker({ id, tags: [], slots: MAX_SLOTS });
    const freeAt = new Array<number>(WORKERS).fill(0);
    const ends = new TimerHeap<number>();
    const latencies: number[] = [];
    let looks = 0;
    for (let job = 0; job < JOBS; job++) {
      const now = job * BETWEEN_MS;
      for (let id = ends.popDue(now); id !== undefined; id = ends.popDue(now)) router.release(id);
      let best = Math.floor(WORKERS * random.unit());
      for (let look = 1; look < drawn; look++) {
        const other = drawn === WORKERS ? look : Math.floor(WORKERS * random.unit());
        if (router.running(other) < router.running(best)) best = other;
      }
      looks += drawn;
      router.take(best);
      freeAt[best] = Math.max(now, freeAt[best]!) + WORK_MS;
      ends.push(best, freeAt[best]);
      latencies.push(freeAt[best] - now);
    }
    latencies.sort((a, b) => a - b);
    const p99 = Math.round(latencies[Math.floor(0.99 * JOBS)]!);
    return {
      numbers: [
        { name: "p99", value: p99, unit: "ms" },
        { name: "p50", value: Math.round(latencies[JOBS / 2]!), unit: "ms" },
        { name: "looks for a job", value: looks / JOBS, unit: "" },
      ],
      isWithin: p99 <= 300 && looks / JOBS <= 5,
    };
  },
});
