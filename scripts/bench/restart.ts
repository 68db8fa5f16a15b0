/**
 * A master that dies with much on its books: from the start of the next process to its first
 * answer, and to the adoption of what its worker has gone on running. 100,000 finished jobs, 10,000
 * live ones, of which 256 run.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "#sdk";
import type { Options } from "./bricks.ts";
import { CLI, freePort, jobs, NOOP, pipeline, run, untilUp } from "./cluster.ts";
import { quantile, type Row } from "./table.ts";

const FINISHED = 100_000;
const RUNS = 10;
const LIVE = 10_000;
const RUNNING = 256;

export async function restart({ quick }: Options): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const port = await freePort();
  const children = new Set<ChildProcess>();
  const start = (...args: string[]): ChildProcess => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: "ignore" });
    children.add(child.once("exit", () => children.delete(child)));
    return child;
  };
  const startMaster = (): ChildProcess =>
    start("master", "--state", `${dir}/master`, "--port", String(port));
  try {
    let master = startMaster();
    let client = await untilUp(port);
    start(
      "worker",
      "--master",
      `127.0.0.1:${port}`,
      "--slots",
      String(RUNNING),
      "--home",
      `${dir}/worker`,
    );
    for (let round = 0; round < RUNS; round++) await run(client, jobs(FINISHED / RUNS, NOOP));
    const live = (
      await client.submitSpec(pipeline(jobs(LIVE, { type: "command", argv: ["sleep", "300"] })))
    ).run;
    await running(client, live);
    const answered: number[] = [];
    const adopted: number[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const gone = new Promise((resolve) => master.once("exit", resolve));
      master.kill("SIGKILL");
      await gone;
      client.close();
      const begun = performance.now();
      master = startMaster();
      client = await untilUp(port);
      const counts = (await client.status(live)).jobs.length;
      answered.push(performance.now() - begun);
      if (counts !== LIVE) {
        throw new Error(`the restarted master knows ${counts} of ${LIVE} live jobs`);
      }
      while (
        !(await client.workers()).some((worker) => worker.connected && worker.running === RUNNING)
      ) {
        await pause(5);
      }
      adopted.push(performance.now() - begun);
      const again = (await client.status(live)).jobs.filter((job) => job.attempt > 1);
      if (again.length > 0) {
        throw new Error(
          `${again.length} jobs were started again, although their worker was there all the time`,
        );
      }
    }
    client.close();
    return [
      {
        group: "restart",
        name: "killed master, start to first answer",
        value: quantile(answered, 0.5),
        unit: "ms",
        target: { atMost: 2000 },
        note:
          `${FINISHED.toLocaleString("en-US")} finished and ${LIVE.toLocaleString("en-US")} ` +
          "live jobs, from the log, no snapshot",
      },
      {
        group: "restart",
        name: `… to the adoption of ${RUNNING} running attempts`,
        value: quantile(adopted, 0.5),
        unit: "ms",
      },
    ];
  } finally {
    const ends = [...children].map(
      (child) => new Promise((resolve) => child.once("exit", resolve)),
    );
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ends);
    // The reaper ends the jobs, a moment later.
    await pause(300);
    rmSync(dir, { recursive: true, force: true });
  }
}

async function running(client: Client, run: string): Promise<void> {
  for (;;) {
    const { jobs } = await client.status(run);
    if (jobs.filter((job) => job.status === "RUNNING").length === RUNNING) return;
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
