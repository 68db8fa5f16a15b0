/**
 * Titan as a queue: one run for each job, which is as many submissions, promises and forgotten runs
 * as there are jobs. Master, worker and this process as the client are processes of their own; a
 * run counts when it has ended.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openLog } from "#log";
import type { Client } from "#sdk";
import { removeTreeSync } from "../lib/remove-tree.mjs";
import type { Options } from "./bricks.ts";
import { cpuMs, jobs, NOOP, NOOP_SLOTS, pipeline, withCluster } from "./cluster.ts";
import { quantile, rowOf, type Row } from "./table.ts";

/** Submissions of one client that wait for their answers at a time. */
const IN_FLIGHT = 256;
const ROUND = 5000;
/** Finished runs behind the last round. A slow machine stops earlier. */
const FINISHED = 100_000;
const ROUNDS_MS = 9000;
const ONE_BY_ONE_MS = 2000;

const SPEC = pipeline(jobs(1, NOOP));

export async function queue({ quick }: Options): Promise<Row[]> {
  const row = rowOf("queue");
  const rows: Row[] = [];
  await withCluster(NOOP_SLOTS, async ({ client, master }) => {
    await round(client, 1000); // warm-up, and from here on each new run forgets an old one
    const until = performance.now() + (quick ? ROUNDS_MS / 3 : ROUNDS_MS);
    const rates: number[] = [];
    const cpu: number[] = [];
    do {
      const before = cpuMs(master.pid!);
      rates.push((ROUND / (await round(client, ROUND))) * 1000);
      cpu.push(((cpuMs(master.pid!) - before) * 1000) / ROUND);
    } while (rates.length * ROUND < FINISHED && performance.now() < until);
    rows.push(
      row(
        `single-job runs, ${IN_FLIGHT} in flight, submit to end`,
        [quantile(rates, 0.5), "runs/s"],
        {
          target: { atLeast: 30_000 },
          note:
            `${rates.length} rounds of ${ROUND.toLocaleString("en-US")} (best ` +
            `${Math.round(Math.max(...rates)).toLocaleString("en-US")})`,
        },
      ),
    );
    rows.push(
      row("processor time of the master for one of them", [quantile(cpu, 0.5), "µs"], {
        note:
          `first round ${Math.round(cpu[0]!)}, last round ${Math.round(cpu.at(-1)!)} with ` +
          `${(rates.length * ROUND).toLocaleString("en-US")} finished`,
      }),
    );
    rows.push(...(await oneByOne(client)));
  });
  return rows;
}

/** Submits `count` runs and waits for the end of all. Returns milliseconds. */
async function round(client: Client, count: number): Promise<number> {
  let left = count;
  const start = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (left-- > 0) await client.submitSpec(SPEC);
  }));
  while ((await client.runs()).some((run) => run.status === "RUNNING"));
  return performance.now() - start;
}

/**
 * Each waits for an fsync of its own: by design, it is the promise. So that one is measured beside
 * it.
 */
async function oneByOne(client: Client): Promise<Row[]> {
  const row = rowOf("queue");
  const waits = await repeat(() => client.submitSpec(SPEC));
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const log = await openLog({ host: nodeHost(), dir });
  const body = Buffer.alloc(64, 1);
  const fsyncs = await repeat(() => log.durable(log.append(body)));
  await log.close();
  removeTreeSync(dir);
  return [
    row("one submitted at a time, p50", [quantile(waits, 0.5), "ms"], {
      target: { atMost: 0.8 },
      note: `an append with its fsync alone: ${quantile(fsyncs, 0.5).toFixed(2)} ms`,
    }),
    row("one submitted at a time, p99", [quantile(waits, 0.99), "ms"]),
  ];
}

/** Milliseconds of each of as many as there is time for. */
async function repeat(once: () => Promise<unknown>): Promise<number[]> {
  const waits: number[] = [];
  for (const until = performance.now() + ONE_BY_ONE_MS; performance.now() < until;) {
    const begun = performance.now();
    await once();
    waits.push(performance.now() - begun);
  }
  return waits;
}
