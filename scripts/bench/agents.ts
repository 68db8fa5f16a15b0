/**
 * Agents: durable steps, alone and many at once; and jobs that a job adds to its own run, beside
 * another run whose pauses are counted.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "#sdk";
import { removeTreeSync } from "../lib/remove-tree.mjs";
import type { Options } from "./bricks.ts";
import { cpuMs, jobs, NOOP, pipeline, withCluster } from "./cluster.ts";
import { quantile, rowOf, type Row } from "./table.ts";

const SDK = new URL("../../dist/sdk/job.js", import.meta.url).href;
const SLOTS = 4;

const ALONE = 500;
const AT_ONCE = 8000;
const STEPS = `
import { renameSync, writeFileSync } from "node:fs";
import { job } from ${JSON.stringify(SDK)};
const [file, alone, atOnce] = process.argv.slice(2);
const nothing = async () => 1;
for (let i = 0; i < 200; i++) await job.step("warm", i, nothing);
const waits = [];
for (let i = 0; i < Number(alone); i++) {
  const start = performance.now();
  await job.step("alone", i, nothing);
  waits.push(performance.now() - start);
}
const start = performance.now();
await Promise.all(Array.from({ length: Number(atOnce) }, (_, i) => job.step("many", i, nothing)));
const rate = (Number(atOnce) / (performance.now() - start)) * 1000;
writeFileSync(file + ".part", JSON.stringify({ waits, rate }));
renameSync(file + ".part", file);
`;

const ADDED = 10_000;
const BATCH = 100;
/** They wait for the job that adds them, so that none starts while it does. */
const GROW = `
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { job } from ${JSON.stringify(SDK)};
const [file, added, batch, masterPid] = process.argv.slice(2);
const cpuMs = (pid) => {
  const fields = readFileSync("/proc/" + pid + "/stat", "utf8").replace(/^.*\\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
};
const list = (name) => Array.from({ length: Number(batch) }, (_, i) =>
  ({ id: name + "-" + i, command: ["true"], needs: "agent" }));
await job.spawn("warm", list("warm"));
const pids = [process.pid, masterPid];
const before = pids.map(cpuMs);
const keys = Array.from({ length: Number(added) / Number(batch) }, (_, i) => "k" + i);
const start = performance.now();
await Promise.all(keys.map((key) => job.spawn(key, list(key))));
const rate = (Number(added) / (performance.now() - start)) * 1000;
const [own, master] = pids.map((pid, i) => cpuMs(pid) - before[i]);
writeFileSync(file + ".part", JSON.stringify({ rate, own, master }));
renameSync(file + ".part", file);
process.exit(1); // those that were added are skipped
`;

/** Hops of another run: more than there is time for. */
const HOPS = 50_000;
/** So long it is alone first. */
const ALONE_MS = 1000;

export async function agents({ quick }: Options): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  const rounds = quick ? 2 : 5;
  const rows: Row[] = [];
  try {
    await withCluster(SLOTS, async ({ client, master }) => {
      const bench = { client, dir, master: master.pid! };
      rows.push(...(await steps(bench, rounds)), ...(await growth(bench, rounds)));
    });
  } finally {
    removeTreeSync(dir);
  }
  return rows;
}

interface Bench {
  readonly client: Client;
  readonly dir: string;
  readonly master: number;
}

async function steps(bench: Bench, rounds: number): Promise<Row[]> {
  const row = rowOf("agents");
  const [alone, rates, cpu]: number[][] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const before = cpuMs(bench.master);
    const program = await start(bench, STEPS, [ALONE, AT_ONCE]);
    const { waits, rate } = await program.result<{ waits: number[]; rate: number }>();
    alone!.push(quantile(waits, 0.5));
    rates!.push(rate);
    cpu!.push(((cpuMs(bench.master) - before) * 1000) / (ALONE + AT_ONCE));
  }
  return [
    row("durable steps of one job, one at a time, p50", [quantile(alone!, 0.5), "ms"], {
      target: { atMost: 1.5 }, note: `two fsyncs each; ${ALONE} in each of ${rounds} rounds`,
    }),
    row(`durable steps, ${AT_ONCE} at once`, [quantile(rates!, 0.5), "steps/s"], {
      target: { atLeast: 5000 }, note: `best ${Math.round(Math.max(...rates!))}`,
    }),
    row("processor time of the master for one of them", [quantile(cpu!, 0.5), "µs"]),
  ];
}

async function growth(bench: Bench, rounds: number): Promise<Row[]> {
  const row = rowOf("agents");
  const [rates, pauses, before, cpu, own]: number[][] = [[], [], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const chain = new Chain(bench.client);
    await chain.start();
    await new Promise((resolve) => setTimeout(resolve, ALONE_MS));
    before!.push(chain.longestMs());
    const program = await start(bench, GROW, [ADDED, BATCH, bench.master]);
    const result = await program.result<{ rate: number; own: number; master: number }>();
    rates!.push(result.rate);
    own!.push((result.own * 1000) / ADDED);
    cpu!.push((result.master * 1000) / ADDED);
    pauses!.push(chain.longestMs());
    await chain.end();
  }
  const list = (all: readonly number[]): string => all.map((ms) => ms.toFixed(0)).join(" ");
  return [
    row(`${ADDED} jobs added in batches of ${BATCH}`, [quantile(rates!, 0.5), "jobs/s"], {
      target: { atLeast: 50_000 },
      note: `by a job to its own run; best ${Math.round(Math.max(...rates!))}`,
    }),
    row("processor time of the master for one of them", [quantile(cpu!, 0.5), "µs"], {
      note: `it dispatches hops, too; of the program that adds it: ${list(own!)} µs`,
    }),
    row("the longest pause of another run meanwhile", [quantile(pauses!, 0.5), "ms"], {
      target: { atMost: 50 }, note: `${list(pauses!)}; in the second before: ${list(before!)}`,
    }),
  ];
}

/** A run of one program, which writes its result to a file. */
async function start({ client, dir }: Bench, text: string, args: readonly number[]) {
  const [file, program] = [join(dir, "result.json"), join(dir, "program.mjs")];
  rmSync(file, { force: true });
  writeFileSync(program, text);
  const argv = [process.execPath, program, file, ...args.map(String)];
  const [spec] = jobs(1, { type: "command", argv });
  await client.submitSpec(pipeline([{ ...spec!, id: "agent" }]));
  return {
    async result<T>(): Promise<T> {
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5));
      return JSON.parse(readFileSync(file, "utf8")) as T;
    },
  };
}

/** A run of hops, and the longest time between two of them. */
class Chain {
  readonly #client: Client;
  readonly #over = new AbortController();
  #run = "";
  #last = 0;
  #longest = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  async start(): Promise<void> {
    const specs = jobs(HOPS, NOOP, (i) => (i === 0 ? [] : [i - 1]));
    this.#run = (await this.#client.submitSpec(pipeline(specs))).run;
    const events = this.#client.watch(this.#run, { signal: this.#over.signal });
    await new Promise<void>((begun) => {
      void (async () => {
        for await (const event of events) {
          if (event.type !== "job" || event.change.status !== "COMPLETED") continue;
          const now = performance.now();
          if (this.#last === 0) begun();
          else this.#longest = Math.max(this.#longest, now - this.#last);
          this.#last = now;
        }
      })().catch(() => undefined); // it is cancelled
    });
  }

  /** Since the last look. */
  longestMs(): number {
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  async end(): Promise<void> {
    this.#over.abort();
    await this.#client.cancel(this.#run);
  }
}
