/**
 * Agents: durable steps, alone and many at once; and jobs that a job adds to its own run, beside
 * another run whose pauses are counted.
 *
 * In a cluster the job that adds them runs on a machine of its own. Here it takes the processors
 * that master and worker need for the other run, too. So the pauses are counted twice: beside a job
 * that takes its share, and beside one that yields to everybody (nice 19), of which the master
 * feels only what it asks.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "#sdk";
import type { Histogram } from "#wire";
import {
  chainOf, cpuMs, inPlace, jobs, pipeline, withCluster, type Options,
} from "./programs.ts";
import { median, rowOf, type Row } from "./table.ts";

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
import { setPriority } from "node:os";
import { job } from ${JSON.stringify(SDK)};
const [file, added, batch, masterPid, yields] = process.argv.slice(2);
if (yields === "true") {
  setPriority(19);
  try {
    // Linux may weigh sessions, and a job has one of its own.
    writeFileSync("/proc/self/autogroup", "19");
  } catch {}
}
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

const row = rowOf("agents");

interface Bench {
  readonly client: Client;
  readonly dir: string;
  /** Its process. */
  readonly master: number;
}

export async function agents({ quick }: Options): Promise<Row[]> {
  const rounds = quick ? 2 : 5;
  return inPlace(({ dir }) => withCluster(SLOTS, async ({ client, master }) => {
    const bench = { client, dir, master };
    return [...(await steps(bench, rounds)), ...(await growth(bench, rounds))];
  }));
}

async function steps(bench: Bench, rounds: number): Promise<Row[]> {
  const [alone, rates, cpu]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const before = cpuMs(bench.master);
    const { waits, rate } = await resultOf<{ waits: number[]; rate: number }>(
      bench, STEPS, [ALONE, AT_ONCE],
    );
    alone.push(median(waits));
    rates.push(rate);
    cpu.push(((cpuMs(bench.master) - before) * 1000) / (ALONE + AT_ONCE));
  }
  return [
    row("durable steps of one job, one at a time, p50", [median(alone), "ms"], {
      target: { atMost: 1.5 }, note: `two fsyncs each; ${ALONE} in each of ${rounds} rounds`,
    }),
    row(`durable steps, ${AT_ONCE} at once`, [median(rates), "steps/s"], {
      target: { atLeast: 5000 }, note: `best ${Math.round(Math.max(...rates))}`,
    }),
    row("processor time of the master for one of them", [median(cpu), "µs"]),
  ];
}

interface Grown {
  /** Of each round. */
  readonly rates: number[];
  readonly masterUs: number[];
  readonly ownUs: number[];
  readonly pauses: number[];
  /** What else there was: as a watcher saw them, how it was before, and how slow the disk was. */
  readonly beside: string;
}

async function growth(bench: Bench, rounds: number): Promise<Row[]> {
  const shared = await grow(bench, rounds, { yields: false });
  const yielding = await grow(bench, rounds, { yields: true });
  return [
    row(`${ADDED} jobs added in batches of ${BATCH}`, [median(shared.rates), "jobs/s"], {
      target: { atLeast: 50_000 },
      note: `by a job to its own run; best ${Math.round(Math.max(...shared.rates))}; ` +
        `by one that yields ${Math.round(median(yielding.rates))}`,
    }),
    row("processor time of the master for one of them", [median(shared.masterUs), "µs"], {
      note: `it dispatches hops, too; of the program that adds it: ${inMs(shared.ownUs)} µs`,
    }),
    pausesOf("the longest pause of another run meanwhile", shared),
    pausesOf("the same, the job that adds them yields", yielding),
  ];
}

function pausesOf(what: string, { pauses, beside }: Grown): Row {
  const note = `the longest of ${inMs(pauses)}; ${beside}`;
  return row(what, [Math.max(...pauses), "ms"], { target: { atMost: 50 }, note });
}

const inMs = (all: readonly number[]): string => all.map((ms) => ms.toFixed(0)).join(" ");

async function grow(bench: Bench, rounds: number, { yields }: { yields: boolean }): Promise<Grown> {
  const [rates, masterUs, ownUs, pauses, seen, before]: number[][] = [[], [], [], [], [], []];
  const syncs: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const chain = await startChain(bench.client);
    await pause(ALONE_MS);
    before!.push(chain.longest().ms);
    const { synced } = await bench.client.metrics();
    const result = await resultOf<{ rate: number; own: number; master: number }>(
      bench, GROW, [ADDED, BATCH, bench.master, yields],
    );
    rates!.push(result.rate);
    ownUs!.push((result.own * 1000) / ADDED);
    masterUs!.push((result.master * 1000) / ADDED);
    const { ms, seenMs } = chain.longest();
    pauses!.push(ms);
    seen!.push(seenMs);
    syncs.push(slowest(synced, (await bench.client.metrics()).synced));
    await chain.end();
  }
  const beside = `as a watcher is told: ${inMs(seen!)}; in the second before: ${inMs(before!)}; ` +
    `the slowest fsync, of which a hop has one: ${syncs.join(" ")} ms`;
  return { rates: rates!, masterUs: masterUs!, ownUs: ownUs!, pauses: pauses!, beside };
}

/** The longest that something took between two looks, as the histogram knows it: "5-10". */
function slowest(before: Histogram, after: Histogram): string {
  const at = after.counts.findLastIndex((count, index) => count > before.counts[index]!);
  const bounds = [0, ...after.boundsUs].map((us) => us / 1000);
  return at < 0 ? "-" : `${bounds[at]}-${bounds[at + 1] ?? ""}`;
}

/** What a program, which runs as a job, has written to its file. */
async function resultOf<T>(
  { client, dir }: Bench, text: string, args: readonly (number | boolean)[],
): Promise<T> {
  const [file, program] = [join(dir, "result.json"), join(dir, "program.mjs")];
  rmSync(file, { force: true });
  writeFileSync(program, text);
  const argv = [process.execPath, program, file, ...args.map(String)];
  const [spec] = jobs(1, { type: "command", argv });
  await client.submitSpec(pipeline([{ ...spec!, id: "agent" }]));
  while (!existsSync(file)) await pause(5);
  return JSON.parse(readFileSync(file, "utf8")) as T;
}

/** The longest time between two hops, by the clock of the master, and as a watcher is told. */
interface Longest {
  readonly ms: number;
  readonly seenMs: number;
}

interface Chain {
  /** Since the last look. */
  longest(): Longest;
  end(): Promise<void>;
}

/** When each hop ended, and when we were told. */
async function* endsOf(
  client: Client, run: string, signal: AbortSignal,
): AsyncGenerator<{ at: number; seen: number }> {
  for await (const event of client.watch(run, { signal })) {
    if (event.type !== "job" || event.change.status !== "COMPLETED") continue;
    yield { at: event.change.at, seen: performance.now() };
  }
}

/** Starts a run of hops, and resolves with the first of them. */
async function startChain(client: Client): Promise<Chain> {
  const { run } = await client.submitSpec(chainOf(HOPS));
  const over = new AbortController();
  const hops = endsOf(client, run, over.signal);
  let last = (await hops.next()).value as { at: number; seen: number };
  let longest = { ms: 0, seenMs: 0 };
  void (async () => {
    for await (const hop of hops) {
      const [ms, seenMs] = [hop.at - last.at, hop.seen - last.seen];
      longest = { ms: Math.max(longest.ms, ms), seenMs: Math.max(longest.seenMs, seenMs) };
      last = hop;
    }
  })().catch(() => undefined); // it is cancelled
  return {
    longest() {
      const found = longest;
      longest = { ms: 0, seenMs: 0 };
      return found;
    },
    async end() {
      over.abort();
      await client.cancel(run);
    },
  };
}
