/**
 * A worker whose master is there and takes nothing, as one with a full disk does; in virtual time.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputCache } from "#project";
import { RpcConnection, type IncomingRequest } from "#rpc";
import { SimWorld } from "#simhost";
import { startWorker, type Worker } from "#worker";
import {
  Dispatch, FIRST_REDIAL_MAX_MS, Finished, Hello, Kill, MAX_HELLO_BYTES, Op, Output, PROTOCOL,
  REDIAL_MAX_MS, Welcome, type Report, type Service,
} from "#wire";
import { MasterLink } from "../src/worker/link.ts";
import { FakeExecutor } from "./11-worker.cluster.ts";
import { serviceSpec } from "./spec.support.ts";

const FULL = "Cannot take new work: no space left on device";

/** A master by hand: it gives out one job, and refuses what it is told to refuse. */
class Desk {
  readonly world = new SimWorld({ seed: 3 });
  readonly executor = new FakeExecutor();
  readonly notes: string[] = [];
  /** When each request of a kind came, in virtual ms. */
  readonly asked = new Map<number, number[]>();
  readonly reports: Report[] = [];
  readonly full = new Set<number>();
  readonly never = new Set<number>();
  /** Requests that it leaves without an answer. */
  readonly silent = new Set<number>();
  /** When each note came. */
  readonly notedAt: number[] = [];
  /** The number of a job of which no report can be taken. */
  poison = -1;
  /** Jobs that it gives to whoever runs none. */
  jobs = 1;
  /** Set if they are services. */
  service: Service | undefined;
  /** What each HELLO said that it runs, and how long it was. */
  readonly running: number[][] = [];
  readonly hellos: number[] = [];
  /** What the worker called itself. */
  readonly names: string[] = [];
  output = "";
  /** What it calls the worker. */
  called = "w";
  protocol = PROTOCOL;
  beatMs = 1e9;
  leaseMs = 1e9;
  /** What the program of a job hands on. */
  outputs: string[] = [];
  /** Attempts of which a welcome says that others have them. */
  stale: { run: number; job: number; attempt: number }[] = [];
  /** Streams that it began to send. */
  blobs = 0;
  connection!: RpcConnection;
  worker!: Worker;

  async open(): Promise<void> {
    const host = this.world.host("m");
    await host.network.listen({ host: "m", port: 9090 }, (socket) => {
      const onRequest = (request: IncomingRequest): void => this.#serve(request);
      this.connection = new RpcConnection(socket, { host, onRequest });
    });
    this.worker = startWorker({
      host: this.world.host("w"), master: { host: "m", port: 9090 }, name: "w", slots: 1,
      executor: this.executor, cacheDir: "/cache", onNote: (text) => {
        this.notes.push(text);
        this.notedAt.push(this.world.now);
      },
    });
  }

  #serve(request: IncomingRequest): void {
    const { opcode, body } = request;
    this.asked.set(opcode, [...(this.asked.get(opcode) ?? []), this.world.now]);
    if (this.silent.has(opcode)) return;
    if (this.never.has(opcode)) return request.fail("CONFLICT", "not yours");
    if (this.full.has(opcode)) return request.fail("OVERLOADED", FULL);
    if (opcode === Op.HELLO) this.#welcome(request);
    else if (opcode === Op.OUTPUT) {
      this.output += Output.decode(body).chunks.map(({ data }) => String(data)).join("");
      request.reply();
    } else if (opcode === Op.FINISHED) {
      const { items } = Finished.decode(body);
      if (items.some(({ job }) => job === this.poison)) return request.fail("INVALID", "poison");
      this.reports.push(...items);
      request.reply();
    } else if (opcode === Op.BLOB_GET) {
      this.blobs += 1;
      request.item(Buffer.from("one"));
      if (this.blobs === 1) {
        return void this.world.host("m").timers.after(5, () => this.world.cut("m", "w2"));
      }
      request.item(Buffer.from("two"));
      request.end();
    } else request.fail("UNSUPPORTED", "not here");
  }

  #welcome(request: IncomingRequest): void {
    const { running, name } = Hello.decode(request.body);
    this.names.push(name);
    request.reply(
      Welcome.encode({
        protocol: this.protocol,
        version: "",
        beatMs: this.beatMs,
        leaseMs: this.leaseMs,
        worker: 1,
        name: this.called,
        stale: this.stale,
        store: undefined,
        cluster: undefined,
      }),
    );
    this.running.push(running.map(({ job }) => job));
    this.hellos.push(request.body.length);
    if (running.length === 0) this.dispatch();
  }

  /** Gives out all its jobs, each in a frame of its own. */
  dispatch(): void {
    const items = Array.from({ length: this.jobs }, (_, job) => ({
      run: 1, job, attempt: 1, runId: "r1", jobId: "abc"[job]!, timeoutMs: 0, env: {}, inputs: [],
      action: { type: "command" as const, argv: ["true"] }, project: undefined,
      files: { inputs: [], outputs: this.outputs }, service: this.service,
    }));
    for (const item of items) {
      this.connection.notify(Op.DISPATCH, Dispatch.encode({ items: [item] }));
    }
  }

  for(ms: number): Promise<void> {
    return this.world.run(this.world.now + ms);
  }

  times(opcode: number): number[] {
    return this.asked.get(opcode) ?? [];
  }
}

test("a report and output that the master refuses with OVERLOADED are kept and sent again, with " +
  "pauses that grow to 2 s", async () => {
  const desk = new Desk();
  await desk.open();
  desk.full.add(Op.OUTPUT).add(Op.FINISHED);
  await desk.for(100);
  const [job] = desk.executor.jobs;
  job!.print("precious\n");
  job!.end({ result: Buffer.from("42") });
  await desk.for(60_000);
  const output = desk.times(Op.OUTPUT);
  assert.ok(output.length >= 30 && output.length <= 60, `asked ${output.length} times in a minute`);
  const pauses = output.slice(1).map((at, i) => at - output[i]!);
  assert.ok(pauses[0]! < 20, `first after ${pauses[0]} ms`);
  assert.ok(
    pauses.slice(12).every((ms) => ms >= REDIAL_MAX_MS / 2 && ms < REDIAL_MAX_MS + 50),
    `${pauses}`,
  );
  assert.equal(desk.worker.running, 1, "the attempt is not over before its report is taken");
  desk.full.delete(Op.OUTPUT);
  await desk.for(60_000);
  assert.equal(desk.output, "precious\n");
  assert.ok(desk.times(Op.FINISHED).length >= 30 && desk.times(Op.FINISHED).length <= 60);
  assert.deepEqual(desk.reports, []);
  desk.full.clear();
  await desk.for(REDIAL_MAX_MS + 100);
  assert.deepEqual(desk.reports.map(({ job, result }) => [job, String(result)]), [[0, "42"]]);
  assert.equal(desk.worker.running, 0);
  const said = desk.notes.filter((note) => note.includes(FULL));
  assert.equal(
    said.length,
    2,
    `once for the output and once for the report: ${desk.notes.join("\n")}`,
  );
  assert.match(said[0]!, /^the master takes nothing, and is asked again until it does: /);
});

test("the pauses after a refusal begin with 5 ms, and each is twice as long as the one before, " +
  "up to 2 s; the fifth refusal is noted", async (t) => {
  const desk = new Desk();
  desk.world.link("m", "w").latency([0, 0]);
  t.mock.method(desk.world.host("w").random, "unit", () => 0);
  await desk.open();
  desk.full.add(Op.FINISHED);
  await desk.for(100);
  desk.executor.jobs[0]!.end();
  await desk.for(10_000);
  const asked = desk.times(Op.FINISHED);
  const pauses = asked.slice(1, 12).map((at, i) => Math.round(at - asked[i]!));
  assert.deepEqual(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
  assert.equal(desk.notes.length, 2);
  assert.equal(Math.round(desk.notedAt[1]! - asked[4]!), 0);
  desk.full.clear();
  await desk.for(2000);
  await desk.world.settle(desk.worker.stop());
});

test("a refused report goes to the next connection at once, and a stop does not wait for the " +
  "pause", async () => {
  const desk = new Desk();
  await desk.open();
  desk.full.add(Op.FINISHED);
  await desk.for(100);
  desk.executor.jobs[0]!.end();
  await desk.for(30_000);
  const before = desk.times(Op.FINISHED).length;
  desk.world.cut("m", "w");
  desk.full.clear();
  await desk.for(200);
  assert.deepEqual([desk.times(Op.HELLO).length, desk.times(Op.FINISHED).length], [2, before + 1]);
  assert.equal(desk.reports.length, 1);
  assert.equal(desk.notes.at(-1), "registered as w, with 1 attempt under way");
  const lost = () => desk.notes.filter((note) => note.startsWith("no connection"));
  const why = "no connection to the master: ECONNRESET: connection to m:9090";
  assert.deepEqual(lost(), [why]);
  desk.full.add(Op.FINISHED);
  desk.world.cut("m", "w");
  await desk.for(5);
  assert.deepEqual(lost(), [why, why], "it was connected between the two");
  await desk.world.settle(desk.worker.stop());
  await desk.for(100);
  assert.deepEqual(desk.world.open("w"), [], "no timer of a pause is left");
});

test("a worker that stops while its report is refused leaves within its last words", async () => {
  const desk = new Desk();
  await desk.open();
  desk.full.add(Op.FINISHED);
  await desk.for(100);
  desk.executor.jobs[0]!.end();
  await desk.for(30_000);
  const from = desk.world.now;
  await desk.world.settle(desk.worker.stop());
  assert.ok(desk.world.now - from < 1100, `stopped after ${desk.world.now - from} ms`);
  await desk.for(100);
  assert.deepEqual(desk.world.open("w"), []);
  assert.deepEqual(desk.notes.filter((note) => note.includes("gives up")), []);
});

test("stop() asks for the end of no run where there is none, or where " +
  "runs share nothing", async () => {
  for (const shares of [true, false]) {
    const desk = new Desk();
    if (shares) Object.assign(desk.executor, { sharedRuns: () => [] });
    desk.jobs = shares ? 0 : 1;
    await desk.open();
    await desk.for(100);
    desk.executor.jobs[0]?.end();
    await desk.for(10);
    const from = desk.world.now;
    await desk.world.settle(desk.worker.stop());
    assert.deepEqual(desk.times(Op.BEAT), [], shares ? "no runs" : "nothing shared");
    assert.ok(desk.world.now - from < 50);
  }
});

test("a worker that has stopped has hung up, and its cache of inputs is closed", async (t) => {
  const close = t.mock.method(InputCache.prototype, "close");
  const desk = new Desk();
  await desk.open();
  await desk.for(100);
  desk.executor.jobs[0]!.end();
  let isDone = false;
  const done = desk.worker.done.then(() => { isDone = true; });
  await desk.world.settle(desk.worker.stop());
  assert.ok(isDone);
  await desk.world.settle(desk.worker.stop());
  assert.equal(close.mock.callCount(), 1, "it has stopped once");
  await done;
});

test("stop() waits for the end of its jobs' processes, and then of its cache of " +
  "inputs", async (t) => {
  const ends: (() => void)[] = [];
  const slow = () => new Promise<void>((resolve) => ends.push(resolve));
  t.mock.method(InputCache.prototype, "close", slow);
  const desk = new Desk();
  desk.executor.close = slow;
  await desk.open();
  await desk.for(100);
  let stopped = false;
  const stopping = desk.worker.stop().then(() => { stopped = true; });
  for (let waits = 1; waits <= 2; waits++) {
    await desk.for(5000);
    assert.deepEqual([ends.length, stopped], [waits, false]);
    ends.at(-1)!();
  }
  await desk.world.settle(stopping);
});

test("a worker that stops begins nothing of what it still waits for", async () => {
  const desk = new Desk();
  let linked: () => void = () => undefined;
  const linkPackage = () => new Promise<void>((resolve) => { linked = resolve; });
  Object.assign(desk.executor, { linkPackage });
  await desk.open();
  await desk.for(100);
  const stopping = desk.worker.stop();
  linked();
  await desk.world.settle(stopping);
  assert.deepEqual([desk.executor.jobs, desk.reports], [[], []]);
});

test("a worker that stops takes no job of those that were on their way", async () => {
  const desk = new Desk();
  desk.executor.script = (running) => { running.cancel = () => undefined; };
  await desk.open();
  await desk.for(100);
  const stopping = desk.worker.stop();
  desk.jobs = 3;
  desk.dispatch();
  await desk.for(100);
  assert.deepEqual([desk.worker.running, desk.executor.jobs.length], [1, 1]);
  desk.executor.jobs[0]!.end();
  await desk.world.settle(stopping);
  assert.equal(desk.executor.jobs.length, 1);
});

test("a job that others have by now never starts, though what it waits for comes", async () => {
  const desk = new Desk();
  let linked: () => void = () => undefined;
  const linkPackage = () => new Promise<void>((resolve) => { linked = resolve; });
  Object.assign(desk.executor, { linkPackage });
  await desk.open();
  await desk.for(100);
  desk.stale = [{ run: 1, job: 0, attempt: 1 }];
  desk.world.cut("m", "w");
  await desk.for(REDIAL_MAX_MS);
  assert.deepEqual(desk.running, [[], [0]]);
  assert.equal(desk.worker.running, 0);
  linked();
  await desk.for(100);
  assert.deepEqual([desk.executor.jobs, desk.reports], [[], []]);
  await desk.world.settle(desk.worker.stop());
});

test("a beat that is refused with OVERLOADED is followed by the next, any other failure ends the " +
  "connection", async () => {
  const desk = new Desk();
  desk.beatMs = 1000;
  desk.full.add(Op.BEAT);
  await desk.open();
  await desk.for(5500);
  assert.deepEqual([desk.times(Op.BEAT).length, desk.times(Op.HELLO).length], [5, 1]);
  desk.full.clear();
  await desk.for(1000);
  const since = desk.times(Op.HELLO)[1]! - desk.times(Op.BEAT)[5]!;
  assert.ok(since < 500, `dialled again after ${since} ms`);
  await desk.world.settle(desk.worker.stop());
});

test("a connection is given up when an answer has not come in time: a welcome in 5 s, a report's " +
  "in 30 s, that to a piece of an output in 60 s, a beat's within the lease", async () => {
  /** From a request to the loss of its connection. */
  const waits = async (opcode: number, begin?: (desk: Desk) => void): Promise<number> => {
    const desk = new Desk();
    desk.world.link("m", "w").latency([0, 0]);
    desk.silent.add(opcode);
    if (opcode === Op.BEAT) [desk.beatMs, desk.leaseMs] = [1000, 4000];
    if (opcode === Op.ARTIFACT_PUT) desk.outputs = ["out"];
    await desk.open();
    await desk.for(100);
    begin?.(desk);
    await desk.for(70_000);
    const lost = desk.notes.findIndex((note) => note.startsWith("no connection"));
    const took = desk.notedAt[lost]! - desk.times(opcode)[0]!;
    desk.silent.clear();
    await desk.for(REDIAL_MAX_MS + 2000);
    assert.ok(desk.times(opcode).length >= 2, "it is asked again, over another one");
    await desk.world.settle(desk.worker.stop());
    return Math.round(took);
  };
  assert.equal(await waits(Op.HELLO), 5000);
  assert.equal(await waits(Op.FINISHED, (desk) => desk.executor.jobs[0]!.end()), 30_000);
  assert.equal(await waits(Op.BEAT), 4000);
  const piece = await waits(Op.ARTIFACT_PUT, ({ executor, world }) => {
    const { collect } = executor.jobs[0]!.request;
    const disk = world.host("w").storage;
    const written = disk.mkdir("/job").then(() => disk.writeFile("/job/out", Buffer.from("out")));
    void written.then(() => collect!("/job", new AbortController().signal));
  });
  assert.equal(piece, 60_000);
});

test("a worker sends one beat in each of its pauses, however often it has dialled, and none " +
  "after its end", async () => {
  const desk = new Desk();
  desk.beatMs = 1000;
  await desk.open();
  for (let dials = 0; dials < 3; dials++) {
    await desk.for(900);
    desk.world.cut("m", "w");
    await desk.for(FIRST_REDIAL_MAX_MS);
  }
  assert.deepEqual([desk.times(Op.HELLO).length, desk.times(Op.BEAT)], [4, []]);
  const from = desk.world.now;
  await desk.for(10_000);
  const beats = desk.times(Op.BEAT).filter((at) => at > from).length;
  assert.ok(beats === 9 || beats === 10, `${beats} beats in ten seconds`);
  await desk.world.settle(desk.worker.stop());
  assert.equal(desk.world.open("w").length, 0);
});

test("a short refusal is not worth a line, and a refusal for good is not asked again", async () => {
  const desk = new Desk();
  await desk.open();
  desk.full.add(Op.OUTPUT);
  await desk.for(100);
  const [job] = desk.executor.jobs;
  job!.print("x".repeat(64 * 1024)); // a batch, at once
  await desk.for(20);
  const refusals = desk.times(Op.OUTPUT).length;
  assert.ok(refusals > 1 && refusals < 5, `${refusals} refusals`);
  desk.full.clear();
  await desk.for(100);
  assert.equal(desk.output.length, 64 * 1024);
  assert.deepEqual(desk.notes, ["registered as w"]);
  desk.never.add(Op.FINISHED);
  job!.end();
  await desk.for(60_000);
  assert.equal(desk.times(Op.FINISHED).length, 1);
  assert.match(desk.notes[1]!, /^gives up r1\/a attempt 1, .* no report of: not yours$/);
});

test("an attempt whose report is refused for good is given up, and the next " +
  "HELLO says so", async () => {
  const desk = new Desk();
  desk.jobs = 2;
  await desk.open();
  await desk.for(100);
  desk.never.add(Op.FINISHED);
  const [a, b] = desk.executor.jobs;
  a!.end();
  b!.end();
  await desk.for(10);
  assert.equal(desk.times(Op.FINISHED).length, 3, "both at once, then each alone");
  desk.never.clear();
  await desk.for(1000);
  assert.deepEqual(desk.running, [[], []], "what it says that it runs, in each HELLO");
  assert.deepEqual(desk.reports, []);
  assert.equal(desk.executor.jobs.length, 4, "the master has given them out again");
  assert.equal(desk.worker.running, 2);
  desk.world.cut("m", "w");
  await desk.for(200);
  assert.equal(desk.notes.at(-1), "registered as w, with 2 attempts under way");
  for (const job of desk.executor.jobs) job.end();
  await desk.for(100);
  assert.deepEqual(desk.reports.map(({ job }) => job), [0, 1]);
  assert.equal(desk.worker.running, 0);
});

test("a job is told the name its master gave; a KILL of what has ended harms nobody", async () => {
  const desk = new Desk();
  desk.called = "w7";
  desk.jobs = 2;
  await desk.open();
  await desk.for(100);
  const [a, b] = desk.executor.jobs;
  assert.deepEqual([a!.request.worker, desk.notes], ["w7", ["registered as w7"]]);
  assert.deepEqual(desk.names, ["w"], "it had asked for its own");
  a!.end();
  await desk.for(10);
  const items = [0, 1].map((job) => ({ run: 1, job, attempt: 1 }));
  desk.connection.notify(Op.KILL, Kill.encode({ items }));
  await desk.for(10);
  assert.equal(b!.cancelled, "cancelled", "the next one of the list is ended all the same");
  assert.deepEqual(desk.reports.map(({ job }) => job), [0, 1]);
  assert.deepEqual([desk.times(Op.HELLO).length, desk.worker.running], [1, 0]);
});

test("a job whose executor fails is reported as failed, with the reason", async () => {
  const desk = new Desk();
  desk.executor.script = (job) =>
    void Object.assign(job, { done: Promise.reject(new Error("no room")) });
  await desk.open();
  await desk.for(100);
  const [report] = desk.reports;
  const { failure, durationMs } = report!;
  assert.deepEqual([failure?.kind, failure?.message, durationMs], ["internal", "no room", 0]);
});

test("after each new connection the master hears how a service is", async () => {
  const desk = new Desk();
  desk.service = serviceSpec("web");
  await desk.open();
  await desk.for(1000);
  assert.equal(desk.times(Op.HEALTH).length, 1);
  desk.world.cut("m", "w");
  await desk.for(200);
  assert.deepEqual([desk.times(Op.HELLO).length, desk.times(Op.HEALTH).length], [2, 2]);
});

test("one report that the master cannot take does not keep the others from it", async () => {
  const desk = new Desk();
  desk.jobs = 3;
  await desk.open();
  await desk.for(100);
  desk.poison = 1;
  for (const job of desk.executor.jobs) job.end();
  await desk.for(10);
  assert.deepEqual(desk.reports.map(({ job }) => job), [0, 2]);
  assert.equal(desk.notes.filter((note) => note.startsWith("gives up ")).length, 1);
});

test("a master of another protocol ends the worker, which says both numbers, and does not dial " +
  "again", async () => {
  const desk = new Desk();
  desk.protocol = PROTOCOL + 1;
  await desk.open();
  let why = "";
  // Nobody waits for it to be ready: then its rejection ends no process.
  desk.worker.done.catch((error: Error) => (why = error.message));
  await desk.for(60_000);
  assert.match(why, new RegExp(`protocol ${PROTOCOL + 1}, this worker ${PROTOCOL}$`));
  assert.deepEqual([desk.times(Op.HELLO).length, desk.executor.jobs], [1, []]);
});

test("a HELLO of MAX_HELLO_BYTES is said in one, a longer one after an introduction", async () => {
  const said = async (bytes: number): Promise<number[]> => {
    const desk = new Desk();
    await desk.open();
    await desk.for(100);
    const words: Hello = {
      protocol: PROTOCOL, role: "worker", token: "t", version: "", instance: "i", name: "w2",
      tags: Array.from({ length: 61 }, () => "T".repeat(64)), slots: 1, running: [],
      knows: [], dial: 1,
    };
    const missing = bytes - Hello.encode(words).length;
    const link = new MasterLink({
      host: desk.world.host("w2"), master: { host: "m", port: 9090 },
      hello: () => ({ ...words, name: "w2".padEnd(2 + missing, "x") }),
      onWelcome() {}, onNotify() {}, onRequest() {}, onLost() {}, onRefused() {},
    });
    const ended = link.run();
    const before = desk.hellos.length;
    await desk.for(100);
    link.stop();
    await desk.world.settle(ended);
    return desk.hellos.slice(before);
  };
  assert.deepEqual(await said(MAX_HELLO_BYTES), [MAX_HELLO_BYTES]);
  const [introduction, all, ...more] = await said(MAX_HELLO_BYTES + 1);
  assert.deepEqual([all, more], [MAX_HELLO_BYTES + 1, []]);
  assert.ok(introduction! < 20, `${introduction} bytes`);
});

test("a join that is refused with OVERLOADED is dialled again with growing pauses, " +
  "and said once", async () => {
  const desk = new Desk();
  desk.full.add(Op.HELLO);
  await desk.open();
  await desk.for(60_000);
  const dials = desk.times(Op.HELLO).length;
  assert.ok(dials >= 30 && dials <= 60, `dialled ${dials} times in a minute`);
  assert.ok(desk.world.open("w").length <= 2, "what was refused is closed");
  assert.deepEqual(desk.notes, [`no connection to the master: ${FULL}`]);
  desk.full.clear();
  await desk.for(REDIAL_MAX_MS + 100);
  assert.deepEqual(await desk.world.settle(desk.worker.ready), { name: "w" });
  assert.deepEqual(desk.notes.slice(1), ["registered as w"]);
  desk.world.cut("m", "w");
  desk.full.add(Op.HELLO);
  await desk.for(10_000);
  assert.equal(
    desk.notes.filter((note) => note.includes(FULL)).length,
    2,
    "said again after a welcome",
  );
});

test("the first pause after failed dials is the shortest, and a session that served ends their " +
  "count", async () => {
  const world = new SimWorld({ seed: 3 });
  const host = world.host("w");
  const dials: number[] = [];
  const served: RpcConnection[] = [];
  const link = new MasterLink({
    host: {
      ...host,
      random: { ...host.random, unit: () => 0.5 },
      network: {
        ...host.network,
        dial: (to, options) => {
          dials.push(world.now);
          return host.network.dial(to, options);
        },
      },
    },
    master: { host: "m", port: 9090 },
    hello: (dial) => ({
      protocol: PROTOCOL, role: "worker", token: undefined, version: "", instance: "i", name: "w",
      tags: [], slots: 1, running: [], knows: [], dial,
    }),
    onWelcome() {}, onNotify() {}, onRequest() {}, onLost() {}, onRefused() {},
  });
  const ended = link.run();
  const pause = (n: number): number => Math.round(100 * 1.6 ** (n - 1) * 0.75);
  await world.run(world.now + 1000);
  for (const n of [1, 2, 3]) {
    const waited = dials[n]! - dials[n - 1]!;
    assert.ok(waited >= pause(n) && waited < pause(n) + 10, `pause ${n} took ${waited} ms`);
  }
  const master = world.host("m");
  const welcome = Welcome.encode({
    protocol: PROTOCOL, version: "", beatMs: 1e9, leaseMs: 1e9, worker: 1, name: "w", stale: [],
    store: undefined, cluster: undefined,
  });
  await master.network.listen({ host: "m", port: 9090 }, (socket) => {
    const onRequest = (request: IncomingRequest): void => request.reply(welcome);
    served.push(new RpcConnection(socket, { host: master, onRequest }));
  });
  await world.run(world.now + 5000);
  assert.equal(served.length, 1);
  const [before, from] = [dials.length, world.now];
  served[0]!.destroy();
  await world.run(world.now + 100);
  assert.equal(dials.length, before + 1);
  assert.ok(dials.at(-1)! - from < FIRST_REDIAL_MAX_MS, `after ${dials.at(-1)! - from} ms`);
  link.stop();
  await world.settle(ended);
});

test("collect() asks again for a stream that was refused or cut off, from its start", async () => {
  const desk = new Desk();
  await desk.open();
  const link = new MasterLink({
    host: desk.world.host("w2"),
    master: { host: "m", port: 9090 },
    hello: (dial) => ({
      protocol: PROTOCOL,
      role: "worker",
      token: undefined,
      version: "",
      instance: "i",
      name: "w2",
      tags: [],
      slots: 1,
      knows: [],
      running: [{ run: 0, job: 0, attempt: 1 }],
      dial,
    }),
    onWelcome() {},
    onNotify() {},
    onRequest() {},
    onLost() {},
    onRefused: ({ message }) => desk.notes.push(message),
  });
  const ended = link.run();
  desk.full.add(Op.BLOB_GET);
  const parts = link.collect(Op.BLOB_GET, Buffer.alloc(0));
  // Another request that is refused meanwhile is the same news.
  desk.full.add(Op.RUNS);
  const other = assert.rejects(link.request(Op.RUNS, Buffer.alloc(0)), /not here/);
  await desk.for(30_000);
  const asked = desk.times(Op.BLOB_GET).length;
  assert.ok(asked >= 15 && asked <= 40, `asked ${asked} times in 30 s`);
  assert.equal(desk.notes.filter((note) => note === FULL).length, 1);
  desk.full.clear();
  // The first one it serves is cut off in the middle.
  assert.deepEqual((await desk.world.settle(parts)).map(String), ["one", "two"]);
  await desk.world.settle(other);
  assert.equal(desk.blobs, 2);
  link.stop();
  await desk.world.settle(ended);
  await assert.rejects(link.collect(Op.BLOB_GET, Buffer.alloc(0)), /the worker is stopping/i);
  assert.deepEqual(desk.world.open("w2").filter((what) => what.startsWith("timer")), []);
});
