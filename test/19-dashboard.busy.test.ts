/**
 * A page that stays open: an hour of a busy cluster, a night's sleep, views by the hundred. Without
 * a browser: what is counted is what would be kept.
 */
import assert from "node:assert/strict";
import { test as nodeTest, type TestContext } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ApiError, type Api } from "../src/dashboard/page/api.ts";
import { Needs, type Followed } from "../src/dashboard/page/needs.ts";
import { Pace } from "../src/dashboard/page/pace.ts";
import type { Job, Run } from "../src/dashboard/page/rows.ts";
import { EMPTY, reduce, type Action, type State } from "../src/dashboard/page/state.ts";
import { Stream } from "../src/dashboard/page/stream.ts";
import { overview } from "../src/dashboard/page/views/overview.ts";
import { runs as runsView } from "../src/dashboard/page/views/runs.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const document = { hidden: false };

/**
 * What the modules take from a browser, for the time of a test: other files have their own. A page
 * dials for as long as it lives; here it ends with its test, and so do its timers.
 */
function test(name: string, body: (t: TestContext) => void | Promise<void>): void {
  nodeTest(name, async (t) => {
    const { document: theirs, addEventListener, fetch, setTimeout } =
      globalThis as Record<string, unknown> & typeof globalThis;
    const timers: NodeJS.Timeout[] = [];
    const later = (...args: Parameters<typeof setTimeout>): NodeJS.Timeout => {
      const timer = setTimeout(...args);
      timers.push(timer);
      return timer;
    };
    Object.assign(globalThis, {
      addEventListener: () => undefined, document, setTimeout: Object.assign(later, setTimeout),
    });
    try {
      await body(t);
    } finally {
      t.mock.timers.reset();
      for (const timer of timers) clearTimeout(timer);
      Object.assign(globalThis, { addEventListener, document: theirs, fetch, setTimeout });
    }
  });
}

const message = (event: string, value: object, id?: number): string =>
  `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(value)}\n\n`;
const runOf = (id: string, status = "RUNNING"): Run =>
  ({ id, name: "p", status, submittedAt: 1, endedAt: null, cancelling: false, jobs: {} });
const jobOf = (id: string, status: Job["status"]): Job => ({ id, status, dependsOn: [] }) as never;

/** The page's state, and the master's end of its stream. */
class Page {
  state: State = EMPTY;
  /** Of all changes of its state. */
  readonly types: string[] = [];
  /** The headers with which it came, the latest last. */
  readonly came: Headers[] = [];
  /** What it asked its streams for. */
  readonly asked: string[] = [];
  readonly stream: Stream;
  #pieces!: ReadableStreamDefaultController<Uint8Array>;
  readonly #encoder = new TextEncoder();
  #onTaken: () => void = () => undefined;

  constructor({ answers, wall = Date.now, runs = [] }: {
    answers: readonly string[]; wall?: () => number; runs?: readonly string[];
  }) {
    const waiting = [...answers];
    globalThis.fetch = async (url, options): Promise<Response> => {
      if (String(url) === "/healthz") throw new TypeError("there is no network");
      this.came.push(new Headers(options?.headers));
      this.asked.push(new URL(String(url), "http://t").search);
      const body = new ReadableStream<Uint8Array>({
        start: (control) => void (this.#pieces = control),
        pull: () => this.#onTaken(),
      });
      options?.signal?.addEventListener("abort", () => {
        try { this.#pieces.error(new Error("aborted")); } catch { /* it has ended */ }
      });
      const first = waiting.shift();
      if (first !== undefined) this.#pieces.enqueue(this.#encoder.encode(first));
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    };
    const dispatch = (action: Action): void => {
      this.types.push(action.type);
      this.state = reduce(this.state, action.type === "hello"
        ? { ...action, wall: wall() } : action);
    };
    const get = async (path: string): Promise<object> =>
      ({ run: runOf(path.replace("runs/", "")), jobs: [] });
    const api = { get } as unknown as Api;
    this.stream = new Stream({ api, dispatch });
    this.stream.follow({ ids: runs, isBrief: false });
    void this.stream.run();
  }

  /** Resolves when the page wants more. */
  async say(text: string): Promise<void> {
    const taken = new Promise<void>((resolve) => (this.#onTaken = resolve));
    this.#pieces.enqueue(this.#encoder.encode(text));
    await taken;
  }

  dispatch(action: Action): void {
    this.state = reduce(this.state, action);
  }
}

/** Until something is so: what is promised here takes some turns of the event loop, and no time. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if (isSo()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`in vain until ${what}`);
}

/** Everything that can be reached from a value, counted. */
function sizeOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  const parts = value instanceof Map ? [...value.values()] : Object.values(value);
  return parts.reduce<number>((sum, part) => sum + sizeOf(part), 1);
}

const HELLO = { seq: 1, now: 1_764_000_000_000, version: "1", startedAt: 1 };

test("a run that was followed in brief is read anew once all of its facts are wanted", async () => {
  const greeting = message("hello", HELLO) + message("snapshot", { seq: 1, runs: [runOf("r")] }, 1);
  const page = new Page({ answers: [greeting, greeting, greeting] });
  const followed = async (isBrief: boolean): Promise<string[]> => {
    const streams = page.asked.length;
    page.types.length = 0;
    page.stream.follow({ ids: ["r"], isBrief });
    page.stream.follow({ ids: ["r"], isBrief });
    await until("it is back", () => page.asked.length === streams + 1);
    return page.types.filter((type) => type === "run" || type === "unfollow");
  };
  await until("it is live", () => page.state.connection === "live");
  assert.deepEqual([await followed(true), page.asked.at(-1)], [["run"], "?run=r&facts=few"]);
  assert.deepEqual([await followed(false), page.asked.at(-1)], [["unfollow", "run"], "?run=r"]);
});

test("200,000 facts of runs that come, are followed and are forgotten: nothing piles up",
  async (told) => {
    const greeting = message("hello", HELLO) + message("snapshot", { seq: 1, runs: [] }, 1);
    const page = new Page({ answers: [greeting] });
    await until("it is live", () => page.state.connection === "live");
    let seq = 1;
    const sizes: number[] = [];
    for (let piece = 0; piece < 500; piece++) {
      const ids = [0, 1, 2, 3].map((age) => `r-${piece - age}`);
      const [run = "", , , old] = ids;
      const rows = { seq, runs: [runOf(run), runOf(ids[1]!, "COMPLETED")],
        jobs: ids.map((id) => ({ run: id, ...jobOf(`j-${piece % 20}`, "COMPLETED") })),
        gone: [`r-${piece - 300}`] };
      if (piece % 25 === 0) {
        page.stream.follow({ ids, isBrief: false });
        await until("it is back", () => page.came.length === piece / 25 + 2);
        for (const id of ids) page.dispatch({ type: "ui", key: `run.history ${id}`, value: ids });
      }
      const facts = Array.from({ length: 400 }, () => {
        seq += 1;
        return message("fact", { seq, at: seq, type: "JobStarted", run: old, job: "j" }, seq);
      });
      await page.say(message("rows", rows, seq) + facts.join(""));
      page.dispatch({ type: "tick", wall: HELLO.now + piece * 3_600 });
      if (piece % 100 === 99) sizes.push(sizeOf(page.state));
    }
    // Facts and rows that come together change the state in their order.
    const before = page.types.length;
    const fact = (at: number): string =>
      message("fact", { seq: at, at, type: "JobStarted", run: "r-475", job: "j" }, at);
    await page.say(fact(200_001) + message("rows", { seq: 200_001, runs: [] }) +
      Array.from({ length: 6_000 }, () => fact(200_001)).join(""));
    assert.deepEqual([...new Set(page.types.slice(before, before + 2))], ["facts", "rows"]);
    const { runs, jobs, facts, ui, samples } = page.state;
    assert.equal(page.state.seq, 200_001);
    assert.deepEqual([runs!.size, jobs.size, Object.keys(ui).length], [300, 4, 4]);
    const kept = [...facts.values()].map(({ length }) => length);
    assert.ok(Math.max(...kept) === 5_000 && facts.size <= 4, `${kept}`);
    assert.ok(samples.length > 50 && samples.length <= 150, `${samples.length}`);
    told.diagnostic(`${page.types.length} changes of the state; it has ${sizes.join(", ")} parts`);
    assert.ok(sizes.at(-1)! < 1.2 * Math.max(...sizes.slice(3, 6)), `${sizes}`);
    // Facts that stand together are one change: 200,000 of them are no 200,000 pictures.
    assert.ok(page.types.length < 5_000, `${page.types.length}`);
  });

/** Answers by their paths, whether they are asked for alone or together. */
const apiOf = (get: (path: string) => Promise<unknown>): Api => ({
  get, several: (paths) => Promise.all(paths.map(async (path) =>
    ({ get: path, value: await get(path) }))),
} as Partial<Api> as Api);

test("answers to what nobody looks at any more are forgotten, all but the last", async () => {
  let state = EMPTY;
  let asked = 0;
  let answerLate: (value: object) => void = () => undefined;
  const get = async (path: string): Promise<object> => path === "late"
    ? new Promise<object>((resolve) => (answerLate = resolve)) : { answer: (asked += 1) };
  const api = apiOf(get);
  const dispatch = (action: Action): void => void (state = reduce(state, action));
  const needs = new Needs({ api, dispatch, follow: () => undefined });
  const shown = { type: "get", path: "definition" } as const;
  needs.set([{ type: "get", path: "late" }], "/late");
  for (let view = 0; view < 500; view++) {
    needs.set([shown, { type: "get", path: `runs/x/jobs/${view}` }], `/runs/${view}`);
    if (view % 7 === 0) await until("it is there", () => state.loaded.has(`runs/x/jobs/${view}`));
  }
  await until("all are there", () => asked === 501 && state.loaded.has("runs/x/jobs/499"));
  answerLate({});
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(!state.loaded.has("late"), "it comes after it was forgotten");
  assert.ok(state.loaded.size <= 52, `${state.loaded.size}`);
  assert.ok(state.loaded.has("definition"), "it is still needed");
  assert.ok(state.loaded.has("runs/x/jobs/498"), "a person may go back");
  needs.set([], "/");
});

test("an Overview follows runs in brief; whoever wants all facts of one gets those of all", () => {
  const followed: string[] = [];
  const follow = ({ ids, isBrief }: Followed): void =>
    void followed.push(`${ids.join()} ${isBrief ? "brief" : "whole"}`);
  const needs = new Needs({ api: apiOf(async () => undefined), dispatch: () => undefined, follow });
  const brief = overview.needs!({} as Context, { ...EMPTY, runs: new Map([["r", runOf("r")]]) });
  needs.set(brief.filter(({ type }) => type === "run"), "/");
  needs.set([{ type: "run", id: "r", brief: true }, { type: "run", id: "x" }], "/runs/x");
  needs.set([], "/runs");
  assert.deepEqual(followed, ["r brief", "r,x whole", " brief"]);
});

test("a tab that nobody sees asks for the gates now and then, and for nothing else", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked: string[] = [];
  const api = apiOf(async (path: string) => void asked.push(path));
  const needs = new Needs({ api, dispatch: () => undefined, follow: () => undefined });
  needs.set([{ type: "get", path: "gates", everyMs: 2_000, hiddenMs: 15_000 },
    { type: "get", path: "workers", everyMs: 2_000 }], "/");
  const pass = async (ms: number): Promise<number> => {
    asked.length = 0;
    for (let at = 0; at < ms; at += 1_000) {
      t.mock.timers.tick(1_000);
      await new Promise(setImmediate);
    }
    return asked.length;
  };
  await new Promise(setImmediate);
  assert.equal(await pass(10_000), 10);
  document.hidden = true;
  await pass(2_000); // what was due
  assert.equal(await pass(60_000), 4);
  assert.deepEqual([...new Set(asked)], ["gates"]);
  document.hidden = false;
  needs.set([], "/");
});

test("what is wanted equally often is one question; no answer is of before", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const questions: string[] = [];
  const told: Action[] = [];
  const waiting: ((error?: Error) => void)[] = [];
  const api = {
    async several(paths) {
      questions.push(paths.join());
      await new Promise<void>((resolve, reject) =>
        waiting.push((error) => error === undefined ? resolve() : reject(error)));
      return paths.map((get) => get === "pools"
        ? { get, error: { status: 501, message: "none" } } : { get, value: questions.length });
    },
    get: async (path: string) => void questions.push(path),
  } as Partial<Api> as Api;
  const needs = new Needs({ api, dispatch: (action) => void told.push(action), follow() {} });
  const get = (path: string, everyMs: number) => ({ type: "get", path, everyMs }) as const;
  /** What has been asked; then all of it is answered. */
  const asked = async (error?: Error): Promise<string[]> => {
    const found = questions.splice(0);
    for (const answer of waiting.splice(0)) answer(error);
    await new Promise(setImmediate);
    return found;
  };
  needs.set([get("gates", 2_000), get("workers", 2_000), get("pools", 2_000), get("dead", 1_000),
    get("runs/x", 2_000)], "/");
  assert.deepEqual(await asked(), ["gates,workers,pools,dead", "runs/x"]);
  assert.deepEqual(told.map((each) => `${each.type} ${(each as { path: string }).path}`),
    ["loaded runs/x", "loaded gates", "loaded workers", "failed pools", "loaded dead"]);
  t.mock.timers.tick(1_000);
  assert.deepEqual(await asked(), ["dead"]);
  t.mock.timers.tick(1_000);
  // A person has changed something while these are on their way: once more, and at once.
  needs.refresh();
  assert.deepEqual((await asked()).sort(), ["dead", "gates,workers,pools", "runs/x"]);
  needs.set([get("dead", 1_000)], "/dead");
  told.length = 0;
  assert.deepEqual((await asked(new ApiError(0, "away"))).sort(),
    ["dead", "gates,workers,pools", "runs/x"]);
  assert.deepEqual(told.at(-1),
    { type: "failed", path: "dead", error: { status: 0, message: "away" } });
  assert.deepEqual(await asked(), [], "and not without end");
  needs.set([], "/");
});

test("a tab that slept for a day is true again, and has no hole in what it tells", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let wall = HELLO.now - HOUR; // the browser's clock is an hour slow
  const tomorrow = { ...HELLO, seq: 9_000, now: HELLO.now + DAY };
  const page = new Page({
    runs: ["x"], wall: () => wall,
    answers: [
      message("hello", HELLO) + message("snapshot", { seq: 1, runs: [runOf("x")] }) +
        message("snapshot", { seq: 1, run: runOf("x"), jobs: [jobOf("a", "RUNNING")] }, 1),
      message("hello", tomorrow) + message("snapshot", { seq: 9_000, runs: [runOf("y")] }) +
        message("snapshot", {
          seq: 9_000, run: runOf("x", "COMPLETED"), jobs: [jobOf("a", "COMPLETED")],
        }, 9_000),
    ],
  });
  await until("it is live", () => page.state.connection === "live" && page.state.jobs.size === 1);
  await page.say(message("fact", { seq: 2, at: 1, type: "JobStarted", run: "x", job: "a" }, 2));
  await until("the fact is told", () => page.state.facts.get("x")?.length === 1);
  page.dispatch({ type: "ui", key: "run.history x", value: [] });
  for (let at = 0; at < 200; at++) page.dispatch({ type: "tick", wall: (wall += 2_000) });
  const before = page.state;
  assert.equal(before.now, wall + HOUR);

  wall += DAY; // the lid was closed: no timer ran, and nobody said that the connection is gone
  page.dispatch({ type: "tick", wall });
  assert.equal(page.state.now, before.now + DAY, "at the first look its times are right");
  assert.equal(page.state.samples.length, 1, "charts of five minutes have nothing of yesterday");
  t.mock.timers.tick(3_000);
  await until("it says that it is out of date", () => page.state.connection === "lost");
  await until("it is live", () => {
    t.mock.timers.tick(50);
    return page.state.connection === "live";
  });
  assert.equal(page.came.at(-1)!.get("last-event-id"), "2");
  await until("all is as it is", () => page.state.jobs.get("x")?.get("a")?.status === "COMPLETED");
  const { now, runs, facts, ui, lostAt } = page.state;
  assert.deepEqual([now, lostAt], [tomorrow.now, undefined]);
  assert.deepEqual([...runs!.values()].map(({ id, status }) => [id, status]),
    [["y", "RUNNING"], ["x", "COMPLETED"]]);
  assert.deepEqual([facts.size, ui["run.history x"]], [0, undefined], "the log is read again");
});

test("pictures of what happens take a third of the time, and nobody waits for one of them", () => {
  let now = 0;
  let cost = 30;
  let isHidden = false;
  const drawn: number[] = [];
  const waiting = new Set<{ at: number; work: () => void }>();
  const after = (ms: number, work: () => void): (() => void) => {
    const one = { at: now + ms, work };
    waiting.add(one);
    return () => void waiting.delete(one);
  };
  const pace = new Pace({
    now: () => now, after, isHidden: () => isHidden,
    nextFrame: (work) => void after(1, work), behind: (work) => work(),
    draw() {
      drawn.push(now);
      now += cost;
    },
  });
  const pass = (until: number, each: () => void): void => {
    for (; now < until; now++) {
      each();
      for (const one of waiting) if (one.at <= now && waiting.delete(one)) one.work();
    }
  };
  const isOurs = (): void => pace.want({ isOurs: true });
  const happens = (): void => pace.want({ isOurs: false });
  pass(3_000, happens);
  assert.ok(drawn.length >= 25 && drawn.length <= 34, `${drawn.length} pictures of 30 ms in 3 s`);
  // What a person does is there in the next frame, though a pause has just begun.
  pass(drawn.at(-1)! + 100, happens);
  const [asked, before] = [now, drawn.length];
  isOurs();
  pass(now + 3, () => undefined);
  assert.deepEqual([drawn.length, drawn.at(-1)! - asked <= 2], [before + 1, true]);
  // Short ones follow one another frame by frame, and a long one makes nobody wait for minutes.
  [cost, drawn.length] = [5, 0];
  pass(now + 1_000, happens);
  assert.ok(drawn.length > 120, `${drawn.length} pictures of 5 ms`);
  [cost, drawn.length] = [10_000, 0];
  pass(now + 33_000, happens);
  assert.equal(drawn.length, 3);
  // In a tab that nobody sees there are no frames.
  [cost, drawn.length, isHidden] = [1, 0, true];
  pass(now + 12_000, happens);
  assert.ok(drawn.length >= 10 && drawn.length <= 12, `${drawn.length} pictures that nobody sees`);
});

test("Overview says how many jobs end in a minute, one or more", () => {
  const textOf = (node: unknown): string => {
    if (Array.isArray(node)) return node.map(textOf).join("");
    if (typeof node !== "object" || node === null) return `${node ?? ""}`;
    return textOf((node as { children?: unknown }).children);
  };
  for (const [ended, text] of [[1, "1 job a minute"], [2, "2 jobs a minute"]] as const) {
    const samples = [0, ended].map((COMPLETED, at) => ({ at: at * 60_000, jobs: { COMPLETED } }));
    const shown = textOf(overview.render({ ...EMPTY, samples }, {} as Context));
    assert.match(shown, new RegExp(`Finished${text}`));
  }
});

test("views hold no run that is forgotten, whatever they keep for the next picture", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const context = {
    url: new URL("http://t/runs"), params: {}, dispatch: () => undefined,
  } as unknown as Context;
  let state = reduce(EMPTY, { type: "snapshot", seq: 1, runs: [] });
  const seen: WeakRef<Run>[] = [];
  for (let at = 0; at < 120; at++) {
    const runs = [{ ...runOf(`r-${at}`), submittedAt: at }];
    state = reduce(state, { type: "rows", seq: at, runs, gone: [`r-${at - 8}`] });
    seen.push(new WeakRef(runs[0]!));
    for (const view of [runsView, overview]) view.render(state, context);
    if (at % 10 === 0) state = reduce(state, { type: "tick", wall: at * 1_000 });
    if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setImmediate(resolve));
  gc();
  const held = seen.filter((ref) => ref.deref() !== undefined).length;
  assert.ok(held < 40, `${held} of 120 runs, of which 8 are there`);
});
