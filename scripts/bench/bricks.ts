/** Measurements of single subsystems, in this process: framing, codec, log, replay, dag. */
import { setTimeout as pause } from "node:timers/promises";
import { apply, decide, Event, hashState, nextStart, State, type Command } from "#core";
import { Dag } from "#dag";
import { encodeFrame, FrameDecoder } from "#framing";
import { nodeHost } from "#host";
import { openLog } from "#log";
import type { PipelineSpec, Report } from "#wire";
import { inPlace, jobs, NOOP, pipeline, type Options } from "./programs.ts";
import {
  best, grouped, median, quantile, rate, rowOf, show, timed, timesWithin, type Row,
} from "./table.ts";

export async function framing({ quick }: Options): Promise<Row[]> {
  const row = rowOf("framing");
  const rows: Row[] = [];
  for (const [label, bodyBytes, frames] of [
    ["64 B", 64, quick ? 100_000 : 400_000],
    ["64 KiB", 65_536, quick ? 2000 : 8000],
  ] as const) {
    const frame = encodeFrame({ opcode: 7, requestId: 1, body: Buffer.alloc(bodyBytes, 7) });
    // As a socket delivers them: 64 KiB chunks that care about no boundary.
    const stream = Buffer.concat(Array(Math.ceil((1 << 20) / frame.length)).fill(frame));
    const found = await best(3, () => {
      const decoder = new FrameDecoder();
      let seen = 0;
      const start = performance.now();
      while (seen < frames) {
        for (let at = 0; at < stream.length; at += 65_536) {
          decoder.push(stream.subarray(at, at + 65_536));
          while (decoder.next() !== undefined) seen += 1;
        }
      }
      return (seen / (performance.now() - start)) * 1000;
    });
    rows.push(row(`decode ${label} frames`, [found, "frames/s"]));
    rows.push(row(`decode ${label} frames, bytes`, [(found * frame.length) / 1e9, "GB/s"]));
  }
  const body = Buffer.alloc(64, 7);
  const count = quick ? 100_000 : 400_000;
  const encoded = await best(3, () => rate(count, () => {
    for (let i = 0; i < count; i++) encodeFrame({ opcode: 7, requestId: i, body });
  }));
  return [...rows, row("encode 64 B frames", [encoded, "frames/s"])];
}

export async function codec({ quick }: Options): Promise<Row[]> {
  const row = rowOf("codec");
  const event: Event = {
    type: "JobStarted", run: 12, job: 34_567, attempt: 1, worker: 3, at: 1_790_000_000_000,
  };
  const count = quick ? 200_000 : 1_000_000;
  const bytes = Event.encode(event);
  const nanoseconds = (once: () => void): Promise<number> => best(3, async () => {
    const ms = await timed(() => {
      for (let i = 0; i < count; i++) once();
    });
    return (ms / count) * 1e6;
  }, Math.min);
  const encode = await nanoseconds(() => void Event.encode(event));
  const decode = await nanoseconds(() => void Event.decode(bytes));
  return [
    row("encode an event of 5 integers", [encode, "ns"], { note: `${bytes.length} bytes` }),
    row("decode it", [decode, "ns"]),
  ];
}

export async function log({ quick }: Options): Promise<Row[]> {
  const rows: Row[] = [];
  for (const appenders of [1, 8, 64, 512]) rows.push(await appends(appenders, quick ? 400 : 1500));
  return [...rows, await readBack(quick ? 200_000 : 1_000_000)];
}

const RECORD = Buffer.alloc(64, 1);

function appends(appenders: number, ms: number): Promise<Row> {
  return inPlace(async ({ dir }) => {
    const opened = await openLog({ host: nodeHost(), dir });
    const append = (): Promise<void> => opened.durable(opened.append(RECORD));
    let waits: number[] = [];
    const tookMs = await timed(async () => {
      const all = Array.from({ length: appenders }, () => timesWithin(ms, append));
      waits = (await Promise.all(all)).flat();
    });
    const { fsyncs } = opened.stats;
    await opened.close();
    const name = `append + fsync, ${appenders} appender${appenders === 1 ? "" : "s"}`;
    return rowOf("log")(name, [(waits.length / tookMs) * 1000, "records/s"], {
      note: `${(waits.length / fsyncs).toFixed(1)} records per fsync, p50 ` +
        `${median(waits).toFixed(2)} ms, p99 ${quantile(waits, 0.99).toFixed(2)} ms`,
    });
  });
}

function readBack(count: number): Promise<Row> {
  return inPlace(async ({ dir }) => {
    const opened = await openLog({ host: nodeHost(), dir, durability: "no" });
    for (let i = 0; i < count; i++) {
      opened.append(RECORD);
      if (i % 10_000 === 0) await opened.durable();
    }
    await opened.close();
    const found = await best(3, async () => {
      const again = await openLog({ host: nodeHost(), dir, durability: "no" });
      let seen = 0;
      const result = await rate(count, () => again.replay(() => void (seen += 1)));
      await again.close();
      if (seen !== count) throw new Error(`replayed ${seen} of ${count}`);
      return result;
    });
    return rowOf("log")("read back, 64 B records", [found, "records/s"]);
  });
}

const CONTEXT = { now: 1_790_000_000_000, random: () => 0.5 };

/**
 * A master's life without a socket: everything between the frame and the disk, from submission to
 * the last report.
 */
function life(spec: PipelineSpec, onEvent: (body: Buffer) => void): State {
  const state = new State();
  const commit = (event: Event): void => {
    onEvent(Event.encode(event));
    apply(state, event);
  };
  const give = (command: Command): void => {
    for (const event of decide(state, command, CONTEXT).events) commit(event);
  };
  give({ type: "Join", instance: "bench", name: "", tags: [], slots: 64, version: "" });
  give({ type: "Submit", spec, strict: false });
  for (;;) {
    const running: Report[] = [];
    for (;;) {
      const start = nextStart(state, CONTEXT.now);
      if (start === undefined) break;
      commit(start);
      const { run, job, attempt } = start;
      running.push({ run, job, attempt, failure: undefined, result: undefined, durationMs: 0 });
    }
    if (running.length === 0) return state;
    for (const report of running) give({ type: "Finish", worker: 1, report });
  }
}

export async function core({ quick }: Options): Promise<Row[]> {
  const row = rowOf("core");
  const count = quick ? 20_000 : 100_000;
  const spec = pipeline(jobs(count, NOOP));
  let bodies: Buffer[] = [];
  let hash = "";
  const lived = await best(3, async () => {
    bodies = [];
    let state: State | undefined;
    const found = await rate(count, () => (state = life(spec, (body) => bodies.push(body))));
    hash = hashState(state!);
    return found;
  });
  const replayed = await best(5, async () => {
    const state = new State();
    const found = await rate(bodies.length, () => {
      for (const body of bodies) apply(state, Event.decode(body));
    });
    if (hashState(state) !== hash) throw new Error("the replayed state differs from the live one");
    return found;
  });
  const rows: Row[] = [
    row("submit, decide, apply and encode, per job", [lived, "jobs/s"]),
    row("replay: decode + apply", [replayed, "events/s"], {
      target: { atLeast: 500_000 }, note: `${grouped(bodies.length)} events, equal hash`,
    }),
  ];
  bodies = [];
  return quick ? rows : [...rows, ...(await wholeLives())];
}

/** The same million jobs, in a hundred runs and in one. */
async function wholeLives(): Promise<Row[]> {
  const row = rowOf("core");
  const perJob: number[] = [];
  for (const size of [10_000, 1_000_000]) {
    const spec = pipeline(jobs(size, NOOP));
    const ms = await timed(() => {
      for (let done = 0; done < 1_000_000; done += size) life(spec, () => undefined);
    });
    perJob.push(ms / 1000); // µs per job: ms for a million jobs ÷ 1,000
  }
  const [small, large] = perJob as [number, number];
  return [
    row("a job's whole life, in runs of 10,000", [small, "µs/job"]),
    row("a job's whole life, in a run of 1,000,000", [large, "µs/job"], {
      note: `${(large / small).toFixed(2)} × as much`,
    }),
  ];
}

/**
 * Two parents nearby: the shape of a scientific workflow. Fresh names each round, as submissions
 * have.
 */
function graphNodes(size: number, round: number): { id: string; parents: number[] }[] {
  return Array.from({ length: size }, (_, i) => ({
    id: `job-${round}-${i}`,
    parents: i < 100 ? [] : [i - 100, i - 1 - (i % 97)],
  }));
}

/**
 * Builds and drains graphs of one size, `total` jobs in all, and returns the mean nanoseconds per
 * job. `cold` collects the garbage between the graphs: that leaves nothing in the processor's
 * caches, which is how a submission finds a master that has other work.
 */
function dagCosts(
  size: number, options: { total: number; cold: boolean },
): { build: number; drain: number } {
  const rounds = options.total / size;
  let build = 0;
  let drain = 0;
  for (let round = -1; round < rounds; round++) {
    const nodes = graphNodes(size, round);
    if (options.cold) globalThis.gc?.();
    if (round === 0) build = drain = 0; // the round before it warmed the compiler up
    let start = performance.now();
    const graph = Dag.build(nodes);
    build += performance.now() - start;
    start = performance.now();
    let settled = 0;
    const ready = graph.ready();
    for (let job = ready.pop(); job !== undefined; job = ready.pop()) {
      for (const child of graph.settle(job)) ready.push(child);
      settled += 1;
    }
    drain += performance.now() - start;
    if (settled !== size) throw new Error(`settled ${settled} of ${size}`);
  }
  const perJob = 1e6 / (rounds * size);
  return { build: build * perJob, drain: drain * perJob };
}

export async function dag({ quick }: Options): Promise<Row[]> {
  const row = rowOf("dag");
  const rows: Row[] = [];
  const sizes = quick ? [10_000, 100_000] : [10_000, 100_000, 1_000_000];
  const largest = sizes.at(-1)!;
  const [hot, cold]: [number[], number[]] = [[], []];
  for (const size of sizes) {
    const { build, drain } = dagCosts(size, { total: largest, cold: false });
    const chilled = dagCosts(size, { total: largest, cold: true });
    hot.push(build + drain);
    cold.push(chilled.build + chilled.drain);
    const nodes = graphNodes(size, 0);
    const bytes = (await measureBytes(() => Dag.build(nodes))) / size;
    const label = `${grouped(size)} jobs`;
    const withCold = (ns: number): { note: string } => ({ note: `${show(ns)} with cold caches` });
    rows.push(
      row(`${label}, build`, [build, "ns/job"], withCold(chilled.build)),
      row(`${label}, drain`, [drain, "ns/job"], withCold(chilled.drain)),
      row(`${label}, memory`, [bytes, "B/job"], {
        ...(size === 1_000_000 && { target: { atMost: 700 } }),
      }),
    );
  }
  const ratio = (costs: readonly number[]): number => costs.at(-1)! / costs[0]!;
  const against = `cost per job, ${grouped(largest)} against 10,000`;
  const target = { atMost: 1.3 };
  rows.push(
    row(`${against}, in a loop`, [ratio(hot), "×"], {
      target, note: "small graphs then live in the processor's caches",
    }),
    row(`${against}, cold`, [ratio(cold), "×"], { target }),
  );
  if (quick) return rows;
  const what = "a waiting job in the master (graph, queue and record)";
  return [...rows, row(what, [await waitingBytes(), "B/job"], {
    target: { atMost: 700 }, note: "1,000,000 jobs; without the text of the job itself",
  })];
}

/** Bytes per job that waits in the master. */
async function waitingBytes(): Promise<number> {
  const spec = pipeline(jobs(1_000_000, NOOP));
  const event: Event = {
    type: "RunSubmitted", run: 1, id: "bench-2222", key: undefined, at: 1, spec,
  };
  const bytes = await measureBytes(() => {
    const state = new State();
    apply(state, event);
    return state;
  });
  return bytes / 1_000_000;
}

/**
 * The bytes that the result of `make` keeps alive. Garbage is collected thoroughly on both sides,
 * because typed arrays are freed late.
 */
async function measureBytes(make: () => unknown): Promise<number> {
  const used = async (): Promise<number> => {
    for (let round = 0; round < 4; round++) {
      globalThis.gc?.();
      await pause(20);
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = await used();
  const kept = make();
  const after = await used();
  if (kept === undefined) throw new Error("nothing was made");
  return after - before;
}
