/** The pure parts behind a run's view: jobs with numbers, the address, the old facts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fact, Job, JobStatus, Run } from "../src/dashboard/page/rows.ts";
import { allFacts, HistoryReader } from "../src/dashboard/page/run/history.ts";
import { jobName, runJobs } from "../src/dashboard/page/run/jobs.ts";
import { sceneOf } from "../src/dashboard/page/run/scene.ts";
import { addressOf, selectionOf } from "../src/dashboard/page/run/selection.ts";
import { EMPTY } from "../src/dashboard/page/state.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const row = (id: string, status: JobStatus = "PENDING", dependsOn: Job["dependsOn"] = []): Job => ({
  id, status, attempt: 0, worker: null, startedAt: null, endedAt: null, tookMs: null,
  waitedMs: null, retryAt: null, reason: "", cancelling: false, dependsOn, decision: null,
  failure: null, result: null, outputLost: 0, outputProblem: null,
});
const mapOf = (rows: readonly Job[]): Map<string, Job> => new Map(rows.map((job) => [job.id, job]));
const runOf = (): Run => ({
  id: "r-1",
  name: "r",
  status: "RUNNING",
  submittedAt: 0,
  endedAt: null,
  cancelling: false,
  jobs: {},
});

test("runJobs() numbers jobs, and keeps the structure while only states change", () => {
  const first = runJobs(mapOf([row("a"), row("b", "PENDING", ["a"]), row("c", "PENDING", [0, 1])]));
  assert.deepEqual(first.structure.map(({ parents }) => parents), [[], [0], [0, 1]]);
  const changed = mapOf([
    row("a", "RUNNING"), row("b", "PENDING", ["a"]), row("c", "PENDING", [0, 1]),
  ]);
  const second = runJobs(changed, first);
  assert.equal(second.structure, first.structure);
  assert.equal(second.rows[0]!.status, "RUNNING");
  const others = [
    [row("a"), row("b", "PENDING", ["a"])],
    [row("a"), row("b"), row("c", "PENDING", [0, 1])],
    [row("a"), row("x", "PENDING", ["a"]), row("c", "PENDING", [0, 1])],
  ];
  for (const rows of others) {
    assert.notEqual(runJobs(mapOf(rows), first).structure, first.structure);
  }
  // A parent that is not here is left out.
  assert.deepEqual(runJobs(mapOf([row("a", "PENDING", ["gone", 7])])).structure[0]!.parents, []);
  assert.equal(jobName(row("a b", "WAITING")), "a b, waiting");
});

test("the address has the selection, and nothing of it is believed unseen", () => {
  const url = (query: string): URL => new URL(`http://t/runs/r-1${query}`);
  assert.deepEqual(selectionOf(url("?view=timeline&job=a%26b&tab=inputs&attempt=2&line=12")), {
    view: "timeline", job: "a&b", tab: "inputs", attempt: 2, line: 11,
  });
  assert.deepEqual(selectionOf(url("?view=evil&tab=x&attempt=0&line=-1")), {
    view: "graph", job: undefined, tab: "log", attempt: undefined, line: undefined,
  });
  const selected = url("?job=a&attempt=2&line=5&tab=about");
  assert.equal(addressOf(selected, { line: 8 }), "/runs/r-1?job=a&attempt=2&line=9&tab=about");
  // Another job has other attempts and lines; the tab stays.
  assert.equal(addressOf(selected, { job: "b" }), "/runs/r-1?job=b&tab=about");
  assert.equal(addressOf(selected, { job: undefined, tab: "log" }), "/runs/r-1");
  assert.equal(addressOf(selected, { view: "table" }),
    "/runs/r-1?job=a&attempt=2&line=5&tab=about&view=table");
});

const fact = (seq: number, more: object = {}): Fact =>
  ({ seq, at: seq, type: "JobStarted", run: "r-1", ...more }) as Fact;
const message = (event: string, value: object): string =>
  `event: ${event}\ndata: ${JSON.stringify(value)}\n\n`;

test("HistoryReader keeps facts until it is told that the first ones are gone", () => {
  const reader = new HistoryReader();
  reader.read(message("hello", { seq: 0 }) + message("fact", fact(3)).slice(0, 20));
  reader.read(message("fact", fact(3)).slice(20) + ": beat\n" + message("fact", fact(4)));
  assert.deepEqual([reader.isOver, reader.history.facts.length], [false, 2]);
  reader.read(message("snapshot", { seq: 9 }));
  assert.deepEqual([reader.isOver, reader.history.isCut], [true, true]);
});

test("allFacts() has each fact once, of this run alone", () => {
  const history = { facts: [fact(1), fact(2, { run: "other" }), fact(3)], isCut: false };
  const live = [fact(2), fact(3), fact(5)];
  assert.deepEqual(allFacts("r-1", history, live).map(({ seq }) => seq), [1, 3, 5]);
  assert.deepEqual(allFacts("r-1", undefined, live).map(({ seq }) => seq), [2, 3, 5]);
});

test("sceneOf() opens the stack of the job that the address names, and keeps it the same", () => {
  const parts = Array.from({ length: 200 }, (_, at) => row(`p${at}`, "PENDING", ["a"]));
  const rows = mapOf([row("a"), ...parts]);
  let went = "";
  const context = {
    url: new URL("http://t/runs/r-1?job=p7"), navigate: (url: string) => (went = url),
  } as unknown as Context;
  const scene = sceneOf(EMPTY, context, { run: runOf(), rows });
  assert.deepEqual([scene.chosen, scene.opened.size], [8, 1]);
  const again = sceneOf({ ...EMPTY, now: 5 }, context, { run: runOf(), rows: new Map(rows) });
  assert.equal(again.opened, scene.opened);
  assert.equal(again.jobs.structure, scene.jobs.structure);
  scene.choose(8);
  assert.equal(went, "");
  scene.choose(9);
  assert.equal(went, "/runs/r-1?job=p8");
  const none = { ...context, url: new URL("http://t/runs/r-1?job=nobody") };
  assert.equal(sceneOf(EMPTY, none, { run: runOf(), rows }).chosen, undefined);
});
