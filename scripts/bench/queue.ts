/**
 * Titan as a queue: one run for each job, which is as many submissions, promises and forgotten runs
 * as there are jobs. A run counts when it has ended.
 */
import { nodeHost } from "#host";
import { openLog } from "#log";
import type { Client } from "#sdk";
import {
  cpuMs, inPlace, jobs, NOOP, NOOP_SLOTS, pipeline, withCluster, type Options,
} from "./programs.ts";
import { grouped, median, quantile, rate, rowOf, timesWithin, type Row } from "./table.ts";

/** Submissions of one client that wait for their answers at a time. */
const IN_FLIGHT = 256;
const ROUND = 5000;
/** Finished runs behind the last round. A slow machine stops earlier. */
const FINISHED = 100_000;
const ROUNDS_MS = 9000;
const ONE_BY_ONE_MS = 2000;

const SPEC = pipeline(jobs(1, NOOP));
const row = rowOf("queue");

export async function queue({ quick }: Options): Promise<Row[]> {
  return withCluster(NOOP_SLOTS, async ({ client, master }) => {
    await round(client, 1000); // warm-up, and from here on each new run forgets an old one
    const until = performance.now() + (quick ? ROUNDS_MS / 3 : ROUNDS_MS);
    const [rates, cpu]: [number[], number[]] = [[], []];
    do {
      const before = cpuMs(master);
      rates.push(await rate(ROUND, () => round(client, ROUND)));
      cpu.push(((cpuMs(master) - before) * 1000) / ROUND);
    } while (rates.length * ROUND < FINISHED && performance.now() < until);
    const best = grouped(Math.max(...rates));
    return [
      row(`single-job runs, ${IN_FLIGHT} in flight, submit to end`, [median(rates), "runs/s"], {
        target: { atLeast: 30_000 },
        note: `${rates.length} rounds of ${grouped(ROUND)} (best ${best})`,
      }),
      row("processor time of the master for one of them", [median(cpu), "µs"], {
        note: `first round ${Math.round(cpu[0]!)}, last round ${Math.round(cpu.at(-1)!)} with ` +
          `${grouped(rates.length * ROUND)} finished`,
      }),
      ...(await oneByOne(client)),
    ];
  });
}

/** Submits `count` runs and waits for the end of all. */
async function round(client: Client, count: number): Promise<void> {
  let left = count;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await client.submitSpec(SPEC);
  }));
  while ((await client.runs()).some((run) => run.status === "RUNNING"));
}

/**
 * Each waits for an fsync of its own: by design, it is the promise. So that one is measured beside
 * it.
 */
async function oneByOne(client: Client): Promise<Row[]> {
  const waits = await timesWithin(ONE_BY_ONE_MS, () => client.submitSpec(SPEC));
  const fsyncs = await inPlace(async ({ dir }) => {
    const log = await openLog({ host: nodeHost(), dir });
    const body = Buffer.alloc(64, 1);
    const times = await timesWithin(ONE_BY_ONE_MS, () => log.durable(log.append(body)));
    await log.close();
    return times;
  });
  return [
    row("one submitted at a time, p50", [median(waits), "ms"], {
      target: { atMost: 0.8 },
      note: `an append with its fsync alone: ${median(fsyncs).toFixed(2)} ms`,
    }),
    row("one submitted at a time, p99", [quantile(waits, 0.99), "ms"]),
  ];
}
