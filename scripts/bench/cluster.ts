/** End to end: jobs that cost nothing, a chain, programs beside xargs, idle roles, a start. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "#sdk";
import {
  chainOf, completions, cpuMs, freePort, inPlace, jobs, NOOP, NOOP_SLOTS, pipeline, rssMb, run,
  untilUp, withCluster, type Options,
} from "./programs.ts";
import { grouped, median, quantile, rate, rowOf, timed, type Row } from "./table.ts";

/**
 * More than processors: a slot also waits for its report's fsync, and meanwhile another one's
 * program runs.
 */
const PROCESS_SLOTS = 32;

const row = rowOf("cluster");

export async function cluster(options: Options): Promise<Row[]> {
  const rows = await withCluster(NOOP_SLOTS, async ({ client, master, worker }) => [
    await throughput(client, options),
    ...(await chain(client, options)),
    ...(await idle({ master, worker }, options)),
  ]);
  return [...rows, ...(await processes(options)), await firstJob()];
}

async function throughput(client: Client, { quick }: Options): Promise<Row> {
  const count = quick ? 20_000 : 50_000;
  const spec = pipeline(jobs(count, NOOP));
  await run(client, spec); // warm-up
  const rates: number[] = [];
  for (let round = 0; round < (quick ? 2 : 5); round++) {
    rates.push(await rate(count, () => run(client, spec)));
  }
  return row("no-op call jobs, durable, submit to end", [median(rates), "jobs/s"], {
    target: { atLeast: 15_000 },
    note: `median of ${rates.length} runs of ${grouped(count)} (best ` +
      `${grouped(Math.max(...rates))}; the aim is 30,000), ${NOOP_SLOTS} slots`,
  });
}

async function chain(client: Client, { quick }: Options): Promise<Row[]> {
  const spec = chainOf(quick ? 500 : 2000);
  await run(client, spec); // warm-up
  const hops: number[] = [];
  let last: number | undefined;
  for await (const now of completions(client, (await client.submitSpec(spec)).run)) {
    if (last !== undefined) hops.push(now - last);
    last = now;
  }
  return [
    row("chain, per hop, p50", [median(hops), "ms"], {
      target: { atMost: 0.6 }, note: "report → fsync → dispatch → run; one fsync per hop",
    }),
    row("chain, per hop, p99", [quantile(hops, 0.99), "ms"]),
  ];
}

async function processes({ quick }: Options): Promise<Row[]> {
  const count = quick ? 1000 : 4000;
  const [ours, theirs]: [number[], number[]] = [[], []];
  await withCluster(PROCESS_SLOTS, async ({ client }) => {
    const specs = jobs(count, { type: "command", argv: ["/bin/true"] });
    await run(client, pipeline(specs.slice(0, 1000))); // starts the launchers
    // In turns, so that both meet the same neighbours.
    for (let round = 0; round < 5; round++) {
      ours.push(await rate(count, () => run(client, pipeline(specs))));
      theirs.push(await rate(count, () => xargs(count)));
    }
  });
  const ratios = ours.map((titan, round) => titan / theirs[round]!);
  return [
    row("/bin/true process jobs, durable", [median(ours), "jobs/s"], {
      note: `${PROCESS_SLOTS} slots`,
    }),
    row("xargs -n1 -P4 /bin/true in the same run", [median(theirs), "jobs/s"]),
    row("ratio of the two, pair by pair", [median(ratios), "×"], {
      target: { atLeast: 0.8 }, note: ratios.map((ratio) => ratio.toFixed(2)).join(" "),
    }),
  ];
}

function xargs(count: number): void {
  const input = Array.from({ length: count }, (_, i) => i).join("\n");
  const { status } = spawnSync("xargs", ["-n1", "-P4", "/bin/true"], { input });
  if (status !== 0) throw new Error(`xargs ended with ${status}`);
}

async function idle(pids: Readonly<Record<string, number>>, { quick }: Options): Promise<Row[]> {
  if (!existsSync("/proc/self/stat")) return [];
  const idleRow = rowOf("idle");
  const windowMs = quick ? 2000 : 5000;
  await pause(2500); // warm launchers retire, buffers go
  const before = Object.entries(pids).map(([name, pid]) => ({ name, pid, ms: cpuMs(pid) }));
  await pause(windowMs);
  return before.flatMap(({ name, pid, ms }) => [
    idleRow(`${name}, CPU`, [((cpuMs(pid) - ms) / windowMs) * 100, "%"], {
      target: { atMost: 1 }, note: "connected, beating, after the load above",
    }),
    idleRow(`${name}, memory after the load`, [rssMb(pid), "MB RSS"]),
  ]);
}

/** From the start of the process to the end of a job in its cluster, as somebody else sees it. */
async function firstJob(): Promise<Row> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    await inPlace(async ({ dir, titan }) => {
      const port = await freePort();
      times.push(await timed(async () => {
        titan("up", "--port", String(port), "--state", `${dir}/state`);
        const client = await untilUp(port);
        await run(client, pipeline(jobs(1, NOOP)));
        client.close();
      }));
    });
  }
  return row("`titan up` to the first finished job", [median(times), "ms"], {
    target: { atMost: 1500 },
  });
}
