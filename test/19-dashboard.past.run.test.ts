/** The past of a run as its page shows it, before a master that is made up. */
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { ApiError } from "../src/dashboard/page/api.ts";
import type { PastFact } from "../src/dashboard/page/past/fold.ts";
import { LIMITS, pastParts, type PastParts } from "../src/dashboard/page/past/run.ts";
import type { Fact, Job, JobStatus, Run } from "../src/dashboard/page/rows.ts";
import { EMPTY, type State } from "../src/dashboard/page/state.ts";
import type { VNode } from "../src/dashboard/page/vdom.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const row = (id: string, status: JobStatus, reason = ""): Job => ({ id, status, reason }) as Job;
const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

const STEP = {
  decide: { commands: [], text: "" }, append: { seq: 1, bytes: 9, type: "JobsAdded" },
  apply: [], more: 0, effects: [],
};

/** A run whose fact N (every other number of the log) makes one job more. */
class FakeMaster {
  readonly id: string;
  readonly asked: string[] = [];
  readonly said: string[] = [];
  url: URL;
  first = 0;
  last = 20;
  isAway = false;
  /** Facts that are told without what they have changed. */
  all = new Set<number>();

  constructor(id: string, query: string) {
    this.id = id;
    this.url = new URL(`http://t/runs/${id}${query}`);
  }

  #run(): Run {
    return { id: this.id, name: "r", status: "RUNNING", submittedAt: 0, jobs: {} } as Run;
  }

  #jobsAt(seq: number): Job[] {
    const count = Math.floor(seq / 2);
    return Array.from({ length: count }, (_, at) => row(`j${at + 1}`, "PENDING", `after ${seq}`));
  }

  #fact(seq: number): PastFact {
    const isFirst = seq === 2;
    const changed = this.all.has(seq) ? { jobs: [], all: true }
      : { run: this.#run(), jobs: this.#jobsAt(seq).slice(-1) };
    const type = isFirst ? "RunSubmitted" : "JobsAdded";
    return { seq, at: 1000 + seq, type, text: `#${seq} ${type} ${this.id}/x`, changed };
  }

  #answer(path: string): unknown {
    const query = new URLSearchParams(path.slice(path.indexOf("?") + 1));
    const seq = Number(query.get("seq"));
    if (path === "history") return { first: this.first, last: this.last };
    if (path.startsWith("history/step")) return STEP;
    if (path.startsWith("history/at")) {
      if (seq < this.first) throw new ApiError(404, "the earliest moment is later");
      return { seq, at: 1000 + seq, runs: [this.#run()], jobs: this.#jobsAt(seq) };
    }
    const from = Math.max(Number(query.get("from")), this.first + 1);
    const seqs = Array.from({ length: Math.max(0, this.last - from + 1) }, (_, at) => from + at);
    const own = seqs.filter((each) => each % 2 === 0);
    const page = own.slice(0, 4);
    return { facts: page.map((each) => this.#fact(each)), next: own[4] ?? null };
  }

  async #get(path: string): Promise<unknown> {
    this.asked.push(path);
    await settled();
    if (this.isAway) throw new ApiError(0, "Cannot reach t");
    return this.#answer(path);
  }

  get context(): Context {
    return {
      url: this.url, params: { run: this.id }, dispatch: () => undefined,
      api: { get: (path: string) => this.#get(path) },
      act: (work: () => Promise<unknown>) => work(),
      navigate: (to: string) => { this.url = new URL(to, this.url); },
      announce: (text: string) => void this.said.push(text),
    } as unknown as Context;
  }

  /** What is shown once all is quiet. */
  async shown(state: State = EMPTY): Promise<PastParts> {
    for (let turn = 0; turn < 8; turn++) {
      for (let step = 0; step < 30; step++) {
        pastParts(state, this.context);
        await settled();
      }
      mock.timers.tick(150);
    }
    return pastParts(state, this.context);
  }
}

function textOf(tree: VNode | string): string {
  return typeof tree === "string" ? tree : tree.children.map(textOf).join(" ");
}

const jobs = ({ scene }: PastParts): string => [...scene!.rows.keys()].join();

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  Object.assign(globalThis, { matchMedia: () => ({ matches: false }), document: {} });
});

test("a run is shown at the moment of the address, and with the master's reasons at rest",
  async () => {
    const master = new FakeMaster("r-1", "?at=7");
    const parts = await master.shown();
    assert.equal(jobs(parts), "j1,j2,j3");
    assert.deepEqual([parts.scene!.now, parts.scene!.facts.length], [1006, 3]);
    assert.equal(parts.scene!.rows.get("j1")!.reason, "after 6");
    assert.match(textOf(parts.bar), /fact 3 of 10 .* JobsAdded x/);
    assert.match(master.said.at(-1)!, /^fact 3 of 10, /);
    // The first picture did not wait for the facts.
    assert.match(master.asked.find((path) => path.startsWith("history/at"))!, /seq=7&/);
    master.url = new URL("?at=13", master.url);
    const moved = pastParts(EMPTY, master.context);
    assert.equal(jobs(moved), "j1,j2,j3,j4,j5,j6");
    assert.equal(moved.scene!.rows.get("j6")!.reason, "after 12", "folded, at once");
  });

test("the end is asked for by its number, once it has one", async () => {
  const master = new FakeMaster("r-end", "?at=end");
  const parts = await master.shown();
  assert.match(textOf(parts.bar), /fact 10 of 10 /);
  assert.equal(parts.scene!.rows.size, 10);
  const moments = master.asked.filter((path) => /^history\/(?:at|step)/.test(path));
  assert.ok(moments.includes("history/step?seq=20"), `${moments}`);
  for (const path of moments) assert.match(path, /seq=\d\d?(?:&|$)/);
});

test("a fact that changed too much to tell it is a base of its own", async () => {
  const master = new FakeMaster("r-2", "?at=14");
  master.all.add(8).add(10);
  const parts = await master.shown();
  assert.equal(jobs(parts), "j1,j2,j3,j4,j5,j6,j7");
  for (const seq of [8, 10]) {
    assert.ok(master.asked.some((path) => path.startsWith(`history/at?seq=${seq}&`)));
  }
});

test("a run that goes on has more facts; those that are gone when it asks make a new base",
  async () => {
    const master = new FakeMaster("r-3", "?at=20");
    assert.match(textOf((await master.shown()).bar), /fact 10 of 10/);
    master.last = 40;
    // A snapshot has taken the place of what the page has not read.
    master.first = 30;
    const facts = new Map([["r-3", [{ seq: 39, at: 1, type: "JobsAdded" } as Fact]]]);
    mock.method(performance, "now", () => 1e9);
    const state = { ...EMPTY, facts };
    assert.match(textOf((await master.shown(state)).bar), /fact 10 of 15/);
    mock.restoreAll();
    master.url = new URL("?at=34", master.url);
    assert.equal(jobs(pastParts(state, master.context)).split(",").length, 17);
  });

test("a log that begins in the middle of the run says so, and one that has nothing of it",
  async () => {
    const master = new FakeMaster("r-4", "?at=5");
    master.first = 9;
    const parts = await master.shown();
    assert.match(textOf(parts.bar), /has been compacted: what this run did before/);
    assert.match(textOf(parts.bar), /fact 1 of 6/);
    assert.equal(jobs(parts), "j1,j2,j3,j4,j5");
    const gone = new FakeMaster("r-5", "?at=5");
    gone.first = gone.last = 20;
    const nothing = await gone.shown();
    assert.equal(nothing.scene, undefined);
    assert.match(textOf(nothing.bar), /no fact of this run is in it any more/);
  });

test("a master that is away is told, the fold goes on, and it comes again", async () => {
  const master = new FakeMaster("r-6", "?at=6");
  await master.shown();
  master.isAway = true;
  master.url = new URL("?at=16", master.url);
  const parts = await master.shown();
  assert.equal(jobs(parts).split(",").length, 8);
  assert.match(textOf(parts.bar), /Cannot reach t .*Try again/);
  master.isAway = false;
  mock.timers.tick(2_000);
  assert.doesNotMatch(textOf((await master.shown()).bar), /Cannot reach/);
  const early = new FakeMaster("r-7", "?at=6");
  early.isAway = true;
  const none = await early.shown();
  assert.equal(none.scene, undefined);
  assert.match(textOf(none.bar), /Cannot reach t/);
});

function press(tree: VNode | string, label: string): void {
  if (typeof tree === "string") return;
  if (tree.tag === "button" && textOf(tree) === label) (tree.props["onclick"] as () => void)();
  else for (const child of tree.children) press(child, label);
}

test("of a run with more facts than are held, the page says which are here, and pages on",
  async () => {
    const usual = LIMITS.facts;
    LIMITS.facts = 4;
    try {
      const master = new FakeMaster("r-8", "?at=4");
      master.last = 40;
      const first = await master.shown();
      assert.match(textOf(first.bar), /fact 2 of 4/);
      assert.match(textOf(first.bar), /r-8 has more than 4 facts. Those from #2 to #8 are here/);
      assert.doesNotMatch(textOf(first.bar), /First facts|so far/);
      press(first.bar, "Next facts");
      const next = await master.shown();
      assert.match(textOf(next.bar), /Those from #10 to #16 are here.*First facts.*Next facts/);
      assert.match(textOf(next.bar), /fact 1 of 4/);
      assert.equal(jobs(next), "j1,j2,j3,j4,j5");
      press(next.bar, "Last facts");
      const last = await master.shown();
      assert.match(textOf(last.bar), /fact 2 of 2.*Those from #38 to #40 are here/);
      assert.doesNotMatch(textOf(last.bar), /Next facts|Last facts|compacted/);
      press(last.bar, "First facts");
      assert.match(textOf((await master.shown()).bar), /fact 1 of 4.*Those from #2 to #8/);
      // A link to a moment behind what was read leads there.
      const far = new FakeMaster("r-9", "?at=30");
      far.last = 40;
      const there = await far.shown();
      assert.match(textOf(there.bar), /fact 2 of 4.*Those from #28 to #34 are here/);
      assert.equal(jobs(there).split(",").length, 15);
    } finally {
      LIMITS.facts = usual;
    }
  });
