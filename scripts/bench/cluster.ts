/**
 * End to end: a master, a worker and this process as the client, each a process of its own, over
 * loopback, fsync on every commit.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeHost } from "#host";
import { connect, type Client } from "#sdk";
import type { Action, JobSpec } from "#wire";
import { removeTreeSync } from "../lib/remove-tree.mjs";
import type { Options } from "./bricks.ts";
import { quantile, rowOf, type Row } from "./table.ts";

const ROLE = fileURLToPath(new URL("./role.ts", import.meta.url));
export const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
export const NOOP: Action = { type: "call", target: "titan:noop", input: Buffer.alloc(0) };
/** Enough attempts under way to keep the worker busy while their reports are being made durable. */
export const NOOP_SLOTS = 512;

/**
 * More than processors: a slot also waits for its report's fsync, and meanwhile another one's
 * program runs.
 */
const PROCESS_SLOTS = 32;

export async function cluster(options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  await withCluster(NOOP_SLOTS, async ({ client, master, worker }) => {
    rows.push(
      ...(await throughput(client, options)),
      ...(await chain(client, options)),
      ...(await idle({ master, worker }, options)),
    );
  });
  rows.push(...(await processes(options)), await firstJob());
  return rows;
}

async function throughput(client: Client, { quick }: Options): Promise<Row[]> {
  const row = rowOf("cluster");
  const count = quick ? 20_000 : 50_000;
  await run(client, jobs(count, NOOP)); // warm-up
  const rates: number[] = [];
  for (let round = 0; round < (quick ? 2 : 5); round++) {
    rates.push((count / (await run(client, jobs(count, NOOP)))) * 1000);
  }
  return [
    row("no-op call jobs, durable, submit to end", [quantile(rates, 0.5), "jobs/s"], {
      target: { atLeast: 15_000 },
      note:
        `median of ${rates.length} runs of ${count.toLocaleString("en-US")} (best ` +
        `${Math.round(Math.max(...rates)).toLocaleString("en-US")}; the aim is 30,000), ` +
        `${NOOP_SLOTS} slots`,
    }),
  ];
}

async function chain(client: Client, { quick }: Options): Promise<Row[]> {
  const row = rowOf("cluster");
  const count = quick ? 500 : 2000;
  await run(client, jobs(count, NOOP, (i) => (i === 0 ? [] : [i - 1]))); // warm-up
  const hops: number[] = [];
  const submitted = await client.submitSpec(
    pipeline(jobs(count, NOOP, (i) => (i === 0 ? [] : [i - 1]))),
  );
  let last = 0;
  for await (const event of client.watch(submitted.run)) {
    if (event.type !== "job" || event.change.status !== "COMPLETED") continue;
    const now = performance.now();
    if (last !== 0) hops.push(now - last);
    last = now;
  }
  return [
    row("chain, per hop, p50", [quantile(hops, 0.5), "ms"], {
      target: { atMost: 0.6 },
      note: "report → fsync → dispatch → run; one fsync per hop",
    }),
    row("chain, per hop, p99", [quantile(hops, 0.99), "ms"]),
  ];
}

async function processes({ quick }: Options): Promise<Row[]> {
  const row = rowOf("cluster");
  const count = quick ? 1000 : 4000;
  const ratios: number[] = [];
  const ours: number[] = [];
  const theirs: number[] = [];
  await withCluster(PROCESS_SLOTS, async ({ client }) => {
    const specs = jobs(count, { type: "command", argv: ["/bin/true"] });
    await run(client, specs.slice(0, 1000)); // starts the launchers
    // In turns, so that both meet the same neighbours.
    for (let round = 0; round < 5; round++) {
      const titan = (count / (await run(client, specs))) * 1000;
      const xargs = xargsRate(count);
      ours.push(titan);
      theirs.push(xargs);
      ratios.push(titan / xargs);
    }
  });
  return [
    row("/bin/true process jobs, durable", [quantile(ours, 0.5), "jobs/s"], {
      note: `${PROCESS_SLOTS} slots`,
    }),
    row("xargs -n1 -P4 /bin/true in the same run", [quantile(theirs, 0.5), "jobs/s"]),
    row("ratio of the two, pair by pair", [quantile(ratios, 0.5), "×"], {
      target: { atLeast: 0.8 },
      note: `${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}`,
    }),
  ];
}

function xargsRate(count: number): number {
  const input = Array.from({ length: count }, (_, i) => i).join("\n");
  const start = performance.now();
  const { status } = spawnSync("xargs", ["-n1", "-P4", "/bin/true"], { input });
  if (status !== 0) throw new Error(`xargs ended with ${status}`);
  return (count / (performance.now() - start)) * 1000;
}

async function idle(
  roles: { master: ChildProcess; worker: ChildProcess },
  { quick }: Options,
): Promise<Row[]> {
  const row = rowOf("idle");
  const rows: Row[] = [];
  if (!existsSync("/proc/self/stat")) return rows;
  const windowMs = quick ? 2000 : 5000;
  await new Promise((resolve) => setTimeout(resolve, 2500)); // warm launchers retire, buffers go
  const pids = Object.entries(roles).map(([name, child]) => ({ name, pid: child.pid! }));
  const before = pids.map(({ pid }) => cpuMs(pid));
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  pids.forEach(({ name, pid }, index) => {
    const percent = ((cpuMs(pid) - before[index]!) / windowMs) * 100;
    rows.push(
      row(`${name}, CPU`, [percent, "%"], {
        target: { atMost: 1 },
        note: "connected, beating, after the load above",
      }),
    );
    rows.push(row(`${name}, memory after the load`, [rssBytes(pid) / 1e6, "MB RSS"]));
  });
  return rows;
}

/** CPU time in clock ticks of 10 ms, as Linux reports it. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/**
 * From the start of the `titan up` process to the end of a job in its cluster, as somebody else
 * sees it.
 */
async function firstJob(): Promise<Row> {
  const row = rowOf("cluster");
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
    const port = await freePort();
    const start = performance.now();
    const child = spawn(process.execPath, [CLI, "up", "--port", String(port), "--state", dir], {
      stdio: "ignore",
    });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    try {
      const client = await untilUp(port);
      await run(client, jobs(1, NOOP));
      times.push(performance.now() - start);
      client.close();
    } finally {
      child.kill("SIGTERM");
      await exited;
      removeTreeSync(dir);
    }
  }
  return row("`titan up` to the first finished job", [quantile(times, 0.5), "ms"], {
    target: { atMost: 1500 },
  });
}

export async function untilUp(port: number): Promise<Client> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    try {
      return await connect({ host: nodeHost(), master: { host: "127.0.0.1", port } });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

interface Cluster {
  readonly client: Client;
  readonly master: ChildProcess;
  readonly worker: ChildProcess;
}

export async function withCluster(
  slots: number,
  use: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const children: ChildProcess[] = [];
  const role = async (
    ...args: string[]
  ): Promise<{ child: ChildProcess; line: { port: number } }> => {
    const child = spawn(process.execPath, ["--import", "tsx", ROLE, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once("line", resolve);
      child.once("exit", (code) =>
        reject(new Error(`Cannot start the ${args[0]}: it ended with ${code}`)),
      );
    });
    return { child, line: JSON.parse(line) as { port: number } };
  };
  try {
    const { child: master, line } = await role("master", `${dir}/master`);
    const { child: worker } = await role(
      "worker",
      `${dir}/worker`,
      String(line.port),
      String(slots),
    );
    const client = await connect({
      host: nodeHost(),
      master: { host: "127.0.0.1", port: line.port },
    });
    await use({ client, master, worker });
    client.close();
  } finally {
    for (const child of children.reverse()) {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.stdin!.end();
      if (child.exitCode === null) await exited;
    }
    removeTreeSync(dir);
  }
}

/** Submits, watches to the end, and returns the milliseconds that this took. */
export async function run(client: Client, specs: JobSpec[]): Promise<number> {
  const start = performance.now();
  const { run: id } = await client.submitSpec(pipeline(specs));
  let status = "";
  for await (const event of client.watch(id)) if (event.type !== "job") status = event.run.status;
  if (status !== "COMPLETED") throw new Error(`run ${id} ended ${status}`);
  return performance.now() - start;
}

export function pipeline(specs: JobSpec[]) {
  return { name: "bench", version: undefined, project: undefined, jobs: specs };
}

export function jobs(
  count: number,
  action: Action,
  parents: (i: number) => number[] = () => [],
): JobSpec[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `job-${i}`,
    action,
    dependsOn: parents(i),
    requirement: [],
    priority: 1,
    delayMs: 0,
    affinity: undefined,
    when: "success" as const,
    timeoutMs: 0,
    retry: undefined,
    env: {},
    gate: undefined,
  }));
}

export function machine(): string {
  return (
    `Node ${process.version}, ${process.platform} ${process.arch}, ` +
    `${availableParallelism()} cores`
  );
}
