/** The dashboard's files and its shell, and the pure parts of its program: no browser here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Dashboard } from "#dashboard";
import type { Host } from "#host";
import { Prng } from "#simulation";
import { collect, NAMES_OF_BROWSERS, type ReadText } from "../src/dashboard/collect.ts";
import { tell } from "../src/dashboard/page/announce.ts";
import { KeyReader, type Pressed } from "../src/dashboard/page/keys.ts";
import { matching, type Choice } from "../src/dashboard/page/palette.ts";
import { outline } from "../src/dashboard/page/parts/chart.ts";
import { filterOf, findRuns } from "../src/dashboard/page/parts/filters.ts";
import { barsOf, historyOf } from "../src/dashboard/page/parts/history.ts";
import { countsText, doneText } from "../src/dashboard/page/parts/progress.ts";
import { queueOf } from "../src/dashboard/page/parts/queue.ts";
import { relative } from "../src/dashboard/page/parts/time.ts";
import { placedOn } from "../src/dashboard/page/parts/worker.ts";
import {
  addSample, hasStarts, sampleOf, SAMPLE_MS, throughput, waits,
} from "../src/dashboard/page/samples.ts";
import { ALL_ROWS, sliceOf } from "../src/dashboard/page/parts/rows.ts";
import { pathTo, routeOf, sectionOf, withQuery } from "../src/dashboard/page/router.ts";
import { SseReader } from "../src/dashboard/page/sse.ts";
import { EMPTY, reduce, type Action, type State } from "../src/dashboard/page/state.ts";
import { h, patch, type VNode } from "../src/dashboard/page/vdom.ts";

import { read, sources } from "./style.support.ts";

/** The texts of a compiled tree. */
const tree = (files: Record<string, string>): ReadText => async (path) => files[path];

const TREE = {
  "dashboard/page/main.js": 'import { a } from "#layout";\nimport { b } from "./parts/b.js";\n' +
    'const later = () => import("./views/run.js");\na(b, later);\n//# sourceMappingURL=data:x\n',
  "dashboard/page/theme.js": "document.theme = 1;\n",
  "dashboard/page/parts/b.js": 'import { c } from "./c.js";\nexport const b = () => c;\n',
  "dashboard/page/parts/c.js": "export const c = 1;\nexport const nobody = 2;\n",
  "dashboard/page/parts/lost.js": "export const lost = 1;\n",
  "dashboard/page/views/run.js": 'import { y } from "#yaml";\nexport const run = y;\n',
  "dashboard/page/a.css": "/* a */\na {}\n", "dashboard/page/b.css": "b {}\n",
  "layout/mod.js": 'export * from "./x.js";\nexport { n } from "#base";\n',
  "layout/x.js": "export const a = (one) => one;\n",
  "base/mod.js": "export const n = 1;\n", "yaml/mod.js": "export const y = 1;\n",
  "never/mod.js": "",
};
const OWN = Object.keys(TREE).filter((path) => path.startsWith("dashboard/page/"))
  .map((path) => path.slice("dashboard/page/".length));

test("collect() makes few files of modules and bricks, with paths for names", async () => {
  const found = await collect([...OWN, "tsconfig.json"], tree(TREE));
  assert.deepEqual(Object.fromEntries(found), {
    "main.js": 'import { a, b } from "./parts/b.js";\n' +
      'const later = () => import("./views/run.js");\na(b, later);\n',
    "theme.js": "document.theme = 1;\n",
    "parts/b.js": "// layout/x.js\nexport const a = (one) => one;\n" +
      "// parts/c.js\nexport const c = 1;\n// parts/b.js\nexport const b = () => c;\n",
    "views/run.js": 'import { y } from "../yaml/mod.js";\nexport const run = y;\n',
    "yaml/mod.js": "export const y = 1;\n",
    "style.css": "a {}\nb {}\n",
  });
  const shell = new Dashboard(found).shell.bytes.toString();
  assert.match(shell, /modulepreload" href="\/assets\/parts\/b\.js"/);
  assert.doesNotMatch(shell, /views\/run\.js/, "what comes later comes later");
  assert.match(shell, /stylesheet" href="\/assets\/style\.css"/);
  assert.doesNotMatch(shell, /style="|<style|https?:|<script(?![^>]* src=)/);
});

test("names of the page that a browser has, too, are known to collect()", () => {
  const platform = `typescript-${process.platform}-${process.arch}`;
  const types = read(`node_modules/@typescript/${platform}/lib/lib.dom.d.ts`);
  const browsers = new Set([...types.matchAll(/^declare (?:var|const|function) ([\w$]+)/gm)]
    .map(([, name]) => name!));
  assert.ok(browsers.size > 500, `${browsers.size} names`);
  const modules = sources.filter((file) => file.startsWith("src/dashboard/page/"));
  const own = modules.flatMap((file) => [...read(file)
    .matchAll(/^(?:export )?(?:async )?(?:function\*?|class|const|let) ([\w$]+)/gm)]
    .map(([, name]) => name!));
  // Beside such a function a module could not call the browser's: add the name there.
  const shared = own.filter((name) => browsers.has(name));
  assert.deepEqual([...new Set(shared)].sort(), NAMES_OF_BROWSERS);
});

test("collect() says which module is missing, and who needs it", async () => {
  const { "layout/x.js": _, ...rest } = TREE;
  await assert.rejects(collect(OWN, tree(rest)), /layout\/mod\.js needs it/);
});

test("Dashboard.load() takes what the build made, and makes it where that is missing", async () => {
  const load = (files: Record<string, string>): Promise<Dashboard> => {
    const below = (path: string): string => path.slice(path.lastIndexOf("/dist/") + 6);
    const names = (folder: string): string[] => [...new Set(Object.keys(files)
      .filter((path) => path.startsWith(folder))
      .map((path) => path.slice(folder.length).split("/")[0]!))];
    const storage = {
      list: async (path: string) => names(below(path)),
      stat: async (path: string) => ({ kind: below(path) in files ? "file" : "directory" }),
      readFile: async (path: string) => Buffer.from(files[below(path)]!),
    } as unknown as Host["storage"];
    return Dashboard.load({ storage });
  };
  const text = async (dashboard: Promise<Dashboard>, path: string): Promise<string | undefined> =>
    (await dashboard).find(path)?.bytes.toString();
  const folder = "dashboard/assets";
  const made = load({ ...TREE, [`${folder}/main.js`]: "made", [`${folder}/a/b.js`]: "b" });
  assert.deepEqual([await text(made, "main.js"), await text(made, "a/b.js")], ["made", "b"]);
  assert.equal(await text(made, "theme.js"), undefined, "and nothing beside it");
  const missing = load(TREE);
  assert.match((await text(missing, "main.js"))!, /from "\.\/parts\/b\.js"/);
  assert.equal((await missing).isBuilt, true);
  assert.equal((await load({})).isBuilt, false);
});

test("an asset has an ETag of its content, and a smaller twin", async () => {
  const dashboard = new Dashboard(new Map([["main.js", "a".repeat(1000)], ["b.js", "b"]]));
  const [a, b] = [dashboard.find("main.js")!, dashboard.find("b.js")!];
  assert.match(a.etag, /^"[\w-]{22}"$/);
  assert.notEqual(a.etag, b.etag);
  assert.equal(a, dashboard.find("main.js"));
  assert.ok(a.zipped.length < 100);
  for (const path of ["", "../main.js", "constructor", "__proto__"]) {
    assert.equal(dashboard.find(path), undefined, path);
  }
});

test("routeOf() knows every view, and decodes what a path names", () => {
  const view = (path: string): string => routeOf(path).view;
  assert.deepEqual(["/", "/runs", "/runs/", "/runs/x", "/services/a", "/agents/b", "/store",
    "/constructor", "/runs/x/y", "/nothing"].map(view), ["overview", "runs", "runs", "run",
    "services", "agents", "store", "constructor", "missing", "missing"]);
  assert.deepEqual(routeOf("/runs/a%2Fb%20c").params, { run: "a/b c" });
  assert.deepEqual(routeOf("/runs/%zz").params, { run: "%zz" });
  assert.equal(sectionOf("/runs/x"), "/runs");
  const id = "<img onerror>/🌍";
  const path = pathTo(["runs", id], { job: "a&b", tab: undefined, view: "" });
  assert.match(path, /\?job=a%26b$/);
  assert.deepEqual(routeOf(new URL(path, "http://t").pathname).params, { run: id });
  const url = new URL("http://t/runs?status=FAILED&name=x");
  assert.equal(withQuery(url, { status: undefined, since: "1h" }), "/runs?name=x&since=1h");
});

test("SseReader reads messages that come in pieces, and keeps the id", () => {
  const text = ": beat\r\n\r\nid: 7\nevent: rows\ndata: {\ndata: }\n\ndata:x\n\nevent: e\n\n";
  const expected = [
    { event: "rows", id: "7", data: "{\n}" }, { event: "message", id: "7", data: "x" },
  ];
  for (const size of [1, 2, 3, 5, text.length]) {
    const reader = new SseReader();
    const found = [];
    for (let at = 0; at < text.length; at += size) {
      found.push(...reader.read(text.slice(at, at + size)));
    }
    assert.deepEqual(found, expected, `pieces of ${size}`);
  }
});

const after = (...actions: readonly Action[]): State => actions.reduce(reduce, EMPTY);
const run = (id: string, status = "RUNNING") => ({
  id, name: id, status, submittedAt: 1, endedAt: null, cancelling: false, jobs: {},
});

test("reduce() keeps the master's time, and says since when it is out of date", () => {
  const hello = { type: "hello", seq: 3, now: 5_000_000, version: "1", startedAt: 1 } as const;
  const state = after({ ...hello, wall: 1_000 }, { type: "tick", wall: 3_000 },
    { type: "connection", connection: "lost" }, { type: "tick", wall: 9_000 });
  assert.equal(state.now, 5_008_000);
  assert.equal(state.lostAt, 5_002_000);
  assert.equal(reduce(state, { type: "connection", connection: "live" }).lostAt, undefined);
});

test("reduce() takes rows and what is gone, and jobs of runs that are followed only", () => {
  const job = { id: "a", status: "RUNNING" } as never;
  const state = after({ type: "snapshot", seq: 1, runs: [run("x"), run("y")] },
    { type: "run", seq: 1, run: run("x"), jobs: [job] });
  const next = reduce(state, {
    type: "rows", seq: 2, runs: [run("x", "FAILED")], gone: ["y"],
    jobs: [{ run: "x", id: "a", status: "FAILED" }, { run: "z", id: "b" },
      { run: "x", id: "c" }] as never,
  });
  assert.deepEqual([...next.runs!.values()].map(({ status }) => status), ["FAILED"]);
  assert.deepEqual([...next.jobs.keys()], ["x"]);
  assert.deepEqual(next.jobs.get("x")!.get("a"), { id: "a", status: "FAILED" });
  assert.deepEqual([...next.jobs.get("x")!.keys()], ["a", "c"]);
  assert.equal(state.jobs.get("x")!.get("a"), job, "the state before is what it was");
  assert.equal(reduce(next, { type: "unfollow", run: "x" }).jobs.size, 0);
});

test("reduce() keeps the last answer while requests fail", () => {
  const error = { status: 0, message: "Cannot" };
  const state = after({ type: "loaded", path: "workers", value: [1] },
    { type: "failed", path: "workers", error });
  assert.deepEqual(state.loaded.get("workers"), { value: [1], error });
});

const pressed = (key: string, at = 0, more: Partial<Pressed> = {}): Pressed => ({
  key, at, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, isTyping: false, ...more,
});

test("KeyReader knows keys, two in a row, and when letters are letters", () => {
  const keys = ["g r", "g o", "r", "?", "Control+k", "Shift+ArrowDown"];
  const shortcuts = keys.map((each) => ({ keys: each, label: "", run: () => undefined }));
  const read = (...all: Pressed[]): (string | undefined)[] => {
    const reader = new KeyReader();
    return all.map((one) => reader.read(one, shortcuts)?.keys);
  };
  assert.deepEqual(read(pressed("g"), pressed("r", 900)), [undefined, "g r"]);
  assert.deepEqual(read(pressed("g"), pressed("r", 1_600)), [undefined, "r"]);
  assert.deepEqual(read(pressed("g"), pressed("x", 1), pressed("o", 2)),
    [undefined, undefined, undefined]);
  assert.deepEqual(read(pressed("?", 0, { shiftKey: true })), ["?"]);
  assert.deepEqual(read(pressed("K", 0, { metaKey: true })), ["Control+k"]);
  assert.deepEqual(read(pressed("ArrowDown", 0, { shiftKey: true })), ["Shift+ArrowDown"]);
  const typing = { isTyping: true };
  assert.deepEqual(read(pressed("r", 0, typing), pressed("k", 1, { ...typing, ctrlKey: true })),
    [undefined, "Control+k"]);
});

test("sliceOf() shows all rows of a short list, and of a long one those in the window", () => {
  const window = { top: 0, height: 800, rowHeight: 40 };
  assert.deepEqual(sliceOf(ALL_ROWS, window), { first: 0, last: ALL_ROWS });
  assert.deepEqual(sliceOf(10_000, { ...window, top: 120 }), { first: 0, last: 32 });
  assert.deepEqual(sliceOf(10_000, { ...window, top: -40_000 }), { first: 988, last: 1032 });
  assert.deepEqual(sliceOf(10_000, { ...window, top: -400_000 }), { first: 9980, last: 10_000 });
});

test("matching() puts names that begin so before those that only have the letters", () => {
  const choice = (name: string): Choice => ({ name, kind: "", picture: "", run: () => undefined });
  const names = ["nightly-train", "train", "terrain", "t-r-a-i-n", "other"].map(choice);
  assert.deepEqual(matching(names, "Train").map(({ name }) => name),
    ["train", "nightly-train", "terrain", "t-r-a-i-n"]);
  assert.equal(matching(names, "").length, 5);
});

test("tell() speaks of gates that open, of failures and of ends, and of nothing twice", () => {
  const gate = { id: "x/ok", message: "Ship it?", openedAt: 1, deadline: 2 };
  const gates = (...value: unknown[]): Action => ({ type: "loaded", path: "gates", value });
  const runs = (...all: ReturnType<typeof run>[]): Action =>
    ({ type: "snapshot", seq: 1, runs: all });
  const first = after(gates(), runs(run("a"), run("b")));
  const next = [gates(gate), runs({ ...run("a"), jobs: { FAILED: 1 } }, run("b", "COMPLETED"),
    run("new", "FAILED"))]
    .reduce(reduce, first);
  assert.equal(tell(first, next),
    "x/ok waits for an approval: Ship it?. A job of a has failed. b is completed");
  assert.equal(tell(next, reduce(next, { type: "tick", wall: 1 })), "");
  assert.equal(tell(EMPTY, next), "", "what was there when the page came is no news");
});

test("throughput() counts what ends per minute, and survives runs that are forgotten", () => {
  const row = (completed: number, running = 0) =>
    ({ ...run("x"), jobs: { COMPLETED: completed, RUNNING: running } });
  const samples = [sampleOf([row(2), row(3, 1)], 0), sampleOf([row(2), row(7)], 2_000),
    sampleOf([row(7)], 6_000)];
  assert.deepEqual(samples[0]!.jobs, { COMPLETED: 5, RUNNING: 1 });
  assert.deepEqual(throughput(samples), [120, 0]);
  const [first] = samples;
  assert.equal(addSample([first!], sampleOf([], SAMPLE_MS - 1)).length, 1, "too soon");
  assert.equal(addSample(samples, sampleOf([], 0)).length, 1, "the clock was put back");
});

test("waits() is the mean between two samples", () => {
  const at = (seconds: number, jobs: number) => sampleOf([], 0, { seconds, jobs });
  assert.deepEqual(waits([sampleOf([], 0), at(1, 2), at(4, 4), at(4, 4), at(0, 0)]),
    [1.5, 1.5, 1.5]);
  assert.deepEqual([[], [at(1, 2)], [at(1, 2), at(1, 2)], [sampleOf([], 0), at(1, 2), at(2, 3)]]
    .map(hasStarts), [false, false, false, true]);
});

test("outline() draws the last value at the right, and the highest at the top", () => {
  assert.equal(outline([], 5), "");
  assert.equal(outline([0, 2, 1], 5), "M120.0 42.0L180.0 4.0L240.0 23.0");
});

test("findRuns() filters by state, name and age, and counts what there would be", () => {
  const all = new Map(["a-1", "a-2", "b-1"].map((id, at) =>
    [id, { ...run(id, at === 2 ? "FAILED" : "RUNNING"), submittedAt: 1_000 * at }]));
  const find = (query: string, now = 5_000) => {
    const { runs, counts, total } =
      findRuns(all, filterOf(new URLSearchParams(query)), now);
    return [runs.map(({ id }) => id), [...counts], total];
  };
  assert.deepEqual(find(""), [["b-1", "a-2", "a-1"], [["RUNNING", 2], ["FAILED", 1]], 3]);
  assert.deepEqual(find("name=A-&status=RUNNING"), [["a-2", "a-1"], [["RUNNING", 2]], 2]);
  assert.deepEqual(find("status=COMPLETED"), [[], [["RUNNING", 2], ["FAILED", 1]], 3]);
  assert.deepEqual(find("since=1h", 3_601_500), [["b-1"], [["FAILED", 1]], 1]);
});

test("queueOf() groups what waits for workers by why, and leaves out what waits for jobs", () => {
  const job = (id: string, reason: string, status = "PENDING") => [id, { id, reason, status }];
  const jobs = new Map([["x", new Map([
    job("a", "no worker has GPU"), job("b", "no worker has GPU"),
    job("c", "no free slot on the only worker (2 slots); the next is free in 3 s"),
    job("d", "waits for a (PENDING)"), job("e", "no worker has GPU", "RUNNING"),
  ] as never)]]) as never;
  assert.deepEqual(queueOf(jobs).map(({ reason, count }) => [reason, count]),
    [["no worker has GPU", 2], ["no free slot on the only worker (2 slots)", 1]]);
});

test("placedOn() has what the master lists, and newer rows of runs that are followed", () => {
  const listed = (run: string, job: string) =>
    ({ run, job, attempt: 1, startedAt: 5, service: null });
  const worker = { name: "w1", jobs: [listed("far", "a"), listed("near", "over"),
    listed("near", "on"), listed("near", "moved")] } as never;
  const row = (id: string, status: string, on = "w1") =>
    [id, { id, status, worker: on, attempt: 2, startedAt: 7 }];
  const followed = new Map([["near", new Map([
    row("over", "COMPLETED"), row("on", "RUNNING"), row("moved", "RUNNING", "w2"),
    row("new", "RUNNING"), row("not", "PENDING"),
  ] as never)]]) as never;
  assert.deepEqual(placedOn(worker, followed).map(({ run, job, attempt }) => [run, job, attempt]),
    [["far", "a", 1], ["near", "on", 1], ["near", "new", 2]]);
});

test("countsText() and doneText() say how far a run is", () => {
  const jobs = { COMPLETED: 3, FAILED: 1, RUNNING: 2, PENDING: 0 };
  assert.equal(countsText(jobs), "6 jobs: 3 completed, 2 running, 1 failed");
  assert.equal(doneText(jobs), "4 / 6");
});

test("relative() says times as people do", () => {
  const times = [[0, "just now"], [40_000, "40 s ago"], [300_000, "5 min ago"],
    [7_200_000, "2 h ago"], [3 * 86_400_000, "3 days ago"], [-3_700_000, "in 1 h"]] as const;
  for (const [ms, text] of times) assert.equal(relative(10 * 86_400_000 - ms, 864_000_000), text);
});

test("historyOf() keeps the latest runs of each pipeline, the latest last", () => {
  const all = new Map(Array.from({ length: 20 }, (_, at) =>
    [`r${at}`, { ...run(`r${at}`), name: "p", submittedAt: at, endedAt: at + 1 + at % 2 }]));
  const own = historyOf(all).get("p")!;
  assert.deepEqual([own.length, own.at(-1)!.id, own[0]!.id], [12, "r19", "r8"]);
  assert.deepEqual(barsOf(own, 99).map(({ share }) => share).slice(0, 2), [0.5, 1]);
});

// ── trees and the document ───────────────────────────────────────────────────────────────────────

/** As much of a document's node as patch() needs. */
class Leaf {
  parentNode: Leaf | undefined;
  readonly childNodes: Leaf[] = [];
  nodeValue = "";

  get firstChild(): Leaf | null {
    return this.childNodes[0] ?? null;
  }

  get nextSibling(): Leaf | null {
    const { childNodes = [] } = this.parentNode ?? {};
    return childNodes[childNodes.indexOf(this) + 1] ?? null;
  }

  insertBefore(node: Leaf, next: Leaf | null): void {
    node.parentNode?.removeChild(node);
    const at = next === null ? this.childNodes.length : this.childNodes.indexOf(next);
    assert.ok(at >= 0, "the node before which another one is put is there");
    this.childNodes.splice(at, 0, node);
    node.parentNode = this;
  }

  removeChild(node: Leaf): void {
    this.childNodes.splice(this.childNodes.indexOf(node), 1);
    node.parentNode = undefined;
  }

  /** What the tree says of it: a text, or the text in an element. */
  said(): string {
    return this.nodeValue + this.childNodes.map((child) => child.said()).join("");
  }
}

function withDocument(work: (root: Leaf) => void): void {
  const createTextNode = (text: string): Leaf => Object.assign(new Leaf(), { nodeValue: text });
  Object.assign(globalThis, { document: { createElement: () => new Leaf(), createTextNode } });
  try {
    work(new Leaf());
  } finally {
    Reflect.deleteProperty(globalThis, "document");
  }
}

test("patch() puts any list in place of any other, and a child with a key keeps its node", () => {
  const prng = new Prng(5);
  withDocument((root) => {
    let known = new Map<string, Leaf>();
    for (let round = 0; round < 2_000; round++) {
      const keys = Array.from({ length: prng.int(0, 9) }, () => `k${prng.int(0, 12)}`);
      // Without a key, and texts, at any place; often a list that goes on as the one before.
      const list = [...new Set(prng.chance(0.5) ? [...known.keys(), ...keys] : keys)]
        .filter(() => prng.chance(0.9));
      const children = list.flatMap((key) => [h("li", { key }, `${key} ${round}`),
        prng.chance(0.2) ? `text ${round}` : null, prng.chance(0.2) ? h("li", null, "-") : null]);
      patch(root as unknown as Element, h("ul", null, children));
      const own = root.childNodes[0]!;
      const all = children.filter((child) => child !== null);
      assert.deepEqual(own.childNodes.map((child) => child.said()),
        all.map((child) => (typeof child === "string" ? child : String(child.children[0]))));
      const now = new Map(all.flatMap((child, at) => typeof child === "string" ||
        child.key === undefined ? [] : [[String(child.key), own.childNodes[at]!] as const]));
      for (const [key, node] of now) assert.equal(known.get(key) ?? node, node, key);
      known = now;
    }
  });
});

test("patch() looks at no child that is the same as before, in a list that grows by one", () => {
  let looked = 0;
  const kept = Array.from({ length: 500 }, (_, at): VNode => {
    const own = h("li", null, `${at}`);
    return Object.defineProperty({ ...own }, "key", { get: () => (looked++, at) });
  });
  withDocument((root) => {
    patch(root as unknown as Element, h("ul", null, kept));
    looked = 0;
    patch(root as unknown as Element, h("ul", null, kept, h("li", { key: "new" }, "new")));
    assert.equal(root.childNodes[0]!.childNodes.length, 501);
    assert.equal(looked, 0);
    const changed = kept.map((each, at) => (at === 250 ? h("li", { key: 250 }, "other") : each));
    patch(root as unknown as Element, h("ul", null, changed));
    assert.equal(root.childNodes[0]!.childNodes[250]!.said(), "other");
    assert.ok(looked < 5, `${looked}`);
  });
});
