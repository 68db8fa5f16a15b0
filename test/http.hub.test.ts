/** The event stream without a master: what readers get that are slow, late, or too many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "#sdk";
import { SimWorld } from "#simhost";
import { isDetail, type Fact, type FactsPage, type RowsPage, type Touched } from "#wire";
import { MAX_GAP_FACTS } from "../src/http/catch-up.ts";
import { EventHub } from "../src/http/events.ts";
import { news, NO_ROWS, type SeenFact } from "../src/http/frames.ts";
import { MAX_UNREAD_BYTES, Reader, SLOW_MS } from "../src/http/reader.ts";
import { MAX_KEPT_CHARS, RecentFacts } from "../src/http/recent.ts";
import type { Live } from "../src/http/route.ts";
import { STREAMS } from "../src/http/streams.ts";
import { FakeOutlet } from "./http.hub.support.ts";

const fact = (seq: number, type = "RunSubmitted", more: object = {}): SeenFact => ({
  seq, type, run: "r-1", text: JSON.stringify({ seq, type, run: "r-1", ...more }),
});
const upTo = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

const runRow = (id: string) => ({
  id, name: "r", status: "RUNNING", submittedAt: 1, endedAt: undefined, counts: [1],
  cancelling: false, update: undefined, paused: undefined,
});

/** A master that says what the test makes it say. */
class FakeMaster {
  readonly log: { type: string; pad: string }[] = [];
  /** Facts before this number are in a snapshot. */
  first = 1;
  asked: Touched[][] = [];
  /** Whether those who followed from now on wanted details. */
  readonly wishes: boolean[] = [];
  snapshots = 0;
  #wake: () => void = () => undefined;
  #cut = false;

  add(count: number, type = "RunSubmitted", pad = ""): void {
    for (let n = 0; n < count; n++) this.log.push({ type, pad });
    this.#wake();
  }

  /** The next question about rows fails. */
  isDeaf = false;
  /** What happens while the next one is under way. */
  meanwhile: (() => Promise<void>) | undefined;

  /** Ends the subscription, as a master does that goes away. */
  cut(): void {
    this.#cut = true;
    this.#wake();
  }

  readonly client = {
    info: async () => ({ startedAt: 7 }),
    runs: async () => {
      this.snapshots += 1;
      return [runRow("r-1")];
    },
    rows: async (asked: Touched[]): Promise<RowsPage> => {
      this.asked.push(asked);
      const { meanwhile } = this;
      this.meanwhile = undefined;
      await meanwhile?.();
      if (this.isDeaf) {
        this.isDeaf = false;
        throw new Error("away");
      }
      const known = asked.filter(({ run }) => run === "r-1");
      return {
        runs: known.map(({ run }) => runRow(run)) as never, jobs: [],
        gone: asked.filter(({ run }) => run !== "r-1").map(({ run }) => run),
      };
    },
    facts: (wish: { from?: number; signal?: AbortSignal; details?: boolean }) => this.#facts(wish),
  } as unknown as Client;

  async *#facts(
    { from, signal, details = true }: { from?: number; signal?: AbortSignal; details?: boolean },
  ): AsyncGenerator<FactsPage> {
    if (signal !== undefined) this.wishes.push(details);
    let next = from ?? this.log.length + 1;
    const reset = next < this.first;
    if (reset) next = this.log.length + 1;
    yield { reset, first: next, facts: [], touched: [] };
    signal?.addEventListener("abort", () => this.#wake(), { once: true });
    while (!(signal?.aborted ?? false)) {
      const facts: Fact[] = [];
      for (const [at, { type, pad }] of this.log.slice(next - 1).entries()) {
        const isBare = !details && isDetail({ type });
        const text = isBare ? "" : JSON.stringify({ seq: next + at, type, pad });
        if (isBare && facts.at(-1)?.type === type) facts.at(-1)!.times += 1;
        else facts.push({ type, run: "r-1", text, times: 1 });
      }
      const touched = [{ run: "r-1", jobs: [], all: false }];
      if (facts.length > 0) yield { reset: false, first: next, facts, touched };
      next = this.log.length + 1;
      if (this.log.length >= next) continue;
      if (this.#cut) {
        this.#cut = false;
        throw new Error("gone");
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function hall() {
  const world = new SimWorld({ seed: 1 });
  const master = new FakeMaster();
  const session = async (): Promise<Client> => master.client;
  const hub = new EventHub({ host: world.host("m"), session, version: "1" });
  const open = (last?: number, all = false): FakeOutlet => {
    const outlet = new FakeOutlet();
    hub.open(outlet, { all, runs: [] }, { at: last });
    return outlet;
  };
  const pass = async (ms = 1000): Promise<void> => {
    await world.run(world.now + ms);
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    await world.run(world.now + ms);
  };
  return { world, master, hub, open, pass };
}

test("news() has rows first, and each id only when all before it was told", () => {
  const rows = { ...NO_ROWS, runs: new Map([["r-1", "{}"]]), gone: ["r-0"] };
  const interest = { all: false, runs: [] };
  const told = news(interest, {
    facts: [fact(5), fact(6, "JobStarted"), fact(7)], rows, end: 7,
  });
  assert.deepEqual(told.split("\n").filter((line) => /^(id|event)/.test(line)), [
    "id: 4", "event: rows", "id: 5", "event: fact", "id: 7", "event: fact",
  ]);
  assert.match(news(interest, { facts: [fact(6, "StepDone")], rows, end: 6 }), /^id: 6\n/);
  assert.equal(news(interest, { facts: [fact(6, "TimePassed")], rows: NO_ROWS, end: 6 }), "");
  const followed = news({ all: false, runs: ["r-1"] }, {
    facts: [fact(6, "StepDone")], rows: NO_ROWS, end: 6,
  });
  assert.match(followed, /^id: 6\nevent: fact\n/);
  const few = news({ all: false, runs: ["r-1"], details: false }, {
    facts: [fact(6, "StepDone"), fact(7)], end: 7,
    rows: { ...NO_ROWS, jobs: new Map([["r-1", ['{"id":"a"}']]]) },
  });
  assert.match(few, /^id: 6\nevent: rows\ndata: \{"seq":6,"jobs":\[\{"id":"a"\}\]\}\n\nid: 7\n/);
});

test("?facts= says which details a stream wants", async () => {
  const { run } = STREAMS.find(({ path }) => path === "/api/v1/events")!;
  const found: unknown[] = [];
  const hub = { isFull: false, open: (_: unknown, interest: unknown) => found.push(interest) };
  for (const query of ["", "run=a&facts=few", "facts=all"]) {
    const live = await run({ hub, query: new URLSearchParams(query) } as never) as Live;
    live.open(new FakeOutlet() as never);
  }
  assert.deepEqual(found, [
    { all: false, runs: [], details: true }, { all: false, runs: ["a"], details: false },
    { all: true, runs: [], details: true },
  ]);
});

test("RecentFacts keeps a bounded number, without a hole", () => {
  const recent = new RecentFacts();
  recent.restart(11);
  const pad = { pad: "x".repeat(MAX_KEPT_CHARS / 4) };
  for (const seq of upTo(11, 15)) recent.add([fact(seq, "A", pad)], seq);
  assert.deepEqual([recent.start, recent.end], [12, 15]);
  assert.deepEqual(recent.after(13).map(({ seq }) => seq), [14, 15]);
  assert.equal(recent.fill([fact(12, "A", pad)]), false, "no room");
  recent.restart(11);
  assert.equal(recent.fill([fact(9), fact(10)]), true);
  assert.deepEqual(recent.after(8).map(({ seq }) => seq), [9, 10]);
  recent.add([fact(11)], 11);
  assert.equal(recent.fill([fact(10, "B")]), true);
  assert.deepEqual(recent.after(8).map(({ seq, type }) => [seq, type]),
    [[9, "RunSubmitted"], [10, "B"], [11, "RunSubmitted"]]);
});

test("a slow reader is given nothing more, and one snapshot when it has read", async () => {
  const { world, master, open, pass } = hall();
  const [slow, quick] = [open(), open()];
  await pass();
  slow.flows = false;
  const pad = "x".repeat(10_000);
  for (let n = 0; n < 100; n++) {
    master.add(1, "RunSubmitted", pad);
    await pass(100);
  }
  assert.deepEqual(quick.seqs("fact"), upTo(1, 100));
  assert.ok(slow.text.length < MAX_UNREAD_BYTES + 50_000, `${slow.text.length}`);
  const had = slow.seqs("fact").length;
  slow.flow();
  await pass();
  assert.deepEqual(slow.seqs("fact"), upTo(1, had), "no facts of the gap");
  assert.equal(slow.seqs("snapshot").length, 2);
  assert.equal(slow.lastId, 100);
  master.add(1);
  await pass();
  assert.deepEqual(slow.seqs("fact").at(-1), 101);
  // With a short gap it gets what it has missed.
  slow.flows = false;
  master.add(27, "RunSubmitted", pad);
  await pass(100);
  master.add(3);
  await pass(100);
  assert.equal(slow.seqs("fact").at(-1), 128);
  slow.flow();
  await pass();
  assert.deepEqual(slow.seqs("fact").slice(-31), upTo(101, 131));
  assert.equal(slow.seqs("snapshot").length, 2);
  // One that never reads again is cut.
  slow.flows = false;
  master.add(30, "RunSubmitted", pad);
  await pass();
  await world.run(world.now + SLOW_MS + 20_000);
  assert.deepEqual([slow.destroyed, quick.destroyed], [true, false]);
});

test("a reader whose gap the log has swallowed, or that is too long, gets a snapshot", async () => {
  const { master, open, pass } = hall();
  master.add(20);
  open();
  await pass();
  const gap = open(10);
  await pass();
  assert.deepEqual([gap.seqs("fact"), gap.seqs("snapshot")], [upTo(11, 20), []]);
  assert.deepEqual(gap.seqs("rows"), [10], "rows have the number that the reader came with");
  master.first = 9;
  const gone = open(5);
  const future = open(99);
  await pass();
  for (const reader of [gone, future]) {
    assert.deepEqual([reader.seqs("fact"), reader.seqs("snapshot")], [[], [20]]);
  }
  master.add(MAX_GAP_FACTS + 1);
  await pass();
  const late = open(20);
  await pass();
  assert.deepEqual([late.seqs("fact"), late.lastId], [[], 20 + MAX_GAP_FACTS + 1]);
});

test("a fact that changes more than it names brings everything, and is told", async () => {
  const { master, open, pass } = hall();
  open();
  await pass();
  open();
  await pass(100);
  const before = master.snapshots;
  master.add(2);
  master.add(1, "BudgetRaised");
  await pass(100);
  const reader = open(1);
  await pass(100);
  assert.deepEqual([reader.seqs("fact"), reader.seqs("snapshot").length], [[2, 3], 1]);
  assert.equal(master.snapshots, before + 1, "the one of a moment ago is too old");
  assert.deepEqual([...reader.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)),
    [1, 1, 2, 3]);
});

test("a snapshot is shared while all that came after it is at hand", async () => {
  const { master, open, pass } = hall();
  open();
  await pass(50);
  master.add(1);
  await pass(100);
  const second = open();
  await pass(50);
  assert.equal(master.snapshots, 1);
  assert.deepEqual([second.seqs("snapshot"), second.seqs("rows"), second.seqs("fact")],
    [[0], [1], []], "and the rows of what has changed since");
  master.add(9, "RunSubmitted", "x".repeat(MAX_KEPT_CHARS / 8));
  await pass(100);
  open();
  await pass(50);
  assert.equal(master.snapshots, 2);
});

test("details are asked for while somebody wants them, who gets those of before, too", async () => {
  const { master, hub, open, pass } = hall();
  const overview = open();
  await pass();
  master.add(2, "JobStarted");
  master.add(1);
  await pass(10);
  assert.deepEqual([master.wishes, overview.seqs("fact"), overview.lastId], [[false], [3], 3]);
  // One is on its way to those who do not want it when somebody comes who does.
  let page = overview;
  master.meanwhile = async () => {
    master.add(1, "JobStarted");
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
    page = open(undefined, true);
  };
  master.add(1);
  await pass();
  assert.deepEqual([page.seqs("snapshot"), page.seqs("fact")], [[4], [5]]);
  assert.deepEqual([master.wishes, overview.seqs("fact")], [[false, true], [3, 4]]);
  master.add(2, "JobStarted");
  await pass();
  assert.deepEqual([page.seqs("fact"), overview.seqs("fact")], [[5, 6, 7], [3, 4]]);
  const back = open(0, true);
  await pass();
  assert.deepEqual([back.seqs("fact"), back.seqs("snapshot")], [upTo(1, 7), []]);
  back.destroy();
  // Pages that come and go ask for nothing anew.
  for (let n = 0; n < 5; n++) {
    page.destroy();
    await pass(4_900);
    page = open(7, true);
    await pass();
  }
  assert.deepEqual(master.wishes, [false, true]);
  page.destroy();
  await pass(5_000);
  assert.deepEqual(master.wishes, [false, true, false]);
  master.add(1, "JobStarted");
  await pass();
  const again = open(7, true);
  await pass();
  assert.deepEqual([again.seqs("fact"), again.seqs("snapshot")], [[8], []]);
  again.destroy();
  await pass(5_000);
  hub.open(new FakeOutlet(), { all: false, runs: ["r-1"] });
  await pass();
  assert.deepEqual(master.wishes.slice(3), [true, false, true], "a run's page wants them");
  hub.close();
  const other = hall();
  other.hub.open(new FakeOutlet(), { all: false, runs: ["r-1"], details: false });
  await other.pass();
  assert.deepEqual(other.master.wishes, [false], "an Overview does not");
  const keys = [true, false].map((details) =>
    new Reader(new FakeOutlet() as never, { all: false, runs: ["r-1"], details }, {}).key);
  assert.notEqual(keys[0], keys[1], "the two are not told the same");
  other.hub.close();
});

test("what a reader wants is looked at when it comes and goes, no more often", async () => {
  const world = new SimWorld({ seed: 1 });
  const master = new FakeMaster();
  const host = world.host("http");
  const hub = new EventHub({
    host, version: "1", session: async () => master.client as unknown as Client,
  });
  let looks = 0;
  const interest = {
    get all() {
      looks += 1;
      return false;
    },
    runs: [],
  };
  const outlets = Array.from({ length: 500 }, () => new FakeOutlet());
  for (const outlet of outlets) hub.open(outlet, interest);
  for (const outlet of outlets) outlet.destroy();
  assert.equal(hub.size, 0);
  assert.ok(looks > 0 && looks <= 4 * outlets.length, `${looks} looks`);
  hub.close();
});

test("rows that could not be read are read later", async () => {
  const { master, open, pass } = hall();
  const reader = open();
  await pass();
  master.isDeaf = true;
  master.add(2);
  await pass();
  assert.deepEqual([reader.seqs("rows"), reader.seqs("fact")], [[0], [1, 2]]);
});

test("a reader of once is told nothing after its end, while its socket stays", async () => {
  const { world, master, hub, pass } = hall();
  const outlet = new FakeOutlet();
  let ends = 0;
  outlet.end = () => void (ends += 1);
  hub.open(outlet, { all: false, runs: [] }, { once: true });
  await pass();
  assert.deepEqual([ends, hub.size], [1, 0]);
  const { text } = outlet;
  master.add(3);
  await pass();
  assert.equal(outlet.text, text);
  // Its socket is closed at last: that nobody reads is known already.
  outlet.destroy();
  const open = new FakeOutlet();
  hub.open(open, { all: false, runs: [] });
  await world.run(world.now + 60_000);
  master.add(1);
  await pass();
  assert.deepEqual(open.seqs("fact"), [4]);
  hub.close();
});

test("the subscription is one, and goes on after a break", async () => {
  const { world, master, hub, open, pass } = hall();
  const readers = [open(), open(), open()];
  await pass();
  master.add(3);
  await pass();
  master.cut();
  await pass();
  master.add(2);
  await pass();
  for (const reader of readers) assert.deepEqual(reader.seqs("fact"), upTo(1, 5));
  // What is told is made once for all of them.
  assert.ok(master.asked.length <= 3, `${master.asked.length}`);
  assert.equal(master.snapshots, 1);
  const beats = readers[0]!.text.split(": beat").length;
  await world.run(world.now + 10_000);
  assert.equal(readers[0]!.text.split(": beat").length, beats + 1);
  // The gap cannot be told after this break: everybody looks anew.
  master.cut();
  await pass(100);
  master.add(4);
  master.first = 9;
  await pass();
  for (const reader of readers) assert.deepEqual(reader.seqs("snapshot"), [0, 9]);
  readers.forEach((reader) => reader.destroy());
  assert.equal(hub.size, 0);
  hub.close();
});
