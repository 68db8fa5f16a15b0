/** Measurements of single subsystems, in this process: framing, codec, log, replay, dag. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apply, decide, Event, hashState, nextStart, State, type Command } from "#core";
import { Dag } from "#dag";
import { encodeFrame, FrameDecoder } from "#framing";
import { nodeHost } from "#host";
import { openLog } from "#log";
import type { JobSpec, PipelineSpec, Report } from "#wire";
import { best, quantile, rowOf, show, type Row } from "./table.ts";

export interface Options {
  readonly quick: boolean;
}

export async function framing({ quick }: Options): Promise<Row[]> {
  const row = rowOf("framing");
  const rows: Row[] = [];
  for (const [label, bodyBytes, frames] of [
    ["64 B", 64, quick ? 100_000 : 400_000],
    ["64 KiB", 65_536, quick ? 2000 : 8000],
  ] as const) {
    const frame = encodeFrame({ opcode: 7, requestId: 1, body: Buffer.alloc(bodyBytes, 7) });
    // As a socket delivers them: 64 KiB chunks that care about no boundary.
    const stream = Buffer.concat(
      Array.from({ length: Math.ceil((1 << 20) / frame.length) }, () => frame),
    );
    const rate = await best(3, () => {
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
    rows.push(row(`decode ${label} frames`, [rate, "frames/s"]));
    rows.push(row(`decode ${label} frames, bytes`, [(rate * frame.length) / 1e9, "GB/s"]));
  }
  const body = Buffer.alloc(64, 7);
  const encoded = await best(3, () => {
    const count = quick ? 100_000 : 400_000;
    const start = performance.now();
    for (let i = 0; i < count; i++) encodeFrame({ opcode: 7, requestId: i, body });
    return (count / (performance.now() - start)) * 1000;
  });
  rows.push(row("encode 64 B frames", [encoded, "frames/s"]));
  return rows;
}

export async function codec({ quick }: Options): Promise<Row[]> {
  const row = rowOf("codec");
  const event: Event = {
    type: "JobStarted",
    run: 12,
    job: 34_567,
    attempt: 1,
    worker: 3,
    at: 1_790_000_000_000,
  };
  const count = quick ? 200_000 : 1_000_000;
  const bytes = Event.encode(event);
  const per = (fn: () => void) => best(3, () => {
    const start = performance.now();
    for (let i = 0; i < count; i++) fn();
    return ((performance.now() - start) / count) * 1e6;
  }, Math.min);
  return [
    row("encode an event of 5 integers", [await per(() => void Event.encode(event)), "ns"], {
      note: `${bytes.length} bytes`,
    }),
    row("decode it", [await per(() => void Event.decode(bytes)), "ns"]),
  ];
}

export async function log({ quick }: Options): Promise<Row[]> {
  const row = rowOf("log");
  const rows: Row[] = [];
  const body = Buffer.alloc(64, 1);
  for (const appenders of [1, 8, 64, 512]) {
    await inTemp(async (dir) => {
      const opened = await openLog({ host: nodeHost(), dir });
      const deadline = performance.now() + (quick ? 400 : 1500);
      const waits: number[] = [];
      let appended = 0;
      const start = performance.now();
      await Promise.all(Array.from({ length: appenders }, async () => {
        while (performance.now() < deadline) {
          const begun = performance.now();
          await opened.durable(opened.append(body));
          waits.push(performance.now() - begun);
          appended += 1;
        }
      }));
      const seconds = (performance.now() - start) / 1000;
      const { fsyncs } = opened.stats;
      rows.push(
        row(
          `append + fsync, ${appenders} appender${appenders === 1 ? "" : "s"}`,
          [appended / seconds, "records/s"],
          {
            note:
              `${(appended / fsyncs).toFixed(1)} records per fsync, p50 ` +
              `${quantile(waits, 0.5).toFixed(2)} ms, p99 ${quantile(waits, 0.99).toFixed(2)} ms`,
          },
        ),
      );
      await opened.close();
    });
  }
  await inTemp(async (dir) => {
    const count = quick ? 200_000 : 1_000_000;
    const opened = await openLog({ host: nodeHost(), dir, durability: "no" });
    for (let i = 0; i < count; i++) {
      opened.append(body);
      if (i % 10_000 === 0) await opened.durable();
    }
    await opened.close();
    const rate = await best(3, async () => {
      const again = await openLog({ host: nodeHost(), dir, durability: "no" });
      let seen = 0;
      const start = performance.now();
      await again.replay(() => void (seen += 1));
      const ms = performance.now() - start;
      await again.close();
      if (seen !== count) throw new Error(`replayed ${seen} of ${count}`);
      return (seen / ms) * 1000;
    });
    rows.push(row("read back, 64 B records", [rate, "records/s"]));
  });
  return rows;
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
  const spec = { name: "bench", version: undefined, project: undefined, jobs: wide(count) };
  let bodies: Buffer[] = [];
  let hash = "";
  const lived = await best(3, () => {
    bodies = [];
    const start = performance.now();
    const state = life(spec, (body) => bodies.push(body));
    const ms = performance.now() - start;
    hash = hashState(state);
    return (count / ms) * 1000;
  });
  const replayed = await best(5, () => {
    const start = performance.now();
    const state = new State();
    for (const body of bodies) apply(state, Event.decode(body));
    const ms = performance.now() - start;
    if (hashState(state) !== hash) throw new Error("the replayed state differs from the live one");
    return (bodies.length / ms) * 1000;
  });
  const rows: Row[] = [
    row("submit, decide, apply and encode, per job", [lived, "jobs/s"]),
    row("replay: decode + apply", [replayed, "events/s"], {
      target: { atLeast: 500_000 },
      note: `${bodies.length.toLocaleString("en-US")} events, equal hash`,
    }),
  ];
  bodies = [];
  if (!quick) {
    // The same million jobs, in a hundred runs and in one.
    const perJob = [10_000, 1_000_000].map((size) => {
      const jobs = wide(size);
      const start = performance.now();
      for (let done = 0; done < 1_000_000; done += size) life({ ...spec, jobs }, () => undefined);
      return (performance.now() - start) / 1000; // µs per job: ms for a million jobs ÷ 1,000
    });
    rows.push(row("a job's whole life, in runs of 10,000", [perJob[0]!, "µs/job"]));
    rows.push(
      row("a job's whole life, in a run of 1,000,000", [perJob[1]!, "µs/job"], {
        note: `${(perJob[1]! / perJob[0]!).toFixed(2)} × as much`,
      }),
    );
  }
  return rows;
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
  size: number,
  options: { total: number; cold: boolean },
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
  const [hot, cold] = [new Map<number, number>(), new Map<number, number>()];
  for (const size of sizes) {
    const { build, drain } = dagCosts(size, { total: largest, cold: false });
    const chilled = dagCosts(size, { total: largest, cold: true });
    hot.set(size, build + drain);
    cold.set(size, chilled.build + chilled.drain);
    const nodes = graphNodes(size, 0);
    const bytes = (await measureBytes(() => Dag.build(nodes))) / size;
    const label = `${size.toLocaleString("en-US")} jobs`;
    rows.push(
      row(`${label}, build`, [build, "ns/job"], {
        note: `${show(chilled.build)} with cold caches`,
      }),
    );
    rows.push(
      row(`${label}, drain`, [drain, "ns/job"], {
        note: `${show(chilled.drain)} with cold caches`,
      }),
    );
    rows.push(
      row(`${label}, memory`, [bytes, "B/job"], {
        ...(size === 1_000_000 ? { target: { atMost: 700 } } : {}),
      }),
    );
  }
  const ratio = (costs: Map<number, number>): number => costs.get(largest)! / costs.get(sizes[0]!)!;
  const against = `cost per job, ${largest.toLocaleString("en-US")} against 10,000`;
  rows.push(
    row(`${against}, in a loop`, [ratio(hot), "×"], {
      target: { atMost: 1.3 },
      note: "small graphs then live in the processor's caches",
    }),
  );
  rows.push(row(`${against}, cold`, [ratio(cold), "×"], { target: { atMost: 1.3 } }));
  if (!quick) {
    const note = "1,000,000 jobs; without the text of the job itself";
    const what = "a waiting job in the master (graph, queue and record)";
    rows.push(row(what, [await waitingBytes(), "B/job"], { target: { atMost: 700 }, note }));
  }
  return rows;
}

/** Bytes per job that waits in the master. */
async function waitingBytes(): Promise<number> {
  const spec = { name: "bench", version: undefined, project: undefined, jobs: wide(1_000_000) };
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
      await new Promise((resolve) => setTimeout(resolve, 20));
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

function wide(count: number): JobSpec[] {
  const action = { type: "call" as const, target: "titan:noop", input: Buffer.alloc(0) };
  const env = {};
  return Array.from({ length: count }, (_, i) => ({
    id: `job-${i}`,
    action,
    dependsOn: [],
    requirement: [],
    priority: 1,
    delayMs: 0,
    affinity: undefined,
    when: "success",
    timeoutMs: 0,
    retry: undefined,
    env,
    gate: undefined,
  }));
}

async function inTemp(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-"));
  try {
    await run(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
