/** The pure parts of a run's page: nodes and their picture, the camera, the line of time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  begin, center, detailOf, fit, pan, reveal, viewOf, zoomAt, type Camera,
} from "../src/dashboard/page/graph/camera.ts";
import { findJobs } from "../src/dashboard/page/graph/find.ts";
import { NodeIndex, walk } from "../src/dashboard/page/graph/index.ts";
import {
  countStates, graphModel, SMALL_RUN, stackOf, stateOf, type GraphJob,
} from "../src/dashboard/page/graph/model.ts";
import {
  boxOf, drawPicture, edgesInside, NODE, type Picture,
} from "../src/dashboard/page/graph/picture.ts";
import { nameOf } from "../src/dashboard/page/graph/node.ts";
import { Attempts, type JobFact } from "../src/dashboard/page/timeline/attempts.ts";
import {
  barsOf, visibleBars, type Bar, type TimedJob,
} from "../src/dashboard/page/timeline/bars.ts";
import { criticalPath } from "../src/dashboard/page/timeline/critical.ts";
import { ordered } from "../src/dashboard/page/timeline/order.ts";
import { ticksOf, timeScale, unionOf } from "../src/dashboard/page/timeline/scale.ts";

const job = (id: string, parents: number[] = [], kind = "job"): GraphJob => ({ id, parents, kind });

/** split ─▶ `count` parts ─▶ join */
function fan(count: number): GraphJob[] {
  const parts = Array.from({ length: count }, (_, at) => job(`part-${at}`, [0]));
  return [job("split"), ...parts, job("join", parts.map((_, at) => at + 1))];
}

test("graphModel() makes a stack of jobs that are alike, and of no others", () => {
  const model = graphModel(fan(200));
  assert.deepEqual(model.nodes.map(({ jobs }) => jobs.length), [1, 200, 1]);
  assert.deepEqual(model.parents, [[], [0], [1]]);
  assert.deepEqual(model.children, [[1], [2], []]);
  assert.equal(model.nodeOf[150], 1);
  const { key } = model.nodes[1]!;
  assert.equal(stackOf(fan(200), 77), key);
  assert.equal(stackOf(fan(200), 0), undefined);
  const open = graphModel(fan(200), new Set([key]));
  assert.deepEqual(open.nodes.map(({ jobs }) => jobs), fan(200).map((_, at) => [at]));
  assert.deepEqual(open.parents, fan(200).map(({ parents }) => parents));
  // Another kind, another parent, another child: not alike.
  const jobs = fan(200);
  jobs[5] = job("part-4", [0], "gate");
  jobs.push(job("extra", [7]));
  jobs[9] = job("part-8", []);
  assert.deepEqual(graphModel(jobs).nodes.map((node) => node.jobs.length),
    [1, 197, 1, 1, 1, 1, 1]);
  // A small run fits a screen, and eleven alike stand apart in any.
  assert.equal(graphModel(fan(SMALL_RUN - 2)).nodes.length, SMALL_RUN);
  const eleven = [
    ...fan(11),
    ...Array.from({ length: 90 }, (_, at) => job(`x${at}`, at < 1 ? [] : [12 + at])),
  ];
  assert.equal(graphModel(eleven).nodes.length, eleven.length);
});

test("the key of a stack, and its order, stay while it grows", () => {
  const [small, large] = [graphModel(fan(150)), graphModel([...fan(150), job("more", [0])])];
  assert.equal(small.nodes[1]!.key, large.nodes[1]!.key);
  assert.equal(new Set(large.nodes.map(({ key }) => key)).size, large.nodes.length);
});

test("a model's shape is that of its edges: no state and no name changes it", () => {
  const jobs = [job("a"), job("b", [0]), job("c", [0, 1])];
  const { shape } = graphModel(jobs);
  assert.equal(graphModel(jobs.map((each) => ({ ...each, id: `${each.id}!` }))).shape, shape);
  const others = [
    [job("a"), job("b", [0]), job("c", [0])], [job("a"), job("b", [0]), job("c", [1])],
    [job("a"), job("b"), job("c", [0, 1])], [...jobs, job("d")], [job("a"), job("b", [0])],
  ];
  const shapes = others.map((each) => graphModel(each).shape);
  assert.equal(new Set([shape, ...shapes]).size, others.length + 1);
});

test("a stack counts the states of its jobs, and shows the worst", () => {
  const node = graphModel(fan(200)).nodes[1]!;
  const statusOf = (at: number): string =>
    at === 3 ? "FAILED" : at < 50 ? "RUNNING" : "COMPLETED";
  assert.deepEqual(countStates(node, statusOf), [
    ["COMPLETED", 151],
    ["RUNNING", 48],
    ["FAILED", 1],
  ]);
  assert.equal(stateOf(node, statusOf), "FAILED");
  assert.equal(stateOf({ key: "a", jobs: [60] }, statusOf), "COMPLETED");
  const shown = (at: number) => ({ id: `align-${at}`, status: statusOf(at), note: "" });
  assert.equal(nameOf(node, shown),
    "200 jobs: align-1 …, 151 completed, 48 running, 1 failed", "a long name is cut at its end");
  assert.equal(nameOf({ key: "a", jobs: [60] }, shown), "align-60, completed");
});

/** A grid of jobs, each behind those above and before it. */
function grid(columns: number, rows: number): number[][] {
  return Array.from({ length: columns * rows }, (_, at) => at < rows ? [] : [at - rows]);
}

function overlaps(
  picture: Picture,
  a: number,
  box: { x: number; y: number; width: number; height: number },
) {
  const [x, y] = [picture.xs[a]!, picture.ys[a]!];
  return (
    x <= box.x + box.width &&
    x + NODE.width >= box.x &&
    y <= box.y + box.height &&
    y + NODE.height >= box.y
  );
}

test("NodeIndex finds exactly the nodes in a box, and the node at a point", () => {
  const picture = drawPicture(grid(12, 9));
  const index = new NodeIndex(picture);
  for (let at = 0; at < 200; at++) {
    const box = {
      x: ((at * 137) % 3000) - 100,
      y: ((at * 71) % 700) - 50,
      width: at * 3,
      height: at * 2,
    };
    const expected = picture.ranks.map((_, node) => node)
      .filter((node) => overlaps(picture, node, box));
    assert.deepEqual(index.inside(box).sort((a, b) => a - b), [...expected]);
  }
  const { x, y } = boxOf(picture, 50);
  assert.equal(index.at(x + 5, y + 5), 50);
  assert.equal(index.at(x - 5, y + 5), undefined);
});

test("edgesInside() leaves out what cannot be seen, and nothing else", () => {
  const picture = drawPicture([[], [0], [1], [0, 2], [3]]);
  const { edges } = picture;
  const all = { x: -1, y: -1, width: picture.width + 2, height: picture.height + 2 };
  assert.equal(edgesInside(picture, all).length, 5);
  assert.deepEqual(edgesInside(picture, { ...all, y: picture.height + 5 }), []);
  const last = edgesInside(picture, { ...boxOf(picture, 4), height: picture.height });
  assert.deepEqual(last.map((edge) => [edges.from[edge], edges.to[edge]]), [[3, 4]]);
  assert.ok(edges.ways.every((way) => way.startsWith("M")));
});

test("arrows walk along edges, and up and down in a column", () => {
  const parents = [[], [0], [0], [0], [1], [3]];
  const children = parents.map((_, at) =>
    parents.flatMap((own, to) => (own.includes(at) ? [to] : [])),
  );
  const picture = drawPicture(parents);
  const graph = { picture, index: new NodeIndex(picture), parents, children };
  assert.equal(walk("ArrowRight", 0, graph), 2);
  assert.equal(walk("ArrowLeft", 5, graph), 3);
  assert.equal(walk("ArrowDown", 1, graph), 2);
  assert.equal(walk("ArrowUp", 3, graph), 2);
  for (const [arrow, node] of [
    ["ArrowLeft", 0],
    ["ArrowRight", 2],
    ["ArrowUp", 1],
    ["ArrowDown", 3],
  ] as const) {
    assert.equal(walk(arrow, node, graph), undefined);
  }
});

test("jobs of a run that grows stay where they were, and new ones stand " +
  "beside their spawner", () => {
  const parents = grid(3, 6);
  const first = drawPicture(parents);
  // Two children of job 1, between those of jobs 0 and 2.
  const grown = drawPicture([...parents, [1], [1]], [...first.ys]);
  const column = (picture: Picture, rank: number): number[] =>
    [...picture.ranks.keys()].filter((node) => picture.ranks[node] === rank)
      .sort((a, b) => picture.ys[a]! - picture.ys[b]!);
  for (const rank of [0, 1, 2]) {
    assert.deepEqual(column(grown, rank).filter((node) => node < 18), column(first, rank));
  }
  const order = column(grown, 1);
  const where = (node: number): number => order.indexOf(node);
  assert.ok(where(6) < where(18) && where(19) < where(8), `${order}`);
});

const SCREEN = { width: 1000, height: 600 };
const toScreen = (camera: Camera, x: number, y: number): number[] =>
  [(x - camera.x) * camera.zoom, (y - camera.y) * camera.zoom].map(
    (each) => Math.round(each * 1e6) / 1e6,
  );

test("a camera fits a picture, zooms around a point, and never loses the picture", () => {
  const world = { width: 4000, height: 500 };
  const whole = fit(world, SCREEN);
  const [left, , right] = [...toScreen(whole, 0, 0), ...toScreen(whole, 4000, 500)];
  assert.deepEqual([left, right], [24, 976]);
  assert.equal(fit({ width: 100, height: 50 }, SCREEN).zoom, 1);
  assert.ok(fit({ width: 0, height: 0 }, { width: 0, height: 0 }).zoom > 0);
  const at = { x: 300, y: 200 };
  const world0 = { x: whole.x + at.x / whole.zoom, y: whole.y + at.y / whole.zoom };
  let camera = whole;
  for (const factor of [2, 0.3, 100, 1e-9, 7]) {
    camera = zoomAt(camera, at, factor);
    assert.deepEqual(toScreen(camera, world0.x, world0.y), [300, 200]);
  }
  for (const by of [{ x: 1e9, y: 0 }, { x: -1e9, y: 0 }, { x: 0, y: 1e9 }, { x: 5, y: -1e9 }]) {
    const { x, y, width, height } = viewOf(pan(whole, by, { world, screen: SCREEN }), SCREEN);
    assert.ok(x < world.width && x + width > 0 && y < world.height && y + height > 0);
  }
  assert.deepEqual(
    ["card", "label", "box"],
    [1, 0.5, 0.1].map((zoom) => detailOf({ x: 0, y: 0, zoom })),
  );
});

test("the first look is at all of it, or where the run began if nothing of it can be seen", () => {
  const at = (x: number, y: number) => ({ x, y, ...NODE });
  const broad = { width: 4000, height: 5000 };
  assert.deepEqual(begin(broad, SCREEN, { nodes: 2000, first: at(0, 2500) }), fit(broad, SCREEN));
  const few = begin(broad, SCREEN, { nodes: 50, first: at(0, 2500) });
  const thread = begin({ width: 500, height: 90_000 }, SCREEN,
    { nodes: 2000, first: at(0, 45_000) });
  for (const [camera, y] of [[few, 2500], [thread, 45_000]] as const) {
    assert.equal(detailOf(camera), "label");
    assert.equal(toScreen(camera, 0, y + NODE.height / 2)[1], SCREEN.height / 2, "in the middle");
  }
  // Nothing lies beyond the picture but its margin.
  const top = begin(broad, SCREEN, { nodes: 50, first: at(0, 0) });
  assert.deepEqual(toScreen(top, 0, 0), [24, 24]);
  const end = begin(broad, SCREEN, { nodes: 50, first: at(3900, 4990) });
  assert.deepEqual(toScreen(end, 4000, 5000), [SCREEN.width - 24, SCREEN.height - 24]);
});

test("reveal() moves a camera as little as needed; center() makes a node readable", () => {
  const camera = { x: 0, y: 0, zoom: 1 };
  const inside = { x: 400, y: 300, ...NODE };
  assert.deepEqual(reveal(camera, SCREEN, inside), camera);
  const right = reveal(camera, SCREEN, { x: 1200, y: 300, ...NODE });
  assert.deepEqual([right.x, right.y], [1200 + NODE.width + 24 - 1000, 0]);
  assert.deepEqual(reveal(camera, SCREEN, { x: -100, y: 0, ...NODE }).x, -124);
  const near = center({ x: 0, y: 0, zoom: 0.01 }, SCREEN, inside);
  assert.equal(detailOf(near), "card");
  assert.deepEqual(toScreen(near, 400 + NODE.width / 2, 300 + NODE.height / 2), [500, 300]);
});

test("findJobs(): the id itself comes first, then what begins so, then what contains it", () => {
  const ids = ["a-train", "train-2", "Train", "restrain", "other"];
  assert.deepEqual(findJobs(ids, "train"), [2, 1, 0, 3]);
  assert.deepEqual(findJobs(ids, "  "), []);
  assert.deepEqual(findJobs(ids, "(.*"), []);
  assert.equal(findJobs(Array.from({ length: 500 }, (_, at) => `j${at}`), "j").length, 20);
  assert.deepEqual(findJobs(Array.from({ length: 500 }, (_, at) => `j${at}`), "j499"), [499]);
});

test("ten thousand jobs are in their places within two seconds, stacks and index included", () => {
  const jobs = Array.from({ length: 10_000 }, (_, at): GraphJob =>
    job(`j${at}`, at < 100 ? [] : [at - 100, Math.max(0, at - 101 - (at % 7))]));
  const from = process.cpuUsage().user;
  const model = graphModel(jobs);
  const picture = drawPicture(model.parents);
  new NodeIndex(picture);
  assert.ok(picture.xs.length > 9000);
  assert.ok(process.cpuUsage().user - from < 4e6, "twice the promise, for slow machines");
});

const timed = (more: Partial<TimedJob>): TimedJob => ({
  status: "COMPLETED",
  attempt: 1,
  startedAt: 100,
  endedAt: 300,
  tookMs: 200,
  waitedMs: null,
  ...more,
});
const spans = (bars: ReturnType<typeof barsOf>): unknown[] =>
  bars.map(({ kind, attempt, from, to, status, isOpen }) =>
    `${kind} ${attempt} ${from}-${to} ${status}${isOpen ? " …" : ""}`);

test("barsOf() shows attempts, gates and services, ended or not", () => {
  assert.deepEqual(spans(barsOf(timed({}), 999)), ["attempt 1 100-300 COMPLETED"]);
  assert.deepEqual(spans(barsOf(timed({ status: "RUNNING", endedAt: null, tookMs: 5 }), 999)),
    ["attempt 1 100-999 RUNNING …"]);
  // A clock that is behind the master's makes no bar that runs backwards.
  assert.deepEqual(spans(barsOf(timed({ status: "RUNNING", endedAt: null, tookMs: 0 }), 50)),
    ["attempt 1 100-100 RUNNING …"]);
  assert.deepEqual(
    spans(barsOf(timed({ status: "WAITING", endedAt: null, waitedMs: 7 }), 999)),
    ["attempt 1 100-300 COMPLETED", "gate 1 300-999 WAITING …"]);
  assert.deepEqual(spans(barsOf(timed({ status: "FAILED", waitedMs: 50, endedAt: 350 }), 999)),
    ["attempt 1 100-300 COMPLETED", "gate 1 300-350 FAILED"]);
  assert.deepEqual(spans(barsOf(timed({ service: {}, status: "RUNNING", endedAt: null }), 400)),
    ["service 1 100-400 RUNNING …"]);
  const pending = timed({ status: "PENDING", startedAt: null, endedAt: null, tookMs: null });
  assert.deepEqual(barsOf(pending, 999), []);
});

test("Attempts reads those of each job from the facts of a run, and tells any moment", () => {
  const fact = (type: string, at: number, attempt: number, of = "a") => ({
    type,
    at,
    attempt,
    job: of,
  });
  const facts = [
    fact("JobStarted", 10, 1),
    fact("JobStarted", 12, 1, "b"),
    fact("JobFailed", 20, 1),
    fact("JobStarted", 30, 2),
    fact("JobLost", 35, 2),
    fact("JobStarted", 40, 3),
    { type: "RunRetried", at: 1 },
    fact("JobSucceeded", 50, 9, "c"),
    fact("JobSucceeded", 60, 1, "b"),
    fact("JobStopped", 70, 1, "b"),
  ];
  const found = new Attempts().read(facts.slice(0, 2));
  assert.deepEqual(found.busyUntil(99), []);
  found.read(facts);
  const a = found.of("a", 99);
  assert.deepEqual(a, [
    { attempt: 1, from: 10, to: 20, status: "FAILED" },
    { attempt: 2, from: 30, to: 35, status: "FAILED" }, { attempt: 3, from: 40, status: "RUNNING" },
  ]);
  assert.deepEqual(found.of("a", 32), [
    { attempt: 1, from: 10, to: 20, status: "FAILED" }, { attempt: 2, from: 30, status: "RUNNING" },
  ]);
  assert.deepEqual(["a", "b", "c"].map((id) => found.beginOf(id)), [10, 12, undefined]);
  assert.deepEqual(found.busyUntil(99), [{ from: 10, to: 60 }]);
  assert.deepEqual(found.busyUntil(25), [{ from: 10, to: 25 }]);
  assert.deepEqual(found.busyUntil(9), []);
  assert.deepEqual(found.of("b", 99), [{ attempt: 1, from: 12, to: 60, status: "COMPLETED" }]);
  const row = timed({ attempt: 3, startedAt: 40, tookMs: 10, status: "FAILED", endedAt: 50 });
  assert.deepEqual(spans(barsOf(row, 99, a)),
    ["attempt 1 10-20 FAILED", "attempt 2 30-35 FAILED", "attempt 3 40-50 FAILED"]);
  const waits = timed({ attempt: 2, startedAt: null, tookMs: null, status: "PENDING" });
  assert.deepEqual(spans(barsOf(waits, 99, a)).slice(-2),
    ["attempt 2 30-35 FAILED", "attempt 3 40-99 RUNNING"]);
});

/** A run of jobs with two attempts each, some of them with gates, and its rows at any moment. */
function longRun(jobs: number) {
  const facts: JobFact[] = [];
  const lives: { id: string; starts: number[]; ends: number[]; gate: number }[] = [];
  for (let job = 0; job < jobs; job++) {
    const begin = 100 + 40 * ((job * 7) % jobs); // not in the order of their numbers
    const [starts, ends] = [[begin, begin + 50], [begin + 30, begin + 75]];
    const id = `job-${job}`;
    lives.push({ id, starts, ends, gate: job % 10 === 0 ? begin + 200 : 0 });
    for (const at of [0, 1]) {
      facts.push({ type: "JobStarted", at: starts[at]!, job: id, attempt: at + 1 });
      const type = at === 0 ? "JobFailed" : "JobSucceeded";
      facts.push({ type, at: ends[at]!, job: id, attempt: at + 1 });
    }
  }
  facts.sort((a, b) => a.at - b.at);
  const rowsAt = (now: number) => lives.map(({ id, starts, ends, gate }) => {
    const attempt = starts.filter((at) => at <= now).length;
    const [startedAt, end] = [starts[attempt - 1] ?? null, ends[attempt - 1] ?? 0];
    const runs = startedAt !== null && now < end;
    const waits = gate > 0 && attempt === 2 && !runs;
    return {
      id, attempt, startedAt, endedAt: null,
      status: runs ? "RUNNING" : waits ? "WAITING" : attempt === 2 ? "COMPLETED" : "PENDING",
      tookMs: startedAt === null ? null : Math.min(now, end) - startedAt,
      waitedMs: waits ? Math.min(now, gate) - end : null,
    };
  });
  return { facts, rowsAt, end: 100 + 40 * jobs + 300 };
}

/** The same from all bars of all rows. */
function orderedAnew(rows: ReturnType<ReturnType<typeof longRun>["rowsAt"]>, {
  attempts, now,
}: { attempts: Attempts; now: number }) {
  const latest = rows.map((row) => barsOf(row, now));
  const begins = rows.map(({ id }, at) => {
    const from = Math.min(attempts.beginOf(id) ?? Infinity, latest[at]![0]?.from ?? Infinity);
    return from <= now ? from : Number.MAX_SAFE_INTEGER;
  });
  const order = [...rows.keys()].sort((a, b) => begins[a]! - begins[b]! || a - b);
  return { order, spans: [...attempts.busyUntil(now), ...latest.flat()] };
}

test("the rows of a timeline are in the order in which they began, at each moment", () => {
  const { facts, rowsAt, end } = longRun(60);
  for (const from of [0, 90, facts.length]) { // the first facts may be left out
    const attempts = new Attempts().read(facts.slice(from));
    for (let now = 90; now < end; now += 17) {
      const rows = rowsAt(now);
      const [found, anew] = [ordered, orderedAnew].map((how) => how(rows, { attempts, now }));
      assert.deepEqual([...found!.order], anew!.order, `facts from ${from}, at ${now}`);
      assert.deepEqual(unionOf(found!.spans), unionOf(anew!.spans), `from ${from}, at ${now}`);
    }
  }
});

test("a picture of a timeline makes bars for those that wait, not for all that are over", () => {
  const { facts, rowsAt, end } = longRun(5_000);
  const attempts = new Attempts().read(facts);
  for (const now of [end / 4, end / 2, end]) {
    const rows = rowsAt(now);
    const gates = rows.filter(({ waitedMs }) => waitedMs !== null).length;
    const { looked } = ordered(rows, { attempts, now });
    assert.equal(looked, gates, `${looked} rows looked at`);
  }
});

test("visibleBars() makes one bar of those that a screen cannot show apart", () => {
  const bar = (attempt: number, from: number, to: number, kind: Bar["kind"] = "attempt"): Bar =>
    ({ kind, attempt, from, to, isOpen: false, status: "FAILED" });
  const at = (time: number): number => time / 10_000;
  const many = [1, 2, 3].map((n) => bar(n, n, n + 1));
  assert.deepEqual(visibleBars([...many, bar(4, 100, 300), bar(5, 300, 301)], at), [
    { ...bar(3, 1, 4), merged: 3 }, bar(4, 100, 300), bar(5, 300, 301),
  ]);
  const apart = [bar(1, 0, 3), bar(2, 3, 7)]; // a pixel is 5 ms here
  assert.deepEqual(visibleBars(apart, at), apart);
  const gate = [bar(1, 1, 2), bar(1, 2, 3, "gate")];
  assert.deepEqual(visibleBars(gate, at), gate);
  assert.deepEqual(visibleBars([], at), []);
});

test("timeScale() folds a night in which nothing ran, and keeps the order of moments", () => {
  const scale = timeScale([
    { from: 0, to: 10_000 }, { from: 5_000, to: 12_000 }, { from: 13_000, to: 20_000 },
    { from: 50_000_000, to: 50_010_000 },
  ]);
  assert.deepEqual(scale.folds.map(({ from, to }) => [from, to]), [[20_000, 50_000_000]]);
  const { left, right } = scale.folds[0]!;
  assert.ok(right - left > 0.01 && right - left < 0.1 && left > 0.5);
  let before = -1;
  for (let time = -1_000; time < 50_020_000; time += 1_313) {
    const at = scale.at(time);
    assert.ok(at >= before && at >= 0 && at <= 1);
    before = at;
  }
  assert.deepEqual([scale.at(0), scale.at(50_010_000)], [0, 1]);
  assert.deepEqual(timeScale([]).folds, []);
  assert.equal(timeScale([{ from: 5, to: 5 }]).at(5), 0);
  const ticks = ticksOf(scale, 8);
  assert.ok(ticks.length >= 3 && ticks.length <= 10, `${ticks}`);
  assert.ok(ticks.every((time) => time <= 20_000 || time >= 50_000_000));
  assert.deepEqual(ticksOf(timeScale([{ from: 0, to: 60_000 }]), 6),
    [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
  assert.deepEqual(ticksOf(timeScale([]), 6), []);
});

test("criticalPath() goes back from the last job to what it waited for last", () => {
  const jobs = [[0, 10], [0, 50], [50, 60], [60, 90], [10, 20], [null, null], [90, null]]
    .map(([startedAt, endedAt]) => ({ startedAt: startedAt!, endedAt: endedAt! }));
  const parents = [[], [], [0, 1], [2, 4], [0], [3], [3, 5]];
  assert.deepEqual(criticalPath(jobs, (job) => parents[job]!, 100), [1, 2, 3, 6]);
  assert.deepEqual(criticalPath([], () => [], 1), []);
  assert.deepEqual(criticalPath([{ startedAt: null, endedAt: null }], () => [], 1), []);
});
