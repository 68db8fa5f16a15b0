/** Following the whole log: each durable fact once and in order, also after a gap. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventJson, Event, type EventNames, type Run } from "#core";
import { LogError } from "#log";
import type { Client, ClusterEvent } from "#sdk";
import { FactsAsked, FactsPage, isDetail, Op, type Fact } from "#wire";
import { Facts, MAX_FOLLOWS, MAX_RECENT_BYTES } from "../src/master/facts.ts";
import { MAX_PAST_FACTS, readPast } from "../src/master/past.ts";
import { hello, pipeline, report, Room, spec } from "./10-master.support.ts";

const names: EventNames = {
  run: (number) => `run-${number}`, jobId: ({ job }) => `job-${job}`, workerName: () => "w",
};

/** Follows, and keeps all that comes, until `stop`. */
function follow(client: Client, from?: number) {
  const leaving = new AbortController();
  const told: ClusterEvent[] = [];
  const done = (async () => {
    for await (const event of client.events({ from, signal: leaving.signal })) told.push(event);
  })().catch(() => undefined);
  const stop = (): Promise<void> => (leaving.abort(), done);
  return { told, stop };
}

const types = (told: readonly ClusterEvent[]): string[] => told.map(({ type }) => type);
const numbers = (told: readonly ClusterEvent[]): number[] => told.map(({ seq }) => seq);
const upTo = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

test("eventJson() has names, and neither secrets nor results", () => {
  const started: Event = {
    type: "JobStarted", run: 7, job: 3, attempt: 2, worker: 1, at: 5,
  };
  assert.deepEqual(eventJson(started, names), {
    type: "JobStarted", at: 5, run: "run-7", job: "job-3", attempt: 2, worker: "w",
  });
  const secret = spec("a", { env: { TOKEN: "s3cret" } });
  const submitted: Event = {
    type: "RunSubmitted", run: 1, id: "x", key: "k", at: 1, spec: pipeline([secret]), by: "ada",
  };
  assert.deepEqual(eventJson(submitted, names), {
    type: "RunSubmitted", at: 1, run: "run-1", by: "ada", name: "test", jobs: 1, key: "k",
  });
  const result = Buffer.from('{"password":"s3cret"}');
  const ended: Event = { type: "JobSucceeded", run: 1, job: 0, attempt: 1, at: 2, result };
  assert.equal(eventJson(ended, names)["resultBytes"], result.length);
  const closed: Event = {
    type: "GateClosed", run: 1, job: 0, outcome: "approved", by: "bob", comment: "x".repeat(9000),
    values: { password: "s3cret" }, at: 3,
  };
  const many: Event = {
    type: "RunRetried", run: 1, at: 4, jobs: upTo(0, 99_999),
  };
  const all = JSON.stringify([submitted, ended, closed, many].map((each) =>
    eventJson(each, names)));
  assert.doesNotMatch(all, /s3cret/);
  assert.ok(all.length < 8000, `${all.length}`);
  assert.equal(eventJson(many, names)["count"], 100_000);
});

test("a follower gets each durable fact once, in order, with what it has changed", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { told, stop } = follow(client);
    const pages: FactsPage[] = [];
    const leaving = new AbortController();
    const paging = (async () => {
      for await (const page of client.facts({ signal: leaving.signal })) pages.push(page);
    })().catch(() => undefined);
    await room.until(() => pages.length === 1);
    assert.deepEqual([pages[0]!.facts, pages[0]!.reset], [[], false], "where it stands, at once");
    const worker = await room.worker("w");
    const jobs = [spec("a"), spec("b", { dependsOn: [0] }), spec("c", { dependsOn: [1] })];
    const { run } = await client.submitSpec(pipeline(jobs));
    await room.until(() => worker.assigned.length === 1);
    const failure = { kind: "exit", message: "exit 1", exitCode: 1, signal: undefined } as const;
    void worker.finish(report(worker.assigned[0]!, { failure }));
    await client.wait(run);
    const next = (await client.info()).nextSeq;
    await room.until(() => told.at(-1)?.seq === next - 1);
    assert.deepEqual(types(told), ["WorkerJoined", "RunSubmitted", "JobStarted", "JobFailed"]);
    assert.deepEqual(numbers(told), upTo(1, 4));
    assert.deepEqual([told[2]!["run"], told[2]!["job"], told[2]!["worker"]], [run, "a", "w"]);
    // Its children are skipped, which is no fact of its own.
    const touched = pages.flatMap((page) => page.touched);
    assert.deepEqual(touched.at(-1), { run, jobs: [0, 1, 2], all: false });
    const rows = await client.rows([
      { run, jobs: [1, 7], all: false }, { run: "x-none", jobs: [], all: true },
    ]);
    assert.deepEqual(rows.jobs.map(({ job }) => [job.id, job.status]), [["b", "SKIPPED"]]);
    assert.deepEqual([rows.runs[0]!.status, rows.gone], ["FAILED", ["x-none"]]);
    leaving.abort();
    await Promise.all([stop(), paging]);
  }));

test("a gap is told exactly: from memory, from the disk, or as a gap that nobody can tell", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    await room.worker("w", { works: true });
    const first = await client.submitSpec(pipeline([spec("a")]));
    await client.wait(first.run);
    // Nobody has followed: all of it is on the disk only.
    const disk = follow(client, 2);
    await room.until(() => disk.told.length === 3);
    const second = await client.submitSpec(pipeline([spec("b")]));
    await client.wait(second.run);
    const last = (await client.info()).nextSeq - 1;
    await room.until(() => disk.told.length === last - 1);
    assert.deepEqual(numbers(disk.told), upTo(2, last));
    assert.equal(disk.told[0]!["run"], first.run);
    // Somebody follows: the latest are in memory.
    const memory = follow(client, last - 1);
    await room.until(() => memory.told.length === 2);
    assert.deepEqual(memory.told, disk.told.slice(-2));
    // There is no fact number 0: that is from the beginning.
    const all = follow(client, 0);
    await room.until(() => all.told.length === last);
    assert.deepEqual(numbers(all.told), upTo(1, last));
    // Another log, or a number that a snapshot has swallowed.
    const future = follow(client, last + 2);
    await room.until(() => future.told.length === 1);
    assert.deepEqual(future.told, [{ type: "gap", seq: last + 1 }]);
    await Promise.all([disk.stop(), memory.stop(), all.stop(), future.stop()]);
    await master.snapshot();
    // The segment before is gone once a new one has begun; a small log keeps its last one.
    const after = follow(client, last + 1);
    const third = await client.submitSpec(pipeline([spec("c")]));
    await client.wait(third.run);
    await room.until(() => after.told.length >= 3);
    assert.deepEqual(numbers(after.told), upTo(last + 1, last + after.told.length));
    await after.stop();
  }));

test("texts of details are made while somebody wants them; one who comes later has them all", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    await room.worker("w", { works: true });
    const leaving = new AbortController();
    const lean: Fact[] = [];
    const leaning = (async () => {
      const wish = { from: 1, details: false, signal: leaving.signal };
      for await (const { facts } of client.facts(wish)) {
        for (const fact of facts) for (let n = 0; n < fact.times; n++) lean.push(fact);
      }
    })().catch(() => undefined);
    /** A run to its end; what the lean follower has got of it. */
    const runOne = async (): Promise<{ details: boolean[]; others: boolean[] }> => {
      const before = lean.length;
      const { run } = await client.submitSpec(pipeline([spec("a")]));
      await client.wait(run);
      const last = (await client.info()).nextSeq - 1;
      await room.until(() => lean.length === last);
      const told = lean.slice(before);
      const haveText = (facts: Fact[]): boolean[] =>
        [...new Set(facts.map(({ text }) => text !== ""))];
      return {
        details: haveText(told.filter(isDetail)),
        others: haveText(told.filter((fact) => !isDetail(fact))),
      };
    };
    assert.deepEqual(await runOne(), { details: [false], others: [true] });
    const full = follow(client, 1);
    assert.deepEqual(await runOne(), { details: [true], others: [true] });
    await room.until(() => full.told.length === lean.length);
    assert.deepEqual(numbers(full.told), upTo(1, lean.length), "those of before are on the disk");
    assert.deepEqual(types(full.told), lean.map(({ type }) => type));
    await full.stop();
    assert.deepEqual(await runOne(), { details: [false], others: [true] });
    const late = follow(client, 2);
    await room.until(() => late.told.length === lean.length - 1);
    assert.deepEqual(numbers(late.told), upTo(2, lean.length));
    assert.deepEqual(await runOne(), { details: [true], others: [true] });
    leaving.abort();
    await Promise.all([late.stop(), leaning]);
  }));

test("readPast() gives all of a gap and nothing else, or says that it cannot", async () => {
  const events = upTo(1, 6).map((seq): Event =>
    ({ type: "JobStopped", run: seq === 5 ? 2 : 1, job: 0, attempt: 1, at: seq }));
  let failure: Error | undefined;
  const log = {
    replay: async (onRecord: (seq: number, body: Buffer) => void, { from }: { from: number }) => {
      if (failure !== undefined) throw failure;
      for (let seq = from; seq <= 6; seq++) onRecord(seq, Event.encode(events[seq - 1]!));
    },
  } as never;
  const known = { ...names, run: (number: number) => (number === 1 ? "r-1" : undefined) };
  const past = (from: number, to: number) => readPast({ log, names: known, range: { from, to } });
  assert.deepEqual((await past(2, 5))!.map(({ fact }) => JSON.parse(fact.text).seq), [2, 3, 4]);
  assert.equal(await past(2, 6), undefined, "a run that nobody knows any more");
  assert.equal(await past(6, 8), undefined, "not all of it is there");
  failure = new LogError("GAP", "compacted");
  assert.equal(await past(2, 5), undefined);
  failure = new LogError("DAMAGED", "broken");
  await assert.rejects(past(2, 5), failure);
  assert.equal(await past(1, MAX_PAST_FACTS + 2), undefined, "it is too long to be read");
});

test("jobs that are added to a run are touched", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    const leaving = new AbortController();
    const touched: unknown[] = [];
    const reading = (async () => {
      for await (const page of client.facts({ signal: leaving.signal })) {
        touched.push(...page.touched);
      }
    })().catch(() => undefined);
    await room.sleep(10);
    await client.addJobs(run, [spec("b"), spec("c")]);
    await room.until(() => touched.length > 0);
    assert.deepEqual(touched, [{ run, jobs: [1, 2], all: false }]);
    leaving.abort();
    await reading;
  }));

test("who begins to follow while a fact is on its way to the disk gets it once it is there", () =>
  Room.run(async (room) => {
    await room.start();
    const client = await room.client();
    const first = await client.submitSpec(pipeline([spec("a")]));
    void client.submitSpec(pipeline([spec("b")]));
    void client.cancel(first.run);
    await room.sleep(20);
    const { told, stop } = follow(client, 1);
    await room.until(() => told.length === 3);
    assert.deepEqual(numbers(told), upTo(1, 3));
    await stop();
  }, { syncMs: [100, 100] }));

test("a follower that does not read costs what is bounded, and misses nothing", () =>
  Room.run(async (room) => {
    const master = await room.start();
    const client = await room.client();
    const raw = await room.raw();
    await raw.request(Op.HELLO, hello());
    const ask = () => raw.stream(Op.FACTS, FactsAsked.encode({ from: undefined, details: true }));
    const pages = ask()[Symbol.asyncIterator]();
    await pages.next();
    // A fact names a hundred jobs: 12 KB.
    const jobs = Array.from({ length: 100 }, (_, n) => spec(`${n}`.padStart(120, "x")));
    const { run } = await client.submitSpec(pipeline(jobs));
    for (let n = 0; n < 90; n++) {
      await client.cancel(run);
      await client.retry(run);
    }
    const kept = master.counts().backlog;
    assert.ok(kept > 0.7 * MAX_RECENT_BYTES && kept <= MAX_RECENT_BYTES, `${kept}`);
    const told: number[] = [];
    while (told.length < 181) {
      const { value } = await pages.next();
      for (const { text } of FactsPage.decode(value!).facts) told.push(JSON.parse(text).seq);
    }
    assert.deepEqual(told, upTo(1, 181), "some of them come from the disk");
    for (let n = 1; n < MAX_FOLLOWS; n++) void ask();
    await assert.rejects(async () => {
      for await (const _ of ask()) assert.fail("it is served");
    }, { code: "OVERLOADED" });
    raw.close();
    await room.until(() => master.counts().backlog === 0);
  }));

/** The facts of a master that is not there. */
function bareFacts() {
  const [runs, workers] = [new Map([[1, { number: 1, id: "r-1" }]]), new Map([[4, { name: "w" }]])];
  const durable: (() => void)[] = [];
  const engine = {
    state: { runs, workers }, group: 0, whenDurable: (fn: () => void) => void durable.push(fn),
    answer: (fn: () => void) => fn(),
  };
  const pages: Buffer[] = [];
  const turns = { send: async (_request: unknown, _peer: unknown, make: () => Buffer) =>
    pages.push(make()) };
  const log = { nextSeq: 9, durableSeq: 8, onSync: () => undefined };
  const time = { now: 0, timers: new Map<() => void, number>() };
  const after = (ms: number, fn: () => void): { cancel(): void } => {
    time.timers.set(fn, ms);
    return { cancel: () => void time.timers.delete(fn) };
  };
  const host = { clock: { monotonic: () => time.now }, timers: { after } };
  const facts = new Facts({ host, log, turns, engine: () => engine } as never);
  const follow = (details = true): (() => void) => {
    let leave = (): void => undefined;
    const onCancel = (fn: () => void): void => void (leave = fn);
    facts.follow({ onCancel, over: false } as never, {}, { from: undefined, details });
    return leave;
  };
  return { facts, follow, runs, workers, durable, pages, log, engine, time };
}

test("of a busy log pages come fifty times a second, the first at once, each with all until then",
  async () => {
    const { facts, follow, durable, pages, log, engine, time } = bareFacts();
    const leave = follow();
    const happen = async (seq: number): Promise<void> => {
      log.nextSeq = seq + 1;
      engine.group += 1;
      facts.after(seq, [{ type: "TimePassed", at: seq }]);
      log.durableSeq = seq;
      durable.splice(0).forEach((fn) => fn());
      await new Promise((resolve) => setImmediate(resolve));
    };
    const told = (): number[] => pages.splice(0).map((page) => FactsPage.decode(page).facts.length);
    await happen(9);
    assert.deepEqual(told(), [0, 1], "the first page says from where on; the first fact is told");
    time.now = 3;
    for (const seq of [10, 11, 12]) await happen(seq);
    assert.deepEqual([told(), [...time.timers.values()]], [[], [17]]);
    const [pump] = time.timers.keys();
    time.timers.clear();
    time.now = 20;
    pump!();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told(), [3]);
    time.now = 39;
    await happen(13);
    assert.deepEqual([told(), [...time.timers.values()]], [[], [1]]);
    leave();
    assert.equal(time.timers.size, 0, "nobody waits for it any more");
    follow();
    time.now = 40;
    await happen(14);
    assert.deepEqual(told().at(-1), 1);
  });

test("details without texts that are the same in a row are told as one with a number", async () => {
  const { facts, follow, runs, durable, pages, log, engine, time } = bareFacts();
  runs.set(2, { number: 2, id: "r-2" });
  const leave = [follow(false), follow(false)];
  const told = async (): Promise<FactsPage> => {
    await new Promise((resolve) => setImmediate(resolve));
    const [one, other] = pages.splice(0).map((page) => FactsPage.decode(page));
    assert.deepEqual(one, other, "both followers are told the same");
    return one!;
  };
  await told();
  const detail = (run: number, type: "StepStarted" | "StepFailed" = "StepStarted"): Event =>
    ({ type, run, job: 0, at: 1 } as unknown as Event);
  const passed: Event = { type: "WorkerLost", worker: 4, reason: "", at: 1 };
  let seq = 9;
  /** What becomes durable together. */
  const group = (...events: Event[]): void => {
    engine.group += 1;
    facts.after(seq, events);
    seq += events.length;
    log.durableSeq = seq - 1;
    durable.splice(0).forEach((fn) => fn());
  };
  group(detail(1), detail(1), detail(1), detail(2), passed, detail(2), detail(2, "StepFailed"));
  const first = await told();
  group(passed, passed, detail(2, "StepFailed"), detail(2, "StepFailed"));
  group(detail(2, "StepFailed"), detail(1), detail(1));
  engine.group += 1;
  facts.runChanged({ number: 1, id: "r-1" } as Run); // known so late that no fact goes with it
  durable.splice(0).forEach((fn) => fn());
  const [pump] = time.timers.keys();
  pump!();
  const both = [first, await told()];
  leave.forEach((fn) => fn());
  assert.deepEqual(both.flatMap((page) => page.facts.map(({ type, run, times, text }) =>
    [type, run, times, text === "" ? 0 : JSON.parse(text).seq])), [
    ["StepStarted", "r-1", 3, 0], ["StepStarted", "r-2", 1, 0], ["WorkerLost", undefined, 1, 13],
    ["StepStarted", "r-2", 1, 0], ["StepFailed", "r-2", 1, 0],
    ["WorkerLost", undefined, 1, 16], ["WorkerLost", undefined, 1, 17],
    ["StepFailed", "r-2", 3, 0], ["StepStarted", "r-1", 2, 0],
  ]);
  const touched = both.flatMap((page) => page.touched.map(({ run }) => run));
  assert.deepEqual(touched, ["r-1", "r-2", "r-2", "r-2", "r-1", "r-1"], "each group, once");
  assert.deepEqual(both.map(({ first }) => first), [9, 16]);
});

test("a fact of before is not told to one who has begun since", async () => {
  const { facts, follow, durable, pages, log } = bareFacts();
  const leave = follow();
  facts.after(9, [{ type: "TimePassed", at: 1 }]);
  leave();
  Object.assign(log, { nextSeq: 10, durableSeq: 9 });
  follow();
  facts.after(10, [{ type: "TimePassed", at: 2 }]);
  log.durableSeq = 10;
  durable.forEach((fn) => fn());
  await new Promise((resolve) => setImmediate(resolve));
  const told = pages.flatMap((page) => FactsPage.decode(page).facts);
  assert.deepEqual(told.map(({ text }) => JSON.parse(text).seq), [10]);
});

test("a fact names what is forgotten by it, and that is touched", async () => {
  const { facts, follow, runs, workers, durable, pages } = bareFacts();
  follow();
  const events: Event[] = [
    { type: "RunsForgotten", runs: [1], at: 1 },
    { type: "WorkerLost", worker: 4, reason: "", at: 1 },
  ];
  facts.before(events);
  runs.clear();
  workers.clear();
  facts.after(9, events);
  durable.forEach((fn) => fn());
  await new Promise((resolve) => setImmediate(resolve));
  const told = pages.map((page) => FactsPage.decode(page)).flatMap((page) => page.facts);
  assert.deepEqual(told.map(({ text }) => JSON.parse(text)), [
    { seq: 9, type: "RunsForgotten", at: 1, runs: ["r-1"], count: 1 },
    { seq: 10, type: "WorkerLost", at: 1, worker: "w", reason: "" },
  ]);
  const touched = pages.flatMap((page) => FactsPage.decode(page).touched);
  assert.deepEqual(touched, [{ run: "r-1", jobs: [], all: false }]);
});
