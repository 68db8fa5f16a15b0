/**
 * Ten workers of four slots, one of them slow: what each policy makes of the waiting times.
 *
 *     npm run -s try 08/slow-worker [times slower, default 3] [seed, default 42]
 *
 * Time is a number here, so twenty thousand jobs take a moment, and one seed gives one result.
 */
import { MAX_SLOTS, requirementKey, Router } from "#routing";

const SLOWER = Number(process.argv[2] ?? 3);
const SEED = Number(process.argv[3] ?? 42);
const [WORKERS, SLOTS, JOBS] = [10, 4, 20_000];
/** A job takes 100 ms on a healthy worker. Ten workers of four slots could do 400 a second; 240 arrive. */
const [WORK_MS, BETWEEN_MS] = [100, 1000 / 240];
const ANY = requirementKey([]);

interface Job {
  arrivedMs: number;
}

/** mulberry32: seeded fractions, 0 ≤ x < 1. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Which worker a job is sent to. Undefined: it waits at the master until something changes. */
type Choose = () => number | undefined;

const policies: Record<string, (router: Router, random: () => number) => Choose> = {
  random: (_router, random) => () => Math.floor(random() * WORKERS),
  "round robin": () => {
    let next = 0;
    return () => next++ % WORKERS;
  },
  "least connections": (router) => () => router.pick(ANY),
  "least, late binding": (router) => () => router.pick(ANY),
};

function simulate(policy: string): { latencies: number[]; toSlow: number } {
  // The last policy tells the router how many slots there really are; the others may pile jobs up at a worker.
  const router = new Router();
  const slots = policy.endsWith("binding") ? SLOTS : MAX_SLOTS;
  for (let id = 0; id < WORKERS; id++) router.addWorker({ id, tags: [], slots });

  // Two sequences, so that every policy meets the same arrivals.
  const arrivals = randomFrom(SEED);
  const random = randomFrom(SEED + 1);
  const choose = policies[policy]!(router, random);
  const atMaster: Job[] = [];
  const atWorker: Job[][] = Array.from({ length: WORKERS }, () => []);
  const busy = Array.from({ length: WORKERS }, () => 0);
  const ends: { atMs: number; worker: number; job: Job }[] = []; // sorted, the next one last
  const latencies: number[] = [];
  let toSlow = 0;

  const begin = (worker: number, nowMs: number): void => {
    if (busy[worker]! >= SLOTS) return;
    const job = atWorker[worker]!.shift();
    if (job === undefined) return;
    busy[worker]!++;
    const atMs = nowMs + WORK_MS * (worker === 0 ? SLOWER : 1);
    ends.splice(ends.findLastIndex((other) => other.atMs > atMs) + 1, 0, { atMs, worker, job });
  };
  const dispatch = (nowMs: number): void => {
    while (atMaster.length > 0) {
      const worker = choose();
      if (worker === undefined) return;
      router.take(worker);
      if (worker === 0) toSlow++;
      atWorker[worker]!.push(atMaster.shift()!);
      begin(worker, nowMs);
    }
  };
  const finishUntil = (untilMs: number): void => {
    for (let end = ends.at(-1); end !== undefined && end.atMs <= untilMs; end = ends.at(-1)) {
      ends.pop();
      latencies.push(end.atMs - end.job.arrivedMs);
      busy[end.worker]!--;
      router.release(end.worker);
      begin(end.worker, end.atMs);
      dispatch(end.atMs);
    }
  };

  let nowMs = 0;
  for (let i = 0; i < JOBS; i++) {
    nowMs += -Math.log(1 - arrivals()) * BETWEEN_MS; // independent arrivals: exponential gaps
    finishUntil(nowMs);
    atMaster.push({ arrivedMs: nowMs });
    dispatch(nowMs);
  }
  finishUntil(Number.POSITIVE_INFINITY);
  return { latencies: latencies.sort((a, b) => a - b), toSlow };
}

const verb = SLOWER === 1 ? "as fast as the others" : `${SLOWER} times slower`;
console.log(`${WORKERS} workers of ${SLOTS} slots, ${JOBS} jobs, worker 0 is ${verb}, seed ${SEED}\n`);
console.log("latency in ms               p50     p99     max   sent to worker 0");
for (const policy of Object.keys(policies)) {
  const { latencies, toSlow } = simulate(policy);
  const at = (share: number): string => latencies[Math.min(JOBS - 1, Math.floor(share * JOBS))]!.toFixed(0);
  const share = `${((100 * toSlow) / JOBS).toFixed(1)}%`;
  console.log(`${policy.padEnd(24)}${at(0.5).padStart(7)} ${at(0.99).padStart(7)} ${at(1).padStart(7)} ${share.padStart(18)}`);
}
