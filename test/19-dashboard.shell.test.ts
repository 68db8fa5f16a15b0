/** The dashboard's files and its shell, and the pure parts of its program: no browser here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Dashboard } from "#dashboard";
import { collect, type ReadText } from "../src/dashboard/assets.ts";
import { tell } from "../src/dashboard/page/announce.ts";
import { KeyReader, type Pressed } from "../src/dashboard/page/keys.ts";
import { matching, type Choice } from "../src/dashboard/page/palette.ts";
import { ALL_ROWS, sliceOf } from "../src/dashboard/page/parts/rows.ts";
import { pathTo, routeOf, sectionOf, withQuery } from "../src/dashboard/page/router.ts";
import { SseReader } from "../src/dashboard/page/sse.ts";
import { EMPTY, reduce, type Action, type State } from "../src/dashboard/page/state.ts";

/** The texts of a compiled tree. */
const tree = (files: Record<string, string>): ReadText => async (path) => files[path];

test("collect() follows modules to bricks, and writes addresses for names", async () => {
  const found = await collect(["main.js", "a.css", "tsconfig.json"], tree({
    "dashboard/page/main.js": 'import { a } from "#layout";\nimport "./near.js";\n' +
      'await import("#yaml");\n//# sourceMappingURL=data:x\n',
    "dashboard/page/near.js": 'export { b } from "./parts/c.js";',
    "dashboard/page/parts/c.js": "",
    "dashboard/page/a.css": "a {}",
    "layout/mod.js": 'export * from "./x.js"; import { n } from "#base";',
    "layout/x.js": "", "base/mod.js": "", "yaml/mod.js": "", "never/mod.js": "",
  }));
  assert.deepEqual([...found.keys()].sort(), [
    "a.css", "base/mod.js", "layout/mod.js", "layout/x.js", "main.js", "near.js", "parts/c.js",
    "yaml/mod.js",
  ]);
  assert.equal(found.get("main.js"), 'import { a } from "/assets/layout/mod.js";\n' +
    'import "./near.js";\nawait import("/assets/yaml/mod.js");\n');
  const shell = new Dashboard(found).shell.bytes.toString();
  assert.match(shell, /modulepreload" href="\/assets\/parts\/c\.js"/);
  assert.match(shell, /stylesheet" href="\/assets\/a\.css"/);
  assert.doesNotMatch(shell, /style="|<style|https?:|<script(?![^>]* src=)/);
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
  const path = pathTo(["runs", id], { job: "a&b", tab: undefined });
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
    jobs: [{ run: "x", id: "a", status: "FAILED" }, { run: "z", id: "b" }] as never,
  });
  assert.deepEqual([...next.runs!.values()].map(({ status }) => status), ["FAILED"]);
  assert.deepEqual([...next.jobs.keys()], ["x"]);
  assert.deepEqual(next.jobs.get("x")!.get("a"), { id: "a", status: "FAILED" });
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
  const next = [gates(gate), runs({ ...run("a"), jobs: { FAILED: 1 } }, run("b", "COMPLETED"))]
    .reduce(reduce, first);
  assert.equal(tell(first, next),
    "x/ok waits for an approval: Ship it?. A job of a has failed. b is completed");
  assert.equal(tell(next, reduce(next, { type: "tick", wall: 1 })), "");
  assert.equal(tell(EMPTY, next), "", "what was there when the page came is no news");
});
