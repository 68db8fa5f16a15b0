/**
 * A master that dies with much on its books: from the start of the next process to its first
 * answer, and to the adoption of what its worker has gone on running. 100,000 finished jobs, 10,000
 * live ones, of which 256 run.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "#sdk";
import type { WorkerInfo } from "#wire";
import {
  freePort, inPlace, jobs, NOOP, pipeline, run, untilUp, type Options, type Place,
} from "./programs.ts";
import { grouped, median, rowOf, type Row } from "./table.ts";

const FINISHED = 100_000;
const RUNS = 10;
const LIVE = 10_000;
const RUNNING = 256;

export async function restart({ quick }: Options): Promise<Row[]> {
  const { answered, adopted } = await inPlace((place) => restarts(place, quick ? 1 : 3));
  const row = rowOf("restart");
  return [
    row("killed master, start to first answer", [median(answered), "ms"], {
      target: { atMost: 2000 },
      note: `${grouped(FINISHED)} finished and ${grouped(LIVE)} live jobs, from the log, no ` +
        "snapshot",
    }),
    row(`… to the adoption of ${RUNNING} running attempts`, [median(adopted), "ms"]),
  ];
}

/** Milliseconds from each start to the first answer, and to the adoption of all that runs. */
async function restarts(
  { dir, titan }: Place, rounds: number,
): Promise<{ answered: number[]; adopted: number[] }> {
  const port = await freePort();
  const startMaster = (): ChildProcess =>
    titan("master", "--state", `${dir}/master`, "--port", String(port));
  let master = startMaster();
  let client = await untilUp(port);
  const home = ["--home", `${dir}/worker`];
  titan("worker", "--master", `127.0.0.1:${port}`, "--slots", String(RUNNING), ...home);
  const finished = pipeline(jobs(FINISHED / RUNS, NOOP));
  for (let round = 0; round < RUNS; round++) await run(client, finished);
  const sleepers = pipeline(jobs(LIVE, { type: "command", argv: ["sleep", "300"] }));
  const { run: live } = await client.submitSpec(sleepers);
  while ((await running(client, live)) < RUNNING) await pause(20);
  const [answered, adopted]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    master.kill("SIGKILL");
    await once(master, "exit");
    client.close();
    const begun = performance.now();
    master = startMaster();
    client = await untilUp(port);
    const known = (await client.status(live)).jobs.length;
    answered.push(performance.now() - begun);
    if (known !== LIVE) throw new Error(`the restarted master knows ${known} of ${LIVE} live jobs`);
    while (!(await client.workers()).some(isBusy)) await pause(5);
    adopted.push(performance.now() - begun);
    const again = (await client.status(live)).jobs.filter((job) => job.attempt > 1).length;
    if (again > 0) {
      throw new Error(`${again} jobs were started again, although their worker was there`);
    }
  }
  client.close();
  return { answered, adopted };
}

const isBusy = ({ connected, running }: WorkerInfo): boolean => connected && running === RUNNING;

async function running(client: Client, run: string): Promise<number> {
  return (await client.status(run)).jobs.filter((job) => job.status === "RUNNING").length;
}
