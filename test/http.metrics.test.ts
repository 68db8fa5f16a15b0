/** What the master measures, and its text: read by the format's grammar. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimWorld } from "#simhost";
import { LoopLag } from "../src/http/lag.ts";
import { metricsText } from "../src/http/metrics.ts";
import { pipeline, report, Room, spec } from "./10-master.support.ts";
import { scene } from "./http.events.support.ts";
import "./leaks.support.ts";

interface Family {
  readonly help: string;
  readonly type: string;
  /** By the name of the sample and its labels as they stand. */
  readonly samples: Map<string, number>;
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  assert.match(text, /\n$/);
  let help: RegExpExecArray | null = null;
  let open = "";
  for (const line of text.slice(0, -1).split("\n")) {
    if (line.startsWith("# HELP ")) {
      help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$/.exec(line);
      assert.ok(help, line);
      continue;
    }
    if (line.startsWith("# TYPE ")) {
      const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line)!;
      assert.equal(name, help![1]);
      assert.ok(!families.has(name!), `${name} comes twice`);
      open = name!;
      families.set(open, { help: help![2]!, type: type!, samples: new Map() });
      continue;
    }
    const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
    const sample = new RegExp(
      `^([a-zA-Z_:][a-zA-Z0-9_:]*)((?:\\{${label}(?:,${label})*\\})?) (-?[0-9.e+-]+)$`,
    ).exec(line);
    assert.ok(sample, line);
    const [, name, labels, value] = sample;
    const { type, samples } = families.get(open)!;
    const ending = name!.slice(open.length);
    assert.ok(name!.startsWith(open), `${name} stands under ${open}`);
    assert.ok(type === "histogram" ? /^_(bucket|sum|count)$/.test(ending) : ending === "", line);
    assert.ok(type !== "counter" || name!.endsWith("_total"), line);
    assert.ok(Number.isFinite(Number(value)), line);
    assert.ok(!samples.has(name! + labels), `${line} comes twice`);
    samples.set(name! + labels!, Number(value));
  }
  for (const [name, { type, samples }] of families) {
    assert.ok(samples.size > 0, name);
    if (type !== "histogram") continue;
    const buckets = [...samples].filter(([key]) => key.startsWith(`${name}_bucket`));
    const bounds = buckets.map(([key]) => Number(/le="([^"]+)"/.exec(key)![1]!.replace("+Inf",
      "Infinity")));
    assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b));
    assert.equal(bounds.at(-1), Infinity);
    const counts = buckets.map(([, value]) => value);
    assert.deepEqual(counts, [...counts].sort((a, b) => a - b), "each holds the ones before");
    assert.equal(counts.at(-1), samples.get(`${name}_count`));
  }
  return families;
}

test("the master measures waits, attempts and the disk", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { run } = await client.submitSpec(
      pipeline([spec("a"), spec("b", { dependsOn: [0] }), spec("c", { requirement: ["NONE"] })]),
    );
    await room.sleep(700);
    const worker = await room.worker("w");
    await room.until(() => worker.assigned.length === 1);
    await room.sleep(50);
    void worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    const failure = { kind: "exit", message: "", exitCode: 1, signal: undefined } as const;
    await worker.finish(report(worker.assigned[1]!, { failure }));
    const measured = await client.metrics();
    const workers = await client.workers();
    const families = parse(metricsText(measured, { workers, streams: 3, lagMs: 1500 }));
    const value = (name: string): number =>
      families.get(name.replace(/(_bucket|_sum|_count)?(\{.*)?$/, ""))!.samples.get(name)!;
    assert.equal(value('titan_jobs{state="COMPLETED"}'), 1);
    assert.equal(value('titan_jobs{state="FAILED"}'), 1);
    assert.equal(value('titan_jobs{state="PENDING"}'), 1);
    assert.equal(value('titan_runs{state="RUNNING"}'), 1);
    assert.equal(value('titan_attempts_total{outcome="succeeded"}'), 1);
    assert.equal(value('titan_attempts_total{outcome="failed"}'), 1);
    // One waited for a worker, the other for nothing.
    assert.equal(value('titan_queue_wait_seconds_bucket{le="0.5"}'), 1);
    assert.equal(value('titan_queue_wait_seconds_bucket{le="1"}'), 2);
    assert.equal(value("titan_queue_wait_seconds_count"), 2);
    assert.equal(value('titan_attempt_duration_seconds_bucket{le="0.01"}'), 1);
    assert.ok(value("titan_attempt_duration_seconds_sum") >= 0.05);
    assert.ok(value("titan_log_sync_seconds_count") >= 4);
    assert.equal(value("titan_log_records_total"), measured.lastSeq);
    assert.deepEqual([value("titan_slots"), value("titan_slots_busy")], [1, 0]);
    assert.equal(value("titan_event_loop_lag_seconds"), 1.5);
    assert.equal(value("titan_event_streams"), 3);
    await client.cancel(run);
  }));

test("LoopLag tells the worst since it was asked, while somebody asks", async () => {
  const world = new SimWorld({ seed: 1 });
  const late: number[] = [];
  const host = world.host("m");
  const lag = new LoopLag({
    ...host, clock: host.clock, random: host.random, network: host.network, storage: host.storage,
    timers: { ...host.timers, after: (ms, fn) => host.timers.after(ms + (late.shift() ?? 0), fn) },
  });
  assert.equal(lag.take(), 0);
  late.push(70, 20);
  await world.run(world.now + 1000);
  assert.ok(Math.abs(lag.take() - 70) < 1);
  await world.run(world.now + 400);
  assert.ok(lag.take() < 1);
  await world.run(world.now + 1_000_000);
  lag.stop();
});

test("/metrics is behind the guard, and is the text of this master", async () => {
  const world = await scene({ token: "s3cret" });
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${world.door.url}/metrics`, { headers: { connection: "close", ...headers } });
  const refused = await ask({});
  assert.equal(refused.status, 401);
  await refused.text();
  const own = { authorization: "Bearer s3cret" };
  const foreign = await ask({ ...own, origin: "http://evil.test" });
  assert.equal(foreign.status, 403);
  await foreign.text();
  const found = await ask(own);
  assert.match(found.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const families = parse(await found.text());
  assert.equal(families.get("titan_info")!.samples.get('titan_info{version="1.2.3"}'), 1);
  await world.end();
});
