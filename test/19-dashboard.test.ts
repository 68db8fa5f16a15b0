/** Chapter 19: the contract: what a page that comes back is told, and where its jobs stand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "#host";
import { EventHub, news, NO_ROWS, type SeenFact } from "#http";
import { layout } from "#layout";
import type { Client } from "#sdk";
import { SimWorld } from "#simhost";
import type { FactsPage, RowsPage, Touched } from "#wire";
import { FakeOutlet } from "./http.hub.support.ts";

const upTo = (first: number, last: number): number[] =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
const runRow = (id: string): object => ({
  id, name: "r", status: "RUNNING", submittedAt: 1, endedAt: undefined, counts: [1],
  cancelling: false, update: undefined, paused: undefined,
});

/** A master that says what the test makes it say. */
class FakeMaster {
  readonly log: string[] = [];
  /** Facts before this number are compacted. */
  first = 1;
  snapshots = 0;
  #wake: () => void = () => undefined;

  add(count: number, pad = ""): void {
    for (let n = 0; n < count; n++) this.log.push(pad);
    this.#wake();
  }

  readonly client = {
    info: async () => ({ startedAt: 7 }),
    runs: async () => {
      this.snapshots += 1;
      return [runRow("r-1")];
    },
    rows: async (asked: Touched[]): Promise<RowsPage> =>
      ({ runs: asked.map(({ run }) => runRow(run)) as never, jobs: [], gone: [] }),
    facts: ({ from, signal }: { from?: number; signal?: AbortSignal }) => this.#facts(from, signal),
  } as unknown as Client;

  async *#facts(from = this.log.length + 1, signal?: AbortSignal): AsyncGenerator<FactsPage> {
    const reset = from < this.first;
    let next = reset ? this.log.length + 1 : from;
    yield { reset, first: next, facts: [], touched: [] };
    signal?.addEventListener("abort", () => this.#wake(), { once: true });
    while (!(signal?.aborted ?? false)) {
      const facts = this.log.slice(next - 1).map((pad, at) => {
        const [type, run] = ["RunSubmitted", "r-1"];
        return { type, run, text: JSON.stringify({ seq: next + at, type, run, pad }), times: 1 };
      });
      const touched = [{ run: "r-1", jobs: [], all: false }];
      if (facts.length > 0) yield { reset: false, first: next, facts, touched };
      next += facts.length;
      if (this.log.length < next) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function hall() {
  const world = new SimWorld({ seed: 1 });
  const master = new FakeMaster();
  const session = async (): Promise<Client> => master.client;
  const hub = new EventHub({ host: world.host("m"), session, version: "1" });
  const open = (last?: number): FakeOutlet => {
    const outlet = new FakeOutlet();
    hub.open(outlet, { all: false, runs: [] }, { at: last });
    return outlet;
  };
  const pass = async (ms = 1000): Promise<void> => {
    await world.run(world.now + ms);
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    await world.run(world.now + ms);
  };
  return { master, hub, open, pass };
}

test("a page that comes back gets the facts of its gap: all, once each, in order", async () => {
  const { master, hub, open, pass } = hall();
  master.add(12);
  const whole = open();
  await pass();
  const back = upTo(0, 12).map((last) => ({ last, page: open(last) }));
  await pass();
  for (const { last, page } of back) {
    assert.deepEqual(page.seqs("fact"), upTo(last + 1, 12), `back with ${last}`);
    assert.deepEqual(page.seqs("snapshot"), [], `back with ${last}: it knows the rest`);
    assert.deepEqual(page.seqs("rows"), last < 12 ? [last] : [], `back with ${last}`);
    assert.equal(page.ids.at(-1), 12);
  }
  master.add(2);
  await pass();
  for (const { last, page } of back) assert.deepEqual(page.seqs("fact"), upTo(last + 1, 14));
  assert.deepEqual(whole.seqs("fact"), [13, 14]);
  hub.close();
});

test("a page that is new, or of which nothing can be known, gets everything as it is", async () => {
  const { master, hub, open, pass } = hall();
  master.add(20);
  master.first = 9;
  const pages = [undefined, 5, 99].map((last) => open(last));
  await pass();
  for (const page of pages) {
    assert.deepEqual([page.seqs("fact"), page.seqs("snapshot")], [[], [20]]);
    assert.equal(page.ids.at(-1), 20);
  }
  assert.equal(master.snapshots, 1, "one is made for all who come within two seconds");
  const near = open(8);
  master.add(1);
  await pass();
  for (const page of pages) assert.deepEqual(page.seqs("fact"), [21]);
  assert.deepEqual([near.seqs("fact"), near.seqs("snapshot")], [upTo(9, 21), []]);
  master.add(5001);
  await pass();
  const late = open(20);
  await pass();
  assert.deepEqual([late.seqs("fact"), late.ids.at(-1)], [[], 5022], "a snapshot is shorter");
  hub.close();
});

test("a page that did not read: what waited for it, then one snapshot for the rest", async () => {
  const { master, hub, open, pass } = hall();
  const [slow, late] = [open(), open()];
  await pass();
  const pad = "x".repeat(10_000);
  slow.flows = late.flows = false;
  for (let n = 0; n < 27; n++) {
    master.add(1, pad);
    await pass(100);
  }
  master.add(3);
  await pass();
  assert.ok(late.seqs("fact").length < 30, "nothing more is sent to a page that is full");
  late.flow();
  await pass();
  assert.deepEqual([late.seqs("fact"), late.seqs("snapshot")], [upTo(1, 30), [0]]);
  for (let n = 0; n < 30; n++) {
    master.add(1, pad);
    await pass(100);
  }
  const had = slow.seqs("fact").length;
  assert.ok(slow.text.length < 300_000, `${slow.text.length}`);
  slow.flow();
  await pass();
  assert.deepEqual(slow.seqs("fact"), upTo(1, had), "no fact of the gap");
  assert.deepEqual([slow.seqs("snapshot"), slow.ids.at(-1)], [[0, 60], 60]);
  master.add(1);
  await pass();
  assert.equal(slow.seqs("fact").at(-1), 61);
  // Who was away, and not slow, has room for its gap.
  const away = open(0);
  await pass();
  assert.deepEqual([away.seqs("fact"), away.seqs("snapshot")], [upTo(1, 61), []]);
  hub.close();
});

test("news() tells rows first, under the number before the first fact", () => {
  const fact = (seq: number, type = "RunSubmitted"): SeenFact =>
    ({ seq, type, run: "r-1", text: `{"seq":${seq}}` });
  const rows = { ...NO_ROWS, runs: new Map([["r-1", "{}"]]) };
  const plain = { all: false, runs: [] };
  const idsOf = (text: string): string[] =>
    text.split("\n").filter((line) => /^(id|event)/.test(line));
  const some = [fact(5, "JobStarted"), fact(6), fact(8)];
  assert.deepEqual(idsOf(news(plain, { facts: some, rows, end: 9 })),
    ["id: 5", "event: rows", "id: 6", "event: fact", "id: 8", "event: fact"]);
  assert.deepEqual(idsOf(news({ all: true, runs: [] }, { facts: some, rows, end: 9 })).slice(0, 4),
    ["id: 4", "event: rows", "id: 5", "event: fact"]);
  // Nothing is told of these facts, so that the rows are true up to the last of them.
  const hidden = { facts: [fact(6, "JobStarted")], rows, end: 6 };
  assert.deepEqual(idsOf(news(plain, hidden)), ["id: 6", "event: rows"]);
  assert.equal(news(plain, { ...hidden, rows: NO_ROWS }), "");
  assert.deepEqual(idsOf(news({ all: false, runs: ["r-1"] }, hidden)),
    ["id: 5", "event: rows", "id: 6", "event: fact"]);
  assert.deepEqual(idsOf(news(plain, { facts: [fact(3)], rows: NO_ROWS, end: 3 })),
    ["id: 3", "event: fact"]);
});

test("layout() puts a job behind its parents, and a root beside the job that needs it", () => {
  const columns = (graph: number[][]): number[] => layout(graph).nodes.map(({ rank }) => rank);
  assert.deepEqual(columns([[], [0], [0], [1, 2]]), [0, 1, 1, 2]);
  assert.deepEqual(columns([[], [0], [0, 1], [2, 0]]), [0, 1, 2, 3]);
  assert.deepEqual(columns([[], [0], [1], [2, 4], []]), [0, 1, 2, 3, 2]);
  assert.deepEqual(columns([[], []]), [0, 0]);
  // Of two that move, the later one first: 5 goes to its children, and 4 follows.
  const two = [[], [0], [1], [2], [], [4], [3, 5], [3, 5]];
  assert.deepEqual(columns(two), [0, 1, 2, 3, 2, 3, 4, 4]);
});

test("layout() of 200 random graphs: a job moves to the right where that gains something", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const jobs = 1 + (random.u32() % 30);
    const parents = Array.from({ length: jobs }, (_, index) => [...new Set(
      Array.from({ length: index === 0 ? 0 : random.u32() % 4 }, () => random.u32() % index),
    )]);
    const children = parents.map((_, index) =>
      [...parents.keys()].filter((child) => parents[child]!.includes(index)));
    const ranks = layout(parents).nodes.map(({ rank }) => rank);
    for (const [index, rank] of ranks.entries()) {
      const [before, behind] = [parents[index]!, children[index]!];
      const told = `seed ${seed}, job ${index} of ${JSON.stringify(parents)}: ${ranks}`;
      for (const parent of before) assert.ok(ranks[parent]! < rank, told);
      const earliest = Math.max(0, ...before.map((parent) => ranks[parent]! + 1));
      const latest = Math.min(...behind.map((child) => ranks[child]! - 1));
      assert.equal(rank, behind.length > before.length ? latest : earliest, told);
    }
  }
});
