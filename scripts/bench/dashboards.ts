/**
 * Dashboards: jobs a second with fifty open Overviews and without, in turns, and what they cost the
 * master while jobs change at a pace. An Overview is an event stream and what the page asks again
 * and again (overviews.ts).
 *
 * People's browsers run on their own machines; here all fifty share the processors of master and
 * worker. So there are two rates: with browsers that take their share of these, and with browsers
 * that yield to everybody (nice 19), of which the master alone is felt. As slow readers they are
 * also told less; what fast ones cost the master is its processor time a job.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Client } from "#sdk";
import {
  cpuMs, freePort, inPlace, jobs, NOOP, pipeline, run, untilUp, type Options,
} from "./programs.ts";
import { median, rate, rowOf, type Row } from "./table.ts";

const PAGES = 50;
const OVERVIEWS = fileURLToPath(new URL("./overviews.ts", import.meta.url));
const JOBS = 20_000;
/** Changes of jobs in a second: each is dispatched, begins and ends. */
const CHANGES = 500;
const CHANGES_OF_JOB = 2;
const TICK_MS = 100;
const PACED_MS = 6000;

export async function dashboards({ quick }: Options): Promise<Row[]> {
  return inPlace(async ({ dir, titan }) => {
    const [port, http] = [await freePort(), await freePort()];
    const at = ["--port", String(port), "--http", String(http), "--state", `${dir}/state`];
    const { pid } = titan("up", "--workers", "1", "--slots", "256", ...at);
    const client = await untilUp(port);
    const rows = await measure(client, { http, master: pid!, rounds: quick ? 3 : 7 });
    client.close();
    return rows;
  });
}

async function measure(
  client: Client, { http, master, rounds }: { http: number; master: number; rounds: number },
): Promise<Row[]> {
  const row = rowOf("dashboards");
  const [without, watched, yielded]: number[][] = [[], [], []];
  const [cpu, cpuWatched]: number[][] = [[], []];
  const load = async (rates: number[], cpuOf: number[]): Promise<void> => {
    const before = cpuMs(master);
    rates.push(await rate(JOBS, () => run(client, pipeline(jobs(JOBS, NOOP)))));
    cpuOf.push(((cpuMs(master) - before) * 1000) / JOBS);
  };
  await load([], []); // warm-up
  for (let round = 0; round < rounds; round++) {
    await load(without!, cpu!);
    const pages = await open(http);
    await load(watched!, cpuWatched!);
    await pages.close();
    const polite = await open(http, { yields: true });
    await load(yielded!, []);
    await polite.close();
  }
  const beside = (rates: number[]): number => median(rates) / median(without!);
  const idle = await paced(client, master);
  const pages = await open(http);
  const busy = await paced(client, master);
  const { requests, bytes } = await pages.close();
  const each = (all: readonly number[]): string => `${median(all).toFixed(1)} µs`;
  return [
    row(`jobs a second with ${PAGES} open Overviews, beside none`, [beside(watched!), "×"], {
      note: `medians of ${rounds} in turns; all of it on this machine`,
    }),
    row("the same, the browsers yield to master and worker", [beside(yielded!), "×"], {
      target: { atLeast: 0.95 }, note: `medians of ${rounds} in turns`,
    }),
    row("the master's processor a job with them, beside none",
      [median(cpuWatched!.map((us, at) => us / cpu![at]!)), "×"], {
        target: { atMost: 1.05 },
        note: `median of pairs; ${each(cpuWatched!)} a job, alone ${each(cpu!)}`,
      }),
    row(`the Overviews, of a processor, at ${CHANGES} changes a second`, [busy - idle, "%"], {
      target: { atMost: 10 },
      note: `${busy.toFixed(1)} %, without them ${idle.toFixed(1)} %; ${requests} requests, ` +
        `${(bytes / 1e6).toFixed(0)} MB`,
    }),
  ];
}

/** Percent of a processor that the master takes while jobs change at the pace. */
async function paced(client: Client, master: number): Promise<number> {
  const count = (CHANGES / CHANGES_OF_JOB / 1000) * TICK_MS;
  const start = performance.now();
  const before = cpuMs(master);
  while (performance.now() - start < PACED_MS) {
    await client.submitSpec(pipeline(jobs(count, NOOP)));
    await pause(TICK_MS);
  }
  return ((cpuMs(master) - before) / (performance.now() - start)) * 100;
}

interface Asked {
  readonly requests: number;
  readonly bytes: number;
}

/** Pages that are open and have been told all there is, until they are closed. */
async function open(
  port: number, { yields = false } = {},
): Promise<{ close(): Promise<Asked> }> {
  const node = [process.execPath, "--import", "tsx", OVERVIEWS, String(port), String(PAGES)];
  const [program, ...args] = yields ? ["nice", "-n", "19", ...node] : node;
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? "");
  await next();
  return {
    async close() {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      const asked = await next() as Asked;
      await exited;
      return asked;
    },
  };
}
